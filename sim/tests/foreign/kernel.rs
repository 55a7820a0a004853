//! A multiboot kernel: paging with a page fault that it mends, interrupts of timer and COM1, the timer's counter, a module.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Physical address of the file's only segment; the header comes first.
const BASE: u32 = 0x10_0000;
const ENTRY: u32 = BASE + 0x100;
const PAGE_FAULT: u32 = BASE + 0x800;
const TIMER: u32 = BASE + 0x880;
const SERIAL: u32 = BASE + 0x900;
const PRINT: u32 = BASE + 0x980;
const TABLES: u32 = BASE + 0xA00;
const BANNER: u32 = BASE + 0xC00;
const SEGMENT_BYTES: usize = 0x1000;
/// Behind the file's bytes: page directory, page table, IDT, stack.
const DIRECTORY: u32 = BASE + 0x1000;
const PAGE_TABLE: u32 = BASE + 0x2000;
const IDT: u32 = BASE + 0x3000;
const STACK_TOP: u32 = BASE + 0x5000;
const TICKS: u32 = BASE + 0x5000;
const FAULTS: u32 = BASE + 0x5004;
/// The text to send: from, to; the interrupt of COM1 moves `from`.
const SEND_FROM: u32 = BASE + 0x5008;
const SEND_END: u32 = BASE + 0x500C;
const MEMORY_BYTES: u32 = 0x6000;
/// The same memory, seen 3 GB higher.
const HIGH: u32 = 0xC000_0000;
/// Not present until it is touched; then it is this frame.
const ABSENT: u32 = 0x003F_0000;
const FRAME: u32 = 0x0020_0000;

/// What it prints before the command line and the module.
pub const HELLO: &str = "multiboot kernel: paging, timer and COM1 interrupts work.\r\n";
/// Exit code if all went well.
pub const EXIT: u8 = 0x55;

/// The kernel as an ELF file; its link address is 3 GB above where it is loaded.
pub fn elf() -> Vec<u8> {
    let mut segment = vec![0u8; SEGMENT_BYTES];
    let mut put = |address: u32, bytes: &[u8]| {
        segment[(address - BASE) as usize..][..bytes.len()].copy_from_slice(bytes);
    };
    // Aligned modules, and memory information.
    let (magic, flags) = (0x1BAD_B002u32, 3u32);
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(flags);
    put(
        BASE,
        &[magic, flags, checksum].map(u32::to_le_bytes).concat(),
    );
    for (address, end, code) in [
        (ENTRY, PAGE_FAULT, main as fn(&mut CodeAssembler) -> _),
        (PAGE_FAULT, TIMER, page_fault),
        (TIMER, SERIAL, timer),
        (SERIAL, PRINT, serial),
        (PRINT, TABLES, print),
    ] {
        let mut asm = CodeAssembler::new(32).expect("32 bits");
        code(&mut asm).expect("the operands fit");
        let bytes = asm.assemble(address.into()).expect("an encoding");
        assert!(
            address + bytes.len() as u32 <= end,
            "{address:x} reaches into {end:x}"
        );
        put(address, &bytes);
    }
    // GDTR and GDT (null, code, data), IDTR.
    let gdt: [u64; 3] = [0, 0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF];
    put(TABLES, &23u16.to_le_bytes());
    put(TABLES + 2, &(TABLES + 0x10).to_le_bytes());
    put(TABLES + 0x10, &gdt.map(u64::to_le_bytes).concat());
    put(TABLES + 8, &(0x30 * 8 - 1u16).to_le_bytes());
    put(TABLES + 10, &IDT.to_le_bytes());
    put(BANNER, HELLO.as_bytes());

    let header = 52 + 32;
    let mut elf = vec![0x7F, b'E', b'L', b'F', 1, 1, 1];
    elf.resize(16, 0);
    for half in [2u16, 3] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1, ENTRY + HIGH, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52u16, 32, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for word in [
        1,
        header,
        BASE + HIGH,
        BASE,
        SEGMENT_BYTES as u32,
        MEMORY_BYTES,
        7,
        4,
    ] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(segment);
    elf
}

