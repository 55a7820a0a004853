//! The I/O bus: splits the core's port accesses into byte cycles for eight-bit devices.
//!
//! ```text
//! clock            n        n+1      n+2      n+3
//! core             request
//! wait                      1        1        0 (answer, io_valid)
//! device_port               lane 0   lane 1          an access of two bytes
//! device_read               1        1
//! ```
//! A device sees `device_port` and a strobe for one clock; it answers a read in that clock and acts at its end.
use crate::prelude::*;

/// Serves one access at a time, lowest lane first; byte lane i is the port `address + i`.
#[derive(LogicBlock, Default)]
pub struct IoBus {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the core
    pub request: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub address: Signal<In, Bits<32>>,
    pub byte_enable: Signal<In, Bits<8>>,
    pub write_data: Signal<In, Bits<64>>,
    pub read_data: Signal<Out, Bits<64>>,
    pub busy: Signal<Out, Bit>,
    // to the devices
    pub device_port: Signal<Out, Bits<16>>,
    pub device_write: Signal<Out, Bit>,
    pub device_read: Signal<Out, Bit>,
    pub device_write_data: Signal<Out, Bits<8>>,
    pub device_read_data: Signal<In, Bits<8>>,
    // observation: one clock for each completed access
    pub io_valid: Signal<Out, Bit>,
    pub io_write: Signal<Out, Bit>,
    pub io_port: Signal<Out, Bits<16>>,
    /// Bytes: 1, 2 or 4; 3 for one part of an access that crosses eight bytes.
    pub io_size: Signal<Out, Bits<3>>,
    /// What was read or written, right-aligned.
    pub io_data: Signal<Out, Bits<32>>,
    // state
    outstanding_reg: DFF<Bit>,
    write_reg: DFF<Bit>,
    address_reg: DFF<Bits<16>>,
    /// Lanes that have had no byte cycle yet.
    remaining_reg: DFF<Bits<8>>,
    write_data_reg: DFF<Bits<64>>,
    read_data_reg: DFF<Bits<64>>,
    first_port_reg: DFF<Bits<16>>,
    size_reg: DFF<Bits<3>>,
    observed_reg: DFF<Bits<32>>,
    // wires
    byte_cycle: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    /// The lowest remaining lane, one bit set; its number; its distance in bits.
    lane_mask: Signal<Local, Bits<8>>,
    lane: Signal<Local, Bits<3>>,
    lane_shift: Signal<Local, Bits<6>>,
    observed_shift: Signal<Local, Bits<5>>,
    device_byte: Signal<Local, Bits<8>>,
}

