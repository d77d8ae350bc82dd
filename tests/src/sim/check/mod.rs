//! What must hold at the end of each run.
//!
//! - [`Databases`]: what storages leave; `cell`: what one has of one partition;
//! - `Truth`: what is committed, as all readable cells have it;
//! - `all`: the rules, each in a file of its own: of databases (`indexes`, `replicas`), of what
//!   programs did and saw (`commits`, `errors`, `order`, `writes`, `reads`, `walks`, `told`), and
//!   of what each kind of program keeps (`undo`, `bank`, `logs`, `counters`, `skew`).

mod bank;
mod cell;
mod commits;
mod counters;
mod databases;
mod errors;
mod every;
mod indexes;
mod logs;
mod order;
mod reads;
mod replicas;
mod skew;
mod told;
mod truth;
mod undo;
mod walks;
mod writes;

pub use databases::Databases;
pub(crate) use every::{all, is_skewed, sound};
pub(crate) use truth::Truth;

#[cfg(test)]
mod tests;
