//! The Verilated chip: raw functions of `shim/shim.cpp`, which runs it.
//!
//! Nothing here is safe; `sim::machine::Machine` is the one wrapper. Without the feature `model` only the record types
//! exist.
#![warn(missing_docs)]

/// One retired micro-op, as the chip's retire port showed it.
///
/// Fields whose condition flag is false (`register_data` without `register_write`, and so on) are zero.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retired {
    /// Number of its instruction, counted from 0 (the reset routine); all micro-ops of one instruction share it.
    ///
    /// The record of an exception or interrupt shares it with the routine behind it that enters the handler.
    pub number: u64,
    /// Clock cycle of the retirement: the time-stamp counter's value then.
    pub cycle: u64,
    /// What the load returned, right-aligned.
    pub load_data: u64,
    /// What the store wrote, right-aligned.
    pub store_data: u64,
    /// Offset in CS of the instruction.
    pub eip: u32,
    /// Offset in CS of the instruction that follows in time.
    pub next_eip: u32,
    /// New value of register `register_number`, all 32 bits.
    pub register_data: u32,
    /// New value of ESP, if `esp_write`.
    pub esp_data: u32,
    /// EFLAGS after the micro-op.
    pub eflags: u32,
    /// New value of the system register `system_number`.
    pub system_data: u32,
    /// Linear address of the load, or the port of an IN.
    pub load_linear: u32,
    /// Physical address of the load.
    pub load_physical: u32,
    /// Linear address of the store, or the port of an OUT.
    pub store_linear: u32,
    /// Physical address of the store.
    pub store_physical: u32,
    /// CR2, if a page fault is delivered.
    pub cr2: u32,
    /// Error code pushed for the exception, if `has_error_code`.
    pub error_code: u16,
    /// Address in the microcode ROM (12 bits), 0 for an instruction of one micro-op.
    pub micro_address: u16,
    /// The instruction's bytes, zeros behind the first `length`.
    pub bytes: [u8; 16],
    /// Length of the instruction in bytes, 1 to 15.
    pub length: u8,
    /// Privilege level the instruction ran at.
    pub cpl: u8,
    /// Bit 0 protected mode, 1 virtual-8086 mode, 2 paging, 3 default size of CS is 32 bits.
    pub mode: u8,
    /// 0..7 general registers, 8..15 temporaries of the microcode.
    pub register_number: u8,
    /// Number of the system register as in `spec::registers`.
    pub system_number: u8,
    /// Bytes loaded.
    pub load_size: u8,
    /// Bytes stored.
    pub store_size: u8,
    /// Vector of the exception or interrupt.
    pub vector: u8,
    /// First micro-op of its instruction.
    pub first: bool,
    /// Last micro-op of its instruction.
    pub last: bool,
    /// A general register was written.
    pub register_write: bool,
    /// ESP was written beside that register.
    pub esp_write: bool,
    /// A system register was written.
    pub system_write: bool,
    /// Memory or a port was read.
    pub load: bool,
    /// Memory or a port was written.
    pub store: bool,
    /// The load or store went to I/O space.
    pub access_io: bool,
    /// An exception is delivered here: the instruction at `eip` did not complete (or trapped).
    pub exception: bool,
    /// An external interrupt or NMI was accepted here.
    pub interrupt: bool,
    /// The exception pushes an error code.
    pub has_error_code: bool,
    #[doc(hidden)]
    pub padding: [u8; 5],
}
const _: () = assert!(size_of::<Retired>() == 120);

/// One completed access to a port.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortAccess {
    /// Clock cycle of its completion.
    pub cycle: u64,
    /// Value read or written, right-aligned.
    pub data: u32,
    /// Number of the first port.
    pub port: u16,
    /// Bytes: 1, 2 or 4.
    pub size: u8,
    /// OUT rather than IN.
    pub write: bool,
}
const _: () = assert!(size_of::<PortAccess>() == 16);

