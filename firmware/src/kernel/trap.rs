//! Faults and traps, vectors 0 to 1Fh: user mode gets an exception, a fault of the kernel on a user's
//! pointer ends the service, everything else stops the machine.

use crate::memory_map::{LOADER_BLOCK, LoaderBlock};
use crate::module::{ModuleSource, Scope};
use abi::addresses::USER_PROBE_ADDRESS;
use abi::selectors::*;
use abi::status::*;
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use std::mem::offset_of;

/// Vectors whose faults push an error code.
const WITH_ERROR_CODE: &[u32] = &[0x08, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x11];
const DEBUG: u32 = 1;
const NMI: u32 = 2;
const BREAKPOINT: u32 = 3;
const NO_COPROCESSOR: u32 = 7;
/// The bytes of FNINIT.
const FNINIT: u32 = 0xE3DB;
const DOUBLE_FAULT: u32 = 8;
const GENERAL_PROTECTION: u32 = 0x0D;
const PAGE_FAULT: u32 = 0x0E;
/// Page-fault error code: the access was a write.
const PAGE_FAULT_WRITE: u32 = 2;

/// `CONTEXT_FULL`: control, integer and segment registers.
pub const CONTEXT_FULL: u32 = 0x0001_0007;
const RECORD: u32 = 8;
const CONTEXT: u32 = RECORD + size_of::<abi::layout::ExceptionRecord>() as u32;
const USER_FRAME: u32 = CONTEXT + size_of::<abi::layout::Context>() as u32;
const TRAP_FLAG: u32 = 0x100;
const TRAP_AND_DIRECTION: u32 = 0x500;

/// Exception codes of the vectors that always mean the same.
const CODES: &[(u32, u32)] = &[
    (0x00, STATUS_INTEGER_DIVIDE_BY_ZERO),
    (DEBUG, STATUS_SINGLE_STEP),
    (BREAKPOINT, STATUS_BREAKPOINT),
    (0x04, STATUS_INTEGER_OVERFLOW),
    (0x05, STATUS_ARRAY_BOUNDS_EXCEEDED),
    (0x0A, STATUS_ACCESS_VIOLATION),
    (0x0B, STATUS_ACCESS_VIOLATION),
    (0x0C, STATUS_ACCESS_VIOLATION),
    (GENERAL_PROTECTION, STATUS_ACCESS_VIOLATION),
    (PAGE_FAULT, STATUS_ACCESS_VIOLATION),
    (0x11, STATUS_DATATYPE_MISALIGNMENT),
];

/// Registers in both a trap frame and a context: (offset there, offset here).
pub const CONTEXT_MAP: &[(i32, i32)] = &[
    (field!(TrapFrame.seg_gs), field!(Context.seg_gs)),
    (field!(TrapFrame.seg_fs), field!(Context.seg_fs)),
    (field!(TrapFrame.seg_es), field!(Context.seg_es)),
    (field!(TrapFrame.seg_ds), field!(Context.seg_ds)),
    (field!(TrapFrame.edi), field!(Context.edi)),
    (field!(TrapFrame.esi), field!(Context.esi)),
    (field!(TrapFrame.ebx), field!(Context.ebx)),
    (field!(TrapFrame.edx), field!(Context.edx)),
    (field!(TrapFrame.ecx), field!(Context.ecx)),
    (field!(TrapFrame.eax), field!(Context.eax)),
    (field!(TrapFrame.ebp), field!(Context.ebp)),
    (field!(TrapFrame.eip), field!(Context.eip)),
    (field!(TrapFrame.seg_cs), field!(Context.seg_cs)),
    (field!(TrapFrame.eflags), field!(Context.eflags)),
    (field!(TrapFrame.hardware_esp), field!(Context.esp)),
    (field!(TrapFrame.hardware_seg_ss), field!(Context.seg_ss)),
];

/// Symbol of a vector's handler.
pub fn handler_name(vector: u32) -> String {
    format!("KiTrap{vector:02X}")
}

