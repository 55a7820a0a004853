//! Where calls return to, as far as fetch has come.
use crate::prelude::*;

/// Sixteen addresses; the oldest are overwritten.
///
/// Fetch pushes and pops what it predicts. When instructions go on elsewhere than predicted, the stack returns to what
/// calls and returns that retired have made of it; addresses that younger ones overwrote are lost.
#[derive(LogicBlock, Default)]
pub struct ReturnStack {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // fetch goes to where a call or a return leads
    pub push: Signal<In, Bit>,
    pub push_linear: Signal<In, Bits<32>>,
    /// Only while an address is there.
    pub pop: Signal<In, Bit>,
    /// The youngest address, if there is one.
    pub there: Signal<Out, Bit>,
    pub top: Signal<Out, Bits<32>>,
    // retirement
    pub call_retires: Signal<In, Bit>,
    pub return_retires: Signal<In, Bit>,
    /// Instructions go on elsewhere, behind the one that retires; if `push` is set, too, that one is a call.
    pub restore: Signal<In, Bit>,
    // state
    top_reg: DFF<Bits<4>>,
    depth_reg: DFF<Bits<4>>,
    retired_top_reg: DFF<Bits<4>>,
    retired_depth_reg: DFF<Bits<4>>,
    // units
    addresses: ReturnMemory,
    // wires
    above: Signal<Local, Bits<4>>,
    retired_top: Signal<Local, Bits<4>>,
    retired_depth: Signal<Local, Bits<4>>,
}

impl Logic for ReturnStack {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            top_reg,
            depth_reg,
            retired_top_reg,
            retired_depth_reg
        );
        clock!(self, clock, addresses);
        self.addresses.read_index.next = self.top_reg.q.val();
        self.top.next = self.addresses.read_linear.val();
        self.there.next = self.depth_reg.q.val() != 0;

        self.retired_top.next = self.retired_top_reg.q.val();
        self.retired_depth.next = self.retired_depth_reg.q.val();
        if self.call_retires.val() {
            self.retired_top.next = self.retired_top_reg.q.val() + 1;
            if self.retired_depth_reg.q.val() != 15 {
                self.retired_depth.next = self.retired_depth_reg.q.val() + 1;
            }
        }
        if self.return_retires.val() {
            self.retired_top.next = self.retired_top_reg.q.val() - 1;
            if self.retired_depth_reg.q.val() != 0 {
                self.retired_depth.next = self.retired_depth_reg.q.val() - 1;
            }
        }
        self.retired_top_reg.d.next = self.retired_top.val();
        self.retired_depth_reg.d.next = self.retired_depth.val();

        if self.pop.val() {
            self.top_reg.d.next = self.top_reg.q.val() - 1;
            self.depth_reg.d.next = self.depth_reg.q.val() - 1;
        }
        self.above.next = self.top_reg.q.val() + 1;
        if self.push.val() {
            self.top_reg.d.next = self.above.val();
            if self.depth_reg.q.val() != 15 {
                self.depth_reg.d.next = self.depth_reg.q.val() + 1;
            }
        }
        self.addresses.write_index.next = self.above.val();
        // A call that goes elsewhere as it retires has its place already.
        if self.restore.val() {
            self.top_reg.d.next = self.retired_top.val();
            self.depth_reg.d.next = self.retired_depth.val();
            self.addresses.write_index.next = self.retired_top.val();
        }
        self.addresses.write.next = self.push.val();
        self.addresses.write_linear.next = self.push_linear.val();
        if self.reset.val() {
            self.top_reg.d.next = 0.into();
            self.depth_reg.d.next = 0.into();
            self.retired_top_reg.d.next = 0.into();
            self.retired_depth_reg.d.next = 0.into();
        }
    }
}

/// Registers that are read without a clock.
#[derive(LogicBlock, Default)]
pub struct ReturnMemory {
    pub clock: Signal<In, Clock>,
    pub read_index: Signal<In, Bits<4>>,
    pub read_linear: Signal<Out, Bits<32>>,
    pub write: Signal<In, Bit>,
    pub write_index: Signal<In, Bits<4>>,
    pub write_linear: Signal<In, Bits<32>>,
    _addresses: [Bits<32>; 16],
}

impl Logic for ReturnMemory {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.write.val() {
            self._addresses[self.write_index.val().index()] = self.write_linear.val();
        }
        self.read_linear.next = self._addresses[self.read_index.val().index()];
    }
    fn connect(&mut self) {
        self.read_linear.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
reg [31:0] addresses [0:15];
integer i;
initial for (i = 0; i < 16; i = i + 1) addresses[i] = 0;
always @(posedge clock) if (write) addresses[write_index] <= write_linear;
always @(*) read_linear = addresses[read_index];
"
            .to_string(),
        )
    }
}
