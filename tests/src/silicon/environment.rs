//! What surrounds an instruction: memory, descriptors, and the segments it may load.
//!
//! The descriptors are those of Linux for x86-64 as far as ring 3 can see them, for that is where cases are recorded.
use super::window;
use spec::{paging, segments};
use std::ops::Range;

/// The page of code: present, not writable, filled with [`HALT`].
pub const CODE_PAGE: u32 = 0x1000_0000;
/// Linear address of the data window.
pub const WINDOW: u32 = 0x1002_0000;
/// Length of the window.
pub const WINDOW_BYTES: usize = 0x1_0000;
/// A page of zeros behind the window: present, not writable.
pub const READ_ONLY_PAGE: u32 = WINDOW + WINDOW_BYTES as u32;
/// What code is filled up with: in ring 3, it raises #GP.
pub const HALT: u8 = 0xF4;

/// Selector of ring 3's code.
pub const RING_3_CODE: u16 = 0x20 | 3;
/// Selector of ring 3's data.
pub const RING_3_DATA: u16 = 0x28 | 3;
/// Selector of the exception handler's code.
pub const RING_0_CODE: u16 = 0x08;
/// Selector of the exception handler's stack.
pub const RING_0_DATA: u16 = 0x18;
/// Selector of the task-state segment.
pub const TSS_SELECTOR: u16 = 0x40;
/// Selector of the local descriptor table.
pub const LDT_SELECTOR: u16 = 0x50;
/// Limit of the GDT.
pub const GDT_LIMIT: u32 = 127;
/// ES, CS, SS, DS, FS, GS of a program.
pub const FLAT: [u16; 6] = [RING_3_DATA, RING_3_CODE, RING_3_DATA, RING_3_DATA, 0, 0];

const FLAT_FLAGS: u16 = segments::FLAG_GRANULARITY | segments::FLAG_BIG;

/// A descriptor of the GDT, or zero.
pub fn gdt(selector: u16, tss_base: u32) -> u64 {
    let flat = |access| segments::descriptor(0, 0xF_FFFF, access, FLAT_FLAGS);
    match selector & segments::SELECTOR_OFFSET {
        // 10h is the kernel's 64-bit code, which a 32-bit program can only fail to use.
        RING_0_CODE | 0x10 => flat(0x9B),
        RING_0_DATA => flat(0x93),
        0x20 => flat(0xFB),
        0x28 => flat(0xF3),
        TSS_SELECTOR => {
            let access = segments::ACCESS_PRESENT | segments::TSS_32_BUSY;
            segments::descriptor(tss_base, segments::TSS_MINIMUM_LIMIT, access, 0)
        }
        LDT_SELECTOR => segments::descriptor(0, 0xFFF, segments::ACCESS_PRESENT | segments::LDT, 0),
        _ => 0,
    }
}

/// Selectors that no case may use: 64-bit code, the host's CPU number, and halves of 16-byte descriptors.
pub fn is_host_only(selector: u16) -> bool {
    selector & segments::SELECTOR_LDT == 0
        && matches!(
            selector & segments::SELECTOR_OFFSET,
            0x30 | 0x38 | 0x48 | 0x58 | 0x78
        )
}

/// A segment of the LDT, as `modify_ldt` takes it. Its level is 3, and it has been accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Linear address of offset 0.
    pub base: u32,
    /// Bits 19:0 of the limit.
    pub limit: u32,
    /// D of code, B of data.
    pub big: bool,
    /// 0 data, 1 expand-down data, 2 code, 3 conforming code.
    pub contents: u8,
    /// Data that cannot be written, code that cannot be read.
    pub read_execute_only: bool,
    /// The limit counts pages.
    pub in_pages: bool,
    /// Clear raises #NP or #SS when the selector is loaded.
    pub present: bool,
    /// The bit that is software's.
    pub available: bool,
}

/// A descriptor taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Linear address of offset 0.
    pub base: u32,
    /// In bytes.
    pub limit: u32,
    /// P, DPL, S and type.
    pub access: u8,
    /// Bits 15:12: G, D/B, L, AVL.
    pub flags: u16,
}

impl From<u64> for Descriptor {
    fn from(raw: u64) -> Self {
        let flags = (raw >> 40) as u16 & 0xF000;
        let limit = (raw & 0xFFFF | raw >> 32 & 0xF_0000) as u32;
        let limit = match flags & segments::FLAG_GRANULARITY {
            0 => limit,
            _ => limit << 12 | 0xFFF,
        };
        Descriptor {
            base: (raw >> 16 & 0xFF_FFFF | raw >> 32 & 0xFF00_0000) as u32,
            limit,
            access: (raw >> 40) as u8,
            flags,
        }
    }
}

impl Descriptor {
    /// Whether it is of this kind: `bits` of `access`.
    fn has(&self, bits: u8) -> bool {
        self.access & bits == bits
    }

    /// Whether it is a present segment of code or data.
    pub fn is_usable(&self) -> bool {
        self.has(segments::ACCESS_PRESENT | segments::ACCESS_CODE_OR_DATA)
    }

    /// Whether it is code.
    pub fn is_code(&self) -> bool {
        self.has(segments::ACCESS_CODE_OR_DATA | segments::TYPE_CODE)
    }

