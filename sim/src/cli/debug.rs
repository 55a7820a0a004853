//! `sysgate debug`: the prompt, the log and the options of the debugger.

use super::guest::GuestArguments;
use super::{DEBUGGER, Failure, exit, print};
use crate::debug::Debuggee;
use crate::debug::cdb::{COMMANDS, Debugger, Start};
use crate::files;
use crate::symbols::Symbols;
use clap::Args;
use firmware::symbols::SymbolFile;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The program in which the debugger stops unless it is told another.
const DEFAULT_PROGRAM: &str = "winlogon.exe";

/// Longest symbol file, in bytes.
const SYMBOL_LIMIT: u64 = 64 << 20;

/// Names shown at most when the Tab key is pressed.
const COMPLETION_LIMIT: usize = 500;

/// What stands below `sysgate debug --help`.
pub const AFTER_HELP: &str = "\
Options may be written as cdb's: -c \"uf WriteFile; q\", -cf FILE, -logo FILE, -y PATH, -v.
.help at the prompt lists the commands. Commands are read from stdin; where that is no terminal they are echoed.

Exit codes: 0 at the end of the session, 2 and 10 as those of sysgate run.";

/// Arguments of `sysgate debug`.
#[derive(Args, Debug)]
pub struct DebugArguments {
    /// The program of the image to stop in, in its first instruction [default: winlogon.exe; none with --bios]
    program: Option<String>,
    /// Commands to run first, separated by semicolons
    #[arg(short = 'c', value_name = "COMMANDS")]
    commands: Option<String>,
    /// A file with commands to run first, one line each
    #[arg(long = "cf", value_name = "FILE")]
    command_file: Option<PathBuf>,
    /// Write all that is shown to a new file, too
    #[arg(long = "logo", value_name = "FILE")]
    log: Option<PathBuf>,
    /// Folders with a symbols.json for what the image has no names for, separated by semicolons; servers (SRV*) are
    /// not asked
    #[arg(short = 'y', value_name = "PATH")]
    symbol_path: Option<String>,
    /// Say more about the modules
    #[arg(short = 'v')]
    verbose: bool,
    #[command(flatten)]
    guest: GuestArguments,
}

/// The command line with those options of `debug` that cdb writes with one dash made into ours.
pub fn with_options_of_cdb(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.get(1).is_some_and(|command| command == "debug") {
        for argument in &mut arguments[2..] {
            for (cdb, ours) in [("-logo", "--logo"), ("-cf", "--cf")] {
                if *argument == *cdb {
                    *argument = ours.into();
                }
            }
        }
    }
    arguments
}

impl DebugArguments {
    /// Runs the session to its end; the exit code.
    ///
    /// # Errors
    /// Bad files and addresses, a program that is not in the image.
    pub fn run(self) -> Result<u8, Failure> {
        let mut output = Output::new(self.log.as_deref())?;
        let mut setup = self.guest.setup()?;
        if let Some(path) = &self.symbol_path {
            let (symbols, warnings) = more_symbols(&setup.symbols, path)?;
            setup.symbols = Arc::new(symbols);
            output.write(&warnings)?;
        }
        let is_known = !setup.symbols.file().modules.is_empty();
        let program = match &self.program {
            Some(program) => program.clone(),
            None if is_known => DEFAULT_PROGRAM.into(),
            None => String::new(),
        };
        let debuggee = Debuggee::new(setup.build()?, Arc::clone(&setup.symbols));
        let mut debugger = Debugger::new(debuggee, Arc::clone(&setup.symbols));
        let _ = DEBUGGER.set(debugger.interrupt());
        let start = Start {
            program,
            symbol_path: self
                .symbol_path
                .clone()
                .unwrap_or_else(|| "the image's own symbols".into()),
            verbose: self.verbose,
        };
        let started = debugger.start(&start);
        output.write(&debugger.take_output())?;
        started.map_err(|error| Failure::new(exit::ERROR, error))?;
        if let Some(commands) = &self.commands {
            let prompt = debugger.prompt();
            output.write(&format!("{prompt}Reading initial command '{commands}'\n"))?;
            output.run(&mut debugger, commands, false)?;
        }
        if let Some(file) = self.command_file.as_ref().filter(|_| !debugger.has_quit()) {
            output.run(&mut debugger, &format!("$<{}", file.display()), false)?;
        }
        if std::io::stdin().is_terminal() {
            converse(&mut debugger, &mut output, &setup.symbols)?;
        } else {
            for line in std::io::stdin().lines() {
                if debugger.has_quit() {
                    break;
                }
                let line = String::from_utf8_lossy(line?.as_bytes()).into_owned();
                let prompt = debugger.prompt();
                output.write(&format!("{prompt}{line}\n"))?;
                output.run(&mut debugger, &line, false)?;
            }
        }
        if !debugger.has_quit() {
            // The end of the input ends the session as q does.
            debugger.execute("q", false);
            output.write(&debugger.take_output())?;
        }
        Ok(exit::SUCCESS)
    }
}

