//! Hardware breakpoints: DR0 to DR3 against the addresses of instructions and of their accesses.
use crate::prelude::*;

/// One breakpoint. Combinational.
#[derive(LogicBlock, Default)]
pub struct Breakpoint {
    pub address: Signal<In, Bits<32>>,
    /// R/W of DR7: 0 execution, 1 writes, 2 ports, 3 reads and writes.
    pub kind: Signal<In, Bits<2>>,
    /// LEN of DR7: 0 one byte, 1 two, 3 four, 2 eight.
    pub length: Signal<In, Bits<2>>,
    /// Where an instruction begins.
    pub instruction: Signal<In, Bits<32>>,
    // an access
    pub linear: Signal<In, Bits<32>>,
    /// Bytes: 1, 2, 4 or 8.
    pub size: Signal<In, Bits<4>>,
    pub reads: Signal<In, Bit>,
    pub writes: Signal<In, Bit>,
    /// The access is of a port, and such breakpoints exist.
    pub io: Signal<In, Bit>,
    pub extensions: Signal<In, Bit>,
    // out
    pub meets_instruction: Signal<Out, Bit>,
    pub meets_access: Signal<Out, Bit>,
    // wires
    mask: Signal<Local, Bits<3>>,
    start: Signal<Local, Bits<32>>,
    distance: Signal<Local, Bits<32>>,
    low: Signal<Local, Bits<4>>,
    reach: Signal<Local, Bits<4>>,
    touches: Signal<Local, Bit>,
}

impl Logic for Breakpoint {
    #[hdl_gen]
    fn update(&mut self) {
        self.meets_instruction.next =
            (self.kind.val() == 0) & (self.instruction.val() == self.address.val());
        self.mask.next = 0.into();
        if self.length.val() == 1 {
            self.mask.next = 1.into();
        }
        if self.length.val() == 3 {
            self.mask.next = 3.into();
        }
        if self.length.val() == 2 {
            self.mask.next = 7.into();
        }
        // The breakpoint is aligned by its length.
        self.start.next = (self.address.val() & 0xFFFF_FFF8_u64)
            | bit_cast::<32, 3>(self.address.val().get_bits::<3>(0) & !self.mask.val());
        self.distance.next = self.linear.val() - self.start.val();
        self.low.next = bit_cast::<4, 3>(self.distance.val().get_bits::<3>(0));
        // Of an access that begins less than eight bytes before: whether it gets there.
        self.reach.next = self.low.val() + self.size.val();
        self.touches.next = ((self.distance.val().get_bits::<29>(3) == 0)
            & (self.distance.val().get_bits::<3>(0) <= self.mask.val()))
            | (self.distance.val().get_bits::<29>(3).all() & (self.reach.val() > 8));
        self.meets_access.next = false;
        if self.io.val() {
            self.meets_access.next =
                self.touches.val() & self.extensions.val() & (self.kind.val() == 2);
        } else {
            self.meets_access.next = self.touches.val()
                & self.kind.val().get_bit(0)
                & (self.writes.val() | (self.reads.val() & self.kind.val().get_bit(1)));
        }
    }
}

/// SDM Vol. 3B, "Debug Registers". Instructions are compared in the address stage, accesses in the memory stage; what
/// is met travels beside the micro-op.
#[derive(LogicBlock, Default)]
pub struct Breakpoints {
    pub clock: Signal<In, Clock>,
    pub dr0: Signal<In, Bits<32>>,
    pub dr1: Signal<In, Bits<32>>,
    pub dr2: Signal<In, Bits<32>>,
    pub dr3: Signal<In, Bits<32>>,
    pub dr7: Signal<In, Bits<32>>,
    /// CR4.DE: breakpoints for ports.
    pub extensions: Signal<In, Bit>,
    // address stage
    /// It holds an instruction's first micro-op.
    pub address_first: Signal<In, Bit>,
    pub address_linear: Signal<In, Bits<32>>,
    /// By EFLAGS.RF.
    pub shielded: Signal<In, Bit>,
    pub memory_takes: Signal<In, Bit>,
    /// To the memory stage: that instruction faults.
    pub instruction_hit: Signal<Out, Bit>,
    // memory stage
    pub linear: Signal<In, Bits<32>>,
    pub size: Signal<In, Bits<4>>,
    pub reads: Signal<In, Bit>,
    pub writes: Signal<In, Bit>,
    pub io: Signal<In, Bit>,
    /// The processor's own access, or none.
    pub exempt: Signal<In, Bit>,
    pub execute_takes: Signal<In, Bit>,
    // execute stage
    /// Bits 3:0 of DR6 if the micro-op there retires / if the one there in the last clock raised #DB.
    pub data_hits: Signal<Out, Bits<4>>,
    pub code_hits: Signal<Out, Bits<4>>,
    // state
    memory_code_hits: DFF<Bits<4>>,
    execute_code_hits: DFF<Bits<4>>,
    raised_code_hits: DFF<Bits<4>>,
    execute_data_hits: DFF<Bits<4>>,
    // units
    breakpoint0: Breakpoint,
    breakpoint1: Breakpoint,
    breakpoint2: Breakpoint,
    breakpoint3: Breakpoint,
    // wires
    enabled: Signal<Local, Bits<4>>,
    code_met: Signal<Local, Bits<4>>,
    data_met: Signal<Local, Bits<4>>,
    data_hit: Signal<Local, Bit>,
}

