//! Diagrams of the pipeline: a row for each instruction, a column for each clock, made from a run.
//!
//! The observation ports say which instruction each stage holds in each clock, and what retires. From that the way of every
//! instruction is followed, of those too that are dropped because a branch went another way.
//!
//! ```text
//! clock                    0  1  2  3  4  5  6  7
//! 00100224  mov eax,[esi]  D  I  A  M  E
//! 00100226  mov ecx,[eax]     D  I  A  a  a  M  E
//! address: register still being computed: 4-5
//! ```

use crate::Retired;
use crate::machine::{Machine, Pipeline, Stop};
use crate::trace::disassemble;
use spec::pipeline::{STALL_REASONS, stall};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

/// Clocks before the first retirement in which its instruction is looked for.
const LOOK_BACK: u64 = 200;

/// Clocks between two looks at what has retired.
const SLICE_CYCLES: u64 = 50_000;

/// Instructions that lie behind each other in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// EIP of the first.
    pub eip: u32,
    /// Which time it is executed, from 1.
    pub time: u64,
    /// Instructions to show.
    pub count: u64,
}

/// Why there is no diagram.
#[derive(Debug, thiserror::Error)]
pub enum DiagramError {
    /// The run ended before.
    #[error(
        "the run ended ({stop:?}, cycle {cycle}): the instruction at {eip:08x} was executed {seen} times, not {wanted}"
    )]
    NotReached {
        /// How it ended.
        stop: Stop,
        /// In this clock cycle.
        cycle: u64,
        /// Where the range begins.
        eip: u32,
        /// So often it was there.
        seen: u64,
        /// It should have been.
        wanted: u64,
    },
    /// The instruction retired, but was in no stage before.
    #[error(
        "the instruction at {eip:08x} did not come through the stages within {LOOK_BACK} clocks"
    )]
    NotSeen {
        /// Where the range begins.
        eip: u32,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// One clock of a run.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Clock cycle.
    pub cycle: u64,
    /// What the stages hold.
    pub pipeline: Pipeline,
    /// What retires.
    pub retired: Option<Retired>,
}

/// When the range begins and ends to retire.
struct Found {
    /// Number of its first instruction.
    number: u64,
    first_cycle: u64,
    last_cycle: u64,
}

