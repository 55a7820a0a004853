//! The opcode map against iced-x86, an independent decoder: all opcodes, all ModRM, all sizes.

use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction, Mnemonic,
    OpCodeOperandKind, OpCodeTableKind, OpKind,
};
use spec::opcodes::{self, Form, Kind, Map, Opcode, Operand};
use std::collections::HashSet;

/// One encoding to be decoded by both.
struct Encoding {
    map: Map,
    byte: u8,
    modrm: u8,
    sib: u8,
    operand_size_32: bool,
    address_size_32: bool,
}

impl Encoding {
    fn all() -> impl Iterator<Item = Encoding> {
        [Map::OneByte, Map::TwoByte].into_iter().flat_map(|map| {
            (0..=255).flat_map(move |byte| {
                (0..=255).flat_map(move |modrm| {
                    (0..8).map(move |sizes| Encoding {
                        map,
                        byte,
                        modrm,
                        // Base EBP is the one that brings a displacement of its own.
                        sib: if sizes & 4 == 0 { 0x21 } else { 0x25 },
                        operand_size_32: sizes & 1 == 0,
                        address_size_32: sizes & 2 == 0,
                    })
                })
            })
        })
    }

    fn row(&self) -> Option<&'static Opcode> {
        opcodes::lookup(self.map, self.byte, self.reg(), self.modrm >= 0xC0)
    }

    fn reg(&self) -> u8 {
        self.modrm >> 3 & 7
    }

    /// The prefixes that select the sizes in a 32-bit code segment, opcode, ModRM and SIB; zeros follow.
    fn bytes(&self) -> [u8; 16] {
        let mut start = Vec::new();
        if !self.operand_size_32 {
            start.push(0x66);
        }
        if !self.address_size_32 {
            start.push(0x67);
        }
        if self.map == Map::TwoByte {
            start.push(0x0F);
        }
        start.extend([self.byte, self.modrm, self.sib]);
        let mut bytes = [0; 16];
        bytes[..start.len()].copy_from_slice(&start);
        bytes
    }

    fn decode(&self) -> Instruction {
        let options = DecoderOptions::FORCE_RESERVED_NOP;
        Decoder::new(32, &self.bytes(), options).decode()
    }

    /// The length that the table's facts give.
    fn length(&self, row: &Opcode) -> usize {
        let prefixes = usize::from(!self.operand_size_32) + usize::from(!self.address_size_32);
        let opcode = if self.map == Map::TwoByte { 2 } else { 1 };
        let modrm = match opcodes::has_modrm(self.map, self.byte) {
            true if row.ignores_mod() => 1,
            true => self.modrm_sib_displacement(),
            false => 0,
        };
        let immediate = opcodes::immediate(self.map, self.byte, self.reg());
        prefixes + opcode + modrm + immediate.bytes(self.operand_size_32, self.address_size_32)
    }

    fn modrm_sib_displacement(&self) -> usize {
        let (mode, rm) = (self.modrm >> 6, self.modrm & 7);
        let has_sib = self.address_size_32 && mode != 3 && rm == 4;
        let base = if has_sib { self.sib & 7 } else { rm };
        let displacement = match (mode, self.address_size_32) {
            (0, true) if base == 5 => 4,
            (0, false) if rm == 6 => 2,
            (1, _) => 1,
            (2, true) => 4,
            (2, false) => 2,
            _ => 0,
        };
        1 + usize::from(has_sib) + displacement
    }

    fn describe(&self) -> String {
        format!("{:?} {:02X?} /{}", self.map, &self.bytes()[..6], self.reg())
    }
}

