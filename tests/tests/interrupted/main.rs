//! Independence from timing: an interrupt or an NMI in any clock of any instruction changes nothing but when things happen.

mod harness;
mod rows;
mod scenes;

use harness::{Forced, Handler, check};

/// Every scene there is.
fn all() -> Vec<harness::Scene> {
    let mut all = scenes::scenes();
    all.extend(rows::scenes());
    all
}

#[test]
fn an_event_in_any_clock_of_any_instruction_changes_nothing_else() {
    check(
        &all(),
        &[
            (Forced::Interrupt, Handler::Thorough, None),
            (Forced::Nmi, Handler::Brief, None),
        ],
        1,
    );
}

#[test]
#[ignore]
fn list() {
    check(&all(), &[(Forced::Nmi, Handler::Brief, None)], 100000);
}
