//! The image's exercise of the kernel: what programs should and should not do gets the status or exception of Windows.

use firmware::{Gate, ImageOptions, Program};
use sim::machine::{Machine, MachineConfig, Stop};

const MAX_CYCLES: u64 = 8_000_000;
/// Cases of instructions that the core does not build: they raise #UD.
const NOT_BUILT: &[&str] = &["BOUND"];

fn outcomes(gate: Gate) -> Vec<String> {
    let options = ImageOptions {
        gate,
        program: Program::Exercise,
        ..ImageOptions::default()
    };
    let image = firmware::build(&options).unwrap();
    let config = MachineConfig {
        ram_bytes: options.ram_bytes,
        rom: image.rom,
        keep_retired: false,
        keep_ports: false,
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(config).unwrap();
    let stop = machine.run(MAX_CYCLES);
    let console = String::from_utf8(machine.take_console()).unwrap();
    let status = machine.status();
    assert_eq!(stop, Stop::Halted, "{status:x?} after:\n{console}");
    console.lines().map(str::to_string).collect()
}

fn expected() -> Vec<String> {
    let mut lines = firmware::expectations();
    lines.retain(|row| !NOT_BUILT.contains(&row.name.as_str()));
    lines
        .iter()
        .map(|row| row.line().trim_end().to_string())
        .collect()
}

/// Compares case by case; what follows the last case is about the program's end.
fn check(gate: Gate) {
    let (outcomes, expected) = (outcomes(gate), expected());
    let differ: Vec<_> = expected
        .iter()
        .filter(|line| !outcomes.contains(line))
        .collect();
    assert!(
        differ.is_empty(),
        "expected {differ:#?}, of:\n{outcomes:#?}"
    );
}

#[test]
fn every_case_ends_as_on_windows_through_sysenter() {
    check(Gate::Sysenter);
}

#[test]
fn every_case_ends_as_on_windows_through_int_2e() {
    check(Gate::Int2e);
}
