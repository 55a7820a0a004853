//! The opcode map of the 8086..486 and of the integer set of Pentium and P6, as rows.
//!
//! Every byte of both maps has a row, so that a look-up is total: what is no instruction is a prefix, an
//! escape, or undefined. Instructions that the core does not build yet have their rows too.
//! MMX, SSE and later sets are undefined here, as on a processor without them.

mod listing;
mod one_byte;
mod two_byte;

pub use listing::{Line, State, listing};
pub use one_byte::ONE_BYTE;
pub use two_byte::TWO_BYTE;

/// Which of the two maps a byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Map {
    /// The first opcode byte.
    OneByte,
    /// The byte after 0Fh.
    TwoByte,
}

/// What a row's byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An instruction, built or not.
    Instruction,
    /// A prefix; the opcode follows.
    Prefix,
    /// 0Fh: the opcode is the next byte, of the map `TwoByte`.
    Escape,
    /// D8h..DFh: an instruction of the numeric coprocessor, with ModRM.
    Coprocessor,
    /// No instruction: raises #UD.
    Undefined,
}

/// Which forms of ModRM.rm a row covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Both, or there is no ModRM.
    Any,
    /// Only ModRM.mod below 3.
    MemoryOnly,
    /// Only ModRM.mod = 3.
    RegisterOnly,
}

/// Where an operand comes from and how wide it is.
///
/// The letters are those of the manual's opcode maps (SDM Vol. 2D, "Key to Abbreviations"): `b` is a
/// byte, `w` a word, `d` a doubleword, `v` a word or doubleword by operand size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    None,
    /// ModRM.rm, register or memory.
    Eb,
    Ev,
    Ew,
    /// ModRM.reg, general register.
    Gb,
    Gv,
    Gw,
    /// Immediate.
    Ib,
    Iw,
    /// Word or doubleword immediate, by operand size.
    Iz,
    /// Byte immediate, sign-extended to the operand size.
    SignedIb,
    /// Displacement relative to the next instruction; `Jz` by operand size.
    Jb,
    Jz,
    /// Memory of no size (LEA, INVLPG) or of six bytes (LGDT and the like).
    M,
    /// A pair of bounds, each of operand size (BOUND).
    Ma,
    /// A far pointer in memory, 16:16 or 16:32 by operand size.
    Mp,
    /// Eight bytes of memory.
    Mq,
    /// Memory at an offset in the instruction, as wide as the address size.
    Ob,
    Ov,
    /// DS:eSI, or the overriding segment.
    Xb,
    Xv,
    /// ES:eDI.
    Yb,
    Yv,
    /// ModRM.reg: segment, control or debug register.
    Sw,
    Cd,
    Dd,
    /// ModRM.rm as a 32-bit general register, whatever ModRM.mod says.
    Rd,
    /// General register in the low three bits of the opcode.
    OpcodeRegisterByte,
    OpcodeRegisterFull,
    /// A far pointer in the instruction, 16:16 or 16:32 by operand size.
    Ap,
    Al,
    Cl,
    /// AX or EAX, by operand size.
    Ax,
    Dx,
    /// The constant 1 of a shift.
    One,
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

impl Operand {
    /// Whether the operand is encoded in ModRM.
    pub const fn is_in_modrm(self) -> bool {
        use Operand::*;
        matches!(
            self,
            Eb | Ev | Ew | Gb | Gv | Gw | M | Ma | Mp | Mq | Sw | Cd | Dd | Rd
        )
    }
}

/// What follows ModRM, SIB and displacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Immediate {
    None,
    Byte,
    Word,
    /// Word or doubleword, by operand size.
    Operand,
    /// A word, then a byte (ENTER).
    WordByte,
    /// Offset of operand size, then a selector.
    FarPointer,
    /// Word or doubleword, by address size.
    MemoryOffset,
}

impl Immediate {
    /// Length in bytes for operand and address sizes of 16 or 32 bits.
    pub const fn bytes(self, operand_size_32: bool, address_size_32: bool) -> usize {
        match self {
            Immediate::None => 0,
            Immediate::Byte => 1,
            Immediate::Word => 2,
            Immediate::Operand => 2 + 2 * operand_size_32 as usize,
            Immediate::WordByte => 3,
            Immediate::FarPointer => 4 + 2 * operand_size_32 as usize,
            Immediate::MemoryOffset => 2 + 2 * address_size_32 as usize,
        }
    }
}

