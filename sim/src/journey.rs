//! The path of one call through layers and rings, hop by hop, with what each hop cost.
//!
//! Nothing here knows an operating system: the modules' layers and rings and all names come from the symbol file, and
//! what happened comes from retired instructions.
//!
//! ```text
//! cycle   100     103           109                       131        132
//!          │ call  │ call        │ sysenter …        … ret │ test     │
//!          ├───────┼─────────────┼─────────────────────────┼──────────┤
//!  hop      app     kernel32       …                        app
//! ```
//! A hop begins when an instruction retires that goes to another symbol other than by running into it; its cycles are
//! those from that retirement to the one that begins the next hop, so that they add up.

use crate::symbols::Symbols;
use crate::trace::{Instruction, Write, disassemble};
use serde::Serialize;
use spec::registers::GENERAL;
use std::fmt::Write as _;

/// One stay behind one symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Layer of the module; 0 where the symbol file knows none.
    pub layer: u8,
    /// Privilege level.
    pub ring: u8,
    /// Module, or empty.
    pub module: String,
    /// Symbol, or empty.
    pub symbol: String,
    /// Bytes from the symbol's begin at which it was entered.
    pub offset: u32,
    /// Linear address at which it was entered, eight hexadecimal digits.
    pub address: String,
    /// Instructions that retired.
    pub instructions: u64,
    /// Clock cycles from the retirement that began this hop to the one that began the next.
    pub cycles: u64,
    /// Number of the first instruction.
    pub retire: u64,
    /// The instruction (or interrupt) that left.
    pub leaves_by: String,
    /// What crosses, as the symbol file says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Sums over the hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Totals {
    /// Instructions of all hops.
    pub instructions: u64,
    /// Clock cycles of all hops.
    pub cycles: u64,
    /// Clock cycles of the hops in ring 0.
    pub ring0_cycles: u64,
    /// Clock cycles that SYSENTER added: from the retirement before it to the one after it, less one.
    pub sysenter_cycles: u64,
    /// The same for SYSEXIT.
    pub sysexit_cycles: u64,
}

/// A completed journey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Journey {
    /// In order of time.
    pub hops: Vec<Hop>,
    /// Sums.
    pub totals: Totals,
    /// What came out of the UART.
    pub console: String,
}

/// Watches instructions until a journey is complete.
///
/// A journey begins with a call by which the top layer leaves its module, and ends with the first instruction after the
/// return to the top layer. Of several, the first counts that reached another ring (and, if given, whose call went to a
/// certain symbol).
#[derive(Debug)]
pub struct Watch {
    called: Option<u32>,
    registers: [u32; 8],
    /// EAX before the current instruction.
    returned_eax: u32,
    previous_cycle: u64,
    path: Option<Path>,
    finished: Option<Journey>,
    /// Cycles at which the finished journey began and ended.
    cycles: Option<(u64, u64)>,
}

/// A journey under way.
#[derive(Debug, Default)]
struct Path {
    hops: Vec<Hop>,
    starts: Vec<u64>,
    totals: Totals,
    /// The instruction before was SYSENTER or SYSEXIT: the cycle of its predecessor.
    gate: Option<(Gate, u64)>,
    returning: bool,
}

#[derive(Debug, Clone, Copy)]
enum Gate {
    Sysenter,
    Sysexit,
}

impl Watch {
    /// A watch for the first journey, or for the first whose call went to the linear address `called`.
    pub fn new(called: Option<u32>) -> Self {
        Self {
            called,
            registers: [0; 8],
            returned_eax: 0,
            previous_cycle: 0,
            path: None,
            finished: None,
            cycles: None,
        }
    }

    /// The journey, once it is complete.
    pub fn finished(&self) -> Option<&Journey> {
        self.finished.as_ref()
    }

    /// Takes the journey, if it is complete, and waits for the next.
    pub fn take_finished(&mut self) -> Option<Journey> {
        self.cycles = None;
        self.finished.take()
    }

    /// Takes the journey, once it is complete.
    pub fn into_finished(self) -> Option<Journey> {
        self.finished
    }

    /// The cycles at which the finished journey began and ended.
    pub fn cycles(&self) -> Option<(u64, u64)> {
        self.cycles
    }

    /// Where a journey that has not come back is.
    pub fn unfinished(&self) -> Option<&[Hop]> {
        self.path.as_ref().map(|path| &path.hops[..])
    }

    /// Takes the next instruction.
    pub fn push(&mut self, instruction: &Instruction, symbols: &Symbols) {
        self.returned_eax = self.registers[0];
        for write in &instruction.writes {
            if let Write::Register(number, data) = *write {
                self.registers[usize::from(number & 7)] = data;
            }
        }
        if self.finished.is_none() {
            self.follow(instruction, symbols);
        }
        self.previous_cycle = instruction.retired.cycle;
    }

