//! What a storage stands on.

use std::sync::mpsc::Receiver;

use bytes::Bytes;
use client::{
    Embedded, EmbeddedTransaction, Error, Metadata, Notice, Object, Payload, Resolver, Revision,
    Session, TransactionInformation,
};
use model::{Oid, Tid, Ttid};

/// An iterator whose items may fail.
pub(crate) type Fallible<T> = Box<dyn Iterator<Item = Result<T, Error>> + Send>;

/// A session of a cluster, or a directory in this process, which has the same methods.
#[derive(Clone)]
pub(crate) enum Backend {
    Cluster(Session),
    Embedded(Embedded),
}

/// A transaction that is in progress.
pub(crate) enum BackendTransaction {
    Cluster(client::Transaction),
    Embedded(EmbeddedTransaction),
}

macro_rules! of_backend {
    ($self:expr, $session:ident => $action:expr) => {
        match $self {
            Backend::Cluster($session) => $action,
            Backend::Embedded($session) => $action,
        }
    };
}

macro_rules! of_transaction {
    ($self:expr, $transaction:ident => $action:expr) => {
        match $self {
            BackendTransaction::Cluster($transaction) => $action,
            BackendTransaction::Embedded($transaction) => $action,
        }
    };
}

impl Backend {
    pub(crate) fn last_tid(&self) -> Tid {
        of_backend!(self, session => session.last_tid())
    }

    pub(crate) fn subscribe(&self) -> Receiver<Notice> {
        of_backend!(self, session => session.subscribe())
    }

    pub(crate) fn close(&self) {
        of_backend!(self, session => session.close());
    }

    /// What the cache has, without waiting. What a directory has in memory is found by a load,
    /// which may have to read all the same.
    pub(crate) fn load_cached(&self, oid: Oid, revision: Revision) -> Option<Object> {
        match self {
            Self::Cluster(session) => session.load_cached(oid, revision),
            Self::Embedded(_) => None,
        }
    }

    /// Data as it is stored: compressed, where it goes over a network.
    pub(crate) fn payload(&self, data: &[u8]) -> Payload {
        let data = Bytes::copy_from_slice(data);
        match self {
            Self::Cluster(_) => Payload::compressed(data),
            Self::Embedded(embedded) => embedded.payload(data),
        }
    }

    pub(crate) fn load(&self, oid: Oid, revision: Revision) -> Result<Object, Error> {
        of_backend!(self, session => session.load_revision(oid, revision))
    }

    /// Has a cache filled, without waiting. There is no round trip to be saved in this process.
    pub(crate) fn prefetch(&self, oids: &[Oid], before: Tid) {
        if let Self::Cluster(session) = self {
            session.prefetch(oids, Revision::Before(before));
        }
    }

    pub(crate) fn load_many(&self, oids: &[Oid], revision: Revision) -> Vec<Result<Object, Error>> {
        match self {
            Self::Cluster(session) => session.load_many(oids.iter().map(|oid| (*oid, revision))),
            Self::Embedded(embedded) => {
                oids.iter().map(|oid| embedded.load_revision(*oid, revision)).collect()
            }
        }
    }

    pub(crate) fn history(&self, oid: Oid, count: u64) -> Result<Vec<(Tid, u64)>, Error> {
        of_backend!(self, session => session.history(oid, count))
    }

    pub(crate) fn transaction(&self, tid: Tid) -> Result<TransactionInformation, Error> {
        of_backend!(self, session => session.transaction(tid))
    }

    pub(crate) fn undo_log(
        &self,
        first: u64,
        last: u64,
    ) -> Result<Vec<TransactionInformation>, Error> {
        of_backend!(self, session => session.undo_log(first, last))
    }

    pub(crate) fn transactions(
        &self,
        tid_min: Tid,
        tid_max: Option<Tid>,
    ) -> Fallible<TransactionInformation> {
        of_backend!(self, session => Box::new(session.transactions(tid_min, tid_max)))
    }

    pub(crate) fn objects_of(&self, transaction: &TransactionInformation) -> Fallible<Object> {
        of_backend!(self, session => Box::new(session.objects_of(transaction)))
    }

    pub(crate) fn oids(&self, oid_min: Oid, tid: Option<Tid>) -> Fallible<Oid> {
        of_backend!(self, session => Box::new(session.oids(oid_min, tid)))
    }

    pub(crate) fn synchronize(&self) -> Result<(), Error> {
        of_backend!(self, session => session.synchronize())
    }

    pub(crate) fn new_oids(&self, count: u32) -> Result<Vec<Oid>, Error> {
        of_backend!(self, session => session.new_oids(count))
    }

    /// Packs, and waits until that is done.
    pub(crate) fn pack(&self, tid: Tid) -> Result<(), Error> {
        of_backend!(self, session => session.wait_for_pack(session.pack(tid, None)?))
    }

    /// Begins a transaction, with a tid if it is to have a certain one.
    pub(crate) fn begin(&self, tid: Option<Tid>) -> Result<BackendTransaction, Error> {
        match self {
            Self::Cluster(session) => match tid {
                Some(tid) => session.begin_at(tid),
                None => session.begin(),
            }
            .map(BackendTransaction::Cluster),
            Self::Embedded(embedded) => match tid {
                Some(tid) => embedded.begin_at(tid),
                None => embedded.begin(),
            }
            .map(BackendTransaction::Embedded),
        }
    }
}

impl BackendTransaction {
    pub(crate) fn ttid(&self) -> Ttid {
        of_transaction!(self, transaction => transaction.ttid())
    }

    pub(crate) fn set_resolver(&mut self, resolver: impl Resolver + Send + 'static) {
        of_transaction!(self, transaction => transaction.set_resolver(resolver));
    }

    pub(crate) fn store(&mut self, oid: Oid, serial: Tid, data: Payload) -> Result<(), Error> {
        of_transaction!(self, transaction => transaction.store(oid, serial, data))
    }

    pub(crate) fn delete(&mut self, oid: Oid, serial: Tid) -> Result<(), Error> {
        of_transaction!(self, transaction => transaction.delete(oid, serial))
    }

    pub(crate) fn check_current(&mut self, oid: Oid, serial: Tid) -> Result<(), Error> {
        of_transaction!(self, transaction => transaction.check_current(oid, serial))
    }

    pub(crate) fn undo(&mut self, tid: Tid) -> Result<Vec<Oid>, Error> {
        of_transaction!(self, transaction => transaction.undo(tid))
    }

    pub(crate) fn vote(&mut self, metadata: Metadata) -> Result<Vec<Oid>, Error> {
        of_transaction!(self, transaction => transaction.vote(metadata))
    }

    pub(crate) fn finish(self) -> Result<Tid, Error> {
        of_transaction!(self, transaction => transaction.finish())
    }
}
