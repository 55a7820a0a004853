//! Questions about selectors, and the machine status word (SDM Vol. 2A, "LAR", "LSL", "VERR", "ARPL", "LMSW").
use super::assembler::{Assembler, Step, copy, nothing, step};
use super::events::load_descriptor;
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Operand, Word};
use spec::registers::{GDTR, LDTR, LIMIT};

const ZERO_FLAG: i32 = 1 << ZF;

pub fn add(routines: &mut Assembler) {
    // The answers: ZF alone changes.
    let answer = |op, mask| {
        [
            step(ExecuteOp::Lahf).to(T4),
            step(op).a(T4).constant(mask).to(T4),
            step(ExecuteOp::Sahf).a(T4).flags().last(),
        ]
    };
    routines.routine("granted", answer(ExecuteOp::Or, ZERO_FLAG));
    routines.routine("refused", answer(ExecuteOp::And, !ZERO_FLAG));
    question(routines, "lar", Check::AccessRights, access_rights());
    question(routines, "lsl", Check::SegmentLimit, segment_limit());
    question(
        routines,
        "verr",
        Check::Readable,
        vec![nothing().goto("granted")],
    );
    question(
        routines,
        "verw",
        Check::Writable,
        vec![nothing().goto("granted")],
    );
    routines.routine(
        "lsl_pages",
        [
            step(ExecuteOp::Add).a(T2).constant(1).to(T2),
            step(ExecuteOp::Shl).a(T2).constant(12).to(T2),
            step(ExecuteOp::Sub)
                .a(T2)
                .constant(1)
                .to(T2)
                .goto("lsl_answer"),
        ],
    );
    routines.routine(
        "lsl_answer",
        [copy(Reg).b(T2).width(Operand).goto("granted")],
    );
    adjust_level(routines);
    load_status_word(routines);
}

/// T0 = the selector. What cannot be asked is answered by ZF = 0, not by a fault.
fn question(routines: &mut Assembler, name: &str, rule: Check, result: Vec<Step>) {
    let part = |part: &str| format!("{name}_{part}");
    let limit = |table: u8| copy(T2).system((LIMIT + table) as u64);
    // T1 = the descriptor's last byte in its table, T2 = the table's limit
    routines.routine(
        name,
        [
            nothing().a(T0).branch(Condition::NullSelector, "refused"),
            step(ExecuteOp::Or).a(T0).constant(7).to(T1),
            limit(GDTR),
            step(ExecuteOp::And)
                .a(T0)
                .constant(4)
                .branch(Condition::NotZero, &part("local")),
        ],
    );
    routines.routine(
        &part("within"),
        [
            // A limit of 64 KB or more holds every selector.
            step(ExecuteOp::Shr)
                .a(T2)
                .constant(16)
                .branch(Condition::NotZero, &part("descriptor")),
            step(ExecuteOp::Sub).a(T2).b(T1).to(T2),
            step(ExecuteOp::Shr)
                .a(T2)
                .constant(31)
                .branch(Condition::NotZero, "refused"),
        ],
    );
    routines.routine(
        &part("descriptor"),
        [
            load_descriptor(T0),
            nothing()
                .a(T0)
                .check(rule)
                .branch(Condition::Refused, "refused"),
        ],
    );
    routines.routine(&part("result"), result);
    routines.routine(&part("local"), [limit(LDTR).goto(&part("within"))]);
}

/// The descriptor's second dword.
fn high_dword() -> Step {
    copy(T1).b_load().memory(MemoryOp::Load).descriptor(T0, 4)
}

/// The second dword AND 00FFFF00h.
fn access_rights() -> Vec<Step> {
    vec![
        high_dword(),
        step(ExecuteOp::Shl).a(T1).constant(8).to(T1),
        step(ExecuteOp::Shr).a(T1).constant(16).to(T1),
        step(ExecuteOp::Shl).a(T1).constant(8).to(T1),
        copy(Reg).b(T1).width(Operand).goto("granted"),
    ]
}

/// The limit in bytes.
fn segment_limit() -> Vec<Step> {
    vec![
        high_dword(),
        copy(T2)
            .b_load()
            .access_width(Word)
            .memory(MemoryOp::Load)
            .descriptor(T0, 0),
        step(ExecuteOp::Shl).a(T1).constant(12).to(T3),
        step(ExecuteOp::Shr).a(T3).constant(28).to(T3),
        step(ExecuteOp::Shl).a(T3).constant(16).to(T3),
        step(ExecuteOp::Or).a(T2).b(T3).to(T2),
        // Granularity
        step(ExecuteOp::Shr).a(T1).constant(23).to(T1),
        step(ExecuteOp::And)
            .a(T1)
            .constant(1)
            .branch(Condition::NotZero, "lsl_pages"),
        nothing().goto("lsl_answer"),
    ]
}

/// ARPL. T0 = the selector in r/m.
fn adjust_level(routines: &mut Assembler) {
    let write = |memory: bool| {
        if memory {
            copy(None)
                .b(T0)
                .width(Word)
                .memory(MemoryOp::Store)
                .operand(0)
        } else {
            copy(Rm).b(T0).width(Word)
        }
    };
    for (name, memory) in [("arpl_memory", true), ("arpl_register", false)] {
        let adjust = format!("{name}_adjust");
        // T1, T2 = the levels
        routines.routine(
            name,
            [
                step(ExecuteOp::And).a(T0).constant(3).to(T1),
                step(ExecuteOp::And).a(Reg).constant(3).to(T2),
                step(ExecuteOp::Sub).a(T1).b(T2).to(T3),
                step(ExecuteOp::Shr)
                    .a(T3)
                    .constant(31)
                    .branch(Condition::NotZero, &adjust),
                nothing().goto("refused"),
            ],
        );
        routines.routine(
            &adjust,
            [
                step(ExecuteOp::Sub).a(T0).b(T1).to(T0),
                step(ExecuteOp::Or).a(T0).b(T2).to(T0),
                write(memory).goto("granted"),
            ],
        );
    }
}

/// LMSW changes PE, MP, EM and TS, and cannot clear PE.
fn load_status_word(routines: &mut Assembler) {
    routines.routine(
        "lmsw_memory",
        [copy(T0)
            .b_load()
            .access_width(Word)
            .memory(MemoryOp::Load)
            .operand(0)
            .goto("lmsw")],
    );
    routines.routine("lmsw_register", [copy(T0).b(Rm)]);
    routines.routine(
        "lmsw",
        [
            step(ExecuteOp::And).a(T0).constant(15).to(T0),
            copy(T1).system(CR0),
            step(ExecuteOp::And).a(T1).constant(!14).to(T1),
            step(ExecuteOp::Or).a(T1).b(T0).to(T0),
            step(ExecuteOp::PassB)
                .b(T0)
                .control_of(Control::WriteSystem, CR0)
                .serialize()
                .last(),
        ],
    );
}
