//! What comes of storages when the cluster does not operate.

use model::Nid;
use net::{ErrorCode, LinkId, Message};

use crate::cluster::Cluster;

/// What storages may send when the cluster does not operate: they report, or have not heard yet
/// that operation is over.
pub(crate) fn early_storage_request(
    cluster: &mut Cluster,
    nid: Nid,
    link: LinkId,
    id: u32,
    message: Message,
) {
    match message {
        Message::NotifyPackCompleted { pack_id } => {
            cluster.nodes.set_completed_pack(nid, pack_id);
        }
        Message::NotifyReady {}
        | Message::NotifyReplicationDone { .. }
        | Message::NotifyPartitionCorrupted { .. } => {
            tracing::debug!(%nid, "ignored {}: the cluster does not operate", message.name());
        }
        Message::AskUnfinishedTransactions { .. } => {
            let last_tid = cluster.ids.last_tid();
            let answer = Message::AnswerUnfinishedTransactions { last_tid, ttids: Vec::new() };
            cluster.wire.answer(link, id, &answer);
        }
        Message::AskPackOrders { .. } => {
            cluster.wire.answer(link, id, &Message::AnswerPackOrders { orders: Vec::new() });
        }
        other => {
            let text = format!("unexpected {} of a storage", other.name());
            cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
    }
}
