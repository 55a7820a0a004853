//! The hand-written programs: each a matrix of cases about one part of the system side.

use super::system::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use spec::paging::{PRESENT, USER, WRITABLE};
use std::io;
use std::path::Path;

/// A program's name and what makes it.
pub type Row = (&'static str, fn() -> Program);

/// All of them.
pub const PROGRAMS: &[Row] = &[
    ("accesses", super::accesses::accesses),
    ("accesses-read-only", super::accesses::accesses_read_only),
    ("breakpoints", super::breakpoints::breakpoints),
    ("breakpoints-code", super::breakpoints::breakpoints_of_code),
    ("every-step", super::accesses::every_step),
    ("gates", gates),
    ("pages", pages),
    ("privileged", privileged),
    ("segments", segments),
    ("steps", steps),
    ("sysenter", sysenter),
    ("sysenter-odd", super::words::sysenter_odd),
    ("tasks", super::tasks::tasks),
    ("task-faults", super::tasks::task_faults),
    ("virtual", super::virtual_mode::virtual_mode),
    ("words", super::words::words),
];

/// Seeds of the random programs that are recorded beside the hand-written ones; in 60 a string instruction ends in a double fault
/// behind its first turn. Those of 0 and 7 are not among them: they store to
/// the ROM and load the same bytes at once, which the core takes from its store buffer.
pub const RANDOM_SEEDS: [u64; 13] = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 60];

/// Seeds of the random programs in all modes that are recorded.
pub const MIXED_SEEDS: [u64; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// Names of all programs whose recordings are kept.
pub fn names() -> Vec<String> {
    let written = PROGRAMS.iter().map(|row| row.0.to_string());
    let random = RANDOM_SEEDS.map(|seed| format!("random-{seed}"));
    let mixed = MIXED_SEEDS.map(|seed| format!("mixed-{seed}"));
    written.chain(random).chain(mixed).collect()
}

/// Names of the programs whose recordings are in a folder, in order.
///
/// # Errors
/// A folder that cannot be read.
pub fn recorded(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".xz").map(str::to_string));
    }
    names.sort();
    Ok(names)
}

/// The program of this name; `random-N` and `mixed-N` are the random ones of seed N.
pub fn named(name: &str) -> Option<Program> {
    if let Some(seed) = name.strip_prefix("random-") {
        return Some(super::random::program(seed.parse().ok()?));
    }
    if let Some(seed) = name.strip_prefix("mixed-") {
        return Some(super::mixed::program(seed.parse().ok()?));
    }
    PROGRAMS.iter().find(|row| row.0 == name).map(|row| row.1())
}

/// Kinds of system descriptors that this processor must not be sent through: task switches and 16-bit gates are not built.
fn is_built_as_target(kind: u8) -> bool {
    !matches!(kind, 1 | 3 | 4 | 5 | 9 | 11)
}

/// The bytes of a far call (9Ah) or jump (EAh).
fn far(a: &mut CodeAssembler, opcode: u8, selector: u16, offset: u32) -> Result<(), IcedError> {
    a.db(&[opcode])?;
    a.db(&offset.to_le_bytes())?;
    a.db(&selector.to_le_bytes())
}

