//! Second decode clock: turns an opcode row, or a word of a microcode routine, into a micro-op.
use super::register_select::RegisterNumber;
use super::rom::SyncRom;
use crate::prelude::*;

/// Holds one instruction until its last micro-op has left for the address stage.
#[derive(LogicBlock, Default)]
pub struct Issue {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from the buffer
    pub found: Signal<In, Bit>,
    pub found_predecoded: Signal<In, Predecoded>,
    pub found_row_index: Signal<In, Bits<11>>,
    pub found_bytes: Signal<In, Bits<128>>,
    /// What was found is a branch, and fetch went on at `found_target_eip`.
    pub found_follows: Signal<In, Bit>,
    pub found_target_eip: Signal<In, Bits<32>>,
    /// What was found is to be fetched again.
    pub found_miscut: Signal<In, Bit>,
    // from hazard
    /// The micro-op shown leaves for the address stage.
    pub advance: Signal<In, Bit>,
    /// The instruction held is dropped.
    pub flush: Signal<In, Bit>,
    // from execute
    /// Continue at `micro_target`, with the instruction held.
    pub micro_redirect: Signal<In, Bit>,
    pub micro_target: Signal<In, Bits<11>>,
    /// ... and with this operand size.
    pub micro_resizes: Signal<In, Bit>,
    pub micro_operand16: Signal<In, Bit>,
    /// Begin the routine that delivers an event.
    pub event_begins: Signal<In, Bit>,
    pub event_entry: Signal<In, Bits<11>>,
    // mode
    pub real_mode: Signal<In, Bit>,
    pub real_segments: Signal<In, Bit>,
    pub ports_restricted: Signal<In, Bit>,
    pub event_has_error_code: Signal<In, Bit>,
    pub stack32: Signal<In, Bit>,
    pub code_limit: Signal<In, Bits<32>>,
    // to the buffer
    /// Takes what is found at the end of this clock, if anything is.
    pub takes_found: Signal<Out, Bit>,
    // to the address stage
    pub issue_valid: Signal<Out, Bit>,
    /// The micro-op is the last, or would be in another mode: it waits for micro-branches.
    pub may_be_last: Signal<Out, Bit>,
    pub micro_op: Signal<Out, MicroOp>,
    pub bytes: Signal<Out, Bits<128>>,
    // to fetch: a branch is predicted taken, and fetch went on elsewhere
    pub predicts: Signal<Out, Bit>,
    /// The same, whether the branch leaves in this clock or not, and whether it faults or not: known earlier. Not if fetch
    /// followed the branch to a wrong target.
    pub may_predict: Signal<Out, Bit>,
    pub predicted_eip: Signal<Out, Bits<32>>,
    /// That branch is a call, which returns to this EIP.
    pub predicts_call: Signal<Out, Bit>,
    pub return_eip: Signal<Out, Bits<32>>,
    /// A near call or return leaves.
    pub call_leaves: Signal<Out, Bit>,
    pub return_leaves: Signal<Out, Bit>,
    /// `predicted_eip` is the instruction held itself, which was cut wrongly before `cut_eip`.
    pub miscut: Signal<Out, Bit>,
    pub cut_eip: Signal<Out, Bits<32>>,
    /// Holds an instruction or runs a routine.
    pub busy: Signal<Out, Bit>,
    // state
    valid: DFF<Bit>,
    instruction: DFF<Predecoded>,
    instruction_bytes: DFF<Bits<128>>,
    row_index: DFF<Bits<11>>,
    follows: DFF<Bit>,
    target_eip: DFF<Bits<32>>,
    miscut_reg: DFF<Bit>,
    in_routine: DFF<Bit>,
    micro_address: DFF<Bits<11>>,
    first: DFF<Bit>,
    // units
    row_micro: SyncRom<MicroInstruction, 11>,
    row_decode: SyncRom<DecodeRow, 11>,
    microcode: SyncRom<MicroInstruction, 11>,
    a_number: RegisterNumber,
    b_number: RegisterNumber,
    destination_number: RegisterNumber,
    base_number: RegisterNumber,
    // wires
    held: Signal<Local, Predecoded>,
    row: Signal<Local, DecodeRow>,
    word: Signal<Local, MicroInstruction>,
    byte_operation: Signal<Local, Bit>,
    static_taken: Signal<Local, Bit>,
    left_out: Signal<Local, Bit>,
    /// The micro-instruction behind this one.
    following: Signal<Local, Bits<11>>,
    next_address: Signal<Local, Bits<11>>,
    rom_address: Signal<Local, Bits<11>>,
    rom_enable: Signal<Local, Bit>,
    leaves: Signal<Local, Bit>,
    takes: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    /// The last micro-op, and that is known early.
    surely_last: Signal<Local, Bit>,
    relative_target: Signal<Local, Bits<32>>,
    undefined: Signal<Local, Bit>,
    faults: Signal<Local, Bit>,
    believed: Signal<Local, Bit>,
    agrees: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    jumps: Signal<Local, Bit>,
    width: Signal<Local, Width>,
    access_size: Signal<Local, Bits<4>>,
    mode: Signal<Local, Bits<2>>,
    rm: Signal<Local, Bits<3>>,
    has_sib: Signal<Local, Bit>,
    operand_segment: Signal<Local, Bits<3>>,
    stack_default: Signal<Local, Bit>,
    base: Signal<Local, Bits<4>>,
    base_valid: Signal<Local, Bit>,
    index: Signal<Local, Bits<4>>,
    index_valid: Signal<Local, Bit>,
    scale: Signal<Local, Bits<2>>,
    displacement: Signal<Local, Bits<32>>,
    constant: Signal<Local, Bits<32>>,
    segment: Signal<Local, Bits<4>>,
    address16: Signal<Local, Bit>,
    stack: Signal<Local, Bit>,
    micro_valid: Signal<Local, Bit>,
    beyond_limit: Signal<Local, Bit>,
    last_byte: Signal<Local, Bits<32>>,
}

