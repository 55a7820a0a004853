//! The program of the journey: one WriteFile.

use super::{begin, write_text};
use crate::image::ImageOptions;
use crate::module::ModuleSource;
use iced_x86::code_asm::*;

/// The call to WriteFile, at +1Ch, is at 01001234h, where the journey begins.
const WIN_MAIN: u32 = 0x1218;

pub fn add(module: &mut ModuleSource, options: &ImageOptions) {
    begin(
        module,
        options,
        &["ExitProcess", "GetStdHandle", "WriteFile"],
        &[],
    );
    let text_bytes = options.console_text.len() as u32;
    let main = module.code("WinMain", move |a, s| {
        // mov edi,edi: two bytes that can be patched to a short jump.
        a.db(&[0x8B, 0xFF])?;
        a.push(ebp)?;
        a.mov(ebp, esp)?;
        a.push(ecx)?;
        write_text(a, s, "Greeting", text_bytes)?;
        a.xor(eax, eax)?;
        a.leave()?;
        a.ret()
    });
    main.at(WIN_MAIN);
    module.text("Greeting", &options.console_text);
    module.directories();
}
