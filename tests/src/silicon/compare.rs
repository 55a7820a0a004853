//! Compares what a machine did with what the silicon did.

use super::{Case, Outcome, WINDOW, WINDOW_BYTES};
use spec::{exceptions, registers};
use std::fmt;

const PAGE_FAULT: Outcome = Outcome::Exception(exceptions::PF);

/// The state of a machine after one instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// How the instruction ended.
    pub outcome: Outcome,
    /// What was pushed; zero if nothing was.
    pub error_code: u16,
    /// EAX..EDI; after an exception ESP as it was saved.
    pub registers: [u32; 8],
    /// ES, CS, SS, DS, FS, GS; after an exception CS and SS as they were saved.
    pub selectors: [u16; 6],
    /// Segments (0..5) whose hidden part is not what its descriptor says.
    pub wrong_descriptors: Vec<usize>,
    /// After an exception as it was saved.
    pub eflags: u32,
    /// After an exception as it was saved.
    pub eip: u32,
    /// CR2, if the exception is a page fault.
    pub cr2: Option<u32>,
    /// The whole window.
    pub window: Vec<u8>,
    /// Linear addresses outside the window that were written.
    pub strays: Vec<u32>,
}

impl Observed {
    /// The state that the silicon was in, as if a machine had reached it.
    pub fn of(case: &Case) -> Observed {
        Observed {
            outcome: case.outcome,
            error_code: case.error_code,
            registers: case.registers_after,
            selectors: case.selectors_after,
            wrong_descriptors: Vec::new(),
            eflags: case.eflags_after,
            eip: case.eip_after,
            cr2: case.cr2,
            window: case.window_after(),
            strays: Vec::new(),
        }
    }
}

/// One difference between a machine and the silicon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// It ended in another way.
    Outcome {
        /// The silicon's.
        expected: Outcome,
        /// The machine's.
        found: Outcome,
    },
    /// The exception pushed another error code.
    ErrorCode {
        /// The silicon's.
        expected: u16,
        /// The machine's.
        found: u16,
    },
    /// A general register, by its number.
    Register {
        /// 0..7.
        number: usize,
        /// The silicon's.
        expected: u32,
        /// The machine's.
        found: u32,
    },
    /// A selector, by the number of its register.
    Selector {
        /// 0..5.
        number: usize,
        /// The silicon's.
        expected: u16,
        /// The machine's.
        found: u16,
    },
    /// Base, limit or access rights in a segment register are not those of its descriptor.
    Descriptor {
        /// 0..5.
        number: usize,
    },
    /// Defined flags.
    Flags {
        /// The silicon's.
        expected: u32,
        /// The machine's.
        found: u32,
    },
    /// The next instruction, or the one that the exception saved.
    Eip {
        /// The silicon's.
        expected: u32,
        /// The machine's.
        found: u32,
    },
    /// A page fault's address is none that the instruction accesses and that is not present.
    Cr2 {
        /// What it could have been.
        expected: Vec<u32>,
        /// The machine's.
        found: u32,
    },
    /// A byte of the window.
    Memory {
        /// Its linear address.
        linear: u32,
        /// The silicon's.
        expected: u8,
        /// The machine's.
        found: u8,
    },
    /// A byte was written that the silicon did not write.
    Stray {
        /// Its linear address.
        linear: u32,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Outcome { expected, found } => {
                write!(f, "outcome: expected {expected}, found {found}")
            }
            Mismatch::ErrorCode { expected, found } => {
                write!(f, "error code: expected {expected:04X}, found {found:04X}")
            }
            Mismatch::Register {
                number,
                expected,
                found,
            } => {
                let name = registers::GENERAL[*number];
                write!(f, "{name}: expected {expected:08X}, found {found:08X}")
            }
            Mismatch::Selector {
                number,
                expected,
                found,
            } => {
                let name = registers::SEGMENT[*number];
                write!(f, "{name}: expected {expected:04X}, found {found:04X}")
            }
            Mismatch::Descriptor { number } => {
                let name = registers::SEGMENT[*number];
                write!(f, "{name}: base, limit or rights are not its descriptor's")
            }
            Mismatch::Flags { expected, found } => write!(
                f,
                "defined flags: expected {}, found {}",
                flag_names(*expected),
                flag_names(*found)
            ),
            Mismatch::Eip { expected, found } => {
                write!(f, "eip: expected {expected:08X}, found {found:08X}")
            }
            Mismatch::Cr2 { expected, found } => {
                write!(f, "cr2: expected one of {expected:08X?}, found {found:08X}")
            }
            Mismatch::Memory {
                linear,
                expected,
                found,
            } => {
                write!(
                    f,
                    "[{linear:08X}]: expected {expected:02X}, found {found:02X}"
                )
            }
            Mismatch::Stray { linear } => write!(f, "[{linear:08X}] should not be written"),
        }
    }
}

