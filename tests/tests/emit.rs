//! The emitter keeps the meaning of kernels: what rust-hdl's own printer gets wrong, and every construct we use.
use hdl::prelude::*;
use tests::differential::{Run, compare};
use tests::random::Random;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum Colour {
    Red,
    Green,
    Blue,
}

#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct Bundle {
    pub valid: Bit,
    pub colour: Colour,
    pub wide: Bits<32>,
    pub narrow: Bits<3>,
}

/// Every expression that rust-hdl 0.46 is known to print with another meaning.
#[derive(LogicBlock, Default)]
pub struct Mistranslated {
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<In, Bits<8>>,
    pub c: Signal<In, Bit>,
    pub d: Signal<In, Bit>,
    pub n: Signal<In, Bits<3>>,
    pub w: Signal<In, Bits<32>>,
    pub and_before_compare: Signal<Out, Bit>,
    pub sum_compared: Signal<Out, Bit>,
    pub difference_compared: Signal<Out, Bit>,
    pub inversion_compared: Signal<Out, Bit>,
    pub inversion_widened: Signal<Out, Bits<16>>,
    pub shift_widened: Signal<Out, Bits<16>>,
    pub sum_widened: Signal<Out, Bits<16>>,
    pub bit_inverted_and_widened: Signal<Out, Bits<8>>,
    pub bits_joined_and_widened: Signal<Out, Bits<8>>,
    pub inverted_bit_added: Signal<Out, Bits<8>>,
    pub inverted_bit_placed: Signal<Out, Bits<8>>,
    pub bit_placed_at_variable: Signal<Out, Bits<8>>,
    pub sum_shifted_right: Signal<Out, Bits<8>>,
    pub shifted_by_sum: Signal<Out, Bits<32>>,
    pub bit_at_sum: Signal<Out, Bit>,
    pub any_of_sum: Signal<Out, Bit>,
    pub all_of_difference: Signal<Out, Bit>,
    pub xor_of_inversion: Signal<Out, Bit>,
    pub match_of_difference: Signal<Out, Bits<2>>,
    pub match_of_inversion: Signal<Out, Bits<2>>,
    pub match_of_hexadecimal: Signal<Out, Bits<2>>,
    pub slice_of_field: Signal<Out, Bits<4>>,
    pub bit_of_slice: Signal<Out, Bit>,
    pub slice_of_sum: Signal<Out, Bits<4>>,
    pub slice_past_the_end: Signal<Out, Bits<4>>,
    pub constant_slice_past_the_end: Signal<Out, Bits<4>>,
    pub sign_extended: Signal<Out, Bits<32>>,
    pub carry: Signal<Out, Bit>,
    pub shifted_out: Signal<Out, Bits<8>>,
    bundle: Signal<Local, Bundle>,
}

impl Logic for Mistranslated {
    #[hdl_gen]
    #[rustfmt::skip]
    fn update(&mut self) {
        self.bundle.next.valid = self.c.val();
        self.bundle.next.colour = Colour::Green;
        self.bundle.next.wide = self.w.val();
        self.bundle.next.narrow = self.n.val();
        self.and_before_compare.next = self.a.val() & self.b.val() == self.b.val();
        self.sum_compared.next = self.a.val() + 1 == self.b.val();
        self.difference_compared.next = 0 - self.a.val() == self.b.val();
        self.inversion_compared.next = !self.a.val() == 0;
        self.inversion_widened.next = bit_cast::<16, 8>(!self.a.val());
        self.shift_widened.next = bit_cast::<16, 8>(self.a.val() << 4);
        self.sum_widened.next = bit_cast::<16, 8>(self.a.val() + self.b.val());
        self.bit_inverted_and_widened.next = bit_cast::<8, 1>((!self.c.val()).into());
        self.bits_joined_and_widened.next = bit_cast::<8, 1>((self.c.val() | !self.d.val()).into());
        self.inverted_bit_added.next = self.a.val() + !self.c.val();
        self.inverted_bit_placed.next = self.a.val().replace_bit(2, !self.c.val());
        self.bit_placed_at_variable.next = (self.a.val() + 1).replace_bit(self.n.val().index(), self.d.val());
        self.sum_shifted_right.next = (self.a.val() + 255) >> 1;
        self.shifted_by_sum.next = self.w.val() >> (self.n.val() + 1);
        self.bit_at_sum.next = self.a.val().get_bit((self.n.val() + 1).index());
        self.any_of_sum.next = (self.a.val() + 1).any();
        self.all_of_difference.next = (self.a.val() - self.b.val()).all();
        self.xor_of_inversion.next = (!self.a.val()).xor();
        self.match_of_difference.next = 0.into();
        match (self.a.val() - self.b.val()).index() {
            0 => { self.match_of_difference.next = 1.into(); }
            1 => { self.match_of_difference.next = 2.into(); }
            255 => { self.match_of_difference.next = 3.into(); }
            _ => {}
        }
        match (!self.n.val()).index() {
            0 => { self.match_of_inversion.next = 1.into(); }
            7 => { self.match_of_inversion.next = 2.into(); }
            _ => { self.match_of_inversion.next = 3.into(); }
        }
        match self.n.val().index() {
            0x7 => { self.match_of_hexadecimal.next = 1.into(); }
            0b11 => { self.match_of_hexadecimal.next = 2.into(); }
            _ => { self.match_of_hexadecimal.next = 3.into(); }
        }
        self.slice_of_field.next = self.bundle.val().wide.get_bits::<4>(2);
        self.bit_of_slice.next = self.w.val().get_bits::<8>(8).get_bit(3);
        self.slice_of_sum.next = (self.a.val() + self.b.val()).get_bits::<4>(2);
        self.slice_past_the_end.next = self.a.val().get_bits::<4>(self.n.val().index());
        self.constant_slice_past_the_end.next = self.a.val().get_bits::<4>(6);
        self.sign_extended.next = (bit_cast::<32, 8>(self.a.val()) ^ 0x80) - 0x80;
        self.carry.next = (bit_cast::<9, 8>(self.a.val()) + bit_cast::<9, 8>(self.b.val()) + bit_cast::<9, 1>(self.c.val().into())).get_bit(8);
        self.shifted_out.next = (self.a.val() << self.b.val()) | (self.a.val() >> self.b.val());
    }
}

