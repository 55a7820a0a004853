//! PUSHA, POPA, ENTER and other instructions that use the stack more than once.
use super::assembler::{Assembler, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::Operand;

pub fn add(routines: &mut Assembler) {
    let push = |register| step(ExecuteOp::PassB).b(register).width(Operand).push();
    let pop = |register| copy(register).access_width(Operand).pop();
    routines.routine("push_t0", [push(T0).last()]);
    // EAX was pushed by the opcode row. ESP is as it was before.
    routines.routine(
        "pusha",
        [
            push(Ecx),
            push(Edx),
            push(Ebx),
            push(Esp),
            push(Ebp),
            push(Esi),
            push(Edi).last(),
        ],
    );
    // The highest doubleword has been probed: none but the first pop can fault.
    routines.routine(
        "popa",
        [
            pop(Edi),
            pop(Esi),
            pop(Ebp),
            pop(T7),
            pop(Ebx),
            pop(Edx),
            pop(Ecx),
            pop(Eax).last(),
        ],
    );
    // Registers change when no pop can fault any more.
    let give = |to, from| copy(to).b(from).width(Operand);
    routines.routine(
        "popa_slowly",
        [
            pop(T0),
            pop(T1),
            pop(T2),
            pop(T7),
            pop(T3),
            pop(T4),
            pop(T5),
            pop(T6),
            give(Edi, T0),
            give(Esi, T1),
            give(Ebp, T2),
            give(Ebx, T3),
            give(Edx, T4),
            give(Ecx, T5),
            give(Eax, T6).stack(AddressMode::Stack).last(),
        ],
    );
    // POP of 16 bits that may go to SP: the upper half of ESP is that behind the increment.
    for (name, register) in [("pop_word_rm", Rm), ("pop_word_opcode", Opcode)] {
        let end = || copy(register).b(T0).width(WidthSelect::Word).last();
        let stack16 = format!("{name}_stack16");
        routines.routine(
            name,
            [
                copy(T0).access_width(Operand).pop(),
                copy(T1)
                    .b_from(BSource::EffectiveAddress)
                    .at(SegmentSelect::Ss, Esp, 0)
                    .unless(StaticCondition::Stack16, &stack16),
                copy(Esp).b(T1),
                end(),
            ],
        );
        routines.routine(&stack16, [copy(Esp).b(T1).width(WidthSelect::Word), end()]);
    }
    // POP to memory: its address is made with ESP as the pop leaves it.
    routines.routine(
        "pop_memory",
        [
            step(ExecuteOp::PassB)
                .b(T0)
                .width(Operand)
                .memory(MemoryOp::Store)
                .operand(0),
            nothing().stack(AddressMode::Stack).last(),
        ],
    );
    // ENTER: EBP was pushed. T1 = the frame.
    let top = |register| {
        copy(register)
            .b_from(BSource::EffectiveAddress)
            .at(SegmentSelect::Ss, Esp, 0)
    };
    routines.routine(
        "enter",
        [
            top(T1),
            copy(T3)
                .b_from(BSource::SecondImmediate)
                .unless(StaticCondition::Stack16, "enter16"),
        ],
    );
    routines.routine(
        "enter_levels",
        [step(ExecuteOp::And)
            .a(T3)
            .constant(31)
            .to(T3)
            .branch(Condition::NotZero, "enter_nested")],
    );
    routines.routine(
        "enter_frame",
        [
            top(T4),
            step(ExecuteOp::Sub).a(T4).immediate().to(T4),
            // The new top of the stack must be writable.
            nothing()
                .access_width(Operand)
                .memory(MemoryOp::LoadForWrite)
                .at(SegmentSelect::Ss, T4, 0),
            copy(Ebp)
                .b(T1)
                .width(Operand)
                .unless(StaticCondition::Stack16, "enter_frame16"),
            copy(Esp).b(T4).last(),
        ],
    );
    // On a stack of 16 bits SP alone moves; the frame is the whole of ESP.
    routines.routine(
        "enter16",
        [
            copy(T7).b(Esp),
            copy(T7).b(T1).width(WidthSelect::Word),
            copy(T1).b(T7).goto("enter_levels"),
        ],
    );
    routines.routine(
        "enter_frame16",
        [copy(Esp).b(T4).width(WidthSelect::Word).last()],
    );
    routines.routine("enter_nested", [copy(T2).b(Ebp)]);
    routines.routine(
        "enter_level",
        [
            step(ExecuteOp::Sub)
                .a(T3)
                .constant(1)
                .to(T3)
                .branch(Condition::Zero, "enter_levels_done"),
            step(ExecuteOp::Sub)
                .a(T2)
                .b_from(BSource::AccessSize)
                .access_width(Operand)
                .to(T2),
            copy(T4)
                .b_load()
                .access_width(Operand)
                .memory(MemoryOp::Load)
                .at(SegmentSelect::Ss, T2, 0),
            step(ExecuteOp::PassB)
                .b(T4)
                .access_width(Operand)
                .push()
                .goto("enter_level"),
        ],
    );
    routines.routine(
        "enter_levels_done",
        [step(ExecuteOp::PassB)
            .b(T1)
            .access_width(Operand)
            .push()
            .goto("enter_frame")],
    );
}
