//! Every block of the core and of the chip means the same in Rust and in Verilog, while random code runs in random
//! states.
use std::collections::HashMap;

use hdl::cpu::Cpu;
use hdl::soc::chip::{Chip, ChipOptions};
use spec::registers::{
    ACCESS, BASE, CPL, CR0, CR3, CR4, CS, DS, EFLAGS, EIP, ES, FS, GDTR, GS, IDTR, LIMIT, SS,
};
use tests::differential::{Run, Surroundings, compare_within};
use tests::random::Random;

/// Bytes that begin or extend instructions of all kinds, protected-mode ones above all.
#[rustfmt::skip]
const OPCODES: &[u8] = &[
    0x0F, 0x0F, 0x0F, 0x66, 0x67, 0xF3, 0xF2, 0x2E, 0x00, 0x01, 0x03, 0x05, 0x11, 0x1B, 0x29, 0x31, 0x39, 0x40, 0x4B,
    0x50, 0x58, 0x60, 0x61, 0x68, 0x6A, 0x74, 0x75, 0x80, 0x83, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x90, 0x99,
    0x9C, 0x9D, 0xA4, 0xA5, 0xA6, 0xAA, 0xAB, 0xAC, 0xAE, 0xB0, 0xB8, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC7, 0xC9, 0xCC,
    0xCD, 0xCF, 0xD0, 0xD3, 0xE2, 0xE4, 0xE6, 0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xEE, 0xF6, 0xF7, 0xFA, 0xFB, 0xFE, 0xFF,
    0x20, 0x22, 0x30, 0x32, 0x34, 0x35, 0xA2, 0xAF, 0xB6, 0xBC, 0xC8, 0x84, 0x94, 0x02,
    0x03, 0x00, 0x27, 0x2F, 0x37, 0x3F, 0x62, 0x63, 0x6C, 0x6D, 0x6E, 0x6F, 0x9B, 0xB2, 0xB4, 0xC5, 0xD4, 0xD5, 0xD6,
    0xD9, 0xF1,
];

/// What the reset vector leads to: a division, AL = 36h, 76h, B6h to port 43h (a mode for each of the timer's counters), jump
/// away.
const START: [(u64, u64); 4] = [
    (
        0xFFF0,
        u64::from_le_bytes([0xE9, 0x0D, 0xFF, 0x90, 0x90, 0x90, 0x90, 0x90]),
    ),
    (
        0xFF00,
        u64::from_le_bytes([0xB0, 0x36, 0xF6, 0xF0, 0xB0, 0x36, 0xE6, 0x43]),
    ),
    (
        0xFF08,
        u64::from_le_bytes([0xB0, 0x76, 0xE6, 0x43, 0xB0, 0xB6, 0xE6, 0x43]),
    ),
    (
        0xFF10,
        u64::from_le_bytes([0xE9, 0xEC, 0x10, 0x90, 0x90, 0x90, 0x90, 0x90]),
    ),
];

/// An access that waits for its answer.
#[derive(Clone, Copy)]
struct Access {
    address: u64,
    write: bool,
    io: bool,
}

/// Memory that holds random code, a debugger that changes the state at random, and interrupts.
struct World {
    random: Random,
    memory: HashMap<u64, u64>,
    instruction: Option<u64>,
    data: Option<Access>,
    instruction_waits: bool,
    data_waits: bool,
    /// Registers and values that the debugger has still to write, before it lets the core run again.
    writes: Vec<(u8, u64)>,
}

impl World {
    /// 64 KB at every address: code, descriptors from 4000h, page tables from 8000h.
    fn word(&mut self, address: u64) -> u64 {
        let random = &mut self.random;
        let address = address & 0xFFF8;
        *self.memory.entry(address).or_insert_with(|| match address {
            0x4000..0x8000 => descriptor(random),
            0x8000.. => page_table_entry(random) << 32 | page_table_entry(random),
            _ => (0..8).fold(0, |word, _| word << 8 | code_byte(random)),
        })
    }
}

fn code_byte(random: &mut Random) -> u64 {
    match random.below(3) {
        0 => random.bits(8),
        _ => u64::from(OPCODES[random.below(OPCODES.len() as u64) as usize]),
    }
}

/// Segments of all kinds and gates, most present and wide.
fn descriptor(random: &mut Random) -> u64 {
    let kinds = [
        0x9A, 0x9E, 0x92, 0x96, 0xFA, 0xFE, 0xF2, 0x89, 0x82, 0xE4, 0xEC, 0xEE, 0xEF, 0x8E,
    ];
    let access =
        kinds[random.below(kinds.len() as u64) as usize] ^ u64::from(random.one_in(20)) << 7;
    let limit_high = if random.one_in(4) {
        random.bits(8)
    } else {
        0xCF
    };
    let (low, base_high) = (
        random.bits(40),
        if random.one_in(2) { 0 } else { random.bits(8) },
    );
    // A gate's selector lies where a segment's base begins.
    base_high << 56 | limit_high << 48 | access << 40 | low
}

fn page_table_entry(random: &mut Random) -> u64 {
    let permissions = if random.one_in(8) { 0 } else { 7 };
    random.bits(16) | permissions
}

