//! Execute stage: computes, and retires. What leaves here has happened.
use super::operands::Operands;
use super::{ExecuteUnit, Prepare, Registers};
use crate::prelude::*;

/// Holds the oldest micro-op. Registers, flags and EIP change at the end of the clock in which it retires.
#[derive(LogicBlock, Default)]
pub struct ExecuteStage {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the memory stage
    pub memory_micro_op: Signal<In, MicroOp>,
    pub memory_bytes: Signal<In, Bits<128>>,
    pub memory_effective_address: Signal<In, Bits<32>>,
    pub memory_linear_address: Signal<In, Bits<32>>,
    pub memory_segment: Signal<In, Bits<4>>,
    pub memory_esp_after: Signal<In, Bits<32>>,
    // from hazard
    pub takes: Signal<In, Bit>,
    // from the data unit
    pub load_data: Signal<In, Bits<64>>,
    pub aligned_load: Signal<In, Bits<32>>,
    pub load_is_aligned: Signal<In, Bit>,
    pub load_ready: Signal<In, Bit>,
    pub store_ready: Signal<In, Bit>,
    // from the address stage: register reads
    pub base_register: Signal<In, Bits<4>>,
    pub index_register: Signal<In, Bits<4>>,
    // from events
    pub kill: Signal<In, Bit>,
    /// A routine begins: the next instruction has begun.
    pub event_begins: Signal<In, Bit>,
    // from the system registers and the check unit
    pub system_value: Signal<In, Bits<32>>,
    pub msr_unknown: Signal<In, Bit>,
    pub sysenter_eip: Signal<In, Bits<32>>,
    pub check_fault: Signal<In, Bit>,
    pub check_refused: Signal<In, Bit>,
    pub check_vector: Signal<In, Bits<5>>,
    pub check_code: Signal<In, Bits<16>>,
    pub external: Signal<In, Bit>,
    // from the architectural state
    pub eflags: Signal<In, Bits<32>>,
    pub cpl: Signal<In, Bits<2>>,
    pub code_base: Signal<In, Bits<32>>,
    pub code_limit: Signal<In, Bits<32>>,
    pub descriptor: Signal<In, Bits<64>>,
    pub code_level: Signal<In, Bits<2>>,
    /// Base of the code segment that passed its check.
    pub checked_code_base: Signal<In, Bits<32>>,
    /// Real or virtual-8086 mode, and in that no event is being delivered.
    pub real_segments: Signal<In, Bit>,
    /// DropSegments has something to do.
    pub drops_segments: Signal<In, Bit>,
    pub new_stack_selector: Signal<In, Bits<16>>,
    pub task_selector: Signal<In, Bits<16>>,
    /// The task has a TSS of 16 bits.
    pub task16: Signal<In, Bit>,
    // from the debugger
    pub debug_halted: Signal<In, Bit>,
    pub debug_register: Signal<In, Bits<8>>,
    pub debug_write: Signal<In, Bit>,
    pub debug_write_data: Signal<In, Bits<32>>,
    /// The store here changes code that was fetched: see `RecentWords`.
    pub changes_code: Signal<In, Bit>,
    /// The instruction in execute has changed code that was fetched: a `redirect` fetches it again.
    pub code_changed: Signal<Out, Bit>,
    // to all
    pub valid: Signal<Out, Bit>,
    pub micro_op: Signal<Out, MicroOp>,
    pub bytes: Signal<Out, Bits<128>>,
    pub linear_address: Signal<Out, Bits<32>>,
    pub base_value: Signal<Out, Bits<32>>,
    pub index_value: Signal<Out, Bits<32>>,
    /// The operands and the result.
    pub a: Signal<Out, Bits<32>>,
    pub b: Signal<Out, Bits<32>>,
    /// Operand b where it is not a load.
    pub late_b: Signal<Out, Bits<32>>,
    /// Operand b where it is a register or a constant.
    pub register_b: Signal<Out, Bits<32>>,
    pub result: Signal<Out, Bits<32>>,
    /// EFLAGS after the micro-op as far as arithmetic goes.
    pub flags: Signal<Out, Bits<32>>,
    /// ZF is not in `flags`: it is set if `nonzero` is zero.
    pub zero_flag_of_sum: Signal<Out, Bit>,
    pub nonzero: Signal<Out, Bits<8>>,
    pub store_valid: Signal<Out, Bit>,
    /// A store may retire in this clock.
    pub store_here: Signal<Out, Bit>,
    /// The micro-op leaves: it has retired.
    pub retires: Signal<Out, Bit>,
    /// The same for every micro-op but near jumps, without the time that comparing their targets takes.
    pub retires_control: Signal<Out, Bit>,
    /// The micro-op leaves, to retire or to raise a fault.
    pub leaves: Signal<Out, Bit>,
    /// The place is free at the end of this clock.
    pub vacant: Signal<Out, Bit>,
    pub fault: Signal<Out, Bit>,
    pub fault_vector: Signal<Out, Bits<5>>,
    pub fault_code: Signal<Out, Bits<16>>,
    /// Where a page fault happened; bytes and length of the instruction that raises the fault.
    pub fault_linear: Signal<Out, Bits<32>>,
    pub fault_bytes: Signal<Out, Bits<128>>,
    pub fault_length: Signal<Out, Bits<4>>,
    /// Neither a micro-op is here nor the consequence of one to come.
    pub empty: Signal<Out, Bit>,
    /// Nothing of the next instruction has happened.
    pub interrupt_point: Signal<Out, Bit>,
    /// Microcode goes on at the branch's target.
    pub micro_redirect: Signal<Out, Bit>,
    pub micro_target: Signal<Out, Bits<11>>,
    /// The running ESP behind that branch.
    pub micro_esp: Signal<Out, Bits<32>>,
    /// Behind that branch the operand size is this.
    pub micro_resizes: Signal<Out, Bit>,
    pub micro_operand16: Signal<Out, Bit>,
    /// Instructions go on elsewhere than the front end believes.
    pub redirect: Signal<Out, Bit>,
    /// A Jcc is here and goes the other way than predicted, unless it is void.
    pub mispredicts: Signal<Out, Bit>,
    /// The linear address of that way, and of what follows.
    pub other_linear: Signal<Out, Bits<32>>,
    /// A far transfer is here whose target was known before, unless it is void; and it goes to level 3.
    pub goes_far: Signal<Out, Bit>,
    pub far_user: Signal<Out, Bit>,
    /// A near branch retires, unless its target is beyond the limit: fetch learns what it did.
    pub branch_retires: Signal<Out, Bit>,
    pub branch_taken: Signal<Out, Bit>,
    /// Fetch went elsewhere of itself.
    pub branch_wrong: Signal<Out, Bit>,
    pub branch_conditional: Signal<Out, Bit>,
    pub branch_call: Signal<Out, Bit>,
    pub branch_returns: Signal<Out, Bit>,
    /// EIP after this instruction, when its last micro-op retires.
    pub next_eip: Signal<Out, Bits<32>>,
    /// ESP as it has retired.
    pub esp: Signal<Out, Bits<32>>,
    pub esp_after: Signal<Out, Bits<32>>,
    /// A register was written that the address stage's ESP must follow.
    pub writes_esp: Signal<Out, Bit>,
    pub debug_general: Signal<Out, Bits<32>>,
    pub register_write: Signal<Out, Bit>,
    pub register_number: Signal<Out, Bits<4>>,
    pub register_value: Signal<Out, Bits<32>>,
    pub esp_write: Signal<Out, Bit>,
    // state
    valid_reg: DFF<Bit>,
    micro_op_reg: DFF<MicroOp>,
    prepared_reg: DFF<Prepared>,
    bytes_reg: DFF<Bits<128>>,
    effective_reg: DFF<Bits<32>>,
    linear_reg: DFF<Bits<32>>,
    segment_reg: DFF<Bits<4>>,
    esp_after_reg: DFF<Bits<32>>,
    other_linear_reg: DFF<Bits<32>>,
    /// Where the code target that was checked lies, as long as its instruction runs.
    far_linear_reg: DFF<Bits<32>>,
    far_known_reg: DFF<Bit>,
    goes_far_reg: DFF<Bit>,
    /// The target of a relative jump lies beyond the limit of the code segment.
    beyond_reg: DFF<Bit>,
    far_user_reg: DFF<Bit>,
    at_boundary: DFF<Bit>,
    held_load_reg: DFF<Bits<32>>,
    /// A store of this instruction changed code that was fetched: what follows is fetched again.
    changed_code_reg: DFF<Bit>,
    /// The load has been there for a clock.
    late_reg: DFF<Bit>,
    /// The micro-op that was here in the last clock raised a fault.
    fault_reg: DFF<Bit>,
    fault_vector_reg: DFF<Bits<5>>,
    fault_code_reg: DFF<Bits<16>>,
    fault_linear_reg: DFF<Bits<32>>,
    fault_bytes_reg: DFF<Bits<128>>,
    fault_length_reg: DFF<Bits<4>>,
    /// The micro-branch that was here in the last clock is taken.
    branch_reg: DFF<Bit>,
    branch_target_reg: DFF<Bits<11>>,
    branch_esp_reg: DFF<Bits<32>>,
    branch_resizes_reg: DFF<Bit>,
    branch_operand16_reg: DFF<Bit>,
    // units
    prepare: Prepare,
    registers: Registers,
    operands: Operands,
    unit: ExecuteUnit,
    // wires
    op: Signal<Local, MicroOp>,
    is_store: Signal<Local, Bit>,
    computed: Signal<Local, Bit>,
    /// What is found without the target of a near jump.
    early_fault: Signal<Local, Bit>,
    execute_fault: Signal<Local, Bit>,
    execute_vector: Signal<Local, Bits<5>>,
    execute_code: Signal<Local, Bits<16>>,
    target_fault: Signal<Local, Bit>,
    near_target: Signal<Local, Bits<32>>,
    beyond_limit: Signal<Local, Bit>,
    jumps: Signal<Local, Bit>,
    far: Signal<Local, Bit>,
    conditional: Signal<Local, Bit>,
    counted: Signal<Local, Bit>,
    loop_condition: Signal<Local, Bit>,
    is_null: Signal<Local, Bit>,
    condition_holds: Signal<Local, Bit>,
    done: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    waits_for_late: Signal<Local, Bit>,
    /// The micro-op here is not to happen.
    void: Signal<Local, Bit>,
    found_fault: Signal<Local, Bit>,
    found_vector: Signal<Local, Bits<5>>,
    found_code: Signal<Local, Bits<16>>,
    old_merged: Signal<Local, Bits<32>>,
    debug_general_write: Signal<Local, Bit>,
    writes_register: Signal<Local, Bit>,
    other_eip: Signal<Local, Bits<32>>,
    moves_esp: Signal<Local, Bit>,
    changed_code: Signal<Local, Bit>,
    indirect: Signal<Local, Bit>,
    as_predicted: Signal<Local, Bit>,
    table_code: Signal<Local, Bits<16>>,
}

