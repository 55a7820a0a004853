//! The clock table: what single operations cost in steady state, beside an i486 and a Pentium.
//!
//! A row's operations stand several times in a loop. It runs 8 turns to warm up, then 16, then 48, each between two
//! marks; an operation costs `((t48 - t16) / 32 - empty loop) / operations in a turn`, which leaves neither the marks nor
//! the first turns in the figure. The loop itself, `dec ecx; jnz`, is a row of its own.

use super::guest::{self, Marks, STACK_TOP};
use super::{BenchError, Observer};
use crate::machine::{Machine, MemoryKind};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use spec::segments::{TSS_32_AVAILABLE, descriptor, gate};
use spec::{exceptions, msr};

/// Clocks as the maker's tables give them for hits in the cache, from memory: the manuals were not at hand.
///
/// Where they give a range, the upper figure is the one to beat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// In the best case.
    pub low: f64,
    /// In the worst case.
    pub high: f64,
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.low == self.high {
            f.pad(&self.low.to_string())
        } else {
            f.pad(&format!("{}-{}", self.low, self.high))
        }
    }
}

/// One figure, or none.
const fn exactly(clocks: f64) -> Option<Published> {
    range(clocks, clocks)
}

const fn range(low: f64, high: f64) -> Option<Published> {
    Some(Published { low, high })
}

/// What a turn of the loop is made of.
#[derive(Clone, Copy)]
enum Turn {
    /// So many copies of this.
    Copies(Code),
    /// This once; it is told its address, a multiple of 16.
    Once(fn(&mut CodeAssembler, u32) -> Result<(), IcedError>),
}

type Code = fn(&mut CodeAssembler) -> Result<(), IcedError>;

/// One row.
#[derive(Clone, Copy)]
pub struct Row {
    /// What one operation is.
    pub name: &'static str,
    /// Operations in a turn.
    operations: u32,
    turn: Turn,
    /// The ring it runs in, 0 or 3.
    ring: u8,
    /// Address of the descriptor table, [`GDT`] or [`ROM_GDT`].
    gdt: u32,
    /// The i486's clocks for one operation.
    pub i486: Option<Published>,
    /// The Pentium's.
    pub pentium: Option<Published>,
}

const fn row(
    name: &'static str,
    operations: u32,
    turn: Turn,
    i486: Option<Published>,
    pentium: Option<Published>,
) -> Row {
    Row {
        name,
        operations,
        turn,
        ring: 0,
        gdt: GDT,
        i486,
        pentium,
    }
}

impl Row {
    const fn in_ring_3(self) -> Self {
        Self { ring: 3, ..self }
    }

    /// Descriptors that are not accessed yet and never will be.
    const fn with_descriptors_in_rom(self) -> Self {
        Self {
            gdt: ROM_GDT,
            ..self
        }
    }
}

/// What [`measure`] found out about a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Name of the row.
    pub name: &'static str,
    /// Clocks of one operation here.
    pub cycles: f64,
    /// On an i486.
    pub i486: Option<Published>,
    /// On a Pentium.
    pub pentium: Option<Published>,
}

impl Measured {
    /// Whether it takes more clocks than on an i486.
    pub fn is_above_the_i486(&self) -> bool {
        self.i486.is_some_and(|i486| self.cycles > i486.high)
    }
}

/// The loop around the operations, whose clocks are taken off every other row.
const EMPTY: Row = row(
    "loop dec; jnz",
    1,
    Once(|_, _| Ok(())),
    exactly(4.0),
    range(1.0, 2.0),
);

use Turn::{Copies, Once};

