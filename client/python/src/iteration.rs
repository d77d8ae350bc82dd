//! Transactions, their records, and what users are told of them.

use std::sync::{Arc, Mutex, PoisonError};

use client::{Object, TransactionInformation};
use model::Tid;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::arguments::{self, id_to_python, optional_tid};
use crate::backend::Fallible;
use crate::failure;
use crate::process::wait;
use crate::storage::Storage;

/// Transactions in order: tuples `(tid, packed, user, description, extension, records)`.
#[pyclass(frozen, module = "neolith._neolith")]
pub(crate) struct Transactions {
    storage: Py<Storage>,
    found: Mutex<Fallible<TransactionInformation>>,
}

/// Records of a transaction in order: tuples `(oid, tid, data, data_tid)`.
#[pyclass(frozen, module = "neolith._neolith")]
pub(crate) struct Records {
    storage: Py<Storage>,
    information: Arc<TransactionInformation>,
    found: Mutex<Fallible<Object>>,
}

#[pymethods]
impl Storage {
    #[pyo3(name = "_transactions")]
    fn transactions(
        slf: &Bound<'_, Self>,
        start: Option<&Bound<'_, PyAny>>,
        stop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Transactions> {
        let inner = slf.get().inner(slf.py())?;
        let (start, stop) = (optional_tid(start)?.unwrap_or(Tid::ZERO), optional_tid(stop)?);
        // What is there now is what the iterator gives.
        let last = inner.delivery.last_tid();
        let stop = stop.map_or(last, |stop| stop.min(last));
        let found = Mutex::new(inner.backend.transactions(start, Some(stop)));
        Ok(Transactions { storage: slf.clone().unbind(), found })
    }

    /// Transactions, newest first: tuples `(tid, packed, user, description, extension)`.
    #[pyo3(name = "_undo_log")]
    fn undo_log<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        last: u64,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let found = self.inner(py)?.call(py, |inner| inner.backend.undo_log(first, last))?;
        found.iter().map(|information| description(py, information)).collect()
    }

    /// Revisions, newest first: tuples of a length and what `_undo_log` gives.
    #[pyo3(name = "_history")]
    fn history<'py>(
        &self,
        py: Python<'py>,
        oid: &Bound<'py, PyAny>,
        count: u64,
    ) -> PyResult<Vec<(u64, Bound<'py, PyTuple>)>> {
        let oid = arguments::oid(oid)?;
        let found = self.inner(py)?.call(py, |inner| {
            let revisions = inner.backend.history(oid, count)?;
            let described = revisions.into_iter().map(|(tid, length)| {
                inner.backend.transaction(tid).map(|information| (length, information))
            });
            described.collect::<Result<Vec<_>, _>>()
        })?;
        let found = found.iter();
        found.map(|(length, information)| Ok((*length, description(py, information)?))).collect()
    }
}

#[pymethods]
impl Transactions {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyTuple>, Records)>> {
        self.storage.get().inner(py)?;
        let found = wait(py, || self.found.lock().unwrap_or_else(PoisonError::into_inner).next())?;
        let Some(information) = found else { return Ok(None) };
        let information = information.map_err(|error| failure::of_client(py, error))?;
        let described = description(py, &information)?;
        let records = Records::begin(py, &self.storage, Arc::new(information))?;
        Ok(Some((described, records)))
    }
}

type Record<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    Option<Bound<'py, PyBytes>>,
);

impl Records {
    fn begin(
        py: Python<'_>,
        storage: &Py<Storage>,
        information: Arc<TransactionInformation>,
    ) -> PyResult<Self> {
        let found = Mutex::new(storage.get().inner(py)?.backend.objects_of(&information));
        Ok(Self { storage: storage.clone_ref(py), information, found })
    }
}

#[pymethods]
impl Records {
    /// The same from the beginning.
    fn again(&self, py: Python<'_>) -> PyResult<Self> {
        Self::begin(py, &self.storage, self.information.clone())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Record<'py>>> {
        self.storage.get().inner(py)?;
        let found = wait(py, || {
            let next = self.found.lock().unwrap_or_else(PoisonError::into_inner).next()?;
            Some(next.and_then(|object| {
                let data = object.data.as_ref().map(|data| data.bytes()).transpose()?;
                Ok((object, data))
            }))
        })?;
        let Some(found) = found else { return Ok(None) };
        let (object, data) = found.map_err(|error| failure::of_client(py, error))?;
        let tid = |tid: Tid| id_to_python(py, tid.to_be_bytes());
        Ok(Some((
            id_to_python(py, object.oid.to_be_bytes()),
            tid(object.serial),
            data.map(|data| PyBytes::new(py, &data)),
            object.data_serial.map(tid),
        )))
    }
}

fn description<'py>(
    py: Python<'py>,
    information: &TransactionInformation,
) -> PyResult<Bound<'py, PyTuple>> {
    let TransactionInformation { tid, metadata, packed, .. } = information;
    let bytes = |bytes| PyBytes::new(py, bytes);
    let tuple = (
        id_to_python(py, tid.to_be_bytes()),
        *packed,
        bytes(&metadata.user),
        bytes(&metadata.description),
        bytes(&metadata.extension),
    );
    tuple.into_pyobject(py)
}
