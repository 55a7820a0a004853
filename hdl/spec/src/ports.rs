//! Port numbers of the devices, and what their registers are called.

/// First port of the first interrupt controller; each has two.
pub const PIC_MASTER: u16 = 0x20;
/// First port of the second controller.
pub const PIC_SLAVE: u16 = 0xA0;
/// Interrupt line on which the slave reports to the master.
pub const PIC_CASCADE_LINE: u8 = 2;

/// Counter 0 of the interval timer; counters 1 and 2 and the control port follow.
pub const PIT: u16 = 0x40;
/// Control words of the interval timer.
pub const PIT_CONTROL: u16 = 0x43;
/// Gate of counter 2 (bit 0), speaker (bit 1), refresh toggle (bit 4) and output of counter 2 (bit 5).
pub const SYSTEM_CONTROL_B: u16 = 0x61;
/// Keyboard controller: status. There is no keyboard; nothing is ever waiting.
pub const KEYBOARD_STATUS: u16 = 0x64;
/// Keyboard controller: data. Reads 00h.
pub const KEYBOARD_DATA: u16 = 0x60;
/// Which byte of CMOS memory and clock is addressed.
pub const CMOS_INDEX: u16 = 0x70;
/// The byte of CMOS memory and clock. There is none: it reads 00h.
pub const CMOS_DATA: u16 = 0x71;
/// Power-on self-test codes: the byte shows on the LEDs.
pub const POST: u16 = 0x80;
/// A second port for test codes (PS/2 machines); only observed.
pub const POST_PS2: u16 = 0x190;
/// Gate A20 (bit 1, always open here) and fast reset (bit 0, ignored).
pub const SYSTEM_CONTROL_A: u16 = 0x92;
/// Debug console: a byte written appears on the simulator's console; reads as E9h where it exists.
pub const DEBUG_CONSOLE: u16 = 0xE9;
/// A byte v written here ends a simulation with status (v << 1) | 1.
pub const EXIT: u16 = 0xF4;
/// A second port for that, where other simulators have theirs.
pub const EXIT_BOCHS: u16 = 0x501;

/// First of the eight ports of the serial port.
pub const COM1: u16 = 0x3F8;

/// Interrupt line of counter 0.
pub const IRQ_PIT: u8 = 0;
/// Interrupt line of COM1.
pub const IRQ_COM1: u8 = 4;

/// Registers of a 16550 serial port, by their distance from its first port.
pub mod uart {
    /// Receiver buffer (read), transmitter holding register (write); divisor's low byte while DLAB=1.
    pub const DATA: u16 = 0;
    /// Interrupt enable; divisor's high byte while DLAB=1.
    pub const INTERRUPT_ENABLE: u16 = 1;
    /// Interrupt identification (read), FIFO control (write).
    pub const INTERRUPT_IDENTIFICATION: u16 = 2;
    /// Line control: format of a character, and DLAB.
    pub const LINE_CONTROL: u16 = 3;
    /// Modem control: outputs, interrupt gate, loopback.
    pub const MODEM_CONTROL: u16 = 4;
    /// Line status: what can be read or written, and receive errors.
    pub const LINE_STATUS: u16 = 5;
    /// Modem status: inputs and their changes.
    pub const MODEM_STATUS: u16 = 6;
    /// A byte that the port keeps for software.
    pub const SCRATCH: u16 = 7;

    /// Line control, bit 7: the first two ports are the divisor.
    pub const DLAB: u8 = 0x80;
    /// Line control: eight bits, no parity, one stop bit.
    pub const EIGHT_BITS: u8 = 0x03;
    /// Line status, bit 0: a byte can be read.
    pub const DATA_READY: u8 = 0x01;
    /// Line status, bit 5: the transmitter's holding register or FIFO is empty.
    pub const HOLDING_EMPTY: u8 = 0x20;
    /// Line status, bit 6: nothing is left to send, the line is idle.
    pub const TRANSMITTER_EMPTY: u8 = 0x40;
    /// Interrupt enable, bit 0: a byte can be read.
    pub const ENABLE_RECEIVED: u8 = 0x01;
    /// Interrupt enable, bit 1: the holding register is empty.
    pub const ENABLE_HOLDING_EMPTY: u8 = 0x02;
    /// Modem control, bit 3 (OUT2): on a PC this lets the interrupt out of the chip.
    pub const INTERRUPT_OUT: u8 = 0x08;
    /// Modem control, bit 4: what is sent comes back, nothing leaves.
    pub const LOOPBACK: u8 = 0x10;
    /// Bytes in each FIFO.
    pub const FIFO_BYTES: usize = 16;
}
