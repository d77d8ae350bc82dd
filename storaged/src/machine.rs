//! The storage as a machine: what it consists of, and how events go through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::RawFd;
use std::time::Duration;

use engine::{Engine, MetadataKey, ReadMode};
use model::{Nid, NodeType, Now, Oid, PartitionTable, Tid, Ttid};
use net::{
    Bootstrap, BootstrapStep, CloseReason, ErrorCode, Event, Identity, Incoming, LinkId, Links,
    Machine, Message, NodeTable, OrderedMap, Signal, Value,
};

use crate::background::{Background, Inline};
use crate::completions::After;
use crate::error::Error;
use crate::initialization::Inbox;
use crate::locks::{ReadLocks, WriteLocks};
use crate::metadata::Unwritten;
use crate::operation::{Endings, Released, WriteRequest};
use crate::options::StorageOptions;
use crate::pace::Pace;
use crate::packs::PackOrders;
use crate::peers::{Held, Peer};
use crate::reads::Reads;
use crate::transactions::Transactions;

/// Packets that are handled with one event before others get their turn.
const PACKETS_MAX: usize = 64;
/// How often background work is looked after, at most.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(2);
/// How soon it is looked at again while jobs are under way.
const BACKGROUND_BUSY: Duration = Duration::from_millis(5);
/// How soon what found the disk full is tried again.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// What is noted of requests: there is only one to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// To be taken in, by a master.
    Identification,
}

/// Why a storage ends.
#[derive(Debug)]
pub enum StorageExit {
    /// It was told to, by a signal or by the master.
    Stopped,
    /// The master says that it was dropped: its database is no longer of the cluster, and is to be
    /// put aside.
    Dropped,
    /// The copy of a database has an id of its own now.
    Cloned {
        /// The id.
        nid: Nid,
    },
    /// It cannot go on.
    Failed(Error),
}

/// How far a storage has come in joining a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It looks for the primary master.
    Searching,
    /// The primary master asks what it has.
    Initializing {
        /// The connection to the primary master.
        master: LinkId,
    },
    /// It serves.
    Operating {
        /// The connection to the primary master.
        master: LinkId,
        /// The cluster follows another one: clients only read.
        backup: bool,
    },
}

/// A storage node.
///
/// It looks for the primary master, answers what it has, and serves clients and storages while the
/// cluster operates; when it loses the master, it begins again. All that must survive goes through
/// the engine before anybody is told.
///
/// Messages of the master that need something to be durable first hold up those that follow.
pub struct Storage {
    pub(crate) options: StorageOptions,
    pub(crate) links: Links<Asked>,
    pub(crate) engine: Engine,
    pub(crate) background: Box<dyn Background>,
    pub(crate) background_at: Duration,
    /// There may be background work that nobody has taken.
    pub(crate) background_wanted: bool,
    pub(crate) nid: Option<Nid>,
    /// The id is durable, or about to be.
    pub(crate) keeps_nid: bool,
    pub(crate) table: Option<PartitionTable>,
    pub(crate) nodes: NodeTable,
    pub(crate) phase: Phase,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) inbox: Inbox,
    pub(crate) peers: BTreeMap<LinkId, Peer>,
    pub(crate) held: BTreeMap<LinkId, Held>,
    /// Until when peers wait that are not taken in; some may be gone.
    pub(crate) waits: BTreeSet<(Duration, LinkId)>,
    pub(crate) transactions: Transactions,
    pub(crate) write_locks: WriteLocks,
    pub(crate) read_locks: ReadLocks,
    pub(crate) released: Released,
    pub(crate) endings: Endings,
    /// Requests whose turn has come.
    pub(crate) deferred: VecDeque<(Ttid, Oid, WriteRequest)>,
    pub(crate) reads: Reads,
    pub(crate) pace: Pace,
    pub(crate) packs: PackOrders,
    /// The last pack order that was approved since the master was found.
    pub(crate) last_pack: Option<Tid>,
    pub(crate) completions: BTreeMap<u64, After>,
    pub(crate) next_token: u64,
    /// What must go forward and found no space.
    pub(crate) retries: VecDeque<crate::completions::End>,
    pub(crate) retry_at: Duration,
    pub(crate) unwritten: Unwritten,
    /// Something was submitted to the engine in this event.
    pub(crate) submitted: bool,
    /// There were more packets than one event may handle.
    pub(crate) has_more: bool,
    pub(crate) now: Duration,
    pub(crate) exit: Option<StorageExit>,
}

