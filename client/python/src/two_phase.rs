//! Transactions in two phases.

use std::borrow::Cow;

use bytes::Bytes;
use client::{Error, Metadata, Revision, Trouble};
use model::{Oid, Tid};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::arguments::{self, id_to_python, optional_tid};
use crate::backend::BackendTransaction;
use crate::failure;
use crate::process::wait;
use crate::storage::Storage;

type Transaction<'py> = Bound<'py, PyAny>;

#[pymethods]
impl Storage {
    /// Begins a transaction; one that is in progress already raises `StorageTransactionError`.
    ///
    /// With a tid it is committed with that one, which has to be later than the last; nobody else
    /// may be committing then. The status is not kept.
    #[pyo3(signature = (transaction, tid=None, status=None))]
    fn tpc_begin(
        slf: &Bound<'_, Self>,
        transaction: &Transaction<'_>,
        tid: Option<&Bound<'_, PyAny>>,
        status: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = status;
        let py = slf.py();
        let inner = slf.get().inner(py)?;
        inner.check_writable(py)?;
        if inner.transactions.contains(transaction) {
            return Err(failure::misused(py, "tpc_begin was called for this transaction already"));
        }
        let tid = optional_tid(tid)?;
        let native = inner.call(py, |inner| inner.backend.begin(tid))?;
        inner.transactions.insert(slf.clone().into_any().unbind(), transaction, native);
        Ok(())
    }

    /// Stores an object, based on a revision: `None` or 8 zeros for a new one. Returns nothing, at
    /// once; waits if much is on its way. Conflicts come here or later, see `tpc_vote`.
    fn store(
        &self,
        oid: &Bound<'_, PyAny>,
        serial: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        version: &str,
        transaction: &Transaction<'_>,
    ) -> PyResult<()> {
        let _ = version;
        self.write(transaction, |native, py| {
            let inner = self.inner(py)?;
            let (oid, serial) = (arguments::oid(oid)?, arguments::serial(serial)?);
            let data = data.extract::<&[u8]>()?;
            wait(py, || native.store(oid, serial, inner.backend.payload(data)))
        })
    }

    /// Stores what was committed elsewhere, in a transaction with its tid, whatever it was based
    /// on. `None` as data deletes the object. The serial and the version are not heeded, nor is
    /// `prev_txn`: storages share equal data by themselves.
    fn restore(
        &self,
        oid: &Bound<'_, PyAny>,
        serial: &Bound<'_, PyAny>,
        data: Option<&Bound<'_, PyAny>>,
        version: &str,
        prev_txn: Option<&Bound<'_, PyAny>>,
        transaction: &Transaction<'_>,
    ) -> PyResult<()> {
        let _ = (serial, version, prev_txn);
        self.write(transaction, |native, py| {
            let inner = self.inner(py)?;
            let oid = arguments::oid(oid)?;
            let data = data.map(|data| data.extract::<&[u8]>()).transpose()?;
            inner.forget_oids(oid);
            wait(py, || {
                let loaded = inner.backend.load(oid, Revision::Newest);
                let base = match loaded {
                    Ok(object) => object.serial,
                    Err(error) if error.trouble() == Trouble::Missing => Tid::ZERO,
                    Err(error) => return Err(error),
                };
                match data {
                    Some(data) => native.store(oid, base, inner.backend.payload(data)),
                    None => native.delete(oid, base),
                }
            })
        })
    }

    /// Deletes an object whose newest revision is `serial`. Loads of earlier ones go on. Conflicts
    /// come here or later, see `tpc_vote`.
    #[pyo3(name = "deleteObject")]
    fn delete_object(
        &self,
        oid: &Bound<'_, PyAny>,
        serial: &Bound<'_, PyAny>,
        transaction: &Transaction<'_>,
    ) -> PyResult<()> {
        self.write(transaction, |native, py| {
            let (oid, serial) = (arguments::oid(oid)?, arguments::tid(serial)?);
            wait(py, || native.delete(oid, serial))
        })
    }

    /// Checks that a revision is the newest one, and has it stay so until the transaction ends.
    /// Raises `ReadConflictError`, here or later, see `tpc_vote`.
    #[pyo3(name = "checkCurrentSerialInTransaction")]
    fn check_current(
        &self,
        oid: &Bound<'_, PyAny>,
        serial: &Bound<'_, PyAny>,
        transaction: &Transaction<'_>,
    ) -> PyResult<()> {
        self.write(transaction, |native, py| {
            let (oid, serial) = (arguments::oid(oid)?, arguments::serial(serial)?);
            wait(py, || native.check_current(oid, serial))
        })
    }

