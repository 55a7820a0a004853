//! REP MOVS and REP STOS beside a model that goes element by element: blocks, ends of pages and segments, overlap,
//! directions, address sizes, interrupts and wait states.

use sim::machine::Stop;
use spec::exceptions::{GP, NMI, PF};
use spec::registers as number;
use spec::{flags, paging};
use tests::guest::*;
use tests::random::Random;

const ECX: u8 = 1;
const ESI: u8 = 6;
const EDI: u8 = 7;
/// What is compared: all data and the pages with other rights, but not ring 3's stack, which every event uses.
const MEMORY: u32 = CODE + 0x1000;
const MEMORY_END: u32 = 0x4_8000;
const STACK_PAGE: u32 = USER_STACK_TOP - paging::PAGE_BYTES;

/// A segment as the model sees it.
#[derive(Debug, Clone, Copy)]
struct Segment {
    selector: u16,
    base: u32,
    /// First and last offset.
    offsets: (u32, u32),
}

const FLAT: Segment = Segment {
    selector: selector::DATA_3,
    base: 0,
    offsets: (0, u32::MAX),
};
const SMALL: Segment = Segment {
    selector: selector::SMALL_DATA,
    base: DATA,
    offsets: (0, 0xFF),
};
const EXPAND_DOWN: Segment = Segment {
    selector: selector::EXPAND_DOWN,
    base: DATA,
    offsets: (0x1000, u32::MAX),
};

/// One instruction and what it begins with.
#[derive(Debug, Clone)]
struct Copy {
    moves: bool,
    size: u32,
    address16: bool,
    down: bool,
    count: u32,
    source: (Segment, u32),
    destination: (Segment, u32),
}

/// What is there at its end.
#[derive(Debug, PartialEq)]
struct End {
    vector: u8,
    error_code: Option<u16>,
    /// Of a page fault.
    linear: u32,
    ecx: u32,
    esi: u32,
    edi: u32,
    memory: Vec<u8>,
    /// Pages of `memory` whose tables say that they were written.
    dirty: Vec<u32>,
}

/// Why an access faults: vector, error code, address.
type Fault = (u8, u16, u32);

fn translate(
    (segment, offset): (Segment, u32),
    size: u32,
    write: bool,
    address16: bool,
) -> Result<Vec<u32>, Fault> {
    let offset = if address16 { offset & 0xFFFF } else { offset };
    let last = offset.checked_add(size - 1).ok_or((GP, 0, 0))?;
    if offset < segment.offsets.0 || last > segment.offsets.1 {
        return Err((GP, 0, 0));
    }
    let bytes: Vec<u32> = (0..size)
        .map(|i| segment.base.wrapping_add(offset).wrapping_add(i))
        .collect();
    for linear in &bytes {
        let page = linear & paging::FRAME;
        let kind = if write { paging::ERROR_WRITE } else { 0 } | paging::ERROR_USER;
        if page == ABSENT_PAGE {
            return Err((PF, kind, *linear));
        }
        if write && page == READ_ONLY_PAGE {
            return Err((PF, kind | paging::ERROR_PROTECTION, *linear));
        }
    }
    Ok(bytes)
}

