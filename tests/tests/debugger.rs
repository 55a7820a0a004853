//! Time travel: whatever way a position is reached, it is the one of a straight run.

use firmware::Gate;
use sim::debug::{Debuggee, Stopped, Watch};
use sim::image::Image;
use sim::machine::{Machine, MachineConfig, Stop};
use sim::symbols::Symbols;
use spec::registers as number;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tests::random::Random;

/// The default image, before its first clock.
fn machine() -> (Machine, Arc<Symbols>) {
    let image = Image::build(Gate::Sysenter).unwrap();
    let config = MachineConfig {
        rom: image.rom,
        ..Default::default()
    };
    let symbols = Arc::new(Symbols::new(image.symbols));
    (Machine::new(config).unwrap(), symbols)
}

fn debuggee() -> Debuggee {
    let (machine, symbols) = machine();
    Debuggee::new(machine, symbols)
}

/// What the retire port said after each instruction of a run that nobody disturbed.
struct StraightRun {
    /// By the number of instructions completed: cycle, general registers, EIP, EFLAGS.
    positions: Vec<(u64, [u32; 8], u32, u32)>,
    /// Repeated string instructions, by their numbers: in them, some repetitions have been done.
    repeated: HashSet<u64>,
    /// Every byte of RAM ever stored to: instructions completed before it changed, and its value then.
    stores: HashMap<u32, Vec<(u64, u8)>>,
    /// Pages of the page directory and its tables, in which the processor sets A and D bits without an instruction.
    tables: HashSet<u32>,
    ports: Vec<u64>,
    end: u64,
}

impl StraightRun {
    fn record() -> Self {
        let (mut machine, _) = machine();
        assert_eq!(machine.run(10_000_000), Stop::Halted);
        let mut run = Self {
            positions: vec![(0, [0; 8], 0xFFF0, 2)],
            repeated: HashSet::new(),
            tables: HashSet::new(),
            stores: HashMap::new(),
            ports: machine
                .drain_ports()
                .iter()
                .map(|access| access.cycle)
                .collect(),
            end: machine.status().cycle,
        };
        let mut registers = [0; 8];
        for retired in machine.drain_retired() {
            if retired.register_write && retired.register_number < 8 {
                registers[usize::from(retired.register_number)] = retired.register_data;
            }
            if matches!(retired.bytes[0], 0xF2 | 0xF3) {
                run.repeated.insert(retired.number);
            }
            if retired.system_write && retired.system_number == number::CR3 {
                run.tables.insert(retired.system_data >> 12);
                let directory = machine
                    .read_memory(retired.system_data & !0xFFF, 4096)
                    .unwrap();
                let entries = directory
                    .chunks(4)
                    .map(|entry| u32::from_le_bytes(entry.try_into().unwrap()));
                run.tables.extend(
                    entries
                        .filter(|entry| entry & 1 != 0)
                        .map(|entry| entry >> 12),
                );
            }
            if retired.esp_write {
                registers[4] = retired.esp_data;
            }
            if retired.store && !retired.access_io {
                for (at, byte) in
                    (0..u32::from(retired.store_size)).zip(retired.store_data.to_le_bytes())
                {
                    let bytes = run.stores.entry(retired.store_physical + at).or_default();
                    bytes.push((retired.number, byte));
                }
            }
            if retired.last && !retired.exception && !retired.interrupt {
                run.positions
                    .push((retired.cycle, registers, retired.next_eip, retired.eflags));
            }
        }
        run
    }

    fn agrees(&self, debuggee: &mut Debuggee, context: &str) {
        let position = debuggee.position();
        let (cycle, general, eip, eflags) = self.positions[position.instructions as usize];
        assert!(
            position.cycle >= cycle,
            "{context}: {position:?} before {cycle}"
        );
        if let Some(next) = self.positions.get(position.instructions as usize + 1) {
            assert!(
                position.cycle < next.0,
                "{context}: {position:?} behind {}",
                next.0
            );
        }
        if position.cycle > cycle && self.repeated.contains(&position.instructions) {
            return;
        }
        let registers = debuggee.registers();
        let shown: Vec<u32> = (0..8).map(|register| registers.get(register)).collect();
        assert_eq!(
            shown, general,
            "{context}: general registers at {position:?}"
        );
        assert_eq!(registers.eip(), eip, "{context}: EIP at {position:?}");
        assert_eq!(
            registers.eflags(),
            eflags,
            "{context}: EFLAGS at {position:?}"
        );
    }

    fn memory_agrees(&self, debuggee: &mut Debuggee, address: u32, context: &str) {
        let position = debuggee.position();
        let stored = self.stores[&address]
            .iter()
            .rev()
            .find(|(number, _)| *number < position.instructions);
        let expected = stored.map_or(0, |(_, byte)| *byte);
        let read = debuggee.read_physical(address, 1).unwrap()[0];
        assert_eq!(
            read, expected,
            "{context}: byte {address:08x} at {position:?}"
        );
    }
}

