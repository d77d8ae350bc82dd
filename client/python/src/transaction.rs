//! The transactions of a storage that are in progress.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use bytes::Bytes;
use client::{Contention, Resolver};
use model::{Oid, Tid};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arguments::id_to_python;
use crate::backend::BackendTransaction;
use crate::failure;

/// A transaction between `tpc_begin` and `tpc_finish` or `tpc_abort`.
pub(crate) struct Current {
    /// ZODB's object, kept so that no other one gets its address.
    _transaction: Py<PyAny>,
    native: Mutex<Option<BackendTransaction>>,
    /// Why a conflict was not resolved, with all the facts that ZODB puts into it.
    unresolved: Arc<Mutex<Option<PyErr>>>,
}

impl Current {
    /// Uses the transaction, which is one thread's at a time.
    pub(crate) fn lock(
        &self,
        py: Python<'_>,
    ) -> PyResult<MutexGuard<'_, Option<BackendTransaction>>> {
        match self.native.try_lock() {
            Ok(native) => Ok(native),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(failure::misused(py, "the transaction is being used by another thread"))
            }
        }
    }

    /// The exception for an error of the transaction.
    pub(crate) fn failed(&self, py: Python<'_>, error: client::Error) -> PyErr {
        let is_conflict = matches!(error, client::Error::Conflict { .. });
        let mut unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
        match unresolved.take().filter(|_| is_conflict) {
            Some(error) => error,
            None => failure::of_client(py, error),
        }
    }
}

/// All of a storage, by the addresses of ZODB's objects.
#[derive(Default)]
pub(crate) struct Transactions(Mutex<BTreeMap<usize, Arc<Current>>>);

impl Transactions {
    /// Adds one that has begun. Its conflicts are resolved by the method `tryToResolveConflict` of
    /// a storage.
    pub(crate) fn insert(
        &self,
        storage: Py<PyAny>,
        transaction: &Bound<'_, PyAny>,
        mut native: BackendTransaction,
    ) {
        let unresolved = Arc::new(Mutex::new(None));
        native.set_resolver(ZodbResolver { storage, unresolved: unresolved.clone() });
        let native = Mutex::new(Some(native));
        let _transaction = transaction.clone().unbind();
        let current = Arc::new(Current { _transaction, native, unresolved });
        self.lock().insert(address(transaction), current);
    }

    pub(crate) fn contains(&self, transaction: &Bound<'_, PyAny>) -> bool {
        self.lock().contains_key(&address(transaction))
    }

    /// One that has begun.
    pub(crate) fn get(&self, transaction: &Bound<'_, PyAny>) -> PyResult<Arc<Current>> {
        self.lock().get(&address(transaction)).cloned().ok_or_else(|| {
            let text = "the transaction has not begun, or has ended: tpc_begin comes first";
            failure::misused(transaction.py(), text)
        })
    }

    pub(crate) fn remove(&self, transaction: &Bound<'_, PyAny>) -> Option<Arc<Current>> {
        self.lock().remove(&address(transaction))
    }

    pub(crate) fn take_all(&self) -> Vec<Arc<Current>> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Current>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(transaction: &Bound<'_, PyAny>) -> usize {
    transaction.as_ptr() as usize
}

/// Has ZODB resolve conflicts.
struct ZodbResolver {
    storage: Py<PyAny>,
    unresolved: Arc<Mutex<Option<PyErr>>>,
}

impl Resolver for ZodbResolver {
    fn resolve(&mut self, contention: &Contention) -> Option<Bytes> {
        let resolved = Python::try_attach(|py| self.try_to_resolve(py, contention))?;
        match resolved {
            Ok(data) => Some(data),
            Err(error) => {
                let mut unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
                *unresolved = Some(error);
                None
            }
        }
    }
}

impl ZodbResolver {
    fn try_to_resolve(&self, py: Python<'_>, contention: &Contention) -> PyResult<Bytes> {
        let id = |id| id_to_python(py, id);
        let data = |data: &Bytes| PyBytes::new(py, data);
        let known = KnownRevision::tell(contention);
        let arguments = (
            id(contention.oid.to_be_bytes()),
            id(contention.committed_serial.to_be_bytes()),
            id(contention.old_serial.to_be_bytes()),
            data(&contention.new),
            data(&contention.committed),
        );
        let resolved = self.storage.bind(py).call_method1("tryToResolveConflict", arguments)?;
        drop(known);
        Ok(Bytes::copy_from_slice(resolved.extract::<&[u8]>()?))
    }
}

thread_local! {
    static KNOWN: Mutex<Option<(Oid, Tid, Bytes)>> = const { Mutex::new(None) };
}

/// The revision that both sides of a conflict are based on: ZODB loads it by `loadSerial`, but the
/// client has it already.
pub(crate) struct KnownRevision;

impl KnownRevision {
    fn tell(contention: &Contention) -> Self {
        let known = (contention.oid, contention.old_serial, contention.old.clone());
        KNOWN.with(|place| *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(known));
        Self
    }

    pub(crate) fn find(oid: Oid, serial: Tid) -> Option<Bytes> {
        KNOWN.with(|place| {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner);
            let known = place.as_ref().filter(|known| (known.0, known.1) == (oid, serial));
            known.map(|known| known.2.clone())
        })
    }
}

impl Drop for KnownRevision {
    fn drop(&mut self) {
        KNOWN.with(|place| *place.lock().unwrap_or_else(PoisonError::into_inner) = None);
    }
}
