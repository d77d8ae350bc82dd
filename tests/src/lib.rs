//! Tests of Neolith as a whole.
//!
//! - [`tidy`]: the rules that the source keeps, checked by `tests/tidy.rs`;
//! - [`binary`]: the program `neolith`, for tests that start it as a process;
//! - [`neolith`] and its like: starting it, and how it ended;
//! - [`Source`]: databases to start it with, and the truth about them; [`write_storage`]: one of
//!   any size;
//! - [`script`]: conversations of one machine with scripted peers, run by `tests/scripts.rs`;
//! - [`Node`]: a machine of any kind.

mod binary;
mod node;
mod process;
pub mod script;
mod sources;
mod storage;
pub mod tidy;

pub use binary::binary;
pub use node::Node;
pub use process::{Ended, command, neolith, neolith_with_input, succeed};
pub use sources::Source;
pub use storage::write_storage;
