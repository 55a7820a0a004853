//! Registers: `r`, `rdmsr`, `wrmsr`, `.formats`, and the block that is shown at every stop.

use super::disassembly::Disassembler;
use super::expression;
use super::names::{Names, Target};
use super::{Debugger, Outcome};
use iced_x86::{FlowControl, Instruction, OpKind, Register};
use spec::flags;
use spec::registers as number;
use std::fmt::Write;

/// The eight flags that cdb shows, with their names when set and clear.
const FLAG_NAMES: [(u32, &str, &str); 8] = [
    (flags::OF, "ov", "nv"),
    (flags::DF, "dn", "up"),
    (flags::IF, "ei", "di"),
    (flags::SF, "ng", "pl"),
    (flags::ZF, "zr", "nz"),
    (flags::AF, "ac", "na"),
    (flags::PF, "pe", "po"),
    (flags::CF, "cy", "nc"),
];

/// The three lines of `r`.
pub fn block(target: &mut dyn Target, out: &mut String) {
    let mut get = |register| target.register(register);
    let [eax, ecx, edx, ebx, esp, ebp, esi, edi] = std::array::from_fn(|index| get(index as u8));
    writeln!(
        out,
        "eax={eax:08x} ebx={ebx:08x} ecx={ecx:08x} edx={edx:08x} esi={esi:08x} edi={edi:08x}"
    )
    .unwrap();
    let (eip, eflags) = (get(number::EIP), get(number::EFLAGS));
    let names = FLAG_NAMES.map(|(flag, set, clear)| if eflags & flag != 0 { set } else { clear });
    writeln!(
        out,
        "eip={eip:08x} esp={esp:08x} ebp={ebp:08x} iopl={}         {}",
        eflags >> 12 & 3,
        names.join(" ")
    )
    .unwrap();
    let selectors = [
        number::CS,
        number::SS,
        number::DS,
        number::ES,
        number::FS,
        number::GS,
    ];
    for segment in selectors {
        let name = number::SEGMENT[usize::from(segment)];
        let selector = get(number::SELECTOR + segment);
        let end = if segment == number::GS { "" } else { "  " };
        write!(out, "{name}={selector:04x}{end}").unwrap();
    }
    writeln!(out, "             efl={eflags:08x}").unwrap();
}

/// The instruction that comes next, below the name of where it is, with what its memory operand holds.
pub fn position(names: &Names, target: &mut dyn Target, out: &mut String) {
    let base = target.register(number::BASE + number::CS);
    let address = base.wrapping_add(target.register(number::EIP));
    if let Some(near) = names.near(address) {
        writeln!(out, "{near}:").unwrap();
    }
    let line = Disassembler::new(names, target).at(target, address);
    let note = if line.bytes.is_empty() {
        String::new()
    } else {
        note(names, target, &line.instruction)
    };
    match note.is_empty() {
        true => writeln!(out, "{line}").unwrap(),
        false => writeln!(out, "{:<55} {note}", line.to_string()).unwrap(),
    }
}

/// `ds:0023:7ffe0300={ntdll!KiFastSystemCall (77f064f0)}`, `[br=1]`, or nothing.
fn note(names: &Names, target: &mut dyn Target, instruction: &Instruction) -> String {
    if instruction.flow_control() == FlowControl::ConditionalBranch
        && instruction.condition_code() != iced_x86::ConditionCode::None
    {
        let eflags = target.register(number::EFLAGS);
        return format!("[br={}]", u8::from(is_taken(instruction, eflags)));
    }
    let Some(operand) =
        (0..instruction.op_count()).find(|operand| instruction.op_kind(*operand) == OpKind::Memory)
    else {
        return String::new();
    };
    if instruction.mnemonic() == iced_x86::Mnemonic::Lea {
        return String::new();
    }
    let segment = match instruction.memory_segment() {
        Register::ES => number::ES,
        Register::CS => number::CS,
        Register::SS => number::SS,
        Register::FS => number::FS,
        Register::GS => number::GS,
        _ => number::DS,
    };
    let Some(linear) = linear_address(target, instruction, operand) else {
        return String::new();
    };
    let offset = linear.wrapping_sub(target.register(number::BASE + segment));
    let selector = target.register(number::SELECTOR + segment);
    let size = instruction.memory_size().size().clamp(1, 8);
    let value = match target.read_number(linear, size) {
        Some(value) => format!("{value:0width$x}", width = size * 2),
        None => "?".repeat(size * 2),
    };
    let name = number::SEGMENT[usize::from(segment)];
    let is_jump = matches!(
        instruction.flow_control(),
        FlowControl::IndirectCall | FlowControl::IndirectBranch
    );
    let value = match target.read_u32(linear).filter(|_| is_jump) {
        Some(code) => format!("{{{} ({code:08x})}}", names.text(code)),
        None => value,
    };
    format!("{name}:{selector:04x}:{offset:08x}={value}")
}

