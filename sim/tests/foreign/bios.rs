//! A ROM as a PC's BIOS is one: real mode, test codes, keyboard controller, CMOS, interrupts, its own mirror below 1 MB.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// The ROM's size: one segment.
const BYTES: usize = 0x1_0000;
/// Offset of the power-on self-test, where PCs have it.
const START: u32 = 0xE05B;
/// Offset of the timer's interrupt.
const TIMER: u32 = 0xFEA5;
/// Offset of the text.
const TEXT: u32 = 0xD000;
/// Counts interrupts of the timer, in the BIOS data area.
const TICKS: u32 = 0x46C;
/// What it prints.
pub const HELLO: &str = "BIOS in 64 KB: keyboard, CMOS, timer and COM1 answer.\r\n";
/// It ends with this exit code if all went well; else with that of the test that failed.
pub const EXIT: u8 = 0x21;
/// A port that no PC has.
pub const NOBODYS_PORT: u16 = 0x1234;

/// The ROM.
pub fn rom() -> Vec<u8> {
    let mut rom = vec![0xFF; BYTES];
    let mut put = |offset: u32, bytes: &[u8]| {
        rom[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    };
    put(TEXT, HELLO.as_bytes());
    put(START, &assemble(START, self_test));
    put(TIMER, &assemble(TIMER, timer));
    // jmp far F000:START, which leaves the end of the address space for the first megabyte.
    put(0xFFF0, &[0xEA, START as u8, (START >> 8) as u8, 0x00, 0xF0]);
    put(0xFFF5, b"11/23/26");
    rom
}

fn assemble(offset: u32, code: fn(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<u8> {
    let mut asm = CodeAssembler::new(16).expect("16 bits");
    code(&mut asm).expect("the operands fit");
    asm.assemble(offset.into()).expect("an encoding")
}

fn timer(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(ax)?;
    a.push(ds)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.inc(word_ptr(TICKS))?;
    a.mov(al, 0x20)?;
    a.out(0x20, al)?;
    a.pop(ds)?;
    a.pop(ax)?;
    a.iret()
}

/// One value to a port below 100h.
fn out(a: &mut CodeAssembler, port: i32, value: u32) -> Result<(), IcedError> {
    a.mov(al, value)?;
    a.out(port, al)
}

/// The test code: shown, and kept for the exit code of a failure.
fn post(a: &mut CodeAssembler, code: u32) -> Result<(), IcedError> {
    out(a, 0x80, code)?;
    a.mov(bp, code as i32)
}

/// Waits until the keyboard controller takes a byte.
fn keyboard_ready(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut again = a.create_label();
    a.set_label(&mut again)?;
    a.in_(al, 0x64)?;
    a.test(al, 2)?;
    a.jne(again)
}

/// Waits for a byte of the keyboard controller.
fn keyboard_answer(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut again = a.create_label();
    a.set_label(&mut again)?;
    a.in_(al, 0x64)?;
    a.test(al, 1)?;
    a.je(again)?;
    a.in_(al, 0x60)
}

fn cmos(a: &mut CodeAssembler, index: u32) -> Result<(), IcedError> {
    out(a, 0x70, index | 0x80)?;
    a.in_(al, 0x71)
}

fn self_test(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut fail = a.create_label();
    a.cli()?;
    a.cld()?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(ss, ax)?;
    a.mov(sp, 0x7C00)?;

    // 1: the mirror holds what the reset vector holds, and cannot be written.
    post(a, 1)?;
    a.mov(dx, 0x190)?;
    a.out(dx, al)?;
    a.mov(ax, cs)?;
    a.cmp(ax, 0xF000u32 as i32)?;
    a.jne(fail)?;
    a.mov(es, ax)?;
    a.cmp(byte_ptr(0xFFF0).es(), 0xEAu32)?;
    a.jne(fail)?;
    a.mov(byte_ptr(0x0010).es(), 0x55u32)?;
    // A load right behind would take the byte from the store; a port access waits until it is gone.
    a.in_(al, 0x80)?;
    a.cmp(byte_ptr(0x0010).es(), 0xFFu32)?;
    a.jne(fail)?;

    // 2: the keyboard controller's self-test, and A20 through its output port; then the bytes at 0 and at 1 MB differ.
    post(a, 2)?;
    keyboard_ready(a)?;
    out(a, 0x64, 0xAA)?;
    keyboard_answer(a)?;
    a.cmp(al, 0x55)?;
    a.jne(fail)?;
    keyboard_ready(a)?;
    out(a, 0x64, 0xD1)?;
    keyboard_ready(a)?;
    out(a, 0x60, 0xDF)?;
    keyboard_ready(a)?;
    out(a, 0x64, 0xD0)?;
    keyboard_answer(a)?;
    a.test(al, 2)?;
    a.je(fail)?;
    a.mov(word_ptr(0x500), 0x1111u32)?;
    a.mov(ax, -1)?;
    a.mov(es, ax)?;
    a.mov(word_ptr(0x510).es(), 0x2222u32)?; // FFFF:0510 is 100500h
    a.cmp(word_ptr(0x500), 0x1111u32)?;
    a.jne(fail)?;
    // The keyboard itself: reset, and its two answers.
    keyboard_ready(a)?;
    out(a, 0x60, 0xFF)?;
    for answer in [0xFA, 0xAA] {
        keyboard_answer(a)?;
        a.cmp(al, answer)?;
        a.jne(fail)?;
    }

    // 3: the clock stands still outside its updates; its memory says 640 KB, and its battery is good.
    post(a, 3)?;
    let mut updating = a.create_label();
    a.set_label(&mut updating)?;
    cmos(a, 0x0A)?;
    a.test(al, 0x80u32 as i32)?;
    a.jne(updating)?;
    cmos(a, 0x15)?;
    a.mov(bl, al)?;
    cmos(a, 0x16)?;
    a.mov(bh, al)?;
    a.cmp(bx, 640)?;
    a.jne(fail)?;
    cmos(a, 0x0D)?;
    a.test(al, 0x80u32 as i32)?;
    a.je(fail)?;
    // A byte that software keeps.
    out(a, 0x70, 0x5A)?;
    out(a, 0x71, 0xC3)?;
    cmos(a, 0x5A)?;
    a.cmp(al, 0xC3u32 as i32)?;
    a.jne(fail)?;

    // 4: every 64 KB of conventional memory keeps what is written to it.
    post(a, 4)?;
    let mut block = a.create_label();
    a.mov(bx, 0x1000)?;
    a.set_label(&mut block)?;
    a.mov(es, bx)?;
    a.mov(word_ptr(0).es(), bx)?;
    a.cmp(word_ptr(0).es(), bx)?;
    a.jne(fail)?;
    a.add(bx, 0x1000)?;
    a.cmp(bx, 0xA000u32 as i32)?;
    a.jb(block)?;

    // 5: three interrupts of the timer at 1000 Hz.
    post(a, 5)?;
    a.mov(word_ptr(8 * 4), TIMER)?;
    a.mov(word_ptr(8 * 4 + 2), cs)?;
    for (port, value) in [
        (0x20, 0x11),
        (0x21, 0x08),
        (0x21, 0x04),
        (0x21, 0x01),
        (0x21, 0xFE),
    ] {
        out(a, port, value)?;
    }
    for (port, value) in [(0x43, 0x34), (0x40, 0xA9), (0x40, 0x04)] {
        out(a, port, value)?;
    }
    let mut wait = a.create_label();
    a.set_label(&mut wait)?;
    a.sti()?;
    a.hlt()?;
    a.cli()?;
    a.cmp(word_ptr(TICKS), 3)?;
    a.jb(wait)?;

    // 6: nobody answers at a port that nobody has.
    post(a, 6)?;
    a.mov(dx, i32::from(NOBODYS_PORT))?;
    a.out(dx, al)?;
    a.in_(ax, dx)?;
    a.cmp(ax, -1)?;
    a.jne(fail)?;

    // 7: the text, to COM1 and to the debug console.
    post(a, 7)?;
    for (port, value) in [(0x3FB, 0x83), (0x3F8, 1), (0x3F9, 0), (0x3FB, 0x03)] {
        a.mov(dx, port)?;
        a.mov(al, value)?;
        a.out(dx, al)?;
    }
    let mut next = a.create_label();
    let mut busy = a.create_label();
    let mut done = a.create_label();
    a.mov(si, TEXT as i32)?;
    a.mov(cx, HELLO.len() as i32)?;
    a.mov(ax, cs)?;
    a.mov(ds, ax)?;
    a.set_label(&mut next)?;
    a.jcxz(done)?;
    a.mov(dx, 0x3FD)?;
    a.set_label(&mut busy)?;
    a.in_(al, dx)?;
    a.test(al, 0x20)?;
    a.je(busy)?;
    a.lodsb()?;
    a.mov(dx, 0x3F8)?;
    a.out(dx, al)?;
    a.out(0xE9, al)?;
    a.dec(cx)?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    // Until the last byte is on the line.
    let mut sending = a.create_label();
    a.mov(dx, 0x3FD)?;
    a.set_label(&mut sending)?;
    a.in_(al, dx)?;
    a.test(al, 0x40)?;
    a.je(sending)?;

    post(a, 0x10)?;
    a.set_label(&mut fail)?;
    a.mov(ax, bp)?;
    a.out(0xF4, al)?;
    a.cli()?;
    a.hlt()
}
