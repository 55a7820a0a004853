//! Gates, far transfers, and returns.

use crate::case::*;
use iced_x86::code_asm::*;
use spec::flags;
use spec::registers as number;
use spec::segments;
use tests::guest::*;

/// CALL FAR to a selector; a gate ignores the offset.
fn call_far(a: &mut CodeAssembler, selector: u16, offset: u32) -> Result<(), iced_x86::IcedError> {
    let mut bytes = vec![0x9A];
    bytes.extend(offset.to_le_bytes());
    bytes.extend(selector.to_le_bytes());
    a.db(&bytes)
}

/// JMP FAR.
fn jump_far(a: &mut CodeAssembler, selector: u16, offset: u32) -> Result<(), iced_x86::IcedError> {
    let mut bytes = vec![0xEA];
    bytes.extend(offset.to_le_bytes());
    bytes.extend(selector.to_le_bytes());
    a.db(&bytes)
}

fn software_interrupt(a: &mut CodeAssembler, vector: u8) -> Result<(), iced_x86::IcedError> {
    a.db(&[0xCD, vector])
}

/// Error code that names a gate of the IDT.
const fn idt(vector: u8) -> u16 {
    (vector as u16) << 3 | spec::exceptions::ERROR_IDT
}

#[test]
fn software_interrupts_check_gate_and_target() {
    #[rustfmt::skip]
    check(&[
        row("open gate",             3, |a| software_interrupt(a, vector::USER), enters(vector::USER)),
        row("open gate",             0, |a| software_interrupt(a, vector::USER), enters(vector::USER)),
        row("trap gate",             3, |a| software_interrupt(a, vector::TRAP), enters(vector::TRAP)),
        row("gate of ring 0",        3, |a| software_interrupt(a, vector::RING_0_ONLY), gp(idt(vector::RING_0_ONLY))),
        row("gate of ring 0",        1, |a| software_interrupt(a, vector::RING_0_ONLY), gp(idt(vector::RING_0_ONLY))),
        row("gate of ring 0",        0, |a| software_interrupt(a, vector::RING_0_ONLY), enters(vector::USER)),
        row("int 13 from ring 3",    3, |a| software_interrupt(a, 13), gp(idt(13))),
        row("not present",           3, |a| software_interrupt(a, vector::ABSENT), np(idt(vector::ABSENT))),
        row("not a gate",            3, |a| software_interrupt(a, vector::NOT_A_GATE), gp(idt(vector::NOT_A_GATE))),
        row("null selector",         3, |a| software_interrupt(a, vector::NULL_CODE), gp(0)),
        row("data as code",          3, |a| software_interrupt(a, vector::DATA_AS_CODE), gp(selector::DATA_0)),
        row("code not present",      3, |a| software_interrupt(a, vector::ABSENT_CODE), np(selector::ABSENT_CODE & !3)),
        row("code beyond the table", 3, |a| software_interrupt(a, vector::BEYOND_TABLE), gp(selector::BEYOND & !3)),
        row("offset beyond limit",   3, |a| software_interrupt(a, vector::BEYOND_CODE), gp(0)),
        row("outward",               0, |a| software_interrupt(a, vector::OUTWARD), gp(selector::CODE_3 & !3)),
        row("beyond the IDT",        3, |a| software_interrupt(a, vector::FIRST_MISSING), gp(idt(vector::FIRST_MISSING))),
        row("beyond the IDT",        0, |a| software_interrupt(a, 0xFF), gp(idt(0xFF))),
    ]);
}

#[test]
fn a_stack_switch_checks_what_the_tss_gives() {
    check(&stack_switches());
}

