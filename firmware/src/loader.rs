//! Maps PE32 files the way the Windows loader does: sections to pages, base relocations, imports bound
//! through the API set schema and forwarders.

use crate::api_sets;
use crate::error::ImageError;
use object::LittleEndian as LE;
use object::pe::*;
use object::read::pe::{ExportTarget, Import, PeFile32};
use std::collections::BTreeMap;

/// Bytes of a page.
pub const PAGE: u32 = spec::paging::PAGE_BYTES;
const FORWARD_DEPTH: usize = 4;

/// A file to be mapped, and where.
#[derive(Clone, Copy, Debug)]
pub struct LoadRequest<'a> {
    /// File name, as imports name it.
    pub file_name: &'a str,
    /// The PE32 file.
    pub bytes: &'a [u8],
    /// Base address to map it at.
    pub base: u32,
    /// Layer of the house of DLLs.
    pub layer: u8,
    /// Names the stand-ins for imports that nobody exports: an export of this file called `DLL!name`. None: such an import is an
    /// error.
    pub stand_ins: Option<&'a str>,
}

/// One page of a mapped module.
#[derive(Clone, Debug)]
pub struct MappedPage {
    /// What the page holds: 4,096 bytes.
    pub bytes: Vec<u8>,
    /// Whether the section may be written.
    pub writable: bool,
}

/// A module as it stands in memory.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Base address.
    pub base: u32,
    /// Bytes of address space, a multiple of a page.
    pub size: u32,
    /// Address of the entry point, or 0.
    pub entry: u32,
    /// Pages by address. Pages that only hold zeros and cannot be written are left out.
    pub pages: BTreeMap<u32, MappedPage>,
}

/// Maps, relocates and binds `requests`, in the same order.
///
/// # Errors
/// A file that is not PE32, an import that nobody exports or that breaks the order of layers.
pub fn load(requests: &[LoadRequest]) -> Result<Vec<Mapped>, ImageError> {
    let files = requests
        .iter()
        .map(File::parse)
        .collect::<Result<Vec<_>, _>>()?;
    files.iter().map(|file| file.map(&files)).collect()
}

/// The imports of the last file that none of the others exports, as `DLL!name`.
///
/// # Errors
/// A file that is not PE32, or imports that cannot be read.
pub fn missing_imports(requests: &[LoadRequest]) -> Result<Vec<String>, ImageError> {
    let files = requests
        .iter()
        .map(File::parse)
        .collect::<Result<Vec<_>, _>>()?;
    let mut missing = Vec::new();
    if let Some(file) = files.last() {
        file.imports(|dll, name, _| {
            if file.resolve(&dll, &name, &files)?.is_none() {
                let import = format!("{dll}!{name}");
                if !missing.contains(&import) {
                    missing.push(import);
                }
            }
            Ok(())
        })?;
    }
    Ok(missing)
}

struct File<'a> {
    request: LoadRequest<'a>,
    pe: PeFile32<'a>,
}

impl<'a> File<'a> {
    fn parse(request: &LoadRequest<'a>) -> Result<Self, ImageError> {
        let pe = PeFile32::parse(request.bytes).map_err(|error| ImageError::BadFile {
            file: request.file_name.into(),
            reason: error.to_string(),
        })?;
        Ok(File {
            request: *request,
            pe,
        })
    }

    fn bad(&self, error: object::Error) -> ImageError {
        ImageError::BadFile {
            file: self.request.file_name.into(),
            reason: error.to_string(),
        }
    }

