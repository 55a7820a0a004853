//! `sysgate tui`: the debugger on a full screen.
//!
//! [`app`] does what keys say and knows no terminal, [`view`] draws it, and this module connects both with a terminal,
//! which it restores whatever happens.

pub mod app;
mod code;
mod keys;
mod path;
pub mod view;

pub use app::App;
pub use keys::{Action, KEYS};

use app::Mode;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{execute, terminal};
use ratatui::{Terminal, backend::CrosstermBackend};
use std::collections::VecDeque;
use std::io::{self, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time to leave the screen in, once told to.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a look at the keyboard takes at most.
const POLL: Duration = Duration::from_millis(50);

/// The terminal is ours. It is put back once: a second time would put the cursor on what was written since.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Puts the terminal back when it goes.
struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    fn new() -> io::Result<Self> {
        // Before the first change, so that a panic at any time finds it.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            hook(panic);
        }));
        ACTIVE.store(true, Ordering::Relaxed);
        terminal::enable_raw_mode()?;
        let screen = execute!(io::stdout(), terminal::EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        if screen.is_err() {
            restore();
        }
        Ok(Self(screen?))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Nothing can be done where this fails: the terminal is gone.
fn restore() {
    if !ACTIVE.swap(false, Ordering::Relaxed) {
        return;
    }
    let _ = terminal::disable_raw_mode();
    let _ = execute!(
        io::stdout(),
        terminal::LeaveAlternateScreen,
        ratatui::crossterm::cursor::Show
    );
}

/// How the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// By its key.
    Quit,
    /// By Ctrl-C or a signal.
    Interrupted,
}

/// Runs the screen until the user leaves it. `interrupted` says whether a signal wants the program to end.
///
/// # Errors
/// A terminal that cannot be read or written.
pub fn run(app: &mut App, interrupted: fn() -> bool) -> io::Result<Left> {
    let mut screen = Screen::new()?;
    // Waiting for a key in a terminal that has been closed never ends. Whoever is told to end and does not, is ended.
    std::thread::spawn(move || {
        while !interrupted() {
            std::thread::sleep(PATIENCE);
        }
        std::thread::sleep(PATIENCE);
        restore();
        std::process::exit(crate::cli::exit::INTERRUPTED.into());
    });
    let mut events = VecDeque::new();
    screen.0.draw(|frame| view::draw(app, frame))?;
    loop {
        if interrupted() {
            return Ok(Left::Interrupted);
        }
        let mut changed = app.is_busy();
        if app.is_busy() {
            watched(app, &mut events, interrupted, App::work)?;
        } else if events.is_empty() && event::poll(POLL)? {
            events.push_back(event::read()?);
        }
        while let Some(next) = events.pop_front() {
            changed = true;
            if let Event::Key(key) = next
                && key.kind != KeyEventKind::Release
            {
                if is_ctrl_c(&key) {
                    if !app.is_busy() {
                        return Ok(Left::Interrupted);
                    }
                    app.end_work();
                } else if app.is_busy() && key.code != KeyCode::Esc {
                    // Typed ahead: it comes when the movement has ended.
                    events.push_front(next);
                    break;
                } else {
                    watched(app, &mut events, interrupted, |app| press(app, &key))?;
                }
            }
            if app.quits {
                return Ok(Left::Quit);
            }
        }
        if changed {
            screen.0.draw(|frame| view::draw(app, frame))?;
        }
    }
}

fn is_ctrl_c(key: &KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Does something that may take long, and looks at the keyboard meanwhile: Ctrl-C and Esc end it, all else waits.
fn watched(
    app: &mut App,
    events: &mut VecDeque<Event>,
    interrupted: fn() -> bool,
    work: impl FnOnce(&mut App),
) -> io::Result<()> {
    let interrupt = app.interrupt();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let keyboard = scope.spawn(|| -> io::Result<VecDeque<Event>> {
            let mut typed = VecDeque::new();
            while !done.load(Ordering::Relaxed) {
                if interrupted() {
                    interrupt.store(true, Ordering::Relaxed);
                }
                if event::poll(Duration::from_millis(5))? {
                    let next = event::read()?;
                    if let Event::Key(key) = &next
                        && (is_ctrl_c(key) || key.code == KeyCode::Esc)
                    {
                        interrupt.store(true, Ordering::Relaxed);
                    } else {
                        typed.push_back(next);
                    }
                }
            }
            Ok(typed)
        });
        // The keyboard's thread must end even if this panics; the scope waits for it.
        let finished = Finished(&done);
        work(app);
        drop(finished);
        let typed = keyboard
            .join()
            .map_err(|_| io::Error::other("the keyboard's thread has panicked"))?;
        events.extend(typed?);
        Ok(())
    })
}

struct Finished<'a>(&'a AtomicBool);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A key to the app.
fn press(app: &mut App, key: &KeyEvent) {
    let is_command = app.mode == Mode::Command;
    match key.code {
        KeyCode::Char(character) => app.typed(character),
        KeyCode::Enter => app.enter(),
        KeyCode::Backspace => app.backspace(),
        KeyCode::Esc => app.escape(),
        KeyCode::Up if is_command => app.act(Action::Up),
        KeyCode::Down if is_command => app.act(Action::Down),
        KeyCode::PageUp if is_command => app.act(Action::PageUp),
        KeyCode::PageDown if is_command => app.act(Action::PageDown),
        KeyCode::Home if is_command => app.act(Action::Here),
        _ if app.mode == Mode::Help => app.mode = Mode::Command,
        _ => {}
    }
}
