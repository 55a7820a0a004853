//! Runs cases on a machine: sets the state through the debug port, steps once, and looks at the end.

use super::compare::{Mismatch, Observed, compare};
use super::environment::{
    GDT_LIMIT, HALT, LDT_SELECTOR, RING_0_CODE, RING_0_DATA, TSS_SELECTOR, gdt,
};
use super::{Case, Environment, Outcome, USER, WINDOW, WINDOW_BYTES, encoding_name};
use spec::{control_registers, exceptions, flags, paging, registers, segments};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

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
const LDT: u32 = 0x9000;
/// Where [`USER`] is.
const USER_PHYSICAL: u32 = 0x10_0000;

/// Linear address of the physical pages from 0 that ring 0 needs: one that no case comes near.
const SYSTEM: u32 = 0xE0A5_0000;
/// Top of the stack that exceptions switch to.
const RING_0_ESP: u32 = SYSTEM + RING_0_STACK + paging::PAGE_BYTES;

/// Vectors of the gates that ring 3 may use, on Linux: INT3 and INTO.
const RING_3_GATES: [u8; 2] = [exceptions::BP, exceptions::OF];
const GATES: usize = 256;
/// Each vector has a handler of its own, so that EIP tells which was delivered.
const HANDLER_BYTES: usize = 16;

/// Linear address of a vector's handler.
fn handler(vector: u8) -> u32 {
    SYSTEM + HANDLER + u32::from(vector) * HANDLER_BYTES as u32
}

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
    /// Cases replayed of each encoding, those of encodings that are not built among them.
    pub replayed: BTreeMap<String, usize>,
}

