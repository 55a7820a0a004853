//! C kernels on the simulated chip: instructions, clocks, and what the instructions are.
//!
//! `sim/bench/` holds the sources, the flat binaries made from them and the script that makes them. A binary begins with
//! [`HEADER_BYTES`]: the addresses of its `prepare`, `kernel` and `check`, and what `check` must return after `kernel`. All
//! three run twice: first to warm up, then `kernel` between two marks.

use super::guest::{self, Marks};
use super::stalls::{REASONS, Stalls};
use super::{BenchError, Observer};
use crate::Retired;
use crate::diagram::watch;
use crate::machine::{Machine, MemoryKind};
use iced_x86::code_asm::*;
use iced_x86::{Decoder, DecoderOptions, FlowControl, IcedError};
use std::collections::HashMap;

/// Where binaries are linked to lie.
const BASE: u32 = 0x10_0000;
/// Addresses of `prepare`, `kernel` and `check`, and the expected result.
pub const HEADER_BYTES: usize = 16;
/// The code that calls them.
const STUB: u32 = 0x1_0000;

/// No program takes longer than so many clocks, warm-up included.
pub const MAX_CYCLES: u64 = 50_000_000;

/// A flat binary.
#[derive(Debug, Clone)]
pub struct Program {
    /// Name of its source.
    pub name: &'static str,
    /// Header, code and data.
    pub binary: Vec<u8>,
}

macro_rules! program {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../bench/", $name, ".bin")),
        )
    };
}

const BINARIES: &[(&str, &[u8])] = &[
    program!("sort"),
    program!("crc"),
    program!("strings"),
    program!("list"),
    program!("matrix"),
    program!("sieve"),
    program!("machine"),
    program!("recursion"),
    program!("mix"),
];

/// What compiled and linked the binaries, a line each.
pub const COMPILER: &str = include_str!("../../bench/compiler.txt");

/// All programs.
pub fn all() -> Vec<Program> {
    BINARIES
        .iter()
        .map(|(name, binary)| Program {
            name,
            binary: binary.to_vec(),
        })
        .collect()
}

impl Program {
    /// What the program must compute.
    ///
    /// # Panics
    /// If the binary is shorter than its header.
    pub fn expected(&self) -> u32 {
        u32::from_le_bytes(self.binary[12..HEADER_BYTES].try_into().unwrap())
    }
}

/// What a program's measured pass was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Name of its source.
    pub name: &'static str,
    /// Instructions; a REP instruction counts as one.
    pub instructions: u64,
    /// Clock cycles.
    pub cycles: u64,
    /// Jumps, calls, returns, taken or not.
    pub branches: u64,
    /// Instructions that load or store, once each; PUSH, POP, CALL and RET are among them.
    pub loads_and_stores: u64,
    /// Clocks in which nothing retires, by the reasons of [`super::stalls::name`].
    pub stalls: [u64; REASONS],
}

impl Counted {
    /// Clocks per instruction.
    pub fn cpi(&self) -> f64 {
        self.cycles as f64 / self.instructions as f64
    }

    /// Share of the instructions that are branches, 0 to 1.
    pub fn branch_share(&self) -> f64 {
        self.branches as f64 / self.instructions as f64
    }

    /// Share of the instructions that load or store, 0 to 1.
    pub fn load_share(&self) -> f64 {
        self.loads_and_stores as f64 / self.instructions as f64
    }
}

/// The geometric mean of clocks per instruction.
pub fn geometric_mean_of_cpi(programs: &[Counted]) -> f64 {
    let logarithms: f64 = programs.iter().map(|program| program.cpi().ln()).sum();
    (logarithms / programs.len() as f64).exp()
}

const FIRST_RESULT: u32 = 0x4000_0000;
const BEGIN: u32 = 0x4000_0001;
const END: u32 = 0x4000_0002;
const RESULT: u32 = 0x4000_0003;

/// Calls what the header's word `word` points to.
fn call(a: &mut CodeAssembler, word: u32) -> Result<(), IcedError> {
    a.call(dword_ptr(BASE + word * 4))
}

fn stub() -> Result<Vec<u8>, IcedError> {
    const PREPARE: u32 = 0;
    const KERNEL: u32 = 1;
    const CHECK: u32 = 2;
    let mut a = CodeAssembler::new(32)?;
    let asm = &mut a;
    guest::begin(asm)?;
    for (begin, end, result) in [
        // The first pass has no marks around its kernel.
        (None, None, FIRST_RESULT),
        (Some(BEGIN), Some(END), RESULT),
    ] {
        call(asm, PREPARE)?;
        begin.map_or(Ok(()), |value| guest::mark(asm, value))?;
        call(asm, KERNEL)?;
        end.map_or(Ok(()), |value| guest::mark(asm, value))?;
        call(asm, CHECK)?;
        asm.mov(ebx, eax)?;
        guest::mark(asm, result)?;
        asm.mov(eax, ebx)?;
        guest::mark_eax(asm)?;
    }
    guest::exit(asm)?;
    a.assemble(STUB.into())
}

