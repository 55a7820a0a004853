//! EFLAGS (SDM Vol. 1, "EFLAGS Register").

/// One flag or field of EFLAGS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The manual's abbreviation, lower case.
    pub name: &'static str,
    /// Lowest bit.
    pub bit: u8,
    /// Width in bits: 1, but 2 for IOPL.
    pub width: u8,
    pub kind: FlagKind,
}

/// What a flag is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagKind {
    /// Result of arithmetic.
    Status,
    /// Direction of string instructions.
    Control,
    /// Control of the system.
    System,
}

pub const CF: u32 = 1 << 0;
pub const PF: u32 = 1 << 2;
pub const AF: u32 = 1 << 4;
pub const ZF: u32 = 1 << 6;
pub const SF: u32 = 1 << 7;
pub const TF: u32 = 1 << 8;
pub const IF: u32 = 1 << 9;
pub const DF: u32 = 1 << 10;
pub const OF: u32 = 1 << 11;
/// Bits 13:12.
pub const IOPL: u32 = 3 << 12;
pub const NT: u32 = 1 << 14;
pub const RF: u32 = 1 << 16;
pub const VM: u32 = 1 << 17;
pub const AC: u32 = 1 << 18;
pub const VIF: u32 = 1 << 19;
pub const VIP: u32 = 1 << 20;
/// Software may change it: CPUID exists.
pub const ID: u32 = 1 << 21;

/// Reads as one; all other bits without a name read as zero.
pub const ALWAYS_ONE: u32 = 1 << 1;
/// The six flags of arithmetic.
pub const STATUS: u32 = CF | PF | AF | ZF | SF | OF;
/// All bits with a name.
pub const DEFINED: u32 = STATUS | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID;
/// EFLAGS after reset.
pub const RESET: u32 = ALWAYS_ONE;

/// All flags, lowest bit first.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    flag("cf",   0, FlagKind::Status),
    flag("pf",   2, FlagKind::Status),
    flag("af",   4, FlagKind::Status),
    flag("zf",   6, FlagKind::Status),
    flag("sf",   7, FlagKind::Status),
    flag("tf",   8, FlagKind::System),
    flag("if",   9, FlagKind::System),
    flag("df",  10, FlagKind::Control),
    flag("of",  11, FlagKind::Status),
    Flag { name: "iopl", bit: 12, width: 2, kind: FlagKind::System },
    flag("nt",  14, FlagKind::System),
    flag("rf",  16, FlagKind::System),
    flag("vm",  17, FlagKind::System),
    flag("ac",  18, FlagKind::System),
    flag("vif", 19, FlagKind::System),
    flag("vip", 20, FlagKind::System),
    flag("id",  21, FlagKind::System),
];

const fn flag(name: &'static str, bit: u8, kind: FlagKind) -> Flag {
    Flag {
        name,
        bit,
        width: 1,
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_of(keep: impl Fn(&Flag) -> bool) -> u32 {
        let mask = |flag: &Flag| ((1 << flag.width) - 1) << flag.bit;
        FLAGS.iter().filter(|flag| keep(flag)).map(mask).sum()
    }

    #[test]
    fn the_rows_make_the_masks() {
        assert_eq!(mask_of(|_| true), DEFINED);
        assert_eq!(mask_of(|flag| flag.kind == FlagKind::Status), STATUS);
        assert_eq!(STATUS, 0x8D5);
    }
}
