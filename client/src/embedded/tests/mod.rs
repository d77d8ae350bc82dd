//! A database on disks in memory: what it does, what it refuses, and what is left after crashes.

mod crashes;
mod disks;
mod face;
mod model;
mod random;
mod refusals;
mod threads;
mod undoes;
mod world;
