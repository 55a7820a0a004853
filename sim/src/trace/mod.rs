//! Views of the retired micro-ops as they come.

mod disassembly;
mod instructions;
mod retire_log;

pub use disassembly::disassemble;
pub use instructions::{Delivered, Instruction, Instructions, Write};
pub use retire_log::{micro_op_line, retire_line};
