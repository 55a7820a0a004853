//! The Win32 functions of files, handles, memory and time, as KERNELBASE has them since Windows 7 and
//! kernel32 had them before.

use crate::kernel::{field, teb_field};
use crate::module::{ModuleSource, Scope};
use crate::stamps::{Stamp, Stamps};
use abi::addresses::*;
use abi::status::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

const INFINITE: u32 = u32::MAX;
/// 100 ns units in a millisecond.
const UNITS_PER_MILLISECOND: u32 = 10_000;

/// Exported functions with their bytes of arguments; the thunks of kernel32 are made from this too.
pub const FUNCTIONS: &[&str] = &[
    "CloseHandle",
    "ExitProcess",
    "GetLastError",
    "GetStdHandle",
    "GetSystemTimeAsFileTime",
    "QueryPerformanceCounter",
    "ReadFile",
    "SetLastError",
    "Sleep",
    "VirtualAlloc",
    "WriteFile",
];

/// The parameter number `index` of a function with a frame.
pub(super) fn parameter(index: i32) -> AsmMemoryOperand {
    dword_ptr(ebp + 8 + index * 4)
}

pub(super) fn begin(a: &mut CodeAssembler) -> Result<(), IcedError> {
    // Two bytes that can be patched to a short jump, as Microsoft's compiler begins functions.
    a.db(&[0x8B, 0xFF])?;
    a.push(ebp)?;
    a.mov(ebp, esp)
}

pub(super) fn end(a: &mut CodeAssembler, parameters: u32) -> Result<(), IcedError> {
    a.leave()?;
    a.ret_1(parameters * 4)
}

pub fn add(module: &mut ModuleSource, stamps: Stamps) {
    module
        .code("WriteFile", move |a, s| {
            transfer(a, s, "NtWriteFile", Some(stamps))
        })
        .export();
    module
        .code("ReadFile", |a, s| transfer(a, s, "NtReadFile", None))
        .export();
    module.code("BaseSetLastNTError", set_last_nt_error);
    module.code("CloseHandle", close_handle).export();
    module.code("GetStdHandle", get_std_handle).export();
    module.code("ExitProcess", exit_process).export();
    module.code("Sleep", sleep).export();
    module
        .code("QueryPerformanceCounter", query_performance_counter)
        .export();
    module.code("GetSystemTimeAsFileTime", system_time).export();
    module.code("VirtualAlloc", virtual_alloc).export();
    module
        .code("GetLastError", |a, _| {
            a.mov(eax, teb_field!(last_error_value))?;
            a.ret()
        })
        .export();
    module
        .code("SetLastError", |a, _| {
            a.mov(eax, dword_ptr(esp + 4))?;
            a.mov(teb_field!(last_error_value), eax)?;
            a.ret_1(4)
        })
        .export();
}

/// In: EAX = status. Out: EAX = 0 (FALSE); the thread's last error is set.
fn set_last_nt_error(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.push(eax)?;
    a.call(dword_ptr(s.import("RtlNtStatusToDosError")))?;
    a.mov(teb_field!(last_error_value), eax)?;
    a.xor(eax, eax)?;
    a.ret()
}

