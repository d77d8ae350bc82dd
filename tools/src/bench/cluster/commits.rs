//! Clients that commit one transaction after the other.

use std::collections::BTreeSet;
use std::net::TcpStream;

use model::{Oid, Random, Tid, Ttid};
use net::Message;

use super::client::Client;
use super::closed_loop::Station;
use super::population::{finish, new_oids, pickle, store, store_transaction};
use super::target::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// What each transaction changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    /// How many objects.
    pub(super) objects: usize,
    /// Bytes of each.
    pub(super) length: usize,
}

/// A client that changes objects in one transaction after the other, each of its threads its own
/// objects. A thread sends its stores without waiting, and waits for all answers before it votes,
/// as those of NEO's clients do.
pub(super) struct Committer {
    client: Client,
    threads: Vec<Thread>,
    changes: Changes,
    random: Random,
}

struct Thread {
    oids: Vec<Oid>,
    serial: Tid,
    stage: Stage,
}

/// How far a commit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Idle,
    Beginning,
    /// So many answers are missing.
    Storing(Ttid, usize),
    Voting(Ttid, usize),
    Finishing(Ttid),
}

impl Committer {
    pub(super) fn new(
        target: &Target,
        threads: usize,
        changes: Changes,
        seed: u64,
        stop: &Interrupt,
    ) -> Result<Self, Failure> {
        let mut client = Client::join(target, stop)?;
        client.connect_storages(stop)?;
        let mut own = Vec::with_capacity(threads);
        for _ in 0..threads {
            let oids = new_oids(&mut client, changes.objects)?;
            own.push(Thread { oids, serial: Tid::ZERO, stage: Stage::Idle });
        }
        Ok(Self { client, threads: own, changes, random: Random::from_seed(seed) })
    }

    /// Handles an answer of the master. Whether the commit is done.
    fn master_answered(&mut self, slot: usize, message: &Message) -> Result<bool, Failure> {
        let thread = &mut self.threads[slot];
        match (message, thread.stage) {
            (Message::AnswerBeginTransaction { ttid }, Stage::Beginning) => {
                self.store(slot, *ttid);
                Ok(false)
            }
            (Message::AnswerTransactionFinished { ttid, tid }, Stage::Finishing(expected))
                if *ttid == expected =>
            {
                thread.serial = *tid;
                thread.stage = Stage::Idle;
                Ok(true)
            }
            (message, _) => Err(self.client.master.unexpected(message)),
        }
    }

    fn store(&mut self, slot: usize, ttid: Ttid) {
        let Thread { oids, serial, stage } = &mut self.threads[slot];
        let mut missing = 0;
        for oid in oids {
            let data = pickle(self.changes.length, &mut self.random);
            let message = store(ttid, *oid, *serial, data);
            for place in self.client.writable(self.client.table.partition_of_oid(*oid)) {
                self.client.storages[place].1.ask(&message, slot);
                missing += 1;
            }
        }
        *stage = Stage::Storing(ttid, missing);
    }

    /// Handles an answer of a storage.
    fn storage_answered(
        &mut self,
        place: usize,
        slot: usize,
        message: &Message,
    ) -> Result<(), Failure> {
        let thread = &mut self.threads[slot];
        match (message, thread.stage) {
            (
                Message::AnswerStoreObject { conflict: None | Some(Tid::ZERO) },
                Stage::Storing(ttid, missing),
            ) => match missing {
                1 => self.vote(slot, ttid),
                _ => thread.stage = Stage::Storing(ttid, missing - 1),
            },
            (
                Message::AnswerStoreTransaction {} | Message::AnswerVoteTransaction {},
                Stage::Voting(ttid, missing),
            ) => match missing {
                1 => {
                    thread.stage = Stage::Finishing(ttid);
                    self.client.master.ask(&finish(ttid, &thread.oids), slot);
                }
                _ => thread.stage = Stage::Voting(ttid, missing - 1),
            },
            (message, _) => return Err(self.client.storages[place].1.unexpected(message)),
        }
        Ok(())
    }

    fn vote(&mut self, slot: usize, ttid: Ttid) {
        let oids = &self.threads[slot].oids;
        let table = &self.client.table;
        let metadata = self.client.writable(table.partitions().of_ttid(ttid));
        let partitions: BTreeSet<_> = oids.iter().map(|oid| table.partition_of_oid(*oid)).collect();
        let mut others: BTreeSet<_> =
            partitions.into_iter().flat_map(|partition| self.client.writable(partition)).collect();
        for place in &metadata {
            others.remove(place);
            let message = store_transaction(ttid, oids);
            self.client.storages[*place].1.ask(&message, slot);
        }
        for place in &others {
            self.client.storages[*place].1.ask(&Message::AskVoteTransaction { ttid }, slot);
        }
        let missing = metadata.len() + others.len();
        self.threads[slot].stage = Stage::Voting(ttid, missing);
    }
}

impl Station for Committer {
    fn slots(&self) -> usize {
        self.threads.len()
    }

    fn begin(&mut self, slot: usize) -> Result<(), Failure> {
        self.threads[slot].stage = Stage::Beginning;
        self.client.master.ask(&Message::AskBeginTransaction { tid: None }, slot);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.client.master.flush()?;
        self.client.storages.iter_mut().try_for_each(|(_, wire)| wire.flush())
    }

    fn sockets(&self) -> Vec<&TcpStream> {
        let storages = self.client.storages.iter().map(|(_, wire)| wire.stream());
        std::iter::once(self.client.master.stream()).chain(storages).collect()
    }

    /// What others commit, and that one of them waits for a lock, is nothing to this client.
    fn receive(&mut self, socket: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        let Some(place) = socket.checked_sub(1) else {
            self.client.master.receive()?;
            while let Some((slot, message)) = self.client.master.next()? {
                match slot {
                    Some(slot) if self.master_answered(slot, &message)? => done.push(slot),
                    Some(_) => {}
                    None => check_notification(&self.client.master, &message)?,
                }
            }
            return Ok(());
        };
        self.client.storages[place].1.receive()?;
        while let Some((slot, message)) = self.client.storages[place].1.next()? {
            match slot {
                Some(slot) => self.storage_answered(place, slot, &message)?,
                None => check_notification(&self.client.storages[place].1, &message)?,
            }
        }
        Ok(())
    }
}

/// An error that answers nothing ends the bench.
fn check_notification(wire: &super::wire::Wire, message: &Message) -> Result<(), Failure> {
    match message {
        Message::Error { .. } => Err(wire.unexpected(message)),
        _ => Ok(()),
    }
}
