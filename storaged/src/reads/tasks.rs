//! Tasks, and what they wait for.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::RawFd;

use engine::disk::{Disk, Wait};
use engine::{LoopReader, Reader};
use model::Ttid;
use net::LinkId;

use super::damage::Damage;
use super::lookup::{AnyLookup, Found};
use crate::machine::Storage;

/// Tasks of one connection from which on nothing more is read from it.
const TASKS_PER_LINK_MAX: usize = 128;
/// Tasks from which on it is read again.
const TASKS_PER_LINK_LOW: usize = 64;
/// Lookups of one task that are carried out before others get their turn.
const ROUNDS_MAX: usize = 8;
/// Tasks that get a turn with one event.
const TURNS_MAX: usize = 64;
/// Bytes that may wait to be sent to a peer before long answers to it pause.
pub(crate) const QUEUED_MAX: usize = 4 << 20;

/// What a task wants next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "on its way to the reader, and no allocation a load")]
pub(crate) enum Turn {
    /// Something to be looked up.
    LookUp(AnyLookup),
    /// To begin again when a transaction is over.
    WaitFor(Ttid),
    /// To go on when others had their turn.
    Later,
    /// To be resumed when its peer has taken what was sent.
    Drain,
    /// Nothing more: it has answered.
    Done,
}

/// A request that needs lookups.
pub(crate) trait Task: Send {
    /// Goes on, with what was looked up; with nothing at first, and after it has waited.
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn;

    /// Goes on after what it looked up could not be read, which was reported. If that is all that
    /// it could do, its connection is closed: the peer may find the same somewhere else.
    fn failed(&mut self, node: &mut Storage, link: Option<LinkId>) -> Turn {
        if let Some(link) = link {
            node.close_unread(link);
        }
        Turn::Done
    }
}

pub(super) struct Entry {
    /// The connection that it serves; with it, it ends.
    pub(super) link: Option<LinkId>,
    pub(super) task: Box<dyn Task>,
    /// It has to wait, and is among [`Reads::counts`]. Most never are.
    is_counted: bool,
}

/// What a task goes on with.
type Outcome = engine::Result<Option<Found>>;

/// All tasks.
pub(crate) struct Reads {
    reader: LoopReader<AnyLookup>,
    next_token: u64,
    /// Those that wait for the disk.
    reading: BTreeMap<u64, Entry>,
    ready: VecDeque<(Entry, Outcome)>,
    /// Those that wait for transactions.
    waiting: BTreeMap<Ttid, Vec<Entry>>,
    draining: Vec<Entry>,
    /// Tasks of each connection that did not end at once.
    counts: BTreeMap<LinkId, usize>,
    pub(super) damage: Damage,
}

impl Reads {
    pub(crate) fn new(reader: Reader, disk: &dyn Disk) -> engine::Result<Self> {
        Ok(Self {
            reader: LoopReader::new(reader, disk)?,
            next_token: 0,
            reading: BTreeMap::new(),
            ready: VecDeque::new(),
            waiting: BTreeMap::new(),
            draining: Vec::new(),
            counts: BTreeMap::new(),
            damage: Damage::default(),
        })
    }

    pub(crate) fn event_descriptor(&self) -> Option<RawFd> {
        self.reader.event_descriptor()
    }

    pub(crate) fn is_waiting_for_disk(&self) -> bool {
        self.reader.waiting() > 0
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty() || self.is_paused()
    }

    /// Whether long records are at work that let others go first.
    pub(crate) fn is_paused(&self) -> bool {
        self.reader.is_paused()
    }

    pub(crate) fn is_draining(&self) -> bool {
        !self.draining.is_empty()
    }

    /// Transactions that tasks wait for.
    pub(crate) fn waited_for(&self) -> impl Iterator<Item = Ttid> {
        self.waiting.keys().copied()
    }

    /// Tasks that waited for a transaction go on.
    pub(crate) fn resume(&mut self, ttid: Ttid) {
        let entries = self.waiting.remove(&ttid).unwrap_or_default();
        self.ready.extend(entries.into_iter().map(|entry| (entry, Ok(None))));
    }

    /// Tasks of a connection that waited for transactions go on.
    pub(crate) fn resume_of(&mut self, link: LinkId) {
        for entries in self.waiting.values_mut() {
            let resumed = entries.extract_if(.., |entry| entry.link == Some(link));
            self.ready.extend(resumed.map(|entry| (entry, Ok(None))));
        }
        self.waiting.retain(|_, entries| !entries.is_empty());
    }

