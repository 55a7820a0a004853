//! gdb's `monitor` commands: what the processor and the clock are about, for which gdb has no words.

use super::guest::{Guest, POINTS};
use crate::debug::{Stopped, Watch};
use crate::trace::{Instruction, Instructions, Write as Effect, disassemble};
use spec::msr::{self, MSRS};
use spec::pipeline::STALL_REASONS;
use spec::registers::{self, SEGMENT};
use std::fmt::Write;

const HELP: &str = "\
Numbers as in gdb: 255, 0xff. What moves the guest is unknown to gdb until `maintenance flush register-cache`.
  where                       address, symbol, ring, clock cycle, instruction
  cycle                       the clock cycle
  regs                        all registers, with what the segment registers hold
  msr [NUMBER|NAME]           a model-specific register, or all
  pipeline                    what each stage holds in this clock
  why                         why a stage waits in this clock
  trace [N]                   the last N instructions and what they read and wrote [10]
  ports [N]                   accesses to ports in the last N instructions [100]
  translate ADDRESS           the physical address behind a linear one, and the way there
  xp ADDRESS [N]              N bytes by physical address [64]
  modules                     what lies where
  console                     what the guest has sent up to here
  send TEXT                   types a line into the guest's console
  ring                        runs to the next ring change
  cycles N                    runs N clock cycles, or goes back if N is negative
  goto cycle|instruction N    goes to a position, back or on
  checkpoint                  makes coming back here fast
  stop                        lists what continue and reverse-continue stop at besides gdb's own
  stop ring|vector [N]|port N|msr NUMBER|register NAME|none
                              adds to it, or clears it
";

/// Clock cycles that `ring` runs at most.
const RING_LIMIT: u64 = 100_000_000;