/// One row of the opcode map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode {
    pub map: Map,
    /// The opcode byte, in the map `TwoByte` the one after 0Fh.
    pub byte: u8,
    /// The value of ModRM.reg this row is for, if the byte has one row for each.
    pub extension: Option<u8>,
    /// The forms of ModRM.rm this row is for.
    pub form: Form,
    /// The manual's name in lower case. One name for all operand sizes: `movs`, `cbw` (also CWDE),
    /// `cwd` (also CDQ), `pusha`, `pushf`, `iret`, `jcxz` (also JECXZ); `retf` is the far return.
    pub mnemonic: &'static str,
    /// Destination first, as the manual writes them. Operands nobody names (DS:eSI of XLAT, the stack) are left out.
    pub operands: [Operand; 3],
    pub kind: Kind,
    /// Whether LOCK is allowed; then only with a memory operand.
    pub lockable: bool,
}

impl Opcode {
    const fn new(map: Map, byte: u8, mnemonic: &'static str, operands: &[Operand]) -> Opcode {
        let mut all = [Operand::None; 3];
        let mut i = 0;
        while i < operands.len() {
            all[i] = operands[i];
            i += 1;
        }
        Opcode {
            map,
            byte,
            extension: None,
            form: Form::Any,
            mnemonic,
            operands: all,
            kind: Kind::Instruction,
            lockable: false,
        }
    }

    /// For this value of ModRM.reg only.
    const fn extension(mut self, reg: u8) -> Opcode {
        self.extension = Some(reg);
        self
    }

    /// For ModRM.mod below 3 only.
    const fn memory(mut self) -> Opcode {
        self.form = Form::MemoryOnly;
        self
    }

    /// For ModRM.mod = 3 only.
    const fn register(mut self) -> Opcode {
        self.form = Form::RegisterOnly;
        self
    }

    /// LOCK is allowed with a memory operand.
    const fn lock(mut self) -> Opcode {
        self.lockable = true;
        self
    }

    const fn kind(mut self, kind: Kind) -> Opcode {
        self.kind = kind;
        self
    }

    /// Whether ModRM follows the opcode.
    pub const fn has_modrm(&self) -> bool {
        matches!(self.kind, Kind::Coprocessor)
            || self.extension.is_some()
            || self.operands[0].is_in_modrm()
            || self.operands[1].is_in_modrm()
    }

    /// Whether ModRM.mod is ignored: ModRM.rm is a register, and no SIB or displacement follows.
    pub const fn ignores_mod(&self) -> bool {
        matches!(self.operands[0], Operand::Rd) || matches!(self.operands[1], Operand::Rd)
    }

    /// What follows ModRM, SIB and displacement.
    pub const fn immediate(&self) -> Immediate {
        let mut i = 0;
        let mut immediate = Immediate::None;
        while i < 3 {
            immediate = match (self.operands[i], immediate) {
                (Operand::Ib, Immediate::Word) => Immediate::WordByte,
                (Operand::Ib | Operand::SignedIb | Operand::Jb, _) => Immediate::Byte,
                (Operand::Iw, _) => Immediate::Word,
                (Operand::Iz | Operand::Jz, _) => Immediate::Operand,
                (Operand::Ap, _) => Immediate::FarPointer,
                (Operand::Ob | Operand::Ov, _) => Immediate::MemoryOffset,
                (_, found) => found,
            };
            i += 1;
        }
        immediate
    }

    /// Whether this row covers these ModRM fields.
    const fn covers(&self, reg: u8, is_register_form: bool) -> bool {
        let reg_fits = match self.extension {
            Some(extension) => extension == reg,
            None => true,
        };
        reg_fits
            && match self.form {
                Form::Any => true,
                Form::MemoryOnly => !is_register_form,
                Form::RegisterOnly => is_register_form,
            }
    }
}