impl Storage {
    /// A storage on a database, which looks for its cluster from now on. Background work is done on
    /// the thread that drives it, see [`Storage::set_background`].
    ///
    /// # Errors
    /// If the database is of another cluster, or makes no sense.
    pub fn open(options: StorageOptions, mut engine: Engine, now: Now) -> Result<Self, Error> {
        if options.masters.is_empty() {
            return Err(Error::NoMaster);
        }
        check_metadata(&engine, &options)?;
        let metadata = engine.metadata();
        let stored_nid = metadata.get_u32(MetadataKey::Nid).map(u32::cast_signed).map(Nid::new);
        let table = stored_table(&engine)?;
        let packs = match metadata.get(MetadataKey::PackOrders) {
            None => PackOrders::default(),
            Some(bytes) => PackOrders::from_bytes(bytes)
                .ok_or(Error::Metadata { what: "list of pack orders" })?,
        };
        let identity = identity(&options, stored_nid, table.as_ref())?;
        let mut bootstrap = Bootstrap::new(identity, options.masters.clone());
        let mut links = Links::new(options.reconnect_delay);
        bootstrap.start(now.monotonic, &mut links, Asked::Identification);
        engine.gather();
        let reads = Reads::new(engine.reader(ReadMode::Calls), &**engine.disk())?;
        Ok(Self {
            links,
            background: Box::new(Inline::default()),
            background_at: now.monotonic,
            background_wanted: true,
            nid: stored_nid,
            keeps_nid: table.is_some(),
            table,
            nodes: NodeTable::default(),
            phase: Phase::Searching,
            bootstrap,
            inbox: Inbox::default(),
            peers: BTreeMap::new(),
            held: BTreeMap::new(),
            waits: BTreeSet::new(),
            transactions: Transactions::default(),
            write_locks: WriteLocks::default(),
            read_locks: ReadLocks::default(),
            released: Released::default(),
            endings: Endings::default(),
            deferred: VecDeque::new(),
            reads,
            pace: Pace::default(),
            packs,
            last_pack: None,
            completions: BTreeMap::new(),
            next_token: 0,
            retries: VecDeque::new(),
            retry_at: now.monotonic,
            unwritten: Unwritten::default(),
            submitted: false,
            has_more: false,
            now: now.monotonic,
            exit: None,
            options,
            engine,
        })
    }

    /// Has background work done by somebody else, such as [`engine::Worker`].
    pub fn set_background(&mut self, background: Box<dyn Background>) {
        self.background = background;
    }