/// Entries to ring 1 with all that can be wrong with its stack.
pub fn stack_switches() -> Vec<Case> {
    /// Ring 1's stack, which INT `RING_1` and the call gate to ring 1 take.
    fn stack(guest: &mut Guest, selector: u16) {
        guest.poke(
            TSS + segments::TSS_SS0 + segments::TSS_RING_BYTES,
            selector.into(),
        );
    }
    fn short(guest: &mut Guest) {
        guest.set(
            number::LIMIT + number::TR,
            segments::TSS_SS0 + segments::TSS_RING_BYTES,
        );
    }
    fn absent(guest: &mut Guest) {
        stack(guest, selector::ABSENT_DATA & !3 | 1);
        // The same, of ring 1.
        let descriptor = guest.read_descriptor(selector::ABSENT_DATA);
        guest.descriptor(
            selector::ABSENT_DATA,
            descriptor & !(0x60 << 40) | 0x20 << 40,
        );
    }
    fn too_small(guest: &mut Guest) {
        guest.poke(TSS + segments::TSS_ESP0 + segments::TSS_RING_BYTES, 8);
        let small = segments::descriptor(DATA, 0xFF, 0xB3, segments::FLAG_BIG);
        guest.descriptor(selector::DATA_1, small);
    }
    fn no_page(guest: &mut Guest) {
        guest.poke(
            TSS + segments::TSS_ESP0 + segments::TSS_RING_BYTES,
            ABSENT_PAGE + 0x1000,
        );
    }
    const READ_ONLY_1: u16 = selector::READ_ONLY & !3 | 1;
    #[rustfmt::skip]
    let cases = vec![
        row("int", 3, |a| software_interrupt(a, vector::RING_1), completes()),
        prepared("null", 3, |g| stack(g, 0), |a| software_interrupt(a, vector::RING_1), ts(0)),
        prepared("null", 3, |g| stack(g, 0), |a| call_far(a, selector::CALL_GATE_RING_1, 0), ts(0)),
        prepared("RPL 0", 3, |g| stack(g, selector::DATA_1 & !3), |a| software_interrupt(a, vector::RING_1), ts(selector::DATA_1 & !3)),
        prepared("ring 0 data", 3, |g| stack(g, selector::DATA_0 | 1), |a| software_interrupt(a, vector::RING_1), ts(selector::DATA_0)),
        prepared("ring 0 data", 3, |g| stack(g, selector::DATA_0 | 1), |a| call_far(a, selector::CALL_GATE_RING_1, 0), ts(selector::DATA_0)),
        prepared("code", 3, |g| stack(g, selector::CODE_1), |a| software_interrupt(a, vector::RING_1), ts(selector::CODE_1 & !3)),
        prepared("read-only", 3, |g| stack(g, READ_ONLY_1), |a| software_interrupt(a, vector::RING_1), ts(READ_ONLY_1 & !3)),
        prepared("beyond the table", 3, |g| stack(g, selector::BEYOND), |a| software_interrupt(a, vector::RING_1), ts(selector::BEYOND & !3)),
        prepared("not present", 3, absent, |a| software_interrupt(a, vector::RING_1), stack_fault(selector::ABSENT_DATA & !3)),
        prepared("TSS too short", 3, short, |a| software_interrupt(a, vector::RING_1), ts(selector::TSS)),
        prepared("TSS too short", 3, short, |a| call_far(a, selector::CALL_GATE_RING_1, 0), ts(selector::TSS)),
        prepared("no room", 3, too_small, |a| software_interrupt(a, vector::RING_1), stack_fault(selector::DATA_1 & !3)),
        prepared("no room", 3, too_small, |a| call_far(a, selector::CALL_GATE_RING_1, 0), stack_fault(selector::DATA_1 & !3)),
        prepared("no page", 3, no_page, |a| software_interrupt(a, vector::RING_1), pf(spec::paging::ERROR_WRITE, ABSENT_PAGE + 0xFFC)),
    ];
    cases
}

#[test]
fn an_interrupt_gate_clears_if_and_a_trap_gate_keeps_it() {
    let mut guest = Guest::new(None);
    for (entry, kept) in [(vector::USER, 0), (vector::TRAP, flags::IF)] {
        guest.begin(3);
        let before = flags::RESET | flags::IF | flags::NT | flags::DF | flags::CF;
        guest.set(number::EFLAGS, before);
        guest.program(|a| software_interrupt(a, entry));
        guest.machine().set_breakpoint(Guest::handler(entry));
        guest.run();
        guest.machine().debug_halt().expect("halts at the handler");
        assert_eq!(guest.get(number::CPL), 0);
        assert_eq!(
            guest.get(number::EFLAGS),
            flags::RESET | flags::DF | flags::CF | kept
        );
        // SS, ESP, EFLAGS, CS, EIP.
        assert_eq!(guest.get(4), STACK_TOP[0] - 20);
        assert_eq!(guest.peek(STACK_TOP[0] - 4), u32::from(selector::DATA_3));
        assert_eq!(guest.peek(STACK_TOP[0] - 8), USER_STACK_TOP - 0x100);
        assert_eq!(guest.peek(STACK_TOP[0] - 12), before);
        assert_eq!(guest.peek(STACK_TOP[0] - 16), u32::from(selector::CODE_3));
        assert_eq!(guest.peek(STACK_TOP[0] - 20), CODE + 2);
        guest.machine().clear_breakpoint(Guest::handler(entry));
    }
}

