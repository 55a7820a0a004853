//! Makes the serial port's sample tick, 16 times the baud rate, from the chip's clock.
use crate::prelude::*;

/// A phase accumulator gives 1.8432 MHz on average; the divisor counts its ticks.
#[derive(LogicBlock)]
pub struct SampleClock {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Begin a new period, because the divisor has changed.
    pub restart: Signal<In, Bit>,
    /// 0 counts as 1.
    pub divisor: Signal<In, Bits<16>>,
    pub sample_tick: Signal<Out, Bit>,
    // state
    phase_reg: DFF<Bits<32>>,
    countdown_reg: DFF<Bits<16>>,
    // wires
    phase_increment: Constant<Bits<33>>,
    next_phase: Signal<Local, Bits<33>>,
    base_tick: Signal<Local, Bit>,
}

impl SampleClock {
    /// Ticks for a clock of `clock_hz`, which is at least 1.8432 MHz.
    pub fn new(clock_hz: u64) -> Self {
        let increment = spec::clock::phase_increment(spec::clock::UART_HZ, clock_hz);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            restart: Default::default(),
            divisor: Default::default(),
            sample_tick: Default::default(),
            phase_reg: Default::default(),
            countdown_reg: Default::default(),
            phase_increment: Constant::new(increment.into()),
            next_phase: Default::default(),
            base_tick: Default::default(),
        }
    }
}

impl Default for SampleClock {
    fn default() -> Self {
        Self::new(spec::clock::CLOCK_HZ)
    }
}

impl Logic for SampleClock {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, phase_reg, countdown_reg);
        self.next_phase.next =
            bit_cast::<33, 32>(self.phase_reg.q.val()) + self.phase_increment.val();
        self.phase_reg.d.next = bit_cast::<32, 33>(self.next_phase.val());
        self.base_tick.next = self.next_phase.val().get_bit(32);

        self.sample_tick.next =
            self.base_tick.val() & !self.countdown_reg.q.val().get_bits::<15>(1).any();
        if self.base_tick.val() {
            self.countdown_reg.d.next = self.countdown_reg.q.val() - 1;
        }
        if self.sample_tick.val() | self.restart.val() | self.reset.val() {
            self.countdown_reg.d.next = self.divisor.val();
        }
    }
}
