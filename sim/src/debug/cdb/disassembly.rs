//! Instructions in cdb's form, and the commands `u`, `ub` and `uf`.
//!
//! ```text
//! ntdll!ZwWriteFile:
//! 77f05eb0 b88c010000      mov     eax,18Ch
//! 77f05eb5 ba0003fe7f      mov     edx,offset SharedUserData!SystemCallStub (7ffe0300)
//! 77f05eba ff12            call    dword ptr [edx]
//! 77f05ebc c22400          ret     24h
//! ```

use super::names::{Names, Target};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, MasmFormatter, MemorySizeOptions,
    OpKind, Register, SymbolResolver, SymbolResult,
};
use spec::registers;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Longest function that `uf` prints, in instructions.
const FUNCTION_LIMIT: usize = 20_000;

/// One instruction in memory.
#[derive(Debug, Clone)]
pub struct Line {
    /// Linear address.
    pub address: u32,
    /// Its bytes; empty if there is no memory.
    pub bytes: Vec<u8>,
    /// What it is; invalid if the bytes are no instruction.
    pub instruction: Instruction,
    /// Mnemonic and operands in cdb's form.
    pub text: String,
    /// Linear address to which a direct jump goes.
    pub jump: Option<u32>,
}

impl Line {
    /// Linear address behind it.
    pub fn next(&self) -> u32 {
        self.address.wrapping_add(self.bytes.len().max(1) as u32)
    }

    /// Whether it goes elsewhere for good: no instruction behind it follows.
    fn ends_flow(&self) -> bool {
        matches!(
            self.instruction.flow_control(),
            FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Return
                | FlowControl::Exception
        )
    }
}

impl std::fmt::Display for Line {
    /// `77f05ebc c22400          ret     24h`.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        if self.bytes.is_empty() {
            return write!(f, "{:08x} ??              ???", self.address);
        }
        let bytes: String = self
            .bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        write!(f, "{:08x} {bytes:15} {}", self.address, self.text)
    }
}

/// What cdb shows in place of an operand's number, if anything.
fn operand_name(
    names: &Names,
    target: &mut dyn Target,
    instruction: &Instruction,
    operand: u32,
    cs_base: u32,
) -> Option<String> {
    let (value, name) = match instruction.op_kind(operand) {
        OpKind::NearBranch16 | OpKind::NearBranch32 => {
            let value = cs_base.wrapping_add(instruction.near_branch_target() as u32);
            let Some(name) = names.near(value) else {
                return Some(format!("{value:08x}"));
            };
            (value, name.to_string())
        }
        OpKind::Memory if matches!(instruction.memory_segment(), Register::FS | Register::GS) => {
            return None;
        }
        OpKind::Memory if instruction.memory_displ_size() == 4 => {
            let value = instruction.memory_displacement32();
            let is_number = instruction.memory_base() != Register::None
                || instruction.memory_index() != Register::None;
            // With a register it may be a number as well as an address.
            let name = if is_number {
                names.exact_value(target, value)
            } else {
                names.value(target, value)
            };
            (value, name?)
        }
        OpKind::Immediate32 => {
            let value = instruction.immediate32();
            (value, names.exact_value(target, value)?)
        }
        _ => return None,
    };
    Some(format!("{name} ({value:08x})"))
}

/// Decodes instructions where CS, as it is now, says they are 16 or 32-bit ones.
pub struct Disassembler<'a> {
    names: &'a Names,
    bits: u32,
    cs_base: u32,
}

impl<'a> Disassembler<'a> {
    /// For the code segment that the target has now.
    pub fn new(names: &'a Names, target: &mut dyn Target) -> Self {
        let access = target.register(registers::ACCESS + registers::CS);
        Self {
            names,
            bits: if access & u32::from(spec::segments::FLAG_BIG) != 0 {
                32
            } else {
                16
            },
            cs_base: target.register(registers::BASE + registers::CS),
        }
    }

