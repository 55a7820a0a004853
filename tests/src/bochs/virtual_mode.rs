//! Virtual-8086 mode: what IOPL guards, segments and their ends, interrupts through every gate, the ways in and out.

use super::system::*;
use super::words::{ROM_CODE, far, segments, showing};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

type One = fn(&mut CodeAssembler) -> Result<(), IcedError>;

/// What runs in virtual-8086 mode with every IOPL.
const SENSITIVE: &[One] = &[
    |a| a.cli(),
    |a| {
        a.sti()?;
        a.nop()
    },
    |a| a.pushf(),
    |a| a.pushfd(),
    |a| {
        a.push(0x7FD7u32 as i32)?;
        a.popf()?;
        a.pushf()
    },
    |a| {
        a.push(0)?;
        a.popf()
    },
    |a| {
        a.db(&[0x66, 0x68, 0xD7, 0x7E, 0x3F, 0x00])?; // push 3F7ED7h
        a.popfd()?;
        a.pushfd()
    },
    |a| {
        a.db(&[0x66, 0x68, 0x02, 0x00, 0x00, 0x00])?;
        a.popfd()
    },
    |a| a.int3(),
    |a| {
        a.mov(al, 0x7F)?;
        a.add(al, 1)?;
        a.into()
    },
    |a| a.into(),
    |a| a.int(0x80),
    |a| a.int(0x82),
    |a| a.int(0x83),
    |a| a.int(0x84),
    |a| a.int(0x85),
    |a| a.int(0x86),
    |a| a.int(0x87),
    |a| a.int(0x88),
    |a| a.int(0x89),
    |a| a.int(0x8A),
    |a| a.int(0x8B),
    |a| a.int(0x8C),
    |a| a.int(0x8D),
    |a| a.int(0x90),
    |a| a.int(0x0D),
    |a| {
        // Into this mode again, with other flags.
        let mut target = a.create_label();
        a.push(0x7AD7)?;
        a.push(cs)?;
        a.call(target)?;
        a.set_label(&mut target)?;
        a.pop(ax)?;
        a.add(ax, 6)?;
        a.push(ax)?;
        a.nop()?;
        a.iret()?;
        a.nop()?;
        a.nop()?;
        a.nop()?;
        a.nop()
    },
    |a| {
        a.db(&[0x66, 0x68, 0xD7, 0x7A, 0x3F, 0x00])?;
        a.db(&[0x66, 0x68, 0x00, 0xF0, 0x00, 0x00])?;
        a.db(&[0x66, 0x68, 0x00, 0x00, 0x00, 0x00])?;
        a.iretd()
    },
    |a| a.in_(al, 0x81),
    |a| a.out(0x80, al),
    |a| a.out(0x81, al),
    |a| {
        a.mov(dx, 0x500)?;
        a.in_(al, dx)
    },
    |a| a.db(&[0x6C]), // insb
    |a| a.hlt(),
];

