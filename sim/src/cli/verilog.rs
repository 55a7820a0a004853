//! `sysgate verilog`.

use super::{Failure, exit};
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
    /// The core alone
    Core,
    /// The core with its devices
    Chip,
}

impl VerilogArguments {
    /// Emits the Verilog.
    ///
    /// # Errors
    /// Findings of the emitter, a folder that cannot be written.
    pub fn run(self) -> Result<u8, Failure> {
        let (name, verilog) = match self.top {
            Top::Core => ("core", hdl::top::core()),
            Top::Chip => ("chip", hdl::top::chip()),
        };
        let verilog = verilog.map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Failure::new(
                exit::ERROR,
                format!("the {name} cannot be emitted:\n{}", lines.join("\n")),
            )
        })?;
        fs::create_dir_all(&self.out)
            .map_err(|error| format!("cannot create {}: {error}", self.out.display()))?;
        let path = self.out.join(format!("{name}.v"));
        fs::write(&path, &verilog.text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("{}: {} modules", path.display(), verilog.modules.len());
        Ok(exit::SUCCESS)
    }
}
