//! The image as tools and processor see it: files by `object`, code by iced-x86, memory through its page tables.

use abi::SERVICES;
use abi::layout::*;
use firmware::loader::{self, LoadRequest};
use firmware::symbols::{Symbol, SymbolKind};
use firmware::{Gate, Image, ImageError, ImageOptions, Layer, Program, build, expectations};
use iced_x86::{Decoder, DecoderOptions, Formatter, MasmFormatter, Mnemonic};
use object::LittleEndian as LE;
use object::read::pe::{ExportTarget, PeFile32};
use std::mem::offset_of;
use std::sync::LazyLock;

static IMAGE: LazyLock<Image> =
    LazyLock::new(|| build(&ImageOptions::default()).expect("the default image builds"));

static BILL: LazyLock<Image> = LazyLock::new(|| {
    build(&ImageOptions {
        program: Program::Bill,
        ..ImageOptions::default()
    })
    .expect("the bill builds")
});

fn physical32(image: &Image, address: u32) -> u32 {
    let rom_base = 0u32.wrapping_sub(image.rom.len() as u32);
    let bytes = if address >= rom_base {
        &image.rom[(address - rom_base) as usize..]
    } else {
        &image.initial_ram[address as usize..]
    };
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
}

/// Page-table entry of a linear address, with the rights of both levels.
fn entry(image: &Image, linear: u32) -> Option<u32> {
    let directory_entry = physical32(image, image.page_directory + (linear >> 22) * 4);
    if directory_entry & 1 == 0 {
        return None;
    }
    let table_entry = physical32(
        image,
        (directory_entry & !0xFFF) + (linear >> 12 & 0x3FF) * 4,
    );
    (table_entry & 1 == 1).then_some(table_entry & !0xFFF | table_entry & directory_entry & 7)
}

fn read32(image: &Image, linear: u32) -> u32 {
    let page =
        entry(image, linear).unwrap_or_else(|| panic!("{linear:08X} is not mapped")) & !0xFFF;
    physical32(image, page + (linear & 0xFFF))
}

fn read(image: &Image, linear: u32, bytes: u32) -> Vec<u8> {
    (linear..linear + bytes)
        .map(|address| (read32(image, address & !3) >> ((address & 3) * 8)) as u8)
        .collect()
}

fn symbol<'a>(image: &'a Image, module: &str, name: &str) -> &'a Symbol {
    let named =
        |symbol: &&Symbol| symbol.name == name || symbol.aliases.iter().any(|alias| alias == name);
    let mut symbols = image
        .symbols
        .symbols
        .iter()
        .filter(|symbol| symbol.module == module);
    symbols
        .find(named)
        .unwrap_or_else(|| panic!("{module}!{name}"))
}

fn address(image: &Image, module: &str, name: &str) -> u32 {
    symbol(image, module, name).address
}

#[test]
fn win_main_calls_write_file_at_01001234() {
    for image in [&*IMAGE, &*BILL] {
        let lines = listing(image, symbol(image, "winlogon", "WinMain"));
        let slot = address(image, "winlogon", "_imp__WriteFile");
        let bytes = [&[0xFF, 0x15], &slot.to_le_bytes()[..]].concat();
        assert_eq!(read(image, 0x0100_1234, 6), bytes, "{lines:#?}");
    }
}

fn listing(image: &Image, symbol: &Symbol) -> Vec<String> {
    let bytes = read(image, symbol.address, symbol.size);
    let mut formatter = MasmFormatter::new();
    formatter
        .options_mut()
        .set_space_after_operand_separator(false);
    let decoder = Decoder::with_ip(32, &bytes, symbol.address.into(), DecoderOptions::NONE);
    decoder
        .into_iter()
        .map(|instruction| {
            let mut text = String::new();
            formatter.format(&instruction, &mut text);
            text
        })
        .collect()
}

