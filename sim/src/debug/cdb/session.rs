//! The session itself: `q`, scripts, checkpoints, waveforms, the guest's console, the radix, and how it begins.

use super::{Debugger, Outcome, modules};
use crate::debug::{Stopped, Watch};
use crate::wave::Wave;
use std::fmt::Write;
use std::path::Path;

/// Scripts inside of scripts.
const SCRIPT_DEPTH: usize = 16;

/// Clock cycles within which the program must be reached.
const BOOT_CYCLES: u64 = 100_000_000;

/// The first lines that a user sees.
const VERSION: &str = concat!(
    "SysGate Debugger Version ",
    env!("CARGO_PKG_VERSION"),
    " X86, with the commands of cdb\n",
    "Every instruction runs on the core's Verilog, clock by clock."
);

/// What the start-up text tells.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// File name of the program to stop in; empty for none.
    pub program: String,
    /// What `-y` gave.
    pub symbol_path: String,
    /// `-v`.
    pub verbose: bool,
}

impl Debugger {
    /// Prints the banner and the modules, runs to the program's first instruction in its ring, and shows it.
    ///
    /// # Errors
    /// There is no such program in the image.
    pub fn start(&mut self, start: &Start) -> Outcome {
        let text = format!(
            "\n{VERSION}\n\n\
             CommandLine: {}\n\
             Symbol search path is: {}\n\
             Executable search path is: ",
            start.program, start.symbol_path
        );
        self.line(text);
        let modules: Vec<_> = self.names.modules().to_vec();
        for module in modules.iter().filter(|module| !module.file.is_empty()) {
            let end = module.base.wrapping_add(module.size);
            let mut line = format!("ModLoad: {:08x} {end:08x}   {}", module.base, module.file);
            if start.verbose {
                write!(line, "   layer {}, ring {}", module.layer, module.ring).unwrap();
            }
            self.line(line);
        }
        if start.program.is_empty() {
            self.line("Break before the first instruction");
            self.print_position();
            return Ok(());
        }
        // As the article has it: .\winlogon.exe
        let file = start.program.rsplit(['\\', '/']).next();
        let Some(module) = file.and_then(|file| self.names.module(file)).cloned() else {
            let files: Vec<String> = modules
                .iter()
                .filter(|module| !module.file.is_empty())
                .map(|module| module.file.clone())
                .collect();
            return Err(format!(
                "there is no {} in the image; it holds {}",
                start.program,
                files.join(", ")
            ));
        };
        if self.run_to_program(module.base, module.size, module.ring) {
            writeln!(
                self.out,
                "Break at the entry of {} in ring {}",
                module.file, module.ring
            )
            .unwrap();
        } else {
            self.line(format!("{} was not reached", module.file));
        }
        self.print_position();
        Ok(())
    }

    fn run_to_program(&mut self, base: u32, size: u32, ring: u8) -> bool {
        // Its pages exist once something runs in its ring; only then its header can be read.
        while self.debuggee.registers().cpl() != ring || !self.debuggee.registers().paging() {
            match self.debuggee.run(&[Watch::Ring], BOOT_CYCLES) {
                Stopped::Watch(_) => {}
                _ => return false,
            }
        }
        let inside = |debugger: &mut Self| debugger.eip().wrapping_sub(base) < size;
        if inside(self) {
            return true;
        }
        if let Some(linear) = modules::entry_point(&mut self.debuggee, base) {
            let stopped = self.debuggee.run(&[Watch::Execute { linear }], BOOT_CYCLES);
            return matches!(stopped, Stopped::Watch(_));
        }
        // Without headers: the first of its instructions.
        for _ in 0..10_000 {
            if self.debuggee.step(1) != Stopped::Done {
                return false;
            }
            if inside(self) {
                return true;
            }
        }
        false
    }

    /// `q`, `qq`, `qd`.
    pub(super) fn end_session(&mut self, _: &str, _: &str) -> Outcome {
        if self.wave.is_some() {
            self.wave("", "off")?;
        }
        self.quit = true;
        self.line("quit:");
        Ok(())
    }

