//! A bench for [`DataUnit`]: drives it as the pipeline would and compares everything it does with a plain model.
use crate::memory::DataUnit;
use crate::prelude::*;
use std::collections::VecDeque;

/// Bytes of memory on the data port.
pub const MEMORY_BYTES: usize = 0x4_0000;
/// Physical address of the page directory.
pub const DIRECTORY: u32 = 0x1000;
/// First physical address that stores of the tests may reach: above the page tables.
pub const FIRST_DATA_PAGE: u32 = 0x8000;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    /// True in `percent` of 100 calls.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What one micro-op does with memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    pub io: bool,
    pub linear: u32,
    pub size: u32,
    pub user: bool,
    /// Segment or alignment forbid it.
    pub refused: bool,
    /// A store's operand; a read-modify-write adds it to what it loads.
    pub operand: u64,
}

impl Access {
    pub fn load(linear: u32, size: u32) -> Self {
        Self {
            read: true,
            linear,
            size,
            ..Self::default()
        }
    }
    pub fn store(linear: u32, size: u32, operand: u64) -> Self {
        Self {
            write: true,
            linear,
            size,
            operand,
            ..Self::default()
        }
    }
    pub fn read_modify_write(linear: u32, size: u32, operand: u64) -> Self {
        Self {
            read: true,
            write: true,
            linear,
            size,
            operand,
            ..Self::default()
        }
    }
    pub fn io(self) -> Self {
        Self { io: true, ..self }
    }
    pub fn user(self) -> Self {
        Self { user: true, ..self }
    }
    pub fn refused(self) -> Self {
        Self {
            refused: true,
            ..self
        }
    }
    fn mask(&self) -> u64 {
        if self.size == 8 {
            u64::MAX
        } else {
            (1 << (8 * self.size)) - 1
        }
    }
}

/// How a micro-op left execute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Load data (0 without a load).
    Done(u64),
    /// Error code and linear address.
    Fault(u32, u32),
    /// The access was refused.
    Refused,
}

/// PagingControl registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct PagingControl {
    pub paging: bool,
    pub write_protect: bool,
    pub page_size_extension: bool,
    /// CR3.PCD.
    pub directory_uncached: bool,
}

/// Where the clocks of a run go wrong on purpose, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disturbance {
    /// The port waits for another clock.
    pub wait: u64,
    /// Execute stalls.
    pub stall: u64,
    /// Memory has no micro-op for a clock.
    pub bubble: u64,
    /// Everything in memory and execute is killed and begun again.
    pub flush: u64,
}

#[derive(Clone, Copy)]
struct PortAccess {
    io: bool,
    write: bool,
    address: u32,
    byte_enable: u8,
    data: u64,
}

/// One access to an I/O port, as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IoEvent {
    pub write: bool,
    pub address: u32,
    pub byte_enable: u8,
    /// Enabled lanes of what is written.
    pub data: u64,
}

fn lane_mask(byte_enable: u8) -> u64 {
    (0..8)
        .filter(|i| byte_enable >> i & 1 == 1)
        .fold(0, |mask, i| mask | 0xFF << (8 * i))
}

/// What the n-th I/O read answers.
fn io_read_word(n: usize) -> u64 {
    Random(n as u64).next()
}

/// The unit, the memory behind its port, and the stages around it.
pub struct Bench {
    pub unit: Box<DataUnit>,
    pub memory: Vec<u8>,
    pub control: PagingControl,
    pub disturbance: Disturbance,
    pub random: Random,
    pub cycle: u64,
    pub io_events: Vec<IoEvent>,
    pub port_reads: u64,
    pub port_writes: u64,
    /// Addresses of reads that no cache may answer.
    pub uncached_reads: Vec<u32>,
    io_reads: usize,
    outstanding: Option<PortAccess>,
    in_memory: Option<Access>,
    in_execute: Option<(Access, Option<Outcome>)>,
    held_load: Option<u64>,
    drained: bool,
}

