//! The stages from Verilog to a bitstream. Each is done again only if what it depends on has changed.

use super::report::{Cells, Report};
use super::tools::{Tool, Tools};
use spec::memory_map::{DEFAULT_ROM_BYTES, ROM_WORD_BYTES, rom_file};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Place and route stop to improve at their aim, so it is above what is wanted.
const LEAST_AIM_MHZ: f64 = 42.0;

/// Nearly all of a path's delay is routing, so placement weighs timing more than by default (10 and 2).
const PLACEMENT: [&str; 4] = [
    "--placer-heap-timingweight",
    "30",
    "--placer-heap-critexp",
    "4",
];

/// Pins of the board.
const ULX3S_PINS: &str = include_str!("../../../constraints/ulx3s/ulx3s.lpf");
/// Pins of its SDRAM.
const SDRAM_PINS: &str = include_str!("../../../constraints/ulx3s/sdram.lpf");

/// Ports that a board leaves open; inputs among them are 0.
const NOT_ON_A_BOARD: [&str; 5] = ["debug_", "retire_", "pipeline_", "nmi", "io_"];

/// The module around a top without pins.
const WRAPPER: &str = "board";

/// The words of the ROM.
const ROM_WORDS: usize = DEFAULT_ROM_BYTES as usize / ROM_WORD_BYTES;

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// The core alone, without pins.
    Core,
    /// The core with its devices, without pins.
    Chip,
    /// The ULX3S with an LFE5U-85F, RAM in block RAM.
    Ulx3s,
    /// The ULX3S with an LFE5U-85F, RAM in its SDRAM.
    Ulx3sSdram,
}

impl Top {
    fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Chip => "chip",
            Self::Ulx3s => "ulx3s",
            Self::Ulx3sSdram => "ulx3s_sdram",
        }
    }

    /// It has pins and a ROM.
    pub fn is_board(self) -> bool {
        matches!(self, Self::Ulx3s | Self::Ulx3sSdram)
    }
}

/// A build in its folder.
pub struct Synthesis {
    tools: Tools,
    top: Top,
    clock_hz: u64,
    folder: PathBuf,
    /// Words of the board's ROM, if not those that are replaced in the routed design.
    rom: Option<String>,
}

/// A design that was placed and routed.
#[derive(Debug)]
pub struct Routed {
    /// Its seed.
    pub seed: u64,
    /// Its figures.
    pub report: Report,
}

/// A design before and after synthesis, for a simulator that runs both.
pub struct GateLevel {
    /// The module at the top of both.
    pub top: &'static str,
    /// What synthesis read.
    pub verilog: String,
    /// What it made of that.
    pub netlist: String,
    /// yosys' models of the cells; block RAM, multipliers and PLL are not among them.
    pub cells: String,
}

impl Synthesis {
    /// A build of `top` for a clock of `clock_hz`, in `folder`, which is created.
    ///
    /// # Errors
    /// Tools that cannot be laid, a folder that cannot be written.
    pub fn new(top: Top, clock_hz: u64, folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(Self {
            tools: Tools::lay()?,
            top,
            clock_hz,
            folder: folder
                .canonicalize()
                .map_err(|error| format!("cannot use {}: {error}", folder.display()))?,
            rom: None,
        })
    }

    /// Puts this ROM into the board's netlist itself: a full rebuild, in which [`Self::pack`] cannot replace it.
    ///
    /// # Errors
    /// A ROM of another size.
    pub fn with_rom(self, rom: &[u8]) -> Result<Self, String> {
        Ok(Self {
            rom: Some(rom_words(rom)?),
            ..self
        })
    }

