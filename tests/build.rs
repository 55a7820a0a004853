//! Tells the tests which Verilator built the model.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["VERILATOR", "ROOT"] {
        if let Ok(path) = std::env::var(format!("DEP_SYSGATE_MODEL_{name}")) {
            println!("cargo:rustc-env=MODEL_{name}={path}");
        }
    }
}
