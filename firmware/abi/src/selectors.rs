//! Segment selectors of Windows x86, with their requested privilege level where user code loads them.

/// Ring-0 code, flat.
pub const KERNEL_CODE: u16 = 0x08;
/// Ring-0 data and stack, flat.
pub const KERNEL_DATA: u16 = 0x10;
/// Ring-3 code, flat.
pub const USER_CODE: u16 = 0x1B;
/// Ring-3 data and stack, flat; the kernel's DS and ES too.
pub const USER_DATA: u16 = 0x23;
/// The 32-bit task-state segment.
pub const TSS: u16 = 0x28;
/// FS in the kernel: the processor control region.
pub const KERNEL_PCR: u16 = 0x30;
/// FS in user mode: the thread environment block.
pub const USER_TEB: u16 = 0x3B;
/// The local descriptor table's descriptor (empty here).
pub const LDT: u16 = 0x48;

/// The vector of the slow gate, `INT 2Eh`.
pub const SYSTEM_SERVICE_VECTOR: u8 = 0x2E;
/// The vector of the first external interrupt, IRQ 0.
pub const IRQ_BASE_VECTOR: u8 = 0x30;
