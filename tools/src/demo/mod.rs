//! The demo: commands on a sample, and the proof that nothing was lost.

mod network;
mod place;
mod sample;
mod tour;

pub(crate) use tour::run;
