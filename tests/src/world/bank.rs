//! Programs that move money, and what became of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use client::{
    Answer, Client, Completion, Conflict, Error, Metadata, Payload, Request, Revision, Token,
};
use model::{Now, Oid, Random, Tid, Ttid};

use super::process::Actor;
use crate::node::Node;

/// What each account begins with.
const BALANCE: u64 = 1000;
/// The name of the transaction that opens the accounts.
const OPENING: &str = "opening";

/// What a teller knows of the outcome of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nobody said yet, or nobody can say.
    Unknown,
    /// It is committed.
    Committed(Tid),
    /// It is not, and never will be.
    Failed(Error),
}

/// What tellers did, as far as they know.
#[derive(Debug, Default)]
pub struct Ledger {
    /// How many accounts there are.
    pub accounts: u64,
    /// Transfers that are still to begin.
    pub transfers_left: u64,
    /// Transfers that were begun, by name.
    pub fates: BTreeMap<String, Fate>,
    /// Whether the accounts are known to be there.
    pub is_open: bool,
    /// Tellers that are in the middle of something.
    pub busy: u64,
}

impl Ledger {
    /// Of some accounts, between which so many transfers are to be tried.
    pub fn new(accounts: u64, transfers: u64) -> Rc<RefCell<Self>> {
        let ledger = Self { accounts, transfers_left: transfers, ..Self::default() };
        Rc::new(RefCell::new(ledger))
    }

    /// What all accounts have together, always.
    pub fn total(&self) -> u64 {
        self.accounts * BALANCE
    }

    /// Whether all transfers were tried.
    pub fn is_done(&self) -> bool {
        self.transfers_left == 0 && self.busy == 0
    }

    /// How many transfers are known to be committed.
    pub fn committed(&self) -> usize {
        self.fates.values().filter(|fate| matches!(fate, Fate::Committed(_))).count()
    }
}

/// A program that moves money from one account to another, again and again. The first of them
/// opens the accounts.
pub struct Teller {
    name: String,
    ledger: Rc<RefCell<Ledger>>,
    random: Random,
    begun: u64,
    step: Step,
    awaited: Option<Token>,
}

/// Where a teller is.
#[derive(Clone, Debug)]
enum Step {
    Idle,
    /// Whether the accounts are there.
    Looking,
    Beginning(Work),
    Loading(Ttid, Work),
    Storing(Ttid, Work),
    Voting(Ttid, Work),
    Finishing(Ttid, Work),
    Aborting,
}

/// A transaction to be done.
#[derive(Clone, Debug)]
struct Work {
    name: String,
    /// Accounts that are to be loaded.
    to_load: Vec<Oid>,
    /// Accounts with the revision and balance they have.
    loaded: Vec<(Oid, Tid, u64)>,
    /// How much goes from the first to the second; the opening moves nothing.
    amount: u64,
}

impl Teller {
    /// A program of a name of its own. Randomness is for what it chooses.
    pub fn new(name: &str, ledger: Rc<RefCell<Ledger>>, random: Random) -> Self {
        let name = name.to_owned();
        Self { name, ledger, random, begun: 0, step: Step::Idle, awaited: None }
    }

    fn submit(&mut self, client: &mut Client, now: Now, request: Request) {
        self.awaited = Some(client.submit(now, request));
    }

    /// Begins something, if there is anything to do.
    fn begin(&mut self, client: &mut Client, now: Now) {
        let mut ledger = self.ledger.borrow_mut();
        if !ledger.is_open {
            ledger.busy += 1;
            drop(ledger);
            self.step = Step::Looking;
            let first = Request::Load { oid: Oid::new(1), revision: Revision::Newest };
            return self.submit(client, now, first);
        }
        if ledger.transfers_left == 0 {
            return;
        }
        ledger.transfers_left -= 1;
        ledger.busy += 1;
        self.begun += 1;
        let name = format!("{} {}", self.name, self.begun);
        ledger.fates.insert(name.clone(), Fate::Unknown);
        let first = 1 + self.random.below(ledger.accounts);
        let second = 1 + (first + self.random.below(ledger.accounts - 1)) % ledger.accounts;
        let amount = 1 + self.random.below(10);
        let to_load = vec![Oid::new(second), Oid::new(first)];
        drop(ledger);
        self.step = Step::Beginning(Work { name, to_load, loaded: Vec::new(), amount });
        self.submit(client, now, Request::Begin { tid: None });
    }

    fn open_accounts(&mut self, client: &mut Client, now: Now) {
        let accounts = self.ledger.borrow().accounts;
        let loaded = (1..=accounts).map(|oid| (Oid::new(oid), Tid::ZERO, BALANCE)).collect();
        let name = OPENING.to_owned();
        self.step = Step::Beginning(Work { name, to_load: Vec::new(), loaded, amount: 0 });
        self.submit(client, now, Request::Begin { tid: None });
    }

