//! The machine against scripted peers, which speak real bytes.

mod aborts;
mod cached;
mod commits;
mod conflicts;
mod loads;
mod outcomes;
mod patience;
mod undoes;
mod walks;
mod world;
