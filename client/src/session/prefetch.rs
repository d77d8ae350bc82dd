//! Many loads at once.

use model::Oid;

use super::driver::Reply;
use super::mailbox::Mailbox;
use super::open::Session;
use super::read::wrong;
use crate::error::Error;
use crate::payload::Payload;
use crate::request::{Answer, Object, Request, Revision};

impl Session {
    /// What the cache has of an object, without waiting for anything.
    ///
    /// Data that came compressed is kept like that until it is asked for again, here: from then on
    /// it is kept plain, as to inflate it takes many times as long as to find it.
    pub fn load_cached(&self, oid: Oid, revision: Revision) -> Option<Object> {
        let mut object = self.cached(oid, revision)?;
        if let Some(data) = object.data.as_mut().filter(|data| data.compression != 0)
            && let Ok(plain) = data.bytes()
        {
            *data = Payload::plain(plain.clone());
            self.keep_plain(oid, object.serial, &plain);
        }
        Some(object)
    }

    /// Loads many revisions: all that the cache does not have are asked for at once, so that it
    /// takes about one round trip. Results are in the order of what was asked.
    pub fn load_many(
        &self,
        wanted: impl IntoIterator<Item = (Oid, Revision)>,
    ) -> Vec<Result<Object, Error>> {
        let begun: Vec<_> =
            wanted.into_iter().map(|(oid, revision)| self.begin_load(oid, revision)).collect();
        begun.into_iter().map(|begun| self.finish_load(begun)).collect()
    }

    /// Has revisions loaded into the cache that it does not have, and does not wait for them: who
    /// loads them afterwards gets what comes, or waits for it. Without a cache it does nothing.
    pub fn prefetch(&self, oids: &[Oid], revision: Revision) {
        if !self.has_cache() {
            return;
        }
        let missing = oids.iter().filter(|oid| self.cached(**oid, revision).is_none());
        let mut missing = missing.peekable();
        while let Some(oid) = missing.next() {
            let request = Request::Load { oid: *oid, revision };
            // Nobody waits for the replies. The last one has all sent.
            drop(match missing.peek() {
                Some(_) => self.shared.submit_later(request),
                None => self.shared.submit(request),
            });
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
