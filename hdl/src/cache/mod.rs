//! Caches between the core's two memory ports and a slow memory.
//!
//! ```text
//! core ──instruction port── Cache ──fills────────────┐
//!                             ↑ snoops stores        CacheBus ── Wishbone, bursts of eight words
//! core ──data port───────── Cache ──fills, stores────┘
//! ```
//! `docs/memory.md` says what they promise and what they cost.
pub mod bus;
mod ram;
mod unit;
pub mod write_queue;

pub use ram::{CacheRam, QueueRam, TagRam};
pub use unit::Cache;

/// Bytes of a line.
pub const LINE_BYTES: usize = 32;
/// Bytes of each cache by default.
pub const DEFAULT_CACHE_BYTES: usize = 8 << 10;
