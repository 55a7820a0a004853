//! Clock by clock: `cy`, `cy-`, `why`.

use super::disassembly::Disassembler;
use super::{Debugger, Outcome};
use crate::debug::Stopped;
use crate::machine::Pipeline;
use spec::pipeline::STALL_REASONS;
use spec::registers::{BASE, CS};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Clocks that `cy` shows at most.
const CLOCK_LIMIT: u64 = 10_000;

/// Clocks that `why` looks ahead.
const LOOK_AHEAD: u64 = 100_000;

/// Stages from the first to the last, with what they hold.
fn stages(pipeline: &Pipeline) -> [(&'static str, Option<u32>); 5] {
    [
        ("decode", pipeline.decode),
        ("issue", pipeline.issue),
        ("address", pipeline.address),
        ("memory", pipeline.memory),
        ("execute", pipeline.execute),
    ]
}

/// The reasons of a clock to wait.
fn reasons(stall: u32) -> impl Iterator<Item = &'static str> {
    STALL_REASONS
        .iter()
        .enumerate()
        .filter(move |(bit, _)| stall >> bit & 1 != 0)
        .map(|(_, reason)| *reason)
}

/// One line for one clock.
fn row(cycle: u64, pipeline: &Pipeline) -> String {
    let mut line = format!("{cycle:9} {:5}", pipeline.fetch_bytes);
    for (_, eip) in stages(pipeline) {
        match eip {
            Some(eip) => write!(line, "  {eip:08x}").unwrap(),
            None => line.push_str("  --------"),
        }
    }
    let waits: Vec<&str> = reasons(pipeline.stall).collect();
    write!(line, "  {}", waits.join("; ")).unwrap();
    line.truncate(line.trim_end().len());
    line
}

impl Debugger {
    /// `cy [count]`: so many clocks, and what each stage holds behind each; 0 looks only.
    pub(super) fn step_cycles(&mut self, _: &str, arguments: &str) -> Outcome {
        let count = self.count(arguments)?;
        if count > CLOCK_LIMIT {
            return Err(format!("At most 0n{CLOCK_LIMIT} clocks are shown"));
        }
        self.line("    cycle fetch  decode    issue     address   memory    execute   waits");
        let mut seen = BTreeSet::new();
        let mut end = Stopped::Done;
        for clock in 0..=count {
            // Where it stood is the first row only if nothing else is asked for.
            if clock > 0 {
                end = self.debuggee.step_cycles(1);
            } else if count > 0 {
                continue;
            }
            let pipeline = self.debuggee.pipeline();
            seen.extend(stages(&pipeline).iter().filter_map(|(_, eip)| *eip));
            let line = row(self.debuggee.position().cycle, &pipeline);
            self.line(line);
            if end != Stopped::Done {
                break;
            }
        }
        self.show_console();
        self.print_reason(&end);
        self.legend(&seen);
        Ok(())
    }

    /// `cy- [count]`.
    pub(super) fn step_cycles_back(&mut self, _: &str, arguments: &str) -> Outcome {
        let count = self.count(arguments)?;
        if self.debuggee.step_back_cycles(count) == Stopped::Begin {
            self.line("This is the begin of the run.");
        }
        self.step_cycles("cy", "0")
    }

    /// What the addresses of the rows are.
    fn legend(&mut self, seen: &BTreeSet<u32>) {
        let base = self.debuggee.registers().get(BASE + CS);
        for eip in seen {
            let address = base.wrapping_add(*eip);
            let line =
                Disassembler::new(&self.names, &mut self.debuggee).at(&mut self.debuggee, address);
            let place = self.names.text(address);
            self.line(format!("{address:08x}  {place:<40} {}", line.text));
        }
    }

    /// `why`: why the next instruction is not done yet, and what the clocks up to it are spent on.
    pub(super) fn why(&mut self, _: &str, _: &str) -> Outcome {
        let status = self.debuggee.status();
        let start = self.debuggee.position();
        let line = self.current();
        let place = self.names.text(line.address);
        self.line(format!(
            "Clock cycle {}: next is {:08x} {place}  {}",
            start.cycle, line.address, line.text
        ));
        if status.halted {
            self.line("The processor is in HLT: it waits for an interrupt.");
            return Ok(());
        }
        let now = self.debuggee.pipeline();
        for (stage, eip) in stages(&now) {
            let holds = match eip {
                Some(eip) => {
                    let base = self.debuggee.registers().get(BASE + CS);
                    format!("{eip:08x} {}", self.names.text(base.wrapping_add(eip)))
                }
                None => "nothing".into(),
            };
            self.line(format!("  {stage:8} holds {holds}"));
        }
        let mut waiting: Vec<&str> = reasons(now.stall).collect();
        if waiting.is_empty() {
            waiting.push("no stage waits in this clock");
        }
        for reason in waiting {
            self.line(format!("  {reason}"));
        }
        self.look_ahead(start)
    }

    /// Counts what the clocks up to the next retirement are spent on, and comes back.
    fn look_ahead(&mut self, start: crate::debug::Position) -> Outcome {
        let mut counts = [0u64; 32];
        let (mut clocks, mut free) = (0, 0);
        let mut ended = None;
        while clocks < LOOK_AHEAD {
            let stopped = self.debuggee.step_cycles(1);
            clocks += 1;
            let stall = self.debuggee.pipeline().stall;
            let done = self.debuggee.position().instructions > start.instructions;
            if stopped != Stopped::Done {
                ended = Some(stopped);
                break;
            }
            if done {
                break;
            }
            for (bit, count) in counts.iter_mut().enumerate() {
                *count += u64::from(stall >> bit & 1);
            }
            free += u64::from(stall == 0);
        }
        self.return_to(start);
        match ended {
            Some(stopped) => self.line(format!(
                "It does not retire: {stopped:?} after {clocks} clocks."
            )),
            None => self.line(format!("It retires in {clocks} clock(s); before that")),
        }
        for (count, reason) in counts.iter().zip(STALL_REASONS) {
            if *count > 0 {
                self.line(format!("{count:6}  {reason}"));
            }
        }
        if free > 0 {
            self.line(format!("{free:6}  on its way, no stage waits"));
        }
        Ok(())
    }

    /// Goes to a position that has been left, exactly.
    fn return_to(&mut self, position: crate::debug::Position) {
        self.debuggee.go_to_instruction(position.instructions);
        if self.debuggee.position() != position {
            self.debuggee.go_to_cycle(position.cycle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_every_stage_and_why_it_waits() {
        let pipeline = Pipeline {
            fetch_bytes: 12,
            decode: Some(0x77F0_5EBC),
            memory: Some(0x77F0_5EBA),
            stall: 0b10,
            ..Default::default()
        };
        assert_eq!(
            row(88_360, &pipeline),
            "    88360    12  77f05ebc  --------  --------  77f05eba  --------  memory: data or translation not there"
        );
    }
}
