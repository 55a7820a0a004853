//! Single instructions that a real processor ran, with their results.
//!
//! A vector file is a sequence of records, xz-compressed or not; [`Case`] tells what one holds, [`format`] how it is
//! written. What surrounds a case is its [`Environment`].

pub mod compare;
pub mod environment;
pub mod format;
pub mod machine;
pub mod pack;
pub mod record;
pub mod replay;

pub use environment::{Environment, WINDOW, WINDOW_BYTES};
pub use format::{ReadError, read, read_file};

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpKind, Register, RflagsBits,
};
use spec::{flags, paging, registers};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Linear address of the instruction in the first format.
pub const CODE: u32 = 0x1000_0000;
/// Bytes of code in the first format: the instruction, filled up with HLT.
pub const CODE_BYTES: usize = 20;
/// The linear addresses that are present, readable and writable in the first format.
pub const USER: Range<u32> = 0x1000_0000..0x1010_0000;
/// The flags that the first format has: those of arithmetic, and DF.
pub const PLAIN_FLAGS: u32 = flags::STATUS | flags::DF;
/// The flags that the second format has.
pub const RECORDED_FLAGS: u32 =
    PLAIN_FLAGS | flags::TF | flags::IF | flags::IOPL | flags::NT | flags::AC | flags::ID;

/// How an instruction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It completed.
    Completed,
    /// It raised the exception of this vector.
    Exception(u8),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Completed => f.write_str("completed"),
            Outcome::Exception(vector) => match spec::exceptions::by_vector(*vector) {
                Some(row) => f.write_str(row.mnemonic),
                None => write!(f, "vector {vector}"),
            },
        }
    }
}

/// One instruction, the state before and the state after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it ran in.
    pub environment: Arc<Environment>,
    /// At least 1; more than 15 are no instruction.
    pub bytes: Vec<u8>,
    /// The encoding that was meant: bytes may have a shorter name (90h is NOP and XCHG EAX,EAX).
    pub code: Code,
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI before.
    pub registers: [u32; 8],
    /// ES, CS, SS, DS, FS, GS before.
    pub selectors: [u16; 6],
    /// Before; IF is set in all cases.
    pub eflags: u32,
    /// Offset in CS, before.
    pub eip: u32,
    /// What the [window](window) is filled from, if the environment has none.
    pub seed: u64,
    /// Bytes of the window that the case changes before it begins: offset and value.
    pub memory: Vec<(u16, u8)>,
    /// How it ended.
    pub outcome: Outcome,
    /// Zero if there is none.
    pub error_code: u16,
    /// The linear address that a page fault named, if it was recorded.
    pub cr2: Option<u32>,
    /// Registers after.
    pub registers_after: [u32; 8],
    /// Selectors after.
    pub selectors_after: [u16; 6],
    /// [`Case::recorded_flags`] after.
    pub eflags_after: u32,
    /// EIP after.
    pub eip_after: u32,
    /// Flags that the instruction leaves undefined, as `iced_x86::RflagsBits`.
    pub undefined_flags: u16,
    /// Bytes of the window that changed: offset and new value.
    pub memory_after: Vec<(u16, u8)>,
}

impl Case {
    /// A case that has not run: flat segments, registers and EIP 0, IF set.
    pub fn draft(environment: &Arc<Environment>, code: Code, bytes: Vec<u8>) -> Self {
        Case {
            environment: Arc::clone(environment),
            bytes,
            code,
            registers: [0; 8],
            selectors: environment::FLAT,
            eflags: flags::IF | flags::ALWAYS_ONE,
            eip: 0,
            seed: 0,
            memory: Vec::new(),
            outcome: Outcome::Completed,
            error_code: 0,
            cr2: None,
            registers_after: [0; 8],
            selectors_after: [0; 6],
            eflags_after: 0,
            eip_after: 0,
            undefined_flags: 0,
            memory_after: Vec::new(),
        }
    }

    /// The instruction as iced-x86 decodes it where it is; an invalid one if it is too long.
    pub fn instruction(&self) -> Instruction {
        decode(&self.bytes, self.bits(), self.eip)
    }

    /// 32, or 16 if CS is a 16-bit segment.
    pub fn bits(&self) -> u32 {
        let code = self.selectors[usize::from(registers::CS)];
        match self.environment.descriptor(code) {
            Some(code) if !code.is_big() => 16,
            _ => 32,
        }
    }

    /// Linear address of offset 0 of a segment (0..5).
    pub fn base(&self, segment: usize) -> u32 {
        let descriptor = self.environment.descriptor(self.selectors[segment]);
        descriptor.map_or(0, |descriptor| descriptor.base)
    }

    /// The flags that were recorded of this case.
    pub fn recorded_flags(&self) -> u32 {
        if self.environment.is_plain() {
            PLAIN_FLAGS
        } else if is_transfer(self.code) {
            RECORDED_FLAGS & !flags::TF
        } else {
            RECORDED_FLAGS
        }
    }

