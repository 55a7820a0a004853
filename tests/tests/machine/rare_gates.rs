//! Gates of 16 bits and task-state segments of 16 bits.

use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::segments::{
    self, CALL_GATE_16, CALL_GATE_32, INTERRUPT_GATE_16, INTERRUPT_GATE_32, TRAP_GATE_16,
    TSS_16_AVAILABLE, TSS_16_BUSY,
};
use spec::{exceptions, flags, registers as number};
use tests::guest::*;

/// A gate of this type, open to ring 3.
fn open(kind: u8, selector: u16, offset: u32, parameters: u8) -> u64 {
    let access = segments::ACCESS_PRESENT | segments::ACCESS_DPL | kind;
    segments::gate(selector, offset, access, parameters)
}

/// Ring 3 in segments of 16 bits: CS:IP = `CODE_16`:0, SS:SP = `DATA_16`:8000h.
fn words(guest: &mut Guest) {
    guest.begin(3);
    guest.load(number::CS, selector::CODE_16);
    guest.load(number::SS, selector::DATA_16);
    guest.set(number::EIP, 0);
    guest.set(4, 0x8000);
}

/// Runs to `address`.
fn run_to(guest: &mut Guest, address: u32) {
    guest.machine().set_breakpoint(address);
    assert_eq!(guest.run(), Stop::Breakpoint, "{address:08X}");
    guest.machine().debug_halt().expect("halts at a breakpoint");
    guest.machine().clear_breakpoint(address);
}

/// `count` words from `address` on, the lowest first.
fn words_at(guest: &Guest, address: u32, count: u32) -> Vec<u32> {
    let word = |index| guest.peek(address + 2 * index) & 0xFFFF;
    (0..count).map(word).collect()
}

/// `count` doublewords from `address` on.
fn dwords_at(guest: &Guest, address: u32, count: u32) -> Vec<u32> {
    (0..count)
        .map(|index| guest.peek(address + 4 * index))
        .collect()
}

#[test]
fn interrupt_and_trap_gates_of_16_bits_push_words_which_iret_pops() {
    for mut guest in Guest::of_every_timing() {
        for (kind, kept) in [(INTERRUPT_GATE_16, 0), (TRAP_GATE_16, flags::IF)] {
            words(&mut guest);
            let target = guest.gate_target();
            let before = flags::RESET | flags::IF | flags::NT | flags::CF;
            guest.set(number::EFLAGS, before);
            // What would be the upper half of an offset means nothing.
            let gate = open(kind, selector::CODE_0, target | 0xABCD_0000, 0);
            guest.gate(vector::USER, gate);
            guest.place(target, 32, |a| a.iret());
            let code = guest.place(CODE, 16, |a| {
                a.int(i32::from(vector::USER))?;
                a.int(i32::from(vector::COMPLETED))
            });
            run_to(&mut guest, target);
            assert_eq!(guest.get(4), STACK_TOP[0] - 10);
            assert_eq!(guest.get(number::EFLAGS), flags::RESET | flags::CF | kept);
            let user = [u32::from(selector::CODE_16), before & 0xFFFF, 0x8000];
            let next = code.addresses[1] - CODE;
            let frame = [next, user[0], user[1], user[2], selector::DATA_16.into()];
            assert_eq!(words_at(&guest, STACK_TOP[0] - 10, 5), frame);
            assert_eq!(guest.run(), Stop::Halted);
            let event = guest.event().expect("an event");
            assert_eq!(
                (event.vector, event.cs),
                (vector::COMPLETED, selector::CODE_16)
            );
            assert_eq!((event.ss, event.esp), (selector::DATA_16, 0x8000));
            assert_eq!(event.eflags, before);
            assert!(guest.is_alive());
        }
    }
}

#[test]
fn a_gate_of_16_bits_pushes_the_error_code_as_a_word() {
    for mut guest in Guest::of_every_timing() {
        words(&mut guest);
        let target = guest.gate_target();
        guest.gate(
            exceptions::GP,
            open(INTERRUPT_GATE_16, selector::CODE_0, target, 0),
        );
        guest.place(CODE, 16, |a| {
            a.nop()?;
            a.db(&[0xCD, vector::RING_0_ONLY])
        });
        run_to(&mut guest, target);
        let code = u32::from(vector::RING_0_ONLY) << 3 | 2;
        let frame = [
            code,
            1,
            selector::CODE_16.into(),
            flags::RESET,
            0x8000,
            selector::DATA_16.into(),
        ];
        assert_eq!(words_at(&guest, STACK_TOP[0] - 12, 6), frame);
    }
}

