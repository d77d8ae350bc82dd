//! A connection to an admin node, for one thread that waits.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use net::{Address, CloseReason, ErrorCode, Event, Incoming, LinkId, Links, Message};

use crate::failure::Failure;

/// Bytes that are read at a time.
const READ_LENGTH: usize = 64 << 10;
/// Buffers that are written at a time.
const SLICES_MAX: usize = 64;

/// A connection to a node, on which one request is asked after the other. It does not say who is
/// asking, as is usual towards admins.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    links: Links<()>,
    link: LinkId,
    answers: VecDeque<Message>,
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug)]
pub(crate) enum ControlError {
    /// There is no connection.
    NotConnected {
        /// To which node.
        address: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The connection ended.
    Lost {
        /// Why.
        reason: String,
    },
    /// The node refuses.
    Refused {
        /// How.
        code: ErrorCode,
        /// Why.
        text: String,
    },
    /// The node answers with something else.
    Unexpected {
        /// Name of the packet.
        packet: &'static str,
    },
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: &Address) -> Result<Self, ControlError> {
        let not_connected =
            |source| ControlError::NotConnected { address: address.to_string(), source };
        let target = (address.host.as_str(), address.port);
        let stream = TcpStream::connect(target).map_err(not_connected)?;
        stream.set_nodelay(true).map_err(not_connected)?;
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, address);
        // It is the one that was chosen: what it sends may be as long as it likes.
        links.identified(link);
        links.feed(Event::Connected { link });
        Ok(Self { stream, links, link, answers: VecDeque::new() })
    }

    /// Asks, and waits for the answer. One that is an error is an error.
    pub(crate) fn ask(&mut self, message: &Message) -> Result<Message, ControlError> {
        self.links.ask(self.link, message, ());
        loop {
            self.transmit()?;
            if let Some(answer) = self.answers.pop_front() {
                return match answer {
                    Message::Error { code, text } if code != ErrorCode::Ack => {
                        let text = String::from_utf8_lossy(&text).into_owned();
                        Err(ControlError::Refused { code, text })
                    }
                    answer => Ok(answer),
                };
            }
            self.receive()?;
        }
    }

    /// Sends a notification. Behind it, the node is asked for a sign of life, so that it is known
    /// to have been received.
    pub(crate) fn send(&mut self, message: &Message) -> Result<(), ControlError> {
        self.links.send(self.link, message);
        match self.ask(&Message::Ping {})? {
            Message::Pong {} => Ok(()),
            other => Err(ControlError::Unexpected { packet: other.name() }),
        }
    }

    fn transmit(&mut self) -> Result<(), ControlError> {
        while let Some(queue) = self.links.queue(self.link)
            && !queue.is_empty()
        {
            let length = self.stream.write_vectored(&queue.slices(SLICES_MAX));
            queue.advance(length.map_err(lost)?);
        }
        // Everything else that is to be done with it is done here.
        while self.links.poll_action().is_some() {}
        self.links.transmitted(self.link);
        Ok(())
    }

    fn receive(&mut self) -> Result<(), ControlError> {
        let mut bytes = BytesMut::zeroed(READ_LENGTH);
        let length = self.stream.read(&mut bytes).map_err(lost)?;
        bytes.truncate(length);
        let link = self.link;
        self.links.feed(match length {
            0 => Event::Closed { link, reason: String::from("closed by the other side") },
            _ => Event::Received { link, bytes },
        });
        while let Some(incoming) = self.links.next() {
            match incoming {
                // Before it closes, a node may say why.
                Incoming::Answer { message, .. } | Incoming::Stray { message, .. } => {
                    self.answers.push_back(message);
                }
                Incoming::Request { message, .. } => {
                    tracing::debug!(packet = message.name(), "not expected from an admin");
                }
                Incoming::Closed { reason, .. } if self.answers.is_empty() => {
                    return Err(ControlError::Lost { reason: describe(&reason) });
                }
                Incoming::Closed { .. } | Incoming::Accepted { .. } => {}
            }
        }
        Ok(())
    }
}

fn lost(error: io::Error) -> ControlError {
    ControlError::Lost { reason: error.to_string() }
}

fn describe(reason: &CloseReason) -> String {
    reason.to_string()
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { address, source } => {
                write!(f, "not connected: {address}: {source}")
            }
            Self::Lost { reason } => write!(f, "connection closed: {reason}"),
            Self::Refused { code: ErrorCode::NotReady, text } => write!(f, "not ready: {text}"),
            Self::Refused { text, .. } => f.write_str(text),
            Self::Unexpected { packet } => write!(f, "unexpected answer {packet}"),
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        Failure::Control(error)
    }
}
