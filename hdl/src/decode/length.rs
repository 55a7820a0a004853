//! How many bytes an instruction has behind its prefixes.
use super::shape::{ImmediateKind, shapes};
use crate::prelude::*;
use spec::opcodes::Map;

/// Bits of a mark, which is what one byte says about a length: as an opcode, and as an opcode behind 0Fh.
///
/// Fetch marks the bytes of a word as it arrives, so that the length decoder need not look its opcode up.
const MODRM: u32 = 0;
/// F6/F7: only members 0 and 1 have their immediate.
const IMMEDIATE_OF_TEST: u32 = 1;
const PREFIX: u32 = 2;
/// 0Fh.
const TWO_BYTE: u32 = 3;
/// Three bits, a number of [`immediate_number`].
const IMMEDIATE: u32 = 4;
const SECOND_MODRM: u32 = 8;
const SECOND_IGNORES_MODE: u32 = 9;
const SECOND_IMMEDIATE: u32 = 12;

/// Bits that a mark takes in a word's marks.
pub const MARK_BITS: usize = 16;

fn immediate_number(kind: ImmediateKind) -> u64 {
    match kind {
        ImmediateKind::None => 0,
        ImmediateKind::Byte | ImmediateKind::SignedByte => 1,
        ImmediateKind::Word => 2,
        ImmediateKind::WordByte => 3,
        ImmediateKind::Operand => 4,
        ImmediateKind::Offset => 5,
        ImmediateKind::FarPointer => 6,
    }
}

/// The mark of every byte.
///
/// # Panics
/// If an opcode has a shape that marks do not tell.
pub fn marks() -> Vec<Bits<MARK_BITS>> {
    let one_byte = shapes(Map::OneByte);
    let two_byte = shapes(Map::TwoByte);
    let bit = |at: u32, set: Bit| u64::from(set) << at;
    (0..256)
        .map(|byte| {
            let (first, second) = (one_byte[byte], two_byte[byte]);
            let untold = first.ignores_mode || second.prefix || second.immediate_of_test;
            assert!(!untold, "byte {byte:#x} is not what marks expect");
            let mark = bit(MODRM, first.has_modrm)
                | bit(IMMEDIATE_OF_TEST, first.immediate_of_test)
                | bit(PREFIX, first.prefix && byte != 0x0F)
                | bit(TWO_BYTE, byte == 0x0F)
                | immediate_number(first.immediate) << IMMEDIATE
                | bit(SECOND_MODRM, second.has_modrm)
                | bit(SECOND_IGNORES_MODE, second.ignores_mode)
                | immediate_number(second.immediate) << SECOND_IMMEDIATE;
            mark.into()
        })
        .collect()
}

/// What the mark of an opcode says, without the other map's half.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct LengthMark {
    pub has_modrm: Bit,
    pub ignores_mode: Bit,
    pub immediate_of_test: Bit,
    /// A number of `immediate_number`.
    pub immediate: Bits<3>,
}

/// Where the parts of an instruction lie.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct Layout {
    /// ModRM names a register.
    pub register_form: Bit,
    /// Bytes of opcode, ModRM and SIB.
    pub head_bytes: Bits<4>,
    pub displacement_bytes: Bits<3>,
    /// Where the immediate is.
    pub immediate_at: Bits<4>,
    /// Without prefixes.
    pub length: Bits<4>,
}

/// Lays out an instruction of one map. Combinational.
#[derive(LogicBlock, Default)]
pub struct Length {
    pub mark: Signal<In, LengthMark>,
    pub opcode_bytes: Signal<In, Bits<4>>,
    pub modrm: Signal<In, Bits<8>>,
    pub sib: Signal<In, Bits<8>>,
    pub operand16: Signal<In, Bit>,
    pub address16: Signal<In, Bit>,
    pub layout: Signal<Out, Layout>,
    // wires
    mode: Signal<Local, Bits<2>>,
    rm: Signal<Local, Bits<3>>,
    has_sib: Signal<Local, Bit>,
    sib_base_none: Signal<Local, Bit>,
    displacement_bytes: Signal<Local, Bits<3>>,
    immediate_bytes: Signal<Local, Bits<3>>,
    head_bytes: Signal<Local, Bits<4>>,
    immediate_at: Signal<Local, Bits<4>>,
}

impl Logic for Length {
    #[hdl_gen]
    fn update(&mut self) {
        self.mode.next = self.modrm.val().get_bits::<2>(6);
        if self.mark.val().ignores_mode {
            self.mode.next = 3.into();
        }
        self.rm.next = self.modrm.val().get_bits::<3>(0);
        self.has_sib.next = self.mark.val().has_modrm
            & !self.address16.val()
            & (self.mode.val() != 3)
            & (self.rm.val() == 4);
        self.sib_base_none.next = self.sib.val().get_bits::<3>(0) == 5;
        self.displacement_bytes.next = 0.into();
        if self.mark.val().has_modrm {
            if self.mode.val() == 1 {
                self.displacement_bytes.next = 1.into();
            } else if self.mode.val() == 2 {
                self.displacement_bytes.next = 4.into();
                if self.address16.val() {
                    self.displacement_bytes.next = 2.into();
                }
            } else if self.mode.val() == 0 {
                if self.address16.val() {
                    if self.rm.val() == 6 {
                        self.displacement_bytes.next = 2.into();
                    }
                } else if (self.rm.val() == 5) | (self.has_sib.val() & self.sib_base_none.val()) {
                    self.displacement_bytes.next = 4.into();
                }
            }
        }
        self.immediate_bytes.next = 0.into();
        match self.mark.val().immediate.index() {
            0 => {}
            1 => {
                self.immediate_bytes.next = 1.into();
            }
            2 => {
                self.immediate_bytes.next = 2.into();
            }
            3 => {
                self.immediate_bytes.next = 3.into();
            }
            4 => {
                self.immediate_bytes.next = 4.into();
                if self.operand16.val() {
                    self.immediate_bytes.next = 2.into();
                }
            }
            5 => {
                self.immediate_bytes.next = 4.into();
                if self.address16.val() {
                    self.immediate_bytes.next = 2.into();
                }
            }
            _ => {
                self.immediate_bytes.next = 6.into();
                if self.operand16.val() {
                    self.immediate_bytes.next = 4.into();
                }
            }
        }
        if self.mark.val().immediate_of_test & (self.modrm.val().get_bits::<2>(4) != 0) {
            self.immediate_bytes.next = 0.into();
        }
        self.head_bytes.next = self.opcode_bytes.val()
            + bit_cast::<4, 1>(self.mark.val().has_modrm.into())
            + bit_cast::<4, 1>(self.has_sib.val().into());
        self.immediate_at.next =
            self.head_bytes.val() + bit_cast::<4, 3>(self.displacement_bytes.val());
        self.layout.next.register_form = self.mark.val().has_modrm & (self.mode.val() == 3);
        self.layout.next.head_bytes = self.head_bytes.val();
        self.layout.next.displacement_bytes = self.displacement_bytes.val();
        self.layout.next.immediate_at = self.immediate_at.val();
        self.layout.next.length =
            self.immediate_at.val() + bit_cast::<4, 3>(self.immediate_bytes.val());
    }
}
