//! The page tables as a debugger walks them: no TLB, no permissions, nothing marked accessed.

use spec::control_registers::{CR0_PG, CR3_DIRECTORY, CR4_PSE};
use spec::paging::{
    DIRECTORY_ENTRY_BYTES, FRAME, LARGE, LARGE_FRAME, PAGE_BYTES, PRESENT, directory_index,
    table_index,
};

/// The control registers that decide how a linear address is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paging {
    /// CR0; bit 31 turns paging on.
    pub cr0: u32,
    /// CR3, the page directory.
    pub cr3: u32,
    /// CR4; bit 4 allows pages of 4 MB.
    pub cr4: u32,
}

impl Paging {
    /// The physical address of a linear one; `None` where no page is present or a table is not in memory.
    ///
    /// `word` reads four bytes of physical memory.
    pub fn translate(&self, linear: u32, mut word: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
        if self.cr0 & CR0_PG == 0 {
            return Some(linear);
        }
        let directory = word((self.cr3 & CR3_DIRECTORY) | (directory_index(linear) * 4))?;
        if directory & PRESENT == 0 {
            return None;
        }
        if directory & LARGE != 0 && self.cr4 & CR4_PSE != 0 {
            return Some((directory & LARGE_FRAME) | (linear % DIRECTORY_ENTRY_BYTES));
        }
        let table = word((directory & FRAME) | (table_index(linear) * 4))?;
        (table & PRESENT != 0).then_some((table & FRAME) | (linear % PAGE_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory at 1000h: entry 0 a table at 2000h, entry 1 a page of 4 MB, entry 2 nothing.
    fn word(physical: u32) -> Option<u32> {
        match physical {
            0x1000 => Some(0x2067),
            0x1004 => Some(0x0080_00E7),
            0x1008 | 0x2008 => Some(0),
            0x2004 => Some(0x5067),
            _ => None,
        }
    }

    #[test]
    fn without_paging_linear_is_physical() {
        assert_eq!(Paging::default().translate(0x1234, |_| None), Some(0x1234));
    }

    #[test]
    fn pages_are_found_in_table_and_directory() {
        let paging = Paging {
            cr0: CR0_PG,
            cr3: 0x1018,
            cr4: CR4_PSE,
        };
        for (linear, physical) in [
            (0x1234, Some(0x5234)),
            (0x0040_1234, Some(0x0080_1234)),
            (0x0080_0000, None),
            (0x2000, None),
            (0x0100_0000, None),
        ] {
            assert_eq!(paging.translate(linear, word), physical, "{linear:08x}");
        }
    }
}
