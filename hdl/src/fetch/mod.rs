//! Brings instruction bytes from memory to the decoder, along the way that branches are expected to take.
pub mod branch_memory;
pub mod branch_targets;
pub mod queue;
pub mod recent_words;
pub mod return_stack;
pub mod training;

pub use queue::Fetch;
pub use recent_words::RecentWords;
pub use training::Training;
