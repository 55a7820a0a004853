//! A small protected-mode guest: tables, handlers and stacks around a few instructions whose effect is observed.
//!
//! State is set through the debug port, so a program begins in any ring without having to get there. Every gate leads
//! to a handler that keeps what the processor pushed, then proves the machine alive: IRETD to ring 3, a software
//! interrupt back into ring 0, and HLT.

use iced_x86::code_asm::registers::{cr::cr2, gpr32::*, segment::*};
use iced_x86::code_asm::{CodeAssembler, dword_ptr};
use iced_x86::{BlockEncoder, BlockEncoderOptions, IcedError, InstructionBlock};
use sim::machine::{Machine, MachineConfig, MemoryKind, Stop};
use spec::registers as number;
use spec::{control_registers, flags, paging, segments};

/// Bytes of RAM, all of it mapped one to one.
pub const RAM_BYTES: u32 = 0x8_0000;
/// The global descriptor table.
pub const GDT: u32 = 0x1000;
/// The interrupt descriptor table.
pub const IDT: u32 = 0x2000;
/// The local descriptor table, of eight descriptors.
pub const LDT: u32 = 0x2C00;
/// The task-state segment.
pub const TSS: u32 = 0x3000;
/// The page directory.
pub const PAGE_DIRECTORY: u32 = 0x4000;
/// The one page table, for the first 4 MB.
pub const PAGE_TABLE: u32 = 0x5000;
/// Top of the stack of rings 0 to 2: one page each.
pub const STACK_TOP: [u32; 4] = [0x8000, 0xA000, 0xC000, USER_STACK_TOP];
/// Address of the saved frame; zero before an event.
pub const EVENT: u32 = 0xD000;
/// Becomes [`ALIVE`] when the machine has gone to ring 3 and back after its event.
pub const PROOF: u32 = 0xD004;
/// What the proof of life leaves.
pub const ALIVE: u32 = 0xA11F_E000;
/// The handlers.
pub const HANDLERS: u32 = 0xE000;
/// The program under test.
pub const CODE: u32 = 0x1_0000;
/// Data for any ring.
pub const DATA: u32 = 0x2_0000;
/// Top of ring 3's stack.
pub const USER_STACK_TOP: u32 = 0x3_8000;
/// A page for the supervisor alone.
pub const SUPERVISOR_PAGE: u32 = 0x4_0000;
/// A page that is not present; the page before it is.
pub const ABSENT_PAGE: u32 = 0x4_2000;
/// A page any ring may read.
pub const READ_ONLY_PAGE: u32 = 0x4_4000;
/// The first address without a directory entry.
pub const BEYOND_DIRECTORY: u32 = paging::DIRECTORY_ENTRY_BYTES;
/// The page before [`ABSENT_PAGE`], open to all.
pub const LAST_PAGE: u32 = 0x4_1000;

