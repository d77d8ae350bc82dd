//! One connection without I/O: handshake, packets, requests and their answers.

use std::fmt;

use bytes::{Bytes, BytesMut};
use model::InOrder;

use crate::codec::{Limits, Malformed};
use crate::message::{ErrorCode, Message};
use crate::packet_stream::PacketStream;
use crate::send_queue::SendQueue;

/// What each side sends first: `["NEO", 5]`.
pub const HANDSHAKE: [u8; 6] = [0x92, 0xa3, b'N', b'E', b'O', 5];

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The peer closed it, or the system reports an error.
    Lost(String),
    /// The peer does not speak NEO. Holds what it sent first.
    NotNeo(Vec<u8>),
    /// The peer speaks another version of the protocol.
    OtherVersion(u8),
    /// The peer sent something that is no packet.
    Malformed(Malformed),
    /// The peer answered what was not asked, or with the wrong kind of answer.
    UnexpectedAnswer(&'static str),
    /// The peer does not take what is sent to it.
    Congested,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(reason) => f.write_str(reason),
            Self::NotNeo(first) => {
                let guess = match first.as_slice() {
                    [0x16, 0x03, ..] => " (but TLS, perhaps)",
                    [b'G', b'E', b'T', b' ', ..]
                    | [b'P', b'O', b'S', b'T', ..]
                    | [b'H', b'E', b'A', b'D', ..]
                    | [b'H', b'T', b'T', b'P', ..] => " (but HTTP, perhaps)",
                    [0, 0, 0, _, ..] => " (but its version before 5, perhaps)",
                    _ => "",
                };
                write!(f, "the peer does not speak NEO{guess}: {}", first.escape_ascii())
            }
            Self::OtherVersion(found) => {
                write!(f, "the peer speaks version {found} of the protocol, this node version 5")
            }
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::UnexpectedAnswer(name) => write!(f, "unexpected answer {name}"),
            Self::Congested => f.write_str("the peer does not take what is sent to it"),
        }
    }
}

/// A packet that came in.
#[derive(Debug)]
pub(crate) enum Packet<C> {
    /// A request, or a notification.
    Request { id: u32, message: Message },
    /// The answer to a request, with what was noted when it was sent.
    Answer { context: C, message: Message },
    /// An `Error` that answers no request.
    Stray { message: Message },
}

/// A request that is not answered yet.
struct Asked<C> {
    code: u16,
    context: C,
}

/// One connection: turns bytes into packets and back. `C` is what the owner notes of each of its
/// requests, to know what an answer is about.
pub(crate) struct Connection<C> {
    packets: PacketStream,
    /// Of the handshake, as far as it came; `None` behind it.
    greeting: Option<BytesMut>,
    limits: Limits,
    /// How many packets with ids of their own were sent. The id of the next one is its lower half.
    sent: u64,
    asked: InOrder<Asked<C>>,
    pub(crate) queue: SendQueue,
}

impl<C> Connection<C> {
    pub(crate) fn new() -> Self {
        let mut queue = SendQueue::default();
        queue.put(&HANDSHAKE);
        Self {
            packets: PacketStream::default(),
            greeting: Some(BytesMut::new()),
            limits: Limits::UNIDENTIFIED,
            sent: 0,
            asked: InOrder::default(),
            queue,
        }
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes bytes as they come.
    pub(crate) fn feed(&mut self, mut bytes: BytesMut) -> Result<(), CloseReason> {
        if let Some(greeting) = &mut self.greeting {
            let missing = HANDSHAKE.len() - greeting.len();
            greeting.extend_from_slice(&bytes.split_to(missing.min(bytes.len())));
            let name_length = HANDSHAKE.len() - 1;
            let compared = greeting.len().min(name_length);
            if greeting[..compared] != HANDSHAKE[..compared] {
                let mut first = greeting.to_vec();
                first.extend(bytes.iter().take(26));
                return Err(CloseReason::NotNeo(first));
            }
            match greeting.get(name_length) {
                None => return Ok(()),
                Some(version) if *version != HANDSHAKE[name_length] => {
                    return Err(CloseReason::OtherVersion(*version));
                }
                Some(_) => self.greeting = None,
            }
        }
        if !bytes.is_empty() {
            self.packets.feed(bytes);
        }
        Ok(())
    }

    /// Where to read to, while a long string comes in.
    pub(crate) fn room(&mut self) -> Option<&mut BytesMut> {
        self.packets.room()
    }

    /// The next packet, if it is there as a whole.
    pub(crate) fn next(&mut self) -> Result<Option<Packet<C>>, CloseReason> {
        let packet = self.packets.next(self.limits).map_err(CloseReason::Malformed)?;
        let Some((id, message)) = packet else { return Ok(None) };
        if !message.is_answer() {
            return Ok(Some(Packet::Request { id, message }));
        }
        let is_error = matches!(message, Message::Error { .. });
        match self.asked.remove(self.number_of(id)) {
            Some(asked) if is_error || asked.code | 0x8000 == message.code() => {
                Ok(Some(Packet::Answer { context: asked.context, message }))
            }
            None if is_error => Ok(Some(Packet::Stray { message })),
            _ => {
                let reason = CloseReason::UnexpectedAnswer(message.name());
                self.send_as(id, &Message::error(ErrorCode::ProtocolError, reason.to_string()));
                Err(reason)
            }
        }
    }

    pub(crate) fn ask(&mut self, message: &Message, context: C) {
        let number = self.sent;
        self.send(message);
        self.asked.insert(number, Asked { code: message.code(), context });
    }

    /// Sends a packet with an id of its own.
    pub(crate) fn send(&mut self, message: &Message) {
        let id = self.next_id();
        self.send_as(id, message);
    }

    /// The same as [`Self::send`], with arguments that were encoded before.
    pub(crate) fn send_with(&mut self, message: &Message, arguments: &Bytes) {
        let id = self.next_id();
        message.encode_with(id, arguments, &mut self.queue);
    }

    pub(crate) fn send_as(&mut self, id: u32, message: &Message) {
        message.encode(id, &mut self.queue);
    }

    /// What was asked and not answered.
    pub(crate) fn take_asked(&mut self) -> Vec<C> {
        std::mem::take(&mut self.asked).into_values().map(|asked| asked.context).collect()
    }

    pub(crate) fn asked(&self) -> impl Iterator<Item = &C> {
        self.asked.iter().map(|(_, asked)| &asked.context)
    }

    fn next_id(&mut self) -> u32 {
        let id = id_of(self.sent);
        self.sent += 1;
        id
    }

    /// Of the packets that were sent with an id, the last one.
    fn number_of(&self, id: u32) -> u64 {
        let ago = id_of(self.sent).wrapping_sub(id);
        self.sent.wrapping_sub(u64::from(ago))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ids are used again after 2^32")]
const fn id_of(number: u64) -> u32 {
    number as u32
}
