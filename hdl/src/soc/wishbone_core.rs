//! The core as a part of another system: one Wishbone B4 master, interrupts, and nothing else.
//!
//! `docs/integration.md` describes the ports for those who use the emitted file.
use super::wishbone::WishboneBridge;
use crate::cpu::Cpu;
use crate::prelude::*;

/// The core behind a [`WishboneBridge`]. Its observation and debug ports are closed.
#[derive(LogicBlock)]
pub struct WishboneCore {
    pub clock: Signal<In, Clock>,
    /// High for at least one rising edge: the core begins at FFFFFFF0h.
    pub reset: Signal<In, Bit>,
    // bus
    pub wishbone_cyc: Signal<Out, Bit>,
    pub wishbone_stb: Signal<Out, Bit>,
    pub wishbone_we: Signal<Out, Bit>,
    /// In words of four bytes; of a port access the port's number.
    pub wishbone_adr: Signal<Out, Bits<30>>,
    pub wishbone_sel: Signal<Out, Bits<4>>,
    pub wishbone_cti: Signal<Out, Bits<3>>,
    pub wishbone_bte: Signal<Out, Bits<2>>,
    /// The access is an IN or OUT.
    pub wishbone_tga_io: Signal<Out, Bit>,
    pub wishbone_dat_o: Signal<Out, Bits<32>>,
    pub wishbone_dat_i: Signal<In, Bits<32>>,
    pub wishbone_ack: Signal<In, Bit>,
    pub wishbone_err: Signal<In, Bit>,
    // interrupts
    pub interrupt_request: Signal<In, Bit>,
    pub interrupt_acknowledge: Signal<Out, Bit>,
    pub interrupt_vector: Signal<In, Bits<8>>,
    pub nmi: Signal<In, Bit>,
    // units
    cpu: Cpu,
    bridge: WishboneBridge,
}

impl WishboneCore {
    /// A core with its decode tables and microcode in place.
    pub fn new() -> Self {
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
            wishbone_tga_io: Default::default(),
            wishbone_dat_o: Default::default(),
            wishbone_dat_i: Default::default(),
            wishbone_ack: Default::default(),
            wishbone_err: Default::default(),
            interrupt_request: Default::default(),
            interrupt_acknowledge: Default::default(),
            interrupt_vector: Default::default(),
            nmi: Default::default(),
            cpu: Cpu::new(),
            bridge: Default::default(),
        }
    }
}

impl Default for WishboneCore {
    fn default() -> Self {
        Self::new()
    }
}

impl Logic for WishboneCore {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, cpu, bridge);
        self.cpu.reset.next = self.reset.val();
        self.bridge.reset.next = self.reset.val();

        // instruction port
        self.bridge.instruction_request.next = self.cpu.instruction_request.val();
        self.bridge.instruction_address.next = self.cpu.instruction_address.val();
        self.cpu.instruction_data.next = self.bridge.instruction_data.val();
        self.cpu.instruction_wait.next = self.bridge.instruction_wait.val();

        // data port
        self.bridge.data_request.next = self.cpu.data_request.val();
        self.bridge.data_write.next = self.cpu.data_write.val();
        self.bridge.data_io.next = self.cpu.data_io.val();
        self.bridge.data_address.next = self.cpu.data_address.val();
        self.bridge.data_byte_enable.next = self.cpu.data_byte_enable.val();
        self.bridge.data_write_data.next = self.cpu.data_write_data.val();
        self.cpu.data_read_data.next = self.bridge.data_read_data.val();
        self.cpu.data_io_read_data.next = self.bridge.data_read_data.val();
        self.cpu.data_wait.next = self.bridge.data_wait.val();

        // bus
        self.wishbone_cyc.next = self.bridge.wishbone_cyc.val();
        self.wishbone_stb.next = self.bridge.wishbone_stb.val();
        self.wishbone_we.next = self.bridge.wishbone_we.val();
        self.wishbone_adr.next = self.bridge.wishbone_adr.val();
        self.wishbone_sel.next = self.bridge.wishbone_sel.val();
        self.wishbone_cti.next = self.bridge.wishbone_cti.val();
        self.wishbone_bte.next = self.bridge.wishbone_bte.val();
        self.wishbone_tga_io.next = self.bridge.wishbone_tga_io.val();
        self.wishbone_dat_o.next = self.bridge.wishbone_dat_o.val();
        self.bridge.wishbone_dat_i.next = self.wishbone_dat_i.val();
        self.bridge.wishbone_ack.next = self.wishbone_ack.val();
        self.bridge.wishbone_err.next = self.wishbone_err.val();

        // interrupts
        self.cpu.interrupt_request.next = self.interrupt_request.val();
        self.interrupt_acknowledge.next = self.cpu.interrupt_acknowledge.val();
        self.cpu.interrupt_vector.next = self.interrupt_vector.val();
        self.cpu.nmi.next = self.nmi.val();

        // Nobody debugs it.
        self.cpu.debug_halt.next = false;
        self.cpu.debug_step.next = false;
        self.cpu.debug_register.next = 0.into();
        self.cpu.debug_write.next = false;
        self.cpu.debug_write_data.next = 0.into();
        self.cpu.debug_invalidate.next = false;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_emitted_core_keeps_to_its_own_names() {
        let verilog = crate::top::wishbone_core().unwrap_or_else(|errors| {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"))
        });
        for module in &verilog.modules {
            assert!(module.name.starts_with("sysgate_core"), "{}", module.name);
        }
        let ports = verilog.modules[0].ports.iter();
        let others: Vec<_> = ports
            .map(|port| port.name.as_str())
            .filter(|name| !name.starts_with("wishbone_"))
            .collect();
        assert_eq!(
            others,
            [
                "clock",
                "reset",
                "interrupt_request",
                "interrupt_acknowledge",
                "interrupt_vector",
                "nmi"
            ]
        );
        // Nothing is read from beside the file.
        assert!(!verilog.text.contains("$readmem") && !verilog.text.contains("`include"));
    }
}
