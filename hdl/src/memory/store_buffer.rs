//! Four stores that have retired and wait for the data port.
use crate::memory::ByteMask;
use crate::prelude::*;

/// A queue of stores, oldest in entry 0, that younger loads look through.
///
/// A store to the word of the youngest entry joins it, so that `add [m], r` and pushes take one entry per word.
#[derive(LogicBlock, Default)]
pub struct StoreBuffer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from execute: the store that retires in this clock
    pub push_valid: Signal<In, Bit>,
    /// The store touches two words.
    pub push_split: Signal<In, Bit>,
    pub first_word: Signal<In, Bits<29>>,
    pub first_byte_enable: Signal<In, Bits<8>>,
    pub second_word: Signal<In, Bits<29>>,
    pub second_byte_enable: Signal<In, Bits<8>>,
    /// A clock after `push_valid`: bytes in the lanes of both words.
    pub push_data: Signal<In, Bits<64>>,
    // to execute and the port
    pub empty: Signal<Out, Bit>,
    /// One more word fits.
    pub room_for_one: Signal<Out, Bit>,
    /// Two more words fit.
    pub room_for_two: Signal<Out, Bit>,
    // to and from the port: the oldest entry
    pub drain_word: Signal<Out, Bits<29>>,
    pub drain_byte_enable: Signal<Out, Bits<8>>,
    pub drain_data: Signal<Out, Bits<64>>,
    /// The port takes the oldest entry at the end of this clock.
    pub drain_accepted: Signal<In, Bit>,
    /// No accepted store is unanswered.
    pub drain_settled: Signal<In, Bit>,
    // to fetch
    /// Bits 11:3 of the address that fetch asked for in the clock before, which translation does not change.
    pub fetched_word: Signal<In, Bits<9>>,
    /// A store may have been on its way to that word.
    pub fetched_early: Signal<Out, Bit>,
    // loads
    /// The port takes a request at the end of this clock: if it is a load, of `load_word`, its lanes are matched with
    /// the entries, and with the store that retires in this clock.
    pub load_match: Signal<In, Bit>,
    pub load_word: Signal<In, Bits<29>>,
    /// In the clocks after it, until the next match: lanes of the load that are not in memory yet, and what they hold.
    pub buffered_lanes: Signal<Out, Bits<8>>,
    /// Of these, the lanes that are still in `push_data`.
    pub new_lanes: Signal<Out, Bits<8>>,
    /// Of the others.
    pub buffered_data: Signal<Out, Bits<64>>,
    // state
    /// Bits 31:3 of the physical address.
    word_reg: [DFF<Bits<29>>; 4],
    /// Lanes to write.
    byte_enable_reg: [DFF<Bits<8>>; 4],
    /// Bytes in their lanes; those of a new store follow a clock later.
    data_reg: [DFF<Bits<64>>; 4],
    /// Bit i: `push_data` has bytes for entry i, in lanes `new_first_reg`; for the next entry in `new_second_reg`.
    new_place_reg: DFF<Bits<4>>,
    /// Bits 11:3 of the store that was accepted last.
    accepted_reg: DFF<Bits<9>>,
    /// A store was accepted in the clock before, or was not in memory by then.
    unsettled_reg: DFF<Bit>,
    new_first_reg: DFF<Bits<8>>,
    new_second_reg: DFF<Bits<8>>,
    /// Bit i: entry i holds a store. The entries in use are always the lowest.
    valid_reg: DFF<Bits<4>>,
    /// Bit i: lane i of the load that was matched last is in the buffer.
    match_reg: DFF<Bits<8>>,
    /// Bit i: it is still in `push_data`.
    match_new_reg: DFF<Bits<8>>,
    /// What it holds, unless it is new.
    match_data_reg: DFF<Bits<64>>,
    // units
    new_mask: [ByteMask; 4],
    match_mask: [ByteMask; 4],
    match_new_mask: ByteMask,
    // wires
    moved_word: [Signal<Local, Bits<29>>; 4],
    moved_byte_enable: [Signal<Local, Bits<8>>; 4],
    entry_data: [Signal<Local, Bits<64>>; 4],
    moved_valid: Signal<Local, Bits<4>>,
    youngest: Signal<Local, Bits<4>>,
    first_free: Signal<Local, Bits<4>>,
    same_word: [Signal<Local, Bit>; 4],
    fetched: [Signal<Local, Bit>; 4],
    same_word_bits: Signal<Local, Bits<4>>,
    joins_youngest: Signal<Local, Bit>,
    joins: Signal<Local, Bit>,
    place: Signal<Local, Bits<4>>,
    moved_place: Signal<Local, Bits<4>>,
    moved_second_place: Signal<Local, Bits<4>>,
    write_first: Signal<Local, Bits<4>>,
    write_second: Signal<Local, Bits<4>>,
    joining_byte_enable: Signal<Local, Bits<8>>,
    new_first: [Signal<Local, Bits<8>>; 4],
    new_second: [Signal<Local, Bits<8>>; 4],
    covered: [Signal<Local, Bits<8>>; 4],
    covered_first: Signal<Local, Bits<8>>,
    covered_second: Signal<Local, Bits<8>>,
    pushed_lanes: Signal<Local, Bits<8>>,
    chosen: [Signal<Local, Bits<8>>; 4],
    chosen_data: [Signal<Local, Bits<64>>; 4],
}