    /// Descriptors that are readable when [`Event::Disk`] is due: of the log, and of reads.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let descriptors = [self.engine.event_descriptor(), self.reads.event_descriptor()];
        descriptors.into_iter().flatten().collect()
    }

    /// The id, once there is one.
    pub fn nid(&self) -> Option<Nid> {
        self.nid
    }

    /// Whether it serves.
    pub fn is_operating(&self) -> bool {
        matches!(self.phase, Phase::Operating { .. })
    }

    /// Counters of the engine.
    pub fn figures(&self) -> engine::Figures {
        self.engine.figures()
    }

    /// Ends in good order: to be called when it has come to its end.
    ///
    /// # Errors
    /// If the database could not be closed. What was acknowledged is durable all the same.
    pub fn close(mut self) -> Result<(), Error> {
        drop(self.reads);
        self.background.stop(&mut self.engine)?;
        self.engine.close()?;
        Ok(())
    }

    /// The connection to the primary master.
    pub(crate) fn master(&self) -> Option<LinkId> {
        match self.phase {
            Phase::Searching => None,
            Phase::Initializing { master } | Phase::Operating { master, .. } => Some(master),
        }
    }

    /// The engine failed: nothing can be promised any more.
    pub(crate) fn fail(&mut self, error: impl Into<Error>) {
        let error = error.into();
        tracing::error!(%error, "the storage cannot go on");
        self.exit.get_or_insert(StorageExit::Failed(error));
    }

    pub(crate) fn token(&mut self, after: After) -> u64 {
        let token = self.new_token();
        self.completions.insert(token, after);
        self.submitted = true;
        token
    }

    /// A number that was not given out yet.
    pub(crate) fn new_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    fn take_incoming(&mut self) {
        self.has_more = true;
        for _ in 0..PACKETS_MAX {
            if self.exit.is_some() {
                break;
            }
            let Some(incoming) = self.links.next() else {
                self.has_more = false;
                break;
            };
            match incoming {
                Incoming::Accepted { link, address } => self.accepted(link, &address),
                Incoming::Closed { link, reason, .. } => self.lost(link, &reason),
                Incoming::Request { link, id, message } => self.request(link, id, message),
                Incoming::Answer { link, message, .. } | Incoming::Stray { link, message } => {
                    self.answer(link, message);
                }
            }
        }
    }

    fn request(&mut self, link: LinkId, id: u32, message: Message) {
        if self.bootstrap.link() == Some(link) {
            return self.search(message);
        }
        match self.master() == Some(link) {
            true => self.master_says(id, message),
            false => self.peer_asks(link, id, message),
        }
    }

    fn answer(&mut self, link: LinkId, message: Message) {
        if self.bootstrap.link() == Some(link) {
            return self.search(message);
        }
        if let Message::Error { code, text } = message {
            let text = String::from_utf8_lossy(&text);
            tracing::warn!(?link, ?code, %text, "an error from a peer");
        }
    }

    fn search(&mut self, message: Message) {
        let step = self.bootstrap.packet(self.now, &mut self.links, message, Asked::Identification);
        match step {
            BootstrapStep::Searching => {}
            BootstrapStep::Found { link, master, nid } => self.joined(link, master, nid),
            BootstrapStep::Refused { address, text } => {
                tracing::warn!(%address, %text, "a master refuses this storage");
            }
        }
    }

    fn lost(&mut self, link: LinkId, reason: &CloseReason) {
        if self.bootstrap.link() == Some(link) {
            let context = Asked::Identification;
            self.bootstrap.lost(self.now, &mut self.links, reason, context);
        } else if self.master() == Some(link) {
            tracing::warn!(%reason, "the primary master is lost");
            self.leave();
        } else {
            self.peer_lost(link, &reason.to_string());
        }
    }

    /// Gives the master up, which did something impossible, and looks for one again.
    pub(crate) fn refuse_master(&mut self, id: u32, text: impl Into<String>) {
        let Some(link) = self.master() else { return };
        let text = text.into();
        tracing::warn!(%text, "the primary master is refused");
        self.links.refuse(link, id, ErrorCode::ProtocolError, text);
        self.leave();
    }

    /// Looks at the disk, and does what can be done now.
    fn work(&mut self, is_disk: bool) {
        let is_disk = is_disk || self.engine.event_descriptor().is_none();
        // One slice of what is applied, whatever else there is to do.
        if is_disk || self.engine.is_applying() {
            self.poll_engine();
        }
        if is_disk || self.reads.is_paused() {
            self.poll_reads();
        }
        self.retry();
        self.retry_edits();
        loop {
            self.submitted = false;
            self.run_tasks();
            self.run_endings();
            self.advance_locks();
            self.run_deferred();
            self.take_completions();
            self.take_inbox();
            self.background_wanted |= self.submitted;
            if !self.submitted || self.exit.is_some() {
                break;
            }
        }
        self.pace_log();
        self.work_in_background();
        self.check_congestion();
    }

    fn work_in_background(&mut self) {
        if self.now < self.background_at || self.exit.is_some() {
            return;
        }
        if let Err(error) = self.background.exchange(&mut self.engine) {
            self.fail(error);
        }
        self.background_at = self.now + BACKGROUND_INTERVAL;
        self.background_wanted = self.engine.has_work();
    }
}

