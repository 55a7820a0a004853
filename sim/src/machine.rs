//! The one safe wrapper around the Verilated chip.

use crate::paging::Paging;
use std::ffi::CString;
use std::os::raw::c_void;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use verilator_sys::{self as raw, PortAccess, Retired, Settings, Status, Texts, Watch};
pub use verilator_sys::{MemoryAnswers, MemoryRequests, UnknownPort};

/// Clocks without a retirement, outside HLT, that count as a hang unless the configuration says otherwise.
///
/// Longer than any instruction that cannot be interrupted, with wait states.
pub const DEFAULT_HANG_CLOCKS: u64 = 20_000;

/// Clock cycles within which the debug port must answer.
const DEBUG_CLOCKS: u64 = 20_000;

/// What RAM is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryKind {
    /// Block RAM: answers in one clock.
    #[default]
    Bram,
    /// The SDRAM chip of the board behind its controller and caches. Every answer is compared with what was stored, and every
    /// command with what the chip needs.
    Sdram,
}

/// How a [`Machine`] is made.
#[derive(Debug, Clone)]
pub struct MachineConfig {
    /// RAM from physical address 0; a multiple of 8.
    pub ram_bytes: u32,
    /// ROM, ending at 4 GB, the last 128 KB of it seen again below 1 MB. Padded at the front to a multiple of 8 bytes.
    pub rom: Vec<u8>,
    /// The mirror of the ROM below 1 MB is RAM that begins as a copy, as a PC's chipset makes it for its BIOS.
    pub shadow: bool,
    /// What RAM is made of.
    pub memory: MemoryKind,
    /// Seed of random wait states on both memory ports; `None` for memory that answers in one clock. SDRAM has its own.
    pub wait_seed: Option<u64>,
    /// Clocks without a retirement, outside HLT, that count as a hang.
    pub hang_clocks: u64,
    /// Keep every retired micro-op for [`Machine::drain_retired`].
    pub keep_retired: bool,
    /// Keep every port access for [`Machine::drain_ports`].
    pub keep_ports: bool,
}

impl Default for MachineConfig {
    fn default() -> Self {
        Self {
            ram_bytes: spec::memory_map::DEFAULT_RAM_BYTES,
            rom: Vec::new(),
            shadow: false,
            memory: MemoryKind::Bram,
            wait_seed: None,
            hang_clocks: DEFAULT_HANG_CLOCKS,
            keep_retired: true,
            keep_ports: true,
        }
    }
}

/// Why [`Machine::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The cycles asked for have passed.
    Cycles,
    /// The guest wrote this value to the exit port (F4h or 501h).
    Exit(u32),
    /// HLT with interrupts off, and the UART has nothing left to send.
    Halted,
    /// The processor shut down (a fault while delivering a double fault).
    Shutdown,
    /// No micro-op retired for [`MachineConfig::hang_clocks`] although the processor was not in HLT.
    Hung,
    /// The next instruction is at a breakpoint.
    Breakpoint,
    /// The number of instructions asked for has completed.
    Instructions,
    /// Halted by [`Machine::debug_halt`].
    DebugHalted,
    /// An instruction has completed that a watch waits for; [`Machine::watches_hit`] says which.
    Watch,
    /// The memory system with SDRAM is wrong: [`Machine::memory_fault`] says how. It never is, as far as is known.
    Memory,
    /// The guest asked for a reset, through the keyboard controller (port 64h, commands F0h to FEh), port 92h or CF9h. It is
    /// not done.
    Reset,
}

/// Something the machine was asked for and cannot do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MachineError {
    /// Size of RAM, or of RAM and ROM together.
    #[error(
        "{0} bytes of RAM with {1} bytes of ROM: RAM must be a multiple of 8 and both must fit into 4 GB"
    )]
    Size(u32, usize),
    /// More RAM than the SDRAM has.
    #[error("{0} bytes of RAM: the SDRAM has {bytes}", bytes = spec::sdram::BYTES)]
    SdramSize(u32),
    /// The host has no memory left.
    #[error("cannot allocate {0} bytes of guest RAM")]
    OutOfMemory(u32),
    /// A range of physical addresses that is not all memory.
    #[error("{bytes} bytes at physical address {physical:08x} are not all {expected}")]
    Unmapped {
        /// First address.
        physical: u32,
        /// Length of the range.
        bytes: usize,
        /// "RAM", or "RAM or ROM".
        expected: &'static str,
    },
    /// The waveform's file cannot be created.
    #[error("cannot create the waveform {0}")]
    Wave(PathBuf),
    /// The debug port did not halt the processor between instructions.
    #[error("the processor did not halt for the debugger, but: {0:?}")]
    NotHalted(Stop),
}

