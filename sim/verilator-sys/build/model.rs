//! The three libraries and their cache.

use crate::{ports, toolchain};
use hdl::emit::{EmitError, Verilog};
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Waived: the emitter's 32-bit literals and whole-struct wires. What finds real mistakes stays on, and is fatal.
#[rustfmt::skip]
const VERILATOR_FLAGS: &[&str] = &[
    "--cc", "--Mdir", ".", "-O3", "--x-assign", "fast", "--x-initial", "fast",
    "--savable", "--output-split", "0", "--no-timing", "--quiet-stats",
    "-Wall", "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "-Wno-UNUSEDPARAM",
];
#[rustfmt::skip]
const CHIP_FLAGS: &[&str] = &[
    "--top-module", "sysgate", "--prefix", "Vsysgate",
    "--trace-fst", "--no-trace-params", "--trace-max-width", "4096",
];
const MEMORY_FLAGS: &[&str] = &["--top-module", "memory", "--prefix", "Vmemory"];

pub fn build() -> Result<(), String> {
    println!("cargo:rerun-if-changed=shim");
    for variable in ["VERILATOR", "VERILATOR_ROOT", "SYSGATE_NO_DOWNLOAD", "CXX"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let target = target_folder()?;
    let cache = target.join("model");
    create(&cache)?;
    // All profiles, clippy and rust-analyzer come here; one builds, the others wait and find it done.
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path)
        .map_err(|error| format!("cannot create {}: {error}", lock_path.display()))?;
    lock.lock()
        .map_err(|error| format!("cannot lock {}: {error}", lock_path.display()))?;

    let verilator = toolchain::find(&target)?;
    let version = verilator.version()?;
    let compiler = compiler_name()?;

    let (emitted, memory) = emit()?;
    let wrapper = ports::wrapper(&emitted.modules[0].name, &ports::of_top(&emitted)?)?;
    let verilog = emitted.text + &wrapper;
    let wrapper = ports::memory_wrapper(&memory.modules[0].name, &ports::of_top(&memory)?)?;
    let memory = memory.text + &wrapper;

    let include = verilator.root.join("include");
    let zlib = PathBuf::from(
        env::var_os("DEP_Z_INCLUDE").ok_or("libz-sys did not say where its headers are")?,
    );
    let lz4 = PathBuf::from(
        env::var_os("DEP_LZ4_INCLUDE").ok_or("lz4-sys did not say where its headers are")?,
    );

    // Verilator's runtime.
    let runtime = cache.join(format!(
        "runtime-{}",
        key(&[&version, &compiler, "runtime 2"])
    ));
    once(&runtime, |folder| {
        let mut build = compiler_for(folder, "2");
        build
            .include(&include)
            .include(include.join("vltstd"))
            .include(&zlib)
            .include(&lz4);
        for source in [
            "verilated.cpp",
            "verilated_fst_c.cpp",
            "verilated_save.cpp",
            "verilated_threads.cpp",
        ] {
            build.file(include.join(source));
        }
        compile(&build, "sysgate_verilated")
    })?;

    // The chip, and the memory system beside it.
    let model = build_model(&Model {
        verilog: &verilog,
        flags: VERILATOR_FLAGS,
        more_flags: CHIP_FLAGS,
        prefix: "Vsysgate",
        library: "sysgate_model",
        key: key(&[
            &verilog,
            &version,
            &compiler,
            &VERILATOR_FLAGS.join(" "),
            &CHIP_FLAGS.join(" "),
            "model 2",
        ]),
        cache: &cache,
        verilator: &verilator,
        include: &include,
    })?;
    let memory_model = build_model(&Model {
        verilog: &memory,
        flags: VERILATOR_FLAGS,
        more_flags: MEMORY_FLAGS,
        prefix: "Vmemory",
        library: "sysgate_memory",
        key: key(&[
            &memory,
            &version,
            &compiler,
            &VERILATOR_FLAGS.join(" "),
            &MEMORY_FLAGS.join(" "),
            "memory 2",
        ]),
        cache: &cache,
        verilator: &verilator,
        include: &include,
    })?;

    // The shim.
    let mut shim_sources = String::new();
    for file in [
        "shim/shim.cpp",
        "shim/shim.h",
        "shim/sdram.h",
        "shim/mainboard.h",
    ] {
        shim_sources +=
            &fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    }
    let memory_key = memory_model.display().to_string();
    let shim = model.join(format!(
        "shim-{}",
        key(&[&shim_sources, &memory_key, "shim 2"])
    ));
    once(&shim, |folder| {
        let mut build = compiler_for(folder, "2");
        build
            .include("shim")
            .include(&model)
            .include(&memory_model)
            .include(&include)
            .include(include.join("vltstd"))
            .file("shim/shim.cpp");
        compile(&build, "sysgate_shim")
    })?;
    lock.unlock()
        .map_err(|error| format!("cannot unlock {}: {error}", lock_path.display()))?;

    for folder in [&shim, &model, &memory_model, &runtime] {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
    for library in [
        "sysgate_shim",
        "sysgate_model",
        "sysgate_memory",
        "sysgate_verilated",
    ] {
        println!("cargo:rustc-link-lib=static={library}");
    }
    if let Some(library) = cpp_runtime() {
        println!("cargo:rustc-link-lib={library}");
    }
    println!("cargo:verilator={}", verilator.binary.display());
    println!("cargo:root={}", verilator.root.display());
    println!("cargo:verilated={}", runtime.display());
    println!("cargo:zlib_include={}", zlib.display());
    println!("cargo:lz4_include={}", lz4.display());
    Ok(())
}

/// What Verilator and the compiler make a library of.
struct Model<'a> {
    verilog: &'a str,
    flags: &'a [&'a str],
    more_flags: &'a [&'a str],
    prefix: &'a str,
    library: &'a str,
    key: String,
    cache: &'a Path,
    verilator: &'a toolchain::Verilator,
    include: &'a Path,
}

