//! One file a command: its arguments with their help, and what it does.

pub(crate) mod import;
