//! Handles and the serial device behind them.

use super::{argument, probe};
use crate::kernel::console::SEND_BYTES;
use crate::kernel::tables::{HANDLE_COUNT, READABLE, WRITABLE};
use crate::module::{ModuleSource, Scope};
use abi::addresses::USER_PROBE_ADDRESS;
use abi::status::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

const _: () = assert!(SEND_BYTES.is_power_of_two());
/// Ctrl-Z ends input that is read by lines.
const END_OF_INPUT: u32 = 0x1A;
const LINE_FEED: u32 = 0x0A;

/// Arguments of NtReadFile and NtWriteFile.
const FILE_HANDLE: i32 = 0;
const IO_STATUS_BLOCK: i32 = 4;
const BUFFER: i32 = 5;
const LENGTH: i32 = 6;

pub fn add(module: &mut ModuleSource) {
    module.code("ObpReferenceHandle", reference_handle);
    module.code("IopProbeTransfer", probe_transfer);
}

/// In: EAX = handle, DL = access wanted. Out: EAX = status, ZF set if it is a success, ECX = its entry.
fn reference_handle(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut invalid = a.create_label();
    let mut denied = a.create_label();
    a.test(al, 3)?;
    a.jne(invalid)?;
    a.shr(eax, 2)?;
    a.cmp(eax, HANDLE_COUNT)?;
    a.jae(invalid)?;
    a.lea(ecx, dword_ptr(eax + s.at("ObpHandleTable")))?;
    a.cmp(byte_ptr(ecx), 0)?;
    a.je(invalid)?;
    a.mov(al, byte_ptr(ecx))?;
    a.and(al, dl)?;
    a.cmp(al, dl)?;
    a.jne(denied)?;
    a.xor(eax, eax)?;
    a.ret()?;
    a.set_label(&mut invalid)?;
    a.mov(eax, STATUS_INVALID_HANDLE)?;
    a.test(eax, eax)?;
    a.ret()?;
    a.set_label(&mut denied)?;
    a.mov(eax, STATUS_ACCESS_DENIED)?;
    a.test(eax, eax)?;
    a.ret()
}

/// Checks what NtReadFile and NtWriteFile were given, with EBP as theirs. In: DL = access wanted.
/// Out: EAX = status and ZF as above, ESI = buffer, EBX = length. Every page of the buffer is read once,
/// so that a bad one is found before a byte has moved.
fn probe_transfer(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut refused = a.create_label();
    let mut aligned = a.create_label();
    let mut in_user_space = a.create_label();
    let mut touch = a.create_label();
    let mut touched = a.create_label();
    a.mov(eax, argument(FILE_HANDLE))?;
    a.call(s.near("ObpReferenceHandle"))?;
    a.jne(refused)?;
    a.mov(edx, argument(IO_STATUS_BLOCK))?;
    a.test(dl, 3)?;
    a.je(aligned)?;
    a.mov(eax, STATUS_DATATYPE_MISALIGNMENT)?;
    a.test(eax, eax)?;
    a.ret()?;
    a.set_label(&mut aligned)?;
    probe(a, s, edx, 8)?;
    a.mov(eax, dword_ptr(edx))?;
    a.mov(dword_ptr(edx), eax)?;
    a.mov(esi, argument(BUFFER))?;
    a.mov(ebx, argument(LENGTH))?;
    a.mov(edx, esi)?;
    a.add(edx, ebx)?;
    a.jb(s.near("KiReturnAccessViolation"))?;
    a.cmp(edx, USER_PROBE_ADDRESS)?;
    a.jbe(in_user_space)?;
    a.jmp(s.near("KiReturnAccessViolation"))?;
    a.set_label(&mut in_user_space)?;
    a.mov(ecx, esi)?;
    a.set_label(&mut touch)?;
    a.cmp(ecx, edx)?;
    a.jae(touched)?;
    a.mov(al, byte_ptr(ecx))?;
    a.and(ecx, 0xFFFF_F000u32)?;
    a.add(ecx, 0x1000)?;
    a.jmp(touch)?;
    a.set_label(&mut touched)?;
    a.xor(eax, eax)?;
    a.set_label(&mut refused)?;
    a.ret()
}

