//! Read-only tables: combinational for small ones, clocked block RAM for rows and microcode.
use crate::prelude::*;

/// A combinational table of 2^A rows.
#[derive(LogicBlock, Default)]
pub struct AsyncRom<T: Synth, const A: usize> {
    pub address: Signal<In, Bits<A>>,
    pub row: Signal<Out, T>,
    _rows: Vec<T>,
}

impl<T: Synth, const A: usize> AsyncRom<T, A> {
    /// A table with these rows; those behind the last are `T::default()`.
    pub fn new(mut rows: Vec<T>) -> Self {
        assert!(rows.len() <= 1 << A);
        rows.resize(1 << A, T::default());
        Self {
            address: Default::default(),
            row: Default::default(),
            _rows: rows,
        }
    }
}

impl<T: Synth, const A: usize> Logic for AsyncRom<T, A> {
    fn update(&mut self) {
        self.row.next = self._rows[self.address.val().index()];
    }
    fn connect(&mut self) {
        self.row.connect();
    }
    fn hdl(&self) -> Verilog {
        let mut text = String::from("always @(*) case (address)\n");
        for (address, row) in self._rows.iter().enumerate() {
            if *row != T::default() {
                text += &format!("  {A}'d{address}: row = {:x};\n", row.verilog());
            }
        }
        text += &format!("  default: row = {:x};\nendcase\n", T::default().verilog());
        Verilog::Custom(text)
    }
}

/// A table of 2^A rows in block RAM: the row of `address` is there in the clock after one with `enable`, and stays.
#[derive(LogicBlock, Default)]
pub struct SyncRom<T: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub enable: Signal<In, Bit>,
    pub address: Signal<In, Bits<A>>,
    pub row: Signal<Out, T>,
    _rows: Vec<T>,
}

impl<T: Synth, const A: usize> SyncRom<T, A> {
    /// A table with these rows; those behind the last are `T::default()`.
    pub fn new(mut rows: Vec<T>) -> Self {
        assert!(
            rows.len() <= 1 << A,
            "{} rows do not fit {A} address bits",
            rows.len()
        );
        rows.resize(1 << A, T::default());
        Self {
            clock: Default::default(),
            enable: Default::default(),
            address: Default::default(),
            row: Default::default(),
            _rows: rows,
        }
    }
}

impl<T: Synth, const A: usize> Logic for SyncRom<T, A> {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.enable.val() {
            self.row.next = self._rows[self.address.val().index()];
        }
    }
    fn connect(&mut self) {
        self.row.connect();
    }
    fn hdl(&self) -> Verilog {
        let (width, last) = (T::BITS, (1 << A) - 1);
        let mut text = format!("reg [{}:0] rows [0:{last}];\ninitial begin\n", width - 1);
        for (address, row) in self._rows.iter().enumerate() {
            text += &format!("  rows[{address}] = {:x};\n", row.verilog());
        }
        text += "end\nalways @(posedge clock) if (enable) row <= rows[address];\n";
        Verilog::Custom(text)
    }
}
