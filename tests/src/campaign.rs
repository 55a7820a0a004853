//! All random oracles for as long as one likes, in shards that know nothing of each other; and the sum of their reports.
//!
//! Seed and number alone decide what a case is, and case n belongs to shard n mod N: the shards do together what one would do, and
//! any case can be repeated by itself.

use crate::bochs::record as bochs_record;
use crate::bochs::replay::{replay, rows_of_machine};
use crate::bochs::system::Program;
use crate::bochs::trace::Row;
use crate::decode::{self, model::Model};
use crate::random::Random;
use crate::silicon::machine::Simulated;
use crate::silicon::{self, record};
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Cases that a silicon case records of each encoding.
const PER_ENCODING: usize = 4;
/// Strings of bytes that a decode case compares.
const STRINGS: usize = 100_000;
/// Runs with wait states that a wait case compares with the run without.
const WAIT_RUNS: u64 = 2;
/// The format of a report.
const FORMAT: u32 = 1;

/// What a case asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Oracle {
    /// The host's processor: random instructions are recorded on it and replayed.
    Silicon,
    /// iced-x86: random bytes are decoded.
    Decode,
    /// Bochs: a random program runs there and on the machine.
    Bochs,
    /// The machine itself: a random program runs without and with random wait states.
    Wait,
}

impl Oracle {
    /// All, in the order of reports.
    pub const ALL: [Oracle; 4] = [Oracle::Silicon, Oracle::Decode, Oracle::Bochs, Oracle::Wait];

    /// What it counts.
    pub fn unit(self) -> &'static str {
        match self {
            Oracle::Silicon => "recorded instructions",
            Oracle::Decode => "strings of bytes",
            Oracle::Bochs => "instructions",
            Oracle::Wait => "instructions with wait states",
        }
    }
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Oracle::Silicon => "silicon",
            Oracle::Decode => "decode",
            Oracle::Bochs => "bochs",
            Oracle::Wait => "wait",
        })
    }
}

/// One part of a campaign: the cases whose number is `index` modulo `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub count: u64,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected I/N with I from 0 to N-1, found `{text}`");
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let shard = Shard {
            index: index.parse().map_err(|_| wrong())?,
            count: count.parse().map_err(|_| wrong())?,
        };
        (shard.index < shard.count)
            .then_some(shard)
            .ok_or_else(wrong)
    }
}

/// A case of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// From 0.
    pub number: u64,
    /// Who answers it.
    pub oracle: Oracle,
    /// What it is drawn from.
    pub seed: u64,
}

impl Case {
    /// The case of this number in the campaign of a seed.
    pub fn of(campaign: u64, number: u64) -> Self {
        let mut random = Random::silent(Random::silent(campaign).word() ^ number);
        let oracle = match random.below(16) {
            0..5 => Oracle::Silicon,
            5..9 => Oracle::Decode,
            9..13 => Oracle::Bochs,
            _ => Oracle::Wait,
        };
        // Short enough to be typed.
        let seed = random.word() >> 24;
        Case {
            number,
            oracle,
            seed,
        }
    }

    /// The name of the program that it runs, if it is one of whole programs.
    pub fn program(&self) -> Option<String> {
        let kind = if self.seed & 1 == 0 {
            "random"
        } else {
            "mixed"
        };
        matches!(self.oracle, Oracle::Bochs | Oracle::Wait).then(|| format!("{kind}-{}", self.seed))
    }

    /// That program.
    fn make(&self) -> (String, Program) {
        let name = self.program().expect("a case of programs");
        let program = crate::bochs::programs::named(&name).expect("a seed");
        (name, program)
    }
}

/// How a case ended.
enum Outcome {
    /// All of so many checks were equal.
    Equal(u64),
    /// What differs, behind so many that are equal.
    Differs(u64, String),
    /// Why it could not be asked.
    Skipped(String),
}

