//! The adder and the bitwise logic.
use crate::prelude::*;

/// Adds, subtracts and combines bits. Combinational.
///
/// Serves `PassA`, `PassB`, `Add`, `Adc`, `Sub`, `Sbb`, `And`, `Or`, `Xor`, `Not`, `Neg`, `Step` and
/// `ConditionalMove`; for every other operation the result is `a`. Bits of the operands beyond the width do not
/// influence the flags, nor the result's bits within it.
#[derive(LogicBlock, Default)]
pub struct Alu {
    pub prepared: Signal<In, Prepared>,
    pub width: Signal<In, Width>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    /// EFLAGS.CF, added by `Adc` and subtracted by `Sbb`.
    pub carry: Signal<In, Bit>,
    /// EFLAGS.DF: `Step` goes down.
    pub direction: Signal<In, Bit>,
    /// `ConditionalMove` takes `b`.
    pub condition_holds: Signal<In, Bit>,
    /// The result; bits beyond the width are not cleared.
    pub result: Signal<Out, Bits<32>>,
    /// Zero if the result is zero within `counts`: a bit for each four of it. Found beside the addition, not from its sum.
    pub nonzero: Signal<Out, Bits<8>>,
    /// Bits of the result that count for `nonzero`.
    pub counts: Signal<In, Bits<32>>,
    /// Carry or borrow out of the width (additions and subtractions only, as the next two).
    pub carry_out: Signal<Out, Bit>,
    /// Carry or borrow out of bit 3.
    pub auxiliary_out: Signal<Out, Bit>,
    /// Signed overflow of the width.
    pub overflow_out: Signal<Out, Bit>,
    // wires
    augend_is: Signal<Local, Augend>,
    addend_is: Signal<Local, Addend>,
    carry_in: Signal<Local, Bit>,
    augend: Signal<Local, Bits<32>>,
    addend: Signal<Local, Bits<32>>,
    wide_sum: Signal<Local, Bits<34>>,
    carries: Signal<Local, Bits<33>>,
    differs: Signal<Local, Bits<32>>,
    some: Signal<Local, Bits<33>>,
    not_zero: Signal<Local, Bits<32>>,
    top_carry: Signal<Local, Bit>,
}

