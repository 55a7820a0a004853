//! Runs a scene once undisturbed, then again for each of its clocks with an event forced in that clock, and compares the ends.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use sim::machine::{Machine, Snapshot};
use spec::opcodes::{self, Kind, Map, Opcode};
use spec::registers as number;
use spec::{control_registers, exceptions, flags, paging, segments};
use std::collections::{BTreeMap, BTreeSet};
use tests::guest::*;

/// Vector of interrupt line 0.
const FIRST_VECTOR: u8 = 0x20;
/// The line that is forced.
const LINE: u8 = 5;
/// The forced interrupt's vector.
pub const INTERRUPT: u8 = FIRST_VECTOR + LINE;
/// How many forced events have been handled.
pub const COUNT: u32 = PROOF + 8;
/// Where the thorough handler writes.
const SCRATCH: u32 = PROOF + 0x100;
/// How often each exception came, and its last error code.
pub const EXCEPTIONS: u32 = 0x5_0000;
const ERROR_CODES: u32 = EXCEPTIONS + 0x80;
/// Where the program goes on behind its faults, in their order, and how many there were.
const RESUMES: u32 = EXCEPTIONS + 0x200;
const RESUMED: u32 = EXCEPTIONS + 0x100;
/// The handlers of exceptions, 16 bytes each.
const STUBS: u32 = 0xF000;
const SKIP: u32 = 0xF200;
const GO_ON: u32 = 0xF280;
/// The handlers of forced events: one that returns at once, one that does much, one in real mode.
const BRIEF: u32 = 0xF400;
const THOROUGH: u32 = 0xF440;
pub const REAL_MODE_HANDLER: u32 = 0xF500;
/// EFLAGS at the beginning of a scene, IOPL 3.
pub const EFLAGS: u32 = flags::RESET | flags::IF | flags::IOPL;
/// Undisturbed clocks that a scene may take.
const LONGEST: u64 = 6_000;
/// Clocks that an event and its handler take at least.
const SOONEST: u64 = 40;
/// Clocks between two snapshots of an undisturbed scene.
const STRIDE: u64 = 64;
/// Clocks within which the event must have been handled and the end reached.
const PATIENCE: u64 = 20_000;
/// What the handlers of forced events write: ring 0's stack, their counters, the descriptors' and pages' accessed bits aside,
/// which are set before.
const DEAD: [std::ops::Range<u32>; 2] = [0x6000..0x8000, 0xD000..0xE000];

/// Places a program and returns the offset of the `jmp $` at its end.
pub type Setup = Box<dyn Fn(&mut Guest) -> u32 + Send + Sync>;
/// Emits a program's instructions.
pub type Code = fn(&mut CodeAssembler) -> Result<(), IcedError>;

/// A short program without loops.
pub struct Scene {
    /// What it is about.
    pub name: String,
    /// The ring in which it begins.
    pub ring: u8,
    /// Places it.
    pub setup: Setup,
}

impl Scene {
    /// A program of 32-bit code; the instructions with the numbers `faults` fault, in this order, and are passed over.
    pub fn new(
        name: impl Into<String>,
        ring: u8,
        faults: &'static [usize],
        prepare: fn(&mut Guest),
        code: impl Fn(&mut CodeAssembler) -> Result<(), IcedError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            ring,
            setup: Box::new(move |guest| {
                prepare(guest);
                let program = guest.place(CODE, 32, &code);
                resume_behind(guest, &program, faults, 0);
                end(guest, program.end());
                program.end()
            }),
        }
    }

    /// A program with a placement of its own.
    pub fn placed(
        name: &str,
        ring: u8,
        setup: impl Fn(&mut Guest) -> u32 + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            ring,
            setup: Box::new(setup),
        }
    }
}

/// The program goes on behind its instructions of these numbers when they fault; `base` is that of CS.
pub fn resume_behind(guest: &mut Guest, program: &Program, faults: &[usize], base: u32) {
    for (index, fault) in (0..).zip(faults) {
        guest.poke(RESUMES + 4 * index, program.addresses[fault + 1] - base);
    }
}

/// `jmp $`, in code of either size.
pub fn end(guest: &mut Guest, address: u32) {
    guest.poke_bytes(address, &[0xEB, 0xFE]);
}

/// An open gate of 32 bits to ring 0.
pub fn interrupt_gate(offset: u32) -> u64 {
    segments::gate(selector::CODE_0, offset, 0xEE, 0)
}

