//! What the world does with connections.

use std::time::Duration;

use bytes::BytesMut;
use net::{Event, LinkId};

use super::network::{ConnectionId, Piece, Side, WINDOW};
use super::process::ProcessId;
use super::whole::{Happening, TICK, World};

/// Pieces of a stream are not longer.
const PIECE_LENGTH_MAX: usize = 64 << 10;

impl World {
    pub(super) fn connect(&mut self, id: ConnectionId) {
        if self.is_held_up(id, Side::Opener, Happening::Connect { connection: id }) {
            return;
        }
        let Some(connection) = self.network.get(id) else { return };
        let target = self.listeners.get(&connection.target).copied();
        let opener = connection.end(Side::Opener).map(|end| end.process);
        let Some(opener) = opener else { return };
        let happening = Happening::Connect { connection: id };
        if target.is_some_and(|target| self.is_dark(target, happening)) {
            return;
        }
        let back = self.elapsed + self.latency();
        match target.filter(|target| self.is_running(*target) && !self.is_refusing(*target)) {
            Some(target) => {
                let link = self.network.accept(id, target);
                let connection = self.network.get(id).expect("it was accepted");
                let end = connection.end(Side::Opener).expect("it is there");
                end.last_arrival = back;
                self.agenda.add(back, Happening::Connected { connection: id });
                let address = self.processes[opener.0].address.clone();
                self.deliver(target, Event::Accepted { link, address });
            }
            None => self.agenda.add(back, Happening::Refused { connection: id }),
        }
    }

    /// The next piece of a stream has come to one end.
    pub(super) fn arrive(&mut self, id: ConnectionId, side: Side) {
        if self.is_held_up(id, side.other(), Happening::Arrive { connection: id, side }) {
            return;
        }
        let Some(end) = self.network.get(id).and_then(|found| found.end(side)) else { return };
        end.unread += 1;
        self.read(id, side);
    }

    /// Hands over what has arrived, as long as the machine reads.
    fn read(&mut self, id: ConnectionId, side: Side) {
        loop {
            let end = self.network.get(id).and_then(|found| found.end(side));
            let Some(end) = end.filter(|end| end.reads && end.unread > 0) else { return };
            end.unread -= 1;
            let piece = end.inbox.pop_front().expect("what arrived was sent");
            let (process, link) = (end.process, end.link);
            let sender_waits = end.sender_waits && end.in_flight() < WINDOW / 2;
            end.sender_waits &= !sender_waits;
            match piece {
                Piece::Bytes(bytes) => {
                    self.deliver(
                        process,
                        Event::Received { link, bytes: BytesMut::from(&bytes[..]) },
                    );
                }
                Piece::End(reason) => {
                    self.network.close(id, side);
                    self.deliver(process, Event::Closed { link, reason });
                }
            }
            let sender = self.network.get(id).and_then(|found| found.end(side.other()));
            if let Some(sender) = sender.filter(|_| sender_waits) {
                let (process, link) = (sender.process, sender.link);
                let life = self.processes[process.0].life;
                let at = self.elapsed + TICK;
                self.agenda.add(at, Happening::Writable { process, life, link });
            }
        }
    }

    pub(super) fn transmit(&mut self, process: ProcessId, link: LinkId) {
        let Some((id, side)) = self.network.find(process, link) else { return };
        let Some(connection) = self.network.get(id) else { return };
        if connection.is_half_open {
            self.transmit_to_nobody(process, link, (id, side));
            return;
        }
        let receiver = connection.end(side.other());
        // What is to be sent on a connection that is not there yet waits until it is.
        let Some(receiver) = receiver else { return };
        let receiving = receiver.process;
        let room = WINDOW.saturating_sub(receiver.in_flight());
        let node = self.processes[process.0].node.as_mut().expect("it transmits");
        let mut bytes = node.take_output(link, room);
        if bytes.len() == room
            && let Some(receiver) = self.network.get(id).and_then(|found| found.end(side.other()))
        {
            receiver.sender_waits = true;
        }
        let names = (&*self.processes[process.0].name, &*self.processes[receiving.0].name);
        self.trace.sent(self.elapsed, (id, side), names, &bytes);
        if let Some(watch) = &mut self.watch {
            watch.sent((id, side), names, &bytes);
        }
        while !bytes.is_empty() {
            let length = self.piece_length(bytes.len());
            self.post(id, side.other(), Piece::Bytes(bytes.split_to(length)));
        }
    }

    /// The other side does not know the connection any more, and says so.
    fn transmit_to_nobody(
        &mut self,
        process: ProcessId,
        link: LinkId,
        (connection, side): (ConnectionId, Side),
    ) {
        let node = self.processes[process.0].node.as_mut().expect("it transmits");
        let is_sending = !node.take_output(link, WINDOW).is_empty();
        if is_sending {
            let at = self.elapsed + self.latency() + self.latency();
            self.agenda.add(at, Happening::Reset { connection, side });
        }
    }

    /// Mostly everything at once, sometimes cut anywhere.
    fn piece_length(&mut self, length: usize) -> usize {
        let length = length.min(PIECE_LENGTH_MAX);
        if self.random.chance(1, 8) { 1 + self.random.index(length) } else { length }
    }

    pub(super) fn latency(&mut self) -> Duration {
        let slow = if self.random.chance(1, 50) { self.random.below(20_000) } else { 0 };
        Duration::from_micros(30 + self.random.below(200) + slow)
    }

    /// How much later comes what one side sends.
    fn delay_from(&mut self, id: ConnectionId, side: Side) -> Duration {
        let end = self.network.get(id).and_then(|found| found.end(side));
        end.map(|end| end.process)
            .map_or(Duration::ZERO, |sender| self.processes[sender.0].network_delay)
    }

    /// Sends a piece to one end, behind what is on its way to it.
    fn post(&mut self, id: ConnectionId, side: Side, piece: Piece) {
        let at = self.elapsed + self.latency() + self.delay_from(id, side.other());
        let Some(end) = self.network.get(id).and_then(|found| found.end(side)) else { return };
        let at = at.max(end.last_arrival);
        end.last_arrival = at;
        end.inbox.push_back(piece);
        self.agenda.add(at, Happening::Arrive { connection: id, side });
    }

    pub(super) fn set_reading(&mut self, process: ProcessId, link: LinkId, on: bool) {
        let Some((id, side)) = self.network.find(process, link) else { return };
        let end = self.network.get(id).and_then(|found| found.end(side));
        end.expect("it was found").reads = on;
        if on {
            let life = self.processes[process.0].life;
            let at = self.elapsed + TICK;
            self.agenda.add(at, Happening::Writable { process, life, link });
            self.read(id, side);
        }
    }

    pub(super) fn close(&mut self, process: ProcessId, link: LinkId, reason: &str) {
        let Some((id, side)) = self.network.find(process, link) else { return };
        self.network.close(id, side);
        self.post(id, side.other(), Piece::End(reason.to_owned()));
    }
}
