//! What the processor and the trap handlers define: task state, trap frame, control region, saved context.

use super::layout;

layout! {
    /// The 32-bit task-state segment as the processor defines it; no I/O bitmap follows.
    TaskState = "_KTSS", 0x68;
    0x000 backlink: u16 = "Backlink";
    0x002 reserved_2: [u8; 0x2] = "";
    0x004 esp0: u32 = "Esp0";
    0x008 ss0: u16 = "Ss0";
    0x00A reserved_a: [u8; 0x2] = "";
    0x00C not_used1: [u32; 4] = "NotUsed1";
    0x01C cr3: u32 = "CR3";
    0x020 eip: u32 = "Eip";
    0x024 eflags: u32 = "EFlags";
    0x028 eax: u32 = "Eax";
    0x02C ecx: u32 = "Ecx";
    0x030 edx: u32 = "Edx";
    0x034 ebx: u32 = "Ebx";
    0x038 esp: u32 = "Esp";
    0x03C ebp: u32 = "Ebp";
    0x040 esi: u32 = "Esi";
    0x044 edi: u32 = "Edi";
    0x048 es: u16 = "Es";
    0x04A reserved_4a: [u8; 0x2] = "";
    0x04C cs: u16 = "Cs";
    0x04E reserved_4e: [u8; 0x2] = "";
    0x050 ss: u16 = "Ss";
    0x052 reserved_52: [u8; 0x2] = "";
    0x054 ds: u16 = "Ds";
    0x056 reserved_56: [u8; 0x2] = "";
    0x058 fs: u16 = "Fs";
    0x05A reserved_5a: [u8; 0x2] = "";
    0x05C gs: u16 = "Gs";
    0x05E reserved_5e: [u8; 0x2] = "";
    0x060 ldt: u16 = "LDT";
    0x062 reserved_62: [u8; 0x2] = "";
    0x064 flags: u16 = "Flags";
    0x066 io_map_base: u16 = "IoMapBase";
}

layout! {
    /// What every entry into the kernel leaves on the kernel stack.
    TrapFrame = "_KTRAP_FRAME", 0x8C;
    0x000 dbg_ebp: u32 = "DbgEbp";
    0x004 dbg_eip: u32 = "DbgEip";
    0x008 dbg_arg_mark: u32 = "DbgArgMark";
    0x00C dbg_arg_pointer: u32 = "DbgArgPointer";
    0x010 temp_seg_cs: u16 = "TempSegCs";
    0x012 logging: u8 = "Logging";
    0x013 reserved: u8 = "Reserved";
    0x014 temp_esp: u32 = "TempEsp";
    0x018 dr0: u32 = "Dr0";
    0x01C dr1: u32 = "Dr1";
    0x020 dr2: u32 = "Dr2";
    0x024 dr3: u32 = "Dr3";
    0x028 dr6: u32 = "Dr6";
    0x02C dr7: u32 = "Dr7";
    0x030 seg_gs: u32 = "SegGs";
    0x034 seg_es: u32 = "SegEs";
    0x038 seg_ds: u32 = "SegDs";
    0x03C edx: u32 = "Edx";
    0x040 ecx: u32 = "Ecx";
    0x044 eax: u32 = "Eax";
    0x048 previous_previous_mode: u32 = "PreviousPreviousMode";
    0x04C exception_list: u32 = "ExceptionList";
    0x050 seg_fs: u32 = "SegFs";
    0x054 edi: u32 = "Edi";
    0x058 esi: u32 = "Esi";
    0x05C ebx: u32 = "Ebx";
    0x060 ebp: u32 = "Ebp";
    0x064 err_code: u32 = "ErrCode";
    0x068 eip: u32 = "Eip";
    0x06C seg_cs: u32 = "SegCs";
    0x070 eflags: u32 = "EFlags";
    0x074 hardware_esp: u32 = "HardwareEsp";
    0x078 hardware_seg_ss: u32 = "HardwareSegSs";
    0x07C v86_es: u32 = "V86Es";
    0x080 v86_ds: u32 = "V86Ds";
    0x084 v86_fs: u32 = "V86Fs";
    0x088 v86_gs: u32 = "V86Gs";
}

layout! {
    /// The processor control region at FS:0 in the kernel, with the part of the processor block (+120h) that is used here.
    ControlRegion = "_KPCR", 0x700;
    0x000 exception_list: u32 = "ExceptionList";
    0x004 reserved_4: [u8; 0x14] = "";
    0x018 used_self: u32 = "Used_Self";
    0x01C self_pcr: u32 = "SelfPcr";
    0x020 prcb: u32 = "Prcb";
    0x024 irql: u8 = "Irql";
    0x025 reserved_25: [u8; 0x13] = "";
    0x038 idt: u32 = "IDT";
    0x03C gdt: u32 = "GDT";
    0x040 tss: u32 = "TSS";
    0x044 reserved_44: [u8; 0xD] = "";
    0x051 number: u8 = "Number";
    0x052 reserved_52: [u8; 0xD2] = "";
    0x124 current_thread: u32 = "CurrentThread";
    0x128 reserved_128: [u8; 0x588] = "";
    0x6B0 ke_system_calls: u32 = "KeSystemCalls";
    0x6B4 reserved_6b4: [u8; 0x4C] = "";
}

layout! {
    /// The registers of a thread as exception handlers and `NtContinue` see them.
    Context = "_CONTEXT", 0x2CC;
    0x000 context_flags: u32 = "ContextFlags";
    0x004 dr0: u32 = "Dr0";
    0x008 dr1: u32 = "Dr1";
    0x00C dr2: u32 = "Dr2";
    0x010 dr3: u32 = "Dr3";
    0x014 dr6: u32 = "Dr6";
    0x018 dr7: u32 = "Dr7";
    0x01C float_save: [u8; 0x70] = "FloatSave";
    0x08C seg_gs: u32 = "SegGs";
    0x090 seg_fs: u32 = "SegFs";
    0x094 seg_es: u32 = "SegEs";
    0x098 seg_ds: u32 = "SegDs";
    0x09C edi: u32 = "Edi";
    0x0A0 esi: u32 = "Esi";
    0x0A4 ebx: u32 = "Ebx";
    0x0A8 edx: u32 = "Edx";
    0x0AC ecx: u32 = "Ecx";
    0x0B0 eax: u32 = "Eax";
    0x0B4 ebp: u32 = "Ebp";
    0x0B8 eip: u32 = "Eip";
    0x0BC seg_cs: u32 = "SegCs";
    0x0C0 eflags: u32 = "EFlags";
    0x0C4 esp: u32 = "Esp";
    0x0C8 seg_ss: u32 = "SegSs";
    0x0CC extended_registers: [u8; 0x200] = "ExtendedRegisters";
}

layout! {
    /// What happened, where, and up to 15 parameters (for a page fault: 0 read or 1 write, and the address).
    ExceptionRecord = "_EXCEPTION_RECORD", 0x50;
    0x000 exception_code: u32 = "ExceptionCode";
    0x004 exception_flags: u32 = "ExceptionFlags";
    0x008 next: u32 = "ExceptionRecord";
    0x00C exception_address: u32 = "ExceptionAddress";
    0x010 number_parameters: u32 = "NumberParameters";
    0x014 exception_information: [u32; 15] = "ExceptionInformation";
}
