//! Puts the image together: modules to files, files to pages, pages to ROM.

use crate::address_space::{AddressSpace, Frame, KERNEL_DATA, Rights, USER_DATA};
use crate::boot;
use crate::dll;
use crate::environment::{self, LoadedModule};
use crate::error::ImageError;
use crate::kernel::{self, KernelOptions};
use crate::loader::{self, LoadRequest, Mapped, PAGE};
use crate::memory_map::*;
use crate::module::{Module, ModuleSource};
use crate::own_program::{self, OwnProgram};
use crate::programs::{self, Program};
use crate::reset::{RESET_VECTOR, reset_vector, start_up};
use crate::stamps::Stamps;
use crate::symbols::{self, ModuleRange, Note, Symbol, SymbolFile, SymbolKind, Table};
use abi::Windows;
use abi::addresses::{SHARED_USER_DATA, SHARED_USER_DATA_KERNEL};

/// The image's ROM always has this size, so that its addresses do not depend on its contents.
const ROM_BYTES: usize = spec::memory_map::DEFAULT_ROM_BYTES as usize;

/// How user code enters the kernel and leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// SYSENTER and SYSEXIT.
    Sysenter,
    /// INT 2Eh and IRETD, as on a processor without SEP.
    Int2e,
}

/// A user-mode DLL that an image may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Without it programs import from KERNELBASE, through API sets.
    Kernel32,
    /// Without it kernel32 calls ntdll itself, as before Windows 7.
    KernelBase,
}

/// What an image is built from. [`ImageOptions::default`] is the image of the journey.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// The gate in both directions.
    pub gate: Gate,
    /// DLLs to leave out; at most one of the two.
    pub without: Option<Layer>,
    /// Base addresses that differ from Windows 7's: module name and base, a multiple of 64 KB.
    pub bases: Vec<(String, u32)>,
    /// Whose services, stubs and version the image has. Before Windows 7 there is no KERNELBASE.
    pub windows: Windows,
    /// What winlogon.exe does.
    pub program: Program,
    /// A program to load instead of winlogon.exe, with the DLLs that have what programs ask for.
    pub own_program: Option<OwnProgram>,
    /// What winlogon.exe writes to standard output.
    pub console_text: String,
    /// RAM the kernel may count on, in bytes.
    pub ram_bytes: u32,
}

impl Default for ImageOptions {
    fn default() -> Self {
        ImageOptions {
            gate: Gate::Sysenter,
            without: None,
            bases: Vec::new(),
            windows: Windows::Seven,
            program: Program::Greeting,
            own_program: None,
            console_text: "winlogon.exe says hello from ring 3.\r\n".into(),
            ram_bytes: spec::memory_map::DEFAULT_RAM_BYTES,
        }
    }
}

impl ImageOptions {
    /// Whether the image has kernel32.
    pub fn has_kernel32(&self) -> bool {
        self.without != Some(Layer::Kernel32)
    }

    /// Whether the image has KERNELBASE.
    pub fn has_kernelbase(&self) -> bool {
        self.without != Some(Layer::KernelBase) && self.windows.has_kernelbase()
    }

    fn base_of(&self, module: &str) -> u32 {
        let chosen = self
            .bases
            .iter()
            .find(|row| row.0 == module)
            .map(|row| row.1);
        chosen.unwrap_or_else(|| {
            BASES
                .iter()
                .find(|row| row.0 == module)
                .map(|row| row.1)
                .expect("every module has a base")
        })
    }
}

/// Where Windows 7 had the modules in the article that is replayed.
const BASES: &[(&str, u32)] = &[
    ("nt", 0x8280_0000),
    ("apisetschema", API_SET_MAP),
    ("ntdll", 0x77EC_0000),
    ("KERNELBASE", 0x754C_0000),
    ("kernel32", 0x77DE_0000),
    ("winlogon", 0x0100_0000),
    ("msvcrt", 0x6FF5_0000),
    ("missing", own_program::STAND_INS_BASE),
];

