//! How vector files are written: two formats of little-endian records, compressed with xz or not.
//!
//! The first has a flat environment and a window of its own in each case; `tests/vectors/README.md` tells its fields. The
//! second, which the recorder writes, begins with a header and has segments:
//!
//! ```text
//! 8 bytes  "SYSGATE2"
//! u64      seed of the window of all cases
//! u16      n, then n x u64: descriptors of the LDT
//! ```
//! and then has records:
//! ```text
//! u16  length of the rest of the record
//! u8   n, then n instruction bytes
//! u16  number of the encoding: iced-x86 1.22 `Code`
//! u32  x 8, EAX ECX EDX EBX ESP EBP ESI EDI before
//! u32  EFLAGS before, u32 EIP before
//! u8   mask of ES CS SS DS FS GS that are not those of a flat program, then a u16 for each: before
//! runs what the case changes in the window before it begins
//! u8   outcome: 1 completed, else the exception vector (80h added to vector 1)
//! u16  error code
//! u32  address of the page fault, only if the outcome is 14
//! u8   mask of the registers that changed, then a u32 for each
//! u8   mask of the selectors that changed, then a u16 for each
//! u32  EFLAGS after, u32 EIP after minus EIP before
//! runs what changed in the window
//!
//! runs: u16 n, then n times u16 offset, u8 length, bytes
//! ```
use super::environment::FLAT;
use super::{CODE, Case, Environment, Outcome, decode};
use iced_x86::{Code, Instruction};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file of the second format begins with.
const MAGIC: &[u8; 8] = b"SYSGATE2";
/// Outcome 1 is that of an instruction that completed.
const COMPLETED: u8 = 1;
const DEBUG_EXCEPTION: u8 = 0x81;
/// Instructions of more than 15 bytes are recorded, but not much longer ones.
const MAXIMUM_BYTES: usize = 24;
const MAXIMUM_SEGMENTS: usize = 8192;

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
    /// The header contradicts itself.
    #[error("the vector file's header: {0}")]
    Header(String),
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

/// Reads an uncompressed vector file.
///
/// # Errors
/// As [`read_file`].
pub fn read(file: &[u8]) -> Result<Vec<Case>, ReadError> {
    let Some(rest) = file.strip_prefix(MAGIC) else {
        let environment = Arc::new(Environment::plain());
        return read_records(file, 0, |body| Case::parse_plain(body, &environment));
    };
    let mut fields = Fields(rest);
    let environment = read_header(&mut fields).map_err(ReadError::Header)?;
    let environment = Arc::new(environment);
    let start = file.len() - fields.0.len();
    read_records(file, start, |body| Case::parse(body, &environment))
}

fn read_header(fields: &mut Fields) -> Result<Environment, String> {
    let seed = fields.u64()?;
    let count = usize::from(fields.u16()?);
    if count > MAXIMUM_SEGMENTS {
        return Err(format!("an LDT of {count} descriptors"));
    }
    let ldt = (0..count)
        .map(|_| fields.u64())
        .collect::<Result<Vec<u64>, String>>()?;
    Ok(Environment::segmented(ldt, seed))
}

