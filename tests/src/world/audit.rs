//! Looks at everything that a database holds, and at whether that can be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use client::{
    Answer, Client, Completion, Error, Request, Revision, Token, TransactionCursor,
    TransactionInformation,
};
use model::{Now, Oid, Tid};

use super::bank::{Fate, Ledger};
use super::process::Actor;
use crate::node::Node;

/// Transactions that are asked for at once.
const TRANSACTIONS_MAX: usize = 100;

/// What is found in a database.
#[derive(Debug, Default)]
pub struct Findings {
    transactions: Vec<TransactionInformation>,
    /// Balances as of each transaction.
    balances: BTreeMap<(Tid, Oid), u64>,
    /// Why it cannot be read, if so.
    error: Option<Error>,
    is_complete: bool,
}

impl Findings {
    /// Whether everything was read, or cannot be.
    pub fn is_over(&self) -> bool {
        self.is_complete || self.error.is_some()
    }

    /// Compares with what tellers know: what they were told is committed is there, what they were
    /// told is not, is not, and no money was lost or made at any time.
    ///
    /// # Panics
    /// If not so.
    pub fn check(&self, ledger: &Ledger) {
        assert!(self.is_complete, "the database can be read: {:?}", self.error);
        let tids = self.transactions.iter().map(|found| found.tid).collect::<Vec<_>>();
        assert!(tids.is_sorted_by(|a, b| a < b), "tids grow: {tids:?}");
        let name = |found: &TransactionInformation| {
            String::from_utf8_lossy(&found.metadata.description).into_owned()
        };
        let found: BTreeMap<String, Tid> =
            self.transactions.iter().map(|found| (name(found), found.tid)).collect();
        assert_eq!(found.len(), self.transactions.len(), "nothing is committed twice");
        for (name, fate) in &ledger.fates {
            match fate {
                Fate::Unknown => {}
                Fate::Committed(tid) => assert_eq!(found.get(name), Some(tid), "{name} is there"),
                Fate::Failed(error) => assert_eq!(found.get(name), None, "{name}: {error}"),
            }
        }
        for tid in tids {
            let balances = self.balances.range((tid, Oid::ZERO)..=(tid, Oid::MAX));
            let total: u64 = balances.map(|(_, balance)| balance).sum();
            assert_eq!(total, ledger.total(), "as of {tid}");
        }
    }
}

/// A program that reads all transactions, and all accounts as of each of them.
pub struct Auditor {
    findings: Rc<RefCell<Findings>>,
    accounts: u64,
    awaited: Option<Token>,
    /// What is still to be loaded.
    to_load: Vec<(Tid, Oid)>,
    begun: bool,
}

impl Auditor {
    /// Of a bank with so many accounts.
    pub fn new(accounts: u64, findings: Rc<RefCell<Findings>>) -> Self {
        Self { findings, accounts, awaited: None, to_load: Vec::new(), begun: false }
    }

    fn submit(&mut self, client: &mut Client, now: Now, request: Request) {
        self.awaited = Some(client.submit(now, request));
    }

    fn ask_transactions(&mut self, client: &mut Client, now: Now, cursor: TransactionCursor) {
        let count_max = TRANSACTIONS_MAX;
        self.submit(client, now, Request::Transactions { cursor, count_max });
    }

    fn load_next(&mut self, client: &mut Client, now: Now) {
        match self.to_load.last() {
            Some((tid, oid)) => {
                let revision = Revision::Before(Tid::new(tid.get() + 1));
                self.submit(client, now, Request::Load { oid: *oid, revision });
            }
            None => self.findings.borrow_mut().is_complete = true,
        }
    }

    fn completed(&mut self, client: &mut Client, now: Now, result: Result<Answer, Error>) {
        match result {
            Ok(Answer::Transactions(transactions, cursor)) => {
                self.findings.borrow_mut().transactions.extend(transactions);
                if let Some(cursor) = cursor {
                    return self.ask_transactions(client, now, cursor);
                }
                let findings = self.findings.borrow();
                let tids = findings.transactions.iter().rev().map(|found| found.tid);
                let oids = (1..=self.accounts).map(Oid::new);
                self.to_load =
                    tids.flat_map(|tid| oids.clone().map(move |oid| (tid, oid))).collect();
                drop(findings);
                self.load_next(client, now);
            }
            Ok(Answer::Object(object)) => {
                let at = self.to_load.pop().expect("it was asked for");
                let payload = object.data.expect("accounts are never deleted");
                let bytes = payload.bytes().expect("it is not compressed");
                let balance = u64::from_be_bytes(bytes[..].try_into().expect("8 bytes"));
                self.findings.borrow_mut().balances.insert(at, balance);
                self.load_next(client, now);
            }
            Ok(other) => panic!("{other:?} was not asked for"),
            Err(error) => self.findings.borrow_mut().error = Some(error),
        }
    }
}

impl Actor for Auditor {
    fn act(&mut self, node: &mut dyn Node, now: Now) {
        let client = node.downcast_mut::<Client>().expect("an auditor uses a client");
        if !self.begun && client.last_tid().is_some() {
            self.begun = true;
            self.ask_transactions(client, now, TransactionCursor::new(Tid::ZERO, None));
        }
        while let Some(completion) = client.poll_completion() {
            match completion {
                Completion::Done { token, result } if Some(token) == self.awaited => {
                    self.awaited = None;
                    self.completed(client, now, result);
                }
                _ => {}
            }
        }
    }
}
