//! Loads of segment registers, and accesses through them.

use crate::case::*;
use iced_x86::code_asm::*;
use spec::flags;
use spec::registers as number;
use spec::segments;
use tests::guest::*;

#[test]
fn data_segment_loads_check_selector_type_level_and_presence() {
    fn sel(guest: &mut Guest, value: u16) {
        guest.set(0, value.into());
    }
    #[rustfmt::skip]
    check(&[
        prepared("null", 3, |g| sel(g, 0), |a| a.mov(ds, ax), completes()),
        prepared("null with RPL", 3, |g| sel(g, 3), |a| a.mov(gs, ax), completes()),
        prepared("ring 0 data", 3, |g| sel(g, selector::DATA_0), |a| a.mov(ds, ax), gp(selector::DATA_0)),
        prepared("ring 0 data with RPL 3", 3, |g| sel(g, selector::DATA_0 | 3), |a| a.mov(es, ax), gp(selector::DATA_0)),
        prepared("ring 0 data with RPL 3", 0, |g| sel(g, selector::DATA_0 | 3), |a| a.mov(es, ax), gp(selector::DATA_0)),
        prepared("ring 3 data with RPL 0", 3, |g| sel(g, selector::DATA_3 & !3), |a| a.mov(fs, ax), completes()),
        prepared("ring 3 data", 0, |g| sel(g, selector::DATA_3), |a| a.mov(fs, ax), completes()),
        prepared("beyond the GDT", 3, |g| sel(g, selector::BEYOND), |a| a.mov(ds, ax), gp(selector::BEYOND & !3)),
        prepared("FFFBh", 3, |g| sel(g, 0xFFFB), |a| a.mov(ds, ax), gp(0xFFF8)),
        prepared("not present", 3, |g| sel(g, selector::ABSENT_DATA), |a| a.mov(ds, ax), np(selector::ABSENT_DATA & !3)),
        prepared("execute-only code", 3, |g| sel(g, selector::EXECUTE_ONLY), |a| a.mov(ds, ax), gp(selector::EXECUTE_ONLY & !3)),
        prepared("readable code", 3, |g| sel(g, selector::CODE_3), |a| a.mov(ds, ax), completes()),
        prepared("conforming code of ring 0", 3, |g| sel(g, selector::CONFORMING | 3), |a| a.mov(ds, ax), completes()),
        prepared("a TSS", 3, |g| sel(g, selector::TSS), |a| a.mov(ds, ax), gp(selector::TSS)),
        prepared("a gate", 3, |g| sel(g, selector::CALL_GATE), |a| a.mov(ds, ax), gp(selector::CALL_GATE & !3)),
        prepared("reserved type", 3, |g| sel(g, selector::RESERVED), |a| a.mov(ds, ax), gp(selector::RESERVED & !3)),
        prepared("from the LDT", 3, |g| sel(g, selector::LOCAL_DATA), |a| a.mov(ds, ax), completes()),
        prepared("an empty descriptor of the LDT", 3, |g| sel(g, selector::LOCAL_EMPTY), |a| a.mov(ds, ax), gp(4)),
        prepared("ring 0 data of the LDT", 3, |g| sel(g, selector::LOCAL_RING_0), |a| a.mov(ds, ax), gp(selector::LOCAL_RING_0)),
        prepared("beyond the LDT", 3, |g| sel(g, selector::LOCAL_BEYOND), |a| a.mov(ds, ax), gp(selector::LOCAL_BEYOND & !3)),
        prepared("from no LDT", 3, |g| { sel(g, 0x0F); g.set(number::LIMIT + number::LDTR, 0) }, |a| a.mov(ds, ax), gp(0x0C)),
        prepared("pop ds of ring 0", 3, |g| g.poke(USER_STACK_TOP - 0x100, selector::DATA_0.into()), |a| a.pop(ds), gp(selector::DATA_0)),
        prepared("pop es not present", 3, |g| g.poke(USER_STACK_TOP - 0x100, selector::ABSENT_DATA.into()), |a| a.pop(es), np(selector::ABSENT_DATA & !3)),
        prepared("pop fs", 3, |g| g.poke(USER_STACK_TOP - 0x100, selector::DATA_3.into()), |a| a.pop(fs), completes()),
        prepared("mov gs,[m]", 3, |g| g.poke(DATA, selector::BEYOND.into()), |a| a.mov(gs, word_ptr(ebx)), gp(selector::BEYOND & !3)),
    ]);
}

