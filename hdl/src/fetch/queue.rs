//! Instruction port and fetch queue: four aligned 8-byte words, and one on its way.
//!
//! ```text
//! clock             n          n+1            n+2        n+3
//! a word            asks       arrives        in window
//! predicted branch             target asked   arrives    in window
//! early redirect    asks       arrives        in window
//! other redirect               asks           arrives    in window
//! ```
//!
//! A word in which a branch is predicted taken is cut: its bytes count up to the branch's last one, and the next word
//! is the target's.
use super::branch_targets::BranchTargets;
use super::return_stack::ReturnStack;
use crate::decode::length::{MARK_BITS, marks};
use crate::decode::rom::AsyncRom;
use crate::prelude::*;

/// A word of the queue.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct FetchedWord {
    pub data: Bits<64>,
    /// What each byte says about an instruction's length: see `decode/length.rs`.
    pub marks: Bits<128>,
    /// A branch that ends in byte `end` is predicted taken: the next word is where it goes.
    pub cut: Bit,
    pub end: Bits<3>,
    pub target_eip: Bits<32>,
    /// Bits 2:0 of the target's linear address.
    pub target_offset: Bits<3>,
}

#[derive(LogicBlock, Default)]
pub struct Fetch {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // instruction port
    pub instruction_request: Signal<Out, Bit>,
    pub instruction_address: Signal<Out, Bits<32>>,
    pub instruction_cacheable: Signal<Out, Bit>,
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
    /// The redirect is to an instruction that a prediction cut wrongly: do not predict in its words.
    pub redirect_unpredicted: Signal<In, Bit>,
    /// A call goes where fetch did not expect it: it returns to this linear address.
    pub redirect_calls: Signal<In, Bit>,
    pub redirect_returns_to: Signal<In, Bits<32>>,
    /// The redirect comes from issue / from retirement.
    pub issue_redirects: Signal<In, Bit>,
    pub retire_redirects: Signal<In, Bit>,
    // from issue and execute
    pub call_issues: Signal<In, Bit>,
    pub return_issues: Signal<In, Bit>,
    pub call_retires: Signal<In, Bit>,
    pub return_retires: Signal<In, Bit>,
    // from the code segment
    pub code_base: Signal<In, Bits<32>>,
    // what branches do: see `BranchTargets`
    pub train: Signal<In, Bit>,
    pub learns: Signal<Out, Bit>,
    pub train_end: Signal<In, Bits<32>>,
    pub train_target: Signal<In, Bits<32>>,
    pub train_taken: Signal<In, Bit>,
    pub train_conditional: Signal<In, Bit>,
    pub train_call: Signal<In, Bit>,
    pub train_returns: Signal<In, Bit>,
    pub train_forget: Signal<In, Bit>,
    // from predecode
    pub consume: Signal<In, Bit>,
    pub consume_bytes: Signal<In, Bits<4>>,
    /// These are the last bytes before a cut.
    pub consume_cut: Signal<In, Bit>,
    // address translation
    /// Of the word asked for in this clock, unless it is the target of a predicted branch: that one is in the page of the
    /// word before, or asked for a clock later.
    pub lookup_linear: Signal<Out, Bits<32>>,
    /// The word that was asked for in the clock before, if one was.
    pub word_linear: Signal<Out, Bits<32>>,
    pub word_asked: Signal<Out, Bit>,
    /// Of the aligned word that waits for a translation, from a register, for walks and faults.
    pub translate_linear: Signal<Out, Bits<32>>,
    pub translate_valid: Signal<Out, Bit>,
    pub translate_hit: Signal<In, Bit>,
    /// A store may have been on its way to that word: it is asked for again.
    pub asked_early: Signal<In, Bit>,
    /// It is, in this clock.
    pub word_repeats: Signal<Out, Bit>,
    pub translate_physical: Signal<In, Bits<32>>,
    pub translate_cacheable: Signal<In, Bit>,
    pub translate_fault: Signal<In, Bit>,
    pub translate_fault_code: Signal<In, Bits<3>>,
    // to predecode
    pub window: Signal<Out, Bits<96>>,
    /// Marks of its first two bytes.
    pub window_marks: Signal<Out, Bits<32>>,
    /// Up to a cut, if there is one.
    pub window_bytes: Signal<Out, Bits<6>>,
    /// Behind these bytes instructions go on at `target_eip`, as predicted.
    pub window_cut: Signal<Out, Bit>,
    pub target_eip: Signal<Out, Bits<32>>,
    pub head_eip: Signal<Out, Bits<32>>,
    pub fetch_fault: Signal<Out, Bit>,
    pub fetch_fault_code: Signal<Out, Bits<3>>,
    pub fetch_fault_linear: Signal<Out, Bits<32>>,
    // state
    running: DFF<Bit>,
    /// The next word to ask for, unless `goes_behind`.
    fetch_linear: DFF<Bits<32>>,
    /// The next word to ask for is the one behind `asked_linear`.
    goes_behind: DFF<Bit>,
    word0: DFF<FetchedWord>,
    word1: DFF<FetchedWord>,
    word2: DFF<FetchedWord>,
    word3: DFF<FetchedWord>,
    words: DFF<Bits<3>>,
    /// Byte of word 0 at which the next instruction begins.
    offset: DFF<Bits<3>>,
    head_eip_reg: DFF<Bits<32>>,
    /// A request is unanswered / its answer is of no use.
    outstanding: DFF<Bit>,
    stale: DFF<Bit>,
    /// The word on its way was asked for in the last clock, and is of use.
    fresh: DFF<Bit>,
    /// What was asked for in the last clock: where it counts from, and its page.
    asked: DFF<Bit>,
    asked_linear: DFF<Bits<32>>,
    asked_frame: DFF<Bits<20>>,
    asked_cacheable: DFF<Bit>,
    /// What was asked for in the last clock has no translation yet: it did not leave, and is asked for again.
    missed: DFF<Bit>,
    /// So it is with `fetch_linear`, which waits for one.
    untranslated: DFF<Bit>,
    /// What was predicted in it, after that clock.
    expected: DFF<FetchedWord>,
    /// So many words are still to be asked for without a prediction / the one on its way is such a word.
    unpredicted: DFF<Bits<2>>,
    asked_unpredicted: DFF<Bit>,
    // units
    targets: BranchTargets,
    returns: ReturnStack,
    marks: [AsyncRom<Bits<MARK_BITS>, 8>; 8],
    // wires
    first: Signal<Local, FetchedWord>,
    second: Signal<Local, FetchedWord>,
    third: Signal<Local, FetchedWord>,
    arriving: Signal<Local, FetchedWord>,
    predicts: Signal<Local, Bit>,
    predicted_linear: Signal<Local, Bits<32>>,
    same_page: Signal<Local, Bit>,
    goes_on: Signal<Local, Bit>,
    asks_linear: Signal<Local, Bits<32>>,
    repeats: Signal<Local, Bit>,
    address: Signal<Local, Bits<32>>,
    cacheable: Signal<Local, Bit>,
    cut0: Signal<Local, Bit>,
    cut1: Signal<Local, Bit>,
    cut2: Signal<Local, Bit>,
    bytes: Signal<Local, Bits<6>>,
    passes_cut: Signal<Local, Bit>,
    follows: Signal<Local, Bit>,
    answered: Signal<Local, Bit>,
    arrives: Signal<Local, Bit>,
    port_free: Signal<Local, Bit>,
    total_words: Signal<Local, Bits<3>>,
    after0: Signal<Local, FetchedWord>,
    after1: Signal<Local, FetchedWord>,
    after2: Signal<Local, FetchedWord>,
    after3: Signal<Local, FetchedWord>,
    wide: Signal<Local, Bits<160>>,
    wide_marks: Signal<Local, Bits<144>>,
    advance: Signal<Local, Bits<5>>,
    dropped: Signal<Local, Bits<2>>,
    room: Signal<Local, Bit>,
    idle: Signal<Local, Bit>,
    looks_up: Signal<Local, Bit>,
    /// `translate_linear` waits for a translation.
    waits: Signal<Local, Bit>,
    /// A predicted branch stays in the page.
    stays: Signal<Local, Bit>,
    accepted: Signal<Local, Bit>,
    goes_early: Signal<Local, Bit>,
    next_linear: Signal<Local, Bits<32>>,
    here_linear: Signal<Local, Bits<32>>,
}

