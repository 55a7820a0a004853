//! Scenes written by hand: strings, the stack, transfers, gates, tasks, modes, segment loads, faults, breakpoints.

use crate::harness::*;
use iced_x86::code_asm::*;
use spec::registers as number;
use spec::segments::{self, ACCESS_PRESENT};
use spec::{control_registers, exceptions, flags, paging};
use tests::guest::*;

/// Parts of a program of several places lie so far apart.
const PART: u32 = 0x100;
/// The handler of page faults that maps the page and returns.
const MAPS: u32 = 0xF300;
/// A task's stack, in ring 0's.
const TASK_STACK: u32 = STACK_TOP[0] - 0x800;
/// The second TSS.
const SECOND: u32 = TSS + 0x400;

fn nothing(_: &mut Guest) {}

fn part(index: u32) -> u32 {
    CODE + PART * index
}

/// A far transfer's bytes, 32-bit code.
fn far(opcode: u8, selector: u16, offset: u32) -> Vec<u8> {
    let mut bytes = vec![opcode];
    bytes.extend(offset.to_le_bytes());
    bytes.extend(selector.to_le_bytes());
    bytes
}
const JUMP: u8 = 0xEA;
const CALL: u8 = 0x9A;

/// Places the parts of a program of 32-bit code; the last one's end is the end.
fn parts(guest: &mut Guest, codes: &[Code]) -> u32 {
    let mut last = CODE;
    for (index, code) in (0..).zip(codes) {
        last = guest.place(part(index), 32, code).end();
        assert!(last <= part(index + 1) - 2, "part {index} is too long");
    }
    end(guest, last);
    last
}

/// Fills what strings read.
fn fill(guest: &mut Guest) {
    for at in (0..0x400).step_by(4) {
        guest.poke(DATA + at, 0x9E37_79B9u32.wrapping_mul(at + 1));
    }
}

/// Page faults map the page and return.
fn map_on_fault(guest: &mut Guest) {
    fill(guest);
    guest.place(MAPS, 32, |a| {
        a.push(eax)?;
        a.inc(dword_ptr(EXCEPTIONS + 4 * u32::from(exceptions::PF)).ss())?;
        a.mov(eax, cr2)?;
        a.shr(eax, 12)?;
        a.or(dword_ptr(eax * 4 + PAGE_TABLE).ss(), 7)?;
        a.mov(eax, cr3)?;
        a.mov(cr3, eax)?;
        a.pop(eax)?;
        a.add(esp, 4)?;
        a.iretd()
    });
    let gate = segments::gate(selector::CODE_0, MAPS, 0x8E, 0);
    guest.gate(exceptions::PF, gate);
}

/// All scenes of this file.
pub fn scenes() -> Vec<Scene> {
    let mut all = strings();
    all.extend(memory());
    all.extend(stack());
    all.extend(near());
    all.extend(far_transfers());
    all.extend(gates());
    all.extend(selectors());
    all.extend(system());
    all.extend(faults());
    all.extend(debugging());
    all.extend(tasks());
    all.extend(virtual_mode());
    all.extend(real_mode());
    all
}

fn strings() -> Vec<Scene> {
    let scene = |name: &str, ring, code: Code| Scene::new(name, ring, &[], fill, code);
    let mut all = vec![
        scene("strings once", 3, |a| {
            a.movsb()?;
            a.movsw()?;
            a.movsd()?;
            a.lodsb()?;
            a.lodsw()?;
            a.lodsd()?;
            a.stosb()?;
            a.stosw()?;
            a.stosd()?;
            a.scasb()?;
            a.scasw()?;
            a.scasd()?;
            a.cmpsb()?;
            a.cmpsw()?;
            a.cmpsd()
        }),
        scene("strings backwards", 0, |a| {
            a.std()?;
            a.add(esi, 0x40)?;
            a.rep().movsb()?;
            a.mov(ecx, 3)?;
            a.rep().stosd()?;
            a.mov(ecx, 3)?;
            a.rep().lodsw()?;
            a.mov(ecx, 3)?;
            a.repe().cmpsd()?;
            a.mov(ecx, 3)?;
            a.repne().scasb()?;
            a.cld()
        }),
        scene("rep movs", 3, |a| {
            a.rep().movsb()?;
            a.mov(ecx, 3)?;
            a.rep().movsw()?;
            a.mov(ecx, 3)?;
            a.rep().movsd()
        }),
        scene(
            "rep movs of nothing, of one, and of 16-bit addresses",
            3,
            |a| {
                a.xor(ecx, ecx)?;
                a.rep().movsb()?;
                a.inc(ecx)?;
                a.rep().movsd()?;
                a.mov(ecx, 0xABCD_0002u32)?;
                a.mov(esi, 0xABCD_8000u32)?;
                a.mov(edi, 0xABCD_0000u32)?;
                // To FS, whose base is DATA; from DS:8000h.
                a.push(es)?;
                a.push(i32::from(selector::SMALL_DATA))?;
                a.pop(es)?;
                a.db(&[0x67, 0xF3, 0xA4])?;
                a.pop(es)
            },
        ),
        scene("rep movs of blocks", 3, |a| {
            a.mov(edi, (DATA + 0x1000) as i32)?;
            a.mov(ecx, 0x4A)?;
            a.rep().movsd()
        }),
        scene("rep movs of blocks to an odd address, bytes", 0, |a| {
            a.mov(esi, (DATA + 5) as i32)?;
            a.mov(edi, (DATA + 0xFFD) as i32)?;
            a.mov(ecx, 0x8A)?;
            a.rep().movsb()
        }),
        scene("rep movs that overlaps", 3, |a| {
            a.lea(edi, dword_ptr(esi + 3))?;
            a.mov(ecx, 10)?;
            a.rep().movsb()
        }),
        scene("rep stos", 3, |a| {
            a.rep().stosb()?;
            a.mov(ecx, 3)?;
            a.rep().stosw()?;
            a.mov(ecx, 3)?;
            a.rep().stosd()
        }),
        scene("rep stos of blocks across a page", 3, |a| {
            a.mov(edi, (DATA + 0xF40) as i32)?;
            a.mov(ecx, 0x64)?;
            a.rep().stosd()
        }),
        scene("rep lods", 3, |a| {
            a.rep().lodsb()?;
            a.mov(ecx, 3)?;
            a.rep().lodsw()?;
            a.mov(ecx, 3)?;
            a.rep().lodsd()
        }),
        scene("repeated scas", 3, |a| {
            a.xor(eax, eax)?;
            a.repe().scasb()?;
            a.mov(ecx, 3)?;
            a.repne().scasw()?;
            a.mov(ecx, 3)?;
            a.repe().scasd()
        }),
        scene("repeated cmps", 3, |a| {
            a.mov(edi, esi)?;
            a.repe().cmpsb()?;
            a.mov(ecx, 3)?;
            a.repne().cmpsw()?;
            a.mov(ecx, 3)?;
            a.repe().cmpsd()
        }),
        scene("ins and outs", 3, |a| {
            a.mov(edx, 0xE9)?;
            a.insb()?;
            a.insw()?;
            a.insd()?;
            a.outsb()?;
            a.outsw()?;
            a.outsd()?;
            a.mov(ecx, 3)?;
            a.rep().outsb()?;
            a.mov(ecx, 2)?;
            a.rep().outsd()?;
            a.mov(ecx, 3)?;
            a.rep().insb()?;
            a.mov(ecx, 2)?;
            a.rep().insw()
        }),
    ];
    all.push(Scene::new(
        "rep movs into a page to be mapped",
        3,
        &[],
        map_on_fault,
        |a| {
            a.mov(edi, (ABSENT_PAGE - 6) as i32)?;
            a.mov(ecx, 4)?;
            a.rep().movsd()
        },
    ));
    all.push(Scene::new(
        "rep movs of blocks into a page to be mapped",
        3,
        &[],
        map_on_fault,
        |a| {
            a.mov(edi, (ABSENT_PAGE - 0x98) as i32)?;
            a.mov(ecx, 0x32)?;
            a.rep().movsd()
        },
    ));
    all.push(Scene::new(
        "rep cmps and ins with pages to be mapped",
        3,
        &[],
        map_on_fault,
        |a| {
            a.mov(edi, (ABSENT_PAGE - 2) as i32)?;
            a.mov(edx, 0xE9)?;
            a.mov(ecx, 4)?;
            a.rep().insb()?;
            a.mov(dword_ptr(SUPERVISOR_PAGE), eax)?;
            a.mov(edi, (ABSENT_PAGE + 0xFFF) as i32)?;
            a.mov(ecx, 3)?;
            a.repne().cmpsb()
        },
    ));
    all
}

