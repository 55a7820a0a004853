//! The debugged machine in gdb's terms: registers and memory, breakpoints and watchpoints, movements both ways.

use super::arch::{Ia32, Number, REGISTERS, Source, TARGET_XML, Values};
use super::monitor;
use crate::debug::{Debuggee, Position, Stopped, Watch};
use crate::machine::MachineError;
use gdbstub::common::{Pid, Signal};
use gdbstub::stub::SingleThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::reverse_exec::{
    ReplayLogPosition, ReverseCont, ReverseContOps, ReverseStep, ReverseStepOps,
};
use gdbstub::target::ext::base::single_register_access::{
    SingleRegisterAccess, SingleRegisterAccessOps,
};
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::exec_file::{ExecFile, ExecFileOps};
use gdbstub::target::ext::host_io::{
    FsKind, HostIo, HostIoClose, HostIoCloseOps, HostIoErrno, HostIoError, HostIoFstat,
    HostIoFstatOps, HostIoOpen, HostIoOpenFlags, HostIoOpenMode, HostIoOpenOps, HostIoOps,
    HostIoPread, HostIoPreadOps, HostIoResult, HostIoSetfs, HostIoSetfsOps, HostIoStat,
};
use gdbstub::target::ext::memory_map::{MemoryMap, MemoryMapOps};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use spec::registers;
use std::convert::Infallible;

/// Bytes of the longest packet, in either direction.
pub const PACKET_BYTES: usize = 0x8000;

/// Breakpoints, watchpoints and stops that can be set at one time.
pub const POINTS: usize = 64;

/// The name under which gdb fetches the symbol file from here.
pub const SYMBOL_FILE: &str = "/sysgate.elf";

/// Clock cycles that a movement runs before it looks whether gdb has sent something.
const SLICE_CYCLES: u64 = 50_000;

/// Errors that gdb is given: numbers of errno.
mod errno {
    pub const PERMISSION: u8 = 1;
    pub const TOO_LONG: u8 = 7;
    pub const FAULT: u8 = 14;
    pub const INVALID: u8 = 22;
}

/// Something that gdb set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Software(u32),
    Hardware(u32),
    Data {
        linear: u32,
        size: u32,
        kind: WatchKind,
    },
}

impl Point {
    fn watch(self) -> Watch {
        match self {
            Self::Software(linear) | Self::Hardware(linear) => Watch::Execute { linear },
            Self::Data { linear, size, kind } => match kind {
                WatchKind::Write => Watch::Write { linear, size },
                WatchKind::Read => Watch::Read { linear, size },
                WatchKind::ReadWrite => Watch::Access { linear, size },
            },
        }
    }
}

/// A movement that gdb has asked for and waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Movement {
    Step,
    Continue,
    StepBack,
    ContinueBack,
}

/// Why a movement ended: for gdb, and what its user should be told besides.
pub struct Report {
    /// gdb's reason.
    pub reason: SingleThreadStopReason<u32>,
    /// A line of text.
    pub message: Option<String>,
}

impl Report {
    fn new(reason: SingleThreadStopReason<u32>) -> Self {
        Self {
            reason,
            message: None,
        }
    }

    fn step() -> Self {
        Self::new(SingleThreadStopReason::DoneStep)
    }

    fn begin() -> Self {
        Self {
            reason: SingleThreadStopReason::ReplayLog {
                tid: None,
                pos: ReplayLogPosition::Begin,
            },
            message: Some("this is where the run began".into()),
        }
    }
}

/// A machine that gdb looks into.
pub struct Guest {
    pub(super) debuggee: Debuggee,
    points: Vec<Point>,
    /// What `monitor stop` asked for, with its text.
    pub(super) stops: Vec<(Watch, String)>,
    movement: Option<Movement>,
    symbol_file: Vec<u8>,
    /// Bytes of the guest's console that have been shown.
    shown: usize,
    /// Whether somebody waits for an interrupted movement to be given up.
    is_called: Box<dyn Fn() -> bool + Send>,
}

