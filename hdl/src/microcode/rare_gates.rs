//! Gates of 16 bits, task gates, stacks from a TSS of 16 bits and events in virtual-8086 mode, off the way of the usual
//! ones (SDM Vol. 3A, "Mixing 16-Bit and 32-Bit Code" and "Interrupt and Exception Handling in Virtual-8086 Mode").
//!
//! `Condition::RareGate` has made the operand size that of the gate, so pushes are of the gate's size.
use super::assembler::{Assembler, Step, copy, nothing, step};
use super::events::{load_descriptor, read, selector, set_accessed};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Operand, Word};
use spec::registers as numbers;

pub fn add(routines: &mut Assembler) {
    deliver(routines);
    call(routines);
    jump(routines);
}

/// T1 = the offset of the gate in the descriptor latch; then on at `label`.
fn gate_offset(routines: &mut Assembler, label: &str) {
    let word = format!("{label}_offset16");
    routines.routine(
        &format!("{label}_offset"),
        [
            copy(T1)
                .system(GATE_OFFSET)
                .unless(StaticCondition::OperandSize16, &word),
            nothing().goto(label),
        ],
    );
    routines.routine(
        &word,
        [step(ExecuteOp::ZeroExtendWord).b(T1).to(T1).goto(label)],
    );
}

/// Pushes `step`'s result on the stack being entered, whose top is T3.
fn push(step_: Step) -> [Step; 2] {
    [
        step(ExecuteOp::Sub)
            .a(T3)
            .b_from(BSource::AccessSize)
            .access_width(Operand)
            .to(T3),
        step_
            .access_width(Operand)
            .memory(MemoryOp::Store)
            .at(SegmentSelect::New, T3, 0)
            .privileged(),
    ]
}

fn pushes(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    steps.into_iter().flat_map(push).collect()
}

/// T3 = ESP and T4 = SS for the level of the code in the descriptor latch, from a TSS of either size; the stack being
/// entered is T4's. Goes on at `{prefix}_stack`.
fn stack_from_task(routines: &mut Assembler, prefix: &str) {
    let part = |part: &str| format!("{prefix}_{part}");
    let field = |to, width, displacement| {
        copy(to)
            .b_load()
            .access_width(width)
            .memory(MemoryOp::Load)
            .at(SegmentSelect::Tss, T5, displacement)
            .privileged()
    };
    routines.routine(
        &part("inner"),
        [
            copy(T5).system(STACK_SLOT),
            copy(T4).system((numbers::ACCESS + numbers::TR) as u64),
            step(ExecuteOp::And)
                .a(T4)
                .constant(8)
                .branch(Condition::Zero, &part("task16")),
            field(T4, Word, 4),
            field(T3, WidthSelect::Dword, 0),
        ],
    );
    routines.routine(
        &part("descriptor"),
        [
            load_descriptor(T4).a(T4).check(Check::NotNullTask),
            nothing()
                .a(T4)
                .check(Check::NewStack)
                .control(Control::LoadNewStack),
            nothing().branch(Condition::Segment16, &part("stack16")),
        ],
    );
    routines.routine(
        &part("accessed"),
        [
            nothing().branch(Condition::NotAccessed, &part("stack_accessed")),
            nothing().goto(&part("stack")),
        ],
    );
    // SP0 is at 2, SS0 at 4; four bytes for each level.
    routines.routine(
        &part("task16"),
        [
            step(ExecuteOp::Shr).a(T5).constant(1).to(T5),
            nothing(),
            field(T4, Word, 2),
            field(T3, Word, 0).goto(&part("descriptor")),
        ],
    );
    routines.routine(
        &part("stack16"),
        [step(ExecuteOp::ZeroExtendWord)
            .b(T3)
            .to(T3)
            .goto(&part("accessed"))],
    );
    routines.routine(&part("stack_accessed"), [set_accessed(T4, &part("stack"))]);
}

/// The stack being entered becomes SS:T3, and CS:EIP = T2:T1.
fn enter(code: Control) -> [Step; 2] {
    [
        nothing().control(Control::CommitStack),
        nothing()
            .a(T2)
            .b(T1)
            .control(code)
            .at(SegmentSelect::Flat, T3, 0)
            .address(AddressMode::SetStack, SegmentSelect::Flat)
            .last(),
    ]
}

/// The code descriptor of the selector in T2 is loaded and checked; then `{prefix}_checked`, and from there to
/// `{prefix}_same_level` or `{prefix}_inner`.
fn gate_code(routines: &mut Assembler, prefix: &str) {
    let part = |part: &str| format!("{prefix}_{part}");
    routines.routine(
        &part("code"),
        [
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing()
                .a(T2)
                .check(Check::GateCode)
                .branch(Condition::NotAccessed, &part("code_accessed")),
        ],
    );
    routines.routine(
        &part("checked"),
        [
            nothing()
                .b(T1)
                .check(Check::CodeTarget)
                .branch(Condition::NotInner, &part("same_level")),
            nothing().goto(&part("inner")),
        ],
    );
    routines.routine(&part("code_accessed"), [set_accessed(T2, &part("checked"))]);
}