/// Runs one command; its output.
///
/// # Errors
/// What is wrong with it, in words for its user.
pub fn run(guest: &mut Guest, command: &str) -> Result<String, String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (&name, arguments) = words.split_first().unwrap_or((&"help", &[]));
    match (name, arguments) {
        ("help" | "?", []) => Ok(HELP.into()),
        ("where", []) => Ok(guest.place() + "\n"),
        ("cycle", []) => Ok(format!("{}\n", guest.debuggee.position().cycle)),
        ("regs", []) => Ok(all_registers(guest)),
        ("msr", []) => {
            let lines = MSRS.iter().map(|msr| msr_line(guest, msr));
            Ok(lines.collect())
        }
        ("msr", [number]) => Ok(msr_line(guest, msr_of(number)?)),
        ("pipeline", []) => Ok(pipeline(guest)),
        ("why", []) => Ok(why(guest)),
        ("trace", []) => trace(guest, 10),
        ("trace", [count]) => trace(guest, self::count(count)?),
        ("ports", []) => ports(guest, 100),
        ("ports", [count]) => ports(guest, self::count(count)?),
        ("translate", [address]) => translate(guest, address32(address)?),
        ("xp", [address]) => physical(guest, address32(address)?, 64),
        ("xp", [address, count]) => physical(guest, address32(address)?, self::count(count)?),
        ("modules", []) => Ok(modules(guest)),
        ("console", []) => {
            let text = String::from_utf8_lossy(guest.debuggee.console());
            Ok(format!("{}\n", text.trim_end()))
        }
        ("send", [_, ..]) => {
            let text = command.trim_start()["send".len()..].trim_start();
            guest.debuggee.send_console(text.as_bytes());
            guest.debuggee.send_console(b"\r");
            Ok(String::new())
        }
        ("ring", []) => {
            let from = guest.debuggee.registers().cpl();
            let end = guest.debuggee.position().cycle + RING_LIMIT;
            let stopped = guest.insist(|debuggee| {
                let left = end.saturating_sub(debuggee.position().cycle);
                debuggee.run(&[Watch::Ring], left)
            });
            let to = guest.debuggee.registers().cpl();
            let what = match stopped {
                Stopped::Watch(_) => format!("ring {from} to ring {to}"),
                other => end_text(&other),
            };
            Ok(moved(guest, &what))
        }
        ("cycles", [count]) => {
            let cycle = guest.debuggee.position().cycle;
            let to = cycle.saturating_add_signed(signed(count)?);
            let stopped = guest.insist(|debuggee| debuggee.go_to_cycle(to));
            Ok(moved(guest, &end_text(&stopped)))
        }
        ("goto", ["cycle", number]) => {
            let to = self::number(number)?;
            let stopped = guest.insist(|debuggee| debuggee.go_to_cycle(to));
            Ok(moved(guest, &end_text(&stopped)))
        }
        ("goto", ["instruction", number]) => {
            let to = self::number(number)?;
            let stopped = guest.insist(|debuggee| debuggee.go_to_instruction(to));
            Ok(moved(guest, &end_text(&stopped)))
        }
        ("checkpoint", []) => {
            guest.debuggee.checkpoint();
            Ok(String::new())
        }
        ("stop", []) => Ok(stops(guest)),
        ("stop", ["none"]) => {
            guest.stops.clear();
            Ok(String::new())
        }
        ("stop", ["ring"]) => add_stop(guest, Watch::Ring, "a ring change".into()),
        ("stop", ["vector"]) => {
            let watch = Watch::Vector { vector: None };
            add_stop(guest, watch, "an exception or interrupt".into())
        }
        ("stop", ["vector", vector]) => {
            let vector = narrow::<u8>(vector, "a vector, 0 to 0xff")?;
            let watch = Watch::Vector {
                vector: Some(vector),
            };
            add_stop(guest, watch, format!("vector {vector:#04x}"))
        }
        ("stop", ["port", port]) => {
            let port = narrow::<u16>(port, "a port, 0 to 0xffff")?;
            add_stop(
                guest,
                Watch::Port { port, size: 1 },
                format!("port {port:#x}"),
            )
        }
        ("stop", ["msr", number]) => {
            let msr = msr_of(number)?;
            let watch = Watch::SystemWrite { number: msr.low };
            add_stop(guest, watch, format!("a write to {}", msr.name))
        }
        ("stop", ["register", name]) => {
            let number = registers::number(name).filter(|number| *number >= registers::SELECTOR);
            let number = number.ok_or_else(|| {
                format!("`{name}` is no system register; `monitor regs` lists their names")
            })?;
            let watch = Watch::SystemWrite { number };
            add_stop(guest, watch, format!("a write to {name}"))
        }
        _ => match HELP
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name))
        {
            Some(line) => Err(format!(
                "`{}` is not understood. Expected: {}",
                command.trim(),
                line.trim()
            )),
            None => Err(format!(
                "there is no command `{name}`; `monitor help` lists them"
            )),
        },
    }
}

fn number(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("`{text}` is no number; write 255 or 0xff"))
}

fn signed(text: &str) -> Result<i64, String> {
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (text, 1),
    };
    let number = i64::try_from(number(digits)?);
    number
        .map(|number| sign * number)
        .map_err(|_| format!("{text} is too much"))
}

fn narrow<T: TryFrom<u64>>(text: &str, expected: &str) -> Result<T, String> {
    T::try_from(number(text)?).map_err(|_| format!("`{text}` is not {expected}"))
}

fn address32(text: &str) -> Result<u32, String> {
    narrow(text, "an address of 32 bits")
}

fn count(text: &str) -> Result<usize, String> {
    let count = narrow(text, "a count")?;
    if (1..=10_000).contains(&count) {
        Ok(count)
    } else {
        Err(format!("{count} is not a count from 1 to 10000"))
    }
}

fn msr_of(text: &str) -> Result<&'static msr::Msr, String> {
    let by_name = MSRS.iter().find(|msr| msr.name.eq_ignore_ascii_case(text));
    let found = match by_name {
        Some(msr) => Some(msr),
        None => msr::by_number(narrow(text, "the number of an MSR")?),
    };
    found.ok_or_else(|| {
        let known: Vec<String> = MSRS
            .iter()
            .map(|msr| format!("{:#x}", msr.number))
            .collect();
        format!(
            "there is no MSR {text}: RDMSR would raise #GP(0); there are {}",
            known.join(", ")
        )
    })
}

