//! Faults and traps of single instructions, by ring.

use crate::case::*;
use iced_x86::code_asm::*;
use spec::flags;
use spec::registers as number;
use tests::guest::*;

#[test]
fn privileged_instructions_raise_gp_0_in_ring_3_and_change_nothing() {
    #[rustfmt::skip]
    check(&[
        row("hlt",               3, |a| a.hlt(), gp(0)),
        row("cli",               3, |a| a.cli(), gp(0)),
        row("sti",               3, |a| a.sti(), gp(0)),
        row("lgdt",              3, |a| a.lgdt(ptr(ebx)), gp(0)),
        row("lidt",              3, |a| a.lidt(ptr(ebx)), gp(0)),
        row("lldt",              3, |a| a.lldt(ax), gp(0)),
        row("ltr",               3, |a| a.ltr(ax), gp(0)),
        row("mov cr0,eax",       3, |a| a.mov(cr0, eax), gp(0)),
        row("mov cr2,eax",       3, |a| a.mov(cr2, eax), gp(0)),
        row("mov cr3,eax",       3, |a| a.mov(cr3, eax), gp(0)),
        row("mov cr4,eax",       3, |a| a.mov(cr4, eax), gp(0)),
        row("mov eax,cr0",       3, |a| a.mov(eax, cr0), gp(0)),
        row("mov eax,cr2",       3, |a| a.mov(eax, cr2), gp(0)),
        row("mov eax,cr3",       3, |a| a.mov(eax, cr3), gp(0)),
        row("mov eax,cr4",       3, |a| a.mov(eax, cr4), gp(0)),
        row("mov dr7,eax",       3, |a| a.mov(dr7, eax), gp(0)),
        row("mov eax,dr6",       3, |a| a.mov(eax, dr6), gp(0)),
        row("clts",              3, |a| a.clts(), gp(0)),
        row("invlpg",            3, |a| a.invlpg(ptr(ebx)), gp(0)),
        row("rdmsr",             3, |a| a.rdmsr(), gp(0)),
        row("wrmsr",             3, |a| a.wrmsr(), gp(0)),
        row("sysexit",           3, |a| a.db(&[0x0F, 0x35]), gp(0)),
        row("hlt in ring 1",     1, |a| a.hlt(), gp(0)),
        row("mov cr3 in ring 1", 1, |a| a.mov(cr3, eax), gp(0)),
        row("in al,80h",         3, |a| a.in_(al, 0x80), gp(0)),
        row("in eax,dx",         3, |a| a.in_(eax, dx), gp(0)),
        row("out 80h,al",        3, |a| a.out(0x80, al), gp(0)),
        row("out dx,ax",         3, |a| a.out(dx, ax), gp(0)),
        row("out in ring 1",     1, |a| a.out(0x80, al), gp(0)),
    ]);
}

