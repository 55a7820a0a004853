//! The devices of the chip on their I/O bus.
use super::io_bus::IoBus;
use super::pic::InterruptControllers;
use super::pit::IntervalTimer;
use super::system_ports::SystemPorts;
use super::uart::Uart;
use crate::prelude::*;

/// Serial port, timer, interrupt controllers and small ports. A port that is nobody's reads FFh.
#[derive(LogicBlock)]
pub struct Peripherals {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // I/O accesses of the core
    pub request: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub address: Signal<In, Bits<32>>,
    pub byte_enable: Signal<In, Bits<8>>,
    pub write_data: Signal<In, Bits<64>>,
    pub read_data: Signal<Out, Bits<64>>,
    pub busy: Signal<Out, Bit>,
    // interrupts of the core
    pub interrupt_request: Signal<Out, Bit>,
    pub interrupt_acknowledge: Signal<In, Bit>,
    pub interrupt_vector: Signal<Out, Bits<8>>,
    // observation of completed accesses
    pub io_valid: Signal<Out, Bit>,
    pub io_write: Signal<Out, Bit>,
    pub io_port: Signal<Out, Bits<16>>,
    pub io_size: Signal<Out, Bits<3>>,
    pub io_data: Signal<Out, Bits<32>>,
    // the world outside
    pub uart_tx: Signal<Out, Bit>,
    pub uart_rx: Signal<In, Bit>,
    pub post_code: Signal<Out, Bits<8>>,
    // devices beyond the chip, one byte cycle a clock; what they claim they answer in that clock
    pub external_port: Signal<Out, Bits<16>>,
    pub external_read: Signal<Out, Bit>,
    pub external_write: Signal<Out, Bit>,
    pub external_write_data: Signal<Out, Bits<8>>,
    /// A device of the chip has this port.
    pub external_inside: Signal<Out, Bit>,
    /// A device beyond the chip has this port, and goes before one of the chip.
    pub external_selected: Signal<In, Bit>,
    pub external_read_data: Signal<In, Bits<8>>,
    /// Their interrupt lines, beside the chip's own.
    pub external_lines: Signal<In, Bits<16>>,
    // units
    io_bus: IoBus,
    uart: Uart,
    timer: IntervalTimer,
    interrupts: InterruptControllers,
    system_ports: SystemPorts,
    // state: what takes long to say what it says
    uart_line_reg: DFF<Bit>,
    request_reg: DFF<Bit>,
}

impl Peripherals {
    /// Devices on a clock of `clock_hz`.
    pub fn new(clock_hz: u64) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            request: Default::default(),
            write: Default::default(),
            address: Default::default(),
            byte_enable: Default::default(),
            write_data: Default::default(),
            read_data: Default::default(),
            busy: Default::default(),
            interrupt_request: Default::default(),
            interrupt_acknowledge: Default::default(),
            interrupt_vector: Default::default(),
            io_valid: Default::default(),
            io_write: Default::default(),
            io_port: Default::default(),
            io_size: Default::default(),
            io_data: Default::default(),
            uart_tx: Default::default(),
            uart_rx: Default::default(),
            post_code: Default::default(),
            external_port: Default::default(),
            external_read: Default::default(),
            external_write: Default::default(),
            external_write_data: Default::default(),
            external_inside: Default::default(),
            external_selected: Default::default(),
            external_read_data: Default::default(),
            external_lines: Default::default(),
            io_bus: Default::default(),
            uart: Uart::new(clock_hz),
            timer: IntervalTimer::new(clock_hz),
            interrupts: Default::default(),
            system_ports: Default::default(),
            uart_line_reg: Default::default(),
            request_reg: Default::default(),
        }
    }
}

impl Default for Peripherals {
    fn default() -> Self {
        Self::new(spec::clock::CLOCK_HZ)
    }
}