#[test]
fn the_addresses_of_the_article_hold() {
    for image in [&*IMAGE, &*BILL] {
        addresses_of_the_article(image);
    }
}

fn addresses_of_the_article(image: &Image) {
    for (module, name, expected) in [
        ("KERNELBASE", "_imp__NtWriteFile", 0x754C_1190),
        ("ntdll", "NtWriteFile", 0x77F0_5EB0),
        ("ntdll", "ZwWriteFile", 0x77F0_5EB0),
        ("ntdll", "KiFastSystemCall", 0x77F0_64F0),
        ("ntdll", "KiFastSystemCallRet", 0x77F0_64F4),
        ("ntdll", "KiIntSystemCall", 0x77F0_6500),
    ] {
        assert_eq!(address(image, module, name), expected, "{module}!{name}");
    }
    assert_eq!(read32(image, 0x754C_1190), 0x77F0_5EB0);
    assert_eq!(read32(image, 0x7FFE_0300), 0x77F0_64F0);
    assert_eq!(read32(image, 0x7FFE_0304), 0x77F0_64F4);
    assert_eq!(address(image, "nt", "KiFastCallEntry") & 0xFFF, 0x0C0);
}

/// Symbols whose code has RDTSC, each as often.
fn time_stamps(image: &Image) -> Vec<String> {
    let code = image
        .symbols
        .symbols
        .iter()
        .filter(|symbol| symbol.kind == SymbolKind::Code && symbol.module != "boot");
    code.flat_map(|symbol| {
        let count = listing(image, symbol)
            .iter()
            .filter(|line| *line == "rdtsc")
            .count();
        vec![format!("{}!{}", symbol.module, symbol.name); count]
    })
    .collect()
}

#[test]
fn only_the_bill_takes_time_stamps() {
    let sorted = |image: &Image| {
        let mut names = time_stamps(image);
        names.sort();
        names
    };
    // A service's own business.
    assert_eq!(sorted(&IMAGE), ["nt!NtQueryPerformanceCounter"]);
    let mut expected = vec![
        "KERNELBASE!WriteFile",
        "KERNELBASE!WriteFile",
        "KERNELBASE!WriteFile",
        "kernel32!WriteFileImplementation",
        "kernel32!WriteFileImplementation",
        "nt!KiFastCallEntry",
        "nt!KiServiceExit",
        "nt!KiSystemService",
        "nt!NtQueryPerformanceCounter",
        "nt!NtWriteFile",
        "winlogon!WinMain",
        "winlogon!WinMain",
    ];
    expected.sort();
    assert_eq!(sorted(&BILL), expected);
}

#[test]
fn user_code_may_read_the_kernels_stamps_but_not_write_them() {
    let [user, kernel] = [0x7FFE_0000, 0xFFDF_0000].map(|page| entry(&BILL, page).expect("mapped"));
    assert_eq!(user & !0xFFF, kernel & !0xFFF, "one page");
    assert_eq!((user & 7, kernel & 7), (5, 3), "rights");
}

#[test]
fn every_stub_disassembles_to_the_form_of_the_listing() {
    for service in SERVICES {
        let stub = symbol(&IMAGE, "ntdll", service.name);
        let number = if service.number < 10 {
            service.number.to_string()
        } else {
            masm(service.number.into())
        };
        let mut expected = vec![
            format!("mov eax,{number}"),
            "mov edx,7FFE0300h".into(),
            "call dword ptr [edx]".into(),
        ];
        expected.push(match service.argument_bytes {
            0 => "ret".into(),
            bytes @ 1..10 => format!("ret {bytes}"),
            bytes => format!("ret {}", masm(bytes.into())),
        });
        assert_eq!(listing(&IMAGE, stub), expected, "{}", service.name);
    }
}

/// A number of two or more digits as MASM writes it.
fn masm(number: u32) -> String {
    let digits = format!("{number:X}h");
    if digits.starts_with(|first: char| first.is_ascii_alphabetic()) {
        format!("0{digits}")
    } else {
        digits
    }
}