fn memory() -> Vec<Scene> {
    vec![
        Scene::new("loads and stores with page walks", 3, &[], nothing, |a| {
            a.mov(eax, dword_ptr(DATA + 0x1000))?;
            a.mov(dword_ptr(DATA + 0x2000), eax)?;
            a.add(dword_ptr(DATA + 0x3004), 5)?;
            a.mov(ecx, dword_ptr(DATA + 0x4FFE))?;
            a.mov(dword_ptr(DATA + 0x6FFD), ecx)?;
            a.inc(dword_ptr(DATA + 0x8FFF))?;
            a.xchg(dword_ptr(DATA + 0xA000), edx)?;
            a.push(dword_ptr(DATA + 0xB000))?;
            a.pop(dword_ptr(DATA + 0xC000))
        }),
        Scene::new(
            "loads and stores that raise page faults and go on",
            3,
            &[],
            map_on_fault,
            |a| {
                a.mov(eax, dword_ptr(ABSENT_PAGE))?;
                a.mov(dword_ptr(READ_ONLY_PAGE), esi)?;
                a.add(dword_ptr(SUPERVISOR_PAGE - 2), esi)
            },
        ),
        Scene::new(
            "reads and writes across two pages to be mapped",
            3,
            &[],
            |guest| {
                map_on_fault(guest);
                guest.page(ABSENT_PAGE + 0x1000, 0);
            },
            |a| {
                a.add(dword_ptr(ABSENT_PAGE + 0xFFE), esi)?;
                a.lock().xadd(dword_ptr(ABSENT_PAGE + 0xFFD), ecx)?;
                a.push(dword_ptr(ABSENT_PAGE + 0xFFF))?;
                a.pop(dword_ptr(READ_ONLY_PAGE - 3))
            },
        ),
        Scene::new(
            "registers onto pages to be mapped",
            3,
            &[],
            |guest| {
                map_on_fault(guest);
                guest.page(ABSENT_PAGE - 0x1000, paging::PRESENT | paging::USER);
            },
            |a| {
                a.mov(esp, (ABSENT_PAGE + 0x12) as i32)?;
                a.pushad()?;
                a.popad()?;
                a.mov(esp, (USER_STACK_TOP - 0x100) as i32)
            },
        ),
        Scene::new(
            "frames onto pages to be mapped",
            3,
            &[],
            map_on_fault,
            |a| {
                a.mov(esp, READ_ONLY_PAGE as i32 + 8)?;
                a.mov(ebp, (DATA + 0x100) as i32)?;
                a.enter(8, 3)?;
                a.leave()?;
                a.mov(esp, (USER_STACK_TOP - 0x100) as i32)
            },
        ),
        Scene::new(
            "compare and exchange eight bytes, all forms of addresses",
            3,
            &[],
            fill,
            |a| {
                a.mov(eax, dword_ptr(ebx))?;
                a.mov(edx, dword_ptr(ebx + 4))?;
                a.cmpxchg8b(qword_ptr(ebx))?;
                a.lock().cmpxchg8b(qword_ptr(ebx + 0xFFC))?;
                a.mov(ecx, dword_ptr(ebx + esi * 1 - DATA as i32))?;
                a.mov(ecx, 2)?;
                a.lea(eax, dword_ptr(ebx + ecx * 8 + 3))?;
                a.mov(edx, dword_ptr(eax))?;
                a.mov(edx, dword_ptr(ebx + ecx * 4 + 0x7C))
            },
        ),
    ]
}

