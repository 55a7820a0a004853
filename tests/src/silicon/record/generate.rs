//! Makes cases that have not run yet: random instructions in random states, most of which mean something.
use super::encodings::{Encoding, Source};
use crate::random::Random;
use crate::silicon::environment::{
    CODE_PAGE, Descriptor, FLAT, RING_3_CODE, RING_3_DATA, WINDOW, WINDOW_BYTES, is_host_only,
};
use crate::silicon::{Case, Environment};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use spec::opcodes::{Immediate, Map, Operand};
use spec::{flags, paging, registers, segments};
use std::sync::Arc;

const ES: usize = registers::ES as usize;
const CS: usize = registers::CS as usize;
const SS: usize = registers::SS as usize;
const EAX: usize = 0;
const ECX: usize = 1;
const EDX: usize = 2;
const ESP: usize = 4;
const EBP: usize = 5;
const ESI: usize = 6;
const EDI: usize = 7;
/// What IRETQ makes of the upper half of ESP when it loads a 16-bit stack segment.
const UPPER_STACK_POINTER: u32 = 0x5A3C_0000;
/// The vector of Linux's system calls.
const SYSTEM_CALL: u8 = 0x80;
const LONGEST: usize = 15;
const SEGMENT_PREFIXES: [u8; 6] = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65];

/// Makes cases of one environment.
pub struct Generator {
    random: Random,
    environment: Arc<Environment>,
    data: Vec<u16>,
    stacks: Vec<u16>,
    code16: Vec<u16>,
    code32: Vec<u16>,
}

