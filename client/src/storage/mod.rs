//! Storages: connections when they are needed, and what comes over them.

mod answers;
mod connect;
mod links;

pub(crate) use links::Storages;
