//! Debug registers: breakpoints of instructions, data and ports, RF, general detect.

use crate::case::*;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::control_registers::{CR4_DE, DR6_BD, DR6_BREAKPOINTS, DR6_BS};
use spec::registers as number;
use spec::{exceptions, flags};
use tests::guest::*;

const EXECUTE: u32 = 0;
const WRITE: u32 = 1;
const PORT: u32 = 2;
const ACCESS: u32 = 3;
/// Where a handler counts.
const COUNT: u32 = PROOF + 8;
/// DR7.GD.
const GENERAL_DETECT: u32 = 1 << 13;

/// Breakpoint `index`: its address, and locally enabled its kind and its length in bytes.
fn breakpoint(guest: &mut Guest, index: u8, address: u32, kind: u32, bytes: u32) {
    guest.set(number::DR0 + index, address);
    let length = match bytes {
        8 => 2,
        bytes => bytes - 1,
    };
    let old = guest.get(number::DR7);
    let control = (kind | length << 2) << (16 + 4 * index);
    guest.set(number::DR7, old | control | 1 << (2 * index));
}

/// Lets `count` instructions complete, or deliver their exceptions.
fn step(guest: &mut Guest, count: u32) {
    guest.machine().invalidate();
    for _ in 0..count {
        guest.machine().step().expect("halts after an instruction");
    }
}

fn status(guest: &mut Guest) -> u32 {
    guest.get(number::DR6) & !0xFFFF_0FF0
}

/// The debug handler counts and returns.
fn counting_handler(guest: &mut Guest) {
    let at = guest.gate_target() + 0x100;
    guest.place(at, 32, |a| {
        a.inc(dword_ptr(COUNT).ss())?;
        // Else the breakpoint comes again.
        a.or(dword_ptr(esp + 8), flags::RF as i32)?;
        a.iretd()
    });
    guest.gate(
        exceptions::DB,
        spec::segments::gate(selector::CODE_0, at, 0x8E, 0),
    );
}

#[test]
fn an_instruction_breakpoint_faults_before_the_instruction() {
    for mut guest in Guest::of_every_timing() {
        for ring in [0, 3] {
            for index in 0..4u8 {
                guest.begin(ring);
                let program = guest.program(|a| {
                    a.nop()?;
                    a.inc(dword_ptr(ebx))?;
                    a.nop()
                });
                let at = program.addresses[1];
                breakpoint(&mut guest, index, at, EXECUTE, 1);
                if index == 3 {
                    // Globally instead of locally.
                    let control = guest.get(number::DR7);
                    guest.set(number::DR7, control << 1 & 0xFF | control & !0xFF);
                }
                step(&mut guest, 2);
                assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
                assert_eq!(status(&mut guest), 1 << index);
                assert_eq!(guest.get(number::EFLAGS) & flags::RF, 0);
                assert_eq!(guest.run(), Stop::Halted);
                let event = guest.event().expect("an event");
                assert_eq!((event.vector, event.eip), (exceptions::DB, at));
                assert_eq!(event.eflags, flags::RESET, "RF as it was");
                assert_eq!(guest.peek(DATA), 0, "nothing has happened");
                assert!(guest.is_alive());
            }
        }
    }
}

#[test]
fn rf_lets_one_instruction_pass_its_breakpoint() {
    for mut guest in Guest::of_every_timing() {
        for ring in [0, 3] {
            guest.begin(ring);
            counting_handler(&mut guest);
            let program = guest.program(|a| {
                let mut again = a.create_label();
                a.mov(ecx, 3)?;
                a.set_label(&mut again)?;
                a.inc(dword_ptr(ebx))?;
                a.dec(ecx)?;
                a.jne(again)
            });
            breakpoint(&mut guest, 0, program.addresses[1], EXECUTE, 1);
            assert_eq!(guest.run(), Stop::Halted);
            assert_eq!(guest.event().expect("an event").vector, vector::COMPLETED);
            assert_eq!(guest.peek(DATA), 3);
            assert_eq!(guest.peek(COUNT), 3, "ring {ring}");
        }
    }
}