impl Bench {
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut unit = Box::<DataUnit>::default();
        unit.connect_all();
        let mut bench = Self {
            unit,
            memory: vec![0; MEMORY_BYTES],
            control: PagingControl::default(),
            disturbance: Disturbance::default(),
            random: Random(seed),
            cycle: 0,
            io_events: Vec::new(),
            port_reads: 0,
            port_writes: 0,
            uncached_reads: Vec::new(),
            io_reads: 0,
            outstanding: None,
            in_memory: None,
            in_execute: None,
            held_load: None,
            drained: true,
        };
        bench.unit.reset.next = true;
        bench.unit.access_blocked.next = true;
        bench.unit.execute_empty.next = true;
        bench.unit.access_size.next = 1.into();
        bench.edge();
        bench.unit.reset.next = false;
        bench
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            self.unit.update_all();
            if !self.unit.has_changed() {
                return;
            }
        }
        panic!("the unit does not settle in clock {}", self.cycle);
    }

    fn edge(&mut self) {
        self.settle();
        self.unit.clock.next = true.into();
        self.settle();
        // Nothing looks at the falling edge: it settles with the inputs of the next clock.
        self.unit.clock.next = false.into();
        self.cycle += 1;
    }

    /// Lets the memory answer (or wait), and returns whether it waits.
    fn drive_port(&mut self) -> bool {
        let wait = match self.outstanding {
            Some(_) => self.random.chance(self.disturbance.wait),
            // Meaningless now, so anything.
            None => self.disturbance.wait > 0 && self.random.chance(50),
        };
        self.unit.data_wait.next = wait;
        let mut data = self.random.next();
        if let Some(access) = self.outstanding
            && !wait
            && !access.write
        {
            if access.io {
                data = io_read_word(self.io_reads);
                self.io_reads += 1;
            } else {
                let lanes = lane_mask(access.byte_enable);
                data = (data & !lanes) | (word(&self.memory, access.address) & lanes);
            }
        }
        self.unit.data_read_data.next = data.into();
        self.unit.io_read_data.next = data.into();
        wait
    }

    /// Takes the request of this clock if the port is free.
    fn accept_request(&mut self, wait: bool) {
        if self.outstanding.is_some() && wait {
            return;
        }
        self.outstanding = None;
        if !self.unit.data_request.val() {
            return;
        }
        let access = PortAccess {
            io: self.unit.data_io.val(),
            write: self.unit.data_write.val(),
            address: u64::from(self.unit.data_address.val()) as u32,
            byte_enable: u64::from(self.unit.data_byte_enable.val()) as u8,
            data: self.unit.data_write_data.val().into(),
        };
        assert_eq!(access.address % 8, 0, "clock {}", self.cycle);
        assert_ne!(access.byte_enable, 0, "clock {}", self.cycle);
        let lanes = lane_mask(access.byte_enable);
        if access.io {
            self.io_events.push(IoEvent {
                write: access.write,
                address: access.address,
                byte_enable: access.byte_enable,
                data: if access.write { access.data & lanes } else { 0 },
            });
        } else {
            assert!(
                (access.address as usize) < MEMORY_BYTES,
                "nothing at {:08x}, clock {}",
                access.address,
                self.cycle
            );
            if access.write {
                let old = word(&self.memory, access.address);
                let new = (old & !lanes) | (access.data & lanes);
                self.memory[access.address as usize..][..8].copy_from_slice(&new.to_le_bytes());
                self.port_writes += 1;
            } else {
                self.port_reads += 1;
                if !self.unit.data_cacheable.val() {
                    self.uncached_reads.push(access.address);
                }
            }
        }
        self.outstanding = Some(access);
    }

    fn drive_control(&mut self) {
        self.unit.paging.next = self.control.paging;
        self.unit.write_protect.next = self.control.write_protect;
        self.unit.page_size_extension.next = self.control.page_size_extension;
        let uncached = if self.control.directory_uncached {
            0x10
        } else {
            0
        };
        self.unit.cr3.next = u64::from(DIRECTORY | uncached).into();
    }

    /// Runs one clock; micro-ops come from `queue`, and what becomes of them goes to `retire`.
    pub fn clock(
        &mut self,
        queue: &mut VecDeque<Access>,
        retire: &mut dyn FnMut(Access, Outcome, u32),
    ) {
        self.drive_control();
        if self.in_memory.is_none() && !self.random.chance(self.disturbance.bubble) {
            self.in_memory = queue.pop_front();
        }
        let wait = self.drive_port();
        let access = self.in_memory.unwrap_or_default();
        self.unit.access_blocked.next = self.in_memory.is_none();
        self.unit.access_read.next = access.read;
        self.unit.access_write.next = access.write;
        self.unit.access_probe.next = false;
        self.unit.access_io.next = access.io;
        self.unit.access_linear.next = u64::from(access.linear).into();
        self.unit.access_size.next = u64::from(access.size.max(1)).into();
        self.unit.access_crosses.next = access.linear % 8 + access.size.max(1) > 8;
        self.unit.access_user.next = access.user;
        self.unit.access_refused.next = access.refused;
        self.unit.execute_empty.next = self.in_execute.is_none();
        self.unit.memory_advance.next = false;
        self.unit.store_valid.next = false;
        self.unit.flush.next = false;
        self.settle();

        // An interrupt instead of the micro-op in execute, or a branch that kills what is younger.
        let interrupt = !self.unit.committed.val() && self.random.chance(self.disturbance.flush);
        let branch = self.random.chance(self.disturbance.flush);

        // Execute: a load that was ready stays ready, with the same data.
        let load_ready = self.unit.load_ready.val();
        let load_data = u64::from(self.unit.load_data.val());
        let mut wants_to_retire = false;
        if let Some((access, fault)) = self.in_execute {
            if let Some(held) = self.held_load {
                assert!(load_ready, "load_ready fell in clock {}", self.cycle);
                assert_eq!(load_data, held, "load_data changed in clock {}", self.cycle);
            }
            if load_ready && access.read && fault.is_none() {
                self.held_load = Some(load_data);
            }
            let writes_port = self.unit.committed.val() && access.io && access.write;
            let holds = !writes_port && self.random.chance(self.disturbance.stall);
            wants_to_retire = load_ready && !interrupt && !holds;
            if access.write && fault.is_none() && wants_to_retire {
                let operand = if access.read {
                    load_data.wrapping_add(access.operand)
                } else {
                    access.operand
                };
                self.unit.store_valid.next = true;
                self.unit.store_data.next = (operand & access.mask()).into();
                self.settle();
            }
        }
        let stores = self.unit.store_valid.val();
        let retires = wants_to_retire && (!stores || self.unit.store_ready.val());
        let faults = retires && matches!(self.in_execute, Some((_, Some(_))));
        let flush = interrupt || faults || (branch && retires);
        let advances = self.in_memory.is_some()
            && self.unit.memory_ready.val()
            && (self.in_execute.is_none() || retires)
            && !flush;
        self.unit.flush.next = flush;
        self.unit.memory_advance.next = advances;
        self.settle();

        if retires {
            let (access, fault) = self.in_execute.take().unwrap();
            let data = if access.read { load_data } else { 0 };
            let physical = u64::from(self.unit.load_physical.val()) as u32;
            retire(access, fault.unwrap_or(Outcome::Done(data)), physical);
        }
        if advances {
            let access = self.in_memory.take().unwrap();
            let page_fault = self.unit.page_fault.val().then(|| {
                Outcome::Fault(
                    u64::from(self.unit.page_fault_code.val()) as u32,
                    u64::from(self.unit.page_fault_linear.val()) as u32,
                )
            });
            let fault = page_fault.or(access.refused.then_some(Outcome::Refused));
            self.in_execute = Some((access, fault));
            self.held_load = None;
        }
        if flush {
            if let Some(access) = self.in_memory.take() {
                queue.push_front(access);
            }
            if let Some((access, _)) = self.in_execute.take() {
                queue.push_front(access);
            }
            self.held_load = None;
        }
        // A store that retires in this clock is in the buffer from the next.
        self.drained = !retires
            && self.unit.store_buffer_empty.val()
            && self.in_memory.is_none()
            && self.in_execute.is_none()
            && queue.is_empty();
        self.accept_request(wait);
        self.edge();
    }

    /// Runs all of `accesses`, until the last store is in memory.
    pub fn run(&mut self, accesses: &[Access], retire: &mut dyn FnMut(Access, Outcome, u32)) {
        let mut queue: VecDeque<Access> = accesses.iter().copied().collect();
        let end = self.cycle + 200 + 400 * accesses.len() as u64;
        self.drained = false;
        while !self.drained {
            self.clock(&mut queue, retire);
            assert!(
                self.cycle < end,
                "hangs: {:?} {:?} {:?}",
                self.in_execute,
                self.in_memory,
                queue.front()
            );
        }
    }

    /// Runs `accesses` one after the other and returns what became of each.
    pub fn outcomes(&mut self, accesses: &[Access]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.run(accesses, &mut |_, outcome, _| outcomes.push(outcome));
        outcomes
    }

    /// Drops the translation of one page, or of all.
    pub fn flush_translations(&mut self, linear: Option<u32>) {
        self.unit.tlb_flush.next = linear.is_none();
        self.unit.tlb_flush_linear.next = linear.is_some();
        self.unit.tlb_flush_address.next = u64::from(linear.unwrap_or(0)).into();
        self.clock(&mut VecDeque::new(), &mut |_, _, _| ());
        self.unit.tlb_flush.next = false;
        self.unit.tlb_flush_linear.next = false;
    }

    /// Asks for the translation of a fetch: the physical address, or the error code.
    pub fn fetch(&mut self, linear: u32, user: bool) -> Result<u32, u32> {
        self.unit.fetch_valid.next = true;
        self.unit.fetch_linear.next = u64::from(linear).into();
        self.unit.fetch_lookup.next = u64::from(linear).into();
        self.unit.fetch_asked.next = u64::from(linear).into();
        self.unit.fetch_user.next = user;
        self.unit.fetch_lookup_user.next = user;
        self.unit.fetch_walk_permitted.next = true;
        for _ in 0..1000 {
            self.drive_control();
            self.settle();
            let result = if self.unit.fetch_hit.val() {
                Some(Ok(u64::from(self.unit.fetch_physical.val()) as u32))
            } else if self.unit.fetch_fault.val() {
                Some(Err(u64::from(self.unit.fetch_fault_code.val()) as u32))
            } else {
                None
            };
            if let Some(result) = result {
                self.unit.fetch_valid.next = false;
                self.unit.fetch_walk_permitted.next = false;
                return result;
            }
            self.clock(&mut VecDeque::new(), &mut |_, _, _| ());
        }
        panic!("the fetch of {linear:08x} hangs");
    }
}

