//! Far JMP, CALL and RET, through code segments and call gates (SDM Vol. 2A, "CALL", "JMP", "RET").
use super::assembler::{Assembler, Step, copy, nothing, step};
use super::events::{
    check_gate_code, enter, load_descriptor, on_new_stack, read, return_to_outer, selector,
    set_accessed, stack_from_task, stack16_from_task,
};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Operand, Word};
use spec::registers as numbers;

fn load_code() -> Step {
    nothing().a(T2).b(T1).control(Control::LoadCode).last()
}

pub fn add(routines: &mut Assembler) {
    operands(routines);
    call(routines);
    jump(routines);
    far_return(routines);
    interrupts(routines);
    routines.routine(
        "near_return_release",
        [nothing()
            .a(T0)
            .width(Operand)
            .control(Control::Jump)
            .stack(AddressMode::Release)
            .last()],
    );
    routines.routine(
        "call_through_memory",
        [step(ExecuteOp::PassB)
            .b_from(BSource::NextEip)
            .a(T0)
            .width(Operand)
            .push()
            .control(Control::Jump)
            .last()],
    );
}

/// T1 = offset, T2 = selector; of an immediate pointer the row took the selector. Then the descriptor of T2 is loaded.
fn operands(routines: &mut Assembler) {
    for name in ["call", "jump"] {
        let begin = format!("far_{name}");
        let (real, loaded) = (format!("{begin}_checked"), format!("{begin}_loaded"));
        let load = || {
            load_descriptor(T2)
                .a(T2)
                .check(Check::NotNull)
                .goto(&loaded)
        };
        let pointer = |displacement| {
            copy(T2)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .operand(displacement)
                .goto(&begin)
        };
        routines.routine(
            &format!("{begin}_immediate"),
            [
                copy(T1)
                    .immediate()
                    .unless(StaticCondition::RealSegments, &real),
                load(),
            ],
        );
        routines.routine(
            &format!("{begin}_memory"),
            [
                nothing().unless(StaticCondition::OperandSize16, &format!("{begin}_memory16")),
                pointer(4),
            ],
        );
        routines.routine(&format!("{begin}_memory16"), [pointer(2)]);
        routines.routine(
            &begin,
            [
                nothing().unless(StaticCondition::RealSegments, &real),
                load(),
            ],
        );
    }
}

fn call(routines: &mut Assembler) {
    routines.routine(
        "far_call_loaded",
        [
            // T0 = the selector, should it be that of a TSS.
            copy(T0)
                .b(T2)
                .branch(Condition::SystemDescriptor, "call_gate"),
            nothing()
                .a(T2)
                .check(Check::JumpCode)
                .branch(Condition::NotAccessed, "far_call_accessed"),
        ],
    );
    routines.routine(
        "far_call_checked",
        [
            // Operand b of the check is T1, that of the push the selector.
            step(ExecuteOp::PassB)
                .b(T1)
                .system(selector(numbers::CS))
                .check(Check::CodeTarget)
                .width(Operand)
                .push(),
            step(ExecuteOp::PassB)
                .b_from(BSource::NextEip)
                .width(Operand)
                .push(),
            load_code().stack(AddressMode::Stack),
        ],
    );
    routines.routine("far_call_accessed", [set_accessed(T2, "far_call_checked")]);

    // T6 = parameters
    routines.routine(
        "call_gate",
        [
            copy(T2)
                .system(GATE_SELECTOR)
                .a(T2)
                .check(Check::CallGate)
                .branch(Condition::RareGate, "rare_call"),
            copy(T1).system(GATE_OFFSET),
            copy(T6).system(GATE_PARAMETERS),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            check_gate_code("call_gate_accessed"),
        ],
    );
    routines.routine(
        "call_gate_checked",
        [nothing()
            .b(T1)
            .check(Check::CodeTarget)
            .branch(Condition::NotInner, "call_gate_same_level")],
    );
    routines.routine("call_gate_inner", stack_from_task("call_gate"));
    routines.routine(
        "call_gate_stack",
        [
            on_new_stack(read(selector(numbers::SS)), -4),
            on_new_stack(step(ExecuteOp::PassB).b(Esp), -8),
            // T7 = the first parameter pushed lies highest.
            step(ExecuteOp::Shl).a(T6).constant(2).to(T7),
            step(ExecuteOp::Add).a(T7).b(Esp).to(T7),
            step(ExecuteOp::PassA)
                .a(T6)
                .branch(Condition::NotZero, "call_gate_parameter"),
        ],
    );
    routines.routine(
        "call_gate_enter",
        [on_new_stack(read(selector(numbers::CS)), -12)]
            .into_iter()
            .chain(enter(
                step(ExecuteOp::PassB).b_from(BSource::NextEip),
                -16,
                Control::LoadCode,
            )),
    );
    routines.routine(
        "call_gate_parameter",
        [
            copy(T0)
                .b_load()
                .memory(MemoryOp::Load)
                .at(SegmentSelect::Ss, T7, -4),
            on_new_stack(step(ExecuteOp::PassB).b(T0), -12),
            step(ExecuteOp::Sub).a(T7).constant(4).to(T7),
            step(ExecuteOp::Sub).a(T3).constant(4).to(T3),
            step(ExecuteOp::Sub)
                .a(T6)
                .constant(1)
                .to(T6)
                .until(Condition::Zero, "call_gate_parameter"),
            nothing().goto("call_gate_enter"),
        ],
    );
    stack16_from_task(routines, "call_gate");
    routines.routine(
        "call_gate_stack_accessed",
        [set_accessed(T4, "call_gate_stack")],
    );
    routines.routine(
        "call_gate_same_level",
        [
            read(selector(numbers::CS)).push(),
            step(ExecuteOp::PassB).b_from(BSource::NextEip).push(),
            load_code().stack(AddressMode::Stack),
        ],
    );
    routines.routine(
        "call_gate_accessed",
        [set_accessed(T2, "call_gate_checked")],
    );
}

