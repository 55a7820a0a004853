//! The waveform as a viewer sees it: names, texts, and the files beside it.
#![cfg(feature = "model")]

use sim::image::Image;
use sim::symbols::Symbols;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use wellen::simple::Waveform;

/// A folder of its own, with a blank in its name, that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sysgate {name} {}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sysgate(folder: &Folder, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .args(arguments)
        .current_dir(&folder.0)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {message}");
}

/// The cycles of the journey in the default image, and more.
const WINDOW: [&str; 4] = [
    "--wave-window",
    "symbol=winlogon!WinMainCRTStartup",
    "--wave-window",
    "cycles=3000",
];

/// A signal over time: from each cycle on, its bits.
fn changes(wave: &mut Waveform, path: &str) -> Vec<(u64, Vec<u8>)> {
    let names: Vec<&str> = path.split('.').collect();
    let (name, scope) = names.split_last().unwrap();
    let variable = wave
        .hierarchy()
        .lookup_var(scope, name)
        .unwrap_or_else(|| panic!("the waveform has no {path}"));
    let signal = wave.hierarchy()[variable].signal_ref();
    wave.load_signals(&[signal]);
    let times = wave.time_table().to_vec();
    wave.get_signal(signal)
        .unwrap()
        .iter_changes()
        .filter_map(|(time, value)| {
            let bits = value.to_bit_string()?.into_bytes();
            Some((times[time as usize] / 10, bits))
        })
        .collect()
}

/// A text lane over time.
fn texts(wave: &mut Waveform, lane: &str) -> BTreeMap<u64, String> {
    changes(wave, &format!("TOP.sysgate.{lane}"))
        .into_iter()
        .map(|(cycle, bits)| {
            let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit & 1));
            let text: Vec<u8> = bits.chunks(8).map(byte).collect();
            (
                cycle,
                String::from_utf8(text)
                    .unwrap()
                    .trim_start_matches('\0')
                    .to_string(),
            )
        })
        .collect()
}

fn at(lane: &BTreeMap<u64, String>, cycle: u64) -> &str {
    lane.range(..=cycle)
        .next_back()
        .map_or("", |(_, text)| text.as_str())
}

/// Cut as the lanes are.
fn cut(text: &str, characters: usize) -> String {
    match text.len() > characters {
        true => format!("{}~", &text[..characters - 1]),
        false => text.to_string(),
    }
}

/// The rows of a log whose cycles lie in the waveform: cycle, ring, EIP, and the rest of the line.
fn rows(folder: &Folder, wave: &mut Waveform) -> Vec<(u64, String, u32, String)> {
    let clock = changes(wave, "TOP.sysgate.clock");
    let (first, last) = (clock.first().unwrap().0, clock.last().unwrap().0);
    let rows: Vec<_> = std::fs::read_to_string(folder.0.join("log"))
        .unwrap()
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            words.next()?;
            let cycle = words.next()?.parse().ok()?;
            let ring = words.next()?.to_string();
            let (_, eip) = words.next()?.split_once(':')?;
            let eip = u32::from_str_radix(eip, 16).ok()?;
            Some((cycle, ring, eip, line.to_string()))
        })
        .filter(|row| row.0 > first && row.0 < last)
        .collect();
    assert!(rows.len() > 500, "{} rows", rows.len());
    rows
}

