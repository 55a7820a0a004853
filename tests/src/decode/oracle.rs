//! What iced-x86 makes of the bytes that the decoder was given.
use super::model::{Answer, EIP, Field, Question, field};
use hdl::bundles::Predecoded;
use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register,
};
use spec::opcodes::{self, Kind, Map, Opcode, Operand};

/// The rows of the opcode ROM: whether there is such an instruction, and whether LOCK may stand before it.
pub struct Rows {
    rows: Vec<(bool, bool)>,
    fields: Fields,
}

/// Where the fields of `Predecoded` are.
struct Fields {
    eip: Field,
    next_eip: Field,
    length: Field,
    opcode: Field,
    modrm: Field,
    sib: Field,
    displacement: Field,
    immediate: Field,
    second_immediate: Field,
    operand16: Field,
    address16: Field,
    segment_override: Field,
    segment: Field,
    repeat: Field,
    repeat_not_equal: Field,
    lock: Field,
    fetch_fault: Field,
    too_long: Field,
}

macro_rules! only {
    ($name:ident) => {
        field(Predecoded {
            $name: true,
            ..Predecoded::default()
        })
    };
    ($name:ident, $bits:expr) => {
        field(Predecoded {
            $name: (u64::MAX >> (64 - $bits)).into(),
            ..Predecoded::default()
        })
    };
}

impl Rows {
    /// Reads the ROM.
    #[expect(clippy::new_without_default, reason = "it is not cheap")]
    pub fn new() -> Rows {
        let (_, decode) = hdl::decode::rows::rows(&hdl::microcode::image());
        Rows {
            rows: decode.iter().map(|row| (row.built, row.lockable)).collect(),
            fields: Fields {
                eip: only!(eip, 32),
                next_eip: only!(next_eip, 32),
                length: only!(length, 4),
                opcode: only!(opcode, 8),
                modrm: only!(modrm, 8),
                sib: only!(sib, 8),
                displacement: only!(displacement, 32),
                immediate: only!(immediate, 32),
                second_immediate: only!(second_immediate, 16),
                operand16: only!(operand16),
                address16: only!(address16),
                segment_override: only!(segment_override),
                segment: only!(segment, 3),
                repeat: only!(repeat),
                repeat_not_equal: only!(repeat_not_equal),
                lock: only!(lock),
                fetch_fault: only!(fetch_fault),
                too_long: only!(too_long),
            },
        }
    }
}

/// Sets of instructions that the core's opcode map has.
const FEATURES: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL8086_ONLY,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL286_ONLY,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::CMOV,
    CpuidFeature::CPUID,
    CpuidFeature::CX8,
    CpuidFeature::FPU,
    CpuidFeature::MSR,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::RDPMC,
    CpuidFeature::SEP,
    CpuidFeature::SMM,
    CpuidFeature::TSC,
];

const OPTIONS: u32 = DecoderOptions::FORCE_RESERVED_NOP
    | DecoderOptions::NO_PAUSE
    | DecoderOptions::NO_WBNOINVD
    | DecoderOptions::NO_MPFX_0FBC
    | DecoderOptions::NO_MPFX_0FBD;
const LONGEST: usize = 15;

/// Prefixes as they add up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Prefixes {
    count: usize,
    operand: bool,
    address: bool,
    segment: Option<u8>,
    /// F2h or F3h.
    repeat: Option<u8>,
    lock: bool,
}

fn prefixes(bytes: &[u8]) -> Prefixes {
    let mut found = Prefixes::default();
    for byte in bytes {
        match byte {
            0x66 => found.operand = true,
            0x67 => found.address = true,
            0x26 | 0x2E | 0x36 | 0x3E => found.segment = Some(byte >> 3 & 3),
            0x64 | 0x65 => found.segment = Some(byte & 7),
            0xF0 => found.lock = true,
            0xF2 | 0xF3 => found.repeat = Some(*byte),
            _ => break,
        }
        found.count += 1;
    }
    found
}

