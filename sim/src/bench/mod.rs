//! What instructions and programs cost on the simulated chip, and how fast it is simulated.

pub mod clocks;
mod guest;
pub mod programs;
pub mod simulation;
pub mod stalls;

use crate::machine::{MachineError, Stop};
use iced_x86::IcedError;

/// Why a measurement has no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The user asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// The machine cannot be built or loaded.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A row's instructions cannot be encoded.
    #[error("{0}: {1}")]
    Assembly(&'static str, IcedError),
    /// The guest did not reach its end.
    #[error(
        "{name}: expected a write to the exit port, found {stop:?} at EIP {eip:08x}, cycle {cycle}"
    )]
    End {
        /// Row or program.
        name: &'static str,
        /// How the run ended instead.
        stop: Stop,
        /// Next instruction.
        eip: u32,
        /// Clock cycle of the end.
        cycle: u64,
    },
    /// The guest did not mark begin and end of what is measured.
    #[error("{name}: expected OUT {value:08x}h at port e8h, found none")]
    NoMark {
        /// Row or program.
        name: &'static str,
        /// What should have been written.
        value: u32,
    },
    /// A program computed something else than it must.
    #[error("{name}: the {pass} gave {found:08x}, expected {expected:08x}")]
    WrongResult {
        /// Program.
        name: &'static str,
        /// "first pass" or "measured pass".
        pass: &'static str,
        /// What it must compute.
        expected: u32,
        /// What it computed.
        found: u32,
    },
}

/// Watches over a measurement: hears what is measured next, and says whether to go on.
pub trait Observer {
    /// Row or program `name` is measured next: number `index`, from 0, of `count`.
    fn next(&mut self, name: &str, index: usize, count: usize);
    /// False ends the measurement with [`BenchError::Interrupted`]; asked every few thousand clocks.
    fn go_on(&mut self) -> bool;
}

/// Lets everything run to its end in silence.
pub struct Silent;

impl Observer for Silent {
    fn next(&mut self, _name: &str, _index: usize, _count: usize) {}

    fn go_on(&mut self) -> bool {
        true
    }
}
