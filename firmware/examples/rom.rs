//! Builds a ROM for trying it under an emulator: `rom FILE [smoke] [int2e] [bill|echo|exercise]
//! [without-kernel32|without-kernelbase] [moved]`, and writes the PE files beside it; prints modules and symbols.
use firmware::{Gate, ImageOptions, Layer, Program};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: rom FILE [word ...]; the words are in the source's first lines")?;
    let words: Vec<String> = arguments.collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    if has("smoke") {
        return Ok(std::fs::write(path, firmware::smoke())?);
    }
    let gate = if has("int2e") {
        Gate::Int2e
    } else {
        Gate::Sysenter
    };
    let programs = [
        ("bill", Program::Bill),
        ("echo", Program::Echo),
        ("exercise", Program::Exercise),
    ];
    let program = programs
        .iter()
        .find(|row| has(row.0))
        .map_or(Program::Greeting, |row| row.1);
    let without = match () {
        () if has("without-kernel32") => Some(Layer::Kernel32),
        () if has("without-kernelbase") => Some(Layer::KernelBase),
        () => None,
    };
    let moved = [
        ("ntdll", 0x6000_0000),
        ("KERNELBASE", 0x6100_0000),
        ("nt", 0x8300_0000),
        ("winlogon", 0x0200_0000),
    ];
    let bases = moved.map(|(name, base)| (name.to_string(), base));
    let image = firmware::build(&ImageOptions {
        gate,
        program,
        without,
        bases: if has("moved") {
            bases.to_vec()
        } else {
            Vec::new()
        },
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
        println!("{:08x} {:6x} {}", module.base, module.size, module.name);
    }
    for symbol in &image.symbols.symbols {
        println!(
            "{:08x} {:5x} {}!{}",
            symbol.address, symbol.size, symbol.module, symbol.name
        );
    }
    Ok(())
}