#[test]
fn a_gate_to_conforming_code_keeps_level_and_stack() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    guest.program(|a| software_interrupt(a, vector::CONFORMING));
    guest.machine().set_breakpoint(Guest::handler(vector::USER));
    guest.run();
    guest.machine().debug_halt().expect("halts at the handler");
    assert_eq!(guest.get(number::CPL), 3);
    assert_eq!(
        guest.get(number::SELECTOR + number::CS),
        u32::from(selector::CONFORMING | 3)
    );
    assert_eq!(
        guest.get(number::SELECTOR + number::SS),
        u32::from(selector::DATA_3)
    );
    guest
        .machine()
        .clear_breakpoint(Guest::handler(vector::USER));
}

#[test]
fn far_calls_and_jumps_check_code_segments_and_gates() {
    #[rustfmt::skip]
    check(&[
        row("jmp", 3, |a| jump_far(a, selector::CODE_3, CODE + 7), completes()),
        row("jmp with RPL 0", 3, |a| jump_far(a, selector::CODE_3 & !3, CODE + 7), completes()),
        row("jmp to ring 0", 3, |a| jump_far(a, selector::CODE_0, CODE), gp(selector::CODE_0)),
        row("jmp to ring 0 with RPL 3", 3, |a| jump_far(a, selector::CODE_0 | 3, CODE), gp(selector::CODE_0)),
        row("jmp to ring 3", 0, |a| jump_far(a, selector::CODE_3, CODE), gp(selector::CODE_3 & !3)),
        row("jmp with RPL 3", 0, |a| jump_far(a, selector::CODE_0 | 3, CODE), gp(selector::CODE_0)),
        row("jmp to conforming code", 3, |a| jump_far(a, selector::CONFORMING | 3, CODE + 7), completes()),
        row("call to conforming code", 3, |a| call_far(a, selector::CONFORMING, CODE + 7), completes()),
        row("jmp to null", 3, |a| jump_far(a, 0, CODE), gp(0)),
        row("call to null", 0, |a| call_far(a, 3, CODE), gp(0)),
        row("jmp to data", 3, |a| jump_far(a, selector::DATA_3, CODE), gp(selector::DATA_3 & !3)),
        row("jmp beyond the table", 3, |a| jump_far(a, selector::BEYOND, CODE), gp(selector::BEYOND & !3)),
        row("jmp to absent code", 3, |a| jump_far(a, selector::ABSENT_CODE, CODE), np(selector::ABSENT_CODE & !3)),
        row("jmp beyond the limit", 3, |a| jump_far(a, selector::SMALL_CODE, 0x1000), gp(0)),
        row("call beyond the limit", 3, |a| call_far(a, selector::SMALL_CODE, 0x1000), gp(0)),
        row("call", 3, |a| call_far(a, selector::CODE_3, CODE + 7), completes()),
        row("call to ring 0", 3, |a| call_far(a, selector::CODE_0, CODE), gp(selector::CODE_0)),
        row("jmp to an LDT's descriptor", 0, |a| jump_far(a, selector::LDT, CODE), gp(selector::LDT)),
        row("call to reserved type", 3, |a| call_far(a, selector::RESERVED, CODE), gp(selector::RESERVED & !3)),
        prepared("call [m]", 3, |g| { g.poke(DATA, CODE + 2); g.poke(DATA + 4, selector::CODE_3.into()) }, |a| a.db(&[0xFF, 0x1B]), completes()),
        prepared("jmp [m]", 3, |g| { g.poke(DATA, CODE + 2); g.poke(DATA + 4, selector::CODE_3.into()) }, |a| a.db(&[0xFF, 0x2B]), completes()),
        prepared("jmp [m] to ring 0", 3, |g| { g.poke(DATA, CODE); g.poke(DATA + 4, selector::CODE_0.into()) }, |a| a.db(&[0xFF, 0x2B]), gp(selector::CODE_0)),
        prepared("call pushes on an absent page", 3, |g| g.set(4, ABSENT_PAGE + 4), |a| call_far(a, selector::CODE_3, CODE), pf(6, ABSENT_PAGE)),
        row("call gate", 3, |a| call_far(a, selector::CALL_GATE, 0xDEAD_BEEF), completes()),
        row("call gate", 0, |a| call_far(a, selector::CALL_GATE & !3, 0), completes()),
        row("call gate from ring 1", 1, |a| call_far(a, selector::CALL_GATE & !3, 0), completes()),
        row("call gate with parameters", 3, |a| call_far(a, selector::CALL_GATE_3, 0), completes()),
        row("call gate to ring 1", 3, |a| call_far(a, selector::CALL_GATE_RING_1, 0), completes()),
        row("call gate of ring 0", 3, |a| call_far(a, selector::CALL_GATE_RING_0, 0), gp(selector::CALL_GATE_RING_0 & !3)),
        row("call gate of ring 0 with RPL 3", 0, |a| call_far(a, selector::CALL_GATE_RING_0, 0), gp(selector::CALL_GATE_RING_0 & !3)),
        row("call gate not present", 3, |a| call_far(a, selector::CALL_GATE_ABSENT, 0), np(selector::CALL_GATE_ABSENT & !3)),
        row("call gate with null", 3, |a| call_far(a, selector::CALL_GATE_NULL, 0), gp(0)),
        row("call gate to data", 3, |a| call_far(a, selector::CALL_GATE_DATA, 0), gp(selector::DATA_0)),
        row("jmp through a gate inward", 3, |a| jump_far(a, selector::CALL_GATE, 0), gp(selector::CODE_0)),
        row("jmp through a gate", 0, |a| jump_far(a, selector::CALL_GATE & !3, 0), completes()),
    ]);
}

