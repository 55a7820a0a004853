//! Everything that turns operands into a result.
use super::{Alu, BitUnit, ConditionUnit, Divider, FlagsUnit, Multiplier, Shifter};
use crate::prelude::*;

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
    /// Of `op` and `width`.
    pub prepared: Signal<In, Prepared>,
    /// `Add` and `Sub` do not change CF: INC and DEC.
    pub keep_carry: Signal<In, Bit>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub c: Signal<In, Bits<32>>,
    /// Operands a and b for everything but the ALU: they come from registers, so a load is there a clock later.
    pub late_a: Signal<In, Bits<32>>,
    pub late_b: Signal<In, Bits<32>>,
    pub factor: Signal<In, Bits<32>>,
    /// The system register that the micro-op copies. The longest way in, so it passes by everything else.
    pub system_value: Signal<In, Bits<32>>,
    /// The load that it copies.
    pub load: Signal<In, Bits<32>>,
    /// The low four bits of a Jcc, SETcc or CMOVcc opcode.
    pub condition: Signal<In, Bits<4>>,
    /// EFLAGS before the micro-op.
    pub eflags: Signal<In, Bits<32>>,
    /// Bits beyond the width are zero, except where [`ExecuteOp`] says otherwise.
    pub result: Signal<Out, Bits<32>>,
    /// Zero if the result is zero, not of a copied system register or load. ZF looks at it in the next clock.
    pub nonzero: Signal<Out, Bits<8>>,
    /// The result is zero; of a load, a clock later.
    pub late_zero: Signal<Out, Bit>,
    /// ZF after the micro-op is not in `flags`: it is set if `nonzero` is zero.
    pub zero_flag_of_sum: Signal<Out, Bit>,
    /// EFLAGS after the micro-op.
    pub flags: Signal<Out, Bits<32>>,
    /// `condition` holds in `eflags`, whatever the operation.
    pub condition_holds: Signal<Out, Bit>,
    /// `result`, `flags` and `divide_error` are those of the micro-op in execute.
    pub ready: Signal<Out, Bit>,
    /// With `ready`: the division raises #DE.
    pub divide_error: Signal<Out, Bit>,
    // state
    /// High half of the last product, remainder of the last division, or what an exchange takes away.
    high_reg: DFF<Bits<32>>,
    // units
    alu: Alu,
    /// Finds zero only.
    late_alu: Alu,
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
    multiply: Signal<Local, Bit>,
    divide: Signal<Local, Bit>,
    carry: Signal<Local, Bit>,
    others: Signal<Local, Bits<32>>,
    others_in_width: Signal<Local, Bits<32>>,
    result_mask: Signal<Local, Bits<32>>,
    in_width: Signal<Local, Bits<32>>,
}

