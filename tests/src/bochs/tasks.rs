//! Task switches: every way to begin one, to tasks of every kind, and what can be wrong with the new task.

use super::system::*;
use super::words::{ROM_CODE, far, segments, slot};
use iced_x86::code_asm::*;

/// Tasks of ring 0 with 32 bits, of 16 bits, of virtual-8086 mode, and of ring 3.
pub const WIDE: usize = 0;
/// See [`WIDE`].
pub const NARROW: usize = 1;
/// See [`WIDE`].
pub const VIRTUAL: usize = 2;
/// See [`WIDE`].
pub const OUTER: usize = 3;
/// How many there are.
pub const TASKS: usize = 4;
/// Bytes that a 32-bit TSS has at least.
const TSS_BYTES: u32 = 0x68;
/// The first slot of the matrix that the tasks use: four TSS, then a task gate for each, then one for what is wrong.
const FIRST: u16 = 40;
/// Offsets in a 32-bit TSS.
mod field {
    pub const CR3: u32 = 0x1C;
    pub const EIP: u32 = 0x20;
    pub const EFLAGS: u32 = 0x24;
    pub const ESP: u32 = 0x38;
    pub const ES: u32 = 0x48;
    pub const CS: u32 = 0x4C;
    pub const SS: u32 = 0x50;
    pub const DS: u32 = 0x54;
    pub const FS: u32 = 0x58;
    pub const GS: u32 = 0x5C;
    pub const LDT: u32 = 0x60;
    pub const TRAP: u32 = 0x64;
}

/// Linear address of a task's TSS.
pub const fn tss_of(task: usize) -> u32 {
    0x6000 + 0x80 * task as u32
}

/// Selector of a task's TSS.
pub const fn selector_of(task: usize) -> u16 {
    slot(FIRST + task as u16)
}

/// Selector of a task gate for a task, which any ring may use.
pub const fn gate_of(task: usize) -> u16 {
    slot(FIRST + 4 + task as u16) | 3
}

/// A stack of ring 0 whose offset FFFF0000h is linear address 0: a 16-bit TSS leaves ones in the upper half of ESP.
const HIGH_STACK: u16 = slot(FIRST + 9);
/// A slot for what is wrong.
const WRONG: u16 = slot(FIRST + 8);

fn is_narrow(task: usize) -> bool {
    task == NARROW
}

fn descriptor_of(task: usize) -> u64 {
    let (limit, access) = if is_narrow(task) {
        (0x2B, 0x81)
    } else {
        (0x67, 0x89)
    };
    descriptor(tss_of(task), limit, access, 0)
}

/// The tasks of a system, and the routines that bring it back behind a switch.
pub struct Tasks {
    templates: [u32; TASKS],
    restore: u32,
    /// Code of 32 bits: IRETD, and once more behind it; it skips two bytes of the task it returns to.
    pub back: u32,
}

