//! The devices the kernel drives: `spec`'s facts, as wide as the assembler's immediates.

use spec::ports;

pub use spec::clock::{CLOCK_HZ, PIT_HZ};
pub use spec::msr;
pub use spec::ports::{IRQ_COM1, IRQ_PIT};

/// First port of the master interrupt controller; the next one holds its mask.
pub const PIC_MASTER: u32 = ports::PIC_MASTER as u32;
/// First port of the slave interrupt controller.
pub const PIC_SLAVE: u32 = ports::PIC_SLAVE as u32;
/// Counter 0 of the interval timer.
pub const PIT: u32 = ports::PIT as u32;
/// Control port of the interval timer.
pub const PIT_CONTROL: u32 = ports::PIT_CONTROL as u32;
/// Power-on self-test codes.
pub const POST: u32 = ports::POST as u32;
/// Port that ends a simulation.
pub const EXIT: u32 = ports::EXIT as u32;
/// First of the eight ports of the serial port.
pub const COM1: u32 = ports::COM1 as u32;

/// Registers of the serial port by their distance from its first port, and their bits.
pub mod uart {
    use spec::ports::uart;

    /// Receiver buffer (read), transmitter holding register (write).
    pub const DATA: u32 = uart::DATA as u32;
    /// Interrupt enable.
    pub const INTERRUPT_ENABLE: u32 = uart::INTERRUPT_ENABLE as u32;
    /// Interrupt identification (read), FIFO control (write).
    pub const INTERRUPT_IDENTIFICATION: u32 = uart::INTERRUPT_IDENTIFICATION as u32;
    /// Line control.
    pub const LINE_CONTROL: u32 = uart::LINE_CONTROL as u32;
    /// Modem control.
    pub const MODEM_CONTROL: u32 = uart::MODEM_CONTROL as u32;
    /// Line status.
    pub const LINE_STATUS: u32 = uart::LINE_STATUS as u32;
    /// Modem status.
    pub const MODEM_STATUS: u32 = uart::MODEM_STATUS as u32;
    /// Line control: the first two ports are the divisor.
    pub const DLAB: u32 = uart::DLAB as u32;
    /// Line control: eight bits, no parity, one stop bit.
    pub const EIGHT_BITS: u32 = uart::EIGHT_BITS as u32;
    /// Line status: the transmitter's holding register or FIFO is empty.
    pub const HOLDING_EMPTY: u32 = uart::HOLDING_EMPTY as u32;
    /// Line status: the line is idle.
    pub const TRANSMITTER_EMPTY: u32 = uart::TRANSMITTER_EMPTY as u32;
    /// Interrupt enable: a byte was received.
    pub const ENABLE_RECEIVED: u32 = uart::ENABLE_RECEIVED as u32;
    /// Interrupt enable: the transmitter wants bytes.
    pub const ENABLE_HOLDING_EMPTY: u32 = uart::ENABLE_HOLDING_EMPTY as u32;
    /// Modem control: DTR, RTS, and OUT2, which lets the interrupt out of the chip.
    pub const READY_WITH_INTERRUPT: u32 = 0x03 | uart::INTERRUPT_OUT as u32;
    /// FIFO control: on, and both emptied.
    pub const FIFO_ON: u32 = 0x07;
    /// Interrupt identification: both set if there are FIFOs.
    pub const HAS_FIFO: u32 = 0xC0;
    /// Bytes in each FIFO.
    pub const FIFO_BYTES: u32 = uart::FIFO_BYTES as u32;
}
