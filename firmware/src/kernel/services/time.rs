//! Clocks and waiting.

use super::{argument, probe};
use crate::hardware::CLOCK_HZ;
use crate::module::Scope;
use abi::addresses::SHARED_USER_DATA_KERNEL;
use abi::status::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;

fn shared(offset: i32) -> AsmMemoryOperand {
    dword_ptr(SHARED_USER_DATA_KERNEL + offset as u32)
}

/// EDX:EAX := a time of the shared page, read without a lock.
fn read_time(a: &mut CodeAssembler, time: i32) -> Result<(), IcedError> {
    let mut again = a.create_label();
    a.set_label(&mut again)?;
    a.mov(edx, shared(time + field!(SystemTime.high1_time)))?;
    a.mov(eax, shared(time + field!(SystemTime.low_part)))?;
    a.cmp(edx, shared(time + field!(SystemTime.high2_time)))?;
    a.jne(again)
}

/// NtQuerySystemTime: 100 ns units since 1601.
pub fn query_system_time(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.mov(ebx, argument(0))?;
    probe(a, s, ebx, 8)?;
    read_time(a, field!(SharedUserData.system_time))?;
    a.mov(dword_ptr(ebx), eax)?;
    a.mov(dword_ptr(ebx + 4), edx)?;
    a.xor(eax, eax)
}

/// NtQueryPerformanceCounter: the time stamp counter, at the chip's clock.
pub fn query_performance_counter(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.mov(ebx, argument(0))?;
    probe(a, s, ebx, 8)?;
    a.mov(esi, argument(1))?;
    probe(a, s, esi, 8)?;
    a.rdtsc()?;
    a.mov(dword_ptr(ebx), eax)?;
    a.mov(dword_ptr(ebx + 4), edx)?;
    a.xor(eax, eax)?;
    a.test(esi, esi)?;
    a.je(done)?;
    a.mov(dword_ptr(esi), CLOCK_HZ as u32)?;
    a.mov(dword_ptr(esi + 4), (CLOCK_HZ >> 32) as u32)?;
    a.set_label(&mut done)?;
    a.nop()
}

/// NtDelayExecution(alertable, interval): negative is a span, positive a system time; in 100 ns units.
pub fn delay_execution(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut span = a.create_label();
    let mut wait = a.create_label();
    let mut due = a.create_label();
    a.mov(ebx, argument(1))?;
    probe(a, s, ebx, 8)?;
    a.mov(esi, dword_ptr(ebx))?;
    a.mov(edi, dword_ptr(ebx + 4))?;
    a.neg(esi)?;
    a.adc(edi, 0)?;
    a.neg(edi)?;
    a.jns(span)?;
    // EDI:ESI = minus the time it ends at; plus now, negated, is the span.
    read_time(a, field!(SharedUserData.system_time))?;
    a.add(esi, eax)?;
    a.adc(edi, edx)?;
    a.neg(esi)?;
    a.adc(edi, 0)?;
    a.neg(edi)?;
    a.js(due)?;
    a.set_label(&mut span)?;
    a.nop()?;
    read_time(a, field!(SharedUserData.interrupt_time))?;
    a.add(esi, eax)?;
    a.adc(edi, edx)?;
    a.set_label(&mut wait)?;
    a.cli()?;
    read_time(a, field!(SharedUserData.interrupt_time))?;
    a.sub(eax, esi)?;
    a.sbb(edx, edi)?;
    a.jns(due)?;
    // STI takes effect after HLT has begun: the tick cannot be missed.
    a.sti()?;
    a.hlt()?;
    a.jmp(wait)?;
    a.set_label(&mut due)?;
    a.sti()?;
    a.xor(eax, eax)
}

/// NtYieldExecution: there is no other thread.
pub fn yield_execution(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    a.mov(eax, STATUS_NO_YIELD_PERFORMED)
}