/// What the debugger writes before the core runs on: a mode, wide segments, tables, and registers at random.
fn state(random: &mut Random) -> Vec<(u8, u64)> {
    let control = [0x10, 0x11, 0x8000_0011, 0x8005_0011][random.below(4) as usize];
    let level = if control == 0x10 {
        0
    } else {
        [0, 0, 3][random.below(3) as usize]
    };
    let mut writes = vec![
        (CR0, control),
        (CR3, 0x8000),
        (CR4, random.bits(8)),
        (EIP, random.bits(13)),
        (CPL, level),
    ];
    for segment in [ES, CS, SS, DS, FS, GS, GDTR, IDTR] {
        let code = segment == CS;
        let table = segment >= GDTR;
        let base = if table { 0x4000 } else { 0 };
        let limit = if table { 0x3FFF } else { u64::from(u32::MAX) };
        let big = random.below(2) << 14;
        writes.push((BASE + segment, base));
        writes.push((LIMIT + segment, limit));
        writes.push((
            ACCESS + segment,
            level << 5 | 0x92 | u64::from(code) << 3 | big,
        ));
    }
    writes.extend((0..8).map(|register| (register, random.bits(16))));
    let alignment_check = random.below(2) << 18;
    writes.push((EFLAGS, random.bits(12) & 0xEFF | alignment_check));
    // Written first, for the last is taken first: the level changes whatever the random ones are.
    writes.push((CPL, 3));
    writes
}

/// The ports that core and chip share; `$rest` sets the other inputs, `$io` tells whether the data access is a port's.
macro_rules! surround {
    ($top:ty, $rest:expr, $io:expr) => {
        impl Surroundings<$top> for World {
            fn set_inputs(&mut self, core: &mut $top, clock: usize) {
                core.reset.next = clock == 0 || (core.shutdown.val() && self.random.one_in(10));
                self.instruction_waits = self.random.one_in(6);
                self.data_waits = self.random.one_in(4);
                core.instruction_wait.next = self.instruction_waits;
                core.data_wait.next = self.data_waits;
                core.instruction_data.next = match self.instruction {
                    Some(address) if !self.instruction_waits => self.word(address).into(),
                    _ => self.random.word().into(),
                };
                core.data_read_data.next = match self.data {
                    Some(access) if !self.data_waits && !access.write && !access.io => {
                        self.word(access.address).into()
                    }
                    _ => self.random.word().into(),
                };
                $rest(&mut self.random, core, clock);
                core.nmi.next = self.random.one_in(400);
                if clock % 140 == 130 {
                    self.writes = state(&mut self.random);
                }
                let halt = !self.writes.is_empty();
                core.debug_halt.next = halt;
                core.debug_step.next = halt && self.random.one_in(30);
                let write = if core.debug_halted.val() {
                    self.writes.pop()
                } else {
                    None
                };
                let (register, value) =
                    write.unwrap_or((self.random.bits(8) as u8, self.random.bits(32)));
                core.debug_write.next = write.is_some();
                core.debug_register.next = u64::from(register).into();
                core.debug_write_data.next = value.into();
                core.debug_invalidate.next = halt && self.random.one_in(50);
            }

            fn see_outputs(&mut self, core: &$top) {
                if self.instruction.is_none() || !self.instruction_waits {
                    let address = core.instruction_address.val().to_u64();
                    self.instruction = core.instruction_request.val().then_some(address);
                }
                if self.data.is_none() || !self.data_waits {
                    let access = Access {
                        address: core.data_address.val().to_u64(),
                        write: core.data_write.val(),
                        io: $io(core),
                    };
                    self.data = core.data_request.val().then_some(access);
                    if let Some(Access {
                        address,
                        write: true,
                        io: false,
                    }) = self.data
                    {
                        let lanes = core.data_byte_enable.val().to_u64();
                        let mask = (0..8)
                            .filter(|lane| lanes >> lane & 1 == 1)
                            .fold(0, |mask, lane| mask | 0xFF << (8 * lane));
                        let word =
                            self.word(address) & !mask | core.data_write_data.val().to_u64() & mask;
                        self.memory.insert(address & 0xFFF8, word);
                    }
                }
            }
        }
    };
}

surround!(
    Cpu,
    |random: &mut Random, core: &mut Cpu, clock: usize| {
        core.interrupt_request.next = random.one_in(3) && clock % 140 < 30;
        core.interrupt_vector.next = random.bits(8).into();
        core.data_io_read_data.next = random.word().into();
    },
    |core: &Cpu| core.data_io.val()
);
// Ports are inside the chip, or answered in the same clock.
surround!(
    Chip,
    |random: &mut Random, chip: &mut Chip, _| {
        chip.uart_rx.next = random.one_in(2);
        chip.external_selected.next = random.one_in(4);
        chip.external_read_data.next = random.bits(8).into();
        chip.external_lines.next = (random.bits(16) & random.bits(16)).into();
    },
    |_: &Chip| false
);

impl World {
    fn new(seed: u64) -> World {
        World {
            random: Random::new(seed),
            memory: HashMap::from(START),
            instruction: None,
            data: None,
            instruction_waits: false,
            data_waits: false,
            writes: Vec::new(),
        }
    }
}

#[test]
fn every_block_of_the_core_is_the_same_in_verilog() {
    let run = Run {
        name: "core",
        clocks: 600,
        clock: |core: &mut Cpu, level| core.clock.next = level.into(),
    };
    compare_within(&run, &mut Cpu::new(), &mut World::new(0x36));
}

#[test]
fn every_block_of_the_chip_is_the_same_in_verilog() {
    let run = Run {
        name: "chip",
        clocks: 1000,
        clock: |chip: &mut Chip, level| chip.clock.next = level.into(),
    };
    let mut chip = Chip::new(ChipOptions {
        clock_hz: 3_686_400,
    });
    compare_within(&run, &mut chip, &mut World::new(0x35));
}
