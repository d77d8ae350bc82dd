//! Who sees what is sent.

use std::collections::BTreeMap;

use bytes::BytesMut;
use net::{HANDSHAKE, Limits, Message, PacketStream};

use super::network::{ConnectionId, Side};

/// Sees every packet that is sent, whether it arrives or not.
pub trait Witness {
    /// A packet was sent by one process to another, by their names.
    fn packet(&mut self, from: &str, to: &str, message: &Message);
}

/// Decodes what is sent, for a witness.
pub(super) struct Watch {
    pub(super) witness: Box<dyn Witness>,
    streams: BTreeMap<(ConnectionId, Side), Stream>,
}

#[derive(Default)]
struct Stream {
    /// Bytes of the handshake, which is no packet.
    greeting_length: usize,
    packets: PacketStream,
}

impl Watch {
    pub(super) fn new(witness: Box<dyn Witness>) -> Self {
        Self { witness, streams: BTreeMap::new() }
    }

    /// Bytes were sent.
    pub(super) fn sent(
        &mut self,
        stream: (ConnectionId, Side),
        (from, to): (&str, &str),
        bytes: &[u8],
    ) {
        let stream = self.streams.entry(stream).or_default();
        let skipped = (HANDSHAKE.len() - stream.greeting_length).min(bytes.len());
        stream.greeting_length += skipped;
        stream.packets.feed(BytesMut::from(&bytes[skipped..]));
        while let Ok(Some((_, message))) = stream.packets.next(Limits::NODE) {
            self.witness.packet(from, to, &message);
        }
    }
}
