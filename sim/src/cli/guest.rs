//! The options that say what the machine runs, shared by the commands that run it.

use super::session::Setup;
use super::{Failure, GateArgument, OsArgument, built_in, exit};
use crate::files;
use crate::foreign::{self, Kernel, Started};
use crate::image::{Image, ROM_LIMIT};
use crate::machine::{DEFAULT_HANG_CLOCKS, MachineConfig, MemoryKind};
use crate::symbols::Symbols;
use clap::Args;
use spec::memory_map::{DEFAULT_RAM_BYTES, FOREIGN_RAM_BYTES, KERNEL_RAM_BYTES};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to run, and on what machine.
#[derive(Args, Debug)]
pub struct GuestArguments {
    /// A ROM to boot; it is placed to end at FFFFFFFFh and is mirrored below 1 MB
    #[arg(long, value_name = "FILE")]
    bios: Option<PathBuf>,
    /// The ROM's mirror below 1 MB is RAM that begins as a copy, as a PC's BIOS wants it; else it cannot be written
    #[arg(long, requires = "bios")]
    shadow: bool,
    /// Boot the image in this folder, as `sysgate image --out` writes it
    #[arg(long, value_name = "DIR", conflicts_with = "bios")]
    image: Option<PathBuf>,
    /// A kernel to start: multiboot (version 1; ELF or flat) or Linux, as bzImage or vmlinux
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bios", "image"])]
    kernel: Option<PathBuf>,
    /// The kernel's command line
    #[arg(
        long,
        value_name = "TEXT",
        requires = "kernel",
        conflicts_with_all = ["bios", "image"],
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    append: String,
    /// Linux's initial RAM disk, or the only module of a multiboot kernel
    #[arg(long, value_name = "FILE", requires = "kernel", conflicts_with_all = ["bios", "image"])]
    initrd: Option<PathBuf>,
    /// How user code of the built-in image enters the kernel
    #[arg(long, value_enum, default_value_t = GateArgument::Sysenter, conflicts_with_all = ["bios", "image", "kernel"])]
    gate: GateArgument,
    /// Whose services, stubs and version number the built-in image has
    #[arg(long, value_enum, default_value_t = OsArgument::Seven, conflicts_with_all = ["bios", "image", "kernel"])]
    os: OsArgument,
    /// The built-in image that prints its own bill: the clocks of each hop of WriteFile, by RDTSC
    #[arg(long, conflicts_with_all = ["bios", "image", "kernel"])]
    bill: bool,
    /// A file to place in RAM before the start, at a hexadecimal physical address (repeatable)
    #[arg(long, value_name = "FILE@ADDRESS", value_parser = load)]
    load: Vec<(PathBuf, u32)>,
    /// Size of RAM, for example 512K or 16M [default: 128K; 16M with --bios or --load; 64M with --kernel]
    #[arg(long, visible_alias = "memory-size", value_name = "SIZE", value_parser = files::size)]
    ram: Option<u64>,
    /// Count this many clock cycles without a retired instruction as a hang
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HANG_CLOCKS)]
    hang_cycles: u64,
    /// Let memory answer after random wait states made from this seed
    #[arg(long, value_name = "SEED")]
    wait_states: Option<u64>,
}

fn load(text: &str) -> Result<(PathBuf, u32), String> {
    let (file, address) = text.rsplit_once('@').ok_or("expected FILE@ADDRESS")?;
    Ok((PathBuf::from(file), files::address(address)?))
}

impl GuestArguments {
    /// Clock cycles without a retired instruction that count as a hang.
    pub fn hang_cycles(&self) -> u64 {
        self.hang_cycles.max(1)
    }

    /// The seed of random wait states.
    pub fn wait_states(&self) -> Option<u64> {
        self.wait_states
    }

    /// How user code of the built-in image enters the kernel.
    pub fn gate(&self) -> GateArgument {
        self.gate
    }

    /// Whose services the built-in image has.
    pub fn os(&self) -> OsArgument {
        self.os
    }

    /// Bytes of RAM, a multiple of 8.
    ///
    /// # Errors
    /// None, or more than there can be.
    pub fn ram_bytes(&self, default: u32) -> Result<u32, Failure> {
        let ram = self.ram.unwrap_or(default.into());
        if ram == 0 || ram > 0xC000_0000 {
            return Err(Failure::new(
                exit::USAGE,
                format!("{ram} bytes of RAM: it must have 1 byte to 3 GB"),
            ));
        }
        Ok((ram as u32).next_multiple_of(8))
    }