    /// Makes the netlist; its cells.
    ///
    /// # Errors
    /// What the tool says.
    pub fn netlist(&self) -> Result<Cells, String> {
        let name = self.top.name();
        let (verilog, top) = match self.top {
            Top::Core => with_wrapper(verilator_sys::CORE_VERILOG, "core")?,
            Top::Chip => with_wrapper(verilator_sys::CHIP_VERILOG, "chip")?,
            Top::Ulx3s | Top::Ulx3sSdram => {
                let rows = match self.top {
                    Top::Ulx3sSdram => verilator_sys::ULX3S_SDRAM_VERILOG,
                    _ => verilator_sys::ULX3S_VERILOG,
                };
                let row = rows.iter().find(|(clock, _)| *clock == self.clock_hz);
                let (_, text) = row.ok_or("there is no board's Verilog for this clock")?;
                ((*text).to_string(), name)
            }
        };
        let rom = match &self.rom {
            _ if !self.top.is_board() => None,
            Some(words) => Some(words.clone()),
            None => Some(self.random_words()?),
        };
        let mut parts = vec![verilog.clone(), Tools::versions(), "netlist 2".into()];
        parts.extend(self.rom.clone());
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let key = key(&parts);
        if !self.is_done("netlist", &key) {
            self.write(&format!("{name}.v"), &verilog)?;
            if let Some(words) = rom {
                for lane in 0..ROM_WORD_BYTES {
                    let digits = 2 * (ROM_WORD_BYTES - 1 - lane);
                    let bytes = words
                        .lines()
                        .map(|word| [&word[digits..digits + 2], "\n"].concat());
                    self.write(&rom_file(lane), &bytes.collect::<String>())?;
                }
            }
            let passes = [
                format!("read_verilog -sv {name}.v"),
                // ABC9 proves its own result by default, which takes longer than the mapping.
                "scratchpad -set abc9.verify 0".into(),
                format!("synth_ecp5 -top {top} -json netlist.json"),
                "tee -o cells.json stat -json".into(),
            ];
            self.tools
                .run(Tool::Yosys, "yosys", &self.folder, &passes)?;
            self.done("netlist", &key)?;
        }
        Cells::parse(&self.read("cells.json")?, &self.read("netlist.json")?)
    }

    /// Words that are all different, by which the ROM's blocks are found again in the routed design.
    fn random_words(&self) -> Result<String, String> {
        if !self.path("random.hex").is_file() {
            let arguments = ["-g", "making.hex", "-s", "1", "-w", "64", "-d"].map(String::from);
            let arguments = [&arguments[..], &[ROM_WORDS.to_string()]].concat();
            self.tools
                .run(Tool::Ecpbram, "ecpbram-random", &self.folder, &arguments)?;
            self.rename("making.hex", "random.hex")?;
        }
        self.read("random.hex")
    }

    /// Makes the netlist and prints it as Verilog.
    ///
    /// # Errors
    /// What the tool says.
    pub fn gate_level(&self) -> Result<GateLevel, String> {
        self.netlist()?;
        let key = key(&[&self.read("netlist.key")?, "gate level 1"]);
        if !self.is_done("gate-level", &key) {
            // A net for each bit: as parts of vectors they would look like loops to the simulator.
            let passes = ["read_json netlist.json", "splitnets"].map(String::from);
            let write = ["write_verilog -noattr netlist.v".to_string()];
            let passes = [&passes[..], &write].concat();
            self.tools
                .run(Tool::Yosys, "yosys-verilog", &self.folder, &passes)?;
            self.done("gate-level", &key)?;
        }
        Ok(GateLevel {
            top: match self.top {
                Top::Ulx3s | Top::Ulx3sSdram => self.top.name(),
                Top::Core | Top::Chip => WRAPPER,
            },
            verilog: self.read(&format!("{}.v", self.top.name()))?,
            netlist: self.read("netlist.v")?,
            cells: self.tools.cell_models()?,
        })
    }

    /// Places and routes the netlist.
    ///
    /// # Errors
    /// What the tool says; a design that does not fit.
    pub fn route(&self, seed: u64) -> Result<Routed, String> {
        let mhz = self.clock_hz as f64 / 1e6;
        let stage = format!("routed-{seed}");
        let netlist = self.read("netlist.key")?;
        let pins = match self.top {
            Top::Ulx3sSdram => [ULX3S_PINS, SDRAM_PINS].concat(),
            _ => ULX3S_PINS.to_string(),
        };
        let key = key(&[
            &netlist,
            &PLACEMENT.join(" "),
            &pins,
            &mhz.to_string(),
            "routed 2",
        ]);
        let report = format!("{stage}.json");
        if !self.is_done(&stage, &key) {
            let mut arguments: Vec<String> = [
                "--85k",
                "--speed",
                "6",
                "--package",
                "CABGA381",
                "--json",
                "netlist.json",
                "--timing-allow-fail",
                "--seed",
                &seed.to_string(),
                "--report",
                &report,
                "--freq",
                &(mhz * 1.05).max(LEAST_AIM_MHZ).to_string(),
            ]
            .map(String::from)
            .to_vec();
            arguments.extend(PLACEMENT.map(String::from));
            if self.top.is_board() {
                self.write("ulx3s.lpf", &pins)?;
                let config = format!("{stage}.config");
                arguments.extend(["--lpf", "ulx3s.lpf", "--textcfg", &config].map(String::from));
            } else {
                arguments.push("--out-of-context".into());
            }
            self.tools.run(
                Tool::Nextpnr,
                &format!("nextpnr-{seed}"),
                &self.folder,
                &arguments,
            )?;
            self.done(&stage, &key)?;
        }
        let report = Report::parse(&self.read(&report)?)?;
        Ok(Routed { seed, report })
    }

