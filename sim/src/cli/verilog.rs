//! `sysgate verilog`.

use super::{Failure, exit, print};
use clap::{Args, ValueEnum};
use std::fs;
use std::path::PathBuf;

/// Arguments of `sysgate verilog`.
#[derive(Args, Debug)]
pub struct VerilogArguments {
    /// The folder to write to; it is created
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Top::Chip)]
    top: Top,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Top {
    /// The core with a Wishbone bus, for another system: sysgate_core.v
    Core,
    /// The core with its devices, as the simulator runs it: chip.v
    Chip,
}

impl VerilogArguments {
    /// Writes the Verilog.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn run(self) -> Result<u8, Failure> {
        let (name, verilog) = match self.top {
            Top::Core => ("sysgate_core", verilator_sys::WISHBONE_CORE_VERILOG),
            Top::Chip => ("chip", verilator_sys::CHIP_VERILOG),
        };
        fs::create_dir_all(&self.out)
            .map_err(|error| format!("cannot create {}: {error}", self.out.display()))?;
        let path = self.out.join(format!("{name}.v"));
        fs::write(&path, verilog)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        print(&format!("{}\n", path.display()))?;
        Ok(exit::SUCCESS)
    }
}
