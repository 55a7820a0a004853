//! The host's processor, one 32-bit instruction at a time.
//!
//! ```text
//! run()  ──► segment and general registers, then IRETQ into ring 3 compatibility mode
//!            one instruction; the single-step trap behind it, or the fault of the HLT behind it
//! signal ──► handler: data segments are kept, FS base put back, return out of run()
//! ```
//!
//! The handler never returns to the instruction: it leaves through the stack that `run` saved, so nothing has to be
//! restored by the kernel. What the processor saved is read from the signal's frame.
use super::super::environment::{self, CODE_PAGE, READ_ONLY_PAGE, WINDOW, WINDOW_BYTES};
use spec::{paging, registers};
use std::arch::global_asm;
use std::ffi::{c_int, c_void};
use std::io;
use std::ops::Range;
use std::ptr;

/// What the stack pointer's upper half is when a 16-bit stack segment is loaded: IRETQ leaves it as it was.
pub const UPPER_STACK_POINTER: u32 = 0x5A3C_0000;
const FRAME_PAGE: usize = UPPER_STACK_POINTER as usize;
/// Memory that is there for the recorder, and that no instruction should reach.
pub const STACK: Range<u32> = UPPER_STACK_POINTER..UPPER_STACK_POINTER + 2 * paging::PAGE_BYTES;
const PAGE: usize = paging::PAGE_BYTES as usize;
/// CS of 64-bit code on Linux.
const CODE_64: u16 = 0x33;
const SIGNAL_STACK_BYTES: usize = 1 << 17;
const SIGNALS: [c_int; 5] = [
    libc::SIGTRAP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
];

/// Why the host cannot record.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A system call failed.
    #[error("this host cannot record: {0} failed: {1}")]
    System(&'static str, io::Error),
    /// The kernel or the processor has no compatibility mode.
    #[error(
        "this host cannot record: it runs no 32-bit code (vector {0} when 64-bit code went over to it)"
    )]
    No32BitCode(u8),
    /// Something between us and the processor changes what instructions do.
    #[error(
        "this host cannot record: `inc eax` left EAX = {0:08X} and EIP = {1:08X} instead of {2:08X} and {3:08X}"
    )]
    NotAProcessor(u32, u32, u32, u32),
}

/// What an instruction starts with.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Start {
    /// EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI.
    pub registers: [u32; 8],
    /// Offset in CS.
    pub eip: u32,
    /// With TF, the instruction is followed by a single-step trap.
    pub eflags: u32,
    /// ES, CS, SS, DS, FS, GS.
    pub selectors: [u16; 6],
}

/// What `silicon_run` takes.
#[repr(C)]
struct Entry {
    start: Start,
    /// Top of a stack below 4 GB, from which IRETQ takes CS:EIP, EFLAGS and SS:ESP.
    frame: usize,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// As in [`Start`].
    pub registers: [u32; 8],
    /// As in [`Start`].
    pub eip: u32,
    /// As the processor saved it.
    pub eflags: u32,
    /// As in [`Start`].
    pub selectors: [u16; 6],
    /// The exception that ended it.
    pub vector: u8,
    /// Its error code.
    pub error_code: u16,
    /// Linear address of a page fault.
    pub cr2: u32,
    /// The exception is a single-step trap.
    pub single_step: bool,
}

