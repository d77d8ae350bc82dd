//! What must hold at the end of each run.

mod databases;
mod every;

pub use databases::Databases;
pub use every::all;
