//! What the keys do; nothing here knows a terminal.

use super::code::{Code, Line};
use super::keys::{Action, KEYS};
use super::path::{Frame, Path};
use crate::debug::{Debuggee, Position, Registers, Stopped, Watch};
use crate::machine::Pipeline;
use crate::symbols::Symbols;
use iced_x86::FlowControl;
use spec::registers as number;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Clock cycles that are run between two looks at the keyboard.
const SLICE_CYCLES: u64 = 200_000;

/// Clocks that the pipeline pane knows.
pub const CLOCKS: u64 = 32;

/// Clocks that are kept beyond those, for steps back.
const CLOCKS_KEPT: usize = 4096;

/// A movement that takes more than one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    /// To a breakpoint, or an end.
    Go,
    /// To the next ring change.
    Ring,
    /// To this linear address with ESP not below that, unless it is `None`.
    Until(u32, Option<u32>),
    /// Until the path is shorter than this.
    Leave(usize),
}

/// What the next keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Commands.
    Command,
    /// An address is being typed.
    Address(String),
    /// Keys go to the guest's console.
    Console,
    /// The help is shown.
    Help,
}

/// The debugger behind the screen.
pub struct App {
    debuggee: Debuggee,
    symbols: Arc<Symbols>,
    code: Code,
    path: Path,
    interrupt: Arc<AtomicBool>,
    breakpoints: BTreeSet<u32>,
    goal: Option<Goal>,
    clocks: BTreeMap<u64, Pipeline>,
    texts: HashMap<u32, String>,
    /// At the last stop.
    pub registers: Registers,
    /// At the stop before; what differs is highlighted.
    pub registers_before: Registers,
    /// Linear address of the marked line.
    pub cursor: u32,
    /// Mode of the keyboard.
    pub mode: Mode,
    /// The last line of the screen.
    pub message: String,
    /// The user wants to leave.
    pub quits: bool,
}

impl App {
    /// Looks at a machine where it stands.
    pub fn new(mut debuggee: Debuggee, symbols: Arc<Symbols>) -> Self {
        let interrupt = Arc::new(AtomicBool::new(false));
        debuggee.set_interrupt(Arc::clone(&interrupt));
        let path = Path::new(&mut debuggee);
        let registers = debuggee.registers().clone();
        let mut app = Self {
            code: Code::new(Arc::clone(&symbols)),
            path,
            interrupt,
            breakpoints: BTreeSet::new(),
            goal: None,
            clocks: BTreeMap::new(),
            texts: HashMap::new(),
            registers_before: registers.clone(),
            cursor: registers.linear_eip(),
            registers,
            mode: Mode::Command,
            message: "? shows the keys".to_string(),
            quits: false,
            debuggee,
            symbols,
        };
        app.look();
        app
    }

