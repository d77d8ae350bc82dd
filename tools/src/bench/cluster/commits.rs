//! Clients that commit one small object after the other.

use std::net::TcpStream;

use bytes::Bytes;
use model::{Oid, Random, Tid, Ttid};
use net::Message;

use super::client::Client;
use super::closed_loop::{Progress, Station};
use super::population::{finish, new_oids, pickle, store, store_transaction};
use super::target::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// A client that changes one object, its own, in one transaction after the other. It waits for each
/// answer before it goes on, as clients of NEO do.
pub(super) struct Committer {
    client: Client,
    oid: Oid,
    serial: Tid,
    length: usize,
    random: Random,
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
        length: usize,
        seed: u64,
        stop: &Interrupt,
    ) -> Result<Self, Failure> {
        let mut client = Client::join(target, stop)?;
        client.connect_storages(stop)?;
        let oid = new_oids(&mut client, 1)?[0];
        let random = Random::from_seed(seed);
        Ok(Self { client, oid, serial: Tid::ZERO, length, random, stage: Stage::Idle })
    }

    /// Handles what the master says.
    fn master_said(&mut self, message: &Message) -> Result<Progress, Failure> {
        match (message, self.stage) {
            (Message::AnswerBeginTransaction { ttid }, Stage::Beginning) => self.store(*ttid)?,
            (Message::AnswerTransactionFinished { ttid, tid }, Stage::Finishing(expected))
                if *ttid == expected =>
            {
                self.serial = *tid;
                self.stage = Stage::Idle;
                return Ok(Progress::Done);
            }
            (message, _) if message.is_answer() => {
                return Err(self.client.master.unexpected(message));
            }
            // What others do.
            _ => {}
        }
        Ok(Progress::Pending)
    }

    fn store(&mut self, ttid: Ttid) -> Result<(), Failure> {
        let data: Bytes = pickle(self.length, &mut self.random);
        let message = store(ttid, self.oid, self.serial, data);
        let places = self.client.writable(self.client.table.partition_of_oid(self.oid));
        for place in &places {
            let wire = &mut self.client.storages[*place].1;
            wire.ask(&message);
            wire.flush()?;
        }
        self.stage = Stage::Storing(ttid, places.len());
        Ok(())
    }

    /// Handles what a storage says.
    fn storage_said(&mut self, place: usize, message: &Message) -> Result<(), Failure> {
        match (message, self.stage) {
            (
                Message::AnswerStoreObject { conflict: None | Some(Tid::ZERO) },
                Stage::Storing(ttid, missing),
            ) => match missing {
                1 => self.vote(ttid)?,
                _ => self.stage = Stage::Storing(ttid, missing - 1),
            },
            (
                Message::AnswerStoreTransaction {} | Message::AnswerVoteTransaction {},
                Stage::Voting(ttid, missing),
            ) => match missing {
                1 => {
                    self.stage = Stage::Finishing(ttid);
                    self.client.master.ask(&finish(ttid, vec![self.oid]));
                    self.client.master.flush()?;
                }
                _ => self.stage = Stage::Voting(ttid, missing - 1),
            },
            (message, _) if message.is_answer() => {
                return Err(self.client.storages[place].1.unexpected(message));
            }
            _ => {}
        }
        Ok(())
    }

    fn vote(&mut self, ttid: Ttid) -> Result<(), Failure> {
        let table = &self.client.table;
        let metadata = self.client.writable(table.partitions().of_ttid(ttid));
        let data = self.client.writable(table.partition_of_oid(self.oid));
        for place in &metadata {
            self.client.storages[*place].1.ask(&store_transaction(ttid, vec![self.oid]));
        }
        let only_data = data.iter().filter(|place| !metadata.contains(place));
        let mut missing = metadata.len();
        for place in only_data {
            self.client.storages[*place].1.ask(&Message::AskVoteTransaction { ttid });
            missing += 1;
        }
        for (_, wire) in &mut self.client.storages {
            wire.flush()?;
        }
        self.stage = Stage::Voting(ttid, missing);
        Ok(())
    }
}

impl Station for Committer {
    fn begin(&mut self) -> Result<(), Failure> {
        self.stage = Stage::Beginning;
        self.client.master.ask(&Message::AskBeginTransaction { tid: None });
        self.client.master.flush()
    }

    fn sockets(&self) -> Vec<&TcpStream> {
        let storages = self.client.storages.iter().map(|(_, wire)| wire.stream());
        std::iter::once(self.client.master.stream()).chain(storages).collect()
    }

    fn receive(&mut self, socket: usize) -> Result<Progress, Failure> {
        let mut progress = Progress::Pending;
        match socket.checked_sub(1) {
            None => {
                self.client.master.receive()?;
                while let Some(message) = self.client.master.next()? {
                    if self.master_said(&message)? == Progress::Done {
                        progress = Progress::Done;
                    }
                }
            }
            Some(place) => {
                self.client.storages[place].1.receive()?;
                while let Some(message) = self.client.storages[place].1.next()? {
                    self.storage_said(place, &message)?;
                }
            }
        }
        Ok(progress)
    }
}
