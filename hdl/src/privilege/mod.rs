//! Levels, checks, system registers and the events that cross between levels.
pub mod breakpoints;
pub mod check;
pub mod events;
pub mod system_registers;

pub use breakpoints::Breakpoints;
pub use check::CheckUnit;
pub use events::Events;
pub use system_registers::SystemRegisters;
