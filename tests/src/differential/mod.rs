//! Compares every block of a design in Rust with its emitted Verilog in Verilator.
//!
//! The design runs in rust-hdl's own semantics (`update_all` until nothing changes) with random values at its ports,
//! and the ports of all blocks inside are recorded. Then the modules of the emitted Verilog, each on its own but in one
//! Verilated model, get the recorded inputs and must answer with the recorded outputs.
//!
//! ```text
//! step          low n          high n         low n+1
//! clock      ____________/‾‾‾‾‾‾‾‾‾‾‾‾\____________
//! top inputs  new values    kept           new values
//! recorded           settled        settled
//! ```

mod record;
mod replay;
pub(crate) mod verilator;

use std::collections::HashSet;

use hdl::emit::emit;
use rust_hdl_core::prelude::Block;

use record::Recording;

/// What a comparison did.
pub struct Report {
    /// One row per module of the design, in the order of the emitted text.
    pub modules: Vec<ModuleReport>,
}

/// What was compared of one module.
pub struct ModuleReport {
    /// Its Verilog name.
    pub name: String,
    /// Settled states compared: two per clock.
    pub vectors: usize,
    /// Times its inputs (without clocks) changed.
    pub input_changes: usize,
}

/// How a design is run.
pub struct Run<'a, T> {
    /// Name of the top module, and of the folder under `target/differential` that keeps the files.
    pub name: &'a str,
    /// Length in clocks; each gives two vectors.
    pub clocks: usize,
    /// Sets the clock input; does nothing for a design without one.
    pub clock: fn(&mut T, bool),
}

/// What surrounds the design.
pub trait Surroundings<T> {
    /// Sets the inputs of the design (`.next`) for `clock`; its clock input is low.
    fn set_inputs(&mut self, design: &mut T, clock: usize);

    /// Sees what the design answered in the same clock, just before the clock rises.
    fn see_outputs(&mut self, _design: &T) {}
}

struct Inputs<F>(F);

impl<T, F: FnMut(&mut T, usize)> Surroundings<T> for Inputs<F> {
    fn set_inputs(&mut self, design: &mut T, clock: usize) {
        self.0(design, clock);
    }
}

/// Runs `top` and compares all of its modules. `inputs` sets the inputs of `top` once per clock, which it gets.
///
/// # Panics
/// As [`compare_within`].
pub fn compare<T: Block>(run: &Run<T>, top: &mut T, inputs: impl FnMut(&mut T, usize)) -> Report {
    compare_within(run, top, &mut Inputs(inputs))
}

/// Runs `top` within its surroundings and compares all of its modules.
///
/// # Panics
/// If the design cannot be emitted or verilated, if a module answers differently, or if the inputs of a module (and of
/// all that are like it) never changed.
pub fn compare_within<T: Block>(
    run: &Run<T>,
    top: &mut T,
    surroundings: &mut impl Surroundings<T>,
) -> Report {
    top.connect_all();
    let verilog = emit(run.name, top).unwrap_or_else(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{} cannot be emitted:\n{}", run.name, lines.join("\n"));
    });
    let recording = Recording::take(run, top, &verilog.modules, surroundings);
    let answers = replay::replay(run.name, &verilog, &recording);
    let differences = recording.differences(&answers);
    assert!(
        differences.is_empty(),
        "Rust and Verilog differ:\n{}",
        differences.join("\n")
    );
    let modules = recording.report();
    let idle = without_vectors(&verilog.text, &modules);
    assert!(
        idle.is_empty(),
        "these modules got no vectors, their inputs never changed: {}",
        idle.join(", ")
    );
    Report { modules }
}

/// The modules whose inputs never changed, nor those of another module with the same text (registers are all alike).
fn without_vectors(text: &str, modules: &[ModuleReport]) -> Vec<String> {
    let body = |row: &ModuleReport| -> &str {
        let head = format!("\nmodule {}(", row.name);
        let from = text.find(&head).expect("every module is in the text") + head.len();
        text[from..].split("\nendmodule").next().unwrap_or_default()
    };
    let (idle, busy): (Vec<_>, Vec<_>) = modules.iter().partition(|row| row.input_changes == 0);
    let exercised: HashSet<&str> = busy.into_iter().map(body).collect();
    let idle = idle
        .into_iter()
        .filter(|row| !exercised.contains(body(row)));
    idle.map(|row| row.name.clone()).collect()
}
