//! Opcode rows: the first micro-instruction of each instruction, from `spec`'s opcode map.
//!
//! An opcode without a row here raises #UD; `sysgate opcodes` lists it as missing.
use super::shape::groups;
use crate::microcode::{Image, Step, copy, nothing, step};
use crate::microcode::{events::selector, ports, segments, strings};
use crate::prelude::*;
use RegisterSelect as R;
use WidthSelect::{Byte, Dword, Operand as Full, Word};
use spec::opcodes::{self, Kind, Map, Opcode, Operand};
use spec::registers as numbers;

/// The beginning of an instruction.
struct Row {
    first: Step,
    /// The routine for what follows the first step, if it is not the last.
    entry: Option<String>,
}

impl From<Step> for Row {
    fn from(first: Step) -> Self {
        Row { first, entry: None }
    }
}

impl Step {
    /// The instruction goes on with this routine.
    fn then(self, routine: impl Into<String>) -> Row {
        Row {
            first: self,
            entry: Some(routine.into()),
        }
    }
}

/// Whether the instruction has a micro-program.
pub fn is_built(opcode: &Opcode) -> bool {
    let registers = opcode.extension.map_or(0..=7, |reg| reg..=reg);
    let forms = match opcode.form {
        opcodes::Form::Any => vec![false, true],
        opcodes::Form::MemoryOnly => vec![false],
        opcodes::Form::RegisterOnly => vec![true],
    };
    matches!(opcode.kind, Kind::Instruction | Kind::Coprocessor)
        && registers
            .clone()
            .any(|reg| forms.iter().any(|form| row(opcode, reg, *form).is_some()))
}

/// The two halves of the opcode ROM, by the index that predecode makes.
pub fn rows(image: &Image) -> (Vec<MicroInstruction>, Vec<DecodeRow>) {
    let mut words = vec![MicroInstruction::default(); 2048];
    let mut decode = vec![DecodeRow::default(); 2048];
    let groups = groups();
    let mut place = |index: usize, map, byte, reg, register_form| {
        let Some(opcode) = opcodes::lookup(map, byte, reg, register_form) else {
            return;
        };
        let Some(row) = row(opcode, reg, register_form) else {
            return;
        };
        words[index] = image.word(&row.first);
        decode[index] = DecodeRow {
            built: true,
            lockable: opcode.lockable,
            entry: row.entry.map_or(0, |label| image.entry(&label)).into(),
        };
    };
    for register_form in [false, true] {
        let form = (register_form as usize) << 10;
        for (half, map) in [Map::OneByte, Map::TwoByte].into_iter().enumerate() {
            for byte in 0..=255u8 {
                if !groups.contains(&(map, byte)) {
                    // Without ModRM there is one form only.
                    let form_of_row = register_form && opcodes::has_modrm(map, byte);
                    place(form | half << 8 | byte as usize, map, byte, 0, form_of_row);
                }
            }
        }
        for (number, (map, byte)) in groups.iter().enumerate() {
            for reg in 0..8u8 {
                place(
                    form | 512 | number << 3 | reg as usize,
                    *map,
                    *byte,
                    reg,
                    register_form,
                );
            }
        }
    }
    (words, decode)
}

fn width_of(operand: Operand) -> WidthSelect {
    use Operand::*;
    match operand {
        Eb | Gb | Ib | Ob | Xb | Yb | OpcodeRegisterByte | Al | Cl => Byte,
        Ew | Gw | Iw | Sw => Word,
        Cd | Dd | Rd => Dword,
        _ => Full,
    }
}

fn register_of(operand: Operand) -> Option<R> {
    use Operand::*;
    Some(match operand {
        Gb | Gv | Gw => R::Reg,
        Eb | Ev | Ew | Rd => R::Rm,
        OpcodeRegisterByte | OpcodeRegisterFull => R::Opcode,
        Al | Ax => R::Eax,
        Cl => R::Ecx,
        Dx => R::Edx,
        _ => return Option::None,
    })
}

