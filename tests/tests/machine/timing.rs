//! What instructions cost in steady state with memory that answers in one clock: a table that is document and test.
//!
//! Each row's instructions stand sixteen times in a loop that runs twelve times in ring 3 with paging on, later than the 1,024
//! clocks after a reset in which nothing is predicted; the last turn counts, from the retire records: clocks from one retirement of the first
//! instruction to the next.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::registers as number;
use tests::guest::*;

type Code = fn(&mut CodeAssembler) -> Result<(), IcedError>;
/// With the address of the copy.
type Copied = fn(&mut CodeAssembler, u32) -> Result<(), IcedError>;

/// One row.
struct Row {
    label: &'static str,
    /// Before the copies, once in each turn.
    before: Code,
    /// What is copied.
    code: Copied,
    /// Clocks of one copy, at most.
    clocks: f64,
}

/// A row.
fn row(label: &'static str, code: Copied, clocks: f64) -> Row {
    with(label, |_| Ok(()), code, clocks)
}

/// A row with something before its copies.
fn with(label: &'static str, before: Code, code: Copied, clocks: f64) -> Row {
    Row {
        label,
        before,
        code,
        clocks,
    }
}

/// Jumps to the next instruction but one.
fn over_a_nop(
    a: &mut CodeAssembler,
    jump: fn(&mut CodeAssembler, CodeLabel) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let mut label = a.create_label();
    jump(a, label)?;
    a.nop()?;
    a.set_label(&mut label)?;
    a.zero_bytes()
}

/// Jumps over nothing: to the next instruction.
fn next(
    a: &mut CodeAssembler,
    jump: fn(&mut CodeAssembler, CodeLabel) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let mut label = a.create_label();
    jump(a, label)?;
    a.set_label(&mut label)?;
    a.zero_bytes()
}

const COPIES: usize = 16;

/// Clocks of one copy in the last turn.
fn measure(guest: &mut Guest, row: &Row) -> f64 {
    guest.begin(3);
    // SYSENTER goes to SYSEXIT, INT 80h to IRETD.
    let kernel = guest.gate_target();
    guest.place(kernel, 32, |a| a.db(&[0x0F, 0x35]));
    guest.set(number::SYSENTER_EIP, kernel);
    guest.set(number::SYSENTER_ESP, STACK_TOP[0]);
    guest.place(kernel + 0x10, 32, |a| a.iretd());
    let gate = spec::segments::gate(selector::CODE_0, kernel + 0x10, 0xEE, 0);
    guest.gate(vector::USER, gate);
    let warm = guest.place(CODE, 32, |a| {
        a.mov(ecx, 600)?;
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.dec(ecx)?;
        a.jne(again)?;
        a.mov(ecx, 12)
    });
    let before = guest.place(warm.end(), 32, |a| {
        (row.before)(a)?;
        a.nop()
    });
    let mut starts = Vec::new();
    let mut at = before.end();
    for _ in 0..COPIES {
        starts.push(at);
        at = guest.place(at, 32, |a| (row.code)(a, at)).end();
    }
    starts.push(at);
    let turn = guest.place(at, 32, |a| {
        a.mov(esp, (USER_STACK_TOP - 0x100) as i32)?;
        a.dec(ecx)?;
        a.jne(u64::from(warm.end()))
    });
    guest.place(turn.end(), 32, |a| a.int(i32::from(vector::COMPLETED)));
    assert_eq!(guest.run(), Stop::Halted, "{}", row.label);
    assert_eq!(
        guest.event().map(|event| event.vector),
        Some(vector::COMPLETED),
        "{}",
        row.label
    );
    let records = guest.machine().drain_retired();
    let cycle_at = |address: u32| {
        let last = records
            .iter()
            .rfind(|record| record.first && record.eip == address && !record.exception);
        last.expect(row.label).cycle
    };
    (cycle_at(starts[COPIES]) - cycle_at(starts[0])) as f64 / COPIES as f64
}

