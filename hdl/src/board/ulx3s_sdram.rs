//! ULX3S with an LFE5U-85F whose RAM is the board's SDRAM chip, behind caches; ROM stays in block RAM.
use super::clocking::{PllBlock, ResetControl};
use crate::prelude::*;
use crate::soc::block_ram::BlockRam;
use crate::soc::chip::{Chip, ChipOptions};
use crate::soc::sdram_memory::{SdramMemory, SdramMemoryOptions};
use spec::clock::Pll;
use spec::memory_map::{DEFAULT_ROM_BYTES, ROM_MIRROR_BYTES, ROM_MIRROR_END};

/// Ports are named as on the board; `constraints/ulx3s/` gives their pins. The pads of the SDRAM lie around this block, see
/// [`PADS`].
#[derive(LogicBlock)]
pub struct Ulx3sSdram {
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
    // SDRAM
    /// Half a clock behind it the chip takes what is on its pins.
    pub sdram_clock: Signal<Out, Clock>,
    pub sdram_cke: Signal<Out, Bit>,
    pub sdram_csn: Signal<Out, Bit>,
    pub sdram_rasn: Signal<Out, Bit>,
    pub sdram_casn: Signal<Out, Bit>,
    pub sdram_wen: Signal<Out, Bit>,
    pub sdram_ba: Signal<Out, Bits<2>>,
    pub sdram_a: Signal<Out, Bits<13>>,
    pub sdram_dqm: Signal<Out, Bits<2>>,
    pub sdram_data_out: Signal<Out, Bits<16>>,
    pub sdram_data_drive: Signal<Out, Bit>,
    pub sdram_data_in: Signal<In, Bits<16>>,
    // units
    pll: PllBlock,
    reset_control: ResetControl,
    chip: Chip,
    memory: SdramMemory,
    rom: BlockRam,
    // state
    beat: DFF<Bits<25>>,
    rx_meta: DFF<Bit>,
    rx: DFF<Bit>,
    // wires
    heart: Signal<Local, Bit>,
    rom_base: Constant<Bits<32>>,
    mirror_base: Constant<Bits<32>>,
    mirror_high: Constant<Bits<32>>,
    instruction_in_rom: Signal<Local, Bit>,
    data_in_rom: Signal<Local, Bit>,
}

impl Ulx3sSdram {
    /// The board with the chip on the clock of `pll`.
    pub fn new(pll: Pll) -> Self {
        let constant = |value: u32| Constant::new((value as u64).into());
        Self {
            clk_25mhz: Default::default(),
            btn_fire1: Default::default(),
            ftdi_rxd: Default::default(),
            ftdi_txd: Default::default(),
            led: Default::default(),
            wifi_gpio0: Default::default(),
            sdram_clock: Default::default(),
            sdram_cke: Default::default(),
            sdram_csn: Default::default(),
            sdram_rasn: Default::default(),
            sdram_casn: Default::default(),
            sdram_wen: Default::default(),
            sdram_ba: Default::default(),
            sdram_a: Default::default(),
            sdram_dqm: Default::default(),
            sdram_data_out: Default::default(),
            sdram_data_drive: Default::default(),
            sdram_data_in: Default::default(),
            pll: PllBlock::new(pll),
            reset_control: Default::default(),
            chip: Chip::new(ChipOptions {
                clock_hz: pll.clock_hz,
            }),
            memory: SdramMemory::new(SdramMemoryOptions {
                clock_hz: pll.clock_hz,
                ..SdramMemoryOptions::default()
            }),
            rom: BlockRam::from_files(DEFAULT_ROM_BYTES),
            beat: Default::default(),
            rx_meta: Default::default(),
            rx: Default::default(),
            heart: Default::default(),
            rom_base: constant(DEFAULT_ROM_BYTES.wrapping_neg()),
            mirror_base: constant(ROM_MIRROR_END - DEFAULT_ROM_BYTES.min(ROM_MIRROR_BYTES)),
            mirror_high: constant(!(DEFAULT_ROM_BYTES.min(ROM_MIRROR_BYTES) - 1)),
            instruction_in_rom: Default::default(),
            data_in_rom: Default::default(),
        }
    }
}

