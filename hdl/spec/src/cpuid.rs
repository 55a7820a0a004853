//! What CPUID says (SDM Vol. 2A, "CPUID").

/// EAX, EBX, ECX, EDX of one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// EAX before.
    pub number: u32,
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// Twelve characters, in EBX, EDX, ECX.
pub const VENDOR: &[u8; 12] = b"SysGate IA32";

pub const FAMILY: u32 = 6;
/// SEP means SYSENTER only from model 3, stepping 3 on: the first of family 6 said SEP and had none.
pub const MODEL: u32 = 3;
pub const STEPPING: u32 = 3;
/// EAX of leaf 1, and EDX after reset.
pub const SIGNATURE: u32 = FAMILY << 8 | MODEL << 4 | STEPPING;

/// One bit of EDX of leaf 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    pub bit: u8,
    /// The manual's abbreviation, lower case.
    pub name: &'static str,
    pub present: bool,
}

/// The features that the instruction set of these tables could have; exactly those built are present.
#[rustfmt::skip]
pub const FEATURES: &[Feature] = &[
    feature( 0, "fpu",  false),
    feature( 1, "vme",  false),
    feature( 2, "de",   true),
    feature( 3, "pse",  true),
    feature( 4, "tsc",  true),
    feature( 5, "msr",  true),
    feature( 6, "pae",  false),
    feature( 7, "mce",  false),
    feature( 8, "cx8",  true),
    feature( 9, "apic", false),
    feature(11, "sep",  true),
    feature(12, "mtrr", false),
    feature(13, "pge",  true),
    feature(14, "mca",  false),
    feature(15, "cmov", true),
    feature(23, "mmx",  false),
    feature(24, "fxsr", false),
    feature(25, "sse",  false),
];

const fn feature(bit: u8, name: &'static str, present: bool) -> Feature {
    Feature { bit, name, present }
}

/// EDX of leaf 1.
pub const FEATURE_BITS: u32 = {
    let mut bits = 0;
    let mut i = 0;
    while i < FEATURES.len() {
        bits |= (FEATURES[i].present as u32) << FEATURES[i].bit;
        i += 1;
    }
    bits
};

/// All leaves; a higher number gives the last one, as on family 6.
pub const LEAVES: &[Leaf] = &[
    Leaf {
        number: 0,
        eax: 1,
        ebx: vendor_word(0),
        edx: vendor_word(4),
        ecx: vendor_word(8),
    },
    Leaf {
        number: 1,
        eax: SIGNATURE,
        ebx: 0,
        ecx: 0,
        edx: FEATURE_BITS,
    },
];

const fn vendor_word(at: usize) -> u32 {
    u32::from_le_bytes([VENDOR[at], VENDOR[at + 1], VENDOR[at + 2], VENDOR[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_follows_the_manual_finds_sysenter() {
        let sep = FEATURE_BITS & 1 << 11 != 0;
        let has_none = FAMILY == 6 && MODEL < 3 && STEPPING < 3;
        assert!(sep && !has_none);
    }

    #[test]
    fn the_vendor_reads_in_the_order_ebx_edx_ecx() {
        let Leaf { ebx, ecx, edx, .. } = LEAVES[0];
        assert_eq!([ebx, edx, ecx].map(u32::to_le_bytes).concat(), VENDOR);
    }

    #[test]
    fn leaves_are_numbered_without_a_gap() {
        for (number, leaf) in (0..).zip(LEAVES) {
            assert_eq!(leaf.number, number);
        }
        assert_eq!(LEAVES[0].eax as usize, LEAVES.len() - 1);
    }
}
