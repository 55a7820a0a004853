//! The memory system with SDRAM: both caches, their bus, and the SDRAM's controller, behind the chip's two memory ports.
//!
//! It keeps the memory-port protocol. RAM is cached; ROM lies outside, and its answer takes three clocks; an
//! address where nothing is answers in the next. Which of them an address is, is decided outside, too.
use super::rom_port::RomPort;
use super::sdram::Sdram;
use crate::cache::bus::CacheBus;
use crate::cache::{Cache, DEFAULT_CACHE_BYTES};
use crate::prelude::*;

/// What may differ from system to system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdramMemoryOptions {
    /// Clocks per second, from which the intervals of the SDRAM are made.
    pub clock_hz: u64,
    /// Size of the instruction cache: a power of two from 1 KB to 32 KB.
    pub instruction_cache_bytes: usize,
    /// Size of the data cache, as that.
    pub data_cache_bytes: usize,
}

impl Default for SdramMemoryOptions {
    fn default() -> Self {
        Self {
            clock_hz: spec::clock::CLOCK_HZ,
            instruction_cache_bytes: DEFAULT_CACHE_BYTES,
            data_cache_bytes: DEFAULT_CACHE_BYTES,
        }
    }
}

/// Connects, and answers for ROM and for nothing.
#[derive(LogicBlock)]
pub struct SdramMemory {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Forget what is cached.
    pub flush: Signal<In, Bit>,
    /// Loads that miss may fill the caches.
    pub fills: Signal<In, Bit>,
    // instruction port
    pub instruction_request: Signal<In, Bit>,
    pub instruction_address: Signal<In, Bits<32>>,
    /// Of the address in this clock.
    pub instruction_in_ram: Signal<In, Bit>,
    pub instruction_in_rom: Signal<In, Bit>,
    pub instruction_cacheable: Signal<In, Bit>,
    pub instruction_rom_address: Signal<Out, Bits<32>>,
    /// What the ROM holds at `instruction_rom_address` of the clock before.
    pub instruction_rom_data: Signal<In, Bits<64>>,
    pub instruction_data: Signal<Out, Bits<64>>,
    pub instruction_wait: Signal<Out, Bit>,
    // data port
    pub data_request: Signal<In, Bit>,
    pub data_write: Signal<In, Bit>,
    pub data_address: Signal<In, Bits<32>>,
    pub data_in_ram: Signal<In, Bit>,
    pub data_in_rom: Signal<In, Bit>,
    pub data_cacheable: Signal<In, Bit>,
    pub data_rom_address: Signal<Out, Bits<32>>,
    pub data_rom_data: Signal<In, Bits<64>>,
    pub data_byte_enable: Signal<In, Bits<8>>,
    pub data_write_data: Signal<In, Bits<64>>,
    pub data_read_data: Signal<Out, Bits<64>>,
    pub data_wait: Signal<Out, Bit>,
    /// Every store has been given to the SDRAM, where the last may take one more clock, and no line is on its way.
    pub settled: Signal<Out, Bit>,
    // pins
    pub sdram_cke: Signal<Out, Bit>,
    pub sdram_cs_n: Signal<Out, Bit>,
    pub sdram_ras_n: Signal<Out, Bit>,
    pub sdram_cas_n: Signal<Out, Bit>,
    pub sdram_we_n: Signal<Out, Bit>,
    pub sdram_bank: Signal<Out, Bits<2>>,
    pub sdram_address: Signal<Out, Bits<13>>,
    pub sdram_dqm: Signal<Out, Bits<2>>,
    pub sdram_data_out: Signal<Out, Bits<16>>,
    pub sdram_data_drive: Signal<Out, Bit>,
    pub sdram_data_in: Signal<In, Bits<16>>,
    // state: where the answer comes from
    instruction_from_ram_reg: DFF<Bit>,
    instruction_from_rom_reg: DFF<Bit>,
    data_from_ram_reg: DFF<Bit>,
    data_from_rom_reg: DFF<Bit>,
    // units
    instruction_rom: RomPort,
    data_rom: RomPort,
    instruction_cache: Cache,
    data_cache: Cache,
    bus: CacheBus,
    sdram: Sdram,
    // wires
    instruction_waits: Signal<Local, Bit>,
    data_waits: Signal<Local, Bit>,
    instruction_kept: Signal<Local, Bits<64>>,
    data_kept: Signal<Local, Bits<64>>,
}

