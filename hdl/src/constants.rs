//! Named numbers that kernels may use. The emitter looks names up here and prints their value at the width needed.

macro_rules! constants {
    ($($(#[$meta:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$meta])* pub const $name: u64 = $value as u64;)*
        /// Every constant by name, for the emitter.
        pub const CONSTANTS: &[(&str, u64)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
    /// Port numbers of the devices.
    PORT_PIC_MASTER = spec::ports::PIC_MASTER;
    PORT_PIC_SLAVE = spec::ports::PIC_SLAVE;
    PORT_PIT = spec::ports::PIT;
    PORT_SYSTEM_CONTROL_B = spec::ports::SYSTEM_CONTROL_B;
    PORT_KEYBOARD_DATA = spec::ports::KEYBOARD_DATA;
    PORT_KEYBOARD_STATUS = spec::ports::KEYBOARD_STATUS;
    PORT_CMOS_INDEX = spec::ports::CMOS_INDEX;
    PORT_CMOS_DATA = spec::ports::CMOS_DATA;
    PORT_POST = spec::ports::POST;
    PORT_SYSTEM_CONTROL_A = spec::ports::SYSTEM_CONTROL_A;
    PORT_DEBUG_CONSOLE = spec::ports::DEBUG_CONSOLE;
    PORT_COM1 = spec::ports::COM1;
    /// Registers of the serial port by their distance from its first port.
    UART_DATA = spec::ports::uart::DATA;
    UART_INTERRUPT_ENABLE = spec::ports::uart::INTERRUPT_ENABLE;
    UART_INTERRUPT_IDENTIFICATION = spec::ports::uart::INTERRUPT_IDENTIFICATION;
    UART_LINE_CONTROL = spec::ports::uart::LINE_CONTROL;
    UART_MODEM_CONTROL = spec::ports::uart::MODEM_CONTROL;
    UART_LINE_STATUS = spec::ports::uart::LINE_STATUS;
    UART_MODEM_STATUS = spec::ports::uart::MODEM_STATUS;
    UART_SCRATCH = spec::ports::uart::SCRATCH;

    /// Bit numbers in EFLAGS.
    CF = 0;
    PF = 2;
    AF = 4;
    ZF = 6;
    SF = 7;
    TF = 8;
    IF = 9;
    DF = 10;
    OF = 11;
    /// EFLAGS without CF, PF, AF, ZF, SF and OF.
    OTHER_THAN_ARITHMETIC_FLAGS = 0xFFFF_F72A_u64;
}
