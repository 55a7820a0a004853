//! The contract between user code and the kernel: selectors, services, status codes, addresses and
//! memory layouts of Windows 7 x86 (structures of Service Pack 1); plain data, no dependency.
#![warn(missing_docs)]

pub mod addresses;
pub mod layout;
pub mod selectors;
pub mod services;
pub mod status;

pub use services::{Release, SERVICES, Service, Windows};