/// The exception code a user program gets for a vector, where the vector alone decides.
fn code_of(vector: u32) -> u32 {
    CODES
        .iter()
        .find(|row| row.0 == vector)
        .map_or(STATUS_ILLEGAL_INSTRUCTION, |row| row.1)
}

/// Builds a trap frame. In: on the stack an error code and one double word for EAX below it.
/// Out: EBP = ESP = frame, EAX = that double word, kernel segments, the guard list put away.
pub fn enter(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.xchg(dword_ptr(esp), ebp)?;
    a.push(ebx)?;
    a.push(esi)?;
    a.push(edi)?;
    a.push(fs)?;
    a.mov(ebx, u32::from(KERNEL_PCR))?;
    a.mov(fs, ebx)?;
    a.push(fs_field!(exception_list))?;
    a.mov(fs_field!(exception_list), -1)?;
    a.push(-1)?;
    a.push(eax)?;
    a.push(ecx)?;
    a.push(edx)?;
    a.push(ds)?;
    a.push(es)?;
    a.push(gs)?;
    a.mov(eax, u32::from(USER_DATA))?;
    a.mov(ds, eax)?;
    a.mov(es, eax)?;
    a.sub(esp, field!(TrapFrame.seg_gs))?;
    a.cld()?;
    a.mov(eax, ebp)?;
    a.mov(ebp, esp)
}

pub fn add(module: &mut ModuleSource, skip_fninit: bool) {
    for vector in 0..0x20 {
        let stub = module.code(&handler_name(vector), move |a, s| {
            if !WITH_ERROR_CODE.contains(&vector) {
                a.push(0)?;
            }
            a.push(vector)?;
            a.jmp(s.near("KiTrapCommon"))
        });
        stub.align(1);
    }
    module.code("KiTrapCommon", move |a, s| trap_common(a, s, skip_fninit));
    module.code("KiExceptionExit", |a, _| {
        a.cli()?;
        a.mov(edx, dword_ptr(ebp + field!(TrapFrame.exception_list)))?;
        a.mov(fs_field!(exception_list), edx)?;
        a.lea(esp, dword_ptr(ebp + field!(TrapFrame.seg_gs)))?;
        a.pop(gs)?;
        a.pop(es)?;
        a.pop(ds)?;
        a.pop(edx)?;
        a.pop(ecx)?;
        a.pop(eax)?;
        a.add(esp, 8)?;
        a.pop(fs)?;
        a.pop(edi)?;
        a.pop(esi)?;
        a.pop(ebx)?;
        a.pop(ebp)?;
        a.add(esp, 4)?;
        a.iretd()
    });
    module.code("KiKernelFault", kernel_fault);
    module.code("KiGeneralProtectionCode", general_protection_code);
    module.code("KiDispatchException", dispatch_exception);
}

