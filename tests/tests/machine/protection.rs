//! What programs may ask about selectors, and the machine status word.

use crate::case::*;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::control_registers::{CR0_EM, CR0_ET, CR0_MP, CR0_PE, CR0_PG, CR0_TS};
use spec::flags;
use spec::registers as number;
use spec::segments;
use tests::guest::*;

/// A table of descriptors of every type, present or not, and level.
const TABLE: u32 = DATA + 0x4000;
const DESCRIPTORS: u32 = 32 * 4;
/// Where the guest keeps the answers: limit, rights, and a byte for each ZF of LAR, LSL, VERR, VERW.
const ANSWERS: u32 = DATA + 0x8000;
/// What a register holds that no answer reaches.
const UNTOUCHED: u32 = 0x5555_5555;

/// Descriptor `index` of the table: bits 4:0 its type with the S bit, bits 6:5 its level.
fn question(index: u32) -> u64 {
    let access = (index & 0x1F | index >> 5 << 5) as u8 | segments::ACCESS_PRESENT;
    let flags = if index & 1 == 0 {
        segments::FLAG_GRANULARITY
    } else {
        segments::FLAG_BIG
    };
    segments::descriptor(0x1234_5678, 0xA_BCDE ^ index, access, flags)
}

/// The manual's tables for LAR, LSL, VERR and VERW, written down once more.
fn expected(index: u32, rpl: u32, cpl: u32) -> [bool; 4] {
    let (kind, dpl) = (index & 0xF, index >> 5);
    if index & 0x10 == 0 {
        let visible = dpl >= cpl.max(rpl);
        let has_rights = matches!(kind, 1 | 2 | 3 | 4 | 5 | 9 | 11 | 12);
        let has_limit = matches!(kind, 1 | 2 | 3 | 9 | 11);
        return [visible && has_rights, visible && has_limit, false, false];
    }
    let (code, conforming, second) = (kind & 8 != 0, kind & 4 != 0, kind & 2 != 0);
    let visible = code && conforming || dpl >= cpl.max(rpl);
    [
        visible,
        visible,
        visible && (!code || second),
        visible && !code && second,
    ]
}

#[test]
fn lar_lsl_verr_and_verw_answer_for_every_type_and_level() {
    let mut guest = Guest::new(None);
    for ring in [0, 1, 3] {
        guest.begin(ring);
        for index in 0..DESCRIPTORS {
            guest.poke_bytes(TABLE + 8 * index, &question(index).to_le_bytes());
        }
        guest.set(number::BASE + number::LDTR, TABLE);
        guest.set(number::LIMIT + number::LDTR, 8 * DESCRIPTORS - 1);
        guest.set(
            number::EFLAGS,
            flags::RESET | flags::CF | flags::OF | flags::SF,
        );
        // Selectors beyond the table, too. ECX counts descriptors and levels.
        let cases = 4 * (DESCRIPTORS + 2);
        guest.set(1, 0);
        let mut again = 0;
        let program = guest.program(|a| {
            let mut turn = a.create_label();
            a.mov(edi, ANSWERS as i32)?;
            a.set_label(&mut turn)?;
            // DX = selector
            a.mov(edx, ecx)?;
            a.shr(edx, 2)?;
            a.lea(edx, dword_ptr(edx * 8 + 4))?;
            a.mov(eax, ecx)?;
            a.and(eax, 3)?;
            a.or(edx, eax)?;
            a.mov(eax, UNTOUCHED as i32)?;
            a.lsl(eax, edx)?;
            a.mov(dword_ptr(edi), eax)?;
            a.sete(byte_ptr(edi + 9))?;
            a.mov(eax, UNTOUCHED as i32)?;
            a.lar(eax, edx)?;
            a.mov(dword_ptr(edi + 4), eax)?;
            a.sete(byte_ptr(edi + 8))?;
            a.verr(dx)?;
            a.sete(byte_ptr(edi + 10))?;
            a.verw(dx)?;
            a.sete(byte_ptr(edi + 11))?;
            a.lea(edi, dword_ptr(edi + 12))?;
            a.inc(ecx)?;
            a.cmp(ecx, cases as i32)?;
            a.jne(turn)?;
            again += 1;
            a.nop()
        });
        assert_eq!(guest.run(), Stop::Halted);
        let event = guest.event().expect("an event");
        assert_eq!(
            (event.vector, event.eip),
            (vector::COMPLETED, program.end() + 2)
        );
        for case in 0..cases {
            let (index, rpl) = (case >> 2, case & 3);
            let at = ANSWERS + 12 * case;
            let found = guest.peek(at + 8).to_le_bytes().map(|byte| byte != 0);
            let expected = if index < DESCRIPTORS {
                expected(index, rpl, ring.into())
            } else {
                [false; 4]
            };
            let label = format!("ring {ring}, descriptor {index:02X}, RPL {rpl}");
            assert_eq!(found, expected, "{label}: LAR, LSL, VERR, VERW");
            let descriptor = question(index);
            let limit = 0xA_BCDE ^ index;
            let limit = if index & 1 == 0 {
                limit << 12 | 0xFFF
            } else {
                limit
            };
            let rights = (descriptor >> 32) as u32 & 0x00FF_FF00;
            let answer = |granted: bool, value| if granted { value } else { UNTOUCHED };
            assert_eq!(guest.peek(at), answer(expected[1], limit), "{label}: limit");
            assert_eq!(
                guest.peek(at + 4),
                answer(expected[0], rights),
                "{label}: rights"
            );
        }
    }
}

