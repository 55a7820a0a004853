//! The chip as synthesis leaves it against the chip as Verilog, clock by clock.
//!
//! Both run the same small program in the same bench, `tests/netlist/bench.v`. Everything that leaves the chip must leave
//! both in the same clock: fetches, loads, stores with their data, and the levels of the serial line.

use crate::bench::{Bench, Sources};
use crate::boot_rom::{CODE, boot_rom, hexadecimal};
use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, byte_ptr, dword_ptr, ptr, registers::*, word_ptr};
use sim::board::synthesis::{GateLevel, Synthesis, Top};
use spec::clock::{CLOCK_HZ, UART_BAUD_AT_DIVISOR_1};
use spec::memory_map::{DEFAULT_ROM_BYTES, ROM_WORD_BYTES, rom_file};
use spec::ports::{COM1, POST, uart};
use std::path::Path;
use std::time::{Duration, Instant};

/// What the program writes to the serial line before anything else.
pub const TEXT: &str = "OK";

/// The POST code with which it ends.
const END: u32 = 0xFF;
const STACK_TOP: u32 = 0x8000;

/// Assembles the program.
///
/// It puts the serial port's FIFO on and writes [`TEXT`], computes while that leaves, writes a checksum byte of what it
/// computed, waits until the line is idle, and ends.
///
/// # Errors
/// What the assembler refuses.
pub fn program() -> Result<Vec<u8>, IcedError> {
    boot_rom(STACK_TOP, |asm| {
        asm.mov(edx, u32::from(COM1 + uart::INTERRUPT_IDENTIFICATION))?;
        asm.mov(al, 1)?;
        asm.out(dx, al)?;
        asm.mov(edx, u32::from(COM1))?;
        for byte in TEXT.bytes() {
            asm.mov(al, u32::from(byte))?;
            asm.out(dx, al)?;
        }
        asm.mov(ebp, 0x1234_5678)?;
        arithmetic(asm)?;
        memory(asm)?;
        // The checksum's bytes, folded.
        asm.mov(eax, ebp)?;
        asm.shr(eax, 16)?;
        asm.xor(eax, ebp)?;
        asm.xor(al, ah)?;
        asm.mov(edx, u32::from(COM1))?;
        asm.out(dx, al)?;
        let mut wait = asm.create_label();
        asm.mov(edx, u32::from(COM1 + uart::LINE_STATUS))?;
        asm.set_label(&mut wait)?;
        asm.in_(al, dx)?;
        asm.test(al, u32::from(uart::TRANSMITTER_EMPTY))?;
        asm.je(wait)?;
        asm.mov(al, END)?;
        asm.out(i32::from(POST), al)?;
        asm.cli()?;
        asm.hlt()
    })
}

/// Makes `value` a part of the checksum.
fn add_to_checksum(asm: &mut CodeAssembler) -> Result<(), IcedError> {
    asm.rol(ebp, 5)?;
    asm.xor(ebp, eax)
}

/// Every unit of execute.
fn arithmetic(asm: &mut CodeAssembler) -> Result<(), IcedError> {
    asm.mov(ecx, 12)?;
    asm.mov(eax, 0x1357_9BDF)?;
    let mut again = asm.create_label();
    asm.set_label(&mut again)?;
    asm.mov(ebx, 1_664_525)?;
    asm.mul(ebx)?;
    asm.add(eax, 1_013_904_223)?;
    asm.adc(edx, ecx)?;
    asm.push(eax)?;
    add_to_checksum(asm)?;
    asm.mov(eax, edx)?;
    add_to_checksum(asm)?;
    asm.mov(eax, dword_ptr(esp))?;
    asm.mov(esi, ecx)?;
    asm.or(esi, 0x11)?;
    asm.shr(edx, 28)?;
    asm.div(esi)?;
    add_to_checksum(asm)?;
    asm.mov(eax, edx)?;
    add_to_checksum(asm)?;
    asm.mov(eax, dword_ptr(esp))?;
    asm.imul_3(edi, eax, -77)?;
    asm.shld(eax, edi, cl)?;
    asm.rcl(eax, 3)?;
    asm.sar(edi, cl)?;
    asm.sub(eax, edi)?;
    asm.pushfd()?;
    asm.pop(edx)?;
    asm.xor(eax, edx)?;
    add_to_checksum(asm)?;
    asm.bsf(edx, eax)?;
    asm.bsr(esi, edi)?;
    asm.bts(eax, edx)?;
    asm.btr(eax, esi)?;
    asm.bswap(eax)?;
    asm.setl(al)?;
    asm.cmovb(eax, edi)?;
    asm.movsx(edx, al)?;
    asm.lea(eax, ptr(eax + edx * 4 + 3))?;
    add_to_checksum(asm)?;
    asm.mov(eax, ebp)?;
    asm.daa()?;
    asm.aad(10)?;
    add_to_checksum(asm)?;
    asm.pop(eax)?;
    asm.dec(ecx)?;
    asm.jne(again)
}