fn stack() -> Vec<Scene> {
    let scene = |name: &str, ring, code: Code| Scene::new(name, ring, &[], fill, code);
    let mut all = Vec::new();
    for ring in [0, 3] {
        all.push(scene(&format!("all registers, ring {ring}"), ring, |a| {
            a.pushad()?;
            a.pusha()?;
            a.popa()?;
            a.popad()?;
            a.pushfd()?;
            a.pushf()?;
            a.popf()?;
            a.popfd()
        }));
        all.push(scene(&format!("frames, ring {ring}"), ring, |a| {
            a.mov(edx, esp)?;
            a.enter(16, 0)?;
            a.leave()?;
            a.enter(4, 1)?;
            a.enter(8, 3)?;
            a.leave()?;
            a.leave()?;
            a.db(&[0x66, 0xC8, 8, 0, 0])?; // ENTER of 16 bits
            a.mov(esp, edx)
        }));
        all.push(scene(&format!("pushes and pops, ring {ring}"), ring, |a| {
            a.push(0x1234_5678)?;
            a.push(5)?;
            a.push(esp)?;
            a.push(dword_ptr(ebx))?;
            a.push(dword_ptr(esp + 4))?;
            a.db(&[0x66, 0x68, 0x34, 0x12])?;
            a.db(&[0x66, 0x6A, 0x12])?;
            a.pop(eax)?;
            a.pop(dword_ptr(esp + 4))?;
            a.pop(ecx)?;
            a.pop(edx)?;
            a.db(&[0x66, 0x58])?;
            a.db(&[0x66, 0x59])?;
            a.pop(dword_ptr(ebx))
        }));
        all.push(scene(
            &format!("flags that admit interrupts, ring {ring}"),
            ring,
            |a| {
                a.pushfd()?;
                a.cli()?;
                a.pushfd()?;
                a.sti()?;
                a.popfd()?;
                a.nop()?;
                a.sti()?;
                a.cli()?;
                a.sti()?;
                a.sti()?;
                a.nop()?;
                a.cli()?;
                a.mov(eax, 7)?;
                a.popfd()?;
                a.inc(eax)?;
                a.cli()?;
                a.sti()?;
                a.push(ecx)?;
                a.pop(edx)
            },
        ));
    }
    all
}

fn near() -> Vec<Scene> {
    vec![
        Scene::placed("near calls, jumps and returns", 3, |guest| {
            guest.poke(DATA, part(2));
            guest.poke(DATA + 4, part(4));
            guest.place(part(1), 32, |a| {
                a.inc(eax)?;
                a.ret()
            });
            guest.place(part(2), 32, |a| {
                a.inc(eax)?;
                a.ret_1(8)
            });
            guest.place(part(3), 32, |a| {
                a.jmp(dword_ptr(ebx + 4))?;
                a.nop()
            });
            guest.place(part(4), 32, |a| {
                let mut over = a.create_label();
                a.jmp(over)?;
                a.nop()?;
                a.set_label(&mut over)?;
                a.jmp(u64::from(part(6)))
            });
            let last = guest.place(part(6), 32, |a| a.inc(edx));
            guest.place(CODE, 32, |a| {
                a.call(u64::from(part(1)))?;
                a.push(1)?;
                a.push(2)?;
                a.call(dword_ptr(ebx))?;
                a.mov(ecx, part(1))?;
                a.call(ecx)?;
                a.call(ecx)?;
                a.mov(ecx, part(3))?;
                a.jmp(ecx)
            });
            end(guest, last.end());
            last.end()
        }),
        Scene::new(
            "branches that depend on what comes before",
            3,
            &[],
            nothing,
            |a| {
                for _ in 0..2 {
                    let mut labels = [(); 3].map(|()| a.create_label());
                    a.cmp(eax, ecx)?;
                    a.je(labels[0])?;
                    a.add(ecx, 3)?;
                    a.set_label(&mut labels[0])?;
                    a.loop_(labels[1])?;
                    a.inc(edx)?;
                    a.set_label(&mut labels[1])?;
                    a.test(ecx, ecx)?;
                    a.jne(labels[2])?;
                    a.inc(edx)?;
                    a.set_label(&mut labels[2])?;
                    a.nop()?;
                }
                Ok(())
            },
        ),
    ]
}

fn far_transfers() -> Vec<Scene> {
    let mut all = Vec::new();
    for (ring, code) in [(0, selector::CODE_0), (3, selector::CODE_3)] {
        all.push(Scene::placed(
            &format!("far transfers, ring {ring}"),
            ring,
            move |guest| {
                guest.poke(DATA, part(2));
                guest.poke(DATA + 4, code.into());
                guest.poke(DATA + 8, part(4));
                guest.poke(DATA + 12, code.into());
                guest.place(part(1), 32, |a| a.retf());
                guest.place(part(2), 32, |a| a.retf_1(4));
                guest.place(part(3), 32, |a| a.jmp(fword_ptr(ebx + 8)));
                guest.place(part(4), 32, |a| {
                    a.pushfd()?;
                    a.push(cs)?;
                    a.push(part(5) as i32)?;
                    a.iretd()
                });
                guest.place(part(5), 32, |a| {
                    a.push(cs)?;
                    a.push(part(6) as i32)?;
                    a.retf()
                });
                let last = guest.place(part(6), 32, |a| a.inc(edx));
                guest.place(CODE, 32, |a| {
                    a.db(&far(CALL, code, part(1)))?;
                    a.push(7)?;
                    a.call(fword_ptr(ebx))?;
                    a.db(&far(JUMP, code, part(3)))
                });
                end(guest, last.end());
                last.end()
            },
        ));
    }
    all.push(Scene::placed(
        "return and IRET to outer rings",
        0,
        |guest| {
            parts(
                guest,
                &[
                    |a| {
                        a.push(i32::from(selector::DATA_1))?;
                        a.push((STACK_TOP[1] - 0x100) as i32)?;
                        a.pushfd()?;
                        a.push(i32::from(selector::CODE_1))?;
                        a.push(part(1) as i32)?;
                        a.iretd()
                    },
                    |a| {
                        a.mov(eax, i32::from(selector::DATA_3))?;
                        a.mov(ds, eax)?;
                        a.mov(es, eax)?;
                        a.push(i32::from(selector::DATA_3))?;
                        a.push((USER_STACK_TOP - 0x80) as i32)?;
                        a.push(i32::from(selector::CODE_3))?;
                        a.push(part(2) as i32)?;
                        a.retf()
                    },
                    |a| {
                        a.push(eax)?;
                        a.pop(ecx)
                    },
                ],
            )
        },
    ));
    all
}

