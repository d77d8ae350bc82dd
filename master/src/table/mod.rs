//! The partition table as the primary master keeps it.

mod changes;
mod devpath;
mod live;
mod tweak;

pub(crate) use changes::{dropped, outdated, replicated};
pub(crate) use live::LiveTable;
pub(crate) use tweak::{Member, first, tweaked};