impl Copy {
    fn random(random: &mut Random) -> Self {
        let moves = random.below(2) == 0;
        let size = 1 << random.below(3);
        let address16 = random.below(8) == 0;
        let down = random.below(5) == 0;
        let count = match random.below(4) {
            0 => random.below(21),
            1 => random.below(400),
            2 => 512 / u64::from(size) + random.below(3),
            _ => 128 / u64::from(size) + random.below(40),
        } as u32;
        let bytes = count * size;
        // To the element, to the dword, to 8 bytes, or anywhere.
        let mut near = |at: u32| {
            let grain = [1, size, 4, 8, 8, 8][random.below(6) as usize];
            at + random.below(u64::from(256 / grain)) as u32 * grain
        };
        let (mut source, mut destination) = ((FLAT, near(DATA + 0x1000)), (FLAT, near(DATA)));
        // The end of what can be read or written lies about where the copy ends.
        let shy = |end: u32| {
            if down {
                end - 0x40
            } else {
                (end - bytes.min(0x1000)) & !7
            }
        };
        let (read_end, write_end) = (
            near(shy(ABSENT_PAGE)),
            near(shy([ABSENT_PAGE, READ_ONLY_PAGE][moves as usize])),
        );
        let (close, small, upper) = (near(0), near(0), near(0x1000));
        match random.below(10) {
            0 => source.1 = read_end,
            1 => destination.1 = write_end,
            2 => (source.1, destination.1) = (read_end, write_end),
            // Overlap, to both sides.
            3 => destination.1 = source.1 + close,
            4 => source.1 = destination.1 + close,
            5 => destination.1 = source.1 - source.1.min(close / 8),
            6 => destination = (SMALL, small),
            7 => destination = (EXPAND_DOWN, if down { 0x1000 + close } else { upper }),
            8 => source = (SMALL, small),
            _ => {}
        }
        if address16 {
            let segment = Segment {
                selector: selector::DATA_16,
                base: DATA,
                offsets: (0, 0xFFFF),
            };
            source = (segment, 0x5A5A_0000 | (0x5000 + close));
            destination = (segment, 0xA5A5_0000 | (0x6000 + small));
        }
        Self {
            moves,
            size,
            address16,
            down,
            count,
            source,
            destination,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0xF3];
        if self.size == 2 {
            bytes.push(0x66);
        }
        if self.address16 {
            bytes.push(0x67);
        }
        let opcode = if self.moves { 0xA4 } else { 0xAA };
        bytes.push(opcode | u8::from(self.size > 1));
        bytes
    }

    /// ECX, whose upper half does not count with 16-bit addresses.
    fn ecx(&self) -> u32 {
        self.count | if self.address16 { 0x77_0000 } else { 0 }
    }

    /// Element by element.
    fn model(&self, eax: u32, mut memory: Vec<u8>) -> End {
        let (mut source, mut destination) = (self.source, self.destination);
        let mut left = self.count;
        let mut dirty = Vec::new();
        let mut fault: Option<Fault> = None;
        let step = |offset: u32| {
            let moved = if self.down {
                offset.wrapping_sub(self.size)
            } else {
                offset.wrapping_add(self.size)
            };
            if self.address16 {
                offset & 0xFFFF_0000 | moved & 0xFFFF
            } else {
                moved
            }
        };
        let at = |linear: &u32| (linear - MEMORY) as usize;
        while left != 0 {
            let result: Result<(), Fault> = (|| {
                let value: Vec<u8> = if self.moves {
                    let from = translate(source, self.size, false, self.address16)?;
                    from.iter().map(|linear| memory[at(linear)]).collect()
                } else {
                    eax.to_le_bytes()[..self.size as usize].to_vec()
                };
                let to = translate(destination, self.size, true, self.address16)?;
                for (linear, byte) in to.iter().zip(value) {
                    memory[at(linear)] = byte;
                    dirty.push(linear & paging::FRAME);
                }
                Ok(())
            })();
            if let Err(found) = result {
                fault = Some(found);
                break;
            }
            if self.moves {
                source.1 = step(source.1);
            }
            destination.1 = step(destination.1);
            left -= 1;
        }
        dirty.sort();
        dirty.dedup();
        End {
            vector: fault.map_or(vector::COMPLETED, |fault| fault.0),
            error_code: fault.map(|fault| fault.1),
            linear: fault.map_or(0, |fault| fault.2),
            ecx: self.ecx() - self.count + left,
            esi: source.1,
            edi: destination.1,
            memory,
            dirty,
        }
    }