/// The rows. EBX is 3, ESI points to [`BUFFER`], whose first dword is its address, EDI to its middle; ECX counts turns.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    EMPTY,
    row("add r,r dependent",   16, Copies(|a| a.add(eax, ebx)), exactly(1.0), exactly(1.0)),
    row("add r,r independent", 16, Once(|a, _| times(a, 8, |a| { a.add(eax, ebx)?; a.add(edx, ebx) })), exactly(1.0), exactly(0.5)),
    row("mov r,r",             16, Copies(|a| a.mov(eax, ebx)), exactly(1.0), exactly(0.5)),
    row("add r,imm32",         16, Copies(|a| a.add(edx, 0x12345)), exactly(1.0), exactly(0.5)),
    row("load, pointer chase", 16, Copies(|a| a.mov(esi, dword_ptr(esi))), exactly(2.0), exactly(2.0)),
    row("load, independent",   16, Copies(|a| a.mov(eax, dword_ptr(esi + 8))), exactly(1.0), range(0.5, 1.0)),
    row("load + use (pair)",    8, Copies(|a| { a.mov(eax, dword_ptr(esi + 8))?; a.add(edx, eax) }), exactly(2.0), exactly(2.0)),
    row("store",               16, Copies(|a| a.mov(dword_ptr(edi), eax)), exactly(1.0), exactly(1.0)),
    row("add r,[m]",           16, Copies(|a| a.add(eax, dword_ptr(esi + 8))), exactly(2.0), exactly(2.0)),
    row("add [m],r",           16, Copies(|a| a.add(dword_ptr(edi), ebx)), exactly(3.0), exactly(3.0)),
    row("jmp short",           16, Copies(|a| over_a_nop(a, |a, to| a.jmp(to))), exactly(3.0), exactly(1.0)),
    row("jcc taken",           15, Once(|a, _| { a.or(ebx, ebx)?; times(a, 15, |a| over_a_nop(a, |a, to| a.jne(to))) }), exactly(3.0), exactly(1.0)),
    row("jcc not taken",       16, Copies(|a| to_the_next(a, |a, to| a.je(to))), exactly(1.0), exactly(1.0)),
    row("call + ret",           8, Copies(|a| a.call(u64::from(PROCEDURE))), exactly(8.0), exactly(3.0)),
    row("push + pop",           8, Copies(|a| { a.push(eax)?; a.pop(edx) }), exactly(2.0), exactly(2.0)),
    row("push ebp; mov; sub; leave", 4, Copies(frame), exactly(8.0), exactly(6.0)),
    row("imul r,r",             8, Copies(|a| a.imul_2(eax, ebx)), range(13.0, 42.0), exactly(10.0)),
    row("mul r32",              4, Once(|a, _| { a.mov(eax, 0x1234_5678)?; times(a, 4, |a| a.mul(ebx)) }), range(13.0, 42.0), exactly(10.0)),
    row("mov; xor; div r32",    4, Copies(|a| { a.mov(eax, 1_234_567)?; a.xor(edx, edx)?; a.div(ebx) }), exactly(42.0), exactly(43.0)),
    row("mov; cdq; idiv r32",   4, Copies(|a| { a.mov(eax, -1_234_567)?; a.cdq()?; a.idiv(ebx) }), exactly(48.0), exactly(49.0)),
    row("shl r,3",             16, Copies(|a| a.shl(eax, 3)), exactly(2.0), exactly(1.0)),
    row("lea r,[b+i*4+d]",     16, Copies(|a| a.lea(edx, dword_ptr(eax + ebx * 4 + 4))), range(1.0, 2.0), exactly(1.0)),
    row("movzx r,byte [m]",    16, Copies(|a| a.movzx(eax, byte_ptr(esi + 8))), exactly(3.0), exactly(3.0)),
    row("xchg r,[m]",           8, Copies(|a| a.xchg(dword_ptr(edi), ebx)), exactly(5.0), exactly(3.0)),
    row("rep movsd, per dword", 1024, Once(copy_block), exactly(3.0), exactly(1.0)),
    row("rep stosd, per dword", 1024, Once(fill_block), exactly(4.0), exactly(1.0)),
    row("sequential load, per dword", 1024, Once(read_block), exactly(1.3), exactly(0.7)),
    row("mov r,ds; mov es,r",   4, Copies(|a| { a.mov(eax, ds)?; a.mov(es, eax) }), exactly(12.0), range(3.0, 4.0)),
    row("mov r,ds; mov es,r, not accessed", 4, Copies(|a| { a.mov(eax, ds)?; a.mov(es, eax) }), exactly(12.0), range(3.0, 4.0)).with_descriptors_in_rom(),
    row("int + iret, ring 0",   2, Copies(|a| a.int(i32::from(CALL))), exactly(64.0), exactly(41.0)),
    row("int + iret, ring 3-0-3", 2, Copies(|a| a.int(i32::from(CALL))), exactly(107.0), exactly(75.0)).in_ring_3(),
    row("the same with pusha, ds, es", 2, Copies(|a| a.int(i32::from(FULL_CALL))), None, None).in_ring_3(),
    row("call gate + retf, ring 3-0-3", 2, Copies(|a| far(a, 0x9A, CALL_GATE, 0)), exactly(102.0), exactly(67.0)).in_ring_3(),
    row("#UD in ring 3, handler, iret", 2, Copies(|a| a.ud2()), None, None).in_ring_3(),
    row("#GP in ring 3, handler, iret", 2, Copies(|a| a.hlt()), None, None).in_ring_3(),
    row("sysenter + sysexit, 4 moves", 2, Once(system_calls), None, None).in_ring_3(),
    row("pusha + popa",         4, Copies(|a| { a.pushad()?; a.popad() }), exactly(20.0), None),
    row("enter 16,0; leave",    4, Copies(|a| { a.enter(16, 0)?; a.leave() }), exactly(19.0), None),
    row("pushf + popf",         4, Copies(|a| { a.pushfd()?; a.popfd() }), exactly(10.0), None),
    row("loop taken",          16, Once(|a, _| { a.mov(edx, ecx)?; times(a, 16, |a| to_the_next(a, |a, to| a.loop_(to)))?; a.mov(ecx, edx) }), range(6.0, 7.0), None),
    row("bsf r,r",              8, Copies(|a| a.bsf(eax, ebx)), range(6.0, 42.0), None),
    row("bsr r,r",              8, Copies(|a| a.bsr(eax, ebx)), range(6.0, 42.0), None),
    row("bt r,imm",            16, Copies(|a| a.bt(eax, 5)), exactly(3.0), None),
    row("setcc r",             16, Copies(|a| a.sete(al)), range(3.0, 4.0), None),
    row("xadd r,r",             8, Copies(|a| a.xadd(eax, edx)), exactly(3.0), None),
    row("cmpxchg r,r",          8, Copies(|a| a.cmpxchg(edx, ebx)), exactly(6.0), None),
    row("bswap r",             16, Copies(|a| a.bswap(eax)), exactly(1.0), None),
    row("shld r,r,imm",        16, Copies(|a| a.shld(eax, ebx, 5)), range(2.0, 3.0), None),
    row("lodsd",               16, Copies(|a| a.lodsd()), exactly(5.0), None),
    row("stosd",               16, Copies(|a| a.stosd()), exactly(5.0), None),
    row("movsd",               16, Copies(|a| a.movsd()), exactly(7.0), None),
    row("scasd",               16, Copies(|a| a.scasd()), exactly(6.0), None),
    row("cmpsd",               16, Copies(|a| a.cmpsd()), exactly(8.0), None),
    row("cli",                  8, Copies(|a| a.cli()), exactly(5.0), None),
    row("sti",                  8, Copies(|a| a.sti()), exactly(5.0), None),
    row("clts",                 8, Copies(|a| a.clts()), exactly(7.0), None),
    row("lgdt",                 4, Copies(|a| a.lgdt(ptr(POINTERS))), exactly(11.0), None),
    row("invlpg",               4, Copies(|a| a.invlpg(ptr(esi))), exactly(12.0), None),
    row("mov r,cr0",            4, Copies(|a| a.mov(eax, cr0)), range(4.0, 17.0), None),
    row("mov cr0,r",            4, Once(|a, _| { a.mov(eax, cr0)?; times(a, 4, |a| a.mov(cr0, eax)) }), range(4.0, 17.0), None),
    row("far jmp, same level",  4, Once(far_jumps), exactly(19.0), None),
    row("far call + far ret, same level", 4, Copies(|a| far(a, 0x9A, CODE_0, handler(FAR_RETURN))), exactly(37.0), None),
];

