//! `sysgate tui` on a screen: one in memory, and a real one if tmux is there.
#![cfg(feature = "model")]

use firmware::Gate;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sim::debug::Debuggee;
use sim::image::Image;
use sim::machine::{Machine, MachineConfig};
use sim::symbols::Symbols;
use sim::tui::{App, view};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The default image at `name`.
fn app_at(name: &str) -> App {
    let image = Image::build(Gate::Sysenter).unwrap();
    let symbols = Arc::new(Symbols::new(image.symbols));
    let config = MachineConfig {
        rom: image.rom,
        keep_retired: false,
        keep_ports: false,
        ..Default::default()
    };
    let machine = Machine::new(config).unwrap();
    let mut app = App::new(Debuggee::new(machine, Arc::clone(&symbols)), symbols);
    let linear = app.address(name).unwrap();
    app.run_to(linear, 10_000_000).unwrap();
    app
}

/// Types keys, and lets what they start come to its end.
fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        match key {
            '\n' => app.enter(),
            '\x1B' => app.escape(),
            _ => app.typed(key),
        }
        while app.is_busy() {
            app.work();
        }
    }
}

/// The screen's rows.
fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(app, frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let rows = buffer.content().chunks(width.into());
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>())
        .collect()
}

fn has(rows: &[String], text: &str) {
    assert!(
        rows.iter().any(|row| row.contains(text)),
        "`{text}` is not on the screen:\n{}",
        rows.join("\n")
    );
}

/// Ring, place and position as the first row says.
fn status(app: &mut App) -> String {
    screen(app, 80, 24)[0]
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn all_panes_are_on_a_screen_of_80_by_24() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "tt");
    let rows = screen(&mut app, 80, 24);
    assert!(
        rows[0].starts_with(" ring 3  winlogon!WinMain+0x3 "),
        "{}",
        rows[0]
    );
    for text in [
        "winlogon!WinMain",
        ">0100121b mov     ebp,esp",
        "esp=000bfff0 ebp=00000000",
        "cs=001b ss=0023 fs=003b",
        "execute -          010 call",
        ">5 r3 winlogon!WinMain+0x3",
        " console ",
    ] {
        has(&rows, text);
    }
}

#[test]
fn a_larger_screen_shows_more_and_a_smaller_one_says_what_it_needs() {
    let mut app = app_at("winlogon!WinMain");
    for (width, height) in [(80, 24), (81, 25), (120, 40), (200, 70), (255, 100)] {
        let rows = screen(&mut app, width, height);
        has(&rows, " pipeline");
        has(&rows, ">01001218 ");
    }
    let rows = screen(&mut app, 120, 40);
    has(&rows, "8bff");
    has(&rows, "sysenter_eip=828010c0");
    for (width, height) in [(79, 24), (80, 23), (10, 3), (1, 1)] {
        let rows = screen(&mut app, width, height);
        assert!(
            !rows.iter().any(|row| row.contains("pipeline")),
            "{width}x{height}"
        );
    }
    has(&screen(&mut app, 40, 10), "80x24 is needed");
}

#[test]
fn a_run_to_the_next_ring_change_ends_in_the_kernels_first_instruction() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "r");
    let rows = screen(&mut app, 80, 24);
    assert!(
        rows[0].starts_with(" ring 0  nt!KiFastCallEntry "),
        "{}",
        rows[0]
    );
    has(&rows, "ring 3 -> ring 0 at nt!KiFastCallEntry");
    has(&rows, " 2 r3 ntdll!KiFastSystemCall+0x2");
    has(&rows, ">1 r0 nt!KiFastCallEntry gate");
    press(&mut app, "r");
    has(
        &screen(&mut app, 80, 24),
        "ring 0 -> ring 3 at ntdll!KiFastSystemCallRet",
    );
    assert!(
        !app.frames().iter().any(|frame| frame.ring == 0),
        "{:?}",
        app.frames()
    );
}

#[test]
fn the_call_path_names_every_layer_down_to_the_service() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "/nt!NtWriteFile\nb.g");
    let rows = screen(&mut app, 100, 50);
    let rows: Vec<&str> = rows.iter().map(|row| row.trim()).collect();
    let at = |text: &str| {
        rows.iter()
            .position(|row| row.contains(text))
            .unwrap_or_else(|| panic!("`{text}` is not on the screen:\n{}", rows.join("\n")))
    };
    let path = [
        " r3 winlogon!WinMain",
        "r3 kernel32!WriteFileImplementation",
        "r3 KERNELBASE!WriteFile",
        "r3 ntdll!ZwWriteFile",
        "r3 ntdll!KiFastSystemCall",
        "r0 nt!KiFastCallEntry",
        ">1 r0 nt!NtWriteFile",
    ]
    .map(at);
    assert!(path.is_sorted(), "{path:?}");
}

