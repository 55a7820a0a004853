//! Delivery of faults, traps and interrupts, IRET, and reset (SDM Vol. 3A, "Exception and Interrupt Handling").
use super::assembler::{Assembler, Step, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Operand, Word};
use spec::registers as numbers;

/// Selector of segment `s` as a system register.
pub fn selector(s: u8) -> u64 {
    (numbers::SELECTOR + s) as u64
}

/// Loads the descriptor of the selector in `register` into the latch. A check of the same step sees the selector only.
pub fn load_descriptor(register: RegisterSelect) -> Step {
    nothing()
        .width(WidthSelect::Quad)
        .memory(MemoryOp::Load)
        .descriptor(register, 0)
        .control(Control::LoadDescriptor)
}

/// Writes the accessed bit of the descriptor of `register` and goes on at `label`.
pub fn set_accessed(register: RegisterSelect, label: &str) -> Step {
    step(ExecuteOp::PassB)
        .system(ACCESSED_BYTE)
        .width(WidthSelect::Byte)
        .memory(MemoryOp::Store)
        .descriptor(register, 5)
        .goto(label)
}

/// Reads EFLAGS, a selector... for a push.
pub fn read(number: u64) -> Step {
    step(ExecuteOp::PassB).system(number)
}

/// Stores `step`'s result on the stack being entered, `displacement` from T3.
fn on_new_stack(step: Step, displacement: i32) -> Step {
    step.memory(MemoryOp::Store)
        .at(SegmentSelect::New, T3, displacement)
        .privileged()
}

/// T3 = ESP and T4 = SS for the level of the checked code, from the TSS; the descriptor of T4 is checked.
pub fn stack_from_task(prefix: &str) -> Vec<Step> {
    vec![
        copy(T5).system(STACK_SLOT),
        copy(T3)
            .b_load()
            .memory(MemoryOp::Load)
            .at(SegmentSelect::Tss, T5, 0)
            .privileged(),
        copy(T4)
            .b_load()
            .access_width(Word)
            .memory(MemoryOp::Load)
            .at(SegmentSelect::Tss, T5, 4)
            .privileged(),
        load_descriptor(T4).a(T4).check(Check::NotNullTask),
        nothing()
            .a(T4)
            .check(Check::NewStack)
            .branch(Condition::Segment16, &format!("{prefix}_stack16")),
        nothing().branch(Condition::NotAccessed, &format!("{prefix}_stack_accessed")),
    ]
}

/// What follows in a routine made of `stack_from_task`: a stack of 16 bits takes SP only.
pub fn stack16_from_task(routines: &mut Assembler, prefix: &str) {
    routines.routine(
        &format!("{prefix}_stack16"),
        [
            step(ExecuteOp::ZeroExtendWord).b(T3).to(T3),
            nothing().branch(Condition::NotAccessed, &format!("{prefix}_stack_accessed")),
            nothing().goto(&format!("{prefix}_stack")),
        ],
    );
}

pub fn add(routines: &mut Assembler) {
    deliver(routines);
    interrupt_return(routines);
    reset(routines);
}