/// What the chip asks of its two memory ports in a clock.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryRequests {
    /// What to write, in the lanes of the byte enables.
    pub data_write_data: u64,
    /// Physical address of the fetch, a multiple of 8.
    pub instruction_address: u32,
    /// Physical address of the access, a multiple of 8.
    pub data_address: u32,
    /// Bytes to write, one bit each.
    pub data_byte_enable: u8,
    /// Something is fetched.
    pub instruction_request: bool,
    /// Something is read or written.
    pub data_request: bool,
    /// It is written.
    pub data_write: bool,
    #[doc(hidden)]
    pub padding: [u8; 4],
}
const _: () = assert!(size_of::<MemoryRequests>() == 24);

/// What a memory answers in the clock after the requests.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryAnswers {
    /// The word that was fetched.
    pub instruction_data: u64,
    /// The word that was read.
    pub data_read_data: u64,
    /// The fetch is not answered yet.
    pub instruction_wait: bool,
    /// The access is not answered yet.
    pub data_wait: bool,
    #[doc(hidden)]
    pub padding: [u8; 6],
}
const _: () = assert!(size_of::<MemoryAnswers>() == 24);

/// How a machine is made.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// RAM from physical address 0, a multiple of 8.
    pub ram_bytes: u64,
    /// ROM contents, copied; they end at 4 GB.
    pub rom: *const u8,
    /// Length of `rom`, a multiple of 8.
    pub rom_bytes: u64,
    /// Seed of random wait states on both memory ports; 0 for none.
    pub wait_seed: u64,
    /// Clocks of one UART bit, times 256.
    pub bit_clocks_x256: u64,
    /// Clocks without a retirement, outside HLT, that count as a hang.
    pub hang_clocks: u64,
    /// Keep retired micro-ops for `sg_retired_take`.
    pub keep_retired: bool,
    /// Keep port accesses for `sg_ports_take`.
    pub keep_ports: bool,
    /// The mirror of the ROM below 1 MB is RAM that begins as a copy.
    pub shadow: bool,
    #[doc(hidden)]
    pub padding: [u8; 5],
    /// RAM is SDRAM behind caches, and this is what its chip needs; null: RAM answers in one clock.
    pub sdram: *const Sdram,
    /// Clocks per second.
    pub clock_hz: u64,
    /// What the CMOS clock says at the first reset, in seconds since 1970.
    pub date: i64,
}
const _: () = assert!(size_of::<Settings>() == 80);

/// Accesses to a port that no device has.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnknownPort {
    /// How often it was read.
    pub reads: u64,
    /// How often it was written.
    pub writes: u64,
    /// The port; of an access of several bytes the first.
    pub port: u16,
    #[doc(hidden)]
    pub padding: [u8; 6],
}
const _: () = assert!(size_of::<UnknownPort>() == 24);

/// What an SDRAM chip needs, in clocks; the names are those of datasheets, without their t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sdram {
    /// ACTIVE to READ or WRITE.
    pub rcd: u64,
    /// PRECHARGE to ACTIVE.
    pub rp: u64,
    /// ACTIVE to ACTIVE of the same bank.
    pub rc: u64,
    /// ACTIVE to PRECHARGE.
    pub ras: u64,
    /// ACTIVE to ACTIVE of another bank.
    pub rrd: u64,
    /// REFRESH to the next command.
    pub rfc: u64,
    /// The last data of a WRITE to PRECHARGE.
    pub wr: u64,
    /// LOAD MODE REGISTER to the next command.
    pub mrd: u64,
    /// Power to the first command.
    pub power_up: u64,
    /// From one REFRESH to the next, at most.
    pub refresh: u64,
    /// REFRESH commands before the first access.
    pub initial_refreshes: u64,
    /// What the mode register is to be set to.
    pub mode_register: u64,
}
const _: () = assert!(size_of::<Sdram>() == 96);

