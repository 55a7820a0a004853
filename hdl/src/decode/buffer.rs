//! Between predecode and issue: room for one instruction, so that predecode goes on without asking issue.
use crate::prelude::*;

/// Predecode lets an instruction go while this is vacant: if issue does not take it in that clock, it stays here. Fetch's
/// queue then moves on what is known when a clock begins, and not on what issue reads from the ROM of rows.
#[derive(LogicBlock, Default)]
pub struct InstructionBuffer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from predecode and fetch
    pub found: Signal<In, Bit>,
    pub predecoded: Signal<In, Predecoded>,
    pub row_index: Signal<In, Bits<11>>,
    pub bytes: Signal<In, Bits<128>>,
    pub follows: Signal<In, Bit>,
    pub target_eip: Signal<In, Bits<32>>,
    pub miscut: Signal<In, Bit>,
    // from issue
    /// It takes what is shown.
    pub takes: Signal<In, Bit>,
    // from hazard
    pub flush: Signal<In, Bit>,
    // to predecode
    /// There is room for what it finds.
    pub vacant: Signal<Out, Bit>,
    // to issue: the instruction held, or else the one that predecode finds
    pub next_found: Signal<Out, Bit>,
    pub next_predecoded: Signal<Out, Predecoded>,
    pub next_row_index: Signal<Out, Bits<11>>,
    pub next_bytes: Signal<Out, Bits<128>>,
    pub next_follows: Signal<Out, Bit>,
    pub next_target_eip: Signal<Out, Bits<32>>,
    pub next_miscut: Signal<Out, Bit>,
    // state
    held: DFF<Bit>,
    predecoded_reg: DFF<Predecoded>,
    row_index_reg: DFF<Bits<11>>,
    bytes_reg: DFF<Bits<128>>,
    follows_reg: DFF<Bit>,
    target_eip_reg: DFF<Bits<32>>,
    miscut_reg: DFF<Bit>,
}

impl Logic for InstructionBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            held,
            predecoded_reg,
            row_index_reg,
            bytes_reg,
            follows_reg,
            target_eip_reg,
            miscut_reg
        );
        self.vacant.next = !self.held.q.val();
        self.next_found.next = self.held.q.val() | self.found.val();
        self.next_predecoded.next = self.predecoded.val();
        self.next_row_index.next = self.row_index.val();
        self.next_bytes.next = self.bytes.val();
        self.next_follows.next = self.follows.val();
        self.next_target_eip.next = self.target_eip.val();
        self.next_miscut.next = self.miscut.val();
        if self.held.q.val() {
            self.next_predecoded.next = self.predecoded_reg.q.val();
            self.next_row_index.next = self.row_index_reg.q.val();
            self.next_bytes.next = self.bytes_reg.q.val();
            self.next_follows.next = self.follows_reg.q.val();
            self.next_target_eip.next = self.target_eip_reg.q.val();
            self.next_miscut.next = self.miscut_reg.q.val();
        } else {
            // Whether it stays is known too late to choose whether to write it.
            self.predecoded_reg.d.next = self.predecoded.val();
            self.row_index_reg.d.next = self.row_index.val();
            self.bytes_reg.d.next = self.bytes.val();
            self.follows_reg.d.next = self.follows.val();
            self.target_eip_reg.d.next = self.target_eip.val();
            self.miscut_reg.d.next = self.miscut.val();
        }
        self.held.d.next = (self.held.q.val() | self.found.val())
            & !(self.takes.val() | self.flush.val() | self.reset.val());
    }
}
