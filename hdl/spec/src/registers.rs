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

/// What a retire record says WRMSR wrote: the low half of the register that ECX selects.
pub const SELECTED_MSR: u8 = 0xCA;

/// Performance counters (read-only): clocks lost to each reason, and so on; see `COUNTERS`.
pub const COUNTER: u8 = 0x80;

/// All registers of the debug port, with the names that tools show and accept. The parts of a segment
/// are `cs` (the selector), `cs.base`, `cs.limit`, `cs.access`.
pub fn all() -> impl Iterator<Item = (u8, String)> {
    let general = (0..).zip(GENERAL.map(str::to_string));
    let parts = [
        (SELECTOR, ""),
        (BASE, ".base"),
        (LIMIT, ".limit"),
        (ACCESS, ".access"),
    ];
    let segments = parts.into_iter().flat_map(|(first, part)| {
        let named = (first..).zip(SEGMENT.map(|segment| format!("{segment}{part}")));
        // GDTR and IDTR are a base and a limit.
        named.filter(move |(number, _)| matches!(first, BASE | LIMIT) || number - first < GDTR)
    });
    let others = OTHERS
        .iter()
        .map(|register| (register.number, register.name.to_string()));
    general.chain(others).chain(segments)
}

/// The registers that are neither general nor of a segment.
#[rustfmt::skip]
const OTHERS: &[Register] = &[
    Register { number: EIP,          name: "eip" },
    Register { number: EFLAGS,       name: "eflags" },
    Register { number: CPL,          name: "cpl" },
    Register { number: CR0,          name: "cr0" },
    Register { number: CR2,          name: "cr2" },
    Register { number: CR3,          name: "cr3" },
    Register { number: CR4,          name: "cr4" },
    Register { number: DR0,          name: "dr0" },
    Register { number: DR0 + 1,      name: "dr1" },
    Register { number: DR0 + 2,      name: "dr2" },
    Register { number: DR0 + 3,      name: "dr3" },
    Register { number: DR6,          name: "dr6" },
    Register { number: DR7,          name: "dr7" },
    Register { number: SYSENTER_CS,  name: "sysenter_cs" },
    Register { number: SYSENTER_ESP, name: "sysenter_esp" },
    Register { number: SYSENTER_EIP, name: "sysenter_eip" },
    Register { number: TSC_LOW,      name: "tsc_low" },
    Register { number: TSC_HIGH,     name: "tsc_high" },
];

/// The name of a number on the debug port, or `None` if there is no such register.
pub fn name(number: u8) -> Option<String> {
    all()
        .find(|(other, _)| *other == number)
        .map(|(_, name)| name)
}

/// The number of a register's name, in either case, or `None` if there is no such register.
pub fn number(name: &str) -> Option<u8> {
    all()
        .find(|(_, other)| other.eq_ignore_ascii_case(name))
        .map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_names_are_used_once_and_found_by_each_other() {
        let numbers: HashSet<u8> = all().map(|(number, _)| number).collect();
        let names: HashSet<String> = all().map(|(_, name)| name).collect();
        assert_eq!((numbers.len(), names.len()), (all().count(), all().count()));
        for (register, text) in all() {
            assert_eq!(name(register), Some(text.clone()));
            assert_eq!(number(&text.to_uppercase()), Some(register));
        }
    }

    #[test]
    fn table_registers_have_no_selector() {
        assert_eq!(number("gdtr.base"), Some(BASE + GDTR));
        assert_eq!(number("gdtr"), None);
        assert_eq!(number("tr"), Some(SELECTOR + TR));
        assert_eq!(name(COUNTER), None);
    }
}