impl Fetch {
    /// Stands still until its first redirect.
    pub fn new() -> Self {
        Self {
            targets: BranchTargets::new(),
            marks: std::array::from_fn(|_| AsyncRom::new(marks())),
            ..Default::default()
        }
    }
}

impl Logic for Fetch {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            running,
            fetch_linear,
            goes_behind,
            word0,
            word1,
            word2,
            word3,
            words,
            offset,
            head_eip_reg,
            outstanding,
            stale,
            fresh,
            asked,
            asked_linear,
            asked_frame,
            asked_cacheable,
            missed,
            untranslated,
            expected,
            unpredicted,
            asked_unpredicted
        );
        clock!(self, clock, targets, returns);
        self.answered.next = self.outstanding.q.val() & !self.instruction_wait.val();
        self.word_linear.next = self.asked_linear.q.val();
        self.word_asked.next = self.asked.q.val();
        self.repeats.next = self.fresh.q.val() & (self.asked_early.val() | self.missed.q.val());
        self.word_repeats.next = self.fresh.q.val() & self.asked_early.val();
        self.arrives.next = self.answered.val() & !(self.stale.q.val() | self.repeats.val());
        self.total_words.next = self.words.q.val();
        if self.arrives.val() {
            self.total_words.next = self.words.q.val() + 1;
        }

        // The window of the decoder, up to the first cut.
        self.first.next = self.word0.q.val();
        self.second.next = self.word1.q.val();
        self.third.next = self.word2.q.val();
        self.wide.next = (bit_cast::<160, 64>(self.first.val().data)
            | (bit_cast::<160, 64>(self.second.val().data) << 64)
            | (bit_cast::<160, 64>(self.third.val().data) << 128))
            >> bit_cast::<6, 6>(bit_cast::<6, 3>(self.offset.q.val()) << 3);
        self.window.next = self.wide.val().get_bits::<96>(0);
        self.wide_marks.next = (bit_cast::<144, 128>(self.first.val().marks)
            | (bit_cast::<144, 128>(self.second.val().marks) << 128))
            >> bit_cast::<7, 7>(bit_cast::<7, 3>(self.offset.q.val()) << 4);
        self.window_marks.next = self.wide_marks.val().get_bits::<32>(0);
        self.cut0.next = (self.words.q.val() != 0) & self.first.val().cut;
        self.cut1.next = (self.words.q.val() >= 2) & self.second.val().cut;
        self.cut2.next = (self.words.q.val() >= 3) & self.third.val().cut;
        self.bytes.next = bit_cast::<6, 3>(self.words.q.val()) << 3;
        self.target_eip.next = self.third.val().target_eip;
        if self.cut0.val() {
            self.bytes.next = bit_cast::<6, 3>(self.first.val().end) + 1;
            self.target_eip.next = self.first.val().target_eip;
        } else if self.cut1.val() {
            self.bytes.next = bit_cast::<6, 3>(self.second.val().end) + 9;
            self.target_eip.next = self.second.val().target_eip;
        } else if self.cut2.val() {
            self.bytes.next = bit_cast::<6, 3>(self.third.val().end) + 17;
        }
        self.window_cut.next = self.cut0.val() | self.cut1.val() | self.cut2.val();
        self.window_bytes.next = 0.into();
        if self.words.q.val() != 0 {
            self.window_bytes.next = self.bytes.val() - bit_cast::<6, 3>(self.offset.q.val());
        }
        self.head_eip.next = self.head_eip_reg.q.val();

        // What the decoder takes.
        self.advance.next =
            bit_cast::<5, 3>(self.offset.q.val()) + bit_cast::<5, 4>(self.consume_bytes.val());
        self.dropped.next = 0.into();
        if self.consume.val() {
            self.dropped.next = self.advance.val().get_bits::<2>(3);
            self.offset.d.next = self.advance.val().get_bits::<3>(0);
            self.head_eip_reg.d.next =
                self.head_eip_reg.q.val() + bit_cast::<32, 4>(self.consume_bytes.val());
        }
        self.passes_cut.next = self.consume.val() & self.consume_cut.val();
        if self.passes_cut.val() {
            self.head_eip_reg.d.next = self.target_eip.val();
            self.dropped.next = 3.into();
            self.offset.d.next = self.third.val().target_offset;
            if self.cut0.val() {
                self.dropped.next = 1.into();
                self.offset.d.next = self.first.val().target_offset;
            } else if self.cut1.val() {
                self.dropped.next = 2.into();
                self.offset.d.next = self.second.val().target_offset;
            }
        }
        self.words.d.next = self.total_words.val() - bit_cast::<3, 2>(self.dropped.val());
        // The word that was asked for in the last clock: is a branch in it predicted taken?
        self.targets.reset.next = self.reset.val();
        self.targets.train.next = self.train.val();
        self.learns.next = self.targets.learns.val();
        self.targets.train_end.next = self.train_end.val();
        self.targets.train_target.next = self.train_target.val();
        self.targets.train_taken.next = self.train_taken.val();
        self.targets.train_conditional.next = self.train_conditional.val();
        self.targets.train_call.next = self.train_call.val();
        self.targets.train_returns.next = self.train_returns.val();
        self.targets.train_forget.next = self.train_forget.val();
        self.targets.start.next = self.asked_linear.q.val().get_bits::<3>(0);
        self.returns.reset.next = self.reset.val();
        self.predicts.next = self.fresh.q.val()
            & self.targets.taken.val()
            & !(self.asked_unpredicted.q.val() | self.repeats.val());
        self.targets.return_there.next = self.returns.there.val();
        self.targets.return_linear.next = self.returns.top.val();
        self.targets.return_same_page.next = self.returns.top.val().get_bits::<20>(12)
            == self.asked_linear.q.val().get_bits::<20>(12);
        self.predicted_linear.next = self.targets.target.val();
        self.same_page.next = self.targets.same_page.val();
        self.returns.pop.next =
            self.predicts.val() & self.targets.returns.val() & self.returns.there.val();
        self.arriving.next = self.expected.q.val();
        if self.fresh.q.val() {
            self.arriving.next.cut = self.predicts.val();
            self.arriving.next.end = self.targets.end.val();
            self.arriving.next.target_eip = self.predicted_linear.val() - self.code_base.val();
            self.arriving.next.target_offset = self.predicted_linear.val().get_bits::<3>(0);
        }
        self.arriving.next.data = self.instruction_data.val();
        for i in 0..8 {
            self.marks[i].address.next = self.instruction_data.val().get_bits::<8>(8 * i);
        }
        self.arriving.next.marks = bit_cast::<128, 16>(self.marks[0].row.val())
            | (bit_cast::<128, 16>(self.marks[1].row.val()) << 16)
            | (bit_cast::<128, 16>(self.marks[2].row.val()) << 32)
            | (bit_cast::<128, 16>(self.marks[3].row.val()) << 48)
            | (bit_cast::<128, 16>(self.marks[4].row.val()) << 64)
            | (bit_cast::<128, 16>(self.marks[5].row.val()) << 80)
            | (bit_cast::<128, 16>(self.marks[6].row.val()) << 96)
            | (bit_cast::<128, 16>(self.marks[7].row.val()) << 112);
        self.expected.d.next = self.arriving.val();
        // The queue with the word that would arrive behind it, asked for or not: what lies behind the last word does not
        // matter. How many words go is known last.
        self.after0.next = self.word0.q.val();
        self.after1.next = self.word1.q.val();
        self.after2.next = self.word2.q.val();
        self.after3.next = self.word3.q.val();
        match self.words.q.val().index() {
            0 => {
                self.after0.next = self.arriving.val();
            }
            1 => {
                self.after1.next = self.arriving.val();
            }
            2 => {
                self.after2.next = self.arriving.val();
            }
            3 => {
                self.after3.next = self.arriving.val();
            }
            _ => {}
        }
        match self.dropped.val().index() {
            0 => {
                self.word0.d.next = self.after0.val();
                self.word1.d.next = self.after1.val();
                self.word2.d.next = self.after2.val();
                self.word3.d.next = self.after3.val();
            }
            1 => {
                self.word0.d.next = self.after1.val();
                self.word1.d.next = self.after2.val();
                self.word2.d.next = self.after3.val();
                self.word3.d.next = self.arriving.val();
            }
            2 => {
                self.word0.d.next = self.after2.val();
                self.word1.d.next = self.after3.val();
                self.word2.d.next = self.arriving.val();
                self.word3.d.next = self.arriving.val();
            }
            _ => {
                self.word0.d.next = self.after3.val();
                self.word1.d.next = self.arriving.val();
                self.word2.d.next = self.arriving.val();
                self.word3.d.next = self.arriving.val();
            }
        }

        // The port: one request may be on its way besides the words that are here, and has room.
        self.next_linear.next = (self.asked_linear.q.val() & 0xFFFF_FFF8_u64) + 8;
        self.here_linear.next = self.fetch_linear.q.val();
        if self.goes_behind.q.val() {
            self.here_linear.next = self.next_linear.val();
        }
        self.fetch_linear.d.next = self.here_linear.val();
        self.goes_behind.d.next = false;
        self.lookup_linear.next = self.here_linear.val();
        if self.early.val() {
            self.lookup_linear.next = self.early_linear.val();
        }
        self.goes_on.next = self.predicts.val() & !self.early.val();
        self.asks_linear.next = self.lookup_linear.val();
        if self.goes_on.val() {
            self.asks_linear.next = self.predicted_linear.val();
        }
        self.targets.lookup_linear.next = self.asks_linear.val();
        if self.predicts.val() {
            self.fetch_linear.d.next = self.predicted_linear.val();
        }
        if self.repeats.val() {
            self.fetch_linear.d.next = self.asked_linear.q.val();
            if self.asked_unpredicted.q.val() & (self.unpredicted.q.val() != 3) {
                self.unpredicted.d.next = self.unpredicted.q.val() + 1;
            }
        }
        self.translate_linear.next = self.here_linear.val();
        if self.repeats.val() {
            self.translate_linear.next = self.asked_linear.q.val();
        }
        self.room.next = self.total_words.val() < 4;
        self.follows.next = self.running.q.val() & self.room.val();
        self.idle.next = self.follows.val() & !(self.predicts.val() | self.repeats.val());
        self.waits.next = self.untranslated.q.val() | (self.fresh.q.val() & self.missed.q.val());
        self.translate_valid.next = self.follows.val() & self.waits.val();
        self.port_free.next = (!self.outstanding.q.val()) | self.answered.val();
        // Whether there is a translation is known too late for anything but the port itself.
        self.looks_up.next = self.early.val() | (self.idle.val() & !self.untranslated.q.val());
        self.stays.next = self.goes_on.val() & self.follows.val() & self.same_page.val();
        self.instruction_request.next =
            (self.looks_up.val() & self.translate_hit.val()) | self.stays.val();
        self.missed.d.next = !(self.translate_hit.val() | self.stays.val());
        if self.untranslated.q.val() & !self.early.val() {
            self.untranslated.d.next = !self.translate_hit.val();
        }
        if self.repeats.val() & self.missed.q.val() {
            self.untranslated.d.next = true;
        }
        self.address.next = self.translate_physical.val() & 0xFFFF_FFF8_u64;
        self.cacheable.next = self.translate_cacheable.val();
        if self.goes_on.val() {
            self.address.next = (bit_cast::<32, 20>(self.asked_frame.q.val()) << 12)
                | bit_cast::<32, 12>(self.predicted_linear.val().get_bits::<12>(0) & 0xFF8);
            self.cacheable.next = self.asked_cacheable.q.val();
        }
        self.instruction_cacheable.next = self.cacheable.val();
        self.asked_cacheable.d.next = self.cacheable.val();
        self.instruction_address.next = self.address.val();
        self.asked_frame.d.next = self.address.val().get_bits::<20>(12);
        self.accepted.next = (self.looks_up.val() | self.stays.val()) & self.port_free.val();
        self.asked.d.next = self.accepted.val();
        if self.answered.val() {
            self.outstanding.d.next = false;
            self.stale.d.next = false;
        }
        if self.repeats.val() & !self.answered.val() {
            self.stale.d.next = true;
        }
        self.asked_linear.d.next = self.asks_linear.val();
        self.fresh.d.next = false;
        if self.instruction_request.val() & self.port_free.val() {
            self.outstanding.d.next = true;
        }
        if self.accepted.val() {
            // Asked for in vain, if no redirect follows.
            self.stale.d.next = self.early.val();
            if !self.early.val() {
                self.goes_behind.d.next = true;
                self.fresh.d.next = true;
                self.asked_unpredicted.d.next = self.unpredicted.q.val() != 0;
                if self.unpredicted.q.val() != 0 {
                    self.unpredicted.d.next = self.unpredicted.q.val() - 1;
                }
            }
        }

        // A fault counts for the byte behind the last one that came, and no other is on its way.
        self.fetch_fault.next = self.running.q.val()
            & self.translate_fault.val()
            & self.waits.val()
            & (self.words.q.val() < 4)
            & !self.outstanding.q.val();
        self.fetch_fault_code.next = self.translate_fault_code.val();
        self.fetch_fault_linear.next = self.translate_linear.val();

        // The stack of returns.
        self.returns.call_issues.next = self.call_issues.val();
        self.returns.return_issues.next = self.return_issues.val();
        self.returns.issue_redirects.next = self.issue_redirects.val();
        self.returns.call_retires.next = self.call_retires.val();
        self.returns.return_retires.next = self.return_retires.val();
        self.returns.push.next = self.predicts.val() & self.targets.call.val();
        self.returns.push_linear.next = (self.asked_linear.q.val() & 0xFFFF_FFF8_u64)
            + bit_cast::<32, 3>(self.targets.end.val())
            + 1;
        self.returns.retire_redirects.next = self.stop.val() | self.retire_redirects.val();

        self.goes_early.next = self.accepted.val() & self.redirect_is_early.val();
        if self.redirect.val() | self.stop.val() {
            self.words.d.next = 0.into();
            self.running.d.next = self.redirect.val();
            self.goes_behind.d.next = false;
            self.fetch_linear.d.next = self.redirect_linear.val();
            self.offset.d.next = self.redirect_linear.val().get_bits::<3>(0);
            self.untranslated.d.next = false;
            self.unpredicted.d.next = 0.into();
            if self.redirect_unpredicted.val() {
                self.unpredicted.d.next = 3.into();
            }
            if self.redirect_is_early.val() {
                self.fetch_linear.d.next = self.early_linear.val();
                self.offset.d.next = self.early_linear.val().get_bits::<3>(0);
            }
            self.fresh.d.next = false;
            if self.goes_early.val() {
                self.goes_behind.d.next = true;
                self.fresh.d.next = true;
                self.asked_unpredicted.d.next = self.redirect_unpredicted.val();
            }
            self.head_eip_reg.d.next = self.redirect_eip.val();
            // Whatever is on its way is of no use, but for the word that the early redirect asked for.
            self.stale.d.next = !self.goes_early.val();
            self.returns.pop.next = false;
            self.returns.push.next = self.redirect_calls.val();
            self.returns.push_linear.next = self.redirect_returns_to.val();
        }
        if self.reset.val() {
            self.running.d.next = false;
            self.words.d.next = 0.into();
            self.outstanding.d.next = false;
            self.stale.d.next = false;
            self.fresh.d.next = false;
            self.untranslated.d.next = false;
            self.unpredicted.d.next = 0.into();
        }
    }
}
