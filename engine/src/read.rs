//! Carries out lookups: on threads that may wait, and on an event loop that may not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use sha1::Digest;

use crate::cache::ReadCache;
use crate::disk::{Completion, Disk, Done, File, Queue, Request, Wait};
use crate::error::{Error, Result};
use crate::format::Location;
use crate::lookup::{Blocks, Keep, Lookup, Need, Needed, ObjectRecord, Source, Step, ready};
use crate::publish::{Floor, Publication};
use crate::run::{Block, RunFile, read_exact};
use crate::version::{Segment, Snapshot, Version};

/// The engine's state, as readers get it.
pub(crate) type Published = Publication<AtomicU64, ArcSwap<Version>>;

impl Floor for Version {
    fn seq_floor(&self) -> u64 {
        self.seq_floor
    }
}

/// How a [`Reader`] gets at bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadMode {
    /// By system calls, with blocks of runs and records of objects cached. Disk errors are
    /// errors.
    Calls,
    /// By mapping sealed files. The fastest for threads of a program of its own; a disk error
    /// ends the process.
    Mapped,
}

/// Reads the database from any thread. Cheap to clone; never blocks the writer or other readers.
#[derive(Clone, Debug)]
pub struct Reader {
    published: Arc<Published>,
    cache: Arc<ReadCache>,
    mode: ReadMode,
    fills_cache: bool,
    reads: Arc<AtomicU64>,
}

impl Reader {
    pub(crate) fn new(published: Arc<Published>, cache: Arc<ReadCache>, mode: ReadMode) -> Self {
        Self { published, cache, mode, fills_cache: true, reads: Arc::default() }
    }

    /// One that reads each block once and leaves the cache to others.
    pub(crate) fn without_cache(mut self) -> Self {
        self.fills_cache = false;
        self
    }

    /// The database as of now.
    pub fn snapshot(&self) -> Snapshot {
        let (version, seq) = self.published.snapshot();
        Snapshot { version, seq }
    }

    /// Carries out a lookup, waiting for the disk where necessary.
    pub fn run<L: Lookup>(&self, mut lookup: L) -> Result<L::Output> {
        let mut source = Waiting { reader: self };
        loop {
            match lookup.step(&mut Blocks(&mut source))? {
                Step::Done(output) => return Ok(output),
                Step::Need(_) => unreachable!("a source that waits has everything"),
                Step::Pause => {}
            }
        }
    }

    /// Forgets what is cached.
    pub fn clear_cache(&self) {
        self.cache.clear();
    }

    /// Read calls made by this reader and its clones; none for mapped files.
    pub fn read_calls(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn source(&self) -> Waiting<'_> {
        Waiting { reader: self }
    }
}

/// A source that waits for the disk.
pub(crate) struct Waiting<'a> {
    reader: &'a Reader,
}

impl Source for Waiting<'_> {
    fn block(
        &mut self,
        run: &RunFile,
        offset: u64,
        length: u32,
        ordinal: Option<usize>,
    ) -> Result<Step<Block>> {
        let reader = self.reader;
        if reader.mode == ReadMode::Mapped {
            let bytes = mapped(&run.mapping, &**run.file(), &run.path, run.summary.length)?;
            let bytes = slice(bytes, offset, length, &run.path)?;
            return run.verify_mapped(bytes, offset, ordinal).map(Step::Done);
        }
        let number = run.summary.number;
        if let Some(block) = reader.cache.block(number, offset) {
            return Ok(Step::Done(block));
        }
        reader.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = read_exact(&**run.file(), &run.path, offset, length as usize)?;
        let block = run.verify(bytes.into(), offset)?;
        if reader.fills_cache {
            reader.cache.insert_block(number, offset, block.clone());
        }
        Ok(Step::Done(block))
    }

    fn record(&mut self, segment: &Segment, offset: u64, length: u32) -> Result<Step<Bytes>> {
        let reader = self.reader;
        if reader.mode == ReadMode::Mapped
            && let Some(&sealed) = segment.sealed_length.get()
        {
            let bytes = mapped(&segment.mapping, &*segment.file, &segment.path, sealed)?;
            return slice(bytes, offset, length, &segment.path).map(Step::Done);
        }
        reader.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = read_exact(&*segment.file, &segment.path, offset, length as usize)?;
        Ok(Step::Done(bytes.into()))
    }

    fn object(
        &mut self,
        segment: &Segment,
        location: &Location,
        keep: Keep,
    ) -> Result<Step<ObjectRecord>> {
        let Location { offset, length, .. } = *location;
        let is_cached = self.reader.mode == ReadMode::Calls;
        if is_cached && let Some(record) = self.reader.cache.object(segment.number, offset) {
            return Ok(Step::Done(record));
        }
        let bytes = ready!(self.record(segment, offset, length)?);
        let record = ObjectRecord::verify(segment, &bytes, offset)?;
        if is_cached && self.reader.fills_cache && keep == Keep::Yes {
            self.reader.cache.insert_object(segment.number, offset, record.clone());
        }
        Ok(Step::Done(record))
    }
}