/// T2 = selector of the gate.
fn deliver(routines: &mut Assembler) {
    routines.routine(
        "deliver_rarely",
        [
            // Bit 1 of the type is clear in a task gate alone.
            copy(T7).system(ACCESSED_BYTE),
            step(ExecuteOp::And)
                .a(T7)
                .constant(2)
                .branch(Condition::Zero, "deliver_to_task"),
        ],
    );
    gate_offset(routines, "rare_event_code");
    gate_code(routines, "rare_event");
    stack_from_task(routines, "rare_event");
    // T0 = EFLAGS from VM on
    routines.routine(
        "rare_event_stack",
        [
            copy(T0).system(EFLAGS),
            step(ExecuteOp::Shr).a(T0).constant(VM as i32).to(T0),
            step(ExecuteOp::And)
                .a(T0)
                .constant(1)
                .branch(Condition::NotZero, "rare_event_virtual"),
        ],
    );
    routines.routine(
        "rare_event_frame",
        pushes([
            read(selector(numbers::SS)),
            step(ExecuteOp::PassB).b(Esp),
            read(EFLAGS),
            read(selector(numbers::CS)),
            read(EVENT_EIP),
        ])
        .into_iter()
        .chain([nothing().unless(StaticCondition::HasErrorCode, "rare_event_error")]),
    );
    routines.routine(
        "rare_event_pushed",
        [step(ExecuteOp::And)
            .a(T0)
            .constant(1)
            .branch(Condition::NotZero, "rare_event_drops")],
    );
    routines.routine("rare_event_enter", enter(Control::EnterCode));
    routines.routine(
        "rare_event_error",
        push(read(EVENT_ERROR))
            .into_iter()
            .chain([nothing().goto("rare_event_pushed")]),
    );
    // Data segments of virtual-8086 mode mean nothing to the handler: they are saved, and null.
    let data = [numbers::GS, numbers::FS, numbers::DS, numbers::ES];
    routines.routine(
        "rare_event_virtual",
        pushes(data.map(|s| read(selector(s))))
            .into_iter()
            .chain([nothing().goto("rare_event_frame")]),
    );
    routines.routine(
        "rare_event_drops",
        [copy(T7).constant(0)]
            .into_iter()
            .chain(data.map(|s| nothing().a(T7).control_of(Control::ClearSegment, s as u64)))
            .chain([nothing().goto("rare_event_enter")]),
    );

    let push = |step: Step| step.access_width(Operand).push();
    let enter_code = || {
        nothing()
            .a(T2)
            .b(T1)
            .control(Control::EnterCode)
            .stack(AddressMode::Stack)
            .last()
    };
    routines.routine(
        "rare_event_same_level",
        [
            push(read(EFLAGS)),
            push(read(selector(numbers::CS))),
            push(read(EVENT_EIP)).unless(StaticCondition::HasErrorCode, "rare_event_same_error"),
            enter_code(),
        ],
    );
    routines.routine(
        "rare_event_same_error",
        [push(read(EVENT_ERROR)), enter_code()],
    );
}

/// T2 = selector of the gate.
fn call(routines: &mut Assembler) {
    routines.routine(
        "rare_call",
        [
            // Bit 0 of the type is set in TSS and task gates.
            copy(T7).system(BUSY_BYTE),
            step(ExecuteOp::And)
                .a(T7)
                .constant(1)
                .branch(Condition::NotZero, "call_task"),
            copy(T6).system(GATE_PARAMETERS),
        ],
    );
    gate_offset(routines, "rare_call_code");
    gate_code(routines, "rare_call");
    stack_from_task(routines, "rare_call");
    // T7 = above the parameters on the old stack.
    routines.routine(
        "rare_call_stack",
        pushes([read(selector(numbers::SS)), step(ExecuteOp::PassB).b(Esp)])
            .into_iter()
            .chain([step(ExecuteOp::Shl)
                .a(T6)
                .constant(2)
                .to(T7)
                .unless(StaticCondition::OperandSize16, "rare_call_words")]),
    );
    routines.routine(
        "rare_call_parameters",
        [
            step(ExecuteOp::Add).a(T7).b(Esp).to(T7),
            step(ExecuteOp::PassA)
                .a(T6)
                .branch(Condition::NotZero, "rare_call_parameter"),
        ],
    );
    routines.routine(
        "rare_call_enter",
        pushes([
            read(selector(numbers::CS)),
            step(ExecuteOp::PassB).b_from(BSource::NextEip),
        ])
        .into_iter()
        .chain(enter(Control::LoadCode)),
    );
    routines.routine(
        "rare_call_words",
        [step(ExecuteOp::Shl)
            .a(T6)
            .constant(1)
            .to(T7)
            .goto("rare_call_parameters")],
    );
    routines.routine(
        "rare_call_parameter",
        [
            step(ExecuteOp::Sub)
                .a(T7)
                .b_from(BSource::AccessSize)
                .access_width(Operand)
                .to(T7),
            copy(T0)
                .b_load()
                .access_width(Operand)
                .memory(MemoryOp::Load)
                .at(SegmentSelect::Ss, T7, 0),
        ]
        .into_iter()
        .chain(push(step(ExecuteOp::PassB).b(T0)))
        .chain([
            step(ExecuteOp::Sub)
                .a(T6)
                .constant(1)
                .to(T6)
                .until(Condition::Zero, "rare_call_parameter"),
            nothing().goto("rare_call_enter"),
        ]),
    );
    let push = |step: Step| step.access_width(Operand).push();
    routines.routine(
        "rare_call_same_level",
        [
            push(read(selector(numbers::CS))),
            push(step(ExecuteOp::PassB).b_from(BSource::NextEip)),
            nothing()
                .a(T2)
                .b(T1)
                .control(Control::LoadCode)
                .stack(AddressMode::Stack)
                .last(),
        ],
    );
}

/// T2 = selector of the gate.
fn jump(routines: &mut Assembler) {
    routines.routine(
        "rare_jump",
        [
            copy(T7).system(BUSY_BYTE),
            step(ExecuteOp::And)
                .a(T7)
                .constant(1)
                .branch(Condition::NotZero, "jump_task"),
        ],
    );
    gate_offset(routines, "jump_gate_code");
}
