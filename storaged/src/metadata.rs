//! Changes of the database's metadata. They wait for space where there is none: a storage whose
//! disk is full can be read, and joins its cluster.

use std::time::Duration;

use engine::MetadataEdit;

use crate::completions::After;
use crate::initialization::MasterStep;
use crate::machine::{RETRY_INTERVAL, Storage};

/// Edits that are being written, or that found no space.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    /// What the next message of the master waits for, and its token.
    first: Option<(u64, Vec<MetadataEdit>)>,
    /// What comes when that is durable, and when it is tried again, if it found no space.
    first_waits: Option<(MasterStep, Duration)>,
    /// When the pack orders are tried again.
    packs_at: Option<Duration>,
}

impl Unwritten {
    /// When something is to be tried again.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let first = self.first_waits.as_ref().map(|(_, at)| *at);
        [first, self.packs_at].into_iter().flatten().min()
    }
}

impl Storage {
    /// Changes metadata; the master's next message is handled when that is durable. What would
    /// change nothing is not written.
    pub(crate) fn edit_first(&mut self, mut edits: Vec<MetadataEdit>, step: MasterStep) {
        let metadata = self.engine.metadata();
        edits.retain(|edit| metadata.get(edit.key) != edit.value.as_deref());
        if edits.is_empty() {
            return self.master_step(step);
        }
        self.write_first(edits, step);
    }

    /// Does a step when all that was written is durable. What a storage has locked may be committed
    /// once the master was told, and clients may know of it, though nobody was answered before the
    /// connection to an earlier master was lost.
    pub(crate) fn sync_first(&mut self, step: MasterStep) {
        self.write_first(Vec::new(), step);
    }

    fn write_first(&mut self, edits: Vec<MetadataEdit>, step: MasterStep) {
        let token = self.new_token();
        self.inbox.block(token);
        self.unwritten.first = Some((token, edits));
        self.try_first(step);
    }

    fn try_first(&mut self, step: MasterStep) {
        let Some((token, edits)) = &self.unwritten.first else { return };
        let written = match edits.is_empty() {
            true => self.engine.sync(*token),
            false => self.engine.edit(*token, edits.clone()),
        };
        match written {
            Ok(()) => {
                self.completions.insert(*token, After::Master(step));
                self.submitted = true;
            }
            Err(engine::Error::Full { .. }) => self.first_is_full(step),
            Err(error) => self.fail(error),
        }
    }

    fn first_is_full(&mut self, step: MasterStep) {
        tracing::warn!("no space to note what the master says: it is tried again");
        self.unwritten.first_waits = Some((step, self.now + RETRY_INTERVAL));
    }

    /// What the master waits for was not written, since there is no space. If that master is gone,
    /// nothing waits for it any more.
    pub(crate) fn not_edited(&mut self, token: u64, step: MasterStep) {
        match self.unwritten.first.as_ref().is_some_and(|(first, _)| *first == token) {
            true => self.first_is_full(step),
            false => self.inbox.unblock(token),
        }
    }

    /// What the master waits for is durable.
    pub(crate) fn edited(&mut self, token: u64) {
        if self.unwritten.first.as_ref().is_some_and(|(first, _)| *first == token) {
            self.unwritten.first = None;
        }
        self.inbox.unblock(token);
    }

    /// The master is gone: what it said and what found no space is forgotten.
    pub(crate) fn forget_edits(&mut self) {
        if let Some((token, _)) = self.unwritten.first.take()
            && self.unwritten.first_waits.take().is_some()
        {
            self.inbox.unblock(token);
        }
    }

    /// Keeps the pack orders as they are now. Nobody waits for that, but what is written to the log
    /// afterwards is behind it.
    pub(crate) fn keep_packs(&mut self) {
        let token = self.token(After::Packs);
        let result = self.engine.edit(token, vec![self.packs.edit()]);
        self.unwritten.packs_at = None;
        if let Err(error) = result {
            self.completions.remove(&token);
            match error {
                engine::Error::Full { .. } => self.keep_packs_later(),
                error => self.fail(error),
            }
        }
    }

    pub(crate) fn keep_packs_later(&mut self) {
        self.unwritten.packs_at = Some(self.now + RETRY_INTERVAL);
    }

    pub(crate) fn retry_edits(&mut self) {
        let now = self.now;
        if let Some((step, _)) = self.unwritten.first_waits.take_if(|(_, at)| *at <= now) {
            self.try_first(step);
        }
        if self.unwritten.packs_at.is_some_and(|at| at <= self.now) {
            self.keep_packs();
        }
    }
}
