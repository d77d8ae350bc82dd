//! What a database should hold, kept in the simplest way.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::{Oid, Tid};

use crate::{Embedded, Error, Object, Payload, Revision};

/// What a transaction does to an object: its new data, if it is to have any.
pub(super) type Changes = Vec<(Oid, Option<Bytes>)>;

#[derive(Clone, Default, Debug)]
pub(super) struct Model {
    /// Revisions of each object, oldest first.
    pub(super) revisions: BTreeMap<Oid, Vec<(Tid, Option<Bytes>)>>,
    /// Transactions with their descriptions and objects.
    pub(super) transactions: BTreeMap<Tid, (Bytes, Vec<Oid>)>,
}

impl Model {
    pub(super) fn commit(&mut self, tid: Tid, description: Bytes, changes: Changes) {
        assert!(Some(&tid) > self.transactions.keys().last(), "tids grow");
        let mut oids = Vec::new();
        for (oid, data) in changes {
            self.revisions.entry(oid).or_default().push((tid, data));
            oids.push(oid);
        }
        self.transactions.insert(tid, (description, oids));
    }

    pub(super) fn last_tid(&self) -> Tid {
        self.transactions.keys().last().copied().unwrap_or_default()
    }

    pub(super) fn newest(&self, oid: Oid) -> Option<&(Tid, Option<Bytes>)> {
        self.revisions.get(&oid)?.last()
    }

    /// The data of an object before a transaction, and with it.
    pub(super) fn around(&self, oid: Oid, tid: Tid) -> [Option<&Bytes>; 2] {
        let revisions = &self.revisions[&oid];
        let place = revisions.iter().position(|(other, _)| *other == tid).unwrap();
        let before = place.checked_sub(1).and_then(|before| revisions[before].1.as_ref());
        [before, revisions[place].1.as_ref()]
    }

    /// The database holds this and nothing else.
    pub(super) fn compare(&self, embedded: &Embedded) {
        assert_eq!(embedded.last_tid(), self.last_tid());
        for (oid, revisions) in &self.revisions {
            self.compare_object(embedded, *oid, revisions);
        }
        let found = embedded.transactions(Tid::ZERO, None).map(Result::unwrap);
        let expected = self.transactions.iter();
        let mut count = 0;
        for (found, (tid, (description, oids))) in found.zip(expected) {
            assert_eq!((found.tid, &found.metadata.description), (*tid, description));
            assert_eq!(&found.oids, oids, "{tid}");
            let objects = embedded.objects_of(&found).map(Result::unwrap);
            for (object, oid) in objects.zip(oids) {
                assert_eq!((object.oid, object.serial), (*oid, *tid));
                assert_eq!(plain(&object), self.around(*oid, *tid)[1].cloned());
            }
            count += 1;
        }
        assert_eq!(count, self.transactions.len());
        let log = embedded.undo_log(0, u64::MAX).unwrap().into_iter().map(|found| found.tid);
        assert!(log.eq(self.transactions.keys().rev().copied()));
        for tid in self.transactions.keys().copied().step_by(7).chain([self.last_tid()]) {
            let live = self.live(tid);
            let found: BTreeSet<_> =
                embedded.oids(Oid::ZERO, Some(tid)).map(Result::unwrap).collect();
            assert_eq!(found, live, "at {tid}");
        }
    }

    fn compare_object(&self, embedded: &Embedded, oid: Oid, revisions: &[(Tid, Option<Bytes>)]) {
        let following = revisions.iter().skip(1).map(|(tid, _)| Some(*tid)).chain([None]);
        for ((tid, data), next) in revisions.iter().zip(following) {
            let at = embedded.load_at(oid, *tid).unwrap();
            assert_eq!((at.oid, at.serial, at.next_serial), (oid, *tid, next));
            assert_eq!(plain(&at), *data, "{oid} at {tid}");
            let bound = Tid::new(next.unwrap_or(Tid::MAX).get());
            assert_eq!(embedded.load_before(oid, bound).unwrap(), at);
        }
        let (first, _) = revisions[0];
        let revision = Revision::Before(first);
        let none = Err(Error::NoSuchRevision { oid, revision });
        assert_eq!(embedded.load_revision(oid, revision), none);
        let newest = embedded.load(oid).unwrap();
        assert_eq!(newest.serial, self.newest(oid).unwrap().0);
        let history = embedded.history(oid, u64::MAX).unwrap();
        assert!(history.iter().map(|(tid, _)| tid).eq(revisions.iter().rev().map(|(tid, _)| tid)));
    }

    fn live(&self, tid: Tid) -> BTreeSet<Oid> {
        let has_data = |revisions: &&Vec<(Tid, Option<Bytes>)>| {
            let seen = revisions.iter().rev().find(|(other, _)| *other <= tid);
            seen.is_some_and(|(_, data)| data.is_some())
        };
        let live = self.revisions.iter().filter(|(_, revisions)| has_data(revisions));
        live.map(|(oid, _)| *oid).collect()
    }
}

pub(super) fn plain(object: &Object) -> Option<Bytes> {
    object.data.as_ref().map(|data: &Payload| data.bytes().expect("it is sound"))
}