    /// Undoes an earlier transaction, whose id is its tid. Returns `(None, oids)`, the objects that
    /// become what they were. Raises `UndoError` if that cannot be, with the oid that is in the
    /// way.
    fn undo<'py>(
        &self,
        py: Python<'py>,
        transaction_id: &Bound<'py, PyAny>,
        transaction: &Transaction<'py>,
    ) -> PyResult<(Option<Id<'py>>, Vec<Id<'py>>)> {
        let oids = self.write(transaction, |native, py| {
            let undone = arguments::tid(transaction_id)?;
            wait(py, || native.undo(undone))
        })?;
        Ok((None, ids(py, oids)))
    }

    /// Makes everything durable, and finds out whether it can be committed. Returns the oids of
    /// which conflicts were resolved.
    ///
    /// Raises `ConflictError` and `ReadConflictError` with `oid` and `serials` (the committed one,
    /// the one that was read), `neolith.Unavailable`, `TransactionTooLargeError`. The transaction
    /// can only be aborted then.
    fn tpc_vote<'py>(
        &self,
        py: Python<'py>,
        transaction: &Transaction<'py>,
    ) -> PyResult<Vec<Id<'py>>> {
        let resolved = self.write(transaction, |native, py| {
            let metadata = metadata(transaction)?;
            wait(py, || native.vote(metadata))
        })?;
        Ok(ids(py, resolved))
    }

    /// Commits what was voted, and returns its tid.
    ///
    /// `func(tid)` is called first, with everything earlier told to registered databases, and the
    /// transaction not yet shown by `lastTransaction`; what it raises is raised after all, and
    /// changes nothing. Raises `neolith.Unavailable` if the transaction is not committed, and
    /// `neolith.OutcomeUnknown` if nobody can be asked.
    #[pyo3(signature = (transaction, func=None))]
    fn tpc_finish<'py>(
        &self,
        py: Python<'py>,
        transaction: &Transaction<'py>,
        func: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Id<'py>> {
        let inner = self.inner(py)?;
        let current = inner.transactions.get(transaction)?;
        let native = current.lock(py)?.take();
        // Whatever comes of it, it has ended.
        inner.transactions.remove(transaction);
        let Some(native) = native else {
            return Err(failure::misused(py, "the transaction has ended"));
        };
        let mut finishing = inner.delivery.expect(native.ttid());
        let finished = wait(py, || {
            let tid = native.finish()?;
            finishing.wait_for_turn(tid);
            Ok(tid)
        })?;
        let tid = finished.map_err(|error| current.failed(py, error))?;
        let told = finishing.tell(py, tid, func.filter(|function| !function.is_none()));
        drop(finishing);
        told?;
        Ok(id_to_python(py, tid.to_be_bytes()))
    }

    /// Drops a transaction; one that is not in progress is no error.
    fn tpc_abort(&self, py: Python<'_>, transaction: &Transaction<'_>) -> PyResult<()> {
        let Some(current) = self.inner(py)?.transactions.remove(transaction) else {
            return Ok(());
        };
        let native = current.lock(py)?.take();
        wait(py, || drop(native))
    }
}

type Id<'py> = Bound<'py, PyBytes>;

impl Storage {
    /// Does something in a transaction that has begun.
    fn write<T>(
        &self,
        transaction: &Transaction<'_>,
        action: impl FnOnce(&mut BackendTransaction, Python<'_>) -> PyResult<Result<T, Error>>,
    ) -> PyResult<T> {
        let py = transaction.py();
        let inner = self.inner(py)?;
        inner.check_writable(py)?;
        let current = inner.transactions.get(transaction)?;
        let mut native = current.lock(py)?;
        let Some(native) = native.as_mut() else {
            return Err(failure::misused(py, "the transaction has ended"));
        };
        action(native, py)?.map_err(|error| current.failed(py, error))
    }
}

/// What is kept with a transaction.
fn metadata(transaction: &Transaction<'_>) -> PyResult<Metadata> {
    let text = |name| {
        let value = transaction.getattr(name)?;
        let bytes = match value.cast::<PyString>() {
            Ok(text) => Cow::Owned(text.to_string().into_bytes()),
            Err(_) => Cow::Borrowed(value.extract::<&[u8]>()?),
        };
        Ok::<_, PyErr>(Bytes::copy_from_slice(&bytes))
    };
    let extension = match transaction.hasattr("extension_bytes")? {
        true => text("extension_bytes")?,
        false => Bytes::new(),
    };
    Ok(Metadata { user: text("user")?, description: text("description")?, extension })
}

fn ids(py: Python<'_>, oids: Vec<Oid>) -> Vec<Id<'_>> {
    oids.into_iter().map(|oid| id_to_python(py, oid.to_be_bytes())).collect()
}