impl Guest {
    /// `symbol_file` is what gdb gets as the program's file; empty for none.
    pub fn new(debuggee: Debuggee, symbol_file: Vec<u8>) -> Self {
        Self {
            debuggee,
            points: Vec::new(),
            stops: Vec::new(),
            movement: None,
            symbol_file,
            shown: 0,
            is_called: Box::new(|| true),
        }
    }

    /// How to find out whether an interrupted movement should be given up: its flag may be set late, for what is done already.
    pub(super) fn set_is_called(&mut self, is_called: impl Fn() -> bool + Send + 'static) {
        self.is_called = Box::new(is_called);
    }

    /// Does a movement that can be begun again, until it ends otherwise than by an interrupt that nobody waits for.
    pub(super) fn insist(&mut self, mut movement: impl FnMut(&mut Debuggee) -> Stopped) -> Stopped {
        loop {
            let stopped = movement(&mut self.debuggee);
            if stopped != Stopped::Interrupted || (self.is_called)() {
                return stopped;
            }
        }
    }

    /// Forgets what one debugger set, before the next comes. The machine stays as it is.
    pub fn forget(&mut self) {
        self.points.clear();
        self.stops.clear();
        self.movement = None;
    }

    /// gdb has interrupted the movement.
    pub fn interrupt(&mut self) {
        self.movement = None;
    }

    /// What the guest has sent on its serial line and has not been shown yet. What it sends again after going back is not new.
    pub fn take_console(&mut self) -> Vec<u8> {
        let console = self.debuggee.console();
        let new = console.get(self.shown..).unwrap_or_default().to_vec();
        self.shown = self.shown.max(console.len());
        new
    }

    /// Address, symbol, ring, cycle and instruction, on one line.
    pub fn place(&mut self) -> String {
        let Position {
            cycle,
            instructions,
        } = self.debuggee.position();
        let registers = self.debuggee.registers();
        let (linear, ring) = (registers.linear_eip(), registers.cpl());
        let symbol = self.debuggee.symbols().at(linear);
        let symbol = if symbol.module.is_some() {
            format!(" {symbol}")
        } else {
            String::new()
        };
        format!("{linear:08x}{symbol}, ring {ring}, cycle {cycle}, instruction {instructions}")
    }

    /// All watches: gdb's points, then the stops.
    fn watches(&self) -> Vec<Watch> {
        let points = self.points.iter().map(|point| point.watch());
        points
            .chain(self.stops.iter().map(|(watch, _)| *watch))
            .collect()
    }

    /// Goes on with the movement; `None` if it has not come to its end yet.
    pub fn advance(&mut self) -> Option<Report> {
        let report = match self.movement? {
            Movement::Step => self.step(),
            Movement::Continue => {
                let watches = self.watches();
                match self.debuggee.run(&watches, SLICE_CYCLES) {
                    Stopped::Done | Stopped::Interrupted => None,
                    Stopped::Watch(hit) => Some(self.hit(&hit)),
                    other => Some(self.end(&other)),
                }
            }
            Movement::StepBack => Some(self.step_back()),
            Movement::ContinueBack => self.continue_back(),
        };
        if report.is_some() {
            self.movement = None;
        }
        report
    }

    fn step(&mut self) -> Option<Report> {
        let (indices, watches) = self.effects();
        match self.debuggee.step_watching(&watches) {
            // In HLT an instruction can last.
            Stopped::Interrupted => None,
            Stopped::Watch(hit) => {
                let hit: Vec<usize> = hit.into_iter().map(|hit| indices[hit]).collect();
                Some(self.hit(&hit))
            }
            Stopped::Done => Some(Report::step()),
            other => Some(self.end(&other)),
        }
    }

    /// Goes to the begin of the instruction before this position; false if there is none.
    fn back_one(&mut self) -> bool {
        let from = self.debuggee.position();
        self.debuggee.undisturbed(|debuggee| debuggee.step_back(1));
        self.debuggee.position() != from
    }

