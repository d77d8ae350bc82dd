//! Measures a database: how fast it answers, is filled, and opens; and a cluster.
//!
//! Nothing here is a way to use the engine that programs do not have: what is measured is its
//! public face, by the clock of the caller.

#![expect(
    clippy::disallowed_methods,
    reason = "who measures time needs a clock, and the kernel's counters are files of /proc"
)]

mod cluster;
mod cold;
mod fill;
mod latency;
mod load;
mod loaded;
mod open;
mod process;
mod records;
mod report;
mod sample;
mod workers;

pub(crate) use cluster::{ClusterArgs, PingPongArgs, ping_pong, run as cluster};
pub(crate) use fill::{FillArgs, run as fill};
pub(crate) use load::{LoadArgs, run as load};
pub(crate) use open::{OpenArgs, run as open};
