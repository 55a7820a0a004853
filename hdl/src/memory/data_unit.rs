//! Loads, stores and port accesses of the pipeline, and translation for data and fetch: connects the units.
use crate::memory::{
    DataPort, ExecuteAccess, FetchTranslation, MemoryAccess, PageWalker, StoreBuffer, Tlb,
};
use crate::prelude::*;

/// The memory side of the core, between memory, execute and fetch on one side and the data port on the other.
#[derive(LogicBlock, Default)]
pub struct DataUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The micro-ops in memory and execute are killed at the end of this clock. Buffered stores stay.
    pub flush: Signal<In, Bit>,
    // from memory: the access of its micro-op, unchanged while it waits
    pub access_read: Signal<In, Bit>,
    /// With `access_read`: a read-modify-write.
    pub access_write: Signal<In, Bit>,
    /// Nothing is accessed; the answer is `memory_ready`, with `page_fault` or without. With `access_write` as for a
    /// write, else as for a read, and without `access_read`.
    pub access_probe: Signal<In, Bit>,
    /// The access goes to a port; `access_linear` is its number.
    pub access_io: Signal<In, Bit>,
    pub access_linear: Signal<In, Bits<32>>,
    /// Bytes: 1, 2, 4 or 8.
    pub access_size: Signal<In, Bits<4>>,
    /// It crosses into the next aligned 8 bytes.
    pub access_crosses: Signal<In, Bit>,
    /// The page must be accessible to user code.
    pub access_user: Signal<In, Bit>,
    /// There is nothing to access: a fault was found before, or there is no micro-op.
    pub access_blocked: Signal<In, Bit>,
    /// The access, which is not of a port, is found to fault: nothing is written and no page is walked. It comes late in
    /// the clock, so memory may be read in vain.
    pub access_refused: Signal<In, Bit>,
    /// No micro-op is in execute.
    pub execute_empty: Signal<In, Bit>,
    /// The debugger is about to halt: no port read begins any more, for it could not be killed.
    pub hold_io_reads: Signal<In, Bit>,
    /// The micro-op moves into execute at the end of this clock; only with `memory_ready`.
    pub memory_advance: Signal<In, Bit>,
    // to memory
    /// The access is checked, and its last read (if any) is accepted at the end of this clock.
    pub memory_ready: Signal<Out, Bit>,
    /// With `memory_ready`: the translation failed and nothing was accessed.
    pub page_fault: Signal<Out, Bit>,
    /// Error code: bit 0 present, bit 1 write, bit 2 user.
    pub page_fault_code: Signal<Out, Bits<3>>,
    /// Linear address of the first byte that faults.
    pub page_fault_linear: Signal<Out, Bits<32>>,
    /// Physical address of the first byte, with `memory_ready`.
    pub access_physical: Signal<Out, Bits<32>>,
    // from execute
    /// The micro-op in execute, which has a store, retires in the first clock in which `store_ready` is 1 too.
    /// An I/O write is certain with it, so it stays 0 in a clock that kills the micro-op instead.
    pub store_valid: Signal<In, Bit>,
    /// Right-aligned.
    pub store_data: Signal<In, Bits<64>>,
    // to execute
    pub store_ready: Signal<Out, Bit>,
    /// The micro-op in execute has its load data, or no load.
    pub load_ready: Signal<Out, Bit>,
    /// Right-aligned, zero-extended.
    pub load_data: Signal<Out, Bits<64>>,
    /// Its low half, earlier in the clock, if its address is a multiple of four.
    pub aligned_load: Signal<Out, Bits<32>>,
    pub load_is_aligned: Signal<Out, Bit>,
    /// An I/O access of the micro-op in memory or execute has begun, or a read begins in this clock: no interrupt may
    /// kill the micro-op any more. Does not depend on `store_valid`.
    pub committed: Signal<Out, Bit>,
    // control registers
    /// CR0.PG.
    pub paging: Signal<In, Bit>,
    /// CR0.WP.
    pub write_protect: Signal<In, Bit>,
    /// CR4.PSE.
    pub page_size_extension: Signal<In, Bit>,
    /// CR4.PGE.
    pub page_global_enable: Signal<In, Bit>,
    pub cr3: Signal<In, Bits<32>>,
    /// Drops all translations at the end of this clock.
    pub tlb_flush: Signal<In, Bit>,
    /// Drops those of pages that are not global.
    pub tlb_flush_local: Signal<In, Bit>,
    /// Drops the translations of the page of `tlb_flush_address`.
    pub tlb_flush_linear: Signal<In, Bit>,
    pub tlb_flush_address: Signal<In, Bits<32>>,
    // fetch
    /// Fetch asks for the translation of `fetch_linear`, from a register.
    pub fetch_valid: Signal<In, Bit>,
    pub fetch_linear: Signal<In, Bits<32>>,
    /// What fetch asks for in this clock: `fetch_linear`, or where it is about to go.
    pub fetch_lookup: Signal<In, Bits<32>>,
    /// What it asked for in the clock before.
    pub fetch_asked: Signal<In, Bits<32>>,
    /// Fetch runs at privilege level 3.
    pub fetch_user: Signal<In, Bit>,
    /// What is at `fetch_lookup` will: another level if a far transfer goes there.
    pub fetch_lookup_user: Signal<In, Bit>,
    /// The pipeline is empty, so the fetch is certain and its page may be walked.
    pub fetch_walk_permitted: Signal<In, Bit>,
    /// `fetch_physical`, of `fetch_lookup`, is valid and may be fetched from.
    pub fetch_hit: Signal<Out, Bit>,
    /// A store may have been on its way to the word of `fetch_asked`.
    pub fetched_early: Signal<Out, Bit>,
    pub fetch_physical: Signal<Out, Bits<32>>,
    /// PCD of the page at `fetch_physical` is clear.
    pub fetch_cacheable: Signal<Out, Bit>,
    /// The page was walked and the fetch faults; stays while the address and the level stay.
    pub fetch_fault: Signal<Out, Bit>,
    /// Error code: bit 0 present, bit 2 user.
    pub fetch_fault_code: Signal<Out, Bits<3>>,
    // the data port
    pub data_request: Signal<Out, Bit>,
    pub data_write: Signal<Out, Bit>,
    pub data_io: Signal<Out, Bit>,
    /// Physical, a multiple of 8.
    pub data_address: Signal<Out, Bits<32>>,
    pub data_byte_enable: Signal<Out, Bits<8>>,
    pub data_write_data: Signal<Out, Bits<64>>,
    /// A read may be answered by a cache; means nothing for a write.
    pub data_cacheable: Signal<Out, Bit>,
    pub data_read_data: Signal<In, Bits<64>>,
    /// The same of an I/O read.
    pub io_read_data: Signal<In, Bits<64>>,
    pub data_wait: Signal<In, Bit>,
    // status
    /// Every store that retired before this clock is in memory.
    pub store_buffer_empty: Signal<Out, Bit>,
    /// Fewer than two words of room.
    pub store_buffer_full: Signal<Out, Bit>,
    /// A page walk is under way.
    pub walking: Signal<Out, Bit>,
    /// Physical address of the load in execute (of the port, for I/O).
    pub load_physical: Signal<Out, Bits<32>>,
    /// Physical address of the store in execute (of the port, for I/O).
    pub store_physical: Signal<Out, Bits<32>>,
    // units
    memory: MemoryAccess,
    execute: ExecuteAccess,
    fetch: FetchTranslation,
    data_tlb: Tlb,
    instruction_tlb: Tlb,
    walker: PageWalker,
    store_buffer: StoreBuffer,
    port: DataPort,
}

