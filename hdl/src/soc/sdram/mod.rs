//! An SDRAM controller: a Wishbone B4 slave of 32 bits in front of one chip with 16 data pins.
//!
//! Every command moves two columns, which is one word of the bus. A bank's row stays open until another of the bank is
//! needed or a refresh is due. A wrapping burst of eight (CTI 010, BTE 10), as caches ask for it, is read without a gap,
//! one word in two clocks; any other access is served word by word.
//!
//! ```text
//! clock      n        n+1      n+2      n+3      n+4      n+5      n+6
//! stb        1        1        1        1        1        1        1
//! pins                READ     -        READ     -        READ
//! data                         low      high     low      high
//! ack                                            1                 1
//! ```
//! The chip gets the clock inverted, so that commands reach it in the middle of their clock, and its data, which come half a
//! clock later than the drawing says, are taken at the end of a clock.
pub mod chip;

use crate::prelude::*;
use spec::sdram::{
    CAS_LATENCY_MAX_HZ, INITIAL_REFRESHES, MODE_REGISTER, T_MRD, T_POWER_UP, T_RAS, T_RCD, T_RFC,
    T_RP, T_RRD, T_WR, refresh_clocks,
};

/// A refresh becomes due so many clocks before it must have been: the longest access may be under way, and rows must be closed.
const REFRESH_MARGIN_CLOCKS: u64 = 48;

/// One rank of one chip. Accesses beyond 32 MB wrap.
#[derive(LogicBlock)]
pub struct Sdram {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // bus
    pub wishbone_cyc: Signal<In, Bit>,
    pub wishbone_stb: Signal<In, Bit>,
    pub wishbone_we: Signal<In, Bit>,
    /// In words of four bytes.
    pub wishbone_adr: Signal<In, Bits<30>>,
    pub wishbone_sel: Signal<In, Bits<4>>,
    pub wishbone_cti: Signal<In, Bits<3>>,
    pub wishbone_bte: Signal<In, Bits<2>>,
    /// To be written.
    pub wishbone_dat_i: Signal<In, Bits<32>>,
    pub wishbone_dat_o: Signal<Out, Bits<32>>,
    pub wishbone_ack: Signal<Out, Bit>,
    // pins: all from registers
    pub sdram_cke: Signal<Out, Bit>,
    pub sdram_cs_n: Signal<Out, Bit>,
    pub sdram_ras_n: Signal<Out, Bit>,
    pub sdram_cas_n: Signal<Out, Bit>,
    pub sdram_we_n: Signal<Out, Bit>,
    pub sdram_bank: Signal<Out, Bits<2>>,
    pub sdram_address: Signal<Out, Bits<13>>,
    pub sdram_dqm: Signal<Out, Bits<2>>,
    pub sdram_data_out: Signal<Out, Bits<16>>,
    /// The controller drives the data pins.
    pub sdram_data_drive: Signal<Out, Bit>,
    pub sdram_data_in: Signal<In, Bits<16>>,
    // state: the pins
    /// RAS, CAS, WE, inverted on their way out: zero, as after power-up, is no command. The chip is always selected.
    command_reg: DFF<Bits<3>>,
    bank_reg: DFF<Bits<2>>,
    address_reg: DFF<Bits<13>>,
    dqm_reg: DFF<Bits<2>>,
    data_out_reg: DFF<Bits<16>>,
    drive_reg: DFF<Bit>,
    sample_reg: DFF<Bits<16>>,
    previous_sample_reg: DFF<Bits<16>>,
    // state: set-up and refresh
    /// 0 power-up; 1 PRECHARGE; 2.. REFRESH; then LOAD MODE; 15 ready.
    step_reg: DFF<Bits<4>>,
    power_up_reg: DFF<Bits<16>>,
    refresh_reg: DFF<Bits<12>>,
    refresh_due_reg: DFF<Bit>,
    // state: rows
    open_reg: DFF<Bits<4>>,
    row_reg: [DFF<Bits<13>>; 4],
    // state: clocks that must pass until the next command / PRECHARGE after ACTIVE / after WRITE / ACTIVE after ACTIVE
    wait_reg: DFF<Bits<5>>,
    row_wait_reg: DFF<Bits<5>>,
    write_wait_reg: DFF<Bits<5>>,
    active_wait_reg: DFF<Bits<5>>,
    /// Until the chip has driven the data pins after a READ.
    turn_reg: DFF<Bits<2>>,
    // state: accesses
    /// A READ was issued one to four clocks ago; the last acknowledges.
    read_1_reg: DFF<Bit>,
    read_2_reg: DFF<Bit>,
    read_3_reg: DFF<Bit>,
    read_4_reg: DFF<Bit>,
    /// READs of the burst still to be issued, and the next word's place in its line.
    burst_reg: DFF<Bits<3>>,
    burst_place_reg: DFF<Bits<3>>,
    /// The second half of a WRITE.
    write_2_reg: DFF<Bit>,
    write_data_reg: DFF<Bits<16>>,
    write_dqm_reg: DFF<Bits<2>>,
    // wires
    t_rcd: Constant<Bits<5>>,
    t_rp: Constant<Bits<5>>,
    t_ras: Constant<Bits<5>>,
    t_rrd: Constant<Bits<5>>,
    t_rfc: Constant<Bits<5>>,
    t_wr: Constant<Bits<5>>,
    t_mrd: Constant<Bits<5>>,
    power_up_clocks: Constant<Bits<16>>,
    refresh_interval: Constant<Bits<12>>,
    load_mode_step: Constant<Bits<4>>,
    mode_register: Constant<Bits<13>>,
    ready: Signal<Local, Bit>,
    bank: Signal<Local, Bits<2>>,
    row: Signal<Local, Bits<13>>,
    bank_bit: Signal<Local, Bits<4>>,
    bank_open: Signal<Local, Bit>,
    bank_row: Signal<Local, Bits<13>>,
    row_hit: Signal<Local, Bit>,
    may_precharge: Signal<Local, Bit>,
    /// Nothing is under way.
    idle: Signal<Local, Bit>,
    wanted: Signal<Local, Bit>,
    wraps: Signal<Local, Bit>,
    burst_ends: Signal<Local, Bit>,
    issue_read: Signal<Local, Bit>,
    place: Signal<Local, Bits<3>>,
}

