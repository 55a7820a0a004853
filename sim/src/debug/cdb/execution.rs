//! Going: `g gu t p tc pc tt pt ring`, and back: `g- t- p-`, `.goto`.

use super::disassembly::{Disassembler, Line};
use super::{Debugger, Outcome, stack};
use crate::debug::{Stopped, Watch};
use iced_x86::{FlowControl, Mnemonic};
use spec::registers;

/// Watches that the machine has at once.
const WATCH_LIMIT: usize = 64;

/// Instructions that `tc` and its like pass at most.
const SEARCH_LIMIT: u64 = 10_000_000;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    /// It met a breakpoint, which has been named.
    Breakpoint,
    /// Something else stopped it, which has been printed.
    Stopped,
}

impl Debugger {
    /// Runs to a watch of `extra` that `accept` likes (true), or to another stop, which it prints (false).
    pub(super) fn run_to(
        &mut self,
        extra: &[Watch],
        accept: &mut dyn FnMut(&mut Self) -> bool,
    ) -> Result<bool, String> {
        loop {
            let (watches, numbers) = self.all_watches(extra)?;
            let stopped = self.debuggee.run(&watches, u64::MAX);
            self.show_console();
            let Stopped::Watch(hit) = stopped else {
                self.report(&stopped);
                return Ok(false);
            };
            let (ours, theirs): (Vec<usize>, Vec<usize>) =
                hit.into_iter().partition(|index| *index < extra.len());
            if !ours.is_empty() && accept(self) {
                return Ok(true);
            }
            let hit: Vec<usize> = theirs
                .into_iter()
                .map(|index| numbers[index - extra.len()])
                .collect();
            if self.breakpoints_stop(&hit) {
                return Ok(false);
            }
            if self.quit {
                return Ok(false);
            }
        }
    }

    fn all_watches(&self, extra: &[Watch]) -> Result<(Vec<Watch>, Vec<usize>), String> {
        let (breakpoints, numbers) = self.watches();
        let watches = [extra, &breakpoints].concat();
        if watches.len() > WATCH_LIMIT {
            return Err(format!(
                "There are {} breakpoints enabled; the machine has {WATCH_LIMIT}",
                watches.len()
            ));
        }
        Ok((watches, numbers))
    }

    /// Prints what the guest has sent since the last time.
    pub(super) fn show_console(&mut self) {
        let sent = self.debuggee.console();
        if let Some(new) = sent.get(self.console_shown..).filter(|new| !new.is_empty()) {
            let text = String::from_utf8_lossy(new).replace('\r', "");
            self.console_shown = sent.len();
            self.out.push_str(&text);
            if !self.out.ends_with('\n') {
                self.out.push('\n');
            }
        }
    }

    /// Prints why a movement ended, and where.
    fn report(&mut self, stopped: &Stopped) {
        self.print_reason(stopped);
        self.print_position();
    }

    /// Prints why a movement ended, if that is not what was asked for.
    pub(super) fn print_reason(&mut self, stopped: &Stopped) {
        let reason = match stopped {
            Stopped::Watch(_) | Stopped::Done => None,
            Stopped::Exit(value) => Some(format!("The guest wrote {value:x} to the exit port.")),
            Stopped::Halted => Some("The guest has halted with interrupts off.".into()),
            Stopped::Shutdown => Some(
                "The processor has shut down: a fault while a double fault was delivered.".into(),
            ),
            Stopped::Reset => Some("The guest asked for a reset; there is none.".into()),
            Stopped::Hung => Some("The processor hangs: nothing retires; try why.".into()),
            Stopped::Begin => Some("This is the begin of the run.".into()),
            Stopped::Interrupted => Some("Interrupted.".into()),
        };
        if let Some(reason) = reason {
            self.line(reason);
        }
    }

    /// The instruction that comes next.
    pub(super) fn current(&mut self) -> Line {
        let address = self.eip();
        Disassembler::new(&self.names, &mut self.debuggee).at(&mut self.debuggee, address)
    }

    /// `g [address]`, `gc`.
    pub(super) fn go(&mut self, _: &str, arguments: &str) -> Outcome {
        if self.depth > 0 {
            self.go_on = true;
            return Ok(());
        }
        let extra: Vec<Watch> = match arguments {
            "" => Vec::new(),
            _ => vec![Watch::Execute {
                linear: self.address(arguments)?,
            }],
        };
        if self.run_to(&extra, &mut |_| true)? {
            self.print_position();
        }
        Ok(())
    }

