//! Where calls return to, as far as fetch has come.
use crate::prelude::*;

/// Sixteen addresses; the oldest are overwritten.
///
/// Fetch pushes and pops what it predicts. When instructions go on elsewhere than it expected, the stack returns to what
/// the calls and returns that were issued, or that retired, have made of it; addresses that younger ones overwrote are
/// lost.
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
    // issue
    pub call_issues: Signal<In, Bit>,
    pub return_issues: Signal<In, Bit>,
    /// Instructions go on elsewhere behind the one that issues. If `push` is set, too, that one is a call.
    pub issue_redirects: Signal<In, Bit>,
    // retirement
    pub call_retires: Signal<In, Bit>,
    pub return_retires: Signal<In, Bit>,
    /// The same behind the one that retires.
    pub retire_redirects: Signal<In, Bit>,
    // units
    fetched: StackPointer,
    issued: StackPointer,
    retired: StackPointer,
    addresses: ReturnMemory,
    // wires
    redirects: Signal<Local, Bit>,
}

impl Logic for ReturnStack {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, fetched, issued, retired, addresses);
        self.retired.reset.next = self.reset.val();
        self.retired.push.next = self.call_retires.val();
        self.retired.pop.next = self.return_retires.val();
        self.retired.load.next = false;
        self.retired.load_top.next = 0.into();
        self.retired.load_depth.next = 0.into();
        self.issued.reset.next = self.reset.val();
        self.issued.push.next = self.call_issues.val();
        self.issued.pop.next = self.return_issues.val();
        self.issued.load.next = self.retire_redirects.val();
        self.issued.load_top.next = self.retired.next_top.val();
        self.issued.load_depth.next = self.retired.next_depth.val();
        self.redirects.next = self.issue_redirects.val() | self.retire_redirects.val();
        self.fetched.reset.next = self.reset.val();
        self.fetched.push.next = self.push.val();
        self.fetched.pop.next = self.pop.val();
        self.fetched.load.next = self.redirects.val();
        self.fetched.load_top.next = self.issued.next_top.val();
        self.fetched.load_depth.next = self.issued.next_depth.val();

        self.addresses.read_index.next = self.fetched.top.val();
        self.top.next = self.addresses.read_linear.val();
        self.there.next = self.fetched.depth.val() != 0;
        // The place of a call behind which fetch is redirected is counted in what is loaded.
        self.addresses.write.next = self.push.val();
        self.addresses.write_index.next = self.fetched.next_top.val();
        self.addresses.write_linear.next = self.push_linear.val();
    }
}

/// How far a stack goes.
#[derive(LogicBlock, Default)]
pub struct StackPointer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub push: Signal<In, Bit>,
    pub pop: Signal<In, Bit>,
    /// Instead of either: take these values.
    pub load: Signal<In, Bit>,
    pub load_top: Signal<In, Bits<4>>,
    pub load_depth: Signal<In, Bits<4>>,
    pub top: Signal<Out, Bits<4>>,
    /// How many addresses there are, at most fifteen.
    pub depth: Signal<Out, Bits<4>>,
    /// What they are after this clock.
    pub next_top: Signal<Out, Bits<4>>,
    pub next_depth: Signal<Out, Bits<4>>,
    // state
    top_reg: DFF<Bits<4>>,
    depth_reg: DFF<Bits<4>>,
}

impl Logic for StackPointer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, top_reg, depth_reg);
        self.top.next = self.top_reg.q.val();
        self.depth.next = self.depth_reg.q.val();
        self.next_top.next = self.top_reg.q.val();
        self.next_depth.next = self.depth_reg.q.val();
        if self.push.val() {
            self.next_top.next = self.top_reg.q.val() + 1;
            if self.depth_reg.q.val() != 15 {
                self.next_depth.next = self.depth_reg.q.val() + 1;
            }
        } else if self.pop.val() {
            self.next_top.next = self.top_reg.q.val() - 1;
            if self.depth_reg.q.val() != 0 {
                self.next_depth.next = self.depth_reg.q.val() - 1;
            }
        }
        if self.load.val() {
            self.next_top.next = self.load_top.val();
            self.next_depth.next = self.load_depth.val();
        }
        self.top_reg.d.next = self.next_top.val();
        self.depth_reg.d.next = self.next_depth.val();
        if self.reset.val() {
            self.top_reg.d.next = 0.into();
            self.depth_reg.d.next = 0.into();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc::testing::{clocked, start, tick};

    clocked!(ReturnStack);

    fn push(stack: &mut ReturnStack, linear: u64) {
        stack.push.next = true;
        stack.push_linear.next = linear.into();
        tick(stack);
        stack.push.next = false;
    }

    fn pop(stack: &mut ReturnStack) -> u64 {
        let top = stack.top.val().to_u64();
        assert!(stack.there.val());
        stack.pop.next = true;
        tick(stack);
        stack.pop.next = false;
        top
    }

    /// One clock with this input.
    fn with(stack: &mut ReturnStack, input: fn(&mut ReturnStack) -> &mut Signal<In, Bit>) {
        input(stack).next = true;
        tick(stack);
        input(stack).next = false;
        tick(stack);
    }

    #[test]
    fn addresses_come_back_in_the_reverse_order_of_the_last_fifteen_calls() {
        let mut stack = start(ReturnStack::default());
        assert!(!stack.there.val());
        for call in 0..20 {
            push(&mut stack, 0x1000 + call);
        }
        for call in (5..20).rev() {
            assert_eq!(pop(&mut stack), 0x1000 + call);
        }
        assert!(!stack.there.val());
    }

    #[test]
    fn what_was_fetched_in_vain_is_undone_when_issue_or_retirement_redirects() {
        let mut stack = start(ReturnStack::default());
        // One call is fetched, issues and retires; a second one issues.
        push(&mut stack, 0x100);
        with(&mut stack, |stack| &mut stack.call_issues);
        with(&mut stack, |stack| &mut stack.call_retires);
        push(&mut stack, 0x200);
        with(&mut stack, |stack| &mut stack.call_issues);
        // The wrong way: a return and no more.
        assert_eq!(pop(&mut stack), 0x200);
        with(&mut stack, |stack| &mut stack.issue_redirects);
        assert_eq!(pop(&mut stack), 0x200);
        // Retirement knows of the first call only; behind it a call retires that nobody foresaw.
        stack.call_retires.next = true;
        stack.retire_redirects.next = true;
        push(&mut stack, 0x300);
        stack.call_retires.next = false;
        stack.retire_redirects.next = false;
        assert_eq!(pop(&mut stack), 0x300);
        assert_eq!(pop(&mut stack), 0x100);
        assert!(!stack.there.val());
    }
}