global_asm!(
    r#"
    .pushsection .bss
    .balign 8
silicon_stack: .quad 0
silicon_fs_base: .quad 0
silicon_information: .quad 0
silicon_context: .quad 0
silicon_segments: .quad 0
silicon_active: .quad 0
    .popsection
    .pushsection .text
    .globl silicon_run
silicon_run:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov r15, rdi
    mov eax, 158
    mov edi, 0x1003
    lea rsi, [rip + silicon_fs_base]
    syscall
    mov qword ptr [rip + silicon_active], 1
    mov [rip + silicon_stack], rsp
    mov rsp, [r15 + {frame}]
    movzx eax, word ptr [r15 + {selectors} + 4]
    push rax
    mov eax, [r15 + 16]
    push rax
    mov eax, [r15 + {eflags}]
    push rax
    movzx eax, word ptr [r15 + {selectors} + 2]
    push rax
    mov eax, [r15 + {eip}]
    push rax
    mov es, [r15 + {selectors}]
    mov ds, [r15 + {selectors} + 6]
    mov fs, [r15 + {selectors} + 8]
    mov gs, [r15 + {selectors} + 10]
    mov eax, [r15]
    mov ecx, [r15 + 4]
    mov edx, [r15 + 8]
    mov ebx, [r15 + 12]
    mov ebp, [r15 + 20]
    mov esi, [r15 + 24]
    mov edi, [r15 + 28]
    iretq

    .globl silicon_signal
silicon_signal:
    push 2
    popfq
    mov word ptr [rip + silicon_segments], es
    mov word ptr [rip + silicon_segments + 2], ds
    mov word ptr [rip + silicon_segments + 4], fs
    mov word ptr [rip + silicon_segments + 6], gs
    mov [rip + silicon_information], rsi
    mov [rip + silicon_context], rdx
    cmp qword ptr [rip + silicon_active], 0
    je 2f
    mov qword ptr [rip + silicon_active], 0
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov gs, eax
    mov eax, 158
    mov edi, 0x1002
    mov rsi, [rip + silicon_fs_base]
    syscall
    mov rsp, [rip + silicon_stack]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    // A fault of our own: end as if there were no handler.
2:  mov eax, 231
    mov edi, 139
    syscall
    .globl silicon_seen
silicon_seen:
    mov rax, [rip + silicon_information]
    mov [rdi], rax
    mov rax, [rip + silicon_context]
    mov [rdi + 8], rax
    mov rax, [rip + silicon_segments]
    mov [rdi + 16], rax
    ret
    .popsection
"#,
    eip = const std::mem::offset_of!(Start, eip),
    eflags = const std::mem::offset_of!(Start, eflags),
    selectors = const std::mem::offset_of!(Start, selectors),
    frame = const std::mem::offset_of!(Entry, frame),
);

#[repr(C)]
struct Seen {
    information: *const libc::siginfo_t,
    context: *const libc::ucontext_t,
    /// ES, DS, FS, GS.
    segments: [u16; 4],
}

unsafe extern "C" {
    fn silicon_run(entry: *const Entry);
    fn silicon_signal(signal: c_int, information: *mut libc::siginfo_t, context: *mut c_void);
    fn silicon_seen(seen: *mut Seen);
}

/// Signals that end a run. Their handler would run on the stack of the case that they interrupt.
const KEPT_WAITING: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The one recording processor of this process: its memory is mapped and its signals are handled.
pub struct Host {
    signals_before: libc::sigset_t,
    code: *mut u8,
    window: *mut u8,
    signal_stack: Vec<u8>,
    ldt: Vec<u64>,
}

