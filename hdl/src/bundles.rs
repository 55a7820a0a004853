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
/// Operands arrive right-aligned; bits beyond the width are ignored. Results leave right-aligned and zero-extended from
/// the width, where nothing else is said. Flags are named where they change; undefined ones stay as they were, but AF
/// after And, Or and Xor is zero.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum ExecuteOp {
    /// result = b, flags unchanged
    PassB,
    /// result = a, flags unchanged
    PassA,
    /// OF SF ZF AF PF CF of a sum or difference; with `keep_carry` not CF.
    Add,
    Adc,
    Sub,
    Sbb,
    /// SF ZF PF of the result, OF and CF zero.
    And,
    Or,
    Xor,
    /// result = !a, flags unchanged
    Not,
    /// result = 0 - a
    Neg,
    /// Shifts and rotates of a by b[4:0]. A count of zero changes no flag.
    ///
    /// Shifts change OF SF ZF PF CF, rotates OF CF. The count of Rcl and Rcr is taken modulo 9 or 17 for bytes and words.
    Shl,
    Shr,
    Sar,
    Rol,
    Ror,
    Rcl,
    Rcr,
    /// Double shifts: a is the destination, b fills, c[4:0] counts. Words by more than 16: undefined. Flags as Shl.
    Shld,
    Shrd,
    /// Bit tests: bit b (modulo the width) of a goes to CF; result = a with that bit changed.
    Bt,
    Bts,
    Btr,
    Btc,
    /// Scan b; where b is zero the result is a (the old destination). ZF: b is zero.
    Bsf,
    Bsr,
    /// Byte order of a reversed, all four of them: for Width::Word the result is zero.
    Bswap,
    /// b[7:0] / b[15:0] extended to the width of the micro-op.
    ZeroExtendByte,
    ZeroExtendWord,
    SignExtendByte,
    SignExtendWord,
    /// result = low half of a * b, for Width::Byte all 16 bits; the high half is latched for `ReadHigh`.
    ///
    /// OF and CF: the high half is not zero, or for Imul not the sign extension of the low half.
    Mul,
    Imul,
    /// Divides c:a by b (for `Width::Byte`, a[15:0] by b); result = quotient, remainder latched for `ReadHigh`.
    ///
    /// Flags unchanged.
    Div,
    Idiv,
    /// The latched high half or remainder, of the width that the product or quotient had; or what `Exchange` latched.
    ReadHigh,
    /// 1 if `condition` holds, else 0.
    SetCondition,
    /// b if `condition` holds, else a.
    ConditionalMove,
    /// All bits equal to the sign of a at the width.
    SignFill,
    /// EFLAGS[7:0] with bit 1 set and bits 3 and 5 clear.
    Lahf,
    /// Flags SF ZF AF PF CF from a[7:0]; result = a.
    Sahf,
    /// Change CF only; result = a.
    ClearCarry,
    SetCarry,
    ComplementCarry,
    /// a plus or minus b, as EFLAGS.DF says (string step), flags unchanged.
    Step,
    /// Byte offset of the dword (word) that holds bit a of a bit string: (a sar 5) * 4, or (a sar 4) * 2 for words, in
    /// both cases as 32 bits with sign.
    BitOffset,
    /// a[15:0] in the upper half above b[15:0]. This and the next use 32 bits, whatever the width.
    PackWords,
    /// b[31:16] moved down.
    HighWord,
    /// result = b, flags unchanged; a, a register, is latched for `ReadHigh`.
    Exchange,
}

/// Operand width before the instruction's sizes are known.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum WidthSelect {
    Byte,
    Word,
    Dword,
    Quad,
    /// 16 or 32 bits by the operand size.
    Operand,
    /// 16 or 32 bits by the address size.
    Address,
}

/// A register of a micro-instruction, before ModRM is known.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum RegisterSelect {
    None,
    /// ModRM.rm, ModRM.reg, the low three bits of the opcode.
    Rm,
    Reg,
    Opcode,
    Eax,
    Ecx,
    Edx,
    Ebx,
    Esp,
    Ebp,
    Esi,
    Edi,
    /// AH in a byte operation.
    Ah,
    T0,
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    T7,
}

/// Where operand `a` comes from.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum ASource {
    Register,
    Load,
    Zero,
}

