//! COM1: a serial port that software takes for a 16550A.
//!
//! Differences from the original chip: LCR is 03h after reset (eight bits, no parity, one stop bit) and the divisor
//! 1, so that a program may send without setting anything; five data bits with STB=1 have two stop bits, not one
//! and a half; there are no modem pins, MSR shows CTS, DSR and DCD asserted.
pub mod fifo;
pub mod receiver;
pub mod sample_clock;
pub mod transmitter;

use crate::prelude::*;
use fifo::Fifo;
use receiver::Receiver;
use sample_clock::SampleClock;
use transmitter::Transmitter;

/// The register file of the serial port, its interrupt, and the parts that send and receive.
#[derive(LogicBlock)]
pub struct Uart {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the I/O bus
    pub port: Signal<In, Bits<16>>,
    pub read: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub write_data: Signal<In, Bits<8>>,
    pub read_data: Signal<Out, Bits<8>>,
    pub selected: Signal<Out, Bit>,
    // to the interrupt controller
    pub interrupt_line: Signal<Out, Bit>,
    // the line: 1 is idle
    pub tx: Signal<Out, Bit>,
    pub rx: Signal<In, Bit>,
    // state
    divisor_reg: DFF<Bits<16>>,
    divisor_written_reg: DFF<Bit>,
    interrupt_enable_reg: DFF<Bits<4>>,
    line_control_reg: DFF<Bits<8>>,
    modem_control_reg: DFF<Bits<5>>,
    scratch_reg: DFF<Bits<8>>,
    fifo_enable_reg: DFF<Bit>,
    /// FCR[7:6].
    fifo_trigger_reg: DFF<Bits<2>>,
    /// LSR[4:1]: overrun, parity error, framing error, break.
    line_errors_reg: DFF<Bits<4>>,
    /// The head of the receive FIFO is new: its errors have not reached LSR.
    head_is_new_reg: DFF<Bit>,
    /// Entries of the receive FIFO with an error.
    errors_in_fifo_reg: DFF<Bits<5>>,
    holding_empty_pending_reg: DFF<Bit>,
    /// Sample ticks since the receive FIFO was last touched.
    receive_idle_reg: DFF<Bits<10>>,
    /// RI, DCD, DSR, CTS one clock ago, in the order CTS, DSR, RI, DCD from bit 0.
    modem_lines_reg: DFF<Bits<4>>,
    modem_changes_reg: DFF<Bits<4>>,
    // units
    sample_clock: SampleClock,
    transmitter: Transmitter,
    receiver: Receiver,
    transmit_fifo: Fifo,
    receive_fifo: Fifo,
    // wires
    register: Signal<Local, Bits<3>>,
    read_here: Signal<Local, Bit>,
    write_here: Signal<Local, Bit>,
    divisor_access: Signal<Local, Bit>,
    loopback: Signal<Local, Bit>,
    clear_fifos: Signal<Local, Bit>,
    clear_transmit: Signal<Local, Bit>,
    clear_receive: Signal<Local, Bit>,
    write_holding: Signal<Local, Bit>,
    read_received: Signal<Local, Bit>,
    read_line_status: Signal<Local, Bit>,
    read_identification: Signal<Local, Bit>,
    read_modem_status: Signal<Local, Bit>,
    enable_holding_empty: Signal<Local, Bit>,
    transmit_full: Signal<Local, Bit>,
    receive_full: Signal<Local, Bit>,
    overrun: Signal<Local, Bit>,
    received_has_error: Signal<Local, Bit>,
    head_has_error: Signal<Local, Bit>,
    pop_received: Signal<Local, Bit>,
    trigger_level: Signal<Local, Bits<5>>,
    line_status: Signal<Local, Bits<8>>,
    modem_lines: Signal<Local, Bits<4>>,
    receive_timeout: Signal<Local, Bit>,
    interrupt_line_status: Signal<Local, Bit>,
    interrupt_received: Signal<Local, Bit>,
    interrupt_timeout: Signal<Local, Bit>,
    interrupt_holding_empty: Signal<Local, Bit>,
    interrupt_modem: Signal<Local, Bit>,
    /// IIR[3:0]; bit 0 is 0 while an interrupt is pending.
    identification: Signal<Local, Bits<4>>,
}

