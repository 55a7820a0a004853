//! The program that tests the kernel: every case ends in a status or an exception code, which it prints;
//! the machine goes on after each. The last case loses its stack, which ends the process.

use super::begin;
use crate::image::ImageOptions;
use crate::kernel::{field, teb_field};
use crate::module::{Access, ModuleSource, Scope};
use abi::addresses::*;
use abi::services::Service;
use abi::status::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

type Body = fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError>;

struct Case {
    name: &'static str,
    /// Status or exception code.
    code: u32,
    /// Second parameter of the exception: for an access violation the address.
    address: u32,
    /// Leaves the status in EAX, or raises the exception.
    body: Body,
}

const fn status(name: &'static str, code: u32, body: Body) -> Case {
    Case {
        name,
        code,
        address: 0,
        body,
    }
}

const fn violation(name: &'static str, address: u32, body: Body) -> Case {
    Case {
        name,
        code: STATUS_ACCESS_VIOLATION,
        address,
        body,
    }
}

/// A line of the exercise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// What was done.
    pub name: String,
    /// Status or exception code that Windows 7 gives.
    pub code: u32,
    /// For an access violation the address, or FFFFFFFFh if segmentation refused it; else 0.
    pub address: u32,
}

impl Expectation {
    /// The line that the program prints for it.
    pub fn line(&self) -> String {
        format!("{}: {:08x} {:08x}\r\n", self.name, self.code, self.address)
    }
}

/// What [`crate::Program::Exercise`] must print, in order; after these lines the kernel reports how the
/// process ended.
pub fn expectations() -> Vec<Expectation> {
    let lasting = CASES.iter().filter(|case| case.name != LOST_STACK);
    lasting
        .map(|case| Expectation {
            name: case.name.into(),
            code: case.code,
            address: case.address,
        })
        .collect()
}

