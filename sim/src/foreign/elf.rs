//! ELF files of kernels: what lies where in physical memory.

use super::{Kernel, read16, read32};
use std::ops::Range;

/// Bytes of a kernel at their physical address, and zeros behind them.
pub struct Segment {
    pub address: u32,
    pub bytes: Vec<u8>,
    /// All of it, the zeros included.
    pub memory_bytes: u32,
}

impl Segment {
    /// The physical addresses that it takes.
    pub fn range(&self) -> Range<u64> {
        let first = u64::from(self.address);
        first..first + u64::from(self.memory_bytes)
    }
}

/// Whether the file says so.
pub fn is_elf(file: &[u8]) -> bool {
    file.starts_with(b"\x7FELF")
}

/// The loadable segments of an ELF file at their physical addresses, and the physical entry point.
pub fn load(kernel: &Kernel) -> Result<(Vec<Segment>, u32), String> {
    const CLASS_32: u8 = 1;
    const LITTLE_ENDIAN: u8 = 1;
    const EXECUTABLE: u16 = 2;
    const MACHINE_386: u16 = 3;
    const LOADABLE: u32 = 1;
    let file = kernel.file;
    let truncated = || kernel.bad("is truncated: the ELF headers point beyond its end");
    let kind = (file.get(4), file.get(5), read16(file, 16), read16(file, 18));
    if kind
        != (
            Some(&CLASS_32),
            Some(&LITTLE_ENDIAN),
            Some(EXECUTABLE),
            Some(MACHINE_386),
        )
    {
        return Err(
            kernel.bad("is an ELF file, but no little-endian 32-bit executable for the 386")
        );
    }
    let word = |at| read32(file, at).ok_or_else(truncated);
    let half = |at| read16(file, at).ok_or_else(truncated);
    let (entry, headers) = (word(24)?, word(28)? as usize);
    let (header_bytes, count) = (usize::from(half(42)?), usize::from(half(44)?));
    let mut segments = Vec::new();
    let mut eip = entry;
    for number in 0..count {
        let at = headers + number * header_bytes;
        if word(at)? != LOADABLE {
            continue;
        }
        let [offset, virtual_address, address, file_bytes, memory_bytes] = [
            word(at + 4)?,
            word(at + 8)?,
            word(at + 12)?,
            word(at + 16)?,
            word(at + 20)?,
        ];
        let bytes = (offset as usize)
            .checked_add(file_bytes as usize)
            .and_then(|end| file.get(offset as usize..end))
            .ok_or_else(truncated)?;
        if memory_bytes < file_bytes {
            return Err(kernel.bad("has a segment that is larger in the file than in memory"));
        }
        // An entry point above the physical addresses is a virtual one.
        if entry.wrapping_sub(virtual_address) < memory_bytes {
            eip = entry.wrapping_sub(virtual_address).wrapping_add(address);
        }
        if memory_bytes != 0 {
            segments.push(Segment {
                address,
                bytes: bytes.to_vec(),
                memory_bytes,
            });
        }
    }
    if segments.is_empty() {
        return Err(kernel.bad("has no segment to load"));
    }
    Ok((segments, eip))
}
