//! The chip: the core and its devices. RAM and ROM lie outside, behind the two memory ports.
//!
//! The simulator's model and the board's top both contain exactly this block, so that a clock count of one is a
//! clock count of the other.
use super::data_router::DataRouter;
use super::peripherals::Peripherals;
use crate::cpu::Cpu;
use crate::prelude::*;

/// What may differ from chip to chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipOptions {
    /// Clocks per second, from which the serial port and the timer make their rates.
    pub clock_hz: u64,
}

impl Default for ChipOptions {
    fn default() -> Self {
        Self {
            clock_hz: spec::clock::CLOCK_HZ,
        }
    }
}

/// Connects; decides nothing.
#[derive(LogicBlock)]
pub struct Chip {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // instruction port
    pub instruction_request: Signal<Out, Bit>,
    pub instruction_address: Signal<Out, Bits<32>>,
    /// Of the address in this clock: a cache may answer. PCD of its page is clear.
    pub instruction_cacheable: Signal<Out, Bit>,
    pub instruction_data: Signal<In, Bits<64>>,
    pub instruction_wait: Signal<In, Bit>,
    // data port: memory only, I/O stays inside
    pub data_request: Signal<Out, Bit>,
    pub data_write: Signal<Out, Bit>,
    pub data_address: Signal<Out, Bits<32>>,
    pub data_byte_enable: Signal<Out, Bits<8>>,
    pub data_write_data: Signal<Out, Bits<64>>,
    pub data_read_data: Signal<In, Bits<64>>,
    pub data_wait: Signal<In, Bit>,
    /// As `instruction_cacheable`; means nothing for a write.
    pub data_cacheable: Signal<Out, Bit>,
    /// CR0.CD is clear: a read that misses may fill a cache.
    pub caches_fill: Signal<Out, Bit>,
    /// Caches shall forget what they hold (INVD, WBINVD).
    pub caches_flush: Signal<Out, Bit>,
    // devices
    pub uart_tx: Signal<Out, Bit>,
    pub uart_rx: Signal<In, Bit>,
    /// The last code written to port 80h.
    pub leds: Signal<Out, Bits<8>>,
    // completed port accesses, one clock each
    pub io_valid: Signal<Out, Bit>,
    pub io_write: Signal<Out, Bit>,
    pub io_port: Signal<Out, Bits<16>>,
    /// Bytes: 1, 2 or 4; 3 for one part of an access that crosses eight bytes.
    pub io_size: Signal<Out, Bits<3>>,
    /// What was read or written, right-aligned.
    pub io_data: Signal<Out, Bits<32>>,
    // devices beyond the chip: one byte cycle a clock, answered in that clock
    pub external_port: Signal<Out, Bits<16>>,
    pub external_read: Signal<Out, Bit>,
    pub external_write: Signal<Out, Bit>,
    pub external_write_data: Signal<Out, Bits<8>>,
    /// A device of the chip has this port.
    pub external_inside: Signal<Out, Bit>,
    /// A device beyond the chip has this port, and goes before one of the chip.
    pub external_selected: Signal<In, Bit>,
    pub external_read_data: Signal<In, Bits<8>>,
    /// Interrupt lines, beside the chip's own.
    pub external_lines: Signal<In, Bits<16>>,
    // the core's state
    pub nmi: Signal<In, Bit>,
    /// HLT waits for an interrupt.
    pub halted: Signal<Out, Bit>,
    /// A third fault has stopped the processor.
    pub shutdown: Signal<Out, Bit>,
    // retire: one record per micro-op
    pub retire_valid: Signal<Out, Bit>,
    pub retire_first: Signal<Out, Bit>,
    pub retire_last: Signal<Out, Bit>,
    pub retire_cycle: Signal<Out, Bits<64>>,
    pub retire_eip: Signal<Out, Bits<32>>,
    pub retire_next_eip: Signal<Out, Bits<32>>,
    pub retire_length: Signal<Out, Bits<4>>,
    pub retire_bytes: Signal<Out, Bits<128>>,
    pub retire_cpl: Signal<Out, Bits<2>>,
    /// Bit 0 PE, 1 VM, 2 PG, 3 CS.D.
    pub retire_mode: Signal<Out, Bits<4>>,
    pub retire_micro_address: Signal<Out, Bits<12>>,
    pub retire_register_write: Signal<Out, Bit>,
    pub retire_register: Signal<Out, Bits<4>>,
    pub retire_register_data: Signal<Out, Bits<32>>,
    pub retire_esp_write: Signal<Out, Bit>,
    pub retire_esp_data: Signal<Out, Bits<32>>,
    pub retire_eflags: Signal<Out, Bits<32>>,
    pub retire_system_write: Signal<Out, Bit>,
    pub retire_system_number: Signal<Out, Bits<8>>,
    pub retire_system_data: Signal<Out, Bits<32>>,
    pub retire_load: Signal<Out, Bit>,
    pub retire_load_linear: Signal<Out, Bits<32>>,
    pub retire_load_physical: Signal<Out, Bits<32>>,
    pub retire_load_size: Signal<Out, Bits<4>>,
    pub retire_load_data: Signal<Out, Bits<64>>,
    pub retire_store: Signal<Out, Bit>,
    pub retire_store_linear: Signal<Out, Bits<32>>,
    pub retire_store_physical: Signal<Out, Bits<32>>,
    pub retire_store_size: Signal<Out, Bits<4>>,
    pub retire_store_data: Signal<Out, Bits<64>>,
    pub retire_access_io: Signal<Out, Bit>,
    pub retire_exception: Signal<Out, Bit>,
    pub retire_interrupt: Signal<Out, Bit>,
    pub retire_vector: Signal<Out, Bits<8>>,
    pub retire_has_error_code: Signal<Out, Bit>,
    pub retire_error_code: Signal<Out, Bits<16>>,
    pub retire_cr2: Signal<Out, Bits<32>>,
    // debug
    pub debug_halt: Signal<In, Bit>,
    pub debug_step: Signal<In, Bit>,
    pub debug_halted: Signal<Out, Bit>,
    pub debug_register: Signal<In, Bits<8>>,
    pub debug_read_data: Signal<Out, Bits<32>>,
    pub debug_write: Signal<In, Bit>,
    pub debug_write_data: Signal<In, Bits<32>>,
    pub debug_invalidate: Signal<In, Bit>,
    // pipeline
    pub pipeline_fetch_bytes: Signal<Out, Bits<6>>,
    pub pipeline_decode_valid: Signal<Out, Bit>,
    pub pipeline_issue_valid: Signal<Out, Bit>,
    pub pipeline_address_valid: Signal<Out, Bit>,
    pub pipeline_memory_valid: Signal<Out, Bit>,
    pub pipeline_execute_valid: Signal<Out, Bit>,
    pub pipeline_decode_eip: Signal<Out, Bits<32>>,
    pub pipeline_issue_eip: Signal<Out, Bits<32>>,
    pub pipeline_address_eip: Signal<Out, Bits<32>>,
    pub pipeline_memory_eip: Signal<Out, Bits<32>>,
    pub pipeline_execute_eip: Signal<Out, Bits<32>>,
    pub pipeline_micro_address: Signal<Out, Bits<12>>,
    pub pipeline_stall: Signal<Out, Bits<16>>,
    // units
    cpu: Cpu,
    data_router: DataRouter,
    peripherals: Peripherals,
}