    /// Ends a movement soon, when it is set.
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupt)
    }

    /// Names.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Where the run is.
    pub fn position(&self) -> Position {
        self.debuggee.position()
    }

    /// The call path, the outermost frame first.
    pub fn frames(&self) -> &[Frame] {
        self.path.frames()
    }

    /// All that the guest has sent.
    pub fn console(&self) -> &[u8] {
        self.debuggee.console()
    }

    /// Whether there is a breakpoint at a linear address.
    pub fn is_breakpoint(&self, linear: u32) -> bool {
        self.breakpoints.contains(&linear)
    }

    /// Whether a movement is under way, which [`Self::work`] goes on with.
    pub fn is_busy(&self) -> bool {
        self.goal.is_some()
    }

    /// The stages in the last clocks, at most `count`, the newest last.
    pub fn clocks(&self, count: usize) -> Vec<(u64, Pipeline)> {
        let here = self.position().cycle;
        let known = self.clocks.range(..=here).rev().take(count);
        let mut clocks: Vec<_> = known.map(|(cycle, pipeline)| (*cycle, *pipeline)).collect();
        clocks.reverse();
        clocks
    }

    /// The instruction that a stage holds, by its EIP.
    pub fn stage_text(&mut self, eip: u32) -> String {
        let linear = self.registers.base(number::CS).wrapping_add(eip);
        let line = || {
            self.code
                .line(&mut self.debuggee, linear)
                .mnemonic()
                .to_string()
        };
        self.texts.entry(linear).or_insert_with(line).clone()
    }

    /// Lines of code with the cursor in them, `count` at least.
    pub fn lines(&mut self, count: usize) -> Vec<Line> {
        let before = count / 3;
        let start = self.code.before(&mut self.debuggee, self.cursor, before);
        self.code.from(&mut self.debuggee, start, count)
    }

    /// Does what a key stands for.
    pub fn act(&mut self, action: Action) {
        self.message.clear();
        match action {
            Action::Quit => self.quits = true,
            Action::Help => self.mode = Mode::Help,
            Action::Up => self.cursor = self.code.before(&mut self.debuggee, self.cursor, 1),
            Action::Down => self.cursor = self.below(1),
            Action::PageUp => self.cursor = self.code.before(&mut self.debuggee, self.cursor, 8),
            Action::PageDown => self.cursor = self.below(8),
            Action::Here => self.cursor = self.registers.linear_eip(),
            Action::Address => self.mode = Mode::Address(String::new()),
            Action::Type => self.mode = Mode::Console,
            Action::Breakpoint => {
                if !self.breakpoints.remove(&self.cursor) {
                    self.breakpoints.insert(self.cursor);
                }
            }
            _ => {
                self.registers_before = self.registers.clone();
                let stopped = self.start(action);
                if self.goal.is_none() {
                    self.stop(stopped);
                }
            }
        }
    }

    fn below(&mut self, count: usize) -> u32 {
        let lines = self.code.from(&mut self.debuggee, self.cursor, count + 1);
        lines.last().map_or(self.cursor, |line| line.linear)
    }

    /// Begins a movement; what is not done at once becomes a goal.
    fn start(&mut self, action: Action) -> Stopped {
        let here = self.debuggee.position();
        let linear = self.registers.linear_eip();
        match action {
            Action::Step => return self.step(),
            Action::StepBack => return self.debuggee.step_back(1),
            Action::Clock => return self.followed(|app| app.debuggee.step_cycles(1)),
            Action::ClockBack => return self.debuggee.step_back_cycles(1),
            Action::Over => {
                let line = self.code.line(&mut self.debuggee, linear);
                if !matches!(
                    line.flow,
                    FlowControl::Call | FlowControl::IndirectCall | FlowControl::Interrupt
                ) || line.mnemonic() == "sysenter"
                {
                    return self.step();
                }
                let behind = linear.wrapping_add(line.length());
                self.goal = Some(Goal::Until(behind, Some(self.registers.esp())));
            }
            Action::OverBack => {
                let depth = self.frames().len();
                let stopped = self.debuggee.step_back(1);
                self.path.follow(&mut self.debuggee);
                // The instruction before was the return of something that was called from here.
                return match self.frames().get(depth) {
                    Some(called) => {
                        let call = called.entered_by;
                        self.debuggee.go_to_instruction(call)
                    }
                    None => stopped,
                };
            }
            Action::Out => match self.frames() {
                [_] => self.message = "nothing that was called is under way".to_string(),
                frames => self.goal = Some(Goal::Leave(frames.len())),
            },
            Action::OutBack => match self.frames() {
                [_] => self.message = "nothing that was called is under way".to_string(),
                [.., top] => {
                    let call = top.entered_by;
                    return self.debuggee.go_to_instruction(call);
                }
                [] => {}
            },
            Action::Go => self.goal = Some(Goal::Go),
            Action::GoBack => {
                let watches = self.watches();
                return self.debuggee.back(&watches);
            }
            Action::Ring => self.goal = Some(Goal::Ring),
            Action::RingBack => return self.debuggee.back(&[Watch::Ring]),
            Action::ToCursor => self.goal = Some(Goal::Until(self.cursor, None)),
            Action::ToCursorBack => {
                let linear = self.cursor;
                return self.debuggee.back(&[Watch::Execute { linear }]);
            }
            _ => {}
        }
        debug_assert_eq!(self.debuggee.position(), here);
        Stopped::Done
    }

    /// One instruction, with a look at the pipeline in each of its clocks, so that none need be gone through again.
    fn step(&mut self) -> Stopped {
        self.followed(|app| {
            let end = app.debuggee.position().instructions + 1;
            for _ in 0..CLOCKS {
                let stopped = app.debuggee.step_cycles(1);
                let here = app.debuggee.position();
                app.clocks.insert(here.cycle, app.debuggee.pipeline());
                if stopped != Stopped::Done || here.instructions >= end {
                    return stopped;
                }
            }
            app.debuggee.step(1)
        })
    }

    /// Goes forward and lets the path follow.
    fn followed(&mut self, forward: impl FnOnce(&mut Self) -> Stopped) -> Stopped {
        self.debuggee.machine().drain_retired();
        self.debuggee.machine().keep(true, false);
        let stopped = forward(self);
        let retired = self.debuggee.machine().drain_retired();
        self.debuggee.machine().keep(false, false);
        self.path.push(&retired, self.debuggee.position());
        stopped
    }

    fn watches(&self) -> Vec<Watch> {
        let watch = |&linear: &u32| Watch::Execute { linear };
        // The shim takes 64.
        self.breakpoints.iter().take(60).map(watch).collect()
    }

    /// Goes on with a movement for a while.
    pub fn work(&mut self) {
        let Some(goal) = self.goal.clone() else {
            return;
        };
        let mut watches = self.watches();
        let breakpoints = watches.len();
        match goal {
            Goal::Go => {}
            Goal::Ring => watches.push(Watch::Ring),
            Goal::Until(linear, _) => watches.push(Watch::Execute { linear }),
            Goal::Leave(_) => watches.extend(self.leaving()),
        }
        let stopped = self.followed(|app| app.debuggee.run(&watches, SLICE_CYCLES));
        let done = match (&stopped, &goal) {
            (Stopped::Done, _) => false,
            (Stopped::Watch(hit), _) if hit.iter().any(|hit| *hit < breakpoints) => true,
            (Stopped::Watch(_), Goal::Until(_, Some(esp))) => {
                let esp = *esp;
                self.debuggee.registers().esp() >= esp
            }
            (Stopped::Watch(_), Goal::Leave(depth)) => self.frames().len() < *depth,
            _ => true,
        };
        if done {
            self.goal = None;
            self.stop(stopped);
        }
    }

    /// Where the innermost frame may be left for: its return, or another ring.
    fn leaving(&self) -> Vec<Watch> {
        let mut watches = vec![Watch::Ring];
        let returns = self
            .frames()
            .iter()
            .rev()
            .filter_map(|frame| frame.returns_to);
        if let Some(linear) = returns.into_iter().next() {
            watches.push(Watch::Execute { linear });
        }
        watches
    }

    /// Ends a movement where it is.
    pub fn end_work(&mut self) {
        if self.goal.take().is_some() {
            self.stop(Stopped::Interrupted);
        }
    }

    fn stop(&mut self, stopped: Stopped) {
        self.look();
        let what = match stopped {
            Stopped::Done => return,
            Stopped::Watch(_) => {
                let place = self.symbols.at(self.registers.linear_eip());
                let before = self.registers_before.cpl();
                match (before, self.registers.cpl()) {
                    (old, new) if old != new => format!("ring {old} -> ring {new} at {place}"),
                    _ => format!("stopped at {place}"),
                }
            }
            Stopped::Exit(value) => format!("the guest wrote {value:x}h to the exit port"),
            Stopped::Halted => "the guest has halted with interrupts off".to_string(),
            Stopped::Shutdown => "the processor has shut down".to_string(),
            Stopped::Reset => "the guest asked for a reset".to_string(),
            Stopped::Hung => "nothing retires any more".to_string(),
            Stopped::Begin => "this is the begin of the run".to_string(),
            Stopped::Interrupted => "interrupted".to_string(),
        };
        self.message = what;
    }

    /// Reads what the screen shows.
    fn look(&mut self) {
        // A flag that was set for a movement that had just ended.
        self.interrupt.store(false, Ordering::Relaxed);
        self.path.follow(&mut self.debuggee);
        self.look_at_clocks();
        self.registers = self.debuggee.registers().clone();
        self.cursor = self.registers.linear_eip();
        self.texts.clear();
    }

    /// Goes through the last clocks again, as far as they are not known.
    fn look_at_clocks(&mut self) {
        let here = self.debuggee.position().cycle;
        let begin = self.debuggee.begin().cycle;
        let first = |clocks: u64| (here + 1).saturating_sub(clocks).max(begin);
        self.clocks.insert(here, self.debuggee.pipeline());
        if (first(CLOCKS)..here).any(|cycle| !self.clocks.contains_key(&cycle)) {
            // Some more, for steps back.
            let unknown = |cycle: &u64| !self.clocks.contains_key(cycle);
            let start = (first(8 * CLOCKS)..here).find(unknown).unwrap_or(here);
            self.debuggee.go_to_cycle(start);
            while self.debuggee.position().cycle < here {
                let cycle = self.debuggee.position().cycle;
                self.clocks.insert(cycle, self.debuggee.pipeline());
                self.debuggee.step_cycles(1);
            }
        }
        if self.clocks.len() > CLOCKS_KEPT {
            let near = self.clocks.split_off(&first(8 * CLOCKS));
            self.clocks = near;
        }
    }

    /// Text typed in a mode that takes text.
    pub fn typed(&mut self, character: char) {
        match &mut self.mode {
            Mode::Address(text) => text.push(character),
            Mode::Console => {
                let mut bytes = [0; 4];
                self.send(character.encode_utf8(&mut bytes).as_bytes());
            }
            Mode::Help => self.mode = Mode::Command,
            Mode::Command => {
                if let Some(key) = KEYS.iter().find(|key| key.is(character)) {
                    self.act(key.action);
                } else {
                    self.message = format!("`{character}` is no key; ? shows them");
                }
            }
        }
    }

    /// Sends bytes to the guest from here on. What came after this position may be different now.
    fn send(&mut self, bytes: &[u8]) {
        self.debuggee.send_console(bytes);
        let here = self.position();
        self.path.forget_after(here);
        self.clocks.split_off(&(here.cycle + 1));
    }

    /// The Enter key.
    pub fn enter(&mut self) {
        match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::Address(text) => match self.address(text.trim()) {
                Ok(linear) => {
                    self.cursor = linear;
                    self.message = format!("{linear:08x} {}", self.symbols.at(linear));
                }
                Err(message) => self.message = message,
            },
            Mode::Console => {
                self.send(b"\r");
                self.mode = Mode::Console;
            }
            Mode::Help | Mode::Command => {}
        }
    }

    /// The Backspace key.
    pub fn backspace(&mut self) {
        match &mut self.mode {
            Mode::Address(text) => {
                text.pop();
            }
            Mode::Console => self.send(&[8]),
            _ => {}
        }
    }

    /// The Escape key: back to commands.
    pub fn escape(&mut self) {
        self.mode = Mode::Command;
        self.end_work();
    }

    /// A symbol, a register or a hexadecimal number.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn address(&self, text: &str) -> Result<u32, String> {
        if let Some(register) = number::number(text) {
            return Ok(self.registers.get(register));
        }
        let symbol = self.symbols.address_of(text);
        let digits = text.trim_end_matches(['h', 'H']);
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        match (symbol, u32::from_str_radix(digits, 16)) {
            (Ok(linear), _) => Ok(linear),
            (Err(_), Ok(linear)) => Ok(linear),
            (Err(message), Err(_)) => Err(format!("{message}, and it is no hexadecimal address")),
        }
    }

    /// Runs to a linear address before anything is shown.
    ///
    /// # Errors
    /// Where it ended instead.
    pub fn run_to(&mut self, linear: u32, max_cycles: u64) -> Result<(), String> {
        let stopped = self.debuggee.run(&[Watch::Execute { linear }], max_cycles);
        self.look();
        self.registers_before = self.registers.clone();
        match stopped {
            Stopped::Watch(_) => Ok(()),
            other => {
                let (place, cycle) = (self.symbols.at(linear), self.position().cycle);
                Err(format!(
                    "{place} was not reached by cycle {cycle}: {other:?}"
                ))
            }
        }
    }
}