    fn step_back(&mut self) -> Report {
        if !self.back_one() {
            return Report::begin();
        }
        let hit = self.hit_ahead();
        hit.map_or_else(Report::step, |hit| self.hit(&hit))
    }

    /// gdb expects to be before the instruction that did what a watchpoint waits for, so that it sees the old value.
    fn continue_back(&mut self) -> Option<Report> {
        let from = self.debuggee.position();
        let watches = self.watches();
        let return_to_it = |debuggee: &mut Debuggee| debuggee.go_to_cycle(from.cycle);
        let is_before = |index: &usize| matches!(watches[*index], Watch::Execute { .. });
        if !(0..watches.len()).all(|index| is_before(&index)) {
            // What the instruction just before did is undone first; its stop would be here.
            if !self.back_one() {
                return Some(Report::begin());
            }
            if let Some(hit) = self.hit_ahead() {
                return Some(self.hit(&hit));
            }
            self.debuggee.undisturbed(return_to_it);
        }
        let stopped = loop {
            let stopped = self.debuggee.back(&watches);
            if stopped != Stopped::Interrupted {
                break stopped;
            }
            self.debuggee.undisturbed(return_to_it);
            if (self.is_called)() {
                return None;
            }
        };
        match stopped {
            Stopped::Watch(hit) => {
                let at: Vec<usize> = hit.iter().copied().filter(is_before).collect();
                if !at.is_empty() {
                    return Some(self.hit(&at));
                }
                self.back_one();
                Some(self.hit(&hit))
            }
            _ => Some(Report::begin()),
        }
    }

    /// The watches that are not breakpoints, with their indices in all.
    fn effects(&self) -> (Vec<usize>, Vec<Watch>) {
        let is_effect = |watch: &Watch| !matches!(watch, Watch::Execute { .. });
        let all = self.watches().into_iter().enumerate();
        all.filter(|(_, watch)| is_effect(watch)).unzip()
    }

    /// Which watches, breakpoints aside, the next instruction hits. The position stays.
    fn hit_ahead(&mut self) -> Option<Vec<usize>> {
        let (indices, watches) = self.effects();
        if watches.is_empty() {
            return None;
        }
        let here = self.debuggee.position();
        let stopped = self.debuggee.undisturbed(|debuggee| {
            let stopped = debuggee.step_watching(&watches);
            debuggee.go_to_instruction(here.instructions);
            stopped
        });
        match stopped {
            Stopped::Watch(hit) => Some(hit.into_iter().map(|hit| indices[hit]).collect()),
            _ => None,
        }
    }

    /// The report of a stop at these watches.
    fn hit(&mut self, hit: &[usize]) -> Report {
        let points = hit.iter().filter_map(|index| self.points.get(*index));
        // What was read or written tells more than where the processor is.
        let point = points
            .max_by_key(|point| matches!(point, Point::Data { .. }))
            .copied();
        let stops = hit
            .iter()
            .filter_map(|index| self.stops.get(index.checked_sub(self.points.len())?))
            .map(|(_, text)| text.as_str());
        let stops = stops.collect::<Vec<_>>().join(", ");
        let reason = match point {
            Some(Point::Data { linear, kind, .. }) => SingleThreadStopReason::Watch {
                tid: (),
                kind,
                addr: linear,
            },
            Some(Point::Hardware(_)) => SingleThreadStopReason::HwBreak(()),
            Some(Point::Software(_)) => SingleThreadStopReason::SwBreak(()),
            None => SingleThreadStopReason::Signal(Signal::SIGTRAP),
        };
        let message =
            (!stops.is_empty()).then(|| format!("stopped for {stops} at {}", self.place()));
        Report { reason, message }
    }

