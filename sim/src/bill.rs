//! The bill that an image prints of itself: its lines as they come over a serial line, and the same counts from the
//! retire trace.
//!
//! ```text
//! RDTSC at        A         B              C          D
//!                 |-- 39 ---|------ 53 ----|--- 27 ---|
//! printed         A's line is the title; B 39, C 53, D 27, sum 119
//! ```
//! A line has one number per call that was measured; the calls follow each other in time.

use crate::image::Image;
use crate::machine::{Machine, MachineConfig, Stop};
use crate::symbols::Symbols;
use firmware::{BILL_SUM, BILL_TITLE};
use std::fmt::Write;

/// RDTSC.
const READ_TIME_STAMP: [u8; 2] = [0x0F, 0x31];
/// Clock cycles between two looks at what happened.
const SLICE_CYCLES: u64 = 50_000;
/// An image that has not ended after this many clock cycles prints no bill.
const MAX_CYCLES: u64 = 50_000_000;
/// No line is longer, in bytes; what comes without an end is noise.
const LINE_LIMIT: usize = 256;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The hop that ended, or the sum.
    pub name: String,
    /// Clocks, one number per call.
    pub clocks: Vec<u64>,
}

impl Line {
    /// The numbers are the words at the end that are numbers; the rest is the name.
    fn parse(text: &str) -> Self {
        let mut rest = text.trim_end();
        let mut clocks = Vec::new();
        while let Some((before, last)) = rest.rsplit_once(' ')
            && let Ok(number) = last.parse()
        {
            clocks.insert(0, number);
            rest = before.trim_end();
        }
        Self {
            name: rest.into(),
            clocks,
        }
    }

    fn numbers(&self) -> String {
        self.clocks.iter().fold(String::new(), |mut text, number| {
            write!(text, "{number:>8}").expect("a string takes all");
            text
        })
    }
}

/// Finds the bill in what comes, byte by byte, from a serial line. It may begin anywhere.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Vec<u8>,
    begun: bool,
    lines: Vec<Line>,
    complete: bool,
}

impl Reader {
    /// Takes what has come; nothing more once the bill is complete.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.complete {
                return;
            }
            if byte != b'\n' && self.partial.len() < LINE_LIMIT {
                self.partial.push(byte);
                continue;
            }
            let partial = std::mem::take(&mut self.partial);
            let text = String::from_utf8_lossy(&partial);
            if text.starts_with(BILL_TITLE) {
                // Again, if the board was started again in the middle.
                self.begun = true;
                self.lines.clear();
            } else if self.begun {
                let line = Line::parse(&text);
                self.complete = line.name == BILL_SUM;
                self.lines.push(line);
            }
        }
    }

    /// Whether the title has come.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The lines behind the title that have come whole.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether the sum, the last line, has come.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

/// A bill as the simulator measures it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// What the guest printed, decoded from the UART's pin.
    pub printed: Vec<Line>,
    /// The same lines with clocks from the retire trace: cycles between the retirements of the guest's RDTSCs.
    pub traced: Vec<Line>,
    /// For each line but the sum the place of the RDTSC that ended the hop, `module!symbol`.
    pub places: Vec<String>,
    /// All that came out of the UART.
    pub console: Vec<u8>,
}

/// Boots the image and measures the bill that it prints. `go_on` is asked again and again; `None` if it says no.
///
/// # Errors
/// An image that does not end, prints no bill, or whose bill has not as many lines as it takes time stamps.
pub fn measure(image: &Image, go_on: &mut dyn FnMut() -> bool) -> Result<Option<Measured>, String> {
    let symbols = Symbols::new(image.symbols.clone());
    let mut machine = Machine::new(MachineConfig {
        rom: image.rom.clone(),
        keep_ports: false,
        ..MachineConfig::default()
    })
    .map_err(|error| error.to_string())?;
    let mut stamps: Vec<(u64, u32)> = Vec::new();
    let mut console = Vec::new();
    loop {
        let stop = machine.run(SLICE_CYCLES);
        for retired in machine.drain_retired() {
            if retired.last
                && !retired.exception
                && !retired.interrupt
                && retired.bytes[..2] == READ_TIME_STAMP
            {
                // Code segments are flat where time stamps are taken.
                stamps.push((retired.cycle, retired.eip));
            }
        }
        console.extend(machine.take_console());
        if !go_on() {
            return Ok(None);
        }
        match stop {
            Stop::Halted => break,
            Stop::Cycles if machine.status().cycle < MAX_CYCLES => {}
            _ => {
                return Err(format!(
                    "the image does not end in the simulator: {stop:?} after {} clocks",
                    machine.status().cycle
                ));
            }
        }
    }
    let mut reader = Reader::default();
    reader.push(&console);
    let printed = reader.lines;
    if !reader.complete {
        return Err(
            "the image prints no bill; `sysgate image --bill` makes one that does".to_string(),
        );
    }
    let calls = printed[0].clocks.len();
    let hops = printed.len() - 1;
    // The kernel and the DLLs take more when the bill itself is written.
    if calls == 0
        || printed.iter().any(|line| line.clocks.len() != calls)
        || stamps.len() < calls * (hops + 1)
    {
        return Err(format!(
            "the image's bill has {hops} hops and {calls} calls, but the simulator saw {} time stamps",
            stamps.len()
        ));
    }
    let calls: Vec<&[(u64, u32)]> = stamps.chunks_exact(hops + 1).take(calls).collect();
    let mut traced: Vec<Line> = (0..hops)
        .map(|hop| Line {
            name: printed[hop].name.clone(),
            clocks: calls
                .iter()
                .map(|stamps| stamps[hop + 1].0 - stamps[hop].0)
                .collect(),
        })
        .collect();
    traced.push(Line {
        name: printed[hops].name.clone(),
        clocks: calls
            .iter()
            .map(|stamps| stamps[hops].0 - stamps[0].0)
            .collect(),
    });
    let places = calls[0][1..]
        .iter()
        .map(|&(_, address)| {
            let place = symbols.at(address);
            format!("{}!{}", place.module_name(), place.symbol_name())
        })
        .collect();
    Ok(Some(Measured {
        printed,
        traced,
        places,
        console,
    }))
}

