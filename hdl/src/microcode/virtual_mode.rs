//! The way back to virtual-8086 mode (SDM Vol. 2A, "IRET", RETURN-TO-VIRTUAL-8086-MODE).
use super::assembler::{Assembler, copy, nothing, step};
use crate::prelude::*;
use RegisterSelect::*;
use spec::registers as numbers;

/// Segment register `s` takes the selector in `register`.
fn load(register: RegisterSelect, s: u8) -> super::Step {
    nothing()
        .a(register)
        .control_of(Control::LoadVirtual, s as u64)
}

pub fn add(routines: &mut Assembler) {
    let pop = |register| copy(register).pop();
    // T1 = EIP, T2 = CS, T3 = EFLAGS
    routines.routine(
        "iret_virtual",
        [
            // EIP within 64 KB.
            step(ExecuteOp::Shr).a(T1).constant(16).to(T7),
            nothing().a(T7).b(T7).check(Check::PortPermitted),
            // T4 = ESP, T5 = SS, T6 = DS and ES, T7 = FS, T0 = GS
            pop(T4),
            pop(T5),
            pop(T6),
            pop(T7),
            step(ExecuteOp::PackWords).a(T7).b(T6).to(T6),
            pop(T7),
            pop(T0),
            load(T0, numbers::GS),
            load(T7, numbers::FS),
            load(T6, numbers::ES),
            step(ExecuteOp::HighWord).b(T6).to(T6),
            load(T6, numbers::DS),
            load(T5, numbers::SS),
            load(T2, numbers::CS),
            nothing().b(T3).control(Control::ReturnFlags),
            step(ExecuteOp::PassB)
                .constant(3)
                .control_of(Control::WriteSystem, CPL),
            nothing()
                .b(T1)
                .control(Control::Resume)
                .at(SegmentSelect::Flat, T4, 0)
                .address(AddressMode::SetStack, SegmentSelect::Flat)
                .last(),
        ],
    );
}