impl Logic for Peripherals {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, uart_line_reg, request_reg);
        clock!(self, clock, io_bus, uart, timer, interrupts, system_ports);
        self.io_bus.reset.next = self.reset.val();
        self.uart.reset.next = self.reset.val();
        self.timer.reset.next = self.reset.val();
        self.interrupts.reset.next = self.reset.val();
        self.system_ports.reset.next = self.reset.val();

        // the core's side
        self.io_bus.request.next = self.request.val();
        self.io_bus.write.next = self.write.val();
        self.io_bus.address.next = self.address.val();
        self.io_bus.byte_enable.next = self.byte_enable.val();
        self.io_bus.write_data.next = self.write_data.val();
        self.read_data.next = self.io_bus.read_data.val();
        self.busy.next = self.io_bus.busy.val();
        self.io_valid.next = self.io_bus.io_valid.val();
        self.io_write.next = self.io_bus.io_write.val();
        self.io_port.next = self.io_bus.io_port.val();
        self.io_size.next = self.io_bus.io_size.val();
        self.io_data.next = self.io_bus.io_data.val();

        // the devices' side
        self.uart.port.next = self.io_bus.device_port.val();
        self.uart.read.next = self.io_bus.device_read.val();
        self.uart.write.next = self.io_bus.device_write.val();
        self.uart.write_data.next = self.io_bus.device_write_data.val();
        self.timer.port.next = self.io_bus.device_port.val();
        self.timer.read.next = self.io_bus.device_read.val();
        self.timer.write.next = self.io_bus.device_write.val();
        self.timer.write_data.next = self.io_bus.device_write_data.val();
        self.interrupts.port.next = self.io_bus.device_port.val();
        self.interrupts.read.next = self.io_bus.device_read.val();
        self.interrupts.write.next = self.io_bus.device_write.val();
        self.interrupts.write_data.next = self.io_bus.device_write_data.val();
        self.system_ports.port.next = self.io_bus.device_port.val();
        self.system_ports.write.next = self.io_bus.device_write.val();
        self.system_ports.write_data.next = self.io_bus.device_write_data.val();
        self.io_bus.device_read_data.next = 0xFF.into();
        if self.external_selected.val() {
            self.io_bus.device_read_data.next = self.external_read_data.val();
        } else if self.uart.selected.val() {
            self.io_bus.device_read_data.next = self.uart.read_data.val();
        } else if self.timer.selected.val() {
            self.io_bus.device_read_data.next = self.timer.read_data.val();
        } else if self.interrupts.selected.val() {
            self.io_bus.device_read_data.next = self.interrupts.read_data.val();
        } else if self.system_ports.selected.val() {
            self.io_bus.device_read_data.next = self.system_ports.read_data.val();
        }
        self.external_port.next = self.io_bus.device_port.val();
        self.external_read.next = self.io_bus.device_read.val();
        self.external_write.next = self.io_bus.device_write.val();
        self.external_write_data.next = self.io_bus.device_write_data.val();
        self.external_inside.next = self.uart.selected.val()
            | self.timer.selected.val()
            | self.interrupts.selected.val()
            | self.system_ports.selected.val();

        // interrupts: the timer on line 0, COM1 on line 4
        self.uart_line_reg.d.next = self.uart.interrupt_line.val();
        self.interrupts.lines.next = bit_cast::<16, 1>(self.timer.interrupt_line.val().into())
            | (bit_cast::<16, 1>(self.uart_line_reg.q.val().into()) << IRQ_COM1)
            | self.external_lines.val();
        self.request_reg.d.next = self.interrupts.interrupt_request.val();
        self.interrupt_request.next = self.request_reg.q.val();
        self.interrupts.interrupt_acknowledge.next = self.interrupt_acknowledge.val();
        self.interrupt_vector.next = self.interrupts.interrupt_vector.val();

        self.uart_tx.next = self.uart.tx.val();
        self.uart.rx.next = self.uart_rx.val();
        self.post_code.next = self.system_ports.post_code.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    use spec::ports::{COM1, PIC_MASTER, PIT, PIT_CONTROL, POST, uart};
    clocked!(Peripherals);

    fn access(devices: &mut Peripherals, write: bool, port: u16, value: u8) -> u8 {
        let lane = port & 7;
        devices.request.next = true;
        devices.write.next = write;
        devices.address.next = ((port & !7) as u64).into();
        devices.byte_enable.next = (1u64 << lane).into();
        devices.write_data.next = ((value as u64) << (8 * lane)).into();
        tick(devices);
        devices.request.next = false;
        settle(devices);
        while devices.busy.val() {
            tick(devices);
        }
        assert_eq!(devices.io_port.val(), port as u64);
        let data = devices.io_data.val().index() as u8;
        tick(devices);
        data
    }

    fn out(devices: &mut Peripherals, port: u16, value: u8) {
        access(devices, true, port, value);
    }

    fn set_up_interrupts(devices: &mut Peripherals) {
        for (port, value) in [(0, 0x11), (1, 0x30), (1, 0x04), (1, 0x01), (1, 0x00)] {
            out(devices, PIC_MASTER + port, value);
        }
    }

    /// The vector of the next interrupt, which comes within `clocks`.
    fn interrupt(devices: &mut Peripherals, clocks: usize) -> u8 {
        for _ in 0..clocks {
            if devices.interrupt_request.val() {
                devices.interrupt_acknowledge.next = true;
                settle(devices);
                let vector = devices.interrupt_vector.val().index() as u8;
                tick(devices);
                devices.interrupt_acknowledge.next = false;
                settle(devices);
                return vector;
            }
            tick(devices);
        }
        panic!("no interrupt within {clocks} clocks");
    }

    #[test]
    fn each_device_answers_at_its_ports() {
        let mut devices = start(Peripherals::default());
        assert_eq!(
            access(&mut devices, false, COM1 + uart::LINE_STATUS, 0),
            0x60
        );
        assert_eq!(access(&mut devices, false, PIC_MASTER + 1, 0), 0xFF);
        assert_eq!(access(&mut devices, false, 0x92, 0), 0x02);
        assert_eq!(access(&mut devices, false, 0x2F8, 0), 0xFF);
        out(&mut devices, POST, 0x42);
        assert_eq!(devices.post_code.val(), 0x42);
        out(&mut devices, PIT_CONTROL, 0x14);
        out(&mut devices, PIT, 0x80);
        for _ in 0..100 {
            tick(&mut devices);
        }
        let count = access(&mut devices, false, PIT, 0);
        assert!((0x7A..0x80).contains(&count), "{count:02X}");
    }

    #[test]
    fn a_device_beyond_the_chip_answers_before_one_of_the_chip() {
        let mut devices = start(Peripherals::default());
        devices.external_selected.next = true;
        devices.external_read_data.next = 0x1C.into();
        assert_eq!(access(&mut devices, false, 0x64, 0), 0x1C);
        assert_eq!(access(&mut devices, false, 0x1234, 0), 0x1C);
        devices.external_selected.next = false;
        assert_eq!(access(&mut devices, false, 0x64, 0), 0x00);
        assert_eq!(access(&mut devices, false, 0x1234, 0), 0xFF);
    }

    #[test]
    fn devices_beyond_the_chip_see_every_byte_cycle_and_whose_port_it_is() {
        let mut devices = start(Peripherals::default());
        for (port, inside) in [(POST, true), (0x2F8, false), (COM1, true), (0x501, false)] {
            devices.request.next = true;
            devices.write.next = true;
            devices.address.next = ((port & !7) as u64).into();
            devices.byte_enable.next = (1u64 << (port & 7)).into();
            devices.write_data.next = (0x42u64 << (8 * (port & 7))).into();
            tick(&mut devices);
            devices.request.next = false;
            settle(&mut devices);
            assert!(devices.external_write.val() && !devices.external_read.val());
            assert_eq!(devices.external_port.val(), port as u64);
            assert_eq!(devices.external_write_data.val(), 0x42);
            assert_eq!(devices.external_inside.val(), inside, "port {port:X}");
            tick(&mut devices);
            tick(&mut devices);
            assert!(!devices.external_write.val());
        }
    }

    #[test]
    fn a_device_beyond_the_chip_interrupts_on_its_line() {
        let mut devices = start(Peripherals::default());
        set_up_interrupts(&mut devices);
        devices.external_lines.next = 2.into();
        assert_eq!(interrupt(&mut devices, 10), 0x31);
    }

    #[test]
    fn the_timer_interrupts_on_line_0() {
        let mut devices = start(Peripherals::default());
        set_up_interrupts(&mut devices);
        out(&mut devices, PIT_CONTROL, 0x34);
        out(&mut devices, PIT, 20);
        out(&mut devices, PIT, 0);
        for _ in 0..3 {
            assert_eq!(interrupt(&mut devices, 2000), 0x30);
            out(&mut devices, PIC_MASTER, 0x20);
        }
    }

    #[test]
    fn the_serial_port_interrupts_on_line_4() {
        let mut devices = Peripherals::default();
        devices.uart_rx.next = true;
        let mut devices = start(devices);
        set_up_interrupts(&mut devices);
        out(
            &mut devices,
            COM1 + uart::MODEM_CONTROL,
            uart::INTERRUPT_OUT,
        );
        out(
            &mut devices,
            COM1 + uart::INTERRUPT_ENABLE,
            uart::ENABLE_HOLDING_EMPTY,
        );
        assert_eq!(interrupt(&mut devices, 10), 0x34);
        out(&mut devices, COM1, b'!');
        out(&mut devices, PIC_MASTER, 0x20);
        // The byte moves on to the line and makes room.
        assert_eq!(interrupt(&mut devices, 100), 0x34);
    }
}
