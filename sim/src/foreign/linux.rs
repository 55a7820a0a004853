//! Linux by its 32-bit boot protocol: the protected-mode part at 1 MB, entered with ESI at the zero page. What that part unpacks, the
//! ELF file vmlinux, is entered in the same way.

use super::elf;
use super::{Entry, Fields, HIGH_MEMORY, Kernel, Loads, PAGE, read16, read32, usable};

/// Where the zero page is put, and the command line behind it.
const ZERO_PAGE: u32 = 0x9_0000;
const COMMAND_LINE: u32 = ZERO_PAGE + PAGE;
/// Bytes of the command line with its final zero, on kernels that do not say.
const COMMAND_LINE_BYTES: u32 = 256;
const SECTOR: usize = 512;
/// What a loader finds in vmlinux, which has no header that says so.
const BANNER: &[u8] = b"Linux version ";
/// The protocol that is spoken to vmlinux, and the highest address of a disk that all 32-bit kernels can map.
const VMLINUX_VERSION: u16 = 0x020F;
const VMLINUX_RAMDISK_LAST: u32 = 0x37FF_FFFF;
const VMLINUX_COMMAND_LINE_BYTES: u32 = 2048;
/// The oldest protocol whose kernels take a command line by pointer and know where the disk may lie.
const OLDEST: u16 = 0x0203;

/// Offsets in the setup header and in the zero page.
mod field {
    pub const VIDEO_MODE: usize = 0x06;
    pub const VIDEO_COLUMNS: usize = 0x07;
    pub const VIDEO_LINES: usize = 0x0E;
    pub const VIDEO_IS_VGA: usize = 0x0F;
    pub const VIDEO_POINTS: usize = 0x10;
    pub const ALTERNATIVE_MEMORY_KB: usize = 0x1E0;
    pub const MAP_ENTRIES: usize = 0x1E8;
    pub const SETUP_SECTORS: usize = 0x1F1;
    pub const BOOT_FLAG: usize = 0x1FE;
    pub const JUMP_DISTANCE: usize = 0x201;
    pub const MAGIC: usize = 0x202;
    pub const VERSION: usize = 0x206;
    pub const LOADER: usize = 0x210;
    pub const LOAD_FLAGS: usize = 0x211;
    pub const CODE32_START: usize = 0x214;
    pub const RAMDISK: usize = 0x218;
    pub const RAMDISK_BYTES: usize = 0x21C;
    pub const COMMAND_LINE: usize = 0x228;
    pub const RAMDISK_LAST: usize = 0x22C;
    pub const COMMAND_LINE_BYTES: usize = 0x238;
    pub const INITIAL_BYTES: usize = 0x260;
    pub const MAP: usize = 0x2D0;
}

/// Whether the file says so.
pub fn is_bzimage(file: &[u8]) -> bool {
    file.get(field::MAGIC..field::MAGIC + 4) == Some(b"HdrS")
        && read16(file, field::BOOT_FLAG) == Some(0xAA55)
}

/// Whether the file is a Linux kernel by itself, without what unpacks it.
pub fn is_vmlinux(file: &[u8]) -> bool {
    elf::is_elf(file) && file.windows(BANNER.len()).any(|bytes| bytes == BANNER)
}

/// A kernel whose bytes are placed, and what remains to be told to it.
struct Placed {
    /// With the setup header.
    zero_page: Fields,
    /// Room for the command line with its final zero.
    line_bytes: u32,
    /// Highest address of the disk's last byte.
    ramdisk_last: u32,
    /// The end of what the kernel needs.
    end: u64,
    eip: u32,
}

/// What lies in RAM, and the first registers, of a bzImage.
pub fn load_bzimage(kernel: &Kernel) -> Result<(Loads, Entry), String> {
    let file = kernel.file;
    let version = read16(file, field::VERSION).unwrap_or(0);
    let new_enough = |since: u16| version >= since;
    if !new_enough(OLDEST) {
        return Err(kernel.bad(format!(
            "speaks version {}.{:02} of Linux's boot protocol; 2.03 is the oldest that can be started",
            version >> 8,
            version & 0xFF
        )));
    }
    if file
        .get(field::LOAD_FLAGS)
        .is_none_or(|flags| flags & 1 == 0)
    {
        return Err(kernel.bad("is a zImage, which loads below 1 MB; a bzImage is needed"));
    }
    let sectors = match file[field::SETUP_SECTORS] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let setup_bytes = (sectors + 1) * SECTOR;
    let protected = file
        .get(setup_bytes..)
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| {
            kernel.bad(format!(
                "is truncated: its setup code alone has {setup_bytes} bytes"
            ))
        })?;
    let paragraphs = read32(file, field::SETUP_SECTORS + 3).unwrap_or(0);
    if u64::from(paragraphs) * 16 > protected.len().next_multiple_of(16) as u64 {
        return Err(kernel.bad(format!(
            "is truncated: {} bytes behind its setup code instead of {}",
            protected.len(),
            u64::from(paragraphs) * 16
        )));
    }
    let eip = read32(file, field::CODE32_START).unwrap_or(HIGH_MEMORY);
    let initial = read32(file, field::INITIAL_BYTES).filter(|_| new_enough(0x020A));
    let room = u64::from(initial.unwrap_or(0)).max(protected.len() as u64);
    kernel.must_fit("itself", HIGH_MEMORY, room)?;

    let line_bytes = match read32(file, field::COMMAND_LINE_BYTES).filter(|_| new_enough(0x0206)) {
        Some(bytes) => bytes.saturating_add(1),
        None => COMMAND_LINE_BYTES,
    };
    let mut zero_page = Fields(vec![0; PAGE as usize]);
    let header_end = field::MAGIC + usize::from(file[field::JUMP_DISTANCE]);
    let header_end = header_end.min(file.len()).min(field::MAP);
    let header = &file[field::SETUP_SECTORS..header_end];
    zero_page.put(field::SETUP_SECTORS, header);
    let placed = Placed {
        zero_page,
        line_bytes,
        ramdisk_last: read32(file, field::RAMDISK_LAST).unwrap_or(u32::MAX),
        end: u64::from(HIGH_MEMORY) + room,
        eip,
    };
    let loads = vec![(HIGH_MEMORY, protected.to_vec())];
    describe(kernel, placed, loads)
}

