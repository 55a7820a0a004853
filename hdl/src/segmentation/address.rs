//! Address stage: effective and linear address, and the stack pointer that runs ahead of retirement.
use crate::prelude::*;

/// Holds one micro-op; its operands for the address come from the register file of retired values.
#[derive(LogicBlock, Default)]
pub struct AddressStage {
    pub clock: Signal<In, Clock>,
    // from the handover
    pub next_micro_op: Signal<In, MicroOp>,
    pub next_bytes: Signal<In, Bits<128>>,
    // from hazard
    /// Takes the next micro-op at the end of this clock.
    pub takes: Signal<In, Bit>,
    /// The micro-op held leaves for the memory stage.
    pub leaves: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    // register file
    pub base_register: Signal<Out, Bits<4>>,
    pub index_register: Signal<Out, Bits<4>>,
    pub base_value: Signal<In, Bits<32>>,
    pub index_value: Signal<In, Bits<32>>,
    // segment registers
    pub segment: Signal<Out, Bits<4>>,
    pub segment_base: Signal<In, Bits<32>>,
    pub segment_limit: Signal<In, Bits<32>>,
    pub segment_access: Signal<In, Bits<16>>,
    // from execute
    pub vector: Signal<In, Bits<8>>,
    pub real_mode: Signal<In, Bit>,
    /// From the next clock on the running stack pointer is the retired one: after a flush or a write of ESP.
    pub esp_restore: Signal<In, Bit>,
    pub esp_retired: Signal<In, Bits<32>>,
    /// ... or the one behind a micro-branch that is taken.
    pub esp_branch: Signal<In, Bit>,
    pub esp_branch_value: Signal<In, Bits<32>>,
    // to the memory stage
    pub valid: Signal<Out, Bit>,
    pub micro_op: Signal<Out, MicroOp>,
    pub bytes: Signal<Out, Bits<128>>,
    pub effective_address: Signal<Out, Bits<32>>,
    pub linear_address: Signal<Out, Bits<32>>,
    pub limit: Signal<Out, Bits<32>>,
    pub access: Signal<Out, Bits<16>>,
    pub esp_after: Signal<Out, Bits<32>>,
    /// For descriptor accesses: what an error code says of the selector or vector.
    pub table_code: Signal<Out, Bits<16>>,
    // state
    valid_reg: DFF<Bit>,
    micro_op_reg: DFF<MicroOp>,
    bytes_reg: DFF<Bits<128>>,
    esp_reg: DFF<Bits<32>>,
    /// The running stack pointer is the retired one: what was written there came too late for `esp_reg`.
    esp_is_retired: DFF<Bit>,
    // wires
    esp: Signal<Local, Bits<32>>,
    op: Signal<Local, MicroOp>,
    base: Signal<Local, Bits<32>>,
    index: Signal<Local, Bits<32>>,
    sum: Signal<Local, Bits<32>>,
    offset: Signal<Local, Bits<32>>,
    esp_moved: Signal<Local, Bits<32>>,
    esp_next: Signal<Local, Bits<32>>,
}

