//! Programs that use the cluster.
//!
//! A program is an `async` function over a `Session`, which asks the client that is a machine and
//! notes down what came of it in the [`History`](super::History). It is polled after each event of
//! its client, by no executor and no other thread: the same seed gives the same run.
//!
//! - [`Plan`]: which programs a run has;
//! - `Desk`: requests on their way between a program and its client;
//! - `Session` and `Transaction`: what programs are written with;
//! - `Kind`: the programs, each in a file of its own; `layout`: which objects are whose.

mod actor;
mod bank;
mod bulk;
mod counters;
mod desk;
mod kind;
pub(crate) mod layout;
pub(crate) mod logs;
mod opening;
mod plan;
mod reader;
mod session;
pub(crate) mod skew;
mod transaction;
mod undo;
mod walker;

pub use plan::Plan;
