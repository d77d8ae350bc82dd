//! The current records, one after the other.

use std::collections::VecDeque;
use std::sync::PoisonError;

use client::{Error, Object, Revision, Trouble};
use model::{Oid, Tid};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arguments::{id_to_python, oid};
use crate::backend::{Backend, Fallible};
use crate::storage::Storage;

/// Records that are loaded at once.
const LOADS: usize = 100;

/// Where an iteration over the current records is.
pub(crate) struct RecordWalk {
    oids: Fallible<Oid>,
    /// Up to which transaction records are seen: the last one when it began.
    tid: Tid,
    ahead: VecDeque<Object>,
}

impl RecordWalk {
    fn begin(backend: &Backend, oid_min: Oid, tid: Tid) -> Self {
        Self { oids: backend.oids(oid_min, Some(tid)), tid, ahead: VecDeque::new() }
    }

    /// The next record, and the oid of the one after it.
    fn next(&mut self, backend: &Backend) -> Result<Option<(Object, Option<Oid>)>, Error> {
        while self.ahead.len() < 2 && self.load_ahead(backend)? {}
        let Some(object) = self.ahead.pop_front() else { return Ok(None) };
        Ok(Some((object, self.next_oid())))
    }

    fn next_oid(&self) -> Option<Oid> {
        self.ahead.front().map(|object| object.oid)
    }

    /// Whether there may be more.
    fn load_ahead(&mut self, backend: &Backend) -> Result<bool, Error> {
        let oids: Vec<Oid> = self.oids.by_ref().take(LOADS).collect::<Result<_, _>>()?;
        let before = Revision::Before(Tid::new(self.tid.get().saturating_add(1)));
        for loaded in backend.load_many(&oids, before) {
            match loaded {
                Ok(object) if object.data.is_some() => self.ahead.push_back(object),
                Ok(_) => {}
                Err(error) if error.trouble() == Trouble::Missing => {}
                Err(error) => return Err(error),
            }
        }
        Ok(!oids.is_empty())
    }
}

type Current<'py> =
    (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>);

#[pymethods]
impl Storage {
    /// The next current record; `None` if there is none.
    #[pyo3(name = "_record_iternext", signature = (next=None))]
    fn record_iternext<'py>(
        &self,
        py: Python<'py>,
        next: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Current<'py>>> {
        let inner = self.inner(py)?;
        let is_first = next.is_none();
        let oid_min = next.map(oid).transpose()?.unwrap_or(Oid::new(0));
        let found = inner.call(py, |inner| {
            // Only one iteration is remembered: another one begins anew where it is.
            let walk = inner.record_walk.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut walk =
                walk.filter(|walk| !is_first && walk.next_oid() == Some(oid_min)).unwrap_or_else(
                    || RecordWalk::begin(&inner.backend, oid_min, inner.delivery.last_tid()),
                );
            let Some((object, next)) = walk.next(&inner.backend)? else { return Ok(None) };
            *inner.record_walk.lock().unwrap_or_else(PoisonError::into_inner) = Some(walk);
            let data = object.data.as_ref().map(|data| data.bytes()).transpose()?;
            Ok(Some((object, data.unwrap_or_default(), next)))
        })?;
        let id = |id| id_to_python(py, id);
        Ok(found.map(|(object, data, next)| {
            let data = PyBytes::new(py, &data);
            let next = next.map(|next| id(next.to_be_bytes()));
            (id(object.oid.to_be_bytes()), id(object.serial.to_be_bytes()), data, next)
        }))
    }
}
