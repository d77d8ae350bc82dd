//! What the cache says, and when it says nothing.

mod flights;
mod memory;
mod random;
mod ranges;

use bytes::Bytes;
use model::{Oid, Tid};

use super::Cache;
use crate::payload::Payload;
use crate::request::{Object, Revision};

fn oid(number: u64) -> Oid {
    Oid::new(number)
}

fn tid(number: u64) -> Tid {
    Tid::new(number)
}

/// A revision of object 1, whose data tells its serial.
fn revision(serial: u64, next_serial: Option<u64>) -> Object {
    let data = Some(Payload::plain(Bytes::from(serial.to_string())));
    let next_serial = next_serial.map(tid);
    Object { oid: oid(1), serial: tid(serial), next_serial, data, data_serial: None }
}

/// A cache that was told of everything up to tid 100.
fn connected() -> Cache {
    let cache = Cache::new(1 << 20);
    cache.connected(tid(100));
    cache
}

/// Loads from a storage.
fn fill(cache: &Cache, object: &Object) {
    let ticket = cache.begin(object.oid);
    cache.answered(ticket, object);
}

/// The serial and the next one of what the cache has before a tid.
fn before(cache: &Cache, before: u64) -> Option<(u64, Option<u64>)> {
    let object = cache.load(oid(1), Revision::Before(tid(before)))?;
    let serial = object.serial.get();
    assert_eq!(object, revision(serial, object.next_serial.map(Tid::get)));
    Some((serial, object.next_serial.map(Tid::get)))
}
