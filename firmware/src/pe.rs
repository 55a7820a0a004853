//! Writes PE32 files: headers and the base relocation directory by `object`, section contents as given.

use crate::module::Access;
use object::pe::*;
use object::write::pe::{NtHeaders, Writer};

/// Sections begin at multiples of a page.
pub const SECTION_ALIGNMENT: u32 = 0x1000;
const FILE_ALIGNMENT: u32 = 0x200;
const DIRECTORIES: usize = 16;
const IMPORT_ADDRESS_DIRECTORY: usize = 12;

/// A section's place and contents.
#[derive(Clone, Debug)]
pub struct Section {
    /// At most eight characters.
    pub name: &'static str,
    /// What it may be used for.
    pub access: Access,
    /// Address relative to the base.
    pub rva: u32,
    /// Bytes in memory; what the file does not hold is zero.
    pub virtual_size: u32,
    /// Bytes in the file.
    pub bytes: Vec<u8>,
}

/// What a file is made of. Ranges are (RVA, bytes).
pub struct Contents<'a> {
    /// Sets the DLL flag.
    pub is_dll: bool,
    /// The subsystem is "native": a kernel.
    pub native: bool,
    /// Preferred base address.
    pub image_base: u32,
    /// RVA of the entry point, or 0.
    pub entry: u32,
    /// In order of RVA.
    pub sections: &'a [Section],
    /// RVAs of the 32-bit addresses, ascending.
    pub relocations: &'a [u32],
    /// Export directory with its tables and strings.
    pub exports: Option<(u32, u32)>,
    /// Import directory with its tables and strings.
    pub imports: Option<(u32, u32)>,
    /// Import address table.
    pub import_addresses: Option<(u32, u32)>,
}

/// Writes a PE32 file for the 386.
pub fn write(contents: &Contents) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(false, SECTION_ALIGNMENT, FILE_ALIGNMENT, &mut file);
    writer.reserve_dos_header_and_stub();
    writer.reserve_nt_headers(DIRECTORIES);
    let with_relocations = !contents.relocations.is_empty();
    writer.reserve_section_headers(contents.sections.len() as u16 + u16::from(with_relocations));
    let directories = [
        (0, contents.exports),
        (1, contents.imports),
        (IMPORT_ADDRESS_DIRECTORY, contents.import_addresses),
    ];
    for (index, range) in directories {
        if let Some((rva, bytes)) = range {
            writer.set_data_directory(index, rva, bytes);
        }
    }
    let mut offsets = Vec::new();
    for section in contents.sections {
        let mut name = [0; 8];
        name[..section.name.len()].copy_from_slice(section.name.as_bytes());
        let flags = match section.access {
            Access::Code => IMAGE_SCN_CNT_CODE | IMAGE_SCN_MEM_EXECUTE | IMAGE_SCN_MEM_READ,
            Access::Constant => IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ,
            Access::Data => {
                IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ | IMAGE_SCN_MEM_WRITE
            }
        };
        let range = writer.reserve_section(
            name,
            flags,
            section.virtual_size,
            section.bytes.len() as u32,
        );
        assert_eq!(
            range.virtual_address, section.rva,
            "sections follow each other without a hole"
        );
        offsets.push(range.file_offset);
    }
    for &rva in contents.relocations {
        writer.add_reloc(rva, IMAGE_REL_BASED_HIGHLOW);
    }
    if with_relocations {
        writer.reserve_reloc_section();
    }

    writer
        .write_dos_header_and_stub()
        .expect("a vector can grow");
    let kind = if contents.is_dll {
        IMAGE_FILE_DLL
    } else {
        FileFlags(0)
    };
    writer.write_nt_headers(NtHeaders {
        machine: IMAGE_FILE_MACHINE_I386,
        time_date_stamp: 0,
        characteristics: IMAGE_FILE_EXECUTABLE_IMAGE | IMAGE_FILE_32BIT_MACHINE | kind,
        major_linker_version: 9,
        minor_linker_version: 0,
        address_of_entry_point: contents.entry,
        image_base: contents.image_base.into(),
        major_operating_system_version: 6,
        minor_operating_system_version: 1,
        major_image_version: 6,
        minor_image_version: 1,
        major_subsystem_version: 6,
        minor_subsystem_version: 1,
        subsystem: if contents.native {
            IMAGE_SUBSYSTEM_NATIVE
        } else {
            IMAGE_SUBSYSTEM_WINDOWS_CUI
        },
        dll_characteristics: IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE,
        size_of_stack_reserve: 0x4_0000,
        size_of_stack_commit: 0x3000,
        size_of_heap_reserve: 0x10_0000,
        size_of_heap_commit: 0x1000,
    });
    writer.write_section_headers();
    for (section, offset) in contents.sections.iter().zip(offsets) {
        writer.write_section(offset, &section.bytes);
    }
    writer.write_reloc_section();
    file
}