/// What a shard is to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What all cases are drawn from.
    pub seed: u64,
    /// Which of them.
    pub shard: Shard,
    /// Only those of this oracle.
    pub only: Option<Oracle>,
    /// It begins no case after this time.
    pub time: Option<Duration>,
    /// It ends after so many cases.
    pub cases: Option<u64>,
}

/// Why a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Its time was over.
    Time,
    /// It had done its cases.
    Cases,
    /// It was asked to stop.
    Interrupted,
}

/// What came of the cases of one oracle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Cases that were asked.
    pub cases: u64,
    /// What was compared and equal, in [`Oracle::unit`]s.
    pub equal: u64,
    /// Cases that differ.
    pub differ: u64,
    /// Cases that could not be asked.
    pub skipped: u64,
}

/// A case that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its number.
    pub case: u64,
    /// Who thinks otherwise.
    pub oracle: Oracle,
    /// What differs, in one line or more.
    pub what: String,
    /// The command that repeats this case.
    pub again: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case {} ({}) differs:", self.case, self.oracle)?;
        for line in self.what.lines() {
            writeln!(f, "    {line}")?;
        }
        write!(f, "    again: {}", self.again)
    }
}

/// What a shard did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    format: u32,
    /// Hardware and generators: [`version`].
    pub version: String,
    /// What the cases were drawn from.
    pub seed: u64,
    /// Which of them.
    pub shard: Shard,
    /// If only those of one oracle.
    pub only: Option<Oracle>,
    /// The first case that this shard did not come to.
    pub next_case: u64,
    /// How long it took.
    pub seconds: u64,
    /// Why it ended.
    pub end: End,
    /// By oracle.
    pub tallies: BTreeMap<Oracle, Tally>,
    /// All of them.
    pub differences: Vec<Difference>,
    /// Why cases were not asked, and how many.
    pub skipped: BTreeMap<String, u64>,
}

impl Report {
    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        !self.differences.is_empty()
    }

    /// Writes the report as JSON, whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be written; one that was there is left as it was.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = Path::new(&part);
        let written = std::fs::File::create(part)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(part, path));
        if written.is_err() {
            let _ = std::fs::remove_file(part);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads a report.
    ///
    /// # Errors
    /// A file that cannot be read, or is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", name()))?;
        let report: Report = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no report of a campaign", name()))?;
        ensure!(
            report.format == FORMAT,
            "{} has format {}, this program reads format {FORMAT}",
            name(),
            report.format
        );
        Ok(report)
    }

    /// One line of what was done so far.
    pub fn summary(&self) -> String {
        let cases: u64 = self.tallies.values().map(|tally| tally.cases).sum();
        let parts = self.tallies.iter().map(|(oracle, tally)| {
            let skipped = match tally.skipped {
                0 => String::new(),
                skipped => format!(" ({skipped} cases skipped)"),
            };
            format!("{oracle} {}{skipped}", grouped(tally.equal))
        });
        format!(
            "shard {}: {cases} cases in {} s: {}; {} differ",
            self.shard,
            self.seconds,
            parts.collect::<Vec<_>>().join(", "),
            self.differences.len()
        )
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(",")
}

/// Names the hardware and the generators: reports of different ones are no parts of one campaign.
pub fn version() -> String {
    let mut hasher = crate::bochs::trace::Fnv::default();
    hasher.write(verilator_sys::CHIP_VERILOG.as_bytes());
    hasher.write(&crate::bochs::random::program(0).rom);
    for question in decode::random_questions(&mut Random::silent(0), 100) {
        hasher.write(&question.bytes);
    }
    format!("{} {:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}

/// The command that repeats a case.
pub fn again(seed: u64, case: u64) -> String {
    format!("cargo run -p tests --release --bin proof -- campaign --seed {seed} --case {case}")
}

/// What the cases share: made when the first case needs it.
struct Oracles<'a> {
    decoder: Option<Model>,
    stop: &'a AtomicBool,
}

impl Drop for Oracles<'_> {
    fn drop(&mut self) {
        if let Some(decoder) = self.decoder.take() {
            decoder.remove();
        }
    }
}

