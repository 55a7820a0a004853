//! First decode clock: cuts one instruction, or one prefix, from the bytes at the head of the fetch queue.
use super::length::{Layout, Length};
use super::rom::AsyncRom;
use super::shape::{ImmediateKind, Shape, shapes};
use crate::prelude::*;
use spec::opcodes::Map;

/// Prefixes cost one clock each, except 0Fh.
#[derive(LogicBlock, Default)]
pub struct Predecode {
    pub clock: Signal<In, Clock>,
    // from fetch
    /// The next twelve bytes, the first in the low bits.
    pub window: Signal<In, Bits<96>>,
    /// Marks of the first two: see `length.rs`.
    pub window_marks: Signal<In, Bits<32>>,
    /// How many of them are there (12 stands for more, too).
    pub window_bytes: Signal<In, Bits<6>>,
    /// The last of these is believed to be a branch's last.
    pub window_cut: Signal<In, Bit>,
    pub head_eip: Signal<In, Bits<32>>,
    /// The byte behind the last one there cannot be fetched.
    pub fetch_fault: Signal<In, Bit>,
    pub fetch_fault_code: Signal<In, Bits<3>>,
    pub fetch_fault_linear: Signal<In, Bits<32>>,
    // from the code segment
    pub code32: Signal<In, Bit>,
    // from hazard
    pub flush: Signal<In, Bit>,
    /// The instruction buffer has room for what is found here.
    pub advance: Signal<In, Bit>,
    // to fetch
    pub consume: Signal<Out, Bit>,
    pub consume_bytes: Signal<Out, Bits<4>>,
    pub consume_cut: Signal<Out, Bit>,
    // to the instruction buffer
    pub found: Signal<Out, Bit>,
    pub predecoded: Signal<Out, Predecoded>,
    /// Row of the opcode ROM.
    pub row_index: Signal<Out, Bits<11>>,
    pub bytes: Signal<Out, Bits<128>>,
    /// What was found is a branch predicted to be taken: what follows is from its target.
    pub follows: Signal<Out, Bit>,
    /// What was found does not end where a branch was predicted: it is to be fetched again, from `eip` on; a branch that
    /// ends before `displacement` is to be forgotten.
    pub miscut: Signal<Out, Bit>,
    // state
    /// What the prefixes so far have said; valid bits are cleared with each instruction.
    prefix_bytes: DFF<Bits<4>>,
    operand_prefix: DFF<Bit>,
    address_prefix: DFF<Bit>,
    segment_override: DFF<Bit>,
    segment: DFF<Bits<3>>,
    repeat_reg: DFF<Bit>,
    repeat_not_equal: DFF<Bit>,
    lock: DFF<Bit>,
    seen_bytes: DFF<Bits<128>>,
    // units
    one_byte: AsyncRom<Shape, 8>,
    two_byte: AsyncRom<Shape, 8>,
    short: Length,
    long: Length,
    // wires
    byte0: Signal<Local, Bits<8>>,
    two_byte_map: Signal<Local, Bit>,
    opcode: Signal<Local, Bits<8>>,
    modrm: Signal<Local, Bits<8>>,
    sib: Signal<Local, Bits<8>>,
    shape: Signal<Local, Shape>,
    operand16: Signal<Local, Bit>,
    address16: Signal<Local, Bit>,
    displacement_bytes: Signal<Local, Bits<3>>,
    layout: Signal<Local, Layout>,
    head_bytes: Signal<Local, Bits<4>>,
    immediate_at: Signal<Local, Bits<4>>,
    length: Signal<Local, Bits<4>>,
    total_length: Signal<Local, Bits<5>>,
    displacement_raw: Signal<Local, Bits<32>>,
    immediate_raw: Signal<Local, Bits<48>>,
    displacement: Signal<Local, Bits<32>>,
    immediate: Signal<Local, Bits<32>>,
    second_immediate: Signal<Local, Bits<16>>,
    lengths: Signal<Local, Bits<16>>,
    complete: Signal<Local, Bit>,
    is_prefix: Signal<Local, Bit>,
    too_long: Signal<Local, Bit>,
    /// Prefixes included.
    bytes_there: Signal<Local, Bits<6>>,
    faults: Signal<Local, Bit>,
    register_form: Signal<Local, Bit>,
    all_bytes: Signal<Local, Bits<128>>,
    take_prefix: Signal<Local, Bit>,
    finished: Signal<Local, Bit>,
    reaches_cut: Signal<Local, Bit>,
    is_branch: Signal<Local, Bit>,
    wrong: Signal<Local, Bit>,
    bytes_end: Signal<Local, Bits<32>>,
    eip: Signal<Local, Bits<32>>,
}

