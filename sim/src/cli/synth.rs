//! `sysgate synth`.

use super::{Failure, GateArgument, MemoryArgument, OsArgument, built_in, exit, print};
use crate::board::report::{Cells, Report};
use crate::board::synthesis::{Routed, Synthesis, Top};
use crate::board::tools::target_folder;
use crate::image::Image;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  sysgate synth --board ulx3s-85f                     the bitstream, in target/synth
  sysgate synth --board ulx3s-85f --firmware-only --gate int2e
                                                      another image in the same routed design
  sysgate synth --board ulx3s-85f --firmware-only --bill
                                                      the image whose bill `sysgate console --bill` compares
  sysgate synth --top core --seeds 3                  size and clock of the core alone

Exit codes: 0 done; 28 the bitstream is written, but the clock is not met; 10 something failed; 130 interrupted.";

/// Arguments of `sysgate synth`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SynthArguments {
    /// The board
    #[arg(long, value_enum, default_value_t = Board::Ulx3s85f)]
    board: Board,
    /// What to build: only the board becomes a bitstream
    #[arg(long, value_enum, default_value_t = TopArgument::Board)]
    top: TopArgument,
    /// What the board's RAM is made of
    #[arg(long, value_enum, default_value_t = MemoryArgument::Bram)]
    memory: MemoryArgument,
    /// The chip's clock in MHz: 25, 35, 40 or 50
    #[arg(long, value_name = "MHZ", default_value_t = spec::clock::CLOCK_HZ / 1_000_000)]
    freq: u64,
    /// Seed of the placement
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Place with this many seeds from --seed on and keep the fastest
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// Make the netlist and count its cells, no more
    #[arg(long)]
    synth_only: bool,
    /// Fail if the netlist takes more than constraints/ulx3s/budget.json allows
    #[arg(long)]
    check_budget: bool,
    /// Put the image into the design that is routed already
    #[arg(long, conflicts_with_all = ["synth_only", "seeds"])]
    firmware_only: bool,
    /// The image in this folder, as `sysgate image --out` writes it, instead of the built-in one
    #[arg(long, value_name = "DIR")]
    image: Option<PathBuf>,
    /// How user code of the built-in image enters the kernel
    #[arg(long, value_enum, default_value_t = GateArgument::Sysenter, conflicts_with = "image")]
    gate: GateArgument,
    /// The built-in image that prints its own bill: the clocks of each hop of WriteFile, by RDTSC
    #[arg(long, conflicts_with = "image")]
    bill: bool,
    /// Where everything is written [default: target/synth/<top>-<MHz>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// `--board`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// Radiona ULX3S with an LFE5U-85F
    #[value(name = "ulx3s-85f")]
    Ulx3s85f,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum TopArgument {
    /// The core alone, without pins
    Core,
    /// The core with its devices, without pins
    Chip,
    /// Everything
    Board,
}

/// What the netlist of each top may take at most.
const BUDGET: &str = include_str!("../../../constraints/ulx3s/budget.json");

