//! Multiboot, version 1: finds the header, loads the segments, and tells the kernel what it was given.

use super::elf::{self, Segment};
use super::{Entry, Fields, INFORMATION_END, Kernel, Loads, PAGE, read32, usable};

/// What the header begins with; it lies in the first [`SEARCHED`] bytes, at a multiple of 4.
const HEADER_MAGIC: u32 = 0x1BAD_B002;
const SEARCHED: usize = 8192;
/// EAX at the kernel's entry.
const ENTRY_MAGIC: u32 = 0x2BAD_B002;
/// Header flags that a loader must understand: aligned modules, memory, video mode. Video is not needed by anybody who can go on
/// without it, and left out.
const UNDERSTOOD: u32 = 0x0007;
/// Header flag: the header says where the file is to be loaded.
const HAS_ADDRESSES: u32 = 1 << 16;

/// Flags and offsets of the information.
mod information {
    pub const MEMORY: u32 = 1 << 0;
    pub const COMMAND_LINE: u32 = 1 << 2;
    pub const MODULES: u32 = 1 << 3;
    pub const MEMORY_MAP: u32 = 1 << 6;
    pub const LOADER_NAME: u32 = 1 << 9;
    pub const BYTES: usize = 0x78;
}

/// What lies in RAM, and the kernel's first registers.
pub fn load(kernel: &Kernel) -> Result<(Loads, Entry), String> {
    let file = kernel.file;
    let header = header(kernel)?;
    let flags = read32(file, header + 4).unwrap_or(0);
    if flags & 0xFFFF & !UNDERSTOOD != 0 {
        return Err(kernel.bad(format!(
            "wants multiboot features {:04x}h that are not there",
            flags & 0xFFFF & !UNDERSTOOD
        )));
    }
    let (segments, eip) = if flags & HAS_ADDRESSES != 0 {
        flat(kernel, header)?
    } else {
        if !elf::is_elf(file) {
            return Err(kernel.bad("has a multiboot header without addresses, and is no ELF file"));
        }
        elf::load(kernel)?
    };
    for segment in &segments {
        kernel.must_fit("its segments", segment.address, segment.memory_bytes.into())?;
    }
    let end = segments.iter().map(|segment| segment.range().end).max();
    let module_at = (end.unwrap_or(0) as u32)
        .max(super::HIGH_MEMORY)
        .next_multiple_of(PAGE);
    if let Some((name, module)) = kernel.initrd {
        kernel.must_fit(&name.display().to_string(), module_at, module.len() as u64)?;
    }

    // The information lies where the kernel does not, in memory that it knows to be in use.
    let mut information = Fields(vec![0; information::BYTES]);
    let block_bytes =
        (describe(kernel, &mut information, 0, module_at) as u32).next_multiple_of(PAGE);
    let free = |address: u32| {
        let block = u64::from(address)..u64::from(address + block_bytes);
        segments
            .iter()
            .map(Segment::range)
            .all(|taken| taken.end <= block.start || block.end <= taken.start)
    };
    let address = (1..)
        .map_while(|pages| INFORMATION_END.checked_sub(pages * PAGE))
        .filter(|address| address + block_bytes <= INFORMATION_END.min(kernel.ram_bytes))
        .find(|&address| free(address))
        .ok_or_else(|| kernel.bad("leaves no room for boot information below 640 KB"))?;
    let mut information = Fields(vec![0; information::BYTES]);
    describe(kernel, &mut information, address, module_at);

    let mut loads: Vec<(u32, Vec<u8>)> = segments
        .into_iter()
        .map(|segment| (segment.address, segment.bytes))
        .collect();
    loads.push((address, information.0));
    if let Some((_, module)) = kernel.initrd {
        loads.push((module_at, module.to_vec()));
    }
    loads.retain(|(_, bytes)| !bytes.is_empty());
    let entry = Entry {
        eip,
        eax: ENTRY_MAGIC,
        ebx: address,
        esi: 0,
    };
    Ok((loads, entry))
}

/// Whether the file has the header.
pub fn is_multiboot(file: &[u8]) -> bool {
    find_header(file).is_some()
}

