//! The whole machine: gates, faults and privilege, interrupts, real mode, memory that makes it wait, reset.

mod alignment;
mod breakpoints;
mod caching;
mod case;
mod control_transfer;
mod events;
mod faults;
mod overlap;
mod paging;
mod ports;
mod protection;
mod rare_gates;
mod real_mode;
mod segments;
mod strings;
mod tasks;
mod timing;
mod virtual_mode;
mod waits;
