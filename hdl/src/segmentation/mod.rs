//! Segments: their registers, the address stage, and the limit and type check of the memory stage.
pub mod address;
pub mod check;
pub mod registers;

pub use address::AddressStage;
pub use check::SegmentCheck;
pub use registers::SegmentRegisters;
