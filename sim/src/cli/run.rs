//! `sysgate run`.

use super::{Failure, exit, files, interrupted};
use crate::machine::{DEFAULT_HANG_CLOCKS, Machine, MachineConfig, Stop};
use crate::trace::{Instructions, micro_op_line, retire_line};
use clap::Args;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};

/// Largest ROM, in bytes.
const ROM_LIMIT: u64 = 16 << 20;
/// Clock cycles between two looks at the console and at Ctrl-C.
const SLICE_CYCLES: u64 = 50_000;

/// Arguments of `sysgate run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// A ROM to boot; it is placed to end at FFFFFFFFh and is mirrored below 1 MB
    #[arg(long, value_name = "FILE")]
    bios: Option<PathBuf>,
    /// A file to place in RAM before the start, at a hexadecimal physical address (repeatable)
    #[arg(long, value_name = "FILE@ADDRESS", value_parser = load)]
    load: Vec<(PathBuf, u32)>,
    /// Size of RAM, for example 512K or 16M [default: 256K; 16M with --bios or --load]
    #[arg(long, value_name = "SIZE", value_parser = files::size)]
    ram: Option<u64>,
    /// End after this many clock cycles
    #[arg(long, value_name = "N")]
    max_cycles: Option<u64>,
    /// Count this many clock cycles without a retired instruction as a hang
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HANG_CLOCKS)]
    hang_cycles: u64,
    /// Write a waveform (FST)
    #[arg(long, value_name = "FILE")]
    wave: Option<PathBuf>,
    /// Write one line per retired instruction: number, cycle, CPL, CS:EIP, bytes, disassembly, what it read and wrote
    #[arg(long, value_name = "FILE")]
    retire_log: Option<PathBuf>,
    /// In the retire log, one line per micro-op
    #[arg(long, requires = "retire_log")]
    micro_ops: bool,
    /// Write one line per port access: <cycle> IN|OUT <port hex> <width in bytes> <value hex>
    #[arg(long, value_name = "FILE")]
    port_log: Option<PathBuf>,
    /// Let memory answer after random wait states made from this seed
    #[arg(long, value_name = "SEED")]
    wait_states: Option<u64>,
}

fn load(text: &str) -> Result<(PathBuf, u32), String> {
    let (file, address) = text.rsplit_once('@').ok_or("expected FILE@ADDRESS")?;
    Ok((PathBuf::from(file), files::address(address)?))
}

/// Files that grow while the machine runs.
struct Logs {
    retire: Option<BufWriter<File>>,
    micro_ops: bool,
    ports: Option<BufWriter<File>>,
    instructions: Instructions,
}

impl Logs {
    fn drain(&mut self, machine: &mut Machine) -> std::io::Result<()> {
        if let Some(log) = &mut self.retire {
            for retired in machine.drain_retired() {
                if self.micro_ops {
                    writeln!(log, "{}", micro_op_line(&retired, &self.instructions))?;
                    self.instructions.push(&retired);
                } else if let Some(instruction) = self.instructions.push(&retired) {
                    writeln!(log, "{}", retire_line(&instruction))?;
                }
            }
        }
        if let Some(log) = &mut self.ports {
            for access in machine.drain_ports() {
                let direction = if access.write { "OUT" } else { "IN" };
                let width = usize::from(access.size) * 2;
                writeln!(
                    log,
                    "{} {direction} {:x} {} {:0width$x}",
                    access.cycle, access.port, access.size, access.data
                )?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        for log in [&mut self.retire, &mut self.ports].into_iter().flatten() {
            log.flush()?;
        }
        Ok(())
    }
}

impl RunArguments {
    /// Runs the guest to its end; the exit code on success.
    pub fn run(self) -> Result<u8, Failure> {
        let foreign = self.bios.is_some() || !self.load.is_empty();
        let rom = match &self.bios {
            Some(path) => files::read(path, ROM_LIMIT)?,
            None => return Err(Failure::new(exit::USAGE, "--bios FILE is needed")),
        };
        let ram = self
            .ram
            .unwrap_or(if foreign { 16 << 20 } else { 256 << 10 });
        let ram_bytes =
            u32::try_from(ram).map_err(|_| format!("{ram} bytes of RAM are more than 4 GB"))?;
        let mut machine = Machine::new(MachineConfig {
            ram_bytes,
            rom,
            wait_seed: self.wait_states,
            hang_clocks: self.hang_cycles.max(1),
            keep_retired: self.retire_log.is_some(),
            keep_ports: self.port_log.is_some(),
        })?;
        for (path, address) in &self.load {
            let bytes = files::read(path, ram)?;
            machine
                .write_memory(*address, &bytes)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let mut logs = Logs {
            retire: self.retire_log.as_deref().map(files::create).transpose()?,
            micro_ops: self.micro_ops,
            ports: self.port_log.as_deref().map(files::create).transpose()?,
            instructions: Instructions::default(),
        };
        if let Some(path) = &self.wave {
            machine.open_wave(path)?;
        }

        let input = console_input();
        let mut post_code = None;
        let stop = loop {
            let left = self
                .max_cycles
                .map_or(u64::MAX, |max| max.saturating_sub(machine.status().cycle));
            let stop = machine.run(SLICE_CYCLES.min(left));
            logs.drain(&mut machine)?;
            show(&machine.take_console())?;
            show(&machine.take_debug_console())?;
            let status = machine.status();
            if status.post_code != post_code.unwrap_or(0) {
                post_code = Some(status.post_code);
                eprintln!("[POST {:02x}]", status.post_code);
            }
            while let Ok(bytes) = input.try_recv() {
                machine.send_console(&bytes);
            }
            if interrupted() {
                break None;
            }
            if stop != Stop::Cycles || self.max_cycles.is_some_and(|max| status.cycle >= max) {
                break Some(stop);
            }
        };
        machine.close_wave();
        logs.flush()?;

        let status = machine.status();
        let place = format!(
            "EIP {:08x}, CPL {}, cycle {}",
            status.eip, status.cpl, status.cycle
        );
        match stop {
            None => Err(Failure::new(
                exit::INTERRUPTED,
                format!("interrupted at {place}"),
            )),
            Some(Stop::Exit(value)) => Ok((value << 1 | 1) as u8),
            Some(Stop::Halted) => {
                eprintln!("halted at {place}");
                Ok(exit::SUCCESS)
            }
            Some(Stop::Shutdown) => Err(Failure::new(
                exit::SHUTDOWN,
                format!("the guest shut down at {place}"),
            )),
            Some(Stop::Hung) => {
                let message = format!("nothing retired for {} cycles at {place}", self.hang_cycles);
                Err(Failure::new(exit::HUNG, message))
            }
            Some(_) => Err(Failure::new(
                exit::MAX_CYCLES,
                format!("--max-cycles reached at {place}"),
            )),
        }
    }
}

fn show(bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Bytes typed or piped into stdin, from a thread of their own: reading blocks.
fn console_input() -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    let terminal = std::io::stdin().is_terminal();
    std::thread::spawn(move || {
        let mut chunk = [0; 256];
        while let Ok(count) = std::io::stdin().lock().read(&mut chunk) {
            if count == 0 {
                break;
            }
            let mut bytes = chunk[..count].to_vec();
            if terminal {
                // What a serial terminal sends for the Enter key.
                bytes
                    .iter_mut()
                    .filter(|byte| **byte == b'\n')
                    .for_each(|byte| *byte = b'\r');
            }
            if sender.send(bytes).is_err() {
                break;
            }
        }
    });
    receiver
}