    fn run(&self, guest: &mut Guest, eax: u32, memory: &[u8], nmi: Option<&mut Random>) -> End {
        guest.begin(3);
        guest.poke_bytes(MEMORY, memory);
        guest.load(number::DS, self.source.0.selector);
        guest.load(number::ES, self.destination.0.selector);
        let direction = if self.down { flags::DF } else { 0 };
        guest.set(number::EFLAGS, flags::RESET | direction);
        for (register, value) in [
            (0, eax),
            (ECX, self.ecx()),
            (ESI, self.source.1),
            (EDI, self.destination.1),
        ] {
            guest.set(register, value);
        }
        let at = guest.gate_target();
        guest.place(at, 32, |a| a.iretd());
        let gate = spec::segments::gate(selector::CODE_0, at, 0x8E, 0);
        guest.gate(NMI, gate);
        let bytes = self.bytes();
        guest.program(|a| a.db(&bytes));
        guest.machine().invalidate();
        guest.machine().resume();
        let mut stop = Stop::Cycles;
        if let Some(random) = nmi {
            for _ in 0..60 {
                if stop == Stop::Cycles {
                    stop = guest.machine().run(100 + random.below(150));
                    guest.machine().nmi();
                }
            }
        }
        if stop == Stop::Cycles {
            stop = guest.machine().run(1_000_000);
        }
        assert_eq!(stop, Stop::Halted, "{self:X?}");
        assert!(guest.is_alive(), "{self:X?}");
        let event = guest.event().expect("an event");
        assert!(
            event.vector == vector::COMPLETED || event.eip == CODE,
            "{self:X?}"
        );
        guest.machine().drain_retired();
        let length = (MEMORY_END - MEMORY) as usize;
        let dirty = (MEMORY..MEMORY_END)
            .step_by(paging::PAGE_BYTES as usize)
            .filter(|page| *page != STACK_PAGE)
            .filter(|page| guest.peek(Guest::page_entry(*page)) & paging::DIRTY != 0)
            .collect();
        End {
            vector: event.vector,
            error_code: event.error_code,
            linear: if event.vector == PF { event.cr2 } else { 0 },
            ecx: event.general[usize::from(ECX)],
            esi: event.general[usize::from(ESI)],
            edi: event.general[usize::from(EDI)],
            memory: guest.machine().read_memory(MEMORY, length).expect("RAM"),
            dirty,
        }
    }
}

fn compare(copy: &Copy, how: &str, found: &End, expected: &End) {
    let short = |end: &End| {
        (
            end.vector,
            end.error_code,
            end.linear,
            (end.ecx, end.esi, end.edi),
            end.dirty.clone(),
        )
    };
    assert_eq!(short(found), short(expected), "{how}: {copy:X?}");
    let differs = (MEMORY..MEMORY_END).find(|linear| {
        let at = (linear - MEMORY) as usize;
        linear & paging::FRAME != STACK_PAGE && found.memory[at] != expected.memory[at]
    });
    if let Some(linear) = differs {
        let at = (linear - MEMORY) as usize;
        let near = |end: &End| end.memory[at & !15..][..32].to_vec();
        panic!(
            "{how}: at {linear:X} {:02X?}, not {:02X?}; {copy:X?}",
            near(found),
            near(expected)
        );
    }
}

#[test]
fn repeated_moves_and_stores_do_what_they_do_element_by_element() {
    let mut fast = Guest::new(None);
    let mut slow = Guest::new(Some(0x57C1));
    let mut random = Random::new(0xB10C);
    let mut faults = 0;
    for _ in 0..400 {
        let copy = Copy::random(&mut random);
        let eax = random.word() as u32;
        let memory: Vec<u8> = (MEMORY..MEMORY_END).map(|_| random.word() as u8).collect();
        let expected = copy.model(eax, memory.clone());
        faults += u32::from(expected.vector != vector::COMPLETED);
        let free = copy.run(&mut fast, eax, &memory, None);
        compare(&copy, "free", &free, &expected);
        let disturbed = copy.run(&mut fast, eax, &memory, Some(&mut random));
        compare(&copy, "with NMIs", &disturbed, &expected);
        let waiting = copy.run(&mut slow, eax, &memory, Some(&mut random));
        compare(&copy, "with NMIs and wait states", &waiting, &expected);
    }
    println!("{faults} of 400 end with a fault");
    assert!(faults > 40);
}

#[test]
fn a_fault_at_any_element_of_a_block_leaves_the_registers_at_that_element() {
    let mut guest = Guest::new(None);
    let mut random = Random::new(0xE1E);
    let memory: Vec<u8> = (MEMORY..MEMORY_END).map(|_| random.word() as u8).collect();
    for size in [1, 4] {
        for before in (0..=264).step_by(size as usize) {
            // With the other address at a multiple of 8, or not.
            for (moves, reads, apart) in [
                (false, false, 0),
                (true, false, 0),
                (true, true, 0),
                (true, false, 2),
                (true, true, 2),
            ] {
                let end = (FLAT, ABSENT_PAGE - before);
                let other = (FLAT, DATA + 0x800 + apart);
                let copy = Copy {
                    moves,
                    size,
                    address16: false,
                    down: false,
                    count: 300,
                    source: if reads { end } else { other },
                    destination: if reads { other } else { end },
                };
                let expected = copy.model(0x8765_4321, memory.clone());
                assert_eq!(expected.ecx, 300 - before / size);
                let found = copy.run(&mut guest, 0x8765_4321, &memory, None);
                compare(&copy, "free", &found, &expected);
            }
        }
    }
}
