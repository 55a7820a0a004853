//! Shifts and rotates by any count in one clock.
use crate::prelude::*;

/// What comes into the operand from the side that it leaves.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Joined {
    /// Zeros, or copies of the sign.
    Fill,
    /// The operand itself: `Rol`, `Ror`.
    Operand,
    /// The carry, then the operand: `Rcl`, `Rcr`.
    CarryAndOperand,
    /// The second operand: `Shld`, `Shrd`.
    SecondOperand,
}

/// Shifts, rotates, rotates through carry and double shifts. Combinational.
///
/// Everything is a right shift by 0 to 31 of a 64-bit `funnel`, in which the operand has its neighbour `joined` on the
/// side that it moves away from. What is to be moved right starts at bit 1, and bit 0 of the outcome is the last bit
/// shifted out. What is to be moved left starts at bit 32 and moves right by 31 minus the count; the bit above the
/// result is then the last one shifted out:
///
/// ```text
///   bit           63                32 31                 1  0
///   right              joined          |     operand        |0
///   left          0|     operand       |    joined          |0
/// ```
///
/// Counts are taken modulo 32, by rotates then modulo the length of the ring: the width, or with the carry 9 or 17.
/// Bits of `a` beyond the width are ignored.
#[derive(LogicBlock, Default)]
pub struct Shifter {
    pub op: Signal<In, ExecuteOp>,
    pub width: Signal<In, Width>,
    /// What is shifted.
    pub a: Signal<In, Bits<32>>,
    /// What a double shift shifts in.
    pub b: Signal<In, Bits<32>>,
    pub count: Signal<In, Bits<5>>,
    /// EFLAGS.CF, which takes part in `Rcl` and `Rcr`.
    pub carry: Signal<In, Bit>,
    /// The result; bits beyond the width are not cleared. Undefined for `Shld` and `Shrd` of words by more than 16.
    pub result: Signal<Out, Bits<32>>,
    /// The count does not leave the flags as they were.
    ///
    /// It does if it is zero, for `Rcl` and `Rcr` also if it is a multiple of 9 or 17.
    pub changes_flags: Signal<Out, Bit>,
    /// The last bit shifted out, or for `Rol` and `Ror` the bit that came round last.
    ///
    /// For `Shl` and `Shr` by more than the width, where it is undefined, it is zero.
    pub carry_out: Signal<Out, Bit>,
    /// OF as for a count of 1, where it is defined: the sign has changed.
    ///
    /// With other counts left shifts and rotates give the result's sign xor CF, right ones the xor of the result's two
    /// topmost bits.
    pub overflow_out: Signal<Out, Bit>,
    // wires
    is_left: Signal<Local, Bit>,
    joined_is: Signal<Local, Joined>,
    is_arithmetic: Signal<Local, Bit>,
    fill: Signal<Local, Bit>,
    used_count: Signal<Local, Bits<5>>,
    neighbour: Signal<Local, Bits<32>>,
    aligned: Signal<Local, Bits<32>>,
    joined: Signal<Local, Bits<32>>,
    operand: Signal<Local, Bits<32>>,
    distance: Signal<Local, Bits<5>>,
    funnel: Signal<Local, Bits<64>>,
    funnel_by_16: Signal<Local, Bits<49>>,
    funnel_by_8: Signal<Local, Bits<41>>,
    funnel_by_4: Signal<Local, Bits<37>>,
    funnel_by_2: Signal<Local, Bits<35>>,
    shifted: Signal<Local, Bits<34>>,
    top: Signal<Local, Bits<3>>,
}

