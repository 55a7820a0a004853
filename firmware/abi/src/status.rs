//! NTSTATUS codes that the image returns, and the Win32 errors they become.

macro_rules! status_codes {
    ($($(#[$doc:meta])* $name:ident = $value:expr, $win32:expr;)+) => {
        $($(#[$doc])* pub const $name: u32 = $value;)+

        /// Every status code of this module with its name and the Win32 error of `RtlNtStatusToDosError`.
        pub const STATUS_CODES: &[(u32, &str, u32)] = &[$(($value, stringify!($name), $win32)),+];
    };
}

status_codes! {
    /// The operation is complete.
    STATUS_SUCCESS = 0x0000_0000, 0;
    /// The operation goes on; wait for the handle.
    STATUS_PENDING = 0x0000_0103, 997;
    /// No other thread was ready to run.
    STATUS_NO_YIELD_PERFORMED = 0x4000_0024, ERROR_UNMAPPED;
    /// Debugger breakpoint exception (`INT 3`).
    STATUS_BREAKPOINT = 0x8000_0003, ERROR_UNMAPPED;
    /// Single-step exception.
    STATUS_SINGLE_STEP = 0x8000_0004, ERROR_UNMAPPED;
    /// A pointer has the wrong alignment.
    STATUS_DATATYPE_MISALIGNMENT = 0x8000_0002, 998;
    /// More data than the buffer holds.
    STATUS_BUFFER_OVERFLOW = 0x8000_0005, 234;
    /// It failed, without a reason.
    STATUS_UNSUCCESSFUL = 0xC000_0001, 31;
    /// The service exists but does nothing here.
    STATUS_NOT_IMPLEMENTED = 0xC000_0002, 1;
    /// An address is not accessible.
    STATUS_ACCESS_VIOLATION = 0xC000_0005, 998;
    /// No such handle.
    STATUS_INVALID_HANDLE = 0xC000_0008, 6;
    /// An argument makes no sense.
    STATUS_INVALID_PARAMETER = 0xC000_000D, 87;
    /// Nothing more to read.
    STATUS_END_OF_FILE = 0xC000_0011, 38;
    /// No memory left.
    STATUS_NO_MEMORY = 0xC000_0017, 8;
    /// The address range is taken.
    STATUS_CONFLICTING_ADDRESSES = 0xC000_0018, 487;
    /// The service number is outside the table.
    STATUS_INVALID_SYSTEM_SERVICE = 0xC000_001C, 1;
    /// An opcode that does not exist.
    STATUS_ILLEGAL_INSTRUCTION = 0xC000_001D, ERROR_UNMAPPED;
    /// The handle does not permit it.
    STATUS_ACCESS_DENIED = 0xC000_0022, 5;
    /// The handle is of another kind of object.
    STATUS_OBJECT_TYPE_MISMATCH = 0xC000_0024, 6;
    /// An exception handler asked for something that the dispatcher does not know.
    STATUS_INVALID_DISPOSITION = 0xC000_0026, ERROR_UNMAPPED;
    /// `BOUND` found the index out of range.
    STATUS_ARRAY_BOUNDS_EXCEEDED = 0xC000_008C, ERROR_UNMAPPED;
    /// Division by zero or a quotient too large.
    STATUS_INTEGER_DIVIDE_BY_ZERO = 0xC000_0094, ERROR_UNMAPPED;
    /// `INTO` with OF set.
    STATUS_INTEGER_OVERFLOW = 0xC000_0095, ERROR_UNMAPPED;
    /// An instruction that only the kernel may execute.
    STATUS_PRIVILEGED_INSTRUCTION = 0xC000_0096, ERROR_UNMAPPED;
}

/// `ERROR_MR_MID_NOT_FOUND`: the Win32 error of a status that has no translation.
pub const ERROR_UNMAPPED: u32 = 317;
/// `ERROR_INVALID_HANDLE`.
pub const ERROR_INVALID_HANDLE: u32 = 6;
/// `ERROR_IO_PENDING`.
pub const ERROR_IO_PENDING: u32 = 997;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_code_stands_once() {
        for (index, row) in STATUS_CODES.iter().enumerate() {
            assert!(
                STATUS_CODES[..index].iter().all(|other| other.0 != row.0),
                "{}",
                row.1
            );
        }
    }
}
