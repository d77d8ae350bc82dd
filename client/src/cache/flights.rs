//! Loads that are going on, and what was invalidated meanwhile.

use std::collections::BTreeMap;

use model::{Oid, Tid};

/// Names a load that is going on: what its answer may be kept as depends on what was invalidated
/// since it was asked. It ends with [`super::Cache::answered`] or [`super::Cache::give_up`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(super) oid: Oid,
    number: u64,
}

/// The loads of a shard that are going on.
///
/// An answer without a next revision says that there was none when the storage gave it, which is
/// some time between the question and the answer. So it is told apart by what was invalidated in
/// this time, be it before or after the storage looked.
#[derive(Default)]
pub(super) struct Flights {
    next: u64,
    flights: BTreeMap<(Oid, u64), Flight>,
}

/// What was invalidated of the object since its load was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flight {
    /// The first and the last tid: whether there are others between them is not known.
    invalidated: Option<(Tid, Tid)>,
}

/// Up to where a revision is known to be valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Up to this one, excluded.
    Before(Tid),
    /// Up to all that the cache was told of.
    Open,
    /// Nobody knows.
    Unknown,
}

impl Flights {
    pub(super) fn begin(&mut self, oid: Oid) -> Ticket {
        self.next += 1;
        self.flights.insert((oid, self.next), Flight::default());
        Ticket { oid, number: self.next }
    }

    /// Ends a load. `None` if all that was known before some moment after it began was dropped.
    pub(super) fn end(&mut self, ticket: Ticket) -> Option<Flight> {
        self.flights.remove(&(ticket.oid, ticket.number))
    }

    pub(super) fn invalidate(&mut self, oid: Oid, tid: Tid) {
        for (_, flight) in self.flights.range_mut((oid, 0)..=(oid, u64::MAX)) {
            let (first, _) = flight.invalidated.unwrap_or((tid, tid));
            flight.invalidated = Some((first, tid));
        }
    }

    /// Forgets all: their answers may be of what there was before.
    pub(super) fn clear(&mut self) {
        self.flights.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }
}

impl Flight {
    /// Up to where a revision is valid that was answered with the one that follows, if the storage
    /// knew any.
    pub(super) fn end_of(&self, serial: Tid, next_serial: Option<Tid>) -> End {
        match (next_serial, self.invalidated) {
            (Some(next_serial), _) => End::Before(next_serial),
            (None, None) => End::Open,
            // The storage looked before it: had it known of it, it would have told.
            (None, Some((first, _))) if serial < first => End::Before(first),
            (None, Some((_, last))) if serial >= last => End::Open,
            (None, Some(_)) => End::Unknown,
        }
    }
}