/// Loads and stores of all sizes, strings, paging, a fault, and a ring's way out and back.
fn memory(asm: &mut CodeAssembler) -> Result<(), IcedError> {
    const BUFFER: u32 = 0x1000;
    for offset in 0..8u32 {
        asm.mov(dword_ptr(BUFFER + 9 * offset), ebp)?;
        asm.mov(word_ptr(BUFFER + 0x80 + 5 * offset), bp)?;
        asm.mov(byte_ptr(BUFFER + 0x100 + 3 * offset), ch)?;
        asm.xadd(dword_ptr(BUFFER + 9 * offset), eax)?;
    }
    asm.cld()?;
    asm.mov(esi, BUFFER)?;
    asm.mov(edi, BUFFER + 0x203)?;
    asm.mov(ecx, 20)?;
    asm.rep().movsd()?;
    asm.mov(ecx, 7)?;
    asm.rep().stosb()?;
    asm.mov(eax, dword_ptr(BUFFER + 0x203 + 33))?;
    add_to_checksum(asm)?;

    // Paging: everything one to one in 4 MB pages, and 400000h in a page of its own at 6000h.
    const DIRECTORY: u32 = 0x4000;
    const TABLE: u32 = 0x5000;
    const PAGE: u32 = 0x6000;
    asm.mov(dword_ptr(DIRECTORY), 0x87)?;
    asm.mov(dword_ptr(DIRECTORY + 4), TABLE + 7)?;
    asm.mov(dword_ptr(DIRECTORY + 4092), 0xFFC0_0087u32)?;
    asm.mov(dword_ptr(TABLE), PAGE + 7)?;
    asm.mov(eax, 0x10)?;
    asm.mov(cr4, eax)?;
    asm.mov(eax, DIRECTORY)?;
    asm.mov(cr3, eax)?;
    asm.mov(eax, 0x8001_0033u32)?;
    asm.mov(cr0, eax)?;
    asm.mov(dword_ptr(0x40_0FFC), ebp)?;
    asm.mov(eax, dword_ptr(PAGE + 0xFFC))?;
    add_to_checksum(asm)?;
    asm.mov(eax, dword_ptr(TABLE))?;
    add_to_checksum(asm)?;

    // An IDT whose vector 14 makes the page present that faults, and vector 30h that returns.
    const IDT: u32 = 0x2000;
    const IDTR: u32 = 0x2800;
    let mut behind = asm.create_label();
    asm.call(behind)?;
    asm.mov(dword_ptr(TABLE + 4), PAGE + 7)?;
    asm.mov(eax, cr2)?;
    add_to_checksum(asm)?;
    asm.pop(eax)?;
    add_to_checksum(asm)?;
    asm.iretd()?;
    asm.set_label(&mut behind)?;
    asm.pop(eax)?;
    asm.mov(word_ptr(IDT + 8 * 14), ax)?;
    asm.shr(eax, 16)?;
    asm.mov(word_ptr(IDT + 8 * 14 + 6), ax)?;
    asm.mov(dword_ptr(IDT + 8 * 14 + 2), 0x8E00_0000 | u32::from(CODE))?;
    asm.mov(word_ptr(IDTR), 0x7FF)?;
    asm.mov(dword_ptr(IDTR + 2), IDT)?;
    asm.lidt(ptr(IDTR))?;
    asm.mov(eax, dword_ptr(0x40_1FFC))?;
    add_to_checksum(asm)
}

/// A run of one form of the chip.
pub struct Outcome {
    /// What left it, a line each, in the bench's form.
    pub events: Vec<String>,
    /// How long it took.
    pub seconds: Duration,
}

impl Outcome {
    /// The bytes that left through the serial line, and the clock in which each one's stop bit was seen.
    pub fn bytes(&self) -> Vec<(u64, u8)> {
        let byte = |line: &String| {
            let mut words = line.split(' ');
            let clock = words.next()?.parse().ok()?;
            (words.next()? == "byte").then_some(())?;
            Some((clock, u8::from_str_radix(words.next()?, 16).ok()?))
        };
        self.events.iter().filter_map(byte).collect()
    }

