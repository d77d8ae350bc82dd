//! Asks the engine and the plain map the same, in every way there is.

use std::collections::BTreeMap;
use std::ops::Bound;

use engine::disk::{MemoryDisk, Wait};
use engine::{
    BoundsLookup, Error, HistoryEntry, HistoryLookup, LiveOids, LiveOidsLookup, LoadLookup,
    LoadResult, Lookup, LoopReader, ObjectData, ObjectPage, ObjectsLookup, PartitionBounds,
    ReadMode, Reader, Result, Snapshot, TidOfLookup, TidsLookup, Transaction, TransactionLookup,
    UndoLookup, UndoResult, When,
};
use model::{Oid, PartitionId, Random, Tid, Ttid};

use super::plan::{any_oid, any_tid};
use super::state::Data;

/// Partitions that are used.
pub(crate) const PARTITIONS: u32 = 3;

/// How answers are got.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Calls,
    Mapped,
    Loop,
}

/// Asks one engine.
pub(crate) struct Asker<'a> {
    pub(crate) reader: Reader,
    pub(crate) disk: &'a MemoryDisk,
    pub(crate) snapshot: Snapshot,
    pub(crate) way: Way,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(
        engine: &engine::Engine,
        disk: &'a MemoryDisk,
        snapshot: Snapshot,
        random: &mut Random,
    ) -> Self {
        let way = [Way::Calls, Way::Mapped, Way::Loop][random.index(3)];
        let mode = match way {
            Way::Mapped => ReadMode::Mapped,
            Way::Calls | Way::Loop => ReadMode::Calls,
        };
        Self { reader: engine.reader(mode), disk, snapshot, way }
    }

    fn ask<L: Lookup>(&self, lookup: L) -> Result<L::Output> {
        let Way::Loop = self.way else { return self.reader.run(lookup) };
        let mut reader = LoopReader::new(self.reader.clone(), self.disk)?;
        if let Some(answer) = reader.start(7, lookup) {
            return answer;
        }
        loop {
            if let Some((token, answer)) = reader.poll(Wait::Yes)?.pop() {
                assert_eq!(token, 7, "the only lookup");
                return answer;
            }
        }
    }

    /// All that is committed.
    pub(crate) fn dump(&self, random: &mut Random) -> Result<Data> {
        let mut data = Data::default();
        for number in 0..PARTITIONS {
            let partition = PartitionId::new(number);
            let mut next = Some((Tid::new(0), Oid::new(0)));
            while let Some(from) = next {
                let length = 1 + random.index(40);
                let last = Tid::new(u64::MAX);
                let snapshot = self.snapshot.clone();
                let page = self.ask(ObjectsLookup::new(snapshot, partition, from, last, length))?;
                for (tid, oid) in page.objects {
                    let object = self.object(partition, oid, tid)?;
                    data.objects.insert((number, oid.get(), tid.get()), object);
                }
                next = page.next;
            }
            for tid in self.ask(TidsLookup::ascending(
                self.snapshot.clone(),
                partition,
                Tid::new(0),
                Tid::new(u64::MAX),
                usize::MAX,
            ))? {
                let lookup = TransactionLookup::new(self.snapshot.clone(), partition, tid);
                let transaction = self.ask(lookup)?.expect("it was listed");
                data.transactions.insert((number, tid.get()), transaction);
            }
        }
        Ok(data)
    }

    fn object(&self, partition: PartitionId, oid: Oid, tid: Tid) -> Result<ObjectData> {
        let when = When::At(tid);
        let lookup = LoadLookup::new(self.snapshot.clone(), partition, oid, when);
        Ok(match self.ask(lookup)? {
            LoadResult::Revision(found) => ObjectData {
                compression: found.compression,
                checksum: Some(found.checksum()),
                crc: None,
                data: Some(found.data),
                data_tid: found.data_tid,
            },
            LoadResult::Deleted { data_tid, .. } => {
                ObjectData { data_tid, ..ObjectData::default() }
            }
            other => panic!("{partition} {oid} {tid} was listed, but a load says {other:?}"),
        })
    }

    /// One question of any kind.
    pub(crate) fn question(&self, data: &Data, random: &mut Random) -> Result<()> {
        match random.below(10) {
            0..4 => self.load(data, random),
            4 => self.history(data, random),
            5 => self.undo(data, random),
            6 => self.page(data, random),
            7 => self.live(data, random),
            8 => self.tids(data, random),
            _ => self.transaction(data, random),
        }
    }

    fn load(&self, data: &Data, random: &mut Random) -> Result<()> {
        let (number, partition) = any_partition(random);
        let oid = any_oid(random);
        let tid = any_tid(random);
        let when = match random.below(3) {
            0 => When::Newest,
            1 => When::At(Tid::new(tid)),
            _ => When::Before(Tid::new(tid)),
        };
        let revisions = revisions(data, number, oid);
        let found = match when {
            When::Newest => revisions.last_key_value(),
            When::At(tid) => revisions.get_key_value(&tid.get()),
            When::Before(tid) => revisions.range(..tid.get()).next_back(),
        };
        let lookup = LoadLookup::new(self.snapshot.clone(), partition, Oid::new(oid), when);
        let answer = self.ask(lookup)?;
        let say = || format!("load {number}/{oid} {when:?} by {:?}", self.way);
        let Some((&tid, object)) = found else {
            let expected = match revisions.is_empty() {
                true => LoadResult::NoSuchOid,
                false => LoadResult::NoRevision,
            };
            assert_eq!(answer, expected, "{}", say());
            return Ok(());
        };
        let next = revisions.range(tid..).nth(1).map(|(tid, _)| Tid::new(*tid));
        match (answer, &object.data) {
            (LoadResult::Revision(found), Some(bytes)) => {
                assert_eq!((found.tid, found.next_tid), (Tid::new(tid), next), "{}", say());
                assert_eq!(found.data_tid, object.data_tid, "{}", say());
                assert_eq!(found.compression, object.compression, "{}", say());
                assert_eq!(&found.data, bytes, "{}", say());
                if let Some(checksum) = object.checksum {
                    assert_eq!(found.checksum(), checksum, "{}", say());
                }
            }
            (LoadResult::Deleted { tid: found, next_tid, data_tid }, None) => {
                assert_eq!((found, next_tid), (Tid::new(tid), next), "{}", say());
                assert_eq!(data_tid, object.data_tid, "{}", say());
            }
            (answer, _) => panic!("{}: {answer:?}, but the model has {object:?}", say()),
        }
        Ok(())
    }

    fn history(&self, data: &Data, random: &mut Random) -> Result<()> {
        let (number, partition) = any_partition(random);
        let oid = any_oid(random);
        let first = random.index(4);
        let last = first + random.index(12);
        let snapshot = self.snapshot.clone();
        let answer =
            self.ask(HistoryLookup::new(snapshot, partition, Oid::new(oid), first, last))?;
        let entry = |(tid, object): (&u64, &&ObjectData)| HistoryEntry {
            tid: Tid::new(*tid),
            size: object.data.as_ref().map_or(0, |data| u32::try_from(data.len()).unwrap()),
            has_data: object.data.is_some(),
            data_tid: object.data_tid,
        };
        let revisions = revisions(data, number, oid);
        let newest_first = revisions.iter().rev().map(entry);
        let expected: Vec<_> = newest_first.skip(first).take(last - first).collect();
        assert_eq!(answer, expected, "history {number}/{oid} {first}..{last}");
        Ok(())
    }

    fn undo(&self, data: &Data, random: &mut Random) -> Result<()> {
        let (number, partition) = any_partition(random);
        let (oid, undone) = (any_oid(random), any_tid(random));
        let limit = random.chance(1, 2).then(|| Tid::new(any_tid(random)));
        let current = random.chance(1, 4).then(|| Tid::new(any_tid(random)));
        let lookup = UndoLookup::new(
            self.snapshot.clone(),
            partition,
            Oid::new(oid),
            limit,
            Tid::new(undone),
            current,
        );
        let expected = undo(&revisions(data, number, oid), limit, undone, current);
        let answer = self.ask(lookup)?;
        assert_eq!(answer, expected, "undo {number}/{oid} {undone} {limit:?} {current:?}");
        Ok(())
    }

    fn page(&self, data: &Data, random: &mut Random) -> Result<()> {
        let (number, partition) = any_partition(random);
        let from = (Tid::new(any_tid(random)), Oid::new(any_oid(random)));
        let tid_max = Tid::new(any_tid(random));
        let length = random.index(9);
        let mut objects: Vec<_> = data
            .objects
            .keys()
            .filter(|key| key.0 == number)
            .map(|key| (Tid::new(key.2), Oid::new(key.1)))
            .filter(|object| *object >= from && object.0 <= tid_max)
            .collect();
        objects.sort();
        let next = objects.get(length).copied();
        objects.truncate(length);
        let expected = ObjectPage { objects, next };
        let lookup = ObjectsLookup::new(self.snapshot.clone(), partition, from, tid_max, length);
        assert_eq!(self.ask(lookup)?, expected, "objects of {number} from {from:?}");
        Ok(())
    }

    fn live(&self, data: &Data, random: &mut Random) -> Result<()> {
        let (number, partition) = any_partition(random);
        let (oid_min, tid, length) = (any_oid(random), any_tid(random), random.index(9));
        let mut newest: BTreeMap<u64, &ObjectData> = BTreeMap::new();
        for (key, object) in data.objects.range((number, oid_min, 0)..=(number, u64::MAX, tid)) {
            if key.2 <= tid {
                newest.insert(key.1, object);
            }
        }
        let examined: Vec<_> = newest.into_iter().take(length).collect();
        let live = examined.iter().filter(|(_, object)| object.data.is_some());
        let expected = LiveOids {
            oids: live.map(|(oid, _)| Oid::new(*oid)).collect(),
            examined: examined.len(),
            last: examined.last().map(|(oid, _)| Oid::new(*oid)),
        };
        let snapshot = self.snapshot.clone();
        let lookup =
            LiveOidsLookup::new(snapshot, partition, Oid::new(oid_min), Tid::new(tid), length);
        let answer = self.ask(lookup)?;
        assert_eq!(answer, expected, "live oids of {number} from {oid_min} at {tid}");
        Ok(())
    }

    fn tids(&self, data: &Data, random: &mut Random) -> Result<()> {
        let (number, partition) = any_partition(random);
        let (low, high) = (any_tid(random), any_tid(random));
        let length = random.index(9);
        let mut expected: Vec<_> = data
            .transactions
            .keys()
            .filter(|key| key.0 == number && key.1 >= low && key.1 <= high)
            .map(|key| Tid::new(key.1))
            .collect();
        let (low, high) = (Tid::new(low), Tid::new(high));
        let snapshot = self.snapshot.clone();
        let answer = if random.chance(1, 2) {
            self.ask(TidsLookup::ascending(snapshot, partition, low, high, length))?
        } else {
            expected.reverse();
            self.ask(TidsLookup::descending(snapshot, partition, low, high, length))?
        };
        expected.truncate(length);
        assert_eq!(answer, expected, "tids of {number} in {low}..={high}");
        Ok(())
    }

    fn transaction(&self, data: &Data, random: &mut Random) -> Result<()> {
        let (number, partition) = any_partition(random);
        let tid = any_tid(random);
        let of_partition = || data.transactions.range((number, 0)..=(number, u64::MAX));
        match random.below(3) {
            0 => {
                let snapshot = self.snapshot.clone();
                let answer =
                    self.ask(TransactionLookup::new(snapshot, partition, Tid::new(tid)))?;
                let expected = data.transactions.get(&(number, tid));
                assert_eq!(answer.as_ref(), expected, "transaction {number}/{tid}");
            }
            1 => {
                let snapshot = self.snapshot.clone();
                let answer = self.ask(TidOfLookup::new(snapshot, partition, Ttid::new(tid)))?;
                let is_it = |(key, found): &(&(u32, u64), &Transaction)| {
                    key.1 >= tid && found.ttid == Ttid::new(tid)
                };
                let expected = of_partition().find(is_it).map(|(key, _)| Tid::new(key.1));
                assert_eq!(answer, expected, "tid of ttid {number}/{tid}");
            }
            _ => {
                let last = |last: u64| {
                    let oids = data.objects.range((number, 0, 0)..=(number, last, u64::MAX));
                    oids.last().map(|(key, _)| Oid::new(key.1))
                };
                let expected = PartitionBounds {
                    tid_first: of_partition().next().map(|(key, _)| Tid::new(key.1)),
                    tid_last: of_partition().next_back().map(|(key, _)| Tid::new(key.1)),
                    oid_last: last(u64::MAX),
                    oid_followed: last(Oid::FOLLOWED_MAX.get()),
                };
                let answer = self.ask(BoundsLookup::new(self.snapshot.clone(), partition))?;
                assert_eq!(answer, expected, "bounds of {number}");
            }
        }
        Ok(())
    }
}

