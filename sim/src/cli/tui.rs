//! `sysgate tui`.

use super::guest::GuestArguments;
use super::{Failure, exit, interrupted};
use crate::debug::Debuggee;
use crate::tui::{self, App, Left};
use clap::Args;
use std::io::IsTerminal;
use std::sync::Arc;

/// Arguments of `sysgate tui`.
#[derive(Args, Debug)]
pub struct TuiArguments {
    #[command(flatten)]
    guest: GuestArguments,
    /// Run to this symbol or hexadecimal address first
    #[arg(long, value_name = "NAME")]
    at: Option<String>,
    /// Give up reaching it after this many clock cycles
    #[arg(long, value_name = "N", default_value_t = 50_000_000, requires = "at")]
    max_cycles: u64,
}

impl TuiArguments {
    /// Shows the screen until the user leaves it.
    ///
    /// # Errors
    /// No terminal, bad files and addresses, a symbol that is not reached.
    pub fn run(self) -> Result<u8, Failure> {
        for (name, is_terminal) in [
            ("stdin", std::io::stdin().is_terminal()),
            ("stdout", std::io::stdout().is_terminal()),
        ] {
            if !is_terminal {
                let message = format!("sysgate tui needs a terminal, and {name} is none");
                return Err(Failure::new(exit::ERROR, message));
            }
        }
        let setup = self.guest.setup()?;
        let debuggee = Debuggee::new(setup.build()?, Arc::clone(&setup.symbols));
        let mut app = App::new(debuggee, Arc::clone(&setup.symbols));
        if let Some(name) = &self.at {
            let linear = app.address(name)?;
            app.run_to(linear, self.max_cycles)?;
        }
        match tui::run(&mut app, interrupted)? {
            Left::Quit => Ok(exit::SUCCESS),
            Left::Interrupted => {
                let place = setup.symbols.at(app.registers.linear_eip());
                let cycle = app.position().cycle;
                Err(Failure::new(
                    exit::INTERRUPTED,
                    format!("interrupted at {place}, cycle {cycle}"),
                ))
            }
        }
    }
}
