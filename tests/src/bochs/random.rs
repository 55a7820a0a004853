//! Random programs: short pieces of random instructions in every ring, with faults, segment loads, gates and single-stepping
//! among them. What could destroy the system that the cases run in is drawn in the outer rings only.

use super::system::*;
use crate::random::Random;
use iced_x86::IcedError;
use iced_x86::code_asm::registers::{gpr8, gpr32};
use iced_x86::code_asm::*;
use spec::paging::PRESENT;

/// One random instruction and what it needs, given the ring.
pub(super) fn instruction(
    a: &mut CodeAssembler,
    random: &mut Random,
    ring: usize,
) -> Result<(), IcedError> {
    let registers = [
        gpr32::eax,
        gpr32::ecx,
        gpr32::edx,
        gpr32::ebx,
        gpr32::ebp,
        gpr32::esi,
        gpr32::edi,
    ];
    let bytes = [
        gpr8::al,
        gpr8::cl,
        gpr8::dl,
        gpr8::bl,
        gpr8::ah,
        gpr8::ch,
        gpr8::dh,
        gpr8::bh,
    ];
    let mut pick = |count: usize| random.below(count as u64) as usize;
    let (r, other, b) = (registers[pick(7)], registers[pick(7)], bytes[pick(8)]);
    let at = match pick(16) {
        0 => 0x3F_FFFD, // into a directory entry that is absent
        1 => 0x40_0000 + pick(0x100) as u32,
        2 => MATRIX_PAGE + pick(0x100) as u32,
        3 => MATRIX_PAGE + 0xFFE,
        4 => DATA + 0xFFD,
        // Not across the end of the address space: there Bochs faults in one way at loads and in another at `add [m],r`.
        5 => 0xFFFF_FFF0,
        _ => DATA + pick(0x200) as u32,
    };
    let m = dword_ptr(at);
    let immediate = pick(1 << 32) as u32;
    match pick(if ring == 0 { 34 } else { 46 }) {
        0 => a.add(r, m),
        1 => a.adc(m, r),
        2 => a.sub(r, other),
        3 => a.sbb(r, immediate),
        4 => a.cmp(m, immediate),
        5 => a.mov(r, immediate),
        6 => a.mov(r, m),
        7 => a.mov(m, r),
        8 => a.mov(b, byte_ptr(at)),
        9 => a.add(byte_ptr(at), b),
        10 => a.inc(m),
        11 => a.dec(r),
        12 => a.neg(m),
        13 => a.not(r),
        14 => a.xchg(m, r),
        15 => a.lea(r, dword_ptr(other + immediate as i32)),
        16 => a.push(r),
        17 => a.pop(r),
        18 => {
            a.push(m)?;
            a.pop(dword_ptr(DATA + 0x40))
        }
        19 => a.movzx(r, byte_ptr(at)),
        20 => a.movsx(r, word_ptr(at)),
        21 => {
            a.bt(m, pick(32) as u32)?;
            a.setb(b)
        }
        22 => a.cmpxchg(m, r),
        23 => a.xadd(m, r),
        24 => a.bswap(r),
        25 => {
            // A branch over an instruction, on a flag that is defined.
            let mut over = a.create_label();
            a.add(r, other)?;
            match pick(5) {
                0 => a.jb(over)?,
                1 => a.je(over)?,
                2 => a.js(over)?,
                3 => a.jo(over)?,
                _ => a.jle(over)?,
            }
            a.mov(m, immediate)?;
            a.set_label(&mut over)?;
            a.nop()
        }
        26 => {
            let mut target = a.create_label();
            a.call(target)?;
            a.set_label(&mut target)?;
            a.pop(r)
        }
        27 | 28 => {
            // Strings, which may reach an absent page in their middle.
            a.mov(gpr32::esi, DATA + pick(0x80) as u32)?;
            a.mov(
                gpr32::edi,
                if pick(4) == 0 {
                    0x40_0000 - 6
                } else {
                    DATA + 0x100
                },
            )?;
            a.mov(gpr32::ecx, pick(5) as u32)?;
            match pick(6) {
                0 => a.rep().movsb(),
                1 => a.rep().movsd(),
                2 => a.rep().stosw(),
                3 => a.rep().lodsb(),
                4 => a.repne().scasb(),
                _ => a.repe().cmpsb(),
            }
        }
        29 => {
            // A selector of the matrix, and an access through it.
            a.mov(
                gpr32::eax,
                u32::from(MATRIX + 8 * pick(MATRIX_COUNT.into()) as u16) + pick(4) as u32,
            )?;
            a.mov(es, gpr32::eax)?;
            a.mov(r, dword_ptr(pick(0x1100) as u32).es())
        }
        30 => {
            a.mov(
                gpr32::eax,
                u32::from(MATRIX + 8 * pick(MATRIX_COUNT.into()) as u16) + pick(4) as u32,
            )?;
            match pick(4) {
                0 => {
                    a.lar(r, gpr32::eax)?;
                    a.sete(b)
                }
                1 => {
                    a.lsl(r, gpr32::eax)?;
                    a.sete(b)
                }
                2 => {
                    a.verr(ax)?;
                    a.sete(b)
                }
                _ => a.mov(gs, gpr32::eax),
            }
        }
        31 => {
            a.pushfd()?;
            a.pop(r)
        }
        32 => match pick(6) {
            0 => a.db(&[0x66, 0x01, 0xD8]),       // add ax,bx
            1 => a.db(&[0x67, 0x8B, 0x46, 0x10]), // mov eax,[bp+10h]
            2 => a.db(&[0x66, 0x50]),             // push ax
            3 => a.db(&[0x66, 0x58]),             // pop ax
            4 => a.db(&[0xF0, 0x90]),             // lock nop
            _ => a.db(&[0x0F, 0x0B]),             // ud2
        },
        33 => a.int([0x80, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x90, 3, 13][pick(10)]),
        34 => a.mov(gpr32::esp, immediate),
        35 => a.leave(),
        36 => a.pop(gpr32::esp),
        37 | 38 => {
            for value in [
                u32::from(DATA_SEGMENT[pick(4)]),
                STACKS[3],
                2 | (pick(4) as u32) << 12,
                u32::from([CODE[0], CODE[1], CODE[2], CODE[3], 0, DATA_SEGMENT[3]][pick(6)]),
                SYSENTER_ENTRY,
            ] {
                a.push(value)?;
            }
            if pick(2) == 0 { a.iretd() } else { a.retf() }
        }
        39 => a.pop(ss),
        40 => a.cli(),
        41 => a.mov(gpr32::eax, cr0),
        42 => a.hlt(),
        43 => a.clts(),
        44 => a.enter(pick(64) as u32, pick(4) as u32),
        _ => a.popad(),
    }
}

