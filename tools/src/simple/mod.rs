//! A whole cluster on this host, each node a process of its own.

mod child;
mod cluster;
mod configuration;
mod place;
mod plan;
mod ready;
mod text;

pub(crate) use cluster::{Cluster, Wanted};