impl Tasks {
    /// Lays tasks, gates and routines.
    pub fn new(system: &mut System) -> Self {
        segments(system);
        let there = |system: &mut System, bits, base| {
            system.routine(bits, base, |a| {
                if bits == 16 {
                    a.mov(ax, es)?;
                    a.mov(bx, ds)?;
                    a.mov(cx, fs)?;
                    a.mov(dx, gs)?;
                    a.mov(si, ss)?;
                } else {
                    a.mov(eax, es)?;
                    a.mov(ebx, ds)?;
                    a.mov(ecx, fs)?;
                    a.mov(edx, gs)?;
                    a.mov(esi, ss)?;
                }
                a.int(i32::from(vector::COMPLETED))
            })
        };
        let flat = there(system, 32, 0);
        let in_rom = there(system, 32, ROM);
        let in_virtual = there(system, 16, ROM);
        let back = system.routine(32, 0, |a| {
            a.pop(eax)?;
            a.add(dword_ptr(TSS + field::EIP), 2)?;
            a.iretd()?;
            a.nop()?;
            a.iretd()
        });
        let restore = system.routine(32, 0, |a| {
            a.pushfd()?;
            a.and(dword_ptr(esp), !0x4100)?;
            a.popfd()?;
            a.mov(eax, u32::from(DATA_SEGMENT[0]))?;
            a.mov(ds, eax)?;
            a.mov(es, eax)?;
            a.xor(eax, eax)?;
            a.mov(fs, eax)?;
            a.mov(gs, eax)?;
            a.lldt(ax)?;
            a.mov(eax, PAGE_DIRECTORY)?;
            a.mov(cr3, eax)?;
            a.mov(byte_ptr(GDT + u32::from(TSS_SELECTOR) + 5), 0x89)?;
            a.mov(eax, u32::from(TSS_SELECTOR))?;
            a.ltr(ax)?;
            for task in 0..TASKS {
                let access = (descriptor_of(task) >> 40) as u8;
                let at = GDT + u32::from(selector_of(task)) + 5;
                a.mov(byte_ptr(at), u32::from(access))?;
            }
            a.clts()?;
            a.ret()
        });
        let data = DATA_SEGMENT[0];
        let high = descriptor(0x1_0000, 0xF_FFFF, 0x92, 0xC);
        system.entry(Table::Global(HIGH_STACK), high);
        let mut tasks = Tasks {
            templates: [0; TASKS],
            restore,
            back,
        };
        for task in 0..TASKS {
            let mut words = [0u32; TSS_BYTES as usize / 4];
            let mut set = |at: u32, value: u32| words[at as usize / 4] = value;
            if is_narrow(task) {
                let halves = [
                    (0x02, 0x7800u16),
                    (0x04, data),
                    (0x0E, (in_rom - ROM) as u16),
                    (0x10, 0x0CD7),
                    (0x12, 0xA1A2),
                    (0x14, 0xC1C2),
                    (0x16, 0xD1D2),
                    (0x18, 0xB1B2),
                    (0x1A, 0x7E00),
                    (0x1C, 0x5152),
                    (0x1E, 0x6162),
                    (0x20, 0x7172),
                    (0x22, data),
                    (0x24, ROM_CODE),
                    (0x26, HIGH_STACK),
                    (0x28, data),
                ];
                for (at, value) in halves {
                    let (word, shift) = (at / 4, at % 4 * 8);
                    words[word] |= u32::from(value) << shift;
                }
            } else {
                set(0x04, 0x7800 - 0x100 * task as u32);
                set(0x08, data.into());
                set(field::CR3, PAGE_DIRECTORY);
                for number in 0..8 {
                    set(0x28 + 4 * number, 0x0101_0101 * (number + 0xA1));
                }
                let (code, entry, stack, top, eflags, segments) = match task {
                    WIDE => (CODE[0], flat, data, 0x7E00, 0x8D7, [data, 0, 0x13, 0]),
                    OUTER => (
                        CODE[3],
                        flat,
                        DATA_SEGMENT[3],
                        STACKS[3] - 0x100,
                        0x3082,
                        [DATA_SEGMENT[3], DATA_SEGMENT[3], 0, 3],
                    ),
                    _ => (
                        (ROM >> 4) as u16,
                        in_virtual - ROM,
                        0x3000,
                        0x7F00,
                        0x2_3803,
                        [0x2010, 0x2000, 0x1234, 0xFFFF],
                    ),
                };
                set(field::EIP, entry);
                set(field::EFLAGS, eflags);
                set(field::ESP, top);
                set(field::CS, code.into());
                set(field::SS, stack.into());
                for (at, selector) in [field::ES, field::DS, field::FS, field::GS]
                    .into_iter()
                    .zip(segments)
                {
                    set(at, selector.into());
                }
                set(field::TRAP, 0x68 << 16);
            }
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            tasks.templates[task] = system.beside(&bytes);
            system.entry(Table::Global(selector_of(task)), descriptor_of(task));
            let gate = gate(selector_of(task), 0, 0xE5);
            system.entry(Table::Global(gate_of(task)), gate);
        }
        tasks
    }

    /// Makes a task's TSS as it is at first.
    pub fn prepare(&self, system: &mut System, task: usize) {
        let template = self.templates[task];
        system.code(|a| {
            a.cld()?;
            a.mov(esi, template)?;
            a.mov(edi, tss_of(task))?;
            a.mov(ecx, TSS_BYTES / 4)?;
            a.rep().movsd()
        });
    }