#[test]
fn the_same_instructions_run_in_ring_0() {
    #[rustfmt::skip]
    check(&[
        row("cli, sti",       0, |a| { a.sti()?; a.cli() }, completes()),
        row("sgdt and lgdt",  0, |a| { a.sgdt(ptr(ebx))?; a.lgdt(ptr(ebx)) }, completes()),
        row("sidt and lidt",  0, |a| { a.sidt(ptr(ebx))?; a.lidt(ptr(ebx)) }, completes()),
        row("mov cr0",        0, |a| { a.mov(eax, cr0)?; a.mov(cr0, eax) }, completes()),
        row("mov cr2",        0, |a| { a.mov(cr2, ebx)?; a.mov(eax, cr2) }, completes()),
        row("mov cr3",        0, |a| { a.mov(eax, cr3)?; a.mov(cr3, eax) }, completes()),
        row("mov cr4",        0, |a| { a.mov(eax, cr4)?; a.mov(cr4, eax) }, completes()),
        row("mov dr7",        0, |a| { a.mov(eax, dr7)?; a.mov(dr7, eax) }, completes()),
        row("mov dr0",        0, |a| { a.mov(dr0, eax)?; a.mov(eax, dr6) }, completes()),
        row("clts",           0, |a| a.clts(), completes()),
        row("invlpg",         0, |a| a.invlpg(ptr(ebx)), completes()),
        row("rdmsr, wrmsr",   0, |a| { a.mov(ecx, 0x175)?; a.rdmsr()?; a.wrmsr() }, completes()),
        row("unknown rdmsr",  0, |a| a.rdmsr(), gp(0)),
        row("unknown wrmsr",  0, |a| a.wrmsr(), gp(0)),
        row("lldt null",      0, |a| { a.xor(eax, eax)?; a.lldt(ax) }, completes()),
        row("sldt, str",      0, |a| { a.sldt(eax)?; a.str(eax) }, completes()),
        row("out, in",        0, |a| { a.out(0x80, al)?; a.in_(al, 0x61) }, completes()),
        row("PG without PE",  0, |a| { a.mov(eax, 0x8000_0010u32)?; a.mov(cr0, eax) }, gp(0)),
        row("NW without CD",  0, |a| { a.mov(eax, 0xA000_0011u32)?; a.mov(cr0, eax) }, gp(0)),
        row("unbuilt CR4",    0, |a| { a.mov(eax, 0x20)?; a.mov(cr4, eax) }, gp(0)),
    ]);
}

#[test]
fn iopl_decides_about_cli_sti_ports_and_what_popf_changes() {
    fn iopl_3(guest: &mut Guest) {
        guest.set(number::EFLAGS, flags::RESET | flags::IOPL);
    }
    fn iopl_1(guest: &mut Guest) {
        guest.set(number::EFLAGS, flags::RESET | 1 << 12);
    }
    #[rustfmt::skip]
    check(&[
        prepared("cli with IOPL 3", 3, iopl_3, |a| a.cli(), completes()),
        prepared("sti with IOPL 3", 3, iopl_3, |a| { a.sti()?; a.cli() }, completes()),
        prepared("out with IOPL 3", 3, iopl_3, |a| a.out(0x80, al), completes()),
        prepared("cli with IOPL 1", 3, iopl_1, |a| a.cli(), gp(0)),
        prepared("cli in ring 1 with IOPL 1", 1, iopl_1, |a| a.cli(), completes()),
        prepared("out in ring 1 with IOPL 1", 1, iopl_1, |a| a.out(0x80, al), completes()),
        prepared("hlt with IOPL 3", 3, iopl_3, |a| a.hlt(), gp(0)),
    ]);
    // (ring, EFLAGS before, popped, EFLAGS after), interrupts left as they come.
    let all = flags::DEFINED & !(flags::TF | flags::VM | flags::VIF | flags::VIP);
    let both = flags::IF | flags::IOPL;
    #[rustfmt::skip]
    let rows = [
        ("ring 0 changes both",              0, flags::RESET, all, all & !flags::RF | flags::RESET),
        ("ring 3 changes neither",           3, flags::RESET, all, all & !(flags::RF | both) | flags::RESET),
        ("ring 3 clears neither",            3, flags::RESET | 1 << 12 | flags::IF, 0, flags::RESET | 1 << 12 | flags::IF),
        ("ring 3 with IOPL 3 changes IF",    3, flags::RESET | flags::IOPL, all & !flags::IOPL, all & !flags::RF | flags::RESET),
        ("ring 3 with IOPL 3 keeps IOPL",    3, flags::RESET | both, 0, flags::RESET | flags::IOPL),
        ("ring 1 with IOPL 1 changes IF",    1, flags::RESET | 1 << 12, flags::IF, flags::RESET | 1 << 12 | flags::IF),
        ("VM, VIF and VIP are not popped",   0, flags::RESET, flags::VM | flags::VIF | flags::VIP, flags::RESET),
    ];
    let mut guest = Guest::new(None);
    for (label, ring, before, popped, after) in rows {
        guest.begin(ring);
        guest.set(number::EFLAGS, before);
        guest.set(0, popped);
        guest.program(|a| {
            a.push(eax)?;
            a.popfd()
        });
        guest.run();
        let event = guest.event().expect(label);
        assert_eq!(event.vector, vector::COMPLETED, "{label}");
        assert_eq!(event.eflags, after, "{label}: {:08X}", event.eflags);
    }
}

