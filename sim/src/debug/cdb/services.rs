//! `ssdt`: the table of system services, and who owns each entry.

use super::names::{Names, Target};
use super::{Debugger, Outcome};
use firmware::symbols::Table;
use std::fmt::Write;

/// The kernel's descriptor of the table; its first doubleword is the table's address.
const DESCRIPTOR: &str = "nt!KeServiceDescriptorTable";

impl Debugger {
    /// `ssdt [NUMBER]`, `ssdt -h`: hooked entries only.
    pub(super) fn show_services(&mut self, _: &str, arguments: &str) -> Outcome {
        let (number, hooked_only) = match arguments {
            "" => (None, false),
            "-h" => (None, true),
            text => (Some(self.value(text)? as usize), false),
        };
        let text = services(&self.names, &mut self.debuggee, number, hooked_only)?;
        self.out.push_str(&text);
        Ok(())
    }
}

fn services(
    names: &Names,
    target: &mut dyn Target,
    number: Option<usize>,
    hooked_only: bool,
) -> Result<String, String> {
    let tables = &names.symbols().file().tables;
    let table = |name: &str| tables.iter().find(|table: &&Table| table.name == name);
    let services = table("services").ok_or("The symbol file tells of no table of services")?;
    let count = services.rows.len();
    // The kernel takes the table that the descriptor tells; it can have been changed.
    let base = names
        .address_of(DESCRIPTOR, 0)
        .ok()
        .and_then(|descriptor| target.read_u32(descriptor))
        .filter(|base| *base != 0)
        .unwrap_or(services.address);
    let entries = match number {
        Some(number) if number < count => number..number + 1,
        Some(number) => {
            return Err(format!(
                "There is no service {number:x}: the table has {count:x} entries"
            ));
        }
        None => 0..count,
    };
    // Entries must lie in the module that the table lies in.
    let owner = names.module_at(services.address);
    let mut out = format!("SSDT at {base:08x} with {count} entries");
    if base != services.address {
        write!(out, " ** MOVED, nt's own is at {:08x}", services.address).unwrap();
    }
    out.push('\n');
    let mut hooks = 0;
    for entry in entries {
        let Some(address) = target.read_u32(base.wrapping_add(entry as u32 * services.row_bytes))
        else {
            writeln!(out, "  Entry 0x{entry:04x}: ????????").unwrap();
            continue;
        };
        let name = &services.rows[entry];
        let module = names.module_at(address);
        let is_hooked = owner.is_none_or(|owner| address.wrapping_sub(owner.base) >= owner.size);
        hooks += usize::from(is_hooked);
        if hooked_only && !is_hooked {
            continue;
        }
        let owned = module.map_or("UNKNOWN", |module| match module.file.as_str() {
            "" => module.name.as_str(),
            file => file,
        });
        let arguments = table("service_argument_bytes")
            .and_then(|table| target.read_number(table.address + entry as u32, 1));
        let arguments = arguments.map_or("??".into(), |bytes| format!("{bytes:02x}"));
        write!(out, "  Entry 0x{entry:04x}: 0x{address:08x} ({name}) owned by {owned}, {arguments} bytes of arguments").unwrap();
        if is_hooked {
            write!(out, " ** HOOKED => {}", names.text(address)).unwrap();
        }
        out.push('\n');
    }
    if number.is_none() {
        let owner = owner.map_or("no module", |module| &module.name);
        writeln!(out, "{hooks} of {count} entries point out of {owner}").unwrap();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::Still;
    use super::*;
    use crate::symbols::Symbols;
    use firmware::symbols::{ModuleRange, SymbolFile};
    use std::sync::Arc;

    #[test]
    fn an_entry_that_points_out_of_the_tables_module_is_hooked() {
        let table = |name: &str, address, row_bytes| Table {
            name: name.into(),
            address,
            row_bytes,
            rows: vec!["NtFirst".into(), "NtSecond".into()],
        };
        let names = Names::new(Arc::new(Symbols::new(SymbolFile {
            modules: vec![ModuleRange {
                name: "nt".into(),
                file: "ntoskrnl.exe".into(),
                layer: 1,
                ring: 0,
                base: 0x8280_0000,
                size: 0x1000,
            }],
            tables: vec![
                table("services", 0x8280_0100, 4),
                table("service_argument_bytes", 0x8280_0200, 1),
            ],
            ..Default::default()
        })));
        let mut still = Still::default()
            .with(0x8280_0100, &[0, 3, 0x80, 0x82, 0, 0, 0, 0x90])
            .with(0x8280_0200, &[0x18, 0x24]);
        let text = services(&names, &mut still, None, false).unwrap();
        assert_eq!(
            text,
            "SSDT at 82800100 with 2 entries
  Entry 0x0000: 0x82800300 (NtFirst) owned by ntoskrnl.exe, 18 bytes of arguments
  Entry 0x0001: 0x90000000 (NtSecond) owned by UNKNOWN, 24 bytes of arguments ** HOOKED => 90000000
1 of 2 entries point out of nt
"
        );
        let hooked = services(&names, &mut still, None, true).unwrap();
        assert!(!hooked.contains("NtFirst") && hooked.contains("NtSecond"));
        assert!(services(&names, &mut still, Some(2), false).is_err());
    }
}
