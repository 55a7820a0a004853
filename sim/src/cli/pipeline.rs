//! `sysgate pipeline`.

use super::guest::GuestArguments;
use super::{Failure, MemoryArgument, exit, interrupted, print};
use crate::bench::clocks;
use crate::diagram::{DiagramError, Range, draw};
use crate::files;
use clap::Args;

/// What `--help` says at its end.
pub const AFTER_HELP: &str = "\
Each instruction has a row, each clock a column:
  D decode  I issue  A address  M memory  E execute; a part of it (a micro-op) retires in that clock
  small     it stays where it was; e: nothing retires
  -         between two stages
  x         dropped: a branch went another way
Below stands in which clocks a stage waited or fetched anew, and why.

Examples:
  sysgate pipeline --row \"call + ret\"               a turn of a row of `sysgate bench clocks`, in steady state
  sysgate pipeline --at nt!KiFastCallEntry           the built-in image, from there on
  sysgate pipeline --at 82801ec0 --time 3 --count 8 --memory sdram

Exit codes:
  0    drawn
  2    the arguments could not be understood
  10   the instruction is not executed so often, or a file is not as it must be
  130  interrupted (Ctrl-C)";

/// Arguments of `sysgate pipeline`.
#[derive(Args, Debug)]
pub struct PipelineArguments {
    /// A turn of this row of `sysgate bench clocks`, in steady state
    #[arg(long, value_name = "NAME", required_unless_present = "at")]
    row: Option<String>,
    /// The first instruction: a symbol or a hexadecimal address (EIP) of the guest
    #[arg(long, value_name = "SYMBOL|ADDRESS", conflicts_with = "row")]
    at: Option<String>,
    /// Which time it is executed
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "row", value_parser = clap::value_parser!(u64).range(1..))]
    time: u64,
    /// Instructions to draw
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1000))]
    count: u64,
    /// Look no further than this clock cycle
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    max_cycles: u64,
    /// What the guest's RAM is made of
    #[arg(long, value_enum, default_value_t = MemoryArgument::Bram, conflicts_with = "row")]
    memory: MemoryArgument,
    #[command(flatten)]
    guest: GuestArguments,
}

fn failure(error: DiagramError) -> Failure {
    let code = match error {
        DiagramError::Interrupted => exit::INTERRUPTED,
        _ => exit::ERROR,
    };
    Failure::new(code, error.to_string())
}

impl PipelineArguments {
    /// Runs the guest twice, to find the instructions and to look at them, and prints the diagram.
    ///
    /// # Errors
    /// Bad arguments and files, and an instruction that is not executed so often.
    pub fn run(self) -> Result<u8, Failure> {
        let count = self.count;
        let mut go_on = || !interrupted();
        let diagram = if let Some(name) = &self.row {
            let row = clocks::ROWS
                .iter()
                .find(|row| row.name == name)
                .ok_or_else(|| {
                    let names: Vec<&str> = clocks::ROWS.iter().map(|row| row.name).collect();
                    let names = names.join("\n  ");
                    Failure::new(
                        exit::USAGE,
                        format!("there is no row \"{name}\"; the rows are\n  {names}"),
                    )
                })?;
            let (machine, eip, time) = clocks::steady_turn(row)?;
            let mut machines = [machine, clocks::steady_turn(row)?.0];
            let range = Range { eip, time, count };
            draw(&mut machines, &range, clocks::MAX_CYCLES, &mut go_on)
        } else {
            let at = self.at.as_deref().unwrap_or_default();
            let memory = self.memory.kind(self.guest.wait_states())?;
            let mut setup = self.guest.setup()?;
            setup.config.memory = memory;
            let eip = setup
                .symbols
                .address_of(at)
                .or_else(|error| files::address(at).map_err(|_| error))?;
            let range = Range {
                eip,
                time: self.time,
                count,
            };
            let mut machines = [setup.build()?, setup.build()?];
            draw(&mut machines, &range, self.max_cycles, &mut go_on)
        }
        .map_err(failure)?;
        print(&diagram)?;
        Ok(exit::SUCCESS)
    }
}