impl Oracles<'_> {
    fn ask(&mut self, case: &Case) -> Outcome {
        // A panic is a finding, too, and the others are still to come.
        let asked = catch_unwind(AssertUnwindSafe(|| match case.oracle {
            Oracle::Silicon => silicon(case),
            Oracle::Decode => self.decode(case),
            Oracle::Bochs => self.bochs(case),
            Oracle::Wait => wait(case),
        }));
        asked.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            Outcome::Differs(0, format!("panicked: {}", text.unwrap_or("no reason")))
        })
    }

    fn decode(&mut self, case: &Case) -> Outcome {
        let decoder = self.decoder.get_or_insert_with(|| {
            // Each process has its own: shards may share a folder.
            Model::build(&format!("campaign-{}", std::process::id()))
        });
        let questions = decode::random_questions(&mut Random::silent(case.seed), STRINGS);
        let report = decode::compare(decoder, &questions);
        let equal = (report.decoded - report.failed) as u64;
        if report.failed == 0 {
            return Outcome::Equal(equal);
        }
        let lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        Outcome::Differs(equal, lines.join("\n"))
    }

    fn bochs(&self, case: &Case) -> Outcome {
        if let Some(missing) = bochs_record::missing() {
            return Outcome::Skipped(missing);
        }
        let (name, program) = case.make();
        match bochs_record::record_until(&program, || self.stop.load(Ordering::Relaxed)) {
            Ok(rows) => compared(&name, &program, &rows, None),
            Err(error) => Outcome::Skipped(format!("{name}: {error:#}")),
        }
    }
}

fn silicon(case: &Case) -> Outcome {
    let recording = match record::record(case.seed, PER_ENCODING, None) {
        Ok(recording) => recording,
        Err(error) => return Outcome::Skipped(format!("{error:#}")),
    };
    // Half of them with wait states.
    let wait_seed = (case.seed & 1 != 0).then_some(case.seed);
    let numbered = recording.cases.iter().enumerate();
    let replayed = Simulated::new(wait_seed).and_then(|mut machine| {
        silicon::replay::replay(&mut machine, numbered, hdl::decode::is_built)
            .map_err(anyhow::Error::msg)
    });
    match replayed {
        Ok(report) if report.failed.is_empty() => Outcome::Equal(report.passed as u64),
        Ok(report) => {
            let failures: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
            Outcome::Differs(report.passed as u64, failures.join(""))
        }
        Err(error) => Outcome::Differs(0, format!("{error:#}")),
    }
}

fn wait(case: &Case) -> Outcome {
    let (name, program) = case.make();
    let rows = match rows_of_machine(&program) {
        Ok(rows) => rows,
        Err(error) => return Outcome::Differs(0, format!("{name}: {error}")),
    };
    let mut equal = 0;
    for run in 1..=WAIT_RUNS {
        match compared(&name, &program, &rows, Some(case.seed ^ run)) {
            Outcome::Equal(more) => equal += more,
            other => return other,
        }
    }
    Outcome::Equal(equal)
}

/// The program on the machine against these rows.
fn compared(name: &str, program: &Program, rows: &[Row], wait_seed: Option<u64>) -> Outcome {
    let report = replay(program, rows, wait_seed);
    let equal = report.equal as u64;
    match report.difference {
        None => Outcome::Equal(equal),
        Some(difference) => {
            let waits = wait_seed.map_or(String::new(), |seed| format!(", wait seed {seed}"));
            Outcome::Differs(
                equal,
                format!("{name}{waits}: {equal} instructions equal, then {difference}"),
            )
        }
    }
}