    fn map(&self, files: &[File]) -> Result<Mapped, ImageError> {
        let header = &self.pe.nt_headers().optional_header;
        let size = header.size_of_image.get(LE).next_multiple_of(PAGE);
        let mut image = vec![0; size as usize];
        let mut kinds: Vec<Option<bool>> = vec![None; (size / PAGE) as usize];
        let headers = header.size_of_headers.get(LE) as usize;
        image[..headers].copy_from_slice(&self.request.bytes[..headers]);
        kinds[0] = Some(false);
        for section in self.pe.section_table().iter() {
            let flags = section.characteristics.get(LE);
            if flags.contains(IMAGE_SCN_MEM_DISCARDABLE) {
                continue;
            }
            let writable = flags.contains(IMAGE_SCN_MEM_WRITE);
            let rva = section.virtual_address.get(LE);
            let data = section
                .pe_data(self.request.bytes)
                .map_err(|error| self.bad(error))?;
            let virtual_size = section.virtual_size.get(LE);
            let data = &data[..data.len().min(virtual_size as usize)];
            image[rva as usize..rva as usize + data.len()].copy_from_slice(data);
            let present = if writable {
                virtual_size
            } else {
                data.len() as u32
            };
            for page in rva / PAGE..(rva + present).div_ceil(PAGE) {
                kinds[page as usize] = Some(writable);
            }
        }
        self.relocate(&mut image)?;
        self.bind(&mut image, files)?;
        let entry = match header.address_of_entry_point.get(LE) {
            0 => 0,
            rva => self.request.base + rva,
        };
        let pages = kinds
            .iter()
            .zip(image.chunks(PAGE as usize))
            .enumerate()
            .filter_map(|(index, (kind, bytes))| {
                let page = MappedPage {
                    bytes: bytes.to_vec(),
                    writable: (*kind)?,
                };
                Some((self.request.base + index as u32 * PAGE, page))
            });
        Ok(Mapped {
            base: self.request.base,
            size,
            entry,
            pages: pages.collect(),
        })
    }

    fn relocate(&self, image: &mut [u8]) -> Result<(), ImageError> {
        let delta = self
            .request
            .base
            .wrapping_sub(self.pe.nt_headers().optional_header.image_base.get(LE));
        let directories = self.pe.data_directories();
        let blocks = directories.relocation_blocks(self.request.bytes, &self.pe.section_table());
        let Some(mut blocks) = blocks.map_err(|error| self.bad(error))? else {
            return Ok(());
        };
        while let Some(block) = blocks.next().map_err(|error| self.bad(error))? {
            for relocation in block.filter(|relocation| relocation.typ == IMAGE_REL_BASED_HIGHLOW) {
                let at = relocation.virtual_address;
                write_u32(image, at, read_u32(image, at).wrapping_add(delta));
            }
        }
        Ok(())
    }

    /// Writes the address of every import into its slot.
    fn bind(&self, image: &mut [u8], files: &[File]) -> Result<(), ImageError> {
        self.imports(|dll, name, slot| {
            let address = match self.request.stand_ins {
                None => {
                    let exporter = self.exporter(&dll, files)?;
                    let found = exporter.export(&name, files, FORWARD_DEPTH)?;
                    found.ok_or_else(|| ImageError::UnresolvedImport {
                        file: self.request.file_name.into(),
                        from: exporter.request.file_name.into(),
                        name,
                    })?
                }
                Some(stand_ins) => match self.resolve(&dll, &name, files)? {
                    Some(address) => address,
                    None => {
                        let exporter = self.exporter(stand_ins, files)?;
                        let found = exporter.export(&format!("{dll}!{name}"), files, 0)?;
                        found.expect("every missing import has a stand-in")
                    }
                },
            };
            if slot as usize + 4 > image.len() {
                return Err(self.wrong("has an import slot outside its sections"));
            }
            write_u32(image, slot, address);
            Ok(())
        })
    }

    fn wrong(&self, reason: &str) -> ImageError {
        ImageError::BadFile {
            file: self.request.file_name.into(),
            reason: reason.into(),
        }
    }

