//! One counter of the interval timer.
//!
//! A count that has been written goes into the counter with the next tick (modes 0 and 4, and the first count of
//! modes 2 and 3), at the end of the running period (later counts of modes 2 and 3), or when the gate rises
//! (modes 1 and 5).
use crate::prelude::*;

/// 16 bits, binary; 0 counts as 65,536.
#[derive(LogicBlock, Default)]
pub struct Counter {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tick: Signal<In, Bit>,
    pub gate: Signal<In, Bit>,
    // commands, one clock each
    /// A control word for this counter is in `write_data`; access 0 latches the count.
    pub control: Signal<In, Bit>,
    pub latch_count: Signal<In, Bit>,
    pub latch_status: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub read: Signal<In, Bit>,
    pub write_data: Signal<In, Bits<8>>,
    pub read_data: Signal<Out, Bits<8>>,
    pub out: Signal<Out, Bit>,
    // state
    /// Control word: access 5:4, mode 3:1, BCD 0.
    control_reg: DFF<Bits<6>>,
    /// The count as written, once it is complete.
    count_reg: DFF<Bits<16>>,
    /// The first of two bytes.
    low_byte_reg: DFF<Bits<8>>,
    /// The loaded count was odd (mode 3).
    odd_reg: DFF<Bit>,
    counter_reg: DFF<Bits<16>>,
    out_reg: DFF<Bit>,
    gate_reg: DFF<Bit>,
    /// The gate has risen since the last tick.
    trigger_reg: DFF<Bit>,
    /// A whole count has been written and is not yet in the counter.
    load_pending_reg: DFF<Bit>,
    /// The counter runs: a count has been loaded since the control word.
    running_reg: DFF<Bit>,
    /// Modes 0, 1, 4 and 5: the counter has reached zero since it was loaded.
    expired_reg: DFF<Bit>,
    write_high_next_reg: DFF<Bit>,
    read_high_next_reg: DFF<Bit>,
    latched_count_reg: DFF<Bits<16>>,
    count_is_latched_reg: DFF<Bit>,
    latched_status_reg: DFF<Bits<8>>,
    status_is_latched_reg: DFF<Bit>,
    // wires
    mode: Signal<Local, Bits<3>>,
    access: Signal<Local, Bits<2>>,
    periodic: Signal<Local, Bit>,
    triggered: Signal<Local, Bit>,
    control_mode: Signal<Local, Bit>,
    control_latch: Signal<Local, Bit>,
    write_high: Signal<Local, Bit>,
    write_completes: Signal<Local, Bit>,
    read_high: Signal<Local, Bit>,
    read_count: Signal<Local, Bits<16>>,
    null_count: Signal<Local, Bit>,
    period_ends: Signal<Local, Bit>,
    load: Signal<Local, Bit>,
    count_enable: Signal<Local, Bit>,
    decremented: Signal<Local, Bits<16>>,
    square_expires: Signal<Local, Bit>,
}