impl SdramMemory {
    /// A memory system with these options.
    ///
    /// # Panics
    /// As [`Cache::new`] and [`Sdram::new`].
    pub fn new(options: SdramMemoryOptions) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            flush: Default::default(),
            fills: Default::default(),
            instruction_request: Default::default(),
            instruction_address: Default::default(),
            instruction_in_ram: Default::default(),
            instruction_in_rom: Default::default(),
            instruction_cacheable: Default::default(),
            instruction_rom_address: Default::default(),
            instruction_rom_data: Default::default(),
            instruction_data: Default::default(),
            instruction_wait: Default::default(),
            data_request: Default::default(),
            data_write: Default::default(),
            data_address: Default::default(),
            data_in_ram: Default::default(),
            data_in_rom: Default::default(),
            data_cacheable: Default::default(),
            data_rom_address: Default::default(),
            data_rom_data: Default::default(),
            data_byte_enable: Default::default(),
            data_write_data: Default::default(),
            data_read_data: Default::default(),
            data_wait: Default::default(),
            settled: Default::default(),
            sdram_cke: Default::default(),
            sdram_cs_n: Default::default(),
            sdram_ras_n: Default::default(),
            sdram_cas_n: Default::default(),
            sdram_we_n: Default::default(),
            sdram_bank: Default::default(),
            sdram_address: Default::default(),
            sdram_dqm: Default::default(),
            sdram_data_out: Default::default(),
            sdram_data_drive: Default::default(),
            sdram_data_in: Default::default(),
            instruction_from_ram_reg: Default::default(),
            instruction_from_rom_reg: Default::default(),
            data_from_ram_reg: Default::default(),
            data_from_rom_reg: Default::default(),
            instruction_rom: Default::default(),
            data_rom: Default::default(),
            instruction_cache: Cache::new(options.instruction_cache_bytes, false),
            data_cache: Cache::new(options.data_cache_bytes, true),
            bus: Default::default(),
            sdram: Sdram::new(options.clock_hz),
            instruction_waits: Default::default(),
            data_waits: Default::default(),
            instruction_kept: Default::default(),
            data_kept: Default::default(),
        }
    }

    /// As [`Sdram::power_up_soon`].
    pub fn power_up_soon(&mut self) {
        self.sdram.power_up_soon();
    }

    /// Makes what a cache reads and writes in one clock wrong, so that a test finds out whether it is used.
    pub fn poisonous(&mut self) {
        self.instruction_cache.poisonous();
        self.data_cache.poisonous();
    }
}

