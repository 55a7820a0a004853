//! The alignment check: CR0.AM, EFLAGS.AC, ring 3.
//!
//! That #AC comes before a page fault, and that CMPXCHG8B wants eight bytes, is what an x86-64 processor does.

use crate::case::*;
use iced_x86::code_asm::*;
use spec::control_registers::CR0_AM;
use spec::exceptions::AC;
use spec::flags;
use spec::registers as number;
use tests::guest::*;

/// Both switches on, EBX and the strings at odd addresses.
fn on(guest: &mut Guest) {
    let before = guest.get(number::CR0);
    guest.set(number::CR0, before | CR0_AM);
    guest.set(number::EFLAGS, flags::RESET | flags::AC);
    guest.set(3, DATA + 1);
    guest.set(6, DATA + 1);
    guest.set(7, DATA + 0x101);
}

fn ac() -> Expected {
    Expected {
        vector: AC,
        error_code: Some(0),
        ..ud()
    }
}

#[test]
fn accesses_that_are_not_aligned_raise_ac() {
    #[rustfmt::skip]
    check(&[
        prepared("load", 3, on, |a| a.mov(eax, dword_ptr(ebx)), ac()),
        prepared("store", 3, on, |a| a.mov(dword_ptr(ebx), eax), ac()),
        prepared("add", 3, on, |a| a.add(dword_ptr(ebx), eax), ac()),
        prepared("dword at 2", 3, on, |a| a.mov(eax, dword_ptr(ebx + 1)), ac()),
        prepared("dword at 4", 3, on, |a| a.mov(eax, dword_ptr(ebx + 3)), completes()),
        prepared("word at 1", 3, on, |a| a.mov(ax, word_ptr(ebx)), ac()),
        prepared("word at 3", 3, on, |a| a.mov(word_ptr(ebx + 2), ax), ac()),
        prepared("word at 2", 3, on, |a| a.mov(ax, word_ptr(ebx + 1)), completes()),
        prepared("byte at 1", 3, on, |a| a.mov(al, byte_ptr(ebx)), completes()),
        prepared("cmpxchg8b at 4", 3, on, |a| a.cmpxchg8b(qword_ptr(ebx + 3)), ac()),
        prepared("cmpxchg8b at 8", 3, on, |a| a.cmpxchg8b(qword_ptr(ebx + 7)), completes()),
        prepared("push", 3, |g| { on(g); g.set(4, USER_STACK_TOP - 0x102) }, |a| a.push(eax), ac()),
        prepared("push of a word", 3, |g| { on(g); g.set(4, USER_STACK_TOP - 0x102) }, |a| a.push(ax), completes()),
        prepared("ret", 3, |g| { on(g); g.set(4, USER_STACK_TOP - 0x103) }, |a| a.ret(), ac()),
        prepared("movsd", 3, on, |a| a.movsd(), ac()),
        prepared("movsd to an odd address", 3, |g| { on(g); g.set(6, DATA) }, |a| a.movsd(), ac()),
        prepared("movsb", 3, on, |a| a.movsb(), completes()),
        prepared("rep stosw", 3, on, |a| a.rep().stosw(), ac()),
        prepared("bt with a register", 3, on, |a| a.bt(dword_ptr(ebx + 3), ecx), completes()),
        prepared("bt with a register at 2", 3, on, |a| a.bt(dword_ptr(ebx + 1), ecx), ac()),
        prepared("bound at 4", 3, on, |a| a.bound(ecx, qword_ptr(ebx + 3)), Expected { vector: spec::exceptions::BR, ..ud() }),
        prepared("lea", 3, on, |a| a.lea(eax, dword_ptr(ebx)), completes()),
        prepared("nop with an operand", 3, on, |a| a.nop_1(dword_ptr(ebx)), completes()),
        prepared("mov [ebx],gs", 3, on, |a| a.mov(word_ptr(ebx), gs), ac()),
        prepared("sgdt at 4", 3, on, |a| a.sgdt(ptr(ebx + 3)), completes()),
    ]);
}

#[test]
fn the_alignment_check_wants_am_ac_and_ring_3() {
    fn no_am(guest: &mut Guest) {
        on(guest);
        guest.set(number::CR0, 0x8000_0011);
    }
    fn no_ac(guest: &mut Guest) {
        on(guest);
        guest.set(number::EFLAGS, flags::RESET);
    }
    #[rustfmt::skip]
    check(&[
        prepared("AM clear", 3, no_am, |a| a.mov(eax, dword_ptr(ebx)), completes()),
        prepared("AC clear", 3, no_ac, |a| a.mov(eax, dword_ptr(ebx)), completes()),
        prepared("ring 0", 0, on, |a| a.mov(eax, dword_ptr(ebx)), completes()),
        prepared("ring 1", 1, on, |a| a.mov(dword_ptr(ebx), eax), completes()),
        prepared("popf sets AC", 3, no_ac, |a| { a.push(0x4_0002)?; a.popfd()?; a.mov(eax, dword_ptr(ebx)) }, ac()),
        prepared("popf clears AC", 3, on, |a| { a.push(2)?; a.popfd()?; a.mov(eax, dword_ptr(ebx)) }, completes()),
    ]);
}

#[test]
fn ac_comes_behind_the_segments_faults_and_before_the_pages() {
    fn beyond(guest: &mut Guest) {
        on(guest);
        guest.load(number::DS, selector::SMALL_DATA);
        guest.set(3, 0xFD);
    }
    fn absent(guest: &mut Guest) {
        on(guest);
        guest.set(3, ABSENT_PAGE + 1);
    }
    #[rustfmt::skip]
    check(&[
        prepared("beyond the limit", 3, beyond, |a| a.mov(eax, dword_ptr(ebx)), gp(0)),
        prepared("within the limit", 3, |g| { beyond(g); g.set(3, 0xF9) }, |a| a.mov(eax, dword_ptr(ebx)), ac()),
        prepared("on an absent page", 3, absent, |a| a.mov(eax, dword_ptr(ebx)), ac()),
        prepared("aligned on an absent page", 3, absent, |a| a.mov(eax, dword_ptr(ebx + 3)), pf(4, ABSENT_PAGE + 4)),
        // Descriptors and the stack of ring 0 belong to the processor.
        prepared("tables at odd addresses", 3, |g| { on(g); let limit = g.get(number::LIMIT + number::GDTR); let table = g.machine().read_memory(GDT, limit as usize + 1).unwrap();
                g.poke_bytes(DATA + 0x1001, &table); g.set(number::BASE + number::GDTR, DATA + 0x1001); g.set(0, selector::DATA_3.into()) },
            |a| a.mov(fs, ax), completes()),
        prepared("an event with an odd stack of ring 0", 3, |g| { on(g); g.poke(TSS + 4, STACK_TOP[0] - 1) }, |a| a.ud2(), ud()),
    ]);
}

#[test]
fn an_access_that_is_not_aligned_touches_nothing() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    on(&mut guest);
    let entry = Guest::page_entry(SUPERVISOR_PAGE - 0x1000);
    let before = guest.peek(entry);
    guest.set(3, SUPERVISOR_PAGE - 0x1000 + 1);
    guest.program(|a| a.add(dword_ptr(ebx), eax));
    guest.run();
    assert_eq!(guest.event().expect("an event").vector, AC);
    assert_eq!(guest.peek(entry), before);
    assert_eq!(guest.peek(SUPERVISOR_PAGE - 0x1000), 0);
}
