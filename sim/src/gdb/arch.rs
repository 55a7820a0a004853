//! What gdb is told about the processor: its registers, in the order of the target description.

use gdbstub::arch::{Arch, RegId, Registers};
use spec::registers::{self, ACCESS, BASE, LIMIT, SELECTOR};
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

/// Where a register's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The register of this number on the debug port.
    Port(u8),
    /// The time-stamp counter: two registers of the debug port.
    TimeStamp,
    /// Clock cycles since reset.
    Cycle,
    /// Instructions completed since reset.
    Instructions,
    /// The core does not have it; gdb insists on its name.
    Absent,
}

/// One register as gdb sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// gdb's name; QEMU's where QEMU has the register.
    pub name: String,
    /// Width in bits: 32, 64 or 80.
    pub bits: u32,
    /// gdb's type.
    kind: &'static str,
    /// Where its value comes from.
    pub source: Source,
}

impl Register {
    /// Width in bytes.
    pub fn bytes(&self) -> usize {
        self.bits as usize / 8
    }
}

/// A group of registers that the target description names.
struct Feature {
    name: &'static str,
    registers: Vec<Register>,
}

/// A field of a flag type: its name, empty for a bit that means nothing, and its first and last bit.
type Field = (&'static str, u8, u8);

/// Flag types of the target description.
#[rustfmt::skip]
const FLAGS: &[(&str, &[Field])] = &[
    ("i386_eflags", &[
        ("CF", 0, 0), ("", 1, 1), ("PF", 2, 2), ("AF", 4, 4), ("ZF", 6, 6), ("SF", 7, 7), ("TF", 8, 8), ("IF", 9, 9),
        ("DF", 10, 10), ("OF", 11, 11), ("IOPL", 12, 13), ("NT", 14, 14), ("RF", 16, 16), ("VM", 17, 17), ("AC", 18, 18),
        ("VIF", 19, 19), ("VIP", 20, 20), ("ID", 21, 21),
    ]),
    ("i386_cr0", &[
        ("PE", 0, 0), ("MP", 1, 1), ("EM", 2, 2), ("TS", 3, 3), ("ET", 4, 4), ("NE", 5, 5), ("WP", 16, 16), ("AM", 18, 18),
        ("NW", 29, 29), ("CD", 30, 30), ("PG", 31, 31),
    ]),
    ("i386_cr3", &[("PWT", 3, 3), ("PCD", 4, 4), ("PDBR", 12, 31)]),
    ("i386_cr4", &[
        ("VME", 0, 0), ("PVI", 1, 1), ("TSD", 2, 2), ("DE", 3, 3), ("PSE", 4, 4), ("PAE", 5, 5), ("MCE", 6, 6),
        ("PGE", 7, 7), ("PCE", 8, 8), ("OSFXSR", 9, 9), ("OSXMMEXCPT", 10, 10),
    ]),
];

/// gdb's order of the segment registers.
const SEGMENTS: [u8; 6] = [
    registers::CS,
    registers::SS,
    registers::DS,
    registers::ES,
    registers::FS,
    registers::GS,
];

fn word(name: impl Into<String>, kind: &'static str, number: u8) -> Register {
    Register {
        name: name.into(),
        bits: 32,
        kind,
        source: Source::Port(number),
    }
}

fn counter(name: &str, source: Source) -> Register {
    Register {
        name: name.into(),
        bits: 64,
        kind: "uint64",
        source,
    }
}

fn segment_name(segment: u8) -> &'static str {
    registers::SEGMENT[usize::from(segment)]
}

/// The registers that gdb requires of an i386, in its order.
fn core() -> Vec<Register> {
    let general = (0..).zip(registers::GENERAL).map(|(number, name)| {
        let kind = if matches!(name, "esp" | "ebp") {
            "data_ptr"
        } else {
            "int32"
        };
        word(name, kind, number)
    });
    let pointer = [
        word("eip", "code_ptr", registers::EIP),
        word("eflags", "i386_eflags", registers::EFLAGS),
    ];
    let segments = SEGMENTS.map(|segment| word(segment_name(segment), "int32", SELECTOR + segment));
    let absent = |name: String, bits, kind| Register {
        name,
        bits,
        kind,
        source: Source::Absent,
    };
    let stack = (0..8).map(|number| absent(format!("st{number}"), 80, "i387_ext"));
    let control = [
        "fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop",
    ];
    general
        .chain(pointer)
        .chain(segments)
        .chain(stack)
        .chain(control.map(|name| absent(name.into(), 32, "int")))
        .collect()
}

