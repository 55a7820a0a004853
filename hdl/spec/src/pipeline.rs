//! Names of what the pipeline port of the core shows.

/// Reasons for a stage to wait, by their bit in `pipeline_stall` (bit 0 first, at most 16).
pub const STALL_REASONS: &[&str] = &[
    "execute: operation or store not finished",
    "memory: data or translation not there",
    "address: register still being computed",
    "address: segment still being loaded",
    "issue: branch not resolved",
    "issue: no instruction decoded",
];