/// A finished image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The ROM; its last byte is at physical address FFFFFFFFh.
    pub rom: Vec<u8>,
    /// RAM from physical address 0 that the image needs at least, in bytes.
    pub ram_bytes: u32,
    /// RAM from physical address 0 as the boot code leaves it when it enters `nt`.
    pub initial_ram: Vec<u8>,
    /// Physical address of the page directory: CR3.
    pub page_directory: u32,
    /// PE32 files by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the own program imports and nobody exports, as `DLL!name`; it fails when it is called.
    pub missing_imports: Vec<String>,
    /// Names for everything.
    pub symbols: SymbolFile,
}

/// Builds an image.
///
/// # Errors
/// If the options contradict each other or the image does not fit.
pub fn build(options: &ImageOptions) -> Result<Image, ImageError> {
    let mut modules = sources(options)
        .iter()
        .map(ModuleSource::build)
        .collect::<Result<Vec<_>, _>>()?;
    let mut program_base = options.base_of("winlogon");
    let mut missing_imports = Vec::new();
    if let Some(program) = &options.own_program {
        let (module, base) = program.module()?;
        modules.push(module);
        program_base = base;
        missing_imports = loader::missing_imports(&requests(options, &modules, base))?;
        if !missing_imports.is_empty() {
            let stand_ins = own_program::stand_ins(&program.file_name, &missing_imports);
            modules.insert(modules.len() - 1, stand_ins.build()?);
        }
    }
    let mapped = loader::load(&requests(options, &modules, program_base))?;
    let loaded: Vec<_> = modules.iter().zip(&mapped).collect();

    let mut space = AddressSpace::default();
    for (module, mapped) in &loaded {
        map_module(&mut space, module, mapped)?;
    }
    let descriptor_frame = map_environment(&mut space, options, &loaded)?;
    let free_memory = space.ram_used();
    if free_memory > options.ram_bytes {
        let (needed, available) = (free_memory as usize, options.ram_bytes as usize);
        return Err(ImageError::TooLarge {
            what: "RAM",
            needed,
            available,
        });
    }
    let block = LoaderBlock {
        free_memory,
        memory_end: options.ram_bytes,
        user_thread_start: address(&loaded, "ntdll", "RtlUserThreadStart"),
        user_entry: loaded.last().map_or(0, |(_, mapped)| mapped.entry),
        user_exception_dispatcher: address(&loaded, "ntdll", "KiUserExceptionDispatcher"),
    };
    let page = environment::descriptor_page(&block, PAGE);
    space.ram_page_mut(descriptor_frame).copy_from_slice(&page);

    let kernel_entry = address(&loaded, "nt", "KiSystemStartup");
    let rom_bytes = match options.own_program {
        None => ROM_BYTES,
        Some(_) => own_rom_bytes(&space)?,
    };
    let Rom {
        rom,
        initial_ram,
        page_directory,
    } = lay_rom(space, kernel_entry, rom_bytes)?;
    let symbols = symbol_file(options, &loaded, rom.len() as u32);
    let files = modules
        .iter()
        .map(|module| (module.file_name.to_string(), module.file.clone()))
        .collect();
    Ok(Image {
        rom,
        ram_bytes: free_memory,
        initial_ram,
        page_directory,
        files,
        symbols,
        missing_imports,
    })
}

fn requests<'a>(
    options: &'a ImageOptions,
    modules: &'a [Module],
    program_base: u32,
) -> Vec<LoadRequest<'a>> {
    let last = modules.len() - 1;
    let request = |(index, module): (usize, &'a Module)| {
        let own = index == last && options.own_program.is_some();
        LoadRequest {
            file_name: &module.file_name,
            bytes: &module.file,
            base: match index == last {
                true => program_base,
                false => options.base_of(&module.name),
            },
            layer: module.layer,
            stand_ins: own.then_some(own_program::STAND_INS),
        }
    };
    modules.iter().enumerate().map(request).collect()
}

