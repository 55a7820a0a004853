//! One module of the image as source: sections of functions and tables, exports and imports; it becomes a PE32 file.
//!
//! The assembler knows no symbols across functions, so a module is laid out in passes until every address
//! stays where it was. It is then laid out once more at another base: the double words that differ are
//! its base relocations.

use crate::error::ImageError;
use crate::pe;
use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Distance between the two bases that are compared: it changes byte 2 of every address.
const RELOCATION_PROBE: u32 = 0x0101_0000;
const MAX_PASSES: usize = 12;

/// What a section may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and execute.
    Code,
    /// Read only.
    Constant,
    /// Read and write.
    Data,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instructions.
    Code,
    /// Anything else.
    Data,
    /// A slot of the import address table.
    Import,
    /// An inner label, absent from the symbol file.
    Hidden,
}

type CodeBody = dyn Fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError>;
type DataBody = dyn Fn(&Scope) -> Vec<u8>;

enum Body {
    Code(Box<CodeBody>),
    Data(Box<DataBody>),
}

/// A function or table within a section.
pub struct Item {
    name: String,
    aliases: Vec<String>,
    exports: Vec<String>,
    kind: Kind,
    alignment: u32,
    offset_in_page: Option<u32>,
    rva: Option<u32>,
    body: Body,
}

impl Item {
    /// Another name of the same address.
    pub fn alias(&mut self, name: &str) -> &mut Self {
        self.aliases.push(name.into());
        self
    }

    /// Exports the item under its own name.
    pub fn export(&mut self) -> &mut Self {
        let name = self.name.clone();
        self.export_as(&name)
    }

    /// Exports the item under another name than its symbol.
    pub fn export_as(&mut self, name: &str) -> &mut Self {
        self.exports.push(name.into());
        self
    }

    /// Starts at a multiple of `alignment` bytes (1 continues the item before it).
    pub fn align(&mut self, alignment: u32) -> &mut Self {
        self.alignment = alignment;
        self
    }

    /// Starts at exactly this RVA.
    pub fn at(&mut self, rva: u32) -> &mut Self {
        self.rva = Some(rva);
        self
    }

    /// Starts at the next address with these low 12 bits.
    pub fn at_page_offset(&mut self, offset: u32) -> &mut Self {
        self.offset_in_page = Some(offset);
        self
    }
}

struct Section {
    name: &'static str,
    access: Access,
    rva: Option<u32>,
    items: Vec<Item>,
}

/// Names to be taken from one DLL.
#[derive(Clone, Debug)]
pub struct Import {
    /// The DLL or API set, as the import directory names it.
    pub dll: String,
    /// Imported names in the order of their slots.
    pub names: Vec<String>,
}

/// A module being described.
pub struct ModuleSource {
    /// What debuggers call it: `nt`, `ntdll`.
    pub name: &'static str,
    /// The file's name: `ntoskrnl.exe`, `ntdll.dll`.
    pub file_name: &'static str,
    /// Layer of the house of DLLs; imports go to lower layers only.
    pub layer: u8,
    /// Ring its code runs in.
    pub ring: u8,
    /// The base in the file's header; the loader may choose another.
    pub preferred_base: u32,
    /// Symbol of the entry point.
    pub entry: Option<&'static str>,
    sections: Vec<Section>,
    imports: Vec<Import>,
    forwarders: Vec<(String, String)>,
}

/// The addresses that code and tables may refer to while they are laid out.
pub struct Scope<'a> {
    base: u32,
    symbols: &'a HashMap<String, u32>,
    missing: RefCell<BTreeSet<String>>,
}

impl Scope<'_> {
    /// Address of a symbol of this module.
    pub fn at(&self, name: &str) -> u32 {
        self.base + self.rva(name)
    }

    /// Address of a symbol as a target of calls and jumps.
    pub fn near(&self, name: &str) -> u64 {
        self.at(name).into()
    }

    /// Address of the import address table's slot for `name`.
    pub fn import(&self, name: &str) -> u32 {
        self.at(&slot_symbol(name))
    }

    /// Address of a symbol relative to the module's base.
    pub fn rva(&self, name: &str) -> u32 {
        self.symbols.get(name).copied().unwrap_or_else(|| {
            self.missing.borrow_mut().insert(name.into());
            0x0010_0000
        })
    }
}