    /// One more task of a connection. Whether it has as many as it may have.
    fn begun(&mut self, link: LinkId) -> bool {
        let count = self.counts.entry(link).or_default();
        *count += 1;
        *count >= TASKS_PER_LINK_MAX
    }

    /// One task less. Whether the connection has so few that more can come.
    fn done(&mut self, link: LinkId) -> bool {
        let Some(count) = self.counts.get_mut(&link) else { return true };
        *count -= 1;
        let count = *count;
        if count == 0 {
            self.counts.remove(&link);
        }
        count < TASKS_PER_LINK_LOW
    }
}

impl Storage {
    /// Begins a task; it may answer at once.
    pub(crate) fn start_task(&mut self, link: Option<LinkId>, task: impl Task + 'static) {
        self.run(Entry { link, task: Box::new(task), is_counted: false }, Ok(None));
    }

    /// A task does not end at once: its connection may now have as many as it may have.
    fn count(&mut self, entry: &mut Entry) {
        if let Some(link) = entry.link
            && !std::mem::replace(&mut entry.is_counted, true)
            && self.reads.begun(link)
        {
            self.hold_busy(link);
        }
    }

    fn run(&mut self, mut entry: Entry, mut outcome: Outcome) {
        for _ in 0..ROUNDS_MAX {
            let turn = match outcome {
                Ok(found) => entry.task.go_on(self, found),
                Err(error) => self.lookup_failed(&mut entry, error),
            };
            match turn {
                Turn::LookUp(lookup) => {
                    let token = self.reads.next_token;
                    self.reads.next_token += 1;
                    match self.reads.reader.start(token, lookup) {
                        Some(output) => outcome = output.map(Some),
                        None => {
                            self.count(&mut entry);
                            self.reads.reading.insert(token, entry);
                            return;
                        }
                    }
                }
                Turn::WaitFor(ttid) => {
                    self.count(&mut entry);
                    self.reads.waiting.entry(ttid).or_default().push(entry);
                    return;
                }
                Turn::Later => {
                    self.count(&mut entry);
                    self.reads.ready.push_back((entry, Ok(None)));
                    return;
                }
                Turn::Drain => {
                    self.count(&mut entry);
                    self.reads.draining.push(entry);
                    return;
                }
                Turn::Done => {
                    if let Some(link) = entry.link
                        && entry.is_counted
                        && self.reads.done(link)
                    {
                        self.release_busy(link);
                    }
                    return;
                }
            }
        }
        self.count(&mut entry);
        self.reads.ready.push_back((entry, outcome));
    }

    /// Gives tasks that can go on their turn.
    pub(crate) fn run_tasks(&mut self) {
        let queued = |link: Option<LinkId>| link.map_or(0, |link| self.links.queued(link));
        let drained = self.reads.draining.extract_if(.., |e| queued(e.link) <= QUEUED_MAX);
        self.reads.ready.extend(drained.map(|entry| (entry, Ok(None))));
        for _ in 0..TURNS_MAX.min(self.reads.ready.len()) {
            let Some((entry, outcome)) = self.reads.ready.pop_front() else { return };
            self.run(entry, outcome);
        }
    }

    /// Takes what was read.
    pub(crate) fn poll_reads(&mut self) {
        let answers = match self.reads.reader.poll(Wait::No) {
            Ok(answers) => answers,
            Err(error) => return self.fail(error),
        };
        for (token, answer) in answers {
            // Of a connection that was lost there is no task any more.
            let Some(entry) = self.reads.reading.remove(&token) else { continue };
            self.run(entry, answer.map(Some));
        }
    }

    /// Ends the tasks of a connection.
    pub(crate) fn drop_tasks(&mut self, link: LinkId) {
        let is_of = |entry: &Entry| entry.link == Some(link);
        let reads = &mut self.reads;
        reads.reading.retain(|_, entry| !is_of(entry));
        reads.ready.retain(|(entry, _)| !is_of(entry));
        reads.draining.retain(|entry| !is_of(entry));
        for entries in reads.waiting.values_mut() {
            entries.retain(|entry| !is_of(entry));
        }
        reads.waiting.retain(|_, entries| !entries.is_empty());
        reads.counts.remove(&link);
    }
}
