//! The smallest program worth running: prints one line by polling COM1, then halts.

use crate::hardware::{COM1, uart};
use crate::reset::{RESET_VECTOR, reset_vector, start_up};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// What [`smoke`] writes to COM1.
pub const SMOKE_TEXT: &str = "SysGate\r\n";

const ROM_BYTES: usize = 0x1_0000;
const ROM_BASE: u32 = 0xFFFF_0000;
const START: u32 = 0xFFFF_FE00;
const MAIN: u32 = 0xFFFF_FF00;

/// A 64 KB ROM that enters flat protected mode, writes [`SMOKE_TEXT`] to COM1 and stops in CLI, HLT.
///
/// Needs no RAM: there is no stack, and all data is in the ROM.
///
/// # Panics
/// Never: the program is fixed, and a test assembles it.
pub fn smoke() -> Vec<u8> {
    assemble().expect("the smoke program assembles")
}

fn assemble() -> Result<Vec<u8>, IcedError> {
    let mut rom = vec![0xFF; ROM_BYTES];
    let mut put = |address: u32, bytes: &[u8]| {
        let offset = (address - ROM_BASE) as usize;
        rom[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(START, &start_up(START, MAIN)?);
    put(MAIN, &main_program(MAIN)?);
    put(RESET_VECTOR, &reset_vector(START));
    Ok(rom)
}

fn main_program(address: u32) -> Result<Vec<u8>, IcedError> {
    let mut text = 0;
    loop {
        let mut bytes = main_code(address, text)?;
        let end = address + bytes.len() as u32;
        if end == text {
            bytes.extend_from_slice(SMOKE_TEXT.as_bytes());
            return Ok(bytes);
        }
        text = end;
    }
}

fn main_code(address: u32, text: u32) -> Result<Vec<u8>, IcedError> {
    let mut asm = CodeAssembler::new(32)?;
    // Divisor 1 is 115,200 baud; then eight data bits, no parity, one stop bit.
    for (register, value) in [
        (uart::LINE_CONTROL, uart::DLAB | uart::EIGHT_BITS),
        (uart::DATA, 1),
        (uart::INTERRUPT_ENABLE, 0),
        (uart::LINE_CONTROL, uart::EIGHT_BITS),
    ] {
        asm.mov(edx, COM1 + register)?;
        asm.mov(al, value)?;
        asm.out(dx, al)?;
    }
    let mut next_byte = asm.create_label();
    let mut transmitter_full = asm.create_label();
    let mut stop = asm.create_label();
    asm.mov(esi, text)?;
    asm.mov(ebx, SMOKE_TEXT.len() as u32)?;
    asm.set_label(&mut next_byte)?;
    asm.mov(edx, COM1 + uart::LINE_STATUS)?;
    asm.set_label(&mut transmitter_full)?;
    asm.in_(al, dx)?;
    asm.test(al, uart::HOLDING_EMPTY)?;
    asm.je(transmitter_full)?;
    asm.mov(al, byte_ptr(esi))?;
    asm.inc(esi)?;
    asm.mov(edx, COM1)?;
    asm.out(dx, al)?;
    asm.dec(ebx)?;
    asm.jne(next_byte)?;
    asm.set_label(&mut stop)?;
    asm.cli()?;
    asm.hlt()?;
    asm.jmp(stop)?;
    asm.assemble(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smoke_rom_ends_with_a_jump_at_the_reset_vector() {
        let rom = smoke();
        assert_eq!(rom.len(), ROM_BYTES);
        assert_eq!(rom[0xFFF0], 0xE9);
        let distance = u16::from_le_bytes([rom[0xFFF1], rom[0xFFF2]]);
        assert_eq!(0xFFF3u16.wrapping_add(distance), START as u16);
    }
}