fn gates() -> Vec<Scene> {
    let mut all = Vec::new();
    all.push(Scene::placed("call gates", 3, |guest| {
        let target = guest.gate_target();
        guest.place(target, 32, |a| {
            a.mov(eax, dword_ptr(esp + 12))?;
            a.retf_1(12)
        });
        for (gate, code, parameters) in [
            (selector::CALL_GATE_3, selector::CODE_0, 3),
            (selector::CALL_GATE_RING_1, selector::CODE_1, 3),
        ] {
            let access = ACCESS_PRESENT | segments::ACCESS_DPL | segments::CALL_GATE_32;
            guest.descriptor(gate, segments::gate(code, target, access, parameters));
        }
        parts(
            guest,
            &[|a| {
                for gate in [selector::CALL_GATE_3, selector::CALL_GATE_RING_1] {
                    a.push(3)?;
                    a.push(2)?;
                    a.push(1)?;
                    a.db(&far(CALL, gate, 0))?;
                    a.inc(eax)?;
                }
                Ok(())
            }],
        )
    }));
    for (name, kind) in [
        ("interrupt gate", segments::INTERRUPT_GATE_32),
        ("trap gate", segments::TRAP_GATE_32),
    ] {
        for ring in [0, 1, 3] {
            all.push(Scene::placed(
                &format!("{name}, from ring {ring}"),
                ring,
                move |guest| {
                    let target = guest.gate_target();
                    guest.place(target, 32, |a| {
                        a.inc(edx)?;
                        a.iretd()
                    });
                    let access = ACCESS_PRESENT | segments::ACCESS_DPL | kind;
                    guest.gate(
                        vector::USER,
                        segments::gate(selector::CODE_0, target, access, 0),
                    );
                    parts(
                        guest,
                        &[|a| {
                            a.int(i32::from(vector::USER))?;
                            a.inc(edx)?;
                            a.int3()?;
                            a.mov(eax, 0x7FFF_FFFF)?;
                            a.into()?;
                            a.inc(eax)?;
                            a.into()?;
                            a.db(&[0xF1])?;
                            a.inc(eax)
                        }],
                    )
                },
            ));
        }
    }
    all.push(Scene::placed(
        "gates of 16 bits from code of 16 bits",
        3,
        |guest| {
            guest.load(number::CS, selector::CODE_16);
            guest.load(number::SS, selector::DATA_16);
            guest.set(number::EIP, 0);
            guest.set(4, 0x8000);
            let target = guest.gate_target();
            guest.place(target, 32, |a| a.iret());
            guest.place(target + 0x20, 32, |a| a.db(&[0x66, 0xCA, 4, 0]));
            let open = ACCESS_PRESENT | segments::ACCESS_DPL;
            let gate =
                |offset, kind, count| segments::gate(selector::CODE_0, offset, open | kind, count);
            guest.gate(vector::USER, gate(target, segments::INTERRUPT_GATE_16, 0));
            guest.gate(vector::TRAP, gate(target, segments::TRAP_GATE_16, 0));
            guest.descriptor(
                selector::CALL_GATE,
                gate(target + 0x20, segments::CALL_GATE_16, 2),
            );
            let program = guest.place(CODE, 16, |a| {
                a.int(i32::from(vector::USER))?;
                a.inc(ax)?;
                a.int(i32::from(vector::TRAP))?;
                a.push(1)?;
                a.push(2)?;
                a.db(&[CALL, 0, 0, selector::CALL_GATE as u8, 0])?;
                a.push(sp)?;
                a.pusha()?;
                a.popa()?;
                a.pop(ax)
            });
            end(guest, program.end());
            program.end() - CODE
        },
    ));
    for (name, eflags) in [("", EFLAGS), (" without interrupts", EFLAGS & !flags::IF)] {
        all.push(Scene::placed(
            &format!("SYSENTER and SYSEXIT{name}"),
            3,
            move |guest| {
                guest.set(number::EFLAGS, eflags);
                let target = guest.gate_target();
                guest.place(target, 32, |a| {
                    a.push(edx)?;
                    a.push(ecx)?;
                    a.mov(eax, dword_ptr(esp))?;
                    a.pop(ecx)?;
                    a.pop(edx)?;
                    a.sti()?;
                    a.db(&[0x0F, 0x35])
                });
                guest.set(number::SYSENTER_EIP, target);
                guest.set(number::SYSENTER_ESP, STACK_TOP[0] - 0x200);
                parts(
                    guest,
                    &[
                        |a| {
                            a.mov(edx, part(1))?;
                            a.mov(ecx, esp)?;
                            a.db(&[0x0F, 0x34])
                        },
                        |a| {
                            a.push(eax)?;
                            a.pop(esi)
                        },
                    ],
                )
            },
        ));
    }
    all
}

fn selectors() -> Vec<Scene> {
    fn pointers(guest: &mut Guest) {
        fill(guest);
        for (index, selector) in (0..).zip([
            selector::DATA_3,
            selector::SMALL_DATA,
            selector::READ_ONLY,
            selector::LOCAL_DATA,
            0,
        ]) {
            guest.poke(DATA + 8 * index, 0x1234_5600 + index);
            guest.poke(DATA + 8 * index + 4, selector.into());
        }
        guest.poke(DATA + 0x40, USER_STACK_TOP - 0x180);
        guest.poke(DATA + 0x44, selector::DATA_3.into());
        // Loads set the accessed bits.
        for selector in [
            selector::SMALL_DATA,
            selector::READ_ONLY,
            selector::LOCAL_DATA,
        ] {
            let descriptor = guest.read_descriptor(selector);
            guest.descriptor(selector, descriptor & !(1 << 40));
        }
    }
    vec![
        Scene::new(
            "moves to and from segment registers",
            3,
            &[],
            pointers,
            |a| {
                for segment in [es, cs, ss, ds, fs, gs] {
                    a.mov(word_ptr(ebx + 0x80), segment)?;
                    a.mov(eax, segment)?;
                }
                a.mov(eax, i32::from(selector::SMALL_DATA))?;
                a.mov(es, eax)?;
                a.mov(fs, word_ptr(ebx + 0x14))?;
                a.mov(gs, word_ptr(ebx + 0x1C))?;
                a.mov(ds, word_ptr(ebx + 4))?;
                a.mov(ecx, dword_ptr(ebx).fs())
            },
        ),
        Scene::new(
            "pushes and pops of segment registers",
            3,
            &[],
            pointers,
            |a| {
                a.push(es)?;
                a.push(cs)?;
                a.pop(eax)?;
                a.push(ss)?;
                a.push(ds)?;
                a.push(fs)?;
                a.push(gs)?;
                a.push(dword_ptr(ebx + 0x0C))?;
                a.pop(es)?;
                a.push(dword_ptr(ebx + 0x14))?;
                a.pop(fs)?;
                a.pop(gs)?;
                a.pop(fs)?;
                a.pop(ds)?;
                a.pop(ss)?;
                a.pop(es)?;
                a.push(0)?;
                a.pop(gs)
            },
        ),
        Scene::new("far pointers", 3, &[], pointers, |a| {
            a.les(eax, fword_ptr(ebx + 8))?;
            a.lfs(ecx, fword_ptr(ebx + 16))?;
            a.lgs(edx, fword_ptr(ebx + 24))?;
            a.lss(esp, fword_ptr(ebx + 0x40))?;
            a.push(eax)?;
            a.lds(esi, fword_ptr(ebx))?;
            a.lfs(ecx, fword_ptr(ebx + 32))
        }),
        Scene::new("loads of SS shield what follows", 0, &[], nothing, |a| {
            a.mov(eax, ss)?;
            a.mov(ecx, esp)?;
            // A stack that must not be used between the two.
            a.mov(ss, eax)?;
            a.mov(esp, (STACK_TOP[0] - 0x300) as i32)?;
            a.push(ecx)?;
            a.push(ss)?;
            a.pop(ss)?;
            a.pop(esp)?;
            a.mov(ss, eax)?;
            a.mov(ss, eax)?;
            a.nop()?;
            a.cli()?;
            a.mov(ss, eax)?;
            a.sti()?;
            a.mov(ss, eax)?;
            a.nop()
        }),
        Scene::new("questions about selectors", 3, &[], pointers, |a| {
            for selector in [
                selector::DATA_3,
                selector::CODE_0,
                selector::SMALL_DATA,
                selector::NULL,
            ] {
                a.mov(ecx, u32::from(selector))?;
                a.lar(eax, ecx)?;
                a.lsl(edx, ecx)?;
                a.verr(cx)?;
                a.verw(cx)?;
            }
            a.lar(eax, dword_ptr(ebx + 4))?;
            a.lsl(edx, dword_ptr(ebx + 0x0C))?;
            a.verr(word_ptr(ebx + 4))?;
            a.mov(ecx, 3)?;
            a.arpl(word_ptr(ebx + 0x24), cx)?;
            a.arpl(dx, cx)
        }),
    ]
}

