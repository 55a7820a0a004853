//! Task switches by JMP, CALL, IRET and events, through TSS of both sizes and task gates (SDM Vol. 3A, "Task Switching").
//!
//! What can fault without harm comes first; then the old state is saved, and the new one loaded from pages that have been
//! touched. From `CommitTask` on faults belong to the new task, which has its registers and selectors by then.
use super::assembler::{Assembler, Step, copy, nothing, step};
use super::events::{load_descriptor, read, selector, set_accessed};
use crate::prelude::*;
use RegisterSelect::*;
use WidthSelect::{Byte, Dword, Operand, Word};
use spec::registers as numbers;
use spec::segments::{TSS_CR3, TSS_EAX, TSS_EIP, TSS_ES, TSS_LDT};

/// Bits of T6: what kind of switch this is.
///
/// The old task is not busy any more: JMP and IRET.
const LEAVES: i32 = 1;
/// The new task returns to the old one: CALL and events.
const NESTS: i32 = 2;
/// IRET: NT ends.
const RETURNS: i32 = 4;
/// An event, which may have an error code.
const EVENT: i32 = 8;

/// Where a TSS has what.
struct Layout {
    name: &'static str,
    width: WidthSelect,
    limit: i32,
    eip: i32,
    /// EAX, ECX... one behind the other; so are the selectors.
    general: i32,
    selectors: i32,
    ldt: i32,
    bytes: i32,
    segments: &'static [u8],
}

const WIDE: Layout = Layout {
    name: "32",
    width: Dword,
    limit: spec::segments::TSS_MINIMUM_LIMIT as i32,
    eip: TSS_EIP as i32,
    general: TSS_EAX as i32,
    selectors: TSS_ES as i32,
    ldt: TSS_LDT as i32,
    bytes: 4,
    segments: &[
        numbers::ES,
        numbers::CS,
        numbers::SS,
        numbers::DS,
        numbers::FS,
        numbers::GS,
    ],
};

const NARROW: Layout = Layout {
    name: "16",
    width: Word,
    limit: spec::segments::TSS_16_MINIMUM_LIMIT as i32,
    eip: spec::segments::TSS_16_IP as i32,
    general: spec::segments::TSS_16_AX as i32,
    selectors: spec::segments::TSS_16_ES as i32,
    ldt: spec::segments::TSS_16_LDT as i32,
    bytes: 2,
    segments: &[numbers::ES, numbers::CS, numbers::SS, numbers::DS],
};

const GENERAL: [RegisterSelect; 8] = [Eax, Ecx, Edx, Ebx, Esp, Ebp, Esi, Edi];
const DATA: [u8; 4] = [numbers::ES, numbers::DS, numbers::FS, numbers::GS];

pub fn add(routines: &mut Assembler) {
    begin(routines);
    check(routines);
    for layout in [&WIDE, &NARROW] {
        save(routines, layout);
    }
    busy(routines);
    for layout in [&WIDE, &NARROW] {
        load(routines, layout);
    }
    commit(routines);
    segments(routines);
    end(routines);
}

/// To `label` if a bit of T6 is set.
fn if_kind(bit: i32, label: &str) -> Step {
    step(ExecuteOp::And)
        .a(T6)
        .constant(bit)
        .branch(Condition::NotZero, label)
}

/// `to` = a field of the new TSS.
fn field(to: RegisterSelect, width: WidthSelect, displacement: i32) -> Step {
    copy(to)
        .b_load()
        .access_width(width)
        .memory(MemoryOp::Load)
        .at(SegmentSelect::New, None, displacement)
        .privileged()
}

fn write(number: u64) -> Step {
    step(ExecuteOp::PassB).control_of(Control::WriteSystem, number)
}

