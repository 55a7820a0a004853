//! The memory stage's accesses and what execute takes from them: connects translation, store buffer and data port.
use crate::memory::{
    AccessLanes, DataPort, LoadAlignment, PageWalker, PortUse, StoreAlignment, StoreBuffer, Tlb,
};
use crate::prelude::*;
use rust_hdl_widgets::dff_setup;

/// The access of the micro-op in execute.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct ExecuteAccess {
    /// A load whose data arrive, or have arrived.
    pub load: Bit,
    /// A store to memory.
    pub store: Bit,
    pub io_read: Bit,
    pub io_write: Bit,
    /// Touches two words.
    pub split: Bit,
    /// Physical address bits 2:0 of the first byte.
    pub offset: Bits<3>,
    /// Bytes: 1, 2, 4 or 8.
    pub size: Bits<4>,
    /// Physical address bits 31:3 of the first word.
    pub first_word: Bits<29>,
    /// Physical address bits 31:3 of the second word, if `split`.
    pub second_word: Bits<29>,
    pub first_byte_enable: Bits<8>,
    pub second_byte_enable: Bits<8>,
}

/// Loads, stores and port accesses of the pipeline, translation for data and fetch.
///
/// A load asks for its word every clock until its micro-op moves into execute; the answer to a request that was
/// accepted while execute was occupied is dropped. So the data always meet the stores that are older than the load
/// and have not reached memory in the store buffer, in the one clock of the answer.
///
/// An access that crosses words asks for the first word only when execute is empty, for the same reason.
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
    /// The access goes to a port; `access_linear` is its number.
    pub access_io: Signal<In, Bit>,
    pub access_linear: Signal<In, Bits<32>>,
    /// Bytes: 1, 2, 4 or 8.
    pub access_size: Signal<In, Bits<4>>,
    /// The page must be accessible to user code.
    pub access_user: Signal<In, Bit>,
    /// There is nothing to access: a fault was found before, or there is no micro-op.
    pub access_blocked: Signal<In, Bit>,
    /// No micro-op is in execute.
    pub execute_empty: Signal<In, Bit>,
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
    /// The micro-op in execute, which has a store, retires as soon as `store_ready` is 1 too.
    pub store_valid: Signal<In, Bit>,
    /// Right-aligned.
    pub store_data: Signal<In, Bits<64>>,
    // to execute
    pub store_ready: Signal<Out, Bit>,
    /// The micro-op in execute has its load data, or no load.
    pub load_ready: Signal<Out, Bit>,
    /// Right-aligned, zero-extended.
    pub load_data: Signal<Out, Bits<64>>,
    /// An I/O access of the micro-op in memory or execute has begun: no interrupt may kill it now.
    pub committed: Signal<Out, Bit>,
    // control registers
    /// CR0.PG.
    pub paging: Signal<In, Bit>,
    /// CR0.WP.
    pub write_protect: Signal<In, Bit>,
    /// CR4.PSE.
    pub page_size_extension: Signal<In, Bit>,
    pub cr3: Signal<In, Bits<32>>,
    /// Drops all translations at the end of this clock.
    pub tlb_flush: Signal<In, Bit>,
    /// Drops the translations of the page of `tlb_flush_address`.
    pub tlb_flush_linear: Signal<In, Bit>,
    pub tlb_flush_address: Signal<In, Bits<32>>,
    // fetch
    /// Fetch asks for the translation of `fetch_linear`, from a register.
    pub fetch_valid: Signal<In, Bit>,
    pub fetch_linear: Signal<In, Bits<32>>,
    /// Fetch runs at privilege level 3.
    pub fetch_user: Signal<In, Bit>,
    /// The pipeline is empty, so the fetch is certain and its page may be walked.
    pub fetch_walk_permitted: Signal<In, Bit>,
    /// `fetch_physical` is valid and may be fetched from.
    pub fetch_hit: Signal<Out, Bit>,
    pub fetch_physical: Signal<Out, Bits<32>>,
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
    pub data_read_data: Signal<In, Bits<64>>,
    pub data_wait: Signal<In, Bit>,
    // status
    /// Every store that retired is in memory.
    pub store_buffer_empty: Signal<Out, Bit>,
    /// Fewer than two words of room.
    pub store_buffer_full: Signal<Out, Bit>,
    /// A page walk is under way.
    pub walking: Signal<Out, Bit>,
    /// Physical address of the load in execute (of the port, for I/O).
    pub load_physical: Signal<Out, Bits<32>>,
    /// Physical address of the store in execute (of the port, for I/O).
    pub store_physical: Signal<Out, Bits<32>>,
    // state of the micro-op in memory
    /// The access crosses words and its first half is done.
    second_half_reg: DFF<Bit>,
    first_physical_reg: DFF<Bits<32>>,
    data_fault_reg: DFF<Bit>,
    fault_present_reg: DFF<Bit>,
    io_read_begun_reg: DFF<Bit>,
    io_read_done_reg: DFF<Bit>,
    // state of the micro-op in execute
    execute_reg: DFF<ExecuteAccess>,
    /// The last word of the load is in `last_word_reg`.
    load_captured_reg: DFF<Bit>,
    first_word_reg: DFF<Bits<64>>,
    last_word_reg: DFF<Bits<64>>,
    io_write_second_reg: DFF<Bit>,
    io_write_begun_reg: DFF<Bit>,
    io_write_done_reg: DFF<Bit>,
    // state of the fetch
    fetch_fault_reg: DFF<Bit>,
    fetch_fault_present_reg: DFF<Bit>,
    fetch_fault_linear_reg: DFF<Bits<32>>,
    fetch_fault_user_reg: DFF<Bit>,
    // units
    data_tlb: Tlb,
    instruction_tlb: Tlb,
    walker: PageWalker,
    lanes: AccessLanes,
    port: DataPort,
    store_buffer: StoreBuffer,
    load_alignment: LoadAlignment,
    store_alignment: StoreAlignment,
    // wires
    access_valid: Signal<Local, Bit>,
    next_word: Signal<Local, Bits<29>>,
    half_linear: Signal<Local, Bits<32>>,
    half_physical: Signal<Local, Bits<32>>,
    first_physical: Signal<Local, Bits<32>>,
    translate: Signal<Local, Bit>,
    translated: Signal<Local, Bit>,
    usable: Signal<Local, Bit>,
    first_half: Signal<Local, Bit>,
    load_wanted: Signal<Local, Bit>,
    io_read_wanted: Signal<Local, Bit>,
    io_read_ready: Signal<Local, Bit>,
    load_accepted: Signal<Local, Bit>,
    data_walk: Signal<Local, Bit>,
    fetch_walk: Signal<Local, Bit>,
    fetch_fault_here: Signal<Local, Bit>,
    io_write_wanted: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    last_word: Signal<Local, Bits<64>>,
    execute_physical: Signal<Local, Bits<32>>,
}

