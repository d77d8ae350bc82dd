//! What the primary master says.

use model::{ClusterState, Now};
use net::{BootstrapStep, ErrorCode, LinkId, Message};

use super::cluster::Cluster;
use super::machine::{Admin, AdminExit, Asked};
use super::table::Table;

impl Admin {
    /// A packet on the connection that searches the primary master.
    pub(super) fn bootstrap_packet(&mut self, now: Now, message: Message) {
        let context = Asked::Identification;
        match self.bootstrap.packet(now.monotonic, &mut self.links, message, context) {
            BootstrapStep::Searching => {}
            BootstrapStep::Found { link, master, nid } => {
                tracing::info!(%master, %nid, "connected to the primary master");
                self.master = Some(link);
                self.cluster = Some(Cluster::new(master));
                // Nobody tells on joining.
                self.links.ask(link, &Message::AskClusterState {}, Asked::State);
            }
            BootstrapStep::Refused { address, text } => {
                tracing::warn!(%address, reason = text, "a master refuses this node");
            }
        }
    }

    /// A request or notification of the primary master.
    pub(super) fn master_told(&mut self, now: Now, link: LinkId, id: u32, message: Message) {
        let Some(cluster) = &mut self.cluster else { return };
        match message {
            Message::NotifyNodeInformation { timestamp, nodes } => {
                match std::mem::replace(&mut cluster.has_nodes, true) {
                    false => cluster.nodes.replace(timestamp, &nodes),
                    true => cluster.nodes.update(timestamp, &nodes),
                }
                self.bootstrap.learn(cluster.nodes.masters());
            }
            Message::SendPartitionTable { table_id, replicas, rows } => {
                cluster.table = Table { id: table_id, replicas, rows };
            }
            Message::NotifyPartitionChanges { table_id, replicas, changes } => {
                if let Err(mismatch) = cluster.table.apply(table_id, replicas, &changes) {
                    tracing::warn!(%mismatch, "the primary master contradicts itself");
                    self.leave_master(now);
                }
            }
            Message::NotifyClusterInformation { state } => self.state_is(Some(state)),
            Message::FlushLog {} => {}
            Message::NotifyUpstreamAdmin { address } => {
                tracing::debug!(%address, "backup clusters are not monitored");
            }
            message => {
                let text = format!("unexpected packet {}", message.name());
                tracing::warn!(packet = message.name(), "not expected from the primary master");
                self.links.answer(link, id, &Message::error(ErrorCode::ProtocolError, text));
            }
        }
    }

    /// An answer of the primary master.
    pub(super) fn master_answered(&mut self, context: Asked, message: Message) {
        match (context, message) {
            (Asked::Forwarded { link, id }, message) => self.relay(link, id, &message),
            (Asked::State, Message::AnswerClusterState { state }) => self.state_is(state),
            (Asked::BackupTid, Message::AnswerRecovery { backup_tid, .. }) => {
                self.monitor.backup_tid = backup_tid;
            }
            (Asked::LastTid, Message::AnswerLastTransaction { tid }) => {
                self.answer_monitors(Some(tid));
            }
            (context, message) => {
                tracing::warn!(?context, ?message, "the primary master refuses");
                if context == Asked::LastTid {
                    self.answer_monitors(None);
                }
            }
        }
    }

    /// The connection to the primary master is gone, and with it the answers to `requests`.
    pub(super) fn master_lost(&mut self, now: Now, requests: Vec<Asked>) {
        let state = self.cluster.as_ref().and_then(|cluster| cluster.state);
        self.master = None;
        self.cluster = None;
        self.forwarded.clear();
        for request in requests {
            if let Asked::Forwarded { link, id } = request {
                let code = ErrorCode::ProtocolError;
                self.links.refuse(link, id, code, "connection to master lost");
            }
        }
        self.answer_monitors(None);
        match state {
            Some(ClusterState::Stopping) => {
                tracing::info!("the cluster was stopped");
                self.end(AdminExit::ClusterStopped);
            }
            _ => {
                self.bootstrap.identity_mut().nid = self.options.nid;
                self.bootstrap.start(now.monotonic, &mut self.links, Asked::Identification);
            }
        }
    }

    /// Closes the connection to the primary master, and begins again.
    pub(super) fn leave_master(&mut self, now: Now) {
        let Some(master) = self.master else { return };
        let requests = self.links.take_asked(master);
        self.links.abort(master);
        self.master_lost(now, requests);
    }

    fn relay(&mut self, link: LinkId, id: u32, message: &Message) {
        if let Some(count) = self.forwarded.get_mut(&link) {
            *count -= 1;
            if *count == 0 {
                self.forwarded.remove(&link);
            }
        }
        self.links.answer(link, id, message);
        if matches!(message, Message::Error { code, .. } if code.closes()) {
            self.links.close(link);
        }
    }

    fn state_is(&mut self, state: Option<ClusterState>) {
        let Some(cluster) = &mut self.cluster else { return };
        if cluster.state != state {
            if let Some(state) = state {
                tracing::info!(%state, "the state of the cluster");
            }
            cluster.state = state;
        }
    }
}