/// The symbols with those of the path's folders for modules that they do not know; and what to warn of.
fn more_symbols(symbols: &Symbols, path: &str) -> Result<(Symbols, String), String> {
    let mut file = symbols.file().clone();
    let mut warnings = String::new();
    for element in path.split(';').filter(|element| !element.is_empty()) {
        let first = element.split('*').next().unwrap_or_default();
        if ["srv", "cache", "symsrv"]
            .iter()
            .any(|server| first.eq_ignore_ascii_case(server))
        {
            continue;
        }
        let mut json = PathBuf::from(element);
        if json.is_dir() {
            json.push("symbols.json");
        }
        if !json.exists() {
            warnings +=
                &format!("WARNING: {element} is not accessible: no symbols.json is there\n");
            continue;
        }
        let text = files::read(&json, SYMBOL_LIMIT)?;
        let other: SymbolFile = serde_json::from_slice(&text)
            .map_err(|error| format!("{} is no symbol file: {error}", json.display()))?;
        let is_new = |module: &str| !file.modules.iter().any(|known| known.name == module);
        let modules: Vec<_> = other
            .modules
            .into_iter()
            .filter(|module| is_new(&module.name))
            .collect();
        let is_of_them = |name: &str| modules.iter().any(|module| module.name == name);
        let symbols: Vec<_> = other
            .symbols
            .into_iter()
            .filter(|symbol| is_of_them(&symbol.module))
            .collect();
        if file.types.is_empty() {
            file.types = other.types;
        }
        file.modules.extend(modules);
        file.symbols.extend(symbols);
    }
    Ok((Symbols::new(file), warnings))
}

/// Where text goes: stdout and the log.
struct Output {
    log: Option<(PathBuf, BufWriter<File>)>,
}

impl Output {
    fn new(log: Option<&Path>) -> Result<Self, Failure> {
        let mut output = Self { log: None };
        if let Some(path) = log {
            let file = files::create(path)?;
            output.log = Some((path.to_path_buf(), file));
            output.write(&format!("Opened log file '{}'\n", path.display()))?;
        }
        Ok(output)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        print(text)?;
        self.log(text)
    }

