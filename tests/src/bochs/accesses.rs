//! Faults in the middle of every instruction that accesses memory, and single steps over every instruction.

use super::system::*;
use super::words::{narrow, segments};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use spec::paging::{PRESENT, USER, WRITABLE};

/// An instruction of 32-bit code whose operand, or whose stack, is at an address.
type One = fn(&mut CodeAssembler, u32) -> Result<(), IcedError>;

/// Those with an operand in memory.
const OPERANDS: &[One] = &[
    |a, m| a.push(dword_ptr(m)),
    |a, m| a.push(word_ptr(m)),
    |a, m| a.pop(dword_ptr(m)),
    |a, m| a.pop(word_ptr(m)),
    |a, m| a.mov(eax, dword_ptr(m)),
    |a, m| a.mov(dword_ptr(m), ebx),
    |a, m| a.mov(word_ptr(m), 0x1234),
    |a, m| a.xchg(dword_ptr(m), eax),
    |a, m| a.xchg(word_ptr(m), ax),
    |a, m| a.add(dword_ptr(m), ecx),
    |a, m| a.adc(word_ptr(m), 0x7FFF),
    |a, m| a.sub(ecx, dword_ptr(m)),
    |a, m| a.cmp(dword_ptr(m), -1),
    |a, m| a.test(dword_ptr(m), 0x5555),
    |a, m| a.inc(dword_ptr(m)),
    |a, m| a.neg(word_ptr(m)),
    |a, m| a.not(dword_ptr(m)),
    |a, m| a.lock().dec(dword_ptr(m)),
    |a, m| a.cmpxchg(dword_ptr(m), ecx),
    |a, m| a.cmpxchg8b(qword_ptr(m)),
    |a, m| a.lock().cmpxchg8b(qword_ptr(m)),
    |a, m| a.xadd(dword_ptr(m), ecx),
    |a, m| a.bts(dword_ptr(m), 7),
    |a, m| {
        a.mov(ebx, 41)?;
        a.btc(dword_ptr(m), ebx)
    },
    |a, m| {
        a.mov(ebx, -9i32 as u32)?;
        a.bt(dword_ptr(m), ebx)
    },
    |a, m| a.shl(dword_ptr(m), 1),
    |a, m| a.rcr(word_ptr(m), 1),
    |a, m| a.shld(dword_ptr(m), ebx, 5),
    |a, m| a.imul_3(ecx, dword_ptr(m), 3),
    |a, m| a.sete(byte_ptr(m + 3)),
    |a, m| a.cmove(ecx, dword_ptr(m)),
    |a, m| a.cmovne(ecx, dword_ptr(m)),
    |a, m| a.movzx(ecx, word_ptr(m)),
    |a, m| a.movsx(ecx, byte_ptr(m + 3)),
    |a, m| a.mov(word_ptr(m), ds),
    |a, m| a.mov(gs, word_ptr(m)),
    |a, m| a.call(dword_ptr(m)),
    |a, m| a.jmp(dword_ptr(m)),
    |a, m| {
        a.db(&[0xFF, 0x1D])?; // call far [m]
        a.db(&m.to_le_bytes())
    },
    |a, m| {
        a.db(&[0xFF, 0x2D])?; // jmp far [m]
        a.db(&m.to_le_bytes())
    },
    |a, m| a.les(eax, fword_ptr(m)),
    |a, m| a.lfs(eax, fword_ptr(m)),
    |a, m| a.lss(eax, fword_ptr(m)),
    |a, m| a.bound(eax, qword_ptr(m)),
    |a, m| a.sgdt(fword_ptr(m)),
    |a, m| a.sidt(fword_ptr(m)),
    |a, m| a.lar(ecx, word_ptr(m)),
    |a, m| a.verw(word_ptr(m)),
    |a, m| a.smsw(word_ptr(m)),
    |a, m| a.arpl(word_ptr(m), cx),
    |a, m| a.lgdt(fword_ptr(m)),
    |a, m| a.lmsw(word_ptr(m)),
    |a, m| {
        a.mov(esi, m)?;
        a.lodsd()
    },
    |a, m| {
        a.mov(edi, m)?;
        a.stosd()
    },
    |a, m| {
        a.mov(esi, m)?;
        a.mov(edi, DATA + 0x100)?;
        a.movsd()
    },
    |a, m| {
        a.mov(esi, DATA)?;
        a.mov(edi, m)?;
        a.movsd()
    },
    |a, m| {
        a.mov(esi, DATA)?;
        a.mov(edi, m)?;
        a.cmpsd()
    },
    |a, m| {
        a.mov(edi, m)?;
        a.scasd()
    },
    |a, m| {
        a.mov(esi, m)?;
        a.mov(edi, DATA + 0x100)?;
        a.mov(ecx, 6)?;
        a.rep().movsb()
    },
    |a, m| {
        a.mov(esi, DATA)?;
        a.mov(edi, m - 4)?;
        a.mov(ecx, 3)?;
        a.rep().movsd()
    },
    |a, m| {
        a.std()?;
        a.mov(edi, m + 8)?;
        a.mov(ecx, 3)?;
        a.rep().stosd()
    },
    |a, m| {
        a.mov(esi, m)?;
        a.mov(edi, m)?;
        a.mov(ecx, 8)?;
        a.repe().cmpsb()
    },
    |a, m| {
        a.mov(edi, m)?;
        a.mov(ecx, 4)?;
        a.mov(eax, 0x1357_9BDF)?;
        a.repne().scasw()
    },
    |a, m| {
        a.mov(ebx, m)?;
        a.mov(al, 3)?;
        a.xlatb()
    },
];