/// BOOL ReadFile or WriteFile(file, buffer, length, *transferred, overlapped).
fn transfer(
    a: &mut CodeAssembler,
    s: &Scope,
    service: &str,
    stamps: Option<Stamps>,
) -> Result<(), IcedError> {
    let mut no_count = a.create_label();
    let mut overlapped = a.create_label();
    let mut with_event = a.create_label();
    let mut complete = a.create_label();
    let mut failed = a.create_label();
    let mut not_counted = a.create_label();
    let mut done = a.create_label();
    let io_status = |offset: i32| dword_ptr(ebp - 8 + offset);
    let position = |offset: i32| dword_ptr(ebp - 16 + offset);
    begin(a)?;
    if let Some(stamps) = stamps {
        stamps.take(a, Stamp::KernelBase)?;
    }
    a.sub(esp, 16)?;
    a.push(esi)?;
    a.mov(eax, parameter(3))?;
    a.test(eax, eax)?;
    a.je(no_count)?;
    a.and(dword_ptr(eax), 0)?;
    a.set_label(&mut no_count)?;
    a.mov(esi, parameter(4))?;
    a.test(esi, esi)?;
    a.jne(overlapped)?;

    // No position: a serial device has none.
    a.push(0)?;
    a.push(0)?;
    a.push(parameter(2))?;
    a.push(parameter(1))?;
    a.lea(eax, io_status(0))?;
    a.push(eax)?;
    a.push(0)?;
    a.push(0)?;
    a.push(0)?;
    a.push(parameter(0))?;
    if let Some(stamps) = stamps {
        stamps.take(a, Stamp::NtCall)?;
    }
    a.call(dword_ptr(s.import(service)))?;
    if let Some(stamps) = stamps {
        stamps.take_behind_call(a, Stamp::KernelBaseReturn)?;
    }
    a.cmp(eax, STATUS_PENDING)?;
    a.jne(complete)?;
    a.push(0)?;
    a.push(0)?;
    a.push(parameter(0))?;
    a.call(dword_ptr(s.import("NtWaitForSingleObject")))?;
    a.test(eax, eax)?;
    a.js(failed)?;
    a.mov(eax, io_status(field!(IoStatusBlock.status)))?;
    a.set_label(&mut complete)?;
    a.test(eax, eax)?;
    a.js(failed)?;
    a.mov(eax, parameter(3))?;
    a.test(eax, eax)?;
    a.je(not_counted)?;
    a.mov(ecx, io_status(field!(IoStatusBlock.information)))?;
    a.mov(dword_ptr(eax), ecx)?;
    a.set_label(&mut not_counted)?;
    a.mov(eax, 1)?;
    a.jmp(done)?;

    a.set_label(&mut overlapped)?;
    a.mov(dword_ptr(esi + field!(Overlapped.internal)), STATUS_PENDING)?;
    a.mov(eax, dword_ptr(esi + field!(Overlapped.offset)))?;
    a.mov(position(0), eax)?;
    a.mov(eax, dword_ptr(esi + field!(Overlapped.offset_high)))?;
    a.mov(position(4), eax)?;
    a.push(0)?;
    a.lea(eax, position(0))?;
    a.push(eax)?;
    a.push(parameter(2))?;
    a.push(parameter(1))?;
    a.push(esi)?;
    // Bit 0 of the event says that no completion packet is wanted.
    a.mov(eax, esi)?;
    a.mov(ecx, dword_ptr(esi + field!(Overlapped.event)))?;
    a.test(cl, 1)?;
    a.je(with_event)?;
    a.xor(eax, eax)?;
    a.set_label(&mut with_event)?;
    a.push(eax)?;
    a.push(0)?;
    a.push(ecx)?;
    a.push(parameter(0))?;
    a.call(dword_ptr(s.import(service)))?;
    a.cmp(eax, STATUS_PENDING)?;
    a.je(failed)?;
    a.test(eax, eax)?;
    a.js(failed)?;
    a.mov(eax, parameter(3))?;
    a.mov(ecx, dword_ptr(esi + field!(Overlapped.internal_high)))?;
    a.test(eax, eax)?;
    a.je(not_counted)?;
    a.mov(dword_ptr(eax), ecx)?;
    a.jmp(not_counted)?;

    a.set_label(&mut failed)?;
    a.call(s.near("BaseSetLastNTError"))?;
    a.set_label(&mut done)?;
    a.pop(esi)?;
    end(a, 5)
}

/// EAX = status becomes TRUE, or FALSE and the last error.
fn return_success(a: &mut CodeAssembler, s: &Scope, parameters: u32) -> Result<(), IcedError> {
    let mut failed = a.create_label();
    a.test(eax, eax)?;
    a.js(failed)?;
    a.mov(eax, 1)?;
    a.leave()?;
    a.ret_1(parameters * 4)?;
    a.set_label(&mut failed)?;
    a.call(s.near("BaseSetLastNTError"))?;
    end(a, parameters)
}