fn system() -> Vec<Scene> {
    let scene = |name: &str, code: Code| Scene::new(name, 0, &[], fill, code);
    vec![
        scene("descriptor tables", |a| {
            a.sgdt(fword_ptr(ebx))?;
            a.sidt(fword_ptr(ebx + 8))?;
            a.lgdt(fword_ptr(ebx))?;
            a.lidt(fword_ptr(ebx + 8))?;
            a.sldt(eax)?;
            a.sldt(word_ptr(ebx + 0x10))?;
            a.str(ecx)?;
            a.str(word_ptr(ebx + 0x14))?;
            a.lldt(ax)?;
            a.mov(eax, i32::from(selector::SECOND_TSS))?;
            a.ltr(ax)?;
            a.str(edx)
        }),
        scene("control registers", |a| {
            a.mov(eax, cr0)?;
            a.or(eax, 0x1_0000)?;
            a.mov(cr0, eax)?;
            a.smsw(ecx)?;
            a.smsw(word_ptr(ebx))?;
            a.or(ecx, 8)?;
            a.lmsw(cx)?;
            a.clts()?;
            a.mov(edx, cr3)?;
            a.mov(cr3, edx)?;
            a.mov(eax, dword_ptr(ebx))?;
            a.mov(cr2, esi)?;
            a.mov(edi, cr2)?;
            a.mov(eax, cr4)?;
            a.or(eax, 0x80)?;
            a.mov(cr4, eax)?;
            a.invlpg(byte_ptr(ebx))?;
            a.mov(ecx, dword_ptr(ebx))?;
            a.invd()?;
            a.wbinvd()
        }),
        scene("debug registers", |a| {
            a.mov(eax, DATA + 0x500)?;
            a.mov(dr0, eax)?;
            a.mov(dr1, eax)?;
            a.mov(ecx, dr0)?;
            a.mov(eax, dr6)?;
            a.mov(dr6, eax)?;
            a.mov(eax, dr7)?;
            a.or(eax, 2)?;
            a.mov(dr7, eax)?;
            a.mov(edx, dr7)
        }),
        scene("model-specific registers and identification", |a| {
            a.mov(ecx, 0x175)?;
            a.rdmsr()?;
            a.add(eax, 4)?;
            a.wrmsr()?;
            a.rdmsr()?;
            a.mov(esi, eax)?;
            a.rdtsc()?;
            a.mov(ecx, 0x10)?;
            a.rdmsr()?;
            a.mov(eax, 1)?;
            a.cpuid()?;
            a.xor(eax, eax)?;
            a.cpuid()
        }),
        scene("HLT, which an event ends", |a| {
            a.inc(eax)?;
            a.hlt()?;
            a.inc(eax)
        }),
        scene("HLT behind STI", |a| {
            a.cli()?;
            a.inc(eax)?;
            a.sti()?;
            a.hlt()?;
            a.inc(eax)
        }),
    ]
}

