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
    a.mov(ebp, 60)?;
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
fn single_step_traps_in_the_same_places_whatever_memory_takes() {
    let traps = |seed: Option<u64>| {
        let mut guest = Guest::new(seed);
        guest.begin(3);
        let at = guest.gate_target();
        guest.place(at, 32, |a| a.iretd());
        for (entry, access) in [(vector::USER, 0xEE), (spec::exceptions::DB, 0x8E)] {
            let gate = spec::segments::gate(selector::CODE_0, at, access, 0);
            guest.gate(entry, gate);
        }
        guest.set(number::EFLAGS, flags::RESET | flags::TF);
        guest.program(exercise);
        assert_eq!(guest.run(), Stop::Halted, "seed {seed:X?}");
        let event = guest.event().expect("an event");
        assert_eq!(event.vector, vector::COMPLETED, "seed {seed:X?}");
        let records = guest.machine().drain_retired();
        let mut traps = Vec::new();
        let mut instructions = Vec::new();
        for record in records {
            if record.exception && record.vector == spec::exceptions::DB {
                traps.push(record.eip);
            } else if record.cpl == 3 && record.last && record.length != 0 && !record.exception {
                instructions.push(record.next_eip);
            }
        }
        (traps, instructions, event.general)
    };
    let expected = traps(None);
    assert!(expected.0.len() > 1000);
    for seed in [Some(5), Some(0x5EED)] {
        assert!(traps(seed) == expected, "seed {seed:X?}");
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
        (None, 11),
        (None, 13),
        (None, 17),
        (Some(9), 41),
        (Some(0x5EED), 43),
        (Some(0xABCD), 47),
    ] {
        let (found, changed, interrupts) = run(seed, Some(ticks));
        assert_eq!(found, general, "seed {seed:X?}, {ticks} ticks");
        assert!(changed == memory, "seed {seed:X?}, {ticks} ticks");
        assert!(interrupts > 3, "{interrupts} interrupts");
    }
}

/// Ring 3's part of a tour through what takes many steps: gates, segment loads, SYSENTER, ports, strings, far returns.
fn tour(a: &mut CodeAssembler) -> Result<(), iced_x86::IcedError> {
    let far_call = [0x9A, 0, 0, 0, 0, selector::CALL_GATE_3 as u8, 0];
    a.push(3)?;
    a.push(2)?;
    a.push(1)?;
    a.db(&far_call)?;
    a.mov(edx, CODE + 0x100)?;
    a.mov(ecx, esp)?;
    a.db(&[0x0F, 0x34])?; // sysenter; goes on at CODE + 100h
    a.nop()
}

/// The other part, at `CODE` + 100h.
fn tour_continued(a: &mut CodeAssembler) -> Result<(), iced_x86::IcedError> {
    a.mov(eax, i32::from(selector::DATA_3))?;
    a.mov(ss, eax)?;
    a.mov(esp, (USER_STACK_TOP - 0x200) as i32)?;
    a.mov(fs, eax)?;
    a.push(fs)?;
    a.pop(es)?;
    a.mov(ecx, 7)?;
    a.rep().movsb()?;
    a.mov(ecx, 3)?;
    a.repne().scasd()?;
    a.out(0xE9, al)?;
    a.in_(al, 0x21)?;
    a.cli()?;
    a.sti()?;
    a.pushfd()?;
    a.popfd()?;
    a.int(i32::from(vector::USER))?;
    a.imul_3(eax, esi, 77)?;
    a.cmpxchg8b(qword_ptr(ebx + 0xFFC))?;
    a.add(dword_ptr(ebx + 0xFFE), edi)?;
    a.daa()?;
    a.aas()?;
    a.db(&[0xD4, 10])?; // aam
    a.mov(dword_ptr(ebx + 0x1800), eax)?;
    a.mov(dword_ptr(ebx + 0x1804), i32::from(selector::DATA_3))?;
    a.lfs(edx, fword_ptr(ebx + 0x1800))?;
    a.lar(ecx, dword_ptr(ebx + 0x1804))?;
    a.arpl(word_ptr(ebx + 0x1800), cx)?;
    a.lsl(eax, dword_ptr(ebx + 0x1804))?;
    a.verw(word_ptr(ebx + 0x1804))?;
    a.mov(dword_ptr(ebx + 0x1808), -1)?;
    a.mov(dword_ptr(ebx + 0x180C), 9)?;
    a.mov(ecx, 4)?;
    a.bound(ecx, qword_ptr(ebx + 0x1808))?;
    a.mov(edx, 0xE9)?;
    a.rep().outsb()?;
    a.lea(edi, dword_ptr(ebx + 0x1900))?;
    a.mov(ecx, 3)?;
    a.rep().insb()?;
    a.insb()?;
    a.outsb()?;
    a.pushad()?;
    a.popad()?;
    a.enter(16, 2)?;
    a.leave()?;
    a.push(i32::from(selector::CODE_3))?;
    a.push((CODE + 0x200) as i32)?;
    a.retf()
}

