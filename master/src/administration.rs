//! What operators ask for, through an admin.

use std::collections::BTreeSet;

use model::{ClusterState, Nid, NodeState, NodeType, Tid};
use net::{ErrorCode, LinkId, Message, NodeInformation};

use crate::cluster::Cluster;
use crate::log::Command;
use crate::operation::check_replicas;
use crate::phase::{Next, Phase};
use crate::recovery::Impulse;
use crate::table::{LiveTable, dropped, tweaked};

/// What is answered: a text that confirms, or one that denies.
type Outcome = Result<String, String>;

/// Handles a request of an admin.
pub(crate) fn request(
    cluster: &mut Cluster,
    phase: &mut Phase,
    link: LinkId,
    id: u32,
    message: Message,
) {
    let outcome = match message {
        Message::SetClusterState { state } => {
            return set_cluster_state(cluster, phase, link, id, state);
        }
        Message::SetNodeState { nid, state } => {
            return set_node_state(cluster, phase, link, id, nid, state);
        }
        Message::TweakPartitionTable { dry_run, excluded } => {
            return match tweak(cluster, dry_run, &excluded) {
                Ok((changed, rows)) => {
                    let message = Message::AnswerTweakPartitionTable { changed, rows };
                    cluster.wire.answer(link, id, &message);
                }
                Err(text) => cluster.wire.refuse(link, id, ErrorCode::Denied, text),
            };
        }
        Message::AddPendingNodes { nids } => add_pending(cluster, phase, &nids),
        Message::SetNumReplicas { replicas } => set_replicas(cluster, replicas),
        Message::Truncate { tid } => truncate(cluster, tid),
        Message::CheckReplicas { partitions, tid_min, tid_max } => {
            let allowed = only_running(cluster, "CheckReplicas");
            allowed.and_then(|()| {
                check_replicas(cluster, &partitions, tid_min, tid_max).map(|()| String::new())
            })
        }
        Message::Repair { nids, dry_run } => repair(cluster, &nids, dry_run),
        Message::FlushLog {} => return flush_logs(cluster, link),
        other => {
            let text = format!("unexpected {} of an admin", other.name());
            return cluster.wire.refuse(link, id, ErrorCode::ProtocolError, text);
        }
    };
    match outcome {
        Ok(text) => cluster.wire.answer(link, id, &Message::error(ErrorCode::Ack, text)),
        Err(text) => cluster.wire.refuse(link, id, ErrorCode::Denied, text),
    }
}

fn only_running(cluster: &Cluster, name: &str) -> Result<(), String> {
    match cluster.state {
        ClusterState::Running => Ok(()),
        state => Err(format!("{name} cannot be used in {state} state")),
    }
}

fn set_cluster_state(
    cluster: &mut Cluster,
    phase: &Phase,
    link: LinkId,
    id: u32,
    state: ClusterState,
) {
    let outcome = match (state, phase) {
        (ClusterState::Stopping, Phase::Stopping(_)) => Err("It is stopping already".to_owned()),
        (ClusterState::Stopping, _) => Ok(()),
        (ClusterState::Verifying, Phase::Recovering(recovery)) => {
            recovery.refusal(cluster).map_or(Ok(()), Err)
        }
        (ClusterState::StartingBackup | ClusterState::StoppingBackup, _) => {
            Err("Backup clusters come with a later version".to_owned())
        }
        (ClusterState::Verifying, _) => Err("Can not switch to this state".to_owned()),
        _ => Err("Invalid state requested".to_owned()),
    };
    if let Err(text) = outcome {
        return cluster.wire.refuse(link, id, ErrorCode::Denied, text);
    }
    cluster.wire.answer(link, id, &Message::ack("Cluster state changed"));
    match state {
        ClusterState::Verifying => cluster.startup = Impulse::Operator,
        _ => cluster.follow_with(Next::Stop),
    }
}

fn set_node_state(
    cluster: &mut Cluster,
    phase: &mut Phase,
    link: LinkId,
    id: u32,
    nid: Nid,
    state: NodeState,
) {
    let is_remembered = cluster.ledger.remembered().storages.contains_key(&nid);
    if state == NodeState::Unknown && is_remembered && cluster.nodes.get(nid).is_none() {
        // It has no cells, or it would be known: only its id is taken.
        cluster.commit(Command::Forget { nid });
        let message = Message::error(ErrorCode::Ack, "node permanently removed");
        return cluster.wire.answer(link, id, &message);
    }
    match changes_of_node(cluster, phase, nid, state) {
        Err(text) => cluster.wire.refuse(link, id, ErrorCode::Denied, text),
        Ok(changes) => {
            let before = cluster.nodes.get(nid).map(|node| node.state);
            if state == NodeState::Down {
                kill(cluster, phase, link, id, nid, before == Some(state));
            } else {
                let had_cells = !changes.is_empty();
                cluster.change_table(None, changes);
                drop_node(cluster, phase, link, id, nid, had_cells);
            }
        }
    }
}

