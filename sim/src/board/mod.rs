//! From Verilog to a bitstream: the tools, the stages, the figures.

pub mod report;
pub mod synthesis;
pub mod tools;
