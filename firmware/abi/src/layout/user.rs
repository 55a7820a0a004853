//! What user code sees: thread and process environment, loader lists, process parameters, the shared page.

use super::layout;

layout! {
    /// A counted UTF-16 string; lengths in bytes.
    UnicodeString = "_UNICODE_STRING", 0x8;
    0x000 length: u16 = "Length";
    0x002 maximum_length: u16 = "MaximumLength";
    0x004 buffer: u32 = "Buffer";
}

layout! {
    /// A link of a doubly linked list.
    ListEntry = "_LIST_ENTRY", 0x8;
    0x000 flink: u32 = "Flink";
    0x004 blink: u32 = "Blink";
}

layout! {
    /// The thread environment block at FS:0 in user mode.
    ThreadEnvironment = "_TEB", 0xFE4;
    0x000 exception_list: u32 = "ExceptionList";
    0x004 stack_base: u32 = "StackBase";
    0x008 stack_limit: u32 = "StackLimit";
    0x00C reserved_c: [u8; 0xC] = "";
    0x018 self_pointer: u32 = "Self";
    0x01C reserved_1c: [u8; 0x4] = "";
    0x020 unique_process: u32 = "UniqueProcess";
    0x024 unique_thread: u32 = "UniqueThread";
    0x028 reserved_28: [u8; 0x4] = "";
    0x02C thread_local_storage_pointer: u32 = "ThreadLocalStoragePointer";
    0x030 process_environment_block: u32 = "ProcessEnvironmentBlock";
    0x034 last_error_value: u32 = "LastErrorValue";
    0x038 reserved_38: [u8; 0x88] = "";
    0x0C0 wow32_reserved: u32 = "WOW32Reserved";
    0x0C4 current_locale: u32 = "CurrentLocale";
    0x0C8 reserved_c8: [u8; 0xB2C] = "";
    0xBF4 last_status_value: u32 = "LastStatusValue";
    0xBF8 reserved_bf8: [u8; 0x218] = "";
    0xE10 tls_slots: [u32; 64] = "TlsSlots";
    0xF10 reserved_f10: [u8; 0x60] = "";
    0xF70 gdi_batch_count: u32 = "GdiBatchCount";
    0xF74 reserved_f74: [u8; 0x70] = "";
}

layout! {
    /// The process environment block.
    ProcessEnvironment = "_PEB", 0x248;
    0x000 reserved_0: [u8; 0x2] = "";
    0x002 being_debugged: u8 = "BeingDebugged";
    0x003 reserved_3: [u8; 0x5] = "";
    0x008 image_base_address: u32 = "ImageBaseAddress";
    0x00C ldr: u32 = "Ldr";
    0x010 process_parameters: u32 = "ProcessParameters";
    0x014 reserved_14: [u8; 0x4] = "";
    0x018 process_heap: u32 = "ProcessHeap";
    0x01C reserved_1c: [u8; 0x1C] = "";
    0x038 api_set_map: u32 = "ApiSetMap";
    0x03C reserved_3c: [u8; 0x28] = "";
    0x064 number_of_processors: u32 = "NumberOfProcessors";
    0x068 nt_global_flag: u32 = "NtGlobalFlag";
    0x06C reserved_6c: [u8; 0x38] = "";
    0x0A4 os_major_version: u32 = "OSMajorVersion";
    0x0A8 os_minor_version: u32 = "OSMinorVersion";
    0x0AC os_build_number: u16 = "OSBuildNumber";
    0x0AE os_csd_version: u16 = "OSCSDVersion";
    0x0B0 reserved_b0: [u8; 0x198] = "";
}

layout! {
    /// Heads of the lists of loaded modules.
    LoaderData = "_PEB_LDR_DATA", 0x30;
    0x000 length: u32 = "Length";
    0x004 initialized: u8 = "Initialized";
    0x005 reserved_5: [u8; 0x7] = "";
    0x00C in_load_order: ListEntry = "InLoadOrderModuleList";
    0x014 in_memory_order: ListEntry = "InMemoryOrderModuleList";
    0x01C in_initialization_order: ListEntry = "InInitializationOrderModuleList";
    0x024 reserved_24: [u8; 0xC] = "";
}

