//! The stack: `k kb kv kn`.
//!
//! There is no frame data in the image, so that a frame is found from the code: what the instructions from the
//! function's begin up to where it is have pushed, and whether EBP is its frame pointer. A trap frame in the kernel
//! (known by the mark in it) leads on to the user's stack, and so does what the processor pushes at an interrupt.

use super::disassembly::{self, Disassembler};
use super::names::{Names, Target};
use super::{Debugger, Outcome, execution};
use iced_x86::{FlowControl, Mnemonic, OpKind, Register};
use spec::{flags, registers, segments};
use std::fmt::Write;

/// `_KTRAP_FRAME.DbgArgMark` of a frame that a system call has built.
const ARGUMENT_MARK: u32 = 0xBADB_0D00;

/// Jumps through import slots that are followed.
const JUMPS: usize = 4;

/// Frames shown at most.
const LIMIT: usize = 0x100;

/// One row of `k`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where the frame pointer is or would be: 4 below the return address.
    pub child_ebp: u32,
    /// Where it returns to; 0 where the stack ends.
    pub return_address: u32,
    /// Whether there is code behind a call at the return address, or user code behind a trap frame.
    pub is_valid: bool,
    /// Name of where it is.
    pub place: String,
    /// The first doublewords above the return address.
    pub arguments: [u32; 3],
    /// Doublewords that it pops on return, if EBP is not its frame pointer.
    pub without_frame: Option<u32>,
    /// Its trap frame.
    pub trap: Option<u32>,
    /// What the processor pushed when it entered here through a gate of the IDT.
    pub interrupt: Option<u32>,
}

/// What a function has done to its stack up to an instruction of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stack {
    /// EBP is its frame pointer.
    Framed,
    /// So many bytes lie on the return address.
    Pushed(u32),
    /// It has another stack than it began with.
    Unknown,
}

/// Follows the code from the symbol's begin, in order of address, up to `eip`.
fn stack_at(names: &Names, target: &mut dyn Target, eip: u32) -> Stack {
    let Some(near) = names.near(eip).filter(|near| near.offset < 0x1000) else {
        return Stack::Unknown;
    };
    let disassembler = Disassembler::new(names, target);
    let mut at = eip - near.offset;
    let (mut pushed, mut framed, mut unknown) = (0i64, false, false);
    let mut body = None;
    while at < eip {
        let line = disassembler.at(target, at);
        if line.bytes.is_empty() {
            return Stack::Unknown;
        }
        at = line.next();
        let instruction = &line.instruction;
        let is_esp = instruction.op_count() > 0
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register() == Register::ESP;
        match instruction.mnemonic() {
            Mnemonic::Mov
                if instruction.op0_kind() == OpKind::Register
                    && instruction.op0_register() == Register::EBP
                    && instruction.op1_kind() == OpKind::Register
                    && instruction.op1_register() == Register::ESP =>
            {
                framed = pushed == 4;
                unknown |= !framed;
                body = Some((pushed, framed));
            }
            Mnemonic::Leave => (framed, pushed) = (false, 0),
            Mnemonic::Pop if instruction.op0_register() == Register::EBP => {
                framed = false;
                pushed -= 4;
            }
            Mnemonic::Sub if is_esp && instruction.op1_kind() != OpKind::Register => {
                pushed += instruction.immediate(1) as u32 as i32 as i64;
                body = body.or(Some((pushed, framed)));
            }
            Mnemonic::Add if is_esp && instruction.op1_kind() != OpKind::Register => {
                pushed -= instruction.immediate(1) as u32 as i32 as i64;
            }
            Mnemonic::Call => {
                let called = match instruction.op0_kind() {
                    OpKind::NearBranch32 => Some(instruction.near_branch_target() as u32),
                    OpKind::Memory if instruction.memory_base() == Register::None => {
                        target.read_u32(instruction.memory_displacement32())
                    }
                    _ => None,
                };
                pushed -= called.map_or(0, |called| i64::from(popped_by(names, target, called)));
            }
            // The stack of SYSENTER's caller is as before.
            Mnemonic::Sysenter | Mnemonic::Int => {}
            _ if instruction.flow_control() == FlowControl::Return => {
                // Behind a return another path of the function goes on, as the prologue left it.
                if let Some((before, with_frame)) = body {
                    (pushed, framed) = (before, with_frame);
                } else {
                    pushed = 0;
                }
            }
            Mnemonic::Mov | Mnemonic::Lea if is_esp && !framed => unknown = true,
            _ => pushed -= i64::from(instruction.stack_pointer_increment()),
        }
    }
    match () {
        () if framed => Stack::Framed,
        () if unknown || pushed < 0 => Stack::Unknown,
        () => Stack::Pushed(pushed as u32),
    }
}