fn segment_of(operand: Operand) -> Option<u8> {
    use Operand::*;
    Some(match operand {
        Es => numbers::ES,
        Cs => numbers::CS,
        Ss => numbers::SS,
        Ds => numbers::DS,
        Fs => numbers::FS,
        Gs => numbers::GS,
        _ => return Option::None,
    })
}

fn is_modrm_memory(operand: Operand, register_form: bool) -> bool {
    use Operand::*;
    !register_form && matches!(operand, Eb | Ev | Ew | M | Mp | Mq)
}

/// The source `operand` as operand b, with the load it may need.
fn with_source(first: Step, operand: Operand, register_form: bool) -> Option<Step> {
    use Operand::*;
    if is_modrm_memory(operand, register_form) {
        return Some(first.b_load().memory(MemoryOp::Load).operand(0));
    }
    Some(match operand {
        Ib | Iw | Iz | SignedIb | Jb | Jz => first.immediate(),
        One => first.b_from(BSource::One),
        _ => first.b(register_of(operand)?),
    })
}

/// `operands[0] op= operands[1]`; `writes` is false for TEST and CMP.
fn two_operands(op: ExecuteOp, opcode: &Opcode, register_form: bool, writes: bool) -> Option<Row> {
    let [to, from, _] = opcode.operands;
    let base = step(op).width(width_of(to)).flags().last();
    if is_modrm_memory(to, register_form) {
        let kind = if writes {
            MemoryOp::Modify
        } else {
            MemoryOp::Load
        };
        return Some(
            with_source(base, from, true)?
                .a_load()
                .memory(kind)
                .operand(0)
                .into(),
        );
    }
    let to = register_of(to)?;
    let base = with_source(base.a(to), from, register_form)?;
    Some(if writes { base.to(to) } else { base }.into())
}

/// `operands[0] = op(operands[0])` or `op(operands[0], 1)`.
fn one_operand(op: ExecuteOp, opcode: &Opcode, register_form: bool) -> Option<Step> {
    let operand = opcode.operands[0];
    let base = step(op)
        .width(width_of(operand))
        .b_from(BSource::One)
        .last();
    Some(if is_modrm_memory(operand, register_form) {
        base.a_load().memory(MemoryOp::Modify).operand(0)
    } else {
        let to = register_of(operand)?;
        base.a(to).to(to)
    })
}

fn alu_op(mnemonic: &str) -> Option<ExecuteOp> {
    Some(match mnemonic {
        "add" => ExecuteOp::Add,
        "or" => ExecuteOp::Or,
        "adc" => ExecuteOp::Adc,
        "sbb" => ExecuteOp::Sbb,
        "and" => ExecuteOp::And,
        "sub" => ExecuteOp::Sub,
        "xor" => ExecuteOp::Xor,
        "shl" | "sal" => ExecuteOp::Shl,
        "shr" => ExecuteOp::Shr,
        "sar" => ExecuteOp::Sar,
        "rol" => ExecuteOp::Rol,
        "ror" => ExecuteOp::Ror,
        "rcl" => ExecuteOp::Rcl,
        "rcr" => ExecuteOp::Rcr,
        _ => return Option::None,
    })
}

fn bit_op(mnemonic: &str) -> Option<(ExecuteOp, bool)> {
    Some(match mnemonic {
        "bt" => (ExecuteOp::Bt, false),
        "bts" => (ExecuteOp::Bts, true),
        "btr" => (ExecuteOp::Btr, true),
        "btc" => (ExecuteOp::Btc, true),
        _ => return Option::None,
    })
}

const CONDITIONS: [&str; 16] = [
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
];

fn has_condition(mnemonic: &str, prefix: &str) -> bool {
    mnemonic
        .strip_prefix(prefix)
        .is_some_and(|rest| CONDITIONS.contains(&rest))
}

fn suffix(width: WidthSelect) -> &'static str {
    if width == Byte { "byte" } else { "operand" }
}

