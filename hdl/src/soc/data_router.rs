//! Parts the core's data port into memory accesses, which leave the chip, and I/O accesses, which stay inside.
//!
//! Both sides speak the memory-port protocol: an access is accepted in clock n unless an older one still waits in
//! that clock, and answered from clock n+1 on, in the first clock with `wait` = 0. Only one access is under way at
//! a time, so an access for one side is held back while the other side still waits.
use crate::prelude::*;

/// Decides only where an access goes; addresses and data run beside it.
#[derive(LogicBlock, Default)]
pub struct DataRouter {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // the core's data port
    pub core_request: Signal<In, Bit>,
    pub core_io: Signal<In, Bit>,
    pub core_wait: Signal<Out, Bit>,
    // to memory
    pub memory_request: Signal<Out, Bit>,
    pub memory_wait: Signal<In, Bit>,
    // to the I/O bus
    pub io_request: Signal<Out, Bit>,
    pub io_wait: Signal<In, Bit>,
    // state
    memory_outstanding_reg: DFF<Bit>,
    io_outstanding_reg: DFF<Bit>,
    // wires
    memory_busy: Signal<Local, Bit>,
    io_busy: Signal<Local, Bit>,
}

impl Logic for DataRouter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, memory_outstanding_reg, io_outstanding_reg);
        self.memory_busy.next = self.memory_outstanding_reg.q.val() & self.memory_wait.val();
        self.io_busy.next = self.io_outstanding_reg.q.val() & self.io_wait.val();

        self.memory_request.next =
            self.core_request.val() & !self.core_io.val() & !self.io_busy.val();
        self.io_request.next =
            self.core_request.val() & self.core_io.val() & !self.memory_busy.val();

        self.core_wait.next = self.memory_busy.val() | self.io_busy.val();

        if !self.memory_busy.val() {
            self.memory_outstanding_reg.d.next = self.memory_request.val();
        }
        if !self.io_busy.val() {
            self.io_outstanding_reg.d.next = self.io_request.val();
        }
        if self.reset.val() {
            self.memory_outstanding_reg.d.next = false;
            self.io_outstanding_reg.d.next = false;
        }
    }
}
