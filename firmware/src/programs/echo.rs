//! The program that talks back: what comes in at COM1 goes out again.

use super::begin;
use crate::image::ImageOptions;
use crate::module::{Access, ModuleSource};
use abi::addresses::{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE};
use iced_x86::code_asm::*;

const BUFFER_BYTES: u32 = 64;
const END_OF_TRANSMISSION: u32 = 4;

pub fn add(module: &mut ModuleSource, options: &ImageOptions) {
    begin(
        module,
        options,
        &["ExitProcess", "GetStdHandle", "ReadFile", "WriteFile"],
        &[],
    );
    module.code("WinMain", |a, s| {
        let mut next = a.create_label();
        let mut done = a.create_label();
        a.push(ebp)?;
        a.mov(ebp, esp)?;
        a.push(ecx)?;
        a.push(STD_INPUT_HANDLE as i32)?;
        a.call(dword_ptr(s.import("GetStdHandle")))?;
        a.mov(esi, eax)?;
        a.push(STD_OUTPUT_HANDLE as i32)?;
        a.call(dword_ptr(s.import("GetStdHandle")))?;
        a.mov(edi, eax)?;
        a.set_label(&mut next)?;
        a.push(0)?;
        a.lea(ecx, dword_ptr(ebp - 4))?;
        a.push(ecx)?;
        a.push(BUFFER_BYTES)?;
        a.push(s.at("Buffer"))?;
        a.push(esi)?;
        a.call(dword_ptr(s.import("ReadFile")))?;
        a.test(eax, eax)?;
        a.je(done)?;
        a.mov(edx, dword_ptr(ebp - 4))?;
        a.push(0)?;
        a.lea(ecx, dword_ptr(ebp - 4))?;
        a.push(ecx)?;
        a.push(edx)?;
        a.push(s.at("Buffer"))?;
        a.push(edi)?;
        a.call(dword_ptr(s.import("WriteFile")))?;
        a.mov(edx, dword_ptr(ebp - 4))?;
        a.cmp(byte_ptr(edx + s.at("Buffer") - 1), END_OF_TRANSMISSION)?;
        a.jne(next)?;
        a.set_label(&mut done)?;
        a.xor(eax, eax)?;
        a.leave()?;
        a.ret()
    });
    module.directories();
    module.section(".data", Access::Data);
    module.space("Buffer", BUFFER_BYTES);
}
