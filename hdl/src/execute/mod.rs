//! The execute stage's arithmetic: what each [`ExecuteOp`] computes and which flags it changes.
//!
//! [`ExecuteUnit`] is what the stage connects to; the other blocks are its parts. Each ends with its own tests, which
//! compare the kernel with a model in plain Rust.
mod alu;
mod bits;
mod condition;
mod divide;
mod flags;
mod multiply;
mod operands;
mod prepare;
mod registers;
mod shifter;
mod stage;
#[cfg(test)]
mod testing;
mod unit;

pub use alu::Alu;
pub use bits::BitUnit;
pub use condition::ConditionUnit;
pub use divide::Divider;
pub use flags::FlagsUnit;
pub use multiply::{Multiplier, ProductRegister};
pub use prepare::{Prepare, prepared};
pub use registers::Registers;
pub use shifter::Shifter;
pub use stage::ExecuteStage;
pub use unit::ExecuteUnit;
