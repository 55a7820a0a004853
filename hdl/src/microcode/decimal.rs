//! Decimal arithmetic and BOUND (SDM Vol. 2A, "AAA", "AAD", "AAM", "AAS", "BOUND", "DAA", "DAS").
use super::assembler::{Assembler, Step, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Byte, Word};

/// AF and CF in the low byte of EFLAGS.
const AUXILIARY: i32 = 1 << AF;
const CARRY: i32 = 1 << CF;

pub fn add(routines: &mut Assembler) {
    for (name, op) in [("aaa", ExecuteOp::Add), ("aas", ExecuteOp::Sub)] {
        unpacked(routines, name, op);
    }
    for (name, op) in [("daa", ExecuteOp::Add), ("das", ExecuteOp::Sub)] {
        packed(routines, name, op);
    }
    // T0 = AL
    routines.routine(
        "aam",
        [
            step(ExecuteOp::Div).a(T0).immediate().width(Byte).to(T0),
            copy(Ah).b(T0).width(Byte),
            step(ExecuteOp::ReadHigh).width(Byte).to(T0),
            step(ExecuteOp::And)
                .a(T0)
                .b(T0)
                .width(Byte)
                .to(Eax)
                .flags()
                .last(),
        ],
    );
    // T0 = AH * the immediate
    routines.routine(
        "aad",
        [
            step(ExecuteOp::Add).a(Eax).b(T0).width(Byte).to(T0).flags(),
            step(ExecuteOp::ZeroExtendByte).b(T0).to(T0),
            copy(Eax).b(T0).width(Word).last(),
        ],
    );
    bound(routines);
}

/// Bit 4 of T2 = (AL AND 0Fh) > 9 or AF = 1, from the flags in T0; goes to `adjust` if so.
fn low_digit(adjust: &str) -> [Step; 4] {
    [
        step(ExecuteOp::And).a(Eax).constant(15).to(T2),
        step(ExecuteOp::Add).a(T2).constant(6).to(T2),
        step(ExecuteOp::Or).a(T2).b(T0).to(T2),
        step(ExecuteOp::And)
            .a(T2)
            .constant(AUXILIARY)
            .to(T2)
            .branch(Condition::NotZero, adjust),
    ]
}

/// AAA and AAS. T0 = the flags.
fn unpacked(routines: &mut Assembler, name: &str, op: ExecuteOp) {
    let part = |part: &str| format!("{name}_{part}");
    routines.routine(name, low_digit(&part("adjust")));
    routines.routine(
        &part("keep"),
        [step(ExecuteOp::And)
            .a(T0)
            .constant(!(AUXILIARY | CARRY))
            .to(T0)],
    );
    routines.routine(
        &part("digit"),
        [
            step(ExecuteOp::And).a(Eax).constant(15).width(Byte).to(Eax),
            step(ExecuteOp::Sahf).a(T0).flags().last(),
        ],
    );
    routines.routine(
        &part("adjust"),
        [
            step(op).a(Eax).constant(0x106).width(Word).to(Eax),
            step(ExecuteOp::Or)
                .a(T0)
                .constant(AUXILIARY | CARRY)
                .to(T0)
                .goto(&part("digit")),
        ],
    );
}

/// DAA and DAS. T0 = the flags.
fn packed(routines: &mut Assembler, name: &str, op: ExecuteOp) {
    let part = |part: &str| format!("{name}_{part}");
    // T1 = AL before, T4 = AL after, T6 = carry of the low digit's adjustment.
    routines.routine(
        name,
        [
            step(ExecuteOp::ZeroExtendByte).b(Eax).to(T1),
            copy(T4).b(T1),
            copy(T6).constant(0),
        ],
    );
    routines.routine(&part("low"), low_digit(&part("adjust_low")));
    // T3 = AL before > 99h or CF = 1
    routines.routine(
        &part("high"),
        [
            step(ExecuteOp::Add).a(T1).constant(0x66).to(T3),
            step(ExecuteOp::Shr).a(T3).constant(8).to(T3),
            step(ExecuteOp::Or).a(T3).b(T0).to(T3),
            step(ExecuteOp::And)
                .a(T3)
                .constant(CARRY)
                .to(T3)
                .branch(Condition::NotZero, &part("adjust_high")),
        ],
    );
    // SF ZF PF as AL says, and AF and CF.
    routines.routine(
        &part("done"),
        [
            step(ExecuteOp::And).a(T4).b(T4).width(Byte).to(Eax).flags(),
            step(ExecuteOp::Lahf).to(T0),
            step(ExecuteOp::Or).a(T0).b(T2).to(T0),
            step(ExecuteOp::Or).a(T0).b(T3).to(T0),
            step(ExecuteOp::Or).a(T0).b(T6).to(T0),
            step(ExecuteOp::Sahf).a(T0).flags().last(),
        ],
    );
    routines.routine(
        &part("adjust_low"),
        [
            step(op).a(T4).constant(6).to(T4),
            step(ExecuteOp::Shr).a(T4).constant(8).to(T6),
            step(ExecuteOp::And)
                .a(T6)
                .constant(CARRY)
                .to(T6)
                .goto(&part("high")),
        ],
    );
    routines.routine(
        &part("adjust_high"),
        [step(op).a(T4).constant(0x60).to(T4).goto(&part("done"))],
    );
}

/// #BR if `a` < `b`, as numbers with sign: SF <> OF of their difference.
fn not_below(a: RegisterSelect, b: RegisterSelect) -> [Step; 6] {
    [
        step(ExecuteOp::Sub).a(a).b(b).to(T4),
        step(ExecuteOp::Xor).a(a).b(b).to(T5),
        step(ExecuteOp::Xor).a(a).b(T4).to(T6),
        step(ExecuteOp::And).a(T5).b(T6).to(T5),
        step(ExecuteOp::Xor).a(T4).b(T5).to(T4),
        nothing().a(T4).check(Check::Bounds),
    ]
}

/// T0 = the lower bound, T1 = the upper one, T2 = the index.
fn bound(routines: &mut Assembler) {
    let upper = |displacement| {
        copy(T1)
            .b_load()
            .access_width(WidthSelect::Operand)
            .memory(MemoryOp::Load)
            .operand(displacement)
    };
    routines.routine(
        "bound",
        [
            nothing().unless(StaticCondition::OperandSize16, "bound_word"),
            upper(4),
            copy(T2).b(Reg),
        ],
    );
    let mut steps = not_below(T2, T0).to_vec();
    steps.extend(not_below(T1, T2));
    steps.push(nothing().last());
    routines.routine("bound_check", steps);
    routines.routine(
        "bound_word",
        [
            upper(2),
            step(ExecuteOp::SignExtendWord).b(T0).to(T0),
            step(ExecuteOp::SignExtendWord).b(T1).to(T1),
            step(ExecuteOp::SignExtendWord)
                .b(Reg)
                .to(T2)
                .goto("bound_check"),
        ],
    );
}
