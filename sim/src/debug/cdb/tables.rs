//! What the processor finds by itself: `!idt`, `!gdt`, `dg`, `!pte`.

use super::names::{Names, Target};
use super::{Debugger, Outcome};
use spec::paging;
use spec::registers::{self as number, BASE, LIMIT};
use spec::segments;
use std::fmt::Write;

impl Debugger {
    /// `!idt [vector]`, `!idt -a` for one line each.
    pub(super) fn show_idt(&mut self, _: &str, arguments: &str) -> Outcome {
        let wanted = match arguments {
            "" | "-a" => None,
            text => Some(self.value(text)? as u32),
        };
        let mut text = idt(&self.names, &mut self.debuggee, wanted)?;
        if arguments.is_empty() {
            text = gathered(&text);
        }
        self.out.push_str(&text);
        Ok(())
    }

    /// `dg selector [last]`, `!gdt` for all.
    pub(super) fn show_descriptors(&mut self, name: &str, arguments: &str) -> Outcome {
        let limit = self.debuggee.registers().limit(number::GDTR);
        let (first, last) = match (name, arguments) {
            ("!gdt", _) | (_, "") => (0, limit & !7),
            _ => {
                let (first, rest) = self.parse(arguments)?;
                let last = match rest {
                    "" => first,
                    rest => self.value(rest)?,
                };
                (first as u32, last as u32)
            }
        };
        let text = descriptors(&mut self.debuggee, first, last)?;
        self.out.push_str(&text);
        Ok(())
    }

    /// `!pte address`.
    pub(super) fn show_page_table_entries(&mut self, _: &str, arguments: &str) -> Outcome {
        let address = match arguments {
            "" => self.eip(),
            _ => self.address(arguments)?,
        };
        if !self.debuggee.registers().paging() {
            self.line(format!(
                "VA {address:08x}\nPaging is off: physical {address:08x}"
            ));
            return Ok(());
        }
        let cr3 = self.debuggee.registers().cr3();
        let debuggee = &mut self.debuggee;
        let text = page_table_entries(address, cr3, &mut |physical| {
            let bytes = debuggee.read_physical(physical, 4).ok()?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        })?;
        self.out.push_str(&text);
        Ok(())
    }
}

fn idt(names: &Names, target: &mut dyn Target, wanted: Option<u32>) -> Result<String, String> {
    let base = target.register(BASE + number::IDTR);
    let count = target.register(LIMIT + number::IDTR).saturating_add(1) / 8;
    let mut out = format!("Dumping IDT: {base:08x}\n\n");
    let vectors = match wanted {
        Some(vector) if vector < count => vector..vector + 1,
        Some(vector) => {
            return Err(format!(
                "Vector {vector:x} is behind the end of the IDT: it has {count:x} entries"
            ));
        }
        None => 0..count.min(256),
    };
    for vector in vectors {
        let Some(entry) = target.read_number(base.wrapping_add(vector * 8), 8) else {
            writeln!(out, "{vector:02x}:\t????????").unwrap();
            continue;
        };
        let access = (entry >> 40) as u8;
        if access & segments::ACCESS_PRESENT == 0 {
            if wanted.is_some() {
                writeln!(out, "{vector:02x}:\tnot present").unwrap();
            }
            continue;
        }
        let selector = entry >> 16 & 0xFFFF;
        if access & segments::ACCESS_TYPE == segments::TASK_GATE {
            writeln!(out, "{vector:02x}:\tTask Selector = 0x{selector:04X}").unwrap();
            continue;
        }
        let offset = (entry & 0xFFFF | entry >> 32 & 0xFFFF_0000) as u32;
        write!(out, "{vector:02x}:\t{offset:08x} {}", names.text(offset)).unwrap();
        let dpl = access >> segments::ACCESS_DPL_SHIFT & 3;
        if dpl != 0 {
            write!(out, " (DPL {dpl})").unwrap();
        }
        out.push('\n');
    }
    Ok(out)
}

/// Neighbouring vectors with the same handler in one line: `3f-ff:`.
fn gathered(text: &str) -> String {
    let mut out = String::new();
    let mut run: Option<(&str, &str, &str)> = None;
    let mut end = |run: Option<(&str, &str, &str)>| match run {
        Some((first, last, handler)) if first == last => {
            writeln!(out, "{first}:\t{handler}").unwrap();
        }
        Some((first, last, handler)) => writeln!(out, "{first}-{last}:\t{handler}").unwrap(),
        None => {}
    };
    let mut head = String::new();
    for line in text.lines() {
        let Some((vector, handler)) = line.split_once(":\t") else {
            head.push_str(line);
            head.push('\n');
            continue;
        };
        match &mut run {
            Some((_, last, same)) if *same == handler => *last = vector,
            _ => end(run.replace((vector, vector, handler))),
        }
    }
    end(run);
    head + &out
}