#[test]
fn the_gates_are_the_bytes_of_windows_7() {
    assert_eq!(read(&IMAGE, 0x77F0_64F0, 5), [0x8B, 0xD4, 0x0F, 0x34, 0xC3]);
    assert_eq!(
        read(&IMAGE, 0x77F0_6500, 7),
        [0x8D, 0x54, 0x24, 0x08, 0xCD, 0x2E, 0xC3]
    );
    assert_eq!(
        read(&IMAGE, 0x77F0_5EB0, 15),
        [
            0xB8, 0x8C, 0x01, 0x00, 0x00, 0xBA, 0x00, 0x03, 0xFE, 0x7F, 0xFF, 0x12, 0xC2, 0x24,
            0x00
        ]
    );
}

#[test]
fn ntdll_exports_every_service_under_two_names_at_one_address() {
    let (_, bytes) = IMAGE
        .files
        .iter()
        .find(|file| file.0 == "ntdll.dll")
        .expect("ntdll is there");
    let pe = PeFile32::parse(bytes.as_slice()).expect("PE32");
    let exports = pe
        .export_table()
        .expect("valid")
        .expect("present")
        .exports()
        .expect("valid");
    let target = |name: &str| match exports
        .iter()
        .find(|export| export.name == Some(name.as_bytes()))
    {
        Some(export) => match export.target {
            ExportTarget::Address(rva) => rva,
            _ => panic!("{name} is forwarded"),
        },
        None => panic!("{name} is not exported"),
    };
    for service in SERVICES {
        assert_eq!(
            target(service.name),
            target(&format!("Zw{}", service.base_name())),
            "{}",
            service.name
        );
    }
    let names: Vec<_> = exports.iter().filter_map(|export| export.name).collect();
    assert!(names.is_sorted(), "the loader searches in halves");
}

#[test]
fn the_service_table_points_to_the_services_and_the_argument_table_counts_their_bytes() {
    let table = address(&IMAGE, "nt", "KiServiceTable");
    let arguments = address(&IMAGE, "nt", "KiArgumentTable");
    for service in SERVICES {
        let number = u32::from(service.number);
        assert_eq!(
            read32(&IMAGE, table + number * 4),
            address(&IMAGE, "nt", service.name),
            "{}",
            service.name
        );
        assert_eq!(
            read(&IMAGE, arguments + number, 1)[0],
            service.argument_bytes,
            "{}",
            service.name
        );
    }
    assert_eq!(
        read(&IMAGE, arguments, 24),
        [
            0x18, 0x20, 0x2C, 0x2C, 0x40, 0x2C, 0x40, 0x44, 0x0C, 0x08, 0x08, 0x18, 0x18, 0x08,
            0x04, 0x04, 0x0C, 0x0C, 0x10, 0x18, 0x24, 0x0C, 0x2C, 0x0C
        ]
    );
}

fn reload(image: &Image) -> Vec<(String, loader::Mapped)> {
    let range = |file: &str| {
        image
            .symbols
            .modules
            .iter()
            .find(|module| module.file == file)
            .expect("a module")
    };
    let mut requests = Vec::new();
    for (name, bytes) in &image.files {
        let module = range(name);
        // The schema's section is mapped without the page of its header.
        let base = if name == "apisetschema.dll" {
            module.base - 0x1000
        } else {
            module.base
        };
        requests.push(LoadRequest {
            file_name: name,
            bytes,
            base,
            layer: module.layer,
            stand_ins: None,
        });
    }
    let mapped = loader::load(&requests).expect("the files load");
    image
        .files
        .iter()
        .map(|file| file.0.clone())
        .zip(mapped)
        .collect()
}

