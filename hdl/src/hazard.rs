//! Every reason to wait, to forward, to drain and to drop: the only place where a stage is told to stand still.
use crate::prelude::*;

/// Controls that write a segment register: accesses behind them wait for the new base and limit.
#[derive(LogicBlock, Default)]
pub struct WritesSegment {
    pub valid: Signal<In, Bit>,
    pub control: Signal<In, Control>,
    pub writes: Signal<Out, Bit>,
}

impl Logic for WritesSegment {
    #[hdl_gen]
    fn update(&mut self) {
        self.writes.next = false;
        match self.control.val() {
            Control::LoadSegment => {
                self.writes.next = self.valid.val();
            }
            Control::ClearSegment => {
                self.writes.next = self.valid.val();
            }
            Control::LoadNewStack => {
                self.writes.next = self.valid.val();
            }
            Control::CommitStack => {
                self.writes.next = self.valid.val();
            }
            Control::CommitReturn => {
                self.writes.next = self.valid.val();
            }
            Control::DropSegments => {
                self.writes.next = self.valid.val();
            }
            Control::LoadTask => {
                self.writes.next = self.valid.val();
            }
            Control::LoadVirtual => {
                self.writes.next = self.valid.val();
            }
            Control::SysenterStack => {
                self.writes.next = self.valid.val();
            }
            Control::SysexitStack => {
                self.writes.next = self.valid.val();
            }
            Control::WriteSystem => {
                self.writes.next = self.valid.val();
            }
            Control::SoftwareInterrupt => {
                // The vector is part of the address of its gate.
                self.writes.next = self.valid.val();
            }
            Control::InterruptOne => {
                self.writes.next = self.valid.val();
            }
            _ => {}
        }
    }
}

/// Combinational. A stage's micro-op moves when the next stage is free or becomes free in the same clock.
#[derive(LogicBlock, Default)]
pub struct Hazard {
    // issue
    pub issue_valid: Signal<In, Bit>,
    pub issue_last: Signal<In, Bit>,
    pub issue_predicts: Signal<In, Bit>,
    /// It may do so in this clock, and then goes there early.
    pub issue_may_predict: Signal<In, Bit>,
    pub issue_predicted_eip: Signal<In, Bits<32>>,
    pub issue_predicts_call: Signal<In, Bit>,
    pub issue_return_eip: Signal<In, Bits<32>>,
    pub issue_busy: Signal<In, Bit>,
    /// A prediction cut its instruction wrongly.
    pub issue_miscut: Signal<In, Bit>,
    // fetch
    /// It asks for a word again.
    pub fetch_repeats: Signal<In, Bit>,
    // decode
    pub decode_found: Signal<In, Bit>,
    // between issue and address
    pub handover_held: Signal<In, Bit>,
    pub handover_control: Signal<In, Control>,
    // address
    pub address_valid: Signal<In, Bit>,
    pub address_op: Signal<In, MicroOp>,
    // memory
    pub memory_valid: Signal<In, Bit>,
    pub memory_op: Signal<In, MicroOp>,
    pub memory_ready: Signal<In, Bit>,
    // execute
    pub execute_valid: Signal<In, Bit>,
    pub execute_empty: Signal<In, Bit>,
    pub execute_op: Signal<In, MicroOp>,
    pub execute_vacant: Signal<In, Bit>,
    pub execute_redirect: Signal<In, Bit>,
    pub execute_micro_redirect: Signal<In, Bit>,
    /// With `execute_redirect`: because code was written.
    pub execute_code_changed: Signal<In, Bit>,
    pub execute_next_eip: Signal<In, Bits<32>>,
    /// The micro-op in execute is a near call's last.
    pub execute_calls: Signal<In, Bit>,
    /// A conditional jump goes the other way; where that is, by a linear address.
    pub execute_mispredicts: Signal<In, Bit>,
    pub execute_other_linear: Signal<In, Bits<32>>,
    /// A far transfer goes there.
    pub execute_goes_far: Signal<In, Bit>,
    // events
    pub event_begins: Signal<In, Bit>,
    pub stop: Signal<In, Bit>,
    pub resume: Signal<In, Bit>,
    // state
    pub eip: Signal<In, Bits<32>>,
    pub code_base: Signal<In, Bits<32>>,
    pub code_base_next: Signal<In, Bits<32>>,
    // out
    pub execute_takes: Signal<Out, Bit>,
    pub memory_takes: Signal<Out, Bit>,
    pub address_takes: Signal<Out, Bit>,
    pub issue_leaves: Signal<Out, Bit>,
    /// Address, memory and execute drop what they hold.
    pub flush_back: Signal<Out, Bit>,
    /// Predecode, the instruction buffer and fetch drop what they hold.
    pub flush_front: Signal<Out, Bit>,
    /// Issue drops its instruction.
    pub flush_issue: Signal<Out, Bit>,
    pub fetch_redirect: Signal<Out, Bit>,
    pub fetch_stop: Signal<Out, Bit>,
    pub fetch_eip: Signal<Out, Bits<32>>,
    pub fetch_linear: Signal<Out, Bits<32>>,
    /// Fetch may ask for this address before it is certain that it goes on there.
    pub fetch_early: Signal<Out, Bit>,
    pub fetch_early_linear: Signal<Out, Bits<32>>,
    /// It does go on there.
    pub fetch_redirect_is_early: Signal<Out, Bit>,
    /// The redirect is a call's, which returns to this linear address.
    pub fetch_calls: Signal<Out, Bit>,
    pub fetch_returns_to: Signal<Out, Bits<32>>,
    /// Nothing older is under way, so what fetch asks for will be needed.
    pub fetch_certain: Signal<Out, Bit>,
    /// Reasons to wait, in the order of `spec::pipeline::STALL_REASONS`.
    pub stalls: Signal<Out, Bits<16>>,
    // units
    memory_segments: WritesSegment,
    execute_segments: WritesSegment,
    // wires
    flush_all: Signal<Local, Bit>,
    memory_writes: Signal<Local, Bit>,
    execute_writes: Signal<Local, Bit>,
    memory_destination: Signal<Local, Bits<4>>,
    execute_destination: Signal<Local, Bits<4>>,
    base: Signal<Local, Bits<4>>,
    index: Signal<Local, Bits<4>>,
    needs_base: Signal<Local, Bit>,
    needs_index: Signal<Local, Bit>,
    needs_esp: Signal<Local, Bit>,
    accesses: Signal<Local, Bit>,
    address_stall_on_register: Signal<Local, Bit>,
    address_stall_on_segment: Signal<Local, Bit>,
    branch_under_way: Signal<Local, Bit>,
    issue_stall_on_branch: Signal<Local, Bit>,
    memory_stall: Signal<Local, Bit>,
    execute_stall: Signal<Local, Bit>,
    address_leaves: Signal<Local, Bit>,
    memory_free: Signal<Local, Bit>,
    address_free: Signal<Local, Bit>,
    memory_leaves: Signal<Local, Bit>,
    base_then: Signal<Local, Bits<32>>,
    execute_early: Signal<Local, Bit>,
    return_eip: Signal<Local, Bits<32>>,
}

