//! EFLAGS after an operation.
use crate::prelude::*;

/// Which rule the flags of an operation follow.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum FlagRule {
    /// No flag changes.
    Keep,
    /// OF SF ZF AF PF CF of a sum or difference.
    Sum,
    /// SF ZF PF of the result, OF and CF zero. AF is undefined; zero, as processors do.
    Logic,
    /// OF SF ZF PF CF, unless the count is zero. AF is undefined; unchanged.
    Shift,
    /// OF CF, unless the count is zero.
    Rotate,
    /// CF. OF SF AF PF are undefined; unchanged.
    BitTest,
    /// ZF: nothing found. The others are undefined; unchanged.
    Scan,
    /// OF and CF. SF ZF AF PF are undefined; unchanged.
    Product,
    /// SF ZF AF PF CF from the low byte of `a`.
    Load,
    ClearCarry,
    SetCarry,
    ComplementCarry,
}

/// Merges the arithmetic flags (OF SF ZF AF PF CF) of an operation into EFLAGS. Combinational.
#[derive(LogicBlock, Default)]
pub struct FlagsUnit {
    pub op: Signal<In, ExecuteOp>,
    pub width: Signal<In, Width>,
    /// `Add` and `Sub` do not change CF: INC and DEC.
    pub keep_carry: Signal<In, Bit>,
    /// EFLAGS before.
    pub eflags: Signal<In, Bits<32>>,
    /// First operand's low byte, for `Sahf`.
    pub a: Signal<In, Bits<8>>,
    /// The operation's result, bits beyond the width zero.
    pub result: Signal<In, Bits<32>>,
    /// The shifter's is zero.
    pub shifted_zero: Signal<In, Bit>,
    // from the adder
    pub sum_carry: Signal<In, Bit>,
    pub sum_auxiliary: Signal<In, Bit>,
    pub sum_overflow: Signal<In, Bit>,
    // from the shifter
    pub shift_changes_flags: Signal<In, Bit>,
    pub shift_carry: Signal<In, Bit>,
    pub shift_overflow: Signal<In, Bit>,
    // from the bit unit
    pub tested_bit: Signal<In, Bit>,
    pub scan_found_nothing: Signal<In, Bit>,
    // from the multiplier
    pub product_overflow: Signal<In, Bit>,
    /// ZF is that of a sum or of bitwise logic, and not in `flags`.
    pub zero_of_sum: Signal<Out, Bit>,
    /// EFLAGS after.
    pub flags: Signal<Out, Bits<32>>,
    // wires
    rule: Signal<Local, FlagRule>,
    result_sign: Signal<Local, Bit>,
    result_parity: Signal<Local, Bit>,
    carry: Signal<Local, Bit>,
    parity: Signal<Local, Bit>,
    auxiliary: Signal<Local, Bit>,
    zero: Signal<Local, Bit>,
    sign: Signal<Local, Bit>,
    overflow: Signal<Local, Bit>,
}

