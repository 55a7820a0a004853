//! Memory of the board: block RAM behind the core's two memory ports.
//!
//! It keeps the memory-port protocol without ever waiting: what is requested in clock n is answered in n+1. The
//! simulator's memory answers in the same clock, so that both count the same.
use crate::prelude::*;
use spec::memory_map::{ROM_WORD_BYTES, rom_file};

/// Words of 64 bits with two ports: one reads, the other reads or writes. Synthesis makes block RAM of it.
///
/// Each byte of a word has its own memory, so that a block holds one bit of 16,384 words and nothing selects among
/// blocks.
///
/// A word that one port writes in the clock in which the other reads it gives old bytes here and unknown ones on the
/// board. The core does not use such bytes: it fetches again what a store has changed.
#[derive(LogicBlock)]
pub struct BlockRam {
    pub clock: Signal<In, Clock>,
    // the port that reads
    /// Address in words; the bits beyond the memory's size are ignored.
    pub read_index: Signal<In, Bits<29>>,
    pub read_data: Signal<Out, Bits<64>>,
    // the port that reads or writes
    pub data_index: Signal<In, Bits<29>>,
    pub data_write: Signal<In, Bit>,
    pub data_byte_enable: Signal<In, Bits<8>>,
    pub data_write_data: Signal<In, Bits<64>>,
    /// Of no meaning after a write.
    pub data_read_data: Signal<Out, Bits<64>>,
    _words: Vec<u64>,
    _from_files: bool,
}

impl BlockRam {
    /// A memory of `bytes` whose contents synthesis reads from the files of [`rom_file`]. Here it is zero.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn from_files(bytes: u32) -> Self {
        Self {
            _from_files: true,
            ..Self::new(bytes, &[])
        }
    }

    /// A memory of `bytes` (a multiple of 8, at least 16) that begins with `contents` and goes on with zeros.
    ///
    /// # Panics
    /// If the size is no such number or the contents do not fit.
    pub fn new(bytes: u32, contents: &[u8]) -> Self {
        assert!(
            bytes.is_multiple_of(8) && bytes >= 16,
            "a block RAM of {bytes} bytes: the size must be a multiple of 8 from 16"
        );
        assert!(
            contents.len() <= bytes as usize,
            "{} bytes do not fit into a block RAM of {bytes}",
            contents.len()
        );
        let mut words = vec![0; bytes as usize / 8];
        for (word, bytes) in words.iter_mut().zip(contents.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(padded);
        }
        Self {
            clock: Default::default(),
            read_index: Default::default(),
            read_data: Default::default(),
            data_index: Default::default(),
            data_write: Default::default(),
            data_byte_enable: Default::default(),
            data_write_data: Default::default(),
            data_read_data: Default::default(),
            _words: words,
            _from_files: false,
        }
    }
}

/// The low 64 bits of a signal's value.
fn bits64(value: Bits<64>) -> u64 {
    (0..64).fold(0, |word, bit| word | (value.get_bit(bit) as u64) << bit)
}

