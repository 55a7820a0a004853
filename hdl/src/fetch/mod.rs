//! Brings instruction bytes from memory to the decoder.
pub mod queue;

pub use queue::Fetch;
