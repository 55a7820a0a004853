//! `ntdll`: a stub for every service, the gates, and the little of the run-time library that is used.

use super::heap;
use crate::kernel::{field, teb_field};
use crate::module::{Access, ModuleSource, Scope};
use abi::SERVICES;
use abi::addresses::{CURRENT_PROCESS, SHARED_USER_DATA};
use abi::status::*;
use iced_x86::code_asm::*;
use iced_x86::{Code, IcedError, Instruction, Register};

/// Windows 7's preferred base.
const PREFERRED_BASE: u32 = 0x77EC_0000;
/// RVA of the stub of service 0; each stub takes 16 bytes (Windows 7 RTM).
const FIRST_STUB: u32 = 0x445F0;
const STUB_BYTES: u32 = 0x10;
/// RVA of `KiFastSystemCall` (Windows 7 RTM).
const FAST_SYSTEM_CALL: u32 = 0x464F0;
/// The page the stubs begin in, and the first page after the gates.
const STUB_SECTION: u32 = FIRST_STUB & !0xFFF;
const AFTER_GATES: u32 = (FAST_SYSTEM_CALL & !0xFFF) + 0x1000;

/// What an exception handler returns: go on with the context as it is now, or ask the next handler.
const CONTINUE_EXECUTION: u32 = 0;
const CONTINUE_SEARCH: u32 = 1;

/// `with_heap`: for images of own programs.
pub fn source(with_heap: bool) -> ModuleSource {
    let mut module = ModuleSource::new("ntdll", "ntdll.dll", 2, 3, PREFERRED_BASE);
    module.section(".text", Access::Code);
    run_time_library(&mut module);
    if with_heap {
        heap::add(&mut module);
    }
    module.section_at(".stubs", Access::Code, STUB_SECTION);
    for service in SERVICES {
        let (number, argument_bytes) =
            (u32::from(service.number), u32::from(service.argument_bytes));
        let name = format!("Zw{}", service.base_name());
        let stub = module.code(&name, move |a, _| {
            a.mov(eax, number)?;
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
        stub.at(FIRST_STUB + number * STUB_BYTES)
            .alias(service.name)
            .export()
            .export_as(service.name);
    }
    gates(&mut module);
    module.section_at(".rdata", Access::Constant, AFTER_GATES);
    module.directories();
    if with_heap {
        heap::add_data(&mut module);
    }
    module
}

fn gates(module: &mut ModuleSource) {
    let fast = module.code("KiFastSystemCall", |a, _| {
        // 8B D4, as Microsoft's assembler encodes it; ours would choose 89 E2.
        a.add_instruction(Instruction::with2(
            Code::Mov_r32_rm32,
            Register::EDX,
            Register::ESP,
        )?)?;
        a.sysenter()
    });
    fast.at(FAST_SYSTEM_CALL).export();
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
    slow.at(FAST_SYSTEM_CALL + 0x10).export();
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