/// The row of one encoding, or `None` if it is not built.
fn row(opcode: &Opcode, reg: u8, register_form: bool) -> Option<Row> {
    use Operand::*;
    match opcode.kind {
        Kind::Instruction => {}
        // As on a processor of this family without one, what is to be stored there is not.
        Kind::Coprocessor => {
            let check = match opcode.mnemonic {
                "x87" => Check::Coprocessor,
                _ => Check::CoprocessorProbe,
            };
            return Some(nothing().check(check).last().into());
        }
        _ => return Option::None,
    }
    let [first, second, third] = opcode.operands;
    let width = width_of(first);
    let memory = is_modrm_memory(first, register_form);
    let name = opcode.mnemonic;
    if let Some(op) = alu_op(name) {
        return two_operands(op, opcode, register_form, true);
    }
    if let Some((op, writes)) = bit_op(name) {
        if memory && second == Gv {
            let routine = format!("bit_string_{op:?}").to_lowercase();
            return Some(
                copy(R::T1)
                    .b_from(BSource::EffectiveAddress)
                    .operand(0)
                    .then(routine),
            );
        }
        return two_operands(op, opcode, register_form, writes);
    }
    if has_condition(name, "cmov") {
        let base = step(ExecuteOp::ConditionalMove)
            .a(R::Reg)
            .to(R::Reg)
            .width(width)
            .last();
        return Some(with_source(base, second, register_form)?.into());
    }
    if has_condition(name, "set") {
        let base = step(ExecuteOp::SetCondition).width(Byte).last();
        return Some(
            if memory {
                base.memory(MemoryOp::Store).operand(0)
            } else {
                base.to(R::Rm)
            }
            .into(),
        );
    }
    if has_condition(name, "j") {
        return Some(nothing().control(Control::JumpIf).last().into());
    }
    Some(match name {
        "cmp" => return two_operands(ExecuteOp::Sub, opcode, register_form, false),
        "test" => return two_operands(ExecuteOp::And, opcode, register_form, false),
        "inc" | "dec" => {
            let op = if name == "inc" {
                ExecuteOp::Add
            } else {
                ExecuteOp::Sub
            };
            one_operand(op, opcode, register_form)?
                .flags()
                .keep_carry()
                .into()
        }
        "not" => one_operand(ExecuteOp::Not, opcode, register_form)?.into(),
        "neg" => one_operand(ExecuteOp::Neg, opcode, register_form)?
            .flags()
            .into(),
        "mul" | "div" | "idiv" => wide(name, first, register_form)?,
        "imul" if second == None => wide(name, first, register_form)?,
        "imul" => {
            let base = step(ExecuteOp::Imul).width(width).to(R::Reg).flags().last();
            if third == None {
                with_source(base.a(R::Reg), second, register_form)?.into()
            } else if register_form {
                base.a(R::Rm).immediate().into()
            } else {
                base.a_load()
                    .immediate()
                    .memory(MemoryOp::Load)
                    .operand(0)
                    .into()
            }
        }
        "shld" | "shrd" => {
            let op = if name == "shld" {
                ExecuteOp::Shld
            } else {
                ExecuteOp::Shrd
            };
            let mut base = step(op).width(width).b(R::Reg).flags().last();
            if third == Ib {
                base = base.c_immediate();
            }
            if memory {
                base.a_load().memory(MemoryOp::Modify).operand(0)
            } else {
                base.a(R::Rm).to(R::Rm)
            }
            .into()
        }
        "bsf" | "bsr" => {
            let op = if name == "bsf" {
                ExecuteOp::Bsf
            } else {
                ExecuteOp::Bsr
            };
            let base = step(op).width(width).a(R::Reg).to(R::Reg).flags().last();
            with_source(base, second, register_form)?.into()
        }
        // Of 16 bits the result is undefined; silicon gives zero.
        "bswap" => step(ExecuteOp::Bswap)
            .a(R::Opcode)
            .to(R::Opcode)
            .unless(StaticCondition::OperandSize16, "bswap_word")
            .last()
            .into(),
        // A load is zero-extended already.
        "movzx" if !register_form => with_source(copy(R::Reg).width(width).last(), second, false)?
            .access_width(width_of(second))
            .into(),
        "movzx" | "movsx" => {
            let op = match (name, second) {
                ("movzx", Eb) => ExecuteOp::ZeroExtendByte,
                ("movzx", _) => ExecuteOp::ZeroExtendWord,
                (_, Eb) => ExecuteOp::SignExtendByte,
                _ => ExecuteOp::SignExtendWord,
            };
            with_source(
                step(op).width(width).to(R::Reg).last(),
                second,
                register_form,
            )?
            .access_width(width_of(second))
            .into()
        }
        "mov" => return mov(opcode, reg, register_form),
        "lea" => copy(R::Reg)
            .b_from(BSource::EffectiveAddress)
            .width(Full)
            .operand(0)
            .last()
            .into(),
        "xchg" => {
            let suffix = suffix(width);
            if memory {
                copy(R::T0)
                    .b_load()
                    .width(width)
                    .memory(MemoryOp::LoadForWrite)
                    .operand(0)
                    .then(format!("exchange_memory_{suffix}"))
            } else if opcode.byte & 0xF8 == 0x90 {
                step(ExecuteOp::Exchange)
                    .a(R::Opcode)
                    .b(R::Eax)
                    .width(width)
                    .to(R::Opcode)
                    .then("exchange_accumulator")
            } else {
                step(ExecuteOp::Exchange)
                    .a(R::Rm)
                    .b(R::Reg)
                    .width(width)
                    .to(R::Rm)
                    .then(format!("exchange_{suffix}"))
            }
        }
        // Those with ModRM do not look at their operand.
        "nop" => nothing().last().into(),
        "wait" => nothing().check(Check::Wait).last().into(),
        // Not in system-management mode, of which there is none.
        "ud0" | "ud1" | "ud2" | "rsm" => nothing().check(Check::Undefined).last().into(),
        "aaa" | "aas" | "daa" | "das" => step(ExecuteOp::Lahf).to(R::T0).then(name),
        "aam" => step(ExecuteOp::ZeroExtendByte)
            .b(R::Eax)
            .to(R::T0)
            .then("aam"),
        "aad" => step(ExecuteOp::Mul)
            .a(R::Ah)
            .immediate()
            .width(Byte)
            .to(R::T0)
            .then("aad"),
        // AL - AL - CF
        "salc" => step(ExecuteOp::Sbb)
            .a(R::Eax)
            .b(R::Eax)
            .width(Byte)
            .to(R::Eax)
            .last()
            .into(),
        "bound" => copy(R::T0)
            .b_load()
            .access_width(Full)
            .memory(MemoryOp::Load)
            .operand(0)
            .then("bound"),
        "xadd" => {
            let suffix = suffix(width);
            if memory {
                copy(R::T0)
                    .width(width)
                    .b_load()
                    .memory(MemoryOp::LoadForWrite)
                    .operand(0)
                    .then(format!("add_exchange_memory_{suffix}"))
            } else {
                step(ExecuteOp::Add)
                    .a(R::Rm)
                    .b(R::Reg)
                    .width(width)
                    .to(R::T0)
                    .flags()
                    .then(format!("add_exchange_{suffix}"))
            }
        }
        "cmpxchg" => {
            let suffix = suffix(width);
            if memory {
                copy(R::T0)
                    .b_load()
                    .width(width)
                    .memory(MemoryOp::LoadForWrite)
                    .operand(0)
                    .then(format!("compare_exchange_memory_{suffix}"))
            } else {
                step(ExecuteOp::Sub)
                    .a(R::Eax)
                    .b(R::Rm)
                    .width(width)
                    .flags()
                    .branch(Condition::NotZero, &format!("compare_differs_{suffix}"))
                    .then(format!("compare_exchange_{suffix}"))
            }
        }
        // Eight bytes at once, for limit, page and alignment.
        "cmpxchg8b" => copy(R::T0)
            .b_load()
            .access_width(WidthSelect::Quad)
            .memory(MemoryOp::LoadForWrite)
            .operand(0)
            .then("cmpxchg8b"),
        "xlat" => step(ExecuteOp::ZeroExtendByte)
            .b(R::Eax)
            .to(R::T0)
            .then("xlat"),
        "cbw" => step(ExecuteOp::SignExtendWord)
            .b(R::Eax)
            .to(R::Eax)
            .unless(StaticCondition::OperandSize16, "cbw_word")
            .last()
            .into(),
        "cwd" => step(ExecuteOp::SignFill)
            .a(R::Eax)
            .to(R::Edx)
            .width(Full)
            .last()
            .into(),
        "lahf" => step(ExecuteOp::Lahf).width(Byte).to(R::Ah).last().into(),
        "sahf" => step(ExecuteOp::Sahf)
            .width(Byte)
            .a(R::Ah)
            .flags()
            .last()
            .into(),
        "clc" => step(ExecuteOp::ClearCarry).flags().last().into(),
        "stc" => step(ExecuteOp::SetCarry).flags().last().into(),
        "cmc" => step(ExecuteOp::ComplementCarry).flags().last().into(),
        "cld" => nothing().control(Control::ClearDirection).last().into(),
        "std" => nothing().control(Control::SetDirection).last().into(),
        "cli" => nothing()
            .check(Check::InputOutput)
            .control(Control::ClearInterrupt)
            .last()
            .into(),
        "sti" => nothing()
            .check(Check::InputOutput)
            .control(Control::SetInterrupt)
            .shadow()
            .last()
            .into(),
        "movs" | "cmps" | "stos" | "lods" | "scas" => {
            let width = if opcode.byte & 1 == 0 { Byte } else { Full };
            let routine = strings::routine(name, width);
            strings::body(name, width)
                .swap_remove(0)
                .unless(StaticCondition::Repeat, &format!("rep_{routine}"))
                .then(routine)
        }
        "push" => match segment_of(first) {
            Some(s) => step(ExecuteOp::PassB)
                .system(selector(s))
                .width(Full)
                .push()
                .last()
                .into(),
            Option::None if memory => copy(R::T0)
                .b_load()
                .access_width(Full)
                .memory(MemoryOp::Load)
                .operand(0)
                .then("push_t0"),
            Option::None => with_source(step(ExecuteOp::PassB).width(Full), first, register_form)?
                .push()
                .last()
                .into(),
        },
        "pop" => match segment_of(first) {
            Some(s) => copy(R::T0)
                .access_width(Full)
                .pop()
                .then(format!("pop_{}", numbers::SEGMENT[s as usize])),
            Option::None if memory => copy(R::T0).access_width(Full).pop().then("pop_memory"),
            Option::None => {
                let step = copy(register_of(first)?).width(Full).pop().last();
                if first == Ev {
                    step.unless(StaticCondition::OperandSize16, "pop_word_rm")
                } else if opcode.byte & 7 == 4 {
                    step.unless(StaticCondition::OperandSize16, "pop_word_opcode")
                } else {
                    step
                }
                .into()
            }
        },
        "pusha" => step(ExecuteOp::PassB)
            .b(R::Eax)
            .width(Full)
            .push()
            .then("pusha"),
        "popa" => nothing()
            .access_width(WidthSelect::Dword)
            .memory(MemoryOp::ProbeLoad)
            .at(SegmentSelect::Ss, R::Esp, 28)
            .branch(Condition::Denied, "popa_slowly")
            .unless(StaticCondition::OperandSize16, "popa_slowly")
            .then("popa"),
        "pushf" => step(ExecuteOp::PassB)
            .system(EFLAGS)
            .check(Check::PushFlags)
            .width(Full)
            .push()
            .last()
            .into(),
        "popf" => nothing()
            .width(Full)
            .pop()
            .check(Check::VirtualSensitive)
            .control(Control::PopFlags)
            .serialize()
            .last()
            .into(),
        "lds" | "les" | "lfs" | "lgs" | "lss" => {
            let s = match name {
                "lds" => numbers::DS,
                "les" => numbers::ES,
                "lfs" => numbers::FS,
                "lgs" => numbers::GS,
                _ => numbers::SS,
            };
            copy(R::T1)
                .b_load()
                .access_width(Full)
                .memory(MemoryOp::Load)
                .operand(0)
                .then(segments::far_pointer_routine(s))
        }
        "lar" | "lsl" => with_source(
            step(ExecuteOp::ZeroExtendWord).to(R::T0),
            second,
            register_form,
        )?
        .access_width(Word)
        .unless(StaticCondition::RealSegments, "undefined")
        .then(name),
        "verr" | "verw" => with_source(
            step(ExecuteOp::ZeroExtendWord).to(R::T0),
            first,
            register_form,
        )?
        .access_width(Word)
        .unless(StaticCondition::RealSegments, "undefined")
        .then(name),
        // It need not be writable if nothing changes.
        "arpl" if memory => copy(R::T0)
            .b_load()
            .access_width(Word)
            .memory(MemoryOp::Load)
            .operand(0)
            .unless(StaticCondition::RealSegments, "undefined")
            .then("arpl_memory"),
        "arpl" => step(ExecuteOp::ZeroExtendWord)
            .b(R::Rm)
            .to(R::T0)
            .unless(StaticCondition::RealSegments, "undefined")
            .then("arpl_register"),
        "lmsw" => nothing().check(Check::Ring0).then(if memory {
            "lmsw_memory"
        } else {
            "lmsw_register"
        }),
        "smsw" => {
            let base = step(ExecuteOp::PassB).system(CR0).last();
            if memory {
                base.width(Word).memory(MemoryOp::Store).operand(0).into()
            } else {
                base.width(Full).to(R::Rm).into()
            }
        }
        "enter" => step(ExecuteOp::PassB)
            .b(R::Ebp)
            .width(Full)
            .push()
            .then("enter"),
        "leave" => copy(R::Ebp)
            .width(Full)
            .b_load()
            .memory(MemoryOp::Load)
            .stack(AddressMode::PopFrame)
            .last()
            .into(),
        "jmp" | "call" => return transfer(opcode, register_form),
        "ret" if first == None => nothing()
            .width(Full)
            .a_load()
            .pop_a()
            .control(Control::Jump)
            .last()
            .into(),
        "ret" => copy(R::T0)
            .access_width(Full)
            .pop()
            .then("near_return_release"),
        "retf" => copy(R::T1).access_width(Full).pop().then("far_return"),
        "loop" | "loope" | "loopne" => step(ExecuteOp::Sub)
            .a(R::Ecx)
            .constant(1)
            .to(R::Ecx)
            .width(WidthSelect::Address)
            .control(Control::Loop)
            .last()
            .into(),
        "jcxz" => nothing()
            .a(R::Ecx)
            .width(WidthSelect::Address)
            .control(Control::JumpIfZero)
            .last()
            .into(),
        "int" => step(ExecuteOp::PassB)
            .immediate()
            .check(Check::VirtualSensitive)
            .control(Control::SoftwareInterrupt)
            .unless(StaticCondition::RealMode, "int_real")
            .then("int"),
        "int3" => step(ExecuteOp::PassB)
            .constant(3)
            .control(Control::SoftwareInterrupt)
            .then("event"),
        "int1" => step(ExecuteOp::PassB)
            .constant(1)
            .control(Control::InterruptOne)
            .then("event"),
        "into" => copy(R::T0).system(EFLAGS).then("into"),
        "iret" => nothing()
            .check(Check::VirtualSensitive)
            .branch(Condition::Nested, "task_return")
            .then("iret"),
        "in" | "out" => {
            let input = name == "in";
            let (data, port) = if input {
                (first, second)
            } else {
                (second, first)
            };
            let width = width_of(data);
            let immediate = port == Ib;
            ports::access(input, width, immediate)
                .last()
                .unless(
                    StaticCondition::PortsRestricted,
                    &ports::routine(input, width, immediate),
                )
                .into()
        }
        "ins" | "outs" => {
            let routine = strings::routine(name, if opcode.byte & 1 == 0 { Byte } else { Full });
            nothing()
                .unless(
                    StaticCondition::PortsRestricted,
                    &format!("{routine}_restricted"),
                )
                .then(routine)
        }
        "rdpmc" => nothing().check(Check::NoCounter).last().into(),
        // Caches are written through: there is nothing to write back.
        "invd" | "wbinvd" => nothing()
            .check(Check::Ring0)
            .control(Control::InvalidateCaches)
            .serialize()
            .last()
            .into(),
        "hlt" => nothing()
            .check(Check::Ring0)
            .control(Control::Halt)
            .last()
            .into(),
        "clts" => nothing()
            .check(Check::Ring0)
            .control(Control::ClearTaskSwitched)
            .last()
            .into(),
        "invlpg" => nothing()
            .check(Check::Ring0)
            .control(Control::InvalidatePage)
            .operand(0)
            .serialize()
            .last()
            .into(),
        "cpuid" => nothing().then("cpuid"),
        "rdtsc" => copy(R::Eax)
            .system(TSC_LOW)
            .check(Check::TimeStamp)
            .then("rdtsc"),
        "rdmsr" => nothing()
            .a(R::Ecx)
            .check(Check::Ring0)
            .control(Control::SelectMsr)
            .then("rdmsr"),
        "wrmsr" => nothing()
            .a(R::Ecx)
            .check(Check::Ring0)
            .control(Control::SelectMsr)
            .then("wrmsr"),
        "sysenter" => copy(R::Esp)
            .system(SYSENTER_ESP)
            .check(Check::SysenterSet)
            .control(Control::SysenterStack)
            .then("sysenter"),
        "sysexit" => copy(R::Esp)
            .b(R::Ecx)
            .check(Check::SysexitAllowed)
            .control(Control::SysexitStack)
            .then("sysexit"),
        "lgdt" | "lidt" => nothing()
            .check(Check::Ring0)
            .then(format!("load_{}", &name[1..4])),
        "sgdt" | "sidt" => {
            let s = if name == "sgdt" {
                numbers::GDTR
            } else {
                numbers::IDTR
            };
            copy(R::T0)
                .system((numbers::BASE + s) as u64)
                .then(format!("store_{}", &name[1..4]))
        }
        "sldt" | "str" => {
            let s = if name == "sldt" {
                numbers::LDTR
            } else {
                numbers::TR
            };
            let base = step(ExecuteOp::PassB)
                .system(selector(s))
                .unless(StaticCondition::RealSegments, "undefined")
                .last();
            if memory {
                base.width(Word).memory(MemoryOp::Store).operand(0).into()
            } else {
                base.width(Full).to(R::Rm).into()
            }
        }
        "lldt" | "ltr" => {
            let form = if memory { "memory" } else { "register" };
            nothing()
                .check(Check::Ring0)
                .unless(StaticCondition::RealSegments, "undefined")
                .then(format!("{name}_{form}"))
        }
        _ => return Option::None,
    })
}

