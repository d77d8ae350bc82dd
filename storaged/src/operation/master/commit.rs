//! The second phase of a commit: it only goes forward (R2).

use model::{Tid, Ttid};
use net::{LinkId, Message};

use crate::completions::End;
use crate::machine::Storage;
use crate::transactions::Phase;

impl Storage {
    /// Gives a voted transaction its tid. Reads of what it wrote wait from now on.
    pub(crate) fn lock(
        &mut self,
        link: LinkId,
        id: u32,
        (ttid, tid): (Ttid, Tid),
        pack_approved: bool,
    ) {
        let transaction = self.transactions.get_mut(ttid);
        let Some(transaction) = transaction.filter(|found| found.phase == Phase::Voted) else {
            return self.refuse_master(id, format!("lock of {ttid}, which is not voted here"));
        };
        if tid.get() < ttid.get() {
            return self.refuse_master(id, format!("the tid {tid} is lower than its ttid {ttid}"));
        }
        transaction.phase = Phase::Locked(tid);
        let (in_engine, has_pack) = (transaction.in_engine, transaction.has_pack);
        self.read_locks.lock(ttid, tid, transaction.has_lockless);
        // In the order of the log: what is locked has its order signed.
        if has_pack && self.packs.commit(Tid::new(ttid.get()), tid, pack_approved) {
            self.keep_packs();
        }
        match in_engine {
            true => self.end(End::Lock { ttid, tid, link, id }),
            false => self.links.answer(link, id, &Message::AnswerInformationLocked { ttid }),
        }
    }

    /// Shows a locked transaction.
    pub(crate) fn unlock(&mut self, ttid: Ttid) {
        let transaction = self.transactions.get_mut(ttid);
        let Some((tid, transaction)) = transaction.and_then(|found| match found.phase {
            Phase::Locked(tid) => Some((tid, found)),
            _ => None,
        }) else {
            tracing::warn!(%ttid, "told to unlock what is not locked here");
            return;
        };
        transaction.phase = Phase::Unlocking(tid);
        match transaction.in_engine {
            true => self.end(End::Unlock { ttid }),
            false => self.shown(ttid),
        }
    }
}