fn msr_line(guest: &mut Guest, msr: &msr::Msr) -> String {
    let registers = guest.debuggee.registers();
    let high = msr.high.map_or(0, |high| registers.get(high));
    let low = registers.get(msr.low);
    format!(
        "{:#06x} {:18} = {high:08x}`{low:08x}\n",
        msr.number, msr.name
    )
}

/// What a movement came to, and what gdb does not know yet.
fn moved(guest: &mut Guest, what: &str) -> String {
    let separator = if what.is_empty() { "" } else { ": " };
    format!(
        "{what}{separator}{}\nnow `maintenance flush register-cache`, so that gdb looks again\n",
        guest.place()
    )
}

fn end_text(stopped: &Stopped) -> String {
    match stopped {
        Stopped::Watch(_) | Stopped::Done => String::new(),
        Stopped::Exit(value) => format!("the guest wrote {value:#x} to the exit port"),
        Stopped::Halted => "the guest halted with interrupts off".into(),
        Stopped::Shutdown => "the guest shut down".into(),
        Stopped::Reset => "the guest asked for a reset".into(),
        Stopped::Hung => "nothing retires any more".into(),
        Stopped::Begin => "the begin of the run".into(),
        Stopped::Interrupted => "interrupted".into(),
    }
}

fn all_registers(guest: &mut Guest) -> String {
    let registers = guest.debuggee.registers().clone();
    let mut text = String::new();
    for (at, name) in registers::GENERAL.iter().enumerate() {
        let end = if at % 4 == 3 { '\n' } else { ' ' };
        write!(text, "{name}={:08x}{end}", registers.get(at as u8)).unwrap();
    }
    writeln!(
        text,
        "eip={:08x} eflags={:08x} cpl={}",
        registers.eip(),
        registers.eflags(),
        registers.cpl()
    )
    .unwrap();
    for (segment, name) in (0..).zip(SEGMENT) {
        let (base, limit) = (registers.base(segment), registers.limit(segment));
        if segment >= registers::GDTR {
            writeln!(text, "{name:4}      base={base:08x} limit={limit:08x}").unwrap();
        } else {
            let (selector, access) = (registers.selector(segment), registers.access(segment));
            writeln!(
                text,
                "{name:4} {selector:04x} base={base:08x} limit={limit:08x} access={access:04x} dpl={}",
                access >> 5 & 3
            )
            .unwrap();
        }
    }
    let others = [
        registers::CR0,
        registers::CR2,
        registers::CR3,
        registers::CR4,
    ];
    for number in others {
        let name = registers::name(number).unwrap_or_default();
        write!(text, "{name}={:08x} ", registers.get(number)).unwrap();
    }
    text.pop();
    text.push('\n');
    for number in (registers::DR0..registers::DR0 + 4).chain([registers::DR6, registers::DR7]) {
        let name = registers::name(number).unwrap_or_default();
        write!(text, "{name}={:08x} ", registers.get(number)).unwrap();
    }
    text.pop();
    text + "\n"
}

/// `address symbol`, of an offset in CS.
fn symbol(guest: &mut Guest, eip: u32) -> String {
    let base = guest.debuggee.registers().base(registers::CS);
    let linear = base.wrapping_add(eip);
    let place = guest.debuggee.symbols().at(linear);
    match place.module {
        Some(_) => format!("{linear:08x} {place}"),
        None => format!("{linear:08x}"),
    }
}

