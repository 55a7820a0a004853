//! Exceptions and their priority (SDM Vol. 3A, "Interrupt and Exception Handling").

/// What EIP an exception saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// EIP of the instruction, which can be restarted.
    Fault,
    /// EIP of the next instruction.
    Trap,
    /// A fault for instruction and data breakpoints, general detect; otherwise a trap.
    FaultOrTrap,
    /// Not restartable.
    Abort,
    /// From outside, between two instructions.
    Interrupt,
}

/// How an exception combines with one raised while it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Handled one after the other.
    Benign,
    /// A contributory exception during this one's delivery is a double fault.
    Contributory,
    /// A contributory exception or a page fault during this one's delivery is a double fault.
    PageFault,
    /// A contributory exception or a page fault during this one's delivery shuts the processor down.
    DoubleFault,
}

/// What two exceptions become, the second of which is raised while the first is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combination {
    /// The second is delivered; the first is raised again when its instruction restarts, or is lost.
    Second,
    DoubleFault,
    /// The processor stops until it is reset.
    Shutdown,
}

/// SDM Vol. 3A, "Conditions for Generating a Double Fault". Interrupts and software interrupts are benign.
pub const fn combination(first: Severity, second: Severity) -> Combination {
    use Severity::{Benign, Contributory, DoubleFault, PageFault};
    match (first, second) {
        (Benign, _) | (_, Benign) | (Contributory, PageFault) => Combination::Second,
        (DoubleFault, _) => Combination::Shutdown,
        (Contributory | PageFault, _) => Combination::DoubleFault,
    }
}

/// The vectors of a severity: bit n is vector n.
pub const fn vectors_of(severity: Severity) -> u32 {
    let mut vectors = 0;
    let mut i = 0;
    while i < EXCEPTIONS.len() {
        if EXCEPTIONS[i].severity as u8 == severity as u8 {
            vectors |= 1 << EXCEPTIONS[i].vector;
        }
        i += 1;
    }
    vectors
}

/// The vectors with an error code: bit n is vector n.
pub const fn vectors_with_error_code() -> u32 {
    let mut vectors = 0;
    let mut i = 0;
    while i < EXCEPTIONS.len() {
        vectors |= (EXCEPTIONS[i].has_error_code as u32) << EXCEPTIONS[i].vector;
        i += 1;
    }
    vectors
}

/// One vector of the processor's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    pub vector: u8,
    /// The manual's mnemonic.
    pub mnemonic: &'static str,
    pub name: &'static str,
    pub class: Class,
    /// Whether an error code is pushed.
    pub has_error_code: bool,
    pub severity: Severity,
}

pub const DE: u8 = 0;
pub const DB: u8 = 1;
pub const NMI: u8 = 2;
pub const BP: u8 = 3;
pub const OF: u8 = 4;
pub const BR: u8 = 5;
pub const UD: u8 = 6;
pub const NM: u8 = 7;
pub const DF: u8 = 8;
pub const TS: u8 = 10;
pub const NP: u8 = 11;
pub const SS: u8 = 12;
pub const GP: u8 = 13;
pub const PF: u8 = 14;
pub const MF: u8 = 16;
pub const AC: u8 = 17;
pub const MC: u8 = 18;

/// All vectors with a meaning. The others below 32 are reserved.
#[rustfmt::skip]
pub const EXCEPTIONS: &[Exception] = &[
    row(DE,  "#DE", "divide error",              Class::Fault,       false, Severity::Contributory),
    row(DB,  "#DB", "debug",                     Class::FaultOrTrap, false, Severity::Benign),
    row(NMI, "NMI", "nonmaskable interrupt",     Class::Interrupt,   false, Severity::Benign),
    row(BP,  "#BP", "breakpoint",                Class::Trap,        false, Severity::Benign),
    row(OF,  "#OF", "overflow",                  Class::Trap,        false, Severity::Benign),
    row(BR,  "#BR", "bound range exceeded",      Class::Fault,       false, Severity::Benign),
    row(UD,  "#UD", "invalid opcode",            Class::Fault,       false, Severity::Benign),
    row(NM,  "#NM", "device not available",      Class::Fault,       false, Severity::Benign),
    row(DF,  "#DF", "double fault",              Class::Abort,       true,  Severity::DoubleFault),
    row(TS,  "#TS", "invalid TSS",               Class::Fault,       true,  Severity::Contributory),
    row(NP,  "#NP", "segment not present",       Class::Fault,       true,  Severity::Contributory),
    row(SS,  "#SS", "stack-segment fault",       Class::Fault,       true,  Severity::Contributory),
    row(GP,  "#GP", "general protection",        Class::Fault,       true,  Severity::Contributory),
    row(PF,  "#PF", "page fault",                Class::Fault,       true,  Severity::PageFault),
    row(MF,  "#MF", "floating-point error",      Class::Fault,       false, Severity::Benign),
    row(AC,  "#AC", "alignment check",           Class::Fault,       true,  Severity::Benign),
    row(MC,  "#MC", "machine check",             Class::Abort,       false, Severity::Benign),
];

const fn row(
    vector: u8,
    mnemonic: &'static str,
    name: &'static str,
    class: Class,
    has_error_code: bool,
    severity: Severity,
) -> Exception {
    Exception {
        vector,
        mnemonic,
        name,
        class,
        has_error_code,
        severity,
    }
}

/// The row of a vector, or `None` if the vector is reserved or for interrupts.
pub fn by_vector(vector: u8) -> Option<&'static Exception> {
    EXCEPTIONS
        .iter()
        .find(|exception| exception.vector == vector)
}

/// Bits of the error code that names a selector or a gate (SDM Vol. 3A, "Error Code").
///
/// The event was external to the program, or came while another was delivered.
pub const ERROR_EXTERNAL: u16 = 1;
/// Bits 15:3 are the number of an IDT gate.
pub const ERROR_IDT: u16 = 2;
/// Bits 15:3 are an index into the LDT instead of the GDT.
pub const ERROR_LDT: u16 = 4;

/// What can be pending at one instruction boundary, highest priority first (SDM Vol. 3A, "Priority
/// Among Concurrent Events").
///
/// The second part of a row is the vectors it can raise; none for reset and for external interrupts,
/// which bring their own.
#[rustfmt::skip]
pub const PRIORITY: &[(&str, &[u8])] = &[
    ("reset and machine check",                                   &[MC]),
    ("task switch with the T bit",                                &[DB]),
    ("traps of the previous instruction (single step, data breakpoints)", &[DB]),
    ("nonmaskable interrupt",                                     &[NMI]),
    ("external interrupt",                                        &[]),
    ("instruction breakpoint",                                    &[DB]),
    ("fetch beyond the limit or from a page that does not allow it", &[GP, PF]),
    ("decode: longer than 15 bytes, invalid, coprocessor not available", &[GP, UD, NM]),
    ("execution",                                                 &[DE, OF, BP, BR, TS, NP, SS, GP, PF, AC, MF]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_ascend_and_every_priority_names_one_of_them() {
        assert!(EXCEPTIONS.is_sorted_by_key(|exception| exception.vector));
        for vector in PRIORITY.iter().flat_map(|(_, vectors)| *vectors) {
            assert!(by_vector(*vector).is_some(), "{vector}");
        }
    }

    #[test]
    fn seven_exceptions_push_an_error_code() {
        let vectors: Vec<u8> = EXCEPTIONS
            .iter()
            .filter(|exception| exception.has_error_code)
            .map(|exception| exception.vector)
            .collect();
        assert_eq!(vectors, [8, 10, 11, 12, 13, 14, 17]);
    }
}