fn features() -> Vec<Feature> {
    let parts = |parts: &[(u8, &str)], segments: &[u8]| -> Vec<Register> {
        let of = |segment: u8| {
            parts.iter().map(move |(first, part)| {
                // Bases are numbers, so that `$cs_base + $eip` is one.
                let name = format!("{}{part}", segment_name(segment));
                word(name, "uint32", first + segment)
            })
        };
        segments.iter().copied().flat_map(of).collect()
    };
    let cache = [(BASE, "_base"), (LIMIT, "_limit"), (ACCESS, "_access")];
    let system = [
        (SELECTOR, ""),
        (BASE, "_base"),
        (LIMIT, "_limit"),
        (ACCESS, "_access"),
    ];
    let mut tables = parts(
        &[(BASE, "_base"), (LIMIT, "_limit")],
        &[registers::GDTR, registers::IDTR],
    );
    tables.extend(parts(&system, &[registers::LDTR, registers::TR]));
    vec![
        Feature {
            name: "org.gnu.gdb.i386.core",
            registers: core(),
        },
        Feature {
            name: "org.sysgate.ia32.segments",
            registers: parts(&cache, &SEGMENTS),
        },
        Feature {
            name: "org.sysgate.ia32.control",
            registers: vec![
                word("cr0", "i386_cr0", registers::CR0),
                word("cr2", "data_ptr", registers::CR2),
                word("cr3", "i386_cr3", registers::CR3),
                word("cr4", "i386_cr4", registers::CR4),
                word("dr0", "data_ptr", registers::DR0),
                word("dr1", "data_ptr", registers::DR0 + 1),
                word("dr2", "data_ptr", registers::DR0 + 2),
                word("dr3", "data_ptr", registers::DR0 + 3),
                word("dr6", "uint32", registers::DR6),
                word("dr7", "uint32", registers::DR7),
            ],
        },
        Feature {
            name: "org.sysgate.ia32.tables",
            registers: tables,
        },
        Feature {
            name: "org.sysgate.ia32.msr",
            registers: vec![
                word("sysenter_cs", "uint32", registers::SYSENTER_CS),
                word("sysenter_esp", "data_ptr", registers::SYSENTER_ESP),
                word("sysenter_eip", "code_ptr", registers::SYSENTER_EIP),
                counter("tsc", Source::TimeStamp),
            ],
        },
        Feature {
            name: "org.sysgate.ia32.state",
            registers: vec![
                word("cpl", "uint32", registers::CPL),
                counter("cycle", Source::Cycle),
                counter("instructions", Source::Instructions),
            ],
        },
    ]
}

/// All registers; the index is gdb's number.
pub static REGISTERS: LazyLock<Vec<Register>> = LazyLock::new(|| {
    features()
        .into_iter()
        .flat_map(|feature| feature.registers)
        .collect()
});

/// The target description that gdb reads on connecting.
pub static TARGET_XML: LazyLock<String> = LazyLock::new(|| {
    let mut xml = String::from(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n\
         <architecture>i386</architecture>\n<osabi>none</osabi>\n",
    );
    for feature in features() {
        writeln!(xml, "<feature name=\"{}\">", feature.name).unwrap();
        for (name, fields) in FLAGS {
            let used = |register: &Register| register.kind == *name;
            if !feature.registers.iter().any(used) {
                continue;
            }
            writeln!(xml, "<flags id=\"{name}\" size=\"4\">").unwrap();
            for (field, first, last) in *fields {
                writeln!(
                    xml,
                    "<field name=\"{field}\" start=\"{first}\" end=\"{last}\"/>"
                )
                .unwrap();
            }
            xml += "</flags>\n";
        }
        for Register {
            name, bits, kind, ..
        } in &feature.registers
        {
            // A function called by gdb must not bring the clock or CR3 back to what they were.
            let save = if feature.name == "org.gnu.gdb.i386.core" {
                ""
            } else {
                " save-restore=\"no\""
            };
            let group = if kind == &"int" {
                " group=\"float\""
            } else {
                ""
            };
            writeln!(
                xml,
                "<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\"{save}{group}/>"
            )
            .unwrap();
        }
        xml += "</feature>\n";
    }
    xml + "</target>\n"
});

/// The IA-32 processor with its system registers.
pub enum Ia32 {}

