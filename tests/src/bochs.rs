//! Whole-system programs as Bochs runs them: recorded as the state before every instruction, and compared with the retire port.

pub mod accesses;
pub mod breakpoints;
pub mod mixed;
pub mod programs;
pub mod random;
pub mod record;
pub mod replay;
pub mod system;
pub mod tasks;
pub mod trace;
pub mod virtual_mode;
pub mod words;