/// Runs the machine until the range has retired.
fn find(
    machine: &mut Machine,
    range: &Range,
    max_cycles: u64,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Found, DiagramError> {
    machine.keep(true, false);
    let (mut times, mut found) = (0, None::<Found>);
    loop {
        let left = max_cycles.saturating_sub(machine.status().cycle);
        let stop = machine.run(SLICE_CYCLES.min(left));
        for record in machine.drain_retired() {
            let plain = !record.exception && !record.interrupt;
            if let Some(found) = &mut found {
                if record.number < found.number + range.count {
                    found.last_cycle = record.cycle;
                } else {
                    return Ok(Found { ..*found });
                }
            } else if record.first && plain && record.eip == range.eip {
                times += 1;
                if times == range.time {
                    found = Some(Found {
                        number: record.number,
                        first_cycle: record.cycle,
                        last_cycle: record.cycle,
                    });
                }
            }
        }
        let cycle = machine.status().cycle;
        if stop != Stop::Cycles || cycle >= max_cycles {
            let (eip, wanted) = (range.eip, range.time);
            return found.ok_or(DiagramError::NotReached {
                stop,
                cycle,
                eip,
                seen: times,
                wanted,
            });
        }
        if !go_on() {
            return Err(DiagramError::Interrupted);
        }
    }
}

/// Runs a machine before its first clock to cycle `from` and on to `to`, and shows the clocks from then on.
pub fn watch(machine: &mut Machine, from: u64, to: u64, mut see: impl FnMut(Seen)) {
    machine.keep(false, false);
    machine.run(from.saturating_sub(machine.status().cycle));
    machine.keep(true, false);
    machine.drain_retired();
    while machine.status().cycle <= to {
        let stop = machine.run(1);
        see(Seen {
            cycle: machine.status().cycle - 1,
            pipeline: machine.pipeline(),
            retired: machine.drain_retired().pop(),
        });
        if stop != Stop::Cycles {
            break;
        }
    }
}

/// The diagram of a range.
///
/// The first machine finds it, the second is looked at; both are the same, before their first clock.
///
/// # Errors
/// [`DiagramError`].
pub fn draw(
    [first, second]: &mut [Machine; 2],
    range: &Range,
    max_cycles: u64,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<String, DiagramError> {
    let found = find(first, range, max_cycles, go_on)?;
    let from = found.first_cycle.saturating_sub(LOOK_BACK);
    let mut clocks = Vec::new();
    watch(second, from, found.last_cycle, |seen| clocks.push(seen));
    let ways = follow(&clocks);
    let not_seen = || DiagramError::NotSeen { eip: range.eip };
    let of = |number: u64| ways.iter().position(|way| way.number == Some(number));
    let first = of(found.number).ok_or_else(not_seen)?;
    let last = of(found.number + range.count - 1).unwrap_or(ways.len() - 1);
    Ok(table(&ways[first..=last], &clocks, found.last_cycle))
}

/// The way of one instruction through the stages.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    eip: u32,
    /// Its number, once a part of it has retired.
    number: Option<u64>,
    /// Its text, as far as it is known.
    text: String,
    /// A letter for each clock in which it is anywhere, from the first of these.
    begin: u64,
    letters: Vec<char>,
    /// It is done, or dropped.
    ended: bool,
}

/// Stages from the first to the last.
const STAGES: [char; 5] = ['D', 'I', 'A', 'M', 'E'];
const MISCUT: u32 = 1 << stall::MISCUT;
const ISSUE_REDIRECTS: u32 = MISCUT | 1 << stall::NOT_PREDICTED;
const EXECUTE_REDIRECTS: u32 = 1 << stall::CODE_WRITTEN | 1 << stall::OTHER_WAY;
const ISSUE: usize = 1;
const ADDRESS: usize = 2;
const EXECUTE: usize = 4;

fn stages(pipeline: &Pipeline) -> [Option<u32>; 5] {
    [
        pipeline.decode,
        pipeline.issue,
        pipeline.address,
        pipeline.memory,
        pipeline.execute,
    ]
}

/// Follows instructions through the clocks.
///
/// A stage holds what it held before, or what the stage before it held. Two of one address that follow each other at once
/// count as one while nothing tells them apart.
fn follow(clocks: &[Seen]) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    let mut held: [Option<usize>; 5] = [None; 5];
    // What issue had and address has not had yet, in order, behind what address has.
    let mut handed: VecDeque<usize> = VecDeque::new();
    let mut texts: HashMap<u32, String> = HashMap::new();
    for clock in clocks {
        let before = held;
        let eips = stages(&clock.pipeline);
        // From the last stage on, so that it is known who has moved.
        for stage in (0..5).rev() {
            held[stage] = eips[stage].map(|eip| {
                let is_it = |way: Option<usize>| {
                    way.filter(|&way| ways[way].eip == eip && !ways[way].ended)
                };
                let came = match stage {
                    0 => None,
                    ADDRESS => {
                        let waits = handed.iter().find_map(|&way| is_it(Some(way)));
                        waits.or(is_it(before[ISSUE]))
                    }
                    _ => is_it(before[stage - 1]),
                };
                let stayed = is_it(before[stage]);
                let moved = stayed.is_some() && stage < EXECUTE && held[stage + 1] == stayed;
                let next = match (stayed, came) {
                    (Some(stayed), Some(came)) if came != stayed && moved => Some(came),
                    (Some(stayed), _) if !(stage == 0 && moved) => Some(stayed),
                    (_, came) => came,
                };
                next.unwrap_or_else(|| {
                    ways.push(Way {
                        eip,
                        number: None,
                        text: String::new(),
                        begin: clock.cycle,
                        letters: Vec::new(),
                        ended: false,
                    });
                    ways.len() - 1
                })
            });
        }
        if let Some(at) = handed.iter().position(|&way| held[ADDRESS] == Some(way)) {
            handed.drain(..=at);
        }
        if let Some(way) = held[ISSUE].filter(|&way| before[ISSUE] != Some(way)) {
            handed.push_back(way);
        }
        let furthest = |way: usize| (0..5).rev().find(|&stage| held[stage] == Some(way));
        for (number, way) in ways.iter_mut().enumerate() {
            let Some(stage) = furthest(number) else {
                continue;
            };
            let (letters, begin) = (way.letters.len(), way.begin);
            for _ in begin + letters as u64..clock.cycle {
                way.letters.push('-');
            }
            let stays = way
                .letters
                .last()
                .is_some_and(|last| last.eq_ignore_ascii_case(&STAGES[stage]));
            let letter = match (stage, &clock.retired) {
                (EXECUTE, Some(record)) if record.eip == way.eip => 'E',
                (EXECUTE, _) => 'e',
                _ if stays => STAGES[stage].to_ascii_lowercase(),
                _ => STAGES[stage],
            };
            way.letters.push(letter);
        }
        if let (Some(record), Some(way)) = (&clock.retired, held[EXECUTE])
            && record.eip == ways[way].eip
        {
            let bytes = &record.bytes[..usize::from(record.length)];
            let text = texts
                .entry(record.eip)
                .or_insert_with(|| disassemble(bytes, record.eip, record.mode & 8 != 0));
            ways[way].text.clone_from(text);
            ways[way].number = Some(record.number);
            if record.last {
                ways[way].ended = true;
            }
        }
        // Who drops what it holds.
        let reasons = clock.pipeline.stall;
        let event = |record: &Retired| record.exception || record.interrupt;
        let dropped =
            if reasons & EXECUTE_REDIRECTS != 0 || clock.retired.as_ref().is_some_and(event) {
                handed.clear();
                &held[..]
            } else if reasons & ISSUE_REDIRECTS != 0 {
                &held[..=usize::from(reasons & MISCUT != 0)]
            } else {
                &[]
            };
        for &way in dropped.iter().flatten() {
            ways[way].ended = true;
        }
    }
    for way in &mut ways {
        if way.text.is_empty() {
            way.text = texts.get(&way.eip).cloned().unwrap_or_default();
        }
    }
    ways
}