#[test]
fn a_gate_of_16_bits_to_the_same_level_uses_the_stack_as_it_is() {
    for mut guest in Guest::of_every_timing() {
        for vector in [vector::USER, exceptions::NP] {
            guest.begin(0);
            guest.load(number::CS, selector::CODE_16_RING_0);
            guest.set(number::EIP, 0);
            let stack = guest.get(4);
            let target = guest.gate_target();
            guest.gate(vector, open(INTERRUPT_GATE_16, selector::CODE_0, target, 0));
            let not_present = u32::from(selector::ABSENT_DATA & !3);
            guest.set(0, not_present);
            guest.place(CODE, 16, |a| {
                if vector == exceptions::NP {
                    a.mov(ds, ax)
                } else {
                    a.int(i32::from(vector))
                }
            });
            run_to(&mut guest, target);
            let mut frame = vec![2, selector::CODE_16_RING_0.into(), flags::RESET];
            if vector == exceptions::NP {
                frame[0] = 0;
                frame.insert(0, not_present);
            }
            let bytes = 2 * frame.len() as u32;
            assert_eq!(guest.get(4), stack - bytes);
            assert_eq!(words_at(&guest, stack - bytes, frame.len() as u32), frame);
        }
    }
}

#[test]
fn call_gates_copy_any_number_of_words_or_doublewords() {
    for mut guest in Guest::of_every_timing() {
        for bytes in [2u32, 4] {
            for count in 0..32u8 {
                words(&mut guest);
                let target = guest.gate_target();
                let copied = u32::from(count) * bytes;
                let kind = if bytes == 2 {
                    CALL_GATE_16
                } else {
                    CALL_GATE_32
                };
                let gate = open(kind, selector::CODE_0, target, count);
                guest.descriptor(selector::CALL_GATE, gate);
                let parameters: Vec<u32> = (0..u32::from(count))
                    .map(|index| (index + 1) * if bytes == 2 { 0x101 } else { 0x0101_0101 })
                    .collect();
                for (index, parameter) in (0..).zip(&parameters) {
                    let at = DATA + 0x8000 + bytes * index;
                    guest.poke_bytes(at, &parameter.to_le_bytes()[..bytes as usize]);
                }
                guest.place(target, 32, |a| {
                    if bytes == 2 {
                        a.db(&[0x66, 0xCA, copied as u8, 0])
                    } else {
                        a.retf_1(copied)
                    }
                });
                let code = guest.place(CODE, 16, |a| {
                    a.db(&[0x9A, 0, 0, selector::CALL_GATE as u8, 0])?;
                    a.int(i32::from(vector::COMPLETED))
                });
                run_to(&mut guest, target);
                let mut frame = vec![code.addresses[1] - CODE, selector::CODE_16.into()];
                frame.extend(&parameters);
                frame.extend([0x8000, selector::DATA_16.into()]);
                let top = STACK_TOP[0] - 4 * bytes - copied;
                assert_eq!(guest.get(4), top, "{count} of {bytes} bytes");
                let found = if bytes == 2 {
                    words_at(&guest, top, frame.len() as u32)
                } else {
                    let mut found = dwords_at(&guest, top, frame.len() as u32);
                    // The upper half of a pushed selector means nothing.
                    found[1] &= 0xFFFF;
                    let last = found.len() - 1;
                    found[last] &= 0xFFFF;
                    found
                };
                assert_eq!(found, frame, "{count} of {bytes} bytes");
                assert_eq!(guest.run(), Stop::Halted);
                let event = guest.event().expect("an event");
                assert_eq!(event.vector, vector::COMPLETED);
                assert_eq!(event.esp, 0x8000 + copied, "{count} of {bytes} bytes");
                assert!(guest.is_alive());
            }
        }
    }
}

#[test]
fn call_gates_of_16_bits_lead_to_the_same_level_and_jumps_through_them_too() {
    for mut guest in Guest::of_every_timing() {
        for jump in [false, true] {
            guest.begin(0);
            guest.load(number::CS, selector::CODE_16_RING_0);
            guest.set(number::EIP, 0);
            let stack = guest.get(4);
            let target = guest.gate_target();
            let gate = open(CALL_GATE_16, selector::CODE_0, target, 5);
            guest.descriptor(selector::CALL_GATE, gate);
            let opcode = if jump { 0xEA } else { 0x9A };
            guest.place(CODE, 16, |a| {
                a.db(&[opcode, 0, 0, selector::CALL_GATE as u8, 0])
            });
            run_to(&mut guest, target);
            let pushed = if jump { 0 } else { 4 };
            assert_eq!(guest.get(4), stack - pushed);
            if !jump {
                let frame = [5, selector::CODE_16_RING_0.into()];
                assert_eq!(words_at(&guest, stack - 4, 2), frame);
            }
        }
    }
}

