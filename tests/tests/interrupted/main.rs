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

/// The other handlers, both events in one clock, and memory that makes the processor wait: some minutes.
#[test]
#[ignore = "takes minutes; an_event_in_any_clock... is the short form"]
fn events_in_any_clock_change_nothing_whatever_handlers_do_and_memory_takes() {
    let plans: Vec<_> = [None, Some(1), Some(0x5EED), Some(0xC0_FFEE)]
        .into_iter()
        .flat_map(|seed| {
            [
                (Forced::Interrupt, Handler::Brief, seed),
                (Forced::Nmi, Handler::Thorough, seed),
                (Forced::Both, Handler::Thorough, seed),
            ]
        })
        .collect();
    check(&all(), &plans, 1);
}
