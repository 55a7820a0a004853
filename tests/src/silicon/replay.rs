//! Runs cases on a machine: sets the state through the debug port, steps once, and looks at the end.

use super::compare::{Mismatch, Observed, compare};
use super::{CODE, Case, Outcome, USER, WINDOW, WINDOW_BYTES, encoding_name};
use spec::{control_registers, exceptions, flags, paging, registers, segments};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

/// What a replay needs of a machine; the processor is halted by its debug port all the time.
pub trait Processor {
    /// Register numbers are those of `spec::registers`.
    fn read_register(&mut self, number: u8) -> u32;
    /// Register numbers are those of `spec::registers`.
    fn write_register(&mut self, number: u8, value: u32);
    /// Physical memory; only addresses below [`RAM_BYTES`] are asked for.
    fn read_memory(&mut self, physical: u32, bytes: usize) -> Vec<u8>;
    /// As `read_memory`.
    fn write_memory(&mut self, physical: u32, bytes: &[u8]);
    /// Drops translations and fetched bytes.
    fn invalidate(&mut self);
    /// Completes one instruction, or delivers its exception.
    ///
    /// # Errors
    /// What happened instead, in words. The machine is halted and usable again, its registers are unknown.
    fn step(&mut self) -> Result<Step, String>;
}

/// What one step did, as the retire port told it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// The exception that was delivered.
    pub exception: Option<Delivered>,
    /// Linear address and length of every store.
    pub stores: Vec<(u32, u32)>,
}

/// An exception on the retire port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// 0..31.
    pub vector: u8,
    /// If one was pushed.
    pub error_code: Option<u16>,
    /// CR2 at that time.
    pub cr2: u32,
}

/// RAM that the machine must have.
pub const RAM_BYTES: u32 = 2 << 20;

// Physical addresses of what the environment is made of, each at most a page.
const DIRECTORY: u32 = 0x1000;
const USER_TABLE: u32 = 0x2000;
const SYSTEM_TABLE: u32 = 0x3000;
const GDT: u32 = 0x4000;
const IDT: u32 = 0x5000;
const TSS: u32 = 0x6000;
const RING_0_STACK: u32 = 0x7000;
const HANDLER: u32 = 0x8000;
/// Where [`USER`] is.
const USER_PHYSICAL: u32 = 0x10_0000;

/// Linear address of the physical pages from 0 that ring 0 needs: one that no case comes near.
const SYSTEM: u32 = 0xE0A5_0000;
/// Top of the stack that exceptions switch to.
const RING_0_ESP: u32 = SYSTEM + RING_0_STACK + paging::PAGE_BYTES;

const RING_0_CODE: u16 = 0x08;
const RING_0_DATA: u16 = 0x10;
const RING_3_CODE: u16 = 0x18 | 3;
const RING_3_DATA: u16 = 0x20 | 3;
const TSS_SELECTOR: u16 = 0x28;

const FLAT: u16 = segments::FLAG_GRANULARITY | segments::FLAG_BIG;
const GDT_ENTRIES: [u64; 6] = [
    0,
    segments::descriptor(0, 0xF_FFFF, 0x9B, FLAT),
    segments::descriptor(0, 0xF_FFFF, 0x93, FLAT),
    segments::descriptor(0, 0xF_FFFF, RING_3_CODE_ACCESS, FLAT),
    segments::descriptor(0, 0xF_FFFF, RING_3_DATA_ACCESS, FLAT),
    segments::descriptor(SYSTEM + TSS, segments::TSS_MINIMUM_LIMIT, TSS_ACCESS, 0),
];
const RING_3_CODE_ACCESS: u8 = 0xFB;
const RING_3_DATA_ACCESS: u8 = 0xF3;
const TSS_ACCESS: u8 = segments::ACCESS_PRESENT | segments::TSS_32_BUSY;

/// One case that did not end as on the silicon.
#[derive(Debug)]
pub struct Failure {
    /// Number of the case in its file, from 0.
    pub number: usize,
    /// Its encoding, bytes and disassembly.
    pub title: String,
    /// Each in one line.
    pub differences: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case {} {}", self.number, self.title)?;
        self.differences
            .iter()
            .try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// The result of a replay.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that ended as on the silicon.
    pub passed: usize,
    /// The others.
    pub failed: Vec<Failure>,
    /// Encodings that are not built, with their number of cases: each case has raised #UD, or is in `failed`.
    pub missing: BTreeMap<String, usize>,
}

