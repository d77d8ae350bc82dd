//! What the primary master asks while it looks for the latest table: and how it truncates.

use engine::{MetadataEdit, MetadataKey};
use model::Tid;
use net::{LinkId, Message};

use crate::initialization::MasterStep;
use crate::machine::Storage;

impl Storage {
    pub(crate) fn answer_recovery(&mut self, link: LinkId, id: u32) {
        let metadata = self.engine.metadata();
        let answer = Message::AnswerRecovery {
            table_id: self.table.as_ref().map(model::PartitionTable::id),
            backup_tid: metadata.get_tid(MetadataKey::BackupTid),
            truncate_tid: metadata.get_tid(MetadataKey::TruncateTid),
        };
        self.links.answer(link, id, &answer);
    }

    /// The table that this storage remembers.
    pub(crate) fn answer_table(&mut self, link: LinkId, id: u32) {
        let Some(table) = &self.table else {
            return self.refuse_master(id, "this storage has no partition table");
        };
        let rows = table.partitions().iter().map(|partition| table.cells(partition).to_vec());
        let answer = Message::AnswerPartitionTable {
            table_id: table.id(),
            replicas: table.replicas(),
            rows: rows.collect(),
        };
        self.links.answer(link, id, &answer);
    }

    /// The database is to be truncated (R18): noted durably, and done when the master asks for the
    /// last ids, so that all storages do it or none has begun.
    pub(crate) fn intend_truncation(&mut self, tid: Tid) {
        tracing::warn!(%tid, "the database is going to be truncated");
        let edits = vec![
            MetadataEdit::remove(MetadataKey::BackupTid),
            MetadataEdit::set(MetadataKey::TruncateTid, tid.get().to_le_bytes()),
        ];
        self.edit_first(edits, MasterStep::Noted);
    }

    /// Does what was intended, if anything was. Whether the master has to wait for it.
    pub(crate) fn truncate_first(&mut self, link: LinkId, id: u32) -> bool {
        self.truncate(MasterStep::LastIds { link, id })
    }

    /// The cluster operates and did not ask for last ids: it has no use for what this storage has,
    /// and what it was told once is of the past, not for the next who asks.
    pub(crate) fn truncate_late(&mut self) {
        self.truncate(MasterStep::Noted);
    }

    fn truncate(&mut self, step: MasterStep) -> bool {
        let Some(tid) = self.engine.metadata().get_tid(MetadataKey::TruncateTid) else {
            return false;
        };
        tracing::warn!(%tid, "the database is truncated");
        // In the order of the log: the intent is forgotten only behind the truncation.
        let token = self.token(crate::completions::After::Nobody);
        if let Err(error) = self.engine.truncate(token, tid) {
            self.completions.remove(&token);
            self.fail(error);
            return true;
        }
        let mut edits = vec![MetadataEdit::remove(MetadataKey::TruncateTid)];
        if self.packs.retain(|pack_id| pack_id <= tid) {
            edits.push(self.packs.edit());
        }
        self.edit_first(edits, step);
        true
    }
}
