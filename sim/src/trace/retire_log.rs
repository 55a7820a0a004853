//! The retire log: one line per instruction, or per micro-op.

use super::disassembly::disassemble;
use super::instructions::{Instruction, Instructions, Write, register_name, writes};
use crate::Retired;
use spec::registers;
use std::fmt::Write as _;

fn system_name(number: u8) -> String {
    register_name(number).map_or_else(|| format!("system_{number:02x}"), str::to_string)
}

fn value(data: u64, size: u8) -> String {
    format!("{data:0width$x}", width = usize::from(size) * 2)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_text(write: &Write) -> String {
    match *write {
        Write::Register(number, data) => {
            format!("{}={data:08x}", registers::GENERAL[usize::from(number & 7)])
        }
        Write::System(number, data) => format!("{}={data:08x}", system_name(number)),
        Write::Store(linear, size, data) => format!("[{linear:08x}]={}", value(data, size)),
        Write::Load(linear, size, data) => format!("{}<-[{linear:08x}]", value(data, size)),
        Write::Out(port, size, data) => format!("out[{port:04x}]={}", value(data.into(), size)),
        Write::In(port, size, data) => format!("{}<-in[{port:04x}]", value(data.into(), size)),
    }
}

fn head(retired: &Retired, cs: u16, is_event: bool) -> String {
    let length = usize::from(retired.length).min(retired.bytes.len());
    let bytes = &retired.bytes[..length];
    let text = match bytes {
        [] if is_event => "(interrupt)".to_string(),
        [] => "(reset)".to_string(),
        _ => disassemble(bytes, retired.eip, retired.mode & 8 != 0),
    };
    format!(
        "{:8} {:9} {} {cs:04x}:{:08x} {:20} {text:32}",
        retired.number,
        retired.cycle,
        retired.cpl,
        retired.eip,
        hex(bytes)
    )
}

/// One line of the retire log: number, cycle, CPL, CS:EIP, bytes, disassembly, then what it read and wrote.
///
/// The cycle is that of the last micro-op. A delivered exception or interrupt stands in braces.
pub fn retire_line(instruction: &Instruction) -> String {
    let retired = &instruction.retired;
    let mut line = head(retired, instruction.cs, instruction.delivered.is_some());
    for write in &instruction.writes {
        write!(line, " {}", write_text(write)).unwrap();
    }
    if retired.eflags != instruction.eflags_before {
        write!(line, " eflags={:08x}", retired.eflags).unwrap();
    }
    if let Some(delivered) = instruction.delivered {
        let kind = if delivered.external {
            "interrupt"
        } else {
            "exception"
        };
        write!(line, " {{{kind} {:02x}", delivered.vector).unwrap();
        if let Some(error_code) = delivered.error_code {
            write!(line, " error={error_code:04x}").unwrap();
        }
        if let Some(cr2) = delivered.cr2 {
            write!(line, " cr2={cr2:08x}").unwrap();
        }
        write!(line, "}} -> {:08x}", retired.next_eip).unwrap();
    }
    line.truncate(line.trim_end().len());
    line
}

/// One line for one micro-op: as [`retire_line`], with its microcode address and temporaries.
///
/// `instructions` must have taken this micro-op's predecessors, not yet itself.
pub fn micro_op_line(retired: &Retired, instructions: &Instructions) -> String {
    // The bytes beside a routine that no instruction began mean nothing.
    let is_event = instructions.is_delivering();
    let shown = if is_event {
        Retired {
            length: 0,
            ..*retired
        }
    } else {
        *retired
    };
    let mut line = head(&shown, instructions.cs().0, is_event);
    let mark = match (retired.first, retired.last) {
        (true, true) => '=',
        (true, false) => '/',
        (false, true) => '\\',
        (false, false) => '|',
    };
    write!(line, " {mark}{:03x}", retired.micro_address).unwrap();
    for write in writes(retired) {
        write!(line, " {}", write_text(&write)).unwrap();
    }
    if retired.register_write && retired.register_number >= 8 {
        write!(
            line,
            " t{}={:08x}",
            retired.register_number - 8,
            retired.register_data
        )
        .unwrap();
    }
    write!(
        line,
        " fl={:08x} next={:08x}",
        retired.eflags, retired.next_eip
    )
    .unwrap();
    if retired.exception || retired.interrupt {
        let kind = if retired.interrupt {
            "interrupt"
        } else {
            "exception"
        };
        write!(
            line,
            " {{{kind} {:02x} error={}:{:04x} cr2={:08x}}}",
            retired.vector,
            u8::from(retired.has_error_code),
            retired.error_code,
            retired.cr2
        )
        .unwrap();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add_to_memory() -> Retired {
        let mut bytes = [0; 16];
        bytes[..3].copy_from_slice(&[0x01, 0x43, 0x04]);
        Retired {
            number: 12,
            cycle: 345,
            eip: 0x77F0_5EB0,
            next_eip: 0x77F0_5EB3,
            bytes,
            length: 3,
            cpl: 3,
            mode: 13,
            eflags: 0x246,
            first: true,
            last: true,
            load: true,
            load_linear: 0x1004,
            load_size: 4,
            load_data: 1,
            store: true,
            store_linear: 0x1004,
            store_size: 4,
            store_data: 3,
            ..Default::default()
        }
    }

    #[test]
    fn a_line_tells_what_ran_where_and_what_it_read_and_wrote() {
        let instruction = Instructions::default().push(&add_to_memory()).unwrap();
        let line = retire_line(&instruction);
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>().join(" "),
            "12 345 3 f000:77f05eb0 014304 add [ebx+4],eax \
             00000001<-[00001004] [00001004]=00000003 eflags=00000246"
        );
    }

    #[test]
    fn a_delivered_exception_stands_in_braces_with_its_handler() {
        let fault = Retired {
            exception: true,
            vector: 13,
            has_error_code: true,
            error_code: 8,
            load: false,
            store: false,
            next_eip: 0x8280_1000,
            ..add_to_memory()
        };
        let mut instructions = Instructions::default();
        instructions.push(&fault);
        let routine = Retired {
            exception: false,
            has_error_code: false,
            ..fault
        };
        let line = retire_line(&instructions.push(&routine).unwrap());
        assert!(
            line.ends_with("{exception 0d error=0008} -> 82801000"),
            "{line}"
        );
    }

    #[test]
    fn system_registers_have_their_names() {
        for (number, name) in [
            (registers::SELECTOR + registers::CS, "cs"),
            (registers::BASE + registers::FS, "fs.base"),
            (registers::LIMIT + registers::GDTR, "gdtr.limit"),
            (registers::CR0 + 3, "cr3"),
            (registers::SYSENTER_EIP, "sysenter_eip"),
            (0xFF, "system_ff"),
        ] {
            assert_eq!(system_name(number), name);
        }
    }
}