    /// `gu`: until the current function has returned.
    pub(super) fn go_up(&mut self, _: &str, _: &str) -> Outcome {
        if self.run_up()? {
            self.print_position();
        }
        Ok(())
    }

    /// Runs until the current function has returned; false if something else stopped it, which has been printed.
    pub(super) fn run_up(&mut self) -> Result<bool, String> {
        let frames = stack::walk(&self.names, &mut self.debuggee, 2);
        let frame = frames
            .first()
            .filter(|frame| frame.is_valid)
            .ok_or("The current function's return address is not known")?;
        let (linear, slot) = (frame.return_address, frame.child_ebp.wrapping_add(4));
        let ring = self.debuggee.registers().cpl();
        self.run_to(&[Watch::Execute { linear }], &mut |debugger| {
            let registers = debugger.debuggee.registers();
            registers.cpl() != ring || registers.esp() > slot
        })
    }

    /// Completes one instruction, over calls if asked.
    fn advance(&mut self, over: bool) -> Result<Step, String> {
        let line = self.current();
        let registers = self.debuggee.registers();
        let (esp, ring) = (registers.esp(), registers.cpl());
        let next = line.next();
        if over {
            let enters = match line.instruction.flow_control() {
                FlowControl::Call if line.instruction.mnemonic() != Mnemonic::Call => {
                    // SYSENTER: until the ring is the same again.
                    let arrived = self.run_to(&[Watch::Ring], &mut |debugger| {
                        debugger.debuggee.registers().cpl() >= ring
                    })?;
                    return Ok(if arrived { Step::Done } else { Step::Stopped });
                }
                FlowControl::Call | FlowControl::IndirectCall | FlowControl::Interrupt => true,
                _ => false,
            };
            if enters {
                let arrived = self.run_to(&[Watch::Execute { linear: next }], &mut |debugger| {
                    let registers = debugger.debuggee.registers();
                    registers.cpl() == ring && registers.esp() >= esp
                })?;
                return Ok(if arrived { Step::Done } else { Step::Stopped });
            }
        }
        let (watches, numbers) = self.all_watches(&[])?;
        let stopped = self.debuggee.step_watching(&watches);
        self.show_console();
        match stopped {
            Stopped::Done => Ok(Step::Done),
            Stopped::Watch(hit) => {
                let mut numbers = hit.iter().map(|index| numbers[*index]);
                match numbers.find(|number| self.condition_holds(*number)) {
                    Some(number) => {
                        self.line(format!("Breakpoint {number} hit"));
                        Ok(Step::Breakpoint)
                    }
                    None => Ok(Step::Done),
                }
            }
            other => {
                self.report(&other);
                Ok(Step::Stopped)
            }
        }
    }

    /// `t [count]` and `p [count]`: each step is shown.
    pub(super) fn step(&mut self, name: &str, arguments: &str) -> Outcome {
        let count = self.count(arguments)?;
        for _ in 0..count {
            let step = self.advance(name == "p")?;
            if step != Step::Stopped {
                self.print_position();
            }
            if step != Step::Done {
                break;
            }
        }
        Ok(())
    }

    /// `tc`, `pc` (to the next call), `tt`, `pt` (to the next return).
    pub(super) fn step_until(&mut self, name: &str, arguments: &str) -> Outcome {
        let count = self.count(arguments)?;
        for _ in 0..count {
            let mut steps = 0;
            loop {
                match self.advance(name.starts_with('p'))? {
                    Step::Done => {}
                    Step::Breakpoint => {
                        self.print_position();
                        return Ok(());
                    }
                    Step::Stopped => return Ok(()),
                }
                let instruction = self.current().instruction;
                let found = match name.as_bytes()[1] {
                    b'c' => instruction.mnemonic() == Mnemonic::Call,
                    _ => instruction.flow_control() == FlowControl::Return,
                };
                if found {
                    break;
                }
                steps += 1;
                if steps == SEARCH_LIMIT {
                    return Err(format!("None within {SEARCH_LIMIT} instructions"));
                }
            }
            self.print_position();
        }
        Ok(())
    }

