//! What a database without a cluster is opened with.

use model::PartitionCount;

/// Options of an [`super::Embedded`].
#[derive(Clone, Debug, Default)]
pub struct EmbeddedOptions {
    /// What for.
    pub opening: Opening,
    /// The cluster that it is of, or may be served by later; any if not told, `neolith` for a new
    /// one.
    pub name: Option<String>,
    /// How many partitions it has: any if not told, 12 for a new one.
    pub partitions: Option<PartitionCount>,
    /// How data is coded that is not given as a [`crate::Payload`].
    pub coding: Coding,
    /// What to do with transactions that a cluster left voted and not finished.
    pub in_doubt: InDoubt,
    /// Bytes of memory for records and index blocks that were read and verified; what the engine
    /// takes by itself if not told.
    pub cache_bytes: Option<u64>,
}

/// What a directory is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Opening {
    /// To read and commit. If there is no database it is made, and the directory, too; its parent
    /// has to exist.
    #[default]
    OrCreate,
    /// To read and commit, if there is a database.
    ReadWrite,
    /// To read only. Nothing in the directory is changed, also after a crash.
    ReadOnly,
}

/// How data is coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Coding {
    /// With zlib, where that makes it shorter, as clients of clusters do.
    #[default]
    Zlib,
    /// As it is.
    Plain,
}

/// What to do with transactions that are voted and not finished. No process without a cluster
/// leaves any: it commits in one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InDoubt {
    /// Not to open the directory: its cluster knows what to do.
    #[default]
    Refuse,
    /// What a master would do that has no other storage to ask: what has a tid is committed, as its
    /// client may know it; the rest is dropped, as nobody was told that it is committed.
    Settle,
}
