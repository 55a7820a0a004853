//! Structures of Windows 7 SP1 x86 at their published offsets; pointers are 32 bits wide.
//!
//! Each is a `#[repr(C)]` struct for `offset_of!`, and a [`Layout`] for tools that print memory as types.

mod processor;
mod thread;
mod user;

pub use processor::*;
pub use thread::*;
pub use user::*;

/// A structure's published name, size and fields.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The name in public symbols, such as `_KTRAP_FRAME`.
    pub name: &'static str,
    /// Bytes.
    pub size: u32,
    /// In order of offset; gaps hold what is not used here.
    pub fields: &'static [Field],
}

/// One field of a [`Layout`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The published name, such as `ErrCode`; empty for a gap.
    pub name: &'static str,
    /// Bytes from the start of the structure.
    pub offset: u32,
    /// The field's Rust type as written: `u32`, `[u8; 0x70]`, `ListEntry`.
    pub kind: &'static str,
}

/// All structures.
pub const LAYOUTS: &[&Layout] = &[
    &TaskState::LAYOUT,
    &TrapFrame::LAYOUT,
    &ControlRegion::LAYOUT,
    &Context::LAYOUT,
    &ExceptionRecord::LAYOUT,
    &KernelThread::LAYOUT,
    &ServiceDescriptor::LAYOUT,
    &IoStatusBlock::LAYOUT,
    &Overlapped::LAYOUT,
    &UnicodeString::LAYOUT,
    &ListEntry::LAYOUT,
    &ThreadEnvironment::LAYOUT,
    &ProcessEnvironment::LAYOUT,
    &LoaderData::LAYOUT,
    &LoaderEntry::LAYOUT,
    &ProcessParameters::LAYOUT,
    &SystemTime::LAYOUT,
    &SharedUserData::LAYOUT,
];

/// Declares a structure from rows `offset rust_name: type = "PublishedName";` and asserts each offset
/// and the size when the crate is compiled.
macro_rules! layout {
    (
        $(#[$doc:meta])* $rust:ident = $name:literal, $size:literal;
        $($offset:literal $field:ident: $kind:ty = $published:literal;)+
    ) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct $rust {
            $(#[doc = concat!("`", $published, "` at +", stringify!($offset), ".")] pub $field: $kind,)+
        }

        impl $rust {
            /// Published name, size and fields.
            pub const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                name: $name,
                size: $size,
                fields: &[$($crate::layout::Field {
                    name: $published,
                    offset: $offset,
                    kind: stringify!($kind),
                }),+],
            };
        }

        const _: () = assert!(size_of::<$rust>() == $size, concat!("size of ", $name));
        $(const _: () = assert!(
            ::core::mem::offset_of!($rust, $field) == $offset,
            concat!($name, ".", $published)
        );)+
    };
}
use layout;
