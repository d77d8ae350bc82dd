//! A disk in memory that fails as disks fail, the same way each time for one seed.
//!
//! It is released code, not a mock: whatever runs on a real directory runs on it unchanged, a
//! thousand times a second, with every fault a file system is allowed to have. Only what the
//! promises in [`crate::disk`] allow is ever done to data.
//!
//! **Caching.** Like a system with a page cache: a write is seen by readers at once and is durable
//! only once its file is synced. For each file the disk remembers what is durable and what has
//! happened since; for the directory likewise.
//!
//! **Power cut.** [`MemoryDisk::crash_image`] makes the disk that is found afterwards. Whatever
//! was synced is there. Of what was not, each sector of 512 bytes holds either its durable content
//! or what it held after one of the later writes, independently of all other sectors: so writes
//! are lost, torn at sector boundaries, and reordered. A sector itself is never torn. Some images
//! keep the first so many writes of a file whole instead and lose the rest. The length of a file
//! is one that it had since its last sync, or between two of these where it grew; where the length
//! was kept and the data was not, there are zeros. Lengths go in order: behind a cut that was lost
//! nothing written later is found. Requests that a queue had not completed have been carried out,
//! in part or in whole, or not.
//!
//! **Names.** Half of the images keep the first so many creations, removals and renames since the
//! directory was synced, as a journal does; the others lose each one by itself, and with it those
//! later ones that concern the same name. A rename is atomic: the old name or the new one, and what
//! had the new name is replaced or still there. A file whose name was lost is lost, synced or not.
//!
//! **Killed process.** [`MemoryDisk::keep_all`] is what is found when only the process ended: the
//! page cache survives, and is as little durable as before.
//!
//! **Errors.** [`MemoryDisk::schedule`] makes one operation fail, [`Faults`] make operations fail
//! at random: writes are short or fail with EIO, syncs and reads fail with EIO, there is no space.
//! A sync that fails drops a part of what it should have made durable: it is still read, and no
//! later sync stores it, until it is written again; this is what Linux does.
//!
//! **Space.** With [`MemoryDisk::set_capacity`] blocks of 4 KiB are counted. Writing into a block
//! that was written before needs no space. A write for which there is not enough is short or fails
//! with ENOSPC. Cutting a file gives blocks back, removing it does when nobody has it open.
//!
//! **Queues.** Requests are carried out when completions are polled, in the order in which they
//! were submitted; with [`Faults::slow_permille`] in random order, some of them not until later.
//! With [`MemoryDisk::hold_requests`] they wait until somebody who keeps time lets them be done.
//!
//! **Damage.** [`MemoryDisk::flip`] flips a bit of what is stored.
//!
//! What it does not do: tear sectors, write to the wrong place, forget what was synced, or delay
//! anything by the clock.

mod contents;
mod faults;
mod file;
mod names;
mod queue;
mod state;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Random;

pub use self::faults::{CrashedError, Fault, Faults};
use self::file::MemoryFile;
use self::queue::MemoryQueue;
use self::state::{Keep, State};
use crate::disk::{Access, Disk, File, Queue, check_name};

/// A handle on a disk in memory; clones lead to the same disk.
///
/// What it does to data is told in the [module's documentation](self). One thread that uses one
/// seed always sees the same; with several threads it depends on their timing as well.
///
/// Operations are what changes the disk or makes changes durable: writes, syncs, changes of
/// length, creations, renames, removals and syncs of the directory, those of queues included (a
/// write with a sync counts twice). They are numbered from 0 as they happen; reads are numbered by
/// themselves. Images have neither faults nor schedule, and their numbers begin again.
#[derive(Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

impl MemoryDisk {
    /// An empty disk of unlimited capacity, without faults.
    pub fn new(seed: u64) -> Self {
        Self::from_state(State::new(Random::from_seed(seed)))
    }