    /// The report of the guest's end. It is still there, and can go back.
    fn end(&mut self, stopped: &Stopped) -> Report {
        let (signal, what) = match stopped {
            Stopped::Exit(value) => (None, format!("the guest wrote {value:#x} to the exit port")),
            Stopped::Halted => (None, "the guest halted with interrupts off".into()),
            Stopped::Shutdown => (Some(Signal::SIGABRT), "the guest shut down".into()),
            Stopped::Reset => (None, "the guest asked for a reset".into()),
            Stopped::Hung => (
                Some(Signal::SIGXCPU),
                "nothing retires any more: the guest hangs".into(),
            ),
            Stopped::Begin => return Report::begin(),
            Stopped::Watch(_) | Stopped::Done | Stopped::Interrupted => return Report::step(),
        };
        let reason = signal.map_or(
            SingleThreadStopReason::ReplayLog {
                tid: None,
                pos: ReplayLogPosition::End,
            },
            SingleThreadStopReason::Signal,
        );
        let message = Some(format!(
            "{what} at {}; from here it only goes back",
            self.place()
        ));
        Report { reason, message }
    }

    fn value(&mut self, source: Source) -> Option<u64> {
        let position = self.debuggee.position();
        let mut port = |number| u64::from(self.debuggee.registers().get(number));
        match source {
            Source::Port(number) => Some(port(number)),
            Source::TimeStamp => Some(port(registers::TSC_HIGH) << 32 | port(registers::TSC_LOW)),
            Source::Cycle => Some(position.cycle),
            Source::Instructions => Some(position.instructions),
            Source::Absent => None,
        }
    }

    fn set_value(&mut self, source: Source, value: u64) -> TargetResult<(), Self> {
        let mut write = |number, value: u64| {
            let result = self.debuggee.write_register(number, value as u32);
            result.map_err(|_: MachineError| TargetError::Errno(errno::FAULT))
        };
        match source {
            Source::Port(number) => write(number, value),
            Source::TimeStamp => {
                write(registers::TSC_LOW, value)?;
                write(registers::TSC_HIGH, value >> 32)
            }
            Source::Cycle | Source::Instructions | Source::Absent => {
                Err(TargetError::Errno(errno::PERMISSION))
            }
        }
    }

    /// Breakpoints and watchpoints that gdb has set.
    pub(super) fn points(&self) -> usize {
        self.points.len()
    }

    fn add(&mut self, point: Point) -> bool {
        let fits = self.points.len() + self.stops.len() < POINTS;
        if fits {
            self.points.push(point);
        }
        fits
    }

    fn remove(&mut self, point: Point) -> bool {
        let at = self.points.iter().position(|other| *other == point);
        at.map(|at| self.points.remove(at)).is_some()
    }
}

/// Copies what of `text` begins at `offset` and has at most `length` bytes.
fn copy(text: &[u8], offset: u64, length: usize, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| text.get(offset..))
        .unwrap_or_default();
    let count = rest.len().min(length).min(buffer.len());
    buffer[..count].copy_from_slice(&rest[..count]);
    count
}

impl Target for Guest {
    type Arch = Ia32;
    type Error = Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, Ia32, Infallible> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_memory_map(&mut self) -> Option<MemoryMapOps<'_, Self>> {
        Some(self)
    }

    fn support_target_description_xml_override(
        &mut self,
    ) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }

    fn support_exec_file(&mut self) -> Option<ExecFileOps<'_, Self>> {
        if self.symbol_file.is_empty() {
            None
        } else {
            Some(self)
        }
    }

    fn support_host_io(&mut self) -> Option<HostIoOps<'_, Self>> {
        Some(self)
    }

    fn use_fork_stop_reason(&self) -> bool {
        false
    }

    fn use_vfork_stop_reason(&self) -> bool {
        false
    }

    fn use_vforkdone_stop_reason(&self) -> bool {
        false
    }
}

impl SingleThreadBase for Guest {
    fn read_registers(&mut self, values: &mut Values) -> TargetResult<(), Self> {
        for (value, register) in values.0.iter_mut().zip(&*REGISTERS) {
            *value = self.value(register.source);
        }
        Ok(())
    }