#[test]
fn stack_segment_loads_want_writable_data_of_exactly_this_level() {
    fn sel(guest: &mut Guest, value: u16) {
        guest.set(0, value.into());
    }
    #[rustfmt::skip]
    check(&[
        prepared("null", 3, |g| sel(g, 0), |a| a.mov(ss, ax), gp(0)),
        prepared("null", 0, |g| sel(g, 0), |a| a.mov(ss, ax), gp(0)),
        prepared("null with RPL", 3, |g| sel(g, 3), |a| a.mov(ss, ax), gp(0)),
        prepared("ring 3 data", 3, |g| sel(g, selector::DATA_3), |a| a.mov(ss, ax), completes()),
        prepared("RPL 0", 3, |g| sel(g, selector::DATA_3 & !3), |a| a.mov(ss, ax), gp(selector::DATA_3 & !3)),
        prepared("ring 0 data", 3, |g| sel(g, selector::DATA_0 | 3), |a| a.mov(ss, ax), gp(selector::DATA_0)),
        prepared("ring 3 data", 0, |g| sel(g, selector::DATA_3 & !3), |a| a.mov(ss, ax), gp(selector::DATA_3 & !3)),
        prepared("read-only data", 3, |g| sel(g, selector::READ_ONLY), |a| a.mov(ss, ax), gp(selector::READ_ONLY & !3)),
        prepared("code", 3, |g| sel(g, selector::CODE_3), |a| a.mov(ss, ax), gp(selector::CODE_3 & !3)),
        prepared("not present", 3, |g| sel(g, selector::ABSENT_DATA), |a| a.mov(ss, ax), stack_fault(selector::ABSENT_DATA & !3)),
        prepared("a TSS", 0, |g| sel(g, selector::TSS), |a| a.mov(ss, ax), gp(selector::TSS)),
        prepared("beyond the table", 3, |g| sel(g, selector::BEYOND), |a| a.mov(ss, ax), gp(selector::BEYOND & !3)),
        prepared("pop ss", 3, |g| g.poke(USER_STACK_TOP - 0x100, 0), |a| a.pop(ss), gp(0)),
    ]);
}

#[test]
fn lldt_and_ltr_check_what_they_load() {
    fn sel(guest: &mut Guest, value: u16) {
        guest.set(0, value.into());
    }
    #[rustfmt::skip]
    check(&[
        prepared("lldt", 0, |g| sel(g, selector::LDT), |a| a.lldt(ax), completes()),
        prepared("lldt of data", 0, |g| sel(g, selector::DATA_0), |a| a.lldt(ax), gp(selector::DATA_0)),
        prepared("lldt from the LDT", 0, |g| sel(g, selector::LOCAL_DATA), |a| a.lldt(ax), gp(selector::LOCAL_DATA & !3)),
        prepared("lldt not present", 0, |g| sel(g, selector::ABSENT_LDT), |a| a.lldt(ax), np(selector::ABSENT_LDT)),
        prepared("lldt beyond", 0, |g| sel(g, selector::BEYOND), |a| a.lldt(ax), gp(selector::BEYOND & !3)),
        prepared("ltr", 0, |g| sel(g, selector::SECOND_TSS), |a| a.ltr(ax), completes()),
        prepared("ltr null", 0, |g| sel(g, 0), |a| a.ltr(ax), gp(0)),
        prepared("ltr busy", 0, |g| sel(g, selector::TSS), |a| a.ltr(ax), gp(selector::TSS)),
        prepared("ltr of data", 0, |g| sel(g, selector::DATA_0), |a| a.ltr(ax), gp(selector::DATA_0)),
        prepared("ltr from the LDT", 0, |g| sel(g, selector::LOCAL_DATA), |a| a.ltr(ax), gp(selector::LOCAL_DATA & !3)),
        prepared("ltr not present", 0, |g| { sel(g, selector::SECOND_TSS); g.poke_bytes(GDT + u32::from(selector::SECOND_TSS) + 5, &[0x09]) },
            |a| a.ltr(ax), np(selector::SECOND_TSS)),
    ]);
}