/// A machine that will run the program from reset to the exit port.
///
/// # Errors
/// A machine that cannot be built.
pub fn machine(program: &Program, memory: MemoryKind) -> Result<Machine, BenchError> {
    let stub = stub().map_err(|error| BenchError::Assembly(program.name, error))?;
    guest::machine(STUB, &[(STUB, &stub), (BASE, &program.binary)], memory)
}

/// Counts instructions from their retire records.
#[derive(Default)]
struct Counter {
    instructions: Vec<Instruction>,
    is_branch: HashMap<u32, bool>,
}

/// One retired instruction, as far as it is counted.
struct Instruction {
    number: u64,
    /// Clock cycle of its last retirement.
    cycle: u64,
    eip: u32,
    is_branch: bool,
    is_load_or_store: bool,
}

impl Counter {
    fn push(&mut self, record: &Retired) {
        let accesses_memory = (record.load || record.store) && !record.access_io;
        match self.instructions.last_mut() {
            Some(last) if last.number == record.number => {
                last.cycle = record.cycle;
                last.is_load_or_store |= accesses_memory;
            }
            _ => {
                let is_branch = *self.is_branch.entry(record.eip).or_insert_with(|| {
                    let bytes = &record.bytes[..usize::from(record.length)];
                    let instruction = Decoder::new(32, bytes, DecoderOptions::NONE).decode();
                    instruction.flow_control() != FlowControl::Next
                });
                self.instructions.push(Instruction {
                    number: record.number,
                    cycle: record.cycle,
                    eip: record.eip,
                    is_branch,
                    is_load_or_store: accesses_memory,
                });
            }
        }
    }
}

fn run(
    program: &Program,
    memory: MemoryKind,
    observer: &mut dyn Observer,
) -> Result<Counted, BenchError> {
    let name = program.name;
    let mut machine = machine(program, memory)?;
    machine.keep(true, true);
    let mut counter = Counter::default();
    guest::run(&mut machine, name, MAX_CYCLES, observer, |machine| {
        for record in machine.drain_retired() {
            counter.push(&record);
        }
    })?;
    let marks = Marks(machine.drain_ports());
    for (pass, value) in [("first pass", FIRST_RESULT), ("measured pass", RESULT)] {
        let (expected, found) = (program.expected(), marks.behind(name, value)?);
        if found != expected {
            return Err(BenchError::WrongResult {
                name,
                pass,
                expected,
                found,
            });
        }
    }
    let (begin, end) = (marks.cycle(name, BEGIN)?, marks.cycle(name, END)?);
    let mut counted = Counted {
        name,
        cycles: end - begin,
        ..Default::default()
    };
    for instruction in &counter.instructions {
        // The stub's own instructions between the marks cost some clocks and are none of the program's.
        if instruction.eip >= BASE && instruction.cycle > begin && instruction.cycle <= end {
            counted.instructions += 1;
            counted.branches += u64::from(instruction.is_branch);
            counted.loads_and_stores += u64::from(instruction.is_load_or_store);
        }
    }
    // Once more, clock by clock; bubbles that are under way at the mark began before it.
    const LEAD: u64 = 100;
    let mut stalls = Stalls::default();
    let mut machine = self::machine(program, memory)?;
    watch(&mut machine, begin.saturating_sub(LEAD), end, |seen| {
        let counts = seen.cycle > begin && seen.cycle <= end;
        stalls.push(seen, counts);
    });
    counted.stalls = stalls.clocks;
    Ok(counted)
}

