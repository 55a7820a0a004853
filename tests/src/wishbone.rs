//! The program that `tests/wishbone/bench.v` runs on the core with a Wishbone bus.

use crate::boot_rom::{CODE, boot_rom};
use iced_x86::IcedError;
use iced_x86::code_asm::{
    CodeAssembler, CodeLabel, byte_ptr, dword_ptr, ptr, registers::*, word_ptr,
};

/// What the program writes to port E9h.
pub const TEXT: &str = "Wishbone\n";

// The bench's ports and memory.
const KEPT: u32 = 0x10;
const INTERRUPT: u32 = 0x20;
const NMI: u32 = 0x24;
const CONSOLE: u32 = 0xE9;
const END: u32 = 0xF4;
const NOWHERE: u32 = 0x0002_0000;

// RAM.
const BUFFER: u32 = 0x1000;
const IDT: u32 = 0x2000;
const IDTR: u32 = 0x2800;
/// Counts what has come through the gates.
const EVENTS: u32 = 0x2810;
const COPY: u32 = 0x3000;
const STACK_TOP: u32 = 0x8000;

const VECTOR: u32 = 0x41;
const NMI_VECTOR: u32 = 2;

/// Assembles the program: what it does ends at port F4h, with zero or the number of the check that failed.
///
/// # Errors
/// What the assembler refuses.
pub fn program() -> Result<Vec<u8>, IcedError> {
    boot_rom(STACK_TOP, |asm| {
        let mut failed = asm.create_label();
        stores_and_loads(asm, failed)?;
        ports(asm, failed)?;
        strings(asm, failed)?;
        nowhere(asm, failed)?;
        events(asm, failed)?;
        for byte in TEXT.bytes() {
            asm.mov(al, u32::from(byte))?;
            asm.out(CONSOLE as i32, al)?;
        }
        asm.xor(ebx, ebx)?;
        asm.set_label(&mut failed)?;
        // In all four bytes, so that it is seen in whichever lane it arrives.
        asm.imul_3(eax, ebx, 0x0101_0101)?;
        asm.out(END as i32, eax)?;
        asm.cli()?;
        asm.hlt()
    })
}

/// Stores and loads of every size at every offset within eight bytes, and across them.
fn stores_and_loads(asm: &mut CodeAssembler, failed: CodeLabel) -> Result<(), IcedError> {
    asm.mov(ebx, 1)?;
    for size in [1u32, 2, 4] {
        for offset in 0..8u32 {
            let mut expected = [0xA5u8; 16];
            for word in 0..4 {
                asm.mov(dword_ptr(BUFFER + 4 * word), 0xA5A5_A5A5u32)?;
            }
            let at = BUFFER + offset;
            let value = 0x4433_2211u32.wrapping_add(offset * 0x1010_1010);
            let bytes = offset as usize..(offset + size) as usize;
            expected[bytes].copy_from_slice(&value.to_le_bytes()[..size as usize]);
            asm.mov(eax, value)?;
            match size {
                1 => asm.mov(byte_ptr(at), al)?,
                2 => asm.mov(word_ptr(at), ax)?,
                _ => asm.mov(dword_ptr(at), eax)?,
            }
            for (index, word) in expected.chunks_exact(4).enumerate() {
                let word = u32::from_le_bytes(word.try_into().expect("four bytes"));
                asm.cmp(dword_ptr(BUFFER + 4 * index as u32), word)?;
                asm.jne(failed)?;
            }
            asm.mov(edx, eax)?;
            match size {
                1 => asm.cmp(byte_ptr(at), dl)?,
                2 => asm.cmp(word_ptr(at), dx)?,
                _ => asm.cmp(dword_ptr(at), edx)?,
            }
            asm.jne(failed)?;
        }
    }
    // Eight bytes at once, read and written.
    asm.mov(ebx, 2)?;
    asm.mov(dword_ptr(BUFFER), 0x1111_1111)?;
    asm.mov(dword_ptr(BUFFER + 4), 0x2222_2222)?;
    asm.mov(eax, 0x1111_1111)?;
    asm.mov(edx, 0x2222_2222)?;
    asm.mov(ecx, 0x3333_3333)?;
    asm.push(ebx)?;
    asm.mov(ebx, 0x4444_4444)?;
    asm.cmpxchg8b(ptr(BUFFER))?;
    asm.pop(ebx)?;
    asm.jne(failed)?;
    asm.cmp(dword_ptr(BUFFER), 0x4444_4444)?;
    asm.jne(failed)?;
    asm.cmp(dword_ptr(BUFFER + 4), 0x3333_3333)?;
    asm.jne(failed)?;
    asm.lock().inc(byte_ptr(BUFFER + 3))?;
    asm.cmp(dword_ptr(BUFFER), 0x4544_4444)?;
    asm.jne(failed)
}

