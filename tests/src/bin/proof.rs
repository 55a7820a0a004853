//! Records, packs and replays what the machine is proved against.

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::bochs;
use tests::campaign::{self, Case, Oracle, Report, Settings, Shard};
use tests::decode::{self, model::Model};
use tests::random::Random;
use tests::silicon::machine::{Simulated, replay_on_all_cores};
use tests::silicon::replay::replay;
use tests::silicon::{self, pack, record};

/// Records, packs and replays what the machine is proved against
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs random instructions on this host's processor and writes what they did as a vector file
    Record {
        /// The vector file to write
        #[arg(long)]
        out: PathBuf,
        /// What the cases are drawn from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Cases of each encoding
        #[arg(long, default_value_t = 20)]
        per_encoding: usize,
        /// Only this encoding, as iced-x86 names it
        #[arg(long)]
        encoding: Option<String>,
        /// Instead of random cases, the permission matrix of segments
        #[arg(long, conflicts_with_all = ["per_encoding", "encoding"])]
        protection: bool,
    },
    /// All random oracles for as long as one likes; exits with 1 if anything differs, with 130 if it was interrupted
    Campaign {
        /// What all cases are drawn from
        #[arg(long)]
        seed: u64,
        /// Which part: case n belongs to shard n modulo N
        #[arg(long, value_name = "I/N", default_value = "0/1")]
        shard: Shard,
        /// Begins no case after this time
        #[arg(long, value_parser = minutes)]
        minutes: Option<Duration>,
        /// Ends after so many cases of this shard
        #[arg(long)]
        cases: Option<u64>,
        /// Only the cases of this oracle
        #[arg(long)]
        only: Option<Oracle>,
        /// Only the case of this number: what a difference names
        #[arg(long, conflicts_with_all = ["shard", "minutes", "cases", "only", "out"])]
        case: Option<u64>,
        /// Writes a report (JSON) for `merge`, whole or not at all
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Adds the reports of a campaign's shards; exits with 1 if anything differs or a shard is missing
    Merge {
        /// The reports
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
    /// Whole-system programs on Bochs (Debian: bochs, bochs-term)
    Bochs {
        #[command(subcommand)]
        command: BochsCommand,
    },
    /// Compares the length decoder in Verilator with iced-x86; exits with 1 if they differ
    Decode {
        /// Strings of random bytes to decode, besides all opcodes with all ModRM bytes
        #[arg(long, default_value_t = 10_000_000)]
        count: usize,
        /// What they are drawn from
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Makes a smaller vector file with some cases of each encoding
    Pack {
        /// The vector file to choose from
        input: PathBuf,
        /// Cases to keep of each encoding
        #[arg(long, default_value_t = 20)]
        per_encoding: usize,
        /// The vector file to write
        #[arg(long, default_value = "tests/vectors/silicon.bin.xz")]
        out: PathBuf,
    },
    /// Runs the cases of a vector file on the simulated machine; exits with 1 if any ends otherwise, with 2 if it cannot
    Replay {
        /// The vector file
        file: PathBuf,
        /// Only this encoding, as iced-x86 names it: `Add_rm8_r8`
        #[arg(long)]
        encoding: Option<String>,
        /// Only the case of this number in the file, from 0
        #[arg(long)]
        case: Option<usize>,
        /// Random wait states on both memory ports, from this seed
        #[arg(long)]
        wait_seed: Option<u64>,
        /// Writes a waveform (FST) of the run
        #[arg(long)]
        wave: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum BochsCommand {
    /// Runs programs on Bochs and writes the state before each instruction
    Record {
        /// The programs, or none for all
        programs: Vec<String>,
        /// The folder to write to
        #[arg(long, default_value = "tests/vectors/bochs")]
        out: PathBuf,
    },
    /// Runs programs on the machine alone; exits with 1 if one does not come to its end
    Run {
        /// The programs, or none for all
        programs: Vec<String>,
    },
    /// Writes the ROM of a program, for a look at it with `sysgate run --bios` or `sysgate debug --bios`
    Rom {
        /// The program
        program: String,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Compares the machine with recordings; exits with 1 if it differs
    Replay {
        /// The programs, or none for all that are recorded
        programs: Vec<String>,
        /// The folder with the recordings
        #[arg(long, default_value = "tests/vectors/bochs")]
        from: PathBuf,
        /// Random wait states on both memory ports, from this seed
        #[arg(long)]
        wait_seed: Option<u64>,
    },
}

/// The programs of these names, or all.
fn bochs_programs(names: &[String]) -> anyhow::Result<Vec<(String, bochs::system::Program)>> {
    let all = bochs::programs::names();
    let names = if names.is_empty() { &all } else { names };
    let named = |name: &String| {
        let program = bochs::programs::named(name);
        let known = || {
            bochs::programs::PROGRAMS
                .iter()
                .map(|row| row.0)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let program = program.with_context(|| {
            format!(
                "no program `{name}`; there are {}, and random-N and mixed-N for any N",
                known()
            )
        })?;
        Ok((name.clone(), program))
    };
    names.iter().map(named).collect()
}

fn run_bochs(command: BochsCommand) -> anyhow::Result<ExitCode> {
    let mut print = std::io::stdout().lock();
    let mut failed = false;
    match command {
        BochsCommand::Record { programs, out } => {
            std::fs::create_dir_all(&out)
                .with_context(|| format!("cannot create {}", out.display()))?;
            for (name, program) in bochs_programs(&programs)? {
                let rows = bochs::record::record(&program).with_context(|| name.clone())?;
                let bytes =
                    bochs::trace::write(&out.join(format!("{name}.xz")), &program.rom, &rows)?;
                writeln!(print, "{name}: {} instructions, {bytes} bytes", rows.len())?;
            }
        }
        BochsCommand::Run { programs } => {
            for (name, program) in bochs_programs(&programs)? {
                match bochs::replay::rows_of_machine(&program) {
                    Ok(rows) => writeln!(print, "{name}: {} instructions", rows.len())?,
                    Err(error) => {
                        failed = true;
                        writeln!(print, "{name}: {error}")?;
                    }
                }
            }
        }
        BochsCommand::Rom { program, out } => {
            let (_, program) = bochs_programs(&[program])?.remove(0);
            std::fs::write(&out, program.rom)
                .with_context(|| format!("cannot write {}", out.display()))?;
        }
        BochsCommand::Replay {
            programs,
            from,
            wait_seed,
        } => {
            let programs = if programs.is_empty() {
                bochs::programs::recorded(&from)
                    .with_context(|| format!("cannot read {}", from.display()))?
            } else {
                programs
            };
            for (name, program) in bochs_programs(&programs)? {
                let rows = bochs::trace::read(&from.join(format!("{name}.xz")), &program.rom)?;
                let report = bochs::replay::replay(&program, &rows, wait_seed);
                match report.difference {
                    None if report.is_cut => writeln!(
                        print,
                        "{name}: {} instructions, all equal up to a store to the ROM",
                        report.equal
                    )?,
                    None => writeln!(print, "{name}: {} instructions, all equal", report.equal)?,
                    Some(difference) => {
                        failed = true;
                        writeln!(
                            print,
                            "{name}: {} instructions equal, then {difference}",
                            report.equal
                        )?;
                    }
                }
            }
        }
    }
    Ok(if failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// Set by Ctrl-C, SIGTERM and SIGHUP.
static STOP: AtomicBool = AtomicBool::new(false);
/// The exit code then.
const INTERRUPTED: u8 = 130;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "expected a number of minutes")?;
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| error.to_string())
}

fn run_campaign(
    settings: &Settings,
    case: Option<u64>,
    out: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    if let Some(folder) = out.and_then(Path::parent)
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        bail!(
            "{} is no folder: a report could not be written",
            folder.display()
        );
    }
    // The first lets the report be written; a second does not wait for it.
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    let mut told = Instant::now();
    let mut broken_pipe = None;
    let tell = |report: &Report, difference: Option<&campaign::Difference>| {
        if let Some(difference) = difference
            && let Err(error) = writeln!(std::io::stdout(), "{difference}")
        {
            broken_pipe.get_or_insert(error);
        } else if told.elapsed() >= PROGRESS {
            told = Instant::now();
            eprintln!("{}", report.summary());
        }
    };
    let report = match case {
        Some(number) => {
            let one = Case::of(settings.seed, number);
            let what = one
                .program()
                .unwrap_or_else(|| format!("seed {}", one.seed));
            writeln!(std::io::stdout(), "case {number}: {}, {what}", one.oracle)?;
            campaign::run_one(settings.seed, number, &STOP, tell)?
        }
        None => campaign::run(settings, &STOP, tell)?,
    };
    if let Some(out) = out {
        report.write(out)?;
    }
    if let Some(error) = broken_pipe {
        return Err(error).context("cannot print a difference");
    }
    let mut print = std::io::stdout().lock();
    for (why, count) in &report.skipped {
        writeln!(print, "{count} skipped: {why}")?;
    }
    writeln!(print, "{}", report.summary())?;
    Ok(match (report.differs(), report.end) {
        (true, _) => ExitCode::FAILURE,
        (false, campaign::End::Interrupted) => ExitCode::from(INTERRUPTED),
        (false, _) => ExitCode::SUCCESS,
    })
}

fn main() -> ExitCode {
    run(Arguments::parse().command).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Record {
            out,
            seed,
            per_encoding,
            encoding,
            protection,
        } => {
            if per_encoding == 0 {
                bail!("--per-encoding 0 would record no case");
            }
            println!("seed {seed:#x}");
            let recording = if protection {
                record::record_protection(seed)?
            } else {
                record::record(seed, per_encoding, encoding.as_deref())?
            };
            if recording.cases.is_empty() {
                bail!("nothing was recorded");
            }
            let bytes = pack::write_file(&out, &recording.cases)
                .with_context(|| format!("cannot write {}", out.display()))?;
            let mut print = std::io::stdout().lock();
            recording.print(&mut print)?;
            writeln!(print, "{bytes} bytes in {}", out.display())?;
        }
        Command::Campaign {
            seed,
            shard,
            minutes,
            cases,
            only,
            case,
            out,
        } => {
            let settings = Settings {
                seed,
                shard,
                only,
                time: minutes,
                cases,
            };
            return run_campaign(&settings, case, out.as_deref());
        }
        Command::Merge { reports } => {
            let read = |path: &PathBuf| Ok((path.display().to_string(), Report::read(path)?));
            let reports: Vec<_> = reports.iter().map(read).collect::<anyhow::Result<_>>()?;
            let merged = campaign::merge(&reports)?;
            merged.print(&mut std::io::stdout().lock())?;
            if !merged.is_good() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Bochs { command } => return run_bochs(command),
        Command::Decode { count, seed } => {
            let model = Model::build("decode-campaign");
            let mut report = decode::compare(&model, &decode::exhaustive(&mut Random::new(seed)));
            report.merge(decode::campaign(&model, count, seed));
            let mut print = std::io::stdout().lock();
            for difference in &report.differences {
                writeln!(print, "{difference}")?;
            }
            let (decoded, instructions) = (report.decoded, report.instructions);
            let failed = report.failed;
            writeln!(print, "{instructions} of {decoded} are instructions")?;
            writeln!(print, "{} passed, {failed} failed", decoded - failed)?;
            if failed != 0 {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Pack {
            input,
            per_encoding,
            out,
        } => {
            if per_encoding == 0 {
                bail!("--per-encoding 0 would leave no case");
            }
            let cases = pack::choose(&silicon::read_file(&input)?, per_encoding);
            let bytes = pack::write_file(&out, &cases)
                .with_context(|| format!("cannot write {}", out.display()))?;
            println!("{} cases, {bytes} bytes in {}", cases.len(), out.display());
        }
        Command::Replay {
            file,
            encoding,
            case,
            wait_seed,
            wave,
        } => {
            let cases = silicon::read_file(&file)?;
            let is_chosen = |number: usize, code| {
                case.is_none_or(|chosen| chosen == number)
                    && encoding
                        .as_ref()
                        .is_none_or(|name| silicon::encoding_name(code).eq_ignore_ascii_case(name))
            };
            let chosen: Vec<_> = cases
                .iter()
                .enumerate()
                .filter(|(number, case)| is_chosen(*number, case.code))
                .collect();
            if chosen.is_empty() {
                bail!(
                    "none of the {} cases in {} is chosen",
                    cases.len(),
                    file.display()
                );
            }
            let report = match wave {
                Some(wave) => {
                    let mut processor = Simulated::new(wait_seed)?;
                    processor.machine().open_wave(&wave)?;
                    let report = replay(&mut processor, chosen, hdl::decode::is_built)
                        .map_err(anyhow::Error::msg)?;
                    processor.machine().close_wave();
                    report
                }
                None => replay_on_all_cores(&chosen, wait_seed)?,
            };
            let waits = wait_seed.map_or(String::new(), |seed| format!(" --wait-seed {seed}"));
            let again = format!(
                "cargo run -p tests --release --bin proof -- replay '{}'{waits} --wave case.fst",
                file.display()
            );
            report.print(&mut std::io::stdout().lock(), Some(&again))?;
            if !report.failed.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