#[test]
fn no_row_of_the_timing_table_costs_more_clocks_than_it_says() {
    #[rustfmt::skip]
    let table = [
        row("nop",                        |a, _| a.nop(), 1.0),
        row("mov r,r",                    |a, _| a.mov(eax, edx), 1.0),
        row("mov r,imm",                  |a, _| a.mov(eax, 0x12345678), 1.0),
        row("add r,r, dependent",         |a, _| a.add(eax, eax), 1.0),
        row("add r,imm, dependent",       |a, _| a.add(eax, 1), 1.0),
        row("lea",                        |a, _| a.lea(eax, dword_ptr(ebx + esi * 4 + 8)), 1.0),
        row("movzx",                      |a, _| a.movzx(eax, dl), 1.0),
        row("load",                       |a, _| a.mov(eax, dword_ptr(ebx)), 1.0),
        row("store",                      |a, _| a.mov(dword_ptr(ebx), eax), 1.0),
        row("add r,[m]",                  |a, _| a.add(eax, dword_ptr(ebx)), 1.0),
        row("add [m],r",                  |a, _| a.add(dword_ptr(ebx), eax), 2.0),
        row("push r",                     |a, _| a.push(eax), 1.0),
        with("pop r",                     |a| a.sub(esp, 0x40), |a, _| a.pop(eax), 1.0),
        with("jcc, not taken",            |a| a.cmp(eax, eax), |a, _| next(a, |a, to| a.jne(to)), 1.0),
        with("jcc forward, taken",        |a| a.cmp(eax, eax), |a, _| over_a_nop(a, |a, to| a.je(to)), 1.2),
        row("jmp",                        |a, _| over_a_nop(a, |a, to| a.jmp(to)), 1.2),
        row("call",                       |a, _| next(a, |a, to| a.call(to)), 1.5),
        row("xchg r,r",                   |a, _| a.xchg(eax, edx), 2.0),
        row("xadd r,r",                   |a, _| a.xadd(eax, edx), 3.0),
        row("pusha and popa",             |a, _| { a.pushad()?; a.popad() }, 17.5),
        row("rep movsd of 64 dwords",     |a, _| repeated(a, |a| a.rep().movsd()), 110.0),
        row("rep stosd of 64 dwords",     |a, _| repeated(a, |a| a.rep().stosd()), 75.0),
        row("46h: sysenter and sysexit",  sysenter_row, 22.0),
        row("int 80h and iretd",          |a, _| a.int(0x80), 52.0),
    ];
    let mut guest = Guest::new(None);
    let mut too_slow = Vec::new();
    for row in &table {
        let clocks = measure(&mut guest, row);
        println!("{:28} {clocks:6.2}  (at most {})", row.label, row.clocks);
        if clocks > row.clocks {
            too_slow.push(row.label);
        }
    }
    assert!(too_slow.is_empty(), "too slow: {too_slow:?}");
}

/// A string instruction, 64 times; the loop counter is kept in EDX.
fn repeated(
    a: &mut CodeAssembler,
    string: fn(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    a.mov(edx, ecx)?;
    a.mov(ecx, 64)?;
    a.mov(esi, DATA)?;
    a.mov(edi, DATA + 0x1000)?;
    string(a)?;
    a.mov(ecx, edx)
}

/// Row 46h of the microbenchmarks, to a handler that is one SYSEXIT: the loop counter is ECX, which SYSEXIT uses.
fn sysenter_row(a: &mut CodeAssembler, address: u32) -> Result<(), IcedError> {
    const TO_RETURN: u32 = 5 + 2 + 2 + 2;
    a.mov(edx, address + TO_RETURN)?;
    a.mov(esi, esp)?;
    a.xchg(ecx, esi)?;
    a.db(&[0x0F, 0x34])?;
    a.xchg(ecx, esi)
}

#[test]
fn a_turn_of_two_instructions_takes_two_clocks() {
    let mut guest = Guest::new(None);
    guest.begin(3);
    // Predictions begin 1,024 clocks after a reset.
    guest.set(1, 600);
    let program = guest.program(|a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.dec(ecx)?;
        a.jne(again)
    });
    guest.run();
    let records = guest.machine().drain_retired();
    let turns: Vec<u64> = records
        .iter()
        .filter(|record| record.eip == program.addresses[0])
        .map(|record| record.cycle)
        .collect();
    let clocks = (turns[599] - turns[583]) as f64 / 16.0;
    assert!(clocks <= 2.0, "{clocks}");
}
