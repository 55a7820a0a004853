//! Long instructions and events as routines of micro-instructions, one file per family.
mod arithmetic;
pub mod assembler;
mod control_transfer;
mod decimal;
pub mod events;
pub mod ports;
mod protection;
mod rare_gates;
pub mod segments;
mod stack;
pub mod strings;
mod system;
mod tasks;
mod virtual_mode;

use crate::prelude::Check;
use assembler::Assembler;
pub use assembler::{Image, Step, copy, nothing, step};

/// The whole microcode. Addresses 0 and 1 are where reset and events begin.
pub fn image() -> Image {
    let mut routines = Assembler::default();
    routines.routine("reset_vector", [nothing().goto("reset")]);
    events::add(&mut routines);
    routines.routine("nothing", [nothing().last()]);
    routines.routine("undefined", [nothing().check(Check::Undefined).last()]);
    control_transfer::add(&mut routines);
    segments::add(&mut routines);
    stack::add(&mut routines);
    strings::add(&mut routines);
    arithmetic::add(&mut routines);
    system::add(&mut routines);
    ports::add(&mut routines);
    decimal::add(&mut routines);
    protection::add(&mut routines);
    rare_gates::add(&mut routines);
    tasks::add(&mut routines);
    virtual_mode::add(&mut routines);
    let image = routines.finish();
    assert!(
        image.words.len() <= 2048,
        "{} words of microcode do not fit its ROM",
        image.words.len()
    );
    image
}
