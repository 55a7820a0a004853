//! `kernel32`: the Win32 functions as programs import them; most lead to KERNELBASE through API sets.

use super::base_functions;
use super::kernelbase::ntdll_imports;
use super::program_functions;
use crate::kernel::{field, teb_field};
use crate::module::{Access, ModuleSource, Scope};
use crate::stamps::{Stamp, Stamps};
use abi::Windows;
use abi::addresses::*;
use abi::status::ERROR_INVALID_HANDLE;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Windows 7's preferred base.
const PREFERRED_BASE: u32 = 0x77DE_0000;
/// Handles of consoles have both low bits set.
const CONSOLE_BITS: u32 = 3;

/// API sets and what kernel32 takes from them.
const API_SET_IMPORTS: &[(&str, &[&str])] = &[
    (
        "API-MS-Win-Core-ErrorHandling-L1-1-0.dll",
        &["GetLastError", "SetLastError"],
    ),
    (
        "API-MS-Win-Core-File-L1-1-0.dll",
        &["ReadFile", "WriteFile"],
    ),
    ("API-MS-Win-Core-Handle-L1-1-0.dll", &["CloseHandle"]),
    ("API-MS-Win-Core-Memory-L1-1-0.dll", &["VirtualAlloc"]),
    (
        "API-MS-Win-Core-ProcessEnvironment-L1-1-0.dll",
        &["GetStdHandle"],
    ),
    (
        "API-MS-Win-Core-ProcessThreads-L1-1-0.dll",
        &["ExitProcess"],
    ),
    (
        "API-MS-Win-Core-Profile-L1-1-0.dll",
        &["QueryPerformanceCounter"],
    ),
    ("API-MS-Win-Core-Synch-L1-1-0.dll", &["Sleep"]),
    (
        "API-MS-Win-Core-SysInfo-L1-1-0.dll",
        &["GetSystemTimeAsFileTime"],
    ),
];

/// What the functions for own programs take from ntdll.
const PROGRAM_IMPORTS: &[&str] = &["NtFreeVirtualMemory", "NtQueryPerformanceCounter"];

/// `with_kernelbase` is the arrangement since Windows 7; without it kernel32 has the functions itself,
/// as it had before.
///
/// `for_programs`: with what own programs may import.
pub fn source(
    windows: Windows,
    with_kernelbase: bool,
    stamps: Stamps,
    for_programs: bool,
) -> ModuleSource {
    let mut module = ModuleSource::new("kernel32", "kernel32.dll", 4, 3, PREFERRED_BASE);
    module.section(".text", Access::Code);
    if with_kernelbase {
        let mut imports = API_SET_IMPORTS.to_vec();
        if for_programs {
            imports.push(("ntdll.dll", PROGRAM_IMPORTS));
        }
        module.import_address_table(&imports);
        for name in ["ReadFile", "WriteFile"] {
            let function = module.code(&format!("{name}Implementation"), move |a, s| {
                let stamps = (name == "WriteFile").then_some(stamps);
                transfer(a, s, name, stamps)
            });
            function.export_as(name);
        }
        for name in base_functions::FUNCTIONS {
            if !["ReadFile", "WriteFile"].contains(name) {
                module.code(name, move |a, s| thunk(a, s, name)).export();
            }
        }
    } else {
        module.import_address_table(&[("ntdll.dll", &ntdll_imports(windows))]);
        base_functions::add(&mut module, stamps);
    }
    module.forward("RtlZeroMemory", "NTDLL.RtlZeroMemory");
    if for_programs {
        program_functions::add(&mut module, with_kernelbase);
    }
    module.directories();
    if for_programs {
        program_functions::add_data(&mut module);
    }
    module
}

/// Microsoft's stub of a function that moved to KERNELBASE.
fn thunk(a: &mut CodeAssembler, s: &Scope, name: &str) -> Result<(), IcedError> {
    // mov edi,edi; push ebp; mov ebp,esp; pop ebp; jmp short over five NOPs
    a.db(&[
        0x8B, 0xFF, 0x55, 0x8B, 0xEC, 0x5D, 0xEB, 0x05, 0x90, 0x90, 0x90, 0x90, 0x90,
    ])?;
    a.jmp(dword_ptr(s.import(name)))
}

/// BOOL ReadFile or WriteFile(file, buffer, length, *transferred, overlapped): the console's handles are
/// kernel32's business, all others KERNELBASE's.
fn transfer(
    a: &mut CodeAssembler,
    s: &Scope,
    name: &str,
    stamps: Option<Stamps>,
) -> Result<(), IcedError> {
    let mut is_handle = a.create_label();
    let mut console = a.create_label();
    let parameter = |index: i32| dword_ptr(ebp + 8 + index * 4);
    a.db(&[0x8B, 0xFF])?;
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    if let Some(stamps) = stamps {
        stamps.take(a, Stamp::Kernel32)?;
    }
    a.mov(eax, parameter(0))?;
    a.mov(ecx, STD_INPUT_HANDLE as i32)?;
    a.sub(ecx, eax)?;
    a.cmp(ecx, 2)?;
    a.ja(is_handle)?;
    a.mov(eax, teb_field!(process_environment_block))?;
    a.mov(
        eax,
        dword_ptr(eax + field!(ProcessEnvironment.process_parameters)),
    )?;
    a.mov(
        eax,
        dword_ptr(eax + ecx * 4 + field!(ProcessParameters.standard_input)),
    )?;
    a.set_label(&mut is_handle)?;
    a.mov(ecx, eax)?;
    a.and(ecx, CONSOLE_BITS)?;
    a.cmp(ecx, CONSOLE_BITS)?;
    a.je(console)?;
    for index in (1..5).rev() {
        a.push(parameter(index))?;
    }
    a.push(eax)?;
    a.call(dword_ptr(s.import(name)))?;
    if let Some(stamps) = stamps {
        stamps.take_behind_call(a, Stamp::Kernel32Return)?;
    }
    a.pop(ebp)?;
    a.ret_1(20)?;
    // There is no console here.
    a.set_label(&mut console)?;
    a.mov(teb_field!(last_error_value), ERROR_INVALID_HANDLE)?;
    a.xor(eax, eax)?;
    a.pop(ebp)?;
    a.ret_1(20)
}
