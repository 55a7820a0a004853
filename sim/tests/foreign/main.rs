//! Software as others write it, run unmodified by `sysgate run`: a BIOS-like ROM, kernels, and files that are none.
#![cfg(feature = "model")]

mod bios;
mod kernel;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder of its own for each test, with a space as users have them.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sysgate {test} {}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(option: &str, file: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sysgate"))
        .args(["run", option])
        .arg(file)
        .args(["--max-cycles", "20000000"])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The message of a file that must be refused.
fn refusal(name: &str, bytes: &[u8], more: &[&str]) -> String {
    let folder = Folder::new(name);
    let output = run("--kernel", &folder.write("kernel", bytes), more);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{message}");
    message
}

#[test]
fn a_bios_like_rom_tests_its_pc_and_ends_well() {
    let folder = Folder::new("bios");
    let output = run("--bios", &folder.write("bios.rom", &bios::rom()), &[]);
    let (shown, messages) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(bios::EXIT.into()),
        "{shown}{messages}"
    );
    // Once from COM1, once from the debug console.
    for letter in ['B', 'K', 'O'] {
        let count = bios::HELLO.matches(letter).count();
        assert_eq!(shown.matches(letter).count(), 2 * count, "{shown}");
    }
    let posts: Vec<&str> = messages
        .lines()
        .filter(|line| line.starts_with("[POST"))
        .collect();
    let codes = ["01", "01", "02", "03", "04", "05", "06", "07", "10"];
    assert_eq!(posts, codes.map(|code| format!("[POST {code}]")));
    let unknown = format!("  {:04x}{:>10}{:>10}", bios::NOBODYS_PORT, 1, 1);
    assert_eq!(
        messages.lines().last(),
        Some(unknown.as_str()),
        "{messages}"
    );
}

