//! Ends: the process's, and the machine's when the kernel itself failed.

use crate::hardware::{COM1, EXIT, POST, uart};
use crate::module::{ModuleSource, Scope};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

const POST_DONE: u32 = 0xFF;
const POST_BUG_CHECK: u32 = 0xDE;
/// `UNEXPECTED_KERNEL_MODE_TRAP`.
const STOP_TEXT: &str = "\r\n*** STOP: 0x0000007F (";
const LINE_END: &str = "\r\n";

pub fn add(module: &mut ModuleSource, own_program: Option<&str>) {
    let exits = own_program.is_some();
    let exception_text = format!(
        "\r\n*** {} ended by exception ",
        own_program.unwrap_or("winlogon.exe")
    );
    let exception_bytes = exception_text.len() as u32;
    // In: EAX = exit status. The last process is gone: send what is queued, then stop.
    module.code("PspExitProcess", move |a, s| {
        a.mov(dword_ptr(s.at("PspExitStatus")), eax)?;
        a.call(s.near("KiConsoleDrain"))?;
        if exits {
            a.mov(eax, dword_ptr(s.at("PspExitStatus")))?;
            a.mov(edx, EXIT)?;
            a.out(dx, eax)?;
        }
        a.mov(al, POST_DONE)?;
        a.out(POST as i32, al)?;
        a.jmp(s.near("KiHalt"))
    });
    module.code("KiHalt", |a, _| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.cli()?;
        a.hlt()?;
        a.jmp(again)
    });
    module.code("PspUnhandledException", move |a, s| {
        unhandled_exception(a, s, exception_bytes)
    });
    module.code("KeBugCheck", bug_check);
    module.code("KiPrintText", print_text);
    module.code("KiPrintHex", print_hex);
    module.text("KiStopText", STOP_TEXT);
    module.text("KiExceptionText", &exception_text);
    module.text("KiLineEnd", LINE_END);
}

/// In: EAX = exception code, EDX = address.
fn unhandled_exception(a: &mut CodeAssembler, s: &Scope, text_bytes: u32) -> Result<(), IcedError> {
    a.push(eax)?;
    a.push(edx)?;
    a.call(s.near("KiConsoleDrain"))?;
    a.mov(esi, s.at("KiExceptionText"))?;
    a.mov(ecx, text_bytes)?;
    a.call(s.near("KiPrintText"))?;
    a.mov(eax, dword_ptr(esp + 4))?;
    a.call(s.near("KiPrintHex"))?;
    a.pop(eax)?;
    a.call(s.near("KiPrintHex"))?;
    a.mov(esi, s.at("KiLineEnd"))?;
    a.mov(ecx, LINE_END.len() as u32)?;
    a.call(s.near("KiPrintText"))?;
    a.pop(eax)?;
    a.jmp(s.near("PspExitProcess"))
}

/// In: EAX = vector, EBP = frame. Prints both without interrupts and halts.
fn bug_check(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.cli()?;
    a.push(eax)?;
    a.mov(al, POST_BUG_CHECK)?;
    a.out(POST as i32, al)?;
    a.mov(esi, s.at("KiStopText"))?;
    a.mov(ecx, STOP_TEXT.len() as u32)?;
    a.call(s.near("KiPrintText"))?;
    a.pop(eax)?;
    a.call(s.near("KiPrintHex"))?;
    for offset in [field!(TrapFrame.eip), field!(TrapFrame.err_code)] {
        a.mov(eax, dword_ptr(ebp + offset))?;
        a.call(s.near("KiPrintHex"))?;
    }
    a.mov(eax, cr2)?;
    a.call(s.near("KiPrintHex"))?;
    a.mov(esi, s.at("KiLineEnd"))?;
    a.mov(ecx, LINE_END.len() as u32)?;
    a.call(s.near("KiPrintText"))?;
    a.call(s.near("KiCom1WaitIdle"))?;
    a.jmp(s.near("KiHalt"))
}

/// Sends ECX bytes at ESI by polling.
fn print_text(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut wait = a.create_label();
    a.set_label(&mut next)?;
    a.mov(edx, COM1 + uart::LINE_STATUS)?;
    a.set_label(&mut wait)?;
    a.in_(al, dx)?;
    a.test(al, uart::HOLDING_EMPTY)?;
    a.je(wait)?;
    a.lodsb()?;
    a.mov(edx, COM1)?;
    a.out(dx, al)?;
    a.dec(ecx)?;
    a.jne(next)?;
    a.ret()
}

/// Sends EAX as eight hexadecimal digits and a space by polling.
fn print_hex(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut digit = a.create_label();
    a.push(0x20)?;
    a.push(0)?;
    a.push(0)?;
    a.mov(edi, 8)?;
    a.set_label(&mut next)?;
    a.mov(ecx, eax)?;
    a.and(ecx, 15)?;
    a.add(ecx, 0x30)?;
    a.cmp(ecx, 0x3A)?;
    a.jb(digit)?;
    a.add(ecx, 0x27)?;
    a.set_label(&mut digit)?;
    a.mov(byte_ptr(esp + edi - 1), cl)?;
    a.shr(eax, 4)?;
    a.dec(edi)?;
    a.jne(next)?;
    a.mov(esi, esp)?;
    a.mov(ecx, 9)?;
    a.call(s.near("KiPrintText"))?;
    a.add(esp, 12)?;
    a.ret()
}
