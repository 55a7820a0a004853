//! The one clock of the chip, and the rates that are made from it.

/// Clocks per second of the chip, on the board and in simulation: one of [`PLLS`].
pub const CLOCK_HZ: u64 = 35_000_000;
/// The board's oscillator.
pub const OSCILLATOR_HZ: u64 = 25_000_000;

/// How the board's PLL makes a clock from [`OSCILLATOR_HZ`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pll {
    /// The clock that comes out, in Hz.
    pub clock_hz: u64,
    /// Divides the oscillator.
    pub reference_divider: u64,
    /// Multiplies that.
    pub feedback_multiplier: u64,
    /// Divides the PLL's own oscillation, which is this much faster than what comes out.
    pub output_divider: u64,
}

/// The clocks that a board can be built for.
pub const PLLS: [Pll; 4] = [
    pll(25, 1, 1, 24),
    pll(35, 5, 7, 17),
    pll(40, 5, 8, 15),
    pll(50, 1, 2, 12),
];

const fn pll(mhz: u64, reference: u64, feedback: u64, output: u64) -> Pll {
    let clock_hz = mhz * 1_000_000;
    // The figures and the clock are one fact; the oscillation of an ECP5's PLL is between 400 and 800 MHz.
    assert!(OSCILLATOR_HZ / reference * feedback == clock_hz);
    assert!(clock_hz * output >= 400_000_000 && clock_hz * output <= 800_000_000);
    Pll {
        clock_hz,
        reference_divider: reference,
        feedback_multiplier: feedback,
        output_divider: output,
    }
}

/// What the crystal of a PC's serial port gives: 16 times the baud rate at divisor 1.
pub const UART_HZ: u64 = 1_843_200;
/// Samples that the serial port takes of each bit.
pub const UART_SAMPLES_PER_BIT: u64 = 16;
/// Bits per second on the line at `divisor` = 1; other divisors divide it.
pub const UART_BAUD_AT_DIVISOR_1: u64 = UART_HZ / UART_SAMPLES_PER_BIT;
/// What the three channels of the interval timer count, in Hz (a third of a PC's 3.579545 MHz).
pub const PIT_HZ: u64 = 1_193_182;

/// What the CMOS clock of a simulated PC says at the first reset, in seconds since 1970: 21 February 2011. Always the
/// same, so that a run is a function of its inputs.
pub const DATE_AT_RESET: i64 = 1_298_246_400;

/// Bits of the phase accumulators that make a slow tick from the clock.
pub const PHASE_BITS: u32 = 32;

/// What a phase accumulator of [`PHASE_BITS`] adds each clock, so that it overflows `tick_hz` times a second.
///
/// Rounded to the nearest; with 32 bits the rate is within one part in ten million for ticks above 0.1 MHz.
pub const fn phase_increment(tick_hz: u64, clock_hz: u64) -> u64 {
    ((tick_hz << PHASE_BITS) + clock_hz / 2) / clock_hz
}
