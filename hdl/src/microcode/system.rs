//! System instructions of more than one step.
use super::assembler::{Assembler, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use spec::registers::{BASE, GDTR, IDTR, LIMIT};

pub fn add(routines: &mut Assembler) {
    for (name, s) in [("gdt", GDTR), ("idt", IDTR)] {
        let (limit, base) = ((LIMIT + s) as u64, (BASE + s) as u64);
        // The level has been checked. A 16-bit operand size takes 24 bits of the base.
        routines.routine(
            &format!("load_{name}"),
            [
                copy(T0)
                    .b_load()
                    .access_width(WidthSelect::Word)
                    .memory(MemoryOp::Load)
                    .operand(0),
                copy(T1)
                    .b_load()
                    .memory(MemoryOp::Load)
                    .operand(2)
                    .unless(StaticCondition::OperandSize16, &format!("load_{name}16")),
            ],
        );
        // Accesses behind it wait for what it writes; so nothing needs to be fetched anew.
        routines.routine(
            &format!("load_{name}_now"),
            [
                step(ExecuteOp::PassB)
                    .b(T0)
                    .control_of(Control::WriteSystem, limit),
                step(ExecuteOp::PassB)
                    .b(T1)
                    .control_of(Control::WriteSystem, base)
                    .last(),
            ],
        );
        routines.routine(
            &format!("load_{name}16"),
            [
                step(ExecuteOp::Shl).a(T1).constant(8).to(T1),
                step(ExecuteOp::Shr)
                    .a(T1)
                    .constant(8)
                    .to(T1)
                    .goto(&format!("load_{name}_now")),
            ],
        );
        // T0 = base. Two aligned accesses where the operand is aligned.
        routines.routine(
            &format!("store_{name}"),
            [
                copy(T1).system(limit),
                step(ExecuteOp::PackWords)
                    .a(T0)
                    .b(T1)
                    .memory(MemoryOp::Store)
                    .operand(0),
                step(ExecuteOp::HighWord)
                    .b(T0)
                    .access_width(WidthSelect::Word)
                    .memory(MemoryOp::Store)
                    .operand(4)
                    .last(),
            ],
        );
    }

    // Leaf 0, else the last leaf.
    routines.routine(
        "cpuid",
        [
            nothing().a(Eax).branch(Condition::Zero, "cpuid_vendor"),
            copy(Eax).system(CPUID_SIGNATURE),
            copy(Ebx).constant(0),
            copy(Ecx).constant(0),
            copy(Edx).system(CPUID_FEATURES).serialize().last(),
        ],
    );
    routines.routine(
        "cpuid_vendor",
        [
            copy(Eax).constant(1),
            copy(Ebx).system(CPUID_VENDOR_EBX),
            copy(Edx).system(CPUID_VENDOR_EDX),
            copy(Ecx).system(CPUID_VENDOR_ECX).serialize().last(),
        ],
    );
    routines.routine("rdtsc", [copy(Edx).system(TSC_HIGH).last()]);
    routines.routine(
        "rdmsr",
        [
            // The selected MSR takes a clock to come.
            nothing(),
            copy(Eax).system(SELECTED_MSR),
            copy(Edx).system(SELECTED_MSR_HIGH).last(),
        ],
    );
    routines.routine(
        "wrmsr",
        [
            step(ExecuteOp::PassB)
                .b(Eax)
                .control_of(Control::WriteSystem, SELECTED_MSR),
            step(ExecuteOp::PassB)
                .b(Edx)
                .control_of(Control::WriteSystem, SELECTED_MSR_HIGH)
                .serialize()
                .last(),
        ],
    );
    // SYSENTER_ESP is in place.
    routines.routine(
        "sysenter",
        [step(ExecuteOp::PassB)
            .system(SYSENTER_EIP)
            .control(Control::Sysenter)
            .last()],
    );
    routines.routine(
        "sysexit",
        [nothing()
            .a(Edx)
            .at(SegmentSelect::Flat, Edx, 0)
            .control(Control::Sysexit)
            .last()],
    );
}
