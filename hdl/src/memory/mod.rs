//! The memory side of the core: translation, loads, stores and port accesses of the memory and execute stages.
//!
//! [`DataUnit`] connects the units and owns the data port:
//!
//! ```text
//! clock        n                 n+1                n+2
//! memory       load A: TLB,      load B: TLB,
//!              read requested    read requested
//! execute                        A: data arrive     B: data arrive (A's store, if it is a
//!                                                   read-modify-write, is in the store buffer
//!                                                   and is merged into B byte by byte)
//! ```
//!
//! Stores wait in the store buffer for a clock in which no load wants the port.
//! The clock that requests a read also finds out which of its bytes the store buffer holds, or gets at its end; the
//! clock of the answer only chooses and rotates, by registers, so that the data from memory reach execute early.

mod alignment;
mod data_port;
mod data_unit;
mod execute_access;
mod fetch_translation;
mod memory_access;
mod page_walker;
mod store_buffer;
#[cfg(test)]
mod testing;
mod tlb;

pub use alignment::{AccessLanes, ByteMask, ByteRotation, LoadAlignment, StoreAlignment};
pub use data_port::{DataPort, PortUse};
pub use data_unit::DataUnit;
pub use execute_access::{CheckedAccess, ExecuteAccess};
pub use fetch_translation::FetchTranslation;
pub use memory_access::MemoryAccess;
pub use page_walker::{PageWalker, WalkState};
pub use store_buffer::StoreBuffer;
pub use tlb::{Tlb, TlbMemory};
