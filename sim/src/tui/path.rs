//! The call path: which calls, gates and events have been entered and not left, from retired instructions.
//!
//! The path at a position follows from the path at an earlier one and from what retired in between, so that it is known
//! after a step back, too.

use crate::Retired;
use crate::debug::{Debuggee, Position};
use crate::trace::{Instruction, Instructions};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl};
use std::collections::VecDeque;

/// Clock cycles that are gone through at once; then there is a mark to go on from.
const CHUNK_CYCLES: u64 = 20_000;

/// Marks that are kept; beyond, every other one is dropped.
const MARKS: usize = 1024;

/// Instructions behind each of which the path is kept.
const RECENT: usize = 1000;

/// Frames that are kept; a path that is longer has lost its way.
const FRAMES: usize = 256;

/// How a frame was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The processor started here.
    Reset,
    /// CALL.
    Call,
    /// SYSENTER, INT n or a call gate: to another ring.
    Gate,
    /// An exception with this vector.
    Exception(u8),
    /// An interrupt with this vector.
    Interrupt(u8),
}

/// One stay: a function that was called, a handler that was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Linear address: of the next instruction in the innermost frame, of the call in the others.
    pub at: u32,
    /// Ring of it.
    pub ring: u8,
    /// How it was entered.
    pub entry: Entry,
    /// Linear address to which it returns, where the call says so.
    pub returns_to: Option<u32>,
    /// Number of the instruction that entered it.
    pub entered_by: u64,
}

#[derive(Debug, Clone)]
struct Mark {
    position: Position,
    instructions: Instructions,
    frames: Vec<Frame>,
}

/// Follows the path through a run.
#[derive(Debug)]
pub struct Path {
    /// By position.
    marks: Vec<Mark>,
    /// The path behind each of the last instructions that were gone through, for steps back.
    recent: VecDeque<Mark>,
    now: Mark,
}

impl Path {
    /// From the begin of a run.
    pub fn new(debuggee: &mut Debuggee) -> Self {
        let position = debuggee.position();
        let registers = debuggee.registers();
        let frame = Frame {
            at: registers.linear_eip(),
            ring: registers.cpl(),
            entry: Entry::Reset,
            returns_to: None,
            entered_by: 0,
        };
        let now = Mark {
            position,
            instructions: Instructions::default(),
            frames: vec![frame],
        };
        Self {
            marks: vec![now.clone()],
            recent: VecDeque::new(),
            now,
        }
    }

    /// The frames where [`Self::follow`] was last, the outermost first.
    pub fn frames(&self) -> &[Frame] {
        &self.now.frames
    }

    /// Goes to where `debuggee` is.
    pub fn follow(&mut self, debuggee: &mut Debuggee) {
        let here = debuggee.position();
        if let Some(mark) = self.recent.iter().rev().find(|mark| mark.position == here) {
            self.now = mark.clone();
            return;
        }
        let known = self
            .marks
            .partition_point(|mark| mark.position.cycle <= here.cycle);
        let mark = &self.marks[known.saturating_sub(1)];
        if self.now.position.cycle > here.cycle || self.now.position.cycle < mark.position.cycle {
            self.now = mark.clone();
        }
        while self.now.position.cycle < here.cycle {
            let to = Position {
                cycle: here.cycle.min(self.now.position.cycle + CHUNK_CYCLES),
                ..here
            };
            let retired = debuggee.retired_between(self.now.position, to);
            self.push(&retired, to);
        }
        self.now.position = here;
    }

    /// Forgets what came after `here`: it may become different.
    pub fn forget_after(&mut self, here: Position) {
        self.marks.retain(|mark| mark.position.cycle <= here.cycle);
    }

