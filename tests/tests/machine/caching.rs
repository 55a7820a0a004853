//! CR0.CD, INVD, WBINVD and the PCD bits of pages, on a machine with SDRAM: what is cached is read at full speed.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use sim::machine::Stop;
use spec::control_registers::{CR0_CD, CR0_NW};
use spec::paging;
use tests::guest::*;

/// Sixteen loads from what EDX points to, and RET; in a page of its own, in lines that do not meet with the callers.
const PROBE: u32 = 0x3_0C00;
/// Loads of the probe.
const LOADS: usize = 16;
/// Two lines that do not meet in a cache of 8 KB.
const LINE_A: u32 = DATA + 0x400;
const LINE_B: u32 = DATA + 0x800;
/// A page of data; its first line does not meet with those.
const PAGE: u32 = 0x6_1000;

/// Calls the probe.
fn probe(a: &mut CodeAssembler, address: u32) -> Result<(), IcedError> {
    a.mov(edx, address)?;
    a.call(u64::from(PROBE))
}

/// Sets or clears CR0.CD (and NW, which changes nothing by itself).
fn disable(a: &mut CodeAssembler, bits: u32) -> Result<(), IcedError> {
    a.mov(ecx, cr0)?;
    a.and(ecx, !(CR0_CD | CR0_NW) as i32)?;
    a.or(ecx, bits as i32)?;
    a.mov(cr0, ecx)
}

fn guest() -> Guest {
    let mut guest = Guest::with_sdram();
    guest.begin(0);
    guest.place(PROBE, 32, |a| {
        (0..LOADS).try_for_each(|_| a.mov(eax, dword_ptr(edx)))?;
        a.ret()
    });
    guest
}

/// Runs the program: for each call of the probe the clocks from its first load to its last.
fn clocks(
    guest: &mut Guest,
    program: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Vec<u64> {
    guest.program(program);
    assert_eq!(guest.run(), Stop::Halted);
    let loads: Vec<u64> = guest
        .machine()
        .drain_retired()
        .iter()
        .filter(|record| record.load && (PROBE..PROBE + 2 * LOADS as u32).contains(&record.eip))
        .map(|record| record.cycle)
        .collect();
    loads
        .chunks(LOADS)
        .map(|call| call[LOADS - 1] - call[0])
        .collect()
}

/// Fifteen loads that hit, whatever refresh and prediction do.
fn is_fast(clocks: u64) -> bool {
    clocks < 30
}

/// Fifteen loads of which each goes to the chip.
fn all_miss(clocks: u64) -> bool {
    clocks >= 15 * 8
}

#[test]
fn with_cd_set_what_is_cached_still_hits_and_nothing_new_is_cached() {
    let mut guest = guest();
    let found = clocks(&mut guest, |a| {
        probe(a, LINE_A)?;
        probe(a, LINE_A)?;
        disable(a, CR0_CD)?;
        probe(a, LINE_A)?;
        probe(a, LINE_B)?;
        probe(a, LINE_B)?;
        disable(a, CR0_CD | CR0_NW)?;
        probe(a, LINE_A)?;
        probe(a, LINE_B)?;
        disable(a, 0)?;
        probe(a, LINE_B)?;
        probe(a, LINE_B)
    });
    let [_, warm, hits, b1, b2, both_hits, both_b, _, again] = found[..] else {
        panic!("{found:?}");
    };
    assert!(
        [warm, hits, both_hits, again].into_iter().all(is_fast),
        "{found:?}"
    );
    assert!([b1, b2, both_b].into_iter().all(all_miss), "{found:?}");
}

#[test]
fn wbinvd_and_invd_empty_the_caches() {
    for wbinvd in [false, true] {
        let mut guest = guest();
        let found = clocks(&mut guest, |a| {
            probe(a, LINE_A)?;
            probe(a, LINE_A)?;
            disable(a, CR0_CD)?;
            if wbinvd {
                a.wbinvd()?
            } else {
                a.invd()?
            }
            probe(a, LINE_A)?;
            disable(a, 0)?;
            probe(a, LINE_A)?;
            probe(a, LINE_A)
        });
        let [_, warm, emptied, _, again] = found[..] else {
            panic!("{found:?}");
        };
        assert!(is_fast(warm) && is_fast(again), "{found:?}");
        assert!(all_miss(emptied), "{found:?}");
    }
}

#[test]
fn loads_from_a_page_with_pcd_go_to_memory_each_time_and_see_every_store() {
    let mut guest = guest();
    guest.page(
        PAGE,
        paging::PRESENT | paging::WRITABLE | paging::CACHE_DISABLE,
    );
    let found = clocks(&mut guest, |a| {
        probe(a, PAGE)?;
        probe(a, PAGE)?;
        a.mov(dword_ptr(PAGE), 0x1357_9BDF)?;
        a.mov(ecx, dword_ptr(PAGE))?;
        a.mov(dword_ptr(PROOF + 8), ecx)?;
        probe(a, LINE_A)?;
        probe(a, LINE_A)
    });
    let [first, second, _, cached] = found[..] else {
        panic!("{found:?}");
    };
    assert!(all_miss(first) && all_miss(second), "{found:?}");
    assert!(is_fast(cached), "{found:?}");
    let stored = guest.machine().read_memory(PROOF + 8, 4).expect("RAM");
    assert_eq!(stored, 0x1357_9BDF_u32.to_le_bytes());
}

#[test]
fn code_in_a_page_with_pcd_is_fetched_from_memory_each_time() {
    let [cached, uncached] = [0, paging::CACHE_DISABLE].map(|bit| {
        let mut guest = guest();
        guest.page(PROBE, paging::PRESENT | paging::WRITABLE | bit);
        clocks(&mut guest, |a| (0..3).try_for_each(|_| probe(a, LINE_A)))
    });
    assert!(is_fast(cached[2]), "{cached:?}");
    // Four words of code, and their loads hit.
    assert!((35..80).contains(&uncached[2]), "{uncached:?}");
}

#[test]
fn after_a_reset_the_caches_are_off() {
    let mut guest = guest();
    guest.machine().reset();
    guest.machine().debug_halt().expect("halts after reset");
    let found = guest.machine().read_register(spec::registers::CR0);
    assert_eq!(found, 0x6000_0010);
}
