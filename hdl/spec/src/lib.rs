//! Facts of the instruction set and the chip: plain data, no dependency.
pub mod opcodes;
pub mod registers;
