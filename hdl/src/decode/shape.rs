//! What an opcode's length depends on, and which row it takes.
use crate::prelude::*;
use spec::opcodes::{self, Immediate, Map};

/// Facts of an opcode byte that the length decoder needs at once.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct Shape {
    pub has_modrm: Bit,
    pub immediate: ImmediateKind,
    /// F6/F7: only members 0 and 1 have their immediate.
    pub immediate_of_test: Bit,
    /// Rows of group members lie at 512 + group * 8 + ModRM.reg.
    pub grouped: Bit,
    pub group: Bits<5>,
    pub prefix: Bit,
    /// ModRM.mod is taken as 3 (MOV of control and debug registers).
    pub ignores_mode: Bit,
    /// A near branch.
    pub branch: Bit,
    /// One with a relative target.
    pub relative: Bit,
    /// JMP and CALL with such a target.
    pub always_taken: Bit,
    /// FF: members 2 and 4 are near branches.
    pub branches_near: Bit,
}

/// The immediate bytes that follow.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum ImmediateKind {
    None,
    /// Zero-extended.
    Byte,
    /// Sign-extended.
    SignedByte,
    Word,
    /// 16 or 32 bits by operand size.
    Operand,
    /// Word, then byte (ENTER).
    WordByte,
    /// 16 or 32 bits by operand size, then a selector.
    FarPointer,
    /// 16 or 32 bits by address size.
    Offset,
}

/// Moves of segment, control and debug registers: not every register exists, and they differ in what is checked.
const BY_REGISTER: [(Map, u8); 6] = [
    (Map::OneByte, 0x8C),
    (Map::OneByte, 0x8E),
    (Map::TwoByte, 0x20),
    (Map::TwoByte, 0x21),
    (Map::TwoByte, 0x22),
    (Map::TwoByte, 0x23),
];

/// Opcode bytes with one row per ModRM.reg, in the order of their group numbers.
pub fn groups() -> Vec<(Map, u8)> {
    let mut found = Vec::new();
    for map in [Map::OneByte, Map::TwoByte] {
        for byte in 0..=255 {
            if opcodes::is_group(map, byte) || BY_REGISTER.contains(&(map, byte)) {
                found.push((map, byte));
            }
        }
    }
    assert!(found.len() <= 32);
    found
}

/// The shapes of one map by opcode byte.
pub fn shapes(map: Map) -> Vec<Shape> {
    let groups = groups();
    (0..=255u8).map(|byte| shape(map, byte, &groups)).collect()
}

fn shape(map: Map, byte: u8, groups: &[(Map, u8)]) -> Shape {
    let group = groups.iter().position(|g| *g == (map, byte));
    let test = map == Map::OneByte && matches!(byte, 0xF6 | 0xF7);
    let row = opcodes::lookup(map, byte, 0, true).or_else(|| opcodes::lookup(map, byte, 0, false));
    let signed = row.is_some_and(|row| {
        row.operands
            .iter()
            .any(|o| matches!(o, opcodes::Operand::SignedIb | opcodes::Operand::Jb))
    });
    // Members of a group agree, those of F6/F7 aside.
    let immediate = (0..8)
        .map(|reg| opcodes::immediate(map, byte, reg))
        .find(|immediate| *immediate != Immediate::None);
    let immediate = match immediate.unwrap_or(Immediate::None) {
        Immediate::None => ImmediateKind::None,
        Immediate::Byte if signed => ImmediateKind::SignedByte,
        Immediate::Byte => ImmediateKind::Byte,
        Immediate::Word => ImmediateKind::Word,
        Immediate::Operand => ImmediateKind::Operand,
        Immediate::WordByte => ImmediateKind::WordByte,
        Immediate::FarPointer => ImmediateKind::FarPointer,
        Immediate::MemoryOffset => ImmediateKind::Offset,
    };
    let relative = row.is_some_and(|row| {
        row.operands
            .iter()
            .any(|o| matches!(o, opcodes::Operand::Jb | opcodes::Operand::Jz))
    });
    Shape {
        has_modrm: opcodes::has_modrm(map, byte),
        immediate,
        immediate_of_test: test,
        grouped: group.is_some(),
        group: (group.unwrap_or(0) as u64).into(),
        ignores_mode: row.is_some_and(|row| row.ignores_mod()),
        branch: relative || row.is_some_and(|row| row.mnemonic == "ret"),
        relative,
        always_taken: relative && row.is_some_and(|row| matches!(row.mnemonic, "jmp" | "call")),
        branches_near: (map, byte) == (Map::OneByte, 0xFF),
        prefix: row.is_some_and(|row| row.kind == opcodes::Kind::Prefix),
    }
}
