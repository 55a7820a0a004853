//! The image's structures and tables as debug information (DWARF 4), so that gdb prints memory as a type.

use crate::symbols::Symbols;
use firmware::symbols::TypeField;
use gimli::write::{
    Address, AttributeValue, DwarfUnit, EndianVec, Error, Expression, Sections, UnitEntryId,
};
use gimli::{DwAte, DwTag, Encoding, Format, LittleEndian};
use std::collections::HashMap;

/// The unit under construction, with the types that it has.
struct Types {
    dwarf: DwarfUnit,
    /// By name: structures, and the integers of C.
    named: HashMap<String, UnitEntryId>,
}

impl Types {
    fn new() -> Self {
        let encoding = Encoding {
            format: Format::Dwarf32,
            version: 4,
            address_size: 4,
        };
        let mut types = Self {
            dwarf: DwarfUnit::new(encoding),
            named: HashMap::new(),
        };
        let root = types.dwarf.unit.root();
        let unit = types.dwarf.unit.get_mut(root);
        // C has typedefs and no modules: names work in gdb without a prefix.
        unit.set(
            gimli::DW_AT_language,
            AttributeValue::Language(gimli::DW_LANG_C99),
        );
        unit.set(gimli::DW_AT_name, AttributeValue::String(b"sysgate".into()));
        types
    }

    /// A new entry of the unit.
    fn add(&mut self, tag: DwTag, name: Option<&str>, kind: Option<UnitEntryId>) -> UnitEntryId {
        let root = self.dwarf.unit.root();
        self.add_below(root, tag, name, kind)
    }

    fn add_below(
        &mut self,
        parent: UnitEntryId,
        tag: DwTag,
        name: Option<&str>,
        kind: Option<UnitEntryId>,
    ) -> UnitEntryId {
        let id = self.dwarf.unit.add(parent, tag);
        let entry = self.dwarf.unit.get_mut(id);
        if let Some(name) = name {
            entry.set(gimli::DW_AT_name, AttributeValue::String(name.into()));
        }
        if let Some(kind) = kind {
            entry.set(gimli::DW_AT_type, AttributeValue::UnitRef(kind));
        }
        id
    }

    fn set_number(&mut self, id: UnitEntryId, attribute: gimli::DwAt, number: u32) {
        let value = AttributeValue::Udata(number.into());
        self.dwarf.unit.get_mut(id).set(attribute, value);
    }

    /// The unsigned integer of so many bytes: 1, 2, 4 or 8.
    fn integer(&mut self, bytes: u32) -> UnitEntryId {
        let (name, encoding) = match bytes {
            1 => ("unsigned char", gimli::DW_ATE_unsigned_char),
            2 => ("unsigned short", gimli::DW_ATE_unsigned),
            4 => ("unsigned int", gimli::DW_ATE_unsigned),
            _ => ("unsigned long long", gimli::DW_ATE_unsigned),
        };
        self.base(name, bytes, encoding)
    }

    fn base(&mut self, name: &str, bytes: u32, encoding: DwAte) -> UnitEntryId {
        if let Some(id) = self.named.get(name) {
            return *id;
        }
        let id = self.add(gimli::DW_TAG_base_type, Some(name), None);
        self.set_number(id, gimli::DW_AT_byte_size, bytes);
        let entry = self.dwarf.unit.get_mut(id);
        entry.set(gimli::DW_AT_encoding, AttributeValue::Encoding(encoding));
        self.named.insert(name.into(), id);
        id
    }

    fn array(&mut self, element: UnitEntryId, count: u32) -> UnitEntryId {
        let id = self.add(gimli::DW_TAG_array_type, None, Some(element));
        let range = self.add_below(id, gimli::DW_TAG_subrange_type, None, None);
        self.set_number(range, gimli::DW_AT_count, count);
        id
    }

    fn field(&mut self, field: &TypeField) -> UnitEntryId {
        let known = self.named.get(&field.structure).copied();
        let element = match (known, field.element_bytes) {
            (Some(structure), _) => structure,
            (None, bytes @ (1 | 2 | 4 | 8)) => self.integer(bytes),
            (None, bytes) => {
                let byte = self.integer(1);
                self.array(byte, bytes)
            }
        };
        match field.count {
            1 => element,
            count => self.array(element, count),
        }
    }
}

