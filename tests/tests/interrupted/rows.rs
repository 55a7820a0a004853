//! Scenes made from the rows of the opcode map: whatever needs no operands of a certain meaning.

use crate::harness::{Scene, instructions};
use iced_x86::code_asm::*;
use spec::opcodes::{Form, Immediate, Map, Opcode, Operand};
use tests::guest::*;

/// Instructions that need more than registers and memory with any contents; their scenes are in `scenes.rs`.
#[rustfmt::skip]
const WITH_A_SCENE_OF_THEIR_OWN: &[&str] = &[
    // strings
    "movs", "cmps", "stos", "lods", "scas", "ins", "outs",
    // transfers
    "call", "jmp", "ret", "retf", "iret", "int", "int1", "int3", "into", "bound", "sysenter", "sysexit",
    // stack
    "pusha", "popa", "pushf", "popf", "enter", "leave",
    // segments and system
    "les", "lds", "lss", "lfs", "lgs", "arpl", "lar", "lsl", "verr", "verw", "sldt", "str", "lldt", "ltr", "sgdt", "sidt",
    "lgdt", "lidt", "smsw", "lmsw", "clts", "invd", "wbinvd", "invlpg", "hlt", "cli", "sti", "rdmsr", "wrmsr", "rdtsc",
    "rdpmc", "cpuid",
    // faults
    "div", "idiv", "rsm", "ud0", "ud1", "ud2",
];

/// Byte immediates: a shift by 5, negative as a number, a port that no device has.
const BYTE: u8 = 0x85;
/// ModRM of a memory operand at EBX + 10h.
const DISPLACEMENT: u8 = 0x10;
/// ECX and EDX before each row.
const COUNT: u32 = 5;
const INDEX: u32 = 0x35;

/// Whether a row's operands have a certain meaning.
fn is_special(row: &Opcode) -> bool {
    use Operand::*;
    WITH_A_SCENE_OF_THEIR_OWN.contains(&row.mnemonic)
        || row.operands.iter().any(|operand| {
            matches!(
                operand,
                Es | Cs | Ss | Ds | Fs | Gs | Sw | Cd | Dd | Ap | Mp
            )
        })
}

fn has_two_sizes(row: &Opcode) -> bool {
    use Operand::*;
    let by_size =
        |operand: &Operand| matches!(operand, Ev | Gv | Iz | Ax | Ov | OpcodeRegisterFull);
    row.operands.iter().any(by_size) || matches!(row.mnemonic, "cbw" | "cwd")
}

/// The bytes of a row's forms: register and memory, both operand sizes, with LOCK.
fn forms(row: &Opcode) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let modes: &[bool] = match (row.has_modrm(), row.form) {
        (false, _) | (true, Form::RegisterOnly) => &[true],
        (true, Form::MemoryOnly) => &[false],
        (true, Form::Any) => &[false, true],
    };
    for register in modes {
        let sizes: &[bool] = if has_two_sizes(row) {
            &[true, false]
        } else {
            &[true]
        };
        for wide in sizes {
            let mut bytes = Vec::new();
            if !wide {
                bytes.push(0x66);
            }
            if row.map == Map::TwoByte {
                bytes.push(0x0F);
            }
            bytes.push(row.byte);
            if row.has_modrm() {
                // ECX, or memory; EDX.
                let reg = row.extension.unwrap_or(2) << 3;
                if *register {
                    bytes.push(0xC1 | reg);
                } else {
                    bytes.extend([0x43 | reg, DISPLACEMENT]);
                }
            }
            let relative = row
                .operands
                .iter()
                .any(|operand| matches!(operand, Operand::Jb | Operand::Jz));
            match row.immediate() {
                Immediate::None => {}
                // Over a NOP.
                Immediate::Byte if relative => bytes.extend([1, 0x90]),
                Immediate::Operand if relative => bytes.extend([1, 0, 0, 0, 0x90]),
                Immediate::Byte => bytes.push(BYTE),
                Immediate::Word => bytes.extend([0x34, 0x12]),
                Immediate::Operand => {
                    bytes.extend(&[0x78, 0x56, 0x34, 0x92][..if *wide { 4 } else { 2 }])
                }
                Immediate::MemoryOffset => bytes.extend((DATA + 0x20).to_le_bytes()),
                other => panic!(
                    "{} has {other:?}: it needs a scene of its own",
                    row.mnemonic
                ),
            }
            if row.lockable && !register && *wide {
                let locked = [&[0xF0], &bytes[..]].concat();
                all.push(locked);
            }
            all.push(bytes);
        }
    }
    all
}

/// Gives the registers of the next row values it may use as addresses and counts.
fn restore(a: &mut CodeAssembler, row: &Opcode) -> Result<(), iced_x86::IcedError> {
    use Operand::*;
    a.mov(ecx, COUNT)?;
    a.mov(edx, INDEX)?;
    let low = row.byte & 7;
    for operand in row.operands {
        match (operand, low) {
            (OpcodeRegisterByte, 3 | 7) | (OpcodeRegisterFull, 3) => a.mov(ebx, DATA)?,
            (OpcodeRegisterFull, 4) => a.mov(esp, USER_STACK_TOP - 0x100)?,
            _ => {}
        }
    }
    Ok(())
}

/// One scene for some rows of the same name.
pub fn scenes() -> Vec<Scene> {
    let rows: Vec<&'static Opcode> = instructions()
        .map(|(_, row)| row)
        .filter(|row| !is_special(row))
        .collect();
    let mut scenes = Vec::new();
    for group in rows.chunk_by(|a, b| a.mnemonic == b.mnemonic) {
        for rows in group.chunks(4) {
            let (first, last) = (rows[0], rows[rows.len() - 1]);
            let name = format!("{} {:02X} to {:02X}", first.mnemonic, first.byte, last.byte);
            let rows = rows.to_vec();
            scenes.push(Scene::new(name, 3, &[], prepare, move |a| {
                for row in &rows {
                    for (index, bytes) in forms(row).iter().enumerate() {
                        if bytes.ends_with(&[0x90]) {
                            // Branches: with several flags.
                            a.cmp(ecx, index as i32 + 5)?;
                            a.db(bytes)?;
                            a.cmp(edx, ecx)?;
                        }
                        a.db(bytes)?;
                    }
                    restore(a, row)?;
                }
                Ok(())
            }));
        }
    }
    scenes
}

fn prepare(guest: &mut Guest) {
    guest.set(1, COUNT);
    guest.set(2, INDEX);
    for at in (0..0x80).step_by(4) {
        guest.poke(DATA + at, 0x0123_4567u32.wrapping_mul(at | 1));
        guest.poke(USER_STACK_TOP - 0x100 + at, DATA + at);
    }
    guest.set(0, 0xAAAA_0012);
}
