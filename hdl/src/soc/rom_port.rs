//! A memory port's way to the ROM. It is slow, so that the ROM may lie far away on the chip.
//!
//! ```text
//! clock    n         n+1            n+2            n+3
//! core     asks      waits          waits          has the data
//! ROM                `rom_address`  `rom_data`
//! ```
use crate::prelude::*;
use spec::memory_map::ROM_WAIT_CLOCKS;

/// One port. Its answer and its wait belong to the clock after the request, as those of the memory port do.
#[derive(LogicBlock)]
pub struct RomPort {
    pub clock: Signal<In, Clock>,
    /// The ROM is asked, and the port is free.
    pub starts: Signal<In, Bit>,
    pub address: Signal<In, Bits<32>>,
    pub waits: Signal<Out, Bit>,
    /// Zero unless it is an answer of the ROM.
    pub data: Signal<Out, Bits<64>>,
    // to the ROM, which answers in the next clock
    pub rom_address: Signal<Out, Bits<32>>,
    pub rom_data: Signal<In, Bits<64>>,
    // state
    /// Clocks still to wait.
    left_reg: DFF<Bits<2>>,
    address_reg: DFF<Bits<32>>,
    data_reg: DFF<Bits<64>>,
    wait_clocks: Constant<Bits<2>>,
}

impl Default for RomPort {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            starts: Default::default(),
            address: Default::default(),
            waits: Default::default(),
            data: Default::default(),
            rom_address: Default::default(),
            rom_data: Default::default(),
            left_reg: Default::default(),
            address_reg: Default::default(),
            data_reg: Default::default(),
            wait_clocks: Constant::new(u64::from(ROM_WAIT_CLOCKS).into()),
        }
    }
}

impl Logic for RomPort {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, left_reg, address_reg, data_reg);
        self.waits.next = self.left_reg.q.val().any();
        self.rom_address.next = self.address_reg.q.val();
        self.data.next = self.data_reg.q.val();
        self.data_reg.d.next = 0.into();
        if self.left_reg.q.val() == 1 {
            self.data_reg.d.next = self.rom_data.val();
        }
        if self.left_reg.q.val().any() {
            self.left_reg.d.next = self.left_reg.q.val() - 1;
        } else {
            self.address_reg.d.next = self.address.val();
            if self.starts.val() {
                self.left_reg.d.next = self.wait_clocks.val();
            }
        }
    }
}
