//! What `kernel32` has beyond the journey's needs, for images of own programs: command line, heap, console, strings, and what
//! the start-up code of compilers asks for.

use super::base_functions::{begin, end, parameter};
use super::heap::PEB_PROCESS_HEAP;
use crate::kernel::{field, teb_field};
use crate::module::{Access, ModuleSource, Scope};
use abi::addresses::{CURRENT_PROCESS, SHARED_USER_DATA};
use abi::status::ERROR_INVALID_HANDLE;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Characters of the ANSI copies of command line and environment.
const TEXT_BYTES: u32 = 1024;
/// Handles below this are the serial device's, which plays the console.
const CONSOLE_HANDLES_END: u32 = 0x10;
/// Processed output and wrapping; processed input, lines, echo.
const CONSOLE_MODE: u32 = 7;
const ERROR_MOD_NOT_FOUND: u32 = 126;
const ERROR_ENVVAR_NOT_FOUND: u32 = 203;
const TLS_OUT_OF_INDEXES: i32 = -1;
const TLS_SLOTS: u32 = 64;
/// Bytes of a `STARTUPINFO`, and where the standard handles are in it.
const STARTUP_INFO_BYTES: i32 = 68;
const STARTUP_INFO_HANDLES: i32 = 56;
/// Characters that are converted at a time.
const CHUNK: i32 = 128;

/// Functions that always answer the same: name, parameters, answer.
#[rustfmt::skip]
const CONSTANT: &[(&str, u32, u32)] = &[
    ("DeleteCriticalSection", 1, 0),
    ("DisableThreadLibraryCalls", 1, 1),
    ("EnterCriticalSection", 1, 0),
    ("FlushConsoleInputBuffer", 1, 1),
    ("FlushFileBuffers", 1, 1),
    ("FreeEnvironmentStringsA", 1, 1),
    ("FreeEnvironmentStringsW", 1, 1),
    ("FreeLibrary", 1, 1),
    ("GetACP", 0, 1252),
    ("GetConsoleCP", 0, 437),
    ("GetConsoleOutputCP", 0, 437),
    ("GetCurrentProcess", 0, CURRENT_PROCESS),
    ("GetCurrentThread", 0, 0xFFFF_FFFE),
    ("GetFileType", 1, 2), // a character device
    ("GetOEMCP", 0, 437),
    ("GetProcAddress", 2, 0),
    ("GetVersion", 0, 0x1DB1_0106), // 6.1, build 7601
    ("HeapDestroy", 1, 1),
    ("HeapSetInformation", 4, 1),
    ("HeapValidate", 3, 1),
    ("InitializeCriticalSection", 1, 0),
    ("InitializeCriticalSectionAndSpinCount", 2, 1),
    ("IsDBCSLeadByteEx", 2, 0),
    ("IsDebuggerPresent", 0, 0),
    ("IsProcessorFeaturePresent", 1, 0),
    ("LeaveCriticalSection", 1, 0),
    ("LoadLibraryA", 1, 0),
    ("LoadLibraryW", 1, 0),
    ("OutputDebugStringA", 1, 0),
    ("OutputDebugStringW", 1, 0),
    ("SetConsoleCP", 1, 1),
    ("SetConsoleCtrlHandler", 2, 1),
    ("SetConsoleMode", 2, 1),
    ("SetConsoleOutputCP", 1, 1),
    ("SetConsoleTextAttribute", 2, 1),
    ("SetConsoleTitleA", 1, 1),
    ("SetConsoleTitleW", 1, 1),
    ("SetErrorMode", 1, 0),
    ("SetUnhandledExceptionFilter", 1, 0),
    ("TlsFree", 1, 1),
    ("TryEnterCriticalSection", 1, 1),
    ("UnhandledExceptionFilter", 1, 0),
    ("VirtualQuery", 3, 0),
];

type Body = fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError>;

