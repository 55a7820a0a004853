//! Interrupts, NMI, single-step, shadows, double faults and shutdown, HLT.

use crate::case::*;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::exceptions;
use spec::flags;
use spec::registers as number;
use tests::guest::*;

/// A handler at `vector` that counts at `PROOF` + 8 and returns.
const COUNT: u32 = PROOF + 8;

fn counting_handler(guest: &mut Guest, vector: u8) {
    // 16 bytes are too few for some: behind the gates' target there is room.
    let at = guest.gate_target() + 0x100 + 0x40 * u32::from(vector & 0x3F);
    guest.place(at, 32, |a| {
        a.inc(dword_ptr(COUNT).ss())?;
        a.iretd()
    });
    let open = spec::segments::ACCESS_PRESENT
        | spec::segments::ACCESS_DPL
        | spec::segments::INTERRUPT_GATE_32;
    guest.gate(vector, spec::segments::gate(selector::CODE_0, at, open, 0));
}

/// Addresses before which each single-step trap came.
fn traps(guest: &mut Guest) -> Vec<u32> {
    let records = guest.machine().drain_retired();
    records
        .iter()
        .filter(|record| record.exception && record.vector == exceptions::DB)
        .map(|record| record.eip)
        .collect()
}

/// Runs `code` with TF set, and returns where the traps were and where the instructions lay.
fn step_through(
    ring: u8,
    prepare: impl FnOnce(&mut Guest),
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>,
) -> (Vec<u32>, Program, Guest) {
    let mut guest = Guest::new(None);
    guest.begin(ring);
    counting_handler(&mut guest, exceptions::DB);
    guest.set(number::EFLAGS, flags::RESET | flags::TF | flags::IOPL);
    prepare(&mut guest);
    let program = guest.program(code);
    assert_eq!(guest.run(), Stop::Halted);
    assert!(guest.is_alive());
    (traps(&mut guest), program, guest)
}

#[test]
fn single_step_traps_behind_every_kind_of_instruction() {
    let (traps, program, mut guest) = step_through(
        3,
        |_| {},
        |a| {
            let mut next = a.create_label();
            let mut over = a.create_label();
            a.nop()?;
            a.mov(eax, dword_ptr(ebx))?;
            a.add(dword_ptr(ebx), eax)?;
            a.push(eax)?;
            a.pop(ecx)?;
            a.jmp(next)?;
            a.set_label(&mut next)?;
            a.cmp(eax, eax)?;
            a.jne(over)?;
            a.je(over)?;
            a.set_label(&mut over)?;
            a.pushad()?;
            a.popad()?;
            a.mul(ecx)?;
            a.movsd()?;
            a.mov(eax, ds)?;
            a.mov(es, eax)?;
            a.cli()?;
            a.sti()?;
            a.out(0x80, al)?;
            a.cpuid()?;
            a.rdtsc()?;
            a.enter(8, 1)?;
            a.leave()
        },
    );
    assert_eq!(traps, program.addresses[1..]);
    assert_eq!(guest.peek(COUNT) as usize, traps.len());
    guest.machine().debug_halt().ok();
    let event = guest.event().expect("an event");
    // The software interrupt behind the program is not stepped, and saves TF.
    assert_eq!(event.eflags & flags::TF, flags::TF);
}

#[test]
fn single_step_goes_over_gates_and_through_far_transfers() {
    fn prepare(guest: &mut Guest) {
        let target = guest.gate_target();
        guest.place(target, 32, |a| a.retf());
        guest.place(target + 8, 32, |a| a.iretd());
        let gate = spec::segments::gate(selector::CODE_0, target + 8, 0xEE, 0);
        guest.gate(vector::USER, gate);
        guest.place(target + 16, 32, |a| a.db(&[0x0F, 0x35]));
        guest.set(number::SYSENTER_EIP, target + 16);
        guest.set(2, CODE + 2);
        guest.set(1, USER_STACK_TOP - 0x100);
    }
    // INT clears TF and IRETD sets it again: the next trap comes behind the instruction that follows.
    let (found, program, _) = step_through(3, prepare, |a| {
        a.int(i32::from(vector::USER))?;
        a.nop()?;
        a.nop()
    });
    assert_eq!(found, program.addresses[2..]);
    // A call gate keeps TF: the return traps in its turn.
    let (found, program, guest) = step_through(3, prepare, |a| {
        a.db(&[0x9A, 0, 0, 0, 0, selector::CALL_GATE as u8, 0])?;
        a.nop()
    });
    let at = &program.addresses;
    assert_eq!(found, [guest.gate_target(), at[1], at[2]]);
    // So do SYSENTER and SYSEXIT.
    let (found, program, guest) = step_through(3, prepare, |a| {
        a.db(&[0x0F, 0x34])?;
        a.nop()
    });
    let at = &program.addresses;
    assert_eq!(found, [guest.gate_target() + 16, at[1], at[2]]);
}

