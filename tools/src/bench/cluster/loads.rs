//! Clients that load objects.

use std::net::TcpStream;

use model::{Nid, Random};
use net::Message;

use super::client::Client;
use super::closed_loop::Station;
use super::population::Key;
use super::target::Target;
use super::wire::{Traffic, Wire};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// A client without any cache that loads the newest revision of random objects from one storage.
pub(super) struct Loader<'a> {
    /// Not read, but the cluster knows the client as long as this is open.
    _master: Client,
    wire: Wire,
    keys: &'a [Key],
    random: Random,
    current: Key,
}

/// Sizes of what goes over the wire for a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    /// Bytes of a request.
    pub(super) request: usize,
    /// Bytes of an answer besides the data.
    pub(super) overhead: usize,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        target: &Target,
        storage: Nid,
        keys: &'a [Key],
        seed: u64,
        stop: &Interrupt,
    ) -> Result<Self, Failure> {
        let (client, wire) = connect(target, storage, stop)?;
        Ok(Self { _master: client, wire, keys, random: Random::from_seed(seed), current: keys[0] })
    }
}

/// Loads each object once, checks what comes, takes note of the lengths, and tells the sizes.
pub(super) fn measure(
    target: &Target,
    storage: Nid,
    keys: &mut [Key],
    stop: &Interrupt,
) -> Result<Shape, Failure> {
    let (_client, mut wire) = connect(target, storage, stop)?;
    let mut data_bytes = 0;
    for key in keys.iter_mut() {
        stop.check()?;
        let request = Message::AskObject { oid: key.oid, at: None, before: None };
        let data = match wire.wait_for(&request)? {
            Message::AnswerObject { oid, checksum, data, .. }
                if oid == key.oid
                    && (data.bytes.is_empty() || data.checksum() == checksum)
                    && key.length.is_none_or(|length| length == data.bytes.len()) =>
            {
                data.bytes
            }
            Message::AnswerObject { oid, .. } => {
                let text = format!("{}: {oid} is not what was stored", wire.address());
                return Err(Failure::Damaged(text));
            }
            message => return Err(wire.unexpected(&message)),
        };
        key.length = Some(data.len());
        data_bytes += data.len() as u64;
    }
    let loads = keys.len().max(1) as u64;
    let average = |bytes: u64| usize::try_from(bytes / loads).expect("a packet is short");
    let Traffic { sent, received } = wire.traffic;
    Ok(Shape { request: average(sent), overhead: average(received - data_bytes) })
}

/// A client that has a connection to one storage only.
fn connect(target: &Target, storage: Nid, stop: &Interrupt) -> Result<(Client, Wire), Failure> {
    let client = Client::join(target, stop)?;
    let running = client.running_storages();
    let Some((_, address)) = running.iter().find(|(nid, _)| *nid == storage) else {
        return Err(Failure::Refused(format!("{target}: there is no running storage {storage}")));
    };
    let mut wire = client.connect_storage(address, stop)?;
    wire.traffic = Traffic::default();
    Ok((client, wire))
}

impl Station for Loader<'_> {
    fn begin(&mut self, slot: usize) -> Result<(), Failure> {
        self.current = self.keys[self.random.index(self.keys.len())];
        let request = Message::AskObject { oid: self.current.oid, at: None, before: None };
        self.wire.ask(&request, slot);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.wire.flush()
    }

    fn sockets(&self) -> Vec<&TcpStream> {
        vec![self.wire.stream()]
    }

    fn receive(&mut self, _socket: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        self.wire.receive()?;
        let Some((slot, message)) = self.wire.next()? else { return Ok(()) };
        match &message {
            Message::AnswerObject { oid, data, .. }
                if *oid == self.current.oid
                    && self.current.length.is_none_or(|length| length == data.bytes.len()) =>
            {
                done.extend(slot);
                Ok(())
            }
            _ => Err(self.wire.unexpected(&message)),
        }
    }
}
