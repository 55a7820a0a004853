//! The one clock of the chip, and the rates that are made from it.

/// Clocks per second of the chip, on the board and in simulation.
///
/// The board's PLL makes it from [`OSCILLATOR_HZ`].
pub const CLOCK_HZ: u64 = 40_000_000;
/// The board's oscillator.
pub const OSCILLATOR_HZ: u64 = 25_000_000;
/// Reference divider, feedback multiplier and output divider of the board's PLL.
pub const PLL: (u64, u64, u64) = (5, 8, 15);

/// What the crystal of a PC's serial port gives: 16 times the baud rate at divisor 1.
pub const UART_HZ: u64 = 1_843_200;
/// Samples that the serial port takes of each bit.
pub const UART_SAMPLES_PER_BIT: u64 = 16;
/// Bits per second on the line at `divisor` = 1; other divisors divide it.
pub const UART_BAUD_AT_DIVISOR_1: u64 = UART_HZ / UART_SAMPLES_PER_BIT;
/// What the three channels of the interval timer count, in Hz (a third of a PC's 3.579545 MHz).
pub const PIT_HZ: u64 = 1_193_182;

/// Bits of the phase accumulators that make a slow tick from the clock.
pub const PHASE_BITS: u32 = 32;

/// What a phase accumulator of [`PHASE_BITS`] adds each clock, so that it overflows `tick_hz` times a second.
///
/// Rounded to the nearest; with 32 bits the rate is within one part in ten million for ticks above 0.1 MHz.
pub const fn phase_increment(tick_hz: u64, clock_hz: u64) -> u64 {
    ((tick_hz << PHASE_BITS) + clock_hz / 2) / clock_hz
}

// The PLL's figures and the clock are one fact.
const _: () = assert!(OSCILLATOR_HZ / PLL.0 * PLL.1 == CLOCK_HZ);
