//! The names of all modules as one ELF file, which gdb, objdump and disassemblers read.

use super::types::debug_sections;
use crate::symbols::Symbols;
use firmware::symbols::{ModuleRange, Symbol, SymbolFile, SymbolKind};
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};

/// A stretch of a module that holds either code or data.
struct Stretch<'a> {
    name: String,
    begin: u32,
    end: u64,
    code: bool,
    symbols: Vec<&'a Symbol>,
}

/// Cuts a module between code and data, as its symbols say. What lies before the first symbol (the PE header) counts as data.
fn stretches<'a>(module: &ModuleRange, symbols: &'a [Symbol]) -> Vec<Stretch<'a>> {
    let stretch = |begin, code| Stretch {
        name: if code {
            module.name.clone()
        } else {
            format!("{}.data", module.name)
        },
        begin,
        end: 0,
        code,
        symbols: Vec::new(),
    };
    let mut list = vec![stretch(module.base, false)];
    let own = symbols.iter().filter(|symbol| symbol.module == module.name);
    for symbol in own {
        let code = symbol.kind == SymbolKind::Code;
        if list.last().is_some_and(|last| last.code != code) {
            list.push(stretch(symbol.address, code));
        }
        list.last_mut().unwrap().symbols.push(symbol);
    }
    let end = u64::from(module.base) + u64::from(module.size);
    let mut ends: Vec<u64> = list.iter().skip(1).map(|next| next.begin.into()).collect();
    ends.push(end);
    for (stretch, end) in list.iter_mut().zip(ends) {
        stretch.end = end;
    }
    list.retain(|stretch| stretch.end > u64::from(stretch.begin));
    list
}

/// The modules, and one for each name that only symbols have (`SharedUserData`), as large as they need.
fn modules(file: &SymbolFile) -> Vec<ModuleRange> {
    let mut modules = file.modules.clone();
    for symbol in &file.symbols {
        let end = symbol.address.saturating_add(symbol.size.max(1));
        match modules.iter_mut().find(|other| other.name == symbol.module) {
            Some(module) if !file.modules.contains(module) => {
                module.size = module.size.max(end - module.base);
            }
            Some(_) => {}
            None => modules.push(ModuleRange {
                name: symbol.module.clone(),
                file: String::new(),
                layer: 0,
                ring: 0,
                base: symbol.address,
                size: end - symbol.address,
            }),
        }
    }
    modules
}

/// What a symbol is called in the file, and with which size.
fn names(symbol: &Symbol) -> Vec<(Vec<u8>, &Symbol, u32)> {
    let full = |name: &str| format!("{}!{name}", symbol.module).into_bytes();
    let mut names = vec![
        (full(&symbol.name), symbol, symbol.size),
        (symbol.name.clone().into_bytes(), symbol, 0),
    ];
    for alias in &symbol.aliases {
        names.push((full(alias), symbol, 0));
        names.push((alias.clone().into_bytes(), symbol, 0));
    }
    names
}

