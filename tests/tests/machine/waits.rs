//! Memory that makes the processor wait at random changes no result, only when it comes.

use crate::case;
use iced_x86::code_asm::*;
use sim::machine::{Machine, MachineConfig, Stop};
use spec::flags;
use spec::registers as number;
use tests::guest::*;

/// What a program did, without the time it took.
fn behaviour(guest: &mut Guest) -> Vec<String> {
    guest
        .machine()
        .drain_retired()
        .into_iter()
        .filter(|record| !record.interrupt)
        .map(|record| {
            format!(
                "{:08X} {:08X} {:X?}",
                record.eip,
                record.next_eip,
                (
                    record.register_number,
                    record.register_data,
                    record.store_linear,
                    record.store_data,
                    record.load_data,
                    record.eflags,
                    record.vector,
                    record.error_code,
                )
            )
        })
        .collect()
}

/// A program that touches much: loads and stores of all sizes and alignments, stack, strings, division, system calls.
fn exercise(a: &mut CodeAssembler) -> Result<(), iced_x86::IcedError> {
    let mut turn = a.create_label();
    let mut function = a.create_label();
    let mut over = a.create_label();
    a.mov(ebp, 12)?;
    a.jmp(over)?;
    a.set_label(&mut function)?;
    a.push(esi)?;
    a.imul_3(esi, eax, 0x1_0003)?;
    a.xor(eax, esi)?;
    a.pop(esi)?;
    a.ret_1(4)?;
    a.set_label(&mut over)?;
    a.mov(eax, 0x1234_5679)?;
    a.set_label(&mut turn)?;
    a.push(eax)?;
    a.call(function)?;
    a.mov(dword_ptr(ebx + ebp * 4 + 1), eax)?;
    a.add(word_ptr(ebx + ebp * 4 + 3), ax)?;
    a.movzx(edx, byte_ptr(ebx + ebp * 4 + 2))?;
    a.adc(dword_ptr(ebx + 0xFFD), edx)?;
    a.mov(ecx, 5)?;
    a.push(edi)?;
    a.rep().movsb()?;
    a.pop(edi)?;
    a.sub(esi, 5)?;
    a.pushad()?;
    a.popad()?;
    a.xor(edx, edx)?;
    a.mov(ecx, 0x77)?;
    a.div(ecx)?;
    a.add(eax, edx)?;
    a.int(i32::from(vector::USER))?;
    a.add(eax, dword_ptr(ebx + 4))?;
    a.rol(eax, 7)?;
    a.dec(ebp)?;
    a.jne(turn)
}

#[test]
fn programs_retire_the_same_whatever_memory_takes() {
    let mut outcomes = Vec::new();
    for seed in [None, Some(1), Some(0x5EED), Some(0xC0FFEE), Some(77)] {
        let mut guest = Guest::new(seed);
        guest.begin(3);
        let at = guest.gate_target();
        guest.place(at, 32, |a| {
            a.inc(dword_ptr(PROOF + 8).ss())?;
            a.iretd()
        });
        let gate = spec::segments::gate(selector::CODE_0, at, 0xEE, 0);
        guest.gate(vector::USER, gate);
        guest.program(exercise);
        assert_eq!(guest.run(), Stop::Halted, "seed {seed:X?}");
        assert!(guest.is_alive());
        let cycles = guest.machine().status().cycle;
        let memory = guest.machine().read_memory(DATA, 0x2000).expect("RAM");
        outcomes.push((seed, cycles, behaviour(&mut guest), memory));
    }
    let (_, fast, expected, memory) = &outcomes[0];
    for (seed, cycles, found, changed) in &outcomes[1..] {
        let differs = expected.iter().zip(found).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed:X?}");
        assert_eq!(expected.len(), found.len(), "seed {seed:X?}");
        assert!(memory == changed, "seed {seed:X?}");
        assert!(cycles > fast, "seed {seed:X?}: waits take time");
    }
}

#[test]
fn faults_are_the_same_whatever_memory_takes() {
    for seed in [3, 0x5EED] {
        let mut guest = Guest::new(Some(seed));
        println!("seed {seed:X}");
        case::check_on(&mut guest, &crate::control_transfer::stack_switches());
        case::check_on(&mut guest, &crate::paging::page_faults());
    }
}

