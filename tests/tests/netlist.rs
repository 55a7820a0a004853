//! The netlist of the chip does what its Verilog does. `docs/fpga.md` tells how long it takes.

use std::path::Path;
use tests::netlist::{TEXT, difference, run};

#[test]
#[ignore = "needs yosys and some minutes: cargo test -p tests --release --test netlist -- --ignored --nocapture"]
fn the_netlist_of_the_chip_does_in_each_clock_what_its_verilog_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/synth/gate-level");
    let [verilog, netlist] = run(&folder).unwrap_or_else(|error| panic!("{error:#}"));
    for (name, outcome) in [("Verilog", &verilog), ("netlist", &netlist)] {
        println!(
            "{name}: {}, {} events in {:.1} s, bytes {:x?}",
            outcome.end(),
            outcome.events.len(),
            outcome.seconds.as_secs_f64(),
            outcome.bytes()
        );
    }
    assert_eq!(difference(&verilog, &netlist), None);
    assert!(
        verilog.end().starts_with("ended after "),
        "{}",
        verilog.end()
    );
    let text: Vec<u8> = verilog.bytes().into_iter().map(|(_, byte)| byte).collect();
    assert!(text.starts_with(TEXT.as_bytes()) && text.len() == TEXT.len() + 1);
}
