//! The core that `sysgate verilog --top core` writes, in a system that knows nothing but Wishbone.

use tests::bench::{Bench, Sources};
use tests::boot_rom::hexadecimal;
use tests::wishbone::{TEXT, program};

/// The bench with the emitted file, and `program.hex` beside them.
fn bench() -> Bench {
    let bench = Bench::build(&Sources {
        name: "wishbone",
        top: "bench",
        files: &[
            ("bench.v", include_str!("../wishbone/bench.v")),
            ("sysgate_core.v", verilator_sys::WISHBONE_CORE_VERILOG),
        ],
        waived: &[],
        optimisation: 1,
    });
    let program = program().expect("the program assembles");
    bench.place("program.hex", &hexadecimal(&program, 4));
    bench
}

/// The line that says how it went.
fn outcome(text: &str) -> &str {
    let mut lines = text.lines();
    lines
        .find(|line| line.starts_with("passed") || line.starts_with("failed"))
        .unwrap_or(text)
}

fn run(bench: &Bench, waits: i32, bursts: bool, spoil: u32) -> String {
    bench.run(&[
        "+program=program.hex".to_string(),
        format!("+waits={waits}"),
        format!("+bursts={}", u32::from(bursts)),
        format!("+spoil={spoil}"),
    ])
}

#[test]
fn a_reset_in_the_middle_of_anything_begins_anew() {
    let bench = bench();
    for clock in (20..4000).step_by(37) {
        let text = bench.run(&[
            "+program=program.hex".to_string(),
            "+waits=-1".to_string(),
            format!("+reset={clock}"),
        ]);
        assert!(
            outcome(&text).starts_with("passed: "),
            "reset in clock {clock}: {text}"
        );
    }
}

#[test]
fn the_core_serves_a_system_that_knows_nothing_but_wishbone() {
    let bench = bench();
    for waits in [0, 1, 5, -1] {
        for bursts in [false, true] {
            let text = run(&bench, waits, bursts, 0);
            assert!(
                text.starts_with(&format!("{TEXT}passed: ")),
                "waits {waits}, bursts {bursts}: {text}"
            );
            println!("waits {waits}, bursts {bursts}: {}", outcome(&text));
        }
    }
    // What disobeys is found: the bench does not pass by itself.
    #[rustfmt::skip]
    let disobeys = [
        (1, "the second word of a burst at the first one's address"),
        (2, "an address that changes while it waits"),
        (3, "stores of all lanes"),
        (4, "SEL turned by a lane"),
        (5, "bursts that never end"),
        (6, "no bursts"),
        (7, "bursts that wrap"),
        (8, "ports taken for memory"),
        (9, "data turned by a lane"),
        (10, "STB taken back"),
        (11, "interrupts that are never acknowledged"),
    ];
    for (spoil, what) in disobeys {
        let text = run(&bench, 2, true, spoil);
        assert!(outcome(&text).starts_with("failed: "), "{what}: {text}");
        println!("{what}: {}", outcome(&text));
    }
}