/// Functions with a frame: name, parameters, body, which leaves its answer in EAX.
#[rustfmt::skip]
const FUNCTIONS: &[(&str, u32, Body)] = &[
    ("DecodePointer", 1, same),
    ("EncodePointer", 1, same),
    ("GetCommandLineA", 0, get_command_line_a),
    ("GetCommandLineW", 0, |a, _| unicode_buffer(a, field!(ProcessParameters.command_line))),
    ("GetConsoleMode", 2, get_console_mode),
    ("GetCurrentProcessId", 0, |a, _| a.mov(eax, teb_field!(unique_process))),
    ("GetCurrentThreadId", 0, |a, _| a.mov(eax, teb_field!(unique_thread))),
    ("GetEnvironmentStringsW", 0, |a, _| {
        parameters(a)?;
        a.mov(eax, dword_ptr(eax + field!(ProcessParameters.environment)))
    }),
    ("GetEnvironmentVariableA", 3, |a, _| fail(a, ERROR_ENVVAR_NOT_FOUND)),
    ("GetEnvironmentVariableW", 3, |a, _| fail(a, ERROR_ENVVAR_NOT_FOUND)),
    ("GetModuleFileNameA", 3, get_module_file_name_a),
    ("GetModuleHandleA", 1, get_module_handle),
    ("GetModuleHandleW", 1, get_module_handle),
    ("GetProcessHeap", 0, |a, _| process_heap(a)),
    ("GetStartupInfoA", 1, get_startup_info),
    ("GetStartupInfoW", 1, get_startup_info),
    ("GetTickCount", 0, get_tick_count),
    ("HeapCreate", 3, |a, _| process_heap(a)),
    ("InterlockedCompareExchange", 3, |a, _| {
        a.mov(ecx, parameter(0))?;
        a.mov(edx, parameter(1))?;
        a.mov(eax, parameter(2))?;
        a.lock().cmpxchg(dword_ptr(ecx), edx)
    }),
    ("InterlockedDecrement", 1, |a, _| interlocked_add(a, -1)),
    ("InterlockedExchange", 2, |a, _| {
        a.mov(ecx, parameter(0))?;
        a.mov(eax, parameter(1))?;
        a.xchg(dword_ptr(ecx), eax)
    }),
    ("InterlockedIncrement", 1, |a, _| interlocked_add(a, 1)),
    ("MultiByteToWideChar", 6, |a, _| convert(a, true)),
    ("QueryPerformanceFrequency", 1, query_performance_frequency),
    ("ReadConsoleA", 5, |a, s| forward_console(a, s, "ReadFileImplementation")),
    ("ReadConsoleW", 5, read_console_w),
    ("TerminateProcess", 2, |a, s| {
        a.push(parameter(1))?;
        a.call(s.near("ExitProcess"))
    }),
    ("TlsAlloc", 0, tls_alloc),
    ("TlsGetValue", 1, |a, _| {
        a.mov(ecx, parameter(0))?;
        a.mov(teb_field!(last_error_value), 0)?;
        a.mov(eax, tls_slot())
    }),
    ("TlsSetValue", 2, |a, _| {
        a.mov(ecx, parameter(0))?;
        a.mov(eax, parameter(1))?;
        a.mov(tls_slot(), eax)?;
        a.mov(eax, 1)
    }),
    ("VirtualFree", 3, virtual_free),
    ("VirtualProtect", 4, |a, _| {
        // Nothing changes; it was for reading and writing.
        a.mov(eax, parameter(3))?;
        a.mov(dword_ptr(eax), 4)?;
        a.mov(eax, 1)
    }),
    ("WideCharToMultiByte", 8, |a, _| convert(a, false)),
    ("WriteConsoleA", 5, |a, s| forward_console(a, s, "WriteFileImplementation")),
    ("WriteConsoleW", 5, write_console_w),
    ("lstrcpyA", 2, lstrcpy_a),
    ("lstrlenA", 1, |a, _| string_length(a, false)),
    ("lstrlenW", 1, |a, _| string_length(a, true)),
];

/// What `kernel32` only passes on.
const FORWARDED: &[(&str, &str)] = &[
    ("HeapAlloc", "NTDLL.RtlAllocateHeap"),
    ("HeapFree", "NTDLL.RtlFreeHeap"),
    ("HeapReAlloc", "NTDLL.RtlReAllocateHeap"),
    ("HeapSize", "NTDLL.RtlSizeHeap"),
];

/// Functions and forwarders, in a section of code; `with_kernelbase` as in `kernel32`.
pub fn add(module: &mut ModuleSource, with_kernelbase: bool) {
    if !with_kernelbase {
        for name in ["ReadFile", "WriteFile"] {
            let implementation = format!("{name}Implementation");
            module.inner_code(&implementation, move |a, s| a.jmp(s.near(name)));
        }
    }
    for &(name, parameters, answer) in CONSTANT {
        let function = module.code(name, move |a, _| {
            a.mov(eax, answer)?;
            match parameters {
                0 => a.ret(),
                _ => a.ret_1(4 * parameters),
            }
        });
        function.export();
    }
    for &(name, parameters, body) in FUNCTIONS {
        let function = module.code(name, move |a, s| {
            begin(a)?;
            body(a, s)?;
            match parameters {
                0 => {
                    a.leave()?;
                    a.ret()
                }
                _ => end(a, parameters),
            }
        });
        function.export();
    }
    for (name, target) in FORWARDED {
        module.forward(name, target);
    }
}