fn read_records(
    file: &[u8],
    start: usize,
    parse: impl Fn(&[u8]) -> Result<Case, String>,
) -> Result<Vec<Case>, ReadError> {
    let mut cases = Vec::new();
    let mut offset = start;
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
        let case = parse(body).map_err(|problem| ReadError::Malformed {
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

/// The vector file of these cases, not compressed. All must have the same environment.
///
/// # Panics
/// If they have not, or if there is no case.
pub fn write(cases: &[Case]) -> Vec<u8> {
    let environment = &cases[0].environment;
    assert!(
        cases.iter().all(|case| case.environment == *environment),
        "a vector file has one environment"
    );
    let mut file = Vec::new();
    if !environment.is_plain() {
        file.extend(MAGIC);
        file.extend(environment.window_seed.to_le_bytes());
        file.extend((environment.ldt.len() as u16).to_le_bytes());
        file.extend(environment.ldt.iter().flat_map(|raw| raw.to_le_bytes()));
    }
    for case in cases {
        file.extend(case.to_record());
    }
    file
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

    fn u64(&mut self) -> Result<u64, String> {
        self.number().map(u64::from_le_bytes)
    }

    /// An instruction and the number of its encoding.
    fn instruction(&mut self, maximum: usize) -> Result<(Vec<u8>, Code), String> {
        let length = usize::from(self.u8()?);
        if !(1..=maximum).contains(&length) {
            return Err(format!("an instruction of {length} bytes"));
        }
        let bytes = self.bytes(length)?.to_vec();
        let number = self.u16()?;
        let code = Code::try_from(usize::from(number))
            .map_err(|_| format!("{number} is no number of an iced-x86 code"))?;
        Ok((bytes, code))
    }

    fn registers(&mut self) -> Result<[u32; 8], String> {
        let mut registers = [0; 8];
        for register in &mut registers {
            *register = self.u32()?;
        }
        Ok(registers)
    }

    /// A mask with `bits` bits that may be set, and a value for each that is.
    fn changes<T: Copy>(
        &mut self,
        mask: u16,
        values: &mut [T],
        value: impl Fn(&mut Self) -> Result<T, String>,
    ) -> Result<(), String> {
        if u32::from(mask) >> values.len() != 0 {
            return Err(format!("the mask of changed registers is {mask:04X}"));
        }
        for (number, slot) in values.iter_mut().enumerate() {
            if mask >> number & 1 != 0 {
                *slot = value(self)?;
            }
        }
        Ok(())
    }

    /// Bytes of the window, with their offsets.
    fn runs(&mut self) -> Result<Vec<(u16, u8)>, String> {
        let mut found = Vec::new();
        for _ in 0..self.u16()? {
            let (offset, length) = (self.u16()?, usize::from(self.u8()?));
            if usize::from(offset) + length > super::WINDOW_BYTES {
                return Err(format!("{length} bytes at {offset:04X} of the window"));
            }
            found.extend((offset..=u16::MAX).zip(self.bytes(length)?.iter().copied()));
        }
        Ok(found)
    }

    fn end(&self) -> Result<(), String> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(format!("{} bytes too many", self.0.len()))
        }
    }
}

/// The mask of the values that differ.
fn mask<T: PartialEq>(before: &[T], after: &[T]) -> u16 {
    let pairs = before.iter().zip(after).enumerate();
    pairs
        .filter(|(_, (before, after))| before != after)
        .map(|(number, _)| 1 << number)
        .sum()
}

/// The values of `after` that differ from those of `before`, as bytes.
fn changed<'a, T: PartialEq + Copy + 'a, const N: usize>(
    before: &'a [T],
    after: &'a [T],
    bytes: fn(T) -> [u8; N],
) -> impl Iterator<Item = u8> + 'a {
    let pairs = before.iter().zip(after);
    pairs
        .filter(|(before, after)| before != after)
        .flat_map(move |(_, after)| bytes(*after))
}

fn runs(bytes: &[(u16, u8)]) -> Vec<u8> {
    let follows = |left: &(u16, u8), right: &(u16, u8)| left.0.checked_add(1) == Some(right.0);
    let mut pieces = Vec::new();
    for run in bytes.chunk_by(follows) {
        pieces.extend(run.chunks(255));
    }
    let mut record = (pieces.len() as u16).to_le_bytes().to_vec();
    for piece in pieces {
        record.extend(piece[0].0.to_le_bytes());
        record.push(piece.len() as u8);
        record.extend(piece.iter().map(|(_, value)| value));
    }
    record
}

