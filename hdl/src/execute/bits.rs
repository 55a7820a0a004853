//! Bit tests, scans, extensions, and the small moves that microcode asks for.
use crate::prelude::*;

/// What happens to the tested bit.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum BitChange {
    None,
    Set,
    Reset,
    Complement,
}

/// Where the upper half of the result comes from.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum UpperFrom {
    /// `a`, with the tested bit changed.
    A,
    /// `a` with its bytes reversed.
    Reversed,
    Offset,
    /// The lower half of `a`.
    LowerA,
    /// Copies of `fill`.
    Fill,
}

/// Where the lower half of the result comes from.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum LowerFrom {
    /// `a`, with the tested bit changed.
    A,
    /// `a` with its bytes reversed.
    Reversed,
    Offset,
    B,
    /// The low byte of `b` below copies of `fill`.
    ByteOfB,
    /// The upper half of `b`.
    UpperB,
    /// `number` below copies of `fill`.
    Number,
}

/// Tests, finds, spreads and rearranges bits. Combinational.
///
/// Serves `Bt`, `Bts`, `Btr`, `Btc`, `Bsf`, `Bsr`, `Bswap`, the extensions, `SetCondition`, `SignFill`, `Lahf`,
/// `BitOffset`, `PackWords` and `HighWord`; for every other operation the result is `a`. Bits of the
/// operands beyond the width are ignored, except by `Bswap` and the last three, which are for doublewords.
#[derive(LogicBlock, Default)]
pub struct BitUnit {
    pub op: Signal<In, ExecuteOp>,
    pub width: Signal<In, Width>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    /// EFLAGS[7:0], for `Lahf`.
    pub eflags: Signal<In, Bits<8>>,
    /// For `SetCondition`.
    pub condition_holds: Signal<In, Bit>,
    /// The result; bits beyond the width are not cleared.
    pub result: Signal<Out, Bits<32>>,
    /// Bit `b` (modulo the width) of `a`, before it is changed.
    pub tested_bit: Signal<Out, Bit>,
    /// `b` is zero, so that a scan finds nothing.
    pub found_nothing: Signal<Out, Bit>,
    // wires
    bit_number: Signal<Local, Bits<5>>,
    bit_mask: Signal<Local, Bits<32>>,
    sign_of_a: Signal<Local, Bit>,
    source: Signal<Local, Bits<32>>,
    swapped_bits: Signal<Local, Bits<32>>,
    swapped_pairs: Signal<Local, Bits<32>>,
    swapped_nibbles: Signal<Local, Bits<32>>,
    swapped_bytes: Signal<Local, Bits<32>>,
    reversed_source: Signal<Local, Bits<32>>,
    scanned: Signal<Local, Bits<32>>,
    scanned_16: Signal<Local, Bits<16>>,
    scanned_8: Signal<Local, Bits<8>>,
    scanned_4: Signal<Local, Bits<4>>,
    scanned_2: Signal<Local, Bits<2>>,
    top_number: Signal<Local, Bits<5>>,
    change: Signal<Local, BitChange>,
    upper_from: Signal<Local, UpperFrom>,
    lower_from: Signal<Local, LowerFrom>,
    fill: Signal<Local, Bit>,
    filled: Signal<Local, Bits<16>>,
    number: Signal<Local, Bits<8>>,
    changed: Signal<Local, Bits<32>>,
    reversed: Signal<Local, Bits<32>>,
    offset: Signal<Local, Bits<32>>,
    upper: Signal<Local, Bits<16>>,
    lower: Signal<Local, Bits<16>>,
}

