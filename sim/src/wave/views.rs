//! The files beside a waveform that tell Surfer and GTKWave what to show, and what numbers mean.

use super::lanes::{Seen, stall_text};
use crate::symbols::Symbols;
use crate::trace::{microcode_names, register_name};
use spec::pipeline::STALL_REASONS;
use spec::registers::GENERAL;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The scope of all that is shown.
const SCOPE: &str = "TOP.sysgate";

/// How a signal is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// ASCII.
    Text,
    Bit,
    /// A number of this many bits in hexadecimal.
    Hex(u32),
    /// A number that has a name.
    Named(Names),
}
use Form::{Bit, Hex, Named, Text};

/// Names for numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Eip,
    Ring,
    Microcode,
    Stall,
    Register,
    SystemRegister,
    Vector,
}

const ALL_NAMES: [Names; 7] = [
    Names::Eip,
    Names::Ring,
    Names::Microcode,
    Names::Stall,
    Names::Register,
    Names::SystemRegister,
    Names::Vector,
];

/// What the viewers show, in groups from top to bottom; paths below [`SCOPE`].
#[rustfmt::skip]
const GROUPS: &[(&str, &[(&str, Form)])] = &[
    ("Journey", &[
        ("clock", Bit),
        ("journey.ring", Text),
        ("journey.module_name", Text),
        ("journey.symbol", Text),
        ("journey.disassembly", Text),
        ("journey.microcode", Text),
    ]),
    ("Pipeline", &[
        ("pipeline.fetch", Text),
        ("pipeline.decode", Text),
        ("pipeline.issue", Text),
        ("pipeline.address", Text),
        ("pipeline.memory", Text),
        ("pipeline.execute", Text),
        ("pipeline.stall", Text),
    ]),
    ("Where the stages are", &[
        ("pipeline_decode_eip", Named(Names::Eip)),
        ("pipeline_issue_eip", Named(Names::Eip)),
        ("pipeline_address_eip", Named(Names::Eip)),
        ("pipeline_memory_eip", Named(Names::Eip)),
        ("pipeline_execute_eip", Named(Names::Eip)),
        ("pipeline_micro_address", Named(Names::Microcode)),
        ("pipeline_stall", Named(Names::Stall)),
    ]),
    ("Retirement", &[
        ("retire_valid", Bit),
        ("retire_first", Bit),
        ("retire_last", Bit),
        ("retire_eip", Named(Names::Eip)),
        ("retire_next_eip", Named(Names::Eip)),
        ("retire_cpl", Named(Names::Ring)),
        ("retire_micro_address", Named(Names::Microcode)),
        ("retire_register_write", Bit),
        ("retire_register", Named(Names::Register)),
        ("retire_register_data", Hex(32)),
        ("retire_esp_write", Bit),
        ("retire_esp_data", Hex(32)),
        ("retire_eflags", Hex(32)),
        ("retire_system_write", Bit),
        ("retire_system_number", Named(Names::SystemRegister)),
        ("retire_system_data", Hex(32)),
        ("retire_load", Bit),
        ("retire_load_linear", Hex(32)),
        ("retire_load_data", Hex(64)),
        ("retire_store", Bit),
        ("retire_store_linear", Hex(32)),
        ("retire_store_data", Hex(64)),
        ("retire_exception", Bit),
        ("retire_interrupt", Bit),
        ("retire_vector", Named(Names::Vector)),
    ]),
    ("Memory", &[
        ("instruction_request", Bit),
        ("instruction_wait", Bit),
        ("instruction_address", Hex(32)),
        ("data_request", Bit),
        ("data_write", Bit),
        ("data_wait", Bit),
        ("data_address", Hex(32)),
        ("data_write_data", Hex(64)),
        ("data_read_data", Hex(64)),
    ]),
    ("Devices", &[
        ("io_valid", Bit),
        ("io_write", Bit),
        ("io_port", Hex(16)),
        ("io_data", Hex(32)),
        ("uart_tx", Bit),
        ("uart_rx", Bit),
        ("halted", Bit),
        ("shutdown", Bit),
    ]),
];

