//! The process's heap in `ntdll`, for images of own programs: blocks of powers of two, a list of free ones for each size.

use crate::kernel::field;
use crate::module::{Access, ModuleSource, Scope};
use abi::addresses::CURRENT_PROCESS;
use abi::status::STATUS_NO_MEMORY;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Symbol whose address is the process's heap handle.
pub const PROCESS_HEAP: &str = "RtlpProcessHeap";
/// Before each block: the bytes asked for, and the number of its list.
const HEADER: i32 = 8;
/// The smallest block with its header, as a power of two.
const SMALLEST: u32 = 5;
/// Bytes that are taken from the kernel at once.
const ARENA: u32 = 0x1_0000;
const HEAP_ZERO_MEMORY: u32 = 8;
const MEM_COMMIT_AND_RESERVE: u32 = 0x3000;
const PAGE_READWRITE: u32 = 4;
/// The largest block that can be asked for.
const LARGEST: u32 = 0x0100_0000;

/// Functions, in a section of code.
pub fn add(module: &mut ModuleSource) {
    module.code("RtlAllocateHeap", allocate).export();
    module.code("RtlFreeHeap", free).export();
    module.code("RtlReAllocateHeap", reallocate).export();
    let size = module.code("RtlSizeHeap", |a, _| {
        // (heap, flags, block)
        a.mov(eax, dword_ptr(esp + 12))?;
        a.mov(eax, dword_ptr(eax - HEADER))?;
        a.ret_1(12)
    });
    size.export();
}

/// Variables, in a section of their own.
pub fn add_data(module: &mut ModuleSource) {
    module.section(".data", Access::Data);
    module.space(PROCESS_HEAP, 32 * 4).align(16);
    // What is left of the last arena.
    module.dword("RtlpHeapNext", 0);
    module.dword("RtlpHeapEnd", 0);
}

/// void *RtlAllocateHeap(heap, flags, bytes).
fn allocate(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut fits = a.create_label();
    let mut take = a.create_label();
    let mut no_memory = a.create_label();
    let mut ready = a.create_label();
    let mut done = a.create_label();
    let (next, end) = (s.at("RtlpHeapNext"), s.at("RtlpHeapEnd"));
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.sub(esp, 8)?;
    a.push(ebx)?;
    a.push(edi)?;
    a.mov(eax, dword_ptr(ebp + 16))?;
    a.cmp(eax, LARGEST)?;
    a.ja(no_memory)?;
    // ECX = the power of two that holds header and block.
    a.add(eax, HEADER - 1)?;
    a.or(eax, 1 << (SMALLEST - 1))?;
    a.bsr(ecx, eax)?;
    a.inc(ecx)?;
    a.mov(ebx, dword_ptr(ecx * 4 + s.at(PROCESS_HEAP)))?;
    a.test(ebx, ebx)?;
    a.je(take)?;
    a.mov(eax, dword_ptr(ebx + HEADER))?;
    a.mov(dword_ptr(ecx * 4 + s.at(PROCESS_HEAP)), eax)?;
    a.jmp(ready)?;

    a.set_label(&mut take)?;
    a.mov(edi, 1)?;
    a.shl(edi, cl)?;
    a.mov(ebx, dword_ptr(next))?;
    a.lea(eax, dword_ptr(ebx + edi))?;
    a.cmp(eax, dword_ptr(end))?;
    a.jbe(fits)?;
    // A new arena; what was left of the old one is lost.
    a.push(ecx)?;
    a.and(dword_ptr(ebp - 4), 0)?;
    a.mov(eax, edi)?;
    a.cmp(eax, ARENA)?;
    let mut enough = a.create_label();
    a.jae(enough)?;
    a.mov(eax, ARENA)?;
    a.set_label(&mut enough)?;
    a.mov(dword_ptr(ebp - 8), eax)?;
    a.push(PAGE_READWRITE)?;
    a.push(MEM_COMMIT_AND_RESERVE)?;
    a.lea(eax, dword_ptr(ebp - 8))?;
    a.push(eax)?;
    a.push(0)?;
    a.lea(eax, dword_ptr(ebp - 4))?;
    a.push(eax)?;
    a.push(CURRENT_PROCESS as i32)?;
    a.call(s.near("ZwAllocateVirtualMemory"))?;
    a.pop(ecx)?;
    a.test(eax, eax)?;
    a.js(no_memory)?;
    a.mov(ebx, dword_ptr(ebp - 4))?;
    a.mov(eax, ebx)?;
    a.add(eax, dword_ptr(ebp - 8))?;
    a.mov(dword_ptr(end), eax)?;
    a.lea(eax, dword_ptr(ebx + edi))?;
    a.set_label(&mut fits)?;
    a.mov(dword_ptr(next), eax)?;

    a.set_label(&mut ready)?;
    a.mov(eax, dword_ptr(ebp + 16))?;
    a.mov(dword_ptr(ebx), eax)?;
    a.mov(dword_ptr(ebx + 4), ecx)?;
    a.lea(ebx, dword_ptr(ebx + HEADER))?;
    a.test(dword_ptr(ebp + 12), HEAP_ZERO_MEMORY)?;
    a.je(done)?;
    a.mov(edi, ebx)?;
    a.mov(ecx, eax)?;
    a.xor(eax, eax)?;
    a.rep().stosb()?;
    a.set_label(&mut done)?;
    a.mov(eax, ebx)?;
    a.pop(edi)?;
    a.pop(ebx)?;
    a.leave()?;
    a.ret_1(12)?;

    a.set_label(&mut no_memory)?;
    a.push(STATUS_NO_MEMORY as i32)?;
    a.call(s.near("RtlNtStatusToDosError"))?;
    a.mov(crate::kernel::teb_field!(last_error_value), eax)?;
    a.xor(ebx, ebx)?;
    a.jmp(done)
}

