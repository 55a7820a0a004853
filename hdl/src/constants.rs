//! Named numbers that kernels may use. The emitter looks names up here and prints their value at the width needed.

macro_rules! constants {
    ($($(#[$meta:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$meta])* pub const $name: u64 = $value as u64;)*
        /// Every constant by name, for the emitter.
        pub const CONSTANTS: &[(&str, u64)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
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