impl Uart {
    /// A serial port on a clock of `clock_hz`.
    pub fn new(clock_hz: u64) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            port: Default::default(),
            read: Default::default(),
            write: Default::default(),
            write_data: Default::default(),
            read_data: Default::default(),
            selected: Default::default(),
            interrupt_line: Default::default(),
            tx: Default::default(),
            rx: Default::default(),
            divisor_reg: Default::default(),
            divisor_written_reg: Default::default(),
            interrupt_enable_reg: Default::default(),
            line_control_reg: Default::default(),
            modem_control_reg: Default::default(),
            scratch_reg: Default::default(),
            fifo_enable_reg: Default::default(),
            fifo_trigger_reg: Default::default(),
            line_errors_reg: Default::default(),
            head_is_new_reg: Default::default(),
            errors_in_fifo_reg: Default::default(),
            holding_empty_pending_reg: Default::default(),
            receive_idle_reg: Default::default(),
            modem_lines_reg: Default::default(),
            modem_changes_reg: Default::default(),
            sample_clock: SampleClock::new(clock_hz),
            transmitter: Default::default(),
            receiver: Default::default(),
            transmit_fifo: Default::default(),
            receive_fifo: Default::default(),
            register: Default::default(),
            read_here: Default::default(),
            write_here: Default::default(),
            divisor_access: Default::default(),
            loopback: Default::default(),
            clear_fifos: Default::default(),
            clear_transmit: Default::default(),
            clear_receive: Default::default(),
            write_holding: Default::default(),
            read_received: Default::default(),
            read_line_status: Default::default(),
            read_identification: Default::default(),
            read_modem_status: Default::default(),
            enable_holding_empty: Default::default(),
            transmit_full: Default::default(),
            receive_full: Default::default(),
            overrun: Default::default(),
            received_has_error: Default::default(),
            head_has_error: Default::default(),
            pop_received: Default::default(),
            trigger_level: Default::default(),
            line_status: Default::default(),
            modem_lines: Default::default(),
            receive_timeout: Default::default(),
            interrupt_line_status: Default::default(),
            interrupt_received: Default::default(),
            interrupt_timeout: Default::default(),
            interrupt_holding_empty: Default::default(),
            interrupt_modem: Default::default(),
            identification: Default::default(),
        }
    }
}

impl Default for Uart {
    fn default() -> Self {
        Self::new(spec::clock::CLOCK_HZ)
    }
}