impl Logic for FlagsUnit {
    #[hdl_gen]
    fn update(&mut self) {
        self.rule.next = FlagRule::Keep;
        match self.op.val() {
            ExecuteOp::Add => self.rule.next = FlagRule::Sum,
            ExecuteOp::Adc => self.rule.next = FlagRule::Sum,
            ExecuteOp::Sub => self.rule.next = FlagRule::Sum,
            ExecuteOp::Sbb => self.rule.next = FlagRule::Sum,
            ExecuteOp::Neg => self.rule.next = FlagRule::Sum,
            ExecuteOp::And => self.rule.next = FlagRule::Logic,
            ExecuteOp::Or => self.rule.next = FlagRule::Logic,
            ExecuteOp::Xor => self.rule.next = FlagRule::Logic,
            ExecuteOp::Shl => self.rule.next = FlagRule::Shift,
            ExecuteOp::Shr => self.rule.next = FlagRule::Shift,
            ExecuteOp::Sar => self.rule.next = FlagRule::Shift,
            ExecuteOp::Shld => self.rule.next = FlagRule::Shift,
            ExecuteOp::Shrd => self.rule.next = FlagRule::Shift,
            ExecuteOp::Rol => self.rule.next = FlagRule::Rotate,
            ExecuteOp::Ror => self.rule.next = FlagRule::Rotate,
            ExecuteOp::Rcl => self.rule.next = FlagRule::Rotate,
            ExecuteOp::Rcr => self.rule.next = FlagRule::Rotate,
            ExecuteOp::Bt => self.rule.next = FlagRule::BitTest,
            ExecuteOp::Bts => self.rule.next = FlagRule::BitTest,
            ExecuteOp::Btr => self.rule.next = FlagRule::BitTest,
            ExecuteOp::Btc => self.rule.next = FlagRule::BitTest,
            ExecuteOp::Bsf => self.rule.next = FlagRule::Scan,
            ExecuteOp::Bsr => self.rule.next = FlagRule::Scan,
            ExecuteOp::Mul => self.rule.next = FlagRule::Product,
            ExecuteOp::Imul => self.rule.next = FlagRule::Product,
            ExecuteOp::Sahf => self.rule.next = FlagRule::Load,
            ExecuteOp::ClearCarry => self.rule.next = FlagRule::ClearCarry,
            ExecuteOp::SetCarry => self.rule.next = FlagRule::SetCarry,
            ExecuteOp::ComplementCarry => self.rule.next = FlagRule::ComplementCarry,
            _ => {}
        }

        self.result_sign.next = self.result.val().get_bit(31);
        match self.width.val() {
            Width::Byte => self.result_sign.next = self.result.val().get_bit(7),
            Width::Word => self.result_sign.next = self.result.val().get_bit(15),
            _ => {}
        }
        self.result_parity.next = !self.result.val().get_bits::<8>(0).xor();

        self.zero_of_sum.next = false;
        self.carry.next = (self.eflags.val() >> CF).get_bit(0);
        self.parity.next = (self.eflags.val() >> PF).get_bit(0);
        self.auxiliary.next = (self.eflags.val() >> AF).get_bit(0);
        self.zero.next = (self.eflags.val() >> ZF).get_bit(0);
        self.sign.next = (self.eflags.val() >> SF).get_bit(0);
        self.overflow.next = (self.eflags.val() >> OF).get_bit(0);
        match self.rule.val() {
            FlagRule::Sum => {
                self.overflow.next = self.sum_overflow.val();
                self.sign.next = self.result_sign.val();
                self.zero_of_sum.next = true;
                self.auxiliary.next = self.sum_auxiliary.val();
                self.parity.next = self.result_parity.val();
                if !self.keep_carry.val() {
                    self.carry.next = self.sum_carry.val();
                }
            }
            FlagRule::Logic => {
                self.overflow.next = false;
                self.sign.next = self.result_sign.val();
                self.zero_of_sum.next = true;
                self.auxiliary.next = false;
                self.parity.next = self.result_parity.val();
                self.carry.next = false;
            }
            FlagRule::Shift => {
                if self.shift_changes_flags.val() {
                    self.overflow.next = self.shift_overflow.val();
                    self.sign.next = self.result_sign.val();
                    self.zero.next = self.shifted_zero.val();
                    self.parity.next = self.result_parity.val();
                    self.carry.next = self.shift_carry.val();
                }
            }
            FlagRule::Rotate => {
                if self.shift_changes_flags.val() {
                    self.overflow.next = self.shift_overflow.val();
                    self.carry.next = self.shift_carry.val();
                }
            }
            FlagRule::BitTest => {
                self.carry.next = self.tested_bit.val();
            }
            FlagRule::Scan => {
                self.zero.next = self.scan_found_nothing.val();
            }
            FlagRule::Product => {
                self.overflow.next = self.product_overflow.val();
                self.carry.next = self.product_overflow.val();
            }
            FlagRule::Load => {
                self.carry.next = (self.a.val() >> CF).get_bit(0);
                self.parity.next = (self.a.val() >> PF).get_bit(0);
                self.auxiliary.next = (self.a.val() >> AF).get_bit(0);
                self.zero.next = (self.a.val() >> ZF).get_bit(0);
                self.sign.next = (self.a.val() >> SF).get_bit(0);
            }
            FlagRule::ClearCarry => {
                self.carry.next = false;
            }
            FlagRule::SetCarry => {
                self.carry.next = true;
            }
            FlagRule::ComplementCarry => {
                self.carry.next = !(self.eflags.val() >> CF).get_bit(0);
            }
            _ => {}
        }

        self.flags.next = (self.eflags.val() & OTHER_THAN_ARITHMETIC_FLAGS)
            | (bit_cast::<32, 1>(self.carry.val().into()) << CF)
            | (bit_cast::<32, 1>(self.parity.val().into()) << PF)
            | (bit_cast::<32, 1>(self.auxiliary.val().into()) << AF)
            | (bit_cast::<32, 1>(self.zero.val().into()) << ZF)
            | (bit_cast::<32, 1>(self.sign.val().into()) << SF)
            | (bit_cast::<32, 1>(self.overflow.val().into()) << OF);
    }
}
