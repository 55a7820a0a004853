//! Disassembly around an address.

use crate::debug::Debuggee;
use crate::symbols::Symbols;
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, MasmFormatter, SymbolResolver,
    SymbolResult,
};
use std::sync::Arc;

/// Bytes before an address within which the symbol is looked for from which it is disassembled.
const ANCHOR_BYTES: u32 = 1024;

/// Longest instruction, in bytes.
const LONGEST: u32 = 15;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Linear address.
    pub linear: u32,
    /// Its bytes; empty where there is no memory.
    pub bytes: Vec<u8>,
    /// What it is, `call    nt!NtWriteFile`.
    pub text: String,
    /// The symbol that begins here.
    pub label: Option<String>,
    /// How it goes on.
    pub flow: FlowControl,
}

impl Line {
    /// Bytes to the next line.
    pub fn length(&self) -> u32 {
        self.bytes.len().max(1) as u32
    }

    /// The mnemonic.
    pub fn mnemonic(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }
}

struct Resolver {
    symbols: Arc<Symbols>,
    cs_base: u32,
}

impl SymbolResolver for Resolver {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        operand: u32,
        instruction_operand: Option<u32>,
        address: u64,
        _size: u32,
    ) -> Option<SymbolResult<'_>> {
        let is_branch = instruction_operand.is_some()
            && operand == 0
            && matches!(
                instruction.flow_control(),
                FlowControl::Call
                    | FlowControl::UnconditionalBranch
                    | FlowControl::ConditionalBranch
            );
        let address = address as u32;
        let linear = match is_branch {
            true => self.cs_base.wrapping_add(address),
            false => address,
        };
        let place = self.symbols.at(linear);
        // Numbers that lie behind a symbol by chance are left as they are.
        let symbol = place.symbol.filter(|_| is_branch || place.offset() == 0)?;
        let name = format!("{}!{}", symbol.module, symbol.name);
        let begin = linear - place.offset();
        let begin = begin.wrapping_sub(linear.wrapping_sub(address));
        Some(SymbolResult::with_string(begin.into(), name))
    }
}

/// Reads code of a stopped machine.
pub struct Code {
    symbols: Arc<Symbols>,
}

impl Code {
    /// With names from `symbols`.
    pub fn new(symbols: Arc<Symbols>) -> Self {
        Self { symbols }
    }

    /// The instruction at a linear address.
    pub fn line(&self, debuggee: &mut Debuggee, linear: u32) -> Line {
        let registers = debuggee.registers();
        let (bits, cs_base) = (registers.code_bits(), registers.base(spec::registers::CS));
        let bytes: Vec<u8> = debuggee
            .read(linear, LONGEST as usize)
            .into_iter()
            .map_while(|byte| byte)
            .collect();
        let place = self.symbols.at(linear);
        let label = place
            .symbol
            .filter(|_| place.offset() == 0)
            .map(|_| place.to_string());
        let ip = linear.wrapping_sub(cs_base);
        let instruction = Decoder::with_ip(bits, &bytes, ip.into(), DecoderOptions::NONE).decode();
        if instruction.is_invalid() {
            let (bytes, text) = match bytes.first() {
                Some(&byte) => (vec![byte], "???".to_string()),
                None => (Vec::new(), "????????".to_string()),
            };
            let flow = FlowControl::Next;
            return Line {
                linear,
                bytes,
                text,
                label,
                flow,
            };
        }
        let resolver = Resolver {
            symbols: Arc::clone(&self.symbols),
            cs_base,
        };
        let mut formatter = MasmFormatter::with_options(Some(Box::new(resolver)), None);
        formatter.options_mut().set_first_operand_char_index(8);
        formatter.options_mut().set_show_branch_size(false);
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        Line {
            linear,
            bytes: bytes[..instruction.len()].to_vec(),
            text,
            label,
            flow: instruction.flow_control(),
        }
    }

    /// `count` instructions from an address on.
    pub fn from(&self, debuggee: &mut Debuggee, linear: u32, count: usize) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::with_capacity(count);
        let mut at = linear;
        for _ in 0..count {
            let line = self.line(debuggee, at);
            at = at.wrapping_add(line.length());
            lines.push(line);
        }
        lines
    }

    /// The address of the instruction `count` before one. Where that is not certain, for code cannot be read backwards,
    /// what disassembles to this address.
    pub fn before(&self, debuggee: &mut Debuggee, linear: u32, count: usize) -> u32 {
        let mut at = linear;
        let mut left = count;
        while left > 0 {
            let starts = self.starts(debuggee, at);
            if starts.is_empty() {
                break;
            }
            let taken = left.min(starts.len());
            at = starts[starts.len() - taken];
            left -= taken;
        }
        at
    }

    /// Addresses of instructions that lead up to `linear`, the nearest last.
    fn starts(&self, debuggee: &mut Debuggee, linear: u32) -> Vec<u32> {
        let Some(previous) = linear.checked_sub(1) else {
            return Vec::new();
        };
        let symbol = self.symbols.at(previous).symbol;
        if let Some(anchor) = symbol
            .map(|symbol| symbol.address)
            .filter(|anchor| linear - anchor <= ANCHOR_BYTES)
        {
            let mut starts = Vec::new();
            let mut at = anchor;
            while at < linear {
                starts.push(at);
                at = at.wrapping_add(self.line(debuggee, at).length());
            }
            if at == linear {
                return starts;
            }
        }
        for length in 1..=LONGEST.min(linear) {
            let line = self.line(debuggee, linear - length);
            if line.bytes.len() as u32 == length && !line.text.starts_with('?') {
                return vec![linear - length];
            }
        }
        vec![previous]
    }
}
