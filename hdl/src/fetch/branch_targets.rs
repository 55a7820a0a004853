//! Where the branches of a word of code went before: found in the clock in which the word arrives.
//!
//! ```text
//! clock    n                    n+1
//! lookup   the word is asked    `taken`, `end`, `target`
//! train    told                 reads     writes (n+2)
//! ```
use super::branch_memory::BranchMemory;
use crate::prelude::*;

/// A branch whose last byte lies in a word.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct BranchSlot {
    /// 0 no branch, 1 predicted not taken, 2 taken, 3 taken twice at least.
    pub state: Bits<2>,
    /// Bits 27:13 of the word's linear address; bits 12:3 choose the row.
    pub tag: Bits<15>,
    /// Its last byte.
    pub end: Bits<3>,
    pub call: Bit,
    pub returns: Bit,
    /// Linear.
    pub target: Bits<32>,
}

/// Two slots for the words of a row.
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
    /// A branch in that word is predicted taken.
    pub taken: Signal<Out, Bit>,
    /// The last byte of the first such branch.
    pub end: Signal<Out, Bits<3>>,
    pub target: Signal<Out, Bits<32>>,
    pub call: Signal<Out, Bit>,
    pub returns: Signal<Out, Bit>,
    // training: a branch retires, unless the one before is still being learnt
    pub train: Signal<In, Bit>,
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
    tag_reg: DFF<Bits<15>>,
    /// The row looked up was written in that clock.
    collides_reg: DFF<Bit>,
    /// Rows still to be cleared after a reset; the highest bit: none.
    clear_reg: DFF<Bits<11>>,
    reading_reg: DFF<Bit>,
    writing_reg: DFF<Bit>,
    end_reg: DFF<Bits<32>>,
    target_reg: DFF<Bits<32>>,
    taken_reg: DFF<Bit>,
    conditional_reg: DFF<Bit>,
    call_reg: DFF<Bit>,
    returns_reg: DFF<Bit>,
    forget_reg: DFF<Bit>,
    /// The slot that goes when both are taken.
    victim_reg: DFF<Bit>,
    // units
    a: BranchMemory<BranchSlot, 10>,
    b: BranchMemory<BranchSlot, 10>,
    // wires
    found_a: Signal<Local, BranchSlot>,
    found_b: Signal<Local, BranchSlot>,
    usable: Signal<Local, Bit>,
    a_taken: Signal<Local, Bit>,
    b_taken: Signal<Local, Bit>,
    b_first: Signal<Local, Bit>,
    clearing: Signal<Local, Bit>,
    idle: Signal<Local, Bit>,
    old_a: Signal<Local, BranchSlot>,
    old_b: Signal<Local, BranchSlot>,
    tag: Signal<Local, Bits<15>>,
    end_byte: Signal<Local, Bits<3>>,
    is_a: Signal<Local, Bit>,
    is_b: Signal<Local, Bit>,
    is_new: Signal<Local, Bit>,
    new_to_b: Signal<Local, Bit>,
    writes_a: Signal<Local, Bit>,
    writes_b: Signal<Local, Bit>,
    changes: Signal<Local, Bit>,
    known: Signal<Local, BranchSlot>,
    written: Signal<Local, BranchSlot>,
    new_state: Signal<Local, Bits<2>>,
    index: Signal<Local, Bits<10>>,
}