#[test]
fn the_lanes_say_in_each_cycle_what_the_retire_log_says() {
    let folder = Folder::new("lanes");
    let arguments = ["run", "--wave", "x.fst", "--retire-log", "log"];
    sysgate(&folder, &[&arguments[..], &WINDOW].concat());
    let mut wave: Waveform = wellen::simple::read(folder.0.join("x.fst")).unwrap();
    let symbols = Symbols::new(Image::build(firmware::Gate::Sysenter).unwrap().symbols);
    let lanes: BTreeMap<&str, _> = [
        "journey.symbol",
        "journey.disassembly",
        "journey.ring",
        "journey.module_name",
        "pipeline.execute",
        "pipeline.memory",
    ]
    .into_iter()
    .map(|lane| (lane, texts(&mut wave, lane)))
    .collect();
    let mut rings = 0;
    for (cycle, ring, eip, line) in rows(&folder, &mut wave) {
        if line.contains("{exception") || line.contains("{interrupt") {
            continue;
        }
        let place = symbols.at(eip);
        // Columns: number, cycle, CPL, CS:EIP, bytes, text, then what it read and wrote.
        let text = line.split_whitespace().skip(5);
        let text = text.collect::<Vec<_>>().join(" ");
        let lane = |name: &str| at(&lanes[name], cycle);
        assert_eq!(
            lane("journey.symbol"),
            cut(&place.to_string(), 48),
            "{line}"
        );
        assert_eq!(lane("journey.module_name"), place.module_name(), "{line}");
        assert_eq!(lane("journey.ring"), format!("ring {ring}"), "{line}");
        let disassembly = lane("journey.disassembly");
        assert!(
            text.starts_with(disassembly.trim_end_matches('~')),
            "{disassembly}: {line}"
        );
        assert!(!disassembly.is_empty(), "{line}");
        assert_eq!(lane("pipeline.execute"), cut(disassembly, 40), "{line}");
        rings |= 1 << ring.parse::<u32>().unwrap();
    }
    assert_eq!(rings, 0b1001, "the window reaches both rings");
    for text in ["mov eax,18Ch", "sysenter", "sysexit"] {
        assert!(
            lanes["pipeline.memory"].values().any(|other| other == text),
            "{text}"
        );
    }
}

#[test]
fn the_microcode_lane_names_the_routine_of_every_micro_op() {
    let folder = Folder::new("microcode");
    let arguments = [
        "run",
        "--wave",
        "x.fst",
        "--retire-log",
        "log",
        "--micro-ops",
    ];
    sysgate(&folder, &[&arguments[..], &WINDOW].concat());
    let mut wave: Waveform = wellen::simple::read(folder.0.join("x.fst")).unwrap();
    let lane = texts(&mut wave, "journey.microcode");
    let mut routines = 0;
    for (cycle, _, _, line) in rows(&folder, &mut wave) {
        let address = line
            .split_whitespace()
            .filter_map(|word| word.strip_prefix(['=', '/', '|', '\\']))
            .find_map(|digits| u32::from_str_radix(digits, 16).ok())
            .unwrap();
        let name = sim::trace::microcode_name(address);
        routines += u32::from(name.is_some());
        assert_eq!(at(&lane, cycle), name.unwrap_or_default(), "{line}");
    }
    assert!(routines > 50, "{routines} micro-ops of routines");
    assert!(lane.values().any(|name| name.starts_with("sysenter")));
}

#[test]
fn a_stage_that_waits_tells_why() {
    let folder = Folder::new("stall");
    sysgate(
        &folder,
        &[&["run", "--wave", "x.fst"][..], &WINDOW].concat(),
    );
    let mut wave: Waveform = wellen::simple::read(folder.0.join("x.fst")).unwrap();
    let lane = texts(&mut wave, "pipeline.stall");
    let mut seen = 0;
    let mut previous = u64::MAX;
    for (cycle, bits) in changes(&mut wave, "TOP.sysgate.pipeline_stall") {
        let stalls = bits
            .iter()
            .fold(0u32, |bits, bit| bits << 1 | u32::from(bit & 1));
        let names = spec::pipeline::STALL_REASONS.iter().enumerate();
        let expected: Vec<&str> = names
            .filter(|(bit, _)| stalls >> bit & 1 != 0)
            .map(|(_, name)| *name)
            .collect();
        if cycle != previous {
            assert_eq!(
                at(&lane, cycle),
                cut(&expected.join(" | "), 96),
                "cycle {cycle}"
            );
        }
        seen |= stalls;
        previous = cycle;
    }
    assert!(seen.count_ones() >= 4, "reasons {seen:b}");
}