#[test]
fn an_nmi_in_any_clock_comes_once_and_changes_nothing_else() {
    const COUNT: u32 = PROOF + 8;
    let prepare = |guest: &mut Guest| {
        guest.begin(3);
        guest.set(number::EFLAGS, flags::RESET | flags::IOPL);
        let target = guest.gate_target();
        guest.place(target, 32, |a| {
            a.mov(eax, dword_ptr(esp + 12))?;
            a.retf_1(12)
        });
        guest.place(target + 0x20, 32, |a| a.iretd());
        guest.place(target + 0x30, 32, |a| a.db(&[0x0F, 0x35]));
        guest.set(number::SYSENTER_EIP, target + 0x30);
        guest.set(number::SYSENTER_ESP, STACK_TOP[0] - 0x200);
        guest.place(target + 0x40, 32, |a| {
            a.inc(dword_ptr(COUNT).ss())?;
            a.iretd()
        });
        let gate = |offset, access| spec::segments::gate(selector::CODE_0, offset, access, 0);
        guest.gate(vector::USER, gate(target + 0x20, 0xEE));
        guest.gate(spec::exceptions::NMI, gate(target + 0x40, 0x8E));
        guest.place(CODE, 32, tour);
        guest.place(CODE + 0x100, 32, tour_continued);
        guest.place(CODE + 0x200, 32, |a| a.int(i32::from(vector::COMPLETED)));
        guest.machine().invalidate();
        guest.machine().resume();
    };
    let outcome = |guest: &mut Guest, label: &str| {
        assert_eq!(guest.machine().run(100_000), Stop::Halted, "{label}");
        assert!(guest.is_alive(), "{label}");
        let event = guest.event().expect(label);
        assert_eq!(event.vector, vector::COMPLETED, "{label}");
        let memory = guest.machine().read_memory(DATA, 0x2000).expect("RAM");
        let console = guest.machine().take_debug_console();
        (event.general, event.eip, memory, console)
    };
    for seed in [None, Some(0x5EED)] {
        let mut guest = Guest::new(seed);
        prepare(&mut guest);
        let begin = guest.machine().status().cycle;
        let expected = outcome(&mut guest, "without");
        let records = guest.machine().drain_retired();
        let end = records
            .iter()
            .find(|record| record.eip == CODE + 0x200)
            .expect("the end")
            .cycle;
        println!("seed {seed:X?}: {} clocks", end - begin);
        // With random waits each run has its own timing; the clocks are a sample then.
        let step = if seed.is_some() { 7 } else { 1 };
        for clocks in (0..end - begin).step_by(step) {
            let label = format!("seed {seed:X?}, NMI after {clocks} clocks");
            prepare(&mut guest);
            guest.machine().run(clocks);
            guest.machine().nmi();
            let found = outcome(&mut guest, &label);
            assert!(found == expected, "{label}: {found:X?}");
            assert_eq!(guest.peek(COUNT), 1, "{label}");
        }
    }
}

#[test]
fn a_port_is_written_once_however_many_interrupts_come() {
    for (seed, ticks) in [(None, 5), (None, 6), (Some(0x5EED), 9), (Some(4), 11)] {
        let mut guest = Guest::new(seed);
        guest.begin(0);
        let handler = guest.gate_target() + 0x100;
        guest.place(handler, 32, |a| {
            a.push(eax)?;
            a.mov(al, 0x20)?;
            a.out(0x20, al)?;
            a.pop(eax)?;
            a.iretd()
        });
        guest.gate(
            0x20,
            spec::segments::gate(selector::CODE_0, handler, 0x8E, 0),
        );
        guest.program(|a| {
            for (port, value) in [
                (0x20, 0x11u32),
                (0x21, 0x20),
                (0x21, 0x04),
                (0x21, 0x01),
                (0x21, 0xFE),
                (0x43, 0x14),
                (0x40, ticks),
            ] {
                a.mov(al, value)?;
                a.out(port, al)?;
            }
            let mut again = a.create_label();
            a.xor(eax, eax)?;
            a.sti()?;
            a.set_label(&mut again)?;
            a.out(0xE9, al)?;
            a.push(eax)?;
            a.in_(al, 0x21)?;
            a.pop(eax)?;
            a.inc(al)?;
            a.jne(again)?;
            a.cli()
        });
        assert_eq!(guest.run(), Stop::Halted, "seed {seed:X?}");
        let records = guest.machine().drain_retired();
        let interrupts = records.iter().filter(|record| record.interrupt).count();
        assert!(interrupts > 10, "{interrupts} interrupts");
        let written = guest.machine().take_debug_console();
        assert_eq!(written, (0..=255).collect::<Vec<u8>>(), "seed {seed:X?}");
        let reads = guest.machine().drain_ports();
        let reads = reads.iter().filter(|access| !access.write).count();
        assert_eq!(reads, 256, "seed {seed:X?}");
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
        let again = machine.drain_retired();
        let differs = records.iter().zip(&again).find(|(a, b)| a != b);
        assert_eq!(differs, None, "after {clocks} clocks");
        assert_eq!(again.len(), records.len(), "after {clocks} clocks");
    }
}
