//! The netlist that synthesis makes does what the Verilog does. `docs/fpga.md` tells how long it takes.

use firmware::Gate;
use sim::board::synthesis::{Synthesis, Top};
use sim::image::Image;
use sim::machine::{Machine, MachineConfig, Stop};
use spec::clock::CLOCK_HZ;
use std::path::{Path, PathBuf};
use tests::netlist::{Gates, Outcome, TEXT, difference, program};

fn folder(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    target.join("synth").join(name)
}

/// What the simulator's console shows of a ROM that halts.
fn simulated(rom: &[u8]) -> Vec<u8> {
    let mut machine = Machine::new(MachineConfig {
        rom: rom.to_vec(),
        ..Default::default()
    })
    .expect("the simulator starts");
    assert_eq!(machine.run(1_000_000), Stop::Halted);
    machine.take_console()
}

/// Runs both forms, which must not differ, nor their text from the simulator's.
fn compare(gates: &Gates, rom: &[u8]) {
    let [verilog, netlist] = gates.run(rom);
    for (name, outcome) in [("Verilog", &verilog), ("netlist", &netlist)] {
        let Outcome { events, seconds } = outcome;
        println!(
            "{name}: {}, {} events, {:.1} s",
            outcome.end(),
            events.len(),
            seconds.as_secs_f64(),
        );
    }
    assert_eq!(difference(&verilog, &netlist), None);
    let end = verilog.end();
    assert!(end.starts_with("ended after "), "{end}");
    let bytes = verilog.bytes();
    println!("first byte in clock {:?}", bytes.first());
    let text: Vec<u8> = bytes.into_iter().map(|(_, byte)| byte).collect();
    assert_eq!(text, simulated(rom));
}

#[test]
fn the_program_for_the_netlist_sends_its_text_and_a_checksum_in_the_simulator() {
    let text = simulated(&program().expect("the program assembles"));
    assert!(text.starts_with(TEXT.as_bytes()), "{text:x?}");
    assert_eq!(text.len(), TEXT.len() + 1);
}

#[test]
#[ignore = "needs yosys and some minutes, see docs/fpga.md"]
fn the_netlist_of_the_chip_does_in_each_clock_what_its_verilog_does() {
    let gates = Gates::of_chip(&folder("gates-chip")).unwrap();
    compare(&gates, &program().expect("the program assembles"));
    // And the image that the board boots.
    compare(&gates, &Image::build(Gate::Sysenter).unwrap().rom);
}

#[test]
#[ignore = "needs yosys and some minutes, see docs/fpga.md"]
fn the_netlist_of_the_board_sends_in_each_clock_what_its_verilog_sends() {
    let image = Image::build(Gate::Sysenter).unwrap();
    let gates = Gates::of_board(&folder("gates-board"), &image.rom).unwrap();
    compare(&gates, &image.rom);
}

#[test]
#[ignore = "places and routes the board twice, see docs/fpga.md"]
fn a_routed_board_whose_rom_is_replaced_has_the_bitstream_of_a_full_rebuild() {
    let rom = Image::build(Gate::Sysenter).unwrap().rom;
    let board = |name: &str| Synthesis::new(Top::Ulx3s, CLOCK_HZ, &folder(name)).unwrap();
    let bitstream = |synthesis: Synthesis| {
        synthesis.netlist().unwrap();
        println!("{:?}", synthesis.route(1).unwrap());
        let [bitstream, _] = synthesis.pack(1, &rom).unwrap();
        std::fs::read(bitstream).unwrap()
    };
    let rebuilt = bitstream(board("rebuilt").with_rom(&rom).unwrap());
    let replaced = bitstream(board("replaced"));
    println!("{} bytes", rebuilt.len());
    assert!(replaced == rebuilt);
}