impl Logic for BlockRam {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let mask = self._words.len().next_power_of_two() - 1;
            let word = |index: usize| self._words.get(index).copied().unwrap_or(0);
            let index = self.data_index.val().index() & mask;
            self.read_data.next = word(self.read_index.val().index() & mask).into();
            if !self.data_write.val() {
                self.data_read_data.next = word(index).into();
            } else if index < self._words.len() {
                let enable = self.data_byte_enable.val().index();
                let lanes = (0..8)
                    .filter(|lane| enable >> lane & 1 == 1)
                    .fold(0, |lanes, lane| lanes | 0xFF << (8 * lane));
                let written = bits64(self.data_write_data.val());
                self._words[index] = self._words[index] & !lanes | written & lanes;
            }
        }
    }
    fn connect(&mut self) {
        self.read_data.connect();
        self.data_read_data.connect();
    }
    fn hdl(&self) -> Verilog {
        // Bytes that are zero are left out: block RAM powers up as zero, and the time that synthesis takes grows with
        // the square of the number of bytes here.
        let words = self._words.len();
        let high = words.next_power_of_two().trailing_zeros() - 1;
        let last = words - 1;
        let mut text =
            "initial begin\n  read_data = 64'h0;\n  data_read_data = 64'h0;\nend\n".to_string();
        for lane in 0..ROM_WORD_BYTES {
            let bits = format!("{}:{}", 8 * lane + 7, 8 * lane);
            text +=
                &format!("(* no_rw_check *) reg [7:0] bytes{lane} [0:{last}];\ninitial begin\n");
            if self._from_files {
                let file = rom_file(lane);
                text += &format!("  $readmemh(\"{file}\", bytes{lane});\n");
            }
            for (index, word) in self._words.iter().enumerate() {
                let byte = word.to_le_bytes()[lane];
                if byte != 0 {
                    text += &format!("  bytes{lane}[{index}] = 8'h{byte:x};\n");
                }
            }
            text += &format!(
                "\
end
always @(posedge clock) read_data[{bits}] <= bytes{lane}[read_index[{high}:0]];
always @(posedge clock) begin
  if (data_write) begin
    if (data_byte_enable[{lane}]) bytes{lane}[data_index[{high}:0]] <= data_write_data[{bits}];
  end else begin
    data_read_data[{bits}] <= bytes{lane}[data_index[{high}:0]];
  end
end
"
            );
        }
        Verilog::Custom(text)
    }
}

/// RAM from address 0 and ROM up to 4 GB, its end mirrored below 1 MB; all else reads as ones.
#[derive(LogicBlock)]
pub struct BoardMemory {
    pub clock: Signal<In, Clock>,
    // instruction port
    pub instruction_address: Signal<In, Bits<32>>,
    pub instruction_data: Signal<Out, Bits<64>>,
    pub instruction_wait: Signal<Out, Bit>,
    // data port
    pub data_request: Signal<In, Bit>,
    pub data_write: Signal<In, Bit>,
    pub data_address: Signal<In, Bits<32>>,
    pub data_byte_enable: Signal<In, Bits<8>>,
    pub data_write_data: Signal<In, Bits<64>>,
    pub data_read_data: Signal<Out, Bits<64>>,
    pub data_wait: Signal<Out, Bit>,
    // state: which memory answers
    instruction_from_rom_reg: DFF<Bit>,
    instruction_from_ram_reg: DFF<Bit>,
    data_from_rom_reg: DFF<Bit>,
    data_from_ram_reg: DFF<Bit>,
    // units
    ram: BlockRam,
    rom: BlockRam,
    // wires
    // Sizes are powers of two, so that equality of high bits says where an address lies.
    ram_high: Constant<Bits<32>>,
    rom_base: Constant<Bits<32>>,
    mirror_high: Constant<Bits<32>>,
    mirror_base: Constant<Bits<32>>,
    instruction_in_rom: Signal<Local, Bit>,
    instruction_in_ram: Signal<Local, Bit>,
    data_in_rom: Signal<Local, Bit>,
    data_in_ram: Signal<Local, Bit>,
    instruction_not_rom: Signal<Local, Bits<64>>,
    instruction_not_ram: Signal<Local, Bits<64>>,
    data_not_rom: Signal<Local, Bits<64>>,
    data_not_ram: Signal<Local, Bits<64>>,
}

impl BoardMemory {
    /// Memory of `ram_bytes` and with this ROM, both powers of two from 16.
    ///
    /// # Panics
    /// If a size is no such number.
    pub fn new(ram_bytes: u32, rom: &[u8]) -> Self {
        let rom_bytes = rom.len() as u32;
        Self::with_rom(ram_bytes, BlockRam::new(rom_bytes, rom), rom_bytes)
    }

    /// Memory of `ram_bytes` and with a ROM of `rom_bytes` from the files of [`rom_file`].
    ///
    /// # Panics
    /// If a size is no power of two from 16.
    pub fn from_files(ram_bytes: u32, rom_bytes: u32) -> Self {
        Self::with_rom(ram_bytes, BlockRam::from_files(rom_bytes), rom_bytes)
    }