fn trap_common(a: &mut CodeAssembler, s: &Scope, skip_fninit: bool) -> Result<(), IcedError> {
    let mut known_code = a.create_label();
    let mut not_page_fault = a.create_label();
    let mut not_protection = a.create_label();
    let mut not_debug = a.create_label();
    let mut dispatch = a.create_label();
    enter(a)?;
    a.cmp(eax, NMI)?;
    a.je(s.near("KiExceptionExit"))?;
    a.cmp(eax, DOUBLE_FAULT)?;
    a.je(s.near("KiKernelFault"))?;
    a.mov(ecx, cr2)?;
    a.test(byte_ptr(ebp + field!(TrapFrame.seg_cs)), 3)?;
    a.je(s.near("KiKernelFault"))?;
    a.sti()?;
    if skip_fninit {
        // Compilers' start-up code initialises the coprocessor that is not there.
        let mut other = a.create_label();
        a.cmp(eax, NO_COPROCESSOR)?;
        a.jne(other)?;
        a.mov(ebx, dword_ptr(ebp + field!(TrapFrame.eip)))?;
        a.cmp(word_ptr(ebx), FNINIT)?;
        a.jne(other)?;
        a.add(dword_ptr(ebp + field!(TrapFrame.eip)), 2)?;
        a.jmp(s.near("KiExceptionExit"))?;
        a.set_label(&mut other)?;
    }

    // ESI = code, EAX = address, EDX = number of parameters, EBX and ECX = parameters.
    a.mov(esi, dword_ptr(eax * 4 + s.at("KiTrapCodes")))?;
    a.xor(edx, edx)?;
    a.xor(ebx, ebx)?;
    a.cmp(eax, PAGE_FAULT)?;
    a.jne(not_page_fault)?;
    a.mov(edx, 2)?;
    a.test(
        dword_ptr(ebp + field!(TrapFrame.err_code)),
        PAGE_FAULT_WRITE,
    )?;
    a.setne(bl)?;
    a.jmp(dispatch)?;

    a.set_label(&mut not_page_fault)?;
    a.cmp(eax, GENERAL_PROTECTION)?;
    a.jne(not_protection)?;
    a.cmp(dword_ptr(ebp + field!(TrapFrame.err_code)), 0)?;
    a.jne(known_code)?;
    a.call(s.near("KiGeneralProtectionCode"))?;
    a.cmp(esi, STATUS_ACCESS_VIOLATION)?;
    a.jne(dispatch)?;
    a.set_label(&mut known_code)?;
    a.mov(edx, 2)?;
    a.mov(ecx, -1)?;
    a.jmp(dispatch)?;

    a.set_label(&mut not_protection)?;
    a.cmp(eax, DEBUG)?;
    a.jne(not_debug)?;
    // The handler decides whether to step again.
    a.and(dword_ptr(ebp + field!(TrapFrame.eflags)), !TRAP_FLAG)?;
    a.jmp(dispatch)?;
    a.set_label(&mut not_debug)?;
    a.cmp(eax, BREAKPOINT)?;
    a.jne(dispatch)?;
    a.dec(dword_ptr(ebp + field!(TrapFrame.eip)))?;
    a.set_label(&mut dispatch)?;
    a.mov(eax, dword_ptr(ebp + field!(TrapFrame.eip)))?;
    a.jmp(s.near("KiDispatchException"))
}

/// In: EAX = vector, ECX = CR2, EBP = frame of an interrupted kernel.
fn kernel_fault(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut not_debug = a.create_label();
    let mut fatal = a.create_label();
    a.cmp(eax, DEBUG)?;
    a.jne(not_debug)?;
    // SYSENTER does not clear TF: a stepping user traps on the kernel's first instruction.
    a.cmp(
        dword_ptr(ebp + field!(TrapFrame.eip)),
        s.at("KiFastCallEntry"),
    )?;
    a.jne(fatal)?;
    a.mov(
        dword_ptr(ebp + field!(TrapFrame.eip)),
        s.at("KiFastCallEntry2"),
    )?;
    a.and(dword_ptr(ebp + field!(TrapFrame.eflags)), !TRAP_FLAG)?;
    a.jmp(s.near("KiExceptionExit"))?;

    a.set_label(&mut not_debug)?;
    a.cmp(eax, PAGE_FAULT)?;
    a.jne(fatal)?;
    a.cmp(ecx, USER_PROBE_ADDRESS)?;
    a.jae(fatal)?;
    a.mov(edx, dword_ptr(ebp + field!(TrapFrame.exception_list)))?;
    a.cmp(edx, -1)?;
    a.je(fatal)?;
    // Unwind to the guard record: {next, handler}; the stack ends above it.
    a.mov(esp, edx)?;
    a.pop(fs_field!(exception_list))?;
    a.pop(ecx)?;
    a.mov(eax, STATUS_ACCESS_VIOLATION)?;
    a.sti()?;
    a.jmp(ecx)?;

    a.set_label(&mut fatal)?;
    a.jmp(s.near("KeBugCheck"))
}