const DESCRIPTOR_HEAD: &str = "                                  P Si Gr Pr Lo
Sel    Base     Limit     Type    l ze an es ng Flags
---- -------- -------- ---------- - -- -- -- -- --------
";

fn descriptors(target: &mut dyn Target, first: u32, last: u32) -> Result<String, String> {
    let (base, limit) = (
        target.register(BASE + number::GDTR),
        target.register(LIMIT + number::GDTR),
    );
    if first & u32::from(segments::SELECTOR_LDT) != 0 {
        return Err(format!(
            "Unable to get descriptor {first:04x}: it would be in the LDT"
        ));
    }
    if (first | 7) > limit {
        return Err(format!(
            "Unable to get descriptor {first:04x}: the GDT's limit is {limit:x}"
        ));
    }
    let mut out = String::from(DESCRIPTOR_HEAD);
    for selector in (first & !7..=last.min(limit)).step_by(8) {
        match target.read_number(base.wrapping_add(selector), 8) {
            Some(descriptor) => writeln!(out, "{}", descriptor_line(selector, descriptor)).unwrap(),
            None => writeln!(out, "{selector:04x} ????????").unwrap(),
        }
    }
    Ok(out)
}

fn descriptor_line(selector: u32, descriptor: u64) -> String {
    let base = (descriptor >> 16 & 0xFF_FFFF | descriptor >> 32 & 0xFF00_0000) as u32;
    let (access, flags) = ((descriptor >> 40) as u8, (descriptor >> 40) as u16 & 0xF000);
    let in_pages = flags & segments::FLAG_GRANULARITY != 0;
    let mut limit = (descriptor & 0xFFFF | descriptor >> 32 & 0xF_0000) as u32;
    if in_pages {
        limit = limit << 12 | 0xFFF;
    }
    let kind = access & segments::ACCESS_TYPE;
    let accessed = if kind & segments::TYPE_ACCESSED != 0 {
        " Ac"
    } else {
        ""
    };
    let kind = match access & segments::ACCESS_CODE_OR_DATA != 0 {
        true if kind & segments::TYPE_CODE != 0 => {
            let readable = if kind & segments::TYPE_READABLE != 0 {
                "RE"
            } else {
                "EO"
            };
            format!("Code {readable}{accessed}")
        }
        true => {
            let writable = if kind & segments::TYPE_WRITABLE != 0 {
                "RW"
            } else {
                "RO"
            };
            format!("Data {writable}{accessed}")
        }
        false => match kind {
            segments::TSS_32_AVAILABLE => "TSS32 Avl".into(),
            segments::TSS_32_BUSY => "TSS32 Busy".into(),
            segments::TSS_16_AVAILABLE => "TSS16 Avl".into(),
            segments::TSS_16_BUSY => "TSS16 Busy".into(),
            segments::LDT => "LDT".into(),
            segments::CALL_GATE_32 => "CallGate32".into(),
            _ => "<Reserved>".into(),
        },
    };
    let dpl = access >> segments::ACCESS_DPL_SHIFT & 3;
    let choose = |yes: bool, set: &'static str, clear: &'static str| if yes { set } else { clear };
    format!(
        "{selector:04x} {base:08x} {limit:08x} {kind:<10} {dpl} {} {} {} {} {:08x}",
        choose(flags & segments::FLAG_BIG != 0, "Bg", "Nb"),
        choose(in_pages, "Pg", "By"),
        choose(access & segments::ACCESS_PRESENT != 0, "P ", "NP"),
        "Nl",
        u32::from(access) | u32::from(flags) >> 4
    )
}

/// Linear addresses of Windows' own view of the tables, if the directory maps itself there.
const SELF_MAP: u32 = 0x300;

