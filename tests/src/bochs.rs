//! Whole-system programs as Bochs runs them: recorded as the state before every instruction, and compared with the retire port.

pub mod programs;
pub mod random;
pub mod record;
pub mod replay;
pub mod system;
pub mod trace;
