//! Which request of a storage goes where.

use model::{CellState, PartitionId};
use net::{ErrorCode, LinkId, Message};

use crate::machine::Storage;

impl Storage {
    pub(crate) fn storage_asks(&mut self, link: LinkId, id: u32, message: Message) {
        match message {
            Message::AskFetchTransactions { partition, .. }
            | Message::AskFetchObjects { partition, .. }
                if !self.is_readable(partition) =>
            {
                self.refuse_source(link, id, partition, ErrorCode::ReplicationError);
            }
            Message::AskCheckTIDRange { partition, .. }
            | Message::AskCheckSerialRange { partition, .. }
                if !self.is_comparable(partition) =>
            {
                self.refuse_source(link, id, partition, ErrorCode::CheckingError);
            }
            Message::AskFetchTransactions { .. } => self.ask_fetch_transactions(link, id, message),
            Message::AskFetchObjects { .. } => self.ask_fetch_objects(link, id, message),
            Message::AskCheckTIDRange { partition, length, tid_min, tid_max } => {
                self.ask_check_tids(link, id, partition, length, (tid_min, tid_max));
            }
            Message::AskCheckSerialRange { .. } => self.ask_check_serials(link, id, message),
            other => self.unexpected(link, id, &other),
        }
    }

    /// Whether a cell has all that others have, so that they can be compared.
    pub(super) fn is_comparable(&self, partition: PartitionId) -> bool {
        self.cell(partition).is_some_and(|state| state != CellState::OutOfDate)
    }

    pub(crate) fn refuse_source(
        &mut self,
        link: LinkId,
        id: u32,
        partition: PartitionId,
        code: ErrorCode,
    ) {
        self.refuse_peer(link, id, code, format!("partition {partition} is not readable here"));
    }
}