    /// The instruction's row of the opcode map.
    ///
    /// # Errors
    /// The bytes, if the map has no such instruction.
    pub fn opcode(&self) -> Result<&'static spec::opcodes::Opcode, String> {
        use spec::opcodes::{Kind, Map, lookup};
        let undefined = || format!("{:02X?} is not in the opcode map", self.bytes);
        let mut map = Map::OneByte;
        let mut bytes = self.bytes.iter().copied();
        while let Some(byte) = bytes.next() {
            let modrm = bytes.clone().next().unwrap_or(0);
            let row = lookup(map, byte, modrm >> 3 & 7, modrm >= 0xC0).ok_or_else(undefined)?;
            match row.kind {
                Kind::Prefix => {}
                Kind::Escape => map = Map::TwoByte,
                _ => return Ok(row),
            }
        }
        Err(undefined())
    }

    /// The window before the instruction runs.
    pub fn window(&self) -> Vec<u8> {
        let mut bytes = if self.environment.is_plain() {
            window(self.seed)
        } else {
            self.environment.window.clone()
        };
        for (offset, value) in &self.memory {
            bytes[usize::from(*offset)] = *value;
        }
        bytes
    }

    /// The window after it has run.
    pub fn window_after(&self) -> Vec<u8> {
        let mut bytes = self.window();
        for (offset, value) in &self.memory_after {
            bytes[usize::from(*offset)] = *value;
        }
        bytes
    }

    /// Whether a byte of the window may also be as before: it is below the top of stack of an instruction
    /// that did not complete. Processors differ in what ENTER has pushed when its last push faults.
    pub fn may_be_unwritten(&self, linear: u32) -> bool {
        let stack = self.base(usize::from(registers::SS));
        self.outcome != Outcome::Completed && linear < stack.wrapping_add(self.registers[4])
    }

    /// Linear address of the instruction.
    pub fn code_address(&self) -> u32 {
        self.base(usize::from(registers::CS)).wrapping_add(self.eip)
    }

    /// The instruction and HLT behind it, as far as its page goes.
    pub fn code_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(CODE_BYTES.max(bytes.len()), environment::HALT);
        let left = paging::PAGE_BYTES - self.code_address() % paging::PAGE_BYTES;
        bytes.truncate(left as usize);
        bytes
    }

    /// What of the result the architecture leaves undefined.
    pub fn undefined(&self) -> Undefined {
        let mut undefined = Undefined {
            flags: eflags(self.undefined_flags),
            ..Undefined::default()
        };
        let instruction = self.instruction();
        let last = instruction.op_count().saturating_sub(1);
        // OF is defined for rotates by one only, whatever form says so.
        let count = match instruction.try_op_kind(last) {
            Ok(OpKind::Immediate8) => u32::from(instruction.immediate8()),
            Ok(OpKind::Register) if instruction.op_register(last) == Register::CL => {
                self.registers[1]
            }
            _ => return undefined,
        } & 31;
        match instruction.mnemonic() {
            Mnemonic::Rcl | Mnemonic::Rcr if count > 1 => undefined.flags |= flags::OF,
            Mnemonic::Shld | Mnemonic::Shrd
                if count > 16 && instruction.op1_register().size() == 2 =>
            {
                undefined.flags |= flags::STATUS;
                match instruction.op0_kind() {
                    OpKind::Register => {
                        undefined.low_half_of = Some(instruction.op0_register().number());
                    }
                    _ => undefined.word_at = self.effective_address(&instruction, 0),
                }
            }
            _ => {}
        }
        undefined
    }

    /// The addresses that are not present and that a page fault of this instruction could name.
    ///
    /// An access that begins in a page that is present names the first byte of the next. Empty for ENTER,
    /// whose accesses iced-x86 does not list.
    pub fn absent_addresses(&self) -> Vec<u32> {
        if self.code.mnemonic() == Mnemonic::Enter {
            return Vec::new();
        }
        self.accesses()
            .into_iter()
            .filter_map(|(first, last)| {
                let ends = [first, last & !(paging::PAGE_BYTES - 1)];
                ends.into_iter()
                    .find(|address| !self.environment.may_access(*address, true))
            })
            .collect()
    }

    /// First and last address of each access.
    pub fn accesses(&self) -> Vec<(u32, u32)> {
        let instruction = self.instruction();
        let bit_string = self.bit_string_offset(&instruction);
        let mut factory = InstructionInfoFactory::new();
        let accesses = factory.info(&instruction).used_memory();
        accesses
            .iter()
            .filter_map(|access| {
                let address = access.virtual_address(0, |register, _, _| self.register(register));
                let first = (address? as u32).wrapping_add(bit_string);
                let bytes = access.memory_size().size().max(1) as u32;
                Some((first, first.wrapping_add(bytes - 1)))
            })
            .collect()
    }

    /// Whether an address is one of those that an instruction with several stack accesses may begin with. Processors
    /// differ in their order, and so in the first that faults.
    pub fn is_stack_access(&self, linear: u32) -> bool {
        use Mnemonic::*;
        const REACH: u32 = 64;
        let is_multiple = matches!(
            self.code.mnemonic(),
            Call | Enter | Iret | Iretd | Popa | Popad | Pusha | Pushad | Retf
        );
        let from_top = linear.wrapping_sub(self.stack_address(0));
        is_multiple && from_top.wrapping_add(REACH) < 2 * REACH
    }

    /// Linear address of a byte of the stack, by its distance from the top.
    pub fn stack_address(&self, distance: u32) -> u32 {
        let offset = self.registers[4].wrapping_add(distance) & self.stack_mask();
        self.base(usize::from(registers::SS)).wrapping_add(offset)
    }

    /// The bits of ESP that the stack uses: FFFFh if SS is a 16-bit segment.
    pub fn stack_mask(&self) -> u32 {
        let stack = self.selectors[usize::from(registers::SS)];
        match self.environment.descriptor(stack) {
            Some(stack) if !stack.is_big() => 0xFFFF,
            _ => u32::MAX,
        }
    }

    /// Whether the bytes are too many for an instruction, or their page or segment ends within them.
    pub fn is_incomplete(&self) -> bool {
        const LONGEST: u32 = 15;
        let code = self.selectors[usize::from(registers::CS)];
        let code = self.environment.descriptor(code);
        let limit = code.map_or(0, |code| code.limit);
        let bytes = self.bytes.len() as u32;
        bytes > LONGEST
            || self.eip.saturating_add(bytes - 1) > limit
            || self.code_address() % paging::PAGE_BYTES + bytes > paging::PAGE_BYTES
    }

    /// What BT and its relatives with a register as bit number add to the address.
    fn bit_string_offset(&self, instruction: &Instruction) -> u32 {
        use Mnemonic::{Bt, Btc, Btr, Bts};
        let is_bit_test = matches!(instruction.mnemonic(), Bt | Btc | Btr | Bts);
        if !is_bit_test || instruction.op1_kind() != OpKind::Register {
            return 0;
        }
        let bit = self.register(instruction.op1_register()).unwrap_or(0);
        match instruction.op1_register().size() {
            2 => (i32::from(bit as i16) >> 4 << 1) as u32,
            _ => (bit as i32 >> 5 << 2) as u32,
        }
    }

    /// The value before of a register in an address; that of a segment is its base.
    fn register(&self, register: Register) -> Option<u64> {
        if register.is_segment_register() {
            return Some(self.base(register.number()).into());
        }
        let full = self.registers[register.full_register32().number()];
        Some(
            if register.size() == 2 {
                full & 0xFFFF
            } else {
                full
            }
            .into(),
        )
    }

    /// Linear address of a memory operand, with the registers before.
    pub fn effective_address(&self, instruction: &Instruction, operand: u32) -> Option<u32> {
        instruction
            .virtual_address(operand, 0, |register, _, _| self.register(register))
            .map(|address| address as u32)
    }
}

