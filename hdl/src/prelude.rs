//! What every hardware file imports.
pub use crate::bundles::*;
pub use crate::constants::*;
pub use rust_hdl_core::prelude::*;
pub use rust_hdl_macros::{LogicBlock, LogicInterface, LogicState, LogicStruct, hdl_gen};
pub use rust_hdl_widgets::dff_setup;
pub use rust_hdl_widgets::prelude::DFF;