fn deliver(routines: &mut Assembler) {
    // T1:T2 = offset and selector of the handler.
    routines.routine(
        "deliver",
        [
            nothing().unless(StaticCondition::RealMode, "deliver_real"),
            nothing()
                .width(WidthSelect::Quad)
                .memory(MemoryOp::Load)
                .gate(0)
                .control(Control::LoadDescriptor),
            nothing().check(Check::EventGate),
            copy(T2).system(GATE_SELECTOR),
            copy(T1).system(GATE_OFFSET),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing().a(T2).check(Check::GateCode),
            nothing().branch(Condition::NotAccessed, "deliver_code_accessed"),
        ],
    );
    routines.routine(
        "deliver_checked",
        [
            nothing().branch(Condition::NotInner, "deliver_same_level"),
            nothing()
                .b(T1)
                .check(Check::CodeTarget)
                .goto("deliver_inner"),
        ],
    );
    routines.routine(
        "deliver_same_level",
        [
            nothing().b(T1).check(Check::CodeTarget),
            read(EFLAGS).push(),
            read(selector(numbers::CS)).push(),
            read(EVENT_EIP).push(),
            nothing().unless(StaticCondition::HasErrorCode, "deliver_same_error"),
        ],
    );
    routines.routine(
        "deliver_same",
        [
            nothing().control(Control::EnterFlags),
            nothing()
                .a(T2)
                .b(T1)
                .control(Control::LoadCode)
                .stack(AddressMode::Stack)
                .last(),
        ],
    );
    routines.routine(
        "deliver_same_error",
        [read(EVENT_ERROR).push().goto("deliver_same")],
    );
    routines.routine(
        "deliver_code_accessed",
        [set_accessed(T2, "deliver_checked")],
    );

    routines.routine("deliver_inner", stack_from_task("deliver"));
    routines.routine(
        "deliver_stack",
        [
            nothing().a(T4).control(Control::LoadNewStack),
            on_new_stack(read(selector(numbers::SS)), -4),
            on_new_stack(step(ExecuteOp::PassB).b(Esp), -8),
            on_new_stack(read(EFLAGS), -12),
            on_new_stack(read(selector(numbers::CS)), -16),
            on_new_stack(read(EVENT_EIP), -20),
            nothing().unless(StaticCondition::HasErrorCode, "deliver_inner_error"),
            nothing().control(Control::EnterFlags),
            nothing().control(Control::CommitStack),
            step(ExecuteOp::Add).a(T3).constant(-20).to(Esp),
            nothing().a(T2).b(T1).control(Control::LoadCode).last(),
        ],
    );
    routines.routine(
        "deliver_inner_error",
        [
            on_new_stack(read(EVENT_ERROR), -24),
            nothing().control(Control::EnterFlags),
            nothing().control(Control::CommitStack),
            step(ExecuteOp::Add).a(T3).constant(-24).to(Esp),
            nothing().a(T2).b(T1).control(Control::LoadCode).last(),
        ],
    );
    stack16_from_task(routines, "deliver");
    routines.routine(
        "deliver_stack_accessed",
        [set_accessed(T4, "deliver_stack")],
    );

    routines.routine(
        "deliver_real",
        [
            copy(T1)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .gate(0),
            copy(T2)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .gate(2),
            read(EFLAGS).access_width(Word).push(),
            read(selector(numbers::CS)).access_width(Word).push(),
            read(EVENT_EIP).access_width(Word).push(),
            nothing().control(Control::EnterFlags),
            nothing()
                .a(T2)
                .b(T1)
                .control(Control::LoadCode)
                .stack(AddressMode::Stack)
                .last(),
        ],
    );
}

fn interrupt_return(routines: &mut Assembler) {
    let pop = |register| copy(register).access_width(Operand).pop();
    // T1 = EIP, T2 = CS, T3 = EFLAGS
    routines.routine(
        "iret",
        [
            nothing().check(Check::NotNested),
            pop(T1),
            pop(T2),
            pop(T3),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing().a(T2).check(Check::ReturnCode),
            nothing().branch(Condition::NotAccessed, "iret_code_accessed"),
        ],
    );
    routines.routine(
        "iret_checked",
        [
            nothing()
                .a(T2)
                .branch(Condition::NotOuter, "iret_same_level"),
            nothing().b(T1).check(Check::CodeTarget).goto("iret_outer"),
        ],
    );
    routines.routine(
        "iret_same_level",
        [
            nothing().b(T1).check(Check::CodeTarget),
            nothing().b(T3).control(Control::ReturnFlags),
            nothing()
                .a(T2)
                .b(T1)
                .control(Control::LoadCode)
                .stack(AddressMode::Stack)
                .last(),
        ],
    );
    routines.routine("iret_code_accessed", [set_accessed(T2, "iret_checked")]);
    routines.routine(
        "iret_outer",
        [
            pop(T4),
            pop(T5),
            load_descriptor(T5).a(T5).check(Check::NotNull),
            nothing().a(T5).check(Check::ReturnStack),
            nothing().branch(Condition::NotAccessed, "iret_stack_accessed"),
        ],
    );
    routines.routine(
        "iret_stack",
        [
            copy(T7).b(Esp).a(T5).control(Control::LoadNewStack),
            nothing().b(T3).control(Control::ReturnFlags),
            nothing().control(Control::CommitStack),
            copy(Esp)
                .b(T4)
                .branch(Condition::Segment16, "return_stack16"),
        ],
    );
    routines.routine("return_outer", drop_segments());
    // A stack of 16 bits takes SP only. T7 = ESP before the return
    routines.routine(
        "return_stack16",
        [
            copy(T7).b(T4).width(Word),
            copy(Esp).b(T7).goto("return_outer"),
        ],
    );
    routines.routine("iret_stack_accessed", [set_accessed(T5, "iret_stack")]);
    routines.routine(
        "iret_real",
        [
            pop(T1),
            pop(T2),
            pop(T3),
            nothing().b(T3).control(Control::ReturnFlags),
            nothing()
                .a(T2)
                .b(T1)
                .control(Control::LoadCode)
                .stack(AddressMode::Stack)
                .last(),
        ],
    );
}

