//! The native part of the Python package `neolith`: the client as a ZODB storage.
//!
//! - `Storage` is the class: loads, iteration, and transactions in two phases;
//! - `Backend` is what it stands on: a session of a cluster;
//! - `Delivery` tells ZODB of commits, in order, before they can be seen;
//! - `wait` is how anything that takes time is called: without the interpreter's lock, and with
//!   panics made exceptions.
//!
//! What is seldom called, or only puts values into the form that ZODB likes, is written in Python,
//! in `neolith/storage.py`.

mod arguments;
mod backend;
mod delivery;
mod failure;
mod iteration;
mod loading;
mod open;
mod process;
mod records;
mod storage;
mod transaction;
mod two_phase;

/// The native part of `neolith`.
#[pyo3::pymodule]
mod _neolith {
    #[pymodule_export]
    use super::iteration::{Records, Transactions};
    #[pymodule_export]
    use super::process::{after_fork, begin_end, panic, wait_until_idle};
    #[pymodule_export]
    use super::storage::Storage;
}