impl Logic for DataUnit {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(
            self,
            clock,
            memory,
            execute,
            fetch,
            data_tlb,
            instruction_tlb,
            walker,
            store_buffer,
            port
        );
        self.memory.reset.next = self.reset.val();
        self.execute.reset.next = self.reset.val();
        self.fetch.reset.next = self.reset.val();
        self.data_tlb.reset.next = self.reset.val();
        self.instruction_tlb.reset.next = self.reset.val();
        self.walker.reset.next = self.reset.val();
        self.store_buffer.reset.next = self.reset.val();
        self.port.reset.next = self.reset.val();
        self.memory.flush.next = self.flush.val();
        self.execute.flush.next = self.flush.val();
        self.walker.flush.next = self.flush.val();
        self.port.flush.next = self.flush.val();

        // The micro-op in memory.
        self.memory.access_read.next = self.access_read.val();
        self.memory.access_write.next = self.access_write.val();
        self.memory.access_probe.next = self.access_probe.val();
        self.memory.access_io.next = self.access_io.val();
        self.memory.access_linear.next = self.access_linear.val();
        self.memory.access_size.next = self.access_size.val();
        self.memory.access_crosses.next = self.access_crosses.val();
        self.memory.access_user.next = self.access_user.val();
        self.memory.access_blocked.next = self.access_blocked.val();
        self.memory.access_refused.next = self.access_refused.val();
        self.memory.execute_empty.next = self.execute_empty.val();
        self.memory.hold_io_reads.next = self.hold_io_reads.val();
        self.memory.memory_advance.next = self.memory_advance.val();
        self.memory.paging.next = self.paging.val();
        self.memory.write_protect.next = self.write_protect.val();
        self.memory.store_buffer_empty.next = self.store_buffer.empty.val();
        self.memory.tlb_hit.next = self.data_tlb.hit.val();
        self.memory.tlb_frame.next = self.data_tlb.frame.val();
        self.memory.tlb_user.next = self.data_tlb.user.val();
        self.memory.tlb_writable.next = self.data_tlb.writable.val();
        self.memory.tlb_dirty.next = self.data_tlb.dirty.val();
        self.memory.tlb_uncached.next = self.data_tlb.uncached.val();
        self.memory.walk_fault.next = self.walker.fault_valid.val() & !self.walker.fetch.val();
        self.memory.walk_fault_present.next = self.walker.fault_present.val();
        self.memory.load_granted.next = self.port.load_granted.val();
        self.memory.io_read_answered.next = self.port.io_read_answered.val();
        self.memory_ready.next = self.memory.memory_ready.val();
        self.page_fault.next = self.memory.page_fault.val();
        self.page_fault_code.next = self.memory.page_fault_code.val();
        self.page_fault_linear.next = self.memory.page_fault_linear.val();
        self.access_physical.next = self.memory.first_physical.val();

