//! What the tests of this folder share: settling a block, clocking it, and random numbers that can be repeated.
use crate::prelude::*;

/// Lets the block's signals settle after its inputs changed.
pub fn settle(block: &mut impl Block) {
    assert!(simulate(block, 50), "the block does not settle");
}

/// Pseudo-random numbers (xorshift64*); the same seed gives the same numbers.
pub struct Random(u64);

impl Random {
    /// Starts from `seed`, which the caller prints in its failure messages.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// 64 random bits.
    pub fn bits64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// An operand of which every second one is near a border where carries and signs change.
    pub fn operand(&mut self) -> u32 {
        const BORDERS: [u32; 8] = [0, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x8000_0000];
        let number = self.bits64();
        if number & 1 == 0 {
            (number >> 32) as u32
        } else {
            BORDERS[(number >> 8) as usize % BORDERS.len()]
                .wrapping_add((number >> 16) as u32 % 5)
                .wrapping_sub(2)
        }
    }
}

/// Bits of an operand of the width.
pub fn width_bits(width: Width) -> u32 {
    match width {
        Width::Byte => 8,
        Width::Word => 16,
        Width::Dword | Width::Quad => 32,
    }
}

/// The value with the bits beyond the width cleared.
pub fn truncate(value: u32, width: Width) -> u32 {
    value & (u32::MAX >> (32 - width_bits(width)))
}

/// The value sign-extended from the width.
pub fn sign_extend(value: u32, width: Width) -> i32 {
    let unused = 32 - width_bits(width);
    ((value << unused) as i32) >> unused
}

/// The widths an arithmetic micro-op has.
pub const WIDTHS: [Width; 3] = [Width::Byte, Width::Word, Width::Dword];