#[test]
fn a_loaded_descriptor_is_marked_accessed_and_a_loaded_task_busy() {
    let mut guest = Guest::new(None);
    guest.begin(0);
    let accessed = GDT + u32::from(selector::DATA_3 & !3) + 5;
    let busy = GDT + u32::from(selector::SECOND_TSS) + 5;
    guest.poke_bytes(accessed, &[0xF2]);
    guest.program(|a| {
        a.mov(eax, i32::from(selector::DATA_3))?;
        a.mov(fs, ax)?;
        a.mov(eax, i32::from(selector::SECOND_TSS))?;
        a.ltr(ax)
    });
    guest.run();
    assert_eq!(guest.event().expect("an event").vector, vector::COMPLETED);
    assert_eq!(guest.peek(accessed) as u8, 0xF3);
    assert_eq!(guest.peek(busy) as u8, 0x8B);
}

#[test]
fn a_load_that_faults_leaves_the_accessed_bit_alone() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    let access = GDT + u32::from(selector::DATA_0) + 5;
    guest.poke_bytes(access, &[0x92]);
    guest.program(|a| {
        a.mov(eax, i32::from(selector::DATA_0))?;
        a.mov(fs, ax)
    });
    guest.set(number::BASE + number::TR, TSS);
    guest.machine().set_breakpoint(Guest::handler(13));
    guest.run();
    // The stack switch to ring 0 uses the same descriptor: so look at what the load wrote before.
    let records = guest.machine().drain_retired();
    let fault = records
        .iter()
        .position(|record| record.exception)
        .expect("a fault");
    assert!(records[..fault].iter().all(|record| !record.store));
}

