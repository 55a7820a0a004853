//! `msvcrt.dll`, for own programs that import it: the start-up of a plain C program, its heap, strings, and standard streams.
//!
//! Functions are cdecl: the caller pops. Formatted output is not here but for what MinGW links into programs itself.

use crate::module::{Access, ModuleSource, Scope};
use abi::addresses::{STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// Windows 7's preferred base.
const PREFERRED_BASE: u32 = 0x6FF5_0000;
/// Above kernel32, below the program.
pub const LAYER: u8 = 5;
pub const FILE_NAME: &str = "msvcrt.dll";
/// Bytes of a `FILE`.
const STREAM_BYTES: u32 = 32;
const BUFFER_BYTES: u32 = 512;
const MOST_ARGUMENTS: u32 = 64;
const MOST_EXIT_FUNCTIONS: u32 = 32;
const TEXT_BYTES: u32 = 1024;
const END_OF_FILE: i32 = -1;

const IMPORTS: &[&str] = &[
    "ExitProcess",
    "GetCommandLineA",
    "GetProcessHeap",
    "GetStdHandle",
    "HeapAlloc",
    "HeapFree",
    "HeapReAlloc",
    "ReadFile",
    "WriteFile",
];

type Body = fn(&mut CodeAssembler, &Scope) -> Result<(), IcedError>;

/// Functions that always answer the same.
const CONSTANT: &[(&str, u32)] = &[
    ("__set_app_type", 0),
    ("__setusermatherr", 0),
    ("_configthreadlocale", 0),
    ("_controlfp", 0),
    ("_lock", 0),
    ("_setmode", 0),
    ("_unlock", 0),
    ("setvbuf", 0),
    ("signal", 0),
];

/// Functions with a frame: parameters from EBP+8 on, ESI, EDI and EBX kept.
#[rustfmt::skip]
const FUNCTIONS: &[(&str, Body)] = &[
    ("__getmainargs", get_main_arguments),
    ("__iob_func", |a, s| a.mov(eax, s.at("_iob"))),
    ("__p__acmdln", |a, s| {
        a.call(dword_ptr(s.import("GetCommandLineA")))?;
        a.mov(dword_ptr(s.at("_acmdln")), eax)?;
        a.mov(eax, s.at("_acmdln"))
    }),
    ("__p__commode", |a, s| a.mov(eax, s.at("_commode"))),
    ("__p__fmode", |a, s| a.mov(eax, s.at("_fmode"))),
    ("_amsg_exit", |a, s| exit_with(a, s, Some(255))),
    ("_cexit", |a, s| a.call(s.near("$end_of_program"))),
    ("_errno", |a, s| a.mov(eax, s.at("$errno"))),
    ("_exit", |a, s| exit_with(a, s, None)),
    ("_initterm", initialize),
    ("_onexit", on_exit),
    ("abort", |a, s| exit_with(a, s, Some(3))),
    ("atoi", ascii_to_integer),
    ("calloc", |a, s| {
        a.mov(eax, parameter(0))?;
        a.mul(parameter(1))?;
        allocate(a, s, 8)
    }),
    ("exit", |a, s| {
        a.call(s.near("$end_of_program"))?;
        exit_with(a, s, None)
    }),
    ("fflush", |a, s| a.call(s.near("$flush"))),
    ("fgetc", |a, s| a.call(s.near("$get"))),
    ("fgets", get_string),
    ("fputc", |a, s| {
        a.mov(eax, parameter(0))?;
        a.mov(edx, parameter(1))?;
        a.call(s.near("$put"))
    }),
    ("fputs", |a, s| {
        a.mov(edx, parameter(1))?;
        put_string(a, s)
    }),
    ("free", |a, s| {
        a.push(parameter(0))?;
        heap(a, s, 0, "HeapFree")
    }),
    ("fwrite", write_block),
    ("getchar", |a, s| a.call(s.near("$get"))),
    ("localeconv", |a, s| a.mov(eax, s.at("$locale"))),
    ("malloc", |a, s| {
        a.mov(eax, parameter(0))?;
        allocate(a, s, 0)
    }),
    ("memcpy", |a, _| copy(a)),
    ("memmove", move_bytes),
    ("memset", |a, _| {
        a.mov(edi, parameter(0))?;
        a.mov(eax, parameter(1))?;
        a.mov(ecx, parameter(2))?;
        a.rep().stosb()?;
        a.mov(eax, parameter(0))
    }),
    ("putchar", |a, s| {
        a.mov(eax, parameter(0))?;
        a.mov(edx, s.at("_iob") + STREAM_BYTES)?;
        a.call(s.near("$put"))
    }),
    ("puts", |a, s| {
        a.mov(edx, s.at("_iob") + STREAM_BYTES)?;
        put_string(a, s)?;
        a.mov(eax, 10)?;
        a.mov(edx, s.at("_iob") + STREAM_BYTES)?;
        a.call(s.near("$put"))
    }),
    ("realloc", reallocate),
    ("setlocale", |a, s| a.mov(eax, s.at("$locale_name"))),
    ("strchr", find_character),
    ("strcmp", |a, _| compare(a, false)),
    ("strcpy", copy_string),
    ("strerror", |a, s| a.mov(eax, s.at("$error_text"))),
    ("strlen", |a, _| length(a, 1)),
    ("strncmp", |a, _| compare(a, true)),
    ("wcslen", |a, _| length(a, 2)),
];

/// The module.
pub fn source() -> ModuleSource {
    let mut module = ModuleSource::new("msvcrt", FILE_NAME, LAYER, 3, PREFERRED_BASE);
    module.section(".text", Access::Code);
    module.import_address_table(&[("KERNEL32.dll", IMPORTS)]);
    for &(name, answer) in CONSTANT {
        let function = module.code(name, move |a, _| {
            a.mov(eax, answer)?;
            a.ret()
        });
        function.export();
    }
    for &(name, body) in FUNCTIONS {
        let function = module.code(name, move |a, s| {
            a.push(ebp)?;
            a.mov(ebp, esp)?;
            a.push(ebx)?;
            a.push(esi)?;
            a.push(edi)?;
            body(a, s)?;
            a.lea(esp, dword_ptr(ebp - 12))?;
            a.pop(edi)?;
            a.pop(esi)?;
            a.pop(ebx)?;
            a.pop(ebp)?;
            a.ret()
        });
        function.export();
    }
    module.code("$put", put);
    module.code("$flush", flush);
    module.code("$get", get);
    module.code("$end_of_program", end_of_program);
    module.text("$locale_name", "C\0");
    module.text("$error_text", "error\0");
    module.text("$point", ".\0");
    module.data("$locale", |s| {
        // Ten strings, of which only the decimal point is not empty, and eight numbers that say "unknown".
        let empty = s.at("$point") + 1;
        let strings = [s.at("$point")].into_iter().chain([empty; 9]);
        let strings: Vec<u8> = strings.flat_map(u32::to_le_bytes).collect();
        [&strings[..], &[0x7F; 8]].concat()
    });
    // Data that programs use by its address is exported as functions are, and so it comes before the directories.
    module.section(".shared", Access::Data);
    module.space("_iob", 3 * STREAM_BYTES).export();
    module.space("__initenv", 4).export();
    module.dword("__mb_cur_max", 1).export();
    module.section(".rdata", Access::Constant);
    module.directories();
    module.section(".data", Access::Data);
    module.space("_acmdln", 4);
    module.space("_commode", 4);
    module.space("_fmode", 4);
    module.space("$errno", 4);
    module.space("$out_count", 4);
    module.space("$in_count", 4);
    module.space("$in_next", 4);
    module.space("$moved", 4);
    module.space("$exit_functions", 4 * MOST_EXIT_FUNCTIONS);
    module.space("$exit_count", 4);
    module.space("$arguments", 4 * (MOST_ARGUMENTS + 1));
    module.space("$argument_text", TEXT_BYTES);
    module.space("$environment", 4);
    module.space("$out", BUFFER_BYTES);
    module.space("$in", BUFFER_BYTES);
    module
}

fn parameter(index: i32) -> AsmMemoryOperand {
    dword_ptr(ebp + 8 + 4 * index)
}

fn exit_with(a: &mut CodeAssembler, s: &Scope, code: Option<i32>) -> Result<(), IcedError> {
    a.call(s.near("$flush"))?;
    match code {
        Some(code) => a.push(code)?,
        None => a.push(parameter(0))?,
    }
    a.call(dword_ptr(s.import("ExitProcess")))
}

/// Calls what `_onexit` was given, the last first, and sends what waits.
fn end_of_program(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut done = a.create_label();
    let count = dword_ptr(s.at("$exit_count"));
    a.set_label(&mut next)?;
    a.dec(count)?;
    a.js(done)?;
    a.mov(eax, count)?;
    a.call(dword_ptr(eax * 4 + s.at("$exit_functions")))?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    a.mov(count, 0)?;
    a.jmp(s.near("$flush"))
}

fn on_exit(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.mov(ecx, dword_ptr(s.at("$exit_count")))?;
    a.xor(eax, eax)?;
    a.cmp(ecx, MOST_EXIT_FUNCTIONS)?;
    a.jae(done)?;
    a.mov(eax, parameter(0))?;
    a.mov(dword_ptr(ecx * 4 + s.at("$exit_functions")), eax)?;
    a.inc(dword_ptr(s.at("$exit_count")))?;
    a.set_label(&mut done)?;
    a.nop()
}

/// void _initterm(first, end): calls what is not null.
fn initialize(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut skip = a.create_label();
    let mut done = a.create_label();
    a.mov(esi, parameter(0))?;
    a.set_label(&mut next)?;
    a.cmp(esi, parameter(1))?;
    a.jae(done)?;
    a.lodsd()?;
    a.test(eax, eax)?;
    a.je(skip)?;
    a.call(eax)?;
    a.set_label(&mut skip)?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    a.nop()
}

/// int __getmainargs(*argc, *argv, *environment, ...): words of the command line; quotes keep spaces.
fn get_main_arguments(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut word = a.create_label();
    let mut character = a.create_label();
    let mut plain = a.create_label();
    let mut store = a.create_label();
    let mut end_of_word = a.create_label();
    let mut done = a.create_label();
    a.call(dword_ptr(s.import("GetCommandLineA")))?;
    a.mov(esi, eax)?;
    a.mov(edi, s.at("$argument_text"))?;
    a.xor(ebx, ebx)?;
    a.set_label(&mut word)?;
    a.lodsb()?;
    a.cmp(al, 0x20)?;
    a.je(word)?;
    a.cmp(al, 9)?;
    a.je(word)?;
    a.test(al, al)?;
    a.je(done)?;
    a.cmp(ebx, MOST_ARGUMENTS)?;
    a.jae(done)?;
    a.mov(dword_ptr(ebx * 4 + s.at("$arguments")), edi)?;
    a.inc(ebx)?;
    a.xor(ecx, ecx)?; // 1 within quotes
    a.set_label(&mut character)?;
    a.test(al, al)?;
    a.je(end_of_word)?;
    a.cmp(al, 0x22)?;
    a.jne(plain)?;
    a.xor(ecx, 1)?;
    a.lodsb()?;
    a.jmp(character)?;
    a.set_label(&mut plain)?;
    a.test(ecx, ecx)?;
    a.jne(store)?;
    a.cmp(al, 0x20)?;
    a.je(end_of_word)?;
    a.cmp(al, 9)?;
    a.je(end_of_word)?;
    a.set_label(&mut store)?;
    a.stosb()?;
    a.lodsb()?;
    a.jmp(character)?;
    a.set_label(&mut end_of_word)?;
    a.mov(byte_ptr(edi), 0)?;
    a.inc(edi)?;
    a.test(al, al)?;
    a.jne(word)?;
    a.set_label(&mut done)?;
    a.mov(eax, parameter(0))?;
    a.mov(dword_ptr(eax), ebx)?;
    a.mov(eax, parameter(1))?;
    a.mov(dword_ptr(eax), s.at("$arguments"))?;
    a.mov(eax, parameter(2))?;
    a.mov(dword_ptr(eax), s.at("$environment"))?;
    a.xor(eax, eax)
}

/// Pushes flags and heap, and calls; what comes behind is pushed before.
fn heap(a: &mut CodeAssembler, s: &Scope, flags: i32, function: &str) -> Result<(), IcedError> {
    a.push(flags)?;
    a.call(dword_ptr(s.import("GetProcessHeap")))?;
    a.push(eax)?;
    a.call(dword_ptr(s.import(function)))
}

/// EAX := a block of EAX bytes.
fn allocate(a: &mut CodeAssembler, s: &Scope, flags: i32) -> Result<(), IcedError> {
    a.push(eax)?;
    heap(a, s, flags, "HeapAlloc")
}

fn reallocate(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut old = a.create_label();
    let mut done = a.create_label();
    a.mov(eax, parameter(1))?;
    a.cmp(parameter(0), 0)?;
    a.jne(old)?;
    allocate(a, s, 0)?;
    a.jmp(done)?;
    a.set_label(&mut old)?;
    a.push(eax)?;
    a.push(parameter(0))?;
    heap(a, s, 0, "HeapReAlloc")?;
    a.set_label(&mut done)?;
    a.nop()
}

/// Sends what waits for standard output. Keeps all but EAX, ECX, EDX.
fn flush(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut done = a.create_label();
    a.cmp(dword_ptr(s.at("$out_count")), 0)?;
    a.je(done)?;
    a.push(0)?;
    a.push(s.at("$moved"))?;
    a.push(dword_ptr(s.at("$out_count")))?;
    a.push(s.at("$out"))?;
    a.push(STD_OUTPUT_HANDLE as i32)?;
    a.call(dword_ptr(s.import("GetStdHandle")))?;
    a.push(eax)?;
    a.call(dword_ptr(s.import("WriteFile")))?;
    a.mov(dword_ptr(s.at("$out_count")), 0)?;
    a.set_label(&mut done)?;
    a.xor(eax, eax)?;
    a.ret()
}

/// In: AL = character, EDX = stream. A line end becomes CR and LF. Lines wait in the buffer; what goes to standard error does
/// not. Out: EAX = character. Keeps all but ECX and EDX.
fn put(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut not_full = a.create_label();
    let mut no_line = a.create_label();
    let mut waits = a.create_label();
    let mut out = a.create_label();
    let count = dword_ptr(s.at("$out_count"));
    a.movzx(eax, al)?;
    a.push(eax)?;
    a.cmp(edx, s.at("_iob") + 2 * STREAM_BYTES)?;
    a.jne(out)?;
    a.call(s.near("$flush"))?;
    a.mov(eax, dword_ptr(esp))?;
    a.push(0)?;
    a.push(s.at("$moved"))?;
    a.push(1)?;
    a.lea(eax, dword_ptr(esp + 12))?;
    a.push(eax)?;
    a.push(STD_ERROR_HANDLE as i32)?;
    a.call(dword_ptr(s.import("GetStdHandle")))?;
    a.push(eax)?;
    a.call(dword_ptr(s.import("WriteFile")))?;
    a.pop(eax)?;
    a.ret()?;
    a.set_label(&mut out)?;
    a.cmp(count, BUFFER_BYTES - 2)?;
    a.jb(not_full)?;
    a.call(s.near("$flush"))?;
    a.set_label(&mut not_full)?;
    a.mov(eax, dword_ptr(esp))?;
    a.mov(ecx, count)?;
    a.cmp(al, 10)?;
    a.jne(no_line)?;
    a.mov(byte_ptr(ecx + s.at("$out")), 13)?;
    a.inc(ecx)?;
    a.set_label(&mut no_line)?;
    a.mov(byte_ptr(ecx + s.at("$out")), al)?;
    a.inc(ecx)?;
    a.mov(count, ecx)?;
    a.cmp(al, 10)?;
    a.jne(waits)?;
    a.call(s.near("$flush"))?;
    a.set_label(&mut waits)?;
    a.pop(eax)?;
    a.ret()
}

/// Puts the string of the first parameter; EDX = stream.
fn put_string(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut done = a.create_label();
    a.mov(esi, parameter(0))?;
    a.mov(ebx, edx)?;
    a.set_label(&mut next)?;
    a.lodsb()?;
    a.test(al, al)?;
    a.je(done)?;
    a.mov(edx, ebx)?;
    a.call(s.near("$put"))?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    a.xor(eax, eax)
}

/// size_t fwrite(bytes, size, count, stream).
fn write_block(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut done = a.create_label();
    a.mov(esi, parameter(0))?;
    a.mov(ebx, parameter(1))?;
    a.imul_2(ebx, parameter(2))?;
    a.set_label(&mut next)?;
    a.dec(ebx)?;
    a.js(done)?;
    a.lodsb()?;
    a.mov(edx, parameter(3))?;
    a.call(s.near("$put"))?;
    a.jmp(next)?;
    a.set_label(&mut done)?;
    a.mov(eax, parameter(2))
}

/// Out: EAX = the next character of standard input without CR, or -1. Keeps all but ECX and EDX.
fn get(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut again = a.create_label();
    let mut some = a.create_label();
    let mut end = a.create_label();
    let (count, next) = (dword_ptr(s.at("$in_count")), dword_ptr(s.at("$in_next")));
    a.set_label(&mut again)?;
    a.mov(ecx, next)?;
    a.cmp(ecx, count)?;
    a.jb(some)?;
    a.call(s.near("$flush"))?;
    a.mov(next, 0)?;
    a.push(0)?;
    a.push(s.at("$in_count"))?;
    a.push(BUFFER_BYTES)?;
    a.push(s.at("$in"))?;
    a.push(STD_INPUT_HANDLE as i32)?;
    a.call(dword_ptr(s.import("GetStdHandle")))?;
    a.push(eax)?;
    a.call(dword_ptr(s.import("ReadFile")))?;
    a.cmp(count, 0)?;
    a.je(end)?;
    a.xor(ecx, ecx)?;
    a.set_label(&mut some)?;
    a.inc(next)?;
    a.movzx(eax, byte_ptr(ecx + s.at("$in")))?;
    a.cmp(al, 13)?;
    a.je(again)?;
    a.ret()?;
    a.set_label(&mut end)?;
    a.mov(eax, END_OF_FILE)?;
    a.ret()
}

/// char *fgets(buffer, bytes, stream).
fn get_string(a: &mut CodeAssembler, s: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut end = a.create_label();
    let mut done = a.create_label();
    a.mov(edi, parameter(0))?;
    a.mov(ebx, parameter(1))?;
    a.set_label(&mut next)?;
    a.dec(ebx)?;
    a.jle(end)?;
    a.call(s.near("$get"))?;
    a.test(eax, eax)?;
    a.js(end)?;
    a.stosb()?;
    a.cmp(al, 10)?;
    a.jne(next)?;
    a.set_label(&mut end)?;
    a.mov(byte_ptr(edi), 0)?;
    a.mov(eax, parameter(0))?;
    a.cmp(eax, edi)?;
    a.jne(done)?;
    a.xor(eax, eax)?;
    a.set_label(&mut done)?;
    a.nop()
}

fn ascii_to_integer(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut space = a.create_label();
    let mut digits = a.create_label();
    let mut done = a.create_label();
    let mut positive = a.create_label();
    a.mov(esi, parameter(0))?;
    a.xor(ebx, ebx)?;
    a.xor(ecx, ecx)?;
    a.xor(eax, eax)?;
    a.set_label(&mut space)?;
    a.lodsb()?;
    a.cmp(al, 0x20)?;
    a.je(space)?;
    a.cmp(al, 0x2D)?; // -
    a.jne(digits)?;
    a.inc(ecx)?;
    a.lodsb()?;
    a.set_label(&mut digits)?;
    a.sub(al, 0x30)?;
    a.cmp(al, 9)?;
    a.ja(done)?;
    a.imul_3(ebx, ebx, 10)?;
    a.add(ebx, eax)?;
    a.lodsb()?;
    a.jmp(digits)?;
    a.set_label(&mut done)?;
    a.mov(eax, ebx)?;
    a.test(ecx, ecx)?;
    a.je(positive)?;
    a.neg(eax)?;
    a.set_label(&mut positive)?;
    a.nop()
}

fn copy(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edi, parameter(0))?;
    a.mov(esi, parameter(1))?;
    a.mov(ecx, parameter(2))?;
    a.rep().movsb()?;
    a.mov(eax, parameter(0))
}

