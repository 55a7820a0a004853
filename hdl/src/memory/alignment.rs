//! Moves bytes between right-aligned operands and the lanes of aligned 8-byte words.
use crate::prelude::*;

/// Which byte lanes of one or two consecutive 8-byte words an access touches.
#[derive(LogicBlock, Default)]
pub struct AccessLanes {
    /// Address bits 2:0 of the first byte.
    pub offset: Signal<In, Bits<3>>,
    /// Bytes: 1, 2, 4 or 8.
    pub size: Signal<In, Bits<4>>,
    /// Lanes in the word of the first byte.
    pub first_byte_enable: Signal<Out, Bits<8>>,
    /// Lanes in the word after it; 0 unless the access crosses.
    pub second_byte_enable: Signal<Out, Bits<8>>,
    /// The access crosses into the next word.
    pub crossing: Signal<Out, Bit>,
    // wires
    at_lane_0: Signal<Local, Bits<16>>,
    both_words: Signal<Local, Bits<16>>,
}

impl Logic for AccessLanes {
    #[hdl_gen]
    fn update(&mut self) {
        self.at_lane_0.next = 0x01.into();
        if self.size.val().get_bit(1) {
            self.at_lane_0.next = 0x03.into();
        }
        if self.size.val().get_bit(2) {
            self.at_lane_0.next = 0x0F.into();
        }
        if self.size.val().get_bit(3) {
            self.at_lane_0.next = 0xFF.into();
        }
        self.both_words.next = self.at_lane_0.val() << self.offset.val();
        self.first_byte_enable.next = self.both_words.val().get_bits::<8>(0);
        self.second_byte_enable.next = self.both_words.val().get_bits::<8>(8);
        self.crossing.next = self.second_byte_enable.val().any();
    }
}

/// Puts a right-aligned operand into the lanes of one or two words.
#[derive(LogicBlock, Default)]
pub struct StoreAlignment {
    /// Address bits 2:0 of the first byte.
    pub offset: Signal<In, Bits<3>>,
    pub operand: Signal<In, Bits<64>>,
    /// The operand in its lanes, which are different ones in the two words of an access that crosses: so these are the
    /// lanes of both.
    pub lanes: Signal<Out, Bits<64>>,
    // wires
    rotated_four: Signal<Local, Bits<64>>,
    rotated_two: Signal<Local, Bits<64>>,
}

impl Logic for StoreAlignment {
    #[hdl_gen]
    fn update(&mut self) {
        self.rotated_four.next = self.operand.val();
        if self.offset.val().get_bit(2) {
            self.rotated_four.next = (self.operand.val() << 32) | (self.operand.val() >> 32);
        }
        self.rotated_two.next = self.rotated_four.val();
        if self.offset.val().get_bit(1) {
            self.rotated_two.next =
                (self.rotated_four.val() << 16) | (self.rotated_four.val() >> 48);
        }
        self.lanes.next = self.rotated_two.val();
        if self.offset.val().get_bit(0) {
            self.lanes.next = (self.rotated_two.val() << 8) | (self.rotated_two.val() >> 56);
        }
    }
}

/// Rotates 8 bytes to the right.
#[derive(LogicBlock, Default)]
pub struct ByteRotation {
    /// Bytes.
    pub by: Signal<In, Bits<3>>,
    pub data: Signal<In, Bits<64>>,
    pub rotated: Signal<Out, Bits<64>>,
    // wires
    rotated_four: Signal<Local, Bits<64>>,
    rotated_two: Signal<Local, Bits<64>>,
}

impl Logic for ByteRotation {
    #[hdl_gen]
    fn update(&mut self) {
        self.rotated_four.next = self.data.val();
        if self.by.val().get_bit(2) {
            self.rotated_four.next = (self.data.val() >> 32) | (self.data.val() << 32);
        }
        self.rotated_two.next = self.rotated_four.val();
        if self.by.val().get_bit(1) {
            self.rotated_two.next =
                (self.rotated_four.val() >> 16) | (self.rotated_four.val() << 48);
        }
        self.rotated.next = self.rotated_two.val();
        if self.by.val().get_bit(0) {
            self.rotated.next = (self.rotated_two.val() >> 8) | (self.rotated_two.val() << 56);
        }
    }
}