impl Logic for SdramMemory {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            instruction_from_ram_reg,
            instruction_from_rom_reg,
            data_from_ram_reg,
            data_from_rom_reg
        );
        clock!(
            self,
            clock,
            instruction_rom,
            data_rom,
            instruction_cache,
            data_cache,
            bus,
            sdram
        );
        self.instruction_cache.reset.next = self.reset.val();
        self.data_cache.reset.next = self.reset.val();
        self.bus.reset.next = self.reset.val();
        self.sdram.reset.next = self.reset.val();
        self.instruction_cache.flush.next = self.flush.val();
        self.data_cache.flush.next = self.flush.val();
        self.instruction_cache.fills.next = self.fills.val();
        self.data_cache.fills.next = self.fills.val();

        // instruction port
        self.instruction_cache.request.next = self.instruction_request.val()
            & self.instruction_in_ram.val()
            & !self.instruction_rom.waits.val();
        self.instruction_cache.write.next = false;
        self.instruction_cache.address.next = self.instruction_address.val();
        self.instruction_cache.byte_enable.next = 0.into();
        self.instruction_cache.write_data.next = 0.into();
        self.instruction_cache.cacheable.next = self.instruction_cacheable.val();
        self.instruction_rom.starts.next = self.instruction_request.val()
            & self.instruction_in_rom.val()
            & !self.instruction_cache.busy.val();
        self.instruction_rom.address.next = self.instruction_address.val();
        self.instruction_rom.rom_data.next = self.instruction_rom_data.val();
        self.instruction_rom_address.next = self.instruction_rom.rom_address.val();
        self.instruction_waits.next =
            self.instruction_cache.busy.val() | self.instruction_rom.waits.val();
        self.instruction_wait.next = self.instruction_waits.val();
        if !self.instruction_waits.val() {
            self.instruction_from_ram_reg.d.next = self.instruction_in_ram.val();
            self.instruction_from_rom_reg.d.next = self.instruction_in_rom.val();
        }
        // What is late in the clock passes one choice.
        self.instruction_kept.next = 0xFFFF_FFFF_FFFF_FFFF_u64.into();
        if self.instruction_from_ram_reg.q.val() {
            self.instruction_kept.next = self.instruction_cache.kept_data.val();
        } else if self.instruction_from_rom_reg.q.val() {
            self.instruction_kept.next = self.instruction_rom.data.val();
        }
        self.instruction_data.next = self.instruction_kept.val();
        if self.instruction_from_ram_reg.q.val() & self.instruction_cache.from_array.val() {
            self.instruction_data.next = self.instruction_cache.array_data.val();
        }

        // data port
        self.data_cache.request.next =
            self.data_request.val() & self.data_in_ram.val() & !self.data_rom.waits.val();
        self.data_cache.write.next = self.data_write.val();
        self.data_cache.address.next = self.data_address.val();
        self.data_cache.byte_enable.next = self.data_byte_enable.val();
        self.data_cache.write_data.next = self.data_write_data.val();
        self.data_cache.cacheable.next = self.data_cacheable.val();
        self.data_rom.starts.next = self.data_request.val()
            & !self.data_write.val()
            & self.data_in_rom.val()
            & !self.data_cache.busy.val();
        self.data_rom.address.next = self.data_address.val();
        self.data_rom.rom_data.next = self.data_rom_data.val();
        self.data_rom_address.next = self.data_rom.rom_address.val();
        self.data_waits.next = self.data_cache.busy.val() | self.data_rom.waits.val();
        self.data_wait.next = self.data_waits.val();
        if !self.data_waits.val() {
            self.data_from_ram_reg.d.next = self.data_in_ram.val();
            self.data_from_rom_reg.d.next = self.data_in_rom.val();
        }
        // What is late in the clock passes one choice.
        self.data_kept.next = 0xFFFF_FFFF_FFFF_FFFF_u64.into();
        if self.data_from_ram_reg.q.val() {
            self.data_kept.next = self.data_cache.kept_data.val();
        } else if self.data_from_rom_reg.q.val() {
            self.data_kept.next = self.data_rom.data.val();
        }
        self.data_read_data.next = self.data_kept.val();
        if self.data_from_ram_reg.q.val() & self.data_cache.from_array.val() {
            self.data_read_data.next = self.data_cache.array_data.val();
        }

        // Every store is seen by the instruction cache.
        self.instruction_cache.snoop_address.next = self.data_cache.lookup_address.val();
        self.instruction_cache.snoop_store.next = self.data_cache.store.val();
        self.data_cache.snoop_address.next = 0.into();
        self.data_cache.snoop_store.next = false;

        // the bus
        self.bus.instruction_fill_request.next = self.instruction_cache.fill_request.val();
        self.bus.instruction_fill_word.next = self.instruction_cache.fill_word.val();
        self.bus.instruction_fill_line.next = self.instruction_cache.fill_line.val();
        self.instruction_cache.fill_beat.next = self.bus.instruction_fill_beat.val();
        self.instruction_cache.fill_data.next = self.bus.fill_data.val();
        self.instruction_cache.store_ready.next = true;
        self.bus.data_fill_request.next = self.data_cache.fill_request.val();
        self.bus.data_fill_word.next = self.data_cache.fill_word.val();
        self.bus.data_fill_line.next = self.data_cache.fill_line.val();
        self.data_cache.fill_beat.next = self.bus.data_fill_beat.val();
        self.data_cache.fill_data.next = self.bus.fill_data.val();
        self.bus.store.next = self.data_cache.store.val();
        self.bus.store_word.next = self.data_cache.store_word.val();
        self.bus.store_byte_enable.next = self.data_cache.store_byte_enable.val();
        self.bus.store_data.next = self.data_cache.store_data.val();
        self.data_cache.store_ready.next = self.bus.store_ready.val();
        self.settled.next = self.bus.settled.val();

        // the controller
        self.sdram.wishbone_cyc.next = self.bus.wishbone_cyc.val();
        self.sdram.wishbone_stb.next = self.bus.wishbone_stb.val();
        self.sdram.wishbone_we.next = self.bus.wishbone_we.val();
        self.sdram.wishbone_adr.next = self.bus.wishbone_adr.val();
        self.sdram.wishbone_sel.next = self.bus.wishbone_sel.val();
        self.sdram.wishbone_cti.next = self.bus.wishbone_cti.val();
        self.sdram.wishbone_bte.next = self.bus.wishbone_bte.val();
        self.sdram.wishbone_dat_i.next = self.bus.wishbone_dat_o.val();
        self.bus.wishbone_dat_i.next = self.sdram.wishbone_dat_o.val();
        self.bus.wishbone_ack.next = self.sdram.wishbone_ack.val();
        self.bus.wishbone_err.next = false;
        self.sdram_cke.next = self.sdram.sdram_cke.val();
        self.sdram_cs_n.next = self.sdram.sdram_cs_n.val();
        self.sdram_ras_n.next = self.sdram.sdram_ras_n.val();
        self.sdram_cas_n.next = self.sdram.sdram_cas_n.val();
        self.sdram_we_n.next = self.sdram.sdram_we_n.val();
        self.sdram_bank.next = self.sdram.sdram_bank.val();
        self.sdram_address.next = self.sdram.sdram_address.val();
        self.sdram_dqm.next = self.sdram.sdram_dqm.val();
        self.sdram_data_out.next = self.sdram.sdram_data_out.val();
        self.sdram_data_drive.next = self.sdram.sdram_data_drive.val();
        self.sdram.sdram_data_in.next = self.sdram_data_in.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::sdram::chip::{SdramChip, SdramPins};
    use crate::soc::testing::{clocked, settle, start, tick};
    clocked!(SdramMemory);

    const RAM_BYTES: usize = 1 << 16;
    const ROM: u64 = 0x0123_4567_89AB_CDEF;

    fn bits64(value: Bits<64>) -> u64 {
        (0..64).fold(0, |word, bit| word | (value.get_bit(bit) as u64) << bit)
    }

    /// Where an access goes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum At {
        Ram(u32),
        Rom,
        Nothing,
    }

    /// The memory system, the chip, and both ports' masters.
    struct Bench {
        memory: SdramMemory,
        chip: SdramChip,
        clock: u64,
    }

    impl Bench {
        fn new(cache_bytes: usize) -> Self {
            let options = SdramMemoryOptions {
                instruction_cache_bytes: cache_bytes,
                data_cache_bytes: cache_bytes,
                ..SdramMemoryOptions::default()
            };
            let mut memory = SdramMemory::new(options);
            memory.poisonous();
            memory.power_up_soon();
            let mut chip = SdramChip::new(options.clock_hz, RAM_BYTES);
            chip.power_up_clocks = 20;
            let mut memory = start(memory);
            memory.instruction_rom_data.next = ROM.into();
            memory.data_rom_data.next = (!ROM).into();
            memory.fills.next = true;
            memory.instruction_cacheable.next = true;
            memory.data_cacheable.next = true;
            Self {
                memory,
                chip,
                clock: 0,
            }
        }
        fn fetch(&mut self, at: Option<At>) {
            let port = &mut self.memory;
            port.instruction_request.next = at.is_some();
            port.instruction_in_ram.next = matches!(at, Some(At::Ram(_)));
            port.instruction_in_rom.next = at == Some(At::Rom);
            let address = if let Some(At::Ram(address)) = at {
                address
            } else {
                0xFFFF_FFF8
            };
            port.instruction_address.next = u64::from(address).into();
        }
        fn access(&mut self, at: Option<At>, store: Option<(u8, u64)>) {
            let port = &mut self.memory;
            port.data_request.next = at.is_some();
            port.data_in_ram.next = matches!(at, Some(At::Ram(_)));
            port.data_in_rom.next = at == Some(At::Rom);
            let address = if let Some(At::Ram(address)) = at {
                address
            } else {
                0xFFFF_FFF8
            };
            port.data_address.next = u64::from(address).into();
            port.data_write.next = store.is_some();
            let (enable, data) = store.unwrap_or((0xFF, 0));
            port.data_byte_enable.next = u64::from(enable).into();
            port.data_write_data.next = data.into();
        }
        fn tick(&mut self) {
            let memory = &mut self.memory;
            settle(memory);
            let pins = SdramPins {
                cke: memory.sdram_cke.val(),
                cs_n: memory.sdram_cs_n.val(),
                ras_n: memory.sdram_ras_n.val(),
                cas_n: memory.sdram_cas_n.val(),
                we_n: memory.sdram_we_n.val(),
                bank: memory.sdram_bank.val().index() as u8,
                address: memory.sdram_address.val().index() as u16,
                dqm: memory.sdram_dqm.val().index() as u8,
                data: memory.sdram_data_out.val().index() as u16,
                drives: memory.sdram_data_drive.val(),
            };
            memory.sdram_data_in.next = u64::from(self.chip.clock(&pins)).into();
            tick(memory);
            self.clock += 1;
        }
        /// One load: its bytes and the clocks from its request to its answer.
        fn load(&mut self, address: u32) -> (u64, u64) {
            self.access(Some(At::Ram(address)), None);
            self.tick();
            self.access(None, None);
            self.answered()
        }
        fn store(&mut self, address: u32, enable: u8, data: u64) -> u64 {
            self.access(Some(At::Ram(address)), Some((enable, data)));
            self.tick();
            self.access(None, None);
            self.answered().1
        }
        fn answered(&mut self) -> (u64, u64) {
            for clocks in 1..1000 {
                settle(&mut self.memory);
                if !self.memory.data_wait.val() {
                    let data = bits64(self.memory.data_read_data.val());
                    self.tick();
                    return (data, clocks);
                }
                self.tick();
            }
            panic!("the memory never answers");
        }
        fn settle_down(&mut self) {
            for _ in 0..1000 {
                self.tick();
                settle(&mut self.memory);
                if self.memory.settled.val() {
                    // The second half of a word may still be on the pins.
                    self.tick();
                    return;
                }
            }
            panic!("the bus is never quiet");
        }
    }

    #[test]
    fn hits_and_stores_take_one_clock_and_a_miss_its_own_bytes_only() {
        let mut bench = Bench::new(8 << 10);
        for word in 0..RAM_BYTES as u32 / 8 {
            let bytes = u64::from(word).to_le_bytes();
            bench.chip.bytes[word as usize * 8..][..8].copy_from_slice(&bytes);
        }
        bench.load(0x1000); // waits for the chip's set-up, too
        bench.settle_down();
        assert_eq!(bench.load(0x1008), (0x201, 1), "the line has come");
        bench.load(0x1100); // opens a row
        bench.settle_down();
        let (data, first) = bench.load(0x1038);
        assert_eq!(data, 0x207);
        assert_eq!(first, 10, "an open row");
        let (data, other) = bench.load(0x1000);
        assert_eq!(
            (data, other),
            (0x200, 1),
            "while the line is still on its way"
        );
        bench.settle_down();
        let (data, closed) = bench.load(0x3000);
        assert_eq!(data, 0x600);
        assert_eq!(closed, 12, "another row of the bank");
        bench.settle_down();
        assert_eq!(bench.store(0x3000, 0x0F, 0x1_0000_0002), 1);
        assert_eq!(bench.load(0x3000), (2, 1));
        assert_eq!(
            bench.store(0x2000, 0xFF, 7),
            1,
            "into a line that is not here"
        );
        bench.settle_down();
        assert_eq!(bench.chip.bytes[0x3000..0x3005], [2, 0, 0, 0, 0]);
        assert_eq!(bench.chip.bytes[0x2000], 7);
    }

    #[test]
    fn a_store_into_a_line_at_any_clock_of_its_fill_is_fetched() {
        let mut bench = Bench::new(1 << 10);
        bench.load(0);
        // Those around its end twice: a refresh delays a fill now and then.
        for round in 0..44u32 {
            let (delay, line) = (
                round.min(12 + round.saturating_sub(12) / 2),
                0x400 + 32 * round,
            );
            bench.settle_down();
            bench.fetch(Some(At::Ram(line)));
            for clock in 0..45 {
                if clock == delay {
                    bench.access(Some(At::Ram(line + 8)), Some((0xFF, u64::from(line))));
                }
                bench.tick();
                bench.access(None, None);
                bench.fetch(None);
            }
            bench.fetch(Some(At::Ram(line + 8)));
            bench.tick();
            bench.fetch(None);
            settle(&mut bench.memory);
            while bench.memory.instruction_wait.val() {
                bench.tick();
                settle(&mut bench.memory);
            }
            let fetched = bits64(bench.memory.instruction_data.val());
            assert_eq!(
                fetched,
                u64::from(line),
                "a store {delay} clocks behind the fetch"
            );
        }
    }

    /// Both ports at random, each word that is read compared with what memory may hold.
    fn random_run(seed: u64, cache_bytes: usize, clocks: u64, uncached: bool) {
        let mut state = seed;
        let mut below = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 20) % bound
        };
        let mut bench = Bench::new(cache_bytes);
        let mut memory = vec![0u64; RAM_BYTES / 8];
        for (index, word) in memory.iter_mut().enumerate() {
            *word = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            bench.chip.bytes[index * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        type Store = Option<(u8, u64)>;
        let mut data: Option<(At, Store, u64)> = None;
        let mut fetch: Option<(At, Vec<u64>)> = None;
        let mut next_data: Option<(At, Store)> = None;
        let mut next_fetch: Option<At> = None;
        let (mut loads, mut fetches, mut stores) = (0, 0, 0);
        // Few lines that meet in the caches, and a walk through them as programs do it.
        let mut walk = 0u64;
        for clock in 0..clocks {
            let mut draw = |below: &mut dyn FnMut(u64) -> u64| match below(40) {
                0 => At::Rom,
                1 => At::Nothing,
                2..30 => {
                    walk = if below(10) == 0 { below(64) } else { walk + 1 };
                    let second = (walk >> 5 & 1) * (cache_bytes as u64 / 8);
                    let word = walk & 0x1F | second;
                    At::Ram(word as u32 * 8)
                }
                _ => At::Ram(
                    ((below(3) * cache_bytes as u64 + below(6) * 32 + below(4) * 8)
                        % RAM_BYTES as u64) as u32,
                ),
            };
            if next_data.is_none() && below(4) != 0 {
                let at = draw(&mut below);
                let store = (below(3) == 0).then(|| (below(256) as u8, below(u64::MAX)));
                next_data = Some((at, store));
            }
            if next_fetch.is_none() && below(3) != 0 {
                next_fetch = Some(draw(&mut below));
            }
            settle(&mut bench.memory);
            let at = |what: &str| format!("seed {seed:x}, clock {clock}: {what}");
            // Answers.
            let data_waits = bench.memory.data_wait.val();
            if let Some((place, store, expected)) = data
                && !data_waits
            {
                let read = bits64(bench.memory.data_read_data.val());
                if store.is_none() {
                    assert_eq!(read, expected, "{}", at(&format!("load from {place:x?}")));
                    loads += 1;
                }
                data = None;
            }
            let fetch_waits = bench.memory.instruction_wait.val();
            if let Some((place, allowed)) = &fetch
                && !fetch_waits
            {
                let read = bits64(bench.memory.instruction_data.val());
                assert!(
                    allowed.contains(&read),
                    "{}",
                    at(&format!("fetch from {place:x?}: {read:x} of {allowed:x?}"))
                );
                fetches += 1;
                fetch = None;
            }
            let data_free = data.is_none();
            let fetch_free = fetch.is_none();
            // Requests: the core does not fetch a word while a store to it is on its way.
            let stored = |at: At| {
                next_data.is_some_and(|(place, store)| store.is_some() && place == at)
                    || data.is_some_and(|(place, store, _)| store.is_some() && place == at)
            };
            let asks_fetch = next_fetch.filter(|&at| !stored(at));
            bench.fetch(asks_fetch);
            bench.access(
                next_data.map(|(at, _)| at),
                next_data.and_then(|(_, store)| store),
            );
            bench.memory.data_cacheable.next = !(uncached && below(8) == 0);
            bench.memory.instruction_cacheable.next = !(uncached && below(8) == 0);
            bench.memory.fills.next = !(uncached && below(8) == 0);
            bench.memory.flush.next = below(cache_bytes as u64 / 2) == 0;
            if data_free && let Some((place, store)) = next_data.take() {
                let value = match place {
                    At::Ram(address) => {
                        let word = &mut memory[address as usize / 8];
                        if let Some((enable, bytes)) = store {
                            for lane in (0..8).filter(|lane| enable >> lane & 1 == 1) {
                                let mask = 0xFF << (8 * lane);
                                *word = *word & !mask | bytes & mask;
                            }
                            stores += 1;
                        }
                        *word
                    }
                    At::Rom => !ROM,
                    At::Nothing => u64::MAX,
                };
                data = Some((place, store, value));
                if let Some((fetched, allowed)) = &mut fetch
                    && *fetched == place
                    && store.is_some()
                {
                    allowed.push(value);
                }
            }
            if fetch_free && let Some(place) = asks_fetch {
                next_fetch = None;
                let value = match place {
                    At::Ram(address) => memory[address as usize / 8],
                    At::Rom => ROM,
                    At::Nothing => u64::MAX,
                };
                fetch = Some((place, vec![value]));
            }
            bench.tick();
        }
        assert!(
            loads > clocks / 60 && fetches > clocks / 60 && stores > clocks / 200,
            "seed {seed:x}: {loads} loads, {fetches} fetches, {stores} stores"
        );
        bench.access(None, None);
        bench.fetch(None);
        // What the ports still wait for, and then what the queue still holds.
        bench.memory.flush.next = false;
        bench.tick();
        bench.answered();
        bench.settle_down();
        for (index, word) in memory.iter().enumerate() {
            let bytes = &bench.chip.bytes[index * 8..][..8];
            assert_eq!(bytes, word.to_le_bytes(), "seed {seed:x}: {:x}", index * 8);
        }
    }

    #[test]
    fn both_ports_read_at_random_what_was_stored() {
        for round in 0..2 {
            random_run(0x5EED_0000 + round, 1 << 10, 3000, false);
        }
        random_run(0x5EED_1000, 8 << 10, 3000, false);
    }

    #[test]
    fn what_is_not_cached_is_read_from_memory() {
        random_run(0x5EED_2000, 1 << 10, 3000, true);
    }
}
