//! Resolution of conflicts by the program.

use bytes::Bytes;
use model::{Oid, Tid};

use crate::error::{Error, Trouble};
use crate::request::{Conflict, Object};

/// Two changes of one object, made from the same revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contention {
    /// The object.
    pub oid: Oid,
    /// The revision that both were made from; of an undo, the one that is undone.
    pub old_serial: Tid,
    /// Its data.
    pub old: Bytes,
    /// The revision that was committed.
    pub committed_serial: Tid,
    /// Its data.
    pub committed: Bytes,
    /// What the transaction stores.
    pub new: Bytes,
}

/// Makes one revision of two, or gives up.
pub trait Resolver {
    /// The data that has both changes; `None` if it cannot be made.
    fn resolve(&mut self, contention: &Contention) -> Option<Bytes>;
}

impl<F: FnMut(&Contention) -> Option<Bytes>> Resolver for F {
    fn resolve(&mut self, contention: &Contention) -> Option<Bytes> {
        self(contention)
    }
}

/// Has a conflict resolved, with revisions of the object loaded by their serials; `None` if that
/// cannot be done.
pub(crate) fn resolve(
    load: impl Fn(Tid) -> Result<Object, Error>,
    resolver: Option<&mut Box<dyn Resolver + Send>>,
    conflict: &Conflict,
) -> Result<Option<Bytes>, Error> {
    let Some(resolver) = resolver else { return Ok(None) };
    let oid = conflict.oid;
    let load = |serial| match load(serial) {
        Ok(object) => Ok(object.data),
        Err(error) if error.trouble() == Trouble::Missing => Ok(None),
        Err(error) => Err(error),
    };
    let committed = match &conflict.conflict_data {
        Some(data) => Some(data.clone()),
        None => load(conflict.conflict_serial)?,
    };
    let new = match (&conflict.data, conflict.data_serial) {
        (Some(data), _) => Some(data.clone()),
        (None, Some(serial)) => load(serial)?,
        (None, None) => None,
    };
    let old = load(conflict.serial)?;
    // There is nothing to merge with what is not there.
    let (Some(old), Some(committed), Some(new)) = (old, committed, new) else { return Ok(None) };
    let contention = Contention {
        oid,
        old_serial: conflict.serial,
        old: old.bytes()?,
        committed_serial: conflict.conflict_serial,
        committed: committed.bytes()?,
        new: new.bytes()?,
    };
    Ok(resolver.resolve(&contention))
}
