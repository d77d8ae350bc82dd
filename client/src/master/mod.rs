//! The primary master: found and followed, asked for what it decides.

mod ask;
mod follow;
mod patience;
mod peer;
mod search;

pub(crate) use peer::{Master, Stage as MasterStage};
