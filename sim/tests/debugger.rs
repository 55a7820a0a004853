//! `sysgate debug` as a user runs it. The transcripts are files: `sim/tests/transcripts/` and `docs/debugging.md`.
//!
//! A line `...` in a transcript stands for lines that are left out. `SYSGATE_BLESS=1 cargo test -p sim --test debugger`
//! writes what the program prints now into those places that differ; read the difference before you commit it.
#![cfg(feature = "model")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn debug(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .arg("debug")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_string();
    let writer = std::thread::spawn(move || {
        // The session may end before it has read everything.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a session prints, without the banner.
fn session(commands: &[&str]) -> String {
    let text = text(&debug(&[], &(commands.join("\n") + "\nq\n")));
    let begin = text.find("\n3:").expect("a prompt");
    text[begin + 1..].to_string()
}

/// A prompt and its command, if the line is one: `3:winlogon!WinMain> uf WriteFile`.
fn command(line: &str) -> Option<&str> {
    let (prompt, command) = line.split_once("> ")?;
    let (ring, place) = prompt.split_once(':')?;
    let is_prompt =
        matches!(ring, "0" | "3") && !place.is_empty() && !place.contains(char::is_whitespace);
    is_prompt.then_some(command)
}

/// A part of a transcript: its first line (a prompt, or none for what comes before) and what follows.
#[derive(Debug, Clone, Default)]
struct Step {
    head: Option<String>,
    lines: Vec<String>,
}

fn steps<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Step> {
    let mut steps = vec![Step::default()];
    for line in lines {
        match command(line) {
            Some(_) => steps.push(Step {
                head: Some(line.to_string()),
                lines: Vec::new(),
            }),
            None => steps.last_mut().unwrap().lines.push(line.to_string()),
        }
    }
    steps
}

/// Decimal numbers of a line that counts clocks mean nothing here: the core's timing is another test's subject.
fn without_counts(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let digits = word.trim_end_matches([',', ']', ';']);
        let is_count = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
        words.push(if is_count { "#" } else { word });
    }
    words.join(" ")
}

/// Whether the lines are those, where `...` stands for any number of them.
fn equal(expected: &[String], found: &[String], counts: bool) -> bool {
    let same = |left: &str, right: &str| {
        if counts {
            without_counts(left) == without_counts(right)
        } else {
            left.trim_end() == right.trim_end()
        }
    };
    match (expected.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            (0..=found.len()).any(|skip| equal(rest, &found[skip..], counts))
        }
        (Some((first, rest)), Some((line, lines))) => {
            same(first, line) && equal(rest, lines, counts)
        }
        _ => false,
    }
}

/// A file whose blocks (the whole of it, or those between marks of Markdown) are one session.
struct Transcript {
    path: PathBuf,
    lines: Vec<String>,
    /// Begin and end of each block, and how it is compared.
    blocks: Vec<(usize, usize, Kind)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    /// Counts of clocks and the like are left out.
    Counts,
    /// Only run.
    Example,
}

