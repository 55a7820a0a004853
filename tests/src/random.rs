//! Repeatable random numbers.

/// SplitMix64: small, and good enough for test vectors.
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`, which is printed, so that the output of a failed test names it.
    pub fn new(seed: u64) -> Random {
        println!("seed {seed:#x}");
        Random(seed)
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// `width` bits (at most 64): one time in four all zeros, all ones, or close to either end.
    pub fn bits(&mut self, width: u32) -> u64 {
        let ones = u64::MAX >> (64 - width);
        let small = self.next() % 3;
        let value = match self.next() % 16 {
            0 => 0,
            1 => u64::MAX,
            2 => small,
            3 => u64::MAX - small,
            _ => self.next(),
        };
        value & ones
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True one time in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
