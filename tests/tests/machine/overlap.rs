//! Instructions that overlap in the pipeline do what they do one by one: random programs, free, interrupted and
//! single-stepped.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::flags;
use spec::registers as number;
use tests::guest::*;
use tests::random::Random;

const INSTRUCTIONS: u64 = 120;
const PROGRAMS: u64 = 60;
/// What memory the programs use, pointers beginning in its middle.
const MEMORY: u32 = DATA;
const MEMORY_BYTES: usize = 0x1_8000;
const MIDDLE: u32 = DATA + 0x8000;

const DATA_REGISTERS: [AsmRegister32; 3] = [eax, ecx, edx];
const WORDS: [AsmRegister16; 3] = [ax, cx, dx];
const BYTES: [AsmRegister8; 6] = [al, ah, cl, ch, dl, dh];
const POINTERS: [AsmRegister32; 4] = [ebx, esi, edi, ebp];

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

/// One to three random instructions; `depth` doublewords are on the stack.
fn emit(a: &mut CodeAssembler, random: &mut Random, depth: &mut u32) -> Result<(), IcedError> {
    let r = pick(random, &DATA_REGISTERS);
    let s = pick(random, &DATA_REGISTERS);
    let word = pick(random, &WORDS);
    let (byte, other_byte) = (pick(random, &BYTES), pick(random, &BYTES));
    let pointer = pick(random, &POINTERS);
    let displacement = random.below(48) as i32 - 24;
    let memory = pointer + displacement;
    let value = random.bits(32) as i32;
    match random.below(48) {
        0 => a.mov(r, s),
        1 => a.mov(r, value),
        2 => a.add(r, s),
        3 => a.adc(r, value),
        4 => a.sub(r, dword_ptr(memory)),
        5 => a.sbb(dword_ptr(memory), r),
        6 => a.xor(dword_ptr(memory), value),
        7 | 8 => a.mov(r, dword_ptr(memory)),
        9 | 10 => a.mov(dword_ptr(memory), r),
        11 => a.mov(word_ptr(memory), word),
        12 => a.mov(byte_ptr(memory), byte),
        13 => a.mov(byte, byte_ptr(memory)),
        14 => a.add(word, word_ptr(memory)),
        15 => a.cmp(byte, other_byte),
        16 => a.mov(byte, other_byte),
        17 => a.movzx(r, byte),
        18 => a.movsx(r, word),
        19 => a.lea(pointer, ptr(memory)),
        20 => a.add(pointer, displacement),
        21 => {
            // An index that was made just before.
            a.movzx(ecx, byte)?;
            a.mov(r, dword_ptr(pointer + ecx * 4 + displacement))
        }
        22 => {
            a.mov(pointer, (MIDDLE + random.below(0x1000) as u32) as i32)?;
            a.inc(dword_ptr(pointer))
        }
        23 => {
            *depth += 1;
            a.push(r)
        }
        24 => {
            *depth += 1;
            a.push(dword_ptr(memory))
        }
        25 | 26 if *depth > 0 => {
            *depth -= 1;
            a.pop(r)
        }
        27 if *depth > 0 => {
            *depth -= 1;
            a.pop(dword_ptr(memory))
        }
        28 if *depth > 0 => a.add(dword_ptr(esp), r),
        29 => {
            a.pushad()?;
            a.add(dword_ptr(esp + 20), r)?; // EDX in the frame
            a.popad()
        }
        30 => a.imul_2(r, s),
        31 => a.mul(s),
        32 => {
            // Now and then with a quotient that is too large, which ends the program.
            let high = if random.one_in(8) { value } else { 0 };
            a.mov(edx, high)?;
            a.or(ecx, 0x100)?;
            a.div(ecx)
        }
        33 => a.shl(r, cl),
        34 => a.rcr(dword_ptr(memory), 3),
        35 => a.shld(r, s, 7),
        36 => a.bsf(r, s),
        37 => a.sete(byte_ptr(memory)),
        38 => a.cmovb(r, dword_ptr(memory)),
        39 => a.xchg(dword_ptr(memory), r),
        40 => a.cmpxchg(dword_ptr(memory), s),
        41 => a.xadd(dword_ptr(memory), r),
        42 => {
            a.mov(ecx, random.below(5) as i32)?;
            a.rep().movsb()
        }
        43 => a.stosd(),
        44 => {
            // Over an instruction, or not.
            let mut over = a.create_label();
            match random.below(3) {
                0 => a.jb(over)?,
                1 => a.jne(over)?,
                _ => a.js(over)?,
            }
            a.add(r, 1)?;
            a.mov(dword_ptr(memory), s)?;
            a.set_label(&mut over)?;
            a.neg(r)
        }
        45 => {
            let mut function = a.create_label();
            a.call(function)?;
            a.set_label(&mut function)?;
            a.pop(r)
        }
        46 => {
            a.push(ds)?;
            a.pop(es)?;
            a.stosb()
        }
        _ => a.inc(r),
    }
}

