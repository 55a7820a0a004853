//! Independence from timing: an interrupt or an NMI in any clock of any instruction changes nothing but when things happen.

mod harness;
mod rows;
mod scenes;

use harness::{Forced, Handler, Plan, Scene, check};

/// Every scene there is.
fn all() -> Vec<Scene> {
    let mut all = scenes::scenes();
    all.extend(rows::scenes());
    all
}

#[test]
fn an_event_in_any_clock_of_any_instruction_changes_nothing_else() {
    let every_clock = |forced, handler| Plan {
        forced,
        handler,
        wait_seed: None,
        step: 1,
    };
    check(
        &all(),
        &[
            every_clock(Forced::Interrupt, Handler::Thorough),
            every_clock(Forced::Nmi, Handler::Brief),
            // Each clock of a run with waits is another one of a run without: a sample.
            Plan {
                forced: Forced::Both,
                handler: Handler::Brief,
                wait_seed: Some(0x5EED),
                step: 23,
            },
        ],
    );
}

#[test]
#[ignore = "takes minutes; the test above is its short form"]
fn events_in_any_clock_change_nothing_whatever_handlers_do_and_memory_takes() {
    let mut plans = Vec::new();
    for wait_seed in [None, Some(1), Some(0x5EED), Some(0xC0_FFEE)] {
        for (forced, handler) in [
            (Forced::Interrupt, Handler::Brief),
            (Forced::Nmi, Handler::Thorough),
            (Forced::Both, Handler::Thorough),
        ] {
            plans.push(Plan {
                forced,
                handler,
                wait_seed,
                step: 1,
            });
        }
    }
    check(&all(), &plans);
}
