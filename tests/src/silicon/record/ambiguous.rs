//! Cases whose end the manuals leave open: two faults are possible, and processors differ in which they find first.
use crate::silicon::{Case, Outcome, WINDOW, is_transfer};
use iced_x86::{Mnemonic, OpKind};
use spec::{exceptions, flags, paging, registers};

/// Whether another processor may rightly end this case in another way.
pub fn ends_otherwise_elsewhere(case: &Case) -> bool {
    use Mnemonic::{Call, Enter, Iret, Iretd, Popa, Popad, Pusha, Pushad, Retf, Ud0, Ud1};
    let Outcome::Exception(vector) = case.outcome else {
        return false;
    };
    if vector == exceptions::PF && faults_in_two_pages(case) {
        return true;
    }
    if vector == exceptions::GP && is_branch_at_the_limit(case) {
        return true;
    }
    match case.code.mnemonic() {
        // AMD processors raise #UD before they look for ModRM.
        Ud0 | Ud1 => case.is_incomplete(),
        // AMD processors keep what POPA had loaded before it failed.
        Popa | Popad if case.registers_after != case.registers => true,
        Enter | Iret | Iretd | Popa | Popad | Pusha | Pushad if has_two_stack_faults(case) => true,
        Iret | Iretd => fails_behind_its_frame(case, vector, 3),
        Retf => {
            has_two_stack_faults(case)
                || faults_behind_released_bytes(case, vector)
                || fails_behind_its_frame(case, vector, 2)
        }
        // The push may come before the target is compared with its limit.
        Call if is_far(case) => {
            has_two_stack_faults(case) || is_stack_fault(vector) && target_is_outside(case)
        }
        _ => false,
    }
}

/// One access lies in two pages of which ring 3 may access none.
fn faults_in_two_pages(case: &Case) -> bool {
    let page = |linear: u32| linear & !(paging::PAGE_BYTES - 1);
    let may_access = |linear| case.environment.may_access(linear, true);
    let accesses = case.accesses();
    accesses
        .iter()
        .any(|&(first, last)| page(first) != page(last) && !may_access(first) && !may_access(last))
}

fn is_stack_fault(vector: u8) -> bool {
    matches!(vector, exceptions::PF | exceptions::SS | exceptions::AC)
}

/// AMD processors raise #GP for a taken branch whose last byte is the last of its segment, wherever it goes.
fn is_branch_at_the_limit(case: &Case) -> bool {
    let code = case.selectors[usize::from(registers::CS)];
    let limit = case
        .environment
        .descriptor(code)
        .map_or(0, |code| code.limit);
    let last = case.eip.wrapping_add(case.bytes.len() as u32 - 1);
    is_transfer(case.code) && last == limit
}

/// AMD processors look at more of the stack than they pop, RETF and IRET before they look at the selector.
fn fails_behind_its_frame(case: &Case, vector: u8, items: u32) -> bool {
    use iced_x86::Code::{Iretw, Retfw, Retfw_imm16};
    let bytes = match case.code {
        Iretw | Retfw | Retfw_imm16 => 2 * items,
        _ => 4 * items,
    };
    let stack = case
        .environment
        .descriptor(case.selectors[usize::from(registers::SS)]);
    let Some((first, last)) = stack.and_then(|stack| stack.offsets()) else {
        return false;
    };
    let top = case.registers[4] & case.stack_mask();
    let is_inside = top >= first && top.checked_add(bytes - 1).is_some_and(|end| end <= last);
    let may_read = |distance| {
        case.environment
            .may_access(case.stack_address(distance), false)
    };
    match vector {
        exceptions::SS => case.error_code == 0 && is_inside,
        exceptions::PF => (0..bytes).all(may_read),
        _ => false,
    }
}

/// The bytes around the top of the stack are two of: outside the segment's limit, not present, not aligned.
fn has_two_stack_faults(case: &Case) -> bool {
    const REACH: i32 = 128;
    let stack = case
        .environment
        .descriptor(case.selectors[usize::from(registers::SS)]);
    let Some((first, last)) = stack.and_then(|stack| stack.offsets()) else {
        return false;
    };
    let (mut outside, mut absent) = (false, false);
    let mut before = 0;
    for distance in -REACH..REACH {
        let distance = distance as u32;
        let offset = case.registers[4].wrapping_add(distance) & case.stack_mask();
        // An access across the last offset is outside, too.
        outside |= offset < before;
        before = offset;
        if (first..=last).contains(&offset) {
            absent |= !case
                .environment
                .may_access(case.stack_address(distance), true);
        } else {
            outside = true;
        }
    }
    let checks_alignment = case.eflags & flags::AC != 0;
    let is_odd = checks_alignment && !case.stack_address(0).is_multiple_of(4);
    [outside, absent, is_odd]
        .iter()
        .filter(|found| **found)
        .count()
        > 1
}

/// AMD processors read the outer stack pointer of RETF n, whether they need it or not.
fn faults_behind_released_bytes(case: &Case, vector: u8) -> bool {
    let frame = 0..8;
    let releases = case.instruction().op_count() == 1;
    releases
        && is_stack_fault(vector)
        && frame.clone().all(|distance| {
            case.environment
                .may_access(case.stack_address(distance), false)
        })
}

fn is_far(case: &Case) -> bool {
    let instruction = case.instruction();
    match instruction.op0_kind() {
        OpKind::FarBranch16 | OpKind::FarBranch32 => true,
        OpKind::Memory => instruction.is_call_far_indirect(),
        _ => false,
    }
}

/// The offset of a far pointer is behind the limit of its segment.
fn target_is_outside(case: &Case) -> bool {
    let instruction = case.instruction();
    let (offset, selector) = match instruction.op0_kind() {
        OpKind::FarBranch16 => (
            instruction.far_branch16().into(),
            instruction.far_branch_selector(),
        ),
        OpKind::FarBranch32 => (
            instruction.far_branch32(),
            instruction.far_branch_selector(),
        ),
        _ => {
            let Some(linear) = case.effective_address(&instruction, 0) else {
                return true;
            };
            let window = case.window();
            let start = linear.wrapping_sub(WINDOW) as usize;
            let bytes = instruction.memory_size().size();
            let Some(pointer) = window.get(start..start.wrapping_add(bytes)) else {
                return true;
            };
            let (offset, selector) = pointer.split_at(bytes - 2);
            let mut wide = [0; 4];
            wide[..offset.len()].copy_from_slice(offset);
            (
                u32::from_le_bytes(wide),
                u16::from_le_bytes([selector[0], selector[1]]),
            )
        }
    };
    let target = case.environment.descriptor(selector);
    target.is_none_or(|target| offset > target.limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silicon::Environment;
    use crate::silicon::environment::READ_ONLY_PAGE;
    use iced_x86::Code;
    use std::sync::Arc;

    /// RETF that ended in a page fault, `left` bytes before the end of the last page that can be read.
    fn far_return(left: u32) -> Case {
        let environment = Arc::new(Environment::segmented(Vec::new(), 1));
        let mut case = Case::draft(&environment, Code::Retfd, vec![0xCB]);
        case.registers[4] = READ_ONLY_PAGE + paging::PAGE_BYTES - left;
        case.outcome = Outcome::Exception(exceptions::PF);
        case
    }

    #[test]
    fn a_page_fault_behind_the_frame_of_a_far_return_is_of_one_maker_only() {
        assert!(ends_otherwise_elsewhere(&far_return(8)));
        assert!(!ends_otherwise_elsewhere(&far_return(0)));
    }
}
