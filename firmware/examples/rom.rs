//! Builds a ROM for trying it under an emulator: `rom FILE [smoke|sysenter|int2e]`, and writes the PE files
//! and `symbols.json` beside it.
use firmware::{Gate, ImageOptions};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: rom FILE [smoke|sysenter|int2e]")?;
    let kind = arguments.next().unwrap_or_default();
    if kind == "smoke" {
        return Ok(std::fs::write(path, firmware::smoke())?);
    }
    let gate = if kind == "int2e" {
        Gate::Int2e
    } else {
        Gate::Sysenter
    };
    let image = firmware::build(&ImageOptions {
        gate,
        ..ImageOptions::default()
    })?;
    let directory = Path::new(&path).parent().unwrap_or(Path::new("."));
    std::fs::write(&path, &image.rom)?;
    for (name, bytes) in &image.files {
        std::fs::write(directory.join(name), bytes)?;
    }
    println!(
        "ROM {} bytes, RAM {} bytes, {} symbols",
        image.rom.len(),
        image.ram_bytes,
        image.symbols.symbols.len()
    );
    for module in &image.symbols.modules {
        println!(
            "{:08x} {:09x} {}",
            module.base,
            u64::from(module.base) + u64::from(module.size),
            module.name
        );
    }
    for symbol in &image.symbols.symbols {
        println!(
            "{:08x} {:5x} {}!{}",
            symbol.address, symbol.size, symbol.module, symbol.name
        );
    }
    Ok(())
}