/// The symbol of an import slot, as WinDbg prints it.
pub fn slot_symbol(name: &str) -> String {
    format!("_imp__{name}")
}

/// A symbol of a finished module.
#[derive(Clone, Debug)]
pub struct ModuleSymbol {
    /// First name.
    pub name: String,
    /// Further names.
    pub aliases: Vec<String>,
    /// Address relative to the module's base.
    pub rva: u32,
    /// Bytes.
    pub size: u32,
    /// What it names.
    pub kind: Kind,
}

/// A finished module: its PE32 file and what its symbols mean.
#[derive(Clone, Debug)]
pub struct Module {
    /// What debuggers call it.
    pub name: String,
    /// File name.
    pub file_name: String,
    /// Layer of the house of DLLs.
    pub layer: u8,
    /// Ring its code runs in.
    pub ring: u8,
    /// The PE32 file.
    pub file: Vec<u8>,
    /// Symbols in order of address.
    pub symbols: Vec<ModuleSymbol>,
}

impl Module {
    /// RVA of a symbol by any of its names.
    pub fn rva(&self, name: &str) -> Option<u32> {
        let named = |symbol: &&ModuleSymbol| {
            symbol.name == name || symbol.aliases.iter().any(|alias| alias == name)
        };
        self.symbols.iter().find(named).map(|symbol| symbol.rva)
    }
}

impl ModuleSource {
    /// A module without sections.
    pub fn new(
        name: &'static str,
        file_name: &'static str,
        layer: u8,
        ring: u8,
        preferred_base: u32,
    ) -> Self {
        ModuleSource {
            name,
            file_name,
            layer,
            ring,
            preferred_base,
            entry: None,
            sections: Vec::new(),
            imports: Vec::new(),
            forwarders: Vec::new(),
        }
    }

    /// Begins a section; later items go there.
    pub fn section(&mut self, name: &'static str, access: Access) {
        self.sections.push(Section {
            name,
            access,
            rva: None,
            items: Vec::new(),
        });
    }

    /// Begins a section at this RVA; the section before it is extended up to there, so that a mapped
    /// image has no hole.
    pub fn section_at(&mut self, name: &'static str, access: Access, rva: u32) {
        self.sections.push(Section {
            name,
            access,
            rva: Some(rva),
            items: Vec::new(),
        });
    }

    /// Adds a function; its address is a multiple of 16 unless said otherwise.
    pub fn code(
        &mut self,
        name: &str,
        body: impl Fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError> + 'static,
    ) -> &mut Item {
        self.item(name, Kind::Code, 16, Body::Code(Box::new(body)))
    }

    /// Adds code that continues the function before it and is known by a name within this module only.
    pub fn inner_code(
        &mut self,
        name: &str,
        body: impl Fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError> + 'static,
    ) -> &mut Item {
        self.item(name, Kind::Hidden, 1, Body::Code(Box::new(body)))
    }

    /// Adds a table; its address is a multiple of 4 unless said otherwise.
    pub fn data(&mut self, name: &str, body: impl Fn(&Scope) -> Vec<u8> + 'static) -> &mut Item {
        self.item(name, Kind::Data, 4, Body::Data(Box::new(body)))
    }

    /// Adds zeros.
    pub fn space(&mut self, name: &str, bytes: u32) -> &mut Item {
        self.data(name, move |_| vec![0; bytes as usize])
    }

    /// Adds one double word.
    pub fn dword(&mut self, name: &str, value: u32) -> &mut Item {
        self.data(name, move |_| value.to_le_bytes().to_vec())
    }