/// An undo, over the revisions of an object by tid.
fn undo(
    revisions: &BTreeMap<u64, &ObjectData>,
    limit: Option<Tid>,
    undone: u64,
    current: Option<Tid>,
) -> Option<UndoResult> {
    revisions.get(&undone)?;
    let mut undone = Tid::new(undone);
    let mut undo_tid = revisions.range(..undone.get()).next_back().map(|(tid, _)| Tid::new(*tid));
    let end = limit.map_or(u64::MAX, Tid::get);
    let visible = |tid: &u64| limit.is_none() || *tid < end;
    let newest = revisions.keys().rfind(|tid| visible(tid) && **tid >= undone.get());
    let Some(current) = current.or_else(|| newest.map(|tid| Tid::new(*tid))) else {
        return Some(UndoResult { current_tid: None, undo_tid: None, is_current: false });
    };
    let mut is_current = current == undone;
    for (tid, object) in revisions.range((Bound::Excluded(undone.get()), Bound::Unbounded)) {
        let Some(data_tid) = object.data_tid else { continue };
        if Some(data_tid) == undo_tid {
            undo_tid = Some(Tid::new(*tid));
        } else if data_tid == undone {
            match current.get() == *tid {
                true => is_current = true,
                false => undone = Tid::new(*tid),
            }
        }
    }
    Some(UndoResult { current_tid: Some(current), undo_tid, is_current })
}

