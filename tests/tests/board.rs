//! What surrounds the chip on the board means the same in Rust and in Verilog.
use hdl::soc::block_ram::BoardMemory;
use hdl::soc::wishbone::WishboneBridge;
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
