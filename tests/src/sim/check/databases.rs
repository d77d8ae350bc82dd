//! The databases that a run leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::disk::{Disk, MemoryDisk};
use engine::{Engine, MetadataKey};
use model::{Nid, PartitionId, PartitionTable};

use super::cell::Cell;
use crate::database::open_database;
use crate::sim::Broken;

/// Databases of storages, after they were stopped in good order.
pub struct Databases {
    engines: Vec<(String, Engine)>,
}

impl Databases {
    /// Opens the databases on disks of storages, by name. Those that are known to be damaged, or of
    /// another time, are left out.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn open(disks: &[(String, MemoryDisk)]) -> Result<Self, Broken> {
        let open = |(name, disk): &(String, MemoryDisk)| match open_database(disk) {
            Ok(engine) => Ok((name.clone(), engine)),
            Err(error) => Err(Broken::new("databases open again", format!("{name}: {error}"))),
        };
        Ok(Self { engines: disks.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// Each with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Engine)> {
        self.engines.iter().map(|(name, engine)| (name.as_str(), engine))
    }

    /// Their disks.
    pub(super) fn disks(&self) -> impl Iterator<Item = (&str, Arc<dyn Disk>)> {
        self.iter().map(|(name, engine)| (name, Arc::clone(engine.disk())))
    }

    /// The newest partition table that any of them knows.
    pub(super) fn table(&self) -> Result<PartitionTable, Broken> {
        let table = |engine: &Engine| {
            let bytes = engine.metadata().get(MetadataKey::PartitionTable)?;
            PartitionTable::from_bytes(bytes).ok()
        };
        let tables = self.engines.iter().filter_map(|(_, engine)| table(engine));
        let newest = tables.max_by_key(PartitionTable::id);
        newest.ok_or_else(|| Broken::new("databases know the table", "none has one"))
    }

    /// That storages which are here have no cell that is not readable.
    ///
    /// # Errors
    /// If one has.
    pub(crate) fn keep_all_cells(&self) -> Result<(), Broken> {
        let table = self.table()?;
        let nids =
            self.iter().filter_map(|(_, engine)| engine.metadata().get_u32(MetadataKey::Nid));
        let nids: Vec<Nid> = nids.map(|nid| Nid::new(nid.cast_signed())).collect();
        for partition in table.partitions().iter() {
            let mut cells = table.cells(partition).iter();
            let lost = cells.find(|cell| nids.contains(&cell.nid) && !cell.state.is_readable());
            if let Some(cell) = lost {
                let text = format!("{} of partition {partition} is {}", cell.nid, cell.state);
                return Err(Broken::new("cells stay readable without a reason not to", text));
            }
        }
        Ok(())
    }

    /// The readable cells of a partition, with the names of their storages.
    pub(super) fn readable_cells(
        &self,
        table: &PartitionTable,
        partition: PartitionId,
    ) -> Result<BTreeMap<&str, Cell>, Broken> {
        let is_readable = |engine: &Engine| {
            let nid =
                engine.metadata().get_u32(MetadataKey::Nid).map(|nid| Nid::new(nid.cast_signed()));
            nid.is_some_and(|nid| table.readable(partition).any(|readable| readable == nid))
        };
        let readable = self.iter().filter(|(_, engine)| is_readable(engine));
        let read = |(name, engine)| match Cell::read(engine, partition) {
            Ok(cell) => Ok((name, cell)),
            Err(error) => {
                let text = format!("partition {partition} of {name}: {error}");
                Err(Broken::new("cells can be read", text))
            }
        };
        readable.map(read).collect()
    }
}
