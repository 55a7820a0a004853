//! Tables of cases: a ring, a few instructions, and the event that must follow.

use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;
use sim::machine::Stop;
use spec::exceptions::{BP, DE, GP, NP, OF, PF, SS, TS, UD};
use spec::flags;
use tests::guest::{Event, Guest, Program, selector, vector};

/// What must be saved as EIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// The last instruction: it can be restarted.
    Fault,
    /// The one behind it.
    Trap,
    /// This address.
    At(u32),
}

/// The event that must follow.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    pub vector: u8,
    pub error_code: Option<u16>,
    pub saved: Saved,
    pub cr2: Option<u32>,
}

impl Expected {
    const fn new(vector: u8, error_code: Option<u16>, saved: Saved) -> Self {
        Self {
            vector,
            error_code,
            saved,
            cr2: None,
        }
    }

    /// The fault saves this EIP.
    pub fn at(self, eip: u32) -> Self {
        Self {
            saved: Saved::At(eip),
            ..self
        }
    }
}

pub fn gp(code: u16) -> Expected {
    Expected::new(GP, Some(code), Saved::Fault)
}
pub fn stack_fault(code: u16) -> Expected {
    Expected::new(SS, Some(code), Saved::Fault)
}
pub fn np(code: u16) -> Expected {
    Expected::new(NP, Some(code), Saved::Fault)
}
pub fn ts(code: u16) -> Expected {
    Expected::new(TS, Some(code), Saved::Fault)
}
/// `code`: bits of `spec::paging`.
pub fn pf(code: u16, cr2: u32) -> Expected {
    Expected {
        cr2: Some(cr2),
        ..Expected::new(PF, Some(code), Saved::Fault)
    }
}
pub fn ud() -> Expected {
    Expected::new(UD, None, Saved::Fault)
}
pub fn de() -> Expected {
    Expected::new(DE, None, Saved::Fault)
}
pub fn breakpoint() -> Expected {
    Expected::new(BP, None, Saved::Trap)
}
pub fn overflow() -> Expected {
    Expected::new(OF, None, Saved::Trap)
}
/// The instructions run to their end, where an `int` follows.
pub fn completes() -> Expected {
    Expected::new(vector::COMPLETED, None, Saved::At(0))
}
/// A software interrupt through a gate of ours.
pub fn enters(vector: u8) -> Expected {
    Expected::new(vector, None, Saved::Trap)
}

/// Changes the state that a case begins with.
pub type Prepare = fn(&mut Guest);
/// Emits the instructions of a case.
pub type Code = fn(&mut CodeAssembler) -> Result<(), IcedError>;

/// One row of a table.
pub struct Case {
    pub label: &'static str,
    pub ring: u8,
    pub prepare: Prepare,
    pub code: Code,
    pub expected: Expected,
}

/// A row: with the state that the guest begins with.
pub fn row(label: &'static str, ring: u8, code: Code, expected: Expected) -> Case {
    prepared(label, ring, |_| {}, code, expected)
}

/// A row: with changes to that state.
pub fn prepared(
    label: &'static str,
    ring: u8,
    prepare: Prepare,
    code: Code,
    expected: Expected,
) -> Case {
    Case {
        label,
        ring,
        prepare,
        code,
        expected,
    }
}

/// Runs a case; returns the event and where its instructions lay.
pub fn run(guest: &mut Guest, case: &Case) -> Result<(Event, Program), String> {
    guest.begin(case.ring);
    (case.prepare)(guest);
    let before: Vec<u32> = (0..8).map(|register| guest.get(register)).collect();
    let cs = guest.get(spec::registers::SELECTOR + spec::registers::CS) as u16;
    let stack = guest.get(spec::registers::SELECTOR + spec::registers::SS) as u16;
    let eflags = guest.get(spec::registers::EFLAGS);
    let program = guest.program(case.code);
    let stop = guest.run();
    if stop != Stop::Halted {
        let status = guest.machine().status();
        return Err(format!("{stop:?} at EIP {:08X}", status.eip));
    }
    let event = guest.event().ok_or("no event")?;
    if !guest.is_alive() {
        return Err(format!("the machine died after {event:X?}"));
    }
    let expected = &case.expected;
    let eip = match expected.saved {
        _ if expected.vector == vector::COMPLETED => event.eip,
        Saved::Fault => program.last(),
        Saved::Trap => program.end(),
        Saved::At(eip) => eip,
    };
    let mut problems = Vec::new();
    if (event.vector, event.error_code) != (expected.vector, expected.error_code) {
        problems.push(format!(
            "expected vector {} with {:X?}, found {} with {:X?}",
            expected.vector, expected.error_code, event.vector, event.error_code
        ));
    }
    if event.eip != eip {
        problems.push(format!("expected EIP {eip:08X}, found {:08X}", event.eip));
    }
    if expected.cr2.is_some_and(|cr2| cr2 != event.cr2) {
        problems.push(format!(
            "expected CR2 {:08X?}, found {:08X}",
            expected.cr2, event.cr2
        ));
    }
    let one_instruction = program.addresses.len() == 2;
    if expected.saved == Saved::Fault && one_instruction {
        // Nothing has happened, and the frame says so.
        let same = |name: &str, found: u32, before: u32| {
            (found != before).then(|| format!("{name} was {before:08X} and is {found:08X}"))
        };
        let registers = (0..8).filter_map(|register| {
            same(
                spec::registers::GENERAL[register],
                event.general[register],
                before[register],
            )
        });
        problems.extend(registers);
        problems.extend(same("cs", event.cs.into(), cs.into()));
        problems.extend(same("ss", event.ss.into(), stack.into()));
        problems.extend(same("eflags", event.eflags, eflags | flags::RF));
    }
    // The levels below 3 enter ring 0 on the stack of the TSS, if they do not run there already.
    let handler_stack = event.data_segments[usize::from(spec::registers::SS)];
    if case.ring == 3 && handler_stack != selector::DATA_0 && event.vector != vector::COMPLETED {
        problems.push(format!("the handler's SS is {handler_stack:04X}"));
    }
    if problems.is_empty() {
        Ok((event, program))
    } else {
        Err(problems.join("; "))
    }
}

/// Runs a table, and says all that is wrong with it.
pub fn check(cases: &[Case]) {
    check_on(&mut Guest::new(None), cases);
}

/// Runs a table on this machine.
pub fn check_on(guest: &mut Guest, cases: &[Case]) {
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let problem = run(guest, case).err()?;
            Some(format!("{} (ring {}): {problem}", case.label, case.ring))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
