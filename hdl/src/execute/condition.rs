//! The sixteen conditions of Jcc, SETcc and CMOVcc.
use crate::prelude::*;

/// Tells whether an x86 condition code holds. Combinational.
#[derive(LogicBlock, Default)]
pub struct ConditionUnit {
    /// Condition code: the low four bits of the opcode (0 O, 1 NO, 2 B, ... 15 NLE).
    pub condition: Signal<In, Bits<4>>,
    /// EFLAGS.
    pub eflags: Signal<In, Bits<32>>,
    /// The condition holds.
    pub holds: Signal<Out, Bit>,
    // wires
    carry: Signal<Local, Bit>,
    zero: Signal<Local, Bit>,
    less: Signal<Local, Bit>,
    even_code_holds: Signal<Local, Bit>,
}

impl Logic for ConditionUnit {
    #[hdl_gen]
    fn update(&mut self) {
        self.carry.next = (self.eflags.val() >> CF).get_bit(0);
        self.zero.next = (self.eflags.val() >> ZF).get_bit(0);
        self.less.next =
            (self.eflags.val() >> SF).get_bit(0) ^ (self.eflags.val() >> OF).get_bit(0);

        self.even_code_holds.next = false;
        match self.condition.val().get_bits::<3>(1).index() {
            0 => self.even_code_holds.next = (self.eflags.val() >> OF).get_bit(0),
            1 => self.even_code_holds.next = self.carry.val(),
            2 => self.even_code_holds.next = self.zero.val(),
            3 => self.even_code_holds.next = self.carry.val() | self.zero.val(),
            4 => self.even_code_holds.next = (self.eflags.val() >> SF).get_bit(0),
            5 => self.even_code_holds.next = (self.eflags.val() >> PF).get_bit(0),
            6 => self.even_code_holds.next = self.less.val(),
            _ => self.even_code_holds.next = self.less.val() | self.zero.val(),
        }
        // An odd code is the opposite of the even one before it.
        self.holds.next = self.even_code_holds.val() ^ self.condition.val().get_bit(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::testing::settle;

    fn expected(condition: u32, eflags: u32) -> bool {
        let flag = |number: u64| eflags >> number & 1 != 0;
        let even = match condition >> 1 {
            0 => flag(OF),
            1 => flag(CF),
            2 => flag(ZF),
            3 => flag(CF) || flag(ZF),
            4 => flag(SF),
            5 => flag(PF),
            6 => flag(SF) != flag(OF),
            _ => flag(ZF) || flag(SF) != flag(OF),
        };
        even != (condition & 1 != 0)
    }

    #[test]
    fn every_condition_follows_from_every_combination_of_flags() {
        let mut unit = ConditionUnit::default();
        for condition in 0..16 {
            for eflags in 0..0x1000_u32 {
                unit.condition.next = (condition as u64).into();
                unit.eflags.next = (eflags as u64).into();
                settle(&mut unit);
                assert_eq!(
                    unit.holds.val(),
                    expected(condition, eflags),
                    "condition {condition}, EFLAGS {eflags:#x}"
                );
            }
        }
    }
}
