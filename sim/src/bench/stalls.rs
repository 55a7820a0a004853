//! What the clocks in which nothing retires are spent on: each is one reason's, and all together are the rest of the clocks.
//!
//! A clock without a retirement is execute's own, or it sees a bubble that an earlier stage has made. Bubbles are followed
//! from where they begin, so that a clock counts for what cost it.

use crate::diagram::Seen;
use spec::pipeline::{STALL_REASONS, stall};

/// Reasons beside those of [`STALL_REASONS`], behind them.
const MORE: [&str; 2] = [
    "execute: microcode goes another way",
    "execute: an exception or interrupt begins",
];
const MICROCODE: usize = STALL_REASONS.len();
const EVENT: usize = MICROCODE + 1;

/// Number of reasons.
pub const REASONS: usize = STALL_REASONS.len() + MORE.len();

/// Name of a reason, 0 to [`REASONS`] - 1.
///
/// # Panics
/// There is no such reason.
pub fn name(reason: usize) -> &'static str {
    STALL_REASONS
        .get(reason)
        .unwrap_or_else(|| &MORE[reason - STALL_REASONS.len()])
}

/// Redirects, which make everything behind them begin anew.
const REDIRECTS: [usize; 4] = [
    stall::OTHER_WAY,
    stall::CODE_WRITTEN,
    stall::NOT_PREDICTED,
    stall::MISCUT,
];

/// Follows bubbles through the stages and counts.
#[derive(Default)]
pub struct Stalls {
    /// Clocks by reason.
    pub clocks: [u64; REASONS],
    /// Clocks in which a micro-op retires.
    pub retiring: u64,
    before: Option<Seen>,
    /// Why address, memory and execute hold nothing.
    why: [usize; 3],
    /// Why issue has nothing, since it had something.
    front: usize,
}

impl Stalls {
    /// The next clock; `counts` says whether it is counted.
    pub fn push(&mut self, seen: Seen, counts: bool) {
        let has = |seen: &Seen, bit: usize| seen.pipeline.stall >> bit & 1 != 0;
        if let Some(before) = self.before.take() {
            let pipeline = &before.pipeline;
            let redirect = REDIRECTS.into_iter().find(|&bit| has(&before, bit));
            let event = before
                .retired
                .as_ref()
                .is_some_and(|record| record.exception || record.interrupt);
            let flushed = match redirect {
                _ if event => EVENT,
                Some(reason @ (stall::OTHER_WAY | stall::CODE_WRITTEN)) => reason,
                _ => MICROCODE,
            };
            if event {
                self.front = EVENT;
            } else if let Some(reason) = redirect {
                self.front = reason;
            } else if !has(&before, stall::NOTHING_DECODED) {
                self.front = stall::NOTHING_DECODED;
            } else if has(&before, stall::WORD_REPEATED) && self.front == stall::NOTHING_DECODED {
                self.front = stall::WORD_REPEATED;
            }
            let waits = |held: Option<u32>, reasons: &[usize]| {
                held?;
                reasons.iter().copied().find(|&bit| has(&before, bit))
            };
            let issue = waits(pipeline.issue, &[stall::BRANCH_NOT_RESOLVED]);
            let address = waits(pipeline.address, &[stall::REGISTER, stall::SEGMENT]);
            let memory = waits(pipeline.memory, &[stall::MEMORY]);
            let emptied = |waits: Option<usize>, held: Option<u32>, inherited: usize| {
                // Who held something and did not wait has let it go, so it was dropped on the way.
                waits.unwrap_or(if held.is_some() { flushed } else { inherited })
            };
            self.why = [
                emptied(issue, pipeline.issue, self.front),
                emptied(address, pipeline.address, self.why[0]),
                emptied(memory, pipeline.memory, self.why[1]),
            ];
        }
        if counts {
            let flow = seen
                .retired
                .as_ref()
                .is_some_and(|record| !record.exception && !record.interrupt);
            if flow {
                self.retiring += 1;
            } else if seen.retired.is_some() {
                self.clocks[EVENT] += 1;
            } else if has(&seen, stall::EXECUTE) {
                self.clocks[stall::EXECUTE] += 1;
            } else if seen.pipeline.execute.is_some() {
                // It is there, and a branch that takes effect a clock late drops it.
                self.clocks[MICROCODE] += 1;
            } else {
                self.clocks[self.why[2]] += 1;
            }
        }
        self.before = Some(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retired;
    use crate::machine::Pipeline;

    /// Clocks of what address, memory and execute hold, and the reasons in the clock.
    fn counted(clocks: &[([u32; 4], &[usize])]) -> (u64, Vec<(usize, u64)>) {
        let mut stalls = Stalls::default();
        for (cycle, (held, reasons)) in (0..).zip(clocks) {
            let stage = |at: usize| (held[at] != 0).then_some(held[at]);
            let stall = reasons.iter().fold(0, |bits, bit| bits | 1 << bit);
            let executes = stage(3).filter(|_| !reasons.contains(&stall::EXECUTE));
            let seen = Seen {
                cycle,
                pipeline: Pipeline {
                    issue: stage(0),
                    address: stage(1),
                    memory: stage(2),
                    execute: stage(3),
                    stall,
                    ..Pipeline::default()
                },
                retired: executes.map(|eip| Retired {
                    eip,
                    last: true,
                    ..Retired::default()
                }),
            };
            stalls.push(seen, true);
        }
        let reasons = (0..REASONS).map(|reason| (reason, stalls.clocks[reason]));
        let total: u64 = stalls.retiring + stalls.clocks.iter().sum::<u64>();
        assert_eq!(total, clocks.len() as u64, "each clock counts once");
        (
            stalls.retiring,
            reasons.filter(|(_, clocks)| *clocks > 0).collect(),
        )
    }

    #[test]
    fn a_bubble_counts_for_the_stage_that_made_it() {
        let clocks: &[([u32; 4], &[usize])] = &[
            ([4, 3, 2, 1], &[]),
            ([5, 4, 3, 2], &[stall::REGISTER]),
            ([5, 4, 0, 3], &[stall::REGISTER]),
            ([5, 4, 0, 0], &[]),
            ([6, 5, 4, 0], &[stall::MEMORY]),
            ([7, 6, 4, 0], &[]),
            ([8, 7, 6, 4], &[stall::EXECUTE]),
            ([8, 7, 6, 4], &[]),
        ];
        let expected = vec![
            (stall::EXECUTE, 1),
            (stall::MEMORY, 1),
            (stall::REGISTER, 2),
        ];
        let (retiring, reasons) = counted(clocks);
        let mut sorted = expected;
        sorted.sort_unstable();
        assert_eq!((retiring, reasons), (4, sorted));
    }

    #[test]
    fn clocks_up_to_the_target_of_a_mispredicted_branch_are_its() {
        let nothing = stall::NOTHING_DECODED;
        let clocks: &[([u32; 4], &[usize])] = &[
            ([4, 3, 2, 1], &[stall::OTHER_WAY]),
            ([0, 0, 0, 0], &[nothing]),
            ([0, 0, 0, 0], &[nothing]),
            ([9, 0, 0, 0], &[]),
            ([0, 9, 0, 0], &[nothing]),
            ([10, 0, 9, 0], &[]),
            ([0, 10, 0, 9], &[nothing]),
            ([0, 0, 10, 0], &[nothing]),
            ([0, 0, 0, 10], &[nothing]),
        ];
        let (retiring, reasons) = counted(clocks);
        assert_eq!(retiring, 3);
        assert_eq!(reasons, [(nothing, 1), (stall::OTHER_WAY, 5)]);
    }
}