/// What is the same with every IOPL.
const PLAIN: &[One] = &[
    |a| a.clts(),
    |a| a.invd(),
    |a| a.wbinvd(),
    |a| a.db(&[0x0F, 0x20, 0xC0]),             // mov eax,cr0
    |a| a.db(&[0x0F, 0x22, 0xC0]),             // mov cr0,eax
    |a| a.db(&[0x0F, 0x21, 0xC0]),             // mov eax,dr0
    |a| a.db(&[0x0F, 0x01, 0xE0]),             // smsw ax
    |a| a.db(&[0x0F, 0x01, 0xF0]),             // lmsw ax
    |a| a.db(&[0x0F, 0x00, 0xC0]),             // sldt ax
    |a| a.db(&[0x0F, 0x00, 0xC8]),             // str ax
    |a| a.db(&[0x0F, 0x00, 0xD0]),             // lldt ax
    |a| a.db(&[0x0F, 0x00, 0xD8]),             // ltr ax
    |a| a.db(&[0x0F, 0x00, 0xE0]),             // verr ax
    |a| a.db(&[0x0F, 0x02, 0xC0]),             // lar ax,ax
    |a| a.db(&[0x0F, 0x03, 0xC0]),             // lsl ax,ax
    |a| a.db(&[0x63, 0xC0]),                   // arpl ax,ax
    |a| a.db(&[0x0F, 0x01, 0x06, 0x40, 0x00]), // sgdt [40h]
    |a| a.db(&[0x0F, 0x01, 0x16, 0x40, 0x00]), // lgdt [40h]
    |a| a.db(&[0x0F, 0x01, 0x3E, 0x40, 0x00]), // invlpg [40h]
    |a| a.db(&[0x0F, 0x30]),                   // wrmsr
    |a| a.db(&[0x0F, 0x32]),                   // rdmsr
    |a| a.ud2(),
    |a| a.db(&[0xF0, 0x90]),
    |a| {
        a.xor(cx, cx)?;
        a.div(cx)
    },
    |a| a.db(&[0x62, 0x06, 0x40, 0x00]), // bound ax,[40h]
    |a| {
        // Every segment register, by MOV, POP and the far loads.
        a.mov(ax, 0x1FFF)?;
        a.mov(es, ax)?;
        a.mov(ds, ax)?;
        a.mov(bx, word_ptr(0x12u32))?;
        a.push(0x2001)?;
        a.pop(fs)?;
        a.mov(cx, word_ptr(0x10u32).fs())?;
        a.mov(gs, cx)?;
        a.db(&[0xC4, 0x36, 0x10, 0x00])?; // les si,[10h]
        a.db(&[0xC5, 0x3E, 0x14, 0x00])?; // lds di,[14h]
        a.mov(ax, ds)
    },
    |a| {
        a.mov(ax, ss)?;
        a.mov(ss, ax)?;
        a.push(ax)?;
        a.pop(ss)?;
        a.mov(ax, sp)
    },
    |a| a.mov(ax, word_ptr(0xFFFEu32)),
    |a| a.mov(ax, word_ptr(0xFFFFu32)),
    |a| a.mov(word_ptr(0xFFFFu32), ax),
    |a| a.db(&[0x66, 0xA1, 0xFD, 0xFF]), // mov eax,[FFFDh]
    |a| a.db(&[0x67, 0xA0, 0x00, 0x00, 0x01, 0x00]), // mov al,[10000h]
    |a| a.db(&[0x67, 0xA0, 0xFF, 0xFF, 0x00, 0x00]), // mov al,[FFFFh]
    |a| a.db(&[0x67, 0x88, 0x04, 0x24]), // mov [esp],al
    |a| {
        a.mov(sp, 1)?;
        a.push(ax)
    },
    |a| {
        a.mov(sp, 0)?;
        a.push(ax)?;
        a.pop(bx)
    },
    |a| {
        a.mov(sp, 0xFFFF)?;
        a.pop(bx)
    },
    |a| {
        a.mov(sp, 3)?;
        a.db(&[0x66, 0x50]) // push eax
    },
    |a| {
        // The megabyte's end: 64 KB - 16 beyond it are there.
        a.mov(ax, 0xFFFF)?;
        a.mov(es, ax)?;
        a.mov(bx, word_ptr(0x10u32).es())?;
        a.mov(word_ptr(0x20u32).es(), sp)?;
        a.mov(cx, word_ptr(0x20u32).es())
    },
    |a| {
        a.mov(si, 0xFFFE)?;
        a.mov(di, 0x100)?;
        a.mov(cx, 3)?;
        a.rep().movsb()
    },
    |a| {
        a.mov(si, 0xFFFD)?;
        a.mov(cx, 3)?;
        a.rep().lodsw()
    },
    |a| {
        let mut over = a.create_label();
        a.call(over)?;
        a.set_label(&mut over)?;
        a.pop(ax)?;
        a.push(cs)?;
        a.add(ax, 7)?;
        a.push(ax)?;
        a.retf()?;
        a.nop()?;
        a.nop()?;
        a.nop()
    },
    |a| far(a, 16, 0xEA, 0xFFFF, 0xFFFF),
    |a| far(a, 16, 0x9A, 0x2000, 0xFFFF),
    |a| {
        a.db(&[0x66])?;
        far(a, 32, 0xEA, 0xF000, 0x1_0000)
    },
    |a| {
        // A near jump beyond 64 KB.
        a.db(&[0x66, 0xE9, 0x00, 0x00, 0x01, 0x00])
    },
    |a| {
        a.enter(8, 2)?;
        a.leave()
    },
    |a| {
        a.db(&[0x60])?; // pusha
        a.db(&[0x61]) // popa
    },
    |a| a.sysexit(),
];