/// Variables, in a section of their own.
pub fn add_data(module: &mut ModuleSource) {
    module.section(".data", Access::Data);
    module.space("BaseAnsiCommandLine", TEXT_BYTES);
    module.dword("BaseTlsSlots", 0);
}

/// EAX := the process's parameters.
fn parameters(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(eax, teb_field!(process_environment_block))?;
    a.mov(
        eax,
        dword_ptr(eax + field!(ProcessEnvironment.process_parameters)),
    )
}

/// EAX := the buffer of a string of the process's parameters.
fn unicode_buffer(a: &mut CodeAssembler, string: i32) -> Result<(), IcedError> {
    parameters(a)?;
    a.mov(eax, dword_ptr(eax + string + field!(UnicodeString.buffer)))
}

fn process_heap(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(eax, teb_field!(process_environment_block))?;
    a.mov(eax, dword_ptr(eax + PEB_PROCESS_HEAP))
}

/// EAX := 0, and the last error.
fn fail(a: &mut CodeAssembler, error: u32) -> Result<(), IcedError> {
    a.mov(teb_field!(last_error_value), error)?;
    a.xor(eax, eax)
}

fn same(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    a.mov(eax, parameter(0))
}

fn interlocked_add(a: &mut CodeAssembler, difference: i32) -> Result<(), IcedError> {
    a.mov(ecx, parameter(0))?;
    a.mov(eax, difference)?;
    a.lock().xadd(dword_ptr(ecx), eax)?;
    a.add(eax, difference)
}

/// The thread's TLS slot number ECX.
fn tls_slot() -> AsmMemoryOperand {
    dword_ptr(ecx * 4 + field!(ThreadEnvironment.tls_slots)).fs()
}

fn tls_alloc(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.mov(eax, dword_ptr(s.at("BaseTlsSlots")))?;
    a.inc(dword_ptr(s.at("BaseTlsSlots")))?;
    a.cmp(eax, TLS_SLOTS)?;
    a.jb(done)?;
    a.mov(eax, TLS_OUT_OF_INDEXES)?;
    a.set_label(&mut done)?;
    a.nop()
}

/// Copies UTF-16 at ESI to bytes at EDI, at most ECX of them with the final zero. Out: EAX = characters.
fn narrow(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut done = a.create_label();
    a.xor(edx, edx)?;
    a.set_label(&mut next)?;
    a.lea(eax, dword_ptr(edx + 1))?;
    a.cmp(eax, ecx)?;
    a.jae(done)?;
    a.mov(al, byte_ptr(esi + edx * 2))?;
    a.test(al, al)?;
    a.je(done)?;
    a.mov(byte_ptr(edi + edx), al)?;
    a.inc(edx)?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    a.mov(byte_ptr(edi + edx), 0)?;
    a.mov(eax, edx)
}

fn get_command_line_a(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.push(esi)?;
    a.push(edi)?;
    unicode_buffer(a, field!(ProcessParameters.command_line))?;
    a.mov(esi, eax)?;
    a.mov(edi, s.at("BaseAnsiCommandLine"))?;
    a.mov(ecx, TEXT_BYTES)?;
    narrow(a)?;
    a.mov(eax, edi)?;
    a.pop(edi)?;
    a.pop(esi)
}

/// DWORD GetModuleFileNameA(module, buffer, bytes): the program's.
fn get_module_file_name_a(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    a.push(esi)?;
    a.push(edi)?;
    unicode_buffer(a, field!(ProcessParameters.image_path_name))?;
    a.mov(esi, eax)?;
    a.mov(edi, parameter(1))?;
    a.mov(ecx, parameter(2))?;
    narrow(a)?;
    a.pop(edi)?;
    a.pop(esi)
}

/// HMODULE GetModuleHandle(name): only the program's, which has no name.
fn get_module_handle(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut named = a.create_label();
    let mut done = a.create_label();
    a.cmp(parameter(0), 0)?;
    a.jne(named)?;
    a.mov(eax, teb_field!(process_environment_block))?;
    a.mov(
        eax,
        dword_ptr(eax + field!(ProcessEnvironment.image_base_address)),
    )?;
    a.jmp(done)?;
    a.set_label(&mut named)?;
    fail(a, ERROR_MOD_NOT_FOUND)?;
    a.set_label(&mut done)?;
    a.nop()
}

