//! The interval timer of a PC (8254): three counters at 1.193182 MHz.
//!
//! Counter 0 interrupts, counter 2 makes the speaker's tone behind port 61h, counter 1 is there for software that
//! measures with it. All six modes exist; counting in BCD does not, its bit is kept and shown but ignored.
pub mod counter;

use crate::prelude::*;
use counter::Counter;

/// The timer, its tick, and port 61h.
#[derive(LogicBlock)]
pub struct IntervalTimer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the I/O bus
    pub port: Signal<In, Bits<16>>,
    pub read: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub write_data: Signal<In, Bits<8>>,
    pub read_data: Signal<Out, Bits<8>>,
    pub selected: Signal<Out, Bit>,
    // to the interrupt controllers
    pub interrupt_line: Signal<Out, Bit>,
    /// Counter 2 behind port 61h, bit 1.
    pub speaker: Signal<Out, Bit>,
    // state
    phase_reg: DFF<Bits<32>>,
    /// Divides the tick for the refresh bit of port 61h, which changes every 16 ticks (13 microseconds).
    refresh_reg: DFF<Bits<5>>,
    /// Port 61h, bits 1:0.
    control_b_reg: DFF<Bits<2>>,
    // units
    counter_0: Counter,
    counter_1: Counter,
    counter_2: Counter,
    // wires
    phase_increment: Constant<Bits<33>>,
    next_phase: Signal<Local, Bits<33>>,
    tick: Signal<Local, Bit>,
    timer_selected: Signal<Local, Bit>,
    control_b_selected: Signal<Local, Bit>,
    address: Signal<Local, Bits<2>>,
    control_write: Signal<Local, Bit>,
    /// The counter that a control word names; 3 is the read-back command.
    control_target: Signal<Local, Bits<2>>,
    read_back: Signal<Local, Bit>,
    read_back_count: Signal<Local, Bit>,
    read_back_status: Signal<Local, Bit>,
}

impl IntervalTimer {
    /// A timer on a clock of `clock_hz`.
    pub fn new(clock_hz: u64) -> Self {
        Self::with_tick(spec::clock::PIT_HZ, clock_hz)
    }

    /// A timer that counts `tick_hz` of a clock of `clock_hz`.
    fn with_tick(tick_hz: u64, clock_hz: u64) -> Self {
        let increment = spec::clock::phase_increment(tick_hz, clock_hz);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            port: Default::default(),
            read: Default::default(),
            write: Default::default(),
            write_data: Default::default(),
            read_data: Default::default(),
            selected: Default::default(),
            interrupt_line: Default::default(),
            speaker: Default::default(),
            phase_reg: Default::default(),
            refresh_reg: Default::default(),
            control_b_reg: Default::default(),
            counter_0: Default::default(),
            counter_1: Default::default(),
            counter_2: Default::default(),
            phase_increment: Constant::new(increment.into()),
            next_phase: Default::default(),
            tick: Default::default(),
            timer_selected: Default::default(),
            control_b_selected: Default::default(),
            address: Default::default(),
            control_write: Default::default(),
            control_target: Default::default(),
            read_back: Default::default(),
            read_back_count: Default::default(),
            read_back_status: Default::default(),
        }
    }
}

impl Default for IntervalTimer {
    fn default() -> Self {
        Self::new(spec::clock::CLOCK_HZ)
    }
}