impl Chip {
    /// A chip with these options.
    pub fn new(options: ChipOptions) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            instruction_request: Default::default(),
            instruction_address: Default::default(),
            instruction_cacheable: Default::default(),
            instruction_data: Default::default(),
            instruction_wait: Default::default(),
            data_request: Default::default(),
            data_write: Default::default(),
            data_address: Default::default(),
            data_byte_enable: Default::default(),
            data_write_data: Default::default(),
            data_read_data: Default::default(),
            data_wait: Default::default(),
            data_cacheable: Default::default(),
            caches_fill: Default::default(),
            caches_flush: Default::default(),
            uart_tx: Default::default(),
            uart_rx: Default::default(),
            leds: Default::default(),
            io_valid: Default::default(),
            io_write: Default::default(),
            io_port: Default::default(),
            io_size: Default::default(),
            io_data: Default::default(),
            external_port: Default::default(),
            external_read: Default::default(),
            external_write: Default::default(),
            external_write_data: Default::default(),
            external_inside: Default::default(),
            external_selected: Default::default(),
            external_read_data: Default::default(),
            external_lines: Default::default(),
            nmi: Default::default(),
            halted: Default::default(),
            shutdown: Default::default(),
            retire_valid: Default::default(),
            retire_first: Default::default(),
            retire_last: Default::default(),
            retire_cycle: Default::default(),
            retire_eip: Default::default(),
            retire_next_eip: Default::default(),
            retire_length: Default::default(),
            retire_bytes: Default::default(),
            retire_cpl: Default::default(),
            retire_mode: Default::default(),
            retire_micro_address: Default::default(),
            retire_register_write: Default::default(),
            retire_register: Default::default(),
            retire_register_data: Default::default(),
            retire_esp_write: Default::default(),
            retire_esp_data: Default::default(),
            retire_eflags: Default::default(),
            retire_system_write: Default::default(),
            retire_system_number: Default::default(),
            retire_system_data: Default::default(),
            retire_load: Default::default(),
            retire_load_linear: Default::default(),
            retire_load_physical: Default::default(),
            retire_load_size: Default::default(),
            retire_load_data: Default::default(),
            retire_store: Default::default(),
            retire_store_linear: Default::default(),
            retire_store_physical: Default::default(),
            retire_store_size: Default::default(),
            retire_store_data: Default::default(),
            retire_access_io: Default::default(),
            retire_exception: Default::default(),
            retire_interrupt: Default::default(),
            retire_vector: Default::default(),
            retire_has_error_code: Default::default(),
            retire_error_code: Default::default(),
            retire_cr2: Default::default(),
            debug_halt: Default::default(),
            debug_step: Default::default(),
            debug_halted: Default::default(),
            debug_register: Default::default(),
            debug_read_data: Default::default(),
            debug_write: Default::default(),
            debug_write_data: Default::default(),
            debug_invalidate: Default::default(),
            pipeline_fetch_bytes: Default::default(),
            pipeline_decode_valid: Default::default(),
            pipeline_issue_valid: Default::default(),
            pipeline_address_valid: Default::default(),
            pipeline_memory_valid: Default::default(),
            pipeline_execute_valid: Default::default(),
            pipeline_decode_eip: Default::default(),
            pipeline_issue_eip: Default::default(),
            pipeline_address_eip: Default::default(),
            pipeline_memory_eip: Default::default(),
            pipeline_execute_eip: Default::default(),
            pipeline_micro_address: Default::default(),
            pipeline_stall: Default::default(),
            cpu: Cpu::new(),
            data_router: Default::default(),
            peripherals: Peripherals::new(options.clock_hz),
        }
    }
}