impl Report {
    /// Prints the failures, what is missing, a line for each encoding with failures, and the sum.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for failure in &self.failed {
            write!(out, "{failure}")?;
        }
        let mut by_encoding: BTreeMap<&str, usize> = BTreeMap::new();
        for failure in &self.failed {
            let encoding = failure.title.split(' ').next().unwrap_or_default();
            *by_encoding.entry(encoding).or_default() += 1;
        }
        for (encoding, count) in by_encoding {
            writeln!(out, "{encoding}: {count} failed")?;
        }
        for (encoding, count) in &self.missing {
            writeln!(out, "{encoding}: not built, {count} cases raise #UD")?;
        }
        writeln!(out, "{} passed, {} failed", self.passed, self.failed.len())
    }
}

/// Replays numbered cases.
///
/// `is_built` tells whether the processor has an instruction; one that it has not must raise #UD, and is
/// listed as missing.
///
/// # Errors
/// The bytes of a case, if the opcode map does not know them.
pub fn replay<'a>(
    processor: &mut dyn Processor,
    cases: impl IntoIterator<Item = (usize, &'a Case)>,
    is_built: impl Fn(&spec::opcodes::Opcode) -> bool,
) -> Result<Report, String> {
    let mut report = Report::default();
    set_up(processor);
    for (number, case) in cases {
        let built = is_built(case.opcode()?);
        let result = run(processor, case);
        let differences: Vec<String> = match (result, built) {
            (Err(problem), _) => vec![problem],
            (Ok(observed), true) => compare(case, &observed)
                .iter()
                .map(Mismatch::to_string)
                .collect(),
            (Ok(observed), false) => {
                *report.missing.entry(encoding_name(case.code)).or_default() += 1;
                compare(&refused(case), &observed)
                    .iter()
                    .map(Mismatch::to_string)
                    .collect()
            }
        };
        if differences.is_empty() {
            report.passed += usize::from(built);
        } else {
            report.failed.push(Failure {
                number,
                title: title(case),
                differences,
            });
        }
    }
    report.failed.extend(stray_bytes(processor));
    Ok(report)
}

fn title(case: &Case) -> String {
    let bytes: Vec<String> = case
        .bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    format!(
        "{} [{}] {}",
        encoding_name(case.code),
        bytes.join(" "),
        case.instruction()
    )
}

/// What a processor without the instruction does.
fn refused(case: &Case) -> Case {
    Case {
        outcome: Outcome::Exception(exceptions::UD),
        error_code: 0,
        registers_after: case.registers,
        eflags_after: case.eflags,
        eip_advance: 0,
        undefined_flags: 0,
        memory_after: Vec::new(),
        ..case.clone()
    }
}

/// Writes what all cases share: pages, descriptors, the handler; and zeros.
fn set_up(processor: &mut dyn Processor) {
    let zeros = vec![0; paging::PAGE_BYTES as usize];
    for pages in [DIRECTORY..HANDLER + 1, USER_PHYSICAL..RAM_BYTES] {
        for page in pages.step_by(zeros.len()) {
            processor.write_memory(page, &zeros);
        }
    }
    let used = paging::PRESENT | paging::WRITABLE | paging::ACCESSED | paging::DIRTY;
    let mut entry = |table: u32, index: u32, value: u32| {
        processor.write_memory(table + 4 * index, &value.to_le_bytes());
    };
    entry(
        DIRECTORY,
        paging::directory_index(USER.start),
        USER_TABLE | used | paging::USER,
    );
    entry(
        DIRECTORY,
        paging::directory_index(SYSTEM),
        SYSTEM_TABLE | used,
    );
    for linear in USER.step_by(paging::PAGE_BYTES as usize) {
        let physical = linear - USER.start + USER_PHYSICAL;
        entry(
            USER_TABLE,
            paging::table_index(linear),
            physical | used | paging::USER,
        );
    }
    for physical in [GDT, IDT, TSS, RING_0_STACK, HANDLER] {
        entry(
            SYSTEM_TABLE,
            paging::table_index(SYSTEM + physical),
            physical | used,
        );
    }
    processor.write_memory(GDT, &GDT_ENTRIES.map(u64::to_le_bytes).concat());
    let access = segments::ACCESS_PRESENT | segments::INTERRUPT_GATE_32;
    let gate = segments::gate(RING_0_CODE, SYSTEM + HANDLER, access, 0);
    processor.write_memory(IDT, &[gate; 32].map(u64::to_le_bytes).concat());
    processor.write_memory(TSS + segments::TSS_ESP0, &RING_0_ESP.to_le_bytes());
    processor.write_memory(
        TSS + segments::TSS_SS0,
        &u32::from(RING_0_DATA).to_le_bytes(),
    );
    let no_io_map = segments::TSS_MINIMUM_LIMIT as u16 + 1;
    processor.write_memory(TSS + segments::TSS_IO_MAP_BASE, &no_io_map.to_le_bytes());
    processor.write_memory(HANDLER, &[0xF4; 16]);
}

