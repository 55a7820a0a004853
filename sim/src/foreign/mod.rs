//! Kernels that nobody here wrote, started as a PC's boot loader does: what lies in RAM, and a ROM that enters them.

mod elf;
mod linux;
mod multiboot;

use firmware::reset;
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use std::path::Path;

/// First byte of RAM above the first megabyte.
const HIGH_MEMORY: u32 = 0x10_0000;
/// End of RAM below the first megabyte; the rest of it belongs to a BIOS.
const LOW_MEMORY_END: u32 = 0x9_FC00;
/// Where boot information is put, page by page downwards, unless the kernel lies there.
const INFORMATION_END: u32 = 0x9_F000;
/// Flat code of ring 0 in the GDT that a kernel finds: Linux wants these two numbers.
const KERNEL_CODE: u16 = 0x10;
/// Flat data of ring 0.
const KERNEL_DATA: u16 = 0x18;
/// Where the ROM's code in protected mode begins, its tables, and the code before it.
const ENTER: u32 = 0xFFFF_F000;
const GDT: u32 = 0xFFFF_F800;
const START: u32 = 0xFFFF_FF00;
const PAGE: u32 = spec::paging::PAGE_BYTES;

/// Files and words of a kernel to be started.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'a> {
    /// Its file's name, for messages.
    pub name: &'a Path,
    /// A multiboot (version 1) kernel, ELF or flat, or Linux, a bzImage or what it unpacks, the ELF file vmlinux.
    pub file: &'a [u8],
    /// The command line.
    pub append: &'a str,
    /// The initial RAM disk, or multiboot's only module: its file's name and contents.
    pub initrd: Option<(&'a Path, &'a [u8])>,
    /// Bytes of RAM.
    pub ram_bytes: u32,
}

/// What lies in RAM: physical addresses and bytes.
type Loads = Vec<(u32, Vec<u8>)>;

/// A machine that is about to enter a kernel.
#[derive(Debug, Clone)]
pub struct Started {
    /// Ends at FFFFFFFFh; enters the kernel in flat protected mode, interrupts off.
    pub rom: Vec<u8>,
    /// What lies in RAM: physical addresses and bytes. All else is zero.
    pub loads: Vec<(u32, Vec<u8>)>,
}

/// General registers at a kernel's first instruction; the others are zero.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    eip: u32,
    eax: u32,
    ebx: u32,
    esi: u32,
}

/// Whether a file is a Linux image; since those can also be programs of a firmware, they begin as PE files do.
pub fn is_linux(file: &[u8]) -> bool {
    linux::is_bzimage(file)
}

/// Lays out RAM and ROM for a kernel.
///
/// # Errors
/// What is wrong with the file, or what does not fit.
pub fn start(kernel: &Kernel) -> Result<Started, String> {
    let (loads, entry) = if linux::is_bzimage(kernel.file) {
        linux::load_bzimage(kernel)?
    } else if !multiboot::is_multiboot(kernel.file) && linux::is_vmlinux(kernel.file) {
        linux::load_vmlinux(kernel)?
    } else {
        multiboot::load(kernel)?
    };
    let rom = rom(&entry).map_err(|error| format!("cannot assemble the boot ROM: {error}"))?;
    Ok(Started { rom, loads })
}

impl Kernel<'_> {
    fn bad(&self, reason: impl std::fmt::Display) -> String {
        format!("{} {reason}", self.name.display())
    }

    /// An error unless `bytes` bytes from `address` on lie in RAM.
    fn must_fit(&self, what: &str, address: u32, bytes: u64) -> Result<(), String> {
        let end = u64::from(address) + bytes;
        if end <= u64::from(self.ram_bytes) {
            return Ok(());
        }
        Err(self.bad(format!(
            "needs RAM up to {end:x}h for {what}, and it ends at {:x}h: give more with --ram",
            self.ram_bytes
        )))
    }
}

/// RAM as boot loaders describe it: first address, bytes; what is not listed is not to be used.
fn usable(ram_bytes: u32) -> Vec<(u32, u32)> {
    let low = (0, ram_bytes.min(LOW_MEMORY_END));
    let high = (HIGH_MEMORY, ram_bytes.saturating_sub(HIGH_MEMORY));
    [low, high]
        .into_iter()
        .filter(|range| range.1 != 0)
        .collect()
}

/// The ROM that enters a kernel.
fn rom(entry: &Entry) -> Result<Vec<u8>, IcedError> {
    let mut rom = vec![0xFF; ENTER.wrapping_neg() as usize];
    let mut put = |address: u32, bytes: &[u8]| {
        let at = (address - ENTER) as usize;
        rom[at..at + bytes.len()].copy_from_slice(bytes);
    };
    // The accessed bits are set: the table lies in ROM.
    let table: [u64; 4] = [0, 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF];
    put(GDT, &(size_of_val(&table) as u16 - 1).to_le_bytes());
    put(GDT + 2, &(GDT + 8).to_le_bytes());
    put(GDT + 8, &table.map(u64::to_le_bytes).concat());

    let mut code = CodeAssembler::new(32)?;
    // lgdt [GDT]
    code.db(&[0x0F, 0x01, 0x15])?;
    code.db(&GDT.to_le_bytes())?;
    code.mov(eax, u32::from(KERNEL_DATA))?;
    for segment in [ds, es, fs, gs, ss] {
        code.mov(segment, eax)?;
    }
    code.mov(eax, entry.eax)?;
    code.mov(ebx, entry.ebx)?;
    code.mov(esi, entry.esi)?;
    for register in [ecx, edx, edi, ebp] {
        code.xor(register, register)?;
    }
    code.mov(esp, INFORMATION_END)?;
    // jmp far KERNEL_CODE:eip
    code.db(&[0xEA])?;
    code.db(&entry.eip.to_le_bytes())?;
    code.db(&KERNEL_CODE.to_le_bytes())?;
    put(ENTER, &code.assemble(ENTER.into())?);
    put(START, &reset::start_up(START, ENTER)?);
    put(reset::RESET_VECTOR, &reset::reset_vector(START));
    Ok(rom)
}

/// Fields of a structure in memory, little-endian.
struct Fields(Vec<u8>);

impl Fields {
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    fn put8(&mut self, offset: usize, value: u8) {
        self.put(offset, &[value]);
    }
    fn put16(&mut self, offset: usize, value: u16) {
        self.put(offset, &value.to_le_bytes());
    }
    fn put32(&mut self, offset: usize, value: u32) {
        self.put(offset, &value.to_le_bytes());
    }
}

/// The little-endian number of four bytes at `offset`, if there is one.
fn read32(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().expect("four bytes")))
}

/// The little-endian number of two bytes at `offset`, if there is one.
fn read16(bytes: &[u8], offset: usize) -> Option<u16> {
    let two = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_le_bytes(two.try_into().expect("two bytes")))
}