        // The micro-op in execute.
        self.execute.memory_advance.next = self.memory_advance.val();
        self.execute.checked.next.load = self.memory.accesses.val() & self.access_read.val();
        self.execute.checked.next.store =
            self.memory.accesses.val() & self.access_write.val() & !self.access_io.val();
        self.execute.checked.next.io_read =
            self.memory.accesses.val() & self.access_read.val() & self.access_io.val();
        self.execute.checked.next.io_write =
            self.memory.accesses.val() & self.access_write.val() & self.access_io.val();
        self.execute.checked.next.split = self.memory.crossing.val();
        self.execute.checked.next.offset = self.access_linear.val().get_bits::<3>(0);
        self.execute.checked.next.first_word = self.memory.first_physical.val().get_bits::<29>(3);
        self.execute.checked.next.second_word = self.memory.last_word.val();
        self.execute.checked.next.first_byte_enable = self.memory.first_byte_enable.val();
        self.execute.checked.next.second_byte_enable = self.memory.second_byte_enable.val();
        self.execute.checked.next.earlier_lanes = 0.into();
        self.execute.checked.next.last_lanes = self.memory.first_byte_enable.val();
        if self.memory.crossing.val() {
            self.execute.checked.next.earlier_lanes = self.memory.first_byte_enable.val();
            self.execute.checked.next.last_lanes = self.memory.second_byte_enable.val();
        }
        self.execute.io_read_done.next = self.memory.io_read_done.val();
        self.execute.first_half.next = self.memory.first_half.val();
        self.execute.answer_data.next = self.data_read_data.val();
        self.execute.io_answer_data.next = self.io_read_data.val();
        self.execute.buffered_lanes.next = self.store_buffer.buffered_lanes.val();
        self.execute.new_lanes.next = self.store_buffer.new_lanes.val();
        self.execute.buffered_data.next = self.store_buffer.buffered_data.val();
        self.execute.first_load_answered.next = self.port.first_load_answered.val();
        self.execute.last_load_answered.next = self.port.last_load_answered.val();
        self.execute.io_read_answered.next = self.port.io_read_answered.val();
        self.execute.io_write_accepted.next = self.port.io_write_accepted.val();
        self.execute.io_write_answered.next = self.port.io_write_answered.val();
        self.execute.execute_empty.next = self.execute_empty.val();
        self.execute.store_valid.next = self.store_valid.val();
        self.execute.store_data.next = self.store_data.val();
        self.execute.store_buffer_empty.next = self.store_buffer.empty.val();
        self.execute.room_for_one.next = self.store_buffer.room_for_one.val();
        self.execute.room_for_two.next = self.store_buffer.room_for_two.val();
        self.store_ready.next = self.execute.store_ready.val();
        self.load_ready.next = self.execute.load_ready.val();
        self.load_data.next = self.execute.load_data.val();
        self.aligned_load.next = self.execute.aligned_load.val();
        self.load_is_aligned.next = self.execute.load_is_aligned.val();
        self.load_physical.next = self.execute.physical.val();
        self.store_physical.next = self.execute.physical.val();
        self.committed.next = self.memory.io_read_committed.val() | self.execute.io_committed.val();

        // Buffered stores.
        self.store_buffer.push_valid.next = self.execute.push_valid.val();
        self.store_buffer.push_split.next = self.execute.split.val();
        self.store_buffer.first_word.next = self.execute.first_word.val();
        self.store_buffer.first_byte_enable.next = self.execute.first_byte_enable.val();
        self.store_buffer.second_word.next = self.execute.second_word.val();
        self.store_buffer.second_byte_enable.next = self.execute.second_byte_enable.val();
        self.store_buffer.push_data.next = self.execute.push_data.val();
        self.store_buffer.load_match.next = self.port.free.val();
        self.store_buffer.load_word.next = self.memory.load_word.val();
        self.store_buffer.drain_accepted.next = self.port.store_accepted.val();
        self.store_buffer.drain_settled.next = self.port.store_settled.val();
        self.store_buffer.fetched_word.next = self.fetch_asked.val().get_bits::<9>(3);
        self.fetched_early.next = self.store_buffer.fetched_early.val();
        self.store_buffer_empty.next =
            self.store_buffer.empty.val() & self.port.store_settled.val();
        self.store_buffer_full.next = !self.store_buffer.room_for_two.val();