#[test]
fn accesses_stay_within_the_segment_and_its_rights() {
    fn small(guest: &mut Guest) {
        guest.load(number::DS, selector::SMALL_DATA);
        guest.load(number::ES, selector::SMALL_DATA);
    }
    fn small_stack(guest: &mut Guest) {
        guest.load(number::SS, selector::SMALL_DATA);
        guest.set(4, 0x80);
        guest.set(5, 0x80);
    }
    fn down(guest: &mut Guest) {
        guest.load(number::DS, selector::EXPAND_DOWN);
    }
    fn down_16(guest: &mut Guest) {
        guest.load(number::DS, selector::EXPAND_DOWN_16);
    }
    fn read_only(guest: &mut Guest) {
        guest.load(number::DS, selector::READ_ONLY);
    }
    fn execute_only(guest: &mut Guest) {
        guest.load(number::CS, selector::EXECUTE_ONLY);
    }
    fn null(guest: &mut Guest) {
        guest.load(number::DS, selector::NULL);
    }
    #[rustfmt::skip]
    check(&[
        prepared("last dword", 3, small, |a| a.mov(eax, dword_ptr(0xFC)), completes()),
        prepared("last byte", 3, small, |a| a.mov(byte_ptr(0xFF), al), completes()),
        prepared("dword over the limit", 3, small, |a| a.mov(eax, dword_ptr(0xFD)), gp(0)),
        prepared("store over the limit", 3, small, |a| a.mov(dword_ptr(0xFD), eax), gp(0)),
        prepared("word over the limit", 0, small, |a| a.mov(ax, word_ptr(0xFF)), gp(0)),
        prepared("byte behind the limit", 3, small, |a| a.add(byte_ptr(0x100), al), gp(0)),
        prepared("offset FFFFFFFFh", 3, small, |a| a.mov(eax, dword_ptr(0xFFFF_FFFFu32)), gp(0)),
        prepared("movs behind the limit", 3, |g| { small(g); g.set(6, 0x100); g.set(7, 0) }, |a| a.movsb(), gp(0)),
        prepared("stos behind the limit", 3, |g| { small(g); g.set(7, 0x100) }, |a| a.stosb(), gp(0)),
        prepared("lgdt behind the limit", 0, small, |a| a.lgdt(ptr(0xFC)), gp(0)),
        prepared("push below 0", 3, |g| { small_stack(g); g.set(4, 2) }, |a| a.push(eax), stack_fault(0)),
        prepared("push", 3, small_stack, |a| a.push(eax), completes()),
        prepared("pop over the limit", 3, |g| { small_stack(g); g.set(4, 0xFE) }, |a| a.pop(eax), stack_fault(0)),
        prepared("call below 0", 3, |g| { small_stack(g); g.set(4, 2) }, |a| a.call(u64::from(CODE)), stack_fault(0)),
        prepared("ret over the limit", 3, |g| { small_stack(g); g.set(4, 0xFE) }, |a| a.ret(), stack_fault(0)),
        prepared("pusha below 0", 3, |g| { small_stack(g); g.set(4, 0x1C) }, |a| a.pushad(), stack_fault(0)),
        prepared("popa over the limit", 3, |g| { small_stack(g); g.set(4, 0xE4) }, |a| a.popad(), stack_fault(0)),
        prepared("enter below 0", 3, |g| { small_stack(g); g.set(4, 2) }, |a| a.enter(8, 0), stack_fault(0)),
        prepared("leave over the limit", 3, |g| { small_stack(g); g.set(5, 0xFE) }, |a| a.leave(), stack_fault(0)),
        prepared("[ebp] over the limit", 3, |g| { small_stack(g); g.set(5, 0xFE) }, |a| a.mov(eax, dword_ptr(ebp)), stack_fault(0)),
        prepared("ss: over the limit", 3, small_stack, |a| a.mov(eax, dword_ptr(0xFE).ss()), stack_fault(0)),
        prepared("[esp] over the limit", 3, |g| { small_stack(g); g.set(4, 0xFE) }, |a| a.mov(eax, dword_ptr(esp)), stack_fault(0)),
        prepared("ds:[ebp] over the limit", 3, |g| { small(g); g.set(5, 0xFE) }, |a| a.mov(eax, dword_ptr(ebp).ds()), gp(0)),
        prepared("expand-down: the limit itself", 3, down, |a| a.mov(al, byte_ptr(0xFFF)), gp(0)),
        prepared("expand-down: 0", 3, down, |a| a.mov(eax, dword_ptr(0)), gp(0)),
        prepared("expand-down: over the limit from below", 3, down, |a| a.mov(eax, dword_ptr(0xFFE)), gp(0)),
        prepared("expand-down: first byte", 3, down, |a| a.mov(al, byte_ptr(0x1000)), completes()),
        prepared("expand-down: beyond 64 KB", 3, down, |a| a.mov(eax, dword_ptr(0x1_0000)), completes()),
        prepared("expand-down: around 4 GB", 3, down, |a| a.mov(eax, dword_ptr(0xFFFF_FFFEu32)), gp(0)),
        prepared("16-bit expand-down: last dword", 3, down_16, |a| a.mov(eax, dword_ptr(0xFFFC)), completes()),
        prepared("16-bit expand-down: over 64 KB", 3, down_16, |a| a.mov(eax, dword_ptr(0xFFFD)), gp(0)),
        prepared("push on an expand-down stack", 3, |g| { g.load(number::SS, selector::EXPAND_DOWN); g.set(4, 0x1004) }, |a| a.push(eax), completes()),
        prepared("push below an expand-down stack", 3, |g| { g.load(number::SS, selector::EXPAND_DOWN); g.set(4, 0x1003) }, |a| a.push(eax), stack_fault(0)),
        prepared("read of read-only", 3, read_only, |a| a.mov(eax, dword_ptr(ebx)), completes()),
        prepared("write to read-only", 3, read_only, |a| a.mov(dword_ptr(ebx), eax), gp(0)),
        prepared("add to read-only", 3, read_only, |a| a.add(dword_ptr(ebx), eax), gp(0)),
        prepared("xchg with read-only", 3, read_only, |a| a.xchg(dword_ptr(ebx), eax), gp(0)),
        prepared("cmp with read-only", 3, read_only, |a| a.cmp(dword_ptr(ebx), eax), completes()),
        prepared("write to code", 3, |_| {}, |a| a.mov(dword_ptr(ebx).cs(), eax), gp(0)),
        prepared("write to code in ring 0", 0, |_| {}, |a| a.mov(dword_ptr(ebx).cs(), eax), gp(0)),
        prepared("read of code", 3, |_| {}, |a| a.mov(eax, dword_ptr(ebx).cs()), completes()),
        prepared("read of execute-only code", 3, execute_only, |a| a.mov(eax, dword_ptr(ebx).cs()), gp(0)),
        prepared("read through null", 3, null, |a| a.mov(eax, dword_ptr(ebx)), gp(0)),
        prepared("write through null", 0, null, |a| a.mov(dword_ptr(ebx), eax), gp(0)),
        prepared("nothing is read by lea through null", 3, null, |a| a.lea(eax, dword_ptr(ebx)), completes()),
        prepared("loaded null, then read", 3, |g| g.set(0, 0), |a| { a.mov(ds, ax)?; a.mov(eax, dword_ptr(ebx)) }, gp(0)),
    ]);
}

