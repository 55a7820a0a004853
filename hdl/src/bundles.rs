//! What travels between the stages: the pipeline's contract.
use rust_hdl_core::prelude::*;
use rust_hdl_macros::LogicState;

/// Operand width of a micro-op.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Width {
    Byte,
    Word,
    Dword,
    /// Only for memory accesses (descriptors, CMPXCHG8B).
    Quad,
}

/// What the execute stage computes from the operands `a`, `b` and `c`.
///
/// All operands arrive right-aligned and zero-extended from their width; results leave the same way.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum ExecuteOp {
    /// result = b, flags unchanged
    PassB,
    /// result = a, flags unchanged
    PassA,
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
    /// result = !a, flags unchanged
    Not,
    /// result = 0 - a
    Neg,
    /// Shifts and rotates of a by b[4:0].
    Shl,
    Shr,
    Sar,
    Rol,
    Ror,
    Rcl,
    Rcr,
    /// Double shifts: a is the destination, b fills, c[4:0] counts.
    Shld,
    Shrd,
    /// Bit tests: bit b (modulo the width) of a.
    Bt,
    Bts,
    Btr,
    Btc,
    /// Scan b; where b is zero the result is a (the old destination).
    Bsf,
    Bsr,
    /// Byte order of a reversed.
    Bswap,
    /// b[7:0] / b[15:0] extended to the width of the micro-op.
    ZeroExtendByte,
    ZeroExtendWord,
    SignExtendByte,
    SignExtendWord,
    /// result = low half of a * b; the high half is latched for `ReadHigh`.
    Mul,
    Imul,
    /// Divides c:a by b (for `Width::Byte`, a[15:0] by b); result = quotient, remainder latched for `ReadHigh`.
    Div,
    Idiv,
    /// The latched high half or remainder.
    ReadHigh,
    /// 1 if `condition` holds, else 0.
    SetCondition,
    /// b if `condition` holds, else a.
    ConditionalMove,
    /// All bits equal to the sign of a at the width.
    SignFill,
    /// EFLAGS[7:0] with bit 1 set and bits 3 and 5 clear.
    Lahf,
    /// Flags SF ZF AF PF CF from a[7:0].
    Sahf,
    ClearCarry,
    SetCarry,
    ComplementCarry,
    /// a plus or minus b, as EFLAGS.DF says (string step).
    Step,
    /// Byte offset of the dword (word) that holds bit a of a bit string: (a sar 5) * 4, or (a sar 4) * 2 for words.
    BitOffset,
    /// a[15:0] in the upper half above b[15:0].
    PackWords,
    /// b[31:16] moved down.
    HighWord,
    /// a's upper half, b's lower half (gate offsets).
    MergeHigh,
}