impl Case {
    /// Reads one record of the first format without its length; says what is wrong with it.
    fn parse_plain(body: &[u8], environment: &Arc<Environment>) -> Result<Case, String> {
        let mut fields = Fields(body);
        let (bytes, code) = fields.instruction(15)?;
        let registers = fields.registers()?;
        let eflags = fields.u16()?;
        let seed = fields.u64()?;
        let outcome = match fields.u8()? {
            COMPLETED => Outcome::Completed,
            vector @ (0 | 2..=31) => Outcome::Exception(vector),
            other => return Err(format!("outcome {other} is neither 1 nor an exception")),
        };
        let error_code = fields.u16()?;
        let mut registers_after = registers;
        let mask = fields.u16()?;
        fields.changes(mask, &mut registers_after, Fields::u32)?;
        let eflags_after = fields.u16()?;
        let eip_advance = fields.u8()?;
        let undefined_flags = fields.u16()?;
        let count = fields.u8()?;
        let mut memory_after = Vec::new();
        for _ in 0..count {
            memory_after.push((fields.u16()?, fields.u8()?));
        }
        fields.end()?;
        Ok(Case {
            environment: Arc::clone(environment),
            bytes,
            code,
            registers,
            selectors: FLAT,
            eflags: eflags.into(),
            eip: CODE,
            seed,
            memory: Vec::new(),
            outcome,
            error_code,
            cr2: None,
            registers_after,
            selectors_after: FLAT,
            eflags_after: eflags_after.into(),
            eip_after: CODE + u32::from(eip_advance),
            undefined_flags,
            memory_after,
        })
    }

    /// Reads one record of the second format without its length; says what is wrong with it.
    fn parse(body: &[u8], environment: &Arc<Environment>) -> Result<Case, String> {
        let mut fields = Fields(body);
        let (bytes, code) = fields.instruction(MAXIMUM_BYTES)?;
        let registers = fields.registers()?;
        let (eflags, eip) = (fields.u32()?, fields.u32()?);
        let mut selectors = FLAT;
        let mask = fields.u8()?.into();
        fields.changes(mask, &mut selectors, Fields::u16)?;
        let memory = fields.runs()?;
        let outcome = match fields.u8()? {
            COMPLETED => Outcome::Completed,
            DEBUG_EXCEPTION => Outcome::Exception(spec::exceptions::DB),
            vector @ (0 | 2..=31) => Outcome::Exception(vector),
            other => return Err(format!("outcome {other} is neither 1 nor an exception")),
        };
        let error_code = fields.u16()?;
        let cr2 = match outcome {
            Outcome::Exception(spec::exceptions::PF) => Some(fields.u32()?),
            _ => None,
        };
        let mut registers_after = registers;
        let mask = fields.u8()?.into();
        fields.changes(mask, &mut registers_after, Fields::u32)?;
        let mut selectors_after = selectors;
        let mask = fields.u8()?.into();
        fields.changes(mask, &mut selectors_after, Fields::u16)?;
        let eflags_after = fields.u32()?;
        let eip_after = eip.wrapping_add(fields.u32()?);
        let memory_after = fields.runs()?;
        fields.end()?;
        let mut case = Case {
            environment: Arc::clone(environment),
            bytes,
            code,
            registers,
            selectors,
            eflags,
            eip,
            seed: 0,
            memory,
            outcome,
            error_code,
            cr2,
            registers_after,
            selectors_after,
            eflags_after,
            eip_after,
            undefined_flags: 0,
            memory_after,
        };
        let instruction: Instruction = decode(&case.bytes, case.bits(), case.eip);
        case.undefined_flags = instruction.rflags_undefined() as u16;
        Ok(case)
    }

    /// The record of this case, with its length.
    pub fn to_record(&self) -> Vec<u8> {
        let mut body = vec![self.bytes.len() as u8];
        body.extend(&self.bytes);
        body.extend((self.code as u16).to_le_bytes());
        let registers = self.registers.iter();
        body.extend(registers.flat_map(|register| register.to_le_bytes()));
        if self.environment.is_plain() {
            self.end_plain_record(&mut body);
        } else {
            self.end_record(&mut body);
        }
        let mut record = (body.len() as u16).to_le_bytes().to_vec();
        record.extend(body);
        record
    }

    fn outcome_byte(&self) -> u8 {
        match self.outcome {
            Outcome::Completed => COMPLETED,
            Outcome::Exception(spec::exceptions::DB) => DEBUG_EXCEPTION,
            Outcome::Exception(vector) => vector,
        }
    }

