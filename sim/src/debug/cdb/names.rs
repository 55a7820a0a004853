//! Names and addresses as the debugger shows and accepts them.

use crate::symbols::Symbols;
use firmware::symbols::{ModuleRange, Symbol};
use std::sync::Arc;

/// What the pure commands need of a machine.
pub trait Target {
    /// A register by its number in `spec::registers`.
    fn register(&mut self, number: u8) -> u32;
    /// Bytes at linear addresses; `None` where no page or no memory is.
    fn read(&mut self, linear: u32, bytes: usize) -> Vec<Option<u8>>;

    /// A little-endian number of 1 to 8 bytes, if all of it can be read.
    fn read_number(&mut self, linear: u32, bytes: usize) -> Option<u64> {
        let bytes: Option<Vec<u8>> = self.read(linear, bytes).into_iter().collect();
        let number = |number, byte: &u8| number << 8 | u64::from(*byte);
        Some(bytes?.iter().rev().fold(0, number))
    }

    /// A doubleword, if all of it can be read.
    fn read_u32(&mut self, linear: u32) -> Option<u32> {
        self.read_number(linear, 4).map(|number| number as u32)
    }

    /// Whether a byte can be read there.
    fn is_mapped(&mut self, linear: u32) -> bool {
        self.read(linear, 1)[0].is_some()
    }
}

/// Symbols in the manner of cdb: case does not matter, and names without a module prefer the current ring's modules.
#[derive(Debug, Clone, Default)]
pub struct Names {
    symbols: Arc<Symbols>,
}

/// The nearest symbol at or below an address.
#[derive(Debug, Clone, Copy)]
pub struct Near<'a> {
    /// Its module's name.
    pub module: &'a str,
    /// Its name, or empty if the module has no symbol there.
    pub symbol: &'a str,
    /// Bytes from the symbol (or the module) to the address.
    pub offset: u32,
}

impl std::fmt::Display for Near<'_> {
    /// `module!symbol+0xoffset`.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.module)?;
        if !self.symbol.is_empty() {
            write!(f, "!{}", self.symbol)?;
        }
        match self.offset {
            0 => Ok(()),
            offset => write!(f, "+{offset:#x}"),
        }
    }
}

impl Names {
    /// Names of a symbol file.
    pub fn new(symbols: Arc<Symbols>) -> Self {
        Self { symbols }
    }

