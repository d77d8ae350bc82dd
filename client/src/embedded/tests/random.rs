//! Random programs, against the model, through closings and killed processes.

use bytes::Bytes;
use engine::disk::MemoryDisk;
use model::{Oid, Random, Tid};

use super::model::{Changes, Model, plain};
use super::world::{metadata, open};
use crate::{Embedded, EmbeddedTransaction, Error, Payload, UndoFailure};

/// Few, so that they have many revisions and conflicts.
const OIDS: u64 = 40;
const SEEDS: u64 = 30;
const STEPS: u64 = 120;

/// A program and what it should have done so far.
pub(super) struct Program {
    pub(super) random: Random,
    pub(super) model: Model,
    /// What a commit would have added that was not acknowledged.
    pub(super) unacknowledged: Option<(Bytes, Changes)>,
    number: u64,
}

impl Program {
    pub(super) fn new(seed: u64) -> Self {
        let model = Model::default();
        Self { random: Random::from_seed(seed), model, unacknowledged: None, number: 0 }
    }

    /// One transaction. Fails as the disk does.
    pub(super) fn step(&mut self, embedded: &Embedded) -> Result<(), Error> {
        self.number += 1;
        match self.random.below(10) {
            0..7 => self.stores(embedded),
            7 | 8 => self.undoes(embedded),
            _ => self.conflicts(embedded),
        }
    }

    fn stores(&mut self, embedded: &Embedded) -> Result<(), Error> {
        let mut transaction = embedded.begin()?;
        let mut changes = Changes::new();
        for _ in 0..=self.random.below(6) {
            let oid = Oid::new(self.random.below(OIDS));
            let serial = self.model.newest(oid).map_or(Tid::ZERO, |(tid, _)| *tid);
            let data = self.data(serial != Tid::ZERO);
            store(&mut transaction, oid, serial, data.as_ref())?;
            // The last store counts, in the place of the first.
            match changes.iter_mut().find(|(other, _)| *other == oid) {
                Some(change) => change.1 = data,
                None => changes.push((oid, data)),
            }
        }
        if self.random.chance(1, 4) {
            let oid = Oid::new(self.random.below(OIDS));
            let serial = self.model.newest(oid).map_or(Tid::ZERO, |(tid, _)| *tid);
            transaction.check_current(oid, serial)?;
        }
        match self.random.below(8) {
            0 => {
                transaction.abort();
                Ok(())
            }
            1 => {
                transaction.vote(metadata("never finished"))?;
                Ok(())
            }
            _ => self.commit(transaction, changes),
        }
    }

    /// Undoes a transaction; what cannot be undone was changed since.
    fn undoes(&mut self, embedded: &Embedded) -> Result<(), Error> {
        let newest = self.model.transactions.keys().rev().take(12);
        let newest: Vec<_> = newest.copied().collect();
        let Some(&tid) = self.random.choose(&newest) else { return Ok(()) };
        let oids = self.model.transactions[&tid].1.clone();
        let mut transaction = embedded.begin()?;
        match transaction.undo(tid) {
            Ok(undone) => {
                assert_eq!(undone, oids);
                let changes = oids.iter().map(|oid| {
                    let [before, with] = self.model.around(*oid, tid);
                    let newest = self.model.newest(*oid).and_then(|(_, data)| data.as_ref());
                    assert_eq!(newest, with, "only what is current is undone");
                    (*oid, before.cloned())
                });
                let changes = changes.collect();
                self.commit(transaction, changes)
            }
            Err(Error::Undo { tid: told, oid, reason }) => {
                assert_eq!((told, reason), (tid, UndoFailure::Changed));
                let oid = oid.expect("it is told");
                assert_ne!(self.model.newest(oid).unwrap().0, tid, "it was changed");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What is based on an older revision is refused.
    fn conflicts(&mut self, embedded: &Embedded) -> Result<(), Error> {
        let changed = self.model.revisions.iter().filter(|(_, revisions)| revisions.len() > 1);
        let changed: Vec<_> = changed.map(|(oid, _)| *oid).collect();
        let Some(&oid) = self.random.choose(&changed) else { return Ok(()) };
        let revisions = &self.model.revisions[&oid];
        let [.., (serial, _), (conflict_serial, _)] = revisions[..] else {
            unreachable!("it has two")
        };
        let mut transaction = embedded.begin()?;
        let checks = self.random.chance(1, 2);
        let expected = match checks {
            true => Error::ReadConflict { oid, serial, conflict_serial },
            false => Error::Conflict { oid, serial, conflict_serial },
        };
        match checks {
            true => transaction.check_current(oid, serial)?,
            false => store(&mut transaction, oid, serial, None)?,
        }
        match transaction.commit(metadata("a conflict")) {
            Err(error) if error == expected => Ok(()),
            Err(error) => Err(error),
            Ok(tid) => panic!("{tid} overlooked {expected}"),
        }
    }

    fn commit(&mut self, transaction: EmbeddedTransaction, changes: Changes) -> Result<(), Error> {
        let description = Bytes::from(format!("number {}", self.number));
        self.unacknowledged = Some((description.clone(), changes));
        let tid = transaction.commit(metadata(description.clone()))?;
        if let Some((_, changes)) = self.unacknowledged.take() {
            self.model.commit(tid, description, changes);
        }
        Ok(())
    }

    fn data(&mut self, may_be_none: bool) -> Option<Bytes> {
        if may_be_none && self.random.chance(1, 8) {
            return None;
        }
        let length = match self.random.below(20) {
            0 => 0,
            1 => 150_000,
            _ => self.random.index(600),
        };
        let mut data = self.random.bytes(length / 2);
        data.resize(length, b'x');
        Some(Bytes::from(data))
    }

    /// After a crash: the last commit may be there though it was not acknowledged, in whole.
    pub(super) fn take_unacknowledged(&mut self, embedded: &Embedded) {
        let Some((description, changes)) = self.unacknowledged.take() else { return };
        let tid = embedded.last_tid();
        if tid == self.model.last_tid() {
            return;
        }
        assert_eq!(embedded.transaction(tid).unwrap().metadata.description, description);
        for (oid, data) in &changes {
            assert_eq!(plain(&embedded.load(*oid).unwrap()), *data);
        }
        self.model.commit(tid, description, changes);
    }
}

fn store(
    transaction: &mut EmbeddedTransaction,
    oid: Oid,
    serial: Tid,
    data: Option<&Bytes>,
) -> Result<(), Error> {
    match data {
        // Half of it compresses.
        Some(data) if data.len() % 2 == 0 => {
            transaction.store(oid, serial, Payload::compressed(data.clone()))
        }
        Some(data) => transaction.store(oid, serial, Payload::plain(data.clone())),
        None => transaction.delete(oid, serial),
    }
}

#[test]
fn programs_do_what_the_model_does() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut disk = MemoryDisk::new(seed);
        let mut program = Program::new(seed);
        let mut embedded = open(&disk);
        for step in 0..STEPS {
            program.step(&embedded).unwrap();
            match program.random.below(40) {
                0 => {
                    drop(embedded);
                    embedded = open(&disk);
                }
                1 => {
                    // The process is killed.
                    let found = disk.keep_all();
                    drop(embedded);
                    disk = found;
                    embedded = open(&disk);
                }
                2 => program.model.compare(&embedded),
                _ => continue,
            }
            assert_eq!(embedded.last_tid(), program.model.last_tid(), "step {step}");
        }
        program.model.compare(&embedded);
        drop(embedded);
        program.model.compare(&open(&disk));
    }
}
