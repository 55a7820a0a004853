//! The bare machine that benchmarks run on: flat protected mode, paging off, caches on, marks through a port.

use super::{BenchError, Observer};
use crate::PortAccess;
use crate::machine::{Machine, MachineConfig, MemoryKind, Stop};
use firmware::reset::{RESET_VECTOR, reset_vector, start_up};
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use spec::ports::EXIT;

/// Bytes of RAM.
const RAM_BYTES: u32 = 2 << 20;
/// ROM that starts the guest; it ends where the address space ends.
const ROM_BYTES: u32 = 0x1_0000;
/// Where the ROM begins: what is loaded there or above lies in ROM.
pub const ROM_BASE: u32 = ROM_BYTES.wrapping_neg();
const START_UP: u32 = 0xFFFF_F000;

/// Ring 0's stack ends here.
pub const STACK_TOP: u32 = 0x9_0000;
/// Nothing listens here: a dword written is a mark in the log of port accesses.
const MARK_PORT: u32 = 0xE8;

/// Clock cycles between two questions to the observer.
const SLICE_CYCLES: u64 = 50_000;

/// A machine that will start at `entry` (physical) in flat 32-bit ring-0 code, with `loads` in its RAM and ROM.
///
/// There is no stack until the code of [`begin`].
pub fn machine(
    entry: u32,
    loads: &[(u32, &[u8])],
    memory: MemoryKind,
) -> Result<Machine, BenchError> {
    let start_up =
        start_up(START_UP, entry).map_err(|error| BenchError::Assembly("start-up", error))?;
    let mut rom = vec![0xFF; ROM_BYTES as usize];
    let reset = reset_vector(START_UP);
    let own = [(START_UP, &start_up[..]), (RESET_VECTOR, &reset)];
    for (address, bytes) in own.iter().chain(loads) {
        if *address >= ROM_BASE {
            let offset = (address - ROM_BASE) as usize;
            rom[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }
    let mut machine = Machine::new(MachineConfig {
        ram_bytes: RAM_BYTES,
        rom,
        keep_retired: false,
        keep_ports: true,
        memory,
        ..Default::default()
    })?;
    for (address, bytes) in loads.iter().filter(|(address, _)| *address < ROM_BASE) {
        machine.write_memory(*address, bytes)?;
    }
    Ok(machine)
}

/// Emits what every guest begins with: a stack, and strings that go up. The start-up code has turned caches on.
pub fn begin(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.cld()?;
    a.mov(esp, STACK_TOP)
}

/// Emits a mark; EAX and EDX are lost.
pub fn mark(a: &mut CodeAssembler, value: u32) -> Result<(), IcedError> {
    a.mov(eax, value)?;
    a.mov(edx, MARK_PORT)?;
    a.out(dx, eax)
}

/// Emits a mark of what is in EAX; EDX is lost.
pub fn mark_eax(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edx, MARK_PORT)?;
    a.out(dx, eax)
}

/// Emits the end of the run.
pub fn exit(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edx, u32::from(EXIT))?;
    a.xor(eax, eax)?;
    a.out(dx, al)
}

/// Runs to the end and calls `drain` now and then, at the latest at the end.
///
/// # Errors
/// [`BenchError::End`] if the guest does not end within `max_cycles`, or otherwise than by [`exit`].
pub fn run(
    machine: &mut Machine,
    name: &'static str,
    max_cycles: u64,
    observer: &mut dyn Observer,
    mut drain: impl FnMut(&mut Machine),
) -> Result<(), BenchError> {
    loop {
        let stop = machine.run(SLICE_CYCLES);
        drain(machine);
        let status = machine.status();
        match stop {
            Stop::Exit(0) => return Ok(()),
            Stop::Cycles if !observer.go_on() => return Err(BenchError::Interrupted),
            Stop::Cycles if status.cycle < max_cycles => {}
            stop => {
                return Err(BenchError::End {
                    name,
                    stop,
                    eip: status.eip,
                    cycle: status.cycle,
                });
            }
        }
    }
}

/// The marks of a run.
pub struct Marks(pub Vec<PortAccess>);

impl Marks {
    fn all(&self) -> impl Iterator<Item = &PortAccess> {
        self.0
            .iter()
            .filter(|access| access.write && u32::from(access.port) == MARK_PORT)
    }

    /// Clock cycle of the first mark of this value.
    ///
    /// # Errors
    /// [`BenchError::NoMark`].
    pub fn cycle(&self, name: &'static str, value: u32) -> Result<u64, BenchError> {
        self.all()
            .find(|access| access.data == value)
            .map(|access| access.cycle)
            .ok_or(BenchError::NoMark { name, value })
    }

    /// The value of the mark behind the first mark of this value.
    ///
    /// # Errors
    /// [`BenchError::NoMark`].
    pub fn behind(&self, name: &'static str, value: u32) -> Result<u32, BenchError> {
        self.all()
            .skip_while(|access| access.data != value)
            .nth(1)
            .map(|access| access.data)
            .ok_or(BenchError::NoMark { name, value })
    }
}