impl Logic for AddressStage {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            valid_reg,
            micro_op_reg,
            bytes_reg,
            esp_reg,
            esp_is_retired
        );
        self.esp.next = self.esp_reg.q.val();
        if self.esp_is_retired.q.val() {
            self.esp.next = self.esp_retired.val();
        }
        self.op.next = self.micro_op_reg.q.val();
        self.valid.next = self.valid_reg.q.val();
        self.micro_op.next = self.op.val();
        self.bytes.next = self.bytes_reg.q.val();
        self.base_register.next = self.op.val().base;
        self.index_register.next = self.op.val().index;

        // base + index * scale + displacement
        self.base.next = self.base_value.val();
        if self.op.val().base == 4 {
            self.base.next = self.esp.val();
        }
        if !self.op.val().base_valid {
            self.base.next = 0.into();
        }
        self.index.next = self.index_value.val() << self.op.val().scale;
        if !self.op.val().index_valid {
            self.index.next = 0.into();
        }
        self.sum.next = self.base.val() + self.index.val() + self.op.val().displacement;
        self.offset.next = self.sum.val();
        self.esp_moved.next = self.esp.val();
        self.segment.next = self.op.val().segment;
        self.table_code.next = bit_cast::<16, 32>(self.base_value.val()) & 0xFFFC;
        match self.op.val().address {
            AddressMode::Push => {
                self.esp_moved.next = self.esp.val() - bit_cast::<32, 4>(self.op.val().access_size);
                self.offset.next = self.esp_moved.val();
            }
            AddressMode::Pop => {
                self.esp_moved.next = self.esp.val() + bit_cast::<32, 4>(self.op.val().access_size);
                self.offset.next = self.esp.val();
            }
            AddressMode::PopFrame => {
                self.esp_moved.next =
                    self.base.val() + bit_cast::<32, 4>(self.op.val().access_size);
                self.offset.next = self.base.val();
            }
            AddressMode::SetStack => {
                self.esp_moved.next = self.sum.val();
            }
            AddressMode::Release => {
                self.esp_moved.next = self.esp.val() + self.op.val().displacement;
            }
            AddressMode::Descriptor => {
                self.offset.next = (bit_cast::<32, 16>(bit_cast::<16, 32>(self.base_value.val()))
                    & 0xFFF8)
                    + self.op.val().displacement;
                if self.base_value.val().get_bit(2) {
                    self.segment.next = 6.into();
                }
            }
            AddressMode::VectorImmediate => {
                self.offset.next =
                    bit_cast::<32, 8>(bit_cast::<8, 32>(self.op.val().immediate)) << 3;
                self.table_code.next =
                    (bit_cast::<16, 8>(bit_cast::<8, 32>(self.op.val().immediate)) << 3) | 2;
            }
            AddressMode::Vector => {
                self.offset.next =
                    (bit_cast::<32, 8>(self.vector.val()) << 3) + self.op.val().displacement;
                if self.real_mode.val() {
                    self.offset.next =
                        (bit_cast::<32, 8>(self.vector.val()) << 2) + self.op.val().displacement;
                }
                self.table_code.next = (bit_cast::<16, 8>(self.vector.val()) << 3) | 2;
            }
            _ => {}
        }
        if self.op.val().table_access {
            // Beyond the port bitmap: #GP(0).
            self.table_code.next = 0.into();
        }
        self.effective_address.next = self.offset.val();
        self.esp_next.next = self.esp_moved.val();
        if self.op.val().address16 {
            self.effective_address.next = bit_cast::<32, 16>(bit_cast::<16, 32>(self.offset.val()));
            self.esp_next.next = (self.esp.val() & 0xFFFF_0000_u64)
                | bit_cast::<32, 16>(bit_cast::<16, 32>(self.esp_moved.val()));
        }
        self.esp_after.next = self.esp.val();
        if self.op.val().stack {
            self.esp_after.next = self.esp_next.val();
        }
        self.linear_address.next = self.segment_base.val() + self.effective_address.val();
        self.limit.next = self.segment_limit.val();
        self.access.next = self.segment_access.val();
        if self.op.val().fault {
            // Where the fetch of the instruction failed.
            self.linear_address.next = self.op.val().displacement;
        }

        self.esp_is_retired.d.next = false;
        self.esp_reg.d.next = self.esp.val();
        if self.leaves.val() {
            self.valid_reg.d.next = false;
            self.esp_reg.d.next = self.esp_after.val();
        }
        if self.takes.val() {
            self.valid_reg.d.next = true;
            self.micro_op_reg.d.next = self.next_micro_op.val();
            self.bytes_reg.d.next = self.next_bytes.val();
        }
        if self.esp_branch.val() {
            self.esp_reg.d.next = self.esp_branch_value.val();
        } else if self.esp_restore.val() {
            self.esp_is_retired.d.next = true;
        }
        if self.flush.val() {
            self.valid_reg.d.next = false;
        }
    }
}
