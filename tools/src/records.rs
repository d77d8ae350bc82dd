//! Goes through a database as if it were one long file: all transactions in the order of their
//! tids, over all partitions, each with its records in the client's order.

mod inflate;
mod tids;

use bytes::Bytes;
use engine::{LoadResult, Transaction, When};
use model::{Oid, Tid};

use crate::database::Database;
use crate::dump::{Events, Revision};
use crate::failure::Failure;
use crate::filestorage::{Metadata, Status};

pub(crate) use inflate::inflated;
pub(crate) use tids::{Direction, Tids};

/// Tells of all transactions. `begin` is asked before each one whether to go on; `failed` says
/// what it means that `target` cannot.
///
/// A revision that a transaction names and that is not there is damage, unless the transaction
/// is packed: then it is left out.
pub(crate) fn replay<T: Events>(
    database: &Database,
    target: &mut T,
    mut begin: impl FnMut(Tid) -> Result<(), Failure>,
    failed: impl Fn(T::Error) -> Failure,
) -> Result<(), Failure> {
    for tid in Tids::new(database, Direction::Ascending) {
        let tid = tid?;
        begin(tid)?;
        let transaction = named_transaction(database, tid)?;
        target.transaction(&metadata(tid, &transaction)).map_err(&failed)?;
        let mut superseded = transaction.superseded.iter().peekable();
        for (position, &oid) in transaction.oids.iter().enumerate() {
            let earlier = superseded.next_if(|earlier| earlier.position as usize == position);
            let found = match earlier {
                Some(earlier) => {
                    let data = earlier.data.clone();
                    let data = data.map(|data| inflated(earlier.compression, data, oid, tid));
                    Some((data.transpose()?, earlier.data_tid))
                }
                None => load(database, oid, tid)?,
            };
            match found {
                Some((data, data_tid)) => {
                    let data = data.as_deref();
                    target.record(&Revision { oid, data, data_tid }).map_err(&failed)?;
                }
                None if transaction.packed => {}
                None => return Err(missing_revision(database, oid, tid)),
            }
        }
        target.end().map_err(&failed)?;
    }
    Ok(())
}

/// A transaction that an index names.
pub(crate) fn named_transaction(database: &Database, tid: Tid) -> Result<Transaction, Failure> {
    database.transaction(tid)?.ok_or_else(|| {
        let path = database.engine.disk().path("");
        Failure::Damaged(format!("{path}: transaction {tid} is in one index, but cannot be found"))
    })
}

fn metadata(tid: Tid, transaction: &Transaction) -> Metadata<'_> {
    Metadata {
        tid,
        status: match transaction.packed {
            true => Status::Packed,
            false => Status::Committed,
        },
        user: &transaction.user,
        description: &transaction.description,
        extension: &transaction.extension,
    }
}

type Content = (Option<Bytes>, Option<Tid>);

fn load(database: &Database, oid: Oid, tid: Tid) -> Result<Option<Content>, Failure> {
    Ok(match database.load(oid, When::At(tid))? {
        LoadResult::Revision(found) => {
            let data = inflated(found.compression, found.data, oid, tid)?;
            Some((Some(data), found.data_tid))
        }
        LoadResult::Deleted { data_tid, .. } => Some((None, data_tid)),
        LoadResult::NoRevision | LoadResult::NoSuchOid => None,
    })
}

fn missing_revision(database: &Database, oid: Oid, tid: Tid) -> Failure {
    let path = database.engine.disk().path("");
    Failure::Damaged(format!(
        "{path}: transaction {tid} names oid {oid}, but this revision is not there"
    ))
}