impl Issue {
    pub fn new() -> Self {
        let image = crate::microcode::image();
        let (rows, decode) = super::rows::rows(&image);
        Self {
            row_micro: SyncRom::new(rows),
            row_decode: SyncRom::new(decode),
            microcode: SyncRom::new(image.words),
            ..Default::default()
        }
    }
}

impl Logic for Issue {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            valid,
            instruction,
            instruction_bytes,
            row_index,
            follows,
            target_eip,
            miscut_reg,
            in_routine,
            micro_address,
            first
        );
        clock!(self, clock, row_micro, row_decode, microcode);
        self.held.next = self.instruction.q.val();
        self.row.next = self.row_decode.row.val();
        self.word.next = self.row_micro.row.val();
        if self.in_routine.q.val() {
            self.word.next = self.microcode.row.val();
        }

        // Faults of the instruction as such.
        self.undefined.next = (!self.row.val().built)
            | (self.held.val().lock
                & ((!self.row.val().lockable)
                    | (bit_cast::<2, 8>(self.held.val().modrm >> 6) == 3)));
        self.last_byte.next = self.held.val().next_eip - 1;
        self.beyond_limit.next = self.last_byte.val() > self.code_limit.val();
        self.faults.next = (!self.in_routine.q.val())
            & (self.undefined.val()
                | self.held.val().fetch_fault
                | self.held.val().too_long
                | self.beyond_limit.val());

        // Decisions taken here.
        self.static_taken.next = false;
        match self.word.val().static_condition {
            StaticCondition::Never => {}
            StaticCondition::Always => {
                self.static_taken.next = true;
            }
            StaticCondition::RealMode => {
                self.static_taken.next = self.real_mode.val();
            }
            StaticCondition::RealSegments => {
                self.static_taken.next = self.real_segments.val();
            }
            StaticCondition::Repeat => {
                self.static_taken.next = self.held.val().repeat;
            }
            StaticCondition::OperandSize16 => {
                self.static_taken.next = self.held.val().operand16;
            }
            StaticCondition::HasErrorCode => {
                self.static_taken.next = self.event_has_error_code.val();
            }
            StaticCondition::PortsRestricted => {
                self.static_taken.next = self.ports_restricted.val();
            }
            StaticCondition::Stack16 => {
                self.static_taken.next = !self.stack32.val();
            }
        }
        self.left_out.next = self.static_taken.val() & !self.in_routine.q.val();
        // A micro-op that faults flushes what comes behind it, so nothing here waits to know whether it does.
        self.last.next = self.word.val().last & !self.static_taken.val();
        // The next instruction comes in the clock in which the last one leaves; after the rare ones that look at the mode
        // first, a clock later.
        self.surely_last.next = self.word.val().last
            & ((self.word.val().static_condition == StaticCondition::Never)
                | ((self.word.val().static_condition == StaticCondition::OperandSize16)
                    & !self.held.val().operand16));
        self.following.next = self.micro_address.q.val() + 1;
        self.next_address.next = self.following.val();
        if !self.in_routine.q.val() {
            self.next_address.next = self.row.val().entry;
        }
        if self.static_taken.val() {
            self.next_address.next = self.word.val().target;
        }

        // Relative branches.
        self.relative_target.next = self.held.val().next_eip + self.held.val().immediate;
        if self.held.val().operand16 {
            self.relative_target.next = bit_cast::<32, 16>(bit_cast::<16, 32>(
                self.held.val().next_eip + self.held.val().immediate,
            ));
        }
        // Conditional branches are predicted taken if fetch did so, or if they go backward.
        self.believed.next = (!self.in_routine.q.val())
            & self.held.val().relative
            & (self.held.val().always_taken
                | self.follows.q.val()
                | bit_cast::<1, 32>(self.held.val().immediate >> 31).any());
        self.agrees.next =
            self.follows.q.val() & (self.relative_target.val() == self.target_eip.q.val());
        self.jumps.next = self.word.val().control == Control::Jump;

        // Sizes.
        self.byte_operation.next = self.word.val().width == WidthSelect::Byte;
        self.width.next = Width::Dword;
        match self.word.val().width {
            WidthSelect::Byte => {
                self.width.next = Width::Byte;
            }
            WidthSelect::Word => {
                self.width.next = Width::Word;
            }
            WidthSelect::Quad => {
                self.width.next = Width::Quad;
            }
            WidthSelect::Operand => {
                if self.held.val().operand16 {
                    self.width.next = Width::Word;
                }
            }
            WidthSelect::Address => {
                if self.held.val().address16 {
                    self.width.next = Width::Word;
                }
            }
            _ => {}
        }
        self.access_size.next = 4.into();
        match self.word.val().memory_width {
            WidthSelect::Byte => {
                self.access_size.next = 1.into();
            }
            WidthSelect::Word => {
                self.access_size.next = 2.into();
            }
            WidthSelect::Quad => {
                self.access_size.next = 8.into();
            }
            WidthSelect::Operand => {
                if self.held.val().operand16 {
                    self.access_size.next = 2.into();
                }
            }
            WidthSelect::Address => {
                if self.held.val().address16 {
                    self.access_size.next = 2.into();
                }
            }
            _ => {}
        }

        // Registers.
        self.a_number.select.next = self.word.val().a;
        self.a_number.byte_register.next = self.byte_operation.val();
        self.a_number.modrm.next = self.held.val().modrm;
        self.a_number.opcode.next = self.held.val().opcode;
        self.b_number.select.next = self.word.val().b;
        self.b_number.byte_register.next = self.byte_operation.val()
            | (self.word.val().op == ExecuteOp::ZeroExtendByte)
            | (self.word.val().op == ExecuteOp::SignExtendByte);
        self.b_number.modrm.next = self.held.val().modrm;
        self.b_number.opcode.next = self.held.val().opcode;
        self.destination_number.select.next = self.word.val().destination;
        self.destination_number.byte_register.next = self.byte_operation.val();
        self.destination_number.modrm.next = self.held.val().modrm;
        self.destination_number.opcode.next = self.held.val().opcode;
        self.base_number.select.next = self.word.val().base;
        self.base_number.byte_register.next = false;
        self.base_number.modrm.next = self.held.val().modrm;
        self.base_number.opcode.next = self.held.val().opcode;

        // The address that ModRM and SIB describe.
        self.mode.next = bit_cast::<2, 8>(self.held.val().modrm >> 6);
        self.rm.next = bit_cast::<3, 8>(self.held.val().modrm & 7);
        self.has_sib.next = (!self.held.val().address16) & (self.rm.val() == 4);
        self.base.next = bit_cast::<4, 3>(self.rm.val());
        self.base_valid.next = true;
        self.index.next = bit_cast::<4, 8>((self.held.val().sib >> 3) & 7);
        self.index_valid.next = false;
        self.scale.next = 0.into();
        self.stack_default.next = false;
        if self.held.val().address16 {
            match self.rm.val().index() {
                0 => {
                    self.base.next = 3.into();
                    self.index.next = 6.into();
                    self.index_valid.next = true;
                }
                1 => {
                    self.base.next = 3.into();
                    self.index.next = 7.into();
                    self.index_valid.next = true;
                }
                2 => {
                    self.base.next = 5.into();
                    self.index.next = 6.into();
                    self.index_valid.next = true;
                    self.stack_default.next = true;
                }
                3 => {
                    self.base.next = 5.into();
                    self.index.next = 7.into();
                    self.index_valid.next = true;
                    self.stack_default.next = true;
                }
                4 => {
                    self.base.next = 6.into();
                }
                5 => {
                    self.base.next = 7.into();
                }
                6 => {
                    self.base.next = 5.into();
                    self.base_valid.next = self.mode.val() != 0;
                    self.stack_default.next = self.mode.val() != 0;
                }
                _ => {
                    self.base.next = 3.into();
                }
            }
        } else {
            if self.has_sib.val() {
                self.base.next = bit_cast::<4, 8>(self.held.val().sib & 7);
                self.index_valid.next = self.index.val() != 4;
                self.scale.next = bit_cast::<2, 8>(self.held.val().sib >> 6);
                self.base_valid.next =
                    (bit_cast::<3, 8>(self.held.val().sib & 7) != 5) | (self.mode.val() != 0);
                self.stack_default.next = (bit_cast::<3, 8>(self.held.val().sib & 7) == 4)
                    | ((bit_cast::<3, 8>(self.held.val().sib & 7) == 5) & (self.mode.val() != 0));
            } else {
                self.base_valid.next = (self.rm.val() != 5) | (self.mode.val() != 0);
                self.stack_default.next = (self.rm.val() == 5) & (self.mode.val() != 0);
            }
        }
        // The access as the address stage wants it.
        self.constant.next = (bit_cast::<32, 12>(self.word.val().constant) ^ 0x800) - 0x800;
        self.operand_segment.next = 3.into();
        if (self.word.val().segment == SegmentSelect::Operand) & self.stack_default.val() {
            self.operand_segment.next = 2.into();
        }
        if self.held.val().segment_override {
            self.operand_segment.next = self.held.val().segment;
        }
        self.segment.next = bit_cast::<4, 3>(self.operand_segment.val());
        self.address16.next = self.held.val().address16;
        self.displacement.next = self.constant.val();
        self.stack.next = false;
        match self.word.val().segment {
            SegmentSelect::Operand => {}
            SegmentSelect::Data => {}
            SegmentSelect::Es => {
                self.segment.next = 0.into();
            }
            SegmentSelect::Ss => {
                self.segment.next = 2.into();
                self.address16.next = !self.stack32.val();
            }
            SegmentSelect::Tss => {
                self.segment.next = 7.into();
                self.address16.next = false;
            }
            SegmentSelect::PortBitmap => {
                self.segment.next = 7.into();
                self.address16.next = false;
            }
            SegmentSelect::New => {
                self.segment.next = 10.into();
                self.address16.next = false;
            }
            SegmentSelect::Table => {
                self.segment.next = 8.into();
                self.address16.next = false;
            }
            SegmentSelect::Idt => {
                self.segment.next = 9.into();
                self.address16.next = false;
            }
            SegmentSelect::Flat => {
                self.segment.next = 11.into();
                self.address16.next = false;
            }
        }
        match self.word.val().address {
            AddressMode::ModRm => {
                self.displacement.next = self.held.val().displacement + self.constant.val();
            }
            AddressMode::Direct => {
                self.base_valid.next = false;
                self.index_valid.next = false;
                self.displacement.next = self.held.val().immediate;
            }
            AddressMode::Based => {
                self.base.next = self.base_number.number.val();
                self.base_valid.next = self.base_number.present.val();
                self.index_valid.next = false;
                self.scale.next = 0.into();
            }
            AddressMode::Descriptor => {
                self.base.next = self.base_number.number.val();
                self.base_valid.next = true;
                self.index_valid.next = false;
            }
            AddressMode::Port => {
                self.base.next = self.base_number.number.val();
                self.base_valid.next = true;
                self.index_valid.next = false;
                self.segment.next = 11.into();
                self.address16.next = true;
                self.displacement.next = 0.into();
            }
            AddressMode::PortImmediate => {
                self.base_valid.next = false;
                self.index_valid.next = false;
                self.segment.next = 11.into();
                self.address16.next = true;
                self.displacement.next = self.held.val().immediate;
            }
            AddressMode::Vector => {
                self.base_valid.next = false;
                self.index_valid.next = false;
            }
            AddressMode::VectorImmediate => {
                self.base_valid.next = false;
                self.index_valid.next = false;
            }
            AddressMode::SetStack => {
                self.base.next = self.base_number.number.val();
                self.base_valid.next = true;
                self.index_valid.next = false;
                self.scale.next = 0.into();
                self.address16.next = false;
                self.stack.next = true;
            }
            _ => {
                // The stack modes.
                self.base.next = 5.into();
                self.base_valid.next = self.word.val().address == AddressMode::PopFrame;
                self.index_valid.next = false;
                self.segment.next = 2.into();
                self.address16.next = !self.stack32.val();
                self.displacement.next = self.held.val().immediate;
                self.stack.next = true;
            }
        }

        // The micro-op.
        self.micro_op.next.op = self.word.val().op;
        self.micro_op.next.width = self.width.val();
        self.micro_op.next.a_source = self.word.val().a_source;
        self.micro_op.next.a = self.a_number.number.val();
        self.micro_op.next.a_high = self.a_number.high.val();
        self.micro_op.next.b_source = self.word.val().b_source;
        self.micro_op.next.b = self.b_number.number.val();
        self.micro_op.next.b_high = self.b_number.high.val();
        self.micro_op.next.c_source = self.word.val().c_source;
        self.micro_op.next.writes = self.destination_number.present.val();
        self.micro_op.next.destination = self.destination_number.number.val();
        self.micro_op.next.destination_high = self.destination_number.high.val();
        self.micro_op.next.write_flags = self.word.val().write_flags;
        self.micro_op.next.keep_carry = self.word.val().keep_carry;
        self.micro_op.next.memory = self.word.val().memory;
        self.micro_op.next.access_size = self.access_size.val();
        self.micro_op.next.address = self.word.val().address;
        self.micro_op.next.segment = self.segment.val();
        self.micro_op.next.table_access = self.word.val().segment == SegmentSelect::PortBitmap;
        self.micro_op.next.system_access = self.word.val().system_access;
        self.micro_op.next.address16 = self.address16.val();
        self.micro_op.next.base = self.base.val();
        self.micro_op.next.base_valid = self.base_valid.val();
        self.micro_op.next.index = self.index.val();
        self.micro_op.next.index_valid = self.index_valid.val();
        self.micro_op.next.scale = self.scale.val();
        self.micro_op.next.displacement = self.displacement.val();
        self.micro_op.next.immediate = self.held.val().immediate;
        if self.held.val().relative {
            self.micro_op.next.immediate = self.relative_target.val();
        }
        if self.jumps.val() {
            // Execute compares.
            self.micro_op.next.immediate = self.target_eip.q.val();
        }
        self.micro_op.next.second_immediate = self.held.val().second_immediate;
        self.micro_op.next.constant = self.word.val().constant;
        self.micro_op.next.system = self.word.val().system;
        if self.word.val().system_from_reg {
            self.micro_op.next.system =
                self.word.val().system + bit_cast::<8, 8>((self.held.val().modrm >> 3) & 7);
        }
        self.micro_op.next.control = self.word.val().control;
        self.micro_op.next.condition = self.word.val().condition;
        self.micro_op.next.check = self.word.val().check;
        self.micro_op.next.x86_condition = bit_cast::<4, 8>(self.held.val().opcode & 15);
        if (self.word.val().control == Control::Loop) & self.held.val().repeat {
            // LOOPE and LOOPNE heed the prefix, not their opcode.
            self.micro_op.next.x86_condition = bit_cast::<4, 8>(self.held.val().opcode & 14)
                | bit_cast::<4, 1>((!self.held.val().repeat_not_equal).into());
        }
        self.micro_op.next.target = self.word.val().target;
        if self.static_taken.val() {
            self.micro_op.next.target = self.following.val();
        }
        self.micro_op.next.micro_address = bit_cast::<12, 11>(self.row_index.q.val());
        if self.in_routine.q.val() {
            self.micro_op.next.micro_address =
                bit_cast::<12, 11>(self.micro_address.q.val()) | 0x800;
        }
        self.micro_op.next.first = self.first.q.val();
        self.micro_op.next.last = self.last.val();
        self.micro_op.next.boundary = self.word.val().boundary;
        self.micro_op.next.serialize = self.word.val().serialize;
        self.micro_op.next.shadow = self.word.val().shadow;
        self.micro_op.next.stack = self.stack.val();
        self.micro_op.next.operand16 = self.held.val().operand16;
        self.micro_op.next.repeat_not_equal = self.held.val().repeat_not_equal;
        self.micro_op.next.predicted_taken =
            self.believed.val() | (self.jumps.val() & self.follows.q.val());
        self.micro_op.next.followed = self.agrees.val() | (self.jumps.val() & self.follows.q.val());
        self.micro_op.next.eip = self.held.val().eip;
        self.micro_op.next.next_eip = self.held.val().next_eip;
        self.micro_op.next.length = self.held.val().length;
        self.micro_op.next.denied = false;
        self.micro_op.next.fault = self.faults.val();
        self.micro_op.next.fault_vector = 6.into();
        self.micro_op.next.fault_code = 0.into();
        if self.left_out.val() | self.faults.val() {
            self.micro_op.next.memory = MemoryOp::None;
            self.micro_op.next.address = AddressMode::Based;
            self.micro_op.next.stack = false;
            self.micro_op.next.writes = false;
            self.micro_op.next.write_flags = false;
            self.micro_op.next.control = Control::None;
            self.micro_op.next.check = Check::None;
        }
        // Of several, the one found first on the way in: limit, fetch, length, meaning.
        if self.held.val().too_long | self.beyond_limit.val() {
            self.micro_op.next.fault_vector = 13.into();
        }
        // In a routine, `held` may still be the instruction whose fault the routine delivers.
        if self.held.val().fetch_fault & !(self.in_routine.q.val() | self.beyond_limit.val()) {
            self.micro_op.next.fault_vector = 14.into();
            self.micro_op.next.fault_code = bit_cast::<16, 3>(self.held.val().fetch_fault_code);
            self.micro_op.next.displacement = self.held.val().displacement;
        }
        self.bytes.next = self.instruction_bytes.q.val();

        // Moving on.
        self.micro_valid.next = self.valid.q.val() | self.in_routine.q.val();
        self.miscut.next = self.valid.q.val() & self.miscut_reg.q.val() & !self.in_routine.q.val();
        self.cut_eip.next = self.held.val().displacement;
        self.may_be_last.next = self.word.val().last;
        self.issue_valid.next = self.micro_valid.val() & !self.miscut.val();
        self.busy.next = self.micro_valid.val();
        self.leaves.next = self.issue_valid.val() & self.advance.val();
        self.takes_found.next =
            (!self.micro_valid.val()) | (self.leaves.val() & self.surely_last.val());
        self.takes.next = self.found.val() & self.takes_found.val() & !self.flush.val();
        self.predicts.next =
            (self.leaves.val() & self.believed.val() & !self.agrees.val()) | self.miscut.val();
        self.may_predict.next =
            (self.valid.q.val() & self.believed.val() & !self.follows.q.val()) | self.miscut.val();
        self.predicted_eip.next = self.relative_target.val();
        self.predicts_call.next = (self.held.val().opcode == 0xE8) & !self.miscut.val();
        self.ends.next = self.leaves.val() & self.last.val() & (self.held.val().length != 0);
        self.call_leaves.next = self.ends.val()
            & ((self.held.val().opcode == 0xE8)
                | ((self.held.val().opcode == 0xFF)
                    & (bit_cast::<3, 8>((self.held.val().modrm >> 3) & 7) == 2)));
        self.return_leaves.next =
            self.ends.val() & ((self.held.val().opcode == 0xC2) | (self.held.val().opcode == 0xC3));
        self.return_eip.next = self.held.val().next_eip;

        self.rom_enable.next = (self.leaves.val() & !self.last.val())
            | self.micro_redirect.val()
            | self.event_begins.val();
        self.rom_address.next = self.next_address.val();
        if self.leaves.val() {
            self.first.d.next = false;
            if self.last.val() {
                self.valid.d.next = false;
                self.in_routine.d.next = false;
                self.first.d.next = true;
            } else {
                self.in_routine.d.next = true;
            }
        }
        if self.takes.val() {
            self.valid.d.next = true;
            self.instruction.d.next = self.found_predecoded.val();
            self.instruction_bytes.d.next = self.found_bytes.val();
            self.follows.d.next = self.found_follows.val();
            self.target_eip.d.next = self.found_target_eip.val();
            self.miscut_reg.d.next = self.found_miscut.val();
            self.row_index.d.next = self.found_row_index.val();
        }
        if self.predicts.val() | self.flush.val() {
            // The buffer is flushed in the same clock; what it shows is from the wrong path.
            self.valid.d.next = false;
        }
        if self.flush.val() {
            self.in_routine.d.next = false;
            self.first.d.next = true;
        }
        if self.micro_redirect.val() {
            self.valid.d.next = true;
            self.in_routine.d.next = true;
            self.first.d.next = false;
            self.rom_address.next = self.micro_target.val();
            if self.micro_resizes.val() {
                self.instruction.d.next.operand16 = self.micro_operand16.val();
            }
        }
        if self.event_begins.val() {
            self.valid.d.next = true;
            self.in_routine.d.next = true;
            self.first.d.next = true;
            // Not of the instruction that the event follows, or that was held before a reset.
            self.instruction.d.next.length = 0.into();
            self.instruction.d.next.next_eip = 0.into();
            self.instruction.d.next.operand16 = false;
            self.instruction.d.next.address16 = false;
            self.instruction.d.next.segment_override = false;
            self.instruction.d.next.repeat = false;
            self.follows.d.next = false;
            self.miscut_reg.d.next = false;
            // Its address would become a displacement of the routine's accesses.
            self.instruction.d.next.fetch_fault = false;
            self.rom_address.next = self.event_entry.val();
        }
        if self.reset.val() {
            self.valid.d.next = false;
            self.in_routine.d.next = false;
            self.first.d.next = true;
        }
        // What is read without an instruction does not matter: nothing is valid then.
        self.row_micro.enable.next = self.takes_found.val();
        self.row_micro.address.next = self.found_row_index.val();
        self.row_decode.enable.next = self.takes_found.val();
        self.row_decode.address.next = self.found_row_index.val();
        self.microcode.enable.next = self.rom_enable.val();
        self.microcode.address.next = self.rom_address.val();
        if self.rom_enable.val() {
            self.micro_address.d.next = self.rom_address.val();
        }
    }
}
