//! What the disk takes for a write that is synced: the least that a commit waits for.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::latency::Latencies;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Bytes of a write.
const WRITE_LENGTH: usize = 4096;
/// Bytes of the file that is written over.
const PREWRITTEN_LENGTH: u64 = 4 << 20;

/// Two files of no name: one that grows with each write, and one whose blocks are there already.
pub(super) struct Appends {
    growing: File,
    growing_length: u64,
    prewritten: File,
    prewritten_position: u64,
    directory: PathBuf,
    /// Of writes that make the file longer.
    pub(super) growing_latencies: Latencies,
    /// Of writes over what was written before.
    pub(super) prewritten_latencies: Latencies,
}

impl Appends {
    pub(super) fn new(directory: &Path) -> Result<Self, Failure> {
        let failed = failed(directory);
        let (growing, prewritten) =
            (nameless(directory).map_err(&failed)?, nameless(directory).map_err(&failed)?);
        let zeros = vec![0; usize::try_from(PREWRITTEN_LENGTH).expect("a short file")];
        prewritten.write_all_at(&zeros, 0).map_err(&failed)?;
        prewritten.sync_all().map_err(&failed)?;
        growing.sync_all().map_err(&failed)?;
        Ok(Self {
            growing,
            growing_length: 0,
            prewritten,
            prewritten_position: 0,
            directory: directory.to_owned(),
            growing_latencies: Latencies::new(),
            prewritten_latencies: Latencies::new(),
        })
    }

    /// Writes for some time, into both in turn.
    pub(super) fn run(&mut self, duration: Duration, stop: &Interrupt) -> Result<(), Failure> {
        let bytes = [0xa5; WRITE_LENGTH];
        let deadline = Instant::now() + duration;
        while Instant::now() < deadline {
            stop.check()?;
            let start = Instant::now();
            synced(&self.growing, &bytes, self.growing_length).map_err(failed(&self.directory))?;
            let middle = Instant::now();
            synced(&self.prewritten, &bytes, self.prewritten_position)
                .map_err(failed(&self.directory))?;
            self.growing_latencies.record(middle - start);
            self.prewritten_latencies.record(middle.elapsed());
            self.growing_length += WRITE_LENGTH as u64;
            self.prewritten_position += WRITE_LENGTH as u64;
            self.prewritten_position %= PREWRITTEN_LENGTH;
        }
        Ok(())
    }
}

fn synced(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    file.write_all_at(bytes, offset)?;
    file.sync_data()
}

/// A file that is gone when it is closed.
fn nameless(directory: &Path) -> std::io::Result<File> {
    let path = directory.join(format!("neolith-bench-{}", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn failed(directory: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = directory.display().to_string();
    move |source| Failure::Io { action: "write a file in", path: path.clone(), source }
}