#[test]
fn every_movement_back_undoes_its_movement() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "ttttt");
    for (there, back) in [("t", "T"), ("p", "P"), ("c", "C"), ("r", "R"), ("u", "U")] {
        let (before, frames) = (status(&mut app), app.frames().to_vec());
        press(&mut app, there);
        let after = status(&mut app);
        assert_ne!(before, after, "{there}");
        // What is found backwards is the last stop before: none here, so that R comes to the change before.
        if there == "r" {
            press(&mut app, "r");
            press(&mut app, back);
            assert_eq!(status(&mut app), after, "{back}");
            press(&mut app, back);
            press(&mut app, "/winlogon!WinMain\nh");
            press(&mut app, "ttttt");
            assert_eq!(status(&mut app), before);
            continue;
        }
        if there == "u" {
            // Back to the call from behind it: over it.
            press(&mut app, "P");
            assert!(status(&mut app).contains("winlogon!WinMainCRTStartup"));
            continue;
        }
        press(&mut app, back);
        assert_eq!(status(&mut app), before, "{back}");
        assert_eq!(app.frames(), frames, "{back}");
    }
}

#[test]
fn a_step_over_a_call_stops_behind_it_and_a_step_into_it_at_its_target() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "ttttt");
    let call = status(&mut app);
    press(&mut app, "p");
    assert!(
        status(&mut app).starts_with("ring 3 winlogon!WinMain+0xe"),
        "{}",
        status(&mut app)
    );
    press(&mut app, "P");
    assert_eq!(status(&mut app), call);
    press(&mut app, "t");
    assert!(
        status(&mut app).starts_with("ring 3 kernel32!GetStdHandle"),
        "{}",
        status(&mut app)
    );
    press(&mut app, "u");
    assert!(
        status(&mut app).starts_with("ring 3 winlogon!WinMain+0xe"),
        "{}",
        status(&mut app)
    );
}

#[test]
fn a_breakpoint_stops_a_run_forwards_and_backwards_until_it_is_cleared() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "/nt!KiConsoleWrite\nb");
    has(&screen(&mut app, 80, 24), "* 828017f0");
    press(&mut app, ".g");
    let stopped = status(&mut app);
    assert!(
        stopped.starts_with("ring 0 nt!KiConsoleWrite "),
        "{stopped}"
    );
    press(&mut app, "g");
    has(
        &screen(&mut app, 80, 24),
        "the guest has halted with interrupts off",
    );
    has(&screen(&mut app, 80, 24), "winlogon.exe says hello");
    press(&mut app, "G");
    assert_eq!(status(&mut app), stopped);
    press(&mut app, "bG");
    has(&screen(&mut app, 80, 24), "this is the begin of the run");
}

#[test]
fn a_clock_moves_the_pipeline_by_one_column() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "ttt");
    let column = |rows: &[String], at: usize| -> Vec<String> {
        let begin = rows
            .iter()
            .position(|row| row.starts_with("cycle "))
            .unwrap();
        rows[begin..begin + 7]
            .iter()
            .map(|row| row[8 + 11 * at..8 + 11 * (at + 1)].to_string())
            .collect()
    };
    let before = screen(&mut app, 80, 24);
    press(&mut app, "c");
    let after = screen(&mut app, 80, 24);
    for at in 1..6 {
        assert_eq!(column(&before, at), column(&after, at - 1), "column {at}");
    }
}

#[test]
fn what_changed_since_the_last_stop_is_highlighted() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "tt");
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| view::draw(&mut app, frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let colour = |text: &str| {
        let rows: Vec<String> = buffer
            .content()
            .chunks(80)
            .map(|row| row.iter().map(|cell| cell.symbol()).collect())
            .collect();
        let y = rows.iter().position(|row| row.contains(text)).unwrap();
        let x = rows[y]
            .find(text)
            .map(|at| rows[y][..at].chars().count())
            .unwrap();
        buffer[(x as u16, y as u16)].fg
    };
    assert_eq!(colour("esp=000bfff0"), ratatui::style::Color::Yellow);
    assert_eq!(colour("eip=0100121b"), ratatui::style::Color::Yellow);
    assert_eq!(colour("eax="), ratatui::style::Color::Reset);
}

#[test]
fn wrong_input_is_answered_on_the_last_row() {
    let mut app = app_at("winlogon!WinMain");
    press(&mut app, "z");
    has(&screen(&mut app, 80, 24)[23..], "`z` is no key");
    press(&mut app, "/nt!NtNothing\n");
    has(
        &screen(&mut app, 80, 24)[23..],
        "there is no symbol `NtNothing`",
    );
    press(&mut app, "/deadbeef\n");
    has(&screen(&mut app, 80, 24), "deadbeef ????????");
    press(&mut app, "/esp\n");
    assert_eq!(app.cursor, app.registers.esp());
    press(&mut app, "?");
    has(&screen(&mut app, 80, 24), "step over calls / back");
    press(&mut app, "q");
    assert!(!app.quits, "any key closes the help");
    press(&mut app, "q");
    assert!(app.quits);
}

