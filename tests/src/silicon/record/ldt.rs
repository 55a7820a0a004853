//! The segments that recorded cases may use: of every type, size and limit that `modify_ldt` allows.
use crate::random::Random;
use crate::silicon::environment::{CODE_PAGE, Segment, WINDOW, WINDOW_BYTES};

/// Descriptors in the table: one page.
pub const SEGMENTS: usize = 512;

/// A table of random segments, most of which reach the window or the code.
pub fn random(random: &mut Random) -> Vec<Segment> {
    (0..SEGMENTS).map(|_| segment(random)).collect()
}

fn segment(random: &mut Random) -> Segment {
    let contents = match random.below(20) {
        0..8 => 0,
        8..12 => 1,
        12..19 => 2,
        _ => 3,
    };
    let code = contents >= 2;
    let near = random.bits(15) as u32;
    let base = match (code, random.below(16)) {
        (true, 0..4) => CODE_PAGE,
        (true, 4..7) => CODE_PAGE.wrapping_sub(near),
        (true, 7..10) => 0,
        (false, 0..5) => WINDOW,
        (false, 5..8) => WINDOW + near,
        (false, 8..10) => WINDOW.wrapping_sub(near << 1),
        (_, 8..13) => 0,
        // The window is at the end of the offsets.
        (_, 13) => (WINDOW + WINDOW_BYTES as u32).wrapping_sub(near),
        (_, 14) => WINDOW + 0x8000,
        _ => random.bits(32) as u32,
    };
    let in_pages = random.one_in(if base == 0 { 1 } else { 4 }) && !random.one_in(8);
    let limit = if in_pages {
        match random.below(8) {
            0..3 => 0xF_FFFF,
            3 => WINDOW >> 12 | random.bits(4) as u32,
            4 => CODE_PAGE >> 12,
            5 => 0xF,
            6 => random.bits(5) as u32,
            _ => random.bits(20) as u32,
        }
    } else {
        match random.below(8) {
            0..2 => 0xFFFF,
            2 => 0xF_FFFF,
            3 => random.bits(20) as u32,
            4 => random.bits(8) as u32,
            5 => random.bits(13) as u32,
            _ => random.bits(16) as u32,
        }
    };
    Segment {
        base,
        limit,
        big: !random.one_in(3),
        contents,
        read_execute_only: random.one_in(4),
        in_pages,
        // The kernel refuses conforming segments that are present.
        present: contents != 3 && !random.one_in(16),
        available: random.one_in(2),
    }
}
