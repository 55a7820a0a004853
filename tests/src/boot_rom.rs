//! A small ROM that enters flat protected mode and goes on with a few instructions, for benches outside the simulator.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, registers::*};
use spec::memory_map::{RESET_ADDRESS, RESET_CS_BASE};

/// Bytes of the ROM; its last is at FFFFFFFFh.
pub const ROM_BYTES: usize = 16 << 10;
/// Physical address of its first byte, where the instructions lie.
pub const ROM_BASE: u32 = (ROM_BYTES as u32).wrapping_neg();
/// Selector of flat 32-bit code of ring 0.
pub const CODE: u16 = 0x08;
/// Selector of flat data of ring 0.
pub const DATA: u16 = 0x10;

/// What LGDT reads, and behind it the table.
const GDTR: u32 = 0xFFFF_FF00;
/// The table may not be written: the accessed bits are set.
const GDT: [u64; 3] = [0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF];
const START: u32 = 0xFFFF_FF40;

/// A ROM whose `code` begins at [`ROM_BASE`] with flat segments, interrupts off and `esp` as the stack's top.
///
/// # Errors
/// What the assembler refuses.
///
/// # Panics
/// If the code does not fit.
pub fn boot_rom(
    esp_at_start: u32,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<Vec<u8>, IcedError> {
    let mut rom = vec![0xFF; ROM_BYTES];
    let mut end = ROM_BASE;
    let mut put = |address: u32, bytes: &[u8]| {
        assert!(
            address >= end,
            "the code reaches {end:X}h, {address:X}h is taken"
        );
        let offset = (address - ROM_BASE) as usize;
        rom[offset..offset + bytes.len()].copy_from_slice(bytes);
        end = address.wrapping_add(bytes.len() as u32);
    };

    let mut asm = CodeAssembler::new(32)?;
    asm.mov(eax, u32::from(DATA))?;
    for segment in [ds, es, fs, gs, ss] {
        asm.mov(segment, eax)?;
    }
    asm.mov(esp, esp_at_start)?;
    code(&mut asm)?;
    put(ROM_BASE, &asm.assemble(ROM_BASE.into())?);

    put(GDTR, &(GDT.len() as u16 * 8 - 1).to_le_bytes());
    put(GDTR + 2, &(GDTR + 8).to_le_bytes());
    put(GDTR + 8, &GDT.map(u64::to_le_bytes).concat());

    let mut asm = CodeAssembler::new(16)?;
    asm.mov(bx, i32::from(GDTR as u16 as i16))?;
    // o32 lgdt cs:[bx]: without the prefix only 24 bits of the base are loaded.
    asm.db(&[0x66, 0x2E, 0x0F, 0x01, 0x17])?;
    asm.mov(eax, cr0)?;
    asm.or(al, 1)?;
    asm.mov(cr0, eax)?;
    // o32 jmp far CODE:ROM_BASE
    asm.db(&[0x66, 0xEA])?;
    asm.db(&ROM_BASE.to_le_bytes())?;
    asm.db(&CODE.to_le_bytes())?;
    put(START, &asm.assemble(START.into())?);

    let mut asm = CodeAssembler::new(16)?;
    asm.jmp(u64::from(START - RESET_CS_BASE))?;
    let jump = asm.assemble(u64::from(RESET_ADDRESS - RESET_CS_BASE))?;
    put(RESET_ADDRESS, &jump);
    Ok(rom)
}

/// The bytes as words of `word_bytes` for `$readmemh`, one a line, the first byte the lowest.
pub fn hexadecimal(bytes: &[u8], word_bytes: usize) -> String {
    let digits = |word: &[u8]| -> String {
        let digits = word.iter().rev().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>() + "\n"
    };
    bytes.chunks(word_bytes).map(digits).collect()
}
