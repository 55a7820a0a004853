//! ULX3S with an LFE5U-85F: the chip, its memory in block RAM, the console on the USB serial port.
use super::clocking::{PllBlock, ResetControl};
use crate::prelude::*;
use crate::soc::block_ram::BoardMemory;
use crate::soc::chip::{Chip, ChipOptions};
use spec::clock::Pll;
use spec::memory_map::{DEFAULT_RAM_BYTES, DEFAULT_ROM_BYTES};

/// Ports are named as on the board; `constraints/ulx3s/ulx3s.lpf` gives their pins.
#[derive(LogicBlock)]
pub struct Ulx3s {
    pub clk_25mhz: Signal<In, Clock>,
    /// Button FIRE1: reset while it is pressed.
    pub btn_fire1: Signal<In, Bit>,
    /// Data to the FTDI chip.
    pub ftdi_rxd: Signal<Out, Bit>,
    /// Data from the FTDI chip.
    pub ftdi_txd: Signal<In, Bit>,
    /// 6:0 the low bits of the last POST code; 7 the heartbeat: blinks while the chip runs, is on after a shutdown.
    pub led: Signal<Out, Bits<8>>,
    /// High: the ESP32 leaves the FPGA alone.
    pub wifi_gpio0: Signal<Out, Bit>,
    // units
    pll: PllBlock,
    reset_control: ResetControl,
    chip: Chip,
    memory: BoardMemory,
    // state
    beat: DFF<Bits<25>>,
    rx_meta: DFF<Bit>,
    rx: DFF<Bit>,
    // wires
    heart: Signal<Local, Bit>,
}

impl Ulx3s {
    /// The board with the chip on the clock of `pll`.
    pub fn new(pll: Pll) -> Self {
        Self {
            clk_25mhz: Default::default(),
            btn_fire1: Default::default(),
            ftdi_rxd: Default::default(),
            ftdi_txd: Default::default(),
            led: Default::default(),
            wifi_gpio0: Default::default(),
            pll: PllBlock::new(pll),
            reset_control: Default::default(),
            chip: Chip::new(ChipOptions {
                clock_hz: pll.clock_hz,
            }),
            memory: BoardMemory::from_files(DEFAULT_RAM_BYTES, DEFAULT_ROM_BYTES),
            beat: Default::default(),
            rx_meta: Default::default(),
            rx: Default::default(),
            heart: Default::default(),
        }
    }
}

impl Logic for Ulx3s {
    #[hdl_gen]
    fn update(&mut self) {
        self.pll.oscillator.next = self.clk_25mhz.val();
        self.reset_control.clock.next = self.pll.clock.val();
        self.chip.clock.next = self.pll.clock.val();
        self.memory.clock.next = self.pll.clock.val();
        self.beat.clock.next = self.pll.clock.val();
        self.rx_meta.clock.next = self.pll.clock.val();
        self.rx.clock.next = self.pll.clock.val();

        self.reset_control.locked.next = self.pll.locked.val();
        self.reset_control.button.next = self.btn_fire1.val();
        self.chip.reset.next = self.reset_control.reset.val();

        // memory
        self.memory.instruction_address.next = self.chip.instruction_address.val();
        self.chip.instruction_data.next = self.memory.instruction_data.val();
        self.chip.instruction_wait.next = self.memory.instruction_wait.val();
        self.memory.data_request.next = self.chip.data_request.val();
        self.memory.data_write.next = self.chip.data_write.val();
        self.memory.data_address.next = self.chip.data_address.val();
        self.memory.data_byte_enable.next = self.chip.data_byte_enable.val();
        self.memory.data_write_data.next = self.chip.data_write_data.val();
        self.chip.data_read_data.next = self.memory.data_read_data.val();
        self.chip.data_wait.next = self.memory.data_wait.val();

        // pins
        self.rx_meta.d.next = self.ftdi_txd.val();
        self.rx.d.next = self.rx_meta.q.val();
        self.chip.uart_rx.next = self.rx.q.val();
        self.ftdi_rxd.next = self.chip.uart_tx.val();
        self.beat.d.next = self.beat.q.val() + 1;
        self.heart.next = self.beat.q.val().get_bit(24) | self.chip.shutdown.val();
        self.led.next =
            (self.chip.leds.val() & 0x7F) | (bit_cast::<8, 1>(self.heart.val().into()) << 7);
        self.wifi_gpio0.next = true;

        // The board has no devices beyond the chip.
        self.chip.external_selected.next = false;
        self.chip.external_read_data.next = 0.into();
        self.chip.external_lines.next = 0.into();

        // Nobody debugs the board.
        self.chip.nmi.next = false;
        self.chip.debug_halt.next = false;
        self.chip.debug_step.next = false;
        self.chip.debug_register.next = 0.into();
        self.chip.debug_write.next = false;
        self.chip.debug_write_data.next = 0.into();
        self.chip.debug_invalidate.next = false;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_board_is_emitted_without_findings() {
        for pll in spec::clock::PLLS {
            let verilog = crate::top::ulx3s(pll).unwrap_or_else(|errors| {
                panic!(
                    "{}",
                    errors
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join("\n")
                )
            });
            assert!(verilog.text.contains("$readmemh(\"rom0.hex\", bytes0)"));
            if let Ok(path) = std::env::var("SYSGATE_EMIT_TO") {
                std::fs::write(path, verilog.text).unwrap();
            }
        }
    }
}
