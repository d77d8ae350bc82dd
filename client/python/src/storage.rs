//! The class, and what has to do with neither objects nor transactions.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use client::Error;
use model::Oid;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arguments::{self, id_to_python};
use crate::backend::Backend;
use crate::delivery::Delivery;
use crate::failure;
use crate::open::{Place, open};
use crate::process::{generation, wait};
use crate::records::RecordWalk;
use crate::transaction::Transactions;

/// New oids that are asked for at once.
const NEW_OIDS: u32 = 100;

/// The native base of `neolith.Storage`: what is called often, or waits.
#[pyclass(subclass, frozen, weakref, name = "NativeStorage", module = "neolith._neolith")]
pub(crate) struct Storage {
    /// There until the end.
    inner: Option<Box<Inner>>,
    generation: u64,
}

/// What a storage consists of.
pub(crate) struct Inner {
    pub(crate) backend: Backend,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) transactions: Transactions,
    pub(crate) record_walk: Mutex<Option<RecordWalk>>,
    pub(crate) is_read_only: bool,
    oids: Mutex<VecDeque<Oid>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    is_closed: AtomicBool,
    name: String,
    sort_key: String,
}

impl Inner {
    pub(crate) fn new(
        backend: Backend,
        delivery: Arc<Delivery>,
        thread: JoinHandle<()>,
        place: &Place,
        is_read_only: bool,
    ) -> Self {
        Self {
            backend,
            delivery,
            transactions: Transactions::default(),
            record_walk: Mutex::new(None),
            is_read_only,
            oids: Mutex::new(VecDeque::new()),
            thread: Mutex::new(Some(thread)),
            is_closed: AtomicBool::new(false),
            name: place.name(),
            sort_key: place.sort_key(),
        }
    }

    /// Refuses what writes, if only reading is allowed.
    pub(crate) fn check_writable(&self, py: Python<'_>) -> PyResult<()> {
        match self.is_read_only {
            true => Err(failure::raise(py, "ReadOnlyError", ())),
            false => Ok(()),
        }
    }

    /// Has a call of the client carried out, while other threads run.
    pub(crate) fn call<T: Send>(
        &self,
        py: Python<'_>,
        action: impl FnOnce(&Self) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        wait(py, || action(self))?.map_err(|error| failure::of_client(py, error))
    }

    /// Forgets oids that may be used by what is restored.
    pub(crate) fn forget_oids(&self, restored: Oid) {
        let mut oids = self.oids.lock().unwrap_or_else(PoisonError::into_inner);
        if oids.back().is_some_and(|oid| *oid <= restored)
            || oids.iter().any(|oid| *oid <= restored)
        {
            oids.clear();
        }
    }

