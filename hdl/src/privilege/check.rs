//! The one unit for rules about descriptors, selectors and levels.
use crate::prelude::*;

/// Combinational. A check that fails names vector and error code, as the manual's pseudocode does.
#[derive(LogicBlock, Default)]
pub struct CheckUnit {
    pub rule: Signal<In, Check>,
    /// The selector that is checked, or another operand.
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub descriptor: Signal<In, Bits<64>>,
    /// Limit in bytes of the code segment that passed its check.
    pub code_limit: Signal<In, Bits<32>>,
    /// Level that the checked code will run at.
    pub code_level: Signal<In, Bits<2>>,
    pub real_mode: Signal<In, Bit>,
    pub cpl: Signal<In, Bits<2>>,
    pub iopl: Signal<In, Bits<2>>,
    /// EFLAGS.VM.
    pub virtual_mode: Signal<In, Bit>,
    /// The task has a TSS of 16 bits.
    pub task16: Signal<In, Bit>,
    /// A task switch goes on in the new task.
    pub switching: Signal<In, Bit>,
    /// Low bits of the number of a debug register; DR7.GD; CR4.DE.
    pub debug_number: Signal<In, Bits<3>>,
    pub general_detect: Signal<In, Bit>,
    pub debug_extensions: Signal<In, Bit>,
    pub sysenter_cs: Signal<In, Bits<16>>,
    /// Bits 3:0 of CR0: TS EM MP PE.
    pub status_word: Signal<In, Bits<4>>,
    /// CR4.TSD.
    pub time_stamp_disabled: Signal<In, Bit>,
    // the event being delivered
    pub vector: Signal<In, Bits<8>>,
    pub software: Signal<In, Bit>,
    pub external: Signal<In, Bit>,
    // out
    pub fault: Signal<Out, Bit>,
    pub fault_vector: Signal<Out, Bits<5>>,
    pub fault_code: Signal<Out, Bits<16>>,
    /// The rule is a question, and its answer is no.
    pub refused: Signal<Out, Bit>,
    /// The descriptor passed as code, to run at `new_level`.
    pub passes_code: Signal<Out, Bit>,
    pub new_level: Signal<Out, Bits<2>>,
    // wires
    kind: Signal<Local, Bits<4>>,
    dpl: Signal<Local, Bits<2>>,
    rpl: Signal<Local, Bits<2>>,
    present: Signal<Local, Bit>,
    is_segment: Signal<Local, Bit>,
    is_code: Signal<Local, Bit>,
    conforming: Signal<Local, Bit>,
    writable_data: Signal<Local, Bit>,
    weakest: Signal<Local, Bits<2>>,
    fails: Signal<Local, Bit>,
    absent: Signal<Local, Bit>,
    is_null: Signal<Local, Bit>,
    code: Signal<Local, Bits<16>>,
    in_local_table: Signal<Local, Bit>,
    code_check: Signal<Local, Bit>,
    question: Signal<Local, Bit>,
    conforming_code: Signal<Local, Bit>,
    /// Data, or code that does not conform, of a level that CPL and RPL may not see.
    hidden: Signal<Local, Bit>,
}

