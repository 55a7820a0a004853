//! What `BranchTargets` is to learn, from a clock after it happened until it can be taken.
use crate::prelude::*;

/// Linear addresses of branches that retired, and of cuts where there was no branch.
///
/// Fetch learns where it went wrong, and, while nothing else is to be learnt, which conditional branches were taken as
/// predicted.
#[derive(LogicBlock, Default)]
pub struct Training {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub code_base: Signal<In, Bits<32>>,
    // a near branch retires
    pub retires: Signal<In, Bit>,
    /// Behind it.
    pub branch_next_eip: Signal<In, Bits<32>>,
    /// Where instructions go on.
    pub target_eip: Signal<In, Bits<32>>,
    pub taken: Signal<In, Bit>,
    pub conditional: Signal<In, Bit>,
    pub call: Signal<In, Bit>,
    pub returns: Signal<In, Bit>,
    /// Fetch did not go its way of itself.
    pub wrong: Signal<In, Bit>,
    // an instruction was cut where no branch ends
    pub miscut: Signal<In, Bit>,
    /// Behind the cut.
    pub cut_eip: Signal<In, Bits<32>>,
    // to `BranchTargets`
    /// It takes what is shown.
    pub learns: Signal<In, Bit>,
    pub train: Signal<Out, Bit>,
    pub train_end: Signal<Out, Bits<32>>,
    pub train_target: Signal<Out, Bits<32>>,
    pub train_taken: Signal<Out, Bit>,
    pub train_conditional: Signal<Out, Bit>,
    pub train_call: Signal<Out, Bit>,
    pub train_returns: Signal<Out, Bit>,
    pub train_forget: Signal<Out, Bit>,
    // state
    train_reg: DFF<Bit>,
    next_eip_reg: DFF<Bits<32>>,
    target_eip_reg: DFF<Bits<32>>,
    taken_reg: DFF<Bit>,
    conditional_reg: DFF<Bit>,
    call_reg: DFF<Bit>,
    returns_reg: DFF<Bit>,
    forget_reg: DFF<Bit>,
}

impl Logic for Training {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            train_reg,
            next_eip_reg,
            target_eip_reg,
            taken_reg,
            conditional_reg,
            call_reg,
            returns_reg,
            forget_reg
        );
        if self.learns.val() {
            self.train_reg.d.next = false;
        }
        if (self.retires.val()
            & (self.wrong.val()
                | (self.conditional.val()
                    & self.taken.val()
                    & (self.learns.val() | !self.train_reg.q.val()))))
            | self.miscut.val()
        {
            self.train_reg.d.next = true;
            self.next_eip_reg.d.next = self.branch_next_eip.val();
            if self.miscut.val() {
                self.next_eip_reg.d.next = self.cut_eip.val();
            }
            self.target_eip_reg.d.next = self.target_eip.val();
            self.taken_reg.d.next = self.taken.val();
            self.conditional_reg.d.next = self.conditional.val();
            self.call_reg.d.next = self.call.val();
            self.returns_reg.d.next = self.returns.val();
            self.forget_reg.d.next = self.miscut.val();
        }

        self.train.next = self.train_reg.q.val();
        self.train_end.next = self.code_base.val() + self.next_eip_reg.q.val() - 1;
        self.train_target.next = self.code_base.val() + self.target_eip_reg.q.val();
        self.train_taken.next = self.taken_reg.q.val();
        self.train_conditional.next = self.conditional_reg.q.val();
        self.train_call.next = self.call_reg.q.val();
        self.train_returns.next = self.returns_reg.q.val();
        self.train_forget.next = self.forget_reg.q.val();
        if self.reset.val() {
            self.train_reg.d.next = false;
        }
    }
}