/// What the chip of the board's SDRAM needs on a clock of `clock_hz`.
fn sdram_needs(clock_hz: u64) -> raw::Sdram {
    use spec::sdram;
    let clocks = |interval: sdram::Interval| interval.clocks_at(clock_hz);
    raw::Sdram {
        rcd: clocks(sdram::T_RCD),
        rp: clocks(sdram::T_RP),
        rc: clocks(sdram::T_RC),
        ras: clocks(sdram::T_RAS),
        rrd: clocks(sdram::T_RRD),
        rfc: clocks(sdram::T_RFC),
        wr: clocks(sdram::T_WR),
        mrd: clocks(sdram::T_MRD),
        power_up: clocks(sdram::T_POWER_UP),
        refresh: sdram::refresh_clocks(clock_hz),
        initial_refreshes: sdram::INITIAL_REFRESHES,
        mode_register: sdram::MODE_REGISTER,
    }
}

/// Makes the waveform's texts: called in every clock that is written, with the texts of the clock before.
pub type Lanes = Box<dyn FnMut(&Clock, &mut Texts) + Send>;

/// One clock as [`Lanes`] see it.
pub struct Clock<'a> {
    /// What retires in this clock.
    pub retired: Option<&'a Retired>,
    /// What the stages hold.
    pub pipeline: Pipeline,
    /// Base of CS before the retirement.
    pub cs_base: u32,
    /// Code segments are of 32 bits, before the retirement.
    pub is_32_bit: bool,
    paging: Paging,
    machine: *const raw::RawMachine,
}

impl Clock<'_> {
    /// Up to 15 bytes of code from a linear address on, as far as there is memory.
    pub fn code(&self, linear: u32) -> Vec<u8> {
        let read = |physical: u32, into: &mut [u8]| {
            // SAFETY: the shim lends the machine to the callback that made this clock, and the clock does not outlive
            // it. The shim writes all of `into` or nothing.
            unsafe {
                raw::sg_memory_read(self.machine, physical, into.as_mut_ptr(), into.len() as u64)
            }
        };
        let mut code = Vec::with_capacity(15);
        while code.len() < 15 {
            let at = linear.wrapping_add(code.len() as u32);
            let count = (15 - code.len()).min(0x1000 - (at as usize & 0xFFF));
            let word = |physical: u32| {
                let mut bytes = [0; 4];
                read(physical, &mut bytes).then(|| u32::from_le_bytes(bytes))
            };
            let mut bytes = [0; 15];
            match self.paging.translate(at, word) {
                Some(physical) if read(physical, &mut bytes[..count]) => {
                    code.extend_from_slice(&bytes[..count]);
                }
                _ => break,
            }
        }
        code
    }
}

/// One page of RAM; the last may be shorter.
type Page = [u8];

/// The whole machine in one clock: [`Machine::save`] makes it, [`Machine::restore`] goes back to it.
///
/// Snapshots of one machine share the pages of RAM that are the same in them.
#[derive(Clone)]
pub struct Snapshot {
    state: Vec<u8>,
    pages: Vec<Arc<Page>>,
}

/// The chip, its memory and its terminal.
///
/// ```no_run
/// use sim::machine::{Machine, MachineConfig, Stop};
/// let mut machine = Machine::new(MachineConfig { rom: vec![0xF4; 16], ..Default::default() }).unwrap();
/// assert_eq!(machine.run(10_000), Stop::Halted);
/// assert_eq!(machine.drain_retired()[0].bytes[0], 0xF4);
/// ```
pub struct Machine {
    raw: NonNull<raw::RawMachine>,
    ram_bytes: usize,
    retired: Vec<Retired>,
    ports: Vec<PortAccess>,
    /// RAM as it was at the last [`Machine::save`] or [`Machine::restore`]; empty before the first.
    pages: Vec<Arc<Page>>,
    wave_paused: bool,
    // Boxed twice so that the shim can hold a thin pointer that stays valid when the machine moves.
    lanes: Option<Box<Lanes>>,
}

// SAFETY: the shim's machine has its own Verilator context and no thread-local or global state; all access goes through
// `&mut self` or, for reads that change nothing, `&self`, and the type is not `Sync`.
unsafe impl Send for Machine {}