#[test]
fn questions_change_no_flag_but_zf_and_16_bits_of_a_word() {
    for (selector, zero, expected) in [
        (selector::DATA_3, true, 0xAAAA_F300),
        (selector::NULL, false, 0xAAAA_0001),
        (selector::BEYOND, false, 0xAAAA_0001),
        (selector::DATA_0, false, 0xAAAA_0001),
        (selector::LOCAL_DATA, true, 0xAAAA_F300),
        (selector::LOCAL_BEYOND, false, 0xAAAA_0001),
        (0xFFFF, false, 0xAAAA_0001),
    ] {
        let all = flags::RESET | flags::STATUS | flags::DF;
        for before in [all, all & !flags::ZF, flags::RESET] {
            let mut guest = Guest::new(None);
            guest.begin(3);
            guest.set(number::EFLAGS, before);
            guest.set(2, selector.into());
            guest.program(|a| a.lar(ax, dx));
            guest.run();
            let event = guest.event().expect("an event");
            assert_eq!(event.general[0], expected, "{selector:04X}");
            let after = before & !flags::ZF | if zero { flags::ZF } else { 0 };
            assert_eq!(event.eflags, after, "{selector:04X}");
        }
    }
}

#[test]
fn questions_fault_on_their_operand_and_on_the_page_of_the_table() {
    #[rustfmt::skip]
    check(&[
        prepared("lar of an absent page", 3, |g| g.set(3, ABSENT_PAGE), |a| a.lar(eax, dword_ptr(ebx)), pf(4, ABSENT_PAGE)),
        prepared("verr of an absent page", 3, |g| g.set(3, ABSENT_PAGE), |a| a.verr(word_ptr(ebx)), pf(4, ABSENT_PAGE)),
        // The table belongs to the supervisor, whoever asks.
        prepared("the descriptor is on an absent page", 3, |g| { g.set(number::BASE + number::LDTR, ABSENT_PAGE); g.set(0, 7) },
            |a| a.lsl(eax, eax), pf(0, ABSENT_PAGE)),
        prepared("the descriptor is on a supervisor page", 3, |g| { g.set(number::BASE + number::LDTR, SUPERVISOR_PAGE); g.set(0, 7) },
            |a| a.lsl(eax, eax), completes()),
        row("lock lar", 3, |a| a.db(&[0xF0, 0x0F, 0x02, 0xC0]), ud()),
        prepared("arpl that changes a read-only page", 3, |g| { g.set(3, READ_ONLY_PAGE); g.set(0, 3) }, |a| a.arpl(word_ptr(ebx), ax), pf(7, READ_ONLY_PAGE)),
        prepared("arpl that changes nothing there", 3, |g| { g.set(3, READ_ONLY_PAGE); g.set(0, 0) }, |a| a.arpl(word_ptr(ebx), ax), completes()),
        prepared("arpl of an absent page", 3, |g| g.set(3, ABSENT_PAGE), |a| a.arpl(word_ptr(ebx), ax), pf(4, ABSENT_PAGE)),
        prepared("arpl through null", 3, |g| g.load(number::DS, selector::NULL), |a| a.arpl(word_ptr(ebx), ax), gp(0)),
    ]);
}