/// Those with a stack that begins at an address.
const STACKED: &[One] = &[
    |a, m| at_stack(a, m + 4, |a| a.push(eax)),
    |a, m| at_stack(a, m + 2, |a| a.push(ax)),
    |a, m| at_stack(a, m, |a| a.pop(ecx)),
    |a, m| at_stack(a, m + 16, |a| a.pushad()),
    |a, m| at_stack(a, m + 8, |a| a.db(&[0x66, 0x60])),
    |a, m| at_stack(a, m - 16, |a| a.popad()),
    |a, m| at_stack(a, m - 8, |a| a.db(&[0x66, 0x61])),
    |a, m| at_stack(a, m + 4, |a| a.pushfd()),
    |a, m| at_stack(a, m, |a| a.popfd()),
    |a, m| at_stack(a, m, |a| a.ret()),
    |a, m| at_stack(a, m, |a| a.ret_1(4)),
    |a, m| at_stack(a, m - 4, |a| a.retf()),
    |a, m| at_stack(a, m - 8, |a| a.iretd()),
    |a, m| {
        at_stack(a, m + 4, |a| {
            let mut over = a.create_label();
            a.call(over)?;
            a.set_label(&mut over)?;
            a.nop()
        })
    },
    |a, m| at_stack(a, m + 8, |a| a.db(&[0x9A, 0, 0, 0, 0, 0x18, 0])),
    |a, m| at_stack(a, m + 4, |a| a.push(es)),
    |a, m| at_stack(a, m, |a| a.pop(es)),
    |a, m| at_stack(a, m, |a| a.pop(ss)),
    |a, m| at_stack(a, m + 4, |a| a.enter(8, 0)),
    |a, m| {
        a.mov(ebp, DATA + 0x80)?;
        at_stack(a, m + 8, |a| a.enter(0, 2))
    },
    |a, m| {
        a.mov(ebp, m + 8)?;
        at_stack(a, DATA + 0x180, |a| a.enter(0, 4))
    },
    |a, m| {
        a.mov(ebp, m)?;
        a.leave()
    },
    |a, m| at_stack(a, m + 4, |a| a.push(dword_ptr(DATA))),
    |a, m| at_stack(a, m, |a| a.pop(dword_ptr(DATA + 0x90))),
    |a, m| at_stack(a, m, |a| a.pop(dword_ptr(esp + 4))),
];

/// Those of [`OPERANDS`] that read a far pointer.
const FAR_POINTERS: std::ops::RangeInclusive<usize> = 38..=42;
/// ARPL, which reads first and writes only what changes; Bochs asks for the right to write.
const ARPL: usize = 49;
/// Those of [`STACKED`] of which Bochs accesses two bytes and the core four, with what stands for them where the stack crosses a page.
const SEGMENT_REGISTERS: [(usize, One); 3] = [
    (15, |a, m| at_stack(a, m + 3, |a| a.db(&[0x66, 0x06]))),
    (16, |a, m| at_stack(a, m + 1, |a| a.db(&[0x66, 0x07]))),
    (17, |a, m| at_stack(a, m + 1, |a| a.db(&[0x66, 0x17]))),
];

fn at_stack(
    a: &mut CodeAssembler,
    top: u32,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    a.mov(esp, top)?;
    code(a)
}

/// Every instruction with its operand across two pages, of which the second is absent, or kept from ring 3.
pub fn accesses() -> Program {
    across(&[(ALL, WRITABLE | USER), (ALL, PRESENT | WRITABLE)])
}

/// The same with pages of which one can only be read.
pub fn accesses_read_only() -> Program {
    across(&[(ALL, PRESENT | USER), (PRESENT | USER, ALL)])
}

/// A page that allows everything.
const ALL: u32 = PRESENT | WRITABLE | USER;

