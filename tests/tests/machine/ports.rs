//! INS and OUTS: permission, repetition, restart.

use crate::case::*;
use iced_x86::code_asm::*;
use sim::PortAccess;
use sim::machine::Stop;
use spec::flags;
use spec::ports::{DEBUG_CONSOLE, POST};
use spec::registers as number;
use tests::guest::*;

const TEXT: &[u8; 16] = b"a string of text";

fn iopl_3(guest: &mut Guest) {
    guest.set(number::EFLAGS, flags::RESET | flags::IOPL);
}

/// Runs in ring 3 with IOPL 3, DX a port, ECX 6, DS:ESI on a text.
fn run(
    prepare: impl FnOnce(&mut Guest),
    port: u16,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>,
) -> (Event, Vec<PortAccess>, Guest) {
    let mut guest = Guest::new(None);
    guest.begin(3);
    iopl_3(&mut guest);
    guest.set(1, 6);
    guest.set(2, 0xABCD_0000 | u32::from(port));
    guest.poke_bytes(DATA, TEXT);
    prepare(&mut guest);
    guest.program(code);
    assert_eq!(guest.run(), Stop::Halted);
    assert!(guest.is_alive());
    let ports = guest.machine().drain_ports();
    (guest.event().expect("an event"), ports, guest)
}

fn data(ports: &[PortAccess]) -> Vec<u32> {
    ports.iter().map(|access| access.data).collect()
}

#[test]
fn outs_writes_what_esi_points_to_and_ins_stores_what_the_port_gives() {
    let (event, ports, _) = run(|_| {}, POST, |a| a.outsb());
    assert_eq!(data(&ports), [u32::from(b'a')]);
    assert_eq!((event.general[6], event.general[1]), (DATA + 1, 6));

    let (event, ports, _) = run(|_| {}, POST, |a| a.rep().outsb());
    assert_eq!(
        data(&ports),
        TEXT[..6]
            .iter()
            .map(|byte| u32::from(*byte))
            .collect::<Vec<_>>()
    );
    assert_eq!((event.general[6], event.general[1]), (DATA + 6, 0));

    let backward = |g: &mut Guest| {
        g.set(number::EFLAGS, flags::RESET | flags::IOPL | flags::DF);
        g.set(6, DATA + 4);
        g.set(1, 2);
    };
    let (event, ports, _) = run(backward, POST, |a| a.rep().outsb());
    assert_eq!(data(&ports), [u32::from(TEXT[4]), u32::from(TEXT[3])]);
    assert_eq!(event.general[6], DATA + 2);

    let (event, ports, guest) = run(|_| {}, DEBUG_CONSOLE, |a| a.rep().insb());
    assert_eq!(data(&ports), [0xE9; 6]);
    assert_eq!((event.general[7], event.general[1]), (DATA + 0x106, 0));
    assert_eq!(guest.peek(DATA + 0x100), 0xE9E9_E9E9);
    assert_eq!(guest.peek(DATA + 0x104), 0xE9E9);

    let (event, ports, guest) = run(|g| g.set(1, 2), DEBUG_CONSOLE, |a| a.rep().insd());
    assert_eq!(ports.len(), 2);
    assert_eq!((event.general[7], event.general[1]), (DATA + 0x108, 0));
    assert_eq!(guest.peek(DATA + 0x104) & 0xFF, 0xE9);

    let (event, ports, _) = run(|g| g.set(1, 0), POST, |a| a.rep().outsw());
    assert!(ports.is_empty());
    assert_eq!(event.general[6], DATA);
}

#[test]
fn outs_takes_an_overriding_segment_and_ins_does_not() {
    fn segments(guest: &mut Guest) {
        guest.load(number::DS, selector::NULL);
        guest.load(number::FS, selector::SMALL_DATA);
        guest.set(6, 2);
    }
    let (_, ports, _) = run(segments, POST, |a| a.db(&[0x64, 0x6E]));
    assert_eq!(data(&ports), [u32::from(TEXT[2])]);
    let (event, ports, _) = run(segments, POST, |a| a.db(&[0x6E]));
    assert_eq!((event.vector, ports.len()), (spec::exceptions::GP, 0));
    let (event, _, guest) = run(segments, DEBUG_CONSOLE, |a| a.db(&[0x64, 0x6C]));
    assert_eq!(event.vector, vector::COMPLETED);
    assert_eq!(guest.peek(DATA + 0x100), 0xE9);
}

