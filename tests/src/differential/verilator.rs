//! Builds and runs Verilated programs.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `target/differential/<name>`, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = kept().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder of the last run can be removed");
    }
    fs::create_dir_all(&folder).expect("target/ can be written");
    folder
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/differential")
}

/// The program and its folder, with `include/`, that the model of the chip was built with.
pub fn verilator() -> (&'static Path, &'static Path) {
    match (option_env!("MODEL_VERILATOR"), option_env!("MODEL_ROOT")) {
        (Some(program), Some(root)) => (Path::new(program), Path::new(root)),
        _ => panic!("the tests were built without the model, so there is no Verilator"),
    }
}

/// Verilates `sources` (in `folder`) with warnings as errors and compiles them with the C++ file `driver`.
pub fn build(folder: &Path, top: &str, sources: &[&str], driver: &str) -> PathBuf {
    let (program, root) = verilator();
    let mut verilate = Command::new(program);
    verilate.env("VERILATOR_ROOT", root).current_dir(folder);
    verilate.args([
        "--cc",
        "--top-module",
        top,
        "--Mdir",
        "model",
        "-O3",
        "--x-assign",
        "fast",
        "--x-initial",
        "fast",
    ]);
    verilate.args([
        "-Wall",
        "-Wno-UNUSEDPARAM",
        "-Wno-UNUSEDSIGNAL",
        "-Wno-DECLFILENAME",
        "--no-timing",
    ]);
    run(verilate.args(sources));

    let include = root.join("include");
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let compile = |unit: &Path, object: &Path| {
        let mut command = Command::new(&compiler);
        command.args([
            "-std=c++20",
            "-O1",
            "-w",
            "-DVERILATOR=1",
            "-DVM_TRACE=0",
            "-DVM_COVERAGE=0",
            "-DVM_SC=0",
            "-c",
        ]);
        command
            .arg("-I")
            .arg(&include)
            .arg("-I")
            .arg(include.join("vltstd"))
            .arg("-I")
            .arg(folder.join("model"));
        run(command.arg("-o").arg(object).arg(unit));
    };
    let runtime = kept().join("runtime.o");
    if !runtime.exists() {
        let unit = folder.join("runtime.cpp");
        fs::write(
            &unit,
            "#include \"verilated.cpp\"\n#include \"verilated_threads.cpp\"\n",
        )
        .expect("a file can be written");
        // Tests may do this at the same time; the last rename wins.
        let object = folder.join("runtime.o");
        compile(&unit, &object);
        fs::rename(object, &runtime).expect("the runtime can be kept");
    }
    let mut unity = String::new();
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("model"))
        .expect("Verilator wrote its folder")
        .map(|entry| entry.expect("Verilator's folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cpp"))
        .collect();
    files.sort();
    files.push(folder.join(driver));
    for file in files {
        unity.push_str(&format!("#include \"{}\"\n", file.display()));
    }
    let unit = folder.join("unity.cpp");
    fs::write(&unit, unity).expect("a file can be written");
    let object = folder.join("unity.o");
    compile(&unit, &object);
    let program = folder.join("program");
    run(Command::new(&compiler)
        .arg("-o")
        .arg(&program)
        .arg(object)
        .arg(runtime)
        .arg("-pthread"));
    program
}

/// Runs `command` to its end.
///
/// # Panics
/// With its error output, if it fails.
pub fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    if !output.status.success() {
        panic!(
            "{command:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
