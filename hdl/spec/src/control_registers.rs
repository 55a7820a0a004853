//! Control and debug registers (SDM Vol. 3A, "Control Registers" and "Debug Registers").

/// One bit of a control register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlBit {
    /// The manual's abbreviation, lower case.
    pub name: &'static str,
    pub bit: u8,
    /// Whether the core acts on it. CR0 keeps the others; in CR4 they raise #GP when set.
    pub built: bool,
}

/// Protection enable.
pub const CR0_PE: u32 = 1 << 0;
/// WAIT raises #NM if TS is set too.
pub const CR0_MP: u32 = 1 << 1;
/// No coprocessor: its instructions raise #NM.
pub const CR0_EM: u32 = 1 << 2;
/// Task switched.
pub const CR0_TS: u32 = 1 << 3;
/// Always one.
pub const CR0_ET: u32 = 1 << 4;
pub const CR0_NE: u32 = 1 << 5;
/// The supervisor respects read-only pages.
pub const CR0_WP: u32 = 1 << 16;
/// Alignment check allowed.
pub const CR0_AM: u32 = 1 << 18;
pub const CR0_NW: u32 = 1 << 29;
pub const CR0_CD: u32 = 1 << 30;
/// Paging.
pub const CR0_PG: u32 = 1 << 31;
/// CR0 after reset: caches off, ET.
pub const CR0_RESET: u32 = CR0_CD | CR0_NW | CR0_ET;

/// RDTSC only in ring 0.
pub const CR4_TSD: u32 = 1 << 2;
/// DR4 and DR5 raise #UD.
pub const CR4_DE: u32 = 1 << 3;
/// Pages of 4 MB.
pub const CR4_PSE: u32 = 1 << 4;
/// Global pages.
pub const CR4_PGE: u32 = 1 << 7;
/// RDPMC in every ring.
pub const CR4_PCE: u32 = 1 << 8;

#[rustfmt::skip]
pub const CR0_BITS: &[ControlBit] = &[
    bit("pe",  0, true),
    bit("mp",  1, true),
    bit("em",  2, true),
    bit("ts",  3, true),
    bit("et",  4, true),
    bit("ne",  5, false),
    bit("wp", 16, true),
    bit("am", 18, true),
    bit("nw", 29, false),
    bit("cd", 30, true),
    bit("pg", 31, true),
];

#[rustfmt::skip]
pub const CR4_BITS: &[ControlBit] = &[
    bit("vme", 0, false),
    bit("pvi", 1, false),
    bit("tsd", 2, true),
    bit("de",  3, true),
    bit("pse", 4, true),
    bit("pae", 5, false),
    bit("mce", 6, false),
    bit("pge", 7, true),
    bit("pce", 8, false),
];

/// The bits of CR4 that may be set.
pub const CR4_BUILT: u32 = {
    let mut built = 0;
    let mut i = 0;
    while i < CR4_BITS.len() {
        built |= (CR4_BITS[i].built as u32) << CR4_BITS[i].bit;
        i += 1;
    }
    built
};

const fn bit(name: &'static str, bit: u8, built: bool) -> ControlBit {
    ControlBit { name, bit, built }
}

/// CR3 without PWT and PCD: physical address of the page directory, bits 31:12.
pub const CR3_DIRECTORY: u32 = 0xFFFF_F000;

/// Breakpoint 0..3 was met: bit n.
pub const DR6_BREAKPOINTS: u32 = 0xF;
/// Access to a debug register while DR7.GD was set.
pub const DR6_BD: u32 = 1 << 13;
/// Single step.
pub const DR6_BS: u32 = 1 << 14;
/// Task switch.
pub const DR6_BT: u32 = 1 << 15;
pub const DR6_RESET: u32 = 0xFFFF_0FF0;
pub const DR7_RESET: u32 = 0x0000_0400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_the_bits_of_the_rows() {
        for (name, mask, rows) in [
            ("pe", CR0_PE, CR0_BITS),
            ("em", CR0_EM, CR0_BITS),
            ("wp", CR0_WP, CR0_BITS),
            ("pg", CR0_PG, CR0_BITS),
            ("tsd", CR4_TSD, CR4_BITS),
            ("pse", CR4_PSE, CR4_BITS),
            ("pge", CR4_PGE, CR4_BITS),
            ("pce", CR4_PCE, CR4_BITS),
        ] {
            let row = rows.iter().find(|row| row.name == name).expect(name);
            assert_eq!(1 << row.bit, mask, "{name}");
        }
        assert_eq!(CR0_RESET, 0x6000_0010);
    }
}
