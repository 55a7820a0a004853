//! `sysgate image`.

use super::{Failure, GateArgument, OsArgument, built_in, exit, print};
use clap::{ArgGroup, Args};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `sysgate image`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("action").required(true))]
pub struct ImageArguments {
    /// Write the image to this folder, which is created: PE files, memory contents, symbols.json
    #[arg(long, value_name = "DIR", group = "action")]
    out: Option<PathBuf>,
    /// List modules and sizes
    #[arg(long, group = "action")]
    list: bool,
    /// How user code enters the kernel
    #[arg(long, value_enum, default_value_t = GateArgument::Sysenter)]
    gate: GateArgument,
    /// Whose services, stubs and version number it has
    #[arg(long, value_enum, default_value_t = OsArgument::Seven)]
    os: OsArgument,
    /// Build the image that prints its own bill: the clocks of each hop of WriteFile, by RDTSC
    #[arg(long)]
    bill: bool,
}

impl ImageArguments {
    /// Builds the chosen image and writes or lists it.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn run(self) -> Result<u8, Failure> {
        if let Some(folder) = &self.out {
            built_in(self.gate, self.os, self.bill)?.write(folder)?;
        }
        if self.list {
            let image = built_in(self.gate, self.os, self.bill)?;
            let mut text =
                String::from("base     end      layer ring  module      file            symbols\n");
            for module in &image.symbols.modules {
                let symbols = image
                    .symbols
                    .symbols
                    .iter()
                    .filter(|symbol| symbol.module == module.name)
                    .count();
                let end = u64::from(module.base) + u64::from(module.size);
                let (base, layer, ring) = (module.base, module.layer, module.ring);
                writeln!(
                    text,
                    "{base:08x} {end:08x} {layer:>5} {ring:>4}  {:11} {:15} {symbols:>7}",
                    module.name, module.file
                )
                .unwrap();
            }
            print(&text)?;
        }
        Ok(exit::SUCCESS)
    }
}
