//! Walks the two levels of page tables when a translation buffer does not know a page.
use crate::prelude::*;

/// Where a walk is.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum WalkState {
    Idle,
    /// Wants to read the page-directory entry.
    ReadDirectory,
    /// Waits for it.
    AwaitDirectory,
    /// Wants to read the page-table entry, if there is one.
    ReadTable,
    /// Waits for it.
    AwaitTable,
    /// Decides: fault, or accessed and dirty bits to set, or fill.
    Check,
    /// Wants to write the page-directory entry back.
    WriteDirectory,
    /// Wants to write the page-table entry back.
    WriteTable,
    /// Hands the translation over.
    Fill,
    /// Reports a page fault.
    Fault,
}

/// One page walk at a time: 4 KB pages in two levels, 4 MB pages when CR4.PSE is set.
///
/// Accessed and dirty bits are written only when the access is permitted.
#[derive(LogicBlock, Default)]
pub struct PageWalker {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Gives the walk up at the end of this clock; a read that the port has accepted is not waited for.
    pub flush: Signal<In, Bit>,
    // the access; taken when `start` meets `!busy`
    pub start: Signal<In, Bit>,
    /// Bits 31:12 of the linear address.
    pub start_page: Signal<In, Bits<20>>,
    pub start_write: Signal<In, Bit>,
    pub start_user: Signal<In, Bit>,
    /// The walk is for the fetch stage.
    pub start_fetch: Signal<In, Bit>,
    pub busy: Signal<Out, Bit>,
    // control registers
    /// Bits 31:12 of CR3.
    pub directory_frame: Signal<In, Bits<20>>,
    /// CR3.PCD: the page directory is not cached.
    pub directory_uncached: Signal<In, Bit>,
    pub write_protect: Signal<In, Bit>,
    pub page_size_extension: Signal<In, Bit>,
    pub page_global_enable: Signal<In, Bit>,
    // the port
    pub port_request: Signal<Out, Bit>,
    pub port_write: Signal<Out, Bit>,
    /// Physical address of the entry, 4-byte aligned.
    pub port_address: Signal<Out, Bits<32>>,
    pub port_write_data: Signal<Out, Bits<32>>,
    /// The entry may be read from a cache.
    pub port_cacheable: Signal<Out, Bit>,
    /// The request is accepted at the end of this clock.
    pub port_accepted: Signal<In, Bit>,
    /// `port_read_data` answers the last accepted read.
    pub port_answered: Signal<In, Bit>,
    /// The aligned 8-byte word.
    pub port_read_data: Signal<In, Bits<64>>,
    // the result, for one clock
    pub fill_valid: Signal<Out, Bit>,
    pub fault_valid: Signal<Out, Bit>,
    /// The walk was for the fetch stage.
    pub fetch: Signal<Out, Bit>,
    pub page: Signal<Out, Bits<20>>,
    pub frame: Signal<Out, Bits<20>>,
    pub user: Signal<Out, Bit>,
    pub writable: Signal<Out, Bit>,
    pub dirty: Signal<Out, Bit>,
    /// PCD of the entry that names the page.
    pub uncached: Signal<Out, Bit>,
    pub four_megabytes: Signal<Out, Bit>,
    /// Loads of CR3 leave the translation alone.
    pub global: Signal<Out, Bit>,
    /// With `fault_valid`: the page is present (bit 0 of the error code).
    pub fault_present: Signal<Out, Bit>,
    // state
    state_reg: DFF<WalkState>,
    page_reg: DFF<Bits<20>>,
    write_reg: DFF<Bit>,
    user_reg: DFF<Bit>,
    fetch_reg: DFF<Bit>,
    directory_reg: DFF<Bits<32>>,
    /// It is present, and not that of a large page.
    has_table_reg: DFF<Bit>,
    table_reg: DFF<Bits<32>>,
    // wires
    directory_address: Signal<Local, Bits<32>>,
    table_address: Signal<Local, Bits<32>>,
    read_half: Signal<Local, Bits<32>>,
    large_page: Signal<Local, Bit>,
    present: Signal<Local, Bit>,
    page_user: Signal<Local, Bit>,
    page_writable: Signal<Local, Bit>,
    permitted: Signal<Local, Bit>,
    directory_marked: Signal<Local, Bits<32>>,
    table_marked: Signal<Local, Bits<32>>,
    mark_directory: Signal<Local, Bit>,
    mark_table: Signal<Local, Bit>,
}

