//! The access of the micro-op in execute: load data arrive here, stores and port writes leave.
use crate::memory::{ByteMask, LoadAlignment, StoreAlignment};
use crate::prelude::*;

/// What is known about an access when it comes from the memory stage.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct CheckedAccess {
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
    /// Physical address bits 31:3 of the first word.
    pub first_word: Bits<29>,
    /// Physical address bits 31:3 of the second word, if `split`.
    pub second_word: Bits<29>,
    pub first_byte_enable: Bits<8>,
    pub second_byte_enable: Bits<8>,
    /// Lanes of the operand of a load that its first word has, which was answered in memory: 0 unless `split`.
    pub earlier_lanes: Bits<8>,
    /// Lanes of the operand of a load that its last word has.
    pub last_lanes: Bits<8>,
}

/// Holds the access of the micro-op in execute, and its load data while execute waits for something else.
#[derive(LogicBlock, Default)]
pub struct ExecuteAccess {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    // from memory
    /// `checked` arrives at the end of this clock.
    pub memory_advance: Signal<In, Bit>,
    pub checked: Signal<In, CheckedAccess>,
    /// The data of the I/O read in memory have been caught.
    pub io_read_done: Signal<In, Bit>,
    /// The answers of the micro-op in memory are those of the first half.
    pub first_half: Signal<In, Bit>,
    // from the port: the word that is answered
    pub answer_data: Signal<In, Bits<64>>,
    pub io_answer_data: Signal<In, Bits<64>>,
    pub first_load_answered: Signal<In, Bit>,
    pub last_load_answered: Signal<In, Bit>,
    pub io_read_answered: Signal<In, Bit>,
    // to and from execute: see `DataUnit`
    pub execute_empty: Signal<In, Bit>,
    pub load_ready: Signal<Out, Bit>,
    pub load_data: Signal<Out, Bits<64>>,
    pub aligned_load: Signal<Out, Bits<32>>,
    pub load_is_aligned: Signal<Out, Bit>,
    pub store_valid: Signal<In, Bit>,
    pub store_data: Signal<In, Bits<64>>,
    pub store_ready: Signal<Out, Bit>,
    /// Physical address of the first byte.
    pub physical: Signal<Out, Bits<32>>,
    /// The I/O access has begun, or will whatever happens.
    pub io_committed: Signal<Out, Bit>,
    // to and from the store buffer
    pub store_buffer_empty: Signal<In, Bit>,
    pub room_for_one: Signal<In, Bit>,
    pub room_for_two: Signal<In, Bit>,
    pub push_valid: Signal<Out, Bit>,
    pub split: Signal<Out, Bit>,
    pub first_word: Signal<Out, Bits<29>>,
    pub first_byte_enable: Signal<Out, Bits<8>>,
    pub second_word: Signal<Out, Bits<29>>,
    pub second_byte_enable: Signal<Out, Bits<8>>,
    /// A clock after `push_valid`: bytes in the lanes of both words.
    pub push_data: Signal<Out, Bits<64>>,
    /// Lanes of the word that is answered which are in the store buffer, and what they hold.
    pub buffered_lanes: Signal<In, Bits<8>>,
    /// Of these, the lanes that are still in `push_data`.
    pub new_lanes: Signal<In, Bits<8>>,
    pub buffered_data: Signal<In, Bits<64>>,
    // I/O writes, to and from the port
    /// The micro-op is an I/O write.
    pub io_write: Signal<Out, Bit>,
    pub io_write_request: Signal<Out, Bit>,
    pub io_write_word: Signal<Out, Bits<29>>,
    pub io_write_byte_enable: Signal<Out, Bits<8>>,
    pub io_write_data: Signal<Out, Bits<64>>,
    pub io_write_accepted: Signal<In, Bit>,
    pub io_write_answered: Signal<In, Bit>,
    // state
    access_reg: DFF<CheckedAccess>,
    /// The first word of a load that crosses, from its answer until its micro-op has left execute.
    first_word_reg: DFF<Bits<64>>,
    last_word_reg: DFF<Bits<64>>,
    /// The last word of the load is in `last_word_reg`.
    load_captured_reg: DFF<Bit>,
    /// `store_data` of the clock before, or of the I/O write that is to be done.
    store_data_reg: DFF<Bits<64>>,
    store_offset_reg: DFF<Bits<3>>,
    /// From the micro-op that was in execute before this one: the distance of the first bytes in a word.
    distance_reg: DFF<Bits<3>>,
    /// The I/O write is to be done.
    io_write_wanted_reg: DFF<Bit>,
    /// The first half of a crossing I/O write is done.
    io_write_second_reg: DFF<Bit>,
    io_write_begun_reg: DFF<Bit>,
    io_write_done_reg: DFF<Bit>,
    // units
    buffered_mask: ByteMask,
    new_mask: ByteMask,
    first_mask: ByteMask,
    last_mask: ByteMask,
    load_alignment: LoadAlignment,
    store_alignment: StoreAlignment,
    // wires
    access: Signal<Local, CheckedAccess>,
    room: Signal<Local, Bit>,
    forwarded_data: Signal<Local, Bits<64>>,
    merged_data: Signal<Local, Bits<64>>,
    held_last: Signal<Local, Bits<64>>,
}

