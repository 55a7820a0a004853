//! The access of the micro-op in the memory stage: translation, permission, reads, both halves of a crossing access.
use crate::memory::{AccessLanes, PortUse};
use crate::prelude::*;

/// Takes an access to the point where its micro-op may move into execute.
///
/// A load asks for its word every clock until its micro-op moves; the answer to a request that was accepted while
/// execute was occupied is dropped. So the data always meet the stores that are older than the load and have not
/// reached memory in the store buffer, in the one clock of the answer. For the same reason a load that crosses words
/// asks for the first one only when execute is empty.
#[derive(LogicBlock, Default)]
pub struct MemoryAccess {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    // from the pipeline: see `DataUnit`
    pub access_read: Signal<In, Bit>,
    pub access_write: Signal<In, Bit>,
    pub access_probe: Signal<In, Bit>,
    pub access_io: Signal<In, Bit>,
    pub access_linear: Signal<In, Bits<32>>,
    pub access_size: Signal<In, Bits<4>>,
    pub access_crosses: Signal<In, Bit>,
    pub access_user: Signal<In, Bit>,
    pub access_blocked: Signal<In, Bit>,
    pub access_refused: Signal<In, Bit>,
    pub execute_empty: Signal<In, Bit>,
    pub hold_io_reads: Signal<In, Bit>,
    pub memory_advance: Signal<In, Bit>,
    // to the pipeline
    pub memory_ready: Signal<Out, Bit>,
    pub page_fault: Signal<Out, Bit>,
    pub page_fault_code: Signal<Out, Bits<3>>,
    pub page_fault_linear: Signal<Out, Bits<32>>,
    // to and from the data TLB, in the same clock
    /// Bits 31:12 of the half that is looked at in this clock.
    pub lookup_page: Signal<Out, Bits<20>>,
    pub tlb_hit: Signal<In, Bit>,
    pub tlb_frame: Signal<In, Bits<20>>,
    pub tlb_user: Signal<In, Bit>,
    pub tlb_writable: Signal<In, Bit>,
    pub tlb_dirty: Signal<In, Bit>,
    pub tlb_uncached: Signal<In, Bit>,
    pub paging: Signal<In, Bit>,
    pub write_protect: Signal<In, Bit>,
    // to and from the page walker
    /// The page of this half must be walked, and the access is certain to happen.
    pub walk_wanted: Signal<Out, Bit>,
    /// The walk of this access ends in a page fault.
    pub walk_fault: Signal<In, Bit>,
    pub walk_fault_present: Signal<In, Bit>,
    // to and from the port
    pub store_buffer_empty: Signal<In, Bit>,
    /// A load is here that asks for its word if it is translated; one that was not in the last clock lets stores go,
    /// for a walk waits for them.
    pub load_first: Signal<Out, Bit>,
    pub load_request: Signal<Out, Bit>,
    pub load_io: Signal<Out, Bit>,
    pub load_word: Signal<Out, Bits<29>>,
    pub load_byte_enable: Signal<Out, Bits<8>>,
    pub load_cacheable: Signal<Out, Bit>,
    pub load_use: Signal<Out, PortUse>,
    pub load_granted: Signal<In, Bit>,
    pub io_read_answered: Signal<In, Bit>,
    // to execute, valid with `memory_ready`
    /// There is an access, and it does not fault.
    pub accesses: Signal<Out, Bit>,
    /// The same, whether it is refused or not: known early, and valid in every clock.
    pub occupied: Signal<Out, Bit>,
    /// The access crosses into the next word.
    pub crossing: Signal<Out, Bit>,
    /// Physical address of the first byte.
    pub first_physical: Signal<Out, Bits<32>>,
    /// Bits 31:3 of the physical address of the last word.
    pub last_word: Signal<Out, Bits<29>>,
    pub first_byte_enable: Signal<Out, Bits<8>>,
    pub second_byte_enable: Signal<Out, Bits<8>>,
    /// Valid in every clock: the first half of a crossing access is looked at.
    pub first_half: Signal<Out, Bit>,
    /// The I/O read has its answer.
    pub io_read_done: Signal<Out, Bit>,
    /// The I/O read has begun or begins in this clock.
    pub io_read_committed: Signal<Out, Bit>,
    // state
    /// Bits 31:3 of the linear address of the second half, if it is looked at.
    next_word_reg: DFF<Bits<29>>,
    /// The access crosses words and its first half is done.
    second_half_reg: DFF<Bit>,
    first_physical_reg: DFF<Bits<32>>,
    page_fault_reg: DFF<Bit>,
    page_present_reg: DFF<Bit>,
    /// The access was refused in the last clock.
    refused_reg: DFF<Bit>,
    io_read_begun_reg: DFF<Bit>,
    io_read_done_reg: DFF<Bit>,
    /// A load was here in the last clock and was not translated.
    held_back_reg: DFF<Bit>,
    // units
    lanes: AccessLanes,
    // wires
    access_valid: Signal<Local, Bit>,
    half_linear: Signal<Local, Bits<32>>,
    half_physical: Signal<Local, Bits<32>>,
    translate: Signal<Local, Bit>,
    permitted: Signal<Local, Bit>,
    translated: Signal<Local, Bit>,
    usable: Signal<Local, Bit>,
    certain: Signal<Local, Bit>,
    memory_read: Signal<Local, Bit>,
    io_read: Signal<Local, Bit>,
    load_waits: Signal<Local, Bit>,
    memory_read_wanted: Signal<Local, Bit>,
    io_read_wanted: Signal<Local, Bit>,
}