/// Where operand `b` comes from.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum BSource {
    Register,
    Load,
    Immediate,
    /// The micro-instruction's own small signed constant.
    Constant,
    /// 1, where the constant is a displacement.
    One,
    EffectiveAddress,
    NextEip,
    /// The system register whose number is in `system`.
    System,
    /// The second immediate of ENTER and of far pointers.
    SecondImmediate,
    /// The size of the access in bytes (string steps).
    AccessSize,
}

/// Where operand `c` comes from.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum CSource {
    Ecx,
    Edx,
    Immediate,
}

/// What a micro-op does to memory.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum MemoryOp {
    None,
    Load,
    Store,
    /// Load and store to one address.
    Modify,
    /// A load whose address must be writable: the store follows in a later micro-op.
    LoadForWrite,
    /// Accesses nothing, and asks whether a block may be read / written up to this address, for `Condition::Denied`: not
    /// where an access would fault, nor with 16-bit addresses, nor a quadword at an address that is no multiple of 8.
    ProbeLoad,
    ProbeStore,
}

/// How the offset of an access is made.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum AddressMode {
    /// Base, index, scale and displacement of ModRM and SIB, plus the constant.
    ModRm,
    /// The immediate (MOV AL, moffs).
    Direct,
    /// SS:ESP before it grows down by the access size.
    Push,
    /// SS:ESP, then up by the access size.
    Pop,
    /// SS:EBP, then ESP is above it (LEAVE).
    PopFrame,
    /// No access: ESP grows by the immediate (RET n).
    Release,
    /// No access: ESP retires as the stack modes before have moved it.
    Stack,
    /// `base` plus the constant.
    Based,
    /// The descriptor of the selector in `base`.
    Descriptor,
    /// The gate of the vector being delivered.
    Vector,
    /// The gate of the vector in the immediate, which the micro-op before begins to deliver.
    VectorImmediate,
    /// No access: ESP becomes `base` plus the constant with the instruction's last micro-op, which this is.
    SetStack,
    /// I/O port in `base`.
    Port,
    /// I/O port in the immediate.
    PortImmediate,
}

/// The segment of an access.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum SegmentSelect {
    /// DS, or SS for EBP and ESP bases of ModRM, or the override.
    Operand,
    /// DS, or the override.
    Data,
    Es,
    Ss,
    Tss,
    /// The TSS, for its I/O permission bitmap: what lies beyond its limit is forbidden, not an invalid TSS.
    PortBitmap,
    /// The stack segment being entered.
    New,
    /// GDTR or LDTR by the table bit of the selector in `base`.
    Table,
    Idt,
    /// No base and no limit.
    Flat,
}

/// Decisions that decode can take by itself: the next micro-instruction is at `target` if they hold.
/// An opcode row's own micro-instruction is then left out.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum StaticCondition {
    Never,
    Always,
    RealMode,
    /// Real or virtual-8086 mode: a selector is a sixteenth of its segment's base.
    RealSegments,
    Repeat,
    /// 16-bit operand size.
    OperandSize16,
    /// The interrupted or faulting event has an error code.
    HasErrorCode,
    /// Protected mode at a level that IOPL does not admit to I/O ports.
    PortsRestricted,
    /// The stack segment is of 16 bits: SP alone moves.
    Stack16,
}