impl Logic for BitUnit {
    #[hdl_gen]
    fn update(&mut self) {
        self.bit_number.next = self.b.val().get_bits::<5>(0);
        self.sign_of_a.next = self.a.val().get_bit(31);
        self.source.next = self.b.val();
        match self.width.val() {
            Width::Byte => {
                self.bit_number.next = self.b.val().get_bits::<5>(0) & 7;
                self.sign_of_a.next = self.a.val().get_bit(7);
                self.source.next = self.b.val() & 0xFF;
            }
            Width::Word => {
                self.bit_number.next = self.b.val().get_bits::<5>(0) & 15;
                self.sign_of_a.next = self.a.val().get_bit(15);
                self.source.next = self.b.val() & 0xFFFF;
            }
            _ => {}
        }
        self.bit_mask.next = bits::<32>(1) << self.bit_number.val();
        self.tested_bit.next = (self.a.val() & self.bit_mask.val()).any();

        // A scan forward is a scan backward of the reversed operand.
        self.swapped_bits.next =
            ((self.source.val() & 0x5555_5555) << 1) | ((self.source.val() >> 1) & 0x5555_5555);
        self.swapped_pairs.next = ((self.swapped_bits.val() & 0x3333_3333) << 2)
            | ((self.swapped_bits.val() >> 2) & 0x3333_3333);
        self.swapped_nibbles.next = ((self.swapped_pairs.val() & 0x0F0F_0F0F) << 4)
            | ((self.swapped_pairs.val() >> 4) & 0x0F0F_0F0F);
        self.swapped_bytes.next = ((self.swapped_nibbles.val() & 0x00FF_00FF) << 8)
            | ((self.swapped_nibbles.val() >> 8) & 0x00FF_00FF);
        self.reversed_source.next =
            (self.swapped_bytes.val() << 16) | (self.swapped_bytes.val() >> 16);
        self.scanned.next = self.reversed_source.val();
        match self.op.val() {
            ExecuteOp::Bsr => self.scanned.next = self.source.val(),
            _ => {}
        }
        self.found_nothing.next = !self.source.val().any();
        // The number of the highest 1: at each step, is it in the upper half of what is left?
        self.scanned_16.next = self.scanned.val().get_bits::<16>(0);
        if self.scanned.val().get_bits::<16>(16).any() {
            self.scanned_16.next = self.scanned.val().get_bits::<16>(16);
        }
        self.scanned_8.next = self.scanned_16.val().get_bits::<8>(0);
        if self.scanned_16.val().get_bits::<8>(8).any() {
            self.scanned_8.next = self.scanned_16.val().get_bits::<8>(8);
        }
        self.scanned_4.next = self.scanned_8.val().get_bits::<4>(0);
        if self.scanned_8.val().get_bits::<4>(4).any() {
            self.scanned_4.next = self.scanned_8.val().get_bits::<4>(4);
        }
        self.scanned_2.next = self.scanned_4.val().get_bits::<2>(0);
        if self.scanned_4.val().get_bits::<2>(2).any() {
            self.scanned_2.next = self.scanned_4.val().get_bits::<2>(2);
        }
        self.top_number.next =
            (bit_cast::<5, 1>(self.scanned.val().get_bits::<16>(16).any().into()) << 4)
                | (bit_cast::<5, 1>(self.scanned_16.val().get_bits::<8>(8).any().into()) << 3)
                | (bit_cast::<5, 1>(self.scanned_8.val().get_bits::<4>(4).any().into()) << 2)
                | (bit_cast::<5, 1>(self.scanned_4.val().get_bits::<2>(2).any().into()) << 1)
                | bit_cast::<5, 1>(self.scanned_2.val().get_bits::<1>(1));

        self.change.next = BitChange::None;
        self.upper_from.next = UpperFrom::A;
        self.lower_from.next = LowerFrom::A;
        self.fill.next = false;
        self.number.next = 0.into();
        match self.op.val() {
            ExecuteOp::Bts => self.change.next = BitChange::Set,
            ExecuteOp::Btr => self.change.next = BitChange::Reset,
            ExecuteOp::Btc => self.change.next = BitChange::Complement,
            ExecuteOp::Bsf => {
                self.number.next = bit_cast::<8, 5>(!self.top_number.val());
                if !self.found_nothing.val() {
                    self.upper_from.next = UpperFrom::Fill;
                    self.lower_from.next = LowerFrom::Number;
                }
            }
            ExecuteOp::Bsr => {
                self.number.next = bit_cast::<8, 5>(self.top_number.val());
                if !self.found_nothing.val() {
                    self.upper_from.next = UpperFrom::Fill;
                    self.lower_from.next = LowerFrom::Number;
                }
            }
            ExecuteOp::Bswap => {
                self.upper_from.next = UpperFrom::Reversed;
                self.lower_from.next = LowerFrom::Reversed;
            }
            ExecuteOp::ZeroExtendByte => {
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::ByteOfB;
            }
            ExecuteOp::ZeroExtendWord => {
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::B;
            }
            ExecuteOp::SignExtendByte => {
                self.fill.next = self.b.val().get_bit(7);
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::ByteOfB;
            }
            ExecuteOp::SignExtendWord => {
                self.fill.next = self.b.val().get_bit(15);
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::B;
            }
            ExecuteOp::SetCondition => {
                self.number.next = bit_cast::<8, 1>(self.condition_holds.val().into());
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::Number;
            }
            ExecuteOp::SignFill => {
                self.fill.next = self.sign_of_a.val();
                if self.sign_of_a.val() {
                    self.number.next = 0xFF.into();
                }
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::Number;
            }
            ExecuteOp::Lahf => {
                // SF ZF 0 AF 0 PF 1 CF
                self.number.next = (self.eflags.val() & 0xD5) | 2;
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::Number;
            }
            ExecuteOp::BitOffset => {
                self.upper_from.next = UpperFrom::Offset;
                self.lower_from.next = LowerFrom::Offset;
            }
            ExecuteOp::PackWords => {
                self.upper_from.next = UpperFrom::LowerA;
                self.lower_from.next = LowerFrom::B;
            }
            ExecuteOp::HighWord => {
                self.upper_from.next = UpperFrom::Fill;
                self.lower_from.next = LowerFrom::UpperB;
            }
            _ => {}
        }

        match self.change.val() {
            BitChange::None => self.changed.next = self.a.val(),
            BitChange::Set => self.changed.next = self.a.val() | self.bit_mask.val(),
            BitChange::Reset => self.changed.next = self.a.val() & !self.bit_mask.val(),
            _ => self.changed.next = self.a.val() ^ self.bit_mask.val(),
        }
        self.reversed.next = (self.a.val() << 24)
            | ((self.a.val() & 0xFF00) << 8)
            | ((self.a.val() >> 8) & 0xFF00)
            | (self.a.val() >> 24);
        // Shifted right by the bits of an element's number, left by those of its bytes, and sign-extended.
        match self.width.val() {
            Width::Word => {
                self.offset.next = (self.a.val() >> 3) & 0x1FFE;
                if self.sign_of_a.val() {
                    self.offset.next = ((self.a.val() >> 3) & 0x1FFE) | 0xFFFF_E000_u64;
                }
            }
            _ => {
                self.offset.next = (self.a.val() >> 3) & 0x1FFF_FFFC;
                if self.sign_of_a.val() {
                    self.offset.next = ((self.a.val() >> 3) & 0x1FFF_FFFC) | 0xE000_0000_u64;
                }
            }
        }
        self.filled.next = 0.into();
        if self.fill.val() {
            self.filled.next = 0xFFFF.into();
        }

        match self.upper_from.val() {
            UpperFrom::A => self.upper.next = self.changed.val().get_bits::<16>(16),
            UpperFrom::Reversed => self.upper.next = self.reversed.val().get_bits::<16>(16),
            UpperFrom::Offset => self.upper.next = self.offset.val().get_bits::<16>(16),
            UpperFrom::LowerA => self.upper.next = self.a.val().get_bits::<16>(0),
            _ => self.upper.next = self.filled.val(),
        }
        match self.lower_from.val() {
            LowerFrom::A => self.lower.next = self.changed.val().get_bits::<16>(0),
            LowerFrom::Reversed => self.lower.next = self.reversed.val().get_bits::<16>(0),
            LowerFrom::Offset => self.lower.next = self.offset.val().get_bits::<16>(0),
            LowerFrom::B => self.lower.next = self.b.val().get_bits::<16>(0),
            LowerFrom::ByteOfB => {
                self.lower.next =
                    (self.filled.val() & 0xFF00) | bit_cast::<16, 8>(self.b.val().get_bits::<8>(0));
            }
            LowerFrom::UpperB => self.lower.next = self.b.val().get_bits::<16>(16),
            _ => {
                self.lower.next =
                    (self.filled.val() & 0xFF00) | bit_cast::<16, 8>(self.number.val());
            }
        }
        self.result.next =
            (bit_cast::<32, 16>(self.upper.val()) << 16) | bit_cast::<32, 16>(self.lower.val());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::testing::{Random, WIDTHS, settle, sign_extend, truncate, width_bits};

    fn result(unit: &mut BitUnit, op: ExecuteOp, width: Width, a: u32, b: u32) -> u32 {
        unit.op.next = op;
        unit.width.next = width;
        unit.a.next = u64::from(a).into();
        unit.b.next = u64::from(b).into();
        settle(unit);
        unit.result.val().to_u32()
    }

    #[test]
    fn a_bit_is_tested_and_changed_at_its_number_modulo_the_width() {
        const SEED: u64 = 0x5EED_0004;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut unit = BitUnit::default();
        for _ in 0..1000 {
            for width in WIDTHS {
                let (a, b) = (random.operand(), random.operand());
                let mask = 1 << (b % width_bits(width));
                for (op, expected) in [
                    (ExecuteOp::Bt, a),
                    (ExecuteOp::Bts, a | mask),
                    (ExecuteOp::Btr, a & !mask),
                    (ExecuteOp::Btc, a ^ mask),
                ] {
                    let outcome = (result(&mut unit, op, width, a, b), unit.tested_bit.val());
                    assert_eq!(
                        outcome,
                        (expected, a & mask != 0),
                        "{op:?} {width:?} a={a:#x} b={b:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn scans_find_the_lowest_and_the_highest_bit_or_leave_the_destination() {
        const SEED: u64 = 0x5EED_0005;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut unit = BitUnit::default();
        for round in 0..2000 {
            for width in WIDTHS {
                let a = random.operand();
                let b = (random.operand() >> (round % 32)) << (random.bits64() % 32);
                let source = truncate(b, width);
                let expected = match source {
                    0 => (a, a, true),
                    _ => (source.trailing_zeros(), 31 - source.leading_zeros(), false),
                };
                let forward = result(&mut unit, ExecuteOp::Bsf, width, a, b);
                let backward = result(&mut unit, ExecuteOp::Bsr, width, a, b);
                assert_eq!(
                    (forward, backward, unit.found_nothing.val()),
                    expected,
                    "{width:?} a={a:#x} b={b:#x}"
                );
            }
        }
    }

    #[test]
    fn extensions_and_rearrangements_move_their_bits() {
        const SEED: u64 = 0x5EED_0006;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut unit = BitUnit::default();
        for _ in 0..500 {
            let (a, b) = (random.operand(), random.operand());
            for (op, expected) in [
                (ExecuteOp::Bswap, a.swap_bytes()),
                (ExecuteOp::ZeroExtendByte, u32::from(b as u8)),
                (ExecuteOp::ZeroExtendWord, u32::from(b as u16)),
                (ExecuteOp::SignExtendByte, b as i8 as u32),
                (ExecuteOp::SignExtendWord, b as i16 as u32),
                (ExecuteOp::PackWords, a << 16 | b & 0xFFFF),
                (ExecuteOp::HighWord, b >> 16),
            ] {
                let outcome = result(&mut unit, op, Width::Dword, a, b);
                assert_eq!(outcome, expected, "{op:?} a={a:#x} b={b:#x}");
            }
            for width in WIDTHS {
                let filled = truncate((sign_extend(a, width) >> 31) as u32, width);
                let outcome = result(&mut unit, ExecuteOp::SignFill, width, a, b);
                assert_eq!(truncate(outcome, width), filled, "{width:?} a={a:#x}");
            }
        }
    }

    #[test]
    fn the_offset_in_a_bit_string_is_signed() {
        const SEED: u64 = 0x5EED_0007;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut unit = BitUnit::default();
        for _ in 0..1000 {
            let a = random.operand();
            let dword = result(&mut unit, ExecuteOp::BitOffset, Width::Dword, a, 0);
            assert_eq!(dword as i32, (a as i32 >> 5) * 4, "a={a:#x}");
            let word = result(&mut unit, ExecuteOp::BitOffset, Width::Word, a, 0);
            assert_eq!(word as i32, (i32::from(a as i16) >> 4) * 2, "a={a:#x}");
        }
    }

    #[test]
    fn lahf_and_setcc_read_the_flags() {
        let mut unit = BitUnit::default();
        for eflags in 0..0x100_u32 {
            unit.eflags.next = u64::from(eflags).into();
            let outcome = result(&mut unit, ExecuteOp::Lahf, Width::Byte, 0, 0);
            assert_eq!(outcome, eflags & 0xD5 | 2, "EFLAGS {eflags:#x}");
        }
        for holds in [false, true] {
            unit.condition_holds.next = holds;
            let outcome = result(&mut unit, ExecuteOp::SetCondition, Width::Byte, !0, !0);
            assert_eq!(outcome, u32::from(holds));
        }
    }
}
