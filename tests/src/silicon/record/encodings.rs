//! Which encodings are recorded, and why the others are not.
use crate::silicon::{decode, encoding_name};
use iced_x86::Code;
use spec::opcodes::{self, Form, Kind, Map, Opcode};
use std::collections::BTreeMap;

/// Instructions that a host's ring 3 cannot tell about, with the reason.
#[rustfmt::skip]
pub const EXCLUDED: &[(&str, &str)] = &[
    ("sgdt",     "the kernel emulates it or lets it fail (UMIP)"),
    ("sidt",     "the kernel emulates it or lets it fail (UMIP)"),
    ("sldt",     "the kernel emulates it or lets it fail (UMIP)"),
    ("smsw",     "the kernel emulates it or lets it fail (UMIP)"),
    ("str",      "the kernel emulates it or lets it fail (UMIP)"),
    ("cpuid",    "tells what the host is"),
    ("rdtsc",    "never gives the same twice"),
    ("sysenter", "goes to the host's kernel"),
    ("int1",     "a hypervisor may deliver it, and save another EIP"),
    ("sysexit",  "not the same in compatibility mode"),
];

/// One way to write an encoding.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Its row of the opcode map.
    pub row: &'static Opcode,
    /// The operand size is 16 bits.
    pub operand16: bool,
    /// ModRM.mod is 3, if there is ModRM.
    pub register_form: bool,
}

/// An encoding and all ways to write it.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// Its name.
    pub code: Code,
    /// At least one.
    pub sources: Vec<Source>,
}

/// All encodings of the rows of the opcode map, in order of their numbers: those that can be recorded and, with the
/// reason, those that cannot.
pub fn all() -> Vec<(Encoding, Option<&'static str>)> {
    let mut sources: BTreeMap<u16, Vec<Source>> = BTreeMap::new();
    for row in opcodes::all().filter(|row| row.kind == Kind::Instruction) {
        let forms: &[bool] = match row.form {
            Form::Any if row.has_modrm() && !row.ignores_mod() => &[false, true],
            Form::Any | Form::RegisterOnly => &[true],
            Form::MemoryOnly => &[false],
        };
        for (operand16, register_form) in [false, true]
            .into_iter()
            .flat_map(|size| forms.iter().map(move |form| (size, *form)))
        {
            let source = Source {
                row,
                operand16,
                register_form,
            };
            let instruction = decode(&example(source), 32, 0);
            if !instruction.is_invalid() {
                let code = instruction.code() as u16;
                sources.entry(code).or_default().push(source);
            }
        }
    }
    sources
        .into_iter()
        .map(|(number, sources)| {
            let name = sources[0].row.mnemonic;
            let excluded = EXCLUDED.iter().find(|(mnemonic, _)| *mnemonic == name);
            let code = Code::try_from(usize::from(number)).expect("it was a code");
            (Encoding { code, sources }, excluded.map(|(_, why)| *why))
        })
        .collect()
}

/// The encodings that can be recorded.
pub fn recordable() -> Vec<Encoding> {
    let all = all().into_iter();
    all.filter_map(|(encoding, excluded)| excluded.is_none().then_some(encoding))
        .collect()
}

/// The encodings that cannot, with the reason.
pub fn excluded() -> Vec<(String, &'static str)> {
    let all = all().into_iter();
    all.filter_map(|(encoding, excluded)| Some((encoding_name(encoding.code), excluded?)))
        .collect()
}

/// A short instruction, filled up with zeros.
fn example(source: Source) -> Vec<u8> {
    let Source {
        row,
        operand16,
        register_form,
    } = source;
    let mut bytes = Vec::new();
    if operand16 {
        bytes.push(0x66);
    }
    if row.map == Map::TwoByte {
        bytes.push(0x0F);
    }
    bytes.push(row.byte);
    if row.has_modrm() {
        let mode = if register_form { 0xC0 } else { 0 };
        bytes.push(mode | row.extension.unwrap_or(0) << 3);
    }
    bytes.extend([0; 8]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_of_the_opcode_map_is_recorded_or_excluded_for_a_reason() {
        let all = all();
        let covered = |row: &Opcode| {
            all.iter().any(|(encoding, _)| {
                encoding
                    .sources
                    .iter()
                    .any(|source| std::ptr::eq(source.row, row))
            })
        };
        for row in opcodes::all().filter(|row| row.kind == Kind::Instruction) {
            assert!(covered(row), "{row:?}");
        }
        for (mnemonic, _) in EXCLUDED {
            let known = opcodes::all().any(|row| row.mnemonic == *mnemonic);
            assert!(known, "{mnemonic}");
        }
    }
}
