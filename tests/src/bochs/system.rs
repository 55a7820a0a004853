//! A whole system around instructions: a ROM that enters protected mode with paging, tables of every kind, handlers that load into
//! registers what the processor pushed, and cases that each end in a handler.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Bytes of the ROM; it ends at FFFFFFFFh and is seen below 1 MB, where its code runs.
pub const ROM_BYTES: usize = 0x1_0000;
/// Linear address of its first byte there.
pub const ROM: u32 = 0xF_0000;
/// RAM, in bytes: all that the page table maps.
pub const RAM_BYTES: u32 = 4 << 20;
/// The global descriptor table, in RAM.
pub const GDT: u32 = 0x1000;
/// The interrupt descriptor table.
pub const IDT: u32 = 0x2000;
/// The task-state segment.
pub const TSS: u32 = 0x3000;
/// The page directory; one table maps 4 MB one to one.
pub const PAGE_DIRECTORY: u32 = 0x4000;
/// That table.
pub const PAGE_TABLE: u32 = 0x5000;
/// Tops of the stacks of rings 0 to 3.
pub const STACKS: [u32; 4] = [0x9000, 0xA000, 0xB000, 0x3_8000];
/// Where a handler goes on.
pub const RECOVER: u32 = 0xD000;
/// Nonzero: #DB only looks at DR6 and returns.
pub const STEPPING: u32 = 0xD004;
/// Data for any ring.
pub const DATA: u32 = 0x2_0000;
/// A page for the permission matrix.
pub const MATRIX_PAGE: u32 = 0x4_0000;
/// Where SYSENTER goes, within the ROM.
pub const SYSENTER_ENTRY: u32 = ROM + 0x1400;

/// Flat code and data of each ring; a selector is the entry times 8 with the ring.
pub const CODE: [u16; 4] = [0x08, 0x29, 0x3A, 0x1B];
/// Flat data of each ring.
pub const DATA_SEGMENT: [u16; 4] = [0x10, 0x31, 0x42, 0x23];
/// The task-state segment.
pub const TSS_SELECTOR: u16 = 0x48;
/// The first selector of the matrix: every type with S=0 and 1, with DPL 0 and 3, present and not.
pub const MATRIX: u16 = 0x80;
/// Descriptors of the matrix.
pub const MATRIX_COUNT: u16 = 128;

/// Vectors above the exceptions; those of ring 3 unless said otherwise.
pub mod vector {
    /// An interrupt gate.
    pub const INTERRUPT: u8 = 0x80;
    /// A trap gate, which ends a case that raised nothing.
    pub const COMPLETED: u8 = 0x81;
    /// Kept from ring 3; not present; not a gate; null; data; code of ring 3; conforming; beyond the code's limit.
    pub const ODD: std::ops::RangeInclusive<u8> = 0x82..=0x89;
    /// The first that the table does not have.
    pub const BEYOND: u8 = 0x90;
}

const SELF: u32 = ROM + 0x100;
const TABLES: u32 = ROM + 0x400;
const HANDLERS: u32 = ROM + 0x800;
const COMMON: u32 = ROM + 0x1300;
const FIRST_CASE: u32 = ROM + 0x1800;
const LAST_BYTE_OF_CASES: u32 = ROM + 0xFF00;

/// A system under construction.
pub struct System {
    rom: Vec<u8>,
    at: u32,
}

/// Bytes of the jump over what lies beside the path.
const JUMP_BYTES: u32 = 5;

/// Where a case runs, for [`System::case_in`].
#[derive(Debug, Clone)]
pub struct Place {
    /// Selector of its code, or its segment in virtual-8086 mode.
    pub code: u16,
    /// Linear address of offset 0 there.
    pub base: u32,
    /// 16 or 32.
    pub bits: u32,
    /// EFLAGS.
    pub flags: u32,
    /// Selector of DS and ES, except in virtual-8086 mode.
    pub data: u16,
    /// SS and ESP, except in ring 0.
    pub stack: Option<(u16, u32)>,
    /// ES, DS, FS and GS in virtual-8086 mode.
    pub segments: Option<[u16; 4]>,
}