#[test]
fn the_bitmap_decides_before_memory_is_read_or_written() {
    fn open(guest: &mut Guest) {
        // Ports 80h to 82h.
        guest.poke_bytes(TSS + 0x68 + 0x10, &[0xF8]);
        guest.set(2, 0x80);
    }
    fn open_and_absent(guest: &mut Guest) {
        open(guest);
        guest.set(6, ABSENT_PAGE);
        guest.set(7, ABSENT_PAGE);
    }
    fn closed_and_absent(guest: &mut Guest) {
        open_and_absent(guest);
        guest.set(2, 0x83);
    }
    #[rustfmt::skip]
    check(&[
        row("insb", 3, |a| a.insb(), gp(0)),
        row("outsb", 3, |a| a.outsb(), gp(0)),
        row("rep outsd", 3, |a| a.rep().outsd(), gp(0)),
        row("insb in ring 1", 1, |a| a.insb(), gp(0)),
        row("insb in ring 0", 0, |a| a.insb(), completes()),
        row("rep outsb in ring 0", 0, |a| a.rep().outsb(), completes()),
        prepared("outsb to an open port", 3, open, |a| a.outsb(), completes()),
        prepared("rep insw from open ports", 3, open, |a| a.rep().insw(), completes()),
        prepared("rep outsd to half open ports", 3, open, |a| a.rep().outsd(), gp(0)),
        prepared("outsb of an absent page", 3, open_and_absent, |a| a.outsb(), pf(4, ABSENT_PAGE)),
        prepared("insb to an absent page", 3, open_and_absent, |a| a.insb(), pf(6, ABSENT_PAGE)),
        prepared("outsb of an absent page to a closed port", 3, closed_and_absent, |a| a.outsb(), gp(0)),
        prepared("insb of an absent page from a closed port", 3, closed_and_absent, |a| a.insb(), gp(0)),
        prepared("insb to a read-only page", 3, |g| { open(g); g.set(7, READ_ONLY_PAGE) }, |a| a.insb(), pf(7, READ_ONLY_PAGE)),
        row("lock outsb", 0, |a| a.db(&[0xF0, 0x6E]), ud()),
    ]);
}

#[test]
fn a_page_fault_in_the_middle_of_repetitions_loses_no_access_of_the_port() {
    for (input, register) in [(true, 7), (false, 6)] {
        let (event, ports, _) = run(
            |g| g.set(register, ABSENT_PAGE - 2),
            DEBUG_CONSOLE,
            |a| {
                if input {
                    a.rep().insb()
                } else {
                    a.rep().outsb()
                }
            },
        );
        assert_eq!(
            (event.vector, event.cr2),
            (spec::exceptions::PF, ABSENT_PAGE)
        );
        assert_eq!(ports.len(), 2);
        assert_eq!(event.general[usize::from(register)], ABSENT_PAGE);
        assert_eq!(event.general[1], 4);
        assert_eq!(event.eip, CODE);
    }
}

#[test]
fn repetitions_can_be_interrupted_and_touch_the_port_once_each() {
    for wait_seed in [None, Some(11)] {
        for input in [true, false] {
            let mut guest = Guest::new(wait_seed);
            guest.begin(3);
            // A trap behind every repetition returns to the next one.
            let handler = guest.gate_target() + 0x100;
            guest.place(handler, 32, |a| a.iretd());
            guest.gate(1, spec::segments::gate(selector::CODE_0, handler, 0x8E, 0));
            guest.set(number::EFLAGS, flags::RESET | flags::IOPL | flags::TF);
            guest.set(1, 5);
            guest.set(2, DEBUG_CONSOLE.into());
            guest.poke_bytes(DATA, TEXT);
            guest.program(|a| {
                if input {
                    a.rep().insb()?;
                } else {
                    a.rep().outsb()?;
                }
                a.nop()
            });
            assert_eq!(guest.run(), Stop::Halted);
            assert!(guest.is_alive());
            let ports = guest.machine().drain_ports();
            assert_eq!(ports.len(), 5, "{input}");
            let records = guest.machine().drain_retired();
            let traps = records
                .iter()
                .filter(|record| record.exception && record.vector == 1);
            assert!(traps.count() >= 6, "{input}");
        }
    }
}