    /// The instruction at a linear address.
    pub fn at(&self, target: &mut dyn Target, address: u32) -> Line {
        let bytes: Vec<u8> = target
            .read(address, 15)
            .into_iter()
            .map_while(|byte| byte)
            .collect();
        self.decode(target, address, &bytes)
    }

    /// The instruction in `bytes`, which lie at a linear address.
    pub fn decode(&self, target: &mut dyn Target, address: u32, bytes: &[u8]) -> Line {
        let eip = address.wrapping_sub(self.cs_base);
        let instruction =
            Decoder::with_ip(self.bits, bytes, eip.into(), DecoderOptions::NONE).decode();
        let length = if instruction.is_invalid() {
            1
        } else {
            instruction.len()
        };
        let text = if instruction.is_invalid() {
            "???".to_string()
        } else {
            self.text(target, &instruction)
        };
        Line {
            address,
            bytes: bytes[..length.min(bytes.len())].to_vec(),
            instruction,
            text,
            jump: self.jump(&instruction),
        }
    }

    fn jump(&self, instruction: &Instruction) -> Option<u32> {
        let near = matches!(
            instruction.op0_kind(),
            OpKind::NearBranch16 | OpKind::NearBranch32
        );
        let direct = matches!(
            instruction.flow_control(),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
        );
        (near && direct).then(|| {
            self.cs_base
                .wrapping_add(instruction.near_branch_target() as u32)
        })
    }

    fn text(&self, target: &mut dyn Target, instruction: &Instruction) -> String {
        if let Some(text) = string_instruction(instruction) {
            return text;
        }
        let name = |operand| {
            let name = operand_name(self.names, target, instruction, operand, self.cs_base)?;
            Some((operand, name))
        };
        let found = Found((0..instruction.op_count()).filter_map(name).collect());
        // The formatter owns its resolver.
        let mut formatter = MasmFormatter::with_options(Some(Box::new(found)), None);
        let options = formatter.options_mut();
        options.set_first_operand_char_index(8);
        options.set_show_branch_size(false);
        options.set_memory_size_options(MemorySizeOptions::Always);
        let mut text = String::new();
        formatter.format(instruction, &mut text);
        // iced says the operand's size in the name of these.
        for (iced, cdb) in [
            ("lgdtd ", "lgdt  "),
            ("lidtd ", "lidt  "),
            ("sgdtd ", "sgdt  "),
            ("sidtd ", "sidt  "),
        ] {
            if text.starts_with(iced) {
                text.replace_range(..iced.len(), cdb);
            }
        }
        absolute_displacement(text, instruction)
    }
}

/// Names of an instruction's operands, found before.
struct Found(BTreeMap<u32, String>);

impl SymbolResolver for Found {
    fn symbol(
        &mut self,
        _instruction: &Instruction,
        _operand: u32,
        instruction_operand: Option<u32>,
        address: u64,
        _address_size: u32,
    ) -> Option<SymbolResult<'_>> {
        let name = self.0.get(&instruction_operand?)?;
        Some(SymbolResult::with_str(address, name))
    }
}

/// cdb shows an address without registers with all its digits: `fs:[00000124h]`.
fn absolute_displacement(text: String, instruction: &Instruction) -> String {
    let absolute = (0..instruction.op_count())
        .any(|operand| instruction.op_kind(operand) == OpKind::Memory)
        && instruction.memory_base() == Register::None
        && instruction.memory_index() == Register::None;
    let Some((head, rest)) = text.split_once('[').filter(|_| absolute) else {
        return text;
    };
    let Some((inside, tail)) = rest.split_once(']') else {
        return text;
    };
    if !inside.starts_with(|c: char| c.is_ascii_digit()) {
        return text;
    }
    let value = instruction.memory_displacement32();
    let zero = if value >> 28 >= 10 { "0" } else { "" };
    format!("{head}[{zero}{value:08X}h]{tail}")
}