#[test]
fn a_call_gate_copies_its_parameters_and_retf_releases_them_on_both_stacks() {
    let mut guest = Guest::new(None);
    for (gate, parameters) in [(selector::CALL_GATE, 0u32), (selector::CALL_GATE_3, 3)] {
        guest.begin(3);
        let user = USER_STACK_TOP - 0x100;
        for parameter in 0..3 {
            guest.poke(user + 4 * parameter, 0x1111_1111 * (parameter + 1));
        }
        let target = guest.gate_target();
        guest.place(target, 32, |a| {
            a.mov(ecx, esp)?;
            a.mov(edx, ss)?;
            a.mov(esi, cs)?;
            a.mov(eax, dword_ptr(esp + 8))?;
            a.retf_1(4 * parameters)
        });
        let program = guest.program(|a| call_far(a, gate, 0));
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(event.vector, vector::COMPLETED, "{gate:04X}");
        assert_eq!(event.eip, program.end() + 2);
        assert_eq!(event.cs, selector::CODE_3);
        assert_eq!(event.ss, selector::DATA_3);
        assert_eq!(event.esp, user + 4 * parameters);
        let inner = STACK_TOP[0] - 16 - 4 * parameters;
        assert_eq!(event.general[1], inner);
        assert_eq!(event.general[2] as u16, selector::DATA_0);
        assert_eq!(event.general[6] as u16, selector::CODE_0);
        if parameters == 3 {
            assert_eq!(event.general[0], 0x1111_1111);
        } else {
            assert_eq!(event.general[0], user);
        }
        assert!(guest.is_alive());
    }
}

#[test]
fn a_return_outward_takes_away_segments_that_the_outer_level_may_not_use() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    let target = guest.gate_target();
    guest.place(target, 32, |a| {
        a.mov(eax, i32::from(selector::DATA_0))?;
        a.mov(ds, eax)?;
        a.mov(fs, eax)?;
        a.mov(eax, i32::from(selector::CONFORMING))?;
        a.mov(gs, eax)?;
        a.retf()
    });
    let program = guest.program(|a| {
        call_far(a, selector::CALL_GATE, 0)?;
        a.mov(ecx, ds)?;
        a.mov(edx, fs)?;
        a.mov(esi, gs)?;
        a.mov(edi, es)?;
        a.mov(al, byte_ptr(ebx))
    });
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!((event.vector, event.error_code), (13, Some(0)));
    assert_eq!(event.eip, program.last());
    let selectors = [1, 2, 6, 7].map(|register| event.general[register] as u16);
    assert_eq!(selectors, [0, 0, selector::CONFORMING, selector::DATA_3]);
}

