//! Where the branches of a word of code went before: found in the clock in which the word arrives.
//!
//! ```text
//! clock    n                    n+1
//! lookup   the word is asked    `taken`, `end`, `target`
//! train    told                 reads     decides (n+2), writes (n+3)
//! ```
use super::branch_memory::BranchMemory;
use crate::prelude::*;

/// Branches that a row can hold: code of short jumps has three in a word.
const SLOTS: usize = 3;

/// A branch whose last byte lies in a word.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct BranchSlot {
    /// 0 no branch, 1 predicted not taken, 2 taken, 3 taken twice at least.
    pub state: Bits<2>,
    /// Bits 26:13 of the word's linear address; bits 12:3 choose the row.
    pub tag: Bits<14>,
    /// Its last byte.
    pub end: Bits<3>,
    pub call: Bit,
    pub returns: Bit,
    /// The target lies in the branch's page.
    pub same_page: Bit,
    /// Linear.
    pub target: Bits<32>,
}

/// One slot of every row.
#[derive(LogicBlock, Default)]
pub struct BranchWay {
    pub clock: Signal<In, Clock>,
    // lookup
    pub lookup_index: Signal<In, Bits<10>>,
    /// In the clock after it: the tag wanted, the byte from which on branches count, what was found.
    pub lookup_tag: Signal<In, Bits<14>>,
    pub start: Signal<In, Bits<3>>,
    pub return_there: Signal<In, Bit>,
    pub return_linear: Signal<In, Bits<32>>,
    pub return_same_page: Signal<In, Bit>,
    pub taken: Signal<Out, Bit>,
    pub end: Signal<Out, Bits<3>>,
    pub found: Signal<Out, BranchSlot>,
    // training
    pub index: Signal<In, Bits<10>>,
    pub write: Signal<In, Bit>,
    pub slot: Signal<In, BranchSlot>,
    /// In the clock after `index` without `write`: what the slot holds, and whether that is the branch to be learnt.
    pub tag: Signal<In, Bits<14>>,
    pub end_byte: Signal<In, Bits<3>>,
    pub old: Signal<Out, BranchSlot>,
    pub empty: Signal<Out, Bit>,
    pub is_here: Signal<Out, Bit>,
    // units
    memory: BranchMemory<BranchSlot, 10>,
    // wires
    read: Signal<Local, BranchSlot>,
    held: Signal<Local, BranchSlot>,
}

impl BranchWay {
    /// Knows no branch.
    pub fn new() -> Self {
        Self {
            memory: BranchMemory::new(),
            ..Default::default()
        }
    }
}

impl Logic for BranchWay {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, memory);
        self.memory.read_index.next = self.lookup_index.val();
        self.read.next = self.memory.read_row.val();
        self.found.next = self.read.val();
        if self.read.val().returns & self.return_there.val() {
            self.found.next.target = self.return_linear.val();
            self.found.next.same_page = self.return_same_page.val();
        }
        self.end.next = self.read.val().end;
        self.taken.next = (self.read.val().state >= 2)
            & (self.read.val().tag == self.lookup_tag.val())
            & (self.read.val().end >= self.start.val());
        self.memory.data_index.next = self.index.val();
        self.memory.data_write.next = self.write.val();
        self.memory.data_write_row.next = self.slot.val();
        self.held.next = self.memory.data_row.val();
        self.old.next = self.held.val();
        self.empty.next = self.held.val().state == 0;
        self.is_here.next = (self.held.val().state != 0)
            & (self.held.val().tag == self.tag.val())
            & (self.held.val().end == self.end_byte.val());
    }
}

