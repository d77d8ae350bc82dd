//! A small database with everything in it, made the same way each time.

mod listing;
mod make;

pub(crate) use listing::listing;
pub(crate) use make::{make, options};