/// A number, its name, and the colour of it.
type Name = (u32, String, Option<&'static str>);

impl Names {
    fn file(self) -> &'static str {
        match self {
            Names::Eip => "eip",
            Names::Ring => "ring",
            Names::Microcode => "microcode",
            Names::Stall => "stall",
            Names::Register => "register",
            Names::SystemRegister => "system_register",
            Names::Vector => "vector",
        }
    }

    /// Bits of the number.
    fn bits(self) -> u32 {
        match self {
            Names::Eip => 32,
            Names::Ring => 2,
            Names::Microcode => 12,
            Names::Stall => 16,
            Names::Register => 4,
            Names::SystemRegister | Names::Vector => 8,
        }
    }

    fn rows(self, symbols: &Symbols, seen: &Seen) -> Vec<Name> {
        let plain = |(number, name)| (number, name, None);
        match self {
            Names::Eip => seen
                .addresses
                .iter()
                .map(|(&eip, &(linear, ring))| {
                    let place = symbols.at(linear);
                    let colour = match place.module.map_or(ring, |module| module.ring) {
                        0 => "red",
                        _ => "green",
                    };
                    (eip, place.to_string(), Some(colour))
                })
                .collect(),
            Names::Ring => (0..4)
                .map(|ring| (ring, format!("ring {ring}"), None))
                .collect(),
            Names::Microcode => microcode_names().map(plain).collect(),
            // More at once do not come together, and their number is shown if they do.
            Names::Stall => (0..1u32 << STALL_REASONS.len())
                .filter(|stalls| stalls.count_ones() <= 3)
                .map(|stalls| match stalls {
                    0 => (0, "none".to_string(), None),
                    _ => (stalls, stall_text(stalls), None),
                })
                .collect(),
            // From 8 the microcode's temporaries.
            Names::Register => (0..16)
                .map(|number| {
                    let name = GENERAL.get(number as usize).map(ToString::to_string);
                    (
                        number,
                        name.unwrap_or_else(|| format!("t{}", number - 8)),
                        None,
                    )
                })
                .collect(),
            Names::SystemRegister => (0..=255)
                .filter_map(|number| {
                    Some((number.into(), register_name(number)?.to_string(), None))
                })
                .collect(),
            Names::Vector => spec::exceptions::EXCEPTIONS
                .iter()
                .map(|row| {
                    (
                        row.vector.into(),
                        format!("{} {}", row.mnemonic, row.name),
                        None,
                    )
                })
                .collect(),
        }
    }
}

/// Writes all files for the waveform `wave`.
pub(super) fn write(wave: &Path, symbols: &Symbols, seen: &Seen) -> io::Result<()> {
    // Beside /dev/null nothing belongs.
    if !wave.is_file() {
        return Ok(());
    }
    let stem = wave
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // A name in a Surfer command ends at the first blank.
    let prefix: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let folder = match wave.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let surfer = folder.join(".surfer").join("mappings");
    let gtkwave = folder.join(".gtkwave");
    for folder in [&surfer, &gtkwave] {
        create(folder)?;
    }
    for names in ALL_NAMES {
        let rows = names.rows(symbols, seen);
        let name = format!("{prefix}_{}", names.file());
        save(
            &surfer.join(&name),
            &surfer_mapping(&name, names.bits(), &rows),
        )?;
        save(
            &gtkwave.join(format!("{name}.txt")),
            &gtkwave_filter(names.bits(), &rows),
        )?;
    }
    save(&wave.with_extension("sucl"), &surfer_commands(&prefix))?;
    let first = seen.first_cycle.unwrap_or(0);
    let folder = fs::canonicalize(&folder)?;
    save(
        &wave.with_extension("gtkw"),
        &gtkwave_save(&folder, wave, &stem, &prefix, first),
    )
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot write {}: {error}", path.display()),
    )
}

fn create(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(|error| named(folder, &error))
}

fn save(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|error| named(path, &error))
}

/// A mapping translator: `0x77f064f0[green] ntdll!KiFastSystemCall`.
fn surfer_mapping(name: &str, bits: u32, rows: &[Name]) -> String {
    let digits = bits.div_ceil(4) as usize;
    let mut text = format!("Name={name}\nBits={bits}\n");
    for (number, meaning, colour) in rows {
        let colour = colour
            .map(|colour| format!("[{colour}]"))
            .unwrap_or_default();
        writeln!(text, "0x{number:0digits$x}{colour} {meaning}").expect("a string takes all");
    }
    text
}

/// Items are focused by their number in letters, a to z, ba, …
fn letters(mut number: usize) -> String {
    let mut text = String::new();
    loop {
        text.insert(0, char::from(b'a' + (number % 26) as u8));
        number /= 26;
        if number == 0 {
            return text;
        }
    }
}

fn surfer_commands(prefix: &str) -> String {
    let mut text = String::new();
    let mut formats = String::new();
    let mut number = 0;
    for (group, rows) in GROUPS {
        // One word: what follows a blank is not part of the name in every version.
        writeln!(text, "divider_add {}", group.replace(' ', "_")).expect("a string takes all");
        number += 1;
        for (path, form) in *rows {
            writeln!(text, "variable_add {SCOPE}.{path}").expect("a string takes all");
            let format = match form {
                Text => Some("ASCII".to_string()),
                Named(names) => Some(format!("{prefix}_{}", names.file())),
                Hex(_) => Some("Hexadecimal".to_string()),
                Bit => None,
            };
            if let Some(format) = format {
                writeln!(
                    formats,
                    "item_focus {}\nitem_set_format {format}",
                    letters(number)
                )
                .expect("a string takes all");
            }
            number += 1;
        }
    }
    // Formats last: what is added while an item has the focus goes behind that item.
    text + &formats + "zoom_fit\n"
}