impl Sdram {
    /// A controller on a clock of `clock_hz`.
    ///
    /// # Panics
    /// If the clock is too fast for the CAS latency, or so slow that refreshes would take all time.
    pub fn new(clock_hz: u64) -> Self {
        assert!(
            clock_hz <= CAS_LATENCY_MAX_HZ,
            "an SDRAM clock of {clock_hz} Hz: at most {CAS_LATENCY_MAX_HZ}"
        );
        let interval = refresh_clocks(clock_hz);
        assert!(
            interval > 2 * REFRESH_MARGIN_CLOCKS,
            "an SDRAM clock of {clock_hz} Hz: a refresh would be due every {interval} clocks"
        );
        let clocks = |interval: spec::sdram::Interval| -> Constant<Bits<5>> {
            Constant::new(interval.clocks_at(clock_hz).into())
        };
        // What waits for the next command begins to count a clock later.
        let less_one = |interval: spec::sdram::Interval| -> Constant<Bits<5>> {
            Constant::new((interval.clocks_at(clock_hz) - 1).into())
        };
        Self {
            clock: Default::default(),
            reset: Default::default(),
            wishbone_cyc: Default::default(),
            wishbone_stb: Default::default(),
            wishbone_we: Default::default(),
            wishbone_adr: Default::default(),
            wishbone_sel: Default::default(),
            wishbone_cti: Default::default(),
            wishbone_bte: Default::default(),
            wishbone_dat_i: Default::default(),
            wishbone_dat_o: Default::default(),
            wishbone_ack: Default::default(),
            sdram_cke: Default::default(),
            sdram_cs_n: Default::default(),
            sdram_ras_n: Default::default(),
            sdram_cas_n: Default::default(),
            sdram_we_n: Default::default(),
            sdram_bank: Default::default(),
            sdram_address: Default::default(),
            sdram_dqm: Default::default(),
            sdram_data_out: Default::default(),
            sdram_data_drive: Default::default(),
            sdram_data_in: Default::default(),
            command_reg: Default::default(),
            bank_reg: Default::default(),
            address_reg: Default::default(),
            dqm_reg: Default::default(),
            data_out_reg: Default::default(),
            drive_reg: Default::default(),
            sample_reg: Default::default(),
            previous_sample_reg: Default::default(),
            step_reg: Default::default(),
            power_up_reg: Default::default(),
            refresh_reg: Default::default(),
            refresh_due_reg: Default::default(),
            open_reg: Default::default(),
            row_reg: Default::default(),
            wait_reg: Default::default(),
            row_wait_reg: Default::default(),
            write_wait_reg: Default::default(),
            active_wait_reg: Default::default(),
            turn_reg: Default::default(),
            read_1_reg: Default::default(),
            read_2_reg: Default::default(),
            read_3_reg: Default::default(),
            read_4_reg: Default::default(),
            burst_reg: Default::default(),
            burst_place_reg: Default::default(),
            write_2_reg: Default::default(),
            write_data_reg: Default::default(),
            write_dqm_reg: Default::default(),
            t_rcd: less_one(T_RCD),
            t_rp: less_one(T_RP),
            t_ras: less_one(T_RAS),
            t_rrd: less_one(T_RRD),
            t_rfc: less_one(T_RFC),
            t_wr: clocks(T_WR),
            t_mrd: less_one(T_MRD),
            power_up_clocks: Constant::new(T_POWER_UP.clocks_at(clock_hz).into()),
            refresh_interval: Constant::new((interval - REFRESH_MARGIN_CLOCKS).into()),
            load_mode_step: Constant::new((2 + INITIAL_REFRESHES).into()),
            mode_register: Constant::new(MODE_REGISTER.into()),
            ready: Default::default(),
            bank: Default::default(),
            row: Default::default(),
            bank_bit: Default::default(),
            bank_open: Default::default(),
            bank_row: Default::default(),
            row_hit: Default::default(),
            may_precharge: Default::default(),
            idle: Default::default(),
            wanted: Default::default(),
            wraps: Default::default(),
            burst_ends: Default::default(),
            issue_read: Default::default(),
            place: Default::default(),
        }
    }
}

