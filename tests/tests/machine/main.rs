//! The whole machine: gates, faults and privilege, interrupts, real mode, memory that makes it wait, reset.

mod alignment;
mod caching;
mod case;
mod control_transfer;
mod events;
mod faults;
mod overlap;
mod paging;
mod ports;
mod protection;
mod real_mode;
mod segments;
mod strings;
mod timing;
mod waits;