/// The whole of a sealed file. Its length was checked when it was opened or sealed.
fn mapped<'a>(
    mapping: &'a std::sync::OnceLock<Bytes>,
    file: &dyn File,
    path: &str,
    length: u64,
) -> Result<&'a Bytes> {
    if let Some(bytes) = mapping.get() {
        return Ok(bytes);
    }
    let length = usize::try_from(length).expect("files fit in the address space");
    let map = file.map(length).map_err(|e| Error::io("map", path.to_owned(), e))?;
    Ok(mapping.get_or_init(|| map.into_bytes()))
}

fn slice(bytes: &Bytes, offset: u64, length: u32, path: &str) -> Result<Bytes> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    match start.checked_add(length as usize) {
        Some(end) if end <= bytes.len() => Ok(bytes.slice(start..end)),
        _ => Err(Error::Damaged {
            file: path.to_owned(),
            offset,
            expected: "more bytes than the file has",
        }),
    }
}

/// Blocks and records that were read for one lookup and that it has not got past yet.
const HELD_MAX: usize = 4;

/// Records longer than this are always read asynchronously: even from memory the system takes its
/// time to copy them.
const RESIDENT_LENGTH_MAX: u32 = 256 << 10;

/// Carries out many lookups at once on a thread that must not wait: from memory, from pages that
/// the system has at hand, else by asynchronous reads.
#[derive(Debug)]
pub struct LoopReader<L: Lookup> {
    reader: Reader,
    queue: QueueBox,
    /// What the names of files are behind, for errors.
    directory: String,
    next_token: u64,
    waiting: BTreeMap<u64, Waiter<L>>,
    /// Lookups that let others go first, with their callers' tokens.
    paused: VecDeque<(u64, L, Held)>,
    completions: Vec<Completion>,
}

struct QueueBox(Box<dyn Queue>);

impl std::fmt::Debug for QueueBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

#[derive(Debug)]
struct Waiter<L> {
    caller: u64,
    lookup: L,
    need: Need,
    held: Held,
}

#[derive(Debug, Default)]
struct Held {
    blocks: VecDeque<(u32, u64, Bytes)>,
    record: Option<(u32, u64, Bytes)>,
}

impl<L: Lookup> LoopReader<L> {
    /// With a queue of its own on the engine's disk.
    pub fn new(reader: Reader, disk: &dyn Disk) -> Result<Self> {
        let queue = disk.queue().map_err(|e| Error::io("start I/O on", disk.path(""), e))?;
        Ok(Self {
            reader,
            queue: QueueBox(queue),
            directory: disk.path(""),
            next_token: 0,
            waiting: BTreeMap::new(),
            paused: VecDeque::new(),
            completions: Vec::new(),
        })
    }

    /// Begins a lookup. The answer comes at once if nothing has to be waited for, else from
    /// [`LoopReader::poll`] with the caller's token.
    pub fn start(&mut self, caller: u64, lookup: L) -> Option<Result<L::Output>> {
        self.go_on(caller, lookup, Held::default())
    }

    /// How many lookups wait for the disk, or for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.paused.len()
    }

    /// Whether lookups wait only until [`LoopReader::poll`] is called again.
    pub fn is_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// Readable when [`LoopReader::poll`] may have something.
    pub fn event_descriptor(&self) -> Option<std::os::fd::RawFd> {
        self.queue.0.event_descriptor()
    }

    /// Answers of lookups whose reads completed.
    pub fn poll(&mut self, wait: Wait) -> Result<Vec<(u64, Result<L::Output>)>> {
        let mut completions = std::mem::take(&mut self.completions);
        let paused = std::mem::take(&mut self.paused);
        let wait = if paused.is_empty() { wait } else { Wait::No };
        self.queue
            .0
            .poll(wait, &mut completions)
            .map_err(|e| Error::io("wait for I/O on", String::from("the database"), e))?;
        let mut answers = Vec::new();
        for (caller, lookup, held) in paused {
            let answer = self.go_on(caller, lookup, held);
            answers.extend(answer.map(|answer| (caller, answer)));
        }
        for completion in completions.drain(..) {
            let waiter = self.waiting.remove(&completion.token);
            let Some(mut waiter) = waiter else { unreachable!("one completion a request") };
            let result = completion.result;
            let supplied = supply(&mut waiter.held, &waiter.need, &self.directory, result);
            let answer = match supplied {
                Ok(()) => self.go_on(waiter.caller, waiter.lookup, waiter.held),
                Err(error) => Some(Err(error)),
            };
            answers.extend(answer.map(|answer| (waiter.caller, answer)));
        }
        self.completions = completions;
        Ok(answers)
    }

    fn go_on(&mut self, caller: u64, mut lookup: L, held: Held) -> Option<Result<L::Output>> {
        let mut source = Resident { reader: &self.reader, held: &held };
        match lookup.step(&mut Blocks(&mut source)) {
            Ok(Step::Done(output)) => Some(Ok(output)),
            Err(error) => Some(Err(error)),
            Ok(Step::Pause) => {
                self.paused.push_back((caller, lookup, held));
                None
            }
            Ok(Step::Need(need)) => {
                let token = self.next_token;
                self.next_token += 1;
                let request = Request::Read {
                    file: Arc::clone(&need.file),
                    offset: need.offset,
                    length: need.length as usize,
                };
                self.queue.0.submit(token, request);
                self.waiting.insert(token, Waiter { caller, lookup, need, held });
                None
            }
        }
    }
}

