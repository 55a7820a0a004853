//! Finds stores to code that is on its way through the pipeline.
use crate::prelude::*;

/// The words of code asked for last: at least all that were not executed yet, which are at most four in the queue, one on
/// its way, and two for each of the four instructions between issue and execute.
///
/// Addresses are compared by 13 bits made of bits 28:3, so that now and then a store is found that does no harm. Higher
/// bits are mixed in the other way round: code and data at round addresses differ.
#[derive(LogicBlock, Default)]
pub struct RecentWords {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A word was asked for in the clock before.
    pub asked: Signal<In, Bit>,
    pub asked_linear: Signal<In, Bits<32>>,
    // what the memory stage may be about to store
    pub store_linear: Signal<In, Bits<32>>,
    pub store_bytes: Signal<In, Bits<4>>,
    /// It moves into execute at the end of this clock.
    pub advance: Signal<In, Bit>,
    /// What is in execute changes one of the words.
    pub hit: Signal<Out, Bit>,
    // state
    words: [DFF<Bits<13>>; 13],
    first_reg: DFF<Bits<13>>,
    last_reg: DFF<Bits<13>>,
    hit_reg: DFF<Bit>,
    // units
    asked_code: WordCode,
    first_code: WordCode,
    last_code: WordCode,
    // wires
    asked_word: Signal<Local, Bits<13>>,
    end: Signal<Local, Bits<5>>,
    word: Signal<Local, Bits<29>>,
    next_word: Signal<Local, Bits<29>>,
    found: Signal<Local, Bit>,
}

impl Logic for RecentWords {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, first_reg, last_reg, hit_reg);
        self.asked_code.word.next = self.asked_linear.val().get_bits::<29>(3);
        self.asked_word.next = self.asked_code.code.val();
        for i in 0..13 {
            self.words[i].clock.next = self.clock.val();
            self.words[i].d.next = self.words[i].q.val();
        }
        if self.asked.val() & (self.asked_word.val() != self.words[0].q.val()) {
            self.words[0].d.next = self.asked_word.val();
            for i in 0..12 {
                self.words[i + 1].d.next = self.words[i].q.val();
            }
        }
        self.word.next = self.store_linear.val().get_bits::<29>(3);
        self.end.next = bit_cast::<5, 3>(self.store_linear.val().get_bits::<3>(0))
            + bit_cast::<5, 4>(self.store_bytes.val());
        self.next_word.next = self.word.val();
        if self.end.val() > 8 {
            self.next_word.next = self.word.val() + 1;
        }
        self.first_code.word.next = self.word.val();
        self.last_code.word.next = self.next_word.val();
        self.found.next = (self.asked_word.val() == self.first_code.code.val())
            | (self.asked_word.val() == self.last_code.code.val());
        for i in 0..13 {
            if (self.words[i].q.val() == self.first_code.code.val())
                | (self.words[i].q.val() == self.last_code.code.val())
            {
                self.found.next = true;
            }
        }
        // Besides, what was asked for since it is in execute.
        self.hit.next = self.hit_reg.q.val()
            | (self.asked_word.val() == self.first_reg.q.val())
            | (self.asked_word.val() == self.last_reg.q.val());
        self.hit_reg.d.next = self.hit.val();
        if self.advance.val() {
            self.first_reg.d.next = self.first_code.code.val();
            self.last_reg.d.next = self.last_code.code.val();
            self.hit_reg.d.next = self.found.val();
        }
        if self.reset.val() {
            for i in 0..13 {
                self.words[i].d.next = 0.into();
            }
        }
    }
}

/// The 13 bits by which a word is compared.
#[derive(LogicBlock, Default)]
pub struct WordCode {
    /// Bits 31:3 of an address.
    pub word: Signal<In, Bits<29>>,
    pub code: Signal<Out, Bits<13>>,
}

impl Logic for WordCode {
    fn update(&mut self) {
        let word = self.word.val();
        let code = (0..13).fold(0u64, |code, bit| {
            code | u64::from(word.get_bit(bit) != word.get_bit(25 - bit)) << bit
        });
        self.code.next = code.into();
    }
    fn connect(&mut self) {
        self.code.connect();
    }
    fn hdl(&self) -> Verilog {
        let reversed: Vec<String> = (13..26).map(|bit| format!("word[{bit}]")).collect();
        Verilog::Custom(format!(
            "always @(*) code = word[12:0] ^ {{{}}};\n",
            reversed.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};

    clocked!(RecentWords);

    #[test]
    fn a_store_to_one_of_the_last_thirteen_words_is_found() {
        let mut recent = start(RecentWords::default());
        let word_at = |n: u64| 0x40_0000 + 0x1238 * n;
        for n in 0..20 {
            recent.asked.next = true;
            recent.asked_linear.next = word_at(n).into();
            tick(&mut recent);
            // The same once more is no other word.
            tick(&mut recent);
        }
        recent.asked.next = false;
        recent.asked_linear.next = 0.into();
        let mut hits = |linear: u64, bytes: u64| {
            recent.store_linear.next = linear.into();
            recent.store_bytes.next = bytes.into();
            recent.advance.next = true;
            tick(&mut recent);
            recent.hit.val()
        };
        for n in 7..20 {
            let word = word_at(n) & !7;
            assert!(
                hits(word, 1) && hits(word + 7, 1) && hits(word - 3, 4),
                "{n}"
            );
            assert!(!hits(word - 4, 4) && !hits(word + 8, 8), "beside {n}");
        }
        assert!(!hits(word_at(6), 4), "long ago");
        // Round addresses.
        assert!(!hits(word_at(19) & 0xFFFF | 0x8_0000, 4));
    }

    #[test]
    fn a_word_that_is_asked_for_while_its_store_waits_in_execute_is_found() {
        let mut recent = start(RecentWords::default());
        let mut hits_since = |asked: u64| {
            recent.store_linear.next = 0x40_1236_u64.into();
            recent.store_bytes.next = 4.into();
            recent.advance.next = true;
            recent.asked_linear.next = 0.into();
            tick(&mut recent);
            recent.advance.next = false;
            recent.store_linear.next = 0.into();
            settle(&mut recent);
            assert!(!recent.hit.val());
            recent.asked_linear.next = asked.into();
            settle(&mut recent);
            let hit = recent.hit.val();
            tick(&mut recent);
            recent.asked_linear.next = 0.into();
            tick(&mut recent);
            assert_eq!(recent.hit.val(), hit, "it is not forgotten");
            hit
        };
        assert!(hits_since(0x40_1230) && hits_since(0x40_1238));
        assert!(!hits_since(0x40_1228) && !hits_since(0x40_1240));
    }
}
