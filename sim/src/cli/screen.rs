//! The text that a guest wrote for a display which nobody built: 80 columns by 25 lines in the memory of a VGA.

use crate::machine::Machine;

/// Physical address of the characters, each with a byte of colours behind it.
const TEXT_MEMORY: u32 = 0xB_8000;
const COLUMNS: usize = 80;
const LINES: usize = 25;
/// What code page 437 shows for 80h to FFh.
const UPPER_HALF: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";

/// The display's lines without blanks at their ends, and without blank lines at the end; empty if RAM does not reach there.
pub fn text(machine: &Machine) -> String {
    match machine.read_memory(TEXT_MEMORY, COLUMNS * LINES * 2) {
        Ok(cells) => lines(&cells),
        Err(_) => String::new(),
    }
}

fn lines(cells: &[u8]) -> String {
    let upper: Vec<char> = UPPER_HALF.chars().collect();
    let shown = |cell: &[u8]| match cell[0] {
        0 => ' ',
        1..0x20 | 0x7F => '.',
        code @ 0x20..0x7F => char::from(code),
        code => upper[usize::from(code) - 0x80],
    };
    let text: String = cells
        .chunks(2 * COLUMNS)
        .map(|line| {
            let line: String = line.chunks_exact(2).map(shown).collect();
            format!("{}\n", line.trim_end())
        })
        .collect();
    match text.trim_end_matches('\n') {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_character() {
        assert_eq!(UPPER_HALF.chars().count(), 128);
    }

    #[test]
    fn a_screen_is_its_lines_without_blanks_at_their_ends() {
        let mut cells = vec![0; COLUMNS * LINES * 2];
        assert_eq!(lines(&cells), "");
        for (at, &code) in b"\xC9\xCD hi".iter().enumerate() {
            cells[2 * (COLUMNS + at)] = code;
            cells[2 * (COLUMNS + at) + 1] = 0x07;
        }
        cells[2 * 3 * COLUMNS - 2] = b'!';
        assert_eq!(lines(&cells), format!("\n╔═ hi\n{:>80}\n", "!"));
    }
}
