//! The program of the journey: one WriteFile.

use super::{begin, write_text};
use crate::image::ImageOptions;
use crate::module::ModuleSource;
use iced_x86::code_asm::*;

/// The call to WriteFile is at RVA 1234h, where the journey begins.
const WIN_MAIN: u32 = 0x1216;

pub fn add(module: &mut ModuleSource, options: &ImageOptions) {
    begin(
        module,
        options,
        &["ExitProcess", "GetStdHandle", "WriteFile"],
        &[],
    );
    let text_bytes = options.console_text.len() as u32;
    let main = module.code("WinMain", move |a, s| {
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
