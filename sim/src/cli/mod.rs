//! The program `sysgate`: arguments, exit codes, and one module per command.

#[cfg(feature = "model")]
mod bench;
#[cfg(feature = "model")]
mod console;
#[cfg(feature = "model")]
mod debug;
#[cfg(feature = "model")]
mod flash;
#[cfg(feature = "model")]
mod gdb;
#[cfg(feature = "model")]
mod guest;
mod image;
#[cfg(feature = "model")]
mod journey;
#[cfg(feature = "model")]
mod opcodes;
#[cfg(feature = "model")]
mod own;
#[cfg(feature = "model")]
mod pipeline;
#[cfg(feature = "model")]
mod run;
#[cfg(feature = "model")]
mod screen;
#[cfg(feature = "model")]
mod session;
#[cfg(feature = "model")]
mod synth;
#[cfg(feature = "model")]
mod tui;
#[cfg(feature = "model")]
mod verilog;
#[cfg(feature = "model")]
mod wave;

use crate::image::Image;
use clap::{Parser, Subcommand, ValueEnum};
use firmware::Program;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Exit codes; a guest that ends the run through the exit port gives its own, (value << 1) | 1.
pub mod exit {
    /// Done, or the guest halted with interrupts off.
    pub const SUCCESS: u8 = 0;
    /// A file, an address or a host resource was not as it must be.
    pub const ERROR: u8 = 10;
    /// The arguments could not be understood.
    pub const USAGE: u8 = 2;
    /// The guest shut down (a fault while delivering a double fault).
    pub const SHUTDOWN: u8 = 20;
    /// The guest hung: nothing retired for too long.
    pub const HUNG: u8 = 22;
    /// The guest ran past `--max-cycles`.
    pub const MAX_CYCLES: u8 = 24;
    /// The guest ended well, but no journey was completed.
    pub const NO_JOURNEY: u8 = 26;
    /// The bitstream is written, but the clock is not met.
    pub const TIMING: u8 = 28;
    /// The board's bill differs from the simulator's.
    pub const BILL_DIFFERS: u8 = 30;
    /// Interrupted by the user.
    pub const INTERRUPTED: u8 = 130;
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done; or the guest halted with interrupts off
  2    the arguments could not be understood
  10   a file, an address or something of the host is not as it must be
  20   the guest shut down (a fault while delivering a double fault)
  22   the guest hung: nothing retired for too long
  24   the guest ran past --max-cycles
  26   the guest ended, but no call reached another ring and came back
  130  interrupted (Ctrl-C); traces are closed and readable
  odd  the guest wrote v to the exit port F4h or 501h: (v << 1) | 1";

/// A Windows-7-like system call, from WriteFile in ring 3 through SYSENTER into the kernel and back, on an IA-32 core
/// in Rust-HDL.
#[derive(Parser, Debug)]
#[command(name = "sysgate", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    // Without a command its options are accepted, too.
    #[cfg(feature = "model")]
    #[command(flatten)]
    journey: journey::JourneyArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Boot the image and print the path of one call through layers and rings (the default command)
    #[cfg(feature = "model")]
    #[command(after_help = EXIT_CODES)]
    Journey(journey::JourneyArguments),
    /// Run the default image or foreign software, with the guest's console on stdin and stdout
    #[cfg(feature = "model")]
    #[command(after_help = EXIT_CODES)]
    Run(run::RunArguments),
    /// Debug the default image or foreign software with cdb's commands, forwards and backwards
    #[cfg(feature = "model")]
    #[command(after_help = debug::AFTER_HELP)]
    Debug(debug::DebugArguments),
    /// Wait for gdb (or whatever speaks its protocol) and let it debug the guest, forwards and backwards
    #[cfg(feature = "model")]
    #[command(after_help = EXIT_CODES)]
    Gdb(gdb::GdbArguments),
    /// Step through the guest on a full screen: code, registers, pipeline, call path, console
    #[cfg(feature = "model")]
    #[command(after_help = EXIT_CODES)]
    Tui(tui::TuiArguments),
    /// Write the Verilog
    #[cfg(feature = "model")]
    Verilog(verilog::VerilogArguments),
    /// Measure clocks of operations beside an i486 and a Pentium, clocks per instruction of C programs, simulation speed
    #[cfg(feature = "model")]
    #[command(after_help = bench::AFTER_HELP)]
    Bench(bench::BenchArguments),
    /// Draw how instructions go through the pipeline, clock by clock
    #[cfg(feature = "model")]
    #[command(after_help = pipeline::AFTER_HELP)]
    Pipeline(pipeline::PipelineArguments),
    /// Make a bitstream for a board, or size and clock of the core alone
    #[cfg(feature = "model")]
    Synth(synth::SynthArguments),
    /// Load a bitstream into a board
    #[cfg(feature = "model")]
    Flash(flash::FlashArguments),
    /// Show what a board sends on its serial line
    #[cfg(feature = "model")]
    Console(console::ConsoleArguments),
    /// Write or list the default image
    Image(image::ImageArguments),
    #[cfg(feature = "model")]
    /// Print the opcode map, and what the core builds of it
    Opcodes(opcodes::OpcodesArguments),
}

