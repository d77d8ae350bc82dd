//! Tests of Neolith as a whole.
//!
//! - [`tidy`]: the rules that the source keeps, checked by `tests/tidy.rs`;
//! - [`binary`]: the program `neolith`, for tests that start it as a process;
//! - [`neolith`] and its like: starting it, and how it ended; [`Daemon`]: one that runs on;
//! - [`Source`]: databases to start it with, and the truth about them; [`write_storage`]: one of
//!   any size;
//! - [`script`]: conversations of one machine with scripted peers, run by `tests/scripts.rs`;
//!   [`settings`] has the kinds of machines;
//! - [`world`]: a whole cluster in one thread, on simulated time, network and disks;
//! - [`sim`]: such a cluster with programs and faults, run on one seed after the other;
//! - [`Node`]: a machine of any kind; [`open_database`]: its database, on a disk in memory.

mod binary;
mod daemon;
mod database;
mod node;
mod process;
pub mod script;
pub mod settings;
pub mod sim;
mod sources;
mod storage;
pub mod tidy;
pub mod world;

pub use binary::binary;
pub use daemon::Daemon;
pub use database::open_database;
pub use node::Node;
pub use process::{Ended, command, neolith, neolith_with_input, succeed};
pub use sources::Source;
pub use storage::write_storage;
