//! Debug registers: breakpoints of every kind and length, RF, what DR6 says, DR7.GD, and who may touch them.

use super::system::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

type One = fn(&mut CodeAssembler) -> Result<(), IcedError>;

const EXECUTE: u32 = 0;
const WRITE: u32 = 1;
const PORT: u32 = 2;
const ACCESS: u32 = 3;
/// CR4.DE.
const DEBUG_EXTENSIONS: u32 = 8;

/// DR6.BD.
const GENERAL_DETECT: i32 = 0x2000;
/// EFLAGS.RF.
const RESUME: i32 = 0x1_0000;

/// What accesses the watched doubleword, or what is beside it.
const WATCHED: &[One] = &[
    |a| a.mov(eax, dword_ptr(DATA)),
    |a| a.mov(dword_ptr(DATA), 5),
    |a| a.mov(byte_ptr(DATA + 3), 5),
    |a| a.mov(word_ptr(DATA + 4), 5),
    |a| a.mov(dword_ptr(DATA - 3), 5),
    |a| a.mov(dword_ptr(DATA - 4), 5),
    |a| a.add(dword_ptr(DATA + 2), 5),
    |a| a.cmp(byte_ptr(DATA + 1), 5),
    |a| a.xchg(word_ptr(DATA + 1), ax),
    |a| a.cmpxchg(dword_ptr(DATA), ecx),
    |a| a.bts(dword_ptr(DATA), 3),
    |a| {
        a.mov(esi, DATA)?;
        a.mov(edi, DATA + 4)?;
        a.movsd()?;
        a.nop()
    },
    |a| {
        a.mov(edi, DATA + 2)?;
        a.stosb()?;
        a.scasb()?;
        a.nop()
    },
    |a| {
        a.mov(ebx, DATA + 8)?;
        a.xchg(esp, ebx)?;
        a.push(eax)?;
        a.push(ecx)?;
        a.pop(edx)?;
        a.pop(eax)?;
        a.xchg(esp, ebx)
    },
    |a| {
        // A trap behind MOV SS waits for one instruction.
        a.mov(eax, ss)?;
        a.mov(dword_ptr(DATA), eax)?;
        a.mov(ss, word_ptr(DATA))?;
        a.mov(ebx, 1)?;
        a.mov(ebx, 2)
    },
    |a| {
        // A fault comes instead of the trap.
        a.mov(eax, dword_ptr(DATA))?;
        a.mov(dword_ptr(0x40_0000), eax)
    },
];

/// The one that has its stack there.
const WATCHED_STACK: usize = 13;

/// DR7 of one breakpoint.
fn control(index: u32, kind: u32, bytes: u32, global: bool) -> u32 {
    let length = match bytes {
        1 => 0,
        2 => 1,
        _ => 3,
    };
    (kind | length << 2) << (16 + 4 * index) | 1 << (2 * index + u32::from(global))
}

fn set(system: &mut System, addresses: [u32; 4], dr7_value: u32) {
    system.code(|a| {
        a.xor(eax, eax)?;
        a.mov(dr6, eax)?;
        for (register, value) in [dr0, dr1, dr2, dr3].into_iter().zip(addresses) {
            a.mov(eax, value)?;
            a.mov(register, eax)?;
        }
        a.mov(eax, dr7_value)?;
        a.mov(dr7, eax)
    });
}

fn clear(system: &mut System) {
    system.code(|a| {
        a.mov(ebp, dr7)?;
        a.xor(eax, eax)?;
        a.mov(dr7, eax)?;
        a.mov(ebp, dr6)?;
        a.mov(dr6, eax)?;
        a.mov(dword_ptr(STEPPING), 0)
    });
}

/// The program.
pub fn breakpoints() -> Program {
    let mut system = System::new();
    // Data: kinds and lengths, going on behind each and not, with TF and without.
    for ring in [0, 3] {
        for (stepping, flags) in [(0, 0x2), (1, 0x2), (1, 0x102)] {
            for dr7_value in [
                control(0, WRITE, 4, false),
                control(1, ACCESS, 1, true),
                control(3, ACCESS, 4, false) | control(0, WRITE, 2, true),
                control(2, WRITE, 1, false) | 0x300,
            ] {
                for (number, one) in WATCHED.iter().enumerate() {
                    // In ring 0 the handler would push to what is watched.
                    if ring == 0 && number == WATCHED_STACK {
                        continue;
                    }
                    set(&mut system, [DATA, DATA + 1, DATA + 2, DATA], dr7_value);
                    system.code(|a| a.mov(dword_ptr(STEPPING), stepping));
                    system.case_with_flags(ring, flags, one);
                    clear(&mut system);
                }
            }
        }
        if !system.has_room() {
            break;
        }
    }
    system.finish()
}

