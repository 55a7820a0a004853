//! Sixteen entries between the line and the software.
use crate::prelude::*;

/// Small memory: written at the clock's edge, read in the same clock. An entry is a byte and three error bits.
#[derive(LogicBlock, Default)]
pub struct FifoMemory {
    pub clock: Signal<In, Clock>,
    pub write: Signal<In, Bit>,
    pub write_index: Signal<In, Bits<4>>,
    pub write_data: Signal<In, Bits<11>>,
    pub read_index: Signal<In, Bits<4>>,
    pub read_data: Signal<Out, Bits<11>>,
    _entries: [Bits<11>; 16],
}

impl Logic for FifoMemory {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.write.val() {
            self._entries[self.write_index.val().index()] = self.write_data.val();
        }
        self.read_data.next = self._entries[self.read_index.val().index()];
    }
    fn connect(&mut self) {
        self.read_data.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
reg [10:0] entries [0:15];
integer i;
initial for (i = 0; i < 16; i = i + 1) entries[i] = 11'h0;
always @(posedge clock) if (write) entries[write_index] <= write_data;
always @(*) read_data = entries[read_index];
"
            .into(),
        )
    }
}

/// A queue of 16 entries; push and pop may come in the same clock. Popping nothing and pushing into a full queue
/// (without a pop) is the user's mistake.
#[derive(LogicBlock, Default)]
pub struct Fifo {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub clear: Signal<In, Bit>,
    pub push: Signal<In, Bit>,
    pub push_data: Signal<In, Bits<11>>,
    pub pop: Signal<In, Bit>,
    /// The oldest entry.
    pub head: Signal<Out, Bits<11>>,
    pub count: Signal<Out, Bits<5>>,
    pub empty: Signal<Out, Bit>,
    pub full: Signal<Out, Bit>,
    // state
    head_index_reg: DFF<Bits<4>>,
    count_reg: DFF<Bits<5>>,
    // units
    memory: FifoMemory,
}

impl Logic for Fifo {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, head_index_reg, count_reg);
        self.memory.clock.next = self.clock.val();
        self.memory.write.next = self.push.val();
        self.memory.write_index.next =
            self.head_index_reg.q.val() + bit_cast::<4, 5>(self.count_reg.q.val());
        self.memory.write_data.next = self.push_data.val();
        self.memory.read_index.next = self.head_index_reg.q.val();
        self.head.next = self.memory.read_data.val();
        self.count.next = self.count_reg.q.val();
        self.empty.next = !self.count_reg.q.val().any();
        self.full.next = self.count_reg.q.val().get_bit(4);

        if self.pop.val() {
            self.head_index_reg.d.next = self.head_index_reg.q.val() + 1;
        }
        if self.push.val() & !self.pop.val() {
            self.count_reg.d.next = self.count_reg.q.val() + 1;
        }
        if self.pop.val() & !self.push.val() {
            self.count_reg.d.next = self.count_reg.q.val() - 1;
        }
        if self.clear.val() | self.reset.val() {
            self.count_reg.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, start, tick};
    clocked!(Fifo);

    #[test]
    fn entries_leave_in_the_order_they_came() {
        let mut fifo = start(Fifo::default());
        let mut model = std::collections::VecDeque::new();
        let mut random = 1u32;
        for _ in 0..2000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (push, pop) = (random >> 30 & 1 == 1, random >> 29 & 1 == 1);
            let pop = pop && !model.is_empty();
            let push = push && (model.len() < 16 || pop);
            let data = (random >> 8 & 0x7FF) as u64;
            fifo.push.next = push;
            fifo.push_data.next = data.into();
            fifo.pop.next = pop;
            tick(&mut fifo);
            if pop {
                model.pop_front();
            }
            if push {
                model.push_back(data);
            }
            assert_eq!(fifo.count.val(), model.len() as u64);
            assert_eq!(fifo.empty.val(), model.is_empty());
            assert_eq!(fifo.full.val(), model.len() == 16);
            if let Some(&head) = model.front() {
                assert_eq!(fifo.head.val(), head);
            }
        }
    }
}