fn get_startup_info(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    a.push(edi)?;
    a.mov(edi, parameter(0))?;
    a.xor(eax, eax)?;
    a.mov(ecx, STARTUP_INFO_BYTES / 4)?;
    a.rep().stosd()?;
    a.sub(edi, STARTUP_INFO_BYTES)?;
    a.mov(dword_ptr(edi), STARTUP_INFO_BYTES)?;
    parameters(a)?;
    for handle in 0..3 {
        let from = field!(ProcessParameters.standard_input) + 4 * handle;
        a.mov(ecx, dword_ptr(eax + from))?;
        a.mov(dword_ptr(edi + STARTUP_INFO_HANDLES + 4 * handle), ecx)?;
    }
    a.pop(edi)
}

/// DWORD GetTickCount(): from the shared page, without the kernel.
fn get_tick_count(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let field = |offset: i32| dword_ptr(SHARED_USER_DATA + offset as u32);
    a.mov(
        eax,
        field(field!(SharedUserData.tick_count) + field!(SystemTime.low_part)),
    )?;
    a.mul(field(field!(SharedUserData.tick_count_multiplier)))?;
    a.shrd(eax, edx, 24)
}

fn query_performance_frequency(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.sub(esp, 8)?;
    a.mov(eax, esp)?;
    a.push(parameter(0))?;
    a.push(eax)?;
    a.call(dword_ptr(s.import("NtQueryPerformanceCounter")))?;
    a.mov(eax, 1)
}

fn virtual_free(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.push(parameter(2))?;
    a.lea(eax, parameter(1))?;
    a.push(eax)?;
    a.lea(eax, parameter(0))?;
    a.push(eax)?;
    a.push(CURRENT_PROCESS as i32)?;
    a.call(dword_ptr(s.import("NtFreeVirtualMemory")))?;
    a.not(eax)?;
    a.shr(eax, 31)
}

/// BOOL GetConsoleMode(handle, *mode): the serial device is the console.
fn get_console_mode(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut no_console = a.create_label();
    let mut done = a.create_label();
    a.cmp(parameter(0), CONSOLE_HANDLES_END)?;
    a.jae(no_console)?;
    a.mov(eax, parameter(1))?;
    a.mov(dword_ptr(eax), CONSOLE_MODE)?;
    a.mov(eax, 1)?;
    a.jmp(done)?;
    a.set_label(&mut no_console)?;
    fail(a, ERROR_INVALID_HANDLE)?;
    a.set_label(&mut done)?;
    a.nop()
}

/// BOOL ReadConsoleA or WriteConsoleA(handle, buffer, characters, *done, nothing): as a file.
fn forward_console(a: &mut CodeAssembler, s: &Scope, target: &str) -> Result<(), IcedError> {
    a.push(0)?;
    for index in (0..4).rev() {
        a.push(parameter(index))?;
    }
    a.call(s.near(target))
}

/// BOOL WriteConsoleW(handle, text, characters, *written, nothing), a chunk at a time.
fn write_console_w(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut some = a.create_label();
    let mut copy = a.create_label();
    let mut end = a.create_label();
    let mut uncounted = a.create_label();
    a.sub(esp, CHUNK + 4)?;
    a.push(ebx)?;
    a.push(esi)?;
    a.push(edi)?;
    a.mov(esi, parameter(1))?;
    a.mov(ebx, parameter(2))?;
    a.set_label(&mut next)?;
    a.mov(eax, 1)?;
    a.test(ebx, ebx)?;
    a.je(end)?;
    a.mov(ecx, CHUNK)?;
    a.cmp(ebx, ecx)?;
    a.jae(some)?;
    a.mov(ecx, ebx)?;
    a.set_label(&mut some)?;
    a.sub(ebx, ecx)?;
    a.lea(edi, dword_ptr(ebp - CHUNK))?;
    a.mov(edx, ecx)?;
    a.set_label(&mut copy)?;
    a.lodsw()?;
    a.stosb()?;
    a.dec(ecx)?;
    a.jne(copy)?;
    a.push(0)?;
    a.lea(eax, dword_ptr(ebp - CHUNK - 4))?;
    a.push(eax)?;
    a.push(edx)?;
    a.lea(eax, dword_ptr(ebp - CHUNK))?;
    a.push(eax)?;
    a.push(parameter(0))?;
    a.call(s.near("WriteFileImplementation"))?;
    a.test(eax, eax)?;
    a.jne(next)?;
    a.set_label(&mut end)?;
    a.mov(ecx, parameter(3))?;
    a.test(ecx, ecx)?;
    a.je(uncounted)?;
    a.mov(edx, parameter(2))?;
    a.sub(edx, ebx)?;
    a.mov(dword_ptr(ecx), edx)?;
    a.set_label(&mut uncounted)?;
    a.pop(edi)?;
    a.pop(esi)?;
    a.pop(ebx)
}

