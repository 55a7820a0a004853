//! General registers and the temporaries of microcode, as they have retired.
use crate::prelude::*;

/// Sixteen rows of 32 bits, six combinational read ports, one write port.
#[derive(LogicBlock, Default)]
pub struct RegisterRows {
    pub clock: Signal<In, Clock>,
    pub base: Signal<In, Bits<4>>,
    pub index: Signal<In, Bits<4>>,
    pub a: Signal<In, Bits<4>>,
    pub b: Signal<In, Bits<4>>,
    pub c: Signal<In, Bits<4>>,
    pub old: Signal<In, Bits<4>>,
    pub base_value: Signal<Out, Bits<32>>,
    pub index_value: Signal<Out, Bits<32>>,
    pub a_value: Signal<Out, Bits<32>>,
    pub b_value: Signal<Out, Bits<32>>,
    pub c_value: Signal<Out, Bits<32>>,
    pub old_value: Signal<Out, Bits<32>>,
    pub write: Signal<In, Bit>,
    pub write_number: Signal<In, Bits<4>>,
    pub write_value: Signal<In, Bits<32>>,
    _rows: [u32; 16],
}

impl Logic for RegisterRows {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.write.val() {
            self._rows[self.write_number.val().index()] = self.write_value.val().index() as u32;
        }
        self.base_value.next = (self._rows[self.base.val().index()] as u64).into();
        self.index_value.next = (self._rows[self.index.val().index()] as u64).into();
        self.a_value.next = (self._rows[self.a.val().index()] as u64).into();
        self.b_value.next = (self._rows[self.b.val().index()] as u64).into();
        self.c_value.next = (self._rows[self.c.val().index()] as u64).into();
        self.old_value.next = (self._rows[self.old.val().index()] as u64).into();
    }
    fn connect(&mut self) {
        self.base_value.connect();
        self.index_value.connect();
        self.a_value.connect();
        self.b_value.connect();
        self.c_value.connect();
        self.old_value.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
reg [31:0] rows [0:15];
integer i;
initial for (i = 0; i < 16; i = i + 1) rows[i] = 32'h0;
always @(posedge clock) if (write) rows[write_number] <= write_value;
always @(*) begin
  base_value = rows[base];
  index_value = rows[index];
  a_value = rows[a];
  b_value = rows[b];
  c_value = rows[c];
  old_value = rows[old];
end
"
            .into(),
        )
    }
}

/// The rows, and ESP beside them, since an instruction may write it besides its result.
#[derive(LogicBlock, Default)]
pub struct Registers {
    pub clock: Signal<In, Clock>,
    pub base: Signal<In, Bits<4>>,
    pub index: Signal<In, Bits<4>>,
    pub a: Signal<In, Bits<4>>,
    pub b: Signal<In, Bits<4>>,
    pub c: Signal<In, Bits<4>>,
    pub old: Signal<In, Bits<4>>,
    pub base_value: Signal<Out, Bits<32>>,
    pub index_value: Signal<Out, Bits<32>>,
    pub a_value: Signal<Out, Bits<32>>,
    pub b_value: Signal<Out, Bits<32>>,
    pub c_value: Signal<Out, Bits<32>>,
    pub old_value: Signal<Out, Bits<32>>,
    pub write: Signal<In, Bit>,
    pub write_number: Signal<In, Bits<4>>,
    pub write_value: Signal<In, Bits<32>>,
    /// Second write, overruled by a first write of ESP.
    pub write_esp: Signal<In, Bit>,
    pub write_esp_value: Signal<In, Bits<32>>,
    pub esp_value: Signal<Out, Bits<32>>,
    row_file: RegisterRows,
    esp: DFF<Bits<32>>,
}

impl Logic for Registers {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, esp);
        clock!(self, clock, row_file);
        self.row_file.base.next = self.base.val();
        self.row_file.index.next = self.index.val();
        self.row_file.a.next = self.a.val();
        self.row_file.b.next = self.b.val();
        self.row_file.c.next = self.c.val();
        self.row_file.old.next = self.old.val();
        self.row_file.write.next = self.write.val();
        self.row_file.write_number.next = self.write_number.val();
        self.row_file.write_value.next = self.write_value.val();
        // The address stage has an ESP of its own.
        self.base_value.next = self.row_file.base_value.val();
        self.index_value.next = self.row_file.index_value.val();
        self.a_value.next = self.row_file.a_value.val();
        self.b_value.next = self.row_file.b_value.val();
        self.c_value.next = self.row_file.c_value.val();
        self.old_value.next = self.row_file.old_value.val();
        if self.a.val() == 4 {
            self.a_value.next = self.esp.q.val();
        }
        if self.b.val() == 4 {
            self.b_value.next = self.esp.q.val();
        }
        if self.c.val() == 4 {
            self.c_value.next = self.esp.q.val();
        }
        if self.old.val() == 4 {
            self.old_value.next = self.esp.q.val();
        }
        self.esp_value.next = self.esp.q.val();
        if self.write_esp.val() {
            self.esp.d.next = self.write_esp_value.val();
        }
        if self.write.val() & (self.write_number.val() == 4) {
            self.esp.d.next = self.write_value.val();
        }
    }
}
