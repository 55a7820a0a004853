//! Random programs that mix modes: pieces of random instructions in every ring, in code of 16 bits and in virtual-8086 mode, with task
//! switches, gates of both sizes and single-stepping.

use super::random;
use super::system::*;
use super::tasks::{TASKS, Tasks, gate_of, selector_of};
use super::words::{NARROW_DATA, ROM_CODE, far, narrow};
use crate::random::Random;
use iced_x86::IcedError;
use iced_x86::code_asm::registers::{gpr8, gpr16};
use iced_x86::code_asm::*;
use spec::flags;
use spec::paging::PRESENT;

/// The vector that leads to a task. `random` draws neither it nor the next.
const TASK: i32 = 0x8C;
/// The vector of a gate of 16 bits, whose handler returns: from flat code it would return into empty memory.
const NARROW_GATE: i32 = 0x8B;

/// What a piece runs in, as far as its instructions depend on it.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Flat(usize),
    Narrow(usize),
    Virtual,
}

/// One random instruction of 16-bit code and what it needs.
fn narrow_instruction(
    a: &mut CodeAssembler,
    random: &mut Random,
    mode: Mode,
    completed: u32,
) -> Result<(), IcedError> {
    let registers = [
        gpr16::ax,
        gpr16::cx,
        gpr16::dx,
        gpr16::bx,
        gpr16::bp,
        gpr16::si,
        gpr16::di,
    ];
    let bytes = [gpr8::al, gpr8::cl, gpr8::dl, gpr8::bl, gpr8::ah, gpr8::bh];
    let mut pick = |count: usize| random.below(count as u64) as usize;
    let (r, other, b) = (registers[pick(7)], registers[pick(7)], bytes[pick(6)]);
    // Within the segment, at its end, across it.
    let at = match pick(12) {
        0 => 0xFFFE,
        1 => 0xFFFF,
        _ => pick(0x200) as u32,
    };
    let m = word_ptr(at);
    let immediate = pick(0x8000) as i32;
    match pick(if mode == Mode::Narrow(0) { 30 } else { 46 }) {
        0 => a.add(r, m),
        1 => a.adc(m, r),
        2 => a.sub(r, other),
        3 => a.sbb(r, immediate),
        4 => a.cmp(m, immediate),
        5 => a.mov(r, immediate),
        6 => a.mov(r, m),
        7 => a.mov(m, r),
        8 => a.add(byte_ptr(at), b),
        9 => a.inc(m),
        10 => a.neg(r),
        11 => a.xchg(m, r),
        12 => a.push(r),
        13 => a.pop(r),
        14 => {
            a.push(m)?;
            a.pop(word_ptr(0x40u32))
        }
        15 => a.db(&[0x66, 0x50 + pick(4) as u8]), // push of 32 bits
        16 => a.db(&[0x66, 0x58 + pick(4) as u8]), // pop of 32 bits
        17 => {
            a.add(r, other)?;
            let mut over = a.create_label();
            match pick(4) {
                0 => a.jb(over)?,
                1 => a.je(over)?,
                2 => a.js(over)?,
                _ => a.jg(over)?,
            }
            a.mov(m, immediate)?;
            a.set_label(&mut over)?;
            a.nop()
        }
        18 => {
            let mut target = a.create_label();
            a.call(target)?;
            a.set_label(&mut target)?;
            a.pop(r)
        }
        19 | 20 => {
            a.mov(gpr16::si, pick(0x80) as i32)?;
            a.mov(
                gpr16::di,
                if pick(4) == 0 {
                    0xFFFDu32 as i32
                } else {
                    0x100
                },
            )?;
            a.mov(gpr16::cx, pick(5) as i32)?;
            match pick(6) {
                0 => a.rep().movsb(),
                1 => a.rep().movsw(),
                2 => a.rep().stosw(),
                3 => a.rep().lodsb(),
                4 => a.repne().scasb(),
                _ => a.repe().cmpsb(),
            }
        }
        21 => a.pushf(),
        22 => a.db(&[0x60]),
        23 => a.lea(r, word_ptr(gpr16::bx + gpr16::si + immediate)),
        24 => match pick(5) {
            0 => a.db(&[0x66, 0x01, 0xD8]),       // add eax,ebx
            1 => a.db(&[0x67, 0x8B, 0x45, 0x10]), // mov ax,[ebp+10h]
            2 => a.db(&[0x0F, 0xB6, 0xC3]),       // movzx ax,bl
            3 => a.db(&[0x66, 0x0F, 0xBF, 0xD1]), // movsx edx,cx
            _ => a.db(&[0x66, 0x0F, 0xC8]),       // bswap eax
        },
        25 => {
            a.push(ss)?;
            a.pop(ss)?;
            a.nop()
        }
        // A shift would leave AF undefined, and an event would push it.
        26 => a.rcl(m, 1),
        27 => a.int([0x80, 0x82, 0x84, NARROW_GATE, 0x90, 3][pick(6)]),
        28 => a.bts(m, pick(16) as u32),
        29 => a.not(m),
        30 => a.cli(),
        31 | 32 => {
            a.sti()?;
            a.nop()
        }
        33 => {
            // TF, NT and IOPL among them.
            a.push(pick(0x8000) as i32 & !0x100)?;
            a.popf()
        }
        34 | 35 => {
            // A return to code that ends the case. Its frame does not wrap at 64 KB: there Bochs raises #SS.
            a.mov(gpr16::sp, 0x7F00)?;
            let segment = if mode == Mode::Virtual {
                0xF000
            } else {
                super::words::NARROW_CODE_3
            };
            let is_interrupt = pick(2) == 0;
            if is_interrupt {
                a.push((pick(0x8000) & !0x100) as i32)?;
            }
            a.db(&[0x68])?;
            a.db(&segment.to_le_bytes())?;
            a.push(completed as i32)?;
            if is_interrupt { a.iret() } else { a.retf() }
        }
        36 => {
            let value = [0x2000, 0x2010, 0xFFFF, 0x3000, NARROW_DATA, 0, 0x23][pick(7)];
            a.push(i32::from(value as i16))?;
            match pick(3) {
                0 => a.pop(es),
                1 => a.pop(ds),
                _ => a.pop(fs),
            }
        }
        37 => a.hlt(),
        38 => a.db(&[0x0F, 0x00, 0xC0 + 8 * pick(6) as u8]), // sldt to verw
        39 => a.db(&[0x0F, 0x20, 0xC0]),
        40 => a.out(0x81, gpr8::al),
        41 => a.enter(pick(32) as u32, pick(3) as u32),
        42 => a.leave(),
        43 => a.db(&[0x61]),
        44 => a.mov(gpr16::sp, immediate),
        _ => a.into(),
    }
}