/// What is forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// An interrupt by way of the interrupt controller.
    Interrupt,
    /// A non-maskable interrupt.
    Nmi,
    /// Both in the same clock.
    Both,
}

impl Forced {
    fn events(self) -> u32 {
        if self == Forced::Both { 2 } else { 1 }
    }
}

/// What the handlers of forced events do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// Counts and returns.
    Brief,
    /// Uses strings, segments, division and the stack, and drops all translations, before it returns.
    Thorough,
}

/// How all scenes are disturbed.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What is forced.
    pub forced: Forced,
    /// What handles it.
    pub handler: Handler,
    /// Memory that makes the processor wait at random.
    pub wait_seed: Option<u64>,
    /// Every so many clocks an event is forced.
    pub step: usize,
}

/// The end of a scene, as far as it may not depend on time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    registers: Vec<(String, u32)>,
    changes: Changes,
    handled: u32,
}

/// What a scene has written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Changes {
    pages: BTreeMap<u32, Vec<u8>>,
    ports: Vec<(u16, u8, u32, bool)>,
}

impl Changes {
    /// Adds what the machine has done since its last snapshot.
    fn take(&mut self, machine: &mut Machine) {
        let pages = machine.written_pages().into_iter();
        self.pages
            .extend(pages.filter(|(page, _)| !DEAD.iter().any(|dead| dead.contains(page))));
        let ports = machine.drain_ports();
        let access = ports
            .iter()
            .map(|access| (access.port, access.size, access.data, access.write));
        self.ports.extend(access);
    }
}

/// A clock of the undisturbed scene from which disturbed ones begin.
struct Start {
    snapshot: Snapshot,
    clock: u64,
    before: Changes,
}

impl Start {
    /// Goes on to a later clock.
    fn advance(&mut self, machine: &mut Machine, clock: u64) {
        machine.restore(&self.snapshot);
        machine.drain_ports();
        machine.run(clock - self.clock);
        self.before.take(machine);
        self.snapshot = machine.save();
        self.clock = clock;
    }
}

/// A machine that runs scenes.
pub struct Stage {
    guest: Guest,
    ready: Snapshot,
    /// The rows of the opcode map that undisturbed scenes have executed.
    pub executed: BTreeSet<usize>,
    /// Events forced so far.
    pub forced: u64,
    /// Clocks in which one was forced.
    pub clocks: u64,
}

impl Stage {
    /// A machine whose interrupt controllers have been set up, with random wait states or without.
    pub fn new(wait_seed: Option<u64>) -> Self {
        let mut guest = Guest::new(wait_seed);
        guest.begin(0);
        let program = guest.place(CODE, 32, |a| {
            // Cascaded, edges, automatic end of interrupt; only the forced line is open.
            for (port, value) in [
                (0x20, 0x11),
                (0x21, u32::from(FIRST_VECTOR)),
                (0x21, 0x04),
                (0x21, 0x03),
                (0x21, 0xFF & !(1u32 << LINE)),
                (0xA0, 0x11),
                (0xA1, 0x28),
                (0xA1, 0x02),
                (0xA1, 0x01),
                (0xA1, 0xFF),
            ] {
                a.mov(al, value)?;
                a.out(port, al)?;
            }
            Ok(())
        });
        guest.machine().invalidate();
        for _ in 1..program.addresses.len() {
            guest.machine().step().expect("an instruction");
        }
        let ready = guest.machine().save();
        Self {
            guest,
            ready,
            executed: BTreeSet::new(),
            forced: 0,
            clocks: 0,
        }
    }

