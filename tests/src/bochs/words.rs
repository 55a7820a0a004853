//! Gates and segments of 16 bits, call gates with parameters, and the corners of SYSENTER and SYSEXIT.

use super::system::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Selector of an entry of the matrix, which these programs write themselves.
pub const fn slot(number: u16) -> u16 {
    MATRIX + 8 * number
}

/// Code of ring 0 with 32 bits whose offset 0 is the ROM: what a gate of 16 bits can lead to.
pub const ROM_CODE: u16 = slot(0);
/// Code of 16 bits there, of ring 3.
pub const NARROW_CODE_3: u16 = slot(1) | 3;
/// The same of ring 0.
pub const NARROW_CODE_0: u16 = slot(2);
/// A stack of 16 bits, of ring 3: SP [`VIRTUAL_SP`] is the top of the flat one.
pub const NARROW_STACK_3: u16 = slot(3) | 3;
/// A stack of 16 bits of ring 0, with base 0.
pub const NARROW_STACK_0: u16 = slot(4);
/// Data of 16 bits for any ring: offset 0 is [`DATA`].
pub const NARROW_DATA: u16 = slot(5) | 3;
/// The first call gate.
const FIRST_GATE: u16 = 6;
/// Parameters of the call gates.
const PARAMETERS: [u8; 4] = [0, 1, 3, 31];

/// Writes the segments above.
pub fn segments(system: &mut System) {
    for (selector, base, access, flags) in [
        (ROM_CODE, ROM, 0x9A, 0x4),
        (NARROW_CODE_3, ROM, 0xFA, 0),
        (NARROW_CODE_0, ROM, 0x9A, 0),
        (NARROW_STACK_3, STACKS[3] - VIRTUAL_SP, 0xF2, 0),
        (NARROW_STACK_0, 0, 0x92, 0),
        (NARROW_DATA, DATA, 0xF2, 0),
    ] {
        let value = descriptor(base, 0xFFFF, access, flags);
        system.entry(Table::Global(selector), value);
    }
}

/// Code of 16 bits in ring 0 or 3.
pub fn narrow(ring: usize, flags: u32) -> Place {
    Place {
        code: if ring == 0 {
            NARROW_CODE_0
        } else {
            NARROW_CODE_3
        },
        base: ROM,
        bits: 16,
        flags: flags | 2,
        data: NARROW_DATA,
        stack: (ring != 0).then_some((NARROW_STACK_3, VIRTUAL_SP)),
        segments: None,
    }
}

/// A handler for [`ROM_CODE`]: shows the top of the stack and ends the case. Returns its linear address.
pub fn showing(system: &mut System) -> u32 {
    system.routine(32, ROM, |a| {
        a.mov(ebp, esp)?;
        a.mov(eax, u32::from(DATA_SEGMENT[0]))?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.mov(eax, ss)?;
        for (register, offset) in [(ebx, 0), (ecx, 4), (edx, 8), (esi, 12), (edi, 16)] {
            a.mov(register, dword_ptr(esp + offset))?;
        }
        a.mov(ebp, dword_ptr(esp + 20))?;
        a.mov(eax, u32::from(DATA_SEGMENT[0]))?;
        a.mov(ss, eax)?;
        a.mov(esp, STACKS[0])?;
        a.push(u32::from(CODE[0]))?;
        a.push(dword_ptr(RECOVER))?;
        a.retf()
    })
}

/// A far call (9Ah) or jump (EAh) with the offset of the code's size.
pub fn far(
    a: &mut CodeAssembler,
    bits: u32,
    opcode: u8,
    selector: u16,
    offset: u32,
) -> Result<(), IcedError> {
    a.db(&[opcode])?;
    a.db(&offset.to_le_bytes()[..bits as usize / 8])?;
    a.db(&selector.to_le_bytes())
}

