//! Far JMP, CALL and RET, through code segments and call gates (SDM Vol. 2A, "CALL", "JMP", "RET").
use super::assembler::{Assembler, Step, copy, nothing, step};
use super::events::{
    load_descriptor, read, selector, set_accessed, stack_from_task, stack16_from_task,
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

/// T1 = offset, T2 = selector.
fn operands(routines: &mut Assembler) {
    for name in ["call", "jump"] {
        let begin = format!("far_{name}");
        let pointer = |displacement| {
            copy(T2)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .operand(displacement)
                .goto(&begin)
        };
        routines.routine(
            &format!("far_{name}_immediate"),
            [copy(T2).b_from(BSource::SecondImmediate).goto(&begin)],
        );
        routines.routine(
            &format!("far_{name}_memory"),
            [
                nothing().unless(
                    StaticCondition::OperandSize16,
                    &format!("far_{name}_memory16"),
                ),
                pointer(4),
            ],
        );
        routines.routine(&format!("far_{name}_memory16"), [pointer(2)]);
    }
}

fn call(routines: &mut Assembler) {
    routines.routine(
        "far_call",
        [
            nothing().unless(StaticCondition::RealMode, "far_call_push"),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing().branch(Condition::SystemDescriptor, "call_gate"),
            nothing().a(T2).check(Check::JumpCode),
            nothing().branch(Condition::NotAccessed, "far_call_accessed"),
        ],
    );
    routines.routine(
        "far_call_push",
        [
            nothing().b(T1).check(Check::CodeTarget),
            read(selector(numbers::CS)).width(Operand).push(),
            step(ExecuteOp::PassB)
                .b_from(BSource::NextEip)
                .width(Operand)
                .push(),
            load_code().stack(AddressMode::Stack),
        ],
    );
    routines.routine("far_call_accessed", [set_accessed(T2, "far_call_push")]);

    // T6 = parameters
    routines.routine(
        "call_gate",
        [
            nothing().a(T2).check(Check::CallGate),
            copy(T1).system(GATE_OFFSET),
            copy(T2).system(GATE_SELECTOR),
            copy(T6).system(GATE_PARAMETERS),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing().a(T2).check(Check::GateCode),
            nothing().branch(Condition::NotAccessed, "call_gate_accessed"),
        ],
    );
    routines.routine(
        "call_gate_checked",
        [
            nothing().branch(Condition::NotInner, "call_gate_same_level"),
            nothing()
                .b(T1)
                .check(Check::CodeTarget)
                .goto("call_gate_inner"),
        ],
    );
    routines.routine(
        "call_gate_same_level",
        [
            nothing().b(T1).check(Check::CodeTarget),
            read(selector(numbers::CS)).push(),
            step(ExecuteOp::PassB).b_from(BSource::NextEip).push(),
            load_code().stack(AddressMode::Stack),
        ],
    );
    routines.routine(
        "call_gate_accessed",
        [set_accessed(T2, "call_gate_checked")],
    );
    let on_new_stack = |step: Step, displacement| {
        step.memory(MemoryOp::Store)
            .at(SegmentSelect::New, T3, displacement)
            .privileged()
    };
    routines.routine("call_gate_inner", stack_from_task("call_gate"));
    routines.routine(
        "call_gate_stack",
        [
            nothing().a(T4).control(Control::LoadNewStack),
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
        [
            on_new_stack(read(selector(numbers::CS)), -12),
            on_new_stack(step(ExecuteOp::PassB).b_from(BSource::NextEip), -16),
            nothing().control(Control::CommitStack),
            step(ExecuteOp::Add).a(T3).constant(-16).to(Esp),
            load_code(),
        ],
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
                .branch(Condition::NotZero, "call_gate_parameter"),
            nothing().goto("call_gate_enter"),
        ],
    );
    stack16_from_task(routines, "call_gate");
    routines.routine(
        "call_gate_stack_accessed",
        [set_accessed(T4, "call_gate_stack")],
    );
}

fn jump(routines: &mut Assembler) {
    routines.routine(
        "far_jump",
        [
            nothing().unless(StaticCondition::RealMode, "far_jump_checked"),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing().branch(Condition::SystemDescriptor, "jump_gate"),
            nothing().a(T2).check(Check::JumpCode),
            nothing().branch(Condition::NotAccessed, "far_jump_accessed"),
        ],
    );
    routines.routine(
        "far_jump_checked",
        [nothing().b(T1).check(Check::CodeTarget), load_code()],
    );
    routines.routine("far_jump_accessed", [set_accessed(T2, "far_jump_checked")]);
    routines.routine(
        "jump_gate",
        [
            nothing().a(T2).check(Check::CallGate),
            copy(T1).system(GATE_OFFSET),
            copy(T2).system(GATE_SELECTOR),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing().a(T2).check(Check::GateJump),
            nothing().branch(Condition::NotAccessed, "far_jump_accessed"),
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
            pop(T2),
            nothing().unless(StaticCondition::RealMode, "far_return_same"),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing().a(T2).check(Check::ReturnCode),
            nothing().branch(Condition::NotAccessed, "far_return_accessed"),
        ],
    );
    routines.routine(
        "far_return_checked",
        [
            nothing()
                .a(T2)
                .branch(Condition::NotOuter, "far_return_same"),
            nothing()
                .b(T1)
                .check(Check::CodeTarget)
                .goto("far_return_outer"),
        ],
    );
    routines.routine(
        "far_return_same",
        [
            nothing().b(T1).check(Check::CodeTarget),
            load_code().stack(AddressMode::Release),
        ],
    );
    routines.routine(
        "far_return_accessed",
        [set_accessed(T2, "far_return_checked")],
    );
    routines.routine(
        "far_return_outer",
        [
            nothing().stack(AddressMode::Release),
            pop(T4),
            pop(T5),
            load_descriptor(T5).a(T5).check(Check::NotNull),
            nothing().a(T5).check(Check::ReturnStack),
            nothing().branch(Condition::NotAccessed, "far_return_stack_accessed"),
        ],
    );
    routines.routine(
        "far_return_stack",
        [
            copy(T7).b(Esp).a(T5).control(Control::LoadNewStack),
            nothing().control(Control::CommitStack),
            step(ExecuteOp::Add).a(T4).immediate().to(T4),
            copy(Esp)
                .b(T4)
                .branch(Condition::Segment16, "return_stack16"),
            nothing().goto("return_outer"),
        ],
    );
    routines.routine(
        "far_return_stack_accessed",
        [set_accessed(T5, "far_return_stack")],
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
                .goto("deliver"),
        ],
    );
}