        // Page walks, only for what is certain to happen; data first.
        self.walker.start.next = self.memory.walk_wanted.val() | self.fetch.walk_wanted.val();
        self.walker.start_fetch.next = !self.memory.walk_wanted.val();
        self.walker.start_page.next = self.fetch_linear.val().get_bits::<20>(12);
        self.walker.start_write.next = false;
        self.walker.start_user.next = self.fetch_user.val();
        if self.memory.walk_wanted.val() {
            self.walker.start_page.next = self.memory.lookup_page.val();
            self.walker.start_write.next = self.access_write.val();
            self.walker.start_user.next = self.access_user.val();
        }
        self.walker.directory_frame.next = self.cr3.val().get_bits::<20>(12);
        self.walker.directory_uncached.next = self.cr3.val().get_bit(4);
        self.walker.write_protect.next = self.write_protect.val();
        self.walker.page_size_extension.next = self.page_size_extension.val();
        self.walker.page_global_enable.next = self.page_global_enable.val();
        self.walker.port_accepted.next = self.port.walk_accepted.val();
        self.walker.port_answered.next = self.port.walk_answered.val();
        self.walker.port_read_data.next = self.data_read_data.val();
        self.walking.next = self.walker.busy.val();

        // The translation buffers.
        self.data_tlb.lookup_page.next = self.memory.lookup_page.val();
        self.data_tlb.fill_valid.next = self.walker.fill_valid.val() & !self.walker.fetch.val();
        self.data_tlb.fill_page.next = self.walker.page.val();
        self.data_tlb.fill_frame.next = self.walker.frame.val();
        self.data_tlb.fill_user.next = self.walker.user.val();
        self.data_tlb.fill_writable.next = self.walker.writable.val();
        self.data_tlb.fill_dirty.next = self.walker.dirty.val();
        self.data_tlb.fill_uncached.next = self.walker.uncached.val();
        self.data_tlb.fill_large.next = self.walker.four_megabytes.val();
        self.data_tlb.fill_global.next = self.walker.global.val();
        self.data_tlb.flush.next = self.tlb_flush.val();
        self.data_tlb.flush_local.next = self.tlb_flush_local.val();
        self.data_tlb.flush_one.next = self.tlb_flush_linear.val();
        self.data_tlb.flush_page.next = self.tlb_flush_address.val().get_bits::<20>(12);
        self.instruction_tlb.lookup_page.next = self.fetch_lookup.val().get_bits::<20>(12);
        self.instruction_tlb.fill_valid.next =
            self.walker.fill_valid.val() & self.walker.fetch.val();
        self.instruction_tlb.fill_page.next = self.walker.page.val();
        self.instruction_tlb.fill_frame.next = self.walker.frame.val();
        self.instruction_tlb.fill_user.next = self.walker.user.val();
        self.instruction_tlb.fill_writable.next = self.walker.writable.val();
        self.instruction_tlb.fill_dirty.next = self.walker.dirty.val();
        self.instruction_tlb.fill_uncached.next = self.walker.uncached.val();
        self.instruction_tlb.fill_large.next = self.walker.four_megabytes.val();
        self.instruction_tlb.fill_global.next = self.walker.global.val();
        self.instruction_tlb.flush.next = self.tlb_flush.val();
        self.instruction_tlb.flush_local.next = self.tlb_flush_local.val();
        self.instruction_tlb.flush_one.next = self.tlb_flush_linear.val();
        self.instruction_tlb.flush_page.next = self.tlb_flush_address.val().get_bits::<20>(12);

        // Fetch.
        self.fetch.forget.next = self.flush.val()
            | self.tlb_flush.val()
            | self.tlb_flush_local.val()
            | self.tlb_flush_linear.val();
        self.fetch.changing.next = self.tlb_flush.val() | self.tlb_flush_local.val();
        self.fetch.fetch_valid.next = self.fetch_valid.val();
        self.fetch.fetch_linear.next = self.fetch_linear.val();
        self.fetch.lookup_linear.next = self.fetch_lookup.val();
        self.fetch.fetch_user.next = self.fetch_user.val();
        self.fetch.lookup_user.next = self.fetch_lookup_user.val();
        self.fetch.paging.next = self.paging.val();
        self.fetch.tlb_hit.next = self.instruction_tlb.hit.val();
        self.fetch.tlb_frame.next = self.instruction_tlb.frame.val();
        self.fetch.tlb_user.next = self.instruction_tlb.user.val();
        self.fetch.tlb_uncached.next = self.instruction_tlb.uncached.val();
        self.fetch.walk_permitted.next = self.fetch_walk_permitted.val()
            & !self.memory.occupied.val()
            & self.store_buffer.empty.val()
            & !self.walker.busy.val();
        self.fetch.walking.next = self.walker.busy.val();
        self.fetch.walk_fault.next = self.walker.fault_valid.val() & self.walker.fetch.val();
        self.fetch.walk_fault_present.next = self.walker.fault_present.val();
        self.fetch_hit.next = self.fetch.fetch_hit.val();
        self.fetch_physical.next = self.fetch.fetch_physical.val();
        self.fetch_cacheable.next = self.fetch.fetch_cacheable.val();
        self.fetch_fault.next = self.fetch.fetch_fault.val();
        self.fetch_fault_code.next = self.fetch.fetch_fault_code.val();