    /// Shows what a switch has left in tables and registers, and brings the first task back.
    pub fn restore(&self, system: &mut System, shown: bool, task: usize) {
        let at = tss_of(task);
        system.code(|a| {
            // A handler of the same ring leaves SS, whose base may not be zero: that of ring 0 stands in the first task's TSS.
            a.mov(eax, ss)?;
            a.mov(ss, word_ptr(TSS + 8))?;
            a.mov(esp, STACKS[0])
        });
        if shown {
            system.code(|a| {
                a.mov(eax, cr0)?;
                a.str(bx)?;
                a.sldt(cx)?;
                a.mov(edx, dword_ptr(at))?;
                a.mov(esi, dword_ptr(GDT + u32::from(TSS_SELECTOR) + 4))?;
                a.mov(edi, dword_ptr(GDT + u32::from(selector_of(task)) + 4))?;
                a.mov(ebp, cr3)?;
                a.mov(eax, fs)?;
                a.mov(eax, gs)?;
                a.pushfd()?;
                a.pop(eax)
            });
            system.show(&[TSS + 0x20, TSS + 0x2C, TSS + 0x48]);
            let (first, second) = if is_narrow(task) {
                (0x0C, 0x1C)
            } else {
                (0x20, 0x48)
            };
            system.show(&[at + first, at + second]);
        }
        let restore = self.restore;
        system.code(|a| a.call(u64::from(restore)));
    }
}

/// How a switch begins.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// A far transfer, by the byte of its opcode.
    Far(u8, bool),
    /// An interrupt.
    Interrupt,
    /// #DE, #UD and #GP.
    Exception(u8),
}

/// Begins a switch from a place.
fn begin(
    a: &mut CodeAssembler,
    bits: u32,
    how: How,
    selector: u16,
) -> Result<(), iced_x86::IcedError> {
    match how {
        How::Far(opcode, _) => far(a, bits, opcode, selector, 0x5A5A),
        How::Interrupt => a.int(0x88),
        How::Exception(0) => {
            a.xor(ecx, ecx)?;
            a.div(ecx)
        }
        How::Exception(6) => a.ud2(),
        // Two bytes, too: the selector is of no descriptor.
        How::Exception(_) => {
            a.mov(ecx, 0xFFF8)?;
            a.mov(ds, ecx)
        }
    }
}

