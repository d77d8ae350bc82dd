//! Loads.

use client::{Error, Object, Revision};
use model::{Oid, Tid};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::arguments::{self, id_to_python};
use crate::failure;
use crate::process::wait;
use crate::storage::{Inner, Storage};
use crate::transaction::KnownRevision;

#[pymethods]
impl Storage {
    /// The newest revision of an object below a tid: `(data, serial, end)`.
    ///
    /// Bytes; `end` is the tid of the next revision, `None` if there is none yet. `None` instead of
    /// the tuple if all revisions are at `tid` or later. Nothing is seen of which registered
    /// databases were not told. Raises `POSKeyError` if there is no such object, or if it is
    /// deleted there; `neolith.Unavailable`, `neolith.Damaged`.
    #[pyo3(name = "loadBefore")]
    fn load_before<'py>(
        &self,
        py: Python<'py>,
        oid: &Bound<'py, PyAny>,
        tid: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let inner = self.inner(py)?;
        let (oid, tid) = (arguments::oid(oid)?, arguments::tid(tid)?);
        let before = inner.bound(py, tid)?;
        let object = match inner.load(py, oid, Revision::Before(before)) {
            Ok(Ok(object)) => object,
            Ok(Err(Error::NoSuchRevision { .. })) => return Ok(None),
            Ok(Err(error)) => return Err(failure::of_client(py, error)),
            Err(error) => return Err(error),
        };
        let next = object.next_serial.filter(|next| *next < before || tid == before);
        let next = next.filter(|next| *next <= inner.delivery.last_tid());
        let next = next.map(|next| id_to_python(py, next.to_be_bytes()));
        let serial = id_to_python(py, object.serial.to_be_bytes());
        let tuple = (data_of(py, &object)?, serial, next);
        tuple.into_pyobject(py).map(Some)
    }

    /// The current revision of an object: `(data, serial)`. Raises what `loadBefore` does.
    #[pyo3(signature = (oid, version=""))]
    fn load<'py>(
        &self,
        py: Python<'py>,
        oid: &Bound<'py, PyAny>,
        version: &str,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let _ = version;
        let object = self.inner(py)?.newest(py, arguments::oid(oid)?)?;
        Ok((data_of(py, &object)?, id_to_python(py, object.serial.to_be_bytes())))
    }

    /// The tid of the current revision of an object. Raises what `loadBefore` does.
    #[pyo3(name = "getTid")]
    fn get_tid<'py>(
        &self,
        py: Python<'py>,
        oid: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let object = self.inner(py)?.newest(py, arguments::oid(oid)?)?;
        if object.data.is_none() {
            return Err(failure::no_object(py, object.oid));
        }
        Ok(id_to_python(py, object.serial.to_be_bytes()))
    }

    /// The data of exactly one revision. Raises `POSKeyError` if there is none, and what
    /// `loadBefore` does.
    #[pyo3(name = "loadSerial")]
    fn load_serial<'py>(
        &self,
        py: Python<'py>,
        oid: &Bound<'py, PyAny>,
        serial: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let inner = self.inner(py)?;
        let (oid, serial) = (arguments::oid(oid)?, arguments::tid(serial)?);
        if let Some(data) = KnownRevision::find(oid, serial) {
            return Ok(PyBytes::new(py, &data));
        }
        let loaded = inner.load(py, oid, Revision::At(serial))?;
        data_of(py, &loaded.map_err(|error| failure::of_client(py, error))?)
    }

    /// Has the newest revisions below `tid` of many objects loaded into the cache, all at once.
    ///
    /// `oids` is iterated over once. Nothing is waited for: a load that comes before the answer
    /// waits for that. Objects that are not there are no error. Without a cache, nothing is done.
    fn prefetch(
        &self,
        py: Python<'_>,
        oids: &Bound<'_, PyAny>,
        tid: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let inner = self.inner(py)?;
        let before = inner.bound(py, arguments::tid(tid)?)?;
        let oids: Vec<Oid> =
            oids.try_iter()?.map(|value| arguments::oid(&value?)).collect::<PyResult<_>>()?;
        wait(py, || inner.backend.prefetch(&oids, before))
    }
}

impl Inner {
    /// The newest revision that databases were told of.
    pub(crate) fn newest(&self, py: Python<'_>, oid: Oid) -> PyResult<Object> {
        let before = self.bound(py, Tid::MAX)?;
        let loaded = self.load(py, oid, Revision::Before(before))?;
        loaded.map_err(|error| failure::of_client(py, error))
    }

    /// Below which tid to look, so that nothing is seen of which databases were not told. What the
    /// session knows already is waited for: it was committed before the call.
    fn bound(&self, py: Python<'_>, tid: Tid) -> PyResult<Tid> {
        let bound = following(self.delivery.last_tid());
        if tid <= bound {
            return Ok(tid);
        }
        let known = self.backend.last_tid();
        if known >= bound {
            wait(py, || self.delivery.wait_for(known.min(tid)))?;
        }
        Ok(tid.min(following(self.delivery.last_tid())))
    }

    /// Loads: from the cache at once, else while other threads run.
    fn load(
        &self,
        py: Python<'_>,
        oid: Oid,
        revision: Revision,
    ) -> PyResult<Result<Object, Error>> {
        match self.backend.load_cached(oid, revision) {
            Some(object) => Ok(Ok(object)),
            None => wait(py, || self.backend.load(oid, revision)),
        }
    }
}

/// The data of a revision.
fn data_of<'py>(py: Python<'py>, object: &Object) -> PyResult<Bound<'py, PyBytes>> {
    let payload = object.data.as_ref().ok_or_else(|| failure::no_object(py, object.oid))?;
    let bytes = payload.with_bytes(|bytes| PyBytes::new(py, bytes));
    bytes.map_err(|error| failure::of_client(py, error))
}

fn following(tid: Tid) -> Tid {
    Tid::new(tid.get().saturating_add(1))
}
