//! Comparing replicas.

use std::collections::BTreeSet;

use model::{Nid, NodeType, PartitionId, Tid};
use net::{CheckSource, Message, OrderedMap};

use crate::cluster::Cluster;

/// Has storages compare their readable cells of partitions, with a reference where one is named.
///
/// # Errors
/// If there is no such partition or reference. Nothing is done then.
pub(crate) fn check_replicas(
    cluster: &mut Cluster,
    partitions: &OrderedMap<PartitionId, Option<Nid>>,
    tid_min: Tid,
    tid_max: Option<Tid>,
) -> Result<(), String> {
    let count = cluster.table().partitions();
    for (partition, source) in &partitions.0 {
        if partition.get() >= count.get() {
            return Err(format!("unknown partition {partition}: there are {count}"));
        }
        if let Some(source) = source {
            let node = cluster.nodes.get(*source);
            let node = node.filter(|node| node.node_type == NodeType::Storage);
            if node.and_then(|node| node.address.as_ref()).is_none() {
                return Err(format!("invalid storage node {source}"));
            }
        }
    }
    let tid_max = tid_max.filter(|tid| *tid > Tid::ZERO).unwrap_or(cluster.ids.last_tid());
    if tid_min > tid_max {
        tracing::warn!(%tid_min, %tid_max, "nothing to check");
        return Ok(());
    }
    // As few nodes as possible do the work.
    let mut busy: BTreeSet<Nid> = BTreeSet::new();
    for (partition, source) in &partitions.0 {
        let readable: Vec<Nid> = cluster.table().table().readable(*partition).collect();
        if readable.len() <= 1 {
            continue;
        }
        let chosen = readable.iter().find(|nid| busy.contains(nid)).or(readable.last());
        let Some(nid) = chosen.copied() else { continue };
        busy.insert(nid);
        let address = source.and_then(|source| cluster.nodes.get(source)?.address.clone());
        let source = CheckSource { cluster: String::new(), address };
        if let Some(link) = cluster.nodes.link(nid) {
            let message =
                Message::CheckPartition { partition: *partition, source, tid_min, tid_max };
            cluster.wire.send(link, &message);
        }
    }
    Ok(())
}
