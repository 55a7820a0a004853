//! Memory stage: holds one micro-op, and checks segment limit and type of its access.
use crate::prelude::*;

/// SDM Vol. 3A, "Limit Checking" and "Type Checking". The address translation works beside it.
#[derive(LogicBlock, Default)]
pub struct SegmentCheck {
    pub clock: Signal<In, Clock>,
    // from the address stage
    pub address_micro_op: Signal<In, MicroOp>,
    pub address_bytes: Signal<In, Bits<128>>,
    pub address_effective: Signal<In, Bits<32>>,
    pub address_linear: Signal<In, Bits<32>>,
    pub address_limit: Signal<In, Bits<32>>,
    pub address_access: Signal<In, Bits<16>>,
    pub address_segment: Signal<In, Bits<4>>,
    pub address_esp_after: Signal<In, Bits<32>>,
    pub address_table_code: Signal<In, Bits<16>>,
    // from hazard
    pub takes: Signal<In, Bit>,
    pub leaves: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    // mode
    pub real_mode: Signal<In, Bit>,
    pub cpl: Signal<In, Bits<2>>,
    /// A task switch goes on in the new task.
    pub switching: Signal<In, Bit>,
    /// The micro-op that comes from the address stage begins an instruction at a breakpoint.
    pub breakpoint: Signal<In, Bit>,
    /// CR0.AM and EFLAGS.AC.
    pub checks_alignment: Signal<In, Bit>,
    // to the data unit
    pub access_read: Signal<Out, Bit>,
    /// The micro-op here reads, whether it is valid or not.
    pub reads: Signal<Out, Bit>,
    pub access_write: Signal<Out, Bit>,
    /// Only whether the access would be permitted.
    pub access_probe: Signal<Out, Bit>,
    pub access_io: Signal<Out, Bit>,
    pub access_user: Signal<Out, Bit>,
    pub access_blocked: Signal<Out, Bit>,
    /// Segment or alignment forbid the access.
    pub access_refused: Signal<Out, Bit>,
    pub access_linear: Signal<Out, Bits<32>>,
    /// Bytes: 1, 2, 4 or 8.
    pub access_size: Signal<Out, Bits<4>>,
    /// The access crosses into the next aligned 8 bytes.
    pub access_crosses: Signal<Out, Bit>,
    // from the data unit
    pub page_fault: Signal<In, Bit>,
    pub page_fault_code: Signal<In, Bits<3>>,
    pub page_fault_linear: Signal<In, Bits<32>>,
    // to execute
    pub valid: Signal<Out, Bit>,
    /// With the faults found so far.
    pub micro_op: Signal<Out, MicroOp>,
    pub bytes: Signal<Out, Bits<128>>,
    pub effective_address: Signal<Out, Bits<32>>,
    /// Of the access, or where it page-faults.
    pub linear_address: Signal<Out, Bits<32>>,
    pub segment: Signal<Out, Bits<4>>,
    pub esp_after: Signal<Out, Bits<32>>,
    // state
    valid_reg: DFF<Bit>,
    micro_op_reg: DFF<MicroOp>,
    bytes_reg: DFF<Bits<128>>,
    effective_reg: DFF<Bits<32>>,
    linear_reg: DFF<Bits<32>>,
    limit_reg: DFF<Bits<32>>,
    access_reg: DFF<Bits<16>>,
    segment_reg: DFF<Bits<4>>,
    esp_after_reg: DFF<Bits<32>>,
    table_code_reg: DFF<Bits<16>>,
    user_reg: DFF<Bit>,
    aligned_reg: DFF<Bit>,
    crosses_reg: DFF<Bit>,
    address_end: Signal<Local, Bits<5>>,
    // wires
    op: Signal<Local, MicroOp>,
    is_read: Signal<Local, Bit>,
    is_write: Signal<Local, Bit>,
    is_port: Signal<Local, Bit>,
    probes: Signal<Local, Bit>,
    last: Signal<Local, Bits<33>>,
    wraps: Signal<Local, Bit>,
    code: Signal<Local, Bit>,
    expands_down: Signal<Local, Bit>,
    /// Readable code or writable data.
    permits: Signal<Local, Bit>,
    big: Signal<Local, Bit>,
    user_segment: Signal<Local, Bit>,
    beyond_limit: Signal<Local, Bit>,
    wrong_type: Signal<Local, Bit>,
    segment_fault: Signal<Local, Bit>,
    unaligned: Signal<Local, Bit>,
    on_stack: Signal<Local, Bit>,
}

