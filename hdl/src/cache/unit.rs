//! A cache: direct-mapped, lines of 32 bytes, written through, filled on loads only.
//!
//! ```text
//! clock              n         n+1       n+2
//! request            A         B
//! block RAM          reads A   reads B
//! tag compare                  A hits
//! wait                         0
//! ```
//! What misses waits for its eight bytes, which come first; the rest of the line arrives beside what follows, and other lines
//! can be read meanwhile. What cannot be answered for another reason is `blocked` and looked up again.
//!
//! A store is put into the write queue in the clock in which its tag is known, and changes its line if that is here. The
//! instruction cache looks every store up, too, in a second copy of its tags, and drops the line that is written.
use super::ram::{CacheRam, TagRam};
use crate::memory::ByteMask;
use crate::prelude::*;

/// Tags: bits 24:10 of the address, and whether the line is there.
const TAG_BITS: usize = 16;

/// One cache. Addresses are below 32 MB.
#[derive(LogicBlock)]
pub struct Cache {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Forget all lines; one clock is enough.
    pub flush: Signal<In, Bit>,
    // from the core
    pub request: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    /// Physical.
    pub address: Signal<In, Bits<32>>,
    pub byte_enable: Signal<In, Bits<8>>,
    pub write_data: Signal<In, Bits<64>>,
    /// A load may take its bytes from a line. Else it takes them from memory, and fills nothing.
    pub cacheable: Signal<In, Bit>,
    /// A load that misses may fill a line.
    pub fills: Signal<In, Bit>,
    pub busy: Signal<Out, Bit>,
    /// The answer: `array_data`, which come late, if `from_array`, and else `kept_data`.
    pub from_array: Signal<Out, Bit>,
    pub array_data: Signal<Out, Bits<64>>,
    pub kept_data: Signal<Out, Bits<64>>,
    // to the bus: fills
    pub fill_request: Signal<Out, Bit>,
    /// Bits 31:3 of the address of the eight bytes that shall come first.
    pub fill_word: Signal<Out, Bits<29>>,
    /// All of the line, not only these bytes.
    pub fill_line: Signal<Out, Bit>,
    /// The next word has arrived.
    pub fill_beat: Signal<In, Bit>,
    pub fill_data: Signal<In, Bits<32>>,
    // to the write queue
    pub store: Signal<Out, Bit>,
    pub store_word: Signal<Out, Bits<29>>,
    pub store_byte_enable: Signal<Out, Bits<8>>,
    pub store_data: Signal<Out, Bits<64>>,
    pub store_ready: Signal<In, Bit>,
    // to the instruction cache
    /// Of the access that is looked up in this clock; `store` belongs to that of the clock before.
    pub lookup_address: Signal<Out, Bits<32>>,
    // from the data cache
    pub snoop_address: Signal<In, Bits<32>>,
    /// The access whose address was there in the clock before is a store.
    pub snoop_store: Signal<In, Bit>,
    // state: the access
    outstanding_reg: DFF<Bit>,
    write_reg: DFF<Bit>,
    cacheable_reg: DFF<Bit>,
    fills_reg: DFF<Bit>,
    address_reg: DFF<Bits<32>>,
    byte_enable_reg: DFF<Bits<8>>,
    write_data_reg: DFF<Bits<64>>,
    /// What the memories show in this clock belongs to it.
    fresh_reg: DFF<Bit>,
    /// It is to be looked up again.
    blocked_reg: DFF<Bit>,
    /// Its bytes have come from the bus.
    answer_reg: DFF<Bit>,
    // state: the fill
    fill_active_reg: DFF<Bit>,
    fill_word_reg: DFF<Bits<29>>,
    fill_line_reg: DFF<Bit>,
    /// Words that have arrived.
    fill_count_reg: DFF<Bits<3>>,
    fill_low_reg: DFF<Bits<32>>,
    /// Something was stored into the line since.
    fill_spoilt_reg: DFF<Bit>,
    // state: what was written in the clock before, which the memories do not show
    tag_written_reg: DFF<Bit>,
    tag_written_line_reg: DFF<Bits<10>>,
    forward_reg: DFF<Bit>,
    /// The word with the store before in it, or the answer from the bus.
    override_data_reg: DFF<Bits<64>>,
    // state: snoops and flushes
    snoop_address_reg: DFF<Bits<32>>,
    flush_reg: DFF<Bit>,
    clearing_reg: DFF<Bit>,
    clear_line_reg: DFF<Bits<10>>,
    // units
    tags: TagRam<TAG_BITS>,
    snoop_tags: TagRam<TAG_BITS>,
    data: CacheRam<64, 2>,
    store_mask: ByteMask,
    // wires
    /// The bits of a line's number that count.
    line_mask: Constant<Bits<10>>,
    lookup: Signal<Local, Bits<32>>,
    line: Signal<Local, Bits<10>>,
    stale: Signal<Local, Bit>,
    usable: Signal<Local, Bit>,
    load_hits: Signal<Local, Bit>,
    store_performs: Signal<Local, Bit>,
    store_hits: Signal<Local, Bit>,
    fill_starts: Signal<Local, Bit>,
    answered: Signal<Local, Bit>,
    accepts: Signal<Local, Bit>,
    fill_place: Signal<Local, Bits<3>>,
    fill_ends: Signal<Local, Bit>,
    snoop_line: Signal<Local, Bits<10>>,
    snoop_stale: Signal<Local, Bit>,
    snoop_invalidates: Signal<Local, Bit>,
    snoop_spoils: Signal<Local, Bit>,
    read_word: Signal<Local, Bits<64>>,
    stored_word: Signal<Local, Bits<64>>,
    tag_write: Signal<Local, Bit>,
    tag_line: Signal<Local, Bits<10>>,
    tag_value: Signal<Local, Bits<16>>,
    valid_bit: Constant<Bits<16>>,
}

