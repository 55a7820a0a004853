//! The program that measures itself: the clocks from before the call of WriteFile to after its return, in
//! user mode, once with cold and once with warm predictors, and then says so.

use super::{begin, write_text};
use crate::image::ImageOptions;
use crate::module::{Access, ModuleSource};
use iced_x86::code_asm::*;

const LABELS: [&str; 2] = ["WriteFile, first call:  ", "WriteFile, second call: "];
const DIGITS: u32 = 10;
const LINE_END: &str = " clocks\r\n";

pub fn add(module: &mut ModuleSource, options: &ImageOptions) {
    begin(
        module,
        options,
        &["ExitProcess", "GetStdHandle", "WriteFile"],
        &[],
    );
    let text_bytes = options.console_text.len() as u32;
    module.code("WinMain", move |a, s| {
        a.push(ebp)?;
        a.mov(ebp, esp)?;
        a.push(ecx)?;
        for clocks in ["FirstClocks", "SecondClocks"] {
            a.call(s.near("MeasureWriteFile"))?;
            a.mov(dword_ptr(s.at(clocks)), eax)?;
        }
        for (label, clocks) in ["FirstLabel", "SecondLabel"]
            .iter()
            .zip(["FirstClocks", "SecondClocks"])
        {
            write_text(a, s, label, LABELS[0].len() as u32)?;
            a.mov(eax, dword_ptr(s.at(clocks)))?;
            a.call(s.near("FormatDecimal"))?;
            write_text(a, s, "Decimal", DIGITS + LINE_END.len() as u32)?;
        }
        a.xor(eax, eax)?;
        a.leave()?;
        a.ret()
    });
    // Out: EAX = clocks.
    module.code("MeasureWriteFile", move |a, s| {
        a.push(ebp)?;
        a.mov(ebp, esp)?;
        a.push(ecx)?;
        a.push(ebx)?;
        a.rdtsc()?;
        a.mov(ebx, eax)?;
        write_text(a, s, "Greeting", text_bytes)?;
        a.rdtsc()?;
        a.sub(eax, ebx)?;
        a.pop(ebx)?;
        a.leave()?;
        a.ret()
    });
    // In: EAX = number. Right-aligned in `Decimal`.
    module.code("FormatDecimal", |a, s| {
        let mut next = a.create_label();
        let mut blank = a.create_label();
        let mut done = a.create_label();
        a.mov(edi, s.at("Decimal") + DIGITS)?;
        a.mov(ecx, 10)?;
        a.set_label(&mut next)?;
        a.xor(edx, edx)?;
        a.div(ecx)?;
        a.add(dl, 0x30)?;
        a.dec(edi)?;
        a.mov(byte_ptr(edi), dl)?;
        a.test(eax, eax)?;
        a.jne(next)?;
        a.set_label(&mut blank)?;
        a.cmp(edi, s.at("Decimal"))?;
        a.je(done)?;
        a.dec(edi)?;
        a.mov(byte_ptr(edi), 0x20)?;
        a.jmp(blank)?;
        a.set_label(&mut done)?;
        a.ret()
    });
    module.text("Greeting", &options.console_text);
    module.text("FirstLabel", LABELS[0]);
    module.text("SecondLabel", LABELS[1]);
    module.directories();
    module.section(".data", Access::Data);
    module.dword("FirstClocks", 0);
    module.dword("SecondClocks", 0);
    module.text("Decimal", &format!("{:10}{LINE_END}", ""));
}
