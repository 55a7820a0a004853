//! The machine against recorded silicon: single instructions in ring 3, state set through the debug port.

use std::path::Path;
use tests::silicon::machine::Simulated;
use tests::silicon::replay::{Report, replay};
use tests::silicon::{Case, read_file};

fn vectors() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/silicon.bin.xz");
    read_file(&path).expect("the recorded vectors")
}

/// Replays cases that are built or not as the decoder says, and prints what differs.
fn replay_on_the_machine(wait_seed: Option<u64>, cases: &[Case]) -> Report {
    let mut processor = Simulated::new(wait_seed).expect("a machine that halts");
    let numbered = cases.iter().enumerate();
    let report = replay(&mut processor, numbered, hdl::decode::is_built).expect("known opcodes");
    let mut text = Vec::new();
    report.print(&mut text, None).expect("memory never fails");
    println!("{}", String::from_utf8_lossy(&text));
    report
}

#[test]
fn every_recorded_instruction_ends_as_on_the_silicon() {
    let cases = vectors();
    let report = replay_on_the_machine(None, &cases);
    let missing: usize = report.missing.values().sum();
    assert!(report.failed.is_empty(), "{} failed", report.failed.len());
    assert_eq!(report.passed + missing, cases.len());
}

#[test]
fn wait_states_change_no_result() {
    let seed = 0x5EED;
    let cases: Vec<Case> = vectors().into_iter().step_by(7).collect();
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
    let case = vectors().swap_remove(0);
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
        wrong(|case| case.outcome = tests::silicon::Outcome::Exception(13)),
        wrong(|case| case.memory_after[0].1 ^= 1),
    ];
    let report = replay_on_the_machine(None, &cases);
    assert_eq!(report.failed.len(), cases.len());
    assert!(
        report
            .failed
            .iter()
            .all(|failure| failure.differences.len() == 1)
    );
}
