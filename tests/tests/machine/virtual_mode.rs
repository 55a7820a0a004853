//! Virtual-8086 mode: the way in and out, its segments, and what it does not allow.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::exceptions::{GP, UD};
use spec::registers as number;
use spec::segments::{self, INTERRUPT_GATE_16, INTERRUPT_GATE_32};
use spec::{exceptions, flags};
use tests::guest::*;

/// Selectors of virtual-8086 mode: CS:0 is `CODE`, DS:0 is `DATA`; SS:SP lies on ring 3's page.
const CS: u32 = CODE >> 4;
const SS: u32 = 0x3000;
const SP: u32 = 0x7F00;
const DS: u32 = DATA >> 4;
const ES: u32 = DS + 0x10;
const FS: u32 = DS + 0x20;
const GS: u32 = DS + 0x30;
/// IRETD lies here.
const RETURN: u32 = CODE + 0x8000;
const IOPL_3: u32 = flags::IOPL;
const VIRTUAL: u32 = flags::RESET | flags::VM;

/// Before the IRETD to CS:`eip` in virtual-8086 mode.
fn begin(guest: &mut Guest, eip: u32, eflags: u32) {
    guest.begin(0);
    guest.place(RETURN, 32, |a| a.iretd());
    guest.set(number::EIP, RETURN);
    let stack = guest.get(4);
    for (index, word) in (0..).zip([eip, CS, eflags, SP, SS, ES, DS, FS, GS]) {
        // Upper halves of selectors mean nothing.
        let noise = if index == 1 || index > 3 {
            0xABCD_0000
        } else {
            0
        };
        guest.poke(stack + 4 * index, word | noise);
    }
}

/// In virtual-8086 mode, before `code`.
fn enter(
    guest: &mut Guest,
    eflags: u32,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Program {
    begin(guest, 0, eflags);
    let program = guest.place(CODE, 16, code);
    step(guest, 1);
    program
}

fn step(guest: &mut Guest, count: u32) {
    guest.machine().invalidate();
    for _ in 0..count {
        guest.machine().step().expect("halts after an instruction");
    }
}

fn selectors(guest: &mut Guest) -> [u32; 6] {
    std::array::from_fn(|s| guest.get(number::SELECTOR + s as u8))
}

#[test]
fn iretd_of_level_0_enters_virtual_8086_mode() {
    for mut guest in Guest::of_every_timing() {
        let eflags = VIRTUAL | flags::IF | IOPL_3 | flags::NT | flags::CF;
        begin(&mut guest, 0x123, eflags);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EFLAGS), eflags);
        assert_eq!(guest.get(number::CPL), 3);
        assert_eq!(guest.get(number::EIP), 0x123);
        assert_eq!(guest.get(4), SP);
        assert_eq!(selectors(&mut guest), [ES, CS, SS, DS, FS, GS]);
        for s in 0..6 {
            assert_eq!(
                guest.get(number::BASE + s),
                guest.get(number::SELECTOR + s) << 4
            );
            assert_eq!(guest.get(number::LIMIT + s), 0xFFFF, "segment {s}");
            assert_eq!(guest.get(number::ACCESS + s), 0xF3, "segment {s}");
        }
    }
}

#[test]
fn only_level_0_enters_virtual_8086_mode() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(3);
        guest.program(|a| {
            a.push((flags::RESET | flags::VM) as i32)?;
            a.push(i32::from(selector::CODE_3))?;
            a.push((CODE + 0x20) as i32)?;
            a.iretd()
        });
        step(&mut guest, 4);
        assert_eq!(guest.get(number::EIP), CODE + 0x20);
        assert_eq!(guest.get(number::EFLAGS), flags::RESET);
    }
}

#[test]
fn iretd_to_an_address_beyond_64_kb_faults_in_protected_mode() {
    for mut guest in Guest::of_every_timing() {
        begin(&mut guest, 0x1_0000, VIRTUAL);
        let stack = guest.get(4);
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!((event.vector, event.error_code), (GP, Some(0)));
        assert_eq!((event.eip, event.cs), (RETURN, selector::CODE_0));
        assert_eq!(event.esp, stack);
    }
}

