//! The netlist that synthesis makes does what the Verilog does. `docs/fpga.md` tells how long it takes.

use firmware::Gate;
use sim::image::Image;
use std::path::{Path, PathBuf};
use tests::netlist::{Gates, Outcome, TEXT, difference, program};

fn folder(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    target.join("synth").join(name)
}

/// Runs both forms, which must not differ; what came over the serial line.
fn text_of_both(gates: &Gates, rom: &[u8]) -> Vec<u8> {
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
    bytes.into_iter().map(|(_, byte)| byte).collect()
}

#[test]
#[ignore = "needs yosys and some minutes, see docs/fpga.md"]
fn the_netlist_of_the_chip_does_in_each_clock_what_its_verilog_does() {
    let gates = Gates::of_chip(&folder("gates-chip")).unwrap();
    let text = text_of_both(&gates, &program().expect("the program assembles"));
    assert!(text.starts_with(TEXT.as_bytes()), "{text:x?}");
    assert_eq!(text.len(), TEXT.len() + 1);
    // And the image that the board boots.
    let image = Image::build(Gate::Sysenter).unwrap();
    let text = text_of_both(&gates, &image.rom);
    assert!(
        String::from_utf8_lossy(&text).contains("winlogon.exe says hello from ring 3."),
        "{text:x?}"
    );
}

#[test]
#[ignore = "needs yosys and some minutes, see docs/fpga.md"]
fn the_netlist_of_the_board_sends_in_each_clock_what_its_verilog_sends() {
    let image = Image::build(Gate::Sysenter).unwrap();
    let gates = Gates::of_board(&folder("gates-board"), &image.rom).unwrap();
    let text = text_of_both(&gates, &image.rom);
    assert!(
        String::from_utf8_lossy(&text).contains("winlogon.exe says hello from ring 3."),
        "{text:x?}"
    );
}