/// What is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Undefined {
    /// Bits of EFLAGS.
    pub flags: u32,
    /// The register (0..7) whose bits 15:0 are undefined.
    pub low_half_of: Option<usize>,
    /// The linear address of the word that is undefined.
    pub word_at: Option<u32>,
}

/// Fills the window: each eight bytes are the state of a xorshift generator after one more update.
pub fn window(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = vec![0; WINDOW_BYTES];
    for eight in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        eight.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Decodes an instruction of 16- or 32-bit code.
pub fn decode(bytes: &[u8], bits: u32, eip: u32) -> Instruction {
    Decoder::with_ip(bits, bytes, eip.into(), DecoderOptions::FORCE_RESERVED_NOP).decode()
}

/// Whether the next instruction need not be the one behind.
pub fn is_transfer(code: Code) -> bool {
    use Mnemonic::{Int, Int1, Int3, Into};
    let is_trap = matches!(code.mnemonic(), Int | Int1 | Int3 | Into);
    !is_trap
        && code.flow_control() != FlowControl::Next
        && !matches!(
            code.mnemonic(),
            Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2
        )
}

/// The encoding's name, as iced-x86 has it.
pub fn encoding_name(code: Code) -> String {
    format!("{code:?}")
}

/// EFLAGS bits for a set of `iced_x86::RflagsBits`.
fn eflags(iced: u16) -> u32 {
    [
        (RflagsBits::OF, flags::OF),
        (RflagsBits::SF, flags::SF),
        (RflagsBits::ZF, flags::ZF),
        (RflagsBits::AF, flags::AF),
        (RflagsBits::CF, flags::CF),
        (RflagsBits::PF, flags::PF),
    ]
    .into_iter()
    .filter(|(bit, _)| u32::from(iced) & bit != 0)
    .fold(0, |set, (_, flag)| set | flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_the_state_after_each_update() {
        let bytes = window(1);
        assert_eq!(bytes.len(), WINDOW_BYTES);
        // 1 ^ 1<<13 = 2001h; ^ >>7 (40h) = 2041h; ^ <<17 = 40822041h.
        assert_eq!(bytes[..8], 0x4082_2041_u64.to_le_bytes());
    }
}
