//! Virtual memory in the region that the image leaves free, page by page through the self map.

use super::{argument, probe};
use crate::memory_map::{ALLOCATION_BASE, ALLOCATION_END, LOADER_BLOCK, LoaderBlock};
use crate::module::{ModuleSource, Scope};
use abi::addresses::{CURRENT_PROCESS, SELF_MAP_TABLES};
use abi::status::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use spec::paging::{PAGE_BYTES as PAGE, PRESENT, USER, WRITABLE};
use std::mem::offset_of;

/// Pages of RAM that can be told free from used: 2 MB.
pub const MAX_PAGES: u32 = 512;
/// Allocations begin at multiples of 64 KB.
const GRANULARITY: u32 = 0x1_0000;
const PAGE_READONLY: u32 = 0x02;

/// Arguments.
const PROCESS: i32 = 0;
const BASE_ADDRESS: i32 = 1;
const ALLOCATE_SIZE: i32 = 3;
const FREE_SIZE: i32 = 2;
const PROTECTION: i32 = 5;

fn loader(offset: usize) -> AsmMemoryOperand {
    dword_ptr(LOADER_BLOCK + offset as u32)
}

pub fn add(module: &mut ModuleSource) {
    // Out: EAX = physical address of a free page, now taken; ZF set if there is none. Uses ECX, EDX.
    module.code("MiTakePage", |a, s| {
        let mut next = a.create_label();
        let mut found = a.create_label();
        let mut none = a.create_label();
        a.mov(eax, loader(offset_of!(LoaderBlock, free_memory)))?;
        a.mov(edx, loader(offset_of!(LoaderBlock, memory_end)))?;
        a.set_label(&mut next)?;
        a.cmp(eax, edx)?;
        a.jae(none)?;
        a.mov(ecx, eax)?;
        a.shr(ecx, 12)?;
        a.cmp(ecx, MAX_PAGES)?;
        a.jae(none)?;
        a.cmp(byte_ptr(ecx + s.at("MmPageInUse")), 0)?;
        a.je(found)?;
        a.add(eax, PAGE)?;
        a.jmp(next)?;
        a.set_label(&mut found)?;
        a.inc(byte_ptr(ecx + s.at("MmPageInUse")))?;
        a.test(eax, eax)?;
        a.ret()?;
        a.set_label(&mut none)?;
        a.xor(eax, eax)?;
        a.ret()
    });
    // Unmaps and frees the pages from EDI up to ESI, both page boundaries of the region. Uses EAX, ECX, EDX.
    module.code("MiReleasePages", |a, s| {
        let mut next = a.create_label();
        let mut absent = a.create_label();
        let mut done = a.create_label();
        a.set_label(&mut next)?;
        a.cmp(edi, esi)?;
        a.jae(done)?;
        entry_of_edi(a)?;
        a.mov(eax, dword_ptr(edx))?;
        a.test(eax, PRESENT)?;
        a.je(absent)?;
        a.mov(dword_ptr(edx), 0)?;
        a.invlpg(byte_ptr(edi))?;
        a.shr(eax, 12)?;
        a.mov(byte_ptr(eax + s.at("MmPageInUse")), 0)?;
        a.set_label(&mut absent)?;
        a.add(edi, PAGE)?;
        a.jmp(next)?;
        a.set_label(&mut done)?;
        a.ret()
    });
}

/// EDX := address of the page-table entry of EDI.
fn entry_of_edi(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edx, edi)?;
    a.shr(edx, 12)?;
    a.lea(edx, dword_ptr(edx * 4 + SELF_MAP_TABLES))
}

/// Checks the process and the two pointers: EDI = base, ESI = size, at most the region's. Leaves at
/// `refused` with EAX = status.
fn pointers(
    a: &mut CodeAssembler,
    s: &Scope,
    size_argument: i32,
    refused: CodeLabel,
) -> Result<(), IcedError> {
    a.mov(eax, STATUS_INVALID_HANDLE)?;
    a.cmp(argument(PROCESS), CURRENT_PROCESS as i32)?;
    a.jne(refused)?;
    a.mov(ebx, argument(BASE_ADDRESS))?;
    probe(a, s, ebx, 4)?;
    a.mov(edx, argument(size_argument))?;
    probe(a, s, edx, 4)?;
    a.mov(edi, dword_ptr(ebx))?;
    a.mov(esi, dword_ptr(edx))?;
    // Both are written at the end: find out now whether they can be.
    a.mov(dword_ptr(ebx), edi)?;
    a.mov(dword_ptr(edx), esi)?;
    a.mov(eax, STATUS_INVALID_PARAMETER)?;
    a.cmp(esi, ALLOCATION_END - ALLOCATION_BASE)?;
    a.ja(refused)
}

/// Leaves at `refused` unless EDI up to ESI lies in the region for allocations.
fn check_region(a: &mut CodeAssembler, refused: CodeLabel) -> Result<(), IcedError> {
    a.mov(eax, STATUS_CONFLICTING_ADDRESSES)?;
    a.cmp(edi, ALLOCATION_BASE)?;
    a.jb(refused)?;
    a.cmp(esi, ALLOCATION_END)?;
    a.ja(refused)?;
    a.cmp(esi, edi)?;
    a.jbe(refused)
}

