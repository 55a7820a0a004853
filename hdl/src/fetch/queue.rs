//! Instruction port and fetch queue: four aligned 8-byte words, and one on its way.
//!
//! ```text
//! clock           n          n+1        n+2        n+3
//! early redirect  asks       arrives    in window
//! other redirect             asks       arrives    in window
//! ```
use crate::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Fetch {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // instruction port
    pub instruction_request: Signal<Out, Bit>,
    pub instruction_address: Signal<Out, Bits<32>>,
    pub instruction_data: Signal<In, Bits<64>>,
    pub instruction_wait: Signal<In, Bit>,
    // from hazard
    /// Start anew at `redirect_linear`.
    pub redirect: Signal<In, Bit>,
    pub redirect_linear: Signal<In, Bits<32>>,
    pub redirect_eip: Signal<In, Bits<32>>,
    /// Ask for `early_linear` in this clock already: a redirect goes there unless something overrules it.
    pub early: Signal<In, Bit>,
    pub early_linear: Signal<In, Bits<32>>,
    /// There is a redirect, and it is the early one.
    pub redirect_is_early: Signal<In, Bit>,
    /// Drop everything and wait for a redirect.
    pub stop: Signal<In, Bit>,
    // from predecode
    pub consume: Signal<In, Bit>,
    pub consume_bytes: Signal<In, Bits<4>>,
    // address translation
    /// Of the word asked for in this clock.
    pub lookup_linear: Signal<Out, Bits<32>>,
    /// Of the aligned word to ask for next, from a register, for walks and faults.
    pub translate_linear: Signal<Out, Bits<32>>,
    pub translate_valid: Signal<Out, Bit>,
    pub translate_hit: Signal<In, Bit>,
    /// A store may be on its way to the word of `lookup_linear`.
    pub word_waits: Signal<In, Bit>,
    pub translate_physical: Signal<In, Bits<32>>,
    pub translate_fault: Signal<In, Bit>,
    pub translate_fault_code: Signal<In, Bits<3>>,
    // to predecode
    pub window: Signal<Out, Bits<96>>,
    pub window_bytes: Signal<Out, Bits<6>>,
    pub head_eip: Signal<Out, Bits<32>>,
    pub fetch_fault: Signal<Out, Bit>,
    pub fetch_fault_code: Signal<Out, Bits<3>>,
    pub fetch_fault_linear: Signal<Out, Bits<32>>,
    // state
    running: DFF<Bit>,
    /// The next word to ask for.
    fetch_linear: DFF<Bits<32>>,
    word0: DFF<Bits<64>>,
    word1: DFF<Bits<64>>,
    word2: DFF<Bits<64>>,
    word3: DFF<Bits<64>>,
    words: DFF<Bits<3>>,
    /// Byte of word 0 at which the next instruction begins.
    offset: DFF<Bits<3>>,
    head_eip_reg: DFF<Bits<32>>,
    /// A request is unanswered / its answer is of no use.
    outstanding: DFF<Bit>,
    stale: DFF<Bit>,
    // wires
    answered: Signal<Local, Bit>,
    arrives: Signal<Local, Bit>,
    port_free: Signal<Local, Bit>,
    total_words: Signal<Local, Bits<3>>,
    /// Where the word that arrives goes.
    place: Signal<Local, Bits<3>>,
    wide: Signal<Local, Bits<160>>,
    advance: Signal<Local, Bits<5>>,
    dropped: Signal<Local, Bits<2>>,
    room: Signal<Local, Bit>,
    accepted: Signal<Local, Bit>,
    goes_early: Signal<Local, Bit>,
    next_linear: Signal<Local, Bits<32>>,
}