    /// Adds text without a terminator.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Item {
        let bytes = text.as_bytes().to_vec();
        self.data(name, move |_| bytes.clone()).align(1)
    }

    fn item(&mut self, name: &str, kind: Kind, alignment: u32, body: Body) -> &mut Item {
        let section = self.sections.last_mut().expect("a section was begun");
        section.items.push(Item {
            name: name.into(),
            aliases: Vec::new(),
            exports: Vec::new(),
            kind,
            alignment,
            offset_in_page: None,
            rva: None,
            body,
        });
        section.items.last_mut().expect("just pushed")
    }

    /// Exports `name` as another module's function: `("RtlZeroMemory", "NTDLL.RtlZeroMemory")`.
    pub fn forward(&mut self, name: &str, target: &str) {
        self.forwarders.push((name.into(), target.into()));
    }

    /// Lays the import address table here. All imports of the module are given at once.
    pub fn import_address_table(&mut self, imports: &[(&str, &[&str])]) {
        for (dll, names) in imports {
            let group = self.imports.len();
            for (index, name) in names.iter().enumerate() {
                let hint_name = hint_symbol(group, name);
                let item = self.data(&slot_symbol(name), move |s| {
                    s.rva(&hint_name).to_le_bytes().to_vec()
                });
                item.kind = Kind::Import;
                if index == 0 {
                    item.alias(&group_symbol("iat", group));
                }
            }
            self.hidden_data(&group_symbol("iat_end", group), |_| vec![0; 4]);
            self.imports.push(Import {
                dll: dll.to_string(),
                names: names.iter().map(|name| name.to_string()).collect(),
            });
        }
        self.hidden_data("$iat_end", |_| Vec::new());
    }

    /// Adds a table, or the end of one, that is known by a name within this module only.
    pub fn hidden_data(
        &mut self,
        name: &str,
        body: impl Fn(&Scope) -> Vec<u8> + 'static,
    ) -> &mut Item {
        let item = self.data(name, body);
        item.kind = Kind::Hidden;
        item
    }

    /// Lays the export and import directories here; everything to be exported was added before.
    pub fn directories(&mut self) {
        self.import_directory();
        self.export_directory();
    }

    fn import_directory(&mut self) {
        if self.imports.is_empty() {
            return;
        }
        let imports = self.imports.clone();
        let groups = imports.len();
        self.hidden_data("$import_directory", move |s| {
            let mut bytes = Vec::new();
            for group in 0..groups {
                let names = ["ilt", "", "", "dll", "iat"];
                for field in names {
                    let value = if field.is_empty() {
                        0
                    } else {
                        s.rva(&group_symbol(field, group))
                    };
                    bytes.extend(value.to_le_bytes());
                }
            }
            bytes.resize(bytes.len() + 20, 0);
            bytes
        });
        for (group, import) in imports.iter().enumerate() {
            let hint_names: Vec<_> = import
                .names
                .iter()
                .map(|name| hint_symbol(group, name))
                .collect();
            self.hidden_data(&group_symbol("ilt", group), move |s| {
                let thunks = hint_names.iter().map(|name| s.rva(name));
                thunks.chain([0]).flat_map(u32::to_le_bytes).collect()
            });
            for name in &import.names {
                // The hint only speeds the loader's search up; 0 is always valid.
                let bytes = [&[0, 0], name.as_bytes(), &[0]].concat();
                self.hidden_data(&hint_symbol(group, name), move |_| bytes.clone())
                    .align(2);
            }
            let dll = [import.dll.as_bytes(), &[0]].concat();
            self.hidden_data(&group_symbol("dll", group), move |_| dll.clone())
                .align(2);
        }
        self.hidden_data("$import_directory_end", |_| Vec::new())
            .align(1);
    }

    fn export_directory(&mut self) {
        // Sorted, because the loader searches the names in halves.
        let mut exports: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut targets: HashMap<String, String> = HashMap::new();
        for item in self.sections.iter().flat_map(|section| &section.items) {
            for name in &item.exports {
                exports.insert(name.clone(), None);
                targets.insert(name.clone(), item.name.clone());
            }
        }
        for (name, forward) in &self.forwarders {
            exports.insert(name.clone(), Some(forward.clone()));
        }
        if exports.is_empty() {
            return;
        }
        let file_name = self.file_name;
        let count = exports.len() as u32;
        self.hidden_data("$export_directory", move |s| {
            let header = [
                0,
                0,
                0,
                s.rva("$export_dll"),
                1,
                count,
                count,
                s.rva("$export_functions"),
                s.rva("$export_names"),
                s.rva("$export_ordinals"),
            ];
            header
                .iter()
                .flat_map(|value: &u32| value.to_le_bytes())
                .collect()
        });
        // The offset of each string within one block of text.
        let mut strings = Vec::new();
        let mut name_offsets = Vec::new();
        let mut functions = Vec::new();
        for (name, forward) in &exports {
            name_offsets.push(strings.len() as u32);
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            match forward {
                Some(target) => {
                    functions.push(Err(strings.len() as u32));
                    strings.extend_from_slice(target.as_bytes());
                    strings.push(0);
                }
                None => functions.push(Ok(targets[name].clone())),
            }
        }
        self.hidden_data("$export_functions", move |s| {
            let rva = |function: &Result<String, u32>| match function {
                Ok(symbol) => s.rva(symbol),
                Err(offset) => s.rva("$export_strings") + offset,
            };
            functions
                .iter()
                .map(rva)
                .flat_map(u32::to_le_bytes)
                .collect()
        });
        self.hidden_data("$export_names", move |s| {
            name_offsets
                .iter()
                .flat_map(|offset| (s.rva("$export_strings") + offset).to_le_bytes())
                .collect()
        });
        self.hidden_data("$export_ordinals", move |_| {
            (0..count as u16).flat_map(u16::to_le_bytes).collect()
        });
        self.hidden_data("$export_strings", move |_| strings.clone())
            .align(1);
        self.hidden_data("$export_dll", move |_| {
            [file_name.as_bytes(), &[0]].concat()
        })
        .align(1);
        self.hidden_data("$export_directory_end", |_| Vec::new())
            .align(1);
    }

    /// Lays the module out and writes its PE32 file.
    pub fn build(&self) -> Result<Module, ImageError> {
        let layout = self.layout(self.preferred_base)?;
        let probe = self.layout(self.preferred_base + RELOCATION_PROBE)?;
        let mut relocations = Vec::new();
        for (section, moved) in layout.sections.iter().zip(&probe.sections) {
            relocations.extend(
                differing_addresses(&section.bytes, &moved.bytes)
                    .iter()
                    .map(|at| section.rva + at),
            );
        }
        let rva = |name: &str| layout.symbols.get(name).copied();
        let range = |first: &str, end: &str| Some((rva(first)?, rva(end)? - rva(first)?));
        let file = pe::write(&pe::Contents {
            is_dll: self.entry.is_none() && self.ring == 3,
            native: self.ring == 0,
            image_base: self.preferred_base,
            entry: self.entry.and_then(rva).unwrap_or(0),
            sections: &layout.sections,
            relocations: &relocations,
            exports: range("$export_directory", "$export_directory_end"),
            imports: range("$import_directory", "$import_directory_end"),
            import_addresses: rva(&group_symbol("iat", 0))
                .and_then(|first| Some((first, rva("$iat_end")? - first))),
        });
        let mut symbols: Vec<ModuleSymbol> = Vec::new();
        for (item, &(rva, size)) in self
            .sections
            .iter()
            .flat_map(|section| &section.items)
            .zip(&layout.places)
        {
            if item.kind != Kind::Hidden {
                let aliases = item
                    .aliases
                    .iter()
                    .filter(|alias| !alias.starts_with('$'))
                    .cloned()
                    .collect();
                symbols.push(ModuleSymbol {
                    name: item.name.clone(),
                    aliases,
                    rva,
                    size,
                    kind: item.kind,
                });
            } else if let Some(owner) = symbols.last_mut()
                && matches!(item.body, Body::Code(_))
            {
                owner.size = rva + size - owner.rva;
            }
        }
        Ok(Module {
            name: self.name.into(),
            file_name: self.file_name.into(),
            layer: self.layer,
            ring: self.ring,
            file,
            symbols,
        })
    }

    fn layout(&self, base: u32) -> Result<Layout, ImageError> {
        let mut symbols = HashMap::new();
        for _ in 0..MAX_PASSES {
            let scope = Scope {
                base,
                symbols: &symbols,
                missing: RefCell::default(),
            };
            let layout = self.pass(base, &scope)?;
            let missing = scope.missing.into_inner();
            if layout.symbols == symbols {
                if missing.is_empty() {
                    return Ok(layout);
                }
                let symbols = missing.into_iter().collect::<Vec<_>>().join(", ");
                return Err(ImageError::UnknownSymbol {
                    module: self.name.into(),
                    symbols,
                });
            }
            symbols = layout.symbols;
        }
        Err(ImageError::UnstableLayout {
            module: self.name.into(),
            passes: MAX_PASSES,
        })
    }

    fn pass(&self, base: u32, scope: &Scope) -> Result<Layout, ImageError> {
        let mut layout = Layout {
            sections: Vec::new(),
            symbols: HashMap::new(),
            places: Vec::new(),
        };
        let mut next_rva = pe::SECTION_ALIGNMENT;
        for section in &self.sections {
            let rva = section.rva.unwrap_or(next_rva);
            let mut bytes = Vec::new();
            for item in &section.items {
                let reached = rva + bytes.len() as u32;
                let start = item.rva.unwrap_or_else(|| match item.offset_in_page {
                    Some(offset) => reached
                        .wrapping_sub(offset)
                        .next_multiple_of(0x1000)
                        .wrapping_add(offset),
                    None => reached.next_multiple_of(item.alignment),
                });
                if start < reached {
                    let symbol = item.name.clone();
                    return Err(ImageError::Overlap {
                        module: self.name.into(),
                        symbol,
                        wanted: start,
                        reached,
                    });
                }
                // Between functions stands INT3, as Microsoft's linker pads.
                let padding = if matches!(item.body, Body::Code(_)) {
                    0xCC
                } else {
                    0
                };
                bytes.resize((start - rva) as usize, padding);
                let content = self.generate(item, base + start, scope)?;
                layout.places.push((start, content.len() as u32));
                for name in item.aliases.iter().chain([&item.name]) {
                    layout.symbols.insert(name.clone(), start);
                }
                bytes.extend(content);
            }
            next_rva = (rva + bytes.len() as u32).next_multiple_of(pe::SECTION_ALIGNMENT);
            let virtual_size = bytes.len() as u32;
            let used = bytes
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |last| last + 1);
            bytes.truncate(used);
            layout.sections.push(pe::Section {
                name: section.name,
                access: section.access,
                rva,
                virtual_size,
                bytes,
            });
        }
        // A section at a fixed place is reached by stretching the one before it with zeros.
        for index in 1..layout.sections.len() {
            let next_rva = layout.sections[index].rva;
            let section = &mut layout.sections[index - 1];
            if (section.rva + section.virtual_size).next_multiple_of(pe::SECTION_ALIGNMENT)
                != next_rva
            {
                section.virtual_size = next_rva - section.rva;
            }
        }
        Ok(layout)
    }

    fn generate(&self, item: &Item, address: u32, scope: &Scope) -> Result<Vec<u8>, ImageError> {
        let failed = |error: IcedError| ImageError::Assembly {
            module: self.name.into(),
            symbol: item.name.clone(),
            reason: error.to_string(),
        };
        match &item.body {
            Body::Data(body) => Ok(body(scope)),
            Body::Code(body) => {
                let mut asm = CodeAssembler::new(32).map_err(failed)?;
                body(&mut asm, scope).map_err(failed)?;
                asm.assemble(address.into()).map_err(failed)
            }
        }
    }
}

struct Layout {
    sections: Vec<pe::Section>,
    /// RVAs by name.
    symbols: HashMap<String, u32>,
    /// RVA and size of every item, in order.
    places: Vec<(u32, u32)>,
}

fn hint_symbol(group: usize, name: &str) -> String {
    format!("$hint{group}_{name}")
}

fn group_symbol(what: &str, group: usize) -> String {
    format!("${what}{group}")
}

/// Offsets of the 32-bit addresses in which two layouts of one section differ.
///
/// # Panics
/// If something other than a 32-bit address depends on the base: such code could not be relocated.
fn differing_addresses(bytes: &[u8], moved: &[u8]) -> Vec<u32> {
    assert_eq!(
        bytes.len(),
        moved.len(),
        "a section's length depends on the base"
    );
    let mut found = Vec::new();
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] == moved[index] {
            index += 1;
            continue;
        }
        let start = index - 2;
        let value = |bytes: &[u8]| {
            u32::from_le_bytes(bytes[start..start + 4].try_into().expect("four bytes"))
        };
        assert_eq!(
            value(bytes).wrapping_add(RELOCATION_PROBE),
            value(moved),
            "not a 32-bit address at {start:X}h"
        );
        found.push(start as u32);
        index = start + 4;
    }
    found
}
