//! The code in ROM that brings the image up: fills RAM from its pristine copy, turns paging on, enters `nt`.

use crate::hardware::POST;
use crate::memory_map::KERNEL_STACK_TOP;
use iced_x86::IcedError;
use iced_x86::code_asm::*;
use spec::control_registers::*;

/// Physical address of the 32-bit part.
pub const MAIN: u32 = 0xFFFF_FE80;
/// Physical address of the 16-bit part.
pub const START: u32 = 0xFFFF_FF00;

const POST_PROTECTED_MODE: u32 = 0x02;
const POST_MEMORY: u32 = 0x03;
/// EM: there is no coprocessor. WP: the kernel too respects read-only pages, such as those of the ROM.
const CR0: u32 = CR0_PE | CR0_EM | CR0_ET | CR0_NE | CR0_WP | CR0_PG;

/// What the 32-bit part needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// Physical address of the RAM image, as made by [`pack`].
    pub packed: u32,
    /// First physical address to fill.
    pub ram_base: u32,
    /// First physical address not to fill.
    pub ram_end: u32,
    /// Physical address of the page directory.
    pub page_directory: u32,
    /// Linear address of `nt!KiSystemStartup`.
    pub kernel: u32,
}

/// The 32-bit part, entered from [`crate::reset::start_up`].
pub fn main_code(parameters: &Parameters) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    let mut next = a.create_label();
    a.mov(al, POST_PROTECTED_MODE)?;
    a.out(POST as i32, al)?;
    a.mov(esi, parameters.packed)?;
    a.mov(edi, parameters.ram_base)?;
    // Double words to clear, double words to copy, those double words; and again.
    a.set_label(&mut next)?;
    a.mov(ecx, dword_ptr(esi))?;
    a.mov(edx, dword_ptr(esi + 4))?;
    a.add(esi, 8)?;
    a.xor(eax, eax)?;
    a.rep().stosd()?;
    a.mov(ecx, edx)?;
    a.rep().movsd()?;
    a.cmp(edi, parameters.ram_end)?;
    a.jb(next)?;
    a.mov(al, POST_MEMORY)?;
    a.out(POST as i32, al)?;
    a.mov(eax, parameters.page_directory)?;
    a.mov(cr3, eax)?;
    // The ROM is mapped at its own address: the next instruction is fetched through the tables.
    a.mov(eax, CR0)?;
    a.mov(cr0, eax)?;
    a.mov(esp, KERNEL_STACK_TOP)?;
    a.mov(eax, parameters.kernel)?;
    a.jmp(eax)?;
    a.assemble(MAIN.into())
}

/// Runs of zeros of fewer double words than this are copied: a run has 2 double words of its own.
const SHORTEST_GAP: usize = 4;

/// Packs `ram` (a multiple of 4 bytes): for each run the number of zero double words, the number of double
/// words that follow, and those.
pub fn pack(ram: &[u8]) -> Vec<u8> {
    let words: Vec<u32> = ram
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().expect("four")))
        .collect();
    let zeros_at = |start: usize| words[start..].iter().take_while(|&&word| word == 0).count();
    let mut packed = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let zeros = zeros_at(at);
        let start = at + zeros;
        let mut end = start;
        while end < words.len() {
            let gap = zeros_at(end);
            if gap >= SHORTEST_GAP || end + gap == words.len() {
                break;
            }
            end += gap.max(1);
        }
        // The gap at the very end ends the last run if it is too short to be one of its own.
        packed.extend([zeros as u32, (end - start) as u32]);
        packed.extend(&words[start..end]);
        at = end;
    }
    packed.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Undoes [`pack`].
#[cfg(test)]
pub fn unpack(packed: &[u8], bytes: usize) -> Vec<u8> {
    let mut words = packed
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().expect("four")));
    let mut ram: Vec<u8> = Vec::new();
    while ram.len() < bytes {
        let (Some(zeros), Some(copied)) = (words.next(), words.next()) else {
            break;
        };
        ram.resize(ram.len() + zeros as usize * 4, 0);
        ram.extend(
            words
                .by_ref()
                .take(copied as usize)
                .flat_map(u32::to_le_bytes),
        );
    }
    ram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking_gives_back_what_was_packed() {
        let cases: [&[u32]; 7] = [
            &[0, 0, 0, 0, 0, 0],
            &[1, 2, 3],
            &[0, 0, 0, 0, 0, 7, 0, 8, 0, 0, 0, 0, 0, 9],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0],
            &[0, 5],
            &[5, 0],
        ];
        for words in cases {
            let ram: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(unpack(&pack(&ram), ram.len()), ram, "{words:?}");
        }
    }
}
