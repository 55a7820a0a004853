//! A machine whose run can be stopped, looked at and gone back in.

use super::Registers;
use super::history::{Action, Checkpoint, History};
use crate::machine::{Machine, MachineError, Pipeline, Snapshot, Stop};
use crate::paging::Paging;
use crate::symbols::Symbols;
use spec::registers as number;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use verilator_sys::{self as raw, Retired, Status};

/// Clock cycles between two looks at the interrupt flag.
const SLICE_CYCLES: u64 = 50_000;

/// Bytes of a small page.
const PAGE_BYTES: u32 = 4096;

/// A place in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Clock cycles since reset.
    pub cycle: u64,
    /// Instructions completed since reset.
    pub instructions: u64,
}

/// Something to stop at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Before the instruction at this linear address. The others stop behind the instruction that does it.
    Execute {
        /// Linear address.
        linear: u32,
    },
    /// Memory is read.
    Read {
        /// Linear address.
        linear: u32,
        /// Bytes.
        size: u32,
    },
    /// Memory is written.
    Write {
        /// Linear address.
        linear: u32,
        /// Bytes.
        size: u32,
    },
    /// Memory is read or written.
    Access {
        /// Linear address.
        linear: u32,
        /// Bytes.
        size: u32,
    },
    /// A port is read or written.
    Port {
        /// The first port.
        port: u16,
        /// How many ports.
        size: u16,
    },
    /// A control register, an MSR or a part of a segment register is written.
    SystemWrite {
        /// Its number in `spec::registers`.
        number: u8,
    },
    /// An exception or interrupt is delivered: stops before its handler's first instruction.
    Vector {
        /// Which; `None` for any.
        vector: Option<u8>,
    },
    /// The privilege level changes.
    Ring,
}

impl Watch {
    fn raw(self) -> raw::Watch {
        let (kind, address, size) = match self {
            Self::Execute { linear } => (raw::WATCH_EXECUTE, linear, 1),
            Self::Read { linear, size } => (raw::WATCH_READ, linear, size),
            Self::Write { linear, size } => (raw::WATCH_WRITE, linear, size),
            Self::Access { linear, size } => (raw::WATCH_ACCESS, linear, size),
            Self::Port { port, size } => (raw::WATCH_PORT, port.into(), size.into()),
            Self::SystemWrite { number } => (raw::WATCH_SYSTEM, number.into(), 1),
            Self::Vector { vector } => (
                raw::WATCH_VECTOR,
                vector.unwrap_or(0).into(),
                vector.is_some().into(),
            ),
            Self::Ring => (raw::WATCH_RING, 0, 0),
        };
        raw::Watch {
            kind,
            address,
            size,
        }
    }
}

/// Why a movement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// These of the watches given were hit, by index.
    Watch(Vec<usize>),
    /// What was asked for has been done.
    Done,
    /// The guest wrote this value to the exit port.
    Exit(u32),
    /// HLT with interrupts off, and the UART has nothing left to send.
    Halted,
    /// The processor shut down (a fault while delivering a double fault).
    Shutdown,
    /// The guest asked for a reset.
    Reset,
    /// Nothing retired for a long time although the processor was not in HLT.
    Hung,
    /// There is nothing before this.
    Begin,
    /// The interrupt flag was set.
    Interrupted,
}

/// What the processor shows when it stands still.
struct Look {
    registers: Registers,
    /// Pages of RAM as they are once the retired stores have reached them.
    pages: HashMap<u32, Vec<u8>>,
}

/// What [`Debuggee::come_back`] needs.
struct Here {
    snapshot: Snapshot,
    instructions: u64,
    actions: usize,
    console: usize,
    wave_paused: bool,
}

/// A machine under a debugger: any position of its run can be looked at, and gone back to. Looking changes nothing,
/// not even timing: registers are read from a machine that is halted for it and put back.
pub struct Debuggee {
    machine: Machine,
    symbols: Arc<Symbols>,
    history: History,
    /// Actions done up to this position.
    actions: usize,
    /// What the guest has sent in all that has been run, and how much of it up to this position.
    console: Vec<u8>,
    console_here: usize,
    look: Option<Look>,
    interrupt: Arc<AtomicBool>,
}

impl Debuggee {
    /// Takes a machine that is loaded and runs it through its reset: the position then is the begin.
    pub fn new(mut machine: Machine, symbols: Arc<Symbols>) -> Self {
        machine.keep(false, false);
        if machine.status().instructions == 0 {
            machine.run_instructions(1, SLICE_CYCLES);
        }
        let mut console = machine.take_console();
        console.shrink_to_fit();
        let first = Checkpoint {
            position: position_of(&machine),
            actions: 0,
            console: console.len(),
            snapshot: machine.save(),
            kept: true,
        };
        Self {
            machine,
            symbols,
            history: History::new(first),
            actions: 0,
            console_here: console.len(),
            console,
            look: None,
            interrupt: Arc::default(),
        }
    }