/// The program of a seed.
pub fn program(seed: u64) -> Program {
    let mut random = Random::silent(seed ^ 0xB0C5_0000);
    let mut system = System::new();
    while system.has_room() {
        let ring = [0, 0, 1, 2, 3, 3, 3, 3][random.below(8) as usize];
        let stepping = random.below(8) == 0;
        let page = MATRIX_PAGE
            | if random.below(4) == 0 { 6 } else { PRESENT }
            | (random.below(4) as u32 * 2);
        let start: [u32; 7] = std::array::from_fn(|_| random.word() as u32);
        let count = 1 + random.below(10);
        let draws: Vec<u64> = (0..count).map(|_| random.word()).collect();
        system.code(|a| {
            a.mov(dword_ptr(STEPPING), u32::from(stepping))?;
            a.mov(dword_ptr(PAGE_TABLE + MATRIX_PAGE / 0x1000 * 4), page)?;
            a.invlpg(byte_ptr(MATRIX_PAGE))
        });
        let iopl = random.below(4) as u32;
        let flags = 2 | u32::from(stepping) << 8 | iopl << 12 | (random.below(2) as u32 * 0x8D5);
        system.case_with_flags(ring, flags, |a| {
            let registers = [
                gpr32::eax,
                gpr32::ecx,
                gpr32::edx,
                gpr32::ebx,
                gpr32::ebp,
                gpr32::esi,
                gpr32::edi,
            ];
            for (register, value) in registers.into_iter().zip(start) {
                a.mov(register, value)?;
            }
            // Assembled twice: each time the same draws.
            for &draw in &draws {
                instruction(a, &mut Random::silent(draw), ring)?;
            }
            Ok(())
        });
        system.code(|a| a.mov(dword_ptr(STEPPING), 0));
    }
    system.finish()
}
