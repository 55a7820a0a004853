//! The machine against recorded silicon: single instructions in ring 3, state set through the debug port.

use std::path::Path;
use tests::silicon::machine::{Simulated, replay_on_all_cores};
use tests::silicon::replay::{Report, replay};
use tests::silicon::{Case, Outcome, read_file};

fn vectors(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name);
    read_file(&path).expect("the recorded vectors")
}

/// Replays cases that are built or not as the decoder says, and prints what differs.
fn print(report: &Report) {
    let mut text = Vec::new();
    report.print(&mut text, None).expect("memory never fails");
    println!("{}", String::from_utf8_lossy(&text));
}

fn replay_on_the_machine(wait_seed: Option<u64>, cases: &[Case]) -> Report {
    let numbered: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
    let report = replay_on_all_cores(&numbered, wait_seed).expect("known opcodes");
    print(&report);
    report
}

/// Every case ends as recorded.
fn replay_file(name: &str) {
    let report = replay_on_the_machine(None, &vectors(name));
    assert!(report.failed.is_empty(), "{} failed", report.failed.len());
}

#[test]
fn every_recorded_instruction_ends_as_on_the_silicon() {
    replay_file("random.bin.xz");
}

#[test]
fn every_segment_permits_and_forbids_what_it_does_on_the_silicon() {
    replay_file("protection.bin.xz");
}

#[test]
fn every_instruction_of_the_first_recording_ends_as_on_the_silicon() {
    replay_file("silicon.bin.xz");
}

#[test]
fn at_least_50_000_cases_are_replayed() {
    let counts = ["random.bin.xz", "protection.bin.xz", "silicon.bin.xz"].map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("vectors")
            .join(name);
        let bytes = std::fs::metadata(&path).expect("it is there").len();
        (vectors(name).len(), bytes)
    });
    assert!(counts.iter().map(|(cases, _)| cases).sum::<usize>() >= 50_000);
    assert!(counts.iter().map(|(_, bytes)| bytes).sum::<u64>() <= 8 << 20);
}

#[test]
fn wait_states_change_no_result() {
    let seed = 0x5EED;
    let mut cases: Vec<Case> = vectors("silicon.bin.xz").into_iter().step_by(7).collect();
    cases.extend(vectors("random.bin.xz").into_iter().step_by(41));
    let report = replay_on_the_machine(Some(seed), &cases);
    assert!(
        report.failed.is_empty(),
        "{} failed with wait seed {seed:X}",
        report.failed.len()
    );
}

#[test]
fn a_wrong_field_in_the_recording_is_found_on_the_machine() {
    // add [..],ch: it writes memory and flags.
    let case = vectors("silicon.bin.xz").swap_remove(0);
    let wrong = |change: fn(&mut Case)| {
        let mut case = case.clone();
        change(&mut case);
        case
    };
    let cases = [
        wrong(|case| case.registers_after[7] ^= 1),
        wrong(|case| case.eflags_after ^= 1),
        wrong(|case| case.eip_after += 1),
        wrong(|case| case.error_code = 1),
        wrong(|case| case.outcome = Outcome::Exception(13)),
        wrong(|case| case.memory_after[0].1 ^= 1),
    ];
    let mut processor = Simulated::new(None).expect("a machine that halts");
    let report = replay(
        &mut processor,
        cases.iter().enumerate(),
        hdl::decode::is_built,
    )
    .expect("known opcodes");
    print(&report);
    assert_eq!(report.failed.len(), cases.len());
    let each_has_one = |report: &Report| {
        let mut failures = report.failed.iter();
        failures.all(|failure| failure.differences.len() == 1)
    };
    assert!(each_has_one(&report));
}