impl Logic for Breakpoints {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            memory_code_hits,
            execute_code_hits,
            raised_code_hits,
            execute_data_hits
        );
        self.breakpoint0.address.next = self.dr0.val();
        self.breakpoint0.kind.next = self.dr7.val().get_bits::<2>(16);
        self.breakpoint0.length.next = self.dr7.val().get_bits::<2>(18);
        self.breakpoint1.address.next = self.dr1.val();
        self.breakpoint1.kind.next = self.dr7.val().get_bits::<2>(20);
        self.breakpoint1.length.next = self.dr7.val().get_bits::<2>(22);
        self.breakpoint2.address.next = self.dr2.val();
        self.breakpoint2.kind.next = self.dr7.val().get_bits::<2>(24);
        self.breakpoint2.length.next = self.dr7.val().get_bits::<2>(26);
        self.breakpoint3.address.next = self.dr3.val();
        self.breakpoint3.kind.next = self.dr7.val().get_bits::<2>(28);
        self.breakpoint3.length.next = self.dr7.val().get_bits::<2>(30);
        self.breakpoint0.instruction.next = self.address_linear.val();
        self.breakpoint0.linear.next = self.linear.val();
        self.breakpoint0.size.next = self.size.val();
        self.breakpoint0.reads.next = self.reads.val();
        self.breakpoint0.writes.next = self.writes.val();
        self.breakpoint0.io.next = self.io.val();
        self.breakpoint0.extensions.next = self.extensions.val();
        self.breakpoint1.instruction.next = self.address_linear.val();
        self.breakpoint1.linear.next = self.linear.val();
        self.breakpoint1.size.next = self.size.val();
        self.breakpoint1.reads.next = self.reads.val();
        self.breakpoint1.writes.next = self.writes.val();
        self.breakpoint1.io.next = self.io.val();
        self.breakpoint1.extensions.next = self.extensions.val();
        self.breakpoint2.instruction.next = self.address_linear.val();
        self.breakpoint2.linear.next = self.linear.val();
        self.breakpoint2.size.next = self.size.val();
        self.breakpoint2.reads.next = self.reads.val();
        self.breakpoint2.writes.next = self.writes.val();
        self.breakpoint2.io.next = self.io.val();
        self.breakpoint2.extensions.next = self.extensions.val();
        self.breakpoint3.instruction.next = self.address_linear.val();
        self.breakpoint3.linear.next = self.linear.val();
        self.breakpoint3.size.next = self.size.val();
        self.breakpoint3.reads.next = self.reads.val();
        self.breakpoint3.writes.next = self.writes.val();
        self.breakpoint3.io.next = self.io.val();
        self.breakpoint3.extensions.next = self.extensions.val();
        self.enabled.next = bit_cast::<4, 1>(self.dr7.val().get_bits::<2>(0).any().into())
            | (bit_cast::<4, 1>(self.dr7.val().get_bits::<2>(2).any().into()) << 1)
            | (bit_cast::<4, 1>(self.dr7.val().get_bits::<2>(4).any().into()) << 2)
            | (bit_cast::<4, 1>(self.dr7.val().get_bits::<2>(6).any().into()) << 3);
        self.code_met.next = bit_cast::<4, 1>(self.breakpoint0.meets_instruction.val().into())
            | (bit_cast::<4, 1>(self.breakpoint1.meets_instruction.val().into()) << 1)
            | (bit_cast::<4, 1>(self.breakpoint2.meets_instruction.val().into()) << 2)
            | (bit_cast::<4, 1>(self.breakpoint3.meets_instruction.val().into()) << 3);
        self.data_met.next = bit_cast::<4, 1>(self.breakpoint0.meets_access.val().into())
            | (bit_cast::<4, 1>(self.breakpoint1.meets_access.val().into()) << 1)
            | (bit_cast::<4, 1>(self.breakpoint2.meets_access.val().into()) << 2)
            | (bit_cast::<4, 1>(self.breakpoint3.meets_access.val().into()) << 3);

        // One that is enabled is enough; DR6 shows all that were met.
        self.instruction_hit.next = self.address_first.val()
            & (self.code_met.val() & self.enabled.val()).any()
            & !self.shielded.val();
        self.data_hit.next = (self.data_met.val() & self.enabled.val()).any() & !self.exempt.val();
        self.raised_code_hits.d.next = self.execute_code_hits.q.val();
        if self.memory_takes.val() {
            self.memory_code_hits.d.next = 0.into();
            if self.instruction_hit.val() {
                self.memory_code_hits.d.next = self.code_met.val();
            }
        }
        if self.execute_takes.val() {
            self.execute_code_hits.d.next = self.memory_code_hits.q.val();
            self.execute_data_hits.d.next = 0.into();
            if self.data_hit.val() {
                self.execute_data_hits.d.next = self.data_met.val();
            }
        }
        self.data_hits.next = self.execute_data_hits.q.val();
        self.code_hits.next = self.raised_code_hits.q.val();
    }
}
