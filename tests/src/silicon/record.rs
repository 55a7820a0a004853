//! Records what the host's processor does with random instructions: see `docs/verification.md`.

pub mod ambiguous;
pub mod encodings;
pub mod generate;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod host;
pub mod ldt;
pub mod protection;

use super::Case;
use iced_x86::Code;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// What was recorded of one encoding.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Cases that are in the file.
    pub kept: usize,
    /// Cases that did not end alike each time, left for 64-bit code, or could end in two ways.
    pub dropped: usize,
    /// How many ended in which way: `completed`, or the exception's mnemonic.
    pub ends: BTreeMap<String, usize>,
}

/// A recording and what is in it.
pub struct Recording {
    /// In the order of their encodings.
    pub cases: Vec<Case>,
    /// One for each encoding.
    pub tallies: Vec<(Code, Tally)>,
}

impl Recording {
    /// Prints the cases of each encoding, what was not recorded and why, and the sum.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut dropped = 0;
        for (code, tally) in &self.tallies {
            let ends: Vec<String> = tally
                .ends
                .iter()
                .map(|(end, count)| format!("{end} {count}"))
                .collect();
            let (name, kept) = (super::encoding_name(*code), tally.kept);
            writeln!(out, "{name:<24} {kept:>6}: {}", ends.join(", "))?;
            dropped += tally.dropped;
        }
        for (name, why) in encodings::excluded() {
            writeln!(out, "{name:<24} not recorded: {why}")?;
        }
        let covered = self.tallies.iter().filter(|(_, tally)| tally.kept != 0);
        writeln!(
            out,
            "{} cases of {} encodings, each run {RUNS} times; {dropped} dropped as unstable or ambiguous",
            self.cases.len(),
            covered.count(),
        )
    }
}

/// Times that each case is run.
pub const RUNS: usize = 3;

/// Records `per_encoding` cases of each encoding that the host can record.
///
/// # Errors
/// What the host lacks.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn record(seed: u64, per_encoding: usize, only: Option<&str>) -> anyhow::Result<Recording> {
    use super::{Environment, encoding_name};
    use crate::random::Random;
    use std::sync::Arc;

    let mut random = Random::silent(seed);
    let mut host = host::Host::new(&ldt::random(&mut random))?;
    let environment = Arc::new(Environment::segmented(host.ldt().to_vec(), random.word()));
    let mut generator = generate::Generator::new(random, environment);
    let mut recording = Recording {
        cases: Vec::new(),
        tallies: Vec::new(),
    };
    for encoding in encodings::recordable() {
        if only.is_some_and(|name| !encoding_name(encoding.code).eq_ignore_ascii_case(name)) {
            continue;
        }
        let mut tally = Tally::default();
        // Some drafts are no instruction of this encoding; a few encodings cannot end alike at all.
        for _ in 0..per_encoding * 8 + 64 {
            if tally.kept == per_encoding {
                break;
            }
            let Some(draft) = generator.draft(&encoding) else {
                continue;
            };
            match run(&mut host, draft) {
                Some(case) => {
                    *tally.ends.entry(case.outcome.to_string()).or_default() += 1;
                    tally.kept += 1;
                    recording.cases.push(case);
                }
                None => tally.dropped += 1,
            }
        }
        recording.tallies.push((encoding.code, tally));
    }
    Ok(recording)
}

/// Records the permission matrix of segments; see [`protection`].
///
/// # Errors
/// What the host lacks.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn record_protection(seed: u64) -> anyhow::Result<Recording> {
    use super::Environment;
    use std::sync::Arc;

    let mut host = host::Host::new(&protection::segments())?;
    let environment = Arc::new(Environment::segmented(host.ldt().to_vec(), seed));
    let mut tallies: BTreeMap<Code, Tally> = BTreeMap::new();
    let mut cases = Vec::new();
    for mut draft in protection::drafts(&environment) {
        draft.undefined_flags = draft.instruction().rflags_undefined() as u16;
        let tally = tallies.entry(draft.code).or_default();
        match run(&mut host, draft) {
            Some(case) => {
                *tally.ends.entry(case.outcome.to_string()).or_default() += 1;
                tally.kept += 1;
                cases.push(case);
            }
            None => tally.dropped += 1,
        }
    }
    Ok(Recording {
        cases,
        tallies: tallies.into_iter().collect(),
    })
}

/// Refuses.
///
/// # Errors
/// As [`record`].
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn record_protection(_seed: u64) -> anyhow::Result<Recording> {
    record(0, 0, None)
}

/// Refuses.
///
/// # Errors
/// Always: the recorder needs an x86-64 processor under Linux.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn record(_seed: u64, _per_encoding: usize, _only: Option<&str>) -> anyhow::Result<Recording> {
    anyhow::bail!("this host cannot record: that needs Linux on an x86-64 processor")
}

/// Runs a draft several times; `None` if it did not end alike each time, left 32-bit code, or could end in two ways.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn run(host: &mut host::Host, mut case: Case) -> Option<Case> {
    use super::{Outcome, environment, is_transfer};
    use spec::{exceptions, flags, paging};

    /// Changed bytes of more than this would make the file large.
    const MAXIMUM_CHANGES: usize = 600;
    /// Bit of a page fault's error code that a processor without execute permissions has not.
    const INSTRUCTION_FETCH: u16 = 1 << 4;

    let before = case.window();
    let is_transfer = is_transfer(case.code);
    let start = host::Start {
        registers: case.registers,
        eip: case.eip,
        eflags: case.eflags | if is_transfer { flags::TF } else { 0 },
        selectors: case.selectors,
    };
    host.set_code(
        (case.code_address() % paging::PAGE_BYTES) as usize,
        &case.bytes,
    );
    let mut ends = Vec::new();
    for _ in 0..RUNS {
        host.window().copy_from_slice(&before);
        let end = host.run(&start).ok()?;
        let window: &[u8] = host.window();
        let mut changes = Vec::new();
        if window != before {
            let offsets = (0..=u16::MAX).zip(before.iter().zip(window));
            let changed = offsets.filter(|(_, (before, after))| before != after);
            changes.extend(changed.map(|(offset, (_, after))| (offset, *after)));
        }
        ends.push((end, changes));
    }
    if ends.iter().any(|end| *end != ends[0]) {
        return None;
    }
    let (end, changes) = ends.swap_remove(0);
    if changes.len() > MAXIMUM_CHANGES || end.selectors.into_iter().any(environment::is_host_only) {
        return None;
    }
    let next = case.eip.wrapping_add(case.bytes.len() as u32);
    let is_trap = matches!(end.vector, exceptions::DB | exceptions::BP | exceptions::OF);
    let completed = end.single_step || (!is_transfer && end.eip == next && !is_trap);
    if end.single_step && !is_transfer {
        return None;
    }
    case.outcome = if completed {
        Outcome::Completed
    } else {
        Outcome::Exception(end.vector)
    };
    if !completed {
        case.error_code = end.error_code;
        if end.vector == exceptions::PF {
            case.error_code &= !INSTRUCTION_FETCH;
            case.cr2 = Some(end.cr2);
        }
    }
    case.registers_after = end.registers;
    case.selectors_after = end.selectors;
    case.eflags_after = end.eflags & case.recorded_flags();
    case.eip_after = end.eip;
    case.memory_after = changes;
    let reaches_recorder = case
        .accesses()
        .iter()
        .any(|&(first, last)| host::STACK.contains(&first) || host::STACK.contains(&last));
    let is_clear = !reaches_recorder && !ambiguous::ends_otherwise_elsewhere(&case);
    is_clear.then_some(case)
}
