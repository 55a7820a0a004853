//! Selectors, descriptors, gates and the task-state segment (SDM Vol. 3A, "Segment Descriptors").

/// Selector: requested privilege level.
pub const SELECTOR_RPL: u16 = 3;
/// Selector: from the LDT instead of the GDT.
pub const SELECTOR_LDT: u16 = 4;
/// Selector: offset of the descriptor in its table.
pub const SELECTOR_OFFSET: u16 = 0xFFF8;

/// Bits of the access byte, byte 5 of a descriptor.
pub const ACCESS_PRESENT: u8 = 0x80;
/// Descriptor privilege level, bits 6:5.
pub const ACCESS_DPL: u8 = 0x60;
pub const ACCESS_DPL_SHIFT: u8 = 5;
/// Code or data; clear for system segments and gates.
pub const ACCESS_CODE_OR_DATA: u8 = 0x10;
/// The type, with its meaning by `ACCESS_CODE_OR_DATA`.
pub const ACCESS_TYPE: u8 = 0x0F;

/// Type bits of code and data segments.
pub const TYPE_CODE: u8 = 8;
/// Of a code segment: any ring at or outside its DPL may call it.
pub const TYPE_CONFORMING: u8 = 4;
/// Of a data segment: valid offsets are those above the limit.
pub const TYPE_EXPAND_DOWN: u8 = 4;
/// Of a code segment.
pub const TYPE_READABLE: u8 = 2;
/// Of a data segment.
pub const TYPE_WRITABLE: u8 = 2;
/// Set by the processor when the descriptor is loaded.
pub const TYPE_ACCESSED: u8 = 1;

/// Bits of the descriptor's upper word that the debug port's `ACCESS` shows at 15:12.
pub const FLAG_AVAILABLE: u16 = 1 << 12;
/// D of code, B of stack and expand-down data: 32-bit.
pub const FLAG_BIG: u16 = 1 << 14;
/// The limit is in pages.
pub const FLAG_GRANULARITY: u16 = 1 << 15;

/// A type of system segments and gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemType {
    /// Low four bits of the access byte.
    pub number: u8,
    pub name: &'static str,
    /// Whether it is a gate, whose other bytes are a selector and an offset.
    pub gate: bool,
}

pub const TSS_16_AVAILABLE: u8 = 1;
pub const LDT: u8 = 2;
pub const TSS_16_BUSY: u8 = 3;
pub const CALL_GATE_16: u8 = 4;
pub const TASK_GATE: u8 = 5;
pub const INTERRUPT_GATE_16: u8 = 6;
pub const TRAP_GATE_16: u8 = 7;
pub const TSS_32_AVAILABLE: u8 = 9;
pub const TSS_32_BUSY: u8 = 11;
pub const CALL_GATE_32: u8 = 12;
pub const INTERRUPT_GATE_32: u8 = 14;
pub const TRAP_GATE_32: u8 = 15;

/// All system types; 0, 8, 10 and 13 are reserved.
#[rustfmt::skip]
pub const SYSTEM_TYPES: &[SystemType] = &[
    SystemType { number: TSS_16_AVAILABLE,  name: "16-bit TSS (available)", gate: false },
    SystemType { number: LDT,               name: "LDT",                    gate: false },
    SystemType { number: TSS_16_BUSY,       name: "16-bit TSS (busy)",      gate: false },
    SystemType { number: CALL_GATE_16,      name: "16-bit call gate",       gate: true },
    SystemType { number: TASK_GATE,         name: "task gate",              gate: true },
    SystemType { number: INTERRUPT_GATE_16, name: "16-bit interrupt gate",  gate: true },
    SystemType { number: TRAP_GATE_16,      name: "16-bit trap gate",       gate: true },
    SystemType { number: TSS_32_AVAILABLE,  name: "32-bit TSS (available)", gate: false },
    SystemType { number: TSS_32_BUSY,       name: "32-bit TSS (busy)",      gate: false },
    SystemType { number: CALL_GATE_32,      name: "32-bit call gate",       gate: true },
    SystemType { number: INTERRUPT_GATE_32, name: "32-bit interrupt gate",  gate: true },
    SystemType { number: TRAP_GATE_32,      name: "32-bit trap gate",       gate: true },
];