impl Generator {
    /// Sorts the environment's segments by what they are good for.
    pub fn new(random: Random, environment: Arc<Environment>) -> Self {
        let selectors = |fits: &dyn Fn(&Descriptor) -> bool| -> Vec<u16> {
            (0..environment.ldt.len() as u16)
                .map(|index| index << 3 | segments::SELECTOR_LDT | 3)
                .filter(|selector| {
                    let descriptor = environment.descriptor(*selector);
                    descriptor.is_some_and(|found| found.is_usable() && fits(&found))
                })
                .collect()
        };
        let reaches_code = |found: &Descriptor| {
            let first = CODE_PAGE.wrapping_sub(found.base);
            let last = if found.is_big() { u32::MAX } else { 0xF000 };
            found.is_code() && first.wrapping_add(0x40) <= found.limit.min(last)
        };
        Generator {
            data: selectors(&|found| found.is_readable()),
            stacks: selectors(&|found| found.is_writable()),
            code16: selectors(&|found| reaches_code(found) && !found.is_big()),
            code32: selectors(&|found| reaches_code(found) && found.is_big()),
            random,
            environment,
        }
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    /// With a probability in percent.
    fn percent(&mut self, probability: u64) -> bool {
        self.random.below(100) < probability
    }

    /// A case of this encoding whose end is the same as its begin; `None` if chance made something else.
    pub fn draft(&mut self, encoding: &Encoding) -> Option<Case> {
        let source = self.one_of(&encoding.sources);
        let bits = if self.percent(20) { 16 } else { 32 };
        let selectors = self.selectors(bits)?;
        let address16 = self.percent(if selectors == FLAT { 10 } else { 40 });
        let bytes = self.bytes(source, bits, address16);
        let mut case = Case {
            registers: std::array::from_fn(|_| self.register()),
            selectors,
            eflags: self.eflags(source),
            ..Case::draft(&self.environment, encoding.code, bytes)
        };
        self.place(&mut case)?;
        let instruction = case.instruction();
        if case.bytes.len() <= LONGEST {
            let is_meant = instruction.code() == encoding.code
                && instruction.len() == case.bytes.len()
                && !instruction.is_invalid();
            if !is_meant {
                return None;
            }
            self.place_stack(&mut case, &instruction);
            self.place_operands(&mut case, &instruction);
            self.give_meaning(&mut case, source);
        }
        let instruction = case.instruction();
        // ESP is where the stack is, and no selector was chosen for it.
        let reads_selector = matches!(source.row.mnemonic, "lar" | "lsl" | "verr" | "verw" | "mov");
        if reads_selector && is_host_only(case.registers[ESP] as u16) {
            return None;
        }
        case.undefined_flags = instruction.rflags_undefined() as u16;
        case.memory.sort_by_key(|(offset, _)| *offset);
        let stack = case.environment.descriptor(case.selectors[SS])?;
        if !stack.is_big() {
            case.registers[ESP] = UPPER_STACK_POINTER | case.registers[ESP] & 0xFFFF;
        }
        Some(case)
    }

    fn selectors(&mut self, bits: u32) -> Option<[u16; 6]> {
        let mut selectors = FLAT;
        if bits == 32 && self.percent(45) {
            return Some(selectors);
        }
        for (number, selector) in selectors.iter_mut().enumerate() {
            *selector = match (number, self.random.below(10)) {
                (CS, _) if bits == 16 => choose(&mut self.random, &self.code16)?,
                (CS, 0..5) => choose(&mut self.random, &self.code32)?,
                (CS, _) => RING_3_CODE,
                (SS, 0..5) => choose(&mut self.random, &self.stacks)?,
                (SS, _) => RING_3_DATA,
                (_, 0..6) => choose(&mut self.random, &self.data)?,
                (_, 6..9) => RING_3_DATA,
                (_, _) => 0,
            };
        }
        Some(selectors)
    }

    fn eflags(&mut self, source: Source) -> u32 {
        let mut eflags = self.random.bits(32) as u32 & (flags::STATUS | flags::ID);
        for (flag, probability) in [(flags::DF, 30), (flags::AC, 4), (flags::NT, 3)] {
            if self.percent(probability) {
                eflags |= flag;
            }
        }
        if source.row.mnemonic == "iret" {
            // In compatibility mode, NT does not mean a task.
            eflags &= !flags::NT;
        }
        eflags | flags::IF | flags::ALWAYS_ONE
    }

    fn register(&mut self) -> u32 {
        let value = self.random.bits(32) as u32;
        match self.random.below(10) {
            0..3 => value,
            3..5 => WINDOW + (value & 0xFFFF),
            5 => value & 0xFF,
            6 => self.one_of(&[
                0,
                u32::MAX,
                0x8000_0000,
                0x7FFF_FFFF,
                0xFFFF,
                0x8000,
                0x7FFF,
                0xFF,
                0x80,
                0x7F,
                1,
            ]),
            7 => value & 0xFFFF,
            8 => value >> self.random.below(32),
            _ => (value as i32 >> self.random.below(32)) as u32,
        }
    }

    fn bytes(&mut self, source: Source, bits: u32, address16: bool) -> Vec<u8> {
        let row = source.row;
        let mut prefixes = Vec::new();
        if source.operand16 != (bits == 16) {
            prefixes.push(0x66);
        }
        if address16 != (bits == 16) {
            prefixes.push(0x67);
        }
        if self.percent(20) {
            prefixes.push(self.one_of(&SEGMENT_PREFIXES));
        }
        if self.percent(if is_string(row.mnemonic) { 60 } else { 2 }) {
            prefixes.push(self.one_of(&[0xF2, 0xF3]));
        }
        // AMD processors take LOCK MOV CR0 as an access to CR8.
        let moves_system = row
            .operands
            .iter()
            .any(|operand| matches!(operand, Operand::Cd | Operand::Dd));
        if !moves_system && self.percent(if row.lockable { 15 } else { 2 }) {
            prefixes.push(0xF0);
        }
        if !prefixes.is_empty() && self.percent(3) {
            let again = self.one_of(&prefixes);
            prefixes.push(again);
        }
        let mut body = Vec::new();
        if row.map == Map::TwoByte {
            body.push(0x0F);
        }
        body.push(row.byte);
        if row.has_modrm() {
            let reg = row.extension.unwrap_or_else(|| self.random.below(8) as u8);
            self.modrm(&mut body, source, reg, address16);
        }
        self.immediate(&mut body, source, address16);
        let length = prefixes.len() + body.len();
        if self.random.one_in(100) {
            let longest = if self.percent(50) {
                LONGEST
            } else {
                LONGEST + 2
            };
            let more = (longest + 1 - self.random.below(2) as usize).saturating_sub(length);
            let harmless: Vec<u8> = prefixes
                .iter()
                .copied()
                .chain([0x3E])
                .filter(|prefix| !SEGMENT_PREFIXES.contains(prefix) || prefixes.is_empty())
                .collect();
            if !harmless.is_empty() {
                let again = self.one_of(&harmless);
                prefixes.extend(std::iter::repeat_n(again, more));
            }
        }
        for last in (1..prefixes.len()).rev() {
            prefixes.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        prefixes.extend(body);
        prefixes
    }

    fn modrm(&mut self, body: &mut Vec<u8>, source: Source, reg: u8, address16: bool) {
        let mode = if source.row.ignores_mod() {
            self.random.below(4) as u8
        } else if source.register_form {
            3
        } else {
            self.random.below(3) as u8
        };
        let rm = self.random.below(8) as u8;
        body.push(mode << 6 | reg << 3 | rm);
        if mode == 3 || source.row.ignores_mod() {
            return;
        }
        let mut no_base = rm == 5;
        if !address16 && rm == 4 {
            let sib = self.random.bits(8) as u8;
            body.push(sib);
            no_base = sib & 7 == 5;
        }
        let displacement = match (mode, address16) {
            (0, true) if rm == 6 => 2,
            (0, false) if no_base => 4,
            (0, _) => 0,
            (1, _) => 1,
            (_, true) => 2,
            (_, false) => 4,
        };
        let value = self.register().to_le_bytes();
        body.extend(&value[..displacement]);
    }

    fn immediate(&mut self, body: &mut Vec<u8>, source: Source, address16: bool) {
        let row = source.row;
        let bytes = row.immediate().bytes(!source.operand16, !address16);
        let value = match row.mnemonic {
            "enter" => {
                let depth = if self.percent(90) { 31 } else { 255 };
                self.random.bits(10) & 0x3FF | (self.random.bits(8) & depth) << 16
            }
            "retf" if self.percent(70) => self.random.bits(8),
            "int" => match self.random.bits(8) as u8 {
                SYSTEM_CALL => 3,
                vector => vector.into(),
            },
            _ if row.immediate() == Immediate::FarPointer => {
                let (offset, selector) = self.far_pointer();
                match source.operand16 {
                    true => u64::from(selector) << 16 | u64::from(offset & 0xFFFF),
                    false => u64::from(selector) << 32 | u64::from(offset),
                }
            }
            _ => self.register().into(),
        };
        body.extend(&value.to_le_bytes()[..bytes]);
    }

    /// Chooses where the code is.
    fn place(&mut self, case: &mut Case) -> Option<()> {
        let length = case.bytes.len() as u32;
        let code = self.environment.descriptor(case.selectors[CS])?;
        let last = if code.is_big() {
            code.limit
        } else {
            code.limit.min(0xFFFF)
        };
        for _ in 0..20 {
            let in_page = match self.random.below(100) {
                0..4 => paging::PAGE_BYTES - length - self.random.below(2) as u32,
                4..6 => paging::PAGE_BYTES - 1 - self.random.below(length.into()) as u32,
                6..12 => {
                    // At the segment's end.
                    let eip = last.wrapping_sub(self.random.below(16) as u32);
                    code.base.wrapping_add(eip).wrapping_sub(CODE_PAGE)
                }
                _ => 0x40 + self.random.below(0xF00) as u32,
            };
            let eip = CODE_PAGE.wrapping_add(in_page).wrapping_sub(code.base);
            let wraps = !code.is_big() && eip.saturating_add(length) > 0xFFFF;
            if in_page < paging::PAGE_BYTES && eip <= last && !wraps {
                case.eip = eip;
                return Some(());
            }
        }
        None
    }

    /// An offset in a segment at which `bytes` bytes mean something.
    fn offset(&mut self, case: &Case, segment: usize, bytes: u32) -> u32 {
        let descriptor = self.environment.descriptor(case.selectors[segment]);
        let Some((first, last)) = descriptor.and_then(|descriptor| descriptor.offsets()) else {
            return self.register();
        };
        let base = case.base(segment);
        let window = WINDOW_BYTES as u32;
        if self.percent(if case.selectors == FLAT { 1 } else { 8 }) {
            // At one end of the segment.
            let end = self.one_of(&[first, last]);
            return end
                .wrapping_add(self.random.below(8) as u32)
                .wrapping_sub(4);
        }
        for _ in 0..12 {
            let linear = WINDOW.wrapping_add(match self.random.below(100) {
                0..4 => window - self.random.below(u64::from(bytes) + 2) as u32,
                4..7 => 0_u32.wrapping_sub(self.random.below(u64::from(bytes) + 2) as u32),
                7..9 => window + self.random.below(0x1000) as u32,
                9..11 => self.register(),
                _ => self.random.below(0x1_0000) as u32,
            });
            let offset = linear.wrapping_sub(base);
            if first <= offset && offset.saturating_add(bytes - 1) <= last {
                return offset;
            }
        }
        first.wrapping_add(self.random.below(u64::from(last - first) + 1) as u32)
    }

    fn place_stack(&mut self, case: &mut Case, instruction: &Instruction) {
        let offset = self.offset(case, SS, 4);
        case.registers[ESP] = match self.environment.descriptor(case.selectors[SS]) {
            Some(stack) if !stack.is_big() => offset & 0xFFFF | UPPER_STACK_POINTER,
            _ => offset,
        };
        match instruction.mnemonic() {
            Mnemonic::Enter => {
                let above = self.random.below(0x100) as u32;
                case.registers[EBP] = case.registers[ESP].wrapping_add(above);
            }
            Mnemonic::Leave => case.registers[EBP] = self.offset(case, SS, 4),
            _ => {}
        }
    }

    /// Makes the addresses of operands mean something.
    fn place_operands(&mut self, case: &mut Case, instruction: &Instruction) {
        use OpKind::{MemoryESDI, MemoryESEDI, MemorySegESI, MemorySegSI};
        let bytes = instruction.memory_size().size().max(1) as u32;
        let segment = instruction.memory_segment();
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                MemorySegSI | MemorySegESI => {
                    case.registers[ESI] = self.offset(case, segment.number(), bytes);
                }
                MemoryESDI | MemoryESEDI => case.registers[EDI] = self.offset(case, ES, bytes),
                OpKind::Memory => self.place_memory(case, instruction, segment.number(), bytes),
                _ => {}
            }
        }
        if is_bit_string(instruction) {
            let bit = instruction.op1_register().full_register32().number();
            let used = [instruction.memory_base(), instruction.memory_index()];
            let is_free = used
                .iter()
                .all(|used| *used == Register::None || used.full_register32().number() != bit);
            if is_free && bit != ESP && self.percent(80) {
                let value = self.random.bits(14) as i32;
                case.registers[bit] = (if self.percent(40) { -value } else { value }) as u32;
            }
        }
    }

