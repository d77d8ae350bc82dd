//! The master as a machine: routes what comes in to the machine of the present state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use engine::disk::Disk;
use model::{ClusterState, Nid, NodeState, NodeType, Now, Random};
use net::{ErrorCode, Event, Incoming, LinkId, Links, Machine, Message, Signal};

use crate::administration;
use crate::cluster::Cluster;
use crate::early::early_storage_request;
use crate::error::Error;
use crate::identification::{Applicant, Verdict, Waiting};
use crate::ids::Ids;
use crate::log::Ledger;
use crate::naming::cluster_name;
use crate::nodes::{IdClock, Node, Nodes};
use crate::operation::{Awaited, Operation, Packs, leave_operation};
use crate::options::{MasterExit, MasterOptions};
use crate::phase::{Next, Phase};
use crate::recovery::{Impulse, Recovery};
use crate::stopping::Stopping;
use crate::truncation::{ask_late, truncate_first, truncated};
use crate::verification::Verification;
use crate::wire::{Asked, Wire};

/// How long commits that are on their way may take once the process is told to end.
const TERMINATION_MAX: Duration = Duration::from_secs(5);
/// How often ids are reserved ahead while some are given out, so that nobody waits for the log.
const RESERVATION_INTERVAL: Duration = Duration::from_millis(250);
/// Who begins after such a time without anybody waits for the log once: an idle cluster does not
/// write.
const RESERVATION_TIME: Duration = Duration::from_secs(10);

/// A master node: finds or makes the partition table, decides on transactions in doubt, gives out
/// ids, coordinates commits, and stops the cluster in good order.
///
/// Nothing is handled while a change that must be durable is on its way to the log, and nothing
/// goes out that such a change leads to. Commits need no such change.
pub struct Master {
    pub(crate) cluster: Cluster,
    pub(crate) phase: Phase,
    waiting: Waiting,
    /// Since when the process is to end, as soon as commits that are on their way are done.
    terminating: Option<Duration>,
    reserved_at: Duration,
    pub(crate) exit: Option<MasterExit>,
    /// Something may not be durable that should be: nothing is done any more.
    has_failed: bool,
}

impl Master {
    /// Opens the log, which is in `disk`, and begins with recovery. Without a disk nothing is
    /// remembered: the storages know the table.
    ///
    /// # Errors
    /// If other masters are named, or the log cannot be used.
    pub fn open(
        options: MasterOptions,
        disk: Option<Arc<dyn Disk>>,
        now: Now,
    ) -> Result<Self, Error> {
        if let Some(other) = options.masters.iter().find(|master| !options.is_own(master)) {
            return Err(Error::SeveralMasters { other: other.clone() });
        }
        let nid = options.nid.unwrap_or(Nid::of(NodeType::Master, 1));
        if nid.node_type() != Some(NodeType::Master) {
            return Err(Error::Nid { nid });
        }
        let mut random = Random::from_seed(options.seed);
        let mut ledger = Ledger::open(disk, &mut random)?;
        let name = cluster_name(&options, &mut ledger, &mut random)?;
        ledger.wait()?;
        let remembered = ledger.remembered();
        let ids = Ids::new(remembered.reserved_tid, remembered.reserved_oid);
        let mut nodes = Nodes::default();
        let mut node = Node::absent(NodeType::Master, Some(options.address.clone()));
        node.state = NodeState::Running;
        nodes.insert(nid, node);
        tracing::info!(cluster = name, %nid, log = ledger.path(), "master");
        let mut cluster = Cluster {
            name,
            nid,
            now,
            wire: Wire::new(options.reconnect_delay),
            nodes,
            id_clock: IdClock::new(),
            table: None,
            ids,
            ids_used_at: None,
            packs: Packs::default(),
            ledger,
            state: ClusterState::Recovering,
            startup: Impulse::None,
            truncate: None,
            displaced: BTreeSet::new(),
            next: None,
            options,
        };
        let phase = Phase::Recovering(Recovery::begin(&mut cluster));
        cluster.ledger.wait()?;
        let waiting = Waiting::default();
        let reserved_at = now.monotonic;
        let (terminating, exit, has_failed) = (None, None, false);
        Ok(Self { cluster, phase, waiting, terminating, reserved_at, exit, has_failed })
    }