/// Pushes a frame for IRETD or RETF and runs the instruction.
fn frame(words: &[u32], retf: bool) -> Vec<u8> {
    let mut asm = CodeAssembler::new(32).expect("32 bits");
    for word in words.iter().rev() {
        asm.push(*word as i32).expect("push");
    }
    if retf {
        asm.retf().expect("retf");
    } else {
        asm.iretd().expect("iretd");
    }
    asm.assemble(CODE.into()).expect("assembles")
}

#[test]
fn returns_check_code_stack_and_level() {
    let end = CODE + 0x100;
    let code_3 = u32::from(selector::CODE_3);
    let data_3 = u32::from(selector::DATA_3);
    let code_0 = u32::from(selector::CODE_0);
    let data_0 = u32::from(selector::DATA_0);
    let user = USER_STACK_TOP - 0x200;
    let flags = flags::RESET;
    let general = |code: u32| (13u8, Some(code as u16));
    let absent = |code: u32| (11u8, Some(code as u16));
    let stack = |code: u32| (12u8, Some(code as u16));
    let done = (vector::COMPLETED, None);
    let other = |selector: u16| u32::from(selector);
    // (label, ring, EIP, CS, ESP, SS, event); IRETD has EFLAGS behind CS.
    #[rustfmt::skip]
    let rows = [
        ("to ring 3", 0, end, code_3, user, data_3, done),
        ("to ring 0", 0, end, code_0, user, data_3, done),
        ("within ring 3", 3, end, code_3, user, data_3, done),
        ("inward", 3, end, code_0, user, data_3, general(code_0)),
        ("inward from 3 to 1", 3, end, other(selector::CODE_1), user, data_3, general(other(selector::CODE_1) & !3)),
        ("CS null", 0, end, 0, user, data_3, general(0)),
        ("CS null with RPL 3", 3, end, 3, user, data_3, general(0)),
        ("CS is data", 0, end, data_3, user, data_3, general(data_3 & !3)),
        ("CS of ring 0 with RPL 3", 0, end, code_0 | 3, user, data_3, general(code_0)),
        ("CS of ring 3 with RPL 0", 0, end, code_3 & !3, user, data_3, general(code_3 & !3)),
        ("CS beyond the table", 0, end, other(selector::BEYOND), user, data_3, general(other(selector::BEYOND) & !3)),
        ("CS not present", 0, end, other(selector::ABSENT_CODE), user, data_3, absent(other(selector::ABSENT_CODE) & !3)),
        ("EIP beyond the limit", 0, 0x1000, other(selector::SMALL_CODE), user, data_3, general(0)),
        ("EIP beyond the limit", 3, 0x1000, other(selector::SMALL_CODE), user, data_3, general(0)),
        ("to conforming code as ring 3", 0, end, other(selector::CONFORMING) | 3, user, data_3, done),
        ("SS null", 0, end, code_3, user, 0, general(0)),
        ("SS null with RPL 3", 0, end, code_3, user, 3, general(0)),
        ("SS of ring 0", 0, end, code_3, user, data_0, general(data_0)),
        ("SS of ring 0 with RPL 3", 0, end, code_3, user, data_0 | 3, general(data_0)),
        ("SS with RPL 0", 0, end, code_3, user, data_3 & !3, general(data_3 & !3)),
        ("SS is code", 0, end, code_3, user, code_3, general(code_3 & !3)),
        ("SS is read-only", 0, end, code_3, user, other(selector::READ_ONLY), general(other(selector::READ_ONLY) & !3)),
        ("SS beyond the table", 0, end, code_3, user, other(selector::BEYOND), general(other(selector::BEYOND) & !3)),
        ("SS not present", 0, end, code_3, user, other(selector::ABSENT_DATA), stack(other(selector::ABSENT_DATA) & !3)),
    ];
    let mut guest = Guest::new(None);
    for (label, ring, eip, code, pointer, stack, expected) in rows {
        for retf in [false, true] {
            let label = format!(
                "{} {label} (ring {ring})",
                if retf { "retf" } else { "iretd" }
            );
            guest.begin(ring);
            let words: &[u32] = if retf {
                &[eip, code, pointer, stack]
            } else {
                &[eip, code, flags, pointer, stack]
            };
            let bytes = frame(words, retf);
            guest.poke_bytes(CODE, &bytes);
            guest.place(end, 32, |a| software_interrupt(a, vector::COMPLETED));
            guest.run();
            let event = guest.event().unwrap_or_else(|| panic!("{label}: no event"));
            assert_eq!((event.vector, event.error_code), expected, "{label}");
            assert!(guest.is_alive(), "{label}");
            if event.vector == vector::COMPLETED {
                assert_eq!(u32::from(event.cs), code, "{label}");
                if ring == 0 && code & 3 == 3 {
                    assert_eq!(
                        (event.esp, u32::from(event.ss)),
                        (pointer, stack),
                        "{label}"
                    );
                }
            } else {
                // Nothing has been popped.
                let pushed = 4 * words.len() as u32;
                assert_eq!(
                    event.esp,
                    STACK_TOP[usize::from(ring)] - 0x100 - pushed,
                    "{label}"
                );
                assert_eq!(event.eip, CODE + bytes.len() as u32 - 1, "{label}");
            }
        }
    }
}

