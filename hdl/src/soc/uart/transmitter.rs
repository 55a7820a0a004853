//! Sends characters: start bit, five to eight data bits lowest first, parity, one or two stop bits.
use crate::prelude::*;

/// A bit lasts 16 sample ticks. Characters follow each other without a pause.
#[derive(LogicBlock, Default)]
pub struct Transmitter {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub sample_tick: Signal<In, Bit>,
    /// LCR: word length 1:0, stop bits 2, parity enable 3, even 4, stick 5, break 6.
    pub line_control: Signal<In, Bits<8>>,
    // from the FIFO
    pub data_valid: Signal<In, Bit>,
    pub data: Signal<In, Bits<8>>,
    /// The character has been taken over; one clock.
    pub take: Signal<Out, Bit>,
    /// No character is being sent.
    pub idle: Signal<Out, Bit>,
    /// The line: 1 is idle.
    pub tx: Signal<Out, Bit>,
    // state
    /// Bits still to be sent, inverted so that the line is idle before reset too.
    spaces_reg: DFF<Bits<11>>,
    bits_left_reg: DFF<Bits<4>>,
    ticks_left_reg: DFF<Bits<4>>,
    // wires
    masked_data: Signal<Local, Bits<8>>,
    parity: Signal<Local, Bit>,
    /// The parity bit, or a stop bit where there is no parity.
    after_data: Signal<Local, Bits<1>>,
    /// Data bits, the bit after them, and ones.
    payload: Signal<Local, Bits<9>>,
    last_tick: Signal<Local, Bit>,
}

impl Logic for Transmitter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, spaces_reg, bits_left_reg, ticks_left_reg);
        self.masked_data.next = self.data.val();
        match self.line_control.val().get_bits::<2>(0).index() {
            0 => {
                self.masked_data.next = self.data.val() & 0x1F;
            }
            1 => {
                self.masked_data.next = self.data.val() & 0x3F;
            }
            2 => {
                self.masked_data.next = self.data.val() & 0x7F;
            }
            _ => {}
        }
        self.parity.next = self.masked_data.val().xor() ^ !self.line_control.val().get_bit(4);
        if self.line_control.val().get_bit(5) {
            self.parity.next = !self.line_control.val().get_bit(4);
        }
        self.after_data.next = 1.into();
        if self.line_control.val().get_bit(3) {
            self.after_data.next = self.parity.val().into();
        }
        self.payload.next = bit_cast::<9, 8>(self.masked_data.val())
            | (bit_cast::<9, 1>(self.after_data.val()) << 8);
        match self.line_control.val().get_bits::<2>(0).index() {
            0 => {
                self.payload.next = bit_cast::<9, 8>(self.masked_data.val())
                    | (bit_cast::<9, 1>(self.after_data.val()) << 5)
                    | 0x1C0;
            }
            1 => {
                self.payload.next = bit_cast::<9, 8>(self.masked_data.val())
                    | (bit_cast::<9, 1>(self.after_data.val()) << 6)
                    | 0x180;
            }
            2 => {
                self.payload.next = bit_cast::<9, 8>(self.masked_data.val())
                    | (bit_cast::<9, 1>(self.after_data.val()) << 7)
                    | 0x100;
            }
            _ => {}
        }

        self.idle.next = !self.bits_left_reg.q.val().any();
        self.last_tick.next = self.sample_tick.val() & !self.ticks_left_reg.q.val().any();
        self.take.next = false;
        if self.sample_tick.val() & !self.idle.val() {
            self.ticks_left_reg.d.next = self.ticks_left_reg.q.val() - 1;
        }
        if self.last_tick.val() & !self.idle.val() {
            self.spaces_reg.d.next = self.spaces_reg.q.val() >> 1;
            self.bits_left_reg.d.next = self.bits_left_reg.q.val() - 1;
        }
        if self.data_valid.val()
            & ((self.sample_tick.val() & self.idle.val())
                | (self.last_tick.val() & (self.bits_left_reg.q.val() == 1)))
        {
            self.take.next = true;
            self.spaces_reg.d.next = (bit_cast::<11, 9>(!self.payload.val()) << 1) | 1;
            self.ticks_left_reg.d.next = 15.into();
            // Start bit, five data bits, stop bit, and what the line control adds.
            self.bits_left_reg.d.next = bit_cast::<4, 2>(self.line_control.val().get_bits::<2>(0))
                + bit_cast::<4, 1>(self.line_control.val().get_bits::<1>(2))
                + bit_cast::<4, 1>(self.line_control.val().get_bits::<1>(3))
                + 7;
        }
        self.tx.next = !(self.spaces_reg.q.val().get_bit(0) | self.line_control.val().get_bit(6));

        if self.reset.val() {
            self.spaces_reg.d.next = 0.into();
            self.bits_left_reg.d.next = 0.into();
            self.ticks_left_reg.d.next = 0.into();
        }
    }
}