/// The linear address of an instruction's memory operand, with the registers as they are now.
pub fn linear_address(
    target: &mut dyn Target,
    instruction: &Instruction,
    operand: u32,
) -> Option<u32> {
    let address = instruction.virtual_address(operand, 0, |register, _, _| {
        let index = register.number() as u8;
        let value = match register {
            _ if register.is_segment_register() => target.register(number::BASE + index),
            _ if register.is_gpr32() => target.register(index),
            _ if register.is_gpr16() => target.register(index) & 0xFFFF,
            // The index of XLAT.
            Register::AL => target.register(0) & 0xFF,
            _ => return None,
        };
        Some(value.into())
    })?;
    Some(address as u32)
}

fn is_taken(instruction: &Instruction, eflags: u32) -> bool {
    use iced_x86::ConditionCode as Condition;
    let is = |flag| eflags & flag != 0;
    let less = is(flags::SF) != is(flags::OF);
    match instruction.condition_code() {
        Condition::o => is(flags::OF),
        Condition::no => !is(flags::OF),
        Condition::b => is(flags::CF),
        Condition::ae => !is(flags::CF),
        Condition::e => is(flags::ZF),
        Condition::ne => !is(flags::ZF),
        Condition::be => is(flags::CF) || is(flags::ZF),
        Condition::a => !is(flags::CF) && !is(flags::ZF),
        Condition::s => is(flags::SF),
        Condition::ns => !is(flags::SF),
        Condition::p => is(flags::PF),
        Condition::np => !is(flags::PF),
        Condition::l => less,
        Condition::ge => !less,
        Condition::le => is(flags::ZF) || less,
        Condition::g => !is(flags::ZF) && !less,
        Condition::None => false,
    }
}

/// The lines of `.formats`.
pub fn formats(value: u64) -> String {
    let low = value as u32;
    let wide = value >> 32 != 0;
    let bytes = if wide { 8 } else { 4 };
    let mut out = String::from("Evaluate expression:\n");
    let hex = match wide {
        true => format!("{:08x}`{low:08x}", value >> 32),
        false => format!("{low:08x}"),
    };
    let decimal = if wide {
        value as i64
    } else {
        i64::from(low as i32)
    };
    let octal = if wide { 22 } else { 11 };
    let list = value.to_be_bytes()[8 - bytes..].to_vec();
    let binary: Vec<String> = list.iter().map(|byte| format!("{byte:08b}")).collect();
    let characters: String = list
        .iter()
        .map(|byte| match byte {
            0x20..0x7F => char::from(*byte),
            _ => '.',
        })
        .collect();
    writeln!(out, "  Hex:     {hex}").unwrap();
    writeln!(out, "  Decimal: {decimal}").unwrap();
    writeln!(out, "  Octal:   {value:0octal$o}").unwrap();
    writeln!(out, "  Binary:  {}", binary.join(" ")).unwrap();
    writeln!(out, "  Chars:   {characters}").unwrap();
    writeln!(
        out,
        "  Float:   low {:e} high {:e}",
        f32::from_bits(low),
        f32::from_bits((value >> 32) as u32)
    )
    .unwrap();
    writeln!(out, "  Double:  {:e}", f64::from_bits(value)).unwrap();
    out
}

impl Debugger {
    /// What every stop prints: registers and the next instruction.
    pub(super) fn print_position(&mut self) {
        block(&mut self.debuggee, &mut self.out);
        position(&self.names, &mut self.debuggee, &mut self.out);
        self.next_code = None;
        self.next_dump = self.eip();
    }

    /// `r`, `r eax,ebx`, `r eax=1`, `r $t0=eax+4`.
    pub(super) fn show_or_set_registers(&mut self, _: &str, arguments: &str) -> Outcome {
        if arguments.is_empty() {
            self.print_position();
            return Ok(());
        }
        if let Some((name, value)) = arguments.split_once('=') {
            let value = self.value(value)?;
            return self.set_register(name.trim(), value, arguments);
        }
        for name in arguments.split([',', ' ']).filter(|name| !name.is_empty()) {
            let plain = name.trim_start_matches('@');
            if plain.starts_with('$') {
                let value = self.value(plain)?;
                writeln!(self.out, "{plain}={value:08x}").unwrap();
                continue;
            }
            let (register, bit, bits) = expression::register(plain)
                .ok_or_else(|| format!("Bad register error in 'r {arguments}'"))?;
            let value = self.debuggee.registers().get(register) >> bit;
            let value = u64::from(value) & ((1 << bits) - 1);
            let digits = (bits as usize).div_ceil(4);
            writeln!(self.out, "{}={value:0digits$x}", plain.to_ascii_lowercase()).unwrap();
        }
        Ok(())
    }