#[test]
fn the_cursor_goes_up_and_down_by_whole_instructions() {
    let mut app = app_at("winlogon!WinMain");
    let start = app.cursor;
    let mut down = vec![start];
    for _ in 0..12 {
        press(&mut app, "j");
        down.push(app.cursor);
    }
    for expected in down.iter().rev().skip(1) {
        press(&mut app, "k");
        assert_eq!(app.cursor, *expected);
    }
    press(&mut app, "jj.");
    assert_eq!(app.cursor, start);
}

#[test]
fn without_a_terminal_the_program_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .arg("tui")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(10));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("needs a terminal"), "{message}");
}

/// A real terminal: a tmux server of its own.
struct Tmux(String);

impl Tmux {
    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.0, "-f", "/dev/null"])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn wait_for(&self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let shown = self.tmux(&["capture-pane", "-p", "-t", "test"]);
            if shown.contains(text) {
                return shown;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "`{text}` does not come:\n{shown}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "test"], keys].concat());
    }

    /// Starts the program in a shell of its own, which tells how it ended and how the terminal is.
    fn start(name: &str) -> Option<Self> {
        let program = env!("CARGO_BIN_EXE_sysgate");
        Self::run(name, &format!("'{program}' tui --at winlogon!WinMain"))
    }

    fn run(name: &str, program: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("tmux is not on PATH: not tried in a real terminal");
            return None;
        }
        let tmux = Self(format!("sysgate-{name}-{}", std::process::id()));
        let command =
            format!("{program}; echo ended with $?; stty -a | grep -wo '\\-*icanon'; cat");
        tmux.tmux(&[
            "new-session",
            "-d",
            "-s",
            "test",
            "-x",
            "80",
            "-y",
            "24",
            &command,
        ]);
        Some(tmux)
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn in_a_real_terminal_it_steps_follows_the_size_and_leaves_the_terminal_as_it_was() {
    let Some(tmux) = Tmux::start("keys") else {
        return;
    };
    tmux.wait_for(">01001218 mov");
    tmux.keys(&["t", "t"]);
    tmux.wait_for(">0100121b mov");
    tmux.keys(&["r"]);
    let shown = tmux.wait_for("ring 3 -> ring 0 at nt!KiFastCallEntry");
    assert!(
        shown.contains(" pipeline") && shown.contains(" console "),
        "{shown}"
    );
    tmux.tmux(&["resize-window", "-t", "test", "-x", "120", "-y", "40"]);
    tmux.wait_for("sysenter_eip=828010c0");
    tmux.tmux(&["resize-window", "-t", "test", "-x", "60", "-y", "20"]);
    tmux.wait_for("80x24 is needed");
    tmux.tmux(&["resize-window", "-t", "test", "-x", "80", "-y", "24"]);
    tmux.wait_for(" call path ");
    tmux.keys(&["q"]);
    let shown = tmux.wait_for("icanon");
    assert!(shown.contains("ended with 0\nicanon"), "{shown}");
    assert!(
        !shown.contains("pipeline"),
        "the screen before is back: {shown}"
    );
}

#[test]
fn ctrl_c_and_a_signal_leave_the_terminal_as_it_was() {
    let Some(tmux) = Tmux::start("interrupt") else {
        return;
    };
    tmux.wait_for(">01001218 mov");
    tmux.keys(&["C-c"]);
    let shown = tmux.wait_for("icanon");
    assert!(shown.contains("ended with 130\nicanon"), "{shown}");
    assert!(shown.contains("interrupted at winlogon!WinMain"), "{shown}");

    let pid = std::env::temp_dir().join(format!("sysgate-tui-pid-{}", std::process::id()));
    let program = env!("CARGO_BIN_EXE_sysgate");
    let command = format!(
        "sh -c 'echo $$ > \"$0\"; exec \"$1\" tui --at winlogon!WinMain' '{}' '{program}'",
        pid.display()
    );
    let Some(tmux) = Tmux::run("signal", &command) else {
        return;
    };
    tmux.wait_for(">01001218 mov");
    let child = std::fs::read_to_string(&pid).unwrap();
    std::fs::remove_file(&pid).unwrap();
    let child = child.trim();
    Command::new("kill")
        .args(["-TERM", child])
        .status()
        .unwrap();
    let shown = tmux.wait_for("icanon");
    assert!(shown.contains("ended with 130\nicanon"), "{shown}");
}

/// The child of the test below; does nothing without its variable.
#[test]
fn child_that_panics() {
    if std::env::var_os("SYSGATE_TUI_PANICS").is_some() {
        let mut app = app_at("winlogon!WinMain");
        let _ = sim::tui::run(&mut app, || panic!("a reason to end"));
    }
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was_and_is_read_there() {
    let child = std::env::current_exe().unwrap();
    let command = format!(
        "SYSGATE_TUI_PANICS=1 RUST_BACKTRACE=0 '{}' --exact child_that_panics --nocapture",
        child.display()
    );
    let Some(tmux) = Tmux::run("panic", &command) else {
        return;
    };
    let shown = tmux.wait_for("icanon");
    assert!(shown.contains("a reason to end"), "{shown}");
    assert!(shown.contains("ended with 101\nicanon"), "{shown}");
}
