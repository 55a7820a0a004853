//! Shares the data port between page walks, I/O, loads and buffered stores, and says whose answer arrives.
use crate::prelude::*;

/// What the access that the port works on is for.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum PortUse {
    /// Nobody waits for the answer: its micro-op was killed, or asks again.
    Dropped,
    /// A buffered store.
    Store,
    /// The first word of a load that crosses words; its micro-op is still in memory.
    FirstLoad,
    /// The last or only word of a load; its micro-op is in execute.
    LastLoad,
    IoRead,
    IoWrite,
    Walk,
}

/// The master side of the data port. One access may be outstanding; the next is accepted in the clock of its answer.
///
/// ```text
/// clock      n        n+1      n+2      n+3
/// request    A        B        B        -
/// wait       -        1        0        0
/// accepted   A                 B
/// answered                     A        B
/// ```
#[derive(LogicBlock, Default)]
pub struct DataPort {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The micro-ops in memory and execute are killed: nobody waits for their reads any more.
    pub flush: Signal<In, Bit>,
    // page walks: nothing else is asked for while one runs
    pub walk_request: Signal<In, Bit>,
    pub walk_write: Signal<In, Bit>,
    /// Physical address, 4-byte aligned.
    pub walk_address: Signal<In, Bits<32>>,
    pub walk_write_data: Signal<In, Bits<32>>,
    /// PCD is clear where this entry's page is named.
    pub walk_cacheable: Signal<In, Bit>,
    pub walk_accepted: Signal<Out, Bit>,
    pub walk_answered: Signal<Out, Bit>,
    // I/O writes
    pub io_write_request: Signal<In, Bit>,
    /// Bits 31:3 of the port number.
    pub io_write_word: Signal<In, Bits<29>>,
    pub io_write_byte_enable: Signal<In, Bits<8>>,
    pub io_write_data: Signal<In, Bits<64>>,
    pub io_write_accepted: Signal<Out, Bit>,
    pub io_write_answered: Signal<Out, Bit>,
    // the oldest buffered store
    pub store_request: Signal<In, Bit>,
    /// Goes before loads.
    pub store_urgent: Signal<In, Bit>,
    pub store_word: Signal<In, Bits<29>>,
    pub store_byte_enable: Signal<In, Bits<8>>,
    pub store_data: Signal<In, Bits<64>>,
    pub store_accepted: Signal<Out, Bit>,
    /// No accepted store is unanswered.
    pub store_settled: Signal<Out, Bit>,
    // loads and I/O reads
    /// A load goes before stores in this clock, whether it asks or not: that is known before its translation.
    pub load_first: Signal<In, Bit>,
    /// From memory only with `load_first`; from a port only while no store is buffered.
    pub load_request: Signal<In, Bit>,
    /// The request is an I/O read's.
    pub load_io: Signal<In, Bit>,
    pub load_word: Signal<In, Bits<29>>,
    pub load_byte_enable: Signal<In, Bits<8>>,
    /// PCD of its page is clear.
    pub load_cacheable: Signal<In, Bit>,
    /// What the answer is for, if the request is accepted in this clock.
    pub load_use: Signal<In, PortUse>,
    /// What a load asks for in this clock is accepted at its end: known before its translation.
    pub load_granted: Signal<Out, Bit>,
    pub first_load_answered: Signal<Out, Bit>,
    pub last_load_answered: Signal<Out, Bit>,
    pub io_read_answered: Signal<Out, Bit>,
    /// A request is accepted at the end of this clock, if there is one.
    pub free: Signal<Out, Bit>,
    // the port
    pub data_request: Signal<Out, Bit>,
    pub data_write: Signal<Out, Bit>,
    pub data_io: Signal<Out, Bit>,
    pub data_address: Signal<Out, Bits<32>>,
    pub data_byte_enable: Signal<Out, Bits<8>>,
    pub data_write_data: Signal<Out, Bits<64>>,
    /// A read may be answered by a cache; means nothing for a write.
    pub data_cacheable: Signal<Out, Bit>,
    pub data_wait: Signal<In, Bit>,
    // state
    outstanding_reg: DFF<Bit>,
    use_reg: DFF<PortUse>,
    // wires
    answered: Signal<Local, Bit>,
    before_loads: Signal<Local, Bit>,
    grant_io_write: Signal<Local, Bit>,
    grant_store: Signal<Local, Bit>,
    grant_load: Signal<Local, Bit>,
    word: Signal<Local, Bits<29>>,
    next_use: Signal<Local, PortUse>,
    outstanding_use: Signal<Local, PortUse>,
}

