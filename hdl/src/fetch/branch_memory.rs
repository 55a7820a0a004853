//! Block RAM of the branch targets: one port reads, the other reads or writes.
use crate::prelude::*;

/// A table of 2^A rows; a row that is read is there in the next clock. What a port reads while the other writes the same
/// row is undefined.
#[derive(LogicBlock, Default)]
pub struct BranchMemory<T: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub read_index: Signal<In, Bits<A>>,
    pub read_row: Signal<Out, T>,
    pub data_index: Signal<In, Bits<A>>,
    pub data_write: Signal<In, Bit>,
    pub data_write_row: Signal<In, T>,
    /// Of no meaning after a write.
    pub data_row: Signal<Out, T>,
    _rows: Vec<T>,
}

impl<T: Synth, const A: usize> BranchMemory<T, A> {
    /// A table of zeros.
    pub fn new() -> Self {
        Self {
            _rows: vec![T::default(); 1 << A],
            ..Default::default()
        }
    }
}

impl<T: Synth, const A: usize> Logic for BranchMemory<T, A> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.read_row.next = self._rows[self.read_index.val().index()];
            let index = self.data_index.val().index();
            if self.data_write.val() {
                self._rows[index] = self.data_write_row.val();
            } else {
                self.data_row.next = self._rows[index];
            }
        }
    }
    fn connect(&mut self) {
        self.read_row.connect();
        self.data_row.connect();
    }
    fn hdl(&self) -> Verilog {
        let (width, last) = (T::BITS, (1 << A) - 1);
        Verilog::Custom(format!(
            "\
(* no_rw_check *) reg [{high}:0] rows [0:{last}];
integer row;
initial begin
  for (row = 0; row <= {last}; row = row + 1) rows[row] = {width}'h0;
  read_row = {width}'h0;
  data_row = {width}'h0;
end
always @(posedge clock) read_row <= rows[read_index];
always @(posedge clock)
  if (data_write) rows[data_index] <= data_write_row;
  else data_row <= rows[data_index];
",
            high = width - 1
        ))
    }
}
