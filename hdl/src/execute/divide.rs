//! The divider.
use crate::prelude::*;

/// One digit of a quotient to base 4: how often the divisor fits, by three subtractions beside each other.
#[derive(LogicBlock, Default)]
pub struct DivideStep {
    /// Less than the divisor, or the digit and the rest behind it mean nothing.
    pub rest: Signal<In, Bits<32>>,
    /// The next bits of the dividend.
    pub bits: Signal<In, Bits<2>>,
    pub divisor: Signal<In, Bits<32>>,
    /// Three times the divisor.
    pub triple: Signal<In, Bits<34>>,
    pub digit: Signal<Out, Bits<2>>,
    /// What is left of the rest and these bits.
    pub rest_behind: Signal<Out, Bits<32>>,
    // wires
    minuend: Signal<Local, Bits<35>>,
    once: Signal<Local, Bits<35>>,
    twice: Signal<Local, Bits<35>>,
    thrice: Signal<Local, Bits<35>>,
}

impl Logic for DivideStep {
    #[hdl_gen]
    fn update(&mut self) {
        self.minuend.next =
            (bit_cast::<35, 32>(self.rest.val()) << 2) | bit_cast::<35, 2>(self.bits.val());
        self.once.next = self.minuend.val() - bit_cast::<35, 32>(self.divisor.val());
        self.twice.next = self.minuend.val() - (bit_cast::<35, 32>(self.divisor.val()) << 1);
        self.thrice.next = self.minuend.val() - bit_cast::<35, 34>(self.triple.val());
        self.digit.next = 3.into();
        self.rest_behind.next = self.thrice.val().get_bits::<32>(0);
        if self.once.val().get_bit(34) {
            self.digit.next = 0.into();
            self.rest_behind.next = self.minuend.val().get_bits::<32>(0);
        } else if self.twice.val().get_bit(34) {
            self.digit.next = 1.into();
            self.rest_behind.next = self.once.val().get_bits::<32>(0);
        } else if self.thrice.val().get_bit(34) {
            self.digit.next = 2.into();
            self.rest_behind.next = self.twice.val().get_bits::<32>(0);
        }
    }
}

/// Divides a number of twice the width by one of the width, four bits of the quotient a clock.
///
/// A division takes 3 clocks and a quarter as many as the quotient has bits: 5, 7 or 11. One that overflows says so in the
/// third clock, unless only its sign makes it too large.
///
/// ```text
///             ___     ___     ___         ___     ___
/// clock   ___|   |___|   |___|   |__ ... |   |___|   |___
///            .____________________   ...  _______.
/// start   ___|                                   |_______   until advance
///            | load  | triple| step      | ready |
///                                         .______.
/// ready   _______________________   ... __|      |_______   the results are valid
/// ```
#[derive(LogicBlock, Default)]
pub struct Divider {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A division is in execute, and will not be dropped at the end of this clock.
    pub start: Signal<In, Bit>,
    /// It leaves execute at the end of this clock, if it is `ready`.
    pub advance: Signal<In, Bit>,
    pub is_signed: Signal<In, Bit>,
    pub width: Signal<In, Width>,
    /// Low half of the dividend; for bytes all of it, in bits 15:0.
    pub low: Signal<In, Bits<32>>,
    /// High half of the dividend, not for bytes.
    pub high: Signal<In, Bits<32>>,
    pub divisor: Signal<In, Bits<32>>,
    pub ready: Signal<Out, Bit>,
    /// With `ready`: the divisor is zero, or the quotient does not fit in the width.
    pub error: Signal<Out, Bit>,
    /// The quotient, rounded toward zero; bits beyond the width are not cleared.
    pub quotient: Signal<Out, Bits<32>>,
    /// The remainder, of the dividend's sign; bits beyond the width are not cleared.
    pub remainder: Signal<Out, Bits<32>>,
    // state
    busy_reg: DFF<Bit>,
    /// Clocks of four bits that are still to come.
    steps_left_reg: DFF<Bits<4>>,
    /// What is left of the dividend; less than the divisor, or the quotient does not fit.
    rest_reg: DFF<Bits<32>>,
    /// The dividend's bits that are still to come, at the top, and the quotient's that are known, at the bottom.
    bits_reg: DFF<Bits<32>>,
    divisor_reg: DFF<Bits<32>>,
    /// Three times the divisor is known, and this is it.
    tripled_reg: DFF<Bit>,
    triple_reg: DFF<Bits<34>>,
    negate_quotient_reg: DFF<Bit>,
    negate_remainder_reg: DFF<Bit>,
    overflow_reg: DFF<Bit>,
    // wires
    finished: Signal<Local, Bit>,
    dividend_sign: Signal<Local, Bit>,
    divisor_sign: Signal<Local, Bit>,
    dividend: Signal<Local, Bits<64>>,
    dividend_magnitude: Signal<Local, Bits<64>>,
    wide_divisor: Signal<Local, Bits<32>>,
    divisor_magnitude: Signal<Local, Bits<32>>,
    steps: Signal<Local, Bits<4>>,
    first: DivideStep,
    second: DivideStep,
    quotient_top: Signal<Local, Bit>,
    quotient_is_more_than_top: Signal<Local, Bit>,
}