    /// The symbols themselves.
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }

    /// All modules, lowest address first.
    pub fn modules(&self) -> &[ModuleRange] {
        &self.symbols.file().modules
    }

    /// The module of this name or file name, in any case.
    pub fn module(&self, name: &str) -> Option<&ModuleRange> {
        self.modules().iter().find(|module| {
            module.name.eq_ignore_ascii_case(name)
                || (!module.file.is_empty() && module.file.eq_ignore_ascii_case(name))
        })
    }

    /// The module around an address.
    pub fn module_at(&self, address: u32) -> Option<&ModuleRange> {
        self.symbols.at(address).module
    }

    /// The symbols that start exactly at `address`.
    pub fn exact(&self, address: u32) -> &[Symbol] {
        let symbols = &self.symbols.file().symbols;
        let begin = symbols.partition_point(|symbol| symbol.address < address);
        let end = symbols.partition_point(|symbol| symbol.address <= address);
        &symbols[begin..end]
    }

    /// The symbol behind `address` in its module, for `ln`.
    pub fn next(&self, address: u32) -> Option<&Symbol> {
        let symbols = &self.symbols.file().symbols;
        let end = symbols.partition_point(|symbol| symbol.address <= address);
        let module = self.near(address)?.module;
        symbols[end..].iter().find(|symbol| symbol.module == module)
    }

    /// The nearest symbol at or below, in the module around the address.
    pub fn near(&self, address: u32) -> Option<Near<'_>> {
        let place = self.symbols.at(address);
        if let (Some(module), Some(symbol)) = (place.module, place.symbol) {
            let (module, symbol) = (&module.name, &symbol.name);
            let offset = place.offset();
            return Some(Near {
                module,
                symbol,
                offset,
            });
        }
        if let Some(module) = place.module {
            let offset = address - module.base;
            let module = &module.name;
            return Some(Near {
                module,
                symbol: "",
                offset,
            });
        }
        // Shared pages belong to no module.
        let symbols = &self.symbols.file().symbols;
        let end = symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = symbols[..end].last()?;
        let offset = address - symbol.address;
        (offset < symbol.size.max(1)).then_some(Near {
            module: &symbol.module,
            symbol: &symbol.name,
            offset,
        })
    }

    /// `module!symbol+0xoffset`, or the address in eight digits.
    pub fn text(&self, address: u32) -> String {
        match self.near(address) {
            Some(near) => near.to_string(),
            None => format!("{address:08x}"),
        }
    }

    /// The name of a value that may be an address: only if something is mapped there.
    ///
    /// The start-up code, a module without a file, lies where small negative numbers point; they are not named.
    pub fn value(&self, target: &mut dyn Target, value: u32) -> Option<String> {
        if self
            .module_at(value)
            .is_some_and(|module| module.file.is_empty())
        {
            return None;
        }
        let near = self.near(value)?;
        target.is_mapped(value).then(|| near.to_string())
    }

    /// The name of a value that is exactly a symbol's address, if something is mapped there.
    pub fn exact_value(&self, target: &mut dyn Target, value: u32) -> Option<String> {
        self.value(target, value)
            .filter(|_| !self.exact(value).is_empty())
    }

    /// The address of `symbol`, `module!symbol` or a module. Of several symbols of one name, that of a module of `ring`
    /// counts.
    ///
    /// # Errors
    /// cdb's text for a name that there is not, or that is not unique.
    pub fn address_of(&self, name: &str, ring: u8) -> Result<u32, String> {
        let (module, symbol) = match name.split_once('!') {
            Some((module, symbol)) => (Some(module), symbol),
            None => (None, name),
        };
        let named = |symbol_: &&Symbol| {
            symbol_.name.eq_ignore_ascii_case(symbol)
                || symbol_
                    .aliases
                    .iter()
                    .any(|alias| alias.eq_ignore_ascii_case(symbol))
        };
        let mut found: Vec<&Symbol> = self
            .symbols
            .file()
            .symbols
            .iter()
            .filter(named)
            .filter(|symbol| module.is_none_or(|module| symbol.module.eq_ignore_ascii_case(module)))
            .collect();
        let ring_of = |symbol: &Symbol| self.module(&symbol.module).map(|module| module.ring);
        if found.iter().any(|symbol| ring_of(symbol) == Some(ring)) {
            found.retain(|symbol| ring_of(symbol) == Some(ring));
        }
        found.dedup_by_key(|symbol| symbol.address);
        match found[..] {
            [only] => Ok(only.address),
            [] => match self.module(name) {
                Some(module) => Ok(module.base),
                None => Err(format!(
                    "Couldn't resolve error at '{name}': there is no register, symbol or module of this name"
                )),
            },
            _ => {
                let names = found
                    .iter()
                    .map(|found| format!("{}!{symbol}", found.module));
                let names: Vec<String> = names.collect();
                Err(format!(
                    "Ambiguous symbol error at '{name}': it is {}",
                    names.join(", ")
                ))
            }
        }
    }

    /// All names that match `module!pattern` (or `pattern` in every module), with their symbols, by address.
    pub fn matching(&self, pattern: &str) -> Vec<(&Symbol, &str)> {
        let (module, pattern) = pattern.split_once('!').unwrap_or(("*", pattern));
        let mut found = Vec::new();
        for symbol in &self.symbols.file().symbols {
            if !matches(module, &symbol.module) {
                continue;
            }
            let names = std::iter::once(&symbol.name).chain(&symbol.aliases);
            found.extend(
                names
                    .filter(|name| matches(pattern, name))
                    .map(|name| (symbol, name.as_str())),
            );
        }
        found
    }
}

