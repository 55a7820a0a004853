//! The symbol file: everything a tool has to know about an image in order to print names instead of numbers.

use crate::module::{Kind, Module};
use abi::layout::LAYOUTS;
use serde::{Deserialize, Serialize};

/// Modules, symbols, structures and tables of an image; `symbols.json` is this structure.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SymbolFile {
    /// In order of base address.
    pub modules: Vec<ModuleRange>,
    /// In order of address.
    pub symbols: Vec<Symbol>,
    /// What crosses at a symbol, for the journey's last column.
    pub notes: Vec<Note>,
    /// Structures, for printing memory as a type.
    pub types: Vec<TypeLayout>,
    /// Tables with a name for each row.
    pub tables: Vec<Table>,
}

/// A module's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRange {
    /// What debuggers call it: `nt`, `ntdll`.
    pub name: String,
    /// File name; empty for the start-up code in ROM.
    pub file: String,
    /// Layer of the house of DLLs; higher ones call lower ones.
    pub layer: u8,
    /// Ring its code runs in.
    pub ring: u8,
    /// Linear address of the first byte.
    pub base: u32,
    /// Bytes.
    pub size: u32,
}

/// A named address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// Name of its module.
    pub module: String,
    /// First name.
    pub name: String,
    /// Further names of the same address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Linear address.
    pub address: u32,
    /// Bytes; a function's padding is not counted.
    pub size: u32,
    /// What it names.
    pub kind: SymbolKind,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolKind {
    /// Instructions.
    Code,
    /// Anything else.
    Data,
    /// A slot of an import address table, 4 bytes.
    Import,
}

/// What crosses when a symbol is entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Module of the symbol.
    pub module: String,
    /// Name of the symbol.
    pub symbol: String,
    /// One line.
    pub text: String,
}

/// A structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeLayout {
    /// Published name, `_KTRAP_FRAME`.
    pub name: String,
    /// Bytes.
    pub size: u32,
    /// In order of offset.
    pub fields: Vec<TypeField>,
}

/// A structure's field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeField {
    /// Published name.
    pub name: String,
    /// Bytes from the start of the structure.
    pub offset: u32,
    /// Bytes of one element.
    pub element_bytes: u32,
    /// Elements; 1 unless it is an array.
    pub count: u32,
    /// Name of the structure the field is, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub structure: String,
}

/// A table in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What it is: `services`, `service_argument_bytes`.
    pub name: String,
    /// Linear address of the first row.
    pub address: u32,
    /// Bytes of a row.
    pub row_bytes: u32,
    /// A name for each row.
    pub rows: Vec<String>,
}

/// The symbols of a module mapped at `base`.
pub fn of_module(module: &Module, base: u32) -> impl Iterator<Item = Symbol> + '_ {
    module.symbols.iter().map(move |symbol| Symbol {
        module: module.name.clone(),
        name: symbol.name.clone(),
        aliases: symbol.aliases.clone(),
        address: base + symbol.rva,
        size: symbol.size,
        kind: match symbol.kind {
            Kind::Code => SymbolKind::Code,
            Kind::Data | Kind::Hidden => SymbolKind::Data,
            Kind::Import => SymbolKind::Import,
        },
    })
}

/// All structures of the image's contract.
pub fn types() -> Vec<TypeLayout> {
    let named = |rust: &str| match rust {
        "ListEntry" => "_LIST_ENTRY",
        "UnicodeString" => "_UNICODE_STRING",
        "SystemTime" => "_KSYSTEM_TIME",
        _ => "",
    };
    let size_of = |kind: &str| match kind {
        "u8" => 1,
        "u16" => 2,
        "u32" => 4,
        "u64" => 8,
        other => LAYOUTS
            .iter()
            .find(|layout| layout.name == named(other))
            .map_or(0, |layout| layout.size),
    };
    let field = |field: &abi::layout::Field| {
        let (kind, count) = match field
            .kind
            .strip_prefix('[')
            .and_then(|kind| kind.strip_suffix(']'))
        {
            Some(array) => array
                .split_once("; ")
                .map_or((array, 1), |(kind, count)| (kind, number(count))),
            None => (field.kind, 1),
        };
        TypeField {
            name: field.name.into(),
            offset: field.offset,
            element_bytes: size_of(kind),
            count,
            structure: named(kind).into(),
        }
    };
    let layout = |layout: &&abi::layout::Layout| TypeLayout {
        name: layout.name.into(),
        size: layout.size,
        fields: layout
            .fields
            .iter()
            .filter(|field| !field.name.is_empty())
            .map(field)
            .collect(),
    };
    LAYOUTS.iter().map(layout).collect()
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_structure_ends_within_it() {
        for layout in types() {
            for field in &layout.fields {
                assert!(
                    field.element_bytes * field.count > 0,
                    "{}.{}",
                    layout.name,
                    field.name
                );
                assert!(
                    field.offset + field.element_bytes * field.count <= layout.size,
                    "{}.{}",
                    layout.name,
                    field.name
                );
            }
        }
    }
}