#[test]
fn memory_rebuilt_from_the_files_is_what_the_machine_boots() {
    let mut pages = 0;
    for (name, mapped) in reload(&IMAGE) {
        for (&address, page) in &mapped.pages {
            if name == "apisetschema.dll" && address == mapped.base {
                continue;
            }
            assert_eq!(
                read(&IMAGE, address, 0x1000),
                page.bytes,
                "{name} at {address:08X}"
            );
            let rights = entry(&IMAGE, address).expect("mapped") & 7;
            let user = if name == "ntoskrnl.exe" { 0 } else { 4 };
            assert_eq!(
                rights,
                1 | user | if page.writable { 2 } else { 0 },
                "{name} at {address:08X}"
            );
            pages += 1;
        }
    }
    assert!(pages > 20);
}

#[test]
fn pages_that_can_be_written_lie_in_ram_and_others_in_rom() {
    let rom_base = 0u32.wrapping_sub(IMAGE.rom.len() as u32);
    for page in 0..0x10_0000u32 {
        let linear = page << 12;
        // The self map shows the tables themselves.
        if linear >> 22 == 0x300 {
            continue;
        }
        if let Some(entry) = entry(&IMAGE, linear) {
            let in_rom = entry & !0xFFF >= rom_base;
            let shared = linear == 0x7FFE_0000;
            assert_eq!(entry & 2 == 0, in_rom || shared, "{linear:08X}");
        }
    }
}

#[test]
fn the_kernel_is_out_of_reach_of_ring_3() {
    for page in 0x8_0000..0x10_0000u32 {
        if let Some(entry) = entry(&IMAGE, page << 12) {
            assert_eq!(entry & 4, 0, "{:08X}", page << 12);
        }
    }
}

#[test]
fn the_image_fits_into_128_kb_of_ram_and_of_rom() {
    assert!(IMAGE.ram_bytes <= 128 << 10, "{} bytes", IMAGE.ram_bytes);
    assert_eq!(IMAGE.rom.len(), 128 << 10);
    assert_eq!(IMAGE.initial_ram.len(), IMAGE.ram_bytes as usize);
}

#[test]
fn the_same_options_give_the_same_bytes() {
    let again = build(&ImageOptions::default()).expect("builds");
    assert_eq!(again.rom, IMAGE.rom);
    assert_eq!(again.files, IMAGE.files);
}