/// The program.
pub fn virtual_mode() -> Program {
    let mut system = System::new();
    segments(&mut system);
    let shown = showing(&mut system) - ROM;
    let back_32 = system.routine(32, 0, |a| a.iretd());
    let completed = system.routine(16, ROM, |a| a.int(i32::from(vector::COMPLETED))) - ROM;
    for (number, selector, target, access) in [
        (0x88, ROM_CODE, shown, 0xE6),
        (0x89, ROM_CODE, shown, 0xE7),
        (0x8A, CODE[0], back_32, 0xEE),
        (0x8B, CODE[1], handler(0x80), 0xEE),
        (0x8C, CODE[0], back_32, 0xEF),
        (0x8D, CODE[3], handler(0x80), 0xEE),
    ] {
        system.entry(Table::Interrupt(number), gate(selector, target, access));
    }
    let frame = [STACKS[0] - 0x20, STACKS[0] - 0x28];
    for iopl in 0..4u32 {
        for one in SENSITIVE {
            system.case_in(&Place::virtual_8086(iopl << 12 | 0x4C1), one);
            system.show(&frame);
        }
    }
    for (flags, stepping) in [(0x3000, 0), (0x3100, 0), (0x3100, 1)] {
        system.code(|a| a.mov(dword_ptr(STEPPING), stepping));
        for one in PLAIN {
            system.case_in(&Place::virtual_8086(flags), one);
            system.show(&frame);
        }
        if stepping == 1 {
            for one in SENSITIVE {
                system.case_in(&Place::virtual_8086(flags), one);
            }
        }
        system.code(|a| a.mov(dword_ptr(STEPPING), 0));
    }
    // Pages: this mode is level 3. What is jumped to is INT 81h.
    system.code(|a| a.mov(word_ptr(MATRIX_PAGE + 0x20), 0x81CD));
    let entry = PAGE_TABLE + MATRIX_PAGE / 0x1000 * 4;
    for table in 0..8u32 {
        system.code(|a| {
            a.mov(dword_ptr(entry), MATRIX_PAGE | table)?;
            a.invlpg(byte_ptr(MATRIX_PAGE))
        });
        for access in 0..3 {
            system.case_in(&Place::virtual_8086(0x3000), |a| {
                a.mov(ax, (MATRIX_PAGE >> 4) as i32)?;
                a.mov(es, ax)?;
                match access {
                    0 => a.mov(bx, word_ptr(0x10u32).es()),
                    1 => a.mov(word_ptr(0x10u32).es(), sp),
                    _ => far(a, 16, 0xEA, (MATRIX_PAGE >> 4) as u16, 0x20),
                }
            });
            system.code(|a| a.mov(eax, dword_ptr(entry)));
        }
    }
    // The ways in: EIP beyond 64 KB, VM in the outer rings, flags of every kind.
    for flags in [0u32, 0x200, 0x100, 0x4000, 0x1_0000, 0x4_0000, 0x20_0000] {
        system.case_in(&Place::virtual_8086(flags | 0x3000), |a| {
            a.nop()?;
            a.nop()
        });
        system.show(&frame);
    }
    for ring in 0..4 {
        for flags in [0x2_0002u32, 0x2_3002] {
            system.case_in(&Place::ring(ring, 0x3000), |a| {
                for value in [0, 0x2000, 0x2010, 0x2020, 0x3000, 0x7F00, flags, 0xF000] {
                    a.push(value)?;
                }
                // In ring 0 into this mode, where INT 81h is; elsewhere F000h is no code.
                a.push(completed)?;
                a.iretd()
            });
        }
    }
    system.finish()
}
