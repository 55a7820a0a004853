//! When the waveform is written.

use crate::symbols::Symbols;

/// One `--wave-window`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// `from=N`: from this cycle on.
    From(u64),
    /// `cycles=N`: the length of windows that `from` and `symbol` begin; alone, from reset on.
    Cycles(u64),
    /// `symbol=NAME`: each time this symbol is reached.
    Symbol(String),
    /// `around=NAME:N`: N cycles before and after, each time this symbol is reached.
    Around(String, u64),
    /// Between two cycles; not on the command line.
    Between(u64, u64),
}

impl std::str::FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is none of from=N, cycles=N, symbol=NAME, around=NAME:N");
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| format!("`{text}` is no number of cycles"))
        };
        let (kind, value) = text.split_once('=').ok_or_else(wrong)?;
        match kind {
            "from" => Ok(Window::From(number(value)?)),
            "cycles" => Ok(Window::Cycles(number(value)?)),
            "symbol" if !value.is_empty() => Ok(Window::Symbol(value.to_string())),
            "around" => {
                let (name, cycles) = value.rsplit_once(':').ok_or_else(wrong)?;
                Ok(Window::Around(name.to_string(), number(cycles)?))
            }
            _ => Err(wrong()),
        }
    }
}

/// All windows of a run: intervals of cycles that are known, and symbols that will add some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    intervals: Vec<(u64, u64)>,
    /// Address, cycles before, cycles after.
    symbols: Vec<(u32, u64, u64)>,
}

impl Windows {
    /// Never.
    pub fn none() -> Self {
        Self::default()
    }

    /// From the command line; no windows mean always.
    ///
    /// # Errors
    /// A symbol that does not exist.
    pub fn new(list: &[Window], symbols: &Symbols) -> Result<Self, String> {
        let length = list.iter().rev().find_map(|window| match window {
            Window::Cycles(cycles) => Some(*cycles),
            _ => None,
        });
        let after = length.unwrap_or(u64::MAX);
        let mut windows = Self::none();
        for window in list {
            match window {
                Window::From(from) => windows.intervals.push((*from, from.saturating_add(after))),
                Window::Between(from, to) => windows.intervals.push((*from, *to)),
                Window::Symbol(name) => windows.symbols.push((symbols.address_of(name)?, 0, after)),
                Window::Around(name, cycles) => {
                    windows
                        .symbols
                        .push((symbols.address_of(name)?, *cycles, *cycles))
                }
                Window::Cycles(_) => {}
            }
        }
        if windows == Self::none() {
            windows.intervals.push((0, after));
        }
        Ok(windows)
    }

    /// Whether a window begins before what it is about, so that it can only be written by a second run.
    pub fn look_back(&self) -> bool {
        self.symbols.iter().any(|&(_, before, _)| before != 0)
    }

    /// Addresses that must be reported by [`Self::reached`].
    pub fn addresses(&self) -> impl Iterator<Item = u32> {
        self.symbols.iter().map(|&(address, ..)| address)
    }

    /// The instruction at `address` is next.
    pub fn reached(&mut self, address: u32, cycle: u64) {
        for &(at, before, after) in &self.symbols {
            if at == address {
                self.intervals
                    .push((cycle.saturating_sub(before), cycle.saturating_add(after)));
            }
        }
    }

    /// Whether to write at `cycle`, and until which cycle that holds.
    pub fn at(&mut self, cycle: u64) -> (bool, u64) {
        let on = self
            .intervals
            .iter()
            .any(|&(from, to)| (from..to).contains(&cycle));
        let edges = self.intervals.iter().flat_map(|&(from, to)| [from, to]);
        (
            on,
            edges.filter(|&edge| edge > cycle).min().unwrap_or(u64::MAX),
        )
    }

    /// The end of the last interval.
    pub fn last(&self) -> u64 {
        self.intervals.iter().map(|&(_, to)| to).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(list: &[&str]) -> Windows {
        let list: Vec<Window> = list.iter().map(|text| text.parse().unwrap()).collect();
        Windows::new(&list, &Symbols::default()).unwrap()
    }

    #[test]
    fn without_windows_everything_is_written() {
        assert_eq!(windows(&[]).at(0), (true, u64::MAX));
    }

    #[test]
    fn from_and_cycles_make_one_window() {
        let mut windows = windows(&["from=100", "cycles=50"]);
        assert_eq!(windows.at(0), (false, 100));
        assert_eq!(windows.at(100), (true, 150));
        assert_eq!(windows.at(150), (false, u64::MAX));
    }

    #[test]
    fn cycles_alone_count_from_reset() {
        assert_eq!(windows(&["cycles=50"]).at(0), (true, 50));
    }

    #[test]
    fn a_window_around_an_address_looks_back() {
        let mut windows = Windows {
            intervals: vec![],
            symbols: vec![(0x1000, 20, 30)],
        };
        assert!(windows.look_back());
        windows.reached(0x1000, 100);
        windows.reached(0x2000, 500);
        assert_eq!(windows.at(90), (true, 130));
        assert_eq!(windows.last(), 130);
    }

    #[test]
    fn a_window_that_is_none_is_refused() {
        for text in ["", "from", "from=x", "around=NAME", "symbol=", "to=5"] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }
}
