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
    /// Interrupt lines.
    IRQ_COM1 = spec::ports::IRQ_COM1;
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
    NT = 14;
    VM = 17;
    /// EFLAGS without CF, PF, AF, ZF, SF and OF.
    OTHER_THAN_ARITHMETIC_FLAGS = 0xFFFF_F72A_u64;

    // Register numbers.
    EIP = spec::registers::EIP;
    EFLAGS = spec::registers::EFLAGS;
    CPL = spec::registers::CPL;
    CR0 = spec::registers::CR0;
    CR2 = spec::registers::CR2;
    CR3 = spec::registers::CR3;
    CR4 = spec::registers::CR4;
    DR0 = spec::registers::DR0;
    DR1 = spec::registers::DR0 + 1;
    DR2 = spec::registers::DR0 + 2;
    DR3 = spec::registers::DR0 + 3;
    DR4 = spec::registers::DR0 + 4;
    DR5 = spec::registers::DR0 + 5;
    DR6 = spec::registers::DR6;
    DR7 = spec::registers::DR7;
    SYSENTER_CS = spec::registers::SYSENTER_CS;
    SYSENTER_ESP = spec::registers::SYSENTER_ESP;
    SYSENTER_EIP = spec::registers::SYSENTER_EIP;
    TSC_LOW = spec::registers::TSC_LOW;
    TSC_HIGH = spec::registers::TSC_HIGH;

    // Values inside the core that microcode reads like system registers.
    /// Always zero.
    ZERO = 0xBF;
    EVENT_ERROR = 0xC0;
    /// What the event being delivered saves as EIP.
    EVENT_EIP = 0xC1;
    /// Of the gate in the descriptor latch.
    GATE_OFFSET = 0xC2;
    GATE_SELECTOR = 0xC3;
    GATE_PARAMETERS = 0xC4;
    /// The low half of the latch; a store of eight bytes takes the high half by itself.
    LATCH = 0xCC;
    /// The latch's access byte with its accessed bit / TSS busy bit set.
    ACCESSED_BYTE = 0xC5;
    BUSY_BYTE = 0xC6;
    /// Offset in the 32-bit TSS of ESP for the level of the code in the descriptor latch.
    STACK_SLOT = 0xC7;
    CODE_LEVEL = 0xC8;
    SYSENTER_STACK_SELECTOR = 0xC9;
    /// The MSR chosen by `Control::SelectMsr`, and its upper half.
    SELECTED_MSR = spec::registers::SELECTED_MSR;
    SELECTED_MSR_HIGH = 0xCB;
    CPUID_VENDOR_EBX = 0xD0;
    CPUID_VENDOR_EDX = 0xD1;
    CPUID_VENDOR_ECX = 0xD2;
    CPUID_SIGNATURE = 0xD3;
    CPUID_FEATURES = 0xD4;

    /// Bits of CR4 that raise #GP when set.
    CR4_NOT_BUILT = !spec::control_registers::CR4_BUILT;

    // MSR numbers.
    MSR_TSC = spec::msr::TIME_STAMP_COUNTER;
    MSR_SYSENTER_CS = spec::msr::SYSENTER_CS;
    MSR_SYSENTER_ESP = spec::msr::SYSENTER_ESP;
    MSR_SYSENTER_EIP = spec::msr::SYSENTER_EIP;

    // CPUID.
    VENDOR_EBX = spec::cpuid::LEAVES[0].ebx;
    VENDOR_EDX = spec::cpuid::LEAVES[0].edx;
    VENDOR_ECX = spec::cpuid::LEAVES[0].ecx;
    SIGNATURE = spec::cpuid::SIGNATURE;
    FEATURES = spec::cpuid::FEATURE_BITS;

    // Vectors by what they do to each other, and those with an error code: bit n is vector n.
    CONTRIBUTORY = spec::exceptions::vectors_of(spec::exceptions::Severity::Contributory);
    PAGE_FAULTS = spec::exceptions::vectors_of(spec::exceptions::Severity::PageFault);
    DOUBLE_FAULTS = spec::exceptions::vectors_of(spec::exceptions::Severity::DoubleFault);
    WITH_ERROR_CODE = spec::exceptions::vectors_with_error_code();

    // Routines that events begin with, at fixed places in the microcode.
    RESET_ENTRY = 0;
    DELIVER_ENTRY = 1;
}
