//! Caches and the SDRAM's controller mean the same in Rust and in Verilog.
use hdl::cache::CacheRam;
use hdl::soc::sdram::chip::{SdramChip, SdramPins};
use hdl::soc::sdram_memory::{SdramMemory, SdramMemoryOptions};
use tests::differential::{Run, Surroundings, compare, compare_within};
use tests::draw_inputs;
use tests::random::Random;

const CLOCK_HZ: u64 = 25_000_000;

/// The chip, and two ports that ask at random.
struct ChipAndPorts {
    chip: SdramChip,
    random: Random,
}

impl Surroundings<SdramMemory> for ChipAndPorts {
    fn set_inputs(&mut self, memory: &mut SdramMemory, clock: usize) {
        // The pins come from registers: they are already those of this clock.
        let data = chip_clock(&mut self.chip, memory);
        memory.sdram_data_in.next = u64::from(data).into();
        let mut random = &mut self.random;
        memory.reset.next = clock < 2;
        memory.flush.next = random.one_in(400);
        draw_inputs!(
            memory,
            random,
            instruction_rom_data,
            data_rom_data,
            data_write,
            data_byte_enable,
            data_write_data
        );
        memory.fills.next = !random.one_in(8);
        memory.instruction_cacheable.next = !random.one_in(8);
        memory.data_cacheable.next = !random.one_in(8);
        // Few lines, so that they meet. A port may be asked for anything while it waits.
        let mut address = || random.below(3) << 10 | random.below(4) << 5 | random.below(4) << 3;
        let (instruction, data) = (address(), address());
        memory.instruction_address.next = instruction.into();
        memory.data_address.next = data.into();
        memory.instruction_request.next = !random.one_in(4);
        memory.data_request.next = !random.one_in(4);
        let (instruction_in_rom, data_in_rom) = (random.one_in(10), random.one_in(10));
        memory.instruction_in_rom.next = instruction_in_rom;
        memory.data_in_rom.next = data_in_rom;
        memory.instruction_in_ram.next = !instruction_in_rom && !random.one_in(20);
        memory.data_in_ram.next = !data_in_rom && !random.one_in(20);
    }
}

/// Clocks the chip with what the controller drives.
fn chip_clock(chip: &mut SdramChip, memory: &SdramMemory) -> u16 {
    chip.clock(&SdramPins {
        cke: memory.sdram_cke.val(),
        cs_n: memory.sdram_cs_n.val(),
        ras_n: memory.sdram_ras_n.val(),
        cas_n: memory.sdram_cas_n.val(),
        we_n: memory.sdram_we_n.val(),
        bank: memory.sdram_bank.val().index() as u8,
        address: memory.sdram_address.val().index() as u16,
        dqm: memory.sdram_dqm.val().index() as u8,
        data: memory.sdram_data_out.val().index() as u16,
        drives: memory.sdram_data_drive.val(),
    })
}

#[test]
fn the_memory_system_is_the_same_in_verilog() {
    let mut memory = SdramMemory::new(SdramMemoryOptions {
        clock_hz: CLOCK_HZ,
        instruction_cache_bytes: 1 << 10,
        data_cache_bytes: 1 << 10,
    });
    memory.power_up_soon();
    let mut chip = SdramChip::new(CLOCK_HZ, 1 << 12);
    chip.power_up_clocks = 20;
    let mut surroundings = ChipAndPorts {
        chip,
        random: Random::new(0x5D),
    };
    let run = Run {
        name: "sdram_memory",
        clocks: 4000,
        clock: |top: &mut SdramMemory, level| top.clock.next = level.into(),
    };
    compare_within(&run, &mut memory, &mut surroundings);
    let counts = surroundings.chip.counts;
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
}

#[test]
fn lanes_of_a_cache_memory_are_the_same_in_verilog() {
    let mut random = Random::new(0x5E);
    let run = Run {
        name: "cache_ram",
        clocks: 1000,
        clock: |top: &mut CacheRam<64, 8>, level| top.clock.next = level.into(),
    };
    compare(&run, &mut CacheRam::new(16), |top, _| {
        draw_inputs!(top, random, read_index, write, write_index, write_data);
    });
}
