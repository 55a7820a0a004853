//! Architectural state beside the general registers: EFLAGS, EIP, the level, and what segment loads pass through.
pub mod state;

pub use state::State;