impl Prefixes {
    /// Each once. iced-x86 has a limit of 15 bytes, too; without repetition it reaches the end of most instructions.
    fn shortest(self) -> Vec<u8> {
        const SEGMENTS: [u8; 6] = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65];
        let segment = self.segment.map(|number| SEGMENTS[usize::from(number)]);
        let of = |is: bool, byte| is.then_some(byte);
        [
            of(self.operand, 0x66),
            of(self.address, 0x67),
            segment,
            self.repeat,
            of(self.lock, 0xF0),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Compares an answer with iced-x86; tells whether there is such an instruction.
///
/// # Errors
/// The differences, each in a line.
pub fn differences(question: &Question, answer: &Answer, rows: &Rows) -> Result<bool, Vec<String>> {
    let fields = &rows.fields;
    let get = |field| answer.field(field);
    let flag = |field| answer.field(field) != 0;
    let prefixes = prefixes(&question.bytes);
    let available = usize::from(question.available);
    let is_valid = |row: (bool, bool)| {
        let register_form = get(fields.modrm) >> 6 == 3;
        row.0 && !(flag(fields.lock) && (!row.1 || register_form))
    };

    let mut bytes = prefixes.shortest();
    let shorter = prefixes.count - bytes.len();
    bytes.extend(&question.bytes[prefixes.count..]);
    let mut decoder = Decoder::with_ip(
        question.bits(),
        &bytes,
        (EIP as usize + shorter) as u64,
        OPTIONS,
    );
    let instruction = decoder.decode();
    let features = instruction.cpuid_features().iter();
    let is_ours = features
        .into_iter()
        .all(|feature| FEATURES.contains(feature))
        && !is_prefetch(&instruction);
    // What is no instruction to us has no length.
    let invalid = instruction.is_invalid() || !is_ours;
    let length = instruction.len() + shorter;

    let mut found = Vec::new();
    if !answer.found {
        return Err(vec!["nothing was found".to_string()]);
    }
    if prefixes.count >= LONGEST && available >= LONGEST {
        if !flag(fields.too_long) {
            found.push("15 prefixes are not too long".to_string());
        }
        return verdict(found, false);
    }
    if flag(fields.fetch_fault) {
        // Nothing behind the bytes that are there may decide; what is no instruction may be longer than it seems.
        let is_cut = available < length.min(LONGEST);
        if !invalid && !is_cut {
            found.push(format!("{available} bytes are not enough for {length}"));
        }
        return verdict(found, false);
    }
    if !invalid && length > available && available < LONGEST {
        found.push(format!("{length} bytes were found in {available}"));
        return verdict(found, false);
    }
    if flag(fields.too_long) {
        if !invalid && length <= LONGEST {
            found.push(format!("{length} bytes are too long"));
        }
        return verdict(found, false);
    }
    if !invalid && length > LONGEST {
        found.push(format!("{length} bytes are not too long"));
        return verdict(found, false);
    }
    let row = rows.rows[usize::from(answer.row_index)];
    if invalid {
        // Every coprocessor instruction raises #NM or #UD, whether a coprocessor would know it or not.
        let is_coprocessor = matches!(question.bytes[prefixes.count], 0xD8..=0xDF);
        if is_valid(row) && !is_coprocessor {
            found.push(format!("is an instruction, row {:03X}", answer.row_index));
        }
        return verdict(found, false);
    }

    let mut same = |what: &str, model: u32, iced: u32| {
        if model != iced {
            found.push(format!("{what}: {model:X}, iced-x86 has {iced:X}"));
        }
    };
    same("length", get(fields.length), length as u32);
    same("eip", get(fields.eip), EIP);
    same("next eip", get(fields.next_eip), EIP + length as u32);
    same("lock", get(fields.lock), prefixes.lock.into());
    same(
        "repeat",
        get(fields.repeat),
        prefixes.repeat.is_some().into(),
    );
    if prefixes.repeat.is_some() {
        let not_equal = prefixes.repeat == Some(0xF2);
        same("repne", get(fields.repeat_not_equal), not_equal.into());
    }
    same(
        "override",
        get(fields.segment_override),
        prefixes.segment.is_some().into(),
    );
    if let Some(segment) = prefixes.segment {
        same("segment", get(fields.segment), segment.into());
    }
    let operand16 = prefixes.operand == question.code32;
    let address16 = prefixes.address == question.code32;
    same("operand size 16", get(fields.operand16), operand16.into());
    same("address size 16", get(fields.address16), address16.into());

    // The map's row and the row of the ROM that the decoder names.
    let two_byte = question.bytes[prefixes.count] == 0x0F;
    let map = if two_byte { Map::TwoByte } else { Map::OneByte };
    let opcode = question.bytes[prefixes.count + usize::from(two_byte)];
    same("opcode", get(fields.opcode), opcode.into());
    let modrm = get(fields.modrm) as u8;
    let register_form = modrm >= 0xC0;
    let Some(opcode) = opcodes::lookup(map, opcode, modrm >> 3 & 7, register_form) else {
        found.push("is not in the opcode map".to_string());
        return verdict(found, false);
    };
    let raises_ud = matches!(
        instruction.mnemonic(),
        Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2
    );
    if opcode.kind == Kind::Coprocessor {
        return verdict(found, true);
    }
    let built = hdl::decode::is_built(opcode);
    if !raises_ud && is_valid(row) != built {
        let is = if built {
            "is no instruction"
        } else {
            "is an instruction"
        };
        found.push(format!("{is}, row {:03X}", answer.row_index));
    }
    let context = Context {
        answer,
        fields,
        opcode,
        instruction: &instruction,
        operand16,
        address16,
    };
    for (number, operand) in (0..).zip(opcode.operands) {
        if operand != Operand::None
            && let Err(difference) = context.compare(number, operand)
        {
            found.push(format!("operand {number} ({operand:?}): {difference}"));
        }
    }
    verdict(found, true)
}

/// 0F 0D is a hint to later processors, and undefined to ours.
fn is_prefetch(instruction: &Instruction) -> bool {
    use Code::{Reservednop_rm16_r16_0F0D, Reservednop_rm32_r32_0F0D};
    matches!(
        instruction.code(),
        Reservednop_rm16_r16_0F0D | Reservednop_rm32_r32_0F0D
    )
}

fn verdict(differences: Vec<String>, is_instruction: bool) -> Result<bool, Vec<String>> {
    if differences.is_empty() {
        Ok(is_instruction)
    } else {
        Err(differences)
    }
}

struct Context<'a> {
    answer: &'a Answer,
    fields: &'a Fields,
    opcode: &'a Opcode,
    instruction: &'a Instruction,
    operand16: bool,
    address16: bool,
}

impl Context<'_> {
    fn get(&self, field: Field) -> u32 {
        self.answer.field(field)
    }

