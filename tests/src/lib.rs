//! The test bench: what the whole machine is checked with.
#![warn(missing_docs)]

pub mod bench;
pub mod bochs;
pub mod boot_rom;
pub mod campaign;
pub mod decode;
pub mod differential;
pub mod guest;
pub mod netlist;
pub mod random;
pub mod silicon;
pub mod wishbone;