/// The aligned 8-byte word at `address`.
pub fn word(memory: &[u8], address: u32) -> u64 {
    u64::from_le_bytes(memory[address as usize..][..8].try_into().unwrap())
}

/// The 4 bytes at `address`.
pub fn dword(memory: &[u8], address: u32) -> u32 {
    u32::from_le_bytes(memory[address as usize..][..4].try_into().unwrap())
}

/// Writes 4 bytes.
pub fn set_dword(memory: &mut [u8], address: u32, value: u32) {
    memory[address as usize..][..4].copy_from_slice(&value.to_le_bytes());
}

/// What the unit should do: one access after the other, without buffers.
pub struct Model {
    pub memory: Vec<u8>,
    pub control: PagingControl,
    pub io_events: Vec<IoEvent>,
    io_reads: usize,
}

impl Model {
    pub fn new(bench: &Bench) -> Self {
        Self {
            memory: bench.memory.clone(),
            control: bench.control,
            io_events: Vec::new(),
            io_reads: 0,
        }
    }

    /// Translates, sets accessed and dirty bits; the error is the page-fault error code.
    pub fn translate(&mut self, linear: u32, write: bool, user: bool) -> Result<u32, u32> {
        if !self.control.paging {
            return Ok(linear);
        }
        let code = u32::from(write) << 1 | u32::from(user) << 2;
        let directory_address = DIRECTORY + (linear >> 22) * 4;
        let directory = dword(&self.memory, directory_address);
        if directory & 1 == 0 {
            return Err(code);
        }
        let large = directory & 0x80 != 0 && self.control.page_size_extension;
        let table_address = (directory & !0xFFF) + (linear >> 12 & 0x3FF) * 4;
        let table = if large {
            7
        } else {
            dword(&self.memory, table_address)
        };
        if table & 1 == 0 {
            return Err(code);
        }
        let both = directory & table;
        if user && both & 4 == 0 {
            return Err(code | 1);
        }
        if write && both & 2 == 0 && (user || self.control.write_protect) {
            return Err(code | 1);
        }
        let marks = if write { 0x60 } else { 0x20 };
        set_dword(
            &mut self.memory,
            directory_address,
            directory | if large { marks } else { 0x20 },
        );
        if large {
            return Ok((directory & 0xFFC0_0000) | (linear & 0x003F_FFFF));
        }
        set_dword(&mut self.memory, table_address, table | marks);
        Ok((table & !0xFFF) | (linear & 0xFFF))
    }