impl Machine {
    /// Builds a machine and resets it.
    ///
    /// # Errors
    /// [`MachineError::Size`] or [`MachineError::OutOfMemory`].
    pub fn new(config: MachineConfig) -> Result<Self, MachineError> {
        let mut rom = config.rom;
        let padding = rom.len().next_multiple_of(8) - rom.len();
        if padding != 0 {
            rom.splice(0..0, std::iter::repeat_n(0xFF, padding));
        }
        if !config.ram_bytes.is_multiple_of(8)
            || u64::from(config.ram_bytes) + rom.len() as u64 > 1 << 32
        {
            return Err(MachineError::Size(config.ram_bytes, rom.len()));
        }
        if config.memory == MemoryKind::Sdram && config.ram_bytes > spec::sdram::BYTES {
            return Err(MachineError::SdramSize(config.ram_bytes));
        }
        let sdram = sdram_needs(spec::clock::CLOCK_HZ);
        let settings = Settings {
            sdram: match config.memory {
                MemoryKind::Bram => std::ptr::null(),
                MemoryKind::Sdram => &sdram,
            },
            ram_bytes: config.ram_bytes.into(),
            rom: rom.as_ptr(),
            rom_bytes: rom.len() as u64,
            // 0 means none to the shim.
            wait_seed: config.wait_seed.map_or(0, |seed| seed.max(1)),
            bit_clocks_x256: (spec::clock::CLOCK_HZ << 8) / spec::clock::UART_BAUD_AT_DIVISOR_1,
            hang_clocks: config.hang_clocks,
            keep_retired: config.keep_retired,
            keep_ports: config.keep_ports,
            shadow: config.shadow,
            padding: [0; 5],
            clock_hz: spec::clock::CLOCK_HZ,
            date: spec::clock::DATE_AT_RESET,
        };
        // SAFETY: the settings and the ROM live through the call; the shim copies them.
        let raw = NonNull::new(unsafe { raw::sg_new(&settings) })
            .ok_or(MachineError::OutOfMemory(config.ram_bytes))?;
        Ok(Self {
            raw,
            ram_bytes: config.ram_bytes as usize,
            retired: Vec::new(),
            ports: Vec::new(),
            pages: Vec::new(),
            wave_paused: false,
            lanes: None,
        })
    }

