//! COM1: bytes to send wait in a ring that the transmit interrupt drains, received bytes in another.

use super::KernelOptions;
use crate::hardware::{COM1, uart};
use crate::module::{ModuleSource, Scope};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Bytes of the ring of bytes to send, a power of two.
pub const SEND_BYTES: u32 = 1024;
/// Bytes of the ring of received bytes, a power of two, in the images of this crate.
const RECEIVED_BYTES: u32 = 256;
/// The same for a user's own program, whose input may come from a file.
const RECEIVED_BYTES_OWN: u32 = 1 << 16;

/// What identifies an interrupt, in bits 3:1 of the identification register.
const CAUSE_MASK: u32 = 0x0E;
const CAUSE_TRANSMIT: u32 = 0x02;
const CAUSE_RECEIVED: u32 = 0x04;
const CAUSE_RECEIVED_TIMEOUT: u32 = 0x0C;
const CAUSE_LINE_STATUS: u32 = 0x06;

/// Bytes of the ring of received bytes.
pub fn received_bytes(options: &KernelOptions) -> u32 {
    match options.own_program {
        None => RECEIVED_BYTES,
        Some(_) => RECEIVED_BYTES_OWN,
    }
}

pub fn add(module: &mut ModuleSource, received_bytes: u32) {
    module.code("KiConsoleWrite", write);
    module.code("KiCom1Start", start);
    module.code("KiCom1Fill", fill);
    module.code("KiCom1Service", move |a, s| service(a, s, received_bytes));
    module.code("KiConsoleDrain", drain);
    module.code("KiCom1WaitIdle", wait_idle);
}

pub fn add_data(module: &mut ModuleSource, received_bytes: u32) {
    // Both counters only grow; their difference is the number of bytes waiting.
    module.dword("KiSendHead", 0);
    module.dword("KiSendTail", 0);
    module.dword("KiReceivedHead", 0);
    module.dword("KiReceivedTail", 0);
    module.dword("KiCom1InterruptEnable", uart::ENABLE_RECEIVED);
    module.dword("KiCom1FifoBytes", 1);
    module.space("KiSendRing", SEND_BYTES);
    module.space("KiReceivedRing", received_bytes);
}

/// Queues bytes; waits only while the ring is full. In: ESI = bytes, ECX = count. Keeps EBX, EBP.
fn write(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut full = a.create_label();
    let mut until_wrap = a.create_label();
    let mut all_of_it = a.create_label();
    let mut done = a.create_label();
    let mut room = a.create_label();
    let head = dword_ptr(s.at("KiSendHead"));
    let tail = dword_ptr(s.at("KiSendTail"));
    a.push(ebx)?;
    a.push(ebp)?;
    a.mov(ebp, ecx)?;
    a.set_label(&mut next)?;
    a.test(ebp, ebp)?;
    a.je(done)?;
    a.mov(eax, head)?;
    a.lea(ecx, dword_ptr(eax - SEND_BYTES as i32))?;
    a.mov(edx, tail)?;
    a.sub(edx, ecx)?;
    a.je(full)?;
    // EDX = bytes free; the copy is the least of that, what is asked for, and what comes before the wrap.
    a.and(eax, SEND_BYTES - 1)?;
    a.mov(ecx, SEND_BYTES)?;
    a.sub(ecx, eax)?;
    a.cmp(ecx, edx)?;
    a.jbe(until_wrap)?;
    a.mov(ecx, edx)?;
    a.set_label(&mut until_wrap)?;
    a.cmp(ecx, ebp)?;
    a.jbe(all_of_it)?;
    a.mov(ecx, ebp)?;
    a.set_label(&mut all_of_it)?;
    a.lea(edi, dword_ptr(eax + s.at("KiSendRing")))?;
    a.mov(ebx, ecx)?;
    a.rep().movsb()?;
    a.add(head, ebx)?;
    a.sub(ebp, ebx)?;
    a.jmp(next)?;

    a.set_label(&mut full)?;
    a.call(s.near("KiCom1Start"))?;
    a.cli()?;
    a.mov(eax, head)?;
    a.sub(eax, tail)?;
    a.cmp(eax, SEND_BYTES)?;
    a.jne(room)?;
    // STI takes effect after HLT has begun: the interrupt that makes room cannot be missed.
    a.sti()?;
    a.hlt()?;
    a.set_label(&mut room)?;
    a.sti()?;
    a.jmp(next)?;

    a.set_label(&mut done)?;
    a.pop(ebp)?;
    a.pop(ebx)?;
    a.jmp(s.near("KiCom1Start"))
}

/// Starts the transmitter unless its interrupt is already on.
fn start(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut running = a.create_label();
    let enable = s.at("KiCom1InterruptEnable");
    a.pushfd()?;
    a.cli()?;
    a.test(byte_ptr(enable), uart::ENABLE_HOLDING_EMPTY)?;
    a.jne(running)?;
    // While the interrupt is off the holding register is empty: the first bytes need no interrupt.
    a.call(s.near("KiCom1Fill"))?;
    a.mov(al, uart::ENABLE_HOLDING_EMPTY | uart::ENABLE_RECEIVED)?;
    a.mov(byte_ptr(enable), al)?;
    a.mov(edx, COM1 + uart::INTERRUPT_ENABLE)?;
    a.out(dx, al)?;
    a.set_label(&mut running)?;
    a.popfd()?;
    a.ret()
}

