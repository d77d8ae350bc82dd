//! Index runs: sorted, immutable files of items.

mod block;
mod columns;
mod cursor;
mod filter;
mod footer;
mod reader;
mod rows;
mod writer;

pub(crate) use block::Block;
pub(crate) use cursor::RunCursor;
pub(crate) use filter::filter_hash;
pub(crate) use footer::{FOOTER_LENGTH, Footer};
pub(crate) use reader::{IndexEntry, Neighbours, PinBudget, RunFile, read_exact};
pub(crate) use writer::{RunSettings, RunWriter};

#[cfg(test)]
mod tests;
