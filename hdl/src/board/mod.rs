//! Boards: the chip with a clock, memory and pins.
mod clocking;
mod ulx3s;
mod ulx3s_sdram;

pub use clocking::{PllBlock, ResetControl};
pub use ulx3s::Ulx3s;
pub use ulx3s_sdram::{PADS, Ulx3sSdram};
