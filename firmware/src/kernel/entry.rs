//! The two gates into the kernel, the dispatcher behind both, and the way back.

use super::KernelOptions;
use crate::image::Gate;
use crate::module::{ModuleSource, Scope};
use abi::addresses::{SHARED_USER_DATA_KERNEL, USER_PROBE_ADDRESS};
use abi::selectors::*;
use abi::status::{STATUS_ACCESS_VIOLATION, STATUS_INVALID_SYSTEM_SERVICE};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Marks a trap frame whose argument pointer is valid, for debuggers.
const ARGUMENT_MARK: u32 = 0xBADB_0D00;
const EFLAGS_TRAP: u32 = 0x100;
const EFLAGS_INTERRUPT: u32 = 0x200;
/// EFLAGS with only the bit that is always one.
const EFLAGS_CLEAR: u32 = 2;
/// `KTHREAD.PreviousMode` of a call from ring 3.
const USER_MODE: u32 = 1;

pub fn add(module: &mut ModuleSource, options: &KernelOptions) {
    let stamps = options.stamps;
    // Windows 7 SP1 has it at this offset in its page.
    module
        .code("KiFastCallEntry", move |a, _| {
            stamps.take_at_entry(a)?;
            fast_call_entry(a, 0)
        })
        .at_page_offset(0x0C0);
    module.inner_code("$dispatch", |a, s| {
        finish_frame(a)?;
        a.sti()?;
        // Bit 12 of the number chooses the table: descriptors are 16 bytes long.
        a.mov(edi, eax)?;
        a.shr(edi, 8)?;
        a.and(edi, 0x10)?;
        a.add(edi, dword_ptr(esi + field!(KernelThread.service_table)))?;
        a.mov(
            dword_ptr(esi + field!(KernelThread.system_call_number)),
            eax,
        )?;
        a.and(eax, 0xFFF)?;
        a.cmp(eax, dword_ptr(edi + field!(ServiceDescriptor.limit)))?;
        a.jae(s.near("KiBadServiceNumber"))?;
        a.inc(fs_field!(ke_system_calls))?;
        a.mov(
            ecx,
            dword_ptr(edi + field!(ServiceDescriptor.argument_table)),
        )?;
        a.mov(edi, dword_ptr(edi + field!(ServiceDescriptor.base)))?;
        a.movzx(ecx, byte_ptr(ecx + eax))?;
        a.mov(ebx, dword_ptr(edi + eax * 4))?;
        // From here on a fault on a user address ends at KiServiceExit, with the fault's status.
        a.push(s.at("KiServiceExit"))?;
        a.push(-1)?;
        a.mov(fs_field!(exception_list), esp)?;
        a.cmp(edx, USER_PROBE_ADDRESS)?;
        a.jae(s.near("KiBadArgumentPointer"))?;
        a.sub(esp, ecx)?;
        a.mov(esi, edx)?;
        a.mov(edi, esp)?;
        a.shr(ecx, 2)?;
        a.rep().movsd()?;
        a.call(ebx)
    });
    module.code("KiServiceExit", exit_of(options)).align(1);
    module.code("KiSystemCallExit", |a, _| {
        restore_registers(a)?;
        a.add(esp, 4)?;
        a.iretd()
    });
    module.code("KiSystemCallExit2", |a, _| {
        restore_registers(a)?;
        a.add(esp, 4)?;
        a.pop(edx)?;
        a.add(esp, 4)?;
        a.and(dword_ptr(esp), !EFLAGS_INTERRUPT)?;
        a.popfd()?;
        a.pop(ecx)?;
        // STI takes effect one instruction later: no interrupt can come between the two.
        a.sti()?;
        a.sysexit()
    });
    // KiFastCallEntry when the user's single-step trap was taken on its first instruction: the trap is
    // put off until the return.
    module.code("KiFastCallEntry2", |a, s| {
        fast_call_entry(a, EFLAGS_TRAP)?;
        a.jmp(s.near("$dispatch"))
    });
    module.code("KiSystemService", move |a, s| {
        stamps.take_at_entry(a)?;
        a.push(0)?;
        push_registers(a)?;
        a.push(fs)?;
        a.cld()?;
        load_kernel_segments(a)?;
        a.jmp(s.near("$dispatch"))
    });
    module.code("KiBadServiceNumber", |a, s| {
        a.mov(eax, STATUS_INVALID_SYSTEM_SERVICE)?;
        a.jmp(s.near("KiServiceExit"))
    });
    module.code("KiBadArgumentPointer", |a, s| {
        a.mov(eax, STATUS_ACCESS_VIOLATION)?;
        a.jmp(s.near("KiServiceExit"))
    });
}