    fn log_written(&mut self) {
        if let Err(error) = self.cluster.ledger.poll(self.cluster.now.monotonic) {
            self.has_failed = true;
            self.exit = Some(MasterExit::Failed(error));
            return;
        }
        if !self.cluster.ledger.is_settled() {
            return;
        }
        self.cluster.learn_reserved();
        self.cluster.wire.release();
        if let Some(operation) = self.phase.operation() {
            operation.happened(Awaited::Ids);
        }
        self.settle();
    }

    /// Handles what came in, as long as nothing has to wait for the log.
    fn work(&mut self) {
        while self.exit.is_none() && !self.cluster.wire.is_held() {
            let Some(incoming) = self.cluster.wire.links.next() else { break };
            self.incoming(incoming);
            self.settle();
        }
    }

    fn incoming(&mut self, incoming: Incoming<Asked>) {
        match incoming {
            Incoming::Accepted { link, address } => {
                tracing::debug!(?link, %address, "accepted a connection");
            }
            Incoming::Request { link, id, message } => match self.cluster.nodes.nid_of_link(link) {
                Some(nid) => self.request(nid, link, id, message),
                None => self.introduction(link, id, message),
            },
            Incoming::Answer { link, context, message } => {
                self.cluster.wire.answered(link);
                if let Some(nid) = self.cluster.nodes.nid_of_link(link) {
                    self.answer(nid, link, context, message);
                }
            }
            Incoming::Stray { link, message } => {
                tracing::debug!(?link, ?message, "an error that answers nothing");
            }
            Incoming::Closed { link, reason, .. } => {
                tracing::debug!(?link, %reason, "a connection ended");
                self.lost(link);
            }
        }
    }

    fn introduction(&mut self, link: LinkId, id: u32, message: Message) {
        let refusal = match Applicant::of(link, id, message) {
            Ok(_) if self.waiting.contains(link) => "it waits already".to_owned(),
            Ok(applicant) => return self.apply(applicant),
            Err(name) => format!("{name} before identification"),
        };
        self.waiting.remove(link);
        self.cluster.wire.refuse(link, id, ErrorCode::ProtocolError, refusal);
    }

    fn apply(&mut self, applicant: Applicant) {
        match applicant.apply(&mut self.cluster) {
            Verdict::Joined(nid) if nid.node_type() == Some(NodeType::Storage) => {
                let in_recovery = matches!(self.phase, Phase::Recovering(_));
                if in_recovery || !ask_late(&mut self.cluster, nid) {
                    self.storage_joined(nid);
                }
            }
            Verdict::Waits => self.waiting.insert(applicant),
            Verdict::Joined(_) | Verdict::Refused => {}
        }
    }

    /// A storage is there, and has truncated if it had to.
    fn storage_joined(&mut self, nid: Nid) {
        match &mut self.phase {
            Phase::Recovering(recovery) => recovery.storage_joined(&mut self.cluster, nid),
            Phase::Running(operation) => operation.storage_joined(&mut self.cluster, nid),
            Phase::Verifying(_) | Phase::Stopping(_) => {}
        }
    }

    fn request(&mut self, nid: Nid, link: LinkId, id: u32, message: Message) {
        let cluster = &mut self.cluster;
        let answer = match message {
            Message::AskClusterState {} => {
                Message::AnswerClusterState { state: Some(cluster.state) }
            }
            Message::AskRecovery {} => Message::AnswerRecovery {
                table_id: cluster.table.as_ref().map(|table| table.table().id()),
                backup_tid: None,
                truncate_tid: cluster.truncate,
            },
            Message::AskLastIDs {} => Message::AnswerLastIDs {
                last_tid: Some(cluster.ids.last_tid()),
                last_oid: Some(cluster.ids.last_oid()),
                first_tid: cluster.ids.first_tid(),
            },
            Message::AskLastTransaction {} => {
                Message::AnswerLastTransaction { tid: cluster.ids.last_tid() }
            }
            other => return self.request_of(nid, link, id, other),
        };
        cluster.wire.answer(link, id, &answer);
    }