impl Transcript {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_string).collect();
        let mut blocks = Vec::new();
        if path.extension().is_some_and(|extension| extension == "md") {
            let mut open = None;
            for (number, line) in lines.iter().enumerate() {
                match (line.as_str(), open) {
                    ("```console", None) => open = Some((number + 1, Kind::Exact)),
                    ("```console clocks", None) => open = Some((number + 1, Kind::Counts)),
                    ("```console example", None) => open = Some((number + 1, Kind::Example)),
                    ("```", Some((begin, kind))) => {
                        blocks.push((begin, number, kind));
                        open = None;
                    }
                    _ => {}
                }
            }
        } else {
            blocks.push((0, lines.len(), Kind::Exact));
        }
        Self {
            path,
            lines,
            blocks,
        }
    }

    /// The commands of all blocks.
    fn commands(&self) -> Vec<String> {
        let lines = self
            .blocks
            .iter()
            .flat_map(|(begin, end, _)| &self.lines[*begin..*end]);
        lines
            .filter_map(|line| command(line))
            .map(str::to_string)
            .collect()
    }

    /// Compares with what the program printed, or writes it into the file.
    fn check(&mut self, printed: &str) {
        let mut found = steps(printed.lines()).into_iter();
        let bless = std::env::var_os("SYSGATE_BLESS").is_some();
        let mut differences = Vec::new();
        let mut written: Vec<String> = Vec::new();
        let mut at = 0;
        let mut banner = found.next();
        for (begin, end, kind) in self.blocks.clone() {
            written.extend_from_slice(&self.lines[at..begin]);
            at = end;
            for mut step in steps(self.lines[begin..end].iter().map(String::as_str)) {
                let shown = match &step.head {
                    // Text before the first prompt is what the program begins with, below the line that starts it.
                    None => match banner.take().filter(|_| !step.lines.is_empty()) {
                        Some(mut shown) => {
                            let starts = step
                                .lines
                                .first()
                                .is_some_and(|line| line.starts_with("$ "));
                            if starts {
                                shown.lines.insert(0, step.lines[0].clone());
                            }
                            shown
                        }
                        None => continue,
                    },
                    Some(_) => found.next().unwrap_or_default(),
                };
                let same = match kind {
                    Kind::Example => bless && step.lines.len() == shown.lines.len(),
                    _ => equal(&step.lines, &shown.lines, kind == Kind::Counts),
                } && step.head == shown.head;
                if !same {
                    if kind != Kind::Example || step.head != shown.head {
                        differences.push(format!(
                            "{}\nexpected:\n{}\nfound:\n{}\n{}",
                            step.head.clone().unwrap_or_default(),
                            step.lines.join("\n"),
                            shown.head.clone().unwrap_or_default(),
                            shown.lines.join("\n")
                        ));
                    }
                    step = shown;
                }
                written.extend(step.head.clone());
                written.append(&mut step.lines);
            }
        }
        written.extend_from_slice(&self.lines[at..]);
        if bless {
            std::fs::write(&self.path, written.join("\n") + "\n").unwrap();
            return;
        }
        assert!(
            differences.is_empty(),
            "{} differs; SYSGATE_BLESS=1 writes it anew\n{}",
            self.path.display(),
            differences.join("\n----\n")
        );
    }
}

fn transcript(name: &str) -> PathBuf {
    repository().join("sim/tests/transcripts").join(name)
}

/// The article's five commands, at its address.
const ARTICLE: &str = "uf WriteFile; dps 754c1190 L1; uf ntdll!ZwWriteFile; dps 7ffe0300 L1; uf ntdll!KiFastSystemCall; q";