#[test]
fn arpl_raises_the_level_and_never_lowers_it() {
    for destination in 0..4u32 {
        for source in 0..4u32 {
            for memory in [false, true] {
                let mut guest = Guest::new(None);
                guest.begin(3);
                let old = 0x1234_ABC0 | destination;
                guest.set(0, old);
                guest.set(2, 0xFFFF_FFF0 | source);
                guest.poke(DATA, old);
                let before = flags::RESET | flags::CF | flags::OF | flags::PF;
                guest.set(
                    number::EFLAGS,
                    before | if source & 1 == 0 { flags::ZF } else { 0 },
                );
                guest.program(|a| {
                    if memory {
                        a.arpl(word_ptr(ebx), dx)
                    } else {
                        a.arpl(ax, dx)
                    }
                });
                guest.run();
                let event = guest.event().expect("an event");
                let raised = destination < source;
                let expected = old & !3 | destination.max(source);
                let found = if memory {
                    guest.peek(DATA)
                } else {
                    event.general[0]
                };
                let label = format!("{destination} {source} {memory}");
                assert_eq!(found, expected, "{label}");
                let after = before | if raised { flags::ZF } else { 0 };
                assert_eq!(event.eflags, after, "{label}");
            }
        }
    }
}

#[test]
fn smsw_shows_cr0_and_lmsw_changes_four_bits_of_it_but_never_clears_pe() {
    let mut guest = Guest::new(None);
    guest.begin(0);
    guest.poke(DATA, 0xFFFF_FFFF);
    guest.poke(DATA + 4, 0xFFFF_FFFF);
    guest.program(|a| {
        a.mov(edx, 0xFFFF_0000u32)?;
        a.lmsw(dx)?;
        a.smsw(eax)?;
        a.mov(ecx, 0x7777_7777)?;
        a.smsw(cx)?;
        a.smsw(word_ptr(ebx))?;
        // MP, EM, TS
        a.mov(edx, 0xFFFF_FFFEu32)?;
        a.mov(dword_ptr(ebx + 4), edx)?;
        a.lmsw(word_ptr(ebx + 4))?;
        a.mov(edx, cr0)?;
        a.mov(edi, 1)?;
        a.lmsw(di)?;
        a.smsw(edi)
    });
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, vector::COMPLETED);
    let cleared = CR0_PE | CR0_ET | CR0_PG;
    assert_eq!(event.general[0], cleared);
    assert_eq!(event.general[1], 0x7777_0000 | cleared & 0xFFFF);
    assert_eq!(guest.peek(DATA), 0xFFFF_0000 | cleared & 0xFFFF);
    assert_eq!(event.general[2], cleared | CR0_MP | CR0_EM | CR0_TS);
    assert_eq!(event.general[7], cleared);
    assert!(guest.is_alive());
}

#[test]
fn smsw_runs_at_any_level_and_lmsw_at_level_0_alone() {
    #[rustfmt::skip]
    check(&[
        row("smsw in ring 3", 3, |a| a.smsw(eax), completes()),
        row("smsw to memory in ring 3", 3, |a| a.smsw(word_ptr(ebx)), completes()),
        row("lmsw in ring 3", 3, |a| a.lmsw(ax), gp(0)),
        row("lmsw in ring 1", 1, |a| a.lmsw(ax), gp(0)),
        prepared("lmsw in ring 3 does not read first", 3, |g| g.set(3, ABSENT_PAGE), |a| a.lmsw(word_ptr(ebx)), gp(0)),
        prepared("lgdt in ring 3 does not read first", 3, |g| g.set(3, ABSENT_PAGE), |a| a.lgdt(ptr(ebx)), gp(0)),
        prepared("lldt in ring 3 does not read first", 3, |g| g.set(3, ABSENT_PAGE), |a| a.lldt(word_ptr(ebx)), gp(0)),
        prepared("lldt in ring 0 reads", 0, |g| g.set(3, ABSENT_PAGE), |a| a.lldt(word_ptr(ebx)), pf(0, ABSENT_PAGE)),
        row("invd in ring 3", 3, |a| a.invd(), gp(0)),
        row("wbinvd in ring 3", 3, |a| a.wbinvd(), gp(0)),
        row("invd, wbinvd", 0, |a| { a.invd()?; a.wbinvd() }, completes()),
        row("rdpmc in ring 3", 3, |a| a.rdpmc(), gp(0)),
        row("rdpmc in ring 0", 0, |a| a.rdpmc(), gp(0)),
    ]);
}