impl Logic for Uart {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            divisor_reg,
            divisor_written_reg,
            interrupt_enable_reg,
            line_control_reg,
            modem_control_reg,
            scratch_reg,
            fifo_enable_reg,
            fifo_trigger_reg,
            line_errors_reg,
            head_is_new_reg,
            errors_in_fifo_reg,
            holding_empty_pending_reg,
            receive_idle_reg,
            modem_lines_reg,
            modem_changes_reg
        );
        clock!(
            self,
            clock,
            sample_clock,
            transmitter,
            receiver,
            transmit_fifo,
            receive_fifo
        );
        self.sample_clock.reset.next = self.reset.val();
        self.transmitter.reset.next = self.reset.val();
        self.receiver.reset.next = self.reset.val();
        self.transmit_fifo.reset.next = self.reset.val();
        self.receive_fifo.reset.next = self.reset.val();

        // Which register is read or written.
        self.selected.next = (self.port.val() & 0xFFF8) == PORT_COM1;
        self.register.next = bit_cast::<3, 16>(self.port.val());
        self.read_here.next = self.read.val() & self.selected.val();
        self.write_here.next = self.write.val() & self.selected.val();
        self.divisor_access.next = self.line_control_reg.q.val().get_bit(7);
        self.loopback.next = self.modem_control_reg.q.val().get_bit(4);
        self.write_holding.next =
            self.write_here.val() & !self.divisor_access.val() & (self.register.val() == UART_DATA);
        self.read_received.next =
            self.read_here.val() & !self.divisor_access.val() & (self.register.val() == UART_DATA);
        self.read_line_status.next =
            self.read_here.val() & (self.register.val() == UART_LINE_STATUS);
        self.read_identification.next =
            self.read_here.val() & (self.register.val() == UART_INTERRUPT_IDENTIFICATION);
        self.read_modem_status.next =
            self.read_here.val() & (self.register.val() == UART_MODEM_STATUS);

        // Plain registers.
        self.divisor_written_reg.d.next = false;
        self.sample_clock.restart.next = self.divisor_written_reg.q.val();
        self.clear_fifos.next = false;
        self.clear_transmit.next = false;
        self.clear_receive.next = false;
        self.enable_holding_empty.next = false;
        if self.write_here.val() {
            match self.register.val().into() {
                UART_DATA => {
                    if self.divisor_access.val() {
                        self.divisor_reg.d.next = (self.divisor_reg.q.val() & 0xFF00)
                            | bit_cast::<16, 8>(self.write_data.val());
                        self.divisor_written_reg.d.next = true;
                    }
                }
                UART_INTERRUPT_ENABLE => {
                    if self.divisor_access.val() {
                        self.divisor_reg.d.next = (self.divisor_reg.q.val() & 0x00FF)
                            | (bit_cast::<16, 8>(self.write_data.val()) << 8);
                        self.divisor_written_reg.d.next = true;
                    } else {
                        self.interrupt_enable_reg.d.next = bit_cast::<4, 8>(self.write_data.val());
                        self.enable_holding_empty.next = self.write_data.val().get_bit(1)
                            & !self.interrupt_enable_reg.q.val().get_bit(1);
                    }
                }
                UART_INTERRUPT_IDENTIFICATION => {
                    self.fifo_enable_reg.d.next = self.write_data.val().get_bit(0);
                    self.fifo_trigger_reg.d.next = self.write_data.val().get_bits::<2>(6);
                    self.clear_fifos.next =
                        self.write_data.val().get_bit(0) != self.fifo_enable_reg.q.val();
                    self.clear_receive.next =
                        self.write_data.val().get_bit(0) & self.write_data.val().get_bit(1);
                    self.clear_transmit.next =
                        self.write_data.val().get_bit(0) & self.write_data.val().get_bit(2);
                }
                UART_LINE_CONTROL => {
                    self.line_control_reg.d.next = self.write_data.val();
                }
                UART_MODEM_CONTROL => {
                    self.modem_control_reg.d.next = bit_cast::<5, 8>(self.write_data.val());
                }
                UART_SCRATCH => {
                    self.scratch_reg.d.next = self.write_data.val();
                }
                // The status registers are read-only.
                _ => {}
            }
        }

        // Sending. A byte that finds no room replaces the last one without FIFO, and is lost with it.
        self.sample_clock.divisor.next = self.divisor_reg.q.val();
        self.transmit_full.next = self.transmit_fifo.full.val()
            | (!self.fifo_enable_reg.q.val() & !self.transmit_fifo.empty.val());
        self.transmitter.sample_tick.next = self.sample_clock.sample_tick.val();
        self.transmitter.line_control.next = self.line_control_reg.q.val();
        self.transmitter.data_valid.next = !self.transmit_fifo.empty.val();
        self.transmitter.data.next = bit_cast::<8, 11>(self.transmit_fifo.head.val());
        self.transmit_fifo.clear.next = self.clear_fifos.val() | self.clear_transmit.val();
        self.transmit_fifo.pop.next = self.transmitter.take.val()
            | (self.write_holding.val() & self.transmit_full.val() & !self.fifo_enable_reg.q.val());
        self.transmit_fifo.push.next =
            self.write_holding.val() & (!self.transmit_full.val() | !self.fifo_enable_reg.q.val());
        self.transmit_fifo.push_data.next = bit_cast::<11, 8>(self.write_data.val());
        self.tx.next = self.transmitter.tx.val() | self.loopback.val();

        // Receiving. Each FIFO entry carries its errors above its byte.
        self.receiver.sample_tick.next = self.sample_clock.sample_tick.val();
        self.receiver.line_control.next = self.line_control_reg.q.val();
        self.receiver.rx.next = self.rx.val();
        if self.loopback.val() {
            self.receiver.rx.next = self.transmitter.tx.val();
        }
        self.receive_full.next = self.receive_fifo.full.val()
            | (!self.fifo_enable_reg.q.val() & !self.receive_fifo.empty.val());
        self.overrun.next = self.receiver.received.val() & self.receive_full.val();
        self.pop_received.next = (self.read_received.val() & !self.receive_fifo.empty.val())
            | (self.overrun.val() & !self.fifo_enable_reg.q.val());
        self.received_has_error.next = self.receiver.errors.val().any();
        self.head_has_error.next = (self.receive_fifo.head.val() & 0x700).any();
        self.receive_fifo.clear.next = self.clear_fifos.val() | self.clear_receive.val();
        self.receive_fifo.pop.next = self.pop_received.val();
        self.receive_fifo.push.next = self.receiver.received.val()
            & (!self.receive_full.val() | !self.fifo_enable_reg.q.val());
        self.receive_fifo.push_data.next = bit_cast::<11, 8>(self.receiver.data.val())
            | (bit_cast::<11, 3>(self.receiver.errors.val()) << 8);

        // Errors enter LSR when their byte comes to the head, and leave when LSR is read.
        if self.read_line_status.val() {
            self.line_errors_reg.d.next = 0.into();
        }
        if self.head_is_new_reg.q.val() & !self.receive_fifo.empty.val() {
            self.head_is_new_reg.d.next = false;
            self.line_errors_reg.d.next = self.line_errors_reg.q.val()
                | (bit_cast::<4, 3>(self.receive_fifo.head.val().get_bits::<3>(8)) << 1);
        }
        if self.overrun.val() {
            self.line_errors_reg.d.next = self.line_errors_reg.q.val() | 1;
        }
        if self.pop_received.val() | (self.receive_fifo.push.val() & self.receive_fifo.empty.val())
        {
            self.head_is_new_reg.d.next = true;
        }
        if self.receive_fifo.push.val()
            & self.received_has_error.val()
            & !(self.pop_received.val() & self.head_has_error.val())
        {
            self.errors_in_fifo_reg.d.next = self.errors_in_fifo_reg.q.val() + 1;
        }
        if self.pop_received.val()
            & self.head_has_error.val()
            & !(self.receive_fifo.push.val() & self.received_has_error.val())
        {
            self.errors_in_fifo_reg.d.next = self.errors_in_fifo_reg.q.val() - 1;
        }
        if self.receive_fifo.clear.val() {
            self.errors_in_fifo_reg.d.next = 0.into();
            self.head_is_new_reg.d.next = true;
        }

        self.line_status.next = bit_cast::<8, 1>((!self.receive_fifo.empty.val()).into())
            | (bit_cast::<8, 4>(self.line_errors_reg.q.val()) << 1)
            | (bit_cast::<8, 1>(self.transmit_fifo.empty.val().into()) << 5)
            | (bit_cast::<8, 1>(
                (self.transmit_fifo.empty.val() & self.transmitter.idle.val()).into(),
            ) << 6)
            | (bit_cast::<8, 1>(
                (self.fifo_enable_reg.q.val() & self.errors_in_fifo_reg.q.val().any()).into(),
            ) << 7);

        // No byte came or went for the time of four characters of ten bits.
        self.receive_timeout.next =
            self.fifo_enable_reg.q.val() & (self.receive_idle_reg.q.val() == 640);
        if self.sample_clock.sample_tick.val() & !self.receive_timeout.val() {
            self.receive_idle_reg.d.next = self.receive_idle_reg.q.val() + 1;
        }
        if self.receive_fifo.empty.val()
            | self.receive_fifo.push.val()
            | self.pop_received.val()
            | !self.fifo_enable_reg.q.val()
        {
            self.receive_idle_reg.d.next = 0.into();
        }

        // Modem lines, from bit 0: CTS, DSR, RI, DCD. In loopback they follow RTS, DTR, OUT1 and OUT2.
        self.modem_lines.next = 0b1011.into();
        if self.loopback.val() {
            self.modem_lines.next =
                (bit_cast::<4, 1>(self.modem_control_reg.q.val().get_bits::<1>(0)) << 1)
                    | bit_cast::<4, 1>(self.modem_control_reg.q.val().get_bits::<1>(1))
                    | (self.modem_control_reg.q.val().get_bits::<4>(0) & 0b1100);
        }
        self.modem_lines_reg.d.next = self.modem_lines.val();
        // RI counts only when it ends.
        self.modem_changes_reg.d.next = self.modem_changes_reg.q.val()
            | ((self.modem_lines.val() ^ self.modem_lines_reg.q.val())
                & (self.modem_lines_reg.q.val() | 0b1011));
        if self.read_modem_status.val() {
            self.modem_changes_reg.d.next = 0.into();
        }

        // Interrupts, by priority.
        self.interrupt_line_status.next =
            self.interrupt_enable_reg.q.val().get_bit(2) & self.line_errors_reg.q.val().any();
        self.trigger_level.next = 1.into();
        if self.fifo_enable_reg.q.val() {
            match self.fifo_trigger_reg.q.val().index() {
                0 => {
                    self.trigger_level.next = 1.into();
                }
                1 => {
                    self.trigger_level.next = 4.into();
                }
                2 => {
                    self.trigger_level.next = 8.into();
                }
                _ => {
                    self.trigger_level.next = 14.into();
                }
            }
        }
        self.interrupt_received.next = self.interrupt_enable_reg.q.val().get_bit(0)
            & (self.receive_fifo.count.val() >= self.trigger_level.val());
        self.interrupt_timeout.next =
            self.interrupt_enable_reg.q.val().get_bit(0) & self.receive_timeout.val();
        self.interrupt_holding_empty.next =
            self.interrupt_enable_reg.q.val().get_bit(1) & self.holding_empty_pending_reg.q.val();
        self.interrupt_modem.next =
            self.interrupt_enable_reg.q.val().get_bit(3) & self.modem_changes_reg.q.val().any();
        self.identification.next = 1.into();
        if self.interrupt_line_status.val() {
            self.identification.next = 6.into();
        } else if self.interrupt_received.val() {
            self.identification.next = 4.into();
        } else if self.interrupt_timeout.val() {
            self.identification.next = 12.into();
        } else if self.interrupt_holding_empty.val() {
            self.identification.next = 2.into();
        } else if self.interrupt_modem.val() {
            self.identification.next = 0.into();
        }
        self.interrupt_line.next = !self.identification.val().get_bit(0)
            & self.modem_control_reg.q.val().get_bit(3)
            & !self.loopback.val();

        // Pending from the moment the holding register empties (or is enabled while empty) until it is written or
        // the interrupt has been identified.
        if self.read_identification.val() & (self.identification.val() == 2) {
            self.holding_empty_pending_reg.d.next = false;
        }
        if (self.enable_holding_empty.val() & self.transmit_fifo.empty.val())
            | (self.transmitter.take.val() & (self.transmit_fifo.count.val() == 1))
        {
            self.holding_empty_pending_reg.d.next = true;
        }
        if self.write_holding.val() {
            self.holding_empty_pending_reg.d.next = false;
        }

        self.read_data.next = 0.into();
        match self.register.val().into() {
            UART_DATA => {
                self.read_data.next = bit_cast::<8, 11>(self.receive_fifo.head.val());
                if self.divisor_access.val() {
                    self.read_data.next = bit_cast::<8, 16>(self.divisor_reg.q.val());
                }
            }
            UART_INTERRUPT_ENABLE => {
                self.read_data.next = bit_cast::<8, 4>(self.interrupt_enable_reg.q.val());
                if self.divisor_access.val() {
                    self.read_data.next = self.divisor_reg.q.val().get_bits::<8>(8);
                }
            }
            UART_INTERRUPT_IDENTIFICATION => {
                self.read_data.next = bit_cast::<8, 4>(self.identification.val());
                if self.fifo_enable_reg.q.val() {
                    self.read_data.next = bit_cast::<8, 4>(self.identification.val()) | 0xC0;
                }
            }
            UART_LINE_CONTROL => {
                self.read_data.next = self.line_control_reg.q.val();
            }
            UART_MODEM_CONTROL => {
                self.read_data.next = bit_cast::<8, 5>(self.modem_control_reg.q.val());
            }
            UART_LINE_STATUS => {
                self.read_data.next = self.line_status.val();
            }
            UART_MODEM_STATUS => {
                self.read_data.next = bit_cast::<8, 4>(self.modem_changes_reg.q.val())
                    | (bit_cast::<8, 4>(self.modem_lines.val()) << 4);
            }
            _ => {
                self.read_data.next = self.scratch_reg.q.val();
            }
        }

        if self.reset.val() {
            self.divisor_reg.d.next = 1.into();
            self.divisor_written_reg.d.next = true;
            self.interrupt_enable_reg.d.next = 0.into();
            self.line_control_reg.d.next = 3.into();
            self.modem_control_reg.d.next = 0.into();
            self.scratch_reg.d.next = 0.into();
            self.fifo_enable_reg.d.next = false;
            self.fifo_trigger_reg.d.next = 0.into();
            self.line_errors_reg.d.next = 0.into();
            self.head_is_new_reg.d.next = true;
            self.errors_in_fifo_reg.d.next = 0.into();
            self.holding_empty_pending_reg.d.next = false;
            self.receive_idle_reg.d.next = 0.into();
            self.modem_lines_reg.d.next = 0b1011.into();
            self.modem_changes_reg.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    use spec::clock::UART_BAUD_AT_DIVISOR_1;
    use spec::ports::{COM1, uart::*};
    clocked!(Uart);

    /// Slow, for short tests.
    const TEST_CLOCK_HZ: u64 = spec::clock::UART_HZ;
    /// Clocks that a bit lasts at divisor 1.
    const BIT: usize = 16;
    const FIFO_ON: u8 = 0x07;

    /// The serial port, its two ends joined by a wire that a test may cut.
    struct Line {
        uart: Uart,
        joined: bool,
        /// The level of tx after each clock.
        levels: Vec<bool>,
    }

    impl Line {
        fn new(clock_hz: u64) -> Self {
            let mut uart = Uart::new(clock_hz);
            uart.rx.next = true;
            Self {
                uart: start(uart),
                joined: true,
                levels: vec![],
            }
        }
        fn clocks(&mut self, count: usize) {
            for _ in 0..count {
                if self.joined {
                    self.uart.rx.next = self.uart.tx.val();
                }
                tick(&mut self.uart);
                self.levels.push(self.uart.tx.val());
            }
        }
        fn write(&mut self, register: u16, value: u8) {
            self.uart.port.next = ((COM1 + register) as u64).into();
            self.uart.write_data.next = (value as u64).into();
            self.uart.write.next = true;
            self.clocks(1);
            self.uart.write.next = false;
        }
        fn read(&mut self, register: u16) -> u8 {
            self.uart.port.next = ((COM1 + register) as u64).into();
            self.uart.read.next = true;
            settle(&mut self.uart);
            let value = self.uart.read_data.val().index() as u8;
            self.clocks(1);
            self.uart.read.next = false;
            value
        }
        fn interrupt(&mut self) -> bool {
            settle(&mut self.uart);
            self.uart.interrupt_line.val()
        }
        fn set_divisor(&mut self, divisor: u16) {
            let line_control = self.read(LINE_CONTROL);
            self.write(LINE_CONTROL, line_control | DLAB);
            self.write(DATA, divisor as u8);
            self.write(INTERRUPT_ENABLE, (divisor >> 8) as u8);
            self.write(LINE_CONTROL, line_control);
        }
        fn send_polling(&mut self, text: &[u8]) {
            for &byte in text {
                self.wait_for(20_000, |line| line.read(LINE_STATUS) & HOLDING_EMPTY != 0);
                self.write(DATA, byte);
            }
            self.wait_for(100_000, |line| {
                line.read(LINE_STATUS) & TRANSMITTER_EMPTY != 0
            });
        }
        fn wait_for(&mut self, clocks: usize, condition: fn(&mut Self) -> bool) {
            for _ in 0..clocks {
                if condition(self) {
                    return;
                }
                self.clocks(1);
            }
            panic!("nothing happens within {clocks} clocks");
        }
    }

    /// Characters of 8 data bits, no parity, one stop bit, as a terminal reads them from the levels of the line.
    fn decode(levels: &[bool], clocks_per_bit: f64) -> Vec<u8> {
        let mut text = vec![];
        let mut at = 0;
        while let Some(start) = (at..levels.len()).find(|&i| !levels[i]) {
            let bit = |n: usize| levels[start + ((n as f64 + 0.5) * clocks_per_bit) as usize];
            if start + (9.5 * clocks_per_bit) as usize >= levels.len() {
                break;
            }
            assert!(!bit(0) && bit(9), "start and stop bit at clock {start}");
            text.push((0..8).map(|n| (bit(n + 1) as u8) << n).sum());
            at = start + (9.5 * clocks_per_bit) as usize;
        }
        text
    }

    #[test]
    fn text_is_on_the_line_at_115200_baud_of_the_real_clock() {
        let mut line = Line::new(spec::clock::CLOCK_HZ);
        line.send_polling(b"Win7!\r\n");
        let clocks_per_bit = spec::clock::CLOCK_HZ as f64 / UART_BAUD_AT_DIVISOR_1 as f64;
        assert_eq!(decode(&line.levels, clocks_per_bit), b"Win7!\r\n");
        // Seven characters of ten bits, no pause between them, none too short.
        let sending = line
            .levels
            .iter()
            .position(|level| !level)
            .expect("a start bit");
        let length = (line.levels.len() - sending) as f64 / clocks_per_bit;
        assert!((69.0..71.0).contains(&length), "{length} bits");
    }

    #[test]
    fn characters_come_back_at_every_divisor() {
        for divisor in [1u16, 2, 3, 12] {
            let mut line = Line::new(TEST_CLOCK_HZ);
            line.set_divisor(divisor);
            line.write(LINE_CONTROL, EIGHT_BITS);
            for byte in [0x00, 0xFF, 0x55, 0xAA, 0x31] {
                line.send_polling(&[byte]);
                line.clocks(2 * BIT * divisor as usize);
                assert_eq!(
                    line.read(LINE_STATUS),
                    0x61,
                    "divisor {divisor}, byte {byte:02X}"
                );
                assert_eq!(line.read(DATA), byte, "divisor {divisor}");
                assert_eq!(line.read(LINE_STATUS), 0x60);
            }
            let clocks_per_bit = (BIT * divisor as usize) as f64;
            let text = decode(&line.levels, clocks_per_bit);
            assert_eq!(text, [0x00, 0xFF, 0x55, 0xAA, 0x31], "divisor {divisor}");
        }
    }

    #[test]
    fn every_line_format_comes_back() {
        for format in 0..0x40u8 {
            let mut line = Line::new(TEST_CLOCK_HZ);
            line.write(LINE_CONTROL, format);
            let mask = 0xFFu8 >> (3 - (format & 3));
            for byte in [0xA7, 0x58] {
                line.send_polling(&[byte]);
                line.clocks(2 * BIT);
                assert_eq!(line.read(LINE_STATUS), 0x61, "LCR {format:02X}");
                assert_eq!(line.read(DATA), byte & mask, "LCR {format:02X}");
            }
        }
    }

    #[test]
    fn a_wrong_parity_is_reported_with_its_byte() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        // Sent without parity, received with even parity: the stop bit is taken for the parity bit.
        line.write(LINE_CONTROL, EIGHT_BITS);
        line.write(DATA, 0x03);
        line.clocks(6);
        line.write(LINE_CONTROL, EIGHT_BITS | 0x18);
        line.clocks(BIT * 12);
        assert_eq!(line.read(LINE_STATUS), 0x65);
        assert_eq!(line.read(LINE_STATUS), 0x61, "reading clears the error");
        assert_eq!(line.read(DATA), 0x03);
    }

    #[test]
    fn a_break_is_received_once() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        line.write(LINE_CONTROL, EIGHT_BITS | 0x40);
        line.clocks(BIT * 30);
        assert_eq!(line.read(LINE_STATUS), 0x79);
        assert_eq!(line.read(DATA), 0);
        line.write(LINE_CONTROL, EIGHT_BITS);
        line.clocks(BIT * 30);
        assert_eq!(line.read(LINE_STATUS), 0x60);
    }

    #[test]
    fn sixteen_bytes_fit_into_each_fifo() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        line.write(INTERRUPT_IDENTIFICATION, FIFO_ON);
        assert_eq!(line.read(INTERRUPT_IDENTIFICATION), 0xC1);
        for byte in 0..17 {
            // The first leaves for the line at once, sixteen stay.
            line.write(DATA, byte);
            line.clocks(4);
        }
        line.clocks(BIT * 10 * 17);
        line.clocks(2 * BIT);
        // The seventeenth found the receiver's FIFO full.
        assert_eq!(line.read(LINE_STATUS), 0x63);
        for byte in 0..16 {
            assert_eq!(line.read(LINE_STATUS), 0x61);
            assert_eq!(line.read(DATA), byte);
        }
        assert_eq!(line.read(LINE_STATUS), 0x60);
    }

    #[test]
    fn without_fifo_the_last_byte_replaces_the_one_before() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        line.write(DATA, b'A');
        line.clocks(BIT);
        line.write(DATA, b'B');
        line.clocks(BIT * 22);
        assert_eq!(line.read(LINE_STATUS), 0x63);
        assert_eq!(line.read(DATA), b'B');
        assert_eq!(line.read(LINE_STATUS), 0x60);
    }

    #[test]
    fn the_holding_register_interrupts_when_it_empties() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        line.write(INTERRUPT_ENABLE, ENABLE_HOLDING_EMPTY);
        assert!(!line.interrupt(), "OUT2 holds it back");
        line.write(MODEM_CONTROL, INTERRUPT_OUT);
        assert!(line.interrupt(), "it is empty when enabled");
        assert_eq!(line.read(INTERRUPT_IDENTIFICATION), 0x02);
        assert!(!line.interrupt(), "identifying it answers it");
        line.write(INTERRUPT_IDENTIFICATION, FIFO_ON);
        line.write(DATA, 1);
        line.write(DATA, 2);
        line.clocks(2 * BIT);
        assert!(!line.interrupt(), "one byte still waits");
        line.wait_for(BIT * 12, Line::interrupt);
        line.write(DATA, 3);
        assert!(!line.interrupt(), "writing answers it too");
    }

    #[test]
    fn received_bytes_interrupt_at_the_trigger_level_and_after_a_pause() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        line.write(INTERRUPT_IDENTIFICATION, FIFO_ON | 0x40);
        line.write(INTERRUPT_ENABLE, ENABLE_RECEIVED);
        line.write(MODEM_CONTROL, INTERRUPT_OUT);
        line.send_polling(&[1, 2, 3]);
        line.clocks(2 * BIT);
        assert!(!line.interrupt());
        line.wait_for(BIT * 45, Line::interrupt);
        assert_eq!(line.read(INTERRUPT_IDENTIFICATION), 0xCC);
        assert_eq!(line.read(DATA), 1);
        assert!(!line.interrupt());
        line.send_polling(&[4, 5]);
        line.clocks(BIT);
        assert!(line.interrupt());
        assert_eq!(line.read(INTERRUPT_IDENTIFICATION), 0xC4);
        assert_eq!([2, 3, 4, 5], [(); 4].map(|()| line.read(DATA)));
        assert_eq!(line.read(INTERRUPT_IDENTIFICATION), 0xC1);
    }

    #[test]
    fn loopback_keeps_the_line_idle_and_shows_modem_control_as_status() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        assert_eq!(line.read(MODEM_STATUS), 0xB0);
        line.joined = false;
        line.uart.rx.next = true;
        line.write(MODEM_CONTROL, LOOPBACK | 0x0A);
        // RTS and OUT2 are on: CTS and DCD stay, DSR goes.
        line.clocks(1);
        assert_eq!(line.read(MODEM_STATUS), 0x92);
        assert_eq!(line.read(MODEM_STATUS), 0x90);
        line.levels.clear();
        line.send_polling(b"x");
        line.clocks(2 * BIT);
        assert!(line.levels.iter().all(|&level| level));
        assert_eq!(line.read(DATA), b'x');
    }

    #[test]
    fn registers_keep_what_software_probes_for() {
        let mut line = Line::new(TEST_CLOCK_HZ);
        for value in [0xA5, 0x5A] {
            line.write(SCRATCH, value);
            assert_eq!(line.read(SCRATCH), value);
        }
        line.write(INTERRUPT_ENABLE, 0xFF);
        assert_eq!(line.read(INTERRUPT_ENABLE), 0x0F);
        line.write(MODEM_CONTROL, 0x0B);
        assert_eq!(line.read(MODEM_CONTROL), 0x0B);
        line.set_divisor(0x1234);
        line.write(LINE_CONTROL, DLAB | EIGHT_BITS);
        assert_eq!((line.read(DATA), line.read(INTERRUPT_ENABLE)), (0x34, 0x12));
    }
}
