//! What of a micro-op is decoded in the clock before it executes.
use crate::prelude::*;

/// Combinational. Execute registers `prepared` beside the micro-op, so that operands and ALU begin with plain selects.
#[derive(LogicBlock, Default)]
pub struct Prepare {
    pub op: Signal<In, ExecuteOp>,
    pub width: Signal<In, Width>,
    pub b_source: Signal<In, BSource>,
    pub control: Signal<In, Control>,
    pub prepared: Signal<Out, Prepared>,
    // wires
    divides: Signal<Local, Bit>,
    extends_byte: Signal<Local, Bit>,
    keeps_word: Signal<Local, Bit>,
    keeps_dword: Signal<Local, Bit>,
}

impl Logic for Prepare {
    #[hdl_gen]
    fn update(&mut self) {
        self.keeps_word.next = self.width.val() != Width::Byte;
        self.keeps_dword.next =
            (self.width.val() != Width::Byte) & (self.width.val() != Width::Word);
        // AX is divided; byte extensions have a source of their own width.
        self.divides.next = (self.op.val() == ExecuteOp::Div) | (self.op.val() == ExecuteOp::Idiv);
        self.extends_byte.next = (self.op.val() == ExecuteOp::ZeroExtendByte)
            | (self.op.val() == ExecuteOp::SignExtendByte);
        self.prepared.next.a_word = self.keeps_word.val() | self.divides.val();
        self.prepared.next.a_dword = self.keeps_dword.val();
        self.prepared.next.b_word = self.keeps_word.val() & !self.extends_byte.val();
        self.prepared.next.b_dword = self.keeps_dword.val() & !self.extends_byte.val();
        self.prepared.next.result_word = self.keeps_word.val();
        self.prepared.next.result_dword = self.keeps_dword.val();

        // Logic is addition without carries. By default a: the part of it that b lacks, plus the common one.
        self.prepared.next.from_alu = true;
        self.prepared.next.result_from = ResultFrom::BitUnit;
        self.prepared.next.takes_late = false;
        self.prepared.next.augend = Augend::AWithoutB;
        self.prepared.next.addend = Addend::Both;
        self.prepared.next.carry_in = CarryIn::Zero;
        self.prepared.next.subtract = false;
        self.prepared.next.steps = false;
        self.prepared.next.moves_if = false;
        self.prepared.next.from_system = false;
        self.prepared.next.from_load = false;
        match self.op.val() {
            ExecuteOp::PassB => {
                self.prepared.next.augend = Augend::Zero;
                self.prepared.next.addend = Addend::B;
            }
            ExecuteOp::Exchange => {
                self.prepared.next.augend = Augend::Zero;
                self.prepared.next.addend = Addend::B;
            }
            ExecuteOp::PassA => {}
            ExecuteOp::Add => {
                self.prepared.next.augend = Augend::A;
                self.prepared.next.addend = Addend::B;
            }
            ExecuteOp::Adc => {
                self.prepared.next.augend = Augend::A;
                self.prepared.next.addend = Addend::B;
                self.prepared.next.carry_in = CarryIn::Carry;
            }
            ExecuteOp::Sub => {
                self.prepared.next.augend = Augend::A;
                self.prepared.next.addend = Addend::NotB;
                self.prepared.next.carry_in = CarryIn::One;
                self.prepared.next.subtract = true;
            }
            ExecuteOp::Sbb => {
                self.prepared.next.augend = Augend::A;
                self.prepared.next.addend = Addend::NotB;
                self.prepared.next.carry_in = CarryIn::NotCarry;
                self.prepared.next.subtract = true;
            }
            ExecuteOp::Neg => {
                self.prepared.next.augend = Augend::Zero;
                self.prepared.next.addend = Addend::NotA;
                self.prepared.next.carry_in = CarryIn::One;
                self.prepared.next.subtract = true;
            }
            ExecuteOp::Step => {
                self.prepared.next.augend = Augend::A;
                self.prepared.next.addend = Addend::B;
                self.prepared.next.steps = true;
            }
            ExecuteOp::And => {
                self.prepared.next.augend = Augend::Zero;
            }
            ExecuteOp::Or => {
                self.prepared.next.addend = Addend::B;
            }
            ExecuteOp::Xor => {
                self.prepared.next.addend = Addend::BWithoutA;
            }
            ExecuteOp::Not => {
                self.prepared.next.augend = Augend::Zero;
                self.prepared.next.addend = Addend::NotA;
            }
            ExecuteOp::ConditionalMove => {
                self.prepared.next.moves_if = true;
            }
            ExecuteOp::Sahf => {}
            ExecuteOp::ClearCarry => {}
            ExecuteOp::SetCarry => {}
            ExecuteOp::ComplementCarry => {}
            ExecuteOp::ReadHigh => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::HighRegister;
            }
            ExecuteOp::Mul => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Multiplier;
                self.prepared.next.takes_late = true;
                // Of bytes, all 16 bits.
                self.prepared.next.result_word = true;
            }
            ExecuteOp::Imul => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Multiplier;
                self.prepared.next.takes_late = true;
                self.prepared.next.result_word = true;
            }
            ExecuteOp::Div => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Divider;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Idiv => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Divider;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Shl => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Shr => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Sar => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Rol => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Ror => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Rcl => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Rcr => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Shld => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::Shrd => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::Shifter;
                self.prepared.next.takes_late = true;
            }
            ExecuteOp::BitOffset => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::BitUnit;
                self.prepared.next.takes_late = true;
                self.prepared.next.result_word = true;
                self.prepared.next.result_dword = true;
            }
            ExecuteOp::PackWords => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::BitUnit;
                self.prepared.next.takes_late = true;
                self.prepared.next.result_word = true;
                self.prepared.next.result_dword = true;
            }
            ExecuteOp::HighWord => {
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::BitUnit;
                self.prepared.next.takes_late = true;
                self.prepared.next.result_word = true;
                self.prepared.next.result_dword = true;
            }
            _ => {
                // Bit tests and scans, BSWAP, extensions, SETcc, LAHF.
                self.prepared.next.from_alu = false;
                self.prepared.next.result_from = ResultFrom::BitUnit;
                self.prepared.next.takes_late = true;
            }
        }
        if self.b_source.val() == BSource::System {
            self.prepared.next.from_alu = false;
            self.prepared.next.from_system = true;
        }
        // A load that is only copied passes the ALU by, and need not be at a multiple of four.
        if (self.b_source.val() == BSource::Load)
            & (self.op.val() == ExecuteOp::PassB)
            & (self.control.val() == Control::None)
        {
            self.prepared.next.from_alu = false;
            self.prepared.next.from_load = true;
        }
    }
}

/// What the block makes of an operation, for tests of the blocks that take it.
pub fn prepared(op: ExecuteOp, width: Width) -> Prepared {
    let mut block = Prepare::default();
    block.connect_all();
    block.op.next = op;
    block.width.next = width;
    assert!(simulate(&mut block, 10), "the block does not settle");
    block.prepared.val()
}
