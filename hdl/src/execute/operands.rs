//! Selects the operands of a micro-op and brings them to its width.
use crate::prelude::*;

/// Combinational.
#[derive(LogicBlock, Default)]
pub struct Operands {
    pub op: Signal<In, MicroOp>,
    pub a_value: Signal<In, Bits<32>>,
    pub b_value: Signal<In, Bits<32>>,
    pub c_value: Signal<In, Bits<32>>,
    pub load_data: Signal<In, Bits<64>>,
    pub effective_address: Signal<In, Bits<32>>,
    pub system_value: Signal<In, Bits<32>>,
    pub a: Signal<Out, Bits<32>>,
    pub b: Signal<Out, Bits<32>>,
    pub c: Signal<Out, Bits<32>>,
    a_whole: Signal<Local, Bits<32>>,
    b_whole: Signal<Local, Bits<32>>,
    b_byte: Signal<Local, Bit>,
}

impl Logic for Operands {
    #[hdl_gen]
    fn update(&mut self) {
        self.a_whole.next = self.a_value.val();
        if self.op.val().a_high {
            self.a_whole.next = self.a_value.val() >> 8;
        }
        match self.op.val().a_source {
            ASource::Register => {}
            ASource::Load => {
                self.a_whole.next = self.load_data.val().get_bits::<32>(0);
            }
            ASource::Zero => {
                self.a_whole.next = 0.into();
            }
        }
        self.b_whole.next = self.b_value.val();
        if self.op.val().b_high {
            self.b_whole.next = self.b_value.val() >> 8;
        }
        match self.op.val().b_source {
            BSource::Register => {}
            BSource::Load => {
                self.b_whole.next = self.load_data.val().get_bits::<32>(0);
            }
            BSource::Immediate => {
                self.b_whole.next = self.op.val().immediate;
            }
            BSource::Constant => {
                self.b_whole.next = (bit_cast::<32, 12>(self.op.val().constant) ^ 0x800) - 0x800;
            }
            BSource::One => {
                self.b_whole.next = 1.into();
            }
            BSource::EffectiveAddress => {
                self.b_whole.next = self.effective_address.val();
            }
            BSource::NextEip => {
                self.b_whole.next = self.op.val().next_eip;
            }
            BSource::System => {
                self.b_whole.next = self.system_value.val();
            }
            BSource::SecondImmediate => {
                self.b_whole.next = bit_cast::<32, 16>(self.op.val().second_immediate);
            }
            BSource::AccessSize => {
                self.b_whole.next = bit_cast::<32, 4>(self.op.val().access_size);
            }
        }
        self.c.next = self.c_value.val();
        if self.op.val().c_source == CSource::Immediate {
            self.c.next = self.op.val().immediate;
        }

        // Zero-extended from the width; byte extensions have a source of their own width.
        self.b_byte.next = (self.op.val().op == ExecuteOp::ZeroExtendByte)
            | (self.op.val().op == ExecuteOp::SignExtendByte);
        self.a.next = self.a_whole.val();
        self.b.next = self.b_whole.val();
        if self.op.val().width == Width::Byte {
            self.a.next = self.a_whole.val() & 0xFF;
            if (self.op.val().op == ExecuteOp::Div) | (self.op.val().op == ExecuteOp::Idiv) {
                // AX is divided.
                self.a.next = self.a_whole.val() & 0xFFFF;
            }
            self.b.next = self.b_whole.val() & 0xFF;
        }
        if self.op.val().width == Width::Word {
            self.a.next = self.a_whole.val() & 0xFFFF;
            self.b.next = self.b_whole.val() & 0xFFFF;
        }
        if self.b_byte.val() {
            self.b.next = self.b_whole.val() & 0xFF;
        }
    }
}
