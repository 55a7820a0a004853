//! Single instructions that a real processor ran, with their results.
//!
//! A vector file is a sequence of records, xz-compressed or not; [`Case`] tells what one holds. The
//! environment of every case is the same: ring 3, flat 32-bit segments, code at [`CODE`], pages outside
//! [`USER`] not present, and inside them zeros but for the code and the [window](window).

pub mod compare;
pub mod machine;
pub mod pack;
pub mod replay;

use iced_x86::{
    Code, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
    RflagsBits,
};
use spec::{flags, paging};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Linear address of the instruction.
pub const CODE: u32 = 0x1000_0000;
/// Bytes of code: the instruction, filled up with HLT.
pub const CODE_BYTES: usize = 20;
/// The linear addresses that are present, readable and writable.
pub const USER: Range<u32> = 0x1000_0000..0x1010_0000;
/// Linear address of the data window.
pub const WINDOW: u32 = 0x1002_0000;
/// Length of the window.
pub const WINDOW_BYTES: usize = 0x1_0000;
/// The flags that were recorded: those of arithmetic, and DF.
pub const RECORDED_FLAGS: u32 = flags::STATUS | flags::DF;

/// How an instruction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It completed.
    Completed,
    /// It raised the exception of this vector.
    Exception(u8),
}

/// One instruction, the state before and the state after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// 1 to 15 bytes.
    pub bytes: Vec<u8>,
    /// The encoding that was meant: bytes may have a shorter name (90h is NOP and XCHG EAX,EAX).
    pub code: Code,
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI before.
    pub registers: [u32; 8],
    /// Low half of EFLAGS before.
    pub eflags: u16,
    /// What the [window](window) is filled from.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Zero if there is none.
    pub error_code: u16,
    /// Registers after.
    pub registers_after: [u32; 8],
    /// [`RECORDED_FLAGS`] after.
    pub eflags_after: u16,
    /// EIP after minus EIP before.
    pub eip_advance: u8,
    /// Flags that the instruction leaves undefined, as `iced_x86::RflagsBits`.
    pub undefined_flags: u16,
    /// Bytes of the window that changed: offset and new value.
    pub memory_after: Vec<(u16, u8)>,
}

/// Why a vector file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system or the decompressor failed.
    #[error("cannot read the vector file {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// There is not a single record.
    #[error("the vector file has no records")]
    Empty,
    /// The file ends within a record.
    #[error(
        "record {record} (at byte {offset}) should have {expected} bytes, but {found} are left"
    )]
    Truncated {
        /// Number of the record, from 0.
        record: usize,
        /// Where it starts in the uncompressed file.
        offset: usize,
        /// Its length.
        expected: usize,
        /// What the file has.
        found: usize,
    },
    /// A record contradicts itself.
    #[error("record {record} (at byte {offset}): {problem}")]
    Malformed {
        /// Number of the record, from 0.
        record: usize,
        /// Where it starts in the uncompressed file.
        offset: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads a vector file, compressed or not.
///
/// # Errors
/// See [`ReadError`]; a record is refused whole, so that no case is ever half of one.
pub fn read_file(path: &Path) -> Result<Vec<Case>, ReadError> {
    let failed = |error| ReadError::File {
        path: path.to_owned(),
        error,
    };
    let file = std::fs::read(path).map_err(failed)?;
    if !file.starts_with(b"\xFD7zXZ\0") {
        return read(&file);
    }
    let mut records = Vec::new();
    liblzma::read::XzDecoder::new(file.as_slice())
        .read_to_end(&mut records)
        .map_err(failed)?;
    read(&records)
}

/// Reads the records of an uncompressed vector file.
///
/// # Errors
/// As [`read_file`].
pub fn read(file: &[u8]) -> Result<Vec<Case>, ReadError> {
    let mut cases = Vec::new();
    let mut offset = 0;
    while offset < file.len() {
        let record = cases.len();
        let truncated = |expected, found| ReadError::Truncated {
            record,
            offset,
            expected,
            found,
        };
        let rest = &file[offset..];
        let (length, rest) = rest
            .split_at_checked(2)
            .ok_or_else(|| truncated(2, rest.len()))?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let body = rest
            .get(..length)
            .ok_or_else(|| truncated(length, rest.len()))?;
        let case = Case::parse(body).map_err(|problem| ReadError::Malformed {
            record,
            offset,
            problem,
        })?;
        cases.push(case);
        offset += 2 + length;
    }
    if cases.is_empty() {
        Err(ReadError::Empty)
    } else {
        Ok(cases)
    }
}

/// Takes little-endian numbers off the front of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let short = || {
            format!(
                "a field of {count} bytes is cut off, {} are left",
                self.0.len()
            )
        };
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.bytes(N)?.try_into().expect("that many bytes"))
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.number().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.number().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.number().map(u32::from_le_bytes)
    }
}

