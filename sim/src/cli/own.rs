//! A user's own file, given to `sysgate run` without saying what it is: a PE32 program, a kernel, or the source of one of them.

use super::session::{self, Options, Setup};
use super::{Failure, GateArgument, OsArgument, exit, print};
use crate::files;
use crate::journey::{Journey, Watch};
use crate::machine::{MachineConfig, MemoryKind, Stop};
use crate::symbols::Symbols;
use firmware::{ImageOptions, OwnProgram};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Largest file.
const FILE_LIMIT: u64 = 16 << 20;
/// RAM of a program: what the kernel of the image can give out.
pub const PROGRAM_RAM_BYTES: u32 = 2 << 20;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It begins as a PE file: a program of the Windows-like image.
    Program,
    /// Anything else: a kernel, or refused as one.
    Kernel,
}

/// A file that was given by its name alone.
#[derive(Debug)]
pub struct OwnFile {
    /// Its name.
    pub path: PathBuf,
    /// What it holds, or what nasm made of it.
    pub bytes: Vec<u8>,
}

impl OwnFile {
    /// Reads it; a source (`.asm`) is assembled.
    ///
    /// # Errors
    /// A file that cannot be read, no nasm, or its messages.
    pub fn read(path: &Path) -> Result<Self, String> {
        let is_source = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("asm"));
        let bytes = if is_source {
            assemble(path)?
        } else {
            files::read(path, FILE_LIMIT)?
        };
        Ok(Self {
            path: path.into(),
            bytes,
        })
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.bytes.starts_with(b"MZ") && !crate::foreign::is_linux(&self.bytes) {
            true => Kind::Program,
            false => Kind::Kernel,
        }
    }
}

/// A flat binary by nasm.
fn assemble(path: &Path) -> Result<Vec<u8>, String> {
    // An error of nasm's about a file that is not there is long.
    files::read(path, FILE_LIMIT)?;
    let output = std::env::temp_dir().join(format!("sysgate-{}.bin", std::process::id()));
    let nasm = std::env::var_os("NASM").unwrap_or_else(|| "nasm".into());
    let result = Command::new(&nasm)
        .args(["-f", "bin", "-o"])
        .arg(&output)
        .arg(path)
        .output();
    let result = result.map_err(|error| {
        format!(
            "{} is a source, and {} cannot be started ({error}): install nasm, or name it in $NASM",
            path.display(),
            nasm.display()
        )
    })?;
    if !result.status.success() {
        return Err(format!(
            "nasm refuses {}:\n{}",
            path.display(),
            String::from_utf8_lossy(&result.stderr).trim_end()
        ));
    }
    let bytes = files::read(&output, FILE_LIMIT);
    let _ = std::fs::remove_file(&output);
    bytes.map_err(|_| format!("nasm makes nothing of {}", path.display()))
}

/// How to run a program.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Words behind its name.
    pub arguments: &'a [String],
    /// The gate of its image.
    pub gate: GateArgument,
    /// Whose services its image has.
    pub os: OsArgument,
    /// Bytes of RAM, a multiple of 8.
    pub ram_bytes: u32,
    /// Seed of random wait states.
    pub wait_seed: Option<u64>,
    /// Clock cycles without a retired instruction that count as a hang.
    pub hang_cycles: u64,
    /// Print the journeys behind its output.
    pub journeys: bool,
    /// What RAM is made of.
    pub memory: MemoryKind,
}

/// Runs a program in the image; its exit status is the exit code.
///
/// # Errors
/// A file that cannot be loaded, and every end that is not the program's own.
pub fn run(file: OwnFile, run: Run, mut options: Options) -> Result<u8, Failure> {
    let file_name = file.path.file_name().unwrap_or_default();
    let file_name = file_name.to_string_lossy().into_owned();
    let quoted = |word: &String| match word.is_empty() || word.contains([' ', '\t']) {
        true => format!("\"{word}\""),
        false => word.clone(),
    };
    let words = [file_name.clone()];
    let words: Vec<String> = words.iter().chain(run.arguments).map(quoted).collect();
    let image = firmware::build(&ImageOptions {
        gate: run.gate.into(),
        windows: run.os.into(),
        ram_bytes: run.ram_bytes,
        own_program: Some(OwnProgram {
            file_name: file_name.clone(),
            bytes: file.bytes,
            command_line: words.join(" "),
        }),
        ..ImageOptions::default()
    })
    .map_err(|error| format!("cannot load it: {error}"))?;
    for import in &image.missing_imports {
        eprintln!("sysgate: warning: {file_name} imports {import}, which is not there");
    }
    let symbols = Arc::new(Symbols::new(image.symbols));
    let setup = Setup {
        config: MachineConfig {
            ram_bytes: run.ram_bytes,
            rom: image.rom,
            // RAM reaches into the addresses of the ROM's mirror, which the image does not use.
            shadow: true,
            memory: run.memory,
            wait_seed: run.wait_seed,
            hang_clocks: run.hang_cycles,
            keep_retired: false,
            keep_ports: false,
        },
        loads: Vec::new(),
        symbols: Arc::clone(&symbols),
    };
    options.program = true;
    options.observe = run.journeys;
    let mut watch = Watch::new(None);
    let mut journeys = Vec::new();
    let end = session::run(&setup, &options, &mut |instruction| {
        watch.push(instruction, &symbols);
        journeys.extend(watch.take_finished());
        true
    })?;
    if run.journeys {
        print(&report(&file_name, &journeys))?;
    }
    match end.stop {
        Some(Stop::Exit(status)) => {
            if status > 0xFF {
                eprintln!("sysgate: {file_name} ended with status {status:08x}h");
            }
            Ok(status as u8)
        }
        Some(Stop::Halted) => Err(Failure::new(
            exit::ERROR,
            format!("the kernel stopped at {}", end.place),
        )),
        _ => end.code(run.hang_cycles),
    }
}

/// The journeys by where they went, and the path of the first to each place.
fn report(file_name: &str, journeys: &[Journey]) -> String {
    let target = |journey: &Journey| {
        let below = journey
            .hops
            .iter()
            .find(|hop| hop.layer < journey.hops[0].layer);
        below.map_or(String::new(), |hop| {
            format!("{}!{}", hop.module, hop.symbol)
        })
    };
    let mut targets: Vec<(String, Vec<&Journey>)> = Vec::new();
    for journey in journeys {
        let name = target(journey);
        match targets.iter_mut().find(|(other, _)| *other == name) {
            Some((_, same)) => same.push(journey),
            None => targets.push((name, vec![journey])),
        }
    }
    let mut text = format!(
        "\n{} journeys of {file_name} into another ring and back:\n",
        journeys.len()
    );
    text += &format!(
        "{:<44}{:>6}{:>10}{:>10}\n",
        "call", "count", "cycles", "least"
    );
    for (name, same) in &targets {
        let cycles: Vec<u64> = same.iter().map(|journey| journey.totals.cycles).collect();
        let least = cycles.iter().min().unwrap_or(&0);
        let all: u64 = cycles.iter().sum();
        text += &format!("{name:<44}{:>6}{all:>10}{least:>10}\n", same.len());
    }
    for (name, same) in &targets {
        text += &format!("\nthe first to {name}:\n{}", same[0].table());
    }
    text
}