    /// Names of the image's addresses.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Where the run is.
    pub fn position(&self) -> Position {
        position_of(&self.machine)
    }

    /// Where the run began.
    pub fn begin(&self) -> Position {
        self.history.begin()
    }

    /// Where the machine stands, as far as that needs no halt.
    pub fn status(&self) -> Status {
        self.machine.status()
    }

    /// Whether an instruction has completed in this very clock.
    pub fn between(&self) -> bool {
        let status = self.machine.status();
        status.completed == status.cycle
    }

    /// What the pipeline's stages hold in this clock.
    pub fn pipeline(&self) -> Pipeline {
        self.machine.pipeline()
    }

    /// All that the guest has sent on its serial line up to this position.
    pub fn console(&self) -> &[u8] {
        &self.console[..self.console_here]
    }

    /// The machine itself, for waveforms. Running it from here would leave the history without a part of the run.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Movements return [`Stopped::Interrupted`] soon after this flag is set; it is cleared then.
    pub fn set_interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }

    /// Does something that is not given up when the interrupt flag is set; the flag stays for what comes behind.
    pub fn undisturbed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let flag = std::mem::take(&mut self.interrupt);
        let result = work(self);
        self.interrupt = flag;
        result
    }

    // Looking.

    /// The registers as the last completed instruction left them, or the last repetition of a string instruction.
    pub fn registers(&mut self) -> &Registers {
        &self.look().registers
    }

    fn look(&mut self) -> &Look {
        if self.look.is_none() {
            self.look = Some(self.undisturbed(Self::halt_and_look));
        }
        self.look.as_ref().expect("set above")
    }

    fn halt_and_look(&mut self) -> Look {
        let here = self.leave();
        let instructions = here.instructions;
        let mut look = self.look_now(instructions);
        if look.is_none() {
            // In the middle of an instruction: halting would complete it. So from where it began.
            let before = |position: &Position| position.instructions < instructions.max(1);
            let checkpoint = self.history.last_where(before).clone();
            self.machine.restore(&checkpoint.snapshot);
            self.actions = checkpoint.actions;
            self.advance(Some(instructions), None, &[]);
            look = self.look_now(instructions);
        }
        self.come_back(here);
        look.expect("a processor between two instructions halts there")
    }

    /// Halts the machine and looks; `None` if it could not halt before the next instruction completed.
    fn look_now(&mut self, instructions: u64) -> Option<Look> {
        self.machine.debug_halt().ok()?;
        if self.machine.status().instructions != instructions {
            return None;
        }
        let machine = &mut self.machine;
        Some(Look {
            registers: Registers::gather(|number| machine.read_register(number)),
            pages: machine.written_pages().into_iter().collect(),
        })
    }

    /// Goes from here to where nothing counts, until [`Self::come_back`].
    fn leave(&mut self) -> Here {
        Here {
            snapshot: self.machine.save(),
            instructions: self.machine.status().instructions,
            actions: self.actions,
            console: self.console_here,
            wave_paused: self.machine.pause_wave(true),
        }
    }

    fn come_back(&mut self, here: Here) {
        self.machine.restore(&here.snapshot);
        self.machine.take_console();
        self.machine.take_posts();
        self.machine.take_debug_console();
        self.machine.pause_wave(here.wave_paused);
        self.actions = here.actions;
        self.console_here = here.console;
    }

    /// Bytes of RAM or ROM by physical address, with all retired stores.
    ///
    /// # Errors
    /// [`MachineError::Unmapped`] if the range is not all RAM or ROM.
    pub fn read_physical(&mut self, physical: u32, bytes: usize) -> Result<Vec<u8>, MachineError> {
        let mut read = self.machine.read_memory(physical, bytes)?;
        for (page, contents) in &self.look().pages {
            for (at, byte) in read.iter_mut().enumerate() {
                let address = physical.wrapping_add(at as u32);
                if let Some(settled) = contents.get(address.wrapping_sub(*page) as usize) {
                    *byte = *settled;
                }
            }
        }
        Ok(read)
    }

    /// Walks the page tables; `None` where a page is not present. Permissions are not looked at.
    ///
    /// SDM Vol. 3A, "32-Bit Paging".
    pub fn translate(&mut self, linear: u32) -> Option<u32> {
        let registers = self.registers();
        let paging = Paging {
            cr0: registers.cr0(),
            cr3: registers.cr3(),
            cr4: registers.cr4(),
        };
        paging.translate(linear, |physical| self.physical_u32(physical))
    }

    fn physical_u32(&mut self, physical: u32) -> Option<u32> {
        let bytes = self.read_physical(physical, 4).ok()?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Bytes by linear address; `None` where there is no page or no memory.
    pub fn read(&mut self, linear: u32, bytes: usize) -> Vec<Option<u8>> {
        let mut read = Vec::with_capacity(bytes);
        while read.len() < bytes {
            let address = linear.wrapping_add(read.len() as u32);
            let count = (bytes - read.len()).min((PAGE_BYTES - address % PAGE_BYTES) as usize);
            let page = self
                .translate(address)
                .and_then(|physical| self.read_physical(physical, count).ok());
            match page {
                Some(page) => read.extend(page.into_iter().map(Some)),
                None => read.resize(read.len() + count, None),
            }
        }
        read
    }

    /// Four bytes by linear address, little endian.
    pub fn read_u32(&mut self, linear: u32) -> Option<u32> {
        let bytes: Option<Vec<u8>> = self.read(linear, 4).into_iter().collect();
        Some(u32::from_le_bytes(bytes?.try_into().ok()?))
    }

    // Changing.

    /// Sends bytes to the guest's serial line from this position on.
    pub fn send_console(&mut self, bytes: &[u8]) {
        self.act(Action::Console(bytes.to_vec()))
            .expect("sending needs no halt");
    }

    /// Writes RAM by physical address. The processor stands for a few clocks, and forgets what it fetched.
    ///
    /// # Errors
    /// [`MachineError::Unmapped`] if the range is not all RAM; nothing is written then.
    pub fn write_physical(&mut self, physical: u32, bytes: &[u8]) -> Result<(), MachineError> {
        let end = u64::from(physical) + bytes.len() as u64;
        if end > self.machine.ram_bytes() as u64 {
            return Err(MachineError::Unmapped {
                physical,
                bytes: bytes.len(),
                expected: "RAM",
            });
        }
        self.act(Action::Memory(physical, bytes.to_vec()))
    }

    /// Writes RAM by linear address, as [`Self::write_physical`].
    ///
    /// # Errors
    /// [`MachineError::Unmapped`] naming the first address that has no page or no RAM; nothing is written then.
    pub fn write(&mut self, linear: u32, bytes: &[u8]) -> Result<(), MachineError> {
        let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            let address = linear.wrapping_add(at as u32);
            let unmapped = MachineError::Unmapped {
                physical: address,
                bytes: 1,
                expected: "RAM behind a page that is present",
            };
            let physical = self.translate(address).ok_or(unmapped)?;
            match pieces.last_mut() {
                Some((first, piece)) if first.wrapping_add(piece.len() as u32) == physical => {
                    piece.push(*byte);
                }
                _ => pieces.push((physical, vec![*byte])),
            }
        }
        pieces
            .into_iter()
            .try_for_each(|(physical, piece)| self.write_physical(physical, &piece))
    }

    /// Writes a register by its number in `spec::registers`. The processor stands for a few clocks.
    ///
    /// # Errors
    /// [`MachineError::NotHalted`] if the processor could not be halted for it.
    pub fn write_register(&mut self, number: u8, value: u32) -> Result<(), MachineError> {
        self.act(Action::Register(number, value))
    }

    fn act(&mut self, action: Action) -> Result<(), MachineError> {
        self.console.truncate(self.console_here);
        self.history
            .act(self.actions, self.position().cycle, action.clone());
        self.perform(&action)
    }

    /// Does an action to the machine, now or when the run comes by it again.
    fn perform(&mut self, action: &Action) -> Result<(), MachineError> {
        self.look = None;
        self.actions += 1;
        let machine = &mut self.machine;
        match action {
            Action::Console(bytes) => machine.send_console(bytes),
            Action::Memory(physical, bytes) => {
                machine.debug_halt()?;
                machine.write_memory(*physical, bytes)?;
                machine.invalidate();
                machine.resume();
            }
            Action::Register(register, value) => {
                machine.debug_halt()?;
                machine.write_register(*register, *value);
                if matches!(*register, number::CR0..=number::CR4) {
                    machine.invalidate();
                }
                machine.resume();
            }
        }
        self.hear();
        Ok(())
    }

    /// Takes what the guest has sent since the last time.
    fn hear(&mut self) {
        let sent = self.machine.take_console();
        let known = (self.console.len() - self.console_here).min(sent.len());
        self.console.extend_from_slice(&sent[known..]);
        self.console_here += sent.len();
    }

    // Moving.

    /// Keeps this position as a checkpoint for the whole session.
    pub fn checkpoint(&mut self) {
        self.add_checkpoint(true);
    }

    fn add_checkpoint(&mut self, kept: bool) {
        let checkpoint = Checkpoint {
            position: self.position(),
            actions: self.actions,
            console: self.console_here,
            snapshot: self.machine.save(),
            kept,
        };
        self.history.add(checkpoint);
    }

    fn restore(&mut self, checkpoint: &Checkpoint) {
        self.look = None;
        self.machine.restore(&checkpoint.snapshot);
        self.machine.take_console();
        self.actions = checkpoint.actions;
        self.console_here = checkpoint.console;
    }

    /// Runs forward to whichever comes first: so many instructions since reset, a cycle, or a watch. What was done from
    /// outside on the way is done again.
    fn advance(
        &mut self,
        instructions: Option<u64>,
        cycle: Option<u64>,
        watches: &[Watch],
    ) -> Stopped {
        self.look = None;
        let watches: Vec<raw::Watch> = watches.iter().map(|watch| watch.raw()).collect();
        self.machine.set_watches(&watches);
        loop {
            let here = self.position();
            if instructions.is_some_and(|limit| here.instructions >= limit)
                || cycle.is_some_and(|limit| here.cycle >= limit)
            {
                return Stopped::Done;
            }
            if self.interrupt.swap(false, Ordering::Relaxed) {
                return Stopped::Interrupted;
            }
            let mut end = (here.cycle + SLICE_CYCLES).min(cycle.unwrap_or(u64::MAX));
            match self.history.action(self.actions).cloned() {
                Some((at, action)) if at <= here.cycle => {
                    if self.perform(&action).is_err() {
                        return Stopped::Shutdown;
                    }
                    continue;
                }
                Some((at, _)) => end = end.min(at),
                None => {}
            }
            // Checkpoints stand between two instructions, so that a watch sees whole ones.
            let due = self.history.due(here.cycle);
            let mut limit = instructions.unwrap_or(u64::MAX);
            let checkpoint_next = here.cycle >= due;
            if checkpoint_next {
                limit = limit.min(here.instructions + 1);
            } else {
                end = end.min(due);
            }
            let stop = self
                .machine
                .run_instructions(limit - here.instructions, end - here.cycle);
            self.hear();
            self.machine.take_posts();
            self.machine.take_debug_console();
            let halted = self.machine.status().halted;
            if checkpoint_next && (stop == Stop::Instructions || halted) {
                self.add_checkpoint(false);
            }
            return match stop {
                Stop::Cycles | Stop::Instructions | Stop::Breakpoint | Stop::DebugHalted => {
                    continue;
                }
                Stop::Watch => {
                    let hit = self.machine.watches_hit();
                    Stopped::Watch((0..64).filter(|bit| hit >> bit & 1 != 0).collect())
                }
                Stop::Exit(value) => Stopped::Exit(value),
                Stop::Halted => Stopped::Halted,
                Stop::Shutdown => Stopped::Shutdown,
                Stop::Hung => Stopped::Hung,
                Stop::Reset => Stopped::Reset,
                Stop::Memory => panic!("{}", self.machine.memory_fault()),
            };
        }
    }

    /// Runs to a watch (at most 64 of them), at most `max_cycles` clock cycles.
    pub fn run(&mut self, watches: &[Watch], max_cycles: u64) -> Stopped {
        let end = self.position().cycle.saturating_add(max_cycles);
        self.advance(None, Some(end), watches)
    }

    /// Completes so many instructions. An exception or interrupt and the routine that enters its handler are one.
    pub fn step(&mut self, instructions: u64) -> Stopped {
        let end = self.position().instructions.saturating_add(instructions);
        self.advance(Some(end), None, &[])
    }

    /// Completes one instruction, as [`Self::step`], and says which of `watches` (at most 64) it hit.
    pub fn step_watching(&mut self, watches: &[Watch]) -> Stopped {
        let end = self.position().instructions.saturating_add(1);
        self.advance(Some(end), None, watches)
    }

    /// Runs so many clock cycles.
    pub fn step_cycles(&mut self, cycles: u64) -> Stopped {
        let end = self.position().cycle.saturating_add(cycles);
        self.advance(None, Some(end), &[])
    }

    /// Goes back (or on) to where `instructions` had just completed since reset.
    pub fn go_to_instruction(&mut self, instructions: u64) -> Stopped {
        let here = self.position();
        let begin = self.begin().instructions;
        if instructions <= begin {
            let first = self.history.last_where(|_| false).clone();
            self.restore(&first);
            return if instructions == begin {
                Stopped::Done
            } else {
                Stopped::Begin
            };
        }
        let back = instructions < here.instructions
            || (instructions == here.instructions && !self.between());
        self.restore_nearest(back, |position| position.instructions < instructions);
        self.advance(Some(instructions), None, &[])
    }

    /// Goes to the last checkpoint for which `before` holds, if that is back from here or on.
    fn restore_nearest(&mut self, back: bool, before: impl Fn(&Position) -> bool) {
        let checkpoint = self.history.last_where(before);
        if back || checkpoint.position.cycle > self.position().cycle {
            let checkpoint = checkpoint.clone();
            self.restore(&checkpoint);
        }
    }

    /// Goes back (or on) to a clock cycle since reset.
    pub fn go_to_cycle(&mut self, cycle: u64) -> Stopped {
        if cycle < self.begin().cycle {
            let first = self.history.last_where(|_| false).clone();
            self.restore(&first);
            return Stopped::Begin;
        }
        let back = cycle < self.position().cycle;
        self.restore_nearest(back, |position| position.cycle <= cycle);
        self.advance(None, Some(cycle), &[])
    }

    /// Goes back so many instructions; from within one, its begin is the first.
    pub fn step_back(&mut self, instructions: u64) -> Stopped {
        let here = self.position().instructions + u64::from(!self.between());
        match here.checked_sub(instructions) {
            Some(target) => self.go_to_instruction(target),
            None => self.go_to_instruction(0),
        }
    }

    /// Goes back so many clock cycles.
    pub fn step_back_cycles(&mut self, cycles: u64) -> Stopped {
        match self.position().cycle.checked_sub(cycles) {
            Some(target) => self.go_to_cycle(target),
            None => self.go_to_cycle(0),
        }
    }

    /// Goes back to the last position before this one at which [`Self::run`] would have stopped for a watch.
    pub fn back(&mut self, watches: &[Watch]) -> Stopped {
        let mut limit = self.position().cycle.saturating_sub(1);
        while limit > self.begin().cycle {
            let checkpoint = self
                .history
                .last_where(|position| position.cycle < limit)
                .clone();
            self.restore(&checkpoint);
            let mut last = None;
            loop {
                match self.advance(None, Some(limit), watches) {
                    Stopped::Watch(hit) => last = Some((self.position().cycle, hit)),
                    Stopped::Interrupted => return Stopped::Interrupted,
                    Stopped::Done => break,
                    // What ends a run forward ends nothing here.
                    _ => {}
                }
            }
            if let Some((cycle, hit)) = last {
                self.go_to_cycle(cycle);
                return Stopped::Watch(hit);
            }
            // A stop in the very clock of the checkpoint is found from the one before it.
            limit = checkpoint.position.cycle;
        }
        let first = self.history.last_where(|_| false).clone();
        self.restore(&first);
        Stopped::Begin
    }

    // What has happened.

    /// The micro-ops that retired behind `from` and up to `to`, in order. The position stays.
    pub fn retired_between(&mut self, from: Position, to: Position) -> Vec<Retired> {
        self.undisturbed(|debuggee| debuggee.replay_between(from, to))
    }

    fn replay_between(&mut self, from: Position, to: Position) -> Vec<Retired> {
        let here = self.leave();
        let look = self.look.take();
        self.go_to_cycle(from.cycle);
        self.machine.keep(true, false);
        self.machine.drain_retired();
        self.advance(None, Some(to.cycle), &[]);
        let retired = self.machine.drain_retired();
        self.machine.keep(false, false);
        self.come_back(here);
        self.look = look;
        retired
    }

    /// The last micro-ops that retired up to here, at most `count`, the newest last.
    pub fn last_retired(&mut self, count: usize) -> Vec<Retired> {
        let here = self.position();
        let mut from = here.cycle;
        loop {
            let begin = self
                .history
                .last_where(|position| position.cycle < from)
                .position;
            from = begin.cycle.min(from);
            let mut retired = self.retired_between(begin, here);
            if retired.len() >= count || from <= self.begin().cycle {
                retired.drain(..retired.len().saturating_sub(count));
                return retired;
            }
        }
    }
}

fn position_of(machine: &Machine) -> Position {
    let status = machine.status();
    Position {
        cycle: status.cycle,
        instructions: status.instructions,
    }
}