/// cdb shows the operands of string instructions: `rep movs dword ptr es:[edi],dword ptr [esi]`.
fn string_instruction(instruction: &Instruction) -> Option<String> {
    if !instruction.is_string_instruction() {
        return None;
    }
    let size = match instruction.memory_size().size() {
        1 => "byte ptr ",
        2 => "word ptr ",
        _ => "dword ptr ",
    };
    let operand = |operand| match instruction.op_kind(operand) {
        OpKind::MemorySegSI => Some(format!("{size}{}[si]", segment(instruction))),
        OpKind::MemorySegESI => Some(format!("{size}{}[esi]", segment(instruction))),
        OpKind::MemoryESDI => Some(format!("{size}es:[di]")),
        OpKind::MemoryESEDI => Some(format!("{size}es:[edi]")),
        OpKind::Register if instruction.op_register(operand) == Register::DX => Some("dx".into()),
        _ => None,
    };
    let operands: Vec<String> = (0..instruction.op_count()).filter_map(operand).collect();
    let mnemonic = format!("{:?}", instruction.mnemonic()).to_ascii_lowercase();
    let mnemonic = mnemonic.trim_end_matches(['b', 'w', 'd']);
    let prefix = match (instruction.has_rep_prefix(), instruction.has_repne_prefix()) {
        (true, _) if matches!(mnemonic, "cmps" | "scas") => "repe ",
        (true, _) => "rep ",
        (_, true) => "repne ",
        _ => "",
    };
    Some(format!(
        "{:<7} {}",
        format!("{prefix}{mnemonic}"),
        operands.join(",")
    ))
}

fn segment(instruction: &Instruction) -> String {
    match instruction.segment_prefix() {
        Register::None => String::new(),
        register => format!("{register:?}:").to_ascii_lowercase(),
    }
}

/// `u`: `count` instructions from `address`, or all that begin before `end`; returns where it stopped.
pub fn unassemble(
    names: &Names,
    target: &mut dyn Target,
    address: u32,
    count: usize,
    end: Option<u32>,
    out: &mut String,
) -> u32 {
    let disassembler = Disassembler::new(names, target);
    let mut at = address;
    for number in 0..count {
        if end.is_some_and(|end| at.wrapping_sub(address) > end.wrapping_sub(address)) {
            break;
        }
        if number == 0 || !names.exact(at).is_empty() {
            header(names, at, out);
        }
        let line = disassembler.at(target, at);
        writeln!(out, "{line}").unwrap();
        if line.bytes.is_empty() {
            return at;
        }
        at = line.next();
    }
    at
}

fn header(names: &Names, address: u32, out: &mut String) {
    if let Some(near) = names.near(address) {
        writeln!(out, "{near}:").unwrap();
    }
}

/// The addresses of the `count` instructions before `address`, oldest first; fewer if nothing fits.
pub fn before(names: &Names, target: &mut dyn Target, address: u32, count: usize) -> Vec<u32> {
    let disassembler = Disassembler::new(names, target);
    let symbol = names
        .near(address.wrapping_sub(1))
        .map(|near| address.wrapping_sub(1).wrapping_sub(near.offset));
    // A symbol's begin is certain; a chain from anywhere else is a guess, the longer the better.
    let near = symbol.filter(|symbol| address.wrapping_sub(*symbol) <= 0x1000);
    let guesses = (1..=(count as u32 * 15).min(address))
        .rev()
        .map(|back| address - back);
    for start in near.into_iter().chain(guesses) {
        let mut chain = Vec::new();
        let mut at = start;
        while at.wrapping_sub(start) < address.wrapping_sub(start) {
            let line = disassembler.at(target, at);
            if line.bytes.is_empty() || line.instruction.is_invalid() {
                break;
            }
            chain.push(at);
            at = line.next();
        }
        if at == address && (chain.len() >= count || near == Some(start)) {
            return chain.split_off(chain.len().saturating_sub(count));
        }
    }
    Vec::new()
}

