//! Addresses that user code and kernel both know.

/// `MmUserProbeAddress`: the first address that a user pointer may not reach.
pub const USER_PROBE_ADDRESS: u32 = 0x7FFF_0000;
/// `KUSER_SHARED_DATA` as user code reads it.
pub const SHARED_USER_DATA: u32 = 0x7FFE_0000;
/// `KUSER_SHARED_DATA` as the kernel writes it: the same physical page.
pub const SHARED_USER_DATA_KERNEL: u32 = 0xFFDF_0000;
/// Where, in the page of `KUSER_SHARED_DATA` and behind the structure, the kernel of a bill image leaves its time stamps.
pub const KERNEL_STAMPS: u32 = 0x800;
/// Page directory as seen through the self map (two-level paging).
pub const SELF_MAP_DIRECTORY: u32 = 0xC030_0000;
/// Page tables as seen through the self map: the entry of `va` is at this plus `(va >> 12) * 4`.
pub const SELF_MAP_TABLES: u32 = 0xC000_0000;

/// Pseudo-handle of the own process.
pub const CURRENT_PROCESS: u32 = 0xFFFF_FFFF;
/// `STD_INPUT_HANDLE` of `GetStdHandle`.
pub const STD_INPUT_HANDLE: u32 = 0xFFFF_FFF6;
/// `STD_OUTPUT_HANDLE` of `GetStdHandle`.
pub const STD_OUTPUT_HANDLE: u32 = 0xFFFF_FFF5;
/// `STD_ERROR_HANDLE` of `GetStdHandle`.
pub const STD_ERROR_HANDLE: u32 = 0xFFFF_FFF4;
