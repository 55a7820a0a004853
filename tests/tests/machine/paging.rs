//! Page faults, permissions, and what the processor writes into page tables.

use crate::case::*;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::control_registers::{CR0_ET, CR0_PE, CR0_PG, CR0_WP};
use spec::paging::*;
use spec::registers as number;
use tests::guest::*;

const READ: u16 = 0;
const WRITE: u16 = ERROR_WRITE;
const USER_READ: u16 = ERROR_USER;
const USER_WRITE: u16 = ERROR_USER | ERROR_WRITE;

fn ebx_at(guest: &mut Guest, address: u32) {
    guest.set(3, address);
}
fn absent(guest: &mut Guest) {
    ebx_at(guest, ABSENT_PAGE);
}
fn supervisor(guest: &mut Guest) {
    ebx_at(guest, SUPERVISOR_PAGE);
}
fn read_only(guest: &mut Guest) {
    ebx_at(guest, READ_ONLY_PAGE);
}
fn beyond(guest: &mut Guest) {
    ebx_at(guest, BEYOND_DIRECTORY);
}
/// A near procedure in the supervisor's page.
fn returns_from_supervisor_page(guest: &mut Guest) {
    guest.place(SUPERVISOR_PAGE, 32, |a| a.ret());
}
/// What IRETD or a far RET takes to go to the supervisor's page in ring 3.
fn push_user_frame(a: &mut CodeAssembler, eflags: bool) -> Result<(), iced_x86::IcedError> {
    a.push(i32::from(selector::DATA_3))?;
    a.push(USER_STACK_TOP as i32)?;
    if eflags {
        a.push(2)?;
    }
    a.push(i32::from(selector::CODE_3))?;
    a.push(SUPERVISOR_PAGE as i32)
}
/// The debug console five times, which any level may use.
fn ports(guest: &mut Guest) {
    guest.set(number::EFLAGS, spec::flags::RESET | spec::flags::IOPL);
    guest.set(1, 5);
    guest.set(2, spec::ports::DEBUG_CONSOLE.into());
}
fn write_protect(guest: &mut Guest) {
    read_only(guest);
    guest.set(number::CR0, CR0_PE | CR0_ET | CR0_PG | CR0_WP);
}

#[test]
fn page_faults_name_address_access_and_level() {
    check(&page_faults());
}