/// NtAllocateVirtualMemory(process, *base, zero bits, *size, type, protection): commits zeroed pages.
/// Pages that are there already stay as they are.
pub fn allocate(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut refused = a.create_label();
    let mut given = a.create_label();
    let mut candidate = a.create_label();
    let mut look = a.create_label();
    let mut taken = a.create_label();
    let mut commit = a.create_label();
    let mut next = a.create_label();
    let mut present = a.create_label();
    let mut exhausted = a.create_label();
    pointers(a, s, ALLOCATE_SIZE, refused)?;
    a.test(esi, esi)?;
    a.je(refused)?;
    a.add(esi, edi)?;
    a.add(esi, PAGE - 1)?;
    a.and(esi, !(PAGE - 1))?;
    a.and(edi, !(PAGE - 1))?;
    a.test(edi, edi)?;
    a.jne(given)?;
    // The first gap that is long enough.
    a.mov(ebx, esi)?;
    a.mov(edi, ALLOCATION_BASE)?;
    a.set_label(&mut candidate)?;
    a.lea(esi, dword_ptr(edi + ebx))?;
    a.mov(eax, STATUS_NO_MEMORY)?;
    a.cmp(esi, ALLOCATION_END)?;
    a.ja(refused)?;
    a.push(edi)?;
    a.set_label(&mut look)?;
    entry_of_edi(a)?;
    a.test(dword_ptr(edx), PRESENT)?;
    a.jne(taken)?;
    a.add(edi, PAGE)?;
    a.cmp(edi, esi)?;
    a.jb(look)?;
    a.pop(edi)?;
    a.jmp(commit)?;
    a.set_label(&mut taken)?;
    a.pop(edi)?;
    a.add(edi, GRANULARITY)?;
    a.jmp(candidate)?;

    a.set_label(&mut given)?;
    check_region(a, refused)?;
    a.set_label(&mut commit)?;
    a.push(edi)?;
    a.set_label(&mut next)?;
    entry_of_edi(a)?;
    a.mov(ebx, edx)?;
    a.test(dword_ptr(ebx), PRESENT)?;
    a.jne(present)?;
    a.call(s.near("MiTakePage"))?;
    a.je(exhausted)?;
    a.or(eax, PRESENT | WRITABLE | USER)?;
    a.mov(dword_ptr(ebx), eax)?;
    a.push(edi)?;
    a.mov(ecx, PAGE / 4)?;
    a.xor(eax, eax)?;
    a.rep().stosd()?;
    a.pop(edi)?;
    a.cmp(argument(PROTECTION), PAGE_READONLY as i32)?;
    a.jne(present)?;
    a.and(dword_ptr(ebx), !WRITABLE)?;
    a.invlpg(byte_ptr(edi))?;
    a.set_label(&mut present)?;
    a.add(edi, PAGE)?;
    a.cmp(edi, esi)?;
    a.jb(next)?;
    a.pop(edi)?;
    a.mov(ebx, argument(BASE_ADDRESS))?;
    a.mov(dword_ptr(ebx), edi)?;
    a.mov(ebx, argument(ALLOCATE_SIZE))?;
    a.sub(esi, edi)?;
    a.mov(dword_ptr(ebx), esi)?;
    a.xor(eax, eax)?;
    a.jmp(refused)?;

    // Give back what this call took.
    a.set_label(&mut exhausted)?;
    a.mov(esi, edi)?;
    a.pop(edi)?;
    a.call(s.near("MiReleasePages"))?;
    a.mov(eax, STATUS_NO_MEMORY)?;
    a.set_label(&mut refused)?;
    a.nop()
}

/// NtFreeVirtualMemory(process, *base, *size, type): unmaps the pages that the range touches; a size of
/// zero means all pages from the base up to the next gap.
pub fn free(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut refused = a.create_label();
    let mut sized = a.create_label();
    let mut measure = a.create_label();
    let mut measured = a.create_label();
    pointers(a, s, FREE_SIZE, refused)?;
    a.and(edi, !(PAGE - 1))?;
    a.test(esi, esi)?;
    a.jne(sized)?;
    // Page tables are certain to be there in the region only.
    a.lea(esi, dword_ptr(edi + PAGE))?;
    check_region(a, refused)?;
    a.mov(esi, edi)?;
    a.set_label(&mut measure)?;
    a.mov(edx, esi)?;
    a.shr(edx, 12)?;
    a.cmp(esi, ALLOCATION_END)?;
    a.jae(measured)?;
    a.test(dword_ptr(edx * 4 + SELF_MAP_TABLES), PRESENT)?;
    a.je(measured)?;
    a.add(esi, PAGE)?;
    a.jmp(measure)?;
    a.set_label(&mut sized)?;
    a.mov(eax, argument(BASE_ADDRESS))?;
    a.add(esi, dword_ptr(eax))?;
    a.add(esi, PAGE - 1)?;
    a.and(esi, !(PAGE - 1))?;
    a.set_label(&mut measured)?;
    check_region(a, refused)?;
    a.call(s.near("MiReleasePages"))?;
    a.xor(eax, eax)?;
    a.set_label(&mut refused)?;
    a.nop()
}
