//! Selectors and descriptor caches of all segments, and the table registers.
//!
//! Numbers 0..9 are those of `spec::registers`; 10 is the stack being entered, 11 the flat segment. The contents
//! after reset are written by microcode.
use crate::prelude::*;

/// Sixteen rows with two combinational read ports and one write port.
#[derive(LogicBlock, Default)]
pub struct SegmentRegisters {
    pub clock: Signal<In, Clock>,
    // address stage
    pub address_segment: Signal<In, Bits<4>>,
    pub address_base: Signal<Out, Bits<32>>,
    pub address_limit: Signal<Out, Bits<32>>,
    pub address_access: Signal<Out, Bits<16>>,
    // execute stage and debugger
    pub read_segment: Signal<In, Bits<4>>,
    pub read_selector: Signal<Out, Bits<16>>,
    pub read_base: Signal<Out, Bits<32>>,
    pub read_limit: Signal<Out, Bits<32>>,
    pub read_access: Signal<Out, Bits<16>>,
    pub write_segment: Signal<In, Bits<4>>,
    pub write_selector: Signal<In, Bit>,
    pub write_base: Signal<In, Bit>,
    pub write_limit: Signal<In, Bit>,
    pub write_access: Signal<In, Bit>,
    pub selector: Signal<In, Bits<16>>,
    pub base: Signal<In, Bits<32>>,
    pub limit: Signal<In, Bits<32>>,
    pub access: Signal<In, Bits<16>>,
    _rows: [(u16, u32, u32, u16); 16],
}

impl Logic for SegmentRegisters {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let row = &mut self._rows[self.write_segment.val().index()];
            if self.write_selector.val() {
                row.0 = self.selector.val().index() as u16;
            }
            if self.write_base.val() {
                row.1 = self.base.val().index() as u32;
            }
            if self.write_limit.val() {
                row.2 = self.limit.val().index() as u32;
            }
            if self.write_access.val() {
                row.3 = self.access.val().index() as u16;
            }
        }
        let row = self._rows[self.address_segment.val().index()];
        self.address_base.next = (row.1 as u64).into();
        self.address_limit.next = (row.2 as u64).into();
        self.address_access.next = (row.3 as u64).into();
        let row = self._rows[self.read_segment.val().index()];
        self.read_selector.next = (row.0 as u64).into();
        self.read_base.next = (row.1 as u64).into();
        self.read_limit.next = (row.2 as u64).into();
        self.read_access.next = (row.3 as u64).into();
    }
    fn connect(&mut self) {
        self.address_base.connect();
        self.address_limit.connect();
        self.address_access.connect();
        self.read_selector.connect();
        self.read_base.connect();
        self.read_limit.connect();
        self.read_access.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
reg [15:0] selectors [0:15];
reg [31:0] bases [0:15];
reg [31:0] limits [0:15];
reg [15:0] accesses [0:15];
integer i;
initial for (i = 0; i < 16; i = i + 1) begin
  selectors[i] = 16'h0; bases[i] = 32'h0; limits[i] = 32'h0; accesses[i] = 16'h0;
end
always @(posedge clock) begin
  if (write_selector) selectors[write_segment] <= selector;
  if (write_base) bases[write_segment] <= base;
  if (write_limit) limits[write_segment] <= limit;
  if (write_access) accesses[write_segment] <= access;
end
always @(*) begin
  address_base = bases[address_segment];
  address_limit = limits[address_segment];
  address_access = accesses[address_segment];
  read_selector = selectors[read_segment];
  read_base = bases[read_segment];
  read_limit = limits[read_segment];
  read_access = accesses[read_segment];
end
"
            .into(),
        )
    }
}
