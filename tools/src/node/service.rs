//! What the service manager is told, if one started this process.

use std::io;

use sd_notify::NotifyState;

/// The node serves.
pub(crate) fn ready() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready])
}

/// The node is about to end.
pub(crate) fn stopping() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping])
}
