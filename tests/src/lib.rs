//! What the tests of the whole machine share.

pub mod differential;
pub mod random;