/// Bytes of a ROM that holds the pages and, in the worst case, all RAM as it is; it lies above the kernel's own pages.
fn own_rom_bytes(space: &AddressSpace) -> Result<usize, ImageError> {
    const LARGEST: usize = 2 << 20;
    let needed = space.rom_used() as usize + space.ram_used() as usize + ROM_BYTES / 2;
    let rounded = needed.next_multiple_of(ROM_BYTES);
    match rounded <= LARGEST {
        true => Ok(rounded),
        false => Err(ImageError::TooLarge {
            what: "ROM",
            needed,
            available: LARGEST,
        }),
    }
}

fn sources(options: &ImageOptions) -> Vec<ModuleSource> {
    let present = |file: &str| {
        file.eq_ignore_ascii_case("kernel32.dll") && options.has_kernel32()
            || file.eq_ignore_ascii_case("KERNELBASE.dll") && options.has_kernelbase()
    };
    let stamps = Stamps::of(options);
    let mut sources = vec![kernel::source(&KernelOptions {
        gate: options.gate,
        windows: options.windows,
        stamps,
        own_program: options
            .own_program
            .as_ref()
            .map(|own| own.file_name.clone()),
    })];
    if options.windows.has_kernelbase() {
        sources.push(dll::api_set_schema(present));
    }
    sources.push(dll::ntdll(
        options.windows,
        options.gate,
        options.own_program.is_some(),
    ));
    if options.has_kernelbase() {
        sources.push(dll::kernelbase(options.windows, stamps));
    }
    if options.has_kernel32() {
        sources.push(dll::kernel32(
            options.windows,
            options.has_kernelbase(),
            stamps,
            options.own_program.is_some(),
        ));
    }
    match &options.own_program {
        None => sources.push(programs::source(options)),
        Some(program) if program.imports_from(dll::MSVCRT) => sources.push(dll::msvcrt()),
        Some(_) => {}
    }
    sources
}

/// The schema's section is mapped without the file's header, as Windows does.
fn map_module(
    space: &mut AddressSpace,
    module: &Module,
    mapped: &Mapped,
) -> Result<(), ImageError> {
    let user = module.ring == 3;
    let skip = if module.name == "apisetschema" {
        PAGE
    } else {
        0
    };
    for (&address, page) in mapped.pages.range(mapped.base + skip..) {
        space.map(
            address - skip,
            &page.bytes,
            Rights {
                user,
                writable: page.writable,
            },
        )?;
    }
    Ok(())
}

fn address(loaded: &[(&Module, &Mapped)], module: &str, symbol: &str) -> u32 {
    let (source, mapped) = loaded
        .iter()
        .find(|(source, _)| source.name == module)
        .expect("the module is there");
    mapped.base + source.rva(symbol).expect("the symbol is there")
}

