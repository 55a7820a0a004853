//! EFLAGS, EIP, CPL, the descriptor latches, and the write port of the segment registers.
use crate::prelude::*;

/// Changes only when a micro-op retires, or by the debugger.
#[derive(LogicBlock, Default)]
pub struct State {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // from execute
    pub retires: Signal<In, Bit>,
    /// The same, earlier, for all but near jumps.
    pub retires_control: Signal<In, Bit>,
    pub op: Signal<In, MicroOp>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    /// What is written to a system register: operand b where it is a register or a constant.
    pub register_b: Signal<In, Bits<32>>,
    pub flags: Signal<In, Bits<32>>,
    /// ZF is not in `flags`: it is set if `nonzero` is zero.
    pub zero_flag_of_sum: Signal<In, Bit>,
    pub nonzero: Signal<In, Bits<8>>,
    pub next_eip: Signal<In, Bits<32>>,
    pub load_data: Signal<In, Bits<64>>,
    // from the check unit
    pub passes_code: Signal<In, Bit>,
    pub new_level: Signal<In, Bits<2>>,
    // from elsewhere
    pub real_mode: Signal<In, Bit>,
    /// Real or virtual-8086 mode, and in that no event is being delivered: selectors are a sixteenth of a base.
    pub real_segments: Signal<In, Bit>,
    /// An event begins: nothing is left of a task switch.
    pub event_begins: Signal<In, Bit>,
    pub sysenter_cs: Signal<In, Bits<16>>,
    /// The segment registers' execute port shows segment `drop_segment`.
    pub read_segment_access: Signal<In, Bits<16>>,
    pub debug_write: Signal<In, Bit>,
    pub debug_register: Signal<In, Bits<8>>,
    pub debug_write_data: Signal<In, Bits<32>>,
    // state
    pub eflags: Signal<Out, Bits<32>>,
    /// EFLAGS after the micro-op that retires.
    pub eflags_next: Signal<Out, Bits<32>>,
    pub eip: Signal<Out, Bits<32>>,
    pub cpl: Signal<Out, Bits<2>>,
    pub iopl: Signal<Out, Bits<2>>,
    /// A task switch goes on in the new task.
    pub switching: Signal<Out, Bit>,
    /// A task switch commits.
    pub switches_task: Signal<Out, Bit>,
    pub descriptor: Signal<Out, Bits<64>>,
    pub code_level: Signal<Out, Bits<2>>,
    pub checked_code_limit: Signal<Out, Bits<32>>,
    pub checked_code_base: Signal<Out, Bits<32>>,
    pub new_stack_selector: Signal<Out, Bits<16>>,
    pub task_selector: Signal<Out, Bits<16>>,
    /// The task register holds a TSS of 16 bits.
    pub task16: Signal<Out, Bit>,
    /// A return to the level of the checked code drops data segments.
    pub drops_segments: Signal<Out, Bit>,
    // the code and stack segments
    pub code_base: Signal<Out, Bits<32>>,
    /// CS base after this clock: where a far transfer goes.
    pub code_base_next: Signal<Out, Bits<32>>,
    pub code_limit: Signal<Out, Bits<32>>,
    pub code32: Signal<Out, Bit>,
    pub stack32: Signal<Out, Bit>,
    // to the segment registers
    pub write_segment: Signal<Out, Bits<4>>,
    pub write_selector: Signal<Out, Bit>,
    pub write_base: Signal<Out, Bit>,
    pub write_limit: Signal<Out, Bit>,
    pub write_access: Signal<Out, Bit>,
    pub selector: Signal<Out, Bits<16>>,
    pub base: Signal<Out, Bits<32>>,
    pub limit: Signal<Out, Bits<32>>,
    pub access: Signal<Out, Bits<16>>,
    // to the system registers
    pub system_write: Signal<Out, Bit>,
    pub system_number: Signal<Out, Bits<8>>,
    pub system_data: Signal<Out, Bits<32>>,
    // registers
    /// Without ZF.
    eflags_reg: DFF<Bits<32>>,
    /// ZF is set if this is zero.
    nonzero_reg: DFF<Bits<8>>,
    eip_reg: DFF<Bits<32>>,
    cpl_reg: DFF<Bits<2>>,
    descriptor_reg: DFF<Bits<64>>,
    /// Descriptor of the code that passed its check, and the level it will run at.
    code_reg: DFF<Bits<64>>,
    code_level_reg: DFF<Bits<2>>,
    /// Descriptor of the stack being entered.
    stack_reg: DFF<Bits<64>>,
    stack_selector_reg: DFF<Bits<16>>,
    /// The gate that was checked last clears IF.
    interrupt_gate_reg: DFF<Bit>,
    code_base_reg: DFF<Bits<32>>,
    code_limit_reg: DFF<Bits<32>>,
    code32_reg: DFF<Bit>,
    stack32_reg: DFF<Bit>,
    task_selector_reg: DFF<Bits<16>>,
    task16_reg: DFF<Bit>,
    switching_reg: DFF<Bit>,
    /// The instruction has loaded EFLAGS with RF, which counts for the one behind it.
    returning_reg: DFF<Bit>,
    /// The outermost level whose return leaves the segment as it is.
    es_keeps_reg: DFF<Bits<2>>,
    ds_keeps_reg: DFF<Bits<2>>,
    fs_keeps_reg: DFF<Bits<2>>,
    gs_keeps_reg: DFF<Bits<2>>,
    // wires
    keeps: Signal<Local, Bits<2>>,
    chosen: Signal<Local, Bits<64>>,
    chosen_base: Signal<Local, Bits<32>>,
    far_base: Signal<Local, Bits<32>>,
    real_base: Signal<Local, Bits<32>>,
    expanded_limit: Signal<Local, Bits<32>>,
    raw_limit: Signal<Local, Bits<20>>,
    code_raw_limit: Signal<Local, Bits<20>>,
    pops: Signal<Local, Bits<32>>,
    may_change: Signal<Local, Bits<32>>,
    may_change_by_level: Signal<Local, Bits<32>>,
    /// EFLAGS of a delivered event.
    entered: Signal<Local, Bits<32>>,
    flags_next: Signal<Local, Bits<32>>,
    held_flags: Signal<Local, Bits<32>>,
    /// After the micro-op, but for ZF of a sum.
    settled_flags: Signal<Local, Bits<32>>,
    write_all: Signal<Local, Bit>,
    real_load: Signal<Local, Bit>,
    virtual_load: Signal<Local, Bit>,
    number: Signal<Local, Bits<8>>,
    writes_system: Signal<Local, Bit>,
    data: Signal<Local, Bits<32>>,
    level_loaded: Signal<Local, Bits<2>>,
    flat: Signal<Local, Bit>,
    flat_ring: Signal<Local, Bits<2>>,
    drops: Signal<Local, Bit>,
}

