//! Runs the chip's Verilog and shows what happens: the machine, its records, and the views made from them.
#![warn(missing_docs)]
// Without the model only a part of the tools uses these.
#![cfg_attr(not(feature = "model"), allow(dead_code))]

pub mod bench;
#[cfg(feature = "model")]
pub mod bill;
#[cfg(feature = "model")]
pub mod board;
pub mod cli;
#[cfg(feature = "model")]
pub mod debug;
#[cfg(feature = "model")]
pub mod diagram;
mod files;
#[cfg(feature = "model")]
pub mod foreign;
#[cfg(feature = "model")]
pub mod gdb;
pub mod image;
pub mod journey;
#[cfg(feature = "model")]
pub mod machine;
#[cfg(feature = "model")]
pub mod paging;
pub mod symbols;
pub mod trace;
#[cfg(feature = "model")]
pub mod tui;
#[cfg(feature = "model")]
pub mod wave;

pub use verilator_sys::{PortAccess, Retired};