/// What lies in RAM, and the first registers, of vmlinux.
pub fn load_vmlinux(kernel: &Kernel) -> Result<(Loads, Entry), String> {
    let (segments, eip) = elf::load(kernel)?;
    for segment in &segments {
        if segment.address < HIGH_MEMORY {
            return Err(kernel.bad(format!(
                "has a segment at {:x}h, and only from {HIGH_MEMORY:x}h on a Linux kernel can lie",
                segment.address
            )));
        }
        kernel.must_fit("its segments", segment.address, segment.memory_bytes.into())?;
    }
    let mut zero_page = Fields(vec![0; PAGE as usize]);
    zero_page.put16(field::BOOT_FLAG, 0xAA55);
    zero_page.put(field::MAGIC, b"HdrS");
    zero_page.put16(field::VERSION, VMLINUX_VERSION);
    zero_page.put8(field::LOAD_FLAGS, 1);
    zero_page.put32(field::CODE32_START, eip);
    zero_page.put32(field::RAMDISK_LAST, VMLINUX_RAMDISK_LAST);
    zero_page.put32(field::COMMAND_LINE_BYTES, VMLINUX_COMMAND_LINE_BYTES - 1);
    let end = segments.iter().map(|segment| segment.range().end).max();
    let placed = Placed {
        zero_page,
        line_bytes: VMLINUX_COMMAND_LINE_BYTES,
        ramdisk_last: VMLINUX_RAMDISK_LAST,
        end: end.unwrap_or(HIGH_MEMORY.into()),
        eip,
    };
    let loads = segments
        .into_iter()
        .map(|segment| (segment.address, segment.bytes))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    describe(kernel, placed, loads)
}

/// Adds command line, disk and zero page to the kernel's own bytes.
fn describe(kernel: &Kernel, placed: Placed, mut loads: Loads) -> Result<(Loads, Entry), String> {
    let Placed {
        mut zero_page,
        line_bytes,
        ramdisk_last,
        end: kernel_end,
        eip,
    } = placed;
    let line = [kernel.append.as_bytes(), &[0]].concat();
    if line.len() as u64 > u64::from(line_bytes.min(PAGE)) {
        return Err(kernel.bad(format!(
            "takes a command line of {} bytes, --append has {}",
            line_bytes.min(PAGE) - 1,
            line.len() - 1
        )));
    }
    zero_page.put8(field::LOADER, 0xFF); // a loader without a number
    zero_page.put32(field::COMMAND_LINE, COMMAND_LINE);
    // A text display of 80 by 25.
    zero_page.put8(field::VIDEO_MODE, 3);
    zero_page.put8(field::VIDEO_COLUMNS, 80);
    zero_page.put8(field::VIDEO_LINES, 25);
    zero_page.put8(field::VIDEO_IS_VGA, 1);
    zero_page.put16(field::VIDEO_POINTS, 16);
    let ranges = usable(kernel.ram_bytes);
    zero_page.put32(
        field::ALTERNATIVE_MEMORY_KB,
        ranges.get(1).map_or(0, |range| range.1 >> 10),
    );
    zero_page.put8(field::MAP_ENTRIES, ranges.len() as u8);
    for (number, &(first, bytes)) in ranges.iter().enumerate() {
        let row = [first, 0, bytes, 0, 1].map(u32::to_le_bytes).concat();
        zero_page.put(field::MAP + 20 * number, &row);
    }
    loads.push((COMMAND_LINE, line));
    if let Some((name, disk)) = kernel.initrd {
        // As high as it may be, out of the kernel's way.
        let end = ramdisk_last.saturating_add(1).min(kernel.ram_bytes);
        let address = end
            .checked_sub(disk.len() as u32)
            .map_or(0, |at| at & !(PAGE - 1));
        if u64::from(address) < kernel_end {
            return Err(format!(
                "{} with {} bytes does not fit behind the kernel, which needs RAM up to {kernel_end:x}h; RAM ends at {end:x}h: give more with --ram",
                name.display(),
                disk.len()
            ));
        }
        zero_page.put32(field::RAMDISK, address);
        zero_page.put32(field::RAMDISK_BYTES, disk.len() as u32);
        loads.push((address, disk.to_vec()));
    }
    loads.push((ZERO_PAGE, zero_page.0));
    Ok((
        loads,
        Entry {
            eip,
            eax: 0,
            ebx: 0,
            esi: ZERO_PAGE,
        },
    ))
}