/// Every name in the files beside the waveform, with its bits where the file tells.
fn names(folder: &Path) -> Vec<(String, Option<u32>)> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let surfer = read("x.sucl");
    let surfer = surfer
        .lines()
        .filter_map(|line| Some((line.strip_prefix("variable_add ")?.to_string(), None)));
    let gtkwave = read("x.gtkw");
    let gtkwave = gtkwave.lines().filter(|line| line.starts_with("TOP."));
    let gtkwave = gtkwave.map(|line| match line.strip_suffix(":0]") {
        Some(range) => {
            let (name, high) = range.rsplit_once('[').unwrap();
            (name.to_string(), Some(high.parse::<u32>().unwrap() + 1))
        }
        None => (line.to_string(), Some(1)),
    });
    surfer.chain(gtkwave).collect()
}

#[test]
fn every_name_that_the_viewers_files_mention_is_in_the_waveform() {
    let folder = Folder::new("names");
    sysgate(
        &folder,
        &[&["run", "--wave", "x.fst"][..], &WINDOW].concat(),
    );
    let wave: Waveform = wellen::simple::read(folder.0.join("x.fst")).unwrap();
    let names = names(&folder.0);
    assert!(names.len() > 100, "{}", names.len());
    for (path, bits) in names {
        let parts: Vec<&str> = path.split('.').collect();
        let (name, scope) = parts.split_last().unwrap();
        let hierarchy = wave.hierarchy();
        let variable = hierarchy
            .lookup_var(scope, name)
            .unwrap_or_else(|| panic!("the waveform has no {path}"));
        let length = hierarchy[variable].length(hierarchy).unwrap();
        assert!(
            bits.is_none_or(|bits| bits == length),
            "{path} has {length} bits, not {bits:?}"
        );
    }
}

#[test]
fn a_clock_cycle_takes_10_ns_of_the_waveform() {
    let folder = Folder::new("time");
    sysgate(
        &folder,
        &[&["run", "--wave", "x.fst"][..], &WINDOW].concat(),
    );
    let wave: Waveform = wellen::simple::read(folder.0.join("x.fst")).unwrap();
    let scale = wave.hierarchy().timescale().unwrap();
    assert_eq!(
        (scale.factor, scale.unit),
        (1, wellen::TimescaleUnit::NanoSeconds)
    );
}

#[test]
fn every_format_of_the_surfer_file_is_its_own_or_a_mapping_beside_it() {
    let folder = Folder::new("formats");
    sysgate(
        &folder,
        &[&["run", "--wave", "x.fst"][..], &WINDOW].concat(),
    );
    let commands = std::fs::read_to_string(folder.0.join("x.sucl")).unwrap();
    let mut mappings = 0;
    for format in commands
        .lines()
        .filter_map(|line| line.strip_prefix("item_set_format "))
    {
        if !["ASCII", "Hexadecimal"].contains(&format) {
            let path = folder.0.join(".surfer/mappings").join(format);
            let mapping = std::fs::read_to_string(&path).unwrap();
            assert!(
                mapping.starts_with(&format!("Name={format}\nBits=")),
                "{format}"
            );
            mappings += 1;
        }
    }
    assert!(mappings >= 10, "{mappings}");
    let eips = std::fs::read_to_string(folder.0.join(".surfer/mappings/x_eip")).unwrap();
    for line in [
        "0x77f064f0[green] ntdll!KiFastSystemCall",
        "0x828010c0[red] nt!KiFastCallEntry",
        "0x01001234[green] winlogon!WinMain+0x1c",
    ] {
        assert!(eips.lines().any(|other| other == line), "{line} is missing");
    }
    let save = std::fs::read_to_string(folder.0.join("x.gtkw")).unwrap();
    for path in save.lines().filter_map(|line| line.strip_prefix('^')) {
        let (_, path) = path.split_once(' ').unwrap();
        assert!(Path::new(path).is_file(), "{path}");
    }
}