fn flag_names(value: u32) -> String {
    let set = spec::flags::FLAGS
        .iter()
        .filter(|flag| value >> flag.bit & 1 != 0);
    let names: Vec<&str> = set.map(|flag| flag.name).collect();
    format!("{value:03X} ({})", names.join(" "))
}

/// Everything in which `observed` differs from what the silicon did, undefined results aside.
pub fn compare(case: &Case, observed: &Observed) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    let undefined = case.undefined();
    let (expected, found) = (case.outcome, observed.outcome);
    if expected != found {
        mismatches.push(Mismatch::Outcome { expected, found });
    }
    let (expected, found) = (case.error_code, observed.error_code);
    if expected != found {
        mismatches.push(Mismatch::ErrorCode { expected, found });
    }
    for number in 0..8 {
        let (expected, found) = (case.registers_after[number], observed.registers[number]);
        let ignored = if undefined.low_half_of == Some(number) {
            0xFFFF
        } else {
            0
        };
        if (expected ^ found) & !ignored != 0 {
            mismatches.push(Mismatch::Register {
                number,
                expected,
                found,
            });
        }
    }
    for number in 0..6 {
        let (expected, found) = (case.selectors_after[number], observed.selectors[number]);
        // The host's kernel returns with zero in data segment registers that hold any null selector.
        let is_null = |selector: u16| selector < 4;
        if expected != found && !(is_null(expected) && is_null(found)) {
            mismatches.push(Mismatch::Selector {
                number,
                expected,
                found,
            });
        }
    }
    let wrong = observed.wrong_descriptors.iter();
    mismatches.extend(wrong.map(|&number| Mismatch::Descriptor { number }));
    let defined = case.recorded_flags() & !undefined.flags;
    let (expected, found) = (case.eflags_after & defined, observed.eflags & defined);
    if expected != found {
        mismatches.push(Mismatch::Flags { expected, found });
    }
    let (expected, found) = (case.eip_after, observed.eip);
    if expected != found {
        mismatches.push(Mismatch::Eip { expected, found });
    }
    let after = case.window_after();
    if after != observed.window {
        let before = case.window();
        for (at, linear) in (WINDOW..WINDOW + WINDOW_BYTES as u32).enumerate() {
            let (expected, found) = (after[at], observed.window[at]);
            let ignored = undefined
                .word_at
                .is_some_and(|word| linear.wrapping_sub(word) < 2)
                || (found == before[at] && case.may_be_unwritten(linear));
            if expected != found && !ignored {
                mismatches.push(Mismatch::Memory {
                    linear,
                    expected,
                    found,
                });
            }
        }
    }
    if let Some(found) = observed.cr2.filter(|_| case.outcome == PAGE_FAULT) {
        let expected = case.absent_addresses();
        let possible = match case.cr2 {
            Some(recorded) => recorded == found || case.is_stack_access(found),
            None => expected.is_empty() || expected.contains(&found),
        };
        if case.environment.may_access(found, true) || !possible {
            let expected = case.cr2.map_or(expected, |recorded| vec![recorded]);
            mismatches.push(Mismatch::Cr2 { expected, found });
        }
    }
    mismatches.extend(
        observed
            .strays
            .iter()
            .map(|&linear| Mismatch::Stray { linear }),
    );
    mismatches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silicon::CODE;
    use crate::silicon::environment::{Environment, FLAT};

    fn case() -> Case {
        let record = Case {
            environment: Environment::plain().into(),
            // adc [eax],cx
            bytes: vec![0x66, 0x11, 0x08],
            code: iced_x86::Code::Adc_rm16_r16,
            registers: [0x1002_0010, 1, 2, 3, 0x1002_F000, 5, 6, 7],
            selectors: FLAT,
            eflags: 2,
            eip: CODE,
            seed: 1,
            memory: Vec::new(),
            outcome: Outcome::Completed,
            error_code: 0,
            cr2: None,
            registers_after: [0x1002_0010, 1, 2, 3, 0x1002_F000, 5, 6, 7],
            selectors_after: FLAT,
            eflags_after: 1,
            eip_after: CODE + 3,
            undefined_flags: iced_x86::RflagsBits::AF as u16,
            memory_after: vec![(0x10, 0x55)],
        };
        assert!(!record.instruction().is_invalid());
        record
    }

    #[test]
    fn what_the_silicon_did_does_not_differ_from_itself() {
        assert_eq!(compare(&case(), &Observed::of(&case())), []);
    }

    #[test]
    fn each_compared_field_is_noticed_when_it_alone_differs() {
        type Change = fn(&mut Observed);
        let changes: &[(&str, Change)] = &[
            ("outcome", |found| found.outcome = Outcome::Exception(13)),
            ("error code", |found| found.error_code = 4),
            ("eax", |found| found.registers[0] ^= 1),
            ("esp", |found| found.registers[4] ^= 1 << 31),
            ("edi", |found| found.registers[7] ^= 1 << 16),
            ("ds", |found| found.selectors[3] ^= 1),
            ("a descriptor", |found| found.wrong_descriptors.push(0)),
            ("carry", |found| found.eflags ^= spec::flags::CF),
            ("direction", |found| found.eflags ^= spec::flags::DF),
            ("eip", |found| found.eip += 1),
            ("a byte that changed", |found| found.window[0x10] ^= 1),
            ("a byte that did not", |found| found.window[0xFFFF] ^= 0x80),
            ("a byte outside", |found| found.strays.push(0x1003_0000)),
        ];
        for (label, change) in changes {
            let mut found = Observed::of(&case());
            change(&mut found);
            assert_eq!(compare(&case(), &found).len(), 1, "{label}");
        }
    }

    #[test]
    fn an_undefined_flag_is_not_compared() {
        let mut found = Observed::of(&case());
        found.eflags ^= spec::flags::AF;
        assert_eq!(compare(&case(), &found), []);
    }

    #[test]
    fn what_a_faulting_instruction_has_pushed_may_be_missing_but_not_differ() {
        let mut case = case();
        case.outcome = Outcome::Exception(exceptions::SS);
        let mut found = Observed::of(&case);
        found.window[0x10] = case.window()[0x10];
        assert_eq!(compare(&case, &found), []);
        found.window[0x10] ^= 1;
        assert_eq!(compare(&case, &found).len(), 1);
    }

    #[test]
    fn a_page_fault_must_name_an_absent_address_that_the_instruction_accesses() {
        let mut case = case();
        case.registers[0] = 0x0FFF_FFFF;
        case.registers_after = case.registers;
        case.outcome = PAGE_FAULT;
        for (cr2, differences) in [(0x0FFF_FFFF, 0), (0x1000_0000, 1), (0x0FFF_FFFE, 1)] {
            let found = Observed {
                cr2: Some(cr2),
                ..Observed::of(&case)
            };
            assert_eq!(compare(&case, &found).len(), differences, "{cr2:08X}");
        }
        // One that begins in the last page that is present names the first address of the next.
        case.registers[0] = 0x100F_FFFF;
        case.registers_after = case.registers;
        for (cr2, differences) in [(0x1010_0000, 0), (0x100F_FFFF, 1)] {
            let found = Observed {
                cr2: Some(cr2),
                ..Observed::of(&case)
            };
            assert_eq!(compare(&case, &found).len(), differences, "{cr2:08X}");
        }
    }
}
