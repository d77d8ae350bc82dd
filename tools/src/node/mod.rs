//! Nodes as processes: their options, configuration, log, start and end.

mod addresses;
mod arguments;
mod aside;
mod configuration;
mod daemon;
mod driven;
mod ini;
mod log;
mod parent;
mod paths;
mod service;

pub(crate) use arguments::{AdminArgs, MasterArgs, StorageArgs, partition_count};
pub(crate) use aside::put_aside;
pub(crate) use configuration::configured;
pub(crate) use daemon::{Daemon, ignored, run_logged, seed, typed_words};
pub(crate) use driven::{Ended, Named};
pub(crate) use log::Log;
pub(crate) use paths::expanded;
