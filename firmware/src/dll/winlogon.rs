//! `winlogon.exe`: the program whose `WriteFile` is followed.

use crate::image::ImageOptions;
use crate::module::{Access, ModuleSource};
use abi::addresses::STD_OUTPUT_HANDLE;
use iced_x86::code_asm::*;

const PREFERRED_BASE: u32 = 0x0100_0000;
/// The call to WriteFile is near RVA 1234h, where the journey begins.
const WIN_MAIN: u32 = 0x1218;

const IMPORTS: &[&str] = &["ExitProcess", "GetStdHandle", "WriteFile"];
const API_SET_IMPORTS: &[(&str, &[&str])] = &[
    ("API-MS-Win-Core-File-L1-1-0.dll", &["WriteFile"]),
    (
        "API-MS-Win-Core-ProcessEnvironment-L1-1-0.dll",
        &["GetStdHandle"],
    ),
    (
        "API-MS-Win-Core-ProcessThreads-L1-1-0.dll",
        &["ExitProcess"],
    ),
];

pub fn source(options: &ImageOptions) -> ModuleSource {
    let mut module = ModuleSource::new("winlogon", "winlogon.exe", 5, 3, PREFERRED_BASE);
    module.entry = Some("WinMainCRTStartup");
    module.section(".text", Access::Code);
    if options.has_kernel32() {
        module.import_address_table(&[("KERNEL32.dll", IMPORTS)]);
    } else {
        module.import_address_table(API_SET_IMPORTS);
    }
    module.code("WinMainCRTStartup", |a, s| {
        a.call(s.near("WinMain"))?;
        a.push(eax)?;
        a.call(dword_ptr(s.import("ExitProcess")))?;
        a.int3()
    });
    let text_bytes = options.console_text.len() as u32;
    let main = module.code("WinMain", move |a, s| {
        a.push(ebp)?;
        a.mov(ebp, esp)?;
        a.push(ecx)?;
        a.push(STD_OUTPUT_HANDLE as i32)?;
        a.call(dword_ptr(s.import("GetStdHandle")))?;
        a.push(0)?;
        a.lea(ecx, dword_ptr(ebp - 4))?;
        a.push(ecx)?;
        a.push(text_bytes)?;
        a.push(s.at("Greeting"))?;
        a.push(eax)?;
        a.call(dword_ptr(s.import("WriteFile")))?;
        a.xor(eax, eax)?;
        a.leave()?;
        a.ret()
    });
    main.at(WIN_MAIN);
    module.text("Greeting", &options.console_text);
    module.directories();
    module
}
