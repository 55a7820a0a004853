//! The image's pages: where each lies in RAM or ROM, and the page tables that say so.

use crate::error::ImageError;
use crate::loader::PAGE;
use spec::paging::{ENTRIES, PRESENT, USER, WRITABLE};
use std::collections::BTreeMap;

/// Index of the directory entry that points to the directory itself.
const SELF_MAP: usize = 0x300;
/// The first page of RAM stays free, so that a null pointer is seen.
const FIRST_RAM_PAGE: u32 = 1;

/// Who may do what with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Ring 3 may use it.
    pub user: bool,
    /// It may be written; then it lies in RAM, else in ROM.
    pub writable: bool,
}

/// Rights of kernel data.
pub const KERNEL_DATA: Rights = Rights {
    user: false,
    writable: true,
};
/// Rights of user data.
pub const USER_DATA: Rights = Rights {
    user: true,
    writable: true,
};

/// A page of RAM with what boot puts there, or a page of ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Page number in RAM.
    Ram(u32),
    /// Page number from the start of the ROM.
    Rom(u32),
}

/// Virtual pages and what stands behind them.
#[derive(Default)]
pub struct AddressSpace {
    pages: BTreeMap<u32, (Frame, Rights)>,
    ram: Vec<Vec<u8>>,
    rom: Vec<Vec<u8>>,
}

/// The finished address space.
pub struct Laid {
    /// What boot puts into RAM from [`Laid::ram_base`] on.
    pub ram: Vec<u8>,
    /// Physical address of the first byte of `ram`.
    pub ram_base: u32,
    /// Physical address of the page directory.
    pub page_directory: u32,
    /// Pages that stay in ROM.
    pub rom: Vec<u8>,
}

impl AddressSpace {
    /// Maps one page at `address` holding `bytes` (at most 4,096).
    pub fn map(&mut self, address: u32, bytes: &[u8], rights: Rights) -> Result<Frame, ImageError> {
        let mut page = bytes.to_vec();
        page.resize(PAGE as usize, 0);
        let frame = if rights.writable {
            self.ram.push(page);
            Frame::Ram(self.ram.len() as u32 - 1)
        } else if let Some(index) = self.rom.iter().position(|other| *other == page) {
            Frame::Rom(index as u32)
        } else {
            self.rom.push(page);
            Frame::Rom(self.rom.len() as u32 - 1)
        };
        self.map_frame(address, frame, rights)?;
        Ok(frame)
    }

    /// Maps a page that is there already at another address too.
    pub fn map_frame(
        &mut self,
        address: u32,
        frame: Frame,
        rights: Rights,
    ) -> Result<(), ImageError> {
        assert_eq!(address % PAGE, 0);
        match self.pages.insert(address, (frame, rights)) {
            None => Ok(()),
            Some(_) => Err(ImageError::PageTaken { address }),
        }
    }

    /// Maps `bytes` as consecutive pages; `length` is a multiple of a page.
    pub fn map_region(
        &mut self,
        address: u32,
        length: u32,
        bytes: &[u8],
        rights: Rights,
    ) -> Result<(), ImageError> {
        for offset in (0..length).step_by(PAGE as usize) {
            let start = bytes.len().min(offset as usize);
            let end = bytes.len().min((offset + PAGE) as usize);
            self.map(address + offset, &bytes[start..end], rights)?;
        }
        Ok(())
    }

    /// Bytes of RAM in use when page tables are added, from address 0.
    pub fn ram_used(&self) -> u32 {
        let mut tables: Vec<u32> = self.pages.keys().map(|address| address >> 22).collect();
        // The ROM's own addresses.
        tables.push(0x3FF);
        tables.dedup();
        tables.sort_unstable();
        tables.dedup();
        (FIRST_RAM_PAGE + 1 + tables.len() as u32 + self.ram.len() as u32) * PAGE
    }

    /// Bytes of ROM in use.
    pub fn rom_used(&self) -> u32 {
        self.rom.len() as u32 * PAGE
    }

    /// Replaces the contents of a page of RAM.
    pub fn ram_page_mut(&mut self, frame: Frame) -> &mut [u8] {
        match frame {
            Frame::Ram(index) => &mut self.ram[index as usize],
            Frame::Rom(_) => panic!("a page of ROM has no second contents"),
        }
    }

    /// Builds the page tables for a ROM at `rom_base`, which is mapped at its own address for the kernel.
    pub fn lay(mut self, rom_base: u32) -> Result<Laid, ImageError> {
        let rom_rights = Rights {
            user: false,
            writable: false,
        };
        for (index, address) in (rom_base..=u32::MAX - PAGE + 1)
            .step_by(PAGE as usize)
            .enumerate()
        {
            self.map_frame(address, Frame::Rom(index as u32), rom_rights)?;
        }
        let table_indexes: Vec<u32> = {
            let mut indexes: Vec<u32> = self.pages.keys().map(|address| address >> 22).collect();
            indexes.dedup();
            indexes
        };
        let directory_page = FIRST_RAM_PAGE;
        let first_data_page = directory_page + 1 + table_indexes.len() as u32;
        let mut directory = vec![0u32; ENTRIES as usize];
        let mut tables = vec![vec![0u32; ENTRIES as usize]; table_indexes.len()];
        for (&address, &(frame, rights)) in &self.pages {
            let table = table_indexes
                .iter()
                .position(|&index| index == address >> 22)
                .expect("listed above");
            let physical = match frame {
                Frame::Ram(page) => (first_data_page + page) * PAGE,
                Frame::Rom(page) => rom_base + page * PAGE,
            };
            let user = if rights.user { USER } else { 0 };
            let writable = if rights.writable { WRITABLE } else { 0 };
            tables[table][(address >> 12) as usize & 0x3FF] = physical | PRESENT | user | writable;
            let entry = &mut directory[(address >> 22) as usize];
            *entry |= ((directory_page + 1 + table as u32) * PAGE) | PRESENT | WRITABLE | user;
        }
        // A table that also holds pages of the allocation region must admit ring 3; the image's stack is there.
        directory[SELF_MAP] = (directory_page * PAGE) | PRESENT | WRITABLE;
        let words = directory.into_iter().chain(tables.into_iter().flatten());
        let ram = words
            .flat_map(u32::to_le_bytes)
            .chain(self.ram.into_iter().flatten())
            .collect();
        Ok(Laid {
            ram,
            ram_base: FIRST_RAM_PAGE * PAGE,
            page_directory: directory_page * PAGE,
            rom: self.rom.into_iter().flatten().collect(),
        })
    }
}