#[test]
fn numeric_instructions_raise_nm_or_ud_and_wait_nm_or_nothing() {
    use spec::exceptions::NM;
    fn nm() -> Expected {
        Expected { vector: NM, ..ud() }
    }
    fn cr0(guest: &mut Guest, bits: u32) {
        let old = guest.get(number::CR0);
        guest.set(number::CR0, old | bits);
    }
    #[rustfmt::skip]
    check(&[
        row("fninit", 3, |a| a.fninit(), completes()),
        prepared("fnstsw writes nothing", 3, |g| g.set(3, ABSENT_PAGE), |a| a.fnstsw(word_ptr(ebx)), completes()),
        prepared("fnstsw with TS", 3, |g| cr0(g, CR0_TS), |a| a.fnstsw(ax), nm()),
        prepared("fnstcw with EM", 3, |g| cr0(g, CR0_EM), |a| a.fnstcw(word_ptr(ebx)), nm()),
        row("fnstenv", 3, |a| a.fnstenv(ptr(ebx)), ud()),
        row("lock fnstcw", 3, |a| a.db(&[0xF0, 0xD9, 0x3B]), ud()),
        row("fld", 0, |a| a.fld(dword_ptr(ebx)), ud()),
        prepared("fninit with EM", 3, |g| cr0(g, CR0_EM), |a| a.fninit(), nm()),
        prepared("fninit with TS", 3, |g| cr0(g, CR0_TS), |a| a.fninit(), nm()),
        prepared("fninit with MP", 3, |g| cr0(g, CR0_MP), |a| a.fninit(), completes()),
        prepared("fst with EM does not write", 3, |g| { cr0(g, CR0_EM); g.set(3, ABSENT_PAGE) }, |a| a.fst(dword_ptr(ebx)), nm()),
        prepared("lock fld with EM", 3, |g| cr0(g, CR0_EM), |a| a.db(&[0xF0, 0xD9, 0x03]), ud()),
        row("wait", 3, |a| a.wait(), completes()),
        prepared("wait with TS", 3, |g| cr0(g, CR0_TS), |a| a.wait(), completes()),
        prepared("wait with EM", 3, |g| cr0(g, CR0_EM), |a| a.wait(), completes()),
        prepared("wait with EM and TS", 3, |g| cr0(g, CR0_EM | CR0_TS), |a| a.wait(), completes()),
        prepared("wait with MP and TS", 3, |g| cr0(g, CR0_MP | CR0_TS), |a| a.wait(), nm()),
        prepared("wait with MP and TS", 0, |g| cr0(g, CR0_MP | CR0_TS), |a| a.wait(), nm()),
        prepared("clts lets wait go on", 0, |g| cr0(g, CR0_MP | CR0_TS), |a| { a.clts()?; a.wait() }, completes()),
    ]);
}

#[test]
fn bound_raises_br_and_int1_enters_any_gate() {
    fn bounds(guest: &mut Guest, index: u32, lower: u32, upper: u32) {
        guest.set(0, index);
        guest.poke(DATA, lower);
        guest.poke(DATA + 4, upper);
    }
    fn br() -> Expected {
        Expected {
            vector: spec::exceptions::BR,
            ..ud()
        }
    }
    let int1 = || Expected {
        vector: spec::exceptions::DB,
        ..breakpoint()
    };
    #[rustfmt::skip]
    check(&[
        prepared("within", 3, |g| bounds(g, 5, 5, 5), |a| a.bound(eax, qword_ptr(ebx)), completes()),
        prepared("below", 3, |g| bounds(g, 4, 5, 9), |a| a.bound(eax, qword_ptr(ebx)), br()),
        prepared("above", 3, |g| bounds(g, 10, 5, 9), |a| a.bound(eax, qword_ptr(ebx)), br()),
        prepared("with sign", 3, |g| bounds(g, 0, 0x8000_0000, 0x7FFF_FFFF), |a| a.bound(eax, qword_ptr(ebx)), completes()),
        prepared("below with overflow", 3, |g| bounds(g, 0x8000_0000, 1, 9), |a| a.bound(eax, qword_ptr(ebx)), br()),
        prepared("above with overflow", 3, |g| bounds(g, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF), |a| a.bound(eax, qword_ptr(ebx)), br()),
        prepared("words within", 3, |g| bounds(g, 0x1_FFFF, 0x0000_FFFE, 0), |a| a.bound(ax, dword_ptr(ebx)), completes()),
        prepared("words above", 3, |g| bounds(g, 1, 0x0000_FFFE, 0), |a| a.bound(ax, dword_ptr(ebx)), br()),
        prepared("the upper bound is absent", 3, |g| g.set(3, ABSENT_PAGE - 4), |a| a.bound(eax, qword_ptr(ebx)), pf(4, ABSENT_PAGE)),
        row("with a register", 3, |a| a.db(&[0x62, 0xC0]), ud()),
        row("int1 in ring 3 though its gate is of ring 0", 3, |a| a.int1(), int1()),
        row("int1 in ring 0", 0, |a| a.int1(), int1()),
        row("int 1 in ring 3", 3, |a| a.db(&[0xCD, 1]), gp(1 << 3 | 2)),
        prepared("int1 through an absent gate says EXT", 3, |g| { let gate = spec::segments::gate(selector::CODE_0, 0, 0x0E, 0); g.gate(1, gate) },
            |a| a.int1(), np(1 << 3 | 2 | 1)),
    ]);
}