fn faults() -> Vec<Scene> {
    let scene = |name: &str, faults, code: Code| Scene::new(name, 3, faults, fill, code);
    vec![
        scene("unsigned divisions and their faults", &[2, 6], |a| {
            a.xor(edx, edx)?;
            a.xor(ecx, ecx)?;
            a.div(ecx)?; // 2
            a.mov(ecx, 5)?;
            a.div(ecx)?;
            a.mov(ax, 0x7FFF)?;
            a.div(cl)?; // 6
            a.mov(ax, 0x102)?;
            a.div(cl)?;
            a.xor(edx, edx)?;
            a.div(dword_ptr(ebx + 8))?;
            a.inc(eax)
        }),
        scene("signed divisions and their faults", &[2, 5, 7], |a| {
            a.mov(edx, 0x7000_0000)?;
            a.mov(ecx, 5)?;
            a.idiv(ecx)?; // 2
            a.xor(edx, edx)?;
            a.idiv(ecx)?;
            a.db(&[0xD4, 0])?; // 5: AAM 0
            a.xor(ax, ax)?;
            a.idiv(byte_ptr(ebx + 0x900))?; // 7
            a.inc(eax)
        }),
        scene("undefined opcodes", &[0, 1, 3], |a| {
            a.ud2()?;
            a.db(&[0x0F, 0xAA])?; // RSM
            a.inc(eax)?;
            a.db(&[0xF0, 0x90])?; // 3: LOCK NOP
            a.inc(eax)
        }),
        scene("undefined opcodes with operands", &[0, 2], |a| {
            a.db(&[0x0F, 0xB9, 0xC0])?;
            a.inc(eax)?;
            a.db(&[0x0F, 0xFF, 0xC0])?; // 2
            a.inc(eax)
        }),
        Scene::new(
            "bounds",
            3,
            &[4],
            |guest| {
                guest.poke(DATA, 3);
                guest.poke(DATA + 4, 9);
            },
            |a| {
                a.mov(ecx, 3)?;
                a.bound(ecx, qword_ptr(ebx))?;
                a.inc(ecx)?;
                a.mov(edx, 10)?;
                a.bound(edx, qword_ptr(ebx))?; // 4
                a.inc(edx)
            },
        ),
        scene("what ring 3 may not do", &[0, 1, 3], |a| {
            a.hlt()?;
            a.mov(eax, cr0)?;
            a.inc(eax)?;
            a.rdpmc()?; // 3
            a.inc(eax)
        }),
        scene("where ring 3 may not go", &[0, 2, 3], |a| {
            a.mov(ds, ecx)?; // the selector 5
            a.inc(eax)?;
            a.db(&far(JUMP, selector::CODE_0, CODE))?; // 2
            a.db(&[0xCD, vector::RING_0_ONLY])?; // 3
            a.inc(eax)
        }),
        scene("segments that are not present", &[1, 3, 4], |a| {
            a.mov(eax, i32::from(selector::ABSENT_DATA))?;
            a.mov(es, eax)?; // 1
            a.mov(eax, i32::from(selector::ABSENT_DATA))?;
            a.mov(ss, eax)?; // 3
            a.db(&[0xCD, vector::ABSENT])?; // 4
            a.inc(eax)
        }),
        scene("accesses beyond a segment", &[2, 4], |a| {
            a.mov(eax, i32::from(selector::SMALL_DATA))?;
            a.mov(fs, eax)?;
            a.mov(edx, dword_ptr(0xFE).fs())?; // 2
            a.mov(edx, dword_ptr(0xFC).fs())?;
            a.inc(dword_ptr(0xFD).fs())?; // 4
            a.inc(eax)
        }),
        scene("page faults passed over", &[0, 2], |a| {
            a.mov(eax, dword_ptr(ABSENT_PAGE))?;
            a.inc(ecx)?;
            a.inc(dword_ptr(READ_ONLY_PAGE))?; // 2
            a.inc(eax)
        }),
        scene("page faults in the middle passed over", &[1, 2], |a| {
            a.mov(edi, (ABSENT_PAGE - 8) as i32)?;
            a.push(dword_ptr(ABSENT_PAGE - 2))?; // 1
            a.rep().movsd()?; // 2
            a.inc(eax)
        }),
        Scene::new(
            "alignment checks",
            3,
            &[3],
            |guest| {
                let control = guest.get(number::CR0);
                guest.set(number::CR0, control | control_registers::CR0_AM);
            },
            |a| {
                a.pushfd()?;
                a.or(dword_ptr(esp), flags::AC as i32)?;
                a.popfd()?;
                a.mov(eax, dword_ptr(ebx + 1))?; // 3
                a.mov(eax, dword_ptr(ebx + 4))?;
                a.inc(eax)
            },
        ),
    ]
}

/// Breakpoint `index` at `address`, enabled, of this kind and length.
fn breakpoint(guest: &mut Guest, index: u8, address: u32, kind: u32, bytes: u32) {
    guest.set(number::DR0 + index, address);
    let old = guest.get(number::DR7);
    let control = (kind | (bytes - 1) << 2) << (16 + 4 * index);
    guest.set(number::DR7, old | control | 1 << (2 * index));
}

fn debugging() -> Vec<Scene> {
    let mut all = Vec::new();
    for ring in [0, 3] {
        all.push(Scene::new(
            format!("breakpoints, ring {ring}"),
            ring,
            &[],
            |guest| {
                fill(guest);
                // The second instruction, the store, and what the string writes.
                breakpoint(guest, 0, CODE + 1, 0, 1);
                breakpoint(guest, 1, DATA + 0x40, 1, 4);
                breakpoint(guest, 2, DATA + 0x102, 1, 1);
                breakpoint(guest, 3, DATA + 0x44, 3, 2);
            },
            |a| {
                a.inc(eax)?;
                a.inc(edx)?;
                a.mov(dword_ptr(ebx + 0x40), eax)?;
                a.add(word_ptr(ebx + 0x43), cx)?;
                a.rep().movsb()?;
                a.push(dword_ptr(ebx + 0x44))?;
                a.pop(ecx)
            },
        ));
        all.push(Scene::new(
            format!("single steps, ring {ring}"),
            ring,
            &[],
            |guest| {
                fill(guest);
                guest.set(number::EFLAGS, EFLAGS | flags::TF);
                guest.set(1, 2);
            },
            |a| {
                a.rep().movsb()?;
                a.pushfd()?;
                a.and(dword_ptr(esp), !(flags::TF as i32))?;
                a.popfd()?;
                a.inc(eax)
            },
        ));
        all.push(Scene::new(
            format!("single steps over a load of SS and a fault, ring {ring}"),
            ring,
            &[5],
            fill,
            |a| {
                a.mov(ecx, ss)?;
                a.pushfd()?;
                a.or(dword_ptr(esp), flags::TF as i32)?;
                a.popfd()?;
                a.mov(ss, ecx)?;
                a.ud2()?; // 5
                a.push(EFLAGS as i32)?;
                a.popfd()?;
                a.inc(eax)
            },
        ));
    }
    all.push(Scene::new(
        "single steps over interrupts",
        3,
        &[],
        |guest| {
            let target = guest.gate_target();
            guest.place(target, 32, |a| a.iretd());
            guest.gate(vector::USER, interrupt_gate(target));
            guest.set(number::EFLAGS, EFLAGS | flags::TF);
        },
        |a| {
            a.int(i32::from(vector::USER))?;
            a.int3()?;
            a.inc(eax)?;
            a.pushfd()?;
            a.and(dword_ptr(esp), !(flags::TF as i32))?;
            a.popfd()?;
            a.inc(eax)
        },
    ));
    all
}