#[test]
fn pushf_does_not_show_rf() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(0);
        let stack = guest.get(4);
        // IRETD sets RF for the PUSHFD behind it.
        let program = guest.place(CODE, 32, |a| {
            a.push((flags::RESET | flags::RF | flags::CF) as i32)?;
            a.push(i32::from(selector::CODE_0))?;
            a.push((CODE + 0x10) as i32)?;
            a.iretd()
        });
        assert!(program.end() <= CODE + 0x10);
        guest.place(CODE + 0x10, 32, |a| {
            a.pushfd()?;
            a.nop()
        });
        step(&mut guest, 4);
        assert_eq!(
            guest.get(number::EFLAGS),
            flags::RESET | flags::RF | flags::CF
        );
        step(&mut guest, 1);
        assert_eq!(guest.peek(stack - 4), flags::RESET | flags::CF);
        assert_eq!(guest.get(number::EFLAGS), flags::RESET | flags::CF);
    }
}

#[test]
fn data_breakpoints_trap_behind_accesses_that_touch_them() {
    /// Breakpoint kind, address, bytes; the access; whether it traps.
    type Row = (u32, u32, u32, Code, bool);
    const AT: u32 = DATA + 0x10;
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (WRITE,  AT,     4, |a| a.mov(dword_ptr(ebx + 0x10), eax), true),
        (WRITE,  AT,     4, |a| a.mov(byte_ptr(ebx + 0x13), al),   true),
        (WRITE,  AT,     4, |a| a.mov(byte_ptr(ebx + 0x14), al),   false),
        (WRITE,  AT,     4, |a| a.mov(byte_ptr(ebx + 0x0F), al),   false),
        (WRITE,  AT,     4, |a| a.mov(word_ptr(ebx + 0x0F), ax),   true),
        (WRITE,  AT,     4, |a| a.mov(dword_ptr(ebx + 0x0D), eax), true),
        (WRITE,  AT,     4, |a| a.mov(dword_ptr(ebx + 0x0C), eax), false),
        (WRITE,  AT + 3, 4, |a| a.mov(byte_ptr(ebx + 0x10), al),   true),
        (WRITE,  AT + 3, 1, |a| a.mov(byte_ptr(ebx + 0x10), al),   false),
        (WRITE,  AT + 3, 1, |a| a.mov(dword_ptr(ebx + 0x10), eax), true),
        (WRITE,  AT,     2, |a| a.mov(byte_ptr(ebx + 0x11), al),   true),
        (WRITE,  AT,     2, |a| a.mov(byte_ptr(ebx + 0x12), al),   false),
        (WRITE,  AT,     8, |a| a.mov(byte_ptr(ebx + 0x17), al),   true),
        (WRITE,  AT,     4, |a| a.mov(eax, dword_ptr(ebx + 0x10)), false),
        (ACCESS, AT,     4, |a| a.mov(eax, dword_ptr(ebx + 0x10)), true),
        (ACCESS, AT,     4, |a| a.mov(dword_ptr(ebx + 0x10), eax), true),
        (WRITE,  AT,     4, |a| a.add(dword_ptr(ebx + 0x10), eax), true),
        (ACCESS, AT,     4, |a| a.add(eax, dword_ptr(ebx + 0x10)), true),
        (WRITE,  USER_STACK_TOP - 0x104, 4, |a| a.push(eax),       true),
        (PORT,   AT,     4, |a| a.mov(dword_ptr(ebx + 0x10), eax), false),
        (EXECUTE, AT,    1, |a| a.mov(byte_ptr(ebx + 0x10), al),   false),
    ];
    for mut guest in Guest::of_every_timing() {
        for (index, (kind, address, bytes, code, traps)) in rows.iter().enumerate() {
            guest.begin(3);
            let program = guest.program(*code);
            breakpoint(&mut guest, index as u8 % 4, *address, *kind, *bytes);
            // The instruction, and what comes next: its trap, or the one behind it.
            step(&mut guest, 1);
            let retired = guest.get(number::EIP);
            assert_eq!(retired, program.addresses[1], "row {index}");
            step(&mut guest, 1);
            let found = guest.get(number::EIP) == Guest::handler(exceptions::DB);
            assert_eq!(found, *traps, "row {index}");
            if found {
                assert_eq!(status(&mut guest), 1 << (index % 4), "row {index}");
                guest.run();
                let event = guest.event().expect("an event");
                assert_eq!(event.eip, program.addresses[1], "row {index}");
                assert_eq!(event.eflags & flags::RF, 0, "row {index}");
            }
        }
    }
}