    fn follow(&mut self, instruction: &Instruction, symbols: &Symbols) {
        let retired = &instruction.retired;
        let linear = instruction.cs_base.wrapping_add(retired.eip);
        let target = instruction.next_cs_base.wrapping_add(retired.next_eip);
        let here = symbols.at(linear);
        let there = symbols.at(target);
        let is_top = |module: Option<&firmware::symbols::ModuleRange>| {
            module.is_some_and(|module| module.layer == symbols.top_layer())
        };
        let goes = instruction.delivered.is_some()
            || retired.next_eip != retired.eip.wrapping_add(retired.length.into());

        if self.path.is_none() {
            let calls = instruction.delivered.is_none()
                && goes
                && is_top(here.module)
                && !is_top(there.module);
            if !calls || self.called.is_some_and(|called| called != target) {
                return;
            }
            let mut path = Path::default();
            path.enter(
                &here,
                retired.number,
                self.previous_cycle,
                symbols,
                &self.registers,
            );
            self.path = Some(path);
        }
        let Some(path) = &mut self.path else { return };
        path.totals.instructions += 1;
        if let Some((gate, before)) = path.gate.take() {
            let added = retired.cycle.saturating_sub(before + 1);
            match gate {
                Gate::Sysenter => path.totals.sysenter_cycles += added,
                Gate::Sysexit => path.totals.sysexit_cycles += added,
            }
        }
        if instruction.delivered.is_none() {
            path.gate = match retired.bytes[..2] {
                [0x0F, 0x34] => Some((Gate::Sysenter, self.previous_cycle)),
                [0x0F, 0x35] => Some((Gate::Sysexit, self.previous_cycle)),
                _ => None,
            };
        }
        let hop = path.hops.last_mut().expect("a path has a hop");
        if hop.instructions == 0 {
            hop.ring = retired.cpl;
        }
        hop.instructions += 1;
        if path.returning {
            hop.leaves_by = format!("eax={:08x}", self.returned_eax);
            let rings = path.hops.iter().any(|hop| hop.ring != path.hops[0].ring);
            let path = self.path.take().expect("a path is under way");
            if rings {
                self.cycles = Some((path.starts[0], retired.cycle));
                self.finished = Some(path.finish(retired.cycle));
            }
            return;
        }
        let entered = symbols.at(u32::from_str_radix(&hop.address, 16).unwrap_or(0));
        if goes && !there.same_symbol(&entered) {
            hop.leaves_by = leaves_by(instruction, symbols);
            path.enter(
                &there,
                retired.number + 1,
                retired.cycle,
                symbols,
                &self.registers,
            );
            // An interrupt that came while the top layer was running returns there, too; then this was no journey.
            path.returning = is_top(there.module);
        }
    }
}

impl Path {
    fn enter(
        &mut self,
        place: &crate::symbols::Place,
        retire: u64,
        cycle: u64,
        symbols: &Symbols,
        registers: &[u32; 8],
    ) {
        // A note speaks of the symbol's whole body; behind a return only the rest of it runs.
        let from_its_begin = place.offset() == 0 || self.hops.is_empty();
        let note = symbols
            .note(place)
            .filter(|_| from_its_begin)
            .unwrap_or_default();
        self.hops.push(Hop {
            layer: place.module.map_or(0, |module| module.layer),
            ring: place.module.map_or(0, |module| module.ring),
            module: place.module_name().to_string(),
            symbol: place.symbol_name().to_string(),
            offset: place.offset(),
            address: format!("{:08x}", place.address),
            instructions: 0,
            cycles: 0,
            retire,
            leaves_by: String::new(),
            note: fill(note, registers),
        });
        self.starts.push(cycle);
    }

    fn finish(mut self, end: u64) -> Journey {
        for (index, hop) in self.hops.iter_mut().enumerate() {
            hop.cycles = self.starts.get(index + 1).unwrap_or(&end) - self.starts[index];
            if hop.ring == 0 {
                self.totals.ring0_cycles += hop.cycles;
            }
        }
        self.totals.cycles = end - self.starts[0];
        Journey {
            hops: self.hops,
            totals: self.totals,
            console: String::new(),
        }
    }
}

/// `{eax}` in a note stands for the register's value when the symbol is entered.
fn fill(note: &str, registers: &[u32; 8]) -> String {
    let mut text = note.to_string();
    for (name, value) in GENERAL.iter().zip(registers) {
        text = text.replace(&format!("{{{name}}}"), &format!("{value:x}"));
    }
    text
}