fn table(ways: &[Way], clocks: &[Seen], last_cycle: u64) -> String {
    let begin = ways[0].begin;
    let label = |way: &Way| {
        format!("{:08x}  {}", way.eip, way.text)
            .trim_end()
            .to_string()
    };
    let width = ways.iter().map(|way| label(way).len()).max().unwrap_or(0);
    let mut text = format!("{:width$}", "clock");
    for clock in begin..=last_cycle {
        write!(text, "{:3}", (clock - begin) % 100).unwrap();
    }
    text.push('\n');
    for way in ways {
        let mut line = format!("{:width$}", label(way));
        line.extend(std::iter::repeat_n("   ", (way.begin - begin) as usize));
        for letter in way
            .letters
            .iter()
            .take((last_cycle + 1 - way.begin) as usize)
        {
            write!(line, "{letter:>3}").unwrap();
        }
        if way.number.is_none() {
            line.push_str("  x");
        }
        text += &line;
        text.push('\n');
    }
    let shown = || {
        clocks
            .iter()
            .filter(|clock| (begin..=last_cycle).contains(&clock.cycle))
    };
    for (bit, reason) in STALL_REASONS.iter().enumerate() {
        let at: Vec<u64> = shown()
            .filter(|clock| clock.pipeline.stall >> bit & 1 != 0)
            .map(|clock| clock.cycle - begin)
            .collect();
        if !at.is_empty() {
            writeln!(text, "{reason}: {}", runs(&at)).unwrap();
        }
    }
    text
}

/// Numbers that follow each other, as ranges: `1-3, 7`.
fn runs(numbers: &[u64]) -> String {
    let pieces: Vec<String> = numbers
        .chunk_by(|a, b| a + 1 == *b)
        .map(|run| match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        })
        .collect();
    pieces.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_a_range() {
        assert_eq!(runs(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
        assert_eq!(runs(&[]), "");
    }

    fn clock(cycle: u64, held: [u32; 5], retires: Option<u32>) -> Seen {
        let stage = |at: usize| (held[at] != 0).then_some(held[at]);
        Seen {
            cycle,
            pipeline: Pipeline {
                decode: stage(0),
                issue: stage(1),
                address: stage(2),
                memory: stage(3),
                execute: stage(4),
                ..Pipeline::default()
            },
            retired: retires.map(|eip| Retired {
                eip,
                number: cycle,
                last: true,
                length: 1,
                mode: 8,
                bytes: [0x90; 16],
                ..Retired::default()
            }),
        }
    }

    #[test]
    fn an_instruction_that_waits_repeats_its_letter_and_one_that_is_dropped_is_marked() {
        let clocks = [
            clock(10, [1, 0, 0, 0, 0], None),
            clock(11, [2, 1, 0, 0, 0], None),
            clock(12, [3, 2, 1, 0, 0], None),
            clock(13, [3, 2, 1, 0, 0], None),
            clock(14, [0, 3, 2, 1, 0], None),
            clock(15, [0, 0, 3, 2, 1], Some(1)),
            Seen {
                pipeline: Pipeline {
                    stall: 1 << stall::OTHER_WAY,
                    ..clock(16, [0, 0, 0, 0, 2], None).pipeline
                },
                ..clock(16, [0, 0, 0, 0, 2], Some(2))
            },
            clock(17, [7, 0, 0, 0, 0], None),
            clock(18, [0, 7, 0, 0, 0], None),
            clock(19, [0, 0, 7, 0, 0], None),
            clock(20, [0, 0, 0, 7, 0], None),
            clock(21, [0, 0, 0, 0, 7], Some(7)),
        ];
        assert_eq!(
            table(&follow(&clocks), &clocks, 21),
            "\
clock          0  1  2  3  4  5  6  7  8  9 10 11
00000001  nop  D  I  A  a  M  E
00000002  nop     D  I  i  A  M  E
00000003             D  d  I  A  x
00000007  nop                       D  I  A  M  E
execute: fetches anew, another way than predicted: 6
"
        );
    }
}