/// T2 = selector of the new TSS, whose descriptor is in the latch; T3 = EIP to save; T6 = kind; then `task_switch`.
fn begin(routines: &mut Assembler) {
    // T0 = the far pointer's selector, T2 = what were a gate's, T7 = access byte of the descriptor
    for (name, kind) in [("call_task", NESTS), ("jump_task", LEAVES)] {
        let (gate, now) = (format!("{name}_gate"), format!("{name}_now"));
        routines.routine(
            name,
            [
                step(ExecuteOp::And)
                    .a(T7)
                    .constant(4)
                    .branch(Condition::NotZero, &gate),
                copy(T2).b(T0),
            ],
        );
        routines.routine(
            &now,
            [
                nothing().a(T2).check(Check::TaskState),
                copy(T3).b_from(BSource::NextEip),
                copy(T6).constant(kind).goto("task_switch"),
            ],
        );
        routines.routine(&gate, [load_descriptor(T2).goto(&now)]);
    }
    routines.routine(
        "deliver_to_task",
        [
            load_descriptor(T2),
            nothing().a(T2).check(Check::TaskState),
            copy(T3).system(EVENT_EIP),
            copy(T6).constant(NESTS | EVENT).goto("task_switch"),
        ],
    );
    // IRET with NT: the link of the old TSS.
    routines.routine(
        "task_return",
        [
            copy(T2)
                .b_load()
                .access_width(Word)
                .memory(MemoryOp::Load)
                .at(SegmentSelect::Tss, None, 0)
                .privileged(),
            load_descriptor(T2).a(T2).check(Check::NotNullTask),
            nothing().a(T2).check(Check::NestedTask),
            copy(T3).b_from(BSource::NextEip),
            copy(T6).constant(LEAVES | RETURNS).goto("task_switch"),
        ],
    );
}

fn check(routines: &mut Assembler) {
    routines.routine(
        "task_switch",
        [
            nothing().a(T2).control(Control::LoadNewStack),
            // Always: the operand size becomes that of the TSS.
            nothing().branch(Condition::RareGate, "task_switch_sized"),
            nothing().goto("task_switch_sized"),
        ],
    );
    routines.routine(
        "task_switch_sized",
        [
            copy(T4).system((numbers::LIMIT + 10) as u64),
            copy(T5)
                .constant(WIDE.limit)
                .unless(StaticCondition::OperandSize16, "task_switch_narrow"),
        ],
    );
    routines.routine(
        "task_switch_limit",
        [
            step(ExecuteOp::Shr)
                .a(T4)
                .constant(8)
                .branch(Condition::NotZero, "task_switch_long"),
            step(ExecuteOp::Sub).a(T4).b(T5).to(T4),
            step(ExecuteOp::Shr)
                .a(T4)
                .constant(31)
                .branch(Condition::NotZero, "task_switch_short"),
        ],
    );
    // T4 = EFLAGS to save
    routines.routine(
        "task_switch_long",
        [
            // Its pages are there.
            field(None, Word, 0),
            nothing()
                .access_width(Byte)
                .memory(MemoryOp::Load)
                .at(SegmentSelect::New, T5, 0)
                .privileged(),
            copy(T4).system(EFLAGS),
            if_kind(RETURNS, "task_switch_returns"),
        ],
    );
    routines.routine(
        "task_switch_save",
        [
            copy(T5).system((numbers::ACCESS + numbers::TR) as u64),
            step(ExecuteOp::And)
                .a(T5)
                .constant(8)
                .branch(Condition::Zero, "task_save16"),
            nothing().goto("task_save32"),
        ],
    );
    routines.routine(
        "task_switch_narrow",
        [copy(T5).constant(NARROW.limit).goto("task_switch_limit")],
    );
    routines.routine(
        "task_switch_short",
        [nothing().a(T2).check(Check::ShortTask)],
    );
    routines.routine(
        "task_switch_returns",
        [
            // NMIs are possible again.
            nothing().b(T4).control(Control::ReturnFlags),
            step(ExecuteOp::Btr)
                .a(T4)
                .constant(NT as i32)
                .to(T4)
                .goto("task_switch_save"),
        ],
    );
}

/// The old state to the old TSS.
fn save(routines: &mut Assembler, layout: &Layout) {
    let to = |step: Step, width, displacement| {
        step.access_width(width)
            .memory(MemoryOp::Store)
            .at(SegmentSelect::Tss, None, displacement)
            .privileged()
    };
    let pass = |register| step(ExecuteOp::PassB).b(register);
    let mut steps = vec![
        to(pass(T3), layout.width, layout.eip),
        to(pass(T4), layout.width, layout.eip + layout.bytes),
    ];
    for (index, register) in (0..).zip(GENERAL) {
        let at = layout.general + layout.bytes * index;
        steps.push(to(pass(register), layout.width, at));
    }
    for (index, s) in (0..).zip(layout.segments) {
        let at = layout.selectors + layout.bytes * index;
        steps.push(to(read(selector(*s)), Word, at));
    }
    steps.push(nothing().goto("task_switch_saved"));
    routines.routine(&format!("task_save{}", layout.name), steps);
}