/// ESI := what #GP(0) means: a privileged instruction, or an access that segmentation refused.
/// Keeps EAX, EBX, ECX, EDX.
fn general_protection_code(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next_byte = a.create_label();
    let mut two_bytes = a.create_label();
    let mut search = a.create_label();
    let mut compare = a.create_label();
    let mut privileged = a.create_label();
    let mut done = a.create_label();
    a.push(eax)?;
    a.push(ecx)?;
    a.push(edx)?;
    a.mov(esi, dword_ptr(ebp + field!(TrapFrame.eip)))?;
    a.mov(ecx, 15)?;
    a.set_label(&mut next_byte)?;
    a.lodsb()?;
    a.dec(ecx)?;
    a.je(done)?;
    a.mov(edx, s.at("KiPrefixBytes"))?;
    // A prefix is skipped; AH = 0 marks the byte as not yet known.
    a.set_label(&mut search)?;
    a.mov(ah, byte_ptr(edx))?;
    a.inc(edx)?;
    a.test(ah, ah)?;
    a.je(compare)?;
    a.cmp(al, ah)?;
    a.je(next_byte)?;
    a.jmp(search)?;
    a.set_label(&mut compare)?;
    a.mov(edx, s.at("KiPrivilegedOneByte"))?;
    a.cmp(al, 0x0F)?;
    a.jne(two_bytes)?;
    a.lodsb()?;
    a.mov(edx, s.at("KiPrivilegedTwoByte"))?;
    a.set_label(&mut two_bytes)?;
    a.mov(ah, byte_ptr(edx))?;
    a.inc(edx)?;
    a.test(ah, ah)?;
    a.je(done)?;
    a.cmp(al, ah)?;
    a.jne(two_bytes)?;
    a.set_label(&mut privileged)?;
    a.mov(esi, STATUS_PRIVILEGED_INSTRUCTION)?;
    a.pop(edx)?;
    a.pop(ecx)?;
    a.pop(eax)?;
    a.ret()?;
    a.set_label(&mut done)?;
    a.mov(esi, STATUS_ACCESS_VIOLATION)?;
    a.pop(edx)?;
    a.pop(ecx)?;
    a.pop(eax)?;
    a.ret()
}