#[test]
fn single_step_sets_dr6_bs() {
    let mut guest = Guest::new(None);
    for ring in [0, 3] {
        guest.begin(ring);
        guest.set(number::EFLAGS, flags::RESET | flags::TF);
        guest.set(number::DR6, 0);
        guest.program(|a| a.nop());
        guest
            .machine()
            .set_breakpoint(Guest::handler(exceptions::DB));
        assert_eq!(guest.run(), Stop::Breakpoint);
        guest.machine().debug_halt().expect("halts");
        let bit = spec::control_registers::DR6_BS;
        assert_eq!(guest.get(number::DR6) & bit, bit, "ring {ring}");
        assert_eq!(guest.get(number::EFLAGS) & flags::TF, 0, "ring {ring}");
        guest
            .machine()
            .clear_breakpoint(Guest::handler(exceptions::DB));
    }
}

#[test]
fn a_repeated_string_instruction_traps_after_each_repetition() {
    let (traps, program, guest) = step_through(
        3,
        |guest| guest.set(1, 3),
        |a| {
            a.rep().movsb()?;
            a.nop()
        },
    );
    let [rep, nop, end] = program.addresses[..] else {
        panic!("two instructions")
    };
    assert_eq!(traps, [rep, rep, nop, end]);
    assert_eq!(guest.event().expect("an event").general[1], 0);
    let (traps, program, _) = step_through(3, |guest| guest.set(1, 0), |a| a.rep().movsb());
    assert_eq!(traps, [program.end()], "without a repetition");
}

#[test]
fn popf_that_sets_tf_traps_after_the_next_instruction_and_one_that_clears_it_traps_once_more() {
    let (traps, program, _) = step_through(
        3,
        |guest| guest.set(number::EFLAGS, flags::RESET),
        |a| {
            a.push(0x102)?;
            a.popfd()?;
            a.nop()?;
            a.push(2)?;
            a.popfd()?;
            a.nop()?;
            a.nop()
        },
    );
    let at = &program.addresses;
    assert_eq!(traps, [at[3], at[4], at[5]]);
}

#[test]
fn iret_that_sets_tf_lets_one_instruction_run() {
    for ring in [0, 3] {
        let (traps, program, _) = step_through(
            ring,
            |guest| guest.set(number::EFLAGS, flags::RESET),
            |a| {
                let code = if ring == 0 {
                    selector::CODE_0
                } else {
                    selector::CODE_3
                };
                a.push(0x102)?;
                a.push(i32::from(code))?;
                a.push((CODE + 0x0D) as i32)?;
                a.iretd()?;
                a.nop()?;
                a.nop()
            },
        );
        // The last push is five bytes long; the address behind IRETD is part of it.
        let at = &program.addresses;
        assert_eq!(at[4], CODE + 0x0D);
        assert_eq!(traps, [at[5], at[6]], "ring {ring}");
    }
}

#[test]
fn sysenter_does_not_clear_tf() {
    let (traps, _, _) = step_through(
        3,
        |guest| {
            let target = guest.gate_target();
            guest.set(number::SYSENTER_EIP, target);
        },
        |a| a.db(&[0x0F, 0x34]),
    );
    assert_eq!(traps.len(), 1);
}

#[test]
fn a_load_of_ss_shields_the_next_instruction_from_the_trap() {
    for pop in [false, true] {
        let (traps, program, _) = step_through(
            3,
            |guest| guest.set(0, selector::DATA_3.into()),
            |a| {
                a.push(eax)?;
                if pop {
                    a.pop(ss)?;
                } else {
                    a.mov(ss, eax)?;
                }
                a.nop()?;
                a.nop()
            },
        );
        let at = &program.addresses;
        assert_eq!(traps, [at[1], at[3], at[4]], "pop: {pop}");
    }
}

#[test]
fn faults_under_tf_are_delivered_without_a_trap_of_their_own() {
    let (traps, _, guest) = step_through(3, |_| {}, |a| a.ud2());
    assert!(traps.is_empty(), "{traps:08X?}");
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, exceptions::UD);
    assert_eq!(event.eflags & flags::TF, flags::TF);
}