    /// Does one access; returns its outcome and the physical address of its first byte (0 if it faults).
    pub fn access(&mut self, access: Access) -> (Outcome, u32) {
        if !access.read && !access.write {
            return (Outcome::Done(0), access.linear);
        }
        if access.refused {
            return (Outcome::Refused, 0);
        }
        let crossing = access.linear % 8 + access.size > 8;
        if access.io {
            return (self.io(access, crossing), access.linear);
        }
        let next_word = (access.linear & !7).wrapping_add(8);
        let mut halves = vec![access.linear];
        if crossing {
            halves.push(next_word);
        }
        let mut physical_halves = Vec::new();
        for half in halves {
            match self.translate(half, access.write, access.user) {
                Ok(physical) => physical_halves.push(physical),
                Err(code) => return (Outcome::Fault(code, half), 0),
            }
        }
        let address = |i: u32| {
            let in_first = i < 8 - access.linear % 8;
            if in_first {
                physical_halves[0] + i
            } else {
                physical_halves[1] + i - (8 - access.linear % 8)
            }
        };
        let mut data = 0;
        for i in 0..access.size {
            data |= u64::from(self.memory[address(i) as usize]) << (8 * i);
        }
        if access.write {
            let operand = if access.read {
                data.wrapping_add(access.operand)
            } else {
                access.operand
            };
            for i in 0..access.size {
                self.memory[address(i) as usize] = (operand >> (8 * i)) as u8;
            }
        }
        (
            Outcome::Done(if access.read { data } else { 0 }),
            physical_halves[0],
        )
    }

