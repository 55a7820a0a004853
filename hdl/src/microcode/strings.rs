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

/// Bytes that a REP MOVS or REP STOS moves between two of its boundaries where it can.
const BLOCK: i32 = 128;

/// The first three steps of a REP MOVS or REP STOS: T0 = blocks that ECX counts; with any, goes to `block`.
fn asks_for_block(elements: i32, block: &str, each: &str) -> Vec<Step> {
    vec![
        step(ExecuteOp::Shr)
            .a(Ecx)
            .constant(elements.ilog2() as i32)
            .width(Address)
            .to(T0)
            .unless(StaticCondition::OperandSize16, each),
        nothing()
            .a(T0)
            .width(Address)
            .branch(Condition::NotZero, block),
    ]
}

/// MOVS and STOS of a block: the probes find out whether one of its accesses would fault, then quadwords go.
///
/// The addresses are multiples of 8, so that for MOVS it makes no difference whether a quadword or its elements are
/// moved, however source and destination overlap. Where they are not, doublewords go if they are the elements. What
/// the probes refuse is done element by element, up to the fault if there is one.
fn blocks(routines: &mut Assembler, mnemonic: &str, width: WidthSelect) {
    let name = format!("rep_{}", routine(mnemonic, width));
    let part = |part: &str| format!("{name}_{part}");
    let dwords = mnemonic == "movs" && width == Operand;
    let otherwise = if dwords { part("dwords") } else { part("each") };

    // To a multiple of 8, element by element; a dword never gets to one from an odd address.
    routines.routine(
        &part("fast"),
        [step(ExecuteOp::And)
            .a(Edi)
            .constant(7)
            .to(T0)
            .branch(Condition::NotZero, &part("one"))],
    );
    if mnemonic == "stos" && width == Byte {
        // T2 = AL four times.
        routines.routine(
            &part("fill"),
            [
                step(ExecuteOp::ZeroExtendByte).b(Eax).to(T2),
                step(ExecuteOp::Shl).a(T2).constant(8).to(T1),
                step(ExecuteOp::Or).a(T2).b(T1).to(T2),
                step(ExecuteOp::PackWords).a(T2).b(T2).to(T2),
            ],
        );
    }
    let data = match (mnemonic, width) {
        ("movs", _) => Data::Latch,
        (_, Byte) => Data::Register(T2),
        _ => Data::Register(Eax),
    };
    block(
        routines,
        &part("block"),
        width,
        data,
        &part("each"),
        &otherwise,
    );

    let mut steps = Vec::new();
    if width == Operand {
        steps.push(
            step(ExecuteOp::And)
                .a(T0)
                .constant(3)
                .branch(Condition::NotZero, &otherwise),
        );
    }
    steps.push(nothing().boundary());
    steps.extend(body(mnemonic, width));
    steps.push(count().goto(&name));
    routines.routine(&part("one"), steps);
    if dwords {
        block(
            routines,
            &otherwise,
            width,
            Data::Element,
            &part("each"),
            &part("each"),
        );
    }
}

/// What a block stores.
#[derive(Clone, Copy, PartialEq)]
enum Data {
    /// What the register holds, in both halves of a quadword.
    Register(RegisterSelect),
    /// A quadword of the source.
    Latch,
    /// A doubleword of the source.
    Element,
}

