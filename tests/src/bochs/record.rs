//! Runs a program on Debian's Bochs and takes the state before each instruction from its debugger's trace.

use super::system::{Program, RAM_BYTES};
use super::trace::Row;
use anyhow::{Context, bail, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names of the registers in a trace, in the order of their numbers.
const GENERAL: [&str; 8] = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
/// A program whose trace does not grow for so long has stopped: Bochs traces some thousand instructions a second.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// A program with a longer trace runs in circles: that of 64 KB of code has some ten million bytes.
const LONGEST_TRACE: u64 = 200_000_000;
/// Bits of EFLAGS as the trace names them, in capitals when they are set; IOPL stands for itself.
const FLAGS: [(&str, u32); 15] = [
    ("id", 21),
    ("vip", 20),
    ("vif", 19),
    ("ac", 18),
    ("vm", 17),
    ("rf", 16),
    ("nt", 14),
    ("of", 11),
    ("df", 10),
    ("if", 9),
    ("tf", 8),
    ("sf", 7),
    ("zf", 6),
    ("af", 4),
    ("pf", 2),
];

/// What this host lacks to run Bochs, if anything.
pub fn missing() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let lacks = [("bochs", "bochs bochs-term"), ("script", "bsdutils")];
    let (name, packages) = lacks.into_iter().find(|(name, _)| !is_there(name))?;
    Some(format!(
        "no `{name}` in PATH (Debian: apt-get install {packages})"
    ))
}

/// Bochs's rows from the program's start to its end.
///
/// # Errors
/// No Bochs, or a run that does not come to the end.
pub fn record(program: &Program) -> anyhow::Result<Vec<Row>> {
    record_until(program, || false)
}

/// The same, as long as nothing asks to stop.
///
/// # Errors
/// As [`record`], and when it was asked to stop.
pub fn record_until(program: &Program, stop: impl Fn() -> bool) -> anyhow::Result<Vec<Row>> {
    let folder = std::env::temp_dir().join(format!("sysgate-bochs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("cannot create a folder for Bochs")?;
    let result = run(program, &folder, stop);
    let _ = std::fs::remove_dir_all(&folder);
    rows(&result?, program)
}

fn run(program: &Program, folder: &Path, stop: impl Fn() -> bool) -> anyhow::Result<String> {
    let file = |name: &str| folder.join(name);
    std::fs::write(file("rom.bin"), &program.rom)?;
    // The processor is the first with SYSENTER. Nothing may depend on the host's time.
    let settings = format!(
        "display_library: term\n\
         romimage: file={}\n\
         cpu: model=p2_klamath, count=1, ips=50000000, reset_on_triple_fault=0\n\
         megs: {}\n\
         com1: enabled=1, mode=null\n\
         clock: sync=none, time0=1298246400\n\
         log: {}\n\
         panic: action=report\nerror: action=report\ninfo: action=ignore\n",
        file("rom.bin").display(),
        RAM_BYTES >> 20,
        file("log.txt").display()
    );
    std::fs::write(file("bochsrc"), settings)?;
    let commands = format!(
        "lb {:#x}\nc\ntrace-reg on\ntrace on\nlb {:#x}\nc\nquit\n",
        program.start, program.end
    );
    std::fs::write(file("commands"), commands)?;
    // Its text display wants a terminal, which `script` is.
    let bochs = format!(
        "bochs -q -f '{}' -rc '{}'",
        file("bochsrc").display(),
        file("commands").display()
    );
    let mut script = Command::new("script");
    script
        .args(["-q", "-c", &bochs])
        .arg(file("output"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C is for us: it is `stop` that ends Bochs.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut script, 0);
    let mut script = script
        .spawn()
        .context("cannot start `script`, in whose terminal Bochs runs (Debian: bsdutils)")?;
    let mut grown = (Instant::now(), 0);
    let status = loop {
        if let Some(status) = script.try_wait()? {
            break status;
        }
        let bytes = std::fs::metadata(file("output")).map_or(0, |data| data.len());
        if bytes > grown.1 {
            grown = (Instant::now(), bytes);
        }
        let is_astray = grown.0.elapsed() > LONGEST_SILENCE || bytes > LONGEST_TRACE;
        let stopped = stop();
        if stopped || is_astray {
            // Bochs goes with its terminal.
            script.kill()?;
            script.wait()?;
            ensure!(!stopped, "stopped before Bochs was at the end");
            bail!("Bochs has gone astray: its trace has {bytes} bytes and no end");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let output = std::fs::read(file("output")).context("`script` wrote nothing")?;
    let output = String::from_utf8_lossy(&output).into_owned();
    if output.contains("bochs: not found") || output.contains("command not found") {
        bail!("Bochs is not installed (Debian: apt-get install bochs bochs-term)");
    }
    ensure!(
        output.contains("Next at t="),
        "Bochs did not run ({status}): {}",
        output.lines().rev().take(5).collect::<Vec<_>>().join(" / ")
    );
    Ok(output)
}

/// The rows of a trace: registers, then the instruction that comes next.
fn rows(output: &str, program: &Program) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut row = Row::default();
    for line in output.lines() {
        let line = line.trim_end();
        if let Some(flags) = line.strip_prefix("eflags 0x") {
            row.eflags = u32::from_str_radix(&flags[..8], 16).context("EFLAGS in the trace")?;
            debug_assert!(
                FLAGS
                    .iter()
                    .all(|(name, _)| flags.to_lowercase().contains(name))
            );
        } else if line.ends_with("??? (physical address not available)") {
            // What cannot be fetched is no instruction: the page fault follows.
        } else if let Some(instruction) = line.strip_prefix("(0).[") {
            // `(0).[12] [0x0000000fe071] f000:000000000000e071 (unk. ctxt): mov ax, cs ; 8cc8`
            let address = instruction
                .split("] ")
                .nth(2)
                .and_then(|rest| rest.split(' ').next());
            let (selector, offset) = address
                .and_then(|text| text.split_once(':'))
                .context("an address in the trace")?;
            row.cs = u32::from_str_radix(selector, 16).context("CS in the trace")?;
            row.eip = u32::from_str_radix(offset, 16).context("EIP in the trace")?;
            rows.push(row);
        } else if let Some((name, value)) = line.split_once(": ")
            && let Some(number) = GENERAL.iter().position(|general| *general == name)
            && let Some((_, low)) = value.split_once('_')
        {
            row.general[number] =
                u32::from_str_radix(&low[..8], 16).context("a register in the trace")?;
        }
    }
    // The first row of a trace is that of the breakpoint.
    let first = rows.iter().position(|row| row.eip == program.start);
    let last = rows.iter().rposition(|row| row.eip == program.end - 1);
    match (first, last) {
        (Some(first), Some(last)) if first < last => Ok(rows[first..=last].to_vec()),
        _ => bail!(
            "Bochs did not come to the end of the program: {} rows, the last at {:x}:{:x}",
            rows.len(),
            rows.last().map_or(0, |row| row.cs),
            rows.last().map_or(0, |row| row.eip)
        ),
    }
}