    /// A machine that enters a kernel.
    ///
    /// # Errors
    /// No kernel, or one that does not fit.
    pub fn kernel_setup(&self, path: &Path, file: &[u8], line: &str) -> Result<Setup, Failure> {
        let ram_bytes = self.ram_bytes(KERNEL_RAM_BYTES)?;
        let started = self.start(path, file, line, ram_bytes)?;
        Ok(self.machine(ram_bytes, started.rom, started.loads, Symbols::default()))
    }

    fn machine(
        &self,
        ram_bytes: u32,
        rom: Vec<u8>,
        loads: Vec<(u32, Vec<u8>)>,
        symbols: Symbols,
    ) -> Setup {
        Setup {
            config: MachineConfig {
                ram_bytes,
                rom,
                shadow: self.shadow,
                memory: MemoryKind::Bram,
                wait_seed: self.wait_states,
                hang_clocks: self.hang_cycles(),
                keep_retired: false,
                keep_ports: false,
            },
            loads,
            symbols: Arc::new(symbols),
        }
    }

    /// Lays out a kernel with its command line and disk.
    fn start(
        &self,
        path: &Path,
        file: &[u8],
        line: &str,
        ram_bytes: u32,
    ) -> Result<Started, Failure> {
        let disk = match &self.initrd {
            Some(disk) => Some((disk.as_path(), files::read(disk, ram_bytes.into())?)),
            None => None,
        };
        let kernel = Kernel {
            name: path,
            file,
            append: line,
            initrd: disk.as_ref().map(|(name, bytes)| (*name, bytes.as_slice())),
            ram_bytes,
        };
        Ok(foreign::start(&kernel)?)
    }

    /// Reads and builds what is to run, on a machine with block RAM; records of retired micro-ops and port accesses are not kept.
    ///
    /// # Errors
    /// Bad files, addresses and sizes.
    pub fn setup(&self) -> Result<Setup, Failure> {
        let foreign = self.bios.is_some() || !self.load.is_empty();
        let default_ram = match foreign {
            _ if self.kernel.is_some() => KERNEL_RAM_BYTES,
            true => FOREIGN_RAM_BYTES,
            false => DEFAULT_RAM_BYTES,
        };
        let ram_bytes = self.ram_bytes(default_ram)?;
        let ram = u64::from(ram_bytes);
        let mut loads: Vec<(u32, Vec<u8>)> = Vec::new();
        let (rom, symbols) = match (&self.bios, &self.image) {
            _ if let Some(path) = &self.kernel => {
                let file = files::read(path, ram)?;
                let started = self.start(path, &file, &self.append, ram_bytes)?;
                loads = started.loads;
                (started.rom, Symbols::default())
            }
            (Some(path), _) => (files::read(path, ROM_LIMIT)?, Symbols::default()),
            (None, Some(folder)) => {
                let image = Image::read(folder)?;
                (image.rom, Symbols::new(image.symbols))
            }
            (None, None) if foreign => {
                return Err(Failure::new(
                    exit::USAGE,
                    "--load needs --bios, --image or --kernel: nothing would start it",
                ));
            }
            (None, None) => {
                let image = built_in(self.gate, self.os, self.bill)?;
                (image.rom, Symbols::new(image.symbols))
            }
        };
        for (path, address) in &self.load {
            let bytes = files::read(path, ram)?;
            let end = u64::from(*address) + bytes.len() as u64;
            if end > ram {
                let message = format!(
                    "{} would end at {end:x}h, RAM ends at {ram:x}h (see --ram)",
                    path.display()
                );
                return Err(Failure::new(exit::ERROR, message));
            }
            let overlaps = |(other, others): &&(u32, Vec<u8>)| {
                u64::from(*address) < u64::from(*other) + others.len() as u64
                    && u64::from(*other) < end
            };
            if let Some((other, _)) = loads.iter().find(overlaps) {
                let message = format!(
                    "{} at {address:x}h overlaps the file at {other:x}h",
                    path.display()
                );
                return Err(Failure::new(exit::ERROR, message));
            }
            loads.push((*address, bytes));
        }
        Ok(self.machine(ram_bytes, rom, loads, symbols))
    }
}