/// An ELF file (32 bits, i386, no contents) with every symbol of every module at its linear address, and debug information for the
/// structures and tables that the symbol file describes.
///
/// Each symbol stands as `module!name`, with its size, and again without its module and without a size, so that debuggers print
/// the first and accept both. The sections are named like the modules; those with `.data` behind hold no instructions.
///
/// # Errors
/// More symbols than the format holds.
pub fn symbol_file(symbols: &Symbols) -> Result<Vec<u8>, String> {
    let file = symbols.file();
    let modules = modules(file);
    let sections: Vec<Stretch> = modules
        .iter()
        .flat_map(|module| stretches(module, &file.symbols))
        .collect();
    let names: Vec<Vec<(Vec<u8>, &Symbol, u32)>> = sections
        .iter()
        .map(|section| {
            section
                .symbols
                .iter()
                .flat_map(|symbol| names(symbol))
                .collect()
        })
        .collect();

    let text = |error: object::write::Error| error.to_string();
    let debug = debug_sections(symbols).map_err(|error| error.to_string())?;

    let mut bytes = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, false, &mut bytes);
    writer.reserve_file_header();
    writer.reserve_null_section_index();
    let section_names: Vec<StringId> = sections
        .iter()
        .map(|section| writer.add_section_name(section.name.as_bytes()))
        .collect();
    let indices: Vec<_> = sections
        .iter()
        .map(|_| writer.reserve_section_index())
        .collect();
    let debug_names: Vec<StringId> = debug
        .iter()
        .map(|(name, _)| writer.add_section_name(name.as_bytes()))
        .collect();
    for _ in &debug {
        writer.reserve_section_index();
    }
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_null_symbol_index();
    let mut strings = Vec::new();
    for (list, index) in names.iter().zip(&indices) {
        for (name, ..) in list {
            strings.push(writer.add_string(name));
            writer.reserve_symbol_index(Some(*index));
        }
    }
    let debug_offsets: Vec<u64> = debug
        .iter()
        .map(|(_, data)| writer.reserve(data.len() as u64, 1))
        .collect();
    writer.reserve_symtab();
    writer.reserve_strtab().map_err(text)?;
    writer.reserve_shstrtab().map_err(text)?;
    writer.reserve_section_headers();

    writer
        .write_file_header(&FileHeader {
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            e_type: elf::ET_EXEC,
            e_machine: elf::EM_386,
            e_entry: 0xFFFF_FFF0,
            e_flags: Default::default(),
        })
        .map_err(text)?;
    for (_, data) in &debug {
        writer.write(data);
    }
    writer.write_null_symbol();
    let mut string = strings.into_iter();
    for (list, index) in names.iter().zip(&indices) {
        for (_, symbol, size) in list {
            let kind = match symbol.kind {
                SymbolKind::Code => elf::STT_FUNC,
                SymbolKind::Data | SymbolKind::Import => elf::STT_OBJECT,
            };
            writer.write_symbol(&Sym {
                st_name: writer.string_offset(string.next()),
                section: Some(index.0),
                st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, kind),
                st_other: Default::default(),
                st_shndx: elf::SHN_UNDEF,
                st_value: symbol.address.into(),
                st_size: u64::from(*size),
            });
        }
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    for (section, name) in sections.iter().zip(section_names) {
        let code = if section.code {
            elf::SHF_EXECINSTR
        } else {
            elf::SHF_WRITE
        };
        writer.write_section_header(&SectionHeader {
            sh_name: writer.section_name_offset(Some(name)),
            sh_type: elf::SHT_NOBITS,
            sh_flags: elf::SHF_ALLOC | code,
            sh_addr: section.begin.into(),
            sh_offset: 0,
            sh_size: section.end - u64::from(section.begin),
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        });
    }
    for (((_, data), name), offset) in debug.iter().zip(debug_names).zip(debug_offsets) {
        writer.write_section_header(&SectionHeader {
            sh_name: writer.section_name_offset(Some(name)),
            sh_type: elf::SHT_PROGBITS,
            sh_flags: Default::default(),
            sh_addr: 0,
            sh_offset: offset,
            sh_size: data.len() as u64,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        });
    }
    // All symbols but the null symbol are global.
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use object::{Object, ObjectSection, ObjectSymbol};

    #[test]
    fn another_reader_finds_every_symbol_in_a_section_of_its_module() {
        let symbols = Symbols::new(Image::build(firmware::Gate::Sysenter).unwrap().symbols);
        let bytes = symbol_file(&symbols).unwrap();
        let elf = object::File::parse(&*bytes).unwrap();
        assert_eq!(elf.architecture(), object::Architecture::I386);
        for symbol in &symbols.file().symbols {
            let full = format!("{}!{}", symbol.module, symbol.name);
            for (name, size) in [(full.as_str(), symbol.size), (&symbol.name, 0)] {
                let found = elf
                    .symbols()
                    .find(|other| {
                        other.name() == Ok(name) && other.address() == u64::from(symbol.address)
                    })
                    .unwrap_or_else(|| panic!("{name} at {:08x} is missing", symbol.address));
                assert_eq!(found.size(), u64::from(size), "{name}");
                let section = elf
                    .section_by_index(found.section_index().unwrap())
                    .unwrap();
                let range = section.address()..section.address() + section.size();
                assert!(range.contains(&symbol.address.into()), "{name}");
                let data = section.name().unwrap().strip_suffix(".data");
                assert_eq!(
                    (data.unwrap_or(section.name().unwrap()), data.is_none()),
                    (symbol.module.as_str(), symbol.kind == SymbolKind::Code),
                    "{name}"
                );
            }
        }
        let count: usize = symbols
            .file()
            .symbols
            .iter()
            .map(|symbol| 2 + 2 * symbol.aliases.len())
            .sum();
        assert_eq!(elf.symbols().count(), count);
    }

    #[test]
    fn the_sections_of_a_module_fill_it_without_a_gap() {
        let symbols = Symbols::new(Image::build(firmware::Gate::Sysenter).unwrap().symbols);
        for module in &symbols.file().modules {
            let list = stretches(module, &symbols.file().symbols);
            assert_eq!(list[0].begin, module.base, "{}", module.name);
            let end = u64::from(module.base) + u64::from(module.size);
            assert_eq!(list.last().unwrap().end, end, "{}", module.name);
            for pair in list.windows(2) {
                assert_eq!(pair[0].end, u64::from(pair[1].begin), "{}", module.name);
            }
        }
    }

    #[test]
    fn without_symbols_the_file_is_still_an_elf_file() {
        let bytes = symbol_file(&Symbols::default()).unwrap();
        assert_eq!(object::File::parse(&*bytes).unwrap().symbols().count(), 0);
    }
}