/// The end of a return to an outer level: data segments that it may not use become null, then CS:EIP.
fn drop_segments() -> Vec<Step> {
    [numbers::ES, numbers::DS, numbers::FS, numbers::GS]
        .into_iter()
        .map(|s| nothing().control_of(Control::DropSegments, selector(s)))
        .chain([nothing().a(T2).b(T1).control(Control::LoadCode).last()])
        .collect()
}

/// SDM Vol. 3A, "Processor State After Reset". What is not named here is set by the reset line itself.
fn reset(routines: &mut Assembler) {
    let number = |part: u8, s: u8| (part + s) as u64;
    let write = |n: u64| step(ExecuteOp::PassB).control_of(Control::WriteSystem, n);
    let mut steps = vec![
        // T0 = FFFFh, T1 = FFFF0000h, T2 = FFFFFFFFh, T3 = F000h
        copy(T2).constant(-1),
        step(ExecuteOp::ZeroExtendWord).b(T2).to(T0),
        step(ExecuteOp::Sub).a(T2).b(T0).to(T1),
        copy(T3).constant(15),
        step(ExecuteOp::Shl).a(T3).constant(12).to(T3),
        copy(T5).constant(0x93),
        copy(T6).constant(0x82),
        copy(T7).constant(0x8B),
    ];
    for s in [
        numbers::ES,
        numbers::CS,
        numbers::SS,
        numbers::DS,
        numbers::FS,
        numbers::GS,
    ] {
        let code = s == numbers::CS;
        steps.push(if code {
            write(number(numbers::SELECTOR, s)).b(T3)
        } else {
            write(number(numbers::SELECTOR, s)).constant(0)
        });
        steps.push(if code {
            write(number(numbers::BASE, s)).b(T1)
        } else {
            write(number(numbers::BASE, s)).constant(0)
        });
        steps.push(write(number(numbers::LIMIT, s)).b(T0));
        steps.push(write(number(numbers::ACCESS, s)).b(T5));
    }
    for (s, access) in [(numbers::LDTR, T6), (numbers::TR, T7)] {
        steps.push(write(number(numbers::SELECTOR, s)).constant(0));
        steps.push(write(number(numbers::BASE, s)).constant(0));
        steps.push(write(number(numbers::LIMIT, s)).b(T0));
        steps.push(write(number(numbers::ACCESS, s)).b(access));
    }
    for s in [numbers::GDTR, numbers::IDTR] {
        steps.push(write(number(numbers::BASE, s)).constant(0));
        steps.push(write(number(numbers::LIMIT, s)).b(T0));
    }
    // The flat segment.
    steps.push(write(number(numbers::BASE, 11)).constant(0));
    steps.push(write(number(numbers::LIMIT, 11)).b(T2));
    for register in [Eax, Ecx, Ebx, Esp, Ebp, Esi, Edi] {
        steps.push(copy(register).constant(0));
    }
    steps.push(copy(Edx).system(CPUID_SIGNATURE));
    steps.push(step(ExecuteOp::Sub).a(T0).constant(15).to(T4));
    steps.push(nothing().a(T4).control(Control::Jump).last());
    routines.routine("reset", steps);
}
