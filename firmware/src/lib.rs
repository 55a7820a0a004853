//! Builds the software that the chip boots: a Windows-7-like image, and small programs for bring-up.
#![warn(missing_docs)]

mod address_space;
mod api_sets;
mod boot;
mod dll;
mod environment;
mod error;
mod hardware;
mod image;
mod kernel;
pub mod loader;
mod memory_map;
pub mod module;
mod own_program;
mod pe;
mod programs;
pub mod reset;
mod smoke;
mod stamps;
pub mod symbols;

pub use abi::Windows;
pub use error::ImageError;
pub use image::{Gate, Image, ImageOptions, Layer, build};
pub use own_program::OwnProgram;
pub use programs::{Expectation, Program, expectations};
pub use smoke::{SMOKE_TEXT, smoke};
pub use stamps::{BILL_SUM, BILL_TITLE};