fn move_bytes(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut forward = a.create_label();
    let mut done = a.create_label();
    a.mov(edi, parameter(0))?;
    a.mov(esi, parameter(1))?;
    a.mov(ecx, parameter(2))?;
    a.cmp(edi, esi)?;
    a.jbe(forward)?;
    a.lea(edi, dword_ptr(edi + ecx - 1))?;
    a.lea(esi, dword_ptr(esi + ecx - 1))?;
    a.std()?;
    a.rep().movsb()?;
    a.cld()?;
    a.jmp(done)?;
    a.set_label(&mut forward)?;
    a.rep().movsb()?;
    a.set_label(&mut done)?;
    a.mov(eax, parameter(0))
}

fn copy_string(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    a.mov(edi, parameter(0))?;
    a.mov(esi, parameter(1))?;
    a.set_label(&mut next)?;
    a.lodsb()?;
    a.stosb()?;
    a.test(al, al)?;
    a.jne(next)?;
    a.mov(eax, parameter(0))
}

fn find_character(a: &mut CodeAssembler, _: &Scope) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut found = a.create_label();
    let mut done = a.create_label();
    a.mov(esi, parameter(0))?;
    a.mov(ecx, parameter(1))?;
    a.set_label(&mut next)?;
    a.lodsb()?;
    a.cmp(al, cl)?;
    a.je(found)?;
    a.test(al, al)?;
    a.jne(next)?;
    a.xor(eax, eax)?;
    a.jmp(done)?;
    a.set_label(&mut found)?;
    a.lea(eax, dword_ptr(esi - 1))?;
    a.set_label(&mut done)?;
    a.nop()
}

