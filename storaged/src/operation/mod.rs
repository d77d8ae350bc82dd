//! While the cluster operates: clients, other storages, and the master's side of commits.

mod client;
mod life;
mod master;
mod storage;

pub(crate) use client::{Endings, StoredTask, WriteRequest};
pub(crate) use life::Released;