/// Sets the registers that all cases share.
fn set_environment(processor: &mut dyn Processor) {
    let mut segment = |number: u8, selector: u16, base: u32, limit: u32, access: u32| {
        processor.write_register(registers::SELECTOR + number, selector.into());
        processor.write_register(registers::BASE + number, base);
        processor.write_register(registers::LIMIT + number, limit);
        processor.write_register(registers::ACCESS + number, access);
    };
    let flat = u32::from(FLAT);
    for data in [registers::ES, registers::SS, registers::DS] {
        segment(
            data,
            RING_3_DATA,
            0,
            u32::MAX,
            flat | u32::from(RING_3_DATA_ACCESS),
        );
    }
    for null in [registers::FS, registers::GS, registers::LDTR] {
        segment(null, 0, 0, 0, 0);
    }
    let tss_limit = segments::TSS_MINIMUM_LIMIT;
    segment(
        registers::TR,
        TSS_SELECTOR,
        SYSTEM + TSS,
        tss_limit,
        TSS_ACCESS.into(),
    );
    segment(
        registers::CS,
        RING_3_CODE,
        0,
        u32::MAX,
        flat | u32::from(RING_3_CODE_ACCESS),
    );
    let mut table = |number: u8, base: u32, bytes: usize| {
        processor.write_register(registers::BASE + number, base);
        processor.write_register(registers::LIMIT + number, bytes as u32 - 1);
    };
    table(registers::GDTR, SYSTEM + GDT, size_of_val(&GDT_ENTRIES));
    table(registers::IDTR, SYSTEM + IDT, 32 * 8);
    use control_registers::{CR0_ET, CR0_NE, CR0_PE, CR0_PG, CR0_WP};
    processor.write_register(registers::CR3, DIRECTORY);
    processor.write_register(registers::CR4, 0);
    processor.write_register(registers::CR0, CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_ET);
    processor.write_register(registers::CPL, 3);
}

fn to_physical(linear: u32) -> u32 {
    linear - USER.start + USER_PHYSICAL
}

fn window_addresses() -> Range<u32> {
    WINDOW..WINDOW + WINDOW_BYTES as u32
}

/// Runs one case and leaves memory outside code and window as it was.
///
/// # Errors
/// What the processor did that no instruction does, in words.
fn run(processor: &mut dyn Processor, case: &Case) -> Result<Observed, String> {
    processor.write_memory(to_physical(WINDOW), &case.window());
    processor.write_memory(to_physical(CODE), &case.code_bytes());
    set_environment(processor);
    for (number, value) in (0..).zip(case.registers) {
        processor.write_register(number, value);
    }
    processor.write_register(
        registers::EFLAGS,
        u32::from(case.eflags) | flags::ALWAYS_ONE,
    );
    processor.write_register(registers::CR2, 0);
    processor.write_register(registers::EIP, CODE);
    processor.invalidate();
    let step = processor.step()?;

    let mut registers = [0; 8];
    for (number, register) in (0..).zip(&mut registers) {
        *register = processor.read_register(number);
    }
    let mut observed = Observed {
        outcome: Outcome::Completed,
        error_code: 0,
        registers,
        eflags: processor.read_register(registers::EFLAGS),
        eip: processor.read_register(registers::EIP),
        cr2: None,
        window: processor.read_memory(to_physical(WINDOW), WINDOW_BYTES),
        strays: take_back_strays(processor, &step),
    };
    if let Some(exception) = step.exception {
        observed.outcome = Outcome::Exception(exception.vector);
        observed.error_code = exception.error_code.unwrap_or(0);
        observed.cr2 = (exception.vector == exceptions::PF).then_some(exception.cr2);
        read_frame(processor, &exception, &mut observed)?;
    }
    Ok(observed)
}

