//! `sysgate bench`.

use super::{Failure, MemoryArgument, exit, interrupted, print};
use crate::bench::clocks::{self, Measured};
use crate::bench::programs::{self, Counted};
use crate::bench::simulation::{self, Speed};
use crate::bench::stalls;
use crate::bench::{BenchError, Observer};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// What `--help` says at its end.
pub const AFTER_HELP: &str = "\
Examples:
  sysgate bench                     everything, as tables
  sysgate bench clocks              clocks of single operations beside an i486 and a Pentium
  sysgate bench programs --json     instructions, clocks and their ratio of each C kernel
  sysgate bench simulation          simulated clocks and instructions a second, without trace

JSON, of what was asked for:
  {\"clocks\":[{\"name\",\"cycles\",\"i486\",\"pentium\"}],
   \"programs\":[{\"name\",\"instructions\",\"cycles\",\"cpi\",\"branch_share\",\"load_share\",
               \"stalls\":{reason:clocks}}],
   \"simulation\":{\"clocks_per_second\",\"instructions_per_second\"}}

Exit codes:
  0    measured, fast or slow
  2    the arguments could not be understood
  10   a guest did not end as it must, or a program computed a wrong result
  130  interrupted (Ctrl-C)";

/// Arguments of `sysgate bench`.
#[derive(Args, Debug)]
pub struct BenchArguments {
    /// Measure only this
    #[arg(value_enum)]
    what: Option<What>,
    /// What the RAM of the C kernels' machine is made of; all else is measured with block RAM
    #[arg(long, value_enum, default_value_t = MemoryArgument::Bram)]
    memory: MemoryArgument,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Clocks of single operations, beside an i486 and a Pentium
    Clocks,
    /// C kernels: instructions, clocks, clocks per instruction
    Programs,
    /// How fast the chip is simulated
    Simulation,
}

/// Says on stderr what is measured, once it has taken longer than [`QUIET`].
struct Progress {
    what: &'static str,
    said: Instant,
}

/// Time without a word.
const QUIET: Duration = Duration::from_secs(2);

impl Progress {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            said: Instant::now(),
        }
    }
}

impl Observer for Progress {
    fn next(&mut self, name: &str, index: usize, count: usize) {
        if self.said.elapsed() >= QUIET {
            self.said = Instant::now();
            eprintln!("{}: {} of {count}, {name}", self.what, index + 1);
        }
    }

    fn go_on(&mut self) -> bool {
        !interrupted()
    }
}

impl BenchArguments {
    /// Measures and prints.
    ///
    /// # Errors
    /// A guest that does not end as it must, a wrong result, Ctrl-C.
    pub fn run(self) -> Result<u8, Failure> {
        let memory = self.memory.kind(None)?;
        let wanted = |what| self.what.is_none_or(|only| only == what);
        let mut object = serde_json::Map::new();
        if wanted(What::Clocks) {
            let rows =
                clocks::measure(clocks::ROWS, &mut Progress::new("clocks")).map_err(failure)?;
            self.show(
                &mut object,
                "clocks",
                clocks_json(&rows),
                clocks_text(&rows),
            )?;
        }
        if wanted(What::Programs) {
            let rows = programs::measure(&programs::all(), memory, &mut Progress::new("programs"))
                .map_err(failure)?;
            self.show(
                &mut object,
                "programs",
                programs_json(&rows),
                programs_text(&rows),
            )?;
        }
        if wanted(What::Simulation) {
            let speed = simulation::measure(&mut Progress::new("simulation")).map_err(failure)?;
            self.show(
                &mut object,
                "simulation",
                simulation_json(&speed),
                simulation_text(&speed),
            )?;
        }
        if self.json {
            print(&format!("{:#}\n", Value::Object(object)))?;
        }
        Ok(exit::SUCCESS)
    }

    /// A part's table at once, or its JSON with the rest at the end.
    fn show(
        &self,
        object: &mut serde_json::Map<String, Value>,
        key: &str,
        value: Value,
        text: String,
    ) -> Result<(), Failure> {
        if self.json {
            object.insert(key.to_string(), value);
        } else {
            // A line between two tables.
            let gap = if self.what.is_none() && key != "clocks" {
                "\n"
            } else {
                ""
            };
            print(&format!("{gap}{text}"))?;
        }
        Ok(())
    }
}

fn failure(error: BenchError) -> Failure {
    let code = match error {
        BenchError::Interrupted => exit::INTERRUPTED,
        _ => exit::ERROR,
    };
    Failure::new(code, error.to_string())
}