impl Step {
    /// Pops operand a.
    fn pop_a(self) -> Self {
        self.memory(MemoryOp::Load).stack(AddressMode::Pop).a_load()
    }
}

/// MUL, IMUL, DIV and IDIV of the accumulator.
fn wide(name: &str, operand: Operand, register_form: bool) -> Option<Row> {
    let (op, flags) = match name {
        "mul" => (ExecuteOp::Mul, true),
        "imul" => (ExecuteOp::Imul, true),
        "div" => (ExecuteOp::Div, false),
        _ => (ExecuteOp::Idiv, false),
    };
    let width = width_of(operand);
    let mut base = step(op).width(width).a(R::Eax).to(R::Eax).c_edx();
    base.word.write_flags = flags;
    Some(with_source(base, operand, register_form)?.then(format!("high_half_{}", suffix(width))))
}

fn mov(opcode: &Opcode, reg: u8, register_form: bool) -> Option<Row> {
    use Operand::*;
    let [to, from, _] = opcode.operands;
    let width = width_of(to);
    Some(match (to, from) {
        (Ob | Ov, _) => step(ExecuteOp::PassB)
            .b(R::Eax)
            .width(width)
            .memory(MemoryOp::Store)
            .address(AddressMode::Direct, SegmentSelect::Data)
            .last()
            .into(),
        (_, Ob | Ov) => copy(R::Eax)
            .b_load()
            .width(width)
            .memory(MemoryOp::Load)
            .address(AddressMode::Direct, SegmentSelect::Data)
            .last()
            .into(),
        (_, Sw) if reg < 6 => {
            let base = step(ExecuteOp::PassB).system(selector(0)).from_reg().last();
            if register_form {
                base.width(Full).to(R::Rm).into()
            } else {
                base.width(Word).memory(MemoryOp::Store).operand(0).into()
            }
        }
        (Sw, _) if reg < 6 && reg != numbers::CS => {
            let base = step(ExecuteOp::ZeroExtendWord).to(R::T0);
            with_source(base, from, register_form)?
                .access_width(Word)
                .then(segments::routine(reg))
        }
        (Rd, Cd) if matches!(reg, 0 | 2 | 3 | 4) => copy(R::Rm)
            .system(CR0)
            .from_reg()
            .check(Check::Ring0)
            .last()
            .into(),
        (Cd, Rd) if matches!(reg, 0 | 2 | 3 | 4) => {
            let check = match reg {
                0 => Check::ControlRegister0,
                4 => Check::ControlRegister4,
                _ => Check::Ring0,
            };
            let base = step(ExecuteOp::PassB).b(R::Rm).check(check);
            base.control_of(Control::WriteSystem, CR0)
                .from_reg()
                .serialize()
                .last()
                .into()
        }
        (Rd, Dd) => copy(R::Rm)
            .system(DR0)
            .from_reg()
            .check(Check::DebugRegister)
            .last()
            .into(),
        (Dd, Rd) => step(ExecuteOp::PassB)
            .b(R::Rm)
            .check(Check::DebugRegister)
            .control_of(Control::WriteSystem, DR0)
            .from_reg()
            .serialize()
            .last()
            .into(),
        (Sw | Cd | Dd, _) | (_, Sw | Cd | Dd) => return Option::None,
        _ if is_modrm_memory(to, register_form) => with_source(step(ExecuteOp::PassB), from, true)?
            .width(width)
            .memory(MemoryOp::Store)
            .operand(0)
            .last()
            .into(),
        _ => with_source(copy(register_of(to)?).width(width), from, register_form)?
            .last()
            .into(),
    })
}