    fn place_memory(
        &mut self,
        case: &mut Case,
        instruction: &Instruction,
        segment: usize,
        bytes: u32,
    ) {
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let mask = match (base, index, instruction.memory_displ_size()) {
            (Register::None, Register::None, 2) => 0xFFFF,
            (Register::None, Register::None, _) => u32::MAX,
            (Register::None, index, _) if index.size() == 2 => 0xFFFF,
            (base, _, _) if base != Register::None && base.size() == 2 => 0xFFFF,
            _ => u32::MAX,
        };
        let wanted = self.offset(case, segment, bytes);
        let Some(linear) = case.effective_address(instruction, memory_operand(instruction)) else {
            return;
        };
        let found = linear.wrapping_sub(case.base(segment));
        let change = wanted.wrapping_sub(found) & mask;
        let is_general = |register: Register| register.is_gpr32() || register.is_gpr16();
        if is_general(base) && base != index && base.number() != ESP {
            add(&mut case.registers[base.number()], change, mask);
        } else if is_general(index) && instruction.memory_index_scale() == 1 && base != index {
            add(&mut case.registers[index.number()], change, mask);
        } else {
            // In the displacement, if it is wide enough.
            let options = DecoderOptions::FORCE_RESERVED_NOP;
            let mut decoder = Decoder::with_ip(case.bits(), &case.bytes, case.eip.into(), options);
            let decoded = decoder.decode();
            let constants = decoder.get_constant_offsets(&decoded);
            let (at, size) = (
                constants.displacement_offset(),
                constants.displacement_size(),
            );
            if size >= 2 {
                let mut value = [0; 4];
                value[..size].copy_from_slice(&case.bytes[at..at + size]);
                let value = u32::from_le_bytes(value).wrapping_add(change);
                case.bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
            }
        }
    }