/// `ub`: the `count` instructions before `address`; returns where the first begins.
///
/// # Errors
/// No sequence of instructions ends there.
pub fn unassemble_before(
    names: &Names,
    target: &mut dyn Target,
    address: u32,
    count: usize,
    out: &mut String,
) -> Result<u32, String> {
    let chain = before(names, target, address, count);
    let first = *chain
        .first()
        .ok_or_else(|| format!("Unable to find instructions before {address:08x}"))?;
    let disassembler = Disassembler::new(names, target);
    for (number, at) in chain.iter().enumerate() {
        if number == 0 || !names.exact(*at).is_empty() {
            header(names, *at, out);
        }
        writeln!(out, "{}", disassembler.at(target, *at)).unwrap();
    }
    Ok(first)
}

/// The instructions of the function that begins at `address`, found by following its flow within its module.
pub fn function(names: &Names, target: &mut dyn Target, address: u32) -> BTreeMap<u32, Line> {
    let disassembler = Disassembler::new(names, target);
    let module = names.module_at(address).map(|module| module.base);
    let mut lines = BTreeMap::new();
    let mut begins = vec![address];
    while let Some(begin) = begins.pop() {
        let mut at = begin;
        while !lines.contains_key(&at) && lines.len() < FUNCTION_LIMIT {
            let line = disassembler.at(target, at);
            let (jump, next) = (line.jump, line.next());
            let ends = line.ends_flow() || line.bytes.is_empty() || line.instruction.is_invalid();
            lines.insert(at, line);
            let inside =
                |address: &u32| names.module_at(*address).map(|module| module.base) == module;
            begins.extend(jump.filter(inside));
            if ends {
                break;
            }
            at = next;
        }
    }
    lines
}