    /// Takes what retired on the way from where it is to `to`.
    pub fn push(&mut self, retired: &[Retired], to: Position) {
        let first_recent = retired.len().saturating_sub(RECENT);
        for (at, micro_op) in retired.iter().enumerate() {
            let Some(instruction) = self.now.instructions.push(micro_op) else {
                continue;
            };
            step(&mut self.now.frames, &instruction);
            if at >= first_recent {
                self.now.position = Position {
                    cycle: micro_op.cycle,
                    instructions: micro_op.number + 1,
                };
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(self.now.clone());
            }
        }
        self.now.position = to;
        let at = self
            .marks
            .partition_point(|mark| mark.position.cycle < to.cycle);
        let near = at > 0 && to.cycle - self.marks[at - 1].position.cycle < CHUNK_CYCLES;
        if !near
            && self
                .marks
                .get(at)
                .is_none_or(|mark| mark.position.cycle > to.cycle)
        {
            self.marks.insert(at, self.now.clone());
        }
        if self.marks.len() > MARKS {
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }
}

/// What an instruction does to the path.
fn step(frames: &mut Vec<Frame>, instruction: &Instruction) {
    let retired = &instruction.retired;
    let at = instruction.cs_base.wrapping_add(retired.eip);
    let next = instruction.next_cs_base.wrapping_add(retired.next_eip);
    let ring = retired.cpl;
    // What the mode and the selector say after the instruction.
    let next_ring = next_ring(instruction);
    let enter = |frames: &mut Vec<Frame>, entry, returns_to| {
        if let Some(top) = frames.last_mut() {
            top.at = at;
            top.ring = ring;
        }
        if frames.len() == FRAMES {
            frames.remove(0);
        }
        frames.push(Frame {
            at: next,
            ring: next_ring,
            entry,
            returns_to,
            entered_by: retired.number,
        });
    };
    if let Some(delivered) = instruction.delivered {
        let entry = match delivered.external {
            true => Entry::Interrupt(delivered.vector),
            false => Entry::Exception(delivered.vector),
        };
        // A fault returns to the instruction, an interrupt to the next.
        enter(frames, entry, None);
        return;
    }
    let length = usize::from(retired.length).min(retired.bytes.len());
    let bits = if retired.mode & 8 != 0 { 32 } else { 16 };
    let decoded = Decoder::with_ip(
        bits,
        &retired.bytes[..length],
        retired.eip.into(),
        DecoderOptions::NONE,
    )
    .decode();
    let behind = instruction
        .cs_base
        .wrapping_add(retired.eip)
        .wrapping_add(retired.length.into());
    match (decoded.code(), decoded.flow_control()) {
        (Code::Sysenter, _) => enter(frames, Entry::Gate, None),
        (Code::Sysexitd, _) => leave_ring(frames, next_ring),
        (_, FlowControl::Call | FlowControl::IndirectCall) => {
            let entry = if next_ring == ring {
                Entry::Call
            } else {
                Entry::Gate
            };
            enter(frames, entry, Some(behind));
        }
        (_, FlowControl::Interrupt) if next != behind => enter(frames, Entry::Gate, Some(behind)),
        (_, FlowControl::Return) => {
            // A return to nobody that called is a jump.
            match frames
                .iter()
                .rposition(|frame| frame.returns_to == Some(next))
            {
                Some(frame) if frame > 0 => frames.truncate(frame),
                _ if next_ring > ring => leave_ring(frames, next_ring),
                _ if is_interrupt_return(decoded.code()) => leave_event(frames),
                _ => {}
            }
        }
        _ => {}
    }
    if let Some(top) = frames.last_mut() {
        top.at = next;
        top.ring = next_ring;
    }
}

fn is_interrupt_return(code: Code) -> bool {
    matches!(code, Code::Iretw | Code::Iretd)
}

/// Drops the frames that are entered in inner rings.
fn leave_ring(frames: &mut Vec<Frame>, ring: u8) {
    while frames.len() > 1 && frames.last().is_some_and(|frame| frame.ring < ring) {
        frames.pop();
    }
}

/// Drops the innermost handler and what it called.
fn leave_event(frames: &mut Vec<Frame>) {
    let event = |frame: &Frame| {
        matches!(
            frame.entry,
            Entry::Exception(_) | Entry::Interrupt(_) | Entry::Gate
        )
    };
    if let Some(frame) = frames.iter().rposition(event).filter(|frame| *frame > 0) {
        frames.truncate(frame);
    }
}

fn next_ring(instruction: &Instruction) -> u8 {
    const CS: u8 = spec::registers::SELECTOR + spec::registers::CS;
    let retired = &instruction.retired;
    let loaded = instruction
        .writes
        .iter()
        .rev()
        .find_map(|write| match write {
            crate::trace::Write::System(CS, selector) => Some(*selector),
            _ => None,
        });
    match loaded {
        Some(selector) if retired.mode & 3 == 1 => (selector & 3) as u8,
        Some(_) | None => retired.cpl,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Write;

    /// An instruction of 32-bit protected mode that goes to `next`.
    fn instruction(number: u64, eip: u32, bytes: &[u8], next: u32) -> Instruction {
        let mut retired = Retired {
            number,
            eip,
            next_eip: next,
            length: bytes.len() as u8,
            cpl: 3,
            mode: 13,
            first: true,
            last: true,
            ..Default::default()
        };
        retired.bytes[..bytes.len()].copy_from_slice(bytes);
        let mut instructions = Instructions::default();
        let mut whole = instructions.push(&retired).unwrap();
        (whole.cs_base, whole.next_cs_base) = (0, 0);
        whole
    }

    fn start() -> Vec<Frame> {
        vec![Frame {
            at: 0x1000,
            ring: 3,
            entry: Entry::Reset,
            returns_to: None,
            entered_by: 0,
        }]
    }

    fn places(frames: &[Frame]) -> Vec<(u32, u8)> {
        frames.iter().map(|frame| (frame.at, frame.ring)).collect()
    }

    #[test]
    fn a_call_adds_a_frame_and_its_return_drops_it() {
        let mut frames = start();
        step(
            &mut frames,
            &instruction(5, 0x1000, &[0xE8, 0xFB, 0x0F, 0, 0], 0x2000),
        );
        assert_eq!(places(&frames), [(0x1000, 3), (0x2000, 3)]);
        assert_eq!(
            (frames[1].returns_to, frames[1].entered_by),
            (Some(0x1005), 5)
        );
        step(&mut frames, &instruction(6, 0x2000, &[0x90], 0x2001));
        assert_eq!(places(&frames), [(0x1000, 3), (0x2001, 3)]);
        step(&mut frames, &instruction(7, 0x2001, &[0xC3], 0x1005));
        assert_eq!(places(&frames), [(0x1005, 3)]);
    }

    #[test]
    fn sysexit_drops_all_that_ring_0_has_called() {
        let mut frames = start();
        let mut gate = instruction(5, 0x1000, &[0x0F, 0x34], 0x8000);
        gate.writes.push(Write::System(0x21, 8));
        step(&mut frames, &gate);
        assert_eq!(places(&frames), [(0x1000, 3), (0x8000, 0)]);
        let mut call = instruction(6, 0x8000, &[0xE8, 0, 0, 0, 0], 0x9000);
        call.retired.cpl = 0;
        step(&mut frames, &call);
        assert_eq!(frames.len(), 3);
        let mut back = instruction(7, 0x9000, &[0x0F, 0x35], 0x1002);
        back.retired.cpl = 0;
        back.writes.push(Write::System(0x21, 0x1B));
        step(&mut frames, &back);
        assert_eq!(places(&frames), [(0x1002, 3)]);
    }

    #[test]
    fn a_return_to_nobody_that_called_is_a_jump() {
        let mut frames = start();
        step(&mut frames, &instruction(5, 0x1000, &[0xC3], 0x7000));
        assert_eq!(places(&frames), [(0x7000, 3)]);
    }

    #[test]
    fn the_path_at_a_position_does_not_depend_on_the_way_there() {
        use crate::image::Image;
        use crate::machine::{Machine, MachineConfig};
        use crate::symbols::Symbols;

        let image = Image::build(firmware::Gate::Sysenter).unwrap();
        let config = MachineConfig {
            rom: image.rom,
            ..Default::default()
        };
        let symbols = std::sync::Arc::new(Symbols::new(image.symbols));
        let mut debuggee = Debuggee::new(Machine::new(config).unwrap(), symbols);
        let mut path = Path::new(&mut debuggee);

        // The path behind every instruction of a straight run.
        let begin = debuggee.position();
        debuggee.go_to_cycle(220_000);
        let mut instructions = Instructions::default();
        let mut frames = path.frames().to_vec();
        let mut straight = Vec::new();
        for micro_op in debuggee.retired_between(begin, debuggee.position()) {
            if let Some(instruction) = instructions.push(&micro_op) {
                step(&mut frames, &instruction);
                straight.push((micro_op.cycle, frames.clone()));
            }
        }
        assert!(straight.iter().any(|(_, frames)| frames.len() > 8));

        debuggee.go_to_cycle(90_000);
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
        let mut random = seed;
        for round in 0..60 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match random % 4 {
                0 => debuggee.step_back(1 + random / 4 % 20),
                1 => debuggee.step(1 + random / 4 % 20),
                2 => debuggee.go_to_cycle(87_000 + random / 4 % 3_000),
                _ => debuggee.go_to_cycle(100 + random / 4 % 119_000),
            };
            path.follow(&mut debuggee);
            let here = debuggee.position();
            let end = straight.partition_point(|(cycle, _)| *cycle <= here.cycle);
            assert_eq!(
                path.frames(),
                straight[end - 1].1,
                "seed {seed}, round {round}, {here:?}"
            );
        }
    }
}