/// The program of a seed.
pub fn program(seed: u64) -> Program {
    let mut random = Random::silent(seed ^ 0x31C5_5EED_0000);
    let mut system = System::new();
    let tasks = Tasks::new(&mut system);
    system.entry(
        Table::Global(NARROW_DATA),
        descriptor(DATA, 0xFFFF, 0xF2, 0),
    );
    let back_16 = system.routine(32, ROM, |a| a.iret()) - ROM;
    let completed = system.routine(16, ROM, |a| a.int(i32::from(vector::COMPLETED))) - ROM;
    system.entry(
        Table::Interrupt(NARROW_GATE as u8),
        gate(ROM_CODE, back_16, 0xE6),
    );
    while system.has_room() {
        let mode = match random.below(12) {
            0 | 1 => Mode::Flat(0),
            2 => Mode::Flat(1),
            3 => Mode::Flat(2),
            4..=6 => Mode::Flat(3),
            7 => Mode::Narrow(0),
            8 => Mode::Narrow(3),
            _ => Mode::Virtual,
        };
        let stepping = random.one_in(8);
        let task = random
            .one_in(4)
            .then(|| random.below(TASKS as u64) as usize);
        let how = random.below(5);
        let page =
            MATRIX_PAGE | if random.one_in(4) { 6 } else { PRESENT } | (random.below(4) as u32 * 2);
        let mut eflags = (random.below(4) as u32) << 12 | (random.below(2) as u32 * 0x8D5);
        if random.one_in(2) {
            eflags |= flags::IF;
        }
        if random.one_in(16) {
            eflags |= flags::NT;
        }
        // Whether TF traps behind a task switch is open.
        let stepping = stepping && task.is_none() && eflags & flags::NT == 0;
        if stepping {
            eflags |= flags::TF;
        }
        let place = match mode {
            Mode::Flat(ring) => Place::ring(ring, eflags),
            Mode::Narrow(ring) => narrow(ring, eflags),
            Mode::Virtual => Place::virtual_8086(eflags),
        };
        let count = 1 + random.below(10);
        let draws: Vec<u64> = (0..count).map(|_| random.word()).collect();
        let switch_at = random.below(count) as usize;
        let starts: [u32; 7] = std::array::from_fn(|_| random.word() as u32);
        if let Some(task) = task {
            tasks.prepare(&mut system, task);
            let value = gate(selector_of(task), 0, 0xE5);
            system.entry(Table::Interrupt(TASK as u8), value);
        }
        system.code(|a| {
            a.mov(dword_ptr(STEPPING), u32::from(stepping))?;
            a.mov(dword_ptr(PAGE_TABLE + MATRIX_PAGE / 0x1000 * 4), page)?;
            a.invlpg(byte_ptr(MATRIX_PAGE))
        });
        system.case_in(&place, |a| {
            if place.bits == 32 {
                for (register, value) in [ebx, ecx, edx, ebp, esi, edi].into_iter().zip(starts) {
                    a.mov(register, value)?;
                }
            }
            for (number, &draw) in draws.iter().enumerate() {
                if let Some(task) = task
                    && number == switch_at
                {
                    switch(a, place.bits, task, how)?;
                }
                let own = &mut Random::silent(draw);
                match mode {
                    Mode::Flat(ring) => random::instruction(a, own, ring)?,
                    _ => narrow_instruction(a, own, mode, completed)?,
                }
            }
            Ok(())
        });
        system.code(|a| a.mov(dword_ptr(STEPPING), 0));
        // NT may be left, and what a task left by IRET has.
        match task {
            Some(task) => tasks.restore(&mut system, true, task),
            None if eflags & flags::NT != 0 => tasks.restore(&mut system, false, 0),
            None => {}
        }
    }
    system.finish()
}

/// Begins a task switch.
fn switch(a: &mut CodeAssembler, bits: u32, task: usize, how: u64) -> Result<(), IcedError> {
    match how {
        0 => far(a, bits, 0x9A, gate_of(task), 0),
        1 => far(a, bits, 0xEA, gate_of(task), 0),
        2 => far(a, bits, 0x9A, selector_of(task), 0),
        3 => far(a, bits, 0xEA, selector_of(task), 0),
        _ => a.int(TASK),
    }
}
