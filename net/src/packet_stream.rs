//! Bytes as packets, and back, without a connection.

use bytes::{Bytes, BytesMut};

use crate::codec::{Decoder, Encoder, Framer, Limits, Malformed};
use crate::message::Message;
use crate::send_queue::SendQueue;

/// Turns what comes behind the handshake, in pieces of any length, into messages with their ids.
#[derive(Default)]
pub struct PacketStream {
    framer: Framer,
}

impl PacketStream {
    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: BytesMut) {
        if !bytes.is_empty() {
            self.framer.feed(bytes);
        }
    }

    /// The next packet, if it is there as a whole.
    ///
    /// # Errors
    /// If it is none. The stream is of no use any more.
    pub fn next(&mut self, limits: Limits) -> Result<Option<(u32, Message)>, Malformed> {
        let Some(frame) = self.framer.next(limits)? else { return Ok(None) };
        let mut input = Decoder::new(&frame.bytes, &frame.known);
        Message::decode(&mut input).map(Some)
    }

    /// Where to read to, while a long string comes in.
    pub(crate) fn room(&mut self) -> Option<&mut BytesMut> {
        self.framer.room()
    }
}

impl Message {
    /// The packet with this message.
    pub fn to_packet(&self, id: u32) -> Bytes {
        let mut queue = SendQueue::default();
        self.encode(id, &mut queue);
        queue.take(usize::MAX)
    }

    pub(crate) fn encode(&self, id: u32, queue: &mut SendQueue) {
        let mut out = Encoder(queue);
        out.array_header(3);
        out.unsigned(u64::from(id));
        out.unsigned(u64::from(self.code()));
        self.encode_arguments(&mut out);
    }

    /// The arguments alone: they are the same whoever gets the message.
    pub(crate) fn arguments(&self) -> Bytes {
        let mut queue = SendQueue::default();
        self.encode_arguments(&mut Encoder(&mut queue));
        queue.take(usize::MAX)
    }

    /// The same as [`Self::encode`], with arguments that were encoded before.
    pub(crate) fn encode_with(&self, id: u32, arguments: &Bytes, queue: &mut SendQueue) {
        let mut out = Encoder(queue);
        out.array_header(3);
        out.unsigned(u64::from(id));
        out.unsigned(u64::from(self.code()));
        queue.put_shared(arguments);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<(u32, Self), Malformed> {
        input.array_header_of(3)?;
        let id = u32::try_from(input.unsigned()?);
        let id = id.map_err(|_| Malformed::Expected("an id of 32 bits"))?;
        let code = u16::try_from(input.unsigned()?);
        let code = code.map_err(|_| Malformed::Expected("a code of 16 bits"))?;
        let message = Self::decode_arguments(code, input)?;
        input.end()?;
        Ok((id, message))
    }
}