/// Opcodes that later sets have given a meaning, so that iced-x86 may accept what we do not.
fn is_of_a_later_set(encoding: &Encoding) -> bool {
    let register = encoding.modrm >= 0xC0;
    match (encoding.map, encoding.byte, encoding.reg()) {
        // EVEX, VEX, XOP
        (Map::OneByte, 0x62 | 0xC4 | 0xC5, _) => register,
        (Map::OneByte, 0x8F, _) => encoding.modrm & 0x1F >= 8,
        // TSX
        (Map::OneByte, 0xC6 | 0xC7, 7) => encoding.modrm == 0xF8,
        // JMPE of IA-64
        (Map::TwoByte, 0x00, 6) | (Map::TwoByte, 0xB8, _) => true,
        // VMX, SMX, MONITOR, SWAPGS, and shadow stacks
        (Map::TwoByte, 0x01, 0..=3 | 5 | 7) => register || encoding.reg() == 5,
        // SYSCALL, SYSRET, WBNOINVD's neighbours, PREFETCHW, FEMMS, 3DNow!
        (Map::TwoByte, 0x04 | 0x05 | 0x07 | 0x0A | 0x0C..=0x0F, _) => true,
        // SSE, GETSEC, the three-byte maps
        (Map::TwoByte, 0x10..=0x17 | 0x24..=0x2F | 0x36..=0x3F, _) => true,
        // MMX, SSE, VMX
        (Map::TwoByte, 0x50..=0x7F | 0xC2..=0xC6 | 0xD0..=0xFE, _) => true,
        // PadLock; FXSAVE, fences
        (Map::TwoByte, 0xA6 | 0xA7 | 0xAE, _) => true,
        // XSAVES, VMPTRLD, RDRAND
        (Map::TwoByte, 0xC7, 3..=7) => true,
        _ => false,
    }
}

/// The table's name of what iced-x86 decoded: iced has a name for each operand size.
fn name_of(instruction: &Instruction) -> String {
    let name = match instruction.mnemonic() {
        Mnemonic::Cwde => "cbw",
        Mnemonic::Cdq => "cwd",
        Mnemonic::Pushad => "pusha",
        Mnemonic::Popad => "popa",
        Mnemonic::Pushfd => "pushf",
        Mnemonic::Popfd => "popf",
        Mnemonic::Iretd => "iret",
        Mnemonic::Jecxz => "jcxz",
        Mnemonic::Xlatb => "xlat",
        Mnemonic::Reservednop => "nop",
        mnemonic => {
            let name = format!("{mnemonic:?}").to_lowercase();
            let family = ["movs", "cmps", "stos", "lods", "scas", "ins", "outs"];
            return match family.iter().find(|start| {
                name.strip_prefix(**start)
                    .is_some_and(|width| ["b", "w", "d"].contains(&width))
            }) {
                Some(family) => family.to_string(),
                None => name,
            };
        }
    };
    name.to_string()
}

#[test]
fn every_row_disassembles_to_its_own_mnemonic_and_length() {
    for encoding in Encoding::all() {
        let Some(row) = encoding.row() else { continue };
        let instruction = encoding.decode();
        match row.kind {
            Kind::Instruction => {
                assert_eq!(
                    name_of(&instruction),
                    row.mnemonic,
                    "{}",
                    encoding.describe()
                );
                assert_eq!(
                    instruction.len(),
                    encoding.length(row),
                    "{}",
                    encoding.describe()
                );
            }
            Kind::Coprocessor if !instruction.is_invalid() => {
                assert!(
                    name_of(&instruction).starts_with('f'),
                    "{}",
                    encoding.describe()
                );
                assert_eq!(
                    instruction.len(),
                    encoding.length(row),
                    "{}",
                    encoding.describe()
                );
            }
            Kind::Coprocessor | Kind::Prefix | Kind::Escape => {}
            Kind::Undefined => panic!("look-up gave an undefined row: {}", encoding.describe()),
        }
    }
}

#[test]
fn what_has_no_row_is_invalid_unless_a_later_set_defines_it() {
    for encoding in Encoding::all().filter(|encoding| encoding.row().is_none()) {
        let instruction = encoding.decode();
        assert!(
            instruction.is_invalid() || is_of_a_later_set(&encoding),
            "{}: {instruction}",
            encoding.describe()
        );
    }
}

