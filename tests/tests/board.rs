//! What surrounds the chip on the board means the same in Rust and in Verilog, and to the chip its memory is the
//! simulator's.
use firmware::ImageOptions;
use hdl::soc::block_ram::BoardMemory;
use hdl::soc::wishbone::WishboneBridge;
use rust_hdl_core::prelude::Block;
use sim::machine::{Machine, MachineConfig, MemoryAnswers, MemoryRequests, Stop};
use spec::memory_map::DEFAULT_RAM_BYTES;
use tests::differential::{Run, compare};
use tests::draw_inputs;
use tests::random::Random;

#[test]
fn the_memory_of_the_board_is_the_same_in_verilog() {
    let mut random = Random::new(0x19);
    let rom: Vec<u8> = (0..256).map(|_| random.bits(8) as u8).collect();
    let run = Run {
        name: "board_memory",
        clocks: 3000,
        clock: |top: &mut BoardMemory, level| top.clock.next = level.into(),
    };
    compare(&run, &mut BoardMemory::new(512, &rom), |top, _| {
        draw_inputs!(
            top,
            random,
            data_request,
            data_write,
            data_byte_enable,
            data_write_data
        );
        // RAM, ROM, its mirror, and just beside them.
        let mut address = || {
            let base = [0, 0, 0xFFFF_FF00u64, 0x000F_FF00][random.below(4) as usize];
            (base + random.below(80) * 8) & 0xFFFF_FFF8
        };
        let (data, instruction) = (address(), address());
        // A word that is written while it is fetched is unknown on the board.
        top.data_address.next = data.into();
        top.instruction_address.next = (if data == instruction {
            data ^ 8
        } else {
            instruction
        })
        .into();
    });
}

#[test]
fn the_wishbone_bridge_is_the_same_in_verilog() {
    let mut random = Random::new(0x1A);
    let run = Run {
        name: "wishbone",
        clocks: 3000,
        clock: |top: &mut WishboneBridge, level| top.clock.next = level.into(),
    };
    compare(&run, &mut WishboneBridge::default(), |top, clock| {
        top.reset.next = clock == 0;
        draw_inputs!(
            top,
            random,
            instruction_request,
            instruction_address,
            data_request,
            data_write,
            data_io,
            data_address,
            data_byte_enable,
            data_write_data,
            wishbone_dat_i,
            wishbone_ack
        );
        top.wishbone_err.next = random.one_in(10);
    });
}

/// The board's memory beside the chip: takes the requests of a clock and answers in the next.
struct Answering(BoardMemory);

impl Answering {
    fn new(rom: &[u8]) -> Self {
        let mut memory = BoardMemory::new(DEFAULT_RAM_BYTES, rom);
        memory.connect_all();
        Self(memory)
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            self.0.update_all();
            if !self.0.has_changed() {
                return;
            }
        }
        panic!("the memory never settles");
    }

    fn clock(&mut self, requests: &MemoryRequests) -> MemoryAnswers {
        let memory = &mut self.0;
        memory.instruction_address.next = u64::from(requests.instruction_address).into();
        memory.data_request.next = requests.data_request;
        memory.data_write.next = requests.data_write;
        memory.data_address.next = u64::from(requests.data_address).into();
        memory.data_byte_enable.next = u64::from(requests.data_byte_enable).into();
        memory.data_write_data.next = requests.data_write_data.into();
        self.settle();
        self.0.clock.next = true.into();
        self.settle();
        self.0.clock.next = false.into();
        self.settle();
        let word = |bits: rust_hdl_core::prelude::Bits<64>| {
            (0..64).fold(0, |word, bit| word | u64::from(bits.get_bit(bit)) << bit)
        };
        MemoryAnswers {
            instruction_data: word(self.0.instruction_data.val()),
            data_read_data: word(self.0.data_read_data.val()),
            instruction_wait: self.0.instruction_wait.val(),
            data_wait: self.0.data_wait.val(),
            ..MemoryAnswers::default()
        }
    }
}

#[test]
fn the_chip_counts_the_same_clocks_with_the_memory_of_the_board() {
    let rom = firmware::build(&ImageOptions::default()).unwrap().rom;
    let machine = || {
        Machine::new(MachineConfig {
            rom: rom.clone(),
            keep_ports: false,
            ..MachineConfig::default()
        })
        .unwrap()
    };
    // The whole journey, to the last bit on the UART's pin.
    let mut simulated = machine();
    assert_eq!(simulated.run(1_000_000), Stop::Halted);
    let expected = simulated.drain_retired();

    let mut on_board = machine();
    let mut memory = Answering::new(&rom);
    let stop = loop {
        let answers = memory.clock(&on_board.memory_requests());
        match on_board.run_answered(answers) {
            Stop::Cycles if on_board.status().cycle <= simulated.status().cycle => {}
            stop => break stop,
        }
    };
    let retired = on_board.drain_retired();
    for (one, other) in expected.iter().zip(&retired) {
        assert_eq!(one, other, "simulator, board");
    }
    assert_eq!(stop, Stop::Halted);
    assert_eq!(retired.len(), expected.len());
    assert_eq!(on_board.status(), simulated.status());
    assert_eq!(on_board.take_console(), simulated.take_console());
}