/// Three slots for the words of a row.
///
/// Predicts only: whoever follows a prediction finds out whether it was right. So nothing is flushed when code or
/// translations change.
#[derive(LogicBlock, Default)]
pub struct BranchTargets {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // lookup
    /// Linear address of the word asked for in this clock.
    pub lookup_linear: Signal<In, Bits<32>>,
    /// The byte from which on the word asked for in the clock before counts.
    pub start: Signal<In, Bits<3>>,
    /// Where a return goes, if that is known, and whether it is in that word's page.
    pub return_there: Signal<In, Bit>,
    pub return_linear: Signal<In, Bits<32>>,
    pub return_same_page: Signal<In, Bit>,
    /// A branch in that word is predicted taken.
    pub taken: Signal<Out, Bit>,
    /// The last byte of the first such branch.
    pub end: Signal<Out, Bits<3>>,
    pub target: Signal<Out, Bits<32>>,
    pub same_page: Signal<Out, Bit>,
    pub call: Signal<Out, Bit>,
    pub returns: Signal<Out, Bit>,
    // training
    pub train: Signal<In, Bit>,
    /// What there is to train is taken.
    pub learns: Signal<Out, Bit>,
    /// Linear address of its last byte.
    pub train_end: Signal<In, Bits<32>>,
    pub train_target: Signal<In, Bits<32>>,
    pub train_taken: Signal<In, Bit>,
    pub train_conditional: Signal<In, Bit>,
    pub train_call: Signal<In, Bit>,
    pub train_returns: Signal<In, Bit>,
    /// There is no branch at all.
    pub train_forget: Signal<In, Bit>,
    // state
    tag_reg: DFF<Bits<14>>,
    /// The rows that were looked up and written in the clock before.
    looked_up_reg: DFF<Bits<10>>,
    wrote_reg: DFF<Bit>,
    wrote_index_reg: DFF<Bits<10>>,
    /// Rows still to be cleared after a reset; the highest bit: none.
    clear_reg: DFF<Bits<11>>,
    reading_reg: DFF<Bit>,
    deciding_reg: DFF<Bit>,
    /// Slots to be written, and with what.
    writes_reg: DFF<Bits<3>>,
    written_reg: DFF<BranchSlot>,
    end_reg: DFF<Bits<32>>,
    target_reg: DFF<Bits<32>>,
    taken_reg: DFF<Bit>,
    conditional_reg: DFF<Bit>,
    call_reg: DFF<Bit>,
    returns_reg: DFF<Bit>,
    forget_reg: DFF<Bit>,
    /// The slot that goes when all are taken.
    victim_reg: DFF<Bits<2>>,
    // units
    ways: [BranchWay; SLOTS],
    // wires
    usable: Signal<Local, Bit>,
    first: Signal<Local, BranchSlot>,
    /// Of the first two, that its branch comes before those of the others.
    leads: [Signal<Local, Bit>; 2],
    clearing: Signal<Local, Bit>,
    idle: Signal<Local, Bit>,
    tag: Signal<Local, Bits<14>>,
    end_byte: Signal<Local, Bits<3>>,
    is_known: Signal<Local, Bit>,
    is_new: Signal<Local, Bit>,
    place: Signal<Local, Bits<2>>,
    writes: [Signal<Local, Bit>; SLOTS],
    writes_any: Signal<Local, Bit>,
    changes: Signal<Local, Bit>,
    known: Signal<Local, BranchSlot>,
    written: Signal<Local, BranchSlot>,
    slot: Signal<Local, BranchSlot>,
    collides: Signal<Local, Bit>,
    new_state: Signal<Local, Bits<2>>,
    index: Signal<Local, Bits<10>>,
}

impl BranchTargets {
    /// A table that knows no branch.
    pub fn new() -> Self {
        Self {
            ways: std::array::from_fn(|_| BranchWay::new()),
            ..Default::default()
        }
    }
}

