//! A run of the machine with everything that watches it: console, logs, waveform, Ctrl-C.

use super::wave::{Window, Windows};
use super::{Failure, exit, interrupted, screen};
use crate::files;
use crate::machine::{Machine, MachineConfig, Stop, UnknownPort};
use crate::symbols::Symbols;
use crate::trace::{Instruction, Instructions, micro_op_line, retire_line};
use crate::wave::Wave;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

/// Clock cycles between two looks at the console and at Ctrl-C.
const SLICE_CYCLES: u64 = 50_000;

/// A machine before its first cycle, which can be built again.
pub struct Setup {
    /// The machine.
    pub config: MachineConfig,
    /// What lies in RAM at the start: physical address and bytes.
    pub loads: Vec<(u32, Vec<u8>)>,
    /// Names of the image's addresses.
    pub symbols: Arc<Symbols>,
}

impl Setup {
    /// Builds the machine and loads its RAM.
    ///
    /// # Errors
    /// No memory, or something that does not lie in RAM.
    pub fn build(&self) -> Result<Machine, Failure> {
        let mut machine = Machine::new(self.config.clone())?;
        for (address, bytes) in &self.loads {
            machine.write_memory(*address, bytes)?;
        }
        Ok(machine)
    }
}

/// What to watch.
#[derive(Default)]
pub struct Options {
    /// End here.
    pub max_cycles: Option<u64>,
    /// The waveform and when to write it; no windows mean always.
    pub wave: Option<(PathBuf, Vec<Window>)>,
    /// One line per instruction.
    pub retire_log: Option<PathBuf>,
    /// One line per micro-op instead.
    pub micro_ops: bool,
    /// One line per port access.
    pub port_log: Option<PathBuf>,
    /// Connect stdin and stdout to the guest's console; otherwise the output is only gathered.
    pub console: bool,
    /// The console is a program's: lines end with CR and LF, the end of input is a Ctrl-Z, test codes are not shown.
    pub program: bool,
    /// Hand instructions to the observer.
    pub observe: bool,
}

/// How a session ended.
pub struct End {
    /// Why; `None` for Ctrl-C.
    pub stop: Option<Stop>,
    /// Clock cycles since reset.
    pub cycle: u64,
    /// EIP, CPL, cycle and symbol, for messages.
    pub place: String,
    /// What is wrong with the memory system, if that ended the run.
    memory_fault: String,
    /// What came out of the UART.
    pub console: Vec<u8>,
    /// Ports that the guest has used and no device has.
    pub unknown_ports: Vec<UnknownPort>,
    /// What a text display would show.
    pub screen: String,
    /// For every window around a symbol, the cycles at which it was reached.
    input: Vec<(u64, Vec<u8>)>,
    windows: Windows,
}

struct Logs {
    retire: Option<BufWriter<File>>,
    micro_ops: bool,
    ports: Option<BufWriter<File>>,
    instructions: Instructions,
}

impl Logs {
    fn drain(
        &mut self,
        machine: &mut Machine,
        observer: &mut dyn FnMut(&Instruction) -> bool,
    ) -> std::io::Result<bool> {
        let mut wanted = true;
        for retired in machine.drain_retired() {
            if let Some(log) = self.retire.as_mut().filter(|_| self.micro_ops) {
                writeln!(log, "{}", micro_op_line(&retired, &self.instructions))?;
            }
            let Some(instruction) = self.instructions.push(&retired) else {
                continue;
            };
            if let Some(log) = self.retire.as_mut().filter(|_| !self.micro_ops) {
                writeln!(log, "{}", retire_line(&instruction))?;
            }
            wanted &= observer(&instruction);
        }
        for access in machine.drain_ports() {
            let Some(log) = &mut self.ports else { break };
            let direction = if access.write { "OUT" } else { "IN" };
            let width = usize::from(access.size) * 2;
            let (cycle, port, size, data) = (access.cycle, access.port, access.size, access.data);
            writeln!(log, "{cycle} {direction} {port:x} {size} {data:0width$x}")?;
        }
        Ok(wanted)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        for log in [&mut self.retire, &mut self.ports].into_iter().flatten() {
            log.flush()?;
        }
        Ok(())
    }
}

