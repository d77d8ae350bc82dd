//! One connection to a node, over a socket that waits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use net::{Address, Event, Incoming, LinkId, Links, Message};

use crate::failure::Failure;

/// How long a node may take to answer before the bench gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to open a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes read at once.
const READ_LENGTH_MAX: usize = 64 << 10;
/// Buffers written at once.
const SLICES_MAX: usize = 64;

/// A connection. Each request carries a number, which comes back with its answer.
pub(super) struct Wire {
    stream: TcpStream,
    links: Links<usize>,
    link: LinkId,
    buffer: Box<[u8]>,
    address: Address,
    /// Bytes in both directions, since it was opened.
    pub(super) traffic: Traffic,
}

/// Bytes that went over a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Traffic {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Wire {
    pub(super) fn connect(address: &Address) -> Result<Self, Failure> {
        let failed =
            |source| Failure::Io { action: "connect to", path: address.to_string(), source };
        let socket = address.to_socket().ok_or_else(|| {
            Failure::Refused(format!("{address}: the host has to be a numeric IP address"))
        })?;
        let stream = TcpStream::connect_timeout(&socket, CONNECT_TIME_MAX).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, address);
        links.identified(link);
        links.feed(Event::Connected { link });
        Ok(Self {
            stream,
            links,
            link,
            buffer: vec![0; READ_LENGTH_MAX].into_boxed_slice(),
            address: address.clone(),
            traffic: Traffic::default(),
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// To wait for it together with others.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Has a request ready to be sent.
    pub(super) fn ask(&mut self, message: &Message, number: usize) {
        self.links.ask(self.link, message, number);
    }

    /// Sends what is ready.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        // The connection is open, and what else there is to do is done here.
        while self.links.poll_action().is_some() {}
        while let Some(queue) = self.links.queue(self.link).filter(|queue| !queue.is_empty()) {
            let sent = match self.stream.write_vectored(&queue.slices(SLICES_MAX)) {
                Ok(0) => return Err(self.failed("write to", std::io::ErrorKind::WriteZero.into())),
                Ok(sent) => sent,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed("write to", error)),
            };
            queue.advance(sent);
            self.traffic.sent += sent as u64;
        }
        self.links.transmitted(self.link);
        Ok(())
    }

    /// Reads once, and waits for that if there is nothing.
    pub(super) fn receive(&mut self) -> Result<(), Failure> {
        let length = loop {
            match self.stream.read(&mut self.buffer) {
                Ok(length) => break length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read from", error)),
            }
        };
        if length == 0 {
            return Err(Failure::Refused(format!("{}: closed the connection", self.address)));
        }
        self.traffic.received += length as u64;
        let bytes = BytesMut::from(&self.buffer[..length]);
        self.links.feed(Event::Received { link: self.link, bytes });
        Ok(())
    }

    /// The next message that was received: an answer with the number of its request, or a
    /// notification.
    pub(super) fn next(&mut self) -> Result<Option<(Option<usize>, Message)>, Failure> {
        match self.links.next() {
            None => Ok(None),
            Some(Incoming::Answer { context, message, .. }) => Ok(Some((Some(context), message))),
            Some(Incoming::Request { message, .. } | Incoming::Stray { message, .. }) => {
                Ok(Some((None, message)))
            }
            Some(Incoming::Closed { reason, .. }) => {
                Err(Failure::Refused(format!("{}: {reason}", self.address)))
            }
            Some(Incoming::Accepted { .. }) => unreachable!("nobody connects to a bench"),
        }
    }

    /// Sends a request, and waits for the next message, whatever it is.
    pub(super) fn wait_for(&mut self, request: &Message) -> Result<Message, Failure> {
        self.ask(request, 0);
        self.wait()
    }

    /// Sends what is ready, and waits for one more message.
    pub(super) fn wait(&mut self) -> Result<Message, Failure> {
        self.flush()?;
        loop {
            if let Some((_, message)) = self.next()? {
                return Ok(message);
            }
            self.receive()?;
        }
    }

    /// An answer that makes no sense here, or an error.
    pub(super) fn unexpected(&self, message: &Message) -> Failure {
        let address = &self.address;
        Failure::Refused(match message {
            Message::Error { code, text } => {
                let text = String::from_utf8_lossy(text);
                format!("{address}: refused with {code:?}: {text}")
            }
            _ => format!("{address}: sent {} where it makes no sense", message.name()),
        })
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> Failure {
        Failure::Io { action, path: self.address.to_string(), source }
    }
}
