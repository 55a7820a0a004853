//! From the reset vector: real mode, its interrupts and limits, and the way to protected mode.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use sim::machine::{Machine, MachineConfig, Stop};
use spec::flags;
use spec::registers as number;
use tests::guest::assemble;

/// Offset in the segment F000h of the program; the reset vector jumps there.
const PROGRAM: u32 = 0xE000;

/// A machine with 64 KB of ROM.
fn machine(code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Machine {
    let mut rom = vec![0xF4; 0x1_0000];
    let (bytes, _) = assemble(16, PROGRAM, code);
    rom[PROGRAM as usize..][..bytes.len()].copy_from_slice(&bytes);
    rom[0xFFF0..][..5].copy_from_slice(&[0xEA, 0x00, 0xE0, 0x00, 0xF0]);
    Machine::new(MachineConfig {
        ram_bytes: 0x8_0000,
        rom,
        ..MachineConfig::default()
    })
    .expect("a machine")
}

fn word(machine: &Machine, address: u32) -> u16 {
    let bytes = machine.read_memory(address, 2).expect("RAM");
    u16::from_le_bytes(bytes.try_into().expect("two bytes"))
}

#[test]
fn reset_leaves_the_state_that_the_manual_says() {
    let mut machine = machine(|a| a.hlt());
    machine.debug_halt().expect("halts");
    let mut get = |register| machine.read_register(register);
    for s in [number::ES, number::SS, number::DS, number::FS, number::GS] {
        assert_eq!(get(number::SELECTOR + s), 0);
        assert_eq!(get(number::BASE + s), 0);
        assert_eq!(get(number::LIMIT + s), 0xFFFF);
    }
    assert_eq!(get(number::EFLAGS), flags::RESET);
    assert_eq!(get(number::CR0), spec::control_registers::CR0_RESET);
    for register in [0, 1, 3, 4, 5, 6, 7, number::CR2, number::CR3, number::CR4] {
        assert_eq!(get(register), 0, "register {register:02X}");
    }
    assert_eq!(get(number::BASE + number::IDTR), 0);
    assert_eq!(get(number::LIMIT + number::IDTR), 0xFFFF);
    assert_eq!(get(number::CPL), 0);
}

#[test]
fn the_first_instruction_comes_from_fffffff0() {
    let mut machine = machine(|a| a.hlt());
    assert_eq!(machine.run(1000), Stop::Halted);
    let records = machine.drain_retired();
    let first = records
        .iter()
        .find(|record| record.length != 0)
        .expect("an instruction");
    assert_eq!(first.eip, 0xFFF0);
    assert_eq!(first.bytes[..5], [0xEA, 0x00, 0xE0, 0x00, 0xF0]);
    assert_eq!(first.mode & 1, 0);
}

#[test]
fn segments_shift_by_four_bits_and_calls_and_interrupts_push_words() {
    let mut machine = machine(|a| {
        a.xor(ax, ax)?;
        a.mov(ss, ax)?;
        a.mov(sp, 0x7000)?;
        a.mov(ds, ax)?;
        // INT 21h goes to F000:E100.
        a.mov(word_ptr(0x84), 0xE100u32)?;
        a.mov(word_ptr(0x86), 0xF000u32)?;
        a.mov(ax, 0x1234)?;
        a.mov(es, ax)?;
        a.mov(di, 0x10)?;
        a.mov(al, 0x55)?;
        a.stosb()?; // at 12350h
        a.stc()?;
        a.sti()?;
        a.int(0x21)?;
        a.mov(word_ptr(0x608), sp)?;
        a.pushf()?;
        a.pop(ax)?;
        a.mov(word_ptr(0x60A), ax)?;
        a.cli()?;
        a.hlt()
    });
    // The handler, in RAM's stead: F000:E100.
    let (handler, _) = assemble(16, 0xE100, |a| {
        a.push(bp)?;
        a.mov(bp, sp)?;
        a.mov(ax, word_ptr(bp + 2))?;
        a.mov(word_ptr(0x600), ax)?;
        a.mov(ax, word_ptr(bp + 4))?;
        a.mov(word_ptr(0x602), ax)?;
        a.mov(ax, word_ptr(bp + 6))?;
        a.mov(word_ptr(0x604), ax)?;
        a.pushf()?;
        a.pop(ax)?;
        a.mov(word_ptr(0x606), ax)?;
        a.pop(bp)?;
        a.iret()
    });
    let mut rom = machine.read_memory(0xFFFF_0000, 0x1_0000).expect("ROM");
    rom[0xE100..][..handler.len()].copy_from_slice(&handler);
    machine = Machine::new(MachineConfig {
        ram_bytes: 0x8_0000,
        rom,
        ..MachineConfig::default()
    })
    .expect("a machine");
    assert_eq!(machine.run(10_000), Stop::Halted);
    assert_eq!(word(&machine, 0x1_2350) as u8, 0x55);
    assert_eq!(word(&machine, 0x602), 0xF000);
    let pushed = u32::from(word(&machine, 0x604));
    assert_eq!(pushed & (flags::IF | flags::CF), flags::IF | flags::CF);
    assert_eq!(u32::from(word(&machine, 0x606)) & flags::IF, 0);
    assert_eq!(word(&machine, 0x608), 0x7000);
    let after = u32::from(word(&machine, 0x60A));
    assert_eq!(after & (flags::IF | flags::CF), flags::IF | flags::CF);
}

/// Runs a faulting instruction in real mode; returns the vector and the offset pushed.
fn real_mode_fault(
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> (u8, Option<u16>) {
    let mut machine = machine(|a| {
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.mov(ss, ax)?;
        a.mov(sp, 0x7000)?;
        code(a)?;
        a.hlt()
    });
    // All vectors lead to HLT at F000:0000.
    for vector in 0..32u32 {
        machine
            .write_memory(4 * vector, &[0, 0, 0, 0xF0])
            .expect("RAM");
    }
    assert_eq!(machine.run(10_000), Stop::Halted);
    let records = machine.drain_retired();
    let fault = records.iter().find(|record| record.exception);
    match fault {
        // No error code in real mode: IP, CS, FLAGS.
        Some(fault) => {
            assert!(!fault.has_error_code);
            assert_eq!(word(&machine, 0x6FFA), fault.eip as u16);
            assert_eq!(word(&machine, 0x6FFC), 0xF000);
            (fault.vector, Some(word(&machine, 0x6FFA)))
        }
        None => (0xFF, None),
    }
}

#[test]
fn faults_of_real_mode_push_no_error_code() {
    use spec::exceptions::{DE, GP, SS, UD};
    assert_eq!(real_mode_fault(|a| a.ud2()).0, UD);
    assert_eq!(
        real_mode_fault(|a| {
            a.xor(cx, cx)?;
            a.div(cx)
        })
        .0,
        DE
    );
    assert_eq!(real_mode_fault(|a| a.mov(ax, word_ptr(0xFFFF))).0, GP);
    assert_eq!(
        real_mode_fault(|a| {
            a.mov(ebx, 0x1_0000)?;
            a.mov(al, byte_ptr(ebx))
        })
        .0,
        GP
    );
    assert_eq!(
        real_mode_fault(|a| {
            a.mov(bp, 0xFFFF)?;
            a.mov(ax, word_ptr(bp))
        })
        .0,
        SS
    );
    assert_eq!(real_mode_fault(|a| a.lldt(ax)).0, UD);
    assert_eq!(real_mode_fault(|a| a.ltr(ax)).0, UD);
    assert_eq!(real_mode_fault(|a| a.str(ax)).0, UD);
    assert_eq!(real_mode_fault(|a| a.lar(ax, bx)).0, UD);
    assert_eq!(real_mode_fault(|a| a.lsl(ax, bx)).0, UD);
    assert_eq!(real_mode_fault(|a| a.verr(bx)).0, UD);
    assert_eq!(real_mode_fault(|a| a.verw(word_ptr(0xFFFF))).0, UD);
    assert_eq!(real_mode_fault(|a| a.arpl(word_ptr(0xFFFF), ax)).0, UD);
    assert_eq!(real_mode_fault(|a| a.lldt(word_ptr(0xFFFF))).0, UD);
    assert_eq!(real_mode_fault(|a| a.sldt(word_ptr(0xFFFF))).0, UD);
    assert_eq!(real_mode_fault(|a| a.bound(ax, dword_ptr(0x600))).0, 0xFF);
    assert_eq!(real_mode_fault(|a| a.les(ax, dword_ptr(0xFFFF))).0, GP);
    assert_eq!(real_mode_fault(|a| a.db(&[0x0F, 0x34])).0, GP);
    assert_eq!(real_mode_fault(|a| a.db(&[0x0F, 0x35])).0, GP);
    // What ring 0 may, real mode may.
    assert_eq!(
        real_mode_fault(|a| {
            a.mov(eax, cr0)?;
            a.sti()?;
            a.cli()?;
            a.out(0x80, al)
        })
        .0,
        0xFF
    );
}

#[test]
fn protected_mode_and_back_keeps_the_descriptor_caches() {
    // "Unreal" mode: a flat DS survives the return to real mode.
    let mut machine = machine(|a| {
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        // The GDT at 500h: null, flat data. Its pseudo-descriptor at 510h.
        a.mov(dword_ptr(0x508), 0x0000_FFFFu32)?;
        a.mov(dword_ptr(0x50C), 0x00CF_9300u32)?;
        a.mov(word_ptr(0x510), 0x0Fu32)?;
        a.mov(dword_ptr(0x512), 0x500u32)?;
        a.db(&[0x66, 0x0F, 0x01, 0x16, 0x10, 0x05])?; // lgdt [510h]
        a.mov(eax, cr0)?;
        a.or(al, 1)?;
        a.mov(cr0, eax)?;
        a.mov(bx, 8)?;
        a.mov(ds, bx)?;
        a.and(al, 0xFEu32)?;
        a.mov(cr0, eax)?;
        a.mov(ebx, 0x6_0000)?;
        a.mov(dword_ptr(ebx), 0x600D_600Du32)?;
        a.hlt()
    });
    assert_eq!(machine.run(10_000), Stop::Halted);
    let found = machine.read_memory(0x6_0000, 4).expect("RAM");
    assert_eq!(found, 0x600D_600Du32.to_le_bytes());
}

#[test]
fn far_pointers_of_real_mode_shift_their_selector() {
    let mut machine = machine(|a| {
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.mov(word_ptr(0x600), 0x0010u32)?;
        a.mov(word_ptr(0x602), 0x1234u32)?;
        a.les(di, dword_ptr(0x600))?;
        a.mov(al, 0x5A)?;
        a.stosb()?; // at 12350h
        a.mov(dword_ptr(0x604), 0x7000u32)?;
        a.mov(word_ptr(0x608), 0x2000u32)?;
        a.lss(esp, fword_ptr(0x604))?;
        a.push(ax)?; // at 26FFEh
        a.hlt()
    });
    assert_eq!(machine.run(10_000), Stop::Halted);
    assert_eq!(word(&machine, 0x1_2350) as u8, 0x5A);
    assert_eq!(word(&machine, 0x2_6FFE) as u8, 0x5A);
}