impl Arch for Ia32 {
    type Usize = u32;
    type Registers = Values;
    type BreakpointKind = usize;
    type RegId = Number;

    fn target_description_xml() -> Option<&'static str> {
        Some(&TARGET_XML)
    }
}

/// gdb's number of a register: the index in [`REGISTERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub usize);

impl Number {
    /// The number of the register with this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn of(name: &str) -> Self {
        let is = |register: &Register| register.name == name;
        Self(
            REGISTERS
                .iter()
                .position(is)
                .unwrap_or_else(|| panic!("there is no register {name}")),
        )
    }
}

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        let register = REGISTERS.get(id)?;
        Some((Self(id), NonZeroUsize::new(register.bytes())))
    }

    fn to_raw_id(&self) -> Option<usize> {
        Some(self.0)
    }
}

/// The values of all registers in gdb's order; `None` is "not available".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(pub Vec<Option<u64>>);

impl Default for Values {
    fn default() -> Self {
        Self(vec![None; REGISTERS.len()])
    }
}

impl Registers for Values {
    type ProgramCounter = u32;

    fn pc(&self) -> u32 {
        self.0[Number::of("eip").0].unwrap_or(0) as u32
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        for (value, register) in self.0.iter().zip(&*REGISTERS) {
            let bytes = value.map(u64::to_le_bytes);
            for index in 0..register.bytes() {
                write_byte(bytes.map(|bytes| bytes.get(index).copied().unwrap_or(0)));
            }
        }
    }

    fn gdb_deserialize(&mut self, mut bytes: &[u8]) -> Result<(), ()> {
        for (value, register) in self.0.iter_mut().zip(&*REGISTERS) {
            let (own, rest) = bytes.split_at_checked(register.bytes()).ok_or(())?;
            bytes = rest;
            *value = (register.source != Source::Absent).then(|| {
                let low = own.iter().take(8).rev();
                low.fold(0, |value, byte| value << 8 | u64::from(*byte))
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_core_registers_stand_first_and_in_the_order_gdb_requires() {
        let names: Vec<&str> = REGISTERS.iter().map(|row| row.name.as_str()).collect();
        let expected = "eax ecx edx ebx esp ebp esi edi eip eflags cs ss ds es fs gs st0 st1 st2 st3 st4 st5 st6 st7 \
                        fctrl fstat ftag fiseg fioff foseg fooff fop";
        assert_eq!(names[..32].join(" "), expected);
    }

    #[test]
    fn every_register_of_the_debug_port_has_one_name() {
        let shown: Vec<u8> = REGISTERS
            .iter()
            .filter_map(|register| match register.source {
                Source::Port(number) => Some(number),
                _ => None,
            })
            .chain([registers::TSC_LOW, registers::TSC_HIGH])
            .collect();
        let expected: HashSet<u8> = registers::all().map(|(number, _)| number).collect();
        assert_eq!(shown.iter().copied().collect::<HashSet<_>>(), expected);
        assert_eq!(shown.len(), expected.len());
    }

    #[test]
    fn the_target_description_has_each_register_once_and_defines_its_flag_types_first() {
        for register in &*REGISTERS {
            let text = format!("<reg name=\"{}\" ", register.name);
            assert_eq!(TARGET_XML.matches(&text).count(), 1, "{}", register.name);
        }
        for (name, _) in FLAGS {
            let definition = TARGET_XML.find(&format!("id=\"{name}\"")).unwrap();
            let use_ = TARGET_XML.find(&format!("type=\"{name}\"")).unwrap();
            assert!(definition < use_, "{name}");
        }
        assert_eq!(
            TARGET_XML.matches("<feature ").count(),
            TARGET_XML.matches("</feature>").count()
        );
    }

    #[test]
    fn values_are_read_as_they_were_written_and_the_missing_stay_missing() {
        let mut values = Values::default();
        for (index, register) in REGISTERS.iter().enumerate() {
            let value = 0x8877_6655_4433_2200 + index as u64;
            values.0[index] = match register.source {
                Source::Absent => None,
                _ if register.bits == 32 => Some(value & 0xFFFF_FFFF),
                _ => Some(value),
            };
        }
        let mut bytes = Vec::new();
        values.gdb_serialize(|byte| bytes.push(byte.unwrap_or(0)));
        let mut read = Values::default();
        read.gdb_deserialize(&bytes).unwrap();
        assert_eq!(read, values);
        assert_eq!(read.gdb_deserialize(&bytes[1..]), Err(()));
    }
}