/// The 8259s and the timer so that IRQ 0 comes as vector 20h after `ticks` of the 8254, once.
fn timer(guest: &mut Guest, ticks: u8) {
    let at = CODE + 0x800;
    guest.place(at, 32, |a| {
        for (port, value) in [
            (0x20, 0x11u32),
            (0x21, 0x20),
            (0x21, 0x04),
            (0x21, 0x01),
            (0x21, 0xFE),
            // Counter 0, low byte, mode 0: interrupt on terminal count.
            (0x43, 0x10),
            (0x40, ticks.into()),
        ] {
            a.mov(al, value)?;
            a.out(port, al)?;
        }
        a.jmp(u64::from(CODE))
    });
    guest.set(number::EIP, at);
}

const TIMER: u8 = 0x20;

#[test]
fn an_external_interrupt_comes_when_if_is_set_and_wakes_hlt() {
    let mut guest = Guest::new(None);
    guest.begin(0);
    timer(&mut guest, 1);
    counting_handler(&mut guest, TIMER);
    let program = guest.program(|a| {
        a.mov(ecx, 500)?;
        a.db(&[0xE2, 0xFE])?; // loop $
        a.mov(eax, dword_ptr(COUNT))?;
        a.sti()?;
        a.hlt()?;
        a.cli()?;
        a.mov(edx, dword_ptr(COUNT))
    });
    assert_eq!(guest.run(), Stop::Halted);
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, vector::COMPLETED);
    assert_eq!((event.general[0], event.general[2]), (0, 1));
    let records = guest.machine().drain_retired();
    let accepted: Vec<_> = records.iter().filter(|record| record.interrupt).collect();
    assert_eq!(accepted.len(), 1);
    // STI's shadow: HLT comes first, the interrupt behind it.
    assert_eq!(accepted[0].eip, program.addresses[5]);
    assert_eq!(accepted[0].vector, TIMER);
}

#[test]
fn the_instruction_behind_sti_or_a_load_of_ss_comes_before_the_interrupt() {
    let mut guest = Guest::new(None);
    type Code = fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>;
    let rows: [(&str, Code, usize); 6] = [
        (
            "sti, nop",
            |a| {
                a.sti()?;
                a.nop()?;
                a.nop()?;
                a.cli()
            },
            2,
        ),
        (
            "sti, cli",
            |a| {
                a.sti()?;
                a.cli()?;
                a.sti()?;
                a.nop()?;
                a.cli()
            },
            4,
        ),
        (
            "popf has no shadow",
            |a| {
                a.push(0x202)?;
                a.popfd()?;
                a.nop()?;
                a.cli()
            },
            2,
        ),
        (
            "iret has no shadow",
            |a| {
                let mut over = a.create_label();
                a.pushfd()?;
                a.or(dword_ptr(esp), 0x200)?;
                a.push(cs)?;
                a.call(over)?;
                a.set_label(&mut over)?;
                a.add(dword_ptr(esp), 5)?;
                a.iretd()?;
                a.nop()?;
                a.cli()
            },
            6,
        ),
        (
            "sti, mov ss",
            |a| {
                a.sti()?;
                a.mov(ss, eax)?;
                a.nop()?;
                a.nop()?;
                a.cli()
            },
            3,
        ),
        (
            "sti with IF set has no shadow",
            |a| {
                a.sti()?;
                a.sti()?;
                a.nop()?;
                a.nop()?;
                a.cli()
            },
            2,
        ),
    ];
    for (label, code, first) in rows {
        guest.begin(0);
        timer(&mut guest, 1);
        counting_handler(&mut guest, TIMER);
        let delay = guest.place(CODE, 32, |a| {
            a.mov(ecx, 500)?;
            a.db(&[0xE2, 0xFE])?;
            a.mov(eax, i32::from(selector::DATA_0))
        });
        let program = guest.place(delay.end(), 32, code);
        guest.place(program.end(), 32, |a| a.int(i32::from(vector::COMPLETED)));
        assert_eq!(guest.run(), Stop::Halted, "{label}");
        let records = guest.machine().drain_retired();
        let accepted = records.iter().find(|record| record.interrupt).expect(label);
        assert_eq!(accepted.eip, program.addresses[first], "{label}");
    }
}