/// What a micro-op does besides computing a result.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Control {
    None,
    /// EIP = operand a.
    Jump,
    /// EIP = immediate, the target of a relative branch.
    JumpRelative,
    /// EIP = immediate if the x86 condition holds.
    JumpIf,
    /// Like JumpIf, when the result is not zero and the loop condition holds.
    Loop,
    /// EIP = immediate if operand a is zero (JCXZ).
    JumpIfZero,
    /// To the micro-instruction `target` if `condition` holds. With a static condition that holds, decode goes to `target`
    /// and execute to the next one if `condition` holds.
    Branch,
    /// The system register `system` takes operand b, a register or a constant.
    WriteSystem,
    /// The descriptor latch takes the loaded eight bytes.
    LoadDescriptor,
    /// Segment register `system` takes selector a and the descriptor latch (real mode: a * 16).
    LoadSegment,
    /// As LoadSegment, with a null selector.
    ClearSegment,
    /// The stack segment being entered takes selector a and the descriptor latch.
    LoadNewStack,
    /// SS takes what LoadNewStack loaded.
    CommitStack,
    /// CS takes selector a and the descriptor that passed the code check, at the level checked; EIP = operand b.
    LoadCode,
    /// As LoadCode and EnterFlags.
    EnterCode,
    /// As CommitStack and ReturnFlags.
    CommitReturn,
    /// EFLAGS takes what POPF may change.
    PopFlags,
    /// EFLAGS takes what IRET may change.
    ReturnFlags,
    /// EFLAGS of a delivered event: TF NT RF VM, and IF for interrupt gates and in real mode, are cleared.
    EnterFlags,
    ClearInterrupt,
    SetInterrupt,
    ClearDirection,
    SetDirection,
    /// Begins a software interrupt with the vector in operand b.
    SoftwareInterrupt,
    /// The same for INT1, which any gate admits.
    InterruptOne,
    Halt,
    ClearTaskSwitched,
    InvalidatePage,
    /// INVD and WBINVD.
    InvalidateCaches,
    /// The system register selected by the MSR number in a, for RDMSR and WRMSR.
    SelectMsr,
    /// SS becomes the flat stack of level 0 / of level 3.
    SysenterStack,
    SysexitStack,
    /// CS becomes the flat code of level 0, EIP = operand b.
    Sysenter,
    /// CS becomes the flat code of level 3, EIP = operand a.
    Sysexit,
    /// Null selectors in DS ES FS GS whose level the new CPL may not use.
    DropSegments,
    /// TR or LDTR takes selector a and the descriptor latch, in which a TSS becomes busy.
    LoadTask,
    /// Segment register `system` takes selector a as virtual-8086 mode has it.
    LoadVirtual,
    /// EIP = operand b, in the code segment as it is.
    Resume,
    /// EIP = operand b, and what fails from here on fails in the new task: #TS where else it were #GP.
    CommitTask,
    /// The task's T bit is set: the instruction traps.
    TaskTrap,
}

/// Conditions that only execute knows.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Condition {
    Never,
    /// The result is zero at its width / is not.
    Zero,
    NotZero,
    /// Operand a is a null selector.
    NullSelector,
    /// The descriptor latch has its accessed bit clear.
    NotAccessed,
    /// The code that passed the check runs at the current level, not at an inner one.
    NotInner,
    /// Operand a's RPL is the current level, not an outer one.
    NotOuter,
    /// The descriptor latch holds a system descriptor.
    SystemDescriptor,
    /// A string comparison ends by its REPE or REPNE prefix.
    CompareEnds,
    /// The descriptor latch holds a segment of 16 bits.
    Segment16,
    /// The rule in `check` is a question, and its answer is no.
    Refused,
    /// The descriptor latch holds a segment that is not accessed or of 16 bits; or DropSegments has something to do.
    Unusual,
    /// The micro-op's probe found a reason against a block, or strings go down, or each repetition traps.
    Denied,
    /// The descriptor latch holds something else than a gate of 32 bits, or the task has a TSS of 16 bits, or the mode is
    /// virtual-8086. Where this branch leads, the operand size is that of the gate or TSS in the latch.
    RareGate,
    /// EFLAGS.NT in protected mode: IRET returns to another task.
    Nested,
    /// Level 0 pops 32 bits for EFLAGS with VM set.
    ReturnsToVirtual,
}

