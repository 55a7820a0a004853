//! The API set schema: import names such as `API-MS-Win-Core-File-L1-1-0.dll` stand for a real DLL.

/// API set and its hosts, the first one that the image has is taken.
const API_SETS: &[(&str, &[&str])] = &[
    ("API-MS-Win-Core-File-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-Handle-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-Memory-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-ProcessEnvironment-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-ErrorHandling-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-ProcessThreads-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-Profile-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-Synch-L1-1-0", KERNEL_BASE),
    ("API-MS-Win-Core-SysInfo-L1-1-0", KERNEL_BASE),
];

/// Before KERNELBASE there was only kernel32.
const KERNEL_BASE: &[&str] = &["KERNELBASE.dll", "kernel32.dll"];
const SCHEMA_VERSION: u32 = 2;
/// The schema's names leave this prefix out.
const PREFIX: &str = "API-";

/// The DLL behind an API set's name, of those that are `present`; `None` for an ordinary DLL.
pub fn host(dll: &str, present: impl Fn(&str) -> bool) -> Option<&'static str> {
    let base = dll
        .strip_suffix(".dll")
        .or_else(|| dll.strip_suffix(".DLL"))
        .unwrap_or(dll);
    let (_, hosts) = API_SETS
        .iter()
        .find(|(set, _)| set.eq_ignore_ascii_case(base))?;
    hosts.iter().copied().find(|host| present(host))
}

/// The schema as Windows 7 keeps it in memory (version 2), for the DLLs that are `present`.
///
/// Header {version, entries}, entries {name offset, name bytes, hosts offset}, hosts {count, then
/// {importer offset, importer bytes, name offset, name bytes}}, names in UTF-16; offsets count from the start.
pub fn schema(present: impl Fn(&str) -> bool) -> Vec<u8> {
    let rows: Vec<_> = API_SETS
        .iter()
        .filter_map(|(set, hosts)| Some((*set, *hosts.iter().find(|host| present(host))?)))
        .collect();
    let mut names = Vec::new();
    let mut fixed = vec![SCHEMA_VERSION, rows.len() as u32];
    let hosts_at = 8 + rows.len() as u32 * 12;
    let names_at = hosts_at + rows.len() as u32 * 20;
    let mut name = |text: &str| {
        let offset = names_at + names.len() as u32;
        names.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        (offset, text.len() as u32 * 2)
    };
    let mut hosts = Vec::new();
    for (index, (set, host)) in rows.iter().enumerate() {
        let (set_offset, set_bytes) = name(&set[PREFIX.len()..]);
        let (host_offset, host_bytes) = name(host);
        fixed.extend([set_offset, set_bytes, hosts_at + index as u32 * 20]);
        hosts.extend([1, 0, 0, host_offset, host_bytes]);
    }
    fixed.extend(hosts);
    fixed
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .chain(names)
        .collect()
}
