//! The recorder on the host that runs the tests, if it can record.

use tests::silicon::{format, record};

#[test]
fn what_is_recorded_depends_on_nothing_but_the_seed() {
    let record = || record::record(7, 2, None);
    let first = match record() {
        Ok(recording) => recording,
        Err(error) => return println!("{error}"),
    };
    assert!(first.cases.len() > 1000);
    let again = record().expect("it could before");
    assert_eq!(first.cases.len(), again.cases.len());
    let differing = first.cases.iter().zip(&again.cases);
    let differing = differing.filter(|(first, again)| first != again).count();
    assert_eq!(differing, 0);
    let read = format::read(&format::write(&first.cases)).expect("a good file");
    assert_eq!(read, first.cases);
}