    fn set_register(&mut self, name: &str, value: u64, arguments: &str) -> Outcome {
        let plain = name.trim_start_matches('@').to_ascii_lowercase();
        let bad = || format!("Bad register error in 'r {arguments}'");
        if let Some(variable) = plain.strip_prefix("$t") {
            let index: usize = variable.parse().map_err(|_| bad())?;
            *self.variables.get_mut(index).ok_or_else(bad)? = value;
            return Ok(());
        }
        let (register, bit, bits) = expression::register(&plain).ok_or_else(bad)?;
        let mask = ((1u64 << bits) - 1) as u32;
        if value >> bits != 0 && bits < 32 {
            return Err(format!(
                "Overflow error: {value:x} does not fit into {plain}"
            ));
        }
        let old = self.debuggee.registers().get(register);
        let new = old & !(mask << bit) | (value as u32 & mask) << bit;
        self.write_register(register, new)
    }

    fn write_register(&mut self, register: u8, value: u32) -> Outcome {
        self.debuggee
            .write_register(register, value)
            .map_err(|error| format!("Cannot write the register: {error}"))?;
        self.changed();
        Ok(())
    }

    /// `rdmsr number`.
    pub(super) fn read_msr(&mut self, _: &str, arguments: &str) -> Outcome {
        let number = self.value(arguments)? as u32;
        let msr = spec::msr::by_number(number).ok_or_else(|| no_msr(number))?;
        let registers = self.debuggee.registers();
        let low = registers.get(msr.low);
        let high = msr.high.map_or(0, |high| registers.get(high));
        self.line(format!("msr[{number:x}] = {high:08x}`{low:08x}"));
        Ok(())
    }

    /// `wrmsr number value`.
    pub(super) fn write_msr(&mut self, _: &str, arguments: &str) -> Outcome {
        let (number, rest) = self.parse(arguments)?;
        let msr = spec::msr::by_number(number as u32).ok_or_else(|| no_msr(number as u32))?;
        let value = self.value(rest)?;
        self.write_register(msr.low, value as u32)?;
        match msr.high {
            Some(high) => self.write_register(high, (value >> 32) as u32),
            None if value >> 32 != 0 => Err(format!("msr[{number:x}] has 32 bits only")),
            None => Ok(()),
        }
    }
}

fn no_msr(number: u32) -> String {
    let known: Vec<String> = spec::msr::MSRS
        .iter()
        .map(|msr| format!("{:x} {}", msr.number, msr.name))
        .collect();
    format!(
        "no such msr: {number:x}; this processor has {}",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::{Still, names};
    use super::*;

    fn still() -> Still {
        let mut still = Still::default();
        for (register, value) in [
            (number::EIP, 0x77F0_5EBA),
            (number::EFLAGS, 0x246),
            (4, 0x000B_FF78),
            (2, 0x7FFE_0300),
            (number::SELECTOR + number::CS, 0x1B),
            (number::SELECTOR + number::DS, 0x23),
            (number::ACCESS + number::CS, 0xC0FB),
        ] {
            still.registers.insert(register, value);
        }
        still
    }

    #[test]
    fn the_block_of_registers_is_that_of_cdb() {
        let mut out = String::new();
        block(&mut still(), &mut out);
        assert_eq!(
            out,
            "eax=00000000 ebx=00000000 ecx=00000000 edx=7ffe0300 esi=00000000 edi=00000000
eip=77f05eba esp=000bff78 ebp=00000000 iopl=0         nv up ei pl zr na pe nc
cs=001b  ss=0000  ds=0023  es=0000  fs=0000  gs=0000             efl=00000246
"
        );
    }

    #[test]
    fn the_next_instruction_tells_what_its_operand_holds() {
        let mut still = still()
            .with(0x77F0_5EBA, &[0xFF, 0x12])
            .with(0x7FFE_0300, &[0xF0, 0x64, 0xF0, 0x77]);
        let mut out = String::new();
        position(&names(), &mut still, &mut out);
        assert_eq!(
            out,
            "ntdll!ZwWriteFile+0xa:
77f05eba ff12            call    dword ptr [edx]        ds:0023:7ffe0300={ntdll!KiFastSystemCall (77f064f0)}
"
        );
        let mut still = super::tests::still().with(0x77F0_5EBA, &[0x74, 2]);
        let mut out = String::new();
        position(&names(), &mut still, &mut out);
        assert!(out.ends_with("[br=1]\n"), "{out}");
        let mut still = super::tests::still().with(0x77F0_5EBA, &[0x8B, 0]);
        let mut out = String::new();
        position(&names(), &mut still, &mut out);
        assert!(out.ends_with("ds:0023:00000000=????????\n"), "{out}");
    }

    #[test]
    fn formats_of_18c_are_those_of_cdb() {
        let text = formats(0x18C);
        let wanted = "Evaluate expression:
  Hex:     0000018c
  Decimal: 396
  Octal:   00000000614
  Binary:  00000000 00000000 00000001 10001100
  Chars:   ....
";
        assert!(text.starts_with(wanted), "{text}");
    }
}
