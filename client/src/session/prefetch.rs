//! Many loads at once.

use std::collections::VecDeque;

use model::Oid;

use super::driver::{Command, Reply};
use super::mailbox::Mailbox;
use super::open::Session;
use super::read::wrong;
use crate::error::Error;
use crate::payload::Payload;
use crate::request::{Answer, Object, Request, Revision};

/// Loads of one call that are on their way at once.
const LOADS_MAX: usize = 256;

impl Session {
    /// What the cache has of an object, without waiting for anything.
    ///
    /// Data that came compressed is kept and given like that until it is asked for again here,
    /// after the first time: from then on it is plain, as to inflate it takes many times as long as
    /// to find it.
    pub fn load_cached(&self, oid: Oid, revision: Revision) -> Option<Object> {
        let cache = self.cache()?;
        let (mut object, is_again) = cache.load_to_inflate(oid, self.told(revision))?;
        if let Some(data) = object.data.as_mut().filter(|_| is_again)
            && let Ok(plain) = data.bytes()
        {
            cache.inflate(oid, object.serial, &plain);
            *data = Payload::plain(plain);
        }
        Some(object)
    }

    /// Loads many revisions: those that the cache does not have are asked for hundreds at once, so
    /// that it takes few round trips. Results are in the order of what was asked.
    pub fn load_many(
        &self,
        wanted: impl IntoIterator<Item = (Oid, Revision)>,
    ) -> Vec<Result<Object, Error>> {
        let mut wanted = wanted.into_iter();
        let mut begun = VecDeque::new();
        let mut loaded = Vec::new();
        loop {
            let more = wanted.by_ref().take(LOADS_MAX - begun.len());
            begun.extend(more.map(|(oid, revision)| self.begin_load(oid, revision)));
            let Some(first) = begun.pop_front() else { return loaded };
            loaded.push(self.finish_load(first));
        }
    }

    /// Has revisions loaded into the cache that it does not have, and does not wait for them: who
    /// loads them afterwards gets what comes, or waits for it. Without a cache it does nothing.
    pub fn prefetch(&self, oids: &[Oid], revision: Revision) {
        let Some(cache) = self.cache() else { return };
        let told = self.told(revision);
        let is_missing = |oid: &Oid| cache.load(*oid, told).is_none();
        let oids: Vec<_> = oids.iter().copied().filter(is_missing).collect();
        if !oids.is_empty() {
            self.shared.command(Command::Prefetch { oids, revision });
        }
    }

    fn begin_load(&self, oid: Oid, revision: Revision) -> Begun {
        match self.cached(oid, revision) {
            Some(object) => Begun::Cached(object),
            None => Begun::Asked(self.shared.submit_later(Request::Load { oid, revision })),
        }
    }

    fn finish_load(&self, begun: Begun) -> Result<Object, Error> {
        let mailbox = match begun {
            Begun::Cached(object) => return Ok(object),
            Begun::Asked(mailbox) => mailbox,
        };
        match self.shared.wait(&mailbox)? {
            Reply::Done(Ok(Answer::Object(object))) => Ok(object),
            Reply::Done(Ok(answer)) => wrong(&answer),
            Reply::Done(Err(error)) => Err(error),
            Reply::Conflict(conflict) => unreachable!("{conflict:?} of a load"),
        }
    }
}

/// A load that has begun.
enum Begun {
    Cached(Object),
    Asked(Mailbox),
}