const LOST_STACK: &str = "push with ESP in the kernel";
const UNMAPPED: u32 = 0x0000_1000;
const KERNEL: u32 = 0x8280_0000;
const NOT_AN_ADDRESS: u32 = u32::MAX;
const STANDARD_INPUT: i32 = 4;
const STANDARD_OUTPUT: i32 = 8;
const TRAP_FLAG: u32 = 0x100;
const MEM_COMMIT: u32 = 0x1000;
const MEM_RELEASE: u32 = 0x8000;
const PAGE_READWRITE: u32 = 4;
const ALLOCATION_BYTES: u32 = 0x2000;

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The gate.
    status("service FFFh", STATUS_INVALID_SYSTEM_SERVICE, |a, _| gate(a, 0xFFF)),
    status("service 191h", STATUS_INVALID_SYSTEM_SERVICE, |a, _| gate(a, 0x191)),
    status("service of the window manager", STATUS_INVALID_SYSTEM_SERVICE, |a, _| gate(a, 0x1000)),
    status("service that is not implemented", STATUS_NOT_IMPLEMENTED, |a, _| gate(a, 0)),
    status("INT 2Eh with arguments in the kernel", STATUS_ACCESS_VIOLATION, |a, _| slow_gate(a, KERNEL)),
    status("INT 2Eh with arguments on no page", STATUS_ACCESS_VIOLATION, |a, _| slow_gate(a, UNMAPPED)),
    status("INT 2Eh", STATUS_NO_YIELD_PERFORMED, |a, _| {
        a.mov(eax, number("NtYieldExecution"))?;
        a.mov(edx, esp)?;
        a.int(0x2E)?;
        a.ret()
    }),
    status("direction flag set", STATUS_SUCCESS, |a, s| {
        a.std()?;
        write_file(a, s, STANDARD_OUTPUT, Place::Variable("IoStatus"), Place::Variable("Letter"), 0)
    }),
    // NtWriteFile.
    status("no such handle", STATUS_INVALID_HANDLE, |a, s| write_file(a, s, 0x3C, Place::Variable("IoStatus"), Place::Variable("Letter"), 1)),
    status("handle with low bits", STATUS_INVALID_HANDLE, |a, s| write_file(a, s, 9, Place::Variable("IoStatus"), Place::Variable("Letter"), 1)),
    status("handle that is not writable", STATUS_ACCESS_DENIED, |a, s| write_file(a, s, STANDARD_INPUT, Place::Variable("IoStatus"), Place::Variable("Letter"), 1)),
    status("buffer on no page", STATUS_ACCESS_VIOLATION, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Variable("IoStatus"), Place::Address(UNMAPPED), 1)),
    status("buffer in the kernel", STATUS_ACCESS_VIOLATION, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Variable("IoStatus"), Place::Address(KERNEL), 1)),
    status("buffer around the end of memory", STATUS_ACCESS_VIOLATION, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Variable("IoStatus"), Place::Variable("Letter"), -1)),
    status("I/O status block on no page", STATUS_ACCESS_VIOLATION, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Address(UNMAPPED), Place::Variable("Letter"), 1)),
    status("I/O status block in the kernel", STATUS_ACCESS_VIOLATION, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Address(KERNEL), Place::Variable("Letter"), 1)),
    status("I/O status block not aligned", STATUS_DATATYPE_MISALIGNMENT, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Address(UNMAPPED + 1), Place::Variable("Letter"), 1)),
    status("I/O status block read-only", STATUS_ACCESS_VIOLATION, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Variable("WinMain"), Place::Variable("Letter"), 1)),
    status("nothing to write", STATUS_SUCCESS, |a, s| write_file(a, s, STANDARD_OUTPUT, Place::Variable("IoStatus"), Place::Address(UNMAPPED), 0)),
    // Handles.
    status("close a handle", STATUS_SUCCESS, |a, s| close(a, s, 0xC)),
    status("close it again", STATUS_INVALID_HANDLE, |a, s| close(a, s, 0xC)),
    // Time.
    status("query the performance counter", STATUS_SUCCESS, |a, s| {
        a.push(0)?;
        a.push(s.at("Number"))?;
        a.call(dword_ptr(s.import("NtQueryPerformanceCounter")))?;
        a.ret()
    }),
    status("query the system time into the kernel", STATUS_ACCESS_VIOLATION, |a, s| {
        a.push(KERNEL)?;
        a.call(dword_ptr(s.import("NtQuerySystemTime")))?;
        a.ret()
    }),
    // EAX = 0 if at least a tick has passed, 1 if not.
    status("sleep until a tick", 0, |a, s| {
        a.mov(esi, dword_ptr(SHARED_USER_DATA + field!(SharedUserData.tick_count) as u32))?;
        a.push(1)?;
        a.call(dword_ptr(s.import("Sleep")))?;
        a.cmp(esi, dword_ptr(SHARED_USER_DATA + field!(SharedUserData.tick_count) as u32))?;
        a.sete(al)?;
        a.movzx(eax, al)?;
        a.ret()
    }),
    status("tick count by INT 2Ah", 0, |a, _| {
        a.int(0x2A)?;
        a.test(eax, eax)?;
        a.sete(al)?;
        a.movzx(eax, al)?;
        a.ret()
    }),
    // Memory. EAX = 0 if the new page is zero and keeps what is written.
    status("allocate memory", 0, |a, s| {
        a.push(PAGE_READWRITE)?;
        a.push(MEM_COMMIT)?;
        a.push(ALLOCATION_BYTES)?;
        a.push(0)?;
        a.call(dword_ptr(s.import("VirtualAlloc")))?;
        a.mov(dword_ptr(s.at("Number")), eax)?;
        a.mov(ecx, dword_ptr(eax + ALLOCATION_BYTES - 4))?;
        a.mov(dword_ptr(eax + ALLOCATION_BYTES - 4), 7)?;
        a.or(ecx, dword_ptr(eax))?;
        a.mov(eax, dword_ptr(eax + ALLOCATION_BYTES - 4))?;
        a.sub(eax, 7)?;
        a.or(eax, ecx)?;
        a.ret()
    }),
    status("free it", STATUS_SUCCESS, |a, s| {
        a.mov(dword_ptr(s.at("Letter")), 0)?;
        a.push(MEM_RELEASE)?;
        a.push(s.at("Letter"))?;
        a.push(s.at("Number"))?;
        a.push(CURRENT_PROCESS as i32)?;
        a.call(dword_ptr(s.import("NtFreeVirtualMemory")))?;
        a.ret()
    }),
    status("free memory that nobody allocated", STATUS_CONFLICTING_ADDRESSES, |a, s| {
        a.mov(dword_ptr(s.at("Letter")), 0x5000_0000)?;
        a.mov(dword_ptr(s.at("Zero")), 0)?;
        a.push(MEM_RELEASE)?;
        a.push(s.at("Zero"))?;
        a.push(s.at("Letter"))?;
        a.push(CURRENT_PROCESS as i32)?;
        a.call(dword_ptr(s.import("NtFreeVirtualMemory")))?;
        a.ret()
    }),
    violation("read freed memory", 0x0010_0000, |a, s| {
        a.mov(eax, dword_ptr(s.at("Number")))?;
        a.mov(eax, dword_ptr(eax))?;
        a.ret()
    }),
    status("allocate more than there is", STATUS_NO_MEMORY, |a, s| {
        a.mov(dword_ptr(s.at("Number")), 0)?;
        a.mov(dword_ptr(s.at("Letter")), 0x20_0000)?;
        a.push(PAGE_READWRITE)?;
        a.push(MEM_COMMIT)?;
        a.push(s.at("Letter"))?;
        a.push(0)?;
        a.push(s.at("Number"))?;
        a.push(CURRENT_PROCESS as i32)?;
        a.call(dword_ptr(s.import("NtAllocateVirtualMemory")))?;
        a.ret()
    }),
    // Exceptions.
    violation("read no page", UNMAPPED, |a, _| a.mov(eax, dword_ptr(UNMAPPED))),
    violation("read the kernel", KERNEL, |a, _| a.mov(eax, dword_ptr(KERNEL))),
    violation("write the shared page", SHARED_USER_DATA, |a, _| a.mov(dword_ptr(SHARED_USER_DATA), eax)),
    violation("call the kernel", KERNEL, |a, _| {
        a.mov(eax, KERNEL)?;
        a.call(eax)
    }),
    violation("load a kernel selector", NOT_AN_ADDRESS, |a, _| {
        a.mov(eax, 8)?;
        a.mov(ds, eax)
    }),
    violation("INT 30h", NOT_AN_ADDRESS, |a, _| a.int(0x30)),
    status("HLT", STATUS_PRIVILEGED_INSTRUCTION, |a, _| a.hlt()),
    status("CLI", STATUS_PRIVILEGED_INSTRUCTION, |a, _| a.cli()),
    status("OUT", STATUS_PRIVILEGED_INSTRUCTION, |a, _| a.out(0x80, al)),
    status("MOV EAX,CR0", STATUS_PRIVILEGED_INSTRUCTION, |a, _| a.mov(eax, cr0)),
    status("WRMSR", STATUS_PRIVILEGED_INSTRUCTION, |a, _| a.wrmsr()),
    status("SYSEXIT", STATUS_PRIVILEGED_INSTRUCTION, |a, _| a.sysexit()),
    status("UD2", STATUS_ILLEGAL_INSTRUCTION, |a, _| a.ud2()),
    status("INT3", STATUS_BREAKPOINT, |a, _| a.int3()),
    status("divide by zero", STATUS_INTEGER_DIVIDE_BY_ZERO, |a, _| {
        a.xor(ecx, ecx)?;
        a.div(ecx)
    }),
    status("INTO", STATUS_INTEGER_OVERFLOW, |a, _| {
        a.mov(al, 0x7F)?;
        a.inc(al)?;
        a.into()
    }),
    status("BOUND", STATUS_ARRAY_BOUNDS_EXCEEDED, |a, s| {
        a.mov(eax, 99)?;
        a.bound(eax, dword_ptr(s.at("Bounds")))
    }),
    status("single step", STATUS_SINGLE_STEP, |a, _| {
        a.pushfd()?;
        a.or(dword_ptr(esp), TRAP_FLAG)?;
        a.popfd()?;
        a.nop()
    }),
    status("single step over the gate", STATUS_SINGLE_STEP, |a, s| {
        // The handler lets the steps pass until the stub's RET.
        a.mov(dword_ptr(s.at("StepsUntilReturn")), 1)?;
        a.mov(eax, number("NtYieldExecution"))?;
        a.pushfd()?;
        a.or(dword_ptr(esp), TRAP_FLAG)?;
        a.popfd()?;
        a.call(dword_ptr(SHARED_USER_DATA + field!(SharedUserData.system_call) as u32))?;
        a.nop()?;
        a.ret()
    }),
    violation(LOST_STACK, 0, |a, _| {
        a.mov(esp, KERNEL)?;
        a.push(eax)
    }),
];

