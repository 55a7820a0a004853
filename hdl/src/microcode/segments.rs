//! Loads of segment registers, LDTR and TR (SDM Vol. 2A, "MOV", "LLDT", "LTR").
use super::assembler::{Assembler, copy, nothing, step};
use super::events::{load_descriptor, set_accessed};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::Byte;
use spec::registers::{DS, ES, FS, GS, LDTR, SEGMENT, SS, TR};

/// Routine that loads segment `s` from the selector in T0.
pub fn routine(s: u8) -> String {
    format!("load_{}", SEGMENT[s as usize])
}

pub fn add(routines: &mut Assembler) {
    for s in [ES, DS, FS, GS] {
        let name = routine(s);
        let (number, part) = (s as u64, |part: &str| format!("{name}_{part}"));
        routines.routine(
            &name,
            [
                nothing().unless(StaticCondition::RealMode, &part("now")),
                nothing()
                    .a(T0)
                    .branch(Condition::NullSelector, &part("null")),
                load_descriptor(T0),
                nothing().a(T0).check(Check::DataSegment),
                nothing().branch(Condition::NotAccessed, &part("accessed")),
            ],
        );
        routines.routine(
            &part("now"),
            [nothing()
                .a(T0)
                .control_of(Control::LoadSegment, number)
                .stack(AddressMode::Stack)
                .last()],
        );
        routines.routine(
            &part("null"),
            [nothing()
                .a(T0)
                .control_of(Control::ClearSegment, number)
                .stack(AddressMode::Stack)
                .last()],
        );
        routines.routine(&part("accessed"), [set_accessed(T0, &part("now"))]);
    }
    // SS: the instruction behind is shielded from interrupts, and decoded with the new stack size.
    routines.routine(
        &routine(SS),
        [
            nothing().unless(StaticCondition::RealMode, "load_ss_now"),
            load_descriptor(T0).a(T0).check(Check::NotNull),
            nothing().a(T0).check(Check::StackSegment),
            nothing().branch(Condition::NotAccessed, "load_ss_accessed"),
        ],
    );
    routines.routine(
        "load_ss_now",
        [nothing()
            .a(T0)
            .control_of(Control::LoadSegment, SS as u64)
            .stack(AddressMode::Stack)
            .shadow()
            .serialize()
            .last()],
    );
    routines.routine("load_ss_accessed", [set_accessed(T0, "load_ss_now")]);
    for s in [ES, SS, DS, FS, GS] {
        // The selector was popped to T0, with 16 or 32 bits.
        routines.routine(
            &format!("pop_{}", SEGMENT[s as usize]),
            [nothing().goto(&routine(s))],
        );
    }

    routines.routine(
        "lldt",
        [
            nothing().check(Check::Protected),
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
            nothing().check(Check::Protected),
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