    /// The address of an import, if a DLL that is there exports it.
    fn resolve(&self, dll: &str, name: &str, files: &[File]) -> Result<Option<u32>, ImageError> {
        let present = |name: &str| {
            files
                .iter()
                .any(|file| file.request.file_name.eq_ignore_ascii_case(name))
        };
        if !present(api_sets::host(dll, present).unwrap_or(dll)) {
            return Ok(None);
        }
        self.exporter(dll, files)?
            .export(name, files, FORWARD_DEPTH)
    }

    /// Calls `each` with DLL, name (`#n` for an ordinal) and slot of every import.
    fn imports(
        &self,
        mut each: impl FnMut(String, String, u32) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let Some(table) = self.pe.import_table().map_err(|error| self.bad(error))? else {
            return Ok(());
        };
        let mut descriptors = table.descriptors().map_err(|error| self.bad(error))?;
        while let Some(descriptor) = descriptors.next().map_err(|error| self.bad(error))? {
            let dll = table
                .name(descriptor.name.get(LE))
                .map_err(|error| self.bad(error))?;
            let dll = String::from_utf8_lossy(dll).into_owned();
            let mut slot = descriptor.first_thunk.get(LE);
            // Some linkers write one table only.
            let names = match descriptor.original_first_thunk.get(LE) {
                0 => slot,
                names => names,
            };
            let mut thunks = table.thunks(names).map_err(|error| self.bad(error))?;
            while let Some(thunk) = thunks
                .next::<ImageNtHeaders32>()
                .map_err(|error| self.bad(error))?
            {
                let import = table
                    .import::<ImageNtHeaders32>(thunk)
                    .map_err(|error| self.bad(error))?;
                let name = match import {
                    Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
                    Import::Ordinal(ordinal) => format!("#{}", ordinal),
                };
                each(dll.clone(), name, slot)?;
                slot += 4;
            }
        }
        Ok(())
    }

    /// The file that stands behind a DLL's or API set's name, if its layer is lower than ours.
    fn exporter<'f>(&self, dll: &str, files: &'f [File<'a>]) -> Result<&'f File<'a>, ImageError> {
        let present = |name: &str| {
            files
                .iter()
                .any(|file| file.request.file_name.eq_ignore_ascii_case(name))
        };
        let host = api_sets::host(dll, present).unwrap_or(dll);
        let found = files
            .iter()
            .find(|file| file.request.file_name.eq_ignore_ascii_case(host));
        let exporter = found.ok_or_else(|| ImageError::BadFile {
            file: self.request.file_name.into(),
            reason: format!("imports from {dll}, which is not there"),
        })?;
        if exporter.request.layer >= self.request.layer {
            return Err(ImageError::Layering {
                importer: self.request.file_name.into(),
                importer_layer: self.request.layer,
                exporter: exporter.request.file_name.into(),
                exporter_layer: exporter.request.layer,
            });
        }
        Ok(exporter)
    }

    fn export(&self, name: &str, files: &[File], depth: usize) -> Result<Option<u32>, ImageError> {
        let Some(table) = self.pe.export_table().map_err(|error| self.bad(error))? else {
            return Ok(None);
        };
        for export in table.exports().map_err(|error| self.bad(error))? {
            if export.name != Some(name.as_bytes()) {
                continue;
            }
            return match export.target {
                ExportTarget::Address(rva) => Ok(Some(self.request.base + rva)),
                ExportTarget::ForwardByName(dll, name) if depth > 0 => {
                    let file_name = format!("{}.dll", String::from_utf8_lossy(dll));
                    let exporter = self.exporter(&file_name, files)?;
                    exporter.export(&String::from_utf8_lossy(name), files, depth - 1)
                }
                _ => Ok(None),
            };
        }
        Ok(None)
    }
}

fn read_u32(image: &[u8], rva: u32) -> u32 {
    let at = rva as usize;
    u32::from_le_bytes(image[at..at + 4].try_into().expect("four bytes"))
}

fn write_u32(image: &mut [u8], rva: u32, value: u32) {
    let at = rva as usize;
    image[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
