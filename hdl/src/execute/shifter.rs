//! Shifts and rotates by any count in one clock.
use crate::prelude::*;

/// Shifts, rotates, rotates through carry and double shifts. Combinational.
///
/// Everything is a right shift by 0 to 31 of a 64-bit `funnel` that is put together as the operation asks. What is to
/// be moved right starts at bit 1, and bit 0 of the outcome is the last bit shifted out. What is to be moved left
/// starts at bit 32 and moves right by 31 minus the count; the bit above the result is then the last one shifted out:
///
/// ```text
///   bit           63                32 31                 1  0
///   right              fill above      |     operand        |0
///   left          0|     operand       |    fill below      |0
/// ```
///
/// Counts are taken modulo 32, by `Rcl` and `Rcr` of bytes and words then modulo 9 and 17. Bits of `a` beyond the
/// width are ignored.
#[derive(LogicBlock, Default)]
pub struct Shifter {
    pub op: Signal<In, ExecuteOp>,
    pub width: Signal<In, Width>,
    /// What is shifted.
    pub a: Signal<In, Bits<32>>,
    /// What a double shift shifts in.
    pub fill: Signal<In, Bits<32>>,
    pub count: Signal<In, Bits<5>>,
    /// EFLAGS.CF, which takes part in `Rcl` and `Rcr`.
    pub carry: Signal<In, Bit>,
    /// The result; bits beyond the width are not cleared.
    pub result: Signal<Out, Bits<32>>,
    /// The count does not leave the flags as they were.
    ///
    /// It does if it is zero, for `Rcl` and `Rcr` also if it is a multiple of 9 or 17.
    pub changes_flags: Signal<Out, Bit>,
    /// The last bit shifted out, or for `Rol` and `Ror` the bit that came round last.
    ///
    /// Where it is undefined, for `Shl` and `Shr` by more than the width it is zero, and for `Shld` and `Shrd` of words
    /// by more than 16 it is a bit of `fill`.
    pub carry_out: Signal<Out, Bit>,
    /// OF as for a count of 1, where it is defined: the sign has changed.
    ///
    /// With other counts left shifts and rotates give the result's sign xor CF, right ones the xor of the result's two
    /// topmost bits.
    pub overflow_out: Signal<Out, Bit>,
    // wires
    is_left: Signal<Local, Bit>,
    sign: Signal<Local, Bit>,
    zero_extended: Signal<Local, Bits<32>>,
    sign_extended: Signal<Local, Bits<32>>,
    repeated: Signal<Local, Bits<32>>,
    ring_count: Signal<Local, Bits<5>>,
    operand: Signal<Local, Bits<32>>,
    fill_above: Signal<Local, Bits<31>>,
    fill_below: Signal<Local, Bits<31>>,
    used_count: Signal<Local, Bits<5>>,
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
        self.zero_extended.next = self.a.val();
        self.repeated.next = self.a.val();
        self.sign.next = self.a.val().get_bit(31);
        self.sign_extended.next = self.a.val();
        self.ring_count.next = self.count.val();
        match self.width.val() {
            Width::Byte => {
                self.zero_extended.next = self.a.val() & 0xFF;
                self.repeated.next = (self.a.val() & 0xFF)
                    | ((self.a.val() & 0xFF) << 8)
                    | ((self.a.val() & 0xFF) << 16)
                    | ((self.a.val() & 0xFF) << 24);
                self.sign.next = self.a.val().get_bit(7);
                self.sign_extended.next = self.a.val() & 0xFF;
                if self.a.val().get_bit(7) {
                    self.sign_extended.next = self.a.val() | 0xFFFF_FF00_u64;
                }
                // Modulo 9.
                if self.count.val() >= 27 {
                    self.ring_count.next = self.count.val() - 27;
                } else if self.count.val() >= 18 {
                    self.ring_count.next = self.count.val() - 18;
                } else if self.count.val() >= 9 {
                    self.ring_count.next = self.count.val() - 9;
                }
            }
            Width::Word => {
                self.zero_extended.next = self.a.val() & 0xFFFF;
                self.repeated.next = (self.a.val() & 0xFFFF) | (self.a.val() << 16);
                self.sign.next = self.a.val().get_bit(15);
                self.sign_extended.next = self.a.val() & 0xFFFF;
                if self.a.val().get_bit(15) {
                    self.sign_extended.next = self.a.val() | 0xFFFF_0000_u64;
                }
                // Modulo 17.
                if self.count.val() >= 17 {
                    self.ring_count.next = self.count.val() - 17;
                }
            }
            _ => {}
        }

