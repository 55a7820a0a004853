//! Turns a register of a micro-instruction into a register number.
use crate::prelude::*;

/// Combinational. Byte registers 4..7 are the high halves of 0..3.
#[derive(LogicBlock, Default)]
pub struct RegisterNumber {
    pub select: Signal<In, RegisterSelect>,
    pub byte_register: Signal<In, Bit>,
    pub modrm: Signal<In, Bits<8>>,
    pub opcode: Signal<In, Bits<8>>,
    /// 0..7 general registers, 8..15 temporaries.
    pub number: Signal<Out, Bits<4>>,
    /// Bits 15:8 of the register.
    pub high: Signal<Out, Bit>,
    /// Not `RegisterSelect::None`.
    pub present: Signal<Out, Bit>,
    encoded: Signal<Local, Bits<3>>,
    from_instruction: Signal<Local, Bit>,
}

impl Logic for RegisterNumber {
    #[hdl_gen]
    fn update(&mut self) {
        self.encoded.next = 0.into();
        self.from_instruction.next = false;
        self.number.next = 0.into();
        self.high.next = false;
        self.present.next = true;
        match self.select.val() {
            RegisterSelect::None => {
                self.present.next = false;
            }
            RegisterSelect::Rm => {
                self.encoded.next = self.modrm.val().get_bits::<3>(0);
                self.from_instruction.next = true;
            }
            RegisterSelect::Reg => {
                self.encoded.next = self.modrm.val().get_bits::<3>(3);
                self.from_instruction.next = true;
            }
            RegisterSelect::Opcode => {
                self.encoded.next = self.opcode.val().get_bits::<3>(0);
                self.from_instruction.next = true;
            }
            RegisterSelect::Eax => {
                self.number.next = 0.into();
            }
            RegisterSelect::Ecx => {
                self.number.next = 1.into();
            }
            RegisterSelect::Edx => {
                self.number.next = 2.into();
            }
            RegisterSelect::Ebx => {
                self.number.next = 3.into();
            }
            RegisterSelect::Esp => {
                self.number.next = 4.into();
            }
            RegisterSelect::Ebp => {
                self.number.next = 5.into();
            }
            RegisterSelect::Esi => {
                self.number.next = 6.into();
            }
            RegisterSelect::Edi => {
                self.number.next = 7.into();
            }
            RegisterSelect::Ah => {
                self.high.next = true;
            }
            RegisterSelect::T0 => {
                self.number.next = 8.into();
            }
            RegisterSelect::T1 => {
                self.number.next = 9.into();
            }
            RegisterSelect::T2 => {
                self.number.next = 10.into();
            }
            RegisterSelect::T3 => {
                self.number.next = 11.into();
            }
            RegisterSelect::T4 => {
                self.number.next = 12.into();
            }
            RegisterSelect::T5 => {
                self.number.next = 13.into();
            }
            RegisterSelect::T6 => {
                self.number.next = 14.into();
            }
            RegisterSelect::T7 => {
                self.number.next = 15.into();
            }
        }
        if self.from_instruction.val() {
            self.number.next = bit_cast::<4, 3>(self.encoded.val());
            if self.byte_register.val() {
                self.number.next = bit_cast::<4, 3>(self.encoded.val() & 3);
                self.high.next = self.encoded.val().get_bit(2);
            }
        }
    }
}
