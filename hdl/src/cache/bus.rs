//! The bus master of both caches: Wishbone B4, 32 bits wide.
//!
//! Stores go before fills, so that a fill reads what was stored before it was asked for. A line is a wrapping burst of eight
//! words (CTI 010, then 111; BTE 10) that begins with the eight bytes the core waits for; what is not cached is an
//! incrementing burst of two, and a store one of its words or both.
use super::write_queue::WriteQueue;
use crate::prelude::*;

/// What the bus is doing.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum CacheBusState {
    Idle,
    /// Bytes 0..3 of the oldest store.
    StoreLow,
    /// Bytes 4..7.
    StoreHigh,
    /// For the data cache.
    DataFill,
    /// For the instruction cache.
    InstructionFill,
}

/// Serves stores, then the data cache, then the instruction cache.
#[derive(LogicBlock, Default)]
pub struct CacheBus {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // fills: asked for until the last word is there
    pub data_fill_request: Signal<In, Bit>,
    /// Bits 31:3 of the address of the eight bytes that come first.
    pub data_fill_word: Signal<In, Bits<29>>,
    /// All of the line, not only these bytes.
    pub data_fill_line: Signal<In, Bit>,
    /// A word has arrived.
    pub data_fill_beat: Signal<Out, Bit>,
    pub instruction_fill_request: Signal<In, Bit>,
    pub instruction_fill_word: Signal<In, Bits<29>>,
    pub instruction_fill_line: Signal<In, Bit>,
    pub instruction_fill_beat: Signal<Out, Bit>,
    /// The word.
    pub fill_data: Signal<Out, Bits<32>>,
    // stores
    pub store: Signal<In, Bit>,
    pub store_word: Signal<In, Bits<29>>,
    pub store_byte_enable: Signal<In, Bits<8>>,
    pub store_data: Signal<In, Bits<64>>,
    pub store_ready: Signal<Out, Bit>,
    /// Nothing is under way or waits.
    pub settled: Signal<Out, Bit>,
    // bus
    pub wishbone_cyc: Signal<Out, Bit>,
    pub wishbone_stb: Signal<Out, Bit>,
    pub wishbone_we: Signal<Out, Bit>,
    /// In words of four bytes.
    pub wishbone_adr: Signal<Out, Bits<30>>,
    pub wishbone_sel: Signal<Out, Bits<4>>,
    pub wishbone_cti: Signal<Out, Bits<3>>,
    pub wishbone_bte: Signal<Out, Bits<2>>,
    pub wishbone_dat_o: Signal<Out, Bits<32>>,
    pub wishbone_dat_i: Signal<In, Bits<32>>,
    pub wishbone_ack: Signal<In, Bit>,
    pub wishbone_err: Signal<In, Bit>,
    // state
    state_reg: DFF<CacheBusState>,
    /// Of the fill: address of its next word, in words of four bytes.
    address_reg: DFF<Bits<30>>,
    line_reg: DFF<Bit>,
    /// Words of the fill that are still to come, less one.
    left_reg: DFF<Bits<3>>,
    // units
    queue: WriteQueue,
    // wires
    word_ends: Signal<Local, Bit>,
    fills: Signal<Local, Bit>,
    low: Signal<Local, Bit>,
    high: Signal<Local, Bit>,
    next_place: Signal<Local, Bits<3>>,
}