impl Logic for BranchTargets {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            tag_reg,
            looked_up_reg,
            wrote_reg,
            wrote_index_reg,
            clear_reg,
            reading_reg,
            deciding_reg,
            writes_reg,
            written_reg,
            end_reg,
            target_reg,
            taken_reg,
            conditional_reg,
            call_reg,
            returns_reg,
            forget_reg,
            victim_reg
        );
        self.clearing.next = !self.clear_reg.q.val().get_bit(10);

        // Lookup.
        self.tag_reg.d.next = self.lookup_linear.val().get_bits::<14>(13);
        self.looked_up_reg.d.next = self.lookup_linear.val().get_bits::<10>(3);
        self.collides.next =
            self.wrote_reg.q.val() & (self.wrote_index_reg.q.val() == self.looked_up_reg.q.val());
        self.usable.next = !(self.collides.val() | self.clearing.val());
        for i in 0..3 {
            self.ways[i].clock.next = self.clock.val();
            self.ways[i].lookup_index.next = self.lookup_linear.val().get_bits::<10>(3);
            self.ways[i].lookup_tag.next = self.tag_reg.q.val();
            self.ways[i].start.next = self.start.val();
            self.ways[i].return_there.next = self.return_there.val();
            self.ways[i].return_linear.next = self.return_linear.val();
            self.ways[i].return_same_page.next = self.return_same_page.val();
        }
        self.taken.next = self.usable.val()
            & (self.ways[0].taken.val() | self.ways[1].taken.val() | self.ways[2].taken.val());
        // No two branches end in the same byte.
        self.leads[0].next = self.ways[0].taken.val()
            & !(self.ways[1].taken.val() & (self.ways[1].end.val() < self.ways[0].end.val()))
            & !(self.ways[2].taken.val() & (self.ways[2].end.val() < self.ways[0].end.val()));
        self.leads[1].next = self.ways[1].taken.val()
            & !(self.ways[0].taken.val() & (self.ways[0].end.val() < self.ways[1].end.val()))
            & !(self.ways[2].taken.val() & (self.ways[2].end.val() < self.ways[1].end.val()));
        self.first.next = self.ways[2].found.val();
        for i in 0..2 {
            if self.leads[i].val() {
                self.first.next = self.ways[i].found.val();
            }
        }
        self.end.next = self.first.val().end;
        self.target.next = self.first.val().target;
        self.same_page.next = self.first.val().same_page;
        self.call.next = self.first.val().call;
        self.returns.next = self.first.val().returns;

        // Training: one branch at a time.
        self.writes_any.next = self.writes_reg.q.val().any();
        self.idle.next =
            !(self.reading_reg.q.val() | self.deciding_reg.q.val() | self.writes_any.val());
        self.learns.next = self.train.val() & self.idle.val();
        if self.idle.val() {
            self.end_reg.d.next = self.train_end.val();
            self.target_reg.d.next = self.train_target.val();
            self.taken_reg.d.next = self.train_taken.val();
            self.conditional_reg.d.next = self.train_conditional.val();
            self.call_reg.d.next = self.train_call.val();
            self.returns_reg.d.next = self.train_returns.val();
            self.forget_reg.d.next = self.train_forget.val();
        }
        self.reading_reg.d.next = self.learns.val();
        self.deciding_reg.d.next = self.reading_reg.q.val();
        self.tag.next = self.end_reg.q.val().get_bits::<14>(13);
        self.end_byte.next = self.end_reg.q.val().get_bits::<3>(0);
        self.known.next = self.ways[0].old.val();
        self.is_known.next = false;
        for i in 0..3 {
            self.ways[i].tag.next = self.tag.val();
            self.ways[i].end_byte.next = self.end_byte.val();
            if self.ways[i].is_here.val() {
                self.known.next = self.ways[i].old.val();
                self.is_known.next = true;
            }
        }
        // A new branch takes a place that is empty, or the one whose turn it is.
        self.place.next = self.victim_reg.q.val();
        if self.ways[2].empty.val() {
            self.place.next = 2.into();
        }
        if self.ways[1].empty.val() {
            self.place.next = 1.into();
        }
        if self.ways[0].empty.val() {
            self.place.next = 0.into();
        }
        self.is_new.next =
            self.taken_reg.q.val() & !(self.forget_reg.q.val() | self.is_known.val());
        self.new_state.next = 3.into();
        if self.conditional_reg.q.val() & (self.is_new.val() | (self.known.val().state == 1)) {
            self.new_state.next = 2.into();
        }
        if !self.taken_reg.q.val() {
            self.new_state.next = self.known.val().state - 1;
        }
        if self.forget_reg.q.val() {
            self.new_state.next = 0.into();
        }
        self.changes.next = (self.new_state.val() != self.known.val().state)
            | (self.taken_reg.q.val()
                & ((self.target_reg.q.val() != self.known.val().target)
                    | (self.call_reg.q.val() != self.known.val().call)
                    | (self.returns_reg.q.val() != self.known.val().returns)));
        self.writes[0].next = self.deciding_reg.q.val()
            & ((self.ways[0].is_here.val() & self.changes.val())
                | (self.is_new.val() & (self.place.val() == 0)));
        self.writes[1].next = self.deciding_reg.q.val()
            & ((self.ways[1].is_here.val() & self.changes.val())
                | (self.is_new.val() & (self.place.val() == 1)));
        self.writes[2].next = self.deciding_reg.q.val()
            & ((self.ways[2].is_here.val() & self.changes.val())
                | (self.is_new.val() & (self.place.val() == 2)));
        self.writes_reg.d.next = bit_cast::<3, 1>(self.writes[0].val().into())
            | (bit_cast::<3, 1>(self.writes[1].val().into()) << 1)
            | (bit_cast::<3, 1>(self.writes[2].val().into()) << 2);
        if self.deciding_reg.q.val() & self.is_new.val() {
            self.victim_reg.d.next = self.victim_reg.q.val() + 1;
            if self.victim_reg.q.val() == 2 {
                self.victim_reg.d.next = 0.into();
            }
        }
        self.written.next.tag = self.tag.val();
        self.written.next.end = self.end_byte.val();
        self.written.next.call = self.call_reg.q.val();
        self.written.next.returns = self.returns_reg.q.val();
        self.written.next.target = self.known.val().target;
        self.written.next.same_page = self.known.val().same_page;
        if self.taken_reg.q.val() {
            self.written.next.target = self.target_reg.q.val();
            self.written.next.same_page = self.target_reg.q.val().get_bits::<20>(12)
                == self.end_reg.q.val().get_bits::<20>(12);
        }
        self.written.next.state = self.new_state.val();
        self.written_reg.d.next = self.written.val();
        self.slot.next = self.written_reg.q.val();
        self.index.next = self.end_reg.q.val().get_bits::<10>(3);
        if self.clearing.val() {
            self.index.next = self.clear_reg.q.val().get_bits::<10>(0);
            self.clear_reg.d.next = self.clear_reg.q.val() + 1;
            self.slot.next.state = 0.into();
            self.reading_reg.d.next = false;
        }
        for i in 0..3 {
            self.ways[i].slot.next = self.slot.val();
            self.ways[i].index.next = self.index.val();
            self.ways[i].write.next = self.writes_reg.q.val().get_bit(i) | self.clearing.val();
        }
        self.wrote_reg.d.next = self.writes_any.val();
        self.wrote_index_reg.d.next = self.index.val();
        if self.reset.val() {
            self.clear_reg.d.next = 0.into();
            self.reading_reg.d.next = false;
            self.deciding_reg.d.next = false;
            self.writes_reg.d.next = 0.into();
            self.victim_reg.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, start, tick};

    clocked!(BranchTargets);

    /// After the clocks in which the table is cleared.
    fn cleared() -> BranchTargets {
        let mut targets = start(BranchTargets::new());
        for _ in 0..1030 {
            tick(&mut targets);
        }
        targets
    }

    fn train(targets: &mut BranchTargets, end: u64, target: Option<u64>, conditional: bool) {
        targets.train.next = true;
        targets.train_end.next = end.into();
        targets.train_target.next = target.unwrap_or(0).into();
        targets.train_taken.next = target.is_some();
        targets.train_conditional.next = conditional;
        tick(targets);
        targets.train.next = false;
        for _ in 0..3 {
            tick(targets);
        }
    }

    /// End and target of what is predicted from this byte on.
    fn predicted(targets: &mut BranchTargets, linear: u64) -> Option<(u64, u64)> {
        targets.lookup_linear.next = linear.into();
        tick(targets);
        targets.start.next = (linear & 7).into();
        crate::soc::testing::settle(targets);
        let found = (targets.end.val().to_u64(), targets.target.val().to_u64());
        targets.taken.val().then_some(found)
    }

    #[test]
    fn of_three_branches_in_a_word_the_first_from_the_entry_on_is_predicted() {
        let mut targets = cleared();
        for (end, target) in [(4, 0x2000), (1, 0x3000), (7, 0x4000)] {
            train(&mut targets, 0x1000 + end, Some(target), false);
        }
        let expected = [1, 1, 4, 4, 4, 7, 7, 7];
        for (byte, end) in (0..).zip(expected) {
            let target = [(1, 0x3000), (4, 0x2000), (7, 0x4000)]
                .into_iter()
                .find(|known| known.0 == end);
            assert_eq!(
                predicted(&mut targets, 0x1000 + byte),
                target,
                "byte {byte}"
            );
        }
        // A fourth takes the place of one of them.
        train(&mut targets, 0x1002, Some(0x5000), false);
        assert_eq!(predicted(&mut targets, 0x1002), Some((2, 0x5000)));
    }

    #[test]
    fn one_turn_of_a_loop_that_ends_does_not_change_its_prediction() {
        let mut targets = cleared();
        let end = 0x8005;
        let word = 0x8000;
        train(&mut targets, end, None, true);
        assert_eq!(predicted(&mut targets, word), None, "never taken");
        train(&mut targets, end, Some(0x7000), true);
        train(&mut targets, end, Some(0x7000), true);
        train(&mut targets, end, None, true);
        assert_eq!(predicted(&mut targets, word), Some((5, 0x7000)));
        train(&mut targets, end, None, true);
        assert_eq!(predicted(&mut targets, word), None, "not taken twice");
        train(&mut targets, end, Some(0x7000), true);
        assert_eq!(predicted(&mut targets, word), Some((5, 0x7000)));
    }

    #[test]
    fn a_branch_that_is_none_is_forgotten_and_another_page_is_not_mistaken_for_it() {
        let mut targets = cleared();
        train(&mut targets, 0x1234_5003, Some(0x1234_5FF0), false);
        assert_eq!(predicted(&mut targets, 0x1234_5000), Some((3, 0x1234_5FF0)));
        assert!(targets.same_page.val());
        assert_eq!(predicted(&mut targets, 0x1235_5000), None);
        targets.train_forget.next = true;
        train(&mut targets, 0x1234_5003, None, false);
        targets.train_forget.next = false;
        assert_eq!(predicted(&mut targets, 0x1234_5000), None);
    }

    #[test]
    fn after_a_reset_no_branch_is_known() {
        let mut targets = cleared();
        train(&mut targets, 0x1FFF, Some(0x100), false);
        assert!(predicted(&mut targets, 0x1FF8).is_some());
        targets.reset.next = true;
        tick(&mut targets);
        targets.reset.next = false;
        assert_eq!(predicted(&mut targets, 0x1FF8), None, "while it is cleared");
        for _ in 0..1030 {
            tick(&mut targets);
        }
        assert_eq!(predicted(&mut targets, 0x1FF8), None);
    }
}