fn main(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut fail = a.create_label();
    a.mov(ebp, 1)?;
    a.cmp(eax, 0x2BAD_B002u32 as i32)?;
    a.jne(fail)?;
    a.mov(esp, STACK_TOP)?;
    // lgdt, lidt
    a.db(&[0x0F, 0x01, 0x15])?;
    a.db(&TABLES.to_le_bytes())?;
    a.db(&[0x0F, 0x01, 0x1D])?;
    a.db(&(TABLES + 8).to_le_bytes())?;
    // jmp far 8:next
    let next = a.assemble(ENTRY.into())?.len() as u32 + ENTRY + 7;
    a.db(&[0xEA])?;
    a.db(&next.to_le_bytes())?;
    a.db(&[8, 0])?;
    a.mov(eax, 0x10)?;
    for segment in [ds, es, ss] {
        a.mov(segment, eax)?;
    }

    // The loader's memory: 640 KB less the BIOS's, and what is above 1 MB.
    a.mov(ebp, 2)?;
    a.mov(eax, dword_ptr(ebx))?;
    a.and(eax, 0x4D)?;
    a.cmp(eax, 0x4D)?;
    a.jne(fail)?;
    a.cmp(dword_ptr(ebx + 4), 639)?;
    a.jne(fail)?;
    a.cmp(dword_ptr(ebx + 8), 7 * 1024)?;
    a.jne(fail)?;

    // 4 MB one to one and 3 GB higher, one page of them absent.
    a.mov(edi, PAGE_TABLE)?;
    a.mov(eax, 3)?;
    a.mov(ecx, 1024)?;
    let mut fill = a.create_label();
    a.set_label(&mut fill)?;
    a.stosd()?;
    a.add(eax, 0x1000)?;
    a.dec(ecx)?;
    a.jne(fill)?;
    a.mov(dword_ptr(PAGE_TABLE + ABSENT / 0x1000 * 4), 0)?;
    a.mov(dword_ptr(DIRECTORY), PAGE_TABLE | 3)?;
    a.mov(dword_ptr(DIRECTORY + (HIGH >> 22) * 4), PAGE_TABLE | 3)?;
    a.mov(eax, DIRECTORY)?;
    a.mov(cr3, eax)?;
    a.mov(eax, cr0)?;
    a.or(eax, 0x8001_0000u32 as i32)?;
    a.mov(cr0, eax)?;
    for (vector, handler) in [(14, PAGE_FAULT), (0x20, TIMER), (0x24, SERIAL)] {
        // Handlers run at their high addresses.
        let handler = handler + HIGH;
        a.mov(dword_ptr(IDT + 8 * vector), 0x0008_0000 | handler & 0xFFFF)?;
        a.mov(
            dword_ptr(IDT + 8 * vector + 4),
            handler & 0xFFFF_0000 | 0x8E00,
        )?;
    }

    // The first touch of the page faults, and the store is done again.
    a.mov(ebp, 3)?;
    a.mov(dword_ptr(ABSENT + 0x10), 0x1234_5678)?;
    a.cmp(dword_ptr(FRAME + 0x10), 0x1234_5678)?;
    a.jne(fail)?;
    a.cmp(dword_ptr(FAULTS), 1)?;
    a.jne(fail)?;

    // Interrupts: timer on 20h at 10 kHz, COM1 on 24h.
    a.mov(ebp, 4)?;
    for (port, value) in [
        (0x20, 0x11u32),
        (0xA0, 0x11),
        (0x21, 0x20),
        (0xA1, 0x28),
        (0x21, 4),
        (0xA1, 2),
        (0x21, 1),
        (0xA1, 1),
        (0x21, 0xEE),
        (0xA1, 0xFF),
        (0x43, 0x34),
        (0x40, 119),
        (0x40, 0),
    ] {
        a.mov(al, value)?;
        a.out(port, al)?;
    }
    a.sti()?;
    let mut ticking = a.create_label();
    a.set_label(&mut ticking)?;
    a.hlt()?;
    a.cmp(dword_ptr(TICKS), 4)?;
    a.jb(ticking)?;

    // The counter, latched: below its start, and its status by the read-back command: mode 2, both bytes, loaded.
    a.mov(ebp, 5)?;
    a.cli()?;
    a.mov(al, 0)?;
    a.out(0x43, al)?;
    a.in_(al, 0x40)?;
    a.mov(cl, al)?;
    a.in_(al, 0x40)?;
    a.mov(ch, al)?;
    a.movzx(ecx, cx)?;
    a.cmp(ecx, 119)?;
    a.ja(fail)?;
    a.mov(al, 0xE2u32)?;
    a.out(0x43, al)?;
    a.in_(al, 0x40)?;
    a.and(al, 0x7F)?;
    a.cmp(al, 0x34)?;
    a.jne(fail)?;
    a.sti()?;

    // The banner, the command line, the module; COM1's interrupt sends them.
    a.mov(ebp, 6)?;
    for (port, value) in [
        (0x3FB, 0x83u32),
        (0x3F8, 1),
        (0x3F9, 0),
        (0x3FB, 3),
        (0x3FA, 7),
        (0x3FC, 0x0B),
    ] {
        a.mov(edx, port)?;
        a.mov(al, value)?;
        a.out(dx, al)?;
    }
    a.mov(esi, BANNER)?;
    a.lea(edi, dword_ptr(esi + HELLO.len() as i32))?;
    a.call(u64::from(PRINT))?;
    a.mov(esi, dword_ptr(ebx + 16))?;
    let mut length = a.create_label();
    a.lea(edi, dword_ptr(esi - 1))?;
    a.set_label(&mut length)?;
    a.inc(edi)?;
    a.cmp(byte_ptr(edi), 0)?;
    a.jne(length)?;
    a.call(u64::from(PRINT))?;
    let mut done = a.create_label();
    a.cmp(dword_ptr(ebx + 20), 1)?;
    a.jne(done)?;
    a.mov(eax, dword_ptr(ebx + 24))?;
    a.mov(esi, dword_ptr(eax))?;
    a.mov(edi, dword_ptr(eax + 4))?;
    a.call(u64::from(PRINT))?;
    a.set_label(&mut done)?;
    a.mov(ebp, 0x2A)?;
    a.set_label(&mut fail)?;
    a.mov(eax, ebp)?;
    a.out(0xF4, al)?;
    a.cli()?;
    a.hlt()
}