impl Logic for Shifter {
    #[hdl_gen]
    fn update(&mut self) {
        self.is_left.next = false;
        self.joined_is.next = Joined::Fill;
        self.is_arithmetic.next = false;
        match self.op.val() {
            ExecuteOp::Shl => {
                self.is_left.next = true;
            }
            ExecuteOp::Sar => {
                self.is_arithmetic.next = true;
            }
            ExecuteOp::Rol => {
                self.is_left.next = true;
                self.joined_is.next = Joined::Operand;
            }
            ExecuteOp::Ror => {
                self.joined_is.next = Joined::Operand;
            }
            ExecuteOp::Rcl => {
                self.is_left.next = true;
                self.joined_is.next = Joined::CarryAndOperand;
            }
            ExecuteOp::Rcr => {
                self.joined_is.next = Joined::CarryAndOperand;
            }
            ExecuteOp::Shld => {
                self.is_left.next = true;
                self.joined_is.next = Joined::SecondOperand;
            }
            ExecuteOp::Shrd => {
                self.joined_is.next = Joined::SecondOperand;
            }
            _ => {}
        }

        self.used_count.next = self.count.val();
        self.changes_flags.next = self.count.val().any();
        match self.joined_is.val() {
            Joined::Operand => match self.width.val() {
                Width::Byte => self.used_count.next = self.count.val() & 7,
                Width::Word => self.used_count.next = self.count.val() & 15,
                _ => {}
            },
            Joined::CarryAndOperand => {
                match self.width.val() {
                    Width::Byte => {
                        if self.count.val() >= 27 {
                            self.used_count.next = self.count.val() - 27;
                        } else if self.count.val() >= 18 {
                            self.used_count.next = self.count.val() - 18;
                        } else if self.count.val() >= 9 {
                            self.used_count.next = self.count.val() - 9;
                        }
                    }
                    Width::Word => {
                        if self.count.val() >= 17 {
                            self.used_count.next = self.count.val() - 17;
                        }
                    }
                    _ => {}
                }
                self.changes_flags.next = self.used_count.val().any();
            }
            _ => {}
        }

        // The neighbour below touches with its top, the one above with its bottom.
        self.neighbour.next = self.a.val();
        if self.joined_is.val() == Joined::SecondOperand {
            self.neighbour.next = self.b.val();
        }
        self.aligned.next = self.neighbour.val();
        if self.is_left.val() {
            match self.width.val() {
                Width::Byte => self.aligned.next = self.neighbour.val() << 24,
                Width::Word => self.aligned.next = self.neighbour.val() << 16,
                _ => {}
            }
        }
        self.fill.next = self.a.val().get_bit(31);
        match self.width.val() {
            Width::Byte => self.fill.next = self.a.val().get_bit(7),
            Width::Word => self.fill.next = self.a.val().get_bit(15),
            _ => {}
        }
        self.joined.next = self.aligned.val();
        match self.joined_is.val() {
            Joined::Fill => {
                self.joined.next = 0.into();
                if self.is_arithmetic.val() & self.fill.val() {
                    self.joined.next = 0xFFFF_FFFF_u64.into();
                }
            }
            Joined::CarryAndOperand => {
                self.joined.next =
                    (self.aligned.val() << 1) | bit_cast::<32, 1>(self.carry.val().into());
                if self.is_left.val() {
                    self.joined.next = (self.aligned.val() >> 1)
                        | (bit_cast::<32, 1>(self.carry.val().into()) << 31);
                }
            }
            _ => {}
        }

        self.operand.next = self.a.val();
        match self.width.val() {
            Width::Byte => {
                self.operand.next = (self.joined.val() & 0xFFFF_0000_u64)
                    | ((self.joined.val() & 0xFF) << 8)
                    | (self.a.val() & 0xFF);
            }
            Width::Word => {
                self.operand.next = (self.joined.val() << 16) | (self.a.val() & 0xFFFF);
            }
            _ => {}
        }
        if self.is_left.val() {
            self.funnel.next = (bit_cast::<64, 32>(self.a.val()) << 32)
                | (bit_cast::<64, 31>(self.joined.val().get_bits::<31>(1)) << 1);
            self.distance.next = !self.used_count.val();
        } else {
            self.funnel.next = (bit_cast::<64, 31>(self.joined.val().get_bits::<31>(0)) << 33)
                | (bit_cast::<64, 32>(self.operand.val()) << 1);
            self.distance.next = self.used_count.val();
        }
        self.funnel_by_16.next = self.funnel.val().get_bits::<49>(0);
        if self.distance.val().get_bit(4) {
            self.funnel_by_16.next = bit_cast::<49, 48>(self.funnel.val().get_bits::<48>(16));
        }
        self.funnel_by_8.next = self.funnel_by_16.val().get_bits::<41>(0);
        if self.distance.val().get_bit(3) {
            self.funnel_by_8.next = self.funnel_by_16.val().get_bits::<41>(8);
        }
        self.funnel_by_4.next = self.funnel_by_8.val().get_bits::<37>(0);
        if self.distance.val().get_bit(2) {
            self.funnel_by_4.next = self.funnel_by_8.val().get_bits::<37>(4);
        }
        self.funnel_by_2.next = self.funnel_by_4.val().get_bits::<35>(0);
        if self.distance.val().get_bit(1) {
            self.funnel_by_2.next = self.funnel_by_4.val().get_bits::<35>(2);
        }
        self.shifted.next = self.funnel_by_2.val().get_bits::<34>(0);
        if self.distance.val().get_bit(0) {
            self.shifted.next = self.funnel_by_2.val().get_bits::<34>(1);
        }
        self.result.next = self.shifted.val().get_bits::<32>(1);

        // The result's two topmost bits and the one above.
        match self.width.val() {
            Width::Byte => self.top.next = self.shifted.val().get_bits::<3>(7),
            Width::Word => self.top.next = self.shifted.val().get_bits::<3>(15),
            _ => self.top.next = self.shifted.val().get_bits::<3>(31),
        }
        self.carry_out.next = self.shifted.val().get_bit(0);
        if self.is_left.val() {
            self.carry_out.next = self.top.val().get_bit(2);
        }
        match self.op.val() {
            ExecuteOp::Rol => self.carry_out.next = self.shifted.val().get_bit(1),
            ExecuteOp::Ror => self.carry_out.next = self.top.val().get_bit(1),
            _ => {}
        }
        self.overflow_out.next = self.top.val().get_bit(1) ^ self.top.val().get_bit(0);
        if self.is_left.val() {
            self.overflow_out.next = self.top.val().get_bit(1) ^ self.carry_out.val();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::testing::{Random, WIDTHS, settle, truncate, width_bits};

    /// Result, and where the flags change: carry and overflow.
    type Outcome = (u32, Option<(bool, bool)>);

    /// Moves one bit at a time, as the manual's pseudocode of the operations does.
    fn expected(op: ExecuteOp, width: Width, a: u32, b: u32, count: u32, carry: bool) -> Outcome {
        let bits = width_bits(width);
        let count = match (op, width) {
            (ExecuteOp::Rcl | ExecuteOp::Rcr, Width::Byte) => count % 9,
            (ExecuteOp::Rcl | ExecuteOp::Rcr, Width::Word) => count % 17,
            _ => count,
        };
        let (mut value, mut carry) = (truncate(a, width), carry);
        for step in 0..count {
            let top = value >> (bits - 1) & 1 != 0;
            let bottom = value & 1 != 0;
            let (shifted_in, is_left) = match op {
                ExecuteOp::Shl => (false, true),
                ExecuteOp::Shr => (false, false),
                ExecuteOp::Sar => (top, false),
                ExecuteOp::Rol => (top, true),
                ExecuteOp::Ror => (bottom, false),
                ExecuteOp::Rcl => (carry, true),
                ExecuteOp::Rcr => (carry, false),
                ExecuteOp::Shld => (b >> (bits - 1 - step) & 1 != 0, true),
                ExecuteOp::Shrd => (b >> step & 1 != 0, false),
                _ => unreachable!(),
            };
            if is_left {
                carry = top;
                value = truncate(value << 1, width) | u32::from(shifted_in);
            } else {
                carry = bottom;
                value = value >> 1 | u32::from(shifted_in) << (bits - 1);
            }
        }
        let sign = value >> (bits - 1) & 1 != 0;
        let overflow = match op {
            ExecuteOp::Shl | ExecuteOp::Rol | ExecuteOp::Rcl | ExecuteOp::Shld => sign != carry,
            _ => sign != (value >> (bits - 2) & 1 != 0),
        };
        (value, (count != 0).then_some((carry, overflow)))
    }

    const OPS: [ExecuteOp; 9] = [
        ExecuteOp::Shl,
        ExecuteOp::Shr,
        ExecuteOp::Sar,
        ExecuteOp::Rol,
        ExecuteOp::Ror,
        ExecuteOp::Rcl,
        ExecuteOp::Rcr,
        ExecuteOp::Shld,
        ExecuteOp::Shrd,
    ];

    fn check(
        shifter: &mut Shifter,
        op: ExecuteOp,
        width: Width,
        (a, b, count, carry): (u32, u32, u32, bool),
    ) {
        shifter.op.next = op;
        shifter.width.next = width;
        shifter.a.next = u64::from(a).into();
        shifter.b.next = u64::from(b).into();
        shifter.count.next = u64::from(count).into();
        shifter.carry.next = carry;
        settle(shifter);
        let outcome = (
            truncate(shifter.result.val().to_u32(), width),
            shifter
                .changes_flags
                .val()
                .then_some((shifter.carry_out.val(), shifter.overflow_out.val())),
        );
        assert_eq!(
            outcome,
            expected(op, width, a, b, count, carry),
            "{op:?} {width:?} a={a:#x} b={b:#x} count={count} carry={carry}"
        );
    }

    #[test]
    fn every_byte_shifts_and_rotates_by_every_count() {
        let mut shifter = Shifter::default();
        for op in &OPS[..7] {
            for a in 0..0x100 {
                for count in 0..32 {
                    let carry = (a ^ count) & 1 != 0;
                    check(&mut shifter, *op, Width::Byte, (a, 0, count, carry));
                }
            }
        }
    }

    #[test]
    fn random_operands_of_any_width_shift_and_rotate_by_every_count() {
        const SEED: u64 = 0x5EED_0003;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut shifter = Shifter::default();
        for op in OPS {
            for width in WIDTHS {
                let counts = match (op, width) {
                    (ExecuteOp::Shld | ExecuteOp::Shrd, Width::Byte) => continue,
                    // Beyond that the result is undefined.
                    (ExecuteOp::Shld | ExecuteOp::Shrd, Width::Word) => 17,
                    _ => 32,
                };
                for round in 0..640 {
                    let carry = random.bits64() & 1 != 0;
                    let operands = (random.operand(), random.operand(), round % counts, carry);
                    check(&mut shifter, op, width, operands);
                }
            }
        }
    }
}
