//! Connections to storages.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::Nid;
use net::{LinkId, Message};

use crate::note::Asked;

/// The connections to storages, at most one each, and which storages failed lately.
///
/// Invariant: connections are found by node and by link alike.
#[derive(Default)]
pub(crate) struct Storages {
    pub(crate) by_link: BTreeMap<LinkId, StorageLink>,
    pub(crate) by_nid: BTreeMap<Nid, LinkId>,
    /// Until when a storage that failed is better left alone.
    pub(crate) avoided: BTreeMap<Nid, Duration>,
}

/// A connection to a storage.
pub(crate) struct StorageLink {
    pub(crate) nid: Nid,
    pub(crate) stage: Stage,
}

pub(crate) enum Stage {
    /// The storage has not taken the client in yet. What is to be asked waits, as it may take until
    /// the master told the storage of the client.
    Introduced(VecDeque<(Message, Asked)>),
    Ready,
}

impl Storages {
    /// Takes what waits for storages that have not taken the client in.
    pub(crate) fn take_waiting(&mut self, lost: &mut VecDeque<Asked>) {
        for found in self.by_link.values_mut() {
            if let Stage::Introduced(waiting) = &mut found.stage {
                lost.extend(waiting.drain(..).map(|(_, asked)| asked));
            }
        }
    }

    /// Whether a storage failed lately.
    pub(crate) fn is_avoided(&self, nid: Nid, now: Duration) -> bool {
        self.avoided.get(&nid).is_some_and(|until| now < *until)
    }

    pub(crate) fn invariants(&self) {
        assert_eq!(self.by_link.len(), self.by_nid.len(), "one connection a storage");
        for (nid, link) in &self.by_nid {
            assert_eq!(
                self.by_link[link].nid, *nid,
                "a connection is of the storage it is found by"
            );
        }
    }
}
