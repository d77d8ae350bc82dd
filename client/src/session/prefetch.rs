//! Many loads at once.

use std::sync::mpsc::{self, Receiver};

use model::Oid;

use super::driver::Reply;
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
        begun.into_iter().map(Begun::finish).collect()
    }

    /// Has revisions loaded into the cache that it does not have, and does not wait for them: who
    /// loads them afterwards gets what comes, or waits for it. Without a cache it does nothing.
    pub fn prefetch(&self, oids: &[Oid], revision: Revision) {
        if !self.has_cache() {
            return;
        }
        for oid in oids {
            // Nobody waits for the reply.
            drop(self.begin_load(*oid, revision));
        }
    }

    fn begin_load(&self, oid: Oid, revision: Revision) -> Begun {
        match self.cached(oid, revision) {
            Some(object) => Begun::Cached(object),
            None => {
                let (reply, receiver) = mpsc::channel();
                self.submit(Request::Load { oid, revision }, reply);
                Begun::Asked(receiver)
            }
        }
    }
}

/// A load that has begun.
enum Begun {
    Cached(Object),
    Asked(Receiver<Reply>),
}

impl Begun {
    fn finish(self) -> Result<Object, Error> {
        let receiver = match self {
            Self::Cached(object) => return Ok(object),
            Self::Asked(receiver) => receiver,
        };
        match receiver.recv() {
            Ok(Reply::Done(Ok(Answer::Object(object)))) => Ok(object),
            Ok(Reply::Done(Ok(answer))) => wrong(&answer),
            Ok(Reply::Done(Err(error))) => Err(error),
            Ok(Reply::Conflict(conflict)) => unreachable!("{conflict:?} of a load"),
            Err(mpsc::RecvError) => Err(Error::Closed),
        }
    }
}