impl Cache {
    /// A cache of `bytes`, a power of two from 1 KB to 32 KB. With `tags_at_once` it costs more logic, and `busy` comes
    /// early in the clock, where the address may not come late.
    ///
    /// # Panics
    /// If the size is no such number.
    pub fn new(bytes: usize, tags_at_once: bool) -> Self {
        assert!(
            bytes.is_power_of_two() && (1 << 10..=32 << 10).contains(&bytes),
            "a cache of {bytes} bytes: expected a power of two from 1 KB to 32 KB"
        );
        let lines = bytes / super::LINE_BYTES;
        Self {
            clock: Default::default(),
            reset: Default::default(),
            flush: Default::default(),
            request: Default::default(),
            write: Default::default(),
            address: Default::default(),
            byte_enable: Default::default(),
            write_data: Default::default(),
            cacheable: Default::default(),
            fills: Default::default(),
            busy: Default::default(),
            from_array: Default::default(),
            array_data: Default::default(),
            kept_data: Default::default(),
            fill_request: Default::default(),
            fill_word: Default::default(),
            fill_line: Default::default(),
            fill_beat: Default::default(),
            fill_data: Default::default(),
            store: Default::default(),
            store_word: Default::default(),
            store_byte_enable: Default::default(),
            store_data: Default::default(),
            store_ready: Default::default(),
            lookup_address: Default::default(),
            snoop_address: Default::default(),
            snoop_store: Default::default(),
            outstanding_reg: Default::default(),
            write_reg: Default::default(),
            cacheable_reg: Default::default(),
            fills_reg: Default::default(),
            address_reg: Default::default(),
            byte_enable_reg: Default::default(),
            write_data_reg: Default::default(),
            fresh_reg: Default::default(),
            blocked_reg: Default::default(),
            answer_reg: Default::default(),
            fill_active_reg: Default::default(),
            fill_word_reg: Default::default(),
            fill_line_reg: Default::default(),
            fill_count_reg: Default::default(),
            fill_low_reg: Default::default(),
            fill_spoilt_reg: Default::default(),
            tag_written_reg: Default::default(),
            tag_written_line_reg: Default::default(),
            forward_reg: Default::default(),
            override_data_reg: Default::default(),
            snoop_address_reg: Default::default(),
            flush_reg: Default::default(),
            clearing_reg: Default::default(),
            clear_line_reg: Default::default(),
            tags: TagRam::new(lines, tags_at_once),
            snoop_tags: TagRam::new(lines, false),
            data: CacheRam::new(bytes / 8),
            store_mask: Default::default(),
            line_mask: Constant::new((lines as u64 - 1).into()),
            lookup: Default::default(),
            line: Default::default(),
            stale: Default::default(),
            usable: Default::default(),
            load_hits: Default::default(),
            store_performs: Default::default(),
            store_hits: Default::default(),
            fill_starts: Default::default(),
            answered: Default::default(),
            accepts: Default::default(),
            fill_place: Default::default(),
            fill_ends: Default::default(),
            snoop_line: Default::default(),
            snoop_stale: Default::default(),
            snoop_invalidates: Default::default(),
            snoop_spoils: Default::default(),
            read_word: Default::default(),
            stored_word: Default::default(),
            tag_write: Default::default(),
            tag_line: Default::default(),
            tag_value: Default::default(),
            valid_bit: Constant::new(0x8000.into()),
        }
    }

