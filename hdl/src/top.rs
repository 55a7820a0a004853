//! The tops as Verilog.
use crate::board::{PADS, Ulx3s, Ulx3sSdram};
use crate::cpu::Cpu;
use crate::emit::{EmitError, Verilog, emit};
use crate::soc::chip::{Chip, ChipOptions};
use crate::soc::sdram_memory::{SdramMemory, SdramMemoryOptions};
use crate::soc::wishbone_core::WishboneCore;
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

/// The core with a Wishbone bus, for other systems; the module is called `sysgate_core`, and the names of all others
/// begin with that.
///
/// # Errors
/// What the emitter found.
pub fn wishbone_core() -> Result<Verilog, Vec<EmitError>> {
    let mut core = WishboneCore::new();
    core.connect_all();
    let mut verilog = emit("sysgate_core", &core)?;
    // What is read behind this file may rely on implicit wires.
    verilog.text += "`default_nettype wire\n";
    Ok(verilog)
}

/// The ULX3S board's top with the chip on a clock of `pll`; the module is called `ulx3s`. Its ROM is read from
/// the files of [`spec::memory_map::rom_file`].
///
/// # Errors
/// What the emitter found.
pub fn ulx3s(pll: spec::clock::Pll) -> Result<Verilog, Vec<EmitError>> {
    let mut board = Ulx3s::new(pll);
    board.connect_all();
    emit("ulx3s", &board)
}

/// The same board with its SDRAM as RAM; the module is called `ulx3s_sdram`, and the first of the list is the one within its
/// pads.
///
/// # Errors
/// What the emitter found.
pub fn ulx3s_sdram(pll: spec::clock::Pll) -> Result<Verilog, Vec<EmitError>> {
    let mut board = Ulx3sSdram::new(pll);
    board.connect_all();
    let mut verilog = emit("ulx3s_sdram_core", &board)?;
    verilog.text += PADS;
    Ok(verilog)
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

/// The memory system with caches and SDRAM, which lies outside the chip; the module is called `sdram_memory`.
///
/// # Errors
/// What the emitter found.
pub fn sdram_memory() -> Result<Verilog, Vec<EmitError>> {
    let mut memory = SdramMemory::new(SdramMemoryOptions::default());
    memory.connect_all();
    emit("sdram_memory", &memory)
}