impl SynthArguments {
    /// Builds what was asked for.
    ///
    /// # Errors
    /// Tools that cannot be laid, a design that does not fit, a clock that is not met.
    pub fn run(self) -> Result<u8, Failure> {
        let began = Instant::now();
        let clock_hz = self.freq * 1_000_000;
        if !spec::clock::PLLS.iter().any(|pll| pll.clock_hz == clock_hz) {
            let known: Vec<String> = spec::clock::PLLS
                .iter()
                .map(|pll| (pll.clock_hz / 1_000_000).to_string())
                .collect();
            return Err(Failure::new(
                exit::USAGE,
                format!(
                    "--freq {}: the known clocks are {} MHz",
                    self.freq,
                    known.join(", ")
                ),
            ));
        }
        let (top, name) = match self.top {
            TopArgument::Core => (Top::Core, "core"),
            TopArgument::Chip => (Top::Chip, "chip"),
            TopArgument::Board => match self.memory {
                MemoryArgument::Bram => (Top::Ulx3s, "ulx3s"),
                MemoryArgument::Sdram => (Top::Ulx3sSdram, "ulx3s_sdram"),
            },
        };
        let folder = self.out.clone().unwrap_or_else(|| {
            target_folder()
                .join("synth")
                .join(format!("{name}-{}", self.freq))
        });
        let image = match &self.image {
            _ if !top.is_board() => None,
            Some(folder) => Some(Image::read(folder)?),
            None => Some(built_in(self.gate, OsArgument::Seven, self.bill)?),
        };
        let synthesis = Synthesis::new(top, clock_hz, &folder)?;
        if self.firmware_only {
            let image = image.ok_or("--firmware-only needs --top board")?;
            let [bitstream, svf] = synthesis.pack(self.seed, &image.rom)?;
            eprintln!("{:.1} s", began.elapsed().as_secs_f64());
            print(&format!("{}\n{}\n", bitstream.display(), svf.display()))?;
            return Ok(exit::SUCCESS);
        }
        let cells = synthesis.netlist()?;
        if self.check_budget {
            check_budget(name, &cells)?;
        }
        if self.synth_only {
            return self.print_cells(&cells);
        }
        let mut best: Option<Routed> = None;
        for seed in self.seed..self.seed + self.seeds.max(1) {
            let routed = synthesis.route(seed)?;
            if self.seeds > 1 {
                eprintln!("seed {seed}: {:.2} MHz", routed.report.fmax_mhz);
            }
            if best
                .as_ref()
                .is_none_or(|best| routed.report.fmax_mhz > best.report.fmax_mhz)
            {
                best = Some(routed);
            }
        }
        let best = best.ok_or("no seed was tried")?;
        let bitstream = match image {
            Some(image) => Some(synthesis.pack(best.seed, &image.rom)?),
            None => None,
        };
        let met = best.report.fmax_mhz >= self.freq as f64;
        let report = &best.report;
        if self.json {
            let text = json!({
                "lut4": report.lut4,
                "ff": report.ff,
                "bram": report.bram,
                "mult": report.mult,
                "fmax_mhz": report.fmax_mhz,
                "target_mhz": self.freq,
                "met": met,
                "seed": best.seed,
                "seconds": began.elapsed().as_secs(),
                "bitstream": bitstream.as_ref().map(|[bitstream, _]| bitstream),
                "modules": cells.modules,
                "critical_path": report.critical_path,
            });
            print(&format!("{text:#}\n"))?;
        } else {
            print(&text(&best, &cells))?;
            for path in bitstream.iter().flatten() {
                print(&format!("{}\n", path.display()))?;
            }
        }
        if met {
            Ok(exit::SUCCESS)
        } else {
            Err(Failure::new(
                exit::TIMING,
                format!(
                    "the design reaches {:.2} MHz, {} are wanted{}; try --seeds 4 or a lower --freq",
                    report.fmax_mhz,
                    self.freq,
                    if bitstream.is_some() {
                        " (the bitstream is written all the same)"
                    } else {
                        ""
                    }
                ),
            ))
        }
    }

    fn print_cells(&self, cells: &Cells) -> Result<u8, Failure> {
        if self.json {
            print(&format!("{:#}\n", json!(cells)))?;
        } else {
            let Cells {
                lut4,
                ff,
                bram,
                mult,
                ..
            } = cells;
            print(&format!(
                "{lut4} LUTs, {ff} registers, {bram} block RAMs, {mult} multipliers\n{}",
                modules(cells)
            ))?;
        }
        Ok(exit::SUCCESS)
    }
}

fn text(best: &Routed, cells: &Cells) -> String {
    let Report {
        lut4,
        ff,
        bram,
        mult,
        fmax_mhz,
        critical_path,
        logic_ns,
    } = &best.report;
    let mut text = format!(
        "{lut4} LUTs (TRELLIS_COMB), {ff} registers, {bram} block RAMs, {mult} multipliers\n{fmax_mhz:.2} MHz with seed {}\n{}",
        best.seed,
        modules(cells)
    );
    let total = critical_path.last().map_or(0.0, |hop| hop.ns);
    text += &format!("critical path: {total:.2} ns, {logic_ns:.2} ns of it in logic\n");
    for hop in critical_path {
        text += &format!("  {:6.2} ns  {}\n", hop.ns, hop.signal);
    }
    text
}

fn modules(cells: &Cells) -> String {
    let mut text = "largest parts:\n".to_string();
    for module in cells.modules.iter().take(12) {
        text += &format!(
            "  {:6} LUTs  {:5} registers  {:3} block RAMs  {}\n",
            module.lut4, module.ff, module.bram, module.name
        );
    }
    text
}

fn check_budget(top: &str, cells: &Cells) -> Result<(), Failure> {
    let budget: serde_json::Value = serde_json::from_str(BUDGET)?;
    let figures = [
        ("lut4", cells.lut4),
        ("ff", cells.ff),
        ("bram", cells.bram),
        ("mult", cells.mult),
    ];
    for (name, count) in figures {
        let allowed = budget[top][name]
            .as_u64()
            .ok_or_else(|| format!("constraints/ulx3s/budget.json has no {top}.{name}"))?;
        if count > allowed {
            return Err(format!(
                "the {top} takes {count} {name}, constraints/ulx3s/budget.json allows {allowed}"
            )
            .into());
        }
    }
    Ok(())
}
