//! Model-specific registers that RDMSR and WRMSR know; any other number raises #GP.

use crate::registers;

/// One model-specific register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Msr {
    /// In ECX.
    pub number: u32,
    /// The manual's name, lower case.
    pub name: &'static str,
    /// The debug port's number of EAX's half (the low one).
    pub low: u8,
    /// The debug port's number of EDX's half, if it has more than zeros.
    pub high: Option<u8>,
}

pub const TIME_STAMP_COUNTER: u32 = 0x10;
pub const SYSENTER_CS: u32 = 0x174;
pub const SYSENTER_ESP: u32 = 0x175;
pub const SYSENTER_EIP: u32 = 0x176;

/// All model-specific registers.
#[rustfmt::skip]
pub const MSRS: &[Msr] = &[
    Msr { number: TIME_STAMP_COUNTER, name: "time_stamp_counter", low: registers::TSC_LOW, high: Some(registers::TSC_HIGH) },
    Msr { number: SYSENTER_CS,  name: "sysenter_cs",  low: registers::SYSENTER_CS,  high: None },
    Msr { number: SYSENTER_ESP, name: "sysenter_esp", low: registers::SYSENTER_ESP, high: None },
    Msr { number: SYSENTER_EIP, name: "sysenter_eip", low: registers::SYSENTER_EIP, high: None },
];

/// The register of a number, or `None`: RDMSR and WRMSR then raise #GP(0).
pub fn by_number(number: u32) -> Option<&'static Msr> {
    MSRS.iter().find(|msr| msr.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_are_found() {
        assert!(MSRS.is_sorted_by_key(|msr| msr.number));
        assert_eq!(by_number(0x176).map(|msr| msr.name), Some("sysenter_eip"));
        assert_eq!(by_number(0x177), None);
    }
}
