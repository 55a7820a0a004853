//! A recorded run: the state before each instruction, and the ROM it belongs to.
//!
//! The file is a header of 16 bytes (`SGBOCHS1`, a hash of the ROM) and rows of eleven 32-bit numbers, each the exclusive or with
//! the row before, compressed with xz: what stays the same costs next to nothing.

use anyhow::{Context, bail, ensure};
use std::hash::Hasher;
use std::io::{Read, Write};
use std::path::Path;

const MAGIC: &[u8; 8] = b"SGBOCHS1";
const WORDS: usize = 11;

/// The state before an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI.
    pub general: [u32; 8],
    /// EFLAGS.
    pub eflags: u32,
    /// Selector of CS.
    pub cs: u32,
    /// EIP.
    pub eip: u32,
}

impl Row {
    fn words(&self) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        words[..8].copy_from_slice(&self.general);
        words[8..].copy_from_slice(&[self.eflags, self.cs, self.eip]);
        words
    }

    fn of(words: [u32; WORDS]) -> Self {
        Self {
            general: words[..8].try_into().expect("eight"),
            eflags: words[8],
            cs: words[9],
            eip: words[10],
        }
    }
}

/// FNV-1a, which is the same everywhere.
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

fn hash(rom: &[u8]) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(rom);
    hasher.finish()
}

/// Writes a recording; returns its bytes.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, rom: &[u8], rows: &[Row]) -> anyhow::Result<usize> {
    let mut bytes = [&MAGIC[..], &hash(rom).to_le_bytes()].concat();
    let mut before = [0; WORDS];
    for row in rows {
        let words = row.words();
        for (word, before) in words.iter().zip(&before) {
            bytes.extend((word ^ before).to_le_bytes());
        }
        before = words;
    }
    let mut packed = Vec::new();
    let mut encoder = liblzma::write::XzEncoder::new(&mut packed, 9);
    encoder.write_all(&bytes)?;
    encoder.finish()?;
    std::fs::write(path, &packed).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(packed.len())
}

/// Reads the recording of a ROM.
///
/// # Errors
/// A file that cannot be read, is none, or belongs to another ROM.
pub fn read(path: &Path, rom: &[u8]) -> anyhow::Result<Vec<Row>> {
    let packed = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(&*packed)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{} is no xz file", path.display()))?;
    ensure!(
        bytes.starts_with(MAGIC) && bytes.len() >= 16,
        "{} is no recording of Bochs",
        path.display()
    );
    if bytes[8..16] != hash(rom).to_le_bytes() {
        bail!(
            "{} belongs to another state of its program: record it again",
            path.display()
        );
    }
    let rows = &bytes[16..];
    ensure!(
        rows.len().is_multiple_of(4 * WORDS),
        "{} is truncated",
        path.display()
    );
    let mut words = [0u32; WORDS];
    let rows = rows.chunks_exact(4 * WORDS).map(|row| {
        for (word, bytes) in words.iter_mut().zip(row.chunks_exact(4)) {
            *word ^= u32::from_le_bytes(bytes.try_into().expect("four"));
        }
        Row::of(words)
    });
    Ok(rows.collect())
}
