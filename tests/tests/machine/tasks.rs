//! Task switches: JMP, CALL, IRET, interrupts and exceptions, TSS of both sizes, and what can be wrong with them.

use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::control_registers::{CR0_TS, DR6_BT};
use spec::exceptions::{GP, NP, PF, TS, UD};
use spec::registers as number;
use spec::segments::{self, ACCESS_PRESENT, TASK_GATE, TSS_16_AVAILABLE, TSS_32_AVAILABLE};
use spec::{exceptions, flags, paging};
use tests::guest::*;

/// The TSS of the new task.
const NEW: u32 = TSS + 0x400;
/// Where the new task begins.
const THERE: u32 = CODE + 0x800;
/// Registers of the new task; ESP lies on a page of its own.
const GENERAL: [u32; 8] = [
    0xA1A2_A3A4,
    0xC1C2_C3C4,
    0xD1D2_D3D4,
    0xB1B2_B3B4,
    DATA + 0x4000,
    0x5152_5354,
    0x6162_6364,
    0x7172_7374,
];
const BUSY: u64 = 2 << 40;

fn step(guest: &mut Guest, count: u32) {
    guest.machine().invalidate();
    for _ in 0..count {
        guest.machine().step().expect("halts after an instruction");
    }
}

/// What differs between the two kinds of TSS.
#[derive(Clone, Copy, Debug)]
struct Kind {
    wide: bool,
}

const WIDE: Kind = Kind { wide: true };
const NARROW: Kind = Kind { wide: false };

impl Kind {
    fn bytes(self) -> u32 {
        if self.wide { 4 } else { 2 }
    }
    fn eip(self) -> u32 {
        if self.wide { 0x20 } else { 0x0E }
    }
    fn general(self) -> u32 {
        if self.wide { 0x28 } else { 0x12 }
    }
    fn selectors(self) -> u32 {
        if self.wide { 0x48 } else { 0x22 }
    }
    fn ldt(self) -> u32 {
        if self.wide { 0x60 } else { 0x2A }
    }
    fn limit(self) -> u32 {
        if self.wide { 0x67 } else { 0x2B }
    }
    fn access(self) -> u8 {
        ACCESS_PRESENT
            | if self.wide {
                TSS_32_AVAILABLE
            } else {
                TSS_16_AVAILABLE
            }
    }
    /// Its data segments: all memory, or 64 KB from `DATA` on.
    fn data(self) -> u16 {
        if self.wide {
            selector::DATA_0
        } else {
            selector::DATA_16_RING_0
        }
    }
    /// What a register of the new task is.
    fn value(self, register: usize) -> u32 {
        if self.wide {
            GENERAL[register]
        } else {
            0xFFFF_0000 | GENERAL[register]
        }
    }
    fn field(self, guest: &Guest, at: u32) -> u32 {
        guest.peek(at) & if self.wide { !0 } else { 0xFFFF }
    }
}

fn put(guest: &mut Guest, kind: Kind, at: u32, value: u32) {
    guest.poke_bytes(at, &value.to_le_bytes()[..kind.bytes() as usize]);
}

/// A second task in ring 0 that begins at `THERE` (16 bits: at `THERE` by a code segment with the base of `CODE`).
fn new_task(guest: &mut Guest, kind: Kind) {
    let task = segments::descriptor(NEW, kind.limit(), kind.access(), 0);
    guest.descriptor(selector::SECOND_TSS, task);
    guest.poke_bytes(NEW, &[0; 0x68]);
    if kind.wide {
        guest.poke(NEW + segments::TSS_CR3, PAGE_DIRECTORY);
        guest.poke(NEW + 0x66, 0x68);
        // Its stack for level 0, should it fault in another one.
        guest.poke(NEW + 4, STACK_TOP[0] - 0x400);
        guest.poke(NEW + 8, selector::DATA_0.into());
    } else {
        guest.poke(
            NEW + 2,
            (STACK_TOP[0] - 0x400) | u32::from(selector::DATA_0) << 16,
        );
    }
    let (code, eip) = if kind.wide {
        (selector::CODE_0, THERE)
    } else {
        (selector::CODE_16_RING_0, THERE - CODE)
    };
    put(guest, kind, NEW + kind.eip(), eip);
    let eflags = flags::RESET | flags::CF | flags::DF;
    put(guest, kind, NEW + kind.eip() + kind.bytes(), eflags);
    for (index, value) in (0..).zip(GENERAL) {
        put(
            guest,
            kind,
            NEW + kind.general() + kind.bytes() * index,
            value,
        );
    }
    let data = kind.data();
    for (index, value) in (0..).zip([data, code, data, data, data, data]) {
        if kind.wide || index < 4 {
            let at = NEW + kind.selectors() + kind.bytes() * index;
            put(guest, kind, at, value.into());
        }
    }
    put(guest, kind, NEW + kind.ldt(), selector::LDT.into());
    let bits = if kind.wide { 32 } else { 16 };
    guest.place(THERE, bits, |a| {
        a.nop()?;
        a.nop()
    });
}

