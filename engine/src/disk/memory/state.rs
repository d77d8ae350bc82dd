//! The disk itself: names, files, requests of queues, and the faults that happen to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use bytes::Bytes;
use model::Random;

use super::contents::{BLOCK_LENGTH, Contents};
use super::faults::{CrashedError, Fault, Operation, Plan};
use super::names::{FileId, Names, Table};
use super::queue::{Outstanding, Work};

/// Length of a file at most, so that a wild offset does not take all memory.
const FILE_LENGTH_MAX: u64 = 1 << 32;

/// What is said to be free where there is no limit.
const UNLIMITED_FREE_BYTES: u64 = 1 << 40;

/// How much of what is not durable an image has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keep {
    /// Nothing.
    Synced,
    /// What luck leaves.
    Some,
    /// All, as little durable as before.
    Cached,
    /// All, made durable.
    All,
}

pub(super) struct State {
    pub(super) plan: Plan,
    pub(super) capacity: Option<u64>,
    pub(super) is_crashed: bool,
    names: Names,
    pub(super) files: BTreeMap<FileId, Node>,
    /// Requests submitted and not carried out, by queue.
    pub(super) queues: BTreeMap<u64, VecDeque<Outstanding>>,
    /// The last number given to a file or queue.
    last_number: u64,
}

/// A file, whatever it is called.
#[derive(Default)]
pub(super) struct Node {
    contents: Contents,
    /// Handles and outstanding requests.
    users: usize,
    /// Dropped from the cache and not read since.
    is_cold: bool,
}

/// How far an operation gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Whole,
    Short,
    /// Done, but the disk crashes before it can say so.
    Crash,
}

impl Step {
    fn end(self) -> io::Result<()> {
        match self {
            Step::Whole | Step::Short => Ok(()),
            Step::Crash => Err(CrashedError.into()),
        }
    }
}

