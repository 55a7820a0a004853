//! Test benches in Verilog as programs: verilated, compiled and kept under `target/bench/`.
//!
//! A bench makes its own clock and ends by itself. It is built again only if its sources or the tools have changed.

use crate::differential::verilator::{run, verilator};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a bench is made of.
pub struct Sources<'a> {
    /// Its folder below `target/bench/`.
    pub name: &'a str,
    /// The module that makes the clock.
    pub top: &'a str,
    /// Names and texts of its files.
    pub files: &'a [(&'a str, &'a str)],
    /// Warnings of Verilator that are no errors here, without `-Wno-`.
    pub waived: &'a [&'a str],
    /// How much the C++ compiler does, 0 to 3.
    pub optimisation: u8,
}

/// A bench that can be run.
pub struct Bench {
    folder: PathBuf,
}

impl Bench {
    /// Builds a bench, unless it was built before.
    ///
    /// # Panics
    /// With the messages of the tool that fails.
    pub fn build(sources: &Sources) -> Self {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
        let folder = kept.join(sources.name);
        fs::create_dir_all(&folder).expect("target/ can be written");
        // Tests in several processes may want the same one.
        let lock = File::create(kept.join(format!("{}.lock", sources.name)))
            .expect("target/ can be written");
        lock.lock().expect("a file can be locked");
        let (program, root) = verilator();
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
        let mut hasher = DefaultHasher::new();
        (program, &compiler, sources.top, sources.files).hash(&mut hasher);
        (sources.waived, sources.optimisation, "bench 1").hash(&mut hasher);
        let key = format!("{:016x}", hasher.finish());
        let stamp = folder.join("complete");
        if fs::read_to_string(&stamp).is_ok_and(|built| built == key) {
            return Self { folder };
        }
        fs::remove_dir_all(&folder).expect("the folder of the last run can be removed");
        fs::create_dir_all(&folder).expect("target/ can be written");
        let mut verilate = Command::new(program);
        verilate.env("VERILATOR_ROOT", root).current_dir(&folder);
        verilate.args(["--cc", "--main", "--timing", "--top-module", sources.top]);
        verilate.args(["--prefix", "Vbench", "--Mdir", "model", "-O3"]);
        verilate.args(["--x-assign", "fast", "--x-initial", "fast", "-Wall"]);
        for warning in ["UNUSEDPARAM", "UNUSEDSIGNAL", "DECLFILENAME"]
            .iter()
            .chain(sources.waived)
        {
            verilate.arg(format!("-Wno-{warning}"));
        }
        for (name, text) in sources.files {
            fs::write(folder.join(name), text).expect("the folder can be written");
            verilate.arg(name);
        }
        run(&mut verilate);

        let include = root.join("include");
        let compile = |name: &str, text: &str, optimisation: u8| {
            let unit = folder.join(format!("{name}.cpp"));
            fs::write(&unit, text).expect("the folder can be written");
            let mut command = Command::new(&compiler);
            command.args(["-std=c++20", &format!("-O{optimisation}"), "-w", "-c"]);
            command.args(["-DVERILATOR=1", "-DVM_TRACE=0", "-DVM_COVERAGE=0"]);
            command.arg("-DVM_SC=0").arg("-I").arg(&include);
            command.arg("-I").arg(include.join("vltstd"));
            command.arg("-I").arg(folder.join("model"));
            let object = folder.join(format!("{name}.o"));
            run(command.arg("-o").arg(&object).arg(unit));
            object
        };
        let runtime: String = ["", "_threads", "_timing"]
            .map(|part| format!("#include \"verilated{part}.cpp\"\n"))
            .concat();
        // What runs once is not worth optimising.
        let (mut fast, mut slow) = (String::new(), String::new());
        let mut files: Vec<String> = fs::read_dir(folder.join("model"))
            .expect("Verilator wrote its folder")
            .map(|entry| entry.expect("Verilator's folder can be read").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".cpp"))
            .collect();
        files.sort();
        for file in files {
            let unit = match file.contains("__Slow") {
                true => &mut slow,
                false => &mut fast,
            };
            *unit += &format!("#include \"{file}\"\n");
        }
        let objects = [
            compile("runtime", &runtime, 0),
            compile("slow", &slow, 0),
            compile("fast", &fast, sources.optimisation),
        ];
        let mut link = Command::new(&compiler);
        link.arg("-o").arg(folder.join("bench")).args(objects);
        run(link.arg("-pthread"));
        fs::write(stamp, key).expect("the folder can be written");
        Self { folder }
    }

    /// Puts a file beside the bench, which may be running: for what it reads by `$readmemh`.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn place(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return;
        }
        let making = self.folder.join(format!(
            "{name}.{}.{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::write(&making, text).expect("target/ can be written");
        fs::rename(making, path).expect("target/ can be written");
    }

    /// Runs the bench in its folder with these `+name=value` arguments to its `$finish`; returns what it wrote.
    ///
    /// # Panics
    /// If it cannot be started, or stops in another way.
    pub fn run(&self, arguments: &[String]) -> String {
        let output = Command::new(self.folder.join("bench"))
            .arg("+verilator+quiet")
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap_or_else(|error| panic!("the bench cannot be started: {error}"));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "the bench stopped ({}): {text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        // Verilator tells of each $finish.
        let told = |line: &&str| !(line.starts_with("- ") && line.ends_with(": Verilog $finish\n"));
        text.split_inclusive('\n').filter(told).collect()
    }
}
