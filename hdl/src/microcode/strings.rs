//! String instructions and their REP forms: interruptible before each repetition.
use super::assembler::{Assembler, Step, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Address, Byte, Operand};

fn from_source(width: WidthSelect, to: RegisterSelect) -> Step {
    copy(to)
        .b_load()
        .width(width)
        .memory(MemoryOp::Load)
        .at(SegmentSelect::Data, Esi, 0)
}

fn to_destination(width: WidthSelect, register: RegisterSelect) -> Step {
    step(ExecuteOp::PassB)
        .b(register)
        .width(width)
        .memory(MemoryOp::Store)
        .at(SegmentSelect::Es, Edi, 0)
}

fn compare(width: WidthSelect, register: RegisterSelect) -> Step {
    step(ExecuteOp::Sub)
        .a(register)
        .b_load()
        .width(width)
        .memory(MemoryOp::Load)
        .at(SegmentSelect::Es, Edi, 0)
        .flags()
}

fn advance(width: WidthSelect, register: RegisterSelect) -> Step {
    step(ExecuteOp::Step)
        .a(register)
        .b_from(BSource::AccessSize)
        .width(Address)
        .access_width(width)
        .to(register)
}

/// What one repetition of each string instruction does.
pub fn body(mnemonic: &str, width: WidthSelect) -> Vec<Step> {
    match mnemonic {
        "movs" => vec![
            from_source(width, T0),
            to_destination(width, T0),
            advance(width, Esi),
            advance(width, Edi),
        ],
        "cmps" => vec![
            from_source(width, T0),
            compare(width, T0),
            advance(width, Esi),
            advance(width, Edi),
        ],
        "stos" => vec![to_destination(width, Eax), advance(width, Edi)],
        "lods" => vec![from_source(width, Eax), advance(width, Esi)],
        "scas" => vec![compare(width, Eax), advance(width, Edi)],
        _ => panic!("{mnemonic} is no string instruction"),
    }
}

/// Name of the routine for the steps behind the first.
pub fn routine(mnemonic: &str, width: WidthSelect) -> String {
    format!(
        "{mnemonic}_{}",
        if width == Byte { "byte" } else { "operand" }
    )
}

pub fn add(routines: &mut Assembler) {
    for mnemonic in ["movs", "cmps", "stos", "lods", "scas"] {
        for width in [Byte, Operand] {
            let name = routine(mnemonic, width);
            let mut rest = body(mnemonic, width).split_off(1);
            let end = rest
                .pop()
                .expect("a string instruction has two steps or more")
                .last();
            rest.push(end);
            routines.routine(&name, rest);

            let repeated = format!("rep_{name}");
            let mut steps = vec![
                nothing()
                    .a(Ecx)
                    .width(Address)
                    .boundary()
                    .branch(Condition::Zero, "nothing"),
            ];
            steps.extend(body(mnemonic, width));
            let count = step(ExecuteOp::Sub)
                .a(Ecx)
                .constant(1)
                .width(Address)
                .to(Ecx);
            if matches!(mnemonic, "cmps" | "scas") {
                steps.push(count);
                steps.push(nothing().branch(Condition::CompareEnds, "nothing"));
            } else {
                steps.push(count.goto(&repeated));
            }
            routines.routine(&repeated, steps);
            if matches!(mnemonic, "cmps" | "scas") {
                routines.routine(&format!("{repeated}_again"), [nothing().goto(&repeated)]);
            }
        }
    }
}
