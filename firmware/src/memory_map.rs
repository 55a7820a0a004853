//! Where the image keeps what does not belong to a module.

/// The kernel's stack: pages end here; the guard below is not mapped.
pub const KERNEL_STACK_TOP: u32 = 0xFFDF_C000;
/// Bytes of the kernel's stack.
pub const KERNEL_STACK_BYTES: u32 = 0x2000;
/// Page with descriptor tables, task state and the stack of SYSENTER.
pub const DESCRIPTOR_PAGE: u32 = 0xFFDF_E000;
/// Global descriptor table.
pub const GDT: u32 = DESCRIPTOR_PAGE;
/// Bytes of the global descriptor table.
pub const GDT_BYTES: u32 = 0x60;
/// What the boot code tells the kernel: a [`LoaderBlock`].
pub const LOADER_BLOCK: u32 = DESCRIPTOR_PAGE + 0x100;
/// Interrupt descriptor table.
pub const IDT: u32 = DESCRIPTOR_PAGE + 0x400;
/// Bytes of the interrupt descriptor table.
pub const IDT_BYTES: u32 = 0x800;
/// Task-state segment.
pub const TASK_STATE: u32 = DESCRIPTOR_PAGE + 0xC00;
/// SYSENTER starts with ESP here; the stack only serves until the kernel has switched to the thread's.
pub const SYSENTER_STACK_TOP: u32 = DESCRIPTOR_PAGE + 0x1000;
/// The processor control region.
pub const CONTROL_REGION: u32 = 0xFFDF_F000;

/// The user stack ends here.
pub const USER_STACK_TOP: u32 = 0x000C_0000;
/// Bytes of the user stack that are there from the start.
pub const USER_STACK_BYTES: u32 = 0x3000;
/// The same for a user's own program.
pub const OWN_STACK_BYTES: u32 = 0x1_0000;
/// Loader lists, process parameters and their strings.
pub const LOADER_HEAP: u32 = 0x000D_0000;
/// The API set schema.
pub const API_SET_MAP: u32 = 0x0004_0000;
/// `NtAllocateVirtualMemory` chooses from here.
pub const ALLOCATION_BASE: u32 = 0x0010_0000;
/// End of what `NtAllocateVirtualMemory` chooses from.
pub const ALLOCATION_END: u32 = 0x0040_0000;
/// Process environment block.
pub const PROCESS_ENVIRONMENT: u32 = 0x7FFD_F000;
/// Thread environment block.
pub const THREAD_ENVIRONMENT: u32 = 0x7FFD_E000;

/// What the boot code tells the kernel, at [`LOADER_BLOCK`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LoaderBlock {
    /// First physical address after what the image uses.
    pub free_memory: u32,
    /// End of RAM.
    pub memory_end: u32,
    /// First user instruction: `ntdll!RtlUserThreadStart`.
    pub user_thread_start: u32,
    /// EAX of the first user instruction: the program's entry point.
    pub user_entry: u32,
    /// `ntdll!KiUserExceptionDispatcher`.
    pub user_exception_dispatcher: u32,
}
