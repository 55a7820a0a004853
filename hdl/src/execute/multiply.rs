//! The multiplier.
use crate::prelude::*;

/// The 64-bit product of two 32-bit factors that are both signed or both unsigned, one clock later.
///
/// It is written in Verilog so that synthesis maps it to multiplier blocks, which take 18 bits of either factor.
#[derive(LogicBlock, Default)]
pub struct ProductRegister {
    pub clock: Signal<In, Clock>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub is_signed: Signal<In, Bit>,
    /// The product of what `a` and `b` were before the last clock edge.
    pub product: Signal<Out, Bits<64>>,
}

impl Logic for ProductRegister {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let (a, b) = (self.a.val().to_u32(), self.b.val().to_u32());
            let product = if self.is_signed.val() {
                (i64::from(a as i32) * i64::from(b as i32)) as u64
            } else {
                u64::from(a) * u64::from(b)
            };
            self.product.next = product.into();
        }
    }

    fn connect(&mut self) {
        self.product.connect();
    }

    fn hdl(&self) -> Verilog {
        // 33 signed bits hold both kinds of factor.
        Verilog::Custom(
            "\
wire signed [32:0] wide_a = {is_signed & a[31], a};
wire signed [32:0] wide_b = {is_signed & b[31], b};
/* verilator lint_off UNUSEDSIGNAL */
wire signed [65:0] wide_product = wide_a * wide_b;
/* verilator lint_on UNUSEDSIGNAL */
initial product = 64'h0;
always @(posedge clock) product <= wide_product[63:0];
"
            .into(),
        )
    }
}

/// Multiplies two numbers of the width in two clocks: `ready` in the second.
///
/// ```text
///             ___     ___     ___
/// clock   ___|   |___|   |___|   |___
///            ._______________.
/// start   ___|               |_______   until advance
///                    ._______.
/// ready   ___________|       |_______   the result is valid
/// ```
#[derive(LogicBlock, Default)]
pub struct Multiplier {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A multiplication is in execute, and will not be dropped at the end of this clock.
    pub start: Signal<In, Bit>,
    /// It leaves execute at the end of this clock, if it is `ready`.
    pub advance: Signal<In, Bit>,
    pub is_signed: Signal<In, Bit>,
    pub width: Signal<In, Width>,
    /// Factors; bits beyond the width are ignored.
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub ready: Signal<Out, Bit>,
    /// The product; bits beyond its low half (beyond all 16 of a product of bytes) are not cleared.
    pub low: Signal<Out, Bits<32>>,
    /// The product from its high half (for bytes, bit 8) on; bits beyond the width are not cleared.
    pub high: Signal<Out, Bits<32>>,
    /// The high half says more than the low half: it is not zero, or if signed not the sign extension of the low one.
    pub overflow: Signal<Out, Bit>,
    // state
    ready_reg: DFF<Bit>,
    // units
    product_register: ProductRegister,
    // wires
    product: Signal<Local, Bits<64>>,
    low_sign: Signal<Local, Bit>,
    excess: Signal<Local, Bits<56>>,
}

