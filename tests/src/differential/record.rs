//! Runs a design in Rust and notes what the ports of its blocks do.
use std::collections::HashMap;

use hdl::emit::{ModuleInfo, PortDirection};
use rust_hdl_core::prelude::{Atom, AtomKind, Block, Probe};

use super::{ModuleReport, Run, Surroundings};

/// The ports of one module in one direction: each starts a new 32-bit word.
#[derive(Default)]
pub struct Bus {
    /// Name, width in bits and first word of each port.
    pub ports: Vec<(String, usize, usize)>,
    /// Length in words.
    pub words: usize,
}

impl Bus {
    fn add(&mut self, name: &str, width: usize) {
        self.ports.push((name.into(), width, self.words));
        self.words += width.div_ceil(32);
    }
}

/// A module and what its ports did.
pub struct Recorded {
    /// The module as emitted.
    pub info: ModuleInfo,
    /// Its inputs without clocks.
    pub inputs: Bus,
    /// Its outputs.
    pub outputs: Bus,
}

/// A settled state of all modules.
pub struct Step {
    /// The level of the clock.
    pub high: bool,
    /// Words of the inputs, module after module.
    pub inputs: Vec<u32>,
    /// Words of the outputs, module after module.
    pub outputs: Vec<u32>,
}

/// The run of a design.
pub struct Recording {
    /// All modules with ports, in the order of the emitted text.
    pub modules: Vec<Recorded>,
    /// Two per clock: low, then high.
    pub steps: Vec<Step>,
}

impl Recording {
    /// Runs `top` for `run.clocks` clocks.
    pub fn take<T: Block>(
        run: &Run<T>,
        top: &mut T,
        modules: &[ModuleInfo],
        surroundings: &mut impl Surroundings<T>,
    ) -> Recording {
        let recorded = |info: &ModuleInfo| {
            let (mut inputs, mut outputs) = (Bus::default(), Bus::default());
            for port in &info.ports {
                match port.direction {
                    PortDirection::Input if port.clock => {}
                    PortDirection::Input => inputs.add(&port.name, port.width),
                    PortDirection::Output => outputs.add(&port.name, port.width),
                    PortDirection::InOut => panic!("{}: inout ports cannot be compared", info.name),
                }
            }
            Recorded {
                info: info.clone(),
                inputs,
                outputs,
            }
        };
        let modules = modules.iter().map(recorded).collect();
        let mut steps = Vec::new();
        let mut clocks = HashMap::new();
        for clock in 0..run.clocks {
            for high in [false, true] {
                match high {
                    true => surroundings.see_outputs(top),
                    false => surroundings.set_inputs(top, clock),
                }
                (run.clock)(top, high);
                settle(top);
                let mut reader = Reader {
                    modules: Vec::new(),
                    open: Vec::new(),
                    clocks: &mut clocks,
                };
                top.accept(run.name, &mut reader);
                let (inputs, outputs): (Vec<_>, Vec<_>) = reader.modules.into_iter().unzip();
                steps.push(Step {
                    high,
                    inputs: inputs.concat(),
                    outputs: outputs.concat(),
                });
            }
        }
        Recording { modules, steps }
    }

