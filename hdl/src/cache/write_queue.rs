//! Stores that the data port has given and the bus has still to write, oldest first.
use super::ram::QueueRam;
use crate::prelude::*;

/// Up to sixteen stores.
#[derive(LogicBlock, Default)]
pub struct WriteQueue {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the data cache
    pub push: Signal<In, Bit>,
    /// Bits 31:3 of the address.
    pub push_word: Signal<In, Bits<29>>,
    pub push_byte_enable: Signal<In, Bits<8>>,
    pub push_data: Signal<In, Bits<64>>,
    /// One more fits.
    pub ready: Signal<Out, Bit>,
    // to the bus
    /// There is an oldest store.
    pub valid: Signal<Out, Bit>,
    pub word: Signal<Out, Bits<29>>,
    pub byte_enable: Signal<Out, Bits<8>>,
    pub data: Signal<Out, Bits<64>>,
    pub pop: Signal<In, Bit>,
    // state
    first_reg: DFF<Bits<4>>,
    count_reg: DFF<Bits<5>>,
    // units
    words: QueueRam<101>,
}

impl Logic for WriteQueue {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, first_reg, count_reg);
        clock!(self, clock, words);
        self.ready.next = !self.count_reg.q.val().get_bit(4);
        self.valid.next = self.count_reg.q.val().any();

        self.words.write.next = self.push.val();
        self.words.write_index.next =
            bit_cast::<4, 4>(self.first_reg.q.val() + self.count_reg.q.val().get_bits::<4>(0));
        self.words.write_data.next = bit_cast::<101, 64>(self.push_data.val())
            | (bit_cast::<101, 8>(self.push_byte_enable.val()) << 64)
            | (bit_cast::<101, 29>(self.push_word.val()) << 72);
        self.words.read_index.next = self.first_reg.q.val();
        self.data.next = self.words.read_data.val().get_bits::<64>(0);
        self.byte_enable.next = self.words.read_data.val().get_bits::<8>(64);
        self.word.next = self.words.read_data.val().get_bits::<29>(72);

        if self.push.val() & !self.pop.val() {
            self.count_reg.d.next = self.count_reg.q.val() + 1;
        }
        if self.pop.val() & !self.push.val() {
            self.count_reg.d.next = self.count_reg.q.val() - 1;
        }
        if self.pop.val() {
            self.first_reg.d.next = self.first_reg.q.val() + 1;
        }
        if self.reset.val() {
            self.first_reg.d.next = 0.into();
            self.count_reg.d.next = 0.into();
        }
    }
}