    /// Runs a scene undisturbed, then with an event in each clock in turn.
    ///
    /// # Errors
    /// What differs, and in which clock the event was forced.
    pub fn check(&mut self, scene: &Scene, plan: &Plan) -> Result<(), String> {
        let Plan {
            forced,
            handler,
            step,
            ..
        } = *plan;
        let told = |problem: String| format!("{}: {problem}", scene.name);
        self.guest.machine().restore(&self.ready);
        self.guest.rebuild(scene.ring);
        place_handlers(&mut self.guest, handler);
        self.guest.set(number::EFLAGS, EFLAGS);
        let end = (scene.setup)(&mut self.guest);
        let machine = self.guest.machine();
        machine.invalidate();
        machine.resume();
        machine.drain_retired();
        machine.drain_ports();
        let begin = machine.save();

        machine.keep(true, true);
        let mut clocks = 0;
        let mut wakes = 0;
        while !ends(machine, end) {
            if machine.status().halted && clocks % 32 == 31 {
                machine.nmi();
                wakes += 1;
            }
            machine.run(1);
            clocks += 1;
            if clocks == LONGEST {
                let status = machine.status();
                return Err(told(format!("undisturbed, it is at {:08X}", status.eip)));
            }
        }
        let records = machine.drain_retired();
        self.executed
            .extend(records.iter().filter_map(|record| row_of(&record.bytes)));
        let mut start = Start {
            snapshot: begin,
            clock: 0,
            before: Changes::default(),
        };
        let expected = self.outcome(&start.before);
        if expected.handled != wakes {
            return Err(told(format!("undisturbed, {} events", expected.handled)));
        }
        self.guest.machine().keep(false, true);

        for clock in (0..=clocks).step_by(step) {
            if clock - start.clock >= STRIDE {
                start.advance(self.guest.machine(), clock);
            }
            self.clocks += 1;
            self.forced += u64::from(forced.events());
            let found = self.disturbed(&start, end, clock, forced);
            let label = |problem: &str| told(format!("{forced:?} in clock {clock}: {problem}"));
            let found = found.map_err(|problem| label(&problem))?;
            if let Some(difference) = expected.difference(&found) {
                return Err(label(&difference));
            }
        }
        Ok(())
    }

    /// The end of the scene, with an event in clock `clock`.
    fn disturbed(
        &mut self,
        start: &Start,
        end: u32,
        clock: u64,
        forced: Forced,
    ) -> Result<Outcome, String> {
        let machine = self.guest.machine();
        machine.restore(&start.snapshot);
        machine.drain_ports();
        machine.run(clock - start.clock);
        let limit = machine.status().cycle + PATIENCE;
        if forced != Forced::Nmi {
            machine.set_interrupt_lines(1 << LINE);
        }
        if forced != Forced::Interrupt {
            machine.nmi();
        }
        // No handler returns sooner.
        machine.run(SOONEST);
        let mut wakes = 0;
        loop {
            let machine = self.guest.machine();
            machine.run(1);
            let status = machine.status();
            let at_end = ends(machine, end);
            if !at_end && !status.halted && !status.shutdown && status.cycle < limit {
                continue;
            }
            let handled = self.guest.peek(COUNT);
            if at_end && handled >= forced.events() {
                break;
            }
            if status.halted && handled >= forced.events() {
                // It came before the HLT that it was to end.
                self.guest.machine().nmi();
                wakes += 1;
            }
            if status.shutdown || status.cycle > limit {
                return Err(format!(
                    "at {:08X} after {handled} events{}",
                    status.eip,
                    if status.shutdown { ", shut down" } else { "" }
                ));
            }
        }
        let outcome = self.outcome(&start.before);
        if outcome.handled != forced.events() + wakes {
            return Err(format!("{} events were handled", outcome.handled));
        }
        Ok(outcome)
    }

    /// The machine has reached the end of its scene; halts it.
    fn outcome(&mut self, before: &Changes) -> Outcome {
        let machine = self.guest.machine();
        machine.run(24);
        machine.debug_halt().expect("halts at the end");
        // What a null segment register was before means nothing.
        let protected = machine.read_register(number::CR0) & control_registers::CR0_PE != 0;
        let virtual_mode = machine.read_register(number::EFLAGS) & flags::VM != 0;
        let is_null = |machine: &mut Machine, register: u8| {
            let segment = register & 0xF;
            (number::BASE..number::CR0).contains(&register)
                && segment < number::GDTR
                && protected
                && !virtual_mode
                && machine.read_register(number::SELECTOR + segment) & !3 == 0
        };
        let registers = number::all()
            .filter(|(register, _)| !matches!(*register, number::TSC_LOW | number::TSC_HIGH))
            .filter_map(|(register, name)| {
                let none = is_null(machine, register);
                (!none).then(|| (name, machine.read_register(register)))
            })
            .collect();
        let mut changes = before.clone();
        changes.take(machine);
        Outcome {
            registers,
            changes,
            handled: self.guest.peek(COUNT),
        }
    }
}

