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

#[test]
fn an_unknown_row_and_an_instruction_that_never_comes_are_told() {
    for (arguments, code, text) in [
        (
            &["--row", "nothing"][..],
            2,
            "the rows are\n  loop dec; jnz\n",
        ),
        (&["--at", "nt!Nothing"], 10, "Nothing"),
        (
            &["--at", "12345678", "--max-cycles", "20000"],
            10,
            "executed 0 times, not 1",
        ),
        (
            &["--at", "nt!KiFastCallEntry", "--time", "100"],
            10,
            "times, not 100",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sysgate"))
            .arg("pipeline")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(text), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn every_instruction_of_the_image_is_drawn_from_decode_to_its_retirement() {
    let diagram = sysgate(&["pipeline", "--at", "nt!KiFastCallEntry", "--count", "30"]);
    let rows: Vec<&str> = diagram
        .lines()
        .filter(|line| line.starts_with("828"))
        .collect();
    assert!(rows.len() >= 30, "{diagram}");
    let labels = diagram.find('0').expect("clock 0") - 2;
    for row in rows {
        let way: Vec<&str> = row[labels..].split_whitespace().collect();
        let retires = way.last() == Some(&"E") && way[0] == "D";
        assert!(retires || way.last() == Some(&"x"), "{row}");
    }
}
