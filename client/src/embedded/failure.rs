//! What the engine says, in the words of clients.

use model::Oid;

use super::unfit::Unfit;
use crate::error::Error;

/// Of a read.
pub(super) fn of_read(oid: Option<Oid>, error: &engine::Error) -> Error {
    let text = error.to_string();
    match error.place() {
        Some(_) => Error::Unreadable { oid, text },
        None => Error::Storage { text },
    }
}

/// Of a write, in a database at a path. That a part of a transaction was not written is seen only
/// at its end; the reason for it is a full disk, as after any other one the engine gives up.
pub(super) fn of_write(path: &str, error: engine::Error) -> Error {
    match error {
        engine::Error::Broken { .. } => of_write(path, engine::Error::Full { file: path.into() }),
        engine::Error::Limit { what, given, limit } => Error::Limit { what, given, limit },
        engine::Error::ReadOnly => Error::ReadOnly,
        error => of_read(None, &error),
    }
}

/// Of opening a directory.
pub(super) fn of_opening(path: &str, error: engine::Error) -> Error {
    let reason = match error {
        engine::Error::NoDatabase { .. } => Unfit::NoDatabase,
        engine::Error::NotEmpty { file, .. } => Unfit::NotEmpty { file },
        engine::Error::NewerFormat { file, found, known } => {
            Unfit::NewerFormat { file, found, known }
        }
        error => return of_read(None, &error),
    };
    Error::Unfit { path: path.to_owned(), reason }
}

/// Whether the engine can go on after an error of a write.
pub(super) fn is_passing(error: &engine::Error) -> bool {
    matches!(
        error,
        engine::Error::Full { .. }
            | engine::Error::Broken { .. }
            | engine::Error::Limit { .. }
            | engine::Error::WrongState { .. }
    )
}