/// Runs to the end. `observer` sees every instruction if [`Options::observe`] is set, until it returns false.
///
/// A waveform that begins before the event it is about is written by a second run, which is the same cycle by cycle:
/// the machine is a function of its start and of its console input, and that is recorded.
///
/// # Errors
/// Files that cannot be written, a machine that cannot be built.
pub fn run(
    setup: &Setup,
    options: &Options,
    observer: &mut dyn FnMut(&Instruction) -> bool,
) -> Result<End, Failure> {
    let mut machine = setup.build()?;
    let mut logs = Logs {
        retire: options
            .retire_log
            .as_deref()
            .map(files::create)
            .transpose()?,
        micro_ops: options.micro_ops,
        ports: options.port_log.as_deref().map(files::create).transpose()?,
        instructions: Instructions::default(),
    };
    let mut observing = options.observe;
    machine.keep(observing || logs.retire.is_some(), logs.ports.is_some());

    let mut windows = match &options.wave {
        Some((_, list)) => Windows::new(list, &setup.symbols)?,
        None => Windows::none(),
    };
    let second_run = windows.look_back();
    let mut wave = None;
    if let Some((path, _)) = options.wave.as_ref().filter(|_| !second_run) {
        wave = Some(Wave::open(&mut machine, path, &setup.symbols)?);
    }
    for address in windows.addresses() {
        machine.set_breakpoint(address);
    }

    let typed = options.console.then(|| match options.program {
        true => program_input(),
        false => console_input(),
    });
    let mut input = Vec::new();
    let mut console = Vec::new();
    let stop = loop {
        let cycle = machine.status().cycle;
        let (tracing, until) = windows.at(cycle);
        machine.pause_wave(!tracing);
        let mut cycles = SLICE_CYCLES.min(until - cycle);
        if let Some(max) = options.max_cycles {
            cycles = cycles.min(max.saturating_sub(cycle));
        }
        let stop = machine.run(cycles);
        if !logs.drain(&mut machine, observer)? && observing {
            observing = false;
            machine.keep(logs.retire.is_some(), logs.ports.is_some());
        }
        let status = machine.status();
        let sent = machine.take_console();
        let debug = machine.take_debug_console();
        if options.console {
            show(&sent)?;
            show(&debug)?;
            for code in machine.take_posts() {
                if !options.program {
                    eprintln!("[POST {code:02x}]");
                }
            }
        }
        console.extend(sent);
        for bytes in typed.iter().flat_map(Receiver::try_iter) {
            machine.send_console(&bytes);
            input.push((status.cycle, bytes));
        }
        if interrupted() {
            break None;
        }
        match stop {
            Stop::Breakpoint => {
                windows.reached(status.cs_base.wrapping_add(status.eip), status.cycle)
            }
            Stop::Cycles if options.max_cycles.is_none_or(|max| status.cycle < max) => {}
            _ => break Some(stop),
        }
    };
    if let Some(wave) = wave {
        wave.close(&mut machine)?;
    }
    logs.flush()?;
    let status = machine.status();
    let linear = status.cs_base.wrapping_add(status.eip);
    let symbol = setup.symbols.at(linear);
    let symbol = if symbol.module.is_some() {
        format!(" ({symbol})")
    } else {
        String::new()
    };
    let place = format!(
        "EIP {:08x}{symbol}, CPL {}, cycle {}",
        status.eip, status.cpl, status.cycle
    );
    let end = End {
        stop,
        cycle: status.cycle,
        place,
        memory_fault: machine.memory_fault(),
        console,
        unknown_ports: machine.unknown_ports(),
        screen: screen::text(&machine),
        input,
        windows,
    };
    if let Some((path, _)) = options.wave.as_ref().filter(|_| second_run) {
        let windows = end.windows.clone();
        replay(setup, &end, path, windows)?;
    }
    Ok(end)
}