    fn write_registers(&mut self, values: &Values) -> TargetResult<(), Self> {
        for (value, register) in values.0.iter().zip(&*REGISTERS) {
            let Some(value) = *value else { continue };
            if self.value(register.source) != Some(value) {
                self.set_value(register.source, value)?;
            }
        }
        Ok(())
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, (), Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, linear: u32, bytes: &mut [u8]) -> TargetResult<usize, Self> {
        // No answer would hold it; gdb does not ask for so much.
        if bytes.len() > PACKET_BYTES / 2 {
            return Err(TargetError::Errno(errno::TOO_LONG));
        }
        let end = u64::from(linear) + bytes.len() as u64;
        let count = bytes.len() - end.saturating_sub(1 << 32) as usize;
        let read = self.debuggee.read(linear, count);
        let mapped = read.iter().map_while(|byte| *byte);
        let mut count = 0;
        for (byte, read) in bytes.iter_mut().zip(mapped) {
            *byte = read;
            count += 1;
        }
        if count == 0 && !bytes.is_empty() {
            return Err(TargetError::Errno(errno::FAULT));
        }
        Ok(count)
    }

    fn write_addrs(&mut self, linear: u32, bytes: &[u8]) -> TargetResult<(), Self> {
        if bytes.is_empty() {
            return Ok(());
        }
        if u64::from(linear) + bytes.len() as u64 > 1 << 32 {
            return Err(TargetError::Errno(errno::FAULT));
        }
        let result = self.debuggee.write(linear, bytes);
        result.map_err(|_| TargetError::Errno(errno::FAULT))
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<()> for Guest {
    fn read_register(
        &mut self,
        (): (),
        Number(number): Number,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let register = &REGISTERS[number];
        let Some(value) = self.value(register.source) else {
            return Ok(0);
        };
        let count = register.bytes();
        buffer[..count].copy_from_slice(&value.to_le_bytes()[..count]);
        Ok(count)
    }

    fn write_register(
        &mut self,
        (): (),
        Number(number): Number,
        bytes: &[u8],
    ) -> TargetResult<(), Self> {
        let register = &REGISTERS[number];
        if bytes.len() != register.bytes() {
            return Err(TargetError::Errno(errno::INVALID));
        }
        let low = bytes.iter().take(8).rev();
        let value = low.fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.set_value(register.source, value)
    }
}

impl SingleThreadResume for Guest {
    fn resume(&mut self, _signal: Option<Signal>) -> Result<(), Infallible> {
        self.movement = Some(Movement::Continue);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, (), Self>> {
        Some(self)
    }

    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, (), Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Guest {
    fn step(&mut self, _signal: Option<Signal>) -> Result<(), Infallible> {
        self.movement = Some(Movement::Step);
        Ok(())
    }
}

impl ReverseStep<()> for Guest {
    fn reverse_step(&mut self, (): ()) -> Result<(), Infallible> {
        self.movement = Some(Movement::StepBack);
        Ok(())
    }
}

impl ReverseCont<()> for Guest {
    fn reverse_cont(&mut self) -> Result<(), Infallible> {
        self.movement = Some(Movement::ContinueBack);
        Ok(())
    }
}

impl Breakpoints for Guest {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

// Both kinds are watches: memory keeps what the guest put there, and need not be there yet.
impl SwBreakpoint for Guest {
    fn add_sw_breakpoint(&mut self, linear: u32, _: usize) -> TargetResult<bool, Self> {
        Ok(self.add(Point::Software(linear)))
    }

    fn remove_sw_breakpoint(&mut self, linear: u32, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove(Point::Software(linear)))
    }
}

impl HwBreakpoint for Guest {
    fn add_hw_breakpoint(&mut self, linear: u32, _: usize) -> TargetResult<bool, Self> {
        Ok(self.add(Point::Hardware(linear)))
    }

    fn remove_hw_breakpoint(&mut self, linear: u32, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove(Point::Hardware(linear)))
    }
}

impl HwWatchpoint for Guest {
    fn add_hw_watchpoint(
        &mut self,
        linear: u32,
        size: u32,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(size != 0 && self.add(Point::Data { linear, size, kind }))
    }

    fn remove_hw_watchpoint(
        &mut self,
        linear: u32,
        size: u32,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.remove(Point::Data { linear, size, kind }))
    }
}

impl MonitorCmd for Guest {
    fn handle_monitor_cmd(
        &mut self,
        command: &[u8],
        mut output: ConsoleOutput<'_>,
    ) -> Result<(), Infallible> {
        let text = monitor::run(self, &String::from_utf8_lossy(command));
        output.write_raw(text.unwrap_or_else(|error| error + "\n").as_bytes());
        Ok(())
    }
}

/// gdb's addresses are linear. Where memory lies behind them is up to the page tables, which change; so all may be memory, and
/// an access says whether there is any.
const MEMORY_MAP: &str = r#"<?xml version="1.0"?>
<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" "http://sourceware.org/gdb/gdb-memory-map.dtd">
<memory-map><memory type="ram" start="0x0" length="0x100000000"/></memory-map>
"#;

impl MemoryMap for Guest {
    fn memory_map_xml(
        &self,
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        Ok(copy(MEMORY_MAP.as_bytes(), offset, length, buffer))
    }
}

impl TargetDescriptionXmlOverride for Guest {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::Errno(errno::INVALID));
        }
        Ok(copy(TARGET_XML.as_bytes(), offset, length, buffer))
    }
}