/// The task register holds a TSS of 16 bits at `TSS` + 400h, whose stacks are those of the usual one.
fn small_task(guest: &mut Guest) {
    let at = TSS + 0x400;
    let access = segments::ACCESS_PRESENT | TSS_16_BUSY;
    let task = segments::descriptor(at, 0x2B, access, 0);
    guest.descriptor(selector::SECOND_TSS, task);
    guest.load(number::TR, selector::SECOND_TSS);
    for ring in 0..2u32 {
        let stack = [selector::DATA_0, selector::DATA_1][ring as usize];
        guest.poke(
            at + 2 + 4 * ring,
            STACK_TOP[ring as usize] & 0xFFFF | u32::from(stack) << 16,
        );
    }
}

#[test]
fn stacks_come_from_a_tss_of_16_bits_for_gates_of_either_size() {
    for mut guest in Guest::of_every_timing() {
        for ring in [0u16, 1] {
            for kind in [
                INTERRUPT_GATE_16,
                INTERRUPT_GATE_32,
                CALL_GATE_16,
                CALL_GATE_32,
            ] {
                words(&mut guest);
                small_task(&mut guest);
                let code = [selector::CODE_0, selector::CODE_1][usize::from(ring)];
                let target = guest.gate_target();
                let call = matches!(kind, CALL_GATE_16 | CALL_GATE_32);
                if call {
                    guest.descriptor(selector::CALL_GATE, open(kind, code, target, 0));
                } else {
                    guest.gate(vector::USER, open(kind, code, target, 0));
                }
                guest.place(CODE, 16, |a| {
                    if call {
                        a.db(&[0x9A, 0, 0, selector::CALL_GATE as u8, 0])
                    } else {
                        a.int(i32::from(vector::USER))
                    }
                });
                run_to(&mut guest, target);
                let bytes = if kind & 8 == 0 { 2 } else { 4 };
                let entries = if call { 4 } else { 5 };
                let top = STACK_TOP[usize::from(ring)];
                let stack = [selector::DATA_0, selector::DATA_1][usize::from(ring)];
                assert_eq!(guest.get(4), top - entries * bytes, "type {kind}");
                assert_eq!(guest.get(number::SELECTOR + number::SS), u32::from(stack));
                assert_eq!(
                    guest.peek(top - bytes) & 0xFFFF,
                    u32::from(selector::DATA_16)
                );
                assert_eq!(guest.peek(top - 2 * bytes) & 0xFFFF, 0x8000);
            }
        }
    }
}

#[test]
fn a_tss_of_16_bits_that_is_too_short_for_a_stack_is_invalid() {
    for mut guest in Guest::of_every_timing() {
        words(&mut guest);
        small_task(&mut guest);
        guest.set(number::LIMIT + number::TR, 8);
        let target = guest.gate_target();
        guest.gate(
            vector::USER,
            open(INTERRUPT_GATE_16, selector::CODE_1, target, 0),
        );
        guest.place(CODE, 16, |a| a.int(i32::from(vector::USER)));
        run_to(&mut guest, Guest::handler(exceptions::TS));
        let stack = guest.get(4);
        assert_eq!(guest.peek(stack), u32::from(selector::SECOND_TSS));
    }
}

#[test]
fn ltr_takes_a_tss_of_16_bits_and_makes_it_busy() {
    for mut guest in Guest::of_every_timing() {
        guest.begin(0);
        let access = segments::ACCESS_PRESENT | TSS_16_AVAILABLE;
        let task = segments::descriptor(TSS + 0x400, 0x2B, access, 0);
        guest.descriptor(selector::SECOND_TSS, task);
        guest.set(0, selector::SECOND_TSS.into());
        // A far jump, so that the tools know CS.
        let program = guest.program(|a| {
            a.db(&[0xEA, 7, 0, 1, 0, selector::CODE_0 as u8, 0])?;
            a.ltr(ax)
        });
        run_to(&mut guest, program.end());
        assert_eq!(
            guest.get(number::SELECTOR + number::TR),
            u32::from(selector::SECOND_TSS)
        );
        assert_eq!(guest.get(number::ACCESS + number::TR), 0x83);
        assert_eq!(guest.get(number::LIMIT + number::TR), 0x2B);
        let access = guest.read_descriptor(selector::SECOND_TSS) >> 40 & 0xFF;
        assert_eq!(access, 0x83);
    }
}