fn number(name: &str) -> u32 {
    Service::named(name).map_or(0, |service| service.number.into())
}

/// Calls a service by number through the gate of 7FFE0300h.
fn gate(a: &mut CodeAssembler, number: u32) -> Result<(), IcedError> {
    a.mov(eax, number)?;
    a.mov(
        edx,
        SHARED_USER_DATA + field!(SharedUserData.system_call) as u32,
    )?;
    a.call(dword_ptr(edx))?;
    a.ret()
}

fn slow_gate(a: &mut CodeAssembler, arguments: u32) -> Result<(), IcedError> {
    a.mov(eax, number("NtClose"))?;
    a.mov(edx, arguments)?;
    a.int(0x2E)?;
    a.ret()
}

enum Place {
    Variable(&'static str),
    Address(u32),
}

impl Place {
    fn address(&self, s: &Scope) -> u32 {
        match self {
            Place::Variable(name) => s.at(name),
            Place::Address(address) => *address,
        }
    }
}

fn write_file(
    a: &mut CodeAssembler,
    s: &Scope,
    handle: i32,
    io_status: Place,
    buffer: Place,
    length: i32,
) -> Result<(), IcedError> {
    a.push(0)?;
    a.push(0)?;
    a.push(length)?;
    a.push(buffer.address(s))?;
    a.push(io_status.address(s))?;
    a.push(0)?;
    a.push(0)?;
    a.push(0)?;
    a.push(handle)?;
    a.call(dword_ptr(s.import("NtWriteFile")))?;
    a.cld()?;
    a.ret()
}

fn close(a: &mut CodeAssembler, s: &Scope, handle: i32) -> Result<(), IcedError> {
    a.push(handle)?;
    a.call(dword_ptr(s.import("NtClose")))?;
    a.ret()
}

pub fn add(module: &mut ModuleSource, options: &ImageOptions) {
    let ntdll = [
        "NtAllocateVirtualMemory",
        "NtClose",
        "NtFreeVirtualMemory",
        "NtQueryPerformanceCounter",
        "NtQuerySystemTime",
        "NtWriteFile",
    ];
    begin(
        module,
        options,
        &[
            "ExitProcess",
            "GetStdHandle",
            "Sleep",
            "VirtualAlloc",
            "WriteFile",
        ],
        &ntdll,
    );
    module.code("WinMain", main);
    module.inner_code("$resume", |a, s| {
        a.mov(esp, dword_ptr(s.at("RunnerStack")))?;
        a.lea(ebp, dword_ptr(esp + 8))?;
        a.call(s.near("PrintOutcome"))?;
        a.add(dword_ptr(s.at("CurrentCase")), CASE_BYTES)?;
        a.mov(ebx, dword_ptr(s.at("CurrentCase")))?;
        a.mov(dword_ptr(s.at("ExceptionAddress")), 0)?;
        a.call(dword_ptr(ebx))?;
        a.jmp(s.near("$resume"))
    });
    module.code("Handler", handler);
    module.code("PrintOutcome", print_outcome);
    module.code("FormatHex", format_hex);
    for (index, case) in CASES.iter().enumerate() {
        module.code(&format!("Case{index}"), case.body);
        module.text(&format!("CaseName{index}"), case.name);
    }
    module.data("Cases", |s| {
        let row = |(index, case): (usize, &Case)| {
            [
                s.at(&format!("Case{index}")),
                s.at(&format!("CaseName{index}")),
                case.name.len() as u32,
            ]
        };
        CASES
            .iter()
            .enumerate()
            .flat_map(row)
            .flat_map(u32::to_le_bytes)
            .collect()
    });
    module.data("Bounds", |_| {
        [1u32, 2]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    });
    module.directories();
    module.section(".data", Access::Data);
    for name in [
        "RunnerStack",
        "CurrentCase",
        "ExceptionAddress",
        "StepsUntilReturn",
        "Number",
        "Letter",
        "Zero",
    ] {
        module.dword(name, 0);
    }
    module.space("IoStatus", 8);
    module.text("Outcome", ": 00000000 00000000\r\n");
}

const CASE_BYTES: u32 = 12;
const OUTCOME_BYTES: u32 = 21;

fn main(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.push(s.at("Handler"))?;
    a.push(teb_field!(exception_list))?;
    a.mov(teb_field!(exception_list), esp)?;
    a.mov(dword_ptr(s.at("RunnerStack")), esp)?;
    a.mov(ebx, s.at("Cases"))?;
    a.mov(dword_ptr(s.at("CurrentCase")), ebx)?;
    a.call(dword_ptr(ebx))
}

/// (record, registration, context, dispatcher context): continues at `$resume` with EAX = code.
fn handler(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut stop = a.create_label();
    let mut without_address = a.create_label();
    a.mov(edx, dword_ptr(esp + 4))?;
    a.mov(ecx, dword_ptr(esp + 12))?;
    a.mov(eax, dword_ptr(edx + field!(ExceptionRecord.exception_code)))?;
    a.cmp(dword_ptr(s.at("StepsUntilReturn")), 0)?;
    a.je(stop)?;
    // Step on while the instruction is in the stub's gate, i.e. not in this program.
    a.push(eax)?;
    a.mov(eax, dword_ptr(ecx + field!(Context.eip)))?;
    a.sub(eax, s.at("WinMain"))?;
    a.cmp(eax, 0x1_0000)?;
    a.pop(eax)?;
    a.jb(stop)?;
    a.or(dword_ptr(ecx + field!(Context.eflags)), TRAP_FLAG)?;
    a.xor(eax, eax)?;
    a.ret()?;
    a.set_label(&mut stop)?;
    a.mov(dword_ptr(s.at("StepsUntilReturn")), 0)?;
    a.cmp(
        dword_ptr(edx + field!(ExceptionRecord.number_parameters)),
        2,
    )?;
    a.jb(without_address)?;
    a.mov(
        edx,
        dword_ptr(edx + field!(ExceptionRecord.exception_information) + 4),
    )?;
    a.mov(dword_ptr(s.at("ExceptionAddress")), edx)?;
    a.set_label(&mut without_address)?;
    a.mov(dword_ptr(ecx + field!(Context.eax)), eax)?;
    a.mov(dword_ptr(ecx + field!(Context.eip)), s.at("$resume"))?;
    a.xor(eax, eax)?;
    a.ret()
}

/// In: EAX = code.
fn print_outcome(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.push(ecx)?;
    a.mov(edi, s.at("Outcome") + 2)?;
    a.call(s.near("FormatHex"))?;
    a.mov(eax, dword_ptr(s.at("ExceptionAddress")))?;
    a.mov(edi, s.at("Outcome") + 11)?;
    a.call(s.near("FormatHex"))?;
    a.mov(ebx, dword_ptr(s.at("CurrentCase")))?;
    for (text, bytes) in [(None, 0), (Some("Outcome"), OUTCOME_BYTES)] {
        a.push(STD_OUTPUT_HANDLE as i32)?;
        a.call(dword_ptr(s.import("GetStdHandle")))?;
        a.push(0)?;
        a.lea(ecx, dword_ptr(ebp - 4))?;
        a.push(ecx)?;
        match text {
            None => {
                a.push(dword_ptr(ebx + 8))?;
                a.push(dword_ptr(ebx + 4))?;
            }
            Some(text) => {
                a.push(bytes)?;
                a.push(s.at(text))?;
            }
        }
        a.push(eax)?;
        a.call(dword_ptr(s.import("WriteFile")))?;
    }
    a.leave()?;
    a.ret()
}

/// EAX as eight hexadecimal digits at EDI.
fn format_hex(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut digit = a.create_label();
    a.mov(ecx, 8)?;
    a.set_label(&mut next)?;
    a.rol(eax, 4)?;
    a.mov(edx, eax)?;
    a.and(edx, 15)?;
    a.add(edx, 0x30)?;
    a.cmp(edx, 0x3A)?;
    a.jb(digit)?;
    a.add(edx, 0x27)?;
    a.set_label(&mut digit)?;
    a.mov(byte_ptr(edi), dl)?;
    a.inc(edi)?;
    a.dec(ecx)?;
    a.jne(next)?;
    a.ret()
}