#[test]
fn prefixes_are_the_eleven_of_ia_32() {
    let prefixes: Vec<u8> = opcodes::all()
        .filter(|row| row.kind == Kind::Prefix)
        .map(|row| row.byte)
        .collect();
    let expected = [
        0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3,
    ];
    assert_eq!(prefixes, expected);
    for prefix in expected {
        // NOP behind a prefix is one instruction of two bytes, whatever it is called.
        assert_eq!(
            Decoder::new(32, &[prefix, 0x90], 0).decode().len(),
            2,
            "{prefix:02X}"
        );
    }
}

#[test]
fn lock_is_allowed_where_iced_allows_it() {
    for encoding in Encoding::all().filter(|encoding| encoding.modrm < 0xC0) {
        if let Some(row) = encoding.row().filter(|row| row.kind == Kind::Instruction) {
            let allowed = encoding.decode().op_code().can_use_lock_prefix();
            assert_eq!(allowed, row.lockable, "{}", encoding.describe());
        }
    }
}

/// Whether iced-x86's operand `number` is what the table says.
fn operand_agrees(operand: Operand, instruction: &Instruction, number: u32, wide: bool) -> bool {
    use OpCodeOperandKind as K;
    let kind = instruction.op_code().op_kind(number);
    let is_memory = instruction.op_kind(number) == OpKind::Memory;
    let memory_bytes = instruction.memory_size().size();
    let by_size = |word, double| if wide { double } else { word };
    match operand {
        Operand::None => kind == K::None,
        Operand::Eb => kind == K::r8_or_mem,
        Operand::Ev => kind == by_size(K::r16_or_mem, K::r32_or_mem),
        // A register source of 16 bits may be written as one of 32.
        Operand::Ew if is_memory => memory_bytes == 2,
        Operand::Ew => matches!(kind, K::r16_or_mem | K::r32_or_mem),
        Operand::Gb => kind == K::r8_reg,
        Operand::Gv => kind == by_size(K::r16_reg, K::r32_reg),
        // iced-x86 shows the ARPL of 32-bit operand size with 32-bit registers.
        Operand::Gw => matches!(kind, K::r16_reg | K::r32_reg),
        Operand::Ib => kind == K::imm8,
        Operand::Iw => kind == K::imm16,
        Operand::Iz => kind == by_size(K::imm16, K::imm32),
        Operand::SignedIb => kind == by_size(K::imm8sex16, K::imm8sex32),
        Operand::Jb => kind == by_size(K::br16_1, K::br32_1),
        Operand::Jz => kind == by_size(K::br16_2, K::br32_4),
        Operand::M => kind == K::mem,
        Operand::Ma => kind == K::mem && memory_bytes == by_size_bytes(wide) * 2,
        Operand::Mp => {
            matches!(kind, K::mem | K::mem_offs) && memory_bytes == by_size_bytes(wide) + 2
        }
        Operand::Mq => kind == K::mem && memory_bytes == 8,
        Operand::Ob => kind == K::mem_offs && memory_bytes == 1,
        Operand::Ov => kind == K::mem_offs && memory_bytes == by_size_bytes(wide),
        Operand::Xb => kind == K::seg_rSI && memory_bytes == 1,
        Operand::Xv => kind == K::seg_rSI && memory_bytes == by_size_bytes(wide),
        Operand::Yb => matches!(kind, K::es_rDI) && memory_bytes == 1,
        Operand::Yv => matches!(kind, K::es_rDI) && memory_bytes == by_size_bytes(wide),
        Operand::Sw => kind == K::seg_reg,
        Operand::Cd => kind == K::cr_reg,
        Operand::Dd => kind == K::dr_reg,
        Operand::Rd => kind == K::r32_reg || kind == K::r32_rm,
        Operand::OpcodeRegisterByte => kind == K::r8_opcode,
        Operand::OpcodeRegisterFull => kind == by_size(K::r16_opcode, K::r32_opcode),
        Operand::Ap => kind == by_size(K::farbr2_2, K::farbr4_2),
        Operand::Al => kind == K::al,
        Operand::Cl => kind == K::cl,
        Operand::Ax => kind == by_size(K::ax, K::eax),
        Operand::Dx => kind == K::dx,
        Operand::One => kind == K::imm8_const_1,
        Operand::Es => kind == K::es,
        Operand::Cs => kind == K::cs,
        Operand::Ss => kind == K::ss,
        Operand::Ds => kind == K::ds,
        Operand::Fs => kind == K::fs,
        Operand::Gs => kind == K::gs,
    }
}