impl Host {
    /// Maps the memory of all cases, fills the LDT, and tries an instruction.
    ///
    /// There can be only one in a process, and it belongs to the thread that makes it.
    ///
    /// # Errors
    /// [`HostError`] says what this host lacks.
    pub fn new(ldt: &[environment::Segment]) -> Result<Host, HostError> {
        let failed = |what| move || HostError::System(what, io::Error::last_os_error());
        let map = |at: usize, bytes: usize, protection, file: Option<c_int>| {
            let sharing = match file {
                Some(_) => libc::MAP_SHARED | libc::MAP_POPULATE,
                None => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            };
            let place = if at == 0 {
                0
            } else {
                libc::MAP_FIXED_NOREPLACE
            };
            // SAFETY: MAP_FIXED_NOREPLACE takes no page that is in use.
            let found = unsafe {
                libc::mmap(
                    at as *mut c_void,
                    bytes,
                    protection,
                    sharing | place,
                    file.unwrap_or(-1),
                    0,
                )
            };
            if found == libc::MAP_FAILED || (at != 0 && found as usize != at) {
                let error = io::Error::last_os_error();
                return Err(HostError::System("mmap below 4 GB", error));
            }
            Ok(found.cast::<u8>())
        };
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a name and no flags.
        let file = unsafe { libc::memfd_create(c"code".as_ptr(), 0) };
        if file < 0 {
            return Err(failed("memfd_create")());
        }
        // SAFETY: `file` is ours.
        if unsafe { libc::ftruncate(file, PAGE as i64) } != 0 {
            return Err(failed("ftruncate")());
        }
        // The code's page cannot be written where it runs.
        let code = map(0, PAGE, writable, Some(file))?;
        let execute = libc::PROT_READ | libc::PROT_EXEC;
        map(CODE_PAGE as usize, PAGE, execute, Some(file))?;
        // SAFETY: `file` is ours; the mappings keep what it names.
        unsafe { libc::close(file) };
        let window = map(WINDOW as usize, WINDOW_BYTES, writable, None)?;
        map(READ_ONLY_PAGE as usize, PAGE, libc::PROT_READ, None)?;
        map(FRAME_PAGE, 2 * PAGE, writable, None)?;

        // SAFETY: both sets are plain numbers, and sigemptyset makes one of the first.
        let signals_before = unsafe {
            let mut waiting: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut waiting);
            for signal in KEPT_WAITING {
                libc::sigaddset(&mut waiting, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &waiting, &mut before);
            before
        };
        let mut host = Host {
            signals_before,
            code,
            window,
            signal_stack: vec![0; SIGNAL_STACK_BYTES],
            ldt: Vec::new(),
        };
        let stack = libc::stack_t {
            ss_sp: host.signal_stack.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: SIGNAL_STACK_BYTES,
        };
        // SAFETY: the stack lives as long as the host, which is dropped with the handlers.
        if unsafe { libc::sigaltstack(&stack, ptr::null_mut()) } != 0 {
            return Err(failed("sigaltstack")());
        }
        // SAFETY: an all-zero sigaction is valid: no mask, no flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = silicon_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        for signal in SIGNALS {
            // SAFETY: the handler leaves through the stack of `silicon_run`, or ends the process.
            if unsafe { libc::sigaction(signal, &action, ptr::null_mut()) } != 0 {
                return Err(failed("sigaction")());
            }
        }
        // A page that has never been read is not there, whatever the kernel calls it.
        for page in [CODE_PAGE, READ_ONLY_PAGE] {
            // SAFETY: both are mapped and readable.
            unsafe { ptr::read_volatile(page as usize as *const u8) };
        }
        host.fill_ldt(ldt)?;
        host.probe()?;
        Ok(host)
    }

    fn fill_ldt(&mut self, ldt: &[environment::Segment]) -> Result<(), HostError> {
        let failed = || HostError::System("modify_ldt", io::Error::last_os_error());
        for (number, segment) in ldt.iter().enumerate() {
            let bits = u32::from(segment.big)
                | u32::from(segment.contents) << 1
                | u32::from(segment.read_execute_only) << 3
                | u32::from(segment.in_pages) << 4
                | u32::from(!segment.present) << 5
                | u32::from(segment.available) << 6;
            // struct user_desc of asm/ldt.h
            let entry = [number as u32, segment.base, segment.limit, bits];
            // SAFETY: function 11h reads the 16 bytes.
            let result =
                unsafe { libc::syscall(libc::SYS_modify_ldt, 0x11, entry.as_ptr(), 16_usize) };
            if result as c_int != 0 {
                return Err(failed());
            }
        }
        self.ldt = vec![0; ldt.len()];
        // SAFETY: function 0 writes at most the bytes that are there.
        let read = unsafe {
            libc::syscall(
                libc::SYS_modify_ldt,
                0,
                self.ldt.as_mut_ptr(),
                8 * ldt.len(),
            )
        };
        if read as c_int != 8 * ldt.len() as c_int {
            return Err(failed());
        }
        Ok(())
    }

    fn probe(&mut self) -> Result<(), HostError> {
        self.set_code(0, &[0x40]);
        let start = Start {
            registers: [0x7FFF_FFFF, 0, 0, 0, WINDOW + 0x100, 0, 0, 0],
            eip: CODE_PAGE,
            eflags: spec::flags::TF | spec::flags::ALWAYS_ONE,
            selectors: environment::FLAT,
        };
        let (eax, eip) = (0x8000_0000, CODE_PAGE + 1);
        match self.run(&start) {
            Err(vector) => Err(HostError::No32BitCode(vector)),
            Ok(end) if (end.registers[0], end.eip) != (eax, eip) || !end.single_step => Err(
                HostError::NotAProcessor(end.registers[0], end.eip, eax, eip),
            ),
            Ok(_) => Ok(()),
        }
    }

    /// The descriptors as the kernel wrote them.
    pub fn ldt(&self) -> &[u64] {
        &self.ldt
    }

    /// Fills the code's page with HLT and writes `bytes` at `offset`, cut off where the page ends.
    pub fn set_code(&mut self, offset: usize, bytes: &[u8]) {
        // SAFETY: the page is mapped, writable here, and nobody else's.
        let page = unsafe { std::slice::from_raw_parts_mut(self.code, PAGE) };
        page.fill(environment::HALT);
        for (to, from) in page[offset..].iter_mut().zip(bytes) {
            *to = *from;
        }
    }

    /// The data window.
    pub fn window(&mut self) -> &mut [u8] {
        // SAFETY: mapped, writable, and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.window, WINDOW_BYTES) }
    }

    /// Runs one instruction.
    ///
    /// # Errors
    /// The vector of an exception in 64-bit code: before the instruction began, or after it went there.
    pub fn run(&mut self, start: &Start) -> Result<End, u8> {
        let entry = Entry {
            start: *start,
            frame: FRAME_PAGE + PAGE,
        };
        let mut seen = Seen {
            information: ptr::null(),
            context: ptr::null(),
            segments: [0; 4],
        };
        // SAFETY: the code runs in ring 3 with what is mapped for it; `silicon_signal` brings us back.
        unsafe {
            silicon_run(&entry);
            silicon_seen(&mut seen);
        }
        // SAFETY: both are on the signal stack, which nothing has used since.
        let (information, context) = unsafe { (&*seen.information, &(*seen.context).uc_mcontext) };
        let register = |number: c_int| context.gregs[number as usize] as u32;
        let vector = register(libc::REG_TRAPNO) as u8;
        let segments = context.gregs[libc::REG_CSGSFS as usize] as u64;
        let (code, stack) = (segments as u16, (segments >> 48) as u16);
        if code == CODE_64 {
            return Err(vector);
        }
        let [extra, data, f, g] = seen.segments;
        let mut selectors = [0; 6];
        for (number, selector) in [
            (registers::ES, extra),
            (registers::CS, code),
            (registers::SS, stack),
            (registers::DS, data),
            (registers::FS, f),
            (registers::GS, g),
        ] {
            selectors[usize::from(number)] = selector;
        }
        Ok(End {
            registers: [
                libc::REG_RAX,
                libc::REG_RCX,
                libc::REG_RDX,
                libc::REG_RBX,
                libc::REG_RSP,
                libc::REG_RBP,
                libc::REG_RSI,
                libc::REG_RDI,
            ]
            .map(register),
            eip: register(libc::REG_RIP),
            eflags: register(libc::REG_EFL),
            selectors,
            vector,
            error_code: register(libc::REG_ERR) as u16,
            cr2: register(libc::REG_CR2),
            single_step: vector == spec::exceptions::DB && information.si_code == libc::TRAP_TRACE,
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for signal in SIGNALS {
            // SAFETY: the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        for (at, bytes) in [
            (self.code as usize, PAGE),
            (CODE_PAGE as usize, PAGE),
            (WINDOW as usize, WINDOW_BYTES),
            (READ_ONLY_PAGE as usize, PAGE),
            (FRAME_PAGE, 2 * PAGE),
        ] {
            // SAFETY: `new` mapped these, and nothing refers to them any more.
            unsafe { libc::munmap(at as *mut c_void, bytes) };
        }
        let off = libc::stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: 0,
        };
        // SAFETY: the stack was ours, and the mask was this thread's.
        unsafe {
            libc::sigaltstack(&off, ptr::null_mut());
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.signals_before, ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_runs_with_the_state_it_was_given_and_its_end_is_seen() {
        let stack = environment::Segment {
            base: WINDOW,
            limit: 0xFFFF,
            present: true,
            ..environment::Segment::default()
        };
        let mut host = match Host::new(&[environment::Segment::default(), stack]) {
            Ok(host) => host,
            Err(error) => return println!("{error}"),
        };
        println!("{:016X?}", host.ldt());
        let start = Start {
            registers: [1, 2, 3, 4, UPPER_STACK_POINTER | 0x1234, 6, 7, 8],
            eip: CODE_PAGE,
            eflags: spec::flags::TF | 2,
            selectors: [0x2B, 0x23, 15, 15, 0x2B, 15],
        };
        // A 16-bit stack segment keeps the upper half of ESP.
        host.set_code(0, &[0x89, 0xE0]);
        let end = host.run(&start).expect("32-bit code");
        assert_eq!(
            end.registers,
            [
                UPPER_STACK_POINTER | 0x1234,
                2,
                3,
                4,
                UPPER_STACK_POINTER | 0x1234,
                6,
                7,
                8
            ]
        );
        assert_eq!(end.selectors, start.selectors);
        assert!(end.single_step);
        // PUSH EAX, without TF: the HLT behind it ends it.
        host.set_code(0, &[0x50]);
        let untraced = Start {
            eflags: 2 | spec::flags::AC,
            ..start
        };
        let end = host.run(&untraced).expect("32-bit code");
        assert_eq!(
            (end.vector, end.error_code, end.eip),
            (13, 0, CODE_PAGE + 1)
        );
        assert_eq!(host.window()[0x1230..0x1234], [1, 0, 0, 0]);
        // MOV EAX,[2] is not aligned.
        host.set_code(0, &[0xA1, 2, 0, 0, 0]);
        let end = host.run(&untraced).expect("32-bit code");
        assert_eq!((end.vector, end.error_code, end.eip), (17, 0, CODE_PAGE));
        let began = std::time::Instant::now();
        for _ in 0..10000 {
            host.run(&start).expect("32-bit code");
        }
        println!("{:?} each", began.elapsed() / 10000);
    }
}
