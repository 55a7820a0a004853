//! Users' own programs: PE32 files made here by the image's writer, run by `sysgate run FILE`.
#![cfg(feature = "model")]

use firmware::module::{Access, ModuleSource, Scope};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder of its own for each test, with a space as users have them.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sysgate {test} {}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A console program with these imports whose code is `start`; it has 256 bytes of data at `Buffer`.
fn program(
    imports: &[(&str, &[&str])],
    text: &str,
    start: fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError>,
) -> Vec<u8> {
    let mut module = ModuleSource::new("program", "program.exe", 5, 3, 0x40_0000);
    module.entry = Some("start");
    module.section(".text", Access::Code);
    module.import_address_table(imports);
    module.code("start", start);
    module.text("Text", text);
    module.directories();
    module.section(".data", Access::Data);
    module.space("Buffer", 256);
    module.space("Count", 4);
    module.build().expect("it is built").file
}

/// WriteFile(standard output, EAX, ECX bytes, &Count, 0).
fn write(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.push(0)?;
    a.push(s.at("Count"))?;
    a.push(ecx)?;
    a.push(eax)?;
    a.push(-11)?;
    a.call(dword_ptr(s.import("GetStdHandle")))?;
    a.push(eax)?;
    a.call(dword_ptr(s.import("WriteFile")))
}

fn exit(a: &mut CodeAssembler, s: &Scope, code: u32) -> Result<(), IcedError> {
    a.push(code)?;
    a.call(dword_ptr(s.import("ExitProcess")))
}

const HELLO: &str = "hello from a program\r\n";
const FILES: &[&str] = &["ExitProcess", "GetStdHandle", "WriteFile"];

fn hello() -> Vec<u8> {
    program(&[("KERNEL32.dll", FILES)], HELLO, |a, s| {
        a.mov(eax, s.at("Text"))?;
        a.mov(ecx, HELLO.len() as u32)?;
        write(a, s)?;
        exit(a, s, 42)
    })
}