        // The data port.
        self.port.walk_request.next = self.walker.port_request.val();
        self.port.walk_write.next = self.walker.port_write.val();
        self.port.walk_address.next = self.walker.port_address.val();
        self.port.walk_write_data.next = self.walker.port_write_data.val();
        self.port.walk_cacheable.next = self.walker.port_cacheable.val();
        self.port.io_write_request.next = self.execute.io_write_request.val();
        self.port.io_write_word.next = self.execute.io_write_word.val();
        self.port.io_write_byte_enable.next = self.execute.io_write_byte_enable.val();
        self.port.io_write_data.next = self.execute.io_write_data.val();
        self.port.store_request.next = !self.store_buffer.empty.val();
        // An I/O write waits for older stores, however many loads ask.
        self.port.store_urgent.next =
            !self.store_buffer.room_for_two.val() | self.execute.io_write.val();
        self.port.store_word.next = self.store_buffer.drain_word.val();
        self.port.store_byte_enable.next = self.store_buffer.drain_byte_enable.val();
        self.port.store_data.next = self.store_buffer.drain_data.val();
        self.port.load_first.next = self.memory.load_first.val();
        self.port.load_request.next = self.memory.load_request.val();
        self.port.load_io.next = self.memory.load_io.val();
        self.port.load_word.next = self.memory.load_word.val();
        self.port.load_byte_enable.next = self.memory.load_byte_enable.val();
        self.port.load_cacheable.next = self.memory.load_cacheable.val();
        self.port.load_use.next = self.memory.load_use.val();
        self.port.data_wait.next = self.data_wait.val();
        self.data_request.next = self.port.data_request.val();
        self.data_write.next = self.port.data_write.val();
        self.data_io.next = self.port.data_io.val();
        self.data_address.next = self.port.data_address.val();
        self.data_byte_enable.next = self.port.data_byte_enable.val();
        self.data_write_data.next = self.port.data_write_data.val();
        self.data_cacheable.next = self.port.data_cacheable.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::*;

    #[test]
    fn an_aligned_load_takes_one_clock_and_loads_follow_each_other_every_clock() {
        let mut bench = Bench::new(1);
        let loads: Vec<Access> = (0..40).map(|i| Access::load(0x8000 + 4 * i, 4)).collect();
        let begin = bench.cycle;
        bench.run(&loads, &mut |_, _, _| ());
        // One clock each, one for the last to pass execute, one to see that all is done.
        assert!(bench.cycle - begin <= 42, "{} clocks", bench.cycle - begin);
    }

    #[test]
    fn a_crossing_load_sees_the_store_before_it() {
        for seed in 0..4 {
            let mut bench = Bench::new(seed);
            bench.disturbance = Disturbance {
                wait: 20 * (seed % 2),
                stall: 70,
                ..Disturbance::default()
            };
            let mut model = Model::new(&bench);
            let accesses: Vec<Access> = (0..15)
                .flat_map(|i| {
                    let operand = 0x0101_0101_0101_0101 * (i + 1);
                    [
                        Access::store(0x8000 + 8 * (i as u32 % 2), 8, operand),
                        Access::load(0x8006, 4),
                    ]
                })
                .collect();
            run_against_model(&mut bench, &mut model, &accesses);
        }
    }

    #[test]
    fn stores_without_loads_take_one_clock_each() {
        let mut bench = Bench::new(1);
        let stores: Vec<Access> = (0..40)
            .map(|i| Access::store(0x8000 + 8 * i, 8, i.into()))
            .collect();
        let begin = bench.cycle;
        bench.run(&stores, &mut |_, _, _| ());
        assert!(bench.cycle - begin <= 46, "{} clocks", bench.cycle - begin);
        assert_eq!(word(&bench.memory, 0x8000 + 8 * 39), 39);
    }

    #[test]
    fn read_modify_writes_of_one_address_take_one_clock_each() {
        let mut bench = Bench::new(1);
        let adds = [Access::read_modify_write(0x8004, 4, 1); 40];
        let begin = bench.cycle;
        bench.run(&adds, &mut |_, _, _| ());
        assert!(bench.cycle - begin <= 44, "{} clocks", bench.cycle - begin);
        assert_eq!(dword(&bench.memory, 0x8004), 40);
    }

    #[test]
    fn read_modify_writes_of_many_addresses_take_two_clocks_each() {
        let mut bench = Bench::new(1);
        let adds: Vec<Access> = (0..40)
            .map(|i| Access::read_modify_write(0x8000 + 8 * i, 4, 1))
            .collect();
        let begin = bench.cycle;
        bench.run(&adds, &mut |_, _, _| ());
        assert!(bench.cycle - begin <= 90, "{} clocks", bench.cycle - begin);
    }

    fn random_access(random: &mut Random, pages: &[u32]) -> Access {
        let page = pages[random.below(pages.len() as u64) as usize];
        let offset = match random.below(8) {
            0 => 0xFF0 + random.below(16),
            1 => random.below(0x1000),
            _ => random.below(40),
        } as u32;
        let size = 1 << random.below(4);
        let linear = page
            + if random.chance(70) {
                offset & !(size - 1)
            } else {
                offset
            };
        let user = random.chance(30);
        let operand = random.next();
        let refused = random.chance(10);
        let access = match random.below(12) {
            0..4 => Access {
                user,
                ..Access::load(linear, size)
            },
            4..7 => Access {
                user,
                ..Access::store(linear, size, operand)
            },
            7..10 => Access {
                user,
                ..Access::read_modify_write(linear, size, operand)
            },
            10 => Access::default(),
            _ => {
                let port = Access {
                    linear: linear & 0xFFF,
                    size: size.min(4),
                    operand,
                    io: true,
                    ..Access::default()
                };
                if random.chance(50) {
                    Access { read: true, ..port }
                } else {
                    Access {
                        write: true,
                        ..port
                    }
                }
            }
        };
        if refused && !access.io && (access.read || access.write) {
            return access.refused();
        }
        access
    }

