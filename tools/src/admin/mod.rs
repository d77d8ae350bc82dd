//! The admin node: answers operators' questions and relays their orders to the primary master.

mod cluster;
mod control;
mod machine;
mod master;
mod monitor;
mod summary;
mod table;
#[cfg(test)]
mod tests;

pub use machine::{Admin, AdminExit, AdminOptions, Asked};
