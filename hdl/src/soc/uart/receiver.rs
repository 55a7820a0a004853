//! Receives characters: finds the start bit, samples each bit in its middle.
use crate::prelude::*;

/// Where in a character the receiver is.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum ReceiverState {
    /// The line must be idle before a start bit counts (after reset, a break or a framing error).
    WaitForIdle,
    WaitForStart,
    /// Half a bit later the line must still be 0.
    ConfirmStart,
    Sample,
}

/// Gives each character for one clock in `received`, with its errors.
#[derive(LogicBlock, Default)]
pub struct Receiver {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub sample_tick: Signal<In, Bit>,
    /// LCR: word length 1:0, parity enable 3, even 4, stick 5.
    pub line_control: Signal<In, Bits<8>>,
    /// The line, not synchronous to the clock.
    pub rx: Signal<In, Bit>,
    pub received: Signal<Out, Bit>,
    pub data: Signal<Out, Bits<8>>,
    /// Parity error, framing error, break.
    pub errors: Signal<Out, Bits<3>>,
    // state
    /// Two registers against metastability.
    first_sample_reg: DFF<Bit>,
    line_reg: DFF<Bit>,
    state_reg: DFF<ReceiverState>,
    ticks_left_reg: DFF<Bits<4>>,
    bits_left_reg: DFF<Bits<4>>,
    /// The bits received, the newest on top.
    shift_reg: DFF<Bits<10>>,
    received_reg: DFF<Bit>,
    // wires
    /// Data bits, parity bit and stop bit of a character, and ten less that.
    bit_count: Signal<Local, Bits<4>>,
    unused_bits: Signal<Local, Bits<4>>,
    aligned: Signal<Local, Bits<10>>,
    parity_bit: Signal<Local, Bit>,
    expected_parity: Signal<Local, Bit>,
    stop_bit: Signal<Local, Bit>,
    parity_error: Signal<Local, Bit>,
    line_break: Signal<Local, Bit>,
}

impl Logic for Receiver {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            first_sample_reg,
            line_reg,
            state_reg,
            ticks_left_reg,
            bits_left_reg,
            shift_reg,
            received_reg
        );
        self.first_sample_reg.d.next = self.rx.val();
        self.line_reg.d.next = self.first_sample_reg.q.val();
        self.bit_count.next = bit_cast::<4, 2>(self.line_control.val().get_bits::<2>(0))
            + bit_cast::<4, 1>(self.line_control.val().get_bits::<1>(3))
            + 6;

        self.received_reg.d.next = false;
        if self.sample_tick.val() {
            self.ticks_left_reg.d.next = self.ticks_left_reg.q.val() - 1;
            match self.state_reg.q.val() {
                ReceiverState::WaitForIdle => {
                    if self.line_reg.q.val() {
                        self.state_reg.d.next = ReceiverState::WaitForStart;
                    }
                }
                ReceiverState::WaitForStart => {
                    self.ticks_left_reg.d.next = 6.into();
                    if !self.line_reg.q.val() {
                        self.state_reg.d.next = ReceiverState::ConfirmStart;
                    }
                }
                ReceiverState::ConfirmStart => {
                    self.bits_left_reg.d.next = self.bit_count.val();
                    if self.line_reg.q.val() {
                        self.state_reg.d.next = ReceiverState::WaitForStart;
                    } else if !self.ticks_left_reg.q.val().any() {
                        self.state_reg.d.next = ReceiverState::Sample;
                    }
                }
                ReceiverState::Sample => {
                    if !self.ticks_left_reg.q.val().any() {
                        self.shift_reg.d.next = (self.shift_reg.q.val() >> 1)
                            | (bit_cast::<10, 1>(self.line_reg.q.val().into()) << 9);
                        self.bits_left_reg.d.next = self.bits_left_reg.q.val() - 1;
                        if self.bits_left_reg.q.val() == 1 {
                            self.received_reg.d.next = true;
                            self.state_reg.d.next = ReceiverState::WaitForIdle;
                        }
                    }
                }
            }
        }

        // The character, in the clock after its stop bit was sampled.
        self.unused_bits.next = bit_cast::<4, 4>(10 - self.bit_count.val());
        self.aligned.next = self.shift_reg.q.val() >> self.unused_bits.val();
        self.data.next = bit_cast::<8, 10>(self.aligned.val());
        self.parity_bit.next = self.aligned.val().get_bit(8);
        match self.line_control.val().get_bits::<2>(0).index() {
            0 => {
                self.data.next = bit_cast::<8, 10>(self.aligned.val() & 0x1F);
                self.parity_bit.next = self.aligned.val().get_bit(5);
            }
            1 => {
                self.data.next = bit_cast::<8, 10>(self.aligned.val() & 0x3F);
                self.parity_bit.next = self.aligned.val().get_bit(6);
            }
            2 => {
                self.data.next = bit_cast::<8, 10>(self.aligned.val() & 0x7F);
                self.parity_bit.next = self.aligned.val().get_bit(7);
            }
            _ => {}
        }
        self.expected_parity.next = self.data.val().xor() ^ !self.line_control.val().get_bit(4);
        if self.line_control.val().get_bit(5) {
            self.expected_parity.next = !self.line_control.val().get_bit(4);
        }
        self.stop_bit.next = self.shift_reg.q.val().get_bit(9);
        self.parity_error.next = self.line_control.val().get_bit(3)
            & (self.parity_bit.val() != self.expected_parity.val());
        self.line_break.next = !self.aligned.val().any();
        self.errors.next = bit_cast::<3, 1>(self.parity_error.val().into())
            | (bit_cast::<3, 1>((!self.stop_bit.val()).into()) << 1)
            | (bit_cast::<3, 1>(self.line_break.val().into()) << 2);
        self.received.next = self.received_reg.q.val();

        if self.reset.val() {
            self.first_sample_reg.d.next = true;
            self.line_reg.d.next = true;
            self.state_reg.d.next = ReceiverState::WaitForIdle;
            self.received_reg.d.next = false;
        }
    }
}
