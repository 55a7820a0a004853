//! `ntdll`: a stub for every service, the gates, and the little of the run-time library that is used.

use super::heap;
use crate::image::Gate;
use crate::kernel::{field, teb_field};
use crate::module::{Access, ModuleSource, Scope};
use abi::Windows;
use abi::addresses::{CURRENT_PROCESS, SHARED_USER_DATA};
use abi::status::*;
use iced_x86::code_asm::*;
use iced_x86::{Code, IcedError, Instruction, Register};

/// Windows 7's preferred base.
const PREFERRED_BASE: u32 = 0x77EC_0000;
/// RVA of the stub of service 0; each stub takes 16 bytes (Windows 7 RTM).
const FIRST_STUB: u32 = 0x445F0;
const STUB_BYTES: u32 = 0x10;
/// The same where the stub enters the kernel itself (since Windows 8).
const LONG_STUB_BYTES: u32 = 0x20;
/// RVA of `KiFastSystemCall` (Windows 7 RTM).
const FAST_SYSTEM_CALL: u32 = 0x464F0;
/// The page the stubs begin in.
const STUB_SECTION: u32 = FIRST_STUB & !0xFFF;

/// What an exception handler returns: go on with the context as it is now, or ask the next handler.
const CONTINUE_EXECUTION: u32 = 0;
const CONTINUE_SEARCH: u32 = 1;

/// `with_heap`: for images of own programs.
pub fn source(windows: Windows, gate: Gate, with_heap: bool) -> ModuleSource {
    let mut module = ModuleSource::new("ntdll", "ntdll.dll", 2, 3, PREFERRED_BASE);
    module.section(".text", Access::Code);
    run_time_library(&mut module);
    if with_heap {
        heap::add(&mut module);
    }
    module.section_at(".stubs", Access::Code, STUB_SECTION);
    let long = windows.stubs_enter_themselves();
    let stub_bytes = if long { LONG_STUB_BYTES } else { STUB_BYTES };
    for service in windows.services() {
        let (number, argument_bytes) =
            (u32::from(service.number), u32::from(service.argument_bytes));
        let name = format!("Zw{}", service.base_name());
        let stub = module.code(&name, move |a, s| {
            a.mov(eax, number)?;
            if long {
                return long_stub(a, argument_bytes, s.near(&gate_of(number)));
            }
            a.mov(
                edx,
                SHARED_USER_DATA + field!(SharedUserData.system_call) as u32,
            )?;
            a.call(dword_ptr(edx))?;
            match argument_bytes {
                0 => a.ret(),
                bytes => a.ret_1(bytes),
            }
        });
        stub.at(FIRST_STUB + number * stub_bytes)
            .alias(service.name)
            .export()
            .export_as(service.name);
        if long {
            module.inner_code(&gate_of(number), move |a, _| enter(a, gate));
        }
    }
    let stubs_end = FIRST_STUB + windows.services().len() as u32 * stub_bytes;
    let fast = FAST_SYSTEM_CALL.max(stubs_end);
    gates(&mut module, fast);
    module.section_at(".rdata", Access::Constant, (fast & !0xFFF) + 0x1000);
    module.directories();
    if with_heap {
        heap::add_data(&mut module);
    }
    module
}

/// Symbol of the gate within a stub.
fn gate_of(number: u32) -> String {
    format!("$gate{number}")
}

/// What follows `mov eax,number`: a call of the gate that stands behind, so that its return address leads to the `ret`.
fn long_stub(a: &mut CodeAssembler, argument_bytes: u32, target: u64) -> Result<(), IcedError> {
    a.call(target)?;
    match argument_bytes {
        0 => a.ret(),
        bytes => a.ret_1(bytes),
    }
}

/// The gate within a stub.
fn enter(a: &mut CodeAssembler, gate: Gate) -> Result<(), IcedError> {
    match gate {
        Gate::Sysenter => {
            fast_system_call(a)?;
            a.ret()
        }
        Gate::Int2e => {
            a.lea(edx, dword_ptr(esp + 8))?;
            a.int(0x2E)?;
            a.ret()
        }
    }
}

fn fast_system_call(a: &mut CodeAssembler) -> Result<(), IcedError> {
    // 8B D4, as Microsoft's assembler encodes it; ours would choose 89 E2.
    a.add_instruction(Instruction::with2(
        Code::Mov_r32_rm32,
        Register::EDX,
        Register::ESP,
    )?)?;
    a.sysenter()
}

fn gates(module: &mut ModuleSource, at: u32) {
    let fast = module.code("KiFastSystemCall", |a, _| fast_system_call(a));
    fast.at(at).export();
    // SYSEXIT comes back here.
    module
        .code("KiFastSystemCallRet", |a, _| a.ret())
        .align(1)
        .export();
    let slow = module.code("KiIntSystemCall", |a, _| {
        // The arguments lie above the return addresses into the stub and its caller.
        a.lea(edx, dword_ptr(esp + 8))?;
        a.int(0x2E)?;
        a.ret()
    });
    slow.at(at + 0x10).export();
}

