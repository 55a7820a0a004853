//! Clocks for unit tests: drives one block through the Rust simulation.
use crate::prelude::*;

/// A block with a clock and a reset.
pub trait Clocked: Block {
    fn clock_signal(&mut self) -> &mut Signal<In, Clock>;
    fn reset_signal(&mut self) -> &mut Signal<In, Bit>;
}

/// Gives a block with the ports `clock` and `reset` its [`Clocked`].
macro_rules! clocked {
    ($block:ty) => {
        impl crate::soc::testing::Clocked for $block {
            fn clock_signal(&mut self) -> &mut Signal<In, Clock> {
                &mut self.clock
            }
            fn reset_signal(&mut self) -> &mut Signal<In, Bit> {
                &mut self.reset
            }
        }
    };
}
pub(crate) use clocked;

/// Lets changed inputs reach every output.
pub fn settle<B: Block>(block: &mut B) {
    assert!(simulate(block, 100), "the block never settles");
}

/// One clock: inputs settle, then the rising edge.
pub fn tick<B: Clocked>(block: &mut B) {
    settle(block);
    block.clock_signal().next = true.into();
    settle(block);
    block.clock_signal().next = false.into();
    settle(block);
}

/// A connected and checked block, two clocks of reset behind it.
pub fn start<B: Clocked>(mut block: B) -> B {
    block.connect_all();
    check_all(&block).unwrap_or_else(|error| panic!("{error:?}"));
    block.reset_signal().next = true;
    tick(&mut block);
    tick(&mut block);
    block.reset_signal().next = false;
    settle(&mut block);
    block
}