fn set_selector(guest: &mut Guest, segment: u8, value: u16) {
    guest.poke(NEW + 0x48 + 4 * u32::from(segment), value.into());
}

fn far(opcode: u8, selector: u16) -> [u8; 7] {
    [opcode, 0, 0, 0, 0, selector as u8, (selector >> 8) as u8]
}
const JUMP: u8 = 0xEA;
const CALL: u8 = 0x9A;

fn busy(guest: &Guest, selector: u16) -> bool {
    guest.read_descriptor(selector) & BUSY != 0
}

fn assert_new_task(guest: &mut Guest, kind: Kind, eflags: u32, frame: u32) {
    let eip = if kind.wide { THERE } else { THERE - CODE };
    assert_eq!(guest.get(number::EIP), eip, "{kind:?}");
    assert_eq!(guest.get(number::EFLAGS), eflags, "{kind:?}");
    for register in 0..8 {
        let moved = if register == 4 { frame } else { 0 };
        assert_eq!(
            guest.get(register as u8),
            kind.value(register) - moved,
            "{kind:?}: {}",
            number::GENERAL[register]
        );
    }
    assert_eq!(
        guest.get(number::SELECTOR + number::TR),
        u32::from(selector::SECOND_TSS)
    );
    assert_eq!(guest.get(number::BASE + number::TR), NEW);
    assert_eq!(guest.get(number::LIMIT + number::TR), kind.limit());
    assert_eq!(
        guest.get(number::ACCESS + number::TR),
        u32::from(kind.access() | 2)
    );
    assert_eq!(
        guest.get(number::SELECTOR + number::LDTR),
        u32::from(selector::LDT)
    );
    assert_eq!(guest.get(number::BASE + number::LDTR), LDT);
    assert_eq!(guest.get(number::ACCESS + number::LDTR), 0x82);
    assert_ne!(guest.get(number::CR0) & CR0_TS, 0);
    assert_eq!(guest.get(number::CPL), 0);
    let (limit, access) = if kind.wide {
        (0xFFFF_FFFF, 0xC093)
    } else {
        (0xFFFF, 0x0093)
    };
    for s in [number::ES, number::SS, number::DS] {
        assert_eq!(guest.get(number::SELECTOR + s), u32::from(kind.data()));
        assert_eq!(guest.get(number::LIMIT + s), limit);
        assert_eq!(guest.get(number::ACCESS + s), access);
    }
    let rest = if kind.wide {
        u32::from(selector::DATA_0)
    } else {
        0
    };
    for s in [number::FS, number::GS] {
        assert_eq!(guest.get(number::SELECTOR + s), rest);
    }
}

