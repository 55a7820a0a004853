//! Facts of the instruction set and the chip: plain data, no dependency.
pub mod clock;
pub mod control_registers;
pub mod cpuid;
pub mod exceptions;
pub mod flags;
pub mod memory_map;
pub mod msr;
pub mod opcodes;
pub mod paging;
pub mod pipeline;
pub mod ports;
pub mod registers;
pub mod sdram;
pub mod segments;
