//! Modules and symbols: `lm`, `x`, `ln`, `!dh`.

use super::names::{Names, Target, matches};
use super::{Debugger, Outcome};
use std::fmt::Write;

impl Debugger {
    /// `lm [m PATTERN] [a ADDRESS]`, `lmv` with all there is to say.
    pub(super) fn list_modules(&mut self, name: &str, arguments: &str) -> Outcome {
        let mut words = arguments.split_whitespace();
        let (mut pattern, mut address) = ("*", None);
        while let Some(word) = words.next() {
            let argument =
                || format!("Syntax error in 'lm {arguments}': lm [m PATTERN] [a ADDRESS]");
            match word {
                "m" => pattern = words.next().ok_or_else(argument)?,
                "a" => address = Some(self.address(words.next().ok_or_else(argument)?)?),
                _ => return Err(argument()),
            }
        }
        let mut out = String::from("start    end        module name\n");
        for module in self.names.modules() {
            let end = module.base.wrapping_add(module.size);
            if !matches(pattern, &module.name)
                || address.is_some_and(|address| address.wrapping_sub(module.base) >= module.size)
            {
                continue;
            }
            let line = format!(
                "{:08x} {end:08x}   {:10} (image symbols)        {}",
                module.base, module.name, module.file
            );
            writeln!(out, "{}", line.trim_end()).unwrap();
            if name == "lmv" {
                let symbols = &self.names.symbols().file().symbols;
                let count = symbols
                    .iter()
                    .filter(|symbol| symbol.module == module.name)
                    .count();
                writeln!(out, "    Image name: {}", module.file).unwrap();
                writeln!(out, "    ImageSize:  {:08X}", module.size).unwrap();
                writeln!(out, "    Layer:      {}", module.layer).unwrap();
                writeln!(out, "    Ring:       {}", module.ring).unwrap();
                writeln!(out, "    Symbols:    {count}").unwrap();
            }
        }
        self.out.push_str(&out);
        Ok(())
    }

    /// `x [module!]pattern`.
    pub(super) fn examine_symbols(&mut self, _: &str, arguments: &str) -> Outcome {
        if arguments.is_empty() {
            return Err("Syntax error: x takes a pattern, for example x ntdll!*WriteFile".into());
        }
        let mut out = String::new();
        for (symbol, name) in self.names.matching(arguments) {
            writeln!(
                out,
                "{:08x} {}!{name} = <no type information>",
                symbol.address, symbol.module
            )
            .unwrap();
        }
        if out.is_empty() {
            return Err(format!(
                "Couldn't resolve 'x {arguments}': no symbol matches"
            ));
        }
        self.out.push_str(&out);
        Ok(())
    }

    /// `ln [address]`.
    pub(super) fn list_nearest(&mut self, _: &str, arguments: &str) -> Outcome {
        let address = match arguments {
            "" => self.eip(),
            _ => self.address(arguments)?,
        };
        let text = nearest(&self.names, address)
            .ok_or_else(|| format!("No symbol is near {address:08x}"))?;
        self.out.push_str(&text);
        Ok(())
    }

    /// `!dh module`.
    pub(super) fn dump_headers(&mut self, _: &str, arguments: &str) -> Outcome {
        let base = match self.names.module(arguments) {
            Some(module) => module.base,
            None => self.address(arguments)?,
        };
        let text = headers(&mut self.debuggee, base)?;
        self.out.push_str(&text);
        Ok(())
    }
}

/// `(77f05eb0)   ntdll!ZwWriteFile   |  (77f05ec0)   ntdll!ZwWriteFileGather`, and the exact matches.
fn nearest(names: &Names, address: u32) -> Option<String> {
    let near = names.near(address)?;
    let mut out = format!("({:08x})   {near}", address.wrapping_sub(near.offset));
    if let Some(next) = names.next(address) {
        write!(
            out,
            "   |  ({:08x})   {}!{}",
            next.address, next.module, next.name
        )
        .unwrap();
    }
    out.push('\n');
    let exact = names.exact(address);
    if !exact.is_empty() {
        out.push_str("Exact matches:\n");
    }
    for symbol in exact {
        for name in std::iter::once(&symbol.name).chain(&symbol.aliases) {
            writeln!(out, "    {}!{name} = <no type information>", symbol.module).unwrap();
        }
    }
    Some(out)
}

/// Directories of a PE file that have a name in `!dh`.
const DIRECTORIES: [&str; 16] = [
    "Export",
    "Import",
    "Resource",
    "Exception",
    "Security",
    "Base Relocation",
    "Debug",
    "Description",
    "Special",
    "Thread Storage",
    "Load Configuration",
    "Bound Import",
    "Import Address Table",
    "Delay Import",
    "COR20 Header",
    "Reserved",
];

