//! The system services. Each is entered with its arguments on the kernel stack and pops them; a fault on
//! a user's pointer ends it with STATUS_ACCESS_VIOLATION.

mod file;
pub mod memory;
mod process;
mod time;

use crate::kernel::{KernelOptions, console};
use crate::module::{ModuleSource, Scope};
use abi::addresses::USER_PROBE_ADDRESS;
use abi::status::{STATUS_ACCESS_VIOLATION, STATUS_NOT_IMPLEMENTED};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Assembles a service's body between `push ebp; mov ebp, esp` and the return.
type Body = fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError>;

/// The services that do something.
const IMPLEMENTED: &[(&str, Body)] = &[
    ("NtAllocateVirtualMemory", memory::allocate),
    ("NtClose", file::close),
    ("NtContinue", process::resume),
    ("NtDelayExecution", time::delay_execution),
    ("NtDisplayString", file::display_string),
    ("NtFreeVirtualMemory", memory::free),
    ("NtQueryPerformanceCounter", time::query_performance_counter),
    ("NtQuerySystemTime", time::query_system_time),
    ("NtRaiseException", process::raise_exception),
    ("NtReadFile", |_, _| {
        unreachable!("it depends on the options")
    }),
    ("NtTerminateProcess", process::terminate),
    ("NtWriteFile", file::write),
    ("NtYieldExecution", time::yield_execution),
];

pub fn add(module: &mut ModuleSource, options: &KernelOptions) {
    let stamps = options.stamps;
    let received_bytes = console::received_bytes(options);
    let lines = options.own_program.is_some();
    for &(name, body) in IMPLEMENTED {
        let argument_bytes = options
            .windows
            .service(name)
            .expect("a service of the table")
            .argument_bytes;
        module.code(name, move |a, s| {
            a.push(ebp)?;
            a.mov(ebp, esp)?;
            if name == "NtWriteFile" {
                stamps.take_at_service(a)?;
            }
            match name {
                "NtReadFile" => file::read(a, s, received_bytes, lines)?,
                _ => body(a, s)?,
            }
            a.mov(esp, ebp)?;
            a.pop(ebp)?;
            return_from(a, argument_bytes)
        });
    }
    for service in options
        .windows
        .services()
        .iter()
        .filter(|service| !is_implemented(service.name))
    {
        let argument_bytes = service.argument_bytes;
        let stub = module.code(service.name, move |a, _| {
            a.mov(eax, STATUS_NOT_IMPLEMENTED)?;
            return_from(a, argument_bytes)
        });
        stub.align(1);
    }
    file::add(module);
    memory::add(module);
    // Out of a service with EAX = status; the dispatcher does not rely on the stack.
    module.code("KiReturnAccessViolation", |a, s| {
        a.mov(eax, STATUS_ACCESS_VIOLATION)?;
        a.jmp(s.near("KiServiceExit"))
    });
}

/// Whether a service does more than return STATUS_NOT_IMPLEMENTED.
pub fn is_implemented(name: &str) -> bool {
    IMPLEMENTED.iter().any(|row| row.0 == name)
}

fn return_from(a: &mut CodeAssembler, argument_bytes: u8) -> Result<(), IcedError> {
    match argument_bytes {
        0 => a.ret(),
        bytes => a.ret_1(u32::from(bytes)),
    }
}

/// The service's argument number `index`, from 0.
fn argument(index: i32) -> AsmMemoryOperand {
    dword_ptr(ebp + 8 + index * 4)
}

/// Leaves with STATUS_ACCESS_VIOLATION unless `bytes` bytes at `pointer` are user addresses. Uses ECX.
fn probe(
    a: &mut CodeAssembler,
    s: &Scope,
    pointer: AsmRegister32,
    bytes: u32,
) -> Result<(), IcedError> {
    a.cmp(pointer, USER_PROBE_ADDRESS - bytes)?;
    a.ja(s.near("KiReturnAccessViolation"))
}