fn transfer(opcode: &Opcode, register_form: bool) -> Option<Row> {
    use Operand::*;
    let call = opcode.mnemonic == "call";
    let next_eip = || {
        step(ExecuteOp::PassB)
            .b_from(BSource::NextEip)
            .width(Full)
            .push()
    };
    let far = if call { "far_call" } else { "far_jump" };
    Some(match opcode.operands[0] {
        Jb | Jz if call => next_eip().control(Control::JumpRelative).last().into(),
        Jb | Jz => nothing().control(Control::JumpRelative).last().into(),
        Ap => copy(R::T2)
            .b_from(BSource::SecondImmediate)
            .then(format!("{far}_immediate")),
        Mp => copy(R::T1)
            .b_load()
            .access_width(Full)
            .memory(MemoryOp::Load)
            .operand(0)
            .then(format!("{far}_memory")),
        Ev if register_form && call => next_eip().a(R::Rm).control(Control::Jump).last().into(),
        Ev if register_form => nothing()
            .width(Full)
            .a(R::Rm)
            .control(Control::Jump)
            .last()
            .into(),
        Ev if call => copy(R::T0)
            .b_load()
            .access_width(Full)
            .memory(MemoryOp::Load)
            .operand(0)
            .then("call_through_memory"),
        Ev => nothing()
            .width(Full)
            .a_load()
            .memory(MemoryOp::Load)
            .operand(0)
            .control(Control::Jump)
            .last()
            .into(),
        _ => return Option::None,
    })
}