fn supply(
    held: &mut Held,
    need: &Need,
    directory: &str,
    result: std::io::Result<Done>,
) -> Result<()> {
    let path = || format!("{directory}{}", need.what.file_name());
    let bytes = match result {
        Ok(Done::Read(bytes)) => bytes,
        Ok(_) => unreachable!("a read completes as a read"),
        Err(error) => return Err(Error::read(path(), need.offset, error)),
    };
    if bytes.len() < need.length as usize {
        let expected = "more bytes than the file has";
        return Err(Error::Damaged { file: path(), offset: need.offset, expected });
    }
    match need.what {
        Needed::Block { run } => {
            held.blocks.push_back((run, need.offset, bytes));
            if held.blocks.len() > HELD_MAX {
                held.blocks.pop_front();
            }
        }
        Needed::Record { segment } => held.record = Some((segment, need.offset, bytes)),
    }
    Ok(())
}

/// A source that never waits.
struct Resident<'a> {
    reader: &'a Reader,
    held: &'a Held,
}

impl Source for Resident<'_> {
    fn block(
        &mut self,
        run: &RunFile,
        offset: u64,
        length: u32,
        _: Option<usize>,
    ) -> Result<Step<Block>> {
        let number = run.summary.number;
        if let Some(block) = self.reader.cache.block(number, offset) {
            return Ok(Step::Done(block));
        }
        let held = self
            .held
            .blocks
            .iter()
            .find(|(held_run, held_offset, _)| (*held_run, *held_offset) == (number, offset));
        let bytes = match held {
            Some((_, _, bytes)) => bytes.clone(),
            None => match resident(&**run.file(), &run.path, offset, length)? {
                Some(bytes) => bytes,
                None => {
                    let what = Needed::Block { run: number };
                    let file = Arc::clone(run.file());
                    return Ok(Step::Need(Need { file, offset, length, what }));
                }
            },
        };
        let block = run.verify(bytes, offset)?;
        self.reader.cache.insert_block(number, offset, block.clone());
        Ok(Step::Done(block))
    }

    fn record(&mut self, segment: &Segment, offset: u64, length: u32) -> Result<Step<Bytes>> {
        if let Some((number, at, bytes)) = &self.held.record
            && (*number, *at) == (segment.number, offset)
            && bytes.len() == length as usize
        {
            return Ok(Step::Done(bytes.clone()));
        }
        let at_hand = match length <= RESIDENT_LENGTH_MAX {
            true => resident(&*segment.file, &segment.path, offset, length)?,
            false => None,
        };
        match at_hand {
            Some(bytes) => Ok(Step::Done(bytes)),
            None => {
                let what = Needed::Record { segment: segment.number };
                let file = Arc::clone(&segment.file);
                Ok(Step::Need(Need { file, offset, length, what }))
            }
        }
    }

    fn object(
        &mut self,
        segment: &Segment,
        location: &Location,
        keep: Keep,
    ) -> Result<Step<ObjectRecord>> {
        let Location { offset, length, .. } = *location;
        if let Some(record) = self.reader.cache.object(segment.number, offset) {
            return Ok(Step::Done(record));
        }
        let bytes = ready!(self.record(segment, offset, length)?);
        let mut record = ObjectRecord::verify(segment, &bytes, offset)?;
        if keep == Keep::Yes {
            // Answers name the checksum. An object that came without is summed up once, not with
            // each load.
            record.head.checksum.get_or_insert_with(|| sha1::Sha1::digest(&record.data).into());
            self.reader.cache.insert_object(segment.number, offset, record.clone());
        }
        Ok(Step::Done(record))
    }
}

/// Reads if the system has the bytes at hand.
fn resident(file: &dyn File, path: &str, offset: u64, length: u32) -> Result<Option<Bytes>> {
    let mut bytes = vec![0; length as usize];
    let count = file
        .read_resident(&mut bytes, offset)
        .map_err(|error| Error::read(path.to_owned(), offset, error))?;
    Ok(match count {
        Some(count) if count == bytes.len() => Some(bytes.into()),
        _ => None,
    })
}
