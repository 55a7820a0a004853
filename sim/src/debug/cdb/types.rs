//! `dt`: memory as a structure.

use super::names::{Names, Target, matches};
use super::{Debugger, Outcome};
use firmware::symbols::{TypeField, TypeLayout};
use std::fmt::Write;

impl Debugger {
    /// `dt [module!]TYPE [FIELD...] [ADDRESS]`; `dt PATTERN` lists types.
    pub(super) fn display_type(&mut self, _: &str, arguments: &str) -> Outcome {
        let (name, mut rest) = match arguments.split_once(char::is_whitespace) {
            Some((name, rest)) => (name, rest.trim()),
            None => (arguments, ""),
        };
        let name = name.split_once('!').map_or(name, |(_, name)| name);
        if name.is_empty() || name.contains(['*', '?']) {
            let pattern = if name.is_empty() { "*" } else { name };
            let mut out = String::new();
            for layout in &self.names.symbols().file().types {
                if matches(pattern, &layout.name) {
                    writeln!(out, "          {}", layout.name).unwrap();
                }
            }
            self.out.push_str(&out);
            return Ok(());
        }
        let layout = layout(&self.names, name)
            .ok_or_else(|| {
                format!("Symbol {name} not found: there is no such type; dt * lists them")
            })?
            .clone();
        // Names of fields (with stars), then an address.
        let mut fields: Vec<String> = Vec::new();
        while !rest.is_empty() {
            let (word, more) = rest.split_once([' ', ',']).unwrap_or((rest, ""));
            let plain = word.trim_end_matches('.');
            if !layout
                .fields
                .iter()
                .any(|field| matches(plain, &field.name))
            {
                break;
            }
            fields.push(plain.to_string());
            rest = more.trim();
        }
        let address = match rest {
            "" => None,
            rest => Some(self.address(rest)?),
        };
        let text = structure(&self.names, &mut self.debuggee, &layout, &fields, address);
        self.out.push_str(&text);
        Ok(())
    }
}

impl Debugger {
    /// `!teb`, `!peb`.
    pub(super) fn show_environment(&mut self, name: &str, _: &str) -> Outcome {
        let (title, kind) = if name == "!teb" {
            ("TEB", "_TEB")
        } else {
            ("PEB", "_PEB")
        };
        let address = self.value(&format!("${}", &name[1..]))? as u32;
        self.line(format!("{title} at {address:08x}"));
        self.display_type("dt", &format!("{kind} 0x{address:x}"))
    }
}

fn layout<'a>(names: &'a Names, name: &str) -> Option<&'a TypeLayout> {
    let plain = name.trim_start_matches('_');
    names.symbols().file().types.iter().find(|layout| {
        layout
            .name
            .trim_start_matches('_')
            .eq_ignore_ascii_case(plain)
    })
}

fn structure(
    names: &Names,
    target: &mut dyn Target,
    layout: &TypeLayout,
    fields: &[String],
    address: Option<u32>,
) -> String {
    let mut out = String::new();
    let shown = |field: &&TypeField| {
        fields.is_empty() || fields.iter().any(|wanted| matches(wanted, &field.name))
    };
    let width = layout
        .fields
        .iter()
        .map(|field| field.name.len())
        .max()
        .unwrap_or(0)
        .min(16);
    for field in layout.fields.iter().filter(shown) {
        let value = match address {
            Some(address) => value(names, target, field, address.wrapping_add(field.offset)),
            None => kind(field),
        };
        writeln!(
            out,
            "   +0x{:03x} {:width$} : {value}",
            field.offset, field.name
        )
        .unwrap();
    }
    out
}

/// `Uint4B`, `[64] UChar`, `_LIST_ENTRY`.
fn kind(field: &TypeField) -> String {
    let element = match (field.structure.as_str(), field.element_bytes) {
        ("", 1) => "UChar",
        ("", 2) => "Uint2B",
        ("", 4) => "Uint4B",
        ("", 8) => "Uint8B",
        ("", _) => "<unnamed>",
        (structure, _) => structure,
    };
    match field.count {
        1 => element.to_string(),
        count => format!("[{count}] {element}"),
    }
}

fn value(names: &Names, target: &mut dyn Target, field: &TypeField, address: u32) -> String {
    if field.count > 1 {
        return kind(field);
    }
    match field.structure.as_str() {
        "" => {}
        "_LIST_ENTRY" => {
            let mut link = |offset| match target.read_u32(address.wrapping_add(offset)) {
                Some(link) => format!("{link:#x}"),
                None => "????????".into(),
            };
            return format!("_LIST_ENTRY [ {} - {} ]", link(0), link(4));
        }
        "_UNICODE_STRING" => {
            let text = unicode_string(target, address)
                .unwrap_or_else(|| "--- memory read error ---".into());
            return format!("_UNICODE_STRING {text}");
        }
        structure => return structure.to_string(),
    }
    let Some(number) = target.read_number(address, field.element_bytes.min(8) as usize) else {
        return "??".into();
    };
    let mut text = match number {
        0 => "0".to_string(),
        number => format!("{number:#x}"),
    };
    if field.element_bytes == 1 {
        let character = char::from(number as u8);
        match character.is_ascii_graphic() {
            true => write!(text, " '{character}'").unwrap(),
            false => text.push_str(" ''"),
        }
    }
    if field.element_bytes == 4
        && let Some(name) = names.value(target, number as u32).filter(|_| number != 0)
    {
        write!(text, " {name}").unwrap();
    }
    text
}

fn unicode_string(target: &mut dyn Target, address: u32) -> Option<String> {
    let bytes = target.read_number(address, 2)?;
    let buffer = target.read_u32(address.wrapping_add(4))?;
    let bytes: Option<Vec<u8>> = target.read(buffer, bytes as usize).into_iter().collect();
    let units: Vec<u16> = bytes?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    Some(format!("\"{}\"", String::from_utf16_lossy(&units)))
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::{Still, names};
    use super::*;

    fn field(
        name: &str,
        offset: u32,
        element_bytes: u32,
        count: u32,
        structure: &str,
    ) -> TypeField {
        TypeField {
            name: name.into(),
            offset,
            element_bytes,
            count,
            structure: structure.into(),
        }
    }

    #[test]
    fn fields_have_offset_name_and_value_or_kind() {
        let layout = TypeLayout {
            name: "_TEST".into(),
            size: 24,
            fields: vec![
                field("Call", 0, 4, 1, ""),
                field("Ret", 4, 1, 1, ""),
                field("Features", 5, 1, 3, ""),
                field("Links", 8, 8, 1, "_LIST_ENTRY"),
                field("Gone", 0x100, 4, 1, ""),
            ],
        };
        let mut still = Still::default()
            .with(
                0x1000,
                &[
                    0xF0, 0x64, 0xF0, 0x77, 0xC3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
                ],
            )
            .with(0x77F0_64F0, &[0x8B]);
        let names = names();
        assert_eq!(
            structure(&names, &mut still, &layout, &[], Some(0x1000)),
            "   +0x000 Call     : 0x77f064f0 ntdll!KiFastSystemCall
   +0x004 Ret      : 0xc3 ''
   +0x005 Features : [3] UChar
   +0x008 Links    : _LIST_ENTRY [ 0x1 - 0x2 ]
   +0x100 Gone     : ??
"
        );
        assert_eq!(
            structure(&names, &mut still, &layout, &["Re*".into()], None),
            "   +0x004 Ret      : UChar\n"
        );
    }
}
