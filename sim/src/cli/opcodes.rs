//! `sysgate opcodes`.

use super::{Failure, exit, print};
use clap::Args;
use spec::opcodes::{self, Form, Kind, Map, Opcode, Operand};
use std::fmt::Write;

/// Arguments of `sysgate opcodes`.
#[derive(Args, Debug)]
pub struct OpcodesArguments {
    /// Only instructions that the core does not build: they raise #UD
    #[arg(long)]
    missing: bool,
}

impl OpcodesArguments {
    /// Prints the opcode map.
    ///
    /// # Errors
    /// Output that cannot be written.
    pub fn run(self) -> Result<u8, Failure> {
        let mut text = String::new();
        let mut built = 0;
        let mut missing = 0;
        for (row, &is_built) in opcodes::all().zip(verilator_sys::OPCODES_BUILT) {
            if !matches!(row.kind, Kind::Instruction | Kind::Coprocessor) {
                continue;
            }
            if is_built {
                built += 1
            } else {
                missing += 1
            }
            if !(self.missing && is_built) {
                writeln!(text, "{}", line(row, is_built)).unwrap();
            }
        }
        writeln!(text, "{built} rows built, {missing} missing").unwrap();
        print(&text)?;
        Ok(exit::SUCCESS)
    }
}

fn line(row: &Opcode, is_built: bool) -> String {
    let mut code = match row.map {
        Map::OneByte => format!("{:02x}", row.byte),
        Map::TwoByte => format!("0f {:02x}", row.byte),
    };
    if let Some(extension) = row.extension {
        write!(code, " /{extension}").unwrap();
    }
    let operands: Vec<String> = row
        .operands
        .iter()
        .filter(|operand| **operand != Operand::None)
        .map(|operand| format!("{operand:?}"))
        .collect();
    let form = match row.form {
        Form::Any => "",
        Form::MemoryOnly => "memory",
        Form::RegisterOnly => "register",
    };
    let state = if is_built { "built" } else { "missing" };
    format!(
        "{code:9} {:12} {:36} {form:9} {state}",
        row.mnemonic,
        operands.join(", ")
    )
}