layout! {
    /// One loaded module.
    LoaderEntry = "_LDR_DATA_TABLE_ENTRY", 0x78;
    0x000 in_load_order: ListEntry = "InLoadOrderLinks";
    0x008 in_memory_order: ListEntry = "InMemoryOrderLinks";
    0x010 in_initialization_order: ListEntry = "InInitializationOrderLinks";
    0x018 dll_base: u32 = "DllBase";
    0x01C entry_point: u32 = "EntryPoint";
    0x020 size_of_image: u32 = "SizeOfImage";
    0x024 full_dll_name: UnicodeString = "FullDllName";
    0x02C base_dll_name: UnicodeString = "BaseDllName";
    0x034 flags: u32 = "Flags";
    0x038 load_count: u16 = "LoadCount";
    0x03A reserved_3a: [u8; 0xA] = "";
    0x044 time_date_stamp: u32 = "TimeDateStamp";
    0x048 reserved_48: [u8; 0x30] = "";
}

layout! {
    /// Standard handles, command line and paths of a process.
    ProcessParameters = "_RTL_USER_PROCESS_PARAMETERS", 0x290;
    0x000 maximum_length: u32 = "MaximumLength";
    0x004 length: u32 = "Length";
    0x008 flags: u32 = "Flags";
    0x00C reserved_c: [u8; 0xC] = "";
    0x018 standard_input: u32 = "StandardInput";
    0x01C standard_output: u32 = "StandardOutput";
    0x020 standard_error: u32 = "StandardError";
    0x024 current_directory: UnicodeString = "CurrentDirectory";
    0x02C reserved_2c: [u8; 0x4] = "";
    0x030 dll_path: UnicodeString = "DllPath";
    0x038 image_path_name: UnicodeString = "ImagePathName";
    0x040 command_line: UnicodeString = "CommandLine";
    0x048 environment: u32 = "Environment";
    0x04C reserved_4c: [u8; 0x244] = "";
}

layout! {
    /// A 64-bit time that a reader takes without a lock: valid while both high parts are equal.
    SystemTime = "_KSYSTEM_TIME", 0xC;
    0x000 low_part: u32 = "LowPart";
    0x004 high1_time: u32 = "High1Time";
    0x008 high2_time: u32 = "High2Time";
}

layout! {
    /// The page that the kernel writes and every process reads.
    SharedUserData = "_KUSER_SHARED_DATA", 0x5F0;
    0x000 tick_count_low_deprecated: u32 = "TickCountLowDeprecated";
    0x004 tick_count_multiplier: u32 = "TickCountMultiplier";
    0x008 interrupt_time: SystemTime = "InterruptTime";
    0x014 system_time: SystemTime = "SystemTime";
    0x020 time_zone_bias: SystemTime = "TimeZoneBias";
    0x02C image_number_low: u16 = "ImageNumberLow";
    0x02E image_number_high: u16 = "ImageNumberHigh";
    0x030 nt_system_root: [u16; 260] = "NtSystemRoot";
    0x238 max_stack_trace_depth: u32 = "MaxStackTraceDepth";
    0x23C reserved_23c: [u8; 0x28] = "";
    0x264 nt_product_type: u32 = "NtProductType";
    0x268 product_type_is_valid: u8 = "ProductTypeIsValid";
    0x269 reserved_269: [u8; 0x3] = "";
    0x26C nt_major_version: u32 = "NtMajorVersion";
    0x270 nt_minor_version: u32 = "NtMinorVersion";
    0x274 processor_features: [u8; 64] = "ProcessorFeatures";
    0x2B4 reserved_2b4: [u8; 0x1C] = "";
    0x2D0 suite_mask: u32 = "SuiteMask";
    0x2D4 kd_debugger_enabled: u8 = "KdDebuggerEnabled";
    0x2D5 reserved_2d5: [u8; 0x13] = "";
    0x2E8 number_of_physical_pages: u32 = "NumberOfPhysicalPages";
    0x2EC safe_boot_mode: u8 = "SafeBootMode";
    0x2ED reserved_2ed: [u8; 0xB] = "";
    0x2F8 test_ret_instruction: u64 = "TestRetInstruction";
    0x300 system_call: u32 = "SystemCall";
    0x304 system_call_return: u32 = "SystemCallReturn";
    0x308 system_call_pad: [u64; 3] = "SystemCallPad";
    0x320 tick_count: SystemTime = "TickCount";
    0x32C reserved_32c: [u8; 0x4] = "";
    0x330 cookie: u32 = "Cookie";
    0x334 reserved_334: [u8; 0x8C] = "";
    0x3C0 active_processor_count: u32 = "ActiveProcessorCount";
    0x3C4 reserved_3c4: [u8; 0x22C] = "";
}