impl BranchTargets {
    /// A table that knows no branch.
    pub fn new() -> Self {
        Self {
            a: BranchMemory::new(),
            b: BranchMemory::new(),
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
            collides_reg,
            clear_reg,
            reading_reg,
            writing_reg,
            end_reg,
            target_reg,
            taken_reg,
            conditional_reg,
            call_reg,
            returns_reg,
            forget_reg,
            victim_reg
        );
        clock!(self, clock, a, b);
        self.clearing.next = !self.clear_reg.q.val().get_bit(10);

        // Lookup.
        self.a.read_index.next = self.lookup_linear.val().get_bits::<10>(3);
        self.b.read_index.next = self.lookup_linear.val().get_bits::<10>(3);
        self.tag_reg.d.next = self.lookup_linear.val().get_bits::<15>(13);
        self.found_a.next = self.a.read_row.val();
        self.found_b.next = self.b.read_row.val();
        self.usable.next = !(self.collides_reg.q.val() | self.clearing.val());
        self.a_taken.next = (self.found_a.val().state >= 2)
            & (self.found_a.val().tag == self.tag_reg.q.val())
            & (self.found_a.val().end >= self.start.val());
        self.b_taken.next = (self.found_b.val().state >= 2)
            & (self.found_b.val().tag == self.tag_reg.q.val())
            & (self.found_b.val().end >= self.start.val());
        self.b_first.next = self.b_taken.val()
            & !(self.a_taken.val() & (self.found_a.val().end < self.found_b.val().end));
        self.taken.next = self.usable.val() & (self.a_taken.val() | self.b_taken.val());
        self.end.next = self.found_a.val().end;
        self.target.next = self.found_a.val().target;
        self.call.next = self.found_a.val().call;
        self.returns.next = self.found_a.val().returns;
        if self.b_first.val() {
            self.end.next = self.found_b.val().end;
            self.target.next = self.found_b.val().target;
            self.call.next = self.found_b.val().call;
            self.returns.next = self.found_b.val().returns;
        }

        // Training: one branch at a time.
        self.idle.next = !(self.reading_reg.q.val() | self.writing_reg.q.val());
        if self.idle.val() {
            self.end_reg.d.next = self.train_end.val();
            self.target_reg.d.next = self.train_target.val();
            self.taken_reg.d.next = self.train_taken.val();
            self.conditional_reg.d.next = self.train_conditional.val();
            self.call_reg.d.next = self.train_call.val();
            self.returns_reg.d.next = self.train_returns.val();
            self.forget_reg.d.next = self.train_forget.val();
        }
        self.reading_reg.d.next = self.train.val() & self.idle.val();
        self.writing_reg.d.next = self.reading_reg.q.val();
        self.old_a.next = self.a.data_row.val();
        self.old_b.next = self.b.data_row.val();
        self.tag.next = self.end_reg.q.val().get_bits::<15>(13);
        self.end_byte.next = self.end_reg.q.val().get_bits::<3>(0);
        self.is_a.next = (self.old_a.val().state != 0)
            & (self.old_a.val().tag == self.tag.val())
            & (self.old_a.val().end == self.end_byte.val());
        self.is_b.next = (self.old_b.val().state != 0)
            & (self.old_b.val().tag == self.tag.val())
            & (self.old_b.val().end == self.end_byte.val())
            & !self.is_a.val();
        self.known.next = self.old_a.val();
        if self.is_b.val() {
            self.known.next = self.old_b.val();
        }
        // A new branch takes a place that is empty, or the one whose turn it is.
        self.is_new.next =
            self.taken_reg.q.val() & !(self.forget_reg.q.val() | self.is_a.val() | self.is_b.val());
        self.new_to_b.next = (self.old_a.val().state != 0)
            & ((self.old_b.val().state == 0) | self.victim_reg.q.val());
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
        self.writes_a.next = self.writing_reg.q.val()
            & ((self.is_a.val() & self.changes.val()) | (self.is_new.val() & !self.new_to_b.val()));
        self.writes_b.next = self.writing_reg.q.val()
            & ((self.is_b.val() & self.changes.val()) | (self.is_new.val() & self.new_to_b.val()));
        if self.writing_reg.q.val() & self.is_new.val() {
            self.victim_reg.d.next = !self.victim_reg.q.val();
        }
        self.written.next.tag = self.tag.val();
        self.written.next.end = self.end_byte.val();
        self.written.next.call = self.call_reg.q.val();
        self.written.next.returns = self.returns_reg.q.val();
        self.written.next.target = self.known.val().target;
        if self.taken_reg.q.val() {
            self.written.next.target = self.target_reg.q.val();
        }
        self.written.next.state = self.new_state.val();
        self.index.next = self.end_reg.q.val().get_bits::<10>(3);
        if self.clearing.val() {
            self.index.next = self.clear_reg.q.val().get_bits::<10>(0);
            self.clear_reg.d.next = self.clear_reg.q.val() + 1;
            self.written.next.state = 0.into();
            self.reading_reg.d.next = false;
        }
        self.a.data_write_row.next = self.written.val();
        self.b.data_write_row.next = self.written.val();
        self.a.data_index.next = self.index.val();
        self.b.data_index.next = self.index.val();
        self.a.data_write.next = self.writes_a.val() | self.clearing.val();
        self.b.data_write.next = self.writes_b.val() | self.clearing.val();
        self.collides_reg.d.next = (self.writes_a.val() | self.writes_b.val())
            & (self.index.val() == self.lookup_linear.val().get_bits::<10>(3));
        if self.reset.val() {
            self.clear_reg.d.next = 0.into();
            self.reading_reg.d.next = false;
            self.writing_reg.d.next = false;
            self.victim_reg.d.next = false;
        }
    }
}