impl Default for Chip {
    fn default() -> Self {
        Self::new(ChipOptions::default())
    }
}

impl Logic for Chip {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, cpu, data_router, peripherals);
        self.cpu.reset.next = self.reset.val();
        self.data_router.reset.next = self.reset.val();
        self.peripherals.reset.next = self.reset.val();

        // memory
        self.instruction_request.next = self.cpu.instruction_request.val();
        self.instruction_address.next = self.cpu.instruction_address.val();
        self.instruction_cacheable.next = self.cpu.instruction_cacheable.val();
        self.cpu.instruction_data.next = self.instruction_data.val();
        self.cpu.instruction_wait.next = self.instruction_wait.val();
        self.data_write.next = self.cpu.data_write.val();
        self.data_address.next = self.cpu.data_address.val();
        self.data_byte_enable.next = self.cpu.data_byte_enable.val();
        self.data_write_data.next = self.cpu.data_write_data.val();
        self.data_cacheable.next = self.cpu.data_cacheable.val();
        self.caches_fill.next = self.cpu.caches_fill.val();
        self.caches_flush.next = self.cpu.caches_flush.val();
        self.data_router.core_request.next = self.cpu.data_request.val();
        self.data_router.core_io.next = self.cpu.data_io.val();
        self.cpu.data_wait.next = self.data_router.core_wait.val();
        self.cpu.data_read_data.next = self.data_read_data.val();
        self.cpu.data_io_read_data.next = self.peripherals.read_data.val();
        self.data_request.next = self.data_router.memory_request.val();
        self.data_router.memory_wait.next = self.data_wait.val();

        // devices
        self.peripherals.request.next = self.data_router.io_request.val();
        self.peripherals.write.next = self.cpu.data_write.val();
        self.peripherals.address.next = self.cpu.data_address.val();
        self.peripherals.byte_enable.next = self.cpu.data_byte_enable.val();
        self.peripherals.write_data.next = self.cpu.data_write_data.val();
        self.data_router.io_wait.next = self.peripherals.busy.val();
        self.cpu.interrupt_request.next = self.peripherals.interrupt_request.val();
        self.peripherals.interrupt_acknowledge.next = self.cpu.interrupt_acknowledge.val();
        self.cpu.interrupt_vector.next = self.peripherals.interrupt_vector.val();
        self.io_valid.next = self.peripherals.io_valid.val();
        self.io_write.next = self.peripherals.io_write.val();
        self.io_port.next = self.peripherals.io_port.val();
        self.io_size.next = self.peripherals.io_size.val();
        self.io_data.next = self.peripherals.io_data.val();
        self.external_port.next = self.peripherals.external_port.val();
        self.external_read.next = self.peripherals.external_read.val();
        self.external_write.next = self.peripherals.external_write.val();
        self.external_write_data.next = self.peripherals.external_write_data.val();
        self.external_inside.next = self.peripherals.external_inside.val();
        self.peripherals.external_selected.next = self.external_selected.val();
        self.peripherals.external_read_data.next = self.external_read_data.val();
        self.peripherals.external_lines.next = self.external_lines.val();
        self.uart_tx.next = self.peripherals.uart_tx.val();
        self.peripherals.uart_rx.next = self.uart_rx.val();
        self.leds.next = self.peripherals.post_code.val();

        // the core's other ports
        self.cpu.nmi.next = self.nmi.val();
        self.halted.next = self.cpu.halted.val();
        self.shutdown.next = self.cpu.shutdown.val();
        self.retire_valid.next = self.cpu.retire_valid.val();
        self.retire_first.next = self.cpu.retire_first.val();
        self.retire_last.next = self.cpu.retire_last.val();
        self.retire_cycle.next = self.cpu.retire_cycle.val();
        self.retire_eip.next = self.cpu.retire_eip.val();
        self.retire_next_eip.next = self.cpu.retire_next_eip.val();
        self.retire_length.next = self.cpu.retire_length.val();
        self.retire_bytes.next = self.cpu.retire_bytes.val();
        self.retire_cpl.next = self.cpu.retire_cpl.val();
        self.retire_mode.next = self.cpu.retire_mode.val();
        self.retire_micro_address.next = self.cpu.retire_micro_address.val();
        self.retire_register_write.next = self.cpu.retire_register_write.val();
        self.retire_register.next = self.cpu.retire_register.val();
        self.retire_register_data.next = self.cpu.retire_register_data.val();
        self.retire_esp_write.next = self.cpu.retire_esp_write.val();
        self.retire_esp_data.next = self.cpu.retire_esp_data.val();
        self.retire_eflags.next = self.cpu.retire_eflags.val();
        self.retire_system_write.next = self.cpu.retire_system_write.val();
        self.retire_system_number.next = self.cpu.retire_system_number.val();
        self.retire_system_data.next = self.cpu.retire_system_data.val();
        self.retire_load.next = self.cpu.retire_load.val();
        self.retire_load_linear.next = self.cpu.retire_load_linear.val();
        self.retire_load_physical.next = self.cpu.retire_load_physical.val();
        self.retire_load_size.next = self.cpu.retire_load_size.val();
        self.retire_load_data.next = self.cpu.retire_load_data.val();
        self.retire_store.next = self.cpu.retire_store.val();
        self.retire_store_linear.next = self.cpu.retire_store_linear.val();
        self.retire_store_physical.next = self.cpu.retire_store_physical.val();
        self.retire_store_size.next = self.cpu.retire_store_size.val();
        self.retire_store_data.next = self.cpu.retire_store_data.val();
        self.retire_access_io.next = self.cpu.retire_access_io.val();
        self.retire_exception.next = self.cpu.retire_exception.val();
        self.retire_interrupt.next = self.cpu.retire_interrupt.val();
        self.retire_vector.next = self.cpu.retire_vector.val();
        self.retire_has_error_code.next = self.cpu.retire_has_error_code.val();
        self.retire_error_code.next = self.cpu.retire_error_code.val();
        self.retire_cr2.next = self.cpu.retire_cr2.val();
        self.cpu.debug_halt.next = self.debug_halt.val();
        self.cpu.debug_step.next = self.debug_step.val();
        self.debug_halted.next = self.cpu.debug_halted.val();
        self.cpu.debug_register.next = self.debug_register.val();
        self.debug_read_data.next = self.cpu.debug_read_data.val();
        self.cpu.debug_write.next = self.debug_write.val();
        self.cpu.debug_write_data.next = self.debug_write_data.val();
        self.cpu.debug_invalidate.next = self.debug_invalidate.val();
        self.pipeline_fetch_bytes.next = self.cpu.pipeline_fetch_bytes.val();
        self.pipeline_decode_valid.next = self.cpu.pipeline_decode_valid.val();
        self.pipeline_issue_valid.next = self.cpu.pipeline_issue_valid.val();
        self.pipeline_address_valid.next = self.cpu.pipeline_address_valid.val();
        self.pipeline_memory_valid.next = self.cpu.pipeline_memory_valid.val();
        self.pipeline_execute_valid.next = self.cpu.pipeline_execute_valid.val();
        self.pipeline_decode_eip.next = self.cpu.pipeline_decode_eip.val();
        self.pipeline_issue_eip.next = self.cpu.pipeline_issue_eip.val();
        self.pipeline_address_eip.next = self.cpu.pipeline_address_eip.val();
        self.pipeline_memory_eip.next = self.cpu.pipeline_memory_eip.val();
        self.pipeline_execute_eip.next = self.cpu.pipeline_execute_eip.val();
        self.pipeline_micro_address.next = self.cpu.pipeline_micro_address.val();
        self.pipeline_stall.next = self.cpu.pipeline_stall.val();
    }
}