#[test]
fn the_port_bitmap_opens_single_ports_to_ring_3() {
    fn open(guest: &mut Guest) {
        // Ports 80h to 82h.
        guest.poke_bytes(TSS + 0x68 + 0x10, &[0xF8]);
        guest.set(2, 0x80);
    }
    fn no_bitmap(guest: &mut Guest) {
        guest.poke(TSS + spec::segments::TSS_IO_MAP_BASE, 0x88);
        guest.set(2, 0);
    }
    fn short_segment(guest: &mut Guest) {
        open(guest);
        guest.set(number::LIMIT + number::TR, 0x68 + 0x10);
    }
    #[rustfmt::skip]
    check(&[
        prepared("out dx,al to an open port", 3, open, |a| a.out(dx, al), completes()),
        prepared("out 80h,al to an open port", 3, open, |a| a.out(0x80, al), completes()),
        prepared("in al,dx from an open port", 3, open, |a| a.in_(al, dx), completes()),
        prepared("out dx,ax to open ports", 3, open, |a| a.out(dx, ax), completes()),
        prepared("out dx,eax where the last port is closed", 3, open, |a| a.out(dx, eax), gp(0)),
        prepared("out 83h,al to a closed port", 3, open, |a| a.out(0x83, al), gp(0)),
        prepared("out 82h,ax to half open ports", 3, open, |a| a.out(0x82, ax), gp(0)),
        prepared("no bitmap", 3, no_bitmap, |a| a.out(dx, al), gp(0)),
        prepared("the second byte is beyond the limit", 3, short_segment, |a| a.out(dx, al), gp(0)),
        prepared("in ring 1, too", 1, open, |a| a.out(dx, al), completes()),
        prepared("in ring 1, closed", 1, open, |a| a.out(0x83, al), gp(0)),
    ]);
}

#[test]
fn undefined_and_malformed_instructions_raise_ud_or_gp() {
    #[rustfmt::skip]
    check(&[
        row("ud2",                    3, |a| a.ud2(), ud()),
        row("ud2 in ring 0",          0, |a| a.ud2(), ud()),
        row("0f ff",                  3, |a| a.db(&[0x0F, 0xFF, 0xC0]), ud()),
        row("lock nop",               3, |a| a.db(&[0xF0, 0x90]), ud()),
        row("lock mov",               3, |a| a.db(&[0xF0, 0x89, 0x03]), ud()),
        row("lock add r,r",           3, |a| a.db(&[0xF0, 0x01, 0xC8]), ud()),
        row("lock add r,m",           3, |a| a.db(&[0xF0, 0x03, 0x03]), ud()),
        row("lock cmp m,r",           3, |a| a.db(&[0xF0, 0x39, 0x03]), ud()),
        row("lock add m,r",           3, |a| a.db(&[0xF0, 0x01, 0x03]), completes()),
        row("lock xchg m,r",          3, |a| a.db(&[0xF0, 0x87, 0x03]), completes()),
        row("lea with a register",    3, |a| a.db(&[0x8D, 0xC0]), ud()),
        row("lgdt with a register",   0, |a| a.db(&[0x0F, 0x01, 0xD0]), ud()),
        row("invlpg with a register", 0, |a| a.db(&[0x0F, 0x01, 0xF8]), ud()),
        row("cmpxchg8b register",     3, |a| a.db(&[0x0F, 0xC7, 0xC8]), ud()),
        row("far call register",      3, |a| a.db(&[0xFF, 0xD8]), ud()),
        row("far jmp register",       3, |a| a.db(&[0xFF, 0xE8]), ud()),
        row("ff /7",                  3, |a| a.db(&[0xFF, 0xF8]), ud()),
        row("fe /2",                  3, |a| a.db(&[0xFE, 0xD0]), ud()),
        row("8f /1",                  3, |a| a.db(&[0x8F, 0xC8]), ud()),
        row("c6 /1",                  3, |a| a.db(&[0xC6, 0xC8, 0x00]), ud()),
        row("mov cs,ax",              3, |a| a.db(&[0x8E, 0xC8]), ud()),
        row("mov segment 6,ax",       3, |a| a.db(&[0x8E, 0xF0]), ud()),
        row("mov ax,segment 7",       3, |a| a.db(&[0x8C, 0xF8]), ud()),
        row("mov eax,cr1",            0, |a| a.db(&[0x0F, 0x20, 0xC8]), ud()),
        row("mov cr5,eax",            0, |a| a.db(&[0x0F, 0x22, 0xE8]), ud()),
        row("bt group /0",            3, |a| a.db(&[0x0F, 0xBA, 0x03, 0x00]), ud()),
        row("15 bytes",               3, |a| a.db(&[0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x81, 0x03, 1, 0, 0, 0]), completes()),
        row("16 bytes",               3, |a| a.db(&[0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x81, 0x03, 1, 0, 0, 0]), gp(0)),
        row("15 prefixes",            3, |a| a.db(&[0x66; 15]), gp(0)),
        row("40 prefixes",            0, |a| a.db(&[0x66; 40]), gp(0).at(CODE)),
    ]);
}

