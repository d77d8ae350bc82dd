//! What operators ask. They do not say who they are.

use model::{NodeType, Now};
use net::{ErrorCode, LinkId, Message};

use super::machine::{Admin, Asked};
use super::summary::NOT_CONNECTED;

/// Requests of one connection that the master may have to answer at a time. The tools of operators
/// ask one after the other.
const FORWARDED_MAX: u32 = 256;

impl Admin {
    /// A packet of somebody who connected.
    pub(super) fn control(&mut self, now: Now, link: LinkId, id: u32, message: Message) {
        match &message {
            Message::CloseClient {} => return self.links.close(link),
            Message::RequestIdentification { node_type, cluster, .. } => {
                let text = match node_type {
                    NodeType::Admin => format!("unknown backup cluster {cluster:?}"),
                    _ => String::from("reject non-admin node"),
                };
                return self.links.refuse(link, id, ErrorCode::ProtocolError, text);
            }
            _ => {}
        }
        let (Some(master), Some(cluster)) = (self.master, &self.cluster) else {
            return self.links.refuse(link, id, ErrorCode::NotReady, NOT_CONNECTED);
        };
        let answer = match message {
            Message::AskPrimary {} => Message::AnswerPrimary { nid: cluster.primary },
            Message::AskClusterState {} => Message::AnswerClusterState { state: cluster.state },
            Message::AskNodeList { node_type } => {
                Message::AnswerNodeList { nodes: cluster.nodes(node_type) }
            }
            Message::AskPartitionList { first, last, .. } => {
                match cluster.table.rows(first, last) {
                    Some(rows) => Message::AnswerPartitionList {
                        table_id: cluster.table.id,
                        replicas: cluster.table.replicas,
                        rows: rows.to_vec(),
                    },
                    None => {
                        let text = "invalid partition table offset";
                        return self.links.refuse(link, id, ErrorCode::ProtocolError, text);
                    }
                }
            }
            Message::AskMonitorInformation {} => return self.ask_monitor(now, link, id),
            Message::FlushLog {} => return self.links.send(master, &message),
            message if is_for_master(&message) => {
                return self.forward(master, link, id, &message);
            }
            message => {
                tracing::debug!(?link, packet = message.name(), "not for an admin");
                let text = format!("unexpected packet {}", message.name());
                return self.links.refuse(link, id, ErrorCode::ProtocolError, text);
            }
        };
        self.links.answer(link, id, &answer);
    }

    fn forward(&mut self, master: LinkId, link: LinkId, id: u32, message: &Message) {
        let count = self.forwarded.entry(link).or_default();
        if *count >= FORWARDED_MAX {
            let text = "too many requests at a time";
            return self.links.refuse(link, id, ErrorCode::ProtocolError, text);
        }
        *count += 1;
        self.links.ask(master, message, Asked::Forwarded { link, id });
    }
}

/// Whether the primary master answers this.
fn is_for_master(message: &Message) -> bool {
    matches!(
        message,
        Message::AddPendingNodes { .. }
            | Message::AskLastIDs {}
            | Message::AskLastTransaction {}
            | Message::AskRecovery {}
            | Message::CheckReplicas { .. }
            | Message::Repair { .. }
            | Message::SetClusterState { .. }
            | Message::SetNodeState { .. }
            | Message::SetNumReplicas { .. }
            | Message::Truncate { .. }
            | Message::TweakPartitionTable { .. }
    )
}