/// Puts what the handler will find on its stack into the place of what the handler runs with.
fn read_frame(
    processor: &mut dyn Processor,
    exception: &Delivered,
    observed: &mut Observed,
) -> Result<(), String> {
    let pushed_error = usize::from(exception.error_code.is_some());
    let expected_esp = RING_0_ESP - 4 * (5 + pushed_error as u32);
    let (eip, esp) = (observed.eip, observed.registers[4]);
    if (eip, esp) != (SYSTEM + HANDLER, expected_esp) {
        return Err(format!(
            "vector {} was delivered to EIP {eip:08X}, ESP {esp:08X} instead of {:08X}, {expected_esp:08X}",
            exception.vector,
            SYSTEM + HANDLER,
        ));
    }
    let bytes = processor.read_memory(esp - SYSTEM, 24);
    let word = |at: usize| {
        let at = 4 * at;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    if let Some(error_code) = exception.error_code
        && word(0) != u32::from(error_code)
    {
        return Err(format!(
            "error code {error_code:04X} was pushed as {:08X}",
            word(0)
        ));
    }
    let [eip, cs, eflags, esp, ss] = [0, 1, 2, 3, 4].map(|at| word(pushed_error + at));
    if (cs as u16, ss as u16) != (RING_3_CODE, RING_3_DATA) {
        return Err(format!("CS and SS were saved as {cs:08X} and {ss:08X}"));
    }
    observed.eip = eip;
    observed.eflags = eflags;
    observed.registers[4] = esp;
    if exception.vector == exceptions::PF {
        let cr2 = processor.read_register(registers::CR2);
        if cr2 != exception.cr2 {
            return Err(format!(
                "CR2 is {cr2:08X}, but retired as {:08X}",
                exception.cr2
            ));
        }
    }
    Ok(())
}

/// Clears what was stored in user pages outside the window, and tells where that was.
fn take_back_strays(processor: &mut dyn Processor, step: &Step) -> Vec<u32> {
    let mut strays = Vec::new();
    for linear in step
        .stores
        .iter()
        .flat_map(|&(first, bytes)| (0..bytes).map(move |i| first.wrapping_add(i)))
    {
        if USER.contains(&linear) && !window_addresses().contains(&linear) {
            processor.write_memory(to_physical(linear), &[0]);
            strays.push(linear);
        }
    }
    strays
}

/// Bytes outside code and window that were written without a store on the retire port.
fn stray_bytes(processor: &mut dyn Processor) -> Option<Failure> {
    let differences: Vec<String> = USER
        .step_by(paging::PAGE_BYTES as usize)
        .filter(|page| !window_addresses().contains(page) && *page != CODE)
        .filter(|page| {
            let bytes = processor.read_memory(to_physical(*page), paging::PAGE_BYTES as usize);
            bytes.iter().any(|&byte| byte != 0)
        })
        .map(|page| format!("the page at {page:08X} was written by a store that never retired"))
        .collect();
    let title = "of all".to_string();
    (!differences.is_empty()).then_some(Failure {
        number: 0,
        title,
        differences,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silicon::{RECORDED_FLAGS, read_file};
    use std::path::Path;

    /// A processor that does whatever its script says the silicon did, through pages, gates and stack.
    struct Script<'a> {
        cases: std::slice::Iter<'a, Case>,
        registers: [u32; 256],
        ram: Vec<u8>,
    }

    impl<'a> Script<'a> {
        fn new(cases: &'a [Case]) -> Self {
            Script {
                cases: cases.iter(),
                registers: [0; 256],
                ram: vec![0; RAM_BYTES as usize],
            }
        }

        fn word(&self, physical: u32) -> u32 {
            let at = physical as usize;
            u32::from_le_bytes(self.ram[at..at + 4].try_into().expect("four bytes"))
        }

        fn set_word(&mut self, physical: u32, value: u32) {
            self.ram[physical as usize..][..4].copy_from_slice(&value.to_le_bytes());
        }

        fn translate(&self, linear: u32, user: bool) -> u32 {
            let needed = paging::PRESENT | if user { paging::USER } else { 0 };
            let mut frame = self.registers[usize::from(registers::CR3)];
            for index in [paging::directory_index(linear), paging::table_index(linear)] {
                let entry = self.word(frame + 4 * index);
                assert_eq!(entry & needed, needed, "{linear:08X}");
                frame = entry & paging::FRAME;
            }
            frame | (linear % paging::PAGE_BYTES)
        }

        fn deliver(&mut self, vector: u8, error_code: Option<u16>) {
            let read = |number: u8, script: &Self| script.registers[usize::from(number)];
            let gate = read(registers::BASE + registers::IDTR, self) + 8 * u32::from(vector);
            let gate = self.translate(gate, false);
            let (low, high) = (self.word(gate), self.word(gate + 4));
            let tss = self.translate(read(registers::BASE + registers::TR, self), false);
            let mut esp = self.word(tss + segments::TSS_ESP0);
            let frame = [
                read(registers::SELECTOR + registers::SS, self),
                self.registers[4],
                read(registers::EFLAGS, self),
                read(registers::SELECTOR + registers::CS, self),
                read(registers::EIP, self),
            ];
            for value in frame.into_iter().chain(error_code.map(u32::from)) {
                esp -= 4;
                self.set_word(self.translate(esp, false), value);
            }
            self.registers[4] = esp;
            self.write_register(registers::EIP, high & 0xFFFF_0000 | low & 0xFFFF);
        }
    }

    impl Processor for Script<'_> {
        fn read_register(&mut self, number: u8) -> u32 {
            self.registers[usize::from(number)]
        }

        fn write_register(&mut self, number: u8, value: u32) {
            self.registers[usize::from(number)] = value;
        }

        fn read_memory(&mut self, physical: u32, bytes: usize) -> Vec<u8> {
            self.ram[physical as usize..][..bytes].to_vec()
        }

        fn write_memory(&mut self, physical: u32, bytes: &[u8]) {
            self.ram[physical as usize..][..bytes.len()].copy_from_slice(bytes);
        }

        fn invalidate(&mut self) {}

        fn step(&mut self) -> Result<Step, String> {
            let case = self.cases.next().expect("a case for every step");
            let code = self.translate(self.registers[usize::from(registers::EIP)], true) as usize;
            assert_eq!(self.ram[code..code + case.bytes.len()], case.bytes);
            self.registers[..8].copy_from_slice(&case.registers_after);
            self.registers[usize::from(registers::EIP)] += u32::from(case.eip_advance);
            self.registers[usize::from(registers::EFLAGS)] = case.eflags_after.into();
            let mut step = Step::default();
            for (offset, value) in &case.memory_after {
                let linear = WINDOW + u32::from(*offset);
                let physical = self.translate(linear, true);
                self.ram[physical as usize] = *value;
                step.stores.push((linear, 1));
            }
            if let Outcome::Exception(vector) = case.outcome {
                let has_code = exceptions::by_vector(vector).is_some_and(|row| row.has_error_code);
                let error_code = has_code.then_some(case.error_code);
                let cr2 = case.absent_addresses().first().copied().unwrap_or(0);
                self.registers[usize::from(registers::CR2)] = cr2;
                self.deliver(vector, error_code);
                step.exception = Some(Delivered {
                    vector,
                    error_code,
                    cr2,
                });
            }
            Ok(step)
        }
    }

    fn vectors() -> Vec<Case> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/silicon.bin.xz");
        read_file(&path).expect("the recorded vectors")
    }

    fn replay_all(script: &[Case], cases: &[Case]) -> Report {
        replay(&mut Script::new(script), cases.iter().enumerate(), |_| true).expect("known opcodes")
    }

    #[test]
    fn the_vector_file_has_20_cases_of_each_of_410_encodings() {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for case in vectors() {
            *counts.entry(encoding_name(case.code)).or_default() += 1;
            assert_eq!(
                case.instruction().len(),
                case.bytes.len(),
                "{}",
                title(&case)
            );
            case.opcode().expect("a row");
            let needs_address = case.outcome == Outcome::Exception(exceptions::PF)
                && case.instruction().mnemonic() != iced_x86::Mnemonic::Enter;
            assert!(
                !needs_address || !case.absent_addresses().is_empty(),
                "{}",
                title(&case)
            );
        }
        assert_eq!(counts.len(), 410);
        assert!(counts.values().all(|&count| count == 20), "{counts:?}");
    }

    #[test]
    fn a_processor_that_does_what_the_silicon_did_passes_every_case() {
        let cases = vectors();
        let report = replay_all(&cases, &cases);
        assert_eq!(report.passed, cases.len(), "{}", report.failed[0]);
        assert!(report.failed.is_empty());
    }

    #[test]
    fn any_compared_field_flipped_in_the_vector_file_fails_the_case() {
        // One case of each encoding: the first, and with it every way to end.
        let cases: Vec<Case> = vectors().into_iter().step_by(20).collect();
        let mut flipped = Vec::new();
        let mut script = Vec::new();
        for case in &cases {
            for other in flips(case) {
                let bytes = other.to_record();
                flipped.extend(crate::silicon::read(&bytes).expect("still a record"));
                script.push(case.clone());
            }
        }
        let report = replay_all(&script, &flipped);
        let passed: Vec<&Case> = (0..flipped.len())
            .filter(|number| {
                report
                    .failed
                    .iter()
                    .all(|failure| failure.number != *number)
            })
            .map(|number| &flipped[number])
            .collect();
        assert!(passed.is_empty(), "{:#?}", passed[0]);
        assert!(flipped.len() > 10 * cases.len());
    }

    /// The case with each compared field wrong in turn.
    fn flips(case: &Case) -> Vec<Case> {
        let undefined = case.undefined();
        let mut flips = Vec::new();
        let mut flip = |change: &dyn Fn(&mut Case)| {
            let mut other = case.clone();
            change(&mut other);
            flips.push(other);
        };
        for number in 0..8 {
            flip(&|other| other.registers_after[number] ^= 0x8000_0000);
            if undefined.low_half_of != Some(number) {
                flip(&|other| other.registers_after[number] ^= 1);
            }
        }
        for bit in (0..16).filter(|bit| RECORDED_FLAGS & !undefined.flags & 1 << bit != 0) {
            flip(&|other| other.eflags_after ^= 1 << bit);
        }
        flip(&|other| other.eip_advance ^= 1);
        flip(&|other| other.error_code ^= 2);
        flip(&|other| {
            other.outcome = match case.outcome {
                Outcome::Completed => Outcome::Exception(exceptions::GP),
                Outcome::Exception(_) => Outcome::Completed,
            };
        });
        if undefined.word_at.is_none() {
            for changed in 0..case.memory_after.len() {
                flip(&|other| other.memory_after[changed].1 ^= 0x10);
            }
        }
        // A byte that the silicon left alone.
        let mut alone = (0..=u16::MAX).rev();
        let offset = alone.find(|offset| case.memory_after.iter().all(|byte| byte.0 != *offset));
        let offset = offset.expect("few bytes change");
        let value = case.window()[usize::from(offset)];
        flip(&|other| other.memory_after.push((offset, !value)));
        flips
    }

    #[test]
    fn an_instruction_that_is_not_built_is_listed_and_must_raise_ud() {
        let cases: Vec<Case> = vectors().into_iter().step_by(20).take(3).collect();
        let refusals: Vec<Case> = cases.iter().map(refused).collect();
        let mut script = Script::new(&refusals);
        let report = replay(&mut script, cases.iter().enumerate(), |_| false).expect("known");
        assert_eq!(
            (report.passed, report.failed.len(), report.missing.len()),
            (0, 0, 3)
        );
        let mut script = Script::new(&cases);
        let report = replay(&mut script, cases.iter().enumerate(), |_| false).expect("known");
        assert_eq!(report.failed.len(), 3);
    }

    #[test]
    fn a_store_outside_the_window_is_found_even_if_it_never_retired() {
        let cases: Vec<Case> = vectors().into_iter().take(1).collect();
        let mut script = Script::new(&cases);
        set_up(&mut script);
        assert!(stray_bytes(&mut script).is_none());
        script.ram[to_physical(USER.end - 1) as usize] = 1;
        assert!(
            stray_bytes(&mut script)
                .is_some_and(|failure| failure.to_string().contains("100FF000"))
        );
    }

    #[test]
    fn the_report_ends_with_the_sum() {
        let cases: Vec<Case> = vectors().into_iter().take(2).collect();
        let mut wrong = cases.clone();
        wrong[1].registers_after[3] ^= 1;
        let mut text = Vec::new();
        replay_all(&wrong, &cases)
            .print(&mut text)
            .expect("memory never fails");
        let text = String::from_utf8(text).expect("text");
        assert!(text.ends_with("1 passed, 1 failed\n"), "{text}");
        assert!(
            text.contains(&title(&cases[1])) && text.contains("ebx: expected"),
            "{text}"
        );
    }
}