    fn random_disturbance(random: &mut Random) -> Disturbance {
        let mut pick = |values: [u64; 4]| values[random.below(4) as usize];
        Disturbance {
            wait: pick([0, 0, 30, 70]),
            stall: pick([0, 10, 30, 60]),
            bubble: pick([0, 0, 20, 50]),
            flush: pick([0, 1, 3, 10]),
        }
    }

    #[test]
    fn random_accesses_without_paging_do_what_the_model_does() {
        for seed in 0..4 {
            let mut bench = Bench::new(seed);
            let mut random = Random(seed + 1000);
            bench.disturbance = random_disturbance(&mut random);
            let mut model = Model::new(&bench);
            let pages = [0x8000, 0x9000];
            let accesses: Vec<Access> = (0..150)
                .map(|_| random_access(&mut random, &pages))
                .collect();
            run_against_model(&mut bench, &mut model, &accesses);
        }
    }

    /// Page tables at the bottom of memory; returns the linear pages that are worth an access.
    fn random_page_tables(random: &mut Random, memory: &mut [u8]) -> Vec<u32> {
        let mut pages = Vec::new();
        let tables = [
            (0u32, 0x2000u32),
            (1, 0x3000),
            (0x200, 0x4000),
            (0x3FF, 0x5000),
        ];
        for (index, table) in tables {
            let rights = if random.chance(70) {
                7
            } else {
                random.below(8) as u32
            };
            set_dword(memory, DIRECTORY + index * 4, table | rights);
            for page in [0u32, 1, 2, 31, 32, 33, 64, 0x3FE, 0x3FF] {
                pages.push(index << 22 | page << 12);
                set_page(random, memory, table + page * 4);
            }
        }
        // A large page: its linear pages above the tables are used.
        let rights = if random.chance(70) {
            7
        } else {
            random.below(8) as u32
        };
        set_dword(memory, DIRECTORY + 0x80 * 4, 0x80 | rights);
        for page in [8u32, 9, 10, 0x20] {
            pages.push(0x80 << 22 | page << 12);
        }
        pages
    }

    fn set_page(random: &mut Random, memory: &mut [u8], entry: u32) {
        let frame = FIRST_DATA_PAGE + 0x1000 * random.below(16) as u32;
        let rights = match random.below(10) {
            0..7 => 7,
            _ => random.below(8) as u32,
        };
        let marks = if random.chance(30) {
            random.below(4) as u32 * 0x20
        } else {
            0
        };
        set_dword(memory, entry, frame | rights | marks);
    }

    #[test]
    fn random_accesses_with_paging_do_what_the_model_does() {
        run_with_paging(0..3);
    }

    #[test]
    #[ignore = "takes minutes without optimisation"]
    fn many_random_accesses_with_paging_do_what_the_model_does() {
        run_with_paging(1000..1100);
    }

    fn run_with_paging(seeds: std::ops::Range<u64>) {
        for seed in seeds {
            let mut random = Random(seed + 2000);
            let mut bench = Bench::new(seed);
            bench.disturbance = random_disturbance(&mut random);
            bench.control = PagingControl {
                paging: true,
                write_protect: random.chance(50),
                page_size_extension: seed % 2 == 0,
                ..PagingControl::default()
            };
            let mut pages = random_page_tables(&mut random, &mut bench.memory);
            if !bench.control.page_size_extension {
                // Without PSE the large entry means a table at address 0, whose entries are not present.
                pages.truncate(pages.len() - 3);
            }
            let mut model = Model::new(&bench);
            for _ in 0..4 {
                let near: Vec<u32> = (0..6)
                    .map(|_| pages[random.below(pages.len() as u64) as usize])
                    .collect();
                let accesses: Vec<Access> =
                    (0..50).map(|_| random_access(&mut random, &near)).collect();
                run_against_model(&mut bench, &mut model, &accesses);
                for _ in 0..6 {
                    let linear = near[random.below(6) as usize] + random.below(0x1000) as u32;
                    let user = random.chance(50);
                    let expected = model.translate(linear, false, user);
                    assert_eq!(bench.fetch(linear, user), expected, "fetch of {linear:08x}");
                }
                // The tables change, and the translations that may be stale are dropped.
                let everything = random.chance(30);
                for _ in 0..if everything { 8 } else { 1 } {
                    let page = near[random.below(6) as usize];
                    let directory = dword(&model.memory, DIRECTORY + (page >> 22) * 4);
                    if directory & 0x80 == 0 {
                        let entry = (directory & !0xFFF) + (page >> 12 & 0x3FF) * 4;
                        set_page(&mut random, &mut model.memory, entry);
                        let new = dword(&model.memory, entry);
                        set_dword(&mut bench.memory, entry, new);
                    }
                    if !everything {
                        bench.flush_translations(Some(page + 0x123));
                    }
                }
                if everything {
                    bench.flush_translations(None);
                }
            }
        }
    }

