//! Nodes: who is known, who is connected, and who is told of whom.

mod announce;
mod clock;
mod registry;

pub(crate) use announce::concerns;
pub(crate) use clock::IdClock;
pub(crate) use registry::{Details, Node, Nodes};
