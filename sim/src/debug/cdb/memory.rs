//! Memory in columns: `db dw dd dq da du dps dds`, and `s`.

use super::expression::Range;
use super::names::{Names, Target};
use std::fmt::Write;

/// Bytes of a page: what is mapped is mapped for all of it.
const PAGE_BYTES: u32 = 4096;

/// Bytes that one command shows at most.
pub const DUMP_LIMIT: u32 = 1 << 20;

/// How memory is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `db`: bytes and characters.
    Bytes,
    /// `dw`: words.
    Words,
    /// `dd`: doublewords.
    Doublewords,
    /// `dc`: doublewords and characters.
    Characters,
    /// `dq`: quadwords.
    Quadwords,
    /// `da`: characters up to a zero.
    Ascii,
    /// `du`: 16-bit characters up to a zero.
    Unicode,
    /// `dps`, `dds`: pointers with the names of what they point at.
    Pointers,
}

impl Format {
    /// Bytes of one object.
    pub fn size(self) -> u32 {
        match self {
            Self::Bytes | Self::Ascii => 1,
            Self::Words | Self::Unicode => 2,
            Self::Doublewords | Self::Characters | Self::Pointers => 4,
            Self::Quadwords => 8,
        }
    }

    /// Objects that a command without a range shows.
    pub fn count(self) -> u32 {
        match self {
            Self::Bytes => 128,
            Self::Words => 64,
            Self::Doublewords | Self::Characters | Self::Pointers => 32,
            Self::Quadwords => 16,
            Self::Ascii | Self::Unicode => 256,
        }
    }
}

/// Writes the range; returns the address behind what was shown.
pub fn dump(
    names: &Names,
    target: &mut dyn Target,
    range: Range,
    format: Format,
    out: &mut String,
) -> u32 {
    match format {
        Format::Pointers => pointers(names, target, range, out),
        Format::Ascii | Format::Unicode => text(target, range, format.size(), out),
        Format::Bytes => bytes(target, range, out),
        _ => numbers(target, range, format, out),
    }
}

/// The rows of 16 bytes of a range: address and bytes.
fn rows(target: &mut dyn Target, range: Range) -> Vec<(u32, Vec<Option<u8>>)> {
    let bytes = target.read(range.address, range.bytes as usize);
    let address = |row: usize| range.address.wrapping_add(row as u32 * 16);
    bytes
        .chunks(16)
        .enumerate()
        .map(|(row, bytes)| (address(row), bytes.to_vec()))
        .collect()
}

/// Digits of a number of `size` bytes, or question marks.
fn digits(bytes: &[Option<u8>], size: usize) -> String {
    let known: Option<Vec<u8>> = bytes.iter().copied().collect();
    match known.filter(|bytes| bytes.len() == size) {
        Some(bytes) => bytes
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        None => "?".repeat(size * 2),
    }
}

fn bytes(target: &mut dyn Target, range: Range, out: &mut String) -> u32 {
    for (address, row) in rows(target, range) {
        writeln!(out, "{address:08x}  {}", bytes_line(&row)).unwrap();
    }
    range.address.wrapping_add(range.bytes)
}

/// `b8 8c 01 00 00 ba 00 03-fe 7f ff 12 c2 24 00 90  .............$..`.
fn bytes_line(row: &[Option<u8>]) -> String {
    let mut line = String::new();
    for number in 0..16 {
        match row.get(number) {
            Some(byte) => line.push_str(&digits(&[*byte], 1)),
            None => line.push_str("  "),
        }
        line.push(match number {
            7 if row.len() > 8 => '-',
            15 => ' ',
            _ => ' ',
        });
    }
    line.push(' ');
    line.extend(row.iter().map(|byte| character(*byte)));
    line
}

fn character(byte: Option<u8>) -> char {
    match byte {
        Some(byte @ 0x20..0x7F) => char::from(byte),
        Some(_) => '.',
        None => '?',
    }
}

