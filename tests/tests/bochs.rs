//! The recordings of Bochs in `tests/vectors/bochs/`, replayed on the machine; Bochs itself is not needed.

use std::path::{Path, PathBuf};
use tests::bochs::programs;
use tests::bochs::replay::replay;
use tests::bochs::system::{Program, handler};
use tests::bochs::trace::{Row, read};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/bochs")
}

fn recorded(name: &str) -> (Program, Vec<Row>) {
    let program = programs::named(name).expect("a program");
    let rows = read(&folder().join(format!("{name}.xz")), &program.rom);
    (
        program,
        rows.unwrap_or_else(|error| panic!("{name}: {error:#}")),
    )
}

#[test]
fn every_recorded_program_runs_as_on_bochs() {
    let mut instructions = 0;
    for name in programs::recorded(&folder()).expect("a folder") {
        let (program, rows) = recorded(&name);
        let report = replay(&program, &rows, None);
        assert_eq!(report.difference, None, "{name}");
        assert_eq!(report.equal, rows.len(), "{name}");
        instructions += report.equal;
    }
    println!("{instructions} instructions");
    assert!(instructions > 700_000, "{instructions}");
}

#[test]
fn a_program_with_wait_states_runs_as_on_bochs() {
    for (name, seed) in [
        ("gates", 1),
        ("steps", 2),
        ("sysenter", 3),
        ("random-1", 4),
        ("tasks", 5),
        ("mixed-1", 6),
    ] {
        let (program, rows) = recorded(name);
        let report = replay(&program, &rows, Some(seed));
        assert_eq!(report.difference, None, "{name}, wait seed {seed}");
    }
}

#[test]
fn a_change_of_any_number_of_a_recording_is_found() {
    let (program, rows) = recorded("steps");
    for field in 0..11 {
        let mut changed = rows.clone();
        let row = &mut changed[rows.len() / 2 + field];
        match field {
            0..8 => row.general[field] ^= 0x100,
            // IF, which no instruction leaves undefined.
            8 => row.eflags ^= 0x200,
            9 => row.cs ^= 8,
            _ => row.eip ^= 1,
        }
        let report = replay(&program, &changed, None);
        let difference = report.difference.unwrap_or_default();
        assert!(!difference.is_empty(), "field {field}");
    }
    let mut shorter = rows.clone();
    shorter.remove(rows.len() / 2);
    assert!(replay(&program, &shorter, None).difference.is_some());
    let mut longer = rows.clone();
    longer.push(rows[0]);
    assert!(replay(&program, &longer, None).difference.is_some());
}

#[test]
fn a_change_of_the_row_that_begins_a_switch_to_a_task_that_faults_is_found() {
    let (program, rows) = recorded("tasks");
    // An exception whose task then faults: #DF is all that the machine shows of both.
    let double_fault = handler(8);
    let began = rows.iter().position(|row| row.eip == double_fault);
    let began = began.expect("a double fault") - 1;
    for field in [0, 6, 8] {
        let mut changed = rows.clone();
        match field {
            0..8 => changed[began].general[field] ^= 0x100,
            _ => changed[began].eflags ^= 0x200,
        }
        let report = replay(&program, &changed, None);
        let difference = report.difference.unwrap_or_default();
        let place = format!("before instruction {began} ");
        assert!(
            difference.starts_with(&place),
            "field {field}: {difference}"
        );
    }
    let mut without = rows.clone();
    without.remove(began);
    assert!(replay(&program, &without, None).difference.is_some());
}