#[test]
fn an_interrupt_saves_and_clears_the_data_segments_and_iretd_brings_all_back() {
    for mut guest in Guest::of_every_timing() {
        let before = VIRTUAL | flags::IF | IOPL_3 | flags::CF | flags::NT;
        let program = enter(&mut guest, before, |a| {
            a.int(i32::from(vector::USER))?;
            a.nop()
        });
        let target = guest.gate_target();
        guest.place(target, 32, |a| a.iretd());
        let gate = segments::gate(selector::CODE_0, target, 0xE0 | INTERRUPT_GATE_32, 0);
        guest.gate(vector::USER, gate);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), target);
        assert_eq!(guest.get(number::CPL), 0);
        assert_eq!(guest.get(number::EFLAGS), flags::RESET | IOPL_3 | flags::CF);
        let (code, data) = (selector::CODE_0.into(), selector::DATA_0.into());
        assert_eq!(selectors(&mut guest), [0, code, data, 0, 0, 0]);
        for s in [number::ES, number::DS, number::FS, number::GS] {
            assert_eq!(guest.get(number::ACCESS + s), 0, "null");
        }
        let top = STACK_TOP[0] - 36;
        assert_eq!(guest.get(4), top);
        let next = program.addresses[1] - CODE;
        let frame: Vec<u32> = (0..9).map(|index| guest.peek(top + 4 * index)).collect();
        assert_eq!(frame, [next, CS, before, SP, SS, ES, DS, FS, GS]);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EFLAGS), before);
        assert_eq!((guest.get(number::EIP), guest.get(4)), (next, SP));
        assert_eq!(selectors(&mut guest), [ES, CS, SS, DS, FS, GS]);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), next + 1);
    }
}

#[test]
fn a_fault_pushes_its_error_code_below_that_frame() {
    for mut guest in Guest::of_every_timing() {
        enter(&mut guest, VIRTUAL, |a| a.hlt());
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), Guest::handler(GP));
        let top = STACK_TOP[0] - 40;
        assert_eq!(guest.get(4), top);
        let frame: Vec<u32> = (0..10).map(|index| guest.peek(top + 4 * index)).collect();
        let saved = VIRTUAL | flags::RF;
        assert_eq!(frame, [0, 0, CS, saved, SP, SS, ES, DS, FS, GS]);
        assert_eq!(guest.run(), Stop::Halted);
        assert!(guest.is_alive());
    }
}

#[test]
fn a_gate_of_16_bits_takes_words_of_all_segments() {
    for mut guest in Guest::of_every_timing() {
        let before = VIRTUAL | IOPL_3;
        enter(&mut guest, before, |a| a.int(i32::from(vector::USER)));
        let target = guest.gate_target();
        let gate = segments::gate(selector::CODE_0, target, 0xE0 | INTERRUPT_GATE_16, 0);
        guest.gate(vector::USER, gate);
        step(&mut guest, 1);
        let top = STACK_TOP[0] - 18;
        assert_eq!((guest.get(number::EIP), guest.get(4)), (target, top));
        let frame: Vec<u32> = (0..9)
            .map(|index| guest.peek(top + 2 * index) & 0xFFFF)
            .collect();
        assert_eq!(frame, [2, CS, before & 0xFFFF, SP, SS, ES, DS, FS, GS]);
        assert_eq!(guest.get(number::EFLAGS) & flags::VM, 0);
    }
}

/// What an instruction does: the vector and error code of its fault, or nothing.
type Outcome = Option<(u8, Option<u16>)>;

fn outcome(guest: &mut Guest, eflags: u32, code: &[u8]) -> Outcome {
    enter(guest, eflags, |a| {
        a.db(code)?;
        a.nop()
    });
    guest.set(0, 0);
    guest.set(3, 0x40);
    step(guest, 1);
    let eip = guest.get(number::EIP);
    if eip < 0x1000 {
        assert_eq!(guest.get(number::CPL), 3);
        return None;
    }
    let vector = ((eip - HANDLERS) / 16) as u8;
    let top = guest.get(4);
    let has_code = top == STACK_TOP[0] - 40;
    let saved = guest.peek(top + if has_code { 4 } else { 0 });
    let flags_at = top + if has_code { 12 } else { 8 };
    if matches!(vector, GP | UD | exceptions::DB) {
        assert_eq!(saved, 0, "{code:02X?}");
        assert_eq!(guest.peek(flags_at), eflags | flags::RF, "{code:02X?}");
    }
    Some((vector, has_code.then(|| guest.peek(top) as u16)))
}

