//! `sysgate bench` as a user runs it.
#![cfg(feature = "model")]

use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .arg("bench")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What it printed, if it ended well.
fn json(arguments: &[&str]) -> Value {
    let output = bench(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON alone on stdout")
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn the_json_has_every_part_with_its_fields() {
    let all = json(&["--json"]);
    assert_eq!(keys(&all), ["clocks", "programs", "simulation"]);

    let clocks = all["clocks"].as_array().unwrap();
    for row in clocks {
        assert_eq!(keys(row), ["cycles", "i486", "name", "pentium"]);
        assert!(row["cycles"].as_f64().unwrap() > 0.0, "{row}");
        assert!(!row["name"].as_str().unwrap().is_empty());
        for peer in ["i486", "pentium"] {
            assert!(row[peer].is_null() || row[peer].as_f64().unwrap() > 0.0);
        }
    }
    let row = |name: &str| {
        clocks
            .iter()
            .find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("no row {name}"))
    };
    let addition = row("add r,r dependent")["cycles"].as_f64().unwrap();
    assert!((1.0..1.1).contains(&addition), "{addition}");
    assert_eq!(row("imul r,r")["i486"], 42.0);
    assert!(row("sysenter + sysexit, 4 moves")["i486"].is_null());

    let programs = all["programs"].as_array().unwrap();
    assert_eq!(programs.len(), 9);
    for program in programs {
        let fields = [
            "branch_share",
            "cpi",
            "cycles",
            "instructions",
            "load_share",
            "name",
            "stalls",
        ];
        assert_eq!(keys(program), fields);
        let figure = |name: &str| program[name].as_f64().unwrap();
        assert!(figure("load_share") >= 0.2, "{program}");
        assert!((0.01..0.5).contains(&figure("branch_share")), "{program}");
        assert!(figure("instructions") >= 40_000.0, "{program}");
        let stalls = program["stalls"].as_object().unwrap();
        let lost: f64 = stalls.values().map(|clocks| clocks.as_f64().unwrap()).sum();
        // At least a micro-op retires for each instruction in the rest.
        assert!(
            lost > 0.0 && lost <= figure("cycles") - figure("instructions"),
            "{program}"
        );
        let cpi = figure("cycles") / figure("instructions");
        assert!((figure("cpi") - cpi).abs() < 0.001, "{program}");
    }

    let simulation = &all["simulation"];
    assert_eq!(
        keys(simulation),
        ["clocks_per_second", "instructions_per_second"]
    );
    assert!(simulation["instructions_per_second"].as_f64().unwrap() > 0.0);
    assert!(
        simulation["clocks_per_second"].as_f64() >= simulation["instructions_per_second"].as_f64()
    );
}

#[test]
fn one_part_alone_is_measured_and_printed_alone() {
    assert_eq!(keys(&json(&["clocks", "--json"])), ["clocks"]);
    let output = bench(&["clocks"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("i486"), "{text}");
    assert!(!text.contains("CPI"), "{text}");
}

#[test]
fn an_unknown_part_is_a_wrong_argument() {
    let output = bench(&["speed"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("programs"), "{message}");
}
