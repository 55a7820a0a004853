//! The simulated machine as a processor for replays.

use super::Case;
use super::replay::{Delivered, Processor, RAM_BYTES, Report, Step, replay};
use anyhow::Context;
use sim::machine::{Machine, MachineConfig};

/// A machine that has been halted in its first instructions after reset.
pub struct Simulated {
    machine: Machine,
}

/// `jmp $` at the reset vector.
const ROM: [u8; 16] = {
    let mut rom = [0xF4; 16];
    rom[0] = 0xEB;
    rom[1] = 0xFE;
    rom
};

impl Simulated {
    /// Makes a machine; `wait_seed` gives its memory random wait states.
    ///
    /// # Errors
    /// The machine cannot be made, or does not halt for its debug port.
    pub fn new(wait_seed: Option<u64>) -> anyhow::Result<Self> {
        let mut machine = Machine::new(MachineConfig {
            ram_bytes: RAM_BYTES,
            rom: ROM.to_vec(),
            wait_seed,
            ..MachineConfig::default()
        })?;
        machine.debug_halt().context("after reset")?;
        machine.drain_retired();
        Ok(Self { machine })
    }

    /// The machine itself.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }
}

/// Replays cases on as many machines as the host has cores.
///
/// # Errors
/// As [`Simulated::new`] and [`replay`].
pub fn replay_on_all_cores(
    cases: &[(usize, &Case)],
    wait_seed: Option<u64>,
) -> anyhow::Result<Report> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let replay_some = |cases: &[(usize, &Case)]| -> anyhow::Result<Report> {
        let mut machine = Simulated::new(wait_seed)?;
        let cases = cases.iter().copied();
        replay(&mut machine, cases, hdl::decode::is_built).map_err(anyhow::Error::msg)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = cases
            .chunks(cases.len().div_ceil(cores).max(1))
            .map(|cases| scope.spawn(move || replay_some(cases)))
            .collect();
        let mut report = Report::default();
        for thread in threads {
            report.merge(thread.join().expect("a replay does not panic")?);
        }
        Ok(report)
    })
}

impl Processor for Simulated {
    fn read_register(&mut self, number: u8) -> u32 {
        self.machine.read_register(number)
    }

    fn write_register(&mut self, number: u8, value: u32) {
        self.machine.write_register(number, value);
    }

    fn read_memory(&mut self, physical: u32, bytes: usize) -> Vec<u8> {
        self.machine
            .read_memory(physical, bytes)
            .expect("below RAM_BYTES")
    }

    fn write_memory(&mut self, physical: u32, bytes: &[u8]) {
        self.machine
            .write_memory(physical, bytes)
            .expect("below RAM_BYTES");
    }

    fn invalidate(&mut self) {
        self.machine.invalidate();
    }

    fn step(&mut self) -> Result<Step, String> {
        let stepped = self.machine.step();
        let retired = self.machine.drain_retired();
        if let Err(error) = stepped {
            let status = self.machine.status();
            let problem = format!(
                "{error}, at EIP {:08X}, CPL {}, cycle {}",
                status.eip, status.cpl, status.cycle
            );
            self.machine.reset();
            self.machine
                .debug_halt()
                .map_err(|error| format!("{problem}; after reset {error}"))?;
            self.machine.drain_retired();
            return Err(problem);
        }
        let exception = retired
            .iter()
            .find(|record| record.exception)
            .map(|record| Delivered {
                vector: record.vector,
                error_code: record.has_error_code.then_some(record.error_code),
                cr2: record.cr2,
            });
        let stores = retired
            .iter()
            .filter(|record| record.store && !record.access_io);
        let stores = stores
            .map(|record| (record.store_linear, record.store_size.into()))
            .collect();
        Ok(Step { exception, stores })
    }
}
