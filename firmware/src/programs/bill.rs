//! The program that measures itself: writes the console text twice, with cold and with warm predictors, and prints by
//! RDTSC the clocks that each hop of both calls took.

use super::{begin, push_write_arguments, write_text};
use crate::image::ImageOptions;
use crate::module::{Access, ModuleSource};
use crate::stamps::{LINE_BYTES, NUMBER_WIDTH, Stamp, Stamps, blank_bill, stamps};
use iced_x86::code_asm::*;

/// The call to WriteFile, at +27h, is at 01001234h, as in the journey.
const WIN_MAIN: u32 = 0x120D;
const CALLS: u32 = 2;

pub fn add(module: &mut ModuleSource, options: &ImageOptions) {
    begin(
        module,
        options,
        &["ExitProcess", "GetStdHandle", "WriteFile"],
        &[],
    );
    let text_bytes = options.console_text.len() as u32;
    let bill = blank_bill(options);
    let bill_bytes = bill.len() as u32;
    let taken = stamps(options);
    let count = taken.len() as u32;
    let stamp = Stamps::of(options);
    let main = module.code("WinMain", move |a, s| {
        let mut again = a.create_label();
        a.push(ebp)?;
        a.mov(ebp, esp)?;
        a.push(ecx)?;
        a.mov(edi, s.at("Stamps"))?;
        a.set_label(&mut again)?;
        push_write_arguments(a, s, "Greeting", text_bytes)?;
        stamp.take(a, Stamp::Call)?;
        a.call(dword_ptr(s.import("WriteFile")))?;
        stamp.take(a, Stamp::Return)?;
        // The next call takes its stamps in the same places.
        for stamp in &taken {
            a.mov(eax, stamp.place())?;
            a.stosd()?;
        }
        a.cmp(edi, s.at("Stamps") + CALLS * count * 4)?;
        a.jb(again)?;
        for call in 0..CALLS {
            a.mov(esi, s.at("Stamps") + call * count * 4)?;
            // Numbers end where the line does or where the other call's begin.
            let left = (CALLS - 1 - call) * NUMBER_WIDTH as u32 + 2;
            a.mov(edi, s.at("Bill") + 2 * LINE_BYTES as u32 - left)?;
            a.call(s.near("FillColumn"))?;
        }
        write_text(a, s, "Bill", bill_bytes)?;
        a.xor(eax, eax)?;
        a.leave()?;
        a.ret()
    });
    main.at(WIN_MAIN);
    // In: ESI = stamps of a call, EDI = end of the first hop's number.
    module.code("FillColumn", move |a, s| {
        let mut next = a.create_label();
        a.mov(ebx, count - 1)?;
        a.set_label(&mut next)?;
        a.lodsd()?;
        a.neg(eax)?;
        a.add(eax, dword_ptr(esi))?;
        a.call(s.near("FormatDecimal"))?;
        a.add(edi, LINE_BYTES as u32)?;
        a.dec(ebx)?;
        a.jne(next)?;
        a.mov(eax, dword_ptr(esi))?;
        a.sub(eax, dword_ptr(esi - (count as i32 - 1) * 4))?;
        a.jmp(s.near("FormatDecimal"))
    });
    // In: EAX = number, EDI = end of its digits. Uses EAX, ECX, EDX.
    module.code("FormatDecimal", |a, _| {
        let mut next = a.create_label();
        a.push(edi)?;
        a.mov(ecx, 10)?;
        a.set_label(&mut next)?;
        a.xor(edx, edx)?;
        a.div(ecx)?;
        a.add(dl, 0x30)?;
        a.dec(edi)?;
        a.mov(byte_ptr(edi), dl)?;
        a.test(eax, eax)?;
        a.jne(next)?;
        a.pop(edi)?;
        a.ret()
    });
    module.text("Greeting", &options.console_text);
    module.directories();
    module.section(".data", Access::Data);
    module.space("Stamps", CALLS * count * 4);
    module.text("Bill", &bill);
}
