//! The opcode map as text: one line for each row.

use super::{Form, Kind, Map, Opcode, Operand, all};
use std::fmt;

/// Whether the core has an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has a micro-program.
    Built,
    /// It raises #UD (#NM if it is the coprocessor's) although the architecture has it.
    Missing,
    /// A prefix or the escape byte.
    Prefix,
    /// The architecture has no such instruction.
    Undefined,
}

/// One line of the printed opcode map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub row: &'static Opcode,
    pub state: State,
}

/// All rows in order, with what the core has of them.
pub fn listing(is_built: impl Fn(&Opcode) -> bool) -> impl Iterator<Item = Line> {
    all().map(move |row| Line {
        row,
        state: match row.kind {
            Kind::Prefix | Kind::Escape => State::Prefix,
            Kind::Undefined => State::Undefined,
            Kind::Instruction | Kind::Coprocessor if is_built(row) => State::Built,
            Kind::Instruction | Kind::Coprocessor => State::Missing,
        },
    })
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Built => "built",
            State::Missing => "missing",
            State::Prefix => "prefix",
            State::Undefined => "undefined",
        })
    }
}

/// The manual's abbreviation; a register by its name.
impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::SignedIb => f.write_str("sIb"),
            Operand::One => f.write_str("1"),
            Operand::Ax => f.write_str("eAX"),
            Operand::OpcodeRegisterByte => f.write_str("r8"),
            Operand::OpcodeRegisterFull => f.write_str("r16/32"),
            Operand::Al | Operand::Cl | Operand::Dx => {
                f.write_str(&format!("{self:?}").to_uppercase())
            }
            Operand::Es | Operand::Cs | Operand::Ss | Operand::Ds | Operand::Fs | Operand::Gs => {
                f.write_str(&format!("{self:?}").to_uppercase())
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// Bytes, form, name and operands: `0F C7 /1 mem  cmpxchg8b Mq`.
impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = if self.map == Map::TwoByte { "0F " } else { "" };
        let extension = self
            .extension
            .map_or(String::new(), |reg| format!(" /{reg}"));
        let form = match self.form {
            Form::Any => "",
            Form::MemoryOnly => " mem",
            Form::RegisterOnly => " reg",
        };
        let encoding = format!("{escape}{:02X}{extension}{form}", self.byte);
        let operands: Vec<String> = self
            .operands
            .iter()
            .filter(|operand| **operand != Operand::None)
            .map(Operand::to_string)
            .collect();
        let text = format!("{encoding:14}{:10}{}", self.mnemonic, operands.join(", "));
        f.pad(text.trim_end())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:44}{}", self.row, self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcodes::lookup;

    #[test]
    fn a_line_shows_bytes_name_operands_and_state() {
        let line = |map, byte, reg, state| {
            let row = lookup(map, byte, reg, false).expect("a row");
            Line { row, state }.to_string()
        };
        assert_eq!(
            line(Map::TwoByte, 0xC7, 1, State::Built),
            "0F C7 /1 mem  cmpxchg8b Mq                  built"
        );
        assert_eq!(
            line(Map::OneByte, 0x6B, 0, State::Missing),
            "6B            imul      Gv, Ev, sIb         missing"
        );
    }

    #[test]
    fn every_row_has_a_line_and_only_instructions_can_be_missing() {
        assert_eq!(listing(|_| true).count(), all().count());
        assert!(listing(|_| true).all(|line| line.state != State::Missing));
        for line in listing(|row| row.mnemonic == "add") {
            let instruction = matches!(line.row.kind, Kind::Instruction | Kind::Coprocessor);
            assert_eq!(
                instruction,
                matches!(line.state, State::Built | State::Missing),
                "{line}"
            );
        }
    }
}