impl ExecFile for Guest {
    fn get_exec_file(
        &self,
        _pid: Option<Pid>,
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        Ok(copy(SYMBOL_FILE.as_bytes(), offset, length, buffer))
    }
}

/// The one file that gdb can open, by its descriptor.
const DESCRIPTOR: u32 = 3;

impl HostIo for Guest {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }

    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }

    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }

    fn support_fstat(&mut self) -> Option<HostIoFstatOps<'_, Self>> {
        Some(self)
    }

    fn support_setfs(&mut self) -> Option<HostIoSetfsOps<'_, Self>> {
        Some(self)
    }
}

fn is_ours(descriptor: u32) -> Result<(), HostIoError<Infallible>> {
    if descriptor == DESCRIPTOR {
        Ok(())
    } else {
        Err(HostIoError::Errno(HostIoErrno::EBADF))
    }
}

impl HostIoOpen for Guest {
    fn open(
        &mut self,
        name: &[u8],
        flags: HostIoOpenFlags,
        _: HostIoOpenMode,
    ) -> HostIoResult<u32, Self> {
        if name != SYMBOL_FILE.as_bytes() || self.symbol_file.is_empty() {
            return Err(HostIoError::Errno(HostIoErrno::ENOENT));
        }
        if flags.intersects(HostIoOpenFlags::O_WRONLY | HostIoOpenFlags::O_RDWR) {
            return Err(HostIoError::Errno(HostIoErrno::EROFS));
        }
        Ok(DESCRIPTOR)
    }
}

impl HostIoClose for Guest {
    fn close(&mut self, descriptor: u32) -> HostIoResult<(), Self> {
        is_ours(descriptor)
    }
}

impl HostIoPread for Guest {
    fn pread(
        &mut self,
        descriptor: u32,
        count: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> HostIoResult<usize, Self> {
        is_ours(descriptor)?;
        Ok(copy(&self.symbol_file, offset, count, buffer))
    }
}

impl HostIoFstat for Guest {
    fn fstat(&mut self, descriptor: u32) -> HostIoResult<HostIoStat, Self> {
        is_ours(descriptor)?;
        Ok(HostIoStat {
            st_dev: 0,
            st_ino: 0,
            st_mode: HostIoOpenMode::S_IFREG | HostIoOpenMode::S_IRUSR,
            st_nlink: 1,
            st_uid: 0,
            st_gid: 0,
            st_rdev: 0,
            st_size: self.symbol_file.len() as u64,
            st_blksize: 512,
            st_blocks: self.symbol_file.len().div_ceil(512) as u64,
            st_atime: 0,
            st_mtime: 0,
            st_ctime: 0,
        })
    }
}

impl HostIoSetfs for Guest {
    fn setfs(&mut self, _: FsKind) -> HostIoResult<(), Self> {
        Ok(())
    }
}