impl Logic for CheckUnit {
    #[hdl_gen]
    fn update(&mut self) {
        self.kind.next = self.descriptor.val().get_bits::<4>(40);
        self.is_segment.next = self.descriptor.val().get_bit(44);
        self.dpl.next = self.descriptor.val().get_bits::<2>(45);
        self.present.next = self.descriptor.val().get_bit(47);
        self.rpl.next = self.a.val().get_bits::<2>(0);
        self.in_local_table.next = self.a.val().get_bit(2);
        self.is_null.next = self.a.val().get_bits::<14>(2) == 0;
        self.is_code.next = self.is_segment.val() & self.kind.val().get_bit(3);
        self.conforming.next = self.kind.val().get_bit(2);
        self.writable_data.next =
            self.is_segment.val() & (!self.kind.val().get_bit(3)) & self.kind.val().get_bit(1);
        self.weakest.next = self.cpl.val();
        if self.rpl.val() > self.cpl.val() {
            self.weakest.next = self.rpl.val();
        }
        self.conforming_code.next = self.is_code.val() & self.conforming.val();
        self.hidden.next = (self.dpl.val() < self.weakest.val()) & !self.conforming_code.val();
        self.fails.next = false;
        self.question.next = false;
        // Not present: #NP, for stacks #SS.
        self.absent.next = false;
        self.fault_vector.next = 13.into();
        self.code.next = bit_cast::<16, 32>(self.a.val() & 0xFFFC);
        self.code_check.next = false;
        self.new_level.next = self.cpl.val();
        match self.rule.val() {
            Check::None => {}
            Check::Ring0 => {
                self.fails.next = self.cpl.val() != 0;
                self.code.next = 0.into();
            }
            Check::InputOutput => {
                self.fails.next = (!self.real_mode.val()) & (self.cpl.val() > self.iopl.val());
                self.code.next = 0.into();
            }
            Check::PortBitmap => {
                self.fails.next = self.task16.val();
                self.code.next = 0.into();
            }
            Check::VirtualSensitive => {
                self.fails.next = self.virtual_mode.val() & (self.iopl.val() != 3);
                self.code.next = 0.into();
            }
            Check::PushFlags => {
                self.fails.next = self.virtual_mode.val() & (self.iopl.val() != 3);
                self.code.next = 0.into();
            }
            Check::DebugRegister => {
                self.fails.next = (self.cpl.val() != 0)
                    | self.general_detect.val()
                    | (self.debug_extensions.val()
                        & (self.debug_number.val().get_bits::<2>(1) == 2));
                if self.cpl.val() == 0 {
                    self.fault_vector.next = 1.into();
                }
                if self.debug_extensions.val() & (self.debug_number.val().get_bits::<2>(1) == 2) {
                    self.fault_vector.next = 6.into();
                }
                self.code.next = 0.into();
            }
            Check::DataSegment => {
                self.fails.next = (!self.is_segment.val())
                    | (self.kind.val().get_bit(3) & !self.kind.val().get_bit(1))
                    | self.hidden.val();
                self.absent.next = !self.present.val();
            }
            Check::StackSegment => {
                self.fails.next = (self.rpl.val() != self.cpl.val())
                    | (!self.writable_data.val())
                    | (self.dpl.val() != self.cpl.val());
                self.absent.next = !self.present.val();
            }
            Check::NewStack => {
                self.fails.next = (self.rpl.val() != self.code_level.val())
                    | (!self.writable_data.val())
                    | (self.dpl.val() != self.code_level.val());
                self.absent.next = !self.present.val();
                self.fault_vector.next = 10.into();
            }
            Check::ReturnStack => {
                self.fails.next = (self.rpl.val() != self.code_level.val())
                    | (!self.writable_data.val())
                    | (self.dpl.val() != self.code_level.val());
                self.absent.next = !self.present.val();
            }
            Check::JumpCode => {
                self.fails.next = !self.is_code.val();
                if self.conforming.val() {
                    if self.dpl.val() > self.cpl.val() {
                        self.fails.next = true;
                    }
                } else if (self.rpl.val() > self.cpl.val()) | (self.dpl.val() != self.cpl.val()) {
                    self.fails.next = true;
                }
                self.absent.next = !self.present.val();
                self.code_check.next = true;
            }
            Check::ReturnCode => {
                self.fails.next = (!self.is_code.val()) | (self.rpl.val() < self.cpl.val());
                if self.conforming.val() {
                    if self.dpl.val() > self.rpl.val() {
                        self.fails.next = true;
                    }
                } else if self.dpl.val() != self.rpl.val() {
                    self.fails.next = true;
                }
                self.absent.next = !self.present.val();
                self.code_check.next = true;
                self.new_level.next = self.rpl.val();
            }
            Check::GateCode => {
                // From virtual-8086 mode to level 0 only.
                self.fails.next = (!self.is_code.val())
                    | (self.dpl.val() > self.cpl.val())
                    | (self.virtual_mode.val() & (self.conforming.val() | (self.dpl.val() != 0)));
                self.absent.next = !self.present.val();
                self.code_check.next = true;
                if !self.conforming.val() {
                    self.new_level.next = self.dpl.val();
                }
            }
            Check::GateJump => {
                self.fails.next = !self.is_code.val();
                if self.conforming.val() {
                    if self.dpl.val() > self.cpl.val() {
                        self.fails.next = true;
                    }
                } else if self.dpl.val() != self.cpl.val() {
                    self.fails.next = true;
                }
                self.absent.next = !self.present.val();
                self.code_check.next = true;
            }
            Check::EventGate => {
                // Interrupt (x110b) and trap (x111b) gates of 16 and 32 bits, task gates (0101b).
                self.fails.next = self.is_segment.val()
                    | ((self.kind.val().get_bits::<2>(1) != 3) & (self.kind.val() != 5))
                    | (self.software.val() & (self.dpl.val() < self.cpl.val()));
                self.absent.next = !self.present.val();
                self.code.next = (bit_cast::<16, 8>(self.vector.val()) << 3) | 2;
            }
            Check::CallGate => {
                self.fails.next = self.is_segment.val()
                    | ((self.kind.val().get_bits::<3>(0) != 4)
                        & (self.kind.val().get_bits::<3>(0) != 1)
                        & (self.kind.val() != 5))
                    | (self.dpl.val() < self.weakest.val());
                self.absent.next = !self.present.val();
            }
            Check::LocalTable => {
                self.fails.next =
                    self.in_local_table.val() | self.is_segment.val() | (self.kind.val() != 2);
                self.absent.next = !self.present.val();
            }
            Check::TaskState => {
                self.fails.next = self.in_local_table.val()
                    | self.is_segment.val()
                    | (self.kind.val().get_bits::<3>(0) != 1);
                self.absent.next = !self.present.val();
            }
            Check::CodeTarget => {
                self.fails.next = self.b.val() > self.code_limit.val();
                self.code.next = 0.into();
            }
            Check::NotNull => {
                self.fails.next = self.is_null.val();
                self.code.next = 0.into();
            }
            Check::NotNullTask => {
                self.fails.next = self.is_null.val();
                self.fault_vector.next = 10.into();
                self.code.next = 0.into();
            }
            Check::PortPermitted => {
                self.fails.next = (self.a.val() & self.b.val()) != 0;
                self.code.next = 0.into();
            }
            Check::NestedTask => {
                self.fails.next = self.in_local_table.val()
                    | self.is_segment.val()
                    | (self.kind.val().get_bits::<3>(0) != 3);
                self.absent.next = !self.present.val();
                self.fault_vector.next = 10.into();
            }
            Check::ShortTask => {
                self.fails.next = true;
                self.fault_vector.next = 10.into();
            }
            Check::SysenterSet => {
                self.fails.next =
                    self.real_mode.val() | (self.sysenter_cs.val().get_bits::<14>(2) == 0);
                self.code.next = 0.into();
            }
            Check::SysexitAllowed => {
                self.fails.next = self.real_mode.val()
                    | (self.cpl.val() != 0)
                    | (self.sysenter_cs.val().get_bits::<14>(2) == 0);
                self.code.next = 0.into();
            }
            Check::ControlRegister0 => {
                // Paging needs protection; NW without CD is refused.
                self.fails.next = (self.b.val().get_bit(31) & !self.b.val().get_bit(0))
                    | (self.b.val().get_bit(29) & !self.b.val().get_bit(30))
                    | (self.cpl.val() != 0);
                self.code.next = 0.into();
            }
            Check::ControlRegister4 => {
                self.fails.next = ((self.b.val() & CR4_NOT_BUILT) != 0) | (self.cpl.val() != 0);
                self.code.next = 0.into();
            }
            Check::Undefined => {
                self.fails.next = true;
                self.fault_vector.next = 6.into();
                self.code.next = 0.into();
            }
            Check::TimeStamp => {
                self.fails.next = self.time_stamp_disabled.val() & (self.cpl.val() != 0);
                self.code.next = 0.into();
            }
            Check::NoCounter => {
                self.fails.next = true;
                self.code.next = 0.into();
            }
            Check::Coprocessor => {
                self.fails.next = true;
                self.fault_vector.next = 6.into();
                if self.status_word.val().get_bits::<2>(2).any() {
                    self.fault_vector.next = 7.into();
                }
                self.code.next = 0.into();
            }
            Check::CoprocessorProbe => {
                self.fails.next = self.status_word.val().get_bits::<2>(2).any();
                self.fault_vector.next = 7.into();
                self.code.next = 0.into();
            }
            Check::Wait => {
                self.fails.next =
                    self.status_word.val().get_bit(3) & self.status_word.val().get_bit(1);
                self.fault_vector.next = 7.into();
                self.code.next = 0.into();
            }
            Check::Bounds => {
                self.fails.next = self.a.val().get_bit(31);
                self.fault_vector.next = 5.into();
                self.code.next = 0.into();
            }
            Check::AccessRights => {
                self.question.next = true;
                self.fails.next = self.hidden.val();
                if !self.is_segment.val() {
                    // No gates of interrupts, and nothing that is reserved.
                    match self.kind.val().index() {
                        0 => self.fails.next = true,
                        6 => self.fails.next = true,
                        7 => self.fails.next = true,
                        8 => self.fails.next = true,
                        10 => self.fails.next = true,
                        13 => self.fails.next = true,
                        14 => self.fails.next = true,
                        15 => self.fails.next = true,
                        _ => {}
                    }
                }
            }
            Check::SegmentLimit => {
                self.question.next = true;
                self.fails.next = self.hidden.val();
                if !self.is_segment.val() {
                    // TSS and LDT alone have a limit.
                    self.fails.next = true;
                    match self.kind.val().index() {
                        1 => self.fails.next = self.hidden.val(),
                        2 => self.fails.next = self.hidden.val(),
                        3 => self.fails.next = self.hidden.val(),
                        9 => self.fails.next = self.hidden.val(),
                        11 => self.fails.next = self.hidden.val(),
                        _ => {}
                    }
                }
            }
            Check::Readable => {
                self.question.next = true;
                self.fails.next = (!self.is_segment.val())
                    | (self.kind.val().get_bit(3) & !self.kind.val().get_bit(1))
                    | self.hidden.val();
            }
            Check::Writable => {
                self.question.next = true;
                self.fails.next = (!self.writable_data.val()) | self.hidden.val();
            }
        }
        self.refused.next = self.fails.val();
        self.fault.next = (self.fails.val() & !self.question.val()) | self.absent.val();
        if self.absent.val() & !self.fails.val() {
            self.fault_vector.next = 11.into();
            if (self.rule.val() == Check::StackSegment)
                | (self.rule.val() == Check::NewStack)
                | (self.rule.val() == Check::ReturnStack)
            {
                self.fault_vector.next = 12.into();
            }
        }
        // In the new task, what is wrong with its segments is wrong with its TSS.
        if self.switching.val() & (self.rule.val() != Check::CodeTarget) {
            if self.fails.val() | (self.rule.val() == Check::LocalTable) {
                self.fault_vector.next = 10.into();
            }
        }
        self.fault_code.next = self.code.val();
        // Faults while an external event is delivered say so.
        if self.external.val() {
            self.fault_code.next = self.code.val() | 1;
        }
        self.passes_code.next = self.code_check.val() & !self.fault.val();
    }
}