    fn with_rom(ram_bytes: u32, rom: BlockRam, rom_bytes: u32) -> Self {
        assert!(
            ram_bytes.is_power_of_two() && rom_bytes.is_power_of_two(),
            "{ram_bytes} bytes of RAM and {rom_bytes} of ROM: expected powers of two"
        );
        let mirror_bytes = rom_bytes.min(spec::memory_map::ROM_MIRROR_BYTES);
        let mirror_end = spec::memory_map::ROM_MIRROR_END;
        let constant = |value: u32| Constant::new((value as u64).into());
        Self {
            clock: Default::default(),
            instruction_address: Default::default(),
            instruction_data: Default::default(),
            instruction_wait: Default::default(),
            data_request: Default::default(),
            data_write: Default::default(),
            data_address: Default::default(),
            data_byte_enable: Default::default(),
            data_write_data: Default::default(),
            data_read_data: Default::default(),
            data_wait: Default::default(),
            instruction_from_rom_reg: Default::default(),
            instruction_from_ram_reg: Default::default(),
            data_from_rom_reg: Default::default(),
            data_from_ram_reg: Default::default(),
            ram: BlockRam::new(ram_bytes, &[]),
            rom,
            ram_high: constant(!(ram_bytes - 1)),
            rom_base: constant(rom_bytes.wrapping_neg()),
            mirror_high: constant(!(mirror_bytes - 1)),
            mirror_base: constant(mirror_end - mirror_bytes),
            instruction_in_rom: Default::default(),
            instruction_in_ram: Default::default(),
            data_in_rom: Default::default(),
            data_in_ram: Default::default(),
            instruction_not_rom: Default::default(),
            instruction_not_ram: Default::default(),
            data_not_rom: Default::default(),
            data_not_ram: Default::default(),
        }
    }
}