impl Case {
    /// Reads one record without its length; says what is wrong with it.
    fn parse(body: &[u8]) -> Result<Case, String> {
        let mut fields = Fields(body);
        let length = usize::from(fields.u8()?);
        if !(1..=15).contains(&length) {
            return Err(format!("an instruction of {length} bytes"));
        }
        let bytes = fields.bytes(length)?.to_vec();
        let number = fields.u16()?;
        let code = Code::try_from(usize::from(number))
            .map_err(|_| format!("{number} is no number of an iced-x86 code"))?;
        let mut registers = [0; 8];
        for register in &mut registers {
            *register = fields.u32()?;
        }
        let eflags = fields.u16()?;
        let seed = u64::from_le_bytes(fields.number()?);
        let outcome = match fields.u8()? {
            1 => Outcome::Completed,
            vector @ (0 | 2..=31) => Outcome::Exception(vector),
            other => return Err(format!("outcome {other} is neither 1 nor an exception")),
        };
        let error_code = fields.u16()?;
        let changed = fields.u16()?;
        if changed > 0xFF {
            return Err(format!("the mask of changed registers is {changed:04X}"));
        }
        let mut registers_after = registers;
        for (number, register) in registers_after.iter_mut().enumerate() {
            if changed >> number & 1 != 0 {
                *register = fields.u32()?;
            }
        }
        let eflags_after = fields.u16()?;
        let eip_advance = fields.u8()?;
        let undefined_flags = fields.u16()?;
        let count = fields.u8()?;
        let mut memory_after = Vec::new();
        for _ in 0..count {
            memory_after.push((fields.u16()?, fields.u8()?));
        }
        if !fields.0.is_empty() {
            return Err(format!("{} bytes too many", fields.0.len()));
        }
        Ok(Case {
            bytes,
            code,
            registers,
            eflags,
            seed,
            outcome,
            error_code,
            registers_after,
            eflags_after,
            eip_advance,
            undefined_flags,
            memory_after,
        })
    }

    /// The record of this case, with its length.
    pub fn to_record(&self) -> Vec<u8> {
        let mut body = vec![self.bytes.len() as u8];
        body.extend(&self.bytes);
        body.extend((self.code as u16).to_le_bytes());
        body.extend(
            self.registers
                .iter()
                .flat_map(|register| register.to_le_bytes()),
        );
        body.extend(self.eflags.to_le_bytes());
        body.extend(self.seed.to_le_bytes());
        body.push(match self.outcome {
            Outcome::Completed => 1,
            Outcome::Exception(vector) => vector,
        });
        body.extend(self.error_code.to_le_bytes());
        let changed: Vec<usize> = (0..8)
            .filter(|&i| self.registers[i] != self.registers_after[i])
            .collect();
        let mask: u16 = changed.iter().map(|i| 1 << i).sum();
        body.extend(mask.to_le_bytes());
        body.extend(
            changed
                .iter()
                .flat_map(|&i| self.registers_after[i].to_le_bytes()),
        );
        body.extend(self.eflags_after.to_le_bytes());
        body.push(self.eip_advance);
        body.extend(self.undefined_flags.to_le_bytes());
        body.push(self.memory_after.len() as u8);
        for (offset, value) in &self.memory_after {
            body.extend(offset.to_le_bytes());
            body.push(*value);
        }
        let mut record = (body.len() as u16).to_le_bytes().to_vec();
        record.extend(body);
        record
    }

