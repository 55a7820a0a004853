//! A Wishbone B4 master behind the core's two memory ports: 32 bits wide, classic and registered-feedback cycles.
//!
//! An access of the core to both halves of its eight bytes is an incrementing burst of two (CTI 010, then 111; BTE
//! 00: linear), any other a single cycle (CTI 111). A slave that knows no bursts may ignore CTI and acknowledge each
//! word for itself.
//!
//! ```text
//! clock     n        n+1      n+2      n+3      n+4
//! core      request  wait     wait     wait     answer
//! cyc, stb           1        1        0
//! cti                010      111
//! ack                1        1                          a slave without wait states
//! ```
//! What ends with `err` reads as ones, as an address where nothing is.
use crate::prelude::*;

/// What the bus is doing.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum WishboneState {
    Idle,
    /// Bytes 0..3 of the access.
    Low,
    /// Bytes 4..7.
    High,
}

/// Serves one access at a time; where both ports wait, the data port goes first.
#[derive(LogicBlock, Default)]
pub struct WishboneBridge {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // instruction port
    pub instruction_request: Signal<In, Bit>,
    pub instruction_address: Signal<In, Bits<32>>,
    pub instruction_data: Signal<Out, Bits<64>>,
    pub instruction_wait: Signal<Out, Bit>,
    // data port
    pub data_request: Signal<In, Bit>,
    pub data_write: Signal<In, Bit>,
    /// The address is a port number; goes out as the tag `wishbone_tga_io`.
    pub data_io: Signal<In, Bit>,
    pub data_address: Signal<In, Bits<32>>,
    pub data_byte_enable: Signal<In, Bits<8>>,
    pub data_write_data: Signal<In, Bits<64>>,
    pub data_read_data: Signal<Out, Bits<64>>,
    pub data_wait: Signal<Out, Bit>,
    // bus
    pub wishbone_cyc: Signal<Out, Bit>,
    pub wishbone_stb: Signal<Out, Bit>,
    pub wishbone_we: Signal<Out, Bit>,
    /// In words of four bytes.
    pub wishbone_adr: Signal<Out, Bits<30>>,
    pub wishbone_sel: Signal<Out, Bits<4>>,
    pub wishbone_cti: Signal<Out, Bits<3>>,
    pub wishbone_bte: Signal<Out, Bits<2>>,
    pub wishbone_tga_io: Signal<Out, Bit>,
    pub wishbone_dat_o: Signal<Out, Bits<32>>,
    pub wishbone_dat_i: Signal<In, Bits<32>>,
    pub wishbone_ack: Signal<In, Bit>,
    pub wishbone_err: Signal<In, Bit>,
    // state of the ports: accepted, and answered in this clock
    instruction_outstanding_reg: DFF<Bit>,
    instruction_done_reg: DFF<Bit>,
    instruction_address_reg: DFF<Bits<32>>,
    data_outstanding_reg: DFF<Bit>,
    data_done_reg: DFF<Bit>,
    data_write_reg: DFF<Bit>,
    data_io_reg: DFF<Bit>,
    data_address_reg: DFF<Bits<32>>,
    data_byte_enable_reg: DFF<Bits<8>>,
    data_write_data_reg: DFF<Bits<64>>,
    // state of the bus
    state_reg: DFF<WishboneState>,
    serves_data_reg: DFF<Bit>,
    low_reg: DFF<Bits<32>>,
    high_reg: DFF<Bits<32>>,
    // wires
    instruction_pending: Signal<Local, Bit>,
    data_pending: Signal<Local, Bit>,
    address: Signal<Local, Bits<32>>,
    byte_enable: Signal<Local, Bits<8>>,
    /// The byte enables of the access that may begin now.
    next_byte_enable: Signal<Local, Bits<8>>,
    burst: Signal<Local, Bit>,
    word_ends: Signal<Local, Bit>,
    word: Signal<Local, Bits<32>>,
    access_ends: Signal<Local, Bit>,
}

