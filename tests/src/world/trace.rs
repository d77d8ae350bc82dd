//! What happened last, for whoever has to understand a failure.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::time::Duration;

use net::HANDSHAKE;

use super::network::{ConnectionId, Side};
use crate::script::describe_packets;

/// Lines that are kept.
const LINES_MAX: usize = 400;

/// The last lines; all of them go to standard error if `WORLD_TRACE` is in the environment.
pub(super) struct Trace {
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
        Self { lines: VecDeque::new(), is_printed, streams: BTreeMap::new() }
    }

    pub(super) fn say(&mut self, at: Duration, text: &str) {
        let line = format!("{:.6} {text}", at.as_secs_f64());
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
        let stream = self.streams.entry(stream).or_default();
        let skipped = (HANDSHAKE.len() - stream.greeting_length).min(bytes.len());
        stream.greeting_length += skipped;
        stream.buffer.extend_from_slice(&bytes[skipped..]);
        for packet in describe_packets(&mut stream.buffer) {
            self.say(at, &format!("{} > {}: {packet}", names.0, names.1));
        }
    }

    /// The last lines.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