impl Logic for Alu {
    #[hdl_gen]
    fn update(&mut self) {
        self.augend_is.next = self.prepared.val().augend;
        self.addend_is.next = self.prepared.val().addend;
        match self.prepared.val().carry_in {
            CarryIn::Zero => self.carry_in.next = false,
            CarryIn::One => self.carry_in.next = true,
            CarryIn::Carry => self.carry_in.next = self.carry.val(),
            CarryIn::NotCarry => self.carry_in.next = !self.carry.val(),
        }
        if self.prepared.val().steps & self.direction.val() {
            self.addend_is.next = Addend::NotB;
            self.carry_in.next = true;
        }
        if self.prepared.val().moves_if & self.condition_holds.val() {
            self.augend_is.next = Augend::Zero;
            self.addend_is.next = Addend::B;
        }

        match self.augend_is.val() {
            Augend::Zero => self.augend.next = 0.into(),
            Augend::A => self.augend.next = self.a.val(),
            _ => self.augend.next = self.a.val() & !self.b.val(),
        }
        match self.addend_is.val() {
            Addend::B => self.addend.next = self.b.val(),
            Addend::NotB => self.addend.next = !self.b.val(),
            Addend::NotA => self.addend.next = !self.a.val(),
            Addend::BWithoutA => self.addend.next = self.b.val() & !self.a.val(),
            _ => self.addend.next = self.a.val() & self.b.val(),
        }
        // Bit 0 of the wide sum only makes the carry-in ripple into bit 1: one carry chain instead of two.
        self.wide_sum.next = ((bit_cast::<34, 32>(self.augend.val()) << 1) | 1)
            + ((bit_cast::<34, 32>(self.addend.val()) << 1)
                | bit_cast::<34, 1>(self.carry_in.val().into()));
        self.result.next = self.wide_sum.val().get_bits::<32>(1);
        // A sum is zero if no carry stops and none begins where both bits are 0: each bit pair differs exactly if one
        // of the pair below it is set.
        self.differs.next = self.augend.val() ^ self.addend.val();
        self.some.next = (bit_cast::<33, 32>(self.augend.val() | self.addend.val()) << 1)
            | bit_cast::<33, 1>(self.carry_in.val().into());
        self.not_zero.next =
            (self.differs.val() ^ self.some.val().get_bits::<32>(0)) & self.counts.val();
        self.nonzero.next = bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(0).any().into())
            | (bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(4).any().into()) << 1)
            | (bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(8).any().into()) << 2)
            | (bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(12).any().into()) << 3)
            | (bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(16).any().into()) << 4)
            | (bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(20).any().into()) << 5)
            | (bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(24).any().into()) << 6)
            | (bit_cast::<8, 1>(self.not_zero.val().get_bits::<4>(28).any().into()) << 7);
        // Bit n is the carry into bit n of the sum, bit 32 the carry out of bit 31.
        self.carries.next = self.wide_sum.val().get_bits::<33>(1)
            ^ bit_cast::<33, 32>(self.augend.val() ^ self.addend.val());

        self.auxiliary_out.next = self.carries.val().get_bit(4) ^ self.prepared.val().subtract;
        match self.width.val() {
            Width::Byte => {
                self.top_carry.next = self.carries.val().get_bit(8);
                self.overflow_out.next =
                    self.carries.val().get_bit(8) ^ self.carries.val().get_bit(7);
            }
            Width::Word => {
                self.top_carry.next = self.carries.val().get_bit(16);
                self.overflow_out.next =
                    self.carries.val().get_bit(16) ^ self.carries.val().get_bit(15);
            }
            _ => {
                self.top_carry.next = self.carries.val().get_bit(32);
                self.overflow_out.next =
                    self.carries.val().get_bit(32) ^ self.carries.val().get_bit(31);
            }
        }
        self.carry_out.next = self.top_carry.val() ^ self.prepared.val().subtract;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::prepared;
    use crate::execute::testing::{Random, WIDTHS, settle, sign_extend, truncate, width_bits};

    /// Result, carry, carry out of bit 3 and signed overflow.
    type Outcome = (u32, bool, bool, bool);

    fn outcome_of_block(alu: &mut Alu, width: Width) -> Outcome {
        alu.counts.next = u64::from(truncate(u32::MAX, width)).into();
        settle(alu);
        let result = truncate(alu.result.val().to_u32(), width);
        let zero = !alu.nonzero.val().any();
        assert_eq!(zero, result == 0, "zero of {result:#x}");
        (
            result,
            alu.carry_out.val(),
            alu.auxiliary_out.val(),
            alu.overflow_out.val(),
        )
    }

    fn expected(op: ExecuteOp, width: Width, a: u32, b: u32, carry: bool) -> Outcome {
        let carry_in = i64::from(carry && matches!(op, ExecuteOp::Adc | ExecuteOp::Sbb));
        let (a, b) = if op == ExecuteOp::Neg { (0, a) } else { (a, b) };
        let sign = match op {
            ExecuteOp::Add | ExecuteOp::Adc => 1,
            _ => -1,
        };
        let compute = |a: i64, b: i64| a + sign * (b + carry_in);
        let unsigned = compute(truncate(a, width).into(), truncate(b, width).into());
        let signed = compute(sign_extend(a, width).into(), sign_extend(b, width).into());
        let low_digit = compute((a & 15).into(), (b & 15).into());
        let limit = 1_i64 << (width_bits(width) - 1);
        (
            truncate(unsigned as u32, width),
            unsigned < 0 || unsigned >= 2 * limit,
            !(0..16).contains(&low_digit),
            signed < -limit || signed >= limit,
        )
    }

    fn check_sum(alu: &mut Alu, op: ExecuteOp, width: Width, a: u32, b: u32, carry: bool) {
        alu.prepared.next = prepared(op, width);
        alu.width.next = width;
        alu.a.next = u64::from(a).into();
        alu.b.next = u64::from(b).into();
        alu.carry.next = carry;
        assert_eq!(
            outcome_of_block(alu, width),
            expected(op, width, a, b, carry),
            "{op:?} {width:?} a={a:#x} b={b:#x} carry={carry}"
        );
    }

    #[test]
    fn every_sum_and_difference_of_two_bytes_has_its_result_and_flags() {
        let mut alu = Alu::default();
        for op in [ExecuteOp::Adc, ExecuteOp::Sbb] {
            for carry in [false, true] {
                for operands in 0..0x1_0000 {
                    let (a, b) = (operands & 0xFF, operands >> 8);
                    check_sum(&mut alu, op, Width::Byte, a, b, carry);
                }
            }
        }
    }

    #[test]
    fn sums_and_differences_of_any_width_ignore_bits_beyond_it() {
        const SEED: u64 = 0x5EED_0001;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut alu = Alu::default();
        for _ in 0..3000 {
            for op in [
                ExecuteOp::Add,
                ExecuteOp::Adc,
                ExecuteOp::Sub,
                ExecuteOp::Sbb,
                ExecuteOp::Neg,
            ] {
                for width in WIDTHS {
                    let (a, b) = (random.operand(), random.operand());
                    let carry = random.bits64() & 1 != 0;
                    check_sum(&mut alu, op, width, a, b, carry);
                }
            }
        }
    }

    #[test]
    fn logic_and_moves_work_bit_by_bit() {
        const SEED: u64 = 0x5EED_0002;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut alu = Alu::default();
        for _ in 0..1000 {
            let (a, b) = (random.operand(), random.operand());
            let (direction, holds) = (random.bits64() & 1 != 0, random.bits64() & 1 != 0);
            alu.width.next = Width::Dword;
            alu.a.next = u64::from(a).into();
            alu.b.next = u64::from(b).into();
            alu.direction.next = direction;
            alu.condition_holds.next = holds;
            let step = if direction { b.wrapping_neg() } else { b };
            for (op, expected) in [
                (ExecuteOp::PassA, a),
                (ExecuteOp::PassB, b),
                (ExecuteOp::And, a & b),
                (ExecuteOp::Or, a | b),
                (ExecuteOp::Xor, a ^ b),
                (ExecuteOp::Not, !a),
                (ExecuteOp::Step, a.wrapping_add(step)),
                (ExecuteOp::ConditionalMove, if holds { b } else { a }),
                (ExecuteOp::Sahf, a),
            ] {
                alu.prepared.next = prepared(op, Width::Dword);
                settle(&mut alu);
                assert_eq!(
                    alu.result.val().to_u32(),
                    expected,
                    "{op:?} a={a:#x} b={b:#x}"
                );
            }
        }
    }
}