impl Report {
    /// Prints the failures, `reproduce` and the case's number behind each, the number of cases of each encoding, and
    /// the sum.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn print(&self, out: &mut dyn Write, reproduce: Option<&str>) -> io::Result<()> {
        for failure in &self.failed {
            write!(out, "{failure}")?;
            if let Some(command) = reproduce {
                writeln!(out, "    {command} --case {}", failure.number)?;
            }
        }
        let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
        for failure in &self.failed {
            let encoding = failure.title.split(' ').next().unwrap_or_default();
            *failed.entry(encoding).or_default() += 1;
        }
        for (encoding, count) in &self.replayed {
            write!(out, "{encoding}: {count} cases")?;
            if let Some(missing) = self.missing.get(encoding) {
                write!(out, ", not built: {missing} must raise #UD")?;
            }
            match failed.get(encoding.as_str()) {
                Some(failed) => writeln!(out, ", {failed} failed")?,
                None => writeln!(out)?,
            }
        }
        let missing: usize = self.missing.values().sum();
        if missing != 0 {
            let encodings = self.missing.len();
            writeln!(
                out,
                "{missing} cases of {encodings} encodings that are not built"
            )?;
        }
        writeln!(out, "{} passed, {} failed", self.passed, self.failed.len())
    }

    /// Adds what another replay found.
    pub fn merge(&mut self, other: Report) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.failed.sort_by_key(|failure| failure.number);
        for (sum, counts) in [
            (&mut self.missing, other.missing),
            (&mut self.replayed, other.replayed),
        ] {
            for (encoding, count) in counts {
                *sum.entry(encoding).or_default() += count;
            }
        }
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
    let mut environment: Option<Arc<Environment>> = None;
    for (number, case) in cases {
        let is_set_up = environment.as_ref().is_some_and(|known| {
            let plain = known.is_plain() && case.environment.is_plain();
            plain || Arc::ptr_eq(known, &case.environment)
        });
        if !is_set_up {
            report
                .failed
                .extend(stray_bytes(processor, environment.as_deref()));
            set_up(processor, &case.environment);
            environment = Some(Arc::clone(&case.environment));
        }
        let built = is_built(case.opcode()?);
        let encoding = encoding_name(case.code);
        *report.replayed.entry(encoding).or_default() += 1;
        let result = run(processor, case);
        let differences: Vec<String> = match (result, built) {
            (Err(problem), _) => vec![problem],
            (Ok(observed), true) => compare(case, &observed)
                .iter()
                .map(Mismatch::to_string)
                .collect(),
            (Ok(observed), false) => {
                *report.missing.entry(encoding_name(case.code)).or_default() += 1;
                // What cannot be fetched whole is found before what is not built.
                let may_end_as_recorded =
                    case.is_incomplete() && compare(case, &observed).is_empty();
                let differences = match may_end_as_recorded {
                    true => Vec::new(),
                    false => compare(&refused(case), &observed),
                };
                differences.iter().map(Mismatch::to_string).collect()
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
    report
        .failed
        .extend(stray_bytes(processor, environment.as_deref()));
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
        cr2: None,
        selectors_after: case.selectors,
        eip_after: case.eip,
        undefined_flags: 0,
        memory_after: Vec::new(),
        ..case.clone()
    }
}

/// Writes what all cases of an environment share: pages, descriptors, the handler, the window; and zeros.
fn set_up(processor: &mut dyn Processor, environment: &Environment) {
    let zeros = vec![0; paging::PAGE_BYTES as usize];
    for pages in [DIRECTORY..LDT + 1, USER_PHYSICAL..RAM_BYTES] {
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
    for (range, writable) in &environment.memory {
        for linear in range.clone().step_by(paging::PAGE_BYTES as usize) {
            let protected = if *writable { 0 } else { paging::WRITABLE };
            entry(
                USER_TABLE,
                paging::table_index(linear),
                to_physical(linear) | used & !protected | paging::USER,
            );
        }
    }
    for physical in [GDT, IDT, TSS, RING_0_STACK, HANDLER, LDT] {
        entry(
            SYSTEM_TABLE,
            paging::table_index(SYSTEM + physical),
            physical | used,
        );
    }
    for selector in (0..GDT_LIMIT as u16).step_by(8) {
        let raw = gdt(selector, SYSTEM + TSS);
        processor.write_memory(GDT + u32::from(selector), &raw.to_le_bytes());
    }
    let ldt: Vec<u8> = environment
        .ldt
        .iter()
        .flat_map(|raw| raw.to_le_bytes())
        .collect();
    processor.write_memory(LDT, &ldt);
    for vector in 0..GATES as u32 {
        let is_open = RING_3_GATES.iter().any(|&gate| u32::from(gate) == vector);
        let level = if is_open { segments::ACCESS_DPL } else { 0 };
        let access = segments::ACCESS_PRESENT | segments::INTERRUPT_GATE_32 | level;
        let gate = segments::gate(RING_0_CODE, handler(vector as u8), access, 0);
        processor.write_memory(IDT + 8 * vector, &gate.to_le_bytes());
    }
    processor.write_memory(TSS + segments::TSS_ESP0, &RING_0_ESP.to_le_bytes());
    processor.write_memory(
        TSS + segments::TSS_SS0,
        &u32::from(RING_0_DATA).to_le_bytes(),
    );
    let no_io_map = segments::TSS_MINIMUM_LIMIT as u16 + 1;
    processor.write_memory(TSS + segments::TSS_IO_MAP_BASE, &no_io_map.to_le_bytes());
    processor.write_memory(HANDLER, &[HALT; GATES * HANDLER_BYTES]);
    if !environment.is_plain() {
        let code = vec![HALT; paging::PAGE_BYTES as usize];
        processor.write_memory(to_physical(super::environment::CODE_PAGE), &code);
        processor.write_memory(to_physical(WINDOW), &environment.window);
    }
}

/// Sets the registers that a case does not have: tables, control registers, segments.
fn set_environment(processor: &mut dyn Processor, case: &Case) {
    let mut segment = |number: u8, selector: u16, base: u32, limit: u32, access: u32| {
        processor.write_register(registers::SELECTOR + number, selector.into());
        processor.write_register(registers::BASE + number, base);
        processor.write_register(registers::LIMIT + number, limit);
        processor.write_register(registers::ACCESS + number, access);
    };
    for (number, selector) in (0..).zip(case.selectors) {
        match case.environment.descriptor(selector) {
            Some(found) => {
                let access = u32::from(found.flags) | u32::from(found.access);
                segment(number, selector, found.base, found.limit, access);
            }
            None => segment(number, selector, 0, 0, 0),
        }
    }
    match case.environment.ldt.len() as u32 {
        0 => segment(registers::LDTR, 0, 0, 0, 0),
        count => {
            let access = segments::ACCESS_PRESENT | segments::LDT;
            let limit = 8 * count - 1;
            segment(
                registers::LDTR,
                LDT_SELECTOR,
                SYSTEM + LDT,
                limit,
                access.into(),
            );
        }
    }
    let access = segments::ACCESS_PRESENT | segments::TSS_32_BUSY;
    segment(
        registers::TR,
        TSS_SELECTOR,
        SYSTEM + TSS,
        segments::TSS_MINIMUM_LIMIT,
        access.into(),
    );
    let mut table = |number: u8, base: u32, bytes: usize| {
        processor.write_register(registers::BASE + number, base);
        processor.write_register(registers::LIMIT + number, bytes as u32 - 1);
    };
    table(registers::GDTR, SYSTEM + GDT, GDT_LIMIT as usize + 1);
    table(registers::IDTR, SYSTEM + IDT, 8 * GATES);
    use control_registers::{CR0_AM, CR0_ET, CR0_NE, CR0_PE, CR0_PG, CR0_WP};
    let control = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_AM;
    processor.write_register(registers::CR3, DIRECTORY);
    processor.write_register(registers::CR4, 0);
    processor.write_register(registers::CR0, control);
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
    let is_plain = case.environment.is_plain();
    if is_plain {
        processor.write_memory(to_physical(WINDOW), &case.window());
    }
    for (offset, value) in &case.memory {
        processor.write_memory(to_physical(WINDOW + u32::from(*offset)), &[*value]);
    }
    let code = to_physical(case.code_address());
    let code_bytes = case.code_bytes();
    processor.write_memory(code, &code_bytes);
    set_environment(processor, case);
    for (number, value) in (0..).zip(case.registers) {
        processor.write_register(number, value);
    }
    processor.write_register(registers::EFLAGS, case.eflags | flags::ALWAYS_ONE);
    processor.write_register(registers::CR2, 0);
    processor.write_register(registers::EIP, case.eip);
    processor.invalidate();
    let mut step = processor.step()?;
    if step.exception.is_none() {
        step.exception = software_interrupt(processor);
    }

    let mut registers = [0; 8];
    for (number, register) in (0..).zip(&mut registers) {
        *register = processor.read_register(number);
    }
    let mut selectors = [0; 6];
    for (number, selector) in (registers::SELECTOR..).zip(&mut selectors) {
        *selector = processor.read_register(number) as u16;
    }
    let window = processor.read_memory(to_physical(WINDOW), WINDOW_BYTES);
    if !is_plain {
        processor.write_memory(code, &vec![HALT; code_bytes.len()]);
        write_back(processor, &window, &case.environment.window);
    }
    let mut observed = Observed {
        outcome: Outcome::Completed,
        error_code: 0,
        registers,
        selectors,
        wrong_descriptors: Vec::new(),
        eflags: processor.read_register(registers::EFLAGS),
        eip: processor.read_register(registers::EIP),
        cr2: None,
        window,
        strays: take_back_strays(processor, &step, &case.environment),
    };
    if let Some(exception) = step.exception {
        observed.outcome = Outcome::Exception(exception.vector);
        observed.error_code = exception.error_code.unwrap_or(0);
        observed.cr2 = (exception.vector == exceptions::PF).then_some(exception.cr2);
        read_frame(processor, &exception, &mut observed)?;
    }
    observed.wrong_descriptors = wrong_descriptors(processor, case, &observed);
    Ok(observed)
}

/// The vector of INT3 or INTO, whose delivery is no exception on the retire port.
fn software_interrupt(processor: &mut dyn Processor) -> Option<Delivered> {
    let eip = processor.read_register(registers::EIP);
    let at_handler = RING_3_GATES
        .into_iter()
        .chain([exceptions::DB])
        .find(|&vector| eip == handler(vector))?;
    (processor.read_register(registers::CPL) == 0).then_some(Delivered {
        vector: at_handler,
        error_code: None,
        cr2: 0,
    })
}

/// Makes the window again what it is between cases.
fn write_back(processor: &mut dyn Processor, found: &[u8], wanted: &[u8]) {
    const PIECE: usize = 64;
    let pieces = found.chunks(PIECE).zip(wanted.chunks(PIECE));
    for (number, (found, wanted)) in pieces.enumerate() {
        if found != wanted {
            let linear = WINDOW + (number * PIECE) as u32;
            processor.write_memory(to_physical(linear), wanted);
        }
    }
}

/// Segments that were loaded and do not hold what the descriptor says.
fn wrong_descriptors(
    processor: &mut dyn Processor,
    case: &Case,
    observed: &Observed,
) -> Vec<usize> {
    let mut wrong = Vec::new();
    for (segment, selector) in observed.selectors.into_iter().enumerate() {
        let loaded = observed.outcome == Outcome::Completed && selector != case.selectors[segment];
        let Some(expected) = case.environment.descriptor(selector).filter(|_| loaded) else {
            continue;
        };
        let mut part = |first: u8| processor.read_register(first + segment as u8);
        let found = (
            part(registers::BASE),
            part(registers::LIMIT),
            part(registers::ACCESS),
        );
        let access = u32::from(expected.flags) | u32::from(expected.access);
        if found != (expected.base, expected.limit, access) {
            wrong.push(segment);
        }
    }
    wrong
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
    if (eip, esp) != (handler(exception.vector), expected_esp) {
        return Err(format!(
            "vector {} was delivered to EIP {eip:08X}, ESP {esp:08X} instead of {:08X}, {expected_esp:08X}",
            exception.vector,
            handler(exception.vector),
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
    observed.selectors[usize::from(registers::CS)] = cs as u16;
    observed.selectors[usize::from(registers::SS)] = ss as u16;
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

/// What a byte of user memory outside the window is between cases.
fn filler(linear: u32, environment: &Environment) -> u8 {
    let is_code = linear - linear % paging::PAGE_BYTES == super::environment::CODE_PAGE;
    if is_code && !environment.is_plain() {
        HALT
    } else {
        0
    }
}

/// Undoes what was stored in user pages outside the window, and tells where that was.
fn take_back_strays(
    processor: &mut dyn Processor,
    step: &Step,
    environment: &Environment,
) -> Vec<u32> {
    let mut strays = Vec::new();
    for linear in step
        .stores
        .iter()
        .flat_map(|&(first, bytes)| (0..bytes).map(move |i| first.wrapping_add(i)))
    {
        if environment.may_access(linear, false) && !window_addresses().contains(&linear) {
            processor.write_memory(to_physical(linear), &[filler(linear, environment)]);
            strays.push(linear);
        }
    }
    strays
}

/// Bytes outside code and window that were written without a store on the retire port.
fn stray_bytes(
    processor: &mut dyn Processor,
    environment: Option<&Environment>,
) -> Option<Failure> {
    let environment = environment?;
    let code_page = super::environment::CODE_PAGE;
    let pages = environment.memory.iter().flat_map(|(range, _)| {
        let pages = range.clone().step_by(paging::PAGE_BYTES as usize);
        pages.filter(|page| !window_addresses().contains(page))
    });
    let differences: Vec<String> = pages
        .filter(|page| !environment.is_plain() || *page != code_page)
        .filter(|page| {
            let bytes = processor.read_memory(to_physical(*page), paging::PAGE_BYTES as usize);
            let expected = filler(*page, environment);
            bytes.iter().any(|&byte| byte != expected)
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
    use crate::silicon::{PLAIN_FLAGS, read_file};
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
            self.registers[usize::from(registers::EIP)] += case.eip_after.wrapping_sub(case.eip);
            self.registers[usize::from(registers::EFLAGS)] = case.eflags_after;
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
        for bit in (0..16).filter(|bit| PLAIN_FLAGS & !undefined.flags & 1 << bit != 0) {
            flip(&|other| other.eflags_after ^= 1 << bit);
        }
        flip(&|other| other.eip_after ^= 1);
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
        set_up(&mut script, &Environment::plain());
        assert!(stray_bytes(&mut script, Some(&Environment::plain())).is_none());
        script.ram[to_physical(USER.end - 1) as usize] = 1;
        assert!(
            stray_bytes(&mut script, Some(&Environment::plain()))
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
            .print(&mut text, None)
            .expect("memory never fails");
        let text = String::from_utf8(text).expect("text");
        assert!(text.ends_with("1 passed, 1 failed\n"), "{text}");
        assert!(
            text.contains(&title(&cases[1])) && text.contains("ebx: expected"),
            "{text}"
        );
    }
}