/// With these rights of the first and of the second page.
fn across(rights: &[(u32, u32)]) -> Program {
    let mut system = System::new();
    let entry = |page: u32| PAGE_TABLE + page / 0x1000 * 4;
    let next = MATRIX_PAGE + 0x1000;
    system.code(|a| {
        a.mov(dword_ptr(DATA), 0x0403_0201)?;
        a.mov(dword_ptr(DATA + 4), 0x0807_0605)
    });
    // Behind each case both pages allow everything.
    for &(first, second) in rights {
        let mut stacked = STACKED.to_vec();
        for (number, one) in SEGMENT_REGISTERS {
            stacked[number] = one;
        }
        for (number, one) in OPERANDS.iter().chain(&stacked).enumerate() {
            if number == ARPL && first & WRITABLE == 0 {
                continue;
            }
            // Of a far pointer Bochs reads the selector first: here it alone is in the second page.
            let address = if FAR_POINTERS.contains(&number) {
                next - 4
            } else {
                next - 2
            };
            system.code(|a| {
                a.cld()?;
                a.mov(edi, next - 16)?;
                // Odd words are a selector, even ones with them an address that is absent.
                a.mov(eax, 0x0023_001B)?;
                for _ in 0..8 {
                    a.stosd()?;
                    a.add(eax, 0x0101)?;
                }
                a.mov(dword_ptr(entry(MATRIX_PAGE)), MATRIX_PAGE | first)?;
                a.mov(dword_ptr(entry(next)), next | second)?;
                a.mov(eax, cr3)?;
                a.mov(cr3, eax)
            });
            // The comparison behind it defines the flags, which the handler shows.
            system.case(3, |a| {
                one(a, address)?;
                a.cmp(eax, eax)
            });
            // What was written. Which pages were marked by an access that failed in the other one is left open.
            system.code(|a| {
                a.mov(dword_ptr(entry(MATRIX_PAGE)), MATRIX_PAGE | ALL)?;
                a.mov(dword_ptr(entry(next)), next | ALL)?;
                a.mov(eax, cr3)?;
                a.mov(cr3, eax)?;
                a.mov(esp, next - 16)?;
                a.popad()?;
                a.mov(esp, STACKS[0])
            });
        }
    }
    system.finish()
}

/// TF over every instruction with memory, in ring 3, and over everything in code of 16 bits.
pub fn every_step() -> Program {
    let mut system = System::new();
    segments(&mut system);
    system.code(|a| {
        a.mov(dword_ptr(DATA), 0x0403_0201)?;
        a.mov(dword_ptr(DATA + 4), 0x0807_0605)
    });
    for stepping in [1, 0] {
        for ring in [3, 0] {
            for (number, one) in OPERANDS.iter().chain(STACKED).enumerate() {
                // In ring 0 what loads the tables or leaves the stack would take the system away.
                let leaves = number >= OPERANDS.len() || matches!(number, 36..=39 | 42 | 50 | 51);
                // Undefined flags would be pushed.
                let undefined = matches!(number, 22..=25 | 27 | 28);
                if ring == 0 && leaves || undefined {
                    continue;
                }
                system.code(|a| {
                    a.cld()?;
                    a.mov(edi, DATA + 0xC0)?;
                    a.mov(eax, 0x0023_041F)?;
                    a.mov(ecx, 16)?;
                    a.rep().stosd()?;
                    a.mov(dword_ptr(STEPPING), stepping)
                });
                system.case_with_flags(ring, 0x102, |a| {
                    one(a, DATA + 0xDE)?;
                    a.nop()
                });
                system.code(|a| a.mov(dword_ptr(STEPPING), 0));
            }
        }
    }
    for place in [narrow(3, 0x3100), narrow(0, 0x100)] {
        system.code(|a| a.mov(dword_ptr(STEPPING), 1));
        let one: fn(&mut CodeAssembler) -> Result<(), IcedError> = |a| {
            a.push(ax)?;
            a.pop(bx)?;
            a.db(&[0x60, 0x61])?; // pusha, popa
            a.enter(4, 1)?;
            a.leave()?;
            a.push(ss)?;
            a.pop(ss)?;
            a.nop()?;
            a.mov(ax, ss)?;
            a.mov(ss, ax)?;
            a.nop()?;
            a.pushf()?;
            a.popf()?;
            a.xor(cx, cx)?;
            a.db(&[0xE3, 0x00])?; // jcxz
            a.mov(cx, 2)?;
            a.db(&[0xE2, 0xFE])?; // loop $
            a.sti()?;
            a.cli()
        };
        system.case_in(&place, one);
        system.code(|a| a.mov(dword_ptr(STEPPING), 0));
    }
    system.finish()
}