fn unicode(image: &Image, string: u32) -> String {
    let length = read32(image, string) & 0xFFFF;
    let buffer = read32(image, string + offset_of!(UnicodeString, buffer) as u32);
    let units: Vec<u16> = read(image, buffer, length)
        .chunks(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .collect();
    String::from_utf16(&units).expect("UTF-16")
}

#[test]
fn the_loader_lists_name_the_modules_in_load_order() {
    let teb = 0x7FFD_E000;
    let peb = read32(
        &IMAGE,
        teb + offset_of!(ThreadEnvironment, process_environment_block) as u32,
    );
    let data = read32(&IMAGE, peb + offset_of!(ProcessEnvironment, ldr) as u32);
    let head = data + offset_of!(LoaderData, in_load_order) as u32;
    let mut names = Vec::new();
    let mut link = read32(&IMAGE, head);
    while link != head {
        assert_eq!(
            read32(&IMAGE, read32(&IMAGE, link + 4)),
            link,
            "the back link leads here"
        );
        let base = read32(&IMAGE, link + offset_of!(LoaderEntry, dll_base) as u32);
        assert_eq!(read(&IMAGE, base, 2), b"MZ");
        names.push(unicode(
            &IMAGE,
            link + offset_of!(LoaderEntry, base_dll_name) as u32,
        ));
        link = read32(&IMAGE, link);
    }
    assert_eq!(
        names,
        [
            "winlogon.exe",
            "ntdll.dll",
            "KERNELBASE.dll",
            "kernel32.dll"
        ]
    );
    assert_eq!(
        read32(
            &IMAGE,
            peb + offset_of!(ProcessEnvironment, image_base_address) as u32
        ),
        0x0100_0000
    );
}

#[test]
fn the_api_set_map_leads_to_kernelbase() {
    let map = read32(
        &IMAGE,
        0x7FFD_F000 + offset_of!(ProcessEnvironment, api_set_map) as u32,
    );
    assert_eq!(read32(&IMAGE, map), 2, "version");
    let count = read32(&IMAGE, map + 4);
    let text = |offset: u32, bytes: u32| {
        let bytes = read(&IMAGE, map + offset, bytes);
        String::from_utf16(
            &bytes
                .chunks(2)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
                .collect::<Vec<_>>(),
        )
    };
    let hosts: Vec<_> = (0..count)
        .map(|index| map + 8 + index * 12)
        .map(|entry| {
            let name = text(read32(&IMAGE, entry), read32(&IMAGE, entry + 4)).expect("UTF-16");
            let host = map + read32(&IMAGE, entry + 8) + 4;
            (
                name,
                text(read32(&IMAGE, host + 8), read32(&IMAGE, host + 12)).expect("UTF-16"),
            )
        })
        .collect();
    assert!(
        hosts.contains(&("MS-Win-Core-File-L1-1-0".into(), "KERNELBASE.dll".into())),
        "{hosts:?}"
    );
}

#[test]
fn a_forwarder_leads_to_ntdll() {
    let (_, bytes) = IMAGE
        .files
        .iter()
        .find(|file| file.0 == "kernel32.dll")
        .expect("kernel32 is there");
    let pe = PeFile32::parse(bytes.as_slice()).expect("PE32");
    let exports = pe
        .export_table()
        .expect("valid")
        .expect("present")
        .exports()
        .expect("valid");
    let export = exports
        .iter()
        .find(|export| export.name == Some(b"RtlZeroMemory"))
        .expect("exported");
    assert!(matches!(
        export.target,
        ExportTarget::ForwardByName(b"NTDLL", b"RtlZeroMemory")
    ));
}

#[test]
fn an_import_from_the_same_or_a_higher_layer_is_refused() {
    let load_with = |kernel32_layer: u8| {
        let requests: Vec<_> = IMAGE
            .files
            .iter()
            .filter(|file| {
                ["ntdll.dll", "KERNELBASE.dll", "kernel32.dll"].contains(&file.0.as_str())
            })
            .map(|(name, bytes)| LoadRequest {
                file_name: name,
                bytes,
                base: 0x1000_0000,
                layer: match name.as_str() {
                    "ntdll.dll" => 2,
                    "KERNELBASE.dll" => 3,
                    _ => kernel32_layer,
                },
                stand_ins: None,
            })
            .collect();
        loader::load(&requests)
    };
    assert!(load_with(4).is_ok());
    for layer in [3, 2] {
        let error = load_with(layer).expect_err("refused");
        assert!(
            matches!(&error, ImageError::Layering { importer, exporter, .. }
                if importer == "kernel32.dll" && exporter == "KERNELBASE.dll"),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_not_pe_is_refused() {
    let request = LoadRequest {
        file_name: "x.dll",
        bytes: b"MZ",
        base: 0x1000_0000,
        layer: 1,
        stand_ins: None,
    };
    assert!(matches!(
        loader::load(&[request]),
        Err(ImageError::BadFile { .. })
    ));
}

#[test]
fn the_other_gate_changes_the_pointer_and_the_exit() {
    let image = build(&ImageOptions {
        gate: Gate::Int2e,
        ..ImageOptions::default()
    })
    .expect("builds");
    assert_eq!(
        read32(&image, 0x7FFE_0300),
        address(&image, "ntdll", "KiIntSystemCall")
    );
    let exit = listing(&image, symbol(&image, "nt", "KiServiceExit")).join("\n");
    let fast_exit = format!("{:08X}h", address(&image, "nt", "KiSystemCallExit2"));
    assert!(!exit.contains(&fast_exit), "{exit}");
    let default_exit = listing(&IMAGE, symbol(&IMAGE, "nt", "KiServiceExit")).join("\n");
    assert!(
        default_exit.contains(&format!(
            "{:X}h",
            address(&IMAGE, "nt", "KiSystemCallExit2")
        )),
        "{default_exit}"
    );
}

#[test]
fn an_image_with_a_layer_less_imports_around_it() {
    let image = build(&ImageOptions {
        without: Some(Layer::Kernel32),
        ..ImageOptions::default()
    })
    .expect("builds");
    assert!(image.files.iter().all(|file| file.0 != "kernel32.dll"));
    let slot = address(&image, "winlogon", "_imp__WriteFile");
    assert_eq!(
        read32(&image, slot),
        address(&image, "KERNELBASE", "WriteFile")
    );

    let image = build(&ImageOptions {
        without: Some(Layer::KernelBase),
        ..ImageOptions::default()
    })
    .expect("builds");
    assert!(image.files.iter().all(|file| file.0 != "KERNELBASE.dll"));
    let slot = address(&image, "kernel32", "_imp__NtWriteFile");
    assert_eq!(
        read32(&image, slot),
        address(&image, "ntdll", "NtWriteFile")
    );
}

#[test]
fn an_image_at_other_addresses_is_relocated_and_bound() {
    let bases = [
        ("ntdll", 0x6000_0000),
        ("KERNELBASE", 0x6100_0000),
        ("nt", 0x8300_0000),
        ("winlogon", 0x0200_0000),
    ];
    let bases = bases
        .iter()
        .map(|&(name, base)| (name.to_string(), base))
        .collect();
    let image = build(&ImageOptions {
        bases,
        ..ImageOptions::default()
    })
    .expect("builds");
    assert_eq!(
        address(&image, "KERNELBASE", "_imp__NtWriteFile"),
        0x6100_1190
    );
    assert_eq!(read32(&image, 0x6100_1190), 0x6004_5EB0);
    assert_eq!(read32(&image, 0x7FFE_0300), 0x6004_64F0);
    let table = address(&image, "nt", "KiServiceTable");
    assert_eq!(read32(&image, table) >> 24, 0x83);
}

#[test]
fn bases_that_collide_are_refused() {
    let bases = vec![("kernel32".to_string(), 0x77EC_0000)];
    let error = build(&ImageOptions {
        bases,
        ..ImageOptions::default()
    })
    .expect_err("refused");
    assert!(matches!(error, ImageError::PageTaken { .. }), "{error}");
}

#[test]
fn a_ram_that_is_too_small_is_refused() {
    let error = build(&ImageOptions {
        ram_bytes: 64 << 10,
        ..ImageOptions::default()
    })
    .expect_err("refused");
    assert!(
        matches!(error, ImageError::TooLarge { what: "RAM", .. }),
        "{error}"
    );
}

#[test]
fn every_program_builds_for_both_gates() {
    for gate in [Gate::Sysenter, Gate::Int2e] {
        for program in [
            Program::Greeting,
            Program::Bill,
            Program::Echo,
            Program::Exercise,
        ] {
            let image = build(&ImageOptions {
                gate,
                program,
                ..ImageOptions::default()
            });
            assert!(image.is_ok(), "{gate:?} {program:?}: {:?}", image.err());
            for without in [Layer::Kernel32, Layer::KernelBase] {
                let image = build(&ImageOptions {
                    gate,
                    program,
                    without: Some(without),
                    ..ImageOptions::default()
                });
                assert!(
                    image.is_ok(),
                    "{gate:?} {program:?} without {without:?}: {:?}",
                    image.err()
                );
            }
        }
    }
    assert!(expectations().len() > 40);
}

#[test]
fn code_symbols_do_not_overlap() {
    let code: Vec<_> = IMAGE
        .symbols
        .symbols
        .iter()
        .filter(|symbol| symbol.kind == SymbolKind::Code)
        .collect();
    for pair in code.windows(2) {
        assert!(
            u64::from(pair[0].address) + u64::from(pair[0].size) <= u64::from(pair[1].address),
            "{}!{} and {}!{}",
            pair[0].module,
            pair[0].name,
            pair[1].module,
            pair[1].name
        );
    }
}

#[test]
fn the_note_of_every_symbol_has_its_symbol() {
    for note in &IMAGE.symbols.notes {
        symbol(&IMAGE, &note.module, &note.symbol);
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (name, bytes) in &IMAGE.files {
        let pe =
            PeFile32::parse(bytes.as_slice()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let header = pe.nt_headers();
        assert_eq!(
            header.file_header.machine.get(LE),
            object::pe::IMAGE_FILE_MACHINE_I386,
            "{name}"
        );
        let is_dll = header
            .file_header
            .characteristics
            .get(LE)
            .contains(object::pe::IMAGE_FILE_DLL);
        assert_eq!(is_dll, name.ends_with(".dll"), "{name}");
    }
}

#[test]
fn every_version_of_windows_has_its_stubs_and_tables() {
    for windows in firmware::Windows::ALL {
        for gate in [Gate::Sysenter, Gate::Int2e] {
            let options = ImageOptions {
                windows,
                gate,
                ..ImageOptions::default()
            };
            let image = build(&options).unwrap_or_else(|error| panic!("{windows:?}: {error}"));
            let table = |name: &str| {
                let mut tables = image.symbols.tables.iter();
                tables.find(|table| table.name == name).expect("a table")
            };
            let services = windows.services();
            assert_eq!(table("services").rows.len(), services.len(), "{windows:?}");
            let has_kernelbase = image.files.iter().any(|file| file.0 == "KERNELBASE.dll");
            assert_eq!(has_kernelbase, windows.has_kernelbase(), "{windows:?}");

            let ntdll = &image
                .files
                .iter()
                .find(|file| file.0 == "ntdll.dll")
                .expect("ntdll")
                .1;
            let pe = PeFile32::parse(&**ntdll).expect("a PE file");
            let exports = pe.export_table().expect("exports").expect("exports");
            for service in services {
                let address = |name: &str| {
                    let all = exports.exports().expect("exports");
                    let found = all
                        .into_iter()
                        .find(|export| export.name == Some(name.as_bytes()));
                    match found.expect("both names are exported").target {
                        ExportTarget::Address(rva) => rva,
                        other => panic!("{name}: {other:?}"),
                    }
                };
                let rva = address(service.name);
                assert_eq!(rva, address(&format!("Zw{}", service.base_name())));
                let code = pe.section_table().pe_data_at(&**ntdll, rva).expect("code");
                let mut decoder = Decoder::with_ip(32, code, rva.into(), DecoderOptions::NONE);
                let load = decoder.decode();
                assert_eq!(
                    (load.mnemonic(), load.immediate32()),
                    (Mnemonic::Mov, service.number.into())
                );
                // The next RET takes the arguments with it.
                let back = decoder
                    .iter()
                    .find(|instruction| instruction.mnemonic() == Mnemonic::Ret);
                let back = back.expect("a stub returns");
                let bytes = if back.op_count() == 1 {
                    back.immediate16()
                } else {
                    0
                };
                assert_eq!(
                    bytes,
                    service.argument_bytes.into(),
                    "{windows:?} {}",
                    service.name
                );
                if windows.stubs_enter_themselves() && gate == Gate::Sysenter {
                    let argument: &[u8] = match service.argument_bytes {
                        0 => &[0xE8, 1, 0, 0, 0, 0xC3],
                        bytes => &[0xE8, 3, 0, 0, 0, 0xC2, bytes, 0],
                    };
                    let stub = [argument, &[0x8B, 0xD4, 0x0F, 0x34, 0xC3]].concat();
                    assert_eq!(code[5..5 + stub.len()], stub[..], "{}", service.name);
                }
            }
        }
    }
}
