//! The length decoder as Verilator sees it, against iced-x86.
//!
//! [`model`] runs the emitted Verilog of `hdl::decode::predecode`; [`oracle`] compares what it found with what iced-x86
//! makes of the same bytes: length, prefixes, every operand, and whether there is such an instruction at all (the row
//! of the opcode ROM that predecode names).

pub mod model;
pub mod oracle;

use crate::random::Random;
use model::{Model, Question};
use std::fmt;

/// A string of bytes of which model and iced-x86 think otherwise.
#[derive(Debug)]
pub struct Difference {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// 16 or 32.
    pub bits: u32,
    /// Each in one line.
    pub differences: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-bit code, {:02X?}:", self.bits, self.bytes)?;
        let lines = self.differences.iter();
        lines.into_iter().try_for_each(|line| write!(f, " {line};"))
    }
}

/// What a comparison did.
#[derive(Debug, Default)]
pub struct Report {
    /// Strings of bytes that were decoded.
    pub decoded: usize,
    /// Of these, how many both found to be an instruction.
    pub instructions: usize,
    /// How many they differ in.
    pub failed: usize,
    /// The first of these, not more than [`MAXIMUM_DIFFERENCES`].
    pub differences: Vec<Difference>,
}

/// Differences that a report keeps.
pub const MAXIMUM_DIFFERENCES: usize = 100;
/// Bytes that follow in each question: more than the longest instruction and what is fetched ahead.
const BYTES: usize = model::MAXIMUM_BYTES;

/// Compares what the model makes of these questions with what iced-x86 makes of them.
///
/// # Panics
/// If the model's program fails.
pub fn compare(model: &Model, questions: &[Question]) -> Report {
    let rows = oracle::Rows::new();
    let answers = model.answer(questions);
    let mut report = Report {
        decoded: questions.len(),
        ..Report::default()
    };
    for (question, answer) in questions.iter().zip(&answers) {
        match oracle::differences(question, answer, &rows) {
            Ok(is_instruction) => report.instructions += usize::from(is_instruction),
            Err(differences) => {
                report.failed += 1;
                if report.differences.len() < MAXIMUM_DIFFERENCES {
                    report.differences.push(Difference {
                        bytes: question.bytes[..usize::from(question.available).max(1)].to_vec(),
                        bits: question.bits(),
                        differences,
                    });
                }
            }
        }
    }
    report
}

/// Every opcode of one and two bytes with every ModRM, in 16- and 32-bit code, with and without both size prefixes.
pub fn exhaustive(random: &mut Random) -> Vec<Question> {
    let mut questions = Vec::new();
    for variant in 0..8_u8 {
        for opcode in 0..512_u16 {
            for modrm in 0..=255 {
                let mut bytes = Vec::with_capacity(BYTES);
                if variant & 1 != 0 {
                    bytes.push(0x66);
                }
                if variant & 2 != 0 {
                    bytes.push(0x67);
                }
                if opcode >= 256 {
                    bytes.push(0x0F);
                }
                bytes.extend([opcode as u8, modrm]);
                questions.push(Question::new(bytes, variant & 4 != 0, random));
            }
        }
    }
    questions
}

/// Random bytes behind random prefixes.
pub fn random_questions(random: &mut Random, count: usize) -> Vec<Question> {
    const PREFIXES: [u8; 11] = [
        0x66, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0xF0, 0xF2, 0xF3,
    ];
    let question = |random: &mut Random| {
        let prefixes = match random.below(16) {
            0..6 => 0,
            6..11 => 1,
            11..14 => random.below(4),
            _ => random.below(16),
        };
        let mut bytes: Vec<u8> = (0..prefixes)
            .map(|_| PREFIXES[random.below(PREFIXES.len() as u64) as usize])
            .collect();
        if random.one_in(3) {
            bytes.push(0x0F);
        }
        let code32 = !random.one_in(3);
        let mut question = Question::new(bytes, code32, random);
        if random.one_in(12) {
            question.available = random.below(16) as u8;
        }
        question
    };
    (0..count).map(|_| question(random)).collect()
}

/// Compares `count` random questions on all cores.
///
/// # Panics
/// As [`compare`].
pub fn campaign(model: &Model, count: usize, seed: u64) -> Report {
    const PIECE: usize = 250_000;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let pieces = count.div_ceil(PIECE);
    let run = |core: usize| {
        let mut sum = Report::default();
        for piece in (core..pieces).step_by(cores) {
            let mut random = Random::silent(seed.wrapping_add((piece as u64) << 32));
            let count = PIECE.min(count - piece * PIECE);
            sum.merge(compare(model, &random_questions(&mut random, count)));
        }
        sum
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || run(core)))
            .collect();
        let mut sum = Report::default();
        for thread in threads {
            sum.merge(thread.join().expect("a comparison that ends"));
        }
        sum
    })
}

impl Report {
    /// Adds what another comparison found.
    pub fn merge(&mut self, other: Report) {
        self.decoded += other.decoded;
        self.instructions += other.instructions;
        self.failed += other.failed;
        self.differences.extend(other.differences);
        self.differences.truncate(MAXIMUM_DIFFERENCES);
    }
}
