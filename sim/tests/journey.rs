//! The journey, as `sysgate` prints it and as the machine runs it.
#![cfg(feature = "model")]

use firmware::loader::{LoadRequest, load};
use firmware::{Gate, ImageOptions, Layer};
use serde_json::Value;
use sim::image::Image;
use sim::machine::{Machine, MachineConfig, MemoryKind, Stop};
use sim::symbols::Symbols;
use spec::registers;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the default image's winlogon.exe writes.
fn text() -> String {
    ImageOptions::default().console_text
}

/// `sysgate journey --json` with further arguments.
fn journey(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .args(["journey", "--json"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Module and symbol of the hops that enter a symbol at its begin, calls to inner functions of the kernel left out.
fn entered(journey: &Value) -> Vec<String> {
    let name = |hop: &Value| {
        format!(
            "{}!{}",
            hop["module"].as_str().unwrap(),
            hop["symbol"].as_str().unwrap()
        )
    };
    let hops = journey["hops"].as_array().unwrap();
    hops.iter()
        .filter(|hop| hop["offset"] == 0)
        .map(name)
        .collect()
}

fn rings(journey: &Value) -> Vec<u64> {
    let mut rings: Vec<u64> = journey["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["ring"].as_u64().unwrap())
        .collect();
    rings.dedup();
    rings
}

fn sum(journey: &Value, field: &str) -> u64 {
    journey["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop[field].as_u64().unwrap())
        .sum()
}

fn addresses(journey: &Value) -> Vec<&str> {
    journey["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["address"].as_str().unwrap())
        .collect()
}

#[test]
fn the_journey_goes_through_every_layer_to_ring_0_and_back() {
    let journey = journey(&[]);
    assert!(journey["hops"].as_array().unwrap().len() >= 8);
    assert_eq!(rings(&journey), [3, 0, 3]);
    let entered = entered(&journey);
    let mut path = [
        "kernel32!WriteFileImplementation",
        "KERNELBASE!WriteFile",
        "ntdll!ZwWriteFile",
        "ntdll!KiFastSystemCall",
        "nt!KiFastCallEntry",
        "nt!NtWriteFile",
        "nt!KiServiceExit",
        "ntdll!KiFastSystemCallRet",
    ]
    .iter();
    let mut next = path.next();
    for name in &entered {
        if next.is_some_and(|expected| name == expected) {
            next = path.next();
        }
    }
    assert_eq!(next, None, "in this order: {entered:?}");
    let layers: Vec<u64> = journey["hops"].as_array().unwrap()[..6]
        .iter()
        .map(|hop| hop["layer"].as_u64().unwrap())
        .collect();
    assert_eq!(layers, [5, 4, 3, 2, 2, 1]);
    // The addresses of the article.
    for address in ["77f05eb0", "77f064f0"] {
        assert!(addresses(&journey).contains(&address), "{address}");
    }
    assert!(
        journey["hops"][2]["leaves_by"]
            .as_str()
            .unwrap()
            .ends_with("(754c1190)]")
    );
    assert_eq!(
        journey["hops"].as_array().unwrap().last().unwrap()["leaves_by"],
        "eax=00000001"
    );
    assert_eq!(journey["console"], text());
}

#[test]
fn cycles_and_instructions_of_the_hops_add_up_to_the_totals() {
    for gate in ["sysenter", "int2e"] {
        let journey = journey(&["--gate", gate]);
        assert_eq!(
            sum(&journey, "cycles"),
            journey["totals"]["cycles"],
            "{gate}"
        );
        assert_eq!(
            sum(&journey, "instructions"),
            journey["totals"]["instructions"],
            "{gate}"
        );
    }
}

#[test]
fn the_gate_of_int_2eh_uses_neither_sysenter_nor_sysexit() {
    let journey = journey(&["--gate", "int2e"]);
    assert_eq!(rings(&journey), [3, 0, 3]);
    assert_eq!(journey["totals"]["sysenter_cycles"], 0);
    assert_eq!(journey["totals"]["sysexit_cycles"], 0);
    let entered = entered(&journey);
    assert!(
        entered.contains(&"ntdll!KiIntSystemCall".to_string()),
        "{entered:?}"
    );
    assert!(
        !entered.contains(&"ntdll!KiFastSystemCall".to_string()),
        "{entered:?}"
    );
    assert_eq!(journey["console"], text());
}

#[test]
fn random_wait_states_change_cycles_but_not_the_path() {
    let fast = journey(&[]);
    let slow = journey(&["--wait-states", "7"]);
    assert_eq!(entered(&slow), entered(&fast));
    assert_eq!(addresses(&slow), addresses(&fast));
    assert!(slow["totals"]["cycles"].as_u64() > fast["totals"]["cycles"].as_u64());
    assert_eq!(slow["console"], text());
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sysgate journey {name} {}", std::process::id()))
}

#[test]
fn an_image_without_a_layer_and_at_other_addresses_prints_its_own_path() {
    let options = ImageOptions {
        without: Some(Layer::Kernel32),
        bases: vec![
            ("ntdll".into(), 0x6FEC_0000),
            ("KERNELBASE".into(), 0x6500_0000),
            ("nt".into(), 0x8400_0000),
        ],
        ..Default::default()
    };
    let built = firmware::build(&options).unwrap();
    let folder = folder("other");
    Image {
        rom: built.rom,
        symbols: built.symbols,
        files: built.files,
    }
    .write(&folder)
    .unwrap();
    let journey = journey(&["--image", folder.to_str().unwrap()]);
    std::fs::remove_dir_all(&folder).unwrap();
    let entered = entered(&journey);
    assert!(
        entered.iter().all(|name| !name.starts_with("kernel32!")),
        "{entered:?}"
    );
    assert_eq!(entered[0], "KERNELBASE!WriteFile");
    assert_eq!(rings(&journey), [3, 0, 3]);
    let hops = journey["hops"].as_array().unwrap();
    for (module, start) in [("ntdll", "6f"), ("KERNELBASE", "650"), ("nt", "840")] {
        let hop = hops.iter().find(|hop| hop["module"] == module).unwrap();
        assert!(hop["address"].as_str().unwrap().starts_with(start), "{hop}");
    }
    assert_eq!(journey["console"], text());
}

#[test]
fn sdram_makes_the_journey_slower_and_no_other() {
    let bram = journey(&[]);
    let sdram = journey(&["--memory", "sdram"]);
    let path = |journey: &Value| -> Vec<(Value, Value, Value)> {
        let hops = journey["hops"].as_array().unwrap().iter();
        hops.map(|hop| {
            let key = |name: &str| hop[name].clone();
            (key("address"), key("instructions"), key("note"))
        })
        .collect()
    };
    assert_eq!(path(&sdram), path(&bram));
    assert_eq!(sdram["console"], bram["console"]);
    let cycles = |journey: &Value| journey["totals"]["cycles"].as_u64().unwrap();
    let (slow, fast) = (cycles(&sdram), cycles(&bram));
    assert!(
        slow > fast && slow < 2 * fast,
        "{slow} clocks, {fast} with block RAM"
    );
}

#[test]
fn a_reset_with_sdram_prints_the_text_again() {
    let image = Image::build(Gate::Int2e).unwrap();
    let config = MachineConfig {
        rom: image.rom,
        memory: MemoryKind::Sdram,
        keep_retired: false,
        keep_ports: false,
        ..Default::default()
    };
    let mut machine = Machine::new(config).unwrap();
    for cycles in [2_000_000, 100_123, 2_000_000] {
        let stop = machine.run(cycles);
        assert_ne!(stop, Stop::Memory, "{}", machine.memory_fault());
        let ended = cycles == 2_000_000;
        assert_eq!(stop, if ended { Stop::Halted } else { Stop::Cycles });
        let console = machine.take_console();
        assert!(!ended || console == text().as_bytes());
        machine.reset();
    }
}

/// The default image in a machine.
fn machine(keep_retired: bool) -> (Machine, Symbols, Image) {
    let image = Image::build(Gate::Sysenter).unwrap();
    let config = MachineConfig {
        rom: image.rom.clone(),
        keep_retired,
        keep_ports: false,
        ..Default::default()
    };
    (
        Machine::new(config).unwrap(),
        Symbols::new(image.symbols.clone()),
        image,
    )
}

#[test]
fn the_text_is_decoded_from_the_pin_and_a_reset_prints_it_again() {
    let (mut machine, symbols, _) = machine(false);
    assert_eq!(machine.run(2_000_000), Stop::Halted);
    assert_eq!(machine.take_console(), text().as_bytes());
    // After the run.
    machine.reset();
    assert_eq!(machine.run(2_000_000), Stop::Halted);
    assert_eq!(machine.take_console(), text().as_bytes());
    // In the middle, within the kernel, with the transmitter at work.
    machine.reset();
    machine.set_breakpoint(symbols.address_of("nt!KiServiceExit").unwrap());
    assert_eq!(machine.run(2_000_000), Stop::Breakpoint);
    machine.clear_breakpoint(symbols.address_of("nt!KiServiceExit").unwrap());
    machine.take_console();
    machine.reset();
    assert_eq!(machine.run(2_000_000), Stop::Halted);
    assert_eq!(machine.take_console(), text().as_bytes());
}

/// The physical address behind a linear one, by the page tables in memory.
fn translate(machine: &Machine, directory: u32, linear: u32) -> Option<u32> {
    let entry = |physical: u32| {
        let bytes = machine.read_memory(physical, 4).unwrap();
        u32::from_le_bytes(bytes.try_into().unwrap())
    };
    let table = entry(directory + (linear >> 22) * 4);
    let page = entry((table & !0xFFF) + (linear >> 12 & 0x3FF) * 4);
    (table & 1 != 0 && page & 1 != 0).then_some(page & !0xFFF | linear & 0xFFF)
}

#[test]
fn memory_at_the_kernels_start_holds_the_sections_of_the_pe_files() {
    let (mut machine, symbols, image) = machine(true);
    machine.set_breakpoint(symbols.address_of("nt!KiSystemStartup").unwrap());
    assert_eq!(machine.run(2_000_000), Stop::Breakpoint);
    let directory = machine
        .drain_retired()
        .iter()
        .rfind(|retired| retired.system_write && retired.system_number == registers::CR0 + 3)
        .expect("paging is on")
        .system_data;
    // Mapped, relocated and bound from the files' own headers.
    let ranges = &image.symbols.modules;
    let requests: Vec<LoadRequest> = image
        .files
        .iter()
        .map(|(name, bytes)| {
            let module = ranges.iter().find(|module| module.file == *name).unwrap();
            LoadRequest {
                file_name: name,
                bytes,
                base: module.base,
                layer: module.layer,
                stand_ins: None,
            }
        })
        .collect();
    let mapped = load(&requests).unwrap();
    let mut pages = 0;
    for (request, mapped) in requests.iter().zip(&mapped) {
        // The API set schema is mapped without its header.
        let skip = if request.file_name == "apisetschema.dll" {
            0x1000
        } else {
            0
        };
        for (&linear, page) in mapped.pages.range(mapped.base + skip..) {
            let linear = linear - skip;
            let physical = translate(&machine, directory, linear)
                .unwrap_or_else(|| panic!("{}: {linear:08x} is not mapped", request.file_name));
            let memory = machine.read_memory(physical, page.bytes.len()).unwrap();
            assert!(
                memory == page.bytes,
                "{}: the page at {linear:08x} differs",
                request.file_name
            );
            pages += 1;
        }
    }
    assert!(pages > 20, "{pages} pages");
}
