//! Runs a program on the machine and compares the state before each instruction with the recorded one.

use super::system::{Program, RAM_BYTES, ROM, ROM_BYTES};
use super::trace::Row;
use iced_x86::{Decoder, DecoderOptions, Mnemonic, Register};
use sim::machine::{Machine, MachineConfig, Stop};
use sim::trace::{Instruction, Instructions, Write, disassemble};
use spec::registers;

/// EFLAGS that are compared: all that the processor has but RF, which lives between two instructions only.
const COMPARED: u32 = 0x0026_7FD5;
const CYCLES: u64 = 200_000;
/// A program with more instructions runs in circles.
const MOST_ROWS: usize = 400_000;

/// How a comparison ended.
#[derive(Debug)]
pub struct Report {
    /// Instructions that were equal.
    pub equal: usize,
    /// What is not, if anything.
    pub difference: Option<String>,
    /// The program stored to the ROM, and what is behind was not compared: the core may load the new bytes once, from its store
    /// buffer.
    pub is_cut: bool,
}

/// Runs and compares; random wait states from `wait_seed`.
///
/// # Panics
/// If there is no machine.
pub fn replay(program: &Program, rows: &[Row], wait_seed: Option<u64>) -> Report {
    let mut machine = machine(program, wait_seed);
    let mut instructions = Instructions::default();
    let mut state = Row::default();
    // Bits of EFLAGS that the last instruction to write them left undefined.
    let mut undefined = 0;
    let mut expected = rows.iter().enumerate().peekable();
    let mut last = String::new();
    let mut started = false;
    let mut repeated = None;
    // The state before what began a task switch, if the new task faulted at once.
    let mut switched: Option<Row> = None;
    loop {
        let stop = machine.run(CYCLES);
        let retirements = machine.drain_retired();
        let is_waiting = retirements.is_empty();
        for retired in retirements {
            let Some(instruction) = instructions.push(&retired) else {
                continue;
            };
            let own = &instruction.retired;
            // Bochs shows every turn of a repeated string instruction, the machine the whole.
            if let Some(repeated) = repeated.take()
                && (instruction.cs.into(), own.eip) != repeated
            {
                while expected
                    .next_if(|(_, row)| (row.cs, row.eip) == repeated)
                    .is_some()
                {}
            }
            let Some(&(number, row)) = expected.peek() else {
                return Report {
                    equal: rows.len(),
                    difference: None,
                    is_cut: false,
                };
            };
            before(&mut state, &instruction);
            started |= own.eip == program.start;
            let switches = switches_tasks(&instruction);
            let bytes = &own.bytes[..usize::from(own.length).min(15)];
            // The record of a transfer that switched tasks has the address that the new task begins at.
            if started && switches && instruction.delivered.is_none() && is_at(program, row, bytes)
            {
                (state.eip, state.cs) = (row.eip, row.cs);
            }
            // What began a task switch whose new task then faulted has no record of its own: the fault is the new task's. Its row is
            // compared but for its address.
            let (number, row) = match (switched.take(), expected.clone().nth(1)) {
                (None, _) => (number, row),
                (Some(began), Some((next_number, next)))
                    if (state.eip, state.cs) == (next.eip, next.cs) =>
                {
                    let began = Row {
                        eip: row.eip,
                        ..began
                    };
                    if let Some(what) = difference(&began, row, undefined) {
                        return differs(number, row, &what, &last);
                    }
                    expected.next();
                    (next_number, next)
                }
                _ => return differs(number, row, "the new task did not fault in Bochs", &last),
            };
            let at_it = (state.eip, state.cs) == (row.eip, row.cs);
            // The record of an exception or interrupt is that of an instruction only if this one faulted.
            let is_instruction = instruction.delivered.is_none() || at_it;
            if started && is_instruction {
                if let Some(what) = difference(&state, row, undefined) {
                    return differs(number, row, &what, &last);
                }
                expected.next();
            }
            let length = usize::from(own.length).min(15);
            switched = (started && switches && !is_instruction).then_some(state);
            last = format!(
                "{:x}:{:08x} {}{}",
                state.cs,
                state.eip,
                disassemble(&own.bytes[..length], own.eip, own.mode & 8 != 0),
                instruction
                    .delivered
                    .map_or(String::new(), |event| format!(", which raises {event:x?}"))
            );
            after(&mut state, &instruction);
            if started && stores_to_rom(&instruction) {
                return Report {
                    equal: rows.len() - expected.len(),
                    difference: None,
                    is_cut: true,
                };
            }
            // The record of a double fault has no bytes.
            let code = match own.length {
                0 if is_instruction => code_at(program, row).unwrap_or_default(),
                _ => &own.bytes[..length],
            };
            if started && is_repeated(code) {
                repeated = Some((state.cs, state.eip));
            }
            if instruction.delivered.is_none() {
                undefined = undefined_after(&own.bytes[..length], own.mode & 8 != 0, undefined);
            }
        }
        if stop != Stop::Cycles || is_waiting {
            let left = expected.len();
            return Report {
                equal: rows.len() - left,
                // HLT itself is not recorded.
                difference: (left > 0 || stop != Stop::Halted).then(|| {
                    format!(
                        "the machine stopped ({stop:?}) behind {last}; {left} instructions are left"
                    )
                }),
                is_cut: false,
            };
        }
    }
}

