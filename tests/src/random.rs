//! Repeatable random values for signals.
use rust_hdl_core::prelude::{Bits, Synth, TypeKind};

/// SplitMix64: small, and good enough for test vectors.
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`, which is printed, so that the output of a failed test names it.
    pub fn new(seed: u64) -> Random {
        println!("seed {seed:#x}");
        Random(seed)
    }

    /// The sequence of a seed that has been printed already.
    pub fn silent(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// `width` bits (at most 64): one time in four all zeros, all ones, or close to either end.
    pub fn bits(&mut self, width: u32) -> u64 {
        let ones = u64::MAX >> (64 - width);
        let small = self.word() % 3;
        let value = match self.word() % 16 {
            0 => 0,
            1 => u64::MAX,
            2 => small,
            3 => u64::MAX - small,
            _ => self.word(),
        };
        value & ones
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    /// One of `variants`, which must be all of an enum's.
    pub fn variant<T: Synth>(&mut self, variants: &[T]) -> T {
        match T::descriptor().kind {
            TypeKind::Enum(all) => assert_eq!(
                variants.len(),
                all.len(),
                "all variants of {}",
                T::descriptor().name
            ),
            other => panic!("{other:?} is no enum"),
        }
        variants[self.below(variants.len() as u64) as usize]
    }

    /// True one time in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A type of signal that random values can be made of.
pub trait Draw {
    /// The next random value.
    fn draw(random: &mut Random) -> Self;
}

impl Draw for bool {
    fn draw(random: &mut Random) -> bool {
        random.one_in(2)
    }
}

impl<const N: usize> Draw for Bits<N> {
    fn draw(random: &mut Random) -> Bits<N> {
        let first = random.bits(N.min(32) as u32);
        let mut value: Bits<N> = first.into();
        for _ in 1..N.div_ceil(32) {
            let more: Bits<N> = random.bits(32).into();
            value = (value << 32u64) | more;
        }
        value
    }
}

/// Sets inputs of a block to random values: `draw_inputs!(top, random, address, data)`.
#[macro_export]
macro_rules! draw_inputs {
    ($top:ident, $random:expr, $($port:ident),* $(,)?) => {
        $($top.$port.next = $crate::random::Draw::draw(&mut $random);)*
    };
}
