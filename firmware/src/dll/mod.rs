//! User-mode modules: `ntdll`, `KERNELBASE`, `kernel32` and the program `winlogon.exe`.

mod api_set_schema;
mod base_functions;
mod kernel32;
mod kernelbase;
mod ntdll;
mod winlogon;

pub use api_set_schema::source as api_set_schema;
pub use kernel32::source as kernel32;
pub use kernelbase::source as kernelbase;
pub use ntdll::source as ntdll;
pub use winlogon::source as winlogon;