/// Every way to every kind of task, and back.
pub fn tasks() -> Program {
    let mut system = System::new();
    let tasks = Tasks::new(&mut system);
    let places = [
        Place::ring(0, 0xCC1),
        Place::ring(3, 0x3084),
        Place::virtual_8086(0x3000),
        Place::ring(1, 0x4000),
    ];
    for place in &places {
        for task in 0..TASKS {
            system.entry(Table::Interrupt(0x88), gate(selector_of(task), 0, 0xE5));
            for how in [
                How::Far(0xEA, false),
                How::Far(0x9A, false),
                How::Far(0xEA, true),
                How::Far(0x9A, true),
                How::Interrupt,
            ] {
                if place.segments.is_some() && how != How::Interrupt {
                    continue;
                }
                tasks.prepare(&mut system, task);
                let selector = match how {
                    How::Far(_, true) => gate_of(task),
                    _ => selector_of(task),
                };
                system.case_in(place, |a| begin(a, place.bits, how, selector));
                tasks.restore(&mut system, true, task);
            }
        }
    }
    // There and back, twice: the task goes on behind its IRETD.
    for place in &places {
        system.entry(Table::Interrupt(0x88), gate(selector_of(WIDE), 0, 0xE5));
        for how in [How::Far(0x9A, false), How::Far(0x9A, true), How::Interrupt] {
            if place.segments.is_some() && how != How::Interrupt {
                continue;
            }
            tasks.prepare(&mut system, WIDE);
            let back = tasks.back;
            system.code(|a| a.mov(dword_ptr(tss_of(WIDE) + field::EIP), back));
            let selector = match how {
                How::Far(_, true) => gate_of(WIDE),
                _ => selector_of(WIDE),
            };
            system.case_in(place, |a| {
                // The task adds two to the EIP that it returns to.
                begin(a, place.bits, how, selector)?;
                a.nop()?;
                a.nop()?;
                a.nop()?;
                begin(a, place.bits, how, selector)?;
                a.nop()?;
                a.nop()?;
                a.nop()
            });
            tasks.restore(&mut system, true, WIDE);
        }
    }
    // Exceptions through task gates: with and without an error code, from every place, to every kind of task.
    for vector in [0u8, 6, 13] {
        for task in 0..TASKS {
            let task_gate = gate(selector_of(task), 0, 0x85);
            for (number, place) in places.iter().enumerate() {
                let twice = task == WIDE && number < 2;
                for returns in [false, true] {
                    if returns && !twice || place.bits == 16 && vector == 13 {
                        continue;
                    }
                    tasks.prepare(&mut system, task);
                    if returns {
                        let back = tasks.back;
                        system.code(|a| a.mov(dword_ptr(tss_of(WIDE) + field::EIP), back));
                    }
                    system.entry(Table::Interrupt(vector), task_gate);
                    system.case_in(place, |a| begin(a, place.bits, How::Exception(vector), 0));
                    let usual = gate(CODE[0], handler(vector), 0x8E);
                    system.entry(Table::Interrupt(vector), usual);
                    let stack = if task == NARROW { 0x7E00 } else { 0x7E00 - 4 };
                    system.show(&[stack - 16]);
                    tasks.restore(&mut system, true, task);
                }
            }
        }
    }
    // IRET with NT, from every ring, to a task that is busy.
    for place in [
        Place::ring(0, 0x4000),
        Place::ring(3, 0x4000),
        Place::ring(2, 0x7000),
        Place::virtual_8086(0x7000),
    ] {
        for task in 0..TASKS {
            for wide in [true, false] {
                tasks.prepare(&mut system, task);
                let busy = GDT + u32::from(selector_of(task)) + 5;
                // NT in the frame would make the IRETD that begins the case a switch only if it were set before.
                system.code(|a| {
                    a.or(byte_ptr(busy), 2)?;
                    a.mov(dword_ptr(TSS), u32::from(selector_of(task)))
                });
                system.case_in(&place, |a| {
                    a.mov(eax, 0x1234_5678)?;
                    if wide == (a.bitness() == 32) {
                        a.db(&[0xCF])
                    } else {
                        a.db(&[0x66, 0xCF])
                    }
                });
                tasks.restore(&mut system, true, task);
            }
        }
    }
    // T bit: the new task begins with #DB.
    for task in [WIDE, OUTER, VIRTUAL] {
        for trap in [1u32, 0xFFFE] {
            tasks.prepare(&mut system, task);
            system.code(|a| a.mov(word_ptr(tss_of(task) + field::TRAP), trap & 0xFFFF));
            system.case(0, |a| far(a, 32, 0xEA, selector_of(task), 0));
            tasks.restore(&mut system, false, task);
        }
    }
    system.finish()
}