    /// Puts a ROM into the routed design, unless it was built with it, and packs the design: the paths of the bitstream and
    /// of its SVF.
    ///
    /// # Errors
    /// A ROM of another size or other than the one built in, a design that was not routed, what the tools say.
    pub fn pack(&self, seed: u64, rom: &[u8]) -> Result<[PathBuf; 2], String> {
        let config = format!("routed-{seed}.config");
        let replaceable = self.rom.is_some() || self.path("random.hex").is_file();
        if !self.path(&config).is_file() || !replaceable {
            return Err(format!(
                "{} has no routed design of seed {seed}; run `sysgate synth --board ulx3s-85f` without --firmware-only first",
                self.folder.display()
            ));
        }
        let words = rom_words(rom)?;
        let arguments = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let packed = match &self.rom {
            Some(built_in) if *built_in == words => config.as_str(),
            Some(_) => {
                return Err(format!(
                    "the design in {} was built with another ROM, which cannot be replaced",
                    self.folder.display()
                ));
            }
            None => {
                self.write("firmware.hex", &words)?;
                let replace =
                    format!("-i {config} -o firmware.config -f random.hex -t firmware.hex");
                self.tools
                    .run(Tool::Ecpbram, "ecpbram", &self.folder, &arguments(&replace))?;
                "firmware.config"
            }
        };
        let pack = format!("--compress --svf making.svf {packed} making.bit");
        self.tools
            .run(Tool::Ecppack, "ecppack", &self.folder, &arguments(&pack))?;
        self.rename("making.bit", "ulx3s.bit")?;
        self.rename("making.svf", "ulx3s.svf")?;
        Ok([self.path("ulx3s.bit"), self.path("ulx3s.svf")])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> Result<String, String> {
        let path = self.path(name);
        fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), String> {
        fs::rename(self.path(from), self.path(to))
            .map_err(|error| format!("cannot write {}: {error}", self.path(to).display()))
    }

    fn is_done(&self, stage: &str, key: &str) -> bool {
        self.read(&format!("{stage}.key"))
            .is_ok_and(|done| done == key)
    }

    fn done(&self, stage: &str, key: &str) -> Result<(), String> {
        self.write(&format!("{stage}.key"), key)
    }
}

/// The ROM as synthesis and [`Tool::Ecpbram`] read it: a word in hexadecimal per line.
fn rom_words(rom: &[u8]) -> Result<String, String> {
    if rom.len() != ROM_WORDS * ROM_WORD_BYTES {
        return Err(format!(
            "a ROM of {} bytes: the board's has {}",
            rom.len(),
            ROM_WORDS * ROM_WORD_BYTES
        ));
    }
    let word = |word: &[u8]| -> String {
        let bytes: String = word
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        bytes + "\n"
    };
    Ok(rom.chunks(ROM_WORD_BYTES).map(word).collect())
}

fn key(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The module in a top that has the ports of a board: what a board leaves open is left to synthesis to remove.
fn with_wrapper(verilog: &str, module: &str) -> Result<(String, &'static str), String> {
    let unexpected =
        || format!("the port list of module `{module}` has another form than expected");
    let header = format!("module {module}(");
    let begin = verilog.find(&header).ok_or_else(unexpected)? + header.len();
    let end = begin + verilog[begin..].find(");").ok_or_else(unexpected)?;
    let mut outer = Vec::new();
    let mut inner = Vec::new();
    for port in verilog[begin..end].split(',').map(str::trim) {
        let name = port.split_whitespace().last().ok_or_else(unexpected)?;
        let left_open = NOT_ON_A_BOARD.iter().any(|prefix| name.starts_with(prefix));
        match (port.starts_with("input"), left_open) {
            (_, false) => {
                outer.push(port.replace(" reg ", " wire "));
                inner.push(format!(".{name}({name})"));
            }
            (true, true) => inner.push(format!(".{name}('0)")),
            (false, true) => {}
        }
    }
    let text = format!(
        "{verilog}\nmodule {WRAPPER}({});\n  {module} {module}({});\nendmodule\n",
        outer.join(", "),
        inner.join(", ")
    );
    Ok((text, WRAPPER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_keeps_the_ports_of_a_board_only() {
        let verilog = "module core(\n  input wire clock,\n  input wire [7:0] debug_register,\n  output reg [3:0] retire_length,\n  output wire [31:0] data_address);\nendmodule\n";
        let (text, top) = with_wrapper(verilog, "core").unwrap();
        assert_eq!(top, "board");
        assert!(
            text.contains("module board(input wire clock, output wire [31:0] data_address);"),
            "{text}"
        );
        assert!(
            text.contains(
                "core core(.clock(clock), .debug_register('0), .data_address(data_address));"
            ),
            "{text}"
        );
    }
}