    /// Handles a request that depends on the kind of node.
    fn request_of(&mut self, nid: Nid, link: LinkId, id: u32, message: Message) {
        let cluster = &mut self.cluster;
        match (nid.node_type(), &mut self.phase) {
            (Some(NodeType::Admin), phase) => {
                administration::request(cluster, phase, link, id, message);
            }
            (Some(NodeType::Storage), Phase::Recovering(_) | Phase::Verifying(_)) => {
                early_storage_request(cluster, nid, link, id, message);
            }
            (Some(NodeType::Storage), phase) => match phase.operation() {
                Some(operation) => operation.storage_request(cluster, nid, link, id, message),
                None => early_storage_request(cluster, nid, link, id, message),
            },
            (Some(NodeType::Client), phase) => match phase.operation() {
                Some(operation) => operation.client_request(cluster, nid, link, id, message),
                None => tracing::debug!(%nid, "a request of a client that is being closed"),
            },
            _ => {
                let text = format!("unexpected {}", message.name());
                cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
            }
        }
    }

    fn answer(&mut self, nid: Nid, link: LinkId, asked: Asked, message: Message) {
        if let Message::Error { code, text } = &message {
            let text = String::from_utf8_lossy(text);
            tracing::error!(%nid, ?code, ?asked, "a storage refuses what it must do: {text}");
            self.cluster.wire.close(link);
            return self.lost(link);
        }
        let cluster = &mut self.cluster;
        match (asked, &message) {
            // In recovery it is asked once more, like all others.
            (Asked::Late, _) if cluster.state == ClusterState::Recovering => return,
            (Asked::Late, Message::AnswerRecovery { table_id, .. }) => {
                if !truncate_first(cluster, nid, *table_id) {
                    self.storage_joined(nid);
                }
                return;
            }
            (Asked::Truncated, _) => {
                truncated(cluster, nid, link);
                return self.storage_joined(nid);
            }
            _ => {}
        }
        match &mut self.phase {
            Phase::Recovering(recovery) => recovery.answer(cluster, nid, message),
            Phase::Verifying(verification) => verification.answer(cluster, nid, asked, message),
            phase => {
                if let Some(operation) = phase.operation() {
                    operation.storage_answer(cluster, nid, asked, message);
                }
            }
        }
    }

    fn lost(&mut self, link: LinkId) {
        self.cluster.wire.closed(link);
        self.waiting.remove(link);
        let Some(nid) = self.cluster.nodes.nid_of_link(link) else { return };
        let cluster = &mut self.cluster;
        match (nid.node_type(), &mut self.phase) {
            (Some(NodeType::Storage), Phase::Recovering(recovery)) => {
                recovery.storage_lost(cluster, nid);
            }
            (Some(NodeType::Storage), Phase::Verifying(verification)) => {
                verification.storage_lost(cluster, nid);
            }
            (Some(NodeType::Storage), phase) => match phase.operation() {
                Some(operation) => operation.storage_lost(cluster, nid),
                None => cluster.nodes.disconnect(nid),
            },
            (Some(NodeType::Client), phase) => match phase.operation() {
                Some(operation) => operation.client_lost(cluster, nid, link),
                None => cluster.remove_node(nid),
            },
            _ => cluster.remove_node(nid),
        }
    }

    /// Peers whose connections were closed here, such as those that were refused something, are
    /// lost like any other. At the end of all everybody is closed, and nobody is lost.
    fn lose_closed(&mut self) {
        while self.exit.is_none()
            && !matches!(self.cluster.next, Some(Next::End(_)))
            && let Some(link) = self.cluster.wire.next_closing()
        {
            self.lost(link);
        }
    }

    /// Does what is to follow, until nothing is.
    fn settle(&mut self) {
        if self.exit.is_some() {
            return;
        }
        self.lose_closed();
        // What follows a change is for when that is durable.
        while !self.cluster.wire.is_held() {
            if let Phase::Recovering(recovery) = &mut self.phase {
                recovery.try_start(&mut self.cluster);
            }
            if let Phase::Stopping(stopping) = &mut self.phase {
                stopping.try_end(&mut self.cluster);
            }
            if let Some(operation) = self.phase.operation() {
                operation.retry_due(&mut self.cluster);
                self.lose_closed();
            }
            let has_due = self.phase.operation().is_some_and(|operation| operation.has_due());
            let next = match self.cluster.next.take() {
                Some(next) => next,
                None if has_due && !self.cluster.wire.is_held() => continue,
                None => break,
            };
            self.follow(next);
            if self.exit.is_some() {
                break;
            }
            self.lose_closed();
        }
        if self.terminating.is_some() && self.exit.is_none() {
            self.try_terminate();
        }
    }

