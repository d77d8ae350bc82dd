//! Moves transactions from a FileStorage into the engine.

use std::path::{Path, PathBuf};

use engine::disk::Wait;
use engine::{Compression, Engine, MetadataEdit, MetadataKey, ObjectData, Worker};
use model::{PartitionCount, PartitionId, Tid, Ttid};

use super::Placement;
use super::directory::{self, Target};
use super::earlier::EarlierRecords;
use crate::dump::Counts;
use crate::failure::Failure;
use crate::filestorage::{Reader, Status, Transaction};
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Bytes that are stored between two looks at what the engine has to say.
const TURN_LENGTH: u64 = 128 << 10;
/// What a record counts for in a turn besides its data.
const RECORD_COST: u64 = 64;

/// An import under way: the engine writes one group of transactions while the next is collected,
/// and a thread of its own writes index runs.
#[derive(Debug)]
pub(super) struct Transfer {
    engine: Engine,
    worker: Worker,
    partitions: PartitionCount,
    placement: Option<Placement>,
    source: PathBuf,
    earlier: EarlierRecords,
    progress: Progress,
    next_token: u64,
    /// Commits that are not durable yet.
    outstanding: u64,
    /// Bytes stored since the last turn.
    turn: u64,
    pub(super) counts: Counts,
    /// The first and the last that were imported.
    pub(super) tids: (Option<Tid>, Option<Tid>),
}

impl Transfer {
    pub(super) fn start(
        source: &Path,
        target: Target,
        progress: Progress,
    ) -> Result<Self, Failure> {
        let worker = Worker::start().map_err(|source| Failure::Io {
            action: "start",
            path: String::from("a thread"),
            source,
        })?;
        Ok(Self {
            engine: target.engine,
            worker,
            partitions: target.partitions,
            placement: target.placement,
            source: source.to_owned(),
            earlier: EarlierRecords::new(source),
            progress,
            next_token: 0,
            outstanding: 0,
            turn: 0,
            counts: Counts::default(),
            tids: (None, None),
        })
    }

    /// Imports all transactions that the reader still has to give, and waits until they are
    /// durable. After an error a transaction that was begun is forgotten.
    pub(super) fn copy(
        &mut self,
        reader: &mut Reader,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        while let Some(transaction) = reader.next_transaction()? {
            interrupt.check()?;
            let ttid = Ttid::new(transaction.tid.get());
            if let Err(failure) = self.transaction(&transaction, reader, interrupt) {
                self.engine.abort(ttid)?;
                return Err(self.reason_of(failure));
            }
        }
        self.wait_for_commits()
    }

    /// Everything is there: says so in the database, and closes it.
    pub(super) fn complete(mut self) -> Result<(), Failure> {
        let advice = directory::advice(&self.source);
        let completed = self.settle_and_edit();
        completed.and_then(|()| self.close()).map_err(|cause| unfinished(cause, advice))
    }

    /// Keeps what is there, and closes the database if it still can be written.
    pub(super) fn stop(mut self, cause: Failure) -> Failure {
        let advice = directory::advice(&self.source);
        // The first failure is told, whatever follows from it.
        let _ = self.wait_for_commits().and_then(|()| self.close());
        unfinished(cause, advice)
    }

    fn transaction(
        &mut self,
        transaction: &Transaction,
        reader: &mut Reader,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        let tid = transaction.tid;
        let ttid = Ttid::new(tid.get());
        let mut oids = Vec::new();
        let mut data_bytes = 0;
        let mut has_objects = false;
        while let Some(record) = reader.next_record()? {
            let length = record.data.as_ref().map_or(0, |data| data.len() as u64);
            let object = ObjectData {
                compression: Compression::None,
                checksum: None,
                crc: None,
                data: record.data,
                data_tid: record.data_tid,
            };
            let partition = self.partitions.of_oid(record.oid);
            if self.holds(partition) {
                self.engine.store(ttid, partition, record.oid, &object)?;
                has_objects = true;
            }
            oids.push(record.oid);
            data_bytes += length;
            self.turn += length + RECORD_COST;
            if self.turn >= TURN_LENGTH {
                interrupt.check()?;
                self.progress.reach(record.position.get());
                self.take_turn()?;
            }
        }
        let records = oids.len() as u64;
        let partition = self.partitions.of_tid(tid);
        let committed = match self.holds(partition) {
            true => Some(engine::Transaction {
                ttid,
                user: transaction.user.clone(),
                description: transaction.description.clone(),
                extension: transaction.extension.clone(),
                superseded: self.earlier.of(tid, &oids)?,
                oids,
                packed: transaction.status == Status::Packed,
                pack_order: None,
            }),
            false => None,
        };
        if committed.is_some() || has_objects {
            let token = self.token();
            self.engine.commit(token, ttid, tid, partition, committed)?;
            self.outstanding += 1;
        }
        self.counts.transactions += 1;
        self.counts.records += records;
        self.counts.data_bytes += data_bytes;
        self.tids = (self.tids.0.or(Some(tid)), Some(tid));
        self.turn += RECORD_COST;
        if self.turn >= TURN_LENGTH {
            self.take_turn()?;
        }
        Ok(())
    }

    /// Whether what is of a partition is imported.
    fn holds(&self, partition: PartitionId) -> bool {
        self.placement.as_ref().is_none_or(|placement| placement.holds(partition))
    }

    /// Lets the engine and its worker go on; waits while they have too much to do.
    fn take_turn(&mut self) -> Result<(), Failure> {
        self.turn = 0;
        self.poll(Wait::No)?;
        self.worker.exchange(&mut self.engine)?;
        let mut polls = 0;
        while self.engine.is_congested() {
            self.poll(Wait::Yes)?;
            polls += 1;
            match polls {
                // Nothing is submitted meanwhile, so that after two polls the log is written.
                1 | 2 => self.worker.exchange(&mut self.engine)?,
                _ => self.worker.wait(&mut self.engine)?,
            }
        }
        Ok(())
    }

    fn poll(&mut self, wait: Wait) -> Result<(), Failure> {
        let completions = self.engine.poll(wait)?;
        self.outstanding -= completions.len() as u64;
        Ok(completions.into_iter().try_for_each(|completion| completion.result)?)
    }

    fn wait_for_commits(&mut self) -> Result<(), Failure> {
        while self.outstanding > 0 {
            self.poll(Wait::Yes)?;
            self.worker.exchange(&mut self.engine)?;
        }
        Ok(())
    }

    fn settle_and_edit(&mut self) -> Result<(), Failure> {
        self.worker.settle(&mut self.engine)?;
        let token = self.token();
        self.engine.edit(token, vec![MetadataEdit::remove(MetadataKey::Import)])?;
        Ok(self.engine.wait_for(token)?)
    }

    fn close(mut self) -> Result<(), Failure> {
        self.worker.stop(&mut self.engine)?;
        Ok(self.engine.close()?)
    }

    /// That a part of a transaction was not written is seen only at its end; the reason for it is
    /// a full disk, as after any other one the engine gives up.
    fn reason_of(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Engine(engine::Error::Broken { .. }) => {
                let file = self.engine.disk().path("");
                Failure::Engine(engine::Error::Full { file })
            }
            other => other,
        }
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }
}

fn unfinished(cause: Failure, advice: String) -> Failure {
    Failure::Unfinished { cause: Box::new(cause), advice }
}
