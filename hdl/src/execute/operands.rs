//! Selects the operands of a micro-op and brings them to its width.
use crate::prelude::*;

/// Combinational.
#[derive(LogicBlock, Default)]
pub struct Operands {
    pub op: Signal<In, MicroOp>,
    pub prepared: Signal<In, Prepared>,
    pub a_value: Signal<In, Bits<32>>,
    pub b_value: Signal<In, Bits<32>>,
    pub c_value: Signal<In, Bits<32>>,
    /// The load in the clock in which it arrives, if its address is a multiple of four.
    pub aligned_load: Signal<In, Bits<32>>,
    pub load_is_aligned: Signal<In, Bit>,
    /// The load's low half one clock later, from a register.
    pub held_load: Signal<In, Bits<32>>,
    pub effective_address: Signal<In, Bits<32>>,
    pub a: Signal<Out, Bits<32>>,
    pub b: Signal<Out, Bits<32>>,
    pub c: Signal<Out, Bits<32>>,
    /// a and b for what cannot wait for a load in the same clock.
    pub late_a: Signal<Out, Bits<32>>,
    pub late_b: Signal<Out, Bits<32>>,
    /// What is multiplied by: a register, an immediate or a load, so `late_b` without what else that may be.
    pub factor: Signal<Out, Bits<32>>,
    /// b where it is a register or a constant, for checks and far targets.
    pub register_b: Signal<Out, Bits<32>>,
    a_settled: Signal<Local, Bits<32>>,
    b_settled: Signal<Local, Bits<32>>,
    a_mask: Signal<Local, Bits<32>>,
    b_mask: Signal<Local, Bits<32>>,
}

impl Logic for Operands {
    #[hdl_gen]
    fn update(&mut self) {
        self.a_settled.next = self.a_value.val();
        if self.op.val().a_high {
            self.a_settled.next = self.a_value.val() >> 8;
        }
        match self.op.val().a_source {
            ASource::Register => {}
            ASource::Load => {
                self.a_settled.next = self.held_load.val();
            }
            ASource::Zero => {
                self.a_settled.next = 0.into();
            }
        }
        self.b_settled.next = self.b_value.val();
        if self.op.val().b_high {
            self.b_settled.next = self.b_value.val() >> 8;
        }
        match self.op.val().b_source {
            BSource::Register => {}
            BSource::Load => {
                self.b_settled.next = self.held_load.val();
            }
            BSource::Immediate => {
                self.b_settled.next = self.op.val().immediate;
            }
            BSource::Constant => {
                self.b_settled.next = (bit_cast::<32, 12>(self.op.val().constant) ^ 0x800) - 0x800;
            }
            BSource::One => {
                self.b_settled.next = 1.into();
            }
            BSource::EffectiveAddress => {
                self.b_settled.next = self.effective_address.val();
            }
            BSource::NextEip => {
                self.b_settled.next = self.op.val().next_eip;
            }
            // It passes the operands by.
            BSource::System => {}
            BSource::SecondImmediate => {
                self.b_settled.next = bit_cast::<32, 16>(self.op.val().second_immediate);
            }
            BSource::AccessSize => {
                self.b_settled.next = bit_cast::<32, 4>(self.op.val().access_size);
            }
        }
        self.register_b.next = self.b_value.val();
        if self.op.val().b_source == BSource::Constant {
            self.register_b.next = (bit_cast::<32, 12>(self.op.val().constant) ^ 0x800) - 0x800;
        }
        self.c.next = self.c_value.val();
        if self.op.val().c_source == CSource::Immediate {
            self.c.next = self.op.val().immediate;
        }

        // Zero-extended from the width.
        self.a_mask.next = 0xFF.into();
        if self.prepared.val().a_word {
            self.a_mask.next = 0xFFFF.into();
        }
        if self.prepared.val().a_dword {
            self.a_mask.next = 0xFFFF_FFFF_u64.into();
        }
        self.b_mask.next = 0xFF.into();
        if self.prepared.val().b_word {
            self.b_mask.next = 0xFFFF.into();
        }
        if self.prepared.val().b_dword {
            self.b_mask.next = 0xFFFF_FFFF_u64.into();
        }
        self.factor.next = self.b_value.val() & self.b_mask.val();
        if self.op.val().b_high {
            self.factor.next = (self.b_value.val() >> 8) & self.b_mask.val();
        }
        if self.op.val().b_source == BSource::Immediate {
            self.factor.next = self.op.val().immediate & self.b_mask.val();
        }
        if self.op.val().b_source == BSource::Load {
            self.factor.next = self.held_load.val() & self.b_mask.val();
        }
        self.late_a.next = self.a_settled.val() & self.a_mask.val();
        self.late_b.next = self.b_settled.val() & self.b_mask.val();
        self.a.next = self.late_a.val();
        if (self.op.val().a_source == ASource::Load) & self.load_is_aligned.val() {
            self.a.next = self.aligned_load.val() & self.a_mask.val();
        }
        self.b.next = self.late_b.val();
        if (self.op.val().b_source == BSource::Load) & self.load_is_aligned.val() {
            self.b.next = self.aligned_load.val() & self.b_mask.val();
        }
    }
}
