//! The bank has as much money as it had, at any time.

use super::truth::Truth;
use crate::sim::Broken;
use crate::sim::program::layout::{ACCOUNTS, BALANCE, number, oids};

pub(super) fn check(truth: &Truth) -> Result<(), Broken> {
    let all = BALANCE * oids(ACCOUNTS).count() as u64;
    for (tid, committed) in &truth.transactions {
        if !committed.oids.iter().any(|oid| ACCOUNTS.contains(&oid.get())) {
            continue;
        }
        let balance = |oid| {
            let (_, stored) = truth.as_of(oid, *tid)?;
            number(stored.data.as_ref()?)
        };
        let total: Option<u64> = oids(ACCOUNTS).map(balance).sum();
        if total != Some(all) {
            let text = format!("{total:?} instead of {all} as of {tid}, {}", committed.name());
            return Err(Broken::new("no money is lost or made", text));
        }
    }
    Ok(())
}
