//! Summaries for operators: the last transaction has to be asked for first.

use std::time::Duration;

use bytes::Bytes;
use model::{ClusterState, Now, Tid};
use net::{LinkId, Message};

use super::machine::{Admin, Asked};
use super::summary::{Severity, Summary};

/// How long a primary master that does not say its last transaction is believed to be alive.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Who waits for a summary.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    waiting: Vec<(LinkId, u32)>,
    /// When the master is given up, while it is being asked.
    deadline: Option<Duration>,
    /// As the master answered last.
    pub(super) backup_tid: Option<Tid>,
}

impl Monitor {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.deadline.is_none()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.waiting.retain(|(waiting, _)| *waiting != link);
    }
}

impl Admin {
    /// Somebody wants a summary.
    pub(super) fn ask_monitor(&mut self, now: Now, link: LinkId, id: u32) {
        self.monitor.waiting.push((link, id));
        let (Some(master), Some(cluster)) = (self.master, &self.cluster) else { return };
        if !cluster.is_operational() && self.monitor.deadline.is_none() {
            return self.answer_monitors(None);
        }
        if self.monitor.deadline.is_none() {
            self.monitor.deadline = Some(now.monotonic + ANSWER_TIME_MAX);
            self.monitor.backup_tid = None;
            if cluster.state == Some(ClusterState::BackingUp) {
                self.links.ask(master, &Message::AskRecovery {}, Asked::BackupTid);
            }
            self.links.ask(master, &Message::AskLastTransaction {}, Asked::LastTid);
        }
    }

    /// The last transaction is known now, or cannot be.
    pub(super) fn answer_monitors(&mut self, last_tid: Option<Tid>) {
        self.monitor.deadline = None;
        let summary = match &self.cluster {
            None => Summary::of_nothing(),
            Some(cluster) if cluster.state == Some(ClusterState::BackingUp) => {
                Summary::of(cluster, self.monitor.backup_tid)
            }
            Some(cluster) => Summary::of(cluster, last_tid),
        };
        let named = |severity| match summary.severity == severity {
            true => vec![None],
            false => Vec::new(),
        };
        let message = Message::AnswerMonitorInformation {
            warnings: named(Severity::Warning),
            problems: named(Severity::Problem),
            text: Bytes::from(summary.text.clone()),
        };
        for (link, id) in std::mem::take(&mut self.monitor.waiting) {
            self.links.answer(link, id, &message);
        }
    }

    pub(super) fn monitor_timer(&mut self, now: Now) {
        if self.monitor.deadline.is_some_and(|deadline| deadline <= now.monotonic) {
            tracing::warn!("the primary master does not answer");
            self.leave_master(now);
        }
    }
}