    /// A bench with paging on: page 400000h is `entry`, page 401000h user-writable at B000h, page 3FF000h at A000h.
    fn paging_bench(entry: u32) -> Bench {
        let mut bench = Bench::new(1);
        bench.control = PagingControl {
            paging: true,
            write_protect: true,
            page_size_extension: true,
            ..PagingControl::default()
        };
        set_dword(&mut bench.memory, DIRECTORY, 0x2007);
        set_dword(&mut bench.memory, DIRECTORY + 4, 0x3007);
        set_dword(&mut bench.memory, 0x2000 + 0x3FF * 4, 0xA007);
        set_dword(&mut bench.memory, 0x3000, entry);
        set_dword(&mut bench.memory, 0x3004, 0xB007);
        bench
    }

    #[test]
    fn page_faults_report_code_and_the_first_byte_that_faults() {
        let load = Access::load(0x0040_0123, 4);
        let store = Access::store(0x0040_0123, 4, 1);
        let crossing = Access::store(0x003F_FFFE, 4, 0xAABB_CCDD);
        #[rustfmt::skip]
        let rows = [
            // entry   access           outcome
            (0x9006u32, load,            Outcome::Fault(0b000, 0x0040_0123)),
            (0x9006,    store,           Outcome::Fault(0b010, 0x0040_0123)),
            (0x9006,    load.user(),     Outcome::Fault(0b100, 0x0040_0123)),
            (0x9003,    load.user(),     Outcome::Fault(0b101, 0x0040_0123)),
            (0x9003,    load,            Outcome::Done(0)),
            (0x9005,    store.user(),    Outcome::Fault(0b111, 0x0040_0123)),
            (0x9005,    store,           Outcome::Fault(0b011, 0x0040_0123)),
            (0x9005,    load.user(),     Outcome::Done(0)),
            (0x9007,    store.user(),    Outcome::Done(0)),
            (0x9006,    crossing.user(), Outcome::Fault(0b110, 0x0040_0000)),
            (0x9007,    crossing.user(), Outcome::Done(0)),
        ];
        for (entry, access, outcome) in rows {
            let mut bench = paging_bench(entry);
            // A second time from the translation buffer, as far as the page is in it.
            let outcomes = bench.outcomes(&[access, access]);
            assert_eq!(outcomes, [outcome; 2], "entry {entry:x}, {access:x?}");
        }
    }

    #[test]
    fn a_store_whose_second_page_faults_writes_nothing() {
        let mut bench = paging_bench(0x9006);
        bench.outcomes(&[Access::store(0x003F_FFFE, 4, 0xAABB_CCDD)]);
        assert_eq!(word(&bench.memory, 0xAFF8), 0);
    }

    #[test]
    fn supervisor_writes_to_read_only_pages_depend_on_write_protect() {
        let mut bench = paging_bench(0x9005);
        bench.control.write_protect = false;
        let store = Access::store(0x0040_0008, 4, 0x1234);
        assert_eq!(bench.outcomes(&[store]), [Outcome::Done(0)]);
        assert_eq!(dword(&bench.memory, 0x9008), 0x1234);
        bench.control.write_protect = true;
        assert_eq!(
            bench.outcomes(&[store]),
            [Outcome::Fault(0b011, 0x0040_0008)]
        );
    }

    #[test]
    fn the_first_write_to_a_clean_page_sets_its_dirty_bit() {
        let mut bench = paging_bench(0x9007);
        bench.outcomes(&[Access::load(0x0040_0000, 4)]);
        assert_eq!(dword(&bench.memory, DIRECTORY + 4), 0x3027);
        assert_eq!(dword(&bench.memory, 0x3000), 0x9027);
        bench.outcomes(&[Access::store(0x0040_0000, 4, 1)]);
        assert_eq!(dword(&bench.memory, DIRECTORY + 4), 0x3027);
        assert_eq!(dword(&bench.memory, 0x3000), 0x9067);
    }

    #[test]
    fn a_page_is_walked_once_until_it_is_flushed() {
        let mut bench = paging_bench(0x9007);
        let load = [Access::load(0x0040_0000, 4)];
        let reads = |bench: &mut Bench| {
            let before = bench.port_reads;
            bench.outcomes(&load);
            bench.port_reads - before
        };
        assert_eq!(reads(&mut bench), 3, "two levels and the load");
        assert_eq!(reads(&mut bench), 1);
        bench.flush_translations(Some(0x0040_1000));
        assert_eq!(reads(&mut bench), 1, "another page was flushed");
        bench.flush_translations(Some(0x0040_0FFF));
        assert_eq!(reads(&mut bench), 3);
        bench.flush_translations(None);
        assert_eq!(reads(&mut bench), 3);
    }

