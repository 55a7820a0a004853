//! The DLLs: `ntdll`, `KERNELBASE`, `kernel32` and the API set schema.

mod api_set_schema;
mod base_functions;
mod heap;
mod kernel32;
mod kernelbase;
mod msvcrt;
mod ntdll;
mod program_functions;

pub use api_set_schema::source as api_set_schema;
pub use heap::PROCESS_HEAP;
pub use kernel32::source as kernel32;
pub use kernelbase::source as kernelbase;
pub use msvcrt::{FILE_NAME as MSVCRT, LAYER as MSVCRT_LAYER, source as msvcrt};
pub use ntdll::source as ntdll;