/// Maps everything that is no module; the descriptor page is filled in later.
fn map_environment(
    space: &mut AddressSpace,
    options: &ImageOptions,
    loaded: &[(&Module, &Mapped)],
) -> Result<Frame, ImageError> {
    let system_call = address(loaded, "ntdll", environment::gate_symbol(options.gate));
    let system_call_return = address(loaded, "ntdll", "KiFastSystemCallRet");
    let shared = environment::shared_user_data(options, system_call, system_call_return);
    let shared_frame = space.map(SHARED_USER_DATA_KERNEL, &shared, KERNEL_DATA)?;
    space.map_frame(
        SHARED_USER_DATA,
        shared_frame,
        Rights {
            user: true,
            writable: false,
        },
    )?;

    let stack_bytes = environment::user_stack_bytes(options);
    let descriptor_frame = space.map(DESCRIPTOR_PAGE, &[], KERNEL_DATA)?;
    space.map(CONTROL_REGION, &[], KERNEL_DATA)?;
    space.map_region(
        KERNEL_STACK_TOP - KERNEL_STACK_BYTES,
        KERNEL_STACK_BYTES,
        &[],
        KERNEL_DATA,
    )?;
    space.map_region(USER_STACK_TOP - stack_bytes, stack_bytes, &[], USER_DATA)?;
    space.map(
        THREAD_ENVIRONMENT,
        &environment::thread_environment(stack_bytes),
        USER_DATA,
    )?;
    // The program comes first, then the DLLs from the lowest layer up.
    let mut user: Vec<_> = loaded
        .iter()
        .filter(|(module, _)| module.ring == 3 && module.name != "apisetschema")
        .map(|(module, mapped)| LoadedModule {
            file_name: module.file_name.clone(),
            base: mapped.base,
            entry: mapped.entry,
            size: mapped.size,
        })
        .collect();
    user.rotate_right(1);
    let heap_handle = match options.own_program {
        Some(_) => address(loaded, "ntdll", dll::PROCESS_HEAP),
        None => 0,
    };
    space.map(
        PROCESS_ENVIRONMENT,
        &environment::process_environment(options, user[0].base, heap_handle),
        USER_DATA,
    )?;
    let heap = environment::loader_heap(&user, options.own_program.as_ref());
    space.map_region(
        LOADER_HEAP,
        (heap.len() as u32).next_multiple_of(PAGE),
        &heap,
        USER_DATA,
    )?;
    Ok(descriptor_frame)
}

struct Rom {
    rom: Vec<u8>,
    initial_ram: Vec<u8>,
    page_directory: u32,
}

