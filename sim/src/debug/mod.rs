//! Looking into a run, stopping it anywhere, and going back.

pub mod cdb;
pub mod debuggee;
mod history;
pub mod registers;

pub use debuggee::{Debuggee, Position, Stopped, Watch};
pub use registers::Registers;
