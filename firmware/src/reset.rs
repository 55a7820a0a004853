//! The first instructions: from the reset vector in real mode to flat 32-bit protected mode.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use spec::control_registers::{CR0_CD, CR0_NW, CR0_PE, CR0_RESET};
use spec::memory_map::RESET_CS_BASE;

/// Where the processor starts: physical address of the reset vector.
pub const RESET_VECTOR: u32 = spec::memory_map::RESET_ADDRESS;

/// Selector of the flat 32-bit ring-0 code segment in the boot GDT.
pub const BOOT_CODE: u16 = 0x08;
/// Selector of the flat ring-0 data segment in the boot GDT.
pub const BOOT_DATA: u16 = 0x10;

/// Null, flat code (base 0, limit 4 GB, execute/read), flat data (read/write).
///
/// The accessed bits are set beforehand because the table lies in ROM.
const BOOT_GDT: [u64; 3] = [0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF];

/// The 16-bit start-up code for the top of a ROM, with its GDT.
///
/// Placed at `address` (physical, in the ROM's last 64 KB, 8-byte aligned); ends with a far jump to
/// `entry`, which begins in flat 32-bit code with every data segment loaded and no stack.
pub fn start_up(address: u32, entry: u32) -> Result<Vec<u8>, IcedError> {
    // The far jump cannot name a label, so the code is laid out once to learn its length.
    let mut tables_at = 0;
    loop {
        let mut bytes = real_mode_part(address, tables_at, entry)?;
        let gdtr = align(address + bytes.len() as u32, 8);
        if gdtr != tables_at {
            tables_at = gdtr;
            continue;
        }
        bytes.resize((gdtr - address) as usize, 0);
        bytes.extend_from_slice(&(BOOT_GDT.len() as u16 * 8 - 1).to_le_bytes());
        bytes.extend_from_slice(&(gdtr + 8).to_le_bytes());
        bytes.resize(bytes.len() + 2, 0);
        for descriptor in BOOT_GDT {
            bytes.extend_from_slice(&descriptor.to_le_bytes());
        }
        return Ok(bytes);
    }
}

fn real_mode_part(address: u32, gdtr: u32, entry: u32) -> Result<Vec<u8>, IcedError> {
    let mut asm = CodeAssembler::new(16)?;
    asm.cli()?;
    asm.cld()?;
    // CS is the only segment whose base reaches the ROM.
    asm.mov(bx, i32::from(gdtr as u16 as i16))?;
    // o32 lgdt cs:[bx]: without the prefix only 24 bits of the base are loaded.
    asm.db(&[0x66, 0x2E, 0x0F, 0x01, 0x17])?;
    // Protected mode, and caches on: after a reset CR0.CD and NW are set.
    asm.mov(eax, CR0_RESET & !(CR0_CD | CR0_NW) | CR0_PE)?;
    asm.mov(cr0, eax)?;
    // o32 jmp far BOOT_CODE:protected_mode
    let protected_mode = asm.assemble(address.into())?.len() as u32 + address + 8;
    asm.db(&[0x66, 0xEA])?;
    asm.db(&protected_mode.to_le_bytes())?;
    asm.db(&BOOT_CODE.to_le_bytes())?;
    let mut bytes = asm.assemble(address.into())?;

    let mut asm = CodeAssembler::new(32)?;
    asm.mov(eax, u32::from(BOOT_DATA))?;
    for segment in [ds, es, fs, gs, ss] {
        asm.mov(segment, eax)?;
    }
    asm.jmp(u64::from(entry))?;
    bytes.extend(asm.assemble(protected_mode.into())?);
    Ok(bytes)
}

/// The 16 bytes at the reset vector: a near jump to the start-up code at `start` (physical, same 64 KB).
pub fn reset_vector(start: u32) -> [u8; 16] {
    let mut bytes = [0x90; 16];
    let distance = (start - RESET_CS_BASE).wrapping_sub(RESET_VECTOR - RESET_CS_BASE + 3);
    bytes[0] = 0xE9;
    bytes[1..3].copy_from_slice(&(distance as u16).to_le_bytes());
    bytes
}

/// `value` rounded up to a multiple of `alignment`, a power of two.
pub fn align(value: u32, alignment: u32) -> u32 {
    (value + alignment - 1) & !(alignment - 1)
}