/// Takes a right-aligned operand out of the lanes of its word or words, and out of the operand of the store before it.
///
/// The word that arrives from memory passes as little logic as possible: the rotation, and what comes from elsewhere is
/// added. The low half of an operand at a multiple of four passes one choice only.
#[derive(LogicBlock, Default)]
pub struct LoadAlignment {
    /// Address bits 2:0 of the first byte.
    pub offset: Signal<In, Bits<3>>,
    /// The word from memory.
    pub arriving_data: Signal<In, Bits<64>>,
    /// Lanes that do not come from `arriving_data`.
    pub held_lanes: Signal<In, Bits<8>>,
    /// What these lanes hold; 0 in lanes that are not part of the operand.
    pub held_data: Signal<In, Bits<64>>,
    /// Lanes that come from a store's operand; they are 0 in `held_data`.
    pub stored_lanes: Signal<In, Bits<8>>,
    /// The store's operand, right-aligned.
    pub stored_operand: Signal<In, Bits<64>>,
    /// Bytes to the right from the store's operand to this one: the difference of their addresses.
    pub stored_distance: Signal<In, Bits<3>>,
    pub operand: Signal<Out, Bits<64>>,
    /// Its low half, if `offset` is 0 or 4.
    pub aligned_operand: Signal<Out, Bits<32>>,
    // units
    held_mask: ByteMask,
    stored_mask: ByteMask,
    rotation: ByteRotation,
    held_rotation: ByteRotation,
    stored_rotation: ByteRotation,
    // wires
    stored_twice: Signal<Local, Bits<16>>,
    arriving: Signal<Local, Bits<64>>,
    /// What does not come from memory in this clock, in its place.
    known: Signal<Local, Bits<64>>,
    half: Signal<Local, Bits<32>>,
    half_held: Signal<Local, Bits<32>>,
}

impl Logic for LoadAlignment {
    #[hdl_gen]
    fn update(&mut self) {
        self.held_mask.byte_enable.next = self.held_lanes.val();
        self.rotation.by.next = self.offset.val();
        self.arriving.next = self.arriving_data.val() & !self.held_mask.mask.val();
        self.rotation.data.next = self.arriving.val();
        self.held_rotation.by.next = self.offset.val();
        self.held_rotation.data.next = self.held_data.val() & self.held_mask.mask.val();
        self.stored_twice.next = (bit_cast::<16, 8>(self.stored_lanes.val())
            | (bit_cast::<16, 8>(self.stored_lanes.val()) << 8))
            >> self.offset.val();
        self.stored_mask.byte_enable.next = self.stored_twice.val().get_bits::<8>(0);
        self.stored_rotation.by.next = self.stored_distance.val();
        self.stored_rotation.data.next = self.stored_operand.val();
        self.known.next = self.held_rotation.rotated.val()
            | (self.stored_rotation.rotated.val() & self.stored_mask.mask.val());
        self.operand.next = self.rotation.rotated.val() | self.known.val();
        self.half.next = self.arriving_data.val().get_bits::<32>(0);
        self.half_held.next = self.held_mask.mask.val().get_bits::<32>(0);
        if self.offset.val().get_bit(2) {
            self.half.next = self.arriving_data.val().get_bits::<32>(32);
            self.half_held.next = self.held_mask.mask.val().get_bits::<32>(32);
        }
        self.aligned_operand.next =
            (self.half.val() & !self.half_held.val()) | self.known.val().get_bits::<32>(0);
    }
}

/// Widens byte enables to a mask of bits.
#[derive(LogicBlock, Default)]
pub struct ByteMask {
    pub byte_enable: Signal<In, Bits<8>>,
    pub mask: Signal<Out, Bits<64>>,
    // wires
    lane: [Signal<Local, Bits<8>>; 8],
}

