//! Errors as ZODB's exceptions, with the facts in them.

use client::{Error, UndoFailure};
use model::{Oid, Tid};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::arguments::id_to_python;
use crate::process;

/// The exception of a name that `neolith.exceptions` has.
pub(crate) fn raise<'py>(py: Python<'py>, name: &str, arguments: impl PyCallArgs<'py>) -> PyErr {
    let made = class(py, name).and_then(|class| class.call1(arguments));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// Something else than 8 bytes where an id is expected.
pub(crate) fn invalid(value: &Bound<'_, PyAny>, what: &str) -> PyErr {
    let shown = value.repr().map_or_else(|_| "it".to_owned(), |text| text.to_string());
    raise(value.py(), "InvalidId", (format!("{shown} is not {what}: 8 bytes are"),))
}

/// A method that the state of the transaction does not allow.
pub(crate) fn misused(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "StorageTransactionError", (text,))
}

pub(crate) fn no_object(py: Python<'_>, oid: Oid) -> PyErr {
    raise(py, "POSKeyError", (id_to_python(py, oid.to_be_bytes()),))
}

/// What the client says, as an exception.
pub(crate) fn of_client(py: Python<'_>, error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::NoSuchObject { oid } | Error::NoSuchRevision { oid, .. } => no_object(py, oid),
        Error::Conflict { oid, serial, conflict_serial } => {
            conflict(py, "ConflictError", oid, conflict_serial, serial)
        }
        Error::ReadConflict { oid, serial, conflict_serial } => {
            conflict(py, "ReadConflictError", oid, conflict_serial, serial)
        }
        Error::Undo { oid, reason, .. } => undo(py, oid, reason),
        Error::NoSuchTransaction { .. } => raise(py, "UndoError", (text,)),
        Error::ReadOnly => raise(py, "ReadOnlyError", (text,)),
        Error::TooLarge { .. } | Error::Limit { .. } => {
            raise(py, "TransactionTooLargeError", (text,))
        }
        Error::NotBegun { .. } | Error::OutOfTurn { .. } | Error::AlreadyChecked { .. } => {
            misused(py, &text)
        }
        Error::Closed => {
            process::hold_at_end(py);
            raise(py, "Closed", ("the storage is closed",))
        }
        Error::Refused { .. }
        | Error::Peer { .. }
        | Error::Unfit { .. }
        | Error::CannotBegin { .. } => raise(py, "Refused", (text,)),
        Error::System { .. } | Error::Storage { .. } => raise(py, "StorageSystemError", (text,)),
        Error::OutcomeUnknown { .. } | Error::Undecided { .. } => {
            raise(py, "OutcomeUnknown", (text,))
        }
        Error::WrongChecksum { .. } | Error::Damaged { .. } | Error::Unreadable { .. } => {
            raise(py, "Damaged", (text,))
        }
        Error::Unsupported { .. } => raise(py, "Unsupported", (text,)),
        Error::NoStorage { .. }
        | Error::NoMaster { .. }
        | Error::MasterLost { .. }
        | Error::Incomplete { .. }
        | Error::NotCommitted { .. }
        | Error::NotLocked { .. } => raise(py, "Unavailable", (text,)),
    }
}

fn conflict(py: Python<'_>, name: &str, oid: Oid, committed: Tid, old: Tid) -> PyErr {
    let facts = PyDict::new(py);
    let tid = |tid: Tid| id_to_python(py, tid.to_be_bytes());
    let made = facts
        .set_item("oid", id_to_python(py, oid.to_be_bytes()))
        .and_then(|()| facts.set_item("serials", (tid(committed), tid(old))))
        .and_then(|()| class(py, name)?.call((), Some(&facts)));
    made.map_or_else(|error| error, PyErr::from_value)
}

fn undo(py: Python<'_>, oid: Option<Oid>, reason: UndoFailure) -> PyErr {
    let oid = oid.map(|oid| id_to_python(py, oid.to_be_bytes()));
    raise(py, "UndoError", (reason.to_string(), oid))
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let import = || py.import("neolith.exceptions").map(Bound::unbind);
    MODULE.get_or_try_init(py, import)?.bind(py).getattr(name)
}
