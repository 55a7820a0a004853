//! A server for gdb and everything that speaks its remote protocol.
//!
//! [`server`] takes the calls, [`guest`] answers for the machine, [`arch`] tells which registers there are, [`elf`] what the
//! addresses are called and what lies there, and [`monitor`] is gdb's `monitor` command.

pub mod arch;
pub mod elf;
pub mod guest;
mod monitor;
pub mod server;
mod types;

pub use guest::Guest;
pub use server::{Ended, Server, Settings};