/// Instructions, ports, RF, DR7.GD and the registers themselves.
pub fn breakpoints_of_code() -> Program {
    let mut system = System::new();
    // A routine whose instructions have known places.
    let lines: &[One] = &[
        |a| a.nop(),
        |a| a.mov(dword_ptr(DATA), eax),
        |a| a.push(eax),
        |a| a.pop(edx),
        |a| {
            a.mov(ecx, 2)?;
            a.mov(esi, DATA)?;
            a.mov(edi, DATA + 0x40)
        },
        |a| a.rep().movsb(),
        |a| a.pushfd(),
        |a| a.pop(eax),
        |a| a.mov(eax, ss),
        |a| a.mov(ss, eax),
        |a| a.nop(),
        |a| a.nop(),
        |a| a.int(0x8A),
        |a| a.ret(),
    ];
    let back = system.routine(32, 0, |a| a.iretd());
    system.entry(Table::Interrupt(0x8A), gate(CODE[0], back, 0xEE));
    let routine = system.routine(32, 0, |a| lines.iter().try_for_each(|line| line(a)));
    let length = |line: &One| {
        let mut a = CodeAssembler::new(32).expect("32 bits");
        line(&mut a).expect("an instruction");
        a.assemble(0).expect("an encoding").len() as u32
    };
    let at: Vec<u32> = lines.iter().map(length).collect();
    let place = |number: usize| routine + at[..number].iter().sum::<u32>();
    for ring in [0, 3] {
        for number in 0..lines.len() {
            // Not gone on behind: Bochs under its debugger breaks there again and again, whatever RF is.
            for flags in [0x2u32, 0x102] {
                let addresses = [place(number), place(number), place(3), place(number) + 1];
                let dr7_value = control(0, EXECUTE, 1, false)
                    | if number % 3 == 0 {
                        control(1, EXECUTE, 1, true) | control(3, EXECUTE, 1, true)
                    } else {
                        control(2, EXECUTE, 1, true)
                    };
                set(&mut system, addresses, dr7_value);
                system.case_with_flags(ring, flags, |a| {
                    a.mov(eax, 3)?;
                    a.call(u64::from(routine))?;
                    a.nop()
                });
                clear(&mut system);
            }
        }
    }
    // Of DR7.GD the manual pushes RF, as of every fault but that of an instruction breakpoint; Bochs pushes none. It is not shown.
    let without_rf = system.routine(32, 0, |a| {
        let mut other = a.create_label();
        a.push(eax)?;
        a.mov(eax, dr6)?;
        a.test(eax, GENERAL_DETECT)?;
        a.je(other)?;
        a.and(dword_ptr(esp + 12), !RESUME)?;
        a.set_label(&mut other)?;
        a.pop(eax)?;
        a.jmp(u64::from(handler(1)))
    });
    system.entry(Table::Interrupt(1), gate(CODE[0], without_rf, 0x8E));
    // The registers from every ring, with GD, DE, and values whose bits are fixed.
    let all: &[One] = &[
        |a| a.mov(eax, dr0),
        |a| a.mov(eax, dr3),
        |a| a.db(&[0x0F, 0x21, 0xE0]), // mov eax,dr4
        |a| a.db(&[0x0F, 0x21, 0xE8]), // mov eax,dr5
        |a| a.mov(eax, dr6),
        |a| a.mov(eax, dr7),
        |a| {
            a.mov(eax, 0x1234)?;
            a.mov(dr2, eax)
        },
        |a| {
            a.mov(eax, 0xFFFF_0FFFu32)?;
            a.mov(dr6, eax)?;
            a.mov(ebx, dr6)
        },
        |a| {
            a.mov(eax, 0xFFFF_DC00u32)?;
            a.mov(dr7, eax)?;
            a.mov(ebx, dr7)
        },
        |a| {
            a.mov(eax, 0x2000)?;
            a.mov(dr7, eax)?;
            a.mov(ebx, dr7)
        },
        |a| {
            a.db(&[0x0F, 0x23, 0xE0])?; // mov dr4,eax
            a.mov(ebx, dr6)
        },
        |a| a.db(&[0xF0, 0x0F, 0x21, 0xC0]), // lock
        |a| a.db(&[0x0F, 0x21, 0x00]),       // mod is not looked at
        |a| a.db(&[0xF1]),                   // int1
    ];
    for extensions in [0, DEBUG_EXTENSIONS] {
        system.code(|a| {
            a.mov(eax, extensions)?;
            a.mov(cr4, eax)
        });
        for ring in [0, 1, 3] {
            // In an outer ring #GP comes before what DR7.GD says; Bochs asks for GD first.
            let values: &[u32] = if ring == 0 { &[0, 0x2000] } else { &[0] };
            for &dr7_value in values {
                for one in all {
                    set(&mut system, [1, 2, 3, 4], dr7_value);
                    system.case(ring, one);
                    clear(&mut system);
                }
            }
        }
    }
    // Ports, with CR4.DE.
    for kind in [PORT, WRITE] {
        for one in [
            (|a| a.out(0x80, al)) as One,
            |a| a.out(0x80, ax),
            |a| {
                a.mov(edx, 0x7F)?;
                a.out(dx, eax)
            },
            |a| {
                a.mov(edx, 0x81)?;
                a.out(dx, al)
            },
            |a| {
                a.mov(edx, 0x80)?;
                a.mov(esi, DATA)?;
                a.outsb()
            },
            |a| a.mov(dword_ptr(0x80u32), eax),
        ] {
            for stepping in [0, 1] {
                set(&mut system, [0x80, 0, 0, 0], control(0, kind, 1, false));
                system.code(|a| a.mov(dword_ptr(STEPPING), stepping));
                system.case_with_flags(3, 0x3002, |a| {
                    one(a)?;
                    a.nop()
                });
                clear(&mut system);
            }
        }
    }
    system.finish()
}
