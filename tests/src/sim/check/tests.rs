//! Histories made by hand: a good one, and what each rule says of one that is not.

use bytes::Bytes;
use client::{Error, Revision};
use model::{Nid, Oid, PartitionCount, Tid, Ttid};

use super::every::against;
use super::truth::{Committed, Stored, Truth};
use crate::sim::History;
use crate::sim::history::{
    Connection, Failed, Fate, Found, Read, Synchronized, Walk, Walked, Write,
};
use crate::sim::program::layout::{
    ACCOUNTS, BALANCE, COUNTERS, GUARDED, LOGS, counter, first_data,
};

/// Objects that belong to no program of a certain kind.
const A: Oid = Oid::new(201);
const B: Oid = Oid::new(202);
/// The opening, then a transaction that makes both, one that changes one of them, and one that
/// undoes that.
const OPENING: Tid = Tid::new(10);
const MADE: Tid = Tid::new(20);
const CHANGED: Tid = Tid::new(30);
const UNDONE: Tid = Tid::new(40);

/// A history, and what is committed.
struct Case {
    history: History,
    truth: Truth,
}

impl Case {
    /// One in which all is well.
    fn good() -> Self {
        let partitions = PartitionCount::new(1).expect("a number of them");
        let mut case = Self { history: History::default(), truth: Truth::new(partitions) };
        let opening = first_data().into_iter().map(|(oid, data)| (oid, Tid::ZERO, Some(data)));
        case.commit(OPENING, opening.collect());
        let (one, two) = (|| Some(b"one".to_vec()), || Some(b"two".to_vec()));
        case.commit(MADE, vec![(A, Tid::ZERO, one()), (B, Tid::ZERO, one())]);
        case.commit(CHANGED, vec![(A, MADE, two())]);
        case.commit(UNDONE, vec![(A, CHANGED, one())]);
        let attempt = case.history.attempts.last_mut().expect("it was just made");
        attempt.writes.clear();
        attempt.undone.push((CHANGED, vec![A]));
        attempt.checks.insert(B, MADE);
        case.stored(A, UNDONE).data_tid = Some(MADE);
        case.see();
        case
    }

    /// A transaction, as its program and the database have it.
    fn commit(&mut self, tid: Tid, writes: Vec<(Oid, Tid, Option<Vec<u8>>)>) {
        let (name, ttid) = (format!("transaction {}", tid.get()), Ttid::new(tid.get() - 5));
        let id = self.history.begin(name.clone());
        let moment = self.history.moment();
        self.history.attempt(id).ttid = Some((ttid, moment));
        let committed = Committed {
            ttid,
            user: Bytes::new(),
            description: Bytes::from(name.clone()),
            extension: Bytes::from(format!("{ttid} of {name}")),
            oids: writes.iter().map(|(oid, ..)| *oid).collect(),
        };
        self.truth.transactions.insert(tid, committed);
        for (oid, base, data) in writes {
            let data = data.map(Bytes::from);
            let length = data.as_ref().map_or(0, |data| data.len() as u64);
            let stored = Stored { data: data.clone(), data_tid: None, length };
            self.truth.objects.entry(oid).or_default().insert(tid, stored);
            self.history.attempt(id).writes.insert(oid, Write { base, data });
        }
        let moment = self.history.moment();
        self.history.attempt(id).finishing = Some(moment);
        self.history.ended(id, Fate::Committed(tid));
    }

