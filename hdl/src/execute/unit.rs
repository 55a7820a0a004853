//! Everything that turns operands into a result.
use super::{Alu, BitUnit, ConditionUnit, Divider, FlagsUnit, Multiplier, Shifter};
use crate::prelude::*;

/// The part that computes a result.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum ResultFrom {
    Alu,
    Shifter,
    BitUnit,
    Multiplier,
    Divider,
    HighRegister,
}

/// Computes [`ExecuteOp`]s: one a clock, except multiplications and divisions, which hold `ready` low.
///
/// `op`, `width` and the operands must not change while `valid` is high, until the clock edge at which `ready` and
/// `advance` are both high (the micro-op leaves) or `flush` is high (it is dropped).
#[derive(LogicBlock, Default)]
pub struct ExecuteUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The micro-op in execute is dropped at the end of this clock.
    pub flush: Signal<In, Bit>,
    /// A micro-op is in execute, and its operands are there.
    pub valid: Signal<In, Bit>,
    /// The micro-op leaves execute at the end of this clock, if it is `ready`.
    pub advance: Signal<In, Bit>,
    pub op: Signal<In, ExecuteOp>,
    pub width: Signal<In, Width>,
    /// `Add` and `Sub` do not change CF: INC and DEC.
    pub keep_carry: Signal<In, Bit>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub c: Signal<In, Bits<32>>,
    /// The low four bits of a Jcc, SETcc or CMOVcc opcode.
    pub condition: Signal<In, Bits<4>>,
    /// EFLAGS before the micro-op.
    pub eflags: Signal<In, Bits<32>>,
    /// Bits beyond the width are zero, except where [`ExecuteOp`] says otherwise.
    pub result: Signal<Out, Bits<32>>,
    /// EFLAGS after the micro-op.
    pub flags: Signal<Out, Bits<32>>,
    /// `condition` holds in `eflags`, whatever the operation.
    pub condition_holds: Signal<Out, Bit>,
    /// `result`, `flags` and `divide_error` are those of the micro-op in execute.
    pub ready: Signal<Out, Bit>,
    /// With `ready`: the division raises #DE.
    pub divide_error: Signal<Out, Bit>,
    // state
    /// High half of the last product, or remainder of the last division.
    high_reg: DFF<Bits<32>>,
    // units
    alu: Alu,
    shifter: Shifter,
    bit_unit: BitUnit,
    multiplier: Multiplier,
    divider: Divider,
    condition_unit: ConditionUnit,
    flags_unit: FlagsUnit,
    // wires
    result_from: Signal<Local, ResultFrom>,
    is_signed: Signal<Local, Bit>,
    is_double_shift: Signal<Local, Bit>,
    all_bits: Signal<Local, Bit>,
    multiply: Signal<Local, Bit>,
    divide: Signal<Local, Bit>,
    carry: Signal<Local, Bit>,
    selected: Signal<Local, Bits<32>>,
    in_width: Signal<Local, Bits<32>>,
}

