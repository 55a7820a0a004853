//! The permission matrix of segments, as far as ring 3 can see it.
//!
//! Loads: every type, present or not, by every RPL, into every segment register and by every instruction that takes a
//! selector; besides them the GDT's segments of ring 0, null selectors, and those behind the end of the table.
//! Accesses: every type that can be loaded, at both ends of its limit, in all widths, read, written and both.
use crate::silicon::environment::{
    CODE_PAGE, GDT_LIMIT, RING_0_CODE, RING_0_DATA, RING_3_CODE, RING_3_DATA, Segment,
    TSS_SELECTOR, WINDOW,
};
use crate::silicon::{Case, Environment, decode};
use spec::{flags, registers, segments};
use std::sync::Arc;

const CS: usize = registers::CS as usize;
const SS: usize = registers::SS as usize;
const FS: usize = registers::FS as usize;
/// Where the instructions are.
const EIP: u32 = CODE_PAGE + 0x100;
/// Where the flat stack is.
const ESP: u32 = WINDOW + 0x8100;
/// Where the flat data of an instruction are.
const DATA: u32 = WINDOW + 0x9000;

/// Every type with every size and some limits, present and not.
pub fn segments() -> Vec<Segment> {
    let mut found = Vec::new();
    for contents in 0..4 {
        for bits in 0..8_u8 {
            let (read_execute_only, big, present) = (bits & 1 != 0, bits & 2 != 0, bits & 4 == 0);
            // The kernel refuses conforming segments that are present.
            if contents == 3 && present {
                continue;
            }
            for (base, limit, in_pages) in [
                (WINDOW, 0x7FFF, false),
                (WINDOW + 5, 0, false),
                (WINDOW, 7, true),
                (WINDOW + 1, 0xFFFF, false),
                (0, 0xF_FFFF, true),
                (CODE_PAGE, 0xFFF, false),
            ] {
                found.push(Segment {
                    base,
                    limit,
                    big,
                    contents,
                    read_execute_only,
                    in_pages,
                    present,
                    available: false,
                });
            }
        }
    }
    found
}

/// The cases, which have not run yet.
pub fn drafts(environment: &Arc<Environment>) -> Vec<Case> {
    let mut drafts = loads(environment);
    drafts.extend(accesses(environment));
    drafts.extend(stack_accesses(environment));
    drafts.extend(code_accesses(environment));
    drafts
}

fn draft(environment: &Arc<Environment>, bytes: &[u8]) -> Case {
    let code = decode(bytes, 32, EIP).code();
    Case {
        registers: [0x1111_1111, 2, 3, DATA, ESP, DATA + 0x100, 6, 7],
        eip: EIP,
        ..Case::draft(environment, code, bytes.to_vec())
    }
}

fn poke(case: &mut Case, linear: u32, bytes: &[u8]) {
    let first = (linear - WINDOW) as u16;
    case.memory.extend((first..).zip(bytes.iter().copied()));
}

/// LDT selectors of all segments.
fn local(environment: &Environment) -> impl Iterator<Item = u16> {
    (0..environment.ldt.len() as u16).map(|index| index << 3 | segments::SELECTOR_LDT)
}

fn loads(environment: &Arc<Environment>) -> Vec<Case> {
    let global = [
        0,
        RING_0_CODE,
        RING_0_DATA,
        RING_3_CODE & !3,
        RING_3_DATA & !3,
        TSS_SELECTOR,
        0x60,
        GDT_LIMIT as u16 + 1,
        0xFFF8,
    ];
    let behind = (environment.ldt.len() as u16) << 3 | segments::SELECTOR_LDT;
    let selectors = local(environment).chain(global).chain([behind, 0xFFFC]);
    let mut drafts = Vec::new();
    for selector in selectors.flat_map(|selector| (0..4).map(move |level| selector | level)) {
        let wide = u32::from(selector).to_le_bytes();
        let near = selector.to_le_bytes();
        // MOV from a register and from memory, POP.
        for segment in [0_u8, 2, 3, 4, 5] {
            let mut case = draft(environment, &[0x8E, 0xC0 | segment << 3]);
            case.registers[0] = selector.into();
            drafts.push(case);
        }
        for pop in [
            &[0x07_u8][..],
            &[0x17],
            &[0x1F],
            &[0x0F, 0xA1],
            &[0x0F, 0xA9],
        ] {
            let mut case = draft(environment, pop);
            poke(&mut case, ESP, &wide);
            drafts.push(case);
        }
        // LES, LDS, LSS, LFS, LGS ecx,[ebx]
        let pointer = [&0x5555_u32.to_le_bytes()[..], &near].concat();
        for load in [
            &[0xC4_u8, 0x0B][..],
            &[0xC5, 0x0B],
            &[0x0F, 0xB2, 0x0B],
            &[0x0F, 0xB4, 0x0B],
            &[0x0F, 0xB5, 0x0B],
        ] {
            let mut case = draft(environment, load);
            poke(&mut case, DATA, &pointer);
            drafts.push(case);
        }
        // LAR, LSL ecx,eax; VERR, VERW ax; ARPL ax,cx
        for look in [
            &[0x0F, 0x02, 0xC8][..],
            &[0x0F, 0x03, 0xC8],
            &[0x0F, 0x00, 0xE0],
            &[0x0F, 0x00, 0xE8],
            &[0x63, 0xC8],
        ] {
            let mut case = draft(environment, look);
            case.registers[0] = selector.into();
            drafts.push(case);
        }
        // Far transfers, to an offset that is within most limits.
        let target = 0x123_u32.to_le_bytes();
        let pointer = [&target[..], &near].concat();
        for opcode in [0x9A, 0xEA] {
            drafts.push(draft(environment, &[&[opcode][..], &pointer].concat()));
        }
        for group in [0x1B, 0x2B] {
            let mut case = draft(environment, &[0xFF, group]);
            poke(&mut case, DATA, &pointer);
            drafts.push(case);
        }
        let frame = [target, wide, (flags::ALWAYS_ONE | flags::IF).to_le_bytes()].concat();
        for back in [0xCB, 0xCF] {
            let mut case = draft(environment, &[back]);
            poke(&mut case, ESP, &frame);
            drafts.push(case);
        }
    }
    drafts
}