impl Logic for ExecuteStage {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            valid_reg,
            micro_op_reg,
            prepared_reg,
            bytes_reg,
            effective_reg,
            linear_reg,
            segment_reg,
            esp_after_reg,
            other_linear_reg,
            far_linear_reg,
            far_known_reg,
            goes_far_reg,
            beyond_reg,
            far_user_reg,
            at_boundary,
            held_load_reg,
            changed_code_reg,
            late_reg,
            fault_reg,
            fault_vector_reg,
            fault_code_reg,
            fault_linear_reg,
            fault_bytes_reg,
            fault_length_reg,
            branch_reg,
            branch_target_reg,
            branch_esp_reg,
            branch_resizes_reg,
            branch_operand16_reg
        );
        clock!(self, clock, registers, unit);
        self.op.next = self.micro_op_reg.q.val();
        self.valid.next = self.valid_reg.q.val();
        self.micro_op.next = self.op.val();
        self.bytes.next = self.bytes_reg.q.val();
        self.linear_address.next = self.linear_reg.q.val();
        self.esp_after.next = self.esp_after_reg.q.val();

        self.prepare.op.next = self.memory_micro_op.val().op;
        self.prepare.width.next = self.memory_micro_op.val().width;
        self.prepare.b_source.next = self.memory_micro_op.val().b_source;
        self.prepare.control.next = self.memory_micro_op.val().control;

        // Registers and operands.
        self.registers.base.next = self.base_register.val();
        self.registers.index.next = self.index_register.val();
        self.registers.a.next = self.op.val().a;
        self.registers.b.next = self.op.val().b;
        if self.debug_halted.val() {
            self.registers.b.next = self.debug_register.val().get_bits::<4>(0);
        }
        self.registers.c.next = 1.into();
        if self.op.val().c_source == CSource::Edx {
            self.registers.c.next = 2.into();
        }
        self.registers.old.next = self.op.val().destination;
        self.base_value.next = self.registers.base_value.val();
        self.index_value.next = self.registers.index_value.val();
        self.debug_general.next = self.registers.b_value.val();
        self.operands.op.next = self.op.val();
        self.operands.prepared.next = self.prepared_reg.q.val();
        self.operands.a_value.next = self.registers.a_value.val();
        self.operands.b_value.next = self.registers.b_value.val();
        self.operands.c_value.next = self.registers.c_value.val();
        self.operands.aligned_load.next = self.aligned_load.val();
        self.operands.load_is_aligned.next = self.load_is_aligned.val();
        self.operands.held_load.next = self.held_load_reg.q.val();
        self.held_load_reg.d.next = self.load_data.val().get_bits::<32>(0);
        self.operands.effective_address.next = self.effective_reg.q.val();
        self.a.next = self.operands.late_a.val();
        self.b.next = self.operands.b.val();
        self.late_b.next = self.operands.late_b.val();
        self.register_b.next = self.operands.register_b.val();

        self.void.next = self.kill.val() | self.fault_reg.q.val() | self.branch_reg.q.val();

        // The unit.
        self.unit.reset.next = self.reset.val();
        self.unit.flush.next = self.void.val();
        // A load that the ALU does not take needs one more clock; so does one for the ALU that has to be moved to the right
        // place, and a target or what a micro-branch looks at, for these have far to go.
        self.waits_for_late.next = (self.prepared_reg.q.val().takes_late
            | !(self.load_is_aligned.val() | self.prepared_reg.q.val().from_load)
            | (self.op.val().control == Control::Jump)
            | (self.op.val().control == Control::Branch))
            & ((self.op.val().a_source == ASource::Load)
                | (self.op.val().b_source == BSource::Load))
            & !self.late_reg.q.val();
        self.unit.valid.next = self.valid_reg.q.val()
            & self.load_ready.val()
            & !(self.op.val().fault | self.waits_for_late.val());
        self.unit.op.next = self.op.val().op;
        self.unit.width.next = self.op.val().width;
        self.unit.prepared.next = self.prepared_reg.q.val();
        self.unit.keep_carry.next = self.op.val().keep_carry;
        self.unit.a.next = self.operands.a.val();
        self.unit.b.next = self.operands.b.val();
        self.unit.c.next = self.operands.c.val();
        self.unit.late_a.next = self.operands.late_a.val();
        self.unit.late_b.next = self.operands.late_b.val();
        self.unit.system_value.next = self.system_value.val();
        self.unit.load.next = self.load_data.val().get_bits::<32>(0);
        self.unit.factor.next = self.operands.factor.val();
        self.unit.condition.next = self.op.val().x86_condition;
        self.unit.eflags.next = self.eflags.val();
        self.result.next = self.unit.result.val();
        self.flags.next = self.eflags.val();
        self.nonzero.next = self.unit.nonzero.val();
        self.zero_flag_of_sum.next = self.op.val().write_flags & self.unit.zero_flag_of_sum.val();
        if self.op.val().write_flags {
            self.flags.next = self.unit.flags.val();
        }
        self.computed.next = self.valid_reg.q.val()
            & self.load_ready.val()
            & self.unit.ready.val()
            & !(self.op.val().fault | self.waits_for_late.val());

        // Conditions.
        self.is_null.next = self.operands.late_a.val().get_bits::<14>(2) == 0;
        self.condition_holds.next = false;
        match self.op.val().condition {
            Condition::Never => {}
            Condition::Zero => {
                self.condition_holds.next = self.unit.late_zero.val();
            }
            Condition::NotZero => {
                self.condition_holds.next = !self.unit.late_zero.val();
            }
            Condition::NullSelector => {
                self.condition_holds.next = self.is_null.val();
            }
            Condition::NotAccessed => {
                self.condition_holds.next = !self.descriptor.val().get_bit(40);
            }
            Condition::NotInner => {
                self.condition_holds.next = self.code_level.val() >= self.cpl.val();
            }
            Condition::NotOuter => {
                self.condition_holds.next =
                    self.operands.a.val().get_bits::<2>(0) <= self.cpl.val();
            }
            Condition::SystemDescriptor => {
                self.condition_holds.next = !self.descriptor.val().get_bit(44);
            }
            Condition::CompareEnds => {
                self.condition_holds.next =
                    self.eflags.val().get_bit(6) == self.op.val().repeat_not_equal;
            }
            Condition::Segment16 => {
                self.condition_holds.next = !self.descriptor.val().get_bit(54);
            }
            Condition::Refused => {
                self.condition_holds.next = self.check_refused.val();
            }
            Condition::Unusual => {
                self.condition_holds.next = !(self.descriptor.val().get_bit(40)
                    & self.descriptor.val().get_bit(54))
                    | self.drops_segments.val();
            }
            Condition::Denied => {
                // DF or TF.
                self.condition_holds.next = self.op.val().denied
                    | self.eflags.val().get_bit(10)
                    | self.eflags.val().get_bit(8);
            }
            Condition::RareGate => {
                // Gates of 32 bits are 11xxb; TSS are not.
                self.condition_holds.next = !(self.descriptor.val().get_bit(43)
                    & self.descriptor.val().get_bit(42))
                    | self.task16.val()
                    | self.eflags.val().get_bit(17);
            }
            Condition::Nested => {
                self.condition_holds.next =
                    self.eflags.val().get_bit(14) & !self.real_segments.val();
            }
            Condition::ReturnsToVirtual => {
                self.condition_holds.next = self.operands.b.val().get_bit(17)
                    & (self.cpl.val() == 0)
                    & !(self.op.val().operand16 | self.real_segments.val());
            }
        }

        // Where instructions go on.
        self.near_target.next = self.op.val().immediate;
        self.jumps.next = false;
        self.far.next = false;
        self.conditional.next = false;
        self.counted.next = false;
        // E0h LOOPNE, E1h LOOPE, E2h LOOP, E3h JCXZ: the low opcode bits are in the condition.
        self.loop_condition.next = self.op.val().x86_condition.get_bit(1)
            | (self.eflags.val().get_bit(6) == self.op.val().x86_condition.get_bit(0));
        match self.op.val().control {
            Control::Jump => {
                self.jumps.next = true;
                self.near_target.next = self.operands.late_a.val();
            }
            Control::JumpRelative => {
                self.jumps.next = true;
                self.conditional.next = true;
            }
            Control::JumpIf => {
                self.jumps.next = self.unit.condition_holds.val();
                self.conditional.next = true;
            }
            Control::Loop => {
                // The count is one less than operand a; that is known before the subtraction.
                self.jumps.next = (self.operands.late_a.val() != 1) & self.loop_condition.val();
                self.conditional.next = true;
            }
            Control::JumpIfZero => {
                self.jumps.next = self.operands.late_a.val() == 0;
                self.conditional.next = true;
            }
            Control::LoadCode => {
                self.jumps.next = true;
                self.far.next = true;
                self.near_target.next = self.operands.register_b.val();
            }
            Control::EnterCode => {
                self.jumps.next = true;
                self.far.next = true;
                self.near_target.next = self.operands.register_b.val();
            }
            Control::Resume => {
                self.jumps.next = true;
                self.far.next = true;
                self.near_target.next = self.operands.register_b.val();
            }
            Control::Sysenter => {
                self.jumps.next = true;
                self.far.next = true;
                self.near_target.next = self.sysenter_eip.val();
            }
            Control::Sysexit => {
                self.jumps.next = true;
                self.far.next = true;
                self.near_target.next = self.operands.late_a.val();
            }
            _ => {}
        }
        self.next_eip.next = self.op.val().next_eip;
        if self.jumps.val() {
            self.next_eip.next = self.near_target.val();
        }
        self.indirect.next = self.op.val().control == Control::Jump;
        self.beyond_limit.next = self.beyond_reg.q.val();
        if self.indirect.val() {
            self.beyond_limit.next = self.operands.late_a.val() > self.code_limit.val();
        }
        self.target_fault.next = self.jumps.val() & (!self.far.val()) & self.beyond_limit.val();

        // Faults that only execution finds.
        self.early_fault.next = self.check_fault.val();
        self.execute_vector.next = self.check_vector.val();
        self.execute_code.next = self.check_code.val();
        if (self.op.val().control == Control::SelectMsr) & self.msr_unknown.val() {
            self.early_fault.next = true;
            self.execute_vector.next = 13.into();
            self.execute_code.next = 0.into();
        }
        if self.unit.divide_error.val() {
            self.early_fault.next = true;
            self.execute_vector.next = 0.into();
            self.execute_code.next = 0.into();
        }
        self.execute_fault.next = self.early_fault.val() | self.target_fault.val();
        // A near jump has no other fault.
        if self.target_fault.val() {
            self.execute_vector.next = 13.into();
            self.execute_code.next = 0.into();
        }
        // A fault is raised in the clock after it is found, as the micro-op has gone by then: what follows it is void.
        self.found_fault.next = self.valid_reg.q.val()
            & (!self.void.val())
            & (self.op.val().fault | (self.computed.val() & self.execute_fault.val()));
        self.found_vector.next = self.execute_vector.val();
        self.found_code.next = self.execute_code.val();
        self.table_code.next = 0.into();
        if self.op.val().fault {
            self.found_vector.next = self.op.val().fault_vector;
            self.table_code.next = self.op.val().fault_code;
            self.found_code.next = self.op.val().fault_code;
            if (self.op.val().fault_vector != 14)
                & (self.segment_reg.q.val() > 5)
                & !self.op.val().table_access
            {
                if self.segment_reg.q.val() == 10 {
                    self.table_code.next = self.new_stack_selector.val() & 0xFFFC;
                }
                if self.segment_reg.q.val() == 7 {
                    self.table_code.next = self.task_selector.val() & 0xFFFC;
                }
                self.found_code.next =
                    self.table_code.val() | bit_cast::<16, 1>(self.external.val().into());
            }
        }
        self.fault_reg.d.next = self.found_fault.val();
        self.fault_vector_reg.d.next = self.found_vector.val();
        self.fault_code_reg.d.next = self.found_code.val();
        self.fault_linear_reg.d.next = self.linear_reg.q.val();
        self.fault_bytes_reg.d.next = self.bytes_reg.q.val();
        self.fault_length_reg.d.next = self.op.val().length;
        self.fault.next = self.fault_reg.q.val();
        self.fault_vector.next = self.fault_vector_reg.q.val();
        self.fault_code.next = self.fault_code_reg.q.val();
        self.fault_linear.next = self.fault_linear_reg.q.val();
        self.fault_bytes.next = self.fault_bytes_reg.q.val();
        self.fault_length.next = self.fault_length_reg.q.val();

        // Retirement. Whether the pipeline moves does not wait for the search for faults.
        self.is_store.next =
            (self.op.val().memory == MemoryOp::Store) | (self.op.val().memory == MemoryOp::Modify);
        self.store_here.next = self.valid_reg.q.val() & self.is_store.val();
        self.changed_code.next =
            self.changed_code_reg.q.val() | (self.is_store.val() & self.changes_code.val());
        self.code_changed.next = self.changed_code.val();
        self.store_valid.next = self.computed.val()
            & self.is_store.val()
            & !(self.void.val() | self.execute_fault.val());
        self.moves.next = self.computed.val() & (self.store_ready.val() | !self.is_store.val());
        self.done.next = self.moves.val() & !(self.void.val() | self.execute_fault.val());
        self.retires.next = self.done.val();
        self.retires_control.next = self.moves.val() & !(self.void.val() | self.early_fault.val());
        self.leaves.next = self.moves.val() & !self.void.val();
        self.unit.advance.next = self.moves.val();
        self.vacant.next = (!self.valid_reg.q.val()) | self.moves.val() | self.op.val().fault;
        self.empty.next =
            !(self.valid_reg.q.val() | self.fault_reg.q.val() | self.branch_reg.q.val());
        self.interrupt_point.next = ((self.valid_reg.q.val()
            & (self.op.val().first | self.op.val().boundary))
            | ((!self.valid_reg.q.val()) & self.at_boundary.q.val()))
            & !(self.fault_reg.q.val() | self.branch_reg.q.val());
        // A micro-branch takes effect one clock later, too.
        self.branch_reg.d.next = self.done.val()
            & (self.op.val().control == Control::Branch)
            & self.condition_holds.val();
        self.branch_target_reg.d.next = self.op.val().target;
        self.branch_esp_reg.d.next = self.esp_after_reg.q.val();
        self.branch_resizes_reg.d.next = self.op.val().condition == Condition::RareGate;
        self.branch_operand16_reg.d.next = !self.descriptor.val().get_bit(43);
        self.micro_resizes.next = self.branch_resizes_reg.q.val();
        self.micro_operand16.next = self.branch_operand16_reg.q.val();
        self.micro_redirect.next = self.branch_reg.q.val();
        self.micro_esp.next = self.branch_esp_reg.q.val();
        self.micro_target.next = self.branch_target_reg.q.val();
        self.as_predicted.next =
            self.op.val().predicted_taken & (self.operands.late_a.val() == self.op.val().immediate);
        self.redirect.next = self.moves.val()
            & (!self.void.val())
            & self.op.val().last
            & (self.op.val().serialize
                | self.changed_code.val()
                | (self.conditional.val() & (self.jumps.val() != self.op.val().predicted_taken))
                | (self.jumps.val()
                    & !(self.conditional.val() | (self.indirect.val() & self.as_predicted.val()))));
        self.branch_conditional.next = (self.op.val().control == Control::JumpIf)
            | (self.op.val().control == Control::Loop)
            | (self.op.val().control == Control::JumpIfZero);
        // C2 and C3 return; E8 and the near calls of FF use the stack, too.
        self.branch_returns.next = self.indirect.val() & !self.op.val().x86_condition.get_bit(2);
        self.branch_call.next = self.op.val().stack
            & ((self.op.val().control == Control::JumpRelative)
                | (self.indirect.val() & self.op.val().x86_condition.get_bit(2)));
        self.branch_taken.next = self.jumps.val();
        self.branch_wrong.next = (self.jumps.val() != self.op.val().followed)
            | (self.indirect.val() & !self.as_predicted.val());
        // The last micro-op of an event's delivery is no branch: it has no length.
        self.branch_retires.next = self.retires_control.val()
            & self.op.val().last
            & (self.op.val().length != 0)
            & (self.conditional.val() | self.indirect.val());
        // LOOP and JCXZ count in a register, which takes long, and go elsewhere a clock later.
        self.mispredicts.next = self.valid_reg.q.val()
            & (self.op.val().control == Control::JumpIf)
            & (self.unit.condition_holds.val() != self.op.val().predicted_taken);
        self.other_linear.next = self.other_linear_reg.q.val();
        self.goes_far.next = self.valid_reg.q.val() & self.goes_far_reg.q.val();
        self.far_user.next = self.far_user_reg.q.val();
        self.far_linear_reg.d.next = self.far_linear_reg.q.val();
        // A fault ends it, too: its delivery begins with none known.
        if self.leaves.val() & (self.op.val().check == Check::CodeTarget) {
            self.far_linear_reg.d.next =
                self.checked_code_base.val() + self.operands.register_b.val();
            self.far_known_reg.d.next = !self.real_segments.val();
        }
        if self.leaves.val() & self.op.val().last {
            self.far_known_reg.d.next = false;
        }
        self.other_eip.next = self.memory_micro_op.val().immediate;
        if self.memory_micro_op.val().predicted_taken {
            self.other_eip.next = self.memory_micro_op.val().next_eip;
        }
        if self.done.val() {
            self.at_boundary.d.next = self.op.val().last;
            self.changed_code_reg.d.next = self.changed_code.val() & !self.op.val().last;
        }

        // Register writes, merged with what a byte or word write leaves.
        self.old_merged.next = self.unit.result.val();
        if self.op.val().width == Width::Word {
            self.old_merged.next = (self.registers.old_value.val() & 0xFFFF_0000_u64)
                | bit_cast::<32, 16>(self.unit.result.val().get_bits::<16>(0));
        }
        if self.op.val().width == Width::Byte {
            if self.op.val().destination_high {
                self.old_merged.next = (self.registers.old_value.val() & 0xFFFF_00FF_u64)
                    | (bit_cast::<32, 8>(self.unit.result.val().get_bits::<8>(0)) << 8);
            } else {
                self.old_merged.next = (self.registers.old_value.val() & 0xFFFF_FF00_u64)
                    | bit_cast::<32, 8>(self.unit.result.val().get_bits::<8>(0));
            }
        }
        self.debug_general_write.next =
            self.debug_halted.val() & self.debug_write.val() & (self.debug_register.val() < 16);
        self.writes_register.next = self.done.val() & self.op.val().writes;
        self.register_write.next = self.writes_register.val();
        self.register_number.next = self.op.val().destination;
        self.register_value.next = self.old_merged.val();
        self.registers.write.next = self.writes_register.val() | self.debug_general_write.val();
        self.registers.write_number.next = self.op.val().destination;
        self.registers.write_value.next = self.old_merged.val();
        if self.debug_general_write.val() {
            self.registers.write_number.next = self.debug_register.val().get_bits::<4>(0);
            self.registers.write_value.next = self.debug_write_data.val();
        }
        // ESP moves with the last micro-op of an instruction that used the stack.
        self.moves_esp.next = self.done.val() & self.op.val().last & self.op.val().stack;
        self.esp_write.next = self.moves_esp.val();
        self.registers.write_esp.next = self.moves_esp.val();
        self.registers.write_esp_value.next = self.esp_after_reg.q.val();
        self.esp.next = self.registers.esp_value.val();
        self.writes_esp.next = (self.writes_register.val() & (self.op.val().destination == 4))
            | self.debug_general_write.val();

        // The next one.
        self.late_reg.d.next = self.valid_reg.q.val()
            & self.load_ready.val()
            & !(self.moves.val() | self.void.val() | self.redirect.val());
        if self.moves.val() | self.op.val().fault {
            self.valid_reg.d.next = false;
        }
        if self.takes.val() {
            self.valid_reg.d.next = true;
            self.micro_op_reg.d.next = self.memory_micro_op.val();
            self.prepared_reg.d.next = self.prepare.prepared.val();
            self.bytes_reg.d.next = self.memory_bytes.val();
            self.effective_reg.d.next = self.memory_effective_address.val();
            self.linear_reg.d.next = self.memory_linear_address.val();
            self.segment_reg.d.next = self.memory_segment.val();
            self.esp_after_reg.d.next = self.memory_esp_after.val();
            self.other_linear_reg.d.next = self.code_base.val() + self.other_eip.val();
            self.beyond_reg.d.next = self.memory_micro_op.val().immediate > self.code_limit.val();
            self.goes_far_reg.d.next = false;
            self.far_user_reg.d.next = self.code_level.val() == 3;
            match self.memory_micro_op.val().control {
                Control::LoadCode => {
                    self.other_linear_reg.d.next = self.far_linear_reg.q.val();
                    self.goes_far_reg.d.next = self.far_known_reg.q.val();
                }
                Control::EnterCode => {
                    self.other_linear_reg.d.next = self.far_linear_reg.q.val();
                    self.goes_far_reg.d.next = self.far_known_reg.q.val();
                }
                Control::Sysenter => {
                    self.other_linear_reg.d.next = self.sysenter_eip.val();
                    self.goes_far_reg.d.next = true;
                    self.far_user_reg.d.next = false;
                }
                Control::Sysexit => {
                    // Its address is the flat one of its target.
                    self.other_linear_reg.d.next = self.memory_linear_address.val();
                    self.goes_far_reg.d.next = true;
                    self.far_user_reg.d.next = true;
                }
                _ => {}
            }
        }
        if self.void.val() | self.redirect.val() {
            self.valid_reg.d.next = false;
        }
        if self.event_begins.val() {
            self.at_boundary.d.next = false;
            self.far_known_reg.d.next = false;
            self.changed_code_reg.d.next = false;
        }
        if self.reset.val() {
            self.valid_reg.d.next = false;
            self.far_known_reg.d.next = false;
            self.fault_reg.d.next = false;
            self.branch_reg.d.next = false;
            self.at_boundary.d.next = false;
            self.changed_code_reg.d.next = false;
        }
    }
}