    /// The same disk, with random faults from now on.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        self.lock().plan.faults = faults;
        self
    }

    /// Makes the operation with this number fail, or the first one after it that can fail in this
    /// way. [`Fault::ReadError`] goes by the number of a read.
    pub fn schedule(&self, at_operation: u64, fault: Fault) {
        self.lock().plan.schedule(at_operation, fault);
    }

    /// Makes nothing fail any more that was scheduled and has not happened.
    pub fn clear_schedule(&self) {
        self.lock().plan.clear_schedule();
    }

    /// Whether that was scheduled and has not happened.
    pub fn is_scheduled(&self, at_operation: u64, fault: Fault) -> bool {
        self.lock().plan.is_scheduled(at_operation, fault)
    }

    /// How many operations there were, failed ones included: the number of the next.
    pub fn operations(&self) -> u64 {
        self.lock().plan.operations
    }

    /// How many reads there were, failed ones included: the number of the next.
    pub fn reads(&self) -> u64 {
        self.lock().plan.reads
    }

    /// Limits the bytes in allocated blocks of all files together.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.lock().capacity = capacity;
    }

    /// The limit set with [`Self::set_capacity`].
    pub fn capacity(&self) -> Option<u64> {
        self.lock().capacity
    }

    /// Holds back requests of queues, so that time passes between submission and completion, or
    /// lets them be done at the next poll. A poll that waits has them done all the same.
    pub fn hold_requests(&self, hold: bool) {
        self.lock().plan.holds_requests = hold;
    }

    /// Requests of queues that were submitted and not carried out.
    pub fn outstanding(&self) -> usize {
        self.lock().queues.values().map(VecDeque::len).sum()
    }

    /// Whether [`Fault::Crash`] has happened: every call on the disk and its files fails with
    /// [`CrashedError`] now.
    pub fn is_crashed(&self) -> bool {
        self.lock().is_crashed
    }

    /// What a power cut leaves: all that was synced, and of the rest what the seed says.
    #[must_use]
    pub fn crash_image(&self, seed: u64) -> Self {
        Self::from_state(self.lock().image(Random::from_seed(seed), Keep::Some))
    }

    /// What a power cut leaves at worst: all that was synced and nothing else.
    #[must_use]
    pub fn lose_all_unsynced(&self) -> Self {
        let state = self.lock();
        Self::from_state(state.image(state.plan.random.clone(), Keep::Synced))
    }

    /// What is found after the process was killed: everything, durable or not.
    #[must_use]
    pub fn keep_all(&self) -> Self {
        let state = self.lock();
        Self::from_state(state.image(state.plan.random.clone(), Keep::Cached))
    }

    /// A copy on which everything is durable, as if the file system had been unmounted.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let state = self.lock();
        Self::from_state(state.image(state.plan.random.clone(), Keep::All))
    }

    /// Lengths of all files together, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.lock().total_bytes()
    }

    /// Bytes of all allocated blocks.
    pub fn allocated_bytes(&self) -> u64 {
        self.lock().allocated_bytes()
    }

    /// What readers see in a file; `None` if there is no such file. Works on a crashed disk too,
    /// and counts as no operation, like all that follows.
    pub fn read_file(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().read_file(name)
    }

    /// Stores a file, durably, in place of what had its name. All names are synced with it.
    pub fn write_file(&self, name: &str, data: &[u8]) {
        self.lock().write_file(name, data);
    }

    /// Removes a file, durably, if there is one. All names are synced with it.
    pub fn remove_file(&self, name: &str) {
        self.lock().remove_file(name);
    }

    /// Flips bit 0 to 7 of a stored byte.
    ///
    /// # Panics
    /// If there is no such file, byte or bit.
    pub fn flip(&self, name: &str, offset: u64, bit: u32) {
        assert!(bit < 8, "a byte has bits 0 to 7");
        self.lock().flip(name, offset, 1 << bit);
    }

    fn from_state(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.lock().list()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let file = match access {
            Access::Read | Access::ReadWrite => self.lock().open(name)?,
            Access::CreateNew => self.lock().create(name)?,
        };
        let state = Arc::clone(&self.state);
        Ok(Arc::new(MemoryFile::new(state, file, access)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().remove(name)
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        check_name(target)?;
        self.lock().rename(source, target)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.lock().sync_directory()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.lock().free_bytes()
    }

    fn queue(&self) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(MemoryQueue::new(Arc::clone(&self.state))))
    }

    fn path(&self, name: &str) -> String {
        format!("memory:{name}")
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("MemoryDisk")
            .field("operations", &state.plan.operations)
            .field("is_crashed", &state.is_crashed)
            .finish_non_exhaustive()
    }
}

/// A test that failed while it held the lock may still look at the disk.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
