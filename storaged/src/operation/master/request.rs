//! Which message of the primary master goes where.

use net::{LinkId, Message};

use crate::machine::{Phase, Storage};

impl Storage {
    pub(crate) fn master_says_operating(&mut self, link: LinkId, id: u32, message: Message) {
        match message {
            Message::AskLockInformation { ttid, tid, pack_approved } => {
                self.lock(link, id, (ttid, tid), pack_approved);
            }
            Message::NotifyUnlockInformation { ttid } => self.unlock(ttid),
            Message::StartOperation { backup: true } => {
                tracing::info!("the cluster becomes a backup: clients only read");
                self.phase = Phase::Operating { master: link, backup: true };
            }
            Message::Replicate { sources, .. } => {
                let partitions: Vec<_> =
                    sources.0.iter().map(|(partition, _)| *partition).collect();
                tracing::warn!(
                    ?partitions,
                    "this version does not replicate yet: these cells stay as they are"
                );
            }
            Message::CheckPartition { partition, .. } => {
                tracing::warn!(%partition, "this version does not compare replicas yet");
            }
            other => self.master_says_always(link, id, other),
        }
    }
}
