//! The log of a node: lines on standard error and in a file, written by a thread of their own, so
//! that a slow terminal or disk does not hold up the node.

mod layer;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use model::Nid;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::arguments::LogFormat;
use crate::failure::Failure;
use layer::LineLayer;
use writer::Writer;

/// What each line says of the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    /// Such as `storage`: said while there is no id.
    pub(crate) kind: &'static str,
    /// The id, once the primary master gave it.
    pub(crate) nid: Option<Nid>,
    /// Name of the cluster, once known.
    pub(crate) cluster: Option<String>,
}

/// The log of this process. Dropped, it writes what is left.
#[derive(Debug)]
pub(crate) struct Log {
    identity: Arc<Mutex<Identity>>,
    writer: Writer,
}

impl Log {
    /// Begins to write what is logged from now on.
    pub(crate) fn start(
        identity: Identity,
        format: LogFormat,
        file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let writer = Writer::start(file)?;
        let identity = Arc::new(Mutex::new(identity));
        let filter = EnvFilter::try_from_env("NEOLITH_LOG");
        let filter = filter.unwrap_or_else(|_| EnvFilter::new("info,engine::database=off"));
        let lines = LineLayer::new(format, Arc::clone(&identity), writer.sender());
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self { identity, writer })
    }

    /// Something about the node has become known, or is so no longer.
    pub(crate) fn identify(&self, change: impl FnOnce(&mut Identity)) {
        change(&mut self.identity.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Opens the file again: somebody moved it away.
    pub(crate) fn reopen(&self) {
        self.writer.reopen();
    }

    /// Writes a line to the file only: standard error is told otherwise.
    pub(crate) fn to_file(&self, line: &str) {
        self.writer.to_file(line);
    }
}