#[test]
fn interrupts_at_any_moment_change_no_result() {
    const COUNT: u32 = PROOF + 8;
    let run = |seed: Option<u64>, ticks: Option<u8>| {
        let mut guest = Guest::new(seed);
        guest.begin(3);
        let at = guest.gate_target();
        guest.place(at, 32, |a| a.iretd());
        guest.gate(
            vector::USER,
            spec::segments::gate(selector::CODE_0, at, 0xEE, 0),
        );
        let handler = at + 0x100;
        guest.place(handler, 32, |a| {
            a.push(eax)?;
            a.inc(dword_ptr(COUNT).ss())?;
            a.mov(al, 0x20)?;
            a.out(0x20, al)?;
            a.pop(eax)?;
            a.iretd()
        });
        guest.gate(
            0x20,
            spec::segments::gate(selector::CODE_0, handler, 0x8E, 0),
        );
        let program = guest.program(exercise);
        guest.place(program.end(), 32, |a| {
            a.cli()?;
            a.int(i32::from(vector::COMPLETED))
        });
        if let Some(ticks) = ticks {
            let start = CODE + 0x800;
            guest.place(start, 32, |a| {
                // Counter 0 in mode 2: an interrupt every so many ticks.
                for (port, value) in [
                    (0x20, 0x11u32),
                    (0x21, 0x20),
                    (0x21, 0x04),
                    (0x21, 0x01),
                    (0x21, 0xFE),
                    (0x43, 0x14),
                    (0x40, ticks.into()),
                ] {
                    a.mov(al, value)?;
                    a.out(port, al)?;
                }
                a.mov(eax, 0xAAAA_0001u32)?;
                a.jmp(u64::from(CODE))
            });
            guest.set(number::EIP, start);
            guest.set(number::EFLAGS, flags::RESET | flags::IF | flags::IOPL);
        } else {
            guest.set(number::EFLAGS, flags::RESET | flags::IOPL);
        }
        assert_eq!(guest.run(), Stop::Halted, "seed {seed:X?}");
        let event = guest.event().expect("an event");
        assert_eq!(event.vector, vector::COMPLETED, "seed {seed:X?}");
        let memory = guest.machine().read_memory(DATA, 0x2000).expect("RAM");
        (event.general, memory, guest.peek(COUNT))
    };
    let (general, memory, none) = run(None, None);
    assert_eq!(none, 0);
    for (seed, ticks) in [
        (None, 2),
        (None, 3),
        (None, 5),
        (Some(9), 3),
        (Some(0x5EED), 4),
        (Some(0xABCD), 7),
    ] {
        let (found, changed, interrupts) = run(seed, Some(ticks));
        assert_eq!(found, general, "seed {seed:X?}, {ticks} ticks");
        assert!(changed == memory, "seed {seed:X?}, {ticks} ticks");
        assert!(interrupts > 3, "{interrupts} interrupts");
    }
}

/// A program in ROM that counts and prints on the debug console.
fn counting_rom() -> Vec<u8> {
    let mut rom = vec![0xF4; 0x1_0000];
    let (bytes, _) = assemble(16, 0xE000, |a| {
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.mov(cx, 200)?;
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.add(ax, cx)?;
        a.mov(word_ptr(0x500), ax)?;
        a.out(0xE9, al)?;
        a.loop_(again)?;
        a.cli()?;
        a.hlt()
    });
    rom[0xE000..][..bytes.len()].copy_from_slice(&bytes);
    rom[0xFFF0..][..5].copy_from_slice(&[0xEA, 0x00, 0xE0, 0x00, 0xF0]);
    rom
}

#[test]
fn reset_in_the_middle_and_after_the_run_starts_the_same_run_again() {
    let mut machine = Machine::new(MachineConfig {
        ram_bytes: 0x1_0000,
        rom: counting_rom(),
        ..MachineConfig::default()
    })
    .expect("a machine");
    assert_eq!(machine.run(100_000), Stop::Halted);
    let console = machine.take_debug_console();
    let records = machine.drain_retired();
    assert_eq!(console.len(), 200);
    for clocks in [1, 7, 100, 533, 1001, 1002, 1003, 2000] {
        machine.reset();
        machine.run(clocks);
        machine.reset();
        machine.take_debug_console();
        machine.drain_retired();
        assert_eq!(machine.run(100_000), Stop::Halted);
        assert_eq!(machine.take_debug_console(), console, "after {clocks}");
        assert!(machine.drain_retired() == records, "after {clocks} clocks");
    }
}
