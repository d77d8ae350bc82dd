//! Tests of Neolith as a whole.
//!
//! - [`tidy`]: the rules that the source keeps, checked by `tests/tidy.rs`;
//! - [`binary`]: the program `neolith`, for tests that start it as a process.

mod binary;
pub mod tidy;

pub use binary::binary;