/// int strcmp(a, b), or strncmp with a third parameter: at most so many bytes.
fn compare(a: &mut CodeAssembler, counted: bool) -> Result<(), IcedError> {
    let mut next = a.create_label();
    let mut equal = a.create_label();
    let mut done = a.create_label();
    a.mov(esi, parameter(0))?;
    a.mov(edi, parameter(1))?;
    if counted {
        a.mov(ecx, parameter(2))?;
    }
    a.set_label(&mut next)?;
    if counted {
        a.dec(ecx)?;
        a.js(equal)?;
    }
    a.movzx(eax, byte_ptr(esi))?;
    a.movzx(edx, byte_ptr(edi))?;
    a.inc(esi)?;
    a.inc(edi)?;
    a.sub(eax, edx)?;
    a.jne(done)?;
    a.test(edx, edx)?;
    a.jne(next)?;
    a.set_label(&mut equal)?;
    a.xor(eax, eax)?;
    a.set_label(&mut done)?;
    a.nop()
}

fn length(a: &mut CodeAssembler, bytes: i32) -> Result<(), IcedError> {
    let mut next = a.create_label();
    a.mov(ecx, parameter(0))?;
    a.or(eax, -1)?;
    a.set_label(&mut next)?;
    a.inc(eax)?;
    match bytes {
        1 => a.cmp(byte_ptr(ecx + eax), 0)?,
        _ => a.cmp(word_ptr(ecx + eax * 2), 0)?,
    }
    a.jne(next)
}