fn pipeline(guest: &mut Guest) -> String {
    let pipeline = guest.debuggee.pipeline();
    let stages = [
        ("decode", pipeline.decode),
        ("issue", pipeline.issue),
        ("address", pipeline.address),
        ("memory", pipeline.memory),
        ("execute", pipeline.execute),
    ];
    let mut text = format!(
        "cycle    {}\nfetch    {} bytes in the queue\n",
        guest.debuggee.position().cycle,
        pipeline.fetch_bytes
    );
    for (name, eip) in stages {
        let what = eip.map_or_else(|| "-".into(), |eip| symbol(guest, eip));
        writeln!(text, "{name:8} {what}").unwrap();
    }
    writeln!(text, "microcode {:03x}", pipeline.micro_address).unwrap();
    text + &why(guest)
}

fn why(guest: &mut Guest) -> String {
    let stall = guest.debuggee.pipeline().stall;
    let reasons: Vec<&str> = (0..)
        .zip(STALL_REASONS)
        .filter(|(bit, _)| stall >> bit & 1 != 0)
        .map(|(_, reason)| *reason)
        .collect();
    if guest.debuggee.status().halted {
        "waits    in HLT for an interrupt\n".into()
    } else if reasons.is_empty() {
        "waits    for nothing\n".into()
    } else {
        reasons
            .iter()
            .map(|reason| format!("waits    {reason}\n"))
            .collect()
    }
}

/// The last instructions up to here, at most `count`.
fn last(guest: &mut Guest, count: usize) -> Vec<Instruction> {
    // Most instructions are one micro-op; the longest take some fifty.
    let mut micro_ops = count * 4 + 100;
    loop {
        let retired = guest.debuggee.last_retired(micro_ops);
        let all = retired.len() < micro_ops;
        let first = retired.iter().position(|retired| retired.first);
        let mut gatherer = Instructions::default();
        let mut list: Vec<Instruction> = retired[first.unwrap_or(retired.len())..]
            .iter()
            .filter_map(|retired| gatherer.push(retired))
            .collect();
        if list.len() >= count || all {
            list.drain(..list.len().saturating_sub(count));
            return list;
        }
        micro_ops *= 4;
    }
}

fn effect(effect: &Effect) -> String {
    let wide = |value: u64, size: u8| format!("{value:0width$x}", width = usize::from(size) * 2);
    match *effect {
        Effect::Register(number, value) => format!(
            "{}={value:08x}",
            registers::GENERAL[usize::from(number & 7)]
        ),
        Effect::System(number, value) => {
            let name = registers::name(number).unwrap_or_else(|| format!("system_{number:02x}"));
            format!("{name}={value:08x}")
        }
        Effect::Store(linear, size, value) => format!("[{linear:08x}]={}", wide(value, size)),
        Effect::Load(linear, size, value) => format!("{}<-[{linear:08x}]", wide(value, size)),
        Effect::Out(port, size, value) => format!("out[{port:04x}]={}", wide(value.into(), size)),
        Effect::In(port, size, value) => format!("{}<-in[{port:04x}]", wide(value.into(), size)),
    }
}

fn trace(guest: &mut Guest, count: usize) -> Result<String, String> {
    let mut text = String::new();
    for instruction in last(guest, count) {
        let retired = &instruction.retired;
        let length = usize::from(retired.length).min(retired.bytes.len());
        let code = disassemble(&retired.bytes[..length], retired.eip, retired.mode & 8 != 0);
        let code = match instruction.delivered {
            Some(delivered) if length == 0 => format!("(interrupt {:02x})", delivered.vector),
            Some(delivered) => format!("{code} {{exception {:02x}}}", delivered.vector),
            None => code,
        };
        let place = guest.debuggee.symbols().at(retired.eip).to_string();
        let mut line = format!(
            "{:9} {} {:08x} {place:34} {code:28}",
            retired.cycle, retired.cpl, retired.eip
        );
        for write in &instruction.writes {
            line += " ";
            line += &effect(write);
        }
        text += line.trim_end();
        text += "\n";
    }
    Ok(text)
}