impl Logic for Multiplier {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, ready_reg);
        clock!(self, clock, product_register);
        self.ready_reg.d.next =
            self.start.val() & !(self.ready_reg.q.val() & self.advance.val()) & !self.reset.val();
        self.ready.next = self.ready_reg.q.val();

        self.product_register.is_signed.next = self.is_signed.val();
        self.product_register.a.next = self.a.val();
        self.product_register.b.next = self.b.val();
        match self.width.val() {
            Width::Byte => {
                self.product_register.a.next = self.a.val() & 0xFF;
                self.product_register.b.next = self.b.val() & 0xFF;
                if self.is_signed.val() & self.a.val().get_bit(7) {
                    self.product_register.a.next = self.a.val() | 0xFFFF_FF00_u64;
                }
                if self.is_signed.val() & self.b.val().get_bit(7) {
                    self.product_register.b.next = self.b.val() | 0xFFFF_FF00_u64;
                }
            }
            Width::Word => {
                self.product_register.a.next = self.a.val() & 0xFFFF;
                self.product_register.b.next = self.b.val() & 0xFFFF;
                if self.is_signed.val() & self.a.val().get_bit(15) {
                    self.product_register.a.next = self.a.val() | 0xFFFF_0000_u64;
                }
                if self.is_signed.val() & self.b.val().get_bit(15) {
                    self.product_register.b.next = self.b.val() | 0xFFFF_0000_u64;
                }
            }
            _ => {}
        }

        self.product.next = self.product_register.product.val();
        self.low.next = self.product.val().get_bits::<32>(0);
        match self.width.val() {
            Width::Byte => {
                self.high.next = self.product.val().get_bits::<32>(8);
                self.low_sign.next = self.product.val().get_bit(7);
            }
            Width::Word => {
                self.high.next = self.product.val().get_bits::<32>(16);
                self.low_sign.next = self.product.val().get_bit(15);
            }
            _ => {
                self.high.next = self.product.val().get_bits::<32>(32);
                self.low_sign.next = self.product.val().get_bit(31);
            }
        }
        // A product of short factors is exact in all 64 bits, so that these may be looked at for every width.
        self.excess.next = self.product.val().get_bits::<56>(8);
        if self.is_signed.val() & self.low_sign.val() {
            self.excess.next = !self.product.val().get_bits::<56>(8);
        }
        match self.width.val() {
            Width::Byte => self.overflow.next = self.excess.val().any(),
            Width::Word => self.overflow.next = self.excess.val().get_bits::<48>(8).any(),
            _ => self.overflow.next = self.excess.val().get_bits::<32>(24).any(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::testing::{Random, WIDTHS, settle, sign_extend, truncate, width_bits};

    fn clock_edge(multiplier: &mut Multiplier) {
        for level in [true, false] {
            multiplier.clock.next = Clock { clk: level };
            settle(multiplier);
        }
    }

    /// Low half (all of a product of bytes), high half, overflow.
    fn expected(is_signed: bool, width: Width, a: u32, b: u32) -> (u32, u32, bool) {
        let number = |operand| match is_signed {
            true => i128::from(sign_extend(operand, width)),
            false => i128::from(truncate(operand, width)),
        };
        let product = number(a) * number(b);
        let bits = width_bits(width);
        let (smallest, largest) = match is_signed {
            true => (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1),
            false => (0, (1_i128 << bits) - 1),
        };
        let low = match width {
            Width::Byte => product as u32 & 0xFFFF,
            _ => truncate(product as u32, width),
        };
        let high = truncate((product >> bits) as u32, width);
        (low, high, product < smallest || product > largest)
    }

    fn check(multiplier: &mut Multiplier, is_signed: bool, width: Width, a: u32, b: u32) {
        multiplier.start.next = true;
        multiplier.advance.next = true;
        multiplier.is_signed.next = is_signed;
        multiplier.width.next = width;
        multiplier.a.next = u64::from(a).into();
        multiplier.b.next = u64::from(b).into();
        settle(multiplier);
        assert!(!multiplier.ready.val(), "ready in the first clock");
        clock_edge(multiplier);
        assert!(multiplier.ready.val(), "not ready in the second clock");
        let outcome = (
            match width {
                Width::Byte => multiplier.low.val().to_u32() & 0xFFFF,
                _ => truncate(multiplier.low.val().to_u32(), width),
            },
            truncate(multiplier.high.val().to_u32(), width),
            multiplier.overflow.val(),
        );
        assert_eq!(
            outcome,
            expected(is_signed, width, a, b),
            "signed={is_signed} {width:?} a={a:#x} b={b:#x}"
        );
        clock_edge(multiplier);
    }

    #[test]
    fn products_of_every_width_and_sign_are_exact_in_the_second_clock() {
        const SEED: u64 = 0x5EED_0008;
        println!("seed {SEED:#x}");
        let mut random = Random::new(SEED);
        let mut multiplier = Multiplier::default();
        for _ in 0..1000 {
            for width in WIDTHS {
                for is_signed in [false, true] {
                    let (a, b) = (random.operand(), random.operand());
                    check(&mut multiplier, is_signed, width, a, b);
                }
            }
        }
    }

    #[test]
    fn a_product_waits_until_the_pipeline_advances() {
        let mut multiplier = Multiplier::default();
        multiplier.start.next = true;
        multiplier.width.next = Width::Dword;
        multiplier.a.next = 6.into();
        multiplier.b.next = 7.into();
        for _ in 0..5 {
            clock_edge(&mut multiplier);
            assert!(multiplier.ready.val());
            assert_eq!(multiplier.low.val(), 42);
        }
        multiplier.advance.next = true;
        settle(&mut multiplier);
        clock_edge(&mut multiplier);
        assert!(!multiplier.ready.val());
    }
}