/// The second task, in ring 0, of either kind of TSS; what it does first lies at `part(4)`.
fn second_task(guest: &mut Guest, wide: bool) {
    let kind = if wide {
        segments::TSS_32_AVAILABLE
    } else {
        segments::TSS_16_AVAILABLE
    };
    let limit = if wide { 0x67 } else { 0x2B };
    let task = segments::descriptor(
        SECOND,
        limit,
        ACCESS_PRESENT | segments::ACCESS_DPL | kind,
        0,
    );
    guest.descriptor(selector::SECOND_TSS, task);
    guest.poke(TSS + segments::TSS_CR3, PAGE_DIRECTORY);
    guest.poke(TSS + segments::TSS_LDT, selector::LDT.into());
    let size = if wide { 4 } else { 2 };
    let mut put = |at: u32, value: u32| {
        guest.poke_bytes(SECOND + at, &value.to_le_bytes()[..size as usize]);
    };
    let (eip, general, selectors, ldt) = if wide {
        (0x20, 0x28, 0x48, 0x60)
    } else {
        (0x0E, 0x12, 0x22, 0x2A)
    };
    if wide {
        put(segments::TSS_CR3, PAGE_DIRECTORY);
    }
    // Its code lies below 64 KB, so that a TSS of 16 bits can name it.
    put(eip, SECOND_CODE);
    put(eip + size, EFLAGS & 0xFFFF);
    for index in 0..8 {
        put(general + size * index, 0x1111 * (index + 1));
    }
    put(general + size * 4, TASK_STACK);
    let data = u32::from(selector::DATA_0);
    let stack = if wide { data } else { STACK_16.into() };
    let code = selector::CODE_0.into();
    for (index, value) in (0..).zip([data, code, stack, data, data, data]) {
        if wide || index < 4 {
            put(selectors + size * index, value);
        }
    }
    put(ldt, selector::LDT.into());
    // The upper half of ESP becomes ones.
    let access = ACCESS_PRESENT | segments::ACCESS_CODE_OR_DATA | segments::TYPE_WRITABLE;
    guest.descriptor(
        STACK_16,
        segments::descriptor(0, 0xFFFF, access | segments::TYPE_ACCESSED, 0),
    );
}

/// The first 64 KB as a stack of 16 bits.
const STACK_16: u16 = selector::RESERVED & !3;

/// Where the second task begins.
const SECOND_CODE: u32 = 0xF600;

fn tasks() -> Vec<Scene> {
    let mut all = Vec::new();
    for (name, wide) in [("32", true), ("16", false)] {
        for (way, opcode, ring) in [("CALL and IRET", CALL, 3), ("JMP", JUMP, 0)] {
            all.push(Scene::placed(
                &format!("tasks of {name} bits by {way}"),
                ring,
                move |guest| {
                    second_task(guest, wide);
                    guest.place(SECOND_CODE, 32, |a| {
                        a.inc(dword_ptr(DATA))?;
                        if opcode == CALL {
                            a.iretd()
                        } else {
                            a.db(&far(JUMP, selector::TSS, 0))
                        }
                    });
                    let program = guest.place(CODE, 32, |a| {
                        a.inc(eax)?;
                        a.db(&far(opcode, selector::SECOND_TSS | 3, 0))?;
                        a.inc(eax)
                    });
                    end(guest, program.end());
                    program.end()
                },
            ));
        }
        for fault in [false, true] {
            let what = if fault { "a fault" } else { "INT" };
            all.push(Scene::placed(
                &format!("a task gate to {name} bits by {what}"),
                3,
                move |guest| {
                    second_task(guest, wide);
                    let access = ACCESS_PRESENT | segments::ACCESS_DPL | segments::TASK_GATE;
                    let gate = segments::gate(selector::SECOND_TSS, 0, access, 0);
                    guest.gate(vector::USER, gate);
                    guest.gate(exceptions::GP, gate);
                    guest.place(SECOND_CODE, 32, |a| {
                        a.inc(dword_ptr(DATA))?;
                        if fault {
                            // Its code is on the stack; behind the instruction it goes on.
                            if wide {
                                a.pop(eax)?;
                            } else {
                                a.pop(ax)?;
                            }
                            a.inc(dword_ptr(TSS + 0x20))?;
                        }
                        a.iretd()
                    });
                    let program = guest.place(CODE, 32, |a| {
                        a.inc(eax)?;
                        if fault {
                            a.hlt()?;
                        } else {
                            a.int(i32::from(vector::USER))?;
                        }
                        a.inc(eax)
                    });
                    end(guest, program.end());
                    program.end()
                },
            ));
        }
    }
    all
}

/// Virtual-8086 mode: CS:0 is `CODE`, DS:0 is `DATA`.
const VIRTUAL_CS: u32 = CODE >> 4;
const VIRTUAL_SS: u32 = 0x3000;
const VIRTUAL_DS: u32 = DATA >> 4;
/// GS, FS, DS and ES.
const DATA_SEGMENTS: [u32; 4] = [
    VIRTUAL_DS + 0x30,
    VIRTUAL_DS + 0x20,
    VIRTUAL_DS,
    VIRTUAL_DS + 0x10,
];

/// Places what enters the mode and what ends the scene; returns the end.
fn enter_virtual_mode(guest: &mut Guest, eflags: u32, data: [u32; 4]) -> u32 {
    let enter = CODE + 0x8000;
    guest.place(enter, 32, |a| {
        for value in data {
            a.push(value as i32)?;
        }
        a.push(VIRTUAL_SS as i32)?;
        a.push(0x7F00)?;
        a.push((eflags | flags::VM) as i32)?;
        a.push(VIRTUAL_CS as i32)?;
        a.push(0)?;
        a.iretd()
    });
    guest.set(number::EIP, enter);
    let target = guest.gate_target();
    guest.gate(vector::COMPLETED, interrupt_gate(target));
    guest.gate(vector::USER, interrupt_gate(target + 0x80));
    guest.place(target + 0x80, 32, |a| {
        a.inc(edx)?;
        a.iretd()
    });
    let last = guest.place(target, 32, |a| {
        a.sti()?;
        a.inc(edx)
    });
    end(guest, last.end());
    last.end()
}

/// Code of IOPL 0 whose instructions of these numbers fault; it ends by INT3, which needs no IOPL.
fn faults_in_virtual_mode(guest: &mut Guest, faults: &[usize], code: Code) -> u32 {
    let last = enter_virtual_mode(guest, EFLAGS & !flags::IOPL, DATA_SEGMENTS);
    let done = guest.gate_target();
    guest.gate(exceptions::BP, interrupt_gate(done));
    let program = guest.place(CODE, 16, |a| {
        code(a)?;
        a.int3()
    });
    resume_behind(guest, &program, faults, CODE);
    last
}