/// EFLAGS.VM.
const VIRTUAL: u32 = 1 << 17;

impl Place {
    /// Flat code of a ring.
    pub fn ring(ring: usize, flags: u32) -> Self {
        Place {
            code: CODE[ring],
            base: 0,
            bits: 32,
            flags: flags | 2,
            data: DATA_SEGMENT[3],
            stack: (ring != 0).then_some((DATA_SEGMENT[ring], STACKS[ring])),
            segments: None,
        }
    }

    /// Virtual-8086 mode: CS is where the ROM is, SS:SP ring 3's stack, DS:0 [`DATA`].
    pub fn virtual_8086(flags: u32) -> Self {
        let data = (DATA >> 4) as u16;
        Place {
            code: (ROM >> 4) as u16,
            base: ROM,
            bits: 16,
            flags: flags | 2 | VIRTUAL,
            data: DATA_SEGMENT[3],
            stack: Some((((STACKS[3] - VIRTUAL_SP) >> 4) as u16, VIRTUAL_SP)),
            segments: Some([data + 0x10, data, data + 0x20, 0]),
        }
    }
}

/// SP of [`Place::virtual_8086`].
pub const VIRTUAL_SP: u32 = 0x8000;

/// A place for a descriptor.
#[derive(Debug, Clone, Copy)]
pub enum Table {
    /// The GDT's entry of this selector.
    Global(u16),
    /// The IDT's entry of this vector.
    Interrupt(u8),
}

/// A finished system.
#[derive(Debug, Clone)]
pub struct Program {
    /// The ROM.
    pub rom: Vec<u8>,
    /// Linear address of the first instruction that is compared.
    pub start: u32,
    /// Linear address of the HLT that ends it.
    pub end: u32,
}

