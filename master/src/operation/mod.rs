//! RUNNING: clients commit, storages replicate.

mod checks;
mod clients;
mod commit;
mod delayed;
mod leaving;
mod old_packs;
mod packs;
mod serving;
mod storages;
mod transactions;

pub(crate) use checks::check_replicas;
pub(crate) use delayed::Awaited;
pub(crate) use leaving::leave_operation;
pub(crate) use packs::Packs;
pub(crate) use serving::Operation;