    /// Any selector.
    fn selector(&mut self) -> u16 {
        let level = if self.percent(75) {
            3
        } else {
            self.random.bits(2) as u16
        };
        let table = segments::SELECTOR_LDT;
        let selector = match self.random.below(20) {
            0..7 => {
                (self.random.below(self.environment.ldt.len() as u64) as u16) << 3 | table | level
            }
            7..9 => choose(&mut self.random, &self.data).unwrap_or(0) & !3 | level,
            9..11 => choose(&mut self.random, &self.stacks).unwrap_or(0) & !3 | level,
            11..14 => RING_3_DATA & !3 | level,
            14 => RING_3_CODE & !3 | level,
            15 | 16 => level,
            17 => self.random.bits(7) as u16,
            18 => (self.environment.ldt.len() as u16 + self.random.below(4) as u16) << 3 | table,
            _ => self.random.bits(16) as u16,
        };
        if is_host_only(selector) {
            RING_3_DATA
        } else {
            selector
        }
    }

    /// Somewhere to go, most times in code.
    fn far_pointer(&mut self) -> (u32, u16) {
        let code = [self.code16.clone(), self.code32.clone()].concat();
        let selector = match self.random.below(10) {
            0..5 => choose(&mut self.random, &code).unwrap_or(RING_3_CODE),
            5..7 => RING_3_CODE,
            _ => self.selector(),
        };
        let limit = self
            .environment
            .descriptor(selector)
            .map(|found| found.limit);
        (self.target(limit.unwrap_or(0xFFFF)), selector)
    }