impl Logic for ExecuteAccess {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            access_reg,
            first_word_reg,
            last_word_reg,
            load_captured_reg,
            store_data_reg,
            store_offset_reg,
            distance_reg,
            io_write_wanted_reg,
            io_write_second_reg,
            io_write_begun_reg,
            io_write_done_reg
        );
        self.access.next = self.access_reg.q.val();
        self.physical.next = (bit_cast::<32, 29>(self.access.val().first_word) << 3)
            | bit_cast::<32, 3>(self.access.val().offset);

        // Store data come late in their clock: they are moved to their lanes in the next.
        if !self.io_write_wanted_reg.q.val() {
            self.store_data_reg.d.next = self.store_data.val();
            self.store_offset_reg.d.next = self.access.val().offset;
        }
        self.store_alignment.offset.next = self.store_offset_reg.q.val();
        self.store_alignment.operand.next = self.store_data_reg.q.val();

        // Load data: from the answer in its clock, from the register after it.
        self.load_ready.next = !self.access.val().load
            | self.load_captured_reg.q.val()
            | self.last_load_answered.val();
        self.first_mask.byte_enable.next = self.access.val().earlier_lanes;
        self.last_mask.byte_enable.next = self.access.val().last_lanes & !self.new_lanes.val();
        self.load_alignment.stored_lanes.next = self.access.val().last_lanes & self.new_lanes.val();
        self.held_last.next = self.buffered_data.val();
        self.load_alignment.held_lanes.next =
            self.buffered_lanes.val() | !self.access.val().last_lanes;
        if self.load_captured_reg.q.val() {
            self.held_last.next = self.last_word_reg.q.val();
            self.last_mask.byte_enable.next = self.access.val().last_lanes;
            self.load_alignment.stored_lanes.next = 0.into();
            self.load_alignment.held_lanes.next = 0xFF.into();
        }
        self.load_alignment.held_data.next = (self.first_word_reg.q.val()
            & self.first_mask.mask.val())
            | (self.held_last.val() & self.last_mask.mask.val());
        self.load_alignment.offset.next = self.access.val().offset;
        self.load_alignment.arriving_data.next = self.answer_data.val();
        self.load_alignment.stored_operand.next = self.store_data_reg.q.val();
        self.load_alignment.stored_distance.next = self.distance_reg.q.val();
        self.load_data.next = self.load_alignment.operand.val();
        self.aligned_load.next = self.load_alignment.aligned_operand.val();
        self.load_is_aligned.next = !self.access.val().offset.get_bits::<2>(0).any();

        // The same word in its lanes, to keep.
        self.new_mask.byte_enable.next = self.new_lanes.val();
        self.forwarded_data.next = (self.buffered_data.val() & !self.new_mask.mask.val())
            | (self.store_alignment.lanes.val() & self.new_mask.mask.val());
        self.buffered_mask.byte_enable.next = self.buffered_lanes.val();
        self.merged_data.next = (self.answer_data.val() & !self.buffered_mask.mask.val())
            | (self.forwarded_data.val() & self.buffered_mask.mask.val());
        if self.io_read_answered.val() {
            self.merged_data.next = self.io_answer_data.val();
        }
        if self.first_load_answered.val() | (self.io_read_answered.val() & self.first_half.val()) {
            self.first_word_reg.d.next = self.merged_data.val();
        }
        if self.last_load_answered.val() | self.io_read_answered.val() {
            self.last_word_reg.d.next = self.merged_data.val();
        }
        if self.last_load_answered.val() {
            self.load_captured_reg.d.next = true;
        }

        // The store.
        self.room.next =
            self.room_for_two.val() | (self.room_for_one.val() & !self.access.val().split);
        self.store_ready.next = self.room.val();
        if self.access.val().io_write {
            self.store_ready.next = self.io_write_done_reg.q.val();
        }
        self.push_valid.next = self.store_valid.val() & self.room.val() & self.access.val().store;
        self.split.next = self.access.val().split;
        self.first_word.next = self.access.val().first_word;
        self.first_byte_enable.next = self.access.val().first_byte_enable;
        self.second_word.next = self.access.val().second_word;
        self.second_byte_enable.next = self.access.val().second_byte_enable;
        self.push_data.next = self.store_alignment.lanes.val();

        // The I/O write: one access or two, after all older stores. It begins from a register, for `store_valid` and
        // the data come late in their clock.
        self.io_write.next = self.access.val().io_write;
        if self.store_valid.val() & self.access.val().io_write {
            self.io_write_wanted_reg.d.next = true;
        }
        self.io_write_request.next = self.io_write_wanted_reg.q.val()
            & self.store_buffer_empty.val()
            & !self.io_write_begun_reg.q.val()
            & !self.io_write_done_reg.q.val();
        self.io_write_word.next = self.access.val().first_word;
        self.io_write_byte_enable.next = self.access.val().first_byte_enable;
        self.io_write_data.next = self.store_alignment.lanes.val();
        if self.io_write_second_reg.q.val() {
            self.io_write_word.next = self.access.val().second_word;
            self.io_write_byte_enable.next = self.access.val().second_byte_enable;
        }
        if self.io_write_accepted.val() {
            self.io_write_begun_reg.d.next = true;
        }
        if self.io_write_answered.val() {
            self.io_write_begun_reg.d.next = false;
            self.io_write_second_reg.d.next = true;
            self.io_write_done_reg.d.next =
                self.io_write_second_reg.q.val() | !self.access.val().split;
        }
        self.io_committed.next = !self.execute_empty.val()
            & (self.access.val().io_read | self.io_write_wanted_reg.q.val());

        // The next micro-op.
        if self.memory_advance.val() {
            self.access_reg.d.next = self.checked.val();
            self.distance_reg.d.next =
                bit_cast::<3, 3>(self.checked.val().offset - self.access.val().offset);
            self.load_captured_reg.d.next = self.io_read_done.val();
        }
        if self.flush.val() | self.reset.val() {
            self.access_reg.d.next.load = false;
            self.access_reg.d.next.store = false;
            self.access_reg.d.next.io_read = false;
            self.access_reg.d.next.io_write = false;
            self.load_captured_reg.d.next = false;
        }
        if self.memory_advance.val() | self.flush.val() | self.reset.val() {
            self.io_write_wanted_reg.d.next = false;
            self.io_write_begun_reg.d.next = false;
            self.io_write_second_reg.d.next = false;
            self.io_write_done_reg.d.next = false;
        }
    }
}
