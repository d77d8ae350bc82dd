//! Undoing an earlier transaction: what its objects were before is stored again.

use engine::UndoLookup;
use model::{Oid, Tid};

use super::transaction::{EmbeddedTransaction, Kind};
use crate::error::{Error, Trouble, UndoFailure};
use crate::load::following;
use crate::payload::Payload;
use crate::request::Conflict;

impl EmbeddedTransaction {
    /// Undoes an earlier transaction. Returns the objects that were undone.
    ///
    /// # Errors
    /// [`Error::Undo`], and those of [`EmbeddedTransaction::store`].
    pub fn undo(&mut self, tid: Tid) -> Result<Vec<Oid>, Error> {
        self.check_phase()?;
        self.try_undo(tid).inspect_err(|_| self.end())
    }

    fn try_undo(&mut self, undone: Tid) -> Result<Vec<Oid>, Error> {
        let information = self.embedded.transaction(undone).map_err(|error| match error {
            Error::NoSuchTransaction { .. } => {
                let reason = UndoFailure::NoSuchTransaction;
                Error::Undo { tid: undone, oid: None, reason }
            }
            error => error,
        })?;
        let mut oids = Vec::new();
        for oid in information.oids {
            if self.undo_object(undone, oid)? {
                oids.push(oid);
            }
        }
        Ok(oids)
    }

    /// Whether there was anything to be undone.
    fn undo_object(&mut self, undone: Tid, oid: Oid) -> Result<bool, Error> {
        let failure = |oid, reason| Error::Undo { tid: undone, oid, reason };
        let (snapshot, last_tid) = self.embedded.view()?;
        let as_tid = Tid::new(self.ttid.get());
        let write = self.writes.get(&oid);
        if write.is_some_and(|write| write.kind == Kind::Check) {
            return Err(Error::AlreadyChecked { oid });
        }
        // What the same transaction has stored is what it sees.
        let own = write.map(|write| write.data_serial.unwrap_or(as_tid));
        let base = write.map(|write| write.serial);
        let partition = self.embedded.partition_of(oid);
        let limit = Some(following(last_tid));
        let lookup = UndoLookup::new(snapshot, partition, oid, limit, undone, own);
        let Some(found) = self.embedded.look_up(Some(oid), lookup)? else { return Ok(false) };
        let current = found.current_tid.ok_or(failure(None, UndoFailure::Packed))?;
        let base = base.unwrap_or(current);
        match (found.undo_tid, found.is_current) {
            (Some(serial), true) => {
                let data = self.undone_data(undone, oid, serial)?;
                self.put(oid, base, data, Some(serial))?;
            }
            // It did not exist before.
            (None, true) => self.put(oid, base, None, None)?,
            (Some(serial), false) => {
                let merged = self.merge_undo(undone, oid, current, serial)?;
                self.put(oid, base, Some(merged), None)?;
            }
            (None, false) => return Err(failure(Some(oid), UndoFailure::Changed)),
        }
        Ok(true)
    }

    /// The data that comes back; `None` if the object was deleted then.
    fn undone_data(&self, undone: Tid, oid: Oid, serial: Tid) -> Result<Option<Payload>, Error> {
        match self.embedded.load_at(oid, serial) {
            Ok(object) => Ok(object.data),
            Err(error) if error.trouble() == Trouble::Missing => {
                let reason = UndoFailure::Packed;
                Err(Error::Undo { tid: undone, oid: Some(oid), reason })
            }
            Err(error) => Err(error),
        }
    }

    /// The object was changed since: only the resolver can tell what it becomes.
    fn merge_undo(
        &mut self,
        undone: Tid,
        oid: Oid,
        current: Tid,
        serial: Tid,
    ) -> Result<Payload, Error> {
        let changed = || Error::Undo { tid: undone, oid: Some(oid), reason: UndoFailure::Changed };
        let mut conflict_data = None;
        if current.get() == self.ttid.get() {
            // It was this transaction, which nobody can load from yet.
            conflict_data = Some(self.own_data(oid)?.ok_or_else(changed)?);
        }
        let conflict = Conflict {
            ttid: self.ttid,
            oid,
            serial: undone,
            conflict_serial: current,
            conflict_data,
            data: None,
            data_serial: Some(serial),
        };
        let merged = self.merge(&conflict)?.ok_or_else(changed)?;
        Ok(self.embedded.payload(merged))
    }
}
