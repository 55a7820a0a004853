//! `wt`: watches a function until it returns, and prints the tree of what it called.
//!
//! ```text
//!  own  below  clocks [depth] function          of the stay in it that ends here
//!    3      0      28 [  0] ntdll!ZwWriteFile
//!    2      0      17 [  1]   ntdll!KiFastSystemCall
//!   66      0     217 [  2]     nt!KiFastCallEntry
//! ```

use super::names::Names;
use super::{Debugger, Outcome, stack};
use crate::debug::Watch;
use crate::trace::{Instruction, Instructions};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Mnemonic};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Instructions that one `wt` lists at most; their records are in memory at once.
const INSTRUCTION_LIMIT: u64 = 2_000_000;

/// A function that has been entered and not left.
#[derive(Debug, Clone, Default)]
struct Call {
    name: String,
    own: u64,
    below: u64,
    clocks: u64,
    /// Counts since its last line.
    since: u64,
}

/// One row of the table at the end.
#[derive(Debug, Clone, Default)]
struct Sum {
    invocations: u64,
    least: u64,
    most: u64,
    total: u64,
    clocks: u64,
}

/// What an instruction does to the depth of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Along,
    Deeper,
    Shallower,
}

/// Builds the tree from instructions in order.
#[derive(Default)]
struct Tree {
    calls: Vec<Call>,
    sums: BTreeMap<String, Sum>,
    /// What retired as SYSENTER or INT, by the function it was in.
    gates: BTreeMap<String, u64>,
    instructions: u64,
    clocks: u64,
    previous_cycle: u64,
    flow: Option<Flow>,
    out: String,
}

fn flow(instruction: &Instruction) -> (Flow, bool) {
    if instruction.delivered.is_some() {
        return (Flow::Deeper, false);
    }
    let retired = &instruction.retired;
    let bits = if retired.mode & 8 != 0 { 32 } else { 16 };
    let length = usize::from(retired.length).min(retired.bytes.len());
    let code = Decoder::new(bits, &retired.bytes[..length], DecoderOptions::NONE).decode();
    match (code.flow_control(), code.mnemonic()) {
        (_, Mnemonic::Sysenter) | (FlowControl::Interrupt, _) => (Flow::Deeper, true),
        (_, Mnemonic::Sysexit) | (FlowControl::Return, _) => (Flow::Shallower, false),
        (FlowControl::Call | FlowControl::IndirectCall, _) => (Flow::Deeper, false),
        _ => (Flow::Along, false),
    }
}

impl Tree {
    fn push(&mut self, names: &Names, base: u32, instruction: &Instruction) {
        let retired = &instruction.retired;
        let address = base.wrapping_add(retired.eip);
        let name = match names.near(address) {
            Some(near) if near.symbol.is_empty() => near.module.to_string(),
            Some(near) => format!("{}!{}", near.module, near.symbol),
            None => format!("{address:08x}"),
        };
        match self.flow.take() {
            None | Some(Flow::Deeper) => {
                self.pause();
                self.enter(name);
            }
            Some(Flow::Shallower) => {
                self.leave();
                // A return to another symbol than the one that called goes on there.
                match self.calls.last() {
                    Some(call) if call.name == name => {}
                    Some(_) => self.replace(name),
                    None => self.enter(name),
                }
            }
            Some(Flow::Along) => {
                if self.calls.last().is_some_and(|call| call.name != name) {
                    self.replace(name);
                }
            }
        }
        let clocks = retired.cycle.saturating_sub(self.previous_cycle);
        self.previous_cycle = retired.cycle;
        self.instructions += 1;
        self.clocks += clocks;
        let (flow, is_gate) = flow(instruction);
        if let Some(call) = self.calls.last_mut() {
            call.own += 1;
            call.since += 1;
            call.clocks += clocks;
            if is_gate {
                *self.gates.entry(call.name.clone()).or_default() += 1;
            }
        }
        self.flow = Some(flow);
    }

    fn enter(&mut self, name: String) {
        self.calls.push(Call {
            name,
            ..Call::default()
        });
    }

    /// Prints the current function's counts up to here, if there is something new.
    fn pause(&mut self) {
        let depth = self.calls.len().saturating_sub(1);
        if let Some(call) = self.calls.last_mut().filter(|call| call.since > 0) {
            call.since = 0;
            writeln!(
                self.out,
                "{:5} {:6} {:7} [{depth:3}] {:indent$}{}",
                call.own,
                call.below,
                call.clocks,
                "",
                call.name,
                indent = depth * 2
            )
            .unwrap();
        }
    }

    /// Takes the current function off and adds it up.
    fn finish(&mut self) {
        self.pause();
        let Some(call) = self.calls.pop() else {
            return;
        };
        let sum = self.sums.entry(call.name).or_default();
        sum.least = if sum.invocations == 0 {
            call.own
        } else {
            sum.least.min(call.own)
        };
        sum.most = sum.most.max(call.own);
        sum.invocations += 1;
        sum.total += call.own;
        sum.clocks += call.clocks;
        if let Some(parent) = self.calls.last_mut() {
            parent.below += call.own + call.below;
        }
    }

    fn leave(&mut self) {
        self.finish();
    }