/// IN and OUT of every size, in all lanes.
fn ports(asm: &mut CodeAssembler, failed: CodeLabel) -> Result<(), IcedError> {
    asm.mov(ebx, 3)?;
    let mut kept = [0u8; 8];
    for (size, offset) in [
        (4, 0),
        (4, 4),
        (1, 0),
        (1, 1),
        (1, 6),
        (1, 7),
        (2, 0),
        (2, 2),
        (2, 3),
        (4, 2),
    ] {
        let value = 0x8070_6050u32.wrapping_mul(offset * 3 + size);
        let bytes = offset as usize..(offset + size) as usize;
        kept[bytes].copy_from_slice(&value.to_le_bytes()[..size as usize]);
        asm.mov(eax, value)?;
        asm.mov(edx, KEPT + offset)?;
        match size {
            1 => asm.out(dx, al)?,
            2 => asm.out(dx, ax)?,
            _ => asm.out(dx, eax)?,
        }
        for (index, word) in kept.chunks_exact(4).enumerate() {
            asm.in_(eax, KEPT as i32 + 4 * index as i32)?;
            asm.cmp(
                eax,
                u32::from_le_bytes(word.try_into().expect("four bytes")),
            )?;
            asm.jne(failed)?;
        }
        asm.in_(al, dx)?;
        asm.cmp(al, u32::from(kept[offset as usize]))?;
        asm.jne(failed)?;
    }
    Ok(())
}

/// Skips `code` and leaves its address in EAX: an address that no instruction can name.
fn block(
    asm: &mut CodeAssembler,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let mut behind = asm.create_label();
    asm.call(behind)?;
    code(asm)?;
    asm.set_label(&mut behind)?;
    asm.pop(eax)
}

/// A copy by REP MOVSD, and code that runs in RAM.
fn strings(asm: &mut CodeAssembler, failed: CodeLabel) -> Result<(), IcedError> {
    asm.mov(ebx, 4)?;
    block(asm, |asm| {
        let mut again = asm.create_label();
        asm.set_label(&mut again)?;
        asm.add(edx, ecx)?;
        asm.dec(ecx)?;
        asm.jne(again)?;
        asm.ret()?;
        asm.db(&[0xCC; 32])
    })?;
    asm.mov(esi, eax)?;
    asm.mov(edi, COPY)?;
    asm.mov(ecx, 8)?;
    asm.cld()?;
    asm.rep().movsd()?;
    asm.mov(eax, COPY)?;
    asm.mov(ecx, 10)?;
    asm.xor(edx, edx)?;
    asm.call(eax)?;
    asm.cmp(edx, 55)?;
    asm.jne(failed)
}

/// What the bus ends with ERR reads as ones.
fn nowhere(asm: &mut CodeAssembler, failed: CodeLabel) -> Result<(), IcedError> {
    asm.mov(ebx, 5)?;
    asm.mov(dword_ptr(NOWHERE), 0)?;
    asm.cmp(dword_ptr(NOWHERE), -1)?;
    asm.jne(failed)?;
    asm.in_(al, 0x60)?;
    asm.cmp(al, 0xFFu32)?;
    asm.jne(failed)
}

/// An interrupt in a loop, one out of HLT, and an NMI.
fn events(asm: &mut CodeAssembler, failed: CodeLabel) -> Result<(), IcedError> {
    asm.mov(ebx, 6)?;
    let mut again = asm.create_label();
    for (vector, step) in [(VECTOR, 1), (NMI_VECTOR, 0x100)] {
        block(asm, |asm| {
            asm.add(dword_ptr(EVENTS), step)?;
            asm.iretd()
        })?;
        asm.mov(word_ptr(IDT + 8 * vector), ax)?;
        asm.shr(eax, 16)?;
        asm.mov(word_ptr(IDT + 8 * vector + 6), ax)?;
        asm.mov(
            dword_ptr(IDT + 8 * vector + 2),
            0x8E00_0000u32 | u32::from(CODE),
        )?;
    }
    asm.mov(word_ptr(IDTR), 0x7FF)?;
    asm.mov(dword_ptr(IDTR + 2), IDT)?;
    asm.lidt(ptr(IDTR))?;
    asm.mov(dword_ptr(EVENTS), 0)?;
    asm.mov(al, VECTOR)?;
    asm.sti()?;
    asm.out(INTERRUPT as i32, al)?;
    asm.mov(ecx, 1000)?;
    asm.set_label(&mut again)?;
    asm.cmp(dword_ptr(EVENTS), 1)?;
    asm.loopne(again)?;
    asm.jne(failed)?;
    asm.out(INTERRUPT as i32, al)?;
    asm.hlt()?;
    asm.cmp(dword_ptr(EVENTS), 2)?;
    asm.jne(failed)?;
    asm.cli()?;
    asm.out(NMI as i32, al)?;
    asm.hlt()?;
    asm.cmp(dword_ptr(EVENTS), 0x102)?;
    asm.jne(failed)
}
