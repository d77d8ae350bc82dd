//! Who may write an object, and who has to wait before reading one.

mod read;
mod write;

pub(crate) use read::{RangeWait, ReadLocks};
pub(crate) use write::{Claim, Request, RequestKind, WriteLocks};