#[test]
fn divide_errors_restart_and_software_traps_go_on() {
    fn divisor_0(guest: &mut Guest) {
        guest.set(1, 0);
        guest.poke(DATA, 0);
    }
    fn quotient_too_large(guest: &mut Guest) {
        guest.set(2, 5);
    }
    fn minimum_by_minus_1(guest: &mut Guest) {
        guest.set(0, 0x8000_0000);
        guest.set(2, 0xFFFF_FFFF);
        guest.set(1, 0xFFFF_FFFF);
    }
    fn of_set(guest: &mut Guest) {
        guest.set(number::EFLAGS, flags::RESET | flags::OF);
    }
    #[rustfmt::skip]
    check(&[
        prepared("div ecx by 0",        3, divisor_0, |a| a.div(ecx), de()),
        prepared("div cl by 0",         3, divisor_0, |a| a.div(cl), de()),
        prepared("div cx by 0",         3, divisor_0, |a| a.div(cx), de()),
        prepared("idiv ecx by 0",       0, divisor_0, |a| a.idiv(ecx), de()),
        prepared("div memory by 0",     3, divisor_0, |a| a.div(dword_ptr(ebx)), de()),
        prepared("quotient too large",  3, quotient_too_large, |a| a.div(ecx), de()),
        prepared("-2^31 / -1",          3, minimum_by_minus_1, |a| a.idiv(ecx), de()),
        row("int3",                     3, |a| a.int3(), breakpoint()),
        row("int3 in ring 0",           0, |a| a.int3(), breakpoint()),
        row("int 3",                    3, |a| a.db(&[0xCD, 3]), breakpoint()),
        prepared("into with OF",        3, of_set, |a| a.into(), overflow()),
        prepared("into with OF",        0, of_set, |a| a.into(), overflow()),
        row("into without OF",          3, |a| a.into(), completes()),
    ]);
}

#[test]
fn sysenter_needs_its_selector_and_protected_mode() {
    fn not_set(guest: &mut Guest) {
        // Only bits 15:2 count.
        guest.set(number::SYSENTER_CS, 3);
    }
    #[rustfmt::skip]
    check(&[
        prepared("sysenter with IA32_SYSENTER_CS 0", 3, not_set, |a| a.db(&[0x0F, 0x34]), gp(0)),
        prepared("sysenter with IA32_SYSENTER_CS 0", 0, not_set, |a| a.db(&[0x0F, 0x34]), gp(0)),
        prepared("sysexit with IA32_SYSENTER_CS 0",  0, not_set, |a| a.db(&[0x0F, 0x35]), gp(0)),
        row("sysexit",                               1, |a| a.db(&[0x0F, 0x35]), gp(0)),
        row("lock sysenter",                         3, |a| a.db(&[0xF0, 0x0F, 0x34]), ud()),
    ]);
}