impl Logic for StoreBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            valid_reg,
            new_place_reg,
            accepted_reg,
            unsettled_reg,
            new_first_reg,
            new_second_reg,
            match_reg,
            match_new_reg,
            match_data_reg
        );
        self.empty.next = !self.valid_reg.q.val().get_bit(0);
        self.room_for_one.next = !self.valid_reg.q.val().get_bit(3);
        self.room_for_two.next = !self.valid_reg.q.val().get_bit(2);
        self.drain_word.next = self.word_reg[0].q.val();
        self.drain_byte_enable.next = self.byte_enable_reg[0].q.val();

        // The bytes of the store that retired in the clock before: the data of a store come late in their clock.
        for i in 0..4 {
            self.new_first[i].next = 0.into();
            if self.new_place_reg.q.val().get_bit(i) {
                self.new_first[i].next = self.new_first_reg.q.val();
            }
            self.new_second[i].next = 0.into();
        }
        for i in 0..3 {
            if self.new_place_reg.q.val().get_bit(i) {
                self.new_second[i + 1].next = self.new_second_reg.q.val();
            }
        }
        for i in 0..4 {
            self.new_mask[i].byte_enable.next = self.new_first[i].val() | self.new_second[i].val();
            self.entry_data[i].next = (self.data_reg[i].q.val() & !self.new_mask[i].mask.val())
                | (self.push_data.val() & self.new_mask[i].mask.val());
        }
        self.drain_data.next = self.entry_data[0].val();

        // The load whose answer comes: registers.
        if self.drain_accepted.val() {
            self.accepted_reg.d.next = self.word_reg[0].q.val().get_bits::<9>(0);
        }
        self.unsettled_reg.d.next = self.drain_accepted.val() | !self.drain_settled.val();
        for i in 0..4 {
            self.fetched[i].next = self.valid_reg.q.val().get_bit(i)
                & (self.word_reg[i].q.val().get_bits::<9>(0) == self.fetched_word.val());
        }
        self.fetched_early.next = self.fetched[0].val()
            | self.fetched[1].val()
            | self.fetched[2].val()
            | self.fetched[3].val()
            | ((self.unsettled_reg.q.val() | !self.drain_settled.val())
                & (self.accepted_reg.q.val() == self.fetched_word.val()));
        self.buffered_lanes.next = self.match_reg.q.val();
        self.new_lanes.next = self.match_new_reg.q.val();
        self.buffered_data.next = self.match_data_reg.q.val();

        // What is left when the oldest entry has gone.
        self.moved_valid.next = self.valid_reg.q.val();
        self.moved_word[3].next = self.word_reg[3].q.val();
        self.moved_byte_enable[3].next = self.byte_enable_reg[3].q.val();
        for i in 0..3 {
            self.moved_word[i].next = self.word_reg[i].q.val();
            self.moved_byte_enable[i].next = self.byte_enable_reg[i].q.val();
            if self.drain_accepted.val() {
                self.moved_word[i].next = self.word_reg[i + 1].q.val();
                self.moved_byte_enable[i].next = self.byte_enable_reg[i + 1].q.val();
            }
        }
        for i in 0..4 {
            self.same_word[i].next = self.word_reg[i].q.val() == self.first_word.val();
        }
        self.same_word_bits.next = bit_cast::<4, 1>(self.same_word[0].val().into())
            | (bit_cast::<4, 1>(self.same_word[1].val().into()) << 1)
            | (bit_cast::<4, 1>(self.same_word[2].val().into()) << 2)
            | (bit_cast::<4, 1>(self.same_word[3].val().into()) << 3);

        // Where the new store goes, if the oldest entry stays: one bit per entry.
        self.youngest.next = self.valid_reg.q.val() & !(self.valid_reg.q.val() >> 1);
        self.first_free.next = ((self.valid_reg.q.val() << 1) | 1) & !self.valid_reg.q.val();
        self.joins_youngest.next = (self.youngest.val() & self.same_word_bits.val()).any();
        self.place.next = self.first_free.val();
        if self.joins_youngest.val() {
            self.place.next = self.youngest.val();
        }

        // The next load: which entry has which lane, and then what the new store has. No entry leaves in its clock.
        self.covered_first.next = 0.into();
        if self.first_word.val() == self.load_word.val() {
            self.covered_first.next = self.first_byte_enable.val();
        }
        self.covered_second.next = 0.into();
        if self.push_split.val() & (self.second_word.val() == self.load_word.val()) {
            self.covered_second.next = self.second_byte_enable.val();
        }
        for i in 0..4 {
            self.covered[i].next = 0.into();
            if self.valid_reg.q.val().get_bit(i)
                & (self.word_reg[i].q.val() == self.load_word.val())
            {
                self.covered[i].next = self.byte_enable_reg[i].q.val();
            }
        }
        self.pushed_lanes.next = self.covered_first.val() | self.covered_second.val();
        self.chosen[3].next = self.covered[3].val();
        self.chosen[2].next = self.covered[2].val() & !self.covered[3].val();
        self.chosen[1].next =
            self.covered[1].val() & !self.covered[2].val() & !self.covered[3].val();
        self.chosen[0].next = self.covered[0].val()
            & !self.covered[1].val()
            & !self.covered[2].val()
            & !self.covered[3].val();
        for i in 0..4 {
            self.match_mask[i].byte_enable.next = self.chosen[i].val();
            self.chosen_data[i].next = self.entry_data[i].val() & self.match_mask[i].mask.val();
        }
        self.match_new_mask.byte_enable.next = self.match_new_reg.q.val();
        self.match_data_reg.d.next = (self.match_data_reg.q.val()
            & !self.match_new_mask.mask.val())
            | (self.push_data.val() & self.match_new_mask.mask.val());
        self.match_new_reg.d.next = 0.into();
        if self.load_match.val() {
            self.match_reg.d.next = self.covered[0].val()
                | self.covered[1].val()
                | self.covered[2].val()
                | self.covered[3].val();
            self.match_data_reg.d.next = self.chosen_data[0].val()
                | self.chosen_data[1].val()
                | self.chosen_data[2].val()
                | self.chosen_data[3].val();
            if self.push_valid.val() {
                self.match_new_reg.d.next = self.pushed_lanes.val();
                self.match_reg.d.next = self.covered[0].val()
                    | self.covered[1].val()
                    | self.covered[2].val()
                    | self.covered[3].val()
                    | self.pushed_lanes.val();
            }
        }

        // The same place when the oldest entry has gone; the youngest cannot be joined if it is the oldest.
        self.joins.next = self.joins_youngest.val();
        self.moved_place.next = self.place.val();
        if self.drain_accepted.val() {
            self.moved_valid.next = self.valid_reg.q.val() >> 1;
            self.joins.next = self.joins_youngest.val() & !self.youngest.val().get_bit(0);
            self.moved_place.next = self.place.val() >> 1;
            if self.youngest.val().get_bit(0) {
                self.moved_place.next = 1.into();
            }
        }
        self.moved_second_place.next = 0.into();
        if self.push_split.val() {
            self.moved_second_place.next = self.moved_place.val() << 1;
        }
        self.write_first.next = 0.into();
        self.write_second.next = 0.into();
        self.joining_byte_enable.next = 0.into();
        if self.push_valid.val() {
            self.write_first.next = self.moved_place.val();
            self.write_second.next = self.moved_second_place.val();
            self.joining_byte_enable.next = self.first_byte_enable.val();
        }
        self.valid_reg.d.next =
            self.moved_valid.val() | self.write_first.val() | self.write_second.val();
        // `push_valid` comes late. So the next entry is written in any case, and only what joins waits to be told.
        for i in 0..4 {
            self.word_reg[i].clock.next = self.clock.val();
            self.byte_enable_reg[i].clock.next = self.clock.val();
            self.data_reg[i].clock.next = self.clock.val();
            self.word_reg[i].d.next = self.moved_word[i].val();
            self.byte_enable_reg[i].d.next = self.moved_byte_enable[i].val();
            if self.moved_place.val().get_bit(i) {
                self.word_reg[i].d.next = self.first_word.val();
                self.byte_enable_reg[i].d.next = self.first_byte_enable.val();
                if self.joins.val() {
                    self.byte_enable_reg[i].d.next =
                        self.moved_byte_enable[i].val() | self.joining_byte_enable.val();
                }
            }
            if self.moved_second_place.val().get_bit(i) {
                self.word_reg[i].d.next = self.second_word.val();
                self.byte_enable_reg[i].d.next = self.second_byte_enable.val();
            }
            self.data_reg[i].d.next = self.entry_data[i].val();
        }
        for i in 0..3 {
            if self.drain_accepted.val() {
                self.data_reg[i].d.next = self.entry_data[i + 1].val();
            }
        }
        self.new_place_reg.d.next = self.write_first.val();
        self.new_first_reg.d.next = self.first_byte_enable.val();
        self.new_second_reg.d.next = 0.into();
        if self.push_split.val() {
            self.new_second_reg.d.next = self.second_byte_enable.val();
        }
        if self.reset.val() {
            self.valid_reg.d.next = 0.into();
            self.new_place_reg.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::testing::Random;

    fn settle(buffer: &mut StoreBuffer) {
        assert!(simulate(buffer, 50));
    }

    fn edge(buffer: &mut StoreBuffer) {
        settle(buffer);
        buffer.clock.next = true.into();
        settle(buffer);
        buffer.clock.next = false.into();
    }

    fn new_buffer() -> StoreBuffer {
        let mut buffer = StoreBuffer::default();
        buffer.connect_all();
        buffer.reset.next = true;
        edge(&mut buffer);
        buffer.reset.next = false;
        buffer
    }

    fn push(buffer: &mut StoreBuffer, word: u64, byte_enable: u64, data: u64) {
        buffer.push_valid.next = true;
        buffer.first_word.next = word.into();
        buffer.first_byte_enable.next = byte_enable.into();
        edge(buffer);
        buffer.push_valid.next = false;
        buffer.push_data.next = data.into();
    }

    #[test]
    fn the_youngest_byte_of_a_word_wins() {
        let mut buffer = new_buffer();
        push(&mut buffer, 5, 0x0F, 0x1111_1111_1111_1111);
        push(&mut buffer, 6, 0xFF, 0x2222_2222_2222_2222);
        push(&mut buffer, 5, 0x3C, 0x3333_3333_3333_3333);
        buffer.load_word.next = 5.into();
        buffer.load_match.next = true;
        edge(&mut buffer);
        settle(&mut buffer);
        assert_eq!(buffer.buffered_lanes.val(), 0x3F);
        let data = u64::from(buffer.buffered_data.val()) & 0xFFFF_FFFF_FFFF;
        assert_eq!(data, 0x3333_3333_1111);
    }

    #[test]
    fn a_load_finds_the_bytes_of_all_stores_that_retire_before_or_with_its_request() {
        let mut random = Random(9);
        let mut buffer = new_buffer();
        // Word, lane enables and bytes of what the buffer should hold, oldest first.
        let mut stores: std::collections::VecDeque<(u64, [Option<u8>; 8])> = Default::default();
        let mut expected = [None; 8];
        let mut found = 0;
        for clock in 0..2000 {
            let loads = random.chance(50);
            let drains = !loads && !stores.is_empty() && random.chance(50);
            let split = random.chance(20);
            let pushes = stores.len() + usize::from(split) < 4 && random.chance(60);
            let word = random.below(3);
            let enables = [random.below(256), random.below(256)];
            let data = random.next();
            let load_word = random.below(4);
            buffer.drain_accepted.next = drains;
            buffer.push_valid.next = pushes;
            buffer.push_split.next = split;
            buffer.first_word.next = word.into();
            buffer.first_byte_enable.next = enables[0].into();
            buffer.second_word.next = (word + 1).into();
            buffer.second_byte_enable.next = enables[1].into();
            buffer.load_match.next = loads;
            buffer.load_word.next = load_word.into();
            if drains {
                stores.pop_front();
            }
            if pushes {
                let halves = [(word, enables[0]), (word + 1, enables[1])];
                for (word, enable) in &halves[..1 + usize::from(split)] {
                    if stores.back().is_none_or(|youngest| youngest.0 != *word) {
                        stores.push_back((*word, [None; 8]));
                    }
                    for lane in (0..8).filter(|lane| enable >> lane & 1 == 1) {
                        stores.back_mut().unwrap().1[lane] = Some(data.to_le_bytes()[lane]);
                    }
                }
            }
            edge(&mut buffer);
            buffer.push_data.next = data.into();
            settle(&mut buffer);
            // What was found stays until the next match, whatever comes and goes.
            if loads {
                expected = std::array::from_fn(|lane| {
                    let mut stores = stores.iter().rev().filter(|store| store.0 == load_word);
                    stores.find_map(|store| store.1[lane])
                });
            }
            let lanes = u64::from(buffer.buffered_lanes.val());
            let new_lanes = u64::from(buffer.new_lanes.val());
            let old_bytes = u64::from(buffer.buffered_data.val()).to_le_bytes();
            for lane in 0..8 {
                let is_new = new_lanes >> lane & 1 == 1;
                let bytes = if is_new {
                    data.to_le_bytes()
                } else {
                    old_bytes
                };
                let buffered = (lanes >> lane & 1 == 1).then_some(bytes[lane]);
                assert_eq!(buffered, expected[lane], "clock {clock} lane {lane}");
                found += usize::from(loads && buffered.is_some());
            }
        }
        assert!(found > 1000, "{found}");
    }

    #[test]
    fn stores_to_the_youngest_word_share_its_entry() {
        let mut buffer = new_buffer();
        for byte in 0..8 {
            push(&mut buffer, 5, 1 << byte, 0x8877_6655_4433_2211);
        }
        settle(&mut buffer);
        assert_eq!(buffer.drain_byte_enable.val(), 0xFF);
        assert_eq!(buffer.drain_data.val(), 0x8877_6655_4433_2211_u64);
        buffer.drain_accepted.next = true;
        edge(&mut buffer);
        buffer.drain_accepted.next = false;
        settle(&mut buffer);
        assert!(buffer.empty.val());
    }

    #[test]
    fn words_leave_in_the_order_in_which_they_came() {
        let mut random = Random(7);
        let mut buffer = new_buffer();
        let mut next_word = 0u64;
        let mut waiting = std::collections::VecDeque::new();
        for clock in 0..300 {
            settle(&mut buffer);
            assert_eq!(buffer.empty.val(), waiting.is_empty(), "clock {clock}");
            assert_eq!(
                buffer.room_for_one.val(),
                waiting.len() < 4,
                "clock {clock}"
            );
            assert_eq!(
                buffer.room_for_two.val(),
                waiting.len() < 3,
                "clock {clock}"
            );
            let drain = !waiting.is_empty() && random.chance(50);
            if drain {
                assert_eq!(Some(buffer.drain_word.val().into()), waiting.pop_front());
            }
            buffer.drain_accepted.next = drain;
            let split = random.chance(30);
            let fits = if split {
                buffer.room_for_two.val()
            } else {
                buffer.room_for_one.val()
            };
            let pushes = fits && random.chance(60);
            buffer.push_valid.next = pushes;
            buffer.push_split.next = split;
            buffer.first_word.next = next_word.into();
            buffer.first_byte_enable.next = 0xF0.into();
            buffer.second_word.next = (next_word + 1).into();
            buffer.second_byte_enable.next = 0x0F.into();
            if pushes {
                let words = if split { 2 } else { 1 };
                waiting.extend(next_word..next_word + words);
                next_word += words;
            }
            edge(&mut buffer);
        }
    }
}
