//! What operators' tools need: a connection to an admin node, and NEO's way to write things.

mod connection;
mod nodes;
mod rows;
mod words;

pub(crate) use connection::{Connection, ControlError};
pub(crate) use nodes::node_lines;
pub(crate) use rows::{matrix_lines, row_lines};
pub(crate) use words::{parse_address, parse_checks, parse_nid, parse_tid};