impl Logic for DataUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            second_half_reg,
            first_physical_reg,
            data_fault_reg,
            fault_present_reg,
            io_read_begun_reg,
            io_read_done_reg,
            execute_reg,
            load_captured_reg,
            first_word_reg,
            last_word_reg,
            io_write_second_reg,
            io_write_begun_reg,
            io_write_done_reg,
            fetch_fault_reg,
            fetch_fault_present_reg,
            fetch_fault_linear_reg,
            fetch_fault_user_reg
        );
        clock!(
            self,
            clock,
            data_tlb,
            instruction_tlb,
            walker,
            port,
            store_buffer
        );
        self.data_tlb.reset.next = self.reset.val();
        self.instruction_tlb.reset.next = self.reset.val();
        self.walker.reset.next = self.reset.val();
        self.port.reset.next = self.reset.val();
        self.store_buffer.reset.next = self.reset.val();
        self.walker.flush.next = self.flush.val();
        self.port.flush.next = self.flush.val();

        // Memory: the half of the access that is looked at in this clock.
        self.access_valid.next =
            (self.access_read.val() | self.access_write.val()) & !self.access_blocked.val();
        self.lanes.offset.next = self.access_linear.val().get_bits::<3>(0);
        self.lanes.size.next = self.access_size.val();
        self.next_word.next = self.access_linear.val().get_bits::<29>(3) + 1;
        self.half_linear.next = self.access_linear.val();
        if self.second_half_reg.q.val() {
            self.half_linear.next = bit_cast::<32, 29>(self.next_word.val()) << 3;
        }
        self.first_half.next = self.lanes.crossing.val() & !self.second_half_reg.q.val();

        // Its translation. A write to a page whose D bit is clear walks, to set it.
        self.data_tlb.lookup_page.next = self.half_linear.val().get_bits::<20>(12);
        self.translate.next = self.paging.val() & !self.access_io.val();
        self.translated.next = !self.translate.val()
            | (self.data_tlb.hit.val()
                & (self.data_tlb.user.val() | !self.access_user.val())
                & (!self.access_write.val()
                    | (self.data_tlb.dirty.val()
                        & (self.data_tlb.writable.val()
                            | (!self.access_user.val() & !self.write_protect.val())))));
        self.half_physical.next = self.half_linear.val();
        if self.translate.val() {
            self.half_physical.next = (bit_cast::<32, 20>(self.data_tlb.frame.val()) << 12)
                | bit_cast::<32, 12>(self.half_linear.val().get_bits::<12>(0));
        }
        self.first_physical.next = self.half_physical.val();
        if self.second_half_reg.q.val() {
            self.first_physical.next = self.first_physical_reg.q.val();
        }
        self.access_physical.next = self.first_physical.val();
        self.usable.next =
            self.access_valid.val() & self.translated.val() & !self.data_fault_reg.q.val();

        // Its read.
        self.load_wanted.next = self.usable.val()
            & self.access_read.val()
            & !self.access_io.val()
            & (!self.first_half.val() | self.execute_empty.val());
        self.io_read_ready.next = self.execute_empty.val() & self.store_buffer.empty.val();
        self.io_read_wanted.next = self.usable.val()
            & self.access_read.val()
            & self.access_io.val()
            & self.io_read_ready.val()
            & !self.io_read_begun_reg.q.val()
            & !self.io_read_done_reg.q.val();
        self.port.load_request.next = self.load_wanted.val() | self.io_read_wanted.val();
        self.port.load_io.next = self.access_io.val();
        self.port.load_word.next = self.half_physical.val().get_bits::<29>(3);
        self.port.load_byte_enable.next = self.lanes.first_byte_enable.val();
        if self.second_half_reg.q.val() {
            self.port.load_byte_enable.next = self.lanes.second_byte_enable.val();
        }
        self.port.load_use.next = PortUse::Dropped;
        if self.access_io.val() {
            self.port.load_use.next = PortUse::IoRead;
        } else if self.first_half.val() {
            self.port.load_use.next = PortUse::FirstLoad;
        } else if self.memory_advance.val() {
            self.port.load_use.next = PortUse::LastLoad;
        }
        self.load_accepted.next = self.port.load_accepted.val();

        // Where the access stands.
        self.memory_ready.next = !self.access_valid.val()
            | self.data_fault_reg.q.val()
            | (self.translated.val()
                & !self.first_half.val()
                & (!self.access_read.val()
                    | (self.access_io.val() & self.io_read_done_reg.q.val())
                    | (!self.access_io.val() & self.load_accepted.val())));
        self.page_fault.next = self.access_valid.val() & self.data_fault_reg.q.val();
        self.page_fault_code.next = bit_cast::<3, 1>(self.fault_present_reg.q.val().into())
            | (bit_cast::<3, 1>(self.access_write.val().into()) << 1)
            | (bit_cast::<3, 1>(self.access_user.val().into()) << 2);
        self.page_fault_linear.next = self.half_linear.val();
        if self.usable.val() & self.first_half.val() {
            self.first_physical_reg.d.next = self.half_physical.val();
            if !self.access_read.val() | (!self.access_io.val() & self.load_accepted.val()) {
                self.second_half_reg.d.next = true;
            }
        }
        if self.io_read_wanted.val() & self.load_accepted.val() {
            self.io_read_begun_reg.d.next = true;
        }
        if self.port.io_read_answered.val() {
            self.io_read_begun_reg.d.next = false;
            if self.first_half.val() {
                self.second_half_reg.d.next = true;
            } else {
                self.io_read_done_reg.d.next = true;
            }
        }

        // Page walks, only for what is certain to happen.
        self.data_walk.next = self.access_valid.val()
            & !self.translated.val()
            & !self.data_fault_reg.q.val()
            & self.io_read_ready.val();
        self.fetch_fault_here.next = self.fetch_fault_reg.q.val()
            & (self.fetch_fault_linear_reg.q.val() == self.fetch_linear.val())
            & (self.fetch_fault_user_reg.q.val() == self.fetch_user.val());
        self.instruction_tlb.lookup_page.next = self.fetch_linear.val().get_bits::<20>(12);
        self.fetch_hit.next = !self.paging.val()
            | (self.instruction_tlb.hit.val()
                & (self.instruction_tlb.user.val() | !self.fetch_user.val()));
        self.fetch_walk.next = self.fetch_valid.val()
            & self.fetch_walk_permitted.val()
            & !self.fetch_hit.val()
            & !self.fetch_fault_here.val()
            & !self.access_valid.val()
            & self.store_buffer.empty.val();
        self.walker.start.next = self.data_walk.val() | self.fetch_walk.val();
        self.walker.start_fetch.next = !self.data_walk.val();
        self.walker.start_page.next = self.fetch_linear.val().get_bits::<20>(12);
        self.walker.start_write.next = false;
        self.walker.start_user.next = self.fetch_user.val();
        if self.data_walk.val() {
            self.walker.start_page.next = self.half_linear.val().get_bits::<20>(12);
            self.walker.start_write.next = self.access_write.val();
            self.walker.start_user.next = self.access_user.val();
        }
        self.walker.directory_frame.next = self.cr3.val().get_bits::<20>(12);
        self.walker.write_protect.next = self.write_protect.val();
        self.walker.page_size_extension.next = self.page_size_extension.val();
        self.walker.port_accepted.next = self.port.walk_accepted.val();
        self.walker.port_answered.next = self.port.walk_answered.val();
        self.walker.port_read_data.next = self.data_read_data.val();
        self.walking.next = self.walker.busy.val();
        self.port.walk_request.next = self.walker.port_request.val();
        self.port.walk_write.next = self.walker.port_write.val();
        self.port.walk_address.next = self.walker.port_address.val();
        self.port.walk_write_data.next = self.walker.port_write_data.val();
        if self.walker.fault_valid.val() & !self.walker.fetch.val() {
            self.data_fault_reg.d.next = true;
            self.fault_present_reg.d.next = self.walker.fault_present.val();
        }

        // Fills and flushes.
        self.data_tlb.fill_valid.next = self.walker.fill_valid.val() & !self.walker.fetch.val();
        self.data_tlb.fill_page.next = self.walker.page.val();
        self.data_tlb.fill_frame.next = self.walker.frame.val();
        self.data_tlb.fill_user.next = self.walker.user.val();
        self.data_tlb.fill_writable.next = self.walker.writable.val();
        self.data_tlb.fill_dirty.next = self.walker.dirty.val();
        self.data_tlb.fill_large.next = self.walker.large.val();
        self.data_tlb.flush.next = self.tlb_flush.val();
        self.data_tlb.flush_one.next = self.tlb_flush_linear.val();
        self.data_tlb.flush_page.next = self.tlb_flush_address.val().get_bits::<20>(12);
        self.instruction_tlb.fill_valid.next =
            self.walker.fill_valid.val() & self.walker.fetch.val();
        self.instruction_tlb.fill_page.next = self.walker.page.val();
        self.instruction_tlb.fill_frame.next = self.walker.frame.val();
        self.instruction_tlb.fill_user.next = self.walker.user.val();
        self.instruction_tlb.fill_writable.next = self.walker.writable.val();
        self.instruction_tlb.fill_dirty.next = self.walker.dirty.val();
        self.instruction_tlb.fill_large.next = self.walker.large.val();
        self.instruction_tlb.flush.next = self.tlb_flush.val();
        self.instruction_tlb.flush_one.next = self.tlb_flush_linear.val();
        self.instruction_tlb.flush_page.next = self.tlb_flush_address.val().get_bits::<20>(12);

        // Fetch.
        self.fetch_physical.next = self.fetch_linear.val();
        if self.paging.val() {
            self.fetch_physical.next = (bit_cast::<32, 20>(self.instruction_tlb.frame.val()) << 12)
                | bit_cast::<32, 12>(self.fetch_linear.val().get_bits::<12>(0));
        }
        self.fetch_fault.next = self.fetch_valid.val() & self.fetch_fault_here.val();
        self.fetch_fault_code.next = bit_cast::<3, 1>(self.fetch_fault_present_reg.q.val().into())
            | (bit_cast::<3, 1>(self.fetch_user.val().into()) << 2);
        self.fetch_fault_reg.d.next = self.fetch_fault_here.val();
        if self.walker.fault_valid.val() & self.walker.fetch.val() {
            self.fetch_fault_reg.d.next = true;
            self.fetch_fault_present_reg.d.next = self.walker.fault_present.val();
        }
        if self.fetch_walk.val() & !self.walker.busy.val() {
            self.fetch_fault_linear_reg.d.next = self.fetch_linear.val();
            self.fetch_fault_user_reg.d.next = self.fetch_user.val();
        }
        if self.reset.val() | self.flush.val() | self.tlb_flush.val() | self.tlb_flush_linear.val()
        {
            self.fetch_fault_reg.d.next = false;
        }

        // Execute: load data, through the store buffer.
        self.store_buffer.forward_word.next = self.port.answered_word.val();
        self.store_buffer.forward_data.next = self.data_read_data.val();
        self.last_word.next = self.store_buffer.forwarded_data.val();
        if self.load_captured_reg.q.val() {
            self.last_word.next = self.last_word_reg.q.val();
        }
        self.load_ready.next = !self.execute_reg.q.val().load
            | self.load_captured_reg.q.val()
            | self.port.last_load_answered.val();
        self.load_alignment.offset.next = self.execute_reg.q.val().offset;
        self.load_alignment.size.next = self.execute_reg.q.val().size;
        self.load_alignment.first_data.next = self.last_word.val();
        self.load_alignment.second_data.next = self.last_word.val();
        if self.execute_reg.q.val().split {
            self.load_alignment.first_data.next = self.first_word_reg.q.val();
        }
        self.load_data.next = self.load_alignment.operand.val();
        if self.port.first_load_answered.val()
            | (self.port.io_read_answered.val() & self.first_half.val())
        {
            self.first_word_reg.d.next = self.store_buffer.forwarded_data.val();
        }
        if self.port.last_load_answered.val() | self.port.io_read_answered.val() {
            self.last_word_reg.d.next = self.store_buffer.forwarded_data.val();
        }
        if self.port.last_load_answered.val() {
            self.load_captured_reg.d.next = true;
        }

        // Execute: the store.
        self.store_alignment.offset.next = self.execute_reg.q.val().offset;
        self.store_alignment.operand.next = self.store_data.val();
        self.room.next = self.store_buffer.room_for_two.val()
            | (self.store_buffer.room_for_one.val() & !self.execute_reg.q.val().split);
        self.store_ready.next = self.room.val();
        if self.execute_reg.q.val().io_write {
            self.store_ready.next = self.io_write_done_reg.q.val();
        }
        self.store_buffer.push_valid.next =
            self.store_valid.val() & self.room.val() & self.execute_reg.q.val().store;
        self.store_buffer.push_split.next = self.execute_reg.q.val().split;
        self.store_buffer.first_word.next = self.execute_reg.q.val().first_word;
        self.store_buffer.first_byte_enable.next = self.execute_reg.q.val().first_byte_enable;
        self.store_buffer.first_data.next = self.store_alignment.first_data.val();
        self.store_buffer.second_word.next = self.execute_reg.q.val().second_word;
        self.store_buffer.second_byte_enable.next = self.execute_reg.q.val().second_byte_enable;
        self.store_buffer.second_data.next = self.store_alignment.second_data.val();
        self.port.store_request.next = !self.store_buffer.empty.val();
        // An I/O write waits for older stores, however many loads ask.
        self.port.store_urgent.next =
            !self.store_buffer.room_for_two.val() | self.execute_reg.q.val().io_write;
        self.port.store_word.next = self.store_buffer.drain_word.val();
        self.port.store_byte_enable.next = self.store_buffer.drain_byte_enable.val();
        self.port.store_data.next = self.store_buffer.drain_data.val();
        self.store_buffer.drain_accepted.next = self.port.store_accepted.val();
        self.store_buffer_empty.next =
            self.store_buffer.empty.val() & self.port.store_settled.val();
        self.store_buffer_full.next = !self.store_buffer.room_for_two.val();

        // Execute: the I/O write, one access or two.
        self.io_write_wanted.next = self.store_valid.val()
            & self.execute_reg.q.val().io_write
            & self.store_buffer.empty.val()
            & !self.io_write_begun_reg.q.val()
            & !self.io_write_done_reg.q.val();
        self.port.io_write_request.next = self.io_write_wanted.val();
        self.port.io_write_word.next = self.execute_reg.q.val().first_word;
        self.port.io_write_byte_enable.next = self.execute_reg.q.val().first_byte_enable;
        self.port.io_write_data.next = self.store_alignment.first_data.val();
        if self.io_write_second_reg.q.val() {
            self.port.io_write_word.next = self.execute_reg.q.val().second_word;
            self.port.io_write_byte_enable.next = self.execute_reg.q.val().second_byte_enable;
            self.port.io_write_data.next = self.store_alignment.second_data.val();
        }
        if self.port.io_write_accepted.val() {
            self.io_write_begun_reg.d.next = true;
        }
        if self.port.io_write_answered.val() {
            self.io_write_begun_reg.d.next = false;
            self.io_write_second_reg.d.next = true;
            self.io_write_done_reg.d.next =
                self.io_write_second_reg.q.val() | !self.execute_reg.q.val().split;
        }
        self.committed.next = self.io_read_wanted.val()
            | self.io_read_begun_reg.q.val()
            | self.io_read_done_reg.q.val()
            | (self.second_half_reg.q.val() & self.access_io.val() & self.access_read.val())
            | (!self.execute_empty.val()
                & (self.execute_reg.q.val().io_read
                    | self.io_write_wanted.val()
                    | self.io_write_begun_reg.q.val()
                    | self.io_write_second_reg.q.val()));
        self.execute_physical.next = (bit_cast::<32, 29>(self.execute_reg.q.val().first_word) << 3)
            | bit_cast::<32, 3>(self.execute_reg.q.val().offset);
        self.load_physical.next = self.execute_physical.val();
        self.store_physical.next = self.execute_physical.val();

        // The port.
        self.port.data_wait.next = self.data_wait.val();
        self.data_request.next = self.port.data_request.val();
        self.data_write.next = self.port.data_write.val();
        self.data_io.next = self.port.data_io.val();
        self.data_address.next = self.port.data_address.val();
        self.data_byte_enable.next = self.port.data_byte_enable.val();
        self.data_write_data.next = self.port.data_write_data.val();

        // Memory's micro-op moves on.
        if self.memory_advance.val() {
            self.execute_reg.d.next.load =
                self.access_valid.val() & self.access_read.val() & !self.data_fault_reg.q.val();
            self.execute_reg.d.next.store = self.access_valid.val()
                & self.access_write.val()
                & !self.access_io.val()
                & !self.data_fault_reg.q.val();
            self.execute_reg.d.next.io_read =
                self.access_valid.val() & self.access_read.val() & self.access_io.val();
            self.execute_reg.d.next.io_write =
                self.access_valid.val() & self.access_write.val() & self.access_io.val();
            self.execute_reg.d.next.split = self.lanes.crossing.val();
            self.execute_reg.d.next.offset = self.access_linear.val().get_bits::<3>(0);
            self.execute_reg.d.next.size = self.access_size.val();
            self.execute_reg.d.next.first_word = self.first_physical.val().get_bits::<29>(3);
            self.execute_reg.d.next.second_word = self.half_physical.val().get_bits::<29>(3);
            self.execute_reg.d.next.first_byte_enable = self.lanes.first_byte_enable.val();
            self.execute_reg.d.next.second_byte_enable = self.lanes.second_byte_enable.val();
            self.load_captured_reg.d.next = self.io_read_done_reg.q.val();
            self.io_write_begun_reg.d.next = false;
            self.io_write_second_reg.d.next = false;
            self.io_write_done_reg.d.next = false;
        }
        if self.memory_advance.val() | self.flush.val() | self.reset.val() {
            self.second_half_reg.d.next = false;
            self.data_fault_reg.d.next = false;
            self.io_read_begun_reg.d.next = false;
            self.io_read_done_reg.d.next = false;
        }
        if self.flush.val() | self.reset.val() {
            self.execute_reg.d.next.load = false;
            self.execute_reg.d.next.store = false;
            self.execute_reg.d.next.io_read = false;
            self.execute_reg.d.next.io_write = false;
            self.load_captured_reg.d.next = false;
            self.io_write_begun_reg.d.next = false;
            self.io_write_second_reg.d.next = false;
            self.io_write_done_reg.d.next = false;
        }
    }
}