/// Two bills side by side.
#[derive(Debug)]
pub struct Comparison {
    /// A line per hop and one for the sum, each saying whether the two are equal.
    pub table: String,
    /// Lines, of them those that differ.
    pub lines: usize,
    /// Lines that are not equal.
    pub different: usize,
}

/// Lays what came from a board beside what the simulator measured.
pub fn compare(board: &[Line], simulator: &[Line]) -> Comparison {
    let lines = board.len().max(simulator.len());
    let mut different = 0;
    let mut table = format!("{:40}{:>16}{:>16}\n", "clocks to", "board", "simulator");
    for number in 0..lines {
        let [one, other] = [board, simulator].map(|lines| lines.get(number));
        let verdict = if one == other {
            "equal"
        } else {
            different += 1;
            "differs"
        };
        let name = other.or(one).map_or("", |line| &line.name);
        let numbers = |line: Option<&Line>| match line {
            None => "-".to_string(),
            Some(line) if line.name != name => format!("{:?}", line.name),
            Some(line) => line.numbers(),
        };
        writeln!(
            table,
            "{name:40}{:>16}{:>16}  {verdict}",
            numbers(one),
            numbers(other)
        )
        .expect("a string takes all");
    }
    Comparison {
        table,
        lines,
        different,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        format!(
            "hello\r\n{BILL_TITLE}   1st call  2nd call\r\na!b        39        30\r\na!c, return        5      6\r\n{BILL_SUM}     44     36\r\nrest"
        )
    }

    fn line(name: &str, clocks: [u64; 2]) -> Line {
        Line {
            name: name.into(),
            clocks: clocks.into(),
        }
    }

    #[test]
    fn a_bill_is_read_byte_by_byte_and_ends_with_its_sum() {
        let mut reader = Reader::default();
        for byte in text().bytes() {
            reader.push(&[byte]);
        }
        assert!(reader.is_complete());
        assert_eq!(
            reader.lines(),
            [
                line("a!b", [39, 30]),
                line("a!c, return", [5, 6]),
                line(BILL_SUM, [44, 36])
            ]
        );
    }

    #[test]
    fn a_bill_that_begins_in_its_middle_is_waited_for() {
        let text = text();
        let middle = text.find("39").unwrap();
        let mut reader = Reader::default();
        reader.push(&text.as_bytes()[middle..]);
        assert!(!reader.has_begun() && !reader.is_complete());
        reader.push(text.as_bytes());
        assert!(reader.is_complete());
        assert_eq!(reader.lines().len(), 3);
    }

    #[test]
    fn a_board_that_starts_again_in_the_middle_begins_its_bill_again() {
        let text = text();
        let middle = text.find("a!c").unwrap();
        let mut reader = Reader::default();
        reader.push(&text.as_bytes()[..middle]);
        reader.push(b"\r\n");
        reader.push(text.as_bytes());
        assert_eq!(reader.lines().len(), 3);
    }

    #[test]
    fn a_comparison_names_the_lines_that_differ() {
        let simulator = [line("a!b", [39, 30]), line(BILL_SUM, [39, 30])];
        let equal = compare(&simulator, &simulator);
        assert_eq!((equal.lines, equal.different), (2, 0), "{}", equal.table);
        let board = [line("a!b", [39, 31]), line(BILL_SUM, [39, 30])];
        let other = compare(&board, &simulator);
        assert_eq!((other.lines, other.different), (2, 1));
        let row = other.table.lines().nth(1).unwrap();
        assert!(row.starts_with("a!b") && row.ends_with("differs"), "{row}");
        let garbled = [line("a?b", [39, 30])];
        let other = compare(&garbled, &simulator);
        assert_eq!((other.lines, other.different), (2, 2), "{}", other.table);
    }
}
