//! `sysgate console`.

use super::{Failure, GateArgument, OsArgument, built_in, exit, interrupted, print, session};
use crate::bill::{self, Reader};
use crate::image::Image;
use clap::Args;
use serialport::SerialPort;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A board that says nothing for so long, after it has said something, has no bill under way.
const QUIET: Duration = Duration::from_secs(2);

/// Arguments of `sysgate console`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sysgate console
  sysgate console --port /dev/ttyUSB1
  sysgate console --bill                the board's clocks beside the simulator's

Ctrl-C ends it. Press FIRE1 on the board to start the journey again.

Exit codes: 0 done, with --bill: all lines are equal; 30 with --bill: some are not; 10 the port is not there, busy,
forbidden, or gone in the middle; 130 with --bill: interrupted.")]
pub struct ConsoleArguments {
    /// The serial port [default: the board's FTDI chip]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Bits per second
    #[arg(long, value_name = "N", default_value_t = spec::clock::UART_BAUD_AT_DIVISOR_1 as u32)]
    baud: u32,
    /// Wait for the board's bill and compare it with the simulator's, line by line
    #[arg(long)]
    bill: bool,
    /// With --bill: the image on the board is the one in this folder
    #[arg(long, value_name = "DIR", requires = "bill")]
    image: Option<PathBuf>,
    /// With --bill: how user code of the board's image enters the kernel [default: sysenter]
    #[arg(long, value_enum, requires = "bill", conflicts_with = "image")]
    gate: Option<GateArgument>,
}

/// The port that a board's FTDI chip has, or what there is instead.
fn find_port() -> Result<String, String> {
    let ports = serialport::available_ports()
        .map_err(|error| format!("cannot list the serial ports: {error}"))?;
    let is_board = |port: &&serialport::SerialPortInfo| matches!(&port.port_type, serialport::SerialPortType::UsbPort(usb) if (usb.vid, usb.pid) == (0x0403, 0x6015));
    if let Some(port) = ports.iter().find(is_board) {
        return Ok(port.port_name.clone());
    }
    let names: Vec<&str> = ports.iter().map(|port| port.port_name.as_str()).collect();
    Err(if names.is_empty() {
        "there is no serial port; is the board plugged in (USB 0403:6015)?".into()
    } else {
        format!(
            "no serial port is the board's; choose one with --port: {}",
            names.join(", ")
        )
    })
}

/// What has come since the last look; nothing if nothing came for a while.
fn receive(port: &mut dyn SerialPort, name: &str, bytes: &mut [u8]) -> Result<usize, String> {
    match port.read(bytes) {
        // A serial line has no end: this is a device that was unplugged.
        Ok(0) => Err(format!("{name} is gone")),
        Ok(count) => Ok(count),
        Err(error) if [ErrorKind::TimedOut, ErrorKind::Interrupted].contains(&error.kind()) => {
            Ok(0)
        }
        // Ctrl-C may end the wait with an error of its own.
        Err(_) if interrupted() => Ok(0),
        Err(error) => Err(format!("{name} is gone: {error}")),
    }
}

impl ConsoleArguments {
    /// Shows what the board sends and sends what is typed, until Ctrl-C; or compares the board's bill.
    ///
    /// # Errors
    /// A port that is not there, busy, forbidden, or gone in the middle; a bill that differs.
    pub fn run(self) -> Result<u8, Failure> {
        let name = match &self.port {
            Some(name) => name.clone(),
            None => find_port()?,
        };
        let mut port = serialport::new(&name, self.baud)
            .timeout(Duration::from_millis(50))
            .open()
            .map_err(|error| match error.kind() {
                serialport::ErrorKind::Io(ErrorKind::PermissionDenied) => format!(
                    "{name}: permission denied; be in group dialout (sudo usermod -aG dialout $USER, then log in again)"
                ),
                serialport::ErrorKind::NoDevice => format!("{name}: {error}; is it there, and does no other program use it?"),
                _ => format!("{name}: {error}"),
            })?;
        if self.bill {
            return self.compare_bills(port.as_mut(), &name);
        }
        eprintln!("{name}, {} baud; Ctrl-C ends", self.baud);
        let typed = session::console_input();
        let mut bytes = [0; 256];
        while !interrupted() {
            let count = receive(port.as_mut(), &name, &mut bytes)?;
            if count != 0 {
                print(&String::from_utf8_lossy(&bytes[..count]))?;
            }
            for bytes in typed.try_iter() {
                port.write_all(&bytes)
                    .map_err(|error| format!("{name}: cannot send: {error}"))?;
            }
        }
        Ok(exit::SUCCESS)
    }

    fn compare_bills(&self, port: &mut dyn SerialPort, name: &str) -> Result<u8, Failure> {
        let image = match &self.image {
            Some(folder) => Image::read(folder)?,
            None => built_in(
                self.gate.unwrap_or(GateArgument::Sysenter),
                OsArgument::Seven,
                true,
            )?,
        };
        let stopped = || Failure::new(exit::INTERRUPTED, "interrupted: there is no whole bill");
        let simulator = bill::measure(&image, &mut || !interrupted())?.ok_or_else(stopped)?;
        eprintln!(
            "{name}, {} baud; waits for the bill: press FIRE1 on the board; Ctrl-C ends",
            self.baud
        );
        let expected = simulator.traced.len();
        let mut reader = Reader::default();
        let mut bytes = [0; 256];
        let mut heard = None;
        while !reader.is_complete() && reader.lines().len() < expected {
            if interrupted() {
                return Err(stopped());
            }
            let count = receive(port, name, &mut bytes).map_err(|error| {
                format!(
                    "{error}; of the bill's {expected} lines {} had come",
                    reader.lines().len()
                )
            })?;
            if count != 0 {
                heard = Some(Instant::now());
                // Stdout is for the comparison.
                std::io::stderr().write_all(&bytes[..count])?;
                reader.push(&bytes[..count]);
            } else if heard.is_some_and(|last| last.elapsed() > QUIET) {
                heard = None;
                eprintln!(
                    "the board has fallen silent without a whole bill; is the bill's image on it (sysgate synth --firmware-only --bill)?"
                );
            }
        }
        let comparison = bill::compare(reader.lines(), &simulator.traced);
        print(&comparison.table)?;
        match comparison.different {
            0 => Ok(exit::SUCCESS),
            different => Err(Failure::new(
                exit::BILL_DIFFERS,
                format!(
                    "{different} of {} lines differ: the board runs another image or another core than this program's, or a byte was lost",
                    comparison.lines
                ),
            )),
        }
    }
}