fn no_clock<T>(_top: &mut T, _level: bool) {}

#[test]
fn expressions_that_rust_hdl_mistranslates_keep_their_meaning() {
    let mut random = Random::new(1);
    let run = Run {
        name: "mistranslated",
        clocks: 2000,
        clock: no_clock,
    };
    compare(&run, &mut Mistranslated::default(), |top, _| {
        top.a.next = random.bits(8).into();
        top.b.next = if random.one_in(4) {
            top.a.val() + random.below(3) - 1
        } else {
            random.bits(8).into()
        };
        top.c.next = random.one_in(2);
        top.d.next = random.one_in(2);
        top.n.next = random.bits(3).into();
        top.w.next = random.bits(32).into();
    });
}

#[derive(LogicInterface, Default)]
#[join = "Slave"]
pub struct Master {
    pub address: Signal<Out, Bits<8>>,
    pub answer: Signal<In, Bits<8>>,
}

#[derive(LogicInterface, Default)]
#[join = "Master"]
pub struct Slave {
    pub address: Signal<In, Bits<8>>,
    pub answer: Signal<Out, Bits<8>>,
}

#[derive(LogicBlock, Default)]
pub struct Counter {
    pub clock: Signal<In, Clock>,
    pub step: Signal<In, Bits<8>>,
    pub bus: Master,
    pub colour: Signal<Out, Colour>,
    count: DFF<Bits<8>>,
    state: DFF<Colour>,
}

impl Logic for Counter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, count, state);
        self.count.d.next = self.count.q.val() + self.step.val();
        match self.state.q.val() {
            Colour::Red => {
                if self.step.val() > 100 {
                    self.state.d.next = Colour::Green;
                }
            }
            Colour::Green => {
                self.state.d.next = Colour::Blue;
            }
            Colour::Blue => {
                self.state.d.next = Colour::Red;
            }
        }
        self.bus.address.next = self.count.q.val() ^ self.bus.answer.val();
        self.colour.next = self.state.q.val();
    }
}

#[derive(LogicBlock, Default)]
pub struct Mirror {
    pub key: Signal<In, Bits<8>>,
    pub bus: Slave,
    pub seen: Signal<Out, Bits<8>>,
}

impl Logic for Mirror {
    #[hdl_gen]
    fn update(&mut self) {
        self.bus.answer.next = self.key.val() - 1;
        self.seen.next = self.bus.address.val();
    }
}

/// Registers, structs, enums, arrays, loops, interfaces, constants and wide values in one block.
#[derive(LogicBlock)]
pub struct Constructs {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub step: Signal<In, Bits<8>>,
    pub wide: Signal<In, Bits<100>>,
    pub bundle: Signal<Out, Bundle>,
    pub bundle_bits: Signal<Out, Bits<3>>,
    pub parity: Signal<Out, Bit>,
    pub total: Signal<Out, Bits<10>>,
    pub reversed: Signal<Out, Bits<8>>,
    pub rotated: Signal<Out, Bits<100>>,
    pub flag: Signal<Out, Bit>,
    pub colour: Signal<Out, Bits<2>>,
    pub seen: Signal<Out, Bits<8>>,
    pub chosen: Signal<Out, Bits<8>>,
    pub is_key: Signal<Out, Bit>,
    counters: [Counter; 3],
    mirrors: [Mirror; 3],
    lanes: [Signal<Local, Bits<8>>; 5],
    stage: DFF<Bundle>,
    power_up: Constant<Bundle>,
    key: Constant<Bits<8>>,
    busy: Signal<Local, Bit>,
}