    /// Makes what is read and written in one clock wrong, so that a test finds out whether it is used.
    pub fn poisonous(&mut self) {
        self.tags.poisonous();
        self.snoop_tags.poisonous();
        self.data.poisonous();
    }
}

impl Logic for Cache {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            outstanding_reg,
            write_reg,
            cacheable_reg,
            fills_reg,
            address_reg,
            byte_enable_reg,
            write_data_reg,
            fresh_reg,
            blocked_reg,
            answer_reg,
            fill_active_reg,
            fill_word_reg,
            fill_line_reg,
            fill_count_reg,
            fill_low_reg,
            fill_spoilt_reg,
            tag_written_reg,
            tag_written_line_reg,
            forward_reg,
            override_data_reg,
            snoop_address_reg,
            flush_reg,
            clearing_reg,
            clear_line_reg
        );
        clock!(self, clock, tags, snoop_tags, data);

        // What is looked up: a new access, or again the one that was blocked.
        self.lookup.next = self.address.val();
        if self.blocked_reg.q.val() {
            self.lookup.next = self.address_reg.q.val();
        }
        self.lookup_address.next = self.lookup.val();
        self.tags.lookup_line.next = self.lookup.val().get_bits::<10>(5);
        self.tags.lookup_tag.next =
            self.valid_bit.val() | bit_cast::<16, 15>(self.lookup.val().get_bits::<15>(10));
        self.data.read_index.next = self.lookup.val().get_bits::<12>(3);
        self.snoop_tags.lookup_line.next = self.snoop_address.val().get_bits::<10>(5);
        self.snoop_tags.lookup_tag.next =
            self.valid_bit.val() | bit_cast::<16, 15>(self.snoop_address.val().get_bits::<15>(10));
        self.snoop_address_reg.d.next = self.snoop_address.val();

        // Stores of the data port: the line is dropped, even if the tags do not show yet whether it is there.
        self.snoop_line.next = self.snoop_address_reg.q.val().get_bits::<10>(5);
        self.snoop_stale.next = self.tag_written_reg.q.val()
            & !((self.tag_written_line_reg.q.val() ^ self.snoop_line.val()) & self.line_mask.val())
                .any();
        self.snoop_invalidates.next =
            self.snoop_store.val() & (self.snoop_tags.hit.val() | self.snoop_stale.val());
        self.snoop_spoils.next = self.snoop_store.val()
            & (self.fill_word_reg.q.val().get_bits::<27>(2)
                == self.snoop_address_reg.q.val().get_bits::<27>(5));

        // The access that was looked up in the clock before.
        self.line.next = self.address_reg.q.val().get_bits::<10>(5);
        // Another line's tag spoils this one's answer, too: to compare them takes too long.
        self.stale.next = self.tag_written_reg.q.val();
        self.usable.next = self.fresh_reg.q.val()
            & !self.stale.val()
            & !self.flush_reg.q.val()
            & !self.clearing_reg.q.val();
        self.load_hits.next = self.usable.val()
            & !self.write_reg.q.val()
            & self.cacheable_reg.q.val()
            & self.tags.hit.val();
        self.store_performs.next = self.usable.val()
            & self.write_reg.q.val()
            & self.store_ready.val()
            & !self.fill_active_reg.q.val();
        self.store_hits.next = self.store_performs.val() & self.tags.hit.val();
        self.fill_starts.next = self.usable.val()
            & !self.write_reg.q.val()
            & !(self.cacheable_reg.q.val() & self.tags.hit.val())
            & !self.fill_active_reg.q.val()
            & !self.snoop_invalidates.val();
        self.answered.next =
            self.load_hits.val() | self.store_performs.val() | self.answer_reg.q.val();
        self.busy.next = self.outstanding_reg.q.val() & !self.answered.val();
        self.accepts.next = !self.outstanding_reg.q.val() | self.answered.val();

        self.fresh_reg.d.next = false;
        self.answer_reg.d.next = false;
        if self.accepts.val() {
            self.outstanding_reg.d.next = self.request.val();
            self.fresh_reg.d.next = self.request.val();
            self.write_reg.d.next = self.write.val();
            self.cacheable_reg.d.next = self.cacheable.val();
            self.fills_reg.d.next = self.cacheable.val() & self.fills.val();
            self.address_reg.d.next = self.address.val();
            self.byte_enable_reg.d.next = self.byte_enable.val();
            self.write_data_reg.d.next = self.write_data.val();
        } else if self.fresh_reg.q.val() {
            self.blocked_reg.d.next = !self.fill_starts.val();
        } else if self.blocked_reg.q.val()
            & !self.fill_active_reg.q.val()
            & self.store_ready.val()
            & !self.flush_reg.q.val()
            & !self.clearing_reg.q.val()
        {
            self.blocked_reg.d.next = false;
            self.fresh_reg.d.next = true;
        }

        // The answer: what the line holds, unless that was written in the clock in which it was read.
        self.from_array.next = !(self.answer_reg.q.val() | self.forward_reg.q.val());
        self.array_data.next = self.data.read_data.val();
        self.kept_data.next = self.override_data_reg.q.val();
        self.read_word.next = self.override_data_reg.q.val();
        if !(self.answer_reg.q.val() | self.forward_reg.q.val()) {
            self.read_word.next = self.data.read_data.val();
        }

        // Stores. Words are written whole: of a word that is written in part while it is read, no byte is sure.
        self.store_mask.byte_enable.next = self.byte_enable_reg.q.val();
        self.stored_word.next = (self.read_word.val() & !self.store_mask.mask.val())
            | (self.write_data_reg.q.val() & self.store_mask.mask.val());
        self.store.next = self.store_performs.val();
        self.store_word.next = self.address_reg.q.val().get_bits::<29>(3);
        self.store_byte_enable.next = self.byte_enable_reg.q.val();
        self.store_data.next = self.write_data_reg.q.val();
        self.data.write.next = 0.into();
        self.data.write_index.next = self.address_reg.q.val().get_bits::<12>(3);
        self.data.write_data.next = self.stored_word.val();
        self.forward_reg.d.next = self.store_hits.val()
            & (self.lookup.val().get_bits::<22>(3) == self.address_reg.q.val().get_bits::<22>(3));
        if self.store_hits.val() {
            self.data.write.next = 3.into();
            self.override_data_reg.d.next = self.stored_word.val();
        }

        // Fills.
        self.fill_request.next = self.fill_active_reg.q.val();
        self.fill_word.next = self.fill_word_reg.q.val();
        self.fill_line.next = self.fill_line_reg.q.val();
        self.fill_ends.next = false;
        // Words of the line, from the first of those that are waited for on.
        self.fill_place.next = (bit_cast::<3, 2>(self.fill_word_reg.q.val().get_bits::<2>(0)) << 1)
            + self.fill_count_reg.q.val();
        if self.fill_active_reg.q.val() & self.snoop_spoils.val() {
            self.fill_spoilt_reg.d.next = true;
        }
        if self.fill_starts.val() {
            self.fill_active_reg.d.next = true;
            self.fill_word_reg.d.next = self.address_reg.q.val().get_bits::<29>(3);
            self.fill_line_reg.d.next = self.fills_reg.q.val();
            self.fill_count_reg.d.next = 0.into();
            self.fill_spoilt_reg.d.next = false;
        }
        if self.fill_active_reg.q.val() & self.fill_beat.val() {
            self.fill_count_reg.d.next = self.fill_count_reg.q.val() + 1;
            if self.fill_count_reg.q.val() == 0 {
                self.fill_low_reg.d.next = self.fill_data.val();
            }
            if self.fill_count_reg.q.val() == 1 {
                self.answer_reg.d.next = true;
                self.override_data_reg.d.next = bit_cast::<64, 32>(self.fill_low_reg.q.val())
                    | (bit_cast::<64, 32>(self.fill_data.val()) << 32);
                self.fill_ends.next = !self.fill_line_reg.q.val();
            }
            if self.fill_line_reg.q.val() {
                self.data.write.next = 1.into();
                if self.fill_place.val().get_bit(0) {
                    self.data.write.next = 2.into();
                }
            }
            self.data.write_index.next =
                (bit_cast::<12, 10>(self.fill_word_reg.q.val().get_bits::<10>(2)) << 2)
                    | bit_cast::<12, 2>(self.fill_place.val().get_bits::<2>(1));
            self.data.write_data.next = bit_cast::<64, 32>(self.fill_data.val())
                | (bit_cast::<64, 32>(self.fill_data.val()) << 32);
            if self.fill_count_reg.q.val().all() {
                self.fill_ends.next = true;
            }
        }
        if self.fill_ends.val() {
            self.fill_active_reg.d.next = false;
        }

        // Tags. A line that is being filled is not there before its end.
        self.tag_write.next = false;
        self.tag_line.next = self.line.val();
        self.tag_value.next = 0.into();
        if self.fill_starts.val() & self.fills_reg.q.val() {
            self.tag_write.next = true;
        }
        if self.fill_ends.val()
            & self.fill_line_reg.q.val()
            & !self.fill_spoilt_reg.q.val()
            & !self.snoop_spoils.val()
        {
            self.tag_write.next = true;
            self.tag_line.next = self.fill_word_reg.q.val().get_bits::<10>(2);
            self.tag_value.next = self.valid_bit.val()
                | bit_cast::<16, 15>(self.fill_word_reg.q.val().get_bits::<15>(7));
        }
        // One line at a time: what a fill has brought in this very clock is not kept.
        if self.snoop_invalidates.val() {
            self.tag_write.next = true;
            self.tag_line.next = self.snoop_line.val();
            self.tag_value.next = 0.into();
        }
        if self.clearing_reg.q.val() {
            self.tag_write.next = true;
            self.tag_line.next = self.clear_line_reg.q.val();
            self.tag_value.next = 0.into();
            self.clear_line_reg.d.next = self.clear_line_reg.q.val() + 1;
            if self.clear_line_reg.q.val() == self.line_mask.val() {
                self.clearing_reg.d.next = false;
            }
        }
        if self.flush.val() {
            self.flush_reg.d.next = true;
        } else if self.flush_reg.q.val() & !self.fill_active_reg.q.val() {
            self.flush_reg.d.next = false;
            self.clearing_reg.d.next = true;
            self.clear_line_reg.d.next = 0.into();
        }
        self.tags.write.next = self.tag_write.val();
        self.tags.write_line.next = self.tag_line.val();
        self.tags.write_tag.next = self.tag_value.val();
        self.snoop_tags.write.next = self.tag_write.val();
        self.snoop_tags.write_line.next = self.tag_line.val();
        self.snoop_tags.write_tag.next = self.tag_value.val();
        self.tag_written_reg.d.next = self.tag_write.val();
        self.tag_written_line_reg.d.next = self.tag_line.val();

        if self.reset.val() {
            self.outstanding_reg.d.next = false;
            self.fresh_reg.d.next = false;
            self.blocked_reg.d.next = false;
            self.answer_reg.d.next = false;
            self.fill_active_reg.d.next = false;
            self.flush_reg.d.next = false;
            self.clearing_reg.d.next = true;
            self.clear_line_reg.d.next = 0.into();
        }
    }
}
