//! Metadata of a list of transactions.

use model::Tid;
use net::Message;

use crate::load::{Place, Purpose};
use crate::machine::Client;
use crate::request::{Token, TransactionInformation};

/// Reads of one iteration at a time: enough to keep some storages busy, little enough not to keep
/// others waiting.
pub(super) const READS_MAX: usize = 32;

/// The metadata of some transactions, being read.
#[derive(Default)]
pub(crate) struct Informations {
    tids: Vec<Tid>,
    /// The next to be read.
    next: usize,
    pending: usize,
    found: Vec<Option<TransactionInformation>>,
}

impl Informations {
    pub(super) fn new(tids: Vec<Tid>) -> Self {
        let found = tids.iter().map(|_| None).collect();
        Self { tids, next: 0, pending: 0, found }
    }

    pub(super) fn found(&mut self, place: usize, information: Option<TransactionInformation>) {
        self.pending -= 1;
        self.found[place] = information;
    }

    /// What was found, in the order of the tids, if all was read.
    pub(super) fn take(&mut self) -> Option<Vec<TransactionInformation>> {
        let is_done = self.next == self.tids.len() && self.pending == 0;
        is_done.then(|| std::mem::take(self).found.into_iter().flatten().collect())
    }

    /// Reads to begin: places and tids.
    fn begin(&mut self) -> Vec<(usize, Tid)> {
        let end = self.tids.len().min(self.next + READS_MAX - self.pending);
        let begun: Vec<_> = (self.next..end).map(|place| (place, self.tids[place])).collect();
        self.pending += begun.len();
        self.next = end;
        begun
    }
}

impl Client {
    /// Reads on, and returns the result when it is there.
    pub(super) fn read_informations(
        &mut self,
        token: Token,
    ) -> Option<Vec<TransactionInformation>> {
        let informations = self.walks.get_mut(&token)?.informations()?;
        if let Some(result) = informations.take() {
            return Some(result);
        }
        for (place, tid) in informations.begin() {
            let purpose = Purpose::WalkInformation { token, place };
            self.read(purpose, Place::Tid(tid), Message::AskTransactionInformation { tid });
        }
        None
    }
}
