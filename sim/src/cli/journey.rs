//! `sysgate journey`, the default command.

use super::session::{self, Options, Setup};
use super::wave::{Window, Windows};
use super::{Failure, GateArgument, MemoryArgument, OsArgument, exit, print};
use crate::image::Image;
use crate::journey::{Hop, Journey, Watch};
use crate::machine::{DEFAULT_HANG_CLOCKS, MachineConfig};
use crate::symbols::Symbols;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// Clock cycles of waveform before and after the journey.
const WAVE_MARGIN: u64 = 100;

/// Arguments of `sysgate journey`.
#[derive(Args, Debug)]
pub struct JourneyArguments {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// How user code enters the kernel
    #[arg(long, value_enum, default_value_t = GateArgument::Sysenter)]
    gate: GateArgument,
    /// Whose services, stubs and version number the image has
    #[arg(long, value_enum, default_value_t = OsArgument::Seven, conflicts_with = "image")]
    os: OsArgument,
    /// Boot the image in this folder, as `sysgate image --out` writes it, instead of the built-in one
    #[arg(long, value_name = "DIR", conflicts_with = "gate")]
    image: Option<PathBuf>,
    /// Follow the call to this symbol instead of the first that reaches another ring
    #[arg(long, value_name = "NAME")]
    call: Option<String>,
    /// Write a waveform of the journey (FST); 10 ns of its time are one clock cycle
    #[arg(long, value_name = "FILE")]
    wave: Option<PathBuf>,
    /// Also print who spent the cycles
    #[arg(long)]
    bill: bool,
    /// End after this many clock cycles
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    max_cycles: u64,
    /// Count this many clock cycles without a retired instruction as a hang
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HANG_CLOCKS)]
    hang_cycles: u64,
    /// Let memory answer after random wait states made from this seed
    #[arg(long, value_name = "SEED")]
    wait_states: Option<u64>,
    /// What RAM is made of
    #[arg(long, value_enum, default_value_t = MemoryArgument::Bram)]
    memory: MemoryArgument,
}

impl JourneyArguments {
    /// Boots the image, follows the call, prints the path.
    ///
    /// # Errors
    /// A bad image, a run that does not end as it should, a journey that does not come back.
    pub fn run(self) -> Result<u8, Failure> {
        let image = match &self.image {
            Some(folder) => Image::read(folder)?,
            None => Image::build_version(
                self.gate.into(),
                self.os.into(),
                firmware::Program::Greeting,
            )?,
        };
        let symbols = Arc::new(Symbols::new(image.symbols));
        let called = self
            .call
            .as_deref()
            .map(|name| symbols.address_of(name))
            .transpose()?;
        let hang_cycles = self.hang_cycles.max(1);
        let setup = Setup {
            config: MachineConfig {
                ram_bytes: spec::memory_map::DEFAULT_RAM_BYTES,
                shadow: false,
                rom: image.rom,
                memory: self.memory.kind(self.wait_states)?,
                wait_seed: self.wait_states,
                hang_clocks: hang_cycles,
                keep_retired: true,
                keep_ports: false,
            },
            loads: Vec::new(),
            symbols: Arc::clone(&symbols),
        };
        let options = Options {
            max_cycles: Some(self.max_cycles),
            observe: true,
            ..Options::default()
        };
        let mut watch = Watch::new(called);
        let end = session::run(&setup, &options, &mut |instruction| {
            watch.push(instruction, &symbols);
            watch.finished().is_none()
        })?;
        let code = end.code(hang_cycles);
        if let Some(path) = &self.wave {
            // The second run is the first, cycle by cycle; now it is known where the journey lies.
            let (from, to) = watch.cycles().unwrap_or((0, end.cycle));
            let window = Window::Between(from.saturating_sub(WAVE_MARGIN), to + WAVE_MARGIN);
            session::replay(&setup, &end, path, Windows::new(&[window], &symbols)?)?;
        }
        let unfinished = watch.unfinished().map(reached);
        let Some(mut journey) = watch.into_finished() else {
            code?;
            let what = unfinished
                .unwrap_or_else(|| "no call left the top layer for another ring".to_string());
            return Err(Failure::new(
                exit::NO_JOURNEY,
                format!("the journey is not complete: {what}; {}", end.place),
            ));
        };
        journey.console = String::from_utf8_lossy(&end.console).into_owned();
        let text = if self.json {
            serde_json::to_string_pretty(&journey)? + "\n"
        } else {
            self.report(&journey)
        };
        print(&text)?;
        code
    }

    fn report(&self, journey: &Journey) -> String {
        let mut text = journey.table();
        if self.bill {
            text += &format!("\n{}", journey.bill());
        }
        text += &format!("\nconsole:\n{}\n", journey.console.trim_end());
        if let Some(path) = &self.wave {
            text += &format!("\nwaveform: {}\n", path.display());
        }
        text
    }
}

fn reached(hops: &[Hop]) -> String {
    let last = hops.last().expect("a path has a hop");
    format!(
        "after {} hops it is in {}!{}+{:#x}",
        hops.len(),
        last.module,
        last.symbol,
        last.offset
    )
}
