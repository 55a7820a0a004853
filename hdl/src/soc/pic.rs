//! The two interrupt controllers of a PC (8259A), the second behind line 2 of the first.
//!
//! A request must stay until it is acknowledged, as with the original: if the line falls in between, the
//! acknowledgement gives line 7 without putting it into service (the spurious interrupt). It is always the first
//! controller's: the second's request falls together with its line.
//! The special fully nested mode and the buffered modes do not exist; the 8086 mode is the only one.
use crate::prelude::*;

/// What the next write to the second port means.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum InitializationStep {
    /// OCW1: the mask.
    Done,
    ExpectVector,
    ExpectCascade,
    ExpectMode,
}

/// One controller with eight lines.
#[derive(LogicBlock, Default)]
pub struct InterruptController {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the I/O bus
    /// One of the two ports is addressed; bit 0 says which.
    pub selected: Signal<In, Bit>,
    pub second_port: Signal<In, Bit>,
    pub read: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub write_data: Signal<In, Bits<8>>,
    pub read_data: Signal<Out, Bits<8>>,
    // from the devices
    pub lines: Signal<In, Bits<8>>,
    // to the processor, or to the first controller
    pub request: Signal<Out, Bit>,
    /// The processor takes the interrupt that is first now; one clock.
    pub acknowledge: Signal<In, Bit>,
    /// The line that an acknowledgement takes in this clock, and its vector.
    pub winner: Signal<Out, Bits<3>>,
    pub vector: Signal<Out, Bits<8>>,
    // state
    step_reg: DFF<InitializationStep>,
    /// ICW1: the mode word follows; no cascade word follows; lines count by level.
    mode_follows_reg: DFF<Bit>,
    single_reg: DFF<Bit>,
    level_triggered_reg: DFF<Bit>,
    vector_base_reg: DFF<Bits<5>>,
    automatic_end_reg: DFF<Bit>,
    automatic_rotation_reg: DFF<Bit>,
    mask_reg: DFF<Bits<8>>,
    lines_reg: DFF<Bits<8>>,
    /// Lines that have risen and have not been acknowledged since.
    risen_reg: DFF<Bits<8>>,
    in_service_reg: DFF<Bits<8>>,
    lowest_priority_reg: DFF<Bits<3>>,
    read_in_service_reg: DFF<Bit>,
    poll_reg: DFF<Bit>,
    special_mask_reg: DFF<Bit>,
    // wires
    requests: Signal<Local, Bits<8>>,
    highest_priority: Signal<Local, Bits<3>>,
    /// Requests and services, rotated so that bit 0 has the highest priority.
    requests_rotated: Signal<Local, Bits<8>>,
    services_rotated: Signal<Local, Bits<8>>,
    services_blocking: Signal<Local, Bits<8>>,
    requests_allowed: Signal<Local, Bits<8>>,
    allowed_first: Signal<Local, Bits<8>>,
    allowed_first_number: Signal<Local, Bits<3>>,
    services_first: Signal<Local, Bits<8>>,
    services_first_number: Signal<Local, Bits<3>>,
    any_allowed: Signal<Local, Bit>,
    winner_bit: Signal<Local, Bits<8>>,
    take: Signal<Local, Bit>,
    /// The line that an end of interrupt means: named, or the first in service.
    end_line: Signal<Local, Bits<3>>,
    end_bit: Signal<Local, Bits<8>>,
    write_command: Signal<Local, Bit>,
    poll_read: Signal<Local, Bit>,
    initialize: Signal<Local, Bit>,
}