#[test]
fn a_far_jump_to_a_tss_leaves_one_task_for_another() {
    for mut guest in Guest::of_every_timing() {
        for kind in [WIDE, NARROW] {
            guest.begin(0);
            new_task(&mut guest, kind);
            let before: Vec<u32> = (0..8).map(|register| guest.get(register)).collect();
            let eflags = flags::RESET | flags::ZF | flags::IF;
            guest.set(number::EFLAGS, eflags);
            let program = guest.program(|a| a.db(&far(JUMP, selector::SECOND_TSS)));
            step(&mut guest, 1);
            let new = flags::RESET | flags::CF | flags::DF;
            assert_new_task(&mut guest, kind, new, 0);
            // The old task.
            assert!(!busy(&guest, selector::TSS) && busy(&guest, selector::SECOND_TSS));
            assert_eq!(guest.peek(TSS + 0x20), program.end());
            assert_eq!(guest.peek(TSS + 0x24), eflags);
            for (index, value) in (0..).zip(before) {
                assert_eq!(guest.peek(TSS + 0x28 + 4 * index), value);
            }
            let (code, data) = (u32::from(selector::CODE_0), u32::from(selector::DATA_0));
            for (index, value) in (0..).zip([data, code, data, data, data, data]) {
                assert_eq!(guest.peek(TSS + 0x48 + 4 * index) & 0xFFFF, value);
            }
            assert_eq!(guest.peek(NEW) & 0xFFFF, 0, "no link");
            step(&mut guest, 1);
        }
    }
}

#[test]
fn a_call_nests_and_iret_returns_with_all_that_was() {
    for mut guest in Guest::of_every_timing() {
        for kind in [WIDE, NARROW] {
            guest.begin(3);
            new_task(&mut guest, kind);
            // Open to ring 3.
            let task = guest.read_descriptor(selector::SECOND_TSS);
            guest.descriptor(selector::SECOND_TSS, task | 0x60 << 40);
            let before: Vec<u32> = (0..8).map(|register| guest.get(register)).collect();
            let eflags = flags::RESET | flags::ZF | flags::IF;
            guest.set(number::EFLAGS, eflags);
            let bits = if kind.wide { 32 } else { 16 };
            guest.place(THERE, bits, |a| {
                if kind.wide {
                    a.iretd()?;
                } else {
                    a.iret()?;
                }
                a.nop()
            });
            let program = guest.program(|a| {
                a.db(&far(CALL, selector::SECOND_TSS | 3))?;
                a.nop()
            });
            guest.poke(TSS + segments::TSS_CR3, PAGE_DIRECTORY);
            guest.poke(TSS + segments::TSS_LDT, selector::LDT.into());
            step(&mut guest, 1);
            assert_eq!(
                guest.get(number::EFLAGS),
                flags::RESET | flags::CF | flags::DF | flags::NT
            );
            assert_eq!(guest.get(number::CPL), 0);
            assert_eq!(guest.peek(NEW) & 0xFFFF, u32::from(selector::TSS));
            assert!(busy(&guest, selector::TSS) && busy(&guest, selector::SECOND_TSS));
            step(&mut guest, 1);
            // Back, and the new task's state is kept behind its IRET.
            assert!(busy(&guest, selector::TSS) && !busy(&guest, selector::SECOND_TSS));
            assert_eq!(guest.get(number::EIP), program.addresses[1]);
            assert_eq!(guest.get(number::EFLAGS), eflags);
            assert_eq!(guest.get(number::CPL), 3);
            let after: Vec<u32> = (0..8).map(|register| guest.get(register)).collect();
            assert_eq!(after, before);
            assert_eq!(
                guest.get(number::SELECTOR + number::TR),
                u32::from(selector::TSS)
            );
            assert_eq!(guest.get(number::ACCESS + number::CS), 0xC0FB);
            let saved = kind.field(&guest, NEW + kind.eip());
            let begin = if kind.wide { THERE } else { THERE - CODE };
            assert_eq!(saved, begin + 1);
            let saved = kind.field(&guest, NEW + kind.eip() + kind.bytes());
            assert_eq!(saved, flags::RESET | flags::CF | flags::DF, "NT is clear");
            step(&mut guest, 1);
            assert_eq!(guest.get(number::EIP), program.addresses[2]);
        }
    }
}

/// A task gate to the second task, open to ring 3.
const GATE: u64 = segments::gate(
    selector::SECOND_TSS,
    0,
    ACCESS_PRESENT | segments::ACCESS_DPL | TASK_GATE,
    0,
);