#[test]
fn an_interrupt_between_repetitions_resumes_the_string_instruction() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    timer(&mut guest, 20);
    counting_handler(&mut guest, TIMER);
    let source: Vec<u8> = (0..4000u32).map(|i| (i * 7 + i / 251) as u8).collect();
    guest.poke_bytes(DATA, &source);
    guest.set(number::EFLAGS, flags::RESET | flags::IF | flags::IOPL);
    let program = guest.program(|a| {
        a.mov(ecx, 4000)?;
        a.mov(edi, (DATA + 0x8000) as i32)?;
        a.rep().movsb()
    });
    assert_eq!(guest.run(), Stop::Halted);
    assert_eq!(guest.peek(COUNT), 1);
    let copy = guest
        .machine()
        .read_memory(DATA + 0x8000, 4000)
        .expect("RAM");
    assert_eq!(copy, source);
    let records = guest.machine().drain_retired();
    let accepted = records
        .iter()
        .position(|record| record.interrupt)
        .expect("an interrupt");
    assert_eq!(records[accepted].eip, program.addresses[2]);
    // EFLAGS is saved with RF: the third push on the new stack.
    let saved = records[accepted..]
        .iter()
        .find(|record| record.store && record.store_linear == STACK_TOP[0] - 12)
        .expect("EFLAGS is pushed");
    assert_eq!(saved.store_data as u32 & flags::RF, flags::RF);
    assert!(guest.is_alive());
}

#[test]
fn a_page_fault_between_repetitions_leaves_the_registers_of_the_whole_ones() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    guest.set(1, 8);
    guest.set(7, ABSENT_PAGE - 12);
    guest.program(|a| a.rep().movsd());
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, exceptions::PF);
    assert_eq!(event.cr2, ABSENT_PAGE);
    assert_eq!(event.eip, CODE);
    assert_eq!(event.general[1], 5);
    assert_eq!(event.general[6], DATA + 12);
    assert_eq!(event.general[7], ABSENT_PAGE);
    assert!(guest.is_alive());
}

#[test]
fn nmi_ignores_if_and_waits_for_iret_before_the_next() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    // The handler runs long enough that a second NMI comes inside.
    let at = guest.gate_target() + 0x100;
    guest.place(at, 32, |a| {
        a.inc(dword_ptr(COUNT).ss())?;
        a.push(ecx)?;
        a.mov(ecx, 100)?;
        a.db(&[0xE2, 0xFE])?;
        a.pop(ecx)?;
        a.iretd()
    });
    let gate = spec::segments::gate(selector::CODE_0, at, 0x8E, 0);
    guest.gate(exceptions::NMI, gate);
    let program = guest.program(|a| {
        a.mov(ecx, 1000)?;
        a.db(&[0xE2, 0xFE])
    });
    guest.machine().invalidate();
    guest.machine().resume();
    guest.machine().run(300);
    guest.machine().nmi();
    guest.machine().run(200);
    assert_eq!(guest.peek(COUNT), 1);
    guest.machine().nmi();
    guest.machine().run(20);
    assert_eq!(guest.peek(COUNT), 1, "the second is held back");
    assert_eq!(guest.machine().run(100_000), Stop::Halted);
    assert_eq!(guest.peek(COUNT), 2);
    let records = guest.machine().drain_retired();
    let accepted: Vec<(u8, u8, u32)> = records
        .iter()
        .filter(|record| record.interrupt)
        .map(|record| (record.vector, record.cpl, record.eip))
        .collect();
    assert_eq!(accepted, [(2, 3, program.addresses[1]); 2]);
    assert!(guest.is_alive());
}

#[test]
fn nmi_wakes_hlt() {
    let mut guest = Guest::new(None);
    guest.begin(0);
    counting_handler(&mut guest, exceptions::NMI);
    guest.program(|a| a.hlt());
    assert_eq!(guest.run(), Stop::Halted);
    assert_eq!(guest.event(), None);
    guest.machine().nmi();
    assert_eq!(guest.machine().run(100_000), Stop::Halted);
    assert_eq!(guest.peek(COUNT), 1);
    assert_eq!(guest.event().expect("an event").vector, vector::COMPLETED);
}

#[test]
fn two_contributory_faults_are_a_double_fault() {
    fn absent(guest: &mut Guest, vector: u8) {
        guest.gate(vector, 0);
    }
    fn double_fault() -> Expected {
        Expected {
            vector: exceptions::DF,
            error_code: Some(0),
            saved: Saved::At(CODE),
            cr2: None,
        }
    }
    /// The error code of a fault while the gate of `vector` is read.
    fn gate(vector: u8) -> u16 {
        u16::from(vector) << 3 | exceptions::ERROR_IDT | exceptions::ERROR_EXTERNAL
    }
    #[rustfmt::skip]
    check(&[
        prepared("#GP without its gate", 3, |g| absent(g, exceptions::GP), |a| a.cli(), double_fault()),
        prepared("#GP without its gate", 0, |g| absent(g, exceptions::GP), |a| { a.db(&[0x0F, 0x32]) }, double_fault()),
        prepared("#DE without its gate", 3, |g| { absent(g, exceptions::DE); g.set(1, 0) }, |a| a.div(ecx), double_fault()),
        prepared("#PF without its gate", 3, |g| { absent(g, exceptions::PF); g.set(3, ABSENT_PAGE) }, |a| a.mov(eax, dword_ptr(ebx)), double_fault()),
        prepared("#UD without its gate is #GP", 3, |g| absent(g, exceptions::UD), |a| a.ud2(), gp(gate(exceptions::UD))),
        prepared("#BP without its gate is #GP", 3, |g| absent(g, exceptions::BP), |a| a.int3(), gp(gate(exceptions::BP) & !1)),
    ]);
}