/// Where a machine stands.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Clocks since reset.
    pub cycle: u64,
    /// Instructions completed since reset.
    pub instructions: u64,
    /// Micro-ops retired since reset.
    pub micro_ops: u64,
    /// Cycle in which the last instruction completed.
    pub completed: u64,
    /// Offset of the next instruction, as the last retirement left it.
    pub eip: u32,
    /// EFLAGS after the last retirement.
    pub eflags: u32,
    /// What was written to the exit port.
    pub exit_value: u32,
    /// Privilege level of the last retired instruction.
    pub cpl: u8,
    /// Mode bits of the last retired instruction, as in [`Retired::mode`].
    pub mode: u8,
    /// The processor is in HLT.
    pub halted: bool,
    /// The processor has shut down.
    pub shutdown: bool,
    /// The processor is halted by the debug port.
    pub debug_halted: bool,
    /// The LEDs, one bit each.
    pub leds: u8,
    /// Selector in CS.
    pub cs: u16,
    /// Base of CS: with `eip`, the linear address of the next instruction.
    pub cs_base: u32,
}
const _: () = assert!(size_of::<Status>() == 56);

/// `max_cycles` have passed.
pub const STOP_CYCLES: u32 = 0;
/// The guest wrote to port F4h or 501h.
pub const STOP_EXIT_PORT: u32 = 1;
/// HLT with interrupts off, and the UART has sent all.
pub const STOP_HALTED: u32 = 2;
/// The processor shut down.
pub const STOP_SHUTDOWN: u32 = 3;
/// `hang_clocks` without a retirement.
pub const STOP_HUNG: u32 = 4;
/// The next instruction is at a breakpoint.
pub const STOP_BREAKPOINT: u32 = 5;
/// A ring of records is full: take them and run on.
pub const STOP_BUFFER_FULL: u32 = 6;
/// The instruction limit is reached.
pub const STOP_INSTRUCTIONS: u32 = 7;
/// Halted by the debug port.
pub const STOP_DEBUG_HALTED: u32 = 8;
/// An instruction that a watch waits for has completed.
pub const STOP_WATCH: u32 = 9;
/// The memory system with SDRAM is wrong; `sg_fault_get` says how.
pub const STOP_MEMORY: u32 = 10;
/// The guest asked for a reset.
pub const STOP_RESET: u32 = 11;

/// Something to stop behind.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watch {
    /// One of the `WATCH_` constants.
    pub kind: u32,
    /// Linear address, port, number of a system register, or vector.
    pub address: u32,
    /// Bytes or ports; for [`WATCH_VECTOR`] 0 means any vector.
    pub size: u32,
}
const _: () = assert!(size_of::<Watch>() == 12);

/// The next instruction is at the address.
pub const WATCH_EXECUTE: u32 = 0;
/// Memory is read.
pub const WATCH_READ: u32 = 1;
/// Memory is written.
pub const WATCH_WRITE: u32 = 2;
/// Memory is read or written.
pub const WATCH_ACCESS: u32 = 3;
/// A port is read or written.
pub const WATCH_PORT: u32 = 4;
/// A system register is written.
pub const WATCH_SYSTEM: u32 = 5;
/// An exception or interrupt is delivered.
pub const WATCH_VECTOR: u32 = 6;
/// The privilege level changes.
pub const WATCH_RING: u32 = 7;

/// Bytes of RAM that one flag of `sg_pages_written` stands for.
pub const PAGE_BYTES: usize = 4096;