/// `--gate`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum GateArgument {
    /// SYSENTER and SYSEXIT
    Sysenter,
    /// INT 2Eh and IRETD
    Int2e,
}

impl From<GateArgument> for firmware::Gate {
    fn from(gate: GateArgument) -> Self {
        match gate {
            GateArgument::Sysenter => Self::Sysenter,
            GateArgument::Int2e => Self::Int2e,
        }
    }
}

/// `--os`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum OsArgument {
    /// Windows XP, Service Pack 3: 284 services, no KERNELBASE
    Xp,
    /// Windows Vista, Service Pack 2: 391 services, no KERNELBASE
    Vista,
    /// Windows 7: 401 services
    #[value(name = "7")]
    Seven,
    /// Windows 8: 429 services; each stub has a SYSENTER of its own
    #[value(name = "8")]
    Eight,
    /// Windows 8.1: 433 services
    #[value(name = "8.1")]
    EightOne,
    /// Windows 10, version 20H2: 471 services
    #[value(name = "10")]
    Ten,
}

impl From<OsArgument> for firmware::Windows {
    fn from(os: OsArgument) -> Self {
        match os {
            OsArgument::Xp => Self::Xp,
            OsArgument::Vista => Self::Vista,
            OsArgument::Seven => Self::Seven,
            OsArgument::Eight => Self::Eight,
            OsArgument::EightOne => Self::EightOne,
            OsArgument::Ten => Self::Ten,
        }
    }
}

/// `--memory`.
#[cfg(feature = "model")]
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum MemoryArgument {
    /// Block RAM, which answers in one clock
    Bram,
    /// The board's SDRAM chip behind caches of 8 KB each
    Sdram,
}

#[cfg(feature = "model")]
impl MemoryArgument {
    /// The memory of a simulated machine.
    ///
    /// # Errors
    /// Random wait states beside SDRAM, which has its own.
    fn kind(self, wait_states: Option<u64>) -> Result<crate::machine::MemoryKind, Failure> {
        use crate::machine::MemoryKind;
        match (self, wait_states) {
            (Self::Bram, _) => Ok(MemoryKind::Bram),
            (Self::Sdram, None) => Ok(MemoryKind::Sdram),
            (Self::Sdram, Some(_)) => Err(Failure::new(
                exit::USAGE,
                "--wait-states is for --memory bram; SDRAM has waits of its own",
            )),
        }
    }
}

/// The built-in image that the options choose.
fn built_in(gate: GateArgument, os: OsArgument, bill: bool) -> Result<Image, String> {
    let program = if bill {
        Program::Bill
    } else {
        Program::Greeting
    };
    Image::build_version(gate.into(), os.into(), program)
}

/// A command's end: what to tell the user and the exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(exit::ERROR, error.to_string())
    }
}

/// Writes to stdout. A reader that has seen enough (`sysgate opcodes | head`) is no error.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Set by Ctrl-C; commands end at the next opportunity and leave complete files.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Set by Ctrl-C instead, once a debugger runs: it ends the movement, not the program.
pub(crate) static DEBUGGER: OnceLock<Arc<AtomicBool>> = OnceLock::new();

pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Runs the command line.
pub fn main() -> ExitCode {
    #[cfg(feature = "model")]
    let arguments = Arguments::parse_from(debug::with_options_of_cdb(std::env::args_os()));
    #[cfg(not(feature = "model"))]
    let arguments = Arguments::parse();
    // A second Ctrl-C ends the program even if it is stuck.
    let _ = ctrlc::set_handler(|| {
        let flag = DEBUGGER.get().map_or(&INTERRUPTED, |flag| flag);
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(exit::INTERRUPTED.into());
        }
    });
    let result = match arguments.command {
        #[cfg(feature = "model")]
        None => arguments.journey.run(),
        #[cfg(not(feature = "model"))]
        None => Err(Failure::new(
            exit::USAGE,
            "this program was built without the model; see --help",
        )),
        #[cfg(feature = "model")]
        Some(Command::Journey(journey)) => journey.run(),
        #[cfg(feature = "model")]
        Some(Command::Run(run)) => run.run(),
        #[cfg(feature = "model")]
        Some(Command::Debug(debug)) => debug.run(),
        #[cfg(feature = "model")]
        Some(Command::Gdb(gdb)) => gdb.run(),
        #[cfg(feature = "model")]
        Some(Command::Tui(tui)) => tui.run(),
        #[cfg(feature = "model")]
        Some(Command::Verilog(verilog)) => verilog.run(),
        #[cfg(feature = "model")]
        Some(Command::Bench(bench)) => bench.run(),
        #[cfg(feature = "model")]
        Some(Command::Pipeline(pipeline)) => pipeline.run(),
        #[cfg(feature = "model")]
        Some(Command::Synth(synth)) => synth.run(),
        #[cfg(feature = "model")]
        Some(Command::Flash(flash)) => flash.run(),
        #[cfg(feature = "model")]
        Some(Command::Console(console)) => console.run(),
        Some(Command::Image(image)) => image.run(),
        #[cfg(feature = "model")]
        Some(Command::Opcodes(opcodes)) => opcodes.run(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("sysgate: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}
