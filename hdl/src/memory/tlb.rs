//! Translation look-aside buffers: the translations of pages that were walked before.
use crate::prelude::*;

/// Number of entries; linear address bits 16:12 choose one.
const ENTRIES: usize = 32;
/// Bits of an entry: tag (linear 31:17), frame (physical 31:12), user, writable, dirty, uncached.
const ENTRY_BITS: usize = 15 + 20 + 4;

/// A page-granular, direct-mapped translation buffer with one look-up and one fill per clock.
///
/// Entries live in a RAM that is read without a clock; their valid bits are registers, so that a flush takes one clock.
/// A 4 MB page enters in pieces of 4 KB.
#[derive(LogicBlock, Default)]
pub struct Tlb {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // look-up, in the same clock
    /// Bits 31:12 of the linear address.
    pub lookup_page: Signal<In, Bits<20>>,
    pub hit: Signal<Out, Bit>,
    /// Bits 31:12 of the physical address, if `hit`.
    pub frame: Signal<Out, Bits<20>>,
    /// User code may access the page.
    pub user: Signal<Out, Bit>,
    /// Writes are permitted.
    pub writable: Signal<Out, Bit>,
    /// The D bit in memory is set.
    pub dirty: Signal<Out, Bit>,
    /// The PCD bit in memory is set.
    pub uncached: Signal<Out, Bit>,
    // from the walker
    pub fill_valid: Signal<In, Bit>,
    pub fill_page: Signal<In, Bits<20>>,
    pub fill_frame: Signal<In, Bits<20>>,
    pub fill_user: Signal<In, Bit>,
    pub fill_writable: Signal<In, Bit>,
    pub fill_dirty: Signal<In, Bit>,
    pub fill_uncached: Signal<In, Bit>,
    /// The page is a piece of a 4 MB page.
    pub fill_large: Signal<In, Bit>,
    /// The entry survives `flush_local`.
    pub fill_global: Signal<In, Bit>,
    // from the control registers
    /// Drops every entry.
    pub flush: Signal<In, Bit>,
    /// Drops every entry that is not global.
    pub flush_local: Signal<In, Bit>,
    /// Drops the entry of `flush_page` (INVLPG).
    pub flush_one: Signal<In, Bit>,
    pub flush_page: Signal<In, Bits<20>>,
    // state
    valid_reg: DFF<Bits<32>>,
    global_reg: DFF<Bits<32>>,
    /// An entry may be a piece of a 4 MB page: then INVLPG, which has to drop all its pieces, drops everything.
    large_reg: DFF<Bit>,
    // units
    entries: TlbMemory,
    // wires
    entry: Signal<Local, Bits<39>>,
    valid_bit: Signal<Local, Bits<32>>,
    fill_bit: Signal<Local, Bits<32>>,
    drop_bit: Signal<Local, Bits<32>>,
}

impl Logic for Tlb {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_reg, global_reg, large_reg);
        clock!(self, clock, entries);
        self.entries.read_index.next = self.lookup_page.val().get_bits::<5>(0);
        self.entry.next = self.entries.read_data.val();
        self.valid_bit.next = self.valid_reg.q.val() >> self.lookup_page.val().get_bits::<5>(0);
        self.hit.next = self.valid_bit.val().get_bit(0)
            & (self.entry.val().get_bits::<15>(0) == self.lookup_page.val().get_bits::<15>(5));
        self.frame.next = self.entry.val().get_bits::<20>(15);
        self.user.next = self.entry.val().get_bit(35);
        self.writable.next = self.entry.val().get_bit(36);
        self.dirty.next = self.entry.val().get_bit(37);
        self.uncached.next = self.entry.val().get_bit(38);

        self.entries.write_valid.next = self.fill_valid.val();
        self.entries.write_index.next = self.fill_page.val().get_bits::<5>(0);
        self.entries.write_data.next = bit_cast::<39, 15>(self.fill_page.val().get_bits::<15>(5))
            | (bit_cast::<39, 20>(self.fill_frame.val()) << 15)
            | (bit_cast::<39, 1>(self.fill_user.val().into()) << 35)
            | (bit_cast::<39, 1>(self.fill_writable.val().into()) << 36)
            | (bit_cast::<39, 1>(self.fill_dirty.val().into()) << 37)
            | (bit_cast::<39, 1>(self.fill_uncached.val().into()) << 38);
        self.fill_bit.next = bits::<32>(1) << self.fill_page.val().get_bits::<5>(0);
        self.drop_bit.next = bits::<32>(1) << self.flush_page.val().get_bits::<5>(0);
        if self.fill_valid.val() {
            self.valid_reg.d.next = self.valid_reg.q.val() | self.fill_bit.val();
            self.large_reg.d.next = self.large_reg.q.val() | self.fill_large.val();
            self.global_reg.d.next = self.global_reg.q.val() & !self.fill_bit.val();
            if self.fill_global.val() {
                self.global_reg.d.next = self.global_reg.q.val() | self.fill_bit.val();
            }
        }
        if self.flush_local.val() {
            self.valid_reg.d.next = self.valid_reg.q.val() & self.global_reg.q.val();
        }
        if self.flush_one.val() {
            self.valid_reg.d.next = self.valid_reg.q.val() & !self.drop_bit.val();
        }
        if self.reset.val() | self.flush.val() | (self.flush_one.val() & self.large_reg.q.val()) {
            self.valid_reg.d.next = 0.into();
            self.large_reg.d.next = false;
        }
    }
}

