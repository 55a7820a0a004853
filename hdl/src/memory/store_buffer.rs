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
    pub first_data: Signal<In, Bits<64>>,
    pub second_word: Signal<In, Bits<29>>,
    pub second_byte_enable: Signal<In, Bits<8>>,
    pub second_data: Signal<In, Bits<64>>,
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
    // loads: bytes of `forward_word` that came from memory, replaced by what the entries hold
    pub forward_word: Signal<In, Bits<29>>,
    pub forward_data: Signal<In, Bits<64>>,
    pub forwarded_data: Signal<Out, Bits<64>>,
    // state
    /// Bits 31:3 of the physical address.
    word_reg: [DFF<Bits<29>>; 4],
    /// Lanes to write.
    byte_enable_reg: [DFF<Bits<8>>; 4],
    /// Bytes in their lanes.
    data_reg: [DFF<Bits<64>>; 4],
    /// Bit i: entry i holds a store. The entries in use are always the lowest.
    valid_reg: DFF<Bits<4>>,
    // units
    entry_mask: [ByteMask; 4],
    first_mask: ByteMask,
    // wires
    moved_word: [Signal<Local, Bits<29>>; 4],
    moved_byte_enable: [Signal<Local, Bits<8>>; 4],
    moved_data: [Signal<Local, Bits<64>>; 4],
    moved_valid: Signal<Local, Bits<4>>,
    youngest: Signal<Local, Bits<4>>,
    first_free: Signal<Local, Bits<4>>,
    joins: Signal<Local, Bit>,
    same_word: [Signal<Local, Bit>; 4],
    same_word_bits: Signal<Local, Bits<4>>,
    moved_same_word: Signal<Local, Bits<4>>,
    write_first: Signal<Local, Bits<4>>,
    write_second: Signal<Local, Bits<4>>,
    kept_byte_enable: [Signal<Local, Bits<8>>; 4],
    forward_hit: [Signal<Local, Bit>; 4],
    forward_step: [Signal<Local, Bits<64>>; 5],
}