// Names.
impl State {
    pub(super) fn new(random: Random) -> Self {
        Self {
            plan: Plan::new(random),
            capacity: None,
            is_crashed: false,
            names: Names::default(),
            files: BTreeMap::new(),
            queues: BTreeMap::new(),
            last_number: 0,
        }
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        self.check_alive()?;
        Ok(self.names.current().keys().cloned().collect())
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<FileId> {
        self.check_alive()?;
        let id = self.find(name)?;
        self.retain(id);
        Ok(id)
    }

    pub(super) fn create(&mut self, name: &str) -> io::Result<FileId> {
        self.check_alive()?;
        if self.names.current().contains_key(name) {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        let step = self.begin(Operation::Create)?;
        let id = FileId(self.number());
        self.files.insert(id, Node::default());
        self.names.create(name, id);
        step.end()?;
        self.retain(id);
        Ok(id)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.check_alive()?;
        self.find(name)?;
        let step = self.begin(Operation::Remove)?;
        self.names.remove(name);
        step.end()
    }

    pub(super) fn rename(&mut self, source: &str, target: &str) -> io::Result<()> {
        self.check_alive()?;
        self.find(source)?;
        let step = self.begin(Operation::Rename)?;
        self.names.rename(source, target);
        step.end()
    }

    pub(super) fn sync_directory(&mut self) -> io::Result<()> {
        self.check_alive()?;
        self.begin(Operation::SyncDirectory)?.end()?;
        self.names.sync();
        self.files.retain(|id, node| node.users > 0 || self.names.refers_to(*id));
        Ok(())
    }

    fn find(&self, name: &str) -> io::Result<FileId> {
        let id = self.names.current().get(name);
        id.copied().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    pub(super) fn retain(&mut self, id: FileId) {
        self.node(id).users += 1;
    }

    pub(super) fn release(&mut self, id: FileId) {
        let node = self.node(id);
        node.users -= 1;
        if node.users == 0 && !self.names.refers_to(id) {
            self.files.remove(&id);
        }
    }

    /// A number that no file and no queue has.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

// Files.
impl State {
    pub(super) fn length(&self, id: FileId) -> io::Result<u64> {
        self.check_alive()?;
        Ok(wide(self.files[&id].contents.bytes().len()))
    }

    pub(super) fn read(&mut self, id: FileId, offset: u64, length: usize) -> io::Result<&[u8]> {
        self.check_alive()?;
        if self.plan.read_fails() {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let node = self.node(id);
        node.is_cold = false;
        Ok(node.contents.read(offset, length))
    }

    pub(super) fn is_resident(&mut self, id: FileId) -> io::Result<bool> {
        self.check_alive()?;
        Ok(!self.node(id).is_cold && !self.plan.misses())
    }

    pub(super) fn write(&mut self, id: FileId, offset: u64, mut data: Bytes) -> io::Result<usize> {
        self.check_alive()?;
        let position = check_end(offset, data.len())?;
        let length = data.len();
        let step = self.begin(Operation::Write { length })?;
        if step == Step::Short {
            data.truncate(1 + self.plan.random.index(length - 1));
        }
        let room = self.room(id, position, data.len());
        if room < data.len() && (room == 0 || self.plan.random.chance(1, 2)) {
            step.end()?;
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        data.truncate(room);
        self.node(id).contents.write(position, data);
        step.end()?;
        Ok(room)
    }

    pub(super) fn set_length(&mut self, id: FileId, length: u64) -> io::Result<()> {
        self.check_alive()?;
        let length = check_end(length, 0)?;
        let step = self.begin(Operation::SetLength)?;
        self.node(id).contents.set_length(length);
        step.end()
    }

    pub(super) fn sync(&mut self, id: FileId) -> io::Result<()> {
        self.check_alive()?;
        match self.begin(Operation::Sync) {
            Ok(step) => {
                step.end()?;
                self.node(id).contents.sync();
                Ok(())
            }
            Err(error) => {
                let node = self.files.get_mut(&id).expect("the file has a user");
                node.contents.fail_sync(&mut self.plan.random);
                Err(error)
            }
        }
    }

    pub(super) fn map(&mut self, id: FileId, length: usize) -> io::Result<Bytes> {
        self.check_alive()?;
        let bytes = self.node(id).contents.map();
        if length > bytes.len() {
            let error = format!("{length} bytes to map, but the file has {}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        Ok(bytes.slice(..length))
    }

    pub(super) fn drop_cache(&mut self, id: FileId) -> io::Result<()> {
        self.check_alive()?;
        self.node(id).is_cold = true;
        Ok(())
    }

    /// Blocks in the cache, where a file is as a whole or not at all, and blocks that there are.
    pub(super) fn cached_pages(&self, id: FileId) -> io::Result<(u64, u64)> {
        self.check_alive()?;
        let node = &self.files[&id];
        let total = wide(node.contents.bytes().len().div_ceil(BLOCK_LENGTH));
        Ok((if node.is_cold { 0 } else { total }, total))
    }

    fn node(&mut self, id: FileId) -> &mut Node {
        self.files.get_mut(&id).expect("the file has a name or a user")
    }
}

// Faults and space.
impl State {
    pub(super) fn check_alive(&self) -> io::Result<()> {
        if self.is_crashed {
            return Err(CrashedError.into());
        }
        Ok(())
    }

    /// Counts an operation; an error where it is not done.
    fn begin(&mut self, operation: Operation) -> io::Result<Step> {
        match self.plan.operation(operation) {
            None => Ok(Step::Whole),
            Some(Fault::ShortWrite) => Ok(Step::Short),
            Some(Fault::Crash) => {
                self.is_crashed = true;
                Ok(Step::Crash)
            }
            Some(Fault::Full) => {
                self.capacity = Some(self.allocated_bytes());
                Ok(Step::Whole)
            }
            Some(Fault::NoSpace | Fault::SyncNoSpace) => {
                Err(io::Error::from_raw_os_error(libc::ENOSPC))
            }
            Some(Fault::WriteError | Fault::SyncError | Fault::ReadError) => {
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
        }
    }

    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        self.check_alive()?;
        Ok(match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.allocated_bytes()),
            None => UNLIMITED_FREE_BYTES,
        })
    }

    /// Of files that have a name or a user.
    pub(super) fn allocated_bytes(&self) -> u64 {
        let named: BTreeSet<FileId> = self.names.current().values().copied().collect();
        let files = self.files.iter();
        let files = files.filter(|(id, node)| node.users > 0 || named.contains(id));
        let blocks: usize = files.map(|(_, node)| node.contents.allocated_blocks()).sum();
        wide(blocks * BLOCK_LENGTH)
    }

    /// How many bytes of a write there is space for.
    fn room(&self, id: FileId, offset: usize, length: usize) -> usize {
        let Some(capacity) = self.capacity else {
            return length;
        };
        let free = capacity.saturating_sub(self.allocated_bytes()) / wide(BLOCK_LENGTH);
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        self.files[&id].contents.fitting(offset, length, free)
    }

    pub(super) fn total_bytes(&self) -> u64 {
        let files = self.names.current().values();
        files.map(|id| wide(self.files[id].contents.bytes().len())).sum()
    }
}

// Images, and files as tests see them.
impl State {
    /// The disk that is found when this one has lost power, or the process has ended.
    pub(super) fn image(&self, mut random: Random, keep: Keep) -> Self {
        let table = match keep {
            Keep::Synced => self.names.durable().clone(),
            Keep::Some => self.names.crash(&mut random),
            Keep::Cached | Keep::All => self.names.current().clone(),
        };
        let mut image = Self::new(Random::from_seed(random.next_u64()));
        image.capacity = self.capacity;
        image.last_number = self.last_number;
        let mut files: BTreeMap<FileId, Contents> = BTreeMap::new();
        for id in self.files.keys().filter(|id| self.is_found(**id, &table, keep)) {
            let contents = self.contents_in_flight(*id, &mut random, keep);
            let contents = contents.as_ref().unwrap_or(&self.files[id].contents);
            let found = match keep {
                Keep::Synced => contents.image(contents.durable()),
                Keep::Some => contents.image(contents.crash(&mut random)),
                Keep::Cached => contents.clone(),
                Keep::All => contents.image(contents.bytes().to_vec()),
            };
            files.insert(*id, found);
        }
        image.names = match keep {
            Keep::Cached => self.names.clone(),
            Keep::Synced | Keep::Some | Keep::All => Names::from_table(table),
        };
        let node = |contents| Node { contents, users: 0, is_cold: false };
        image.files = files.into_iter().map(|(id, contents)| (id, node(contents))).collect();
        image
    }

    /// Whether an image has a file. What the cache survives with can still lose or keep names.
    fn is_found(&self, id: FileId, table: &Table, keep: Keep) -> bool {
        match keep {
            Keep::Cached => self.names.refers_to(id),
            Keep::Synced | Keep::Some | Keep::All => table.values().any(|found| *found == id),
        }
    }

    /// The content, if some of the writes that queues have not completed were carried out.
    fn contents_in_flight(&self, id: FileId, random: &mut Random, keep: Keep) -> Option<Contents> {
        if keep == Keep::Synced || keep == Keep::All {
            return None;
        }
        let mut contents = None;
        for outstanding in self.queues.values().flatten().filter(|request| request.file == id) {
            if let Work::Write { offset, data, .. } = &outstanding.work
                && let Ok(position) = check_end(*offset, data.len())
                && self.room(id, position, data.len()) == data.len()
                && random.chance(1, 2)
            {
                let contents = contents.get_or_insert_with(|| self.files[&id].contents.clone());
                contents.write(position, data.clone());
            }
        }
        contents
    }

    /// What happens to a write that was on its way when the disk crashed: it is done or not.
    pub(super) fn write_after_crash(&mut self, id: FileId, offset: u64, data: &Bytes) {
        if let Ok(position) = check_end(offset, data.len())
            && self.room(id, position, data.len()) == data.len()
            && self.plan.random.chance(1, 2)
        {
            self.node(id).contents.write(position, data.clone());
        }
    }

    pub(super) fn read_file(&self, name: &str) -> Option<Vec<u8>> {
        let id = self.names.current().get(name)?;
        Some(self.files[id].contents.bytes().to_vec())
    }

    pub(super) fn write_file(&mut self, name: &str, data: &[u8]) {
        let id = FileId(self.number());
        let contents = Contents::new(data.to_vec());
        self.files.insert(id, Node { contents, ..Node::default() });
        self.names.create(name, id);
        self.names.sync();
    }

    pub(super) fn remove_file(&mut self, name: &str) {
        self.names.remove(name);
        self.names.sync();
    }

    pub(super) fn flip(&mut self, name: &str, offset: u64, mask: u8) {
        let id = self.find(name).expect("there is such a file");
        let offset = usize::try_from(offset).expect("there is such a byte");
        self.node(id).contents.flip(offset, mask);
    }
}

/// An offset, if what is written there ends within the longest file.
fn check_end(offset: u64, length: usize) -> io::Result<usize> {
    match offset.checked_add(wide(length)) {
        Some(end) if end <= FILE_LENGTH_MAX => Ok(usize::try_from(offset).unwrap_or(usize::MAX)),
        _ => Err(io::Error::from_raw_os_error(libc::EFBIG)),
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).expect("usize fits")
}