    fn target(&mut self, limit: u32) -> u32 {
        match self.random.below(10) {
            0..7 => self.random.below(u64::from(limit) + 1) as u32,
            7 => limit
                .wrapping_add(self.random.below(4) as u32)
                .wrapping_sub(1),
            8 => CODE_PAGE + self.random.bits(12) as u32,
            _ => self.register(),
        }
    }

    /// Gives operands the values that the instruction is about.
    fn give_meaning(&mut self, case: &mut Case, source: Source) {
        use Mnemonic::*;
        let instruction = case.instruction();
        let width = if source.operand16 { 2 } else { 4 };
        let row = source.row;
        let loads_segment = match row.operands[0] {
            Operand::Sw => true,
            Operand::Es | Operand::Ss | Operand::Ds | Operand::Fs | Operand::Gs => {
                row.mnemonic == "pop"
            }
            _ => false,
        };
        let limit = self.environment.descriptor(case.selectors[CS]);
        let limit = limit.map_or(u32::MAX, |code| code.limit);
        let near = self.target(limit).to_le_bytes();
        match instruction.mnemonic() {
            Pop if loads_segment => {
                let mut image = self.register().to_le_bytes();
                image[..2].copy_from_slice(&self.selector().to_le_bytes());
                self.push(case, &image);
            }
            Mov if loads_segment => self.set_operand(case, &instruction, 1),
            Lar | Lsl => self.set_operand(case, &instruction, 1),
            Verr | Verw | Arpl => self.set_operand(case, &instruction, 0),
            Lds | Les | Lfs | Lgs | Lss => {
                let mut pointer = self.register().to_le_bytes()[..width].to_vec();
                pointer.extend(self.selector().to_le_bytes());
                self.poke_operand(case, &instruction, &pointer);
            }
            Jmp | Call if row.operands[0] == Operand::Mp => {
                let (offset, selector) = self.far_pointer();
                let mut pointer = offset.to_le_bytes()[..width].to_vec();
                pointer.extend(selector.to_le_bytes());
                self.poke_operand(case, &instruction, &pointer);
            }
            Jmp | Call if row.operands[0] == Operand::Ev => {
                if instruction.op0_kind() == OpKind::Register {
                    let register = instruction.op0_register().full_register32().number();
                    if register != ESP {
                        case.registers[register] = u32::from_le_bytes(near);
                    }
                } else {
                    self.poke_operand(case, &instruction, &near[..width]);
                }
            }
            Ret => self.push(case, &near[..width]),
            Retf | Iret | Iretd => {
                let (offset, selector) = self.far_pointer();
                let mut frame = offset.to_le_bytes()[..width].to_vec();
                let upper = self.register() & 0xFFFF_0000;
                frame.extend(&(upper | u32::from(selector)).to_le_bytes()[..width]);
                let image = self.random.bits(32) as u32 & !flags::TF;
                frame.extend(&image.to_le_bytes()[..width]);
                self.push(case, &frame);
            }
            Popf | Popfd => {
                let trap = if self.percent(90) { 0 } else { flags::TF };
                let image = self.random.bits(32) as u32 & !flags::TF | trap;
                self.push(case, &image.to_le_bytes());
            }
            Div | Idiv if self.percent(70) => {
                let byte_wide = match instruction.op0_kind() {
                    OpKind::Register => instruction.op0_register().size() == 1,
                    _ => instruction.memory_size().size() == 1,
                };
                if byte_wide {
                    case.registers[EAX] &= 0xFFFF_0000 | self.random.bits(11) as u32;
                } else {
                    let high = case.registers[EAX] as i32 >> 31;
                    let small = self.random.bits(4) as i32;
                    case.registers[EDX] = self.one_of(&[high, small, 0]) as u32;
                }
            }
            Cmpxchg if self.percent(50) => {
                let accumulator = case.registers[EAX].to_le_bytes();
                match instruction.op0_kind() {
                    OpKind::Register => {
                        let register = instruction.op0_register().full_register32().number();
                        if register != ESP {
                            case.registers[register] = case.registers[EAX];
                        }
                    }
                    _ => self.poke_operand(case, &instruction, &accumulator),
                }
            }
            Cmpxchg8b if self.percent(50) => {
                let halves = [case.registers[EAX], case.registers[EDX]];
                let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
                self.poke_operand(case, &instruction, &bytes);
            }
            Bound => {
                let register = instruction.op0_register().full_register32().number();
                let index = case.registers[register];
                let below = self.random.bits(8) as u32;
                let above = self.random.bits(8) as u32;
                let lower = index.wrapping_sub(below).to_le_bytes();
                let upper = index.wrapping_add(above).to_le_bytes();
                let (mut lower, mut upper) = (lower[..width].to_vec(), upper[..width].to_vec());
                if self.percent(25) {
                    std::mem::swap(&mut lower, &mut upper);
                }
                lower.extend(upper);
                self.poke_operand(case, &instruction, &lower);
            }
            Loop | Loope | Loopne | Jcxz | Jecxz if self.percent(60) => {
                case.registers[ECX] &= if self.percent(50) { 0xFFFF_0003 } else { 1 };
            }
            _ if is_string(row.mnemonic) => {
                let count = if self.percent(95) { 0x0F } else { 0x7F };
                case.registers[ECX] &= count | if self.percent(50) { 0xFFFF_0000 } else { 0 };
                let is_32 = case.bytes.contains(&0x67) == (case.bits() == 16);
                if is_32 {
                    case.registers[ECX] &= 0xFFFF;
                }
                if matches!(row.mnemonic, "cmps" | "scas") && self.percent(60) {
                    self.make_alike(case, row.mnemonic, width);
                }
            }
            _ => {}
        }
    }

