//! The two tops as Verilog.
use crate::cpu::Cpu;
use crate::emit::{EmitError, Verilog, emit};
use crate::soc::chip::{Chip, ChipOptions};
use rust_hdl_core::prelude::Block;

/// The core alone; its module is called `core`.
///
/// # Errors
/// What the emitter found.
pub fn core() -> Result<Verilog, Vec<EmitError>> {
    let mut core = Cpu::new();
    core.connect_all();
    emit("core", &core)
}

/// The core with its devices; the module is called `chip`.
///
/// # Errors
/// What the emitter found.
pub fn chip() -> Result<Verilog, Vec<EmitError>> {
    let mut chip = Chip::new(ChipOptions::default());
    chip.connect_all();
    emit("chip", &chip)
}
