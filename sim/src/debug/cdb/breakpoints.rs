//! Breakpoints: `bp`, `ba`, `bl`, `bc`, `bd`, `be`.
//!
//! ```text
//! bp ADDRESS                 before the instruction there          ba e1 ADDRESS   the same
//! ba w4 ADDRESS              4 bytes are written                   ba r4 ADDRESS   read or written
//! ba i1 PORT                 a port is read or written             ba m 176        an MSR or register (cr3, fs) is written
//! ba v 2e, ba v *            a vector is delivered                 ba c            the ring changes
//!
//! behind it   PASSES         stop at the hit of this number        /w "EXPRESSION" only if it is not zero
//!             /1             once                                  "COMMANDS"      run these; gc in them goes on
//! ```

use super::{Debugger, Outcome};
use crate::debug::Watch;
use spec::registers;
use std::fmt::Write;

/// What a breakpoint waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Execute {
        linear: u32,
    },
    Memory {
        linear: u32,
        size: u32,
        write: bool,
    },
    Port {
        port: u16,
        size: u16,
    },
    System {
        number: u8,
        name: String,
    },
    /// By its number in ECX.
    Msr {
        number: u32,
        name: &'static str,
    },
    Vector {
        vector: Option<u8>,
    },
    Ring,
}

/// A breakpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakpoint {
    event: Event,
    enabled: bool,
    once: bool,
    passes: u64,
    passes_left: u64,
    condition: Option<String>,
    command: Option<String>,
}

impl Breakpoint {
    fn watch(&self) -> Watch {
        match self.event {
            Event::Execute { linear } => Watch::Execute { linear },
            Event::Memory {
                linear,
                size,
                write: true,
            } => Watch::Write { linear, size },
            Event::Memory { linear, size, .. } => Watch::Access { linear, size },
            Event::Port { port, size } => Watch::Port { port, size },
            Event::System { number, .. } => Watch::SystemWrite { number },
            Event::Msr { .. } => Watch::SystemWrite {
                number: registers::SELECTED_MSR,
            },
            Event::Vector { vector } => Watch::Vector { vector },
            Event::Ring => Watch::Ring,
        }
    }
}

/// What stands behind the event: passes, condition, commands.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    once: bool,
    condition: Option<String>,
    command: Option<String>,
    /// What is neither: the address and the passes.
    rest: String,
}

