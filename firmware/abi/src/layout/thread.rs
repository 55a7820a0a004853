//! Kernel objects of a thread and the service tables.

use super::layout;

layout! {
    /// The kernel's part of a thread.
    KernelThread = "_KTHREAD", 0x200;
    0x000 reserved_0: [u8; 0x28] = "";
    0x028 initial_stack: u32 = "InitialStack";
    0x02C stack_limit: u32 = "StackLimit";
    0x030 kernel_stack: u32 = "KernelStack";
    0x034 reserved_34: [u8; 0x22] = "";
    0x056 user_apc_pending: u8 = "UserApcPending";
    0x057 reserved_57: [u8; 0x2D] = "";
    0x084 combined_apc_disable: u32 = "CombinedApcDisable";
    0x088 teb: u32 = "Teb";
    0x08C reserved_8c: [u8; 0x2C] = "";
    0x0B8 thread_flags: u32 = "ThreadFlags";
    0x0BC service_table: u32 = "ServiceTable";
    0x0C0 reserved_c0: [u8; 0x68] = "";
    0x128 trap_frame: u32 = "TrapFrame";
    0x12C first_argument: u32 = "FirstArgument";
    0x130 reserved_130: [u8; 0x4] = "";
    0x134 apc_state_index: u8 = "ApcStateIndex";
    0x135 reserved_135: [u8; 0x5] = "";
    0x13A previous_mode: u8 = "PreviousMode";
    0x13B reserved_13b: [u8; 0x1] = "";
    0x13C system_call_number: u32 = "SystemCallNumber";
    0x140 reserved_140: [u8; 0x4C] = "";
    0x18C win32_thread: u32 = "Win32Thread";
    0x190 stack_base: u32 = "StackBase";
    0x194 reserved_194: [u8; 0x6C] = "";
}

layout! {
    /// One table of services; the four make `KeServiceDescriptorTable`.
    ServiceDescriptor = "_KSERVICE_TABLE_DESCRIPTOR", 0x10;
    0x000 base: u32 = "Base";
    0x004 count: u32 = "Count";
    0x008 limit: u32 = "Limit";
    0x00C argument_table: u32 = "Number";
}

layout! {
    /// Where a service of the I/O manager leaves its outcome.
    IoStatusBlock = "_IO_STATUS_BLOCK", 0x8;
    0x000 status: u32 = "Status";
    0x004 information: u32 = "Information";
}

layout! {
    /// Win32's view of an I/O status block with position and event.
    Overlapped = "_OVERLAPPED", 0x14;
    0x000 internal: u32 = "Internal";
    0x004 internal_high: u32 = "InternalHigh";
    0x008 offset: u32 = "Offset";
    0x00C offset_high: u32 = "OffsetHigh";
    0x010 event: u32 = "hEvent";
}