#[test]
fn every_opcode_that_is_not_built_raises_ud_and_changes_nothing() {
    use spec::opcodes::{Kind, Map, lookup};
    let mut guest = Guest::new(None);
    let mut tried = 0;
    for map in [Map::OneByte, Map::TwoByte] {
        for byte in 0..=255u8 {
            let missing = |reg: u8, register_form: bool| match lookup(map, byte, reg, register_form)
            {
                Some(row) if matches!(row.kind, Kind::Prefix | Kind::Escape) => false,
                Some(row) => !hdl::decode::is_built(row),
                None => true,
            };
            let forms = (0..8).flat_map(|reg| [(reg, false), (reg, true)]);
            let mut forms: Vec<_> = forms.filter(|(reg, form)| missing(*reg, *form)).collect();
            if forms.len() == 16 {
                // Not a group of which some are built.
                forms.truncate(2);
            }
            for (reg, register_form) in forms {
                let modrm = if register_form { 0xC3 } else { 0x03 } | reg << 3;
                let mut bytes = vec![byte, modrm, 0, 0, 0, 0, 0, 0];
                if map == Map::TwoByte {
                    bytes.insert(0, 0x0F);
                }
                guest.begin(3);
                guest.poke_bytes(CODE, &bytes);
                let stop = guest.run();
                assert_eq!(stop, sim::machine::Stop::Halted, "{bytes:02X?}");
                let event = guest.event().expect("an event");
                assert_eq!(event.vector, spec::exceptions::UD, "{bytes:02X?}");
                assert_eq!((event.eip, event.esp), (CODE, USER_STACK_TOP - 0x100));
                assert!(guest.is_alive(), "{bytes:02X?}");
                tried += 1;
            }
        }
    }
    println!("{tried} missing opcodes");
}

#[test]
fn reserved_bits_of_cr0_are_ignored_and_those_of_cr4_refused() {
    let mut guest = Guest::new(None);
    guest.begin(0);
    guest.program(|a| {
        a.mov(eax, 0x9FFF_FFFFu32)?;
        a.mov(cr0, eax)?;
        a.mov(ecx, cr0)?;
        a.mov(edx, 0x8000_0001u32)?;
        a.mov(cr0, edx)?;
        a.mov(edx, cr0)
    });
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, vector::COMPLETED);
    assert_eq!(event.general[1], 0x8005_003F);
    assert_eq!(event.general[2], 0x8000_0011);
    for bit in 0..32 {
        guest.begin(0);
        guest.set(0, 1 << bit);
        guest.program(|a| {
            a.mov(cr4, eax)?;
            a.mov(ecx, cr4)
        });
        guest.run();
        let event = guest.event().expect("an event");
        let built = spec::control_registers::CR4_BUILT & 1 << bit != 0;
        let expected = if built {
            (vector::COMPLETED, 1 << bit)
        } else {
            (spec::exceptions::GP, 5)
        };
        assert_eq!((event.vector, event.general[1]), expected, "CR4 bit {bit}");
    }
}

#[test]
fn rdtsc_is_for_ring_0_alone_with_tsd() {
    fn disabled(guest: &mut Guest) {
        guest.set(number::CR4, spec::control_registers::CR4_TSD);
    }
    #[rustfmt::skip]
    check(&[
        row("rdtsc", 3, |a| a.rdtsc(), completes()),
        prepared("rdtsc with TSD", 3, disabled, |a| a.rdtsc(), gp(0)),
        prepared("rdtsc with TSD in ring 1", 1, disabled, |a| a.rdtsc(), gp(0)),
        prepared("rdtsc with TSD in ring 0", 0, disabled, |a| a.rdtsc(), completes()),
    ]);
}
