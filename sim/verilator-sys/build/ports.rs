//! The edge of the chip as the shim sees it, and the Verilog that fits a chip to that edge.

use hdl::emit::{Port, PortDirection, Verilog};
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    In,
    Out,
}
use Direction::{In, Out};

/// The chip's ports as the shim uses them: direction, name, width in bits.
#[rustfmt::skip]
pub const PORTS: &[(Direction, &str, u32)] = &[
    (In,  "clock", 1),
    (In,  "reset", 1),
    (Out, "instruction_request", 1),
    (Out, "instruction_address", 32),
    (Out, "instruction_cacheable", 1),
    (In,  "instruction_data", 64),
    (In,  "instruction_wait", 1),
    (Out, "data_request", 1),
    (Out, "data_write", 1),
    (Out, "data_address", 32),
    (Out, "data_byte_enable", 8),
    (Out, "data_write_data", 64),
    (In,  "data_read_data", 64),
    (In,  "data_wait", 1),
    (Out, "data_cacheable", 1),
    (Out, "caches_fill", 1),
    (Out, "caches_flush", 1),
    (In,  "nmi", 1),
    (Out, "halted", 1),
    (Out, "shutdown", 1),
    (Out, "retire_valid", 1),
    (Out, "retire_first", 1),
    (Out, "retire_last", 1),
    (Out, "retire_cycle", 64),
    (Out, "retire_eip", 32),
    (Out, "retire_next_eip", 32),
    (Out, "retire_length", 4),
    (Out, "retire_bytes", 128),
    (Out, "retire_cpl", 2),
    (Out, "retire_mode", 4),
    (Out, "retire_micro_address", 12),
    (Out, "retire_register_write", 1),
    (Out, "retire_register", 4),
    (Out, "retire_register_data", 32),
    (Out, "retire_esp_write", 1),
    (Out, "retire_esp_data", 32),
    (Out, "retire_eflags", 32),
    (Out, "retire_system_write", 1),
    (Out, "retire_system_number", 8),
    (Out, "retire_system_data", 32),
    (Out, "retire_load", 1),
    (Out, "retire_load_linear", 32),
    (Out, "retire_load_physical", 32),
    (Out, "retire_load_size", 4),
    (Out, "retire_load_data", 64),
    (Out, "retire_store", 1),
    (Out, "retire_store_linear", 32),
    (Out, "retire_store_physical", 32),
    (Out, "retire_store_size", 4),
    (Out, "retire_store_data", 64),
    (Out, "retire_access_io", 1),
    (Out, "retire_exception", 1),
    (Out, "retire_interrupt", 1),
    (Out, "retire_vector", 8),
    (Out, "retire_has_error_code", 1),
    (Out, "retire_error_code", 16),
    (Out, "retire_cr2", 32),
    (In,  "debug_halt", 1),
    (In,  "debug_step", 1),
    (Out, "debug_halted", 1),
    (In,  "debug_register", 8),
    (Out, "debug_read_data", 32),
    (In,  "debug_write", 1),
    (In,  "debug_write_data", 32),
    (In,  "debug_invalidate", 1),
    (Out, "pipeline_fetch_bytes", 6),
    (Out, "pipeline_decode_valid", 1),
    (Out, "pipeline_issue_valid", 1),
    (Out, "pipeline_address_valid", 1),
    (Out, "pipeline_memory_valid", 1),
    (Out, "pipeline_execute_valid", 1),
    (Out, "pipeline_decode_eip", 32),
    (Out, "pipeline_issue_eip", 32),
    (Out, "pipeline_address_eip", 32),
    (Out, "pipeline_memory_eip", 32),
    (Out, "pipeline_execute_eip", 32),
    (Out, "pipeline_micro_address", 12),
    (Out, "pipeline_stall", 16),
    (Out, "uart_tx", 1),
    (In,  "uart_rx", 1),
    (Out, "leds", 8),
    (Out, "io_valid", 1),
    (Out, "io_write", 1),
    (Out, "io_port", 16),
    (Out, "io_size", 3),
    (Out, "io_data", 32),
    (Out, "external_port", 16),
    (Out, "external_read", 1),
    (Out, "external_write", 1),
    (Out, "external_write_data", 8),
    (Out, "external_inside", 1),
    (In,  "external_selected", 1),
    (In,  "external_read_data", 8),
    (In,  "external_lines", 16),
];

/// Inputs that the chip sees in the clock in which the shim sets them: answers to byte cycles of the same clock.
const UNREGISTERED: &[&str] = &["clock", "external_selected", "external_read_data"];