    fn close(&self) {
        self.backend.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Storage {
    pub(crate) fn inner(&self, py: Python<'_>) -> PyResult<&Inner> {
        match &self.inner {
            Some(inner) if self.generation == generation() => {
                if inner.is_closed.load(Ordering::Relaxed) {
                    return Err(failure::of_client(py, Error::Closed));
                }
                Ok(inner)
            }
            _ => {
                let text = "the storage was opened before os.fork(): open another one in the child";
                Err(failure::raise(py, "Forked", (text,)))
            }
        }
    }
}

#[pymethods]
impl Storage {
    #[new]
    #[pyo3(signature = (
        masters=None, name=None, *, path=None, cache_size=67_108_864, read_only=false,
        wait_timeout=Some(30.0), busy_poll_us=50
    ))]
    #[expect(clippy::too_many_arguments, reason = "Python gives them by name")]
    fn new(
        py: Python<'_>,
        masters: Option<&Bound<'_, PyAny>>,
        name: Option<&str>,
        path: Option<&Bound<'_, PyAny>>,
        cache_size: u64,
        read_only: bool,
        wait_timeout: Option<f64>,
        busy_poll_us: u32,
    ) -> PyResult<Self> {
        let place = Place::new(masters, name, path)?;
        let inner = open(py, &place, cache_size, read_only, wait_timeout, busy_poll_us)?;
        Ok(Self { inner: Some(Box::new(inner)), generation: generation() })
    }

    /// Ends: transactions are aborted, and calls that wait raise `neolith.Closed`.
    #[pyo3(name = "close")]
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        // What belongs to the parent of a fork is the parent's to close.
        let Some(inner) = self.inner.as_ref().filter(|_| self.generation == generation()) else {
            return Ok(());
        };
        if inner.is_closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let transactions = inner.transactions.take_all();
        let walk = inner.record_walk.lock().unwrap_or_else(PoisonError::into_inner).take();
        let closed = wait(py, || {
            drop(walk);
            inner.close();
        });
        drop((transactions, inner.delivery.clear()));
        closed
    }

    /// Has a database told of commits: `db.invalidate(tid, oids)` is called for each, in order of
    /// tids and before `lastTransaction` shows it, on a thread of the storage; for commits through
    /// this storage, the function given to `tpc_finish` is called instead, if `db` is the only one.
    /// `db.invalidateCache()` is called when the connection to the cluster was lost and is back, as
    /// anything may have changed. Several can be registered.
    #[pyo3(name = "registerDB")]
    fn register_db(&self, py: Python<'_>, db: Py<PyAny>) -> PyResult<()> {
        let inner = self.inner(py)?;
        wait(py, || inner.delivery.register(db))
    }

    /// The tid of the last transaction that all registered databases were told of; 8 zeros before
    /// the first. Does not ask the cluster: see `sync`.
    #[pyo3(name = "lastTransaction")]
    fn last_transaction<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(id_to_python(py, self.inner(py)?.delivery.last_tid().to_be_bytes()))
    }

    /// Waits until all is known that was committed anywhere when it was called, one round trip to
    /// the primary master, and registered databases were told. Does nothing if `force` is false.
    #[pyo3(signature = (force=true))]
    fn sync(&self, py: Python<'_>, force: bool) -> PyResult<()> {
        let inner = self.inner(py)?;
        if !force {
            return Ok(());
        }
        inner.call(py, |inner| {
            inner.backend.synchronize()?;
            inner.delivery.wait_for(inner.backend.last_tid());
            Ok(())
        })
    }

    /// An oid that nobody has. Oids are got from the cluster by the hundred. Raises
    /// `ReadOnlyError`, `neolith.Unavailable`.
    fn new_oid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let inner = self.inner(py)?;
        inner.check_writable(py)?;
        let next = || inner.oids.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let oid = match next() {
            Some(oid) => oid,
            None => {
                let mut oids: VecDeque<_> =
                    inner.call(py, |inner| inner.backend.new_oids(NEW_OIDS))?.into();
                let first = oids.pop_front().ok_or_else(|| failure::misused(py, "no oids"))?;
                inner.oids.lock().unwrap_or_else(PoisonError::into_inner).append(&mut oids);
                first
            }
        };
        Ok(id_to_python(py, oid.to_be_bytes()))
    }

    #[pyo3(name = "_pack")]
    fn pack(&self, py: Python<'_>, tid: &Bound<'_, PyAny>) -> PyResult<()> {
        let inner = self.inner(py)?;
        inner.check_writable(py)?;
        let tid = arguments::tid(tid)?;
        inner.call(py, |inner| inner.backend.pack(tid))
    }

    /// Whether it was opened to be read only.
    #[pyo3(name = "isReadOnly")]
    fn is_read_only(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.inner(py)?.is_read_only)
    }

    /// The name of the cluster.
    #[pyo3(name = "getName")]
    fn get_name(&self) -> &str {
        self.inner.as_ref().map_or("", |inner| &inner.name)
    }

    /// The same for all storages of a cluster, and another for others: by it, transactions of
    /// several databases take their turns.
    #[pyo3(name = "sortKey")]
    fn sort_key(&self) -> &str {
        self.inner.as_ref().map_or("", |inner| &inner.sort_key)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // The threads that it would wait for are the parent's.
        if self.generation != generation() {
            std::mem::forget(self.inner.take());
        }
        // It waits until others were told of the end.
        if let Some(inner) = self.inner.take() {
            let _ = Python::try_attach(|py| py.detach(|| drop(inner)));
        }
    }
}
