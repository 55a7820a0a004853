//! Clock and reset of a board with an ECP5.
use crate::prelude::*;
use spec::clock::Pll;

/// The FPGA's PLL.
#[derive(LogicBlock)]
pub struct PllBlock {
    pub oscillator: Signal<In, Clock>,
    pub clock: Signal<Out, Clock>,
    /// The clock is steady.
    pub locked: Signal<Out, Bit>,
    _pll: Pll,
}

impl PllBlock {
    /// A PLL with these figures.
    pub fn new(pll: Pll) -> Self {
        Self {
            oscillator: Default::default(),
            clock: Default::default(),
            locked: Default::default(),
            _pll: pll,
        }
    }
}

impl Logic for PllBlock {
    /// In simulation the oscillator is the clock.
    fn update(&mut self) {
        self.clock.next = self.oscillator.val();
        self.locked.next = true;
    }
    fn connect(&mut self) {
        self.clock.connect();
        self.locked.connect();
    }
    fn hdl(&self) -> Verilog {
        let Pll {
            reference_divider,
            feedback_multiplier,
            output_divider,
            ..
        } = self._pll;
        // Lattice FPGA-TN-02200, "ECP5 and ECP5-5G sysCLOCK PLL/DLL Design and Usage Guide": feedback from CLKOP, whose
        // divider's first edge comes half a period late.
        Verilog::Custom(format!(
            "\
`ifdef VERILATOR
assign clock = oscillator;
assign locked = 1'b1;
`else
(* ICP_CURRENT=\"12\" *) (* LPF_RESISTOR=\"8\" *) (* MFG_ENABLE_FILTEROPAMP=\"1\" *) (* MFG_GMCREF_SEL=\"2\" *)
EHXPLLL #(
  .PLLRST_ENA(\"DISABLED\"), .INTFB_WAKE(\"DISABLED\"), .STDBY_ENABLE(\"DISABLED\"), .DPHASE_SOURCE(\"DISABLED\"),
  .OUTDIVIDER_MUXA(\"DIVA\"), .OUTDIVIDER_MUXB(\"DIVB\"), .OUTDIVIDER_MUXC(\"DIVC\"), .OUTDIVIDER_MUXD(\"DIVD\"),
  .CLKI_DIV({reference_divider}), .CLKFB_DIV({feedback_multiplier}), .FEEDBK_PATH(\"CLKOP\"),
  .CLKOP_ENABLE(\"ENABLED\"), .CLKOP_DIV({output_divider}), .CLKOP_CPHASE({phase}), .CLKOP_FPHASE(0)
) pll (
  .RST(1'b0), .STDBY(1'b0), .CLKI(oscillator), .CLKOP(clock), .CLKFB(clock), .CLKINTFB(), .LOCK(locked),
  .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0),
  .ENCLKOP(1'b0)
);
`endif
",
            phase = output_divider / 2
        ))
    }
}

/// Holds the chip in reset until the clock is steady and for some clocks after that, and while the button is pressed.
#[derive(LogicBlock, Default)]
pub struct ResetControl {
    pub clock: Signal<In, Clock>,
    pub locked: Signal<In, Bit>,
    /// From the pin, at any time.
    pub button: Signal<In, Bit>,
    pub reset: Signal<Out, Bit>,
    // state
    meta: DFF<Bit>,
    pressed: DFF<Bit>,
    steady_meta: DFF<Bit>,
    steady: DFF<Bit>,
    count: DFF<Bits<12>>,
    reset_reg: DFF<Bit>,
}

impl Logic for ResetControl {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            meta,
            pressed,
            steady_meta,
            steady,
            count,
            reset_reg
        );
        self.meta.d.next = self.button.val();
        self.pressed.d.next = self.meta.q.val();
        self.steady_meta.d.next = self.locked.val();
        self.steady.d.next = self.steady_meta.q.val();
        if !self.count.q.val().all() {
            self.count.d.next = self.count.q.val() + 1;
        }
        if self.pressed.q.val() | !self.steady.q.val() {
            self.count.d.next = 0.into();
        }
        // Up to 4095 clocks: longer than a button bounces on its way down, and registers power up as zero.
        self.reset_reg.d.next = !self.count.q.val().all();
        self.reset.next = self.reset_reg.q.val() | !self.count.q.val().all();
    }
}
