//! A master among peers that a test plays, through real bytes.

mod start;
mod world;
