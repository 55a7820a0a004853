//! What can go wrong while an image is built.

use thiserror::Error;

/// Why an image could not be built.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The assembler refused an instruction.
    #[error("{module}!{symbol}: {reason}")]
    Assembly {
        /// Module being built.
        module: String,
        /// Function or table being assembled.
        symbol: String,
        /// The assembler's own words.
        reason: String,
    },
    /// Code names a symbol that its module does not have.
    #[error("{module}: no symbol named {symbols}")]
    UnknownSymbol {
        /// Module being built.
        module: String,
        /// The missing names, separated by commas.
        symbols: String,
    },
    /// Two items of a section overlap.
    #[error("{module}!{symbol}: wanted at RVA {wanted:X}h, but {reached:X}h is already taken")]
    Overlap {
        /// Module being built.
        module: String,
        /// The item that does not fit.
        symbol: String,
        /// Where it must stand.
        wanted: u32,
        /// Where the item before it ends.
        reached: u32,
    },
    /// The layout did not come to rest.
    #[error("{module}: addresses still move after {passes} passes")]
    UnstableLayout {
        /// Module being built.
        module: String,
        /// Passes made.
        passes: usize,
    },
    /// A file is not a PE32 file of the kind the loader maps.
    #[error("{file}: {reason}")]
    BadFile {
        /// File name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// An import that no file satisfies.
    #[error("{file} imports {name} from {from}, which does not export it")]
    UnresolvedImport {
        /// Importing file.
        file: String,
        /// The exporting file, after API set redirection.
        from: String,
        /// Imported name.
        name: String,
    },
    /// A module imports from its own or a higher layer.
    #[error(
        "{importer} (layer {importer_layer}) imports from {exporter} (layer {exporter_layer}); a layer may only import from lower ones"
    )]
    Layering {
        /// Importing file.
        importer: String,
        /// Its layer.
        importer_layer: u8,
        /// Exporting file.
        exporter: String,
        /// Its layer.
        exporter_layer: u8,
    },
    /// Two things claim one virtual page.
    #[error("virtual page {address:08X} is claimed twice")]
    PageTaken {
        /// Address of the page.
        address: u32,
    },
    /// The image does not fit.
    #[error("the {what} needs {needed} bytes, {available} are available")]
    TooLarge {
        /// ROM or RAM.
        what: &'static str,
        /// Bytes needed.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
}
