//! `docs/timing.md` says what the chip does now: every figure and every diagram is made again and compared.
//!
//! With `SYSGATE_WRITE_DOCS=1` they are written instead.
#![cfg(feature = "model")]

use sim::bench::Silent;
use sim::bench::clocks::{self, ROWS};
use std::process::{Command, Stdio};

fn path() -> String {
    format!("{}/../docs/timing.md", env!("CARGO_MANIFEST_DIR"))
}

fn sysgate(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What stands in the block behind a comment.
fn block(comment: &str) -> Option<String> {
    if comment == "stalls" {
        let text = sysgate(&["bench", "programs"]);
        let (_, stalls) = text.split_once("\n\n").expect("a table behind the first");
        return Some(stalls.to_string());
    }
    let (row, count) = comment.strip_prefix("pipeline: ")?.rsplit_once("; ")?;
    Some(sysgate(&["pipeline", "--row", row, "--count", count]))
}

/// The document with all its figures as they are now.
fn written(document: &str) -> String {
    let measured = clocks::measure(ROWS, &mut Silent).unwrap();
    let mut text = String::new();
    let mut lines = document.lines();
    let mut rows = 0;
    while let Some(line) = lines.next() {
        let mut cells = line.split(" | ");
        let name = cells.next().unwrap().trim_start_matches("| ");
        if let Some(row) = measured.iter().find(|row| row.name == name)
            && let (Some(_), Some(why)) = (cells.next(), cells.next())
        {
            rows += 1;
            text += &format!("| {name} | {:.2} | {why}\n", row.cycles);
            continue;
        }
        text += &format!("{line}\n");
        let comment = line
            .strip_prefix("<!-- ")
            .and_then(|line| line.strip_suffix(" -->"));
        if let Some(block) = comment.and_then(block) {
            assert_eq!(lines.next(), Some("```"), "behind {line}");
            text += &format!("```\n{block}```\n");
            lines
                .by_ref()
                .find(|line| *line == "```")
                .expect("the end of the block");
        }
    }
    assert_eq!(
        rows,
        ROWS.len(),
        "every row of the clock table has its reason"
    );
    text
}

#[test]
fn the_figures_and_diagrams_of_the_document_are_those_of_the_chip() {
    let document = std::fs::read_to_string(path()).unwrap();
    let now = written(&document);
    if std::env::var_os("SYSGATE_WRITE_DOCS").is_some() {
        std::fs::write(path(), &now).unwrap();
        return;
    }
    let differs = document
        .lines()
        .zip(now.lines())
        .find(|(old, new)| old != new);
    assert_eq!(
        differs, None,
        "docs/timing.md is not what the chip does; SYSGATE_WRITE_DOCS=1 cargo test -p sim --test timing writes it"
    );
    assert_eq!(document.lines().count(), now.lines().count());
}
