//! Measures a cluster that speaks NEO's protocol, whoever wrote its nodes.
//!
//! The bench is a client of its own: sockets that wait, on top of net's codec, and one thread for
//! many of them. What the machine itself takes for the same bytes is measured in the same run, turn
//! by turn: a process that only answers, and writes that are synced.

mod appends;
mod arguments;
mod client;
mod closed_loop;
mod commits;
mod counters;
mod course;
mod figures;
mod loads;
mod outcome;
mod ping_pong;
mod population;
mod sessions;
mod target;
mod wire;

pub(crate) use arguments::ClusterArgs;
pub(crate) use course::run;
pub(crate) use ping_pong::{PingPongArgs, serve as ping_pong};
