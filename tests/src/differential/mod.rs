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
mod verilator;

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

/// Runs `top` and compares all of its modules. `stimulus` sets the inputs of `top` (`.next`) once per clock, while the
/// clock is low; it gets the number of the clock.
///
/// # Panics
/// If the design cannot be emitted or verilated, if a module answers differently, or if a module with inputs never
/// saw them change.
pub fn compare<T: Block>(run: &Run<T>, top: &mut T, stimulus: impl FnMut(&mut T, usize)) -> Report {
    top.connect_all();
    let verilog = emit(run.name, top).unwrap_or_else(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{} cannot be emitted:\n{}", run.name, lines.join("\n"));
    });
    let recording = Recording::take(run, top, &verilog.modules, stimulus);
    let answers = replay::replay(run.name, &verilog, &recording);
    let differences = recording.differences(&answers);
    assert!(
        differences.is_empty(),
        "Rust and Verilog differ:\n{}",
        differences.join("\n")
    );
    let report = recording.report();
    let idle: Vec<&str> = report
        .iter()
        .filter(|row| row.input_changes == 0)
        .map(|row| row.name.as_str())
        .collect();
    assert!(
        idle.is_empty(),
        "these modules got no vectors, their inputs never changed: {}",
        idle.join(", ")
    );
    Report { modules: report }
}