#[test]
fn code_beyond_its_limit_faults_on_the_branch_or_on_the_instruction() {
    fn small(guest: &mut Guest) {
        guest.load(number::CS, selector::SMALL_CODE);
        guest.set(number::EIP, 0);
        guest.set(0, 0x1000);
        guest.poke(DATA, 0x1000);
        guest.poke(USER_STACK_TOP - 0x100, 0x1000);
    }
    fn short(guest: &mut Guest) {
        guest.set(number::LIMIT + number::CS, CODE + 8);
    }
    // Addresses of the program are those of the flat segment; offsets are lower by the base.
    let on_branch = || gp(0).at(0);
    #[rustfmt::skip]
    check(&[
        prepared("jmp", 3, small, |a| a.jmp(u64::from(CODE) + 0x1000), on_branch()),
        prepared("jmp eax", 3, small, |a| a.jmp(eax), on_branch()),
        prepared("jmp [ebx]", 3, small, |a| a.jmp(dword_ptr(ebx)), on_branch()),
        prepared("call", 3, small, |a| a.call(u64::from(CODE) + 0x1000), on_branch()),
        prepared("call eax", 3, small, |a| a.call(eax), on_branch()),
        prepared("call [ebx]", 3, small, |a| a.call(dword_ptr(ebx)), on_branch()),
        prepared("ret", 3, small, |a| a.ret(), on_branch()),
        prepared("ret 4", 3, small, |a| a.ret_1(4), on_branch()),
        prepared("taken jcc", 3, small, |a| a.jne(u64::from(CODE) + 0x1000), on_branch()),
        prepared("loop", 3, small, |a| a.db(&[0x0F, 0x85, 0, 0x10, 0, 0]), on_branch()),
        prepared("backward jcc below 0", 3, small, |a| a.jne(u64::from(CODE) - 0x10), on_branch()),
        prepared("jcc that is not taken", 3, small, |a| a.je(u64::from(CODE) + 0x1000), completes()),
        prepared("call changes no stack", 3, small, |a| a.call(u64::from(CODE) + 0x1000), on_branch()),
        prepared("loop", 3, short, |a| a.db(&[0xE2, 0x10]), gp(0)),
        prepared("loope", 3, |g| { short(g); g.set(number::EFLAGS, 0x42) }, |a| a.db(&[0xE1, 0x10]), gp(0)),
        prepared("jecxz", 3, |g| { short(g); g.set(1, 0) }, |a| a.db(&[0xE3, 0x10]), gp(0)),
        prepared("jmp short", 3, short, |a| a.db(&[0xEB, 0x10]), gp(0)),
        prepared("call near", 3, short, |a| a.db(&[0xE8, 0x10, 0, 0, 0]), gp(0)),
        prepared("call eax to 4 GB", 3, |g| { short(g); g.set(0, 0xFFFF_FFFF) }, |a| a.call(eax), gp(0)),
        prepared("ret to 4 GB", 3, |g| { short(g); g.poke(USER_STACK_TOP - 0x100, 0xFFFF_FFFF) }, |a| a.ret(), gp(0)),
        prepared("ret 8 to 4 GB", 3, |g| { short(g); g.poke(USER_STACK_TOP - 0x100, 0xFFFF_FFFF) }, |a| a.ret_1(8), gp(0)),
        prepared("an instruction over the limit", 3, |g| { small(g); g.set(number::EIP, 0xFFE); g.poke_bytes(CODE + 0xFFE, &[0x90, 0x40, 0x40]); g.poke_bytes(CODE + 0xFFF, &[0xB8]) },
            |a| a.nop(), gp(0).at(0xFFF)),
        prepared("running over the limit", 3, |g| { small(g); g.set(number::EIP, 0xFFE); g.poke_bytes(CODE + 0xFFE, &[0x90, 0x90, 0x90]) },
            |a| a.nop(), gp(0).at(0x1000)),
    ]);
}

