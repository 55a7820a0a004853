//! `nt`: the kernel. Entry and exit, traps, interrupts, services.

/// Offset of a field of a structure of `abi`, as a displacement.
macro_rules! field {
    ($structure:ident.$field:ident) => {
        ::core::mem::offset_of!(abi::layout::$structure, $field) as i32
    };
}
/// Double word of the processor control region.
macro_rules! fs_field {
    ($field:ident) => {
        dword_ptr(::core::mem::offset_of!(abi::layout::ControlRegion, $field) as u32).fs()
    };
}
/// Double word of the thread environment block.
macro_rules! teb_field {
    ($field:ident) => {
        dword_ptr(::core::mem::offset_of!(abi::layout::ThreadEnvironment, $field) as u32).fs()
    };
}
pub(crate) use {field, teb_field};

mod console;
mod entry;
mod interrupts;
pub mod services;
mod start;
mod stop;
mod tables;
mod trap;

use crate::image::Gate;
use crate::module::{Access, ModuleSource};
use crate::stamps::Stamps;
use abi::Windows;

/// Base in the file's header; the loader moves the kernel above 80000000h.
const PREFERRED_BASE: u32 = 0x0040_0000;

pub use start::ESP0;

/// What the kernel is built for.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// How user code enters and leaves.
    pub gate: Gate,
    /// Whose services it has.
    pub windows: Windows,
    /// The bill's stamps, or none.
    pub stamps: Stamps,
    /// For a user's own program: its file name. Its exit status goes to the exit port, and it reads lines.
    pub own_program: Option<String>,
}

/// The kernel's source.
pub fn source(options: &KernelOptions) -> ModuleSource {
    let mut module = ModuleSource::new("nt", "ntoskrnl.exe", 1, 0, PREFERRED_BASE);
    module.entry = Some("KiSystemStartup");
    module.section(".text", Access::Code);
    entry::add(&mut module, options);
    trap::add(&mut module, options.own_program.is_some());
    interrupts::add(&mut module);
    console::add(&mut module, console::received_bytes(options));
    services::add(&mut module, options);
    stop::add(&mut module, options.own_program.as_deref());
    start::add(&mut module, options);
    tables::add_constants(&mut module, options.windows);
    module.directories();
    module.section(".data", Access::Data);
    tables::add_data(&mut module, options);
    module
}
