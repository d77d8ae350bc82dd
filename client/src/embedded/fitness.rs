//! Whether a directory holds a whole database that is nobody else's, and what a new one says of
//! itself.

use engine::{Engine, MetadataEdit, MetadataKey, TransactionState};
use model::{CellState, Nid, NodeType, PartitionCount, PartitionTable};

use super::failure;
use super::options::{EmbeddedOptions, InDoubt, Opening};
use super::unfit::Unfit;
use crate::error::Error;

/// Of a new database, as `neolith import` makes it.
const NAME_DEFAULT: &str = "neolith";
/// Enough for a dozen storages, and a few cursors to merge for everybody else.
const PARTITIONS_DEFAULT: u32 = 12;

/// What a new database says of itself: a cluster of one storage can serve it.
pub(super) fn first_metadata(options: &EmbeddedOptions) -> Vec<MetadataEdit> {
    let partitions = options.partitions.or(PartitionCount::new(PARTITIONS_DEFAULT));
    let Some(partitions) = partitions else { unreachable!("the default is legal") };
    let nid = Nid::of(NodeType::Storage, 1);
    let table = PartitionTable::of_one_storage(partitions, nid);
    let name = options.name.as_deref().unwrap_or(NAME_DEFAULT);
    vec![
        MetadataEdit::set(MetadataKey::Nid, nid.get().to_le_bytes()),
        MetadataEdit::set(MetadataKey::ClusterName, name.as_bytes()),
        MetadataEdit::set(MetadataKey::Partitions, partitions.get().to_le_bytes()),
        MetadataEdit::set(MetadataKey::Replicas, table.replicas().to_le_bytes()),
        MetadataEdit::set(MetadataKey::PartitionTable, table.to_bytes()),
    ]
}

/// How many partitions a database has that can be used without a cluster.
pub(super) fn check(
    engine: &Engine,
    path: &str,
    options: &EmbeddedOptions,
) -> Result<PartitionCount, Error> {
    let unfit = |reason| Error::Unfit { path: path.to_owned(), reason };
    let partitions = check_metadata(engine, options).map_err(unfit)?;
    let mut in_doubt = engine.transactions();
    let first = in_doubt.next().map(|(ttid, _)| ttid);
    let settles = options.in_doubt == InDoubt::Settle && options.opening != Opening::ReadOnly;
    if let (Some(first), false) = (first, settles) {
        let count = 1 + in_doubt.count();
        return Err(unfit(Unfit::InDoubt { count, first }));
    }
    Ok(partitions)
}

fn check_metadata(engine: &Engine, options: &EmbeddedOptions) -> Result<PartitionCount, Unfit> {
    let metadata = engine.metadata();
    if metadata.get(MetadataKey::Import).is_some() {
        return Err(Unfit::Import);
    }
    if let Some(tid) = metadata.get_tid(MetadataKey::BackupTid) {
        return Err(Unfit::Backup { tid });
    }
    if let Some(tid) = metadata.get_tid(MetadataKey::TruncateTid) {
        return Err(Unfit::Truncation { tid });
    }
    let Some(bytes) = metadata.get(MetadataKey::PartitionTable) else {
        return Err(Unfit::NoTable);
    };
    let table = PartitionTable::from_bytes(bytes);
    let table = table.map_err(|_| Unfit::Metadata { what: "partition table" })?;
    let partitions = metadata.get_u32(MetadataKey::Partitions).and_then(PartitionCount::new);
    let partitions = partitions.filter(|partitions| *partitions == table.partitions());
    let partitions = partitions.ok_or(Unfit::Metadata { what: "number of partitions" })?;
    let nid = metadata.get_u32(MetadataKey::Nid).map(u32::cast_signed).map(Nid::new);
    let nid = nid.ok_or(Unfit::Metadata { what: "node id" })?;
    check_cells(&table, nid)?;
    if let Some(wanted) = &options.name {
        let name = metadata.get(MetadataKey::ClusterName).unwrap_or_default();
        if name != wanted.as_bytes() {
            let database = String::from_utf8_lossy(name).into_owned();
            return Err(Unfit::OtherName { database, wanted: wanted.clone() });
        }
    }
    match options.partitions.filter(|wanted| *wanted != partitions) {
        Some(wanted) => Err(Unfit::OtherPartitions { database: partitions, wanted }),
        None => Ok(partitions),
    }
}

/// Every partition is here, whole, and nowhere else.
fn check_cells(table: &PartitionTable, own: Nid) -> Result<(), Unfit> {
    for partition in table.partitions().iter() {
        match table.cell_state(partition, own) {
            None => return Err(Unfit::NoCell { partition }),
            Some(CellState::UpToDate) => {}
            Some(state) => return Err(Unfit::NotUpToDate { partition, state }),
        }
        let mut others = table.cells(partition).iter().filter(|cell| cell.nid != own);
        if let Some(other) = others.next() {
            return Err(Unfit::Replicated { partition, nid: other.nid });
        }
    }
    Ok(())
}

/// Ends what a cluster left in doubt, as a master does that has this storage only.
pub(super) fn settle(engine: &mut Engine, path: &str) -> Result<(), Error> {
    let in_doubt: Vec<_> = engine.transactions().collect();
    let mut settled = || {
        for (token, (ttid, state)) in (1..).zip(&in_doubt) {
            tracing::warn!(%ttid, ?state, "a transaction in doubt is settled");
            match state {
                TransactionState::Locked(_) => {
                    engine.unlock_with(token, *ttid)?;
                    engine.wait_for(token)?;
                }
                TransactionState::Voted | TransactionState::Open => engine.disown(*ttid)?,
            }
        }
        if !in_doubt.is_empty() {
            engine.sync(0)?;
            engine.wait_for(0)?;
        }
        Ok(())
    };
    settled().map_err(|error| failure::of_write(path, error))
}