/// `sysgate run`, with options before the file and arguments behind it.
fn run(options: &[&str], file: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .args(["run", "--max-cycles", "20000000"])
        .args(options)
        .arg(file)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    process.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_program_writes_and_its_exit_code_is_sysgates() {
    let folder = Folder::new("hello");
    let file = folder.write("my hello.exe", &hello());
    for options in [
        &[][..],
        &["--gate", "int2e"],
        &["--wait-states", "5"],
        &["--os", "xp"],
        &["--os", "10", "--gate", "int2e"],
    ] {
        let output = run(options, &file, &[], b"");
        assert_eq!(text(&output.stdout), HELLO, "{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(42));
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn journeys_are_printed_behind_the_output() {
    let folder = Folder::new("journeys");
    let file = folder.write("hello.exe", &hello());
    let output = run(&["--journeys"], &file, &[], b"");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(42), "{}", text(&output.stderr));
    let report = shown
        .strip_prefix(HELLO)
        .expect("the program's output comes first");
    assert!(
        report.contains("1 journeys of hello.exe into another ring and back"),
        "{report}"
    );
    for hop in [
        "  5     3   0040",
        "kernel32!WriteFileImplementation",
        "KERNELBASE!WriteFile",
        "ntdll!ZwWriteFile",
        "nt!KiFastCallEntry",
        "nt!NtWriteFile",
        "sysexit",
        "eax=00000001",
    ] {
        assert!(report.contains(hop), "{hop}: {report}");
    }
}

#[test]
fn command_line_heap_and_console_input_work() {
    let imports = &[
        "ExitProcess",
        "GetCommandLineA",
        "GetConsoleMode",
        "GetProcessHeap",
        "GetStdHandle",
        "HeapAlloc",
        "HeapFree",
        "HeapReAlloc",
        "ReadFile",
        "WriteConsoleW",
        "WriteFile",
        "lstrlenA",
    ];
    let file = program(&[("KERNEL32.dll", imports)], "e\0n\0d\0", |a, s| {
        let mut next = a.create_label();
        let mut done = a.create_label();
        let mut fail = a.create_label();
        let call = |a: &mut CodeAssembler, name: &str| a.call(dword_ptr(s.import(name)));
        // The command line.
        call(a, "GetCommandLineA")?;
        a.mov(esi, eax)?;
        a.push(eax)?;
        call(a, "lstrlenA")?;
        a.mov(ecx, eax)?;
        a.mov(eax, esi)?;
        write(a, s)?;
        // A zeroed block, which grows and keeps its bytes; a freed one is given out again.
        call(a, "GetProcessHeap")?;
        a.mov(ebx, eax)?;
        a.push(24)?;
        a.push(8)?;
        a.push(ebx)?;
        call(a, "HeapAlloc")?;
        a.mov(esi, eax)?;
        a.test(eax, eax)?;
        a.je(fail)?;
        a.cmp(dword_ptr(eax + 20), 0)?;
        a.jne(fail)?;
        a.mov(dword_ptr(eax + 20), 0x1234_5678)?;
        a.push(100_000)?;
        a.push(eax)?;
        a.push(0)?;
        a.push(ebx)?;
        call(a, "HeapReAlloc")?;
        a.cmp(dword_ptr(eax + 20), 0x1234_5678)?;
        a.jne(fail)?;
        a.mov(byte_ptr(eax + 99_999), 1)?;
        a.push(eax)?;
        a.push(0)?;
        a.push(ebx)?;
        call(a, "HeapFree")?;
        a.push(20)?;
        a.push(0)?;
        a.push(ebx)?;
        call(a, "HeapAlloc")?;
        a.cmp(eax, esi)?;
        a.jne(fail)?;
        // Standard input is a console.
        a.push(-10)?;
        call(a, "GetStdHandle")?;
        a.mov(esi, eax)?;
        a.push(s.at("Count"))?;
        a.push(eax)?;
        call(a, "GetConsoleMode")?;
        a.test(eax, eax)?;
        a.je(fail)?;
        // Its lines, one by one, up to the end.
        a.xor(ebx, ebx)?;
        a.set_label(&mut next)?;
        a.push(0)?;
        a.push(s.at("Count"))?;
        a.push(255)?;
        a.push(s.at("Buffer"))?;
        a.push(esi)?;
        call(a, "ReadFile")?;
        a.mov(ecx, dword_ptr(s.at("Count")))?;
        a.test(ecx, ecx)?;
        a.je(done)?;
        a.inc(ebx)?;
        a.mov(eax, s.at("Buffer"))?;
        write(a, s)?;
        a.jmp(next)?;
        a.set_label(&mut done)?;
        a.push(0)?;
        a.push(s.at("Count"))?;
        a.push(3)?;
        a.push(s.at("Text"))?;
        a.push(-11)?;
        call(a, "GetStdHandle")?;
        a.push(eax)?;
        call(a, "WriteConsoleW")?;
        a.push(ebx)?;
        call(a, "ExitProcess")?;
        a.set_label(&mut fail)?;
        exit(a, s, 99)
    });
    let folder = Folder::new("console");
    let path = folder.write("talk.exe", &file);
    let output = run(&[], &path, &["-x", "two words"], b"first\nsecond\r\nthird");
    let shown = text(&output.stdout);
    assert_eq!(
        shown,
        "talk.exe -x \"two words\"first\r\nsecond\r\nthirdend",
        "{}",
        text(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_missing_import_fails_when_it_is_called() {
    let file = program(
        &[
            (
                "KERNEL32.dll",
                &["CreateFileA", "ExitProcess", "GetStdHandle", "WriteFile"],
            ),
            ("USER32.dll", &["MessageBoxA"]),
        ],
        "before\r\n",
        |a, s| {
            a.mov(eax, s.at("Text"))?;
            a.mov(ecx, 8)?;
            write(a, s)?;
            a.call(dword_ptr(s.import("MessageBoxA")))?;
            exit(a, s, 0)
        },
    );
    let folder = Folder::new("missing");
    let output = run(&[], &folder.write("box.exe", &file), &[], b"");
    let (shown, messages) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        shown,
        "before\r\n\r\n*** box.exe called USER32.dll!MessageBoxA, which is not there\r\n"
    );
    for line in [
        "sysgate: warning: box.exe imports KERNEL32.dll!CreateFileA, which is not there",
        "sysgate: warning: box.exe imports USER32.dll!MessageBoxA, which is not there",
        "sysgate: box.exe ended with status c0000139h",
    ] {
        assert!(messages.contains(line), "{messages}");
    }
    assert_eq!(output.status.code(), Some(0x39));
}

#[test]
fn a_program_that_faults_ends_with_the_exception() {
    let file = program(&[("KERNEL32.dll", FILES)], "", |a, _| {
        a.mov(eax, dword_ptr(0x10u32))?;
        a.ret()
    });
    let folder = Folder::new("fault");
    let output = run(&[], &folder.write("fault.exe", &file), &[], b"");
    assert!(
        text(&output.stdout).contains("*** fault.exe ended by exception c0000005 "),
        "{}",
        text(&output.stdout)
    );
    assert!(
        text(&output.stderr).contains("fault.exe ended with status c0000005h"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_start_of_a_c_program_works() {
    let imports: &[(&str, &[&str])] = &[(
        "msvcrt.dll",
        &[
            "__getmainargs",
            "_initterm",
            "_onexit",
            "atoi",
            "calloc",
            "exit",
            "fgets",
            "free",
            "fwrite",
            "puts",
            "strcmp",
        ],
    )];
    // calloc, puts(argv[argc - 1]), atoi of it as exit code.
    let file = program(imports, "bye\n", |a, s| {
        let call = |a: &mut CodeAssembler, name: &str| a.call(dword_ptr(s.import(name)));
        a.db(&[0xDB, 0xE3])?; // fninit, as start-up code does
        let (argc, argv) = (s.at("Buffer"), s.at("Buffer") + 4);
        for argument in [0, 0, s.at("Count"), argv, argc] {
            a.push(argument)?;
        }
        call(a, "__getmainargs")?;
        a.add(esp, 20)?;
        a.mov(ecx, dword_ptr(argc))?;
        a.mov(eax, dword_ptr(argv))?;
        a.mov(esi, dword_ptr(eax + ecx * 4 - 4))?;
        a.push(esi)?;
        call(a, "puts")?;
        a.push(esi)?;
        call(a, "atoi")?;
        a.add(eax, dword_ptr(argc))?;
        a.mov(ebx, eax)?;
        // A line of input, and what exit leaves to be sent.
        for argument in [0, 100, s.at("Buffer") + 16] {
            a.push(argument)?;
        }
        call(a, "fgets")?;
        a.add(esp, 12)?;
        a.push(eax)?;
        call(a, "puts")?;
        for argument in [0, 3, 1, s.at("Text")] {
            a.push(argument)?;
        }
        call(a, "fwrite")?;
        a.push(ebx)?;
        call(a, "exit")
    });
    let folder = Folder::new("c program");
    let output = run(
        &[],
        &folder.write("c.exe", &file),
        &["a  b", "30"],
        b"typed\n",
    );
    assert_eq!(
        text(&output.stdout),
        "30\r\ntyped\r\n\r\nbye",
        "{}",
        text(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(33));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn files_that_are_no_programs_are_refused_with_a_reason() {
    let folder = Folder::new("refused");
    let good = hello();
    let header = u32::from_le_bytes(good[0x3C..0x40].try_into().unwrap()) as usize;
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[header + at..][..bytes.len()].copy_from_slice(bytes);
        file
    };
    for (name, bytes, reason) in [
        (
            "wide.exe",
            changed(24, &[0x0B, 0x02]),
            "is a 64-bit program (PE32+)",
        ),
        (
            "arm.exe",
            changed(4, &[0xC0, 0x01]),
            "is for another processor than the 386",
        ),
        ("lib.exe", changed(22, &[0x02, 0x21]), "is a DLL"),
        (
            "window.exe",
            changed(24 + 68, &[2, 0]),
            "is no console program",
        ),
        ("short.exe", good[..0x300].to_vec(), "is truncated"),
        ("mz.exe", b"MZ".to_vec(), "is no PE32 file"),
        (
            "bad.exe",
            b"no program of any kind".to_vec(),
            "is none of these: a PE32 program (`MZ` at its beginning)",
        ),
    ] {
        let output = run(&[], &folder.write(name, &bytes), &[], b"");
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(10), "{name}: {message}");
        assert!(
            message.contains(reason) && message.contains(name),
            "{name}: {message}"
        );
    }
    let output = run(&[], &folder.0.join("absent.exe"), &[], b"");
    assert_eq!(output.status.code(), Some(10));
    assert!(
        text(&output.stderr).contains("absent.exe"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_source_is_assembled_by_nasm_or_says_what_is_missing() {
    let folder = Folder::new("source");
    let source = folder.write(
        "my kernel.asm",
        b"bits 32\norg 100000h\nheader: dd 1BADB002h, 10000h, -(1BADB002h+10000h)\n\
          dd header, header, end, end, start\nstart: mov al, 21h\nout 0F4h, al\nhlt\nend:\n",
    );
    let absent = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .arg("run")
        .arg(&source)
        .env("NASM", "/nonexistent/nasm")
        .output()
        .unwrap();
    assert_eq!(absent.status.code(), Some(10));
    let message = text(&absent.stderr);
    assert!(
        message.contains("my kernel.asm is a source") && message.contains("install nasm"),
        "{message}"
    );
    if Command::new("nasm").arg("-v").output().is_err() {
        eprintln!("nasm is not installed: the rest is not tested");
        return;
    }
    let output = run(&[], &source, &[], b"");
    assert_eq!(output.status.code(), Some(0x43), "{}", text(&output.stderr));
    let wrong = folder.write("wrong.asm", b"mov eax,\n");
    let output = run(&[], &wrong, &[], b"");
    assert_eq!(output.status.code(), Some(10));
    assert!(
        text(&output.stderr).contains("nasm refuses"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn every_version_of_windows_makes_the_journey_with_its_number() {
    for (os, number, kernelbase) in [
        ("xp", "eax=112 edx=7ffe0300", false),
        ("vista", "eax=163 edx=7ffe0300", false),
        ("7", "eax=18c edx=7ffe0300", true),
        ("8", "eax=5, sysenter", true),
        ("8.1", "eax=6, sysenter", true),
        ("10", "eax=7, sysenter", true),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sysgate"))
            .args(["journey", "--os", os])
            .output()
            .unwrap();
        let shown = text(&output.stdout);
        assert!(output.status.success(), "{os}: {}", text(&output.stderr));
        assert!(shown.contains(number), "{os}: {shown}");
        assert!(
            shown.contains("winlogon.exe says hello from ring 3."),
            "{os}: {shown}"
        );
        assert_eq!(
            shown.contains("KERNELBASE!WriteFile"),
            kernelbase,
            "{os}: {shown}"
        );
    }
}
