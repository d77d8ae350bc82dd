//! A part of the cache that has a lock of its own.

use std::hash::BuildHasherDefault;

use bytes::Bytes;
use model::{Oid, Tid};
use quick_cache::OptionsBuilder;
use quick_cache::unsync::{self, DefaultLifecycle};

use super::flights::{End, Flights, Ticket};
use super::policy::{ByMemory, OidHasher, PLACE_LENGTH};
use super::revisions::Revisions;
use crate::request::Object;

type Objects = unsync::Cache<Oid, Revisions, ByMemory, BuildHasherDefault<OidHasher>>;

/// Part of its budget that an object may take at most: a longer one would take the place of too
/// many that are asked for more often.
const OBJECT_SHARE: u64 = 8;
/// What an object takes on average, to guess how many there will be. Objects evicted lately are
/// remembered by half as many places.
const OBJECT_LENGTH_GUESSED: u64 = 1024;

/// Some of the objects, and the loads of them that are going on.
pub(super) struct Shard {
    objects: Objects,
    flights: Flights,
    object_bytes_max: u64,
    /// The greatest tid that storages told of.
    newest: Tid,
}

impl Shard {
    pub(super) fn new(bytes_max: u64) -> Self {
        let count = bytes_max / OBJECT_LENGTH_GUESSED;
        let remembered_bytes = count / 2 * PLACE_LENGTH;
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(count).unwrap_or(usize::MAX))
            .weight_capacity(bytes_max - remembered_bytes)
            .build()
            .expect("everything that is needed is given");
        let (hasher, lifecycle) = (BuildHasherDefault::default(), DefaultLifecycle::default());
        let objects = Objects::with_options(options, ByMemory, hasher, lifecycle);
        let object_bytes_max = bytes_max / OBJECT_SHARE;
        Self { objects, flights: Flights::default(), object_bytes_max, newest: Tid::ZERO }
    }

    /// What is kept of an object, for somebody who asks for it.
    pub(super) fn revisions(&self, oid: Oid) -> Option<&Revisions> {
        self.objects.get(&oid)
    }

    pub(super) fn begin(&mut self, oid: Oid) -> Ticket {
        self.flights.begin(oid)
    }

    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.flights.end(ticket);
    }

    /// Keeps an answer. Up to where it is valid.
    pub(super) fn answered(&mut self, ticket: Ticket, object: &Object, known_before: Tid) -> End {
        let flight = self.flights.end(ticket).filter(|_| object.oid == ticket.oid);
        let Some(flight) = flight else { return End::Unknown };
        let end = flight.end_of(object.serial, object.next_serial);
        self.put(object, end, known_before);
        end
    }

    /// Keeps a revision.
    pub(super) fn put(&mut self, object: &Object, end: End, known_before: Tid) {
        let length = object.data.as_ref().map_or(0, |payload| payload.length() as u64);
        if length > self.object_bytes_max {
            return;
        }
        self.newest = self.newest.max(object.serial).max(object.next_serial.unwrap_or_default());
        // Put back as a whole: where an object grows, others have to make place.
        let revisions = match self.objects.peek(&object.oid) {
            None => Revisions::new(object, end),
            Some(known) => {
                let mut revisions = known.clone();
                revisions.put(object, end, known_before);
                Some(revisions)
            }
        };
        if let Some(revisions) = revisions {
            self.objects.insert(object.oid, revisions);
        }
    }

    /// Keeps data of a revision without compression, if it is kept.
    pub(super) fn inflate(&mut self, oid: Oid, serial: Tid, plain: &Bytes) {
        if plain.len() as u64 > self.object_bytes_max {
            return;
        }
        let known = self.objects.peek(&oid);
        let inflated = known.and_then(|revisions| revisions.inflated(serial, plain));
        if let Some(revisions) = inflated {
            self.objects.insert(oid, revisions);
        }
    }

    pub(super) fn invalidate(&mut self, oid: Oid, tid: Tid) {
        self.flights.invalidate(oid, tid);
        if let Some(mut revisions) = self.objects.peek_mut(&oid) {
            revisions.invalidate(tid);
        }
    }

    /// Whether storages told of something with this tid or a later one.
    pub(super) fn is_beyond(&self, tid: Tid) -> bool {
        self.newest >= tid
    }

    /// Forgets the loads that are going on: what they give is not kept.
    pub(super) fn clear_flights(&mut self) {
        self.flights.clear();
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.objects.clear();
        self.flights.clear();
        self.newest = Tid::ZERO;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.objects.weight()
    }

    pub(super) fn flights(&self) -> usize {
        self.flights.len()
    }
}