/// A translate filter file: `77F064F0 ?green?ntdll!KiFastSystemCall`.
fn gtkwave_filter(bits: u32, rows: &[Name]) -> String {
    let digits = bits.div_ceil(4) as usize;
    let mut text = String::new();
    for (number, meaning, colour) in rows {
        let colour = match colour {
            Some("red") => "?dark red?",
            Some("green") => "?dark green?",
            _ => "",
        };
        writeln!(text, "{number:0digits$X} {colour}{meaning}").expect("a string takes all");
    }
    text
}

/// A save file. Numbers behind `@` are GTKWave's flags of the lines below.
fn gtkwave_save(folder: &Path, wave: &Path, stem: &str, prefix: &str, first_cycle: u64) -> String {
    const BINARY: u32 = 0x28;
    const HEX: u32 = 0x22;
    const ASCII: u32 = 0x820;
    const TRANSLATED: u32 = 0x2022;
    const GROUP_BEGIN: u32 = 0x80_0200;
    const GROUP_END: u32 = 0x100_0200;
    let file = wave.file_name().unwrap_or_default();
    let mut text = format!(
        "[dumpfile] \"{}\"\n[savefile] \"{}\"\n[timestart] {}\n[size] 1600 1000\n[pos] -1 -1\n\
         *-5.000000 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n\
         [signals_width] 260\n[sst_expanded] 1\n[treeopen] TOP.\n[treeopen] {SCOPE}.\n",
        folder.join(file).display(),
        folder.join(format!("{stem}.gtkw")).display(),
        10 * first_cycle,
    );
    for (group, rows) in GROUPS {
        writeln!(text, "@{GROUP_BEGIN:x}\n-{group}").expect("a string takes all");
        for (path, form) in *rows {
            let (flags, bits) = match *form {
                Bit => (BINARY, 1),
                Hex(bits) => (HEX, bits),
                Text => (ASCII, 8 * lane_characters(path)),
                Named(names) => (TRANSLATED, names.bits()),
            };
            writeln!(text, "@{flags:x}").expect("a string takes all");
            if let Named(names) = form {
                let number = 1 + ALL_NAMES
                    .iter()
                    .position(|other| other == names)
                    .expect("all are there");
                let filter = folder
                    .join(".gtkwave")
                    .join(format!("{prefix}_{}.txt", names.file()));
                writeln!(text, "^{number} {}", filter.display()).expect("a string takes all");
            }
            let range = if bits == 1 {
                String::new()
            } else {
                format!("[{}:0]", bits - 1)
            };
            writeln!(text, "{SCOPE}.{path}{range}").expect("a string takes all");
        }
        writeln!(text, "@{GROUP_END:x}\n-{group}").expect("a string takes all");
    }
    text
}

/// Characters of a text lane.
fn lane_characters(path: &str) -> u32 {
    let name = path.rsplit('.').next().unwrap_or(path);
    verilator_sys::LANES
        .iter()
        .find(|(_, lane, _)| *lane == name)
        .map_or(0, |&(_, _, characters)| characters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use firmware::symbols::SymbolFile;

    #[test]
    fn every_text_lane_is_shown() {
        let shown: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, rows)| rows.iter())
            .filter(|(_, form)| *form == Text)
            .map(|(path, _)| *path)
            .collect();
        let lanes: Vec<String> = verilator_sys::LANES
            .iter()
            .map(|(scope, name, _)| format!("{scope}.{name}"))
            .collect();
        for lane in &lanes {
            assert!(shown.contains(&lane.as_str()), "{lane} is not shown");
        }
        assert_eq!(shown.len(), lanes.len());
    }

    #[test]
    fn items_are_counted_in_letters() {
        let counted: Vec<String> = [0, 25, 26, 27, 52].map(letters).to_vec();
        assert_eq!(counted, ["a", "z", "ba", "bb", "ca"]);
    }

    #[test]
    fn a_mapping_has_a_line_for_each_number_with_its_colour() {
        let symbols = Symbols::new(SymbolFile::default());
        let mut seen = Seen::default();
        seen.addresses.insert(0x77F0_64F0, (0x77F0_64F0, 3));
        let rows = Names::Eip.rows(&symbols, &seen);
        assert_eq!(
            surfer_mapping("x_eip", 32, &rows),
            "Name=x_eip\nBits=32\n0x77f064f0[green] 77f064f0\n"
        );
        assert_eq!(
            surfer_mapping("r", 2, &Names::Ring.rows(&symbols, &seen)),
            "Name=r\nBits=2\n0x0 ring 0\n0x1 ring 1\n0x2 ring 2\n0x3 ring 3\n"
        );
    }

    #[test]
    fn every_number_fits_its_signal() {
        let symbols = Symbols::new(SymbolFile::default());
        for names in ALL_NAMES {
            for (number, name, _) in names.rows(&symbols, &Seen::default()) {
                assert!(u64::from(number) < 1 << names.bits(), "{names:?} {name}");
                assert!(
                    !name.contains('\n') && !name.is_empty(),
                    "{names:?} {number}"
                );
            }
        }
    }
}
