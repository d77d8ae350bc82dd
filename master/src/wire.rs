//! The connections of a master, and what waits for the log before it goes out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::Ttid;
use net::{ErrorCode, Event, LinkId, Links, Message};

/// What is noted of requests to storages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// `AskRecovery`.
    Recovery,
    /// `AskPartitionTable`.
    PartitionTable,
    /// `AskLockedTransactions`.
    LockedTransactions,
    /// `AskFinalTID` of a transaction.
    FinalTid(Ttid),
    /// `AskLastIDs`.
    LastIds,
    /// `AskRecovery`, of a storage that has to truncate after the others did.
    Late,
    /// `AskLastIDs`, of a storage that truncates after the others did.
    Truncated,
    /// `AskPackOrders`, of a cluster that begins to operate.
    PackOrders,
    /// `AskPackOrders`, of orders that are completed: the number of the search.
    OldPackOrders(u64),
    /// `AskLockInformation` of a transaction.
    Lock(Ttid),
}

/// How much may wait for the answers of one client before nothing more is read from it: requests,
/// long ones more than once.
const POSTPONED_MAX: usize = 256;
/// From when on it is read again.
const POSTPONED_LOW: usize = 128;

/// Bytes of a peer that may wait while a change is on its way to the log, which may take as long as
/// its disk is full.
const BACKLOG_MAX: usize = 64 << 10;

/// Something that waits for the log.
enum Output {
    Send(LinkId, Message),
    Ask(LinkId, Message, Asked),
    Answer(LinkId, u32, Message),
    Close(LinkId),
}

/// The connections, and what waits to go out on them.
///
/// What a change that must not be lost makes visible waits until the change is durable. So while
/// one is on its way to the log, everything is *held*, in order; and nothing more is handled, so
/// that what is held is only what one event led to.
pub(crate) struct Wire {
    pub(crate) links: Links<Asked>,
    held: Option<Vec<Output>>,
    /// How many requests each peer has not answered.
    unanswered: BTreeMap<LinkId, u32>,
    /// How much of each peer's requests waits for something before it can be answered.
    postponed: BTreeMap<LinkId, usize>,
    /// How many bytes came from each peer while outputs are held.
    backlog: BTreeMap<LinkId, usize>,
    /// Connections that were closed here, of which nobody else tells that they ended.
    closing: VecDeque<LinkId>,
}

impl Wire {
    pub(crate) fn new(reconnect_delay: Duration) -> Self {
        Self {
            links: Links::new(reconnect_delay),
            held: None,
            unanswered: BTreeMap::new(),
            postponed: BTreeMap::new(),
            backlog: BTreeMap::new(),
            closing: VecDeque::new(),
        }
    }

    /// Takes an event of a connection. While outputs are held nothing is handled, so that a peer is
    /// not read from any more when much has come from it.
    pub(crate) fn feed(&mut self, event: Event) {
        let received = match &event {
            Event::Received { link, bytes } if self.is_held() => Some((*link, bytes.len())),
            _ => None,
        };
        self.links.feed(event);
        let Some((link, length)) = received else { return };
        let backlog = self.backlog.entry(link).or_default();
        *backlog = backlog.saturating_add(length);
        if *backlog >= BACKLOG_MAX {
            self.links.hold(link, true);
        }
    }

    /// Lets nothing out from now on.
    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Lets out what was held.
    pub(crate) fn release(&mut self) {
        for (link, backlog) in std::mem::take(&mut self.backlog) {
            let postponed = self.postponed.get(&link).copied().unwrap_or(0);
            if backlog >= BACKLOG_MAX && postponed < POSTPONED_MAX {
                self.links.hold(link, false);
            }
        }
        for output in self.held.take().unwrap_or_default() {
            match output {
                Output::Send(link, message) => self.links.send(link, &message),
                Output::Ask(link, message, asked) => self.links.ask(link, &message, asked),
                Output::Answer(link, id, message) => self.links.answer(link, id, &message),
                Output::Close(link) => self.links.close(link),
            }
        }
    }

    pub(crate) fn send(&mut self, link: LinkId, message: &Message) {
        match &mut self.held {
            Some(held) => held.push(Output::Send(link, message.clone())),
            None => self.links.send(link, message),
        }
    }

    /// Sends to many.
    pub(crate) fn send_to_all(&mut self, links: impl Iterator<Item = LinkId>, message: &Message) {
        let mut links = links.peekable();
        if self.held.is_some() {
            links.for_each(|link| self.send(link, message));
        } else if links.peek().is_some() {
            self.links.send_to_all(links, message);
        }
    }

    pub(crate) fn ask(&mut self, link: LinkId, message: &Message, asked: Asked) {
        if self.links.is_open(link) {
            *self.unanswered.entry(link).or_default() += 1;
        }
        match &mut self.held {
            Some(held) => held.push(Output::Ask(link, message.clone(), asked)),
            None => self.links.ask(link, message, asked),
        }
    }

    pub(crate) fn answer(&mut self, link: LinkId, id: u32, message: &Message) {
        match &mut self.held {
            Some(held) => held.push(Output::Answer(link, id, message.clone())),
            None => self.links.answer(link, id, message),
        }
    }

    /// Refuses a request, and closes the connection where the code demands it.
    pub(crate) fn refuse(
        &mut self,
        link: LinkId,
        id: u32,
        code: ErrorCode,
        text: impl Into<String>,
    ) {
        self.answer(link, id, &Message::error(code, text));
        if code.closes() {
            self.close(link);
        }
    }

    /// Closes a connection when everything is sent.
    pub(crate) fn close(&mut self, link: LinkId) {
        self.unanswered.remove(&link);
        self.closing.push_back(link);
        match &mut self.held {
            Some(held) => held.push(Output::Close(link)),
            None => self.links.close(link),
        }
    }

    /// The next connection that was closed here: its peer is as lost as one that went by itself.
    pub(crate) fn next_closing(&mut self) -> Option<LinkId> {
        self.closing.pop_front()
    }

    /// Takes note that a request was answered.
    pub(crate) fn answered(&mut self, link: LinkId) {
        if let Some(count) = self.unanswered.get_mut(&link) {
            *count -= 1;
            if *count == 0 {
                self.unanswered.remove(&link);
            }
        }
    }

    /// Takes note that a connection ended.
    pub(crate) fn closed(&mut self, link: LinkId) {
        self.unanswered.remove(&link);
        self.postponed.remove(&link);
    }

    /// Takes note that a request waits for something else than its peer. While too much does,
    /// nothing more is read from that peer.
    pub(crate) fn postpone(&mut self, link: LinkId, weight: usize) {
        if !self.links.is_open(link) {
            return;
        }
        let postponed = self.postponed.entry(link).or_default();
        *postponed += weight;
        if *postponed >= POSTPONED_MAX {
            self.links.hold(link, true);
        }
    }

    /// Takes note that such a request waits no more.
    pub(crate) fn resume(&mut self, link: LinkId, weight: usize) {
        let Some(postponed) = self.postponed.get_mut(&link) else { return };
        *postponed = postponed.saturating_sub(weight);
        if *postponed <= POSTPONED_LOW {
            self.links.hold(link, false);
        }
        if *postponed == 0 {
            self.postponed.remove(&link);
        }
    }

    /// Whether a peer has still to answer something.
    pub(crate) fn is_asked(&self, link: LinkId) -> bool {
        self.unanswered.contains_key(&link)
    }
}
