//! The emitted Verilog of the length decoder in Verilator, as a program of its own.
use crate::differential::verilator;
use crate::random::Random;
use hdl::bundles::Predecoded;
use hdl::decode::predecode::Predecode;
use rust_hdl_core::prelude::{Block, Synth};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Bytes of a question.
pub const MAXIMUM_BYTES: usize = 28;
const QUESTION_BYTES: usize = 32;
const ANSWER_BYTES: usize = 32;
/// EIP of the first byte.
pub const EIP: u32 = 0x1234;

/// A string of bytes to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The bytes.
    pub bytes: [u8; MAXIMUM_BYTES],
    /// How many of them can be fetched.
    pub available: u8,
    /// They are 32-bit code.
    pub code32: bool,
}

impl Question {
    /// These bytes and random ones behind them.
    pub fn new(mut first: Vec<u8>, code32: bool, random: &mut Random) -> Question {
        while first.len() < MAXIMUM_BYTES {
            first.extend(random.word().to_le_bytes());
        }
        let mut bytes = [0; MAXIMUM_BYTES];
        bytes.copy_from_slice(&first[..MAXIMUM_BYTES]);
        Question {
            bytes,
            available: MAXIMUM_BYTES as u8,
            code32,
        }
    }

    /// 16 or 32.
    pub fn bits(&self) -> u32 {
        if self.code32 { 32 } else { 16 }
    }
}

/// What the decoder found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// It found an instruction or a fault.
    pub found: bool,
    /// Row of the opcode ROM.
    pub row_index: u16,
    /// `hdl::bundles::Predecoded`, from its lowest bit.
    predecoded: [u8; 24],
}

/// Where a field is in [`Answer`]: lowest bit and width.
#[derive(Debug, Clone, Copy)]
pub struct Field(usize, usize);

impl Answer {
    /// A field of what the decoder hands over.
    pub fn field(&self, Field(low, width): Field) -> u32 {
        (0..width).fold(0, |value, bit| {
            let at = low + bit;
            value | u32::from(self.predecoded[at / 8] >> (at % 8) & 1) << bit
        })
    }
}

/// Where `field` is, which alone has all bits set in `value`.
pub fn field(value: Predecoded) -> Field {
    let text = format!("{:x}", value.verilog());
    let digits = text.rsplit('h').next().expect("a number");
    let bits: Vec<bool> = digits
        .chars()
        .rev()
        .filter_map(|digit| digit.to_digit(16))
        .flat_map(|digit| (0..4).map(move |bit| digit >> bit & 1 != 0))
        .collect();
    let low = bits.iter().position(|bit| *bit).expect("a bit that is set");
    Field(low, bits.iter().filter(|bit| **bit).count())
}

/// The compiled decoder.
pub struct Model {
    name: String,
    program: PathBuf,
}

impl Model {
    /// Emits, verilates and compiles the decoder into `target/differential/<name>`.
    ///
    /// # Panics
    /// If one of these fails.
    pub fn build(name: &str) -> Model {
        let mut block = Predecode::new();
        block.connect_all();
        let verilog = hdl::emit::emit("predecode", &block).expect("a block that can be emitted");
        let folder = verilator::folder(name);
        fs::write(folder.join("design.sv"), &verilog.text).expect("the folder can be written");
        let bits = Predecoded::BITS;
        assert!(
            bits <= 192,
            "the driver copies 24 bytes, Predecoded has {bits} bits"
        );
        let marks: Vec<_> = hdl::decode::length::marks()
            .into_iter()
            .map(|mark| mark.index().to_string())
            .collect();
        let driver = DRIVER
            .replace("WORDS", &bits.div_ceil(32).to_string())
            .replace("BYTE_MARKS", &marks.join(", "));
        fs::write(folder.join("driver.cpp"), driver).expect("the folder can be written");
        let program = verilator::build(&folder, "predecode", &["design.sv"], "driver.cpp");
        Model {
            name: name.to_string(),
            program,
        }
    }

