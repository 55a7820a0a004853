//! Waveforms that can be read: text lanes beside the wires, and files that show both in Surfer and GTKWave.
//!
//! ```text
//! x.fst                        wires, and the text lanes
//! x.sucl                       Surfer: what to show           (surfer x.fst --command-file x.sucl)
//! .surfer/mappings/x_*         Surfer: texts for numbers, found by a Surfer that is started in this folder
//! x.gtkw                       GTKWave: what to show          (gtkwave x.gtkw)
//! .gtkwave/x_*.txt             GTKWave: the same texts for numbers
//! ```

mod lanes;
mod views;

use crate::machine::{Machine, MachineError};
use crate::symbols::Symbols;
use lanes::{Lanes, Seen};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A waveform that is being written.
#[derive(Debug)]
pub struct Wave {
    path: PathBuf,
    symbols: Arc<Symbols>,
    seen: Arc<Mutex<Seen>>,
}

impl Wave {
    /// Starts a waveform (FST) with all its text lanes.
    ///
    /// # Errors
    /// [`MachineError::Wave`] if the file cannot be created.
    pub fn open(
        machine: &mut Machine,
        path: &Path,
        symbols: &Arc<Symbols>,
    ) -> Result<Self, MachineError> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut lanes = Lanes::new(Arc::clone(symbols), Arc::clone(&seen));
        machine.set_lanes(Box::new(move |clock, texts| lanes.clock(clock, texts)));
        machine.open_wave(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            symbols: Arc::clone(symbols),
            seen,
        })
    }

    /// Ends the waveform and writes the files for the viewers beside it.
    ///
    /// # Errors
    /// A file that cannot be written; the waveform itself is complete.
    pub fn close(self, machine: &mut Machine) -> io::Result<()> {
        machine.close_wave();
        let seen =
            std::mem::take(&mut *self.seen.lock().unwrap_or_else(|error| error.into_inner()));
        views::write(&self.path, &self.symbols, &seen)
    }
}