    fn completed(&mut self, client: &mut Client, now: Now, result: Result<Answer, Error>) {
        let step = std::mem::replace(&mut self.step, Step::Idle);
        match (step, result) {
            (Step::Looking, Ok(_)) => {
                self.ledger.borrow_mut().is_open = true;
                self.rest();
            }
            (Step::Looking, Err(Error::NoSuchObject { .. })) => self.open_accounts(client, now),
            (Step::Looking | Step::Aborting, _) => self.rest(),
            (Step::Beginning(work), Ok(Answer::Begun(ttid))) => {
                self.load(client, now, ttid, work);
            }
            (Step::Loading(ttid, mut work), Ok(Answer::Object(object))) => {
                let payload = object.data.expect("accounts are never deleted");
                let bytes = payload.bytes().expect("it is not compressed");
                let balance = u64::from_be_bytes(bytes[..].try_into().expect("8 bytes"));
                work.loaded.push((object.oid, object.serial, balance));
                self.load(client, now, ttid, work);
            }
            (Step::Storing(ttid, work), Ok(Answer::Accepted)) => {
                self.store(client, now, ttid, work);
            }
            (Step::Voting(ttid, work), Ok(Answer::Voted(_))) => {
                self.step = Step::Finishing(ttid, work);
                self.submit(client, now, Request::Finish { ttid });
            }
            (Step::Finishing(_, work), Ok(Answer::Finished(tid))) => {
                self.note(&work.name, Fate::Committed(tid));
                self.rest();
            }
            (Step::Beginning(work), Err(error)) => {
                self.note(&work.name, Fate::Failed(error));
                self.rest();
            }
            (
                Step::Loading(ttid, work)
                | Step::Storing(ttid, work)
                | Step::Voting(ttid, work)
                | Step::Finishing(ttid, work),
                Err(error),
            ) => {
                let fate = match error {
                    Error::OutcomeUnknown { .. } => Fate::Unknown,
                    error => Fate::Failed(error),
                };
                self.note(&work.name, fate);
                self.step = Step::Aborting;
                self.submit(client, now, Request::Abort { ttid });
            }
            (step, Ok(answer)) => panic!("{}: {answer:?} in {step:?}", self.name),
            (Step::Idle, Err(error)) => panic!("{}: {error} of nothing", self.name),
        }
    }

    /// An account was changed by another: amounts are not merged, it is given up.
    fn conflict(&mut self, client: &mut Client, now: Now, conflict: &Conflict) {
        let Conflict { ttid, oid, serial, conflict_serial, .. } = *conflict;
        if let Step::Storing(current, work) | Step::Voting(current, work) = &self.step
            && *current == ttid
        {
            let name = work.name.clone();
            self.note(&name, Fate::Failed(Error::Conflict { oid, serial, conflict_serial }));
            self.step = Step::Aborting;
            self.submit(client, now, Request::Abort { ttid });
        }
    }

    fn note(&mut self, name: &str, fate: Fate) {
        if name != OPENING {
            self.ledger.borrow_mut().fates.insert(name.to_owned(), fate);
        }
    }

    fn rest(&mut self) {
        self.step = Step::Idle;
        self.ledger.borrow_mut().busy -= 1;
    }

    fn load(&mut self, client: &mut Client, now: Now, ttid: Ttid, mut work: Work) {
        let Some(oid) = work.to_load.pop() else {
            if let [from, to] = &mut work.loaded[..] {
                let amount = work.amount.min(from.2);
                from.2 -= amount;
                to.2 += amount;
            }
            return self.store(client, now, ttid, work);
        };
        self.step = Step::Loading(ttid, work);
        self.submit(client, now, Request::Load { oid, revision: Revision::Newest });
    }

    fn store(&mut self, client: &mut Client, now: Now, ttid: Ttid, mut work: Work) {
        let request = match work.loaded.pop() {
            Some((oid, serial, balance)) => {
                let data = Payload::plain(balance.to_be_bytes().to_vec());
                self.step = Step::Storing(ttid, work);
                Request::Store { ttid, oid, serial, data: Some(data) }
            }
            None => {
                let description = Bytes::from(work.name.clone());
                self.step = Step::Voting(ttid, work);
                let metadata = Metadata { description, ..Metadata::default() };
                Request::Vote { ttid, metadata, pack: None }
            }
        };
        self.submit(client, now, request);
    }
}

impl Actor for Teller {
    fn act(&mut self, node: &mut dyn Node, now: Now) {
        let client = node.downcast_mut::<Client>().expect("a teller uses a client");
        loop {
            while let Some(completion) = client.poll_completion() {
                match completion {
                    Completion::Done { token, result } if Some(token) == self.awaited => {
                        self.awaited = None;
                        self.completed(client, now, result);
                    }
                    Completion::Conflict(conflict) => self.conflict(client, now, &conflict),
                    Completion::Done { .. }
                    | Completion::Invalidated { .. }
                    | Completion::Connected { .. }
                    | Completion::Disconnected
                    | Completion::Unreachable(_)
                    | Completion::Refused { .. } => {}
                }
            }
            if !matches!(self.step, Step::Idle) || client.last_tid().is_none() {
                return;
            }
            self.begin(client, now);
            if matches!(self.step, Step::Idle) {
                return;
            }
        }
    }
}

impl Drop for Teller {
    /// A program that is killed is no longer busy; what it was at stays unknown.
    fn drop(&mut self) {
        if !matches!(self.step, Step::Idle) {
            self.ledger.borrow_mut().busy -= 1;
        }
    }
}
