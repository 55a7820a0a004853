//! The process's end, and exceptions as user code sees them.

use super::{argument, probe};
use crate::kernel::trap::CONTEXT_MAP;
use crate::module::Scope;
use abi::addresses::CURRENT_PROCESS;
use abi::selectors::*;
use abi::status::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// EFLAGS that a program may set for itself: arithmetic flags, TF, DF, NT, AC, ID.
const USER_EFLAGS: u32 = 0x0024_4DD5;
const ALWAYS_SET: u32 = 0x202;

/// NtTerminateProcess(process, status). Process 0 means the other threads, of which there are none.
pub fn terminate(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.mov(edx, argument(0))?;
    a.xor(eax, eax)?;
    a.test(edx, edx)?;
    a.je(done)?;
    a.mov(eax, STATUS_INVALID_HANDLE)?;
    a.cmp(edx, CURRENT_PROCESS)?;
    a.jne(done)?;
    a.mov(eax, argument(1))?;
    a.jmp(s.near("PspExitProcess"))?;
    a.set_label(&mut done)?;
    a.nop()
}

/// NtContinue(context, test alert): continues with every register from the context.
pub fn resume(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.mov(esi, argument(0))?;
    probe(a, s, esi, size_of::<abi::layout::Context>() as u32)?;
    a.mov(ebx, fs_field!(current_thread))?;
    a.mov(edi, dword_ptr(ebx + field!(KernelThread.trap_frame)))?;
    for &(frame, context) in CONTEXT_MAP {
        a.mov(eax, dword_ptr(esi + context))?;
        a.mov(dword_ptr(edi + frame), eax)?;
    }
    // What a program says about segments and the interrupt flag is not believed.
    for (frame, selector) in [
        (field!(TrapFrame.seg_cs), USER_CODE),
        (field!(TrapFrame.hardware_seg_ss), USER_DATA),
        (field!(TrapFrame.seg_ds), USER_DATA),
        (field!(TrapFrame.seg_es), USER_DATA),
        (field!(TrapFrame.seg_fs), USER_TEB),
        (field!(TrapFrame.seg_gs), 0),
    ] {
        a.mov(dword_ptr(edi + frame), u32::from(selector))?;
    }
    a.and(dword_ptr(edi + field!(TrapFrame.eflags)), USER_EFLAGS)?;
    a.or(dword_ptr(edi + field!(TrapFrame.eflags)), ALWAYS_SET)?;
    a.cli()?;
    a.mov(ebp, edi)?;
    a.mov(
        eax,
        dword_ptr(ebp + field!(TrapFrame.previous_previous_mode)),
    )?;
    a.mov(byte_ptr(ebx + field!(KernelThread.previous_mode)), al)?;
    a.mov(dword_ptr(ebx + field!(KernelThread.trap_frame)), 0)?;
    a.jmp(s.near("KiExceptionExit"))
}

/// NtRaiseException(record, context, first chance): only the second chance is served, which ends the process.
pub fn raise_exception(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut first_chance = a.create_label();
    a.cmp(argument(2), 0)?;
    a.jne(first_chance)?;
    a.mov(ebx, argument(0))?;
    probe(a, s, ebx, size_of::<abi::layout::ExceptionRecord>() as u32)?;
    a.mov(eax, dword_ptr(ebx + field!(ExceptionRecord.exception_code)))?;
    a.mov(
        edx,
        dword_ptr(ebx + field!(ExceptionRecord.exception_address)),
    )?;
    a.jmp(s.near("PspUnhandledException"))?;
    a.set_label(&mut first_chance)?;
    a.mov(eax, STATUS_NOT_IMPLEMENTED)
}