fn numbers(target: &mut dyn Target, range: Range, format: Format, out: &mut String) -> u32 {
    let size = format.size();
    for (address, row) in rows(target, range) {
        write!(out, "{address:08x} ").unwrap();
        for object in row.chunks(size as usize) {
            let digits = digits(object, size as usize);
            match size {
                // A quadword has a mark in the middle.
                8 => write!(out, " {}`{}", &digits[..8], &digits[8..]).unwrap(),
                _ => write!(out, " {digits}").unwrap(),
            }
        }
        if format == Format::Characters {
            let missing = 4 - row.len() / 4;
            write!(out, "{:width$}  ", "", width = missing * 9).unwrap();
            out.extend(row.iter().map(|byte| character(*byte)));
        }
        out.push('\n');
    }
    range.address.wrapping_add(range.bytes)
}

fn pointers(names: &Names, target: &mut dyn Target, range: Range, out: &mut String) -> u32 {
    let mut address = range.address;
    for _ in 0..range.bytes / 4 {
        match target.read_u32(address) {
            Some(value) => {
                let name = names.value(target, value);
                let name = name.map(|name| format!(" {name}")).unwrap_or_default();
                writeln!(out, "{address:08x}  {value:08x}{name}").unwrap();
            }
            None => writeln!(out, "{address:08x}  ????????").unwrap(),
        }
        address = address.wrapping_add(4);
    }
    address
}

fn text(target: &mut dyn Target, range: Range, size: u32, out: &mut String) -> u32 {
    let bytes = target.read(range.address, range.bytes as usize);
    let mut characters = Vec::new();
    for object in bytes.chunks(size as usize) {
        match object {
            [Some(0)] | [Some(0), Some(0)] | [None, ..] => break,
            [byte] | [byte, Some(0)] => characters.push(character(*byte)),
            _ => characters.push('?'),
        }
    }
    if bytes.first().is_none_or(|byte| byte.is_none()) {
        characters = vec!['?'; 4];
    }
    // Long texts go over several lines, each with its address.
    let per_line = if size == 1 { 48 } else { 32 };
    if characters.is_empty() {
        writeln!(out, "{:08x}  \"\"", range.address).unwrap();
    }
    for (number, line) in characters.chunks(per_line).enumerate() {
        let address = range
            .address
            .wrapping_add((number * per_line) as u32 * size);
        let line: String = line.iter().collect();
        writeln!(out, "{address:08x}  \"{line}\"").unwrap();
    }
    range.address.wrapping_add(characters.len() as u32 * size)
}