/// Whether there is anything that `settings` would do.
fn check(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.time.is_some() || settings.cases.is_some(),
        "a campaign needs an end: --minutes, --cases or --case"
    );
    Ok(())
}

/// Runs a shard. `tell` hears of each difference, and of the report as it grows, behind each case.
///
/// # Errors
/// Settings without an end.
pub fn run(
    settings: &Settings,
    stop: &AtomicBool,
    mut tell: impl FnMut(&Report, Option<&Difference>),
) -> anyhow::Result<Report> {
    check(settings)?;
    let numbers = (settings.shard.index..).step_by(settings.shard.count as usize);
    let cases = numbers
        .map(|number| Case::of(settings.seed, number))
        .filter(|case| settings.only.is_none_or(|only| only == case.oracle));
    run_cases(settings, cases, stop, &mut tell)
}

/// Runs the case of this number.
///
/// # Errors
/// None at present.
pub fn run_one(
    seed: u64,
    number: u64,
    stop: &AtomicBool,
    mut tell: impl FnMut(&Report, Option<&Difference>),
) -> anyhow::Result<Report> {
    let settings = Settings {
        seed,
        shard: Shard { index: 0, count: 1 },
        only: None,
        time: None,
        cases: Some(1),
    };
    let cases = std::iter::once(Case::of(seed, number));
    run_cases(&settings, cases, stop, &mut tell)
}

fn run_cases(
    settings: &Settings,
    cases: impl Iterator<Item = Case>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&Report, Option<&Difference>),
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let mut oracles = Oracles {
        decoder: None,
        stop,
    };
    let mut report = Report {
        format: FORMAT,
        version: version(),
        seed: settings.seed,
        shard: settings.shard,
        only: settings.only,
        next_case: settings.shard.index,
        seconds: 0,
        end: End::Cases,
        tallies: BTreeMap::new(),
        differences: Vec::new(),
        skipped: BTreeMap::new(),
    };
    for (done, case) in (0..).zip(cases) {
        report.next_case = case.number;
        if settings.cases.is_some_and(|cases| done >= cases) {
            break;
        }
        if settings.time.is_some_and(|time| begin.elapsed() >= time) {
            report.end = End::Time;
            break;
        }
        let outcome = oracles.ask(&case);
        // What was stopped in its middle tells nothing.
        if stop.load(Ordering::Relaxed) {
            report.end = End::Interrupted;
            break;
        }
        report.next_case = case.number + settings.shard.count;
        report.seconds = begin.elapsed().as_secs();
        let tally = report.tallies.entry(case.oracle).or_default();
        tally.cases += 1;
        match outcome {
            Outcome::Equal(equal) => tally.equal += equal,
            Outcome::Skipped(why) => {
                tally.skipped += 1;
                *report.skipped.entry(why).or_default() += 1;
            }
            Outcome::Differs(equal, what) => {
                tally.equal += equal;
                tally.differ += 1;
                let difference = Difference {
                    case: case.number,
                    oracle: case.oracle,
                    what,
                    again: again(settings.seed, case.number),
                };
                tell(&report, Some(&difference));
                report.differences.push(difference);
            }
        }
        tell(&report, None);
    }
    report.seconds = begin.elapsed().as_secs();
    Ok(report)
}

/// The sum of the reports of one campaign.
#[derive(Debug)]
pub struct Merged {
    /// What all reports agree in.
    pub version: String,
    /// The same.
    pub seed: u64,
    /// How many shards the campaign has.
    pub shards: u64,
    /// The indices of those without a report.
    pub missing: Vec<u64>,
    /// The indices of those that were interrupted.
    pub interrupted: Vec<u64>,
    /// Of all shards together.
    pub seconds: u64,
    /// By oracle.
    pub tallies: BTreeMap<Oracle, Tally>,
    /// In the order of their cases.
    pub differences: Vec<Difference>,
    /// Why cases were not asked, and how many.
    pub skipped: BTreeMap<String, u64>,
}

