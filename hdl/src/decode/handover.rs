//! Between issue and address: room for one micro-op, so that a wait further on reaches the front end a clock later.
use crate::prelude::*;

/// Issue lets a micro-op go while this is vacant, without asking whether the address stage has room: if it has none, the
/// micro-op stays here. The chain of stages that wait for one another in one clock ends here.
#[derive(LogicBlock, Default)]
pub struct Handover {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from issue
    /// The micro-op leaves issue at the end of this clock; only while `held` is 0.
    pub issue_leaves: Signal<In, Bit>,
    pub issue_micro_op: Signal<In, MicroOp>,
    pub issue_bytes: Signal<In, Bits<128>>,
    // from hazard
    /// The address stage takes what is shown.
    pub leaves: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    // to the address stage: the micro-op held, or else the one in issue
    pub micro_op: Signal<Out, MicroOp>,
    pub bytes: Signal<Out, Bits<128>>,
    // to hazard
    pub held: Signal<Out, Bit>,
    /// Of the micro-op held.
    pub held_control: Signal<Out, Control>,
    // state
    held_reg: DFF<Bit>,
    micro_op_reg: DFF<MicroOp>,
    bytes_reg: DFF<Bits<128>>,
    // wires
    held_op: Signal<Local, MicroOp>,
}

impl Logic for Handover {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held_reg, micro_op_reg, bytes_reg);
        self.held_op.next = self.micro_op_reg.q.val();
        self.held.next = self.held_reg.q.val();
        self.held_control.next = self.held_op.val().control;
        self.micro_op.next = self.issue_micro_op.val();
        self.bytes.next = self.issue_bytes.val();
        if self.held_reg.q.val() {
            self.micro_op.next = self.held_op.val();
            self.bytes.next = self.bytes_reg.q.val();
        } else {
            // Whether it stays is known too late to choose whether to write it.
            self.micro_op_reg.d.next = self.issue_micro_op.val();
            self.bytes_reg.d.next = self.issue_bytes.val();
        }
        self.held_reg.d.next = (self.held_reg.q.val() | self.issue_leaves.val())
            & !(self.leaves.val() | self.flush.val() | self.reset.val());
    }
}