/// Bytes of arguments that the function at `address` pops when it returns.
fn popped_by(names: &Names, target: &mut dyn Target, address: u32) -> u32 {
    let mut address = address;
    // A function that only jumps on, through an import slot, returns as that one does.
    for _ in 0..JUMPS {
        let lines = disassembly::function(names, target, address);
        let flow = |wanted| {
            let mut lines = lines.values();
            lines.find(|line| line.instruction.flow_control() == wanted)
        };
        if let Some(line) = flow(FlowControl::Return) {
            return match line.instruction.op_count() {
                1 => line.instruction.immediate16().into(),
                _ => 0,
            };
        }
        let slot = flow(FlowControl::IndirectBranch)
            .filter(|line| line.instruction.memory_base() == Register::None)
            .map(|line| line.instruction.memory_displacement32());
        match slot.and_then(|slot| target.read_u32(slot)) {
            Some(next) => address = next,
            None => break,
        }
    }
    0
}

/// Whether a call ends at this address of a module.
fn is_behind_call(names: &Names, target: &mut dyn Target, address: u32) -> bool {
    if names.module_at(address).is_none() {
        return false;
    }
    let bytes = target.read(address.wrapping_sub(7), 7);
    let byte = |back: usize| bytes[7 - back];
    let modrm = |back: usize, forms: &[(u8, u8)]| {
        byte(back) == Some(0xFF)
            && byte(back - 1)
                .is_some_and(|modrm| forms.iter().any(|(mask, value)| modrm & mask == *value))
    };
    byte(5) == Some(0xE8)
        || byte(7) == Some(0x9A)
        || modrm(2, &[(0xF8, 0xD0), (0xF8, 0x10)])
        || modrm(3, &[(0xF8, 0x50), (0xFF, 0x14)])
        || modrm(4, &[(0xFF, 0x54)])
        || modrm(6, &[(0xFF, 0x15), (0xF8, 0x90)])
        || modrm(7, &[(0xFF, 0x94), (0xFF, 0x14)])
}

/// Offset of a field of the trap frame, by the symbol file.
fn trap_field(names: &Names, field: &str) -> Option<u32> {
    let types = &names.symbols().file().types;
    let layout = types.iter().find(|layout| layout.name == "_KTRAP_FRAME")?;
    let found = layout.fields.iter().find(|other| other.name == field)?;
    Some(found.offset)
}

/// The user's EIP, ESP and EBP in the trap frame at `address`, if one is there.
fn trap_frame(names: &Names, target: &mut dyn Target, address: u32) -> Option<(u32, u32, u32)> {
    let mut field = |name| {
        let offset = trap_field(names, name)?;
        target.read_u32(address.wrapping_add(offset))
    };
    if field("DbgArgMark")? != ARGUMENT_MARK {
        return None;
    }
    Some((field("Eip")?, field("HardwareEsp")?, field("Ebp")?))
}