    #[test]
    fn each_entry_says_whether_what_it_names_is_cached() {
        const PCD: u32 = 0x10;
        let load = [Access::load(0x0040_0008, 4)];
        #[rustfmt::skip]
        let rows: [(bool, u32, u32, &[u32]); 5] = [
            // CR3.PCD  directory    table   reads that no cache may answer, the first and the second time
            (false, 0,   0,   &[]),
            (true,  0,   0,   &[DIRECTORY]),
            (false, PCD, 0,   &[0x3000]),
            (false, 0,   PCD, &[0x9008, 0x9008]),
            (true,  PCD, PCD, &[DIRECTORY, 0x3000, 0x9008, 0x9008]),
        ];
        for (directory_uncached, directory, table, uncached) in rows {
            let mut bench = paging_bench(0x9007 | table);
            bench.control.directory_uncached = directory_uncached;
            set_dword(&mut bench.memory, DIRECTORY + 4, 0x3007 | directory);
            bench.outcomes(&load);
            bench.outcomes(&load);
            assert_eq!(bench.uncached_reads, uncached, "{directory:x} {table:x}");
            assert_eq!(bench.fetch(0x0040_0010, false), Ok(0x9010));
            assert_eq!(bench.unit.fetch_cacheable.val(), table == 0);
        }
    }

    #[test]
    fn a_large_page_is_cached_as_its_directory_entry_says() {
        for entry in [0x0000_0087, 0x0000_0097] {
            let mut bench = paging_bench(0x9007);
            set_dword(&mut bench.memory, DIRECTORY + 8, entry);
            bench.outcomes(&[Access::load(0x0080_8000, 4)]);
            let uncached = if entry & 0x10 != 0 {
                vec![0x8000]
            } else {
                vec![]
            };
            assert_eq!(bench.uncached_reads, uncached, "{entry:x}");
        }
    }

    #[test]
    fn without_paging_everything_may_be_cached() {
        let mut bench = Bench::new(1);
        bench.control.directory_uncached = true;
        bench.outcomes(&[Access::load(0x8000, 4)]);
        assert_eq!(bench.uncached_reads, []);
        assert_eq!(bench.fetch(0x8000, false), Ok(0x8000));
        assert!(bench.unit.fetch_cacheable.val());
    }

    #[test]
    fn invlpg_drops_all_pieces_of_a_large_page() {
        let mut bench = paging_bench(0x9007);
        set_dword(&mut bench.memory, DIRECTORY + 8, 0x0000_0087);
        let load = [Access::load(0x0080_8000, 4)];
        bench.outcomes(&load);
        assert_eq!(dword(&bench.memory, DIRECTORY + 8), 0xA7);
        set_dword(&mut bench.memory, DIRECTORY + 8, 0);
        bench.flush_translations(Some(0x0080_0000));
        assert_eq!(bench.outcomes(&load), [Outcome::Fault(0, 0x0080_8000)]);
    }

    #[test]
    fn accesses_wrap_at_four_gigabytes() {
        let mut bench = paging_bench(0x9007);
        set_dword(&mut bench.memory, DIRECTORY + 0xFFC, 0x4007);
        set_dword(&mut bench.memory, 0x4FFC, 0xC007);
        set_dword(&mut bench.memory, 0x2000, 0xD007);
        let store = Access::store(0xFFFF_FFFD, 8, 0x8877_6655_4433_2211);
        assert_eq!(
            bench.outcomes(&[store, Access::load(0, 4)]),
            [Outcome::Done(0), Outcome::Done(0x7766_5544)]
        );
        assert_eq!(word(&bench.memory, 0xCFF8), 0x3322_1100_0000_0000);
    }

    #[test]
    fn a_fetch_fault_stays_until_the_pipeline_is_flushed() {
        let mut bench = paging_bench(0x9006);
        assert_eq!(bench.fetch(0x0040_0010, true), Err(0b100));
        set_dword(&mut bench.memory, 0x3000, 0x9003);
        let reads = bench.port_reads;
        assert_eq!(
            bench.fetch(0x0040_0010, true),
            Err(0b100),
            "the address has not changed"
        );
        assert_eq!(bench.port_reads, reads);
        bench.flush_translations(None);
        assert_eq!(bench.fetch(0x0040_0010, true), Err(0b101));
        assert_eq!(bench.fetch(0x0040_0010, false), Ok(0x9010));
    }

    #[test]
    fn port_accesses_happen_once_and_in_order() {
        let mut bench = Bench::new(3);
        bench.disturbance = Disturbance {
            wait: 50,
            stall: 50,
            bubble: 20,
            flush: 20,
        };
        let mut model = Model::new(&bench);
        let accesses: Vec<Access> = (0..60)
            .flat_map(|i| {
                [
                    Access::store(0x8000, 4, i).io(),
                    Access::store(0x8000 + i as u32, 1, i),
                    Access::load(0x8000 + i as u32, 4).io(),
                ]
            })
            .collect();
        run_against_model(&mut bench, &mut model, &accesses);
    }

    #[test]
    fn the_emitter_translates_the_unit() {
        let mut unit = DataUnit::default();
        unit.connect_all();
        let verilog = crate::emit::emit("data_unit", &unit).unwrap_or_else(|errors| {
            panic!(
                "{}",
                errors
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n")
            )
        });
        assert!(verilog.text.contains("module data_unit"));
    }
}
