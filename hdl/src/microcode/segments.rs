//! Loads of segment registers, LDTR and TR (SDM Vol. 2A, "MOV", "LLDT", "LTR").
use super::assembler::{Assembler, Step, copy, nothing, step};
use super::events::{load_descriptor, set_accessed};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Byte, Operand, Word};
use spec::registers::{DS, ES, FS, GS, LDTR, SEGMENT, SS, TR};

/// Routine that loads segment `s` from the selector in T0.
pub fn routine(s: u8) -> String {
    format!("load_{}", SEGMENT[s as usize])
}

/// Routine that loads segment `s` from a far pointer in memory, whose offset is in T1.
pub fn far_pointer_routine(s: u8) -> String {
    format!("load_far_{}", SEGMENT[s as usize])
}

/// Loads segment `s` from the selector in T0; `finish` adds to the last step what else changes with it.
fn load(routines: &mut Assembler, s: u8, name: &str, finish: impl Fn(Step) -> Step) {
    let part = |part: &str| format!("{name}_{part}");
    let end = |control| {
        let step = finish(nothing()).a(T0).control_of(control, s as u64).last();
        // What follows is decoded with the new stack size.
        if s == SS { step.serialize() } else { step }
    };
    let null = nothing().a(T0);
    let mut steps = vec![nothing().unless(StaticCondition::RealSegments, &part("now"))];
    if s == SS {
        steps.extend([
            load_descriptor(T0).a(T0).check(Check::NotNull),
            nothing()
                .a(T0)
                .check(Check::StackSegment)
                .branch(Condition::NotAccessed, &part("accessed")),
        ]);
    } else {
        steps.extend([
            null.branch(Condition::NullSelector, &part("null")),
            load_descriptor(T0),
            nothing()
                .a(T0)
                .check(Check::DataSegment)
                .branch(Condition::NotAccessed, &part("accessed")),
        ]);
        routines.routine(&part("null"), [end(Control::ClearSegment)]);
    }
    routines.routine(name, steps);
    routines.routine(&part("now"), [end(Control::LoadSegment)]);
    routines.routine(&part("accessed"), [set_accessed(T0, &part("now"))]);
}

/// LDS, LES, LFS, LGS and LSS: the register changes with the segment.
fn far_pointer(routines: &mut Assembler, s: u8) {
    let name = far_pointer_routine(s);
    let selected = format!("{name}_selected");
    let selector = |displacement| {
        copy(T0)
            .b_load()
            .access_width(Word)
            .memory(MemoryOp::Load)
            .operand(displacement)
            .goto(&selected)
    };
    routines.routine(
        &name,
        [
            nothing().unless(StaticCondition::OperandSize16, &format!("{name}_word")),
            selector(4),
        ],
    );
    routines.routine(&format!("{name}_word"), [selector(2)]);
    load(routines, s, &selected, |mut step| {
        step.word.op = ExecuteOp::PassB;
        step.b(T1).to(Reg).width(Operand)
    });
}

pub fn add(routines: &mut Assembler) {
    for s in [ES, SS, DS, FS, GS] {
        load(routines, s, &routine(s), |step| {
            let step = step.stack(AddressMode::Stack);
            // The instruction behind is shielded from interrupts.
            if s == SS { step.shadow() } else { step }
        });
        far_pointer(routines, s);
    }
    for s in [ES, SS, DS, FS, GS] {
        // The selector was popped to T0, with 16 or 32 bits.
        routines.routine(
            &format!("pop_{}", SEGMENT[s as usize]),
            [nothing().goto(&routine(s))],
        );
    }

    // The level is checked before the operand is read. T0 = the selector
    for name in ["lldt", "ltr"] {
        routines.routine(
            &format!("{name}_memory"),
            [copy(T0)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .operand(0)
                .goto(name)],
        );
        routines.routine(
            &format!("{name}_register"),
            [step(ExecuteOp::ZeroExtendWord).b(Rm).to(T0).goto(name)],
        );
    }
    routines.routine(
        "lldt",
        [
            nothing().a(T0).branch(Condition::NullSelector, "lldt_null"),
            load_descriptor(T0),
            nothing().a(T0).check(Check::LocalTable),
            nothing()
                .a(T0)
                .control_of(Control::LoadSegment, LDTR as u64)
                .serialize()
                .last(),
        ],
    );
    routines.routine(
        "lldt_null",
        [
            step(ExecuteOp::PassB)
                .constant(0)
                .control_of(Control::WriteSystem, (spec::registers::LIMIT + LDTR) as u64),
            nothing()
                .a(T0)
                .control_of(Control::ClearSegment, LDTR as u64)
                .serialize()
                .last(),
        ],
    );
    routines.routine(
        "ltr",
        [
            load_descriptor(T0).a(T0).check(Check::NotNull),
            nothing().a(T0).check(Check::TaskState),
            copy(None)
                .system(BUSY_BYTE)
                .width(Byte)
                .memory(MemoryOp::Store)
                .descriptor(T0, 5),
            nothing()
                .a(T0)
                .control_of(Control::LoadTask, TR as u64)
                .serialize()
                .last(),
        ],
    );
}