impl Logic for IntervalTimer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, phase_reg, refresh_reg, control_b_reg);
        clock!(self, clock, counter_0, counter_1, counter_2);
        self.next_phase.next =
            bit_cast::<33, 32>(self.phase_reg.q.val()) + self.phase_increment.val();
        self.phase_reg.d.next = bit_cast::<32, 33>(self.next_phase.val());
        self.tick.next = self.next_phase.val().get_bit(32);

        self.timer_selected.next = (self.port.val() & 0xFFFC) == PORT_PIT;
        self.control_b_selected.next = self.port.val() == PORT_SYSTEM_CONTROL_B;
        self.selected.next = self.timer_selected.val() | self.control_b_selected.val();
        self.address.next = bit_cast::<2, 16>(self.port.val());

        // Control words. The read-back command selects by one bit per counter and latches what its bits 5:4 clear.
        self.control_write.next =
            self.timer_selected.val() & self.write.val() & (self.address.val() == 3);
        self.control_target.next = self.write_data.val().get_bits::<2>(6);
        self.read_back.next = self.control_write.val() & (self.control_target.val() == 3);
        self.read_back_count.next = self.read_back.val() & !self.write_data.val().get_bit(5);
        self.read_back_status.next = self.read_back.val() & !self.write_data.val().get_bit(4);

        self.counter_0.reset.next = self.reset.val();
        self.counter_0.tick.next = self.tick.val();
        self.counter_0.gate.next = true;
        self.counter_0.control.next = self.control_write.val() & (self.control_target.val() == 0);
        self.counter_0.latch_count.next =
            self.read_back_count.val() & self.write_data.val().get_bit(1);
        self.counter_0.latch_status.next =
            self.read_back_status.val() & self.write_data.val().get_bit(1);
        self.counter_0.write.next =
            self.timer_selected.val() & self.write.val() & (self.address.val() == 0);
        self.counter_0.read.next =
            self.timer_selected.val() & self.read.val() & (self.address.val() == 0);
        self.counter_0.write_data.next = self.write_data.val();

        self.counter_1.reset.next = self.reset.val();
        self.counter_1.tick.next = self.tick.val();
        self.counter_1.gate.next = true;
        self.counter_1.control.next = self.control_write.val() & (self.control_target.val() == 1);
        self.counter_1.latch_count.next =
            self.read_back_count.val() & self.write_data.val().get_bit(2);
        self.counter_1.latch_status.next =
            self.read_back_status.val() & self.write_data.val().get_bit(2);
        self.counter_1.write.next =
            self.timer_selected.val() & self.write.val() & (self.address.val() == 1);
        self.counter_1.read.next =
            self.timer_selected.val() & self.read.val() & (self.address.val() == 1);
        self.counter_1.write_data.next = self.write_data.val();

        self.counter_2.reset.next = self.reset.val();
        self.counter_2.tick.next = self.tick.val();
        self.counter_2.gate.next = self.control_b_reg.q.val().get_bit(0);
        self.counter_2.control.next = self.control_write.val() & (self.control_target.val() == 2);
        self.counter_2.latch_count.next =
            self.read_back_count.val() & self.write_data.val().get_bit(3);
        self.counter_2.latch_status.next =
            self.read_back_status.val() & self.write_data.val().get_bit(3);
        self.counter_2.write.next =
            self.timer_selected.val() & self.write.val() & (self.address.val() == 2);
        self.counter_2.read.next =
            self.timer_selected.val() & self.read.val() & (self.address.val() == 2);
        self.counter_2.write_data.next = self.write_data.val();

        self.interrupt_line.next = self.counter_0.out.val();
        self.speaker.next = self.counter_2.out.val() & self.control_b_reg.q.val().get_bit(1);

        if self.control_b_selected.val() & self.write.val() {
            self.control_b_reg.d.next = bit_cast::<2, 8>(self.write_data.val());
        }
        if self.tick.val() {
            self.refresh_reg.d.next = self.refresh_reg.q.val() + 1;
        }

        self.read_data.next = 0xFF.into();
        if self.control_b_selected.val() {
            self.read_data.next = bit_cast::<8, 2>(self.control_b_reg.q.val())
                | (bit_cast::<8, 1>(self.refresh_reg.q.val().get_bits::<1>(4)) << 4)
                | (bit_cast::<8, 1>(self.counter_2.out.val().into()) << 5);
        } else {
            match self.address.val().index() {
                0 => {
                    self.read_data.next = self.counter_0.read_data.val();
                }
                1 => {
                    self.read_data.next = self.counter_1.read_data.val();
                }
                2 => {
                    self.read_data.next = self.counter_2.read_data.val();
                }
                _ => {}
            }
        }

        if self.reset.val() {
            self.phase_reg.d.next = 0.into();
            self.refresh_reg.d.next = 0.into();
            self.control_b_reg.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    use spec::ports::{PIT, PIT_CONTROL, SYSTEM_CONTROL_B};
    clocked!(IntervalTimer);

    struct Timer(IntervalTimer);

    impl Timer {
        /// A timer that ticks every clock.
        fn new() -> Self {
            Self(start(IntervalTimer::with_tick(1, 1)))
        }
        fn write(&mut self, port: u16, value: u8) {
            self.0.port.next = (port as u64).into();
            self.0.write_data.next = (value as u64).into();
            self.0.write.next = true;
            tick(&mut self.0);
            self.0.write.next = false;
        }
        fn read(&mut self, port: u16) -> u8 {
            self.0.port.next = (port as u64).into();
            self.0.read.next = true;
            settle(&mut self.0);
            let value = self.0.read_data.val().index() as u8;
            tick(&mut self.0);
            self.0.read.next = false;
            value
        }
        fn set(&mut self, counter: u8, mode: u8, count: u16) {
            self.write(PIT_CONTROL, counter << 6 | 0x30 | mode << 1);
            self.write(PIT + counter as u16, count as u8);
            self.write(PIT + counter as u16, (count >> 8) as u8);
        }
        /// The interrupt line over the next clocks.
        fn line(&mut self, clocks: usize) -> Vec<bool> {
            (0..clocks)
                .map(|_| {
                    tick(&mut self.0);
                    self.0.interrupt_line.val()
                })
                .collect()
        }
    }

    /// Lengths of the runs of equal levels, the first and last left out because they are cut.
    fn runs(levels: &[bool]) -> Vec<(bool, usize)> {
        let runs: Vec<_> = levels
            .chunk_by(|a, b| a == b)
            .map(|run| (run[0], run.len()))
            .collect();
        runs[1..runs.len() - 1].to_vec()
    }

    #[test]
    fn mode_0_interrupts_once_after_its_count() {
        let mut timer = Timer::new();
        timer.set(0, 0, 5);
        // One tick loads the counter, five count.
        assert_eq!(
            timer.line(8),
            [false, false, false, false, false, true, true, true]
        );
        timer.write(PIT, 3);
        assert!(
            !timer.0.interrupt_line.val(),
            "a new count begins with its first byte"
        );
        assert!(
            timer.line(20).iter().all(|&level| !level),
            "and waits for its second"
        );
        timer.write(PIT, 0);
        assert_eq!(timer.line(5), [false, false, false, true, true]);
    }

    #[test]
    fn mode_2_pulses_low_for_one_tick_in_each_period() {
        for count in [2u16, 3, 10, 300] {
            let mut timer = Timer::new();
            timer.set(0, 2, count);
            let levels = timer.line(count as usize * 6);
            for (level, length) in runs(&levels) {
                assert_eq!(
                    length,
                    if level { count as usize - 1 } else { 1 },
                    "count {count}"
                );
            }
        }
    }

    #[test]
    fn mode_3_is_a_square_wave_with_the_longer_half_high() {
        for count in [2u16, 3, 4, 7, 10, 301] {
            let mut timer = Timer::new();
            timer.set(0, 3, count);
            let levels = timer.line(count as usize * 6);
            for (level, length) in runs(&levels) {
                let expected = (count as usize + level as usize) / 2;
                assert_eq!(length, expected, "count {count}, level {level}");
            }
        }
    }

    #[test]
    fn a_count_of_zero_begins_at_65536() {
        for (mode, step) in [(0, 1), (2, 1), (3, 2)] {
            let mut timer = Timer::new();
            timer.set(0, mode, 0);
            let level = timer.line(11)[10];
            assert_eq!(level, mode != 0);
            timer.write(PIT_CONTROL, 0x00);
            let count = u16::from_le_bytes([timer.read(PIT), timer.read(PIT)]);
            assert_eq!(count, 0u16.wrapping_sub(10 * step), "mode {mode}");
        }
    }

    #[test]
    fn a_new_count_of_a_periodic_mode_waits_for_the_end_of_the_period() {
        let mut timer = Timer::new();
        timer.set(0, 2, 20);
        timer.line(5);
        timer.write(PIT, 6);
        timer.line(25);
        assert_eq!(
            timer.line(20).iter().filter(|&level| !level).count(),
            1,
            "half a count is none"
        );
        timer.write(PIT, 0);
        let levels = timer.line(60);
        let low: Vec<_> = (0..60).filter(|&i| !levels[i]).collect();
        assert_eq!(low[0], 7, "the old period goes on");
        assert!(low.windows(2).all(|pair| pair[1] - pair[0] == 6));
    }

    #[test]
    fn mode_4_pulses_low_once() {
        let mut timer = Timer::new();
        timer.set(0, 4, 4);
        let levels = timer.line(500);
        let low: Vec<_> = (0..levels.len()).filter(|&i| !levels[i]).collect();
        assert_eq!(low, [4]);
    }

    #[test]
    fn a_latched_count_stays_while_the_counter_runs() {
        let mut timer = Timer::new();
        timer.set(0, 2, 1000);
        timer.line(101);
        timer.write(PIT_CONTROL, 0x00);
        timer.line(50);
        let first = timer.read(PIT);
        timer.line(50);
        let latched = u16::from_le_bytes([first, timer.read(PIT)]);
        assert_eq!(latched, 900);
        let running = u16::from_le_bytes([timer.read(PIT), 0]);
        assert_ne!(running, latched & 0xFF, "the latch is empty again");
    }

    #[test]
    fn read_back_gives_status_and_count() {
        let mut timer = Timer::new();
        timer.write(PIT_CONTROL, 0x34);
        timer.write(PIT_CONTROL, 0xE2);
        assert_eq!(
            timer.read(PIT),
            0xF4,
            "output high, no count yet, two bytes, mode 2"
        );
        timer.write(PIT, 100);
        timer.write(PIT, 0);
        timer.line(11);
        timer.write(PIT_CONTROL, 0xC2);
        assert_eq!(timer.read(PIT), 0xB4);
        assert_eq!([timer.read(PIT), timer.read(PIT)], [90, 0]);
    }

    #[test]
    fn single_byte_counts_fill_the_other_byte_with_zero() {
        let mut timer = Timer::new();
        timer.write(PIT_CONTROL, 0x24);
        timer.write(PIT, 0x02);
        timer.line(13);
        assert_eq!(timer.read(PIT), 0x01, "0200h less 12, high byte");
        timer.write(PIT_CONTROL, 0x14);
        timer.write(PIT, 0x20);
        timer.line(3);
        assert_eq!(timer.read(PIT), 0x1E);
    }

    #[test]
    fn counter_2_counts_while_its_gate_is_open() {
        let mut timer = Timer::new();
        timer.set(2, 0, 10);
        timer.line(40);
        assert_eq!(
            timer.read(SYSTEM_CONTROL_B) & 0x21,
            0x00,
            "the gate is closed"
        );
        timer.write(SYSTEM_CONTROL_B, 0x01);
        timer.line(8);
        assert_eq!(timer.read(SYSTEM_CONTROL_B) & 0x21, 0x01);
        timer.line(4);
        assert_eq!(timer.read(SYSTEM_CONTROL_B) & 0x21, 0x21);
        assert!(!timer.0.speaker.val());
        timer.write(SYSTEM_CONTROL_B, 0x03);
        settle(&mut timer.0);
        assert!(timer.0.speaker.val());
    }

    #[test]
    fn mode_1_is_started_by_the_gate() {
        let mut timer = Timer::new();
        timer.set(2, 1, 6);
        timer.line(20);
        assert_eq!(timer.read(SYSTEM_CONTROL_B) & 0x20, 0x20);
        timer.write(SYSTEM_CONTROL_B, 0x01);
        timer.line(3);
        assert_eq!(timer.read(SYSTEM_CONTROL_B) & 0x20, 0x00);
        timer.line(8);
        assert_eq!(timer.read(SYSTEM_CONTROL_B) & 0x20, 0x20);
    }

    #[test]
    fn the_counters_run_at_their_own_rate_of_the_chip_clock() {
        let mut timer = Timer(start(IntervalTimer::default()));
        timer.set(0, 2, 0x100);
        let levels = timer.line(20_000);
        let falls: Vec<_> = (1..levels.len())
            .filter(|&i| levels[i - 1] && !levels[i])
            .collect();
        let period = 256.0 * spec::clock::CLOCK_HZ as f64 / spec::clock::PIT_HZ as f64;
        let measured = (falls[falls.len() - 1] - falls[0]) as f64 / (falls.len() - 1) as f64;
        assert!(
            (measured - period).abs() < 1.0,
            "{measured} instead of {period}"
        );
    }
}
