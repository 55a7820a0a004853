//! A user's own program in place of `winlogon.exe`: what kinds of PE files can be loaded, and the stand-ins for what they import
//! in vain.

use crate::error::ImageError;
use crate::loader::PAGE;
use crate::module::{Access, Kind, Module, ModuleSource, ModuleSymbol};
use crate::pe::SECTION_ALIGNMENT;
use abi::addresses::CURRENT_PROCESS;
use iced_x86::code_asm::*;
use object::LittleEndian as LE;
use object::pe::*;
use object::read::pe::PeFile32;
use object::{Object, ObjectSymbol, SymbolKind};

/// File name of the stand-ins.
pub const STAND_INS: &str = "missing.dll";
/// Base of the stand-ins.
pub const STAND_INS_BASE: u32 = 0x6F00_0000;
/// Programs that can be moved go here if their own base is taken.
const SECOND_BASE: u32 = 0x0100_0000;
/// Addresses that a program may have: behind the region for allocations, before the DLLs.
const FIRST_ADDRESS: u32 = 0x0040_0000;
const END_ADDRESS: u32 = 0x6F00_0000;
/// Above kernel32, or above the C run-time library if it uses that.
const PROGRAM_LAYER: u8 = 5;
const DIRECTORY_CLR: usize = 14;
/// `STATUS_ENTRYPOINT_NOT_FOUND`.
const ENTRY_POINT_NOT_FOUND: u32 = 0xC000_0139;
/// Handle of standard error.
const STANDARD_ERROR: u32 = 0xC;
/// Longest program, in bytes of address space.
const LONGEST: u32 = 0x0100_0000;

/// A PE32 console program.
#[derive(Clone, Debug)]
pub struct OwnProgram {
    /// File name, without its folder.
    pub file_name: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// What `GetCommandLine` returns.
    pub command_line: String,
}

impl OwnProgram {
    /// The program as a module, and its base.
    ///
    /// # Errors
    /// A file that is no program, or none that can be loaded.
    pub fn module(&self) -> Result<(Module, u32), ImageError> {
        let wrong = |reason: String| ImageError::BadFile {
            file: self.file_name.clone(),
            reason,
        };
        if let Ok(object::FileKind::Pe64) = object::FileKind::parse(&*self.bytes) {
            return Err(wrong(
                "is a 64-bit program (PE32+); the core runs PE32".into(),
            ));
        }
        let pe = PeFile32::parse(&*self.bytes)
            .map_err(|error| wrong(format!("is no PE32 file: {error}")))?;
        let headers = pe.nt_headers();
        let (file, optional) = (&headers.file_header, &headers.optional_header);
        if file.machine.get(LE) != IMAGE_FILE_MACHINE_I386 {
            return Err(wrong("is for another processor than the 386".into()));
        }
        if file.characteristics.get(LE).contains(IMAGE_FILE_DLL) {
            return Err(wrong("is a DLL; a program is needed".into()));
        }
        if optional.subsystem.get(LE) != IMAGE_SUBSYSTEM_WINDOWS_CUI {
            return Err(wrong(
                "is no console program; there are no windows here".into(),
            ));
        }
        let directory = pe.data_directories().get(DIRECTORY_CLR);
        if directory.is_some_and(|directory| directory.virtual_address.get(LE) != 0) {
            return Err(wrong(
                "is a .NET program; there is no run-time for it".into(),
            ));
        }
        let size = optional.size_of_image.get(LE);
        if size == 0 || size > LONGEST || optional.section_alignment.get(LE) != SECTION_ALIGNMENT {
            return Err(wrong(format!(
                "takes {size:x}h bytes with sections at multiples of {:x}h; up to {LONGEST:x}h and {SECTION_ALIGNMENT:x}h can be loaded",
                optional.section_alignment.get(LE)
            )));
        }
        let inside = |rva: u32, bytes: u32| {
            rva.is_multiple_of(PAGE)
                && u64::from(rva) + u64::from(bytes) <= u64::from(size.next_multiple_of(PAGE))
        };
        if optional.size_of_headers.get(LE) as usize > self.bytes.len()
            || optional.size_of_headers.get(LE) > size
        {
            return Err(wrong("is truncated within its headers".into()));
        }
        for section in pe.section_table().iter() {
            let (rva, bytes) = (
                section.virtual_address.get(LE),
                section.virtual_size.get(LE),
            );
            if !inside(rva, bytes) {
                return Err(wrong(format!(
                    "has a section at {rva:x}h with {bytes:x}h bytes, outside its image"
                )));
            }
            section
                .pe_data(&*self.bytes)
                .map_err(|_| wrong("is truncated: a section points beyond its end".into()))?;
        }
        if optional.address_of_entry_point.get(LE) == 0 {
            return Err(wrong("has no entry point".into()));
        }
        let own_base = optional.image_base.get(LE);
        let fits = own_base >= FIRST_ADDRESS && own_base.saturating_add(size) <= END_ADDRESS;
        let relocations = pe.data_directories().get(5);
        let can_move = relocations.is_some_and(|directory| directory.size.get(LE) != 0);
        let base = match (fits, can_move) {
            (true, _) => own_base,
            (false, true) => SECOND_BASE,
            (false, false) => {
                return Err(wrong(format!(
                    "must lie at {own_base:x}h, where there is no room, and has no relocations to be moved"
                )));
            }
        };
        let module = Module {
            name: self.module_name(),
            file_name: self.file_name.clone(),
            layer: match self.imports_from(crate::dll::MSVCRT) {
                true => crate::dll::MSVCRT_LAYER + 1,
                false => PROGRAM_LAYER,
            },
            ring: 3,
            file: self.bytes.clone(),
            symbols: symbols(&pe, size),
        };
        Ok((module, base))
    }