/// The state before every instruction and event of a program, as the machine has it without wait states.
///
/// # Errors
/// How it ended, if not at the program's end.
///
/// # Panics
/// If there is no machine.
pub fn rows_of_machine(program: &Program) -> Result<Vec<Row>, String> {
    let mut machine = machine(program, None);
    let mut instructions = Instructions::default();
    let mut state = Row::default();
    let mut rows = Vec::new();
    loop {
        let stop = machine.run(CYCLES);
        let retirements = machine.drain_retired();
        let is_waiting = retirements.is_empty() || rows.len() > MOST_ROWS;
        for retired in retirements {
            let Some(instruction) = instructions.push(&retired) else {
                continue;
            };
            before(&mut state, &instruction);
            if !rows.is_empty() || state.eip == program.start {
                rows.push(state);
            }
            if state.eip == program.end - 1 {
                return Ok(rows);
            }
            after(&mut state, &instruction);
        }
        if stop != Stop::Cycles || is_waiting {
            let begin = rows.len().saturating_sub(8);
            let last: Vec<String> = rows[begin..]
                .iter()
                .map(|row| format!("{:x}:{:08x}", row.cs, row.eip))
                .collect();
            let last = last.join(" ");
            return Err(format!(
                "the machine stopped ({stop:?}) behind {} instructions, the last at {last}",
                rows.len()
            ));
        }
    }
}

fn machine(program: &Program, wait_seed: Option<u64>) -> Machine {
    Machine::new(MachineConfig {
        ram_bytes: RAM_BYTES,
        rom: program.rom.clone(),
        wait_seed,
        keep_ports: false,
        ..MachineConfig::default()
    })
    .expect("a machine")
}

/// What is known before an instruction besides its general registers.
fn before(state: &mut Row, instruction: &Instruction) {
    state.eip = instruction.retired.eip;
    state.cs = instruction.cs.into();
    state.eflags = instruction.eflags_before;
}

/// The general registers behind an instruction.
fn after(state: &mut Row, instruction: &Instruction) {
    let own = &instruction.retired;
    let mut written: Vec<(u8, u32)> = Vec::new();
    for write in &instruction.writes {
        if let Write::Register(register, data) = *write {
            written.push((register & 7, data));
        }
    }
    // Of POP ESP the trace has the value before the increment, which it replaces.
    if pops_esp(&own.bytes[..usize::from(own.length).min(15)])
        && let Some(popped) = written.iter().position(|row| row.0 == 4)
    {
        written.truncate(popped + 1);
    }
    for (register, data) in written {
        state.general[usize::from(register)] = data;
    }
}