impl Logic for Fetch {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            running,
            fetch_linear,
            word0,
            word1,
            word2,
            word3,
            words,
            offset,
            head_eip_reg,
            outstanding,
            stale
        );
        self.answered.next = self.outstanding.q.val() & !self.instruction_wait.val();
        self.arrives.next = self.answered.val() & !self.stale.q.val();
        self.total_words.next = self.words.q.val();
        if self.arrives.val() {
            self.total_words.next = self.words.q.val() + 1;
        }
        self.wide.next = (bit_cast::<160, 64>(self.word0.q.val())
            | (bit_cast::<160, 64>(self.word1.q.val()) << 64)
            | (bit_cast::<160, 64>(self.word2.q.val()) << 128))
            >> bit_cast::<6, 6>(bit_cast::<6, 3>(self.offset.q.val()) << 3);
        self.window.next = self.wide.val().get_bits::<96>(0);
        self.window_bytes.next = 0.into();
        if self.words.q.val() != 0 {
            self.window_bytes.next = bit_cast::<6, 6>(bit_cast::<6, 3>(self.words.q.val()) << 3)
                - bit_cast::<6, 3>(self.offset.q.val());
        }
        self.head_eip.next = self.head_eip_reg.q.val();

        // What the decoder takes.
        self.advance.next = bit_cast::<5, 3>(self.offset.q.val());
        if self.consume.val() {
            self.advance.next =
                bit_cast::<5, 3>(self.offset.q.val()) + bit_cast::<5, 4>(self.consume_bytes.val());
            self.head_eip_reg.d.next =
                self.head_eip_reg.q.val() + bit_cast::<32, 4>(self.consume_bytes.val());
        }
        self.dropped.next = self.advance.val().get_bits::<2>(3);
        self.offset.d.next = self.advance.val().get_bits::<3>(0);
        self.words.d.next = self.total_words.val() - bit_cast::<3, 2>(self.dropped.val());
        if self.dropped.val() == 1 {
            self.word0.d.next = self.word1.q.val();
            self.word1.d.next = self.word2.q.val();
            self.word2.d.next = self.word3.q.val();
        }
        if self.dropped.val() == 2 {
            self.word0.d.next = self.word2.q.val();
            self.word1.d.next = self.word3.q.val();
        }
        // What lies behind the last word does not matter, so the word that would arrive is written unasked.
        self.place.next = self.words.q.val() - bit_cast::<3, 2>(self.dropped.val());
        match self.place.val().index() {
            0 => {
                self.word0.d.next = self.instruction_data.val();
            }
            1 => {
                self.word1.d.next = self.instruction_data.val();
            }
            2 => {
                self.word2.d.next = self.instruction_data.val();
            }
            3 => {
                self.word3.d.next = self.instruction_data.val();
            }
            _ => {}
        }

        // The port: one request may be on its way besides the words that are here, and has room.
        self.lookup_linear.next = self.fetch_linear.q.val();
        if self.early.val() {
            self.lookup_linear.next = self.early_linear.val();
        }
        self.translate_linear.next = self.fetch_linear.q.val();
        self.room.next = self.total_words.val() < 4;
        self.translate_valid.next = self.running.q.val() & self.room.val();
        self.port_free.next = (!self.outstanding.q.val()) | self.answered.val();
        self.instruction_request.next = (self.early.val() | self.translate_valid.val())
            & self.translate_hit.val()
            & !self.word_waits.val();
        self.instruction_address.next = self.translate_physical.val() & 0xFFFF_FFF8_u64;
        self.accepted.next = self.instruction_request.val() & self.port_free.val();
        self.next_linear.next = (self.lookup_linear.val() & 0xFFFF_FFF8_u64) + 8;
        if self.answered.val() {
            self.outstanding.d.next = false;
            self.stale.d.next = false;
        }
        if self.accepted.val() {
            self.outstanding.d.next = true;
            // Asked for in vain, if no redirect follows.
            self.stale.d.next = self.early.val();
            if !self.early.val() {
                self.fetch_linear.d.next = self.next_linear.val();
            }
        }

        // A fault counts for the byte behind the last one that came.
        self.fetch_fault.next = self.running.q.val()
            & self.translate_fault.val()
            & self.translate_valid.val()
            & !self.outstanding.q.val();
        self.fetch_fault_code.next = self.translate_fault_code.val();
        self.fetch_fault_linear.next = self.fetch_linear.q.val();
        if self.words.q.val() == 0 {
            self.fetch_fault_linear.next =
                self.fetch_linear.q.val() | bit_cast::<32, 3>(self.offset.q.val());
        }

        self.goes_early.next = self.accepted.val() & self.redirect_is_early.val();
        if self.redirect.val() | self.stop.val() {
            self.words.d.next = 0.into();
            self.running.d.next = self.redirect.val();
            self.fetch_linear.d.next = self.redirect_linear.val() & 0xFFFF_FFF8_u64;
            self.offset.d.next = self.redirect_linear.val().get_bits::<3>(0);
            if self.redirect_is_early.val() {
                self.fetch_linear.d.next = self.early_linear.val() & 0xFFFF_FFF8_u64;
                self.offset.d.next = self.early_linear.val().get_bits::<3>(0);
            }
            if self.goes_early.val() {
                self.fetch_linear.d.next = self.next_linear.val();
            }
            self.head_eip_reg.d.next = self.redirect_eip.val();
            // Whatever is on its way is of no use, but for the word that the early redirect asked for.
            self.stale.d.next = !self.goes_early.val();
        }
        if self.reset.val() {
            self.running.d.next = false;
            self.words.d.next = 0.into();
            self.outstanding.d.next = false;
            self.stale.d.next = false;
        }
    }
}
