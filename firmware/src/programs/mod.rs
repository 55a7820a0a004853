//! What `winlogon.exe` may be: the greeting of the journey, its bill, an echo, and an exercise of the kernel.

mod bill;
mod echo;
mod exercise;
mod greeting;

use crate::image::ImageOptions;
use crate::module::{Access, ModuleSource, Scope};
use abi::addresses::STD_OUTPUT_HANDLE;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

pub use exercise::{Expectation, expectations};

const PREFERRED_BASE: u32 = 0x0100_0000;

/// The program that is called `winlogon.exe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Writes the console text and ends.
    Greeting,
    /// Writes the console text twice and then a bill: the clocks of each hop of both calls, by RDTSC. Only in this image
    /// DLLs and kernel take time stamps.
    Bill,
    /// Writes back what it reads, until it has read a byte 04h (Ctrl-D).
    Echo,
    /// Does what programs should and should not do, one line of outcome each; see [`expectations`].
    Exercise,
}

/// Functions of KERNELBASE that programs use, by API set.
const API_SETS: &[(&str, &[&str])] = &[
    (
        "API-MS-Win-Core-File-L1-1-0.dll",
        &["ReadFile", "WriteFile"],
    ),
    ("API-MS-Win-Core-Memory-L1-1-0.dll", &["VirtualAlloc"]),
    (
        "API-MS-Win-Core-ProcessEnvironment-L1-1-0.dll",
        &["GetStdHandle"],
    ),
    (
        "API-MS-Win-Core-ProcessThreads-L1-1-0.dll",
        &["ExitProcess"],
    ),
    ("API-MS-Win-Core-Synch-L1-1-0.dll", &["Sleep"]),
];

/// The program's source.
pub fn source(options: &ImageOptions) -> ModuleSource {
    let mut module = ModuleSource::new("winlogon", "winlogon.exe", 5, 3, PREFERRED_BASE);
    module.entry = Some("WinMainCRTStartup");
    module.section(".text", Access::Code);
    match options.program {
        Program::Greeting => greeting::add(&mut module, options),
        Program::Bill => bill::add(&mut module, options),
        Program::Echo => echo::add(&mut module, options),
        Program::Exercise => exercise::add(&mut module, options),
    }
    module
}

/// Lays the import address table for Win32 functions (in alphabetical order) and others, and the start-up code.
fn begin(
    module: &mut ModuleSource,
    options: &ImageOptions,
    functions: &[&'static str],
    ntdll: &[&str],
) {
    let mut imports: Vec<(&str, Vec<&str>)> = Vec::new();
    if options.has_kernel32() {
        imports.push(("KERNEL32.dll", functions.to_vec()));
    } else {
        for (set, members) in API_SETS {
            let names: Vec<&str> = members
                .iter()
                .copied()
                .filter(|name| functions.contains(name))
                .collect();
            if !names.is_empty() {
                imports.push((set, names));
            }
        }
    }
    if !ntdll.is_empty() {
        imports.push(("ntdll.dll", ntdll.to_vec()));
    }
    let imports: Vec<(&str, &[&str])> = imports
        .iter()
        .map(|(dll, names)| (*dll, names.as_slice()))
        .collect();
    module.import_address_table(&imports);
    module.code("WinMainCRTStartup", |a, s| {
        a.call(s.near("WinMain"))?;
        a.push(eax)?;
        a.call(dword_ptr(s.import("ExitProcess")))?;
        a.int3()
    });
}

/// WriteFile(standard output, `text`, `bytes`, the double word at EBP-4, none). Uses EAX, ECX, EDX.
fn write_text(a: &mut CodeAssembler, s: &Scope, text: &str, bytes: u32) -> Result<(), IcedError> {
    push_write_arguments(a, s, text, bytes)?;
    a.call(dword_ptr(s.import("WriteFile")))
}

/// The same up to the call.
fn push_write_arguments(
    a: &mut CodeAssembler,
    s: &Scope,
    text: &str,
    bytes: u32,
) -> Result<(), IcedError> {
    a.push(STD_OUTPUT_HANDLE as i32)?;
    a.call(dword_ptr(s.import("GetStdHandle")))?;
    a.push(0)?;
    a.lea(ecx, dword_ptr(ebp - 4))?;
    a.push(ecx)?;
    a.push(bytes)?;
    a.push(s.at(text))?;
    a.push(eax)
}
