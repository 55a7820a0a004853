//! Boards: the chip with a clock, memory and pins.
mod clocking;
mod ulx3s;

pub use clocking::{PllBlock, ResetControl};
pub use ulx3s::Ulx3s;
