//! External interrupts: the timer's tick and COM1; everything else is acknowledged and forgotten.

use super::trap;
use crate::hardware::{IRQ_COM1, IRQ_PIT, PIC_MASTER, PIC_SLAVE};
use crate::module::{ModuleSource, Scope};
use abi::addresses::SHARED_USER_DATA_KERNEL;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// 100 ns units of one tick: 15.625 ms, Windows' default.
pub const TICK_100NS: u32 = 156_250;
const END_OF_INTERRUPT: u32 = 0x20;

/// Symbol of an interrupt line's handler.
pub fn handler_name(line: u8) -> &'static str {
    match line {
        IRQ_PIT => "KiTimerInterrupt",
        IRQ_COM1 => "KiCom1Interrupt",
        8.. => "KiUnexpectedSlaveInterrupt",
        _ => "KiUnexpectedInterrupt",
    }
}

pub fn add(module: &mut ModuleSource) {
    module.code("KiTimerInterrupt", |a, s| {
        enter(a)?;
        add_to_time(a, field!(SharedUserData.interrupt_time), TICK_100NS)?;
        add_to_time(a, field!(SharedUserData.system_time), TICK_100NS)?;
        add_to_time(a, field!(SharedUserData.tick_count), 1)?;
        a.inc(shared(field!(SharedUserData.tick_count_low_deprecated)))?;
        a.jmp(s.near("KiEndOfInterrupt"))
    });
    module.code("KiCom1Interrupt", |a, s| {
        enter(a)?;
        a.call(s.near("KiCom1Service"))?;
        a.jmp(s.near("KiEndOfInterrupt"))
    });
    module.code("KiUnexpectedSlaveInterrupt", |a, s| {
        enter(a)?;
        a.mov(al, END_OF_INTERRUPT)?;
        a.out(PIC_SLAVE as i32, al)?;
        a.jmp(s.near("KiEndOfInterrupt"))
    });
    module.code("KiUnexpectedInterrupt", |a, _| enter(a));
    module.code("KiEndOfInterrupt", end_of_interrupt).align(1);
    // A vector that nobody uses: reached only by a processor or controller gone wrong.
    module.code("KiUnexpectedVector", |a, s| {
        enter(a)?;
        a.jmp(s.near("KiExceptionExit"))
    });
    module.code("KiGetTickCount", |a, _| {
        a.mov(
            eax,
            dword_ptr(SHARED_USER_DATA_KERNEL + field!(SharedUserData.tick_count) as u32),
        )?;
        a.mul(dword_ptr(
            SHARED_USER_DATA_KERNEL + field!(SharedUserData.tick_count_multiplier) as u32,
        ))?;
        a.shrd(eax, edx, 24)?;
        a.iretd()
    });
}

fn end_of_interrupt(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.mov(al, END_OF_INTERRUPT)?;
    a.out(PIC_MASTER as i32, al)?;
    a.jmp(s.near("KiExceptionExit"))
}

fn enter(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(0)?;
    a.push(0)?;
    trap::enter(a)
}

fn shared(offset: i32) -> AsmMemoryOperand {
    dword_ptr(SHARED_USER_DATA_KERNEL + offset as u32)
}

/// Adds to a time that readers take without a lock: they repeat while the two high parts differ, so
/// the second high part is written first and the first one last.
fn add_to_time(a: &mut CodeAssembler, time: i32, amount: u32) -> Result<(), IcedError> {
    a.mov(eax, shared(time + field!(SystemTime.low_part)))?;
    a.mov(edx, shared(time + field!(SystemTime.high1_time)))?;
    a.add(eax, amount)?;
    a.adc(edx, 0)?;
    a.mov(shared(time + field!(SystemTime.high2_time)), edx)?;
    a.mov(shared(time + field!(SystemTime.low_part)), eax)?;
    a.mov(shared(time + field!(SystemTime.high1_time)), edx)
}