impl Sdram {
    /// Sets the chip up after 20 clocks, for tests with a model that agrees.
    pub fn power_up_soon(&mut self) {
        self.power_up_clocks = Constant::new(20.into());
    }
}

impl Logic for Sdram {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            command_reg,
            bank_reg,
            address_reg,
            dqm_reg,
            data_out_reg,
            drive_reg,
            sample_reg,
            previous_sample_reg,
            step_reg,
            power_up_reg,
            refresh_reg,
            refresh_due_reg,
            open_reg,
            wait_reg,
            row_wait_reg,
            write_wait_reg,
            active_wait_reg,
            turn_reg,
            read_1_reg,
            read_2_reg,
            read_3_reg,
            read_4_reg,
            burst_reg,
            burst_place_reg,
            write_2_reg,
            write_data_reg,
            write_dqm_reg
        );
        for i in 0..4 {
            self.row_reg[i].clock.next = self.clock.val();
            self.row_reg[i].d.next = self.row_reg[i].q.val();
        }

        // The pins.
        self.sdram_cke.next = true;
        self.sdram_cs_n.next = false;
        self.sdram_ras_n.next = !self.command_reg.q.val().get_bit(2);
        self.sdram_cas_n.next = !self.command_reg.q.val().get_bit(1);
        self.sdram_we_n.next = !self.command_reg.q.val().get_bit(0);
        self.sdram_bank.next = self.bank_reg.q.val();
        self.sdram_address.next = self.address_reg.q.val();
        self.sdram_dqm.next = self.dqm_reg.q.val();
        self.sdram_data_out.next = self.data_out_reg.q.val();
        self.sdram_data_drive.next = self.drive_reg.q.val();
        self.sample_reg.d.next = self.sdram_data_in.val();
        self.previous_sample_reg.d.next = self.sample_reg.q.val();

        // Answers.
        self.wishbone_dat_o.next = bit_cast::<32, 16>(self.previous_sample_reg.q.val())
            | (bit_cast::<32, 16>(self.sample_reg.q.val()) << 16);
        self.wishbone_ack.next = self.read_4_reg.q.val() | self.write_2_reg.q.val();

        // Where the access goes.
        self.bank.next = self.wishbone_adr.val().get_bits::<2>(8);
        self.row.next = self.wishbone_adr.val().get_bits::<13>(10);
        self.bank_bit.next = bit_cast::<4, 1>(1.into()) << self.bank.val();
        self.bank_open.next = (self.open_reg.q.val() & self.bank_bit.val()).any();
        self.bank_row.next = self.row_reg[0].q.val();
        for i in 1..4 {
            if self.bank_bit.val().get_bit(i) {
                self.bank_row.next = self.row_reg[i].q.val();
            }
        }
        self.row_hit.next = self.bank_open.val() & (self.bank_row.val() == self.row.val());
        self.wraps.next = (self.wishbone_cti.val() == 2) & (self.wishbone_bte.val() == 2);

        // What passes by itself.
        if self.wait_reg.q.val().any() {
            self.wait_reg.d.next = self.wait_reg.q.val() - 1;
        }
        if self.row_wait_reg.q.val().any() {
            self.row_wait_reg.d.next = self.row_wait_reg.q.val() - 1;
        }
        if self.write_wait_reg.q.val().any() {
            self.write_wait_reg.d.next = self.write_wait_reg.q.val() - 1;
        }
        if self.active_wait_reg.q.val().any() {
            self.active_wait_reg.d.next = self.active_wait_reg.q.val() - 1;
        }
        if self.turn_reg.q.val().any() {
            self.turn_reg.d.next = self.turn_reg.q.val() - 1;
        }
        self.ready.next = self.step_reg.q.val().all();
        if self.refresh_reg.q.val().any() {
            self.refresh_reg.d.next = self.refresh_reg.q.val() - 1;
        } else {
            self.refresh_reg.d.next = self.refresh_interval.val();
            self.refresh_due_reg.d.next = self.ready.val();
        }
        self.may_precharge.next =
            !self.row_wait_reg.q.val().any() & !self.write_wait_reg.q.val().any();
        self.idle.next = !self.wait_reg.q.val().any()
            & !self.read_1_reg.q.val()
            & !self.read_2_reg.q.val()
            & !self.read_3_reg.q.val()
            & !self.read_4_reg.q.val()
            & !self.burst_reg.q.val().any()
            & !self.turn_reg.q.val().any()
            & !self.write_2_reg.q.val();
        self.wanted.next = self.wishbone_cyc.val() & self.wishbone_stb.val();

        // Unless a command follows: nothing, with the second half of a word that is being written.
        self.command_reg.d.next = 0.into();
        self.dqm_reg.d.next = self.write_dqm_reg.q.val();
        self.data_out_reg.d.next = self.write_data_reg.q.val();
        self.drive_reg.d.next = self.write_2_reg.q.val();
        self.write_2_reg.d.next = false;
        if !self.write_2_reg.q.val() {
            self.dqm_reg.d.next = 0.into();
        }
        self.read_1_reg.d.next = false;
        self.read_2_reg.d.next = self.read_1_reg.q.val();
        self.read_3_reg.d.next = self.read_2_reg.q.val();
        self.read_4_reg.d.next = self.read_3_reg.q.val();
        self.burst_ends.next = self.read_4_reg.q.val() & (self.wishbone_cti.val() != 2);
        self.issue_read.next = false;
        self.place.next = self.wishbone_adr.val().get_bits::<3>(0);
        self.bank_reg.d.next = self.bank.val();

        if !self.ready.val() {
            // Set-up.
            self.dqm_reg.d.next = 3.into();
            if !self.step_reg.q.val().any() {
                self.power_up_reg.d.next = self.power_up_reg.q.val() + 1;
                if self.power_up_reg.q.val() == self.power_up_clocks.val() {
                    self.step_reg.d.next = 1.into();
                }
            } else if !self.wait_reg.q.val().any() {
                self.step_reg.d.next = self.step_reg.q.val() + 1;
                if self.step_reg.q.val() == 1 {
                    self.command_reg.d.next = 5.into();
                    self.address_reg.d.next = 0x400.into();
                    self.wait_reg.d.next = self.t_rp.val();
                } else if self.step_reg.q.val() == self.load_mode_step.val() {
                    self.command_reg.d.next = 7.into();
                    self.address_reg.d.next = self.mode_register.val();
                    self.bank_reg.d.next = 0.into();
                    self.wait_reg.d.next = self.t_mrd.val();
                    self.step_reg.d.next = 15.into();
                    self.refresh_reg.d.next = 0.into();
                } else {
                    self.command_reg.d.next = 6.into();
                    self.wait_reg.d.next = self.t_rfc.val();
                }
            }
        } else if self.burst_reg.q.val().any() {
            // The rest of a burst: a READ in every second clock.
            if !self.read_1_reg.q.val() {
                self.issue_read.next = true;
                self.place.next = self.burst_place_reg.q.val();
                self.burst_reg.d.next = self.burst_reg.q.val() - 1;
            }
        } else if self.idle.val() {
            if self.refresh_due_reg.q.val() {
                if self.open_reg.q.val().any() {
                    if self.may_precharge.val() {
                        self.command_reg.d.next = 5.into();
                        self.address_reg.d.next = 0x400.into();
                        self.open_reg.d.next = 0.into();
                        self.wait_reg.d.next = self.t_rp.val();
                    }
                } else {
                    self.command_reg.d.next = 6.into();
                    self.wait_reg.d.next = self.t_rfc.val();
                    self.refresh_due_reg.d.next = false;
                }
            } else if self.wanted.val() {
                if self.row_hit.val() {
                    if !self.wishbone_we.val() {
                        self.issue_read.next = true;
                        if self.wraps.val() {
                            self.burst_reg.d.next = 7.into();
                        }
                    } else {
                        self.command_reg.d.next = 3.into();
                        self.address_reg.d.next =
                            bit_cast::<13, 8>(self.wishbone_adr.val().get_bits::<8>(0)) << 1;
                        self.data_out_reg.d.next = self.wishbone_dat_i.val().get_bits::<16>(0);
                        self.dqm_reg.d.next = !self.wishbone_sel.val().get_bits::<2>(0);
                        self.write_data_reg.d.next = self.wishbone_dat_i.val().get_bits::<16>(16);
                        self.write_dqm_reg.d.next = !self.wishbone_sel.val().get_bits::<2>(2);
                        self.drive_reg.d.next = true;
                        self.write_2_reg.d.next = true;
                        self.write_wait_reg.d.next = self.t_wr.val();
                    }
                } else if self.bank_open.val() {
                    if self.may_precharge.val() {
                        self.command_reg.d.next = 5.into();
                        self.address_reg.d.next = 0.into();
                        self.open_reg.d.next = self.open_reg.q.val() & !self.bank_bit.val();
                        self.wait_reg.d.next = self.t_rp.val();
                    }
                } else if !self.active_wait_reg.q.val().any() {
                    self.command_reg.d.next = 4.into();
                    self.address_reg.d.next = self.row.val();
                    self.open_reg.d.next = self.open_reg.q.val() | self.bank_bit.val();
                    for i in 0..4 {
                        if self.bank_bit.val().get_bit(i) {
                            self.row_reg[i].d.next = self.row.val();
                        }
                    }
                    self.wait_reg.d.next = self.t_rcd.val();
                    self.row_wait_reg.d.next = self.t_ras.val();
                    self.active_wait_reg.d.next = self.t_rrd.val();
                }
            }
        }
        if self.issue_read.val() {
            self.command_reg.d.next = 2.into();
            self.address_reg.d.next = (bit_cast::<13, 5>(self.wishbone_adr.val().get_bits::<5>(3))
                << 4)
                | (bit_cast::<13, 3>(self.place.val()) << 1);
            self.burst_place_reg.d.next = self.place.val() + 1;
            self.read_1_reg.d.next = true;
            self.turn_reg.d.next = 3.into();
        }
        // A master that ends its burst early gets no more words.
        if self.burst_ends.val() {
            self.burst_reg.d.next = 0.into();
            self.read_1_reg.d.next = false;
            self.read_2_reg.d.next = false;
            self.read_3_reg.d.next = false;
            self.read_4_reg.d.next = false;
        }

        if self.reset.val() {
            self.command_reg.d.next = 0.into();
            self.drive_reg.d.next = false;
            self.step_reg.d.next = 0.into();
            self.power_up_reg.d.next = 0.into();
            self.refresh_reg.d.next = 0.into();
            self.refresh_due_reg.d.next = false;
            self.open_reg.d.next = 0.into();
            self.wait_reg.d.next = 0.into();
            self.row_wait_reg.d.next = 0.into();
            self.write_wait_reg.d.next = 0.into();
            self.active_wait_reg.d.next = 0.into();
            self.turn_reg.d.next = 0.into();
            self.read_1_reg.d.next = false;
            self.read_2_reg.d.next = false;
            self.read_3_reg.d.next = false;
            self.read_4_reg.d.next = false;
            self.burst_reg.d.next = 0.into();
            self.write_2_reg.d.next = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::chip::{SdramChip, SdramPins};
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    clocked!(Sdram);

    /// The controller, the chip, and what memory should hold.
    struct Bench {
        sdram: Sdram,
        chip: SdramChip,
        clocks: u64,
    }

    impl Bench {
        fn new(clock_hz: u64) -> Self {
            Self {
                sdram: start(Sdram::new(clock_hz)),
                chip: SdramChip::new(clock_hz, 1 << 16),
                clocks: 0,
            }
        }
        /// Without most of the time that the chip needs after power-up.
        fn soon(clock_hz: u64) -> Self {
            let mut sdram = Sdram::new(clock_hz);
            sdram.power_up_soon();
            let mut chip = SdramChip::new(clock_hz, 1 << 16);
            chip.power_up_clocks = 20;
            Self {
                sdram: start(sdram),
                chip,
                clocks: 0,
            }
        }
        fn tick(&mut self) {
            let sdram = &mut self.sdram;
            settle(sdram);
            let pins = SdramPins {
                cke: sdram.sdram_cke.val(),
                cs_n: sdram.sdram_cs_n.val(),
                ras_n: sdram.sdram_ras_n.val(),
                cas_n: sdram.sdram_cas_n.val(),
                we_n: sdram.sdram_we_n.val(),
                bank: sdram.sdram_bank.val().index() as u8,
                address: sdram.sdram_address.val().index() as u16,
                dqm: sdram.sdram_dqm.val().index() as u8,
                data: sdram.sdram_data_out.val().index() as u16,
                drives: sdram.sdram_data_drive.val(),
            };
            sdram.sdram_data_in.next = u64::from(self.chip.clock(&pins)).into();
            tick(sdram);
            self.clocks += 1;
        }
        /// Clocks until the acknowledgement of what the bus asks for, which is the word read.
        fn acknowledged(&mut self) -> (u32, u64) {
            for clock in 0..20_000 {
                settle(&mut self.sdram);
                if self.sdram.wishbone_ack.val() {
                    let data = self.sdram.wishbone_dat_o.val().index() as u32;
                    return (data, clock);
                }
                self.tick();
            }
            panic!("the controller never acknowledges");
        }
        fn ask(&mut self, write: bool, word: u32, select: u8, data: u32, cti: u8, bte: u8) {
            let bus = &mut self.sdram;
            bus.wishbone_cyc.next = true;
            bus.wishbone_stb.next = true;
            bus.wishbone_we.next = write;
            bus.wishbone_adr.next = u64::from(word).into();
            bus.wishbone_sel.next = u64::from(select).into();
            bus.wishbone_dat_i.next = u64::from(data).into();
            bus.wishbone_cti.next = u64::from(cti).into();
            bus.wishbone_bte.next = u64::from(bte).into();
        }
        fn rest(&mut self) {
            self.sdram.wishbone_cyc.next = false;
            self.sdram.wishbone_stb.next = false;
        }
        fn write(&mut self, word: u32, select: u8, data: u32) -> u64 {
            self.ask(true, word, select, data, 7, 0);
            let (_, clocks) = self.acknowledged();
            self.tick();
            self.rest();
            clocks
        }
        fn read(&mut self, word: u32) -> (u32, u64) {
            self.ask(false, word, 15, 0, 7, 0);
            let answer = self.acknowledged();
            self.tick();
            self.rest();
            answer
        }
        /// The first `words` of a burst that wraps at eight words, and the clock of each.
        fn burst(&mut self, word: u32, words: u32) -> Vec<(u32, u64)> {
            let from = self.clocks;
            let mut answers = vec![];
            for place in 0..words {
                let address = word & !7 | (word + place) & 7;
                let cti = if place + 1 == words { 7 } else { 2 };
                self.ask(false, address, 15, 0, cti, 2);
                let (data, _) = self.acknowledged();
                answers.push((data, self.clocks - from));
                self.tick();
            }
            self.rest();
            answers
        }
    }

    #[test]
    fn the_chip_is_set_up_after_its_time_and_then_answers() {
        let mut bench = Bench::new(35_000_000);
        let asked = bench.write(0x123, 15, 0x1234_5678);
        assert!(
            asked > 7000,
            "{asked} clocks are less than 200 microseconds"
        );
        assert_eq!(bench.read(0x123).0, 0x1234_5678);
    }

    #[test]
    fn an_open_row_answers_in_four_clocks_and_a_burst_every_second() {
        let mut bench = Bench::soon(35_000_000);
        for place in 0..8 {
            bench.write(0x48 + place, 15, 0x100 + place);
        }
        assert_eq!(bench.read(0x48), (0x100, 4));
        let answers = bench.burst(0x4D, 8);
        let expected = [5, 6, 7, 0, 1, 2, 3, 4].map(|place| 0x100 + place);
        for (at, (answer, expected)) in answers.iter().zip(expected).enumerate() {
            assert_eq!(*answer, (expected, 4 + 2 * at as u64), "word {at}");
        }
        // A row that is not open: PRECHARGE and ACTIVE come before.
        bench.write(0x48, 15, 1);
        for _ in 0..3 {
            bench.tick();
        }
        assert_eq!(bench.read(0x448).1, 6);
    }

    #[test]
    fn the_model_refuses_every_interval_that_is_one_clock_short() {
        type Shorten = fn(&mut Sdram);
        // At 100 MHz, where all of them are longer than a clock.
        let rows: [(&str, Shorten); 6] = [
            ("tRCD asks", |sdram| sdram.t_rcd = Constant::new(0.into())),
            ("tRP asks", |sdram| sdram.t_rp = Constant::new(0.into())),
            ("tRAS asks", |sdram| {
                sdram.t_ras = Constant::new(3.into());
                // A WRITE would keep the row open for long enough.
                sdram.t_wr = Constant::new(0.into());
            }),
            ("tRFC asks", |sdram| sdram.t_rfc = Constant::new(6.into())),
            ("tWR asks", |sdram| sdram.t_wr = Constant::new(1.into())),
            ("tMRD asks", |sdram| sdram.t_mrd = Constant::new(0.into())),
        ];
        for (expected, shorten) in rows {
            let run = move || {
                let mut bench = Bench::soon(100_000_000);
                shorten(&mut bench.sdram);
                // Rows change right behind the first WRITE and behind a later one.
                for row in 0..200 {
                    bench.write(row << 10, 15, 0);
                    if row % 2 == 1 {
                        bench.write(row << 10, 15, 0);
                    }
                }
            };
            let error = std::panic::catch_unwind(run).expect_err(expected);
            let message = error.downcast::<String>().unwrap();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    #[should_panic(expected = "since the last REFRESH")]
    fn the_model_refuses_a_controller_that_does_not_refresh() {
        let mut bench = Bench::soon(35_000_000);
        bench.sdram.refresh_interval = Constant::new(300.into());
        for _ in 0..2000 {
            bench.tick();
        }
    }

    #[test]
    fn random_accesses_at_any_clock_read_what_was_written() {
        for clock_hz in [25_000_000, 35_000_000, 40_000_000, 50_000_000, 100_000_000] {
            let seed = clock_hz ^ 0x5D;
            let mut state = seed;
            let mut below = |bound: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 20) % bound
            };
            let mut bench = Bench::soon(clock_hz);
            let mut memory = vec![0u32; 1 << 14];
            for access in 0..500 {
                let at = || format!("seed {seed:x}, access {access} at {clock_hz} Hz");
                // Few banks, rows and columns, so that all meet again.
                let word = (below(3) << 10 | below(4) << 8 | below(2) << 5 | below(16)) as u32;
                match below(8) {
                    0..3 => {
                        let (select, data) = (below(16) as u8, below(1 << 32) as u32);
                        bench.write(word, select, data);
                        for lane in (0..4).filter(|lane| select >> lane & 1 == 1) {
                            let mask = 0xFF << (8 * lane);
                            let cell = &mut memory[word as usize];
                            *cell = *cell & !mask | data & mask;
                        }
                    }
                    3..5 => {
                        assert_eq!(bench.read(word).0, memory[word as usize], "{}", at());
                    }
                    5..7 => {
                        // Bursts that end early too.
                        let words = if below(3) == 0 { 1 + below(8) } else { 8 } as u32;
                        for (place, (data, _)) in bench.burst(word, words).into_iter().enumerate() {
                            let read = word & !7 | (word + place as u32) & 7;
                            assert_eq!(data, memory[read as usize], "{} {place}", at());
                        }
                    }
                    _ => {
                        for _ in 0..below(60) {
                            bench.tick();
                        }
                    }
                }
            }
            let counts = bench.chip.counts;
            assert!(
                counts.iter().all(|&count| count > 8),
                "seed {seed:x}: {counts:?}"
            );
        }
    }
}
