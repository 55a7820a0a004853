//! Names for addresses in the microcode.

use verilator_sys::MICROCODE_ROUTINES;

/// Set in a micro-op's address if it is in the microcode ROM; else it is the number of an opcode row.
const IN_ROM: u32 = 0x800;

/// The routine of a micro-op's address (12 bits) and the steps behind its label, `sysenter+2`; `None` for the first
/// micro-op of an instruction, which comes from its opcode row.
pub fn microcode_name(address: u32) -> Option<String> {
    let at = address.checked_sub(IN_ROM)?;
    let end = MICROCODE_ROUTINES.partition_point(|&(first, _)| u32::from(first) <= at);
    let &(first, name) = MICROCODE_ROUTINES[..end].last()?;
    Some(match at - u32::from(first) {
        0 => name.to_string(),
        steps => format!("{name}+{steps}"),
    })
}

/// All addresses of the microcode ROM that have a name, with their names.
pub(crate) fn microcode_names() -> impl Iterator<Item = (u32, String)> {
    // Behind the last label lies its routine, whose end is not told: as long as others are is enough.
    let last = MICROCODE_ROUTINES
        .last()
        .map_or(0, |&(at, _)| u32::from(at))
        + 64;
    (IN_ROM..=IN_ROM + last.min(IN_ROM - 1))
        .filter_map(|address| Some((address, microcode_name(address)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opcode_row_is_no_routine() {
        assert_eq!(microcode_name(0x7FF), None);
    }

    #[test]
    fn the_first_addresses_are_where_events_and_reset_begin() {
        assert_eq!(microcode_name(0x800).as_deref(), Some("reset_vector"));
        assert_eq!(microcode_name(0x801).as_deref(), Some("event"));
    }

    #[test]
    fn steps_behind_a_label_are_counted() {
        let &(at, name) = MICROCODE_ROUTINES
            .iter()
            .zip(&MICROCODE_ROUTINES[1..])
            .find(|(this, next)| next.0 > this.0 + 1)
            .map(|(this, _)| this)
            .expect("a routine of two steps");
        let next = microcode_name(IN_ROM + u32::from(at) + 1).unwrap();
        assert_eq!(next, format!("{name}+1"));
    }
}
