//! The kernel's first code: tables, gates, devices, then the first user instruction.

use super::{KernelOptions, interrupts};
use crate::hardware::{
    COM1, IRQ_COM1, IRQ_PIT, PIC_MASTER, PIC_SLAVE, PIT, PIT_CONTROL, PIT_HZ, POST, msr, uart,
};
use crate::image::Gate;
use crate::memory_map::*;
use crate::module::{ModuleSource, Scope};
use abi::selectors::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use std::mem::offset_of;

const POST_KERNEL: u32 = 0x05;
const POST_USER: u32 = 0x06;
const CPUID_SEP: u32 = 1 << 11;
/// Bytes between the trap frame and the top of the kernel stack, where Windows saves the x87 state.
const FLOATING_SAVE_AREA: u32 = 0x210;
/// EFLAGS of the first user instruction: interrupts on.
const USER_EFLAGS: u32 = 0x202;
const NO_SEP_TEXT: &str =
    "*** This processor has no SYSENTER (CPUID.1:EDX bit 11): build the image for INT 2Eh.\r\n";

/// ESP after an entry from ring 3 that pushed nothing yet: the frame without its V86 part ends there.
pub const ESP0: u32 = KERNEL_STACK_TOP - FLOATING_SAVE_AREA - 0x10;

pub fn add(module: &mut ModuleSource, options: &KernelOptions) {
    let gate = options.gate;
    module.code("KiSystemStartup", startup);
    add_second_part(module, gate);
    module.code("KiInitializeIdt", initialize_idt);
    module.code("KiInitializeDevices", initialize_devices);
    if gate == Gate::Sysenter {
        module.code("KiNoSysenter", |a, s| {
            a.mov(esi, s.at("KiNoSysenterText"))?;
            a.mov(ecx, NO_SEP_TEXT.len() as u32)?;
            a.call(s.near("KiPrintText"))?;
            a.jmp(s.near("KiHalt"))
        });
        module.text("KiNoSysenterText", NO_SEP_TEXT);
    }
    module.code("KiStartUserThread", start_user_thread);
    module.data("KiDescriptorTables", |_| {
        let register = |bytes: u32, base: u32| {
            [&(bytes as u16 - 1).to_le_bytes()[..], &base.to_le_bytes()].concat()
        };
        [
            register(GDT_BYTES, GDT),
            vec![0; 2],
            register(IDT_BYTES, IDT),
        ]
        .concat()
    });
}

/// Entered from the boot code: flat segments, paging on, interrupts off, ESP = top of the kernel stack.
fn startup(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    a.mov(al, POST_KERNEL)?;
    a.out(POST as i32, al)?;
    a.call(s.near("KiInitializeIdt"))?;
    a.lgdt(ptr_to(s.at("KiDescriptorTables")))?;
    a.lidt(ptr_to(s.at("KiDescriptorTables") + 8))?;
    // Far return: CS from the new table.
    a.push(u32::from(KERNEL_CODE))?;
    a.push(s.at("$new_code_segment"))?;
    a.retf()
}

fn ptr_to(address: u32) -> AsmMemoryOperand {
    fword_ptr(address)
}

fn initialize_idt(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    a.mov(esi, s.at("KiInterruptTemplate"))?;
    a.mov(edi, IDT)?;
    a.mov(ebx, 0x40)?;
    a.set_label(&mut next)?;
    a.mov(eax, dword_ptr(esi))?;
    a.mov(edx, eax)?;
    a.and(eax, 0xFFFF)?;
    a.or(eax, u32::from(KERNEL_CODE) << 16)?;
    a.and(edx, 0xFFFF_0000u32)?;
    a.or(edx, dword_ptr(esi + 4))?;
    a.mov(dword_ptr(edi), eax)?;
    a.mov(dword_ptr(edi + 4), edx)?;
    a.add(esi, 8)?;
    a.add(edi, 8)?;
    a.dec(ebx)?;
    a.jne(next)?;
    // The rest of the vectors: a copy of the last entry, which nobody uses either.
    a.lea(esi, dword_ptr(edi - 8))?;
    a.mov(ecx, (IDT_BYTES - 0x40 * 8) / 4)?;
    a.rep().movsd()?;
    a.ret()
}