fn page_table_entries(
    address: u32,
    cr3: u32,
    read: &mut dyn FnMut(u32) -> Option<u32>,
) -> Result<String, String> {
    let directory = cr3 & paging::FRAME;
    let unreadable = |physical| format!("Memory access error at physical {physical:08x}");
    let pde_at = directory + paging::directory_index(address) * 4;
    let pde = read(pde_at).ok_or_else(|| unreadable(pde_at))?;
    // Where Windows sees its tables; without such a map the physical addresses are shown.
    let maps_itself = read(directory + SELF_MAP * 4)
        .is_some_and(|entry| entry & paging::PRESENT != 0 && entry & paging::FRAME == directory);
    let (pde_shown, pte_shown, note) = match maps_itself {
        true => (
            0xC030_0000 + paging::directory_index(address) * 4,
            0xC000_0000 + (address >> 12) * 4,
            "",
        ),
        false => (
            pde_at,
            (pde & paging::FRAME) + paging::table_index(address) * 4,
            " (physical addresses)",
        ),
    };
    let mut out = format!("VA {address:08x}{note}\n");
    if pde & paging::PRESENT == 0 {
        writeln!(out, "PDE at {pde_shown:08X}\ncontains {pde:08X}\nnot valid").unwrap();
        return Ok(out);
    }
    if pde & paging::LARGE != 0 {
        writeln!(
            out,
            "PDE at {pde_shown:08X}\ncontains {pde:08X}\npfn {:x} {} LARGE PAGE",
            pde >> 12,
            entry_flags(pde)
        )
        .unwrap();
        return Ok(out);
    }
    let pte_at = (pde & paging::FRAME) + paging::table_index(address) * 4;
    let pte = read(pte_at).ok_or_else(|| unreadable(pte_at))?;
    let columns = |left: String, right: String| format!("{left:<24}{right}\n");
    out += &columns(
        format!("PDE at {pde_shown:08X}"),
        format!("PTE at {pte_shown:08X}"),
    );
    out += &columns(format!("contains {pde:08X}"), format!("contains {pte:08X}"));
    let described = |entry: u32| match entry & paging::PRESENT {
        0 => "not valid".to_string(),
        _ => format!("pfn {:<5x} {}", entry >> 12, entry_flags(entry)),
    };
    out += &columns(described(pde), described(pte));
    Ok(out)
}

/// `-G-DA--KWEV`: copy on write, global, large, dirty, accessed, not cached, write-through, kernel or user, write or
/// read, executable, valid.
fn entry_flags(entry: u32) -> String {
    let letters = [
        (paging::GLOBAL, 'G', '-'),
        (paging::LARGE, 'L', '-'),
        (paging::DIRTY, 'D', '-'),
        (paging::ACCESSED, 'A', '-'),
        (paging::CACHE_DISABLE, 'N', '-'),
        (paging::WRITE_THROUGH, 'T', '-'),
        (paging::USER, 'U', 'K'),
        (paging::WRITABLE, 'W', 'R'),
    ];
    let letters = letters.map(|(bit, set, clear)| if entry & bit != 0 { set } else { clear });
    // Copy on write is bit 9, which the processor leaves to the system.
    let copy = if entry & 0x200 != 0 { 'C' } else { '-' };
    format!("{copy}{}EV", letters.iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::{Still, names};
    use super::*;

    #[test]
    fn descriptors_have_the_columns_of_dg() {
        for (selector, base, limit, access, flags, expected) in [
            (
                0x08,
                0,
                0xF_FFFF,
                0x9B,
                0xC000,
                "0008 00000000 ffffffff Code RE Ac 0 Bg Pg P  Nl 00000c9b",
            ),
            (
                0x38,
                0,
                0xFFF,
                0xF3,
                0x4000,
                "0038 00000000 00000fff Data RW Ac 3 Bg By P  Nl 000004f3",
            ),
            (
                0x28,
                0x8004_2000,
                0x20AB,
                0x8B,
                0,
                "0028 80042000 000020ab TSS32 Busy 0 Nb By P  Nl 0000008b",
            ),
        ] {
            let descriptor = segments::descriptor(base, limit, access, flags);
            assert_eq!(descriptor_line(selector, descriptor), expected);
        }
    }

    #[test]
    fn an_idt_entry_names_its_handler() {
        let gate = segments::gate(8, 0x8280_1EC0, 0xEE, 0);
        let mut still = Still::default().with(0x2000 + 0x2E * 8, &gate.to_le_bytes());
        still.registers.insert(BASE + number::IDTR, 0x2000);
        still.registers.insert(LIMIT + number::IDTR, 0x7FF);
        assert_eq!(
            idt(&names(), &mut still, Some(0x2E)).unwrap(),
            "Dumping IDT: 00002000\n\n2e:\t82801ec0 nt!NtWriteFile (DPL 3)\n"
        );
        assert!(idt(&names(), &mut still, Some(0x100)).is_err());
        assert_eq!(
            gathered("Dumping\n\n00:\ta\n01:\tb\n02:\tb\n05:\tb\n06:\tc\n"),
            "Dumping\n\n00:\ta\n01-05:\tb\n06:\tc\n"
        );
    }

    #[test]
    fn entries_of_the_facts_are_described_as_there() {
        let mut read = |physical: u32| match physical {
            0x1844 => Some(0x001C_4063),
            0x1C00 => Some(0x0000_1063),
            0x001C_4000..0x001C_5000 => Some(0x045E_C121),
            _ => Some(0),
        };
        assert_eq!(
            page_table_entries(0x845E_CF68, 0x1000, &mut read).unwrap(),
            "VA 845ecf68
PDE at C0300844         PTE at C02117B0
contains 001C4063       contains 045EC121
pfn 1c4   ---DA--KWEV   pfn 45ec  -G--A--KREV
"
        );
        let text = page_table_entries(0, 0x1000, &mut read).unwrap();
        assert!(text.ends_with("not valid\n"), "{text}");
    }
}