    /// Presses the reset button: the processor starts again, RAM keeps its contents, the counts begin at 0.
    pub fn reset(&mut self) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_reset(self.raw.as_ptr()) }
    }

    /// Runs until something happens, at most `max_cycles` clock cycles.
    pub fn run(&mut self, max_cycles: u64) -> Stop {
        let end = self.status().cycle.saturating_add(max_cycles);
        loop {
            let left = end.saturating_sub(self.status().cycle);
            // SAFETY: `raw` is a live machine, and the lanes it may call are owned by `self`.
            let reason = unsafe { raw::sg_run(self.raw.as_ptr(), left) };
            self.take();
            return match reason {
                raw::STOP_BUFFER_FULL => continue,
                raw::STOP_EXIT_PORT => Stop::Exit(self.status().exit_value),
                raw::STOP_HALTED => Stop::Halted,
                raw::STOP_SHUTDOWN => Stop::Shutdown,
                raw::STOP_HUNG => Stop::Hung,
                raw::STOP_BREAKPOINT => Stop::Breakpoint,
                raw::STOP_INSTRUCTIONS => Stop::Instructions,
                raw::STOP_DEBUG_HALTED => Stop::DebugHalted,
                raw::STOP_WATCH => Stop::Watch,
                raw::STOP_MEMORY => Stop::Memory,
                raw::STOP_RESET => Stop::Reset,
                _ => Stop::Cycles,
            };
        }
    }

    /// What is wrong with the memory system, behind [`Stop::Memory`].
    pub fn memory_fault(&self) -> String {
        let mut text = vec![0; 256];
        // SAFETY: `raw` is a live machine; the shim writes no more than fits, and says how much.
        let length = unsafe { raw::sg_fault_get(self.raw.as_ptr(), text.as_mut_ptr(), text.len()) };
        text.truncate(length);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What the chip asks of its memory ports in this clock.
    pub fn memory_requests(&self) -> MemoryRequests {
        let mut requests = MemoryRequests::default();
        // SAFETY: `raw` is a live machine; the shim fills `requests`, with flags 0 or 1.
        unsafe { raw::sg_requests_get(self.raw.as_ptr(), &mut requests) };
        requests
    }

    /// Runs one clock in which another memory answers, not the machine's own: what that one was asked for by
    /// [`Self::memory_requests`] of the clock before. A machine that is run so is run so from its reset on.
    pub fn run_answered(&mut self, answers: MemoryAnswers) -> Stop {
        // SAFETY: `raw` is a live machine; the shim copies the answers.
        unsafe { raw::sg_answers_set(self.raw.as_ptr(), &answers) };
        self.run(1)
    }

    /// Runs until `count` more instructions have completed, at most `max_cycles` clock cycles.
    pub fn run_instructions(&mut self, count: u64, max_cycles: u64) -> Stop {
        let limit = self.status().instructions.saturating_add(count);
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_instruction_limit(self.raw.as_ptr(), limit) };
        let stop = self.run(max_cycles);
        // SAFETY: as above.
        unsafe { raw::sg_instruction_limit(self.raw.as_ptr(), u64::MAX) };
        stop
    }

    fn take(&mut self) {
        const CHUNK: usize = 4096;
        loop {
            let at = self.retired.len();
            self.retired.reserve(CHUNK);
            // SAFETY: there is room for CHUNK records behind `at`; the shim fills as many as it returns, with flags 0 or 1.
            unsafe {
                let count = raw::sg_retired_take(
                    self.raw.as_ptr(),
                    self.retired.as_mut_ptr().add(at),
                    CHUNK,
                );
                self.retired.set_len(at + count);
                if count < CHUNK {
                    break;
                }
            }
        }
        loop {
            let at = self.ports.len();
            self.ports.reserve(CHUNK);
            // SAFETY: as above.
            unsafe {
                let count =
                    raw::sg_ports_take(self.raw.as_ptr(), self.ports.as_mut_ptr().add(at), CHUNK);
                self.ports.set_len(at + count);
                if count < CHUNK {
                    break;
                }
            }
        }
    }

    /// Where the machine stands.
    pub fn status(&self) -> Status {
        let mut status = Status::default();
        // SAFETY: `raw` is a live machine; the shim fills `status`.
        unsafe { raw::sg_status_get(self.raw.as_ptr(), &mut status) };
        status
    }

    /// Takes the micro-ops that have retired since the last call.
    pub fn drain_retired(&mut self) -> Vec<Retired> {
        self.take();
        std::mem::take(&mut self.retired)
    }

    /// Takes the port accesses that have completed since the last call.
    pub fn drain_ports(&mut self) -> Vec<PortAccess> {
        self.take();
        std::mem::take(&mut self.ports)
    }

    /// Chooses what is kept for [`Self::drain_retired`] and [`Self::drain_ports`] from now on.
    pub fn keep(&mut self, retired: bool, ports: bool) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_keep(self.raw.as_ptr(), retired, ports) }
    }

    /// Random wait states on both memory ports from now on, or none.
    pub fn set_wait_seed(&mut self, seed: Option<u64>) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_waits(self.raw.as_ptr(), seed.map_or(0, |seed| seed.max(1))) }
    }

    /// The ports that the guest has used and no device has, in ascending order; they read FFh.
    pub fn unknown_ports(&self) -> Vec<UnknownPort> {
        let mut ports = vec![UnknownPort::default(); 64];
        loop {
            // SAFETY: `raw` is a live machine; the shim writes at most `ports.len()` records and says how many there are.
            let count = unsafe {
                raw::sg_unknown_ports_get(self.raw.as_ptr(), ports.as_mut_ptr(), ports.len())
            };
            let fits = count <= ports.len();
            ports.resize(count, UnknownPort::default());
            if fits {
                return ports;
            }
        }
    }

    /// Takes the test codes that the guest has written to ports 80h and 190h.
    pub fn take_posts(&mut self) -> Vec<u32> {
        let mut codes = vec![0; 4096];
        // SAFETY: `raw` is a live machine; the shim writes at most `codes.len()` codes.
        let count =
            unsafe { raw::sg_posts_take(self.raw.as_ptr(), codes.as_mut_ptr(), codes.len()) };
        codes.truncate(count);
        codes
    }

    /// Takes what the chip has sent on its serial line, decoded from the pin `uart_tx`.
    pub fn take_console(&mut self) -> Vec<u8> {
        self.take_bytes(raw::sg_console_take)
    }

    /// Takes what the guest has written to the debug console, port E9h.
    pub fn take_debug_console(&mut self) -> Vec<u8> {
        self.take_bytes(raw::sg_debug_console_take)
    }

    fn take_bytes(
        &mut self,
        take: unsafe extern "C" fn(*mut raw::RawMachine, *mut u8, usize) -> usize,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 256];
        loop {
            // SAFETY: `raw` is a live machine; the shim writes at most `chunk.len()` bytes.
            let count = unsafe { take(self.raw.as_ptr(), chunk.as_mut_ptr(), chunk.len()) };
            bytes.extend_from_slice(&chunk[..count]);
            if count < chunk.len() {
                return bytes;
            }
        }
    }

    /// Sends bytes to the chip on the pin `uart_rx`, at the line's speed.
    pub fn send_console(&mut self, bytes: &[u8]) {
        // SAFETY: `raw` is a live machine; the shim copies the bytes.
        unsafe { raw::sg_console_send(self.raw.as_ptr(), bytes.as_ptr(), bytes.len()) }
    }

    /// Bytes that [`Self::send_console`] has still to send.
    pub fn console_pending(&self) -> usize {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_console_pending(self.raw.as_ptr()) }
    }

    /// Reads RAM or ROM by physical address.
    ///
    /// # Errors
    /// [`MachineError::Unmapped`] if the range is not all RAM or ROM.
    pub fn read_memory(&self, physical: u32, bytes: usize) -> Result<Vec<u8>, MachineError> {
        let mut buffer = vec![0; bytes];
        // SAFETY: `raw` is a live machine; the shim writes `bytes` bytes or none.
        let mapped = unsafe {
            raw::sg_memory_read(
                self.raw.as_ptr(),
                physical,
                buffer.as_mut_ptr(),
                bytes as u64,
            )
        };
        if mapped {
            Ok(buffer)
        } else {
            Err(MachineError::Unmapped {
                physical,
                bytes,
                expected: "RAM or ROM",
            })
        }
    }

    /// Writes RAM by physical address. What the processor has already fetched stays, see [`Self::invalidate`].
    ///
    /// # Errors
    /// [`MachineError::Unmapped`] if the range is not all RAM; nothing is written then.
    pub fn write_memory(&mut self, physical: u32, bytes: &[u8]) -> Result<(), MachineError> {
        // SAFETY: `raw` is a live machine; the shim reads `bytes`.
        let mapped = unsafe {
            raw::sg_memory_write(
                self.raw.as_ptr(),
                physical,
                bytes.as_ptr(),
                bytes.len() as u64,
            )
        };
        if mapped {
            Ok(())
        } else {
            Err(MachineError::Unmapped {
                physical,
                bytes: bytes.len(),
                expected: "RAM",
            })
        }
    }

    /// Stops [`Self::run`] when the instruction at linear address `linear` is next.
    pub fn set_breakpoint(&mut self, linear: u32) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_breakpoint(self.raw.as_ptr(), linear, true) }
    }

    /// Removes a breakpoint.
    pub fn clear_breakpoint(&mut self, linear: u32) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_breakpoint(self.raw.as_ptr(), linear, false) }
    }

    /// Stops [`Self::run`] behind instructions that do one of these, at most 64; they replace those before.
    pub fn set_watches(&mut self, watches: &[Watch]) {
        assert!(watches.len() <= 64, "the shim has one bit each");
        // SAFETY: `raw` is a live machine; the shim copies the watches.
        unsafe { raw::sg_watches(self.raw.as_ptr(), watches.as_ptr(), watches.len()) }
    }

    /// Which watches the instruction hit at which [`Self::run`] stopped, one bit each.
    pub fn watches_hit(&self) -> u64 {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_watches_hit(self.raw.as_ptr()) }
    }

    /// RAM, and a flag for each page that has been written since the flag was cleared.
    fn ram(&mut self) -> (&mut [u8], &mut [u8]) {
        // SAFETY: `raw` is a live machine; both live as long, are of these lengths, and are different objects.
        unsafe {
            let mut count = 0;
            let written = raw::sg_pages_written(self.raw.as_ptr(), &mut count);
            let ram = raw::sg_ram(self.raw.as_ptr());
            (
                std::slice::from_raw_parts_mut(ram, self.ram_bytes),
                std::slice::from_raw_parts_mut(written, count),
            )
        }
    }

    /// Keeps everything that the further run depends on, in this clock. What the guest has sent and nobody has taken
    /// yet, breakpoints, watches and the waveform are not of it.
    pub fn save(&mut self) -> Snapshot {
        let mut pages = std::mem::take(&mut self.pages);
        let (ram, written) = self.ram();
        if pages.is_empty() {
            let zero: Arc<Page> = vec![0; raw::PAGE_BYTES].into();
            let kept = |page: &[u8]| {
                if *page == zero[..] {
                    Arc::clone(&zero)
                } else {
                    page.into()
                }
            };
            pages = ram.chunks(raw::PAGE_BYTES).map(kept).collect();
        } else {
            for (number, page) in ram.chunks(raw::PAGE_BYTES).enumerate() {
                if written[number] != 0 {
                    pages[number] = page.into();
                }
            }
        }
        written.fill(0);
        self.pages = pages;
        let mut bytes = std::ptr::null();
        // SAFETY: `raw` is a live machine; the bytes are valid until the next call and are copied at once.
        let state = unsafe {
            let count = raw::sg_save(self.raw.as_ptr(), &mut bytes);
            std::slice::from_raw_parts(bytes, count).to_vec()
        };
        Snapshot {
            state,
            pages: self.pages.clone(),
        }
    }

    /// Goes back (or forward) to a snapshot of this machine.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let pages = std::mem::take(&mut self.pages);
        let (ram, written) = self.ram();
        for (number, page) in ram.chunks_mut(raw::PAGE_BYTES).enumerate() {
            let kept = &snapshot.pages[number];
            if written[number] != 0 || !Arc::ptr_eq(&pages[number], kept) {
                page.copy_from_slice(kept);
            }
        }
        written.fill(0);
        self.pages = snapshot.pages.clone();
        // SAFETY: `raw` is a live machine, and the bytes are what it gave for itself.
        unsafe {
            raw::sg_restore(
                self.raw.as_ptr(),
                snapshot.state.as_ptr(),
                snapshot.state.len(),
            )
        }
    }

    /// Pages of RAM written since the last [`Self::save`] or [`Self::restore`], with their physical addresses.
    pub fn written_pages(&mut self) -> Vec<(u32, Vec<u8>)> {
        let (ram, written) = self.ram();
        let pages = ram.chunks(raw::PAGE_BYTES).enumerate();
        pages
            .filter(|(number, _)| written[*number] != 0)
            .map(|(number, page)| ((number * raw::PAGE_BYTES) as u32, page.to_vec()))
            .collect()
    }

    /// Bytes of RAM from physical address 0.
    pub fn ram_bytes(&self) -> usize {
        self.ram_bytes
    }

    /// Halts the processor between two instructions, so that registers can be read and written.
    ///
    /// # Errors
    /// [`MachineError::NotHalted`] if something else stopped the machine first.
    pub fn debug_halt(&mut self) -> Result<(), MachineError> {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_debug_halt(self.raw.as_ptr(), true) };
        self.until_debug_halted()
    }

    /// Completes exactly one instruction (or delivers its exception) of a halted processor and halts again.
    ///
    /// # Errors
    /// [`MachineError::NotHalted`] if something else stopped the machine first.
    pub fn step(&mut self) -> Result<(), MachineError> {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_debug_step(self.raw.as_ptr()) };
        self.until_debug_halted()
    }

    fn until_debug_halted(&mut self) -> Result<(), MachineError> {
        let end = self.status().cycle + DEBUG_CLOCKS;
        loop {
            let left = end.saturating_sub(self.status().cycle);
            match self.run(left) {
                Stop::DebugHalted => return Ok(()),
                // A processor that has shut down halts, too; each clock until then is a stop of its own.
                Stop::Shutdown if self.status().debug_halted => return Ok(()),
                Stop::Shutdown => {}
                other => return Err(MachineError::NotHalted(other)),
            }
        }
    }

    /// Lets a halted processor go on.
    pub fn resume(&mut self) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_debug_halt(self.raw.as_ptr(), false) }
    }

    /// Reads a register of a halted processor; numbers are those of `spec::registers`. Takes a clock.
    pub fn read_register(&mut self, number: u8) -> u32 {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_register_read(self.raw.as_ptr(), number) }
    }

    /// Writes a register of a halted processor; numbers are those of `spec::registers`. Takes two clocks.
    pub fn write_register(&mut self, number: u8, value: u32) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_register_write(self.raw.as_ptr(), number, value) }
    }

    /// Drops fetched bytes and address translations of a halted processor.
    pub fn invalidate(&mut self) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_invalidate(self.raw.as_ptr()) }
    }

    /// Raises the NMI pin for two clocks.
    pub fn nmi(&mut self) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_nmi(self.raw.as_ptr()) }
    }

    /// Holds these lines of the interrupt controllers high from the next clock on, one bit each, beside those that the
    /// board's devices raise.
    pub fn set_interrupt_lines(&mut self, lines: u16) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_lines(self.raw.as_ptr(), lines) }
    }

    /// Starts a waveform (FST). One clock cycle is 10 ns of its time, counted from the first reset.
    ///
    /// # Errors
    /// [`MachineError::Wave`] if the file cannot be created.
    pub fn open_wave(&mut self, path: &Path) -> Result<(), MachineError> {
        let error = || MachineError::Wave(path.to_path_buf());
        // The trace writer asserts where it cannot write; so we try first.
        std::fs::File::create(path).map_err(|_| error())?;
        let text = CString::new(path.to_str().ok_or_else(error)?).map_err(|_| error())?;
        // SAFETY: `raw` is a live machine; the path lives through the call.
        if unsafe { raw::sg_trace_open(self.raw.as_ptr(), text.as_ptr()) } {
            Ok(())
        } else {
            Err(error())
        }
    }

    /// Ends the waveform and leaves a complete file; nothing happens if there is none.
    pub fn close_wave(&mut self) {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_trace_close(self.raw.as_ptr()) }
    }

    /// Stops writing to the waveform, or goes on. The signals seem to stand still in between, as they do while a run
    /// goes again through clocks that have been written. Returns what it was before.
    pub fn pause_wave(&mut self, paused: bool) -> bool {
        // SAFETY: `raw` is a live machine.
        unsafe { raw::sg_trace_pause(self.raw.as_ptr(), paused) }
        std::mem::replace(&mut self.wave_paused, paused)
    }

    /// Fills the waveform's text lanes, the scopes `journey` and `pipeline`.
    pub fn set_lanes(&mut self, lanes: Lanes) {
        let mut lanes = Box::new(lanes);
        let context: *mut Lanes = &mut *lanes;
        // SAFETY: `raw` is a live machine. The context is a box that `self` keeps until the machine is deleted or gets
        // other lanes, and only the shim uses it, inside calls on `&mut self`.
        unsafe { raw::sg_lanes(self.raw.as_ptr(), Some(write_lanes), context.cast()) };
        self.lanes = Some(lanes);
    }

    /// What the pipeline's stages hold now.
    pub fn pipeline(&self) -> Pipeline {
        let mut words = [0u32; 14];
        // SAFETY: `raw` is a live machine; the shim writes 14 words.
        unsafe { raw::sg_pipeline_get(self.raw.as_ptr(), words.as_mut_ptr()) };
        Pipeline::new(&words)
    }
}

