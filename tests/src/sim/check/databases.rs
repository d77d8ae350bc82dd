//! The databases that a run leaves.

use engine::Engine;
use engine::disk::MemoryDisk;

use crate::database::open_database;
use crate::sim::Broken;

/// Databases of all storages, after they were stopped in good order.
pub struct Databases {
    engines: Vec<(String, Engine)>,
}

impl Databases {
    /// Opens the databases on disks of storages, by name.
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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.engines.len()
    }
}