#[test]
fn instructions_that_iopl_guards_fault_below_3_and_work_at_3() {
    let codes: &[&[u8]] = &[
        &[0xFA],       // CLI
        &[0xFB],       // STI
        &[0x9C],       // PUSHF
        &[0x9D],       // POPF
        &[0x66, 0x9C], // PUSHFD
        &[0x66, 0x9D], // POPFD
    ];
    for mut guest in Guest::of_every_timing() {
        for code in codes {
            for iopl in 0..4 {
                let found = outcome(&mut guest, VIRTUAL | iopl << 12, code);
                let expected = (iopl < 3).then_some((GP, Some(0)));
                assert_eq!(found, expected, "{code:02X?} with IOPL {iopl}");
            }
        }
        for iopl in 0..4 {
            let eflags = VIRTUAL | iopl << 12;
            let found = outcome(&mut guest, eflags, &[0xCD, vector::USER]);
            let vector = if iopl < 3 {
                (GP, Some(0))
            } else {
                (vector::USER, None)
            };
            assert_eq!(found, Some(vector), "INT with IOPL {iopl}");
            // Not guarded.
            let found = outcome(&mut guest, eflags, &[0xCC]);
            assert_eq!(found, Some((exceptions::BP, None)), "INT3 with IOPL {iopl}");
            let found = outcome(&mut guest, eflags | flags::OF, &[0xCE]);
            assert_eq!(found, Some((exceptions::OF, None)), "INTO with IOPL {iopl}");
        }
    }
}

#[test]
fn instructions_of_protected_mode_and_of_level_0_fault() {
    #[rustfmt::skip]
    let rows: &[(&[u8], u8)] = &[
        (&[0x0F, 0x00, 0xC0], UD), // SLDT
        (&[0x0F, 0x00, 0xC8], UD), // STR
        (&[0x0F, 0x00, 0xD0], UD), // LLDT
        (&[0x0F, 0x00, 0xD8], UD), // LTR
        (&[0x0F, 0x00, 0xE0], UD), // VERR
        (&[0x0F, 0x00, 0xE8], UD), // VERW
        (&[0x0F, 0x02, 0xC3], UD), // LAR
        (&[0x0F, 0x03, 0xC3], UD), // LSL
        (&[0x63, 0xC3],       UD), // ARPL
        (&[0xF4],             GP), // HLT
        (&[0x0F, 0x06],       GP), // CLTS
        (&[0x0F, 0x08],       GP), // INVD
        (&[0x0F, 0x09],       GP), // WBINVD
        (&[0x0F, 0x01, 0x17], GP), // LGDT
        (&[0x0F, 0x01, 0x1F], GP), // LIDT
        (&[0x0F, 0x01, 0xF0], GP), // LMSW
        (&[0x0F, 0x01, 0x3F], GP), // INVLPG
        (&[0x0F, 0x20, 0xC0], GP), // MOV EAX,CR0
        (&[0x0F, 0x22, 0xC0], GP), // MOV CR0,EAX
        (&[0x0F, 0x21, 0xC0], GP), // MOV EAX,DR0
        (&[0x0F, 0x23, 0xC0], GP), // MOV DR0,EAX
        (&[0x0F, 0x30],       GP), // WRMSR
        (&[0x0F, 0x32],       GP), // RDMSR
        (&[0x0F, 0x35],       GP), // SYSEXIT
    ];
    for mut guest in Guest::of_every_timing() {
        for (code, vector) in rows {
            let expected = (*vector, (*vector == GP).then_some(0));
            for iopl in [0, IOPL_3] {
                let found = outcome(&mut guest, VIRTUAL | iopl, code);
                assert_eq!(found, Some(expected), "{code:02X?}");
            }
        }
        // Not guarded: SMSW, SGDT, SIDT.
        for code in [[0x0F, 0x01, 0xE0], [0x0F, 0x01, 0x07], [0x0F, 0x01, 0x0F]] {
            assert_eq!(outcome(&mut guest, VIRTUAL, &code), None, "{code:02X?}");
        }
    }
}

#[test]
fn ports_are_asked_of_the_bitmap_whatever_iopl_is() {
    for mut guest in Guest::of_every_timing() {
        for eflags in [VIRTUAL, VIRTUAL | IOPL_3] {
            // The guest's bitmap admits no port.
            for code in [
                &[0xE6u8, 0x80][..],
                &[0xE4, 0x80],
                &[0xEE],
                &[0x6E],
                &[0x6C],
            ] {
                let found = outcome(&mut guest, eflags, code);
                assert_eq!(found, Some((GP, Some(0))), "{code:02X?}");
            }
            enter(&mut guest, eflags, |a| a.out(0x80, al));
            guest.poke_bytes(TSS + 0x68 + 0x10, &[0xFE]);
            step(&mut guest, 1);
            assert_eq!(guest.get(number::EIP), 2);
        }
    }
}

