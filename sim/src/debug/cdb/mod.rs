//! `sysgate debug`: a debugger with cdb's commands, arguments and columns, on the machine itself.
//!
//! [`Debugger::execute`] takes a line and gathers what it prints; [`COMMANDS`] is the list of commands, one row each,
//! and `.help` prints it. Each theme has a file; those above the line know a machine only as [`names::Target`]:
//!
//! ```text
//! names expression disassembly memory registers      what is where, and how it is written
//! ----------------------------------------------------------------------------------------
//! breakpoints execution trace stack                  going and stopping
//! modules types tables services pipeline session     looking
//! ```

mod breakpoints;
mod disassembly;
mod execution;
mod expression;
mod help;
mod memory;
mod modules;
mod names;
mod pipeline;
mod registers;
mod services;
mod session;
mod stack;
mod tables;
mod trace;
mod types;

use super::Debuggee;
use breakpoints::Breakpoint;
use expression::{Range, Scope};
use names::{Names, Target};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use help::{COMMANDS, Command};
pub use session::Start;

/// Instructions that `ub` shows at most: where they begin is found by trying.
const BEFORE_LIMIT: u64 = 64;

/// What a command comes to: nothing, or the text that says what was wrong.
type Outcome = Result<(), String>;

impl Target for Debuggee {
    fn register(&mut self, number: u8) -> u32 {
        self.registers().get(number)
    }

    fn read(&mut self, linear: u32, bytes: usize) -> Vec<Option<u8>> {
        Debuggee::read(self, linear, bytes)
    }
}

/// A debugging session.
pub struct Debugger {
    debuggee: Debuggee,
    names: Names,
    out: String,
    radix: u32,
    variables: [u64; 10],
    /// By number; deleted ones leave a gap.
    breakpoints: Vec<Option<Breakpoint>>,
    /// A breakpoint's command has asked to go on.
    go_on: bool,
    /// How many breakpoints' commands are running inside each other.
    depth: usize,
    /// How many command files are running inside each other.
    scripts: usize,
    next_dump: u32,
    next_code: Option<u32>,
    last_format: memory::Format,
    last_line: String,
    console_shown: usize,
    interrupt: Arc<AtomicBool>,
    wave: Option<crate::wave::Wave>,
    quit: bool,
}

impl Debugger {
    /// A session on a machine where it stands.
    pub fn new(mut debuggee: Debuggee, symbols: Arc<crate::symbols::Symbols>) -> Self {
        let interrupt = Arc::new(AtomicBool::new(false));
        debuggee.set_interrupt(Arc::clone(&interrupt));
        Self {
            debuggee,
            names: Names::new(symbols),
            out: String::new(),
            radix: 16,
            variables: [0; 10],
            breakpoints: Vec::new(),
            go_on: false,
            depth: 0,
            scripts: 0,
            next_dump: 0,
            next_code: None,
            last_format: memory::Format::Bytes,
            last_line: String::new(),
            console_shown: 0,
            interrupt,
            wave: None,
            quit: false,
        }
    }