/// Interrupt, trap and call gates of both sizes, from code of both sizes, with parameters; returns of both sizes.
pub fn words() -> Program {
    let mut system = System::new();
    segments(&mut system);
    let shown = showing(&mut system) - ROM;
    let back_16 = system.routine(32, ROM, |a| a.iret()) - ROM;
    let back_32 = system.routine(32, ROM, |a| a.iretd()) - ROM;
    let completed_16 = system.routine(16, ROM, |a| a.int(i32::from(vector::COMPLETED))) - ROM;
    for (number, target, access) in [
        (0x88, shown | 0xABCD_0000, 0xE6),
        (0x89, shown | 0xABCD_0000, 0xE7),
        (0x8A, back_16, 0xE6),
        (0x8B, back_32, 0xEE),
        (0x8C, shown, 0xEF),
        (0x8E, 0x1_0000, 0xEE),
    ] {
        system.entry(Table::Interrupt(number), gate(ROM_CODE, target, access));
    }
    // Gates that show, then gates that return; of 16 bits, then of 32.
    let mut gates = Vec::new();
    for (returns, wide) in [(false, false), (false, true), (true, false), (true, true)] {
        for parameters in PARAMETERS {
            let target = if returns {
                let bytes = u32::from(parameters) * if wide { 4 } else { 2 };
                system.routine(32, ROM, |a| {
                    if wide {
                        a.retf_1(bytes)
                    } else {
                        a.db(&[0x66])?;
                        a.retf_1(bytes)
                    }
                }) - ROM
            } else {
                shown
            };
            let access = if wide { 0xEC } else { 0xE4 };
            let selector = slot(FIRST_GATE + gates.len() as u16) | 3;
            let value = gate(ROM_CODE, target, access) | u64::from(parameters) << 32;
            system.entry(Table::Global(selector), value);
            gates.push((selector, returns, wide, parameters));
        }
    }
    let flat = |ring| Place::ring(ring, 0x3000);
    let places = [
        flat(0),
        flat(1),
        flat(3),
        narrow(0, 0x8C1),
        narrow(3, 0x30D5),
    ];
    for place in &places {
        let fill = |a: &mut CodeAssembler| {
            for value in [0x1111_2222, 0x3333_4444, 0x5555_6666, 0x7777_8888u32] {
                a.db(if place.bits == 16 {
                    &[0x66, 0x68]
                } else {
                    &[0x68]
                })?;
                a.db(&value.to_le_bytes())?;
            }
            Ok::<(), IcedError>(())
        };
        for number in [0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8E] {
            // A flat return address does not fit into a word.
            if number == 0x8A && place.bits == 32 {
                continue;
            }
            system.case_in(place, |a| {
                fill(a)?;
                a.int(number)
            });
        }
        for &(selector, returns, wide, _) in &gates {
            if returns && !wide && place.bits == 32 {
                continue;
            }
            for opcode in [0x9A, 0xEA] {
                if returns && opcode == 0xEA {
                    continue;
                }
                system.case_in(place, |a| {
                    fill(a)?;
                    far(a, place.bits, opcode, selector, 0x1234)
                });
                system.show(&[STACKS[0] - 0x20, STACKS[0] - 0x40]);
            }
        }
        if place.bits == 32 {
            continue;
        }
        // Returns of both sizes, to code of both sizes, of the same ring and of ring 3.
        for wide in [false, true] {
            for (selector, offset) in [
                (place.code, completed_16),
                (NARROW_CODE_3, completed_16),
                (CODE[3], completed_16 + ROM),
                (NARROW_CODE_3 & !3, completed_16),
                (NARROW_STACK_3, 0),
                (0, 0),
            ] {
                for kind in 0..3 {
                    system.case_in(place, |a| {
                        let push = |a: &mut CodeAssembler, value: u32| {
                            if wide {
                                a.db(&[0x66])?;
                            }
                            a.db(&[0x68])?;
                            a.db(&value.to_le_bytes()[..if wide { 4 } else { 2 }])
                        };
                        for value in [0xAAAA, 0xBBBB, NARROW_STACK_3.into(), VIRTUAL_SP - 0x100] {
                            push(a, value)?;
                        }
                        if kind == 0 {
                            push(a, 0x8D7)?;
                        }
                        push(a, selector.into())?;
                        push(a, offset)?;
                        match (kind, wide) {
                            (0, false) => a.iret(),
                            (0, true) => a.iretd(),
                            (1, false) => a.retf(),
                            (1, true) => a.db(&[0x66, 0xCB]),
                            (_, false) => a.retf_1(4),
                            (_, true) => a.db(&[0x66, 0xCA, 8, 0]),
                        }
                    });
                }
            }
        }
    }
    // The caller's stack ends within the parameters; the inner stack is on a page that is absent.
    for &(selector, returns, wide, parameters) in &gates {
        if returns || parameters == 0 {
            continue;
        }
        system.case_in(&flat(3), |a| {
            a.mov(esp, 0x3F_FFFEu32)?;
            far(a, 32, 0x9A, selector, 0)
        });
        for inner in [0x40_0100, 0x40_0004] {
            let access = if wide { 0xEC } else { 0xE4 };
            let target = gate(CODE[1], 0, access) | u64::from(parameters) << 32;
            system.entry(Table::Global(slot(60)), target);
            system.code(|a| a.mov(dword_ptr(TSS + 12), inner));
            system.case_in(&flat(3), |a| far(a, 32, 0x9A, slot(60) | 3, 0));
        }
    }
    system.finish()
}

