//! String instructions and their REP forms: interruptible before each repetition.
use super::assembler::{Assembler, Step, copy, nothing, step};
use super::ports::{ask_bitmap, through_dx};
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
        // The port is read only if what it gives can be stored.
        "ins" => vec![
            nothing()
                .access_width(width)
                .memory(MemoryOp::LoadForWrite)
                .at(SegmentSelect::Es, Edi, 0),
            through_dx(copy(T0).b_load().access_width(width).memory(MemoryOp::Load)),
            to_destination(width, T0),
            advance(width, Edi),
        ],
        "outs" => vec![
            from_source(width, T0),
            through_dx(copy(None).b(T0).width(width).memory(MemoryOp::Store)),
            advance(width, Esi),
        ],
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

/// INS and OUTS at a level that IOPL does not admit: the port is the same for all repetitions.
fn permission(routines: &mut Assembler, name: &str, width: WidthSelect) {
    let number = step(ExecuteOp::ZeroExtendWord).b(Edx).to(T1);
    let restricted = format!("{name}_restricted");
    ask_bitmap(routines, &restricted, width, number, || {
        nothing().goto(name)
    });
}

pub fn add(routines: &mut Assembler) {
    for mnemonic in ["movs", "cmps", "stos", "lods", "scas", "ins", "outs"] {
        for width in [Byte, Operand] {
            let name = routine(mnemonic, width);
            let mut rest = body(mnemonic, width);
            if matches!(mnemonic, "ins" | "outs") {
                let repeated = format!("rep_{name}");
                rest.insert(0, nothing().unless(StaticCondition::Repeat, &repeated));
                permission(routines, &name, width);
            } else {
                // The opcode row is the first.
                rest.remove(0);
            }
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
