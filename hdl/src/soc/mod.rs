//! The chip around the core: serial port, interrupt controllers, timer, and the buses that reach them.
pub mod block_ram;
pub mod chip;
pub mod data_router;
pub mod io_bus;
pub mod peripherals;
pub mod pic;
pub mod pit;
pub mod rom_port;
pub mod sdram;
pub mod sdram_memory;
pub mod system_ports;
pub mod uart;
pub mod wishbone;
pub mod wishbone_core;

#[cfg(test)]
pub(crate) mod testing;
