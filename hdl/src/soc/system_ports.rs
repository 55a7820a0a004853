//! The small ports of a PC: test codes, port 92h, an absent keyboard, an empty CMOS memory, the debug console.
use crate::prelude::*;

/// Answers for these ports; `selected` says that the port is one of them.
#[derive(LogicBlock, Default)]
pub struct SystemPorts {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the I/O bus
    pub port: Signal<In, Bits<16>>,
    pub write: Signal<In, Bit>,
    pub write_data: Signal<In, Bits<8>>,
    pub read_data: Signal<Out, Bits<8>>,
    pub selected: Signal<Out, Bit>,
    // to the board
    /// Last byte written to port 80h.
    pub post_code: Signal<Out, Bits<8>>,
    // state
    post_code_reg: DFF<Bits<8>>,
    cmos_index_reg: DFF<Bits<8>>,
}

impl Logic for SystemPorts {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, post_code_reg, cmos_index_reg);
        self.post_code.next = self.post_code_reg.q.val();

        self.selected.next = true;
        self.read_data.next = 0.into();
        match self.port.val().into() {
            PORT_POST => {
                self.read_data.next = self.post_code_reg.q.val();
                if self.write.val() {
                    self.post_code_reg.d.next = self.write_data.val();
                }
            }
            // A20 is open for good.
            PORT_SYSTEM_CONTROL_A => {
                self.read_data.next = 2.into();
            }
            PORT_CMOS_INDEX => {
                self.read_data.next = self.cmos_index_reg.q.val();
                if self.write.val() {
                    self.cmos_index_reg.d.next = self.write_data.val();
                }
            }
            PORT_CMOS_DATA => {}
            PORT_KEYBOARD_DATA => {}
            PORT_KEYBOARD_STATUS => {}
            // Software asks for the debug console by reading this value.
            PORT_DEBUG_CONSOLE => {
                self.read_data.next = 0xE9.into();
            }
            _ => {
                self.selected.next = false;
                self.read_data.next = 0xFF.into();
            }
        }

        if self.reset.val() {
            self.post_code_reg.d.next = 0.into();
            self.cmos_index_reg.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    clocked!(SystemPorts);

    #[test]
    fn the_post_code_stays_until_the_next_one() {
        let mut ports = start(SystemPorts::default());
        ports.port.next = (spec::ports::POST as u64).into();
        ports.write.next = true;
        ports.write_data.next = 0x5A.into();
        tick(&mut ports);
        ports.write.next = false;
        tick(&mut ports);
        assert_eq!(ports.post_code.val(), 0x5A);
    }

    #[test]
    fn absent_devices_read_as_a_pc_without_them() {
        let mut ports = start(SystemPorts::default());
        for (port, value, selected) in [
            (spec::ports::SYSTEM_CONTROL_A, 0x02, true),
            (spec::ports::KEYBOARD_STATUS, 0x00, true),
            (spec::ports::CMOS_DATA, 0x00, true),
            (spec::ports::DEBUG_CONSOLE, 0xE9, true),
            (0x1234, 0xFF, false),
        ] {
            ports.port.next = (port as u64).into();
            settle(&mut ports);
            assert_eq!(ports.read_data.val(), value, "port {port:X}");
            assert_eq!(ports.selected.val(), selected, "port {port:X}");
        }
    }
}
