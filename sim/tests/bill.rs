//! The bill that the guest prints of itself, against the retire trace, and `sysgate console --bill` on a board that is a
//! pseudo-terminal.
#![cfg(feature = "model")]

use firmware::{Gate, ImageOptions, Layer, Program};
use sim::bill::{Measured, measure};
use sim::image::Image;
use sim::machine::{Machine, MachineConfig, Stop};
use std::sync::LazyLock;

static SYSENTER: LazyLock<Measured> = LazyLock::new(|| measured(&options(Gate::Sysenter, None)));

fn measured(options: &ImageOptions) -> Measured {
    let built = firmware::build(options).unwrap();
    let image = Image {
        rom: built.rom,
        symbols: built.symbols,
        files: built.files,
    };
    measure(&image, &mut || true).unwrap().expect("not stopped")
}

fn options(gate: Gate, without: Option<Layer>) -> ImageOptions {
    ImageOptions {
        gate,
        without,
        program: Program::Bill,
        ..ImageOptions::default()
    }
}

/// Every number of the text is the distance of two RDTSCs in the retire trace, in the place that the line names.
fn check(bill: &Measured, hops: usize) {
    assert_eq!(bill.printed, bill.traced);
    assert_eq!(bill.printed.len(), hops + 1);
    let sum = bill.printed.last().unwrap();
    assert_eq!(sum.name, firmware::BILL_SUM);
    for call in 0..2 {
        let clocks = bill.printed[..hops].iter().map(|line| line.clocks[call]);
        assert_eq!(clocks.sum::<u64>(), sum.clocks[call], "call {call}");
    }
    for (line, place) in bill.printed.iter().zip(&bill.places) {
        let named = line.name.split(',').next().unwrap();
        assert_eq!(named, place, "{}", line.name);
    }
    let text = ImageOptions::default().console_text.repeat(2);
    assert!(bill.console.starts_with(text.as_bytes()));
}

#[test]
fn the_bill_on_the_uart_is_the_retire_traces_through_sysenter() {
    check(&SYSENTER, 9);
}

#[test]
fn the_bill_on_the_uart_is_the_retire_traces_through_int_2e() {
    check(&measured(&options(Gate::Int2e, None)), 9);
}

#[test]
fn the_bill_of_an_image_with_a_layer_less_has_its_own_hops() {
    for (gate, layer) in [
        (Gate::Sysenter, Layer::KernelBase),
        (Gate::Int2e, Layer::Kernel32),
    ] {
        check(&measured(&options(gate, Some(layer))), 7);
    }
}

#[test]
fn a_reset_prints_the_same_bill_again() {
    let rom = firmware::build(&options(Gate::Sysenter, None)).unwrap().rom;
    let mut machine = Machine::new(MachineConfig {
        rom,
        keep_retired: false,
        keep_ports: false,
        ..MachineConfig::default()
    })
    .unwrap();
    // At odd times: while it boots, while it writes, while the bill is on its way.
    for clocks in [20_011, 100_003, 300_007] {
        machine.run(clocks);
        machine.reset();
        machine.take_console();
    }
    assert_eq!(machine.run(4_000_000), Stop::Halted);
    let console = machine.take_console();
    assert_eq!(
        String::from_utf8_lossy(&console),
        String::from_utf8_lossy(&SYSENTER.console)
    );
}

#[test]
fn an_image_without_a_bill_is_refused() {
    let image = Image::build(Gate::Sysenter).unwrap();
    let error = measure(&image, &mut || true).unwrap_err();
    assert!(error.contains("prints no bill"), "{error}");
}