impl Logic for Counter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            control_reg,
            count_reg,
            low_byte_reg,
            odd_reg,
            counter_reg,
            out_reg,
            gate_reg,
            trigger_reg,
            load_pending_reg,
            running_reg,
            expired_reg,
            write_high_next_reg,
            read_high_next_reg,
            latched_count_reg,
            count_is_latched_reg,
            latched_status_reg,
            status_is_latched_reg
        );
        // Modes 6 and 7 are 2 and 3.
        self.mode.next = self.control_reg.q.val().get_bits::<3>(1);
        self.access.next = self.control_reg.q.val().get_bits::<2>(4);
        self.periodic.next = self.mode.val().get_bit(1);
        self.triggered.next = (self.mode.val() == 1) | (self.mode.val() == 5);
        self.control_latch.next =
            self.control.val() & (self.write_data.val().get_bits::<2>(4) == 0);
        self.control_mode.next = self.control.val() & (self.write_data.val().get_bits::<2>(4) != 0);
        self.out.next = self.out_reg.q.val();

        // Counting.
        self.gate_reg.d.next = self.gate.val();
        if self.gate.val() & !self.gate_reg.q.val() {
            self.trigger_reg.d.next = true;
        }
        self.decremented.next = self.counter_reg.q.val() - 1;
        if self.mode.val().get_bits::<2>(0) == 3 {
            self.decremented.next = self.counter_reg.q.val() - 2;
        }
        // A square wave of an odd count stays high one tick longer.
        self.square_expires.next = self.counter_reg.q.val() == 2;
        if self.odd_reg.q.val() & self.out_reg.q.val() {
            self.square_expires.next = self.counter_reg.q.val() == 0;
        }
        self.period_ends.next = false;
        if self.mode.val().get_bits::<2>(0) == 2 {
            self.period_ends.next = self.counter_reg.q.val() == 1;
        }
        if self.mode.val().get_bits::<2>(0) == 3 {
            self.period_ends.next = self.square_expires.val();
        }
        self.load.next = self.load_pending_reg.q.val();
        if self.periodic.val() {
            self.load.next = (self.load_pending_reg.q.val() & !self.running_reg.q.val())
                | (self.running_reg.q.val()
                    & (self.trigger_reg.q.val() | (self.gate.val() & self.period_ends.val())));
        } else if self.triggered.val() {
            // The count stays for the next trigger.
            self.load.next = self.trigger_reg.q.val()
                & (self.load_pending_reg.q.val() | self.running_reg.q.val());
        }
        // A mode 1 or 5 counter, once triggered, does not look at its gate.
        self.count_enable.next =
            self.running_reg.q.val() & (self.gate.val() | self.triggered.val());

        if self.tick.val() {
            self.trigger_reg.d.next = self.gate.val() & !self.gate_reg.q.val();
            if self.load.val() {
                self.counter_reg.d.next = self.count_reg.q.val();
                self.load_pending_reg.d.next = false;
                self.odd_reg.d.next = self.count_reg.q.val().get_bit(0);
                self.running_reg.d.next = true;
                self.expired_reg.d.next = false;
                if self.mode.val().get_bits::<2>(0) == 3 {
                    self.counter_reg.d.next = self.count_reg.q.val() & 0xFFFE;
                }
                if self.mode.val() == 1 {
                    self.out_reg.d.next = false;
                }
            } else if self.count_enable.val() {
                self.counter_reg.d.next = self.decremented.val();
            }

            match self.mode.val().index() {
                // Mode 0 and 1: high from zero on.
                0 => {
                    if self.count_enable.val() & !self.load.val() & (self.counter_reg.q.val() == 1)
                    {
                        self.out_reg.d.next = true;
                    }
                }
                1 => {
                    if self.count_enable.val() & !self.load.val() & (self.counter_reg.q.val() == 1)
                    {
                        self.out_reg.d.next = true;
                    }
                }
                // Mode 4 and 5: low for the one tick at zero.
                4 => {
                    self.out_reg.d.next = true;
                    if self.count_enable.val()
                        & !self.load.val()
                        & !self.expired_reg.q.val()
                        & (self.counter_reg.q.val() == 1)
                    {
                        self.out_reg.d.next = false;
                        self.expired_reg.d.next = true;
                    }
                }
                5 => {
                    self.out_reg.d.next = true;
                    if self.count_enable.val()
                        & !self.load.val()
                        & !self.expired_reg.q.val()
                        & (self.counter_reg.q.val() == 1)
                    {
                        self.out_reg.d.next = false;
                        self.expired_reg.d.next = true;
                    }
                }
                // Mode 3 (and 7): the output turns at the end of each half period.
                3 => {
                    if self.running_reg.q.val() & self.gate.val() & self.period_ends.val() {
                        self.out_reg.d.next = !self.out_reg.q.val();
                    }
                }
                7 => {
                    if self.running_reg.q.val() & self.gate.val() & self.period_ends.val() {
                        self.out_reg.d.next = !self.out_reg.q.val();
                    }
                }
                // Mode 2 (and 6): low while the counter is 1.
                _ => {
                    self.out_reg.d.next = true;
                    if self.count_enable.val() & !self.load.val() & (self.counter_reg.q.val() == 2)
                    {
                        self.out_reg.d.next = false;
                    }
                }
            }
        }
        // A closed gate silences the periodic modes at once.
        if self.periodic.val() & !self.gate.val() {
            self.out_reg.d.next = true;
        }

        // The count, a byte at a time. In mode 0 the first byte of two stops the counter.
        self.write_high.next = self.write_high_next_reg.q.val();
        if self.access.val() == 2 {
            self.write_high.next = true;
        }
        self.write_completes.next =
            self.write.val() & ((self.access.val() != 3) | self.write_high_next_reg.q.val());
        if self.write.val() {
            if self.write_high.val() {
                self.count_reg.d.next = bit_cast::<16, 8>(self.write_data.val()) << 8;
                if self.access.val() == 3 {
                    self.count_reg.d.next = bit_cast::<16, 8>(self.low_byte_reg.q.val())
                        | (bit_cast::<16, 8>(self.write_data.val()) << 8);
                }
            } else if self.access.val() == 3 {
                self.low_byte_reg.d.next = self.write_data.val();
            } else {
                self.count_reg.d.next = bit_cast::<16, 8>(self.write_data.val());
            }
            if self.access.val() == 3 {
                self.write_high_next_reg.d.next = !self.write_high_next_reg.q.val();
            }
            if self.mode.val() == 0 {
                self.out_reg.d.next = false;
                self.running_reg.d.next = false;
            }
        }
        if self.write_completes.val() {
            self.load_pending_reg.d.next = true;
        }

        // Reading: the latched status, then the latched count, else the counter as it runs.
        self.null_count.next = self.load_pending_reg.q.val() | !self.running_reg.q.val();
        self.read_count.next = self.counter_reg.q.val();
        if self.count_is_latched_reg.q.val() {
            self.read_count.next = self.latched_count_reg.q.val();
        }
        self.read_high.next = self.read_high_next_reg.q.val();
        if self.access.val() == 2 {
            self.read_high.next = true;
        }
        self.read_data.next = bit_cast::<8, 16>(self.read_count.val());
        if self.read_high.val() {
            self.read_data.next = self.read_count.val().get_bits::<8>(8);
        }
        if self.status_is_latched_reg.q.val() {
            self.read_data.next = self.latched_status_reg.q.val();
        }
        if self.read.val() {
            if self.status_is_latched_reg.q.val() {
                self.status_is_latched_reg.d.next = false;
            } else {
                if self.access.val() == 3 {
                    self.read_high_next_reg.d.next = !self.read_high_next_reg.q.val();
                }
                if (self.access.val() != 3) | self.read_high_next_reg.q.val() {
                    self.count_is_latched_reg.d.next = false;
                }
            }
        }
        if (self.latch_count.val() | self.control_latch.val()) & !self.count_is_latched_reg.q.val()
        {
            self.latched_count_reg.d.next = self.counter_reg.q.val();
            self.count_is_latched_reg.d.next = true;
        }
        if self.latch_status.val() & !self.status_is_latched_reg.q.val() {
            self.latched_status_reg.d.next = bit_cast::<8, 6>(self.control_reg.q.val())
                | (bit_cast::<8, 1>(self.null_count.val().into()) << 6)
                | (bit_cast::<8, 1>(self.out_reg.q.val().into()) << 7);
            self.status_is_latched_reg.d.next = true;
        }

        if self.control_mode.val() {
            self.control_reg.d.next = bit_cast::<6, 8>(self.write_data.val());
            self.out_reg.d.next = self.write_data.val().get_bits::<3>(1).any();
            self.load_pending_reg.d.next = false;
            self.running_reg.d.next = false;
            self.trigger_reg.d.next = false;
            self.write_high_next_reg.d.next = false;
            self.read_high_next_reg.d.next = false;
            self.count_is_latched_reg.d.next = false;
            self.status_is_latched_reg.d.next = false;
        }
        if self.reset.val() {
            self.control_reg.d.next = 0.into();
            self.out_reg.d.next = false;
            self.load_pending_reg.d.next = false;
            self.running_reg.d.next = false;
            self.trigger_reg.d.next = false;
            self.write_high_next_reg.d.next = false;
            self.read_high_next_reg.d.next = false;
            self.count_is_latched_reg.d.next = false;
            self.status_is_latched_reg.d.next = false;
        }
    }
}