impl Logic for InterruptController {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            step_reg,
            mode_follows_reg,
            single_reg,
            level_triggered_reg,
            vector_base_reg,
            automatic_end_reg,
            automatic_rotation_reg,
            mask_reg,
            lines_reg,
            risen_reg,
            in_service_reg,
            lowest_priority_reg,
            read_in_service_reg,
            poll_reg,
            special_mask_reg
        );
        self.write_command.next = self.selected.val() & self.write.val() & !self.second_port.val();
        self.initialize.next = self.write_command.val() & self.write_data.val().get_bit(4);
        self.poll_read.next = self.selected.val() & self.read.val() & self.poll_reg.q.val();

        // What is requested and in service, by priority.
        self.requests.next = self.risen_reg.q.val() & self.lines.val();
        if self.level_triggered_reg.q.val() {
            self.requests.next = self.lines.val();
        }
        self.highest_priority.next = self.lowest_priority_reg.q.val() + 1;
        self.requests_rotated.next = bit_cast::<8, 16>(
            (bit_cast::<16, 8>(self.requests.val() & !self.mask_reg.q.val())
                | (bit_cast::<16, 8>(self.requests.val() & !self.mask_reg.q.val()) << 8))
                >> self.highest_priority.val(),
        );
        // In special mask mode, a masked line in service holds nobody back.
        self.services_blocking.next = self.in_service_reg.q.val();
        if self.special_mask_reg.q.val() {
            self.services_blocking.next = self.in_service_reg.q.val() & !self.mask_reg.q.val();
        }
        self.services_rotated.next = bit_cast::<8, 16>(
            (bit_cast::<16, 8>(self.services_blocking.val())
                | (bit_cast::<16, 8>(self.services_blocking.val()) << 8))
                >> self.highest_priority.val(),
        );
        self.services_first.next =
            self.services_rotated.val() & bit_cast::<8, 8>(0 - self.services_rotated.val());
        self.services_first_number.next =
            bit_cast::<3, 1>((self.services_first.val() & 0xAA).any().into())
                | (bit_cast::<3, 1>((self.services_first.val() & 0xCC).any().into()) << 1)
                | (bit_cast::<3, 1>((self.services_first.val() & 0xF0).any().into()) << 2);
        // One less than the first service: all bits before it; all bits if there is none.
        self.requests_allowed.next =
            self.requests_rotated.val() & bit_cast::<8, 8>(self.services_first.val() - 1);
        self.allowed_first.next =
            self.requests_allowed.val() & bit_cast::<8, 8>(0 - self.requests_allowed.val());
        self.allowed_first_number.next =
            bit_cast::<3, 1>((self.allowed_first.val() & 0xAA).any().into())
                | (bit_cast::<3, 1>((self.allowed_first.val() & 0xCC).any().into()) << 1)
                | (bit_cast::<3, 1>((self.allowed_first.val() & 0xF0).any().into()) << 2);
        self.any_allowed.next = self.requests_allowed.val().any();
        self.request.next = self.any_allowed.val();
        self.winner.next = 7.into();
        if self.any_allowed.val() {
            self.winner.next = self.allowed_first_number.val() + self.highest_priority.val();
        }
        self.vector.next = (bit_cast::<8, 5>(self.vector_base_reg.q.val()) << 3)
            | bit_cast::<8, 3>(self.winner.val());
        self.winner_bit.next = bit_cast::<8, 1>(1.into()) << self.winner.val();

        // Commands. An end of interrupt that names no line ends the service with the highest priority.
        self.end_line.next = self.services_first_number.val() + self.highest_priority.val();
        if self.write_data.val().get_bit(6) {
            self.end_line.next = bit_cast::<3, 8>(self.write_data.val());
        }
        self.end_bit.next = bit_cast::<8, 1>(1.into()) << self.end_line.val();
        if !self.write_data.val().get_bit(6) & !self.services_rotated.val().any() {
            self.end_bit.next = 0.into();
        }
        if self.write_command.val() & (self.write_data.val().get_bits::<2>(3) == 0) {
            // OCW2: end, specific, rotate from bit 5 up.
            if self.write_data.val().get_bit(5) {
                self.in_service_reg.d.next = self.in_service_reg.q.val() & !self.end_bit.val();
                if self.write_data.val().get_bit(7) & self.end_bit.val().any() {
                    self.lowest_priority_reg.d.next = self.end_line.val();
                }
            } else if self.write_data.val().get_bit(6) {
                if self.write_data.val().get_bit(7) {
                    self.lowest_priority_reg.d.next = self.end_line.val();
                }
            } else {
                self.automatic_rotation_reg.d.next = self.write_data.val().get_bit(7);
            }
        }
        if self.write_command.val() & (self.write_data.val().get_bits::<2>(3) == 1) {
            // OCW3: what the first port reads, poll, special mask.
            self.poll_reg.d.next = self.write_data.val().get_bit(2);
            if self.write_data.val().get_bit(1) {
                self.read_in_service_reg.d.next = self.write_data.val().get_bit(0);
            }
            if self.write_data.val().get_bit(6) {
                self.special_mask_reg.d.next = self.write_data.val().get_bit(5);
            }
        }
        if self.selected.val() & self.write.val() & self.second_port.val() {
            match self.step_reg.q.val() {
                InitializationStep::Done => {
                    self.mask_reg.d.next = self.write_data.val();
                }
                InitializationStep::ExpectVector => {
                    self.vector_base_reg.d.next = self.write_data.val().get_bits::<5>(3);
                    self.step_reg.d.next = InitializationStep::ExpectCascade;
                    if self.single_reg.q.val() {
                        self.step_reg.d.next = InitializationStep::ExpectMode;
                        if !self.mode_follows_reg.q.val() {
                            self.step_reg.d.next = InitializationStep::Done;
                        }
                    }
                }
                InitializationStep::ExpectCascade => {
                    // The cascade is wired: line 2.
                    self.step_reg.d.next = InitializationStep::ExpectMode;
                    if !self.mode_follows_reg.q.val() {
                        self.step_reg.d.next = InitializationStep::Done;
                    }
                }
                InitializationStep::ExpectMode => {
                    self.automatic_end_reg.d.next = self.write_data.val().get_bit(1);
                    self.step_reg.d.next = InitializationStep::Done;
                }
            }
        }

        // Lines, and the interrupt that is taken.
        self.take.next = (self.acknowledge.val() | self.poll_read.val()) & self.any_allowed.val();
        self.lines_reg.d.next = self.lines.val();
        self.risen_reg.d.next =
            (self.risen_reg.q.val() | !self.lines_reg.q.val()) & self.lines.val();
        if self.take.val() {
            self.risen_reg.d.next = (self.risen_reg.q.val() | !self.lines_reg.q.val())
                & self.lines.val()
                & !self.winner_bit.val();
            if self.automatic_end_reg.q.val() {
                if self.automatic_rotation_reg.q.val() {
                    self.lowest_priority_reg.d.next = self.winner.val();
                }
            } else {
                self.in_service_reg.d.next = self.in_service_reg.q.val() | self.winner_bit.val();
            }
        }
        if self.poll_read.val() {
            self.poll_reg.d.next = false;
        }

        self.read_data.next = self.requests.val();
        if self.poll_reg.q.val() {
            self.read_data.next = (bit_cast::<8, 1>(self.any_allowed.val().into()) << 7)
                | bit_cast::<8, 3>(self.winner.val());
        } else if self.second_port.val() {
            self.read_data.next = self.mask_reg.q.val();
        } else if self.read_in_service_reg.q.val() {
            self.read_data.next = self.in_service_reg.q.val();
        }

        // ICW1 begins from scratch; a line that is up already must fall before it counts.
        if self.initialize.val() | self.reset.val() {
            self.step_reg.d.next = InitializationStep::ExpectVector;
            self.mode_follows_reg.d.next = self.write_data.val().get_bit(0);
            self.single_reg.d.next = self.write_data.val().get_bit(1);
            self.level_triggered_reg.d.next = self.write_data.val().get_bit(3);
            self.automatic_end_reg.d.next = false;
            self.automatic_rotation_reg.d.next = false;
            self.mask_reg.d.next = 0.into();
            self.risen_reg.d.next = 0.into();
            self.in_service_reg.d.next = 0.into();
            self.lowest_priority_reg.d.next = 7.into();
            self.read_in_service_reg.d.next = false;
            self.poll_reg.d.next = false;
            self.special_mask_reg.d.next = false;
        }
        // Until software has set vectors, nothing is requested.
        if self.reset.val() {
            self.step_reg.d.next = InitializationStep::Done;
            self.level_triggered_reg.d.next = false;
            self.mask_reg.d.next = 0xFF.into();
            self.vector_base_reg.d.next = 0.into();
        }
    }
}