/// What can be wrong with the TSS, its descriptor, and each of its fields.
pub fn task_faults() -> Program {
    let mut system = System::new();
    let tasks = Tasks::new(&mut system);
    let absent_code = slot(70) | 3;
    let absent_data = slot(71) | 3;
    let table = slot(72);
    let absent_table = slot(73);
    let conforming = slot(74);
    for (selector, value) in [
        (absent_code, descriptor(0, 0xF_FFFF, 0x7A, 0xC)),
        (absent_data, descriptor(0, 0xF_FFFF, 0x72, 0xC)),
        (table, descriptor(DATA, 0x1F, 0x82, 0)),
        (absent_table, descriptor(DATA, 0x1F, 0x02, 0)),
        (conforming, descriptor(0, 0xF_FFFF, 0x9E, 0xC)),
    ] {
        system.entry(Table::Global(selector), value);
    }
    // Descriptors and gates that lead to no task.
    let base = tss_of(WIDE);
    let wrong: Vec<(u16, u64)> = vec![
        (WRONG, descriptor(base, 0x67, 0x8B, 0)),
        (WRONG, descriptor(base, 0x67, 0x09, 0)),
        (WRONG, descriptor(base, 0x66, 0x89, 0)),
        (WRONG, descriptor(base, 0x2A, 0x81, 0)),
        (WRONG, descriptor(base, 0x67, 0x83, 0)),
        (WRONG, descriptor(base, 0x67, 0x82, 0)),
        (WRONG, descriptor(base, 0x67, 0xE9, 0)),
        (WRONG, gate(0, 0, 0xE5)),
        (WRONG, gate(selector_of(WIDE) | 4, 0, 0xE5)),
        (WRONG, gate(selector_of(WIDE), 0, 0x65)),
        (WRONG, gate(selector_of(WIDE), 0, 0x85)),
        (WRONG, gate(CODE[0], 0, 0xE5)),
        (WRONG, gate(0xFFF8, 0, 0xE5)),
        (WRONG, gate(selector_of(WIDE) | 3, 0, 0xE5)),
        (WRONG, gate(TSS_SELECTOR, 0, 0xE5)),
        (WRONG | 4, 0),
    ];
    for ring in [0, 3] {
        for &(selector, value) in &wrong {
            system.entry(Table::Global(WRONG), value);
            for opcode in [0xEA, 0x9A] {
                tasks.prepare(&mut system, WIDE);
                system.case(ring, |a| far(a, 32, opcode, selector | ring as u16, 0));
                tasks.restore(&mut system, true, WIDE);
            }
            // In the IDT a gate for it, or itself.
            let is_gate = (value >> 40) & 0x1F == 5;
            let in_table = if is_gate {
                value
            } else {
                gate(selector, 0, 0xE5)
            };
            system.entry(Table::Interrupt(0x88), in_table);
            tasks.prepare(&mut system, WIDE);
            system.case(ring, |a| a.int(0x88));
            tasks.restore(&mut system, true, WIDE);
            // As the link of an IRET; a busy TSS of 16 bits would be good, but for what is in it.
            if value >> 40 & 0xFF == 0x83 {
                continue;
            }
            system.code(|a| a.mov(dword_ptr(TSS), u32::from(selector)));
            system.case_in(&Place::ring(ring, 0x4000), |a| a.iretd());
            tasks.restore(&mut system, true, WIDE);
        }
    }
    // Fields of a task of ring 3, whose faults come in with a stack that is good.
    let fields: Vec<(u32, u32)> = vec![
        (field::CS, DATA_SEGMENT[3].into()),
        (field::CS, u32::from(CODE[0] | 3)),
        (field::CS, absent_code.into()),
        (field::CS, 0xFFFB),
        (field::CS, u32::from(CODE[3] | 4)),
        (field::CS, u32::from(conforming | 3)),
        (field::SS, 3),
        (field::SS, DATA_SEGMENT[0].into()),
        (field::SS, u32::from(DATA_SEGMENT[3] & !3)),
        (field::SS, CODE[3].into()),
        (field::SS, absent_data.into()),
        (field::SS, 0xFFFB),
        (field::DS, DATA_SEGMENT[0].into()),
        (field::DS, absent_data.into()),
        (field::DS, TSS_SELECTOR.into()),
        (field::ES, 0xFFFF),
        (field::ES, u32::from(DATA_SEGMENT[0] | 3)),
        (field::FS, 7),
        (field::GS, CODE[3].into()),
        (field::GS, CODE[0].into()),
        (field::LDT, table.into()),
        (field::LDT, absent_table.into()),
        (field::LDT, DATA_SEGMENT[3].into()),
        (field::LDT, u32::from(table | 4)),
        (field::LDT, 0xFFF8),
        (field::EIP, 0x40_0000),
        (field::EFLAGS, 0x102),
        (field::EFLAGS, 0x4002),
        (field::EFLAGS, 0),
        (field::EFLAGS, 0x1_0002),
        (field::EFLAGS, 0x24_0002),
        (field::CR3, PAGE_DIRECTORY | 0x18),
        (field::ESP, 3),
    ];
    system.entry(Table::Interrupt(0x88), gate(selector_of(OUTER), 0, 0xE5));
    for &(at, value) in &fields {
        for how in [How::Far(0xEA, false), How::Far(0x9A, false), How::Interrupt] {
            for ring in [0, 3] {
                if ring == 3 && how != How::Interrupt {
                    continue;
                }
                tasks.prepare(&mut system, OUTER);
                system.code(|a| a.mov(dword_ptr(tss_of(OUTER) + at), value));
                system.case(ring, |a| begin(a, 32, how, selector_of(OUTER)));
                tasks.restore(&mut system, how != How::Far(0xEA, false), OUTER);
            }
        }
    }
    system.finish()
}