    /// Whether DS can hold it.
    pub fn is_readable(&self) -> bool {
        !self.is_code() || self.has(segments::TYPE_READABLE)
    }

    /// Whether SS can hold it.
    pub fn is_writable(&self) -> bool {
        !self.is_code() && self.has(segments::TYPE_WRITABLE)
    }

    /// D or B.
    pub fn is_big(&self) -> bool {
        self.flags & segments::FLAG_BIG != 0
    }

    /// The offsets that can be accessed, first and last; `None` if there are none.
    pub fn offsets(&self) -> Option<(u32, u32)> {
        if self.is_code() || !self.has(segments::TYPE_EXPAND_DOWN) {
            return Some((0, self.limit));
        }
        let last = if self.is_big() { u32::MAX } else { 0xFFFF };
        (self.limit < last).then(|| (self.limit + 1, last))
    }
}

/// Doublewords that instructions treat in special ways, for the window.
const SPECIAL: [u32; 16] = [
    0,
    1,
    0xFFFF_FFFF,
    0x8000_0000,
    0x7FFF_FFFF,
    0xFFFF,
    0x8000,
    0x7FFF,
    0xFF,
    0x80,
    0x7F,
    0xFFFF_8000,
    0x8000_8000,
    0xFFFF_FF80,
    0x9999_9999,
    0x0000_0010,
];

/// The window of a seed, in which one doubleword of four is special.
fn planted_window(seed: u64) -> Vec<u8> {
    let mut bytes = window(seed);
    let choices = window(seed ^ u64::MAX);
    for (dword, choice) in bytes.chunks_exact_mut(4).zip(choices) {
        if choice % 4 == 0 {
            let special = SPECIAL[usize::from(choice >> 4)];
            dword.copy_from_slice(&special.to_le_bytes());
        }
    }
    bytes
}

/// What all cases of a file share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Descriptors of the LDT.
    pub ldt: Vec<u64>,
    /// What the [window](super::window) is filled from, before a case changes it.
    pub window_seed: u64,
    /// The window; empty if each case has its own.
    pub window: Vec<u8>,
    /// Memory that ring 3 may read, and whether it may write it.
    pub memory: Vec<(Range<u32>, bool)>,
}

impl Environment {
    /// Of the first format: no LDT, a megabyte of memory, a window of its own in each case.
    pub fn plain() -> Self {
        Environment {
            ldt: Vec::new(),
            window_seed: 0,
            window: Vec::new(),
            memory: vec![(super::USER, true)],
        }
    }

    /// Of the second format.
    pub fn segmented(ldt: Vec<u64>, window_seed: u64) -> Self {
        let page = paging::PAGE_BYTES;
        Environment {
            ldt,
            window_seed,
            window: planted_window(window_seed),
            memory: vec![
                (CODE_PAGE..CODE_PAGE + page, false),
                (WINDOW..READ_ONLY_PAGE, true),
                (READ_ONLY_PAGE..READ_ONLY_PAGE + page, false),
            ],
        }
    }

    /// Whether it is of the first format.
    pub fn is_plain(&self) -> bool {
        self.window.is_empty()
    }

    /// The descriptor of a selector; `None` for a null selector and behind the end of the table.
    pub fn descriptor(&self, selector: u16) -> Option<Descriptor> {
        let raw = if selector & segments::SELECTOR_LDT != 0 {
            *self.ldt.get(usize::from(selector >> 3))?
        } else if selector & !segments::SELECTOR_RPL == 0 || u32::from(selector | 7) > GDT_LIMIT {
            return None;
        } else {
            gdt(selector, 0)
        };
        Some(raw.into())
    }

    /// Whether ring 3 may access a linear address.
    pub fn may_access(&self, linear: u32, write: bool) -> bool {
        self.memory
            .iter()
            .any(|(range, writable)| range.contains(&linear) && (*writable || !write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_taken_apart_as_it_was_put_together() {
        let raw = segments::descriptor(0x8912_3456, 0x9_8765, 0xF2, segments::FLAG_BIG);
        let descriptor = Descriptor::from(raw);
        assert_eq!(
            (descriptor.base, descriptor.limit, descriptor.access),
            (0x8912_3456, 0x9_8765, 0xF2)
        );
        assert_eq!(descriptor.offsets(), Some((0, 0x9_8765)));
        let pages = segments::descriptor(0, 0xF_FFFF, 0xF6, FLAT_FLAGS);
        assert_eq!(Descriptor::from(pages).offsets(), None);
        let down = segments::descriptor(0, 0xFF, 0xF6, 0);
        assert_eq!(Descriptor::from(down).offsets(), Some((0x100, 0xFFFF)));
    }

    #[test]
    fn a_selector_finds_its_descriptor_or_none() {
        let environment = Environment::segmented(vec![0x00CF_F300_0000_FFFF], 1);
        assert!(environment.descriptor(7).is_some_and(|d| d.is_writable()));
        assert_eq!(environment.descriptor(15), None);
        assert_eq!(environment.descriptor(3), None);
        assert!(
            environment
                .descriptor(RING_3_CODE)
                .is_some_and(|d| d.is_code())
        );
        assert_eq!(environment.descriptor(0x80), None);
    }
}