    /// Removes the compiled program and what it was made of.
    pub fn remove(self) {
        let name = self.name;
        let _ = fs::remove_dir_all(verilator::folder(&name));
    }

    /// Decodes each string of bytes.
    ///
    /// # Panics
    /// If the program cannot be run or does not answer.
    pub fn answer(&self, questions: &[Question]) -> Vec<Answer> {
        let mut child = Command::new(&self.program)
            // Ctrl-C is for us alone: what has been asked is answered.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the model can be started");
        let mut asked = child.stdin.take().expect("a pipe");
        let mut answered = child.stdout.take().expect("a pipe");
        let mut bytes = Vec::with_capacity(questions.len() * ANSWER_BYTES);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut file = Vec::with_capacity(questions.len() * QUESTION_BYTES);
                for question in questions {
                    file.extend([question.available, question.code32.into(), 0, 0]);
                    file.extend(question.bytes);
                }
                asked.write_all(&file).expect("the model reads");
            });
            answered.read_to_end(&mut bytes).expect("the model answers");
        });
        let status = child.wait().expect("the model ends");
        assert!(status.success(), "the model ended with {status}");
        assert_eq!(bytes.len(), questions.len() * ANSWER_BYTES);
        let answers = bytes.chunks_exact(ANSWER_BYTES);
        answers
            .map(|bytes| Answer {
                found: bytes[0] != 0,
                row_index: u16::from_le_bytes([bytes[2], bytes[3]]),
                predecoded: bytes[4..28].try_into().expect("24 bytes"),
            })
            .collect()
    }
}

const DRIVER: &str = r#"#include "Vpredecode.h"
#include <cstdint>
#include <cstdio>
#include <cstring>
static const uint16_t MARKS[256] = {BYTE_MARKS};
struct Question { uint8_t available, code32, unused[2], bytes[28]; };
struct Answer { uint8_t found, steps; uint16_t row_index; uint32_t predecoded[6]; uint32_t unused; };
static_assert(sizeof(Question) == 32 && sizeof(Answer) == 32, "as the other side has them");
int main() {
    VerilatedContext context;
    Vpredecode& top = *new Vpredecode(&context);
    const auto clock = [&] { top.clock = 1; top.eval(); top.clock = 0; };
    static char in[1 << 16], out[1 << 16];
    setvbuf(stdin, in, _IOFBF, sizeof in);
    setvbuf(stdout, out, _IOFBF, sizeof out);
    Question question;
    while (fread(&question, sizeof question, 1, stdin) == 1) {
        Answer answer = {};
        top.flush = 1;
        top.advance = 0;
        top.eval();
        clock();
        top.flush = 0;
        top.advance = 1;
        top.code32 = question.code32;
        top.fetch_fault_code = 4;
        top.fetch_fault_linear = 0xABCDE000;
        unsigned at = 0;
        for (; answer.steps < 32; ++answer.steps) {
            const unsigned left = question.available > at ? question.available - at : 0;
            uint8_t window[12];
            // What is behind the bytes that are there means nothing.
            memset(window, 0xA5, sizeof window);
            memcpy(window, question.bytes + at, left < 12 ? left : 12);
            memcpy(top.window.data(), window, sizeof window);
            top.window_marks = MARKS[window[0]] | uint32_t{MARKS[window[1]]} << 16;
            top.window_bytes = left < 12 ? left : 12;
            top.fetch_fault = left < 12;
            top.head_eip = 0x1234 + at;
            top.eval();
            if (top.found) {
                answer.found = 1;
                answer.row_index = top.row_index;
                memcpy(answer.predecoded, top.predecoded.data(), 4 * WORDS);
                break;
            }
            if (!top.consume) break;
            at += top.consume_bytes;
            clock();
        }
        fwrite(&answer, sizeof answer, 1, stdout);
    }
    return 0;
}
"#;
