//! Names for addresses, from the symbol file that comes with an image.

use firmware::symbols::{ModuleRange, Note, Symbol, SymbolFile, SymbolKind};
use std::collections::HashMap;
use std::fmt;

/// A symbol file, ready for look-ups.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    file: SymbolFile,
    notes: HashMap<(String, String), String>,
}

/// Where an address lies.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The module that holds it, if any.
    pub module: Option<&'a ModuleRange>,
    /// The nearest symbol at or below it in that module.
    pub symbol: Option<&'a Symbol>,
    /// The address itself.
    pub address: u32,
}

impl<'a> Place<'a> {
    /// Name of the module, or empty.
    pub fn module_name(&self) -> &'a str {
        self.module.map_or("", |module| &module.name)
    }

    /// Name of the symbol, or empty.
    pub fn symbol_name(&self) -> &'a str {
        self.symbol.map_or("", |symbol| &symbol.name)
    }

    /// Bytes from the symbol's begin.
    pub fn offset(&self) -> u32 {
        self.symbol
            .map_or(0, |symbol| self.address - symbol.address)
    }

    /// Whether both lie behind the same symbol of the same module.
    pub fn same_symbol(&self, other: &Place) -> bool {
        let key = |place: &Place| {
            (
                place.module.map(|module| module.base),
                place.symbol.map(|symbol| symbol.address),
            )
        };
        key(self) == key(other)
    }
}

impl fmt::Display for Place<'_> {
    /// `module!symbol+0xoffset`, as debuggers print it; the address in hexadecimal where there is no name.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.module, self.symbol) {
            (Some(module), Some(symbol)) => {
                write!(f, "{}!{}", module.name, symbol.name)?;
                match self.offset() {
                    0 => Ok(()),
                    offset => write!(f, "+{offset:#x}"),
                }
            }
            (Some(module), None) => write!(f, "{}+{:#x}", module.name, self.address - module.base),
            _ => write!(f, "{:08x}", self.address),
        }
    }
}

impl Symbols {
    /// Sorts and indexes the file's rows.
    pub fn new(mut file: SymbolFile) -> Self {
        file.modules.sort_by_key(|module| module.base);
        file.symbols.sort_by_key(|symbol| symbol.address);
        let notes = file
            .notes
            .iter()
            .map(
                |Note {
                     module,
                     symbol,
                     text,
                 }| ((module.clone(), symbol.clone()), text.clone()),
            )
            .collect();
        Self { file, notes }
    }

    /// The file itself.
    pub fn file(&self) -> &SymbolFile {
        &self.file
    }

    /// Where `address` (linear) lies.
    pub fn at(&self, address: u32) -> Place<'_> {
        let modules = &self.file.modules;
        let module = modules[..modules.partition_point(|module| module.base <= address)]
            .last()
            .filter(|module| address - module.base < module.size);
        let symbol = module.and_then(|module| {
            let symbols = &self.file.symbols;
            let end = symbols.partition_point(|symbol| symbol.address <= address);
            let found = symbols[..end]
                .iter()
                .rev()
                .take_while(|symbol| symbol.address >= module.base)
                .find(|symbol| symbol.module == module.name)?;
            // Of several symbols at one address the first in the file counts.
            let first = symbols[..end].partition_point(|symbol| symbol.address < found.address);
            symbols[first..end]
                .iter()
                .find(|symbol| symbol.module == module.name)
        });
        Place {
            module,
            symbol,
            address,
        }
    }

    /// The address of `module!name`, or of a `name` that only one module has.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn address_of(&self, name: &str) -> Result<u32, String> {
        let (module, name) = match name.split_once('!') {
            Some((module, name)) => (Some(module), name),
            None => (None, name),
        };
        let found: Vec<&Symbol> = self
            .file
            .symbols
            .iter()
            .filter(|symbol| module.is_none_or(|module| symbol.module.eq_ignore_ascii_case(module)))
            .filter(|symbol| {
                symbol.name == name || symbol.aliases.iter().any(|alias| alias == name)
            })
            .collect();
        match found[..] {
            [] => Err(format!("there is no symbol `{name}`")),
            [only] => Ok(only.address),
            _ => {
                let names: Vec<String> = found
                    .iter()
                    .map(|symbol| format!("{}!{name}", symbol.module))
                    .collect();
                Err(format!(
                    "`{name}` is more than one symbol: {}",
                    names.join(", ")
                ))
            }
        }
    }

    /// What crosses when this symbol is entered.
    pub fn note(&self, place: &Place) -> Option<&str> {
        let symbol = place.symbol?;
        self.notes
            .get(&(symbol.module.clone(), symbol.name.clone()))
            .map(String::as_str)
    }

    /// The import slot at `address`, if there is one.
    pub fn import_slot(&self, address: u32) -> Option<&Symbol> {
        self.at(address)
            .symbol
            .filter(|symbol| symbol.kind == SymbolKind::Import && symbol.address == address)
    }

    /// The highest layer: the program's.
    pub fn top_layer(&self) -> u8 {
        self.file
            .modules
            .iter()
            .map(|module| module.layer)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        let module = |name: &str, layer, ring, base| ModuleRange {
            name: name.into(),
            file: String::new(),
            layer,
            ring,
            base,
            size: 0x1000,
        };
        let symbol = |module: &str, name: &str, address, kind| Symbol {
            module: module.into(),
            name: name.into(),
            aliases: vec![format!("Zw{name}")],
            address,
            size: 16,
            kind,
        };
        Symbols::new(SymbolFile {
            modules: vec![
                module("nt", 1, 0, 0x8280_0000),
                module("app", 5, 3, 0x100_0000),
            ],
            symbols: vec![
                symbol("nt", "Write", 0x8280_0100, SymbolKind::Code),
                symbol("app", "Main", 0x100_0010, SymbolKind::Code),
                symbol("app", "_imp__Write", 0x100_0800, SymbolKind::Import),
            ],
            notes: vec![Note {
                module: "nt".into(),
                symbol: "Write".into(),
                text: "9 arguments".into(),
            }],
            ..Default::default()
        })
    }

    #[test]
    fn an_address_is_named_by_the_nearest_symbol_below_in_its_module() {
        let symbols = symbols();
        for (address, name) in [
            (0x100_0010, "app!Main"),
            (0x100_002C, "app!Main+0x1c"),
            (0x100_0004, "app+0x4"),
            (0x8280_0100, "nt!Write"),
            (0x8280_0000, "nt+0x0"),
            (0x8280_1000, "82801000"),
            (0x10, "00000010"),
        ] {
            assert_eq!(symbols.at(address).to_string(), name, "{address:08x}");
        }
    }

    #[test]
    fn a_name_is_found_by_module_alias_or_alone() {
        let symbols = symbols();
        assert_eq!(symbols.address_of("nt!Write"), Ok(0x8280_0100));
        assert_eq!(symbols.address_of("ZwWrite"), Ok(0x8280_0100));
        assert_eq!(symbols.address_of("NT!ZwWrite"), Ok(0x8280_0100));
        assert!(symbols.address_of("app!Write").is_err());
    }
}
