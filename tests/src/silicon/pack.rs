//! Chooses some cases of each encoding and writes them as a vector file.

use super::Case;
use iced_x86::Code;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `per_encoding` cases of each encoding, in the order of the encodings, then of the cases.
///
/// They are spread over the encoding's cases, but every way to end (completed, each exception with each
/// error code) is among them.
pub fn choose(cases: &[Case], per_encoding: usize) -> Vec<Case> {
    let mut by_encoding: BTreeMap<Code, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        by_encoding.entry(case.code).or_default().push(case);
    }
    by_encoding
        .values()
        .flat_map(|cases| choose_of_one(cases, per_encoding))
        .cloned()
        .collect()
}

fn choose_of_one<'a>(cases: &[&'a Case], count: usize) -> Vec<&'a Case> {
    let end = |case: &Case| (case.outcome, case.error_code);
    let mut chosen: Vec<usize> = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if chosen.len() < count && chosen.iter().all(|&other| end(cases[other]) != end(case)) {
            chosen.push(number);
        }
    }
    let evenly = (0..count).map(|i| i * cases.len() / count);
    for number in evenly.chain(0..cases.len()) {
        if chosen.len() < count && !chosen.contains(&number) {
            chosen.push(number);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|number| cases[number]).collect()
}

/// Writes cases as a vector file, compressed if its name ends with `.xz`; returns its length in bytes.
///
/// It is written under another name first, so that there is never half of one.
///
/// # Errors
/// Those of the compressor and of the file system.
///
/// # Panics
/// If the cases have not all the same environment.
pub fn write_file(path: &Path, cases: &[Case]) -> std::io::Result<u64> {
    let records = super::format::write(cases);
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut file = std::fs::File::create(&part)?;
    if path.extension().is_some_and(|extension| extension == "xz") {
        let mut encoder = liblzma::write::XzEncoder::new(&mut file, 9);
        encoder.write_all(&records)?;
        encoder.finish()?;
    } else {
        file.write_all(&records)?;
    }
    std::fs::rename(&part, path)?;
    Ok(file.metadata()?.len())
}