/// The rows of one opcode byte: one, or one for each group member.
pub fn rows(map: Map, byte: u8) -> &'static [Opcode] {
    let table = match map {
        Map::OneByte => ONE_BYTE,
        Map::TwoByte => TWO_BYTE,
    };
    let first = table.partition_point(|row| row.byte < byte);
    let end = table.partition_point(|row| row.byte <= byte);
    &table[first..end]
}

/// All rows, the one-byte map first, in order of their bytes.
pub fn all() -> impl Iterator<Item = &'static Opcode> {
    ONE_BYTE.iter().chain(TWO_BYTE)
}

/// The row of an encoding, or `None` if it raises #UD because it is no instruction.
///
/// `reg` is ModRM.reg (0..7) and `is_register_form` means ModRM.mod = 3; both matter only where rows
/// are split by them. Prefixes, the escape byte and coprocessor instructions have rows; see [`Kind`].
pub fn lookup(map: Map, byte: u8, reg: u8, is_register_form: bool) -> Option<&'static Opcode> {
    rows(map, byte)
        .iter()
        .find(|row| row.covers(reg, is_register_form) && row.kind != Kind::Undefined)
}

/// Whether ModRM follows this opcode byte; false for undefined ones.
pub fn has_modrm(map: Map, byte: u8) -> bool {
    rows(map, byte)[0].has_modrm()
}

/// What follows ModRM, SIB and displacement; `reg` is ModRM.reg (0..7).
pub fn immediate(map: Map, byte: u8, reg: u8) -> Immediate {
    rows(map, byte)
        .iter()
        .find(|row| row.extension.is_none_or(|extension| extension == reg))
        .map_or(Immediate::None, Opcode::immediate)
}

/// Whether the byte has one row for each defined ModRM.reg.
pub fn is_group(map: Map, byte: u8) -> bool {
    rows(map, byte)[0].extension.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: [(Map, &[Opcode]); 2] = [(Map::OneByte, ONE_BYTE), (Map::TwoByte, TWO_BYTE)];

    #[test]
    fn every_byte_has_rows_and_they_are_in_order() {
        for (map, table) in MAPS {
            assert!(table.iter().all(|row| row.map == map));
            assert!(
                table.is_sorted_by_key(|row| (row.byte, row.extension)),
                "{map:?}"
            );
            for byte in 0..=255 {
                assert!(!rows(map, byte).is_empty(), "{map:?} {byte:02X}");
            }
        }
    }

    #[test]
    fn an_encoding_has_at_most_one_row() {
        for (map, _) in MAPS {
            for byte in 0..=255 {
                for (reg, register) in (0..8).flat_map(|reg| [(reg, false), (reg, true)]) {
                    let covering = rows(map, byte)
                        .iter()
                        .filter(|row| row.covers(reg, register));
                    assert!(
                        covering.count() <= 1,
                        "{map:?} {byte:02X} /{reg} {register}"
                    );
                }
            }
        }
    }

    #[test]
    fn rows_of_one_byte_agree_on_modrm_and_those_of_one_reg_on_the_immediate() {
        for (map, _) in MAPS {
            for byte in 0..=255 {
                for row in rows(map, byte) {
                    assert_eq!(row.has_modrm(), has_modrm(map, byte), "{row:?}");
                    assert_eq!(row.extension.is_some(), is_group(map, byte), "{row:?}");
                    let reg = row.extension.unwrap_or(0);
                    assert_eq!(row.immediate(), immediate(map, byte, reg), "{row:?}");
                }
            }
        }
    }

    #[test]
    fn test_has_an_immediate_and_not_has_none() {
        assert_eq!(immediate(Map::OneByte, 0xF7, 0), Immediate::Operand);
        assert_eq!(immediate(Map::OneByte, 0xF7, 1), Immediate::Operand);
        assert_eq!(immediate(Map::OneByte, 0xF7, 2), Immediate::None);
        assert_eq!(immediate(Map::OneByte, 0xF6, 1), Immediate::Byte);
        assert_eq!(immediate(Map::OneByte, 0xC8, 0), Immediate::WordByte);
        assert_eq!(immediate(Map::OneByte, 0x9A, 0), Immediate::FarPointer);
        assert_eq!(immediate(Map::OneByte, 0xA1, 0), Immediate::MemoryOffset);
    }
}