#[test]
fn dr6_tells_all_that_was_met_once_one_enabled_breakpoint_was() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(3);
        guest.program(|a| a.mov(dword_ptr(ebx), eax));
        breakpoint(&mut guest, 0, DATA, WRITE, 4);
        breakpoint(&mut guest, 1, DATA, ACCESS, 1);
        breakpoint(&mut guest, 2, DATA + 4, WRITE, 4);
        breakpoint(&mut guest, 3, DATA + 2, WRITE, 2);
        // The last is met and not enabled.
        let control = guest.get(number::DR7);
        guest.set(number::DR7, control & !0xC0);
        guest.set(number::EFLAGS, flags::RESET | flags::TF);
        guest.set(number::DR6, DR6_BREAKPOINTS);
        step(&mut guest, 2);
        assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
        assert_eq!(status(&mut guest), DR6_BS | 0b1011);
    }
}

#[test]
fn breakpoints_of_ports_need_cr4_de() {
    for mut guest in Guest::of_every_timing() {
        for extensions in [0, CR4_DE] {
            guest.begin(0);
            guest.set(number::CR4, extensions);
            let program = guest.program(|a| {
                a.out(0x80, al)?;
                a.nop()
            });
            breakpoint(&mut guest, 2, 0x80, PORT, 1);
            step(&mut guest, 2);
            if extensions == 0 {
                assert_eq!(guest.get(number::EIP), program.addresses[2]);
            } else {
                assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
                assert_eq!(status(&mut guest), 4);
            }
        }
    }
}

#[test]
fn a_string_instruction_traps_behind_the_repetition_that_meets_a_breakpoint() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(3);
        let program = guest.program(|a| a.rep().movsb());
        guest.set(1, 5);
        breakpoint(&mut guest, 0, DATA + 0x101, WRITE, 1);
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!((event.vector, event.eip), (exceptions::DB, CODE));
        assert_eq!(event.general[1], 3);
        assert_eq!(event.general[7], DATA + 0x102);
        assert_eq!(program.addresses[0], CODE);
    }
}

#[test]
fn a_load_of_ss_holds_its_data_breakpoint_back_for_one_instruction() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(3);
        guest.poke(DATA, selector::DATA_3.into());
        let program = guest.program(|a| {
            a.mov(ss, word_ptr(ebx))?;
            a.nop()?;
            a.nop()
        });
        breakpoint(&mut guest, 0, DATA, ACCESS, 1);
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(
            (event.vector, event.eip),
            (exceptions::DB, program.addresses[2])
        );
    }
}

#[test]
fn general_detect_guards_the_debug_registers() {
    fn detect(guest: &mut Guest) {
        guest.set(number::DR7, 0x400 | GENERAL_DETECT);
    }
    fn extensions(guest: &mut Guest) {
        guest.set(number::CR4, CR4_DE);
    }
    let db = || Expected {
        vector: exceptions::DB,
        error_code: None,
        saved: Saved::Fault,
        cr2: None,
    };
    for mut guest in Guest::of_every_timing() {
        #[rustfmt::skip]
    check_on(&mut guest, &[
        prepared("read",                 0, detect,     |a| a.mov(eax, dr0), db()),
        prepared("write",                0, detect,     |a| a.mov(dr7, eax), db()),
        prepared("ring 3",               3, detect,     |a| a.mov(eax, dr0), gp(0)),
        row("ring 3",                    3,             |a| a.mov(dr1, eax), gp(0)),
        row("ring 0",                    0,             |a| a.mov(dr1, eax), completes()),
        row("alias of DR6",              0,             |a| a.mov(eax, dr4), completes()),
        prepared("alias with DE",        0, extensions, |a| a.mov(eax, dr4), ud()),
        prepared("alias with DE",        0, extensions, |a| a.mov(dr5, eax), ud()),
        prepared("alias in ring 3",      3, extensions, |a| a.mov(dr5, eax), ud()),
        prepared("DR6 with DE",          0, extensions, |a| a.mov(eax, dr6), completes()),
    ]);
        guest.begin(0);
        detect(&mut guest);
        guest.program(|a| a.mov(eax, dr0));
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
        assert_eq!(status(&mut guest), DR6_BD);
        assert_eq!(guest.get(number::DR7), 0x400, "the handler may look");
    }
}

#[test]
fn an_instruction_breakpoint_comes_before_the_fault_of_fetching_it() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(3);
        guest.set(number::EIP, ABSENT_PAGE);
        breakpoint(&mut guest, 1, ABSENT_PAGE, EXECUTE, 1);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
        assert_eq!(status(&mut guest), 2);
    }
}