        self.is_left.next = false;
        self.operand.next = self.zero_extended.val();
        self.fill_above.next = 0.into();
        self.fill_below.next = 0.into();
        self.used_count.next = self.count.val();
        match self.op.val() {
            ExecuteOp::Shl => {
                self.is_left.next = true;
            }
            ExecuteOp::Sar => {
                self.operand.next = self.sign_extended.val();
                if self.sign.val() {
                    self.fill_above.next = 0x7FFF_FFFF.into();
                }
            }
            ExecuteOp::Rol => {
                self.is_left.next = true;
                self.operand.next = self.repeated.val();
                self.fill_below.next = self.repeated.val().get_bits::<31>(1);
            }
            ExecuteOp::Ror => {
                self.operand.next = self.repeated.val();
                self.fill_above.next = self.repeated.val().get_bits::<31>(0);
            }
            // The carry joins the ring of bits between the operand's top and its bottom.
            ExecuteOp::Rcl => {
                self.is_left.next = true;
                self.used_count.next = self.ring_count.val();
                self.fill_below.next = bit_cast::<31, 1>(self.carry.val().into()) << 30;
                match self.width.val() {
                    Width::Byte => {
                        self.fill_below.next = (bit_cast::<31, 1>(self.carry.val().into()) << 30)
                            | (bit_cast::<31, 8>(self.a.val().get_bits::<8>(0)) << 22);
                    }
                    Width::Word => {
                        self.fill_below.next = (bit_cast::<31, 1>(self.carry.val().into()) << 30)
                            | (bit_cast::<31, 16>(self.a.val().get_bits::<16>(0)) << 14);
                    }
                    _ => {
                        self.fill_below.next = (bit_cast::<31, 1>(self.carry.val().into()) << 30)
                            | bit_cast::<31, 30>(self.a.val().get_bits::<30>(2));
                    }
                }
            }
            ExecuteOp::Rcr => {
                self.used_count.next = self.ring_count.val();
                match self.width.val() {
                    Width::Byte => {
                        self.operand.next = self.zero_extended.val()
                            | (bit_cast::<32, 1>(self.carry.val().into()) << 8)
                            | (self.zero_extended.val() << 9);
                    }
                    Width::Word => {
                        self.operand.next = self.zero_extended.val()
                            | (bit_cast::<32, 1>(self.carry.val().into()) << 16)
                            | (self.zero_extended.val() << 17);
                        self.fill_above.next = bit_cast::<31, 1>(self.a.val().get_bits::<1>(15));
                    }
                    _ => {
                        self.fill_above.next = bit_cast::<31, 1>(self.carry.val().into())
                            | (self.a.val().get_bits::<31>(0) << 1);
                    }
                }
            }
            // Words go round with their filling: a count beyond 16 brings back bits of `a`.
            ExecuteOp::Shld => {
                self.is_left.next = true;
                self.fill_below.next = self.fill.val().get_bits::<31>(1);
                match self.width.val() {
                    Width::Word => {
                        self.fill_below.next =
                            (bit_cast::<31, 16>(self.fill.val().get_bits::<16>(0)) << 15)
                                | bit_cast::<31, 15>(self.a.val().get_bits::<15>(1));
                    }
                    _ => {}
                }
            }
            ExecuteOp::Shrd => {
                self.fill_above.next = self.fill.val().get_bits::<31>(0);
                match self.width.val() {
                    Width::Word => {
                        self.operand.next = self.zero_extended.val() | (self.fill.val() << 16);
                        self.fill_above.next = bit_cast::<31, 16>(self.a.val().get_bits::<16>(0));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        self.changes_flags.next = self.used_count.val().any();

        if self.is_left.val() {
            self.funnel.next = (bit_cast::<64, 32>(self.operand.val()) << 32)
                | (bit_cast::<64, 31>(self.fill_below.val()) << 1);
            self.distance.next = !self.used_count.val();
        } else {
            self.funnel.next = (bit_cast::<64, 31>(self.fill_above.val()) << 33)
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
    fn expected(
        op: ExecuteOp,
        width: Width,
        a: u32,
        fill: u32,
        count: u32,
        carry: bool,
    ) -> Outcome {
        let bits = width_bits(width);
        let count = match (op, width) {
            (ExecuteOp::Rcl | ExecuteOp::Rcr, Width::Byte) => count % 9,
            (ExecuteOp::Rcl | ExecuteOp::Rcr, Width::Word) => count % 17,
            _ => count,
        };
        let (mut value, mut carry) = (truncate(a, width), carry);
        // A double shift of a word by more than 16 takes the first operand's bits again.
        let filling = match width {
            Width::Word => u64::from(fill & 0xFFFF) << 16 | u64::from(value),
            _ => u64::from(fill) << 32,
        };
        let filling_from_the_right = match width {
            Width::Word => u64::from(value) << 16 | u64::from(fill & 0xFFFF),
            _ => u64::from(fill),
        };
        let length = if width == Width::Word { 32 } else { 64 };
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
                ExecuteOp::Shld => (filling >> (length - 1 - step) & 1 != 0, true),
                ExecuteOp::Shrd => (filling_from_the_right >> step & 1 != 0, false),
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
        (a, fill, count, carry): (u32, u32, u32, bool),
    ) {
        shifter.op.next = op;
        shifter.width.next = width;
        shifter.a.next = u64::from(a).into();
        shifter.fill.next = u64::from(fill).into();
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
            expected(op, width, a, fill, count, carry),
            "{op:?} {width:?} a={a:#x} fill={fill:#x} count={count} carry={carry}"
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
                if width == Width::Byte && matches!(op, ExecuteOp::Shld | ExecuteOp::Shrd) {
                    continue;
                }
                for round in 0..640 {
                    let carry = random.bits64() & 1 != 0;
                    let operands = (random.operand(), random.operand(), round % 32, carry);
                    check(&mut shifter, op, width, operands);
                }
            }
        }
    }
}
