//! A master among peers that a test plays, through real bytes.

mod cluster;
mod start;
mod world;
