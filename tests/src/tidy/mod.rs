//! The rules of the source that compiler and clippy do not know.
//!
//! [`Tree`] is the source as text; [`check`] applies every rule to it and returns what breaks one,
//! with file and line. The rules:
//!
//! - **directions**: a crate depends on, and names in its paths, only crates that it may; `mio` is
//!   used in one file of net; `unsafe`, mappings and io_uring stay in `engine/src/disk/`, and so
//!   do the files that the engine opens.
//! - **sizes**: at most 500 lines a file without its tests, 70 a function, 100 columns. What
//!   exceeds a limit is listed with its size in `ratchet.txt`; the list may only shrink.
//! - **words**: marks of unfinished work, ignored or sleeping tests, `allow` where `expect` with a
//!   reason belongs, and modules whose name says nothing.
//! - **contents**: `lib.rs` and `mod.rs` are tables of contents: they have no function bodies but
//!   those of trait definitions and trait implementations.
//!
//! What a macro expands to is not seen as functions, but its tokens are read like all others.

mod contents;
mod directions;
mod finding;
mod ratchet;
mod rules;
mod rust_file;
mod sizes;
mod tokens;
mod tree;
mod words;

#[cfg(test)]
mod tests;

pub use finding::Finding;
pub use rules::check;
pub use tree::{Tree, TreeError};