/// The routine `name`: blocks until ECX counts none, then on at `each`; a block that the probes refuse goes to
/// `otherwise`.
fn block(
    routines: &mut Assembler,
    name: &str,
    width: WidthSelect,
    data: Data,
    each: &str,
    otherwise: &str,
) {
    let element = if width == Byte { 1 } else { 4 };
    let (access, bytes) = match data {
        Data::Element => (WidthSelect::Dword, 4),
        _ => (WidthSelect::Quad, 8),
    };
    let moves = !matches!(data, Data::Register(_));
    let probe = |kind, segment, base, displacement| {
        nothing()
            .access_width(access)
            .memory(kind)
            .at(segment, base, displacement)
            .branch(Condition::Denied, otherwise)
    };
    let load = |displacement| {
        let load = match data {
            Data::Element => copy(T0).b_load(),
            _ => nothing().control(Control::LoadDescriptor),
        };
        load.access_width(access)
            .memory(MemoryOp::Load)
            .at(SegmentSelect::Data, Esi, displacement)
    };
    let store = |displacement| {
        let value = step(ExecuteOp::PassB);
        let value = match data {
            Data::Register(register) => value.b(register),
            Data::Latch => value.system(LATCH),
            Data::Element => value.b(T0),
        };
        value
            .access_width(access)
            .memory(MemoryOp::Store)
            .at(SegmentSelect::Es, Edi, displacement)
    };
    let add = |register, value| {
        step(ExecuteOp::Add)
            .a(register)
            .constant(value)
            .to(register)
    };

    let mut steps = vec![
        step(ExecuteOp::Shr)
            .a(Ecx)
            .constant((BLOCK / element).ilog2() as i32)
            .width(Address)
            .boundary()
            .branch(Condition::Zero, each),
    ];
    let last = BLOCK - bytes;
    if moves {
        steps.push(probe(MemoryOp::ProbeLoad, SegmentSelect::Data, Esi, last));
        // Nothing has happened yet if this faults.
        steps.push(load(0));
    }
    // The last page becomes dirty only if the first one can be written.
    steps.push(probe(MemoryOp::ProbeStore, SegmentSelect::Es, Edi, 0));
    steps.push(probe(MemoryOp::ProbeStore, SegmentSelect::Es, Edi, last));
    for displacement in (0..BLOCK).step_by(bytes as usize) {
        if moves && displacement != 0 {
            steps.push(load(displacement));
        }
        steps.push(store(displacement));
    }
    if moves {
        steps.push(add(Esi, BLOCK));
    }
    steps.push(add(Edi, BLOCK));
    steps.push(add(Ecx, -BLOCK / element).goto(name));
    routines.routine(name, steps);
}

/// One repetition less to do.
fn count() -> Step {
    step(ExecuteOp::Sub)
        .a(Ecx)
        .constant(1)
        .width(Address)
        .to(Ecx)
}

/// The repetitions one by one. Of a port, one is begun only when it is certain.
fn each(routines: &mut Assembler, mnemonic: &str, width: WidthSelect, name: &str) {
    let begin = nothing()
        .a(Ecx)
        .width(Address)
        .boundary()
        .branch(Condition::Zero, "nothing");
    if matches!(mnemonic, "ins" | "outs") {
        let mut steps = vec![begin];
        steps.extend(body(mnemonic, width));
        steps.push(count().goto(name));
        routines.routine(name, steps);
        return;
    }
    routines.routine(name, [begin]);
    let again = format!("{name}_again");
    let mut steps = body(mnemonic, width);
    steps[0] = steps[0].clone().boundary();
    if matches!(mnemonic, "cmps" | "scas") {
        steps.push(count().branch(Condition::Zero, "nothing"));
        steps.push(nothing().until(Condition::CompareEnds, &again));
    } else {
        steps.push(count().until(Condition::Zero, &again));
    }
    steps.push(nothing().last());
    routines.routine(&again, steps);
}

pub fn add(routines: &mut Assembler) {
    for mnemonic in ["movs", "cmps", "stos", "lods", "scas", "ins", "outs"] {
        for width in [Byte, Operand] {
            let name = routine(mnemonic, width);
            let repeated = format!("rep_{name}");
            let mut rest = body(mnemonic, width);
            if matches!(mnemonic, "ins" | "outs") {
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

            if matches!(mnemonic, "movs" | "stos") {
                let elements = if width == Byte { BLOCK } else { BLOCK / 4 };
                let (fast, slow) = (format!("{repeated}_fast"), format!("{repeated}_each"));
                routines.routine(&repeated, asks_for_block(elements, &fast, &slow));
                each(routines, mnemonic, width, &slow);
                blocks(routines, mnemonic, width);
            } else {
                each(routines, mnemonic, width, &repeated);
            }
        }
    }
}