fn virtual_mode() -> Vec<Scene> {
    vec![
        Scene::placed("virtual-8086 mode, IOPL 3", 0, |guest| {
            let last = enter_virtual_mode(guest, EFLAGS, DATA_SEGMENTS);
            guest.place(CODE + 0x100, 16, |a| a.retf());
            guest.place(CODE, 16, |a| {
                a.push(ds)?;
                a.pop(es)?;
                a.mov(word_ptr(0x10), ax)?;
                a.pushf()?;
                a.cli()?;
                a.sti()?;
                a.popf()?;
                a.pushfd()?;
                a.popfd()?;
                a.int(i32::from(vector::USER))?;
                a.mov(cx, 3)?;
                a.mov(si, 0x10)?;
                a.mov(di, 0x21)?;
                a.rep().movsw()?;
                a.db(&[CALL, 0x00, 0x01, VIRTUAL_CS as u8, (VIRTUAL_CS >> 8) as u8])?;
                a.pusha()?;
                a.popa()?;
                a.int(i32::from(vector::COMPLETED))
            });
            last
        }),
        Scene::placed("virtual-8086 mode, IOPL 0: what it guards", 0, |guest| {
            faults_in_virtual_mode(guest, &[1, 2], |a| {
                a.inc(ax)?;
                a.hlt()?;
                a.cli()
            })
        }),
        Scene::placed("virtual-8086 mode, IOPL 0: other faults", 0, |guest| {
            faults_in_virtual_mode(guest, &[0, 1, 3], |a| {
                a.out(0x80, al)?;
                a.db(&[0x0F, 0x00, 0xC0])?; // SLDT
                a.xor(cx, cx)?;
                a.div(cx)
            })
        }),
        Scene::placed("virtual-8086 mode, left by SYSENTER", 0, |guest| {
            // DS and ES are loaded before interrupts are admitted; all stay, so they must be good selectors, too.
            enter_virtual_mode(guest, EFLAGS, [selector::DATA_0.into(); 4]);
            let target = guest.gate_target() + 0x100;
            guest.set(number::SYSENTER_EIP, target);
            guest.set(number::SYSENTER_ESP, STACK_TOP[0] - 0x400);
            guest.place(CODE, 16, |a| {
                a.inc(ax)?;
                a.db(&[0x0F, 0x34])
            });
            let last = guest.place(target, 32, |a| {
                a.mov(eax, ss)?;
                a.mov(ds, eax)?;
                a.mov(es, eax)?;
                a.sti()?;
                a.inc(ax)
            });
            end(guest, last.end());
            last.end()
        }),
        Scene::placed("virtual-8086 mode by a task switch and back", 0, |guest| {
            second_task(guest, true);
            guest.poke(SECOND + 0x24, EFLAGS | flags::VM);
            guest.poke(SECOND + 0x20, 0);
            // Its stack of level 0.
            guest.poke(SECOND + 4, TASK_STACK);
            guest.poke(SECOND + 8, selector::DATA_0.into());
            for (index, value) in (0..).zip([VIRTUAL_DS, VIRTUAL_CS, VIRTUAL_SS, VIRTUAL_DS, 0, 0])
            {
                guest.poke(SECOND + 0x48 + 4 * index, value);
            }
            guest.poke(SECOND + 0x38, 0x7F00);
            let target = guest.gate_target();
            guest.place(target, 32, |a| a.db(&far(JUMP, selector::TSS, 0)));
            guest.gate(vector::USER, interrupt_gate(target));
            guest.place(CODE, 16, |a| {
                a.inc(word_ptr(0x10))?;
                a.push(ds)?;
                a.pop(es)?;
                a.int(i32::from(vector::USER))
            });
            let enter = CODE + 0x8000;
            guest.set(number::EIP, enter);
            let program = guest.place(enter, 32, |a| {
                a.inc(eax)?;
                a.db(&far(JUMP, selector::SECOND_TSS, 0))?;
                a.inc(eax)
            });
            end(guest, program.end());
            program.end()
        }),
    ]
}

fn real_mode() -> Vec<Scene> {
    /// CS:0 is `CODE`, DS:0 and ES:100h `DATA`, the stack ring 0's, which handlers use, too.
    fn enter(guest: &mut Guest) {
        guest.set(number::CR0, control_registers::CR0_ET);
        for (segment, value) in [
            (number::CS, CODE >> 4),
            (number::DS, DATA >> 4),
            (number::ES, (DATA >> 4) + 0x10),
            (number::SS, 0),
            (number::FS, 0),
            (number::GS, 0),
        ] {
            guest.set(number::SELECTOR + segment, value);
            guest.set(number::BASE + segment, value << 4);
            guest.set(number::LIMIT + segment, 0xFFFF);
            guest.set(number::ACCESS + segment, 0x93);
        }
        guest.set(number::BASE + number::IDTR, 0);
        guest.set(number::LIMIT + number::IDTR, 0x3FF);
        guest.set(number::EIP, 0);
        guest.set(4, STACK_TOP[0] - 0x100);
        for vector in [exceptions::NMI, INTERRUPT] {
            guest.poke(4 * u32::from(vector), REAL_MODE_HANDLER);
        }
        let at = CODE + 0x200;
        guest.place(at, 16, |a| {
            a.inc(dx)?;
            a.iret()
        });
        for vector in [vector::USER, exceptions::BP] {
            guest.poke(4 * u32::from(vector), 0x200 | (CODE >> 4) << 16);
        }
        for register in [6, 7] {
            guest.set(register, 0x40);
        }
    }
    vec![Scene::placed("real mode", 0, |guest| {
        enter(guest);
        guest.place(CODE + 0x100, 16, |a| a.retf());
        let program = guest.place(CODE, 16, |a| {
            a.int(i32::from(vector::USER))?;
            a.int3()?;
            a.push(ds)?;
            a.pop(es)?;
            a.mov(cx, 3)?;
            a.rep().movsw()?;
            a.db(&[CALL, 0x00, 0x01, VIRTUAL_CS as u8, (VIRTUAL_CS >> 8) as u8])?;
            a.pushf()?;
            a.cli()?;
            a.popf()?;
            a.add(word_ptr(0x20), ax)?;
            a.mov(ax, ss)?;
            a.mov(ss, ax)?;
            a.mov(sp, (STACK_TOP[0] - 0x200) as i32)?;
            a.inc(ax)
        });
        end(guest, program.end());
        program.end() - CODE
    })]
}