    /// Gives CMPS and SCAS some elements that are equal, so that they go on.
    fn make_alike(&mut self, case: &mut Case, mnemonic: &str, width: usize) {
        let bytes = [case.registers[EAX].to_le_bytes(); 12].concat();
        let element = case.registers[EAX].to_le_bytes()[..width].repeat(12);
        let instruction = case.instruction();
        let byte_wide = instruction.memory_size().size() == 1;
        let bytes = if byte_wide {
            vec![bytes[0]; 24]
        } else {
            element
        };
        let alike = bytes.len() - self.random.below(8) as usize;
        let back = if case.eflags & flags::DF != 0 { 24 } else { 0 };
        let destination = case
            .base(ES)
            .wrapping_add(case.registers[EDI])
            .wrapping_sub(back);
        self.poke(case, destination, &bytes[..alike]);
        if mnemonic == "cmps" {
            let segment = instruction.memory_segment().number();
            let source = case.base(segment).wrapping_add(case.registers[ESI]);
            self.poke(case, source.wrapping_sub(back), &bytes);
        }
    }

    /// Writes a selector into a register or memory operand.
    fn set_operand(&mut self, case: &mut Case, instruction: &Instruction, operand: u32) {
        let selector = self.selector();
        match instruction.op_kind(operand) {
            OpKind::Register => {
                let register = instruction.op_register(operand).full_register32().number();
                if register != ESP {
                    let value = &mut case.registers[register];
                    *value = *value & 0xFFFF_0000 | u32::from(selector);
                }
            }
            _ => self.poke_operand(case, instruction, &selector.to_le_bytes()),
        }
    }