impl Outcome {
    fn difference(&self, found: &Outcome) -> Option<String> {
        let registers = self.registers.iter().zip(&found.registers);
        let mut differences: Vec<String> = registers
            .filter(|(a, b)| a != b)
            .map(|((name, a), (_, b))| format!("{name} is {b:08X} instead of {a:08X}"))
            .collect();
        let (own, other) = (&self.changes, &found.changes);
        let pages: BTreeSet<&u32> = own.pages.keys().chain(other.pages.keys()).collect();
        for page in pages {
            match (own.pages.get(page), other.pages.get(page)) {
                (Some(a), Some(b)) => {
                    if let Some(at) = (0..a.len()).find(|at| a[*at] != b[*at]) {
                        differences.push(format!(
                            "{:08X} holds {:02X} instead of {:02X}",
                            page + at as u32,
                            b[at],
                            a[at]
                        ));
                    }
                }
                (a, _) => differences.push(format!(
                    "page {page:08X} is written only {} event",
                    if a.is_some() {
                        "without the"
                    } else {
                        "with the"
                    }
                )),
            }
        }
        if own.ports != other.ports {
            let (a, b) = (&own.ports, &other.ports);
            differences.push(format!("port accesses {b:X?} instead of {a:X?}"));
        }
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

/// An instruction that goes on at `end` has just completed.
fn ends(machine: &Machine, end: u32) -> bool {
    let status = machine.status();
    status.eip == end && status.completed == status.cycle
}

/// The place in `spec::opcodes::all()` of the row of an instruction's bytes; none if they are none.
fn row_of(bytes: &[u8]) -> Option<usize> {
    const PREFIXES: [u8; 11] = [
        0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3,
    ];
    let mut at = bytes.iter().position(|byte| !PREFIXES.contains(byte))?;
    let mut map = Map::OneByte;
    if bytes[at] == 0x0F {
        map = Map::TwoByte;
        at += 1;
    }
    let modrm = bytes.get(at + 1).copied().unwrap_or(0);
    let row: &Opcode = opcodes::lookup(map, bytes[at], modrm >> 3 & 7, modrm >> 6 == 3)?;
    opcodes::all().position(|other| other == row)
}

/// The rows that a scene must execute: every instruction, the coprocessor's aside that raise #UD without one.
pub fn instructions() -> impl Iterator<Item = (usize, &'static Opcode)> {
    opcodes::all()
        .enumerate()
        .filter(|(_, row)| row.kind == Kind::Instruction || is_probe(row))
}

/// An instruction by which programs ask for a coprocessor.
fn is_probe(row: &Opcode) -> bool {
    row.kind == Kind::Coprocessor && row.mnemonic != "x87"
}

/// Handlers of exceptions that count, and of the forced events.
fn place_handlers(guest: &mut Guest, handler: Handler) {
    for vector in (0..32).filter(|vector| *vector != exceptions::NMI) {
        let stub = STUBS + 16 * u32::from(vector);
        let has_code = exceptions::by_vector(vector).is_some_and(|row| row.has_error_code);
        let trap = matches!(vector, exceptions::DB | exceptions::BP | exceptions::OF);
        guest.place(stub, 32, |a| {
            if !has_code {
                a.push(0)?;
            }
            a.push(i32::from(vector))?;
            a.jmp(u64::from(if trap { GO_ON } else { SKIP }))
        });
        let open = if trap { 0xEE } else { 0x8E };
        guest.gate(vector, segments::gate(selector::CODE_0, stub, open, 0));
    }
    for (address, skips) in [(SKIP, true), (GO_ON, false)] {
        guest.place(address, 32, |a| {
            a.pushad()?;
            a.mov(eax, dword_ptr(esp + 32))?;
            a.inc(dword_ptr(eax * 4 + EXCEPTIONS).ss())?;
            a.mov(ecx, dword_ptr(esp + 36))?;
            a.mov(word_ptr(eax * 4 + ERROR_CODES).ss(), cx)?;
            if skips {
                a.mov(eax, dword_ptr(RESUMED).ss())?;
                a.mov(ecx, dword_ptr(eax * 4 + RESUMES).ss())?;
                a.inc(dword_ptr(RESUMED).ss())?;
                a.mov(dword_ptr(esp + 40), ecx)?;
            }
            a.popad()?;
            a.add(esp, 8)?;
            if !skips {
                // Else an instruction breakpoint comes again.
                a.or(dword_ptr(esp + 8), flags::RF as i32)?;
            }
            a.iretd()
        });
    }
    guest.place(BRIEF, 32, |a| {
        a.inc(dword_ptr(COUNT).ss())?;
        a.iretd()
    });
    guest.place(THOROUGH, 32, |a| {
        a.pushad()?;
        a.push(ds)?;
        a.push(es)?;
        a.inc(dword_ptr(COUNT).ss())?;
        a.mov(eax, i32::from(selector::DATA_0))?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.cld()?;
        a.mov(edi, SCRATCH as i32)?;
        a.mov(esi, (SCRATCH + 8) as i32)?;
        a.mov(ecx, 2)?;
        a.rep().movsd()?;
        a.mov(ecx, 3)?;
        a.rep().stosb()?;
        a.mul(ecx)?;
        a.mov(ecx, 7)?;
        a.div(ecx)?;
        a.lar(edx, ecx)?;
        a.mov(eax, cr3)?;
        a.mov(cr3, eax)?;
        a.pop(es)?;
        a.pop(ds)?;
        a.popad()?;
        a.iretd()
    });
    guest.place(REAL_MODE_HANDLER, 16, |a| {
        a.push(ds)?;
        a.push(ax)?;
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.inc(dword_ptr(COUNT))?;
        a.pop(ax)?;
        a.pop(ds)?;
        a.iret()
    });
    let event = match handler {
        Handler::Brief => BRIEF,
        Handler::Thorough => THOROUGH,
    };
    for vector in [exceptions::NMI, INTERRUPT] {
        guest.gate(vector, segments::gate(selector::CODE_0, event, 0x8E, 0));
    }
    // What the handlers touch has been touched before.
    let used = paging::PRESENT | paging::WRITABLE | paging::USER | paging::ACCESSED | paging::DIRTY;
    for page in (0..0x1_0000).step_by(paging::PAGE_BYTES as usize) {
        guest.page(page, used);
    }
    guest.poke(PAGE_DIRECTORY, PAGE_TABLE | used & !paging::DIRTY);
}

/// Checks every scene, on all processors of the host; prints what was done.
///
/// # Panics
/// A scene ends otherwise when it is interrupted, or no scene executes a row of the opcode map.
pub fn check(scenes: &[Scene], plans: &[Plan]) {
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = |_| {
        let mut failures = Vec::new();
        let mut stages: BTreeMap<Option<u64>, Stage> = BTreeMap::new();
        loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(scene) = scenes.get(at) else { break };
            for plan in plans {
                let seed = plan.wait_seed;
                let stage = stages.entry(seed).or_insert_with(|| Stage::new(seed));
                if let Err(problem) = stage.check(scene, plan) {
                    let handler = plan.handler;
                    failures.push(format!(
                        "{handler:?} handler, wait seed {seed:X?}: {problem}"
                    ));
                }
            }
        }
        let mut executed: BTreeSet<usize> = BTreeSet::new();
        let (mut clocks, mut forced) = (0, 0);
        for stage in stages.values() {
            executed.extend(&stage.executed);
            clocks += stage.clocks;
            forced += stage.forced;
        }
        (failures, executed, clocks, forced)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a worker"))
            .collect()
    });
    let mut failures = Vec::new();
    let mut executed = BTreeSet::new();
    let (mut clocks, mut forced) = (0, 0);
    for (problems, rows, worker_clocks, events) in results {
        failures.extend(problems);
        executed.extend(rows);
        clocks += worker_clocks;
        forced += events;
    }
    println!(
        "{} scenes, {} rows of the opcode map, {forced} events in {clocks} clocks",
        scenes.len(),
        executed.len()
    );
    let missing: Vec<String> = instructions()
        .filter(|(at, _)| !executed.contains(at))
        .map(|(_, row)| {
            let escape = if row.map == Map::TwoByte { "0F " } else { "" };
            let extension = row
                .extension
                .map_or(String::new(), |reg| format!(" /{reg}"));
            format!(
                "{} ({escape}{:02X}{extension} {:?})",
                row.mnemonic, row.byte, row.form
            )
        })
        .collect();
    assert!(
        failures.is_empty() && missing.is_empty(),
        "{} failures:\n{}\nno scene executes: {missing:#?}",
        failures.len(),
        failures.join("\n")
    );
}