/// BOOL RtlFreeHeap(heap, flags, block).
fn free(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.mov(eax, dword_ptr(esp + 12))?;
    a.test(eax, eax)?;
    a.je(done)?;
    a.mov(ecx, dword_ptr(eax - HEADER + 4))?;
    a.mov(edx, dword_ptr(ecx * 4 + s.at(PROCESS_HEAP)))?;
    a.mov(dword_ptr(eax), edx)?;
    a.sub(eax, HEADER)?;
    a.mov(dword_ptr(ecx * 4 + s.at(PROCESS_HEAP)), eax)?;
    a.set_label(&mut done)?;
    a.mov(eax, 1)?;
    a.ret_1(12)
}

/// void *RtlReAllocateHeap(heap, flags, block, bytes): a new block with the old bytes.
fn reallocate(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut failed = a.create_label();
    let mut shorter = a.create_label();
    let parameter = |index: i32| dword_ptr(ebp + 8 + 4 * index);
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.push(esi)?;
    a.push(edi)?;
    for index in [3, 1, 0] {
        a.push(parameter(index))?;
    }
    a.call(s.near("RtlAllocateHeap"))?;
    a.test(eax, eax)?;
    a.je(failed)?;
    a.mov(edi, eax)?;
    a.mov(esi, parameter(2))?;
    a.mov(ecx, dword_ptr(esi - HEADER))?;
    a.cmp(ecx, parameter(3))?;
    a.jbe(shorter)?;
    a.mov(ecx, parameter(3))?;
    a.set_label(&mut shorter)?;
    a.push(eax)?;
    a.rep().movsb()?;
    for index in [2, 1, 0] {
        a.push(parameter(index))?;
    }
    a.call(s.near("RtlFreeHeap"))?;
    a.pop(eax)?;
    a.set_label(&mut failed)?;
    a.pop(edi)?;
    a.pop(esi)?;
    a.pop(ebp)?;
    a.ret_1(16)
}

/// Offset of the heap's handle in the process environment.
pub const PEB_PROCESS_HEAP: i32 = field!(ProcessEnvironment.process_heap);