/// Busy bits and the link.
fn busy(routines: &mut Assembler) {
    routines.routine(
        "task_switch_saved",
        [
            if_kind(RETURNS, "task_switch_leaves"),
            step(ExecuteOp::PassB)
                .system(BUSY_BYTE)
                .width(Byte)
                .memory(MemoryOp::Store)
                .descriptor(T2, 5),
            if_kind(LEAVES, "task_switch_leaves"),
            read(selector(numbers::TR))
                .access_width(Word)
                .memory(MemoryOp::Store)
                .at(SegmentSelect::New, None, 0)
                .privileged()
                .goto("task_load"),
        ],
    );
    routines.routine(
        "task_switch_leaves",
        [
            copy(T5).system(selector(numbers::TR)),
            nothing(),
            copy(T4)
                .b_load()
                .access_width(Byte)
                .memory(MemoryOp::Load)
                .descriptor(T5, 5),
            step(ExecuteOp::And).a(T4).constant(!2).to(T4),
            step(ExecuteOp::PassB)
                .b(T4)
                .width(Byte)
                .memory(MemoryOp::Store)
                .descriptor(T5, 5),
        ],
    );
    routines.routine(
        "task_load",
        [nothing().unless(StaticCondition::OperandSize16, "task_load16")],
    );
}

/// T0 = CR3, T1 = EIP, T3 = EFLAGS, T5 = LDT, T7 = T bit; general registers and selectors are in place.
fn load(routines: &mut Assembler, layout: &Layout) {
    let narrow = layout.width == Word;
    let mut steps = vec![
        field(T1, layout.width, layout.eip),
        field(T3, layout.width, layout.eip + layout.bytes),
        field(T5, Word, layout.ldt),
    ];
    if narrow {
        steps.push(copy(T7).constant(0));
    } else {
        steps.push(field(T0, Dword, TSS_CR3 as i32));
        steps.push(field(T7, Word, spec::segments::TSS_TRAP as i32));
    }
    for (index, register) in (0..).zip(GENERAL) {
        if narrow {
            // The upper half becomes ones, as on other processors.
            steps.push(copy(register).constant(-1));
        }
        let at = layout.general + layout.bytes * index;
        let mut step = field(register, layout.width, at);
        step.word.width = layout.width;
        steps.push(step);
    }
    if narrow {
        for s in [numbers::FS, numbers::GS] {
            steps.push(write(selector(s)).constant(0));
        }
    }
    for (index, s) in (0..).zip(layout.segments) {
        let at = layout.selectors + layout.bytes * index;
        steps.push(field(T4, Word, at));
        steps.push(write(selector(*s)).b(T4));
    }
    // CR3 belongs to paging, and to a TSS of 32 bits.
    if !narrow {
        steps.extend([
            copy(T4).system(CR0),
            step(ExecuteOp::Shr)
                .a(T4)
                .constant(31)
                .branch(Condition::Zero, "task_commit"),
            write(CR3).b(T0),
        ]);
    }
    steps.push(nothing().goto("task_commit"));
    routines.routine(&format!("task_load{}", layout.name), steps);
}

fn commit(routines: &mut Assembler) {
    let access = |s: u8| (numbers::ACCESS + s) as u64;
    let mut steps = vec![
        nothing()
            .a(T2)
            .control_of(Control::LoadTask, numbers::TR as u64),
        copy(T4).system(CR0),
        step(ExecuteOp::Or).a(T4).constant(8).to(T4),
        write(CR0).b(T4),
    ];
    // Nothing may be accessed before its descriptor is loaded.
    for s in [numbers::SS].into_iter().chain(DATA) {
        steps.push(write(access(s)).constant(0));
    }
    steps.extend([
        write(selector(numbers::LDTR)).b(T5),
        write((numbers::LIMIT + numbers::LDTR) as u64).constant(0),
        write(access(numbers::LDTR)).constant(0),
        copy(T2).system(selector(numbers::CS)),
        step(ExecuteOp::And).a(T2).constant(3).to(T4),
        write(CPL).b(T4),
        if_kind(NESTS, "task_commit_nested"),
    ]);
    routines.routine("task_commit", steps);
    routines.routine(
        "task_commit_now",
        [
            write(EFLAGS).b(T3),
            nothing().b(T1).control(Control::CommitTask),
            // A trap of the T bit comes behind the switch, if it gets there.
            step(ExecuteOp::And)
                .a(T7)
                .constant(1)
                .branch(Condition::NotZero, "task_traps"),
        ],
    );
    // The LDT. What LoadTask sets in its type is set already.
    routines.routine(
        "task_ldt",
        [
            nothing()
                .a(T5)
                .branch(Condition::NullSelector, "task_segments"),
            load_descriptor(T5),
            nothing().a(T5).check(Check::LocalTable),
            nothing()
                .a(T5)
                .control_of(Control::LoadTask, numbers::LDTR as u64),
            nothing().goto("task_segments"),
        ],
    );
    routines.routine(
        "task_commit_nested",
        [step(ExecuteOp::Bts)
            .a(T3)
            .constant(NT as i32)
            .to(T3)
            .goto("task_commit_now")],
    );
    routines.routine(
        "task_traps",
        [nothing().control(Control::TaskTrap).goto("task_ldt")],
    );
}

