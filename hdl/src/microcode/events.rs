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
pub fn on_new_stack(step: Step, displacement: i32) -> Step {
    step.memory(MemoryOp::Store)
        .at(SegmentSelect::New, T3, displacement)
        .privileged()
}

/// Checks the code descriptor of the selector in T2 and, if it is not accessed, goes to `accessed`. T5 = where the stack
/// of its level is in the TSS.
pub fn check_gate_code(accessed: &str) -> Step {
    copy(T5)
        .system(STACK_SLOT)
        .a(T2)
        .check(Check::GateCode)
        .branch(Condition::NotAccessed, accessed)
}

/// T3 = ESP and T4 = SS for the level of the checked code, from the TSS at T5; the stack being entered is T4's. Segment16
/// goes before NotAccessed, and both come before the stores, which wait for the segment.
pub fn stack_from_task(prefix: &str) -> Vec<Step> {
    vec![
        copy(T4)
            .b_load()
            .access_width(Word)
            .memory(MemoryOp::Load)
            .at(SegmentSelect::Tss, T5, 4)
            .privileged(),
        copy(T3)
            .b_load()
            .memory(MemoryOp::Load)
            .at(SegmentSelect::Tss, T5, 0)
            .privileged(),
        load_descriptor(T4).a(T4).check(Check::NotNullTask),
        nothing()
            .a(T4)
            .check(Check::NewStack)
            .control(Control::LoadNewStack),
        nothing().branch(Condition::Segment16, &format!("{prefix}_stack16")),
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

/// The last push on the stack being entered, which becomes SS with it, and the end of the routine.
pub fn enter(push: Step, displacement: i32, code: Control) -> [Step; 2] {
    [
        on_new_stack(push, displacement).control(Control::CommitStack),
        nothing()
            .a(T2)
            .b(T1)
            .control(code)
            .at(SegmentSelect::Flat, T3, displacement)
            .address(AddressMode::SetStack, SegmentSelect::Flat)
            .last(),
    ]
}

pub fn add(routines: &mut Assembler) {
    deliver(routines);
    interrupt_return(routines);
    reset(routines);
}

fn deliver(routines: &mut Assembler) {
    let load_gate = || {
        nothing()
            .width(WidthSelect::Quad)
            .memory(MemoryOp::Load)
            .gate(0)
            .control(Control::LoadDescriptor)
    };
    routines.routine(
        "event",
        [
            nothing().unless(StaticCondition::RealMode, "deliver_real"),
            load_gate(),
        ],
    );
    // T1:T2 = offset and selector of the handler.
    routines.routine(
        "deliver",
        [
            copy(T2)
                .system(GATE_SELECTOR)
                .check(Check::EventGate)
                .branch(Condition::RareGate, "deliver_rarely"),
            copy(T1).system(GATE_OFFSET),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            check_gate_code("deliver_code_accessed"),
        ],
    );
    routines.routine(
        "deliver_checked",
        [nothing()
            .b(T1)
            .check(Check::CodeTarget)
            .branch(Condition::NotInner, "deliver_same_level")],
    );
    routines.routine("deliver_inner", stack_from_task("deliver"));
    routines.routine(
        "deliver_stack",
        [
            on_new_stack(read(selector(numbers::SS)), -4),
            on_new_stack(step(ExecuteOp::PassB).b(Esp), -8),
            on_new_stack(read(EFLAGS), -12),
            on_new_stack(read(selector(numbers::CS)), -16)
                .unless(StaticCondition::HasErrorCode, "deliver_inner_error"),
        ],
    );
    routines.routine(
        "deliver_inner_end",
        enter(read(EVENT_EIP), -20, Control::EnterCode),
    );
    routines.routine(
        "deliver_inner_error",
        [on_new_stack(read(EVENT_EIP), -20)]
            .into_iter()
            .chain(enter(read(EVENT_ERROR), -24, Control::EnterCode)),
    );
    stack16_from_task(routines, "deliver");
    routines.routine(
        "deliver_stack_accessed",
        [set_accessed(T4, "deliver_stack")],
    );
    routines.routine(
        "deliver_code_accessed",
        [set_accessed(T2, "deliver_checked")],
    );

    let enter_code = || {
        nothing()
            .a(T2)
            .b(T1)
            .control(Control::EnterCode)
            .stack(AddressMode::Stack)
            .last()
    };
    routines.routine(
        "deliver_same_level",
        [
            read(EFLAGS).push(),
            read(selector(numbers::CS)).push(),
            read(EVENT_EIP)
                .push()
                .unless(StaticCondition::HasErrorCode, "deliver_same_error"),
            enter_code(),
        ],
    );
    routines.routine(
        "deliver_same_error",
        [read(EVENT_ERROR).push(), enter_code()],
    );

    // INT n: the row has begun the delivery.
    routines.routine(
        "int",
        [load_gate()
            .address(AddressMode::VectorImmediate, SegmentSelect::Idt)
            .goto("deliver")],
    );
    routines.routine(
        "int_real",
        [step(ExecuteOp::PassB)
            .immediate()
            .control(Control::SoftwareInterrupt)
            .goto("event")],
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
            enter_code(),
        ],
    );
}

/// The end of a return to an outer level with SS = T5 and ESP = T4: `commit` changes SS, and CS:EIP = T2:T1.
pub fn return_to_outer(routines: &mut Assembler, prefix: &str, commit: Step) {
    let part = |part: &str| format!("{prefix}_{part}");
    routines.routine(
        &part("stack"),
        [
            load_descriptor(T5).a(T5).check(Check::NotNull),
            // As early as can be: the last step waits until it is decided.
            nothing()
                .a(T5)
                .check(Check::ReturnStack)
                .branch(Condition::Unusual, &part("unusual")),
        ],
    );
    routines.routine(
        &part("commit"),
        [
            nothing().a(T5).control(Control::LoadNewStack),
            commit,
            nothing()
                .a(T2)
                .b(T1)
                .control(Control::LoadCode)
                .at(SegmentSelect::Flat, T4, 0)
                .address(AddressMode::SetStack, SegmentSelect::Flat)
                .last(),
        ],
    );
    routines.routine(
        &part("unusual"),
        [nothing().branch(Condition::NotAccessed, &part("stack_accessed"))],
    );
    routines.routine(
        &part("unusual_size"),
        [nothing().branch(Condition::Segment16, &part("stack16"))],
    );
    // Data segments that the outer level may not use become null.
    let drop = |s| nothing().control_of(Control::DropSegments, selector(s));
    routines.routine(
        &part("drops"),
        [
            drop(numbers::ES),
            drop(numbers::DS),
            drop(numbers::FS),
            drop(numbers::GS).goto(&part("commit")),
        ],
    );
    // A stack of 16 bits takes SP only.
    routines.routine(
        &part("stack16"),
        [
            copy(T7).b(Esp),
            copy(T7).b(T4).width(Word),
            copy(T4).b(T7).goto(&part("drops")),
        ],
    );
    routines.routine(
        &part("stack_accessed"),
        [set_accessed(T5, &part("unusual_size"))],
    );
}

fn interrupt_return(routines: &mut Assembler) {
    let pop = |register| copy(register).access_width(Operand).pop();
    // T1 = EIP, T2 = CS, T3 = EFLAGS
    routines.routine(
        "iret",
        [
            pop(T1).unless(StaticCondition::RealSegments, "iret_real"),
            pop(T2),
            pop(T3).branch(Condition::ReturnsToVirtual, "iret_virtual"),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing()
                .a(T2)
                .check(Check::ReturnCode)
                .branch(Condition::NotAccessed, "iret_code_accessed"),
        ],
    );
    routines.routine(
        "iret_checked",
        [
            nothing()
                .a(T2)
                .b(T1)
                .check(Check::CodeTarget)
                .branch(Condition::NotOuter, "iret_same_level"),
            pop(T4),
            pop(T5),
        ],
    );
    return_to_outer(
        routines,
        "iret",
        nothing().b(T3).control(Control::CommitReturn),
    );
    routines.routine(
        "iret_same_level",
        [
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
        "iret_real",
        [
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
