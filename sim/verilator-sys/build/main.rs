//! Builds the chip's model: Rust-HDL to Verilog, Verilator to C++, C++ to three static libraries.
//!
//! ```text
//! hdl ──emit──> chip.v ──verilator_bin──> C++ ──cc──> libsysgate_model.a ┐
//!                           Verilator's runtime ──cc──> libsysgate_verilated.a ├──> linked into `verilator-sys`
//!                                     shim.cpp ──cc──> libsysgate_shim.a ┘
//! ```
//! Each library is kept under `target/model/<key>/`, where the key is a hash of all that enters it, so that profiles,
//! clippy and a return to an older source reuse it. Neither perl nor make takes part.
//!
//! For dependents: `DEP_SYSGATE_MODEL_{VERILATOR,ROOT,VERILATED,ZLIB_INCLUDE,LZ4_INCLUDE}` (program, root folder, folder of
//! the runtime library, header folders).

#[cfg(feature = "model")]
mod model;
#[cfg(feature = "model")]
mod ports;
#[cfg(feature = "model")]
mod toolchain;

fn main() {
    println!("cargo:rerun-if-changed=build");
    #[cfg(feature = "model")]
    if std::env::var_os("DOCS_RS").is_none()
        && let Err(message) = model::build()
    {
        // One line for the user; a panic would bury it under a backtrace.
        eprintln!("error: {message}");
        std::process::exit(1);
    }
}