/// Runs the same again and writes the waveform of `windows`.
pub fn replay(
    setup: &Setup,
    end: &End,
    path: &std::path::Path,
    mut windows: Windows,
) -> Result<(), Failure> {
    let mut machine = setup.build()?;
    machine.keep(false, false);
    let wave = Wave::open(&mut machine, path, &setup.symbols)?;
    let mut input = end.input.iter().peekable();
    let last = windows.last().min(end.cycle);
    loop {
        let cycle = machine.status().cycle;
        while let Some((_, bytes)) = input.next_if(|(at, _)| *at <= cycle) {
            machine.send_console(bytes);
        }
        if cycle >= last || interrupted() {
            break;
        }
        let (tracing, until) = windows.at(cycle);
        machine.pause_wave(!tracing);
        let next_input = input.peek().map_or(u64::MAX, |(at, _)| *at);
        machine.run(SLICE_CYCLES.min(until.min(next_input).min(last) - cycle));
    }
    wave.close(&mut machine)?;
    Ok(())
}

pub(super) fn show(bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Bytes typed or piped into stdin, from a thread of their own: reading blocks. An Enter key sends CR, as a serial terminal does.
pub fn console_input() -> Receiver<Vec<u8>> {
    let terminal = std::io::stdin().is_terminal();
    input(
        move |bytes| match terminal {
            true => bytes
                .iter()
                .map(|&byte| if byte == b'\n' { b'\r' } else { byte })
                .collect(),
            false => bytes.to_vec(),
        },
        &[],
    )
}

/// The same for a program that reads text: every line ends with CR and LF, and behind the last byte comes a Ctrl-Z.
fn program_input() -> Receiver<Vec<u8>> {
    let mut before = 0;
    let lines = move |bytes: &[u8]| {
        let mut text = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if byte == b'\n' && before != b'\r' {
                text.push(b'\r');
            }
            text.push(byte);
            before = byte;
        }
        text
    };
    input(lines, &[0x1A])
}

/// What `change` makes of stdin, and `end` behind it.
fn input(
    mut change: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static,
    end: &'static [u8],
) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut chunk = [0; 256];
        while let Ok(count) = std::io::stdin().lock().read(&mut chunk) {
            if count == 0 {
                break;
            }
            if sender.send(change(&chunk[..count])).is_err() {
                return;
            }
        }
        if !end.is_empty() {
            let _ = sender.send(end.to_vec());
        }
    });
    receiver
}

impl End {
    /// The exit code that the end of the run gives, or the message and code of a run that went wrong.
    ///
    /// # Errors
    /// Shutdown, hang, too many cycles, Ctrl-C.
    pub fn code(&self, hang_cycles: u64) -> Result<u8, Failure> {
        let place = &self.place;
        match self.stop {
            None => Err(Failure::new(
                exit::INTERRUPTED,
                format!("interrupted at {place}"),
            )),
            Some(Stop::Exit(value)) => Ok((value << 1 | 1) as u8),
            Some(Stop::Halted | Stop::Reset) => Ok(exit::SUCCESS),
            Some(Stop::Shutdown) => Err(Failure::new(
                exit::SHUTDOWN,
                format!("the guest shut down at {place}"),
            )),
            Some(Stop::Memory) => Err(Failure::new(
                exit::ERROR,
                format!(
                    "the memory system is wrong: {} at {place}",
                    self.memory_fault
                ),
            )),
            Some(Stop::Hung) => Err(Failure::new(
                exit::HUNG,
                format!("nothing retired for {hang_cycles} cycles at {place}"),
            )),
            Some(_) => Err(Failure::new(
                exit::MAX_CYCLES,
                format!("--max-cycles reached at {place}"),
            )),
        }
    }
}