#[test]
fn task_gates_are_for_jumps_calls_and_software_interrupts() {
    for mut guest in Guest::of_every_timing() {
        for kind in [WIDE, NARROW] {
            for way in 0..4 {
                guest.begin(3);
                new_task(&mut guest, kind);
                guest.gate(vector::USER, GATE);
                guest.descriptor(selector::CALL_GATE, GATE);
                guest.descriptor(selector::LOCAL_EMPTY, GATE);
                let program = guest.program(|a| match way {
                    0 => a.db(&far(JUMP, selector::CALL_GATE)),
                    1 => a.db(&far(CALL, selector::CALL_GATE)),
                    2 => a.db(&far(CALL, selector::LOCAL_EMPTY)),
                    _ => a.int(i32::from(vector::USER)),
                });
                step(&mut guest, 1);
                let nested = if way == 0 { 0 } else { flags::NT };
                let eflags = flags::RESET | flags::CF | flags::DF | nested;
                assert_new_task(&mut guest, kind, eflags, 0);
                assert_eq!(guest.peek(TSS + 0x20), program.end());
                assert_eq!(guest.peek(TSS + 0x24), flags::RESET);
                assert_eq!(busy(&guest, selector::TSS), way != 0);
            }
        }
    }
}

#[test]
fn an_exception_through_a_task_gate_pushes_its_error_code_on_the_new_stack() {
    for mut guest in Guest::of_every_timing() {
        for kind in [WIDE, NARROW] {
            guest.begin(3);
            new_task(&mut guest, kind);
            guest.gate(GP, GATE & !(0x60 << 40));
            guest.program(|a| a.db(&[0xCD, vector::RING_0_ONLY]));
            step(&mut guest, 1);
            let eflags = flags::RESET | flags::CF | flags::DF | flags::NT;
            assert_new_task(&mut guest, kind, eflags, kind.bytes());
            let top = GENERAL[4] - kind.bytes();
            let code = u32::from(vector::RING_0_ONLY) << 3 | 2;
            assert_eq!(kind.field(&guest, top), code);
            assert_eq!(guest.peek(TSS + 0x20), CODE);
            assert_eq!(guest.peek(TSS + 0x24), flags::RESET | flags::RF);
            // One without an error code.
            guest.begin(3);
            new_task(&mut guest, kind);
            guest.gate(UD, GATE & !(0x60 << 40));
            guest.program(|a| a.ud2());
            step(&mut guest, 1);
            assert_new_task(&mut guest, kind, eflags, 0);
        }
    }
}

#[test]
fn a_task_may_be_of_level_3_or_of_virtual_8086_mode() {
    for mut guest in Guest::of_every_timing() {
        for (opcode, nested) in [(JUMP, 0), (CALL, flags::NT)] {
            guest.begin(0);
            new_task(&mut guest, WIDE);
            for s in 0..6 {
                set_selector(&mut guest, s, selector::DATA_3);
            }
            set_selector(&mut guest, number::CS, selector::CODE_3);
            set_selector(&mut guest, number::GS, 0);
            guest.program(|a| a.db(&far(opcode, selector::SECOND_TSS)));
            step(&mut guest, 1);
            assert_eq!(guest.get(number::CPL), 3);
            assert_eq!(guest.get(number::EIP), THERE);
            assert_eq!(guest.get(number::SELECTOR + number::GS), 0);
            assert_eq!(guest.get(number::ACCESS + number::SS), 0xC0F3);

            guest.begin(0);
            new_task(&mut guest, WIDE);
            let eflags = flags::RESET | flags::VM | flags::IOPL;
            guest.poke(NEW + 0x24, eflags);
            guest.poke(NEW + 0x20, 0x800);
            for s in 0..6u8 {
                set_selector(&mut guest, s, 0x2000 + 0x10 * u16::from(s));
            }
            set_selector(&mut guest, number::CS, (CODE >> 4) as u16);
            guest.program(|a| a.db(&far(opcode, selector::SECOND_TSS)));
            step(&mut guest, 1);
            assert_eq!(guest.get(number::CPL), 3);
            assert_eq!(guest.get(number::EFLAGS), eflags | nested);
            for s in 0..6u8 {
                let value = guest.get(number::SELECTOR + s);
                assert_eq!(guest.get(number::BASE + s), value << 4);
                assert_eq!(guest.get(number::LIMIT + s), 0xFFFF);
                assert_eq!(guest.get(number::ACCESS + s), 0xF3);
            }
            step(&mut guest, 1);
            assert_eq!(guest.get(number::EIP), 0x801);
        }
    }
}

