//! Who is told of whom.

use bytes::Bytes;
use model::NodeType;

use super::registry::Node;

/// Whether a node is told of another one.
///
/// Masters learn of masters; clients of masters and storages; storages and admins of masters,
/// storages and clients. Admins are announced to nobody, except to clients of a backup cluster
/// that the admin monitors.
pub(crate) fn concerns(subject: &Node, receiver: &Node) -> bool {
    match subject.node_type {
        NodeType::Master => true,
        NodeType::Storage => receiver.node_type != NodeType::Master,
        NodeType::Client => {
            matches!(receiver.node_type, NodeType::Storage | NodeType::Admin)
        }
        NodeType::Admin => {
            let backup: Option<&Bytes> = receiver.details.backup.as_ref();
            receiver.node_type == NodeType::Client
                && backup.is_some_and(|backup| subject.details.monitors.contains(backup))
        }
    }
}