/// Runs programs on a machine with this memory and counts; [`all`] are all.
///
/// # Errors
/// A program that does not run to its end, or computes a wrong result in one of its passes.
pub fn measure(
    programs: &[Program],
    memory: MemoryKind,
    observer: &mut dyn Observer,
) -> Result<Vec<Counted>, BenchError> {
    programs
        .iter()
        .enumerate()
        .map(|(index, program)| {
            observer.next(program.name, index, programs.len());
            run(program, memory, observer)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Silent;
    use std::collections::HashSet;

    fn named(name: &str) -> Program {
        all()
            .into_iter()
            .find(|program| program.name == name)
            .expect(name)
    }

    /// A program whose kernel is this, and whose `check` returns what is in ESI.
    fn assembled(
        expected: u32,
        kernel: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Program {
        let prepare = BASE + HEADER_BYTES as u32;
        let (check, kernel_at) = (prepare + 1, prepare + 4);
        let mut a = CodeAssembler::new(32).unwrap();
        a.ret().unwrap();
        a.mov(eax, esi).unwrap();
        a.ret().unwrap();
        kernel(&mut a).unwrap();
        a.ret().unwrap();
        let mut binary: Vec<u8> = [prepare, kernel_at, check, expected]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        binary.extend(a.assemble(prepare.into()).unwrap());
        Program {
            name: "assembled",
            binary,
        }
    }

    #[test]
    fn instructions_are_counted_one_by_one_and_rep_is_one_of_them() {
        let program = assembled(0x2_0000 + 400, |a| {
            a.cld()?;
            a.mov(edi, 0x2_0000)?;
            a.mov(ecx, 100)?;
            a.rep().stosd()?; // stores
            a.mov(esi, edi)?;
            a.mov(ecx, 10)?;
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            a.add(dword_ptr(edi), 1)?; // loads and stores: ten times
            a.dec(ecx)?;
            a.jne(again)?; // a branch: ten times
            a.push(ecx)?; // stores
            a.pop(edx) // loads; RET loads and branches
        });
        let [counted] = measure(&[program], MemoryKind::Bram, &mut Silent).unwrap()[..] else {
            panic!("one program gives one count");
        };
        assert_eq!(counted.instructions, 6 + 3 * 10 + 3);
        assert_eq!(counted.branches, 10 + 1);
        assert_eq!(counted.loads_and_stores, 1 + 10 + 2 + 1);
        // A store takes a clock at least where four bytes are stored at a time, and half of one with eight.
        assert!(counted.cycles >= 50 + 39, "{counted:?}");
        let cpi = counted.cycles as f64 / 39.0;
        assert_eq!(counted.cpi(), cpi);
    }

    #[test]
    fn additions_that_wait_for_each_other_make_a_clock_each() {
        let clocks = [100, 300].map(|additions| {
            let program = assembled(0, |a| {
                a.xor(esi, esi)?;
                (0..additions).try_for_each(|_| a.add(eax, eax))
            });
            measure(&[program], MemoryKind::Bram, &mut Silent).unwrap()[0].cycles
        });
        let difference = clocks[1] - clocks[0];
        assert!((200..=204).contains(&difference), "{difference}");
    }

    #[test]
    fn a_program_that_computes_something_else_than_it_must_fails() {
        let mut program = named("crc");
        let right = program.expected();
        program.binary[12] ^= 1;
        match measure(&[program], MemoryKind::Bram, &mut Silent) {
            Err(BenchError::WrongResult {
                name: "crc",
                expected,
                found,
                ..
            }) => assert_eq!((expected, found), (right ^ 1, right)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_whose_second_pass_alone_goes_wrong_fails() {
        // ESI counts the passes: memory at 20000h is zero at first.
        let program = assembled(1, |a| {
            a.inc(dword_ptr(0x2_0000))?;
            a.mov(esi, dword_ptr(0x2_0000))
        });
        assert!(matches!(
            measure(&[program], MemoryKind::Bram, &mut Silent),
            Err(BenchError::WrongResult {
                pass: "measured pass",
                expected: 1,
                found: 2,
                ..
            })
        ));
    }

    #[test]
    fn a_program_that_hangs_in_hlt_fails() {
        let program = assembled(0, |a| a.hlt());
        assert!(matches!(
            measure(&[program], MemoryKind::Bram, &mut Silent),
            Err(BenchError::End { .. })
        ));
    }

    #[test]
    fn the_binaries_expect_what_their_sources_say() {
        for program in all() {
            let path = format!("{}/bench/{}.c", env!("CARGO_MANIFEST_DIR"), program.name);
            let source = std::fs::read_to_string(&path).expect(&path);
            let line = format!("\nEXPECTED(0x{:08x})\n", program.expected());
            assert!(
                source.contains(&line),
                "{path} has no {}; run sim/bench/build.sh",
                line.trim()
            );
        }
    }

    #[test]
    fn the_list_is_larger_than_two_caches_of_8_kb() {
        let program = named("list");
        let mut machine = machine(&program, MemoryKind::Bram).unwrap();
        machine.keep(true, false);
        let mut touched = HashSet::new();
        guest::run(&mut machine, "list", MAX_CYCLES, &mut Silent, |machine| {
            for record in machine.drain_retired() {
                if record.load && !record.access_io {
                    touched.insert(record.load_physical / 16);
                }
            }
        })
        .unwrap();
        assert!(
            touched.len() * 16 > 16 << 10,
            "{} bytes",
            touched.len() * 16
        );
    }
}
