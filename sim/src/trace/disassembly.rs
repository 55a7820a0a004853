//! Text of one instruction.

use iced_x86::{Decoder, DecoderOptions, Formatter, MasmFormatter};

/// The instruction in `bytes`, in the form debuggers print it (`mov eax,18Ch`).
///
/// `is_32_bit` is the default size of its code segment; `eip` resolves relative branches.
pub fn disassemble(bytes: &[u8], eip: u32, is_32_bit: bool) -> String {
    let bitness = if is_32_bit { 32 } else { 16 };
    let instruction = Decoder::with_ip(bitness, bytes, eip.into(), DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return "(bad)".to_string();
    }
    let mut formatter = MasmFormatter::new();
    formatter.options_mut().set_first_operand_char_index(8);
    formatter.options_mut().set_show_branch_size(false);
    let mut text = String::new();
    formatter.format(&instruction, &mut text);
    text
}
