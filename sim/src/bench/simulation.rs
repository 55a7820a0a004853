//! How fast the chip is simulated: the programs without any record, against the host's clock.

use super::{BenchError, Observer, guest, programs};
use crate::machine::MemoryKind;
use std::time::{Duration, Instant};

/// What was simulated, in how long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Speed {
    /// Clock cycles.
    pub clocks: u64,
    /// Instructions completed.
    pub instructions: u64,
    /// The host's time, building and loading not included.
    pub time: Duration,
}

impl Speed {
    /// Simulated clock cycles in a second of the host.
    pub fn clocks_per_second(&self) -> f64 {
        self.clocks as f64 / self.time.as_secs_f64()
    }

    /// Simulated instructions in a second of the host.
    pub fn instructions_per_second(&self) -> f64 {
        self.instructions as f64 / self.time.as_secs_f64()
    }
}

/// Runs all programs, on this thread alone.
///
/// # Errors
/// A program that does not run to its end. Results are not looked at: [`programs::measure`] does that.
pub fn measure(observer: &mut dyn Observer) -> Result<Speed, BenchError> {
    let programs = programs::all();
    let mut speed = Speed::default();
    for (index, program) in programs.iter().enumerate() {
        observer.next(program.name, index, programs.len());
        let mut machine = programs::machine(program, MemoryKind::Bram)?;
        machine.keep(false, false);
        let began = Instant::now();
        guest::run(
            &mut machine,
            program.name,
            programs::MAX_CYCLES,
            observer,
            |_| {},
        )?;
        speed.time += began.elapsed();
        let status = machine.status();
        speed.clocks += status.cycle;
        speed.instructions += status.instructions;
    }
    Ok(speed)
}
