//! Prints a tree of rust-hdl blocks as Verilog that means exactly what the Rust kernels mean.
//!
//! rust-hdl keeps a syntax tree of every kernel, but its own printer knows no widths and no precedence. Here each
//! kernel goes through four stages:
//!
//! 1. [`collect`]: the modules with their signals, enums and kernels.
//! 2. [`statement`] and [`expression`]: names are resolved, loops unrolled, and every expression gets its Rust width;
//!    what cannot be translated exactly is an error.
//! 3. [`check`]: every driven signal gets a value on all paths, and no signal changes after it was read.
//! 4. [`print`]: one `assign` or `always @(*)` per driven signal. All extensions and truncations are written out, so
//!    that no operand ever meets a context of another width.

mod check;
mod collect;
mod expression;
mod print;
mod statement;

use rust_hdl_core::check_error::{CheckError, PathedName};
use rust_hdl_core::check_logic_loops::check_logic_loops;
use rust_hdl_core::check_write_inputs::check_inputs_not_written;
use rust_hdl_core::prelude::{Block, check_connected};

/// The Verilog of a block and of everything inside it.
#[derive(Clone, Debug)]
pub struct Verilog {
    /// The source text. SystemVerilog 2012 for its size casts (`8'(x)`), else plain Verilog.
    pub text: String,
    /// Every module in the text, the top first, a parent before its children.
    pub modules: Vec<ModuleInfo>,
}

/// One module of the emitted text; each is instantiated exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its Verilog name: the path of instances joined with `$`.
    pub name: String,
    /// The names of the instances from the top (included) down to it.
    pub path: Vec<String>,
    /// The ports in the order of the block's fields.
    pub ports: Vec<Port>,
    /// Whether its body is hand-written Verilog instead of a translated kernel.
    pub custom: bool,
}

/// A port of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Verilog name (`bus$address` for the field of an interface).
    pub name: String,
    /// Width in bits.
    pub width: usize,
    /// Which way it goes, seen from inside the module.
    pub direction: PortDirection,
    /// Whether its Rust type is `Clock`.
    pub clock: bool,
}

/// Direction of a [`Port`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortDirection {
    /// Driven from outside.
    Input,
    /// Driven by the module.
    Output,
    /// Driven from both sides; only hand-written modules can use it.
    InOut,
}

/// Something the emitter refuses to translate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EmitError {
    /// Verilog name of the module.
    pub module: String,
    /// The signal that was being assigned or is wrong itself; empty where there is none.
    pub signal: String,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for EmitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: `{}`: {}", self.module, self.signal, self.message)
    }
}

impl std::error::Error for EmitError {}

/// Translates `top` (after its `connect_all()`) and all blocks inside it; the top module is called `top_name`.
///
/// # Errors
/// All findings at once: what rust-hdl's own checks say (open signals, writes to inputs, loops), constructs that have
/// no exact translation, widths that differ, signals without a value on some path, signals read too early.
pub fn emit(top_name: &str, top: &impl Block) -> Result<Verilog, Vec<EmitError>> {
    let mut errors = connection_errors(top_name, top);
    let design = collect::collect(top_name, top, &mut errors);
    let mut text = print::header();
    let mut library = Vec::new();
    for module in &design.modules {
        let kernel = statement::lower(module, &design.enums, &mut errors);
        if let Some(kernel) = &kernel {
            check::check(module, kernel, &mut errors);
        }
        print::module(&design, module, kernel.as_ref(), &mut text);
        library.extend(print::library(module));
    }
    errors.sort();
    errors.dedup();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut seen = std::collections::BTreeSet::new();
    for code in library {
        if seen.insert(code.clone()) {
            text.push('\n');
            text.push_str(&code);
            text.push('\n');
        }
    }
    let modules = design
        .modules
        .iter()
        .filter(|module| !module.is_blackbox())
        .map(collect::Module::info)
        .collect();
    Ok(Verilog { text, modules })
}

/// The findings of rust-hdl's `check_all`, from all of its checks instead of the first that fails.
fn connection_errors(top_name: &str, top: &impl Block) -> Vec<EmitError> {
    let finding = |at: &PathedName, message: &str| EmitError {
        module: at.path.replacen("uut", top_name, 1),
        signal: at.name.clone(),
        message: message.into(),
    };
    let mut errors = Vec::new();
    for result in [
        check_connected(top),
        check_logic_loops(top),
        check_inputs_not_written(top),
    ] {
        match result {
            Ok(()) => {}
            Err(CheckError::OpenSignal(open)) => {
                errors.extend(open.values().map(|at| finding(at, "is not connected")));
            }
            Err(CheckError::LogicLoops(loops)) => {
                errors.extend(
                    loops
                        .iter()
                        .map(|at| finding(at, "is read before it is written")),
                );
            }
            Err(CheckError::WritesToInputs(written)) => {
                errors.extend(
                    written
                        .iter()
                        .map(|at| finding(at, "is an input and written by the kernel")),
                );
            }
        }
    }
    errors
}