impl Machine for Storage {
    type Context = Asked;
    type Exit = StorageExit;

    fn handle(&mut self, now: Now, event: Event) {
        self.now = now.monotonic;
        let is_disk = matches!(event, Event::Disk);
        if let Event::Signal(Signal::Terminate) = event {
            tracing::info!("told to end");
            self.exit.get_or_insert(StorageExit::Stopped);
        }
        self.links.feed(event);
        self.take_incoming();
        self.time_out_identifications();
        self.work(is_disk);
        if cfg!(debug_assertions) {
            self.invariants();
        }
    }

    fn invariants(&self) {
        Self::invariants(self);
    }

    fn links(&mut self) -> &mut Links<Asked> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        let polls = self.engine.event_descriptor().is_none()
            && (!self.completions.is_empty() || self.reads.is_waiting_for_disk());
        let at_once = self.has_more
            || polls
            || self.engine.is_applying()
            || self.pace.is_waiting()
            || self.reads.is_ready()
            || self.released.is_ready()
            || self.endings.is_ready();
        let at_once = at_once.then_some(self.now);
        let is_busy = self.background.is_busy() || self.engine.is_congested();
        let background = match is_busy {
            true => Some(self.now + BACKGROUND_BUSY),
            false => self.background_wanted.then_some(self.now + 10 * BACKGROUND_BUSY),
        };
        let retry = (!self.retries.is_empty()).then_some(self.retry_at);
        let unwritten = self.unwritten.deadline();
        let drain = self.reads.is_draining().then_some(self.now + BACKGROUND_BUSY);
        let identification = self.identification_deadline();
        [at_once, background, retry, unwritten, drain, identification].into_iter().flatten().min()
    }

    fn exit(&mut self) -> Option<StorageExit> {
        self.exit.take()
    }
}

fn check_metadata(engine: &Engine, options: &StorageOptions) -> Result<(), Error> {
    let metadata = engine.metadata();
    if metadata.get(MetadataKey::Import).is_some() {
        return Err(Error::UnfinishedImport);
    }
    match metadata.get(MetadataKey::ClusterName) {
        Some(name) if name != options.cluster.as_bytes() => Err(Error::OtherCluster {
            database: String::from_utf8_lossy(name).into_owned(),
            wanted: options.cluster.clone(),
        }),
        _ => Ok(()),
    }
}

fn stored_table(engine: &Engine) -> Result<Option<PartitionTable>, Error> {
    let bytes = engine.metadata().get(MetadataKey::PartitionTable);
    bytes.map(PartitionTable::from_bytes).transpose().map_err(Error::Table)
}

/// What the storage says of itself. A clone has neither id nor address: it asks for an id.
fn identity(
    options: &StorageOptions,
    stored_nid: Option<Nid>,
    table: Option<&PartitionTable>,
) -> Result<Identity, Error> {
    let mut new_nid = Vec::new();
    if options.new_nid {
        if let (Some(nid), Some(table)) = (stored_nid, table) {
            let assigned = |partition| table.cell_state(partition, nid).is_some();
            let partitions = table.partitions().iter().filter(|partition| assigned(*partition));
            new_nid.extend(partitions.map(|partition| Value::Unsigned(partition.get().into())));
        }
        if new_nid.is_empty() {
            return Err(Error::NothingToClone);
        }
    }
    let device = options.device_path.iter();
    let device = device.map(|part| Value::Bytes(part.clone().into_bytes().into()));
    let entry = |key: &'static str, value| (bytes::Bytes::from_static(key.as_bytes()), value);
    let extra = OrderedMap(vec![
        entry("devpath", Value::List(device.collect())),
        entry("new_nid", Value::List(new_nid)),
    ]);
    Ok(Identity {
        node_type: NodeType::Storage,
        nid: if options.new_nid { None } else { stored_nid.or(options.nid) },
        address: (!options.new_nid).then(|| options.address.clone()),
        cluster: options.cluster.clone(),
        id_timestamp: None,
        extra,
    })
}