#[test]
fn far_transfers_of_16_bits_push_and_pop_words() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    guest.load(number::CS, selector::CODE_16);
    guest.set(number::EIP, 0);
    guest.set(0, 0xFFFF_FFFF);
    let stack = USER_STACK_TOP - 0x100;
    // CALL to CODE_16:0100h, which returns; then a frame of words for IRET to CODE_3:CODE + 200h.
    let program = guest.place(CODE, 16, |a| {
        a.db(&[0x9A, 0x00, 0x01, selector::CODE_16 as u8, 0])?;
        a.pushf()?;
        a.push(i32::from(selector::CODE_16))?;
        a.push(0x200)?;
        a.iret()
    });
    guest.place(CODE + 0x100, 16, |a| {
        a.mov(ecx, esp)?;
        a.mov(edx, dword_ptr(esp))?;
        a.retf()
    });
    guest.place(CODE + 0x200, 16, |a| a.int(i32::from(vector::COMPLETED)));
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!((event.vector, event.eip), (vector::COMPLETED, 0x202));
    assert_eq!(event.cs, selector::CODE_16);
    assert_eq!(event.esp, stack);
    assert_eq!(event.general[1], stack - 4);
    let pushed = u32::from(selector::CODE_16) << 16 | (program.addresses[1] - CODE);
    assert_eq!(event.general[2], pushed);
    assert!(guest.is_alive());
}

#[test]
fn sixteen_bit_segments_have_16_bit_operands_addresses_and_stacks() {
    fn words(guest: &mut Guest) {
        guest.load(number::CS, selector::CODE_16);
        guest.load(number::DS, selector::DATA_16);
        guest.load(number::SS, selector::DATA_16);
        guest.set(number::EIP, 0);
        guest.set(0, 0x1234_5678);
        guest.set(3, 0xFFFF_0010);
        // SP wraps at 64 KB, the rest of ESP stays.
        guest.set(4, 0x7777_0002);
    }
    let mut guest = Guest::new(None);
    guest.begin(3);
    words(&mut guest);
    let code = guest.place(CODE, 16, |a| {
        a.push(ax)?; // at 0000h
        a.push(ax)?; // at FFFEh
        a.mov(word_ptr(bx), ax)?;
        a.mov(dword_ptr(bx + 4), eax)?;
        a.mov(cx, 0x9ABC)?;
        a.int(i32::from(vector::COMPLETED))
    });
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, vector::COMPLETED);
    assert_eq!(event.eip, code.end() - CODE);
    assert_eq!(event.cs, selector::CODE_16);
    assert_eq!(event.esp, 0x7777_FFFE);
    assert_eq!(event.ss, selector::DATA_16);
    assert_eq!(event.general[1], 0x0000_9ABC);
    assert_eq!(guest.peek(DATA) & 0xFFFF, 0x5678);
    assert_eq!(guest.peek(DATA + 0xFFFC) >> 16, 0x5678);
    assert_eq!(guest.peek(DATA + 0x10), 0x5678);
    assert_eq!(guest.peek(DATA + 0x14), 0x1234_5678);
    assert!(guest.is_alive());
}