/// Interrupts through every gate, and far transfers to every descriptor, from every ring.
fn gates() -> Program {
    let mut system = System::new();
    for ring in 0..4 {
        let numbers = [3, 4, 0, 13, 14, vector::INTERRUPT, vector::BEYOND, 0xFF];
        for number in numbers.into_iter().chain(vector::ODD) {
            system.case(ring, |a| {
                a.mov(ebp, 0x11)?;
                match number {
                    3 => a.int3(),
                    _ => a.int(i32::from(number)),
                }
            });
        }
        system.case(ring, |a| {
            a.mov(al, 0x7F)?;
            a.add(al, 1)?;
            a.into()
        });
        for opcode in [0x9A, 0xEA] {
            for number in (0..MATRIX_COUNT).chain([]) {
                let (kind, system_kind) = (number as u8 & 15, number & 16 == 0);
                // A conforming or plain code segment is entered at its begin, where nothing is: the gates alone lead anywhere.
                let built = !system_kind || is_built_as_target(kind);
                let sampled = ring == 0 || ring == 3;
                if built && sampled && (system_kind || kind < 8 || number & 0x40 != 0) {
                    system.case(ring, |a| {
                        far(a, opcode, MATRIX + 8 * number + ring as u16, 0)
                    });
                }
            }
            for selector in [
                0,
                3,
                CODE[0],
                CODE[3],
                CODE[3] & !3,
                DATA_SEGMENT[0],
                0xFFF8,
                0x84,
            ] {
                system.case(ring, |a| far(a, opcode, selector, SYSENTER_ENTRY));
            }
        }
        // Returns to every ring, and to what is no code.
        for selector in [
            0,
            CODE[0],
            CODE[1],
            CODE[2],
            CODE[3],
            DATA_SEGMENT[3],
            0xFFFB,
        ] {
            for interrupt in [false, true] {
                system.case(ring, |a| {
                    a.push(u32::from(DATA_SEGMENT[3]))?;
                    a.push(STACKS[3])?;
                    if interrupt {
                        a.push(0x0000_0002)?;
                    }
                    a.push(u32::from(selector))?;
                    a.push(SYSENTER_ENTRY)?;
                    if interrupt { a.iretd() } else { a.retf() }
                });
            }
        }
    }
    system.finish()
}

/// Loads and looks of every instruction with a selector, for every descriptor; and accesses at limits.
fn segments() -> Program {
    let mut system = System::new();
    for ring in [0, 3] {
        for number in 0..MATRIX_COUNT {
            let selector = u32::from(MATRIX + 8 * number) + ring as u32;
            system.case(ring, |a| {
                a.mov(ecx, selector)?;
                a.xor(ebx, ebx)?;
                a.xor(edx, edx)?;
                a.lar(ebx, ecx)?;
                a.setz(al)?;
                a.lsl(edx, ecx)?;
                a.setz(ah)?;
                a.verr(cx)?;
                a.setz(bl)?;
                a.verw(cx)?;
                a.setz(bh)?;
                a.mov(gs, ecx)?;
                a.mov(ebp, gs)
            });
            system.case(ring, |a| {
                a.mov(ecx, selector)?;
                a.mov(es, ecx)?;
                a.mov(al, byte_ptr(0x10u32).es())?;
                a.mov(byte_ptr(0x10u32).es(), al)?;
                a.mov(eax, dword_ptr(0x0FFCu32).es())?;
                a.mov(eax, dword_ptr(0x0FFDu32).es())
            });
        }
        for selector in [0, 3, 7, 0xFFF8, 0xFFFF, 0x84] {
            system.case(ring, |a| {
                a.mov(ecx, selector as u32)?;
                a.mov(ds, ecx)?;
                a.mov(eax, dword_ptr(DATA))
            });
        }
    }
    system.finish()
}

/// Every combination of rights in directory and table, WP, ring and kind of access; the entries are looked at afterwards.
fn pages() -> Program {
    let mut system = System::new();
    let entry = PAGE_TABLE + MATRIX_PAGE / 0x1000 * 4;
    for write_protect in [false, true] {
        system.code(|a| {
            a.mov(eax, cr0)?;
            a.and(eax, !0x1_0000)?;
            a.or(eax, if write_protect { 0x1_0000 } else { 0 })?;
            a.mov(cr0, eax)
        });
        for directory in [
            PRESENT | WRITABLE | USER,
            PRESENT | USER,
            PRESENT | WRITABLE,
            WRITABLE | USER,
        ] {
            for table in 0..8u32 {
                for ring in [0, 3] {
                    // A directory without rights for ring 3 would hide its code, too: the second directory entry has them.
                    let address = 0x40_0000 + MATRIX_PAGE;
                    for access in 0..4 {
                        system.code(|a| {
                            a.mov(dword_ptr(PAGE_DIRECTORY + 4), PAGE_TABLE | directory)?;
                            a.mov(dword_ptr(entry), MATRIX_PAGE | table)?;
                            a.mov(eax, cr3)?;
                            a.mov(cr3, eax)
                        });
                        system.case(ring, |a| match access {
                            0 => a.mov(eax, dword_ptr(address)),
                            1 => a.mov(dword_ptr(address + 0xFFC), 0x1234),
                            2 => a.add(dword_ptr(address + 8), 1),
                            _ => a.push(dword_ptr(address)),
                        });
                        system.code(|a| {
                            a.mov(eax, dword_ptr(entry))?;
                            a.mov(ebx, dword_ptr(PAGE_DIRECTORY + 4))
                        });
                    }
                }
            }
        }
    }
    system.finish()
}

