//! Arithmetic of more than one step: exchanges, wide products and quotients, bit strings.
use super::assembler::{Assembler, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Byte, Operand};

pub fn add(routines: &mut Assembler) {
    for width in [Byte, Operand] {
        let name =
            |base: &str| format!("{base}_{}", if width == Byte { "byte" } else { "operand" });
        // The row has written one register and latched what was there.
        let exchanged = |register| step(ExecuteOp::ReadHigh).width(width).to(register).last();
        routines.routine(&name("exchange"), [exchanged(Reg)]);
        if width == Operand {
            routines.routine("exchange_accumulator", [exchanged(Eax)]);
        }
        let store = |register| {
            copy(None)
                .b(register)
                .width(width)
                .memory(MemoryOp::Store)
                .operand(0)
        };
        // T0 = the old r/m
        routines.routine(
            &name("exchange_memory"),
            [store(Reg), copy(Reg).b(T0).width(width).last()],
        );
        routines.routine(
            &name("add_exchange"),
            // T0 = the sum
            [
                copy(Reg).b(Rm).width(width),
                copy(Rm).b(T0).width(width).last(),
            ],
        );
        routines.routine(
            &name("add_exchange_memory"),
            [
                step(ExecuteOp::Add)
                    .a(T0)
                    .b(Reg)
                    .width(width)
                    .flags()
                    .memory(MemoryOp::Store)
                    .operand(0),
                copy(Reg).b(T0).width(width).last(),
            ],
        );
        // The row compared: nothing more but the exchange, or the load of the accumulator.
        routines.routine(
            &name("compare_exchange"),
            [copy(Rm).b(Reg).width(width).last()],
        );
        routines.routine(
            &name("compare_differs"),
            [copy(Eax).b(Rm).width(width).last()],
        );
        routines.routine(
            &name("compare_exchange_memory"),
            [
                step(ExecuteOp::Sub)
                    .a(Eax)
                    .b(T0)
                    .width(width)
                    .flags()
                    .branch(Condition::NotZero, &name("compare_differs_memory")),
                store(Reg).last(),
            ],
        );
        routines.routine(
            &name("compare_differs_memory"),
            [store(T0), copy(Eax).b(T0).width(width).last()],
        );
        // EAX or AL has its half already.
        routines.routine(
            &name("high_half"),
            [step(ExecuteOp::ReadHigh)
                .width(width)
                .to(if width == Byte { Ah } else { Edx })
                .last()],
        );
        for (op, kind) in [
            (ExecuteOp::Bt, MemoryOp::Load),
            (ExecuteOp::Bts, MemoryOp::Modify),
            (ExecuteOp::Btr, MemoryOp::Modify),
            (ExecuteOp::Btc, MemoryOp::Modify),
        ] {
            if width == Operand {
                // T1 = address of the operand; bit strings reach to both sides of it.
                routines.routine(
                    &format!("bit_string_{op:?}").to_lowercase(),
                    [
                        step(ExecuteOp::BitOffset).a(Reg).width(Operand).to(T0),
                        nothing().unless(
                            StaticCondition::OperandSize16,
                            &format!("bit_string_{op:?}_word").to_lowercase(),
                        ),
                        step(ExecuteOp::Add)
                            .a(T1)
                            .b(T0)
                            .to(T1)
                            .goto(&format!("bit_string_{op:?}_access").to_lowercase()),
                    ],
                );
                routines.routine(
                    &format!("bit_string_{op:?}_word").to_lowercase(),
                    [
                        step(ExecuteOp::SignExtendWord).b(T0).to(T0),
                        step(ExecuteOp::Add).a(T1).b(T0).to(T1),
                    ],
                );
                routines.routine(
                    &format!("bit_string_{op:?}_access").to_lowercase(),
                    [step(op)
                        .a_load()
                        .b(Reg)
                        .width(Operand)
                        .flags()
                        .memory(kind)
                        .at(SegmentSelect::Operand, T1, 0)
                        .last()],
                );
            }
        }
    }
    routines.routine(
        "xlat",
        [
            step(ExecuteOp::Add).a(T0).b(Ebx).to(T0),
            copy(Eax)
                .b_load()
                .width(Byte)
                .memory(MemoryOp::Load)
                .at(SegmentSelect::Data, T0, 0)
                .last(),
        ],
    );
    routines.routine(
        "cbw_word",
        [step(ExecuteOp::SignExtendByte)
            .b(Eax)
            .width(WidthSelect::Word)
            .to(Eax)
            .last()],
    );

    routines.routine(
        "bswap_word",
        [copy(Opcode).constant(0).width(WidthSelect::Word).last()],
    );

    // CMPXCHG8B: T0 = low dword of the operand.
    let set_zero = |value: i32, op: ExecuteOp| {
        [
            step(ExecuteOp::Lahf).to(T4),
            step(op).a(T4).constant(value).to(T4),
            step(ExecuteOp::Sahf).a(T4).flags(),
        ]
    };
    let mut steps = vec![
        copy(T1).b_load().memory(MemoryOp::LoadForWrite).operand(4),
        step(ExecuteOp::Xor).a(T0).b(Eax).to(T2),
        step(ExecuteOp::Xor).a(T1).b(Edx).to(T3),
        step(ExecuteOp::Or)
            .a(T2)
            .b(T3)
            .branch(Condition::NotZero, "cmpxchg8b_differs"),
        copy(None).b(Ebx).memory(MemoryOp::Store).operand(0),
        copy(None).b(Ecx).memory(MemoryOp::Store).operand(4),
    ];
    steps.extend(set_zero(0x40, ExecuteOp::Or));
    steps.push(nothing().last());
    routines.routine("cmpxchg8b", steps);
    let mut steps: Vec<_> = set_zero(0xBF, ExecuteOp::And).into();
    steps.extend([copy(Eax).b(T0), copy(Edx).b(T1).last()]);
    routines.routine("cmpxchg8b_differs", steps);
}