/// EAX := 0 after Status := 0 and Information := EBX in the caller's I/O status block.
fn complete(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(ecx, argument(IO_STATUS_BLOCK))?;
    a.xor(eax, eax)?;
    a.mov(dword_ptr(ecx + field!(IoStatusBlock.status)), eax)?;
    a.mov(dword_ptr(ecx + field!(IoStatusBlock.information)), ebx)
}

/// NtWriteFile: queues the bytes; the transmit interrupt sends them.
pub fn write(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.mov(dl, u32::from(WRITABLE))?;
    a.call(s.near("IopProbeTransfer"))?;
    a.jne(done)?;
    a.mov(ecx, ebx)?;
    a.call(s.near("KiConsoleWrite"))?;
    complete(a)?;
    a.set_label(&mut done)?;
    a.nop()
}

/// NtReadFile: waits until something was received, then returns what there is, up to Length bytes. With `lines` it waits for
/// the end of a line, or for a Ctrl-Z, which stays where it is: all further reads get nothing.
pub fn read(
    a: &mut CodeAssembler,
    s: &Scope,
    received_bytes: u32,
    lines: bool,
) -> Result<(), IcedError> {
    let mut done = a.create_label();
    let mut finished = a.create_label();
    let mut wait = a.create_label();
    let mut some = a.create_label();
    let mut next = a.create_label();
    let head = dword_ptr(s.at("KiReceivedHead"));
    let tail = dword_ptr(s.at("KiReceivedTail"));
    a.mov(dl, u32::from(READABLE))?;
    a.call(s.near("IopProbeTransfer"))?;
    a.jne(done)?;
    a.mov(edi, esi)?;
    a.test(ebx, ebx)?;
    a.je(finished)?;
    a.set_label(&mut wait)?;
    a.cli()?;
    a.mov(eax, head)?;
    a.cmp(eax, tail)?;
    a.jne(some)?;
    // STI takes effect after HLT has begun: the interrupt that brings a byte cannot be missed.
    a.sti()?;
    a.hlt()?;
    a.jmp(wait)?;
    a.set_label(&mut some)?;
    a.sti()?;
    a.lea(edx, dword_ptr(esi + ebx))?;
    a.set_label(&mut next)?;
    a.mov(eax, tail)?;
    a.cmp(eax, head)?;
    a.je(if lines { wait } else { finished })?;
    a.and(eax, received_bytes - 1)?;
    a.mov(al, byte_ptr(eax + s.at("KiReceivedRing")))?;
    if lines {
        a.cmp(al, END_OF_INPUT)?;
        a.je(finished)?;
    }
    // The tail moves after the store: a page that cannot be written loses no byte.
    a.stosb()?;
    a.inc(tail)?;
    if lines {
        a.cmp(al, LINE_FEED)?;
        a.je(finished)?;
    }
    a.cmp(edi, edx)?;
    a.jb(next)?;
    a.set_label(&mut finished)?;
    a.mov(ebx, edi)?;
    a.sub(ebx, esi)?;
    complete(a)?;
    a.set_label(&mut done)?;
    a.nop()
}

/// NtClose.
pub fn close(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.mov(eax, argument(0))?;
    a.xor(edx, edx)?;
    a.call(s.near("ObpReferenceHandle"))?;
    a.jne(done)?;
    a.mov(byte_ptr(ecx), 0)?;
    a.set_label(&mut done)?;
    a.nop()
}

/// NtDisplayString: the low bytes of a UTF-16 string.
pub fn display_string(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut done = a.create_label();
    a.mov(edx, argument(0))?;
    probe(a, s, edx, 8)?;
    a.movzx(ebx, word_ptr(edx + field!(UnicodeString.length)))?;
    a.mov(edx, dword_ptr(edx + field!(UnicodeString.buffer)))?;
    probe(a, s, edx, 0x1_0000)?;
    a.shr(ebx, 1)?;
    a.push(edx)?;
    a.push(eax)?;
    a.set_label(&mut next)?;
    a.test(ebx, ebx)?;
    a.je(done)?;
    a.mov(edx, dword_ptr(ebp - 4))?;
    a.mov(al, byte_ptr(edx))?;
    a.mov(byte_ptr(ebp - 8), al)?;
    a.add(dword_ptr(ebp - 4), 2)?;
    a.lea(esi, dword_ptr(ebp - 8))?;
    a.mov(ecx, 1)?;
    a.call(s.near("KiConsoleWrite"))?;
    a.dec(ebx)?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    a.xor(eax, eax)
}
