//! What the loader prepares for kernel and process: descriptor tables, shared page, PEB, TEB, module lists.

use crate::hardware::PIT_HZ;
use crate::image::{Gate, ImageOptions};
use crate::kernel::ESP0;
use crate::memory_map::*;
use crate::own_program::OwnProgram;
use abi::layout::*;
use abi::selectors;
use std::mem::offset_of;

/// Milliseconds of a tick, with 24 fraction bits.
const TICK_MULTIPLIER: u32 = 0x0FA0_0000;
const I386: u16 = 0x014C;
const PRODUCT_WORKSTATION: u32 = 1;
/// `PF_COMPARE_EXCHANGE_DOUBLE` and `PF_RDTSC_INSTRUCTION_AVAILABLE`.
const FEATURES: [usize; 2] = [2, 8];
/// RET, for debuggers that test whether the page can be executed.
const TEST_RET: u64 = 0xC3;
/// 2011-02-22 00:00 UTC, the day Service Pack 1 came out, in 100 ns units since 1601: the chip has no clock
/// that knows the date.
const BOOT_TIME: u64 = 129_427_200_000_000_000;
const PROCESS_ID: u32 = 0x1A4;
const THREAD_ID: u32 = 0x1A8;
/// Handles of the serial device: low bits 00, so not a console's.
const STANDARD_HANDLES: [u32; 3] = [4, 8, 0xC];
const IMAGE_DIRECTORY: &str = r"C:\Windows\System32\";
const COMMAND_LINE: &str = "winlogon.exe";
/// Environment of own programs: each variable ends with a zero, the block with another.
const ENVIRONMENT: &str = "PATH=C:\\Windows\\System32\0SystemRoot=C:\\Windows\0\0";
/// The static import entry's load count: never unloaded.
const LOAD_COUNT_STATIC: u16 = 0xFFFF;

const _: () = assert!(PIT_HZ > 0);

/// A mapped module for the loader's lists.
#[derive(Clone, Debug)]
pub struct LoadedModule {
    /// File name without path.
    pub file_name: String,
    /// Base address.
    pub base: u32,
    /// Address of the entry point, or 0.
    pub entry: u32,
    /// Bytes of address space.
    pub size: u32,
}

/// Memory at a known address that is filled field by field.
struct Block {
    base: u32,
    bytes: Vec<u8>,
}

