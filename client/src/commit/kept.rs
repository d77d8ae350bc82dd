//! What a transaction stores, kept for the cache until it is committed.

use std::collections::BTreeMap;

use model::{Oid, Tid, Ttid};

use crate::machine::Client;
use crate::payload::Payload;
use crate::request::Object;

/// Part of the cache's budget that the data of one transaction may take: more would take the place
/// of most of what others read.
const CACHE_SHARE: u64 = 8;

/// Data that a transaction stores. Where it does not fit, it is left out.
pub(super) struct Kept {
    bytes_max: u64,
    bytes: u64,
    payloads: BTreeMap<Oid, Payload>,
}

impl Kept {
    pub(super) fn new(cache_bytes: u64) -> Self {
        Self { bytes_max: cache_bytes / CACHE_SHARE, bytes: 0, payloads: BTreeMap::new() }
    }

    /// Takes note of what an object becomes, in place of what was stored before. `None` if there is
    /// more to it than its data.
    pub(super) fn put(&mut self, oid: Oid, payload: Option<&Payload>) {
        if let Some(earlier) = self.payloads.remove(&oid) {
            self.bytes -= bytes_of(&earlier);
        }
        if let Some(payload) = payload
            && self.bytes + bytes_of(payload) <= self.bytes_max
        {
            self.bytes += bytes_of(payload);
            self.payloads.insert(oid, payload.clone());
        }
    }
}

/// Bytes of memory that data of an object takes, its place included.
fn bytes_of(payload: &Payload) -> u64 {
    payload.length() as u64 + size_of::<(Oid, Payload)>() as u64
}

impl Client {
    /// Puts what was just committed into the cache.
    pub(crate) fn keep_committed(&mut self, ttid: Ttid, tid: Tid) {
        let Some(transaction) = self.transactions.get_mut(&ttid) else { return };
        let Some(cache) = &self.cache else { return };
        for (oid, payload) in std::mem::take(&mut transaction.kept.payloads) {
            let (next_serial, data_serial) = (None, None);
            let data = Some(payload);
            cache.committed(&Object { oid, serial: tid, next_serial, data, data_serial });
        }
        transaction.kept.bytes = 0;
    }
}