#[test]
fn a_bios_like_rom_does_the_same_with_wait_states() {
    let folder = Folder::new("waits");
    let rom = folder.write("bios.rom", &bios::rom());
    let output = run("--bios", &rom, &["--wait-states", "7"]);
    assert_eq!(
        output.status.code(),
        Some(bios::EXIT.into()),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_shadowed_rom_can_be_written() {
    let folder = Folder::new("shadow");
    let output = run(
        "--bios",
        &folder.write("bios.rom", &bios::rom()),
        &["--shadow"],
    );
    // The first test finds its byte changed.
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

#[test]
fn a_text_display_is_shown_at_the_end_if_wanted() {
    let folder = Folder::new("screen");
    let rom = folder.write("bios.rom", &bios::rom());
    let cells: Vec<u8> = b"a text".iter().flat_map(|&code| [code, 7]).collect();
    let load = format!("{}@b80a2", folder.write("cells", &cells).display());
    let output = run("--bios", &rom, &["--screen", "--load", &load]);
    let shown = text(&output.stdout);
    assert!(shown.ends_with("\n\n a text\n"), "{shown}");
}

#[test]
fn a_multiboot_kernel_pages_and_is_interrupted() {
    let folder = Folder::new("multiboot");
    let file = folder.write("kernel.elf", &kernel::elf());
    let module = folder.write("a module.txt", b" -- and a module\r\n");
    let arguments = ["--ram", "8M", "--append", "quiet answer=42", "--initrd"];
    let output = run(
        "--kernel",
        &file,
        &[&arguments[..], &[module.to_str().unwrap()]].concat(),
    );
    let (shown, messages) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(kernel::EXIT.into()),
        "{shown}{messages}"
    );
    let hello = kernel::HELLO;
    assert_eq!(
        shown,
        format!("{hello}kernel.elf quiet answer=42 -- and a module\r\n")
    );
    assert_eq!(messages, "", "no port that nobody has, no test code");
}

/// Code that a Linux boot loader enters: it adds up what it was given, and writes the sum to the exit port.
#[rustfmt::skip]
const LINUX: &[u8] = &[
    0x8B, 0x86, 0x28, 0x02, 0x00, 0x00, // mov eax,[esi+228h]
    0x8A, 0x18, // mov bl,[eax]
    0x8B, 0x86, 0x18, 0x02, 0x00, 0x00, // mov eax,[esi+218h]
    0x02, 0x18, // add bl,[eax]
    0x02, 0x9E, 0xE8, 0x01, 0x00, 0x00, // add bl,[esi+1E8h]: ranges of memory
    0x8C, 0xC8, 0x00, 0xC3, // mov eax,cs; add bl,al
    0x8C, 0xD8, 0x00, 0xC3, // mov eax,ds; add bl,al
    0x88, 0xD8, 0xE6, 0xF4, // mov al,bl; out F4h,al
    0xF4,
];

/// A bzImage with this code.
fn bzimage() -> Vec<u8> {
    let mut file = vec![0u8; 5 * 512];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1F1, &[4]);
    put(0x1F4, &4u32.to_le_bytes()); // paragraphs
    put(0x1FE, &[0x55, 0xAA, 0xEB, 0x66]);
    put(0x202, b"HdrS");
    put(0x206, &0x020Fu16.to_le_bytes());
    put(0x211, &[1]);
    put(0x214, &0x0010_0000u32.to_le_bytes());
    put(0x22C, &0x7FFF_FFFFu32.to_le_bytes());
    put(0x238, &255u32.to_le_bytes());
    put(0x260, &0x0020_0000u32.to_le_bytes());
    file.extend(LINUX);
    file.resize(5 * 512 + 64, 0);
    file
}

/// What bzImage unpacks: an ELF file without any header of Linux's, linked 3 GB above `address`, with this code and kernel's version.
fn vmlinux(address: u32) -> Vec<u8> {
    const HIGH: u32 = 0xC000_0000;
    let header_bytes = 52 + 32u32;
    let bytes = [LINUX, b"Linux version 5.10\0"].concat();
    let mut elf = vec![0x7F, b'E', b'L', b'F', 1, 1, 1];
    elf.resize(16, 0);
    let halves = |elf: &mut Vec<u8>, halves: &[u16]| {
        elf.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    };
    let words = |elf: &mut Vec<u8>, words: &[u32]| {
        elf.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    halves(&mut elf, &[2, 3]);
    words(&mut elf, &[1, address, 52, 0, 0]);
    halves(&mut elf, &[52, 32, 1, 0, 0, 0]);
    let length = bytes.len() as u32;
    words(&mut elf, &[1, header_bytes, address + HIGH, address]);
    words(&mut elf, &[length, length + 0x1000, 7, 4]);
    elf.extend(bytes);
    elf
}

#[test]
fn a_vmlinux_is_entered_like_the_bzimage_that_it_comes_from() {
    is_told_line_disk_and_memory("vmlinux", &vmlinux(0x10_0000));
}

#[test]
fn a_bzimage_is_entered_by_the_32_bit_protocol() {
    is_told_line_disk_and_memory("bzImage", &bzimage());
}

fn is_told_line_disk_and_memory(name: &str, kernel: &[u8]) {
    let folder = Folder::new(name);
    let file = folder.write(name, kernel);
    let disk = folder.write("disk", &[3; 5000]);
    let arguments = [
        "--ram",
        "4M",
        "--append",
        "\x01=x",
        "--initrd",
        disk.to_str().unwrap(),
    ];
    let output = run("--kernel", &file, &arguments);
    // 1 of the line, 3 of the disk, 2 ranges, CS 10h and DS 18h.
    let value = 1 + 3 + 2 + 0x10 + 0x18;
    assert_eq!(
        output.status.code(),
        Some(value << 1 | 1),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn files_that_are_no_kernels_are_refused_with_a_reason() {
    let elf = kernel::elf();
    let changed = |at: usize, value: u8| {
        let mut elf = elf.clone();
        elf[at] = value;
        elf
    };
    let linux = |at: usize, value: u8| {
        let mut file = bzimage();
        file[at] = value;
        file
    };
    for (name, bytes, more, reason) in [
        (
            "nothing",
            vec![1, 2, 3],
            &[][..],
            "is none of these: a PE32 program",
        ),
        (
            "program",
            b"MZ and more".to_vec(),
            &[],
            "is a PE file and no kernel",
        ),
        (
            "short",
            elf[..3000].to_vec(),
            &[],
            "is truncated: the ELF headers point beyond its end",
        ),
        (
            "class",
            changed(4, 2),
            &[],
            "no little-endian 32-bit executable for the 386",
        ),
        (
            "no elf",
            changed(1, b'x'),
            &[],
            "has a multiboot header without addresses, and is no ELF file",
        ),
        (
            "checksum",
            changed(52 + 32 + 8, 0),
            &[],
            "is none of these: a PE32 program",
        ),
        (
            "ram",
            elf.clone(),
            &["--ram", "1M"],
            "needs RAM up to 106000h for its segments, and it ends at 100000h",
        ),
        (
            "bz short",
            bzimage()[..2570].to_vec(),
            &[],
            "is truncated: 10 bytes behind its setup code instead of 64",
        ),
        (
            "bz setup",
            bzimage()[..600].to_vec(),
            &[],
            "is truncated: its setup code alone has 2560 bytes",
        ),
        (
            "zimage",
            linux(0x211, 0),
            &[],
            "is a zImage, which loads below 1 MB",
        ),
        (
            "bz ram",
            bzimage(),
            &["--ram", "2M"],
            "needs RAM up to 300000h for itself",
        ),
        (
            "vmlinux low",
            vmlinux(0x8_0000),
            &[],
            "has a segment at 80000h, and only from 100000h on",
        ),
        (
            "vmlinux ram",
            vmlinux(0x0100_0000),
            &["--ram", "16M"],
            "needs RAM up to 1001",
        ),
        (
            "old",
            linux(0x206, 1),
            &[],
            "speaks version 2.01 of Linux's boot protocol",
        ),
    ] {
        let message = refusal(name, &bytes, more);
        assert!(message.contains(reason), "{name}: {message}");
    }
}

#[test]
fn append_and_initrd_need_a_kernel() {
    let folder = Folder::new("usage");
    let rom = folder.write("bios.rom", &bios::rom());
    for more in [["--append", "x"], ["--initrd", "x"]] {
        let output = run("--bios", &rom, &more);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
