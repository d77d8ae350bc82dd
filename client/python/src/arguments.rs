//! Values as Python has them: ids are 8 bytes.

use model::{Oid, Tid};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::failure;

pub(crate) fn oid(value: &Bound<'_, PyAny>) -> PyResult<Oid> {
    eight_bytes(value).map(Oid::from_be_bytes).ok_or_else(|| failure::invalid(value, "an oid"))
}

pub(crate) fn tid(value: &Bound<'_, PyAny>) -> PyResult<Tid> {
    eight_bytes(value).map(Tid::from_be_bytes).ok_or_else(|| failure::invalid(value, "a tid"))
}

/// A tid where none may be given.
pub(crate) fn optional_tid(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Tid>> {
    value.map(tid).transpose()
}

/// The revision that a store is based on: none for a new object.
pub(crate) fn serial(value: &Bound<'_, PyAny>) -> PyResult<Tid> {
    if value.is_none() { Ok(Tid::ZERO) } else { tid(value) }
}

pub(crate) fn id_to_python(py: Python<'_>, id: [u8; 8]) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &id)
}

fn eight_bytes(value: &Bound<'_, PyAny>) -> Option<[u8; 8]> {
    value.cast::<PyBytes>().ok()?.as_bytes().try_into().ok()
}
