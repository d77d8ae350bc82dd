//! Whether a cluster serves.

use model::{ClusterState, NodeState, NodeType};
use net::{Address, Message};

use crate::control::{Connection, ControlError};

/// Whether the admin at an address says that the cluster runs, with so many storages.
pub(super) fn is_running(admin: &Address, storages: usize) -> Result<bool, ControlError> {
    let mut connection = Connection::open(admin)?;
    let state = connection.ask(&Message::AskClusterState {})?;
    let running = Some(ClusterState::Running);
    if !matches!(state, Message::AnswerClusterState { state } if state == running) {
        return Ok(false);
    }
    let node_type = Some(NodeType::Storage);
    let Message::AnswerNodeList { nodes } = connection.ask(&Message::AskNodeList { node_type })?
    else {
        return Ok(false);
    };
    let at_work = nodes.iter().filter(|node| node.state == NodeState::Running).count();
    Ok(at_work >= storages)
}

/// Has the admin at an address stop the cluster.
pub(super) fn stop(admin: &Address) -> Result<(), ControlError> {
    let state = ClusterState::Stopping;
    Connection::open(admin)?.ask(&Message::SetClusterState { state }).map(drop)
}
