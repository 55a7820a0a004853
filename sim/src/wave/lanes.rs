//! The texts of one clock.

use crate::machine::Clock;
use crate::symbols::Symbols;
use crate::trace::{Instructions, disassemble, microcode_name};
use spec::pipeline::STALL_REASONS;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use verilator_sys::Texts;

/// Addresses that get a name in the viewers, at most: a file of this many lines still loads at once.
const SEEN_LIMIT: usize = 100_000;

/// What the waveform shows, for the files beside it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Every EIP in the pipeline, with its linear address and the ring at its first time there.
    pub addresses: BTreeMap<u32, (u32, u8)>,
    /// The cycle of the first retirement.
    pub first_cycle: Option<u64>,
}

/// An instruction that was disassembled before: its code, whether that is of 32 bits, its text.
type Known = (Vec<u8>, bool, String);

pub(super) struct Lanes {
    symbols: Arc<Symbols>,
    seen: Arc<Mutex<Seen>>,
    instructions: Instructions,
    known: HashMap<u32, Known>,
    eips: HashMap<u32, ()>,
    cpl: u8,
    stalls: Option<u32>,
}

impl Lanes {
    pub(super) fn new(symbols: Arc<Symbols>, seen: Arc<Mutex<Seen>>) -> Self {
        Self {
            symbols,
            seen,
            instructions: Instructions::default(),
            known: HashMap::new(),
            eips: HashMap::new(),
            cpl: 0,
            stalls: None,
        }
    }

    pub(super) fn clock(&mut self, clock: &Clock, texts: &mut Texts) {
        self.retire(clock, texts);
        let pipeline = clock.pipeline;
        set(&mut texts.fetch, &format!("{} bytes", pipeline.fetch_bytes));
        for (eip, text) in [
            (pipeline.decode, &mut texts.decode),
            (pipeline.issue, &mut texts.issue),
            (pipeline.address, &mut texts.address),
            (pipeline.memory, &mut texts.memory),
            (pipeline.execute, &mut texts.execute),
        ] {
            match eip {
                Some(eip) => {
                    self.see(eip, clock.cs_base.wrapping_add(eip));
                    set(text, self.instruction(clock, eip));
                }
                None => set(text, ""),
            }
        }
        if self.stalls != Some(pipeline.stall) {
            self.stalls = Some(pipeline.stall);
            set(&mut texts.stall, &stall_text(pipeline.stall));
        }
    }

    fn retire(&mut self, clock: &Clock, texts: &mut Texts) {
        let Some(retired) = clock.retired else { return };
        let linear = clock.cs_base.wrapping_add(retired.eip);
        self.cpl = retired.cpl;
        self.see(retired.eip, linear);
        let place = self.symbols.at(linear);
        set(&mut texts.symbol, &place.to_string());
        set(&mut texts.module_name, place.module_name());
        set(&mut texts.ring, &format!("ring {}", retired.cpl));
        let routine = microcode_name(retired.micro_address.into());
        set(&mut texts.microcode, routine.as_deref().unwrap_or_default());
        // The bytes beside the routine that enters a handler mean nothing.
        let text = if self.instructions.is_delivering() {
            "(enters the handler)".to_string()
        } else {
            match &retired.bytes[..usize::from(retired.length).min(retired.bytes.len())] {
                [] if retired.interrupt => "(interrupt)".to_string(),
                [] => "(reset)".to_string(),
                bytes => one_blank(&disassemble(bytes, retired.eip, retired.mode & 8 != 0)),
            }
        };
        let mut text = text;
        if retired.exception || retired.interrupt {
            write!(text, " {{{:02x}}}", retired.vector).expect("a string takes all");
        }
        set(&mut texts.disassembly, &text);
        self.instructions.push(retired);
        if let Ok(mut seen) = self.seen.lock() {
            seen.first_cycle.get_or_insert(retired.cycle);
        }
    }

    /// The instruction in memory at `eip`, or the name of the place where there is none.
    fn instruction(&mut self, clock: &Clock, eip: u32) -> &str {
        let linear = clock.cs_base.wrapping_add(eip);
        let code = clock.code(linear);
        let (known_code, known_is_32_bit, text) = self.known.entry(linear).or_default();
        if text.is_empty() || *known_code != code || *known_is_32_bit != clock.is_32_bit {
            *text = if code.is_empty() {
                self.symbols.at(linear).to_string()
            } else {
                one_blank(&disassemble(&code, eip, clock.is_32_bit))
            };
            *known_code = code;
            *known_is_32_bit = clock.is_32_bit;
        }
        text
    }

    fn see(&mut self, eip: u32, linear: u32) {
        if self.eips.len() < SEEN_LIMIT
            && self.eips.insert(eip, ()).is_none()
            && let Ok(mut seen) = self.seen.lock()
        {
            seen.addresses.insert(eip, (linear, self.cpl));
        }
    }
}

/// The reasons for which stages wait, the oldest stage's first.
pub(super) fn stall_text(stalls: u32) -> String {
    let reasons: Vec<&str> = STALL_REASONS
        .iter()
        .enumerate()
        .filter(|(bit, _)| stalls >> bit & 1 != 0)
        .map(|(_, reason)| *reason)
        .collect();
    reasons.join(" | ")
}

fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes `text` behind zeros, as Verilog keeps strings; what is too long ends with `~`.
fn set(lane: &mut [u8], text: &str) {
    let bytes = text.as_bytes();
    let count = bytes.len().min(lane.len());
    let (zeros, place) = lane.split_at_mut(lane.len() - count);
    zeros.fill(0);
    place.copy_from_slice(&bytes[..count]);
    if bytes.len() > count
        && let Some(last) = place.last_mut()
    {
        *last = b'~';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_behind_zeros_and_is_cut_with_a_mark() {
        let mut lane = [b'x'; 6];
        set(&mut lane, "nt");
        assert_eq!(&lane, b"\0\0\0\0nt");
        set(&mut lane, "kernel32");
        assert_eq!(&lane, b"kerne~");
        set(&mut lane, "");
        assert_eq!(lane, [0; 6]);
    }

    #[test]
    fn all_reasons_to_wait_are_named_the_oldest_stage_first() {
        assert_eq!(stall_text(0), "");
        assert_eq!(
            stall_text(0b10_0010),
            format!("{} | {}", STALL_REASONS[1], STALL_REASONS[5])
        );
    }
}
