//! Databases on disks in memory.

use std::sync::Arc;

use engine::disk::{Disk, MemoryDisk};
use engine::{Engine, Error, OpenMode, Options};

/// Opens the database on a disk, or makes an empty one if there is none. Its files are short, so
/// that everything that files go through happens soon.
///
/// # Errors
/// What the engine says.
pub fn open_database(disk: &MemoryDisk) -> Result<Engine, Error> {
    let options = Options {
        segment_length: 64 << 10,
        reserve_length: 8 << 10,
        group_length: 4 << 10,
        unwritten_max: 64 << 10,
        table_items_max: 200,
        table_log_max: 32 << 10,
        cache_bytes_max: 64 << 10,
        pinned_bytes_max: 64 << 10,
        ..Options::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    match Engine::open(Arc::clone(&disk), options.clone(), OpenMode::ReadWrite) {
        Err(Error::NoDatabase { .. }) => Engine::create(disk, options, [7; 16], Vec::new()),
        opened => opened,
    }
}