fn segments(routines: &mut Assembler) {
    // T3 = EFLAGS from VM on
    routines.routine(
        "task_segments",
        [
            step(ExecuteOp::Shr).a(T3).constant(VM as i32).to(T3),
            step(ExecuteOp::And)
                .a(T3)
                .constant(1)
                .branch(Condition::NotZero, "task_virtual"),
            load_descriptor(T2).a(T2).check(Check::NotNull),
            nothing()
                .a(T2)
                .check(Check::ReturnCode)
                .branch(Condition::NotAccessed, "task_code_accessed"),
        ],
    );
    routines.routine(
        "task_stack",
        [
            copy(T4).system(selector(numbers::SS)),
            nothing(),
            load_descriptor(T4).a(T4).check(Check::NotNull),
            nothing()
                .a(T4)
                .check(Check::NewStack)
                .branch(Condition::NotAccessed, "task_stack_accessed"),
        ],
    );
    routines.routine(
        "task_stack_load",
        [nothing()
            .a(T4)
            .control_of(Control::LoadSegment, numbers::SS as u64)],
    );
    for (index, s) in DATA.into_iter().enumerate() {
        let name = numbers::SEGMENT[s as usize];
        let next = DATA.get(index + 1).map_or("task_end".into(), |next| {
            format!("task_{}", numbers::SEGMENT[*next as usize])
        });
        let (load, accessed) = (format!("task_{name}_load"), format!("task_{name}_accessed"));
        routines.routine(
            &format!("task_{name}"),
            [
                copy(T4).system(selector(s)),
                nothing().a(T4).branch(Condition::NullSelector, &next),
                load_descriptor(T4),
                nothing()
                    .a(T4)
                    .check(Check::DataSegment)
                    .branch(Condition::NotAccessed, &accessed),
            ],
        );
        routines.routine(
            &load,
            [nothing()
                .a(T4)
                .control_of(Control::LoadSegment, s as u64)
                .goto(&next)],
        );
        routines.routine(&accessed, [set_accessed(T4, &load)]);
    }
    routines.routine("task_code_accessed", [set_accessed(T2, "task_stack")]);
    routines.routine("task_stack_accessed", [set_accessed(T4, "task_stack_load")]);
    let mut steps = vec![write(CPL).constant(3)];
    for s in [numbers::CS, numbers::SS].into_iter().chain(DATA) {
        steps.push(copy(T4).system(selector(s)));
        steps.push(nothing().a(T4).control_of(Control::LoadVirtual, s as u64));
    }
    steps.push(nothing().goto("task_end"));
    routines.routine("task_virtual", steps);
}

/// The error code, and on to the new task.
fn end(routines: &mut Assembler) {
    routines.routine("task_end", [if_kind(EVENT, "task_event")]);
    routines.routine(
        "task_enter",
        [
            step(ExecuteOp::And)
                .a(T3)
                .constant(1)
                .branch(Condition::NotZero, "task_enter_virtual"),
            nothing().b(T1).check(Check::CodeTarget),
            nothing()
                .a(T2)
                .b(T1)
                .control(Control::LoadCode)
                .stack(AddressMode::Stack)
                .last(),
        ],
    );
    routines.routine(
        "task_enter_virtual",
        [nothing()
            .b(T1)
            .control(Control::Resume)
            .stack(AddressMode::Stack)
            .last()],
    );
    routines.routine(
        "task_event",
        [
            nothing().unless(StaticCondition::HasErrorCode, "task_error_code"),
            nothing().goto("task_enter"),
        ],
    );
    routines.routine(
        "task_error_code",
        [
            read(EVENT_ERROR).access_width(Operand).push(),
            nothing().goto("task_enter"),
        ],
    );
}