/// Takes options and quoted commands out of the arguments.
fn options(arguments: &str) -> Result<Options, String> {
    let mut options = Options::default();
    let mut text = arguments;
    while !text.is_empty() {
        if let Some(quoted) = text.strip_prefix('"') {
            let (command, rest) = quoted
                .split_once('"')
                .ok_or("Syntax error: a quotation mark is missing")?;
            options.command = Some(command.to_string());
            text = rest;
        } else if let Some(condition) = text.strip_prefix("/w") {
            let quoted = condition.trim_start().strip_prefix('"');
            let (condition, rest) = quoted
                .and_then(|quoted| quoted.split_once('"'))
                .ok_or("Syntax error: /w takes a condition in quotation marks: /w \"eax==18c\"")?;
            options.condition = Some(condition.to_string());
            text = rest;
        } else if let Some(rest) = text
            .strip_prefix("/1")
            .filter(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        {
            options.once = true;
            text = rest;
        } else {
            // Up to the next mark that begins a word.
            let end = text
                .char_indices()
                .skip(1)
                .find(|(at, c)| {
                    *c == '"'
                        || text[..*at].ends_with(' ') && text[*at..].starts_with("/w")
                        || text[..*at].ends_with(' ') && text[*at..].starts_with("/1")
                })
                .map_or(text.len(), |(at, _)| at);
            options.rest.push_str(&text[..end]);
            text = &text[end..];
        }
    }
    options.rest = options.rest.trim().to_string();
    Ok(options)
}

impl Debugger {
    /// `bp`.
    pub(super) fn set_breakpoint(&mut self, _: &str, arguments: &str) -> Outcome {
        let options = options(arguments)?;
        let (address, passes) = match options.rest.as_str() {
            "" => (self.eip(), String::new()),
            rest => {
                let (address, passes) = self.parse(rest)?;
                (address as u32, passes.to_string())
            }
        };
        self.require_code(address)?;
        self.add(Event::Execute { linear: address }, &passes, options)
    }

    /// An address where code can come to be: mapped now, or in a module.
    fn require_code(&mut self, address: u32) -> Outcome {
        let is_mapped = self.debuggee.read(address, 1)[0].is_some();
        if is_mapped || self.names.module_at(address).is_some() {
            return Ok(());
        }
        Err(format!(
            "Unable to insert breakpoint at {address:08x}: no page is mapped there, and no module lies there"
        ))
    }

    /// `ba`.
    pub(super) fn set_access_breakpoint(&mut self, _: &str, arguments: &str) -> Outcome {
        let mut options = options(arguments)?;
        let rest = std::mem::take(&mut options.rest);
        let syntax =
            "Syntax error: ba e1|r4|w4|i1 ADDRESS, ba m MSR|REGISTER, ba v VECTOR|*, or ba c";
        let mut letters = rest.chars();
        let access = letters.next().ok_or(syntax)?.to_ascii_lowercase();
        let rest = letters.as_str();
        let sized = |rest: &str| -> Result<(u32, String), String> {
            let rest = rest.trim_start();
            let size = rest.chars().next().and_then(|digit| digit.to_digit(10));
            match size {
                Some(size @ (1 | 2 | 4 | 8)) => Ok((size, rest[1..].trim_start().to_string())),
                _ => Err(syntax.to_string()),
            }
        };
        let (event, passes) = match access {
            'e' | 'r' | 'w' | 'i' => {
                let (size, rest) = sized(rest)?;
                let (address, passes) = self.parse(&rest)?;
                let linear = address as u32;
                let event = match access {
                    'e' => {
                        self.require_code(linear)?;
                        Event::Execute { linear }
                    }
                    'i' => Event::Port {
                        port: u16::try_from(address)
                            .map_err(|_| format!("Overflow error: {address:x} is no port"))?,
                        size: size as u16,
                    },
                    _ => Event::Memory {
                        linear,
                        size,
                        write: access == 'w',
                    },
                };
                (event, passes.to_string())
            }
            'm' => {
                let (word, passes) = first_word(rest);
                (self.system_event(word)?, passes.to_string())
            }
            'v' => match first_word(rest) {
                ("*", passes) => (Event::Vector { vector: None }, passes.to_string()),
                (word, passes) => {
                    let value = self.value(word)?;
                    let vector = u8::try_from(value)
                        .map_err(|_| format!("Overflow error: {value:x} is no vector"))?;
                    (
                        Event::Vector {
                            vector: Some(vector),
                        },
                        passes.to_string(),
                    )
                }
            },
            'c' => (Event::Ring, rest.trim().to_string()),
            _ => return Err(syntax.into()),
        };
        self.add(event, &passes, options)
    }

    fn system_event(&mut self, word: &str) -> Result<Event, String> {
        let found = registers::number(word)
            .filter(|number| *number >= registers::SELECTOR && *number < registers::SYSENTER_CS);
        if let Some(number) = found {
            let name = word.to_ascii_lowercase();
            return Ok(Event::System { number, name });
        }
        let number = self.value(word)? as u32;
        match spec::msr::by_number(number) {
            Some(msr) => Ok(Event::Msr {
                number,
                name: msr.name,
            }),
            None => Err(format!(
                "Bad register error at '{word}': ba m takes an MSR's number or a register such as cr3 or fs"
            )),
        }
    }

    fn add(&mut self, event: Event, passes: &str, options: Options) -> Outcome {
        let passes = match passes {
            "" => 1,
            passes => self.value(passes)?.max(1),
        };
        // The same place again replaces what was there, as in cdb.
        let same = self.breakpoints.iter().position(|breakpoint| {
            breakpoint
                .as_ref()
                .is_some_and(|breakpoint| breakpoint.event == event)
        });
        let free = self.breakpoints.iter().position(Option::is_none);
        let number = match same.or(free) {
            Some(number) => number,
            None => {
                self.breakpoints.push(None);
                self.breakpoints.len() - 1
            }
        };
        if same.is_some() {
            self.line(format!("breakpoint {number} redefined"));
        }
        self.breakpoints[number] = Some(Breakpoint {
            event,
            enabled: true,
            once: options.once,
            passes,
            passes_left: passes,
            condition: options.condition,
            command: options.command,
        });
        Ok(())
    }

    /// `bl`.
    pub(super) fn list_breakpoints(&mut self, _: &str, _: &str) -> Outcome {
        for (number, breakpoint) in self.breakpoints.iter().enumerate() {
            let Some(breakpoint) = breakpoint else {
                continue;
            };
            let state = if breakpoint.enabled { 'e' } else { 'd' };
            let (place, name) = match &breakpoint.event {
                Event::Execute { linear } => {
                    (format!("{linear:08x}    "), self.names.text(*linear))
                }
                Event::Memory {
                    linear,
                    size,
                    write,
                } => {
                    let access = if *write { 'w' } else { 'r' };
                    (
                        format!("{linear:08x} {access} {size}"),
                        self.names.text(*linear),
                    )
                }
                Event::Port { port, size } => {
                    (format!("{port:8x} i {size}"), format!("port {port:x}h"))
                }
                Event::System { name, .. } => (format!("{name:>8} m  "), "written".into()),
                Event::Msr { number, name } => (format!("{number:8x} m  "), name.to_string()),
                Event::Vector {
                    vector: Some(vector),
                } => (format!("{vector:8x} v  "), format!("vector {vector:02x}h")),
                Event::Vector { vector: None } => ("       * v  ".into(), "any vector".into()),
                Event::Ring => ("         c  ".into(), "ring changes".into()),
            };
            write!(
                self.out,
                "{number:2} {state} {place} {:04x} ({:04x}) {name}",
                breakpoint.passes_left, breakpoint.passes
            )
            .unwrap();
            if breakpoint.once {
                self.out.push_str(" /1");
            }
            if let Some(condition) = &breakpoint.condition {
                write!(self.out, " /w \"{condition}\"").unwrap();
            }
            if let Some(command) = &breakpoint.command {
                write!(self.out, " \"{command}\"").unwrap();
            }
            self.out.push('\n');
        }
        Ok(())
    }

    /// `bc`, `bd`, `be` with `*` or numbers.
    pub(super) fn change_breakpoints(&mut self, name: &str, arguments: &str) -> Outcome {
        let numbers: Vec<usize> = match arguments {
            "" => {
                return Err(format!(
                    "Syntax error: {name} takes breakpoint numbers or *"
                ));
            }
            "*" => (0..self.breakpoints.len()).collect(),
            list => {
                let number = |word: &str| {
                    let number = word.parse::<usize>().ok();
                    number
                        .filter(|number| matches!(self.breakpoints.get(*number), Some(Some(_))))
                        .ok_or_else(|| format!("There is no breakpoint {word}; bl lists them"))
                };
                list.split([' ', ','])
                    .filter(|word| !word.is_empty())
                    .map(number)
                    .collect::<Result<_, _>>()?
            }
        };
        for number in numbers {
            let slot = &mut self.breakpoints[number];
            match name {
                "bc" => *slot = None,
                _ => {
                    if let Some(breakpoint) = slot {
                        breakpoint.enabled = name == "be";
                    }
                }
            }
        }
        Ok(())
    }

    /// What the enabled breakpoints watch, and their numbers.
    pub(super) fn watches(&self) -> (Vec<Watch>, Vec<usize>) {
        self.breakpoints
            .iter()
            .enumerate()
            .filter_map(|(number, breakpoint)| {
                let breakpoint = breakpoint
                    .as_ref()
                    .filter(|breakpoint| breakpoint.enabled)?;
                Some((breakpoint.watch(), number))
            })
            .unzip()
    }

    /// Whether one of these breakpoints, which were hit, stops; if so the stop has been printed.
    pub(super) fn breakpoints_stop(&mut self, hit: &[usize]) -> bool {
        let mut stops = false;
        for number in hit {
            if !self.condition_holds(*number) {
                continue;
            }
            let Some(breakpoint) = &mut self.breakpoints[*number] else {
                continue;
            };
            if breakpoint.passes_left > 1 {
                breakpoint.passes_left -= 1;
                continue;
            }
            let command = breakpoint.command.clone();
            if breakpoint.once {
                self.breakpoints[*number] = None;
            }
            match command {
                Some(command) => stops |= !self.run_breakpoint_command(&command),
                None => {
                    self.line(format!("Breakpoint {number} hit"));
                    self.print_position();
                    stops = true;
                }
            }
        }
        stops
    }

    /// Whether a breakpoint's condition is not zero. One that cannot be evaluated stops, and says why.
    pub(super) fn condition_holds(&mut self, number: usize) -> bool {
        let Some(breakpoint) = &self.breakpoints[number] else {
            return false;
        };
        let condition = breakpoint.condition.clone();
        // Any WRMSR was watched; it leaves ECX as it is.
        if let Event::Msr { number, .. } = breakpoint.event
            && self.debuggee.registers().ecx() != number
        {
            return false;
        }
        let Some(condition) = condition else {
            return true;
        };
        match self.value(&condition) {
            Ok(value) => value != 0,
            Err(error) => {
                self.line(format!(
                    "Breakpoint {number}, condition \"{condition}\": {error}"
                ));
                true
            }
        }
    }

    /// Runs a breakpoint's commands; whether they ask to go on.
    fn run_breakpoint_command(&mut self, command: &str) -> bool {
        self.depth += 1;
        let result = self.execute_line(command);
        self.depth -= 1;
        let go_on = std::mem::take(&mut self.go_on);
        match result {
            Ok(()) => go_on,
            Err(error) => {
                self.line(error);
                false
            }
        }
    }
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_anywhere_and_commands_are_quoted() {
        let options = options(r#"nt!KiFastCallEntry+4 3 /w "eax==18c" /1 "k; gc""#).unwrap();
        let expected = Options {
            once: true,
            condition: Some("eax==18c".into()),
            command: Some("k; gc".into()),
            rest: "nt!KiFastCallEntry+4 3".into(),
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn a_missing_quotation_mark_is_an_error() {
        assert!(options("1000 \"k").is_err());
        assert!(options("1000 /w eax").is_err());
    }
}
