//! The keys; the help is this table.

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table tells")]
pub enum Action {
    Step,
    StepBack,
    Over,
    OverBack,
    Out,
    OutBack,
    Go,
    GoBack,
    Clock,
    ClockBack,
    Ring,
    RingBack,
    ToCursor,
    ToCursorBack,
    Breakpoint,
    Up,
    Down,
    PageUp,
    PageDown,
    Here,
    Address,
    Type,
    Help,
    Quit,
}

/// A key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The character; a capital letter goes backwards.
    pub character: char,
    /// What it does.
    pub action: Action,
    /// The line of the help; empty where the line before tells of both.
    pub help: &'static str,
}

impl Key {
    /// Whether a typed character is this key.
    pub fn is(&self, character: char) -> bool {
        self.character == character
    }
}

const fn key(character: char, action: Action, help: &'static str) -> Key {
    Key {
        character,
        action,
        help,
    }
}

/// All keys that are characters. As in `sysgate debug`: t, p, g, gu.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key('t', Action::Step,         "t T      step into: one instruction / back"),
    key('T', Action::StepBack,     ""),
    key('p', Action::Over,         "p P      step over calls / back"),
    key('P', Action::OverBack,     ""),
    key('u', Action::Out,          "u U      (gu) run out of what was called / back to its call"),
    key('U', Action::OutBack,      ""),
    key('g', Action::Go,           "g G      go to a breakpoint or the end / back"),
    key('G', Action::GoBack,       ""),
    key('r', Action::Ring,         "r R      to the next ring change / back"),
    key('R', Action::RingBack,     ""),
    key('c', Action::Clock,        "c C      one clock cycle / back"),
    key('C', Action::ClockBack,    ""),
    key('h', Action::ToCursor,     "h H      run to the cursor / back"),
    key('H', Action::ToCursorBack, ""),
    key('b', Action::Breakpoint,   "b        breakpoint at the cursor: set or clear"),
    key('k', Action::Up,           "k j      cursor up, down (arrows, PgUp, PgDn)"),
    key('j', Action::Down,         ""),
    key('.', Action::Here,         ".        cursor to the next instruction"),
    key('/', Action::Address,      "/        cursor to a symbol, register or address"),
    key('i', Action::Type,         "i        type into the guest's console, Esc ends"),
    key('?', Action::Help,         "?        this help"),
    key('q', Action::Quit,         "q        quit; Ctrl-C or Esc ends a run"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_once_and_is_told_in_the_help() {
        let help: String = KEYS
            .iter()
            .map(|key| key.help)
            .collect::<Vec<_>>()
            .join("\n");
        for key in KEYS {
            let count = KEYS.iter().filter(|other| other.is(key.character)).count();
            assert_eq!(count, 1, "{}", key.character);
            let told = help.lines().any(|line| {
                line.get(..4)
                    .is_some_and(|keys| keys.contains(key.character))
            });
            assert!(told, "{}", key.character);
        }
    }
}