/// Builds the model unless it is there; its folder.
fn build_model(wanted: &Model) -> Result<PathBuf, String> {
    let (verilog, verilator, include) = (wanted.verilog, wanted.verilator, wanted.include);
    let model = wanted.cache.join(&wanted.key);
    once(&model, |folder| {
        let source = folder.join("sysgate.v");
        fs::write(&source, verilog)
            .map_err(|error| format!("cannot write {}: {error}", source.display()))?;
        let output = Command::new(&verilator.binary)
            .args(wanted.flags)
            .args(wanted.more_flags)
            .arg("sysgate.v")
            .env("VERILATOR_ROOT", &verilator.root)
            .current_dir(folder)
            .output()
            .map_err(|error| format!("cannot run {}: {error}", verilator.binary.display()))?;
        if !output.status.success() {
            let findings = String::from_utf8_lossy(&output.stderr);
            let kept = folder.with_extension("failed.v");
            let _ = fs::write(&kept, verilog);
            eprintln!("{findings}");
            let first = findings.lines().next().unwrap_or("no message").to_string();
            return Err(format!(
                "Verilator refused the chip ({first}); the Verilog is {}",
                kept.display()
            ));
        }
        let (fast, slow) = generated_sources(folder, wanted.prefix)?;
        // One translation unit of what runs each clock, one of what runs once: compiles several times faster than the
        // many small files, and only the first is worth optimising.
        let unity = |name: &str, files: &[String]| -> Result<PathBuf, String> {
            let path = folder.join(name);
            let text: String = files
                .iter()
                .map(|file| format!("#include \"{file}\"\n"))
                .collect();
            fs::write(&path, text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            Ok(path)
        };
        let fast = unity("unity_fast.cpp", &fast)?;
        let slow = unity("unity_slow.cpp", &slow)?;
        let slow_thread = std::thread::spawn({
            let (folder, include) = (folder.to_path_buf(), include.to_path_buf());
            move || {
                let mut build = compiler_for(&folder, "0");
                build
                    .include(&folder)
                    .include(&include)
                    .include(include.join("vltstd"))
                    .file(slow);
                build
                    .try_compile_intermediates()
                    .map_err(|error| compiler_message(&error))
            }
        });
        let mut build = compiler_for(folder, "2");
        build
            .include(folder)
            .include(include)
            .include(include.join("vltstd"))
            .file(fast);
        let fast_objects = build
            .try_compile_intermediates()
            .map_err(|error| compiler_message(&error));
        let slow_objects = slow_thread
            .join()
            .map_err(|_| "the compiler's thread panicked".to_string())?;
        let mut archive = compiler_for(folder, "2");
        archive.objects(fast_objects?).objects(slow_objects?);
        compile(&archive, wanted.library)
    })?;
    Ok(model)
}

/// Emits the tops, the list of opcodes that are built and the microcode's labels into OUT_DIR, where `src/lib.rs` includes them; returns the
/// chip and the memory system that may stand beside it.
///
/// Written here, they need not be made again by the program: `hdl` and all of rust-hdl are built only once.
fn emit() -> Result<(Verilog, Verilog), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    let refused = |name: &str, errors: Vec<EmitError>| {
        errors.iter().for_each(|error| eprintln!("{error}"));
        format!(
            "the emitter refuses the {name}: {} findings, the first: {}",
            errors.len(),
            errors[0]
        )
    };
    let core = hdl::top::core().map_err(|errors| refused("core", errors))?;
    let wishbone =
        hdl::top::wishbone_core().map_err(|errors| refused("core with Wishbone", errors))?;
    let chip = hdl::top::chip().map_err(|errors| refused("chip", errors))?;
    let memory = hdl::top::sdram_memory().map_err(|errors| refused("memory system", errors))?;
    for pll in spec::clock::PLLS {
        let board = hdl::top::ulx3s(pll).map_err(|errors| refused("board", errors))?;
        write(&format!("ulx3s-{}.v", pll.clock_hz), &board.text)?;
        let board =
            hdl::top::ulx3s_sdram(pll).map_err(|errors| refused("board with SDRAM", errors))?;
        write(&format!("ulx3s_sdram-{}.v", pll.clock_hz), &board.text)?;
    }
    for board in ["ulx3s", "ulx3s_sdram"] {
        let row = |pll: &spec::clock::Pll| {
            let clock = pll.clock_hz;
            let file = format!("/{board}-{clock}.v");
            format!("({clock}, include_str!(concat!(env!(\"OUT_DIR\"), \"{file}\"))),")
        };
        let rows: String = spec::clock::PLLS.iter().map(row).collect();
        write(&format!("{board}.rs"), &format!("&[{rows}]"))?;
    }
    write("core.v", &core.text)?;
    write("sysgate_core.v", &wishbone.text)?;
    write("chip.v", &chip.text)?;
    write("sdram_memory.v", &memory.text)?;
    let built: Vec<bool> = spec::opcodes::all().map(hdl::decode::is_built).collect();
    write("opcodes.rs", &format!("&{built:?}"))?;
    let mut routines: Vec<(usize, String)> = hdl::microcode::image()
        .labels
        .into_iter()
        .map(|(name, address)| (address, name))
        .collect();
    routines.sort();
    write("microcode.rs", &format!("&{routines:?}"))?;
    write("lanes.rs", &format!("&{:?}", ports::LANES))?;
    Ok((chip, memory))
}