fn go_about(moves: usize, seed: u64) {
    let run = StraightRun::record();
    let in_tables = |address: &u32| run.tables.contains(&(address >> 12));
    let mut addresses: Vec<u32> = run.stores.keys().copied().collect();
    addresses.retain(|address| !in_tables(address));
    addresses.sort_unstable();
    let mut random = Random::new(seed);
    let mut debuggee = debuggee();
    let last = run.positions.len() as u64 - 1;
    for count in 0..moves {
        let far = random.below(last) + 1;
        let few = random.below(50) + 1;
        let (what, stopped) = match random.below(8) {
            0 => (
                format!("to instruction {far}"),
                debuggee.go_to_instruction(far),
            ),
            1 => {
                let cycle = random.below(run.end);
                (format!("to cycle {cycle}"), debuggee.go_to_cycle(cycle))
            }
            2 | 3 => (format!("{few} instructions on"), debuggee.step(few)),
            4 | 5 => (format!("{few} instructions back"), debuggee.step_back(few)),
            6 => (format!("{few} cycles on"), debuggee.step_cycles(few)),
            _ => (format!("{few} cycles back"), debuggee.step_back_cycles(few)),
        };
        let context = format!("seed {seed}, move {count}, {what}, {stopped:?}");
        run.agrees(&mut debuggee, &context);
        let address = addresses[random.below(addresses.len() as u64) as usize];
        if stopped == Stopped::Done && what.contains("instruction") {
            run.memory_agrees(&mut debuggee, address, &context);
        }
    }
}

#[test]
fn positions_reached_at_random_are_those_of_a_straight_run() {
    go_about(400, 0x51DE);
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_moves_agree_with_a_straight_run() {
    go_about(10_000, 0xBACC);
}

#[test]
fn a_search_backwards_finds_the_last_of_the_stops_forwards() {
    let mut debuggee = debuggee();
    let watches = [
        Watch::Ring,
        Watch::SystemWrite {
            number: number::CR3,
        },
    ];
    let mut stops = Vec::new();
    loop {
        match debuggee.run(&watches, u64::MAX) {
            Stopped::Watch(hit) => stops.push((debuggee.position(), hit)),
            other => {
                assert_eq!(other, Stopped::Halted);
                break;
            }
        }
    }
    assert!(stops.len() > 5, "{stops:?}");
    for (position, hit) in stops.iter().rev() {
        assert_eq!(debuggee.back(&watches), Stopped::Watch(hit.clone()));
        assert_eq!(debuggee.position(), *position);
    }
    assert_eq!(debuggee.back(&watches), Stopped::Begin);
    assert_eq!(debuggee.position(), debuggee.begin());
}

#[test]
fn looking_changes_neither_the_run_nor_its_timing() {
    let run = StraightRun::record();
    let mut debuggee = debuggee();
    // Right before port accesses, too: they happen once.
    for cycle in run.ports.iter().take(200) {
        for before in (0..6).rev() {
            debuggee.go_to_cycle(cycle - before);
            debuggee.registers();
        }
    }
    assert_eq!(debuggee.run(&[], u64::MAX), Stopped::Halted);
    assert_eq!(debuggee.position().cycle, run.end);
    assert_eq!(
        debuggee.position().instructions,
        run.positions.len() as u64 - 1
    );
}

#[test]
fn a_write_changes_what_follows_and_is_undone_by_going_back() {
    let mut debuggee = debuggee();
    let entry = Watch::Execute {
        linear: debuggee
            .symbols()
            .file()
            .symbols
            .iter()
            .find(|symbol| symbol.name == "KiFastCallEntry")
            .unwrap()
            .address,
    };
    assert_eq!(debuggee.run(&[entry], u64::MAX), Stopped::Watch(vec![0]));
    let here = debuggee.position();
    assert_eq!(debuggee.registers().cpl(), 0);
    let service = debuggee.registers().eax();
    // A number beyond the table.
    debuggee.write_register(0, 0xFFF).unwrap();
    assert_eq!(debuggee.registers().eax(), 0xFFF);
    let stack = debuggee.registers().esp();
    debuggee.write(stack - 64, &[1, 2, 3]).unwrap();
    assert_eq!(debuggee.read(stack - 64, 3), [Some(1), Some(2), Some(3)]);
    debuggee.step(3);
    let changed = debuggee.position();
    debuggee.step_back(3);
    debuggee.step(3);
    assert_eq!(debuggee.position(), changed, "the run repeats the writes");
    debuggee.go_to_cycle(here.cycle);
    assert_eq!(debuggee.registers().eax(), service);
    debuggee.step_back(1);
    assert_eq!(debuggee.registers().cpl(), 3);
}

#[test]
fn what_the_guest_sent_depends_on_the_position_only() {
    let mut debuggee = debuggee();
    assert_eq!(debuggee.run(&[], u64::MAX), Stopped::Halted);
    let all = debuggee.console().to_vec();
    assert!(String::from_utf8_lossy(&all).contains("ring 3"));
    let end = debuggee.position();
    debuggee.go_to_cycle(end.cycle / 2);
    let half = debuggee.console().to_vec();
    assert!(half.len() < all.len() && all.starts_with(&half));
    debuggee.go_to_cycle(end.cycle);
    assert_eq!(debuggee.console(), all);
}

#[test]
fn retired_micro_ops_are_told_without_moving() {
    let mut debuggee = debuggee();
    debuggee.go_to_instruction(3000);
    let here = debuggee.position();
    let last = debuggee.last_retired(40);
    assert_eq!(last.len(), 40);
    assert_eq!(debuggee.position(), here);
    assert_eq!(last[39].number, 2999);
    assert!(last.windows(2).all(|pair| pair[0].cycle < pair[1].cycle));
    debuggee.step_back(1);
    let before = debuggee.position();
    let one = debuggee.retired_between(before, here);
    assert!(one.iter().all(|retired| retired.number == 2999) && one.last().unwrap().last);
}