/// Whether a node can be killed or dropped, and what that changes of the table at least.
fn changes_of_node(
    cluster: &Cluster,
    phase: &Phase,
    nid: Nid,
    state: NodeState,
) -> Result<Vec<model::CellChange>, String> {
    if nid == cluster.nid {
        return Err("can not kill primary master node".to_owned());
    }
    if matches!(phase, Phase::Stopping(_)) {
        return Err("SetNodeState cannot be used in STOPPING state".to_owned());
    }
    let node = cluster.nodes.get(nid).ok_or("unknown node")?;
    let fits = match node.node_type {
        NodeType::Storage => matches!(state, NodeState::Down | NodeState::Unknown),
        _ => false,
    };
    if !fits {
        return Err(format!("can not switch node to {state} state"));
    }
    if state == NodeState::Unknown && node.state == NodeState::Running {
        return Err("a running node must be stopped before removal".to_owned());
    }
    let Some(table) = &cluster.table else { return Ok(Vec::new()) };
    let changes = dropped(table, nid).map_err(|error| format!("refuse to drop {nid}: {error}"))?;
    let without = BTreeSet::from([nid]);
    if table.is_running(nid) && !table.is_operational_without(&without) {
        return Err(format!("refuse to drop {nid}: the cluster can not do without it"));
    }
    if let (NodeState::Unknown, false, Phase::Recovering(recovery)) =
        (state, changes.is_empty(), phase)
    {
        // What is dropped has to be in the table that counts, whatever the node itself has.
        recovery.can_do_without(cluster, nid).map_err(|reason| {
            format!("refuse to drop {nid}, as the other cells are not known well enough: {reason}")
        })?;
    }
    Ok(changes)
}

/// Has a storage exit; it stays known.
fn kill(cluster: &mut Cluster, phase: &mut Phase, link: LinkId, id: u32, nid: Nid, is_down: bool) {
    cluster.set_node_state(nid, NodeState::Down);
    disconnect(cluster, nid, NodeState::Down);
    // Recovery finds out anew who is there.
    if cluster.state != ClusterState::Recovering {
        cluster.outdate(nid, None);
    }
    left(cluster, phase, nid);
    let text = if is_down { "node already in DOWN state" } else { "state changed" };
    cluster.wire.answer(link, id, &Message::error(ErrorCode::Ack, text));
    if !is_down {
        cluster.broadcast_nodes(&[nid]);
    }
}

/// Forgets a storage, which has no cells any more.
fn drop_node(
    cluster: &mut Cluster,
    phase: &mut Phase,
    link: LinkId,
    id: u32,
    nid: Nid,
    had_cells: bool,
) {
    disconnect(cluster, nid, NodeState::Unknown);
    left(cluster, phase, nid);
    cluster.commit(Command::Forget { nid });
    let text = if had_cells { "node permanently removed" } else { "state changed" };
    cluster.wire.answer(link, id, &Message::error(ErrorCode::Ack, text));
    cluster.remove_node(nid);
}

/// Tells a storage what became of it, and closes its connection.
fn disconnect(cluster: &mut Cluster, nid: Nid, state: NodeState) {
    let Some(link) = cluster.nodes.link(nid) else { return };
    let timestamp = cluster.id_clock.next(cluster.now.unix);
    if let Some(information) = cluster.nodes.information(nid) {
        let nodes = vec![NodeInformation { state, ..information }];
        cluster.wire.send(link, &Message::NotifyNodeInformation { timestamp, nodes });
    }
    cluster.wire.close(link);
    cluster.nodes.disconnect(nid);
}

/// Nothing more is expected of a storage.
fn left(cluster: &mut Cluster, phase: &mut Phase, nid: Nid) {
    match phase {
        Phase::Recovering(recovery) => recovery.storage_left(cluster, nid),
        Phase::Verifying(verification) => verification.storage_left(cluster, nid),
        Phase::Running(operation) => operation.storage_left(cluster, nid),
        Phase::Stopping(_) => {}
    }
}

