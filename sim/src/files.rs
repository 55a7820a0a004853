//! Files given on the command line, with errors that say which and why.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

/// The whole of a file that must not be empty nor longer than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let metadata =
        fs::metadata(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if metadata.is_dir() {
        return Err(format!("cannot read {}: it is a folder", path.display()));
    }
    if metadata.len() > limit {
        return Err(format!(
            "{} has {} bytes, more than the {limit} that fit",
            path.display(),
            metadata.len()
        ));
    }
    let bytes =
        fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if bytes.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    if bytes.len() as u64 > limit {
        return Err(format!(
            "{} has more than the {limit} bytes that fit",
            path.display()
        ));
    }
    Ok(bytes)
}

/// Writes a whole file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// A new file to write lines to.
pub fn create(path: &Path) -> Result<BufWriter<File>, String> {
    let file =
        File::create(path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 16, file))
}

/// A number of bytes: digits with an optional K, M or G, or hexadecimal with 0x.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.to_ascii_uppercase().chars().last() {
        Some('K') if !text.starts_with("0x") => (&text[..text.len() - 1], 10),
        Some('M') if !text.starts_with("0x") => (&text[..text.len() - 1], 20),
        Some('G') if !text.starts_with("0x") => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    };
    let number = number
        .map_err(|_| format!("`{text}` is no size; write for example 512K, 16M or 0x20000"))?;
    number
        .checked_shl(shift)
        .filter(|bytes| bytes >> shift == number)
        .ok_or_else(|| format!("`{text}` is too much"))
}

/// A physical address: hexadecimal, with or without 0x or a trailing h.
pub fn address(text: &str) -> Result<u32, String> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_suffix(['h', 'H']))
        .unwrap_or(text);
    u32::from_str_radix(digits, 16).map_err(|_| {
        format!("`{text}` is no physical address; write hexadecimal digits, for example 100000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0x20000", 0x20000),
            ("512K", 512 << 10),
            ("16m", 16 << 20),
            ("4G", 4 << 30),
            ("7", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(size("").is_err());
        assert!(size("M").is_err());
        assert!(size("99999999999999G").is_err());
    }

    #[test]
    fn addresses_are_hexadecimal() {
        for (text, expected) in [
            ("100000", 0x10_0000),
            ("0xFFFF0000", 0xFFFF_0000),
            ("F0000h", 0xF_0000),
        ] {
            assert_eq!(address(text), Ok(expected), "{text}");
        }
        assert!(address("").is_err());
        assert!(address("100000000").is_err());
    }
}