/// What the processor pushes on an interrupt or exception: where it is, EIP, ESP behind it, and whether ring 3 was
/// interrupted. An error code may lie below.
fn interrupt_frame(
    names: &Names,
    target: &mut dyn Target,
    address: u32,
) -> Option<(u32, u32, u32, bool)> {
    [address, address.wrapping_add(4)]
        .into_iter()
        .find_map(|at| {
            let mut field = |offset| target.read_u32(at.wrapping_add(offset));
            let (eip, cs, eflags) = (field(0)?, field(4)?, field(8)?);
            let is_frame = names.module_at(eip).is_some()
                && cs <= 0xFFFF
                && cs & !u32::from(segments::SELECTOR_RPL) != 0
                && eflags & !flags::DEFINED == flags::ALWAYS_ONE;
            let to_user = cs as u16 & segments::SELECTOR_RPL == segments::SELECTOR_RPL;
            // A change of ring pushes the outer ESP and SS, too.
            let esp = match to_user {
                true => field(12)?,
                false => at.wrapping_add(12),
            };
            is_frame.then_some((at, eip, esp, to_user))
        })
}

/// The frames from the current one outwards.
pub fn walk(names: &Names, target: &mut dyn Target, limit: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let base = target.register(registers::BASE + registers::CS);
    let mut eip = base.wrapping_add(target.register(registers::EIP));
    let (mut esp, mut ebp) = (target.register(4), target.register(5));
    let mut is_return = false;
    let mut in_kernel = target.register(registers::CPL) == 0;
    while frames.len() < limit {
        // A return address belongs to the call before it.
        let inside = eip.wrapping_sub(u32::from(is_return));
        let place = match names.near(inside) {
            Some(mut near) => {
                near.offset += u32::from(is_return);
                near.to_string()
            }
            None => format!("0x{eip:x}"),
        };
        let stack = match is_return {
            true => stack_at(names, target, eip.wrapping_sub(1)),
            false => stack_at(names, target, eip),
        };
        let slot = match stack {
            Stack::Framed => Some(ebp.wrapping_add(4)),
            Stack::Pushed(bytes) => Some(esp.wrapping_add(bytes)),
            Stack::Unknown => None,
        };
        let returns = slot.and_then(|slot| target.read_u32(slot));
        let valid = returns.filter(|returns| is_behind_call(names, target, *returns));
        let mut frame = Frame {
            child_ebp: slot.unwrap_or(esp).wrapping_sub(4),
            return_address: returns.unwrap_or(0),
            is_valid: valid.is_some(),
            place,
            arguments: [0; 3],
            without_frame: None,
            trap: None,
            interrupt: None,
        };
        let next = match (valid, in_kernel) {
            (Some(returns), _) => {
                let slot = frame.child_ebp.wrapping_add(4);
                if stack != Stack::Framed {
                    frame.without_frame = Some(popped_by(names, target, inside) / 4);
                }
                let new_ebp = match stack {
                    Stack::Framed => target.read_u32(ebp).unwrap_or(0),
                    _ => ebp,
                };
                let popped = popped_by(names, target, inside);
                Some((returns, slot.wrapping_add(4 + popped), new_ebp, true))
            }
            (None, true) => {
                let pushed = match stack {
                    Stack::Pushed(bytes) => interrupt_frame(names, target, esp.wrapping_add(bytes)),
                    _ => None,
                };
                if let Some((at, returns, outer_esp, to_user)) = pushed {
                    frame.child_ebp = at.wrapping_sub(4);
                    frame.return_address = returns;
                    frame.is_valid = true;
                    frame.interrupt = Some(at);
                    in_kernel = !to_user;
                    Some((returns, outer_esp, ebp, false))
                } else if let Some((user_eip, user_esp, user_ebp)) = trap_frame(names, target, ebp)
                {
                    frame.child_ebp = ebp;
                    frame.return_address = user_eip;
                    frame.is_valid = true;
                    frame.trap = Some(ebp);
                    in_kernel = false;
                    Some((user_eip, user_esp, user_ebp, false))
                } else if let Some(user) = sysenter_caller(names, target, eip, &mut frame) {
                    in_kernel = false;
                    Some(user)
                } else {
                    by_frame_pointer(names, target, inside, ebp, &mut frame)
                }
            }
            (None, false) => by_frame_pointer(names, target, inside, ebp, &mut frame),
        };
        for (index, argument) in frame.arguments.iter_mut().enumerate() {
            let address = frame.child_ebp.wrapping_add(8 + index as u32 * 4);
            *argument = target.read_u32(address).unwrap_or(0);
        }
        frames.push(frame);
        match next {
            Some(next) => (eip, esp, ebp, is_return) = next,
            None => break,
        }
    }
    frames
}