impl Logic for MemoryAccess {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            next_word_reg,
            second_half_reg,
            first_physical_reg,
            page_fault_reg,
            page_present_reg,
            refused_reg,
            io_read_begun_reg,
            io_read_done_reg,
            held_back_reg
        );
        self.access_valid.next =
            (self.access_read.val() | self.access_write.val() | self.access_probe.val())
                & !self.access_blocked.val();
        self.memory_read.next = self.access_read.val() & !self.access_io.val();
        self.io_read.next = self.access_read.val() & self.access_io.val();
        self.certain.next = self.execute_empty.val() & self.store_buffer_empty.val();

        // The half that is looked at in this clock. The second begins with its word.
        self.lanes.offset.next = self.access_linear.val().get_bits::<3>(0);
        self.lanes.size.next = self.access_size.val();
        self.crossing.next = self.access_crosses.val();
        self.first_byte_enable.next = self.lanes.first_byte_enable.val();
        self.second_byte_enable.next = self.lanes.second_byte_enable.val();
        self.first_half.next = self.access_crosses.val() & !self.second_half_reg.q.val();
        self.next_word_reg.d.next = self.access_linear.val().get_bits::<29>(3) + 1;
        self.half_linear.next = self.access_linear.val();
        if self.second_half_reg.q.val() {
            self.half_linear.next = bit_cast::<32, 29>(self.next_word_reg.q.val()) << 3;
        }

        // Its translation. A write to a page whose D bit is clear walks, to set it; so does what is not permitted,
        // for the tables in memory have the last word.
        self.lookup_page.next = self.half_linear.val().get_bits::<20>(12);
        self.translate.next = self.paging.val() & !self.access_io.val();
        self.permitted.next = (self.tlb_user.val() | !self.access_user.val())
            & (!self.access_write.val()
                | (self.tlb_dirty.val()
                    & (self.tlb_writable.val()
                        | (!self.access_user.val() & !self.write_protect.val()))));
        self.translated.next = !self.translate.val() | (self.tlb_hit.val() & self.permitted.val());
        self.half_physical.next = self.half_linear.val();
        if self.translate.val() {
            self.half_physical.next = (bit_cast::<32, 20>(self.tlb_frame.val()) << 12)
                | bit_cast::<32, 12>(self.half_linear.val().get_bits::<12>(0));
        }
        self.first_physical.next = self.half_physical.val();
        if self.second_half_reg.q.val() {
            self.first_physical.next = self.first_physical_reg.q.val();
        }
        self.last_word.next = self.half_physical.val().get_bits::<29>(3);
        self.occupied.next = self.access_valid.val() & !self.page_fault_reg.q.val();
        self.accesses.next = self.occupied.val() & !self.access_refused.val();
        self.usable.next = self.occupied.val() & self.translated.val();
        self.walk_wanted.next = self.accesses.val() & !self.translated.val() & self.certain.val();
        // What is refused does not walk; that is known too late to be ready in the same clock.
        self.refused_reg.d.next = self.access_valid.val() & self.access_refused.val();

        // Its read. Stores are held back for a clock even if it turns out to fault: that is known late.
        self.load_waits.next = self.memory_read.val()
            & !self.page_fault_reg.q.val()
            & (!self.first_half.val() | self.execute_empty.val());
        self.load_first.next = self.load_waits.val() & !self.held_back_reg.q.val();
        self.held_back_reg.d.next = self.load_waits.val() & !self.usable.val();
        self.memory_read_wanted.next = self.load_first.val() & self.usable.val();
        // Ports are not translated, so this does not wait for the look-up.
        self.io_read_wanted.next = self.occupied.val()
            & self.io_read.val()
            & self.certain.val()
            & !self.hold_io_reads.val()
            & !self.io_read_begun_reg.q.val()
            & !self.io_read_done_reg.q.val();
        self.load_io.next = self.io_read_wanted.val();
        self.load_request.next = self.memory_read_wanted.val() | self.io_read_wanted.val();
        self.load_word.next = self.half_physical.val().get_bits::<29>(3);
        self.load_byte_enable.next = self.lanes.first_byte_enable.val();
        if self.second_half_reg.q.val() {
            self.load_byte_enable.next = self.lanes.second_byte_enable.val();
        }
        self.load_cacheable.next = !(self.translate.val() & self.tlb_uncached.val());
        self.load_use.next = PortUse::Dropped;
        if self.access_io.val() {
            self.load_use.next = PortUse::IoRead;
        } else if self.access_refused.val() {
            self.load_use.next = PortUse::Dropped;
        } else if self.first_half.val() {
            self.load_use.next = PortUse::FirstLoad;
        } else if self.memory_advance.val() {
            self.load_use.next = PortUse::LastLoad;
        }

        // What has been done.
        if self.usable.val() & self.first_half.val() {
            self.first_physical_reg.d.next = self.half_physical.val();
            if !self.access_read.val() | (self.memory_read.val() & self.load_granted.val()) {
                self.second_half_reg.d.next = true;
            }
        }
        if self.io_read_wanted.val() & self.load_granted.val() {
            self.io_read_begun_reg.d.next = true;
        }
        if self.io_read_answered.val() {
            self.io_read_begun_reg.d.next = false;
            if self.first_half.val() {
                self.second_half_reg.d.next = true;
            } else {
                self.io_read_done_reg.d.next = true;
            }
        }
        if self.walk_fault.val() {
            self.page_fault_reg.d.next = true;
            self.page_present_reg.d.next = self.walk_fault_present.val();
        }
        if self.memory_advance.val() | self.flush.val() | self.reset.val() {
            self.second_half_reg.d.next = false;
            self.page_fault_reg.d.next = false;
            self.refused_reg.d.next = false;
            self.io_read_begun_reg.d.next = false;
            self.io_read_done_reg.d.next = false;
        }

        // Whether that is all.
        self.memory_ready.next = !self.access_valid.val()
            | self.page_fault_reg.q.val()
            | self.refused_reg.q.val()
            | (self.translated.val()
                & !self.first_half.val()
                & (!self.access_read.val()
                    | (self.io_read.val() & self.io_read_done_reg.q.val())
                    | (self.load_first.val() & self.load_granted.val())));
        self.page_fault.next = self.access_valid.val() & self.page_fault_reg.q.val();
        self.page_fault_code.next = bit_cast::<3, 1>(self.page_present_reg.q.val().into())
            | (bit_cast::<3, 1>(self.access_write.val().into()) << 1)
            | (bit_cast::<3, 1>(self.access_user.val().into()) << 2);
        self.page_fault_linear.next = self.half_linear.val();
        self.io_read_done.next = self.io_read_done_reg.q.val();
        self.io_read_committed.next = self.io_read.val()
            & (self.io_read_wanted.val()
                | self.io_read_begun_reg.q.val()
                | self.io_read_done_reg.q.val()
                | self.second_half_reg.q.val());
    }
}