impl Logic for State {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            eflags_reg,
            nonzero_reg,
            eip_reg,
            cpl_reg,
            descriptor_reg,
            code_reg,
            code_level_reg,
            stack_reg,
            stack_selector_reg,
            interrupt_gate_reg,
            code_base_reg,
            code_limit_reg,
            code32_reg,
            stack32_reg,
            task_selector_reg,
            task16_reg,
            switching_reg,
            returning_reg,
            es_keeps_reg,
            ds_keeps_reg,
            fs_keeps_reg,
            gs_keeps_reg
        );
        self.held_flags.next = self.eflags_reg.q.val() & 0xFFFF_FFBF_u64;
        if !self.nonzero_reg.q.val().any() {
            self.held_flags.next = self.eflags_reg.q.val() | 0x40;
        }
        self.eflags.next = self.held_flags.val();
        self.eip.next = self.eip_reg.q.val();
        self.cpl.next = self.cpl_reg.q.val();
        self.iopl.next = self.held_flags.val().get_bits::<2>(12);
        self.descriptor.next = self.descriptor_reg.q.val();
        self.code_level.next = self.code_level_reg.q.val();
        self.new_stack_selector.next = self.stack_selector_reg.q.val();
        self.task_selector.next = self.task_selector_reg.q.val();
        self.task16.next = self.task16_reg.q.val();
        self.switching.next = self.switching_reg.q.val();
        self.code_raw_limit.next = bit_cast::<20, 16>(self.code_reg.q.val().get_bits::<16>(0))
            | (bit_cast::<20, 4>(self.code_reg.q.val().get_bits::<4>(48)) << 16);
        self.far_base.next = bit_cast::<32, 24>(self.code_reg.q.val().get_bits::<24>(16))
            | (bit_cast::<32, 8>(self.code_reg.q.val().get_bits::<8>(56)) << 24);
        self.checked_code_base.next = self.far_base.val();
        self.checked_code_limit.next = bit_cast::<32, 20>(self.code_raw_limit.val());
        if self.code_reg.q.val().get_bit(55) {
            self.checked_code_limit.next =
                (bit_cast::<32, 20>(self.code_raw_limit.val()) << 12) | 0xFFF;
        }
        if self.real_segments.val() {
            self.checked_code_limit.next = self.code_limit_reg.q.val();
        }
        self.code_base.next = self.code_base_reg.q.val();
        self.code_limit.next = self.code_limit_reg.q.val();
        self.code32.next = self.code32_reg.q.val();
        self.stack32.next = self.stack32_reg.q.val();

        // EFLAGS.
        self.pops.next = self.b.val();
        if self.op.val().operand16 {
            self.pops.next = (self.held_flags.val() & 0xFFFF_0000_u64)
                | bit_cast::<32, 16>(self.b.val().get_bits::<16>(0));
        }
        // CF PF AF ZF SF TF DF OF NT, AC and ID; IF and IOPL as the level permits.
        self.may_change_by_level.next = 0.into();
        if (self.cpl_reg.q.val() <= self.iopl.val()) | self.real_mode.val() {
            self.may_change_by_level.next = 0x200.into();
        }
        if self.cpl_reg.q.val() == 0 {
            self.may_change_by_level.next = 0x3200.into();
        }
        self.may_change.next = self.may_change_by_level.val() | 0x0024_4DD5;
        if (self.op.val().control == Control::ReturnFlags)
            | (self.op.val().control == Control::CommitReturn)
        {
            self.may_change.next = self.may_change_by_level.val() | 0x0025_4DD5;
        }
        // Level 0 returns to virtual-8086 mode.
        if (self.op.val().control == Control::ReturnFlags)
            & (self.cpl_reg.q.val() == 0)
            & !self.real_mode.val()
        {
            self.may_change.next = 0x0027_7FD5.into();
        }
        self.entered.next = self.held_flags.val() & 0xFFFC_BEFF_u64;
        if self.interrupt_gate_reg.q.val() | self.real_mode.val() {
            self.entered.next = self.held_flags.val() & 0xFFFC_BCFF_u64;
        }
        self.flags_next.next = self.flags.val();
        match self.op.val().control {
            Control::PopFlags => {
                self.flags_next.next = (self.pops.val() & self.may_change.val())
                    | (self.held_flags.val() & (!self.may_change.val()) & 0xFFFE_FFFF_u64);
            }
            Control::ReturnFlags => {
                self.flags_next.next = (self.pops.val() & self.may_change.val())
                    | (self.held_flags.val() & !self.may_change.val());
            }
            Control::CommitReturn => {
                self.flags_next.next = (self.pops.val() & self.may_change.val())
                    | (self.held_flags.val() & !self.may_change.val());
            }
            Control::EnterFlags => {
                self.flags_next.next = self.entered.val();
            }
            Control::EnterCode => {
                self.flags_next.next = self.entered.val();
            }
            Control::ClearInterrupt => {
                self.flags_next.next = self.held_flags.val() & 0xFFFF_FDFF_u64;
            }
            Control::SetInterrupt => {
                self.flags_next.next = self.held_flags.val() | 0x200;
            }
            Control::ClearDirection => {
                self.flags_next.next = self.held_flags.val() & 0xFFFF_FBFF_u64;
            }
            Control::SetDirection => {
                self.flags_next.next = self.held_flags.val() | 0x400;
            }
            Control::Sysenter => {
                self.flags_next.next = self.held_flags.val() & 0xFFFC_FDFF_u64;
            }
            _ => {}
        }
        // Bit 1 is one, bits 3, 5, 15 and 22 up are zero.
        self.settled_flags.next = (self.flags_next.val() & 0x003F_7FD5) | 2;
        if self.op.val().last & !self.returning_reg.q.val() {
            // The next instruction is not shielded by RF any more.
            self.settled_flags.next = (self.flags_next.val() & 0x003E_7FD5) | 2;
        }
        // ZF of a sum is kept as what it is found from: it comes last of all.
        self.eflags_next.next = self.settled_flags.val();
        if self.zero_flag_of_sum.val() {
            self.eflags_next.next = self.settled_flags.val() & 0xFFFF_FFBF_u64;
            if !self.nonzero.val().any() {
                self.eflags_next.next = self.settled_flags.val() | 0x40;
            }
        }
        if self.retires.val() {
            self.eflags_reg.d.next = self.settled_flags.val();
            self.nonzero_reg.d.next =
                bit_cast::<8, 1>((!self.settled_flags.val().get_bit(6)).into());
            if self.zero_flag_of_sum.val() {
                self.nonzero_reg.d.next = self.nonzero.val();
            }
            if self.op.val().last {
                self.eip_reg.d.next = self.next_eip.val();
                self.returning_reg.d.next = false;
                self.switching_reg.d.next = false;
            }
        }
        self.switches_task.next =
            self.retires_control.val() & (self.op.val().control == Control::CommitTask);
        if self.switches_task.val() {
            self.eip_reg.d.next = self.register_b.val();
            self.switching_reg.d.next = true;
            self.returning_reg.d.next = true;
        }
        if self.retires_control.val()
            & ((self.op.val().control == Control::ReturnFlags)
                | (self.op.val().control == Control::CommitReturn))
        {
            self.returning_reg.d.next = true;
        }
        if self.event_begins.val() {
            self.switching_reg.d.next = false;
            self.returning_reg.d.next = false;
        }

        // Descriptors under way.
        if self.retires_control.val() {
            if self.op.val().control == Control::LoadDescriptor {
                self.descriptor_reg.d.next = self.load_data.val();
            }
            if self.passes_code.val() {
                self.code_reg.d.next = self.descriptor_reg.q.val();
                self.code_level_reg.d.next = self.new_level.val();
            }
            if self.op.val().check == Check::EventGate {
                self.interrupt_gate_reg.d.next = !self.descriptor_reg.q.val().get_bit(40);
            }
            if self.op.val().control == Control::LoadNewStack {
                self.stack_reg.d.next = self.descriptor_reg.q.val();
                self.stack_selector_reg.d.next = self.a.val().get_bits::<16>(0);
            }
        }

        // Segment registers.
        self.number.next = self.op.val().system;
        self.data.next = self.register_b.val();
        self.writes_system.next =
            self.retires_control.val() & (self.op.val().control == Control::WriteSystem);
        if self.debug_write.val() {
            self.number.next = self.debug_register.val();
            self.data.next = self.debug_write_data.val();
            self.writes_system.next = true;
        }
        self.system_write.next = self.writes_system.val();
        self.system_number.next = self.number.val();
        self.system_data.next = self.data.val();
        self.write_segment.next = self.number.val().get_bits::<4>(0);
        self.write_selector.next =
            self.writes_system.val() & (self.number.val().get_bits::<4>(4) == 2);
        self.write_base.next = self.writes_system.val() & (self.number.val().get_bits::<4>(4) == 3);
        self.write_limit.next =
            self.writes_system.val() & (self.number.val().get_bits::<4>(4) == 4);
        self.write_access.next =
            self.writes_system.val() & (self.number.val().get_bits::<4>(4) == 5);
        self.chosen.next = self.descriptor_reg.q.val();
        self.write_all.next = false;
        self.real_load.next = false;
        self.virtual_load.next = false;
        self.flat.next = false;
        self.flat_ring.next = 0.into();
        self.drops.next = false;
        self.level_loaded.next = self.cpl_reg.q.val();
        self.selector.next = self.a.val().get_bits::<16>(0);
        if self.retires_control.val() {
            match self.op.val().control {
                Control::LoadSegment => {
                    self.write_all.next = !self.real_segments.val();
                    self.real_load.next = self.real_segments.val();
                    self.virtual_load.next = self.held_flags.val().get_bit(17);
                }
                Control::LoadVirtual => {
                    self.real_load.next = true;
                    self.virtual_load.next = true;
                }
                Control::ClearSegment => {
                    self.write_selector.next = true;
                    self.drops.next = true;
                }
                Control::LoadTask => {
                    self.write_all.next = true;
                }
                Control::LoadNewStack => {
                    self.write_all.next = true;
                    self.write_segment.next = 10.into();
                }
                Control::CommitStack => {
                    self.write_all.next = true;
                    self.write_segment.next = 2.into();
                    self.chosen.next = self.stack_reg.q.val();
                    self.selector.next = self.stack_selector_reg.q.val();
                }
                Control::CommitReturn => {
                    self.write_all.next = true;
                    self.write_segment.next = 2.into();
                    self.chosen.next = self.stack_reg.q.val();
                    self.selector.next = self.stack_selector_reg.q.val();
                }
                Control::LoadCode => {
                    self.write_all.next = !self.real_segments.val();
                    self.real_load.next = self.real_segments.val();
                    self.virtual_load.next = self.held_flags.val().get_bit(17);
                    self.write_segment.next = 1.into();
                    self.chosen.next = self.code_reg.q.val();
                    if !self.real_segments.val() {
                        self.selector.next = (self.a.val().get_bits::<16>(0) & 0xFFFC)
                            | bit_cast::<16, 2>(self.code_level_reg.q.val());
                        self.level_loaded.next = self.code_level_reg.q.val();
                    }
                }
                Control::EnterCode => {
                    self.write_all.next = !self.real_mode.val();
                    self.real_load.next = self.real_mode.val();
                    self.write_segment.next = 1.into();
                    self.chosen.next = self.code_reg.q.val();
                    if !self.real_mode.val() {
                        self.selector.next = (self.a.val().get_bits::<16>(0) & 0xFFFC)
                            | bit_cast::<16, 2>(self.code_level_reg.q.val());
                        self.level_loaded.next = self.code_level_reg.q.val();
                    }
                }
                Control::SysenterStack => {
                    self.flat.next = true;
                    self.write_segment.next = 2.into();
                    self.selector.next = (self.sysenter_cs.val() & 0xFFFC) + 8;
                }
                Control::Sysenter => {
                    self.flat.next = true;
                    self.write_segment.next = 1.into();
                    self.selector.next = self.sysenter_cs.val() & 0xFFFC;
                    self.level_loaded.next = 0.into();
                }
                Control::SysexitStack => {
                    self.flat.next = true;
                    self.flat_ring.next = 3.into();
                    self.write_segment.next = 2.into();
                    self.selector.next = (self.sysenter_cs.val() + 24) | 3;
                }
                Control::Sysexit => {
                    self.flat.next = true;
                    self.flat_ring.next = 3.into();
                    self.write_segment.next = 1.into();
                    self.selector.next = (self.sysenter_cs.val() + 16) | 3;
                    self.level_loaded.next = 3.into();
                }
                Control::DropSegments => {
                    // The segment register named by `system` is cleared if its level forbids it to the new one.
                    if (self.read_segment_access.val().get_bits::<2>(5)
                        < self.code_level_reg.q.val())
                        & !(self.read_segment_access.val().get_bit(3)
                            & self.read_segment_access.val().get_bit(2))
                    {
                        self.write_selector.next = true;
                        self.drops.next = true;
                    }
                }
                _ => {}
            }
        }
        self.raw_limit.next = bit_cast::<20, 16>(self.chosen.val().get_bits::<16>(0))
            | (bit_cast::<20, 4>(self.chosen.val().get_bits::<4>(48)) << 16);
        self.expanded_limit.next = bit_cast::<32, 20>(self.raw_limit.val());
        if self.chosen.val().get_bit(55) {
            self.expanded_limit.next = (bit_cast::<32, 20>(self.raw_limit.val()) << 12) | 0xFFF;
        }
        self.chosen_base.next = bit_cast::<32, 24>(self.chosen.val().get_bits::<24>(16))
            | (bit_cast::<32, 8>(self.chosen.val().get_bits::<8>(56)) << 24);
        self.real_base.next = bit_cast::<32, 16>(self.a.val().get_bits::<16>(0)) << 4;
        self.base.next = self.data.val();
        self.limit.next = self.data.val();
        self.access.next = self.data.val().get_bits::<16>(0);
        if self.writes_system.val() {
            self.selector.next = self.data.val().get_bits::<16>(0);
        }
        if self.write_all.val() {
            self.write_selector.next = true;
            self.write_base.next = true;
            self.write_limit.next = true;
            self.write_access.next = true;
            self.base.next = self.chosen_base.val();
            self.limit.next = self.expanded_limit.val();
            // A loaded descriptor is accessed, a loaded task busy; the copies say so.
            self.access.next = bit_cast::<16, 8>(self.chosen.val().get_bits::<8>(40))
                | (bit_cast::<16, 4>(self.chosen.val().get_bits::<4>(52)) << 12)
                | bit_cast::<16, 1>(self.chosen.val().get_bits::<1>(44));
            if self.op.val().control == Control::LoadTask {
                self.access.next = bit_cast::<16, 8>(self.chosen.val().get_bits::<8>(40))
                    | (bit_cast::<16, 4>(self.chosen.val().get_bits::<4>(52)) << 12)
                    | 2;
            }
        }
        if self.real_load.val() {
            self.write_selector.next = true;
            self.write_base.next = true;
            self.base.next = self.real_base.val();
            if self.virtual_load.val() {
                // 64 KB of data of level 3, whatever it is used for.
                self.write_limit.next = true;
                self.write_access.next = true;
                self.limit.next = 0xFFFF.into();
                self.access.next = 0xF3.into();
            }
        }
        if self.flat.val() {
            self.write_selector.next = true;
            self.write_base.next = true;
            self.write_limit.next = true;
            self.write_access.next = true;
            self.base.next = 0.into();
            self.limit.next = 0xFFFF_FFFF_u64.into();
            self.access.next = 0xC093.into();
            if self.write_segment.val() == 1 {
                self.access.next = 0xC09B.into();
            }
            if self.flat_ring.val() == 3 {
                self.access.next = 0xC0F3.into();
                if self.write_segment.val() == 1 {
                    self.access.next = 0xC0FB.into();
                }
            }
        }
        if self.drops.val() {
            // A null segment: nothing may be accessed through it.
            self.selector.next = 0.into();
            if self.op.val().control == Control::ClearSegment {
                self.selector.next = self.a.val().get_bits::<16>(0);
            }
            self.write_access.next = true;
            self.access.next = 0.into();
        }
        if self.write_segment.val() == 1 {
            if self.write_base.val() {
                self.code_base_reg.d.next = self.base.val();
            }
            if self.write_limit.val() {
                self.code_limit_reg.d.next = self.limit.val();
            }
            if self.write_access.val() {
                self.code32_reg.d.next = self.access.val().get_bit(14);
            }
        }
        // What a data segment is, as far as a return to an outer level asks; else it is dropped, and asked there.
        self.keeps.next = self.access.val().get_bits::<2>(5);
        if (self.access.val().get_bit(3) & self.access.val().get_bit(2))
            | (self.drops.val() & (self.selector.val() == 0))
        {
            self.keeps.next = 3.into();
        }
        if !self.write_access.val() {
            self.keeps.next = 0.into();
        }
        if self.write_selector.val() | self.write_access.val() {
            match self.write_segment.val().index() {
                0 => {
                    self.es_keeps_reg.d.next = self.keeps.val();
                }
                3 => {
                    self.ds_keeps_reg.d.next = self.keeps.val();
                }
                4 => {
                    self.fs_keeps_reg.d.next = self.keeps.val();
                }
                5 => {
                    self.gs_keeps_reg.d.next = self.keeps.val();
                }
                _ => {}
            }
        }
        self.drops_segments.next = (self.es_keeps_reg.q.val() < self.code_level_reg.q.val())
            | (self.ds_keeps_reg.q.val() < self.code_level_reg.q.val())
            | (self.fs_keeps_reg.q.val() < self.code_level_reg.q.val())
            | (self.gs_keeps_reg.q.val() < self.code_level_reg.q.val());
        if (self.write_segment.val() == 2) & self.write_access.val() {
            self.stack32_reg.d.next = self.access.val().get_bit(14);
        }
        if (self.write_segment.val() == 7) & self.write_selector.val() {
            self.task_selector_reg.d.next = self.selector.val();
        }
        if (self.write_segment.val() == 7) & self.write_access.val() {
            self.task16_reg.d.next = !self.access.val().get_bit(3);
        }
        // Only far transfers go on at another base in the same clock. Whether they retire does not matter: what is fetched
        // otherwise is dropped.
        self.code_base_next.next = self.code_base_reg.q.val();
        match self.op.val().control {
            Control::LoadCode => {
                self.code_base_next.next = self.far_base.val();
                if self.real_segments.val() {
                    self.code_base_next.next = self.real_base.val();
                }
            }
            Control::EnterCode => {
                self.code_base_next.next = self.far_base.val();
                if self.real_mode.val() {
                    self.code_base_next.next = self.real_base.val();
                }
            }
            Control::Sysenter => {
                self.code_base_next.next = 0.into();
            }
            Control::Sysexit => {
                self.code_base_next.next = 0.into();
            }
            _ => {}
        }
        self.cpl_reg.d.next = self.level_loaded.val();

        // The debugger and task switches.
        if self.writes_system.val() {
            match self.number.val().into() {
                EFLAGS => {
                    self.eflags_reg.d.next = (self.data.val() & 0x003F_7FD5) | 2;
                    self.nonzero_reg.d.next =
                        bit_cast::<8, 1>((!self.data.val().get_bit(6)).into());
                }
                CPL => {
                    self.cpl_reg.d.next = self.data.val().get_bits::<2>(0);
                }
                _ => {}
            }
        }
        if self.debug_write.val() & (self.debug_register.val() == EIP) {
            self.eip_reg.d.next = self.debug_write_data.val();
        }
        if self.reset.val() {
            self.eflags_reg.d.next = 2.into();
            self.nonzero_reg.d.next = 1.into();
            self.eip_reg.d.next = 0xFFF0.into();
            self.cpl_reg.d.next = 0.into();
            self.code_limit_reg.d.next = 0xFFFF.into();
            self.code_base_reg.d.next = 0xFFFF_0000_u64.into();
            self.code32_reg.d.next = false;
            self.stack32_reg.d.next = false;
            self.switching_reg.d.next = false;
            self.returning_reg.d.next = false;
        }
    }
}