/// Whether `text` has the form of `pattern`, where `*` stands for any characters and `?` for one; in any case.
pub fn matches(pattern: &str, text: &str) -> bool {
    fn go(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| go(rest, &text[skip..])),
            Some((b'?', rest)) => text.split_first().is_some_and(|(_, text)| go(rest, text)),
            Some((first, rest)) => text
                .split_first()
                .is_some_and(|(byte, text)| byte.eq_ignore_ascii_case(first) && go(rest, text)),
        }
    }
    // Several stars in a row mean the same as one.
    let mut simple = String::new();
    for c in pattern.chars() {
        if c != '*' || !simple.ends_with('*') {
            simple.push(c);
        }
    }
    go(simple.as_bytes(), text.as_bytes())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use firmware::symbols::{SymbolFile, SymbolKind};
    use std::collections::BTreeMap;

    /// Memory and registers that a test writes down.
    #[derive(Default)]
    pub struct Still {
        pub memory: BTreeMap<u32, u8>,
        pub registers: BTreeMap<u8, u32>,
    }

    impl Still {
        pub fn with(mut self, address: u32, bytes: &[u8]) -> Self {
            for (at, byte) in bytes.iter().enumerate() {
                self.memory.insert(address + at as u32, *byte);
            }
            self
        }
    }

    impl Target for Still {
        fn register(&mut self, number: u8) -> u32 {
            self.registers.get(&number).copied().unwrap_or(0)
        }

        fn read(&mut self, linear: u32, bytes: usize) -> Vec<Option<u8>> {
            let byte = |at| self.memory.get(&linear.wrapping_add(at)).copied();
            (0..bytes as u32).map(byte).collect()
        }
    }

    pub fn names() -> Names {
        let module = |name: &str, ring, base| ModuleRange {
            name: name.into(),
            file: format!("{name}.dll"),
            layer: 1,
            ring,
            base,
            size: 0x10_0000,
        };
        let symbol = |module: &str, name: &str, alias: &str, address, kind| Symbol {
            module: module.into(),
            name: name.into(),
            aliases: vec![alias.into()],
            address,
            size: 16,
            kind,
        };
        let code = SymbolKind::Code;
        let file = SymbolFile {
            modules: vec![
                module("nt", 0, 0x8280_0000),
                module("ntdll", 3, 0x77EC_0000),
                module("KERNELBASE", 3, 0x754C_0000),
            ],
            symbols: vec![
                symbol("ntdll", "ZwWriteFile", "NtWriteFile", 0x77F0_5EB0, code),
                symbol("ntdll", "KiFastSystemCall", "", 0x77F0_64F0, code),
                symbol("nt", "NtWriteFile", "", 0x8280_1EC0, code),
                symbol(
                    "KERNELBASE",
                    "_imp__NtWriteFile",
                    "",
                    0x754C_1190,
                    SymbolKind::Import,
                ),
                symbol(
                    "SharedUserData",
                    "SystemCallStub",
                    "",
                    0x7FFE_0300,
                    SymbolKind::Data,
                ),
            ],
            ..Default::default()
        };
        Names::new(Arc::new(Symbols::new(file)))
    }

    #[test]
    fn a_name_in_two_rings_is_that_of_the_current_one() {
        let names = names();
        assert_eq!(names.address_of("NtWriteFile", 3), Ok(0x77F0_5EB0));
        assert_eq!(names.address_of("ntwritefile", 0), Ok(0x8280_1EC0));
        assert_eq!(names.address_of("nt!NtWriteFile", 3), Ok(0x8280_1EC0));
        assert_eq!(names.address_of("ntdll", 3), Ok(0x77EC_0000));
        assert!(names.address_of("foo", 3).unwrap_err().contains("'foo'"));
    }

    #[test]
    fn an_address_outside_of_modules_is_named_within_its_symbol_only() {
        let names = names();
        assert_eq!(names.text(0x7FFE_0300), "SharedUserData!SystemCallStub");
        assert_eq!(names.text(0x7FFE_0310), "7ffe0310");
        assert_eq!(names.text(0x77F0_5EBC), "ntdll!ZwWriteFile+0xc");
        assert_eq!(names.text(0x754C_0010), "KERNELBASE+0x10");
    }

    #[test]
    fn stars_and_question_marks_match_in_any_case() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("nt*file", "NtWriteFile", true),
            ("nt?rite*", "NtWriteFile", true),
            ("Nt", "NtWriteFile", false),
            ("**a**b**", "xaxbx", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        let names = names();
        let found: Vec<&str> = names
            .matching("ntdll!*WriteFile")
            .iter()
            .map(|(_, name)| *name)
            .collect();
        assert_eq!(found, ["ZwWriteFile", "NtWriteFile"]);
    }
}
