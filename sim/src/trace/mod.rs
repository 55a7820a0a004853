//! Views of the retired micro-ops as they come.

mod disassembly;
mod instructions;
#[cfg(feature = "model")]
mod microcode;
mod retire_log;

pub use disassembly::disassemble;
pub use instructions::{Delivered, Instruction, Instructions, Write, register_name};
#[cfg(feature = "model")]
pub use microcode::microcode_name;
#[cfg(feature = "model")]
pub(crate) use microcode::microcode_names;
pub use retire_log::{micro_op_line, retire_line};