#[test]
fn a_new_task_has_its_own_pages() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(0);
        new_task(&mut guest, WIDE);
        // The same page table, and one page of data elsewhere.
        let (directory, table) = (0x5_0000, 0x5_1000);
        guest.poke(NEW + segments::TSS_CR3, directory);
        let rights = paging::PRESENT | paging::WRITABLE | paging::USER;
        guest.poke(directory, table | rights);
        for page in 0..0x80 {
            guest.poke(table + 4 * page, page << 12 | rights);
        }
        guest.poke(table + 4 * (DATA >> 12), 0x6_0000 | rights);
        guest.poke(0x6_0000, 0x1234_5678);
        guest.place(THERE, 32, |a| a.mov(eax, dword_ptr(DATA)));
        // It is translated before.
        guest.program(|a| {
            a.mov(eax, dword_ptr(DATA))?;
            a.db(&far(JUMP, selector::SECOND_TSS))
        });
        step(&mut guest, 3);
        assert_eq!(guest.get(0), 0x1234_5678);
        assert_eq!(guest.get(number::CR3), directory);
    }
}

#[test]
fn the_t_bit_traps_before_the_first_instruction_of_the_task() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(0);
        new_task(&mut guest, WIDE);
        guest.poke(NEW + 0x64, 0x68_0001);
        // Breakpoints that are local to a task end with it.
        guest.set(number::DR7, 0x400 | 0b1001);
        guest.set(number::DR0, THERE);
        guest.program(|a| a.db(&far(JUMP, selector::SECOND_TSS)));
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), THERE);
        assert_eq!(guest.get(number::DR7), 0x400 | 0b1000);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
        assert_eq!(guest.get(number::DR6) & 0xE00F, DR6_BT);
        assert_eq!(guest.run(), Stop::Halted);
        assert_eq!(guest.event().expect("an event").eip, THERE);
    }
}