/// BOOL ReadConsoleW(handle, text, characters, *read, control): up to a chunk.
fn read_console_w(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut some = a.create_label();
    let mut copy = a.create_label();
    let mut done = a.create_label();
    a.sub(esp, CHUNK + 4)?;
    a.push(esi)?;
    a.push(edi)?;
    a.mov(ecx, CHUNK)?;
    a.cmp(parameter(2), ecx)?;
    a.jae(some)?;
    a.mov(ecx, parameter(2))?;
    a.set_label(&mut some)?;
    a.push(0)?;
    a.lea(eax, dword_ptr(ebp - CHUNK - 4))?;
    a.push(eax)?;
    a.push(ecx)?;
    a.lea(esi, dword_ptr(ebp - CHUNK))?;
    a.push(esi)?;
    a.push(parameter(0))?;
    a.call(s.near("ReadFileImplementation"))?;
    a.mov(ecx, dword_ptr(ebp - CHUNK - 4))?;
    a.mov(edx, parameter(3))?;
    a.mov(dword_ptr(edx), ecx)?;
    a.mov(edi, parameter(1))?;
    a.push(eax)?;
    a.xor(eax, eax)?;
    a.set_label(&mut copy)?;
    a.dec(ecx)?;
    a.js(done)?;
    a.lodsb()?;
    a.stosw()?;
    a.jmp(copy)?;
    a.set_label(&mut done)?;
    a.pop(eax)?;
    a.pop(edi)?;
    a.pop(esi)
}

/// int MultiByteToWideChar(code page, flags, text, bytes, to, characters), and back with the same first six: one byte is one
/// character. Out: EAX = characters, or how many there would be if the last parameter is 0; 0 if they do not fit.
fn convert(a: &mut CodeAssembler, widen: bool) -> Result<(), IcedError> {
    let mut counted = a.create_label();
    let mut count = a.create_label();
    let mut copy = a.create_label();
    let mut copied = a.create_label();
    let mut done = a.create_label();
    let from = parameter(2);
    a.push(esi)?;
    a.push(edi)?;
    a.mov(esi, from)?;
    a.mov(ecx, parameter(3))?;
    a.cmp(ecx, -1)?;
    a.jne(counted)?;
    // Up to the final zero, and with it.
    a.set_label(&mut count)?;
    a.inc(ecx)?;
    match widen {
        true => a.cmp(byte_ptr(esi + ecx), 0)?,
        false => a.cmp(word_ptr(esi + ecx * 2), 0)?,
    }
    a.jne(count)?;
    a.inc(ecx)?;
    a.set_label(&mut counted)?;
    a.mov(edx, ecx)?;
    a.cmp(parameter(5), 0)?;
    a.je(copied)?;
    a.xor(eax, eax)?;
    a.cmp(parameter(5), ecx)?;
    a.jb(done)?;
    a.mov(edi, parameter(4))?;
    a.set_label(&mut copy)?;
    a.dec(ecx)?;
    a.js(copied)?;
    match widen {
        true => {
            a.lodsb()?;
            a.stosw()?;
        }
        false => {
            a.lodsw()?;
            a.stosb()?;
        }
    }
    a.jmp(copy)?;
    a.set_label(&mut copied)?;
    a.mov(eax, edx)?;
    a.set_label(&mut done)?;
    a.pop(edi)?;
    a.pop(esi)
}

fn lstrcpy_a(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    a.push(esi)?;
    a.push(edi)?;
    a.mov(edi, parameter(0))?;
    a.mov(esi, parameter(1))?;
    a.set_label(&mut next)?;
    a.lodsb()?;
    a.stosb()?;
    a.test(al, al)?;
    a.jne(next)?;
    a.mov(eax, parameter(0))?;
    a.pop(edi)?;
    a.pop(esi)
}

fn string_length(a: &mut CodeAssembler, wide: bool) -> Result<(), IcedError> {
    let mut next = a.create_label();
    a.mov(ecx, parameter(0))?;
    a.or(eax, -1)?;
    a.set_label(&mut next)?;
    a.inc(eax)?;
    match wide {
        true => a.cmp(word_ptr(ecx + eax * 2), 0)?,
        false => a.cmp(byte_ptr(ecx + eax), 0)?,
    }
    a.jne(next)
}