impl Logic for CacheBus {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state_reg, address_reg, line_reg, left_reg);
        clock!(self, clock, queue);
        self.queue.reset.next = self.reset.val();
        self.queue.push.next = self.store.val();
        self.queue.push_word.next = self.store_word.val();
        self.queue.push_byte_enable.next = self.store_byte_enable.val();
        self.queue.push_data.next = self.store_data.val();
        self.queue.pop.next = false;
        self.store_ready.next = self.queue.ready.val();
        self.low.next = self.queue.byte_enable.val().get_bits::<4>(0).any();
        self.high.next = self.queue.byte_enable.val().get_bits::<4>(4).any();
        self.settled.next =
            (self.state_reg.q.val() == CacheBusState::Idle) & !self.queue.valid.val();

        // The bus.
        self.fills.next = (self.state_reg.q.val() == CacheBusState::DataFill)
            | (self.state_reg.q.val() == CacheBusState::InstructionFill);
        self.wishbone_cyc.next = self.state_reg.q.val() != CacheBusState::Idle;
        self.wishbone_stb.next = self.state_reg.q.val() != CacheBusState::Idle;
        self.wishbone_we.next = !self.fills.val();
        self.wishbone_adr.next = self.address_reg.q.val();
        self.wishbone_sel.next = 0xF.into();
        self.wishbone_cti.next = 7.into();
        self.wishbone_bte.next = 0.into();
        self.wishbone_dat_o.next = self.queue.data.val().get_bits::<32>(0);
        if self.fills.val() {
            if self.left_reg.q.val().any() {
                self.wishbone_cti.next = 2.into();
            }
            if self.line_reg.q.val() {
                self.wishbone_bte.next = 2.into();
            }
        } else if self.state_reg.q.val() == CacheBusState::StoreHigh {
            self.wishbone_adr.next = (bit_cast::<30, 29>(self.queue.word.val()) << 1) | 1;
            self.wishbone_sel.next = self.queue.byte_enable.val().get_bits::<4>(4);
            self.wishbone_dat_o.next = self.queue.data.val().get_bits::<32>(32);
        } else {
            self.wishbone_adr.next = bit_cast::<30, 29>(self.queue.word.val()) << 1;
            self.wishbone_sel.next = self.queue.byte_enable.val().get_bits::<4>(0);
            if self.high.val() {
                self.wishbone_cti.next = 2.into();
            }
        }
        self.word_ends.next = (self.state_reg.q.val() != CacheBusState::Idle)
            & (self.wishbone_ack.val() | self.wishbone_err.val());

        // Words that arrive; where nothing answers, ones.
        self.data_fill_beat.next =
            self.word_ends.val() & (self.state_reg.q.val() == CacheBusState::DataFill);
        self.instruction_fill_beat.next =
            self.word_ends.val() & (self.state_reg.q.val() == CacheBusState::InstructionFill);
        self.fill_data.next = self.wishbone_dat_i.val();
        if self.wishbone_err.val() {
            self.fill_data.next = 0xFFFF_FFFF_u64.into();
        }

        // The bus moves on.
        self.next_place.next = self.address_reg.q.val().get_bits::<3>(0) + 1;
        if self.state_reg.q.val() == CacheBusState::Idle {
            if self.queue.valid.val() {
                self.state_reg.d.next = CacheBusState::StoreHigh;
                if self.low.val() {
                    self.state_reg.d.next = CacheBusState::StoreLow;
                }
            } else if self.data_fill_request.val() {
                self.state_reg.d.next = CacheBusState::DataFill;
                self.address_reg.d.next = bit_cast::<30, 29>(self.data_fill_word.val()) << 1;
                self.line_reg.d.next = self.data_fill_line.val();
                self.left_reg.d.next = 1.into();
                if self.data_fill_line.val() {
                    self.left_reg.d.next = 7.into();
                }
            } else if self.instruction_fill_request.val() {
                self.state_reg.d.next = CacheBusState::InstructionFill;
                self.address_reg.d.next = bit_cast::<30, 29>(self.instruction_fill_word.val()) << 1;
                self.line_reg.d.next = self.instruction_fill_line.val();
                self.left_reg.d.next = 1.into();
                if self.instruction_fill_line.val() {
                    self.left_reg.d.next = 7.into();
                }
            }
        } else if self.word_ends.val() {
            if self.fills.val() {
                self.address_reg.d.next = (self.address_reg.q.val() & 0x3FFF_FFF8)
                    | bit_cast::<30, 3>(self.next_place.val());
                self.left_reg.d.next = self.left_reg.q.val() - 1;
                if !self.left_reg.q.val().any() {
                    self.state_reg.d.next = CacheBusState::Idle;
                }
            } else if (self.state_reg.q.val() == CacheBusState::StoreLow) & self.high.val() {
                self.state_reg.d.next = CacheBusState::StoreHigh;
            } else {
                self.queue.pop.next = true;
                self.state_reg.d.next = CacheBusState::Idle;
            }
        }
        if self.reset.val() {
            self.state_reg.d.next = CacheBusState::Idle;
        }
    }
}