/// Offsets around both ends of a segment.
fn ends(environment: &Environment, selector: u16) -> Vec<u32> {
    let Some(descriptor) = environment.descriptor(selector) else {
        return Vec::new();
    };
    let (first, last) = descriptor.offsets().unwrap_or((0, descriptor.limit));
    let around =
        |end: u32| [-8, -7, -4, -3, -2, -1, 0, 1].map(|step| end.wrapping_add_signed(step));
    let mut offsets = [around(first), around(last)].concat();
    offsets.push(0x100);
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

fn accesses(environment: &Arc<Environment>) -> Vec<Case> {
    let instructions: [&[u8]; 11] = [
        &[0x64, 0x8A, 0x05],
        &[0x64, 0x66, 0x8B, 0x05],
        &[0x64, 0x8B, 0x05],
        &[0x64, 0x88, 0x05],
        &[0x64, 0x66, 0x89, 0x05],
        &[0x64, 0x89, 0x05],
        &[0x64, 0x00, 0x05],
        &[0x64, 0x66, 0x01, 0x05],
        &[0x64, 0x01, 0x05],
        &[0x64, 0x0F, 0xC7, 0x0D],
        // BOUND eax: two accesses
        &[0x64, 0x62, 0x05],
    ];
    let mut drafts = Vec::new();
    for selector in local(environment).map(|selector| selector | 3).chain([0]) {
        for instruction in instructions {
            for offset in ends(environment, selector) {
                let bytes = [instruction, &offset.to_le_bytes()].concat();
                let mut case = draft(environment, &bytes);
                case.selectors[FS] = selector;
                drafts.push(case);
            }
        }
    }
    drafts
}

fn stack_accesses(environment: &Arc<Environment>) -> Vec<Case> {
    /// See `host::UPPER_STACK_POINTER`.
    const UPPER: u32 = 0x5A3C_0000;
    let instructions: [&[u8]; 8] = [
        &[0x50],
        &[0x66, 0x50],
        &[0x58],
        &[0x66, 0x58],
        &[0x60],
        &[0x61],
        &[0x8B, 0x04, 0x24],
        &[0x01, 0x04, 0x24],
    ];
    let mut drafts = Vec::new();
    for selector in local(environment).map(|selector| selector | 3) {
        let Some(stack) = environment.descriptor(selector) else {
            continue;
        };
        if !stack.is_usable() || !stack.is_writable() {
            continue;
        }
        for instruction in instructions {
            for offset in ends(environment, selector) {
                let mut case = draft(environment, instruction);
                case.selectors[SS] = selector;
                case.registers[4] = if stack.is_big() {
                    offset
                } else {
                    UPPER | offset & 0xFFFF
                };
                drafts.push(case);
            }
        }
    }
    drafts
}

/// Data in the code segment, and instructions at the end of its limit.
fn code_accesses(environment: &Arc<Environment>) -> Vec<Case> {
    let instructions: [&[u8]; 4] = [
        &[0x2E, 0x8B, 0x03],
        &[0x2E, 0x89, 0x03],
        &[0x2E, 0x8A, 0x06],
        &[0x90],
    ];
    let mut drafts = Vec::new();
    for selector in local(environment).map(|selector| selector | 3) {
        let Some(code) = environment.descriptor(selector) else {
            continue;
        };
        let reaches = code.is_usable()
            && code.is_code()
            && code.is_big()
            && code.limit >= EIP.wrapping_sub(code.base);
        if !reaches {
            continue;
        }
        for instruction in instructions {
            for offset in [EIP.wrapping_sub(code.base), 0xFFD, 0xFFE, 0xFFF] {
                let linear = code.base.wrapping_add(offset);
                if linear.wrapping_sub(CODE_PAGE) > 0xFFF {
                    continue;
                }
                for data in ends(environment, selector) {
                    let mut case = draft(environment, instruction);
                    case.selectors[CS] = selector;
                    case.eip = offset;
                    case.registers[3] = data;
                    case.registers[6] = data;
                    drafts.push(case);
                }
            }
        }
    }
    drafts
}