    /// `ring`: to the next change of the privilege level.
    pub(super) fn next_ring(&mut self, _: &str, _: &str) -> Outcome {
        let from = self.debuggee.registers().cpl();
        if self.run_to(&[Watch::Ring], &mut |_| true)? {
            let to = self.debuggee.registers().cpl();
            self.line(format!("Ring {from} -> {to}"));
            self.print_position();
        }
        Ok(())
    }

    /// `t- [count]`.
    pub(super) fn step_back(&mut self, _: &str, arguments: &str) -> Outcome {
        let count = self.count(arguments)?;
        let stopped = self.debuggee.step_back(count);
        self.report(&stopped);
        Ok(())
    }

    /// `p- [count]`: back, over what the instruction before had called.
    pub(super) fn step_back_over(&mut self, _: &str, arguments: &str) -> Outcome {
        for _ in 0..self.count(arguments)? {
            let before = self.debuggee.registers();
            let (esp, ring, address) = (before.esp(), before.cpl(), before.linear_eip());
            let stopped = self.debuggee.step_back(1);
            if stopped != Stopped::Done {
                self.report(&stopped);
                return Ok(());
            }
            if self.current().instruction.flow_control() == FlowControl::Return {
                self.back_to_call(address, esp, ring)?;
            }
        }
        self.print_position();
        Ok(())
    }

    /// From a return back to the call whose next instruction is at `address`.
    fn back_to_call(&mut self, address: u32, esp: u32, ring: u8) -> Outcome {
        if self.debuggee.registers().cpl() != ring {
            // From ring 0: to where it was entered, then to the instruction that did it.
            let stopped = self.debuggee.back(&[Watch::Ring]);
            return match stopped {
                Stopped::Watch(_) => {
                    self.debuggee.step_back(1);
                    Ok(())
                }
                _ => Err("The begin of the run".into()),
            };
        }
        let chain = super::disassembly::before(&self.names, &mut self.debuggee, address, 1);
        let Some(call) = chain.last() else {
            return Ok(());
        };
        loop {
            match self.debuggee.back(&[Watch::Execute { linear: *call }]) {
                Stopped::Watch(_) if self.debuggee.registers().esp() <= esp => return Ok(()),
                Stopped::Watch(_) => {}
                other => {
                    self.report(&other);
                    return Err("There was no call".into());
                }
            }
        }
    }

    /// `g- [address]`: back to the last stop before this.
    pub(super) fn go_back(&mut self, _: &str, arguments: &str) -> Outcome {
        let extra: Vec<Watch> = match arguments {
            "" => Vec::new(),
            _ => vec![Watch::Execute {
                linear: self.address(arguments)?,
            }],
        };
        loop {
            let (watches, numbers) = self.all_watches(&extra)?;
            let Stopped::Watch(hit) = self.debuggee.back(&watches) else {
                self.report(&Stopped::Begin);
                return Ok(());
            };
            if hit.iter().any(|index| *index < extra.len()) {
                break;
            }
            let number = hit.iter().map(|index| numbers[index - extra.len()]);
            let stops = number
                .into_iter()
                .find(|number| self.condition_holds(*number));
            if let Some(number) = stops {
                self.line(format!("Breakpoint {number} hit"));
                break;
            }
        }
        self.print_position();
        Ok(())
    }

    /// `.position`, and `.goto INSTRUCTION` or `.goto c CYCLE`, both decimal as in the logs.
    pub(super) fn go_to(&mut self, _: &str, arguments: &str) -> Outcome {
        let (by_cycle, number) = match arguments.strip_prefix("c ") {
            Some(number) => (true, number.trim()),
            None => (false, arguments),
        };
        let digits = number.strip_prefix("0n").unwrap_or(number);
        let number: u64 = digits.parse().map_err(|_| {
            format!("Syntax error in '{arguments}': .goto takes an instruction's number, or c and a clock cycle, in decimal")
        })?;
        let stopped = if by_cycle {
            self.debuggee.go_to_cycle(number)
        } else {
            self.debuggee.go_to_instruction(number)
        };
        self.show_console();
        self.report(&stopped);
        self.show_time("", "")
    }

    /// `.time`: where in the run this is.
    pub(super) fn show_time(&mut self, _: &str, _: &str) -> Outcome {
        let position = self.debuggee.position();
        self.line(format!(
            "Instruction {}, clock cycle {}",
            position.instructions, position.cycle
        ));
        Ok(())
    }
}

/// The register that holds the kernel's entry for SYSENTER.
pub const SYSENTER_EIP: u8 = registers::SYSENTER_EIP;
