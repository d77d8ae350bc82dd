//! What waits to be sent on one connection.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::release;

/// Bytes from this length on are queued as they are; shorter ones are copied together: the system
/// takes longer to be given several pieces than it takes to copy so many bytes.
const SHARED_LENGTH_MIN: usize = 8 << 10;
/// Capacity of a buffer for what is copied together, in bytes.
const TAIL_CAPACITY: usize = 16 << 10;

/// Bytes to be sent, in order. Data of objects is not copied: it stays where it was read to.
#[derive(Default, Debug)]
pub struct SendQueue {
    ready: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl SendQueue {
    /// How many bytes wait.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All that waits, if it is in one piece, as it is most often.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        match (self.ready.len(), self.tail.is_empty()) {
            (0, false) => Some(&self.tail),
            (1, true) => self.ready.front().map(|bytes| &bytes[..]),
            _ => None,
        }
    }

    /// The first buffers that wait, at most so many, for a vectored write.
    pub fn slices(&mut self, count_max: usize) -> Vec<IoSlice<'_>> {
        self.end_tail();
        self.ready.iter().take(count_max).map(|bytes| IoSlice::new(bytes)).collect()
    }

    /// Takes away what was sent.
    ///
    /// # Panics
    /// If less waited.
    pub fn advance(&mut self, mut sent: usize) {
        self.length -= sent;
        if self.ready.is_empty() {
            self.tail.advance(sent);
            if sent > 0 && self.tail.is_empty() {
                // Back to the beginning of the buffer, so that what comes next is in one piece.
                self.tail.reserve(TAIL_CAPACITY);
            }
            return;
        }
        self.end_tail();
        while sent > 0 {
            let front = self.ready.front_mut().expect("what was sent had waited");
            if sent < front.len() {
                front.advance(sent);
                return;
            }
            sent -= front.len();
            self.ready.pop_front();
        }
    }

    /// Takes at most so many bytes off the front, as one piece. For networks that are simulated.
    pub fn take(&mut self, length_max: usize) -> Bytes {
        self.end_tail();
        let mut taken = BytesMut::new();
        for bytes in &self.ready {
            let wanted = (length_max - taken.len()).min(bytes.len());
            taken.extend_from_slice(&bytes[..wanted]);
        }
        self.advance(taken.len());
        taken.freeze()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.end_tail();
            self.tail.reserve(TAIL_CAPACITY.max(bytes.len()));
        }
        self.tail.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(crate) fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_LENGTH_MIN {
            return self.put(bytes);
        }
        self.end_tail();
        self.length += bytes.len();
        self.ready.push_back(release::elsewhere(bytes.clone()));
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.ready.push_back(self.tail.split().freeze());
        }
    }
}