/// Adds reports; each comes with the name of its file.
///
/// # Errors
/// Reports that are no parts of one campaign, or two of one shard.
pub fn merge(reports: &[(String, Report)]) -> anyhow::Result<Merged> {
    let Some((first_name, first)) = reports.first() else {
        bail!("there is no report to merge");
    };
    let mut by_shard: BTreeMap<u64, &str> = BTreeMap::new();
    for (name, report) in reports {
        let same = |what: &str, own: &dyn fmt::Debug, others: &dyn fmt::Debug| {
            ensure!(
                format!("{own:?}") == format!("{others:?}"),
                "{name} has {what} {own:?}, {first_name} has {others:?}: they are no parts of one campaign"
            );
            Ok(())
        };
        same("version", &report.version, &first.version)?;
        same("seed", &report.seed, &first.seed)?;
        same(
            "a number of shards of",
            &report.shard.count,
            &first.shard.count,
        )?;
        same("the choice of oracles", &report.only, &first.only)?;
        ensure!(
            report.shard.index < report.shard.count,
            "{name} says that it is shard {}: expected one below {}",
            report.shard,
            report.shard.count
        );
        if let Some(other) = by_shard.insert(report.shard.index, name) {
            bail!("{other} and {name} are both shard {}", report.shard);
        }
    }
    let mut merged = Merged {
        version: first.version.clone(),
        seed: first.seed,
        shards: first.shard.count,
        missing: (0..first.shard.count)
            .filter(|index| !by_shard.contains_key(index))
            .collect(),
        interrupted: Vec::new(),
        seconds: 0,
        tallies: BTreeMap::new(),
        differences: Vec::new(),
        skipped: BTreeMap::new(),
    };
    for (_, report) in reports {
        if report.end == End::Interrupted {
            merged.interrupted.push(report.shard.index);
        }
        merged.seconds += report.seconds;
        for (oracle, tally) in &report.tallies {
            let sum = merged.tallies.entry(*oracle).or_default();
            sum.cases += tally.cases;
            sum.equal += tally.equal;
            sum.differ += tally.differ;
            sum.skipped += tally.skipped;
        }
        merged
            .differences
            .extend(report.differences.iter().cloned());
        for (why, count) in &report.skipped {
            *merged.skipped.entry(why.clone()).or_default() += count;
        }
    }
    merged.interrupted.sort_unstable();
    merged.differences.sort_by_key(|difference| difference.case);
    Ok(merged)
}

impl Merged {
    /// Whether all shards are there and nothing differs.
    pub fn is_good(&self) -> bool {
        self.missing.is_empty() && self.differences.is_empty()
    }

    /// Prints the differences, the sums, and what is missing.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for difference in &self.differences {
            writeln!(out, "{difference}")?;
        }
        writeln!(out, "version {}, seed {}", self.version, self.seed)?;
        for (oracle, tally) in &self.tallies {
            writeln!(
                out,
                "{oracle:<8} {:>8} cases, {:>15} {} equal, {} cases differ, {} skipped",
                grouped(tally.cases),
                grouped(tally.equal),
                oracle.unit(),
                tally.differ,
                tally.skipped
            )?;
        }
        for (why, count) in &self.skipped {
            writeln!(out, "{count} skipped: {why}")?;
        }
        let list = |indices: &[u64]| {
            let all: Vec<String> = indices.iter().map(ToString::to_string).collect();
            all.join(", ")
        };
        if !self.interrupted.is_empty() {
            writeln!(out, "interrupted: shards {}", list(&self.interrupted))?;
        }
        let there = self.shards - self.missing.len() as u64;
        writeln!(
            out,
            "{there} of {} shards, {} s together",
            self.shards, self.seconds
        )?;
        if !self.missing.is_empty() {
            writeln!(out, "missing: shards {}", list(&self.missing))?;
        }
        Ok(())
    }
}