#[test]
fn far_pointers_load_a_segment_and_a_register_or_neither() {
    fn pointer(guest: &mut Guest, offset: u32, selector: u16) {
        guest.poke(DATA, offset);
        guest.poke(DATA + 4, selector.into());
    }
    #[rustfmt::skip]
    check(&[
        prepared("les of ring 0 data", 3, |g| pointer(g, 7, selector::DATA_0), |a| a.les(eax, fword_ptr(ebx)), gp(selector::DATA_0)),
        prepared("lds beyond the table", 3, |g| pointer(g, 7, selector::BEYOND), |a| a.lds(eax, fword_ptr(ebx)), gp(selector::BEYOND & !3)),
        prepared("lfs not present", 3, |g| pointer(g, 7, selector::ABSENT_DATA), |a| a.lfs(eax, fword_ptr(ebx)), np(selector::ABSENT_DATA & !3)),
        prepared("lss null", 3, |g| pointer(g, 7, 0), |a| a.lss(esp, fword_ptr(ebx)), gp(0)),
        prepared("lss not present", 3, |g| pointer(g, 7, selector::ABSENT_DATA), |a| a.lss(esp, fword_ptr(ebx)), stack_fault(selector::ABSENT_DATA & !3)),
        prepared("lss of code", 3, |g| pointer(g, 7, selector::CODE_3), |a| a.lss(eax, fword_ptr(ebx)), gp(selector::CODE_3 & !3)),
        prepared("lgs null", 3, |g| pointer(g, 7, 3), |a| a.lgs(eax, fword_ptr(ebx)), completes()),
        prepared("loaded null, then read", 3, |g| pointer(g, DATA, 0), |a| { a.lds(ebx, fword_ptr(ebx))?; a.mov(eax, dword_ptr(ebx)) }, gp(0)),
        prepared("the selector is absent", 3, |g| g.set(3, ABSENT_PAGE - 4), |a| a.les(eax, fword_ptr(ebx)), pf(4, ABSENT_PAGE)),
        prepared("the selector is over the limit", 3, |g| { g.load(number::DS, selector::SMALL_DATA); g.set(3, 0xFC) }, |a| a.les(ecx, fword_ptr(ebx)), gp(0)),
        row("les with a register", 3, |a| a.db(&[0xC4, 0xC0]), ud()),
        row("lfs with a register", 3, |a| a.db(&[0x0F, 0xB4, 0xC0]), ud()),
    ]);
    let mut guest = Guest::new(None);
    guest.begin(3);
    pointer(&mut guest, 0x8765_4321, selector::LOCAL_DATA);
    guest.poke(DATA + 0x10, u32::from(selector::DATA_3) << 16 | 0x9999);
    guest.poke(DATA + 0x20, USER_STACK_TOP - 0x400);
    guest.poke(DATA + 0x24, selector::LOCAL_DATA.into());
    guest.program(|a| {
        a.lfs(eax, fword_ptr(ebx))?;
        a.lgs(cx, dword_ptr(ebx + 0x10))?;
        a.lss(esp, fword_ptr(ebx + 0x20))?;
        a.push(eax)?;
        a.mov(edx, ss)
    });
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.vector, vector::COMPLETED);
    assert_eq!(event.general[0], 0x8765_4321);
    assert_eq!(event.general[1], 0x0000_9999);
    assert_eq!(event.general[2], u32::from(selector::LOCAL_DATA));
    assert_eq!(
        event.data_segments[4..],
        [selector::LOCAL_DATA, selector::DATA_3]
    );
    assert_eq!(
        (event.ss, event.esp),
        (selector::LOCAL_DATA, USER_STACK_TOP - 0x404)
    );
    assert_eq!(guest.peek(USER_STACK_TOP - 0x404), 0x8765_4321);
}

#[test]
fn a_return_to_a_stack_of_16_bits_loads_sp_alone() {
    for far in [false, true] {
        let mut guest = Guest::new(None);
        guest.begin(0);
        let top = guest.get(4) - 20;
        guest.set(4, top);
        let frame: Vec<u32> = if far {
            vec![
                CODE + 0x100,
                selector::CODE_3.into(),
                0x5678_0100,
                selector::DATA_16.into(),
            ]
        } else {
            vec![
                CODE + 0x100,
                selector::CODE_3.into(),
                flags::RESET,
                0x5678_0100,
                selector::DATA_16.into(),
            ]
        };
        for (at, value) in (top..).step_by(4).zip(frame) {
            guest.poke(at, value);
        }
        guest.place(CODE, 32, |a| if far { a.retf() } else { a.iretd() });
        guest.place(CODE + 0x100, 32, |a| {
            a.mov(eax, esp)?;
            a.push(ecx)?;
            a.pop(edx)?;
            a.int(i32::from(vector::COMPLETED))
        });
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(event.vector, vector::COMPLETED);
        assert_eq!(event.ss, selector::DATA_16);
        assert_eq!(event.general[0], top & 0xFFFF_0000 | 0x0100, "{far}");
        assert_eq!(event.general[2], event.general[1]);
        assert_eq!(guest.peek(DATA + 0xFC), event.general[1]);
    }
}