/// Verilog of the core alone; the module is called `core`.
#[cfg(feature = "model")]
pub const CORE_VERILOG: &str = include_str!(concat!(env!("OUT_DIR"), "/core.v"));
/// Verilog of the core with a Wishbone bus, for other systems; the module is called `sysgate_core`.
#[cfg(feature = "model")]
pub const WISHBONE_CORE_VERILOG: &str = include_str!(concat!(env!("OUT_DIR"), "/sysgate_core.v"));
/// Verilog of the chip; the module is called `chip`.
#[cfg(feature = "model")]
pub const CHIP_VERILOG: &str = include_str!(concat!(env!("OUT_DIR"), "/chip.v"));
/// Verilog of the memory system with caches and SDRAM, which lies outside the chip; the module is called `sdram_memory`.
#[cfg(feature = "model")]
pub const SDRAM_MEMORY_VERILOG: &str = include_str!(concat!(env!("OUT_DIR"), "/sdram_memory.v"));
/// Verilog of the ULX3S board's top for each clock of `spec::clock::PLLS`; the module is called `ulx3s`.
#[cfg(feature = "model")]
pub const ULX3S_VERILOG: &[(u64, &str)] = include!(concat!(env!("OUT_DIR"), "/ulx3s.rs"));
/// The same for the board whose RAM is its SDRAM; the module is called `ulx3s_sdram`.
#[cfg(feature = "model")]
pub const ULX3S_SDRAM_VERILOG: &[(u64, &str)] =
    include!(concat!(env!("OUT_DIR"), "/ulx3s_sdram.rs"));
/// For each row of `spec::opcodes::all()`, whether the core builds it; what it does not build raises #UD.
#[cfg(feature = "model")]
pub const OPCODES_BUILT: &[bool] = include!(concat!(env!("OUT_DIR"), "/opcodes.rs"));

/// Routines of the microcode: address in its ROM and name, by address and then by name.
///
/// A micro-op's address with bit 11 set is one of these plus 800h; without it the micro-op is an opcode row's.
#[cfg(feature = "model")]
pub const MICROCODE_ROUTINES: &[(u16, &str)] = include!(concat!(env!("OUT_DIR"), "/microcode.rs"));

/// The text lanes of the waveform: scope below `TOP.sysgate`, name, characters.
#[cfg(feature = "model")]
pub const LANES: &[(&str, &str, u32)] = include!(concat!(env!("OUT_DIR"), "/lanes.rs"));

/// The texts of all lanes: ASCII behind zeros, as Verilog keeps strings.
///
/// The first five tell of the micro-op that retires, or retired last; the others of what is in the pipeline now.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Texts {
    /// Where the instruction lies.
    pub symbol: [u8; 48],
    /// The instruction.
    pub disassembly: [u8; 48],
    /// Its ring.
    pub ring: [u8; 12],
    /// The module that holds it.
    pub module_name: [u8; 16],
    /// The routine of the microcode, if the micro-op is of one.
    pub microcode: [u8; 32],
    /// What fetch holds.
    pub fetch: [u8; 16],
    /// The instruction in decode.
    pub decode: [u8; 40],
    /// The instruction in issue.
    pub issue: [u8; 40],
    /// The instruction in address.
    pub address: [u8; 40],
    /// The instruction in memory.
    pub memory: [u8; 40],
    /// The instruction in execute.
    pub execute: [u8; 40],
    /// Why stages wait.
    pub stall: [u8; 96],
}
const _: () = assert!(size_of::<Texts>() == 468);

#[cfg(feature = "model")]
pub use functions::*;

#[cfg(feature = "model")]
#[allow(missing_docs, reason = "shim.h tells what they do")]
mod functions {
    use super::{
        MemoryAnswers, MemoryRequests, PortAccess, Retired, Settings, Status, Texts, UnknownPort,
        Watch,
    };
    use std::ffi::{c_char, c_void};

    // The trace writer in the shim compresses with these.
    use {libz_sys as _, lz4_sys as _};

    /// A machine in the shim.
    #[repr(C)]
    pub struct RawMachine {
        _private: [u8; 0],
    }

    /// One clock, for the text lanes.
    #[repr(C)]
    pub struct RawClock {
        pub machine: *const RawMachine,
        pub retired: *const Retired,
        pub cs_base: u32,
        pub mode: u32,
        pub cr0: u32,
        pub cr3: u32,
        pub cr4: u32,
        pub pipeline: [u32; 14],
        pub padding: u32,
    }
    const _: () = assert!(size_of::<RawClock>() == 96);

    /// Changes the text lanes.
    pub type LaneCallback =
        unsafe extern "C" fn(context: *mut c_void, clock: *const RawClock, texts: *mut Texts);