/// Selectors of the guest's GDT and LDT. A digit at the end is the ring.
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod selector {
    pub const NULL: u16 = 0;
    pub const CODE_0: u16 = 0x08;
    pub const DATA_0: u16 = 0x10;
    pub const CODE_3: u16 = 0x1B;
    pub const DATA_3: u16 = 0x23;
    pub const TSS: u16 = 0x28;
    pub const LDT: u16 = 0x30;
    pub const CODE_1: u16 = 0x39;
    pub const DATA_1: u16 = 0x41;
    pub const READ_ONLY: u16 = 0x4B;
    pub const EXECUTE_ONLY: u16 = 0x53;
    /// Code of ring 3 with a limit of 0FFFh at [`super::CODE`].
    pub const SMALL_CODE: u16 = 0x5B;
    /// Data with base [`super::DATA`] and a limit of 0FFh.
    pub const SMALL_DATA: u16 = 0x63;
    /// Expand-down data with base [`super::DATA`]: offsets from 1000h to FFFFFFFFh.
    pub const EXPAND_DOWN: u16 = 0x6B;
    /// The same with 16-bit addresses: offsets from 1000h to FFFFh.
    pub const EXPAND_DOWN_16: u16 = 0x73;
    pub const ABSENT_DATA: u16 = 0x7B;
    pub const ABSENT_CODE: u16 = 0x83;
    /// Conforming code of ring 0.
    pub const CONFORMING: u16 = 0x88;
    /// Call gates of ring 3 to [`super::Guest::gate_target`]: no parameters, and three.
    pub const CALL_GATE: u16 = 0x93;
    pub const CALL_GATE_3: u16 = 0x9B;
    /// Call gates that do not work.
    pub const CALL_GATE_RING_0: u16 = 0xA3;
    pub const CALL_GATE_ABSENT: u16 = 0xAB;
    pub const CALL_GATE_NULL: u16 = 0xB3;
    pub const CALL_GATE_DATA: u16 = 0xBB;
    /// To ring 1, same offset.
    pub const CALL_GATE_RING_1: u16 = 0xC3;
    pub const SECOND_TSS: u16 = 0xC8;
    pub const CODE_16: u16 = 0xD3;
    pub const DATA_16: u16 = 0xDB;
    pub const CODE_16_RING_0: u16 = 0xE0;
    pub const DATA_16_RING_0: u16 = 0xE8;
    pub const ABSENT_LDT: u16 = 0xF0;
    /// A type that is reserved.
    pub const RESERVED: u16 = 0xFB;
    /// The first selector beyond the table.
    pub const BEYOND: u16 = 0x103;
    /// In the LDT: data of ring 3, nothing (type 0), data of ring 0.
    pub const LOCAL_DATA: u16 = 0x0F;
    pub const LOCAL_EMPTY: u16 = 0x07;
    pub const LOCAL_RING_0: u16 = 0x14;
    pub const LOCAL_BEYOND: u16 = 0x47;
}

/// Vectors of the guest's IDT above the exceptions. Those without a comment are open to ring 3 and do as they are called.
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod vector {
    pub const USER: u8 = 0x80;
    /// Comes behind the code under test: it ran to its end.
    pub const COMPLETED: u8 = 0x81;
    /// Ends the proof of life.
    pub const ALIVE: u8 = 0x82;
    pub const TRAP: u8 = 0x83;
    pub const RING_0_ONLY: u8 = 0x84;
    pub const ABSENT: u8 = 0x85;
    pub const NOT_A_GATE: u8 = 0x86;
    pub const NULL_CODE: u8 = 0x87;
    pub const DATA_AS_CODE: u8 = 0x88;
    pub const ABSENT_CODE: u8 = 0x89;
    /// Leads to code of ring 3.
    pub const OUTWARD: u8 = 0x8A;
    pub const CONFORMING: u8 = 0x8B;
    pub const BEYOND_TABLE: u8 = 0x8C;
    pub const BEYOND_CODE: u8 = 0x8D;
    /// Leads to [`super::Guest::gate_target`].
    pub const RING_1: u8 = 0x8E;
    /// The first vector beyond the table.
    pub const FIRST_MISSING: u8 = 0x90;
}

/// What a handler found on its stack and in the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Vector of the gate.
    pub vector: u8,
    /// What was pushed last, if the vector has an error code.
    pub error_code: Option<u16>,
    /// EIP pushed.
    pub eip: u32,
    /// CS pushed.
    pub cs: u16,
    /// EFLAGS pushed.
    pub eflags: u32,
    /// SS:ESP before, if the level changed; else SS and ESP as they were before the pushes.
    pub ss: u16,
    /// See `ss`.
    pub esp: u32,
    /// CR2 in the handler.
    pub cr2: u32,
    /// EAX, ECX... as at the event; ESP is that above.
    pub general: [u32; 8],
    /// ES, CS (see above), SS, DS, FS, GS in the handler.
    pub data_segments: [u16; 6],
    /// ESP in the handler with only the processor's frame pushed.
    pub frame: u32,
}

/// An assembled program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Address of every instruction, and of the first byte behind the last.
    pub addresses: Vec<u32>,
}

impl Program {
    /// Address of the last instruction.
    pub fn last(&self) -> u32 {
        self.addresses[self.addresses.len() - 2]
    }

    /// Address behind the last instruction.
    pub fn end(&self) -> u32 {
        *self.addresses.last().expect("one address at least")
    }
}

