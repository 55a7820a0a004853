//! `sysgate gdb`.

use super::guest::GuestArguments;
use super::session;
use super::{Failure, exit, interrupted};
use crate::debug::Debuggee;
use crate::files;
use crate::gdb::elf::symbol_file;
use crate::gdb::{Ended, Guest, Server, Settings};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `sysgate gdb`.
#[derive(Args, Debug)]
pub struct GdbArguments {
    #[command(flatten)]
    guest: GuestArguments,
    /// Wait on this port of 127.0.0.1; 0 takes any that is free
    #[arg(long, value_name = "N", default_value_t = 1234)]
    port: u16,
    /// Also write the symbols of all modules as an ELF file, for other tools; gdb gets them over the connection
    #[arg(long, value_name = "FILE")]
    symbols: Option<PathBuf>,
    /// End when the first debugger has gone, instead of waiting for the next
    #[arg(long)]
    once: bool,
}

impl GdbArguments {
    /// Serves debuggers until one kills the guest, or Ctrl-C.
    ///
    /// # Errors
    /// Bad files and addresses, a port in use.
    pub fn run(self) -> Result<u8, Failure> {
        let setup = self.guest.setup()?;
        let elf = if setup.symbols.file().symbols.is_empty() {
            Vec::new()
        } else {
            symbol_file(&setup.symbols)?
        };
        if let Some(path) = &self.symbols {
            if elf.is_empty() {
                return Err(Failure::new(
                    exit::USAGE,
                    "--symbols: foreign software comes without symbols",
                ));
            }
            files::write(path, &elf)?;
        }
        let port = self.port;
        let server = Server::bind(port).map_err(|error| {
            format!("cannot wait on 127.0.0.1:{port}: {error}; choose another port with --port")
        })?;
        let debuggee = Debuggee::new(setup.build()?, Arc::clone(&setup.symbols));
        let mut guest = Guest::new(debuggee, elf);
        let address = server.address();
        eprintln!("waiting for a debugger on {address}; for example:");
        eprintln!("  gdb -ex 'target remote {address}'");
        let mut settings = Settings {
            once: self.once,
            interrupted,
            log: &|line| eprintln!("[gdb] {line}"),
            // A reader that has seen enough does not end the session.
            console: &mut |bytes| {
                let _ = session::show(bytes);
            },
        };
        match server.serve(&mut guest, &mut settings) {
            Ended::Killed | Ended::Once => Ok(exit::SUCCESS),
            Ended::Interrupted => Err(Failure::new(
                exit::INTERRUPTED,
                format!("interrupted at {}", guest.place()),
            )),
        }
    }
}
