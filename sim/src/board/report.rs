//! Figures of a netlist and of a routed design.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a part of the design takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Module {
    /// Path of instances from the top.
    pub name: String,
    /// LUTs, carry chains as two each.
    pub lut4: u64,
    /// Registers.
    pub ff: u64,
    /// Block RAMs.
    pub bram: u64,
}

/// Cells of a netlist, before placement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cells {
    /// LUTs, carry chains as two and distributed RAMs as four each.
    pub lut4: u64,
    /// Registers.
    pub ff: u64,
    /// Block RAMs of 18 kbit.
    pub bram: u64,
    /// Multipliers.
    pub mult: u64,
    /// The parts two levels below the chip or core, the largest first. Synthesis dissolves modules; a cell counts for
    /// the part whose signal it drives.
    pub modules: Vec<Module>,
}

/// How many LUTs, registers, block RAMs and multipliers one cell is.
fn weight(cell: &str) -> [u64; 4] {
    match cell {
        "LUT4" => [1, 0, 0, 0],
        "CCU2C" => [2, 0, 0, 0],
        "TRELLIS_DPR16X4" => [4, 0, 0, 0],
        "TRELLIS_FF" => [0, 1, 0, 0],
        "DP16KD" => [0, 0, 1, 0],
        "MULT18X18D" => [0, 0, 0, 1],
        _ => [0; 4],
    }
}

impl Cells {
    /// Reads what yosys wrote: `stat -json` and the netlist.
    ///
    /// # Errors
    /// Text in another form.
    pub fn parse(statistics: &str, netlist: &str) -> Result<Self, String> {
        let form = |error: serde_json::Error| format!("yosys wrote an unexpected form: {error}");
        let statistics: Value = serde_json::from_str(statistics).map_err(form)?;
        let by_type = statistics["design"]["num_cells_by_type"]
            .as_object()
            .ok_or("yosys wrote no cell counts")?;
        let mut sum = [0; 4];
        for (cell, count) in by_type {
            for (sum, weight) in sum.iter_mut().zip(weight(cell)) {
                *sum += weight * count.as_u64().unwrap_or(0);
            }
        }
        let netlist: Netlist = serde_json::from_str(netlist).map_err(form)?;
        let [lut4, ff, bram, mult] = sum;
        Ok(Self {
            lut4,
            ff,
            bram,
            mult,
            modules: netlist.modules_by_size(),
        })
    }
}

#[derive(Deserialize)]
struct Netlist {
    modules: BTreeMap<String, NetlistModule>,
}

#[derive(Deserialize)]
struct NetlistModule {
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    #[serde(default)]
    cells: BTreeMap<String, Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(rename = "type")]
    kind: String,
}

impl Netlist {
    fn modules_by_size(&self) -> Vec<Module> {
        let mut parts: BTreeMap<String, Module> = BTreeMap::new();
        let tops = self
            .modules
            .values()
            .filter(|module| module.attributes.contains_key("top"));
        for (name, cell) in tops.flat_map(|module| &module.cells) {
            let [lut4, ff, bram, _] = weight(&cell.kind);
            if lut4 + ff + bram == 0 {
                continue;
            }
            let part = parts.entry(part_of(name)).or_default();
            part.lut4 += lut4;
            part.ff += ff;
            part.bram += bram;
        }
        let mut modules: Vec<Module> = parts
            .into_iter()
            .map(|(name, module)| Module { name, ..module })
            .collect();
        modules.sort_by_key(|module| std::cmp::Reverse(module.lut4 + module.ff));
        modules
    }
}

/// The part of the design that a cell belongs to: at most three levels of its name.
fn part_of(cell: &str) -> String {
    let signal = signal(cell);
    let path: Vec<&str> = signal.split('.').collect();
    match path.len() {
        0 | 1 => "(unnamed)".into(),
        length => path[..(length - 1).min(3)].join("."),
    }
}

/// The signal of the source in the name of a net or cell that synthesis made.
fn signal(name: &str) -> &str {
    const MADE: [&str; 9] = [
        "_TRELLIS", "_LUT4", "_PFUMX", "_L6MUX", "_CCU2C", "_DP16KD", "_MULT18", "_DI", "$",
    ];
    let end = MADE
        .iter()
        .filter_map(|made| name.find(made))
        .min()
        .unwrap_or(name.len());
    &name[..end]
}

/// One step of a critical path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hop {
    /// The design's own signal.
    pub signal: String,
    /// Nanoseconds from the begin of the path.
    pub ns: f64,
}