fn by_size_bytes(wide: bool) -> usize {
    if wide { 4 } else { 2 }
}

#[test]
fn operands_are_of_the_kind_and_width_that_iced_gives() {
    for encoding in Encoding::all() {
        let Some(row) = encoding.row().filter(|row| row.kind == Kind::Instruction) else {
            continue;
        };
        let instruction = encoding.decode();
        // Hints take no operand of any meaning, and XLAT's is implied.
        if instruction.mnemonic() == Mnemonic::Reservednop || instruction.code() == Code::Xlat_m8 {
            continue;
        }
        for (number, operand) in (0..).zip(row.operands) {
            let wide = encoding.operand_size_32;
            let agrees = if number < instruction.op_count() {
                operand_agrees(operand, &instruction, number, wide)
            } else {
                operand == Operand::None
            };
            assert!(
                agrees,
                "operand {number} of {}: {operand:?}, iced has {:?} of {} bytes in {instruction}",
                encoding.describe(),
                instruction.op_code().try_op_kind(number),
                instruction.memory_size().size(),
            );
        }
    }
}

#[test]
fn every_row_is_reached() {
    let reached: HashSet<_> = Encoding::all()
        .filter_map(|encoding| encoding.row())
        .map(|row| {
            (
                row.map,
                row.byte,
                row.extension,
                row.form == Form::RegisterOnly,
            )
        })
        .collect();
    let rows = opcodes::all().filter(|row| row.kind != Kind::Undefined);
    assert_eq!(reached.len(), rows.count());
}

/// What iced-x86 counts to the sets of a Pentium II, x87, MMX, FXSAVE and system management mode aside.
const PENTIUM_II: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::CMOV,
    CpuidFeature::CPUID,
    CpuidFeature::CX8,
    CpuidFeature::MSR,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::RDPMC,
    CpuidFeature::SEP,
    CpuidFeature::TSC,
];

/// Counted there by iced-x86, but AMD's prefetches, which Intel's processors know as no-ops since those of 64 bits.
const LATER: &[Code] = &[
    Code::Reservednop_rm16_r16_0F0D,
    Code::Reservednop_rm32_r32_0F0D,
];

#[test]
fn every_instruction_of_a_pentium_ii_has_a_row() {
    let mut checked = 0;
    let mut missing = Vec::new();
    for code in Code::values() {
        let info = code.op_code();
        let features = code.cpuid_features();
        let of_the_processor = info.encoding() == EncodingKind::Legacy
            && (info.mode16() || info.mode32())
            && info.is_instruction()
            && !LATER.contains(&code)
            && features.iter().all(|feature| PENTIUM_II.contains(feature));
        if !of_the_processor {
            continue;
        }
        checked += 1;
        let map = match info.table() {
            OpCodeTableKind::Normal => Map::OneByte,
            OpCodeTableKind::T0F => Map::TwoByte,
            table => panic!("{code:?} is of the table {table:?}"),
        };
        let byte = info.op_code() as u8;
        let members = match info.is_group() {
            true => vec![info.group_index() as u8],
            false => (0..8).collect(),
        };
        let is_row = |row: &Opcode| matches!(row.kind, Kind::Instruction | Kind::Prefix);
        let found = members.iter().any(|reg| {
            [false, true]
                .iter()
                .any(|form| opcodes::lookup(map, byte, *reg, *form).is_some_and(is_row))
        });
        if !found {
            missing.push(format!("{code:?} {}", info.op_code_string()));
        }
    }
    assert!(checked > 600, "{checked}");
    assert!(missing.is_empty(), "{missing:#?}");
}
