//! The fetch side of translation: hit, physical address, walk request and page fault.
use crate::prelude::*;

/// Decides on a fetch address with what the instruction TLB and the walker know.
#[derive(LogicBlock, Default)]
pub struct FetchTranslation {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The pipeline or the translations are flushed: a remembered fault is forgotten.
    pub forget: Signal<In, Bit>,
    /// All translations go in this clock: none counts.
    pub changing: Signal<In, Bit>,
    // to and from fetch: see `DataUnit`
    pub fetch_valid: Signal<In, Bit>,
    pub fetch_linear: Signal<In, Bits<32>>,
    pub lookup_linear: Signal<In, Bits<32>>,
    pub fetch_user: Signal<In, Bit>,
    pub lookup_user: Signal<In, Bit>,
    pub fetch_hit: Signal<Out, Bit>,
    pub fetch_physical: Signal<Out, Bits<32>>,
    pub fetch_cacheable: Signal<Out, Bit>,
    pub fetch_fault: Signal<Out, Bit>,
    pub fetch_fault_code: Signal<Out, Bits<3>>,
    // from the instruction TLB, for `lookup_linear`
    pub tlb_hit: Signal<In, Bit>,
    pub tlb_frame: Signal<In, Bits<20>>,
    pub tlb_user: Signal<In, Bit>,
    pub tlb_uncached: Signal<In, Bit>,
    pub paging: Signal<In, Bit>,
    // to and from the walker
    /// The fetch is certain, and the walker is free.
    pub walk_permitted: Signal<In, Bit>,
    pub walking: Signal<In, Bit>,
    pub walk_wanted: Signal<Out, Bit>,
    /// The walk of a fetch ends in a page fault.
    pub walk_fault: Signal<In, Bit>,
    pub walk_fault_present: Signal<In, Bit>,
    // state: no walk may begin before a look-up has shown what the last one brought
    settling_reg: DFF<Bit>,
    // state: the fault of the last walk
    fault_reg: DFF<Bit>,
    present_reg: DFF<Bit>,
    linear_reg: DFF<Bits<32>>,
    user_reg: DFF<Bit>,
    // wires
    fault_here: Signal<Local, Bit>,
}

impl Logic for FetchTranslation {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            settling_reg,
            fault_reg,
            present_reg,
            linear_reg,
            user_reg
        );
        self.fetch_hit.next = !self.paging.val()
            | (self.tlb_hit.val()
                & (self.tlb_user.val() | !self.lookup_user.val())
                & !self.changing.val());
        self.fetch_physical.next = self.lookup_linear.val();
        if self.paging.val() {
            self.fetch_physical.next = (bit_cast::<32, 20>(self.tlb_frame.val()) << 12)
                | bit_cast::<32, 12>(self.lookup_linear.val().get_bits::<12>(0));
        }
        self.fetch_cacheable.next = !(self.paging.val() & self.tlb_uncached.val());
        self.fault_here.next = self.fault_reg.q.val()
            & (self.linear_reg.q.val() == self.fetch_linear.val())
            & (self.user_reg.q.val() == self.fetch_user.val());
        self.fetch_fault.next = self.fault_here.val();
        self.fetch_fault_code.next = bit_cast::<3, 1>(self.present_reg.q.val().into())
            | (bit_cast::<3, 1>(self.fetch_user.val().into()) << 2);
        self.settling_reg.d.next = self.walking.val();
        self.walk_wanted.next = self.fetch_valid.val()
            & self.walk_permitted.val()
            & !(self.fault_here.val() | self.settling_reg.q.val());
        if self.walk_wanted.val() {
            self.linear_reg.d.next = self.fetch_linear.val();
            self.user_reg.d.next = self.fetch_user.val();
        }
        self.fault_reg.d.next = self.fault_here.val();
        if self.walk_fault.val() {
            self.fault_reg.d.next = true;
            self.present_reg.d.next = self.walk_fault_present.val();
        }
        if self.reset.val() | self.forget.val() {
            self.fault_reg.d.next = false;
        }
    }
}
