//! The program `sysgate` as a user runs it: exit codes, messages, files.
#![cfg(feature = "model")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use wellen::simple::Waveform;

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        // With a space, as users have them.
        let path = std::env::temp_dir().join(format!("sysgate {test} {}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A ROM of 64 KB with `code` at F000:E000, to which the reset vector jumps.
    fn rom(&self, code: &[u8]) -> PathBuf {
        let mut rom = vec![0x90; 0x1_0000];
        rom[0xE000..0xE000 + code.len()].copy_from_slice(code);
        rom[0xFFF0..0xFFF3].copy_from_slice(&[0xE9, 0x0D, 0xE0]);
        let path = self.file("test.rom");
        std::fs::write(&path, rom).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sysgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sysgate"));
    command.stdin(Stdio::null());
    command
}

/// `sysgate run --bios ROM` with further arguments.
fn run(rom: &Path, arguments: &[&str]) -> Output {
    sysgate()
        .arg("run")
        .arg("--bios")
        .arg(rom)
        .args(arguments)
        .output()
        .unwrap()
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const OUT_EXIT: &[u8] = &[0xB0, 0x15, 0xE6, 0xF4]; // mov al,15h; out F4h,al
const LOOP: &[u8] = &[0xEB, 0xFE]; // jmp $

#[test]
fn hlt_with_interrupts_off_ends_with_0_and_says_halted() {
    let folder = Folder::new("halt");
    let output = run(&folder.rom(&[0xFA, 0xF4]), &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        message(&output).starts_with("halted at EIP 0000e002, CPL 0, cycle "),
        "{}",
        message(&output)
    );
}

#[test]
fn a_write_to_the_exit_port_gives_the_exit_code() {
    let folder = Folder::new("exit");
    assert_eq!(run(&folder.rom(OUT_EXIT), &[]).status.code(), Some(0x2B));
    let wide = [0xBA, 0x01, 0x05, 0xB8, 0x03, 0x00, 0xEF]; // mov dx,501h; mov ax,3; out dx,ax
    assert_eq!(run(&folder.rom(&wide), &[]).status.code(), Some(7));
}

#[test]
fn a_run_past_max_cycles_ends_with_24() {
    let folder = Folder::new("cycles");
    let output = run(&folder.rom(LOOP), &["--max-cycles", "5000"]);
    assert_eq!(output.status.code(), Some(24));
    assert!(
        message(&output).contains("--max-cycles reached at EIP 0000e000, CPL 0, cycle 5000"),
        "{}",
        message(&output)
    );
}

#[test]
fn a_guest_that_shuts_down_ends_with_20() {
    let folder = Folder::new("shutdown");
    let code = [
        0x2E, 0x0F, 0x01, 0x1E, 0x08, 0xE0, 0xCC, 0x90, 0, 0, 0, 0, 0, 0,
    ]; // lidt cs:[E008h] (limit 0); int3
    let output = run(&folder.rom(&code), &["--max-cycles", "100000"]);
    assert_eq!(output.status.code(), Some(20), "{}", message(&output));
    assert!(
        message(&output).contains("shut down at EIP"),
        "{}",
        message(&output)
    );
}

#[test]
fn nothing_retired_for_too_long_ends_with_22() {
    let folder = Folder::new("hang");
    let output = run(&folder.rom(LOOP), &["--hang-cycles", "1"]);
    assert_eq!(output.status.code(), Some(22), "{}", message(&output));
    assert!(
        message(&output).contains("nothing retired for 1 cycles"),
        "{}",
        message(&output)
    );
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new("files");
    let rom = folder.rom(LOOP);
    let empty = folder.file("empty");
    std::fs::write(&empty, "").unwrap();
    let missing = folder.file("missing");
    let folder_path = folder.0.clone();
    for (path, reason) in [
        (&empty, "is empty"),
        (&missing, "cannot read"),
        (&folder_path, "it is a folder"),
    ] {
        let output = run(path, &[]);
        assert_eq!(output.status.code(), Some(10), "{}", message(&output));
        assert!(message(&output).contains(reason), "{}", message(&output));
        assert!(
            message(&output).contains(&path.display().to_string()),
            "{}",
            message(&output)
        );
    }
    let load = |at: &str| format!("{}@{at}", rom.display());
    for (arguments, reason) in [
        (
            vec!["--ram", "64K", "--load", &load("1000")],
            "would end at 11000h, RAM ends at 10000h",
        ),
        (
            vec!["--load", &load("1000"), "--load", &load("2000")],
            "overlaps the file at 1000h",
        ),
        (
            vec!["--wave", "/nonexistent/run.fst"],
            "cannot create the waveform /nonexistent/run.fst",
        ),
        (
            vec!["--retire-log", "/nonexistent/log"],
            "cannot create /nonexistent/log",
        ),
    ] {
        let output = run(&rom, &arguments);
        assert_eq!(
            output.status.code(),
            Some(10),
            "{arguments:?}: {}",
            message(&output)
        );
        assert!(message(&output).contains(reason), "{}", message(&output));
    }
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    let folder = Folder::new("arguments");
    let rom = folder.rom(LOOP);
    for arguments in [
        &["--load", "x@"][..],
        &["--load", "x"],
        &["--ram", "much"],
        &["--wave-window", "from=1"],
        &["--wave", "x.fst", "--wave-window", "to=1"],
        &["--max-cycles", "-1"],
    ] {
        assert_eq!(run(&rom, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_port_log_has_cycle_direction_port_width_and_value() {
    let folder = Folder::new("ports");
    let log = folder.file("ports.log");
    // mov ax,1234h; out 80h,ax; in al,64h; out F4h,al
    let code = [0xB8, 0x34, 0x12, 0xE7, 0x80, 0xE4, 0x64, 0xE6, 0xF4];
    run(&folder.rom(&code), &["--port-log", log.to_str().unwrap()]);
    let text = std::fs::read_to_string(log).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(rows[0][1..], ["OUT", "80", "2", "1234"]);
    assert_eq!(rows[1][1..4], ["IN", "64", "1"]);
    assert_eq!(rows[2][1..4], ["OUT", "f4", "1"]);
    assert!(
        rows.windows(2)
            .all(|pair| pair[0][0].parse::<u64>().unwrap() < pair[1][0].parse().unwrap())
    );
}

#[test]
fn the_retire_log_has_one_line_per_instruction() {
    let folder = Folder::new("retire");
    let log = folder.file("retire.log");
    run(
        &folder.rom(OUT_EXIT),
        &["--retire-log", log.to_str().unwrap()],
    );
    let text = std::fs::read_to_string(log).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!((rows[0][0], rows[1][0]), ("0", "1"));
    let rows = &rows[1..]; // behind the reset routine
    assert_eq!(
        rows[0][2..],
        ["0", "f000:0000fff0", "e90de0", "jmp", "0E000h"],
        "{text}"
    );
    assert_eq!(
        rows[1][2..],
        [
            "0",
            "f000:0000e000",
            "b015",
            "mov",
            "al,15h",
            "eax=00000015"
        ],
        "{text}"
    );
    assert_eq!(
        rows[2][2..],
        [
            "0",
            "f000:0000e002",
            "e6f4",
            "out",
            "0F4h,al",
            "out[00f4]=15"
        ],
        "{text}"
    );
}

/// Times (in cycles) between which the clock of a waveform moves.
fn clock_times(path: &Path) -> Vec<u64> {
    let mut wave: Waveform = wellen::simple::read(path).unwrap();
    let clock = wave
        .hierarchy()
        .lookup_var(&["TOP"], "clock")
        .expect("the waveform has the clock");
    let signal = wave.hierarchy()[clock].signal_ref();
    wave.load_signals(&[signal]);
    let times: Vec<u64> = wave.time_table().to_vec();
    let changes = wave.get_signal(signal).unwrap().time_indices().to_vec();
    changes
        .into_iter()
        .map(|index| times[index as usize] / 10)
        .collect()
}

#[test]
fn a_run_that_is_cut_off_leaves_a_readable_waveform() {
    let folder = Folder::new("wave");
    let wave = folder.file("run.fst");
    let output = run(
        &folder.rom(LOOP),
        &["--max-cycles", "3000", "--wave", wave.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(24));
    let times = clock_times(&wave);
    assert_eq!(times.last(), Some(&3000));
    assert!(times.len() >= 5999, "{}", times.len());
}

#[test]
fn a_wave_window_limits_the_waveform() {
    let folder = Folder::new("window");
    let wave = folder.file("run.fst");
    let arguments = ["--max-cycles", "3000", "--wave", wave.to_str().unwrap()];
    let window = ["--wave-window", "from=1000", "--wave-window", "cycles=100"];
    run(&folder.rom(LOOP), &[&arguments[..], &window].concat());
    let times = clock_times(&wave);
    assert!(
        *times.first().unwrap() >= 1000 && *times.last().unwrap() <= 1101,
        "{times:?}"
    );
    assert!((199..=202).contains(&times.len()), "{}", times.len());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_130_and_a_readable_waveform() {
    let folder = Folder::new("interrupt");
    let wave = folder.file("run.fst");
    let child = sysgate()
        .args(["run", "--wave"])
        .arg(&wave)
        .args(["--wave-window", "cycles=1000", "--bios"])
        .arg(folder.rom(LOOP))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", message(&output));
    assert!(
        message(&output).contains("interrupted at EIP"),
        "{}",
        message(&output)
    );
    assert_eq!(clock_times(&wave).last(), Some(&1000));
}

#[test]
fn bytes_on_stdin_reach_the_guest_and_its_answer_comes_to_stdout() {
    let folder = Folder::new("echo");
    #[rustfmt::skip]
    let echo = [
        0xBA, 0xFB, 0x03, 0xB0, 0x83, 0xEE, // mov dx,3FBh; mov al,83h; out dx,al
        0xBA, 0xF8, 0x03, 0xB0, 0x01, 0xEE, // mov dx,3F8h; mov al,1; out dx,al
        0x42, 0xB0, 0x00, 0xEE,             // inc dx; mov al,0; out dx,al
        0xBA, 0xFB, 0x03, 0xB0, 0x03, 0xEE, // mov dx,3FBh; mov al,3; out dx,al
        0xBA, 0xFD, 0x03,                   // next: mov dx,3FDh
        0xEC, 0xA8, 0x01, 0x74, 0xFB,       // wait: in al,dx; test al,1; je wait
        0xBA, 0xF8, 0x03, 0xEC, 0xEE,       // mov dx,3F8h; in al,dx; out dx,al
        0x3C, b'q', 0x75, 0xEF,             // cmp al,'q'; jne next
        0xFA, 0xF4,                         // cli; hlt
    ];
    let mut child = sysgate()
        .args(["run", "--max-cycles", "20000000", "--bios"])
        .arg(folder.rom(&echo))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"ring 3 to ring 0, q")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    assert_eq!(output.stdout, b"ring 3 to ring 0, q");
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let mut child = sysgate()
        .arg("opcodes")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    assert_eq!(message(&output), "");
}

#[test]
fn the_journeys_waveform_names_the_instructions_beside_the_wires() {
    let folder = Folder::new("lanes");
    let path = folder.file("journey.fst");
    let output = sysgate()
        .args(["journey", "--wave"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    let mut wave: Waveform = wellen::simple::read(&path).unwrap();
    for (lane, texts) in [
        (
            "symbol",
            [
                "ntdll!KiFastSystemCall",
                "nt!KiFastCallEntry",
                "winlogon!WinMain+0x",
            ],
        ),
        ("disassembly", ["sysenter", "sysexit", "mov eax,18Ch"]),
    ] {
        let scope = ["TOP", "sysgate", "journey"];
        let variable = wave
            .hierarchy()
            .lookup_var(&scope, lane)
            .expect("the waveform has the lane");
        let signal = wave.hierarchy()[variable].signal_ref();
        wave.load_signals(&[signal]);
        let shown: Vec<String> = wave
            .get_signal(signal)
            .unwrap()
            .iter_changes()
            .filter_map(|(_, value)| value.to_bit_string())
            .map(|bits| {
                let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit & 1));
                let text: Vec<u8> = bits.as_bytes().chunks(8).map(byte).collect();
                String::from_utf8_lossy(&text)
                    .trim_start_matches('\0')
                    .to_string()
            })
            .collect();
        for text in texts {
            assert!(
                shown.iter().any(|shown| shown.starts_with(text)),
                "{lane}: {text} is not in {shown:?}"
            );
        }
    }
}

#[test]
fn an_image_is_written_with_the_gate_and_the_program_that_were_asked_for() {
    let folder = Folder::new("image");
    let rom = |name: &str, arguments: &[&str]| {
        let path = folder.file(name);
        let output = sysgate()
            .args(["image", "--out"])
            .arg(&path)
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", message(&output));
        std::fs::read(path.join("rom.bin")).unwrap()
    };
    let plain = rom("plain", &[]);
    let others = [
        rom("int2e", &["--gate", "int2e"]),
        rom("bill", &["--bill"]),
        rom("both", &["--bill", "--gate", "int2e"]),
    ];
    assert!(others.iter().all(|other| *other != plain));
    assert!(others[0] != others[2] && others[1] != others[2]);
    // Something to do is required.
    for arguments in [&["--bill"][..], &["--gate", "int2e"]] {
        let output = sysgate().arg("image").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn opcodes_lists_every_row_and_none_is_missing() {
    let output = sysgate().arg("opcodes").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for start in ["0f 34 ", "d8 ", "0f 02 "] {
        let row = text.lines().find(|line| line.starts_with(start)).unwrap();
        assert!(row.ends_with(" built"), "{row}");
    }
    let only = sysgate().args(["opcodes", "--missing"]).output().unwrap();
    let missing = String::from_utf8(only.stdout).unwrap();
    assert_eq!(missing.lines().count(), 1, "{missing}");
    assert!(missing.trim_end().ends_with(" 0 missing"), "{missing}");
}

#[test]
fn verilog_of_both_tops_is_written() {
    let folder = Folder::new("verilog");
    for (top, module) in [("core", "sysgate_core"), ("chip", "chip")] {
        let output = sysgate()
            .args(["verilog", "--top", top, "--out"])
            .arg(&folder.0)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", message(&output));
        let text = std::fs::read_to_string(folder.file(&format!("{module}.v"))).unwrap();
        assert!(text.contains(&format!("\nmodule {module}(")), "{top}");
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let output = sysgate().arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for code in ["20", "22", "24", "26", "130"] {
        assert!(text.contains(&format!("\n  {code:4} ")), "{code}");
    }
}