/// Offset of the header.
fn find_header(file: &[u8]) -> Option<usize> {
    let searched = file.len().min(SEARCHED);
    let is_header = |&at: &usize| {
        let words = [0, 4, 8].map(|offset| read32(file, at + offset));
        let [Some(HEADER_MAGIC), Some(flags), Some(checksum)] = words else {
            return false;
        };
        HEADER_MAGIC.wrapping_add(flags).wrapping_add(checksum) == 0
    };
    (0..searched).step_by(4).find(is_header)
}

/// Offset of the header, or what the file is instead.
fn header(kernel: &Kernel) -> Result<usize, String> {
    let file = kernel.file;
    find_header(file).ok_or_else(|| {
        kernel.bad(match file.starts_with(b"MZ") {
            true => "is a PE file and no kernel: a PE32 program is run without --kernel",
            false => {
                "is none of these: a PE32 program (`MZ` at its beginning), a Linux bzImage (`HdrS` at 202h) or vmlinux (an ELF \
                 file that says `Linux version`), a multiboot kernel (1BADB002h with its checksum in the first 8 KB); a ROM is \
                 run with --bios, a flat binary is placed with --load"
            }
        })
    })
}

/// The segment that the header itself describes, and the entry point.
fn flat(kernel: &Kernel, header: usize) -> Result<(Vec<Segment>, u32), String> {
    let file = kernel.file;
    let field = |number: usize| {
        read32(file, header + 12 + 4 * number)
            .ok_or_else(|| kernel.bad("ends within its multiboot header"))
    };
    let [header_address, load_address, load_end, bss_end, eip] =
        [field(0)?, field(1)?, field(2)?, field(3)?, field(4)?];
    let wrong = || kernel.bad("has a multiboot header with addresses that contradict each other");
    let before = header_address.checked_sub(load_address).ok_or_else(wrong)? as usize;
    let first = header.checked_sub(before).ok_or_else(wrong)?;
    let length = match load_end {
        0 => file.len() - first,
        end => end.checked_sub(load_address).ok_or_else(wrong)? as usize,
    };
    let bytes = file.get(first..first + length).ok_or_else(|| {
        kernel.bad(format!(
            "is truncated: its header wants {length} bytes from {first:x}h on"
        ))
    })?;
    let memory_bytes = match bss_end {
        0 => length as u32,
        end => end
            .checked_sub(load_address)
            .filter(|&all| all as usize >= length)
            .ok_or_else(wrong)?,
    };
    let segment = Segment {
        address: load_address,
        bytes: bytes.to_vec(),
        memory_bytes,
    };
    Ok((vec![segment], eip))
}

/// Fills the information for its place in memory; strings and tables lie behind it. Returns all its bytes.
fn describe(kernel: &Kernel, into: &mut Fields, address: u32, module_at: u32) -> usize {
    use information::*;
    let append = |into: &mut Fields, bytes: &[u8]| {
        let at = into.0.len().next_multiple_of(4);
        into.0.resize(at, 0);
        into.0.extend_from_slice(bytes);
        address + at as u32
    };
    let text = |text: &str| [text.as_bytes(), &[0]].concat();
    let mut flags = MEMORY | COMMAND_LINE | MEMORY_MAP | LOADER_NAME;
    let ranges = usable(kernel.ram_bytes);
    into.put32(4, ranges.first().map_or(0, |range| range.1 >> 10));
    into.put32(8, ranges.get(1).map_or(0, |range| range.1 >> 10));
    // The first word is the kernel's name, as from GRUB.
    let name = kernel
        .name
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let line = append(into, &text(format!("{name} {}", kernel.append).trim_end()));
    into.put32(16, line);
    if let Some((name, module)) = kernel.initrd {
        flags |= MODULES;
        let name = append(
            into,
            &text(&name.file_name().unwrap_or_default().to_string_lossy()),
        );
        let row = [module_at, module_at + module.len() as u32, name, 0];
        let table = append(into, &row.map(u32::to_le_bytes).concat());
        into.put32(20, 1);
        into.put32(24, table);
    }
    let rows: Vec<u8> = ranges
        .iter()
        .flat_map(|&(first, bytes)| [20, first, 0, bytes, 0, 1].map(u32::to_le_bytes).concat())
        .collect();
    let table = append(into, &rows);
    into.put32(44, rows.len() as u32);
    into.put32(48, table);
    let loader = append(into, &text("SysGate"));
    into.put32(64, loader);
    into.put32(0, flags);
    into.0.len()
}