fn assemble(
    bits: u32,
    address: u32,
    code: &dyn Fn(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Vec<u8> {
    let mut asm = CodeAssembler::new(bits).expect("16 or 32 bits");
    code(&mut asm).expect("the operands fit");
    asm.assemble(address.into()).expect("an encoding")
}

/// A descriptor of a segment: `flags` are its bits 55:52.
pub const fn descriptor(base: u32, limit: u32, access: u32, flags: u32) -> u64 {
    let (base, limit) = (base as u64, limit as u64);
    limit & 0xFFFF
        | (base & 0xFF_FFFF) << 16
        | (access as u64) << 40
        | (limit >> 16) << 48
        | (flags as u64) << 52
        | (base >> 24) << 56
}

/// A gate without parameters.
pub fn gate(selector: u16, offset: u32, access: u64) -> u64 {
    u64::from(offset & 0xFFFF)
        | u64::from(selector) << 16
        | access << 40
        | u64::from(offset >> 16) << 48
}

/// The selector of a descriptor of the matrix.
pub fn matrix(system: bool, kind: u8, dpl: u16, present: bool) -> u16 {
    let number =
        u16::from(kind) | u16::from(!system) << 4 | (dpl / 3) << 5 | u16::from(!present) << 6;
    MATRIX + 8 * number
}

fn gdt() -> Vec<u64> {
    let mut table = vec![0; 10];
    for ring in 0..4u16 {
        let dpl = u32::from(ring) << 5;
        table[usize::from(CODE[usize::from(ring)] / 8)] = descriptor(0, 0xF_FFFF, 0x9A | dpl, 0xC);
        table[usize::from(DATA_SEGMENT[usize::from(ring)] / 8)] =
            descriptor(0, 0xF_FFFF, 0x92 | dpl, 0xC);
    }
    table[usize::from(TSS_SELECTOR / 8)] = descriptor(TSS, 0xFF, 0x89, 0);
    table.resize(usize::from(MATRIX / 8), 0);
    for number in 0..u32::from(MATRIX_COUNT) {
        let (kind, application) = (number & 15, number >> 4 & 1);
        let dpl = (number >> 5 & 1) * 3;
        let present = u32::from(number >> 6 & 1 == 0);
        let access = kind | application << 4 | dpl << 5 | present << 7;
        table.push(match (application, kind) {
            // Call gates lead to the handler of the plain interrupt; task gates nowhere.
            (0, 4..=7 | 12 | 14 | 15) => gate(CODE[0], handler(0x8D), access.into()),
            (0, _) => descriptor(DATA, 0x67, access, 0),
            _ => descriptor(DATA, 0x0FFF, access, 0x4),
        });
    }
    table
}

/// Entry for the vector in a table of handlers; those above the exceptions share the last ones.
pub fn handler(vector: u8) -> u32 {
    let slot = if vector < 0x20 {
        vector
    } else {
        0x20 + (vector & 0x0F)
    };
    HANDLERS + 0x10 * u32::from(slot)
}

fn idt() -> Vec<u64> {
    let mut table: Vec<u64> = (0..0x20)
        .map(|vector| {
            let access = if matches!(vector, 3 | 4) { 0xEE } else { 0x8E };
            gate(CODE[0], handler(vector), access)
        })
        .collect();
    table.resize(0x80, gate(CODE[0], handler(0x8F), 0x8E));
    let beyond = matrix(false, 0xA, 0, true);
    for (vector, selector, offset, access) in [
        (0x80, CODE[0], 0, 0xEE),
        (0x81, CODE[0], 0, 0xEF),
        (0x82, CODE[0], 0, 0x8E),
        (0x83, CODE[0], 0, 0x6E),
        (0x84, CODE[0], 0, 0xE2),
        (0x85, 0, 0, 0xEE),
        (0x86, DATA_SEGMENT[0], 0, 0xEE),
        (0x87, CODE[3], 0, 0xEE),
        (0x88, CODE[0], 0, 0xEE),
        (0x89, beyond, 0x2000, 0xEE),
        (0x8A, CODE[0], 0, 0xEE),
        (0x8B, CODE[0], 0, 0xEE),
        (0x8C, CODE[0], 0, 0xEE),
        (0x8D, CODE[0], 0, 0xEE),
        (0x8E, CODE[0], 0, 0xEE),
        (0x8F, CODE[0], 0, 0xEE),
    ] {
        table.push(gate(selector, handler(vector) + offset, access));
    }
    table
}

fn tss() -> Vec<u8> {
    let mut tss = vec![0u8; 0x100];
    for ring in 0..3 {
        tss[4 + 8 * ring..][..4].copy_from_slice(&STACKS[ring].to_le_bytes());
        tss[8 + 8 * ring..][..2].copy_from_slice(&DATA_SEGMENT[ring].to_le_bytes());
    }
    // Ports 0 to 3FFh from 68h on: 80h is open, 81h is not; what is beyond the segment is not, either.
    tss[0x66] = 0x68;
    tss[0x68 + 0x10] = 0xFE;
    tss
}

/// Vectors that push an error code.
fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17)
}

