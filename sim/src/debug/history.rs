//! What a run needs to be gone through again: checkpoints, and what was done to it from outside.

use super::debuggee::Position;
use crate::machine::Snapshot;

/// Checkpoints that are kept, besides those asked for; beyond, every other one is dropped and the spacing doubles.
const CHECKPOINTS: usize = 128;

/// Clock cycles between two checkpoints at the start: some 20 ms to run again.
const SPACING: u64 = 20_000;

/// Something that came from outside; the run is a function of its begin and of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Bytes for the guest's serial line.
    Console(Vec<u8>),
    /// RAM at this physical address.
    Memory(u32, Vec<u8>),
    /// A register of the debug port.
    Register(u8, u32),
}

/// The machine at one position, always between two instructions.
#[derive(Clone)]
pub struct Checkpoint {
    /// Where.
    pub position: Position,
    /// Actions done by then.
    pub actions: usize,
    /// Bytes sent by the guest by then.
    pub console: usize,
    /// The machine.
    pub snapshot: Snapshot,
    /// Never dropped to save memory.
    pub kept: bool,
}

/// Checkpoints and actions of a run, both in its order.
pub struct History {
    checkpoints: Vec<Checkpoint>,
    /// Each with the cycle in which it was done.
    actions: Vec<(u64, Action)>,
    spacing: u64,
}

impl History {
    /// A history that begins with `first`.
    pub fn new(first: Checkpoint) -> Self {
        Self {
            checkpoints: vec![first],
            actions: Vec::new(),
            spacing: SPACING,
        }
    }

    /// The begin of the run.
    pub fn begin(&self) -> Position {
        self.checkpoints[0].position
    }

    /// The last checkpoint for which `before` holds, which it does for the first ones; else the begin.
    pub fn last_where(&self, before: impl Fn(&Position) -> bool) -> &Checkpoint {
        let end = self
            .checkpoints
            .partition_point(|checkpoint| before(&checkpoint.position));
        &self.checkpoints[end.saturating_sub(1)]
    }

    /// First cycle from `cycle` on in which a checkpoint would be of use.
    pub fn due(&self, cycle: u64) -> u64 {
        let nearest = self.last_where(|position| position.cycle <= cycle).position;
        let next = self
            .checkpoints
            .iter()
            .map(|checkpoint| checkpoint.position.cycle)
            .find(|next| *next > cycle);
        let due = nearest.cycle + self.spacing;
        match next {
            // There are some ahead: it is an old stretch.
            Some(next) if due >= next => next + self.spacing,
            _ => due,
        }
    }

    /// Adds a checkpoint, unless one is there already; then its being kept is all that may change.
    pub fn add(&mut self, checkpoint: Checkpoint) {
        let cycle = checkpoint.position.cycle;
        let at = self
            .checkpoints
            .partition_point(|other| other.position.cycle < cycle);
        match self.checkpoints.get_mut(at) {
            Some(there) if there.position == checkpoint.position => there.kept |= checkpoint.kept,
            _ => self.checkpoints.insert(at, checkpoint),
        }
        if self
            .checkpoints
            .iter()
            .filter(|checkpoint| !checkpoint.kept)
            .count()
            > CHECKPOINTS
        {
            self.spacing *= 2;
            let mut last = self.begin().cycle;
            let spacing = self.spacing;
            self.checkpoints.retain(|checkpoint| {
                let cycle = checkpoint.position.cycle;
                let stays = checkpoint.kept || cycle >= last + spacing;
                if stays {
                    last = cycle;
                }
                stays
            });
        }
    }

    /// The action after the first `done`, with its cycle.
    pub fn action(&self, done: usize) -> Option<&(u64, Action)> {
        self.actions.get(done)
    }

    /// Notes an action in `cycle`, the `done`-th. What was known of the time after it is not true any more.
    pub fn act(&mut self, done: usize, cycle: u64, action: Action) {
        self.actions.truncate(done);
        self.actions.push((cycle, action));
        self.checkpoints
            .retain(|checkpoint| checkpoint.position.cycle <= cycle && checkpoint.actions <= done);
    }
}