    /// Somebody looks at everything.
    fn see(&mut self) {
        let reader = String::from("reader");
        let last_tids = (UNDONE, UNDONE);
        let found = Found::Revision {
            serial: MADE,
            next_serial: Some(CHANGED),
            data: Some(Bytes::from_static(b"one")),
            data_serial: None,
        };
        let revision = Revision::Before(CHANGED);
        let read = Read { reader: reader.clone(), oid: A, revision, last_tids, found };
        self.history.reads.push(read);
        let found = Found::Revision {
            serial: UNDONE,
            next_serial: None,
            data: Some(Bytes::from_static(b"one")),
            data_serial: Some(MADE),
        };
        let revision = Revision::Newest;
        let read = Read { reader: reader.clone(), oid: A, revision, last_tids, found };
        self.history.reads.push(read);
        let all = self.truth.transactions.iter();
        let found = all.clone().map(|(tid, one)| (*tid, one.name(), one.oids.clone())).collect();
        let objects = self.truth.objects.keys().copied().collect();
        let newest = all.rev().take(2).map(|(tid, one)| (*tid, one.name())).collect();
        for walked in [
            Walked::Transactions { tid_min: Tid::ZERO, found },
            Walked::Oids { tid: UNDONE, found: objects },
            Walked::UndoLog { count: 2, found: newest },
            Walked::Revisions { oid: A, count: 2, found: vec![(UNDONE, 3), (CHANGED, 3)] },
        ] {
            self.history.walks.push(Walk { reader: reader.clone(), last_tids, walked });
        }
        // One that began behind all that its walker knew.
        let walked = Walked::Transactions { tid_min: CHANGED, found: Vec::new() };
        let last_tids = (MADE, UNDONE);
        self.history.walks.push(Walk { reader: reader.clone(), last_tids, walked });
        self.history.connections.push(Connection {
            reader: reader.clone(),
            connected: vec![(MADE, Some(MADE))],
            told: vec![vec![MADE, CHANGED, UNDONE]],
            is_connected: true,
            invalidated: vec![(CHANGED, vec![A]), (UNDONE, vec![A])],
        });
        let acknowledged = Some(UNDONE);
        self.history.synchronized.push(Synchronized { reader, acknowledged, last_tid: UNDONE });
        self.history.new_oids.extend([(1, 2, A), (1, 2, B)]);
    }

    fn stored(&mut self, oid: Oid, tid: Tid) -> &mut Stored {
        self.truth.objects.entry(oid).or_default().entry(tid).or_default()
    }

    fn broken(&self) -> Option<String> {
        against(&self.history, &self.truth).err().map(|broken| broken.rule)
    }

    /// A transaction that writes one object of a program, as of the opening.
    fn write(&mut self, oid: u64, data: Vec<u8>) {
        let (tid, oid) = (Tid::new(50), Oid::new(oid));
        self.commit(tid, vec![(oid, OPENING, Some(data))]);
        let connection = &mut self.history.connections[0];
        connection.told[0].push(tid);
        connection.invalidated.push((tid, vec![oid]));
    }

    fn committed(&mut self, tid: Tid) -> &mut Committed {
        self.truth.transactions.entry(tid).or_default()
    }
}

/// Changes a good case and expects that a rule is broken then.
#[track_caller]
fn breaks(rule: &str, change: impl FnOnce(&mut Case)) {
    let mut case = Case::good();
    change(&mut case);
    assert_eq!(case.broken().as_deref(), Some(rule));
}

#[test]
fn a_good_history_breaks_no_rule() {
    assert_eq!(Case::good().broken(), None);
}

#[test]
fn errors_that_nobody_should_get() {
    let fail = |error: Error| {
        move |case: &mut Case| {
            let id = case.history.begin("one more".to_owned());
            case.history.ended(id, Fate::Failed(error));
        }
    };
    let incomplete = Error::Incomplete { ttid: Ttid::new(15) };
    breaks("nothing fails without a reason", fail(incomplete.clone()));
    let mut case = Case::good();
    case.history.fault();
    fail(incomplete)(&mut case);
    assert_eq!(case.broken(), None);
    breaks("nothing fails without a reason", |case| {
        let (reader, what) = (String::from("reader"), String::from("a list"));
        let error = Error::NoSuchTransaction { tid: MADE };
        case.history.failed.push(Failed { reader, what, error });
    });
    breaks("nothing fails without a reason", fail(Error::Damaged { compression: 1 }));
    let damaged = Error::WrongChecksum { oid: A, serial: MADE, nid: Nid::new(1) };
    breaks("nothing fails without a reason", fail(damaged.clone()));
    let mut case = Case::good();
    case.history.read_fails();
    fail(damaged)(&mut case);
    assert_eq!(case.broken(), None);
}