    /// Another symbol at the same depth: a jump, or code that runs on.
    fn replace(&mut self, name: String) {
        self.finish();
        self.enter(name);
    }

    fn end(mut self) -> String {
        while !self.calls.is_empty() {
            self.finish();
        }
        let mut out = self.out;
        writeln!(
            out,
            "\n{} instructions were executed in {} clocks\n",
            self.instructions, self.clocks
        )
        .unwrap();
        writeln!(
            out,
            "{:<44} {:>11} {:>7} {:>7} {:>7} {:>8}",
            "Function Name", "Invocations", "MinInst", "MaxInst", "AvgInst", "Clocks"
        )
        .unwrap();
        for (name, sum) in &self.sums {
            writeln!(
                out,
                "{name:<44} {:>11} {:>7} {:>7} {:>7} {:>8}",
                sum.invocations,
                sum.least,
                sum.most,
                sum.total / sum.invocations,
                sum.clocks
            )
            .unwrap();
        }
        let gates: u64 = self.gates.values().sum();
        writeln!(out, "\n{gates} system calls were executed").unwrap();
        if gates > 0 {
            writeln!(out, "\nCalls  System Call").unwrap();
        }
        for (name, count) in &self.gates {
            writeln!(out, "{count:5}  {name}").unwrap();
        }
        out
    }
}

impl Debugger {
    /// `wt`: from a call instruction through what it calls, else up to the return of the current function.
    pub(super) fn watch_and_trace(&mut self, _: &str, _: &str) -> Outcome {
        let line = self.current();
        let start = self.debuggee.position();
        let registers = self.debuggee.registers();
        let (esp, base) = (registers.esp(), registers.base(spec::registers::CS));
        let is_call = line.instruction.mnemonic() == Mnemonic::Call;
        let returns = match is_call {
            true => line.next(),
            false => stack::walk(&self.names, &mut self.debuggee, 1)
                .first()
                .map_or(0, |frame| frame.return_address),
        };
        let place = self.names.text(line.address);
        writeln!(self.out, "Tracing {place} to return address {returns:08x}").unwrap();
        // What the way there prints comes behind the tree.
        let before = self.take_output();
        let arrived = if is_call {
            let next = line.next();
            self.run_to(&[Watch::Execute { linear: next }], &mut |debugger| {
                debugger.debuggee.registers().esp() >= esp
            })
        } else {
            self.run_up()
        };
        let arrived = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                self.out.insert_str(0, &before);
                return Err(error);
            }
        };
        let end = self.debuggee.position();
        let count = end.instructions - start.instructions;
        if count > INSTRUCTION_LIMIT {
            self.out.insert_str(0, &before);
            return Err(format!(
                "{count} instructions were executed; wt lists at most {INSTRUCTION_LIMIT}"
            ));
        }
        let mut tree = Tree {
            previous_cycle: start.cycle,
            ..Tree::default()
        };
        let mut instructions = Instructions::default();
        for retired in self.debuggee.retired_between(start, end) {
            if let Some(instruction) = instructions.push(&retired) {
                tree.push(&self.names, base, &instruction);
            }
        }
        self.out = format!("{before}{}\n{}", tree.end(), self.out);
        if arrived {
            self.print_position();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::names;
    use super::*;
    use crate::Retired;

    fn instruction(eip: u32, cycle: u64, code: &[u8]) -> Instruction {
        let mut retired = Retired {
            eip,
            cycle,
            mode: 13,
            length: code.len() as u8,
            first: true,
            last: true,
            ..Default::default()
        };
        retired.bytes[..code.len()].copy_from_slice(code);
        Instructions::default().push(&retired).unwrap()
    }

    #[test]
    fn calls_and_gates_go_deeper_and_returns_come_back() {
        let names = names();
        let mut tree = Tree {
            previous_cycle: 100,
            ..Tree::default()
        };
        for (eip, cycle, code) in [
            (0x77F0_5EB5, 101, &[0xBA, 0, 3, 0xFE, 0x7F][..]),
            (0x77F0_5EBA, 105, &[0xFF, 0x12]),
            (0x77F0_64F0, 107, &[0x8B, 0xD4]),
            (0x77F0_64F2, 110, &[0x0F, 0x34]),
            (0x8280_1EC0, 120, &[0x0F, 0x35]),
            (0x77F0_64F4, 125, &[0xC3]),
            (0x77F0_5EBC, 130, &[0xC2, 0x24, 0]),
        ] {
            tree.push(&names, 0, &instruction(eip, cycle, code));
        }
        let text = tree.end();
        let lines: Vec<&str> = text.lines().take(7).collect();
        assert_eq!(
            lines,
            [
                "    2      0       5 [  0] ntdll!ZwWriteFile",
                "    2      0       5 [  1]   ntdll!KiFastSystemCall",
                "    1      0      10 [  2]     nt!NtWriteFile",
                "    3      1      10 [  1]   ntdll!KiFastSystemCall",
                "    3      4      10 [  0] ntdll!ZwWriteFile",
                "",
                "7 instructions were executed in 30 clocks",
            ]
        );
        assert!(text.contains("1 system calls were executed"), "{text}");
    }
}