impl Logic for WishboneBridge {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            instruction_outstanding_reg,
            instruction_done_reg,
            instruction_address_reg,
            data_outstanding_reg,
            data_done_reg,
            data_write_reg,
            data_io_reg,
            data_address_reg,
            data_byte_enable_reg,
            data_write_data_reg,
            state_reg,
            serves_data_reg,
            low_reg,
            high_reg
        );
        // The access that the bus serves.
        self.address.next = self.instruction_address_reg.q.val();
        self.byte_enable.next = 0xFF.into();
        if self.serves_data_reg.q.val() {
            self.address.next = self.data_address_reg.q.val();
            self.byte_enable.next = self.data_byte_enable_reg.q.val();
        }
        self.burst.next = self.byte_enable.val().get_bits::<4>(0).any()
            & self.byte_enable.val().get_bits::<4>(4).any();

        // The bus.
        self.wishbone_cyc.next = self.state_reg.q.val() != WishboneState::Idle;
        self.wishbone_stb.next = self.state_reg.q.val() != WishboneState::Idle;
        self.wishbone_we.next = self.serves_data_reg.q.val() & self.data_write_reg.q.val();
        self.wishbone_tga_io.next = self.serves_data_reg.q.val() & self.data_io_reg.q.val();
        self.wishbone_bte.next = 0.into();
        self.wishbone_cti.next = 7.into();
        self.wishbone_adr.next = self.address.val().get_bits::<30>(2) & 0x3FFF_FFFE;
        self.wishbone_sel.next = self.byte_enable.val().get_bits::<4>(0);
        self.wishbone_dat_o.next = self.data_write_data_reg.q.val().get_bits::<32>(0);
        if self.state_reg.q.val() == WishboneState::High {
            self.wishbone_adr.next = self.address.val().get_bits::<30>(2) | 1;
            self.wishbone_sel.next = self.byte_enable.val().get_bits::<4>(4);
            self.wishbone_dat_o.next = self.data_write_data_reg.q.val().get_bits::<32>(32);
        } else if self.burst.val() {
            self.wishbone_cti.next = 2.into();
        }

        self.word_ends.next = (self.state_reg.q.val() != WishboneState::Idle)
            & (self.wishbone_ack.val() | self.wishbone_err.val());
        self.word.next = self.wishbone_dat_i.val();
        if self.wishbone_err.val() {
            self.word.next = 0xFFFF_FFFF_u64.into();
        }
        self.access_ends.next = self.word_ends.val()
            & ((self.state_reg.q.val() == WishboneState::High) | !self.burst.val());

        // Answers.
        self.instruction_wait.next = !self.instruction_done_reg.q.val();
        self.data_wait.next = !self.data_done_reg.q.val();
        self.instruction_data.next = bit_cast::<64, 32>(self.low_reg.q.val())
            | (bit_cast::<64, 32>(self.high_reg.q.val()) << 32);
        self.data_read_data.next = bit_cast::<64, 32>(self.low_reg.q.val())
            | (bit_cast::<64, 32>(self.high_reg.q.val()) << 32);

        // New accesses: accepted unless an older one still waits.
        self.instruction_done_reg.d.next = self.access_ends.val() & !self.serves_data_reg.q.val();
        self.data_done_reg.d.next = self.access_ends.val() & self.serves_data_reg.q.val();
        if !self.instruction_outstanding_reg.q.val() | self.instruction_done_reg.q.val() {
            self.instruction_outstanding_reg.d.next = self.instruction_request.val();
            self.instruction_address_reg.d.next = self.instruction_address.val();
        }
        if !self.data_outstanding_reg.q.val() | self.data_done_reg.q.val() {
            self.data_outstanding_reg.d.next = self.data_request.val();
            self.data_write_reg.d.next = self.data_write.val();
            self.data_io_reg.d.next = self.data_io.val();
            self.data_address_reg.d.next = self.data_address.val();
            self.data_byte_enable_reg.d.next = self.data_byte_enable.val();
            self.data_write_data_reg.d.next = self.data_write_data.val();
        }

        // The bus moves on.
        self.instruction_pending.next =
            self.instruction_outstanding_reg.q.val() & !self.instruction_done_reg.q.val();
        self.data_pending.next = self.data_outstanding_reg.q.val() & !self.data_done_reg.q.val();
        self.next_byte_enable.next = 0xFF.into();
        if self.data_pending.val() {
            self.next_byte_enable.next = self.data_byte_enable_reg.q.val();
        }
        if self.state_reg.q.val() == WishboneState::Idle {
            if self.data_pending.val() | self.instruction_pending.val() {
                self.serves_data_reg.d.next = self.data_pending.val();
                self.state_reg.d.next = WishboneState::High;
                if self.next_byte_enable.val().get_bits::<4>(0).any() {
                    self.state_reg.d.next = WishboneState::Low;
                }
            }
        } else if self.word_ends.val() {
            if self.state_reg.q.val() == WishboneState::Low {
                self.low_reg.d.next = self.word.val();
                self.state_reg.d.next = WishboneState::High;
            } else {
                self.high_reg.d.next = self.word.val();
            }
            if self.access_ends.val() {
                self.state_reg.d.next = WishboneState::Idle;
            }
        }

        if self.reset.val() {
            self.instruction_outstanding_reg.d.next = false;
            self.instruction_done_reg.d.next = false;
            self.data_outstanding_reg.d.next = false;
            self.data_done_reg.d.next = false;
            self.state_reg.d.next = WishboneState::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, settle, start, tick};
    use std::collections::HashMap;
    clocked!(WishboneBridge);

    /// One bus cycle that ended: word address, write, select, CTI, I/O.
    type Cycle = (u32, bool, u8, u8, bool);

    /// A slave with memory that takes `delay` clocks for each word and knows no word above `limit`.
    struct Bus {
        bridge: WishboneBridge,
        words: HashMap<u32, u32>,
        delay: usize,
        waited: usize,
        limit: u32,
        cycles: Vec<Cycle>,
    }

    fn bits64(value: Bits<64>) -> u64 {
        (0..64).fold(0, |word, bit| word | (value.get_bit(bit) as u64) << bit)
    }

    impl Bus {
        fn new(delay: usize) -> Self {
            Self {
                bridge: start(WishboneBridge::default()),
                words: HashMap::new(),
                delay,
                waited: 0,
                limit: 0x1000,
                cycles: vec![],
            }
        }
        fn tick(&mut self) {
            let bus = &mut self.bridge;
            settle(bus);
            bus.wishbone_ack.next = false;
            bus.wishbone_err.next = false;
            assert_eq!(bus.wishbone_cyc.val(), bus.wishbone_stb.val());
            assert_eq!(bus.wishbone_bte.val(), 0);
            if bus.wishbone_stb.val() && self.waited < self.delay {
                self.waited += 1;
            } else if bus.wishbone_stb.val() {
                self.waited = 0;
                let address = bus.wishbone_adr.val().index() as u32;
                let select = bus.wishbone_sel.val().index() as u8;
                self.cycles.push((
                    address,
                    bus.wishbone_we.val(),
                    select,
                    bus.wishbone_cti.val().index() as u8,
                    bus.wishbone_tga_io.val(),
                ));
                let word = self
                    .words
                    .entry(address)
                    .or_insert(address.wrapping_mul(0x0101_0101));
                bus.wishbone_dat_i.next = (*word as u64).into();
                if address >= self.limit {
                    bus.wishbone_err.next = true;
                } else {
                    bus.wishbone_ack.next = true;
                    if bus.wishbone_we.val() {
                        let data = bus.wishbone_dat_o.val().index() as u32;
                        for lane in (0..4).filter(|lane| select >> lane & 1 == 1) {
                            *word = *word & !(0xFF << (8 * lane)) | data & 0xFF << (8 * lane);
                        }
                    }
                }
            }
            tick(bus);
        }
        fn data(&mut self, write: bool, address: u32, byte_enable: u8, data: u64) -> (u64, usize) {
            self.bridge.data_request.next = true;
            self.bridge.data_write.next = write;
            self.bridge.data_address.next = (address as u64).into();
            self.bridge.data_byte_enable.next = (byte_enable as u64).into();
            self.bridge.data_write_data.next = data.into();
            self.tick();
            self.bridge.data_request.next = false;
            for clock in 1..100 {
                settle(&mut self.bridge);
                if !self.bridge.data_wait.val() {
                    let data = bits64(self.bridge.data_read_data.val());
                    self.tick();
                    return (data, clock);
                }
                self.tick();
            }
            panic!("the bridge never answers");
        }
    }

    #[test]
    fn eight_bytes_are_an_incrementing_burst_of_two() {
        let mut bus = Bus::new(0);
        let (_, clocks) = bus.data(true, 0x40, 0xFF, 0x8877_6655_4433_2211);
        assert_eq!(
            bus.cycles,
            [(0x10, true, 0xF, 2, false), (0x11, true, 0xF, 7, false)]
        );
        assert_eq!(clocks, 4);
        assert_eq!(bus.data(false, 0x40, 0xFF, 0).0, 0x8877_6655_4433_2211);
    }

    #[test]
    fn bytes_of_one_half_are_a_single_cycle() {
        let mut bus = Bus::new(2);
        bus.data(true, 0x40, 0b0110_0000, 0x00AA_BB00_0000_0000);
        bus.data(true, 0x40, 0b0000_0001, 0x77);
        assert_eq!(
            bus.cycles,
            [(0x11, true, 0x6, 7, false), (0x10, true, 0x1, 7, false)]
        );
        assert_eq!(bus.data(false, 0x40, 0xFF, 0).0, 0x11AA_BB11_1010_1077);
    }

    #[test]
    fn an_access_that_fails_reads_as_ones() {
        let mut bus = Bus::new(1);
        assert_eq!(bus.data(false, 0x8000, 0xFF, 0).0, u64::MAX);
        assert_eq!(bus.data(false, 0x0008, 0xFF, 0).0, 0x0303_0303_0202_0202);
    }

    #[test]
    fn ports_are_tagged() {
        let mut bus = Bus::new(0);
        bus.bridge.data_io.next = true;
        bus.data(true, 0x378, 1, 0x55);
        assert_eq!(bus.cycles, [(0xDE, true, 1, 7, true)]);
    }

    #[test]
    fn both_ports_get_their_own_words_at_any_delay() {
        for delay in [0, 1, 3] {
            let mut bus = Bus::new(delay);
            let (mut fetched, mut loaded) = (vec![], vec![]);
            let (mut fetches, mut loads) = (0u32, 0u32);
            let (mut fetch_outstanding, mut load_outstanding) = (false, false);
            bus.bridge.data_byte_enable.next = 0xFF.into();
            for _ in 0..400 {
                bus.bridge.instruction_request.next = true;
                bus.bridge.instruction_address.next = (fetches as u64 * 8).into();
                bus.bridge.data_request.next = true;
                bus.bridge.data_address.next = (0x800 + loads as u64 * 8).into();
                settle(&mut bus.bridge);
                let fetch_waits = fetch_outstanding && bus.bridge.instruction_wait.val();
                let load_waits = load_outstanding && bus.bridge.data_wait.val();
                if fetch_outstanding && !fetch_waits {
                    fetched.push(bits64(bus.bridge.instruction_data.val()));
                }
                if load_outstanding && !load_waits {
                    loaded.push(bits64(bus.bridge.data_read_data.val()));
                }
                if !fetch_waits {
                    fetches += 1;
                    fetch_outstanding = true;
                }
                if !load_waits {
                    loads += 1;
                    load_outstanding = true;
                }
                bus.tick();
            }
            let word = |index: u64| {
                let low = (index as u32 * 2).wrapping_mul(0x0101_0101) as u64;
                let high = (index as u32 * 2 + 1).wrapping_mul(0x0101_0101) as u64;
                low | high << 32
            };
            assert!(
                fetched.len() > 10 && loaded.len() > 10,
                "both make progress"
            );
            for (index, &data) in fetched.iter().enumerate() {
                assert_eq!(data, word(index as u64), "fetch {index}, delay {delay}");
            }
            for (index, &data) in loaded.iter().enumerate() {
                assert_eq!(
                    data,
                    word(0x100 + index as u64),
                    "load {index}, delay {delay}"
                );
            }
        }
    }
}