#[test]
fn selectors_are_sixteenths_of_bases_and_segments_have_64_kb() {
    for mut guest in Guest::of_every_timing() {
        let there = CODE + 0x2000;
        enter(&mut guest, VIRTUAL, |a| {
            a.mov(eax, (DS + 1) as i32)?;
            a.mov(ds, ax)?;
            a.mov(dword_ptr(0x10), eax)?;
            a.push(ds)?;
            a.pop(es)?;
            a.db(&[0x9A, 0x00, 0x00, (there >> 4) as u8, (there >> 12) as u8])?;
            a.mov(ax, word_ptr(0xFFFF))
        });
        guest.place(there, 16, |a| {
            // Through CS, which is data as well.
            a.mov(byte_ptr(0x100).cs(), al)?;
            a.retf()
        });
        step(&mut guest, 5);
        let loaded = selectors(&mut guest);
        assert_eq!((loaded[0], loaded[3]), (DS + 1, DS + 1));
        assert_eq!(guest.peek(DATA + 0x20), DS + 1);
        assert_eq!(guest.get(number::BASE + number::ES), (DS + 1) << 4);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::SELECTOR + number::CS), there >> 4);
        assert_eq!((guest.get(number::EIP), guest.get(4)), (0, SP - 4));
        assert_eq!(guest.get(number::CPL), 3);
        step(&mut guest, 2);
        assert_eq!(guest.peek(there + 0x100) & 0xFF, (DS + 1) & 0xFF);
        assert_eq!(guest.get(number::SELECTOR + number::CS), CS);
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EIP), Guest::handler(GP));
    }
}

#[test]
fn pushfd_hides_vm_and_popfd_and_iret_keep_it_and_iopl() {
    for mut guest in Guest::of_every_timing() {
        let before = VIRTUAL | IOPL_3;
        enter(&mut guest, before, |a| {
            a.pushfd()?;
            a.push(0)?;
            a.popf()?;
            let all = (flags::DEFINED & !flags::TF).to_le_bytes();
            a.db(&[0x66, 0x68, all[0], all[1], all[2], all[3]])?;
            a.popfd()?;
            a.pushf()?;
            a.push(CS as i32)?;
            a.push(0x200)?;
            a.iret()
        });
        step(&mut guest, 1);
        assert_eq!(guest.peek((SS << 4) + SP - 4), flags::RESET | IOPL_3);
        step(&mut guest, 2);
        assert_eq!(guest.get(number::EFLAGS), before);
        step(&mut guest, 2);
        let most = flags::STATUS | flags::IF | flags::DF | flags::NT | flags::AC | flags::ID;
        assert_eq!(guest.get(number::EFLAGS), before | most);
        step(&mut guest, 4);
        assert_eq!(guest.get(number::EIP), 0x200);
        assert_eq!(guest.get(number::EFLAGS), before | most);
    }
}

#[test]
fn gates_lead_to_level_0_only() {
    for mut guest in Guest::of_every_timing() {
        for (gate, code) in [
            (vector::RING_1, selector::CODE_1 & !3),
            (vector::CONFORMING, selector::CONFORMING),
            (vector::RING_0_ONLY, u16::from(vector::RING_0_ONLY) << 3 | 2),
        ] {
            let found = outcome(&mut guest, VIRTUAL | IOPL_3, &[0xCD, gate]);
            assert_eq!(found, Some((GP, Some(code))), "{gate:X}");
        }
    }
}

#[test]
fn sysenter_leaves_virtual_8086_mode() {
    for mut guest in Guest::of_every_timing() {
        enter(&mut guest, VIRTUAL | flags::IF | IOPL_3, |a| {
            a.db(&[0x0F, 0x34])
        });
        step(&mut guest, 1);
        assert_eq!(guest.get(number::EFLAGS), flags::RESET | IOPL_3);
        assert_eq!(guest.get(number::CPL), 0);
        assert_eq!(guest.get(4), STACK_TOP[0]);
        let code = selector::CODE_0.into();
        assert_eq!(
            selectors(&mut guest),
            [ES, code, selector::DATA_0.into(), DS, FS, GS]
        );
    }
}

#[test]
fn single_step_and_breakpoints_work_in_virtual_8086_mode() {
    for mut guest in Guest::of_every_timing() {
        enter(&mut guest, VIRTUAL | flags::TF, |a| {
            a.nop()?;
            a.nop()
        });
        step(&mut guest, 2);
        assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
        assert_eq!(guest.peek(STACK_TOP[0] - 36), 1);
        assert_eq!(guest.peek(STACK_TOP[0] - 28), VIRTUAL | flags::TF);

        enter(&mut guest, VIRTUAL, |a| {
            a.nop()?;
            a.nop()
        });
        guest.set(number::DR0, CODE + 1);
        guest.set(number::DR7, 0x401);
        step(&mut guest, 2);
        assert_eq!(guest.get(number::EIP), Guest::handler(exceptions::DB));
        assert_eq!(guest.peek(STACK_TOP[0] - 28), VIRTUAL, "RF as it was");
    }
}
