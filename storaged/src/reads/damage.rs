//! What cannot be read: bytes that are damaged, or that the disk refuses.
//!
//! A storage with one damaged record goes on with all others. Who asked for it finds it on another
//! storage. Only what the primary master asks must not be answered in part.

use std::collections::BTreeSet;

use net::LinkId;

use super::tasks::{Entry, Turn};
use crate::machine::Storage;

/// Places that are remembered as reported. With more of them, some are reported again.
const PLACES_MAX: usize = 1024;

/// Places that cannot be read, each reported once.
#[derive(Debug, Default)]
pub(super) struct Damage {
    places: BTreeSet<(String, Option<u64>)>,
}

impl Damage {
    fn report(&mut self, error: &engine::Error, (file, offset): (&str, Option<u64>)) {
        if self.places.len() >= PLACES_MAX {
            self.places.clear();
        }
        if self.places.insert((file.to_owned(), offset)) {
            tracing::error!(%error, "cannot be read; `neolith fsck` says what is hit");
        }
    }
}

impl Storage {
    /// Has a task go on whose lookup failed, if only some place of the database cannot be read.
    pub(super) fn lookup_failed(&mut self, entry: &mut Entry, error: engine::Error) -> Turn {
        let Some(place) = error.place() else {
            self.fail(error);
            return Turn::Done;
        };
        self.reads.damage.report(&error, place);
        if entry.link.is_some() && entry.link == self.master() {
            // Recovery and verification need the whole truth.
            self.fail(error);
            return Turn::Done;
        }
        entry.task.failed(self, entry.link)
    }

    /// Closes the connection of a peer that asked for what cannot be read.
    pub(crate) fn close_unread(&mut self, link: LinkId) {
        tracing::warn!(?link, "closed, as what the peer asks for cannot be read here");
        self.close_peer(link, "what it asks for cannot be read");
    }
}