impl Logic for SegmentCheck {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            valid_reg,
            micro_op_reg,
            bytes_reg,
            effective_reg,
            linear_reg,
            limit_reg,
            access_reg,
            segment_reg,
            esp_after_reg,
            table_code_reg,
            user_reg,
            aligned_reg,
            crosses_reg
        );
        self.op.next = self.micro_op_reg.q.val();
        self.is_port.next = (self.op.val().address == AddressMode::Port)
            | (self.op.val().address == AddressMode::PortImmediate);
        self.is_read.next = (self.op.val().memory == MemoryOp::Load)
            | (self.op.val().memory == MemoryOp::Modify)
            | (self.op.val().memory == MemoryOp::LoadForWrite)
            | (self.op.val().memory == MemoryOp::ProbeLoad);
        self.is_write.next = (self.op.val().memory == MemoryOp::Store)
            | (self.op.val().memory == MemoryOp::Modify)
            | (self.op.val().memory == MemoryOp::LoadForWrite)
            | (self.op.val().memory == MemoryOp::ProbeStore);
        self.probes.next = (self.op.val().memory == MemoryOp::ProbeLoad)
            | (self.op.val().memory == MemoryOp::ProbeStore);

        self.code.next = self.access_reg.q.val().get_bit(3);
        self.expands_down.next = self.access_reg.q.val().get_bit(2) & !self.code.val();
        self.permits.next = self.access_reg.q.val().get_bit(1);
        self.big.next = self.access_reg.q.val().get_bit(14);
        self.user_segment.next = self.segment_reg.q.val() < 6;
        self.last.next = (bit_cast::<33, 32>(self.effective_reg.q.val())
            + bit_cast::<33, 4>(self.op.val().access_size))
            - 1;
        self.wraps.next = self.last.val().get_bit(32);
        self.beyond_limit.next =
            self.wraps.val() | (self.last.val().get_bits::<32>(0) > self.limit_reg.q.val());
        if self.expands_down.val() & self.user_segment.val() {
            self.beyond_limit.next = self.wraps.val()
                | (self.effective_reg.q.val() <= self.limit_reg.q.val())
                | ((!self.big.val()) & self.last.val().get_bits::<16>(16).any());
        }
        self.wrong_type.next = self.user_segment.val()
            & (!self.real_mode.val())
            & ((!self.access_reg.q.val().get_bit(7))
                | (self.is_read.val() & self.code.val() & !self.permits.val())
                | (self.is_write.val() & (self.code.val() | !self.permits.val())));
        self.segment_fault.next = (self.is_read.val() | self.is_write.val())
            & (!self.is_port.val())
            & (self.segment_reg.q.val() != 11)
            & (self.beyond_limit.val() | self.wrong_type.val());
        // SDM Vol. 3A, "Interrupt 17 - Alignment Check Exception": what the processor does by itself is exempt.
        self.unaligned.next = self.aligned_reg.q.val()
            & (self.is_read.val() | self.is_write.val())
            & (!self.is_port.val())
            & ((self.op.val().access_size.get_bit(1) & self.linear_reg.q.val().get_bit(0))
                | (self.op.val().access_size.get_bit(2)
                    & self.linear_reg.q.val().get_bits::<2>(0).any())
                | (self.op.val().access_size.get_bit(3)
                    & self.linear_reg.q.val().get_bits::<3>(0).any()));
        self.on_stack.next = (self.segment_reg.q.val() == 2) | (self.segment_reg.q.val() == 10);

        self.access_read.next = self.valid_reg.q.val() & self.is_read.val() & !self.probes.val();
        self.reads.next = self.is_read.val();
        self.access_probe.next = self.probes.val();
        self.access_write.next = self.is_write.val();
        self.access_io.next = self.is_port.val();
        self.access_linear.next = self.linear_reg.q.val();
        self.access_size.next = self.op.val().access_size;
        self.access_crosses.next = self.crosses_reg.q.val();
        self.address_end.next = bit_cast::<5, 3>(self.address_linear.val().get_bits::<3>(0))
            + bit_cast::<5, 4>(self.address_micro_op.val().access_size);
        self.access_user.next = self.user_reg.q.val();
        self.access_blocked.next = self.op.val().fault
            | (!self.valid_reg.q.val())
            | !(self.is_read.val() | self.is_write.val());
        self.access_refused.next = self.segment_fault.val() | self.unaligned.val();

        self.valid.next = self.valid_reg.q.val();
        self.micro_op.next = self.op.val();
        if self.probes.val() {
            self.micro_op.next.denied = self.segment_fault.val()
                | self.page_fault.val()
                | self.unaligned.val()
                | self.op.val().address16
                | (self.op.val().access_size.get_bit(3)
                    & self.linear_reg.q.val().get_bits::<3>(0).any());
        } else if !self.op.val().fault {
            self.micro_op.next.fault =
                self.segment_fault.val() | self.page_fault.val() | self.unaligned.val();
            self.micro_op.next.fault_vector = 13.into();
            self.micro_op.next.fault_code = 0.into();
            if self.segment_reg.q.val() > 5 {
                self.micro_op.next.fault_code = self.table_code_reg.q.val();
            }
            if self.on_stack.val() {
                self.micro_op.next.fault_vector = 12.into();
            }
            if ((self.segment_reg.q.val() == 7) & !self.op.val().table_access)
                | (self.op.val().check == Check::NotNullTask)
                | (self.switching.val() & (self.op.val().address == AddressMode::Descriptor))
            {
                self.micro_op.next.fault_vector = 10.into();
            }
            if self.unaligned.val() & !self.segment_fault.val() {
                self.micro_op.next.fault_vector = 17.into();
                self.micro_op.next.fault_code = 0.into();
            }
            if self.page_fault.val() {
                self.micro_op.next.fault_vector = 14.into();
                self.micro_op.next.fault_code = bit_cast::<16, 3>(self.page_fault_code.val());
            }
        }
        self.bytes.next = self.bytes_reg.q.val();
        self.effective_address.next = self.effective_reg.q.val();
        self.linear_address.next = self.linear_reg.q.val();
        if self.page_fault.val() {
            self.linear_address.next = self.page_fault_linear.val();
        }
        self.segment.next = self.segment_reg.q.val();
        self.esp_after.next = self.esp_after_reg.q.val();

        if self.leaves.val() {
            self.valid_reg.d.next = false;
        }
        if self.takes.val() {
            self.valid_reg.d.next = true;
            self.micro_op_reg.d.next = self.address_micro_op.val();
            // It comes before the faults that fetch and decode have found.
            if self.breakpoint.val() {
                self.micro_op_reg.d.next.fault = true;
                self.micro_op_reg.d.next.fault_vector = 1.into();
                self.micro_op_reg.d.next.fault_code = 0.into();
            }
            // The level changes only with a flush, so it can be asked for a clock early.
            self.user_reg.d.next =
                (self.cpl.val() == 3) & !self.address_micro_op.val().system_access;
            self.aligned_reg.d.next = self.checks_alignment.val()
                & (self.cpl.val() == 3)
                & !self.address_micro_op.val().system_access;
            self.bytes_reg.d.next = self.address_bytes.val();
            self.effective_reg.d.next = self.address_effective.val();
            self.linear_reg.d.next = self.address_linear.val();
            self.crosses_reg.d.next = self.address_end.val() > 8;
            self.limit_reg.d.next = self.address_limit.val();
            self.access_reg.d.next = self.address_access.val();
            self.segment_reg.d.next = self.address_segment.val();
            self.esp_after_reg.d.next = self.address_esp_after.val();
            self.table_code_reg.d.next = self.address_table_code.val();
        }
        if self.flush.val() {
            self.valid_reg.d.next = false;
        }
    }
}
