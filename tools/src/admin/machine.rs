//! The machine of the admin node.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Nid, NodeType, Now};
use net::{
    Address, Bootstrap, Event, Extra, Identity, Incoming, LinkId, Links, Machine, Signal, Value,
};

use super::cluster::Cluster;
use super::monitor::Monitor;

/// How an admin node is set up.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// Name of the cluster.
    pub cluster: String,
    /// Where it can be reached.
    pub address: Address,
    /// Masters that are known to begin with, at least one.
    pub masters: Vec<Address>,
    /// The id that is asked for, of an admin.
    pub nid: Option<Nid>,
    /// The least time from one connection to a master to the next one to the same.
    pub reconnect_delay: Duration,
}

/// Why an admin node ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdminExit {
    /// The cluster was stopped.
    ClusterStopped,
    /// A signal asked for it.
    Terminated,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Of the bootstrap.
    Identification,
    /// The state of the cluster, for the admin itself.
    State,
    /// The backup tid, for summaries.
    BackupTid,
    /// The last transaction, for summaries.
    LastTid,
    /// An operator's request.
    Forwarded {
        /// From which connection.
        link: LinkId,
        /// Of the request there.
        id: u32,
    },
}

/// The admin node, as a machine.
///
/// It keeps a connection to the primary master, which tells it of nodes, the partition table and
/// the state of the cluster, and answers questions about these itself. Orders, and what only the
/// master knows, are relayed as they are, and so are the answers. Operators do not identify
/// themselves. Whatever they send, the worst that happens is that their connection is closed.
///
/// While there is no primary master, it is searched, and everything is refused with NOT_READY.
/// The admin ends with its cluster: when it lost the master of a cluster that was stopping.
///
/// Backup clusters are not monitored, and no mail is sent.
#[derive(Debug)]
pub struct Admin {
    pub(super) options: AdminOptions,
    pub(super) links: Links<Asked>,
    pub(super) bootstrap: Bootstrap,
    /// The connection to the primary master.
    pub(super) master: Option<LinkId>,
    /// As the primary master describes it: there exactly with `master`.
    pub(super) cluster: Option<Cluster>,
    /// Requests of operators that the master has not answered, by their connection.
    pub(super) forwarded: BTreeMap<LinkId, u32>,
    pub(super) monitor: Monitor,
    exit: Option<AdminExit>,
}

impl Admin {
    /// Begins to search the primary master.
    ///
    /// # Panics
    /// If there is no master to begin with.
    pub fn new(options: AdminOptions, now: Now) -> Self {
        let backup = (b"backup".as_slice().into(), Value::List(Vec::new()));
        let identity = Identity {
            node_type: NodeType::Admin,
            nid: options.nid,
            address: Some(options.address.clone()),
            cluster: options.cluster.clone(),
            id_timestamp: None,
            extra: net::OrderedMap(vec![backup]) as Extra,
        };
        let mut admin = Self {
            links: Links::new(options.reconnect_delay),
            bootstrap: Bootstrap::new(identity, options.masters.clone()),
            options,
            master: None,
            cluster: None,
            forwarded: BTreeMap::new(),
            monitor: Monitor::default(),
            exit: None,
        };
        admin.bootstrap.start(now.monotonic, &mut admin.links, Asked::Identification);
        admin
    }

    /// Its id, while it is connected to the primary master.
    pub fn nid(&self) -> Option<Nid> {
        self.master.and(self.bootstrap.identity().nid)
    }

    /// Name of its cluster.
    pub fn cluster_name(&self) -> &str {
        &self.options.cluster
    }

    /// Panics if an invariant does not hold.
    pub fn invariants(&self) {
        assert_eq!(self.master.is_some(), self.cluster.is_some());
        assert!(self.master.is_none() || self.bootstrap.link().is_none());
        assert!(self.master.is_some() || self.bootstrap.link().is_some() || self.exit.is_some());
        assert!(self.master.is_some() || self.forwarded.is_empty());
        assert!(self.master.is_some() || self.monitor.is_idle());
        let asked = self.master.map_or(0, |master| {
            let forwarded = |asked: &&Asked| matches!(asked, Asked::Forwarded { .. });
            self.links.asked(master).filter(forwarded).count()
        });
        let counted: u32 = self.forwarded.values().sum();
        assert_eq!(u32::try_from(asked), Ok(counted));
    }

    pub(super) fn end(&mut self, exit: AdminExit) {
        self.exit.get_or_insert(exit);
    }

    fn incoming(&mut self, now: Now, incoming: Incoming<Asked>) {
        match incoming {
            Incoming::Accepted { link, address } => {
                tracing::debug!(?link, %address, "a peer connected");
            }
            Incoming::Request { link, id, message } if self.master == Some(link) => {
                self.master_told(now, link, id, message);
            }
            Incoming::Request { link, message, .. } if self.bootstrap.link() == Some(link) => {
                self.bootstrap_packet(now, message);
            }
            Incoming::Request { link, id, message } => self.control(now, link, id, message),
            Incoming::Answer { context: Asked::Identification, message, .. } => {
                self.bootstrap_packet(now, message);
            }
            Incoming::Answer { context, message, .. } => self.master_answered(context, message),
            Incoming::Stray { link, message } if self.bootstrap.link() == Some(link) => {
                self.bootstrap_packet(now, message);
            }
            Incoming::Stray { link, message } => {
                tracing::warn!(?link, ?message, "an error that answers nothing");
            }
            Incoming::Closed { link, reason, .. } if self.bootstrap.link() == Some(link) => {
                let context = Asked::Identification;
                self.bootstrap.lost(now.monotonic, &mut self.links, &reason, context);
            }
            Incoming::Closed { link, reason, requests } if self.master == Some(link) => {
                tracing::warn!(%reason, "the primary master is lost");
                self.master_lost(now, requests);
            }
            Incoming::Closed { link, reason, .. } => {
                tracing::debug!(?link, %reason, "a peer is gone");
                self.monitor.forget(link);
            }
        }
    }
}

impl Machine for Admin {
    type Context = Asked;
    type Exit = AdminExit;

    fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Signal(Signal::Terminate) => self.end(AdminExit::Terminated),
            Event::Timer => self.monitor_timer(now),
            event => self.links.feed(event),
        }
        while self.exit.is_none()
            && let Some(incoming) = self.links.next()
        {
            self.incoming(now, incoming);
        }
        if cfg!(debug_assertions) {
            self.invariants();
        }
    }

    fn links(&mut self) -> &mut Links<Asked> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        self.monitor.deadline()
    }

    fn exit(&mut self) -> Option<AdminExit> {
        self.exit
    }
}