fn run_time_library(module: &mut ModuleSource) {
    // The first user instruction. In: EAX = the program's entry point, EBX = PEB.
    let start = module.code("RtlUserThreadStart", |a, s| {
        a.push(ebx)?;
        a.call(eax)?;
        a.push(eax)?;
        a.call(s.near("RtlExitUserProcess"))?;
        a.int3()
    });
    start.export();
    let exit = module.code("RtlExitUserProcess", |a, s| {
        // (status). First the other threads, then the process itself.
        a.push(dword_ptr(esp + 4))?;
        a.push(0)?;
        a.call(s.near("ZwTerminateProcess"))?;
        a.push(dword_ptr(esp + 4))?;
        a.push(CURRENT_PROCESS as i32)?;
        a.call(s.near("ZwTerminateProcess"))?;
        a.ret_1(4)
    });
    exit.export();
    module
        .code("KiUserExceptionDispatcher", exception_dispatcher)
        .export();
    module.code("RtlDispatchException", dispatch_exception);
    module
        .code("RtlNtStatusToDosError", status_to_error)
        .export();
    let breakpoint = module.code("DbgBreakPoint", |a, _| {
        a.int3()?;
        a.ret()
    });
    breakpoint.export();
    let zero = module.code("RtlZeroMemory", |a, _| {
        // (destination, bytes)
        a.push(edi)?;
        a.mov(edi, dword_ptr(esp + 8))?;
        a.mov(ecx, dword_ptr(esp + 12))?;
        a.xor(eax, eax)?;
        a.rep().stosb()?;
        a.pop(edi)?;
        a.ret_1(8)
    });
    zero.export();
    module
        .data("RtlpStatusTable", |_| {
            let rows = STATUS_CODES.iter().filter(|row| row.2 != ERROR_UNMAPPED);
            rows.flat_map(|&(status, _, error)| [status, error])
                .flat_map(u32::to_le_bytes)
                .collect()
        })
        .align(16);
    module.hidden_data("$status_table_end", |_| Vec::new());
}

/// Entered by the kernel: [ESP] = exception record, [ESP+4] = context, both above on this stack.
fn exception_dispatcher(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut unhandled = a.create_label();
    a.mov(ebx, dword_ptr(esp))?;
    a.mov(ecx, dword_ptr(esp + 4))?;
    a.push(ecx)?;
    a.push(ebx)?;
    a.call(s.near("RtlDispatchException"))?;
    a.pop(ebx)?;
    a.pop(ecx)?;
    a.test(al, al)?;
    a.je(unhandled)?;
    a.push(0)?;
    a.push(ecx)?;
    a.call(s.near("ZwContinue"))?;
    a.set_label(&mut unhandled)?;
    a.push(0)?;
    a.push(ecx)?;
    a.push(ebx)?;
    a.call(s.near("ZwRaiseException"))?;
    a.int3()
}

/// (record, context): asks the handlers of the thread's list. Out: AL = 1 to go on, 0 if nobody would;
/// record and context stay on the stack.
fn dispatch_exception(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut go_on = a.create_label();
    let mut give_up = a.create_label();
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.push(esi)?;
    a.mov(esi, teb_field!(exception_list))?;
    a.set_label(&mut next)?;
    a.cmp(esi, -1)?;
    a.je(give_up)?;
    // Handler(record, registration, context, dispatcher context), which the caller pops.
    a.push(0)?;
    a.push(dword_ptr(ebp + 12))?;
    a.push(esi)?;
    a.push(dword_ptr(ebp + 8))?;
    a.call(dword_ptr(esi + 4))?;
    a.add(esp, 16)?;
    a.cmp(eax, CONTINUE_EXECUTION)?;
    a.je(go_on)?;
    a.cmp(eax, CONTINUE_SEARCH)?;
    a.jne(give_up)?;
    a.mov(esi, dword_ptr(esi))?;
    a.jmp(next)?;
    a.set_label(&mut go_on)?;
    a.mov(al, 1)?;
    a.pop(esi)?;
    a.pop(ebp)?;
    a.ret()?;
    a.set_label(&mut give_up)?;
    a.xor(eax, eax)?;
    a.pop(esi)?;
    a.pop(ebp)?;
    a.ret()
}

/// (status): the Win32 error, and the status for the debugger in the TEB.
fn status_to_error(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut found = a.create_label();
    a.mov(eax, dword_ptr(esp + 4))?;
    a.mov(teb_field!(last_status_value), eax)?;
    a.mov(edx, s.at("RtlpStatusTable"))?;
    a.set_label(&mut next)?;
    a.cmp(eax, dword_ptr(edx))?;
    a.je(found)?;
    a.add(edx, 8)?;
    a.cmp(edx, s.at("$status_table_end"))?;
    a.jb(next)?;
    a.mov(eax, ERROR_UNMAPPED)?;
    a.ret_1(4)?;
    a.set_label(&mut found)?;
    a.mov(eax, dword_ptr(edx + 4))?;
    a.ret_1(4)
}