/// A field of a header: the width of the column, offset, bytes, what it is.
type Field = (u32, usize, &'static str);

const OPTIONAL_HEADER: [Field; 20] = [
    (4, 4, "size of code"),
    (8, 4, "size of initialized data"),
    (12, 4, "size of uninitialized data"),
    (16, 4, "address of entry point"),
    (20, 4, "base of code"),
    (28, 4, "image base"),
    (32, 4, "section alignment"),
    (36, 4, "file alignment"),
    (40, 2, "operating system version, major"),
    (44, 2, "image version, major"),
    (48, 2, "subsystem version, major"),
    (56, 4, "size of image"),
    (60, 4, "size of headers"),
    (64, 4, "checksum"),
    (68, 2, "subsystem"),
    (70, 2, "DLL characteristics"),
    (72, 4, "size of stack reserve"),
    (76, 4, "size of stack commit"),
    (80, 4, "size of heap reserve"),
    (92, 4, "number of directories"),
];

/// Characteristics of a section in `!dh`'s words.
const SECTION_FLAGS: [(u32, &str); 6] = [
    (0x20, "Code"),
    (0x40, "Initialized Data"),
    (0x0200_0000, "Discardable"),
    (0x2000_0000, "Execute"),
    (0x4000_0000, "Read"),
    (0x8000_0000, "Write"),
];

/// The entry point of the PE image at `base`, if there is one.
pub fn entry_point(target: &mut dyn Target, base: u32) -> Option<u32> {
    let header = base.wrapping_add(target.read_u32(base.wrapping_add(0x3C))?);
    if target.read_u32(header)? != 0x4550 {
        return None;
    }
    Some(base.wrapping_add(target.read_u32(header.wrapping_add(0x28))?))
}

fn headers(target: &mut dyn Target, base: u32) -> Result<String, String> {
    let mut field = |address: u32, bytes| {
        target
            .read_number(address, bytes)
            .map(|number| number as u32)
            .ok_or_else(|| {
                format!(
                    "Memory access error at {address:08x}: the headers of {base:08x} are not mapped"
                )
            })
    };
    if field(base, 2)? != 0x5A4D {
        return Err(format!(
            "There is no PE image at {base:08x}: it does not begin with MZ"
        ));
    }
    let header = base.wrapping_add(field(base + 0x3C, 4)?);
    if field(header, 4)? != 0x4550 {
        return Err(format!(
            "There is no PE image at {base:08x}: its header has no signature"
        ));
    }
    let mut out = String::new();
    let (file, optional) = (header + 4, header + 24);
    let characteristics = field(file + 18, 2)?;
    let kind = match characteristics & 0x2000 {
        0 => "EXECUTABLE IMAGE",
        _ => "DLL",
    };
    writeln!(out, "\nFile Type: {kind}\nFILE HEADER VALUES").unwrap();
    let sections = field(file + 2, 2)?;
    let machine = field(file, 2)?;
    let machine_name = if machine == 0x14C { "i386" } else { "unknown" };
    writeln!(out, "{machine:8X} machine ({machine_name})").unwrap();
    writeln!(out, "{sections:8X} number of sections").unwrap();
    writeln!(out, "{:8X} time date stamp", field(file + 4, 4)?).unwrap();
    let optional_bytes = field(file + 16, 2)?;
    writeln!(out, "{optional_bytes:8X} size of optional header").unwrap();
    writeln!(out, "{characteristics:8X} characteristics\n").unwrap();
    writeln!(out, "OPTIONAL HEADER VALUES").unwrap();
    writeln!(out, "{:8X} magic #", field(optional, 2)?).unwrap();
    for (offset, bytes, name) in OPTIONAL_HEADER {
        writeln!(out, "{:8X} {name}", field(optional + offset, bytes)?).unwrap();
    }
    let directories = field(optional + 92, 4)?.min(16);
    for (index, name) in (0..directories).zip(DIRECTORIES) {
        let at = optional + 96 + index * 8;
        let (address, size) = (field(at, 4)?, field(at + 4, 4)?);
        writeln!(
            out,
            "{address:8X} [{size:8X}] address [size] of {name} Directory"
        )
        .unwrap();
    }
    for number in 0..sections.min(96) {
        let at = optional + optional_bytes + number * 40;
        let mut name = String::new();
        for index in 0..8 {
            match field(at + index, 1)? {
                0 => break,
                byte => name.push(char::from(byte as u8)),
            }
        }
        writeln!(out, "\nSECTION HEADER #{:X}\n{name:>8} name", number + 1).unwrap();
        for (offset, text) in [
            (8, "virtual size"),
            (12, "virtual address"),
            (16, "size of raw data"),
            (20, "file pointer to raw data"),
        ] {
            writeln!(out, "{:8X} {text}", field(at + offset, 4)?).unwrap();
        }
        let flags = field(at + 36, 4)?;
        writeln!(out, "{flags:8X} flags").unwrap();
        for (bit, text) in SECTION_FLAGS {
            if flags & bit != 0 {
                writeln!(out, "         {text}").unwrap();
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::{Still, names};
    use super::*;

    #[test]
    fn ln_names_both_neighbours_and_all_exact_names() {
        assert_eq!(
            nearest(&names(), 0x77F0_5EB0).unwrap(),
            "(77f05eb0)   ntdll!ZwWriteFile   |  (77f064f0)   ntdll!KiFastSystemCall
Exact matches:
    ntdll!ZwWriteFile = <no type information>
    ntdll!NtWriteFile = <no type information>
"
        );
        assert_eq!(
            nearest(&names(), 0x77F0_5EBC).unwrap(),
            "(77f05eb0)   ntdll!ZwWriteFile+0xc   |  (77f064f0)   ntdll!KiFastSystemCall\n"
        );
    }

    #[test]
    fn headers_that_are_not_there_are_told() {
        assert!(
            headers(&mut Still::default(), 0x1000)
                .unwrap_err()
                .contains("00001000")
        );
        let mut still = Still::default().with(0x1000, &[0; 0x100]);
        assert!(headers(&mut still, 0x1000).unwrap_err().contains("MZ"));
    }
}