/// Checks of descriptors, selectors and levels; what fails raises the fault that the manual names.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Check {
    None,
    /// CPL 0, else #GP(0).
    Ring0,
    /// CPL <= IOPL, else #GP(0).
    InputOutput,
    /// The task has an I/O permission bitmap, as TSS of 32 bits do, else #GP(0).
    PortBitmap,
    /// Not virtual-8086 mode, or IOPL 3 in it, else #GP(0).
    VirtualSensitive,
    /// The same for PUSHF, which stores EFLAGS without RF and VM.
    PushFlags,
    /// LOAD of DS ES FS GS.
    DataSegment,
    /// Load of SS by MOV, POP.
    StackSegment,
    /// SS from the TSS for the new level.
    NewStack,
    /// SS popped by a return to an outer level.
    ReturnStack,
    /// Target of a direct far JMP or CALL.
    JumpCode,
    /// CS of a far return or IRET.
    ReturnCode,
    /// Target of a call gate or of an event.
    GateCode,
    /// As GateCode for a JMP through a call gate: same level only.
    GateJump,
    /// Interrupt or trap gate, of 16 or 32 bits, or task gate.
    EventGate,
    /// Call gate of 16 or 32 bits, task gate, or TSS that is not busy.
    CallGate,
    LocalTable,
    TaskState,
    /// Operand b lies within the code segment that passed its check, else #GP(0).
    CodeTarget,
    /// A not-null selector, else #GP(0).
    NotNull,
    /// A not-null stack selector from the TSS, within its table, else #TS.
    NotNullTask,
    /// The I/O permission bits a under the mask b are clear, else #GP(0).
    PortPermitted,
    /// TSS that is busy, else #TS.
    NestedTask,
    /// TSS that is too short for a switch to it: always #TS.
    ShortTask,
    /// Ring 3 return is possible: SYSENTER_CS is set, else #GP(0).
    SysenterSet,
    /// SYSENTER_CS set and CPL 0.
    SysexitAllowed,
    /// CR0 value: PG needs PE, NW needs CD.
    ControlRegister0,
    ControlRegister4,
    /// Always #UD.
    Undefined,
    /// CPL 0 or CR4.TSD clear, else #GP(0).
    TimeStamp,
    /// Always #GP(0): a performance counter, of which there is none.
    NoCounter,
    /// An x87 instruction: #NM with CR0.EM or TS set, else #UD.
    Coprocessor,
    /// One by which programs ask for a coprocessor: #NM with CR0.EM or TS set, else nothing.
    CoprocessorProbe,
    /// WAIT: #NM with CR0.MP and TS set.
    Wait,
    /// Bit 31 of operand a is clear, else #BR.
    Bounds,
    /// CPL 0 and DR7.GD clear, else #GP(0) and #DB; with CR4.DE no DR4 and DR5, else #UD.
    DebugRegister,
    /// Questions about the descriptor of selector a, for `Condition::Refused`: LAR, LSL, VERR and VERW.
    AccessRights,
    SegmentLimit,
    Readable,
    Writable,
}

/// One micro-instruction: a word of the microcode and the body of an opcode row.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct MicroInstruction {
    pub op: ExecuteOp,
    pub width: WidthSelect,
    pub a_source: ASource,
    pub a: RegisterSelect,
    pub b_source: BSource,
    pub b: RegisterSelect,
    pub c_source: CSource,
    pub destination: RegisterSelect,
    pub write_flags: Bit,
    pub keep_carry: Bit,
    pub memory: MemoryOp,
    pub memory_width: WidthSelect,
    pub address: AddressMode,
    pub segment: SegmentSelect,
    pub base: RegisterSelect,
    /// Privileged access: page checks as at level 0.
    pub system_access: Bit,
    /// Displacement or operand, sign-extended.
    pub constant: Bits<12>,
    /// System register or segment number.
    pub system: Bits<8>,
    /// The number of ModRM.reg is added to `system`.
    pub system_from_reg: Bit,
    pub control: Control,
    pub condition: Condition,
    pub check: Check,
    pub static_condition: StaticCondition,
    pub target: Bits<11>,
    /// Ends its instruction.
    pub last: Bit,
    /// State is that of the instruction's begin: an interrupt may come before the next micro-op.
    pub boundary: Bit,
    /// The pipeline behind is emptied and the next instruction fetched anew.
    pub serialize: Bit,
    /// Interrupts wait for one more instruction.
    pub shadow: Bit,
}

/// A row of the opcode ROM: the first micro-instruction of an instruction.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct DecodeRow {
    pub built: Bit,
    pub lockable: Bit,
    /// The second micro-instruction, if the first is not the last.
    pub entry: Bits<11>,
}

/// The part of execute that computes a result other than the ALU's.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum ResultFrom {
    Shifter,
    BitUnit,
    Multiplier,
    Divider,
    HighRegister,
}

/// The first part of the ALU's sum.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Augend {
    Zero,
    A,
    AWithoutB,
}

/// The second part of the ALU's sum.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Addend {
    B,
    NotB,
    NotA,
    BWithoutA,
    Both,
}

/// What is added besides.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum CarryIn {
    Zero,
    One,
    /// EFLAGS.CF.
    Carry,
    NotCarry,
}