/// Four digits behind the point are all that a figure means.
fn rounded(figure: f64) -> f64 {
    (figure * 10_000.0).round() / 10_000.0
}

fn clocks_json(rows: &[Measured]) -> Value {
    rows.iter()
        .map(|row| {
            json!({
                "name": row.name,
                "cycles": rounded(row.cycles),
                "i486": row.i486.map(|published| published.high),
                "pentium": row.pentium.map(|published| published.high),
            })
        })
        .collect()
}

fn clocks_text(rows: &[Measured]) -> String {
    let mut text = format!(
        "{:34} {:>8} {:>6} {:>8}\n",
        "clocks, steady state", "SysGate", "i486*", "Pentium*"
    );
    for row in rows {
        let figure = |published: Option<clocks::Published>| {
            published.map_or("-".to_string(), |published| published.to_string())
        };
        let mark = if row.is_above_the_i486() {
            "  above the 486"
        } else {
            ""
        };
        writeln!(
            text,
            "{:34} {:8.2} {:>6} {:>8}{mark}",
            row.name,
            row.cycles,
            figure(row.i486),
            figure(row.pentium)
        )
        .unwrap();
    }
    let above = rows.iter().filter(|row| row.is_above_the_i486()).count();
    let compared = rows.iter().filter(|row| row.i486.is_some()).count();
    writeln!(text, "{above} of {compared} rows are above the 486").unwrap();
    text + "* published timings for hits in the cache, from memory, not verified; of a range the upper figure counts\n"
}

fn programs_json(rows: &[Counted]) -> Value {
    rows.iter()
        .map(|row| {
            json!({
                "name": row.name,
                "instructions": row.instructions,
                "cycles": row.cycles,
                "cpi": rounded(row.cpi()),
                "branch_share": rounded(row.branch_share()),
                "load_share": rounded(row.load_share()),
                "stalls": stalls_json(row),
            })
        })
        .collect()
}

fn programs_text(rows: &[Counted]) -> String {
    let mut text = format!(
        "{:12} {:>12} {:>9} {:>6} {:>9} {:>16}\n",
        "program", "instructions", "clocks", "CPI", "branches", "loads and stores"
    );
    for row in rows {
        writeln!(
            text,
            "{:12} {:12} {:9} {:6.3} {:7.1} % {:14.1} %",
            row.name,
            row.instructions,
            row.cycles,
            row.cpi(),
            100.0 * row.branch_share(),
            100.0 * row.load_share()
        )
        .unwrap();
    }
    writeln!(
        text,
        "geometric mean of CPI: {:.3}",
        programs::geometric_mean_of_cpi(rows)
    )
    .unwrap();
    let compiler = programs::COMPILER.trim().replace('\n', ", ");
    writeln!(text, "compiled by {compiler}").unwrap();
    text + &stalls_text(rows)
}

/// Reasons that cost the program a clock at least.
fn stalls_json(row: &Counted) -> Value {
    let reasons = (0..stalls::REASONS).filter(|&reason| row.stalls[reason] > 0);
    let entries =
        reasons.map(|reason| (stalls::name(reason).to_string(), row.stalls[reason].into()));
    Value::Object(entries.collect())
}

/// A line for each reason that any program has, in parts of its clocks.
fn stalls_text(rows: &[Counted]) -> String {
    let mut text = format!("\n{:56}", "clocks in which nothing retires, %");
    for row in rows {
        write!(text, "{:>10}", row.name).unwrap();
    }
    text.push('\n');
    for reason in 0..stalls::REASONS {
        if rows.iter().all(|row| row.stalls[reason] == 0) {
            continue;
        }
        write!(text, "{:56}", stalls::name(reason)).unwrap();
        for row in rows {
            let share = 100.0 * row.stalls[reason] as f64 / row.cycles as f64;
            write!(text, "{share:10.1}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn simulation_json(speed: &Speed) -> Value {
    json!({
        "clocks_per_second": speed.clocks_per_second().round(),
        "instructions_per_second": speed.instructions_per_second().round(),
    })
}

fn simulation_text(speed: &Speed) -> String {
    format!(
        "simulation without trace, one thread: {:.0} clocks/s, {:.0} instructions/s ({} clocks in {:.2} s)\n",
        speed.clocks_per_second(),
        speed.instructions_per_second(),
        speed.clocks,
        speed.time.as_secs_f64()
    )
}