impl Logic for PageWalker {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state_reg,
            page_reg,
            write_reg,
            user_reg,
            fetch_reg,
            directory_reg,
            has_table_reg,
            table_reg
        );
        self.busy.next = self.state_reg.q.val() != WalkState::Idle;
        self.fetch.next = self.fetch_reg.q.val();
        self.page.next = self.page_reg.q.val();
        self.fill_valid.next = self.state_reg.q.val() == WalkState::Fill;
        self.fault_valid.next = self.state_reg.q.val() == WalkState::Fault;

        // Addresses of the two entries.
        self.directory_address.next = (bit_cast::<32, 20>(self.directory_frame.val()) << 12)
            | (bit_cast::<32, 10>(self.page_reg.q.val().get_bits::<10>(10)) << 2);
        self.table_address.next =
            (bit_cast::<32, 20>(self.directory_reg.q.val().get_bits::<20>(12)) << 12)
                | (bit_cast::<32, 10>(self.page_reg.q.val().get_bits::<10>(0)) << 2);

        // What the entries say together: bits 0 present, 1 writable, 2 user, 5 accessed, 6 dirty, 7 page size.
        self.large_page.next =
            self.directory_reg.q.val().get_bit(7) & self.page_size_extension.val();
        self.present.next = self.directory_reg.q.val().get_bit(0)
            & (self.large_page.val() | self.table_reg.q.val().get_bit(0));
        self.page_writable.next = self.directory_reg.q.val().get_bit(1)
            & (self.large_page.val() | self.table_reg.q.val().get_bit(1));
        self.page_user.next = self.directory_reg.q.val().get_bit(2)
            & (self.large_page.val() | self.table_reg.q.val().get_bit(2));
        // A supervisor may write read-only pages unless CR0.WP forbids it.
        self.permitted.next = (!self.user_reg.q.val() | self.page_user.val())
            & (!self.write_reg.q.val()
                | self.page_writable.val()
                | (!self.user_reg.q.val() & !self.write_protect.val()));
        self.directory_marked.next = self.directory_reg.q.val() | 0x20;
        self.table_marked.next = self.table_reg.q.val() | 0x20;
        if self.write_reg.q.val() {
            self.table_marked.next = self.table_reg.q.val() | 0x60;
            if self.large_page.val() {
                self.directory_marked.next = self.directory_reg.q.val() | 0x60;
            }
        }
        self.mark_directory.next = self.directory_marked.val() != self.directory_reg.q.val();
        self.mark_table.next =
            !self.large_page.val() & (self.table_marked.val() != self.table_reg.q.val());

        // The translation.
        self.four_megabytes.next = self.large_page.val();
        self.user.next = self.page_user.val();
        self.writable.next = self.page_writable.val();
        self.fault_present.next = self.present.val();
        self.frame.next = self.table_reg.q.val().get_bits::<20>(12);
        self.dirty.next = self.table_marked.val().get_bit(6);
        // The directory entry of a table says how the table is cached, not its pages.
        self.uncached.next = self.table_reg.q.val().get_bit(4);
        self.global.next = self.table_reg.q.val().get_bit(8) & self.page_global_enable.val();
        if self.large_page.val() {
            self.frame.next = (bit_cast::<20, 10>(self.directory_reg.q.val().get_bits::<10>(22))
                << 10)
                | bit_cast::<20, 10>(self.page_reg.q.val().get_bits::<10>(0));
            self.dirty.next = self.directory_marked.val().get_bit(6);
            self.uncached.next = self.directory_reg.q.val().get_bit(4);
            self.global.next =
                self.directory_reg.q.val().get_bit(8) & self.page_global_enable.val();
        }

        // One request at a time; which half of the word answers is address bit 2.
        self.port_request.next = false;
        self.port_write.next = false;
        self.port_address.next = self.directory_address.val();
        self.port_write_data.next = self.directory_marked.val();
        self.port_cacheable.next = !self.directory_uncached.val();
        self.read_half.next = self.port_read_data.val().get_bits::<32>(0);
        match self.state_reg.q.val() {
            WalkState::Idle => {
                if self.start.val() {
                    self.state_reg.d.next = WalkState::ReadDirectory;
                    self.page_reg.d.next = self.start_page.val();
                    self.write_reg.d.next = self.start_write.val();
                    self.user_reg.d.next = self.start_user.val();
                    self.fetch_reg.d.next = self.start_fetch.val();
                }
            }
            WalkState::ReadDirectory => {
                self.port_request.next = true;
                if self.port_accepted.val() {
                    self.state_reg.d.next = WalkState::AwaitDirectory;
                }
            }
            WalkState::AwaitDirectory => {
                if self.page_reg.q.val().get_bit(10) {
                    self.read_half.next = self.port_read_data.val().get_bits::<32>(32);
                }
                self.directory_reg.d.next = self.read_half.val();
                self.has_table_reg.d.next = self.read_half.val().get_bit(0)
                    & !(self.read_half.val().get_bit(7) & self.page_size_extension.val());
                if self.port_answered.val() {
                    self.state_reg.d.next = WalkState::ReadTable;
                }
            }
            WalkState::ReadTable => {
                self.port_address.next = self.table_address.val();
                self.port_cacheable.next = !self.directory_reg.q.val().get_bit(4);
                if self.has_table_reg.q.val() {
                    self.port_request.next = true;
                    if self.port_accepted.val() {
                        self.state_reg.d.next = WalkState::AwaitTable;
                    }
                } else {
                    self.state_reg.d.next = WalkState::Check;
                }
            }
            WalkState::AwaitTable => {
                if self.page_reg.q.val().get_bit(0) {
                    self.read_half.next = self.port_read_data.val().get_bits::<32>(32);
                }
                self.table_reg.d.next = self.read_half.val();
                if self.port_answered.val() {
                    self.state_reg.d.next = WalkState::Check;
                }
            }
            WalkState::Check => {
                if !(self.present.val() & self.permitted.val()) {
                    self.state_reg.d.next = WalkState::Fault;
                } else if self.mark_directory.val() {
                    self.state_reg.d.next = WalkState::WriteDirectory;
                } else if self.mark_table.val() {
                    self.state_reg.d.next = WalkState::WriteTable;
                } else {
                    self.state_reg.d.next = WalkState::Fill;
                }
            }
            WalkState::WriteDirectory => {
                self.port_request.next = true;
                self.port_write.next = true;
                if self.port_accepted.val() {
                    self.state_reg.d.next = WalkState::Fill;
                    if self.mark_table.val() {
                        self.state_reg.d.next = WalkState::WriteTable;
                    }
                }
            }
            WalkState::WriteTable => {
                self.port_request.next = true;
                self.port_write.next = true;
                self.port_address.next = self.table_address.val();
                self.port_write_data.next = self.table_marked.val();
                if self.port_accepted.val() {
                    self.state_reg.d.next = WalkState::Fill;
                }
            }
            WalkState::Fill => {
                self.state_reg.d.next = WalkState::Idle;
            }
            WalkState::Fault => {
                self.state_reg.d.next = WalkState::Idle;
            }
        }
        if self.flush.val() | self.reset.val() {
            self.state_reg.d.next = WalkState::Idle;
        }
    }
}
