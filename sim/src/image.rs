//! What the machine boots: a ROM and the names of what is in it, built here or read from a folder.

use firmware::symbols::SymbolFile;
use firmware::{Gate, ImageOptions, Program, Windows};
use std::fs;
use std::path::Path;

/// File name of the ROM in an image's folder.
const ROM_FILE: &str = "rom.bin";
/// File name of the symbol file in an image's folder.
const SYMBOL_FILE: &str = "symbols.json";
/// Largest ROM, in bytes.
pub const ROM_LIMIT: u64 = 16 << 20;
/// Largest symbol file, in bytes.
const SYMBOL_LIMIT: u64 = 64 << 20;

/// An image ready to boot.
#[derive(Debug, Clone)]
pub struct Image {
    /// The ROM; it ends at FFFFFFFFh.
    pub rom: Vec<u8>,
    /// Names of addresses.
    pub symbols: SymbolFile,
    /// The PE32 files by name; empty if the image was read from a folder.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Image {
    /// Builds the default image.
    ///
    /// # Errors
    /// What the image builder found.
    pub fn build(gate: Gate) -> Result<Self, String> {
        Self::build_program(gate, Program::Greeting)
    }

    /// Builds the image with this program.
    ///
    /// # Errors
    /// What the image builder found.
    pub fn build_program(gate: Gate, program: Program) -> Result<Self, String> {
        Self::build_version(gate, Windows::Seven, program)
    }

    /// Builds the image with this program for a version of Windows.
    ///
    /// # Errors
    /// What the image builder found.
    pub fn build_version(gate: Gate, windows: Windows, program: Program) -> Result<Self, String> {
        let options = ImageOptions {
            gate,
            windows,
            program,
            ram_bytes: spec::memory_map::DEFAULT_RAM_BYTES,
            ..ImageOptions::default()
        };
        let image = firmware::build(&options)
            .map_err(|error| format!("cannot build the image: {error}"))?;
        Ok(Self {
            rom: image.rom,
            symbols: image.symbols,
            files: image.files,
        })
    }

    /// Reads an image that [`Self::write`] wrote.
    ///
    /// # Errors
    /// A file that is missing, empty, too long or not what it should be.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let rom = crate::files::read(&folder.join(ROM_FILE), ROM_LIMIT)?;
        let path = folder.join(SYMBOL_FILE);
        let text = crate::files::read(&path, SYMBOL_LIMIT)?;
        let symbols = serde_json::from_slice(&text)
            .map_err(|error| format!("{} is no symbol file: {error}", path.display()))?;
        Ok(Self {
            rom,
            symbols,
            files: Vec::new(),
        })
    }

    /// Writes the image to a folder, which is created: ROM, symbol file, PE files.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let symbols =
            serde_json::to_vec_pretty(&self.symbols).map_err(|error| error.to_string())?;
        let own = [(ROM_FILE, &self.rom), (SYMBOL_FILE, &symbols)];
        let files = self
            .files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes));
        for (name, bytes) in own.into_iter().chain(files) {
            let path = folder.join(name);
            crate::files::write(&path, bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("sysgate-image-{}", std::process::id()));
        let image = Image::build(Gate::Sysenter).unwrap();
        image.write(&folder).unwrap();
        let read = Image::read(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read.rom, image.rom);
        assert_eq!(read.symbols.symbols, image.symbols.symbols);
    }

    #[test]
    fn a_folder_without_an_image_is_named_in_the_error() {
        let error = Image::read(Path::new("/nonexistent")).unwrap_err();
        assert!(error.contains("/nonexistent/rom.bin"), "{error}");
    }
}
