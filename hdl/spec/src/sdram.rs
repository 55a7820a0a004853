//! The SDRAM of the ULX3S: what its chips need, in nanoseconds and in clocks.
//!
//! Boards carry one of [`CHIPS`]. The figures are meant to suit all of them; none has been compared with a datasheet
//! yet, and each row of [`INTERVALS`] says where its figure is from.

/// The chips that the board's makers have fitted.
pub const CHIPS: [&str; 4] = [
    "MT48LC16M16A2",
    "M12L2561616A",
    "IS42S16160G",
    "AS4C32M16SB",
];

/// Bits of a row's number.
pub const ROW_BITS: u32 = 13;
/// Bits of a column's number; AS4C32M16SB has one more, which stays zero.
pub const COLUMN_BITS: u32 = 9;
/// Bits of a bank's number.
pub const BANK_BITS: u32 = 2;
/// Bytes of a column: the data bus has 16 bits.
pub const COLUMN_BYTES: u32 = 2;
/// Bytes that are used of every chip.
pub const BYTES: u32 = COLUMN_BYTES << (ROW_BITS + COLUMN_BITS + BANK_BITS);

/// Clocks from READ to its first data, as the mode register is set.
pub const CAS_LATENCY: u64 = 2;
/// The fastest clock with that latency, in Hz.
pub const CAS_LATENCY_MAX_HZ: u64 = 100_000_000;
/// Columns that one READ or WRITE moves, as the mode register is set: 4 bytes.
pub const BURST_COLUMNS: u64 = 2;
/// REFRESH commands between power-up and the first access.
pub const INITIAL_REFRESHES: u64 = 8;
/// Rows that are to be refreshed within [`REFRESH_PERIOD_NS`].
pub const REFRESHES_PER_PERIOD: u64 = 8192;
/// See [`REFRESHES_PER_PERIOD`].
pub const REFRESH_PERIOD_NS: u64 = 64_000_000;

/// How well a figure is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the notes of the board that name its chips; not compared with the datasheets.
    BoardNotes,
    /// Follows from other rows.
    Derived,
    /// Unverified: no source at hand. Chosen on the slow side of what such chips are known to need.
    Unverified,
}

/// A time that must pass between two events: at least `nanoseconds` and at least `clocks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// As datasheets call it.
    pub name: &'static str,
    /// From what to what.
    pub meaning: &'static str,
    /// At least so long.
    pub nanoseconds: u64,
    /// At least so many clocks.
    pub clocks: u64,
    /// How well that is known.
    pub source: Source,
}

impl Interval {
    /// Clocks of `clock_hz` that are long enough.
    pub const fn clocks_at(&self, clock_hz: u64) -> u64 {
        let by_time = (self.nanoseconds * clock_hz).div_ceil(1_000_000_000);
        if by_time > self.clocks {
            by_time
        } else {
            self.clocks
        }
    }
}

const fn interval(
    name: &'static str,
    nanoseconds: u64,
    clocks: u64,
    source: Source,
    meaning: &'static str,
) -> Interval {
    Interval {
        name,
        meaning,
        nanoseconds,
        clocks,
        source,
    }
}

/// ACTIVE to READ or WRITE.
pub const T_RCD: Interval = interval("tRCD", 20, 1, Source::BoardNotes, "ACTIVE to READ or WRITE");
/// PRECHARGE to ACTIVE.
pub const T_RP: Interval = interval("tRP", 20, 1, Source::BoardNotes, "PRECHARGE to ACTIVE");
/// ACTIVE to ACTIVE of the same bank.
pub const T_RC: Interval = interval(
    "tRC",
    65,
    1,
    Source::BoardNotes,
    "ACTIVE to ACTIVE, one bank",
);
/// ACTIVE to PRECHARGE.
pub const T_RAS: Interval = interval(
    "tRAS",
    45,
    1,
    Source::Derived,
    "ACTIVE to PRECHARGE: tRC - tRP",
);
/// ACTIVE to ACTIVE of another bank.
pub const T_RRD: Interval = interval(
    "tRRD",
    20,
    2,
    Source::Unverified,
    "ACTIVE to ACTIVE, other bank",
);
/// REFRESH to the next command.
pub const T_RFC: Interval = interval(
    "tRFC",
    80,
    2,
    Source::Unverified,
    "REFRESH to ACTIVE or REFRESH",
);
/// The last data of a WRITE to PRECHARGE.
pub const T_WR: Interval = interval(
    "tWR",
    15,
    2,
    Source::Unverified,
    "last data of WRITE to PRECHARGE",
);
/// LOAD MODE REGISTER to the next command.
pub const T_MRD: Interval = interval("tMRD", 0, 2, Source::Unverified, "LOAD MODE to any command");
/// Power and clock steady to the first command.
pub const T_POWER_UP: Interval = interval(
    "power-up",
    200_000,
    1,
    Source::Unverified,
    "steady clock to first command",
);

/// All of them.
pub const INTERVALS: [Interval; 9] = [
    T_RCD, T_RP, T_RC, T_RAS, T_RRD, T_RFC, T_WR, T_MRD, T_POWER_UP,
];

/// Clocks of `clock_hz` from one REFRESH to the next, at most.
pub const fn refresh_clocks(clock_hz: u64) -> u64 {
    // Divided first: the product would not fit.
    clock_hz / 1000 * (REFRESH_PERIOD_NS / 1000) / REFRESHES_PER_PERIOD / 1000
}

/// What the mode register is set to: CAS latency, sequential bursts of [`BURST_COLUMNS`].
pub const MODE_REGISTER: u64 = CAS_LATENCY << 4 | BURST_COLUMNS.trailing_zeros() as u64;

const _: () = assert!(T_RAS.nanoseconds == T_RC.nanoseconds - T_RP.nanoseconds);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_clocks_that_are_long_enough() {
        assert_eq!(T_RC.clocks_at(35_000_000), 3); // 85.7 ns
        assert_eq!(T_RCD.clocks_at(50_000_000), 1); // 20 ns
        assert_eq!(T_RCD.clocks_at(50_000_001), 2);
        assert_eq!(T_MRD.clocks_at(25_000_000), 2);
        assert_eq!(refresh_clocks(35_000_000), 273); // 7.8125 us are 273.4
        assert_eq!(BYTES, 32 << 20);
    }
}
