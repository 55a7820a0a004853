//! `sysgate run`.

use super::guest::GuestArguments;
use super::own::{self, Kind, OwnFile};
use super::session::{self, End, Options};
use super::wave::Window;
use super::{Failure, MemoryArgument, exit};
use crate::machine::{Stop, UnknownPort};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `sysgate run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// A file of your own: a PE32 console program, which runs in the Windows-like image; a multiboot kernel; or the source (.asm)
    /// of one of them, assembled by nasm
    #[arg(value_name = "FILE", conflicts_with_all = ["bios", "image", "kernel", "bill", "load"])]
    file: Option<PathBuf>,
    /// The program's arguments
    #[arg(
        value_name = "ARGUMENT",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<String>,
    /// Behind the program's output, print its journeys into ring 0 and back
    #[arg(long, requires = "file")]
    journeys: bool,
    #[command(flatten)]
    guest: GuestArguments,
    /// What RAM is made of
    #[arg(long, value_enum, default_value_t = MemoryArgument::Bram)]
    memory: MemoryArgument,
    /// At the end, print what lies in a text display's memory (80 by 25 characters at B8000h)
    #[arg(long)]
    screen: bool,
    /// End after this many clock cycles
    #[arg(long, value_name = "N")]
    max_cycles: Option<u64>,
    /// Write a waveform (FST); 10 ns of its time are one clock cycle
    #[arg(long, value_name = "FILE")]
    wave: Option<PathBuf>,
    /// Write the waveform only then: from=N | cycles=N | symbol=NAME | around=NAME:N (repeatable)
    #[arg(long, value_name = "WINDOW", requires = "wave")]
    wave_window: Vec<Window>,
    /// Write one line per retired instruction: number, cycle, CPL, CS:EIP, bytes, disassembly, what it read and wrote
    #[arg(long, value_name = "FILE")]
    retire_log: Option<PathBuf>,
    /// In the retire log, one line per micro-op
    #[arg(long, requires = "retire_log")]
    micro_ops: bool,
    /// Write one line per port access: <cycle> IN|OUT <port hex> <width in bytes> <value hex>
    #[arg(long, value_name = "FILE")]
    port_log: Option<PathBuf>,
}

impl RunArguments {
    /// Runs the guest to its end; the exit code on success.
    ///
    /// # Errors
    /// Bad files and addresses, and every end that is not the guest's own.
    pub fn run(self) -> Result<u8, Failure> {
        let hang_cycles = self.guest.hang_cycles();
        let memory = self.memory.kind(self.guest.wait_states())?;
        let options = Options {
            max_cycles: self.max_cycles,
            wave: self.wave.map(|path| (path, self.wave_window)),
            retire_log: self.retire_log,
            micro_ops: self.micro_ops,
            port_log: self.port_log,
            console: true,
            ..Options::default()
        };
        let file = self.file.as_deref().map(OwnFile::read).transpose()?;
        let mut setup = match file {
            None => self.guest.setup()?,
            Some(file) if file.kind() == Kind::Kernel => {
                if self.journeys {
                    return Err(Failure::new(
                        exit::USAGE,
                        "--journeys is for programs; a kernel has no layers that are known",
                    ));
                }
                let line = self.arguments.join(" ");
                self.guest.kernel_setup(&file.path, &file.bytes, &line)?
            }
            Some(_) if self.screen => {
                return Err(Failure::new(
                    exit::USAGE,
                    "--screen is for kernels and ROMs; what a program writes is on stdout",
                ));
            }
            Some(file) => {
                let run = own::Run {
                    arguments: &self.arguments,
                    gate: self.guest.gate(),
                    os: self.guest.os(),
                    ram_bytes: self.guest.ram_bytes(own::PROGRAM_RAM_BYTES)?,
                    wait_seed: self.guest.wait_states(),
                    hang_cycles,
                    journeys: self.journeys,
                    memory,
                };
                return own::run(file, run, options);
            }
        };
        setup.config.memory = memory;
        let end = session::run(&setup, &options, &mut |_| true)?;
        match end.stop {
            Some(Stop::Halted) => eprintln!("halted at {}", end.place),
            Some(Stop::Reset) => eprintln!("the guest asked for a reset at {}", end.place),
            _ => {}
        }
        if self.screen {
            session::show(end.screen.as_bytes())?;
        }
        list_unknown_ports(&end);
        end.code(hang_cycles)
    }
}

/// Says which ports the guest used in vain.
fn list_unknown_ports(end: &End) {
    if !end.unknown_ports.is_empty() {
        eprintln!("ports that no device has (they read FFh):\n  port     reads    writes");
    }
    for UnknownPort {
        port,
        reads,
        writes,
        ..
    } in &end.unknown_ports
    {
        eprintln!("  {port:04x}{reads:>10}{writes:>10}");
    }
}
