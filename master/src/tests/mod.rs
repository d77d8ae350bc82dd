//! A master among peers that a test plays, through real bytes.

mod closing;
mod cluster;
mod commit;
mod doubt;
mod hostile;
mod ids;
mod lost_log;
mod operators;
mod packs;
mod recovery;
mod replication;
mod restart;
mod start;
mod truncation;
mod waiting;
mod world;