    fn compare(&self, number: u32, operand: Operand) -> Result<(), String> {
        use Operand::*;
        let modrm = self.get(self.fields.modrm);
        let (mode, reg, rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        let size = if self.operand16 { 2 } else { 4 };
        let mask = if self.operand16 { 0xFFFF } else { u32::MAX };
        let immediate = self.get(self.fields.immediate);
        match operand {
            None => Ok(()),
            Rd => self.register(number, rm, 4),
            Eb | Ev | Ew | M | Ma | Mp | Mq if mode != 3 => self.memory(number),
            Eb => self.register(number, rm, 1),
            // Of a word in a register, iced-x86 tells the operand size.
            Ew => self.register(number, rm, 0),
            Ev => self.register(number, rm, size),
            M | Ma | Mp | Mq => Err("is a register".to_string()),
            Gb => self.register(number, reg, 1),
            Gv => self.register(number, reg, size),
            Gw => self.register(number, reg, 0),
            OpcodeRegisterByte => self.register(number, self.get(self.fields.opcode) & 7, 1),
            OpcodeRegisterFull => self.register(number, self.get(self.fields.opcode) & 7, size),
            Al => self.is(number, Register::AL),
            Cl => self.is(number, Register::CL),
            Ax if self.operand16 => self.is(number, Register::AX),
            Ax => self.is(number, Register::EAX),
            Dx => self.is(number, Register::DX),
            Es => self.is(number, Register::ES),
            Cs => self.is(number, Register::CS),
            Ss => self.is(number, Register::SS),
            Ds => self.is(number, Register::DS),
            Fs => self.is(number, Register::FS),
            Gs => self.is(number, Register::GS),
            Sw => self.register(number, reg, 0),
            Cd | Dd => self.register(number, reg, 0),
            One => equal(1, self.immediate(number)? as u32),
            Ib if number != 0 && self.opcode.operands[0] == Iw => {
                let second = self.get(self.fields.second_immediate);
                equal(second, self.instruction.immediate8_2nd().into())
            }
            Ib | Iw => equal(immediate, self.immediate(number)? as u32),
            Iz | SignedIb => equal(immediate & mask, self.immediate(number)? as u32 & mask),
            Jb | Jz => {
                let target = self.get(self.fields.next_eip).wrapping_add(immediate) & mask;
                equal(target, self.instruction.near_branch32() & mask)
            }
            Ap => {
                let offset = match self.instruction.op_kind(number) {
                    OpKind::FarBranch16 => self.instruction.far_branch16().into(),
                    OpKind::FarBranch32 => self.instruction.far_branch32(),
                    other => return Err(format!("iced-x86 has {other:?}")),
                };
                let selector = self.instruction.far_branch_selector();
                equal(immediate, offset)?;
                equal(self.get(self.fields.second_immediate), selector.into())
            }
            Ob | Ov => {
                self.is_kind(number, &[OpKind::Memory])?;
                equal(0, self.instruction.memory_base() as u32)?;
                equal(immediate, self.instruction.memory_displacement32())?;
                self.segment(false)
            }
            Xb | Xv => {
                let kinds = [OpKind::MemorySegSI, OpKind::MemorySegESI];
                self.is_kind(number, &kinds[usize::from(!self.address16)..][..1])?;
                self.segment(false)
            }
            Yb | Yv => {
                let kinds = [OpKind::MemoryESDI, OpKind::MemoryESEDI];
                self.is_kind(number, &kinds[usize::from(!self.address16)..][..1])
            }
        }
    }

    fn is_kind(&self, number: u32, kinds: &[OpKind]) -> Result<(), String> {
        match self.instruction.try_op_kind(number) {
            Ok(kind) if kinds.contains(&kind) => Ok(()),
            Ok(kind) => Err(format!("iced-x86 has {kind:?}")),
            Err(_) => Err("iced-x86 has none".to_string()),
        }
    }

    fn is(&self, number: u32, register: Register) -> Result<(), String> {
        self.is_kind(number, &[OpKind::Register])?;
        equal(register as u32, self.instruction.op_register(number) as u32)
    }

    /// `bytes` is the width, 0 for one that need not be the operand's.
    fn register(&self, number: u32, register: u32, bytes: usize) -> Result<(), String> {
        self.is_kind(number, &[OpKind::Register])?;
        let iced = self.instruction.op_register(number);
        // AH, CH, DH and BH are 4 to 7.
        equal(register, iced.number() as u32)?;
        if bytes != 0 {
            equal(bytes as u32, iced.size() as u32)?;
        }
        Ok(())
    }

    fn immediate(&self, number: u32) -> Result<u64, String> {
        let immediate = self.instruction.try_immediate(number);
        immediate.map_err(|_| "iced-x86 has no immediate".to_string())
    }

    /// Segment of a memory operand; that of the stack if it is based on SP or BP.
    fn segment(&self, stack: bool) -> Result<(), String> {
        let default = if stack { 2 } else { 3 };
        let segment = match self.get(self.fields.segment_override) {
            0 => default,
            _ => self.get(self.fields.segment),
        };
        equal(segment, self.instruction.memory_segment().number() as u32)
    }

    fn memory(&self, number: u32) -> Result<(), String> {
        self.is_kind(number, &[OpKind::Memory])?;
        let modrm = self.get(self.fields.modrm);
        let (mode, rm) = (modrm >> 6, modrm & 7);
        let sib = self.get(self.fields.sib);
        let displacement = self.get(self.fields.displacement);
        const SIXTEEN: [(Option<u32>, Option<u32>); 8] = [
            (Some(3), Some(6)),
            (Some(3), Some(7)),
            (Some(5), Some(6)),
            (Some(5), Some(7)),
            (Some(6), Option::None),
            (Some(7), Option::None),
            (Some(5), Option::None),
            (Some(3), Option::None),
        ];
        let (mut base, mut index, mut scale) = if self.address16 {
            let (base, index) = SIXTEEN[rm as usize];
            (base, index, 1)
        } else if rm == 4 {
            (Some(sib & 7), Some(sib >> 3 & 7), 1 << (sib >> 6))
        } else {
            (Some(rm), Option::None, 1)
        };
        let no_base = if self.address16 {
            rm == 6
        } else {
            base == Some(5)
        };
        if mode == 0 && no_base {
            base = Option::None;
        }
        if !self.address16 && index == Some(4) {
            (index, scale) = (Option::None, 1);
        }
        let number_of =
            |register: Register| (register != Register::None).then(|| register.number() as u32);
        let iced = self.instruction;
        let wanted = (
            number_of(iced.memory_base()),
            number_of(iced.memory_index()),
        );
        // SIB without an index has a scale that means nothing.
        let iced_scale = wanted.1.map_or(1, |_| iced.memory_index_scale());
        if (base, index, scale) != (wanted.0, wanted.1, iced_scale) {
            return Err(format!(
                "base {base:?}, index {index:?}, scale {scale}; iced-x86 has {wanted:?}, {iced_scale}"
            ));
        }
        let mask = if self.address16 { 0xFFFF } else { u32::MAX };
        equal(displacement & mask, iced.memory_displacement32() & mask)?;
        self.segment(matches!(base, Some(4 | 5)))
    }
}

fn equal(model: u32, iced: u32) -> Result<(), String> {
    if model == iced {
        Ok(())
    } else {
        Err(format!("{model:X}, iced-x86 has {iced:X}"))
    }
}
