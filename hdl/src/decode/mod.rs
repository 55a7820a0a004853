//! From bytes to micro-ops: lengths and fields in the first clock, micro-ops in the second.
pub mod buffer;
pub mod handover;
pub mod issue;
pub mod length;
pub mod predecode;
pub mod register_select;
pub mod rom;
pub mod rows;
pub mod shape;

pub use rows::is_built;