    /// Set to end a movement; the debugger says so and goes on.
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupt)
    }

    /// Whether `q` has ended the session.
    pub fn has_quit(&self) -> bool {
        self.quit
    }

    /// Ring and position: `3:winlogon!WinMain+0x1c> `.
    pub fn prompt(&mut self) -> String {
        let registers = self.debuggee.registers();
        let (ring, address) = (registers.cpl(), registers.linear_eip());
        format!("{ring}:{}> ", self.names.text(address))
    }

    /// Takes what has been printed since the last time.
    pub fn take_output(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Runs a line of commands, separated by semicolons. What goes wrong is printed, and ends the line.
    ///
    /// `repeat_empty`: an empty line repeats the last one, as cdb does at its prompt.
    pub fn execute(&mut self, line: &str, repeat_empty: bool) {
        let line = line.trim();
        let line = if line.is_empty() && repeat_empty {
            self.last_line.clone()
        } else {
            self.last_line = line.to_string();
            line.to_string()
        };
        if let Err(error) = self.execute_line(&line) {
            self.print_error(&error);
        }
    }

    fn print_error(&mut self, error: &str) {
        writeln!(self.out, "{error}").unwrap();
    }

    /// Prints a line.
    fn line(&mut self, text: impl AsRef<str>) {
        self.out.push_str(text.as_ref());
        self.out.push('\n');
    }

    fn execute_line(&mut self, line: &str) -> Outcome {
        // Comments and scripts take all of the line.
        if line.starts_with('*') || line.starts_with("$<") || line.starts_with("$>") {
            return self.execute_command(line);
        }
        for command in split(line) {
            if self.quit || self.go_on {
                break;
            }
            self.execute_command(command)?;
        }
        Ok(())
    }

    fn execute_command(&mut self, text: &str) -> Outcome {
        let text = text.trim();
        if text.is_empty() || text.starts_with("$$") && !text.starts_with("$$>") {
            return Ok(());
        }
        if let Some(comment) = text.strip_prefix('*') {
            let _ = comment;
            return Ok(());
        }
        for mark in ["$$><", "$><", "$<", "?"] {
            if let Some(arguments) = text.strip_prefix(mark) {
                return match mark {
                    "?" if arguments.is_empty() => self.help(""),
                    "?" => self.evaluate(arguments),
                    _ => self.script(arguments.trim()),
                };
            }
        }
        let end = text
            .find(|c: char| c.is_whitespace() || c == '"')
            .unwrap_or(text.len());
        let (name, arguments) = (&text[..end], text[end..].trim());
        let found = |command: &&Command| {
            command
                .names
                .iter()
                .any(|other| other.eq_ignore_ascii_case(name))
        };
        match COMMANDS.iter().find(found) {
            Some(command) => (command.run)(self, &name.to_ascii_lowercase(), arguments),
            None => Err(format!(
                "Unknown command '{name}' error in '{text}'; .help lists the commands"
            )),
        }
    }

    fn scope(&mut self) -> Scope<'_> {
        Scope {
            names: &self.names,
            target: &mut self.debuggee,
            radix: self.radix,
            variables: &self.variables,
        }
    }

    /// The expression at the begin of `text`, and the rest.
    fn parse<'t>(&mut self, text: &'t str) -> Result<(u64, &'t str), String> {
        expression::parse(text, &mut self.scope())
    }

    /// The value of all of `text`.
    fn value(&mut self, text: &str) -> Result<u64, String> {
        expression::evaluate(text, &mut self.scope())
    }

    /// A linear address: all of `text`.
    fn address(&mut self, text: &str) -> Result<u32, String> {
        self.value(text).map(|value| value as u32)
    }

    /// A count, in the current radix as everywhere; 1 if there is none.
    fn count(&mut self, text: &str) -> Result<u64, String> {
        match text {
            "" => Ok(1),
            _ => self.value(text),
        }
    }

    fn eip(&mut self) -> u32 {
        self.debuggee.registers().linear_eip()
    }

    // Commands that are only a line or two.

    /// `u [range]`.
    fn unassemble(&mut self, _: &str, arguments: &str) -> Outcome {
        let start = match self.next_code {
            Some(next) => next,
            None => self.eip(),
        };
        let (address, rest) = match arguments {
            "" => (start, ""),
            _ => {
                let (address, rest) = self.parse(arguments)?;
                (address as u32, rest)
            }
        };
        let (count, end) = match rest.strip_prefix(['L', 'l']) {
            Some(count) => (
                self.value(count.trim_start_matches('?'))?.min(100_000),
                None,
            ),
            None if rest.is_empty() => (8, None),
            None => (100_000, Some(self.address(rest)?)),
        };
        let next = disassembly::unassemble(
            &self.names,
            &mut self.debuggee,
            address,
            count as usize,
            end,
            &mut self.out,
        );
        self.next_code = Some(next);
        Ok(())
    }

    /// `ub [address [Lcount]]`.
    fn unassemble_before(&mut self, _: &str, arguments: &str) -> Outcome {
        let (address, rest) = match arguments {
            "" => (self.eip().into(), ""),
            _ => self.parse(arguments)?,
        };
        let count = match rest.strip_prefix(['L', 'l']) {
            Some(count) => self.value(count)?.min(BEFORE_LIMIT),
            None => 8,
        };
        let first = disassembly::unassemble_before(
            &self.names,
            &mut self.debuggee,
            address as u32,
            count as usize,
            &mut self.out,
        )?;
        self.next_code = Some(first);
        Ok(())
    }

    /// `uf [address]`.
    fn unassemble_function(&mut self, _: &str, arguments: &str) -> Outcome {
        let address = match arguments {
            "" => self.eip(),
            _ => self.address(arguments)?,
        };
        disassembly::unassemble_function(&self.names, &mut self.debuggee, address, &mut self.out)
    }

    /// `d`, `db` and so on.
    fn dump(&mut self, name: &str, arguments: &str) -> Outcome {
        use memory::Format;
        let format = match name {
            "db" => Format::Bytes,
            "dw" => Format::Words,
            "dd" | "dp" => Format::Doublewords,
            "dq" => Format::Quadwords,
            "da" => Format::Ascii,
            "du" => Format::Unicode,
            "dps" | "dds" => Format::Pointers,
            "dc" => Format::Characters,
            _ => self.last_format,
        };
        self.last_format = format;
        let next = self.next_dump;
        let (size, count) = (format.size(), format.count());
        let range = match arguments {
            "" => Range {
                address: next,
                bytes: size * count,
            },
            _ => {
                let (range, rest) = expression::range(arguments, &mut self.scope(), size, count)?;
                if !rest.is_empty() {
                    return Err(format!("Extra character error in '{rest}'"));
                }
                range
            }
        };
        if range.bytes > memory::DUMP_LIMIT {
            return Err(format!(
                "Range error: a command shows at most {:x} bytes",
                memory::DUMP_LIMIT
            ));
        }
        self.next_dump = memory::dump(
            &self.names,
            &mut self.debuggee,
            range,
            format,
            &mut self.out,
        );
        Ok(())
    }

    /// `eb`, `ew`, `ed`, `ea`: writes memory.
    fn enter(&mut self, name: &str, arguments: &str) -> Outcome {
        let (address, rest) = self.parse(arguments)?;
        let address = address as u32;
        let bytes = self.pattern(name, rest)?;
        for at in (0..bytes.len() as u32).map(|at| address.wrapping_add(at)) {
            if self.debuggee.translate(at).is_none() {
                return Err(format!(
                    "Memory access error at {at:08x}: no page is mapped there"
                ));
            }
        }
        self.debuggee
            .write(address, &bytes)
            .map_err(|_| format!("Memory access error at {address:08x}: that is not all RAM"))?;
        self.changed();
        Ok(())
    }

    /// The run goes on differently from here: what the guest sends from now on is new.
    fn changed(&mut self) {
        self.console_shown = self.debuggee.console().len();
    }

    /// The values behind `ed address` or `s range`: numbers of the size that the command's letter says, or a text.
    fn pattern(&mut self, name: &str, text: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut text = text.trim();
        let size = match name.chars().last() {
            Some('b') => 1,
            Some('w') => 2,
            Some('a' | 'u') => {
                let quoted = text.trim_matches('"');
                bytes.extend(quoted.bytes().flat_map(|byte| match name.ends_with('u') {
                    true => vec![byte, 0],
                    false => vec![byte],
                }));
                text = "";
                0
            }
            _ => 4,
        };
        while !text.is_empty() {
            let (value, rest) = self.parse(text)?;
            if size < 4 && value >> (size * 8) != 0 {
                return Err(format!(
                    "Overflow error: {value:x} does not fit into {size} byte(s)"
                ));
            }
            bytes.extend(&value.to_le_bytes()[..size]);
            text = rest;
        }
        if bytes.is_empty() {
            return Err("Syntax error: values are missing".into());
        }
        Ok(bytes)
    }

    /// `s [-b|-w|-d|-a|-u] range pattern`.
    fn search(&mut self, _: &str, arguments: &str) -> Outcome {
        let (kind, arguments) = match arguments.strip_prefix('-') {
            Some(rest) => rest
                .split_at_checked(1)
                .ok_or("Syntax error: -b, -w, -d, -a or -u")?,
            None => ("b", arguments),
        };
        let size = match kind {
            "b" | "a" | "u" => 1,
            "w" => 2,
            "d" => 4,
            other => {
                return Err(format!(
                    "Syntax error: -{other} is none of -b, -w, -d, -a, -u"
                ));
            }
        };
        let (range, rest) = expression::range(arguments, &mut self.scope(), size, 128)?;
        let pattern = self.pattern(kind, rest)?;
        memory::search(
            &self.names,
            &mut self.debuggee,
            range,
            &pattern,
            size,
            &mut self.out,
        );
        Ok(())
    }

    /// `? expression`.
    fn evaluate(&mut self, text: &str) -> Outcome {
        let value = self.value(text)?;
        let line = match u32::try_from(value) {
            Ok(value) => format!("Evaluate expression: {} = {value:08x}", value as i32),
            Err(_) => format!(
                "Evaluate expression: {} = {:08x}`{:08x}",
                value as i64,
                value >> 32,
                value as u32
            ),
        };
        self.line(line);
        Ok(())
    }

    /// `.formats expression`.
    fn formats(&mut self, _: &str, arguments: &str) -> Outcome {
        let value = self.value(arguments)?;
        let text = registers::formats(value);
        self.out.push_str(&text);
        Ok(())
    }
}

/// The commands of a line: semicolons separate them, but not inside quotes.
fn split(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(move |c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_separate_nothing() {
        assert_eq!(
            split(r#"bp 10 "r; k"; g;q"#),
            [r#"bp 10 "r; k""#, " g", "q"]
        );
    }

    #[test]
    fn no_name_is_used_twice() {
        let mut names: Vec<&str> = COMMANDS
            .iter()
            .flat_map(|command| command.names)
            .copied()
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