#[test]
fn enter_and_leave_move_sp_alone_on_a_stack_of_16_bits() {
    // EBP of the frame, and ESP and EBP behind LEAVE, as a processor has them.
    for (size, frame, pushed, after) in [
        (2, 0x8888_0004, 0x4444, 0x7777_0006),
        (4, 0x7777_0002, 0x8888_4444, 0x7777_0006),
    ] {
        let mut guest = Guest::new(None);
        guest.begin(3);
        guest.load(number::CS, selector::CODE_16);
        guest.load(number::SS, selector::DATA_16);
        guest.set(number::EIP, 0);
        guest.set(4, 0x7777_0006);
        guest.set(5, 0x8888_4444);
        // SP wraps at 64 KB.
        guest.place(CODE, 16, |a| {
            if size == 2 {
                a.enter(8, 0)?;
            } else {
                a.db(&[0x66, 0xC8, 8, 0, 0])?;
            }
            a.mov(ecx, esp)?;
            a.mov(edx, ebp)?;
            if size == 2 {
                a.leave()?;
            } else {
                a.db(&[0x66, 0xC9])?;
            }
            a.int(i32::from(vector::COMPLETED))
        });
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(event.vector, vector::COMPLETED);
        assert_eq!(event.general[1], 0x7777_0000 | (frame - 8) & 0xFFFF);
        assert_eq!(event.general[2], frame);
        assert_eq!((event.esp, event.general[5]), (after, 0x8888_4444));
        let mask = (1u64 << (8 * size)) as u32;
        assert_eq!(
            guest.peek(DATA + (frame & 0xFFFF)) & mask.wrapping_sub(1),
            pushed
        );
    }
}

#[test]
fn a_nested_frame_on_a_stack_of_16_bits_holds_the_whole_of_esp() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    guest.load(number::SS, selector::DATA_16);
    guest.set(4, 0x7777_0106);
    guest.set(5, 0x8888_0044);
    guest.poke(DATA + 0x40, 0xCAFE_F00D);
    guest.program(|a| {
        a.enter(8, 2)?;
        a.mov(ecx, esp)
    });
    guest.run();
    let event = guest.event().expect("an event");
    assert_eq!(event.general[1], 0x7777_00F2);
    assert_eq!(event.general[5], 0x7777_0102);
    assert_eq!(guest.peek(DATA + 0x102), 0x8888_0044);
    assert_eq!(guest.peek(DATA + 0xFE), 0xCAFE_F00D);
    assert_eq!(guest.peek(DATA + 0xFA), 0x7777_0102);
}

#[test]
fn events_and_call_gates_enter_an_inner_stack_of_16_bits_with_sp() {
    for (label, bytes) in [
        ("int", vec![0xCD, vector::COMPLETED]),
        ("ud2", vec![0x0F, 0x0B]),
        ("call", vec![0x9A, 0, 0, 0, 0, selector::CALL_GATE as u8, 0]),
    ] {
        let mut guest = Guest::new(None);
        guest.begin(3);
        // Base 0: the handlers find their frames through it.
        let access = segments::ACCESS_PRESENT | segments::ACCESS_CODE_OR_DATA | 3;
        let stack = segments::descriptor(0, 0xFFFF, access, 0);
        guest.descriptor(selector::DATA_16_RING_0, stack);
        guest.poke(TSS + segments::TSS_ESP0, 0x5678_0000 | STACK_TOP[0]);
        guest.poke(TSS + segments::TSS_SS0, selector::DATA_16_RING_0.into());
        guest.program(|a| a.db(&bytes));
        guest.run();
        let event = guest.event().expect(label);
        assert_eq!(
            event.data_segments[usize::from(number::SS)],
            selector::DATA_16_RING_0,
            "{label}"
        );
        assert!(
            event.frame < STACK_TOP[0] && event.frame > STACK_TOP[0] - 64,
            "{label}: {:X}",
            event.frame
        );
        assert!(guest.is_alive(), "{label}");
    }
}

#[test]
fn pop_of_sp_adds_its_word_to_the_esp_behind_the_increment() {
    for bytes in [&[0x66, 0x5C][..], &[0x66, 0x8F, 0xC4]] {
        let mut guest = Guest::new(None);
        guest.begin(3);
        guest.poke(0x2_FFFC, 0x1234_0000);
        guest.set(4, 0x2_FFFE);
        guest.program(|a| {
            a.db(bytes)?;
            a.mov(eax, esp)?;
            a.mov(esp, (USER_STACK_TOP - 0x100) as i32)
        });
        guest.run();
        let event = guest.event().expect("an event");
        assert_eq!(event.general[0], 0x3_1234, "{bytes:02X?}");
    }
}