    /// How it ended.
    pub fn end(&self) -> &str {
        self.events.last().map_or("nothing came", String::as_str)
    }
}

/// A design in both forms, ready to run.
pub struct Gates {
    forms: [Bench; 2],
}

impl Gates {
    /// The chip, with memory outside. `folder` keeps the synthesis.
    ///
    /// # Errors
    /// Tools that cannot be laid or fail, a folder that cannot be written.
    ///
    /// # Panics
    /// If a bench cannot be built.
    pub fn of_chip(folder: &Path) -> Result<Self, String> {
        let gate_level = Synthesis::new(Top::Chip, CLOCK_HZ, folder)?.gate_level()?;
        Ok(Self::build("chip", "", &gate_level))
    }

    /// The whole board, with this ROM and its RAM in block RAM. `folder` keeps the synthesis.
    ///
    /// # Errors
    /// As [`Self::of_chip`], and a ROM of another size than the board's.
    ///
    /// # Panics
    /// If a bench cannot be built.
    pub fn of_board(folder: &Path, rom: &[u8]) -> Result<Self, String> {
        let synthesis = Synthesis::new(Top::Ulx3s, CLOCK_HZ, folder)?.with_rom(rom)?;
        let gate_level = synthesis.gate_level()?;
        Ok(Self::build("board", "`define WHOLE_BOARD\n", &gate_level))
    }

    fn build(name: &str, defines: &str, gate_level: &GateLevel) -> Self {
        let GateLevel {
            verilog,
            netlist,
            cells,
            ..
        } = gate_level;
        let bench = defines.to_string() + include_str!("../netlist/bench.v");
        let bench = ("bench.v", bench.as_str());
        let build = |form: &str, files: &[(&str, &str)], waived: &[&str]| {
            Bench::build(&Sources {
                name: &format!("{name}-{form}"),
                top: "bench",
                files,
                waived,
                optimisation: 1,
            })
        };
        Self {
            forms: [
                build(
                    "verilog",
                    &[bench, ("design.v", verilog)],
                    &["PINMISSING", "PINCONNECTEMPTY"],
                ),
                build(
                    "netlist",
                    &[
                        bench,
                        ("netlist.v", netlist),
                        ("yosys_cells.v", cells),
                        ("cells.v", include_str!("../netlist/cells.v")),
                    ],
                    // It is no text of ours.
                    &["fatal", "lint", "style"],
                ),
            ],
        }
    }

    /// Runs the Verilog and the netlist with a ROM that ends at FFFFFFFFh, which for the board is the one that it was
    /// built with.
    ///
    /// # Panics
    /// If a bench cannot be run, or the ROM is larger than the board's.
    pub fn run(&self, rom: &[u8]) -> [Outcome; 2] {
        let mut whole = vec![0xFF; DEFAULT_ROM_BYTES as usize - rom.len()];
        whole.extend(rom);
        let words = hexadecimal(&whole, ROM_WORD_BYTES);
        let run = |bench: &Bench| {
            bench.place("program.hex", &words);
            for lane in 0..ROM_WORD_BYTES {
                let bytes = whole.iter().skip(lane).step_by(ROM_WORD_BYTES);
                let bytes: Vec<u8> = bytes.copied().collect();
                bench.place(&rom_file(lane), &hexadecimal(&bytes, 1));
            }
            let began = Instant::now();
            let bit_clocks = (CLOCK_HZ << 8) / UART_BAUD_AT_DIVISOR_1;
            let text = bench.run(&["+program=program.hex".into(), format!("+bit={bit_clocks}")]);
            Outcome {
                events: text.lines().map(String::from).collect(),
                seconds: began.elapsed(),
            }
        };
        self.forms.each_ref().map(run)
    }
}

/// The first event of one that the other has not, if there is one.
pub fn difference(verilog: &Outcome, netlist: &Outcome) -> Option<String> {
    let longest = verilog.events.len().max(netlist.events.len());
    let event = |outcome: &Outcome, index: usize| -> String {
        let event = outcome.events.get(index);
        event.map_or("nothing more", String::as_str).to_string()
    };
    (0..longest)
        .map(|index| (event(verilog, index), event(netlist, index)))
        .find(|(verilog, netlist)| verilog != netlist)
        .map(|(verilog, netlist)| format!("the Verilog: {verilog}; the netlist: {netlist}"))
}