    /// `$<FILE`: commands from a file, one line each.
    pub(super) fn script(&mut self, file: &str) -> Outcome {
        let file = file.trim_matches('"');
        let text = std::fs::read_to_string(Path::new(file))
            .map_err(|error| format!("Command file cannot be read: {file}: {error}"))?;
        if self.scripts >= SCRIPT_DEPTH {
            return Err(format!(
                "Command files are nested more than {SCRIPT_DEPTH} deep: {file}"
            ));
        }
        for line in text.lines() {
            if self.quit {
                break;
            }
            let prompt = self.prompt();
            writeln!(self.out, "{prompt}{line}").unwrap();
            // A command that fails is told, and the file goes on.
            self.scripts += 1;
            let result = self.execute_line(line.trim());
            self.scripts -= 1;
            if let Err(error) = result {
                self.line(error);
            }
        }
        Ok(())
    }

    /// `.checkpoint`.
    pub(super) fn checkpoint(&mut self, _: &str, _: &str) -> Outcome {
        self.debuggee.checkpoint();
        let position = self.debuggee.position();
        self.line(format!(
            "Checkpoint at instruction {}, clock cycle {}; .goto {} comes back",
            position.instructions, position.cycle, position.instructions
        ));
        Ok(())
    }

    /// `.wave on FILE`, `.wave off`.
    pub(super) fn wave(&mut self, _: &str, arguments: &str) -> Outcome {
        let (word, file) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let file = file.trim().trim_matches('"');
        match word {
            "on" => {
                let file = if file.is_empty() { "debug.fst" } else { file };
                self.close_wave()?;
                let symbols = self.names.symbols();
                let wave = Wave::open(self.debuggee.machine(), Path::new(file), symbols)
                    .map_err(|error| error.to_string())?;
                self.wave = Some(wave);
                self.line(format!("Writing every clock from here to {file}"));
            }
            "off" if self.wave.is_some() => {
                self.close_wave()?;
                self.line("The waveform is complete");
            }
            "off" => self.line("No waveform is being written"),
            _ => {
                return Err(format!(
                    "Syntax error in '.wave {arguments}': .wave on FILE, or .wave off"
                ));
            }
        }
        Ok(())
    }

    /// Ends the waveform that is being written, if one is.
    pub(super) fn close_wave(&mut self) -> Outcome {
        match self.wave.take() {
            Some(wave) => wave.close(self.debuggee.machine()).map_err(|error| {
                format!("The waveform is complete, but not what shows it: {error}")
            }),
            None => Ok(()),
        }
    }

    /// `.type TEXT`: types a line at the guest's console.
    pub(super) fn type_line(&mut self, _: &str, arguments: &str) -> Outcome {
        let text = format!("{}\r", arguments.trim_matches('"'));
        self.debuggee.send_console(text.as_bytes());
        self.changed();
        Ok(())
    }

    /// `.reload`.
    pub(super) fn reload(&mut self, _: &str, _: &str) -> Outcome {
        let count = self.names.symbols().file().symbols.len();
        self.line(format!("The image's own {count} symbols are in use"));
        Ok(())
    }

    /// `version`.
    pub(super) fn version(&mut self, _: &str, _: &str) -> Outcome {
        self.line(VERSION);
        self.show_time("", "")
    }

    /// `.echo TEXT`.
    pub(super) fn echo(&mut self, _: &str, arguments: &str) -> Outcome {
        self.line(arguments);
        Ok(())
    }

    /// `n [8|10|16]`.
    pub(super) fn set_radix(&mut self, _: &str, arguments: &str) -> Outcome {
        match arguments {
            "" => {}
            "8" => self.radix = 8,
            "10" => self.radix = 10,
            "16" => self.radix = 16,
            other => return Err(format!("Syntax error in 'n {other}': 8, 10 or 16")),
        }
        self.line(format!("base is {}", self.radix));
        Ok(())
    }
}