/// What only ring 0, or a ring up to IOPL, may do, from every ring and IOPL.
fn privileged() -> Program {
    let mut system = System::new();
    type One = fn(&mut CodeAssembler) -> Result<(), IcedError>;
    let all: &[One] = &[
        |a| a.hlt(),
        |a| a.cli(),
        |a| a.sti(),
        |a| a.clts(),
        |a| a.invd(),
        |a| a.wbinvd(),
        |a| a.invlpg(byte_ptr(DATA)),
        |a| a.mov(eax, cr0),
        |a| a.mov(cr3, eax),
        |a| a.mov(eax, cr2),
        |a| a.mov(eax, dr7),
        |a| a.lmsw(ax),
        |a| a.smsw(eax),
        |a| a.lgdt(fword_ptr(DATA + 0x100)),
        |a| a.lidt(fword_ptr(DATA + 0x100)),
        |a| a.sldt(eax),
        |a| a.str(eax),
        |a| a.lldt(ax),
        |a| a.ltr(ax),
        |a| a.rdmsr(),
        |a| a.wrmsr(),
        |a| a.in_(al, 0x80),
        |a| a.out(0x80, al),
        |a| a.in_(al, 0x81),
        |a| a.in_(ax, 0x80),
        |a| {
            a.mov(edx, 0x500)?;
            a.in_(al, dx)
        },
        |a| {
            a.mov(edx, 0x80)?;
            a.mov(esi, DATA)?;
            a.outsb()
        },
        |a| {
            a.pushfd()?;
            a.pop(eax)?;
            a.or(eax, 0x3200)?;
            a.push(eax)?;
            a.popfd()?;
            a.pushfd()?;
            a.pop(ebx)
        },
        |a| a.sysexit(),
        |a| a.ud2(),
        |a| a.db(&[0xF0, 0x90]),       // lock nop
        |a| a.db(&[0xF0, 0x01, 0xC0]), // lock add eax,eax
        |a| a.db(&[0x0F, 0x20, 0xE8]), // mov eax,cr5
        |a| a.db(&[0x8E, 0xC8]),       // mov cs,eax
        |a| a.bound(eax, dword_ptr(DATA)),
        |a| {
            a.xor(ecx, ecx)?;
            a.div(ecx)
        },
    ];
    system.code(|a| {
        // LGDT and LIDT of ring 0 load what is loaded.
        a.sgdt(fword_ptr(DATA + 0x100))?;
        a.mov(dword_ptr(DATA), 5)?;
        a.mov(dword_ptr(DATA + 4), 9)
    });
    for ring in 0..4 {
        for iopl in 0..4u32 {
            for (number, one) in all.iter().enumerate() {
                // In ring 0 these do what cannot be gone on from, or what the two processors do not have in common.
                let unwanted = ring == 0
                    && matches!(
                        number,
                        0 | 2 | 8 | 11 | 14 | 17 | 18 | 19 | 20 | 21 | 23 | 24 | 25
                    );
                let port = (21..=26).contains(&number);
                // What is behind an open port differs, too: only whether it may be asked.
                let answered = port && matches!(number, 21 | 23 | 24 | 25) && ring as u32 <= iopl;
                if !unwanted && !answered && number != 21 {
                    system.case_with_flags(ring, 2 | iopl << 12, |a| {
                        a.mov(eax, 7)?;
                        a.mov(ecx, 0x174)?;
                        one(a)
                    });
                }
            }
        }
    }
    system.finish()
}

