//! A queue of the disk in memory. Requests wait in the disk's state, so that a crash finds them.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};

use super::faults::CrashedError;
use super::file::MemoryFile;
use super::lock;
use super::names::FileId;
use super::state::State;
use crate::disk::{Completion, Done, File, Queue, Request, Sync, SyncFailed, Wait};

/// A queue that does its requests when it is polled.
pub(super) struct MemoryQueue {
    state: Arc<Mutex<State>>,
    number: u64,
}

/// A request that was submitted and not carried out. It is one user of the file.
pub(super) struct Outstanding {
    token: u64,
    pub(super) file: FileId,
    pub(super) work: Work,
}

pub(super) enum Work {
    Write {
        offset: u64,
        data: Bytes,
        sync: Sync,
    },
    Sync,
    Read {
        offset: u64,
        length: usize,
    },
    /// Submitted to no avail.
    Refused(io::Error),
}

impl MemoryQueue {
    pub(super) fn new(state: Arc<Mutex<State>>) -> Self {
        let number = {
            let mut state = lock(&state);
            let number = state.number();
            state.queues.insert(number, VecDeque::new());
            number
        };
        Self { state, number }
    }
}

impl Queue for MemoryQueue {
    fn submit(&mut self, token: u64, request: Request) {
        let (file, work) = match request {
            Request::Write { file, offset, data, sync } => {
                let data = concatenated(data);
                (file, Work::Write { offset, data, sync })
            }
            Request::Sync { file } => (file, Work::Sync),
            Request::Read { file, offset, length } => (file, Work::Read { offset, length }),
        };
        let handle = memory_file(file.as_ref());
        let file = handle.id_on(&self.state).expect("queues serve files of their own disk");
        let is_write = matches!(work, Work::Write { .. });
        let writable = if is_write { handle.check_writable() } else { Ok(()) };
        let mut state = lock(&self.state);
        let work = match state.check_alive().and(writable) {
            Ok(()) => work,
            Err(error) => Work::Refused(error),
        };
        state.retain(file);
        let requests = state.queues.get_mut(&self.number).expect("the queue exists");
        requests.push_back(Outstanding { token, file, work });
    }

    fn poll(&mut self, wait: Wait, completions: &mut Vec<Completion>) -> io::Result<()> {
        lock(&self.state).poll(self.number, wait, completions);
        Ok(())
    }

    fn event_descriptor(&self) -> Option<RawFd> {
        None
    }
}

impl Drop for MemoryQueue {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        for request in state.queues.remove(&self.number).unwrap_or_default() {
            state.complete(request);
        }
    }
}

impl State {
    /// Carries out requests of a queue: all, or those that are not slow.
    fn poll(&mut self, number: u64, wait: Wait, completions: &mut Vec<Completion>) {
        if self.plan.holds_requests && wait == Wait::No {
            return;
        }
        let before = completions.len();
        let requests = self.queues.get_mut(&number).expect("the queue exists");
        let mut requests = std::mem::take(requests);
        if self.plan.faults.slow_permille > 0 {
            self.plan.random.shuffle(requests.make_contiguous());
        }
        let mut slow = VecDeque::new();
        while let Some(request) = requests.pop_front() {
            let is_last = requests.is_empty() && completions.len() == before;
            let must = wait == Wait::Yes && is_last;
            if !must && self.plan.is_slow() {
                slow.push_back(request);
            } else {
                completions.push(self.complete(request));
            }
        }
        self.queues.insert(number, slow);
    }

    fn complete(&mut self, request: Outstanding) -> Completion {
        let Outstanding { token, file, work } = request;
        let result = self.perform(file, work);
        self.release(file);
        Completion { token, result }
    }

    fn perform(&mut self, file: FileId, work: Work) -> io::Result<Done> {
        match work {
            Work::Write { offset, data, .. } if self.is_crashed => {
                self.write_after_crash(file, offset, &data);
                Err(CrashedError.into())
            }
            Work::Write { offset, data, sync } => {
                let length = data.len();
                let written = self.write(file, offset, data)?;
                if written == length && sync == Sync::Data {
                    self.sync(file).map_err(|error| match CrashedError::is_in(&error) {
                        true => error,
                        false => SyncFailed::wrap(error),
                    })?;
                }
                Ok(Done::Written(written))
            }
            Work::Sync => self.sync(file).map(|()| Done::Synced),
            Work::Read { offset, length } => {
                let data = self.read(file, offset, length)?;
                Ok(Done::Read(Bytes::copy_from_slice(data)))
            }
            Work::Refused(error) => Err(error),
        }
    }
}

fn memory_file(file: &dyn File) -> &MemoryFile {
    let file: &dyn Any = file;
    file.downcast_ref().expect("queues serve files of their own disk")
}

/// The buffers one after the other, copied only where there are several.
fn concatenated(mut data: Vec<Bytes>) -> Bytes {
    if data.len() == 1 {
        return data.remove(0);
    }
    let mut whole = BytesMut::with_capacity(data.iter().map(Bytes::len).sum());
    for buffer in &data {
        whole.extend_from_slice(buffer);
    }
    whole.freeze()
}