/// State and memory at the end.
#[derive(PartialEq, Debug)]
struct End {
    vector: u8,
    error_code: Option<u16>,
    eip: u32,
    eflags: u32,
    general: [u32; 8],
    memory: Vec<u8>,
}

/// What comes between the instructions.
#[derive(Clone, Copy, PartialEq)]
enum Disturbance {
    Nothing,
    SingleStep,
    Nmi,
}

fn run(guest: &mut Guest, program: u64, disturbance: Disturbance) -> End {
    let mut random = Random::new(program);
    guest.begin(3);
    let values: Vec<u8> = (0..MEMORY_BYTES).map(|_| random.bits(8) as u8).collect();
    guest.poke_bytes(MEMORY, &values);
    for register in 0..3 {
        guest.set(register, random.bits(32) as u32);
    }
    for register in [3, 5, 6, 7] {
        guest.set(register, MIDDLE + random.below(0x1000) as u32);
    }
    let at = guest.gate_target();
    guest.place(at, 32, |a| a.iretd());
    let gate = spec::segments::gate(selector::CODE_0, at, 0x8E, 0);
    guest.gate(spec::exceptions::DB, gate);
    guest.gate(spec::exceptions::NMI, gate);
    if disturbance == Disturbance::SingleStep {
        guest.set(number::EFLAGS, flags::RESET | flags::TF);
    }
    let mut depth = 0;
    guest.program(|a| {
        for _ in 0..INSTRUCTIONS {
            emit(a, &mut random, &mut depth)?;
        }
        Ok(())
    });
    guest.machine().invalidate();
    guest.machine().resume();
    let mut stop = Stop::Cycles;
    while disturbance == Disturbance::Nmi && stop == Stop::Cycles {
        stop = guest.machine().run(150 + random.below(300));
        guest.machine().nmi();
    }
    if stop == Stop::Cycles {
        stop = guest.machine().run(1_000_000);
    }
    assert_eq!(stop, Stop::Halted, "program {program:X}");
    assert!(guest.is_alive(), "program {program:X}");
    let event = guest.event().expect("an event");
    guest.machine().drain_retired();
    End {
        vector: event.vector,
        error_code: event.error_code,
        eip: event.eip,
        eflags: event.eflags & !flags::TF,
        general: event.general,
        memory: guest
            .machine()
            .read_memory(MEMORY, MEMORY_BYTES)
            .expect("RAM"),
    }
}

#[test]
fn random_programs_end_as_when_they_are_single_stepped() {
    let mut fast = Guest::new(None);
    let mut slow = Guest::new(Some(0x0E1A));
    let mut completed = 0;
    for program in 1..=PROGRAMS {
        let stepped = run(&mut fast, program, Disturbance::SingleStep);
        for (name, found) in [
            ("free", run(&mut fast, program, Disturbance::Nothing)),
            ("with NMIs", run(&mut fast, program, Disturbance::Nmi)),
            (
                "with NMIs and wait states",
                run(&mut slow, program, Disturbance::Nmi),
            ),
            (
                "free with wait states",
                run(&mut slow, program, Disturbance::Nothing),
            ),
        ] {
            let differs = found
                .memory
                .iter()
                .zip(&stepped.memory)
                .position(|(a, b)| a != b);
            assert_eq!(
                differs, None,
                "program {program:X}, {name}: memory at this offset"
            );
            assert!(
                found == stepped,
                "program {program:X}, {name}: {:X?} at {:08X}, not {:X?} at {:08X}; {:08X?}, not {:08X?}",
                found.vector,
                found.eip,
                stepped.vector,
                stepped.eip,
                found.general,
                stepped.general
            );
        }
        completed += u64::from(stepped.vector == vector::COMPLETED);
    }
    println!("{completed} of {PROGRAMS} programs ran to their end");
}

/// A taken micro-branch puts back the ESP that ran ahead of it.
#[test]
fn esp_written_right_before_a_micro_branch_stays_written() {
    for mut guest in Guest::of_every_timing() {
        for ring in [0, 3] {
            let mut end = |compared: i32| {
                guest.begin(ring);
                let stack = guest.get(4);
                guest.program(|a| {
                    a.mov(eax, compared)?;
                    a.mov(dword_ptr(ebx), 5)?;
                    a.mov(esp, stack as i32 - 32)?;
                    a.cmpxchg(dword_ptr(ebx), ecx)?;
                    a.push(0x1234)?;
                    a.mov(esp, stack as i32 - 64)?;
                    a.cmpxchg(edx, ecx)?;
                    a.push(0x5678)
                });
                assert_eq!(guest.run(), Stop::Halted);
                assert_eq!(guest.peek(stack - 36), 0x1234, "ring {ring}, {compared}");
                assert_eq!(guest.peek(stack - 68), 0x5678, "ring {ring}, {compared}");
            };
            // Equal, and not.
            end(5);
            end(6);
        }
    }
}