    fn follow(&mut self, next: Next) {
        let cluster = &mut self.cluster;
        match next {
            Next::Verify => self.phase = Phase::Verifying(Verification::begin(cluster)),
            Next::Operate => self.phase = Phase::Running(Operation::begin(cluster)),
            Next::FallBack { .. } if matches!(self.phase, Phase::Stopping(_)) => {
                // Nothing can be committed any more.
                crate::stopping::end(cluster);
                return;
            }
            Next::FallBack { truncate } => {
                leave_operation(cluster, truncate);
                self.phase = Phase::Recovering(Recovery::begin(cluster));
            }
            Next::Stop => {
                let before =
                    std::mem::replace(&mut self.phase, Phase::Recovering(Recovery::default()));
                let operation = match before {
                    Phase::Running(operation) => Some(operation),
                    _ => None,
                };
                self.phase = Phase::Stopping(Stopping::begin(cluster, operation));
            }
            Next::End(exit) => {
                self.terminating.get_or_insert(cluster.now.monotonic);
                self.exit = Some(exit);
                return;
            }
        }
        // Those who came early may join now.
        for applicant in self.waiting.take() {
            self.apply(applicant);
        }
    }

    /// Ends as soon as no commit is on its way.
    fn try_terminate(&mut self) {
        let Some(since) = self.terminating else { return };
        let is_finishing = self.phase.operation().is_some_and(|operation| operation.is_finishing());
        let is_late = self.cluster.now.monotonic >= since + TERMINATION_MAX;
        if is_finishing && !is_late {
            return;
        }
        self.cluster.release_ids();
        if is_late || self.cluster.ledger.is_settled() {
            self.exit = Some(MasterExit::Terminated);
        }
    }

    /// When ids are reserved ahead again.
    fn reservation(&self) -> Option<Duration> {
        let used_at = self.cluster.ids_used_at?;
        let is_active = self.cluster.now.monotonic < used_at + RESERVATION_TIME;
        is_active.then(|| self.reserved_at + RESERVATION_INTERVAL)
    }
}

impl Machine for Master {
    type Context = Asked;
    type Exit = MasterExit;

    fn handle(&mut self, now: Now, event: Event) {
        if self.has_failed {
            return;
        }
        self.cluster.now = now;
        if let Event::Signal(Signal::Terminate) = event {
            tracing::info!("told to end");
            self.terminating.get_or_insert(now.monotonic);
        }
        self.cluster.wire.links.tell_time(now.monotonic);
        self.cluster.wire.feed(event);
        let ledger = &self.cluster.ledger;
        if ledger.is_writing() || ledger.deadline().is_some_and(|at| now.monotonic >= at) {
            self.log_written();
        }
        if self.has_failed {
            return;
        }
        if self.reservation().is_some_and(|at| now.monotonic >= at) {
            self.reserved_at = now.monotonic;
            self.cluster.renew_ids();
        }
        if !self.cluster.wire.is_held() {
            self.settle();
        }
        self.work();
        if cfg!(debug_assertions) {
            self.invariants();
        }
    }

    fn invariants(&self) {
        Self::invariants(self);
    }

    fn links(&mut self) -> &mut Links<Asked> {
        &mut self.cluster.wire.links
    }

    fn deadline(&self) -> Option<Duration> {
        let now = self.cluster.now.monotonic;
        let reservation = self.reservation();
        let termination = self.terminating.map(|since| since + TERMINATION_MAX);
        let stop = match &self.phase {
            // After that only locks are waited for, however long they take.
            Phase::Stopping(stopping) => Some(stopping.deadline()).filter(|until| *until > now),
            _ => None,
        };
        // Without a descriptor, whether the log was written has to be looked for.
        let writing = self.cluster.ledger.is_writing();
        let poll = (writing && self.descriptor().is_none()).then_some(now);
        let retry = self.cluster.ledger.deadline();
        [reservation, termination, stop, poll, retry].into_iter().flatten().min()
    }

    fn exit(&mut self) -> Option<MasterExit> {
        // What was proposed has still to be durable, and what is held to go out, unless the disk
        // does not do it.
        let is_failed = matches!(self.exit, Some(MasterExit::Failed(_)));
        let now = self.cluster.now.monotonic;
        let is_late = self.terminating.is_some_and(|since| now >= since + TERMINATION_MAX);
        let waits = self.cluster.wire.is_held() || !self.cluster.ledger.is_settled();
        if waits && !is_failed && !is_late { None } else { self.exit.take() }
    }
}