#[test]
fn commits_that_are_lost_or_come_from_nowhere() {
    breaks("acknowledged commits survive", |case| {
        case.truth.transactions.remove(&CHANGED);
    });
    breaks("acknowledged commits survive", |case| {
        case.history.attempts[1].fate = Fate::Committed(Tid::new(21));
    });
    breaks("what failed is not committed", |case| {
        let ttid = Ttid::new(15);
        case.history.attempts[1].fate = Fate::Failed(Error::NotCommitted { ttid });
    });
    breaks("nothing is there that nobody committed", |case| {
        case.history.attempts[1].fate = Fate::Unknown;
        case.history.attempts[1].finishing = None;
    });
    breaks("nothing is there that nobody committed", |case| {
        case.committed(Tid::new(25)).description = Bytes::from_static(b"another");
    });
    breaks("nothing is there that nobody committed", |case| {
        case.stored(B, CHANGED).length = 1;
    });
    breaks("nothing is committed twice", |case| {
        let again = case.committed(MADE).clone();
        case.truth.transactions.insert(Tid::new(21), again);
    });
}

#[test]
fn commits_of_which_a_part_is_missing_or_another() {
    breaks("commits are whole", |case| {
        case.truth.objects.remove(&B);
    });
    breaks("commits are whole", |case| {
        case.stored(B, MADE).data = None;
    });
    breaks("commits are whole", |case| {
        case.committed(MADE).oids.pop();
    });
    breaks("commits are whole", |case| {
        case.committed(MADE).extension = Bytes::new();
    });
    breaks("commits are whole", |case| {
        case.truth.objects.entry(A).or_default().remove(&UNDONE);
    });
}

#[test]
fn ids_that_are_given_twice_or_too_late() {
    breaks("oids are given once", |case| case.history.new_oids.push((1, 2, A)));
    breaks("oids are given once", |case| {
        case.history.new_oids.push((1, 2, A));
        case.history.directory_lost();
    });
    let again = |case: &mut Case| {
        let id = case.history.begin(String::from("another"));
        let (ttid, _) = case.history.attempts[1].ttid.expect("it was begun");
        let moment = case.history.moment();
        case.history.attempt(id).ttid = Some((ttid, moment));
    };
    breaks("ttids are given once", again);
    breaks("ttids are given once", |case| {
        again(case);
        case.history.directory_lost();
    });
    let mut case = Case::good();
    case.history.directory_lost();
    again(&mut case);
    assert_eq!(case.broken().as_deref(), Some("tids grow"), "but who forgot may give it again");
    breaks("tids grow", |case| {
        let id = case.history.begin(String::from("another"));
        let moment = case.history.moment();
        case.history.attempt(id).ttid = Some((Ttid::new(33), moment));
    });
    breaks("tids follow their ttids", |case| {
        case.truth.partitions = PartitionCount::new(2).expect("a number of them");
    });
}

#[test]
fn writes_and_checks_of_what_is_not_current() {
    breaks("the first committer wins", |case| {
        let write = case.history.attempts[2].writes.get_mut(&A);
        write.expect("it is written").base = OPENING;
    });
    breaks("what was checked is current", |case| {
        case.history.attempts[3].checks.insert(A, MADE);
    });
}

#[test]
fn reads_of_what_was_not_so() {
    let rule = "reads are repeatable";
    let change =
        |read: usize, found: Found| move |case: &mut Case| case.history.reads[read].found = found;
    let one = Some(Bytes::from_static(b"one"));
    let old = |next_serial, data: Option<Bytes>| Found::Revision {
        serial: MADE,
        next_serial,
        data,
        data_serial: None,
    };
    breaks(rule, change(0, Found::Nothing));
    breaks(rule, change(0, old(None, one.clone())));
    breaks(rule, change(0, old(Some(UNDONE), one.clone())));
    breaks(rule, change(0, old(Some(CHANGED), None)));
    breaks(rule, change(1, old(Some(CHANGED), one)));
    breaks(rule, |case| case.history.reads[1].last_tids = (MADE, CHANGED));
}