#[test]
fn faults_on_the_way_to_a_handler_combine_as_the_table_says() {
    use spec::exceptions::{Combination, combination};
    // An instruction of ring 0 for each. The second comes from the first one's gate, or from the stack.
    #[rustfmt::skip]
    let firsts: &[(u8, Code)] = &[
        (exceptions::DE, |a| a.div(ecx)),
        (exceptions::BR, |a| a.db(&[0x62, 0x03])),
        (exceptions::UD, |a| a.ud2()),
        (exceptions::NM, |a| a.wait()),
        (exceptions::NP, |a| a.mov(ds, dx)),
        (exceptions::SS, |a| a.mov(eax, dword_ptr(edi).ss())),
        (exceptions::GP, |a| a.mov(eax, dword_ptr(edi).es())),
        (exceptions::PF, |a| a.mov(eax, dword_ptr(esi))),
    ];
    let mut guest = Guest::new(None);
    for (first, code) in firsts {
        for second in [exceptions::NP, exceptions::PF] {
            guest.begin(0);
            guest.set(1, 0);
            guest.set(2, selector::ABSENT_DATA.into());
            guest.set(6, ABSENT_PAGE);
            guest.set(7, 0xFFFF_FFFE);
            // BOUND: the index is below the lower bound.
            guest.poke(DATA, 1);
            guest.set(0, 0);
            let not_switched = guest.get(number::CR0);
            guest.set(number::CR0, not_switched | 0xA);
            if second == exceptions::NP {
                let gate = spec::segments::gate(selector::CODE_0, 0, 0x0E, 0);
                guest.gate(*first, gate);
            } else {
                // What is pushed.
                guest.set(4, ABSENT_PAGE + 0x800);
            }
            guest.program(*code);
            guest.machine().drain_retired();
            guest.machine().invalidate();
            guest.machine().step().ok();
            let records = guest.machine().drain_retired();
            let vectors: Vec<u8> = records
                .iter()
                .filter(|record| record.exception)
                .map(|record| record.vector)
                .collect();
            let severity = |vector| exceptions::by_vector(vector).expect("a row").severity;
            let third = match combination(severity(*first), severity(second)) {
                Combination::Second => second,
                Combination::DoubleFault => exceptions::DF,
                Combination::Shutdown => panic!("only behind a double fault"),
            };
            assert_eq!(vectors[..2], [*first, third], "{first} then {second}");
        }
    }
}

#[test]
fn a_third_fault_shuts_down_and_reset_starts_again() {
    let mut guest = Guest::new(None);
    for ring in [0, 3] {
        guest.begin(ring);
        for vector in [exceptions::GP, exceptions::DF] {
            guest.gate(vector, 0);
        }
        guest.program(|a| a.db(&[0x0F, 0x20, 0xC0, 0xCD, 13]));
        if ring == 0 {
            guest.poke_bytes(CODE, &[0xCD, 13]);
        }
        assert_eq!(guest.run(), Stop::Shutdown, "ring {ring}");
        assert!(guest.machine().status().cycle > 0);
    }
    // No stack to enter ring 0 with: an absent page, and no segment.
    guest.begin(3);
    guest.poke(TSS + spec::segments::TSS_ESP0, ABSENT_PAGE + 0x1000);
    guest.program(|a| a.cli());
    assert_eq!(guest.run(), Stop::Shutdown);
    guest.begin(3);
    guest.poke(TSS + spec::segments::TSS_SS0, 0);
    guest.program(|a| a.ud2());
    assert_eq!(guest.run(), Stop::Shutdown);
    // An empty IDT is the usual way to reset a PC.
    guest.begin(0);
    guest.set(number::LIMIT + number::IDTR, 0);
    guest.program(|a| a.int3());
    assert_eq!(guest.run(), Stop::Shutdown);
    guest.begin(3);
    guest.program(|a| a.nop());
    assert_eq!(guest.run(), Stop::Halted);
    assert!(guest.is_alive());
}
