//! Requests that cannot be answered yet: by what they wait for, and bounded for each client.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use net::{LinkId, Message};

use super::serving::Operation;
use crate::cluster::Cluster;

/// What a request waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Awaited {
    /// Storages that are starting: they have to be ready, or gone.
    Storages,
    /// The log, which reserves ids.
    Ids,
    /// Transactions whose failures are in the way: they have to end.
    Failures,
}

/// A request that waits.
#[derive(Debug)]
struct Delayed {
    link: LinkId,
    id: u32,
    message: Message,
}

/// All that wait, and which of them have to be looked at again.
///
/// What waits for one thing is looked at when that happens, and then only. At most one request a
/// transaction waits for failures; what waits for other things makes its client wait too, once
/// that is much (`Wire::postponed`): so nothing here grows without bound.
#[derive(Debug, Default)]
pub(super) struct DelayedRequests {
    waiting: BTreeMap<Awaited, VecDeque<Delayed>>,
    due: BTreeSet<Awaited>,
}

impl DelayedRequests {
    /// Whether a request of a connection waits for failures, of a transaction that it names.
    pub(super) fn has_vote(&self, link: LinkId, message: &Message) -> bool {
        let Message::FailedVote { ttid, .. } = message else { return false };
        let mut votes = self.waiting.get(&Awaited::Failures).into_iter().flatten();
        votes.any(|vote| {
            let is_same = matches!(&vote.message, Message::FailedVote { ttid: other, .. }
                if other == ttid);
            vote.link == link && is_same
        })
    }

    /// All that wait, with what they ask for.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &'static str)> {
        self.waiting.values().flatten().map(|delayed| (delayed.link, delayed.message.name()))
    }

    /// Forgets requests of a connection that ended.
    pub(super) fn link_lost(&mut self, link: LinkId) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|delayed| delayed.link != link);
        }
    }
}

impl Operation {
    /// Has a request wait.
    pub(super) fn delay(
        &mut self,
        cluster: &mut Cluster,
        awaited: Awaited,
        link: LinkId,
        id: u32,
        message: Message,
    ) {
        if awaited != Awaited::Failures {
            cluster.wire.postpone(link, weight(&message));
        }
        let waiting = self.delayed.waiting.entry(awaited).or_default();
        waiting.push_back(Delayed { link, id, message });
    }

    /// Something happened that requests may have waited for: they are looked at soon.
    pub(crate) fn happened(&mut self, awaited: Awaited) {
        if self.delayed.waiting.get(&awaited).is_some_and(|waiting| !waiting.is_empty()) {
            self.delayed.due.insert(awaited);
        }
    }

    /// Whether some requests have to be looked at again.
    pub(crate) fn has_due(&self) -> bool {
        !self.delayed.due.is_empty()
    }

    /// Looks at requests again, in their order, as long as nothing has to be done before.
    pub(crate) fn retry_due(&mut self, cluster: &mut Cluster) {
        while let Some(awaited) = self.delayed.due.pop_first() {
            let count = self.delayed.waiting.get(&awaited).map_or(0, VecDeque::len);
            // Those that have to wait again come behind.
            for _ in 0..count {
                if cluster.wire.is_held() || cluster.next.is_some() {
                    self.delayed.due.insert(awaited);
                    return;
                }
                let waiting = self.delayed.waiting.get_mut(&awaited);
                let Some(next) = waiting.and_then(VecDeque::pop_front) else { break };
                let Delayed { link, id, message } = next;
                if awaited != Awaited::Failures {
                    cluster.wire.resume(link, weight(&message));
                }
                if let Some(nid) = cluster.nodes.nid_of_link(link) {
                    self.client_request(cluster, nid, link, id, message);
                }
            }
        }
    }
}

/// What a request takes of what may wait for a client: by its memory.
fn weight(message: &Message) -> usize {
    match message {
        Message::AskFinishTransaction { oids, .. } => 1 + oids.len() / 4096,
        _ => 1,
    }
}