    unsafe extern "C" {
        pub fn sg_new(settings: *const Settings) -> *mut RawMachine;
        pub fn sg_delete(machine: *mut RawMachine);
        pub fn sg_reset(machine: *mut RawMachine);
        pub fn sg_unknown_ports_get(
            machine: *const RawMachine,
            into: *mut UnknownPort,
            capacity: usize,
        ) -> usize;
        pub fn sg_fault_get(machine: *const RawMachine, into: *mut u8, capacity: usize) -> usize;
        pub fn sg_run(machine: *mut RawMachine, max_cycles: u64) -> u32;
        pub fn sg_status_get(machine: *const RawMachine, status: *mut Status);
        pub fn sg_retired_take(
            machine: *mut RawMachine,
            into: *mut Retired,
            capacity: usize,
        ) -> usize;
        pub fn sg_ports_take(
            machine: *mut RawMachine,
            into: *mut PortAccess,
            capacity: usize,
        ) -> usize;
        pub fn sg_posts_take(machine: *mut RawMachine, into: *mut u32, capacity: usize) -> usize;
        pub fn sg_console_take(machine: *mut RawMachine, into: *mut u8, capacity: usize) -> usize;
        pub fn sg_debug_console_take(
            machine: *mut RawMachine,
            into: *mut u8,
            capacity: usize,
        ) -> usize;
        pub fn sg_console_send(machine: *mut RawMachine, bytes: *const u8, count: usize);
        pub fn sg_console_pending(machine: *const RawMachine) -> usize;
        pub fn sg_memory_read(
            machine: *const RawMachine,
            physical: u32,
            into: *mut u8,
            count: u64,
        ) -> bool;
        pub fn sg_memory_write(
            machine: *mut RawMachine,
            physical: u32,
            from: *const u8,
            count: u64,
        ) -> bool;
        pub fn sg_keep(machine: *mut RawMachine, retired: bool, ports: bool);
        pub fn sg_waits(machine: *mut RawMachine, seed: u64);
        pub fn sg_requests_get(machine: *const RawMachine, requests: *mut MemoryRequests);
        pub fn sg_answers_set(machine: *mut RawMachine, answers: *const MemoryAnswers);
        pub fn sg_breakpoint(machine: *mut RawMachine, linear: u32, set: bool);
        pub fn sg_watches(machine: *mut RawMachine, watches: *const Watch, count: usize);
        pub fn sg_watches_hit(machine: *const RawMachine) -> u64;
        pub fn sg_save(machine: *mut RawMachine, bytes: *mut *const u8) -> usize;
        pub fn sg_restore(machine: *mut RawMachine, bytes: *const u8, size: usize);
        pub fn sg_ram(machine: *mut RawMachine) -> *mut u8;
        pub fn sg_pages_written(machine: *mut RawMachine, count: *mut usize) -> *mut u8;
        pub fn sg_instruction_limit(machine: *mut RawMachine, instructions: u64);
        pub fn sg_debug_halt(machine: *mut RawMachine, level: bool);
        pub fn sg_debug_step(machine: *mut RawMachine);
        pub fn sg_register_read(machine: *mut RawMachine, number: u8) -> u32;
        pub fn sg_register_write(machine: *mut RawMachine, number: u8, data: u32);
        pub fn sg_invalidate(machine: *mut RawMachine);
        pub fn sg_nmi(machine: *mut RawMachine);
        pub fn sg_lines(machine: *mut RawMachine, lines: u16);
        pub fn sg_trace_open(machine: *mut RawMachine, path: *const c_char) -> bool;
        pub fn sg_trace_close(machine: *mut RawMachine);
        pub fn sg_trace_pause(machine: *mut RawMachine, paused: bool);
        pub fn sg_lanes(
            machine: *mut RawMachine,
            callback: Option<LaneCallback>,
            context: *mut c_void,
        );
        pub fn sg_pipeline_get(machine: *const RawMachine, into: *mut u32);
    }
}