#[test]
fn lists_with_holes_or_too_much() {
    for place in 0..4 {
        breaks("iteration has no holes", |case| match &mut case.history.walks[place].walked {
            Walked::Transactions { found, .. } => drop(found.remove(1)),
            Walked::Oids { found, .. } => found.push(Oid::new(999)),
            Walked::UndoLog { found, .. } => drop(found.remove(0)),
            Walked::Revisions { found, .. } => found[1].1 = 7,
        });
    }
    breaks("iteration has no holes", |case| case.history.walks[0].last_tids = (MADE, CHANGED));
}

#[test]
fn clients_that_are_told_something_else() {
    let rule = "clients are told of commits";
    let change = |change: fn(&mut Connection)| {
        move |case: &mut Case| change(&mut case.history.connections[0])
    };
    breaks(rule, change(|told| told.connected[0] = (Tid::new(25), None)));
    breaks(rule, change(|told| told.connected[0] = (MADE, Some(CHANGED))));
    breaks(rule, change(|told| told.told[0].swap(0, 2)));
    breaks(rule, change(|told| told.told[0].retain(|tid| *tid != CHANGED)));
    breaks(rule, change(|told| told.told[0].truncate(2)));
    let mut case = Case::good();
    change(|told| {
        told.told[0].pop();
        told.is_connected = false;
    })(&mut case);
    assert_eq!(case.broken(), None, "who is not connected is told nothing");
    change(|told| told.told = vec![vec![MADE], vec![UNDONE]])(&mut case);
    assert_eq!(case.broken(), None, "nor who connects again");
    breaks(rule, change(|told| told.invalidated[0].1.clear()));
    breaks(rule, change(|told| told.invalidated[0].1.push(B)));
    breaks(rule, change(|told| told.invalidated[0].0 = Tid::new(31)));
    breaks("who synchronizes knows the last commit", |case| {
        case.history.synchronized[0].last_tid = CHANGED;
    });
}

#[test]
fn undo_that_brings_back_something_else() {
    let rule = "undo brings back what was before";
    breaks(rule, |case| {
        case.history.reads.clear();
        case.stored(A, UNDONE).data = Some(Bytes::from_static(b"six"));
    });
    breaks(rule, |case| case.history.attempts[3].undone[0].0 = MADE);
    breaks(rule, |case| {
        case.history.reads.clear();
        case.stored(A, UNDONE).data_tid = Some(CHANGED);
    });
}

#[test]
fn what_programs_keep() {
    breaks("no money is lost or made", |case| {
        case.write(*ACCOUNTS.start(), (BALANCE + 1).to_be_bytes().to_vec());
    });
    breaks("logs are only appended to", |case| case.write(*LOGS.start(), vec![0; 16]));
    let (counted, other) = (*COUNTERS.start(), Oid::new(*COUNTERS.end()));
    breaks("counters count what they see", |case| case.write(counted, counter(2, other, 0)));
    breaks("counters count what they see", |case| case.write(counted, counter(1, other, 1)));
    breaks("what is checked prevents write skew", |case| {
        case.write(GUARDED[0].0, (-101_i64).to_be_bytes().to_vec());
    });
}

#[test]
fn revisions_are_found_by_tid() {
    let case = Case::good();
    let tid = |found: Option<(Tid, &Stored)>| found.map(|(tid, _)| tid);
    assert_eq!(tid(case.truth.before(A, CHANGED)), Some(MADE));
    assert_eq!(tid(case.truth.as_of(A, CHANGED)), Some(CHANGED));
    assert_eq!(case.truth.after(A, CHANGED), Some(UNDONE));
    assert_eq!(case.truth.after(A, UNDONE), None);
    assert_eq!(case.truth.revisions(Oid::new(999)).count(), 0);
}