/// Every access that a page can refuse.
#[rustfmt::skip]
pub fn page_faults() -> Vec<Case> {
    const P: u16 = ERROR_PROTECTION;
    vec![
        prepared("read, not present", 3, absent, |a| a.mov(eax, dword_ptr(ebx)), pf(USER_READ, ABSENT_PAGE)),
        prepared("read, not present", 0, absent, |a| a.mov(eax, dword_ptr(ebx)), pf(READ, ABSENT_PAGE)),
        prepared("read, not present", 1, absent, |a| a.mov(eax, dword_ptr(ebx)), pf(READ, ABSENT_PAGE)),
        prepared("write, not present", 3, absent, |a| a.mov(dword_ptr(ebx + 8), eax), pf(USER_WRITE, ABSENT_PAGE + 8)),
        prepared("write, not present", 0, absent, |a| a.mov(byte_ptr(ebx + 5), al), pf(WRITE, ABSENT_PAGE + 5)),
        prepared("add m,r is a write from the start", 3, absent, |a| a.add(dword_ptr(ebx), eax), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("read, no table", 3, beyond, |a| a.mov(eax, dword_ptr(ebx)), pf(USER_READ, BEYOND_DIRECTORY)),
        prepared("read of the supervisor's", 3, supervisor, |a| a.mov(eax, dword_ptr(ebx)), pf(P | USER_READ, SUPERVISOR_PAGE)),
        prepared("write to the supervisor's", 3, supervisor, |a| a.mov(dword_ptr(ebx), eax), pf(P | USER_WRITE, SUPERVISOR_PAGE)),
        prepared("the supervisor's own", 0, supervisor, |a| a.mov(dword_ptr(ebx), eax), completes()),
        prepared("ring 1 is a supervisor", 1, supervisor, |a| a.mov(dword_ptr(ebx), eax), completes()),
        prepared("read of read-only", 3, read_only, |a| a.mov(eax, dword_ptr(ebx)), completes()),
        prepared("write to read-only", 3, read_only, |a| a.mov(dword_ptr(ebx), eax), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("xchg with read-only", 3, read_only, |a| a.xchg(dword_ptr(ebx), eax), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("write to read-only without WP", 0, read_only, |a| a.mov(dword_ptr(ebx), eax), completes()),
        prepared("write to read-only with WP", 0, write_protect, |a| a.mov(dword_ptr(ebx), eax), pf(P | WRITE, READ_ONLY_PAGE)),
        prepared("read of read-only with WP", 0, write_protect, |a| a.mov(eax, dword_ptr(ebx)), completes()),
        prepared("read over the edge", 3, |g| ebx_at(g, ABSENT_PAGE - 2), |a| a.mov(eax, dword_ptr(ebx)), pf(USER_READ, ABSENT_PAGE)),
        prepared("write over the edge", 3, |g| ebx_at(g, ABSENT_PAGE - 2), |a| a.mov(dword_ptr(ebx), eax), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("write from an absent page", 3, |g| ebx_at(g, ABSENT_PAGE + 0xFFE), |a| a.mov(dword_ptr(ebx), eax), pf(USER_WRITE, ABSENT_PAGE + 0xFFE)),
        prepared("push", 3, |g| g.set(4, ABSENT_PAGE + 4), |a| a.push(eax), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("pop", 3, |g| g.set(4, ABSENT_PAGE), |a| a.pop(eax), pf(USER_READ, ABSENT_PAGE)),
        prepared("pop to an absent page", 3, absent, |a| a.pop(dword_ptr(ebx)), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("push from an absent page", 3, absent, |a| a.push(dword_ptr(ebx)), pf(USER_READ, ABSENT_PAGE)),
        prepared("pusha half way", 3, |g| g.set(4, ABSENT_PAGE + 0x1000 + 16), |a| a.pushad(), pf(USER_WRITE, ABSENT_PAGE + 0xFFC)),
        prepared("popa half way", 3, |g| g.set(4, ABSENT_PAGE - 16), |a| a.popad(), pf(USER_READ, ABSENT_PAGE)),
        prepared("enter", 3, |g| g.set(4, ABSENT_PAGE + 0x1000 + 4), |a| a.enter(8, 0), pf(USER_WRITE, ABSENT_PAGE + 0xFF8)),
        prepared("call", 3, |g| g.set(4, ABSENT_PAGE + 4), |a| a.call(u64::from(CODE)), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("call [m]", 3, absent, |a| a.call(dword_ptr(ebx)), pf(USER_READ, ABSENT_PAGE)),
        prepared("ret", 3, |g| g.set(4, ABSENT_PAGE), |a| a.ret(), pf(USER_READ, ABSENT_PAGE)),
        prepared("movs to an absent page", 3, |g| g.set(7, ABSENT_PAGE), |a| a.movsd(), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("movs from an absent page", 3, |g| g.set(6, ABSENT_PAGE), |a| a.movsd(), pf(USER_READ, ABSENT_PAGE)),
        prepared("cmpxchg8b over the edge", 3, |g| ebx_at(g, ABSENT_PAGE - 4), |a| a.cmpxchg8b(qword_ptr(ebx)), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("sgdt to an absent page", 0, |g| ebx_at(g, ABSENT_PAGE - 2), |a| a.sgdt(ptr(ebx)), pf(WRITE, ABSENT_PAGE)),
        prepared("jump to an absent page", 3, |g| g.set(0, ABSENT_PAGE), |a| a.jmp(eax), pf(USER_READ, ABSENT_PAGE).at(ABSENT_PAGE)),
        prepared("jump to an absent page", 0, |g| g.set(0, ABSENT_PAGE), |a| a.jmp(eax), pf(READ, ABSENT_PAGE).at(ABSENT_PAGE)),
        prepared("jump to the supervisor's page", 3, |g| g.set(0, SUPERVISOR_PAGE), |a| a.jmp(eax), pf(P | USER_READ, SUPERVISOR_PAGE).at(SUPERVISOR_PAGE)),
        prepared("sysexit to a page in which ring 0 has run", 0, returns_from_supervisor_page, |a| { a.call(u64::from(SUPERVISOR_PAGE))?; a.mov(edx, SUPERVISOR_PAGE)?; a.mov(ecx, USER_STACK_TOP)?; a.sysexit() },
            pf(P | USER_READ, SUPERVISOR_PAGE).at(SUPERVISOR_PAGE)),
        prepared("iretd to a page in which ring 0 has run", 0, returns_from_supervisor_page, |a| { a.call(u64::from(SUPERVISOR_PAGE))?; push_user_frame(a, true)?; a.iretd() },
            pf(P | USER_READ, SUPERVISOR_PAGE).at(SUPERVISOR_PAGE)),
        prepared("retf to a page in which ring 0 has run", 0, returns_from_supervisor_page, |a| { a.call(u64::from(SUPERVISOR_PAGE))?; push_user_frame(a, false)?; a.retf() },
            pf(P | USER_READ, SUPERVISOR_PAGE).at(SUPERVISOR_PAGE)),
        prepared("jump beyond the directory", 3, |g| g.set(0, BEYOND_DIRECTORY), |a| a.jmp(eax), pf(USER_READ, BEYOND_DIRECTORY).at(BEYOND_DIRECTORY)),
        prepared("an instruction over the edge", 3, |g| { g.set(0, ABSENT_PAGE - 2); g.poke_bytes(ABSENT_PAGE - 2, &[0xB8, 0x01]) },
            |a| a.jmp(eax), pf(USER_READ, ABSENT_PAGE).at(ABSENT_PAGE - 2)),
        prepared("running over the edge", 3, |g| { g.set(0, ABSENT_PAGE - 1); g.poke_bytes(ABSENT_PAGE - 1, &[0x90]) },
            |a| a.jmp(eax), pf(USER_READ, ABSENT_PAGE).at(ABSENT_PAGE)),
        prepared("cmpxchg writes even if it does not exchange", 3, read_only, |a| a.cmpxchg(dword_ptr(ebx), ecx), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("xadd", 3, read_only, |a| a.xadd(dword_ptr(ebx), ecx), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("inc", 3, read_only, |a| a.inc(dword_ptr(ebx)), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("neg", 3, read_only, |a| a.neg(byte_ptr(ebx)), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("shl", 3, read_only, |a| a.shl(dword_ptr(ebx), 3), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("bts", 3, read_only, |a| a.bts(dword_ptr(ebx), 3), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("bt", 3, read_only, |a| a.bt(dword_ptr(ebx), 3), completes()),
        prepared("test", 3, read_only, |a| a.test(dword_ptr(ebx), ecx), completes()),
        prepared("setcc", 3, read_only, |a| a.sete(byte_ptr(ebx)), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("mov m,ds", 3, read_only, |a| a.mov(word_ptr(ebx), ds), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("pop m", 3, read_only, |a| a.pop(dword_ptr(ebx)), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("stos", 3, |g| g.set(7, READ_ONLY_PAGE), |a| a.stosd(), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("sidt", 3, read_only, |a| a.sidt(ptr(ebx)), pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("lgdt over the edge", 0, |g| ebx_at(g, ABSENT_PAGE - 4), |a| a.lgdt(ptr(ebx)), pf(READ, ABSENT_PAGE)),
        prepared("far pointer over the edge", 3, |g| ebx_at(g, ABSENT_PAGE - 4), |a| a.db(&[0xFF, 0x2B]), pf(USER_READ, ABSENT_PAGE)),
        prepared("retf: the second pop", 3, |g| g.set(4, ABSENT_PAGE - 4), |a| a.retf(), pf(USER_READ, ABSENT_PAGE)),
        prepared("iretd: the third pop", 3, |g| g.set(4, ABSENT_PAGE - 8), |a| a.iretd(), pf(USER_READ, ABSENT_PAGE)),
        prepared("far call: the second push", 3, |g| g.set(4, ABSENT_PAGE + 0x1000 + 4), |a| a.db(&[0x9A, 0, 0, 1, 0, 0x1B, 0]), pf(USER_WRITE, ABSENT_PAGE + 0xFFC)),
        prepared("call gate: a parameter", 3, |g| g.set(4, ABSENT_PAGE - 8), |a| a.db(&[0x9A, 0, 0, 0, 0, selector::CALL_GATE_3 as u8, 0]), pf(USER_READ, ABSENT_PAGE)),
        prepared("call [m]: the push", 3, |g| { g.set(4, ABSENT_PAGE + 4); g.poke(DATA, CODE) }, |a| a.call(dword_ptr(ebx)), pf(USER_WRITE, ABSENT_PAGE)),
        prepared("segment limit before page", 3, |g| { absent(g); g.load(number::DS, selector::SMALL_DATA) }, |a| a.mov(eax, dword_ptr(ebx)), gp(0)),
        prepared("a directory entry of the supervisor's", 3, |g| { g.poke(PAGE_DIRECTORY + 4, PAGE_TABLE | PRESENT | WRITABLE); ebx_at(g, BEYOND_DIRECTORY | DATA) },
            |a| a.mov(eax, dword_ptr(ebx)), pf(P | USER_READ, BEYOND_DIRECTORY | DATA)),
        prepared("a read-only directory entry", 3, |g| { g.poke(PAGE_DIRECTORY + 4, PAGE_TABLE | PRESENT | USER); ebx_at(g, BEYOND_DIRECTORY | DATA) },
            |a| a.mov(dword_ptr(ebx), eax), pf(P | USER_WRITE, BEYOND_DIRECTORY | DATA)),
        prepared("a read-only directory entry is readable", 3, |g| { g.poke(PAGE_DIRECTORY + 4, PAGE_TABLE | PRESENT | USER); ebx_at(g, BEYOND_DIRECTORY | DATA) },
            |a| a.mov(eax, dword_ptr(ebx)), completes()),
    ]
}

#[test]
fn a_page_fault_while_the_tables_of_ring_3_are_read_is_the_supervisors() {
    // The GDT's page is the supervisor's; ring 3 loads a segment from it all the same.
    fn private_tables(guest: &mut Guest) {
        for page in [GDT, IDT, TSS] {
            guest.page(page, PRESENT | WRITABLE);
        }
        guest.set(0, selector::DATA_3.into());
    }
    fn absent_ldt(guest: &mut Guest) {
        guest.set(number::BASE + number::LDTR, ABSENT_PAGE);
        guest.set(0, selector::LOCAL_DATA.into());
    }
    #[rustfmt::skip]
    check(&[
        prepared("mov ds", 3, private_tables, |a| a.mov(ds, ax), completes()),
        prepared("out looks into the bitmap", 3, private_tables, |a| a.out(0x80, al), gp(0)),
        prepared("a descriptor in an absent page", 3, absent_ldt, |a| a.mov(ds, ax), pf(READ, ABSENT_PAGE + 8)),
    ]);
}

/// Bits of the page-table entry of `DATA` after `code`.
fn entry_after(code: fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> (u32, u32) {
    let mut guest = Guest::new(None);
    guest.begin(3);
    guest.program(code);
    guest.run();
    assert_eq!(guest.event().expect("an event").vector, vector::COMPLETED);
    (
        guest.peek(Guest::page_entry(DATA)) & !FRAME,
        guest.peek(PAGE_DIRECTORY) & !FRAME,
    )
}

#[test]
fn a_read_sets_accessed_and_a_write_sets_dirty_too() {
    let open = PRESENT | WRITABLE | USER;
    let directory = open | ACCESSED;
    assert_eq!(entry_after(|a| a.nop()), (open, directory));
    assert_eq!(
        entry_after(|a| a.mov(eax, dword_ptr(ebx))),
        (open | ACCESSED, directory)
    );
    assert_eq!(
        entry_after(|a| a.mov(dword_ptr(ebx), eax)),
        (open | ACCESSED | DIRTY, directory)
    );
    assert_eq!(
        entry_after(|a| {
            a.mov(eax, dword_ptr(ebx))?;
            a.mov(dword_ptr(ebx), eax)
        }),
        (open | ACCESSED | DIRTY, directory)
    );
    assert_eq!(
        entry_after(|a| a.add(dword_ptr(ebx), eax)),
        (open | ACCESSED | DIRTY, directory)
    );
}

#[test]
fn instructions_behind_a_taken_branch_leave_no_accessed_bit() {
    // The load is fetched, and may be under way, when the branch is found to be taken.
    let (entry, _) = entry_after(|a| {
        let mut over = a.create_label();
        a.jmp(over)?;
        a.mov(eax, dword_ptr(ebx))?;
        a.set_label(&mut over)?;
        a.nop()
    });
    assert_eq!(entry & ACCESSED, 0);
    let (entry, _) = entry_after(|a| {
        let mut over = a.create_label();
        a.cmp(eax, eax)?;
        a.je(over)?;
        a.mov(dword_ptr(ebx), eax)?;
        a.set_label(&mut over)?;
        a.nop()
    });
    assert_eq!(entry & (ACCESSED | DIRTY), 0);
}

#[test]
fn a_store_over_the_edge_of_a_page_writes_both_halves_or_nothing() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    guest.poke(ABSENT_PAGE - 4, 0x1111_1111);
    guest.set(3, ABSENT_PAGE - 2);
    guest.program(|a| a.mov(dword_ptr(ebx), eax));
    guest.run();
    assert_eq!(
        guest.event().expect("an event").vector,
        spec::exceptions::PF
    );
    assert_eq!(guest.peek(ABSENT_PAGE - 4), 0x1111_1111);
}

#[test]
fn invlpg_and_a_load_of_cr3_forget_a_translation() {
    for (label, forget) in [("invlpg", true), ("mov cr3", false)] {
        let mut guest = Guest::new(None);
        guest.begin(0);
        guest.poke(DATA, 0x1111_1111);
        guest.poke(SUPERVISOR_PAGE, 0x2222_2222);
        guest.program(|a| {
            a.mov(ecx, dword_ptr(ebx))?;
            a.mov(
                dword_ptr(Guest::page_entry(DATA)),
                (SUPERVISOR_PAGE | PRESENT | WRITABLE) as i32,
            )?;
            if forget {
                a.invlpg(ptr(ebx))?;
            } else {
                a.mov(eax, cr3)?;
                a.mov(cr3, eax)?;
            }
            a.mov(edx, dword_ptr(ebx))
        });
        guest.run();
        let event = guest.event().expect(label);
        assert_eq!(event.vector, vector::COMPLETED, "{label}");
        assert_eq!(event.general[1], 0x1111_1111, "{label}");
        assert_eq!(event.general[2], 0x2222_2222, "{label}");
    }
}

#[test]
fn a_gate_in_an_absent_page_is_a_page_fault_of_the_supervisor() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    // Vectors from 80h on lie in the absent page.
    let table = guest.machine().read_memory(IDT, 0x400).expect("RAM");
    guest.poke_bytes(ABSENT_PAGE - 0x400, &table);
    guest.set(number::BASE + number::IDTR, ABSENT_PAGE - 0x400);
    guest.program(|a| a.int(i32::from(vector::USER)));
    guest.machine().set_breakpoint(Guest::handler(14));
    assert_eq!(guest.run(), Stop::Breakpoint);
    guest.machine().debug_halt().expect("halts");
    assert_eq!(guest.get(number::CR2), ABSENT_PAGE);
    let esp_now = guest.get(4);
    assert_eq!(esp_now, STACK_TOP[0] - 24);
    assert_eq!(guest.peek(esp_now), u32::from(READ));
    assert_eq!(guest.peek(esp_now + 4), CODE);
}

#[test]
fn an_instruction_restarts_when_the_handler_has_mapped_its_page() {
    #[rustfmt::skip]
    let rows: &[(&str, Prepare, Code)] = &[
        ("load", absent, |a| a.mov(eax, dword_ptr(ebx))),
        ("store over the edge", |g| ebx_at(g, ABSENT_PAGE - 2), |a| a.mov(dword_ptr(ebx), eax)),
        ("add m,r", absent, |a| { a.add(dword_ptr(ebx), eax)?; a.add(dword_ptr(ebx), eax) }),
        ("push", |g| g.set(4, ABSENT_PAGE + 4), |a| { a.push(eax)?; a.pop(ecx) }),
        ("pusha", |g| g.set(4, ABSENT_PAGE + 0x1010), |a| { a.pushad()?; a.popad() }),
        ("call", |g| g.set(4, ABSENT_PAGE + 4), |a| { let mut to = a.create_label(); a.call(to)?; a.set_label(&mut to)?; a.pop(eax) }),
        ("rep movs", |g| { g.set(7, ABSENT_PAGE - 6); g.set(1, 5) }, |a| a.rep().movsd()),
        ("jmp", |g| { g.poke_bytes(ABSENT_PAGE, &[0xFF, 0xE1]); g.set(0, ABSENT_PAGE); g.set(1, CODE + 2) }, |a| a.jmp(eax)),
        ("jmp over the edge", |g| { g.poke_bytes(ABSENT_PAGE - 1, &[0xFF, 0xE1]); g.set(0, ABSENT_PAGE - 1); g.set(1, CODE + 2) }, |a| a.jmp(eax)),
        ("bound: the upper bound", |g| { ebx_at(g, ABSENT_PAGE - 4); g.set(1, 0) }, |a| a.bound(ecx, qword_ptr(ebx))),
        ("les: the selector", |g| ebx_at(g, ABSENT_PAGE - 4), |a| a.les(ebx, fword_ptr(ebx))),
        ("lgs: the offset", absent, |a| a.lgs(ebx, fword_ptr(ebx))),
        ("lss: the selector", |g| { ebx_at(g, ABSENT_PAGE - 4); g.poke(ABSENT_PAGE - 4, USER_STACK_TOP); g.poke(ABSENT_PAGE, selector::DATA_3.into()) }, |a| a.lss(esp, fword_ptr(ebx))),
        ("arpl", absent, |a| a.arpl(word_ptr(ebx), cx)),
        ("lar", absent, |a| a.lar(ebx, dword_ptr(ebx))),
        ("cmpxchg8b over the edge", |g| ebx_at(g, ABSENT_PAGE - 4), |a| a.cmpxchg8b(qword_ptr(ebx))),
        ("xadd over the edge", |g| ebx_at(g, ABSENT_PAGE - 3), |a| a.xadd(dword_ptr(ebx), ecx)),
        ("enter of two levels", |g| { g.set(4, ABSENT_PAGE + 0x1008); g.set(5, ABSENT_PAGE + 0x1040) }, |a| a.enter(8, 2)),
        ("leave", |g| g.set(5, ABSENT_PAGE), |a| a.leave()),
        ("pop of memory", absent, |a| a.pop(dword_ptr(ebx))),
        ("sgdt over the edge", |g| ebx_at(g, ABSENT_PAGE - 4), |a| a.sgdt(ptr(ebx))),
        ("insb", |g| { g.set(7, ABSENT_PAGE); ports(g) }, |a| a.insb()),
        ("rep insb", |g| { g.set(7, ABSENT_PAGE - 2); ports(g) }, |a| a.rep().insb()),
        ("rep outsb", |g| { g.set(6, ABSENT_PAGE - 2); ports(g) }, |a| a.rep().outsb()),
        ("rep cmpsb", |g| { g.set(6, ABSENT_PAGE - 2); g.set(7, LAST_PAGE); g.set(1, 5) }, |a| a.repe().cmpsb()),
    ];
    for seed in [None, Some(5)] {
        for &(label, prepare, code) in rows {
            let outcome = |mapped: bool| {
                let mut guest = Guest::new(seed);
                guest.begin(3);
                prepare(&mut guest);
                let handler = guest.gate_target() + 0x100;
                guest.place(handler, 32, |a| {
                    a.pushad()?;
                    a.mov(eax, cr2)?;
                    a.shr(eax, 12)?;
                    a.or(
                        dword_ptr(eax * 4 + PAGE_TABLE),
                        (PRESENT | WRITABLE | USER) as i32,
                    )?;
                    a.popad()?;
                    a.add(esp, 4)?;
                    a.iretd()
                });
                let gate = spec::segments::gate(selector::CODE_0, handler, 0x8E, 0);
                guest.gate(spec::exceptions::PF, gate);
                if mapped {
                    guest.page(ABSENT_PAGE, PRESENT | WRITABLE | USER);
                }
                guest.program(code);
                assert_eq!(guest.run(), Stop::Halted, "{label}");
                let event = guest.event().expect(label);
                let memory = guest.machine().read_memory(LAST_PAGE, 0x3000).expect("RAM");
                let faults = guest.machine().drain_retired();
                let faults = faults.iter().filter(|record| record.exception).count();
                (event.vector, event.general, event.eip, memory, faults)
            };
            let (with, without) = (outcome(true), outcome(false));
            assert_eq!(with.0, vector::COMPLETED, "{label}");
            assert_eq!((with.4, without.4), (0, 1), "{label}: faults");
            assert_eq!((with.1, with.2), (without.1, without.2), "{label}");
            assert!(with.3 == without.3, "{label}: memory");
        }
    }
}

#[test]
fn an_access_over_the_edge_of_a_page_goes_to_two_frames() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    // Two pages in a row whose frames are not.
    guest.poke(
        Guest::page_entry(0x5_0000),
        DATA | PRESENT | WRITABLE | USER,
    );
    guest.poke(
        Guest::page_entry(0x5_1000),
        0x6_0000 | PRESENT | WRITABLE | USER,
    );
    guest.set(3, 0x5_0FFD);
    guest.set(0, 0x4433_2211);
    guest.program(|a| {
        a.mov(dword_ptr(ebx), eax)?;
        a.mov(ecx, dword_ptr(ebx))?;
        a.mov(dx, word_ptr(ebx + 2))
    });
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.general[1], 0x4433_2211);
    assert_eq!(event.general[2] & 0xFFFF, 0x4433);
    assert_eq!(guest.peek(DATA + 0xFFC) >> 8, 0x33_2211);
    assert_eq!(guest.peek(0x6_0000) & 0xFF, 0x44);
}

#[test]
fn a_page_of_4_mb_is_mapped_by_its_directory_entry() {
    let mut guest = Guest::new(None);
    let open = PRESENT | WRITABLE | USER | LARGE;
    for (write, bits) in [(false, ACCESSED), (true, ACCESSED | DIRTY)] {
        guest.begin(3);
        guest.set(number::CR4, spec::control_registers::CR4_PSE);
        guest.poke(PAGE_DIRECTORY + 8, open);
        guest.poke(DATA, 0x1234_5678);
        guest.set(3, 2 * DIRECTORY_ENTRY_BYTES + DATA);
        if write {
            guest.program(|a| a.mov(dword_ptr(ebx), ebx));
        } else {
            guest.program(|a| a.mov(ecx, dword_ptr(ebx)));
        }
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(event.vector, vector::COMPLETED);
        if write {
            assert_eq!(guest.peek(DATA), 2 * DIRECTORY_ENTRY_BYTES + DATA);
        } else {
            assert_eq!(event.general[1], 0x1234_5678);
        }
        assert_eq!(guest.peek(PAGE_DIRECTORY + 8), open | bits);
    }
}

#[test]
fn code_that_a_program_has_written_runs_after_a_jump() {
    for seed in [None].into_iter().chain((1..40).map(Some)) {
        let mut guest = Guest::new(seed);
        guest.begin(3);
        // INC EAX at the target becomes INC ECX, just before it is jumped to.
        guest.set(3, CODE + 0x40);
        guest.poke_bytes(CODE + 0x40, &[0x40, 0xFF, 0xE7]);
        guest.set(7, CODE + 5);
        guest.program(|a| {
            a.mov(byte_ptr(ebx), 0x41)?;
            a.jmp(ebx)
        });
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(event.vector, vector::COMPLETED, "seed {seed:X?}");
        assert_eq!(event.general[0], 0xAAAA_0001, "seed {seed:X?}");
        assert_eq!(event.general[1], 6, "seed {seed:X?}");
    }
}

#[test]
fn code_that_a_loop_rewrites_in_every_turn_is_never_run_as_it_was() {
    type Way = fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>;
    let target = u64::from(CODE) + 0x40;
    let ways: [(&str, Way); 5] = [
        ("jmp", |a| a.jmp(u64::from(CODE) + 0x40)),
        ("jmp edi", |a| a.jmp(edi)),
        ("call", |a| a.call(u64::from(CODE) + 0x40)),
        ("ret", |a| {
            a.push(edi)?;
            a.ret()
        }),
        ("nothing", |a| a.nops_with_size(0x40 - 3)),
    ];
    const TURNS: u32 = 12;
    for seed in [None].into_iter().chain((1..12).map(Some)) {
        for (name, way) in ways {
            let mut guest = Guest::new(seed);
            guest.begin(3);
            // INC EAX becomes INC EDX and again INC EAX, right before it is reached.
            guest.place(target as u32, 32, |a| {
                a.inc(eax)?;
                a.lea(esp, dword_ptr(ebp))?;
                a.dec(ecx)?;
                a.jne(u64::from(CODE))?;
                a.int(i32::from(vector::COMPLETED))
            });
            for (register, value) in [
                (0, 0),
                (1, TURNS),
                (2, 0),
                (3, CODE + 0x40),
                (7, CODE + 0x40),
            ] {
                guest.set(register, value);
            }
            guest.set(5, USER_STACK_TOP - 0x100);
            guest.set(4, USER_STACK_TOP - 0x100);
            guest.place(CODE, 32, |a| {
                a.xor(byte_ptr(ebx), 2)?;
                way(a)
            });
            guest.run();
            let event = guest.event().expect("an event");
            assert_eq!(event.vector, vector::COMPLETED, "{name}, seed {seed:X?}");
            let counts = (event.general[0], event.general[2]);
            assert_eq!(counts, (TURNS / 2, TURNS / 2), "{name}, seed {seed:X?}");
        }
    }
}

/// Ring 0's code at INT 80h, then IRETD.
fn service(
    guest: &mut Guest,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>,
) {
    let at = guest.gate_target() + 0x100;
    guest.place(at, 32, |a| {
        code(a)?;
        a.iretd()
    });
    let gate = spec::segments::gate(selector::CODE_0, at, 0xEE, 0);
    guest.gate(vector::USER, gate);
}

#[test]
fn what_ring_0_has_used_a_translation_for_ring_3_may_still_not() {
    fn read(guest: &mut Guest) {
        supervisor(guest);
        service(guest, |a| a.mov(eax, dword_ptr(ebx)));
    }
    fn write(guest: &mut Guest) {
        read_only(guest);
        service(guest, |a| a.mov(dword_ptr(ebx), eax));
    }
    fn run(guest: &mut Guest) {
        supervisor(guest);
        guest.poke_bytes(SUPERVISOR_PAGE, &[0xC3]);
        service(guest, |a| a.call(ebx));
    }
    const P: u16 = ERROR_PROTECTION;
    #[rustfmt::skip]
    check(&[
        prepared("read", 3, read, |a| { a.int(0x80)?; a.mov(eax, dword_ptr(ebx)) }, pf(P | USER_READ, SUPERVISOR_PAGE)),
        prepared("write", 3, write, |a| { a.int(0x80)?; a.mov(dword_ptr(ebx), eax) }, pf(P | USER_WRITE, READ_ONLY_PAGE)),
        prepared("fetch", 3, run, |a| { a.int(0x80)?; a.jmp(ebx) }, pf(P | USER_READ, SUPERVISOR_PAGE).at(SUPERVISOR_PAGE)),
    ]);
}

#[test]
fn fetch_leaves_pages_alone_that_no_instruction_needs() {
    // A branch ends the page; what follows is absent, or present and not to be marked.
    for bits in [WRITABLE | USER, PRESENT | WRITABLE | USER] {
        for seed in [None, Some(7)] {
            let mut guest = Guest::new(seed);
            guest.begin(3);
            guest.page(ABSENT_PAGE, bits);
            // jmp ecx
            guest.poke_bytes(ABSENT_PAGE - 2, &[0xFF, 0xE1]);
            guest.set(0, ABSENT_PAGE - 2);
            guest.set(1, CODE + 2);
            guest.program(|a| a.jmp(eax));
            guest.run();
            let event = guest.event().expect("an event");
            assert_eq!(event.vector, vector::COMPLETED);
            let entry = guest.peek(Guest::page_entry(ABSENT_PAGE)) & !FRAME;
            assert_eq!(entry, bits, "seed {seed:X?}");
        }
    }
}

#[test]
fn a_load_or_store_that_does_not_happen_leaves_no_mark() {
    // Behind a fault, a shorter limit, or in a string instruction without repetitions.
    for (label, code, ecx_before) in [
        (
            "behind ud2",
            (|a| {
                a.ud2()?;
                a.mov(dword_ptr(ebx), eax)
            }) as Code,
            5,
        ),
        (
            "behind int",
            |a| {
                a.int(i32::from(vector::COMPLETED))?;
                a.mov(dword_ptr(ebx), eax)
            },
            5,
        ),
        (
            "behind div by 0",
            |a| {
                a.div(ecx)?;
                a.mov(dword_ptr(ebx), eax)
            },
            0,
        ),
        ("rep without repetitions", |a| a.rep().movsd(), 0),
        (
            "push that faults",
            |a| {
                a.push(word_ptr(0xFFFF_FFFFu32))?;
                a.mov(dword_ptr(ebx), eax)
            },
            5,
        ),
    ] {
        let mut guest = Guest::new(None);
        guest.begin(3);
        guest.set(1, ecx_before);
        guest.program(code);
        guest.run();
        assert!(guest.event().is_some(), "{label}");
        let entry = guest.peek(Guest::page_entry(DATA)) & !FRAME;
        assert_eq!(entry, PRESENT | WRITABLE | USER, "{label}");
    }
}

#[test]
fn a_load_of_cr3_keeps_global_pages_while_pge_is_set() {
    use spec::control_registers::{CR4_PGE, CR4_PSE};
    // (CR4, whether the page is global, what drops translations, whether the old one is still used)
    type Drops = fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>;
    let load_cr3: Drops = |a| {
        a.mov(eax, cr3)?;
        a.mov(cr3, eax)
    };
    let toggle_pge: Drops = |a| {
        a.mov(eax, cr4)?;
        a.xor(eax, CR4_PGE as i32)?;
        a.mov(cr4, eax)
    };
    let invalidate: Drops = |a| a.invlpg(ptr(ebx));
    #[rustfmt::skip]
    let rows = [
        ("global", CR4_PGE, true, load_cr3, true),
        ("not global", CR4_PGE, false, load_cr3, false),
        ("PGE clear", 0, true, load_cr3, false),
        ("CR4.PGE changes", CR4_PGE, true, toggle_pge, false),
        ("invlpg", CR4_PGE, true, invalidate, false),
    ];
    for large in [false, true] {
        for (label, control, global, drops, stays) in rows {
            let mut guest = Guest::new(None);
            guest.begin(0);
            guest.set(number::CR4, control | if large { CR4_PSE } else { 0 });
            let bits = PRESENT | WRITABLE | if global { GLOBAL } else { 0 };
            let (linear, entry) = if large {
                (2 * DIRECTORY_ENTRY_BYTES + DATA, PAGE_DIRECTORY + 8)
            } else {
                (DATA, Guest::page_entry(DATA))
            };
            let (old, new) = if large {
                (bits | LARGE, 0)
            } else {
                (DATA | bits, SUPERVISOR_PAGE | bits)
            };
            guest.poke(entry, old);
            guest.poke(DATA, 0x1111_1111);
            guest.poke(SUPERVISOR_PAGE, 0x2222_2222);
            guest.set(3, linear);
            guest.program(|a| {
                a.mov(ecx, dword_ptr(ebx))?;
                a.mov(dword_ptr(entry), new as i32)?;
                drops(a)?;
                a.mov(edx, dword_ptr(ebx))
            });
            guest.run();
            let event = guest.event().expect(label);
            assert_eq!(event.general[1], 0x1111_1111, "{label}");
            let expected = match (stays, large) {
                (true, _) => (vector::COMPLETED, 0x1111_1111),
                (false, false) => (vector::COMPLETED, 0x2222_2222),
                (false, true) => (spec::exceptions::PF, 0xDDDD_0080),
            };
            assert_eq!(
                (event.vector, event.general[2]),
                expected,
                "{label} {large}"
            );
            assert!(guest.is_alive(), "{label}");
        }
    }
}