/// The name of a system type, or `None` if it is reserved.
pub fn system_type(number: u8) -> Option<&'static SystemType> {
    SYSTEM_TYPES.iter().find(|row| row.number == number)
}

/// Eight bytes of a code, data or system segment's descriptor.
///
/// `limit` is bits 19:0 of the field, in pages if `flags` has [`FLAG_GRANULARITY`]; of `flags`, only
/// bits 15:12 are taken.
pub const fn descriptor(base: u32, limit: u32, access: u8, flags: u16) -> u64 {
    let low = (limit as u64 & 0xFFFF) | (base as u64 & 0xFF_FFFF) << 16;
    let high = access as u64
        | (limit as u64 >> 16 & 0xF) << 8
        | (flags as u64 & 0xF000)
        | (base as u64 >> 24) << 16;
    low | high << 40
}

/// Eight bytes of a call, interrupt or trap gate.
///
/// `parameters` (0..31) is the count of words or doublewords a call gate copies; zero otherwise.
pub const fn gate(selector: u16, offset: u32, access: u8, parameters: u8) -> u64 {
    (offset as u64 & 0xFFFF)
        | (selector as u64) << 16
        | (parameters as u64 & 0x1F) << 32
        | (access as u64) << 40
        | (offset as u64 >> 16) << 48
}

/// Offsets in the 32-bit task-state segment (SDM Vol. 3A, "32-Bit Task-State Segment").
pub const TSS_ESP0: u32 = 0x04;
pub const TSS_SS0: u32 = 0x08;
/// ESP and SS of ring n are `TSS_RING_BYTES * n` behind those of ring 0.
pub const TSS_RING_BYTES: u32 = 8;
pub const TSS_CR3: u32 = 0x1C;
pub const TSS_EIP: u32 = 0x20;
pub const TSS_EFLAGS: u32 = 0x24;
pub const TSS_EAX: u32 = 0x28;
pub const TSS_ES: u32 = 0x48;
pub const TSS_LDT: u32 = 0x60;
/// A word whose bit 0 is the T bit: a switch to the task traps.
pub const TSS_TRAP: u32 = 0x64;
/// A word: offset of the I/O permission bitmap.
pub const TSS_IO_MAP_BASE: u32 = 0x66;
/// The smallest limit a 32-bit TSS may have.
pub const TSS_MINIMUM_LIMIT: u32 = 0x67;

/// Offsets in the 16-bit task-state segment (SDM Vol. 3A, "16-Bit Task-State Segment (TSS)").
pub const TSS_16_SP0: u32 = 0x02;
/// SP and SS of ring n are `TSS_16_RING_BYTES * n` behind those of ring 0.
pub const TSS_16_RING_BYTES: u32 = 4;
pub const TSS_16_IP: u32 = 0x0E;
pub const TSS_16_AX: u32 = 0x12;
pub const TSS_16_ES: u32 = 0x22;
pub const TSS_16_LDT: u32 = 0x2A;
/// The smallest limit a 16-bit TSS may have.
pub const TSS_16_MINIMUM_LIMIT: u32 = 0x2B;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_code_descriptor_is_the_familiar_number() {
        let flags = FLAG_GRANULARITY | FLAG_BIG;
        assert_eq!(descriptor(0, 0xF_FFFF, 0x9B, flags), 0x00CF_9B00_0000_FFFF);
        assert_eq!(
            descriptor(0x8012_3456, 0x0F67, 0x89, 0),
            0x8000_8912_3456_0F67
        );
    }

    #[test]
    fn a_gate_splits_its_offset() {
        let present_ring_3 = ACCESS_PRESENT | ACCESS_DPL | INTERRUPT_GATE_32;
        assert_eq!(
            gate(8, 0x8288_1234, present_ring_3, 0),
            0x8288_EE00_0008_1234
        );
    }
}