impl Logic for ByteMask {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..8 {
            self.lane[i].next = 0x00.into();
            if self.byte_enable.val().get_bit(i) {
                self.lane[i].next = 0xFF.into();
            }
        }
        self.mask.next = bit_cast::<64, 8>(self.lane[0].val())
            | (bit_cast::<64, 8>(self.lane[1].val()) << 8)
            | (bit_cast::<64, 8>(self.lane[2].val()) << 16)
            | (bit_cast::<64, 8>(self.lane[3].val()) << 24)
            | (bit_cast::<64, 8>(self.lane[4].val()) << 32)
            | (bit_cast::<64, 8>(self.lane[5].val()) << 40)
            | (bit_cast::<64, 8>(self.lane[6].val()) << 48)
            | (bit_cast::<64, 8>(self.lane[7].val()) << 56);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(bytes: [u8; 16], from: usize) -> u64 {
        u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap())
    }

    #[test]
    fn operands_move_to_and_from_their_lanes_for_every_offset_and_size() {
        let mut access = AccessLanes::default();
        let mut store = StoreAlignment::default();
        let mut load = LoadAlignment::default();
        access.connect_all();
        store.connect_all();
        load.connect_all();
        let operand = 0x8877_6655_4433_2211_u64;
        for offset in 0..8usize {
            for size in [1usize, 2, 4, 8] {
                let mut memory = [0u8; 16];
                let mut enables = 0u64;
                for i in 0..size {
                    memory[offset + i] = operand.to_le_bytes()[i];
                    enables |= 1 << (offset + i);
                }
                access.offset.next = (offset as u64).into();
                access.size.next = (size as u64).into();
                assert!(simulate(&mut access, 20));
                assert_eq!(access.first_byte_enable.val(), enables & 0xFF);
                assert_eq!(access.second_byte_enable.val(), enables >> 8);
                assert_eq!(access.crossing.val(), enables >> 8 != 0);

                store.offset.next = (offset as u64).into();
                store.operand.next = operand.into();
                assert!(simulate(&mut store, 20));
                for (lane, byte) in memory.iter().enumerate() {
                    if enables >> lane & 1 == 1 {
                        let word = store.lanes.val();
                        assert_eq!(
                            (u64::from(word) >> (8 * (lane % 8))) as u8,
                            *byte,
                            "offset {offset} lane {lane}"
                        );
                    }
                }

                // The first word has come before if the access crosses; the other lanes are nobody's.
                let crossing = enables >> 8 != 0;
                let held = if crossing {
                    enables & 0xFF
                } else {
                    !enables & 0xFF
                };
                load.offset.next = (offset as u64).into();
                load.held_lanes.next = (held | !(enables | enables >> 8) & 0xFF).into();
                load.held_data.next = if crossing { lanes(memory, 0) } else { 0 }.into();
                load.arriving_data.next = lanes(memory, if crossing { 8 } else { 0 }).into();
                assert!(simulate(&mut load, 20));
                let expected = if size == 8 {
                    operand
                } else {
                    operand & ((1 << (8 * size)) - 1)
                };
                assert_eq!(load.operand.val(), expected, "offset {offset} size {size}");
                if offset % 4 == 0 {
                    assert_eq!(load.aligned_operand.val(), expected & 0xFFFF_FFFF);
                }

                // The same operand again, from a store to any offset of the word; what memory has is old.
                if crossing {
                    continue;
                }
                for store_offset in 0..8usize {
                    load.held_lanes.next = 0xFF.into();
                    load.held_data.next = 0.into();
                    load.stored_lanes.next = enables.into();
                    let distance = (offset + 8 - store_offset) % 8;
                    load.stored_distance.next = (distance as u64).into();
                    load.stored_operand.next = operand.rotate_left(8 * distance as u32).into();
                    assert!(simulate(&mut load, 20));
                    assert_eq!(
                        load.operand.val(),
                        expected,
                        "{offset} {size} {store_offset}"
                    );
                    if offset % 4 == 0 {
                        assert_eq!(load.aligned_operand.val(), expected & 0xFFFF_FFFF);
                    }
                }
                load.stored_lanes.next = 0.into();
            }
        }
    }

    #[test]
    fn a_byte_mask_has_eight_bits_per_enabled_lane() {
        let mut block = ByteMask::default();
        block.connect_all();
        for enable in 0..256u64 {
            block.byte_enable.next = enable.into();
            assert!(simulate(&mut block, 20));
            let expected = (0..8)
                .filter(|i| enable >> i & 1 == 1)
                .fold(0u64, |mask, i| mask | 0xFF << (8 * i));
            assert_eq!(block.mask.val(), expected);
        }
    }
}