/// The fast and the slow C++ files that Verilator wrote, from the list it leaves for make.
fn generated_sources(folder: &Path, prefix: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let path = folder.join(format!("{prefix}_classes.mk"));
    let list = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    let mut section = "";
    for line in list.lines() {
        if let Some((name, _)) = line.split_once("+=") {
            section = name.trim();
        } else if line.starts_with([' ', '\t']) {
            let name = line.trim_end_matches('\\').trim();
            if name.is_empty() {
                continue;
            }
            match section {
                "VM_CLASSES_FAST" | "VM_SUPPORT_FAST" => fast.push(format!("{name}.cpp")),
                "VM_CLASSES_SLOW" | "VM_SUPPORT_SLOW" => slow.push(format!("{name}.cpp")),
                _ => {}
            }
        }
    }
    if fast.is_empty() || slow.is_empty() {
        return Err(format!("{} lists no classes", path.display()));
    }
    Ok((fast, slow))
}

/// Runs `make` in `folder` unless it was completed before. The stamp is written last.
fn once(folder: &Path, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let stamp = folder.join("complete");
    if stamp.is_file() {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder)
            .map_err(|error| format!("cannot delete {}: {error}", folder.display()))?;
    }
    create(folder)?;
    make(folder)?;
    fs::write(&stamp, "").map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))
}

fn key(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// C++17-and-later compiler, optimised in every profile: an unoptimised model is 4.5 times slower to run.
fn compiler_for(folder: &Path, optimisation: &str) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        .out_dir(folder)
        .cargo_metadata(false)
        .warnings(false)
        .extra_warnings(false)
        .debug(false)
        .opt_level_str(optimisation)
        .define("VM_TRACE", "1")
        .define("VM_TRACE_FST", "1")
        .define("VM_COVERAGE", "0")
        .define("VM_SC", "0")
        .define("VERILATOR", "1")
        .flag_if_supported("-fno-stack-protector")
        .flag_if_supported("-w");
    build
}

fn compile(build: &cc::Build, library: &str) -> Result<(), String> {
    build
        .try_compile(library)
        .map_err(|error| compiler_message(&error))
}

fn compiler_message(error: &cc::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or("no message");
    format!("the C++ compiler failed: {first}")
}

fn compiler_name() -> Result<String, String> {
    let tool = cc::Build::new()
        .cpp(true)
        .cargo_metadata(false)
        .opt_level(2)
        .try_get_compiler()
        .map_err(|error| format!("no C++ compiler ({error}); install g++ or clang++ (Debian: apt-get install g++), or set CXX"))?;
    let output = Command::new(tool.path()).arg("--version").output().map_err(|error| {
        let program = tool.path().display();
        format!("cannot run the C++ compiler {program} ({error}); install g++ or clang++ (Debian: apt-get install g++), or set CXX")
    })?;
    Ok(format!(
        "{} {}",
        tool.path().display(),
        String::from_utf8_lossy(&output.stdout)
    ))
}

fn cpp_runtime() -> Option<&'static str> {
    match env::var("CARGO_CFG_TARGET_OS").ok()?.as_str() {
        "macos" | "freebsd" | "openbsd" => Some("c++"),
        "windows" if env::var("CARGO_CFG_TARGET_ENV").ok()? == "msvc" => None,
        _ => Some("stdc++"),
    }
}

/// Cargo's `target` folder, the outermost one above OUT_DIR that Cargo has tagged.
fn target_folder() -> Result<PathBuf, String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    // <target>/[<triple>/]<profile>/build/<package>-<hash>/out
    let above: Vec<&Path> = out.ancestors().skip(1).take(6).collect();
    let tagged = above
        .iter()
        .rev()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let named = above
        .iter()
        .rev()
        .find(|folder| folder.file_name() == Some(OsStr::new("target")));
    let found = tagged.or(named).copied().or_else(|| out.ancestors().nth(4));
    found
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("no target folder above {}", out.display()))
}