fn close_handle(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    begin(a)?;
    a.push(parameter(0))?;
    a.call(dword_ptr(s.import("NtClose")))?;
    return_success(a, s, 1)
}

/// HANDLE GetStdHandle(number): -10, -11 and -12 are three neighbouring fields.
fn get_std_handle(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut unknown = a.create_label();
    begin(a)?;
    a.mov(ecx, STD_INPUT_HANDLE as i32)?;
    a.sub(ecx, parameter(0))?;
    a.cmp(ecx, 2)?;
    a.ja(unknown)?;
    a.mov(eax, teb_field!(process_environment_block))?;
    a.mov(
        eax,
        dword_ptr(eax + field!(ProcessEnvironment.process_parameters)),
    )?;
    a.mov(
        eax,
        dword_ptr(eax + ecx * 4 + field!(ProcessParameters.standard_input)),
    )?;
    a.leave()?;
    a.ret_1(4)?;
    a.set_label(&mut unknown)?;
    a.mov(teb_field!(last_error_value), ERROR_INVALID_HANDLE)?;
    a.or(eax, -1)?;
    end(a, 1)
}

fn exit_process(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    begin(a)?;
    a.push(parameter(0))?;
    a.call(dword_ptr(s.import("RtlExitUserProcess")))?;
    a.int3()
}

/// void Sleep(milliseconds).
fn sleep(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut finite = a.create_label();
    let mut wait = a.create_label();
    begin(a)?;
    a.sub(esp, 8)?;
    a.set_label(&mut wait)?;
    a.mov(eax, parameter(0))?;
    a.mov(ecx, UNITS_PER_MILLISECOND)?;
    a.mul(ecx)?;
    a.neg(eax)?;
    a.adc(edx, 0)?;
    a.neg(edx)?;
    a.mov(dword_ptr(ebp - 8), eax)?;
    a.mov(dword_ptr(ebp - 4), edx)?;
    a.lea(eax, dword_ptr(ebp - 8))?;
    a.push(eax)?;
    a.push(0)?;
    a.call(dword_ptr(s.import("NtDelayExecution")))?;
    a.cmp(parameter(0), INFINITE as i32)?;
    a.jne(finite)?;
    a.jmp(wait)?;
    a.set_label(&mut finite)?;
    end(a, 1)
}

fn query_performance_counter(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    begin(a)?;
    a.push(0)?;
    a.push(parameter(0))?;
    a.call(dword_ptr(s.import("NtQueryPerformanceCounter")))?;
    return_success(a, s, 1)
}

/// void GetSystemTimeAsFileTime(*time): from the shared page, without the kernel.
fn system_time(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut again = a.create_label();
    let time = SHARED_USER_DATA + field!(SharedUserData.system_time) as u32;
    begin(a)?;
    a.set_label(&mut again)?;
    a.mov(edx, dword_ptr(time + field!(SystemTime.high1_time) as u32))?;
    a.mov(eax, dword_ptr(time + field!(SystemTime.low_part) as u32))?;
    a.cmp(edx, dword_ptr(time + field!(SystemTime.high2_time) as u32))?;
    a.jne(again)?;
    a.mov(ecx, parameter(0))?;
    a.mov(dword_ptr(ecx), eax)?;
    a.mov(dword_ptr(ecx + 4), edx)?;
    end(a, 1)
}

/// void *VirtualAlloc(address, bytes, type, protection).
fn virtual_alloc(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut failed = a.create_label();
    begin(a)?;
    a.push(parameter(3))?;
    a.push(parameter(2))?;
    a.lea(eax, parameter(1))?;
    a.push(eax)?;
    a.push(0)?;
    a.lea(eax, parameter(0))?;
    a.push(eax)?;
    a.push(CURRENT_PROCESS as i32)?;
    a.call(dword_ptr(s.import("NtAllocateVirtualMemory")))?;
    a.test(eax, eax)?;
    a.js(failed)?;
    a.mov(eax, parameter(0))?;
    a.leave()?;
    a.ret_1(16)?;
    a.set_label(&mut failed)?;
    a.call(s.near("BaseSetLastNTError"))?;
    end(a, 4)
}