impl Logic for ExecuteUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, high_reg);
        clock!(self, clock, multiplier, divider);

        self.result_from.next = ResultFrom::Alu;
        self.is_signed.next = false;
        self.is_double_shift.next = false;
        self.all_bits.next = false;
        match self.op.val() {
            ExecuteOp::Shl => self.result_from.next = ResultFrom::Shifter,
            ExecuteOp::Shr => self.result_from.next = ResultFrom::Shifter,
            ExecuteOp::Sar => self.result_from.next = ResultFrom::Shifter,
            ExecuteOp::Rol => self.result_from.next = ResultFrom::Shifter,
            ExecuteOp::Ror => self.result_from.next = ResultFrom::Shifter,
            ExecuteOp::Rcl => self.result_from.next = ResultFrom::Shifter,
            ExecuteOp::Rcr => self.result_from.next = ResultFrom::Shifter,
            ExecuteOp::Shld => {
                self.result_from.next = ResultFrom::Shifter;
                self.is_double_shift.next = true;
            }
            ExecuteOp::Shrd => {
                self.result_from.next = ResultFrom::Shifter;
                self.is_double_shift.next = true;
            }
            ExecuteOp::Bt => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::Bts => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::Btr => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::Btc => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::Bsf => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::Bsr => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::Bswap => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::ZeroExtendByte => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::ZeroExtendWord => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::SignExtendByte => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::SignExtendWord => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::SetCondition => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::SignFill => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::Lahf => self.result_from.next = ResultFrom::BitUnit,
            ExecuteOp::BitOffset => {
                self.result_from.next = ResultFrom::BitUnit;
                self.all_bits.next = true;
            }
            ExecuteOp::PackWords => {
                self.result_from.next = ResultFrom::BitUnit;
                self.all_bits.next = true;
            }
            ExecuteOp::HighWord => {
                self.result_from.next = ResultFrom::BitUnit;
                self.all_bits.next = true;
            }
            ExecuteOp::MergeHigh => {
                self.result_from.next = ResultFrom::BitUnit;
                self.all_bits.next = true;
            }
            ExecuteOp::Mul => {
                self.result_from.next = ResultFrom::Multiplier;
                self.all_bits.next = true;
            }
            ExecuteOp::Imul => {
                self.result_from.next = ResultFrom::Multiplier;
                self.is_signed.next = true;
                self.all_bits.next = true;
            }
            ExecuteOp::Div => self.result_from.next = ResultFrom::Divider,
            ExecuteOp::Idiv => {
                self.result_from.next = ResultFrom::Divider;
                self.is_signed.next = true;
            }
            ExecuteOp::ReadHigh => self.result_from.next = ResultFrom::HighRegister,
            _ => {}
        }
        self.multiply.next = self.valid.val() & (self.result_from.val() == ResultFrom::Multiplier);
        self.divide.next = self.valid.val() & (self.result_from.val() == ResultFrom::Divider);

        self.condition_unit.condition.next = self.condition.val();
        self.condition_unit.eflags.next = self.eflags.val();
        self.condition_holds.next = self.condition_unit.holds.val();

        self.carry.next = (self.eflags.val() >> CF).get_bit(0);
        self.alu.op.next = self.op.val();
        self.alu.width.next = self.width.val();
        self.alu.a.next = self.a.val();
        self.alu.b.next = self.b.val();
        self.alu.carry.next = self.carry.val();
        self.alu.direction.next = (self.eflags.val() >> DF).get_bit(0);
        self.alu.condition_holds.next = self.condition_unit.holds.val();

        self.shifter.op.next = self.op.val();
        self.shifter.width.next = self.width.val();
        self.shifter.a.next = self.a.val();
        self.shifter.fill.next = self.b.val();
        self.shifter.carry.next = self.carry.val();
        self.shifter.count.next = self.b.val().get_bits::<5>(0);
        if self.is_double_shift.val() {
            self.shifter.count.next = self.c.val().get_bits::<5>(0);
        }

        self.bit_unit.op.next = self.op.val();
        self.bit_unit.width.next = self.width.val();
        self.bit_unit.a.next = self.a.val();
        self.bit_unit.b.next = self.b.val();
        self.bit_unit.eflags.next = self.eflags.val().get_bits::<8>(0);
        self.bit_unit.condition_holds.next = self.condition_unit.holds.val();

        self.multiplier.reset.next = self.reset.val();
        self.multiplier.start.next = self.multiply.val() & !self.flush.val();
        self.multiplier.advance.next = self.advance.val();
        self.multiplier.is_signed.next = self.is_signed.val();
        self.multiplier.width.next = self.width.val();
        self.multiplier.a.next = self.a.val();
        self.multiplier.b.next = self.b.val();

        self.divider.reset.next = self.reset.val();
        self.divider.start.next = self.divide.val() & !self.flush.val();
        self.divider.advance.next = self.advance.val();
        self.divider.is_signed.next = self.is_signed.val();
        self.divider.width.next = self.width.val();
        self.divider.low.next = self.a.val();
        self.divider.high.next = self.c.val();
        self.divider.divisor.next = self.b.val();

        self.ready.next = true;
        self.divide_error.next = false;
        match self.result_from.val() {
            ResultFrom::Alu => self.selected.next = self.alu.result.val(),
            ResultFrom::Shifter => self.selected.next = self.shifter.result.val(),
            ResultFrom::BitUnit => self.selected.next = self.bit_unit.result.val(),
            ResultFrom::Multiplier => {
                self.selected.next = self.multiplier.low.val();
                self.ready.next = self.multiplier.ready.val();
                if self.multiply.val() & self.multiplier.ready.val() & self.advance.val() {
                    self.high_reg.d.next = self.multiplier.high.val();
                }
            }
            ResultFrom::Divider => {
                self.selected.next = self.divider.quotient.val();
                self.ready.next = self.divider.ready.val();
                self.divide_error.next = self.divider.error.val();
                if self.divide.val() & self.divider.ready.val() & self.advance.val() {
                    self.high_reg.d.next = self.divider.remainder.val();
                }
            }
            _ => self.selected.next = self.high_reg.q.val(),
        }
        self.in_width.next = self.selected.val();
        if !self.all_bits.val() {
            match self.width.val() {
                Width::Byte => self.in_width.next = self.selected.val() & 0xFF,
                Width::Word => self.in_width.next = self.selected.val() & 0xFFFF,
                _ => {}
            }
        }
        self.result.next = self.in_width.val();

        self.flags_unit.op.next = self.op.val();
        self.flags_unit.width.next = self.width.val();
        self.flags_unit.keep_carry.next = self.keep_carry.val();
        self.flags_unit.eflags.next = self.eflags.val();
        self.flags_unit.a.next = self.a.val().get_bits::<8>(0);
        self.flags_unit.result.next = self.in_width.val();
        self.flags_unit.sum_carry.next = self.alu.carry_out.val();
        self.flags_unit.sum_auxiliary.next = self.alu.auxiliary_out.val();
        self.flags_unit.sum_overflow.next = self.alu.overflow_out.val();
        self.flags_unit.shift_changes_flags.next = self.shifter.changes_flags.val();
        self.flags_unit.shift_carry.next = self.shifter.carry_out.val();
        self.flags_unit.shift_overflow.next = self.shifter.overflow_out.val();
        self.flags_unit.tested_bit.next = self.bit_unit.tested_bit.val();
        self.flags_unit.scan_found_nothing.next = self.bit_unit.found_nothing.val();
        self.flags_unit.product_overflow.next = self.multiplier.overflow.val();
        self.flags.next = self.flags_unit.flags.val();
    }
}