impl Logic for Ulx3sSdram {
    #[hdl_gen]
    fn update(&mut self) {
        self.pll.oscillator.next = self.clk_25mhz.val();
        self.reset_control.clock.next = self.pll.clock.val();
        self.chip.clock.next = self.pll.clock.val();
        self.memory.clock.next = self.pll.clock.val();
        self.rom.clock.next = self.pll.clock.val();
        self.sdram_clock.next = self.pll.clock.val();
        self.beat.clock.next = self.pll.clock.val();
        self.rx_meta.clock.next = self.pll.clock.val();
        self.rx.clock.next = self.pll.clock.val();

        self.reset_control.locked.next = self.pll.locked.val();
        self.reset_control.button.next = self.btn_fire1.val();
        self.chip.reset.next = self.reset_control.reset.val();

        // Where an access goes: ROM covers RAM where both are.
        self.instruction_in_rom.next =
            ((self.chip.instruction_address.val() & self.rom_base.val()) == self.rom_base.val())
                | ((self.chip.instruction_address.val() & self.mirror_high.val())
                    == self.mirror_base.val());
        self.data_in_rom.next = ((self.chip.data_address.val() & self.rom_base.val())
            == self.rom_base.val())
            | ((self.chip.data_address.val() & self.mirror_high.val()) == self.mirror_base.val());
        self.memory.instruction_in_rom.next = self.instruction_in_rom.val();
        self.memory.instruction_in_ram.next = !self.instruction_in_rom.val()
            & !self.chip.instruction_address.val().get_bits::<7>(25).any();
        self.memory.data_in_rom.next = self.data_in_rom.val();
        self.memory.data_in_ram.next =
            !self.data_in_rom.val() & !self.chip.data_address.val().get_bits::<7>(25).any();

        // memory
        self.memory.reset.next = self.reset_control.reset.val();
        self.memory.flush.next = self.chip.caches_flush.val();
        self.memory.fills.next = self.chip.caches_fill.val();
        self.memory.instruction_request.next = self.chip.instruction_request.val();
        self.memory.instruction_address.next = self.chip.instruction_address.val();
        self.memory.instruction_cacheable.next = self.chip.instruction_cacheable.val();
        self.chip.instruction_data.next = self.memory.instruction_data.val();
        self.chip.instruction_wait.next = self.memory.instruction_wait.val();
        self.memory.data_request.next = self.chip.data_request.val();
        self.memory.data_write.next = self.chip.data_write.val();
        self.memory.data_address.next = self.chip.data_address.val();
        self.memory.data_cacheable.next = self.chip.data_cacheable.val();
        self.memory.data_byte_enable.next = self.chip.data_byte_enable.val();
        self.memory.data_write_data.next = self.chip.data_write_data.val();
        self.chip.data_read_data.next = self.memory.data_read_data.val();
        self.chip.data_wait.next = self.memory.data_wait.val();

        // ROM: only the bits that it has count, and they are the same for the mirror
        self.rom.read_index.next = self.memory.instruction_rom_address.val().get_bits::<29>(3);
        self.rom.data_index.next = self.memory.data_rom_address.val().get_bits::<29>(3);
        self.rom.data_write.next = false;
        self.rom.data_byte_enable.next = 0.into();
        self.rom.data_write_data.next = 0.into();
        self.memory.instruction_rom_data.next = self.rom.read_data.val();
        self.memory.data_rom_data.next = self.rom.data_read_data.val();

        // SDRAM
        self.sdram_cke.next = self.memory.sdram_cke.val();
        self.sdram_csn.next = self.memory.sdram_cs_n.val();
        self.sdram_rasn.next = self.memory.sdram_ras_n.val();
        self.sdram_casn.next = self.memory.sdram_cas_n.val();
        self.sdram_wen.next = self.memory.sdram_we_n.val();
        self.sdram_ba.next = self.memory.sdram_bank.val();
        self.sdram_a.next = self.memory.sdram_address.val();
        self.sdram_dqm.next = self.memory.sdram_dqm.val();
        self.sdram_data_out.next = self.memory.sdram_data_out.val();
        self.sdram_data_drive.next = self.memory.sdram_data_drive.val();
        self.memory.sdram_data_in.next = self.sdram_data_in.val();

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

/// The module around the block: the data pins' pads, and the chip's clock through a register of the pad, which inverts it.
pub const PADS: &str = r"
module ulx3s_sdram(
  input wire clk_25mhz,
  input wire btn_fire1,
  output wire ftdi_rxd,
  input wire ftdi_txd,
  output wire [7:0] led,
  output wire wifi_gpio0,
  output wire sdram_clk,
  output wire sdram_cke,
  output wire sdram_csn,
  output wire sdram_rasn,
  output wire sdram_casn,
  output wire sdram_wen,
  output wire [1:0] sdram_ba,
  output wire [12:0] sdram_a,
  output wire [1:0] sdram_dqm,
  inout wire [15:0] sdram_d
);
  wire clock;
  wire drive;
  wire [15:0] data_out;
  ulx3s_sdram_core core(
    .clk_25mhz(clk_25mhz), .btn_fire1(btn_fire1), .ftdi_rxd(ftdi_rxd), .ftdi_txd(ftdi_txd), .led(led),
    .wifi_gpio0(wifi_gpio0), .sdram_clock(clock), .sdram_cke(sdram_cke), .sdram_csn(sdram_csn), .sdram_rasn(sdram_rasn),
    .sdram_casn(sdram_casn), .sdram_wen(sdram_wen), .sdram_ba(sdram_ba), .sdram_a(sdram_a), .sdram_dqm(sdram_dqm),
    .sdram_data_out(data_out), .sdram_data_drive(drive), .sdram_data_in(sdram_d)
  );
  assign sdram_d = drive ? data_out : 16'hzzzz;
`ifdef VERILATOR
  assign sdram_clk = !clock;
`else
  ODDRX1F clock_pad(.D0(1'b0), .D1(1'b1), .SCLK(clock), .RST(1'b0), .Q(sdram_clk));
`endif
endmodule
";

#[cfg(test)]
mod tests {
    #[test]
    fn the_board_with_sdram_is_emitted_without_findings() {
        for pll in spec::clock::PLLS {
            let verilog = crate::top::ulx3s_sdram(pll).unwrap_or_else(|errors| {
                let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
                panic!("{}", lines.join("\n"))
            });
            assert!(verilog.text.contains("$readmemh(\"rom0.hex\", bytes0)"));
            // The pads connect every port.
            for port in &verilog.modules[0].ports {
                let connection = format!(".{}(", port.name);
                assert!(super::PADS.contains(&connection), "{}", port.name);
            }
        }
    }
}