/// Moves bytes from the ring to the empty transmitter, as many as its FIFO takes. Interrupts are off.
/// Out: ZF set if there was nothing to send.
fn fill(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut counted = a.create_label();
    let mut done = a.create_label();
    let tail = dword_ptr(s.at("KiSendTail"));
    a.mov(esi, tail)?;
    a.mov(ecx, dword_ptr(s.at("KiSendHead")))?;
    a.sub(ecx, esi)?;
    a.je(done)?;
    a.cmp(ecx, dword_ptr(s.at("KiCom1FifoBytes")))?;
    a.jbe(counted)?;
    a.mov(ecx, dword_ptr(s.at("KiCom1FifoBytes")))?;
    a.set_label(&mut counted)?;
    a.add(tail, ecx)?;
    a.mov(edx, COM1)?;
    a.set_label(&mut next)?;
    a.mov(eax, esi)?;
    a.inc(esi)?;
    a.and(eax, SEND_BYTES - 1)?;
    a.mov(al, byte_ptr(eax + s.at("KiSendRing")))?;
    a.out(dx, al)?;
    a.dec(ecx)?;
    a.jne(next)?;
    a.inc(ecx)?;
    a.set_label(&mut done)?;
    a.ret()
}

/// Serves every cause that COM1 has for an interrupt. Interrupts are off.
fn service(a: &mut CodeAssembler, s: &Scope, received_bytes: u32) -> Result<(), IcedError> {
    let mut next_cause = a.create_label();
    let mut not_transmit = a.create_label();
    let mut receive = a.create_label();
    let mut not_receive = a.create_label();
    let mut line_status = a.create_label();
    let mut done = a.create_label();
    let received_head = dword_ptr(s.at("KiReceivedHead"));
    a.set_label(&mut next_cause)?;
    a.mov(edx, COM1 + uart::INTERRUPT_IDENTIFICATION)?;
    a.in_(al, dx)?;
    a.test(al, 1)?;
    a.jne(done)?;
    a.and(al, CAUSE_MASK)?;
    a.cmp(al, CAUSE_TRANSMIT)?;
    a.jne(not_transmit)?;
    a.call(s.near("KiCom1Fill"))?;
    a.jne(next_cause)?;
    a.mov(al, uart::ENABLE_RECEIVED)?;
    a.mov(byte_ptr(s.at("KiCom1InterruptEnable")), al)?;
    a.mov(edx, COM1 + uart::INTERRUPT_ENABLE)?;
    a.out(dx, al)?;
    a.jmp(next_cause)?;

    a.set_label(&mut not_transmit)?;
    a.cmp(al, CAUSE_RECEIVED)?;
    a.je(receive)?;
    a.cmp(al, CAUSE_RECEIVED_TIMEOUT)?;
    a.jne(not_receive)?;
    a.set_label(&mut receive)?;
    a.mov(edx, COM1)?;
    a.in_(al, dx)?;
    a.mov(ecx, received_head)?;
    a.mov(edi, ecx)?;
    a.sub(edi, dword_ptr(s.at("KiReceivedTail")))?;
    // A full ring loses the newest byte.
    a.cmp(edi, received_bytes)?;
    a.jae(next_cause)?;
    a.and(ecx, received_bytes - 1)?;
    a.mov(byte_ptr(ecx + s.at("KiReceivedRing")), al)?;
    a.inc(received_head)?;
    a.jmp(next_cause)?;

    a.set_label(&mut not_receive)?;
    a.mov(edx, COM1 + uart::MODEM_STATUS)?;
    a.cmp(al, CAUSE_LINE_STATUS)?;
    a.jne(line_status)?;
    a.dec(edx)?;
    a.set_label(&mut line_status)?;
    a.in_(al, dx)?;
    a.jmp(next_cause)?;
    a.set_label(&mut done)?;
    a.ret()
}

/// Waits until the last byte has left the line. Interrupts are off afterwards.
fn drain(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut waiting = a.create_label();
    let mut sent = a.create_label();
    a.set_label(&mut waiting)?;
    a.cli()?;
    a.mov(eax, dword_ptr(s.at("KiSendHead")))?;
    a.cmp(eax, dword_ptr(s.at("KiSendTail")))?;
    a.je(sent)?;
    a.sti()?;
    a.hlt()?;
    a.jmp(waiting)?;
    a.set_label(&mut sent)?;
    a.jmp(s.near("KiCom1WaitIdle"))
}

/// Polls until the line is idle.
fn wait_idle(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut shifting = a.create_label();
    a.mov(edx, COM1 + uart::LINE_STATUS)?;
    a.set_label(&mut shifting)?;
    a.in_(al, dx)?;
    a.test(al, uart::TRANSMITTER_EMPTY)?;
    a.je(shifting)?;
    a.ret()
}
