//! A model of an SDRAM chip for tests: keeps the bytes, and refuses every command that comes too soon or makes no sense.
//!
//! Not hardware. It follows the chip's clock, which runs half a clock behind the controller's: a READ that is on the pins in clock
//! `c` gives its first data to the register that the controller loads at the end of clock `c + 1` (CAS latency 2).
use spec::sdram::{
    BURST_COLUMNS, BYTES, CAS_LATENCY, COLUMN_BITS, INITIAL_REFRESHES, MODE_REGISTER, T_MRD,
    T_POWER_UP, T_RAS, T_RC, T_RCD, T_RFC, T_RP, T_RRD, T_WR, refresh_clocks,
};

/// The pins in one clock, as the controller drives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct SdramPins {
    pub cke: bool,
    /// The command pins are active when false.
    pub cs_n: bool,
    pub ras_n: bool,
    pub cas_n: bool,
    pub we_n: bool,
    pub bank: u8,
    pub address: u16,
    /// True: the byte is not written, or not driven.
    pub dqm: u8,
    pub data: u16,
    /// The controller drives the data pins.
    pub drives: bool,
}

/// What the data pins carry when nobody drives them.
const FLOATING: u16 = 0xCCCC;

#[derive(Debug, Clone, Copy)]
struct Bank {
    row: Option<u16>,
    activated: Option<u64>,
    precharged: Option<u64>,
    last_write: Option<u64>,
}

/// The chip.
#[derive(Debug)]
pub struct SdramChip {
    clock_hz: u64,
    /// The bytes, [`BYTES`] of them, or those that were given.
    pub bytes: Vec<u8>,
    /// Clocks before the first command.
    pub power_up_clocks: u64,
    clock: u64,
    banks: [Bank; 4],
    refreshed: Option<u64>,
    refreshes: u64,
    mode_set: Option<u64>,
    activated: Option<u64>,
    /// What the chip drives in the clocks to come: address of the column, or nothing.
    reads: [Option<usize>; 4],
    /// A WRITE under way: address of the next column.
    write: Option<(usize, u8)>,
    dqm_before: u8,
    /// It drove the data pins in the clock before.
    drove: bool,
    /// Commands so far: ACTIVE, READ, WRITE, PRECHARGE, REFRESH.
    pub counts: [u64; 5],
}

impl SdramChip {
    /// A chip on a clock of `clock_hz` that has just got power, with as many bytes as are needed (at most [`BYTES`]).
    pub fn new(clock_hz: u64, bytes: usize) -> Self {
        assert!(bytes <= BYTES as usize);
        let bank = Bank {
            row: None,
            activated: None,
            precharged: None,
            last_write: None,
        };
        Self {
            clock_hz,
            bytes: vec![0; bytes],
            power_up_clocks: T_POWER_UP.clocks_at(clock_hz),
            clock: 0,
            banks: [bank; 4],
            refreshed: None,
            refreshes: 0,
            mode_set: None,
            activated: None,
            reads: [None; 4],
            write: None,
            dqm_before: 3,
            drove: false,
            counts: [0; 5],
        }
    }

    fn check(&self, what: &str, since: Option<u64>, interval: spec::sdram::Interval) {
        let needed = interval.clocks_at(self.clock_hz);
        if let Some(since) = since {
            let passed = self.clock - since;
            assert!(
                passed >= needed,
                "clock {}: {what} {passed} clocks after, {} asks for {needed} ({})",
                self.clock,
                interval.name,
                interval.meaning
            );
        }
    }

    fn column_address(&self, bank: u8, row: u16, column: u64) -> usize {
        ((usize::from(row) << 2 | usize::from(bank)) << COLUMN_BITS | column as usize) * 2
    }