impl Logic for StoreBuffer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_reg);
        self.empty.next = !self.valid_reg.q.val().get_bit(0);
        self.room_for_one.next = !self.valid_reg.q.val().get_bit(3);
        self.room_for_two.next = !self.valid_reg.q.val().get_bit(2);
        self.drain_word.next = self.word_reg[0].q.val();
        self.drain_byte_enable.next = self.byte_enable_reg[0].q.val();
        self.drain_data.next = self.data_reg[0].q.val();

        // Younger entries come later in the chain and win.
        self.forward_step[0].next = self.forward_data.val();
        for i in 0..4 {
            self.entry_mask[i].byte_enable.next = self.byte_enable_reg[i].q.val();
            self.forward_hit[i].next = self.valid_reg.q.val().get_bit(i)
                & (self.word_reg[i].q.val() == self.forward_word.val());
            self.forward_step[i + 1].next = self.forward_step[i].val();
            if self.forward_hit[i].val() {
                self.forward_step[i + 1].next = (self.forward_step[i].val()
                    & !self.entry_mask[i].mask.val())
                    | (self.data_reg[i].q.val() & self.entry_mask[i].mask.val());
            }
        }
        self.forwarded_data.next = self.forward_step[4].val();

        // What is left when the oldest entry has gone.
        self.moved_valid.next = self.valid_reg.q.val();
        self.moved_word[3].next = self.word_reg[3].q.val();
        self.moved_byte_enable[3].next = self.byte_enable_reg[3].q.val();
        self.moved_data[3].next = self.data_reg[3].q.val();
        for i in 0..3 {
            self.moved_word[i].next = self.word_reg[i].q.val();
            self.moved_byte_enable[i].next = self.byte_enable_reg[i].q.val();
            self.moved_data[i].next = self.data_reg[i].q.val();
            if self.drain_accepted.val() {
                self.moved_word[i].next = self.word_reg[i + 1].q.val();
                self.moved_byte_enable[i].next = self.byte_enable_reg[i + 1].q.val();
                self.moved_data[i].next = self.data_reg[i + 1].q.val();
            }
        }
        for i in 0..4 {
            self.same_word[i].next = self.word_reg[i].q.val() == self.first_word.val();
        }
        self.same_word_bits.next = bit_cast::<4, 1>(self.same_word[0].val().into())
            | (bit_cast::<4, 1>(self.same_word[1].val().into()) << 1)
            | (bit_cast::<4, 1>(self.same_word[2].val().into()) << 2)
            | (bit_cast::<4, 1>(self.same_word[3].val().into()) << 3);
        self.moved_same_word.next = self.same_word_bits.val();
        if self.drain_accepted.val() {
            self.moved_valid.next = self.valid_reg.q.val() >> 1;
            self.moved_same_word.next = self.same_word_bits.val() >> 1;
        }

        // Where the new store goes: one bit per entry.
        self.youngest.next = self.moved_valid.val() & !(self.moved_valid.val() >> 1);
        self.first_free.next = ((self.moved_valid.val() << 1) | 1) & !self.moved_valid.val();
        self.joins.next = (self.youngest.val() & self.moved_same_word.val()).any();
        self.write_first.next = 0.into();
        self.write_second.next = 0.into();
        if self.push_valid.val() {
            self.write_first.next = self.first_free.val();
            if self.joins.val() {
                self.write_first.next = self.youngest.val();
            }
            if self.push_split.val() {
                self.write_second.next = self.write_first.val() << 1;
            }
        }
        self.valid_reg.d.next =
            self.moved_valid.val() | self.write_first.val() | self.write_second.val();
        self.first_mask.byte_enable.next = self.first_byte_enable.val();
        for i in 0..4 {
            self.word_reg[i].clock.next = self.clock.val();
            self.byte_enable_reg[i].clock.next = self.clock.val();
            self.data_reg[i].clock.next = self.clock.val();
            self.word_reg[i].d.next = self.moved_word[i].val();
            self.byte_enable_reg[i].d.next = self.moved_byte_enable[i].val();
            self.data_reg[i].d.next = self.moved_data[i].val();
            self.kept_byte_enable[i].next = 0.into();
            if self.joins.val() {
                self.kept_byte_enable[i].next = self.moved_byte_enable[i].val();
            }
            if self.write_first.val().get_bit(i) {
                self.word_reg[i].d.next = self.first_word.val();
                self.byte_enable_reg[i].d.next =
                    self.kept_byte_enable[i].val() | self.first_byte_enable.val();
                self.data_reg[i].d.next = (self.moved_data[i].val() & !self.first_mask.mask.val())
                    | (self.first_data.val() & self.first_mask.mask.val());
            }
            if self.write_second.val().get_bit(i) {
                self.word_reg[i].d.next = self.second_word.val();
                self.byte_enable_reg[i].d.next = self.second_byte_enable.val();
                self.data_reg[i].d.next = self.second_data.val();
            }
        }
        if self.reset.val() {
            self.valid_reg.d.next = 0.into();
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
        buffer.first_data.next = data.into();
        edge(buffer);
        buffer.push_valid.next = false;
    }

    #[test]
    fn the_youngest_byte_of_a_word_wins() {
        let mut buffer = new_buffer();
        push(&mut buffer, 5, 0x0F, 0x1111_1111_1111_1111);
        push(&mut buffer, 6, 0xFF, 0x2222_2222_2222_2222);
        push(&mut buffer, 5, 0x3C, 0x3333_3333_3333_3333);
        buffer.forward_word.next = 5.into();
        buffer.forward_data.next = 0xAAAA_AAAA_AAAA_AAAA_u64.into();
        settle(&mut buffer);
        assert_eq!(buffer.forwarded_data.val(), 0xAAAA_3333_3333_1111_u64);
    }

    #[test]
    fn stores_to_the_youngest_word_share_its_entry() {
        let mut buffer = new_buffer();
        for byte in 0..8 {
            push(&mut buffer, 5, 1 << byte, 0x8877_6655_4433_2211);
        }
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