impl Logic for IoBus {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            outstanding_reg,
            write_reg,
            address_reg,
            remaining_reg,
            write_data_reg,
            read_data_reg,
            first_port_reg,
            size_reg,
            observed_reg
        );
        self.byte_cycle.next = self.outstanding_reg.q.val() & self.remaining_reg.q.val().any();
        self.accept.next = self.request.val() & !self.byte_cycle.val();

        self.lane_mask.next =
            self.remaining_reg.q.val() & bit_cast::<8, 8>(0 - self.remaining_reg.q.val());
        self.lane.next = bit_cast::<3, 1>((self.lane_mask.val() & 0xAA).any().into())
            | (bit_cast::<3, 1>((self.lane_mask.val() & 0xCC).any().into()) << 1)
            | (bit_cast::<3, 1>((self.lane_mask.val() & 0xF0).any().into()) << 2);
        self.lane_shift.next = bit_cast::<6, 3>(self.lane.val()) << 3;
        self.observed_shift.next = bit_cast::<5, 3>(self.size_reg.q.val()) << 3;

        self.device_port.next =
            (self.address_reg.q.val() & 0xFFF8) | bit_cast::<16, 3>(self.lane.val());
        self.device_write.next = self.byte_cycle.val() & self.write_reg.q.val();
        self.device_read.next = self.byte_cycle.val() & !self.write_reg.q.val();
        self.device_write_data.next =
            bit_cast::<8, 64>(self.write_data_reg.q.val() >> self.lane_shift.val());
        self.device_byte.next = self.device_read_data.val();
        if self.write_reg.q.val() {
            self.device_byte.next = self.device_write_data.val();
        }

        if self.byte_cycle.val() {
            self.remaining_reg.d.next = self.remaining_reg.q.val() & !self.lane_mask.val();
            self.read_data_reg.d.next = self.read_data_reg.q.val()
                | (bit_cast::<64, 8>(self.device_read_data.val()) << self.lane_shift.val());
            self.observed_reg.d.next = self.observed_reg.q.val()
                | (bit_cast::<32, 8>(self.device_byte.val()) << self.observed_shift.val());
            self.size_reg.d.next = self.size_reg.q.val() + 1;
            if !self.size_reg.q.val().any() {
                self.first_port_reg.d.next = self.device_port.val();
            }
        } else {
            self.outstanding_reg.d.next = self.request.val();
        }
        if self.accept.val() {
            self.write_reg.d.next = self.write.val();
            self.address_reg.d.next = bit_cast::<16, 32>(self.address.val());
            self.remaining_reg.d.next = self.byte_enable.val();
            self.write_data_reg.d.next = self.write_data.val();
            self.read_data_reg.d.next = 0.into();
            self.observed_reg.d.next = 0.into();
            self.size_reg.d.next = 0.into();
        }

        self.busy.next = self.byte_cycle.val();
        self.read_data.next = self.read_data_reg.q.val();
        self.io_valid.next = self.outstanding_reg.q.val() & !self.byte_cycle.val();
        self.io_write.next = self.write_reg.q.val();
        self.io_port.next = self.first_port_reg.q.val();
        self.io_size.next = self.size_reg.q.val();
        self.io_data.next = self.observed_reg.q.val();

        if self.reset.val() {
            self.outstanding_reg.d.next = false;
            self.remaining_reg.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    clocked!(IoBus);

    /// One byte cycle as a device sees it: write, port, data.
    type Cycle = (bool, u16, u8);
    /// What the observation port reports: write, port, size, data.
    type Report = (bool, u16, u8, u32);

    /// Runs one access; devices answer a read with the low byte of the port plus 10h.
    fn access(
        bus: &mut IoBus,
        write: bool,
        port: u16,
        size: u8,
        data: u32,
    ) -> (u64, Vec<Cycle>, Report, usize) {
        let lane = port & 7;
        bus.request.next = true;
        bus.write.next = write;
        bus.address.next = ((port & !7) as u64).into();
        bus.byte_enable.next = ((((1u64 << size) - 1) << lane) & 0xFF).into();
        bus.write_data.next = ((data as u64) << (8 * lane)).into();
        tick(bus);
        bus.request.next = false;
        let mut cycles = vec![];
        for clock in 1..20 {
            settle(bus);
            bus.device_read_data.next =
                ((bus.device_port.val().index() as u64 + 0x10) & 0xFF).into();
            settle(bus);
            if bus.device_write.val() || bus.device_read.val() {
                cycles.push((
                    bus.device_write.val(),
                    bus.device_port.val().index() as u16,
                    bus.device_write_data.val().index() as u8,
                ));
            }
            if !bus.busy.val() {
                assert!(bus.io_valid.val());
                let report = (
                    bus.io_write.val(),
                    bus.io_port.val().index() as u16,
                    bus.io_size.val().index() as u8,
                    bus.io_data.val().index() as u32,
                );
                let read_data = u64::from_str_radix(&format!("{:x}", bus.read_data.val()), 16);
                tick(bus);
                assert!(!bus.io_valid.val(), "an access is reported once");
                return (read_data.expect("hexadecimal"), cycles, report, clock);
            }
            assert!(!bus.io_valid.val());
            tick(bus);
        }
        panic!("the bus never answers");
    }

    #[test]
    fn a_byte_write_is_one_cycle_and_answers_in_the_second_clock() {
        let mut bus = start(IoBus::default());
        let (_, cycles, report, clocks) = access(&mut bus, true, 0x3FD, 1, 0xA5);
        assert_eq!(cycles, [(true, 0x3FD, 0xA5)]);
        assert_eq!(report, (true, 0x3FD, 1, 0xA5));
        assert_eq!(clocks, 2);
    }

    #[test]
    fn wide_accesses_go_to_ascending_ports() {
        let mut bus = start(IoBus::default());
        let (_, cycles, report, _) = access(&mut bus, true, 0x81, 4, 0x4433_2211);
        let expected = [(0x81, 0x11), (0x82, 0x22), (0x83, 0x33), (0x84, 0x44)];
        assert_eq!(cycles, expected.map(|(port, data)| (true, port, data)));
        assert_eq!(report, (true, 0x81, 4, 0x4433_2211));

        let (data, cycles, report, clocks) = access(&mut bus, false, 0x46, 2, 0);
        assert_eq!(data, 0x5756_0000_0000_0000);
        assert_eq!(cycles.len(), 2);
        assert_eq!(report, (false, 0x46, 2, 0x5756));
        assert_eq!(clocks, 3);
    }

    #[test]
    fn a_request_in_the_clock_of_the_answer_follows_without_a_gap() {
        let mut bus = start(IoBus::default());
        bus.request.next = true;
        bus.write.next = true;
        bus.byte_enable.next = 1.into();
        tick(&mut bus);
        let mut valid = vec![];
        for _ in 0..6 {
            valid.push(bus.io_valid.val());
            tick(&mut bus);
        }
        assert_eq!(valid, [false, true, false, true, false, true]);
    }
}