/// What the stages hold in one clock; `None` is a bubble, else the EIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pipeline {
    /// Bytes in the fetch queue.
    pub fetch_bytes: u32,
    /// Decode stage.
    pub decode: Option<u32>,
    /// Issue stage.
    pub issue: Option<u32>,
    /// Address stage.
    pub address: Option<u32>,
    /// Memory stage.
    pub memory: Option<u32>,
    /// Execute stage.
    pub execute: Option<u32>,
    /// Address in the microcode ROM (12 bits).
    pub micro_address: u32,
    /// One bit per name in `spec::pipeline::STALL_REASONS`.
    pub stall: u32,
}

impl Pipeline {
    /// From the shim's words.
    fn new(words: &[u32; 14]) -> Self {
        let stage = |at: usize| (words[at] != 0).then_some(words[at + 1]);
        Self {
            fetch_bytes: words[0],
            decode: stage(1),
            issue: stage(3),
            address: stage(5),
            memory: stage(7),
            execute: stage(9),
            micro_address: words[11],
            stall: words[12],
        }
    }
}

/// Called by the shim while tracing.
///
/// # Safety
/// `context` is the pointer given to `sg_lanes`; clock and texts are valid through the call.
unsafe extern "C" fn write_lanes(
    context: *mut c_void,
    clock: *const raw::RawClock,
    texts: *mut Texts,
) {
    // SAFETY: see above.
    let (lanes, clock, texts) = unsafe { (&mut *context.cast::<Lanes>(), &*clock, &mut *texts) };
    let clock = Clock {
        // SAFETY: null, or a record that lives through the call.
        retired: unsafe { clock.retired.as_ref() },
        pipeline: Pipeline::new(&clock.pipeline),
        cs_base: clock.cs_base,
        is_32_bit: clock.mode & 8 != 0,
        paging: Paging {
            cr0: clock.cr0,
            cr3: clock.cr3,
            cr4: clock.cr4,
        },
        machine: clock.machine,
    };
    lanes(&clock, texts);
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: `raw` is a live machine and is not used again; deleting it closes the waveform.
        unsafe { raw::sg_delete(self.raw.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose reset vector holds `code` (at most 16 bytes, real mode).
    fn machine(code: &[u8]) -> Machine {
        let mut rom = vec![0x90; 0x1_0000];
        rom[0xFFF0..0xFFF0 + code.len()].copy_from_slice(code);
        Machine::new(MachineConfig {
            rom,
            ..Default::default()
        })
        .unwrap()
    }

    #[test]
    fn hlt_with_interrupts_off_ends_the_run() {
        let mut machine = machine(&[0xFA, 0xF4]); // cli; hlt
        assert_eq!(machine.run(10_000), Stop::Halted);
        assert!(machine.status().halted);
        let retired = machine.drain_retired();
        let first = retired.iter().find(|retired| retired.number == 1).unwrap();
        assert_eq!((first.eip, first.bytes[0]), (0xFFF0, 0xFA));
        assert_eq!(retired.last().unwrap().bytes[0], 0xF4);
    }

    #[test]
    fn a_write_to_the_exit_port_ends_the_run_with_its_value() {
        let mut machine = machine(&[0xB0, 0x15, 0xE6, 0xF4]); // mov al,15h; out F4h,al
        assert_eq!(machine.run(10_000), Stop::Exit(0x15));
        let ports = machine.drain_ports();
        assert_eq!(ports.len(), 1);
        assert_eq!(
            (ports[0].port, ports[0].size, ports[0].data, ports[0].write),
            (0xF4, 1, 0x15, true)
        );
    }

    #[test]
    fn a_second_reset_runs_the_same_again() {
        let mut machine = machine(&[0xB0, 0x15, 0xE6, 0xF4]);
        machine.run(10_000);
        // The first records are the reset routine's: it belongs to no instruction.
        let instructions = |machine: &mut Machine| -> Vec<Retired> {
            machine
                .drain_retired()
                .into_iter()
                .filter(|retired| retired.number != 0)
                .collect()
        };
        let first = instructions(&mut machine);
        assert_eq!(first.len(), 2);
        machine.reset();
        assert_eq!(machine.run(10_000), Stop::Exit(0x15));
        assert_eq!(instructions(&mut machine), first);
    }

    #[test]
    fn random_wait_states_change_no_result() {
        let code = [
            0xB8, 0x34, 0x12, 0xA3, 0x00, 0x10, 0x03, 0x06, 0x00, 0x10, 0xA3, 0x02, 0x10, 0xF4,
        ];
        for seed in 1..20 {
            let mut machine = machine(&code); // mov ax,1234h; mov [1000h],ax; add ax,[1000h]; mov [1002h],ax; hlt
            machine.set_wait_seed(Some(seed));
            assert_eq!(machine.run(10_000), Stop::Halted, "seed {seed}");
            assert_eq!(
                machine.read_memory(0x1000, 4).unwrap(),
                [0x34, 0x12, 0x68, 0x24],
                "seed {seed}"
            );
        }
    }

    #[test]
    fn only_ram_and_rom_can_be_read_and_only_ram_written() {
        let mut machine = machine(&[0xF4]);
        assert_eq!(machine.read_memory(0xFFFF_FFF0, 1).unwrap(), [0xF4]);
        assert_eq!(machine.read_memory(0x000F_FFF0, 1).unwrap(), [0xF4]);
        let end = spec::memory_map::DEFAULT_RAM_BYTES;
        assert!(machine.read_memory(end, 1).is_err());
        assert!(machine.read_memory(end - 1, 2).is_err());
        assert!(machine.write_memory(0x000F_FFF0, &[0]).is_err());
        assert!(machine.write_memory(0xFFFF_FFFF, &[0, 0]).is_err());
        machine.write_memory(end - 2, &[1, 2]).unwrap();
        assert_eq!(machine.read_memory(end - 2, 2).unwrap(), [1, 2]);
    }

    #[test]
    fn ram_that_is_no_multiple_of_eight_or_too_large_is_refused() {
        for ram_bytes in [12, 0xFFFF_FFF8] {
            let config = MachineConfig {
                ram_bytes,
                rom: vec![0; 0x1_0000],
                ..Default::default()
            };
            assert_eq!(
                Machine::new(config).err(),
                Some(MachineError::Size(ram_bytes, 0x1_0000))
            );
        }
    }

    #[test]
    fn a_waveform_in_a_folder_that_is_not_there_is_an_error() {
        let mut machine = machine(&[0xF4]);
        let path = Path::new("/nonexistent/run.fst");
        assert_eq!(
            machine.open_wave(path),
            Err(MachineError::Wave(path.to_path_buf()))
        );
    }
}
