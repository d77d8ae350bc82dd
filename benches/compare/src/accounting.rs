//! What the kernel counts of a process, a device and a directory.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Unit of sectors in the kernel's counters and of blocks in `stat`, whatever the device's own.
const SECTOR_BYTES: u64 = 512;
/// Fields of /sys/block/*/stat, counted from 0: see the kernel's Documentation/block/stat.rst.
const STAT_WRITE_SECTORS: usize = 6;
const STAT_FLUSHES: usize = 15;

/// Bytes that this process had written towards a disk since it began: pages that it made dirty,
/// each once however often it was changed before it went out, and direct writes. Where the page
/// cache has large folios, a changed page counts as its whole folio. 0 where nothing is counted.
pub(crate) fn process_written_bytes() -> Result<u64> {
    number_after(Path::new("/proc/self/io"), "write_bytes:")
}

/// Anonymous memory of this process in use now, in bytes. Mapped files are not in it.
pub(crate) fn process_memory_bytes() -> Result<u64> {
    Ok(number_after(Path::new("/proc/self/status"), "RssAnon:")? * 1024)
}

/// The block device below a directory, where there is one (not for tmpfs or overlays).
pub(crate) struct Device {
    stat: Option<PathBuf>,
}

/// What a device counts since the machine began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceCounters {
    /// Requests to flush the device's cache.
    pub(crate) flushes: u64,
    pub(crate) written_bytes: u64,
}

impl Device {
    /// The device that holds `directory`: the whole disk, as partitions count no flushes.
    pub(crate) fn of(directory: &Path) -> Result<Self> {
        let device = fs::metadata(directory).map_err(Error::file(directory))?.dev();
        let (major, minor) = (libc::major(device), libc::minor(device));
        let link = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        let Ok(device) = fs::canonicalize(link) else {
            return Ok(Self { stat: None });
        };
        let is_partition = device.join("partition").exists();
        let disk = device.parent().filter(|_| is_partition).unwrap_or(&device);
        Ok(Self { stat: Some(disk.join("stat")) })
    }

    /// The counters now; none without a device, or from a kernel (before 5.5) without flushes.
    pub(crate) fn counters(&self) -> Result<Option<DeviceCounters>> {
        let Some(path) = &self.stat else {
            return Ok(None);
        };
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        let field = |index| text.split_whitespace().nth(index)?.parse::<u64>().ok();
        Ok(field(STAT_FLUSHES).zip(field(STAT_WRITE_SECTORS)).map(|(flushes, sectors)| {
            DeviceCounters { flushes, written_bytes: sectors * SECTOR_BYTES }
        }))
    }
}

/// What the files below a directory take.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct DiskUse {
    /// Blocks that the file system has set aside.
    pub(crate) block_bytes: u64,
    /// Lengths of the files.
    pub(crate) length_bytes: u64,
}

impl DiskUse {
    /// Writes back everything below `directory` and adds it up.
    pub(crate) fn of_synced(directory: &Path) -> Result<Self> {
        let mut sum = Self::default();
        for entry in fs::read_dir(directory).map_err(Error::file(directory))? {
            let entry = entry.map_err(Error::file(directory))?;
            let metadata = entry.metadata().map_err(Error::file(&entry.path()))?;
            if metadata.is_dir() {
                let below = Self::of_synced(&entry.path())?;
                sum.block_bytes += below.block_bytes;
                sum.length_bytes += below.length_bytes;
            } else {
                let file = File::open(entry.path()).map_err(Error::file(&entry.path()))?;
                file.sync_all().map_err(Error::file(&entry.path()))?;
                let metadata = file.metadata().map_err(Error::file(&entry.path()))?;
                sum.block_bytes += metadata.blocks() * SECTOR_BYTES;
                sum.length_bytes += metadata.len();
            }
        }
        Ok(sum)
    }
}

/// The first number after `field` in a file of "name: number" lines.
fn number_after(path: &Path, field: &'static str) -> Result<u64> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    text.lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .ok_or(Error::Unreadable { path: path.to_owned(), field })
}