/// The text lanes of the waveform: scope, name, characters. `sg_texts` in `shim/shim.h` has the same rows in the same order.
///
/// More than 8 characters each: what is narrower is no array of words in Verilator's C++.
#[rustfmt::skip]
pub const LANES: &[(&str, &str, u32)] = &[
    ("journey",  "symbol", 48),
    ("journey",  "disassembly", 48),
    ("journey",  "ring", 12),
    ("journey",  "module_name", 16),
    ("journey",  "microcode", 32),
    ("pipeline", "fetch", 16),
    ("pipeline", "decode", 40),
    ("pipeline", "issue", 40),
    ("pipeline", "address", 40),
    ("pipeline", "memory", 40),
    ("pipeline", "execute", 40),
    ("pipeline", "stall", 96),
];

/// The ports of the emitted top: name to direction and width.
///
/// # Errors
/// A port that goes both ways.
pub fn of_top(verilog: &Verilog) -> Result<BTreeMap<String, (Direction, u32)>, String> {
    let top = verilog
        .modules
        .first()
        .ok_or("the emitted Verilog has no module")?;
    let direction = |port: &Port| match port.direction {
        PortDirection::Input => Ok(In),
        PortDirection::Output => Ok(Out),
        PortDirection::InOut => Err(format!("port `{}` goes both ways", port.name)),
    };
    top.ports
        .iter()
        .map(|port| Ok((port.name.clone(), (direction(port)?, port.width as u32))))
        .collect()
}

/// The module `sysgate` around `chip_module`: all of [`PORTS`], inputs registered once, except [`UNREGISTERED`].
///
/// With an input registered, nothing in the chip hangs combinationally on the shim's writes: the model settles once a
/// clock, at the rising edge, instead of twice.
pub fn wrapper(
    chip_module: &str,
    chip: &BTreeMap<String, (Direction, u32)>,
) -> Result<String, String> {
    let known: BTreeMap<String, (Direction, u32)> = PORTS
        .iter()
        .map(|&(direction, name, width)| (name.to_string(), (direction, width)))
        .collect();
    for (name, port) in chip {
        // An output that the shim does not use stays open; an input that nobody drives would not do.
        let unused = port.0 == Out && !known.contains_key(name);
        if !unused && known.get(name) != Some(port) {
            return Err(format!(
                "port `{name}` of the chip is {port:?}, for the simulator it is {:?}",
                known.get(name)
            ));
        }
    }
    if let Some(missing) = known.keys().find(|name| !chip.contains_key(*name)) {
        return Err(format!(
            "the chip has no port `{missing}`, which the simulator uses"
        ));
    }
    let mut text = String::from("\nmodule sysgate(\n");
    let range = |width: u32| {
        if width == 1 {
            String::new()
        } else {
            format!("[{}:0] ", width - 1)
        }
    };
    for &(direction, name, width) in PORTS {
        let keyword = if direction == In { "input" } else { "output" };
        writeln!(text, "    {keyword} wire {}{name},", range(width)).unwrap();
    }
    // Written by the shim as ASCII text, the first character in the most significant byte.
    let lanes: Vec<String> = LANES
        .iter()
        .map(|(_, name, characters)| format!("    input wire {}text_{name}", range(8 * characters)))
        .collect();
    text += &lanes.join(",\n");
    text += "\n);\n";
    for &(direction, name, width) in PORTS {
        if direction == In && !UNREGISTERED.contains(&name) {
            writeln!(text, "    reg {}{name}_reg;", range(width)).unwrap();
            writeln!(text, "    always @(posedge clock) {name}_reg <= {name};").unwrap();
        }
    }
    let mut lane_modules = String::new();
    for scope in LANES.chunk_by(|a, b| a.0 == b.0) {
        let module = scope[0].0;
        let lines = |line: &dyn Fn(&str, u32) -> String| {
            let lines: Vec<String> = scope
                .iter()
                .map(|(_, name, characters)| line(name, *characters))
                .collect();
            lines.join(",\n")
        };
        let connections = lines(&|name, _| format!("        .{name}(text_{name})"));
        writeln!(text, "    {module}_lanes {module}(\n{connections}\n    );").unwrap();
        let ports =
            lines(&|name, characters| format!("    input wire {}{name}", range(8 * characters)));
        lane_modules += &format!("\nmodule {module}_lanes(\n{ports}\n);\nendmodule\n");
    }
    writeln!(text, "    {chip_module} chip(").unwrap();
    let connections: Vec<String> = chip
        .iter()
        .map(|(name, &(direction, _))| match direction {
            In if !UNREGISTERED.contains(&name.as_str()) => format!("        .{name}({name}_reg)"),
            _ if known.contains_key(name) => format!("        .{name}({name})"),
            _ => format!("        .{name}()"),
        })
        .collect();
    text += &connections.join(",\n");
    text += "\n    );\nendmodule\n\n";
    text += "// Text beside the wires, in scopes of its own.";
    text += &lane_modules;
    Ok(text)
}