    /// The instruction as iced-x86 decodes it at [`CODE`].
    pub fn instruction(&self) -> Instruction {
        Decoder::with_ip(32, &self.bytes, CODE.into(), DecoderOptions::NONE).decode()
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
        window(self.seed)
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
        self.outcome != Outcome::Completed && linear < self.registers[4]
    }

    /// The bytes at [`CODE`].
    pub fn code_bytes(&self) -> [u8; CODE_BYTES] {
        let mut bytes = [0xF4; CODE_BYTES];
        bytes[..self.bytes.len()].copy_from_slice(&self.bytes);
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
        let instruction = self.instruction();
        if instruction.mnemonic() == Mnemonic::Enter {
            return Vec::new();
        }
        let bit_string = self.bit_string_offset(&instruction);
        let mut factory = InstructionInfoFactory::new();
        let accesses = factory.info(&instruction).used_memory();
        accesses
            .iter()
            .filter_map(|access| {
                let first = access.virtual_address(0, |register, _, _| self.register(register))?;
                let first = (first as u32).wrapping_add(bit_string);
                let bytes = access.memory_size().size().max(1) as u32;
                let last = first.wrapping_add(bytes - 1);
                let ends = [first, last & !(paging::PAGE_BYTES - 1)];
                ends.into_iter().find(|address| !USER.contains(address))
            })
            .collect()
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

    /// The value before of a register in an address; segments have base 0.
    fn register(&self, register: Register) -> Option<u64> {
        if register.is_segment_register() {
            return Some(0);
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

    fn example() -> Case {
        Case {
            bytes: vec![0x01, 0x08],
            code: Code::Add_rm32_r32,
            registers: [0x1002_0010, 1, 2, 3, 0x1002_F000, 5, 6, 7],
            eflags: 2,
            seed: 1,
            outcome: Outcome::Completed,
            error_code: 0,
            registers_after: [0x1002_0010, 1, 2, 3, 0x1002_F000, 5, 6, 7],
            eflags_after: 0,
            eip_advance: 2,
            undefined_flags: 0,
            memory_after: vec![(0x10, 0x55)],
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let case = example();
        assert_eq!(read(&case.to_record()).expect("a good record"), [case]);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_and_says_where() {
        let first = example().to_record();
        let file = [first.clone(), first.clone()].concat();
        for end in 1..file.len() {
            if end == first.len() {
                continue;
            }
            let error = read(&file[..end]).expect_err("a cut file");
            let at = if end < first.len() {
                "record 0 (at byte 0)"
            } else {
                "record 1 (at byte"
            };
            assert!(error.to_string().starts_with(at), "{error}");
        }
        assert!(matches!(read(&[]), Err(ReadError::Empty)));
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused() {
        let good = example().to_record();
        let refused = |at: usize, value: u8, says: &str| {
            let mut bad = good.clone();
            bad[at] = value;
            let error = read(&bad).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        };
        refused(2, 0, "an instruction of 0 bytes");
        refused(2, 16, "an instruction of 16 bytes");
        refused(6, 0xFF, "no number of an iced-x86 code");
        refused(49, 200, "outcome 200");
        refused(53, 1, "mask of changed registers");
        refused(0, good[0] + 4, "");
    }

    #[test]
    fn the_window_holds_the_state_after_each_update() {
        let bytes = window(1);
        assert_eq!(bytes.len(), WINDOW_BYTES);
        // 1 ^ 1<<13 = 2001h; ^ >>7 (40h) = 2041h; ^ <<17 = 40822041h.
        assert_eq!(bytes[..8], 0x4082_2041_u64.to_le_bytes());
    }
}
