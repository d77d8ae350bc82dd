//! What is to be done when the engine has made something durable.

use engine::Completion;
use engine::disk::Wait;
use model::{Oid, Tid, Ttid};
use net::{ErrorCode, LinkId, Message};

use crate::initialization::MasterStep;
use crate::machine::{RETRY_INTERVAL, Storage};
use crate::operation::StoredTask;
use crate::transactions::Phase;

/// Text for who cannot write since the disk is full.
pub(crate) const FULL: &str = "no space left on the storage's disk: nothing can be written";

/// What waits for a token.
#[derive(Debug)]
pub(crate) enum After {
    /// A vote, and what is answered then.
    Vote { ttid: Ttid, link: LinkId, id: u32, answer: Message },
    /// A lock, which the master asked for.
    Lock { ttid: Ttid, link: LinkId, id: u32 },
    /// An unlock: what was written is shown.
    Unlock { ttid: Ttid },
    /// A message of the master, which holds up those that follow.
    Master(MasterStep),
    /// What was stored can be read back, to be returned to the client.
    Stored { link: LinkId, task: StoredTask },
    /// The pack orders are kept, which nobody waits for.
    Packs,
    /// Nobody waits.
    Nobody,
}

/// What goes forward as soon as there is space for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Give a transaction its tid.
    Lock { ttid: Ttid, tid: Tid, link: LinkId, id: u32 },
    /// Show a transaction.
    Unlock { ttid: Ttid },
    /// Forget a transaction, locked or not.
    Disown { ttid: Ttid },
}

impl Storage {
    /// Looks at what the disk of the engine has done, and has one slice of its work done.
    pub(crate) fn poll_engine(&mut self) {
        match self.engine.poll(Wait::No) {
            Ok(completions) => self.complete(completions),
            Err(error) => return self.fail(error),
        }
        self.take_completions();
    }

    /// Handles what did not have to wait for the disk.
    pub(crate) fn take_completions(&mut self) {
        loop {
            let completions = self.engine.take_completions();
            if completions.is_empty() {
                return;
            }
            self.complete(completions);
        }
    }

    fn complete(&mut self, completions: Vec<Completion>) {
        for completion in completions {
            self.completed(completion);
        }
    }

    fn completed(&mut self, completion: Completion) {
        let Completion { token, result } = completion;
        let Some(after) = self.completions.remove(&token) else {
            unreachable!("each token is given out once")
        };
        match (after, result) {
            (After::Vote { ttid, link, id, answer }, result) => {
                self.voted(ttid, link, id, &answer, result);
            }
            (After::Nobody, Err(error @ engine::Error::Full { .. })) => {
                tracing::warn!(%error, "something that can be done again was not done");
            }
            (After::Packs, Err(engine::Error::Full { .. })) => self.keep_packs_later(),
            (After::Master(step), Err(engine::Error::Full { .. }))
                if !matches!(step, MasterStep::Validated { .. }) =>
            {
                self.not_edited(token, step);
            }
            (_, Err(error)) => self.fail(error),
            (After::Lock { ttid, link, id }, Ok(())) => {
                tracing::debug!(%ttid, "locked");
                self.links.answer(link, id, &Message::AnswerInformationLocked { ttid });
            }
            (After::Unlock { ttid }, Ok(())) => self.shown(ttid),
            (After::Master(step), Ok(())) => {
                self.edited(token);
                self.master_step(step);
            }
            (After::Stored { link, task }, Ok(())) => self.start_task(Some(link), task),
            (After::Packs | After::Nobody, Ok(())) => {}
        }
    }

    fn voted(
        &mut self,
        ttid: Ttid,
        link: LinkId,
        id: u32,
        answer: &Message,
        result: engine::Result<()>,
    ) {
        let transaction = self.transactions.get_mut(ttid);
        let voting = transaction.filter(|found| found.votes_for(link, id));
        match result {
            Ok(()) => {
                // It may have been aborted meanwhile; then nobody wants an answer.
                if let Some(transaction) = voting {
                    transaction.phase = Phase::Voted;
                    tracing::debug!(%ttid, "voted");
                    self.links.answer(link, id, answer);
                }
            }
            Err(engine::Error::Full { .. }) => {
                if let Some(transaction) = voting {
                    transaction.phase = Phase::Open;
                }
                self.links.answer(link, id, &Message::error(ErrorCode::ReadOnlyAccess, FULL));
            }
            Err(error) => self.fail(error),
        }
    }

    /// Does what must go forward, now or when there is space.
    pub(crate) fn end(&mut self, end: End) {
        match self.retries.is_empty() {
            true => self.try_end(end),
            false => self.retries.push_back(end),
        }
    }

    fn try_end(&mut self, end: End) {
        let result = match end {
            End::Lock { ttid, tid, link, id } => {
                let token = self.token(After::Lock { ttid, link, id });
                self.engine.lock(token, ttid, tid).inspect_err(|_| {
                    self.completions.remove(&token);
                })
            }
            End::Unlock { ttid } => {
                let token = self.token(After::Unlock { ttid });
                self.engine.unlock_with(token, ttid).inspect_err(|_| {
                    self.completions.remove(&token);
                })
            }
            End::Disown { ttid } => self.engine.disown(ttid),
        };
        self.submitted = true;
        match result {
            Ok(()) => {}
            Err(engine::Error::Full { .. }) => {
                tracing::warn!("no space to end a transaction: it is tried again");
                self.retries.push_front(end);
                self.retry_at = self.now + RETRY_INTERVAL;
            }
            Err(error) => self.fail(error),
        }
    }

    pub(crate) fn retry(&mut self) {
        if self.retries.is_empty() || self.now < self.retry_at {
            return;
        }
        for _ in 0..self.retries.len() {
            let Some(end) = self.retries.pop_front() else { return };
            let left = self.retries.len();
            self.try_end(end);
            if self.retries.len() > left || self.exit.is_some() {
                return;
            }
        }
    }

    /// Withdraws a store from the engine.
    pub(crate) fn unstore(&mut self, ttid: Ttid, oid: Oid) {
        let Some(table) = &self.table else { return };
        let partition = table.partition_of_oid(oid);
        match self.engine.unstore(ttid, partition, oid) {
            // Of one that is voted, the engine leaves out what is dropped itself.
            Ok(()) | Err(engine::Error::WrongState { .. }) => {}
            Err(error) => self.fail(error),
        }
    }
}
