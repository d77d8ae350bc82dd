//! The first transaction of all makes the objects that programs share.

use client::{Error, Revision};
use model::{Oid, Tid};

use super::layout::{LAST, first_data};
use super::session::Session;
use crate::sim::history::Found;

/// Makes the objects, unless somebody did.
pub(super) async fn open(session: &mut Session) -> Result<(), Error> {
    if session.load(Oid::new(LAST), Revision::Newest).await? != Found::Nothing {
        return Ok(());
    }
    let mut transaction = session.begin().await?;
    for (oid, data) in first_data() {
        transaction.store(oid, Tid::ZERO, Some(data)).await?;
    }
    transaction.commit().await.map(drop)
}