/// Maps the page at CR2 to the frame, and counts.
fn page_fault(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(eax)?;
    a.mov(eax, cr2)?;
    a.and(eax, -0x1000)?;
    a.shr(eax, 10)?;
    a.mov(dword_ptr(eax + PAGE_TABLE as i32), FRAME | 3)?;
    a.inc(dword_ptr(FAULTS))?;
    a.pop(eax)?;
    a.add(esp, 4)?;
    a.iretd()
}

fn timer(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(eax)?;
    a.inc(dword_ptr(TICKS))?;
    a.mov(al, 0x20)?;
    a.out(0x20, al)?;
    a.pop(eax)?;
    a.iretd()
}

/// The transmitter is empty: its next byte, or quiet.
fn serial(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut empty = a.create_label();
    let mut end = a.create_label();
    a.push(eax)?;
    a.push(edx)?;
    a.push(esi)?;
    a.mov(edx, 0x3FA)?;
    a.in_(al, dx)?; // the reason, which this read takes back
    a.mov(esi, dword_ptr(SEND_FROM))?;
    a.cmp(esi, dword_ptr(SEND_END))?;
    a.je(empty)?;
    a.mov(al, byte_ptr(esi))?;
    a.inc(dword_ptr(SEND_FROM))?;
    a.mov(edx, 0x3F8)?;
    a.out(dx, al)?;
    a.jmp(end)?;
    a.set_label(&mut empty)?;
    a.mov(edx, 0x3F9)?;
    a.mov(al, 0)?;
    a.out(dx, al)?;
    a.set_label(&mut end)?;
    a.mov(al, 0x20)?;
    a.out(0x20, al)?;
    a.pop(esi)?;
    a.pop(edx)?;
    a.pop(eax)?;
    a.iretd()
}

/// Sends ESI to EDI by interrupts and waits until the line is idle.
fn print(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut wait = a.create_label();
    let mut idle = a.create_label();
    a.mov(dword_ptr(SEND_FROM), esi)?;
    a.mov(dword_ptr(SEND_END), edi)?;
    a.mov(edx, 0x3F9)?;
    a.mov(al, 2)?;
    a.out(dx, al)?;
    a.set_label(&mut wait)?;
    a.hlt()?; // the timer wakes it, too
    a.cmp(dword_ptr(SEND_FROM), edi)?;
    a.jne(wait)?;
    a.mov(edx, 0x3FD)?;
    a.set_label(&mut idle)?;
    a.in_(al, dx)?;
    a.test(al, 0x40)?;
    a.je(idle)?;
    a.ret()
}