impl Predecode {
    pub fn new() -> Self {
        Self {
            one_byte: AsyncRom::new(shapes(Map::OneByte)),
            two_byte: AsyncRom::new(shapes(Map::TwoByte)),
            ..Default::default()
        }
    }
}

impl Logic for Predecode {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            prefix_bytes,
            operand_prefix,
            address_prefix,
            segment_override,
            segment,
            repeat_reg,
            repeat_not_equal,
            lock,
            seen_bytes
        );
        // The opcode and what hangs on it.
        self.byte0.next = self.window.val().get_bits::<8>(0);
        self.two_byte_map.next = self.byte0.val() == 15;
        self.one_byte.address.next = self.byte0.val();
        self.two_byte.address.next = self.window.val().get_bits::<8>(8);
        if self.two_byte_map.val() {
            self.opcode.next = self.window.val().get_bits::<8>(8);
            self.modrm.next = self.window.val().get_bits::<8>(16);
            self.sib.next = self.window.val().get_bits::<8>(24);
            self.shape.next = self.two_byte.row.val();
        } else {
            self.opcode.next = self.byte0.val();
            self.modrm.next = self.window.val().get_bits::<8>(8);
            self.sib.next = self.window.val().get_bits::<8>(16);
            self.shape.next = self.one_byte.row.val();
        }
        self.operand16.next = self.operand_prefix.q.val() == self.code32.val();
        self.address16.next = self.address_prefix.q.val() == self.code32.val();

        // The length in both maps, and then which map it is.
        self.short.mark.next.has_modrm = self.window_marks.val().get_bit(0);
        self.short.mark.next.ignores_mode = false;
        self.short.mark.next.immediate_of_test = self.window_marks.val().get_bit(1);
        self.short.mark.next.immediate = self.window_marks.val().get_bits::<3>(4);
        self.short.opcode_bytes.next = 1.into();
        self.short.modrm.next = self.window.val().get_bits::<8>(8);
        self.short.sib.next = self.window.val().get_bits::<8>(16);
        self.short.operand16.next = self.operand16.val();
        self.short.address16.next = self.address16.val();
        self.long.mark.next.has_modrm = self.window_marks.val().get_bit(24);
        self.long.mark.next.ignores_mode = self.window_marks.val().get_bit(25);
        self.long.mark.next.immediate_of_test = false;
        self.long.mark.next.immediate = self.window_marks.val().get_bits::<3>(28);
        self.long.opcode_bytes.next = 2.into();
        self.long.modrm.next = self.window.val().get_bits::<8>(16);
        self.long.sib.next = self.window.val().get_bits::<8>(24);
        self.long.operand16.next = self.operand16.val();
        self.long.address16.next = self.address16.val();
        self.layout.next = self.short.layout.val();
        if self.window_marks.val().get_bit(3) {
            self.layout.next = self.long.layout.val();
        }
        self.register_form.next = self.layout.val().register_form;
        self.head_bytes.next = self.layout.val().head_bytes;
        self.displacement_bytes.next = self.layout.val().displacement_bytes;
        self.immediate_at.next = self.layout.val().immediate_at;
        self.length.next = self.layout.val().length;
        self.total_length.next =
            bit_cast::<5, 4>(self.length.val()) + bit_cast::<5, 4>(self.prefix_bytes.q.val());
        self.displacement_raw.next = self.window.val().get_bits::<32>(16);
        if self.head_bytes.val() == 3 {
            self.displacement_raw.next = self.window.val().get_bits::<32>(24);
        }
        if self.head_bytes.val() == 4 {
            self.displacement_raw.next = self.window.val().get_bits::<32>(32);
        }
        self.immediate_raw.next = self.window.val().get_bits::<48>(8);
        match self.immediate_at.val().index() {
            2 => {
                self.immediate_raw.next = self.window.val().get_bits::<48>(16);
            }
            3 => {
                self.immediate_raw.next = self.window.val().get_bits::<48>(24);
            }
            4 => {
                self.immediate_raw.next = self.window.val().get_bits::<48>(32);
            }
            5 => {
                self.immediate_raw.next = self.window.val().get_bits::<48>(40);
            }
            6 => {
                self.immediate_raw.next = self.window.val().get_bits::<48>(48);
            }
            7 => {
                self.immediate_raw.next = bit_cast::<48, 40>(self.window.val().get_bits::<40>(56));
            }
            8 => {
                self.immediate_raw.next = bit_cast::<48, 32>(self.window.val().get_bits::<32>(64));
            }
            _ => {}
        }
        self.displacement.next = 0.into();
        if self.displacement_bytes.val() == 1 {
            self.displacement.next =
                (bit_cast::<32, 8>(self.displacement_raw.val().get_bits::<8>(0)) ^ 0x80) - 0x80;
        }
        if self.displacement_bytes.val() == 2 {
            self.displacement.next =
                (bit_cast::<32, 16>(self.displacement_raw.val().get_bits::<16>(0)) ^ 0x8000)
                    - 0x8000;
        }
        if self.displacement_bytes.val() == 4 {
            self.displacement.next = self.displacement_raw.val();
        }
        self.immediate.next = self.immediate_raw.val().get_bits::<32>(0);
        self.second_immediate.next = self.immediate_raw.val().get_bits::<16>(32);
        match self.shape.val().immediate {
            ImmediateKind::None => {
                self.immediate.next = 0.into();
            }
            ImmediateKind::Byte => {
                self.immediate.next = bit_cast::<32, 8>(self.immediate_raw.val().get_bits::<8>(0));
            }
            ImmediateKind::SignedByte => {
                self.immediate.next =
                    (bit_cast::<32, 8>(self.immediate_raw.val().get_bits::<8>(0)) ^ 0x80) - 0x80;
            }
            ImmediateKind::Word => {
                self.immediate.next =
                    bit_cast::<32, 16>(self.immediate_raw.val().get_bits::<16>(0));
            }
            ImmediateKind::WordByte => {
                self.immediate.next =
                    bit_cast::<32, 16>(self.immediate_raw.val().get_bits::<16>(0));
                self.second_immediate.next =
                    bit_cast::<16, 8>(self.immediate_raw.val().get_bits::<8>(16));
            }
            ImmediateKind::FarPointer => {
                if self.operand16.val() {
                    self.immediate.next =
                        bit_cast::<32, 16>(self.immediate_raw.val().get_bits::<16>(0));
                    self.second_immediate.next = self.immediate_raw.val().get_bits::<16>(16);
                }
            }
            ImmediateKind::Operand => {
                // Sign-extended, so that a relative target can be added at once.
                if self.operand16.val() {
                    self.immediate.next =
                        (bit_cast::<32, 16>(self.immediate_raw.val().get_bits::<16>(0)) ^ 0x8000)
                            - 0x8000;
                }
            }
            ImmediateKind::Offset => {
                if self.address16.val() {
                    self.immediate.next =
                        bit_cast::<32, 16>(self.immediate_raw.val().get_bits::<16>(0));
                }
            }
            _ => {}
        }

        self.bytes_there.next =
            self.window_bytes.val() + bit_cast::<6, 4>(self.prefix_bytes.q.val());
        // Is it all there? Garbage behind the last byte can only make the length larger than what is there.
        self.is_prefix.next = (self.window_bytes.val() != 0) & self.window_marks.val().get_bit(2);
        // Bit n: n bytes are there, so that a length only has to choose a bit.
        self.lengths.next = 0xFFFF.into();
        if self.window_bytes.val() < 15 {
            self.lengths.next =
                !(bit_cast::<16, 16>(0xFFFE.into()) << self.window_bytes.val().get_bits::<4>(0));
        }
        self.complete.next = (self.window_bytes.val() != 0)
            & !self.is_prefix.val()
            & (self.lengths.val() >> self.length.val()).get_bit(0);
        self.faults.next = self.fetch_fault.val()
            & !(self.complete.val() | self.is_prefix.val() | self.window_cut.val());

        // A cut has to lie behind a branch.
        self.is_branch.next = self.shape.val().branch
            | (self.shape.val().branches_near
                & !self.modrm.val().get_bit(3)
                & (self.modrm.val().get_bit(4) != self.modrm.val().get_bit(5)));
        self.reaches_cut.next = self.window_cut.val()
            & (self.window_bytes.val() <= bit_cast::<6, 4>(self.length.val()));
        self.wrong.next = self.reaches_cut.val()
            & (self.is_prefix.val() | !(self.complete.val() & self.is_branch.val()));

        self.too_long.next = (self.prefix_bytes.q.val() == 15)
            | (!self.is_prefix.val()
                & (self.total_length.val() > 15)
                & (bit_cast::<6, 4>(self.length.val()) <= self.window_bytes.val()))
            | (self.faults.val() & (self.bytes_there.val() > 14));
        // In a clock that flushes, too: who takes it then drops it.
        self.found.next =
            self.complete.val() | self.faults.val() | self.too_long.val() | self.wrong.val();
        self.take_prefix.next = self.is_prefix.val()
            & !((self.prefix_bytes.q.val() == 15)
                | (self.window_cut.val() & (self.window_bytes.val() == 1)));
        self.finished.next = self.found.val() & self.advance.val();
        // What is found otherwise is the last thing found until fetch begins anew.
        self.consume.next = self.take_prefix.val() | (self.complete.val() & self.advance.val());
        // A prefix that ends in a fault, or is cut, takes the rest with it anyway.
        self.consume_bytes.next = self.length.val();
        if self.is_prefix.val() {
            self.consume_bytes.next = 1.into();
        }
        self.consume_cut.next = self.reaches_cut.val();
        self.follows.next = self.reaches_cut.val() & !self.wrong.val();
        self.miscut.next = self.wrong.val();

        // To the next clock.
        self.eip.next = self.head_eip.val() - bit_cast::<32, 4>(self.prefix_bytes.q.val());
        self.predecoded.next.eip = self.eip.val();
        self.predecoded.next.next_eip = self.head_eip.val() + bit_cast::<32, 4>(self.length.val());
        self.predecoded.next.length = bit_cast::<4, 5>(self.total_length.val());
        self.predecoded.next.opcode = self.opcode.val();
        self.predecoded.next.modrm = self.modrm.val();
        self.predecoded.next.sib = self.sib.val();
        self.predecoded.next.displacement = self.displacement.val();
        self.predecoded.next.immediate = self.immediate.val();
        self.predecoded.next.second_immediate = self.second_immediate.val();
        self.predecoded.next.operand16 = self.operand16.val();
        self.predecoded.next.address16 = self.address16.val();
        self.predecoded.next.segment_override = self.segment_override.q.val();
        self.predecoded.next.segment = self.segment.q.val();
        self.predecoded.next.repeat = self.repeat_reg.q.val();
        self.predecoded.next.repeat_not_equal = self.repeat_not_equal.q.val();
        self.predecoded.next.lock = self.lock.q.val();
        self.predecoded.next.relative = self.shape.val().relative;
        self.predecoded.next.always_taken = self.shape.val().always_taken;
        self.predecoded.next.fetch_fault = self.faults.val() & !self.too_long.val();
        self.predecoded.next.fetch_fault_code = self.fetch_fault_code.val();
        self.predecoded.next.too_long = self.too_long.val();
        self.bytes_end.next = self.head_eip.val() + bit_cast::<32, 6>(self.window_bytes.val());
        if self.faults.val() {
            self.predecoded.next.displacement = self.fetch_fault_linear.val();
            // Behind the byte that cannot be fetched: it may lie beyond the limit.
            self.predecoded.next.next_eip = self.bytes_end.val() + 1;
            self.predecoded.next.length = self.prefix_bytes.q.val();
        }
        if self.wrong.val() {
            // Goes on where it begins.
            self.predecoded.next.next_eip = self.eip.val();
            self.predecoded.next.immediate = 0.into();
            self.predecoded.next.operand16 = false;
            self.predecoded.next.displacement = self.bytes_end.val();
        }
        self.row_index.next = bit_cast::<11, 8>(self.opcode.val())
            | (bit_cast::<11, 1>(self.two_byte_map.val().into()) << 8)
            | (bit_cast::<11, 1>(self.register_form.val().into()) << 10);
        if self.shape.val().grouped {
            self.row_index.next = (bit_cast::<11, 5>(self.shape.val().group) << 3)
                | bit_cast::<11, 3>(self.modrm.val().get_bits::<3>(3))
                | 512
                | (bit_cast::<11, 1>(self.register_form.val().into()) << 10);
        }
        self.all_bytes.next = self.seen_bytes.q.val()
            | (bit_cast::<128, 96>(self.window.val())
                << bit_cast::<7, 7>(bit_cast::<7, 4>(self.prefix_bytes.q.val()) << 3));
        self.bytes.next = self.all_bytes.val();

        // Prefixes add up until their instruction is found.
        if self.take_prefix.val() {
            self.prefix_bytes.d.next = self.prefix_bytes.q.val() + 1;
            self.seen_bytes.d.next = self.seen_bytes.q.val()
                | (bit_cast::<128, 8>(self.byte0.val())
                    << bit_cast::<7, 7>(bit_cast::<7, 4>(self.prefix_bytes.q.val()) << 3));
            match self.byte0.val().index() {
                38 => {
                    self.segment_override.d.next = true;
                    self.segment.d.next = 0.into();
                }
                46 => {
                    self.segment_override.d.next = true;
                    self.segment.d.next = 1.into();
                }
                54 => {
                    self.segment_override.d.next = true;
                    self.segment.d.next = 2.into();
                }
                62 => {
                    self.segment_override.d.next = true;
                    self.segment.d.next = 3.into();
                }
                100 => {
                    self.segment_override.d.next = true;
                    self.segment.d.next = 4.into();
                }
                101 => {
                    self.segment_override.d.next = true;
                    self.segment.d.next = 5.into();
                }
                102 => {
                    self.operand_prefix.d.next = true;
                }
                103 => {
                    self.address_prefix.d.next = true;
                }
                240 => {
                    self.lock.d.next = true;
                }
                242 => {
                    self.repeat_reg.d.next = true;
                    self.repeat_not_equal.d.next = true;
                }
                243 => {
                    self.repeat_reg.d.next = true;
                    self.repeat_not_equal.d.next = false;
                }
                _ => {}
            }
        }
        if self.finished.val() | self.flush.val() {
            self.prefix_bytes.d.next = 0.into();
            self.operand_prefix.d.next = false;
            self.address_prefix.d.next = false;
            self.segment_override.d.next = false;
            self.repeat_reg.d.next = false;
            self.repeat_not_equal.d.next = false;
            self.lock.d.next = false;
            self.seen_bytes.d.next = 0.into();
        }
    }
}
