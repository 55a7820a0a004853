//! Feeds recorded inputs to the emitted modules, all in one Verilated model.
use std::fmt::Write;
use std::fs;

use hdl::emit::{PortDirection, Verilog, identifier};

use super::record::{Recorded, Recording};
use super::verilator;

/// The answers of the modules: words of their outputs, step by step, as in [`super::record::Step::outputs`].
pub fn replay(name: &str, verilog: &Verilog, recording: &Recording) -> Vec<Vec<u32>> {
    let folder = verilator::folder(name);
    fs::write(folder.join("design.sv"), &verilog.text).expect("the folder can be written");
    fs::write(folder.join("differential.sv"), wrapper(&recording.modules))
        .expect("the folder can be written");
    fs::write(folder.join("driver.cpp"), driver(&recording.modules))
        .expect("the folder can be written");
    let mut vectors = Vec::new();
    for step in &recording.steps {
        vectors.extend(u32::from(step.high).to_le_bytes());
        vectors.extend(step.inputs.iter().flat_map(|word| word.to_le_bytes()));
    }
    fs::write(folder.join("vectors"), vectors).expect("the folder can be written");

    let program = verilator::build(
        &folder,
        "differential",
        &["differential.sv", "design.sv"],
        "driver.cpp",
    );
    verilator::run(std::process::Command::new(program).current_dir(&folder));

    let words: usize = recording
        .modules
        .iter()
        .map(|module| module.outputs.words)
        .sum();
    let answers = fs::read(folder.join("answers")).expect("the model wrote its answers");
    let answers: Vec<u32> = answers
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("chunks of four bytes")))
        .collect();
    assert_eq!(
        answers.len(),
        words * recording.steps.len(),
        "the model answered all steps"
    );
    match words {
        0 => vec![Vec::new(); recording.steps.len()],
        _ => answers.chunks_exact(words).map(<[u32]>::to_vec).collect(),
    }
}

/// Words of a bus in the model: from three on, Verilator has an array.
fn bus_words(words: usize) -> usize {
    words.max(3)
}

/// A top that instantiates every module on its own.
fn wrapper(modules: &[Recorded]) -> String {
    let mut ports = String::from("input wire clock");
    let mut instances = String::new();
    for (number, module) in modules.iter().enumerate() {
        let top_bit = |words| bus_words(words) * 32 - 1;
        write!(
            ports,
            ",\n  input wire [{}:0] in{number}",
            top_bit(module.inputs.words)
        )
        .expect("a String");
        write!(
            ports,
            ",\n  output wire [{}:0] out{number}",
            top_bit(module.outputs.words)
        )
        .expect("a String");
        let mut connections = Vec::new();
        let mut used = vec![false; bus_words(module.outputs.words) * 32];
        for port in &module.info.ports {
            let (bus, name) = match port.direction {
                PortDirection::Input if port.clock => {
                    connections.push(format!(".{}(clock)", identifier(&port.name)));
                    continue;
                }
                PortDirection::Input => (&module.inputs, "in"),
                _ => (&module.outputs, "out"),
            };
            let (_, width, word) = bus
                .ports
                .iter()
                .find(|(name, ..)| *name == port.name)
                .expect("every port is on a bus");
            let low = word * 32;
            if name == "out" {
                used[low..low + width].fill(true);
            }
            connections.push(format!(
                ".{}({name}{number}[{}:{low}])",
                identifier(&port.name),
                low + width - 1
            ));
        }
        writeln!(
            instances,
            "  {} module{number}({});",
            module.info.name,
            connections.join(", ")
        )
        .expect("a String");
        let mut bit = 0;
        for run in used.chunk_by(|left, right| left == right) {
            if !run[0] {
                writeln!(
                    instances,
                    "  assign out{number}[{}:{bit}] = '0;",
                    bit + run.len() - 1
                )
                .expect("a String");
            }
            bit += run.len();
        }
    }
    format!("module differential(\n  {ports}\n);\n{instances}endmodule\n")
}

/// The C++ program that reads `vectors` and writes `answers`.
fn driver(modules: &[Recorded]) -> String {
    let table = |bus: &str, words: &dyn Fn(&Recorded) -> usize| -> String {
        modules
            .iter()
            .enumerate()
            .map(|(number, module)| format!("{{top.{bus}{number}.data(), {}}}, ", words(module)))
            .collect()
    };
    let inputs = table("in", &|module| module.inputs.words);
    let outputs = table("out", &|module| module.outputs.words);
    format!(
        r#"#include "Vdifferential.h"
#include <cstdint>
#include <fstream>
struct Bus {{ EData* data; size_t words; }};
int main() {{
    VerilatedContext context;
    Vdifferential& top = *new Vdifferential(&context);
    const Bus inputs[] = {{{inputs}}};
    const Bus outputs[] = {{{outputs}}};
    std::ifstream vectors("vectors", std::ios::binary);
    std::ofstream answers("answers", std::ios::binary);
    uint32_t high;
    while (vectors.read(reinterpret_cast<char*>(&high), 4)) {{
        top.clock = high;
        // Registers take what was there before the edge; what follows from the edge comes after it.
        if (high) top.eval();
        for (const Bus& bus : inputs) vectors.read(reinterpret_cast<char*>(bus.data), bus.words * 4);
        top.eval();
        for (const Bus& bus : outputs) answers.write(reinterpret_cast<const char*>(bus.data), bus.words * 4);
    }}
    top.final();
}}
"#
    )
}
