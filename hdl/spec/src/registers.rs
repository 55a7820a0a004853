//! Register numbers, as the debug port and the retire record use them.

/// One architectural register of the debug port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// Number on the debug port and in a retire record's system write.
    pub number: u8,
    /// The manual's name, lower case.
    pub name: &'static str,
}

/// General registers 0..7 in instruction order.
pub const GENERAL: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
/// The general registers of 16 and 8 bits, in instruction order.
pub const GENERAL_WORD: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
pub const GENERAL_BYTE: [&str; 8] = ["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"];

pub const EIP: u8 = 0x10;
pub const EFLAGS: u8 = 0x11;
/// Current privilege level; follows the loaded CS, written by the debugger.
pub const CPL: u8 = 0x12;

/// Segment numbers: the first six as instructions encode them.
pub const ES: u8 = 0;
pub const CS: u8 = 1;
pub const SS: u8 = 2;
pub const DS: u8 = 3;
pub const FS: u8 = 4;
pub const GS: u8 = 5;
pub const LDTR: u8 = 6;
pub const TR: u8 = 7;
/// Only base and limit.
pub const GDTR: u8 = 8;
pub const IDTR: u8 = 9;
pub const SEGMENT: [&str; 10] = [
    "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr", "gdtr", "idtr",
];

/// Selector of segment s is `SELECTOR + s`, likewise the parts of its descriptor cache.
pub const SELECTOR: u8 = 0x20;
pub const BASE: u8 = 0x30;
/// In bytes, as expanded from the granularity bit.
pub const LIMIT: u8 = 0x40;
/// Bits 7:0 the access byte (P DPL S type), bits 15:12 G D/B 0 AVL.
pub const ACCESS: u8 = 0x50;

pub const CR0: u8 = 0x60;
pub const CR2: u8 = 0x62;
pub const CR3: u8 = 0x63;
pub const CR4: u8 = 0x64;
/// Debug registers 0..7.
pub const DR0: u8 = 0x68;
pub const DR6: u8 = 0x6E;
pub const DR7: u8 = 0x6F;

pub const SYSENTER_CS: u8 = 0x70;
pub const SYSENTER_ESP: u8 = 0x71;
pub const SYSENTER_EIP: u8 = 0x72;
pub const TSC_LOW: u8 = 0x74;
pub const TSC_HIGH: u8 = 0x75;

/// Performance counters (read-only): clocks lost to each reason, and so on; see `COUNTERS`.
pub const COUNTER: u8 = 0x80;