fn leaves_by(instruction: &Instruction, symbols: &Symbols) -> String {
    if let Some(delivered) = instruction.delivered {
        let kind = if delivered.external {
            "interrupt"
        } else {
            "exception"
        };
        return format!("{kind} {:02x}", delivered.vector);
    }
    let retired = &instruction.retired;
    let length = usize::from(retired.length).min(retired.bytes.len());
    let text = disassemble(&retired.bytes[..length], retired.eip, retired.mode & 8 != 0);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A call or jump through an import slot is named after the slot.
    for write in &instruction.writes {
        if let Write::Load(linear, 4, _) = *write
            && let Some(slot) = symbols.import_slot(linear)
            && let Some(mnemonic) = text.split(' ').next()
        {
            text = format!("{mnemonic} [{}!{} ({linear:08x})]", slot.module, slot.name);
        }
    }
    text
}

impl Journey {
    /// The path as a table, and the sums below it.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "layer ring  address   symbol                                     instructions  cycles  what crosses\n",
        );
        for hop in &self.hops {
            let layer = if hop.layer == 0 {
                "-".to_string()
            } else {
                hop.layer.to_string()
            };
            let name = match (&hop.module[..], &hop.symbol[..], hop.offset) {
                ("", ..) => "?".to_string(),
                (module, "", _) => module.to_string(),
                (module, symbol, 0) => format!("{module}!{symbol}"),
                (module, symbol, offset) => format!("{module}!{symbol}+{offset:#x}"),
            };
            let crosses = match (&hop.leaves_by[..], &hop.note[..]) {
                (leaves, "") => leaves.to_string(),
                (_, note) => note.to_string(),
            };
            let line = format!(
                "{layer:>3} {:>5}   {}  {name:42} {:>12} {:>7}  {crosses}",
                hop.ring, hop.address, hop.instructions, hop.cycles
            );
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
        let totals = &self.totals;
        let share = |part: u64| 100.0 * part as f64 / totals.cycles.max(1) as f64;
        writeln!(
            text,
            "\n{} hops, {} instructions, {} cycles: {} in ring 0 ({:.0} %), SYSENTER {}, SYSEXIT {}",
            self.hops.len(),
            totals.instructions,
            totals.cycles,
            totals.ring0_cycles,
            share(totals.ring0_cycles),
            totals.sysenter_cycles,
            totals.sysexit_cycles
        )
        .unwrap();
        text
    }

    /// Who spent the cycles: one line per module and ring, the most expensive first.
    pub fn bill(&self) -> String {
        let mut rows: Vec<(&str, u8, u64, u64)> = Vec::new();
        for hop in &self.hops {
            match rows
                .iter_mut()
                .find(|row| (row.0, row.1) == (&hop.module[..], hop.ring))
            {
                Some(row) => {
                    row.2 += hop.instructions;
                    row.3 += hop.cycles;
                }
                None => rows.push((&hop.module, hop.ring, hop.instructions, hop.cycles)),
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.3));
        let mut text = String::from("module        ring  instructions  cycles  share\n");
        for (module, ring, instructions, cycles) in rows {
            let module = if module.is_empty() { "?" } else { module };
            let share = 100.0 * cycles as f64 / self.totals.cycles.max(1) as f64;
            writeln!(
                text,
                "{module:14}{ring:>4}  {instructions:>12} {cycles:>7}  {share:4.1} %"
            )
            .unwrap();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retired;
    use firmware::symbols::{ModuleRange, Note, Symbol, SymbolFile, SymbolKind};

    fn symbols() -> Symbols {
        let module = |name: &str, layer, ring, base| ModuleRange {
            name: name.into(),
            file: String::new(),
            layer,
            ring,
            base,
            size: 0x1000,
        };
        let symbol = |module: &str, name: &str, address, kind| Symbol {
            module: module.into(),
            name: name.into(),
            aliases: vec![],
            address,
            size: 16,
            kind,
        };
        Symbols::new(SymbolFile {
            modules: vec![
                module("app", 3, 3, 0x1000),
                module("lib", 2, 3, 0x4000),
                module("nt", 1, 0, 0x8000),
            ],
            symbols: vec![
                symbol("app", "Main", 0x1000, SymbolKind::Code),
                symbol("app", "_imp__Write", 0x1800, SymbolKind::Import),
                symbol("lib", "Get", 0x4000, SymbolKind::Code),
                symbol("lib", "Write", 0x4100, SymbolKind::Code),
                symbol("nt", "Entry", 0x8000, SymbolKind::Code),
            ],
            notes: vec![Note {
                module: "lib".into(),
                symbol: "Write".into(),
                text: "number {eax}".into(),
            }],
            ..Default::default()
        })
    }

    /// Cycle, EIP, length, next EIP, CPL, first bytes of an instruction.
    type Step = (u64, u32, u8, u32, u8, &'static [u8]);

    /// Runs a program.
    fn watch(steps: &[Step]) -> Watch {
        let symbols = symbols();
        let mut watch = Watch::new(None);
        for (number, &(cycle, eip, length, next_eip, cpl, start)) in steps.iter().enumerate() {
            let mut bytes = [0x90; 16];
            bytes[..start.len()].copy_from_slice(start);
            let retired = Retired {
                number: number as u64,
                cycle,
                eip,
                length,
                next_eip,
                cpl,
                bytes,
                mode: 9,
                last: true,
                ..Default::default()
            };
            let writes = match eip {
                0x1010 => vec![Write::Load(0x1800, 4, 0x4100), Write::Register(0, 0x18C)],
                _ => vec![],
            };
            let instruction = Instruction {
                retired,
                cs: 0x1B,
                cs_base: 0,
                next_cs_base: 0,
                eflags_before: 2,
                micro_ops: 1,
                delivered: None,
                writes,
            };
            watch.push(&instruction, &symbols);
        }
        watch
    }

    const CALL_GET: Step = (10, 0x1000, 5, 0x4000, 3, &[0xE8, 0xFB, 0x2F, 0, 0]);
    const CALL_WRITE: Step = (30, 0x1010, 6, 0x4100, 3, &[0xFF, 0x15, 0, 0x18, 0, 0]);

    #[test]
    fn a_journey_is_the_first_call_that_reaches_another_ring() {
        let watch = watch(&[
            CALL_GET,
            (12, 0x4000, 1, 0x1005, 3, &[0xC3]),
            (20, 0x1005, 11, 0x1010, 3, &[]),
            CALL_WRITE,
            (33, 0x4100, 2, 0x4102, 3, &[]),
            (34, 0x4102, 2, 0x8000, 3, &[0x0F, 0x34]),
            (41, 0x8000, 2, 0x8002, 0, &[]),
            (43, 0x8002, 2, 0x4104, 0, &[0x0F, 0x35]),
            (49, 0x4104, 1, 0x1016, 3, &[0xC3]),
            (52, 0x1016, 2, 0x1018, 3, &[]),
            (53, 0x1018, 2, 0x101A, 3, &[]),
        ]);
        let journey = watch.into_finished().expect("the journey is complete");
        let rows: Vec<_> = journey
            .hops
            .iter()
            .map(|hop| {
                (
                    &hop.module[..],
                    &hop.symbol[..],
                    hop.offset,
                    hop.ring,
                    hop.instructions,
                    hop.cycles,
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("app", "Main", 0x10, 3, 1, 10),
                ("lib", "Write", 0, 3, 2, 4),
                ("nt", "Entry", 0, 0, 2, 9),
                ("lib", "Write", 4, 3, 1, 6),
                ("app", "Main", 0x16, 3, 1, 3),
            ]
        );
        assert_eq!(
            journey.totals,
            Totals {
                instructions: 7,
                cycles: 32,
                ring0_cycles: 9,
                sysenter_cycles: 7,
                sysexit_cycles: 7
            }
        );
        assert_eq!(
            journey.hops[0].leaves_by,
            "call [app!_imp__Write (00001800)]"
        );
        assert_eq!(journey.hops[1].note, "number 18c");
        assert_eq!(journey.hops[2].retire, 6);
    }

    #[test]
    fn a_call_that_stays_in_its_ring_is_no_journey() {
        let watch = watch(&[
            CALL_GET,
            (12, 0x4000, 1, 0x1005, 3, &[0xC3]),
            (20, 0x1005, 11, 0x1010, 3, &[]),
        ]);
        assert!(watch.finished().is_none());
        assert!(watch.unfinished().is_none());
    }

    #[test]
    fn cycles_of_the_hops_add_up_to_the_total() {
        let watch = watch(&[
            CALL_WRITE,
            (34, 0x4100, 4, 0x8000, 3, &[0x0F, 0x34]),
            (43, 0x8002, 2, 0x4104, 0, &[0x0F, 0x35]),
            (49, 0x4104, 1, 0x1016, 3, &[0xC3]),
            (52, 0x1016, 2, 0x1018, 3, &[]),
        ]);
        let journey = watch.finished().expect("the journey is complete");
        assert_eq!(
            journey.hops.iter().map(|hop| hop.cycles).sum::<u64>(),
            journey.totals.cycles
        );
        assert_eq!(
            journey.hops.iter().map(|hop| hop.instructions).sum::<u64>(),
            journey.totals.instructions
        );
    }
}