#[cfg(target_os = "linux")]
mod board {
    use super::SYSENTER;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Child, Command, Stdio};

    /// `sysgate console --bill` and the board's end of its serial line.
    struct Session {
        program: Child,
        messages: BufReader<std::process::ChildStderr>,
        board: File,
    }

    impl Session {
        /// Returns when the program waits for the board.
        fn new(arguments: &[&str]) -> Self {
            // No child may inherit the board's end: while anybody has it, the cable is not pulled.
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let board = openpt(flags).unwrap();
            grantpt(&board).unwrap();
            unlockpt(&board).unwrap();
            let line = ptsname(&board, Vec::new()).unwrap();
            let mut program = Command::new(env!("CARGO_BIN_EXE_sysgate"))
                .args(["console", "--bill", "--port", line.to_str().unwrap()])
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut messages = BufReader::new(program.stderr.take().unwrap());
            let mut message = String::new();
            messages.read_line(&mut message).unwrap();
            assert!(message.contains("press FIRE1"), "{message}");
            Self {
                program,
                messages,
                board: board.into(),
            }
        }

        fn send(&mut self, bytes: &[u8]) {
            self.board.write_all(bytes).unwrap();
        }

        /// Exit code, stdout, and the rest of stderr.
        fn end(self) -> (i32, String, String) {
            let Self {
                mut program,
                mut messages,
                ..
            } = self;
            let (mut table, mut rest) = (String::new(), String::new());
            let mut stdout = program.stdout.take().unwrap();
            stdout.read_to_string(&mut table).unwrap();
            messages.read_to_string(&mut rest).unwrap();
            (program.wait().unwrap().code().unwrap(), table, rest)
        }

        /// The same after the cable was pulled.
        fn pull(self) -> (i32, String, String) {
            let Self {
                mut program,
                mut messages,
                board,
            } = self;
            drop(board);
            let mut rest = String::new();
            messages.read_to_string(&mut rest).unwrap();
            (program.wait().unwrap().code().unwrap(), String::new(), rest)
        }
    }

    #[test]
    fn a_board_that_counts_like_the_simulator_ends_with_0() {
        let mut session = Session::new(&[]);
        // The board was running already when the console was opened.
        session.send(&SYSENTER.console[SYSENTER.console.len() / 2..]);
        session.send(&SYSENTER.console);
        let (code, table, messages) = session.end();
        assert_eq!(code, 0, "{table}{messages}");
        assert_eq!(table.lines().count(), SYSENTER.traced.len() + 1);
        assert!(
            table.lines().skip(1).all(|line| line.ends_with("equal")),
            "{table}"
        );
        assert!(messages.contains("says hello"), "{messages}");
    }

    #[test]
    fn a_board_that_counts_otherwise_ends_with_30_and_names_the_line() {
        let mut session = Session::new(&[]);
        let mut text = SYSENTER.console.clone();
        // The last digit of the hop into the kernel.
        let name = b"nt!KiFastCallEntry";
        let line = text
            .windows(name.len())
            .position(|bytes| bytes == name)
            .unwrap();
        let end = line + text[line..].iter().position(|&byte| byte == b'\r').unwrap();
        text[end - 1] = if text[end - 1] == b'7' { b'8' } else { b'7' };
        session.send(&text);
        let (code, table, messages) = session.end();
        assert_eq!(code, 30, "{table}{messages}");
        let different: Vec<&str> = table
            .lines()
            .filter(|line| line.ends_with("differs"))
            .collect();
        assert_eq!(different.len(), 1, "{table}");
        assert!(different[0].starts_with("nt!KiFastCallEntry"), "{table}");
        assert!(messages.contains("1 of 10 lines differ"), "{messages}");
    }

    #[test]
    fn a_board_with_the_other_gate_is_told_from_this_one() {
        let mut session = Session::new(&["--gate", "int2e"]);
        session.send(&SYSENTER.console);
        let (code, table, messages) = session.end();
        assert_eq!(code, 30, "{table}{messages}");
        assert!(table.contains("\"nt!KiFastCallEntry\""), "{table}");
    }

    #[test]
    fn a_cable_pulled_in_the_middle_of_the_bill_ends_with_10_and_says_so() {
        let mut session = Session::new(&[]);
        let line = b"nt!NtWriteFile";
        let text = &SYSENTER.console;
        let middle = text
            .windows(line.len())
            .position(|bytes| bytes == line)
            .unwrap();
        session.send(&text[..middle]);
        // Four whole lines have arrived when the last of them is shown.
        let mut shown = String::new();
        while !shown.contains("nt!KiFastCallEntry") {
            assert_ne!(session.messages.read_line(&mut shown).unwrap(), 0);
        }
        let (code, _, messages) = session.pull();
        assert_eq!(code, 10, "{messages}");
        assert!(
            messages.contains("is gone") && messages.contains("of the bill's 10 lines 4 had come"),
            "{messages}"
        );
    }
}
