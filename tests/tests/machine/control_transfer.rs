//! Gates, far transfers, and returns.