impl System {
    /// The tables, the way into them, the handlers.
    pub fn new() -> Self {
        let mut system = System {
            rom: vec![0xF4; ROM_BYTES],
            at: FIRST_CASE,
        };
        let bytes = |table: &[u64]| {
            table
                .iter()
                .flat_map(|entry| entry.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let (gdt, idt, tss) = (bytes(&gdt()), bytes(&idt()), tss());
        // The tables lie at the end of the ROM, from where they are copied.
        let table_bytes = (gdt.len() + idt.len() + tss.len()) as u32;
        let source = ROM + 0xFF00 - table_bytes.next_multiple_of(0x100);
        system.put(source, &gdt);
        system.put(source + gdt.len() as u32, &idt);
        system.put(source + (gdt.len() + idt.len()) as u32, &tss);
        // For LGDT: first a table in the ROM, then those in RAM.
        let register = |bytes: usize, base: u32| {
            [&(bytes as u16 - 1).to_le_bytes()[..], &base.to_le_bytes()].concat()
        };
        system.put(TABLES, &register(gdt.len(), source));
        system.put(TABLES + 8, &register(gdt.len(), GDT));
        system.put(TABLES + 16, &register(idt.len(), IDT));

        system.put(ROM + 0xFFF0, &[0xEA, 0x00, 0x00, 0x00, 0xF0]); // jmp far F000:0000
        let start = assemble(16, 0, &|a| {
            a.cli()?;
            // o32 lgdt cs:[TABLES]
            a.db(&[0x66, 0x2E, 0x0F, 0x01, 0x16])?;
            a.db(&(TABLES as u16).to_le_bytes())?;
            a.mov(eax, cr0)?;
            a.or(al, 1)?;
            a.mov(cr0, eax)?;
            a.db(&[0x66, 0xEA])?;
            a.db(&SELF.to_le_bytes())?;
            a.db(&[8, 0])
        });
        system.put(ROM, &start);
        let (gdt_bytes, idt_bytes, tss_bytes) =
            (gdt.len() as u32, idt.len() as u32, tss.len() as u32);
        let set_up = assemble(32, SELF, &|a| {
            a.mov(eax, u32::from(DATA_SEGMENT[0]))?;
            for segment in [ds, es, fs, gs, ss] {
                a.mov(segment, eax)?;
            }
            a.mov(esi, source)?;
            for (to, bytes) in [(GDT, gdt_bytes), (IDT, idt_bytes), (TSS, tss_bytes)] {
                a.mov(edi, to)?;
                a.mov(ecx, bytes)?;
                a.rep().movsb()?;
            }
            a.mov(dword_ptr(PAGE_DIRECTORY), PAGE_TABLE | 7)?;
            a.mov(edi, PAGE_TABLE)?;
            a.mov(eax, 7)?;
            a.mov(ecx, 1024)?;
            let mut next = a.create_label();
            a.set_label(&mut next)?;
            a.stosd()?;
            a.add(eax, 0x1000)?;
            a.dec(ecx)?;
            a.jne(next)?;
            a.lgdt(fword_ptr(TABLES + 8))?;
            a.lidt(fword_ptr(TABLES + 16))?;
            a.mov(eax, u32::from(TSS_SELECTOR))?;
            a.ltr(ax)?;
            a.mov(eax, PAGE_DIRECTORY)?;
            a.mov(cr3, eax)?;
            a.mov(eax, cr0)?;
            a.or(eax, 0x8000_0020u32 as i32)?;
            a.mov(cr0, eax)?;
            a.mov(esp, STACKS[0])?;
            for register in [eax, ebx, ecx, edx, esi, edi, ebp] {
                a.xor(register, register)?;
            }
            a.jmp(u64::from(FIRST_CASE))
        });
        assert!(SELF + set_up.len() as u32 <= TABLES);
        system.put(SELF, &set_up);
        for slot in 0..0x30u32 {
            let vector = if slot < 0x20 {
                slot as u8
            } else {
                0x80 + (slot as u8 - 0x20)
            };
            let code = assemble(32, HANDLERS + 0x10 * slot, &|a| {
                if vector == 1 {
                    return a.jmp(u64::from(COMMON + 0x80));
                }
                if !has_error_code(vector) {
                    a.push(0)?;
                }
                a.push(u32::from(vector))?;
                a.jmp(u64::from(COMMON))
            });
            assert!(code.len() <= 16);
            system.put(HANDLERS + 0x10 * slot, &code);
        }
        system.put(COMMON, &assemble(32, COMMON, &common));
        system.put(COMMON + 0x80, &assemble(32, COMMON + 0x80, &debug));
        system.put(
            SYSENTER_ENTRY,
            &assemble(32, SYSENTER_ENTRY, &|a| {
                a.mov(eax, cs)?;
                a.mov(ebx, ss)?;
                a.pushfd()?;
                a.pop(ecx)?;
                a.mov(edx, esp)?;
                a.mov(esp, STACKS[0])?;
                a.jmp(dword_ptr(RECOVER))
            }),
        );
        system
    }

    fn put(&mut self, address: u32, bytes: &[u8]) {
        let at = (address - ROM) as usize;
        self.rom[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn append(&mut self, bytes: &[u8]) {
        assert!(
            self.at + (bytes.len() as u32) < LAST_BYTE_OF_CASES - 0x1000,
            "the ROM is full"
        );
        self.put(self.at, bytes);
        self.at += bytes.len() as u32;
    }

    /// Whether there is room for some more cases.
    pub fn has_room(&self) -> bool {
        self.at < LAST_BYTE_OF_CASES - 0x1400
    }

    /// Code of ring 0 that raises nothing.
    pub fn code(&mut self, code: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>) {
        let bytes = assemble(32, self.at, &code);
        self.append(&bytes);
    }

    /// A case: the code runs in a ring, and a handler ends it, of what it raises or of the INT behind it.
    pub fn case(
        &mut self,
        ring: usize,
        code: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>,
    ) {
        self.case_with_flags(ring, 0x0002, code);
    }

    /// The same with these EFLAGS.
    pub fn case_with_flags(
        &mut self,
        ring: usize,
        flags: u32,
        code: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>,
    ) {
        let at = self.at;
        let laid = |next: u32, body: u32| {
            assemble(32, at, &|a| {
                // Long forms, so that the two passes are as long as each other.
                a.mov(dword_ptr(RECOVER), next)?;
                load_data(a, DATA_SEGMENT[3])?;
                if ring != 0 {
                    a.push(u32::from(DATA_SEGMENT[ring]))?;
                    a.push(STACKS[ring])?;
                }
                a.push(0x1000_0000u32 | flags)?;
                a.and(dword_ptr(esp), 0x0FFF_FFFF)?;
                a.push(u32::from(CODE[ring]))?;
                a.push(body)?;
                a.iretd()
            })
        };
        let entry = laid(0xF_FFFF, 0xF_FFFF);
        let body = at + entry.len() as u32;
        let inner = assemble(32, body, &|a| {
            code(a)?;
            a.int(i32::from(vector::COMPLETED))
        });
        let next = body + inner.len() as u32;
        let entry = laid(next, body);
        self.append(&entry);
        self.append(&inner);
    }

    /// A case somewhere else than in a flat ring; its code has the bits of its place.
    pub fn case_in(
        &mut self,
        place: &Place,
        code: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>,
    ) {
        let at = self.at;
        let laid = |next: u32, body: u32| {
            assemble(32, at, &|a| {
                // Bytes of their own: both passes are as long as each other.
                let push = |a: &mut CodeAssembler, value: u32| {
                    a.db(&[0x68])?;
                    a.db(&value.to_le_bytes())
                };
                a.mov(dword_ptr(RECOVER), next)?;
                load_data(a, place.data)?;
                for &selector in place.segments.iter().flatten().rev() {
                    push(a, selector.into())?;
                }
                if let Some((segment, top)) = place.stack {
                    push(a, segment.into())?;
                    push(a, top)?;
                }
                push(a, place.flags)?;
                push(a, place.code.into())?;
                push(a, body - place.base)?;
                a.iretd()
            })
        };
        let entry = laid(0xF_FFFF, 0xF_FFFF);
        let body = at + entry.len() as u32;
        let inner = assemble(place.bits, body - place.base, &|a| {
            code(a)?;
            a.int(i32::from(vector::COMPLETED))
        });
        let next = body + inner.len() as u32;
        let entry = laid(next, body);
        self.append(&entry);
        self.append(&inner);
    }

    /// Code beside the path of the program; returns its linear address, which `base` makes an offset.
    pub fn routine(
        &mut self,
        bits: u32,
        base: u32,
        code: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> u32 {
        let at = self.at + JUMP_BYTES;
        let bytes = assemble(bits, at - base, &code);
        self.beside(&bytes)
    }

    /// Bytes beside the path of the program; returns their linear address.
    pub fn beside(&mut self, bytes: &[u8]) -> u32 {
        let jump = (bytes.len() as u32).to_le_bytes();
        self.append(&[&[0xE9], &jump[..]].concat());
        let at = self.at;
        self.append(bytes);
        at
    }

    /// Writes a descriptor of the GDT, or of the IDT by its vector, from here on.
    pub fn entry(&mut self, table: Table, value: u64) {
        let at = match table {
            Table::Global(selector) => GDT + u32::from(selector & 0xFFF8),
            Table::Interrupt(vector) => IDT + 8 * u32::from(vector),
        };
        self.code(|a| {
            a.mov(dword_ptr(at), value as u32)?;
            a.mov(dword_ptr(at + 4), (value >> 32) as u32)
        });
    }

    /// Loads eight doublewords from an address into the registers: their values are then seen. ESP gets none of them.
    pub fn show(&mut self, addresses: &[u32]) {
        self.code(|a| {
            for &address in addresses {
                a.mov(esp, address)?;
                a.popad()?;
            }
            a.mov(esp, STACKS[0])
        });
    }

    /// The finished program.
    pub fn finish(mut self) -> Program {
        let end = self.at;
        self.append(&[0xFA, 0xF4]);
        Program {
            rom: self.rom,
            start: FIRST_CASE,
            end: end + 1,
        }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

/// DS and ES for a case. An outer ring keeps them only if it may use them.
fn load_data(a: &mut CodeAssembler, selector: u16) -> Result<(), IcedError> {
    a.mov(eax, u32::from(selector))?;
    a.mov(ds, eax)?;
    a.mov(es, eax)
}

/// In: vector, error code and the processor's frame on the stack. Shows all of it in registers and goes on in ring 0.
fn common(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut inner = a.create_label();
    a.mov(eax, u32::from(DATA_SEGMENT[0]))?;
    a.mov(ds, eax)?;
    a.mov(es, eax)?;
    a.pop(eax)?;
    a.pop(ebx)?;
    a.mov(ecx, dword_ptr(esp))?;
    a.mov(edx, dword_ptr(esp + 4))?;
    a.movzx(edx, dx)?; // the upper half of a pushed selector is nothing
    a.mov(esi, dword_ptr(esp + 8))?;
    a.mov(edi, cr2)?;
    a.mov(ebp, esp)?;
    a.test(dl, 3)?;
    a.je(inner)?;
    a.mov(ebp, dword_ptr(esp + 12))?;
    a.mov(eax, dword_ptr(esp + 16))?;
    a.movzx(eax, ax)?;
    a.set_label(&mut inner)?;
    a.mov(esp, STACKS[0])?;
    a.jmp(dword_ptr(RECOVER))
}

/// #DB: DR6 in a register, and back to what is stepped; or as any other exception.
fn debug(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut other = a.create_label();
    a.push(eax)?;
    a.mov(eax, dr6)?;
    a.xor(eax, eax)?;
    a.mov(dr6, eax)?;
    a.mov(eax, dword_ptr(STEPPING).cs())?;
    a.test(eax, eax)?;
    a.pop(eax)?;
    a.je(other)?;
    a.iretd()?;
    a.set_label(&mut other)?;
    a.push(0)?;
    a.push(1)?;
    a.jmp(u64::from(COMMON))
}