impl Logic for DataPort {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, outstanding_reg, use_reg);
        self.free.next = !self.outstanding_reg.q.val() | !self.data_wait.val();
        self.answered.next = self.outstanding_reg.q.val() & !self.data_wait.val();
        self.walk_answered.next = self.answered.val() & (self.use_reg.q.val() == PortUse::Walk);
        self.io_write_answered.next =
            self.answered.val() & (self.use_reg.q.val() == PortUse::IoWrite);
        self.io_read_answered.next =
            self.answered.val() & (self.use_reg.q.val() == PortUse::IoRead);
        self.first_load_answered.next =
            self.answered.val() & (self.use_reg.q.val() == PortUse::FirstLoad);
        self.last_load_answered.next =
            self.answered.val() & (self.use_reg.q.val() == PortUse::LastLoad);
        self.store_settled.next =
            !(self.outstanding_reg.q.val() & (self.use_reg.q.val() == PortUse::Store));

        // Who asks. Loads are known last.
        self.before_loads.next = self.walk_request.val()
            | self.io_write_request.val()
            | (self.store_request.val() & self.store_urgent.val());
        self.grant_load.next =
            (self.load_first.val() | self.load_io.val()) & !self.before_loads.val();
        self.grant_io_write.next = self.io_write_request.val() & !self.walk_request.val();
        self.grant_store.next = self.store_request.val()
            & (self.store_urgent.val() | !self.load_first.val())
            & !self.io_write_request.val()
            & !self.walk_request.val();
        self.data_request.next = self.walk_request.val()
            | self.io_write_request.val()
            | self.grant_store.val()
            | self.load_request.val();
        self.walk_accepted.next = self.walk_request.val() & self.free.val();
        self.io_write_accepted.next = self.grant_io_write.val() & self.free.val();
        self.store_accepted.next = self.grant_store.val() & self.free.val();
        self.load_granted.next = self.grant_load.val() & self.free.val();

        // The request: a store unless another has precedence.
        self.data_write.next = true;
        self.data_io.next = false;
        self.word.next = self.store_word.val();
        self.data_byte_enable.next = self.store_byte_enable.val();
        self.data_write_data.next = self.store_data.val();
        self.data_cacheable.next = true;
        self.next_use.next = PortUse::Store;
        if self.io_write_request.val() {
            self.data_io.next = true;
            self.word.next = self.io_write_word.val();
            self.data_byte_enable.next = self.io_write_byte_enable.val();
            self.data_write_data.next = self.io_write_data.val();
            self.next_use.next = PortUse::IoWrite;
        }
        if self.walk_request.val() {
            self.data_write.next = self.walk_write.val();
            self.data_io.next = false;
            self.word.next = self.walk_address.val().get_bits::<29>(3);
            self.data_byte_enable.next = 0x0F.into();
            if self.walk_address.val().get_bit(2) {
                self.data_byte_enable.next = 0xF0.into();
            }
            self.data_write_data.next = bit_cast::<64, 32>(self.walk_write_data.val())
                | (bit_cast::<64, 32>(self.walk_write_data.val()) << 32);
            self.data_cacheable.next = self.walk_cacheable.val();
            self.next_use.next = PortUse::Walk;
        }
        if self.grant_load.val() {
            self.data_write.next = false;
            self.data_io.next = self.load_io.val();
            self.word.next = self.load_word.val();
            self.data_byte_enable.next = self.load_byte_enable.val();
            self.data_cacheable.next = self.load_cacheable.val();
            self.next_use.next = self.load_use.val();
        }
        self.data_address.next = bit_cast::<32, 29>(self.word.val()) << 3;

        // What is outstanding.
        self.outstanding_use.next = self.use_reg.q.val();
        if self.free.val() {
            self.outstanding_use.next = self.next_use.val();
            self.outstanding_reg.d.next = self.data_request.val();
        }
        self.use_reg.d.next = self.outstanding_use.val();
        if self.flush.val() & (self.outstanding_use.val() != PortUse::Store) {
            self.use_reg.d.next = PortUse::Dropped;
        }
        if self.reset.val() {
            self.outstanding_reg.d.next = false;
        }
    }
}
