//! Proposes changes and says which are durable.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use engine::disk::{Disk, Wait};
use model::Random;

use super::codec;
use super::command::Command;
use super::consensus::{Consensus, Position, RaftOfOne};
use super::files::{self, Files, Saved};
use super::format::{Header, NAMES, Role};
use super::remembered::Remembered;
use super::scan::{Found, scan};
use crate::error::Error;

/// What must not be lost.
pub(crate) struct Ledger {
    /// What is durable.
    remembered: Remembered,
    /// None: nothing outlives the process.
    store: Option<Store>,
    /// How many changes were proposed and are not durable.
    outstanding: usize,
}

struct Store {
    consensus: Box<dyn Consensus>,
    files: Files,
}

impl Ledger {
    /// Opens the log of a directory, or begins one. Without a disk nothing outlives the process.
    ///
    /// # Errors
    /// If the log is damaged, of a later version, or the disk refuses something.
    pub(crate) fn open(disk: Option<Arc<dyn Disk>>, random: &mut Random) -> Result<Self, Error> {
        let Some(disk) = disk else {
            return Ok(Self { remembered: Remembered::default(), store: None, outstanding: 0 });
        };
        let open = files::open(&disk)?;
        let paths = NAMES.map(|name| disk.path(name));
        let contents = [files::read(&open[0], &paths[0])?, files::read(&open[1], &paths[1])?];
        let Found { header, other, position, mut remembered, records, places } =
            scan(&paths, &contents)?.unwrap_or_else(|| new_log(random));
        let mut consensus = RaftOfOne::new(header.voter, &position, records);
        // What is read is durable already, and the new term is as soon as the next snapshot is.
        while let Some((number, _)) = consensus.unsaved() {
            consensus.saved(number);
        }
        for (index, entry) in consensus.agreed() {
            apply(&mut remembered, &entry).map_err(|what| {
                let file = paths[header.index()].clone();
                Error::Damaged { file, offset: places.get(&index).copied().unwrap_or(0), what }
            })?;
        }
        let position = consensus.position();
        let files = Files::begin(disk, open, header, other, position, &remembered)?;
        consensus.compacted();
        let store = Store { consensus: Box::new(consensus), files };
        Ok(Self { remembered, store: Some(store), outstanding: 0 })
    }

    /// What is durable.
    pub(crate) fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Whether anything outlives the process.
    pub(crate) fn is_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Where it is kept, for messages.
    pub(crate) fn path(&self) -> String {
        self.store.as_ref().map_or_else(|| "memory only".to_owned(), |store| store.files.path())
    }

    /// Proposes a change; it is durable as soon as [`Ledger::is_settled`].
    pub(crate) fn propose(&mut self, command: Command) {
        let Some(store) = &mut self.store else {
            let applied = self.remembered.apply(&command);
            return applied.expect("the master proposes what fits");
        };
        store.consensus.propose(codec::encode(&command));
        store.save();
        self.outstanding += 1;
    }

    /// Whether all that was proposed is durable.
    pub(crate) fn is_settled(&self) -> bool {
        self.outstanding == 0
    }

    /// Whether writes are on their way.
    pub(crate) fn is_writing(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.files.is_writing())
    }

    /// Looks for writes that completed.
    ///
    /// # Errors
    /// If the disk refuses something: what was proposed may be lost, and nothing more can be
    /// promised. The same error is returned from then on. Where there is no space, what was
    /// proposed waits instead, until [`Ledger::deadline`].
    pub(crate) fn poll(&mut self, now: Duration) -> Result<(), Error> {
        self.advance(Wait::No, now)
    }

    /// When to look again, besides when the descriptor is readable.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.store.as_ref().and_then(|store| store.files.deadline())
    }

    /// Waits until all that was proposed is durable. It blocks: for before the loop only.
    ///
    /// # Errors
    /// Those of [`Ledger::poll`], and a disk without space.
    pub(crate) fn wait(&mut self) -> Result<(), Error> {
        while !self.is_settled() {
            if self.deadline().is_some() {
                let (file, doing) = (self.path(), "writing");
                let source = io::ErrorKind::StorageFull.into();
                return Err(Error::Disk { file, doing, source });
            }
            self.advance(Wait::Yes, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Readable when writes may have completed.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.store.as_ref().and_then(|store| store.files.descriptor())
    }

    fn advance(&mut self, wait: Wait, now: Duration) -> Result<(), Error> {
        let Some(store) = &mut self.store else { return Ok(()) };
        match store.files.poll(wait, now)? {
            None => {}
            Some(Saved::Compacted) => store.consensus.compacted(),
            Some(Saved::Records(number)) => {
                store.consensus.saved(number);
                store.save();
            }
        }
        for (_, entry) in store.consensus.agreed() {
            let applied = apply(&mut self.remembered, &entry);
            applied.expect("the master proposes what fits");
            self.outstanding -= 1;
        }
        if store.files.is_long() {
            store.files.compact(store.consensus.position(), &self.remembered);
        }
        store.files.go_on();
        Ok(())
    }
}

impl Store {
    fn save(&mut self) {
        if let Some((number, records)) = self.consensus.unsaved() {
            self.files.append(number, records);
        }
    }
}

fn apply(remembered: &mut Remembered, entry: &[u8]) -> Result<(), &'static str> {
    let command = codec::decode(entry).ok_or("an entry that is no command")?;
    remembered.apply(&command)
}

/// A log that nothing was written to. Its first generation goes to the first file.
fn new_log(random: &mut Random) -> Found {
    let id = random.bytes(16).try_into().expect("16 bytes");
    // Zero stands for nobody.
    let voter = random.next_u64().max(1);
    let header = Header { id, number: 1, role: Role::Superseded, generation: 0, voter };
    let position = Position { voters: vec![voter], ..Position::default() };
    let (remembered, records, places) = Default::default();
    Found { header, other: None, position, remembered, records, places }
}
