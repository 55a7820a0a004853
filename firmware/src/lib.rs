//! Builds the software that the chip boots: a Windows-7-like image, and small programs for bring-up.

mod reset;
mod smoke;

pub use smoke::smoke;
