//! What happened last, for whoever has to understand a failure.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::time::Duration;

use net::HANDSHAKE;
use sha1::{Digest, Sha1};

use super::network::{ConnectionId, Side};
use crate::script::describe_packets;

/// Lines that are kept.
const LINES_MAX: usize = 400;

/// The last lines, and a hash of everything. All lines go to standard error if `WORLD_TRACE` is in
/// the environment.
pub(super) struct Trace {
    hash: Sha1,
    /// Whether packets are described, which takes longer than to send them.
    describes: bool,
    lines: VecDeque<String>,
    is_printed: bool,
    streams: BTreeMap<(ConnectionId, Side), Stream>,
}

#[derive(Default)]
struct Stream {
    /// Bytes of the handshake, which is no packet.
    greeting_length: usize,
    /// Bytes that are no whole packet yet.
    buffer: Vec<u8>,
}

impl Trace {
    pub(super) fn new() -> Self {
        let is_printed = env::var_os("WORLD_TRACE").is_some();
        let (hash, lines, streams) = (Sha1::new(), VecDeque::new(), BTreeMap::new());
        Self { hash, describes: true, lines, is_printed, streams }
    }

    /// Has it leave out packets: only the hash knows of them.
    pub(super) fn leave_out_packets(&mut self) {
        self.describes = self.is_printed;
    }

    pub(super) fn print(&mut self) {
        self.is_printed = true;
    }

    /// A hash of all that has happened: equal if and only if the same happened.
    pub(super) fn hash(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn say(&mut self, at: Duration, text: &str) {
        let line = format!("{:.6} {text}", at.as_secs_f64());
        self.hash.update(&line);
        self.keep(line);
    }

    fn keep(&mut self, line: String) {
        if self.is_printed {
            eprintln!("{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The packets in what was sent.
    pub(super) fn sent(
        &mut self,
        at: Duration,
        stream: (ConnectionId, Side),
        names: (&str, &str),
        bytes: &[u8],
    ) {
        self.hash.update(at.as_nanos().to_le_bytes());
        self.hash.update(names.0);
        self.hash.update(names.1);
        self.hash.update(bytes.len().to_le_bytes());
        self.hash.update(bytes);
        if !self.describes {
            return;
        }
        let stream = self.streams.entry(stream).or_default();
        let skipped = (HANDSHAKE.len() - stream.greeting_length).min(bytes.len());
        stream.greeting_length += skipped;
        stream.buffer.extend_from_slice(&bytes[skipped..]);
        for packet in describe_packets(&mut stream.buffer) {
            self.keep(format!("{:.6} {} > {}: {packet}", at.as_secs_f64(), names.0, names.1));
        }
    }

    /// The last lines.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