impl Default for Constructs {
    fn default() -> Self {
        Constructs {
            power_up: Constant::new(Bundle {
                valid: true,
                colour: Colour::Blue,
                wide: 77.into(),
                narrow: 5.into(),
            }),
            key: Constant::new(42.into()),
            clock: Default::default(),
            reset: Default::default(),
            step: Default::default(),
            wide: Default::default(),
            bundle: Default::default(),
            bundle_bits: Default::default(),
            parity: Default::default(),
            total: Default::default(),
            reversed: Default::default(),
            rotated: Default::default(),
            flag: Default::default(),
            colour: Default::default(),
            seen: Default::default(),
            chosen: Default::default(),
            is_key: Default::default(),
            counters: Default::default(),
            mirrors: Default::default(),
            lanes: Default::default(),
            stage: Default::default(),
            busy: Default::default(),
        }
    }
}

impl Logic for Constructs {
    #[hdl_gen]
    #[rustfmt::skip]
    fn update(&mut self) {
        dff_setup!(self, clock, stage);
        for i in 0..3 {
            self.counters[i].clock.next = self.clock.val();
            self.counters[i].step.next = self.step.val();
            self.mirrors[i].key.next = self.key.val();
            Master::join(&mut self.counters[i].bus, &mut self.mirrors[i].bus);
        }
        self.lanes[0].next = self.step.val();
        for i in 0..4 {
            if i == 2 {
                self.lanes[i + 1].next = self.lanes[i].val() + 3;
            } else {
                self.lanes[i + 1].next = self.lanes[i].val() + self.key.val();
            }
        }
        self.total.next = 0.into();
        self.parity.next = false;
        self.reversed.next = 0.into();
        for i in 0..8 {
            self.total.next = self.total.val() + self.step.val().get_bit(i);
            self.parity.next = self.parity.val() ^ self.step.val().get_bit(i);
            self.reversed.next = self.reversed.val().replace_bit(7 - i, self.lanes[4].val().get_bit(i));
        }
        self.busy.next = self.step.val().get_bit(0) && !self.reset.val() || self.stage.q.val().valid;
        if self.busy.val() {
            self.stage.d.next.wide = self.stage.q.val().wide + 1;
            self.stage.d.next.colour = self.counters[1].colour.val();
        } else if self.step.val() < 50 {
            self.stage.d.next.valid = true;
        }
        if self.reset.val() {
            self.stage.d.next = self.power_up.val();
        }
        self.bundle.next = self.stage.q.val();
        self.bundle_bits.next = self.bundle.val().narrow;
        self.rotated.next = (self.wide.val() >> self.step.val().get_bits::<5>(3)) | (self.wide.val() << 90);
        self.flag.next = self.step.val() == ZF;
        self.colour.next = self.stage.q.val().colour.into();
        self.seen.next = self.mirrors[2].seen.val();
        self.chosen.next = self.step.val();
        match self.stage.q.val().colour {
            Colour::Red => { self.chosen.next = 1.into(); }
            Colour::Blue => { self.chosen.next = self.lanes[3].val(); }
            _ => {}
        }
        self.is_key.next = (self.stage.q.val().colour == Colour::Blue) | (self.step.val() == self.key.val());
    }
}

#[test]
fn every_construct_means_the_same_in_verilog() {
    let mut random = Random::new(2);
    let run = Run {
        name: "constructs",
        clocks: 1000,
        clock: |top: &mut Constructs, level| top.clock.next = level.into(),
    };
    let report = compare(&run, &mut Constructs::default(), |top, clock| {
        top.reset.next = clock == 0 || random.one_in(20);
        top.step.next = random.bits(8).into();
        let (low, high): (Bits<100>, Bits<100>) = (random.bits(64).into(), random.bits(36).into());
        top.wide.next = low | (high << 64);
    });
    let counters = report
        .modules
        .iter()
        .filter(|module| module.name.ends_with("$count"))
        .count();
    assert_eq!(counters, 3, "sub-blocks of arrays are compared, too");
}

/// A block whose Verilog is not what its Rust says: one bit differs for one value in 256.
#[derive(LogicBlock, Default)]
pub struct Wrong {
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<Out, Bits<8>>,
}

impl Logic for Wrong {
    fn update(&mut self) {
        self.b.next = self.a.val();
    }

    fn connect(&mut self) {
        self.b.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) b = a == 8'd77 ? 8'd76 : a;".into())
    }
}

#[test]
#[should_panic(expected = "wrong.b: 2 of 512 vectors; clock 77 low: Rust 4d, Verilog 4c; a=4d")]
fn a_difference_is_found() {
    let run = Run {
        name: "wrong",
        clocks: 256,
        clock: no_clock,
    };
    compare(&run, &mut Wrong::default(), |top, clock| {
        top.a.next = (clock as u64).into()
    });
}

#[test]
#[should_panic(expected = "these modules got no vectors, their inputs never changed: idle")]
fn a_block_without_vectors_is_found() {
    let run = Run {
        name: "idle",
        clocks: 10,
        clock: no_clock,
    };
    compare(&run, &mut Wrong::default(), |top, _| top.a.next = 5.into());
}
