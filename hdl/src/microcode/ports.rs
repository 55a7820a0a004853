//! IN and OUT, and the I/O permission bitmap (SDM Vol. 1, "I/O Permission Bit Map").
use super::assembler::{Assembler, Step, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Byte, Operand, Word};

/// An access of the port in DX.
pub fn through_dx(step: Step) -> Step {
    let mut step = step.address(AddressMode::Port, SegmentSelect::Flat);
    step.word.base = Edx;
    step
}

fn port(step: Step, immediate: bool) -> Step {
    if immediate {
        step.address(AddressMode::PortImmediate, SegmentSelect::Flat)
    } else {
        through_dx(step)
    }
}

/// The access itself: EAX from the port, or to it.
pub fn access(input: bool, width: WidthSelect, immediate: bool) -> Step {
    let step = if input {
        copy(Eax).b_load().width(width).memory(MemoryOp::Load)
    } else {
        copy(None).b(Eax).width(width).memory(MemoryOp::Store)
    };
    port(step, immediate)
}

/// Name of the routine that looks into the bitmap first.
pub fn routine(input: bool, width: WidthSelect, immediate: bool) -> String {
    format!(
        "{}_{}_{}_restricted",
        if input { "in" } else { "out" },
        if width == Byte { "byte" } else { "operand" },
        if immediate { "immediate" } else { "dx" }
    )
}

/// A routine that looks into the bitmap for the port that `number` copies to T1, and goes on with `access`.
pub fn ask_bitmap(
    routines: &mut Assembler,
    name: &str,
    width: WidthSelect,
    number: Step,
    access: impl Fn() -> Step,
) {
    let mask = |value| {
        step(ExecuteOp::And)
            .a(T3)
            .constant(value)
            .check(Check::PortPermitted)
    };
    routines.routine(
        name,
        [
            nothing().check(Check::PortBitmap),
            copy(T0)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .at(SegmentSelect::PortBitmap, None, 0x66)
                .privileged(),
            number,
            step(ExecuteOp::Shr).a(T1).constant(3).to(T2),
            step(ExecuteOp::Add).a(T0).b(T2).to(T0),
            copy(T3)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .at(SegmentSelect::PortBitmap, T0, 0)
                .privileged(),
            step(ExecuteOp::And).a(T1).constant(7).to(T1),
            step(ExecuteOp::Shr).a(T3).b(T1).to(T3),
        ],
    );
    if width == Byte {
        routines.routine(&format!("{name}_test"), [mask(1), access()]);
    } else {
        routines.routine(
            &format!("{name}_test"),
            [
                nothing().unless(StaticCondition::OperandSize16, &format!("{name}_word")),
                mask(15),
                access(),
            ],
        );
        routines.routine(&format!("{name}_word"), [mask(3), access()]);
    }
}

pub fn add(routines: &mut Assembler) {
    for input in [false, true] {
        for width in [Byte, Operand] {
            for immediate in [false, true] {
                let number = if immediate {
                    copy(T1).immediate()
                } else {
                    step(ExecuteOp::ZeroExtendWord).b(Edx).to(T1)
                };
                let name = routine(input, width, immediate);
                let access = || access(input, width, immediate).last();
                ask_bitmap(routines, &name, width, number, access);
            }
        }
    }
}
