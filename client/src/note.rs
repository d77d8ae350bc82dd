//! What the client notes of its requests to peers.

use model::{Nid, Oid, Tid, Ttid};

use crate::load::ReadId;
use crate::request::Token;

/// What the client notes of a request, to know what an answer is about.
#[derive(Debug)]
pub struct Note(pub(crate) Asked);

/// A request to a peer.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To be taken in by a master.
    Bootstrap,
    /// The last transaction, when the client joins.
    Joining,
    /// Anything else of the primary master.
    Master(MasterRequest),
    /// To be taken in by a storage.
    Identification,
    /// A read.
    Read(ReadId),
    /// A store or check of a transaction: the `attempt`-th for the object.
    Write { ttid: Ttid, oid: Oid, attempt: u32 },
    /// A lock that is to be taken again.
    Relock { ttid: Ttid, oid: Oid },
    /// A vote.
    Vote { ttid: Ttid },
    /// The newest transactions that a storage has.
    NewestTids { token: Token, nid: Nid },
}

/// A request to the primary master. It waits while there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum MasterRequest {
    Begin {
        token: Token,
        tid: Option<Tid>,
    },
    NewOids {
        token: Token,
        count: u32,
    },
    LastTid {
        token: Token,
    },
    /// A ping: everything that the master sent before comes before the answer.
    Synchronize {
        token: Token,
    },
    PackOrders {
        token: Token,
        first_id: Tid,
    },
    WaitForPack {
        token: Token,
        pack_id: Tid,
    },
    /// A ping after which the table is new enough to try again.
    RefreshTable {
        read: ReadId,
    },
    /// A ping after which the invalidation of what stands in the way has come.
    AwaitInvalidation {
        ttid: Ttid,
        oid: Oid,
    },
    FailedVote {
        ttid: Ttid,
        nids: Vec<Nid>,
    },
    Finish {
        ttid: Ttid,
    },
    Outcome {
        ttid: Ttid,
    },
}

impl MasterRequest {
    /// Whether it means the same to the next primary master. All others are of transactions, which
    /// do not outlive the connection on which they were begun.
    pub(crate) const fn is_repeatable(&self) -> bool {
        match self {
            Self::Begin { .. }
            | Self::NewOids { .. }
            | Self::LastTid { .. }
            | Self::Synchronize { .. }
            | Self::PackOrders { .. }
            | Self::WaitForPack { .. }
            | Self::RefreshTable { .. }
            | Self::Outcome { .. } => true,
            Self::AwaitInvalidation { .. } | Self::FailedVote { .. } | Self::Finish { .. } => false,
        }
    }
}