/// Both controllers: lines 0..7 are the master's (2 is the slave's request), 8..15 the slave's.
#[derive(LogicBlock, Default)]
pub struct InterruptControllers {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the I/O bus
    pub port: Signal<In, Bits<16>>,
    pub read: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub write_data: Signal<In, Bits<8>>,
    pub read_data: Signal<Out, Bits<8>>,
    pub selected: Signal<Out, Bit>,
    // from the devices
    pub lines: Signal<In, Bits<16>>,
    // to the processor
    pub interrupt_request: Signal<Out, Bit>,
    pub interrupt_acknowledge: Signal<In, Bit>,
    /// Valid in the clock of the acknowledgement.
    pub interrupt_vector: Signal<Out, Bits<8>>,
    // units
    master: InterruptController,
    slave: InterruptController,
    // wires
    slave_wins: Signal<Local, Bit>,
}

impl Logic for InterruptControllers {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, master, slave);
        self.master.reset.next = self.reset.val();
        self.master.selected.next = (self.port.val() & 0xFFFE) == PORT_PIC_MASTER;
        self.master.second_port.next = self.port.val().get_bit(0);
        self.master.read.next = self.read.val();
        self.master.write.next = self.write.val();
        self.master.write_data.next = self.write_data.val();
        self.slave.reset.next = self.reset.val();
        self.slave.selected.next = (self.port.val() & 0xFFFE) == PORT_PIC_SLAVE;
        self.slave.second_port.next = self.port.val().get_bit(0);
        self.slave.read.next = self.read.val();
        self.slave.write.next = self.write.val();
        self.slave.write_data.next = self.write_data.val();
        self.selected.next = ((self.port.val() & 0xFFFE) == PORT_PIC_MASTER)
            | ((self.port.val() & 0xFFFE) == PORT_PIC_SLAVE);
        self.read_data.next = self.master.read_data.val();
        if (self.port.val() & 0xFFFE) == PORT_PIC_SLAVE {
            self.read_data.next = self.slave.read_data.val();
        }

        self.slave.lines.next = self.lines.val().get_bits::<8>(8);
        self.master.lines.next = (bit_cast::<8, 16>(self.lines.val()) & 0b1111_1011)
            | (bit_cast::<8, 1>(self.slave.request.val().into()) << 2);

        self.slave_wins.next = self.master.request.val() & (self.master.winner.val() == 2);
        self.interrupt_request.next = self.master.request.val();
        self.master.acknowledge.next = self.interrupt_acknowledge.val();
        self.slave.acknowledge.next = self.interrupt_acknowledge.val() & self.slave_wins.val();
        self.interrupt_vector.next = self.master.vector.val();
        if self.slave_wins.val() {
            self.interrupt_vector.next = self.slave.vector.val();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    clocked!(InterruptControllers);

    const MASTER: u16 = spec::ports::PIC_MASTER;
    const SLAVE: u16 = spec::ports::PIC_SLAVE;
    /// The vectors that the tests set.
    const MASTER_VECTOR: u8 = 0x30;
    const SLAVE_VECTOR: u8 = 0x38;
    const END: u8 = 0x20;

    struct Machine(InterruptControllers);

    impl Machine {
        /// Both controllers as a PC's firmware sets them up, nothing masked.
        fn new(mode: u8) -> Self {
            let mut machine = Self(start(InterruptControllers::default()));
            for (port, vector, cascade) in [(MASTER, MASTER_VECTOR, 4), (SLAVE, SLAVE_VECTOR, 2)] {
                machine.write(port, 0x11);
                machine.write(port + 1, vector);
                machine.write(port + 1, cascade);
                machine.write(port + 1, mode);
                machine.write(port + 1, 0);
            }
            machine
        }
        fn write(&mut self, port: u16, value: u8) {
            self.0.port.next = (port as u64).into();
            self.0.write_data.next = (value as u64).into();
            self.0.write.next = true;
            tick(&mut self.0);
            self.0.write.next = false;
            settle(&mut self.0);
        }
        fn read(&mut self, port: u16) -> u8 {
            self.0.port.next = (port as u64).into();
            self.0.read.next = true;
            settle(&mut self.0);
            let value = self.0.read_data.val().index() as u8;
            tick(&mut self.0);
            self.0.read.next = false;
            settle(&mut self.0);
            value
        }
        fn in_service(&mut self, port: u16) -> u8 {
            self.write(port, 0x0B);
            self.read(port)
        }
        /// Sets the lines; two clocks pass, as an interrupt of the slave takes one more.
        fn lines(&mut self, lines: u16) {
            self.0.lines.next = (lines as u64).into();
            tick(&mut self.0);
            tick(&mut self.0);
        }
        fn requests(&self) -> bool {
            self.0.interrupt_request.val()
        }
        fn acknowledge(&mut self) -> u8 {
            self.0.interrupt_acknowledge.next = true;
            settle(&mut self.0);
            let vector = self.0.interrupt_vector.val().index() as u8;
            tick(&mut self.0);
            self.0.interrupt_acknowledge.next = false;
            settle(&mut self.0);
            vector
        }
    }

    #[test]
    fn nothing_is_requested_after_reset() {
        let mut machine = Machine(start(InterruptControllers::default()));
        machine.lines(0xFFFF);
        assert!(!machine.requests());
        assert_eq!(machine.read(MASTER + 1), 0xFF);
    }

    #[test]
    fn the_lowest_line_wins_and_holds_back_those_after_it() {
        let mut machine = Machine::new(1);
        machine.lines(0b0011_0000);
        assert!(machine.requests());
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 4);
        assert_eq!(machine.in_service(MASTER), 0x10);
        assert!(!machine.requests(), "line 5 waits for the end of line 4");
        machine.lines(0b0011_0010);
        assert!(machine.requests(), "line 1 does not");
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 1);
        machine.write(MASTER, END);
        assert_eq!(machine.in_service(MASTER), 0x10);
        assert!(!machine.requests());
        machine.write(MASTER, END);
        assert!(machine.requests());
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 5);
        machine.write(MASTER, END);
        assert_eq!(machine.in_service(MASTER), 0);
        assert!(!machine.requests(), "each edge counts once");
    }

    #[test]
    fn a_line_must_fall_before_it_counts_again() {
        let mut machine = Machine::new(1);
        machine.lines(1);
        machine.acknowledge();
        machine.write(MASTER, END);
        machine.lines(1);
        assert!(!machine.requests());
        machine.lines(0);
        machine.lines(1);
        assert!(machine.requests());
    }

    #[test]
    fn masked_lines_wait_and_are_seen_in_the_request_register() {
        let mut machine = Machine::new(1);
        machine.write(MASTER + 1, 0x10);
        machine.lines(0x10);
        assert!(!machine.requests());
        machine.write(MASTER, 0x0A);
        assert_eq!(machine.read(MASTER), 0x10);
        machine.write(MASTER + 1, 0);
        assert!(machine.requests());
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 4);
    }

    #[test]
    fn a_line_that_falls_too_early_gives_the_spurious_vector() {
        let mut machine = Machine::new(1);
        machine.lines(1);
        machine.lines(0);
        assert!(!machine.requests());
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 7);
        assert_eq!(machine.in_service(MASTER), 0);
    }

    #[test]
    fn the_slave_interrupts_through_line_2_and_needs_two_ends() {
        let mut machine = Machine::new(1);
        machine.lines(1 << 12);
        assert_eq!(machine.acknowledge(), SLAVE_VECTOR + 4);
        assert_eq!(
            (machine.in_service(MASTER), machine.in_service(SLAVE)),
            (0x04, 0x10)
        );
        machine.lines(1 << 12 | 1 << 3);
        assert!(!machine.requests(), "line 3 comes after the whole slave");
        machine.lines(1 << 12 | 1 << 3 | 1);
        assert_eq!(machine.acknowledge(), MASTER_VECTOR);
        machine.write(MASTER, END);
        machine.write(SLAVE, END);
        machine.write(MASTER, END);
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 3);
        assert_eq!(machine.in_service(SLAVE), 0);
    }

    #[test]
    fn a_slave_line_that_falls_too_early_gives_the_spurious_vector_of_the_master() {
        let mut machine = Machine::new(1);
        machine.lines(1 << 8);
        assert!(machine.requests());
        machine.lines(0);
        assert!(!machine.requests());
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 7);
        assert_eq!(
            (machine.in_service(MASTER), machine.in_service(SLAVE)),
            (0, 0)
        );
    }

    #[test]
    fn a_specific_end_ends_the_line_it_names() {
        let mut machine = Machine::new(1);
        machine.lines(0x10);
        machine.acknowledge();
        machine.lines(0x11);
        machine.acknowledge();
        machine.write(MASTER, 0x60 | 4);
        assert_eq!(machine.in_service(MASTER), 0x01);
    }

    #[test]
    fn automatic_end_leaves_nothing_in_service() {
        let mut machine = Machine::new(3);
        machine.lines(0x10);
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 4);
        assert_eq!(machine.in_service(MASTER), 0);
    }

    #[test]
    fn rotation_gives_the_served_line_the_lowest_priority() {
        let mut machine = Machine::new(1);
        machine.lines(0x11);
        assert_eq!(machine.acknowledge(), MASTER_VECTOR);
        machine.write(MASTER, 0xA0);
        machine.lines(0x10);
        machine.lines(0x11);
        assert_eq!(
            machine.acknowledge(),
            MASTER_VECTOR + 4,
            "line 0 is now the last"
        );
        machine.write(MASTER, 0xC0 | 7);
        assert_eq!(machine.acknowledge(), MASTER_VECTOR, "and again the first");
    }

    #[test]
    fn special_mask_mode_lets_later_lines_through() {
        let mut machine = Machine::new(1);
        machine.lines(0x02);
        machine.acknowledge();
        machine.lines(0x22);
        assert!(!machine.requests());
        machine.write(MASTER + 1, 0x02);
        machine.write(MASTER, 0x68);
        assert!(machine.requests());
        assert_eq!(machine.acknowledge(), MASTER_VECTOR + 5);
    }

    #[test]
    fn polling_takes_the_interrupt() {
        let mut machine = Machine::new(1);
        machine.lines(0x10);
        machine.write(MASTER, 0x0C);
        assert_eq!(machine.read(MASTER), 0x84);
        assert_eq!(machine.in_service(MASTER), 0x10);
    }
}