    fn log(&mut self, text: &str) -> Result<(), Failure> {
        if let Some((path, file)) = &mut self.log {
            file.write_all(text.as_bytes())
                .and_then(|()| file.flush())
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        Ok(())
    }

    fn run(&mut self, debugger: &mut Debugger, line: &str, repeat: bool) -> Result<(), Failure> {
        debugger.execute(line, repeat);
        self.write(&debugger.take_output())
    }
}

/// Reads commands from a terminal.
fn converse(
    debugger: &mut Debugger,
    output: &mut Output,
    symbols: &Symbols,
) -> Result<(), Failure> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(1000)?
        .build();
    let mut editor = Editor::with_history(config, MemHistory::new())?;
    editor.set_helper(Some(Completions::new(symbols)));
    while !debugger.has_quit() {
        let prompt = debugger.prompt();
        match editor.readline(&prompt) {
            Ok(line) => {
                output.log(&format!("{prompt}{line}\n"))?;
                if !line.trim().is_empty() {
                    let _ = editor.add_history_entry(&line);
                }
                output.run(debugger, &line, true)?;
            }
            Err(ReadlineError::Interrupted) => output.write("q ends the session.\n")?,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Completes commands in the first word, and modules and symbols everywhere.
struct Completions {
    commands: Vec<String>,
    /// `module!name` and `name`, sorted.
    names: Vec<String>,
}

impl Completions {
    fn new(symbols: &Symbols) -> Self {
        let commands = COMMANDS
            .iter()
            .flat_map(|command| command.names)
            .map(|name| name.to_string())
            .collect();
        let file = symbols.file();
        let mut names: Vec<String> = file
            .modules
            .iter()
            .map(|module| module.name.clone())
            .collect();
        for symbol in &file.symbols {
            for name in std::iter::once(&symbol.name).chain(&symbol.aliases) {
                names.push(format!("{}!{name}", symbol.module));
                names.push(name.clone());
            }
        }
        names.extend(file.types.iter().map(|layout| layout.name.clone()));
        names.sort_unstable();
        names.dedup();
        Self { commands, names }
    }

    /// Where the word before `at` begins, and what it may become.
    fn complete_word(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let head = &line[..at];
        let command_begin = head.rfind([';', '"']).map_or(0, |at| at + 1);
        let command = head[command_begin..].trim_start();
        let is_first = !command.contains(char::is_whitespace);
        let separators = [
            ' ', ';', '"', ',', '(', ')', '[', ']', '+', '*', '/', '=', '@',
        ];
        let begin = match is_first {
            true => at - command.len(),
            false => head.rfind(separators).map_or(0, |at| at + 1),
        };
        let word = &head[begin..];
        let fits = |name: &&String| {
            name.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        let list = if is_first {
            &self.commands
        } else {
            &self.names
        };
        let found = list.iter().filter(fits).take(COMPLETION_LIMIT).cloned();
        (begin, found.collect())
    }
}

impl Completer for Completions {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (begin, words) = self.complete_word(line, at);
        let pair = |word: String| Pair {
            display: word.clone(),
            replacement: word,
        };
        Ok((begin, words.into_iter().map(pair).collect()))
    }
}

impl Hinter for Completions {
    type Hint = String;
}
impl Highlighter for Completions {}
impl Validator for Completions {}
impl Helper for Completions {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;

    #[test]
    fn options_of_cdb_have_one_dash() {
        let arguments = ["sysgate", "debug", "-logo", "x y.txt", "-c", "q", "-v"];
        let changed = with_options_of_cdb(arguments.into_iter().map(OsString::from));
        let expected = ["sysgate", "debug", "--logo", "x y.txt", "-c", "q", "-v"];
        assert_eq!(changed, expected.map(OsString::from));
    }

    #[test]
    fn commands_modules_and_symbols_are_completed() {
        let image = Image::build(firmware::Gate::Sysenter).unwrap();
        let completions = Completions::new(&Symbols::new(image.symbols));
        let words = |line: &str| completions.complete_word(line, line.len());
        assert!(words("rd").1.contains(&"rdmsr".into()));
        assert_eq!(
            words("uf ntdll!zwwritefileg"),
            (3, vec!["ntdll!ZwWriteFileGather".into()])
        );
        assert!(
            words("bp KiFastCallEn")
                .1
                .contains(&"KiFastCallEntry".into())
        );
        assert!(words("u poi(KERN").1.contains(&"KERNELBASE".into()));
        assert_eq!(
            words("r; u"),
            (3, vec!["u".into(), "ub".into(), "uf".into()])
        );
        assert!(words("dt _KTR").1.contains(&"_KTRAP_FRAME".into()));
    }
}