fn add_pending(cluster: &mut Cluster, phase: &mut Phase, nids: &[Nid]) -> Outcome {
    only_running(cluster, "AddPendingNodes")?;
    let is_pending =
        |nid: &Nid| cluster.nodes.get(*nid).is_some_and(|node| node.state == NodeState::Pending);
    let added: BTreeSet<Nid> = nids.iter().copied().filter(is_pending).collect();
    if added.is_empty() {
        return Ok("No node added".to_owned());
    }
    for nid in &added {
        cluster.set_node_state(*nid, NodeState::Running);
        if let Some(operation) = phase.operation() {
            operation.storage_joined(cluster, *nid);
        }
    }
    let added: Vec<Nid> = added.into_iter().collect();
    cluster.broadcast_nodes(&added);
    let names: Vec<String> = added.iter().map(Nid::to_string).collect();
    Ok(format!("Nodes added: {}", names.join(", ")))
}

fn set_replicas(cluster: &mut Cluster, replicas: u32) -> Outcome {
    only_running(cluster, "SetNumReplicas")?;
    cluster.change_table(Some(replicas), Vec::new());
    Ok(String::new())
}

type Tweaked = (bool, Vec<Vec<model::Cell>>);

fn tweak(cluster: &mut Cluster, dry_run: bool, excluded: &[Nid]) -> Result<Tweaked, String> {
    only_running(cluster, "TweakPartitionTable")?;
    let mut members = Vec::new();
    for (nid, node) in cluster.nodes.of_type(NodeType::Storage) {
        if excluded.contains(&nid) || node.state == NodeState::Pending {
            continue;
        }
        if node.state != NodeState::Running {
            return Err("tweak: down nodes must be listed explicitly".to_owned());
        }
        members.push(nid);
    }
    let members = cluster.members(members.into_iter());
    let changes = tweaked(cluster.table(), &members).map_err(|error| error.to_string())?;
    let changed = !changes.is_empty();
    if dry_run {
        let table = cluster.table();
        let mut copy = LiveTable::new(table.table().clone(), table.running().clone());
        if changed {
            copy.apply(table.table().replicas(), &changes);
        }
        return Ok((changed, copy.rows()));
    }
    cluster.change_table(None, changes);
    Ok((changed, cluster.table().rows()))
}

fn truncate(cluster: &mut Cluster, tid: Tid) -> Outcome {
    only_running(cluster, "Truncate")?;
    if cluster.ids.last_tid() <= tid {
        return Err("Truncating after last transaction does nothing".to_owned());
    }
    if cluster.ids.first_tid() > tid {
        let text = "Truncating before first transaction is probably not what you intended to do";
        return Err(text.to_owned());
    }
    let (approved, _) = cluster.packs.signed(Tid::new(tid.get() + 1));
    if !approved.is_empty() {
        return Err("Can not truncate before an approved pack".to_owned());
    }
    tracing::warn!(%tid, "truncating");
    // Clients may have chosen later tids than what is reserved. Recovery takes a log that does not
    // know of the last transaction for an old one.
    let last_tid = cluster.ids.last_tid();
    if last_tid > cluster.ledger.remembered().reserved_tid {
        cluster.commit(Command::Tids(last_tid));
        cluster.learn_reserved();
    }
    cluster.commit(Command::Truncate(Some(tid)));
    cluster.follow_with(Next::FallBack { truncate: Some(tid) });
    Ok(String::new())
}

fn repair(cluster: &mut Cluster, nids: &[Nid], dry_run: bool) -> Outcome {
    let mut links = Vec::new();
    for nid in nids {
        let node = cluster.nodes.get(*nid);
        let node = node.filter(|node| node.node_type == NodeType::Storage);
        let link = node.and_then(|node| node.link);
        links.push(link.ok_or_else(|| format!("invalid storage node {nid}"))?);
    }
    for link in links {
        cluster.wire.send(link, &Message::NotifyRepair { dry_run });
    }
    Ok(String::new())
}

fn flush_logs(cluster: &mut Cluster, asker: LinkId) {
    let links: Vec<LinkId> = cluster.nodes.iter().filter_map(|(_, node)| node.link).collect();
    for link in links.into_iter().filter(|link| *link != asker) {
        cluster.wire.send(link, &Message::FlushLog {});
    }
}
