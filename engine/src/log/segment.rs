//! Segment files: their names, how they are prepared and opened.

use std::sync::{Arc, OnceLock};

use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::format::{DatabaseId, FileHeader, FileKind, HEADER_LENGTH};
use crate::manifest::write_all;
use crate::run::read_exact;
use crate::version::Segment;

/// Name of the file of a segment.
pub(crate) fn segment_name(number: u32) -> String {
    format!("log-{number:08x}")
}

/// The number in the name of a segment's file.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("log-")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (segment_name(number) == name).then_some(number)
}

/// A segment that waits to be written to.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) segment: Arc<Segment>,
    /// Bytes of it that are allocated: they can be written when the disk is full.
    pub(crate) allocated: u64,
}

/// Makes a file for a segment, with `reserve` bytes allocated by writing zeros, all durable. A
/// spare one gives its space: it gets the new name first, so that a file that the manifest names
/// never has half a header.
pub(crate) fn prepare_segment(
    disk: &dyn Disk,
    database: DatabaseId,
    (number, spare): (u32, Option<u32>),
    epoch: u32,
    reserve: u64,
) -> Result<Prepared> {
    let name = segment_name(number);
    let path = disk.path(&name);
    let header = FileHeader { kind: FileKind::Log, database, number, epoch };
    if let Some(spare) = spare {
        match disk.rename(&segment_name(spare), &name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("rename", disk.path(&segment_name(spare)), error));
            }
            _ => {}
        }
    }
    let (file, length) = match disk.open(&name, Access::ReadWrite) {
        Ok(file) => {
            let length = file.length().map_err(|e| Error::io("measure", path.clone(), e))?;
            (file, length)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let file = disk
                .open(&name, Access::CreateNew)
                .map_err(|e| Error::io("create", path.clone(), e))?;
            (file, 0)
        }
        Err(error) => return Err(Error::io("open", path, error)),
    };
    // Whatever an earlier life has left goes away: behind the end of the log there are zeros.
    if length > reserve {
        file.set_length(reserve).map_err(|e| Error::io("cut", path.clone(), e))?;
    }
    let mut bytes = header.encode();
    let reserve = usize::try_from(reserve).expect("the reserve fits in memory");
    bytes.resize(reserve.max(bytes.len()), 0);
    let allocated = bytes.len() as u64;
    if let Err(error) = write_all(&*file, &path, &bytes, 0) {
        if length == 0 {
            // A file without a whole header would only be in the way.
            let _ = disk.remove(&name);
        }
        return Err(error);
    }
    file.sync().map_err(|e| Error::sync(path.clone(), e))?;
    disk.sync_directory().map_err(|e| Error::sync(disk.path(""), e))?;
    let segment = Segment {
        number,
        seed: header.seed(),
        epoch: header.epoch,
        path,
        file,
        sealed_length: OnceLock::new(),
        mapping: OnceLock::new(),
    };
    Ok(Prepared { segment: Arc::new(segment), allocated })
}

/// Opens a segment that exists.
pub(crate) fn open_segment(
    disk: &dyn Disk,
    database: DatabaseId,
    number: u32,
    access: Access,
) -> Result<(Segment, FileHeader)> {
    let name = segment_name(number);
    let path = disk.path(&name);
    let file = disk.open(&name, access).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::MissingFile { file: path.clone() },
        _ => Error::io("open", path.clone(), error),
    })?;
    let header = read_exact(&*file, &path, 0, HEADER_LENGTH)?;
    let header = FileHeader::decode(&header, FileKind::Log, &path)?;
    if header.database != database || header.number != number {
        return Err(Error::ForeignFile { file: path });
    }
    let segment = Segment {
        number,
        seed: header.seed(),
        epoch: header.epoch,
        path,
        file,
        sealed_length: OnceLock::new(),
        mapping: OnceLock::new(),
    };
    Ok((segment, header))
}
