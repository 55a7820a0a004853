//! `sysgate run`.

use super::guest::GuestArguments;
use super::session::{self, Options};
use super::wave::Window;
use super::{Failure, MemoryArgument};
use crate::machine::{Stop, UnknownPort};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `sysgate run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    #[command(flatten)]
    guest: GuestArguments,
    /// What RAM is made of
    #[arg(long, value_enum, default_value_t = MemoryArgument::Bram)]
    memory: MemoryArgument,
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
        let mut setup = self.guest.setup()?;
        setup.config.memory = memory;
        let options = Options {
            max_cycles: self.max_cycles,
            wave: self.wave.map(|path| (path, self.wave_window)),
            retire_log: self.retire_log,
            micro_ops: self.micro_ops,
            port_log: self.port_log,
            console: true,
            observe: false,
        };
        let end = session::run(&setup, &options, &mut |_| true)?;
        match end.stop {
            Some(Stop::Halted) => eprintln!("halted at {}", end.place),
            Some(Stop::Reset) => eprintln!("the guest asked for a reset at {}", end.place),
            _ => {}
        }
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
        end.code(hang_cycles)
    }
}
