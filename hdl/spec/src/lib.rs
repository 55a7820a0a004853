//! Facts of the instruction set and the chip: plain data, no dependency.
pub mod registers;
