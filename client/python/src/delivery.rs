//! Telling ZODB of commits.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use client::Notice;
use model::{Oid, Tid, Ttid};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::arguments::id_to_python;

/// What was committed, told to all databases that registered, in order.
///
/// A thread of its own takes the session's notices, one by one: it calls `invalidate` of each
/// database, and only then moves the tid that `lastTransaction` gives. So whoever sees a last tid
/// has been told of all that was committed up to it, which is what `poll_invalidations` of ZODB's
/// MVCC adapter relies on.
///
/// A commit of this storage is told by the thread that commits, which calls the function that was
/// given to `tpc_finish`, when its *turn* has come: everything earlier was told, and nothing later
/// is before the function has returned. While it runs, the last tid is the one before.
///
/// Locks: `state` is never held while Python is called, nor while the interpreter's lock is waited
/// for. The adapter's locks are taken by what is called, with none of ours.
pub(crate) struct Delivery {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last_tid: Tid,
    /// How often anything may have changed, the last tid backwards as well.
    connections: u64,
    databases: Vec<Py<PyAny>>,
    /// Transactions whose thread waits for its turn.
    finishing: BTreeSet<Ttid>,
    /// Whose turn it is.
    turn: Option<Turn>,
    /// Databases are being told of something.
    is_telling: bool,
    /// Who calls them: it must not wait for itself.
    teller: Option<ThreadId>,
    is_over: bool,
}

struct Turn {
    ttid: Ttid,
    oids: Vec<Oid>,
    /// The thread that commits has begun to tell.
    is_taken: bool,
    is_done: bool,
}