    fn end_plain_record(&self, body: &mut Vec<u8>) {
        body.extend((self.eflags as u16).to_le_bytes());
        body.extend(self.seed.to_le_bytes());
        body.push(self.outcome_byte());
        body.extend(self.error_code.to_le_bytes());
        body.extend(mask(&self.registers, &self.registers_after).to_le_bytes());
        body.extend(changed(
            &self.registers,
            &self.registers_after,
            u32::to_le_bytes,
        ));
        body.extend((self.eflags_after as u16).to_le_bytes());
        body.push(self.eip_after.wrapping_sub(self.eip) as u8);
        body.extend(self.undefined_flags.to_le_bytes());
        body.push(self.memory_after.len() as u8);
        for (offset, value) in &self.memory_after {
            body.extend(offset.to_le_bytes());
            body.push(*value);
        }
    }

    fn end_record(&self, body: &mut Vec<u8>) {
        body.extend(self.eflags.to_le_bytes());
        body.extend(self.eip.to_le_bytes());
        body.push(mask(&FLAT, &self.selectors) as u8);
        body.extend(changed(&FLAT, &self.selectors, u16::to_le_bytes));
        body.extend(runs(&self.memory));
        body.push(self.outcome_byte());
        body.extend(self.error_code.to_le_bytes());
        if self.outcome == Outcome::Exception(spec::exceptions::PF) {
            body.extend(self.cr2.unwrap_or(0).to_le_bytes());
        }
        body.push(mask(&self.registers, &self.registers_after) as u8);
        body.extend(changed(
            &self.registers,
            &self.registers_after,
            u32::to_le_bytes,
        ));
        body.push(mask(&self.selectors, &self.selectors_after) as u8);
        body.extend(changed(
            &self.selectors,
            &self.selectors_after,
            u16::to_le_bytes,
        ));
        body.extend(self.eflags_after.to_le_bytes());
        body.extend(self.eip_after.wrapping_sub(self.eip).to_le_bytes());
        body.extend(runs(&self.memory_after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Case {
        Case {
            environment: Arc::new(Environment::plain()),
            bytes: vec![0x01, 0x08],
            code: Code::Add_rm32_r32,
            registers: [0x1002_0010, 1, 2, 3, 0x1002_F000, 5, 6, 7],
            selectors: FLAT,
            eflags: 2,
            eip: CODE,
            seed: 1,
            memory: Vec::new(),
            outcome: Outcome::Completed,
            error_code: 0,
            cr2: None,
            registers_after: [0x1002_0010, 1, 2, 3, 0x1002_F000, 5, 6, 7],
            selectors_after: FLAT,
            eflags_after: 0,
            eip_after: CODE + 2,
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
    fn a_record_with_segments_reads_back_as_it_was_written() {
        let environment =
            Environment::segmented(vec![0x00CF_F300_0000_FFFF, 0x0040_F300_0000_0000], 5);
        let case = Case {
            environment: Arc::new(environment),
            selectors: [0x2B, 0x23, 7, 0x2B, 15, 0],
            eip: 0x1000_0234,
            seed: 0,
            memory: vec![(0xFFFE, 1), (0xFFFF, 2), (3, 4)],
            outcome: Outcome::Exception(spec::exceptions::PF),
            error_code: 7,
            cr2: Some(0x1003_0000),
            registers_after: [0x1002_0010, 1, 2, 3, 0x1002_F000, 5, 6, 0],
            selectors_after: [0x2B, 0x23, 7, 0, 15, 0],
            eip_after: 0x1000_0234,
            memory_after: (0..600).map(|offset| (offset, offset as u8)).collect(),
            ..example()
        };
        let mut debugged = case.clone();
        debugged.outcome = Outcome::Exception(spec::exceptions::DB);
        debugged.cr2 = None;
        let cases = [case, debugged];
        assert_eq!(read(&write(&cases)).expect("a good file"), cases);
        let file = write(&cases);
        for end in 9..30 {
            assert!(read(&file[..end]).is_err(), "{end}");
        }
    }
}