/// `uf`: a whole function in basic blocks, which are separated by an empty line.
///
/// # Errors
/// Nothing is mapped there.
pub fn unassemble_function(
    names: &Names,
    target: &mut dyn Target,
    address: u32,
    out: &mut String,
) -> Result<(), String> {
    let symbol = names
        .near(address)
        .filter(|near| !near.symbol.is_empty())
        .map_or(0, |near| near.offset);
    let lines = function(names, target, address.wrapping_sub(symbol));
    if lines.values().all(|line| line.bytes.is_empty()) {
        return Err(format!(
            "No code found, aborting: nothing is mapped at {address:08x}"
        ));
    }
    let mut blocks: BTreeSet<u32> = lines.values().filter_map(|line| line.jump).collect();
    for line in lines.values() {
        if line.jump.is_some() || line.ends_flow() {
            blocks.insert(line.next());
        }
    }
    let mut expected = None;
    for (at, line) in &lines {
        if expected != Some(*at) || blocks.contains(at) {
            if expected.is_some() {
                out.push('\n');
            }
            header(names, *at, out);
        }
        writeln!(out, "{line}").unwrap();
        expected = Some(line.next());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::{Still, names};
    use super::*;

    fn still() -> Still {
        let mut still = Still::default()
            .with(
                0x77F0_5EB0,
                &[
                    0xB8, 0x8C, 1, 0, 0, 0xBA, 0, 3, 0xFE, 0x7F, 0xFF, 0x12, 0xC2, 0x24, 0, 0x90,
                ],
            )
            .with(
                0x77F0_64F0,
                &[0x8B, 0xD4, 0x0F, 0x34, 0xC3, 0x90, 0x90, 0x90],
            )
            .with(0x7FFE_0300, &[0xF0, 0x64, 0xF0, 0x77])
            .with(0x754C_1190, &[0xB0, 0x5E, 0xF0, 0x77]);
        still
            .registers
            .insert(registers::ACCESS + registers::CS, 0xC0FB);
        still
    }

    fn text(bytes: &[u8]) -> String {
        let mut still = still();
        let names = names();
        let disassembler = Disassembler::new(&names, &mut still);
        disassembler.decode(&mut still, 0x1000, bytes).text
    }

    #[test]
    fn uf_of_a_stub_has_the_form_of_the_article() {
        let mut out = String::new();
        unassemble_function(&names(), &mut still(), 0x77F0_5EB0, &mut out).unwrap();
        assert_eq!(
            out,
            "ntdll!ZwWriteFile:
77f05eb0 b88c010000      mov     eax,18Ch
77f05eb5 ba0003fe7f      mov     edx,offset SharedUserData!SystemCallStub (7ffe0300)
77f05eba ff12            call    dword ptr [edx]
77f05ebc c22400          ret     24h
"
        );
    }

    #[test]
    fn operands_have_the_form_of_cdb() {
        for (bytes, expected) in [
            (
                &[0xFF, 0x15, 0x90, 0x11, 0x4C, 0x75][..],
                "call    dword ptr [KERNELBASE!_imp__NtWriteFile (754c1190)]",
            ),
            (
                &[0xFF, 0x15, 0, 0, 0x4C, 0x12],
                "call    dword ptr ds:[124C0000h]",
            ),
            (
                &[0x64, 0xA1, 0x24, 1, 0, 0],
                "mov     eax,dword ptr fs:[00000124h]",
            ),
            (
                &[0xA1, 0, 0xF0, 0xDF, 0xFF],
                "mov     eax,dword ptr ds:[0FFDFF000h]",
            ),
            (&[0x8B, 0x45, 8], "mov     eax,dword ptr [ebp+8]"),
            (&[0x8D, 0x4D, 0xFC], "lea     ecx,[ebp-4]"),
            (&[0x83, 0xC8, 0xFF], "or      eax,0FFFFFFFFh"),
            (&[0x8A, 0x0C, 0x10], "mov     cl,byte ptr [eax+edx]"),
            (&[0x6A, 0xF5], "push    0FFFFFFF5h"),
            (&[0xF3, 0xA5], "rep movs dword ptr es:[edi],dword ptr [esi]"),
            (&[0xAA], "stos    byte ptr es:[edi]"),
            (&[0xAD], "lods    dword ptr [esi]"),
            (&[0xF3, 0xA6], "repe cmps byte ptr [esi],byte ptr es:[edi]"),
            (&[0xCD, 0x2E], "int     2Eh"),
            (&[0xCF], "iretd"),
            (&[0x0F, 0x34], "sysenter"),
            (&[0xEB, 0xFE], "jmp     00001000"),
            (
                &[0xE9, 0xAB, 0x4E, 0xF0, 0x77],
                "jmp     ntdll!ZwWriteFile (77f05eb0)",
            ),
            (&[0xFF, 0xFF], "???"),
        ] {
            assert_eq!(text(bytes), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn memory_that_is_not_there_is_shown_as_question_marks() {
        let mut out = String::new();
        unassemble(&names(), &mut still(), 0x1000, 8, None, &mut out);
        assert_eq!(out, "00001000 ??              ???\n");
    }

    #[test]
    fn ub_shows_the_instructions_that_end_at_the_address() {
        let mut out = String::new();
        let first = unassemble_before(&names(), &mut still(), 0x77F0_64F4, 8, &mut out).unwrap();
        assert_eq!(first, 0x77F0_64F0);
        assert_eq!(
            out,
            "ntdll!KiFastSystemCall:
77f064f0 8bd4            mov     edx,esp
77f064f2 0f34            sysenter
"
        );
    }

    #[test]
    fn blocks_of_a_function_are_separated_by_an_empty_line() {
        // test eax,eax; je +1; nop; ret
        let mut still = still().with(0x754C_1190, &[0x85, 0xC0, 0x74, 1, 0x90, 0xC3]);
        let mut out = String::new();
        unassemble_function(&names(), &mut still, 0x754C_1190, &mut out).unwrap();
        let heads: Vec<&str> = out.lines().filter(|line| line.ends_with(':')).collect();
        assert_eq!(
            heads,
            [
                "KERNELBASE!_imp__NtWriteFile:",
                "KERNELBASE!_imp__NtWriteFile+0x4:",
                "KERNELBASE!_imp__NtWriteFile+0x5:"
            ]
        );
    }
}