    fn poke_operand(&mut self, case: &mut Case, instruction: &Instruction, bytes: &[u8]) {
        let operand = memory_operand(instruction);
        if let Some(linear) = case.effective_address(instruction, operand) {
            self.poke(case, linear, bytes);
        }
    }

    /// Writes what the instruction will pop.
    fn push(&mut self, case: &mut Case, bytes: &[u8]) {
        let big = self.environment.descriptor(case.selectors[SS]);
        let mask = match big {
            Some(stack) if !stack.is_big() => 0xFFFF,
            _ => u32::MAX,
        };
        let linear = case.base(SS).wrapping_add(case.registers[ESP] & mask);
        self.poke(case, linear, bytes);
    }

    fn poke(&mut self, case: &mut Case, linear: u32, bytes: &[u8]) {
        for (number, value) in (0..).zip(bytes) {
            let offset = linear.wrapping_add(number).wrapping_sub(WINDOW);
            if let Ok(offset) = u16::try_from(offset) {
                case.memory.retain(|(other, _)| *other != offset);
                case.memory.push((offset, *value));
            }
        }
    }
}

fn choose(random: &mut Random, from: &[u16]) -> Option<u16> {
    let number = random.below(from.len().max(1) as u64) as usize;
    from.get(number).copied()
}

fn add(register: &mut u32, change: u32, mask: u32) {
    *register = *register & !mask | register.wrapping_add(change) & mask;
}

fn memory_operand(instruction: &Instruction) -> u32 {
    let mut operands = 0..instruction.op_count();
    operands
        .find(|&operand| instruction.op_kind(operand) == OpKind::Memory)
        .unwrap_or(0)
}

fn is_bit_string(instruction: &Instruction) -> bool {
    use Mnemonic::{Bt, Btc, Btr, Bts};
    matches!(instruction.mnemonic(), Bt | Btc | Btr | Bts)
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_kind() == OpKind::Register
}

fn is_string(mnemonic: &str) -> bool {
    matches!(
        mnemonic,
        "movs" | "cmps" | "stos" | "lods" | "scas" | "ins" | "outs"
    )
}