fn ports(guest: &mut Guest, count: usize) -> Result<String, String> {
    let mut text = String::new();
    for instruction in last(guest, count) {
        for write in &instruction.writes {
            if matches!(write, Effect::In(..) | Effect::Out(..)) {
                let retired = &instruction.retired;
                let place = guest.debuggee.symbols().at(retired.eip).to_string();
                writeln!(text, "{:9} {place:34} {}", retired.cycle, effect(write)).unwrap();
            }
        }
    }
    if text.is_empty() {
        return Ok(format!("none in the last {count} instructions\n"));
    }
    Ok(text)
}

fn translate(guest: &mut Guest, linear: u32) -> Result<String, String> {
    let registers = guest.debuggee.registers();
    let (paging, cr3) = (registers.paging(), registers.cr3());
    if !paging {
        return Ok(format!(
            "{linear:08x} -> physical {linear:08x} (paging is off)\n"
        ));
    }
    // SDM Vol. 3A, "32-Bit Paging": the entries that say it.
    let mut text = format!("cr3 = {cr3:08x}\n");
    let mut table = cr3 & !0xFFF;
    for (name, index) in [("pde", linear >> 22), ("pte", linear >> 12 & 0x3FF)] {
        let at = table | index << 2;
        let Ok(bytes) = guest.debuggee.read_physical(at, 4) else {
            writeln!(text, "{name} [{at:08x}] is no memory").unwrap();
            break;
        };
        let entry = bytes
            .iter()
            .rev()
            .fold(0, |entry, byte| entry << 8 | u32::from(*byte));
        let present = entry & 1 != 0;
        let user = if entry & 4 != 0 { "user" } else { "kernel" };
        let writable = if entry & 2 != 0 {
            "writable"
        } else {
            "read-only"
        };
        let rights = if present {
            format!("{user}, {writable}")
        } else {
            "not present".into()
        };
        writeln!(text, "{name} [{at:08x}] = {entry:08x} {rights}").unwrap();
        if !present || (name == "pde" && entry & 0x80 != 0) {
            break;
        }
        table = entry & !0xFFF;
    }
    match guest.debuggee.translate(linear) {
        Some(physical) => Ok(format!("{text}{linear:08x} -> physical {physical:08x}\n")),
        None => Err(format!(
            "{text}{linear:08x} has no page: an access raises #PF"
        )),
    }
}

fn physical(guest: &mut Guest, address: u32, count: usize) -> Result<String, String> {
    let bytes = guest
        .debuggee
        .read_physical(address, count)
        .map_err(|error| error.to_string())?;
    let mut text = String::new();
    for (row, bytes) in bytes.chunks(16).enumerate() {
        write!(text, "{:08x} ", address.wrapping_add(row as u32 * 16)).unwrap();
        for byte in bytes {
            write!(text, " {byte:02x}").unwrap();
        }
        text.push('\n');
    }
    Ok(text)
}

fn modules(guest: &mut Guest) -> String {
    let mut text = String::from("base     end      ring  module\n");
    for module in &guest.debuggee.symbols().file().modules {
        let end = u64::from(module.base) + u64::from(module.size);
        writeln!(
            text,
            "{:08x} {end:08x} {:>4}  {}",
            module.base, module.ring, module.name
        )
        .unwrap();
    }
    text
}

fn stops(guest: &Guest) -> String {
    if guest.stops.is_empty() {
        return "none\n".into();
    }
    guest
        .stops
        .iter()
        .map(|(_, text)| format!("{text}\n"))
        .collect()
}

fn add_stop(guest: &mut Guest, watch: Watch, text: String) -> Result<String, String> {
    if guest.stops.iter().any(|(other, _)| *other == watch) {
        return Ok(format!("{text}: is set already\n"));
    }
    if guest.stops.len() + guest.points() >= POINTS {
        return Err(format!(
            "{POINTS} breakpoints, watchpoints and stops are set: there is room for no more"
        ));
    }
    let answer = format!("continue and reverse-continue stop at {text}\n");
    guest.stops.push((watch, text));
    Ok(answer)
}