    fn io(&mut self, access: Access, crossing: bool) -> Outcome {
        let offset = access.linear % 8;
        let enables = ((1u32 << access.size) - 1) << offset;
        let operand = u128::from(access.operand & access.mask()) << (8 * offset);
        let mut read = 0u128;
        for half in 0..=u32::from(crossing) {
            let byte_enable = (enables >> (8 * half)) as u8;
            let data = if access.write {
                (operand >> (64 * half)) as u64 & lane_mask(byte_enable)
            } else {
                0
            };
            self.io_events.push(IoEvent {
                write: access.write,
                address: (access.linear & !7) + 8 * half,
                byte_enable,
                data,
            });
            if access.read {
                read |= u128::from(io_read_word(self.io_reads)) << (64 * half);
                self.io_reads += 1;
            }
        }
        Outcome::Done((read >> (8 * offset)) as u64 & access.mask())
    }
}

/// Runs `accesses` and asserts that data, faults, addresses and memory are those of the model.
pub fn run_against_model(bench: &mut Bench, model: &mut Model, accesses: &[Access]) {
    model.control = bench.control;
    bench.run(accesses, &mut |access, outcome, physical| {
        let (expected, expected_physical) = model.access(access);
        assert_eq!(outcome, expected, "{access:x?}");
        if matches!(outcome, Outcome::Done(_)) && (access.read || access.write) {
            assert_eq!(physical, expected_physical, "{access:x?}");
        }
    });
    assert_eq!(bench.io_events, model.io_events);
    if let Some(at) = (0..MEMORY_BYTES).find(|i| bench.memory[*i] != model.memory[*i]) {
        panic!(
            "memory differs at {at:05x}: {:02x}, expected {:02x}",
            bench.memory[at], model.memory[at]
        );
    }
}
