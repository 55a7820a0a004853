//! `sysgate console`.

use super::{Failure, exit, interrupted, print, session};
use clap::Args;
use std::io::Read;
use std::time::Duration;

/// Arguments of `sysgate console`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sysgate console
  sysgate console --port /dev/ttyUSB1

Ctrl-C ends it. Press FIRE1 on the board to start the journey again.")]
pub struct ConsoleArguments {
    /// The serial port [default: the board's FTDI chip]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Bits per second
    #[arg(long, value_name = "N", default_value_t = spec::clock::UART_BAUD_AT_DIVISOR_1 as u32)]
    baud: u32,
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

impl ConsoleArguments {
    /// Shows what the board sends and sends what is typed, until Ctrl-C.
    ///
    /// # Errors
    /// A port that is not there, busy, forbidden, or gone in the middle.
    pub fn run(self) -> Result<u8, Failure> {
        let name = match self.port {
            Some(name) => name,
            None => find_port()?,
        };
        let mut port = serialport::new(&name, self.baud)
            .timeout(Duration::from_millis(50))
            .open()
            .map_err(|error| match error.kind() {
                serialport::ErrorKind::Io(std::io::ErrorKind::PermissionDenied) => format!(
                    "{name}: permission denied; be in group dialout (sudo usermod -aG dialout $USER, then log in again)"
                ),
                serialport::ErrorKind::NoDevice => format!("{name}: {error}; is it there, and does no other program use it?"),
                _ => format!("{name}: {error}"),
            })?;
        eprintln!("{name}, {} baud; Ctrl-C ends", self.baud);
        let typed = session::console_input();
        let mut bytes = [0; 256];
        while !interrupted() {
            match port.read(&mut bytes) {
                Ok(0) => {}
                Ok(count) => print(&String::from_utf8_lossy(&bytes[..count]))?,
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
                Err(error) => return Err(format!("{name} is gone: {error}").into()),
            }
            for bytes in typed.try_iter() {
                port.write_all(&bytes)
                    .map_err(|error| format!("{name}: cannot send: {error}"))?;
            }
        }
        Ok(exit::SUCCESS)
    }
}
