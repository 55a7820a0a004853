//! The devices the kernel drives, as on a PC.

/// First port of the master interrupt controller; the next one holds its mask.
pub const PIC_MASTER: u32 = 0x20;
/// First port of the slave interrupt controller.
pub const PIC_SLAVE: u32 = 0xA0;
/// Counter 0 of the interval timer.
pub const PIT: u32 = 0x40;
/// Control port of the interval timer.
pub const PIT_CONTROL: u32 = 0x43;
/// What the interval timer counts, in Hz.
pub const PIT_HZ: u64 = 1_193_182;
/// Power-on self-test codes.
pub const POST: u32 = 0x80;
/// First of the eight ports of the serial port.
pub const COM1: u32 = 0x3F8;
/// Interrupt line of the timer.
pub const IRQ_PIT: u8 = 0;
/// Interrupt line of COM1.
pub const IRQ_COM1: u8 = 4;
/// Clocks per second of the chip.
pub const CLOCK_HZ: u64 = 40_000_000;

/// Registers of a 16550 serial port, by their distance from its first port.
pub mod uart {
    /// Receiver buffer (read), transmitter holding register (write).
    pub const DATA: u32 = 0;
    /// Interrupt enable.
    pub const INTERRUPT_ENABLE: u32 = 1;
    /// Interrupt identification (read), FIFO control (write).
    pub const INTERRUPT_IDENTIFICATION: u32 = 2;
    /// Line control.
    pub const LINE_CONTROL: u32 = 3;
    /// Modem control.
    pub const MODEM_CONTROL: u32 = 4;
    /// Line status.
    pub const LINE_STATUS: u32 = 5;
    /// Modem status.
    pub const MODEM_STATUS: u32 = 6;
    /// Line status: the transmitter's holding register or FIFO is empty.
    pub const HOLDING_EMPTY: u32 = 0x20;
    /// Line status: the line is idle.
    pub const TRANSMITTER_EMPTY: u32 = 0x40;
    /// Interrupt enable: a byte was received.
    pub const ENABLE_RECEIVED: u32 = 0x01;
    /// Interrupt enable: the transmitter wants bytes.
    pub const ENABLE_HOLDING_EMPTY: u32 = 0x02;
    /// Bytes in each FIFO.
    pub const FIFO_BYTES: u32 = 16;
}

/// Model-specific registers.
pub mod msr {
    /// Ring-0 code selector that SYSENTER loads.
    pub const SYSENTER_CS: u32 = 0x174;
    /// Stack pointer that SYSENTER loads.
    pub const SYSENTER_ESP: u32 = 0x175;
    /// Where SYSENTER continues.
    pub const SYSENTER_EIP: u32 = 0x176;
}