/// Assembles at `address`; returns the bytes and where each instruction lies.
///
/// # Panics
/// The instructions cannot be encoded.
pub fn assemble(
    bits: u32,
    address: u32,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> (Vec<u8>, Program) {
    let mut asm = CodeAssembler::new(bits).expect("16 or 32 bits");
    code(&mut asm).expect("the operands fit the instruction");
    let instructions = asm.take_instructions();
    let block = InstructionBlock::new(&instructions, address.into());
    let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
    let encoded = BlockEncoder::encode(bits, block, options).expect("an encoding");
    let mut addresses: Vec<u32> = encoded
        .new_instruction_offsets
        .iter()
        .map(|offset| address + offset)
        .collect();
    addresses.push(address + encoded.code_buffer.len() as u32);
    (encoded.code_buffer, Program { addresses })
}

/// A machine with the tables above in its RAM.
pub struct Guest {
    machine: Machine,
    gate_target: u32,
}

/// `jmp $` at the reset vector.
const ROM: [u8; 16] = {
    let mut rom = [0xF4; 16];
    rom[0] = 0xEB;
    rom[1] = 0xFE;
    rom
};

/// Clock cycles a program may take.
const MAX_CYCLES: u64 = 400_000;

impl Guest {
    /// A machine whose memory answers in one clock, or with random wait states.
    ///
    /// # Panics
    /// The machine cannot be made.
    pub fn new(wait_seed: Option<u64>) -> Self {
        Self::on(MachineConfig {
            wait_seed,
            ..MachineConfig::default()
        })
    }

    /// Machines whose memory answers in one clock, and with random wait states of several seeds, which are printed.
    ///
    /// # Panics
    /// A machine cannot be made.
    pub fn of_every_timing() -> impl Iterator<Item = Self> {
        [None, Some(1), Some(0x5EED), Some(0xC0_FFEE)]
            .into_iter()
            .map(|wait_seed| {
                println!("wait seed {wait_seed:X?}");
                Self::new(wait_seed)
            })
    }

    /// A machine whose RAM is SDRAM behind caches.
    ///
    /// # Panics
    /// The machine cannot be made.
    pub fn with_sdram() -> Self {
        Self::on(MachineConfig {
            memory: MemoryKind::Sdram,
            ..MachineConfig::default()
        })
    }

    fn on(config: MachineConfig) -> Self {
        let machine = Machine::new(MachineConfig {
            ram_bytes: RAM_BYTES,
            rom: ROM.to_vec(),
            ..config
        })
        .expect("a machine");
        Self {
            machine,
            gate_target: 0,
        }
    }

    /// The machine itself.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Where the call gates lead: code that the test places there with [`Self::place`].
    pub fn gate_target(&self) -> u32 {
        self.gate_target
    }

    /// Resets the machine, rebuilds RAM and the processor's state: halted, about to run [`CODE`] in `ring`.
    ///
    /// General registers: EBX and ESI point to [`DATA`], EDI 100h behind; ESP is the ring's stack less 100h, EBP 40h
    /// above it.
    pub fn begin(&mut self, ring: u8) {
        self.machine.reset();
        self.machine.debug_halt().expect("halts after reset");
        self.rebuild(ring);
    }

    /// The same of a halted machine without a reset: devices, and system registers that a ring has no value for, stay.
    pub fn rebuild(&mut self, ring: u8) {
        self.machine
            .write_memory(0, &vec![0; RAM_BYTES as usize])
            .expect("RAM");
        self.place_handlers();
        self.fill_tables();
        self.fill_state(ring);
        self.machine.drain_retired();
        self.machine.drain_ports();
    }

    fn fill_tables(&mut self) {
        use segments::{
            ACCESS_CODE_OR_DATA, ACCESS_DPL_SHIFT, ACCESS_PRESENT, CALL_GATE_32, FLAG_BIG,
            FLAG_GRANULARITY, INTERRUPT_GATE_32, TRAP_GATE_32, TSS_32_AVAILABLE, TSS_32_BUSY,
            TSS_ESP0, TSS_IO_MAP_BASE, TSS_RING_BYTES, TYPE_ACCESSED, TYPE_CODE, TYPE_CONFORMING,
            TYPE_EXPAND_DOWN, TYPE_READABLE, TYPE_WRITABLE, descriptor, gate,
        };
        let big = FLAG_GRANULARITY | FLAG_BIG;
        let access = |ring: u8, kind: u8| {
            ACCESS_PRESENT | ACCESS_CODE_OR_DATA | kind | (ring << ACCESS_DPL_SHIFT)
        };
        let system = |ring: u8, kind: u8| ACCESS_PRESENT | kind | (ring << ACCESS_DPL_SHIFT);
        let code = TYPE_CODE | TYPE_READABLE | TYPE_ACCESSED;
        let data = TYPE_WRITABLE | TYPE_ACCESSED;
        let flat = |ring, kind| descriptor(0, 0xF_FFFF, access(ring, kind), big);
        let tss = |base, kind| descriptor(base, 0x87, system(0, kind), 0);
        let target = self.gate_target;
        let call = |selector: u16, access, parameters| gate(selector, target, access, parameters);
        let open = system(3, CALL_GATE_32);
        #[rustfmt::skip]
        let global: &[(u16, u64)] = &[
            (selector::CODE_0, flat(0, code)),
            (selector::DATA_0, flat(0, data)),
            (selector::CODE_3, flat(3, code)),
            (selector::DATA_3, flat(3, data)),
            (selector::TSS, tss(TSS, TSS_32_BUSY)),
            (selector::LDT, descriptor(LDT, 0x3F, system(0, segments::LDT), 0)),
            (selector::CODE_1, flat(1, code)),
            (selector::DATA_1, flat(1, data)),
            (selector::READ_ONLY, flat(3, TYPE_ACCESSED)),
            (selector::EXECUTE_ONLY, flat(3, TYPE_CODE | TYPE_ACCESSED)),
            (selector::SMALL_CODE, descriptor(CODE, 0xFFF, access(3, code), FLAG_BIG)),
            (selector::SMALL_DATA, descriptor(DATA, 0xFF, access(3, data), FLAG_BIG)),
            (selector::EXPAND_DOWN, descriptor(DATA, 0xFFF, access(3, data | TYPE_EXPAND_DOWN), FLAG_BIG)),
            (selector::EXPAND_DOWN_16, descriptor(DATA, 0xFFF, access(3, data | TYPE_EXPAND_DOWN), 0)),
            (selector::ABSENT_DATA, descriptor(0, 0xF_FFFF, access(3, data) & !ACCESS_PRESENT, big)),
            (selector::ABSENT_CODE, descriptor(0, 0xF_FFFF, access(3, code) & !ACCESS_PRESENT, big)),
            (selector::CONFORMING, flat(0, code | TYPE_CONFORMING)),
            (selector::CALL_GATE, call(selector::CODE_0, open, 0)),
            (selector::CALL_GATE_3, call(selector::CODE_0, open, 3)),
            (selector::CALL_GATE_RING_0, call(selector::CODE_0, system(0, CALL_GATE_32), 0)),
            (selector::CALL_GATE_ABSENT, call(selector::CODE_0, open & !ACCESS_PRESENT, 0)),
            (selector::CALL_GATE_NULL, call(selector::NULL, open, 0)),
            (selector::CALL_GATE_DATA, call(selector::DATA_0, open, 0)),
            (selector::CALL_GATE_RING_1, call(selector::CODE_1, open, 0)),
            (selector::SECOND_TSS, tss(TSS, TSS_32_AVAILABLE)),
            (selector::CODE_16, descriptor(CODE, 0xFFFF, access(3, code), 0)),
            (selector::DATA_16, descriptor(DATA, 0xFFFF, access(3, data), 0)),
            (selector::CODE_16_RING_0, descriptor(CODE, 0xFFFF, access(0, code), 0)),
            (selector::DATA_16_RING_0, descriptor(DATA, 0xFFFF, access(0, data), 0)),
            (selector::ABSENT_LDT, descriptor(LDT, 0x3F, segments::LDT, 0)),
            (selector::RESERVED, descriptor(0, 0xF_FFFF, system(3, 0), big)),
            (selector::LOCAL_DATA, flat(3, data)),
            (selector::LOCAL_RING_0, flat(0, data)),
        ];
        for (selector, descriptor) in global {
            self.descriptor(*selector, *descriptor);
        }

        for entry in 0..self::vector::FIRST_MISSING {
            let open = matches!(entry, 3 | 4 | 0x80..);
            let access = system(if open { 3 } else { 0 }, INTERRUPT_GATE_32);
            self.gate(
                entry,
                gate(selector::CODE_0, Self::handler(entry), access, 0),
            );
        }
        let interrupt = system(3, INTERRUPT_GATE_32);
        let to = |selector, access| gate(selector, Self::handler(self::vector::USER), access, 0);
        #[rustfmt::skip]
        let special: &[(u8, u64)] = &[
            (vector::TRAP, gate(selector::CODE_0, Self::handler(vector::TRAP), system(3, TRAP_GATE_32), 0)),
            (vector::RING_0_ONLY, to(selector::CODE_0, system(0, INTERRUPT_GATE_32))),
            (vector::ABSENT, to(selector::CODE_0, interrupt & !ACCESS_PRESENT)),
            (vector::NOT_A_GATE, to(selector::CODE_0, system(3, CALL_GATE_32))),
            (vector::NULL_CODE, to(selector::NULL, interrupt)),
            (vector::DATA_AS_CODE, to(selector::DATA_0, interrupt)),
            (vector::ABSENT_CODE, to(selector::ABSENT_CODE & !3, interrupt)),
            (vector::OUTWARD, to(selector::CODE_3, interrupt)),
            (vector::CONFORMING, to(selector::CONFORMING, interrupt)),
            (vector::BEYOND_TABLE, to(selector::BEYOND, interrupt)),
            (vector::BEYOND_CODE, gate(selector::CODE_16_RING_0, 0x1_0000, interrupt, 0)),
            (vector::RING_1, gate(selector::CODE_1, target, interrupt, 0)),
        ];
        for (entry, gate) in special {
            self.gate(*entry, *gate);
        }

        for ring in 0..3 {
            let slot = TSS + TSS_ESP0 + TSS_RING_BYTES * ring;
            let stack = [selector::DATA_0, selector::DATA_1, selector::NULL][ring as usize];
            self.poke(slot, STACK_TOP[ring as usize]);
            self.poke(slot + 4, stack.into());
        }
        // The bitmap begins at 68h and has the ports below F8h, then a byte of ones.
        self.poke(TSS + TSS_IO_MAP_BASE, 0x68);
        self.poke_bytes(TSS + 0x68, &[0xFF; 0x20]);

        self.poke(
            PAGE_DIRECTORY,
            PAGE_TABLE | paging::PRESENT | paging::WRITABLE | paging::USER,
        );
        for page in (0..0x10_0000).step_by(paging::PAGE_BYTES as usize) {
            self.page(page, paging::PRESENT | paging::WRITABLE | paging::USER);
        }
        self.page(SUPERVISOR_PAGE, paging::PRESENT | paging::WRITABLE);
        self.page(ABSENT_PAGE, paging::WRITABLE | paging::USER);
        self.page(READ_ONLY_PAGE, paging::PRESENT | paging::USER);
    }

    fn fill_state(&mut self, ring: u8) {
        let (code, data) = match ring {
            0 => (selector::CODE_0, selector::DATA_0),
            1 => (selector::CODE_1, selector::DATA_1),
            3 => (selector::CODE_3, selector::DATA_3),
            _ => panic!("the guest has no segments for ring {ring}"),
        };
        let stack = STACK_TOP[usize::from(ring)] - 0x100;
        let general = [
            0xAAAA_0001,
            0x0000_0005,
            0xDDDD_0080,
            DATA,
            stack,
            stack + 0x40,
            DATA,
            DATA + 0x100,
        ];
        for (register, value) in (0..).zip(general) {
            self.set(register, value);
        }
        for (table, base, limit) in [
            (number::GDTR, GDT, 0xFF),
            (number::IDTR, IDT, u32::from(vector::FIRST_MISSING) * 8 - 1),
        ] {
            self.set(number::BASE + table, base);
            self.set(number::LIMIT + table, limit);
        }
        self.load(number::CS, code);
        for segment in [number::ES, number::SS, number::DS, number::FS, number::GS] {
            self.load(segment, data);
        }
        self.load(number::LDTR, selector::LDT);
        self.load(number::TR, selector::TSS);
        self.set(number::CPL, ring.into());
        self.set(number::CR3, PAGE_DIRECTORY);
        self.set(
            number::CR0,
            control_registers::CR0_PE | control_registers::CR0_ET | control_registers::CR0_PG,
        );
        self.set(number::SYSENTER_CS, selector::CODE_0.into());
        self.set(number::SYSENTER_ESP, STACK_TOP[0]);
        self.set(number::SYSENTER_EIP, Self::handler(vector::COMPLETED));
        self.set(number::EFLAGS, flags::RESET);
        self.set(number::EIP, CODE);
    }

    /// Sixteen bytes for each vector, and behind them what they have in common.
    fn place_handlers(&mut self) {
        let common = Self::handler(vector::FIRST_MISSING);
        for entry in 0..vector::FIRST_MISSING {
            let has_code = spec::exceptions::by_vector(entry).is_some_and(|row| row.has_error_code);
            self.place(Self::handler(entry), 32, |asm| {
                if !has_code {
                    asm.push(0)?;
                }
                asm.push(i32::from(entry))?;
                asm.jmp(u64::from(common))
            });
        }
        let alive = common + 0x80;
        self.place(common, 32, |asm| {
            asm.pushad()?;
            asm.mov(eax, cr2)?;
            asm.push(eax)?;
            for segment in [gs, fs, ds, ss, cs, es] {
                asm.push(segment)?;
            }
            asm.mov(eax, i32::from(selector::DATA_0))?;
            asm.mov(ds, eax)?;
            asm.mov(dword_ptr(EVENT), esp)?;
            // Still here: to ring 3 and back, on another part of the stack.
            asm.mov(
                dword_ptr(TSS + segments::TSS_ESP0),
                (STACK_TOP[0] - 0x800) as i32,
            )?;
            asm.push(i32::from(selector::DATA_3))?;
            asm.push(USER_STACK_TOP as i32)?;
            asm.push(2)?;
            asm.push(i32::from(selector::CODE_3))?;
            asm.push(alive as i32)?;
            asm.iretd()
        });
        self.place(alive, 32, |asm| {
            asm.mov(eax, ALIVE)?;
            asm.push(eax)?;
            asm.pop(ecx)?;
            asm.int(i32::from(vector::ALIVE))
        });
        self.place(Self::handler(vector::ALIVE), 32, |asm| {
            asm.jmp(u64::from(alive + 0x20))
        });
        self.place(alive + 0x20, 32, |asm| {
            asm.mov(eax, i32::from(selector::DATA_0))?;
            asm.mov(ds, eax)?;
            asm.mov(dword_ptr(PROOF), ecx)?;
            // An NMI wakes it, and changes nothing.
            let mut rest = asm.create_label();
            asm.set_label(&mut rest)?;
            asm.cli()?;
            asm.hlt()?;
            asm.jmp(rest)
        });
        self.gate_target = alive + 0x80;
        let target = self.gate_target;
        self.place(target, 32, |asm| asm.int(i32::from(vector::COMPLETED)));
    }

    /// Address of a vector's handler.
    pub fn handler(vector: u8) -> u32 {
        HANDLERS + 16 * u32::from(vector)
    }

    /// Assembles code for any address.
    pub fn place(
        &mut self,
        address: u32,
        bits: u32,
        code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Program {
        let (bytes, program) = assemble(bits, address, code);
        self.poke_bytes(address, &bytes);
        program
    }

    /// Places the program under test at [`CODE`], with an `int` behind it that says it ran to its end.
    pub fn program(
        &mut self,
        code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Program {
        let program = self.place(CODE, 32, code);
        self.place(program.end(), 32, |asm| {
            asm.int(i32::from(vector::COMPLETED))
        });
        program
    }

    /// Writes a register of the halted machine; numbers are those of `spec::registers`.
    pub fn set(&mut self, register: u8, value: u32) {
        self.machine.write_register(register, value);
    }

    /// Reads a register of the halted machine.
    pub fn get(&mut self, register: u8) -> u32 {
        self.machine.read_register(register)
    }

    /// Fills a segment register and its descriptor cache from the tables, without any check.
    pub fn load(&mut self, segment: u8, selector: u16) {
        let descriptor = self.read_descriptor(selector);
        let mut limit = (descriptor & 0xFFFF | descriptor >> 32 & 0xF_0000) as u32;
        let access = (descriptor >> 40 & 0xF0FF) as u32;
        if access & u32::from(segments::FLAG_GRANULARITY) != 0 {
            limit = limit << 12 | 0xFFF;
        }
        let base = (descriptor >> 16 & 0xFF_FFFF | descriptor >> 56 << 24) as u32;
        self.set(number::SELECTOR + segment, selector.into());
        self.set(number::BASE + segment, base);
        self.set(number::LIMIT + segment, limit);
        self.set(number::ACCESS + segment, access);
    }

    fn descriptor_address(selector: u16) -> u32 {
        let table = if selector & segments::SELECTOR_LDT != 0 {
            LDT
        } else {
            GDT
        };
        table + u32::from(selector & segments::SELECTOR_OFFSET)
    }

    /// Writes a descriptor into its table.
    pub fn descriptor(&mut self, selector: u16, descriptor: u64) {
        self.poke_bytes(
            Self::descriptor_address(selector),
            &descriptor.to_le_bytes(),
        );
    }

    /// Reads a descriptor from its table.
    pub fn read_descriptor(&self, selector: u16) -> u64 {
        let address = Self::descriptor_address(selector);
        u64::from(self.peek(address)) | u64::from(self.peek(address + 4)) << 32
    }

    /// Writes a gate into the IDT.
    pub fn gate(&mut self, vector: u8, gate: u64) {
        self.poke_bytes(IDT + 8 * u32::from(vector), &gate.to_le_bytes());
    }

    /// Maps a page onto itself with these bits of `spec::paging`.
    pub fn page(&mut self, linear: u32, bits: u32) {
        self.poke(Self::page_entry(linear), (linear & paging::FRAME) | bits);
    }

    /// Address of the page-table entry of a linear address below 4 MB.
    pub fn page_entry(linear: u32) -> u32 {
        PAGE_TABLE + 4 * paging::table_index(linear)
    }

    /// Writes a doubleword of RAM.
    pub fn poke(&mut self, address: u32, value: u32) {
        self.poke_bytes(address, &value.to_le_bytes());
    }

    /// Writes bytes of RAM.
    pub fn poke_bytes(&mut self, address: u32, bytes: &[u8]) {
        self.machine.write_memory(address, bytes).expect("RAM");
    }

    /// Reads a doubleword of RAM.
    pub fn peek(&self, address: u32) -> u32 {
        let bytes = self.machine.read_memory(address, 4).expect("RAM");
        u32::from_le_bytes(bytes.try_into().expect("four bytes"))
    }

    /// Lets the machine go until it stops.
    pub fn run(&mut self) -> Stop {
        self.machine.invalidate();
        self.machine.resume();
        self.machine.run(MAX_CYCLES)
    }

    /// Whether the machine went to ring 3 and back after its event.
    pub fn is_alive(&self) -> bool {
        self.peek(PROOF) == ALIVE
    }

    /// What the handler has kept, if one ran.
    pub fn event(&self) -> Option<Event> {
        let at = self.peek(EVENT);
        if at == 0 {
            return None;
        }
        let word = |index: u32| self.peek(at + 4 * index);
        let vector = word(15) as u8;
        let has_code = spec::exceptions::by_vector(vector).is_some_and(|row| row.has_error_code);
        let code = word(18) as u16;
        // Segments are pushed as doublewords whose upper halves mean nothing.
        let segment = |index: u32| word(index) as u16;
        let frame = at + 4 * if has_code { 16 } else { 17 };
        let handler_level = segment(1) & 3;
        let inward = code & segments::SELECTOR_RPL > handler_level;
        let (stack_pointer, stack) = if inward {
            (word(20), word(21) as u16)
        } else {
            (at + 4 * 20, segment(2))
        };
        let general = [14, 13, 12, 11, 0, 9, 8, 7].map(|index| match index {
            0 => stack_pointer,
            index => word(index),
        });
        Some(Event {
            vector,
            error_code: has_code.then(|| word(16) as u16),
            eip: word(17),
            cs: code,
            eflags: word(19),
            ss: stack,
            esp: stack_pointer,
            cr2: word(6),
            general,
            data_segments: std::array::from_fn(|index| segment(index as u32)),
            frame,
        })
    }
}
