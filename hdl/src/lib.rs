//! The chip: an IA-32 core and what surrounds it, described in Rust-HDL.
//!
//! Kernels (`#[hdl_gen]`) are written in `rust-hdl` and turned into Verilog by [`emit`], our own sound printer of
//! rust-hdl's syntax tree: it knows the width of every expression and refuses what it cannot translate exactly.
// Kernels must stay in the form that rust-hdl translates; these lints ask for forms it does not know.
#![allow(
    clippy::useless_conversion,
    clippy::single_match,
    clippy::nonminimal_bool,
    clippy::collapsible_if,
    clippy::collapsible_else_if,
    clippy::collapsible_match
)]

pub mod board;
pub mod bundles;
pub mod cache;
pub mod constants;
pub mod cpu;
pub mod decode;
pub mod emit;
pub mod execute;
pub mod fetch;
pub mod hazard;
pub mod memory;
pub mod microcode;
pub mod prelude;
pub mod privilege;
pub mod retire;
pub mod segmentation;
pub mod soc;
pub mod top;
