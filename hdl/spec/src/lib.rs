//! Facts of the instruction set and the chip: plain data, no dependency.
pub mod clock;
pub mod memory_map;
pub mod pipeline;
pub mod ports;
pub mod registers;