/// Where the code does not tell, EBP may be the frame pointer.
fn by_frame_pointer(
    names: &Names,
    target: &mut dyn Target,
    place: u32,
    ebp: u32,
    frame: &mut Frame,
) -> Option<(u32, u32, u32, bool)> {
    let returns = target.read_u32(ebp.wrapping_add(4))?;
    if !is_behind_call(names, target, returns) {
        return None;
    }
    frame.child_ebp = ebp;
    frame.return_address = returns;
    frame.is_valid = true;
    let popped = popped_by(names, target, place);
    let outer = target.read_u32(ebp)?;
    Some((returns, ebp.wrapping_add(8 + popped), outer, true))
}

/// In SYSENTER's handler, before it has built a frame: EDX is the user's ESP, which points at the return into the stub.
fn sysenter_caller(
    names: &Names,
    target: &mut dyn Target,
    eip: u32,
    frame: &mut Frame,
) -> Option<(u32, u32, u32, bool)> {
    let entry = target.register(execution::SYSENTER_EIP);
    let (here, handler) = (names.near(eip)?, names.near(entry)?);
    if (here.module, here.symbol) != (handler.module, handler.symbol) {
        return None;
    }
    let stack = target.register(2);
    let returns = target.read_u32(stack)?;
    if !is_behind_call(names, target, returns) {
        return None;
    }
    frame.return_address = returns;
    frame.is_valid = true;
    Some((returns, stack.wrapping_add(4), target.register(5), true))
}

impl Debugger {
    /// `k`, `kb`, `kv`, `kn` with an optional number of frames.
    pub(super) fn stack(&mut self, name: &str, arguments: &str) -> Outcome {
        let limit = match arguments {
            "" => LIMIT,
            _ => (self.value(arguments)? as usize).min(LIMIT),
        };
        let (numbers, with_arguments) = (name == "kn", matches!(name, "kb" | "kv"));
        let head = if numbers { " # " } else { "" };
        self.line(match with_arguments {
            true => format!("{head}ChildEBP RetAddr  Args to Child              "),
            false => format!("{head}ChildEBP RetAddr  "),
        });
        let frames = walk(&self.names, &mut self.debuggee, limit);
        for (number, frame) in frames.iter().enumerate() {
            if numbers {
                write!(self.out, "{number:02x} ").unwrap();
            }
            let (child, returns) = (frame.child_ebp, frame.return_address);
            write!(self.out, "{child:08x} {returns:08x} ").unwrap();
            if with_arguments {
                let [first, second, third] = frame.arguments;
                write!(self.out, "{first:08x} {second:08x} {third:08x} ").unwrap();
            }
            self.out.push_str(&frame.place);
            if name == "kv" {
                match (frame.trap, frame.without_frame) {
                    (Some(trap), _) => {
                        write!(self.out, " (FPO: [0,3] TrapFrame @ {trap:08x})").unwrap();
                    }
                    (None, _) if frame.interrupt.is_some() => {
                        let at = frame.interrupt.unwrap_or_default();
                        write!(self.out, " (Interrupt frame @ {at:08x})").unwrap();
                    }
                    (None, Some(count)) => write!(self.out, " (FPO: [{count},0,0])").unwrap(),
                    (None, None) => {}
                }
            }
            self.out.push('\n');
        }
        Ok(())
    }
}