    /// One line for the first difference of each port between the recorded outputs and `answers` (words per step).
    pub fn differences(&self, answers: &[Vec<u32>]) -> Vec<String> {
        assert_eq!(
            answers.len(),
            self.steps.len(),
            "the model answered all steps"
        );
        let mut lines = Vec::new();
        let (mut first_input, mut first) = (0, 0);
        for module in &self.modules {
            for (port, width, word) in &module.outputs.ports {
                let words = first + word..first + word + width.div_ceil(32);
                let wrong: Vec<usize> = (0..self.steps.len())
                    .filter(|step| {
                        self.steps[*step].outputs[words.clone()] != answers[*step][words.clone()]
                    })
                    .collect();
                if let Some(step) = wrong.first().copied() {
                    let inputs: Vec<String> = module
                        .inputs
                        .ports
                        .iter()
                        .map(|(name, width, word)| {
                            let at = first_input + word;
                            let words = at..at + width.div_ceil(32);
                            format!("{name}={}", hexadecimal(&self.steps[step].inputs[words]))
                        })
                        .collect();
                    lines.push(format!(
                        "{}.{port}: {} of {} vectors; clock {} {}: Rust {}, Verilog {}; {}",
                        module.info.name,
                        wrong.len(),
                        self.steps.len(),
                        step / 2,
                        if step % 2 == 1 { "high" } else { "low" },
                        hexadecimal(&self.steps[step].outputs[words.clone()]),
                        hexadecimal(&answers[step][words.clone()]),
                        inputs.join(" "),
                    ));
                }
            }
            first += module.outputs.words;
            first_input += module.inputs.words;
        }
        lines
    }

    /// How much each module was exercised. A module without inputs counts every step as a change.
    pub fn report(&self) -> Vec<ModuleReport> {
        let mut first = 0;
        let mut rows = Vec::new();
        for module in &self.modules {
            let words = first..first + module.inputs.words;
            let changed =
                |pair: &[Step]| pair[0].inputs[words.clone()] != pair[1].inputs[words.clone()];
            let input_changes = match module.inputs.words {
                0 => self.steps.len(),
                _ => self.steps.windows(2).filter(|pair| changed(pair)).count(),
            };
            rows.push(ModuleReport {
                name: module.info.name.clone(),
                vectors: self.steps.len(),
                input_changes,
            });
            first += module.inputs.words;
        }
        rows
    }
}

fn hexadecimal(words: &[u32]) -> String {
    let digits: String = words
        .iter()
        .rev()
        .map(|word| format!("{word:08x}"))
        .collect();
    match digits.trim_start_matches('0') {
        "" => "0".into(),
        digits => digits.into(),
    }
}

/// Lets values run through the design until nothing changes.
fn settle(top: &mut impl Block) {
    for _ in 0..1000 {
        top.update_all();
        if !top.has_changed() {
            return;
        }
    }
    panic!("the design does not settle: a combinational loop");
}

/// Reads the ports of all blocks, in the order in which the emitter lists them.
struct Reader<'a> {
    /// Words of the inputs and of the outputs.
    modules: Vec<(Vec<u32>, Vec<u32>)>,
    /// Numbers of the modules around the current field.
    open: Vec<usize>,
    /// Whether an input, by its number, is a clock: types are slow to ask for.
    clocks: &'a mut HashMap<usize, bool>,
}

impl Probe for Reader<'_> {
    fn visit_start_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.open.push(self.modules.len());
        self.modules.push(Default::default());
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        self.open.pop();
    }

    fn visit_atom(&mut self, _name: &str, atom: &dyn Atom) {
        let Some(module) = self.open.last() else {
            return;
        };
        let (inputs, outputs) = &mut self.modules[*module];
        let mut is_clock = || {
            let is_clock = self.clocks.entry(atom.id());
            *is_clock.or_insert_with(|| atom.descriptor().name == "clock")
        };
        let words = match atom.kind() {
            AtomKind::InputParameter if is_clock() => return,
            AtomKind::InputParameter => inputs,
            AtomKind::OutputParameter => outputs,
            _ => return,
        };
        let printed = format!("{:x}", atom.verilog());
        let digits = printed
            .split_once("'h")
            .expect("rust-hdl prints literals as width'hdigits")
            .1
            .as_bytes();
        let mut chunks = digits.rchunks(8);
        for _ in 0..atom.bits().div_ceil(32) {
            let chunk = chunks.next().map_or("0", |chunk| {
                std::str::from_utf8(chunk).expect("digits are ASCII")
            });
            words.push(u32::from_str_radix(chunk, 16).expect("rust-hdl prints hexadecimal digits"));
        }
    }
}
