//! Everything that turns operands into a result.
use super::{Alu, ConditionUnit, FlagsUnit};
use crate::prelude::*;

/// Computes [`ExecuteOp`]s: one a clock, except multiplications and divisions, which hold `ready` low.
///
/// `op`, `width` and the operands must not change while `valid` is high, until the clock edge at which `ready` and
/// `advance` are both high (the micro-op leaves) or `flush` is high (it is dropped).
#[derive(LogicBlock, Default)]
pub struct ExecuteUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The micro-op in execute is dropped at the end of this clock.
    pub flush: Signal<In, Bit>,
    /// A micro-op is in execute, and its operands are there.
    pub valid: Signal<In, Bit>,
    /// The micro-op leaves execute at the end of this clock, if it is `ready`.
    pub advance: Signal<In, Bit>,
    pub op: Signal<In, ExecuteOp>,
    pub width: Signal<In, Width>,
    /// `Add` and `Sub` do not change CF: INC and DEC.
    pub keep_carry: Signal<In, Bit>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub c: Signal<In, Bits<32>>,
    /// The low four bits of a Jcc, SETcc or CMOVcc opcode.
    pub condition: Signal<In, Bits<4>>,
    /// EFLAGS before the micro-op.
    pub eflags: Signal<In, Bits<32>>,
    /// Bits beyond the width are zero, except where [`ExecuteOp`] says otherwise.
    pub result: Signal<Out, Bits<32>>,
    /// EFLAGS after the micro-op.
    pub flags: Signal<Out, Bits<32>>,
    /// `condition` holds in `eflags`, whatever the operation.
    pub condition_holds: Signal<Out, Bit>,
    /// `result`, `flags` and `divide_error` are those of the micro-op in execute.
    pub ready: Signal<Out, Bit>,
    /// With `ready`: the division raises #DE.
    pub divide_error: Signal<Out, Bit>,
    // units
    alu: Alu,
    condition_unit: ConditionUnit,
    flags_unit: FlagsUnit,
    // wires
    unmasked: Signal<Local, Bits<32>>,
    masked: Signal<Local, Bits<32>>,
}

impl Logic for ExecuteUnit {
    #[hdl_gen]
    fn update(&mut self) {
        self.condition_unit.condition.next = self.condition.val();
        self.condition_unit.eflags.next = self.eflags.val();
        self.condition_holds.next = self.condition_unit.holds.val();

        self.alu.op.next = self.op.val();
        self.alu.width.next = self.width.val();
        self.alu.a.next = self.a.val();
        self.alu.b.next = self.b.val();
        self.alu.carry.next = (self.eflags.val() >> CF).get_bit(0);
        self.alu.direction.next = (self.eflags.val() >> DF).get_bit(0);
        self.alu.condition_holds.next = self.condition_unit.holds.val();

        self.unmasked.next = self.alu.result.val();
        self.masked.next = self.unmasked.val();
        match self.width.val() {
            Width::Byte => self.masked.next = self.unmasked.val() & 0xFF,
            Width::Word => self.masked.next = self.unmasked.val() & 0xFFFF,
            _ => {}
        }
        self.result.next = self.masked.val();
        self.ready.next = true;
        self.divide_error.next = false;

        self.flags_unit.op.next = self.op.val();
        self.flags_unit.width.next = self.width.val();
        self.flags_unit.keep_carry.next = self.keep_carry.val();
        self.flags_unit.eflags.next = self.eflags.val();
        self.flags_unit.a.next = self.a.val().get_bits::<8>(0);
        self.flags_unit.result.next = self.masked.val();
        self.flags_unit.sum_carry.next = self.alu.carry_out.val();
        self.flags_unit.sum_auxiliary.next = self.alu.auxiliary_out.val();
        self.flags_unit.sum_overflow.next = self.alu.overflow_out.val();
        self.flags_unit.shift_changes_flags.next = false;
        self.flags_unit.shift_carry.next = false;
        self.flags_unit.shift_overflow.next = false;
        self.flags_unit.tested_bit.next = false;
        self.flags_unit.scan_found_nothing.next = false;
        self.flags_unit.product_overflow.next = false;
        self.flags.next = self.flags_unit.flags.val();
    }
}