/// SYSENTER and SYSEXIT from 16-bit code and virtual-8086 mode, with stacks and targets that are absent, and without CS.
pub fn sysenter_odd() -> Program {
    let mut system = System::new();
    segments(&mut system);
    let entry = system.routine(32, 0, |a| {
        // Ring 3's DS, ES and what else is left.
        a.mov(eax, ds)?;
        a.mov(ebx, es)?;
        a.mov(ecx, fs)?;
        a.mov(edx, gs)?;
        a.mov(esi, ss)?;
        a.pushfd()?;
        a.pop(edi)?;
        a.jmp(u64::from(SYSENTER_ENTRY))
    });
    let msr = |a: &mut CodeAssembler, number: u32, value: u32| {
        a.mov(ecx, number)?;
        a.mov(eax, value)?;
        a.xor(edx, edx)?;
        a.wrmsr()
    };
    let places = [
        Place::ring(0, 0),
        Place::ring(1, 0xED7),
        Place::ring(3, 0x7000),
        Place::ring(3, 0x4_3100),
        narrow(0, 0),
        narrow(3, 0x4000),
        narrow(3, 0x100),
        Place::virtual_8086(0),
        Place::virtual_8086(0x3000),
        Place::virtual_8086(0x3100),
        Place::virtual_8086(0x7CD5),
    ];
    for (cs_value, stack, target) in [
        (8, STACKS[0] - 0x200, entry),
        (0, STACKS[0], entry),
        (3, STACKS[0], entry),
        (0xB, STACKS[0] - 0x201, entry),
        // The target is absent: a page fault of ring 0.
        (8, STACKS[0], 0x40_0123),
    ] {
        system.code(|a| {
            msr(a, 0x174, cs_value)?;
            msr(a, 0x175, stack)?;
            msr(a, 0x176, target)
        });
        for place in &places {
            system.case_in(place, |a| a.sysenter());
            // Of ring 0 it succeeds, and what it goes to is absent.
            system.case_in(place, |a| {
                a.mov(edx, 0x40_0000)?;
                a.mov(ecx, STACKS[3])?;
                a.sysexit()
            });
        }
    }
    // SYSEXIT to ring 3: absent pages, stacks of any value, code of the MSR or not.
    let target = system.routine(32, 0, |a| {
        a.mov(eax, cs)?;
        a.mov(ebx, ss)?;
        a.pushfd()?;
        a.pop(esi)?;
        a.int(i32::from(vector::COMPLETED))
    });
    for cs_value in [8u32, 0, 2, 0xB, 0x28] {
        system.code(|a| {
            msr(a, 0x174, cs_value)?;
            msr(a, 0x175, STACKS[0])
        });
        for flags in [0u32, 0x100, 0x4000, 0x1_0000, 0x4_0AD5] {
            for (to, stack) in [
                (target, STACKS[3]),
                (target, 4),
                (0x40_0000, STACKS[3]),
                (0xFFFF_FFFF, STACKS[3]),
            ] {
                system.case_in(&Place::ring(0, flags), |a| {
                    a.mov(edx, to)?;
                    a.mov(ecx, stack)?;
                    a.sysexit()
                });
            }
        }
        // With prefixes, which mean nothing, and LOCK, which is not allowed.
        for prefix in [0x66, 0x67, 0xF2, 0xF3, 0x2E, 0xF0] {
            for opcode in [0x34, 0x35] {
                system.case_in(&Place::ring(0, 0), |a| {
                    a.mov(edx, target)?;
                    a.mov(ecx, STACKS[3])?;
                    a.db(&[prefix, 0x0F, opcode])
                });
            }
        }
    }
    system.finish()
}