#[test]
fn iret_in_ring_3_keeps_iopl_and_if() {
    let mut guest = Guest::new(None);
    let all = flags::STATUS | flags::IF | flags::IOPL | flags::DF;
    for (ring, before, expected) in [
        (3, flags::RESET, all & !(flags::IF | flags::IOPL)),
        (3, flags::RESET | flags::IOPL, all),
        (0, flags::RESET, all),
    ] {
        guest.begin(ring);
        guest.set(number::EFLAGS, before);
        let code = if ring == 3 {
            selector::CODE_3
        } else {
            selector::CODE_0
        };
        guest.poke_bytes(CODE, &frame(&[CODE + 0x100, code.into(), all], false));
        guest.place(CODE + 0x100, 32, |a| {
            software_interrupt(a, vector::COMPLETED)
        });
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(event.eflags, expected | flags::RESET, "ring {ring}");
    }
}

#[test]
fn sysenter_and_sysexit_load_flat_segments_without_tables() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    // No table can be read; nothing may be pushed.
    guest.set(number::EFLAGS, flags::RESET | flags::IF | flags::CF);
    guest.set(number::SYSENTER_EIP, CODE + 0x100);
    guest.set(number::SYSENTER_ESP, STACK_TOP[0] - 0x40);
    guest.place(CODE, 32, |a| a.db(&[0x0F, 0x34]));
    guest.place(CODE + 0x100, 32, |a| {
        a.mov(eax, cs)?;
        a.mov(edi, ss)?;
        a.mov(esi, esp)?;
        a.mov(edx, (CODE + 0x200) as i32)?;
        a.mov(ecx, (USER_STACK_TOP - 0x300) as i32)?;
        a.sti()?;
        a.db(&[0x0F, 0x35])
    });
    guest.place(CODE + 0x200, 32, |a| {
        a.mov(ebp, cs)?;
        a.mov(ebx, ss)?;
        software_interrupt(a, vector::COMPLETED)
    });
    guest.machine().set_breakpoint(CODE + 0x100);
    guest.set(number::LIMIT + number::GDTR, 0);
    guest.run();
    guest.machine().debug_halt().expect("halts");
    let stack = guest.get(number::LIMIT + number::SS);
    assert_eq!((guest.get(number::BASE + number::SS), stack), (0, !0));
    guest.set(number::LIMIT + number::GDTR, 0xFF);
    guest.machine().clear_breakpoint(CODE + 0x100);
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, vector::COMPLETED);
    assert_eq!(event.general[0] as u16, selector::CODE_0);
    assert_eq!(event.general[7] as u16, selector::DATA_0);
    assert_eq!(event.general[6], STACK_TOP[0] - 0x40);
    assert_eq!(event.general[5] as u16, selector::CODE_3);
    assert_eq!(event.general[3] as u16, selector::DATA_3);
    assert_eq!(event.esp, USER_STACK_TOP - 0x300);
    assert_eq!(event.eflags, flags::RESET | flags::IF | flags::CF);
}