impl Delivery {
    pub(crate) fn new(last_tid: Tid) -> Arc<Self> {
        let state = State { last_tid, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Tells of all notices until there will be no more.
    pub(crate) fn start(
        self: &Arc<Self>,
        notices: Receiver<Notice>,
    ) -> std::io::Result<JoinHandle<()>> {
        let delivery = self.clone();
        let thread = std::thread::Builder::new().name("neolith-delivery".to_owned());
        thread.spawn(move || {
            let over = Over(&delivery);
            for notice in notices {
                over.0.deliver(notice);
            }
        })
    }

    /// The last transaction that all databases were told of.
    pub(crate) fn last_tid(&self) -> Tid {
        self.state().last_tid
    }

    /// Waits until databases were told of everything up to a tid. Not while the interpreter's lock
    /// is held.
    pub(crate) fn wait_for(&self, tid: Tid) {
        let mut state = self.state();
        let this = std::thread::current().id();
        let connections = state.connections;
        while state.last_tid < tid
            // A database that was truncated may not come to it for long.
            && state.connections == connections
            && !state.is_over
            && state.teller != Some(this)
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has a database told from now on. Not while the interpreter's lock is held.
    pub(crate) fn register(&self, database: Py<PyAny>) {
        let mut state = self.state();
        let this = std::thread::current().id();
        // It would see the last tid move without having been told why.
        while state.is_telling && !state.is_over && state.teller != Some(this) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.databases.push(database);
    }

    /// Forgets all databases.
    pub(crate) fn clear(&self) -> Vec<Py<PyAny>> {
        std::mem::take(&mut self.state().databases)
    }

    /// A transaction is about to be finished by a thread that will wait for its turn, or drop this.
    pub(crate) fn expect(&self, ttid: Ttid) -> Finishing<'_> {
        self.state().finishing.insert(ttid);
        Finishing { delivery: self, ttid, turn: None }
    }

    fn deliver(&self, notice: Notice) {
        let (tid, is_certain) = match &notice {
            Notice::Invalidated { tid, ttid, .. } => {
                let own = ttid.is_some_and(|ttid| self.state().finishing.contains(&ttid));
                (*tid, own)
            }
            Notice::Connected { last_tid } => (*last_tid, false),
            Notice::Disconnected => return,
        };
        self.state().is_telling = true;
        match notice {
            Notice::Invalidated { oids, ttid, .. } => {
                let left = match ttid.filter(|_| is_certain) {
                    Some(ttid) => self.give_turn(ttid, oids),
                    None => Some(oids),
                };
                if let Some(oids) = left {
                    self.tell_all(|database, py| invalidate(database, py, tid, &oids));
                }
                let mut state = self.state();
                state.last_tid = state.last_tid.max(tid);
            }
            // What was committed meanwhile is not known, unless that is nothing.
            Notice::Connected { last_tid } if last_tid != self.last_tid() => {
                self.tell_all(|database, py| {
                    database.bind(py).call_method0("invalidateCache").map(drop)
                });
                let mut state = self.state();
                state.last_tid = last_tid;
                state.connections += 1;
            }
            Notice::Connected { .. } | Notice::Disconnected => {}
        }
        self.state().is_telling = false;
        self.changed.notify_all();
    }

    /// Has the thread that commits tell of its commit. What it changed, if the thread does not.
    fn give_turn(&self, ttid: Ttid, oids: Vec<Oid>) -> Option<Vec<Oid>> {
        let mut state = self.state();
        state.turn = Some(Turn { ttid, oids, is_taken: false, is_done: false });
        self.changed.notify_all();
        loop {
            let is_expected = state.finishing.contains(&ttid);
            let turn = state.turn.take_if(|turn| turn.is_done || !(turn.is_taken || is_expected));
            if let Some(turn) = turn {
                return (!turn.is_done).then_some(turn.oids);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn tell_all(&self, tell: impl Fn(&Py<PyAny>, Python<'_>) -> PyResult<()>) {
        if self.state().databases.is_empty() {
            return;
        }
        self.state().teller = Some(std::thread::current().id());
        // An interpreter that ends has nobody who could see anything.
        let _ = Python::try_attach(|py| self.tell_attached(py, &tell));
        self.state().teller = None;
    }

    fn tell_attached(
        &self,
        py: Python<'_>,
        tell: &impl Fn(&Py<PyAny>, Python<'_>) -> PyResult<()>,
    ) {
        let databases: Vec<_> =
            self.state().databases.iter().map(|database| database.clone_ref(py)).collect();
        for database in databases {
            if let Err(error) = tell(&database, py) {
                error.write_unraisable(py, Some(database.bind(py)));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever waits when there will be no more notices.
struct Over<'a>(&'a Arc<Delivery>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

/// A transaction that is being finished.
pub(crate) struct Finishing<'a> {
    delivery: &'a Delivery,
    ttid: Ttid,
    /// Its tid and what it changed, while it is its turn.
    turn: Option<(Tid, Vec<Oid>)>,
}

impl Finishing<'_> {
    /// Waits for the turn of a transaction that is committed. Not while the interpreter's lock is
    /// held.
    ///
    /// There is none if the primary master was lost meanwhile: databases were told that anything
    /// may have changed, when it was found again.
    pub(crate) fn wait_for_turn(&mut self, tid: Tid) {
        let mut state = self.delivery.state();
        loop {
            if let Some(turn) = state.turn.as_mut().filter(|turn| turn.ttid == self.ttid) {
                turn.is_taken = true;
                self.turn = Some((tid, std::mem::take(&mut turn.oids)));
                state.teller = Some(std::thread::current().id());
                return;
            }
            if state.last_tid >= tid || state.is_over {
                return;
            }
            state = self.delivery.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells databases of the commit. The function is of one of them, which needs nothing else.
    pub(crate) fn tell(
        &self,
        py: Python<'_>,
        tid: Tid,
        function: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let result = match function {
            Some(function) => function.call1((id_to_python(py, tid.to_be_bytes()),)).map(drop),
            None => Ok(()),
        };
        let databases = self.delivery.state().databases.len();
        if let (Some((_, oids)), true) = (&self.turn, databases > usize::from(function.is_some())) {
            let tell = |database: &_, py: Python<'_>| invalidate(database, py, tid, oids);
            self.delivery.tell_attached(py, &tell);
        }
        result
    }
}

impl Drop for Finishing<'_> {
    fn drop(&mut self) {
        let mut state = self.delivery.state();
        state.finishing.remove(&self.ttid);
        if let Some(turn) = state.turn.as_mut().filter(|turn| turn.ttid == self.ttid)
            && turn.is_taken
        {
            turn.is_done = true;
            state.teller = None;
            // So that who committed need not wait for another thread to say so.
            let tid = self.turn.as_ref().map(|(tid, _)| *tid);
            state.last_tid = state.last_tid.max(tid.unwrap_or_default());
        }
        self.delivery.changed.notify_all();
    }
}

fn invalidate(database: &Py<PyAny>, py: Python<'_>, tid: Tid, oids: &[Oid]) -> PyResult<()> {
    let oids = oids.iter().map(|oid| id_to_python(py, oid.to_be_bytes()));
    let oids: Bound<'_, PyList> = PyList::new(py, oids.collect::<Vec<Bound<'_, PyBytes>>>())?;
    let tid = id_to_python(py, tid.to_be_bytes());
    database.bind(py).call_method1("invalidate", (tid, oids)).map(drop)
}