fn revisions(data: &Data, partition: u32, oid: u64) -> BTreeMap<u64, &ObjectData> {
    let range = data.objects.range((partition, oid, 0)..=(partition, oid, u64::MAX));
    range.map(|(key, object)| (key.2, object)).collect()
}

fn any_partition(random: &mut Random) -> (u32, PartitionId) {
    let number = u32::try_from(random.below(u64::from(PARTITIONS))).expect("few");
    (number, PartitionId::new(number))
}

fn is_same(found: &ObjectData, expected: &ObjectData) -> bool {
    (&found.data, found.data_tid, found.compression)
        == (&expected.data, expected.data_tid, expected.compression)
        && (expected.checksum.is_none() || found.checksum == expected.checksum)
}

/// Says what differs, for people.
pub(crate) fn difference(found: &Data, expected: &Data) -> String {
    let mut lines = Vec::new();
    let keys = |data: &Data| data.objects.keys().copied().collect::<Vec<_>>();
    for key in keys(found).into_iter().chain(keys(expected)) {
        let (found, expected) = (found.objects.get(&key), expected.objects.get(&key));
        let same = |a: Option<&ObjectData>, b: Option<&ObjectData>| match (a, b) {
            (Some(a), Some(b)) => is_same(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        if !same(found, expected) {
            lines.push(format!("object {key:?}: found {found:?}, expected {expected:?}"));
        }
    }
    let keys = |data: &Data| data.transactions.keys().copied().collect::<Vec<_>>();
    for key in keys(found).into_iter().chain(keys(expected)) {
        let (found, expected) = (found.transactions.get(&key), expected.transactions.get(&key));
        if found != expected {
            lines.push(format!("transaction {key:?}: found {found:?}, expected {expected:?}"));
        }
    }
    lines.dedup();
    lines.truncate(12);
    lines.join("\n")
}

/// Whether what was found is what was expected. Checksums are computed where none was given.
pub(crate) fn is_equal(found: &Data, expected: &Data) -> bool {
    found.objects.len() == expected.objects.len()
        && found.transactions == expected.transactions
        && found
            .objects
            .iter()
            .zip(&expected.objects)
            .all(|(found, expected)| found.0 == expected.0 && is_same(found.1, expected.1))
}

/// Whether a query failed because the disk does, as it was told to.
pub(crate) fn is_disk_error(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::Unreadable { .. })
}