impl Logic for BoardMemory {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            instruction_from_rom_reg,
            instruction_from_ram_reg,
            data_from_rom_reg,
            data_from_ram_reg
        );
        clock!(self, clock, ram, rom);
        // The ROM covers RAM where both are.
        self.instruction_in_rom.next = ((self.instruction_address.val() & self.rom_base.val())
            == self.rom_base.val())
            | ((self.instruction_address.val() & self.mirror_high.val()) == self.mirror_base.val());
        self.data_in_rom.next = ((self.data_address.val() & self.rom_base.val())
            == self.rom_base.val())
            | ((self.data_address.val() & self.mirror_high.val()) == self.mirror_base.val());
        self.data_in_ram.next =
            !((self.data_address.val() & self.ram_high.val()).any() | self.data_in_rom.val());
        self.instruction_in_ram.next = !((self.instruction_address.val() & self.ram_high.val())
            .any()
            | self.instruction_in_rom.val());
        self.instruction_from_rom_reg.d.next = self.instruction_in_rom.val();
        self.instruction_from_ram_reg.d.next = self.instruction_in_ram.val();
        self.data_from_rom_reg.d.next = self.data_in_rom.val();
        self.data_from_ram_reg.d.next = self.data_in_ram.val();

        self.ram.read_index.next = self.instruction_address.val().get_bits::<29>(3);
        self.ram.data_index.next = self.data_address.val().get_bits::<29>(3);
        self.ram.data_write.next =
            self.data_request.val() & self.data_write.val() & self.data_in_ram.val();
        self.ram.data_byte_enable.next = self.data_byte_enable.val();
        self.ram.data_write_data.next = self.data_write_data.val();
        // The address below the ROM's size, which the bits of the memory's index see to, for the mirror, too.
        self.rom.read_index.next = self.instruction_address.val().get_bits::<29>(3);
        self.rom.data_index.next = self.data_address.val().get_bits::<29>(3);
        self.rom.data_write.next = false;
        self.rom.data_byte_enable.next = 0.into();
        self.rom.data_write_data.next = 0.into();

        // Both memories read; a register says whose word counts. A memory that is not meant gives ones.
        self.instruction_not_rom.next = 0xFFFF_FFFF_FFFF_FFFF_u64.into();
        if self.instruction_from_rom_reg.q.val() {
            self.instruction_not_rom.next = 0.into();
        }
        self.instruction_not_ram.next = 0xFFFF_FFFF_FFFF_FFFF_u64.into();
        if self.instruction_from_ram_reg.q.val() {
            self.instruction_not_ram.next = 0.into();
        }
        self.instruction_wait.next = false;
        self.instruction_data.next = (self.rom.read_data.val() | self.instruction_not_rom.val())
            & (self.ram.read_data.val() | self.instruction_not_ram.val());
        self.data_not_rom.next = 0xFFFF_FFFF_FFFF_FFFF_u64.into();
        if self.data_from_rom_reg.q.val() {
            self.data_not_rom.next = 0.into();
        }
        self.data_not_ram.next = 0xFFFF_FFFF_FFFF_FFFF_u64.into();
        if self.data_from_ram_reg.q.val() {
            self.data_not_ram.next = 0.into();
        }
        self.data_wait.next = false;
        self.data_read_data.next = (self.rom.data_read_data.val() | self.data_not_rom.val())
            & (self.ram.data_read_data.val() | self.data_not_ram.val());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::settle;

    const RAM_BYTES: u32 = 256;

    struct Memory(BoardMemory);

    impl Memory {
        fn new(rom: &[u8]) -> Self {
            let mut memory = BoardMemory::new(RAM_BYTES, rom);
            memory.connect_all();
            check_all(&memory).unwrap_or_else(|error| panic!("{error:?}"));
            Self(memory)
        }
        fn tick(&mut self) {
            settle(&mut self.0);
            self.0.clock.next = true.into();
            settle(&mut self.0);
            self.0.clock.next = false.into();
            settle(&mut self.0);
        }
        fn write(&mut self, address: u32, byte_enable: u8, data: u64) {
            self.0.data_request.next = true;
            self.0.data_write.next = true;
            self.0.data_address.next = (address as u64).into();
            self.0.data_byte_enable.next = (byte_enable as u64).into();
            self.0.data_write_data.next = data.into();
            self.tick();
            self.0.data_request.next = false;
            self.0.data_write.next = false;
        }
        /// The word at this address through both ports.
        fn read(&mut self, address: u32) -> [u64; 2] {
            self.0.data_request.next = true;
            self.0.data_address.next = (address as u64).into();
            self.0.instruction_address.next = (address as u64).into();
            self.tick();
            self.0.data_request.next = false;
            assert!(!self.0.data_wait.val() && !self.0.instruction_wait.val());
            [
                bits64(self.0.data_read_data.val()),
                bits64(self.0.instruction_data.val()),
            ]
        }
    }

    #[test]
    fn writes_change_the_enabled_bytes_only() {
        let mut memory = Memory::new(&[0; 16]);
        memory.write(0x40, 0xFF, 0x8877_6655_4433_2211);
        memory.write(0x40, 0b1001_0001, 0xAAAA_AAAA_AAAA_AAAA);
        assert_eq!(memory.read(0x40), [0xAA77_66AA_4433_22AA; 2]);
        assert_eq!(memory.read(0x48), [0; 2]);
    }

    #[test]
    fn the_rom_ends_at_4_gb_and_is_seen_below_1_mb() {
        let rom: Vec<u8> = (0..64).collect();
        let mut memory = Memory::new(&rom);
        let last = u64::from_le_bytes([56, 57, 58, 59, 60, 61, 62, 63]);
        assert_eq!(memory.read(0xFFFF_FFF8), [last; 2]);
        assert_eq!(memory.read(0x000F_FFF8), [last; 2]);
        memory.write(0xFFFF_FFF8, 0xFF, 0);
        assert_eq!(memory.read(0xFFFF_FFF8), [last; 2], "a ROM");
    }

    #[test]
    fn nothing_answers_with_ones() {
        let mut memory = Memory::new(&[0; 16]);
        memory.write(RAM_BYTES, 0xFF, 0x1234);
        assert_eq!(memory.read(RAM_BYTES), [u64::MAX; 2]);
        assert_eq!(memory.read(0), [0; 2], "and does not wrap");
        assert_eq!(memory.read(0x000F_0000), [u64::MAX; 2]);
    }
}