/// `s`: every place in the range where `pattern` lies, shown as objects of `size` bytes.
pub fn search(
    names: &Names,
    target: &mut dyn Target,
    range: Range,
    pattern: &[u8],
    size: u32,
    out: &mut String,
) {
    let mut done = 0;
    while done < range.bytes {
        let address = range.address.wrapping_add(done);
        let count = (PAGE_BYTES - address % PAGE_BYTES).min(range.bytes - done);
        let mapped = target.is_mapped(address);
        // A place may begin on this page and end on the next, but not behind the range.
        let left = (range.bytes - done) as usize;
        let wanted = (count as usize + pattern.len() - 1).min(left);
        let memory = match mapped {
            true => target.read(address, wanted),
            false => Vec::new(),
        };
        let first = done.next_multiple_of(size) - done;
        for at in (first..count).step_by(size as usize) {
            let Some(here) = memory.get(at as usize..at as usize + pattern.len()) else {
                break;
            };
            let mut pairs = here.iter().zip(pattern);
            if pairs.all(|(byte, wanted)| *byte == Some(*wanted)) {
                let address = address.wrapping_add(at);
                let format = match size {
                    1 => Format::Bytes,
                    2 => Format::Words,
                    _ => Format::Doublewords,
                };
                dump(names, target, Range { address, bytes: 16 }, format, out);
            }
        }
        done += count;
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::{Still, names};
    use super::*;

    fn shown(still: &mut Still, address: u32, bytes: u32, format: Format) -> String {
        let mut out = String::new();
        dump(&names(), still, Range { address, bytes }, format, &mut out);
        out
    }

    #[test]
    fn columns_are_those_of_cdb() {
        let stub = [
            0xB8, 0x8C, 1, 0, 0, 0xBA, 0, 3, 0xFE, 0x7F, 0xFF, 0x12, 0xC2, 0x24, 0, 0x90,
        ];
        let mut still = Still::default().with(0x1000, &stub);
        for (format, expected) in [
            (
                Format::Bytes,
                "00001000  b8 8c 01 00 00 ba 00 03-fe 7f ff 12 c2 24 00 90  .............$..\n",
            ),
            (
                Format::Words,
                "00001000  8cb8 0001 ba00 0300 7ffe 12ff 24c2 9000\n",
            ),
            (
                Format::Doublewords,
                "00001000  00018cb8 0300ba00 12ff7ffe 900024c2\n",
            ),
            (
                Format::Characters,
                "00001000  00018cb8 0300ba00 12ff7ffe 900024c2  .............$..\n",
            ),
            (
                Format::Quadwords,
                "00001000  0300ba00`00018cb8 900024c2`12ff7ffe\n",
            ),
        ] {
            assert_eq!(shown(&mut still, 0x1000, 16, format), expected);
        }
        assert_eq!(
            shown(&mut still, 0x1000, 3, Format::Bytes),
            "00001000  b8 8c 01                                         ...\n"
        );
    }

    #[test]
    fn what_is_not_there_is_shown_as_question_marks() {
        let mut still = Still::default().with(0x1000, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(
            shown(&mut still, 0x1000, 8, Format::Doublewords),
            "00001000  04030201 ????????\n"
        );
        assert_eq!(
            shown(&mut still, 0x1004, 4, Format::Bytes),
            "00001004  05 06 ?? ??                                      ..??\n"
        );
        assert_eq!(
            shown(&mut still, 0x2000, 4, Format::Pointers),
            "00002000  ????????\n"
        );
        assert_eq!(
            shown(&mut still, 0x2000, 4, Format::Ascii),
            "00002000  \"????\"\n"
        );
    }

    #[test]
    fn a_pointer_is_named_only_if_something_is_there() {
        let mut still = Still::default()
            .with(
                0x754C_1190,
                &[0xB0, 0x5E, 0xF0, 0x77, 0xF0, 0x64, 0xF0, 0x77],
            )
            .with(0x77F0_5EB0, &[0xB8]);
        assert_eq!(
            shown(&mut still, 0x754C_1190, 8, Format::Pointers),
            "754c1190  77f05eb0 ntdll!ZwWriteFile\n754c1194  77f064f0\n"
        );
    }

    #[test]
    fn a_text_ends_at_its_zero() {
        let mut still = Still::default()
            .with(0x1000, b"hello\r\0rest")
            .with(0x2000, b"h\0i\0\0\0");
        assert_eq!(
            shown(&mut still, 0x1000, 256, Format::Ascii),
            "00001000  \"hello.\"\n"
        );
        assert_eq!(
            shown(&mut still, 0x2000, 512, Format::Unicode),
            "00002000  \"hi\"\n"
        );
    }

    #[test]
    fn a_search_shows_each_place_once() {
        let mut still = Still::default().with(0x1000, &[0, 0x0F, 0x34, 0, 0x0F, 0x34, 0, 0]);
        let mut out = String::new();
        let range = Range {
            address: 0x1000,
            bytes: 8,
        };
        search(&names(), &mut still, range, &[0x0F, 0x34], 1, &mut out);
        let addresses: Vec<&str> = out.lines().map(|line| &line[..8]).collect();
        assert_eq!(addresses, ["00001001", "00001004"]);
        // Over a page's end, and not behind the range's.
        let mut still = Still::default()
            .with(0x1FF0, &[0; 32])
            .with(0x1FFF, &[0x0F, 0x34, 0x0F, 0x34]);
        let mut out = String::new();
        let range = Range {
            address: 0x1FF0,
            bytes: 0x12,
        };
        search(&names(), &mut still, range, &[0x0F, 0x34], 1, &mut out);
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(out.starts_with("00001fff"), "{out}");
    }
}