/// Puts an exception record and a context on the user's stack and continues at
/// `ntdll!KiUserExceptionDispatcher`; a user stack that cannot take them ends the process.
///
/// In: EBP = frame, ESI = code, EAX = address, EDX = number of parameters, EBX and ECX = parameters.
fn dispatch_exception(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut failed = a.create_label();
    let mut copy = a.create_label();
    let mut copied = a.create_label();
    let record = |offset: i32| dword_ptr(edi + RECORD as i32 + offset);
    a.mov(dword_ptr(ebp + field!(TrapFrame.temp_esp)), esi)?;
    a.push(s.at("KiExceptionNotDelivered"))?;
    a.push(-1)?;
    a.mov(fs_field!(exception_list), esp)?;
    a.mov(edi, dword_ptr(ebp + field!(TrapFrame.hardware_esp)))?;
    a.and(edi, -4)?;
    a.sub(edi, USER_FRAME)?;
    a.cmp(edi, USER_PROBE_ADDRESS)?;
    a.jae(failed)?;
    a.mov(record(field!(ExceptionRecord.exception_code)), esi)?;
    a.mov(record(field!(ExceptionRecord.exception_flags)), 0)?;
    a.mov(record(field!(ExceptionRecord.next)), 0)?;
    a.mov(record(field!(ExceptionRecord.exception_address)), eax)?;
    a.mov(record(field!(ExceptionRecord.number_parameters)), edx)?;
    a.mov(record(field!(ExceptionRecord.exception_information)), ebx)?;
    a.mov(
        record(field!(ExceptionRecord.exception_information) + 4),
        ecx,
    )?;
    a.lea(eax, record(0))?;
    a.mov(dword_ptr(edi), eax)?;
    a.lea(ebx, dword_ptr(edi + CONTEXT))?;
    a.mov(dword_ptr(edi + 4), ebx)?;
    a.mov(dword_ptr(ebx), CONTEXT_FULL)?;
    a.mov(esi, s.at("KiContextMap"))?;
    a.xor(eax, eax)?;
    a.set_label(&mut copy)?;
    a.lodsb()?;
    a.movzx(ecx, al)?;
    a.cmp(cl, 0xFF)?;
    a.je(copied)?;
    a.lodsb()?;
    a.mov(ecx, dword_ptr(ebp + ecx))?;
    a.mov(dword_ptr(ebx + eax), ecx)?;
    a.jmp(copy)?;

    a.set_label(&mut copied)?;
    a.mov(dword_ptr(ebp + field!(TrapFrame.hardware_esp)), edi)?;
    let dispatcher = LOADER_BLOCK + offset_of!(LoaderBlock, user_exception_dispatcher) as u32;
    a.mov(eax, dword_ptr(dispatcher))?;
    a.mov(dword_ptr(ebp + field!(TrapFrame.eip)), eax)?;
    for (offset, selector) in [
        (field!(TrapFrame.seg_cs), USER_CODE),
        (field!(TrapFrame.hardware_seg_ss), USER_DATA),
        (field!(TrapFrame.seg_ds), USER_DATA),
        (field!(TrapFrame.seg_es), USER_DATA),
        (field!(TrapFrame.seg_fs), USER_TEB),
        (field!(TrapFrame.seg_gs), 0),
    ] {
        a.mov(dword_ptr(ebp + offset), u32::from(selector))?;
    }
    a.and(
        dword_ptr(ebp + field!(TrapFrame.eflags)),
        !TRAP_AND_DIRECTION,
    )?;
    a.jmp(s.near("KiExceptionExit"))?;
    a.set_label(&mut failed)?;
    a.mov(esp, ebp)?;
    a.jmp(s.near("KiExceptionNotDelivered"))
}

/// What is not code of this file's handlers: tables, and the end of an exception that has no stack.
pub fn add_constants(module: &mut ModuleSource) {
    // The guard record stood directly below the frame.
    module.code("KiExceptionNotDelivered", |a, s| {
        a.mov(ebp, esp)?;
        a.mov(eax, dword_ptr(ebp + field!(TrapFrame.temp_esp)))?;
        a.mov(edx, dword_ptr(ebp + field!(TrapFrame.eip)))?;
        a.jmp(s.near("PspUnhandledException"))
    });
    module.data("KiTrapCodes", |_| {
        (0..0x20)
            .flat_map(|vector| code_of(vector).to_le_bytes())
            .collect()
    });
    module
        .data("KiContextMap", |_| {
            let pairs = CONTEXT_MAP
                .iter()
                .flat_map(|&(frame, context)| [frame as u8, context as u8]);
            pairs.chain([0xFF]).collect()
        })
        .align(1);
    let bytes = |list: &'static [u8]| move |_: &Scope| [list, &[0]].concat();
    module
        .data(
            "KiPrefixBytes",
            bytes(&[
                0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3,
            ]),
        )
        .align(1);
    // INS, OUTS, IN, OUT, HLT, CLI, STI.
    module
        .data(
            "KiPrivilegedOneByte",
            bytes(&[
                0x6C, 0x6D, 0x6E, 0x6F, 0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF, 0xF4, 0xFA,
                0xFB,
            ]),
        )
        .align(1);
    // LGDT to INVLPG, CLTS, INVD, WBINVD, MOV CR and DR, WRMSR, RDMSR, RDPMC, SYSEXIT.
    module
        .data(
            "KiPrivilegedTwoByte",
            bytes(&[
                0x01, 0x06, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x32, 0x33, 0x35,
            ]),
        )
        .align(1);
}