/// The report of a difference before an instruction.
fn differs(number: usize, row: &Row, what: &str, last: &str) -> Report {
    Report {
        equal: number,
        difference: Some(format!(
            "before instruction {number} at {:x}:{:08x}: {what}\nbehind {last}",
            row.cs, row.eip
        )),
        is_cut: false,
    }
}

fn difference(state: &Row, row: &Row, undefined: u32) -> Option<String> {
    const NAMES: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
    let mut parts: Vec<String> = Vec::new();
    for (number, name) in NAMES.iter().enumerate() {
        let (own, bochs) = (state.general[number], row.general[number]);
        if own != bochs {
            parts.push(format!("{name} is {own:08x}, Bochs has {bochs:08x}"));
        }
    }
    let mask = COMPARED & !undefined;
    if (state.eflags ^ row.eflags) & mask != 0 {
        parts.push(format!(
            "eflags is {:08x}, Bochs has {:08x}",
            state.eflags & mask,
            row.eflags & mask
        ));
    }
    for (name, own, bochs) in [("cs", state.cs, row.cs), ("eip", state.eip, row.eip)] {
        if own != bochs {
            parts.push(format!("{name} is {own:08x}, Bochs has {bochs:08x}"));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn stores_to_rom(instruction: &Instruction) -> bool {
    let rom = ROM..ROM + ROM_BYTES as u32;
    let is_there =
        |write: &Write| matches!(write, Write::Store(linear, ..) if rom.contains(linear));
    instruction.writes.iter().any(is_there)
}

/// Whether these are the bytes of POP ESP.
fn pops_esp(bytes: &[u8]) -> bool {
    let instruction = Decoder::new(32, bytes, DecoderOptions::NONE).decode();
    instruction.mnemonic() == Mnemonic::Pop && instruction.op0_register() == Register::ESP
}

/// Whether an instruction has these bytes where a row of flat code, or of code whose base is the ROM, has it.
fn is_at(program: &Program, row: &Row, bytes: &[u8]) -> bool {
    code_at(program, row).is_some_and(|found| found.starts_with(bytes))
}

/// The program from there on.
fn code_at<'a>(program: &'a Program, row: &Row) -> Option<&'a [u8]> {
    let offset = if row.eip < ROM_BYTES as u32 {
        row.eip
    } else {
        row.eip.wrapping_sub(ROM)
    };
    program.rom.get(offset as usize..)
}

/// Whether a task switch is among what an instruction or event did; LTR looks like one.
fn switches_tasks(instruction: &Instruction) -> bool {
    const TASK_REGISTER: u8 = registers::SELECTOR + registers::TR;
    let is_switch = |write: &Write| matches!(write, Write::System(TASK_REGISTER, _));
    instruction.writes.iter().any(is_switch)
}

/// Whether these are the bytes of a string instruction with a repeat prefix.
fn is_repeated(bytes: &[u8]) -> bool {
    let instruction = Decoder::new(32, bytes, DecoderOptions::NONE).decode();
    instruction.is_string_instruction()
        && (instruction.has_rep_prefix() || instruction.has_repne_prefix())
}

/// Which flags are undefined behind an instruction.
fn undefined_after(bytes: &[u8], is_32_bit: bool, before: u32) -> u32 {
    use iced_x86::RflagsBits;
    let mut decoder = Decoder::new(if is_32_bit { 32 } else { 16 }, bytes, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let bits = |flags: u32| {
        [
            (RflagsBits::CF, 0),
            (RflagsBits::PF, 2),
            (RflagsBits::AF, 4),
            (RflagsBits::ZF, 6),
            (RflagsBits::SF, 7),
            (RflagsBits::OF, 11),
        ]
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(0, |bits, (_, bit)| bits | 1u32 << bit)
    };
    let written = bits(instruction.rflags_modified());
    before & !written | bits(instruction.rflags_undefined())
}