impl Logic for ExecuteUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, high_reg);
        clock!(self, clock, multiplier, divider);

        self.result_from.next = self.prepared.val().result_from;
        self.is_signed.next =
            (self.op.val() == ExecuteOp::Imul) | (self.op.val() == ExecuteOp::Idiv);
        self.is_double_shift.next =
            (self.op.val() == ExecuteOp::Shld) | (self.op.val() == ExecuteOp::Shrd);
        self.multiply.next = self.valid.val() & (self.result_from.val() == ResultFrom::Multiplier);
        self.divide.next = self.valid.val() & (self.result_from.val() == ResultFrom::Divider);

        self.condition_unit.condition.next = self.condition.val();
        self.condition_unit.eflags.next = self.eflags.val();
        self.condition_holds.next = self.condition_unit.holds.val();

        self.carry.next = (self.eflags.val() >> CF).get_bit(0);
        self.alu.prepared.next = self.prepared.val();
        self.alu.width.next = self.width.val();
        self.alu.a.next = self.a.val();
        self.alu.b.next = self.b.val();
        self.alu.carry.next = self.carry.val();
        self.alu.direction.next = (self.eflags.val() >> DF).get_bit(0);
        self.alu.condition_holds.next = self.condition_unit.holds.val();

        self.late_alu.prepared.next = self.prepared.val();
        self.late_alu.width.next = self.width.val();
        self.late_alu.a.next = self.late_a.val();
        self.late_alu.b.next = self.late_b.val();
        self.late_alu.carry.next = self.carry.val();
        self.late_alu.direction.next = (self.eflags.val() >> DF).get_bit(0);
        self.late_alu.condition_holds.next = self.condition_unit.holds.val();

        self.shifter.op.next = self.op.val();
        self.shifter.width.next = self.width.val();
        self.shifter.a.next = self.late_a.val();
        self.shifter.b.next = self.late_b.val();
        self.shifter.carry.next = self.carry.val();
        self.shifter.count.next = self.late_b.val().get_bits::<5>(0);
        if self.is_double_shift.val() {
            self.shifter.count.next = self.c.val().get_bits::<5>(0);
        }

        self.bit_unit.op.next = self.op.val();
        self.bit_unit.width.next = self.width.val();
        self.bit_unit.a.next = self.late_a.val();
        self.bit_unit.b.next = self.late_b.val();
        self.bit_unit.eflags.next = self.eflags.val().get_bits::<8>(0);
        self.bit_unit.condition_holds.next = self.condition_unit.holds.val();

        self.multiplier.reset.next = self.reset.val();
        self.multiplier.start.next = self.multiply.val() & !self.flush.val();
        self.multiplier.advance.next = self.advance.val();
        self.multiplier.is_signed.next = self.is_signed.val();
        self.multiplier.width.next = self.width.val();
        self.multiplier.a.next = self.late_a.val();
        self.multiplier.b.next = self.factor.val();

        self.divider.reset.next = self.reset.val();
        self.divider.start.next = self.divide.val() & !self.flush.val();
        self.divider.advance.next = self.advance.val();
        self.divider.is_signed.next = self.is_signed.val();
        self.divider.width.next = self.width.val();
        self.divider.low.next = self.late_a.val();
        self.divider.high.next = self.c.val();
        self.divider.divisor.next = self.late_b.val();

        if (self.op.val() == ExecuteOp::Exchange)
            & self.valid.val()
            & self.advance.val()
            & !self.flush.val()
        {
            self.high_reg.d.next = self.late_a.val();
        }
        self.ready.next = true;
        self.divide_error.next = false;
        match self.result_from.val() {
            ResultFrom::Shifter => self.others.next = self.shifter.result.val(),
            ResultFrom::BitUnit => self.others.next = self.bit_unit.result.val(),
            ResultFrom::Multiplier => {
                self.others.next = self.multiplier.low.val();
                self.ready.next = self.multiplier.ready.val();
                if self.multiply.val()
                    & !self.flush.val()
                    & self.multiplier.ready.val()
                    & self.advance.val()
                {
                    self.high_reg.d.next = self.multiplier.high.val();
                }
            }
            ResultFrom::Divider => {
                self.others.next = self.divider.quotient.val();
                self.ready.next = self.divider.ready.val();
                self.divide_error.next = self.divider.error.val();
                if self.divide.val()
                    & !self.flush.val()
                    & self.divider.ready.val()
                    & self.advance.val()
                {
                    self.high_reg.d.next = self.divider.remainder.val();
                }
            }
            _ => self.others.next = self.high_reg.q.val(),
        }
        self.result_mask.next = 0xFF.into();
        if self.prepared.val().result_word {
            self.result_mask.next = 0xFFFF.into();
        }
        if self.prepared.val().result_dword {
            self.result_mask.next = 0xFFFF_FFFF_u64.into();
        }
        // The ALU may have a load that has just arrived; the others have their operands from registers.
        self.others_in_width.next = self.others.val() & self.result_mask.val();
        self.in_width.next = self.others_in_width.val();
        if self.prepared.val().from_system {
            self.in_width.next = self.system_value.val() & self.result_mask.val();
        }
        if self.prepared.val().from_load {
            self.in_width.next = self.load.val() & self.result_mask.val();
        }
        self.nonzero.next = bit_cast::<8, 1>(self.others_in_width.val().any().into());
        self.alu.counts.next = self.result_mask.val();
        self.late_alu.counts.next = self.result_mask.val();
        self.late_zero.next = !self.others_in_width.val().any();
        if self.prepared.val().from_alu {
            self.in_width.next = self.alu.result.val() & self.result_mask.val();
            self.nonzero.next = self.alu.nonzero.val();
            self.late_zero.next = !self.late_alu.nonzero.val().any();
        }
        self.result.next = self.in_width.val();

        self.flags_unit.op.next = self.op.val();
        self.flags_unit.width.next = self.width.val();
        self.flags_unit.keep_carry.next = self.keep_carry.val();
        self.flags_unit.eflags.next = self.eflags.val();
        self.flags_unit.a.next = self.a.val().get_bits::<8>(0);
        self.flags_unit.result.next = self.in_width.val();
        self.flags_unit.shifted_zero.next = !self.others_in_width.val().any();
        self.zero_flag_of_sum.next = self.flags_unit.zero_of_sum.val();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::prepared;
    use crate::execute::testing::{Random, settle};

    /// EFLAGS with bit 1, which is always set, and these.
    fn eflags(numbers: &[u64]) -> u32 {
        numbers.iter().fold(2, |flags, number| flags | 1 << number)
    }

    const ALL: [u64; 6] = [CF, PF, AF, ZF, SF, OF];

    /// A unit with a micro-op in execute that leaves as soon as it is ready.
    fn unit_with(op: ExecuteOp, width: Width, a: u32, b: u32, flags: &[u64]) -> ExecuteUnit {
        let mut unit = ExecuteUnit::default();
        present(&mut unit, op, width, a, b, flags);
        unit
    }

    fn present(unit: &mut ExecuteUnit, op: ExecuteOp, width: Width, a: u32, b: u32, flags: &[u64]) {
        unit.valid.next = true;
        unit.advance.next = true;
        unit.op.next = op;
        unit.width.next = width;
        unit.prepared.next = prepared(op, width);
        unit.a.next = u64::from(a).into();
        unit.b.next = u64::from(b).into();
        unit.late_a.next = u64::from(a).into();
        unit.late_b.next = u64::from(b).into();
        unit.factor.next = u64::from(b).into();
        unit.eflags.next = u64::from(eflags(flags)).into();
        settle(unit);
    }

    fn clock_edge(unit: &mut ExecuteUnit) {
        for level in [true, false] {
            unit.clock.next = Clock { clk: level };
            settle(unit);
        }
    }

    /// Clocks until the micro-op in execute is ready, that one included.
    fn clocks_until_ready(unit: &mut ExecuteUnit) -> u32 {
        let mut clocks = 1;
        while !unit.ready.val() {
            assert!(clocks < 20, "never ready");
            clock_edge(unit);
            clocks += 1;
        }
        clocks
    }

    fn flags_of(unit: &ExecuteUnit) -> u32 {
        let zero = u32::from(!unit.nonzero.val().any()) << ZF;
        match unit.zero_flag_of_sum.val() {
            true => unit.flags.val().to_u32() & !(1 << ZF) | zero,
            false => unit.flags.val().to_u32(),
        }
    }

    fn result_and_flags(unit: &ExecuteUnit) -> (u32, u32) {
        (unit.result.val().to_u32(), flags_of(unit))
    }

    #[test]
    #[rustfmt::skip]
    fn every_operation_of_one_clock_gives_its_result_and_changes_its_flags_only() {
        use ExecuteOp::*;
        use Width::{Byte, Dword, Word};
        // operation, width, a, b, flags before, result, flags after
        type Row<'a> = (ExecuteOp, Width, u32, u32, &'a [u64], u32, &'a [u64]);
        let rows: &[Row] = &[
            (PassA,           Byte,  0x1234_5678, 0,           &ALL,         0x78,        &ALL),
            (PassB,           Word,  0,           0x1234_5678, &ALL,         0x5678,      &ALL),
            (PassB,           Dword, 0,           0x1234_5678, &[TF, IF],    0x1234_5678, &[TF, IF]),
            (Add,             Byte,  0x80,        0x80,        &[],          0,           &[CF, PF, ZF, OF]),
            (Add,             Word,  0x7FFF,      1,           &[CF],        0x8000,      &[PF, AF, SF, OF]),
            (Add,             Dword, 0xFFFF_FFFF, 1,           &[],          0,           &[CF, PF, AF, ZF]),
            (Adc,             Dword, 0xFFFF_FFFE, 1,           &[CF],        0,           &[CF, PF, AF, ZF]),
            (Sub,             Byte,  0,           1,           &[],          0xFF,        &[CF, PF, AF, SF]),
            (Sub,             Dword, 0x8000_0000, 1,           &[],          0x7FFF_FFFF, &[PF, AF, OF]),
            (Sbb,             Word,  0x1000,      0x0FFF,      &[CF, IF],    0,           &[IF, PF, AF, ZF]),
            (And,             Byte,  0xF0,        0x9F,        &ALL,         0x90,        &[PF, SF]),
            (Or,              Word,  0x8000,      1,           &ALL,         0x8001,      &[SF]),
            (Xor,             Dword, 0x1234_5678, 0x1234_5678, &ALL,         0,           &[PF, ZF]),
            (Not,             Byte,  0x0F,        0,           &[CF, ZF],    0xF0,        &[CF, ZF]),
            (Neg,             Word,  1,           0x5555,      &[],          0xFFFF,      &[CF, PF, AF, SF]),
            (Neg,             Byte,  0x80,        0,           &[],          0x80,        &[CF, SF, OF]),
            (Neg,             Dword, 0,           7,           &[CF],        0,           &[PF, ZF]),
            (Shl,             Byte,  0x81,        1,           &[AF],        0x02,        &[CF, AF, OF]),
            (Shl,             Byte,  0x81,        32,          &ALL,         0x81,        &ALL),
            (Shr,             Word,  0x8001,      1,           &[],          0x4000,      &[CF, PF, OF]),
            (Sar,             Dword, 0x8000_0000, 31,          &[],          0xFFFF_FFFF, &[PF, SF]),
            (Rol,             Byte,  0x81,        8,           &[ZF],        0x81,        &[CF, ZF]),
            (Ror,             Word,  0x0001,      1,           &[PF],        0x8000,      &[CF, PF, OF]),
            (Rcl,             Byte,  0x80,        1,           &[],          0x00,        &[CF, OF]),
            (Rcl,             Byte,  0x80,        9,           &[CF],        0x80,        &[CF]),
            (Rcr,             Dword, 0,           1,           &[CF],        0x8000_0000, &[OF]),
            (Bt,              Dword, 0x10,        0x24,        &[ZF],        0x10,        &[CF, ZF]),
            (Bts,             Word,  0,           0x1F,        &ALL,         0x8000,      &[PF, AF, ZF, SF, OF]),
            (Btr,             Dword, 0xFFFF_FFFF, 31,          &[],          0x7FFF_FFFF, &[CF]),
            (Btc,             Dword, 1,           0,           &[],          0,           &[CF]),
            (Bsf,             Dword, 0x77,        0x100,       &[ZF, CF],    8,           &[CF]),
            (Bsr,             Word,  0x77,        0,           &[],          0x77,        &[ZF]),
            (Bswap,           Dword, 0x1234_5678, 0,           &ALL,         0x7856_3412, &ALL),
            (ZeroExtendByte,  Dword, 0,           0xFFFF_FF80, &ALL,         0x80,        &ALL),
            (ZeroExtendWord,  Dword, 0,           0xFFFF_8000, &ALL,         0x8000,      &ALL),
            (SignExtendByte,  Word,  0,           0x80,        &ALL,         0xFF80,      &ALL),
            (SignExtendByte,  Dword, 0,           0x80,        &ALL,         0xFFFF_FF80, &ALL),
            (SignExtendWord,  Dword, 0,           0x7FFF,      &ALL,         0x7FFF,      &ALL),
            (SignFill,        Word,  0x8000,      0,           &ALL,         0xFFFF,      &ALL),
            (SignFill,        Dword, 0x7FFF_FFFF, 0,           &ALL,         0,           &ALL),
            (Lahf,            Byte,  0,           0,           &ALL,         0xD7,        &ALL),
            (Sahf,            Byte,  0xFF,        0,           &[OF],        0xFF,        &ALL),
            (Sahf,            Byte,  0x2A,        0,           &ALL,         0x2A,        &[OF]),
            (ClearCarry,      Dword, 5,           0,           &ALL,         5,           &[PF, AF, ZF, SF, OF]),
            (SetCarry,        Dword, 5,           0,           &[ZF],        5,           &[ZF, CF]),
            (ComplementCarry, Dword, 5,           0,           &[],          5,           &[CF]),
            (ComplementCarry, Dword, 5,           0,           &[CF],        5,           &[]),
            (Step,            Dword, 0x1000,      4,           &[CF, ZF],    0x1004,      &[CF, ZF]),
            (Step,            Word,  0x0001,      2,           &[DF],        0xFFFF,      &[DF]),
            (BitOffset,       Word,  0xFFFF,      0,           &ALL,         0xFFFF_FFFE, &ALL),
            (BitOffset,       Dword, 0x45,        0,           &ALL,         8,           &ALL),
            (PackWords,       Word,  0x1234,      0x5678,      &ALL,         0x1234_5678, &ALL),
            (HighWord,        Word,  0,           0x1234_5678, &ALL,         0x1234,      &ALL),
            // The condition is O.
            (SetCondition,    Byte,  0,           0,           &[OF],        1,           &[OF]),
            (SetCondition,    Byte,  0,           0,           &[CF],        0,           &[CF]),
            (ConditionalMove, Dword, 0x1111,      0x2222,      &[OF],        0x2222,      &[OF]),
            (ConditionalMove, Word,  0x1111,      0x2222,      &[],          0x1111,      &[]),
        ];
        for (op, width, a, b, before, result, after) in rows {
            let unit = unit_with(*op, *width, *a, *b, before);
            let case = format!("{op:?} {width:?} a={a:#x} b={b:#x}");
            assert!(unit.ready.val(), "{case} is not ready");
            assert!(!unit.divide_error.val(), "{case}");
            assert_eq!(unit.result.val().to_u32(), *result, "result of {case}");
            assert_eq!(flags_of(&unit), eflags(after), "flags after {case}");
        }
    }

    #[test]
    fn inc_and_dec_keep_the_carry() {
        for (op, a) in [(ExecuteOp::Add, 0xFF), (ExecuteOp::Sub, 0)] {
            for carry in [false, true] {
                let before: &[u64] = if carry { &[CF] } else { &[] };
                let mut unit = unit_with(op, Width::Byte, a, 1, before);
                unit.keep_carry.next = true;
                settle(&mut unit);
                assert_eq!((unit.flags.val() >> CF).get_bit(0), carry, "{op:?}");
            }
        }
    }

    #[test]
    fn double_shifts_take_their_count_from_the_third_operand() {
        let mut unit = unit_with(ExecuteOp::Shld, Width::Dword, 0x1234_5678, 0x9ABC_DEF0, &[]);
        unit.c.next = 8.into();
        settle(&mut unit);
        assert_eq!(unit.result.val().to_u32(), 0x3456_789A);
        unit.op.next = ExecuteOp::Shrd;
        unit.prepared.next = prepared(ExecuteOp::Shrd, Width::Dword);
        settle(&mut unit);
        assert_eq!(unit.result.val().to_u32(), 0xF012_3456);
    }

    #[test]
    fn a_product_takes_two_clocks_and_leaves_its_high_half() {
        let rows: &[(ExecuteOp, Width, u32, u32, u32, u32, bool)] = &[
            (ExecuteOp::Mul, Width::Byte, 0xFF, 0xFF, 0xFE01, 0xFE, true),
            (ExecuteOp::Mul, Width::Byte, 3, 5, 15, 0, false),
            (ExecuteOp::Imul, Width::Byte, 0xFF, 5, 0xFFFB, 0xFF, false),
            (
                ExecuteOp::Mul,
                Width::Word,
                0x1234,
                0x5678,
                0x0060,
                0x0626,
                true,
            ),
            (
                ExecuteOp::Imul,
                Width::Word,
                0x8000,
                0xFFFF,
                0x8000,
                0,
                true,
            ),
            (ExecuteOp::Mul, Width::Dword, !0, !0, 1, 0xFFFF_FFFE, true),
            (ExecuteOp::Imul, Width::Dword, !0, !0, 1, 0, false),
        ];
        for (op, width, a, b, low, high, overflow) in rows {
            let case = format!("{op:?} {width:?} a={a:#x} b={b:#x}");
            let mut unit = unit_with(*op, *width, *a, *b, &[ZF, SF]);
            assert_eq!(clocks_until_ready(&mut unit), 2, "{case}");
            let after: &[u64] = if *overflow {
                &[ZF, SF, CF, OF]
            } else {
                &[ZF, SF]
            };
            assert_eq!(result_and_flags(&unit), (*low, eflags(after)), "{case}");
            clock_edge(&mut unit);
            present(&mut unit, ExecuteOp::ReadHigh, *width, 0, 0, &[]);
            assert!(unit.ready.val());
            assert_eq!(unit.result.val().to_u32(), *high, "high half of {case}");
        }
    }

    #[test]
    fn a_division_keeps_the_flags_and_leaves_its_remainder() {
        type Row = (ExecuteOp, Width, u32, u32, u32, u32, u32, u32);
        #[rustfmt::skip]
        let rows: &[Row] = &[
            // operation, width, high, low, divisor, quotient, remainder, clocks
            (ExecuteOp::Div,  Width::Byte,  0,      0x0105, 0x10, 0x10,   5,      5),
            (ExecuteOp::Idiv, Width::Byte,  0,      0xFFF9, 2,    0xFD,   0xFF,   5),
            (ExecuteOp::Div,  Width::Word,  1,      0,      2,    0x8000, 0,      7),
            (ExecuteOp::Idiv, Width::Word,  0xFFFF, 0xFFFF, 1,    0xFFFF, 0,      7),
            (ExecuteOp::Div,  Width::Dword, 1,      5,      16,   0x1000_0000, 5, 11),
            (ExecuteOp::Idiv, Width::Dword, !0,     0xFFFF_FFF8, 3, 0xFFFF_FFFE, 0xFFFF_FFFE, 11),
        ];
        for (op, width, high, low, divisor, quotient, remainder, clocks) in rows {
            let case = format!("{op:?} {width:?} {high:#x}:{low:#x} / {divisor:#x}");
            let mut unit = ExecuteUnit::default();
            unit.c.next = u64::from(*high).into();
            present(&mut unit, *op, *width, *low, *divisor, &ALL);
            assert_eq!(clocks_until_ready(&mut unit), *clocks, "{case}");
            assert!(!unit.divide_error.val(), "{case}");
            assert_eq!(result_and_flags(&unit), (*quotient, eflags(&ALL)), "{case}");
            clock_edge(&mut unit);
            present(&mut unit, ExecuteOp::ReadHigh, *width, 0, 0, &[]);
            assert_eq!(unit.result.val().to_u32(), *remainder, "{case}");
        }
    }

    #[test]
    fn a_quotient_that_does_not_fit_raises_de() {
        let mut unit = unit_with(ExecuteOp::Div, Width::Byte, 0x1000, 0x10, &[]);
        clocks_until_ready(&mut unit);
        assert!(unit.divide_error.val());
        clock_edge(&mut unit);
        present(&mut unit, ExecuteOp::Add, Width::Byte, 1, 1, &[]);
        assert!(unit.ready.val() & !unit.divide_error.val());
    }

    #[test]
    fn a_flushed_operation_leaves_the_high_half_and_the_next_operation_alone() {
        for (op, clocks, quotient_or_product) in [(ExecuteOp::Mul, 2, 18), (ExecuteOp::Div, 7, 2)] {
            for flushed_in in 1..=clocks {
                let mut unit = unit_with(ExecuteOp::Mul, Width::Word, 0x1000, 0x1000, &[]);
                clocks_until_ready(&mut unit);
                clock_edge(&mut unit);
                present(&mut unit, op, Width::Word, 0x7777, 0x11, &[]);
                for _ in 1..flushed_in {
                    clock_edge(&mut unit);
                }
                unit.flush.next = true;
                settle(&mut unit);
                clock_edge(&mut unit);
                unit.flush.next = false;
                present(&mut unit, ExecuteOp::ReadHigh, Width::Word, 0, 0, &[]);
                let case = format!("{op:?} flushed in clock {flushed_in}");
                assert_eq!(unit.result.val().to_u32(), 0x0100, "{case}");
                present(&mut unit, op, Width::Word, 6, 3, &[]);
                assert_eq!(clocks_until_ready(&mut unit), clocks, "{case}");
                let result = unit.result.val().to_u32();
                assert_eq!(result, quotient_or_product, "after {case}");
            }
        }
    }

    #[test]
    fn results_have_no_bits_beyond_the_width() {
        const SEED: u64 = 0x5EED_000A;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        for op in [
            ExecuteOp::PassA,
            ExecuteOp::Add,
            ExecuteOp::Neg,
            ExecuteOp::Not,
            ExecuteOp::Rol,
            ExecuteOp::Rcr,
            ExecuteOp::Sar,
            ExecuteOp::Shl,
            ExecuteOp::Btc,
            ExecuteOp::Bsr,
            ExecuteOp::SignExtendByte,
        ] {
            for (width, beyond) in [(Width::Byte, !0xFF), (Width::Word, !0xFFFF)] {
                for _ in 0..20 {
                    let (a, b) = (random.operand(), random.operand());
                    let unit = unit_with(op, width, a, b, &[]);
                    let result = unit.result.val().to_u32();
                    assert_eq!(result & beyond, 0, "{op:?} {width:?} a={a:#x} b={b:#x}");
                }
            }
        }
    }

    #[test]
    fn the_unit_translates_to_verilog() {
        let mut unit = ExecuteUnit::default();
        unit.connect_all();
        let verilog = crate::emit::emit("execute_unit", &unit).expect("no findings");
        assert!(verilog.modules.len() > 7);
    }
}