impl Logic for Hazard {
    #[hdl_gen]
    fn update(&mut self) {
        // What the address stage waits for.
        self.memory_writes.next = self.memory_valid.val() & self.memory_op.val().writes;
        self.execute_writes.next = self.execute_valid.val() & self.execute_op.val().writes;
        self.memory_destination.next = self.memory_op.val().destination;
        self.execute_destination.next = self.execute_op.val().destination;
        self.base.next = self.address_op.val().base;
        self.index.next = self.address_op.val().index;
        self.needs_base.next = self.address_op.val().base_valid;
        self.needs_index.next = self.address_op.val().index_valid;
        // A micro-branch that is taken goes on with the ESP that ran ahead of it.
        self.needs_esp.next =
            self.address_op.val().stack | (self.address_op.val().control == Control::Branch);
        self.address_stall_on_register.next = (self.memory_writes.val()
            & ((self.needs_base.val() & (self.memory_destination.val() == self.base.val()))
                | (self.needs_index.val() & (self.memory_destination.val() == self.index.val()))
                | (self.needs_esp.val() & (self.memory_destination.val() == 4))))
            | (self.execute_writes.val()
                & ((self.needs_base.val() & (self.execute_destination.val() == self.base.val()))
                    | (self.needs_index.val()
                        & (self.execute_destination.val() == self.index.val()))
                    | (self.needs_esp.val() & (self.execute_destination.val() == 4))));
        self.memory_segments.valid.next = self.memory_valid.val();
        self.memory_segments.control.next = self.memory_op.val().control;
        self.execute_segments.valid.next = self.execute_valid.val();
        self.execute_segments.control.next = self.execute_op.val().control;
        self.accesses.next = self.address_op.val().memory != MemoryOp::None;
        // The vector that `VectorImmediate` takes does not come from the micro-op before, which writes it.
        self.address_stall_on_segment.next = self.accesses.val()
            & (self.address_op.val().address != AddressMode::VectorImmediate)
            & (self.memory_segments.writes.val() | self.execute_segments.writes.val());

        // An instruction's fields stay in issue until its micro-branches are decided.
        self.branch_under_way.next = (self.handover_held.val()
            & (self.handover_control.val() == Control::Branch))
            | (self.address_valid.val() & (self.address_op.val().control == Control::Branch))
            | (self.memory_valid.val() & (self.memory_op.val().control == Control::Branch))
            | (self.execute_valid.val() & (self.execute_op.val().control == Control::Branch));
        self.issue_stall_on_branch.next = self.issue_last.val() & self.branch_under_way.val();

        // Who moves.
        self.flush_all.next =
            self.event_begins.val() | self.stop.val() | self.execute_redirect.val();
        self.flush_back.next = self.flush_all.val() | self.execute_micro_redirect.val();
        self.memory_leaves.next =
            self.memory_valid.val() & self.memory_ready.val() & self.execute_vacant.val();
        self.execute_takes.next = self.memory_leaves.val() & !self.flush_back.val();
        self.memory_free.next = (!self.memory_valid.val()) | self.memory_leaves.val();
        self.address_leaves.next = self.address_valid.val()
            & self.memory_free.val()
            & !(self.address_stall_on_register.val() | self.address_stall_on_segment.val());
        self.memory_takes.next = self.address_leaves.val() & !self.flush_back.val();
        self.address_free.next = (!self.address_valid.val()) | self.address_leaves.val();
        // Issue asks nobody behind the handover. What it lets go in a clock that drops everything is dropped there.
        self.issue_leaves.next = self.issue_valid.val()
            & !(self.handover_held.val()
                | self.issue_stall_on_branch.val()
                | self.execute_micro_redirect.val());
        self.address_takes.next = (self.handover_held.val() | self.issue_leaves.val())
            & self.address_free.val()
            & !self.flush_back.val();
        self.execute_stall.next = self.execute_valid.val() & !self.execute_vacant.val();
        self.memory_stall.next = self.memory_valid.val() & !self.memory_ready.val();

        // The front end.
        self.flush_issue.next = self.flush_all.val();
        self.flush_front.next = self.flush_all.val() | self.issue_predicts.val();
        self.fetch_stop.next = self.event_begins.val() | self.stop.val();
        self.fetch_redirect.next =
            (self.execute_redirect.val() | self.issue_predicts.val() | self.resume.val())
                & !self.fetch_stop.val();
        self.fetch_eip.next = self.issue_predicted_eip.val();
        self.base_then.next = self.code_base.val();
        if self.resume.val() {
            self.fetch_eip.next = self.eip.val();
        }
        if self.execute_redirect.val() {
            self.fetch_eip.next = self.execute_next_eip.val();
            self.base_then.next = self.code_base_next.val();
        }
        self.fetch_linear.next = self.base_then.val() + self.fetch_eip.val();
        // What is known early in the clock: jumps that issue predicts, conditional ones that went another way, and far
        // transfers.
        self.execute_early.next = self.execute_mispredicts.val() | self.execute_goes_far.val();
        self.fetch_early.next = self.execute_early.val() | self.issue_may_predict.val();
        self.fetch_early_linear.next = self.code_base.val() + self.issue_predicted_eip.val();
        if self.execute_early.val() {
            self.fetch_early_linear.next = self.execute_other_linear.val();
        }
        self.fetch_redirect_is_early.next = ((self.execute_redirect.val()
            & self.execute_early.val())
            | (self.issue_predicts.val()
                & self.issue_may_predict.val()
                & !(self.execute_redirect.val() | self.execute_early.val())))
            & !self.fetch_stop.val();
        self.fetch_calls.next = self.issue_predicts.val() & self.issue_predicts_call.val();
        self.return_eip.next = self.issue_return_eip.val();
        if self.execute_redirect.val() {
            self.fetch_calls.next = self.execute_calls.val();
            self.return_eip.next = self.execute_op.val().next_eip;
        }
        self.fetch_returns_to.next = self.code_base.val() + self.return_eip.val();
        self.fetch_certain.next = !(self.issue_busy.val()
            | self.decode_found.val()
            | self.handover_held.val()
            | self.address_valid.val()
            | self.memory_valid.val()
            | !self.execute_empty.val());

        self.stalls.next = bit_cast::<16, 1>(self.execute_stall.val().into())
            | (bit_cast::<16, 1>(self.memory_stall.val().into()) << 1)
            | (bit_cast::<16, 1>(
                (self.address_valid.val() & self.address_stall_on_register.val()).into(),
            ) << 2)
            | (bit_cast::<16, 1>(
                (self.address_valid.val() & self.address_stall_on_segment.val()).into(),
            ) << 3)
            | (bit_cast::<16, 1>(
                (self.issue_valid.val() & self.issue_stall_on_branch.val()).into(),
            ) << 4)
            | (bit_cast::<16, 1>((!self.issue_busy.val()).into()) << 5)
            | (bit_cast::<16, 1>(self.fetch_repeats.val().into()) << 6)
            | (bit_cast::<16, 1>(self.issue_miscut.val().into()) << 7)
            | (bit_cast::<16, 1>((self.issue_predicts.val() & !self.issue_miscut.val()).into())
                << 8)
            | (bit_cast::<16, 1>(
                (self.execute_redirect.val() & self.execute_code_changed.val()).into(),
            ) << 9)
            | (bit_cast::<16, 1>(
                (self.execute_redirect.val() & !self.execute_code_changed.val()).into(),
            ) << 10);
    }
}