/// Pages from the ROM's start, then the packed RAM; the boot code at its end.
fn lay_rom(space: AddressSpace, kernel: u32, rom_bytes: usize) -> Result<Rom, ImageError> {
    let failed = |error: iced_x86::IcedError| ImageError::Assembly {
        module: "boot".into(),
        symbol: "main".into(),
        reason: error.to_string(),
    };
    let rom_base = 0u32.wrapping_sub(rom_bytes as u32);
    let ram_end = space.ram_used();
    let laid = space.lay(rom_base)?;
    let packed = boot::pack(&laid.ram);
    let needed = laid.rom.len() + packed.len() + (u32::MAX - boot::MAIN) as usize + 1;
    if needed > rom_bytes {
        return Err(ImageError::TooLarge {
            what: "ROM",
            needed,
            available: rom_bytes,
        });
    }
    let mut rom = vec![0xFF; rom_bytes];
    let mut put = |address: u32, bytes: &[u8]| {
        let offset = (address - rom_base) as usize;
        rom[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    let packed_at = rom_base + laid.rom.len() as u32;
    put(rom_base, &laid.rom);
    put(packed_at, &packed);
    let main = boot::main_code(&boot::Parameters {
        packed: packed_at,
        ram_base: laid.ram_base,
        ram_end,
        page_directory: laid.page_directory,
        kernel,
    });
    let main = main.map_err(failed)?;
    assert!(
        main.len() as u32 <= boot::START - boot::MAIN,
        "the boot code fits below the start-up code"
    );
    put(boot::MAIN, &main);
    let start = start_up(boot::START, boot::MAIN).map_err(failed)?;
    assert!(
        start.len() as u32 <= RESET_VECTOR - boot::START,
        "the start-up code fits below the reset vector"
    );
    put(boot::START, &start);
    put(RESET_VECTOR, &reset_vector(boot::START));
    let mut initial_ram = vec![0; laid.ram_base as usize];
    initial_ram.extend(&laid.ram);
    Ok(Rom {
        rom,
        initial_ram,
        page_directory: laid.page_directory,
    })
}

fn symbol_file(
    options: &ImageOptions,
    loaded: &[(&Module, &Mapped)],
    rom_bytes: u32,
) -> SymbolFile {
    let mut file = SymbolFile {
        types: symbols::types(),
        ..SymbolFile::default()
    };
    for (module, mapped) in loaded {
        let skip = if module.name == "apisetschema" {
            PAGE
        } else {
            0
        };
        file.modules.push(ModuleRange {
            name: module.name.clone(),
            file: module.file_name.clone(),
            layer: module.layer,
            ring: module.ring,
            base: mapped.base,
            size: mapped.size - skip,
        });
        file.symbols
            .extend(symbols::of_module(module, mapped.base - skip));
    }
    let rom_base = 0u32.wrapping_sub(rom_bytes);
    file.modules.push(ModuleRange {
        name: "boot".into(),
        file: String::new(),
        layer: 0,
        ring: 0,
        base: rom_base,
        size: rom_bytes,
    });
    for (name, address, end) in [
        ("Main", boot::MAIN, boot::START),
        ("StartUp", boot::START, RESET_VECTOR),
        ("ResetVector", RESET_VECTOR, RESET_VECTOR + 15),
    ] {
        file.symbols.push(Symbol {
            module: "boot".into(),
            name: name.into(),
            aliases: Vec::new(),
            address,
            size: end - address,
            kind: SymbolKind::Code,
        });
    }
    for (name, address) in [
        ("KUSER_SHARED_DATA", SHARED_USER_DATA),
        ("SystemCallStub", SHARED_USER_DATA + 0x300),
    ] {
        file.symbols.push(Symbol {
            module: "SharedUserData".into(),
            name: name.into(),
            aliases: Vec::new(),
            address,
            size: 4,
            kind: SymbolKind::Data,
        });
    }
    let names = |prefix: &str| {
        options
            .windows
            .services()
            .iter()
            .map(|service| format!("{prefix}{}", service.base_name()))
            .collect()
    };
    file.tables.push(Table {
        name: "services".into(),
        address: address(loaded, "nt", "KiServiceTable"),
        row_bytes: 4,
        rows: names("Nt"),
    });
    file.tables.push(Table {
        name: "service_argument_bytes".into(),
        address: address(loaded, "nt", "KiArgumentTable"),
        row_bytes: 1,
        rows: names("Nt"),
    });
    file.notes = notes(options);
    file.modules.sort_by_key(|module| module.base);
    file.symbols.sort_by_key(|symbol| symbol.address);
    file
}

fn notes(options: &ImageOptions) -> Vec<Note> {
    let service = options
        .windows
        .service("NtWriteFile")
        .expect("a service of the table");
    let gate = match options.gate {
        Gate::Sysenter => ("KiFastSystemCall", "sysenter", "KiFastCallEntry", "sysexit"),
        Gate::Int2e => ("KiIntSystemCall", "int 2Eh", "KiSystemService", "iretd"),
    };
    let lookup = format!(
        "KiServiceTable[{:x}], {} argument bytes",
        service.number, service.argument_bytes
    );
    let stub = match options.windows.stubs_enter_themselves() {
        false => format!("eax={:x} edx=7ffe0300", service.number),
        true => format!("eax={:x}, {}", service.number, gate.1),
    };
    let base_call = format!("call [{:08x}]", options.base_of("KERNELBASE") + 0x1190);
    let rows: [(&str, &str, &str); 9] = [
        (
            "winlogon",
            "WinMain",
            "call WriteFile(handle, text, bytes, &written, 0)",
        ),
        (
            "kernel32",
            "WriteFileImplementation",
            "call via API-MS-Win-Core-File",
        ),
        ("KERNELBASE", "WriteFile", &base_call),
        ("ntdll", "ZwWriteFile", &stub),
        ("ntdll", gate.0, gate.1),
        ("nt", gate.2, &lookup),
        ("nt", "NtWriteFile", "9 arguments"),
        ("nt", "KiServiceExit", gate.3),
        ("ntdll", "KiFastSystemCallRet", "ret"),
    ];
    rows.iter()
        .map(|&(module, symbol, text)| Note {
            module: module.into(),
            symbol: symbol.into(),
            text: text.into(),
        })
        .collect()
}