impl Logic for Divider {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            busy_reg,
            steps_left_reg,
            rest_reg,
            bits_reg,
            divisor_reg,
            tripled_reg,
            triple_reg,
            negate_quotient_reg,
            negate_remainder_reg,
            overflow_reg
        );

        // The dividend's high half at bit 32, its low half below, and zeros below that.
        match self.width.val() {
            Width::Byte => {
                self.dividend_sign.next = self.is_signed.val() & self.low.val().get_bit(15);
                self.divisor_sign.next = self.is_signed.val() & self.divisor.val().get_bit(7);
                self.dividend.next = bit_cast::<64, 16>(self.low.val().get_bits::<16>(0)) << 24;
                if self.dividend_sign.val() {
                    self.dividend.next = (bit_cast::<64, 16>(self.low.val().get_bits::<16>(0))
                        << 24)
                        | 0xFFFF_FF00_0000_0000_u64;
                }
                self.wide_divisor.next = self.divisor.val() & 0xFF;
                if self.divisor_sign.val() {
                    self.wide_divisor.next = self.divisor.val() | 0xFFFF_FF00_u64;
                }
                self.steps.next = 2.into();
            }
            Width::Word => {
                self.dividend_sign.next = self.is_signed.val() & self.high.val().get_bit(15);
                self.divisor_sign.next = self.is_signed.val() & self.divisor.val().get_bit(15);
                self.dividend.next = (bit_cast::<64, 16>(self.high.val().get_bits::<16>(0)) << 32)
                    | (bit_cast::<64, 16>(self.low.val().get_bits::<16>(0)) << 16);
                if self.dividend_sign.val() {
                    self.dividend.next = (bit_cast::<64, 16>(self.high.val().get_bits::<16>(0))
                        << 32)
                        | (bit_cast::<64, 16>(self.low.val().get_bits::<16>(0)) << 16)
                        | 0xFFFF_0000_0000_0000_u64;
                }
                self.wide_divisor.next = self.divisor.val() & 0xFFFF;
                if self.divisor_sign.val() {
                    self.wide_divisor.next = self.divisor.val() | 0xFFFF_0000_u64;
                }
                self.steps.next = 4.into();
            }
            _ => {
                self.dividend_sign.next = self.is_signed.val() & self.high.val().get_bit(31);
                self.divisor_sign.next = self.is_signed.val() & self.divisor.val().get_bit(31);
                self.dividend.next = (bit_cast::<64, 32>(self.high.val()) << 32)
                    | bit_cast::<64, 32>(self.low.val());
                self.wide_divisor.next = self.divisor.val();
                self.steps.next = 8.into();
            }
        }
        self.dividend_magnitude.next = self.dividend.val();
        if self.dividend_sign.val() {
            self.dividend_magnitude.next = bits::<64>(0) - self.dividend.val();
        }
        self.divisor_magnitude.next = self.wide_divisor.val();
        if self.divisor_sign.val() {
            self.divisor_magnitude.next = bits::<32>(0) - self.wide_divisor.val();
        }

        // Two digits of two bits a clock, each from the rest that the one before leaves.
        self.first.rest.next = self.rest_reg.q.val();
        self.first.bits.next = self.bits_reg.q.val().get_bits::<2>(30);
        self.first.divisor.next = self.divisor_reg.q.val();
        self.first.triple.next = self.triple_reg.q.val();
        self.second.rest.next = self.first.rest_behind.val();
        self.second.bits.next = self.bits_reg.q.val().get_bits::<2>(28);
        self.second.divisor.next = self.divisor_reg.q.val();
        self.second.triple.next = self.triple_reg.q.val();

        self.finished.next = self.busy_reg.q.val()
            & self.tripled_reg.q.val()
            & (!self.steps_left_reg.q.val().any() | self.overflow_reg.q.val());
        if !self.busy_reg.q.val() {
            self.steps_left_reg.d.next = self.steps.val();
            self.rest_reg.d.next = self.dividend_magnitude.val().get_bits::<32>(32);
            self.bits_reg.d.next = self.dividend_magnitude.val().get_bits::<32>(0);
            self.divisor_reg.d.next = self.divisor_magnitude.val();
            self.negate_quotient_reg.d.next = self.dividend_sign.val() ^ self.divisor_sign.val();
            self.negate_remainder_reg.d.next = self.dividend_sign.val();
            self.tripled_reg.d.next = false;
            self.overflow_reg.d.next = false;
        } else if !self.tripled_reg.q.val() {
            self.tripled_reg.d.next = true;
            self.triple_reg.d.next = bit_cast::<34, 32>(self.divisor_reg.q.val())
                + (bit_cast::<34, 32>(self.divisor_reg.q.val()) << 1);
            // Can only be so before the first step. A divisor of zero is no special case.
            self.overflow_reg.d.next = self.rest_reg.q.val() >= self.divisor_reg.q.val();
        } else if !self.finished.val() {
            self.steps_left_reg.d.next = self.steps_left_reg.q.val() - 1;
            self.rest_reg.d.next = self.second.rest_behind.val();
            self.bits_reg.d.next = (self.bits_reg.q.val() << 4)
                | (bit_cast::<32, 2>(self.first.digit.val()) << 2)
                | bit_cast::<32, 2>(self.second.digit.val());
        }
        self.busy_reg.d.next =
            self.start.val() & !(self.finished.val() & self.advance.val()) & !self.reset.val();

        self.ready.next = self.finished.val();
        self.quotient.next = self.bits_reg.q.val();
        if self.negate_quotient_reg.q.val() {
            self.quotient.next = bits::<32>(0) - self.bits_reg.q.val();
        }
        self.remainder.next = self.rest_reg.q.val();
        if self.negate_remainder_reg.q.val() {
            self.remainder.next = bits::<32>(0) - self.rest_reg.q.val();
        }

        // A magnitude with its top bit set only fits if it is the most negative number.
        match self.width.val() {
            Width::Byte => {
                self.quotient_top.next = self.bits_reg.q.val().get_bit(7);
                self.quotient_is_more_than_top.next = self.bits_reg.q.val().get_bits::<7>(0).any();
            }
            Width::Word => {
                self.quotient_top.next = self.bits_reg.q.val().get_bit(15);
                self.quotient_is_more_than_top.next = self.bits_reg.q.val().get_bits::<15>(0).any();
            }
            _ => {
                self.quotient_top.next = self.bits_reg.q.val().get_bit(31);
                self.quotient_is_more_than_top.next = self.bits_reg.q.val().get_bits::<31>(0).any();
            }
        }
        self.error.next = self.overflow_reg.q.val()
            | (self.is_signed.val()
                & self.quotient_top.val()
                & (self.quotient_is_more_than_top.val() | !self.negate_quotient_reg.q.val()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::testing::{Random, WIDTHS, settle, sign_extend, truncate, width_bits};

    fn clock_edge(divider: &mut Divider) {
        for level in [true, false] {
            divider.clock.next = Clock { clk: level };
            settle(divider);
        }
    }

    /// The dividend, as the operands hold it.
    fn dividend(is_signed: bool, width: Width, low: u32, high: u32) -> i128 {
        let bits = width_bits(width);
        let unsigned = match width {
            Width::Byte => u64::from(low & 0xFFFF),
            _ => u64::from(truncate(high, width)) << bits | u64::from(truncate(low, width)),
        };
        let unused = 64 - 2 * bits;
        match is_signed {
            true => i128::from(((unsigned << unused) as i64) >> unused),
            false => i128::from(unsigned),
        }
    }

    /// Quotient and remainder, or `None` for #DE.
    fn expected(
        is_signed: bool,
        width: Width,
        (low, high, divisor): (u32, u32, u32),
    ) -> Option<(u32, u32)> {
        let dividend = dividend(is_signed, width, low, high);
        let divisor = match is_signed {
            true => i128::from(sign_extend(divisor, width)),
            false => i128::from(truncate(divisor, width)),
        };
        let quotient = dividend.checked_div(divisor)?;
        let half = 1_i128 << (width_bits(width) - 1);
        let fits = match is_signed {
            true => -half <= quotient && quotient < half,
            false => quotient < 2 * half,
        };
        let remainder = dividend % divisor;
        fits.then_some((
            truncate(quotient as u32, width),
            truncate(remainder as u32, width),
        ))
    }

    /// What the block answers, and the clocks it takes.
    fn divide(
        divider: &mut Divider,
        is_signed: bool,
        width: Width,
        (low, high, divisor): (u32, u32, u32),
    ) -> (Option<(u32, u32)>, u32) {
        divider.start.next = true;
        divider.advance.next = true;
        divider.is_signed.next = is_signed;
        divider.width.next = width;
        divider.low.next = u64::from(low).into();
        divider.high.next = u64::from(high).into();
        divider.divisor.next = u64::from(divisor).into();
        settle(divider);
        let mut clocks = 1;
        while !divider.ready.val() {
            assert!(clocks < 20, "the division does not end");
            clock_edge(divider);
            clocks += 1;
        }
        let results = (!divider.error.val()).then(|| {
            (
                truncate(divider.quotient.val().to_u32(), width),
                truncate(divider.remainder.val().to_u32(), width),
            )
        });
        clock_edge(divider);
        (results, clocks)
    }

    fn check(divider: &mut Divider, is_signed: bool, width: Width, operands: (u32, u32, u32)) {
        let (results, clocks) = divide(divider, is_signed, width, operands);
        let case = format!("signed={is_signed} {width:?} {operands:#x?}");
        assert_eq!(results, expected(is_signed, width, operands), "{case}");
        if results.is_some() {
            assert_eq!(clocks, 3 + width_bits(width) / 4, "clocks of {case}");
        }
    }

    #[test]
    fn random_divisions_of_every_width_and_sign_are_exact_or_raise_de() {
        const SEED: u64 = 0x5EED_0009;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut divider = Divider::default();
        for round in 0..400 {
            for width in WIDTHS {
                for is_signed in [false, true] {
                    let (mut low, mut high) = (random.operand(), random.operand());
                    let divisor = random.operand();
                    // Most quotients of random operands do not fit.
                    match round % 4 {
                        0 => {}
                        1 => high = (random.bits64() % 3) as u32,
                        2 => high = !0,
                        _ => high = truncate(divisor, width) / 2,
                    }
                    if width == Width::Byte && round % 4 != 0 {
                        low = low & 0xFF | high << 8;
                    }
                    check(&mut divider, is_signed, width, (low, high, divisor));
                }
            }
        }
    }

    #[test]
    fn quotients_at_the_border_of_what_fits_are_told_apart() {
        let mut divider = Divider::default();
        for width in WIDTHS {
            let bits = width_bits(width);
            let half = 1_i128 << (bits - 1);
            for is_signed in [false, true] {
                for divisor in [1, 2, 7, half - 1, -1, -3, -half] {
                    for quotient in [half - 1, half, half + 1, 2 * half - 1, 2 * half] {
                        for sign in [1, -1] {
                            for rest in [0, divisor.abs() - 1] {
                                let dividend = sign * (quotient * divisor.abs() + rest);
                                let low = match width {
                                    Width::Byte => dividend as u32 & 0xFFFF,
                                    _ => truncate(dividend as u32, width),
                                };
                                let high = truncate((dividend >> bits) as u32, width);
                                let divisor = truncate(divisor as u32, width);
                                check(&mut divider, is_signed, width, (low, high, divisor));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn division_by_zero_raises_de_in_the_third_clock() {
        let mut divider = Divider::default();
        for width in WIDTHS {
            for is_signed in [false, true] {
                for low in [0, 1, !0] {
                    let outcome = divide(&mut divider, is_signed, width, (low, 0, 0));
                    assert_eq!(outcome, (None, 3), "signed={is_signed} {width:?}");
                }
            }
        }
    }

    #[test]
    fn a_dropped_division_leaves_nothing_behind() {
        let mut divider = Divider::default();
        for clocks in 0..11 {
            divider.start.next = true;
            divider.advance.next = false;
            divider.width.next = Width::Dword;
            divider.low.next = 1_000_000.into();
            divider.divisor.next = 3.into();
            settle(&mut divider);
            for _ in 0..clocks {
                clock_edge(&mut divider);
            }
            divider.start.next = false;
            settle(&mut divider);
            clock_edge(&mut divider);
            check(&mut divider, true, Width::Word, (100, 0, 7));
        }
    }

    #[test]
    fn a_quotient_waits_until_the_pipeline_advances() {
        let mut divider = Divider::default();
        divider.start.next = true;
        divider.width.next = Width::Dword;
        divider.low.next = 100.into();
        divider.divisor.next = 7.into();
        settle(&mut divider);
        for _ in 0..10 {
            assert!(!divider.ready.val());
            clock_edge(&mut divider);
        }
        for _ in 0..3 {
            assert!(divider.ready.val());
            assert_eq!(divider.quotient.val(), 14);
            assert_eq!(divider.remainder.val(), 2);
            clock_edge(&mut divider);
        }
        divider.advance.next = true;
        settle(&mut divider);
        clock_edge(&mut divider);
        assert!(!divider.ready.val());
    }
}