fn initialize_devices(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let unmasked = 1u32 << IRQ_PIT | 1 << IRQ_COM1;
    let divisor = (PIT_HZ * u64::from(interrupts::TICK_100NS) / 10_000_000) as u32;
    for (port, value) in [
        (PIC_MASTER, 0x11),
        (PIC_MASTER + 1, u32::from(IRQ_BASE_VECTOR)),
        (PIC_MASTER + 1, 0x04),
        (PIC_MASTER + 1, 0x01),
        (PIC_MASTER + 1, !unmasked & 0xFF),
        (PIC_SLAVE, 0x11),
        (PIC_SLAVE + 1, u32::from(IRQ_BASE_VECTOR) + 8),
        (PIC_SLAVE + 1, 0x02),
        (PIC_SLAVE + 1, 0x01),
        (PIC_SLAVE + 1, 0xFF),
        // Channel 0, low byte then high byte, rate generator.
        (PIT_CONTROL, 0x34),
        (PIT, divisor & 0xFF),
        (PIT, divisor >> 8),
        // Divisor 1 is 115,200 baud; eight data bits, no parity, one stop bit; both FIFOs on and empty.
        (COM1 + uart::LINE_CONTROL, uart::DLAB | uart::EIGHT_BITS),
        (COM1 + uart::DATA, 1),
        (COM1 + uart::INTERRUPT_ENABLE, 0),
        (COM1 + uart::LINE_CONTROL, uart::EIGHT_BITS),
        (COM1 + uart::INTERRUPT_IDENTIFICATION, uart::FIFO_ON),
        (COM1 + uart::MODEM_CONTROL, uart::READY_WITH_INTERRUPT),
        (COM1 + uart::INTERRUPT_ENABLE, uart::ENABLE_RECEIVED),
    ] {
        a.mov(edx, port)?;
        a.mov(al, value)?;
        a.out(dx, al)?;
    }
    // A serial port with FIFOs says so in the two top bits.
    let mut without_fifo = a.create_label();
    a.mov(edx, COM1 + uart::INTERRUPT_IDENTIFICATION)?;
    a.in_(al, dx)?;
    a.cmp(al, uart::HAS_FIFO)?;
    a.jb(without_fifo)?;
    a.mov(dword_ptr(s.at("KiCom1FifoBytes")), uart::FIFO_BYTES)?;
    a.set_label(&mut without_fifo)?;
    a.ret()
}

/// The part of the start that runs on the kernel's own descriptor tables.
fn add_second_part(module: &mut ModuleSource, gate: Gate) {
    module.inner_code("$new_code_segment", move |a, s| {
        a.mov(eax, u32::from(KERNEL_DATA))?;
        a.mov(ss, eax)?;
        a.mov(eax, u32::from(USER_DATA))?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.xor(eax, eax)?;
        a.mov(gs, eax)?;
        a.lldt(ax)?;
        a.mov(eax, u32::from(KERNEL_PCR))?;
        a.mov(fs, eax)?;
        a.mov(eax, u32::from(TSS))?;
        a.ltr(ax)?;
        // The control region.
        for (offset, value) in [
            (field!(ControlRegion.exception_list), u32::MAX),
            (field!(ControlRegion.used_self), THREAD_ENVIRONMENT),
            (field!(ControlRegion.self_pcr), CONTROL_REGION),
            (field!(ControlRegion.prcb), CONTROL_REGION + 0x120),
            (field!(ControlRegion.idt), IDT),
            (field!(ControlRegion.gdt), GDT),
            (field!(ControlRegion.tss), TASK_STATE),
            (
                field!(ControlRegion.current_thread),
                s.at("KiInitialThread"),
            ),
        ] {
            a.mov(dword_ptr(CONTROL_REGION + offset as u32), value)?;
        }
        if gate == Gate::Sysenter {
            a.mov(eax, 1)?;
            a.cpuid()?;
            a.test(edx, CPUID_SEP)?;
            a.je(s.near("KiNoSysenter"))?;
            for (register, value) in [
                (msr::SYSENTER_CS, u32::from(KERNEL_CODE)),
                (msr::SYSENTER_ESP, SYSENTER_STACK_TOP),
                (msr::SYSENTER_EIP, s.at("KiFastCallEntry")),
            ] {
                a.mov(ecx, register)?;
                a.mov(eax, value)?;
                a.xor(edx, edx)?;
                a.wrmsr()?;
            }
        }
        a.call(s.near("KiInitializeDevices"))?;
        a.jmp(s.near("KiStartUserThread"))
    });
}

fn start_user_thread(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let block = |offset: usize| dword_ptr(LOADER_BLOCK + offset as u32);
    a.mov(al, POST_USER)?;
    a.out(POST as i32, al)?;
    a.push(u32::from(USER_DATA))?;
    a.push(USER_STACK_TOP)?;
    a.push(USER_EFLAGS)?;
    a.push(u32::from(USER_CODE))?;
    a.push(block(offset_of!(LoaderBlock, user_thread_start)))?;
    a.mov(eax, block(offset_of!(LoaderBlock, user_entry)))?;
    a.mov(ebx, PROCESS_ENVIRONMENT)?;
    a.mov(ecx, u32::from(USER_TEB))?;
    a.mov(fs, ecx)?;
    a.xor(ecx, ecx)?;
    a.xor(edx, edx)?;
    a.xor(esi, esi)?;
    a.xor(edi, edi)?;
    a.xor(ebp, ebp)?;
    a.iretd()
}