/// TF over instructions of every kind, in rings 0 and 3.
fn steps() -> Program {
    let mut system = System::new();
    type One = fn(&mut CodeAssembler) -> Result<(), IcedError>;
    let all: &[One] = &[
        |a| {
            a.mov(eax, 1)?;
            a.add(eax, ebx)?;
            a.push(eax)?;
            a.pop(ecx)?;
            a.nop()
        },
        |a| {
            // The trap behind MOV SS waits for one instruction.
            a.mov(eax, ss)?;
            a.mov(ss, eax)?;
            a.mov(ebx, 1)?;
            a.mov(ebx, 2)?;
            a.push(ss)?;
            a.pop(ss)?;
            a.mov(ebx, 3)
        },
        |a| {
            a.mov(ecx, 3)?;
            a.mov(esi, DATA)?;
            a.mov(edi, DATA + 0x100)?;
            a.rep().movsb()?;
            a.mov(ecx, 2)?;
            a.rep().stosd()?;
            a.nop()
        },
        |a| {
            let mut over = a.create_label();
            a.call(over)?;
            a.set_label(&mut over)?;
            a.pop(eax)?;
            let mut on = a.create_label();
            a.jmp(on)?;
            a.nop()?;
            a.set_label(&mut on)?;
            a.mov(ecx, 2)?;
            let mut again = a.create_label();
            a.set_label(&mut again)?;
            a.nop()?;
            a.loop_(again)
        },
        |a| {
            // TF goes with POPFD, and comes with it.
            a.pushfd()?;
            a.pop(eax)?;
            a.and(eax, !0x100)?;
            a.push(eax)?;
            a.popfd()?;
            a.nop()?;
            a.or(eax, 0x100)?;
            a.push(eax)?;
            a.popfd()?;
            a.nop()?;
            a.nop()
        },
        |a| {
            // An exception before the trap: the handler clears TF.
            a.xor(ecx, ecx)?;
            a.div(ecx)
        },
        |a| a.int(i32::from(vector::INTERRUPT)),
        |a| a.ud2(),
        |a| {
            // A fault on a page in the middle of a string.
            a.mov(edi, 0x40_0000 - 4)?;
            a.mov(ecx, 8)?;
            a.rep().stosb()
        },
    ];
    for ring in [0, 1, 3] {
        for stepping in [0, 1] {
            for one in all {
                system.code(|a| a.mov(dword_ptr(STEPPING), stepping));
                system.case_with_flags(ring, 0x102, one);
                system.code(|a| a.mov(dword_ptr(STEPPING), 0));
            }
        }
    }
    system.finish()
}

/// SYSENTER and SYSEXIT with every kind of CS in the MSR, from and to every ring, with TF and IF.
fn sysenter() -> Program {
    let mut system = System::new();
    let msr = |a: &mut CodeAssembler, number: u32, value: u32| {
        a.mov(ecx, number)?;
        a.mov(eax, value)?;
        a.xor(edx, edx)?;
        a.wrmsr()
    };
    for cs_value in [0u32, 3, 0x08, 0x0B, 0x28, 0x0001_0008, 0xFFF8, 4] {
        system.code(|a| {
            msr(a, 0x174, cs_value)?;
            msr(a, 0x175, STACKS[1])?;
            msr(a, 0x176, SYSENTER_ENTRY)?;
            a.mov(ecx, 0x174)?;
            a.rdmsr()
        });
        for ring in 0..4 {
            for flags in [0x2u32, 0x102, 0x0ED7, 0x4_0002] {
                system.code(|a| a.mov(dword_ptr(STEPPING), 0));
                system.case_with_flags(ring, flags & !0x200, |a| {
                    a.mov(edx, esp)?;
                    a.sysenter()
                });
            }
            system.case(ring, |a| a.db(&[0xF0, 0x0F, 0x34])); // lock
            system.case(ring, |a| a.db(&[0xF0, 0x0F, 0x35]));
            system.case(ring, |a| {
                // What comes behind in ring 3 reads its segments and flags, and calls in again.
                let mut target = a.create_label();
                let mut here = a.create_label();
                a.call(here)?;
                a.set_label(&mut here)?;
                a.pop(edx)?;
                a.add(edx, 16)?;
                a.mov(ecx, STACKS[3])?;
                a.sysexit()?;
                a.jmp(target)?;
                for _ in 0..24 {
                    a.nop()?;
                }
                a.set_label(&mut target)?;
                a.mov(eax, cs)?;
                a.mov(ebx, ss)?;
                a.pushfd()?;
                a.pop(esi)
            });
        }
    }
    system.finish()
}
