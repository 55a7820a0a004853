//! Where memory lies in the physical address space.

/// RAM begins here.
pub const RAM_BASE: u32 = 0;
/// RAM of the board and of the default simulation, in bytes: the image fits, and one block of the FPGA holds one bit of
/// every word, so that no selection among blocks delays a load.
pub const DEFAULT_RAM_BYTES: u32 = 128 << 10;
/// RAM that foreign software gets by default, in bytes.
pub const FOREIGN_RAM_BYTES: u32 = 16 << 20;

/// RAM that a kernel gets by default, in bytes.
pub const KERNEL_RAM_BYTES: u32 = 64 << 20;

/// The ROM ends where the address space ends; this is its last byte.
pub const ROM_LAST: u32 = 0xFFFF_FFFF;
/// The last 128 KB of the ROM (all of it, if it is smaller) are seen a second time below this address.
pub const ROM_MIRROR_END: u32 = 0x0010_0000;
/// At most so many bytes of the ROM are seen there.
pub const ROM_MIRROR_BYTES: u32 = 128 << 10;
/// ROM of the board and of the default simulation, in bytes: the image fits.
pub const DEFAULT_ROM_BYTES: u32 = 128 << 10;
/// Clocks that a read of the ROM waits beside SDRAM: its address and its data pass a register each.
pub const ROM_WAIT_CLOCKS: u32 = 2;
/// Bytes of a word of the board's ROM.
pub const ROM_WORD_BYTES: usize = 8;

/// The file from which synthesis reads this byte of the words of the board's ROM: two hexadecimal digits per line.
pub fn rom_file(byte: usize) -> String {
    format!("rom{byte}.hex")
}

/// Byte that is read where nothing answers.
pub const OPEN_BUS: u8 = 0xFF;

/// EIP after reset.
pub const RESET_EIP: u32 = 0x0000_FFF0;
/// Base of CS after reset.
pub const RESET_CS_BASE: u32 = 0xFFFF_0000;
/// Where the first instruction after reset is.
pub const RESET_ADDRESS: u32 = RESET_CS_BASE + RESET_EIP;