impl Block {
    fn new(base: u32, length: usize) -> Self {
        Block {
            base,
            bytes: vec![0; length],
        }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn put32(&mut self, offset: usize, value: u32) {
        self.put(offset, &value.to_le_bytes());
    }

    fn put16(&mut self, offset: usize, value: u16) {
        self.put(offset, &value.to_le_bytes());
    }

    /// Appends bytes at a multiple of 4; returns their offset.
    fn append(&mut self, bytes: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        offset
    }

    /// Appends a string and describes it by the `UNICODE_STRING` at `offset`.
    fn put_string(&mut self, offset: usize, text: &str) {
        let units: Vec<u8> = text
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .collect();
        let at = self.append(&units);
        self.put16(
            offset + offset_of!(UnicodeString, length),
            units.len() as u16 - 2,
        );
        self.put16(
            offset + offset_of!(UnicodeString, maximum_length),
            units.len() as u16,
        );
        self.put32(
            offset + offset_of!(UnicodeString, buffer),
            self.base + at as u32,
        );
    }

    fn put_time(&mut self, offset: usize, time: u64) {
        self.put32(offset + offset_of!(SystemTime, low_part), time as u32);
        self.put32(
            offset + offset_of!(SystemTime, high1_time),
            (time >> 32) as u32,
        );
        self.put32(
            offset + offset_of!(SystemTime, high2_time),
            (time >> 32) as u32,
        );
    }
}

/// A segment descriptor: `access` is its byte 5, `flags` the high half of byte 6.
const fn descriptor(base: u32, limit: u32, access: u8, flags: u8) -> u64 {
    let base = base as u64;
    let limit = limit as u64;
    (limit & 0xFFFF)
        | (base & 0xFF_FFFF) << 16
        | (access as u64) << 40
        | (limit >> 16 & 0xF) << 48
        | (flags as u64) << 52
        | (base >> 24) << 56
}

/// The page with GDT, IDT (filled by the kernel), task state and the stack of SYSENTER.
pub fn descriptor_page(block: &LoaderBlock, page_directory: u32) -> Vec<u8> {
    let mut page = Block::new(DESCRIPTOR_PAGE, 0x1000);
    let task_bytes = size_of::<TaskState>() as u32;
    // Code and data with the accessed bit set: a load need not write the table.
    for (selector, descriptor) in [
        (selectors::KERNEL_CODE, descriptor(0, 0xF_FFFF, 0x9B, 0xC)),
        (selectors::KERNEL_DATA, descriptor(0, 0xF_FFFF, 0x93, 0xC)),
        (selectors::USER_CODE, descriptor(0, 0xF_FFFF, 0xFB, 0xC)),
        (selectors::USER_DATA, descriptor(0, 0xF_FFFF, 0xF3, 0xC)),
        (
            selectors::TSS,
            descriptor(TASK_STATE, task_bytes - 1, 0x89, 0),
        ),
        (
            selectors::KERNEL_PCR,
            descriptor(CONTROL_REGION, 0xFFF, 0x93, 0x4),
        ),
        (
            selectors::USER_TEB,
            descriptor(THREAD_ENVIRONMENT, 0xFFF, 0xF3, 0x4),
        ),
    ] {
        page.put(
            (GDT - DESCRIPTOR_PAGE) as usize + usize::from(selector & !7),
            &descriptor.to_le_bytes(),
        );
    }
    let task = (TASK_STATE - DESCRIPTOR_PAGE) as usize;
    page.put32(task + offset_of!(TaskState, esp0), ESP0);
    page.put16(task + offset_of!(TaskState, ss0), selectors::KERNEL_DATA);
    page.put32(task + offset_of!(TaskState, cr3), page_directory);
    // At the segment's end: no port is open to ring 3.
    page.put16(task + offset_of!(TaskState, io_map_base), task_bytes as u16);
    let at = (LOADER_BLOCK - DESCRIPTOR_PAGE) as usize;
    page.put32(at + offset_of!(LoaderBlock, free_memory), block.free_memory);
    page.put32(at + offset_of!(LoaderBlock, memory_end), block.memory_end);
    page.put32(
        at + offset_of!(LoaderBlock, user_thread_start),
        block.user_thread_start,
    );
    page.put32(at + offset_of!(LoaderBlock, user_entry), block.user_entry);
    page.put32(
        at + offset_of!(LoaderBlock, user_exception_dispatcher),
        block.user_exception_dispatcher,
    );
    page.bytes
}

/// Bytes of the user's stack that are there from the start.
pub fn user_stack_bytes(options: &ImageOptions) -> u32 {
    match options.own_program {
        None => USER_STACK_BYTES,
        Some(_) => OWN_STACK_BYTES,
    }
}

/// `KUSER_SHARED_DATA`. `system_call` is the gate's address, `system_call_return` where SYSEXIT lands.
pub fn shared_user_data(
    options: &ImageOptions,
    system_call: u32,
    system_call_return: u32,
) -> Vec<u8> {
    let mut page = Block::new(0, size_of::<SharedUserData>());
    page.put32(
        offset_of!(SharedUserData, tick_count_multiplier),
        TICK_MULTIPLIER,
    );
    page.put_time(offset_of!(SharedUserData, system_time), BOOT_TIME);
    page.put16(offset_of!(SharedUserData, image_number_low), I386);
    page.put16(offset_of!(SharedUserData, image_number_high), I386);
    let root: Vec<u8> = r"C:\Windows"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    page.put(offset_of!(SharedUserData, nt_system_root), &root);
    page.put32(
        offset_of!(SharedUserData, nt_product_type),
        PRODUCT_WORKSTATION,
    );
    page.put(offset_of!(SharedUserData, product_type_is_valid), &[1]);
    let release = options.windows.release();
    page.put32(offset_of!(SharedUserData, nt_major_version), release.major);
    page.put32(offset_of!(SharedUserData, nt_minor_version), release.minor);
    for feature in FEATURES {
        page.put(
            offset_of!(SharedUserData, processor_features) + feature,
            &[1],
        );
    }
    page.put32(
        offset_of!(SharedUserData, number_of_physical_pages),
        options.ram_bytes / 0x1000,
    );
    page.put(
        offset_of!(SharedUserData, test_ret_instruction),
        &TEST_RET.to_le_bytes(),
    );
    page.put32(offset_of!(SharedUserData, system_call), system_call);
    page.put32(
        offset_of!(SharedUserData, system_call_return),
        system_call_return,
    );
    page.put32(offset_of!(SharedUserData, active_processor_count), 1);
    page.bytes
}

/// The thread environment block.
///
/// The user's stack has `stack_bytes`.
pub fn thread_environment(stack_bytes: u32) -> Vec<u8> {
    let mut page = Block::new(THREAD_ENVIRONMENT, size_of::<ThreadEnvironment>());
    page.put32(offset_of!(ThreadEnvironment, exception_list), u32::MAX);
    page.put32(offset_of!(ThreadEnvironment, stack_base), USER_STACK_TOP);
    page.put32(
        offset_of!(ThreadEnvironment, stack_limit),
        USER_STACK_TOP - stack_bytes,
    );
    page.put32(
        offset_of!(ThreadEnvironment, self_pointer),
        THREAD_ENVIRONMENT,
    );
    page.put32(offset_of!(ThreadEnvironment, unique_process), PROCESS_ID);
    page.put32(offset_of!(ThreadEnvironment, unique_thread), THREAD_ID);
    page.put32(
        offset_of!(ThreadEnvironment, process_environment_block),
        PROCESS_ENVIRONMENT,
    );
    page.bytes
}

/// The process environment block for a program at `image_base`; its lists are in [`loader_heap`].
pub fn process_environment(options: &ImageOptions, image_base: u32, heap: u32) -> Vec<u8> {
    let release = options.windows.release();
    let mut page = Block::new(PROCESS_ENVIRONMENT, size_of::<ProcessEnvironment>());
    page.put32(
        offset_of!(ProcessEnvironment, image_base_address),
        image_base,
    );
    page.put32(offset_of!(ProcessEnvironment, ldr), LOADER_HEAP);
    page.put32(
        offset_of!(ProcessEnvironment, process_parameters),
        LOADER_HEAP + PARAMETERS_AT as u32,
    );
    page.put32(offset_of!(ProcessEnvironment, process_heap), heap);
    if options.windows.has_kernelbase() {
        page.put32(offset_of!(ProcessEnvironment, api_set_map), API_SET_MAP);
    }
    page.put32(offset_of!(ProcessEnvironment, number_of_processors), 1);
    page.put32(
        offset_of!(ProcessEnvironment, os_major_version),
        release.major,
    );
    page.put32(
        offset_of!(ProcessEnvironment, os_minor_version),
        release.minor,
    );
    page.put16(
        offset_of!(ProcessEnvironment, os_build_number),
        release.build,
    );
    page.put16(
        offset_of!(ProcessEnvironment, os_csd_version),
        release.service_pack,
    );
    page.bytes
}

/// Process parameters follow the list heads.
const PARAMETERS_AT: usize = size_of::<LoaderData>();

/// List heads, process parameters, one entry for each module, strings.
pub fn loader_heap(modules: &[LoadedModule], own: Option<&OwnProgram>) -> Vec<u8> {
    let entries_at = PARAMETERS_AT + size_of::<ProcessParameters>();
    let entry_bytes = size_of::<LoaderEntry>();
    let mut heap = Block::new(LOADER_HEAP, entries_at + modules.len() * entry_bytes);
    heap.put32(
        offset_of!(LoaderData, length),
        size_of::<LoaderData>() as u32,
    );
    heap.put(offset_of!(LoaderData, initialized), &[1]);

    let at = PARAMETERS_AT;
    heap.put32(
        at + offset_of!(ProcessParameters, maximum_length),
        size_of::<ProcessParameters>() as u32,
    );
    heap.put32(
        at + offset_of!(ProcessParameters, length),
        size_of::<ProcessParameters>() as u32,
    );
    for (index, handle) in STANDARD_HANDLES.into_iter().enumerate() {
        heap.put32(
            at + offset_of!(ProcessParameters, standard_input) + index * 4,
            handle,
        );
    }
    heap.put_string(
        at + offset_of!(ProcessParameters, current_directory),
        IMAGE_DIRECTORY,
    );
    heap.put_string(
        at + offset_of!(ProcessParameters, image_path_name),
        &full_name(own.map_or(COMMAND_LINE, |own| &own.file_name)),
    );
    heap.put_string(
        at + offset_of!(ProcessParameters, command_line),
        own.map_or(COMMAND_LINE, |own| &own.command_line),
    );
    if own.is_some() {
        let units: Vec<u8> = ENVIRONMENT
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let block = heap.append(&units) as u32;
        heap.put32(
            at + offset_of!(ProcessParameters, environment),
            LOADER_HEAP + block,
        );
    }

    for (index, module) in modules.iter().enumerate() {
        let at = entries_at + index * entry_bytes;
        heap.put32(at + offset_of!(LoaderEntry, dll_base), module.base);
        heap.put32(at + offset_of!(LoaderEntry, entry_point), module.entry);
        heap.put32(at + offset_of!(LoaderEntry, size_of_image), module.size);
        heap.put16(at + offset_of!(LoaderEntry, load_count), LOAD_COUNT_STATIC);
        heap.put_string(
            at + offset_of!(LoaderEntry, full_dll_name),
            &full_name(&module.file_name),
        );
        heap.put_string(
            at + offset_of!(LoaderEntry, base_dll_name),
            &module.file_name,
        );
    }
    let entry = |index: usize| entries_at + index * entry_bytes;
    let count = modules.len();
    let load_order: Vec<usize> = (0..count).map(entry).collect();
    // The program itself is not initialised; the lowest DLL comes first.
    let initialization_order: Vec<usize> = (1..count).map(entry).collect();
    for (head, links, order) in [
        (
            offset_of!(LoaderData, in_load_order),
            offset_of!(LoaderEntry, in_load_order),
            &load_order,
        ),
        (
            offset_of!(LoaderData, in_memory_order),
            offset_of!(LoaderEntry, in_memory_order),
            &load_order,
        ),
        (
            offset_of!(LoaderData, in_initialization_order),
            offset_of!(LoaderEntry, in_initialization_order),
            &initialization_order,
        ),
    ] {
        let mut ring = vec![head];
        ring.extend(order.iter().map(|at| at + links));
        for (index, &at) in ring.iter().enumerate() {
            let next = ring[(index + 1) % ring.len()];
            heap.put32(at + offset_of!(ListEntry, flink), LOADER_HEAP + next as u32);
            heap.put32(next + offset_of!(ListEntry, blink), LOADER_HEAP + at as u32);
        }
    }
    heap.bytes
}

fn full_name(file_name: &str) -> String {
    format!("{IMAGE_DIRECTORY}{file_name}")
}

/// Symbol of the gate that 7FFE0300h points to.
pub fn gate_symbol(gate: Gate) -> &'static str {
    match gate {
        Gate::Sysenter => "KiFastSystemCall",
        Gate::Int2e => "KiIntSystemCall",
    }
}
