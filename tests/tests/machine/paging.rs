//! Page faults, permissions, and what the processor writes into page tables.

use crate::case::*;
use iced_x86::code_asm::*;
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
        prepared("jump beyond the directory", 3, |g| g.set(0, BEYOND_DIRECTORY), |a| a.jmp(eax), pf(USER_READ, BEYOND_DIRECTORY).at(BEYOND_DIRECTORY)),
        prepared("an instruction over the edge", 3, |g| { g.set(0, ABSENT_PAGE - 2); g.poke_bytes(ABSENT_PAGE - 2, &[0xB8, 0x01]) },
            |a| a.jmp(eax), pf(USER_READ, ABSENT_PAGE).at(ABSENT_PAGE - 2)),
        prepared("running over the edge", 3, |g| { g.set(0, ABSENT_PAGE - 1); g.poke_bytes(ABSENT_PAGE - 1, &[0x90]) },
            |a| a.jmp(eax), pf(USER_READ, ABSENT_PAGE).at(ABSENT_PAGE)),
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
