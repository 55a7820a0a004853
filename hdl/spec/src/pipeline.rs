//! Names of what the pipeline port of the core shows.

/// Reasons for a stage to wait or to begin anew, by their bit in `pipeline_stall` (bit 0 first, at most 16).
pub const STALL_REASONS: &[&str] = &[
    "execute: operation or store not finished",
    "memory: data or translation not there",
    "address: register still being computed",
    "address: segment still being loaded",
    "issue: branch not resolved",
    "issue: no instruction decoded",
    "fetch: word asked for again behind a store",
    "issue: fetches anew, no branch where one was predicted",
    "issue: fetches anew, a branch that was not predicted",
    "execute: fetches anew, code was written",
    "execute: fetches anew, another way than predicted",
];

/// Bits of `pipeline_stall`, in the order of [`STALL_REASONS`].
pub mod stall {
    pub const EXECUTE: usize = 0;
    pub const MEMORY: usize = 1;
    pub const REGISTER: usize = 2;
    pub const SEGMENT: usize = 3;
    pub const BRANCH_NOT_RESOLVED: usize = 4;
    pub const NOTHING_DECODED: usize = 5;
    pub const WORD_REPEATED: usize = 6;
    pub const MISCUT: usize = 7;
    pub const NOT_PREDICTED: usize = 8;
    pub const CODE_WRITTEN: usize = 9;
    pub const OTHER_WAY: usize = 10;
}