/// The RAM of a [`Tlb`]: one write per clock, one read without a clock.
#[derive(LogicBlock, Default)]
pub struct TlbMemory {
    pub clock: Signal<In, Clock>,
    pub read_index: Signal<In, Bits<5>>,
    pub read_data: Signal<Out, Bits<39>>,
    pub write_valid: Signal<In, Bit>,
    pub write_index: Signal<In, Bits<5>>,
    pub write_data: Signal<In, Bits<39>>,
    _contents: Vec<Bits<39>>,
}

impl Logic for TlbMemory {
    fn update(&mut self) {
        if self._contents.is_empty() {
            self._contents = vec![0.into(); ENTRIES];
        }
        if self.clock.pos_edge() && self.write_valid.val() {
            self._contents[self.write_index.val().index()] = self.write_data.val();
        }
        self.read_data.next = self._contents[self.read_index.val().index()];
    }
    fn connect(&mut self) {
        self.read_data.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "reg [{}:0] contents [0:{}];
integer i;
initial for (i = 0; i < {ENTRIES}; i = i + 1) contents[i] = 0;
always @(posedge clock) if (write_valid) contents[write_index] <= write_data;
always @(*) read_data = contents[read_index];
",
            ENTRY_BITS - 1,
            ENTRIES - 1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(tlb: &mut Tlb) {
        assert!(simulate(tlb, 50));
        tlb.clock.next = true.into();
        assert!(simulate(tlb, 50));
        tlb.clock.next = false.into();
    }

    fn fill(tlb: &mut Tlb, page: u64, frame: u64) {
        tlb.fill_valid.next = true;
        tlb.fill_page.next = page.into();
        tlb.fill_frame.next = frame.into();
        edge(tlb);
        tlb.fill_valid.next = false;
    }

    /// Entries for pages 40h to 5Fh, one in each place; their frames are the pages plus 1000h.
    fn full_tlb() -> Tlb {
        let mut tlb = Tlb::default();
        tlb.connect_all();
        tlb.reset.next = true;
        edge(&mut tlb);
        tlb.reset.next = false;
        for page in 0x40..0x60 {
            fill(&mut tlb, page, page + 0x1000);
        }
        tlb
    }

    fn look_up(tlb: &mut Tlb, page: u64) -> Option<u64> {
        tlb.lookup_page.next = page.into();
        assert!(simulate(tlb, 50));
        tlb.hit.val().then(|| tlb.frame.val().into())
    }

    #[test]
    fn every_entry_translates_its_page_and_no_other_of_its_place() {
        let mut tlb = full_tlb();
        for page in 0x40..0x60 {
            assert_eq!(look_up(&mut tlb, page), Some(page + 0x1000));
            assert_eq!(look_up(&mut tlb, page + 0x20), None);
            assert_eq!(look_up(&mut tlb, page + 0x8_0000), None);
        }
    }

    #[test]
    fn a_flush_drops_everything_in_one_clock() {
        let mut tlb = full_tlb();
        tlb.flush.next = true;
        edge(&mut tlb);
        tlb.flush.next = false;
        for page in 0x40..0x60 {
            assert_eq!(look_up(&mut tlb, page), None);
        }
    }

    #[test]
    fn a_local_flush_leaves_global_pages_until_another_takes_their_place() {
        let mut tlb = full_tlb();
        tlb.fill_global.next = true;
        fill(&mut tlb, 0x45, 0x1045);
        fill(&mut tlb, 0x46, 0x1046);
        tlb.fill_global.next = false;
        fill(&mut tlb, 0x66, 0x1066);
        tlb.flush_local.next = true;
        edge(&mut tlb);
        tlb.flush_local.next = false;
        for page in 0x40..0x80 {
            let expected = (page == 0x45).then_some(0x1045);
            assert_eq!(look_up(&mut tlb, page), expected, "{page:02X}");
        }
        tlb.flush.next = true;
        edge(&mut tlb);
        tlb.flush.next = false;
        assert_eq!(look_up(&mut tlb, 0x45), None);
    }

    #[test]
    fn a_page_is_dropped_alone_unless_large_pages_are_about() {
        for large in [false, true] {
            let mut tlb = full_tlb();
            tlb.fill_large.next = large;
            fill(&mut tlb, 0x45, 0x1045);
            tlb.flush_one.next = true;
            tlb.flush_page.next = 0x4A.into();
            edge(&mut tlb);
            tlb.flush_one.next = false;
            assert_eq!(look_up(&mut tlb, 0x4A), None);
            assert_eq!(look_up(&mut tlb, 0x4B), (!large).then_some(0x104B));
        }
    }
}