#[test]
fn the_articles_session_prints_its_facts_at_its_address() {
    let folder = std::env::temp_dir().join(format!("sysgate debug log {}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let log = folder.join("cdb Log File.txt");
    let arguments = [
        "-logo",
        log.to_str().unwrap(),
        "-y",
        r"SRV*c:\Symbols*http://example.invalid",
        "-v",
        r".\winlogon.exe",
        "-c",
        ARTICLE,
    ];
    let printed = text(&debug(&arguments, ""));
    let logged = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(logged, printed, "the log has all that was shown");
    for fact in [
        r"Symbol search path is: SRV*c:\Symbols*http://example.invalid",
        "ModLoad: 754c0000 754c4000   KERNELBASE.dll",
        "KERNELBASE!WriteFile:",
        "call    dword ptr [KERNELBASE!_imp__NtWriteFile (754c1190)]",
        "754c1190  77f05eb0 ntdll!ZwWriteFile",
        "77f05eb0 b88c010000      mov     eax,18Ch",
        "77f05eb5 ba0003fe7f      mov     edx,offset SharedUserData!SystemCallStub (7ffe0300)",
        "77f05eba ff12            call    dword ptr [edx]",
        "77f05ebc c22400          ret     24h",
        "7ffe0300  77f064f0 ntdll!KiFastSystemCall",
        "77f064f0 8bd4            mov     edx,esp",
        "77f064f2 0f34            sysenter",
        "77f064f4 c3              ret",
        "quit:",
    ] {
        assert!(printed.contains(fact), "{fact} is missing in\n{printed}");
    }
    let without_log = printed.split_once('\n').unwrap().1;
    Transcript::read(transcript("article.txt")).check(without_log);
}

#[test]
fn the_session_goes_on_where_the_article_stopped() {
    let mut transcript = Transcript::read(transcript("system_call.txt"));
    let printed = text(&debug(&[], &transcript.commands().join("\n")));
    for fact in [
        "msr[176] = 00000000`828010c0",
        "TrapFrame @",
        "DbgArgMark       : 0xbadb0d00",
        "movzx   ecx,byte ptr [ecx+eax]",
        "mov     ebx,dword ptr [edi+eax*4]",
        "(NtWriteFile) owned by ntoskrnl.exe, 24 bytes of arguments",
        "\"winlogon.exe says hello from ring 3.",
        "0f35            sysexit",
        "Ring 0 -> 3",
        "eax=00000001",
    ] {
        assert!(printed.contains(fact), "{fact} is missing in\n{printed}");
    }
    transcript.check(&printed);
}

#[test]
fn what_cannot_be_understood_is_told_and_the_session_goes_on() {
    let mut transcript = Transcript::read(transcript("bad_input.txt"));
    let printed = text(&debug(&[], &transcript.commands().join("\n")));
    assert!(printed.ends_with("quit:\n"), "{printed}");
    transcript.check(&printed);
}

#[test]
fn the_guided_tour_is_what_the_program_prints() {
    let mut tour = Transcript::read(repository().join("docs/debugging.md"));
    let printed = text(&debug(&["winlogon.exe"], &tour.commands().join("\n")));
    tour.check(&printed);
}

/// A number as the disassembler writes it: `5`, `18Ch`, `0A0h`.
fn number(number: u32) -> String {
    match format!("{number:X}h") {
        _ if number < 10 => number.to_string(),
        text if text.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("0{text}"),
        text => text,
    }
}

#[test]
fn every_stub_has_the_form_of_cdb() {
    let image = sim::image::Image::build(firmware::Gate::Sysenter).unwrap();
    let tables = &image.symbols.tables;
    let services = &tables
        .iter()
        .find(|table| table.name == "services")
        .unwrap()
        .rows;
    assert_eq!(services.len(), 401);
    let mut commands = vec!["ssdt".to_string()];
    commands.extend(services.iter().map(|name| format!("uf ntdll!{name}")));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let printed = session(&commands);
    let mut steps = steps(printed.lines()).into_iter().skip(1);
    let table = steps.next().unwrap();
    for (index, name) in services.iter().enumerate() {
        let row = &table.lines[index + 1];
        let (_, bytes) = row.split_once("owned by ntoskrnl.exe, ").expect(row);
        let bytes = u32::from_str_radix(bytes.split(' ').next().unwrap(), 16).unwrap();
        let address = 0x77F0_45F0 + index as u32 * 16;
        let number_bytes: String = (index as u32)
            .to_le_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let code = format!("b8{number_bytes}");
        let ends = match bytes {
            0 => format!("{:08x} c3              ret", address + 12),
            _ => format!(
                "{:08x} c2{bytes:02x}00          ret     {}",
                address + 12,
                number(bytes)
            ),
        };
        let expected = [
            format!("ntdll!Zw{}:", &name[2..]),
            format!(
                "{address:08x} {code:15} mov     eax,{}",
                number(index as u32)
            ),
            format!(
                "{:08x} ba0003fe7f      mov     edx,offset SharedUserData!SystemCallStub (7ffe0300)",
                address + 5
            ),
            format!(
                "{:08x} ff12            call    dword ptr [edx]",
                address + 10
            ),
            ends,
        ];
        assert_eq!(steps.next().unwrap().lines, expected, "{name}");
    }
}

#[test]
fn a_service_that_leads_out_of_the_kernel_is_shown_as_hooked() {
    let printed = session(&[
        "ssdt -h",
        // The table is in ROM, so that a hook moves it: here its entry 18Ch comes to lie in the ring of the console.
        "ed nt!KiSendRing+3f0 winlogon!WinMain",
        "ed nt!KeServiceDescriptorTable nt!KiSendRing+3f0-18c*4",
        "ssdt 18c",
        "bp winlogon!WinMain /w \"cpl==0\"",
        "g",
        "r cpl",
    ]);
    for fact in [
        "0 of 401 entries point out of nt",
        "** MOVED, nt's own is at 8280310c",
        "Entry 0x018c: 0x01001218 (NtWriteFile) owned by winlogon.exe, 24 bytes of arguments ** HOOKED => winlogon!WinMain",
        "Breakpoint 0 hit",
        "cpl=00000000",
    ] {
        assert!(printed.contains(fact), "{fact} is missing in\n{printed}");
    }
}

#[test]
fn a_step_back_undoes_a_step_and_an_edit_changes_the_run() {
    let printed = session(&[
        "g ntdll!ZwWriteFile",
        "t 3",
        "t- 3",
        "r eip",
        "p 3",
        "p- 3",
        "r eip",
        // Another length: less is written.
        "ed esp+1c 5",
        "bp KERNELBASE!WriteFile+37",
        "g",
        "? poi(ebp-4)",
        "g",
    ]);
    assert_eq!(printed.matches("eip=77f05eb0\n").count(), 2, "{printed}");
    assert!(
        printed.contains("Evaluate expression: 5 = 00000005"),
        "{printed}"
    );
    assert!(printed.contains("\nwinlo\n"), "{printed}");
}

#[test]
fn breakpoints_on_msrs_vectors_rings_ports_and_data_stop_behind_the_event() {
    let printed = session(&[
        "g- 0",
        "ba m 176",
        "g",
        "r ecx",
        "bc *",
        "ba c",
        "g",
        "r cpl",
        "bc *",
        "ba w4 nt!KiSendHead",
        "g nt!KiServiceExit",
        "bc *",
        "ba i1 3f8",
        "g",
        "r dx",
        "bc *",
        "ba v 34",
        "g",
        "ln",
    ]);
    assert_eq!(printed.matches("Breakpoint 0 hit").count(), 5, "{printed}");
    for fact in [
        "ecx=00000176\n",
        "cpl=00000003\n",
        "dx=03f8\n",
        "nt!KiCom1Interrupt",
    ] {
        assert!(printed.contains(fact), "{fact} is missing in\n{printed}");
    }
}

#[test]
fn conditions_passes_and_commands_of_breakpoints_decide_whether_it_stops() {
    let printed = session(&[
        r#"bp nt!KiFastCallEntry /w "eax==172" "r eax; gc""#,
        r#"bp ntdll!KiFastSystemCall 2"#,
        "bl",
        "g",
        "r eax",
        "g",
    ]);
    assert!(
        printed.contains(
            r#" 0 e 828010c0     0001 (0001) nt!KiFastCallEntry /w "eax==172" "r eax; gc""#
        ),
        "{printed}"
    );
    assert!(
        printed.contains("Breakpoint 1 hit"),
        "the second pass: {printed}"
    );
    assert!(!printed.contains("Breakpoint 0 hit"), "{printed}");
    assert!(printed.matches("eax=00000172\n").count() >= 2, "{printed}");
}

#[test]
fn wt_counts_every_instruction_between_the_call_and_its_return() {
    let printed = session(&["g winlogon!WinMain+1c", ".time", "wt", ".time"]);
    let count = |line: &str| -> u64 { line.split([' ', ',']).nth(1).unwrap().parse().unwrap() };
    let times: Vec<u64> = printed
        .lines()
        .filter(|line| line.starts_with("Instruction "))
        .map(count)
        .collect();
    let executed = format!("{} instructions were executed in ", times[1] - times[0]);
    assert!(printed.contains(&executed), "{executed}:\n{printed}");
    assert!(
        printed.contains("1 system calls were executed"),
        "{printed}"
    );
    for line in [
        "[  0] winlogon!WinMain",
        "[  1]   kernel32!WriteFileImplementation",
        "[  5]           nt!KiFastCallEntry",
    ] {
        assert!(printed.contains(line), "{line}:\n{printed}");
    }
}

#[test]
fn a_waveform_of_a_stretch_holds_the_names_of_its_instructions() {
    let folder = std::env::temp_dir().join(format!("sysgate debug wave {}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a wave.fst");
    let on = format!(".wave on {}", path.display());
    let printed = session(&["g ntdll!ZwWriteFile", &on, "ring", ".wave off", ".wave off"]);
    assert!(printed.contains("The waveform is complete"), "{printed}");
    assert!(
        printed.contains("No waveform is being written"),
        "{printed}"
    );
    let mut wave = wellen::simple::read(&path).unwrap();
    for file in ["a wave.sucl", "a wave.gtkw", ".surfer/mappings/a_wave_eip"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let lane = wave
        .hierarchy()
        .lookup_var(&["TOP", "sysgate", "journey"], "symbol")
        .expect("the lane of names");
    let signal = wave.hierarchy()[lane].signal_ref();
    wave.load_signals(&[signal]);
    let changes = wave.get_signal(signal).unwrap().time_indices().len();
    assert!(changes >= 5, "{changes}");
}

#[test]
fn foreign_software_is_debugged_without_names() {
    let folder = std::env::temp_dir().join(format!("sysgate debug rom {}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("test.rom");
    let mut rom = vec![0x90; 0x1_0000];
    rom[0xFFF0..0xFFF5].copy_from_slice(&[0xB8, 0x34, 0x12, 0xFA, 0xF4]); // mov ax,1234h; cli; hlt
    std::fs::write(&path, rom).unwrap();
    let output = debug(
        &["--bios", path.to_str().unwrap()],
        "u . L3\nt\nr ax\nlm\nk\nssdt\ng\n",
    );
    let printed = text(&output);
    std::fs::remove_dir_all(&folder).unwrap();
    for fact in [
        "fffffff0 b83412          mov     ax,1234h",
        "ax=1234",
        "The symbol file tells of no table of services",
        "The guest has halted with interrupts off.",
    ] {
        assert!(printed.contains(fact), "{fact} is missing in\n{printed}");
    }
}

#[test]
fn a_program_that_is_not_in_the_image_and_files_that_are_not_there_are_named() {
    for (arguments, part) in [
        (
            &["notepad.exe"][..],
            "there is no notepad.exe in the image; it holds",
        ),
        (&["-logo", "/nonexistent/log.txt"], "/nonexistent/log.txt"),
        (&["--image", "/nonexistent"], "/nonexistent/rom.bin"),
    ] {
        let output = debug(arguments, "q\n");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(10), "{arguments:?}: {message}");
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
    let printed = text(&debug(&["-cf", "/nonexistent/script.txt"], "q\n"));
    assert!(printed.contains("/nonexistent/script.txt"), "{printed}");
    let printed = text(&debug(&["-y", "/nonexistent"], "q\n"));
    assert!(
        printed.contains("WARNING: /nonexistent is not accessible"),
        "{printed}"
    );
}

#[test]
fn the_stack_leads_from_an_interrupt_through_the_kernel_to_the_program() {
    let printed = session(&["ba v 34", "g", "kv", "r cpl"]);
    let rows: Vec<&str> = printed
        .lines()
        .skip_while(|line| !line.starts_with("ChildEBP"))
        .skip(1)
        .take_while(|line| command(line).is_none())
        .collect();
    assert!(
        rows[0].contains("nt!KiCom1Interrupt (Interrupt frame @ "),
        "{rows:#?}"
    );
    assert!(!rows[1].contains("KiCom1Interrupt"), "{rows:#?}");
    assert!(
        rows.iter()
            .any(|row| row.contains("(FPO: [0,3] TrapFrame @ ")),
        "{rows:#?}"
    );
    assert!(
        rows.last()
            .unwrap()
            .ends_with("ntdll!RtlUserThreadStart+0x3"),
        "{rows:#?}"
    );
}

#[test]
fn steps_end_at_a_breakpoint_of_any_kind_and_name_it() {
    let printed = session(&[
        "bp winlogon!WinMain+1",
        "bp winlogon!WinMain+2",
        "t 5",
        "ba w4 esp-4",
        "t 5",
        "r eip",
    ]);
    for fact in ["Breakpoint 1 hit", "Breakpoint 2 hit", "eip=0100121b\n"] {
        assert!(printed.contains(fact), "{fact} is missing in\n{printed}");
    }
    assert!(
        !printed.contains("Breakpoint 0 hit"),
        "no instruction begins there: {printed}"
    );
}

/// xorshift64*: the same seed gives the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}

#[test]
fn no_line_of_words_ends_the_session() {
    use sim::debug::Debuggee;
    use sim::debug::cdb::{COMMANDS, Debugger, Start};
    use sim::machine::{Machine, MachineConfig};
    use std::sync::Arc;
    const WORDS: &[&str] = &[
        "",
        "0",
        "1",
        "ffffffff",
        "fffffff8",
        "80000000",
        "L1",
        "L?10",
        "L-8",
        "l ffffffff",
        "eax",
        "@esp",
        "$ip",
        "poi(esp)",
        "poi(0)",
        "fs:0",
        "nt!KiFastCallEntry",
        "ntdll",
        "NtWriteFile",
        "WriteFile",
        "-",
        "+",
        "*",
        "(",
        ")",
        "[",
        "\"",
        "/w",
        "/1",
        "\"r\"",
        "=",
        "==",
        ",",
        "m",
        "a",
        "v",
        "e1",
        "w4",
        "r4",
        "i1",
        "c",
        "*nt*",
        "_KTRAP_FRAME",
        "_TEB",
        "?",
        ".",
        "-1",
        "0n",
        "0x",
        "`",
        "176",
        "on",
        "off",
        "-a",
        "-h",
        "-d",
        "on /nonexistent/x",
        "é",
        "\u{2028}",
    ];
    let seed = std::env::var("SYSGATE_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("SYSGATE_SEED={seed}");
    let mut random = Random(seed);
    let image = sim::image::Image::build(firmware::Gate::Sysenter).unwrap();
    let symbols = Arc::new(sim::symbols::Symbols::new(image.symbols));
    let config = MachineConfig {
        rom: image.rom,
        ..Default::default()
    };
    let debuggee = Debuggee::new(Machine::new(config).unwrap(), Arc::clone(&symbols));
    let mut debugger = Debugger::new(debuggee, symbols);
    let start = Start {
        program: "winlogon.exe".into(),
        ..Default::default()
    };
    debugger.start(&start).unwrap();
    // These go far or end the session; they have tests of their own.
    let far = [
        "q", "qq", "qd", "p", "tc", "pc", "tt", "pt", "g", "gc", "gu", "g-", "wt", "ring", "p-",
        ".goto", ".wave",
    ];
    let names: Vec<&str> = COMMANDS
        .iter()
        .flat_map(|command| command.names)
        .copied()
        .filter(|name| !far.contains(name))
        .collect();
    for number in 0..1500 {
        let mut line = match random.below(20) {
            0 => "?".to_string(),
            1 => "$<".to_string(),
            _ => names[random.below(names.len())].to_string(),
        };
        for _ in 0..random.below(5) {
            line.push(' ');
            line.push_str(WORDS[random.below(WORDS.len())]);
        }
        // Counts of clocks and steps stay small.
        if ["t ", "t- ", "cy ", "cy- "]
            .iter()
            .any(|name| line.starts_with(name))
        {
            line.truncate(line.find(' ').unwrap());
        }
        let began = std::time::Instant::now();
        debugger.execute(&line, false);
        if began.elapsed().as_secs() > 0 {
            println!("{number}: {line}: {} s", began.elapsed().as_secs());
        }
        let printed = debugger.take_output();
        assert!(printed.len() < 1 << 24, "{number}: {line}");
        assert!(debugger.prompt().ends_with("> "), "{number}: {line}");
    }
}