/// The sections of the debug information, by name; empty ones are left out.
///
/// # Errors
/// What the format cannot hold.
pub fn debug_sections(symbols: &Symbols) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let file = symbols.file();
    let mut types = Types::new();
    for layout in &file.types {
        let id = types.add(gimli::DW_TAG_structure_type, Some(&layout.name), None);
        types.set_number(id, gimli::DW_AT_byte_size, layout.size);
        types.named.insert(layout.name.clone(), id);
        // So that it can be said without `struct`.
        types.add(gimli::DW_TAG_typedef, Some(&layout.name), Some(id));
    }
    for layout in &file.types {
        let id = types.named[&layout.name];
        for field in &layout.fields {
            let kind = types.field(field);
            let member = types.add_below(id, gimli::DW_TAG_member, Some(&field.name), Some(kind));
            types.set_number(member, gimli::DW_AT_data_member_location, field.offset);
        }
    }
    for table in &file.tables {
        let place = symbols.at(table.address);
        if place.symbol.is_none() || place.offset() != 0 {
            continue;
        }
        let element = match table.row_bytes {
            // Rows of four bytes are addresses of functions.
            4 => {
                let function = types.add(gimli::DW_TAG_subroutine_type, None, None);
                let id = types.add(gimli::DW_TAG_pointer_type, None, Some(function));
                types.set_number(id, gimli::DW_AT_byte_size, 4);
                id
            }
            bytes => types.integer(bytes),
        };
        let kind = types.array(element, table.rows.len() as u32);
        let name = place.symbol_name();
        let id = types.add(gimli::DW_TAG_variable, Some(name), Some(kind));
        let mut location = Expression::new();
        location.op_addr(Address::Constant(table.address.into()));
        let entry = types.dwarf.unit.get_mut(id);
        entry.set(gimli::DW_AT_external, AttributeValue::Flag(true));
        entry.set(gimli::DW_AT_location, AttributeValue::Exprloc(location));
    }
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    types.dwarf.write(&mut sections)?;
    let mut list = Vec::new();
    sections.for_each_mut(|id, data| {
        let bytes = data.take();
        if !bytes.is_empty() {
            list.push((id.name(), bytes));
        }
        Ok::<(), Error>(())
    })?;
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use gimli::{Dwarf, EndianSlice};

    /// Name, size, and the fields' names and offsets.
    type Structure = (String, u64, Vec<(String, u64)>);

    #[test]
    fn another_reader_finds_every_structure_with_its_fields_and_offsets() {
        let symbols = Symbols::new(Image::build(firmware::Gate::Sysenter).unwrap().symbols);
        let sections: HashMap<_, _> = debug_sections(&symbols).unwrap().into_iter().collect();
        let load = |id: gimli::SectionId| -> Result<_, gimli::Error> {
            let bytes = sections.get(id.name()).map_or(&[][..], Vec::as_slice);
            Ok(EndianSlice::new(bytes, LittleEndian))
        };
        let dwarf = Dwarf::load(load).unwrap();
        let header = dwarf.units().next().unwrap().unwrap();
        let unit = dwarf.unit(header).unwrap();
        let mut found: Vec<Structure> = Vec::new();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs().unwrap() {
            let number = |attribute| {
                let value = entry.attr_value(attribute);
                value.and_then(|value| value.udata_value()).unwrap_or(0)
            };
            let name = || {
                let name = entry.attr_value(gimli::DW_AT_name).unwrap();
                let name = dwarf.attr_string(&unit, name).unwrap();
                name.to_string_lossy().into_owned()
            };
            match entry.tag() {
                gimli::DW_TAG_structure_type => {
                    found.push((name(), number(gimli::DW_AT_byte_size), Vec::new()));
                }
                gimli::DW_TAG_member => {
                    let offset = number(gimli::DW_AT_data_member_location);
                    found.last_mut().unwrap().2.push((name(), offset));
                }
                _ => {}
            }
        }
        let expected: Vec<Structure> = symbols
            .file()
            .types
            .iter()
            .map(|layout| {
                let fields = layout.fields.iter();
                let fields = fields.map(|field| (field.name.clone(), u64::from(field.offset)));
                (
                    layout.name.clone(),
                    u64::from(layout.size),
                    fields.collect(),
                )
            })
            .collect();
        assert_eq!(found, expected);
    }
}
