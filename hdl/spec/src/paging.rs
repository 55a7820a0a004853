//! Two-level paging (SDM Vol. 3A, "32-Bit Paging").

/// Bytes of a page, and of a page table.
pub const PAGE_BYTES: u32 = 0x1000;
/// Entries of a page table or directory, of four bytes each.
pub const ENTRIES: u32 = 1024;
/// Bytes that one directory entry maps.
pub const DIRECTORY_ENTRY_BYTES: u32 = PAGE_BYTES * ENTRIES;

/// Bits of an entry.
pub const PRESENT: u32 = 1 << 0;
pub const WRITABLE: u32 = 1 << 1;
/// Ring 3 may use it.
pub const USER: u32 = 1 << 2;
pub const WRITE_THROUGH: u32 = 1 << 3;
pub const CACHE_DISABLE: u32 = 1 << 4;
/// Set by the processor at the first use.
pub const ACCESSED: u32 = 1 << 5;
/// Set by the processor at the first write; of a page, not of a table.
pub const DIRTY: u32 = 1 << 6;
/// In the directory, with CR4.PSE: a page of 4 MB.
pub const LARGE: u32 = 1 << 7;
/// Kept when CR3 is loaded, with CR4.PGE.
pub const GLOBAL: u32 = 1 << 8;
/// Physical address of a page or table.
pub const FRAME: u32 = 0xFFFF_F000;
/// Physical address of a page of 4 MB.
pub const LARGE_FRAME: u32 = 0xFFC0_0000;

/// Bits of a page fault's error code: the page was present, so it was about permission.
pub const ERROR_PROTECTION: u16 = 1 << 0;
pub const ERROR_WRITE: u16 = 1 << 1;
/// The access was ring 3's.
pub const ERROR_USER: u16 = 1 << 2;

/// Number of a linear address's entry in the page directory, 0..1023.
pub const fn directory_index(linear: u32) -> u32 {
    linear >> 22
}

/// Number of a linear address's entry in its page table, 0..1023.
pub const fn table_index(linear: u32) -> u32 {
    linear >> 12 & 0x3FF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_two_indices_and_an_offset() {
        let linear = 0x77F0_5EB0;
        let directory = directory_index(linear) * DIRECTORY_ENTRY_BYTES;
        let table = table_index(linear) * PAGE_BYTES;
        assert_eq!(directory + table + linear % PAGE_BYTES, linear);
    }
}