/// Figures of a routed design.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// TRELLIS_COMB, of which each is a LUT.
    pub lut4: u64,
    /// Registers.
    pub ff: u64,
    /// Block RAMs.
    pub bram: u64,
    /// Multipliers.
    pub mult: u64,
    /// The clock that the slowest path allows, in MHz.
    pub fmax_mhz: f64,
    /// The slowest path.
    pub critical_path: Vec<Hop>,
    /// Of its time, what passes in logic rather than in wires, in ns.
    pub logic_ns: f64,
}

impl Report {
    /// Reads nextpnr's report.
    ///
    /// # Errors
    /// Text in another form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let report: Value = serde_json::from_str(text)
            .map_err(|error| format!("nextpnr wrote an unexpected report: {error}"))?;
        let used = |cell: &str| report["utilization"][cell]["used"].as_u64().unwrap_or(0);
        let clocks = report["fmax"]
            .as_object()
            .ok_or("nextpnr reports no clock")?;
        let fmax_mhz = clocks
            .values()
            .filter_map(|clock| clock["achieved"].as_f64())
            .fold(f64::INFINITY, f64::min);
        let hops = |path: &Value| path["path"].as_array().cloned().unwrap_or_default();
        let delay = |hop: &Value| hop["delay"].as_f64().unwrap_or(0.0);
        let length = |path: &Value| hops(path).iter().map(delay).sum::<f64>();
        let paths = report["critical_paths"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let slowest = paths
            .iter()
            .filter(|path| {
                path["from"]
                    .as_str()
                    .is_some_and(|from| from.starts_with("posedge"))
            })
            .max_by(|one, other| length(one).total_cmp(&length(other)))
            .map(hops)
            .unwrap_or_default();
        let mut critical_path: Vec<Hop> = Vec::new();
        let mut ns = 0.0;
        for hop in &slowest {
            ns += delay(hop);
            let name = hop["net"].as_str().or(hop["to"]["cell"].as_str());
            let signal = signal(name.unwrap_or("")).to_string();
            // Several cells in a row belong to one signal; its last time counts.
            match critical_path.last_mut() {
                _ if signal.is_empty() => {}
                Some(last) if last.signal == signal => last.ns = ns,
                _ => critical_path.push(Hop { signal, ns }),
            }
        }
        Ok(Self {
            lut4: used("TRELLIS_COMB"),
            ff: used("TRELLIS_FF"),
            bram: used("DP16KD"),
            mult: used("MULT18X18D"),
            fmax_mhz,
            critical_path,
            logic_ns: slowest
                .iter()
                .filter(|hop| hop["type"] != "routing")
                .map(delay)
                .sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_weighed_and_belong_to_the_part_that_they_drive() {
        let statistics = r#"{"design":{"num_cells_by_type":{"LUT4":3,"CCU2C":2,"TRELLIS_FF":5,"DP16KD":1,"PFUMX":9}}}"#;
        let netlist = r#"{"modules":{"LUT4":{"cells":{"x":{"type":"LUT4"}}},"ulx3s":{"attributes":{"top":"1"},"cells":{
            "chip.cpu.issue.first_LUT4_Z_3":{"type":"LUT4"},"chip.cpu.issue.row.x_CCU2C_A":{"type":"CCU2C"},
            "chip.cpu.fetch.words_TRELLIS_FF_Q":{"type":"TRELLIS_FF"},"$scope":{"type":"$scopeinfo"}}}}}"#;
        let cells = Cells::parse(statistics, netlist).unwrap();
        assert_eq!((cells.lut4, cells.ff, cells.bram), (7, 5, 1));
        let names: Vec<(&str, u64)> = cells
            .modules
            .iter()
            .map(|module| (module.name.as_str(), module.lut4))
            .collect();
        assert_eq!(names, [("chip.cpu.issue", 3), ("chip.cpu.fetch", 0)]);
    }

    #[test]
    fn the_slowest_path_is_told_in_signals_of_the_design() {
        let report = r#"{"utilization":{"TRELLIS_COMB":{"used":17000}},"fmax":{"clock":{"achieved":36.5,"constraint":40}},
            "critical_paths":[{"from":"posedge clock","to":"posedge clock","path":[
            {"type":"clk-to-q","delay":0.5,"to":{"cell":"a"},"net":"core.a"},
            {"type":"routing","delay":2.0,"to":{"cell":"x"},"net":"core.a"},
            {"type":"logic","delay":0.25,"to":{"cell":"core.b_LUT4_Z"}}]},
            {"from":"async","to":"posedge clock","path":[{"type":"routing","delay":90}]}]}"#;
        let report = Report::parse(report).unwrap();
        assert_eq!(report.fmax_mhz, 36.5);
        assert_eq!(report.logic_ns, 0.75);
        let hops: Vec<(&str, f64)> = report
            .critical_path
            .iter()
            .map(|hop| (hop.signal.as_str(), hop.ns))
            .collect();
        assert_eq!(hops, [("core.a", 2.5), ("core.b", 2.75)]);
    }
}
