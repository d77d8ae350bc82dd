//! Reads: from any readable cell, again from another one or by a newer table where that fails.

mod answers;
mod choose;
mod history;
mod objects;
mod reads;

pub(crate) use objects::following;
pub(crate) use reads::{Place, Purpose, ReadId, ReadState, Reads, UndoId};