fn times(
    a: &mut CodeAssembler,
    count: u32,
    code: fn(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    (0..count).try_for_each(|_| code(a))
}

type Jump = fn(&mut CodeAssembler, CodeLabel) -> Result<(), IcedError>;

fn over_a_nop(a: &mut CodeAssembler, jump: Jump) -> Result<(), IcedError> {
    let mut label = a.create_label();
    jump(a, label)?;
    a.nop()?;
    a.set_label(&mut label)?;
    a.zero_bytes()
}

fn to_the_next(a: &mut CodeAssembler, jump: Jump) -> Result<(), IcedError> {
    let mut label = a.create_label();
    jump(a, label)?;
    a.set_label(&mut label)?;
    a.zero_bytes()
}

fn frame(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.sub(esp, 16)?;
    a.leave()
}

fn copy_block(a: &mut CodeAssembler, _: u32) -> Result<(), IcedError> {
    a.mov(edx, ecx)?;
    a.mov(esi, BUFFER)?;
    a.mov(edi, SECOND_BUFFER)?;
    a.mov(ecx, 1024)?;
    a.rep().movsd()?;
    a.mov(ecx, edx)
}

fn fill_block(a: &mut CodeAssembler, _: u32) -> Result<(), IcedError> {
    a.mov(edx, ecx)?;
    a.mov(edi, SECOND_BUFFER)?;
    a.mov(ecx, 1024)?;
    a.rep().stosd()?;
    a.mov(ecx, edx)?;
    a.mov(esi, BUFFER)
}

fn read_block(a: &mut CodeAssembler, _: u32) -> Result<(), IcedError> {
    a.mov(esi, BUFFER)?;
    a.mov(edx, 64)?;
    let mut again = a.create_label();
    a.set_label(&mut again)?;
    for dword in 0..16 {
        a.mov(eax, dword_ptr(esi + dword * 4))?;
    }
    a.add(esi, 64)?;
    a.dec(edx)?;
    a.jne(again)
}

/// A far CALL (9Ah) or JMP (EAh) with its pointer: seven bytes.
fn far(a: &mut CodeAssembler, opcode: u8, selector: u16, offset: u32) -> Result<(), IcedError> {
    a.db(&[opcode])?;
    a.db(&offset.to_le_bytes())?;
    a.db(&selector.to_le_bytes())
}

fn far_jumps(a: &mut CodeAssembler, at: u32) -> Result<(), IcedError> {
    (1..=4).try_for_each(|copy| far(a, 0xEA, CODE_0, at + copy * 7))
}

/// To a handler that is one SYSEXIT. SYSEXIT takes ESP from ECX, the loop's counter: hence the exchanges.
fn system_calls(a: &mut CodeAssembler, at: u32) -> Result<(), IcedError> {
    const BYTES: [u32; 5] = [5, 2, 2, 2, 2];
    let to_return: u32 = BYTES[..4].iter().sum();
    let copy_bytes: u32 = BYTES.iter().sum();
    for copy in 0..2 {
        a.mov(edx, at + copy * copy_bytes + to_return)?;
        a.mov(esi, esp)?;
        a.xchg(ecx, esi)?;
        a.sysenter()?;
        a.xchg(ecx, esi)?;
    }
    Ok(())
}

// The guest's memory.
const GDT: u32 = 0x1000;
/// The same table, but the accessed bits are clear, and stay so.
const ROM_GDT: u32 = guest::ROM_BASE;
const IDT: u32 = 0x2000;
const TASK_STATE: u32 = 0x3000;
/// What LGDT and LIDT read, eight bytes each: of [`GDT`], of [`IDT`], of the row's descriptor table.
const POINTERS: u32 = 0x3100;
const HANDLERS: u32 = 0x4000;
/// 4 KB; the first dword is its own address.
const BUFFER: u32 = 0x1_0000;
/// 4 KB behind it.
const SECOND_BUFFER: u32 = BUFFER + 0x1000;
const USER_STACK_TOP: u32 = 0x8_0000;
const CODE: u32 = 0x10_0000;
/// Ring 3's code, if the row runs there.
const USER_CODE: u32 = CODE + 0x100;
const LOOPS: u32 = CODE + 0x200;
/// A near procedure that is one RET, in the page of the loops.
const PROCEDURE: u32 = LOOPS - 0x10;

const CODE_0: u16 = 0x08;
const DATA_0: u16 = 0x10;
const CODE_3: u16 = 0x1B;
const DATA_3: u16 = 0x23;
const TASK: u16 = 0x28;
const CALL_GATE: u16 = 0x33;

/// Vectors of the handler that is one IRETD, and of the one that saves and loads registers as a kernel does.
const CALL: u8 = 0x80;
const FULL_CALL: u8 = 0x82;

const INTERRUPT_RETURN: u32 = 0;
const KERNEL_LIKE: u32 = 1;
const FAR_RETURN: u32 = 2;
const SYSTEM_RETURN: u32 = 3;
const SKIP_UD2: u32 = 4;
const SKIP_HLT: u32 = 5;

/// The handlers, by the numbers above.
const HANDLER_CODE: [Code; 6] = [
    |a| a.iretd(),
    |a| {
        a.pushad()?;
        a.push(ds)?;
        a.push(es)?;
        a.mov(eax, u32::from(DATA_0))?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.pop(es)?;
        a.pop(ds)?;
        a.popad()?;
        a.iretd()
    },
    |a| a.retf(),
    |a| a.sysexit(),
    |a| {
        a.add(dword_ptr(esp), 2)?;
        a.iretd()
    },
    |a| {
        a.add(esp, 4)?;
        a.add(dword_ptr(esp), 1)?;
        a.iretd()
    },
];

/// Address of a handler.
const fn handler(number: u32) -> u32 {
    HANDLERS + number * 0x20
}

/// Turns of the three passes.
const PASSES: [u32; 3] = [8, 16, 48];

/// Mark at the begin of a pass.
const fn begin_mark(pass: u32) -> u32 {
    0x4000_0000 + pass
}
const fn end_mark(pass: u32) -> u32 {
    0x8000_0000 + pass
}

/// Code that grows piece by piece at an address.
struct Program(Vec<u8>);

impl Program {
    fn end(&self) -> u32 {
        CODE + self.0.len() as u32
    }

    fn put(
        &mut self,
        code: impl FnOnce(&mut CodeAssembler, u32) -> Result<(), IcedError>,
    ) -> Result<(), IcedError> {
        let mut a = CodeAssembler::new(32)?;
        code(&mut a, self.end())?;
        self.0.extend(a.assemble(self.end().into())?);
        Ok(())
    }

    /// Fills with NOPs.
    fn continue_at(&mut self, address: u32) {
        assert!(address >= self.end(), "{address:x} is behind the end");
        self.0.resize((address - CODE) as usize, 0x90);
    }
}

/// The program of a row, and where the loop of its last pass begins.
fn program(row: &Row) -> Result<(Vec<u8>, u32), IcedError> {
    let mut program = Program(Vec::new());
    program.put(|a, _| {
        guest::begin(a)?;
        a.lgdt(ptr(POINTERS))?;
        a.lidt(ptr(POINTERS + 8))?;
        a.mov(eax, u32::from(TASK))?;
        a.ltr(ax)?;
        for (number, value) in [
            (msr::SYSENTER_CS, CODE_0.into()),
            (msr::SYSENTER_ESP, STACK_TOP),
            (msr::SYSENTER_EIP, handler(SYSTEM_RETURN)),
        ] {
            a.mov(ecx, number)?;
            a.mov(eax, value)?;
            a.xor(edx, edx)?;
            a.wrmsr()?;
        }
        a.lgdt(ptr(POINTERS + 16))
    })?;
    if row.ring == 3 {
        program.put(|a, _| {
            a.push(i32::from(DATA_3))?;
            a.push(USER_STACK_TOP as i32)?;
            // I/O privilege level 3, for the marks.
            a.push(0x3002)?;
            a.push(i32::from(CODE_3))?;
            a.push(USER_CODE as i32)?;
            a.iretd()
        })?;
        program.continue_at(USER_CODE);
        program.put(|a, _| {
            a.mov(eax, u32::from(DATA_3))?;
            a.mov(ds, eax)?;
            a.mov(es, eax)
        })?;
    }
    program.put(|a, _| a.jmp(u64::from(LOOPS)))?;
    program.continue_at(PROCEDURE);
    program.put(|a, _| a.ret())?;
    program.continue_at(LOOPS);
    program.put(|a, _| {
        // Branches are predicted from 1,024 clocks after a reset on.
        let mut again = a.create_label();
        a.mov(ecx, 600)?;
        a.set_label(&mut again)?;
        a.sub(ecx, 1)?;
        a.jne(again)?;
        a.mov(ebx, 3)
    })?;
    let mut last_loop = LOOPS;
    for (pass, turns) in (0..).zip(PASSES) {
        program.put(|a, _| {
            a.mov(esi, BUFFER)?;
            a.mov(edi, BUFFER + 0x800)?;
            guest::mark(a, begin_mark(pass))?;
            a.mov(ecx, turns)
        })?;
        program.continue_at(program.end().next_multiple_of(16));
        last_loop = program.end();
        program.put(|a, at| {
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            match row.turn {
                Copies(code) => times(a, row.operations, code)?,
                Once(code) => code(a, at)?,
            }
            a.dec(ecx)?;
            a.jne(again)
        })?;
        program.put(|a, _| guest::mark(a, end_mark(pass)))?;
    }
    program.put(|a, _| guest::exit(a))?;
    Ok((program.0, last_loop))
}

fn handlers() -> Result<Vec<u8>, IcedError> {
    let mut bytes = Vec::new();
    for (number, code) in (0..).zip(HANDLER_CODE) {
        bytes.resize((handler(number) - HANDLERS) as usize, 0x90);
        let mut a = CodeAssembler::new(32)?;
        code(&mut a)?;
        bytes.extend(a.assemble(handler(number).into())?);
    }
    Ok(bytes)
}

fn machine(row: &Row) -> Result<Machine, BenchError> {
    let assembly = |error| BenchError::Assembly(row.name, error);
    const FLAT: u16 = spec::segments::FLAG_GRANULARITY | spec::segments::FLAG_BIG;
    let flat = |access| descriptor(0, 0xF_FFFF, access, FLAT);
    let gdt = [
        0,
        flat(0x9B),
        flat(0x93),
        flat(0xFB),
        flat(0xF3),
        descriptor(TASK_STATE, 103, 0x80 | TSS_32_AVAILABLE, 0),
        gate(CODE_0, handler(FAR_RETURN), 0xEC, 0),
    ];
    let not_accessed = [0, flat(0x9A), flat(0x92)];
    let mut idt = [0; 0x83];
    for (vector, number) in [
        (CALL, INTERRUPT_RETURN),
        (FULL_CALL, KERNEL_LIKE),
        (exceptions::UD, SKIP_UD2),
        (exceptions::GP, SKIP_HLT),
    ] {
        idt[usize::from(vector)] = gate(CODE_0, handler(number), 0xEE, 0);
    }
    let mut task_state = [0; 104];
    task_state[4..8].copy_from_slice(&STACK_TOP.to_le_bytes());
    task_state[8..10].copy_from_slice(&DATA_0.to_le_bytes());
    let mut pointers = [0; 24];
    let gdt_limit = gdt.len() * 8 - 1;
    for (at, limit, base) in [
        (0, gdt_limit, GDT),
        (8, idt.len() * 8 - 1, IDT),
        (16, gdt_limit, row.gdt),
    ] {
        pointers[at..at + 2].copy_from_slice(&(limit as u16).to_le_bytes());
        pointers[at + 2..at + 6].copy_from_slice(&base.to_le_bytes());
    }
    let bytes = |table: &[u64]| -> Vec<u8> { table.iter().flat_map(|e| e.to_le_bytes()).collect() };
    guest::machine(
        CODE,
        &[
            (GDT, &bytes(&gdt)),
            (ROM_GDT, &bytes(&not_accessed)),
            (IDT, &bytes(&idt)),
            (TASK_STATE, &task_state),
            (POINTERS, &pointers),
            (HANDLERS, &handlers().map_err(assembly)?),
            (BUFFER, &BUFFER.to_le_bytes()),
            (CODE, &program(row).map_err(assembly)?.0),
        ],
        MemoryKind::Bram,
    )
}

/// A turn of a row in steady state: the machine that runs it, the address of the loop's first instruction, and which time
/// it is executed then.
///
/// # Errors
/// A machine that cannot be built.
pub fn steady_turn(row: &Row) -> Result<(Machine, u32, u64), BenchError> {
    let (_, first) = program(row).map_err(|error| BenchError::Assembly(row.name, error))?;
    Ok((machine(row)?, first, u64::from(PASSES[2] - PASSES[1])))
}

/// No row takes longer.
pub const MAX_CYCLES: u64 = 4_000_000;

/// Clocks of one turn of a row's loop in steady state.
fn turn(row: &Row, observer: &mut dyn Observer) -> Result<f64, BenchError> {
    let mut machine = machine(row)?;
    guest::run(&mut machine, row.name, MAX_CYCLES, observer, |_| {})?;
    let marks = Marks(machine.drain_ports());
    let clocks = |pass| {
        Ok::<_, BenchError>(
            marks.cycle(row.name, end_mark(pass))? - marks.cycle(row.name, begin_mark(pass))?,
        )
    };
    Ok((clocks(2)? as f64 - clocks(1)? as f64) / f64::from(PASSES[2] - PASSES[1]))
}

/// Measures rows; [`ROWS`] are all.
///
/// # Errors
/// A row that does not run to its end.
pub fn measure(rows: &[Row], observer: &mut dyn Observer) -> Result<Vec<Measured>, BenchError> {
    let empty = turn(&EMPTY, observer)?;
    let mut table = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        observer.next(row.name, index, rows.len());
        let cycles = if row.name == EMPTY.name {
            empty
        } else {
            (turn(row, observer)? - empty) / f64::from(row.operations)
        };
        table.push(Measured {
            name: row.name,
            cycles,
            i486: row.i486,
            pentium: row.pentium,
        });
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Silent;
    use crate::machine::Stop;

    fn named(name: &str) -> Row {
        *ROWS.iter().find(|row| row.name == name).expect(name)
    }

    #[test]
    fn an_addition_that_waits_for_the_one_before_costs_a_clock() {
        let row = named("add r,r dependent");
        let [measured] = measure(&[row], &mut Silent).unwrap()[..] else {
            panic!("one row gives one figure");
        };
        assert!((1.0..1.1).contains(&measured.cycles), "{measured:?}");
    }

    #[test]
    fn more_work_in_a_turn_costs_what_the_work_costs() {
        // The difference is 160 dependent additions, whatever the loop costs.
        let additions = |count| row("additions", count, Copies(|a| a.add(eax, ebx)), None, None);
        let turns = [40, 200].map(|count| turn(&additions(count), &mut Silent).unwrap());
        let clocks = turns[1] - turns[0];
        assert!((160.0..162.0).contains(&clocks), "{clocks}");
    }

    #[test]
    fn marks_and_retire_records_give_the_same_clocks() {
        for name in ["loop dec; jnz", "div", "int + iret, ring 3-0-3"] {
            let row = *ROWS.iter().find(|row| row.name.contains(name)).expect(name);
            let mut machine = machine(&row).unwrap();
            machine.keep(true, true);
            let mut starts = Vec::new();
            guest::run(&mut machine, name, MAX_CYCLES, &mut Silent, |machine| {
                for record in machine.drain_retired() {
                    // dec ecx
                    if record.first && record.bytes[..2] == [0x49, 0] {
                        starts.push(record.cycle);
                    }
                }
            })
            .unwrap();
            assert_eq!(starts.len() as u32, PASSES.iter().sum::<u32>(), "{name}");
            let last_pass = &starts[24..];
            let clocks = (last_pass[47] - last_pass[15]) as f64 / 32.0;
            assert_eq!(turn(&row, &mut Silent).unwrap(), clocks, "{name}");
        }
    }

    #[test]
    fn a_row_that_does_not_reach_its_end_is_named() {
        let row = row("hlt", 1, Copies(|a| a.hlt()), None, None);
        let error = measure(&[row], &mut Silent).unwrap_err();
        assert!(
            matches!(
                error,
                BenchError::End {
                    name: "hlt",
                    stop: Stop::Halted,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn the_upper_figure_of_a_range_is_the_one_to_beat() {
        let measured = |cycles| Measured {
            name: "",
            cycles,
            i486: range(3.0, 4.0),
            pentium: None,
        };
        assert!(!measured(3.5).is_above_the_i486());
        assert!(!measured(4.0).is_above_the_i486());
        assert!(measured(4.01).is_above_the_i486());
        assert!(
            !Measured {
                i486: None,
                ..measured(1e9)
            }
            .is_above_the_i486()
        );
    }

    #[test]
    fn no_two_rows_have_one_name() {
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }
}