    /// Whether the file names this DLL among its imports.
    pub fn imports_from(&self, dll: &str) -> bool {
        let imported = || -> Option<bool> {
            let pe = PeFile32::parse(&*self.bytes).ok()?;
            let mut imports = pe.imports().ok()?.filter_map(Result::ok);
            Some(imports.any(|import| import.library().eq_ignore_ascii_case(dll.as_bytes())))
        };
        imported().unwrap_or(false)
    }

    /// What debuggers call it: the file name without its extension.
    fn module_name(&self) -> String {
        let stem = self
            .file_name
            .rsplit_once('.')
            .map_or(&*self.file_name, |parts| parts.0);
        let letters = |character: char| {
            if character.is_alphanumeric() {
                character
            } else {
                '_'
            }
        };
        stem.chars().map(letters).collect()
    }
}

/// The functions of the file's symbol table, or its entry point alone.
fn symbols(pe: &PeFile32, size: u32) -> Vec<ModuleSymbol> {
    let base = pe.relative_address_base() as u32;
    let optional = &pe.nt_headers().optional_header;
    let entry = optional.address_of_entry_point.get(LE);
    let mut found: Vec<(u32, String)> = pe
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
        .filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let rva = (symbol.address() as u32).wrapping_sub(base);
            // C names have an underscore before them; those of sections and files a point.
            let plain = name.strip_prefix('_').unwrap_or(name);
            (rva < size && !name.starts_with('.') && !plain.is_empty()).then(|| (rva, plain.into()))
        })
        .collect();
    if !found.iter().any(|(rva, _)| *rva == entry) {
        found.push((entry, "EntryPoint".into()));
    }
    found.sort();
    found.dedup_by_key(|(rva, _)| *rva);
    let ends: Vec<u32> = found
        .iter()
        .skip(1)
        .map(|row| row.0)
        .chain([size])
        .collect();
    let rows = found.into_iter().zip(ends);
    rows.map(|((rva, name), end)| ModuleSymbol {
        name,
        aliases: Vec::new(),
        rva,
        size: end - rva,
        kind: Kind::Code,
    })
    .collect()
}

/// A DLL whose exports are called as the imports in vain: each says so on standard error and ends the process.
pub fn stand_ins(program: &str, missing: &[String]) -> ModuleSource {
    let mut module = ModuleSource::new("missing", STAND_INS, 4, 3, STAND_INS_BASE);
    module.section(".text", Access::Code);
    module.import_address_table(&[("ntdll.dll", &["NtTerminateProcess", "NtWriteFile"])]);
    for (number, import) in missing.iter().enumerate() {
        let text = format!("\r\n*** {program} called {import}, which is not there\r\n");
        let (bytes, text_symbol) = (text.len() as u32, format!("$text{number}"));
        let symbol = text_symbol.clone();
        let function = module.code(import, move |a, s| {
            a.sub(esp, 8)?;
            a.mov(ebx, esp)?; // an I/O status block
            for argument in [0, 0, bytes, s.at(&symbol)] {
                a.push(argument)?;
            }
            a.push(ebx)?;
            for argument in [0, 0, 0, STANDARD_ERROR] {
                a.push(argument)?;
            }
            a.call(dword_ptr(s.import("NtWriteFile")))?;
            a.push(ENTRY_POINT_NOT_FOUND)?;
            a.push(CURRENT_PROCESS)?;
            a.call(dword_ptr(s.import("NtTerminateProcess")))?;
            a.int3()
        });
        function.export();
        let bytes = text.into_bytes();
        module
            .hidden_data(&text_symbol, move |_| bytes.clone())
            .align(1);
    }
    module.directories();
    module
}
