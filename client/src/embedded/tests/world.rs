//! What all tests need.

use std::sync::Arc;

use bytes::Bytes;
use engine::Options;
use engine::disk::MemoryDisk;
use model::{Oid, PartitionCount, Tid};

use crate::{Coding, Embedded, EmbeddedOptions, EmbeddedTransaction, Error, Metadata, Payload};

/// Limits by which everything that files go through happens soon.
pub(super) fn limits() -> Options {
    Options {
        segment_length: 64 << 10,
        reserve_length: 8 << 10,
        group_length: 4 << 10,
        unwritten_max: 64 << 10,
        table_items_max: 200,
        table_log_max: 32 << 10,
        cache_bytes_max: 64 << 10,
        pinned_bytes_max: 64 << 10,
        ..Options::default()
    }
}

pub(super) fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        partitions: PartitionCount::new(3),
        coding: Coding::Plain,
        ..EmbeddedOptions::default()
    }
}

pub(super) fn try_open(disk: &MemoryDisk, options: EmbeddedOptions) -> Result<Embedded, Error> {
    Embedded::open_on(Arc::new(disk.clone()), limits(), options)
}

pub(super) fn open(disk: &MemoryDisk) -> Embedded {
    try_open(disk, options()).expect("the database is whole")
}

/// A new database.
pub(super) fn new() -> Embedded {
    open(&MemoryDisk::new(1))
}

pub(super) fn oid(number: u64) -> Oid {
    Oid::new(number)
}

pub(super) fn metadata(description: impl Into<Bytes>) -> Metadata {
    Metadata { description: description.into(), ..Metadata::default() }
}

/// Commits some objects, each based on a revision.
pub(super) fn commit(embedded: &Embedded, objects: &[(u64, Tid, &str)]) -> Result<Tid, Error> {
    let mut transaction = embedded.begin()?;
    store(&mut transaction, objects)?;
    transaction.commit(Metadata::default())
}

pub(super) fn store(
    transaction: &mut EmbeddedTransaction,
    objects: &[(u64, Tid, &str)],
) -> Result<(), Error> {
    for (number, serial, data) in objects {
        transaction.store(oid(*number), *serial, Payload::plain(data.to_string()))?;
    }
    Ok(())
}

/// The newest data of an object.
pub(super) fn load(embedded: &Embedded, number: u64) -> Option<Bytes> {
    let data = embedded.load(oid(number)).expect("it can be loaded").data;
    data.map(|data| data.bytes().expect("it is sound"))
}