fn jump(routines: &mut Assembler) {
    routines.routine(
        "far_jump_loaded",
        [
            copy(T0)
                .b(T2)
                .branch(Condition::SystemDescriptor, "jump_gate"),
            nothing()
                .a(T2)
                .check(Check::JumpCode)
                .branch(Condition::NotAccessed, "far_jump_accessed"),
        ],
    );
    routines.routine("far_jump_checked", [load_code().check(Check::CodeTarget)]);
    routines.routine("far_jump_accessed", [set_accessed(T2, "far_jump_checked")]);
    routines.routine(
        "jump_gate",
        [
            copy(T2)
                .system(GATE_SELECTOR)
                .a(T2)
                .check(Check::CallGate)
                .branch(Condition::RareGate, "rare_jump"),
            copy(T1).system(GATE_OFFSET),
        ],
    );
    routines.routine(
        "jump_gate_code",
        [
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing()
                .a(T2)
                .check(Check::GateJump)
                .branch(Condition::NotAccessed, "far_jump_accessed"),
            nothing().goto("far_jump_checked"),
        ],
    );
}

fn far_return(routines: &mut Assembler) {
    let pop = |register| copy(register).access_width(Operand).pop();
    // T1 is popped by the opcode row.
    routines.routine(
        "far_return",
        [
            pop(T2).unless(StaticCondition::RealSegments, "far_return_real"),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing()
                .a(T2)
                .check(Check::ReturnCode)
                .branch(Condition::NotAccessed, "far_return_accessed"),
        ],
    );
    routines.routine(
        "far_return_checked",
        [
            nothing()
                .a(T2)
                .b(T1)
                .check(Check::CodeTarget)
                .branch(Condition::NotOuter, "far_return_same"),
            nothing().stack(AddressMode::Release),
            pop(T4),
            pop(T5),
            step(ExecuteOp::Add).a(T4).immediate().to(T4),
        ],
    );
    return_to_outer(
        routines,
        "far_return",
        nothing().control(Control::CommitStack),
    );
    // In real mode the target is checked here only.
    routines.routine(
        "far_return_real",
        [nothing().b(T1).check(Check::CodeTarget)],
    );
    routines.routine("far_return_same", [load_code().stack(AddressMode::Release)]);
    routines.routine(
        "far_return_accessed",
        [set_accessed(T2, "far_return_checked")],
    );
}

fn interrupts(routines: &mut Assembler) {
    // T0 = EFLAGS
    routines.routine(
        "into",
        [
            step(ExecuteOp::Shr).a(T0).constant(11).to(T0),
            step(ExecuteOp::And)
                .a(T0)
                .constant(1)
                .branch(Condition::Zero, "nothing"),
            step(ExecuteOp::PassB)
                .constant(4)
                .control(Control::SoftwareInterrupt)
                .goto("event"),
        ],
    );
}