/// From SYSENTER: interrupts are off, the stack is the small one of MSR 175h, EDX = user ESP.
fn fast_call_entry(a: &mut CodeAssembler, forced_flags: u32) -> Result<(), IcedError> {
    load_kernel_segments(a)?;
    a.mov(ecx, fs_field!(tss))?;
    a.mov(esp, dword_ptr(ecx + field!(TaskState.esp0)))?;
    // What an interrupt would have pushed.
    a.push(u32::from(USER_DATA))?;
    a.push(edx)?;
    a.pushfd()?;
    a.or(dword_ptr(esp), EFLAGS_INTERRUPT | forced_flags)?;
    a.push(EFLAGS_CLEAR)?;
    a.popfd()?;
    a.push(u32::from(USER_CODE))?;
    a.push(dword_ptr(
        SHARED_USER_DATA_KERNEL + field!(SharedUserData.system_call_return) as u32,
    ))?;
    a.push(0)?;
    push_registers(a)?;
    a.push(u32::from(USER_TEB))?;
    // The arguments lie above the return addresses into the stub and its caller.
    a.add(edx, 8)
}

fn push_registers(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(ebp)?;
    a.push(ebx)?;
    a.push(esi)?;
    a.push(edi)
}

fn load_kernel_segments(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(ecx, u32::from(KERNEL_PCR))?;
    a.mov(fs, ecx)?;
    a.mov(ecx, u32::from(USER_DATA))?;
    a.mov(ds, ecx)?;
    a.mov(es, ecx)
}

/// Completes the trap frame below FS. Out: EBP = ESP = frame, ESI = thread.
fn finish_frame(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(esi, fs_field!(current_thread))?;
    a.push(fs_field!(exception_list))?;
    a.mov(fs_field!(exception_list), -1)?;
    a.movzx(ecx, byte_ptr(esi + field!(KernelThread.previous_mode)))?;
    a.push(ecx)?;
    a.mov(
        byte_ptr(esi + field!(KernelThread.previous_mode)),
        USER_MODE,
    )?;
    a.sub(esp, field!(TrapFrame.previous_previous_mode))?;
    a.mov(ebp, esp)?;
    a.mov(ecx, dword_ptr(esi + field!(KernelThread.trap_frame)))?;
    a.mov(dword_ptr(ebp + field!(TrapFrame.edx)), ecx)?;
    a.mov(dword_ptr(esi + field!(KernelThread.trap_frame)), ebp)?;
    a.mov(dword_ptr(ebp + field!(TrapFrame.dr7)), 0)?;
    a.mov(ecx, dword_ptr(ebp + field!(TrapFrame.ebp)))?;
    a.mov(ebx, dword_ptr(ebp + field!(TrapFrame.eip)))?;
    a.mov(dword_ptr(ebp + field!(TrapFrame.dbg_ebp)), ecx)?;
    a.mov(dword_ptr(ebp + field!(TrapFrame.dbg_eip)), ebx)?;
    a.mov(
        dword_ptr(ebp + field!(TrapFrame.dbg_arg_mark)),
        ARGUMENT_MARK,
    )?;
    a.mov(dword_ptr(ebp + field!(TrapFrame.dbg_arg_pointer)), edx)?;
    a.mov(dword_ptr(esi + field!(KernelThread.first_argument)), edx)
}

/// In: EAX = status. The frame is the thread's; whatever the service left in registers does not matter.
fn exit_of(
    options: &KernelOptions,
) -> impl Fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError> + 'static {
    let KernelOptions { gate, stamps, .. } = *options;
    move |a, s| {
        a.cli()?;
        a.mov(esi, fs_field!(current_thread))?;
        a.mov(ebp, dword_ptr(esi + field!(KernelThread.trap_frame)))?;
        a.mov(edx, dword_ptr(ebp + field!(TrapFrame.edx)))?;
        a.mov(dword_ptr(esi + field!(KernelThread.trap_frame)), edx)?;
        a.mov(edx, dword_ptr(ebp + field!(TrapFrame.exception_list)))?;
        a.mov(fs_field!(exception_list), edx)?;
        a.mov(
            ecx,
            dword_ptr(ebp + field!(TrapFrame.previous_previous_mode)),
        )?;
        a.mov(byte_ptr(esi + field!(KernelThread.previous_mode)), cl)?;
        stamps.take_at_exit(a)?;
        if gate == Gate::Sysenter {
            // SYSEXIT cannot set TF in time and only knows one user CS.
            a.test(dword_ptr(ebp + field!(TrapFrame.eflags)), EFLAGS_TRAP)?;
            a.jne(s.near("KiSystemCallExit"))?;
            a.cmp(
                dword_ptr(ebp + field!(TrapFrame.seg_cs)),
                u32::from(USER_CODE),
            )?;
            a.je(s.near("KiSystemCallExit2"))?;
        }
        a.jmp(s.near("KiSystemCallExit"))
    }
}

/// From the frame at EBP; leaves ESP at the error code.
fn restore_registers(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.lea(esp, dword_ptr(ebp + field!(TrapFrame.seg_fs)))?;
    a.pop(fs)?;
    a.pop(edi)?;
    a.pop(esi)?;
    a.pop(ebx)?;
    a.pop(ebp)
}