/// What is wrong, the vector and error code, and whether the old task has it.
type Wrong = (&'static str, fn(&mut Guest), u8, u16, bool);

#[test]
fn what_is_wrong_with_a_new_task_is_found_in_the_old_or_in_the_new_one() {
    fn access(guest: &mut Guest, access: u8) {
        guest.poke_bytes(GDT + u32::from(selector::SECOND_TSS) + 5, &[access]);
    }
    const NEW_TASK: u16 = selector::SECOND_TSS;
    const DATA_ABSENT_0: u16 = selector::ABSENT_DATA & !3;
    #[rustfmt::skip]
    let rows: &[Wrong] = &[
        ("busy",                 |g| access(g, 0x8B), GP, NEW_TASK, true),
        ("not present",          |g| access(g, 0x09), NP, NEW_TASK, true),
        ("too short",            |g| g.poke_bytes(GDT + u32::from(NEW_TASK), &[0x66]), TS, NEW_TASK, true),
        ("page of the TSS",      |g| g.page(TSS, 0), PF, 0, true),
        ("LDT is data",          |g| g.poke(NEW + 0x60, selector::DATA_0.into()), TS, selector::DATA_0, false),
        ("LDT in the LDT",       |g| g.poke(NEW + 0x60, selector::LOCAL_DATA.into()), TS, selector::LOCAL_DATA & !3, false),
        ("LDT beyond the table", |g| g.poke(NEW + 0x60, selector::BEYOND.into()), TS, selector::BEYOND & !3, false),
        ("LDT not present",      |g| g.poke(NEW + 0x60, selector::ABSENT_LDT.into()), TS, selector::ABSENT_LDT, false),
        ("CS null",              |g| set_selector(g, number::CS, 0), TS, 0, false),
        ("CS is data",           |g| set_selector(g, number::CS, selector::DATA_0), TS, selector::DATA_0, false),
        ("CS of another level",  |g| set_selector(g, number::CS, selector::CODE_1 & !3), TS, selector::CODE_1 & !3, false),
        ("CS beyond the table",  |g| set_selector(g, number::CS, selector::BEYOND & !3), TS, selector::BEYOND & !3, false),
        ("SS null",              |g| set_selector(g, number::SS, 0), TS, 0, false),
        ("SS of another level",  |g| set_selector(g, number::SS, selector::DATA_3), TS, selector::DATA_3 & !3, false),
        ("SS is code",           |g| set_selector(g, number::SS, selector::CODE_0), TS, selector::CODE_0, false),
        ("DS is execute-only",   |g| set_selector(g, number::DS, selector::EXECUTE_ONLY), TS, selector::EXECUTE_ONLY & !3, false),
        ("ES is a TSS",          |g| set_selector(g, number::ES, selector::TSS), TS, selector::TSS, false),
        ("GS beyond the table",  |g| set_selector(g, number::GS, selector::BEYOND), TS, selector::BEYOND & !3, false),
        ("FS not present",       |g| set_selector(g, number::FS, DATA_ABSENT_0), NP, DATA_ABSENT_0, false),
        ("EIP beyond the limit", |g| { set_selector(g, number::CS, selector::CODE_16_RING_0); g.poke(NEW + 0x20, 0x1_0000) }, GP, 0, false),
    ];
    for mut guest in Guest::of_every_timing() {
        for opcode in [JUMP, CALL] {
            for (name, spoil, vector, code, old) in rows {
                guest.begin(0);
                new_task(&mut guest, WIDE);
                spoil(&mut guest);
                guest.program(|a| a.db(&far(opcode, selector::SECOND_TSS)));
                guest.machine().drain_retired();
                guest.machine().invalidate();
                let stepped = guest.machine().step();
                let records = guest.machine().drain_retired();
                let fault = records
                    .iter()
                    .find(|record| record.exception)
                    .unwrap_or_else(|| panic!("{name}: no fault; {stepped:?}"));
                assert_eq!((fault.vector, fault.error_code), (*vector, *code), "{name}");
                let place = guest.peek(NEW + 0x20);
                let expected = if *old { CODE } else { place };
                assert_eq!(fault.eip, expected, "{name}");
            }
        }
    }
}

#[test]
fn a_return_to_a_task_that_is_not_busy_is_an_invalid_tss() {
    for mut guest in Guest::of_every_timing() {
        for (link, code) in [
            (selector::SECOND_TSS, selector::SECOND_TSS),
            (selector::NULL, 0),
            (selector::DATA_0, selector::DATA_0),
            (selector::BEYOND & !3, selector::BEYOND & !3),
            (selector::LOCAL_DATA & !3, selector::LOCAL_DATA & !3),
        ] {
            guest.begin(0);
            new_task(&mut guest, WIDE);
            guest.poke(TSS, link.into());
            guest.set(number::EFLAGS, flags::RESET | flags::NT);
            guest.program(|a| a.iretd());
            guest.run();
            let event = guest.event().expect("an event");
            assert_eq!((event.vector, event.error_code), (TS, Some(code)));
            assert_eq!(event.eip, CODE);
            assert!(guest.is_alive());
        }
    }
}

#[test]
fn gates_and_tss_of_level_0_are_not_for_level_3() {
    for mut guest in Guest::of_every_timing() {
        for target in [selector::SECOND_TSS, selector::CALL_GATE_RING_0] {
            guest.begin(3);
            new_task(&mut guest, WIDE);
            guest.descriptor(selector::CALL_GATE_RING_0, GATE & !(0x60 << 40));
            guest.program(|a| a.db(&far(CALL, target)));
            guest.run();
            let event = guest.event().expect("an event");
            assert_eq!((event.vector, event.error_code), (GP, Some(target & !3)));
        }
    }
}

#[test]
fn a_double_fault_through_a_task_gate_has_a_stack_when_nobody_else_has() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(0);
        new_task(&mut guest, WIDE);
        guest.gate(exceptions::DF, GATE & !(0x60 << 40));
        // Every push faults.
        guest.set(4, ABSENT_PAGE + 0x100);
        guest.set(number::ACCESS + number::SS, 0);
        guest.program(|a| a.push(eax));
        step(&mut guest, 1);
        let eflags = flags::RESET | flags::CF | flags::DF | flags::NT;
        assert_new_task(&mut guest, WIDE, eflags, 4);
        assert_eq!(guest.peek(GENERAL[4] - 4), 0);
    }
}