/// The ports of the memory system that the shim puts beside the chip, with SDRAM.
#[rustfmt::skip]
pub const MEMORY_PORTS: &[(Direction, &str, u32)] = &[
    (In,  "clock", 1),
    (In,  "reset", 1),
    (In,  "flush", 1),
    (In,  "fills", 1),
    (In,  "instruction_request", 1),
    (In,  "instruction_address", 32),
    (In,  "instruction_in_ram", 1),
    (In,  "instruction_in_rom", 1),
    (In,  "instruction_cacheable", 1),
    (Out, "instruction_rom_address", 32),
    (In,  "instruction_rom_data", 64),
    (Out, "instruction_data", 64),
    (Out, "instruction_wait", 1),
    (In,  "data_request", 1),
    (In,  "data_write", 1),
    (In,  "data_address", 32),
    (In,  "data_in_ram", 1),
    (In,  "data_in_rom", 1),
    (In,  "data_cacheable", 1),
    (Out, "data_rom_address", 32),
    (In,  "data_rom_data", 64),
    (In,  "data_byte_enable", 8),
    (In,  "data_write_data", 64),
    (Out, "data_read_data", 64),
    (Out, "data_wait", 1),
    (Out, "settled", 1),
    (Out, "sdram_cke", 1),
    (Out, "sdram_cs_n", 1),
    (Out, "sdram_ras_n", 1),
    (Out, "sdram_cas_n", 1),
    (Out, "sdram_we_n", 1),
    (Out, "sdram_bank", 2),
    (Out, "sdram_address", 13),
    (Out, "sdram_dqm", 2),
    (Out, "sdram_data_out", 16),
    (Out, "sdram_data_drive", 1),
    (In,  "sdram_data_in", 16),
];

/// The module `memory` around `memory_module`: all of [`MEMORY_PORTS`]; what the ROM holds is registered, as block RAM
/// does it, so that the shim looks it up together with the request.
///
/// # Errors
/// A port that the memory system has otherwise.
pub fn memory_wrapper(
    memory_module: &str,
    memory: &BTreeMap<String, (Direction, u32)>,
) -> Result<String, String> {
    let known: BTreeMap<String, (Direction, u32)> = MEMORY_PORTS
        .iter()
        .map(|&(direction, name, width)| (name.to_string(), (direction, width)))
        .collect();
    if known != *memory {
        let differs = |(name, port): &(&String, &(Direction, u32))| known.get(*name) != Some(*port);
        return Err(format!(
            "the memory system's ports are not those that the simulator uses: {} ports instead of {}, {:?}",
            memory.len(),
            known.len(),
            memory.iter().find(differs)
        ));
    }
    let range = |width: u32| match width {
        1 => String::new(),
        _ => format!("[{}:0] ", width - 1),
    };
    let ports: Vec<String> = MEMORY_PORTS
        .iter()
        .map(|&(direction, name, width)| {
            let keyword = if direction == In { "input" } else { "output" };
            format!("    {keyword} wire {}{name}", range(width))
        })
        .collect();
    let mut text = format!("\nmodule memory(\n{}\n);\n", ports.join(",\n"));
    let registered = |name: &str| name.ends_with("_rom_data");
    for &(_, name, width) in MEMORY_PORTS.iter().filter(|port| registered(port.1)) {
        writeln!(text, "    reg {}{name}_reg;", range(width)).unwrap();
        writeln!(text, "    always @(posedge clock) {name}_reg <= {name};").unwrap();
    }
    let connections: Vec<String> = MEMORY_PORTS
        .iter()
        .map(|&(_, name, _)| match registered(name) {
            true => format!("        .{name}({name}_reg)"),
            false => format!("        .{name}({name})"),
        })
        .collect();
    writeln!(
        text,
        "    {memory_module} memory_system(\n{}\n    );\nendmodule",
        connections.join(",\n")
    )
    .unwrap();
    Ok(text)
}