    /// One clock: sees the pins and says what the data pins carry at its end.
    ///
    /// # Panics
    /// If the command breaks a rule of the chip.
    pub fn clock(&mut self, pins: &SdramPins) -> u16 {
        let now = self.clock;
        // What the chip drives at the end of this clock was decided earlier.
        let mut data = FLOATING;
        if let Some(address) = self.reads[0] {
            assert!(!pins.drives, "clock {now}: both drive the data pins");
            data = 0;
            for lane in 0..2 {
                let byte = if self.dqm_before >> lane & 1 == 1 {
                    0xCC
                } else {
                    self.bytes.get(address + lane).copied().unwrap_or(0)
                };
                data |= u16::from(byte) << (8 * lane);
            }
        }
        // It ends half a clock late.
        assert!(
            !(pins.drives && self.drove),
            "clock {now}: the controller drives before the chip has ended"
        );
        self.drove = self.reads[0].is_some();
        self.reads.rotate_left(1);
        self.reads[3] = None;

        let command = (pins.ras_n, pins.cas_n, pins.we_n);
        let selected = !pins.cs_n && pins.cke;
        let mut continues = self.write.take();
        if selected && command != (true, true, true) {
            assert!(
                now >= self.power_up_clocks,
                "clock {now}: a command before the chip has powered up"
            );
            self.check("a command", self.refreshed, T_RFC);
            self.check("a command", self.mode_set, T_MRD);
            let bank = usize::from(pins.bank);
            match command {
                (false, true, true) => {
                    self.initialised();
                    let state = self.banks[bank];
                    assert!(state.row.is_none(), "clock {now}: ACTIVE of an open bank");
                    self.check("ACTIVE", state.precharged, T_RP);
                    self.check("ACTIVE", state.activated, T_RC);
                    self.check("ACTIVE", self.activated, T_RRD);
                    self.banks[bank].row = Some(pins.address);
                    self.banks[bank].activated = Some(now);
                    self.activated = Some(now);
                    self.counts[0] += 1;
                }
                (true, false, true) | (true, false, false) => {
                    self.initialised();
                    let state = self.banks[bank];
                    let row = state
                        .row
                        .unwrap_or_else(|| panic!("clock {now}: access to a closed bank"));
                    self.check("READ or WRITE", state.activated, T_RCD);
                    assert_eq!(pins.address >> 9, 0, "clock {now}: bits above the column");
                    let column = u64::from(pins.address);
                    assert_eq!(
                        column % BURST_COLUMNS,
                        0,
                        "the controller never splits words"
                    );
                    let address = self.column_address(pins.bank, row, column);
                    assert!(
                        continues.is_none() && self.reads[0].is_none(),
                        "clock {now}: a burst is cut short"
                    );
                    if pins.we_n {
                        let first = (CAS_LATENCY - 2) as usize;
                        for (place, read) in self.reads[first..].iter_mut().take(2).enumerate() {
                            *read = Some(address + 2 * place);
                        }
                        self.counts[1] += 1;
                    } else {
                        let busy = self.reads.iter().any(Option::is_some);
                        assert!(!busy, "clock {now}: WRITE while a READ drives the pins");
                        continues = Some((address, pins.bank));
                        self.counts[2] += 1;
                    }
                }
                (false, true, false) => {
                    let all = pins.address >> 10 & 1 == 1;
                    for index in 0..4 {
                        let state = self.banks[index];
                        if (all || index == bank) && state.row.is_some() {
                            self.check("PRECHARGE", state.activated, T_RAS);
                            self.check("PRECHARGE", state.last_write, T_WR);
                            assert!(
                                self.reads.iter().all(Option::is_none),
                                "clock {now}: PRECHARGE cuts a READ short"
                            );
                        }
                        if all || index == bank {
                            self.banks[index].row = None;
                            self.banks[index].precharged = Some(now);
                        }
                    }
                    assert!(
                        continues.is_none(),
                        "clock {now}: PRECHARGE cuts a WRITE short"
                    );
                    self.counts[3] += 1;
                }
                (false, false, true) => {
                    for state in self.banks {
                        assert!(
                            state.row.is_none(),
                            "clock {now}: REFRESH with an open bank"
                        );
                        assert!(state.precharged.is_some(), "never precharged");
                        self.check("REFRESH", state.precharged, T_RP);
                    }
                    self.refreshed = Some(now);
                    self.refreshes += 1;
                    self.counts[4] += 1;
                }
                (false, false, false) => {
                    for state in self.banks {
                        assert!(
                            state.row.is_none(),
                            "clock {now}: LOAD MODE with an open bank"
                        );
                        self.check("LOAD MODE", state.precharged, T_RP);
                    }
                    assert_eq!(u64::from(pins.address), MODE_REGISTER);
                    assert_eq!(pins.bank, 0);
                    self.mode_set = Some(now);
                }
                _ => panic!("clock {now}: BURST TERMINATE is never needed"),
            }
        }
        if self.mode_set.is_some() {
            let since = now - self.refreshed.unwrap_or(0);
            assert!(
                since <= refresh_clocks(self.clock_hz),
                "clock {now}: {since} clocks since the last REFRESH"
            );
        }
        if let Some((address, bank)) = continues {
            assert!(pins.drives, "clock {now}: nobody drives what is written");
            for lane in 0..2 {
                if pins.dqm >> lane & 1 == 0 && address + lane < self.bytes.len() {
                    self.bytes[address + lane] = (pins.data >> (8 * lane)) as u8;
                }
            }
            self.banks[usize::from(bank)].last_write = Some(now);
            if address % 4 == 0 {
                self.write = Some((address + 2, bank));
            }
        }
        self.dqm_before = pins.dqm;
        self.clock += 1;
        data
    }

    fn initialised(&self) {
        assert!(
            self.mode_set.is_some() && self.refreshes >= INITIAL_REFRESHES,
            "clock {}: an access before the chip is set up",
            self.clock
        );
    }
}