/// What of a micro-op is decoded in the clock before it executes.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct Prepared {
    /// The ALU computes the result, whatever `result_from` says.
    pub from_alu: Bit,
    /// The result is a system register.
    pub from_system: Bit,
    /// The result is a load, from wherever its bytes are.
    pub from_load: Bit,
    pub result_from: ResultFrom,
    /// The part takes operands from registers only: a load is there for it a clock later.
    pub takes_late: Bit,
    pub augend: Augend,
    pub addend: Addend,
    pub carry_in: CarryIn,
    /// The carry out is a borrow.
    pub subtract: Bit,
    /// With EFLAGS.DF, b is subtracted.
    pub steps: Bit,
    /// If the condition holds, the result is b.
    pub moves_if: Bit,
    /// Bits 15:8 of the operand or result count; bits 31:16 do.
    pub a_word: Bit,
    pub a_dword: Bit,
    pub b_word: Bit,
    pub b_dword: Bit,
    pub result_word: Bit,
    pub result_dword: Bit,
}

/// What decode makes of the bytes of one instruction.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct Predecoded {
    pub eip: Bits<32>,
    pub next_eip: Bits<32>,
    pub length: Bits<4>,
    pub opcode: Bits<8>,
    pub modrm: Bits<8>,
    pub sib: Bits<8>,
    pub displacement: Bits<32>,
    pub immediate: Bits<32>,
    pub second_immediate: Bits<16>,
    pub operand16: Bit,
    pub address16: Bit,
    pub segment_override: Bit,
    pub segment: Bits<3>,
    pub repeat: Bit,
    pub repeat_not_equal: Bit,
    pub lock: Bit,
    /// Near branch with a relative target in the immediate.
    pub relative: Bit,
    /// Predicted taken: always (JMP, CALL).
    pub always_taken: Bit,
    /// The bytes could not be fetched: page fault with this error code at `displacement`.
    pub fetch_fault: Bit,
    pub fetch_fault_code: Bits<3>,
    /// Longer than 15 bytes.
    pub too_long: Bit,
}

/// A micro-op on its way from issue to retirement; registers are numbers (0..7 general, 8..15 temporaries).
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct MicroOp {
    pub op: ExecuteOp,
    pub width: Width,
    pub a_source: ASource,
    pub a: Bits<4>,
    pub a_high: Bit,
    pub b_source: BSource,
    pub b: Bits<4>,
    pub b_high: Bit,
    pub c_source: CSource,
    pub writes: Bit,
    pub destination: Bits<4>,
    pub destination_high: Bit,
    pub write_flags: Bit,
    pub keep_carry: Bit,
    pub memory: MemoryOp,
    pub access_size: Bits<4>,
    pub address: AddressMode,
    pub segment: Bits<4>,
    /// A segment of tables accessed otherwise than for what it is (`PortBitmap`).
    pub table_access: Bit,
    pub system_access: Bit,
    pub address16: Bit,
    pub base: Bits<4>,
    pub base_valid: Bit,
    pub index: Bits<4>,
    pub index_valid: Bit,
    pub scale: Bits<2>,
    pub displacement: Bits<32>,
    pub immediate: Bits<32>,
    pub second_immediate: Bits<16>,
    pub constant: Bits<12>,
    pub system: Bits<8>,
    pub control: Control,
    pub condition: Condition,
    pub check: Check,
    pub x86_condition: Bits<4>,
    pub target: Bits<11>,
    pub micro_address: Bits<12>,
    pub first: Bit,
    pub last: Bit,
    pub boundary: Bit,
    pub serialize: Bit,
    pub shadow: Bit,
    /// Reads or writes ESP through the stack modes.
    pub stack: Bit,
    pub operand16: Bit,
    pub repeat_not_equal: Bit,
    pub predicted_taken: Bit,
    /// Fetch went where it was predicted to go without being told.
    pub followed: Bit,
    pub eip: Bits<32>,
    pub next_eip: Bits<32>,
    pub length: Bits<4>,
    /// A probe that found a reason against its block.
    pub denied: Bit,
    /// A fault found before execution: it is raised when the micro-op is the oldest.
    pub fault: Bit,
    pub fault_vector: Bits<5>,
    pub fault_code: Bits<16>,
}
